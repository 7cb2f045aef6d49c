"""The example server from outside: routes, retries, totals, restarts, drain."""

import concurrent.futures
import contextlib
import hashlib
import hmac
import http.client
import json
import pathlib
import signal
import socket
import sqlite3
import threading
import time

import pytest

from conftest import BINARY, DEADLINE_S, TOKEN, WEBHOOK_SECRET, eventually, new_key, promptly, while_it_lasts

LOCK_S = 4   # the server waits a little longer than this for a book that is locked


@pytest.fixture
def book(tmp_path, start):
    server = start("--database", str(tmp_path / "book.db"))
    server.path = str(tmp_path / "book.db")
    return server


@contextlib.contextmanager
def locked(path):
    """Hold the database's write lock, as another process might."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=DEADLINE_S)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def problem_of(answer, status, code, field=None):
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["type"] == f"urn:careforall:problem:{code}"
    assert body["title"]
    assert body.get("field") == field, body
    return body


# ---- a donation, from the campaign to its total -------------------------------------------------


def test_health_says_that_the_server_can_work(shared):
    answer = shared.get("/health")
    assert answer.status == 200
    body = answer.json
    assert body["status"] == "ok" and body["storage"] == "ok" and body["runner"] == "running"
    assert body["provider"] == "play" and body["version"]


def test_a_donation_from_campaign_to_total(shared):
    campaign_id = shared.campaign(goal={"minor": 100000, "currency": "EUR"},
                                  deadline="2999-12-31T23:59:59+01:00", late_rule="refuse")
    campaign = shared.get(f"/api/v1/campaigns/{campaign_id}")
    assert campaign.status == 200
    assert campaign.headers["etag"] == '"%d-%d"' % (campaign.json["version"], campaign.json["totals"]["version"])
    assert campaign.json["deadline"] == "2999-12-31T22:59:59.000000Z"
    assert campaign.json["goal"] == {"minor": 100000, "currency": "EUR"}
    assert campaign.json["late_rule"] == "refuse"
    assert campaign.json["totals"]["currencies"][0]["raised_minor"] == 0

    pledge = shared.pledge(campaign_id, donor={"name": "Ada", "email": "ada@example.org",
                                               "message": "Für alle", "visibility": "owner"})
    assert pledge.status == 201
    pledge_id = pledge.json["id"]
    assert pledge.headers["location"] == f"/api/v1/pledges/{pledge_id}"
    assert pledge.headers["x-request-id"]
    assert shared.own(pledge).json["state"] == "PENDING"

    assert shared.confirm(pledge).status == 200
    shared.wait_state(pledge_id, "COMPLETED")
    totals = shared.wait_raised(campaign_id, 2500)
    row = totals["currencies"][0]
    assert (row["currency"], row["net_minor"], row["donation_count"], row["donor_count"]) == ("EUR", 2500, 1, 1)
    assert totals["stale"] is False and totals["version"] > 0 and totals["position"] > 0 and totals["as_of"]
    merged = shared.get(f"/api/v1/campaigns/{campaign_id}").json
    assert merged["totals"]["currencies"] == totals["currencies"]


def test_a_write_can_be_read_at_its_position(shared):
    campaign_id = shared.campaign()
    for path in (f"/api/v1/campaigns/{campaign_id}/totals", f"/api/v1/campaigns/{campaign_id}"):
        pledge = shared.pledge(campaign_id, minor=100)
        position = int(pledge.headers["careforall-position"])
        answer = shared.get(f"{path}?at_least={position}")
        assert answer.status == 200, answer
        totals = answer.json.get("totals", answer.json)
        assert totals["position"] >= position
    assert totals["currencies"][0]["pledged_minor"] == 200


def test_a_pledge_is_shown_to_the_service_and_to_who_made_it(shared):
    campaign_id = shared.campaign()
    pledge = shared.pledge(campaign_id, donor={"reference": "donor-7", "name": "Grace Canary",
                                               "email": "grace.canary@example.org", "message": "canary-message"})
    path = f"/api/v1/pledges/{pledge.json['id']}"
    assert b"anary" not in pledge.body
    missing = problem_of(shared.get("/api/v1/pledges/plg_01h455vb4pex5vsknk084sn02q"), 404, "cfa_enotfound", "pledge_id")
    public = problem_of(shared.get(path), 404, "cfa_enotfound", "pledge_id")
    assert {**missing, "request_id": ""} == {**public, "request_id": ""}
    for complete in (shared.get(path, token=True), shared.own(pledge)):
        assert complete.status == 200
        assert complete.json["donor"]["name"] == "Grace Canary"
        assert complete.json["donor"]["email"] == "grace.canary@example.org"
        assert complete.json["payment_id"].startswith("pay_")


def test_a_declined_payment_can_be_tried_again(shared):
    campaign_id = shared.campaign()
    pledge = shared.pledge(campaign_id)
    problem_of(shared.confirm(pledge, "pm_declined"), 402, "cfa_edeclined", "payment_method")
    shared.wait_state(pledge.json["id"], "FAILED")
    assert shared.totals(campaign_id)["currencies"][0]["raised_minor"] == 0
    assert shared.confirm(pledge).status == 200
    shared.wait_state(pledge.json["id"], "COMPLETED")
    problem_of(shared.confirm(pledge), 409, "cfa_estate")
    shared.wait_raised(campaign_id, 2500)


def test_campaigns_are_listed_in_pages(book):
    ids = [book.campaign(title=f"Campaign {number}") for number in range(5)]
    first = book.get("/api/v1/campaigns?limit=2").json
    assert [row["id"] for row in first["campaigns"]] == ids[:2]
    second = book.get(f"/api/v1/campaigns?limit=2&after={first['next']}").json
    assert [row["id"] for row in second["campaigns"]] == ids[2:4]
    last = book.get(f"/api/v1/campaigns?limit=2&after={second['next']}").json
    assert [row["id"] for row in last["campaigns"]] == ids[4:] and last["next"] is None


# ---- retries ------------------------------------------------------------------------------------


def test_a_double_click_is_one_pledge_with_equal_bytes(shared):
    campaign_id, key = shared.campaign(), new_key()
    first = shared.pledge(campaign_id, key)
    again = shared.pledge(campaign_id, key, donor={"name": "other names are ignored"})
    quoted = shared.pledge(campaign_id, f'"{key}"')
    assert first.status == 201 and "idempotent-replayed" not in first.headers
    for repeat in (again, quoted):
        assert repeat.status == 200
        assert repeat.headers["idempotent-replayed"] == "true"
        assert repeat.body == first.body
        assert repeat.headers["location"] == first.headers["location"]


def test_one_key_from_fifty_callers_at_once_is_one_pledge(book):
    campaign_id, key = book.campaign(), new_key()
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        first = list(pool.map(lambda _: book.pledge(campaign_id, key), range(50)))
        assert {answer.status for answer in first} <= {200, 201, 202}, first
        assert all(answer.headers["retry-after"] for answer in first if answer.status == 202)
        answers = [eventually(lambda: final(book.pledge(campaign_id, key)), "an answer") if answer.status == 202
                   else answer for answer in first]
    assert sum(answer.status == 201 for answer in first) <= 1
    assert len({answer.body for answer in answers}) == 1
    position = max(int(answer.headers["careforall-position"]) for answer in answers if answer.status == 200)
    totals = book.get(f"/api/v1/campaigns/{campaign_id}/totals?at_least={position}").json
    assert totals["currencies"][0]["pledged_minor"] == 2500
    with contextlib.closing(sqlite3.connect(book.path)) as connection:
        assert connection.execute("SELECT count(*) FROM cfa_pledge").fetchone() == (1,)


def final(answer):
    """202 says: durable, but the provider has not answered yet; repeat."""
    return answer if answer.status != 202 else None


@pytest.mark.parametrize("change, field", [
    ({"minor": 2501}, "amount"),
    ({"currency": "USD"}, "amount"),
    ({"campaign": "other"}, "campaign_id"),
])
def test_one_key_with_another_request_names_the_field(shared, change, field):
    campaign_id, key = shared.campaign(currencies=["EUR", "USD"]), new_key()
    change = dict(change)
    other_id = shared.campaign() if change.pop("campaign", None) else campaign_id
    assert shared.pledge(campaign_id, key).status == 201
    body = shared.pledge(other_id, key, **change).json
    assert body["code"] == "cfa_ekeyreuse" and body["status"] == 422
    assert body["field"].startswith(field), body


def test_campaign_commands_repeat(shared):
    key = new_key()
    body = {"title": "Seeds", "currencies": ["EUR"]}

    def create(changes=None):
        return shared.request("POST", "/api/v1/campaigns", {**body, **(changes or {})},
                              {"Idempotency-Key": key}, token=True)

    first, again = create(), create()
    assert (first.status, again.status) == (201, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json["id"] == first.json["id"]
    assert first.headers["location"] == f"/api/v1/campaigns/{first.json['id']}"
    problem_of(create({"title": "Other"}), 422, "cfa_ekeyreuse", "title")


def test_a_campaign_changes_only_from_the_version_that_was_read(shared):
    campaign_id = shared.campaign()
    path = f"/api/v1/campaigns/{campaign_id}"
    tag = shared.get(path).headers["etag"]
    body = {"title": "Clean water, faster", "currencies": ["EUR", "USD"]}

    def update(key, match):
        headers = {"Idempotency-Key": key, **({"If-Match": match} if match else {})}
        return shared.request("PUT", path, body, headers, token=True)

    problem_of(update(new_key(), None), 428, "http_no_precondition", "If-Match")
    problem_of(update(new_key(), "W/x"), 400, "http_bad_header", "If-Match")
    key = new_key()
    changed = update(key, tag)
    assert changed.status == 200 and changed.json["title"] == "Clean water, faster"
    assert changed.headers["etag"] != tag
    again = update(key, tag)
    assert again.status == 200 and again.headers["idempotent-replayed"] == "true"
    problem_of(update(new_key(), tag), 412, "cfa_eversion", "If-Match")


def test_an_ended_campaign_takes_no_more_pledges(shared):
    campaign_id = shared.campaign()
    path, key = f"/api/v1/campaigns/{campaign_id}/end", new_key()
    problem_of(shared.request("POST", path, headers={"Idempotency-Key": key}, token=True),
               428, "http_no_precondition", "If-Match")
    problem_of(shared.request("POST", path, headers={"Idempotency-Key": key, "If-Match": '"9"'}, token=True),
               412, "cfa_eversion", "If-Match")
    headers = {"Idempotency-Key": new_key(), "If-Match": shared.get(f"/api/v1/campaigns/{campaign_id}").headers["etag"]}
    ended = shared.request("POST", path, headers=headers, token=True)
    assert ended.status == 200 and ended.json["state"] == "ENDED"
    assert shared.request("POST", path, headers=headers, token=True).status == 200
    problem_of(shared.pledge(campaign_id), 409, "cfa_eclosed", "campaign_id")


# ---- crash, restart, drain ----------------------------------------------------------------------


def test_a_killed_server_keeps_everything(tmp_path, start):
    path = str(tmp_path / "book.db")
    server = start("--database", path)
    campaign_id, key = server.campaign(), new_key()
    first = server.pledge(campaign_id, key)
    server.confirm(first)
    server.wait_state(first.json["id"], "COMPLETED")
    server.kill()

    server = start("--database", path)
    again = server.pledge(campaign_id, key)
    assert again.status == 200 and again.body == first.body
    assert server.own(first).json["state"] == "COMPLETED"
    server.wait_raised(campaign_id, 2500)


def test_events_leave_in_order_and_without_personal_data(tmp_path, start):
    events = tmp_path / "events.ndjson"
    server = start("--database", str(tmp_path / "book.db"), "--events", str(events))
    campaign_id = server.campaign()
    pledge = server.pledge(campaign_id, donor={"name": "Event Canary"})
    server.confirm(pledge)
    server.wait_raised(campaign_id, 2500)

    def lines():
        whole = events.read_bytes().split(b"\n")[:-1]   # the last one may be half written
        rows = [json.loads(line) for line in whole]
        return rows if any("completed" in row["type"] for row in rows) else None

    rows = eventually(lines, "the completed event in the file")
    assert "Canary" not in events.read_text()
    assert all(row["specversion"] == "1.0" for row in rows)
    assert any("pledge.created" in row["type"] for row in rows)


def test_a_terminated_server_finishes_what_is_in_flight(tmp_path, start):
    while_it_lasts(LOCK_S, lambda: end_in_flight(str(tmp_path / f"{new_key()}.db"), start))


def end_in_flight(path, start):
    server = start("--database", path)
    campaign_id = server.campaign()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with locked(path):
            flight = pool.submit(server.pledge, campaign_id)
            eventually(lambda: in_work(server) >= 1, "the pledge in work")
            server.process.send_signal(signal.SIGTERM)
            eventually(lambda: "draining" in server.log(), "the drain")
            with pytest.raises(ConnectionRefusedError):
                server.get("/health")
            assert not flight.done()
        answer = flight.result(DEADLINE_S)
    assert answer.status == 201
    assert answer.headers["connection"] == "close"
    assert server.process.wait(DEADLINE_S) == 0
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM cfa_pledge").fetchone() == (1,)


def in_work(server):
    return server.get("/health").json["in_work"]


def test_idle_connections_do_not_hold_up_the_end(start):
    promptly(8, lambda: end_beside_idle_connections(start("--memory")))


def end_beside_idle_connections(server):
    silent = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S)
    kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)
    kept.request("GET", "/health")
    kept.getresponse().read()
    assert server.stop() == 0
    assert silent.recv(1) == b""
    silent.close()
    kept.close()


def test_a_caller_that_leaves_has_still_made_its_pledge(tmp_path, start):
    while_it_lasts(LOCK_S, lambda: leave(str(tmp_path / f"{new_key()}.db"), start))


def leave(path, start):
    server = start("--database", path)
    campaign_id, key = server.campaign(), new_key()
    body = json.dumps({"campaign_id": campaign_id, "amount": {"minor": 2500, "currency": "EUR"}})
    with locked(path):
        with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) as peer:
            peer.sendall((f"POST /api/v1/pledges HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                          f"Idempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode())
            eventually(lambda: in_work(server) >= 1, "the pledge in work")
    eventually(lambda: in_work(server) == 0, "the end of the abandoned pledge")
    again = server.pledge(campaign_id, key)
    assert again.status == 200 and again.headers["idempotent-replayed"] == "true"


def test_a_second_signal_ends_at_once(tmp_path, start):
    while_it_lasts(LOCK_S, lambda: end_twice(str(tmp_path / f"{new_key()}.db"), start))


def end_twice(path, start):
    server = start("--database", path)
    campaign_id = server.campaign()
    with concurrent.futures.ThreadPoolExecutor(1) as pool, locked(path):
        flight = pool.submit(server.pledge, campaign_id)
        eventually(lambda: in_work(server) >= 1, "the pledge in work")
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: "draining" in server.log(), "the drain")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DEADLINE_S) == 1
        assert flight.exception(DEADLINE_S) is not None


def test_a_locked_book_is_a_clear_answer_and_the_key_still_works(tmp_path, start):
    path = str(tmp_path / "book.db")
    server = start("--database", path, "--requests", "1")
    campaign_id, key, seen = server.campaign(), new_key(), threading.Event()

    def admitted():   # a look at the server's health may have the one place for a moment
        answer = server.pledge(campaign_id, key)
        return answer if answer.json["code"] != "http_overloaded" and seen.is_set() else None

    with concurrent.futures.ThreadPoolExecutor(1) as pool, locked(path):
        flight = pool.submit(eventually, admitted, "a place")
        overloaded = eventually(lambda: refused(server.get("/health")), "the limit of requests in work")
        seen.set()
        problem_of(overloaded, 503, "http_overloaded")
        assert overloaded.headers["retry-after"] == "1"
        answer = flight.result(DEADLINE_S)
        assert answer.status == 503 and answer.headers["retry-after"]
        assert answer.json["code"] in ("cfa_ebusy", "cfa_etimeout", "cfa_eindoubt"), answer
    assert eventually(lambda: final(server.pledge(campaign_id, key)), "an answer").status in (200, 201)
    eventually(lambda: server.totals(campaign_id)["currencies"][0]["pledged_minor"] == 2500, "the total")


def refused(answer):
    return answer if answer.status == 503 else None


# ---- webhooks -----------------------------------------------------------------------------------


def signed(body, secret=WEBHOOK_SECRET, at=None):
    stamp = str(int(at if at is not None else time.time()))
    code = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={code}"


def webhook_body(number, **data):
    facts = {"ref": None, "payment_id": None, "amount_minor": 2500, "currency": "EUR", "flags": [],
             "authorized_minor": 0, "captured_minor": 0, "attempt": 1, "occurred_us": 1700000000000000,
             "failure_code": None, "cancel_reason": None, **data}
    return json.dumps({"id": f"evt_test_{number}", "type": "intent.succeeded", "account": "", "livemode": False,
                       "created_us": 1700000000000000, "data": facts}).encode()


def post_webhook(server, body, signature, name="Careforall-Signature"):
    headers = {name: signature} if signature is not None else {}
    return server.request("POST", "/webhooks/payment", body, headers)


def test_a_webhook_is_taken_once(shared):
    body = webhook_body(new_key(), ref="pi_of_somebody_else", flags=["succeeded"], captured_minor=2500,
                        authorized_minor=2500)
    first = post_webhook(shared, body, signed(body))
    assert first.status == 200 and first.json["verdict"] == "PARKED", first
    again = post_webhook(shared, body, signed(body), name="Stripe-Signature")
    assert again.status == 200 and again.json["verdict"] == "DUPLICATE", again


def test_a_webhook_pays_its_payment(shared):
    campaign_id = shared.campaign()
    pledge = shared.pledge(campaign_id)
    payment_id = shared.get(f"/api/v1/pledges/{pledge.json['id']}", token=True).json["payment_id"]
    body = webhook_body(new_key(), ref=pledge.json["client_secret"].split("_secret")[0], payment_id=payment_id,
                        flags=["succeeded"], authorized_minor=2500, captured_minor=2500)
    answer = post_webhook(shared, body, signed(body))
    assert answer.status == 200 and answer.json["verdict"] in ("APPLIED", "PARKED"), answer
    if answer.json["verdict"] == "APPLIED":
        shared.wait_raised(campaign_id, 2500)


def test_a_webhook_with_another_amount_is_quarantined(shared):
    campaign_id = shared.campaign()
    pledge = shared.pledge(campaign_id)
    shared.confirm(pledge)
    shared.wait_raised(campaign_id, 2500)
    payment_id = shared.get(f"/api/v1/pledges/{pledge.json['id']}", token=True).json["payment_id"]
    body = webhook_body(new_key(), ref="pi_unknown", payment_id=payment_id, amount_minor=999999,
                        flags=["succeeded"], authorized_minor=999999, captured_minor=999999)
    answer = post_webhook(shared, body, signed(body))
    assert answer.status == 200 and answer.json["verdict"] in ("QUARANTINED", "PARKED"), answer
    assert shared.totals(campaign_id)["currencies"][0]["raised_minor"] == 2500


@pytest.mark.parametrize("signature", ["", "t=1", "v1=00", "t=x,v1=00", "nonsense"])
def test_a_webhook_with_a_malformed_signature_is_refused(shared, signature):
    body = webhook_body(1)
    problem_of(post_webhook(shared, body, signature), 400, "cfa_esignature", "Careforall-Signature")


def test_a_webhook_without_right_signature_is_refused(shared):
    body = webhook_body(2)
    problem_of(post_webhook(shared, body, None), 400, "cfa_esignature", "Careforall-Signature")
    for signature in (signed(body, "whsec_play_of_others"), signed(body + b" "),
                      signed(body, at=time.time() - 301), signed(body, at=time.time() + 302)):
        problem_of(post_webhook(shared, body, signature), 400, "cfa_esignature", "Careforall-Signature")


def test_a_malformed_webhook_is_refused(shared):
    for body in (b"{}", b"[]", b"no json", b""):
        answer = post_webhook(shared, body, signed(body))
        assert answer.status == 400 and answer.json["code"] in ("cfa_einval", "cfa_eencoding"), (body, answer)


# ---- who may -----------------------------------------------------------------------------------


def test_admin_calls_need_the_service_token(shared):
    campaign_id = shared.campaign()
    calls = [("POST", "/api/v1/campaigns", {"title": "x", "currencies": ["EUR"]}),
             ("PUT", f"/api/v1/campaigns/{campaign_id}", {"title": "x", "currencies": ["EUR"]}),
             ("POST", f"/api/v1/campaigns/{campaign_id}/end", None)]
    wrong = [None, "", "Bearer", "Bearer ", "Bearer " + TOKEN[:-1], "Bearer " + TOKEN + "x", "Basic " + TOKEN,
             "Bearer " + TOKEN.upper(), "Bearer  " + TOKEN]
    for method, path, body in calls:
        for value in wrong:
            headers = {"Idempotency-Key": new_key(), **({"Authorization": value} if value is not None else {})}
            answer = shared.request(method, path, body, headers)
            problem_of(answer, 401, "http_unauthorized", "Authorization")
            assert answer.headers["www-authenticate"] == "Bearer"


def test_a_wrong_token_is_never_treated_as_none(shared):
    campaign_id = shared.campaign()
    answer = shared.pledge(campaign_id, headers={"Authorization": "Bearer wrong"})
    problem_of(answer, 401, "http_unauthorized", "Authorization")


def test_callers_do_not_share_keys(shared):
    campaign_id, key = shared.campaign(), new_key()
    anonymous = shared.pledge(campaign_id, key)
    service = shared.pledge(campaign_id, key, token=True)
    assert anonymous.status == service.status == 201
    assert anonymous.json["id"] != service.json["id"]


def test_without_a_provider_donations_are_refused_with_the_reason(start):
    server = start("--memory", "--provider", "none")
    assert server.get("/health").json["provider"] == "none"
    answer = server.pledge(server.campaign())
    body = problem_of(answer, 503, "http_no_provider")
    assert "--provider play" in body["detail"]
    problem_of(server.request("POST", "/play/confirm", {}), 404, "http_no_route")


def test_the_demo_campaign_is_made_once(tmp_path, start):
    path = str(tmp_path / "book.db")
    first = start("--database", path, "--demo")
    assert len(first.lines) == 2 and first.lines[0].startswith("demo campaign cmp_")
    first.stop()
    second = start("--database", path, "--demo")
    assert second.lines[0] == first.lines[0]
    assert len(second.get("/api/v1/campaigns").json["campaigns"]) == 1


# ---- the log and the memory ---------------------------------------------------------------------


def test_the_log_has_a_line_per_request_and_no_secrets(tmp_path, start):
    server = start("--database", str(tmp_path / "book.db"))
    campaign_id, key = server.campaign(), new_key()
    pledge = server.pledge(campaign_id, key, donor={"name": "Log Canary", "email": "log.canary@example.org",
                                                    "message": "log-canary"})
    server.confirm(pledge)
    server.get(f"/api/v1/pledges/{pledge.json['id']}", token=True)
    server.get("/canary-path?canary=1")
    server.pledge(campaign_id, donor={"canary_field": 1})
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.log().splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert len(requests) == 6
    made = requests[1]
    assert (made["method"], made["route"], made["status"]) == ("POST", "/api/v1/pledges", 201)
    assert made["request_id"] == pledge.headers["x-request-id"] and made["duration_us"] >= 0
    for secret in ("anary", TOKEN, key, pledge.json["client_secret"], WEBHOOK_SECRET):
        assert secret not in server.log()


def test_quiet_is_quiet(start):
    server = start("--memory", "--quiet")
    server.get("/health")
    assert server.stop() == 0
    assert '"request"' not in server.log()


def checked_build():
    binary = pathlib.Path(BINARY).read_bytes()
    return b"__asan_init" in binary or b"__tsan_init" in binary


def test_an_idle_server_is_small(tmp_path, start):
    if checked_build():
        pytest.skip("shadow memory is not the server's")
    server = start("--database", str(tmp_path / "book.db"), "--demo")
    assert server.get("/health").status == 200
    with open(f"/proc/{server.process.pid}/status") as status:
        resident_kib = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    print(f"idle: {resident_kib} KiB")
    assert resident_kib <= 20 * 1024
