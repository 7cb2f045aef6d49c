"""The same click again, over HTTP: one intent at the provider, the same bytes for whoever made it, nothing for anybody else."""

import json
import threading

import pytest

from e2e_support import DEADLINE_S, SECURE, THANKS, Wire, eventually, facts, new_key, path_of

CLICKS = 20


class ClickWire(Wire):
    def __init__(self, folder, mode):
        super().__init__(folder, "--stripe-mode", mode, database=str(folder / "book.db"), thanks=mode == "checkout")
        self.database, self.mode = str(folder / "book.db"), mode

    def made(self):
        """How many pages or intents a donor could pay with."""
        return self.sandbox.books()["sessions" if self.mode == "checkout" else "intents"]

    def line(self, pledge):
        """What the provider's books say of one payment."""
        return json.loads(self.sandbox.call("GET", f"/_sandbox/payments/{pledge.json['payment_id']}", key=None)[2])

    def donate(self, pledge):
        if self.mode == "checkout":
            assert self.pay(pledge) == (303, THANKS)
            return
        intent_id = pledge.json["client_secret"].split("_secret_")[0]
        status, _, text = self.sandbox.call("POST", f"/v1/payment_intents/{intent_id}/confirm",
                                            form={"payment_method": "pm_card_visa", "return_url": THANKS})
        assert status == 200, text


@pytest.fixture(scope="module", params=["checkout", "intent"])
def clicks(request, tmp_path_factory):
    wire = ClickWire(tmp_path_factory.mktemp("clicks"), request.param)
    yield wire
    wire.close()


def together(count, act):
    """Let `act` run `count` times at once; returns what it gave."""
    barrier, out = threading.Barrier(count), []

    def run():
        barrier.wait(DEADLINE_S)
        out.append(act())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert len(out) == count
    return out


def test_a_double_click_is_201_then_200_with_the_same_bytes(clicks):
    campaign_id, key, before = clicks.server.campaign(), new_key(), clicks.made()
    answers = [clicks.server.pledge(campaign_id, key) for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 200, 200]
    assert len({answer.body for answer in answers}) == 1
    assert ["idempotent-replayed" in answer.headers for answer in answers] == [False, True, True]
    assert clicks.made() == before + 1
    stored = facts(clicks.database)
    assert clicks.server.pledge(campaign_id, key).status == 200
    assert {table for table, rows in facts(clicks.database).items() if rows != stored[table]} <= {"totals", "contribution"}
    clicks.donate(answers[0])
    clicks.server.wait_raised(campaign_id, 2500)
    assert clicks.server.pledge(campaign_id, key).body == answers[0].body   # what it was, not what it became
    line = clicks.line(answers[0])
    assert (line["intents"], line["captures"], line["captured"]) == (1, 1, 2500)


def test_twenty_clicks_at_once_on_twenty_connections_are_one(clicks):
    campaign_id, key, before = clicks.server.campaign(), new_key(), clicks.made()
    answers = together(CLICKS, lambda: clicks.server.pledge(campaign_id, key))
    assert sorted(answer.status for answer in answers) == [200] * (CLICKS - 1) + [201]
    assert len({answer.body for answer in answers}) == 1
    for answer in answers:
        assert clicks.server.own(answer).json["id"] == answers[0].json["id"]
    assert clicks.made() == before + 1
    clicks.donate(answers[0])
    totals = clicks.server.wait_raised(campaign_id, 2500)
    assert totals["currencies"][0]["donation_count"] == 1


def test_twenty_clicks_while_replies_are_lost_are_one(clicks):
    campaign_id, key, before = clicks.server.campaign(), new_key(), clicks.made()
    path = "/v1/checkout/sessions" if clicks.mode == "checkout" else "/v1/payment_intents"
    clicks.sandbox.pull("faults", next={"fault": "reply_lost", "method": "POST", "path": path, "times": 2})
    answers = together(CLICKS, lambda: clicks.server.pledge(campaign_id, key))
    assert {answer.status for answer in answers} <= {200, 201, 202}
    final = eventually(lambda: (again := clicks.server.pledge(campaign_id, key)).status == 200 and again, "the answer")
    assert {answer.body for answer in answers if answer.status != 202} <= {final.body}
    for answer in answers:
        assert answer.json["id"] == final.json["id"] and (answer.status != 202 or "client_secret" not in answer.json)
    assert clicks.made() == before + 1
    clicks.donate(final)
    clicks.server.wait_raised(campaign_id, 2500)
    assert clicks.sandbox.books()["charged_twice"] == 0


def secrets_of(answer):
    return [value for value in (answer.json.get("client_secret"), answer.json.get("redirect_url"),
                                answer.headers.get("careforall-pledge-token"), answer.json["id"]) if value]


def test_the_key_in_another_scope_reads_nothing(clicks):
    campaign_id, key, before = clicks.server.campaign(), new_key(), clicks.made()
    donors = clicks.server.pledge(campaign_id, key)
    services = clicks.server.pledge(campaign_id, key, token=True)
    assert (donors.status, services.status) == (201, 201)
    for mine, other in ((donors, services), (services, donors)):
        for secret in secrets_of(other):
            assert secret.encode() not in mine.body and secret not in str(mine.headers), secret
    # Each goes on with its own.
    assert clicks.server.pledge(campaign_id, key).body == donors.body
    assert clicks.server.pledge(campaign_id, key, token=True).body == services.body
    assert clicks.made() == before + 2


def test_the_key_with_another_amount_reads_nothing(clicks):
    campaign_id, key, before = clicks.server.campaign(), new_key(), clicks.made()
    mine = clicks.server.pledge(campaign_id, key)
    other = clicks.server.pledge(campaign_id, key, minor=2600)
    assert (other.status, other.json["code"], other.json["field"]) == (422, "cfa_ekeyreuse", "amount.minor")
    for secret in secrets_of(mine):
        assert secret.encode() not in other.body and secret not in str(other.headers), secret
    assert clicks.made() == before + 1


def test_a_pledge_opens_to_its_own_token_alone(clicks):
    campaign_id = clicks.server.campaign()
    mine, theirs = clicks.server.pledge(campaign_id, donor={"name": "Ada"}), clicks.server.pledge(campaign_id)
    path = f"/api/v1/pledges/{mine.json['id']}"
    token = mine.headers["careforall-pledge-token"]
    other = theirs.headers["careforall-pledge-token"]
    assert clicks.server.get(path, headers={"Careforall-Pledge-Token": token}).json["donor"]["name"] == "Ada"
    wrong = [{"Careforall-Pledge-Token": text} for text in (other, token[:-1], token + "x", token.swapcase(), "x")] + [{}]
    answers = [clicks.server.get(path, headers=headers) for headers in wrong]
    missing = clicks.server.get(path.replace(mine.json["id"], "plg_" + "0" * 26), headers=wrong[0])
    for answer in answers:
        assert answer.status in (401, 404) and b"Ada" not in answer.body, answer
    # Whether the pledge exists cannot be told either.
    assert (answers[0].status, answers[0].json["code"]) == (missing.status, missing.json["code"])


def test_a_tab_that_went_to_the_bank_and_one_that_paid_charge_once(tmp_path):
    wire = ClickWire(tmp_path, "checkout")
    try:
        campaign_id, key = wire.server.campaign(), new_key()
        first, second = wire.server.pledge(campaign_id, key), wire.server.pledge(campaign_id, key)
        status, bank = wire.pay(first, SECURE)
        assert status == 303 and bank != THANKS
        assert wire.pay(second)[0] in (303, 409)
        wire.sandbox.call("POST", path_of(bank), form={"result": "pass"}, key=None)
        wire.server.wait_raised(campaign_id, 2500)
        line = wire.line(first)
        assert (line["captures"], line["captured"]) == (1, 2500)
        assert wire.sandbox.books()["charged_twice"] == 0
    finally:
        wire.close()
