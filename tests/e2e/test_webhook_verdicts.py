"""The verdict table for webhooks, row by row, over HTTP: what is answered, what is stored, what the totals say.

Events are written by hand and signed by the official Stripe package.
"""

import json
import pathlib
import socket
import sqlite3
import threading
import time

import pytest

from e2e_support import (APPLIED, CONTRADICTION, DEADLINE_S, IGNORED, PARKED, QUARANTINED, STALE, THANKS, Donation,
                         HandWire, Server, changed, environment, event, eventually, new_key, outbox, post_webhook, read,
                         text_of, while_it_lasts)

stripe = pytest.importorskip("stripe")

# What an event brings that is stored and nothing more.
STORED = {"webhook": (1, 0)}
MONTHS_S = 120 * 24 * 3600


@pytest.fixture(scope="module")
def hand(tmp_path_factory):
    wire = HandWire(tmp_path_factory.mktemp("hand"))
    yield wire
    wire.close()


@pytest.fixture
def own_hand(tmp_path):
    made = []

    def make(*flags):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(HandWire(folder, *flags))
        return made[-1]

    yield make
    for wire in made:
        wire.close()


def sign(text, secret, at=None):
    return stripe.WebhookSignature.generate_signature_header(text, secret, at)


def post(wire, body, secret=None, at=None):
    """Sign as Stripe does and post; returns status and answer."""
    text = body if isinstance(body, str) else text_of(body)
    return post_webhook(wire, text.encode(), sign(text, secret or wire.secret, at))


def verdict(wire, body, **more):
    status, answer = post(wire, body, **more)
    assert status == 200 and set(answer) == {"verdict"}, answer
    return answer["verdict"]


def conflicts(wire):
    """The alarms as an operator lists them."""
    return [each for each in outbox(wire) if each["type"] == "org.careforall.payment.conflict.v1"]


# ---- 200: it was taken --------------------------------------------------------------------------


def test_a_report_is_applied_once_and_stored_with_its_verdict(hand):
    donation = Donation(hand)
    before, paid = hand.facts(), donation.event()
    assert verdict(hand, paid) == "APPLIED"
    hand.server.wait_raised(donation.campaign_id, 2500)
    assert donation.state() == "COMPLETED" and hand.webhook(paid["id"]) == APPLIED
    moved = changed(before, hand.facts())
    assert moved["webhook"] == (1, 0) and moved["payment"] == moved["contribution"] == moved["totals"] == (1, 1)
    # AUTHORIZED and CAPTURED are implied: three steps, and the events of each.
    assert moved["transition"] == (3, 0) and moved["event"][0] >= 1 and moved["event"][1] == 0
    assert donation.totals()["donation_count"] == 1 and donation.totals()["pledged_minor"] == 0


def test_a_duplicate_changes_nothing_whatever_its_signature(hand):
    donation = Donation(hand)
    paid = donation.event()
    assert verdict(hand, paid) == "APPLIED"
    hand.server.wait_raised(donation.campaign_id, 2500)
    before, totals = hand.facts(), hand.server.totals(donation.campaign_id)["version"]
    for at in (None, int(time.time()) - 250, int(time.time()) + 250):
        assert verdict(hand, paid, at=at) == "DUPLICATE"
    # The id decides, not what the event says.
    assert verdict(hand, {**paid, "type": "payment_intent.canceled"}) == "DUPLICATE"
    assert hand.facts() == before
    assert hand.server.totals(donation.campaign_id)["version"] == totals


def test_reports_that_come_late_are_stored_and_stale(hand):
    donation = Donation(hand)
    assert verdict(hand, donation.event()) == "APPLIED"
    hand.server.wait_raised(donation.campaign_id, 2500)
    earlier = int(time.time()) - 60
    for kind, status in (("payment_intent.created", "requires_payment_method"),
                         ("payment_intent.succeeded", "succeeded")):
        before, late = hand.facts(), donation.event(kind, status, created=earlier)
        assert verdict(hand, late) == "STALE"
        assert changed(before, hand.facts()) == STORED and hand.webhook(late["id"]) == STALE
    assert donation.state() == "COMPLETED" and donation.totals()["raised_minor"] == 2500


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1), (1, 3, 0, 2)])
def test_every_order_of_four_reports_ends_the_same(hand, order):
    donation = Donation(hand)
    began = int(time.time()) - 60
    declined = {"last_payment_error": {"type": "card_error", "code": "card_declined", "decline_code": "generic_decline"}}
    story = [donation.event("payment_intent.payment_failed", "requires_payment_method", declined, created=began),
             donation.event("payment_intent.requires_action", "requires_action", created=began + 1),
             donation.event("payment_intent.processing", "processing", created=began + 2),
             donation.event("payment_intent.succeeded", "succeeded", created=began + 3)]
    for number in order:
        assert verdict(hand, story[number]) in ("APPLIED", "STALE")
        assert verdict(hand, story[number]) == "DUPLICATE"
    hand.server.wait_raised(donation.campaign_id, 2500)
    assert donation.state() == "COMPLETED"
    assert {key: value for key, value in donation.totals().items() if value and key != "currency"} == {
        "raised_minor": 2500, "net_minor": 2500, "donation_count": 1, "donor_count": 1}


def test_a_report_before_the_reply_that_names_its_object_waits_for_it(own_hand):
    while_it_lasts(3, lambda: report_before_the_reply(own_hand()))


def report_before_the_reply(hand):
    campaign_id, key, answers = hand.server.campaign(), new_key(), []
    hand.sandbox.pull("faults", drip_ms=4000, next={"fault": "drip", "method": "POST", "path": "/v1/payment_intents"})
    clicking = threading.Thread(target=lambda: answers.append(hand.server.pledge(campaign_id, key)))
    clicking.start()

    def intents():
        return json.loads(hand.sandbox.call("GET", "/v1/payment_intents")[2])["data"]

    intent = eventually(intents, "the intent at the provider")[0]
    paid = event("payment_intent.succeeded", {**intent, "status": "succeeded", "amount_received": 2500})
    assert verdict(hand, paid) == "PARKED" and verdict(hand, paid) == "DUPLICATE"
    assert not answers and hand.webhook(paid["id"]) == PARKED
    assert hand.server.totals(campaign_id)["currencies"][0]["raised_minor"] == 0
    clicking.join(DEADLINE_S)
    assert answers[0].status == 201, answers
    hand.server.wait_raised(campaign_id, 2500)
    assert hand.webhook(paid["id"]) == APPLIED
    query = "SELECT parked_count - drained_count FROM cfa_provider_object WHERE ref = ?"
    assert read(hand.database, query, intent["id"]) == [(0,)]


def test_a_report_about_an_object_that_nobody_knows_waits_and_moves_nothing(hand):
    donation = Donation(hand)
    before = hand.facts()
    unknown = donation.event(changes={"id": "pi_3NobodyKnowsThisOne"})
    assert verdict(hand, unknown) == "PARKED" and hand.webhook(unknown["id"]) == PARKED
    assert changed(before, hand.facts()) == {"webhook": (1, 0), "parked": (1, 0), "provider_object": (1, 0)}
    assert donation.totals()["raised_minor"] == 0


@pytest.mark.parametrize("change", [
    {"type": "payment_intent.invented_tomorrow"}, {"type": "customer.created"},
    {"account": "acct_1SomebodyElse"}, {"livemode": True}], ids=["unknown-type", "no-payment", "other-account", "other-mode"])
def test_what_is_not_about_us_is_stored_and_ignored(hand, change):
    donation = Donation(hand)
    before, foreign = hand.facts(), {**donation.event(), **change}
    assert verdict(hand, foreign) == "IGNORED" and verdict(hand, foreign) == "DUPLICATE"
    assert changed(before, hand.facts()) == STORED and hand.webhook(foreign["id"]) == IGNORED
    assert donation.state() == "PENDING" and donation.totals()["raised_minor"] == 0


def test_a_server_of_one_account_ignores_events_of_others(own_hand):
    hand = own_hand("--stripe-account", "acct_1Ours")
    campaign_id = hand.server.campaign()
    pledge = hand.server.pledge(campaign_id)
    intent = {"id": pledge.json["client_secret"].split("_secret_")[0], "object": "payment_intent", "amount": 2500,
              "currency": "eur", "metadata": {"payment_id": pledge.json["payment_id"]}, "status": "succeeded",
              "amount_received": 2500}
    for foreign in (event("payment_intent.succeeded", intent),
                    event("payment_intent.succeeded", intent, account="acct_1Theirs")):
        assert verdict(hand, foreign) == "IGNORED"
    assert hand.server.totals(campaign_id)["currencies"][0]["raised_minor"] == 0
    assert verdict(hand, event("payment_intent.succeeded", intent, account="acct_1Ours")) == "APPLIED"
    hand.server.wait_raised(campaign_id, 2500)


@pytest.mark.parametrize("change", [
    {"amount": 9900, "amount_received": 9900}, {"amount": 25, "amount_received": 25},
    {"currency": "usd"}], ids=["more", "less", "other-currency"])
def test_another_amount_or_currency_is_quarantined_where_operators_see_it(hand, change):
    donation = Donation(hand)
    before, seen = hand.facts(), len(conflicts(hand))
    wrong = donation.event(changes=change)
    assert verdict(hand, wrong) == "QUARANTINED" and verdict(hand, wrong) == "DUPLICATE"
    assert hand.webhook(wrong["id"]) == QUARANTINED
    assert donation.state() == "PENDING"
    totals = donation.totals()
    assert (totals["raised_minor"], totals["pledged_minor"]) == (0, 2500)
    moved = changed(before, hand.facts())
    assert moved["webhook"] == (1, 0) and moved["transition"] == (1, 0), moved  # P19, from PENDING to PENDING
    assert [row["subject"] for row in conflicts(hand)[seen:]] == [donation.pledge.json["payment_id"]]
    # A second one is no second alarm, and what is true still counts.
    assert verdict(hand, donation.event(changes=change)) == "QUARANTINED" and len(conflicts(hand)) == seen + 1
    assert verdict(hand, donation.event()) == "APPLIED"
    hand.server.wait_raised(donation.campaign_id, 2500)


# ---- 400: it is wrong, and stays so -------------------------------------------------------------


def test_a_contradiction_is_refused_again_and_again_with_the_same_verdict(hand):
    donation = Donation(hand)
    canceled_at = int(time.time()) - 60
    canceled = donation.event("payment_intent.canceled", "canceled", {"canceled_at": canceled_at}, created=canceled_at)
    assert verdict(hand, canceled) == "APPLIED" and donation.state() == "CANCELED"
    eventually(lambda: donation.totals()["pledged_minor"] == 0, "the cancel in the totals")
    totals = donation.totals()
    held = donation.event("payment_intent.amount_capturable_updated", "requires_capture")
    answers = [post(hand, held)]
    before = hand.facts()
    answers += [post(hand, held) for _ in range(3)]
    for status, answer in answers:
        assert (status, answer["status"], answer["code"]) == (400, 400, "cfa_estate"), answer
    assert len({answer["detail"] for _, answer in answers}) == 1
    assert hand.facts() == before and hand.webhook(held["id"]) == CONTRADICTION
    assert donation.state() == "CANCELED" and donation.totals() == totals


def refused(wire, answer, *words, code="cfa_esignature", field="Stripe-Signature"):
    status, problem = answer
    assert (status, problem["status"], problem["code"], problem.get("field")) == (400, 400, code, field), problem
    assert all(word in problem["detail"] for word in words), problem
    assert wire.secret not in json.dumps(problem)


def test_forged_and_missing_signatures_are_refused_and_nothing_is_stored(hand):
    donation = Donation(hand)
    text = text_of(donation.event())
    body, now, good = text.encode(), int(time.time()), sign(text, hand.secret)
    code = good.split("v1=")[1]
    before = hand.facts()
    refused(hand, post_webhook(hand, body), "send one Stripe-Signature")
    refused(hand, post_webhook(hand, body, good, good), "send one Stripe-Signature")
    refused(hand, post_webhook(hand, body, ""), "missing")
    for header in (f"t={now}", f"v1={code}", f"t={now},v0={code}", f"t=now,v1={code}", f"t={now},v1={code[:-1]}", "x"):
        refused(hand, post_webhook(hand, body, header), "malformed", "t=<seconds>,v1=<64 hex digits>")
    forgeries = [sign(text, "whsec_somebody_elses_secret"), sign(text, hand.secret[:-1]), sign(text + " ", hand.secret),
                 f"t={now},v1={'0' * 64}", f"t={now - 1},v1={sign(text, hand.secret, now).split('v1=')[1]}"]
    for header in forgeries:
        refused(hand, post_webhook(hand, body, header), "does not match", "altered", "secret is another one")
    assert hand.facts() == before and donation.totals()["raised_minor"] == 0


def test_a_body_altered_by_one_byte_anywhere_is_refused(hand):
    donation = Donation(hand)
    text = text_of(donation.event())
    body, header = text.encode(), sign(text, hand.secret)
    before = hand.facts()
    places = [*range(0, len(body), max(1, len(body) // 40)), len(body) - 1]
    for place in places:
        altered = bytearray(body)
        altered[place] ^= 1
        refused(hand, post_webhook(hand, bytes(altered), header), "does not match", "altered")
    for altered in (body + b"\n", body[:-1], b" " + body):
        refused(hand, post_webhook(hand, altered, header), "does not match", "altered")
    assert hand.facts() == before
    assert post_webhook(hand, body, header) == (200, {"verdict": "APPLIED"})


def test_signatures_outside_the_window_say_on_which_side(hand):
    donation = Donation(hand)
    before, paid, now = hand.facts(), donation.event(), int(time.time())
    for seconds in (-100000000, -3600, -310):
        refused(hand, post(hand, paid, at=now + seconds), "too old", "300 s")
    for seconds in (100000000, 3600, 310):
        refused(hand, post(hand, paid, at=now + seconds), "from the future", "300 s")
    assert hand.facts() == before
    assert verdict(hand, paid, at=now - 290) == "APPLIED"


def test_an_api_key_instead_of_a_signing_secret_is_told_so(own_hand):
    hand = own_hand()
    donation = Donation(hand)
    before, paid = hand.facts(), donation.event()
    hand.roll("sk_test_mistaken_for_the_secret")
    refused(hand, post(hand, paid), "wrong kind", "API key", "whsec_")
    hand.roll("no_prefix_at_all_is_wrong_too")
    refused(hand, post(hand, paid), "wrong kind", "whsec_")
    assert hand.facts() == before
    hand.roll(hand.secret)
    assert verdict(hand, paid) == "APPLIED"


MALFORMED = {
    "not-json": "charge me", "empty": "", "half-of-it": None, "a-list": "[]", "a-number": "7", "null": "null",
    "an-empty-object": "{}", "two-values": "{} {}", "nul": '{"id": "evt_\\u0000"}', "too-deep": "[" * 5000 + "]" * 5000}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_signed_body_that_is_no_event_is_refused(hand, name):
    donation = Donation(hand)
    text, before = MALFORMED[name], hand.facts()
    text = text_of(donation.event())[:-200] if text is None else text
    status, problem = post(hand, text)
    assert (status, problem["status"], problem["code"]) == (400, 400, "cfa_einval"), problem
    assert problem["detail"]
    assert hand.facts() == before


@pytest.mark.parametrize("field,value", [
    ("id", None), ("id", 7), ("id", "x" * 300), ("type", None), ("type", []), ("object", "charge"), ("livemode", None),
    ("livemode", "no"), ("created", None), ("created", -1), ("created", 1e300)])
def test_an_event_that_lacks_what_every_event_has_is_refused_by_name(hand, field, value):
    donation = Donation(hand)
    before, body = hand.facts(), {**donation.event(), field: value}
    status, problem = post(hand, body)
    assert (status, problem["code"], problem["field"]) == (400, "cfa_einval", field), problem
    assert hand.facts() == before


def test_a_body_that_breaks_off_is_no_event(hand):
    donation = Donation(hand)
    text = text_of(donation.event())
    before = hand.facts()
    answer = hand.server.raw(f"POST /webhooks/payment HTTP/1.1\r\nHost: x\r\nStripe-Signature: {sign(text, hand.secret)}\r\n"
                             f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode() + text[:-1].encode(), shut=True)
    assert b"200" not in answer.split(b"\r\n")[0]
    assert hand.facts() == before
    assert verdict(hand, text) == "APPLIED"


def test_a_body_of_one_megabyte_is_refused_and_half_of_that_is_taken(hand):
    donation = Donation(hand)
    text, before = text_of(donation.event()), hand.facts()
    for size in (512 * 1024 + 1, 1024 * 1024):
        status, problem = post(hand, text.ljust(size))
        assert (status, problem["code"]) == (413, "http_body_too_large"), problem
    # Far more is not even read; the server may close before it answered.
    huge = text.ljust(4 * 1024 * 1024)
    answer = hand.server.raw(f"POST /webhooks/payment HTTP/1.1\r\nHost: x\r\nStripe-Signature: {sign(huge, hand.secret)}\r\n"
                             f"Content-Length: {len(huge)}\r\n\r\n".encode() + huge.encode())
    assert answer == b"" or answer.split()[1] == b"413", answer[:200]
    assert hand.facts() == before
    assert verdict(hand, text.ljust(512 * 1024)) == "APPLIED"


# ---- two at once, rolled secrets, a store that is out, months later -----------------------------


def both(wire, body):
    """The same request on two connections, whose last bytes leave together."""
    text = text_of(body)
    request = (f"POST /webhooks/payment HTTP/1.1\r\nHost: x\r\nStripe-Signature: {sign(text, wire.secret)}\r\n"
               f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}").encode()
    peers = [socket.create_connection(("127.0.0.1", wire.server.port), timeout=DEADLINE_S) for _ in range(2)]
    for peer in peers:
        peer.sendall(request[:-1])
    for peer in peers:
        peer.sendall(request[-1:])
    answers = []
    for peer in peers:
        with peer:
            whole = b"".join(iter(lambda peer=peer: peer.recv(65536), b""))
        answers.append((int(whole.split()[1]), json.loads(whole.partition(b"\r\n\r\n")[2])["verdict"]))
    return sorted(answers)


def test_two_at_once_are_one_effect(hand):
    for _ in range(8):
        donation = Donation(hand)
        before, paid = hand.facts(), donation.event()
        assert both(hand, paid) == [(200, "APPLIED"), (200, "DUPLICATE")]
        hand.server.wait_raised(donation.campaign_id, 2500)
        moved = changed(before, hand.facts())
        assert (moved["webhook"], moved["transition"]) == ((1, 0), (3, 0))
        assert donation.totals()["donation_count"] == 1


def test_a_rolled_secret_is_taken_beside_the_old_one_until_that_is_gone(own_hand):
    hand = own_hand()
    old, new = hand.secret, "whsec_the_new_one_of_this_test"
    first, second, third, fourth = (Donation(hand) for _ in range(4))
    refused(hand, post(hand, first.event(), secret=new), "does not match")
    hand.roll(new, old)
    assert verdict(hand, first.event(), secret=old) == verdict(hand, second.event(), secret=new) == "APPLIED"
    text = text_of(third.event())   # while it is rolled, the provider signs with both
    twice = sign(text, old) + ",v1=" + sign(text, new).split("v1=")[1]
    assert post_webhook(hand, text.encode(), twice) == (200, {"verdict": "APPLIED"})
    hand.roll(new)
    for each in (first, second, third):   # the totals follow
        hand.server.wait_raised(each.campaign_id, 2500)
    before, late = hand.facts(), fourth.event()
    refused(hand, post(hand, late, secret=old), "does not match")
    assert hand.facts() == before
    assert verdict(hand, late, secret=new) == "APPLIED"


def deliveries(wire):
    return json.loads(wire.sandbox.call("GET", "/_sandbox/webhooks", key=None)[2])["deliveries"]


def test_while_the_store_cannot_be_written_the_provider_is_told_to_come_again(own_hand):
    hand = own_hand()
    by_hand, by_provider = Donation(hand), Donation(hand)
    hand.sandbox.pull("faults", webhook_lost=0)
    before, paid = hand.facts(), by_hand.event()
    other = sqlite3.connect(hand.database, timeout=DEADLINE_S, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        path = f"/v1/payment_intents/{by_provider.intent_id}/confirm"
        status, _, text = hand.sandbox.call("POST", path, form={"payment_method": "pm_card_visa", "return_url": THANKS})
        assert status == 200, text
        status, problem = post(hand, paid)
        assert status == problem["status"] == 503 and problem["code"] in ("cfa_ebusy", "cfa_etimeout", "cfa_eindoubt"), problem
        # Many at once wait in turn, and the provider waits for 10 s only: it may have seen no answer at all.
        eventually(lambda: [row for row in deliveries(hand) if row["attempts"] and row["state"] == "due"], "a delivery not taken")
        assert hand.facts() == before
    finally:
        other.execute("ROLLBACK")
        other.close()
    # In doubt means that it may still be stored: then the retry is the duplicate.
    assert verdict(hand, paid) in ("APPLIED", "DUPLICATE")
    eventually(lambda: hand.sandbox.pull("webhooks/retry") and hand.sandbox.books()["deliveries"]["due"] == 0,
               "every delivery taken")
    for donation in (by_hand, by_provider):
        hand.server.wait_raised(donation.campaign_id, 2500)
        assert donation.totals()["donation_count"] == 1


def faketime():
    found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return str(found[0]) if found else None


def test_months_later_a_replay_with_a_fresh_signature_changes_nothing(own_hand):
    library = faketime()
    if not library:
        pytest.skip("no libfaketime here")
    hand = own_hand()
    donation = Donation(hand)
    paid = donation.event()
    assert verdict(hand, paid) == "APPLIED"
    hand.server.wait_raised(donation.campaign_id, 2500)
    assert hand.server.stop() == 0
    before = hand.facts()
    hand.server = Server(*hand.flags, env=environment(
        CAREFORALL_WEBHOOK_SECRET=None, LD_PRELOAD=library, FAKETIME=f"+{MONTHS_S}s"))
    refused(hand, post(hand, paid), "too old")
    assert verdict(hand, paid, at=int(time.time()) + MONTHS_S) == "DUPLICATE"
    # Answers are kept for 30 days, keys for ever: the same click still finds its pledge, and charges nobody.
    again = hand.server.pledge(donation.campaign_id, donation.key)
    assert (again.status, again.json["id"]) == (200, donation.pledge.json["id"])
    assert set(changed(before, hand.facts())) <= {"answer", "key", "key_recent"}
    assert (donation.totals()["raised_minor"], donation.totals()["donation_count"]) == (2500, 1)
    assert len(json.loads(hand.sandbox.call("GET", "/v1/payment_intents")[2])["data"]) == 1


# ---- what strangers say -------------------------------------------------------------------------


def headers(text, secret):
    now = int(time.time())
    code = sign(text, secret, now).split("v1=")[1]
    other = sign(text, "whsec_other", now).split("v1=")[1]
    return {"plain": f"t={now},v1={code}", "turned": f"v1={code},t={now}", "another-scheme": f"t={now},v0={other},v1={code}",
            "two-codes": f"t={now},v1={other},v1={code}", "only-another": f"t={now},v1={other}",
            "no-code": f"t={now}", "no-time": f"v1={code}", "other-time": f"t={now - 1},v1={code}",
            "old": sign(text, secret, now - 400), "an-older-scheme": f"t={now},v0={code}", "words": "good morning"}


@pytest.mark.parametrize("name", headers("", "x"))
def test_stripes_own_check_and_ours_agree(hand, name):
    donation = Donation(hand)
    text = text_of(donation.event())
    header = headers(text, hand.secret)[name]
    try:
        stripe.Webhook.construct_event(text.encode(), header, hand.secret)
        theirs = 200
    except stripe.SignatureVerificationError:
        theirs = 400
    assert post_webhook(hand, text.encode(), header)[0] == theirs
