/*
 * event_registry.h - the one list of event types. Numbers are stored and never re-used; names are
 * what sinks see, as "org.careforall.<name>.v<version>". docs/events.md is generated from it.
 */
#ifndef CFA_CORE_DECIDE_EVENT_REGISTRY_H
#define CFA_CORE_DECIDE_EVENT_REGISTRY_H

#include <stdint.h>

/* X(symbol, number, version, name, doc) */
#define CFA__EVENT_MAP(X)                                                                          \
    X(CAMPAIGN_CREATED, 1, 1, "campaign.created", "a campaign takes pledges")                      \
    X(CAMPAIGN_UPDATED, 2, 1, "campaign.updated", "a campaign's fields changed")                   \
    X(CAMPAIGN_ENDED, 3, 1, "campaign.ended", "a campaign takes no more pledges")                  \
    X(PLEDGE_CREATED, 10, 1, "pledge.created", "a donor promised an amount (P01)")                 \
    X(PLEDGE_DEFERRED, 11, 1, "pledge.deferred",                                                   \
      "the provider is out: only the same key makes the call (P22)")                               \
    X(PAYMENT_ACTION_REQUIRED, 20, 1, "payment.action_required", "the donor must act (P02)")       \
    X(PAYMENT_PROCESSING, 21, 1, "payment.processing", "the provider works on it (P03)")           \
    X(PAYMENT_AUTHORIZED, 22, 1, "payment.authorized", "funds are held (P04)")                     \
    X(PAYMENT_CAPTURED, 23, 1, "payment.captured", "funds are taken (P05, P06)")                   \
    X(PAYMENT_COMPLETED, 24, 1, "payment.completed", "full success (P07, P08)")                    \
    X(PAYMENT_FAILED, 25, 1, "payment.failed", "an attempt was declined (P09, P10)")               \
    X(PAYMENT_RETRIED, 26, 1, "payment.retried", "the donor tries again (P11)")                    \
    X(PAYMENT_CANCELED, 27, 1, "payment.canceled", "the provider confirmed the cancel (P12)")      \
    X(PAYMENT_EXPIRED, 28, 1, "payment.expired", "the hold or offer ran out (P13, P14)")           \
    X(PAYMENT_LATE_SUCCESS, 29, 1, "payment.late_success",                                         \
      "money came after failure, cancel, expiry or the campaign's end (P15, P16)")                 \
    X(PAYMENT_CONFLICT, 30, 1, "payment.conflict", "the provider's amounts contradict ours (P19)") \
    X(PAYMENT_OUTCOME_UNKNOWN, 31, 1, "payment.outcome_unknown",                                   \
      "a provider call is in doubt, probes run (P20)")                                             \
    X(PAYMENT_OUTCOME_RESOLVED, 32, 1, "payment.outcome_resolved", "the doubt is over (P21)")      \
    X(PAYMENT_FEE_RECORDED, 33, 1, "payment.fee_recorded", "the provider's fee is known (P23)")    \
    X(PAYMENT_FRAUD_WARNING, 34, 1, "payment.fraud_warning",                                       \
      "the card's issuer suspects fraud; no money moved (D12)")                                    \
    X(PAYMENT_SETTLED, 35, 1, "payment.settled", "what was captured was paid out (P24)")           \
    X(PAYMENT_HELD, 36, 1, "payment.held",                                                         \
      "money came late and is held: in no total until it is accepted (L01)")                       \
    X(PAYMENT_ACCEPTED, 37, 1, "payment.accepted", "held money was taken into the totals (L02)")   \
    X(PROVIDER_UNAVAILABLE, 40, 1, "provider.unavailable",                                         \
      "a circuit breaker opened, or opened again: calls are put off")                              \
    X(PROVIDER_PROBED, 41, 1, "provider.probed", "an open circuit breaker lets one call try")      \
    X(PROVIDER_AVAILABLE, 42, 1, "provider.available", "the circuit breaker closed")               \
    X(REFUND_REQUESTED, 50, 1, "refund.requested", "a refund was asked for and reserved (R01)")    \
    X(REFUND_PENDING, 51, 1, "refund.pending", "the provider works on it (R02, R09)")              \
    X(REFUND_ACTION_REQUIRED, 52, 1, "refund.action_required", "the donor must act (R03, R09)")    \
    X(REFUND_SUCCEEDED, 53, 1, "refund.succeeded", "the money went back (R04, R09)")               \
    X(REFUND_FAILED, 54, 1, "refund.failed", "it did not reach the donor (R05, R09)")              \
    X(REFUND_REVERSED, 55, 1, "refund.reversed", "it failed after it had succeeded (R06)")         \
    X(REFUND_CANCELED, 56, 1, "refund.canceled", "it was called off (R07, R09)")                   \
    X(REFUND_REJECTED, 57, 1, "refund.rejected", "the provider refused to make it (R08)")          \
    X(DISPUTE_INQUIRY, 60, 1, "dispute.inquiry", "a bank asks; no money moves (D01)")              \
    X(DISPUTE_OPENED, 61, 1, "dispute.opened", "a donor's bank wants the money back (D02)")        \
    X(DISPUTE_UNDER_REVIEW, 62, 1, "dispute.under_review", "answered; the bank decides (D03)")     \
    X(DISPUTE_FUNDS_WITHDRAWN, 63, 1, "dispute.funds_withdrawn", "the money was taken (D04)")      \
    X(DISPUTE_WON, 64, 1, "dispute.won", "decided for us; the money follows by D06 (D05)")         \
    X(DISPUTE_FUNDS_REINSTATED, 65, 1, "dispute.funds_reinstated", "the money came back (D06)")    \
    X(DISPUTE_LOST, 66, 1, "dispute.lost", "decided for the donor, or accepted (D07)")             \
    X(DISPUTE_INQUIRY_CLOSED, 67, 1, "dispute.inquiry_closed", "an inquiry ended (D08)")           \
    X(DISPUTE_PREVENTED, 68, 1, "dispute.prevented", "ended before it became a dispute (D09)")

typedef int32_t cfa__event_type;
enum {
#define CFA__EVENT_ENUM(symbol, number, version, name, doc) CFA__EVENT_##symbol = number,
    CFA__EVENT_MAP(CFA__EVENT_ENUM)
#undef CFA__EVENT_ENUM
};

/* "org.careforall.pledge.created.v1"; NULL for a number that is not in the list. */
const char *cfa__event_type_name(cfa__event_type type);

#endif
