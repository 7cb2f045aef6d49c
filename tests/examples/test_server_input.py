"""What the example server refuses: bad bodies, bad framing, too much of anything, wrong first tries."""

import contextlib
import json
import os
import socket
import sqlite3
import subprocess

import pytest

from conftest import BINARY, DEADLINE_S, TOKEN, Server, environment, new_key, promptly

CARD = "4242 4242 4242 4242"


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("input") / "book.db")
    server = Server("--database", path)
    server.path = path
    server.open_id = server.campaign(currencies=["EUR", "KWD", "JPY"])
    server.ended_id = server.campaign()
    ended = server.request("POST", f"/api/v1/campaigns/{server.ended_id}/end",
                           headers={"Idempotency-Key": new_key(), "If-Match": '"1"'}, token=True)
    assert ended.status == 200
    yield server
    assert server.stop() == 0, server.log()


def written(server):
    """Everything that a refused request must not change."""
    with contextlib.closing(sqlite3.connect(server.path)) as connection:
        names = [row[0] for row in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'cfa\\_%' ESCAPE '\\' ORDER BY 1")]
        assert "cfa_pledge" in names and "cfa_event" in names
        skip = ("cfa_sink", "cfa_totals", "cfa_contribution", "cfa_supporter")   # the projector's own
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
                for name in names if name not in skip}


def body_with(server, **changes):
    body = {"campaign_id": server.open_id, "amount": {"minor": 2500, "currency": "EUR"}}
    body.update(changes)
    return body


def amount(minor, currency="EUR", **more):
    return {"amount": {"minor": minor, "currency": currency, **more}}


def deep(levels):
    return b'{"a":' * levels + b"1" + b"}" * levels


def pledge_text(server, amount_text):
    return (b'{"campaign_id":"%s","amount":%s}' % (server.open_id.encode(), amount_text)).replace(b"\n", b"")


# name: (body as dict of changes, or function of the server to bytes), status, code, field
BAD_BODIES = {
    "unknown currency": (amount(1, "XQX"), 422, "cfa_ecurrency", "amount.currency"),
    "lower-case currency": (amount(1, "eur"), 422, "cfa_ecurrency", "amount.currency"),
    "long currency": (amount(1, "EURO"), 422, "cfa_ecurrency", "amount.currency"),
    "currency of another campaign": (amount(2500, "USD"), 422, "cfa_ecurrency", "amount.currency"),
    "negative": (amount(-1), 422, "cfa_erange", "amount"),
    "zero": (amount(0), 422, "cfa_erange", "amount"),
    "beyond 64 bits": (lambda s: pledge_text(s, b'{"minor":9223372036854775808,"currency":"EUR"}'),
                       422, "cfa_erange", "amount.minor"),
    "beyond the greatest amount": (amount(10**15 + 1), 422, "cfa_erange", "amount"),
    "below the provider's minimum": (amount(49), 422, "cfa_eamount", "amount"),
    "not representable": (amount(1001, "KWD"), 422, "cfa_eamount", "amount"),
    "float": (amount(12.5), 400, "http_wrong_type", "amount.minor"),
    "float that is whole": (lambda s: pledge_text(s, b'{"minor":12.0,"currency":"EUR"}'),
                            400, "http_wrong_type", "amount.minor"),
    "exponent": (lambda s: pledge_text(s, b'{"minor":1e3,"currency":"EUR"}'),
                 400, "http_wrong_type", "amount.minor"),
    "amount in quotes": (amount("2500"), 400, "http_wrong_type", "amount.minor"),
    "amount as number": ({"amount": 2500}, 400, "http_wrong_type", "amount"),
    "no amount": ({"amount": None}, 400, "http_missing_field", "amount"),
    "no minor": ({"amount": {"currency": "EUR"}}, 400, "http_missing_field", "amount.minor"),
    "no campaign": ({"campaign_id": None}, 400, "http_missing_field", "campaign_id"),
    "campaign of another kind": ({"campaign_id": "plg_01h455vb4pex5vsknk084sn02q"},
                                 422, "cfa_einval", "campaign_id"),
    "campaign that is none": ({"campaign_id": "cmp_01h455vb4pex5vsknk084sn02q"},
                              404, "cfa_enotfound", "campaign_id"),
    "ended campaign": (lambda s: json.dumps(body_with(s, campaign_id=s.ended_id)).encode(),
                       409, "cfa_eclosed", "campaign_id"),
    "unknown field": ({"state": "COMPLETED"}, 400, "http_unknown_field", "state"),
    "unknown field of the amount": (amount(1, scale=2), 400, "http_unknown_field", "amount.scale"),
    "unknown field of the donor": ({"donor": {"cvc": "123"}}, 400, "http_unknown_field", "donor.cvc"),
    "unknown visibility": ({"donor": {"visibility": "all"}}, 422, "cfa_einval", "donor.visibility"),
    "duplicate field": (lambda s: pledge_text(s, b'{"minor":1,"minor":2,"currency":"EUR"}'),
                        400, "http_duplicate_field", "amount.minor"),
    "NUL in text": ({"donor": {"name": "a\0b"}}, 400, "cfa_eencoding", "donor.name"),
    "raw NUL": (lambda s: b'{"campaign_id":"\0"}', 400, "http_bad_json", "campaign_id"),
    "control character": ({"donor": {"name": "a\x1b[31m"}}, 400, "cfa_eencoding", "donor.name"),
    "invalid UTF-8": (lambda s: b'{"donor":{"name":"\xff\xfe"}}', 400, "cfa_eencoding", "donor.name"),
    "overlong UTF-8": (lambda s: b'{"donor":{"name":"\xc0\xaf"}}', 400, "cfa_eencoding", "donor.name"),
    "lone surrogate": (lambda s: b'{"donor":{"name":"\\ud800"}}', 400, "http_bad_json", "donor.name"),
    "long name": ({"donor": {"name": "x" * 201}}, 422, "cfa_etoolong", "donor.name"),
    "long message": ({"donor": {"message": "x" * 1001}}, 422, "cfa_etoolong", "donor.message"),
    "card number as message": ({"donor": {"message": f"my card: {CARD}"}}, 422, "cfa_ecard", "donor.message"),
    "card number as name": ({"donor": {"name": CARD.replace(" ", "-")}}, 422, "cfa_ecard", "donor.name"),
    "card number as reference": ({"donor": {"reference": CARD.replace(" ", "")}},
                                 422, "cfa_ecard", "donor.reference"),
    "card number as payment method": ({"payment_method": CARD.replace(" ", "")},
                                      422, "cfa_ecard", "payment_method"),
    "too deep": (lambda s: deep(33), 400, "http_too_deep", None),
    "far too deep": (lambda s: b"[" * 60000, 400, "http_too_deep", None),
    "too many values": (lambda s: b"[" + b"0," * 1000 + b"0]", 400, "http_too_deep", None),
    "deep enough to be read": (lambda s: deep(32), 400, "http_unknown_field", "a"),
    "an array": (lambda s: b"[]", 400, "http_wrong_type", None),
    "a number": (lambda s: b"1", 400, "http_bad_json", None),
    "nothing": (lambda s: b"", 400, "http_bad_json", None),
    "half an object": (lambda s: b'{"campaign_id":', 400, "http_bad_json", "campaign_id"),
    "bytes after it": (lambda s: b"{} {}", 400, "http_bad_json", None),
    "not JSON": (lambda s: b"amount=2500", 400, "http_bad_json", None),
    "NaN": (lambda s: pledge_text(s, b'{"minor":NaN,"currency":"EUR"}'), 400, "http_bad_json", "amount.minor"),
}


def check_problem(answer, status, code, field):
    assert answer.headers["content-type"] == "application/problem+json", answer
    body = answer.json
    assert (answer.status, body["code"], body.get("field")) == (status, code, field), body
    assert body["status"] == status and body["detail"] and body["type"].endswith(code)
    assert CARD not in answer.body.decode() and CARD.replace(" ", "") not in answer.body.decode()


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_pledge_names_its_field_and_writes_nothing(book, name):
    change, status, code, field = BAD_BODIES[name]
    body = change(book) if callable(change) else body_with(book, **change)
    before = written(book)
    answer = book.request("POST", "/api/v1/pledges", body, {"Idempotency-Key": new_key()})
    check_problem(answer, status, code, field)
    assert written(book) == before
    assert book.totals(book.open_id)["currencies"][0]["pledged_minor"] == 0


@pytest.mark.parametrize("change, status, code, field", [
    ({"title": None}, 400, "http_missing_field", "title"),
    ({"title": ""}, 422, "cfa_einval", "title"),
    ({"title": "x" * 201}, 422, "cfa_etoolong", "title"),
    ({"title": CARD}, 422, "cfa_ecard", "title"),
    ({"currencies": []}, 422, "cfa_ecurrency", "currencies"),
    ({"currencies": "EUR"}, 400, "http_wrong_type", "currencies"),
    ({"currencies": ["EUR"] * 17}, 422, "cfa_ecurrency", "currencies"),
    ({"currencies": ["XQX"]}, 422, "cfa_ecurrency", "currencies"),
    ({"currencies": [1]}, 422, "cfa_ecurrency", "currencies"),
    ({"goal": {"minor": -5, "currency": "EUR"}}, 422, "cfa_erange", "goal"),
    ({"goal": {"minor": 5, "currency": "USD"}}, 422, "cfa_ecurrency", "goal"),
    ({"deadline": "tomorrow"}, 422, "cfa_einval", "deadline"),
    ({"deadline": "2026-02-30T00:00:00Z"}, 422, "cfa_einval", "deadline"),
    ({"deadline": "2999-01-01T00:00:00"}, 422, "cfa_einval", "deadline"),
    ({"late_rule": "maybe"}, 422, "cfa_einval", "late_rule"),
    ({"state": "OPEN"}, 400, "http_unknown_field", "state"),
])
def test_a_bad_campaign_names_its_field_and_writes_nothing(book, change, status, code, field):
    before = written(book)
    body = {"title": "Good", "currencies": ["EUR"], **change}
    answer = book.request("POST", "/api/v1/campaigns", body, {"Idempotency-Key": new_key()}, token=True)
    assert answer.json["code"] == code and answer.status == status, answer
    assert answer.json["field"].split(".")[0] == field, answer
    assert written(book) == before


@pytest.mark.parametrize("key, good", [
    (None, False), ("", False), ("short", False), ("x" * 19, False), ("x" * 20, True), ("x" * 255, True),
    ("x" * 256, False), ('"' + "q" * 20 + '"', True), ('"' + "q" * 20, False), ('""', False),
    ('"' + "q" * 20 + '"x', False), ("with space in the middle", False), ("ключключключключключ".encode(), False),
])
def test_idempotency_keys(book, key, good):
    before = written(book)
    headers = {"Idempotency-Key": key} if key is not None else {}
    answer = book.request("POST", "/api/v1/pledges", body_with(book, campaign_id="cmp_01h455vb4pex5vsknk084sn02q"),
                          headers)
    if good:   # the key is fine: the campaign is what is missed
        check_problem(answer, 404, "cfa_enotfound", "campaign_id")
    else:
        check_problem(answer, 400, "cfa_ekey", "Idempotency-Key")
    assert written(book) == before


def test_the_service_may_use_short_keys(book):
    answer = book.pledge("cmp_01h455vb4pex5vsknk084sn02q", "k1", token=True)
    check_problem(answer, 404, "cfa_enotfound", "campaign_id")


@pytest.mark.parametrize("path, status, code", [
    ("/", 404, "http_no_route"), ("/api/v1/campaigns/", 404, "http_no_route"),
    ("/api/v1/campaigns/x/y", 404, "http_no_route"), ("//health", 404, "http_no_route"),
    ("/health/", 404, "http_no_route"), ("/%68ealth", 404, "http_no_route"),
    ("/api/v1/campaigns/../campaigns", 404, "http_no_route"),
    ("/api/v1/campaigns/nothing", 400, "cfa_einval"),
    ("/api/v1/campaigns/cmp_01h455vb4pex5vsknk084sn02q", 404, "cfa_enotfound"),
    ("/api/v1/campaigns/cmp_01h455vb4pex5vsknk084sn02q/totals", 404, "cfa_enotfound"),
    ("/api/v1/pledges/plg_01h455vb4pex5vsknk084sn02q", 404, "cfa_enotfound"),
    ("/api/v1/pledges/cmp_01h455vb4pex5vsknk084sn02q", 404, "cfa_enotfound"),
    ("/api/v1/pledges/" + "x" * 64, 404, "http_no_route"),
    ("/api/v1/campaigns?limit=0", 400, "http_bad_query"), ("/api/v1/campaigns?limit=1001", 400, "http_bad_query"),
    ("/api/v1/campaigns?limit=ten", 400, "http_bad_query"), ("/api/v1/campaigns?limt=1", 400, "http_bad_query"),
    ("/api/v1/campaigns?limit=1&limit=2", 400, "http_bad_query"),
    ("/api/v1/campaigns?after=%00", 400, "cfa_einval"),
    ("/health?x=1", 400, "http_bad_query"),
    ("/" + "x" * 3000, 414, "http_target_too_long"),
])
def test_bad_targets(book, path, status, code):
    answer = book.get(path)
    assert (answer.status, answer.json["code"]) == (status, code), answer


@pytest.mark.parametrize("method, path, allow", [
    ("DELETE", "/api/v1/campaigns", "POST, GET, HEAD, OPTIONS"), ("PATCH", "/api/v1/pledges", "POST, OPTIONS"),
    ("GET", "/api/v1/pledges", "POST, OPTIONS"), ("POST", "/health", "GET, HEAD, OPTIONS"),
    ("TRACE", "/health", "GET, HEAD, OPTIONS"), ("get", "/health", "GET, HEAD, OPTIONS"),
])
def test_other_methods_are_told_the_right_ones(book, method, path, allow):
    answer = book.request(method, path)
    assert answer.status == 405 and answer.headers["allow"] == allow, answer
    assert answer.json["code"] == "http_no_method"


def test_head_is_get_without_the_body(book):
    answer = book.request("HEAD", "/health")
    assert answer.status == 200 and answer.body == b"" and int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp",
                                  "application/json; charset=latin1", ""])
def test_only_json_is_taken(book, kind):
    answer = book.request("POST", "/api/v1/pledges", body_with(book),
                          {"Idempotency-Key": new_key(), "Content-Type": kind})
    check_problem(answer, 415, "http_bad_media_type", "Content-Type")


def test_answers_carry_the_safe_headers(book):
    for answer in (book.get("/health"), book.get("/nothing")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
    first, second = book.get("/health"), book.get("/health")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


# ---- how much ------------------------------------------------------------------------------------


def padded(book, size):
    """A body of exactly `size` bytes that is refused for its content alone."""
    body = json.dumps({"zzz": ""}).encode()
    return body[:-2] + b"x" * (size - len(body)) + body[-2:]


@pytest.mark.parametrize("size, code", [(65535, "http_unknown_field"), (65536, "http_unknown_field"),
                                        (65537, "http_body_too_large"), (900000, "http_body_too_large")])
@pytest.mark.parametrize("chunked", [False, True])
def test_the_body_limit(book, size, code, chunked):
    body = padded(book, size)
    head = (f"POST /api/v1/pledges HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Idempotency-Key: {new_key()}\r\nConnection: close\r\n").encode()
    if chunked:
        data = head + b"Transfer-Encoding: chunked\r\n\r\n"
        for at in range(0, size, 7000):
            piece = body[at:at + 7000]
            data += b"%x\r\n%s\r\n" % (len(piece), piece)
        data += b"0\r\n\r\n"
    else:
        data = head + b"Content-Length: %d\r\n\r\n" % size + body
    assert code.encode() in book.raw(data)


def test_ten_megabytes_are_refused_before_they_are_sent(book):
    before = written(book)
    head = (f"POST /api/v1/pledges HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Idempotency-Key: {new_key()}\r\nContent-Length: 10485760\r\n\r\n").encode()
    out = book.raw(head)
    assert out.startswith(b"HTTP/1.1 413") and b"http_body_too_large" in out
    expect = book.raw(head.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
    assert expect.startswith(b"HTTP/1.1 413"), expect
    # Sent all the same: an answer or a closed connection, and a server that lives.
    book.raw(head + b"x" * 10485760)
    chunked = head.replace(b"Content-Length: 10485760", b"Transfer-Encoding: chunked")
    book.raw(chunked + b"%x\r\n%s\r\n" % (10485760, b"x" * 10485760) + b"0\r\n\r\n")
    assert written(book) == before and book.get("/health").status == 200


def test_a_refused_body_leaves_the_connection_in_step(book):
    data = (b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 24\r\n\r\nGET /health HTTP/1.1\r\n\r\n"
            b"GET /api/v1/campaigns?limit=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    out = book.raw(data)
    assert out.count(b"HTTP/1.1 ") == 2 and b"http_no_route" in out and b'"campaigns"' in out
    assert b'"storage"' not in out


@pytest.mark.parametrize("headers, status", [
    (b"".join(b"X-%d: 1\r\n" % number for number in range(62)), b"200"),
    (b"".join(b"X-%d: 1\r\n" % number for number in range(63)), b"431"),
    (b"X-Long: " + b"y" * 9000 + b"\r\n", b"200"),
    (b"X-Long: " + b"y" * 17000 + b"\r\n", b"431"),
    (b"X-Long: " + b"y" * 200000 + b"\r\n", b"431"),
])
def test_header_limits(book, headers, status):
    out = book.raw(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + b"\r\n")
    # Beyond its memory libmicrohttpd may close without a word; it never answers 200.
    assert out[9:12] == status or (status == b"431" and out[:12] in (b"", b"HTTP/1.1 414", b"HTTP/1.1 400")), out


# ---- peers that make no sense; test_probes.py has the rest ---------------------------------------


def test_rubbish_and_slow_peers_do_not_disturb_others(book):
    book.raw(bytes(range(256)) * 64, shut=True)
    book.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200, shut=True)   # a TLS hello
    idle = [socket.create_connection(("127.0.0.1", book.port)) for _ in range(50)]
    for peer in idle[:25]:
        peer.sendall(b"POST /api/v1/pledges HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert book.get("/health").status == 200
    for peer in idle:
        peer.close()
    assert book.get("/health").status == 200


def test_an_unfinished_request_is_ended_by_its_deadline(book):
    def begin():
        with socket.create_connection(("127.0.0.1", book.port), timeout=DEADLINE_S) as peer:
            peer.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
            with contextlib.suppress(ConnectionError):
                while peer.recv(1024):
                    pass
    promptly(14, begin)


# ---- wrong first tries ---------------------------------------------------------------------------


def try_start(*arguments, env=None):
    done = subprocess.run([BINARY, *arguments], env=env or environment(), capture_output=True, text=True,
                          timeout=DEADLINE_S, check=False)
    return done.returncode, done.stdout, done.stderr


def newer_schema(path):
    assert try_start("migrate", "--database", path)[0] == 0
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO cfa_schema SELECT version + 1000, applied_us, library FROM cfa_schema")
        connection.commit()


def wrong_tries(tmp_path):
    """name: (arguments, environment, exit code, words of the fix)"""
    database = str(tmp_path / "book.db")
    (tmp_path / "file").write_text("x")
    (tmp_path / "not-a-database").write_bytes(b"This is not a database at all. " * 100)
    newer_schema(str(tmp_path / "newer.db"))
    (tmp_path / "short-token").write_text("short\n")
    (tmp_path / "open-token").write_text(TOKEN)
    for name, mode in (("short-token", 0o600), ("open-token", 0o644)):
        os.chmod(tmp_path / name, mode)
    no_token = environment(CAREFORALL_ADMIN_TOKEN=None)
    return {
        "bad listen address": (["serve", "--memory", "--listen", "8080"], None, 2, "HOST:PORT"),
        "port out of range": (["serve", "--memory", "--listen", "127.0.0.1:99999"], None, 2, "HOST:PORT"),
        "foreign address": (["serve", "--memory", "--listen", "192.0.2.1:0"], None, 1, "address of this machine"),
        "directory missing": (["serve", "--database", str(tmp_path / "a/b/book.db")], None, 2, "mkdir -p"),
        "file as directory": (["serve", "--database", str(tmp_path / "file/book.db")], None, 2, "directory"),
        "directory as file": (["serve", "--database", str(tmp_path)], None, 2, "path of a file"),
        "not a database": (["serve", "--database", str(tmp_path / "not-a-database")], None, 1, "--database"),
        "newer schema": (["serve", "--database", str(tmp_path / "newer.db")], None, 1, "version"),
        "no database": (["serve"], None, 2, "--database"),
        "no token": (["serve", "--database", database], no_token, 2, "--admin-token-file"),
        "short token": (["serve", "--database", database],
                        environment(CAREFORALL_ADMIN_TOKEN="hunter2"), 2, "at least 32"),
        "short token in a file": (["serve", "--memory", "--admin-token-file", str(tmp_path / "short-token")],
                                  no_token, 2, "at least 32"),
        "token file missing": (["serve", "--memory", "--admin-token-file", str(tmp_path / "none")],
                               no_token, 2, "check the path"),
        "token file open to all": (["serve", "--memory", "--admin-token-file", str(tmp_path / "open-token")],
                                   no_token, 2, "chmod 600"),
        "unknown provider": (["serve", "--memory", "--provider", "https://api.example"], None, 2,
                             "use none, play or stripe"),
        "short webhook secret": (["serve", "--memory"], environment(CAREFORALL_WEBHOOK_SECRET="x"), 2,
                                 "at least 16"),
        "unknown flag": (["serve", "--memory", "--databse", "x"], None, 2, "--help"),
        "flag without value": (["serve", "--database"], None, 2, "needs a value"),
        "bad number": (["serve", "--memory", "--requests", "many"], None, 2, "whole number"),
        "unknown subcommand": (["start"], None, 2, "serve"),
        "no subcommand": ([], None, 2, "serve"),
        "events into nowhere": (["serve", "--memory", "--events", str(tmp_path / "a/b/events")], None, 2,
                                "--events"),
    }


def test_each_wrong_first_try_prints_one_line_with_the_fix(tmp_path):
    for name, (arguments, env, code, words) in wrong_tries(tmp_path).items():
        found, out, err = try_start(*arguments, env=env)
        assert (found, out) == (code, ""), (name, found, out, err)
        assert err.count("\n") == 1 and err.startswith("careforall-server: "), (name, err)
        assert words in err, (name, err)
        assert "hunter2" not in err, (name, err)


def test_a_taken_port_is_named(book):
    code, out, err = try_start("serve", "--memory", "--listen", f"127.0.0.1:{book.port}")
    assert (code, out, err.count("\n")) == (1, "", 1) and "port is taken" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere; a file as directory is tested above")
def test_a_read_only_directory_is_named(tmp_path):
    (tmp_path / "sealed").mkdir(mode=0o500)
    code, _, err = try_start("serve", "--database", str(tmp_path / "sealed/book.db"))
    assert code == 2 and err.count("\n") == 1 and "read-only" in err


def test_the_program_explains_itself(tmp_path):
    for flag in ("--help", "help"):
        code, out, err = try_start(flag)
        assert (code, err) == (0, "") and "--admin-token-file" in out
    code, out, err = try_start("--version")
    assert (code, err) == (0, "") and out.startswith("careforall-server 0.")
    code, out, err = try_start("serve", "--database", str(tmp_path / "book.db"), "--check-config")
    assert (code, err, out) == (0, "", "the configuration is good\n")
    assert not (tmp_path / "book.db").exists()
    code, out, err = try_start("migrate", "--database", str(tmp_path / "book.db"))
    assert (code, err) == (0, "") and (tmp_path / "book.db").exists()


def test_the_token_can_come_from_a_file(tmp_path, start):
    (tmp_path / "token").write_text(TOKEN + "\n")
    os.chmod(tmp_path / "token", 0o600)
    server = start("--memory", "--admin-token-file", str(tmp_path / "token"),
                   env=environment(CAREFORALL_ADMIN_TOKEN=None))
    assert server.campaign().startswith("cmp_")
