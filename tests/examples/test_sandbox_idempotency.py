"""Idempotency keys exactly as API v1 keeps them."""

import threading

import pytest

from conftest import while_it_lasts
from sandbox_support import box, eventually, start  # noqa: F401

DAY_S = 24 * 3600


def count(box, line):
    answer = box.request("GET", f"/_sandbox/payments/{line}", key=None)
    return answer.json["intents"] if answer.status == 200 else 0


def test_a_repeat_is_answered_with_the_same_bytes(box):
    first = box.intent("same", idempotency_key="k-same")
    again = box.intent("same", idempotency_key="k-same")
    assert again.body == first.body and again.status == first.status
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["original-request"] == first.headers["request-id"]
    assert again.headers["request-id"] != first.headers["request-id"]
    assert count(box, "same") == 1


def test_a_replay_is_what_was_true_then(box):
    intent = box.intent("then", idempotency_key="k-then")
    box.post(f"/v1/payment_intents/{intent['id']}/cancel")
    assert box.intent("then", idempotency_key="k-then")["status"] == "requires_payment_method"


def test_a_decline_is_kept(box):
    first = box.paid("declined", "pm_card_chargeDeclined", idempotency_key="k-declined")
    again = box.paid("declined", "pm_card_chargeDeclined", idempotency_key="k-declined")
    assert first.status == again.status == 402 and first.body == again.body
    assert count(box, "declined") == 1


@pytest.mark.parametrize("change", [{"amount": 2501}, {"description": "x"}])
def test_other_parameters_under_a_key_are_refused(box, change):
    box.intent("mismatch", idempotency_key="k-mismatch")
    answer = box.intent("mismatch", **{"idempotency_key": "k-mismatch", **change})
    assert answer.status == 400 and answer.error["type"] == "idempotency_error"
    assert count(box, "mismatch") == 1


def test_another_path_under_a_key_is_refused(box):
    intent = box.intent("path", idempotency_key="k-path")
    answer = box.post(f"/v1/payment_intents/{intent['id']}/cancel", "k-path")
    assert answer.status == 400 and answer.error["type"] == "idempotency_error"


def test_validation_errors_are_not_kept(box):
    assert box.intent("fixed", amount=1, idempotency_key="k-fixed").status == 400
    assert box.intent("fixed", amount=2500, idempotency_key="k-fixed").status == 200


def test_what_the_objects_refuse_is_kept(box):
    intent = box.intent("state")
    path = f"/v1/payment_intents/{intent['id']}/capture"
    refused = box.post(path, "k-state")
    assert refused.error["code"] == "payment_intent_unexpected_state"
    assert box.post(path, "k-state").headers["idempotent-replayed"] == "true"


def test_a_wrong_key_of_the_account_is_not_kept(box):
    assert box.intent("auth", idempotency_key="k-auth", key="sk_test_wrong").status == 401
    assert box.intent("auth", idempotency_key="k-auth").status == 200


def test_rate_limits_are_not_kept(start):
    box = start()
    box.next_fault("rate_limited")
    limited = box.intent("limited", idempotency_key="k")
    assert limited.status == 429 and limited.headers["retry-after"] == "1"
    assert limited.error["code"] == "rate_limit"
    assert box.intent("limited", idempotency_key="k").status == 200


def test_a_500_after_the_effect_is_kept_with_it(start):
    box = start()
    box.next_fault("error_after", path="/v1/payment_intents")
    for _ in range(3):
        answer = box.paid("burnt", idempotency_key="k")
        assert answer.status == 500 and answer.headers["stripe-should-retry"] == "false"
    row = box.panel("payments/burnt")
    assert (row["intents"], row["captures"]) == (1, 1)


def test_a_500_before_the_effect_is_kept_without_it(start):
    box = start()
    box.next_fault("error_before")
    for _ in range(3):
        assert box.paid("burnt", idempotency_key="k").status == 500
    assert count(box, "burnt") == 0
    assert box.paid("burnt", idempotency_key="another").status == 200


def test_a_503_is_without_effect_and_not_kept(start):
    box = start()
    box.next_fault("unavailable")
    assert box.intent("later", idempotency_key="k").status == 503
    assert count(box, "later") == 0
    assert box.intent("later", idempotency_key="k").status == 200


def test_a_key_in_flight_conflicts(start):
    while_it_lasts(1.5, lambda: ask_in_flight(start()))


def ask_in_flight(box):
    box.next_fault("delay", delay_ms=1500)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(box.intent("flight", idempotency_key="k")))
    thread.start()
    eventually(lambda: box.panel("faults")["next"] == [], "the slow one to be there")
    conflict = None
    while thread.is_alive() and (not conflict or conflict.status != 409):
        conflict = box.post("/v1/payment_intents", "k", amount=1)   # never valid, so it cannot win
    thread.join()
    assert conflict.status == 409 and conflict.headers["stripe-should-retry"] == "true"
    assert conflict.error["code"] == "idempotency_key_in_use"
    assert answers[0].status == 200 and "idempotent-replayed" not in answers[0].headers
    assert box.intent("flight", idempotency_key="k").body == answers[0].body


def test_keys_belong_to_their_account(box):
    here = box.intent("scope", idempotency_key="k-scope")
    there = box.intent("scope2", idempotency_key="k-scope", headers={"Stripe-Account": "acct_two"})
    assert there.status == 200 and there["id"] != here["id"]


def test_keys_have_at_most_255_characters(box):
    assert box.intent("long", idempotency_key="k" * 255).status == 200
    assert box.intent("long", idempotency_key="k" * 256).status == 400
    assert box.intent("long", idempotency_key="k\xff").status == 400


def test_keys_are_forgotten_after_a_day_of_the_clock(start):
    box = start()
    first = box.intent("day", idempotency_key="k")
    box.advance(DAY_S - 60)
    assert box.intent("day", idempotency_key="k").body == first.body
    box.advance(61)
    again = box.intent("day", idempotency_key="k")
    assert again["id"] != first["id"] and "idempotent-replayed" not in again.headers
    assert count(box, "day") == 2


def test_reading_needs_no_key_and_ignores_one(box):
    intent = box.intent("read")
    path = f"/v1/payment_intents/{intent['id']}"
    for _ in range(2):
        answer = box.get(path, headers={"Idempotency-Key": "k-read"})
        assert answer.status == 200 and "idempotent-replayed" not in answer.headers
