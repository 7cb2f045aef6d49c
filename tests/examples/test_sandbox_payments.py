"""Objects of the API: intents, charges, refunds, disputes, sessions, lists, errors."""

import base64
import uuid

import pytest

from sandbox_support import KEY, box, eventually, start  # noqa: F401


def payment(box, line):
    return box.panel(f"payments/{line}")


def name():
    return str(uuid.uuid4())


# ---- who may ask ----------------------------------------------------------------------------------

def test_requests_without_a_right_key_are_refused(box):
    assert box.get("/v1/account", key=None).status == 401
    answer = box.get("/v1/account", key="sk_test_other")
    assert answer.status == 401 and answer.error["type"] == "invalid_request_error"
    basic = base64.b64encode(f"{KEY}:".encode()).decode()
    assert box.get("/v1/account", key=None, headers={"Authorization": f"Basic {basic}"}).status == 200


def test_the_key_can_come_from_a_file(start, tmp_path):
    file = tmp_path / "key"
    file.write_text("sk_test_from_a_file\n")
    box = start("--secret-key-file", str(file), "--public-url", "https://pay.example.org")
    assert box.get("/v1/account").status == 401
    assert box.get("/v1/account", key="sk_test_from_a_file").status == 200
    session = box.post("/v1/checkout/sessions", key="sk_test_from_a_file", mode="payment", line_items=[
        {"quantity": 1, "price_data": {"currency": "eur", "unit_amount": 900, "product_data": {"name": "Gift"}}}],
        success_url="http://127.0.0.1:9/")
    assert session["url"] == f"https://pay.example.org/pay/{session['id']}"


def test_every_reply_has_a_request_id(box):
    for answer in (box.get("/v1/account"), box.get("/v1/nothing"), box.get("/v1/account", key="x")):
        assert answer.headers["request-id"].startswith("req_")


def test_the_publishable_key_reads_an_intent_only_with_its_client_secret(box):
    intent = box.intent(name())
    path, public = f"/v1/payment_intents/{intent['id']}", "pk_test_careforall"
    assert box.get(path, key=public, client_secret=intent["client_secret"]).status == 200
    assert box.get(path, key=public, client_secret="other").status == 400
    assert box.get(path, key=public).status == 400
    assert box.get("/v1/payment_intents", key=public).status == 403


def test_connected_accounts_do_not_see_each_other(box):
    mine = box.intent(name(), headers={"Stripe-Account": "acct_other"})
    assert mine.status == 200
    path = f"/v1/payment_intents/{mine['id']}"
    assert box.get(path).status == 404
    assert box.get(path, headers={"Stripe-Account": "acct_other"}).status == 200
    assert box.get(path, headers={"Stripe-Account": "nonsense"}).status == 403


def test_a_malformed_version_is_refused(box):
    assert box.get("/v1/account", headers={"Stripe-Version": "2024-06-20"}).headers["stripe-version"] == "2024-06-20"
    for version in ("2024", "latest", "2024-06-20x", "\xff"):
        assert box.get("/v1/account", headers={"Stripe-Version": version}).status == 400


# ---- payment intents ------------------------------------------------------------------------------

def test_two_steps_take_the_money_once(box):
    line = name()
    intent = box.intent(line)
    assert intent["status"] == "requires_payment_method" and intent["latest_charge"] is None
    path = f"/v1/payment_intents/{intent['id']}"
    paid = box.post(f"{path}/confirm", payment_method="pm_card_visa", expand=["latest_charge"])
    assert paid["status"] == "succeeded" and paid["amount_received"] == 2500
    assert paid["latest_charge"]["payment_method_details"]["card"]["last4"] == "4242"
    again = box.post(f"{path}/confirm", payment_method="pm_card_visa")
    assert again.status == 400 and again.error["code"] == "payment_intent_unexpected_state"
    assert again.error["payment_intent"]["status"] == "succeeded"
    row = payment(box, line)
    assert (row["intents"], row["charges"], row["captured"], row["charged_twice"]) == (1, 1, 2500, 0)


@pytest.mark.parametrize("method,code,decline", [
    ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
    ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
    ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
    ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error")])
def test_a_declined_card_leaves_the_intent_open_for_another(box, method, code, decline):
    line = name()
    answer = box.paid(line, method)
    assert answer.status == 402
    error = answer.error
    assert (error["type"], error["code"], error["decline_code"]) == ("card_error", code, decline)
    intent = error["payment_intent"]
    assert intent["status"] == "requires_payment_method"
    assert intent["last_payment_error"]["decline_code"] == decline
    charge = box.get(f"/v1/charges/{error['charge']}")
    assert charge["status"] == "failed" and charge["failure_code"] == code
    assert box.post(f"/v1/payment_intents/{intent['id']}/confirm",
                    payment_method="pm_card_visa")["status"] == "succeeded"
    assert (payment(box, line)["declines"], payment(box, line)["captures"]) == (1, 1)


def test_three_d_secure_asks_before_it_takes(box):
    line = name()
    intent = box.paid(line, "pm_card_authenticationRequired", return_url="http://127.0.0.1:9/back?a=1")
    assert intent["status"] == "requires_action"
    url = intent["next_action"]["redirect_to_url"]["url"]
    assert payment(box, line)["charges"] == 0
    path = url.removeprefix(box.url)
    assert b"Complete authentication" in box.request("GET", path, key=None).body
    answer = box.request("POST", path, "result=pass", key=None)
    assert answer.status == 303
    assert answer.headers["location"].startswith("http://127.0.0.1:9/back?a=1&payment_intent=pi_")
    assert box.get(f"/v1/payment_intents/{intent['id']}")["status"] == "succeeded"


def test_failed_three_d_secure_takes_nothing(box):
    line = name()
    intent = box.paid(line, "pm_card_authenticationRequired")
    path = intent["next_action"]["use_stripe_sdk"]["stripe_js"].removeprefix(box.url)
    box.request("POST", path, "result=fail", key=None)
    seen = box.get(f"/v1/payment_intents/{intent['id']}")
    assert seen["status"] == "requires_payment_method"
    assert seen["last_payment_error"]["code"] == "payment_intent_authentication_failure"
    assert payment(box, line)["charges"] == 0


def test_a_hold_is_captured_in_part_and_releases_the_rest(box):
    line = name()
    intent = box.paid(line, capture_method="manual")
    assert intent["status"] == "requires_capture" and intent["amount_capturable"] == 2500
    path = f"/v1/payment_intents/{intent['id']}/capture"
    assert box.post(path, amount_to_capture=2501).error["code"] == "amount_too_large"
    captured = box.post(path, amount_to_capture=2000, expand=["latest_charge"])
    assert captured["amount_received"] == 2000 and captured["amount_capturable"] == 0
    charge = captured["latest_charge"]
    assert charge["amount_captured"] == 2000 and charge["amount_refunded"] == 500
    assert box.post(path).error["code"] == "payment_intent_unexpected_state"
    row = payment(box, line)
    assert (row["captured"], row["refunded"], row["refunds"]) == (2000, 0, 0)   # a released hold is no refund


def test_a_canceled_hold_takes_nothing(box):
    line = name()
    intent = box.paid(line, capture_method="manual")
    path = f"/v1/payment_intents/{intent['id']}/cancel"
    canceled = box.post(path, cancellation_reason="requested_by_customer")
    assert canceled["status"] == "canceled" and canceled["cancellation_reason"] == "requested_by_customer"
    assert box.post(path).status == 400
    row = payment(box, line)
    assert (row["charges"], row["captured"], row["refunded"]) == (0, 0, 0)


def test_a_hold_expires_after_seven_days_of_the_clock(start):
    box = start()
    intent = box.paid("h", capture_method="manual", expand=["latest_charge"])
    charge = intent["latest_charge"]
    assert charge["payment_method_details"]["card"]["capture_before"] - charge["created"] == 7 * 86400
    box.advance(7 * 86400 - 60)
    assert box.get(f"/v1/payment_intents/{intent['id']}")["status"] == "requires_capture"
    box.advance(120)
    seen = box.get(f"/v1/payment_intents/{intent['id']}")
    assert (seen["status"], seen["cancellation_reason"]) == ("canceled", "automatic")
    assert [event["type"] for event in box.get("/v1/events", limit=2)["data"]] == [
        "payment_intent.canceled", "charge.expired"]
    refunds = box.get("/v1/refunds", payment_intent=intent["id"])["data"]
    assert [refund["reason"] for refund in refunds] == ["expired_uncaptured_charge"]
    assert payment(box, "h")["refunded"] == 0


@pytest.mark.parametrize("method,status", [("pm_usBankAccount_success", "succeeded"),
                                           ("pm_usBankAccount_insufficientFunds", "requires_payment_method")])
def test_a_slow_payment_is_processing_first(box, method, status):
    line = name()
    intent = box.paid(line, method)
    assert intent["status"] == "processing"
    eventually(lambda: box.get(f"/v1/payment_intents/{intent['id']}")["status"] == status, status)
    assert payment(box, line)["captures"] == (status == "succeeded")


def test_the_fee_is_known_at_once_only_without_automatic_async(box):
    at_once = box.paid(name(), capture_method="automatic", expand=["latest_charge.balance_transaction"])
    row = at_once["latest_charge"]["balance_transaction"]
    assert (row["amount"], row["fee"], row["net"]) == (2500, 103, 2397)
    later = box.paid(name(), expand=["latest_charge"])
    charge = later["latest_charge"]["id"]
    assert later["latest_charge"]["balance_transaction"] is None
    eventually(lambda: box.get(f"/v1/charges/{charge}")["balance_transaction"], "the fee")


@pytest.mark.parametrize("arguments,code,param", [
    ({"currency": "eur"}, "parameter_missing", "amount"),
    ({"amount": 100}, "parameter_missing", "currency"),
    ({"amount": "ten", "currency": "eur"}, "parameter_invalid_integer", "amount"),
    ({"amount": 49, "currency": "eur"}, "amount_too_small", "amount"),
    ({"amount": 100000000, "currency": "eur"}, "amount_too_large", "amount"),
    ({"amount": 5124, "currency": "kwd"}, "invalid_charge_amount", "amount"),
    ({"amount": 1050, "currency": "isk"}, "invalid_charge_amount", "amount"),
    ({"amount": 100, "currency": "xxx"}, None, "currency"),
    ({"amount": 100, "currency": "eur", "amuont": 1}, "parameter_unknown", "amuont"),
    ({"amount": 100, "currency": "eur", "confirm": True}, "parameter_missing", "payment_method"),
    ({"amount": 100, "currency": "eur", "capture_method": "later"}, None, "capture_method"),
    ({"amount": 100, "currency": "eur", "payment_method": "pm_nothing"}, "resource_missing", "payment_method"),
    ({"amount": 100, "currency": "eur", "metadata": {"k" * 41: "v"}}, None, "metadata"),
    ({"amount": 100, "currency": "eur", "expand": ["nothing"]}, None, "expand")])
def test_wrong_arguments_are_refused_by_name(box, arguments, code, param):
    answer = box.post("/v1/payment_intents", **arguments)
    assert answer.status == 400, answer
    assert (answer.error.get("code"), answer.error["param"]) == (code, param)


@pytest.mark.parametrize("body", ["amount=%zz", "amount[=1", "a[b[c]=1", "amount=1&amount[x]=2", "=1",
                                  "a[1][2][3][4][5][6]=1", "amount=%00", "amount=%ff", "[x]=1"])
def test_malformed_forms_are_refused(box, body):
    answer = box.request("POST", "/v1/payment_intents", body)
    assert answer.status == 400 and answer.error["type"] == "invalid_request_error"


def test_metadata_is_merged_and_unset_by_empty_values(box):
    intent = box.intent(name(), description="first")
    path = f"/v1/payment_intents/{intent['id']}"
    changed = box.post(path, metadata={"payment_id": "", "b": "2"}, description="second", amount=3000)
    assert changed["metadata"] == {"b": "2"}
    assert (changed["description"], changed["amount"]) == ("second", 3000)


# ---- refunds --------------------------------------------------------------------------------------

def test_refunds_never_exceed_what_was_captured(box):
    line = name()
    intent = box.paid(line)
    first = box.post("/v1/refunds", payment_intent=intent["id"], amount=1000, reason="duplicate")
    assert (first["status"], first["amount"], first["reason"]) == ("succeeded", 1000, "duplicate")
    assert box.post("/v1/refunds", payment_intent=intent["id"], amount=1501).status == 400
    assert box.post("/v1/refunds", charge=intent["latest_charge"])["amount"] == 1500
    again = box.post("/v1/refunds", payment_intent=intent["id"])
    assert again.error["code"] == "charge_already_refunded"
    charge = box.get(f"/v1/charges/{intent['latest_charge']}", expand=["refunds"])
    assert charge["refunded"] and charge["amount_refunded"] == 2500
    assert [refund["amount"] for refund in charge["refunds"]["data"]] == [1500, 1000]
    assert payment(box, line)["refunded"] == 2500


def test_what_was_not_captured_is_not_refunded(box):
    held = box.paid(name(), capture_method="manual")
    assert box.post("/v1/refunds", payment_intent=held["id"]).status == 400
    assert box.post("/v1/refunds", payment_intent=box.intent(name())["id"]).status == 400
    assert box.post("/v1/refunds").error["code"] == "parameter_missing"


def test_a_refund_can_fail_after_it_succeeded(box):
    line = name()
    intent = box.paid(line, "pm_card_refundFail")
    refund = box.post("/v1/refunds", payment_intent=intent["id"])
    assert refund["status"] == "succeeded"
    path = f"/v1/refunds/{refund['id']}"
    eventually(lambda: box.get(path)["status"] == "failed", "failure")
    assert box.get(path)["failure_balance_transaction"].startswith("txn_")
    assert payment(box, line)["refunded"] == 0
    assert box.get(f"/v1/charges/{intent['latest_charge']}")["amount_refunded"] == 0


def test_a_pending_refund_can_be_canceled(start):
    box = start("--async-ms", "60000")
    intent = box.paid("r", "pm_card_pendingRefund")
    refund = box.post("/v1/refunds", payment_intent=intent["id"])
    assert (refund["status"], refund["pending_reason"]) == ("pending", "processing")
    assert box.post(f"/v1/refunds/{refund['id']}/cancel")["status"] == "canceled"
    assert payment(box, "r")["refunded"] == 0
    other = box.post("/v1/refunds", payment_intent=intent["id"])
    box.advance(61)
    assert box.get(f"/v1/refunds/{other['id']}")["status"] == "succeeded"


def kinds_of(box, *names):
    """Types of the events about these objects, oldest first."""
    events = box.get("/v1/events", limit=100)["data"]
    return [event["type"] for event in reversed(events) if event["data"]["object"]["id"] in names]


@pytest.mark.parametrize("way,kinds", [
    (["requires_action", "succeeded", "failed"], ["refund.failed"]),
    (["requires_action", "canceled"], []),
    (["failed"], ["refund.failed"]),
    (["succeeded"], [])])
def test_a_refund_goes_the_way_the_panel_wants(start, way, kinds):
    box = start("--async-ms", "60000")
    intent = box.paid("r", "pm_card_pendingRefund")
    refund = box.post("/v1/refunds", payment_intent=intent["id"], amount=1000, metadata={"refund_id": "rfd_1"})
    path = f"/v1/refunds/{refund['id']}"
    for status in way:
        box.panel("refunds", {"refund": refund["id"], "status": status, "failure_reason": "lost_or_stolen_card"})
        seen = box.get(path)
        assert seen["status"] == status
        assert ("next_action" in seen.json) == (status == "requires_action")
        assert seen.json.get("failure_reason") == ("lost_or_stolen_card" if status == "failed" else None)
    gone = way[-1] in ("failed", "canceled")
    assert seen["metadata"] == {"refund_id": "rfd_1"}
    assert ("failure_balance_transaction" in seen.json) == gone
    assert (payment(box, "r")["refunded"], payment(box, "r")["refunds"]) == ((0, 0) if gone else (1000, 1))
    assert kinds_of(box, refund["id"]) == ["refund.created"] + ["refund.updated", "charge.refund.updated"] * len(way) + kinds
    box.advance(61)                                       # what the card would have done is over
    assert box.get(path)["status"] == way[-1]
    again = box.request("POST", "/_sandbox/refunds", f'{{"refund": "{refund["id"]}", "status": "pending"}}', key=None)
    assert again.status == 400


def test_a_charge_shows_its_ten_newest_refunds_and_says_when_there_are_more(box):
    intent = box.paid(name())
    made = [box.post("/v1/refunds", payment_intent=intent["id"], amount=100)["id"] for _ in range(11)]
    read = box.get(f"/v1/payment_intents/{intent['id']}",
                   expand=["latest_charge.refunds", "latest_charge.balance_transaction"])
    shown = read["latest_charge"]["refunds"]
    assert shown["has_more"] is True
    assert [refund["id"] for refund in shown["data"]] == made[:0:-1]
    every = box.get("/v1/refunds", payment_intent=intent["id"], limit=100)
    assert every["has_more"] is False and [refund["id"] for refund in every["data"]] == made[::-1]


def test_a_failed_refund_is_listed_although_the_charge_no_longer_counts_it(start):
    box = start("--async-ms", "60000")
    intent = box.paid("r")
    refund = box.post("/v1/refunds", payment_intent=intent["id"])
    box.panel("refunds", {"refund": refund["id"], "status": "failed"})
    charge = box.get(f"/v1/charges/{intent['latest_charge']}", expand=["refunds"])
    assert (charge["amount_refunded"], charge["refunded"]) == (0, False)
    assert [item["status"] for item in charge["refunds"]["data"]] == ["failed"]


@pytest.mark.parametrize("end", ["canceled", "captured", "expired"])
def test_the_release_of_a_hold_is_a_refund_that_moved_nothing(start, end):
    box = start()
    intent = box.paid("h", capture_method="manual")
    path = f"/v1/payment_intents/{intent['id']}"
    if end == "canceled":
        box.post(f"{path}/cancel")
    elif end == "captured":
        box.post(f"{path}/capture", amount_to_capture=2000)
    else:
        box.advance(7 * 86400 + 60)
    release, = box.get("/v1/refunds", payment_intent=intent["id"])["data"]
    assert release["amount"] == (500 if end == "captured" else 2500)
    assert release["reason"] == ("expired_uncaptured_charge" if end == "expired" else None)
    assert (release["status"], release["balance_transaction"]) == ("succeeded", None)
    assert kinds_of(box, release["id"]) == ["refund.created"]
    assert box.request("POST", "/_sandbox/refunds", f'{{"refund": "{release["id"]}", "status": "failed"}}',
                       key=None).status == 400


# ---- disputes -------------------------------------------------------------------------------------

def dispute_of(box, intent):
    return eventually(lambda: box.get("/v1/disputes", payment_intent=intent["id"])["data"], "a dispute")[0]


@pytest.mark.parametrize("verdict,moves", [("won", [-2500, 2500]), ("lost", [-2500])])
def test_a_dispute_withdraws_and_only_winning_reinstates(box, verdict, moves):
    line = name()
    intent = box.paid(line, "pm_card_createDispute")
    dispute = dispute_of(box, intent)
    assert dispute["status"] == "needs_response"
    assert box.post("/v1/refunds", payment_intent=intent["id"]).error["code"] == "charge_disputed"
    box.panel("disputes", {"dispute": dispute["id"], "verdict": verdict})
    seen = box.get(f"/v1/disputes/{dispute['id']}")
    assert seen["status"] == verdict
    assert [row["amount"] for row in seen["balance_transactions"]] == moves
    assert box.post(f"/v1/disputes/{dispute['id']}/close").status == 400


def test_an_inquiry_moves_no_money(box):
    intent = box.paid(name(), "pm_card_createDisputeInquiry")
    dispute = dispute_of(box, intent)
    assert (dispute["status"], dispute["balance_transactions"]) == ("warning_needs_response", [])
    assert box.post(f"/v1/disputes/{dispute['id']}/close")["status"] == "warning_closed"


def test_part_of_a_payment_is_disputed_twice_and_prevented(box):
    intent = box.paid(name())
    charge = intent["latest_charge"]
    box.panel("disputes", {"charge": charge, "open": "dispute", "amount": 1000})
    first = dispute_of(box, intent)
    assert (first["amount"], [row["amount"] for row in first["balance_transactions"]]) == (1000, [-1000])
    assert [row["fee"] for row in first["balance_transactions"]] == [1500]
    box.panel("disputes", {"dispute": first["id"], "verdict": "won"})
    rows = box.get(f"/v1/disputes/{first['id']}")["balance_transactions"]
    assert [row["reporting_category"] for row in rows] == ["dispute", "dispute_reversal"]
    box.panel("disputes", {"charge": charge, "open": "inquiry"})
    second = dispute_of(box, intent)
    assert second["id"] != first["id"]
    box.panel("disputes", {"dispute": second["id"], "verdict": "prevented"})
    assert box.get(f"/v1/disputes/{second['id']}")["status"] == "prevented"
    assert len(box.get("/v1/disputes", payment_intent=intent["id"])["data"]) == 2
    more = '{"charge": "%s", "open": "dispute", "amount": 2501}' % charge
    assert box.request("POST", "/_sandbox/disputes", more, key=None).status == 400


def test_the_balance_can_be_in_another_currency(start):
    box = start("--settle-in", "usd")
    intent = box.paid("s", capture_method="automatic")
    read = box.get(f"/v1/payment_intents/{intent['id']}", expand=["latest_charge.balance_transaction"])
    row = read["latest_charge"]["balance_transaction"]
    assert (row["currency"], row["amount"], row["fee"], row["exchange_rate"]) == ("usd", 2750, 103, 1.1)
    box.panel("disputes", {"charge": intent["latest_charge"], "open": "dispute"})
    dispute = dispute_of(box, intent)
    row, = dispute["balance_transactions"]
    assert (dispute["amount"], dispute["currency"], row["amount"], row["currency"]) == (2500, "eur", -2750, "usd")


def test_evidence_can_win(box):
    dispute = dispute_of(box, box.paid(name(), "pm_card_createDispute"))
    path = f"/v1/disputes/{dispute['id']}"
    assert box.post(path, evidence={"uncategorized_text": "winning_evidence"})["status"] == "won"


def test_an_early_fraud_warning_names_its_charge(box):
    intent = box.paid(name(), "pm_card_createIssuerFraudRecord")
    path = "/v1/radar/early_fraud_warnings"
    found = eventually(lambda: box.get(path, payment_intent=intent["id"])["data"], "a warning")
    assert found[0]["charge"] == intent["latest_charge"]


@pytest.mark.parametrize("answer", ["refund", "dispute"])
def test_a_warning_is_no_longer_actionable_once_it_is_answered(start, answer):
    box = start()
    intent = box.paid("w", "pm_card_createIssuerFraudRecord")
    path = "/v1/radar/early_fraud_warnings"
    warning = eventually(lambda: box.get(path, payment_intent=intent["id"])["data"], "a warning")[0]
    assert warning["actionable"] is True
    if answer == "refund":
        box.post("/v1/refunds", payment_intent=intent["id"], amount=1000)
        assert box.get(f"{path}/{warning['id']}")["actionable"] is True
        box.post("/v1/refunds", payment_intent=intent["id"])
    else:
        box.panel("disputes", {"charge": intent["latest_charge"], "open": "dispute"})
    assert box.get(f"{path}/{warning['id']}")["actionable"] is False
    assert kinds_of(box, warning["id"]) == ["radar.early_fraud_warning.created", "radar.early_fraud_warning.updated"]


# ---- lists ----------------------------------------------------------------------------------------

def test_lists_page_both_ways_and_by_window(start):
    box = start()
    ids = []
    for number in range(5):
        ids.insert(0, box.intent(str(number))["id"])
        box.advance(10)
    created = [item["created"] for item in box.get("/v1/payment_intents")["data"]]

    def page(**arguments):
        answer = box.get("/v1/payment_intents", **arguments)
        assert answer.status == 200, answer
        return [item["id"] for item in answer["data"]], answer["has_more"]

    assert page() == (ids, False)
    assert page(limit=2) == (ids[:2], True)
    assert page(limit=2, starting_after=ids[1]) == (ids[2:4], True)
    assert page(limit=2, starting_after=ids[3]) == (ids[4:], False)
    assert page(limit=2, ending_before=ids[3]) == (ids[1:3], True)
    assert page(created={"gte": created[3], "lt": created[1]}) == (ids[2:4], False)
    assert page(created={"gt": created[3], "lte": created[1]}) == (ids[1:3], False)
    assert box.get("/v1/payment_intents", limit=0).status == 400
    assert box.get("/v1/payment_intents", starting_after="pi_no").error["param"] == "starting_after"


def test_charges_of_an_intent_show_every_attempt(box):
    declined = box.paid(name(), "pm_card_chargeDeclined").error["payment_intent"]
    box.post(f"/v1/payment_intents/{declined['id']}/confirm", payment_method="pm_card_visa")
    found = box.get("/v1/charges", payment_intent=declined["id"], expand=["data.payment_intent"])
    assert [item["status"] for item in found["data"]] == ["succeeded", "failed"]
    assert found["data"][0]["payment_intent"]["status"] == "succeeded"


# ---- checkout sessions ----------------------------------------------------------------------------

def test_a_session_has_no_intent_before_the_donor_submits(box):
    line = name()
    session = box.session(line)
    assert (session["status"], session["payment_intent"], session["amount_total"]) == ("open", None, 2500)
    done = box.panel("pay", {"session": session["id"]})
    assert done["redirect"].endswith("?s=" + session["id"])
    seen = box.get(f"/v1/checkout/sessions/{session['id']}", expand=["payment_intent", "line_items"])
    assert (seen["status"], seen["payment_status"], seen["url"]) == ("complete", "paid", None)
    assert seen["payment_intent"]["metadata"] == {"payment_id": line}
    assert seen["line_items"]["data"][0]["amount_total"] == 2500
    row = payment(box, line)
    assert (row["sessions"], row["intents"], row["captured"]) == (1, 1, 2500)


def test_a_second_try_uses_the_same_intent(box):
    line = name()
    session = box.session(line)
    assert box.panel("pay", {"payment_id": line, "payment_method": "pm_card_chargeDeclined"})[
        "outcome"] == "declined"
    assert box.get(f"/v1/checkout/sessions/{session['id']}")["status"] == "open"
    assert box.panel("pay", {"payment_id": line})["outcome"] == "paid"
    row = payment(box, line)
    assert (row["intents"], row["declines"], row["captures"]) == (1, 1, 1)
    assert box.request("POST", "/_sandbox/pay", f'{{"session": "{session["id"]}"}}', key=None).status == 409


def test_a_manual_session_is_complete_and_paid_when_captured(box):
    session = box.session(name(), payment_intent_data={"capture_method": "manual"})
    box.panel("pay", {"session": session["id"]})
    path = f"/v1/checkout/sessions/{session['id']}"
    held = box.get(path)
    assert (held["status"], held["payment_status"]) == ("complete", "unpaid")
    box.post(f"/v1/payment_intents/{held['payment_intent']}/capture")
    assert box.get(path)["payment_status"] == "paid"


def test_an_expired_session_takes_nothing(box):
    line = name()
    session = box.session(line)
    box.panel("pay", {"session": session["id"], "payment_method": "pm_card_chargeDeclined"})
    path = f"/v1/checkout/sessions/{session['id']}"
    intent = box.get(path)["payment_intent"]
    assert box.post(f"/v1/payment_intents/{intent}/cancel").status == 400
    assert box.post(f"/v1/payment_intents/{intent}/confirm", payment_method="pm_card_visa").status == 400
    assert box.post(f"{path}/expire")["status"] == "expired"
    assert box.get(f"/v1/payment_intents/{intent}")["status"] == "canceled"
    assert box.post(f"{path}/expire").status == 400
    assert box.request("POST", f"/pay/{session['id']}", "number=4242424242424242", key=None).status == 410
    assert payment(box, line)["captures"] == 0


def test_sessions_expire_after_a_day_of_the_clock(start):
    box = start()
    session = box.session("s")
    box.advance(86400 + 1)
    assert box.get(f"/v1/checkout/sessions/{session['id']}")["status"] == "expired"
    assert box.get("/v1/checkout/sessions", created={"lt": session["created"]})["data"] == []
    assert len(box.get("/v1/checkout/sessions", created={"gte": session["created"]})["data"]) == 1


@pytest.mark.parametrize("change,param", [
    ({"success_url": "javascript:alert(1)"}, "success_url"), ({"mode": "setup"}, "mode"),
    ({"payment_intent_data": {"capture_method": "x"}}, "payment_intent_data[capture_method]"),
    ({"expires_at": 1}, "expires_at")])
def test_wrong_sessions_are_refused(box, change, param):
    arguments = {"mode": "payment", "success_url": "http://127.0.0.1:9/", "line_items": [
        {"quantity": 1, "price_data": {"currency": "eur", "unit_amount": 1000,
                                       "product_data": {"name": "Gift"}}}], **change}
    answer = box.post("/v1/checkout/sessions", **arguments)
    assert answer.status == 400 and answer.error["param"] == param
