/*
 * payment_facts.c - the invariants of one reduction, checked for every test that applies facts. It
 * must not know the table: it asks the machine's own predicate for legality and judges only what is
 * observable.
 */
#include "core/payment_facts.h"

#include <stdio.h>
#include <string.h>

const char *state_name(cfa_payment_state state) {
    switch (state) {
#define STATE_CASE(name, code, text)                                                               \
    case code: return #name;
        CFA_PAYMENT_STATE_MAP(STATE_CASE)
#undef STATE_CASE
    default: return "NONE";
    }
}

cfa__payment payment_new(void) {
    cfa__payment payment = { .amount_minor = ASKED_MINOR, .state = CFA_PAYMENT_PENDING };
    memcpy(payment.currency, "EUR", 4);
    return payment;
}

static bool slice_equals(cfa_slice a, cfa_slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool facts_equal(const cfa__payment *a, const cfa__payment *b) {
    return a->durable == b->durable && a->authorized_minor == b->authorized_minor &&
           a->captured_minor == b->captured_minor && a->hold == b->hold &&
           a->canceled_us == b->canceled_us && a->volatile_fact == b->volatile_fact &&
           a->volatile_attempt == b->volatile_attempt && a->volatile_us == b->volatile_us &&
           slice_equals(a->cancel_reason, b->cancel_reason) &&
           slice_equals(a->failure_code, b->failure_code) && slice_equals(a->ref, b->ref);
}

bool payment_equals(const cfa__payment *a, const cfa__payment *b) {
    return facts_equal(a, b) && a->state == b->state && a->flags == b->flags;
}

static void check_walk(const cfa__payment *before, const cfa__payment *after,
                       const cfa__reduction *reduction) {
    cfa_payment_state at = (cfa_payment_state)before->state;
    require(reduction->step_count <= CFA__STEPS_MAX);
    for (int32_t i = 0; i < reduction->step_count; i++) {
        const cfa__step *step = &reduction->steps[i];
        require(step->from == at);
        if (!cfa__payment_step_is_legal(step->from, step->to))
            ck_abort_msg("%s to %s is not in the table", state_name(step->from),
                         state_name(step->to));
        require(step->implied == (i + 1 < reduction->step_count));
        require(step->rule != NULL && cfa__event_type_name(step->event) != NULL);
        at = step->to;
    }
    require(at == after->state);
}

static void check_growth(const cfa__payment *before, const cfa__payment *after) {
    require((before->durable & ~after->durable) == 0);
    require(after->authorized_minor >= before->authorized_minor);
    require(after->captured_minor >= before->captured_minor);
    require(after->hold >= before->hold);
    require(after->volatile_attempt >= before->volatile_attempt);
    if (after->volatile_attempt == before->volatile_attempt)
        require(after->volatile_us >= before->volatile_us);
    if (before->canceled_us != 0)
        require(after->canceled_us != 0 && after->canceled_us <= before->canceled_us);
    if (before->ref.size != 0)
        require(slice_equals(before->ref, after->ref));
    require((before->flags & ~after->flags & ~CFA_PAYMENT_FLAG_CONFLICT) == 0);
}

cfa__reduction payment_apply(cfa__payment *payment, const cfa_facts *facts, cfa_arena *arena) {
    cfa__payment before = *payment;
    cfa__reduction reduction;
    require(cfa__payment_reduce(payment, facts, arena, &reduction) == CFA_OK);

    require(payment->state == cfa__payment_state(payment));
    check_walk(&before, payment, &reduction);
    check_growth(&before, payment);

    cfa__buckets had = cfa__payment_buckets(&before), has = cfa__payment_buckets(payment);
    if (reduction.step_count == 0)
        require(memcmp(&had, &has, sizeof(had)) == 0);
    require(has.pledged_minor + has.authorized_minor + has.raised_minor <= ASKED_MINOR);

    bool changed = !facts_equal(&before, payment);
    switch (reduction.verdict) {
    case CFA_WEBHOOK_APPLIED: require(changed); break;
    case CFA_WEBHOOK_STALE:
        require(payment_equals(&before, payment));
        require(reduction.notices[0].event == 0);
        break;
    case CFA_WEBHOOK_QUARANTINED:
    case CFA_WEBHOOK_CONTRADICTION:
        require(before.state == payment->state);
        require(reduction.reason != NULL);
        break;
    default: ck_abort_msg("verdict %d", (int)reduction.verdict);
    }
    return reduction;
}

const char *walk_text(const cfa__reduction *reduction) {
    static char text[CFA__STEPS_MAX * 24 + 1];
    size_t size = 0;
    text[0] = '\0';
    for (int32_t i = 0; i < reduction->step_count; i++) {
        const cfa__step *step = &reduction->steps[i];
        int written = snprintf(text + size, sizeof(text) - size, "%s%s%c%s", i == 0 ? "" : " ",
                               step->rule, step->implied ? '~' : ' ', state_name(step->to));
        ck_assert_int_gt(written, 0);
        size += (size_t)written;
        ck_assert_uint_lt(size, sizeof(text));
    }
    return text;
}
