/*
 * reversal_machine.h - refunds and disputes: facts in, states and sums out. Pure; no I/O, no clock.
 *
 * One table (R01 to R11, D01 to D12) in reversal_machine.c; docs/payment-states.md is generated from
 * it. As with payments the state is computed from facts, and each fact is merged by an operation that
 * is commutative, associative and idempotent:
 *   refund   durable         or of SEEN, SUCCEEDED, CANCELED, FAILED, REJECTED
 *            waiting_*       greatest of (provider time, REQUIRES_ACTION > PENDING)
 *            amount_minor    greatest that was reported; two different ones are a conflict
 *            failure_code    the smaller text
 *   dispute  state           the furthest, in the order of cfa_dispute_state
 *            amounts, fee, evidence_due_us   greatest; what was reinstated was withdrawn before
 *            reason          the smaller text
 * State of a refund: first match of FAILED, CANCELED, SUCCEEDED, SEEN (pending or action), REJECTED,
 * else REQUESTED.
 *
 * What a payment's refunds and disputes amount to stands in its own row, moved with every change of
 * one of them, so that whoever decides on a sum writes the row that holds it. The invariant, which
 * nothing clamps: refunded + (withdrawn - reinstated) <= captured, else the conflict flag. A refund is
 * given only from captured - requested - refunded - exposed: no money goes back twice (D11).
 */
#ifndef CFA_CORE_DECIDE_REVERSAL_MACHINE_H
#define CFA_CORE_DECIDE_REVERSAL_MACHINE_H

#include <careforall/dispute.h>
#include <careforall/refund.h>
#include "core/decide/event_registry.h"
#include "core/decide/facts.h"
#include "core/records.h"

/* In `refund.durable`. */
enum {
    CFA__REFUND_SEEN = 1,
    CFA__REFUND_DID_SUCCEED = 2,
    CFA__REFUND_WAS_CANCELED = 4,
    CFA__REFUND_DID_FAIL = 8,
    CFA__REFUND_WAS_REJECTED = 16
};

/* One step of a refund's or dispute's walk; from a state to itself: its amounts grew. */
typedef struct cfa__reversal_step {
    int64_t from, to; /* 0: did not exist */
    const char *rule;
    cfa__event_type event;
} cfa__reversal_step;

cfa_refund_state cfa__refund_state(const cfa__refund *refund);

/* True for a refund that still takes from what its payment holds. */
bool cfa__refund_is_active(cfa_refund_state state);
/* True while more is to be heard of it. */
bool cfa__refund_is_open(cfa_refund_state state);
bool cfa__dispute_is_open(cfa_dispute_state state);

/*
 * Merge a report into a refund (a private copy, whose state is updated; text is borrowed). False
 * when nothing is new. `*out_conflict`: an amount was reported that differs from the known one.
 */
bool cfa__refund_merge(cfa__refund *refund, const cfa_refund_facts *facts, bool *out_conflict);

/* The step from how a refund stood (state 0: not at all) to how it stands. False when there is
 * none. */
bool cfa__refund_step(const cfa__refund *before, const cfa__refund *after, cfa__reversal_step *out);

bool cfa__dispute_merge(cfa__dispute *dispute, const cfa_dispute_facts *facts);
#define CFA__DISPUTE_STEPS_MAX 3
/* The same for a dispute, whose state, withdrawal and reinstatement are steps of their own. */
int32_t cfa__dispute_steps(const cfa__dispute *before, const cfa__dispute *after,
                           cfa__reversal_step out[CFA__DISPUTE_STEPS_MAX]);

/* Move a payment's sums from how one of its refunds or disputes stood to how it stands; either may
 * be NULL for "not at all". */
void cfa__payment_move_refund(cfa__payment *payment, const cfa__refund *before,
                              const cfa__refund *after);
void cfa__payment_move_dispute(cfa__payment *payment, const cfa__dispute *before,
                               const cfa__dispute *after);

/* What may still be given back. */
int64_t cfa__payment_refundable_minor(const cfa__payment *payment);
/* True when a dispute, or the provider's desk, took what a refund was promised meanwhile: what was
 * not sent yet must not be. */
bool cfa__payment_is_promised_twice(const cfa__payment *payment);

/* One row of the table, for the documents. */
typedef struct cfa__reversal_rule {
    const char *id;
    const char *from, *to; /* names of states; "" for none, "any" */
    cfa__event_type event;
    const char *trigger;
    const char *doc;
} cfa__reversal_rule;
const cfa__reversal_rule *cfa__reversal_rules(size_t *out_count);

#endif
