/*
 * payment_machine.h - the payment machine: facts in, state and a legal walk out. Pure; no I/O, no clock.
 *
 * Durable facts only grow and commute: whatever order they arrive in, facts, state and contribution end equal.
 * Volatile facts are last-writer-wins per (attempt, provider time) and never override a durable one. The state
 * is always computed, never assigned. One table of transitions (P01 to P24) in payment_machine.c; the document
 * docs/payment-states.md is generated from it.
 */
#ifndef CFA_CORE_DECIDE_PAYMENT_MACHINE_H
#define CFA_CORE_DECIDE_PAYMENT_MACHINE_H

#include <careforall/payment.h>
#include "core/decide/event_registry.h"
#include "core/records.h"
#include <stdbool.h>

#define CFA__STEPS_MAX 4

/* One step of the walk. `event` is what it emits, 0 for none. */
typedef struct cfa__step {
    cfa_payment_state from, to;
    const char *rule;               /* "P05" */
    bool implied;
    cfa__event_type event;
} cfa__step;

typedef struct cfa__reduction {
    cfa_webhook_verdict verdict;    /* APPLIED, STALE, QUARANTINED or CONTRADICTION */
    cfa__step steps[CFA__STEPS_MAX];
    int32_t step_count;
    cfa__event_type notice;         /* LATE_SUCCESS or CONFLICT, emitted after the steps; 0 for none */
    bool probe;                     /* volatile facts tied: ask the provider */
    const char *reason;             /* static text: why it was quarantined or contradicts */
} cfa__reduction;

/*
 * Merge `facts` into `payment` (a private copy; text is copied into `arena`) and say which steps the walk takes.
 *
 * Quarantined facts (amount or currency differ, capture above what is authorized) change nothing but the conflict
 * flag. `payment->version`, `sequence` and counters are left to the caller. CFA_ENOMEM is the only failure.
 */
CFA_MUST_CHECK cfa_status cfa__payment_reduce(cfa__payment *payment, const cfa_facts *facts,
                                              cfa_arena *arena, cfa__reduction *out);

/* The state that the payment's facts amount to. */
cfa_payment_state cfa__payment_state(const cfa__payment *payment);

/* True for COMPLETED, FAILED, CANCELED, EXPIRED: what a waiting caller waits for. */
bool cfa__payment_is_settled(cfa_payment_state state);
/* True for COMPLETED, CANCELED, EXPIRED: the standing probe stops. */
bool cfa__payment_is_final(cfa_payment_state state);

/* True when the table has a step from one state to the other (0: did not exist). */
bool cfa__payment_step_is_legal(cfa_payment_state from, cfa_payment_state to);

/* What the payment adds to its campaign's totals now. */
typedef struct cfa__buckets {
    int64_t pledged_minor, authorized_minor, raised_minor, refunded_minor, disputed_minor;
} cfa__buckets;
cfa__buckets cfa__payment_buckets(const cfa__payment *payment);

#endif
