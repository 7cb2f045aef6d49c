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
      "money came after failure, cancel or expiry (P15, P16)")                                     \
    X(PAYMENT_CONFLICT, 30, 1, "payment.conflict", "the provider's amounts contradict ours (P19)") \
    X(PAYMENT_OUTCOME_UNKNOWN, 31, 1, "payment.outcome_unknown",                                   \
      "a provider call is in doubt, probes run (P20)")                                             \
    X(PAYMENT_OUTCOME_RESOLVED, 32, 1, "payment.outcome_resolved", "the doubt is over (P21)")      \
    X(PROVIDER_UNAVAILABLE, 40, 1, "provider.unavailable",                                         \
      "a circuit breaker opened, or opened again: calls are put off")                              \
    X(PROVIDER_PROBED, 41, 1, "provider.probed", "an open circuit breaker lets one call try")      \
    X(PROVIDER_AVAILABLE, 42, 1, "provider.available", "the circuit breaker closed")

typedef int32_t cfa__event_type;
enum {
#define CFA__EVENT_ENUM(symbol, number, version, name, doc) CFA__EVENT_##symbol = number,
    CFA__EVENT_MAP(CFA__EVENT_ENUM)
#undef CFA__EVENT_ENUM
};

/* "org.careforall.pledge.created.v1"; NULL for a number that is not in the list. */
const char *cfa__event_type_name(cfa__event_type type);

#endif
