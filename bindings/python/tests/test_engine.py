"""An engine in Python: snapshots, the double click, closing, wrong types."""

import dataclasses
import gc
import os
import pathlib
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
from conftest import PATIENCE_S

import careforall
from careforall import (CampaignState, CareForAllError, Engine, InvalidError, LateRule, Money, PaymentState,
                        PlayProvider, PermanentError, Visibility, Wait, WebhookVerdict, Work, new_key)

AMOUNT = Money(2500, "EUR")


def paid(engine, play, campaign, amount=AMOUNT, **spec):
    pledge = engine.create_pledge(campaign.id, amount, **spec)
    play.confirm(pledge.client_secret)
    return engine.wait_payment(pledge.payment_id)


def test_a_campaign_comes_back_as_it_was_made(engine):
    deadline = datetime(2099, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
    made = engine.create_campaign("Clean water", ["EUR", "USD"], goal=Money.parse("10000.00 EUR"),
                                  deadline=deadline, late_rule=LateRule.REFUSE)
    assert (made.title, made.currencies, made.goal) == ("Clean water", ("EUR", "USD"), Money(1000000, "EUR"))
    assert (made.deadline, made.late_rule, made.state) == (deadline, LateRule.REFUSE, CampaignState.OPEN)
    assert not made.replayed
    read = engine.campaign(made.id)
    for field in ("id", "title", "currencies", "goal", "deadline", "late_rule", "state", "version", "created"):
        assert getattr(read, field) == getattr(made, field), field
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.title = "Other"


def test_update_and_end(engine, campaign):
    changed = engine.update_campaign(campaign.id, campaign.version, title="Cleaner water", currencies="EUR,USD")
    assert changed.title == "Cleaner water" and changed.version > campaign.version and changed.goal is None
    ended = engine.end_campaign(campaign.id, changed.version)
    assert ended.state == CampaignState.ENDED


def test_a_payment_to_its_end(engine, play, campaign):
    payment = paid(engine, play, campaign, donor_name="Ada", donor_email="ada@example.org")
    assert payment.state == PaymentState.COMPLETED and payment.state.settled
    assert payment.captured == AMOUNT and payment.failure_code is None
    totals = engine.totals(campaign.id, at_least=payment.position)
    assert list(totals) == ["EUR"]
    assert totals["EUR"].raised == totals["EUR"].net == AMOUNT
    assert (totals["EUR"].donations, totals["EUR"].donors) == (1, 1)
    assert engine.verify_totals(campaign.id)
    assert pickle.loads(pickle.dumps(totals)) == totals and hash(totals) and "USD" not in totals
    assert pickle.loads(pickle.dumps(payment)) == payment
    same, with_totals = engine.campaign_with_totals(campaign.id)
    assert same.id == campaign.id and with_totals["EUR"].raised == AMOUNT
    history = engine.payment_history(payment.id)
    assert history[0].before is None and history[-1].after == PaymentState.COMPLETED
    assert all(step.rule for step in history)
    assert play.charges(payment.id) == 1 and play.books.charged_twice == 0


def test_personal_data_can_be_erased(engine, play, campaign):
    payment = paid(engine, play, campaign, donor_name="Ada", donor_message="for the well",
                   visibility=Visibility.OWNER)
    pledge = engine.pledge(payment.pledge_id)
    assert (pledge.donor_name, pledge.donor_message) == ("Ada", "for the well")
    assert pledge.visibility == Visibility.OWNER
    engine.erase_donor(pledge.id)
    erased = engine.pledge(payment.pledge_id)
    assert not erased.donor_name and not erased.donor_message and erased.amount == AMOUNT


def test_a_double_click_from_twenty_threads_is_one_pledge(engine, play, campaign):
    key, barrier = new_key(), threading.Barrier(20)

    def click(_):
        barrier.wait()
        return engine.create_pledge(campaign.id, AMOUNT, key=key)

    with ThreadPoolExecutor(20) as pool:
        pledges = list(pool.map(click, range(20)))
    assert len({pledge.id for pledge in pledges}) == 1
    assert len({pledge.answer for pledge in pledges}) == 1
    assert sum(not pledge.replayed for pledge in pledges) == 1
    assert engine.find_pledge(key).id == pledges[0].id
    play.confirm(pledges[0].client_secret)
    engine.wait_payment(pledges[0].payment_id)
    assert (play.books.intents, play.books.charges, play.books.charged_twice) == (1, 1, 0)


def test_without_a_key_each_call_is_a_pledge_of_its_own(engine, campaign):
    first, second = (engine.create_pledge(campaign.id, AMOUNT) for _ in range(2))
    assert first.id != second.id


def test_a_one_step_provider_charges_in_the_call(tmp_path):
    play = PlayProvider(one_step=True)
    with Engine.sqlite(tmp_path / "book.db", provider=play) as engine:
        campaign = engine.create_campaign("Clean water", "EUR")
        pledge = engine.create_pledge(campaign.id, AMOUNT, payment_method="pm_ok", wait=Wait.PAID)
        assert engine.payment(pledge.payment_id).state == PaymentState.COMPLETED


def test_pages_are_read_to_the_end(engine):
    made = [engine.create_campaign(f"Campaign {i}", "EUR").id for i in range(7)]
    assert [campaign.id for campaign in engine.campaigns(page_size=3)] == made
    pledges = [engine.create_pledge(made[0], AMOUNT, wait=Wait.COMMIT).id for _ in range(5)]
    assert [pledge.id for pledge in engine.pledges(made[0], page_size=2)] == pledges
    assert list(engine.pledges(made[1])) == []


def test_webhooks_are_verified_and_applied(engine, play, campaign):
    pledge = engine.create_pledge(campaign.id, AMOUNT)
    play.confirm(pledge.client_secret)
    verdicts = []
    while (webhook := play.take_webhook()) is not None:
        verdicts.append(engine.receive_webhook(*webhook))
        assert engine.receive_webhook(*webhook) == WebhookVerdict.DUPLICATE
        with pytest.raises(PermanentError) as caught:
            engine.receive_webhook(webhook[0], webhook[1] + b" ")
        assert caught.value.name == "CFA_ESIGNATURE"
    assert WebhookVerdict.APPLIED in verdicts
    assert engine.payment(pledge.payment_id).state == PaymentState.COMPLETED
    assert play.deliver(engine) == 0


def test_the_host_can_drive_the_engine(engine, play, campaign):
    pledge = engine.create_pledge(campaign.id, AMOUNT, wait=Wait.COMMIT)
    until = time.monotonic() + PATIENCE_S
    while engine.pledge(pledge.id).pending and time.monotonic() < until:
        engine.tick(Work.ALL, budget=0.05)
    assert play.books.intents == 1
    assert 0 <= engine.next_due() <= 1
    assert isinstance(engine.fileno(), int)
    assert isinstance(engine.statistics(), dict)


def test_the_runner_does_the_work(engine, play, campaign):
    engine.start_runner()
    with pytest.raises(CareForAllError):
        engine.start_runner()
    payment = paid(engine, play, campaign)
    assert payment.state == PaymentState.COMPLETED
    engine.stop_runner()


# ---- wrong types ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("amount", [25, 25.0, "25.00 EUR", None, (2500, "EUR")])
def test_an_amount_that_is_no_money_is_refused(memory, amount):
    campaign = memory.create_campaign("Clean water", "EUR")
    with pytest.raises((TypeError, InvalidError)):
        memory.create_pledge(campaign.id, amount)
    assert list(memory.pledges(campaign.id)) == []


def test_wrong_types_raise_type_error(memory):
    for call in (lambda: memory.create_campaign(7, "EUR"),
                 lambda: memory.create_campaign("Title", "EUR", deadline=12.5),
                 lambda: memory.create_campaign("Title", "EUR", deadline=datetime(2099, 1, 1)),
                 lambda: memory.campaign(b"cmp_"),
                 lambda: memory.receive_webhook("signature", "body"),
                 lambda: memory.events(after=1.5),
                 lambda: memory.create_campaign("Title", "EUR", key=1.5),
                 lambda: Engine.memory(provider=object()),
                 lambda: Engine.sqlite(b"path")):
        with pytest.raises(TypeError):
            call()


def test_text_that_c_cannot_carry_is_refused_by_its_field(memory):
    with pytest.raises(InvalidError) as caught:
        memory.create_campaign("Clean\0water", "EUR")
    assert caught.value.field == "title"
    with pytest.raises(InvalidError) as caught:
        memory.create_campaign("Clean\udc80water", "EUR")
    assert (caught.value.name, caught.value.field) == ("CFA_EENCODING", "title")


# ---- closing -----------------------------------------------------------------------------------------------

def test_a_closed_engine_refuses_every_call(engine):
    engine.close()
    engine.close()
    assert engine.closed
    for call in (lambda: engine.create_campaign("Late", "EUR"), lambda: engine.campaign("cmp_"),
                 lambda: engine.tick(), lambda: engine.subscribe("late"), lambda: next(engine.campaigns()),
                 lambda: engine.start_runner(), lambda: engine.__enter__().statistics()):
        with pytest.raises(InvalidError) as caught:
            call()
        assert caught.value.name == "CFA_EMISUSE"


def test_leaving_the_context_closes_and_keeps_the_error(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with Engine.sqlite(tmp_path / "book.db") as engine:
            engine.create_campaign("Clean water", "EUR", key="k")
            raise ZeroDivisionError
    assert engine.closed
    with Engine.sqlite(tmp_path / "book.db") as again:
        assert again.create_campaign("Clean water", "EUR", key="k").replayed


def test_close_waits_for_the_calls_that_run(tmp_path):
    play = PlayProvider()
    engine = Engine.sqlite(tmp_path / "book.db", provider=play)
    campaign = engine.create_campaign("Clean water", "EUR")
    running, done, unexpected = threading.Event(), [], []

    def donate():
        try:
            while True:
                done.append(engine.create_pledge(campaign.id, AMOUNT).id)
                running.set()
        except CareForAllError as error:
            if error.name not in ("CFA_EMISUSE", "CFA_ECLOSING"):
                unexpected.append(error)

    threads = [threading.Thread(target=donate) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert running.wait(timeout=PATIENCE_S)
    engine.close()
    for thread in threads:
        thread.join(timeout=PATIENCE_S)
        assert not thread.is_alive()
    assert unexpected == []
    with Engine.sqlite(tmp_path / "book.db", provider=play) as again:
        assert {pledge.id for pledge in again.pledges(campaign.id)} == set(done)


def test_close_does_not_wait_for_a_long_wait(memory, play):
    campaign = memory.create_campaign("Clean water", "EUR")
    pledge = memory.create_pledge(campaign.id, AMOUNT)
    ended = threading.Event()

    def wait():
        with pytest.raises(InvalidError):
            memory.wait_payment(pledge.payment_id, timeout=600)
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    memory.close()
    assert ended.wait(timeout=PATIENCE_S)
    thread.join()


def test_an_engine_nobody_closed_is_closed_when_forgotten(tmp_path):
    engine = Engine.sqlite(tmp_path / "book.db", provider=PlayProvider())
    engine.create_campaign("Clean water", "EUR", key="k")
    del engine
    gc.collect()
    with Engine.sqlite(tmp_path / "book.db", provider=PlayProvider()) as again:
        assert again.create_campaign("Clean water", "EUR", key="k").replayed


def test_leaving_the_program_with_threads_in_calls_is_quiet(tmp_path):
    program = """
import sys, threading
from careforall import Engine, Money, PlayProvider
engine = Engine.sqlite(sys.argv[1], provider=PlayProvider())
campaign = engine.create_campaign("Clean water", "EUR")
subscription = engine.subscribe("reader")
running = threading.Event()
def donate():
    while True:
        engine.create_pledge(campaign.id, Money(2500, "EUR"))
        running.set()
for target in (donate, donate, lambda: list(subscription)):
    threading.Thread(target=target, daemon=True).start()
running.wait()
"""
    package = str(pathlib.Path(careforall.__file__).parents[1])
    for attempt in range(5):
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path / f"{attempt}.db")], timeout=PATIENCE_S,
                              capture_output=True, text=True, env={**os.environ, "PYTHONPATH": package})
        assert (done.returncode, done.stderr) == (0, "")


def test_durations_are_rounded_up():
    from careforall.times import span_to_ms, to_ms
    assert [to_ms(value) for value in (None, 0, -1, 0.0001, 1.5, float("inf"))] == [0, -1, -1, 1, 1500, 2**31 - 1]
    assert span_to_ms(timedelta(seconds=2)) == 2000 and span_to_ms(None) == 0


def test_a_tick_can_leave_commits_to_other_threads(engine, play, campaign):
    pledge = engine.create_pledge(campaign.id, AMOUNT, wait=Wait.COMMIT)
    stop = threading.Event()

    def commit():
        while not stop.is_set():
            engine.tick(Work.COMMANDS, budget=0.01)

    thread = threading.Thread(target=commit)
    thread.start()
    try:
        until = time.monotonic() + PATIENCE_S
        while engine.pledge(pledge.id).pending and time.monotonic() < until:
            engine.tick(Work.ALL | Work.NO_COMMIT, budget=0.01)
    finally:
        stop.set()
        thread.join()
    assert not engine.pledge(pledge.id).pending and play.books.intents == 1


@pytest.mark.parametrize("option", ["calls_in_flight", "circuit_rule", "circuit_open", "timeout"])
def test_options_that_are_out_of_range_are_named(option):
    with pytest.raises(InvalidError) as caught:
        Engine.memory(provider=PlayProvider(), **{option: 5000 if option == "calls_in_flight" else -7})
    assert caught.value.field.startswith(option)
