"""Giving money back over HTTP: who may, once per key, never more than is left, and what the audit log keeps."""

import concurrent.futures

import pytest
from test_server import post_webhook, signed, webhook_body

from conftest import Server, eventually, new_key

NOBODY = "01h455vb4pex5vsknk084sn02q"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server("--database", str(tmp_path_factory.mktemp("refunds") / "book.db"), "--provider", "play")
    yield server
    assert server.stop() == 0, server.log()


def donation(server, minor=2500):
    """A paid pledge: its campaign and its payment."""
    campaign_id = server.campaign()
    pledge = server.pledge(campaign_id, minor=minor)
    assert server.confirm(pledge).status == 200
    server.wait_raised(campaign_id, minor)
    return campaign_id, pledge.json["payment_id"]


def refund(server, payment_id, body=None, key=None, headers=None, token=True):
    return server.request("POST", f"/api/v1/payments/{payment_id}/refunds", body if body is not None else {},
                          {"Idempotency-Key": key or new_key(), **(headers or {})}, token=token)


def read(server, path):
    answer = server.get(path, token=True)
    assert answer.status == 200, answer
    return answer.json


def eur(minor):
    return {"amount": {"minor": minor, "currency": "EUR"}}


def test_a_refund_lowers_the_total_and_shows_on_the_payment(server):
    campaign_id, payment_id = donation(server)
    made = refund(server, payment_id, {**eur(1000), "reason": "asked by the donor"})
    assert made.status == 201, made
    assert made.json["state"] == "SUCCEEDED" and made.json["origin"] == "asked"
    assert made.headers["location"] == f"/api/v1/refunds/{made.json['id']}"
    assert read(server, made.headers["location"]) == made.json
    assert read(server, f"/api/v1/payments/{payment_id}/refunds") == {"refunds": [made.json]}
    payment = read(server, f"/api/v1/payments/{payment_id}")
    assert payment["state"] == "COMPLETED" and payment["flags"] == []
    assert [payment[name]["minor"] for name in ("captured", "refunded", "disputed", "refundable")] == [2500, 1000, 0, 1500]
    answer = server.get(f"/api/v1/campaigns/{campaign_id}/totals?at_least={made.headers['careforall-position']}")
    row = answer.json["currencies"][0]
    assert (row["raised_minor"], row["refunded_minor"], row["net_minor"]) == (2500, 1000, 1500)
    assert read(server, f"/api/v1/payments/{payment_id}/disputes") == {"disputes": []}


def test_a_repeat_is_the_same_refund_and_another_amount_is_refused(server):
    _, payment_id = donation(server)
    key = new_key()
    first, again = refund(server, payment_id, eur(1000), key), refund(server, payment_id, eur(1000), key)
    assert (first.status, again.status) == (201, 200)
    assert again.headers["idempotent-replayed"] == "true" and again.json["id"] == first.json["id"]
    other = refund(server, payment_id, eur(1001), key)
    assert other.status == 422 and other.json["field"] == "amount.minor", other


def test_never_more_than_is_left_whoever_asks_at_once(server):
    _, payment_id = donation(server)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = sorted(answer.status for answer in pool.map(
            lambda _: refund(server, payment_id, eur(800)), range(8)))
    assert statuses == [201] * 3 + [422] * 5
    assert read(server, f"/api/v1/payments/{payment_id}")["refundable"]["minor"] == 100
    assert refund(server, payment_id).status == 201
    left = refund(server, payment_id)
    assert left.status == 409 and "nothing is left" in left.json["detail"], left


def test_only_the_service_gives_money_back(server):
    _, payment_id = donation(server)
    assert refund(server, payment_id, token=False).status == 401
    assert server.get(f"/api/v1/payments/{payment_id}").status == 401
    assert server.get(f"/api/v1/payments/{payment_id}/refunds").status == 401


@pytest.mark.parametrize("body, status, field", [
    ({"amount": {"minor": -1, "currency": "EUR"}}, 422, "amount.minor"),
    ({"amount": {"minor": 100, "currency": "USD"}}, 422, "amount.currency"),
    ({"amount": {"minor": 1.5, "currency": "EUR"}}, 400, "amount.minor"),
    ({"amounts": {}}, 400, "amounts"),
    ({"reason": "x" * 501}, 422, "reason"),
])
def test_what_cannot_be_is_refused_by_its_field(server, body, status, field):
    _, payment_id = donation(server)
    answer = refund(server, payment_id, body)
    assert (answer.status, answer.json["field"]) == (status, field), answer
    assert read(server, f"/api/v1/payments/{payment_id}/refunds") == {"refunds": []}


def test_a_payment_that_is_not_paid_or_not_there_gives_nothing_back(server):
    pledge = server.pledge(server.campaign())
    unpaid = refund(server, pledge.json["payment_id"])
    assert unpaid.status == 409 and "only captured money" in unpaid.json["detail"], unpaid
    assert refund(server, f"pay_{NOBODY}").status == 404
    assert refund(server, f"plg_{NOBODY}").status == 422
    assert server.get(f"/api/v1/refunds/rfd_{NOBODY}", token=True).status == 404
    assert server.get(f"/api/v1/disputes/dsp_{NOBODY}", token=True).status == 404


def test_a_payment_can_be_called_off(server):
    pledge = server.pledge(server.campaign())
    path = f"/api/v1/payments/{pledge.json['payment_id']}"
    headers = {"Idempotency-Key": new_key(), "Careforall-Actor": "desk", "Careforall-Reason": "asked to"}
    answer = server.request("POST", f"{path}/cancel", headers=headers, token=True)
    assert answer.status == 200, answer
    eventually(lambda: read(server, path)["state"] == "CANCELED", "canceled")
    assert server.request("POST", f"{path}/capture", {}, {"Idempotency-Key": new_key()}, token=True).status == 409


def late_payment(server, late_rule):
    """Paid after the end of a campaign with this rule: its campaign, and its payment's path."""
    created = server.request("POST", "/api/v1/campaigns", {"title": "Late", "currencies": ["EUR"], "late_rule": late_rule},
                             {"Idempotency-Key": new_key()}, token=True)
    assert created.status == 201 and created.json["late_rule"] == late_rule, created
    pledge = server.pledge(created.json["id"])
    end = server.request("POST", f"/api/v1/campaigns/{created.json['id']}/end", headers={
        "Idempotency-Key": new_key(), "If-Match": created.headers["etag"]}, token=True)
    assert end.status == 200, end
    confirmed = server.confirm(pledge)
    assert confirmed.status == 200, confirmed
    return created.json["id"], f"/api/v1/payments/{pledge.json['payment_id']}"


def accept(server, path, key=None, token=True):
    headers = {"Idempotency-Key": key or new_key(), "Careforall-Actor": "desk-3", "Careforall-Reason": "the bank was slow"}
    return server.request("POST", f"{path}/accept", headers=headers, token=token)


@pytest.mark.parametrize("rule", ["flag", "refund"])
def test_suspected_money_goes_back_where_the_server_says_so(start, tmp_path, rule):
    server = start("--database", str(tmp_path / "book.db"), "--provider", "play", "--fraud", rule)
    _, payment_id = donation(server)
    path = f"/api/v1/payments/{payment_id}"
    body = webhook_body(rule, ref=read(server, path)["provider_ref"], flags=["fraud_warning"])
    warned = post_webhook(server, body, signed(body))
    assert warned.status == 200 and warned.json["verdict"] == "APPLIED", warned
    assert read(server, path)["flags"] == ["fraud_warning"]
    if rule == "refund":
        eventually(lambda: read(server, path)["refunded"]["minor"] == 2500, "refunded")
    origins = [entry["origin"] for entry in read(server, f"{path}/refunds")["refunds"]]
    assert origins == (["fraud_rule"] if rule == "refund" else [])


def test_money_after_the_end_is_held_until_somebody_accepts_it(server):
    campaign_id, path = late_payment(server, "hold")
    eventually(lambda: read(server, path)["state"] == "COMPLETED", "paid")
    payment = read(server, path)
    assert payment["flags"] == ["late", "held"] and payment["captured"]["minor"] == payment["refundable"]["minor"] == 2500
    assert refund(server, payment["id"], eur(500)).status == 201
    assert accept(server, path, token=False).status == 401
    key = new_key()
    made, again = accept(server, path, key), accept(server, path, key)
    assert made.status == again.status == 200, (made, again)
    assert made.json["flags"] == again.json["flags"] == ["late"]
    answer = server.get(f"/api/v1/campaigns/{campaign_id}/totals?at_least={made.headers['careforall-position']}")
    row = answer.json["currencies"][0]
    assert (row["raised_minor"], row["refunded_minor"], row["donation_count"]) == (2500, 500, 1)
    other = accept(server, path)
    assert other.status == 409 and "not held" in other.json["detail"], other
    acts = [act for act in read(server, "/api/v1/admin/acts?limit=1000")["acts"] if act["action"] == "payment.accept"]
    assert [(act["subject"], act["actor"], act["reason"]) for act in acts if act["subject"] == payment["id"]] == [
        (payment["id"], "desk-3", "the bank was slow")]


def test_only_what_is_held_can_be_accepted(server):
    _, payment_id = donation(server)
    assert accept(server, f"/api/v1/payments/{payment_id}").status == 409
    assert accept(server, f"/api/v1/payments/pay_{NOBODY}").status == 404
    assert accept(server, f"/api/v1/payments/plg_{NOBODY}").status == 422
    assert server.request("POST", f"/api/v1/payments/{payment_id}/accept", headers={}, token=True).status == 400


def test_money_after_the_end_goes_back_where_the_campaign_says_so(server):
    _, path = late_payment(server, "refund")
    eventually(lambda: read(server, path)["refunded"]["minor"] == 2500, "refunded")
    assert read(server, path)["flags"] == ["late"]
    assert [entry["origin"] for entry in read(server, f"{path}/refunds")["refunds"]] == ["late_rule"]
