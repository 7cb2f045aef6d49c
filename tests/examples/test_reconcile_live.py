"""careforall-server reconcile --live: the books against what Stripe's stand-in lists, over real wires and through its faults."""

import json
import sqlite3
import time

import pytest

from conftest import eventually
from test_server_commands import run
from test_server_reversals import ask, donation, wait_totals
from test_server_stripe import KEY, SANDBOX, own_wire  # noqa: F401  (a fixture)

pytestmark = pytest.mark.skipif(not SANDBOX.exists(), reason="this build has no sandbox")

WINDOW = ("--from", "2020-01-01T00:00:00Z", "--until", "2999-01-01T00:00:00Z")   # what must be there: all of it
FAULTS = {"reset_before": "5%", "reset_after": "5%", "reset_middle": "5%", "reply_lost": "5%", "error_before": "5%",
          "error_after": "5%", "rate_limited": "5%", "unavailable": "5%", "seed": 11}


class Desk:
    """A server over a sandbox whose webhooks can be made to get lost."""

    def __init__(self, wire, database):
        self.wire, self.sandbox, self.database = wire, wire.sandbox, database
        self.key_file = wire.stripe_key

    def lose_webhooks(self):
        self.sandbox.pull("faults", webhook_lost="100%")

    def run(self, *more):
        return run("reconcile", "--live", "--database", self.database, "--stripe-base-url", self.sandbox.url,
                   "--stripe-key-file", str(self.key_file), *more)

    def report(self, *more):
        code, out, err = self.run("--json", *WINDOW, *more)
        assert err == "", err
        report = json.loads(out)
        assert (code == 0) == report["clean"], report
        return report

    def audit(self):
        code, out, err = run("audit", "--database", self.database)
        assert (code, err) == (0, ""), out

    def settled(self):
        book = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            return book.execute("SELECT count(*) FROM cfa_payment WHERE durable & 128").fetchone()[0]
        finally:
            book.close()


def made(own_wire, tmp_path, *flags):  # noqa: F811
    database = str(tmp_path / "book.db")
    return Desk(own_wire("--reconcile-every-hours", "0", *flags, database=database), database)


@pytest.fixture
def desk(own_wire, tmp_path):  # noqa: F811
    return made(own_wire, tmp_path)


def codes(report):
    return {(row["code"], row["kind"], row["field"]) for row in report["listed"]}


def wait_balance(desk, count):
    """Stripe books a charge a while after it was paid."""
    def booked():
        rows = ask(desk.wire, "GET", "/v1/balance_transactions?limit=100")["data"]
        return sum(row["type"] == "charge" for row in rows) == count

    eventually(booked, "balance transactions")


def unheard(desk):
    """A refund, a dispute with its fee and a payout of which no webhook ever comes, and a donation that was given up here
    and is paid there in the end: (its campaign, of the others)."""
    campaign_id, intent = donation(desk.wire)
    late_id = desk.wire.server.campaign()
    pledge = desk.wire.server.pledge(late_id)
    assert desk.wire.pay(desk.wire.server.pledge(campaign_id))[0] == 303
    desk.wire.server.wait_raised(campaign_id, 5000)
    disputed = ask(desk.wire, "GET", "/v1/payment_intents?limit=1")["data"][0]
    desk.lose_webhooks()
    ask(desk.wire, "POST", "/v1/refunds", payment_intent=intent["id"], amount=1000)
    desk.sandbox.pull("disputes", charge=disputed["latest_charge"], open="dispute")
    assert desk.wire.pay(pledge)[0] == 303
    wait_balance(desk, 3)
    assert len(desk.sandbox.pull("payouts", all=True)["payouts"]) == 1
    return campaign_id, late_id


def test_books_that_agree_are_clean_beside_the_running_server(desk):
    donation(desk.wire)
    wait_balance(desk, 1)
    assert {row[2] for row in codes(desk.report())} == {"fee_minor"}   # which no webhook says
    code, out, err = desk.run("--repair", *WINDOW)
    assert (code, err) == (0, "") and out.startswith("repaired: 1\nreconcile: clean; "), out
    assert desk.report()["read"]["payment"] > 0
    desk.audit()


def test_what_no_webhook_told_is_found_and_repaired_by_the_live_run_alone(desk):
    campaign_id, late_id = unheard(desk)
    report = desk.report()
    assert {("missing_here", "refund", None), ("missing_here", "dispute", None)} <= codes(report), report
    assert ("state_behind", "payment", "state") in codes(report) and report["repairable"] > 0, report
    code, out, err = desk.run("--repair", *WINDOW)
    assert (code, err) == (0, "") and out.startswith("repaired: ") and "reconcile: clean" in out, out
    wait_totals(desk.wire, campaign_id, raised_minor=5000, refunded_minor=1000, disputed_minor=2500, net_minor=1500)
    desk.wire.server.wait_raised(late_id, 2500)
    assert desk.settled() == 3
    code, out, _ = desk.run("--repair", *WINDOW)
    assert code == 0 and out.startswith("reconcile: clean"), out   # nothing was left to be told
    desk.audit()


def test_no_difference_is_invented_while_the_provider_fails_in_every_way(desk):
    campaign_id, _ = unheard(desk)
    desk.sandbox.pull("faults", **FAULTS)
    assert desk.report("--repair")["clean"]
    report = desk.report()
    assert report["clean"] and report["read"]["payment"] > 0, report
    desk.sandbox.pull("faults", clear=True)
    wait_totals(desk.wire, campaign_id, refunded_minor=1000, disputed_minor=2500)
    desk.audit()


def test_a_provider_that_is_out_is_an_error_and_never_a_clean_book(desk):
    donation(desk.wire)
    desk.sandbox.pull("faults", outage=True)
    code, out, err = desk.run(*WINDOW)
    assert (code, out) == (2, "") and "could not be listed" in err and err.count("\n") == 1, err
    desk.sandbox.pull("faults", clear=True)
    desk.key_file = desk.wire.folder / "other-key"
    desk.key_file.write_text("sk_test_of_somebody_else\n")
    desk.key_file.chmod(0o600)
    code, out, err = desk.run(*WINDOW)
    assert (code, out) == (2, "") and "refuses to list" in err and "sk_test" not in err, err


def test_what_only_looks_paid_out_is_not_settled(desk):
    donation(desk.wire)
    wait_balance(desk, 1)
    desk.lose_webhooks()
    assert len(desk.sandbox.pull("payouts", all=True, manual=True)["payouts"]) == 1   # nobody knows what is in it
    assert desk.report("--repair")["clean"] and desk.settled() == 0
    assert desk.sandbox.pull("payouts", all=True)["payouts"] == []   # it took all there was


def test_a_payout_settles_when_it_arrives(desk):
    donation(desk.wire)
    wait_balance(desk, 1)
    desk.lose_webhooks()
    [payout] = desk.sandbox.pull("payouts", all=True, travels=True)["payouts"]
    assert desk.report("--repair")["clean"] and desk.settled() == 0
    desk.sandbox.pull("payouts", payout=payout)
    assert desk.report("--repair")["clean"] and desk.settled() == 1
    desk.audit()


def again(desk, *flags, after_s=0):
    """The same book, served by a process that reconciles."""
    assert desk.wire.server.stop() == 0
    desk.wire.flags = [flag for flag in desk.wire.flags if flag not in ("--reconcile-every-hours", "0")]
    desk.wire.flags += ["--reconcile-after-s", str(after_s), "--reconcile-settle-minutes", "0", *flags]
    desk.wire.start()


def test_the_serving_process_reconciles_by_itself(desk):
    campaign_id, late_id = unheard(desk)
    again(desk)
    eventually(lambda: '"job_finished"' in desk.wire.server.log(), "a reconciliation")
    [line] = [json.loads(line) for line in desk.wire.server.log().splitlines() if '"job_finished"' in line]
    assert (line["level"], line["differences"]) == ("info", 0) and line["repaired"] >= 3, line
    wait_totals(desk.wire, campaign_id, refunded_minor=1000, disputed_minor=2500)
    desk.wire.server.wait_raised(late_id, 2500)
    desk.audit()


def test_a_shutdown_does_not_wait_for_a_provider_that_does_not_answer(desk):
    donation(desk.wire)
    again(desk, "--drain-ms", "500", after_s=1)
    desk.sandbox.pull("faults", delay_ms=20000)
    eventually(lambda: '"job_begun"' in desk.wire.server.log(), "a reconciliation that begins")
    began = time.monotonic()
    assert desk.wire.server.stop() == 0
    assert time.monotonic() - began < 10, "it waited for a page"
    desk.sandbox.pull("faults", clear=True)
    desk.audit()
    desk.wire.start()   # the fixture's end stops it


def test_flags_that_make_no_sense_are_one_line(desk, tmp_path):
    for more, what in (((), "stripe"), (("--live", "file.json"), "not both"), (("--live", "--from", "soon"), "--from")):
        code, out, err = run("reconcile", "--database", desk.database, *more)
        assert (code, out) == (2, "") and err.count("\n") == 1, err
    code, out, err = run("reconcile", "--live", "--database", str(tmp_path / "none.db"), "--stripe-key-file", str(desk.wire.stripe_key))
    assert (code, out) == (2, "") and "no book" in err and not (tmp_path / "none.db").exists(), err
    assert KEY not in err
