"""The fault panel: each fault does to the wire and to the books what its name says, and no more."""

import http.client
import json
import select
import socket
import subprocess
import time

import pytest

from conftest import while_it_lasts
from sandbox_support import BINARY, DEADLINE_S, box, start  # noqa: F401

BROKEN = (http.client.RemoteDisconnected, http.client.IncompleteRead, ConnectionError)


def captures(box, line):
    answer = box.request("GET", f"/_sandbox/payments/{line}", key=None)
    return answer.json["captures"] if answer.status == 200 else 0


@pytest.mark.parametrize("fault,effect", [("reset_before", 0), ("reset_after", 0), ("reset_middle", 1),
                                          ("reply_lost", 1)])
def test_a_broken_connection_and_its_effect(start, fault, effect):
    box = start()
    box.next_fault(fault)
    with pytest.raises(BROKEN):
        box.paid("p", idempotency_key="k")
    assert captures(box, "p") == effect
    answer = box.paid("p", idempotency_key="k")
    assert answer.status == 200
    assert answer.headers.get("idempotent-replayed") == ("true" if effect else None)
    assert captures(box, "p") == 1


def test_half_a_reply_is_sent_before_the_reset(start):
    box = start()
    whole = box.get("/v1/account").body
    box.next_fault("reset_middle")
    with socket.create_connection(("127.0.0.1", box.port), timeout=DEADLINE_S) as peer:
        peer.sendall(b"GET /v1/account HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk_test_careforall\r\n\r\n")
        got = b""
        try:
            while piece := peer.recv(4096):
                got += piece
        except ConnectionResetError:
            pass
    body = got.partition(b"\r\n\r\n")[2]
    assert body == whole[:len(whole) // 2]


def test_a_dripping_reply_arrives_whole_and_slowly(start):
    box = start()
    box.faults(drip_ms=400, next={"fault": "drip"})
    before = time.monotonic()
    answer = box.paid("p")
    assert answer.status == 200 and answer["status"] == "succeeded"
    assert time.monotonic() - before > 0.2


def test_a_delay_holds_one_request_and_not_the_others(start):
    while_it_lasts(1.5, lambda: ask_beside_a_delay(start()))


def ask_beside_a_delay(box):
    box.next_fault("delay", delay_ms=2000, path="/v1/charges")
    slow = http.client.HTTPConnection("127.0.0.1", box.port, timeout=DEADLINE_S)
    began = time.monotonic()
    slow.request("GET", "/v1/charges", headers={"Authorization": "Bearer sk_test_careforall"})
    assert box.get("/v1/account").status == 200
    assert not select.select([slow.sock], [], [], 0)[0], "both were held"
    assert slow.getresponse().status == 200
    assert time.monotonic() - began > 1.9
    slow.close()


def test_the_end_does_not_wait_for_what_is_held(start):
    box = start()
    box.faults(delay_ms=600000)
    held = http.client.HTTPConnection("127.0.0.1", box.port, timeout=DEADLINE_S)
    held.request("GET", "/v1/account", headers={"Authorization": "Bearer sk_test_careforall"})
    assert box.panel("faults")["delay_ms"] == 600000
    assert box.stop() == 0
    with pytest.raises(BROKEN):
        held.getresponse()
    held.close()


def test_an_outage_lasts_until_it_is_over(start):
    box = start()
    box.faults(outage=True)
    for _ in range(3):
        with pytest.raises(BROKEN):
            box.get("/v1/account")
    box.faults(outage=False)
    assert box.get("/v1/account").status == 200


def test_next_faults_are_taken_once_by_method_and_path(start):
    box = start()
    box.faults(next=[{"fault": "unavailable", "method": "POST", "path": "/v1/payment_intents/*/confirm"},
                     {"fault": "rate_limited", "path": "/v1/account", "times": 2}])
    intent = box.intent("p")
    path = f"/v1/payment_intents/{intent['id']}"
    assert box.get(path).status == 200
    assert box.post(f"{path}/confirm", payment_method="pm_card_visa").status == 503
    assert box.post(f"{path}/confirm", payment_method="pm_card_visa").status == 200
    assert [box.get("/v1/account").status for _ in range(3)] == [429, 429, 200]
    assert box.panel("faults")["next"] == []


def test_rates_repeat_with_a_seed(start):
    def run():
        box = start("--seed", "7", "--fault", "rate_limited=30%", "--fault", "unavailable=100000ppm")
        statuses = [box.get("/v1/account").status for _ in range(60)]
        assert box.panel("faults")["happened"]["rate_limited"] == statuses.count(429)
        return statuses
    first = run()
    assert first == run()
    assert {200, 429, 503} == set(first)


def test_clear_ends_every_fault(start):
    box = start("--fault", "reply_lost=100%")
    box.faults(clear=True)
    assert box.get("/v1/account").status == 200


@pytest.mark.parametrize("wanted", [{"reply_lost": 1000001}, {"nothing": 1}, {"reply_lost": "many"},
                                    {"next": {"fault": "nothing"}}, {"delay_ms": -1},
                                    {"next": {"fault": "drip", "times": 100000}}])
def test_wrong_faults_are_refused(box, wanted):
    answer = box.request("POST", "/_sandbox/faults", json.dumps(wanted), key=None)
    assert answer.status == 400 and answer["error"]


def test_faults_are_changed_all_or_not_at_all(box):
    body = json.dumps({"outage": True, "reply_lost": 1000000, "nothing": 1})
    assert box.request("POST", "/_sandbox/faults", body, key=None).status == 400
    assert box.get("/v1/account").status == 200


@pytest.mark.parametrize("flags,word", [
    (["--fault", "nothing=1%"], "--fault nothing=1%"), (["--listen", "0.0.0.0:0"], "loopback"),
    (["--listen", "nonsense"], "HOST:PORT"), (["--secret-key", "sk_live_1"], "sk_test_"),
    (["--webhook", "http://127.0.0.1:9/"], "--webhook-secret"), (["--books", "/nowhere/b.db"], "/nowhere/b.db"),
    (["more"], "more"), (["--nothing"], "--help"), (["--seed"], "--help"),
    (["--webhook", "127.0.0.1:9", "--webhook-secret", "w"], "http"), (["--async-ms", "x"], "--async-ms")])
def test_a_wrong_start_is_one_clear_line(flags, word):
    done = subprocess.run([BINARY, *flags], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and word in done.stderr


def test_help_names_every_flag():
    done = subprocess.run([BINARY, "--help"], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0 and "--books" in done.stdout and "--fault" in done.stdout
