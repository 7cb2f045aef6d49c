"""What HTTP adds around the routes: ids, logs without secrets, limits, tags, pages, other origins."""

import contextlib
import http.client
import json
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import pytest

from conftest import BINARY, DEADLINE_S, TOKEN, WEBHOOK_SECRET, Server, environment, eventually, new_key, promptly

ORIGIN = "https://donate.example"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    server = Server("--database", str(tmp_path_factory.mktemp("http") / "book.db"), "--cors-origins",
                    f"https://other.example {ORIGIN}")
    yield server
    assert server.stop() == 0, server.log()


def lines_of(server):
    return [json.loads(line) for line in server.log().splitlines()]


def line_of(server, request_id):
    def find():
        return next((line for line in lines_of(server)
                     if line["event"] == "request" and line["request_id"] == request_id), None)
    return eventually(find, "the request's line in the log")


def head(method, path, *headers):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


# ---- ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["a1234567", "A-Z_a.z-0123456789", "x" * 64, "7d3c0b1e-0000-4000-8000-00000000000a"])
def test_a_good_request_id_is_taken_over(book, given):
    answer = book.get("/nothing", headers={"X-Request-Id": given})
    assert answer.headers["x-request-id"] == given and answer.json["request_id"] == given
    assert line_of(book, given)["status"] == 404


@pytest.mark.parametrize("given", ["", "short12", "x" * 65, "4242424242424242", "with space", "a@example.org",
                                   'quote"quote', "a" * 20 + "\t", "ключключ".encode(), "a<b>cdefgh", "{1234567a}"])
def test_other_request_ids_are_replaced(book, given):
    answer = book.get("/nothing", headers={"X-Request-Id": given})
    made = answer.headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", made) and answer.json["request_id"] == made


def test_two_request_ids_are_none(book):
    out = book.raw(head("GET", "/nothing", "X-Request-Id: first-id-1", "X-Request-Id: second-id-2",
                        "Connection: close"))
    assert b"first-id-1" not in out and b"second-id-2" not in out


def test_a_trace_names_the_request_and_reaches_the_events(tmp_path, start):
    events = tmp_path / "events.ndjson"
    server = start("--database", str(tmp_path / "book.db"), "--events", str(events))
    answer = server.pledge(server.campaign(), headers={"traceparent": TRACE})
    assert answer.status == 201 and answer.headers["x-request-id"] == TRACE[3:35]
    assert line_of(server, TRACE[3:35])["trace_id"] == TRACE[3:35]
    named = server.get("/health", headers={"traceparent": TRACE, "X-Request-Id": "own-id-12"})
    assert named.headers["x-request-id"] == "own-id-12"
    assert line_of(server, "own-id-12")["trace_id"] == TRACE[3:35]

    def traced():
        rows = [json.loads(line) for line in events.read_bytes().splitlines()] if events.exists() else []
        return [row for row in rows if row.get("traceparent") == TRACE]
    assert any("pledge.created" in row["type"] for row in eventually(traced, "the trace in the events"))


@pytest.mark.parametrize("given", ["", "00", TRACE[:-1], TRACE + "0", TRACE.upper(),
                                   "ff" + TRACE[2:], TRACE.replace("-", "_"),
                                   "00-" + "0" * 32 + TRACE[35:], TRACE[:36] + "0" * 16 + "-01"])
def test_a_malformed_trace_is_as_none(book, given):
    answer = book.get("/nothing", headers={"traceparent": given})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    assert answer.headers["x-request-id"] not in given
    assert "trace_id" not in line_of(book, answer.headers["x-request-id"])


def test_every_kind_of_answer_carries_an_id(book):
    campaign_id = book.campaign()
    tag = eventually(lambda: settled(book, f"/api/v1/campaigns/{campaign_id}"), "its totals").headers["etag"]
    answers = [book.get("/health"), book.get("/nothing"), book.request("OPTIONS", "/health"),
               book.request("DELETE", "/health"),
               book.request("HEAD", "/health"), book.get("/health", headers={"Content-Length": "1"}),
               book.get(f"/api/v1/campaigns/{campaign_id}", headers={"If-None-Match": tag}),
               book.pledge(campaign_id, minor=-1), book.request("PUT", f"/api/v1/campaigns/{campaign_id}")]
    assert {answer.status for answer in answers} == {200, 204, 304, 401, 404, 405, 413, 422}
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == len(answers)
    for answer in answers:
        if answer.headers.get("content-type") == "application/problem+json":
            assert answer.json["request_id"] == answer.headers["x-request-id"]


# ---- the log -------------------------------------------------------------------------------------

MARK = "Canary"
LINE = {"time", "level", "event", "request_id", "method", "route", "status", "duration_us", "bytes_in", "bytes_out",
        "replayed", "code", "trace_id", "ended"}


def drive_every_route(server):
    """Each route of the description, well and badly, with something secret wherever something can be put."""
    document = server.get("/openapi.json").json
    campaign_id = server.campaign(title=f"{MARK} title")
    made = server.pledge(campaign_id, f"{MARK}-key-{new_key()}", donor={
        "name": f"{MARK} name", "email": f"{MARK}@example.org", "message": f"{MARK} message",
        "reference": f"{MARK}-ref"})
    assert made.status == 201
    secrets = [made.json["client_secret"], made.headers.get("careforall-pledge-token", MARK), made.json["payment_id"]]
    nobody = "01h455vb4pex5vsknk084sn02q"
    ids = {"/api/v1/campaigns": campaign_id, "/api/v1/pledges": made.json["id"],
           "/api/v1/payments": made.json["payment_id"], "/api/v1/admin/explain": made.json["id"],
           "/api/v1/admin/doctor": "webhook_parked",
           "/api/v1/refunds": f"rfd_{nobody}", "/api/v1/disputes": f"dsp_{nobody}"}
    bodies = [{"title": f"{MARK} title", "currencies": ["EUR"]}, {f"{MARK}field": f"{MARK} value"},
              {"client_secret": secrets[0], "payment_method": f"pm_{MARK}"},
              {"client_secret": secrets[0], "payment_method": "pm_ok"}, {"reason": f"{MARK} reason"},
              {"from": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z"}, {"from": f"{MARK} from"},
              {"campaign_id": campaign_id, "amount": {"minor": 2500, "currency": "EUR"},
               "donor": {"name": f"{MARK} name"}}, f'{{"{MARK}": "{MARK}\\u0000"}}'.encode(),
              f"{MARK} no JSON".encode()]
    count = 0
    for path, entry in document["paths"].items():
        target = re.sub(r"^(/api/v1/(?:admin/)?\w+)/\{id\}", lambda found: f"{found[1]}/{ids[found[1]]}", path)
        wrong = re.sub(r"\{id\}", f"{MARK}id", path)
        for method in {*map(str.upper, entry), "OPTIONS", "DELETE"}:
            for headers in ({"Authorization": f"Bearer {TOKEN}"}, {"Authorization": f"Bearer {MARK}"},
                            {"Careforall-Pledge-Token": secrets[1]}, {}):
                for place in (target, wrong, f"{target}?{MARK}={MARK}", f"{target}?after={MARK}",
                              f"{target}?at_least={MARK}"):
                    for body in (bodies if method in ("POST", "PUT") and place == target else [None]):
                        answer = server.request(method, place, body, {
                            "Idempotency-Key": f"{MARK}{new_key()}", "If-Match": f'"{MARK}"',
                            "Cookie": f"session={MARK}", "Careforall-Actor": MARK, "Careforall-Reason": MARK,
                            "Careforall-Signature": f"t=1,v1={MARK}", "Stripe-Signature": f"{MARK}", "User-Agent": MARK,
                            "Referer": f"https://example.org/{MARK}", "X-Forwarded-For": "203.0.113.77",
                            "X-Request-Id": f"{MARK}@no-id", "Origin": f"https://{MARK}.example", **headers})
                        assert 200 <= answer.status < 500 or answer.status == 503, (method, place, answer)
                        count += 1
    return secrets, count


def test_no_secret_of_any_route_reaches_the_log(tmp_path, start):
    server = start("--database", str(tmp_path / "book.db"))
    secrets, count = drive_every_route(server)
    assert server.stop() == 0
    log = server.log()
    for secret in (MARK, MARK.lower() + "-", TOKEN, WEBHOOK_SECRET, "203.0.113.77", "127.0.0.1", "example.org",
                   *secrets):
        assert secret not in log, (secret, log[max(0, log.find(secret) - 200):][:400])
    lines = [line for line in lines_of(server) if line["event"] == "request"]
    assert len(lines) >= count > 200
    routes = set(re.findall(r'\.pattern = "([^"]+)"', (server_source() / "route.c").read_text(encoding="utf-8")))
    for line in lines:
        assert set(line) <= LINE, line
        assert line["route"] == "-" or line["route"] in routes, line
        assert line["method"] in ("GET", "HEAD", "POST", "PUT", "OPTIONS", "?"), line
    assert routes <= {line["route"] for line in lines}


def server_source():
    from conftest import ROOT
    return ROOT / "examples" / "server"


def test_addresses_are_logged_only_when_asked_for(start):
    server = start("--memory", "--log-addresses")
    server.get("/health", headers={"X-Request-Id": "with-address"})
    assert line_of(server, "with-address")["address"] == "127.0.0.1"


def test_a_log_that_nobody_reads_holds_nothing_up():
    process = subprocess.Popen([BINARY, "serve", "--listen", "127.0.0.1:0", "--memory"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=environment(), bufsize=0)
    try:
        port = int(re.search(rb":(\d+)\n", process.stdout.readline())[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
        for _ in range(900):   # a pipe holds 64 KiB: a quarter of these lines
            connection.request("GET", "/nothing")
            assert connection.getresponse().read()
        connection.close()
        first = process.stderr.read(65536)
        assert first.endswith(b"}\n")
        connection.request("GET", "/nothing")
        assert connection.getresponse().read()
        connection.close()
    finally:
        process.send_signal(signal.SIGTERM)
    rest = process.stderr.read()
    assert process.wait(DEADLINE_S) == 0
    process.stdout.close()
    process.stderr.close()
    lines = [json.loads(line) for line in (first + rest).splitlines()]
    lost = sum(line["lines"] for line in lines if line["event"] == "log_lost")
    assert lost > 100 and sum(line["event"] == "request" for line in lines) + lost == 901


# ---- limits --------------------------------------------------------------------------------------


def test_the_target_limit(book):
    for size, status in ((2047, 404), (2048, 404), (2049, 414)):
        assert book.get("/" + "x" * (size - 1)).status == status, size
    # The query counts.
    for size, status in ((2048, 400), (2049, 414)):
        path = "/health?x="
        assert book.get(path + "y" * (size - len(path))).status == status, size


def test_the_header_limits_to_the_byte(book):
    def answer(count, total):
        """`count` headers that have `total` bytes together, with the line ends."""
        fixed = ["Host: x", "Connection: close", *[f"X-{number:03}: 1" for number in range(count - 3)]]
        used = sum(len(line) + 2 for line in fixed)
        lines = ["GET /health HTTP/1.1", *fixed, "Y: " + "y" * (total - used - 5), "", ""]
        return book.raw("\r\n".join(lines).encode())
    for count, total, status in ((64, 1000, b"200"), (65, 1000, b"431"), (10, 16383, b"200"), (10, 16384, b"200"),
                                 (10, 16385, b"431")):
        out = answer(count, total)
        assert out[9:12] == status, (count, total, out)
        assert (b"http_headers_too_large" in out) == (status == b"431")


def test_the_limit_of_a_webhook_body(book):
    for size, code in ((512 * 1024, b"cfa_esignature"), (512 * 1024 + 1, b"http_body_too_large")):
        out = book.raw(head("POST", "/webhooks/payment", f"Content-Length: {size}", "Connection: close",
                            f"Careforall-Signature: t={int(time.time())},v1={'0' * 64}") + b"x" * size)
        assert code in out, (size, out)


def test_routes_without_a_body_take_none(book):
    for path in ("/health", "/api/v1/campaigns", "/openapi.json"):
        out = book.raw(head("GET", path, "Content-Length: 1") + b"x")
        assert out.startswith(b"HTTP/1.1 413") and b"\r\nConnection: close\r\n" in out, out
        assert book.raw(head("GET", path, "Content-Length: 0", "Connection: close")).startswith(b"HTTP/1.1 200")


def test_a_compressed_body_is_refused(book):
    answer = book.request("POST", "/api/v1/pledges", {}, {"Content-Encoding": "gzip", "Idempotency-Key": new_key()})
    assert answer.status == 415 and answer.json["field"] == "Content-Encoding"


def test_a_connection_ends_after_its_thousandth_request(book):
    connection = http.client.HTTPConnection("127.0.0.1", book.port, timeout=DEADLINE_S)
    for number in range(1, 1001):
        connection.request("GET", "/nothing")
        response = connection.getresponse()
        response.read()
        assert (response.getheader("Connection") == "close") == (number == 1000), number
    connection.close()


def test_one_address_has_its_share_of_connections(start):
    server = start("--memory", "--connections-per-address", "10")
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) for _ in range(10)]
    for peer in held:
        peer.sendall(head("GET", "/health"))
        assert peer.recv(65536).startswith(b"HTTP/1.1 200")
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) as refused:
        with contextlib.suppress(ConnectionError):
            refused.sendall(head("GET", "/health"))
            assert refused.recv(1) == b""
    other = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S, source_address=("127.0.0.2", 0))
    other.sendall(head("GET", "/health"))
    assert other.recv(65536).startswith(b"HTTP/1.1 200")
    for peer in (*held, other):
        peer.close()


def test_idle_connections_make_room_for_those_that_ask(start):
    def ask(server, held):
        assert server.get("/health").status == 200
        for peer in held:
            peer.close()
    promptly(5, lambda: ask(*crowd(start("--memory", "--connections", "40"))))


def crowd(server):
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) for _ in range(200)]
    for peer in held[::3]:
        with contextlib.suppress(ConnectionError):
            peer.sendall(b"GET /health HTTP/1.1\r\n")
    return server, held


@contextlib.contextmanager
def locked(path):
    connection = sqlite3.connect(path, isolation_level=None, timeout=DEADLINE_S)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def test_too_much_work_is_refused_before_the_body_is_read(tmp_path, start):
    path = str(tmp_path / "book.db")
    server = start("--database", path, "--requests", "3")
    campaign_id = server.campaign()
    over, durations = threading.Event(), []

    def keep_asking():   # whoever has waited long enough for the lock comes again
        while not over.is_set():
            server.pledge(campaign_id)

    flights = [threading.Thread(target=keep_asking) for _ in range(3)]
    with contextlib.ExitStack() as ending, locked(path):
        ending.callback(over.set)
        for flight in flights:
            flight.start()

        def full():
            with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) as peer:
                # The answer comes without the body: nothing was parsed, nothing was begun.
                peer.sendall(head("POST", "/api/v1/pledges", "Content-Type: application/json",
                                  f"Idempotency-Key: {new_key()}", "Expect: 100-continue", "Content-Length: 50"))
                return (out := peer.recv(65536)).startswith(b"HTTP/1.1 503") and out
        out = eventually(full, "the limit of requests in work")
        assert b"http_overloaded" in out and b"\r\nRetry-After: 1\r\n" in out

        def refused_soon():   # and again, where the machine was busy
            durations[:] = [line["duration_us"] for line in lines_of(server) if line.get("code") == "http_overloaded"]
            return min(durations, default=20000) < 20000 or full() and False
        eventually(refused_soon, f"a refusal within 20 ms: {durations}")
    for flight in flights:
        flight.join(DEADLINE_S)
    assert server.get("/health").status == 200


def test_slow_peers_meet_their_deadlines(book):
    """One of each kind at once: silent, in the first line, in the headers, in the body, and one that reads nothing."""
    late = {}
    for _ in range(3):   # late for once is the machine's doing, not the deadline's
        late = slow_peers_that_end_late(book)
        if not late:
            return
    assert not late


def slow_peers_that_end_late(book):
    kinds = {
        "silent": (b"", 9, 13), "first line": (b"GET /hea", 9, 13),
        "headers": (b"GET /health HTTP/1.1\r\nHost: x\r\nX: ", 9, 14),
        "body": (head("POST", "/api/v1/pledges", "Content-Type: application/json", "Content-Length: 60000"), 18, 24),
        "kept": (head("GET", "/health"), 14, 19),
    }
    began, peers, ended = time.monotonic(), {}, {}
    for name, (data, _, _) in kinds.items():
        peers[name] = socket.create_connection(("127.0.0.1", book.port), timeout=DEADLINE_S)
        peers[name].sendall(data)
    assert peers["kept"].recv(65536).startswith(b"HTTP/1.1 200")
    while peers and time.monotonic() - began < DEADLINE_S:
        for name in list(peers):
            try:
                if name not in ("silent", "kept"):
                    peers[name].send(b"x")   # a byte now and then moves no deadline
                peers[name].settimeout(0.2)
                over = peers[name].recv(65536) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                over = True
            if over:
                ended[name] = time.monotonic() - began
                peers.pop(name).close()
    assert not peers, peers
    for name, (_, least, _) in kinds.items():
        assert least <= ended[name], (name, ended)
    return {name: ended[name] for name, (_, _, most) in kinds.items() if ended[name] > most}


def test_unfinished_requests_do_not_hold_up_the_end(start):
    def end(server, peers):
        assert server.stop() == 0, server.log()
        for peer in peers:
            peer.close()
    promptly(3, lambda: end(*begin_many(start("--memory", "--drain-ms", "300"))))


def begin_many(server):
    peers = []
    for data in (b"", b"GET /he", b"GET /health HTTP/1.1\r\nHost: x\r\n", head("GET", "/health"),
                 head("POST", "/api/v1/pledges", "Content-Type: application/json", "Content-Length: 100") + b"{"):
        peers.append(socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S))
        peers[-1].sendall(data)
    assert server.get("/health").status == 200   # what was sent before was read
    return server, peers


# ---- tags, pages ---------------------------------------------------------------------------------


def test_a_campaign_that_did_not_change_is_not_sent_again(book):
    campaign_id = book.campaign()
    for path in (f"/api/v1/campaigns/{campaign_id}", f"/api/v1/campaigns/{campaign_id}/totals"):
        first = eventually(lambda: settled(book, path), "the totals of a new campaign")
        tag = first.headers["etag"]
        assert first.headers["cache-control"] == "no-cache"
        for match in (tag, f'"other", {tag}', "*", tag.removeprefix("W/"), f"W/{tag}" if tag[0] == '"' else tag):
            same = book.get(path, headers={"If-None-Match": match})
            assert (same.status, same.body) == (304, b""), (path, match, same)
            assert same.headers["etag"] == tag and "content-type" not in same.headers
        for match in ("", '"other"', tag.replace('"', ""), tag[:-1], f'"x{tag}'):
            assert book.get(path, headers={"If-None-Match": match}).status == 200, (path, match)
    pledge = book.pledge(campaign_id)
    position = pledge.headers["careforall-position"]
    for path in (f"/api/v1/campaigns/{campaign_id}", f"/api/v1/campaigns/{campaign_id}/totals"):
        assert book.get(f"{path}?at_least={position}", headers={"If-None-Match": tag}).status == 200


def settled(server, path):
    """The projector has reached the campaign: its version will not move by itself any more."""
    answer = server.get(path)
    totals = answer.json.get("totals", answer.json)
    return answer if totals["version"] > 0 else None


def test_a_change_needs_the_version_that_was_read(book):
    campaign_id = book.campaign()
    path = f"/api/v1/campaigns/{campaign_id}"
    body = {"title": "New", "currencies": ["EUR"]}

    def put(match):
        headers = {"Idempotency-Key": new_key(), **({"If-Match": match} if match else {})}
        return book.request("PUT", path, body, headers, token=True)
    for match in ("W/\"1\"", "*", "1-", '"1-"', '"-1"', '"1-2-3"', '"01x"', '"0"', '""', "one", '"1", "2"',
                  '"1-99999999999999999999"'):
        answer = put(match)
        assert (answer.status, answer.json["code"]) == (400, "http_bad_header"), (match, answer)
    assert put(None).status == 428
    assert put('"2"').status == 412 and put('"2-1"').status == 412
    tag = book.get(path).headers["etag"]
    changed = put(tag)
    assert changed.status == 200 and changed.headers["etag"] == '"2"'
    assert put(tag).status == 412 and put(changed.headers["etag"]).status == 200


def follow(server, path, name, token=False):
    seen, pages = [], 0
    while path:
        answer = server.get(path, token=token)
        assert answer.status == 200, answer
        seen += [row["id"] for row in answer.json[name]]
        link = re.fullmatch(r'<(/api/v1/[^>]+)>; rel="next"', answer.headers.get("link", ""))
        assert (link is not None) == (answer.json["next"] is not None)
        assert link is None or link[1].endswith(f"after={answer.json['next']}")
        path, pages = link and link[1], pages + 1
    return seen, pages


def test_pages_are_followed_by_their_links(tmp_path, start):
    server = start("--database", str(tmp_path / "book.db"))
    campaigns = [server.campaign(title=str(number)) for number in range(7)]
    assert follow(server, "/api/v1/campaigns?limit=3", "campaigns") == (campaigns, 3)
    pledges = [server.pledge(campaigns[0], minor=100 + number).json["id"] for number in range(5)]
    server.pledge(campaigns[1])
    path = f"/api/v1/campaigns/{campaigns[0]}/pledges"
    assert follow(server, f"{path}?limit=2", "pledges", token=True) == (pledges, 3)
    assert follow(server, path, "pledges", token=True) == (pledges, 1)
    assert follow(server, f"/api/v1/campaigns/{campaigns[2]}/pledges", "pledges", token=True) == ([], 1)


def test_pledges_are_listed_for_the_service_alone(book):
    campaign_id = book.campaign()
    book.pledge(campaign_id, donor={"name": "Listed Donor"})
    path = f"/api/v1/campaigns/{campaign_id}/pledges"
    refused = book.get(path)
    assert refused.status == 401 and b"Listed" not in refused.body
    assert book.get(path, token=True).json["pledges"][0]["donor"]["name"] == "Listed Donor"
    missing = book.get("/api/v1/campaigns/cmp_01h455vb4pex5vsknk084sn02q/pledges", token=True)
    assert (missing.status, missing.json["code"]) == (404, "cfa_enotfound")
    for limit, status in ((0, 400), (1, 200), (1000, 200), (1001, 400)):
        assert book.get(f"{path}?limit={limit}", token=True).status == status, limit


def test_totals_keep_up_with_what_was_written(book):
    """From memory or not: nobody who names a position gets less, and versions only rise."""
    campaign_id = book.campaign()
    path = f"/api/v1/campaigns/{campaign_id}/totals"
    version = 0
    for number in range(1, 21):
        position = int(book.pledge(campaign_id, minor=100).headers["careforall-position"])
        exact = book.get(f"{path}?at_least={position}").json
        assert exact["currencies"][0]["pledged_minor"] == 100 * number and exact["position"] >= position
        for _ in range(3):
            some = book.totals(campaign_id)
            assert some["version"] >= exact["version"] >= version and not some["stale"]
        version = exact["version"]
    assert book.get(f"{path}?at_least=99999999").status == 422
    assert book.get("/api/v1/campaigns/cmp_01h455vb4pex5vsknk084sn02q/totals").status == 404


# ---- methods, other origins ----------------------------------------------------------------------


def test_options_tells_the_methods(book):
    for path, allow in (("/health", "GET, HEAD, OPTIONS"), ("/webhooks/payment", "POST, OPTIONS"),
                        ("/api/v1/campaigns/x", "GET, HEAD, PUT, OPTIONS"), ("*", "GET, HEAD, POST, PUT, OPTIONS")):
        answer = book.request("OPTIONS", path)
        assert (answer.status, answer.headers["allow"], answer.body) == (204, allow, b""), answer
    assert book.request("OPTIONS", "/nothing").status == 404


def test_head_is_as_get_without_the_body(book):
    campaign_id = book.campaign()
    for path in ("/api/v1/campaigns", f"/api/v1/campaigns/{campaign_id}", f"/api/v1/campaigns/{campaign_id}/totals",
                 "/openapi.json", "/nothing"):
        eventually(lambda: book.totals(campaign_id)["version"] > 0, "the totals of a new campaign")
        with_body, without = book.get(path), book.request("HEAD", path)
        assert with_body.status == without.status and without.body == b""
        for name in ("content-type", "etag", "cache-control"):
            assert with_body.headers.get(name) == without.headers.get(name), (path, name)
        assert int(without.headers["content-length"]) > 0


def test_pages_of_allowed_origins_may_read_answers(book):
    answer = book.get("/health", headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN and answer.headers["vary"] == "Origin"
    assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers
    problem = book.get("/nothing", headers={"Origin": ORIGIN})
    assert problem.status == 404 and problem.headers["access-control-allow-origin"] == ORIGIN
    asked = book.request("OPTIONS", "/api/v1/pledges", headers={
        "Origin": ORIGIN, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, idempotency-key"})
    assert asked.status == 204 and asked.headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert "Idempotency-Key" in asked.headers["access-control-allow-headers"]
    assert asked.headers["access-control-max-age"] == "600"


@pytest.mark.parametrize("origin", ["null", "https://donate.example.evil", "http://donate.example",
                                    "https://donate.example:443", "https://DONATE.example", "donate.example",
                                    "https://donate.example/", "",
                                    "https://other.example https://donate.example", "*"])
def test_pages_of_other_origins_are_told_nothing(book, origin):
    for method, more in (("GET", {}), ("OPTIONS", {"Access-Control-Request-Method": "GET"})):
        answer = book.request(method, "/health", headers={"Origin": origin, **more})
        assert not [name for name in answer.headers if name.startswith("access-control-")], answer
        assert answer.headers["vary"] == "Origin"


def test_without_a_list_no_origin_is_told_anything(start):
    server = start("--memory")
    answer = server.get("/health", headers={"Origin": ORIGIN})
    assert not [name for name in answer.headers if name.startswith("access-control-") or name == "vary"]


# ---- bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("body, status, code, field", [
    (b"\xef\xbb\xbf{}", 400, "http_bad_json", None),
    (b'{"amount":{"minor":1,"min\\u006fr":2}}', 400, "http_duplicate_field", "amount.minor"),
    (b'{"campaign_id":"a","campaign\\u005fid":"b"}', 400, "http_duplicate_field", "campaign_id"),
    (b'{"donor":{"name":"\\udc00"}}', 400, "http_bad_json", "donor.name"),
    (b'{"donor":{"name":"\\ud800\\u0041"}}', 400, "http_bad_json", "donor.name"),
    (b'{"donor":{"name":"\\u0000"}}', 400, "cfa_eencoding", "donor.name"),
    (b'{"donor":{"na\\u0000me":"x"}}', 400, "cfa_eencoding", "donor"),
    (b'{"donor":{"name":"\xed\xa0\x80"}}', 400, "cfa_eencoding", "donor.name"),
    (b'{"donor":{"name":"\xf4\x90\x80\x80"}}', 400, "cfa_eencoding", "donor.name"),
    (b'{"amount":{"minor":1e999}}', 422, "cfa_erange", "amount.minor"),
    (b'{"amount":{"minor":' + b"9" * 5000 + b'}}', 422, "cfa_erange", "amount.minor"),
    (b'{"amount":{"minor":01}}', 400, "http_bad_json", "amount.minor"),
    (b'{"amount":{"minor":+1}}', 400, "http_bad_json", "amount.minor"),
    (b'{"amount":{"minor":0x10}}', 400, "http_bad_json", "amount.minor"),
    (b'{"amount":{"minor":Infinity}}', 400, "http_bad_json", "amount.minor"),
    (b'{"campaign_id":"x","amount":{"minor":true}}', 400, "http_wrong_type", "amount.minor"),
    (b'{"campaign_id":"x","amount":{"minor":1.0000000000000000001}}', 400, "http_wrong_type", "amount.minor"),
    (b'{"campaign_id":"x",}', 400, "http_bad_json", None),
    (b"{'campaign_id':1}", 400, "http_bad_json", None),
    (b'{"campaign_id":"x"}//', 400, "http_bad_json", None),
    (b'{"__proto__":{}}', 400, "http_unknown_field", "__proto__"),
    (b'{"4242424242424242":1}', 400, "http_unknown_field", None),
    (b'{"donor":[]}', 400, "http_wrong_type", "donor"),
    (b'"' + b"\\\\" * 30000, 400, "http_bad_json", None),
])
def test_more_bad_bodies_are_refused_by_name(book, body, status, code, field):
    answer = book.request("POST", "/api/v1/pledges", body, {"Idempotency-Key": new_key()})
    assert (answer.status, answer.json["code"], answer.json.get("field")) == (status, code, field), answer
    assert b"4242424242424242" not in answer.body


@pytest.mark.parametrize("kind, good", [
    ("application/json", True), ("Application/JSON", True), ("application/json; charset=utf-8", True),
    ('application/json;charset="UTF-8"', True), ("application/json;", False),
    ("application/json; charset=utf-16", False),
    ("application/json, text/plain", False), ("application/problem+json", False), ("text/json", False),
    ("multipart/form-data; boundary=x", False),
])
def test_media_types(book, kind, good):
    answer = book.request("POST", "/api/v1/pledges", b"{}", {"Idempotency-Key": new_key(), "Content-Type": kind})
    assert answer.json["code"] == ("http_missing_field" if good else "http_bad_media_type"), answer
