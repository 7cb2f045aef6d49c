"""The conformance vectors of tests/vectors, told in docs/vectors.md, by this binding: one test per vector."""

import base64
import hashlib
import hmac
import json
import pathlib
import re
import time
from datetime import datetime, timedelta, timezone

import pytest
from conftest import PATIENCE_S

from careforall import (CareForAllError, DisputeFacts, DisputeState, Engine, Fact, Facts, LateRule, Money, Outcome,
                        PaymentFlag, PlayProvider, RefundFacts, RefundState, Reply, Visibility, Wait, WebhookEvent,
                        native)

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "tests/vectors"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
PREFIX = "org.careforall."
BUCKETS = ("pledged", "authorized", "raised", "refunded", "disputed")

#: Those that need a clock which the runner moves or stops. Here time is the system's; every other vector is run.
LEFT_OUT = {
    "transitions": {"P14-after-our-own-time-out", "P08-found-by-a-probe-when-every-webhook-was-lost"},
    "signatures": {"good-299-seconds-old", "good-300-seconds-old", "good-300-seconds-ahead", "too-old-301-seconds",
                   "from-the-future-301-seconds"},
}


def load(stem):
    document = json.loads((FOLDER / f"{stem}.json").read_text(encoding="utf-8"))
    assert document["schema"] == f"careforall.vectors.{stem}.v1"
    return document


def each(document, section):
    """Parametrize a test by the vectors of a section."""
    vectors = [vector for vector in document[section] if "clock" not in vector and "exact" not in vector]
    stem = document["schema"].split(".")[2]
    assert {vector["name"] for vector in document[section] if vector not in vectors} == LEFT_OUT.get(stem, set())
    assert vectors
    return pytest.mark.parametrize("vector", vectors, ids=[vector["name"] for vector in vectors])


def rest(vector, *names):
    """The members of a vector that say what is expected; any that nobody looks at is a failure."""
    known = {"name", "about", "wide", "status", "field", *names}
    assert vector.keys() <= known, vector.keys() - known


def expect(vector, call):
    """Make a call and compare its status with the vector's. What it returned; None when it was refused."""
    wanted = vector.get("status", "CFA_OK")
    try:
        result = call()
    except CareForAllError as error:
        assert (error.name, error.field) == (wanted, vector.get("field")), error
        assert error.message
        return None
    assert wanted == "CFA_OK"
    return result


def pair(amount):
    return amount["minor"], amount["currency"]


def maybe_money(amount):
    return None if amount is None else Money(*pair(amount))


def as_json(money):
    return None if money is None else {"minor": money.minor, "currency": money.currency}


def instant(time_us):
    return EPOCH + timedelta(microseconds=time_us) if time_us else None


def by_ref(reversal):
    """Refunds and disputes come in any order."""
    return reversal["ref"] or ""


# ---- money ---------------------------------------------------------------------------------------------------

MONEY = load("money")


@each(MONEY, "currencies")
def test_currency(vector):
    rest(vector, "currency", "exponent")
    assert expect(vector, lambda: native.currency_exponent(vector["currency"])) == vector.get("exponent")


@each(MONEY, "parse")
def test_parse(vector):
    rest(vector, "text", "amount", "formatted")
    amount = expect(vector, lambda: Money.parse(vector["text"]))
    assert (amount is None) == ("amount" not in vector)
    if amount is not None:
        assert amount == Money(*pair(vector["amount"]))
        assert str(amount) == vector["formatted"]
        assert Money.parse(str(amount)) == amount


@each(MONEY, "check")
def test_check(vector):
    rest(vector, "rules", "amount")
    rules = {"iso": None, "stripe": native.money_rules_stripe()}[vector["rules"]]
    expect(vector, lambda: native.money_check(pair(vector["amount"]), rules))


@each(MONEY, "arithmetic")
def test_arithmetic(vector):
    rest(vector, "operation", "left", "right", "result", "order")
    left, right = Money(*pair(vector["left"])), Money(*pair(vector["right"]))
    if vector["operation"] == "compare":
        order = expect(vector, lambda: (left > right) - (left < right))
        assert order == vector.get("order")
        assert order is None or (order == 0) == (left == right)
        return
    result = expect(vector, {"add": lambda: left + right, "subtract": lambda: left - right}[vector["operation"]])
    assert result == (Money(*pair(vector["result"])) if "result" in vector else None)


# ---- fingerprints ----------------------------------------------------------------------------------------------

FINGERPRINTS = load("fingerprints")


class Book:
    """A book with two campaigns, and the requests of fingerprints.json."""

    def __init__(self):
        self.engine = Engine.memory(provider=PlayProvider())
        self.campaigns = [self.engine.create_campaign("Clean water", "EUR,USD").id for _ in range(2)]

    def make(self, kind, changes, key):
        """The id, whether it is a replay, and the answer's bytes."""
        request = FINGERPRINTS["base"][kind] | changes
        assert request.keys() == FINGERPRINTS["base"][kind].keys()
        return getattr(self, kind)(key=key, **request)

    def pledge(self, campaign, amount, visibility, **others):
        made = self.engine.create_pledge(self.campaigns[campaign], Money(*pair(amount)),
                                         visibility=Visibility[visibility], **others)
        assert made.answer
        return made.id, made.replayed, made.answer

    def campaign(self, goal, deadline_us, late_rule, **others):
        made = self.engine.create_campaign(goal=maybe_money(goal), deadline=instant(deadline_us),
                                           late_rule=LateRule[late_rule], **others)
        return made.id, made.replayed, b"" if made.replayed else made.id


@pytest.fixture
def book():
    made = Book()
    with made.engine:
        yield made


def expect_result(vector, first, second):
    same = {"same": True, "new": False}[vector["result"]]
    assert second[1] == same
    assert (first[0] == second[0]) == same
    if first[0].startswith("plg_"):
        assert (first[2] == second[2]) == same


@each(FINGERPRINTS, "requests")
def test_request(vector, book):
    rest(vector, "kind", "repeat_kind", "first", "repeat", "result")
    kind = vector.get("kind", "pledge")
    first = book.make(kind, vector.get("first", {}), "the-key")
    assert not first[1]
    second = expect(vector, lambda: book.make(vector.get("repeat_kind", kind), vector["repeat"], "the-key"))
    if second is not None:
        expect_result(vector, first, second)


@each(FINGERPRINTS, "keys")
def test_key(vector, book):
    rest(vector, "key")
    expect(vector, lambda: book.make("pledge", {}, vector["key"]))


@each(FINGERPRINTS, "key_pairs")
def test_key_pair(vector, book):
    rest(vector, "first", "repeat", "result")
    expect_result(vector, book.make("pledge", {}, vector["first"]), book.make("pledge", {}, vector["repeat"]))


# ---- signatures -------------------------------------------------------------------------------------------------

SIGNATURES = load("signatures")


def render(vector, now_s, body):
    """The vector's header as it would be written at another time."""
    def fill(match):
        if match[1]:
            return str(now_s + int(match[2] or 0))
        one = vector["signed"][int(match[3])]
        message = one["body"].encode() if "body" in one else body
        return hmac.new(one["secret"].encode(), b"%d." % (now_s + one["offset_s"]) + message,
                        hashlib.sha256).hexdigest()
    return re.sub(r"\{(?:(t)([+-]\d+)?|(\d+))\}", fill, vector["template"])


@each(SIGNATURES, "signatures")
def test_signature(vector):
    rest(vector, "secrets", "now_s", "body", "body_base64", "header", "template", "signed", "diagnosis")
    stripe = pytest.importorskip("careforall.stripe")
    body = vector["body"].encode() if "body" in vector else base64.b64decode(vector["body_base64"])
    assert render(vector, vector["now_s"], body) == vector["header"]
    header = render(vector, int(time.time()), body).encode()
    provider = stripe.StripeProvider(secret_key="sk_test_of_these_vectors", webhook_secrets=vector["secrets"])
    message = SIGNATURES["diagnoses"][vector["diagnosis"]]
    with Engine.memory(provider=provider) as engine:
        verdict = expect(vector, lambda: engine.receive_webhook(header, body))
        assert (verdict is None) == (vector.get("status", "CFA_OK") != "CFA_OK")
        assert verdict is None or verdict.name == "IGNORED"
        if message is not None:
            with pytest.raises(CareForAllError) as caught:
                engine.receive_webhook(header, body)
            assert caught.value.message == message


# ---- transitions, contributions and reversals ---------------------------------------------------------------


class Story:
    """A book whose provider answers what the steps say, and nothing else."""

    name = "vectors"
    lookup_authoritative = True

    def __init__(self, vector):
        self.vector, self.steps = vector, vector["steps"]
        self.calls = [step for step in self.steps if "call" in step]
        self.answered, self.allowed, self.strangers = 0, 0, []
        self.ids, self.refund_ids = {}, {}  # the library's, by the story's number
        self.engine = Engine.memory(provider=self)
        self.campaign = self.engine.create_campaign(
            "Clean water", vector.get("currencies", "EUR"), late_rule=LateRule[vector.get("late_rule", "ACCEPT")]).id

    def run(self):
        for index, step in enumerate(self.steps):
            kind = next(iter(step))
            getattr(self, f"step_{kind}")(index, **step)
            if "state" in step:
                assert self.payment(step.get("payment", 0)).state.name == step["state"]
        self.compare(**self.vector["expect"])

    def payment(self, number):
        return self.engine.payment(self.ids[number])

    # ---- steps

    def step_pledge(self, _, pledge):
        self.ids[pledge] = self.make(pledge, **self.vector["payments"][pledge]).payment_id

    def make(self, number, amount, donor=None):
        return self.engine.create_pledge(self.campaign, Money(*pair(amount)), key=f"pledge-{number}",
                                         donor_reference=donor, wait=Wait.COMMIT)

    def step_call(self, index, **_):
        """Have this call made and answered, if it was not with the one before: they may be due at once."""
        ordinal = sum("call" in step for step in self.steps[:index])
        following = next((at for at in range(index, len(self.steps)) if "call" not in self.steps[at]),
                         len(self.steps))
        self.allowed = ordinal + following - index
        until = time.monotonic() + PATIENCE_S
        while self.answered <= ordinal and not self.strangers:
            assert time.monotonic() < until, "no call became due"
            self.engine.serve_provider(budget=0.02)
        assert not self.strangers

    def call(self, request):
        """The engine's call. An exception would be an answer, so what is wrong is kept for the step."""
        if self.answered < self.allowed:
            step = self.calls[self.answered]
            if (request.kind.name, request.payment_id) == (step["call"], self.ids[step.get("payment", 0)]):
                self.answered += 1
                return self.reply(request.refund_id, **step["reply"])
        self.strangers.append(request)
        return Reply()

    def reply(self, refund_id, outcome, facts=None, code=None, stored=False):
        return Reply(outcome=Outcome[outcome], facts=self.facts(refund_id, **facts or {}), code=code, stored=stored)

    def facts(self, called, payment_id=None, amount=None, flags=(), occurred_us=0, refunds=(), disputes=(), fee=None,
              **others):
        """What a report says; ``called`` is the refund that its call is about."""
        if payment_id is not None and payment_id.startswith("$"):
            payment_id = self.ids[int(payment_id[1:])]
        return Facts(payment_id=payment_id, amount=maybe_money(amount), flags=Fact(sum(Fact[flag] for flag in flags)),
                     occurred=instant(occurred_us), refunds=[self.refund(called, **one) for one in refunds],
                     disputes=[self.dispute(**one) for one in disputes], fee=maybe_money(fee), **others)

    def refund(self, called, ref, amount, state, refund_id=None, occurred_us=0, failure_code=None):
        if refund_id is not None and refund_id.startswith("$"):
            refund_id = self.refund_ids[int(refund_id[1:])] if refund_id[1:] else called
            assert refund_id
        return RefundFacts(ref, Money(*pair(amount)), RefundState[state], refund_id, failure_code,
                           instant(occurred_us))

    @staticmethod
    def dispute(ref, amount, state, fee=None, evidence_due_us=0, occurred_us=0, **others):
        return DisputeFacts(ref, Money(*pair(amount)), DisputeState[state], fee=maybe_money(fee),
                            evidence_due=instant(evidence_due_us), occurred=instant(occurred_us), **others)

    def step_event(self, _, event, facts, verdict, payment=0, state=None, **others):
        got = self.engine.accept_webhook(WebhookEvent(event, "vector", self.facts(None, **facts), **others))
        assert got.name == verdict, event

    def step_command(self, _, command, key, status, field=None, payment=0, amount=None, refund=None, state=None):
        target, amount = self.ids[payment], maybe_money(amount)
        call = {"capture": lambda: self.engine.capture_payment(target, amount, key=key),
                "cancel": lambda: self.engine.cancel_payment(target, key=key),
                "accept": lambda: self.engine.accept_payment(target, key=key),
                "refund": lambda: self.engine.create_refund(target, amount, key=key)}[command]
        made = expect({"status": status, "field": field}, call)
        if command == "refund" and made is not None:
            assert made.replayed == (self.refund_ids.get(refund) == made.id)
            self.refund_ids[refund] = made.id

    def step_totals(self, _, totals):
        head = self.engine.events(0, limit=1000)[-1].position
        found = self.engine.totals(self.campaign, at_least=head)
        assert [self.row(row) for row in found.rows] == [{**self.NO_ROW, **row} for row in totals]
        assert self.engine.verify_totals(self.campaign)

    NO_REVERSALS = {"fee": None, "refunds": [], "disputes": []}
    NO_BUCKETS = {f"{name}_minor": 0 for name in BUCKETS}
    NO_ROW = {**NO_BUCKETS, "net_minor": 0, "donation_count": 0, "donor_count": 0}  # absent is 0

    @staticmethod
    def row(row):
        return {"currency": row.currency, **{f"{name}_minor": getattr(row, name).minor for name in BUCKETS},
                "net_minor": row.net.minor, "donation_count": row.donations, "donor_count": row.donors}

    # ---- what must be true at the end

    def compare(self, payments=None, events=None, totals=None):
        assert payments is None or len(payments) == len(self.vector["payments"])
        for number, wanted in enumerate(payments or ()):
            wanted = {**self.NO_REVERSALS, **wanted, "flags": sorted(wanted["flags"])}
            for name in ("refunds", "disputes"):
                wanted[name] = sorted(wanted[name], key=by_ref)
            seen = self.seen(number)
            for name in ("events", "refundable_minor"):   # compared where they are told
                if name not in wanted:
                    del seen[name]
            assert seen == wanted
        if events is not None:
            assert [self.contribution(event) for event in self.events("pay_")] == \
                [{"payment": 0, **self.NO_BUCKETS, **event} for event in events]
        if totals is not None:
            self.step_totals(None, totals)

    def events(self, subject):
        found = [event for event in self.engine.events(0, limit=1000) if event.subject.startswith(subject)]
        assert all(event.type.startswith(PREFIX) for event in found)
        return found

    def seen(self, number):
        payment = self.payment(number)
        return {"state": payment.state.name,
                "flags": sorted(flag.name for flag in PaymentFlag if flag in payment.flags),
                "authorized_minor": payment.authorized.minor, "captured_minor": payment.captured.minor,
                "failure_code": payment.failure_code, "ref": payment.ref,
                "history": [[step.before and step.before.name, step.after.name, step.rule, step.implied]
                            for step in self.engine.payment_history(payment.id)],
                "events": [event.type.removeprefix(PREFIX) for event in self.events(payment.id)],
                "refundable_minor": payment.refundable.minor, "fee": as_json(payment.fee),
                "refunds": sorted([self.seen_refund(one) for one in self.engine.refunds(payment.id)], key=by_ref),
                "disputes": sorted([self.seen_dispute(one) for one in self.engine.disputes(payment.id)], key=by_ref)}

    @staticmethod
    def seen_refund(refund):
        return {"ref": refund.ref, "state": refund.state.name, "origin": refund.origin.name,
                "amount": as_json(refund.amount), "failure_code": refund.failure_code}

    @staticmethod
    def seen_dispute(dispute):
        return {"ref": dispute.ref, "state": dispute.state.name, "amount": as_json(dispute.amount),
                "withdrawn_minor": dispute.withdrawn.minor, "reinstated_minor": dispute.reinstated.minor,
                "fee": as_json(dispute.fee), "reason": dispute.reason}

    def contribution(self, event):
        data = event.json()
        numbers = {id_: number for number, id_ in self.ids.items()}
        return {"payment": numbers[event.subject], "type": event.type.removeprefix(PREFIX), "state": data["state"],
                "currency": data["currency"],
                **{f"{name}_minor": data["contribution"][f"{name}_minor"] for name in BUCKETS}}


TRANSITIONS, CONTRIBUTIONS, REVERSALS = load("transitions"), load("contributions"), load("reversals")


def tell(vector):
    rest(vector, "rules", "currencies", "late_rule", "payments", "steps", "expect")
    for tries_left in range(4, -1, -1):
        began, story = time.monotonic(), Story(vector)
        with story.engine:
            try:
                return story.run()
            except AssertionError:
                # A second later a payment is read by itself: a machine that was as slow met a call that no step tells of.
                if not story.strangers or time.monotonic() - began < 1 or not tries_left:
                    raise


@each(TRANSITIONS, "stories")
def test_transitions(vector):
    tell(vector)


@each(CONTRIBUTIONS, "stories")
def test_contributions(vector):
    tell(vector)


@each(REVERSALS, "stories")
def test_reversals(vector):
    tell(vector)


def test_every_file_is_run():
    assert {path.stem for path in FOLDER.glob("*.json")} == \
        {"money", "fingerprints", "signatures", "transitions", "contributions", "reversals"}
