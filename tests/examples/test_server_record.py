"""The provider's exported file over HTTP: streamed to a file without a name, compared by an audit or a reconciliation, and gone."""

import os
import pathlib
import re
import resource
import socket
import subprocess
import time

import pytest

from conftest import BINARY, DEADLINE_S, TOKEN, Server, eventually
from test_server_checks import ALL_TIME, AUDITS, RECONCILIATIONS, SANDBOX, Book, finished, silent  # noqa: F401
from test_server_reversals import ask, donation, wait_totals
from test_server_stripe import own_wire  # noqa: F401  (a fixture)

pytestmark = pytest.mark.skipif(not SANDBOX.exists(), reason="this build has no Stripe adapter")

WINDOW = "from=2020-01-01T00:00:00Z&until=2999-01-01T00:00:00Z"
LISTS = ("payment_intents", "charges", "refunds", "disputes")
CSV, JSON, BYTES = "text/csv", "application/json", "application/octet-stream"
HEADER = b"id,Created date (UTC),Amount,Amount Refunded,Currency,Captured,Status,Mode,PaymentIntent ID\n"
ROW = b"ch_%09d,2026-01-01 00:00:00,25.00,0.00,eur,true,Paid,Test,pi_%09d\n"
MIB = 1 << 20
HEAD = "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: text/csv\r\n"


def rows(count):
    yield HEADER
    for first in range(0, count, 1000):
        yield b"".join(ROW % (i, i) for i in range(first, min(count, first + 1000)))


class Desk:
    """A paid donation of which a refund is not heard, over a sandbox whose record can be exported."""

    def __init__(self, wire, temporary):
        self.wire, self.temporary = wire, temporary
        self.campaign_id, self.intent = donation(wire)

    def lose_refund(self):
        self.wire.sandbox.pull("faults", webhook_lost="100%")
        ask(self.wire, "POST", "/v1/refunds", payment_intent=self.intent["id"], amount=1000)

    def export(self):
        return "\n".join(self.wire.sandbox.call("GET", f"/v1/{name}?limit=100")[2] for name in LISTS).encode()

    def csv(self):
        return HEADER + f"ch_1,2026-01-01 00:00:00,25.00,15.00,eur,true,Paid,Test,{self.intent['id']}\n".encode()

    def post(self, body, query="", place=RECONCILIATIONS, media=JSON, **headers):
        return post(self.wire.server, body, query, place, media, **headers)

    def run(self, body, query="", place=RECONCILIATIONS, media=JSON, **headers):
        begun = self.post(body, query, place, media, **headers)
        assert (begun.status, begun.headers["location"]) == (202, f"{place}/latest"), begun
        assert begun.json["source"] == "record"
        out = finished(self.wire.server, place)
        assert self.left_behind() == []
        return out

    def left_behind(self):
        return left_behind(self.wire.server, self.temporary)


def post(server, body, query="", place=RECONCILIATIONS, media=CSV, **headers):
    return server.request("POST", f"{place}/record?{query}" if query else f"{place}/record", body,
                          {"Content-Type": media, **headers}, token=True)


def left_behind(server, folder):
    """Files with a name, and those without one that are still open."""
    kept = []
    for entry in pathlib.Path(f"/proc/{server.process.pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:   # closed since
            continue
        if "careforall-" in target:
            kept.append(target)
    return kept + os.listdir(folder)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def desk(own_wire, tmp_path, temporary):  # noqa: F811
    return Desk(own_wire("--reconcile-every-hours", "0", database=str(tmp_path / "book.db")), temporary)


@pytest.fixture
def small(start, temporary):
    """A server that takes files of 1 MiB, and no Stripe behind it."""
    return start("--memory", "--reconcile-every-hours", "0", "--record-mib-max", "1")


def sending(server, head, query=""):
    """A connection with the head of an upload sent on it."""
    peer = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S)
    peer.sendall((HEAD.format(path=f"{RECONCILIATIONS}/record{query}", token=TOKEN) + head + "\r\n").encode())
    return peer


def answered(peer):
    out = b""
    while b"\r\n\r\n" not in out:
        piece = peer.recv(65536)
        assert piece, out
        out += piece
    return out


# ---- what is compared ------------------------------------------------------------------------------


def test_the_providers_objects_are_compared_repaired_and_compared_again(desk):
    clean = desk.run(desk.export(), WINDOW)
    assert (clean["verdict"], clean["source"], clean["repair"]) == ("clean", "record", False), clean
    assert clean["from"].startswith("2020-") and clean["until"].startswith("2999-")
    desk.lose_refund()
    found = desk.run(desk.export(), WINDOW)
    assert (found["verdict"], found["repaired"]) == ("differences", 0) and found["report"]["repairable"] >= 1, found
    assert {row["kind"] for row in found["report"]["listed"] if row["code"] == "missing_here"} == {"refund"}
    repaired = desk.run(desk.export(), WINDOW + "&repair=1", media=BYTES,
                        **{"Careforall-Actor": "desk-7", "Careforall-Reason": "no webhooks came"})
    assert (repaired["verdict"], repaired["repair"], repaired["repaired"]) == ("clean", True, 1), repaired
    wait_totals(desk.wire, desk.campaign_id, raised_minor=2500, refunded_minor=1000)
    acts = desk.wire.server.get("/api/v1/admin/acts", token=True).json["acts"]
    compared = [act for act in acts if act["action"] == "book.reconcile"]
    assert len(compared) == 3 and (compared[2]["actor"], compared[2]["reason"]) == ("desk-7", "no webhooks came")
    assert desk.run(desk.export(), WINDOW, AUDITS)["verdict"] == "clean"


def test_a_payments_export_is_compared(desk):
    for media in (CSV, "text/csv; charset=utf-8"):
        found = desk.run(desk.csv(), "repair=1", media=media)
        assert (found["from"], found["until"], found["repaired"]) == (None, None, 0)
        [row] = found["report"]["listed"]
        assert (row["code"], row["field"], row["line"], row["repairable"]) == ("state_behind", "refunded_minor", 2, False), row
    assert desk.run(desk.csv().replace(desk.intent["id"].encode(), b"pi_foreign"), media=CSV)["report"]["foreign"] == 1
    strict = desk.run(desk.csv().replace(desk.intent["id"].encode(), b"pi_foreign"), "all_ours=1", media=CSV)
    assert strict["all_ours"] and strict["report"]["listed"][0]["code"] == "missing_here"


def test_an_audit_compares_the_file_in_its_own_snapshot(desk):
    clean = desk.run(desk.export(), WINDOW, AUDITS)
    assert (clean["verdict"], clean["source"]) == ("clean", "record") and clean["report"]["record"]["read"]["payment"] > 0
    desk.lose_refund()
    found = desk.run(desk.export(), WINDOW, AUDITS)
    assert found["verdict"] == "differences", found
    assert {finding["check"] for finding in found["report"]["findings"]} == {
        f"provider.{row['code']}" for row in found["report"]["record"]["listed"]}
    assert desk.wire.server.request("POST", AUDITS, token=True).json["source"] == "book"
    assert finished(desk.wire.server, AUDITS)["verdict"] == "clean"   # the book agrees with itself


def test_a_file_that_is_not_sound_is_refused_whole_with_its_line(desk):
    desk.lose_refund()
    for place in (RECONCILIATIONS, AUDITS):
        refused = desk.run(desk.export() + b'\n{"id":"re_1","object":"refund"', "" if place == AUDITS else "repair=1", place)
        assert (refused["state"], refused["report"]) == ("failed", None), refused
        assert re.search(r"line \d+.*the file ends inside", refused["problem"]["detail"]), refused
        assert desk.run(b"", place=place)["problem"]["detail"].endswith("the file is empty")
    assert desk.run(desk.csv().replace(b"25.00", b"25.001"), media=CSV)["problem"]["detail"].startswith("line 2")
    assert desk.run(desk.export(), WINDOW)["verdict"] == "differences"   # still


def test_a_book_of_another_provider_is_refused(small):
    body = HEADER + ROW % (1, 1)
    for place in (RECONCILIATIONS, AUDITS):
        assert post(small, body, place=place).status == 202
        refused = finished(small, place)
        assert refused["problem"]["code"] == "cfa_emode", refused
        assert 'of the provider "stripe", the book of "play"' in refused["problem"]["detail"]


# ---- what is refused before it is read -------------------------------------------------------------


@pytest.mark.parametrize("query, status, code, field", [
    ("from=2020-01-01T00:00:00Z", 400, "http_bad_query", "until"), ("until=2020-01-01T00:00:00Z", 400, "http_bad_query", "from"),
    ("from=soon&until=2020-01-01T00:00:00Z", 422, "cfa_einval", "from"), ("repair=yes", 400, "http_bad_query", "repair"),
    ("from=2020-01-02T00:00:00Z&until=2020-01-01T00:00:00Z", 422, "cfa_einval", "until"), ("all_ours=2", 400, "http_bad_query", "all_ours"),
    ("more=1", 400, "http_bad_query", None), ("repair=1&repair=1", 400, "http_bad_query", None)])
def test_what_is_asked_is_read_before_the_file_is(small, query, status, code, field):
    with sending(small, "Content-Length: 1000000\r\nExpect: 100-continue\r\n", f"?{query}") as peer:
        out = answered(peer)
    assert out.startswith(f"HTTP/1.1 {status} ".encode()) and f'"code":"{code}"'.encode() in out, out
    assert field is None or f'"field":"{field}"'.encode() in out, out
    assert small.get(f"{RECONCILIATIONS}/latest", token=True).status == 404


@pytest.mark.parametrize("place", (RECONCILIATIONS, AUDITS))
def test_only_the_service_may_send_and_only_such_files(small, place):
    path, body = f"{place}/record", HEADER + ROW % (1, 1)
    assert small.request("POST", path, body, {"Content-Type": CSV}).status == 401
    wrong = small.request("POST", path, body, {"Content-Type": CSV, "Authorization": "Bearer " + "x" * 40})
    assert (wrong.status, wrong.json["code"]) == (401, "http_unauthorized")
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "text/csv2"}, {"Content-Type": "multipart/form-data"},
                    {"Content-Type": CSV, "Content-Encoding": "gzip"}):
        assert small.request("POST", path, body, headers, token=True).status == 415
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        refused = small.request(method, path, token=True)
        assert refused.status == 405 and "POST" in refused.headers["allow"], refused
    long = small.request("POST", path, body, {"Content-Type": CSV, "Careforall-Actor": "a" * 201}, token=True)
    assert (long.status, long.json["field"]) == (422, "Careforall-Actor")
    assert small.get(f"{place}/latest", token=True).status == 404


def test_a_file_beyond_the_limit_is_refused_by_its_length_or_where_it_is_reached(small, temporary):
    with sending(small, f"Content-Length: {MIB + 1}\r\nExpect: 100-continue\r\n") as peer:
        assert answered(peer).startswith(b"HTTP/1.1 413 ")
    with sending(small, "Transfer-Encoding: chunked\r\n") as peer:
        chunk = b"%x\r\n" % 65536 + b"x" * 65536 + b"\r\n"
        peer.sendall(chunk * 17 + b"0\r\n\r\n")
        out = answered(peer)
    assert out.startswith(b"HTTP/1.1 413 ") and b"at most 1048576 bytes" in out, out
    assert left_behind(small, temporary) == []
    whole = HEADER + b"#" * (MIB - len(HEADER))
    assert post(small, whole).status == 202   # the limit itself is taken
    assert finished(small, RECONCILIATIONS)["state"] == "failed"


# ---- one at a time ---------------------------------------------------------------------------------


def test_while_work_runs_no_file_is_read(temporary, silent):  # noqa: F811
    assert silent.request("POST", RECONCILIATIONS, ALL_TIME, token=True).status == 202
    with sending(silent, "Content-Length: 100000000\r\nExpect: 100-continue\r\n") as peer:
        out = answered(peer)
    assert out.startswith(b"HTTP/1.1 409 ") and f"Location: {RECONCILIATIONS}/latest".encode() in out, out
    with sending(silent, "Transfer-Encoding: chunked\r\n") as peer:
        out = answered(peer)
    assert out.startswith(b"HTTP/1.1 409 ") and b"http_job_running" in out, out
    assert left_behind(silent, temporary) == []


def test_work_that_began_while_a_file_was_on_its_way_comes_first(temporary, silent):  # noqa: F811
    with sending(silent, f"Content-Length: {2 * MIB}\r\n") as peer:
        peer.sendall(b"x" * (MIB + 5))
        eventually(lambda: left_behind(silent, temporary), "a file")
        assert silent.request("POST", RECONCILIATIONS, ALL_TIME, token=True).status == 202
        peer.sendall(b"x" * (MIB - 5))
        out = answered(peer)
    assert out.startswith(b"HTTP/1.1 409 ") and f"Location: {RECONCILIATIONS}/latest".encode() in out, out
    assert left_behind(silent, temporary) == []
    latest = silent.get(f"{RECONCILIATIONS}/latest", token=True).json
    assert (latest["number"], latest["source"], latest["state"]) == (1, "live", "running")


def test_an_end_does_not_wait_for_a_comparison_with_a_file(start, tmp_path, temporary):
    book = Book(start, tmp_path)
    server = book.server
    assert post(server, b"".join(rows(300_000))).status == 202
    assert server.stop() == 0, server.log()
    assert os.listdir(temporary) == []


def test_of_two_files_one_is_taken_and_one_that_breaks_off_makes_room(small, temporary):
    body = HEADER + ROW % (1, 1)
    with sending(small, f"Content-Length: {MIB}\r\nExpect: 100-continue\r\n") as peer:
        assert answered(peer).startswith(b"HTTP/1.1 100 ")
        peer.sendall(body)
        busy = post(small, body)
        assert (busy.status, busy.json["code"]) == (409, "http_job_running") and "on its way" in busy.json["detail"], busy
        assert post(small, body, place=AUDITS).status == 409
    begun = eventually(lambda: (answer := post(small, body)).status == 202 and answer, "room for another file")
    assert begun.json["number"] == 1
    finished(small, RECONCILIATIONS)
    assert left_behind(small, temporary) == []


def test_a_file_that_breaks_off_behind_many_pieces_leaves_nothing(start, temporary):
    server = start("--memory", "--reconcile-every-hours", "0")
    with sending(server, f"Content-Length: {64 * MIB}\r\n") as peer:
        for _ in range(8):
            peer.sendall(b"x" * MIB)
        [name] = eventually(lambda: left_behind(server, temporary), "a file")
        assert name.endswith("(deleted)") and os.listdir(temporary) == []   # it never has a name to be found by
    eventually(lambda: left_behind(server, temporary) == [], "nothing left")
    assert server.get(f"{RECONCILIATIONS}/latest", token=True).status == 404


def test_a_file_that_stands_still_is_given_up(start, temporary):
    server = start("--memory", "--reconcile-every-hours", "0")
    with sending(server, f"Content-Length: {64 * MIB}\r\n") as peer:
        peer.sendall(b"x" * (2 * MIB + 5))
        assert peer.recv(1) == b""   # closed, within the time of a piece
    eventually(lambda: left_behind(server, temporary) == [], "nothing left")


def test_an_end_does_not_wait_for_a_file(start, temporary):
    server = start("--memory", "--reconcile-every-hours", "0", "--drain-ms", "500")
    with sending(server, f"Content-Length: {64 * MIB}\r\n") as peer:
        peer.sendall(b"x" * (2 * MIB + 5))
        eventually(lambda: left_behind(server, temporary), "a file")
        began = time.monotonic()
        assert server.stop() == 0, server.log()
        assert time.monotonic() - began < 10
    assert os.listdir(temporary) == []


# ---- size ------------------------------------------------------------------------------------------


def sanitized():
    """A sanitizer keeps what was freed for a while."""
    return b"__asan_init" in (binary := pathlib.Path(BINARY).read_bytes()) or b"__tsan_init" in binary


def memory_kib(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def test_a_large_file_is_streamed_in_bounded_memory_while_others_are_answered(own_wire, tmp_path, temporary):  # noqa: F811
    wire = own_wire("--reconcile-every-hours", "0", database=str(tmp_path / "book.db"))
    donation(wire)
    path, count = tmp_path / "large.csv", 1_200_000
    with path.open("wb") as file:
        for piece in rows(count):
            file.write(piece)
    size = path.stat().st_size
    assert size > 80 * MIB
    before = memory_kib(wire.server)
    worst = 0.0
    with sending(wire.server, f"Content-Length: {size}\r\n") as peer, path.open("rb") as file:
        while piece := file.read(4 * MIB):
            peer.sendall(piece)
            began = time.monotonic()
            assert wire.server.get("/health").status == 200
            worst = max(worst, time.monotonic() - began)
        assert answered(peer).startswith(b"HTTP/1.1 202 ")
    uploaded = memory_kib(wire.server)
    assert worst < 5, f"the loop stood still for {worst} s"
    compared = finished(wire.server, RECONCILIATIONS)
    assert compared["report"]["foreign"] == count, compared
    if not sanitized():
        assert uploaded - before < 16 * 1024, f"{uploaded - before} KiB for an upload of {size}"
    assert left_behind(wire.server, temporary) == []


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(temporary, monkeypatch):
    original = subprocess.Popen

    def limited(*words, **more):
        return original(*words, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3 * MIB, 3 * MIB)), **more)

    monkeypatch.setattr(subprocess, "Popen", limited)
    server = Server("--memory", "--reconcile-every-hours", "0")
    monkeypatch.setattr(subprocess, "Popen", original)
    try:
        for head, end in ((f"Content-Length: {16 * MIB}\r\n", b""), ("Transfer-Encoding: chunked\r\n", b"0\r\n\r\n")):
            piece = b"x" * MIB if not end else b"%x\r\n" % MIB + b"x" * MIB + b"\r\n"
            with sending(server, head) as peer:
                peer.sendall(piece * 16 + end)
                out = answered(peer)
            assert out.startswith(b"HTTP/1.1 503 ") and b"cfa_enospace" in out and b"no room" in out, out
            assert left_behind(server, temporary) == []
        assert server.get(f"{RECONCILIATIONS}/latest", token=True).status == 404
        assert post(server, HEADER + ROW % (1, 1)).status == 202
    finally:
        assert server.stop() == 0, server.log()


def test_a_directory_that_is_not_there_is_a_clear_error(start, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "absent"))
    answer = post(start("--memory", "--reconcile-every-hours", "0"), HEADER)
    assert (answer.status, answer.json["code"]) == (503, "cfa_eio") and "temporary files" in answer.json["detail"], answer
