"""careforall-server reconcile with Stripe's balance files, made of what its stand-in has: the balance history, the itemized
reports and balance transactions."""

import csv
import json

import pytest

from test_reconcile import WINDOW, Desk, codes, desk  # noqa: F401  (a fixture)
from test_server_reversals import ask, wait_totals
from test_server_stripe import SANDBOX, Sandbox, own_wire  # noqa: F401  (a fixture)

pytestmark = pytest.mark.skipif(not SANDBOX.exists(), reason="this build has no sandbox")

HISTORY = ("id", "Type", "Source", "Amount", "Fee", "Destination Platform Fee", "Net", "Currency", "Created (UTC)",
           "Available On (UTC)", "Description", "Customer Facing Amount", "Customer Facing Currency", "Transfer",
           "Transfer Date (UTC)", "Transfer Group", "payment_id (metadata)")
ITEMIZED = ("balance_transaction_id", "created_utc", "created", "available_on_utc", "currency", "gross", "fee", "net",
            "reporting_category", "source_id", "description", "customer_facing_amount", "customer_facing_currency",
            "automatic_payout_id", "automatic_payout_effective_at_utc", "payment_intent_id", "charge_id")
WHEN = "2026-01-02 03:04:05"


def major(minor):
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100}.{abs(minor) % 100:02}"


class Books:
    """The movements of the balance, oldest first, each as one dict, to be written as any of the files."""

    def __init__(self, desk):
        self.desk = desk
        self.rows = [self.row(moved) for moved in reversed(self.listed()["data"])]

    def listed(self):
        return ask(self.desk.wire, "GET", "/v1/balance_transactions?limit=100&expand[]=data.source")

    def row(self, moved):
        source = moved["source"]
        sign = -1 if moved["amount"] < 0 else 1
        return {"id": moved["id"], "type": moved["type"], "category": moved["reporting_category"], "source": source["id"],
                "amount": moved["amount"], "fee": moved["fee"], "net": moved["net"], "currency": moved["currency"],
                "facing": sign * source["amount"], "facing_currency": source["currency"], "intent": source["payment_intent"],
                "payment_id": source["metadata"].get("payment_id", ""), "payout": "", "payout_time": ""}

    def of(self, category):
        return next(row for row in self.rows if row["category"] == category)

    def write(self, columns, lines):
        path = self.desk.folder / "balance.csv"
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([columns, *lines])
        return str(path)

    def history(self):
        return self.write(HISTORY, [(
            row["id"], row["type"], row["source"], major(row["amount"]), major(row["fee"]), "", major(row["net"]),
            row["currency"], WHEN, WHEN, "Gift, \"for all\"\nand more", major(row["facing"]), row["facing_currency"],
            row["payout"], row["payout_time"], "", row["payment_id"]) for row in self.rows])

    def itemized(self):
        return self.write(ITEMIZED, [(
            row["id"], WHEN, WHEN, WHEN, row["currency"], major(row["amount"]), major(row["fee"]), major(row["net"]),
            row["category"], row["source"], "", major(row["facing"]), row["facing_currency"], row["payout"],
            row["payout_time"], row["intent"], "") for row in self.rows])

    def json(self):
        path = self.desk.folder / "balance.json"
        path.write_text(json.dumps(self.listed()))
        return str(path)


@pytest.fixture
def books(desk):  # noqa: F811
    """A book that knows its fee: the charge said it, with its movement."""
    path = desk.folder / "charge.json"
    path.write_text(desk.wire.sandbox.call("GET", "/v1/charges?limit=100&expand[]=data.balance_transaction")[2])
    code, out, err = desk.reconcile(str(path), "--repair")
    assert code == 0 and "reconcile: clean" in out, out + err
    return Books(desk)


@pytest.mark.parametrize("form", ["history", "itemized", "json"])
def test_every_file_agrees_with_books_that_know_all_of_it(books, form):
    report = books.desk.report(getattr(books, form)(), *WINDOW)
    assert report["clean"] and report["read"]["payment"] == 1 and report["read"]["refund"] == 1, report
    assert (report["foreign"], report["other"], report["unnamed"]) == (0, 0, 0), report


def test_a_balance_in_another_currency_tells_the_fee_and_agrees(own_wire, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr("test_server_stripe.Sandbox", lambda *more: Sandbox("--settle-in", "usd", *more))
    made = Desk(own_wire(database=str(tmp_path / "book.db")), tmp_path)
    books = Books(made)
    assert books.of("charge")["currency"] == "usd" and books.of("charge")["amount"] != 2500
    path = books.itemized()
    report = made.report(path)
    assert codes(report) <= {("state_behind", "payment", "fee_minor")}, report
    made.reconcile(path, "--repair")
    assert made.report(path, *WINDOW)["clean"]
    assert made.report(books.history(), *WINDOW)["clean"] and made.report(books.json(), *WINDOW)["clean"]
    made.audit()
    made.wire.start()


def test_what_was_paid_out_is_told_by_a_repair_and_nothing_else(books):
    books.of("charge").update(payout="po_1", payout_time="2026-01-09 00:00:00")
    path = books.itemized()
    report = books.desk.report(path)
    assert codes(report) == {("state_behind", "payment", "settled")} and report["repairable"] == 1, report
    code, out, err = books.desk.reconcile(path, "--repair", *WINDOW)
    assert (code, err) == (0, "") and out.startswith("repaired: 1\nreconcile: clean"), out
    assert books.desk.reconcile(path, "--repair")[1].startswith("reconcile: clean")
    books.desk.audit()


def test_a_payout_that_is_yet_to_arrive_settles_nothing(books):
    books.of("charge").update(payout="po_1", payout_time="2999-01-09 00:00:00")
    assert books.desk.report(books.itemized())["clean"]


def test_a_row_that_names_no_object_of_the_payment_is_compared_and_not_told(books):
    books.of("charge").update(payout="po_1", payout_time="2026-01-09 00:00")
    report = books.desk.report(books.history(), "--repair")
    assert codes(report) == {("state_behind", "payment", "settled")} and report["repairable"] == 0, report


def test_another_fee_is_named_and_never_repaired(books):
    row = books.of("charge")
    fee = row["fee"]
    row.update(fee=fee + 1, net=row["amount"] - fee - 1)
    for path in (books.history(), books.itemized()):
        report = books.desk.report(path, "--repair")
        assert codes(report) == {("amount_differs", "payment", "fee_minor")} and report["repairable"] == 0, report
        assert (report["listed"][0]["expected"], report["listed"][0]["found"]) == (str(fee + 1), str(fee)), report
    books.desk.audit()


def test_another_amount_or_currency_of_the_donors_side_is_named(books):
    for change, field in (({"facing": 2600}, "amount_minor"), ({"facing_currency": "usd"}, "currency")):
        kept = dict(books.of("charge"))
        books.of("charge").update(change)
        report = books.desk.report(books.itemized(), "--repair")
        assert codes(report) == {("amount_differs", "payment", field)}, report
        books.of("charge").update(kept)


def test_a_lost_refund_is_found_in_every_file_and_repaired_from_its_object(books):
    refund = books.desk.refund(500)
    lost = Books(books.desk)
    report = books.desk.report(lost.itemized(), "--repair", *WINDOW)
    assert codes(report) == {("missing_here", "refund", None)} and report["repairable"] == 0, report
    assert report["listed"][0]["ref"] == refund["id"] and report["listed"][0]["line"] == 4, report
    lost.rows[-1]["payment_id"] = lost.of("charge")["payment_id"]
    assert codes(books.desk.report(lost.history())) == {("missing_here", "refund", None)}
    code, out, _ = books.desk.reconcile(lost.json(), "--repair", *WINDOW)
    assert code == 0 and out.startswith("repaired: 1\nreconcile: clean"), out
    assert books.desk.report(lost.itemized(), *WINDOW)["clean"]
    books.desk.audit()


def test_a_refund_that_came_back_or_is_of_another_amount_is_named(books):
    refund = books.of("refund")
    books.rows.append({**refund, "id": "txn_back", "type": "refund_failure", "category": "refund_failure",
                       "amount": 1000, "net": 1000, "facing": 1000})
    report = books.desk.report(books.history())
    assert codes(report) == {("state_behind", "refund", "state")} and report["repairable"] == 0, report
    books.rows.pop()
    refund["facing"] = -900
    assert codes(books.desk.report(books.history())) == {("amount_differs", "refund", "amount_minor")}


def test_a_dispute_is_missing_here_and_its_money_and_fee_are_compared(books):
    desk, wire = books.desk, books.desk.wire  # noqa: F811
    wire.sandbox.pull("disputes", charge=books.desk.intent["latest_charge"], open="dispute", amount=1000)
    taken = Books(desk)
    report = desk.report(taken.itemized())
    assert codes(report) == {("missing_here", "dispute", None)} and report["repairable"] == 0, report
    wire.wait_missed()
    wire.start()
    wire.sandbox.pull("webhooks/retry")
    wait_totals(wire, desk.campaign_id, disputed_minor=1000)
    assert wire.server.stop() == 0
    path = desk.folder / "disputes.json"
    path.write_text(wire.sandbox.call("GET", "/v1/disputes?limit=100")[2])
    desk.reconcile(str(path), "--repair")
    assert desk.report(taken.itemized(), *WINDOW)["clean"] and desk.report(taken.history(), *WINDOW)["clean"]
    row = taken.of("dispute")
    row["facing"] = -1100
    assert codes(desk.report(taken.history())) == {("state_behind", "dispute", "withdrawn_minor")}
    row.update(facing=-1000, fee=row["fee"] + 100, net=row["net"] - 100)
    assert codes(desk.report(taken.history())) == {("state_behind", "dispute", "fee_minor")}


def test_what_the_balance_lacks_is_missing_there(books):
    books.of("refund").update(source="re_of_somebody_else", intent="pi_of_somebody_else", payment_id="")
    report = books.desk.report(books.itemized(), *WINDOW)
    assert codes(report) == {("missing_there", "refund", None)} and report["foreign"] == 1, report
    books.rows = [books.of("refund")]   # none of the payment's kind: nothing is looked for
    report = books.desk.report(books.itemized(), *WINDOW)
    assert codes(report) == {("missing_there", "refund", None)} and report["read"]["payment"] == 0, report


def test_what_names_no_payment_is_said_and_proves_nothing(books):
    books.of("charge")["payment_id"] = ""
    books.rows.append({**books.of("charge"), "id": "txn_out", "type": "payout", "category": "payout", "source": "po_1",
                       "amount": -900, "fee": 0, "net": -900})
    path = books.history()
    report = books.desk.report(path, "--all-ours", *WINDOW)
    assert report["clean"] and (report["unnamed"], report["other"], report["read"]["payment"]) == (1, 1, 0), report
    code, out, _ = books.desk.reconcile(path, *WINDOW)
    assert code == 0 and "1 of them not compared, since they name no payment" in out and "1 of them payouts" in out, out


def test_a_second_payment_that_names_ours_is_reported(books):
    path = books.itemized()
    with open(path, encoding="utf-8") as file:
        text = file.read().replace("payment_intent_id", "payment_intent_id,payment_metadata[payment_id]", 1)
    payment_id = books.of("charge")["payment_id"]
    lines = [line.replace(books.desk.intent["id"], f"pi_second,{payment_id}") for line in text.splitlines(True)]
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(lines[:2])
    report = books.desk.report(path, "--repair")
    assert codes(report) == {("missing_here", "payment", "ref")} and report["repairable"] == 0, report


def test_money_that_the_book_does_not_know_is_behind_and_not_told(own_wire, tmp_path):  # noqa: F811
    made = Desk(own_wire(database=str(tmp_path / "book.db")), tmp_path)
    made.wire.start()
    pledge = made.wire.server.pledge(made.campaign_id)
    assert made.wire.server.stop() == 0
    assert made.wire.pay(pledge)[0] == 303
    books = Books(made)
    report = made.report(books.history(), "--repair")
    assert ("state_behind", "payment", "state") in codes(report) and report["repairable"] == 0, report
    made.wire.start()


def test_a_bad_balance_file_is_refused_with_its_line(books):
    books.of("refund")["net"] -= 1
    code, out, err = books.desk.reconcile(books.history(), "--repair")
    assert (code, out) == (2, "") and "line 4: Net: it is not the amount less the fee" in err and err.count("\n") == 1, err
    path = books.write(HISTORY[:6] + HISTORY[7:], [])
    code, out, err = books.desk.reconcile(path)
    assert (code, out) == (2, "") and "Net: the header lacks this column of the balance history" in err, err
