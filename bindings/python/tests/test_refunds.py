"""Money that comes back: refunds, disputes, fees, the late rule, and providers in Python that tell of them."""

import pickle
from datetime import datetime, timezone

import pytest
from test_provider import Notebook, serve_until, succeeded

from careforall import (CallKind, CampaignState, CareForAllError, ConflictError, DisputeFacts, DisputeState, Engine,
                        Fact, Facts, FraudRule, InvalidError, LateRule, Money, Outcome, PaymentFlag, PaymentState,
                        RefundFacts, RefundOrigin, RefundState, Reply, Wait, WebhookEvent, WebhookVerdict, new_key)

AMOUNT = Money(2500, "EUR")
NOTHING = Money(0, "EUR")


def paid(engine, play, campaign):
    pledge = engine.create_pledge(campaign.id, AMOUNT)
    play.confirm(pledge.client_secret)
    payment = engine.wait_payment(pledge.payment_id)
    play.deliver(engine)
    return payment


def test_a_refund_goes_back_once(engine, play, campaign):
    payment = paid(engine, play, campaign)
    assert (payment.refunded, payment.disputed, payment.refundable, payment.fee) == (NOTHING, NOTHING, AMOUNT, None)
    key = new_key()
    made = engine.create_refund(payment.id, Money(1000, "EUR"), key=key, actor="ann", reason="asked by mail")
    assert (made.state, made.origin, made.amount) == (RefundState.SUCCEEDED, RefundOrigin.ASKED, Money(1000, "EUR"))
    assert made.payment_id == payment.id and made.ref.startswith("re_") and made.failure_code is None
    assert made.reason == "asked by mail" and not made.replayed and made.position > 0
    again = engine.create_refund(payment.id, Money(1000, "EUR"), key=key)
    assert again.id == made.id and again.replayed
    with pytest.raises(ConflictError) as caught:
        engine.create_refund(payment.id, Money(999, "EUR"), key=key)
    assert caught.value.name == "CFA_EKEYREUSE"
    assert (play.books.refunds, play.books.refunded_twice) == (1, 0)
    assert engine.refund(made.id).state == made.state and engine.refunds(payment.id) == [engine.refund(made.id)]
    assert pickle.loads(pickle.dumps(made)) == made
    after = engine.payment(payment.id)
    assert (after.refunded, after.refundable) == (Money(1000, "EUR"), Money(1500, "EUR"))
    act = engine.acts()[-1]
    assert (act.action, act.actor, act.reason) == ("refund.create", "ann", "asked by mail")
    row = engine.totals(campaign.id, at_least=after.position)["EUR"]
    assert (row.raised, row.refunded, row.net) == (AMOUNT, Money(1000, "EUR"), Money(1500, "EUR"))
    assert engine.verify_totals(campaign.id)


def test_no_more_than_is_left_goes_back(engine, play, campaign):
    payment = paid(engine, play, campaign)
    with pytest.raises(InvalidError) as caught:
        engine.create_refund(payment.id, Money(2501, "EUR"))
    assert caught.value.name == "CFA_ERANGE" and caught.value.key
    with pytest.raises(InvalidError) as caught:
        engine.create_refund(payment.id, Money(100, "USD"))
    assert caught.value.name == "CFA_ECURRENCY"
    engine.create_refund(payment.id, Money(2000, "EUR"))
    assert engine.create_refund(payment.id).amount == Money(500, "EUR")
    with pytest.raises(ConflictError) as caught:
        engine.create_refund(payment.id)
    assert caught.value.name == "CFA_ESTATE"
    assert [refund.amount.minor for refund in engine.refunds(payment.id)] == [2000, 500]


def test_refunds_move_on_and_are_made_at_the_provider(engine, play, campaign):
    payment = paid(engine, play, campaign)
    play.refund_next(RefundState.PENDING)
    pending = engine.create_refund(payment.id, Money(500, "EUR"))
    assert pending.state == RefundState.PENDING
    assert play.refund(pending.ref, state=RefundState.FAILED, failure_code="lost_card") == pending.ref
    by_hand = play.refund(payment.ref, amount_minor=700)
    play.deliver(engine)
    failed, external = engine.refunds(payment.id)
    assert (failed.state, failed.failure_code) == (RefundState.FAILED, "lost_card")
    assert (external.ref, external.origin, external.state) == (by_hand, RefundOrigin.EXTERNAL, RefundState.SUCCEEDED)
    assert engine.payment(payment.id).refunded == Money(700, "EUR")


def test_a_dispute_moves_the_totals(engine, play, campaign):
    payment = paid(engine, play, campaign)
    due = datetime(2099, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    ref = play.dispute(payment.ref, withdrawn_minor=2500, fee=Money(1500, "USD"), reason="fraudulent", evidence_due=due)
    play.fee(payment.ref, Money(103, "EUR"))
    play.fraud_warning(payment.ref)
    play.deliver(engine)
    dispute, = engine.disputes(payment.id)
    assert (dispute.ref, dispute.payment_id, dispute.amount) == (ref, payment.id, AMOUNT)
    assert (dispute.state, dispute.withdrawn, dispute.reinstated) == (DisputeState.OPEN, AMOUNT, NOTHING)
    assert (dispute.fee, dispute.reason, dispute.evidence_due) == (Money(1500, "USD"), "fraudulent", due)
    after = engine.payment(payment.id)
    assert (after.disputed, after.refundable, after.fee) == (AMOUNT, NOTHING, Money(103, "EUR"))
    assert PaymentFlag.FRAUD_WARNING in after.flags
    assert engine.totals(campaign.id, at_least=after.position)["EUR"].net == NOTHING
    play.dispute(ref, state=DisputeState.WON, reinstated_minor=2500)
    play.deliver(engine)
    won = engine.dispute(dispute.id)
    assert (won.state, won.reinstated) == (DisputeState.WON, AMOUNT)
    after = engine.payment(payment.id)
    row = engine.totals(campaign.id, at_least=after.position)["EUR"]
    assert (row.disputed, row.net, play.books.disputes) == (NOTHING, AMOUNT, 1)


def test_late_money_is_given_back_by_rule(engine, play):
    campaign = engine.create_campaign("Well", "EUR", late_rule=LateRule.REFUND)
    assert engine.campaign(campaign.id).late_rule == LateRule.REFUND
    pledge = engine.create_pledge(campaign.id, AMOUNT)
    play.confirm(pledge.client_secret)
    assert engine.end_campaign(campaign.id, campaign.version).state == CampaignState.ENDED
    play.deliver(engine)
    for _ in range(500):
        engine.tick(budget=0.02)
        play.deliver(engine)
        refunds = engine.refunds(pledge.payment_id)
        if refunds and refunds[0].state == RefundState.SUCCEEDED:
            break
    refund, = refunds
    assert (refund.origin, refund.amount, refund.state) == (RefundOrigin.LATE, AMOUNT, RefundState.SUCCEEDED)
    payment = engine.payment(pledge.payment_id)
    assert PaymentFlag.LATE in payment.flags and payment.refundable == NOTHING


def test_suspected_money_goes_back_by_rule(play):
    with Engine.memory(provider=play, fraud_rule=FraudRule.REFUND) as engine:
        campaign = engine.create_campaign("Well", "EUR")
        pledge = engine.create_pledge(campaign.id, AMOUNT)
        play.confirm(pledge.client_secret)
        play.deliver(engine)
        play.fraud_warning(engine.payment(pledge.payment_id).ref)
        for _ in range(500):
            play.deliver(engine)
            engine.tick(budget=0.02)
            refunds = engine.refunds(pledge.payment_id)
            if refunds and refunds[0].state == RefundState.SUCCEEDED:
                break
        refund, = refunds
        assert (refund.origin, refund.amount, refund.state) == (RefundOrigin.FRAUD, AMOUNT, RefundState.SUCCEEDED)


def test_late_money_is_held_until_somebody_accepts_it(engine, play):
    campaign = engine.create_campaign("Well", "EUR", late_rule=LateRule.HOLD)
    assert engine.campaign(campaign.id).late_rule == LateRule.HOLD
    pledge = engine.create_pledge(campaign.id, AMOUNT)
    engine.end_campaign(campaign.id, campaign.version)
    play.confirm(pledge.client_secret)
    play.deliver(engine)
    held = engine.payment(pledge.payment_id)
    assert held.held and held.flags == PaymentFlag.LATE | PaymentFlag.HELD
    assert (held.state, held.captured, held.refundable) == (PaymentState.COMPLETED, AMOUNT, AMOUNT)
    assert engine.totals(campaign.id, at_least=held.position)["EUR"].raised == NOTHING
    accepted = engine.accept_payment(pledge.payment_id, key="yes", actor="desk-3", reason="the bank was slow")
    assert not accepted.held and accepted.flags == PaymentFlag.LATE
    assert engine.totals(campaign.id, at_least=accepted.position)["EUR"].raised == AMOUNT
    assert engine.accept_payment(pledge.payment_id, key="yes").sequence == accepted.sequence
    with pytest.raises(CareForAllError) as refused:
        engine.accept_payment(pledge.payment_id)
    assert (refused.value.name, refused.value.field) == ("CFA_ESTATE", "payment_id")
    act = engine.acts()[-1]
    assert (act.action, act.subject, act.actor) == ("payment.accept", pledge.payment_id, "desk-3")


class Desk(Notebook):
    """A provider that gives money back, and whose reads name every refund and dispute."""

    reads_reversals = True

    def call(self, request):
        if request.kind != CallKind.REFUND:
            return super().call(request)
        self.requests.append(request)
        refund = RefundFacts("nb_re_1", request.amount, RefundState.SUCCEEDED, refund_id=request.refund_id,
                             occurred=datetime.now(timezone.utc))
        return Reply(Outcome.DONE, Facts(ref=request.ref, payment_id=request.payment_id, refunds=[refund]))


@pytest.fixture(params=["memory", "sqlite"])
def desk(request, tmp_path):
    provider = Desk()
    opened = Engine.memory(provider=provider) if request.param == "memory" else \
        Engine.sqlite(tmp_path / "book.db", provider=provider)
    with opened as engine:
        campaign = engine.create_campaign("Clean water", "EUR")
        pledge = engine.create_pledge(campaign.id, AMOUNT, wait=Wait.COMMIT)
        serve_until(engine, lambda: provider.requests)
        engine.accept_webhook(WebhookEvent("ev_paid", "paid", succeeded(pledge, "nb_1")))
        assert engine.payment(pledge.payment_id).state == PaymentState.COMPLETED
        yield engine, provider, pledge.payment_id


def test_a_provider_in_python_answers_a_refund(desk):
    engine, provider, payment_id = desk
    refund = engine.create_refund(payment_id, Money(400, "EUR"), timeout=0.05)
    assert refund.state == RefundState.REQUESTED and refund.ref is None
    serve_until(engine, lambda: engine.refund(refund.id).state == RefundState.SUCCEEDED)
    request = provider.requests[-1]
    assert (request.kind, request.refund_id, request.amount) == (CallKind.REFUND, refund.id, Money(400, "EUR"))
    assert request.ref == "nb_1" and f'"kind":"refund"'.encode() in request.body
    assert f'"refund_id":"{refund.id}"'.encode() in request.body
    assert engine.refund(refund.id).ref == "nb_re_1"
    assert engine.payment(payment_id).refundable == Money(2100, "EUR")


def test_a_provider_in_python_reports_reversals(desk):
    engine, _, payment_id = desk
    facts = Facts(
        ref="nb_1", flags=Fact.FRAUD_WARNING, fee=Money(75, "EUR"),
        refunds=[RefundFacts("re_1", Money(300, "EUR"), RefundState.SUCCEEDED),
                 RefundFacts("re_2", Money(200, "EUR"), RefundState.FAILED, failure_code="lost_card")],
        disputes=(DisputeFacts("dp_1", Money(1000, "EUR"), DisputeState.OPEN, withdrawn_minor=1000,
                               fee=Money(1500, "EUR"), reason="fraudulent"),))
    assert engine.accept_webhook(WebhookEvent("ev_2", "reversed", facts)) == WebhookVerdict.APPLIED
    assert engine.accept_webhook(WebhookEvent("ev_2", "reversed", facts)) == WebhookVerdict.DUPLICATE
    payment = engine.payment(payment_id)
    assert (payment.refunded.minor, payment.disputed.minor, payment.fee) == (300, 1000, Money(75, "EUR"))
    assert PaymentFlag.FRAUD_WARNING in payment.flags
    assert sorted((r.ref, r.state, r.failure_code) for r in engine.refunds(payment_id)) == [
        ("re_1", RefundState.SUCCEEDED, None), ("re_2", RefundState.FAILED, "lost_card")]
    dispute, = engine.disputes(payment_id)
    assert (dispute.ref, dispute.fee, dispute.reason) == ("dp_1", Money(1500, "EUR"), "fraudulent")


def test_one_report_names_at_most_a_hundred(desk):
    engine, _, payment_id = desk
    for count in (101, 300):
        many = [RefundFacts(f"re_{i}", Money(1, "EUR"), RefundState.SUCCEEDED) for i in range(count)]
        with pytest.raises(InvalidError) as caught:
            engine.accept_webhook(WebhookEvent(f"ev_{count}", "reversed", Facts(ref="nb_1", refunds=many)))
        assert "refunds" in caught.value.field
    engine.accept_webhook(WebhookEvent("ev_100", "reversed", Facts(ref="nb_1", refunds=many[:100])))
    assert len(engine.refunds(payment_id)) == 100 and engine.payment(payment_id).refunded.minor == 100


def test_facts_of_the_wrong_type_mean_that_nobody_knows(desk, caplog):
    engine, provider, payment_id = desk
    provider.call = lambda request: Reply(Outcome.DONE, Facts(ref="nb_1", refunds=["re_1"]))
    refund = engine.create_refund(payment_id, timeout=0.05)
    serve_until(engine, lambda: "in doubt" in caplog.text)
    assert engine.refund(refund.id).state == RefundState.REQUESTED
    with pytest.raises(TypeError):
        engine.accept_webhook(WebhookEvent("ev_3", "x", Facts(ref="nb_1", fee=12)))
