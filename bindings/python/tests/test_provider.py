"""A payment provider written in Python, whose calls are pulled."""

import json
import threading
import time
from datetime import datetime, timezone

import pytest
from conftest import PATIENCE_S

from careforall import (CallKind, CircuitRule, Engine, Fact, Facts, InvalidError, Money, Outcome,
                        PaymentState, PlayFault, PlayProvider, Reply, Wait, WebhookEvent, WebhookVerdict)

AMOUNT = Money(2500, "EUR")


class Notebook:
    """A provider that writes intents into a dict, as a remote one would into its books."""

    name = "notebook"
    lookup_authoritative = True

    def __init__(self):
        self.requests, self.intents, self.fail = [], {}, []

    def call(self, request):
        self.requests.append(request)
        if self.fail:
            raise self.fail.pop()
        if request.kind == CallKind.CREATE:
            ref = self.intents.setdefault(request.idempotency_key, f"nb_{len(self.intents) + 1}")
            facts = Facts(ref=ref, payment_id=request.payment_id, amount=request.amount)
            return Reply(Outcome.DONE, facts, client_secret=f"{ref}_secret")
        if request.kind in (CallKind.RETRIEVE, CallKind.LOOKUP):
            return Reply(Outcome.NOT_SENT) if not self.intents else Reply(
                Outcome.DONE, Facts(ref=next(iter(self.intents.values())), payment_id=request.payment_id,
                                    amount=request.amount))
        return Reply(Outcome.REFUSED, code="not_here")


@pytest.fixture(params=["memory", "sqlite"])
def book(request, tmp_path):
    notebook = Notebook()
    opened = Engine.memory(provider=notebook) if request.param == "memory" else \
        Engine.sqlite(tmp_path / "book.db", provider=notebook)
    with opened as engine:
        yield engine, notebook, engine.create_campaign("Clean water", "EUR")


def serve_until(engine, condition):
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, "the provider was not asked"
        engine.serve_provider(budget=0.05)


def succeeded(pledge, ref):
    return Facts(ref=ref, payment_id=pledge.payment_id, amount=AMOUNT, flags=Fact.SUCCEEDED,
                 authorized_minor=AMOUNT.minor, captured_minor=AMOUNT.minor, attempt=1,
                 occurred=datetime.now(timezone.utc))


def test_calls_are_pulled_and_answered(book):
    engine, notebook, campaign = book
    pledge = engine.create_pledge(campaign.id, AMOUNT, wait=Wait.COMMIT)
    assert pledge.pending
    serve_until(engine, lambda: notebook.requests)
    request = notebook.requests[0]
    assert (request.kind, request.payment_id, request.amount) == (CallKind.CREATE, pledge.payment_id, AMOUNT)
    body = json.loads(request.body)
    assert list(body) == sorted(body)
    assert (body["kind"], body["amount"], body["currency"]) == ("create", 2500, "EUR")
    assert body["idempotency_key"] == request.idempotency_key
    assert engine.payment(pledge.payment_id).ref == "nb_1"


def test_another_thread_serves_while_a_pledge_waits(book):
    engine, notebook, campaign = book
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            engine.serve_provider(budget=0.05)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        pledge = engine.create_pledge(campaign.id, AMOUNT, timeout=PATIENCE_S)
    finally:
        stop.set()
        thread.join()
    assert not pledge.pending and pledge.client_secret == "nb_1_secret"
    assert engine.accept_webhook(WebhookEvent("ev_1", "paid", succeeded(pledge, "nb_1"))) == WebhookVerdict.APPLIED
    again = engine.accept_webhook(WebhookEvent("ev_1", "paid", succeeded(pledge, "nb_1")))
    assert again == WebhookVerdict.DUPLICATE
    payment = engine.payment(pledge.payment_id)
    assert payment.state == PaymentState.COMPLETED
    assert engine.totals(campaign.id, at_least=payment.position)["EUR"].raised == AMOUNT


def test_an_exception_means_that_nobody_knows(book, caplog):
    engine, notebook, campaign = book
    notebook.fail = [RuntimeError("the line went dead")]
    pledge = engine.create_pledge(campaign.id, AMOUNT, wait=Wait.COMMIT)
    serve_until(engine, lambda: notebook.requests)
    payment = engine.payment(pledge.payment_id)
    assert payment.state == PaymentState.PENDING
    assert payment.flags.UNKNOWN in payment.flags
    assert "in doubt" in caplog.text


def test_a_provider_cannot_close_the_engine_it_serves(book):
    engine, notebook, campaign = book
    caught = []

    def call(request):
        try:
            engine.close()
        except InvalidError as error:
            caught.append(error.name)
        return Reply(Outcome.NOT_SENT)

    notebook.call = call
    engine.create_pledge(campaign.id, AMOUNT, wait=Wait.COMMIT)
    serve_until(engine, lambda: caught)
    assert caught[0] == "CFA_EMISUSE" and not engine.closed


def test_what_is_no_provider_is_refused(memory):
    with pytest.raises(TypeError):
        memory.serve_provider()
    with pytest.raises(TypeError):
        memory.serve_provider(object())
    notebook = Notebook()
    notebook.name = "x" * 40
    with pytest.raises(InvalidError):
        Engine.memory(provider=notebook)


def test_lost_replies_never_charge_twice(tmp_path):
    play = PlayProvider(one_step=True)
    with Engine.sqlite(tmp_path / "book.db", provider=play) as engine:
        campaign = engine.create_campaign("Clean water", "EUR")
        play.fault_next(PlayFault.REPLY_LOST)
        pledge = engine.create_pledge(campaign.id, AMOUNT, payment_method="pm_ok", key="k", timeout=PATIENCE_S)
        payment = engine.wait_payment(pledge.payment_id, timeout=PATIENCE_S)
        assert payment.state == PaymentState.COMPLETED
        assert play.charges(pledge.payment_id) == 1 and play.books.charged_twice == 0


def test_the_play_provider_outlives_its_last_name():
    engine = Engine.memory(provider=PlayProvider())
    campaign = engine.create_campaign("Clean water", "EUR")
    assert engine.create_pledge(campaign.id, AMOUNT).client_secret
    engine.close()


class Page(Notebook):
    """A provider with a hosted page, whose payment gets another id than the page."""

    def call(self, request):
        self.requests.append(request)
        if self.fail:
            return self.fail.pop()
        if request.kind == CallKind.CREATE:
            facts = Facts(ref="page_1", payment_id=request.payment_id, amount=request.amount)
            return Reply(Outcome.DONE, facts, redirect_url="https://pay.example/page_1")
        return Reply(Outcome.DONE, Facts(ref="nb_1", origin_ref="page_1", payment_id=request.payment_id,
                                         amount=request.amount, flags=Fact.SUCCEEDED, authorized_minor=AMOUNT.minor,
                                         captured_minor=AMOUNT.minor, occurred=datetime.now(timezone.utc)))


def test_a_hosted_page_and_the_payment_that_grew_out_of_it():
    page = Page()
    with Engine.memory(provider=page) as engine:
        campaign = engine.create_campaign("Clean water", "EUR")
        urls = {"return_url": "https://give.example/thanks", "cancel_url": "https://give.example/back"}
        engine.create_pledge(campaign.id, AMOUNT, key="k", wait=Wait.COMMIT, **urls)
        serve_until(engine, lambda: page.requests)
        request = page.requests[0]
        body = json.loads(request.body)
        assert {"return_url": request.return_url, "cancel_url": request.cancel_url} == urls
        assert list(body) == sorted(body)
        pledge = engine.create_pledge(campaign.id, AMOUNT, key="k")
        assert pledge.redirect_url == "https://pay.example/page_1" and pledge.client_secret is None

        thin = WebhookEvent("ev_1", "page.paid", Facts(ref="page_1"), fetch=True)
        assert engine.accept_webhook(thin) in (WebhookVerdict.APPLIED, WebhookVerdict.STALE)
        assert engine.payment(pledge.payment_id).state == PaymentState.PENDING
        serve_until(engine, lambda: engine.payment(pledge.payment_id).state == PaymentState.COMPLETED)
        assert page.requests[-1].kind == CallKind.RETRIEVE and page.requests[-1].return_url is None
        assert engine.payment(pledge.payment_id).ref == "nb_1"


def test_unavailable_opens_the_circuit_and_a_refusal_does_not():
    page = Page()
    with Engine.memory(provider=page, circuit_rule=CircuitRule.QUEUE, circuit_failures=1, circuit_open=3600) as engine:
        campaign = engine.create_campaign("Clean water", "EUR")
        page.fail = [Reply(Outcome.NOT_SENT, unavailable=True), Reply(Outcome.REFUSED, code="no")]
        refused = engine.create_pledge(campaign.id, AMOUNT, wait=Wait.COMMIT)
        serve_until(engine, lambda: engine.payment(refused.payment_id).state == PaymentState.FAILED)
        assert engine.statistics()["circuit_state"] == "CLOSED"
        engine.create_pledge(campaign.id, AMOUNT, wait=Wait.COMMIT)
        serve_until(engine, lambda: not page.fail)
        assert engine.statistics()["circuit_state"] == "OPEN"
        asked = len(page.requests)
        assert engine.create_pledge(campaign.id, AMOUNT, timeout=0.05).pending
        assert engine.serve_provider() == 0 and len(page.requests) == asked
