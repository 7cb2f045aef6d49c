"""explain and doctor: the same story from the shell and over HTTP, and what is stuck with what to do about it."""

import html.parser
import json
import os
import re
import sqlite3
import subprocess
import time

import pytest

from conftest import BINARY, DEADLINE_S, ROOT, environment


def run(*arguments):
    done = subprocess.run([BINARY, *arguments], env=environment(), capture_output=True, text=True,
                          timeout=DEADLINE_S, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def donated(start, tmp_path):
    """A server with one paid donation, its pledge and the path of its book."""
    path = str(tmp_path / "book.db")
    server = start("--database", path)
    campaign_id = server.campaign(title="Clean <b>water</b> & \"more\"")
    pledge = server.pledge(campaign_id, donor={"name": "Ada Lovelace", "email": "ada@example.org"})
    assert server.confirm(pledge).status == 200
    server.wait_state(pledge.json["id"], "COMPLETED")
    server.wait_raised(campaign_id, 2500)
    server.path = path
    server.answer, server.donation = pledge, pledge.json
    return server


class Page(html.parser.HTMLParser):
    """What a page is made of."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [(tag, name) for name, _ in attrs if name in ("src", "href", "action", "style") or name[:2] == "on"]

    def handle_data(self, data):
        self.words.append(data)


def test_the_shell_tells_the_story_beside_a_running_server(donated):
    code, out, err = run("explain", donated.donation["id"], "--database", donated.path)
    assert (code, err) == (0, "")
    assert max(len(line) for line in out.splitlines()) <= 100
    for words in ("25.00 EUR were taken.", "payment.completed.v1", "idempotency key", "totals has all"):
        assert words in out, out
    assert "Lovelace" not in out and "ada@" not in out
    code, out, err = run("explain", donated.donation["payment_id"], "--database", donated.path, "--json")
    story = json.loads(out)
    assert code == 0 and story["state"] == "COMPLETED" and story["missing"] == []
    kinds = {item["kind"] for item in story["timeline"]}
    assert {"request", "pledge", "call", "answer", "webhook", "state", "event"} <= kinds


def test_http_tells_the_same_story_in_three_forms(donated):
    path = f"/api/v1/admin/explain/{donated.donation['id']}"
    answer = donated.request("GET", path, token=True)
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    story = answer.json
    events = [item for item in story["timeline"] if item["kind"] == "event"]
    assert len(events) == story["sequence"] > 0
    text = donated.request("GET", path, token=True, headers={"Accept": "text/plain"})
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert b"What happened" in text.body
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    page = donated.request("GET", path, token=True, headers=browser)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    parsed = Page(page.body.decode())
    assert parsed.loads == [] and not {"script", "link", "img", "iframe", "b"} & set(parsed.tags)
    assert any('Clean <b>water</b> & "more"' in words for words in parsed.words)


def test_the_story_is_the_services_alone(donated):
    path = f"/api/v1/admin/explain/{donated.donation['id']}"
    assert donated.get(path).status == 401
    assert donated.request("GET", path, headers={
        "Careforall-Pledge-Token": donated.answer.headers["careforall-pledge-token"]}).status == 401
    missing = donated.request("GET", "/api/v1/admin/explain/pay_01arz3ndektsv4rrffq69g5fav", token=True)
    assert missing.status == 404 and missing.json["code"] == "cfa_enotfound"
    campaign = donated.request("GET", f"/api/v1/admin/explain/{donated.donation['campaign_id']}", token=True)
    assert campaign.status == 400 and campaign.json["field"] == "id"


def test_an_unknown_id_is_one_line(donated):
    code, out, err = run("explain", "pi_nobody", "--database", donated.path)
    assert code == 1 and out == "" and err.count("\n") == 1 and "there is no such" in err


def test_a_well_book_has_no_findings(donated):
    code, out, err = run("doctor", "--database", donated.path)
    assert (code, err) == (0, ""), out
    assert "Nothing is stuck or strange." in out
    code, out, _ = run("doctor", "--database", donated.path, "--json", "--deep")
    assert code == 0 and json.loads(out)["findings"] == []


def test_findings_name_the_next_safe_action_and_do_it(donated):
    donated.stop()
    with sqlite3.connect(donated.path) as book:
        book.execute("UPDATE cfa_payment SET flags = 2")
        book.execute("INSERT INTO cfa_sink SELECT 'ledger', 0, 0, NULL, 0, updated_us, 1, 2, ?, 'disk full', 0, 0, 0, 0, 0"
                     " FROM cfa_sink LIMIT 1", (time.time_ns() // 1000 - 3_600_000_000,))
    book.close()
    code, out, err = run("doctor", "--database", donated.path, "--json", "--deep")
    assert (code, err) == (1, "")
    findings = {finding["kind"]: finding for finding in json.loads(out)["findings"]}
    assert set(findings) == {"payment_conflict", "sink_stopped"}
    assert findings["payment_conflict"]["ids"] == [donated.donation["payment_id"]]
    assert findings["payment_conflict"]["safe"] is False
    assert findings["sink_stopped"]["ids"] == ["ledger"] and 3500 < findings["sink_stopped"]["age_s"] < 3900
    code, out, _ = run("doctor", "--database", donated.path, "--deep")
    assert code == 1 and "payment_conflict (1)" in out and "careforall-server explain ID" in out
    assert run("doctor", "--database", donated.path, "--do", "sink_stopped")[:2] == (0, "sink_stopped: 1 done\n")
    assert run("doctor", "--database", donated.path, "--do", "sink_stopped")[:2] == (0, "sink_stopped: 0 done\n")
    for code_name, why in (("payment_conflict", "a person must do this"), ("nonsense", "no finding has this code")):
        code, out, err = run("doctor", "--database", donated.path, "--do", code_name)
        assert code == 2 and out == "" and why in err


def old_book(path, version):
    """A book of an earlier schema, as that version's library made it."""
    with sqlite3.connect(path) as book:
        book.executescript((ROOT / f"tests/adapters/schemas/version_{version}.sql").read_text())
        for number in range(1, version + 1):
            book.execute("INSERT INTO cfa_schema VALUES (?, 1, 'careforall 0.0')", (number,))
        book.execute("INSERT INTO cfa_book (id, book_id, incarnation, secret, livemode, account, key_generation, keys_moved,"
                     " created_us, version) VALUES (1, randomblob(16), 1, randomblob(32), 0, '', 1, 0, 1, 1)")
    book.close()


def test_an_old_schema_is_a_finding_and_looking_does_not_change_it(tmp_path):
    path = str(tmp_path / "old.db")
    old_book(path, 2)
    code, out, err = run("doctor", "--database", path, "--json")
    assert (code, err) == (1, ""), err
    [finding] = json.loads(out)["findings"]
    assert finding["kind"] == "old_schema" and "schema version 2" in finding["text"] and "migrate" in finding["action"]
    code, out, _ = run("doctor", "--database", path)
    assert code == 1 and "old_schema" in out
    code, out, err = run("explain", "1", "--database", path)
    assert code != 0 and out == "" and "careforall-server migrate" in err and err.count("\n") == 1
    code, out, err = run("doctor", "--database", path, "--do", "old_schema")
    assert (code, out) == (2, "") and "careforall-server migrate" in err and err.count("\n") == 1
    with sqlite3.connect(path) as book:
        assert book.execute("SELECT max(version) FROM cfa_schema").fetchone() == (2,)
    book.close()
    assert run("migrate", "--database", path)[0] == 0
    code, out, _ = run("doctor", "--database", path, "--json")
    assert code == 0 and json.loads(out)["findings"] == []


def test_a_program_that_has_the_file_open_to_write_it_is_named(donated):
    code, out, _ = run("doctor", "--database", donated.path)   # the server is one of ours
    assert code == 0, out
    book = sqlite3.connect(donated.path)
    book.execute("SELECT count(*) FROM cfa_book").fetchone()
    code, out, err = run("doctor", "--database", donated.path, "--json")
    assert (code, err) == (1, "")
    [finding] = json.loads(out)["findings"]
    assert finding["kind"] == "foreign_writer" and finding["count"] == 1 and f"{os.getpid()} (" in finding["text"]
    book.close()
    reader = sqlite3.connect(f"file:{donated.path}?mode=ro", uri=True)
    reader.execute("SELECT count(*) FROM cfa_book").fetchone()
    assert run("doctor", "--database", donated.path)[0] == 0
    reader.close()


def test_a_book_that_does_not_open_is_exit_2_and_is_not_made(tmp_path):
    path = tmp_path / "none.db"
    code, out, err = run("doctor", "--database", str(path))
    assert code == 2 and out == "" and "there is no database" in err and not path.exists()
    path.write_bytes(b"not a database, but long enough to look like a file" * 40)
    code, out, err = run("doctor", "--database", str(path))
    assert code == 2 and out == "" and err.count("\n") == 1


def test_a_story_makes_no_book(tmp_path):
    path = tmp_path / "none.db"
    code, out, err = run("explain", "1", "--database", str(path))
    assert code != 0 and out == "" and "there is no database" in err and not path.exists()


def test_the_page_from_the_shell_is_whole(donated):
    code, out, _ = run("explain", donated.donation["id"], "--database", donated.path, "--html")
    assert code == 0 and out.startswith("<!doctype html>") and out.endswith("</html>\n")
    assert re.search(r"<h1>25\.00 EUR for ", out)
