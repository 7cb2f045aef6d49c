"""Twenty thousand calls leave nothing behind."""

import gc
import resource
import tracemalloc

import pytest

from careforall import (CareForAllError, DisputeFacts, DisputeState, Facts, Money, ReconcileKind, ReconcileObject,
                        RefundFacts, RefundState, WebhookEvent, WebhookVerdict)

AMOUNT = Money(2500, "EUR")


def resident_kib():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def test_calls_do_not_leak(memory):
    campaign = memory.create_campaign("Clean water", "EUR")
    pledge = memory.create_pledge(campaign.id, AMOUNT, key="k", donor_name="Ada")

    def calls(count):
        for _ in range(count):
            memory.campaign(campaign.id)
            memory.pledge(pledge.id)
            memory.totals(campaign.id)
            memory.events(limit=5)
            str(AMOUNT + AMOUNT)
            with pytest.raises(CareForAllError):
                memory.campaign("cmp_wrong")
            with pytest.raises(CareForAllError):
                memory.create_campaign("with a \0 inside", "EUR")

    calls(300)
    gc.collect()
    tracemalloc.start()
    before, resident = tracemalloc.take_snapshot(), resident_kib()
    calls(3000)
    gc.collect()
    grown = sum(entry.size_diff for entry in tracemalloc.take_snapshot().compare_to(before, "filename")
                if "tracemalloc" not in entry.traceback[0].filename)
    tracemalloc.stop()
    assert grown < 200_000
    assert resident_kib() - resident < 16_384


def test_facts_and_reports_do_not_leak(memory, play):
    campaign = memory.create_campaign("Clean water", "EUR")
    pledge = memory.create_pledge(campaign.id, AMOUNT, key="k", donor_name="Ada")
    play.confirm(pledge.client_secret)
    payment = memory.wait_payment(pledge.payment_id)
    refund = memory.create_refund(payment.id, Money(100, "EUR"))
    told = WebhookEvent("ev_1", "told", Facts(
        ref=payment.ref, refunds=[RefundFacts(f"re_{i}", Money(1, "EUR"), RefundState.SUCCEEDED) for i in range(50)],
        disputes=[DisputeFacts("dp_1", AMOUNT, DisputeState.OPEN, reason="fraudulent " * 20)]))
    wrong = WebhookEvent("ev_2", "told", Facts(ref=payment.ref, refunds=[*told.facts.refunds, "no facts"]))
    assert memory.accept_webhook(told) == WebhookVerdict.APPLIED

    def calls(count):
        for _ in range(count):
            for _ in range(10):   # together far more than the bound below
                assert memory.accept_webhook(told) == WebhookVerdict.DUPLICATE
                with pytest.raises(AttributeError):
                    memory.accept_webhook(wrong)
            memory.refund(refund.id)
            memory.refunds(payment.id)
            memory.disputes(payment.id)
            memory.audit()
            memory.explain(payment.id)
            memory.doctor()

    calls(50)
    gc.collect()
    resident = resident_kib()
    calls(400)
    gc.collect()
    assert resident_kib() - resident < 8_192


def test_a_record_is_not_kept_in_memory(memory):
    def objects(count):
        for number in range(count):
            yield ReconcileObject(ReconcileKind.PAYMENT, Facts(ref=f"pi_{number}", amount=AMOUNT, cancel_reason="x" * 500))

    assert memory.reconcile(objects(1000)).foreign == 1000
    gc.collect()
    before = resident_kib()
    assert memory.reconcile(objects(100_000)).foreign == 100_000   # some 80 MB in the file
    gc.collect()
    assert resident_kib() - before < 4096


def test_reports_do_not_leak(memory):
    def reports(count):
        for _ in range(count):
            memory.reconcile([ReconcileObject(ReconcileKind.PAYMENT, Facts(ref="pi_1"))], all_ours=True)

    reports(100)
    gc.collect()
    before = resident_kib()
    reports(3000)
    gc.collect()
    assert resident_kib() - before < 2048
