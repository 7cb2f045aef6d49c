"""Events and their delivery: shapes, signatures, retries on the clock, faults, the log."""

import json
import time

import pytest

from sandbox_support import eventually, receiver, signatures, start  # noqa: F401

SECRET = "whsec_of_these_tests"


def begin(start, receiver, *flags):
    return start("--webhook", receiver.url, "--webhook-secret", SECRET, *flags)


def kinds(receiver):
    return [event["type"] for event in receiver.events()]


def test_a_payment_tells_its_story_signed(start, receiver):
    box = begin(start, receiver)
    intent = box.paid("p", capture_method="automatic", idempotency_key="k")
    receiver.wait("payment_intent.succeeded")
    receiver.wait("charge.succeeded")
    for header, body in receiver.requests:
        assert signatures(header, body, SECRET, "other") == [SECRET]
        assert abs(int(header.split(",")[0][2:]) - time.time()) < 30
    event = receiver.events("payment_intent.succeeded")[0]
    assert event["object"] == "event" and event["livemode"] is False
    assert event["request"]["idempotency_key"] == "k" and event["request"]["id"].startswith("req_")
    assert event["data"]["object"]["id"] == intent["id"]
    assert event["data"]["object"]["metadata"] == {"payment_id": "p"}
    assert "_" not in event["data"]["object"]


@pytest.mark.parametrize("method,expected", [
    ("pm_card_chargeDeclined", {"payment_intent.created", "charge.failed", "payment_intent.payment_failed"}),
    ("pm_card_authenticationRequired", {"payment_intent.created", "payment_intent.requires_action"}),
    ("pm_usBankAccount_success", {"payment_intent.created", "charge.pending", "payment_intent.processing",
                                  "charge.succeeded", "payment_intent.succeeded", "charge.updated"}),
    ("pm_card_createDispute", {"payment_intent.created", "charge.succeeded", "payment_intent.succeeded",
                               "charge.updated", "charge.dispute.created", "charge.dispute.funds_withdrawn"}),
    ("pm_card_createIssuerFraudRecord", {"payment_intent.created", "charge.succeeded", "charge.updated",
                                         "payment_intent.succeeded", "radar.early_fraud_warning.created"})])
def test_each_card_brings_its_events(start, receiver, method, expected):
    box = begin(start, receiver)
    box.paid("p", method)
    eventually(lambda: set(kinds(receiver)) == expected, expected)
    assert len(kinds(receiver)) == len(expected)


def test_holds_refunds_and_sessions_bring_their_events(start, receiver):
    box = begin(start, receiver)
    held = box.paid("p", capture_method="manual")
    receiver.wait("payment_intent.amount_capturable_updated")
    box.post(f"/v1/payment_intents/{held['id']}/capture")
    receiver.wait("charge.captured")
    box.post("/v1/refunds", payment_intent=held["id"])
    for kind in ("refund.created", "charge.refunded"):
        receiver.wait(kind)
    slow = box.session("s")
    box.panel("pay", {"session": slow["id"], "payment_method": "pm_usBankAccount_insufficientFunds"})
    assert receiver.wait("checkout.session.completed")[0]["data"]["object"]["payment_status"] == "unpaid"
    receiver.wait("checkout.session.async_payment_failed")
    gone = box.session("g")
    box.post(f"/v1/checkout/sessions/{gone['id']}/expire")
    receiver.wait("checkout.session.expired")


def test_a_refused_webhook_is_retried_on_the_clock_for_three_days(start, receiver):
    box = begin(start, receiver)
    receiver.status = 500

    def attempts():
        return [row["attempts"] for row in box.panel("webhooks")["deliveries"]]

    def now_us():
        return box.panel("clock")["now_us"]

    begun_us = now_us()
    box.intent("p")
    eventually(lambda: attempts() == [1], "the first attempt")
    assert begun_us <= box.panel("webhooks")["deliveries"][0]["due_us"] - 300_000_000 <= now_us()
    box.advance(240)   # the rest is what a busy machine may take to look
    assert len(receiver.requests) == 1
    for number, seconds in enumerate((60, 1800, 7200, 18000), 2):
        box.advance(seconds)
        eventually(lambda: attempts() == [number], f"attempt {number}")
    first = box.get("/v1/events", delivery_success=False)["data"]
    assert len(first) == 1 and first[0]["pending_webhooks"] == 1
    for _ in range(20):
        before = attempts()
        box.advance(43200)
        eventually(lambda: attempts() != before or box.books()["deliveries"]["gave_up"], "an attempt or an end")
    assert box.books()["deliveries"]["gave_up"] == 1
    assert 8 <= len(receiver.requests) <= 12
    assert len({body for _, body in receiver.requests}) == 1   # always the same bytes


def test_a_retry_that_is_taken_ends_the_delivery(start, receiver):
    box = begin(start, receiver)
    receiver.status = 503
    box.intent("p")
    eventually(lambda: receiver.requests, "the first attempt")
    eventually(lambda: box.panel("webhooks")["deliveries"][0]["status"] == 503, "its record")
    receiver.status = 200
    assert box.panel("webhooks/retry", {})["deliveries"] == 1
    eventually(lambda: box.books()["deliveries"]["delivered"] == 1, "delivered")
    assert box.get("/v1/events", delivery_success=False)["data"] == []
    assert len(box.get("/v1/events", delivery_success=True)["data"]) == 1


def test_a_rolled_secret_signs_twice_for_a_while(start, receiver):
    box = begin(start, receiver)
    new = box.panel("secret/roll", {"keep_s": 3600})["secret"]
    box.intent("a")
    eventually(lambda: len(receiver.requests) == 1, "the first")
    box.advance(3601)
    box.intent("b")
    eventually(lambda: len(receiver.requests) == 2, "the second")
    assert signatures(*receiver.requests[0], SECRET, new) == [SECRET, new]
    assert signatures(*receiver.requests[1], SECRET, new) == [new]


def test_lost_webhooks_are_in_the_log_only(start, receiver):
    box = begin(start, receiver, "--fault", "webhook_lost=100%")
    box.paid("p", capture_method="automatic")
    box.faults(webhook_lost=0)
    box.intent("q")
    receiver.wait("payment_intent.created")
    assert len(receiver.requests) == 1
    lost = box.get("/v1/events", delivery_success=False)["data"]
    assert {event["type"] for event in lost} == {
        "payment_intent.created", "charge.succeeded", "payment_intent.succeeded"}


def test_duplicated_webhooks_are_the_same_event(start, receiver):
    box = begin(start, receiver)
    box.next_fault("webhook_duplicated", type="payment_intent.created")
    box.intent("p")
    eventually(lambda: len(receiver.requests) == 5, "five copies")
    assert len({body for _, body in receiver.requests}) == 1


def test_delayed_webhooks_wait_for_the_clock(start, receiver):
    box = begin(start, receiver)
    box.faults(webhook_delay_s=90000, webhook_delayed="100%")
    box.intent("p")
    box.advance(89000)
    assert box.books()["deliveries"] == {"due": 1, "delivered": 0, "gave_up": 0, "lost": 0}
    box.advance(1001)
    receiver.wait("payment_intent.created")


def test_reordered_webhooks_all_arrive(start, receiver):
    box = begin(start, receiver)
    box.faults(webhook_reordered="50%")
    for number in range(20):
        box.intent(str(number))
    eventually(lambda: len(receiver.requests) == 20, "all")
    sent = [item["id"] for item in box.get("/v1/events", limit=100)["data"]][::-1]
    assert [event["id"] for event in receiver.events()] != sent


def test_endpoints_choose_their_events_and_accounts(start, receiver):
    box = start()
    made = box.post("/v1/webhook_endpoints", url=receiver.url, enabled_events=["payment_intent.canceled"])
    secret = made["secret"]
    path = f"/v1/webhook_endpoints/{made['id']}"
    assert "secret" not in box.get(path).json
    connect = box.post("/v1/webhook_endpoints", url=receiver.url, enabled_events=["*"], connect=True)
    mine = box.intent("p")
    box.post(f"/v1/payment_intents/{mine['id']}/cancel")
    receiver.wait("payment_intent.canceled")
    assert kinds(receiver) == ["payment_intent.canceled"]
    assert signatures(*receiver.requests[0], secret) == [secret]
    box.intent("q", headers={"Stripe-Account": "acct_two"})
    assert receiver.wait("payment_intent.created")[0]["account"] == "acct_two"
    assert box.post(path, disabled=True)["status"] == "disabled"
    assert box.request("DELETE", f"/v1/webhook_endpoints/{connect['id']}")["deleted"] is True
    assert [item["id"] for item in box.get("/v1/webhook_endpoints")["data"]] == [made["id"]]


def test_thin_events_name_the_object_to_fetch(start, receiver):
    box = begin(start, receiver, "--webhook-payload", "thin")
    intent = box.intent("p")
    eventually(lambda: receiver.requests, "the event")
    event = json.loads(receiver.requests[0][1])
    assert (event["object"], event["type"]) == ("v2.core.event", "v1.payment_intent.created")
    assert event["related_object"]["url"] == f"/v1/payment_intents/{intent['id']}"
    assert "data" not in event
    assert box.get(event["related_object"]["url"])["id"] == intent["id"]
    assert box.get(f"/v2/core/events/{event['id']}").json == event
    assert box.get(f"/v1/events/{event['id']}")["type"] == "payment_intent.created"


def test_events_are_listed_by_type(start):
    box = start()
    box.paid("p", capture_method="automatic")
    box.paid("q", "pm_card_chargeDeclined")

    def types(**arguments):
        return [event["type"] for event in box.get("/v1/events", **arguments)["data"]]

    assert types(type="charge.failed") == ["charge.failed"]
    assert types(types=["charge.failed", "charge.succeeded"]) == ["charge.failed", "charge.succeeded"]
    assert len(types()) == 6
