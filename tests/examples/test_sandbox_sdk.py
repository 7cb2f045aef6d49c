"""The official Stripe package for Python talks to the sandbox unmodified."""

import json

import pytest

from sandbox_support import KEY, eventually, receiver, start  # noqa: F401

stripe = pytest.importorskip("stripe")


@pytest.fixture
def box(start, receiver):  # noqa: F811
    sandbox = start("--webhook", receiver.url, "--webhook-secret", "whsec_sdk")
    stripe.api_key, stripe.api_base, stripe.max_network_retries = KEY, sandbox.url, 0
    stripe.default_http_client = stripe.RequestsClient()
    yield sandbox


def create(line, **more):
    return stripe.PaymentIntent.create(amount=2500, currency="eur", metadata={"payment_id": line}, **more)


def test_the_whole_life_of_a_donation(box):
    intent = create("p", capture_method="manual")
    held = stripe.PaymentIntent.confirm(intent.id, payment_method="pm_card_visa")
    assert held.status == "requires_capture"
    paid = stripe.PaymentIntent.capture(intent.id, amount_to_capture=2000, expand=["latest_charge.balance_transaction"])
    assert paid.latest_charge.balance_transaction.net == 2000 - paid.latest_charge.balance_transaction.fee
    refund = stripe.Refund.create(payment_intent=intent.id, amount=500, reason="requested_by_customer")
    assert stripe.Refund.retrieve(refund.id).status == "succeeded"
    assert stripe.Charge.retrieve(paid.latest_charge.id).amount_captured == 2000
    assert stripe.Account.retrieve().charges_enabled


def test_a_hosted_session(box):
    session = stripe.checkout.Session.create(mode="payment", line_items=[
        {"quantity": 2, "price_data": {"currency": "eur", "unit_amount": 1000, "product_data": {"name": "Gift"}}}],
        success_url="http://127.0.0.1:9/{CHECKOUT_SESSION_ID}", client_reference_id="r",
        payment_intent_data={"metadata": {"payment_id": "p"}, "capture_method": "automatic"})
    assert session.payment_intent is None and session.amount_total == 2000
    box.panel("pay", {"payment_id": "p"})
    seen = stripe.checkout.Session.retrieve(session.id, expand=["payment_intent", "line_items"])
    assert seen.payment_intent.status == "succeeded" and seen.line_items.data[0].quantity == 2
    assert stripe.checkout.Session.list_line_items(session.id).data[0].description == "Gift"
    with pytest.raises(stripe.InvalidRequestError):
        stripe.checkout.Session.expire(session.id)


def test_errors_are_the_packages_own(box):
    with pytest.raises(stripe.CardError) as declined:
        create("p", confirm=True, payment_method="pm_card_chargeDeclinedInsufficientFunds")
    assert (declined.value.code, declined.value.error.decline_code) == ("card_declined", "insufficient_funds")
    assert declined.value.http_status == 402 and declined.value.request_id.startswith("req_")
    with pytest.raises(stripe.InvalidRequestError) as missing:
        stripe.PaymentIntent.retrieve("pi_nothing")
    assert (missing.value.code, missing.value.param) == ("resource_missing", "intent")
    with pytest.raises(stripe.AuthenticationError):
        stripe.PaymentIntent.list(api_key="sk_test_wrong")
    box.next_fault("rate_limited")
    with pytest.raises(stripe.RateLimitError):
        stripe.PaymentIntent.list()
    create("p", idempotency_key="k")
    with pytest.raises(stripe.IdempotencyError):
        create("q", idempotency_key="k")


@pytest.mark.parametrize("fault", ["reply_lost", "reset_before", "reset_after", "unavailable"])
def test_its_retries_charge_once(box, fault):
    stripe.max_network_retries = 2
    box.next_fault(fault)
    assert create("p", confirm=True, payment_method="pm_card_visa").status == "succeeded"
    assert box.panel("payments/p")["captures"] == 1
    assert box.panel("faults")["happened"][fault] == 1


def test_it_does_not_retry_a_kept_500(box):
    stripe.max_network_retries = 2
    box.next_fault("error_after")
    with pytest.raises(stripe.APIError):
        create("p", confirm=True, payment_method="pm_card_visa", idempotency_key="k")
    assert box.panel("payments/p")["captures"] == 1


def test_auto_pagination_finds_everything_once(box):
    made = [create(str(number)).id for number in range(23)][::-1]
    assert [item.id for item in stripe.PaymentIntent.list(limit=5).auto_paging_iter()] == made
    back = stripe.PaymentIntent.list(limit=5, ending_before=made[-1])
    assert [item.id for item in back.auto_paging_iter()] == made[:-1][::-1]
    assert len(list(stripe.Event.list(type="payment_intent.created", limit=10).auto_paging_iter())) == 23


def test_webhooks_verify_with_its_own_check(box, receiver):  # noqa: F811
    intent = create("p")
    eventually(lambda: receiver.requests, "the webhook")
    header, body = receiver.requests[0]
    event = stripe.Webhook.construct_event(body, header, "whsec_sdk")
    assert event.type == "payment_intent.created" and event.data.object.id == intent.id
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body.replace(b"2500", b"9500"), header, "whsec_sdk")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, header, "whsec_other")


def test_thin_events_are_parsed_and_fetched(start, receiver):  # noqa: F811
    sandbox = start("--webhook", receiver.url, "--webhook-secret", "whsec_sdk", "--webhook-payload", "thin")
    client = stripe.StripeClient(KEY, base_addresses={"api": sandbox.url})
    intent = client.v1.payment_intents.create({"amount": 2500, "currency": "eur"})
    eventually(lambda: receiver.requests, "the webhook")
    header, body = receiver.requests[0]
    notification = client.parse_event_notification(body, header, "whsec_sdk")
    assert notification.type == "v1.payment_intent.created"
    assert notification.fetch_related_object().id == intent.id
    assert client.v2.core.events.retrieve(notification.id).id == json.loads(body)["id"]


def test_endpoints_are_managed(box, receiver):  # noqa: F811
    made = stripe.WebhookEndpoint.create(url=receiver.url, enabled_events=["charge.failed"])
    assert made.secret.startswith("whsec_")
    assert stripe.WebhookEndpoint.modify(made.id, enabled_events=["charge.refunded"]).enabled_events == ["charge.refunded"]
    assert stripe.WebhookEndpoint.delete(made.id).deleted
    assert len(stripe.WebhookEndpoint.list().data) == 1   # that of --webhook


def test_connected_accounts(box):
    intent = create("p", stripe_account="acct_two")
    with pytest.raises(stripe.InvalidRequestError):
        stripe.PaymentIntent.retrieve(intent.id)
    assert stripe.PaymentIntent.retrieve(intent.id, stripe_account="acct_two").id == intent.id


def test_disputes_and_warnings_are_read(box):
    create("p", confirm=True, payment_method="pm_card_createDispute")
    dispute = eventually(lambda: stripe.Dispute.list().data, "a dispute")[0]
    assert stripe.Dispute.close(dispute.id).status == "lost"
    create("q", confirm=True, payment_method="pm_card_createIssuerFraudRecord")
    assert eventually(lambda: stripe.radar.EarlyFraudWarning.list().data, "a warning")[0].actionable


def paid(line):
    """A paid intent that has come to the balance."""
    intent = create(line, confirm=True, payment_method="pm_card_visa")
    eventually(lambda: stripe.BalanceTransaction.list(source=intent.latest_charge).data, "its balance transaction")
    return intent


def test_payouts_say_what_is_in_them(box, receiver):  # noqa: F811
    first = paid("p1")
    refund = stripe.Refund.create(payment_intent=first.id, amount=500)
    assert box.panel("payouts", {})["payouts"] == []   # nothing is available yet
    [payout_id] = box.panel("payouts", {"all": True})["payouts"]
    second = paid("p2")
    payout = stripe.Payout.retrieve(payout_id)
    assert (payout.status, payout.automatic, payout.reconciliation_status) == ("paid", True, "completed")
    rows = list(stripe.BalanceTransaction.list(payout=payout_id, limit=1, expand=["data.source"]).auto_paging_iter())
    assert {row.type for row in rows} == {"charge", "refund", "payout"} and sum(row.net for row in rows) == 0
    sources = {row.source.object: row.source for row in rows}
    assert sources["charge"].payment_intent == first.id and sources["refund"].id == refund.id and sources["payout"].id == payout_id
    assert payout.amount == 2500 - 500 - next(row.fee for row in rows if row.type == "charge")
    [later] = box.panel("payouts", {"all": True, "travels": True})["payouts"]
    assert stripe.Payout.retrieve(later).status == "in_transit"
    box.panel("payouts", {"payout": later})
    assert [each.id for each in stripe.Payout.list(created={"gte": payout.created}).auto_paging_iter()] == [later, payout_id]
    charges = [row.source.payment_intent for row in stripe.BalanceTransaction.list(payout=later, expand=["data.source"]).data
               if row.type == "charge"]
    assert charges == [second.id]
    receiver.wait("payout.paid", 2)
    receiver.wait("payout.reconciliation_completed", 2)


def test_nobody_knows_what_is_in_a_manual_payout(box):
    paid("p")
    [payout_id] = box.panel("payouts", {"all": True, "manual": True})["payouts"]
    payout = stripe.Payout.retrieve(payout_id)
    assert (payout.automatic, payout.reconciliation_status) == (False, "not_applicable")
    with pytest.raises(stripe.InvalidRequestError):
        stripe.BalanceTransaction.list(payout=payout_id)
    assert box.panel("payouts", {"all": True})["payouts"] == []   # it left the balance all the same


def test_lists_are_windows_of_time(box):
    intents = [paid(f"p{i}") for i in range(3)]
    refund = stripe.Refund.create(payment_intent=intents[0].id, amount=500)
    for kind, ids in ((stripe.PaymentIntent, {each.id for each in intents}), (stripe.Refund, {refund.id}), (stripe.Dispute, set())):
        window = {"gte": intents[0].created, "lt": intents[0].created + 60}
        assert {each.id for each in kind.list(created=window, limit=1).auto_paging_iter()} == ids
        assert kind.list(created={"lt": intents[0].created}).data == []
