"""quickstart.py - one donation: a campaign, a pledge, the double click, the payment, the total."""

import sys

from careforall import Engine, Money, PlayProvider, new_key

path = sys.argv[1] if len(sys.argv) > 1 else "quickstart.db"
play = PlayProvider()                                    # a provider that moves no money
with Engine.sqlite(path, provider=play) as engine:       # the book: one SQLite file
    campaign = engine.create_campaign("Clean water", "EUR", goal=Money.parse("10000.00 EUR"))
    print(f"{'campaign':9} {campaign.title}")
    print(f"{'goal':9} {campaign.goal}")

    key = new_key()                                      # made once, kept until an answer came
    first = engine.create_pledge(campaign.id, Money.parse("25.00 EUR"), key=key)
    again = engine.create_pledge(campaign.id, Money.parse("25.00 EUR"), key=key)   # the double click
    print(f"{'pledge':9} {first.amount}")
    print(f"{'again':9} {'replayed' if again.replayed else 'a second pledge'}")

    play.confirm(first.client_secret, "pm_ok")           # the donor pays in the browser; we wait
    payment = engine.wait_payment(first.payment_id, timeout=5)
    print(f"{'payment':9} {payment.state.name}")

    totals = engine.totals(campaign.id, at_least=payment.position)
    print(f"{'raised':9} {totals['EUR'].raised}")
