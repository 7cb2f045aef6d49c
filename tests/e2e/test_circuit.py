"""The circuit breaker over HTTP: what donors, load balancers and operators see while the provider is out, and after."""

import json
import re

import pytest

from e2e_support import THANKS, Wire, eventually, new_key, read
from test_server_stripe import circuit_events, open_circuit

LONG_MS, SHORT_MS = 600000, 1000
VISIBLE_MS = 8000   # ends within a test, and not between two of its requests


@pytest.fixture
def circuit(tmp_path):
    made = []

    def make(open_ms, *flags):
        database = str(tmp_path / "book.db")
        made.append(Wire(tmp_path, "--circuit-failures", "3", "--circuit-open-ms", str(open_ms), *flags, database=database))
        made[-1].database = database
        return made[-1]

    yield make
    for wire in made:
        wire.close()


def happened(wire):
    """How many requests met a fault."""
    return sum(json.loads(wire.sandbox.call("GET", "/_sandbox/faults", key=None)[2])["happened"].values())


def sessions(wire):
    return wire.sandbox.books()["sessions"]


def test_while_it_is_open_pledges_get_a_problem_and_the_provider_gets_nothing(circuit):
    wire = circuit(LONG_MS)
    campaign_id = wire.server.campaign()
    open_circuit(wire, campaign_id)
    asked, key = happened(wire), new_key()
    answers = [wire.server.pledge(campaign_id, key) for _ in range(3)] + [wire.server.pledge(campaign_id) for _ in range(10)]
    for answer in answers:
        assert (answer.status, answer.json["status"], answer.json["code"]) == (503, 503, "cfa_ecircuit"), answer
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["type"] == "urn:careforall:problem:cfa_ecircuit"
        assert 1 <= int(answer.headers["retry-after"]) <= LONG_MS // 1000
        assert answer.json["request_id"] == answer.headers["x-request-id"]
        assert "careforall-pledge-token" not in answer.headers
    assert happened(wire) == asked and sessions(wire) == 0
    assert circuit_events(wire) == "unavailable"


def test_while_it_is_open_everything_else_goes_on(circuit):
    wire = circuit(LONG_MS)
    campaign_id = wire.server.campaign()
    waiting = wire.server.pledge(campaign_id)
    open_circuit(wire, campaign_id)
    health = wire.server.get("/health")
    assert (health.status, health.json["status"], health.json["storage"], health.json["runner"]) == (200, "ok", "ok", "running")
    assert wire.server.get("/health/ready").status == 200
    assert wire.server.get(f"/api/v1/campaigns/{campaign_id}").status == 200
    wire.server.campaign()
    # Whoever had a page already pays there, and the provider's webhooks are taken.
    assert wire.pay(waiting) == (303, THANKS)
    wire.server.wait_raised(campaign_id, 2500)
    assert wire.server.get("/health").status == 200
    assert circuit_events(wire) == "unavailable"


@pytest.mark.parametrize("fault", ["outage", "unavailable", "rate_limited", "reset_before"])
def test_a_provider_that_is_out_opens_it_and_the_same_keys_succeed_after(circuit, fault):
    wire = circuit(SHORT_MS)
    campaign_id, keys = wire.server.campaign(), [new_key() for _ in range(6)]
    wire.sandbox.pull("faults", **{fault: True if fault == "outage" else "100%"})
    eventually(lambda: [wire.server.pledge(campaign_id, key).json.get("code") for key in keys][-1] == "cfa_ecircuit",
               "an open circuit")
    wire.sandbox.pull("faults", clear=True)
    for key in keys:
        made = eventually(lambda key=key: (again := wire.server.pledge(campaign_id, key)).status in (200, 201) and again,
                          "success")
        replay = wire.server.pledge(campaign_id, key)
        assert (replay.status, replay.headers["idempotent-replayed"], replay.body) == (200, "true", made.body)
    assert sessions(wire) == len(keys)
    assert re.fullmatch(r"(unavailable probed )+available", circuit_events(wire)), circuit_events(wire)


def test_a_pledge_that_was_refused_is_made_and_paid_by_its_key(circuit):
    wire = circuit(VISIBLE_MS)
    campaign_id, key = wire.server.campaign(), new_key()
    open_circuit(wire, campaign_id)
    refused = wire.server.pledge(campaign_id, key)
    assert (refused.status, refused.json["code"]) == (503, "cfa_ecircuit")
    wire.sandbox.pull("faults", outage=False)
    answers = []

    def answer():
        answers.append(wire.server.pledge(campaign_id, key))
        return answers[-1].status in (200, 201)

    eventually(answer, "the pledge")
    assert {again.status for again in answers[:-1]} <= {202, 503}   # never anything final before it
    made, replay = answers[-1], wire.server.pledge(campaign_id, key)
    assert (replay.status, replay.body) == (200, made.body) and made.headers["careforall-pledge-token"]
    assert wire.pay(made) == (303, THANKS)
    wire.server.wait_raised(campaign_id, 2500)
    assert wire.sandbox.books()["charged_twice"] == 0


def test_what_was_refused_and_never_repeated_never_happens(circuit):
    wire = circuit(VISIBLE_MS)
    campaign_id = wire.server.campaign()
    open_circuit(wire, campaign_id)
    forgotten, known = new_key(), read(wire.database, "SELECT payment_id FROM cfa_pledge")
    assert wire.server.pledge(campaign_id, forgotten).json["code"] == "cfa_ecircuit"
    left = [row[0] for row in read(wire.database, "SELECT payment_id FROM cfa_pledge") if row not in known]
    assert len(left) == 1
    wire.sandbox.pull("faults", outage=False)
    eventually(lambda: wire.server.pledge(campaign_id, new_key()).status == 201, "a new pledge")
    assert read(wire.database, "SELECT tries, first_sent_us FROM cfa_operation WHERE payment_id = ?", left[0]) == [(0, 0)]


def test_queued_pledges_are_202_and_finish_by_themselves(circuit):
    wire = circuit(SHORT_MS, "--circuit", "queue")
    campaign_id, keys = wire.server.campaign(), [new_key() for _ in range(5)]
    wire.sandbox.pull("faults", outage=True)
    answers = [wire.server.pledge(campaign_id, key) for key in keys]
    for answer in answers:
        assert answer.status == 202 and int(answer.headers["retry-after"]) >= 1, answer
        assert answer.headers["location"] == f"/api/v1/pledges/{answer.json['id']}"
        assert "redirect_url" not in answer.json
    eventually(lambda: "unavailable" in circuit_events(wire), "an open circuit")
    assert wire.server.get("/health").status == 200 and sessions(wire) == 0
    assert wire.server.own(answers[0]).json["pending"] is True
    wire.sandbox.pull("faults", outage=False)
    for answer in answers:   # nobody repeats anything
        eventually(lambda answer=answer: wire.server.own(answer).json["pending"] is False, "a pledge that finishes by itself")
    assert sessions(wire) == len(keys)
    for key, answer in zip(keys, answers):
        first, second = wire.server.pledge(campaign_id, key), wire.server.pledge(campaign_id, key)
        assert first.status in (200, 201) and second.status == 200 and first.body == second.body
        assert first.json["id"] == answer.json["id"]
        assert wire.pay(first) == (303, THANKS)
    wire.server.wait_raised(campaign_id, 2500 * len(keys))
    assert re.fullmatch(r"(unavailable probed )+available", circuit_events(wire)), circuit_events(wire)
    assert wire.sandbox.books()["charged_twice"] == 0


def test_it_stays_open_over_a_crash_and_a_start(circuit):
    wire = circuit(LONG_MS)
    campaign_id = wire.server.campaign()
    open_circuit(wire, campaign_id)
    wire.server.kill()
    wire.sandbox.pull("faults", outage=False)   # the provider is back, but nobody asked yet
    before = sessions(wire)
    wire.start()
    answer = wire.server.pledge(campaign_id)
    assert (answer.status, answer.json["code"]) == (503, "cfa_ecircuit") and sessions(wire) == before
    assert circuit_events(wire) == "unavailable"
