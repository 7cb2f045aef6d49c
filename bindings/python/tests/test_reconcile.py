"""The books against the provider's own record: any iterable, Stripe's exported file, and the provider itself."""

import _thread
import http.server
import signal
import sqlite3
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest
from conftest import PATIENCE_S
from test_engine import AMOUNT, paid

from careforall import (CareForAllError, DisputeFacts, DisputeState, Engine, Fact, Facts, InvalidError, Money,
                        Outcome, PaymentFlag, PaymentState, PlayProvider, ReconcileKind, ReconcileObject,
                        ReconcileRow, Record, RefundFacts, RefundState, Reply, Wait, audit_file, file_schema,
                        reconcile_file)


def told(payment, **changes):
    """What the provider has of a payment that was paid in full."""
    facts = {"ref": payment.ref, "payment_id": payment.id, "amount": payment.amount, "flags": Fact.SUCCEEDED,
             "authorized_minor": payment.amount.minor, "captured_minor": payment.amount.minor, "attempt": 1}
    return ReconcileObject(ReconcileKind.PAYMENT, Facts(**{**facts, **changes}), livemode=False, whole=True)


def window(payment):
    return {"since": payment.created - timedelta(hours=1), "until": payment.created + timedelta(hours=1)}


def test_equal_books_have_no_differences(engine, play, campaign):
    payments = [paid(engine, play, campaign) for _ in range(3)]
    report = engine.reconcile((told(payment) for payment in payments), **window(payments[0]))
    assert (report.differences, report.objects, report.foreign, report.repairable) == (0, 3, 0, 0)
    assert report.listed == () and set(report.counts.values()) == {0}
    assert (report.provider, report.account, report.livemode) == ("play", "", False)
    assert report.json()["clean"] is True and report.text


def test_what_is_only_counted_is_told_apart(engine):
    nobodys = ReconcileObject(ReconcileKind.PAYMENT, Facts(ref="pi_of_somebody_else", amount=AMOUNT))
    other = ReconcileObject(ReconcileKind.OTHER, Facts(ref="po_1", amount=AMOUNT))
    unnamed = ReconcileObject(ReconcileKind.UNNAMED, Facts(amount=AMOUNT))
    report = engine.reconcile([nobodys, other, other, unnamed, unnamed, unnamed])
    assert (report.objects, report.foreign, report.other, report.unnamed) == (6, 1, 2, 3)


def test_a_time_that_ends_before_it_begins_has_the_callers_name(engine, tmp_path):
    now = datetime.now(timezone.utc)
    path = tmp_path / "book.db"
    Engine.sqlite(path).close()
    for call in (lambda: engine.reconcile([], since=now), lambda: reconcile_file(path, [], since=now),
                 lambda: engine.reconcile_live(now, now - timedelta(days=1))):
        with pytest.raises(InvalidError) as caught:
            call()
        assert (caught.value.name, caught.value.field) == ("CFA_EINVAL", "until") and "(until)" in str(caught.value)


def test_every_kind_of_difference_is_told(engine, play, campaign):
    known, lost, dear, behind = (paid(engine, play, campaign) for _ in range(4))
    unpaid = engine.create_pledge(campaign.id, AMOUNT)
    unpaid = engine.payment(unpaid.payment_id)
    report = engine.reconcile([
        told(known), told(dear, amount=Money(AMOUNT.minor + 1, "EUR")), told(unpaid),
        told(behind, refunds=[RefundFacts("re_1", Money(100, "EUR"), RefundState.SUCCEEDED)]),
        ReconcileObject(ReconcileKind.PAYMENT, Facts(ref="pi_of_somebody_else", amount=AMOUNT)),
    ], all_ours=True, **window(known))
    assert report.differences == sum(report.counts.values()) == len(report.listed)
    assert {(one.code, one.payment_id) for one in report.listed} >= {
        ("missing_there", lost.id), ("amount_differs", dear.id), ("state_behind", unpaid.id), ("missing_here", None)}
    one, = (one for one in report.listed if one.code == "missing_here" and one.kind == "payment")
    assert (one.ref, one.id, one.repairable) == ("pi_of_somebody_else", None, False)
    assert lost.id in report.text and report.json()["differences"] == report.differences


def test_an_audit_compares_with_the_record_in_its_snapshot(engine, play, campaign):
    known, lost, dear = (paid(engine, play, campaign) for _ in range(3))
    with Record([told(known), told(dear, amount=Money(AMOUNT.minor + 1, "EUR"))]) as record:
        audit = engine.audit(record=record, **window(known))
        found = {(one["check"], one["payment_id"]) for one in audit.json()["findings"]}
        assert found == {("provider.missing_there", lost.id), ("provider.amount_differs", dear.id)}
        assert audit.differences == 2 == audit.json()["record"]["differences"] and "record: 2 differences" in audit.text
        with pytest.raises(InvalidError) as caught:
            engine.audit(campaign.id, record=record)
        assert caught.value.field == "campaign_id"
    assert engine.audit(record=[told(known)]).differences == 0   # nothing must be in it
    with pytest.raises(InvalidError) as caught:
        engine.audit(record=[], since=known.created)
    assert caught.value.field == "until"
    with pytest.raises(InvalidError) as caught:
        engine.audit(since=known.created)
    assert caught.value.field == "record"


def test_a_repair_tells_what_the_provider_says(engine, play, campaign):
    pledge = engine.create_pledge(campaign.id, AMOUNT)
    payment = engine.payment(pledge.payment_id)
    with Record([told(payment, disputes=[DisputeFacts("dp_1", AMOUNT, DisputeState.OPEN, AMOUNT.minor,
                                                      fee=Money(1500, "EUR"), reason="fraudulent")])]) as record:
        assert len(record) == 1
        assert engine.reconcile(record).repairable > 0
        assert engine.payment(payment.id).state == PaymentState.PENDING
        assert engine.repair(record) == 1
        assert engine.reconcile(record).differences == 0
        assert engine.repair(record) == 0
    assert engine.payment(payment.id).state == PaymentState.COMPLETED
    dispute, = engine.disputes(payment.id)
    assert (dispute.ref, dispute.reason, dispute.fee) == ("dp_1", "fraudulent", Money(1500, "EUR"))
    assert engine.audit().differences == 0


def test_rows_of_reports_are_compared_and_never_told(engine, campaign):
    payment = engine.payment(engine.create_pledge(campaign.id, AMOUNT).payment_id)
    whole = told(payment)
    row = ReconcileObject(whole.kind, whole.facts, row=ReconcileRow.REPORT, line=7)
    report = engine.reconcile([row])
    assert report.counts["state_behind"] > 0 and report.repairable == 0
    assert {one.line for one in report.listed} == {7}
    assert engine.repair([row]) == 0


def test_what_the_book_learnt_after_the_record_is_no_difference(engine, play, campaign):
    payment = paid(engine, play, campaign)
    before = Facts(ref=payment.ref, payment_id=payment.id, amount=payment.amount)
    old = ReconcileObject(ReconcileKind.PAYMENT, before, whole=True)
    assert engine.reconcile([old]).counts["state_ahead"] > 0
    stamped = ReconcileObject(ReconcileKind.PAYMENT, before, whole=True, as_of=payment.created)
    assert engine.reconcile([stamped]).differences == 0


def test_a_source_that_fails_ends_with_its_own_exception(memory):
    def broken():
        yield ReconcileObject(ReconcileKind.OTHER, Facts())
        raise OSError("the page could not be had")

    with pytest.raises(OSError, match="could not be had"):
        memory.reconcile(broken())
    with pytest.raises(OSError):
        memory.repair(broken())


def test_what_is_no_object_is_named(memory):
    with pytest.raises(TypeError, match="ReconcileObject, not str"):
        memory.reconcile(["pi_1"])
    with pytest.raises(TypeError, match="time zone"):
        memory.reconcile([], since=datetime(2026, 1, 1), until=datetime(2026, 2, 1))


def test_a_record_of_the_other_mode_is_refused(memory):
    with pytest.raises(CareForAllError) as caught:
        memory.reconcile([ReconcileObject(ReconcileKind.PAYMENT, Facts(ref="pi_1"), livemode=True)])
    assert caught.value.name == "CFA_EMODE"
    assert memory.reconcile([]).differences == 0


def test_a_record_keeps_what_it_was_given(memory):
    with Record() as record:
        for text in ("a", "", "ö" * 1000, None):
            record.add(ReconcileObject(ReconcileKind.OTHER, Facts(ref=text)))
        with pytest.raises(CareForAllError) as caught:
            record.add(ReconcileObject(ReconcileKind.OTHER, Facts(ref="x" * 65536)))
        assert caught.value.name == "CFA_ETOOLONG"
        assert len(record) == 4 == memory.reconcile(record).objects
        record.add(ReconcileObject(ReconcileKind.OTHER, Facts(ref="after it was read")))
        assert memory.reconcile(record).objects == 5
    with pytest.raises(CareForAllError) as caught:
        memory.reconcile(record)
    assert caught.value.name == "CFA_EMISUSE"
    with pytest.raises(CareForAllError):
        record.add(ReconcileObject(ReconcileKind.OTHER, Facts()))
    record.close()


def test_threads_share_a_record(memory):
    with Record(ReconcileObject(ReconcileKind.OTHER, Facts(ref=f"x_{i}")) for i in range(500)) as record:
        found = []
        threads = [threading.Thread(target=lambda: found.append(memory.reconcile(record).objects)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [500] * 4


def test_a_file_is_reconciled_and_audited_read_only(play, tmp_path):
    path = tmp_path / "book.db"
    with Engine.sqlite(path, provider=play) as engine:
        payment = paid(engine, play, engine.create_campaign("Well", "EUR"))
        assert reconcile_file(path, [told(payment)]).differences == 0    # beside the engine
        assert audit_file(path).differences == 0
        assert audit_file(path, record=[told(payment)], **window(payment)).differences == 0
        assert audit_file(path, record=[], all_ours=True, **window(payment)).differences == 0   # none of that kind
    before = path.read_bytes()
    found, known = file_schema(path)
    assert found == known > 0
    assert reconcile_file(path, [], **window(payment)).counts["missing_there"] == 0   # of a kind that it does not have
    other = ReconcileObject(ReconcileKind.PAYMENT, Facts(ref="pi_other", amount=AMOUNT))
    assert reconcile_file(path, [other], **window(payment)).counts["missing_there"] == 1
    assert path.read_bytes() == before
    with sqlite3.connect(path) as rows:
        rows.execute("UPDATE cfa_payment SET captured_minor = captured_minor + 1")
    rows.close()
    assert audit_file(path).differences > 0
    for missing in (tmp_path / "none.db", ""):
        with pytest.raises(CareForAllError):
            reconcile_file(missing, [])
        with pytest.raises(CareForAllError):
            audit_file(missing)
        with pytest.raises(CareForAllError):
            file_schema(missing)
    assert not (tmp_path / "none.db").exists()


def test_what_was_compared_is_recorded_once(engine, play, campaign):
    payment = paid(engine, play, campaign)
    report = engine.reconcile([told(payment)], **window(payment))
    for _ in range(2):
        engine.record_reconciliation(report, actor="ann", reason="month end")
    act, = (act for act in engine.acts() if act.action == "book.reconcile")
    assert (act.actor, act.reason) == ("ann", "month end")
    with Engine.memory(provider=PlayProvider()) as other, pytest.raises(InvalidError):
        other.record_reconciliation(report)


def test_the_provider_itself_is_asked(engine, play, campaign):
    since = datetime.now(timezone.utc) - timedelta(hours=1)
    until = datetime.now(timezone.utc) + timedelta(hours=1)
    payment = paid(engine, play, campaign)
    ref = play.refund(payment.ref, amount_minor=100)
    while play.take_webhook():
        pass   # lost
    assert engine.refunds(payment.id) == []
    report = engine.reconcile_live(since, until)
    assert report.counts["missing_here"] + report.counts["state_behind"] > 0 and report.repaired == 0
    mended = engine.reconcile_live(since, until, repair=True, actor="ann")
    assert (engine.acts()[-1].action, engine.acts()[-1].actor) == ("book.reconcile", "ann")
    assert mended.differences == 0 and mended.repaired > 0
    assert [refund.ref for refund in engine.refunds(payment.id)] == [ref]


def test_a_payout_is_found_by_asking(engine, play, campaign):
    payment = paid(engine, play, campaign)
    assert play.payout() == 1
    now = datetime.now(timezone.utc)
    engine.reconcile_live(now - timedelta(hours=1), now + timedelta(hours=1), repair=True)
    assert PaymentFlag.SETTLED in engine.payment(payment.id).flags


def test_a_provider_that_lists_nothing_is_not_asked():
    class Silent:
        name = "silent"

        def call(self, request):
            raise AssertionError

    with Engine.memory(provider=Silent()) as engine, pytest.raises(CareForAllError) as caught:
        engine.reconcile_live(datetime.now(timezone.utc) - timedelta(days=1))
    assert caught.value.name == "CFA_ENOTSUP"


@pytest.fixture
def out_of_order():
    """A provider's address that answers 503, and how often it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def engine_at(address):
    """An engine whose live reconciliation would go on for half a minute."""
    stripe = pytest.importorskip("careforall.stripe")
    return Engine.memory(provider=stripe.StripeProvider(
        secret_key="sk_test_of_these_tests", webhook_secrets=["whsec_of_these_tests"], base_url=address))


def when(asked, act):
    """Act in a thread, once the provider was asked."""
    def work():
        deadline = time.monotonic() + PATIENCE_S
        while not asked and time.monotonic() < deadline:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_close_ends_a_live_reconciliation(out_of_order):
    address, asked = out_of_order
    engine = engine_at(address)
    closing = when(asked, engine.close)
    with pytest.raises(CareForAllError) as caught:
        engine.reconcile_live(datetime.now(timezone.utc) - timedelta(days=1))
    closing.join()
    assert caught.value.name == "CFA_ECLOSING" and engine.closed


@pytest.mark.parametrize("how", ["a signal", "one that interrupts no wait"])
def test_ctrl_c_ends_a_live_reconciliation(ctrl_c, out_of_order, how):
    address, asked = out_of_order
    with engine_at(address) as engine:
        began = time.monotonic()
        here = threading.get_ident()
        pressing = when(asked, _thread.interrupt_main if how != "a signal" else
                        lambda: signal.pthread_kill(here, signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            engine.reconcile_live(datetime.now(timezone.utc) - timedelta(days=1))
        pressing.join()
        assert time.monotonic() - began < 10


STRIPE_PAYMENT = """{"id": "%s","object": "payment_intent", "amount": %d, "amount_capturable": 0, "amount_received": %d,
 "currency": "eur", "created": %d, "livemode": false, "status": "succeeded", "metadata": {"payment_id": "%s"}}
"""


class LikeStripe:
    """A book of Stripe's without a network."""

    name = "stripe"

    def call(self, request):
        return Reply(Outcome.DONE, Facts(ref="pi_of_this_book", payment_id=request.payment_id, amount=request.amount))


def test_an_exported_file_of_stripe_is_a_source(tmp_path):
    stripe = pytest.importorskip("careforall.stripe")
    path = tmp_path / "export.json"
    with Engine.memory(provider=LikeStripe()) as engine:
        campaign = engine.create_campaign("Well", "EUR")
        pledge = engine.create_pledge(campaign.id, AMOUNT, wait=Wait.COMMIT)
        while not engine.payment(pledge.payment_id).ref:
            engine.serve_provider(budget=0.05)
        payment = engine.payment(pledge.payment_id)
        path.write_text(STRIPE_PAYMENT % (payment.ref, AMOUNT.minor, AMOUNT.minor, int(time.time()), payment.id))
        export = stripe.StripeExport(path)
        report = engine.reconcile(export)
        assert report.objects == 1 and report.counts["state_behind"] > 0 and report.listed[0].line == 1
        audit = engine.audit(record=export)
        assert audit.differences == 1 and audit.json()["findings"][0]["check"] == "provider.state_behind"
        path.write_text("{ nonsense")
        with pytest.raises(CareForAllError) as caught:
            engine.reconcile(export)
        assert caught.value.message.startswith("line 1:")
        with pytest.raises(CareForAllError):
            engine.reconcile(stripe.StripeExport(tmp_path / "none.json"))


def test_a_record_of_another_provider_is_refused(engine, play, campaign, tmp_path):
    stripe = pytest.importorskip("careforall.stripe")
    path = tmp_path / "export.json"
    payment = paid(engine, play, campaign)
    path.write_text(STRIPE_PAYMENT % (payment.ref, AMOUNT.minor, AMOUNT.minor, int(time.time()), payment.id))
    for call in (engine.reconcile, engine.repair, lambda export: engine.audit(record=export)):
        with pytest.raises(CareForAllError) as caught:
            call(stripe.StripeExport(path))
        assert (caught.value.name, caught.value.field) == ("CFA_EMODE", "provider")
