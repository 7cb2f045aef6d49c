"""Doctor, audits and reconciliations over HTTP: long work is begun by one request and read by others, one at a time, and
ends with the server."""

import base64
import contextlib
import hashlib
import json
import re
import socket
import sqlite3
import threading
import time

import pytest

from conftest import Server, environment, eventually, new_key
from test_explain import Page
from test_server import post_webhook, signed, webhook_body
from test_server_commands import run
from test_server_reversals import ask, donation, wait_totals
from test_server_stripe import KEY, SANDBOX, own_wire  # noqa: F401  (a fixture)

DOCTOR, AUDITS, RECONCILIATIONS = (f"/api/v1/admin/{name}" for name in ("doctor", "audits", "reconciliations"))
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
ALL_TIME = {"from": "2020-01-01T00:00:00Z", "until": "2999-01-01T00:00:00Z"}
MANY_ACTS = 400_000   # in a book whose audit takes a while
AUDITS_MAX = 20        # until one is seen while it runs


class Book:
    """A server over a SQLite file that can be stopped, damaged and served again."""

    def __init__(self, start, folder):
        self.run, self.path = start, str(folder / "book.db")
        self.serve()

    def serve(self, *flags):
        self.server = self.run("--database", self.path, "--reconcile-every-hours", "0", *flags)
        return self.server

    def damage(self, *statements):
        assert self.server.stop() == 0
        with contextlib.closing(sqlite3.connect(self.path)) as book, book:
            for statement in statements:
                assert book.execute(statement).rowcount > 0, statement
        return self.serve()

    def get(self, path, **more):
        return self.server.get(path, token=True, **more)

    def post(self, path, body=None, **headers):
        return self.server.request("POST", path, body, headers, token=True)

    def donate(self):
        campaign_id = self.server.campaign()
        pledge = self.server.pledge(campaign_id, donor={"name": "Ada Lovelace", "email": "ada@example.org"})
        assert self.server.confirm(pledge).status == 200
        self.server.wait_raised(campaign_id, 2500)
        return campaign_id, pledge

    def treat(self, code, **headers):
        return self.post(f"{DOCTOR}/{code}", **{"Idempotency-Key": new_key(), **headers})


@pytest.fixture
def book(start, tmp_path):
    return Book(start, tmp_path)


def finished(server, path):
    def over():
        answer = server.get(f"{path}/latest", token=True)
        assert answer.status == 200, answer
        return answer.json["state"] != "running" and answer.json
    return eventually(over, f"the end of {path}")


def logged(server, event):
    return [line for line in map(json.loads, server.log().splitlines()) if line["event"] == event]


# ---- audits --------------------------------------------------------------------------------------


def test_an_audit_of_a_clean_book_says_so_with_the_commands_report(book):
    book.donate()
    assert book.get(f"{AUDITS}/latest").json["code"] == "cfa_enotfound"
    begun = book.post(AUDITS)
    assert (begun.status, begun.headers["location"]) == (202, f"{AUDITS}/latest"), begun
    assert begun.json["number"] == 1 and begun.json["kind"] == "audit"
    audit = finished(book.server, AUDITS)
    assert (audit["state"], audit["verdict"], audit["differences"], audit["problem"]) == ("finished", "clean", 0, None)
    assert audit["started_at"] <= audit["ended_at"]
    code, out, _ = run("audit", "--database", book.path, "--json")
    report = json.loads(out)
    assert code == 0 and audit["report"]["rows"]["payment"] == report["rows"]["payment"] == 1
    assert set(report) == set(audit["report"]) and audit["report"]["clean"] is True
    assert book.post(AUDITS).status == 202 and finished(book.server, AUDITS)["number"] == 2
    [first, second] = [line for line in logged(book.server, "job_finished") if line["kind"] == "audit"]
    assert (first["number"], second["number"], first["level"]) == (1, 2, "info")


def test_an_audit_of_a_damaged_book_names_the_difference_and_donations_go_on(book):
    campaign_id, _ = book.donate()
    book.damage("UPDATE cfa_totals SET raised_minor = raised_minor + 5 WHERE currency = 'EUR'")
    assert book.get(f"{AUDITS}/latest").status == 404   # what is known is of this process
    assert book.post(AUDITS).status == 202
    audit = finished(book.server, AUDITS)
    assert (audit["state"], audit["verdict"]) == ("finished", "differences") and audit["differences"] > 0
    finding = audit["report"]["findings"][0]
    assert (finding["check"], finding["campaign_id"]) == ("totals.counter", campaign_id)
    assert (finding["expected"], finding["found"]) == ("2500", "2505")
    assert logged(book.server, "job_finished")[0]["level"] == "warning"
    assert book.server.pledge(campaign_id).status == 201


def test_an_audit_that_cannot_read_a_row_fails_and_says_which(book):
    book.donate()
    book.damage("UPDATE cfa_pledge SET id = x'00'")
    assert book.post(AUDITS).status == 202
    audit = finished(book.server, AUDITS)
    assert (audit["state"], audit["verdict"], audit["report"]) == ("failed", None, None), audit
    assert audit["problem"]["code"] == "cfa_ecorrupt" and "pledge" in audit["problem"]["detail"]
    assert logged(book.server, "job_failed")[0]["status"] == "CFA_ECORRUPT"


def slow(book):
    """A book whose audit takes a while: acts that nobody did."""
    book.campaign_id = book.server.campaign()
    return book.damage(
        f"INSERT INTO cfa_act WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY_ACTS}) "
        "SELECT i + 1, action, subject, actor, reason, before, after, created_us, hash, hash FROM n, cfa_act WHERE number = 1")


def begin_audit(book):
    """Until it has read rows, or has ended already."""
    def going():
        audit = book.get(f"{AUDITS}/latest").json
        return (audit["rows"] or audit["state"] != "running") and audit

    assert book.post(AUDITS).status == 202
    audit = eventually(going, "rows that were read")
    assert (audit["rows"] is None) == (audit["state"] != "running") and (audit["rows"] or 0) <= MANY_ACTS * 2, audit


def test_donations_go_on_beside_a_running_audit(book):
    slow(book)
    for _ in range(AUDITS_MAX):   # a busy machine may have ended it before anybody looked
        begin_audit(book)
        assert book.get("/health").status == 200 and book.server.pledge(book.campaign_id).status == 201
        if book.get(f"{AUDITS}/latest").json["state"] == "running":
            return
    raise AssertionError("they waited for the audit")


def test_a_shutdown_ends_a_running_audit(book):
    server = slow(book)
    for _ in range(AUDITS_MAX):   # the same
        begin_audit(book)
        assert server.stop() == 0, server.log()
        if not logged(server, "job_finished"):
            break
        server = book.serve()
    [line] = logged(server, "job_failed")
    assert (line["kind"], line["status"]) == ("audit", "CFA_ECLOSING"), line


def test_a_book_in_memory_is_audited_too(start):
    server = start("--memory")
    server.campaign()
    assert server.request("POST", AUDITS, token=True).status == 202
    assert finished(server, AUDITS)["verdict"] == "clean"
    assert server.get(DOCTOR, token=True).status == 200


# ---- doctor --------------------------------------------------------------------------------------


def park(book):
    """A payment's webhook that has waited for its object since two hours."""
    body = webhook_body(new_key(), ref="pi_of_nobody", flags=["succeeded"], captured_minor=2500, authorized_minor=2500)
    assert post_webhook(book.server, body, signed(body)).json["verdict"] == "PARKED"
    book.damage("UPDATE cfa_provider_object SET waiting_us = waiting_us - 7200000000 WHERE waiting_us > 0")


def findings(book, query=""):
    answer = book.get(DOCTOR + query)
    assert answer.status == 200, answer
    return {row["kind"]: row for row in answer.json["findings"]}


def test_a_well_book_has_no_findings_over_http_either(book):
    book.donate()
    for query, deep in (("", False), ("?deep=0", False), ("?deep=1", True)):
        answer = book.get(DOCTOR + query)
        assert answer.headers["content-type"] == "application/json"
        assert (answer.json["findings"], answer.json["deep"]) == ([], deep)
    for query in ("?deep=2", "?deep=", "?deep=true", "?deep=1&deep=1", "?other=1"):
        assert book.get(DOCTOR + query).json["code"] == "http_bad_query", query


def test_a_parked_webhook_is_found_and_what_is_safe_is_done_on_request(book):
    park(book)
    found = findings(book)["webhook_parked"]
    assert found["ids"] == ["pi_of_nobody"] and 7000 < found["age_s"] < 7500
    code, out, _ = run("doctor", "--database", book.path, "--json")
    shell = {row["kind"]: row for row in json.loads(out)["findings"]}
    assert code == 1 and shell["webhook_parked"]["title"] == found["title"]
    done = book.treat("webhook_parked")
    assert (done.status, done.json["code"]) == (200, "webhook_parked") and done.json["done"] >= 0, done


def test_a_remedy_is_an_act_by_whoever_asked(book):
    book.donate()
    book.damage("INSERT INTO cfa_sink SELECT 'ledger', 0, 0, NULL, 0, updated_us, 1, 2, strftime('%s') * 1000000 - 3600000000,"
                " 'disk full', 0, 0, 0, 0, 0 FROM cfa_sink LIMIT 1")
    assert findings(book)["sink_stopped"]["ids"] == ["ledger"]
    first = book.treat("sink_stopped", **{"Careforall-Actor": "desk-7", "Careforall-Reason": "disk is bigger now"})
    assert (first.status, first.json) == (200, {"code": "sink_stopped", "done": 1}), first
    assert book.treat("sink_stopped").json["done"] == 0
    act = book.get("/api/v1/admin/acts").json["acts"][-1]
    assert (act["action"], act["subject"], act["actor"], act["reason"]) == (
        "cursor.resume", "ledger", "desk-7", "disk is bigger now")
    assert "sink_stopped" not in findings(book)


def test_what_a_person_must_do_is_not_done_by_a_request(book):
    for code, status, name in (("payment_conflict", 409, "cfa_enotsup"), ("nonsense", 404, "cfa_enotfound"),
                               ("Webhook_Parked", 404, "cfa_enotfound")):
        answer = book.treat(code)
        assert (answer.status, answer.json["code"]) == (status, name), answer
        assert answer.headers["content-type"] == "application/problem+json"
    assert book.post(f"{DOCTOR}/webhook_parked").json["code"] == "cfa_ekey"
    assert book.treat("x" * 80).json["code"] == "http_no_route"


def test_deep_examinations_run_one_at_a_time(book):
    book.donate()
    with contextlib.closing(sqlite3.connect(book.path)) as file:
        names = [row[1] for row in file.execute("PRAGMA table_info(cfa_payment)")]
    copied = ", ".join("randomblob(16)" if name in ("id", "pledge_id") else name for name in names)
    book.damage(f"INSERT INTO cfa_payment WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) "
                f"SELECT {copied} FROM (SELECT * FROM cfa_payment LIMIT 1), n")
    answers = []
    readers = [threading.Thread(target=lambda: answers.append(book.get(f"{DOCTOR}?deep=1"))) for _ in range(2)]
    for each in readers:
        each.start()
    for each in readers:
        each.join()
    read, refused = sorted(answers, key=lambda answer: answer.status)
    assert (read.status, refused.status, refused.json["code"]) == (200, 409, "http_job_running"), answers
    assert book.get(f"{DOCTOR}?deep=1").status == 200   # the first one is over


# ---- pages ---------------------------------------------------------------------------------------


def test_pages_allow_their_own_style_and_nothing_else(book):
    _, pledge = book.donate()
    for path in (f"/api/v1/admin/explain/{pledge.json['id']}", DOCTOR):
        page = book.get(path, headers=BROWSER)
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        text = page.body.decode()
        [style] = re.findall("<style>(.*?)</style>", text, re.S)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        rules = dict(rule.strip().split(" ", 1) for rule in page.headers["content-security-policy"].split(";"))
        assert rules == {"default-src": "'none'", "style-src": f"'sha256-{digest}'", "base-uri": "'none'",
                         "form-action": "'none'", "frame-ancestors": "'none'"}
        parsed = Page(text)
        assert parsed.loads == [] and "script" not in parsed.tags
        assert "Lovelace" not in text and "ada@" not in text


def test_a_pages_badge_says_why_it_is_not_green(book):
    _, pledge = book.donate()
    path = f"/api/v1/admin/explain/{pledge.json['id']}"
    for flags, badge in ((0, 'good">COMPLETED'), (2, 'bad">COMPLETED, IN CONFLICT')):
        book.damage(f"UPDATE cfa_payment SET flags = {flags}")
        assert f'<div class="state {badge}</div>' in book.get(path, headers=BROWSER).body.decode(), badge
        assert book.get(path).json["state"] == "COMPLETED"


@pytest.mark.parametrize("accept, wanted", [
    (None, "application/json"), ("*/*", "application/json"), ("application/json", "application/json"),
    ("image/png", "application/json"), ("text/html", "text/html"), ("TEXT/HTML;q=0.9, application/json", "text/html"),
    ("application/xml, text/plain", "text/plain"), ("text/plain;charset=utf-8", "text/plain"), (", ,text/html", "text/html"),
    ("text/htmlx", "application/json"), ("", "application/json")])
def test_the_form_follows_the_accept_header(shared, accept, wanted):
    answer = shared.get(DOCTOR, token=True, headers={} if accept is None else {"Accept": accept})
    assert answer.status == 200 and answer.headers["content-type"].split(";")[0] == wanted
    assert ("content-security-policy" in answer.headers) == (wanted == "text/html")


# ---- who may -------------------------------------------------------------------------------------


def test_all_of_it_is_the_services_alone(start):
    server = start("--memory", "--reconcile-every-hours", "0")
    for method, path, body in (("GET", DOCTOR, None), ("POST", f"{DOCTOR}/webhook_parked", None), ("POST", AUDITS, None),
                               ("GET", f"{AUDITS}/latest", None), ("POST", RECONCILIATIONS, ALL_TIME),
                               ("GET", f"{RECONCILIATIONS}/latest", None)):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Careforall-Pledge-Token": "x" * 43}):
            answer = server.request(method, path, body, {"Idempotency-Key": new_key(), **headers})
            assert (answer.status, answer.json["code"]) == (401, "http_unauthorized"), (path, answer)
    assert server.get(f"{AUDITS}/latest", token=True).status == 404   # none of them began anything


def test_an_audit_takes_no_body(shared):
    assert shared.request("POST", AUDITS, {}, token=True).status == 413


# ---- reconciliations -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quiet():
    server = Server("--memory", "--reconcile-every-hours", "0")
    yield server
    assert server.stop() == 0, server.log()


@pytest.mark.parametrize("body, status, code, field", [
    ({}, 400, "http_missing_field", "from"), ({"from": 5}, 400, "http_wrong_type", "from"),
    ({"from": "yesterday"}, 422, "cfa_einval", "from"), ({**ALL_TIME, "until": "2030-01-01"}, 422, "cfa_einval", "until"),
    ({"from": "2020-01-02T00:00:00Z", "until": "2020-01-01T00:00:00Z"}, 422, "cfa_einval", "until"),
    ({**ALL_TIME, "repair": 1}, 400, "http_wrong_type", "repair"), ({**ALL_TIME, "more": 1}, 400, "http_unknown_field", "more"),
    ({"from": "2999-01-01T00:00:00Z"}, 422, "cfa_einval", "until")])
def test_what_a_reconciliation_is_about_is_read_strictly(quiet, body, status, code, field):
    answer = quiet.request("POST", RECONCILIATIONS, body, token=True)
    assert (answer.status, answer.json["code"], answer.json["field"]) == (status, code, field), answer
    long = quiet.request("POST", RECONCILIATIONS, ALL_TIME, {"Careforall-Actor": "a" * 201}, token=True)
    assert (long.json["code"], long.json["field"]) == ("cfa_etoolong", "Careforall-Actor")
    assert quiet.get(f"{RECONCILIATIONS}/latest", token=True).status == 404


def test_a_book_without_a_provider_that_lists_cannot_be_reconciled(start):
    server = start("--memory", "--provider", "none")
    answer = server.request("POST", RECONCILIATIONS, ALL_TIME, token=True)
    assert (answer.status, answer.json["code"]) == (409, "cfa_enotsup"), answer


@pytest.mark.skipif(not SANDBOX.exists(), reason="this build has no sandbox")
def test_what_no_webhook_told_is_found_and_then_repaired(own_wire, tmp_path):  # noqa: F811
    wire = own_wire("--reconcile-every-hours", "0", database=str(tmp_path / "book.db"))
    campaign_id, intent = donation(wire)
    wire.sandbox.pull("faults", webhook_lost="100%")
    ask(wire, "POST", "/v1/refunds", payment_intent=intent["id"], amount=1000)
    begun = wire.server.request("POST", RECONCILIATIONS, ALL_TIME, token=True)
    assert (begun.status, begun.headers["location"]) == (202, f"{RECONCILIATIONS}/latest"), begun
    compared = finished(wire.server, RECONCILIATIONS)
    assert (compared["verdict"], compared["repair"], compared["repaired"]) == ("differences", False, 0), compared
    assert {row["kind"] for row in compared["report"]["listed"] if row["code"] == "missing_here"} == {"refund"}, compared
    assert compared["until"].startswith("2999-")
    again = wire.server.request("POST", RECONCILIATIONS, {**ALL_TIME, "repair": True},
                                {"Careforall-Actor": "desk-7", "Careforall-Reason": "no webhooks came"}, token=True)
    assert again.json["number"] == 2
    repaired = finished(wire.server, RECONCILIATIONS)
    assert repaired["verdict"] == "clean" and repaired["repaired"] >= 1, repaired
    wait_totals(wire, campaign_id, raised_minor=2500, refunded_minor=1000)
    acts = wire.server.get("/api/v1/admin/acts", token=True).json["acts"]
    act = next(act for act in reversed(acts) if act["action"] == "book.reconcile")
    assert (act["actor"], act["reason"]) == ("desk-7", "no webhooks came")
    assert wire.server.request("POST", AUDITS, token=True).status == 202
    assert finished(wire.server, AUDITS)["verdict"] == "clean"


@pytest.fixture
def silent(tmp_path):
    """A server whose provider takes every connection and never says a word."""
    key = tmp_path / "stripe-key"
    key.write_text(KEY + "\n")
    key.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as provider:
        server = Server("--memory", "--provider", "stripe", "--stripe-key-file", str(key), "--reconcile-every-hours", "0",
                        "--return-url", "https://give.example/thanks", "--drain-ms", "500",
                        "--stripe-base-url", f"http://127.0.0.1:{provider.getsockname()[1]}", env=environment())
        yield server
        if server.process.poll() is None:
            server.kill()


@pytest.mark.skipif(not SANDBOX.exists(), reason="this build has no Stripe adapter")
def test_of_two_starts_at_once_one_begins_and_the_other_is_told_what_runs(silent):
    answers = []

    def begin():
        answers.append(silent.request("POST", RECONCILIATIONS, ALL_TIME, token=True))

    starts = [threading.Thread(target=begin) for _ in range(2)]
    for each in starts:
        each.start()
    for each in starts:
        each.join()
    first, second = sorted(answers, key=lambda answer: answer.status)
    assert (first.status, second.status) == (202, 409), answers
    assert second.json["code"] == "http_job_running" and second.headers["location"] == f"{RECONCILIATIONS}/latest"
    other = silent.request("POST", AUDITS, token=True)
    assert other.status == 409 and other.headers["location"] == f"{RECONCILIATIONS}/latest", other


@pytest.mark.skipif(not SANDBOX.exists(), reason="this build has no Stripe adapter")
def test_a_provider_that_is_silent_holds_up_neither_the_server_nor_its_end(silent):
    assert silent.request("POST", RECONCILIATIONS, ALL_TIME, token=True).status == 202
    for path, body in ((RECONCILIATIONS, ALL_TIME), (AUDITS, None)):
        answer = silent.request("POST", path, body, token=True)
        assert answer.status == 409 and answer.headers["location"] == f"{RECONCILIATIONS}/latest", answer
    latest = silent.get(f"{RECONCILIATIONS}/latest", token=True).json
    assert (latest["state"], latest["verdict"], latest["report"]) == ("running", None, None)
    assert silent.get("/health").status == 200
    began = time.monotonic()
    assert silent.stop() == 0, silent.log()
    assert time.monotonic() - began < 10, "it waited for a page"
