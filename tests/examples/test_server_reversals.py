"""Money that goes back over real wires: what the provider's refunds and disputes do to the server's totals."""

import json

import pytest

from conftest import eventually
from test_server_stripe import SANDBOX, Sandbox, Wire, own_wire, wire  # noqa: F401

pytestmark = pytest.mark.skipif(not SANDBOX.exists(), reason="this build has no sandbox")


def ask(wire, method, path, **form):
    status, _, text = wire.sandbox.call(method, path, form=form if method == "POST" else None)
    assert status == 200, text
    return json.loads(text)


def donation(wire):
    """A paid pledge: its campaign and the provider's intent."""
    campaign_id = wire.server.campaign()
    assert wire.pay(wire.server.pledge(campaign_id))[0] == 303
    wire.server.wait_raised(campaign_id, 2500)
    return campaign_id, ask(wire, "GET", "/v1/payment_intents?limit=1")["data"][0]


def wait_totals(wire, campaign_id, **wanted):
    def seen():
        row = wire.server.totals(campaign_id)["currencies"][0]
        return all(row[name] == value for name, value in wanted.items())

    eventually(seen, f"{wanted} instead of {wire.server.totals(campaign_id)}")


def test_refunds_made_at_the_provider_lower_what_is_left(wire):
    campaign_id, intent = donation(wire)
    for left in (1500, 500):                                 # two of the same amount are two
        ask(wire, "POST", "/v1/refunds", payment_intent=intent["id"], amount=1000)
        wait_totals(wire, campaign_id, raised_minor=2500, refunded_minor=2500 - left, net_minor=left)


def test_a_refund_that_fails_late_gives_back_what_it_took(wire):
    campaign_id, intent = donation(wire)
    refund = ask(wire, "POST", "/v1/refunds", payment_intent=intent["id"], amount=1000)
    wait_totals(wire, campaign_id, refunded_minor=1000, net_minor=1500)
    wire.sandbox.pull("refunds", refund=refund["id"], status="failed", failure_reason="lost_or_stolen_card")
    wait_totals(wire, campaign_id, refunded_minor=0, net_minor=2500)


def test_a_refunded_charge_that_names_no_refund_is_read(own_wire):
    wire = own_wire()
    campaign_id, intent = donation(wire)
    ask(wire, "POST", f"/v1/webhook_endpoints/{wire.endpoint['id']}", **{"enabled_events[0]": "charge.refunded"})
    ask(wire, "POST", "/v1/refunds", payment_intent=intent["id"], amount=1000)
    wait_totals(wire, campaign_id, refunded_minor=1000, net_minor=1500)


@pytest.mark.parametrize("flags", [[], ["--settle-in", "usd"]])
def test_a_dispute_takes_the_money_and_a_won_one_brings_it_back(own_wire, monkeypatch, flags):
    monkeypatch.setattr("test_server_stripe.Sandbox", lambda *more: Sandbox(*flags, *more))
    wire = own_wire()
    campaign_id, intent = donation(wire)
    wire.sandbox.pull("disputes", charge=intent["latest_charge"], open="inquiry")
    inquiry = ask(wire, "GET", f"/v1/disputes?payment_intent={intent['id']}")["data"][0]
    wire.sandbox.pull("disputes", dispute=inquiry["id"], verdict="lost")     # closed, no money moves
    wire.sandbox.pull("disputes", charge=intent["latest_charge"], open="dispute", amount=1000)
    wait_totals(wire, campaign_id, raised_minor=2500, disputed_minor=1000, net_minor=1500)
    dispute = ask(wire, "GET", f"/v1/disputes?payment_intent={intent['id']}")["data"][0]
    wire.sandbox.pull("disputes", dispute=dispute["id"], verdict="won")
    wait_totals(wire, campaign_id, disputed_minor=0, net_minor=2500)
    assert wire.sandbox.books()["disputes"] == 2
