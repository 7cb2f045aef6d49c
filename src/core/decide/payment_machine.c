/*
 * payment_machine.c - the table of payment transitions, the merge of facts and the walk. It must
 * never assign a state that the facts do not amount to, nor take a step that the table does not
 * have.
 */
#include "core/decide/payment_machine.h"

#include <assert.h>
#include <string.h>

/* ---- the table ------------------------------------------------------------------------------- */

#define NONE 1u
#define PENDING (1u << CFA_PAYMENT_PENDING)
#define REQUIRES_ACTION (1u << CFA_PAYMENT_REQUIRES_ACTION)
#define PROCESSING (1u << CFA_PAYMENT_PROCESSING)
#define AUTHORIZED (1u << CFA_PAYMENT_AUTHORIZED)
#define CAPTURED (1u << CFA_PAYMENT_CAPTURED)
#define COMPLETED (1u << CFA_PAYMENT_COMPLETED)
#define FAILED (1u << CFA_PAYMENT_FAILED)
#define CANCELED (1u << CFA_PAYMENT_CANCELED)
#define EXPIRED (1u << CFA_PAYMENT_EXPIRED)

#define WAITING (PENDING | REQUIRES_ACTION | PROCESSING)
#define UNHELD (WAITING | FAILED)
#define CALLED_OFF (CANCELED | EXPIRED)

/* A rule of one step; a rule whose last step leaves another state than its walk began in; a rule
 * without one. */
#define STEP(id, from, to, event, trigger, doc)                                                    \
    { id, from, from, CFA_PAYMENT_##to, CFA__EVENT_##event, trigger, doc }
#define WALK(id, from, last, to, event, trigger, doc)                                              \
    { id, from, last, CFA_PAYMENT_##to, CFA__EVENT_##event, trigger, doc }
#define STAY(id, event, trigger, doc)                                                              \
    { id, 0, 0, 0, event, trigger, doc }

/* P22 is the circuit breaker's. L01 and L02 are the late rule's and a person's: late.c. */
static const cfa__payment_rule rules[] = {
    STEP("P01", NONE, PENDING, PLEDGE_CREATED, "pledge created",
         "campaign open, amount representable, key new"),
    STEP("P02", PENDING | PROCESSING | FAILED, REQUIRES_ACTION, PAYMENT_ACTION_REQUIRED,
         "the donor must act", "newest report of the newest attempt"),
    STEP("P03", PENDING | REQUIRES_ACTION | FAILED, PROCESSING, PAYMENT_PROCESSING,
         "the provider works on it", "newest report of the newest attempt"),
    STEP("P04", UNHELD, AUTHORIZED, PAYMENT_AUTHORIZED, "funds held", "amount and currency match"),
    STEP("P04", AUTHORIZED, AUTHORIZED, PAYMENT_AUTHORIZED, "more funds held", "the amount grew"),
    STEP("P05", AUTHORIZED, CAPTURED, PAYMENT_CAPTURED, "funds taken",
         "by our call or the provider's"),
    STEP("P05", CAPTURED, CAPTURED, PAYMENT_CAPTURED, "more funds taken", "the amount grew"),
    STEP("P05", COMPLETED, COMPLETED, PAYMENT_CAPTURED, "more funds taken", "the amount grew"),
    WALK("P06", WAITING, AUTHORIZED, CAPTURED, PAYMENT_CAPTURED, "capture seen first",
         "automatic capture, or reports out of order; AUTHORIZED is implied"),
    STEP("P07", CAPTURED, COMPLETED, PAYMENT_COMPLETED, "full success", ""),
    WALK("P08", WAITING | AUTHORIZED, CAPTURED, COMPLETED, PAYMENT_COMPLETED, "success seen first",
         "the steps before it are implied"),
    STEP("P09", WAITING, FAILED, PAYMENT_FAILED, "declined",
         "newest report of the newest attempt; soft"),
    STEP("P10", AUTHORIZED, FAILED, PAYMENT_FAILED, "the hold failed",
         "capture refused for good: FAILED and an authorized amount in one report"),
    STEP("P11", REQUIRES_ACTION | PROCESSING | FAILED, PENDING, PAYMENT_RETRIED,
         "a newer attempt seen", "implied when the report also says how that attempt stands"),
    STEP("P12", UNHELD | AUTHORIZED, CANCELED, PAYMENT_CANCELED, "cancel confirmed by the provider",
         "reason is no expiry"),
    STEP("P13", AUTHORIZED | CANCELED, EXPIRED, PAYMENT_EXPIRED, "the hold ran out",
         "from CANCELED: a later report names the expiry that the first left out"),
    STEP("P14", UNHELD, EXPIRED, PAYMENT_EXPIRED, "the offer ran out",
         "cancelled at the provider after our time-out, which the provider confirms"),
    WALK("P15", FAILED, AUTHORIZED, CAPTURED, PAYMENT_CAPTURED, "money after a decline",
         "the same attempt; payment.late_success follows"),
    WALK("P15", FAILED, CAPTURED, COMPLETED, PAYMENT_COMPLETED, "success after a decline",
         "the same attempt; payment.late_success follows"),
    STEP("P16", CALLED_OFF, CAPTURED, PAYMENT_CAPTURED, "money after cancel or expiry",
         "flag LATE; payment.late_success follows"),
    WALK("P16", CALLED_OFF, CAPTURED, COMPLETED, PAYMENT_COMPLETED,
         "success after cancel or expiry", "flag LATE; payment.late_success follows"),
    STAY("P17", 0, "a lower durable or an older volatile fact",
         "verdict STALE when nothing is new"),
    STAY("P18", 0, "the same report again", "verdict DUPLICATE by event id, STALE by content"),
    STAY("P19", CFA__EVENT_PAYMENT_CONFLICT,
         "what the provider says cannot be true of this payment",
         "another amount, currency or object: QUARANTINED; captured above the hold: applied. Flag "
         "conflict"),
    STAY("P20", CFA__EVENT_PAYMENT_OUTCOME_UNKNOWN, "a provider call is in doubt",
         "flag unknown; probes run"),
    STAY("P21", CFA__EVENT_PAYMENT_OUTCOME_RESOLVED, "a probe finds, or proves absence",
         "the flag goes; the state follows the facts found"),
    STAY("P23", CFA__EVENT_PAYMENT_FEE_RECORDED, "the provider's fee is known",
         "in the currency "
         "it settles in; totals show what donors gave"),
    STAY("P24", CFA__EVENT_PAYMENT_SETTLED, "what was captured was paid out",
         "by a payout that the provider has reconciled; flag settled"),
    STAY("L01", CFA__EVENT_PAYMENT_HELD, "it came late, and the campaign's rule holds it",
         "flag held: in no total until it is accepted; refunds and disputes go on as ever"),
    STAY("L02", CFA__EVENT_PAYMENT_ACCEPTED, "a person took what was held into the totals",
         "the flag goes, for good"),
};
#define RULE_COUNT (sizeof(rules) / sizeof(rules[0]))

const cfa__payment_rule *cfa__payment_rules(size_t *out_count) {
    *out_count = RULE_COUNT;
    return rules;
}

/* The rule of the step from `at` to `to` in a walk that began in `start`, or NULL. */
static const cfa__payment_rule *rule_find(cfa_payment_state start, cfa_payment_state at,
                                          cfa_payment_state to) {
    for (size_t i = 0; i < RULE_COUNT; i++) {
        if (rules[i].to == to && (rules[i].from >> start & 1u) != 0 &&
            (rules[i].last >> at & 1u) != 0)
            return &rules[i];
    }
    return NULL;
}

bool cfa__payment_step_is_legal(cfa_payment_state from, cfa_payment_state to) {
    if (from < 0 || from > CFA_PAYMENT_EXPIRED || to < CFA_PAYMENT_PENDING ||
        to > CFA_PAYMENT_EXPIRED)
        return false;
    return rule_find(from, from, to) != NULL;
}

static bool is_one_of(cfa_payment_state state, uint32_t mask) { return (mask >> state & 1u) != 0; }

bool cfa__payment_is_settled(cfa_payment_state state) {
    return is_one_of(state, COMPLETED | FAILED | CALLED_OFF);
}

bool cfa__payment_is_final(cfa_payment_state state) {
    return is_one_of(state, COMPLETED | CALLED_OFF);
}

/* ---- what the facts amount to ---------------------------------------------------------------- */

#define ENDED (CFA_FACT_CANCELED | CFA_FACT_EXPIRED)

static bool has_hold(const cfa__payment *payment) {
    return payment->hold > 0 && payment->hold % 2 == 0;
}

static bool has_money(const cfa__payment *payment) { return payment->captured_minor > 0; }

static bool is_late(const cfa__payment *payment) {
    return has_money(payment) && (payment->durable & ENDED) != 0;
}

/* A capture above a known hold: one of the two reports is wrong, or a greater hold is still to be
 * reported. */
static bool captured_above_hold(const cfa__payment *payment) {
    return payment->authorized_minor > 0 && payment->captured_minor > payment->authorized_minor;
}

/* More went back than came in. Before the capture is known nothing can be compared. */
static bool is_overdrawn(const cfa__payment *payment) {
    return payment->captured_minor > 0 &&
           payment->refunded_minor + payment->withdrawn_minor - payment->reinstated_minor >
               payment->captured_minor;
}

static bool facts_disagree(const cfa__payment *payment) {
    return captured_above_hold(payment) || is_overdrawn(payment);
}

cfa_payment_state cfa__payment_state(const cfa__payment *payment) {
    if ((payment->durable & CFA_FACT_SUCCEEDED) != 0)
        return CFA_PAYMENT_COMPLETED;
    if (has_money(payment))
        return CFA_PAYMENT_CAPTURED;
    if ((payment->durable & CFA_FACT_EXPIRED) != 0)
        return CFA_PAYMENT_EXPIRED;
    if ((payment->durable & CFA_FACT_CANCELED) != 0)
        return CFA_PAYMENT_CANCELED;
    if (has_hold(payment))
        return CFA_PAYMENT_AUTHORIZED;
    switch (payment->volatile_fact) {
    case CFA_FACT_PROCESSING: return CFA_PAYMENT_PROCESSING;
    case CFA_FACT_NEEDS_ACTION: return CFA_PAYMENT_REQUIRES_ACTION;
    case CFA_FACT_FAILED: return CFA_PAYMENT_FAILED;
    default: return CFA_PAYMENT_PENDING;
    }
}

int64_t cfa__payment_authorized_minor(const cfa__payment *payment) {
    return payment->authorized_minor > payment->captured_minor ? payment->authorized_minor
                                                               : payment->captured_minor;
}

/* As if nothing were held. */
static cfa__buckets gross_buckets(const cfa__payment *payment) {
    cfa__buckets buckets = { 0, 0, 0, 0, 0 };
    if (is_one_of((cfa_payment_state)payment->state, WAITING))
        buckets.pledged_minor = payment->amount_minor;
    else if (payment->state == CFA_PAYMENT_AUTHORIZED)
        buckets.authorized_minor = cfa__payment_authorized_minor(payment);
    else if (is_one_of((cfa_payment_state)payment->state, CAPTURED | COMPLETED))
        buckets = (cfa__buckets){ .raised_minor = payment->captured_minor,
                                  .refunded_minor = payment->refunded_minor,
                                  .disputed_minor =
                                      payment->withdrawn_minor - payment->reinstated_minor };
    return buckets;
}

cfa__buckets cfa__payment_buckets(const cfa__payment *payment) {
    const cfa__buckets none = { 0, 0, 0, 0, 0 };
    return (payment->flags & CFA_PAYMENT_FLAG_HELD) != 0 ? none : gross_buckets(payment);
}

/* ---- merging --------------------------------------------------------------------------------- */

static cfa_slice text_of(const char *text) {
    cfa_slice slice = { NULL, 0 };
    if (text != NULL && text[0] != '\0') {
        slice.data = text;
        slice.size = strlen(text);
    }
    return slice;
}

static bool text_equals(cfa_slice a, cfa_slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* A total order: some text before none, then by bytes. */
static bool text_precedes(cfa_slice a, cfa_slice b) {
    if (a.size == 0 || b.size == 0)
        return a.size > b.size;
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order != 0 ? order < 0 : a.size < b.size;
}

static bool reason_is_expiry(cfa_slice reason) {
    static const char *const expiries[] = { "abandoned", "automatic", "expired",
                                            "expired_uncaptured_charge" };
    for (size_t i = 0; i < sizeof(expiries) / sizeof(expiries[0]); i++) {
        if (text_equals(reason, text_of(expiries[i])))
            return true;
    }
    return false;
}

static void raise_to(int64_t *fact, int64_t value) {
    if (value > *fact)
        *fact = value;
}

static void merge_fee(cfa__payment *payment, cfa_money fee) {
    int order = strncmp(fee.currency, payment->fee_currency, sizeof payment->fee_currency);
    if (fee.minor > 0 && fee.currency[0] != '\0' &&
        (order > 0 || (order == 0 && fee.minor > payment->fee_minor))) {
        payment->fee_minor = fee.minor;
        memcpy(payment->fee_currency, fee.currency, sizeof payment->fee_currency);
    }
}

static void merge_durable(cfa__payment *payment, const cfa_facts *facts) {
    payment->durable |=
        facts->flags & (CFA_FACT_SUCCEEDED | ENDED | CFA_FACT_FRAUD_WARNING | CFA_FACT_SETTLED);
    merge_fee(payment, facts->fee);
    raise_to(&payment->authorized_minor, facts->authorized_minor);
    raise_to(&payment->captured_minor, facts->captured_minor);
    if ((facts->flags & CFA_FACT_SUCCEEDED) != 0 && facts->captured_minor == 0)
        raise_to(&payment->captured_minor, payment->amount_minor);
    if (facts->authorized_minor > 0) {
        int64_t attempt = facts->attempt > 0 ? facts->attempt : 1;
        raise_to(&payment->hold, 2 * attempt + ((facts->flags & CFA_FACT_FAILED) != 0 ? 1 : 0));
    }
    if ((facts->flags & ENDED) == 0)
        return;

    cfa_slice reason = text_of(facts->cancel_reason);
    bool expiry = reason_is_expiry(reason), known_expiry = reason_is_expiry(payment->cancel_reason);
    if (expiry)
        payment->durable |= CFA_FACT_EXPIRED;
    if (expiry != known_expiry ? expiry : text_precedes(reason, payment->cancel_reason))
        payment->cancel_reason = reason;
    if (facts->occurred_us > 0 &&
        (payment->canceled_us == 0 || facts->occurred_us < payment->canceled_us))
        payment->canceled_us = facts->occurred_us;
}

static int32_t volatile_rank(int64_t fact) {
    return fact == CFA_FACT_FAILED         ? 3
           : fact == CFA_FACT_NEEDS_ACTION ? 2
           : fact == CFA_FACT_PROCESSING   ? 1
                                           : 0;
}

/* Merge the volatile fact. True when the provider's times cannot tell which of two different ones
 * is newer. */
static bool merge_volatile(cfa__payment *payment, const cfa_facts *facts) {
    int64_t fact = (facts->flags & CFA_FACT_FAILED) != 0         ? CFA_FACT_FAILED
                   : (facts->flags & CFA_FACT_NEEDS_ACTION) != 0 ? CFA_FACT_NEEDS_ACTION
                   : (facts->flags & CFA_FACT_PROCESSING) != 0   ? CFA_FACT_PROCESSING
                                                                 : 0;
    int64_t attempt = facts->attempt > 0 ? facts->attempt : 1;
    int64_t time_us = fact != 0 ? facts->occurred_us : 0;
    cfa_slice code = text_of(fact == CFA_FACT_FAILED ? facts->failure_code : NULL);
    if (fact == 0 && attempt == 1)
        return false;

    bool newer, tied = false;
    if (attempt != payment->volatile_attempt) {
        newer = attempt > payment->volatile_attempt;
    } else if (fact == 0 || payment->volatile_fact == 0) {
        newer = fact != 0;
    } else if (time_us != payment->volatile_us) {
        newer = time_us > payment->volatile_us;
    } else if (fact != payment->volatile_fact) {
        newer = volatile_rank(fact) > volatile_rank(payment->volatile_fact);
        tied = true;
    } else {
        newer = text_precedes(code, payment->failure_code);
        tied = !text_equals(code, payment->failure_code);
    }
    if (newer) {
        payment->volatile_fact = fact;
        payment->volatile_attempt = attempt;
        payment->volatile_us = time_us;
        payment->failure_code = code;
    }
    return tied;
}

static bool facts_equal(const cfa__payment *a, const cfa__payment *b) {
    return a->durable == b->durable && a->authorized_minor == b->authorized_minor &&
           a->captured_minor == b->captured_minor && a->hold == b->hold &&
           a->canceled_us == b->canceled_us && a->volatile_fact == b->volatile_fact &&
           a->volatile_attempt == b->volatile_attempt && a->volatile_us == b->volatile_us &&
           a->fee_minor == b->fee_minor && memcmp(a->fee_currency, b->fee_currency, 4) == 0 &&
           text_equals(a->cancel_reason, b->cancel_reason) &&
           text_equals(a->failure_code, b->failure_code) && text_equals(a->ref, b->ref);
}

/* ---- the walk -------------------------------------------------------------------------------- */

static void walk_add(cfa__reduction *out, cfa_payment_state start, cfa_payment_state at,
                     cfa_payment_state to) {
    const cfa__payment_rule *rule = rule_find(start, at, to);
    if (rule == NULL)
        rule = rule_find(at, at, to);
    assert(rule != NULL && out->step_count < CFA__STEPS_MAX);
    out->steps[out->step_count++] = (cfa__step){ at, to, rule->id, false, rule->event };
}

/* The next state on the way; `held`: the facts know of a hold that was not lost. */
static cfa_payment_state walk_next(cfa_payment_state at, cfa_payment_state to, bool held) {
    if (to == CFA_PAYMENT_COMPLETED && at != CFA_PAYMENT_CAPTURED)
        to = CFA_PAYMENT_CAPTURED;
    if (is_one_of(at, UNHELD) &&
        (to == CFA_PAYMENT_CAPTURED || (held && is_one_of(to, CALLED_OFF))))
        return CFA_PAYMENT_AUTHORIZED;
    if (at == CFA_PAYMENT_AUTHORIZED && is_one_of(to, WAITING))
        return CFA_PAYMENT_FAILED;
    return to;
}

/* Every step but the last is implied: the evidence named only where the walk ends. */
static void walk(cfa__reduction *out, const cfa__payment *before, const cfa__payment *after) {
    cfa_payment_state at = (cfa_payment_state)before->state, to = (cfa_payment_state)after->state;
    cfa_payment_state start = at;
    bool retried = is_one_of(at, REQUIRES_ACTION | PROCESSING | FAILED) &&
                   !is_one_of(to, CALLED_OFF) && after->volatile_attempt > before->volatile_attempt;
    if (retried) {
        walk_add(out, at, at, CFA_PAYMENT_PENDING);
        start = at = CFA_PAYMENT_PENDING;
    }
    while (at != to) {
        cfa_payment_state next = walk_next(at, to, has_hold(after));
        walk_add(out, next == to ? start : at, at, next);
        at = next;
    }
    for (int32_t i = 0; i + 1 < out->step_count; i++)
        out->steps[i].implied = true;

    cfa__buckets had = gross_buckets(before), has = gross_buckets(after);
    if (out->step_count == 0 &&
        (had.authorized_minor != has.authorized_minor || had.raised_minor != has.raised_minor))
        walk_add(out, to, to, to);
}

/* ---- the reducer ----------------------------------------------------------------------------- */

/* Why facts are refused. Compared with nothing but what never changes about the payment, once its
 * ref is known. */
static const char *mismatch(const cfa__payment *payment, const cfa_facts *facts) {
    cfa__id named;
    if (facts->payment_id != NULL &&
        cfa__id_parse(&named, "pay", facts->payment_id, "payment_id") == CFA_OK &&
        cfa__id_compare(named, payment->id) != 0)
        return "the facts name another payment";
    cfa_slice ref = text_of(facts->ref);
    if (ref.size > 0 && payment->ref.size > 0 && !text_equals(ref, payment->ref) &&
        !text_equals(ref, payment->origin_ref))
        return "the facts are about another provider object";
    if (facts->amount.minor != 0 && facts->amount.minor != payment->amount_minor)
        return "the provider's amount differs from the payment's";
    if (facts->amount.currency[0] != '\0' &&
        strncmp(facts->amount.currency, payment->currency, sizeof(payment->currency)) != 0)
        return "the provider's currency differs from the payment's";
    if (facts->authorized_minor < 0 || facts->authorized_minor > payment->amount_minor)
        return "more is held than was asked for";
    if (facts->captured_minor < 0 || facts->captured_minor > payment->amount_minor)
        return "more is captured than was asked for";
    return NULL;
}

/* A greater hold, reported alone and for a time after the cancel, of a payment that was called
 * off. */
static bool is_hold_after_end(const cfa__payment *before, const cfa_facts *facts) {
    return is_one_of((cfa_payment_state)before->state, CALLED_OFF) && before->canceled_us > 0 &&
           facts->occurred_us > before->canceled_us &&
           facts->authorized_minor > before->authorized_minor && facts->captured_minor == 0 &&
           (facts->flags & (CFA_FACT_SUCCEEDED | CFA_FACT_FAILED | ENDED)) == 0;
}

bool cfa__payment_derive_flags(cfa__payment *after, const cfa__payment *before) {
    bool mismatched = (after->durable & CFA__FACT_MISMATCH) != 0;
    if (mismatched || facts_disagree(after))
        after->flags |= CFA_PAYMENT_FLAG_CONFLICT;
    else if (facts_disagree(before))
        after->flags &= ~(int64_t)CFA_PAYMENT_FLAG_CONFLICT;
    if (is_late(after))
        after->flags |= CFA_PAYMENT_FLAG_LATE;
    if ((after->durable & CFA_FACT_FRAUD_WARNING) != 0)
        after->flags |= CFA_PAYMENT_FLAG_FRAUD_WARNING;
    /* Word of a payout may come before word of what was paid out. */
    if ((after->durable & CFA_FACT_SETTLED) != 0 && has_money(after))
        after->flags |= CFA_PAYMENT_FLAG_SETTLED;
    return (after->flags & ~before->flags & CFA_PAYMENT_FLAG_CONFLICT) != 0;
}

static void notice_add(cfa__reduction *reduction, const char *rule, cfa__event_type event) {
    assert(reduction->notice_count < CFA__NOTICES_MAX);
    reduction->notices[reduction->notice_count++] = (cfa__notice){ rule, event };
}

/* Text that the merge borrowed from the facts becomes the arena's. */
static cfa_status keep_text(cfa_slice *text, cfa_slice before, cfa_arena *arena) {
    if (text->data == before.data || text->data == NULL)
        return CFA_OK;
    text->data = cfa_arena_copy(arena, text->data, text->size);
    return text->data != NULL ? CFA_OK : CFA_ENOMEM;
}

cfa_status cfa__payment_reduce(cfa__payment *payment, const cfa_facts *facts, cfa_arena *arena,
                               cfa__reduction *out) {
    const cfa__payment before = *payment;
    cfa__payment after = before;
    cfa__reduction reduction = { .verdict = CFA_WEBHOOK_STALE };
    assert(before.state == cfa__payment_state(&before));

    const char *refusal = mismatch(&before, facts);
    if (refusal != NULL) {
        reduction.verdict = CFA_WEBHOOK_QUARANTINED;
        after.durable |= CFA__FACT_MISMATCH;
    } else {
        if (before.ref.size == 0)
            after.ref = text_of(facts->ref);
        merge_durable(&after, facts);
        bool tied = merge_volatile(&after, facts);
        after.state = cfa__payment_state(&after);
        reduction.probe = tied && is_one_of((cfa_payment_state)after.state, UNHELD);
        walk(&reduction, &before, &after);
        if (is_hold_after_end(&before, facts)) {
            reduction.verdict = CFA_WEBHOOK_CONTRADICTION;
            refusal = "funds are held after the provider confirmed the cancel";
        } else if (!facts_equal(&before, &after)) {
            reduction.verdict = CFA_WEBHOOK_APPLIED;
        }
    }
    if (cfa__payment_derive_flags(&after, &before)) {
        notice_add(&reduction, "P19", CFA__EVENT_PAYMENT_CONFLICT);
        if (refusal == NULL)
            refusal = captured_above_hold(&after)
                          ? "more is captured than the provider said it held"
                          : "more went back than was captured";
    } else if ((after.flags & ~before.flags & CFA_PAYMENT_FLAG_LATE) != 0 ||
               (has_money(&after) && reduction.step_count > 0 &&
                reduction.steps[0].from == CFA_PAYMENT_FAILED &&
                reduction.steps[0].to != CFA_PAYMENT_PENDING)) {
        notice_add(&reduction, NULL, CFA__EVENT_PAYMENT_LATE_SUCCESS);
    }
    if ((after.durable & ~before.durable & CFA_FACT_FRAUD_WARNING) != 0)
        notice_add(&reduction, "D12", CFA__EVENT_PAYMENT_FRAUD_WARNING);
    if (after.fee_minor != before.fee_minor || memcmp(after.fee_currency, before.fee_currency, 4))
        notice_add(&reduction, "P23", CFA__EVENT_PAYMENT_FEE_RECORDED);
    if ((after.flags & ~before.flags & CFA_PAYMENT_FLAG_SETTLED) != 0)
        notice_add(&reduction, "P24", CFA__EVENT_PAYMENT_SETTLED);
    reduction.reason = refusal;

    cfa_status status = keep_text(&after.ref, before.ref, arena);
    if (status == CFA_OK)
        status = keep_text(&after.cancel_reason, before.cancel_reason, arena);
    if (status == CFA_OK)
        status = keep_text(&after.failure_code, before.failure_code, arena);
    if (status != CFA_OK)
        return status;
    *payment = after;
    *out = reduction;
    return CFA_OK;
}
