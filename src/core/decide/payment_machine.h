/*
 * payment_machine.h - the payment machine: facts in, state and a legal walk out. Pure; no I/O, no
 * clock.
 *
 * The state is always computed, never assigned. One table of transitions (P01 to P24) in
 * payment_machine.c; the document docs/payment-states.md is generated from it.
 *
 * How facts merge. Each field of the record that holds a fact is merged by an operation that is
 * commutative, associative and idempotent, so whatever order facts arrive in, and however often,
 * the facts, the state, the buckets and the flags end equal:
 *   durable            or of SUCCEEDED, CANCELED, EXPIRED, FRAUD_WARNING, SETTLED. A cancel whose reason is an expiry
 *                      ("abandoned", "automatic", "expired", "expired_uncaptured_charge") is
 *                      EXPIRED too.
 *   authorized_minor   greatest that was reported; a capture does not raise it.
 *   captured_minor     greatest that was reported; SUCCEEDED without an amount means captured in
 *                      full.
 *   hold               greatest of 2 * attempt for a hold, 2 * attempt + 1 for a hold that was
 *                      lost.
 *   cancel_reason      an expiry before any other, then the smaller text.
 *   canceled_us        smallest that is known.
 *   fee                greatest of (currency, amount).
 *   volatile_*         greatest of (attempt, provider time, FAILED > NEEDS_ACTION > PROCESSING),
 *                      then the smaller failure code. Attempt 0, unknown, is taken as 1. A report
 *                      of a newer attempt that names no volatile fact leaves PENDING.
 * State: first match of SUCCEEDED, captured, EXPIRED, CANCELED, held, then the volatile fact, else
 * PENDING. A hold counts until a report says FAILED and names an authorized amount at once: what
 * was held has failed (P10). A FAILED without an amount is the decline of an attempt and never ends
 * a hold.
 *
 * What is refused, by comparison with what never changes, so that order does not matter here
 * either:
 *   QUARANTINED    amount or currency differ from the payment's, a held or captured amount is
 *                  negative or above it, or the facts name another payment, or are about another
 *                  provider object than the one the payment is bound to. Nothing changes but the
 *                  conflict flag (and MISMATCH in `durable`, which keeps it).
 * And what is recorded, but said aloud:
 *   CONTRADICTION  a greater hold than was known, reported alone and for a provider time after the
 *                  cancel. The fact is kept and the state unaffected. The same report from before
 *                  the cancel is only late: APPLIED.
 *   CONFLICT       a capture above a known hold, or more refunded and withdrawn than captured. The
 *                  provider's money moved, so it counts; the flag stays while the facts disagree,
 *                  and goes when a greater hold explains the capture, or a refund that failed the
 *                  rest.
 *   LATE_SUCCESS   money after CANCELED or EXPIRED, in either order (the flag LATE, which the
 *                  machine never clears); or after FAILED in the same attempt (no flag, since a
 *                  decline is soft).
 * Verdicts, walks and notices depend on the order of arrival. The flags UNKNOWN and HELD are the
 * caller's.
 */
#ifndef CFA_CORE_DECIDE_PAYMENT_MACHINE_H
#define CFA_CORE_DECIDE_PAYMENT_MACHINE_H

#include <careforall/payment.h>
#include "core/decide/event_registry.h"
#include "core/records.h"
#include <stdbool.h>

#define CFA__STEPS_MAX 4
#define CFA__NOTICES_MAX 4

/* In `durable`, beside the public facts: a report was quarantined. */
#define CFA__FACT_MISMATCH 65536

/* One step of the walk. `event` is what it emits, 0 for none. From a state to itself: the amounts
 * grew. */
typedef struct cfa__step {
    cfa_payment_state from, to;
    const char *rule; /* "P05" */
    bool implied;
    cfa__event_type event;
} cfa__step;

/* `rule` NULL: belongs to the steps before it. */
typedef struct cfa__notice {
    const char *rule;
    cfa__event_type event;
} cfa__notice;

typedef struct cfa__reduction {
    cfa_webhook_verdict verdict; /* APPLIED, STALE, QUARANTINED or CONTRADICTION */
    cfa__step steps[CFA__STEPS_MAX];
    int32_t step_count;
    cfa__notice notices[CFA__NOTICES_MAX]; /* said after the steps, without a change of state */
    int32_t notice_count;
    bool probe;         /* volatile facts tied: ask the provider */
    const char *reason; /* static text: why it was quarantined, contradicts or conflicts; or NULL */
} cfa__reduction;

/*
 * Merge `facts` into `payment` (a private copy; text is copied into `arena`) and say which steps
 * the walk takes.
 *
 * The buckets change only with a step. `payment->version`, `sequence` and counters are left to the
 * caller. CFA_ENOMEM is the only failure, and leaves both untouched.
 */
CFA_MUST_CHECK cfa_status cfa__payment_reduce(cfa__payment *payment, const cfa_facts *facts,
                                              cfa_arena *arena, cfa__reduction *out);

/* Set and clear the flags that follow from the facts and from the sums of refunds and disputes. True
 * when the conflict is new. */
bool cfa__payment_derive_flags(cfa__payment *after, const cfa__payment *before);

/* The state that the payment's facts amount to. */
cfa_payment_state cfa__payment_state(const cfa__payment *payment);

/* True for COMPLETED, FAILED, CANCELED, EXPIRED: what a waiting caller waits for. */
bool cfa__payment_is_settled(cfa_payment_state state);
/* True for COMPLETED, CANCELED, EXPIRED: the standing probe stops. */
bool cfa__payment_is_final(cfa_payment_state state);

/* True when the table has a step from one state to the other (0: did not exist). */
bool cfa__payment_step_is_legal(cfa_payment_state from, cfa_payment_state to);

/* The most that was ever held: as reported, or as a capture proves. */
int64_t cfa__payment_authorized_minor(const cfa__payment *payment);

/* What the payment adds to its campaign's totals now; nothing while it is held. */
typedef struct cfa__buckets {
    int64_t pledged_minor, authorized_minor, raised_minor, refunded_minor, disputed_minor;
} cfa__buckets;
cfa__buckets cfa__payment_buckets(const cfa__payment *payment);

/* One row of the table. Masks hold 1 << state; bit 0 stands for "did not exist". */
typedef struct cfa__payment_rule {
    const char *id; /* some ids have two rows */
    uint32_t from;  /* where a walk under this rule begins; 0: any state */
    uint32_t
        last; /* what its last step leaves; other than `from` when steps before it are implied */
    cfa_payment_state to; /* 0: the state does not change */
    cfa__event_type event;
    const char *trigger;
    const char *doc;
} cfa__payment_rule;

const cfa__payment_rule *cfa__payment_rules(size_t *out_count);

#endif
