/*
 * reversal_machine.c - the table of refunds and disputes, the merge of their facts, and what they
 * amount to in their payment's row. It must never clamp a sum, nor tell two refunds apart by amount.
 */
#include "core/decide/reversal_machine.h"

#include <assert.h>
#include <string.h>

/* ---- the table ------------------------------------------------------------------------------- */

#define RULE(id, from, to, event, trigger, doc)                                                    \
    { id, from, to, CFA__EVENT_##event, trigger, doc }
#define QUIET(id, from, to, trigger, doc)                                                          \
    { id, from, to, 0, trigger, doc }

static const cfa__reversal_rule rules[] = {
    RULE("R01", "", "REQUESTED", REFUND_REQUESTED, "asked for with a key of its own",
         "at most captured - requested - refunded - exposed, which it reserves"),
    RULE("R02", "REQUESTED, REQUIRES_ACTION, REJECTED", "PENDING", REFUND_PENDING, "accepted",
         "net falls"),
    RULE("R03", "REQUESTED, PENDING, REJECTED", "REQUIRES_ACTION", REFUND_ACTION_REQUIRED,
         "the donor must act", "net falls if it has not"),
    RULE("R04", "REQUESTED, PENDING, REQUIRES_ACTION, REJECTED", "SUCCEEDED", REFUND_SUCCEEDED,
         "done", "net falls if it has not"),
    RULE("R05", "any but SUCCEEDED, FAILED", "FAILED", REFUND_FAILED, "failed",
         "net is restored; for ever"),
    RULE("R06", "SUCCEEDED", "FAILED", REFUND_REVERSED, "failed later", "net is restored; alert"),
    RULE("R07", "any but FAILED, CANCELED", "CANCELED", REFUND_CANCELED, "called off",
         "net is restored"),
    RULE("R08", "REQUESTED", "REJECTED", REFUND_REJECTED, "refused for good, or never made",
         "the reservation is released; what the provider has instead is read (R09)"),
    RULE("R09", "", "any but REQUESTED, REJECTED", REFUND_SUCCEEDED, "first seen from the provider",
         "origin external; the event of its state"),
    QUIET("R10", "REQUESTED", "REQUESTED", "the call is in doubt",
          "same key, then reads; never a new key. Payment rules P20 and P21"),
    QUIET("R11", "", "", "an uncaptured hold is released",
          "no refund: evidence for P12 or P13 alone"),
    RULE("D01", "", "INQUIRY", DISPUTE_INQUIRY, "a bank asks", "no money moves"),
    RULE("D02", "any before", "OPEN", DISPUTE_OPENED, "chargeback", "money only by D04"),
    RULE("D03", "any before", "UNDER_REVIEW", DISPUTE_UNDER_REVIEW, "evidence sent", ""),
    RULE("D04", "any", "the same", DISPUTE_FUNDS_WITHDRAWN, "funds taken",
         "net falls; the fee is booked apart"),
    RULE("D05", "any before", "WON", DISPUTE_WON, "won", "net rises by D06"),
    RULE("D06", "any", "the same", DISPUTE_FUNDS_REINSTATED, "funds returned", "net rises"),
    RULE("D07", "any before", "LOST", DISPUTE_LOST, "lost or accepted", "what was taken stays so"),
    RULE("D08", "any before", "INQUIRY_CLOSED", DISPUTE_INQUIRY_CLOSED, "an inquiry ended", ""),
    RULE("D09", "any before", "PREVENTED", DISPUTE_PREVENTED, "prevented", "money as D04, D06 say"),
    QUIET("D10", "WON, LOST", "the same", "a second round", "another dispute with its own id"),
    QUIET("D11", "any", "the same", "a refund is asked for",
          "refused for what disputes took or may still take (CFA_ERANGE, CFA_ESTATE); one that was "
          "not sent yet is REJECTED as \"disputed\""),
    RULE("D12", "any", "the same", PAYMENT_FRAUD_WARNING, "early fraud warning",
         "of the payment; flag FRAUD_WARNING. The engine's fraud rule may ask for a refund of what "
         "is "
         "left (R01), once, while no dispute is known"),
};

const cfa__reversal_rule *cfa__reversal_rules(size_t *out_count) {
    *out_count = sizeof rules / sizeof rules[0];
    return rules;
}

/* ---- merging --------------------------------------------------------------------------------- */

static void raise_to(int64_t *fact, int64_t value) {
    if (value > *fact)
        *fact = value;
}

/* The smaller of two texts; any is smaller than none. */
static void merge_text(cfa_slice *known, const char *told) {
    size_t size = told == NULL ? 0 : strlen(told);
    if (size == 0)
        return;
    size_t shorter = size < known->size ? size : known->size;
    int order = known->size == 0 ? -1 : memcmp(told, known->data, shorter);
    if (order < 0 || (order == 0 && size < known->size))
        *known = (cfa_slice){ told, size };
}

/* Fees can come in a currency of their own: the greatest of (currency, amount). */
static void merge_fee(int64_t *minor, char currency[4], cfa_money told) {
    if (told.currency[0] == '\0' || told.minor == 0)
        return;
    int order = strncmp(told.currency, currency, 4);
    if (order > 0 || (order == 0 && told.minor > *minor)) {
        *minor = told.minor;
        memcpy(currency, told.currency, 4);
    }
}

/* ---- refunds --------------------------------------------------------------------------------- */

cfa_refund_state cfa__refund_state(const cfa__refund *refund) {
    int64_t durable = refund->durable;
    if ((durable & CFA__REFUND_DID_FAIL) != 0)
        return CFA_REFUND_FAILED;
    if ((durable & CFA__REFUND_WAS_CANCELED) != 0)
        return CFA_REFUND_CANCELED;
    if ((durable & CFA__REFUND_DID_SUCCEED) != 0)
        return CFA_REFUND_SUCCEEDED;
    if ((durable & CFA__REFUND_SEEN) != 0)
        return refund->waiting_action ? CFA_REFUND_REQUIRES_ACTION : CFA_REFUND_PENDING;
    return (durable & CFA__REFUND_WAS_REJECTED) != 0 ? CFA_REFUND_REJECTED : CFA_REFUND_REQUESTED;
}

bool cfa__refund_is_open(cfa_refund_state state) {
    return state == CFA_REFUND_PENDING || state == CFA_REFUND_REQUIRES_ACTION;
}

bool cfa__refund_is_active(cfa_refund_state state) {
    return cfa__refund_is_open(state) || state == CFA_REFUND_SUCCEEDED;
}

bool cfa__refund_merge(cfa__refund *refund, const cfa_refund_facts *facts, bool *out_conflict) {
    const cfa__refund before = *refund;
    int64_t action = facts->state == CFA_REFUND_REQUIRES_ACTION;
    refund->durable |= CFA__REFUND_SEEN;
    switch (facts->state) {
    case CFA_REFUND_SUCCEEDED: refund->durable |= CFA__REFUND_DID_SUCCEED; break;
    case CFA_REFUND_CANCELED: refund->durable |= CFA__REFUND_WAS_CANCELED; break;
    case CFA_REFUND_FAILED: refund->durable |= CFA__REFUND_DID_FAIL; break;
    default:
        if (facts->occurred_us > refund->waiting_us ||
            (facts->occurred_us == refund->waiting_us && action > refund->waiting_action)) {
            refund->waiting_us = facts->occurred_us;
            refund->waiting_action = action;
        }
    }
    if ((before.durable & CFA__REFUND_SEEN) == 0)
        refund->failure_code = (cfa_slice){ NULL, 0 }; /* of a rejection that was none */
    merge_text(&refund->failure_code, facts->failure_code);
    *out_conflict = before.amount_minor != 0 && facts->amount.minor != 0 &&
                    facts->amount.minor != before.amount_minor;
    raise_to(&refund->amount_minor, facts->amount.minor);
    refund->state = cfa__refund_state(refund);
    return memcmp(&before, refund, sizeof before) != 0;
}

static cfa__event_type refund_event(int64_t from, int64_t to) {
    switch (to) {
    case CFA_REFUND_REQUESTED: return CFA__EVENT_REFUND_REQUESTED;
    case CFA_REFUND_PENDING: return CFA__EVENT_REFUND_PENDING;
    case CFA_REFUND_REQUIRES_ACTION: return CFA__EVENT_REFUND_ACTION_REQUIRED;
    case CFA_REFUND_SUCCEEDED: return CFA__EVENT_REFUND_SUCCEEDED;
    case CFA_REFUND_FAILED:
        return from == CFA_REFUND_SUCCEEDED ? CFA__EVENT_REFUND_REVERSED : CFA__EVENT_REFUND_FAILED;
    case CFA_REFUND_CANCELED: return CFA__EVENT_REFUND_CANCELED;
    default: assert(to == CFA_REFUND_REJECTED); return CFA__EVENT_REFUND_REJECTED;
    }
}

bool cfa__refund_step(const cfa__refund *before, const cfa__refund *after,
                      cfa__reversal_step *out) {
    static const char *const by_state[] = { "", "R01", "R02", "R03", "R04", "R05", "R07", "R08" };
    int64_t from = before->state, to = after->state;
    if (from == to && before->amount_minor == after->amount_minor)
        return false;
    bool external = (from == 0 && to != CFA_REFUND_REQUESTED) || from == to;
    assert(to >= CFA_REFUND_REQUESTED && to <= CFA_REFUND_REJECTED);
    *out = (cfa__reversal_step){ .from = from,
                                 .to = to,
                                 .rule = external ? "R09"
                                         : from == CFA_REFUND_SUCCEEDED && to == CFA_REFUND_FAILED
                                             ? "R06"
                                             : by_state[to],
                                 .event = refund_event(from, to) };
    return true;
}

/* ---- disputes -------------------------------------------------------------------------------- */

bool cfa__dispute_is_open(cfa_dispute_state state) {
    return state == CFA_DISPUTE_INQUIRY || state == CFA_DISPUTE_OPEN ||
           state == CFA_DISPUTE_UNDER_REVIEW;
}

bool cfa__dispute_merge(cfa__dispute *dispute, const cfa_dispute_facts *facts) {
    const cfa__dispute before = *dispute;
    raise_to(&dispute->state, facts->state);
    raise_to(&dispute->amount_minor, facts->amount.minor);
    raise_to(&dispute->withdrawn_minor, facts->withdrawn_minor);
    raise_to(&dispute->reinstated_minor, facts->reinstated_minor);
    raise_to(&dispute->withdrawn_minor, facts->reinstated_minor); /* it was taken before */
    raise_to(&dispute->evidence_due_us, facts->evidence_due_us);
    merge_fee(&dispute->fee_minor, dispute->fee_currency, facts->fee);
    merge_text(&dispute->reason, facts->reason);
    return memcmp(&before, dispute, sizeof before) != 0;
}

int32_t cfa__dispute_steps(const cfa__dispute *before, const cfa__dispute *after,
                           cfa__reversal_step out[CFA__DISPUTE_STEPS_MAX]) {
    static const struct {
        const char *rule;
        cfa__event_type event;
    } by_state[] = {
        { "", 0 },
        { "D01", CFA__EVENT_DISPUTE_INQUIRY },
        { "D08", CFA__EVENT_DISPUTE_INQUIRY_CLOSED },
        { "D02", CFA__EVENT_DISPUTE_OPENED },
        { "D03", CFA__EVENT_DISPUTE_UNDER_REVIEW },
        { "D09", CFA__EVENT_DISPUTE_PREVENTED },
        { "D05", CFA__EVENT_DISPUTE_WON },
        { "D07", CFA__EVENT_DISPUTE_LOST },
    };
    int64_t to = after->state;
    int32_t count = 0;
    assert(to >= CFA_DISPUTE_INQUIRY && to <= CFA_DISPUTE_LOST);
    if (before->state != to)
        out[count++] =
            (cfa__reversal_step){ before->state, to, by_state[to].rule, by_state[to].event };
    if (before->withdrawn_minor != after->withdrawn_minor)
        out[count++] = (cfa__reversal_step){ to, to, "D04", CFA__EVENT_DISPUTE_FUNDS_WITHDRAWN };
    if (before->reinstated_minor != after->reinstated_minor)
        out[count++] = (cfa__reversal_step){ to, to, "D06", CFA__EVENT_DISPUTE_FUNDS_REINSTATED };
    return count;
}

/* ---- sums ------------------------------------------------------------------------------------ */

static void add_refund(cfa__payment *payment, const cfa__refund *refund, int64_t sign) {
    if (refund == NULL || refund->state == 0)
        return;
    cfa_refund_state state = (cfa_refund_state)refund->state;
    if (state == CFA_REFUND_REQUESTED)
        payment->requested_minor += sign * refund->amount_minor;
    if (cfa__refund_is_active(state))
        payment->refunded_minor += sign * refund->amount_minor;
    payment->open_count += cfa__refund_is_open(state) ? sign : 0;
    payment->refund_count += sign;
}

void cfa__payment_move_refund(cfa__payment *payment, const cfa__refund *before,
                              const cfa__refund *after) {
    add_refund(payment, before, -1);
    add_refund(payment, after, 1);
    assert(payment->requested_minor >= 0 && payment->refunded_minor >= 0);
}

/* What a dispute took, or may still take: of one that is not decided, or was lost, all of it. */
static int64_t exposed_minor(const cfa__dispute *dispute) {
    bool may_take = dispute->state == CFA_DISPUTE_OPEN ||
                    dispute->state == CFA_DISPUTE_UNDER_REVIEW ||
                    dispute->state == CFA_DISPUTE_LOST;
    int64_t taken = dispute->withdrawn_minor;
    if (may_take && dispute->amount_minor > taken)
        taken = dispute->amount_minor;
    return taken - dispute->reinstated_minor;
}

static void add_dispute(cfa__payment *payment, const cfa__dispute *dispute, int64_t sign) {
    if (dispute == NULL || dispute->state == 0)
        return;
    payment->withdrawn_minor += sign * dispute->withdrawn_minor;
    payment->reinstated_minor += sign * dispute->reinstated_minor;
    payment->exposed_minor += sign * exposed_minor(dispute);
    payment->open_count += cfa__dispute_is_open((cfa_dispute_state)dispute->state) ? sign : 0;
    payment->dispute_count += sign;
}

void cfa__payment_move_dispute(cfa__payment *payment, const cfa__dispute *before,
                               const cfa__dispute *after) {
    add_dispute(payment, before, -1);
    add_dispute(payment, after, 1);
    assert(payment->withdrawn_minor >= payment->reinstated_minor && payment->exposed_minor >= 0);
}

int64_t cfa__payment_refundable_minor(const cfa__payment *payment) {
    int64_t left = payment->captured_minor - payment->requested_minor - payment->refunded_minor -
                   payment->exposed_minor;
    return left > 0 ? left : 0;
}

bool cfa__payment_is_promised_twice(const cfa__payment *payment) {
    return payment->captured_minor > 0 && payment->requested_minor > 0 &&
           payment->requested_minor + payment->refunded_minor + payment->exposed_minor >
               payment->captured_minor;
}
