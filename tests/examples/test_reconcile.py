"""careforall-server reconcile: the books against what Stripe's stand-in says of itself, as a file; no network, no key."""

import json
import re
import sqlite3
import time

import pytest

from test_server_commands import run
from test_server_reversals import ask, donation, wait_totals
from test_server_stripe import SANDBOX, own_wire  # noqa: F401  (a fixture)

pytestmark = pytest.mark.skipif(not SANDBOX.exists(), reason="this build has no sandbox")

LISTS = ("payment_intents", "charges", "refunds", "disputes")
WINDOW = ("--from", "2020-01-01T00:00:00Z", "--until", "2999-01-01T00:00:00Z")


class Desk:
    """A paid donation, half of it given back, and a bank that wants it: the server knows all of it and stops."""

    def __init__(self, wire, folder):
        self.wire, self.folder = wire, folder
        self.database = str(folder / "book.db")
        self.campaign_id, self.intent = donation(wire)
        ask(wire, "POST", "/v1/refunds", payment_intent=self.intent["id"], amount=1000)
        wait_totals(wire, self.campaign_id, refunded_minor=1000)
        assert wire.server.stop() == 0

    def refund(self, minor):
        return ask(self.wire, "POST", "/v1/refunds", payment_intent=self.intent["id"], amount=minor)

    def export(self, *names, change=lambda text: text):
        path = self.folder / "export.json"
        texts = [change(self.wire.sandbox.call("GET", f"/v1/{name}?limit=100")[2]) for name in names or LISTS]
        path.write_text("\n".join(texts))
        return str(path)

    def reconcile(self, path, *more):
        return run("reconcile", path, "--database", self.database, *more)

    def report(self, path, *more):
        code, out, err = self.reconcile(path, "--json", *more)
        assert err == "", err
        report = json.loads(out)
        assert (code == 0) == report["clean"], report
        return report

    def audit(self, *more):
        code, out, err = run("audit", *more, "--database", self.database)
        assert (code, err) == (0, ""), out
        return out


@pytest.fixture
def desk(own_wire, tmp_path):  # noqa: F811
    made = Desk(own_wire(database=str(tmp_path / "book.db")), tmp_path)
    yield made
    made.wire.start()   # the fixture's end stops it


def codes(report):
    return {(row["code"], row["kind"], row["field"]) for row in report["listed"]}


def test_clean_books_agree_and_exit_with_0(desk):
    path = desk.export()
    code, out, err = desk.reconcile(path, *WINDOW)
    assert (code, err) == (0, "") and out.startswith("reconcile: clean; "), out
    assert desk.report(path)["read"]["payment"] > 0


def test_a_lost_refund_is_found_repaired_once_and_the_audit_stays_clean(desk):
    refund = desk.refund(500)
    path = desk.export()
    report = desk.report(path, *WINDOW)
    assert ("missing_here", "refund", None) in codes(report), report
    assert refund["id"] in {row["ref"] for row in report["listed"]} and report["repairable"] >= 1
    code, out, err = desk.reconcile(path, "--repair", *WINDOW)
    assert (code, err) == (0, "") and out.startswith("repaired: 1\nreconcile: clean"), out
    code, out, _ = desk.reconcile(path, "--repair", *WINDOW)
    assert code == 0 and out.startswith("reconcile: clean"), out   # nothing was left to be told
    desk.audit()
    desk.wire.start()
    wait_totals(desk.wire, desk.campaign_id, refunded_minor=1500, net_minor=1000)
    assert desk.wire.server.stop() == 0


def test_a_donation_that_was_paid_while_nobody_listened_is_repaired_from_its_page(own_wire, tmp_path):  # noqa: F811
    desk = Desk(own_wire(database=str(tmp_path / "book.db")), tmp_path)
    desk.wire.start()
    pledge = desk.wire.server.pledge(desk.campaign_id)
    assert desk.wire.server.stop() == 0
    assert desk.wire.pay(pledge)[0] == 303
    path = desk.export("checkout/sessions", "payment_intents")
    report = desk.report(path)
    assert ("state_behind", "payment", "state") in codes(report), report
    code, out, err = desk.reconcile(path, "--repair", *WINDOW)
    assert (code, err) == (0, "") and "reconcile: clean" in out, out
    assert desk.reconcile(path, "--repair")[1].startswith("reconcile: clean")
    desk.audit()
    desk.wire.start()
    desk.wire.server.wait_raised(desk.campaign_id, 5000)


def test_what_the_file_lacks_is_missing_there(desk):
    def strange(text):
        return re.sub(r'"payment_id":"pay_\w+"', '"payment_id":null', text.replace(desk.intent["id"], "pi_of_somebody_else"))

    path = desk.export("payment_intents", change=strange)
    report = desk.report(path, *WINDOW)
    assert codes(report) == {("missing_there", "payment", None)} and report["foreign"] == 1, report
    report = desk.report(path, *WINDOW, "--all-ours")
    assert codes(report) == {("missing_there", "payment", None), ("missing_here", "payment", None)}, report
    assert desk.report(path)["clean"]   # without a window nothing must be there
    path = desk.export("payment_intents", change=lambda text: text.replace(desk.intent["id"], "pi_of_somebody_else"))
    report = desk.report(path, *WINDOW, "--repair")   # it names our payment, which is another object's
    assert codes(report) == {("missing_here", "payment", "ref")} and report["repairable"] == 0, report


def test_another_amount_or_currency_is_named_and_never_repaired(desk):
    for old, new, field in (('"amount":2500', '"amount":2600', "amount_minor"), ('"currency":"eur"', '"currency":"usd"', "currency")):
        path = desk.export("payment_intents", change=lambda text, old=old, new=new: text.replace(old, new))
        report = desk.report(path, "--repair")
        assert ("amount_differs", "payment", field) in codes(report) and report["repairable"] == 0, report
    desk.audit()


def test_a_record_that_says_less_finds_the_book_ahead(desk):
    path = desk.export("refunds", change=lambda text: text.replace('"status":"succeeded"', '"status":"pending"'))
    report = desk.report(path)
    assert codes(report) == {("state_ahead", "refund", "state")}, report


def test_an_audit_compares_the_book_with_the_file_in_its_own_snapshot(desk):
    path = desk.export()
    out = desk.audit(path, *WINDOW)
    assert out.startswith("audit: clean; ") and "\nrecord: clean; " in out and "each payment of 2020-01-01" in out
    desk.refund(500)
    path = desk.export()
    code, out, err = run("audit", path, "--database", desk.database, "--json", *WINDOW)
    report = json.loads(out)
    assert (code, err) == (1, "") and report["differences"] == report["record"]["differences"] > 0
    assert {finding["check"] for finding in report["findings"]} == {
        f"provider.{row['code']}" for row in report["record"]["listed"]}
    finding = report["findings"][0]
    assert finding["check"] == "provider.missing_here" and finding["campaign_id"] == desk.campaign_id
    assert re.search(r"^re_\w+ \(line \d+\)$", finding["subject"]) and finding["causes"], finding
    assert desk.reconcile(path, "--repair")[0] == 0
    desk.audit(path, *WINDOW)


def test_an_audit_without_or_with_a_wrong_file_exits_with_2(desk, tmp_path):
    def refused(*words):
        code, out, err = run("audit", *words, "--database", desk.database)
        assert (code, out) == (2, "") and err.count("\n") == 1, (code, out, err)
        return err

    assert "--from, --until and --all-ours are of the provider's file: give one" in refused(*WINDOW)
    assert "--from and --until belong together" in refused(desk.export(), "--from", "2020-01-01T00:00:00Z")
    assert "is of a whole book" in refused(desk.export(), "--campaign", desk.campaign_id)
    bad = tmp_path / "bad.json"
    bad.write_text('{\n"object": "list",\n]')
    assert "line 3" in refused(str(bad))
    assert "no-such-file" in refused(str(tmp_path / "no-such-file.json"))


def test_a_book_of_another_provider_is_refused(desk, start, tmp_path):
    path, other = desk.export(), str(tmp_path / "other.db")
    server = start("--database", other)
    assert server.get("/health").status == 200 and server.stop() == 0
    for command in ("reconcile", "audit"):
        code, out, err = run(command, path, "--database", other)
        assert (code, out) == (2, "") and 'of the provider "stripe", the book of "play"' in err, err


def test_a_bad_file_is_refused_with_its_line_before_anything_is_repaired(desk):
    desk.refund(500)
    path = desk.export()
    with open(path, "a", encoding="utf-8") as file:
        file.write('\n{"id":"re_1","object":"refund"')
    code, out, err = desk.reconcile(path, "--repair")
    assert (code, out) == (2, "") and "line " in err and "the file ends inside" in err and err.count("\n") == 1, err
    assert not desk.report(desk.export())["clean"]   # still


def test_the_payments_export_is_compared_and_never_repaired_from(desk):
    row = f"ch_1,2026-01-01 00:00:00,25.00,15.00,eur,true,Paid,Test,{desk.intent['id']}\n"
    path = desk.folder / "payments.csv"
    path.write_text("id,Created date (UTC),Amount,Amount Refunded,Currency,Captured,Status,Mode,PaymentIntent ID\n" + row)
    report = desk.report(str(path), "--repair")
    assert codes(report) == {("state_behind", "payment", "refunded_minor")} and report["repairable"] == 0, report
    assert (report["listed"][0]["expected"], report["listed"][0]["found"], report["listed"][0]["line"]) == ("1500", "1000", 2)


def test_a_record_of_the_other_mode_and_an_absent_book_exit_with_2(desk, tmp_path):
    path = desk.export("payment_intents", change=lambda text: text.replace('"livemode":false', '"livemode":true'))
    code, out, err = desk.reconcile(path)
    assert (code, out) == (2, "") and "live mode" in err, err
    code, out, err = run("reconcile", path, "--database", str(tmp_path / "absent.db"))
    assert (code, out) == (2, "") and err.count("\n") == 1, err
    code, out, err = desk.reconcile(path, "--from", "2020-01-01T00:00:00Z")
    assert (code, out) == (2, "") and "belong together" in err, err


def known(database):
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as book:
        until, = book.execute("SELECT reconciled_until_us FROM cfa_book").fetchone()
        acts = book.execute("SELECT actor, after FROM cfa_act WHERE action = 'book.reconcile' ORDER BY number").fetchall()
    book.close()
    return until, [(actor, json.loads(after)) for actor, after in acts]


def test_what_was_compared_is_recorded_on_request(desk):
    path = desk.export()
    assert desk.reconcile(path, *WINDOW)[0] == 0
    assert known(desk.database) == (0, [])
    assert desk.reconcile(path, "--record", "--actor", "ops")[0] == 0   # of no time: only the act
    until, acts = known(desk.database)
    assert until == 0 and [actor for actor, _ in acts] == ["ops"] and acts[0][1]["differences"] == 0
    before = time.time_ns() // 1000
    code, out, err = desk.reconcile(path, "--record", *WINDOW)
    assert (code, err) == (0, "") and out.startswith("reconcile: clean; "), out
    until, acts = known(desk.database)
    assert before - 1000 <= until <= time.time_ns() // 1000 and len(acts) == 2
    desk.refund(500)
    assert desk.reconcile(desk.export(), "--record", *WINDOW)[0] == 1
    again, acts = known(desk.database)
    assert again == until and acts[2][1]["counts"]["missing_here"] >= 1
    desk.audit()
