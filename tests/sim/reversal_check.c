/*
 * reversal_check.c - what must be true of money that went back, with the provider's books as the
 * truth: R1 to R6. Written from the rules, not from the core's code; our book is read row by row.
 */
#include "sim/sim.h"
#include "core/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A payment's refunds and disputes, here and there. */
struct both {
    cfa_arena *arena;
    cfa_facts facts; /* the provider's */
    bool exists;     /* there */
    cfa_query refunds, disputes;
};

static cfa__id parse(struct sim *sim, const char *prefix, const char *text) {
    cfa__id id;
    require(sim, cfa__id_parse(&id, prefix, text, "id") == CFA_OK, "%s is no id", text);
    return id;
}

static void both_open(struct sim *sim, const struct donor *donor, struct both *out) {
    int64_t charges;
    memset(out, 0, sizeof *out);
    require(sim, cfa_arena_new(&out->arena) == CFA_OK, "no memory");
    out->exists =
        cfa_play_payment(&out->facts, &charges, sim->play, donor->payment_id, out->arena) == CFA_OK;
    if (!out->exists)
        out->facts = (cfa_facts)CFA_FACTS_INIT;
    cfa__id payment_id = parse(sim, "pay", donor->payment_id);
    const cfa__refund refund_key = { .payment_id = payment_id };
    const cfa__dispute dispute_key = { .payment_id = payment_id };
    out->refunds =
        rows_of(sim, &cfa__refund_kind, CFA__REFUND_BY_PAYMENT, 1, &refund_key, out->arena);
    out->disputes =
        rows_of(sim, &cfa__dispute_kind, CFA__DISPUTE_BY_PAYMENT, 1, &dispute_key, out->arena);
}

static bool is_text(cfa_slice slice, const char *text) {
    return slice.data != NULL && slice.size == strlen(text) &&
           memcmp(slice.data, text, slice.size) == 0;
}

static bool is_active(int64_t state) {
    return state == CFA_REFUND_PENDING || state == CFA_REFUND_REQUIRES_ACTION ||
           state == CFA_REFUND_SUCCEEDED;
}

/* ---- R2: the two books ----------------------------------------------------------------------- */

static const char *refunds_differ(struct sim *sim, const struct both *both) {
    int32_t named = 0;
    for (int32_t i = 0; i < both->refunds.count; i++) {
        const cfa__refund *refund = both->refunds.records[i];
        if (refund->ref.data != NULL)
            named++;
        else if (refund->state != CFA_REFUND_REJECTED &&
                 (refund->state != CFA_REFUND_REQUESTED || !sim->deaf))
            return "a refund is asked for and nothing came of it";
    }
    for (int32_t i = 0; i < both->facts.refund_count; i++) {
        const cfa_refund_facts *facts = both->facts.refunds[i];
        const cfa__refund *refund = NULL;
        char id[CFA_ID_TEXT_SIZE];
        for (int32_t at = 0; at < both->refunds.count; at++) {
            const cfa__refund *row = both->refunds.records[at];
            refund = is_text(row->ref, facts->ref) ? row : refund;
        }
        if (refund == NULL)
            return "a refund of the provider's is not known";
        cfa__id_format(id, "rfd", refund->id);
        bool ours = facts->refund_id != NULL && facts->refund_id[0] != '\0';
        if (ours != (refund->origin != CFA_REFUND_EXTERNAL) ||
            (ours && strcmp(facts->refund_id, id) != 0))
            return "a refund of the provider's is taken for another";
        if (refund->amount_minor != facts->amount.minor)
            return "a refund's amount";
        if (refund->state != facts->state)
            return "a refund's state";
    }
    return named == both->facts.refund_count ? NULL : "a refund that the provider does not know";
}

static const char *disputes_differ(const struct both *both) {
    for (int32_t i = 0; i < both->facts.dispute_count; i++) {
        const cfa_dispute_facts *facts = both->facts.disputes[i];
        const cfa__dispute *dispute = NULL;
        for (int32_t at = 0; at < both->disputes.count; at++) {
            const cfa__dispute *row = both->disputes.records[at];
            dispute = is_text(row->ref, facts->ref) ? row : dispute;
        }
        if (dispute == NULL)
            return "a dispute of the provider's is not known";
        if (dispute->state != facts->state)
            return "a dispute's state";
        if (dispute->amount_minor != facts->amount.minor ||
            dispute->withdrawn_minor != facts->withdrawn_minor ||
            dispute->reinstated_minor != facts->reinstated_minor)
            return "a dispute's money";
    }
    return both->disputes.count == both->facts.dispute_count
               ? NULL
               : "a dispute that the provider does not know";
}

const char *reversals_differ(struct sim *sim, const struct donor *donor) {
    struct both both;
    both_open(sim, donor, &both);
    const char *difference = refunds_differ(sim, &both);
    if (difference == NULL)
        difference = disputes_differ(&both);
    cfa_arena_free(both.arena);
    return difference;
}

/* ---- R4, R5: the walk, step by step ---------------------------------------------------------- */

/* How a refund or dispute stands at one point of its payment's walk. */
struct part {
    const cfa__refund *refund;
    const cfa__dispute *dispute;
    int64_t state;
    bool withdrawn, reinstated;
};

static int64_t held_by(const struct part *part) {
    if (part->refund != NULL)
        return part->state == CFA_REFUND_REQUESTED || is_active(part->state)
                   ? part->refund->amount_minor
                   : 0;
    bool may_take = part->state == CFA_DISPUTE_OPEN || part->state == CFA_DISPUTE_UNDER_REVIEW ||
                    part->state == CFA_DISPUTE_LOST;
    return !part->reinstated && (part->withdrawn || may_take) ? part->dispute->amount_minor : 0;
}

static bool may_follow(const struct part *part, const cfa__transition *step) {
    /* Bits of the states that may follow. 1 REQUESTED, 2 PENDING, 3 REQUIRES_ACTION, 4 SUCCEEDED,
     * 5 FAILED, 6 CANCELED, 7 REJECTED. */
    static const uint32_t after[] = { 0x07e, 0x0fc, 0x078, 0x074, 0x060, 0x000, 0x020, 0x07c };
    if (part->refund != NULL)
        return (after[step->from_state] >> step->to_state & 1u) != 0;
    return step->to_state > step->from_state ||
           (step->to_state == step->from_state &&
            (is_text(step->rule, "D04") || is_text(step->rule, "D06")));
}

static void cover_step(const cfa__transition *step) {
    static const char *const rules[] = { "R01", "R02", "R03", "R04", "R05", "R06", "R07",
                                         "R08", "R09", "D01", "D02", "D03", "D04", "D05",
                                         "D06", "D07", "D08", "D09", "D12" };
    for (size_t rule = 0; rule < sizeof rules / sizeof rules[0]; rule++)
        coverage[(size_t)COVER_R01 + rule] += is_text(step->rule, rules[rule]);
}

static void take_step(struct sim *sim, const struct both *both, struct part *parts, int32_t count,
                      const cfa__transition *step) {
    struct part *part = NULL;
    int64_t held_minor = 0;
    for (int32_t i = 0; i < count; i++) {
        cfa__id id = parts[i].refund != NULL ? parts[i].refund->id : parts[i].dispute->id;
        part = cfa__id_compare(id, step->subject_id) == 0 ? &parts[i] : part;
        held_minor += held_by(&parts[i]);
    }
    require(sim, part != NULL, "R2: a step of what is no part of the payment");
    require(sim, step->from_state == part->state && may_follow(part, step),
            "R2: a %s in state %lld goes from %lld to %lld",
            part->refund != NULL ? "refund" : "dispute", (long long)part->state,
            (long long)step->from_state, (long long)step->to_state);
    if (is_text(step->rule, "R01")) {
        int64_t left_minor = both->facts.captured_minor - held_minor;
        require(sim, part->refund->amount_minor <= left_minor,
                "R4: a refund of %lld is granted, and %lld are left",
                (long long)part->refund->amount_minor, (long long)left_minor);
        bool by_rule =
            part->refund->origin == CFA_REFUND_LATE || part->refund->origin == CFA_REFUND_FRAUD;
        require(sim, !by_rule || part->refund->amount_minor == left_minor,
                "R5: a rule gives %lld back of %lld", (long long)part->refund->amount_minor,
                (long long)left_minor);
        for (int32_t i = 0; i < count; i++)
            require(sim,
                    part->refund->origin != CFA_REFUND_FRAUD || parts[i].dispute == NULL ||
                        parts[i].state == 0,
                    "R5: the fraud rule gives back beside a dispute");
    }
    if (part->dispute != NULL && step->from_state == 0 && step->to_state >= CFA_DISPUTE_PREVENTED)
        cover(DISPUTE_OVERTAKEN);
    if (is_text(step->rule, "R08") && is_text(part->refund->failure_code, "never_made"))
        cover(REFUND_NEVER_MADE);
    part->withdrawn |= is_text(step->rule, "D04");
    part->reinstated |= is_text(step->rule, "D06");
    part->state = step->to_state;
}

static void check_walk(struct sim *sim, const struct donor *donor, const struct both *both) {
    int32_t count = both->refunds.count + both->disputes.count;
    struct part *parts = take((size_t)(count + 1) * sizeof *parts);
    for (int32_t i = 0; i < both->refunds.count; i++)
        parts[i].refund = both->refunds.records[i];
    for (int32_t i = 0; i < both->disputes.count; i++)
        parts[both->refunds.count + i].dispute = both->disputes.records[i];
    const cfa__transition key = { .payment_id = parse(sim, "pay", donor->payment_id) };
    cfa_query steps = rows_of(sim, &cfa__transition_kind, 0, 1, &key, both->arena);
    for (int32_t i = 0; i < steps.count; i++) {
        const cfa__transition *step = steps.records[i];
        require(sim, step->number == i + 1, "S5: the walk of %s has a gap", donor->payment_id);
        cover_step(step);
        if (!cfa__id_is_null(step->subject_id))
            take_step(sim, both, parts, count, step);
    }
    for (int32_t i = 0; i < count; i++) {
        int64_t state = parts[i].refund != NULL ? parts[i].refund->state : parts[i].dispute->state;
        require(sim, parts[i].state == state, "R2: a walk ends in %lld, not %lld",
                (long long)parts[i].state, (long long)state);
    }
    free(parts);
}

/* ---- R4: how much is left -------------------------------------------------------------------- */

/* What may still be given back, by the provider's books. */
static int64_t left_minor(const struct both *both) {
    int64_t left = both->facts.captured_minor;
    for (int32_t i = 0; i < both->facts.refund_count; i++) {
        if (is_active(both->facts.refunds[i]->state))
            left -= both->facts.refunds[i]->amount.minor;
    }
    for (int32_t i = 0; i < both->facts.dispute_count; i++) {
        const cfa_dispute_facts *dispute = both->facts.disputes[i];
        const struct part part = { NULL, &(cfa__dispute){ .amount_minor = dispute->amount.minor },
                                   dispute->state, dispute->withdrawn_minor > 0,
                                   dispute->reinstated_minor > 0 };
        left -= held_by(&part);
    }
    for (int32_t i = 0; i < both->refunds.count; i++) { /* a deaf provider's, in doubt for ever */
        const cfa__refund *refund = both->refunds.records[i];
        if (refund->state == CFA_REFUND_REQUESTED)
            left -= refund->amount_minor;
    }
    return left > 0 ? left : 0;
}

/* One more than what is left is refused, and the refusal names what is left. */
static void check_left(struct sim *sim, cfa_engine *engine, const struct donor *donor,
                       const struct both *both) {
    int64_t left = left_minor(both);
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    char key[40], named[48];
    snprintf(key, sizeof key, "too-much-%d", (int)(donor - sim->donors));
    snprintf(named, sizeof named, " the %lld that are left", (long long)left);
    spec.key = key;
    spec.payment_id = donor->payment_id;
    spec.amount = donor->amount;
    spec.amount.minor = left + 1;
    spec.timeout_ms = -1;
    cfa_refund *refund = NULL;
    cfa_error error = CFA_ERROR_INIT;
    cfa_status status = cfa_refund_create(&refund, engine, &spec);
    require(sim, status == (left > 0 ? CFA_ERANGE : CFA_ESTATE),
            "R4: %s: %lld are left, and a refund of one more is told %s", donor->payment_id,
            (long long)left, cfa_status_name(status));
    require(sim, cfa_error_last(&error) == CFA_OK, "no error");
    require(sim, left == 0 || strstr(error.message, named) != NULL, "R4: %lld are left: %s",
            (long long)left, error.message);
}

/* ---- one payment ----------------------------------------------------------------------------- */

static int64_t granted_of(const struct both *both, int64_t origin) {
    int64_t count = 0;
    for (int32_t i = 0; i < both->refunds.count; i++)
        count += ((const cfa__refund *)both->refunds.records[i])->origin == origin;
    return count;
}

static void check_counts(struct sim *sim, const struct donor *donor, const struct both *both,
                         uint32_t flags) {
    int32_t asks = 0, distinct = 0;
    for (int32_t i = 0; i < sim->ask_count; i++)
        asks += sim->asks[i].donor == donor - sim->donors;
    int64_t asked = granted_of(both, CFA_REFUND_ASKED), late = granted_of(both, CFA_REFUND_LATE);
    require(sim, asked <= asks && granted_of(both, CFA_REFUND_EXTERNAL) == donor->desk_refunds,
            "R1: %d keys asked %s for refunds, and %lld were made", (int)asks, donor->payment_id,
            (long long)asked);
    for (int32_t i = 0; i < both->facts.refund_count; i++) {
        bool twin = false;
        const char *id = both->facts.refunds[i]->refund_id;
        for (int32_t at = 0; at < i && id != NULL && id[0] != '\0'; at++) {
            const char *other = both->facts.refunds[at]->refund_id;
            twin |= other != NULL && strcmp(other, id) == 0;
        }
        distinct += !twin;
    }
    require(sim, distinct == both->facts.refund_count, "R1: a refund of %s is made twice",
            donor->payment_id);
    bool is_late = (flags & CFA_PAYMENT_FLAG_LATE) != 0;
    bool gives = is_late && both->facts.captured_minor > 0 &&
                 sim->late_rules[donor->campaign] == CFA_LATE_REFUND;
    bool others = asked > 0 || both->disputes.count > 0 || donor->desk_refunds > 0;
    require(sim, late <= (gives ? 1 : 0) && (late == 1 || !gives || others),
            "R5: the late rule gives %s back %lld times", donor->payment_id, (long long)late);
    if (late > 0)
        cover(LATE_RULE);
    int64_t fraud = granted_of(both, CFA_REFUND_FRAUD);
    bool suspected =
        (flags & CFA_PAYMENT_FLAG_FRAUD_WARNING) != 0 && both->facts.captured_minor > 0;
    bool by_rule = sim->refunds_suspects && suspected;
    require(sim, fraud <= by_rule && (fraud == 1 || !by_rule || others || late > 0),
            "R5: the fraud rule gives %s back %lld times", donor->payment_id, (long long)fraud);
    if (fraud > 0)
        cover(FRAUD_RULE);
}

void check_reversals(struct sim *sim, cfa_engine *engine, const struct donor *donor,
                     uint32_t flags) {
    struct truth truth = truth_of(sim, donor);
    const char *difference = reversals_differ(sim, donor);
    require(sim, difference == NULL, "R2: %s: %s", donor->payment_id, difference);
    bool over = truth.refunded_minor + truth.disputed_minor > truth.captured_minor;
    require(sim, over == ((flags & CFA_PAYMENT_FLAG_CONFLICT) != 0),
            "R4: %s: of %lld captured %lld are refunded and %lld disputed; flags %u",
            donor->payment_id, (long long)truth.captured_minor, (long long)truth.refunded_minor,
            (long long)truth.disputed_minor, (unsigned)flags);
    require(sim,
            ((truth.flags & CFA_FACT_FRAUD_WARNING) != 0) ==
                ((flags & CFA_PAYMENT_FLAG_FRAUD_WARNING) != 0),
            "D12: %s has flags %u, at the provider %u", donor->payment_id, (unsigned)flags,
            (unsigned)truth.flags);
    if (over)
        cover(OVERDRAWN);
    struct both both;
    both_open(sim, donor, &both);
    const cfa__payment key = { .id = parse(sim, "pay", donor->payment_id) };
    cfa_query rows = rows_of(sim, &cfa__payment_kind, 0, 1, &key, both.arena);
    require(sim,
            rows.count == 1 &&
                ((const cfa__payment *)rows.records[0])->fee_minor == both.facts.fee.minor,
            "the fee of %s is not what the provider says", donor->payment_id);
    check_walk(sim, donor, &both);
    check_counts(sim, donor, &both, flags);
    if (truth.captured_minor > 0 && both.refunds.count + both.disputes.count > 0)
        check_left(sim, engine, donor, &both);
    cfa_arena_free(both.arena);
}

/* ---- all who asked --------------------------------------------------------------------------- */

void check_refund_asks(struct sim *sim, cfa_engine *engine, const cfa_play_books *books) {
    int64_t known = 0;
    require(sim, books->refunded_twice == 0, "R1: %lld refunds were made twice",
            (long long)books->refunded_twice);
    for (int32_t i = 0; i < sim->ask_count; i++) {
        const struct refund_ask *asked = &sim->asks[i];
        const struct donor *donor = &sim->donors[asked->donor];
        cfa_refund *refund;
        if (asked->refund_id[0] == '\0')
            continue;
        require(sim, cfa_refund_get(&refund, engine, asked->refund_id) == CFA_OK,
                "R6: refund %s is gone", asked->refund_id);
        require(sim,
                strcmp(cfa_refund_payment_id(refund), donor->payment_id) == 0 &&
                    cfa_refund_origin_of(refund) == CFA_REFUND_ASKED &&
                    (asked->minor == 0 || cfa_refund_amount(refund).minor == asked->minor),
                "R6: refund %s is another's", asked->refund_id);
        cfa_refund_free(refund);
        for (int32_t at = 0; at < i; at++)
            require(sim, strcmp(sim->asks[at].refund_id, asked->refund_id) != 0,
                    "R6: two keys are the refund %s", asked->refund_id);
    }
    for (int32_t i = 0; i < sim->donor_count; i++) {
        struct both both;
        if (sim->donors[i].refused)
            continue;
        both_open(sim, &sim->donors[i], &both);
        known += both.facts.refund_count;
        cfa_arena_free(both.arena);
    }
    require(sim, books->refund_count == known, "R1: the provider made %lld refunds, %lld are known",
            (long long)books->refund_count, (long long)known);
}
