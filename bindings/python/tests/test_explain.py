"""A book that explains itself: audit, explain, doctor."""

import contextlib
import signal
import sqlite3
import threading
import time

import pytest
from conftest import PATIENCE_S
from test_engine import AMOUNT, paid

from careforall import (CareForAllError, Engine, InvalidError, PaymentFlag, PermanentError, PlayFault, Record, Wait,
                        Work, audit_file, native)
from careforall.reconcile import Stop


def test_clean_books_have_no_differences(engine, play, campaign):
    payment = paid(engine, play, campaign)
    engine.create_refund(payment.id)
    engine.tick()
    for audit in (engine.audit(), engine.audit(campaign.id)):
        assert audit.differences == 0 and audit.position >= payment.position
        assert isinstance(audit.json(), dict) and audit.text
    with pytest.raises(PermanentError) as caught:
        engine.audit("cmp_01arz3ndektsv4rrffq69g5fav")
    assert caught.value.name == "CFA_ENOTFOUND"


@pytest.fixture
def before_audits(monkeypatch):
    """Let something happen when an audit is about to read: it goes on when it was told to stop. How audits ended."""
    def install(act):
        told, ends, set_stop = threading.Event(), [], Stop.set

        def told_and_set(stop):
            set_stop(stop)
            told.set()

        def waiting(audit):
            def wrapped(*arguments):
                act()
                assert told.wait(PATIENCE_S)
                try:
                    made = audit(*arguments)
                except CareForAllError as error:
                    ends.append(error.name)
                    raise
                ends.append("complete")
                return made
            return wrapped

        monkeypatch.setattr(Stop, "set", told_and_set)
        monkeypatch.setattr(native, "audit_engine", waiting(native.audit_engine))
        monkeypatch.setattr(native, "audit_file", waiting(native.audit_file))
        return ends

    return install


def test_close_ends_an_audit(before_audits):
    engine = Engine.memory()
    closing = threading.Thread(target=engine.close)
    ends = before_audits(closing.start)
    with pytest.raises(CareForAllError) as caught:
        engine.audit()
    closing.join()
    assert caught.value.name == "CFA_ECLOSING" and ends == ["CFA_ECLOSING"] and engine.closed


@pytest.mark.parametrize("of", ["engine", "file"])
def test_ctrl_c_ends_an_audit(ctrl_c, before_audits, tmp_path, of):
    path, here = tmp_path / "book.db", threading.get_ident()
    with Engine.sqlite(path) as engine:
        ends = before_audits(lambda: signal.pthread_kill(here, signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            engine.audit() if of == "engine" else audit_file(path)
        deadline = time.monotonic() + PATIENCE_S
        while not ends and time.monotonic() < deadline:
            time.sleep(0.01)
        assert ends == ["CFA_ECLOSING"]


@pytest.mark.parametrize("of", ["engine", "file"])
@pytest.mark.parametrize("kept", [True, False])
def test_a_record_is_lent_until_the_audit_that_reads_it_has_ended(ctrl_c, before_audits, monkeypatch, tmp_path, of, kept):
    path, here, freed, over, seen = tmp_path / "book.db", threading.get_ident(), threading.Event(), threading.Event(), []
    free = native.record_free
    monkeypatch.setattr(native, "record_free", lambda handle: (freed.set(), free(handle)))
    ends = before_audits(lambda: signal.pthread_kill(here, signal.SIGINT))
    with Engine.sqlite(path) as engine:
        for name in ("audit_engine", "audit_file"):
            def watched(*arguments, audit=getattr(native, name)):
                try:
                    return audit(*arguments)
                finally:
                    seen.append(freed.wait(0.3))   # whoever forgot the audit has had time to give it back
                    over.set()
            monkeypatch.setattr(native, name, watched)
        with pytest.raises(KeyboardInterrupt), contextlib.ExitStack() as stack:
            record = stack.enter_context(Record()) if kept else []
            engine.audit(record=record) if of == "engine" else audit_file(path, record=record)
        assert over.wait(PATIENCE_S) and seen == [False] and ends == ["CFA_ECLOSING"]
        assert freed.is_set() or not kept   # what was made of an iterable is the garbage collector's


def test_a_changed_number_is_a_difference(play, tmp_path):
    path = tmp_path / "book.db"
    with Engine.sqlite(path, provider=play) as engine:
        payment = paid(engine, play, engine.create_campaign("Well", "EUR"))
    with sqlite3.connect(path) as rows:
        assert rows.execute("UPDATE cfa_payment SET captured_minor = captured_minor + 1").rowcount == 1
    rows.close()
    with Engine.sqlite(path, provider=play) as engine:
        audit = engine.audit()
        assert audit.differences > 0 and payment.id in audit.data and payment.id in audit.text


def test_a_story_is_told_by_any_of_its_ids(engine, play, campaign):
    payment = paid(engine, play, campaign, donor_email="ada@example.org")
    refund = engine.create_refund(payment.id)
    for id_ in (payment.id, payment.pledge_id, payment.ref, refund.id):
        story = engine.explain(id_)
        assert story.payment_id == payment.id and story.json()["asked"] == id_
        assert story.json()["amount"] == {"minor": AMOUNT.minor, "currency": AMOUNT.currency}
        assert refund.id in story.text and story.html.startswith("<!")
        assert "ada@example.org" not in story.data + story.text + story.html
    with pytest.raises(InvalidError):
        engine.explain("")


def test_the_doctor_finds_what_waits_and_does_what_is_safe(engine, play, campaign):
    assert engine.doctor().findings == ()
    play.fault_next(PlayFault.REPLY_LOST)
    pledge = engine.create_pledge(campaign.id, AMOUNT, wait=Wait.COMMIT)
    while PaymentFlag.UNKNOWN not in engine.payment(pledge.payment_id).flags:
        engine.tick(Work.CALLS, budget=0)   # one call, and not the next one, which would find out
    checkup = engine.doctor(deep=True)
    finding, = (one for one in checkup.findings if one.code == "operation_in_doubt")
    assert (finding.count, finding.severity, finding.safe) == (1, "warning", True)
    assert pledge.payment_id in finding.ids[0] and finding.text and finding.action
    assert checkup.json()["count"] == len(checkup.findings) and finding.code in checkup.text and checkup.html
    with pytest.raises(InvalidError) as caught:
        engine.doctor_do("no_such_code")
    assert caught.value.name == "CFA_EINVAL"
    assert engine.doctor_do("operation_in_doubt", actor="ann", reason="asked again") == 1
    assert engine.doctor_do("dead_letters") == 0
