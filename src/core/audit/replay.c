/*
 * replay.c - what webhooks brought, merged again from nothing. A payment must have every fact that
 * one of its webhooks brought. The other way round the proof has a gap by design: what calls brought
 * is not kept, so a fact that no webhook names is an error only where no call was ever made.
 */
#include "core/audit/fold.h"
#include "core/audit/match.h"

#include <string.h>

#include "core/decide/evidence.h"
#include "core/decide/payment_machine.h"
#include "core/decide/reversal_machine.h"

#define DURABLE                                                                                    \
    (CFA_FACT_SUCCEEDED | CFA_FACT_CANCELED | CFA_FACT_EXPIRED | CFA_FACT_FRAUD_WARNING |          \
     CFA_FACT_SETTLED)

static void lost(cfa__fold *fold, const char *field, int64_t told, int64_t known) {
    cfa__audit_numbers(fold->audit, CFA__AUDIT_PAYMENT_FACT_LOST, &fold->place, field, told, known);
}

/* ---- refunds and disputes -------------------------------------------------------------------- */

static const cfa__part *part_by_ref(const cfa__fold *fold, const char *ref, bool is_refund) {
    const cfa__part *part = fold->parts;
    while (part != NULL &&
           (!part->has_row || part->is_refund != is_refund ||
            !cfa__slices_equal(is_refund ? part->refund.ref : part->dispute.ref, cfa__slice(ref))))
        part = part->next;
    return part;
}

/* What is in another currency, or not in the range of the payment, is quarantined alone. */
static bool is_ours(const cfa__fold *fold, cfa_money amount) {
    return (amount.currency[0] == '\0' ||
            strncmp(amount.currency, fold->payment->currency, sizeof amount.currency) == 0) &&
           amount.minor <= fold->payment->amount_minor;
}

static void replay_refund(cfa__fold *fold, const cfa_refund_facts *told) {
    const cfa__part *part = part_by_ref(fold, told->ref, true);
    if (part == NULL) {
        if ((fold->payment->durable & CFA__FACT_MISMATCH) == 0)
            lost(fold, "refunds", told->amount.minor, 0);
        return;
    }
    int64_t bit =
        CFA__REFUND_SEEN | (told->state == CFA_REFUND_SUCCEEDED  ? CFA__REFUND_DID_SUCCEED
                            : told->state == CFA_REFUND_CANCELED ? CFA__REFUND_WAS_CANCELED
                            : told->state == CFA_REFUND_FAILED   ? CFA__REFUND_DID_FAIL
                                                                 : 0);
    if ((bit & ~part->refund.durable) != 0)
        lost(fold, "refunds.durable", bit, part->refund.durable);
    else if (told->amount.minor > part->refund.amount_minor)
        lost(fold, "refunds.amount_minor", told->amount.minor, part->refund.amount_minor);
}

static void replay_dispute(cfa__fold *fold, const cfa_dispute_facts *told) {
    const cfa__part *part = part_by_ref(fold, told->ref, false);
    if (part == NULL) {
        if ((fold->payment->durable & CFA__FACT_MISMATCH) == 0)
            lost(fold, "disputes", told->amount.minor, 0);
        return;
    }
    const cfa__dispute *known = &part->dispute;
    if (told->state > known->state)
        lost(fold, "disputes.state", told->state, known->state);
    else if (told->withdrawn_minor > known->withdrawn_minor)
        lost(fold, "disputes.withdrawn_minor", told->withdrawn_minor, known->withdrawn_minor);
    else if (told->reinstated_minor > known->reinstated_minor)
        lost(fold, "disputes.reinstated_minor", told->reinstated_minor, known->reinstated_minor);
}

/* ---- webhooks -------------------------------------------------------------------------------- */

static bool in_range(int64_t minor) { return minor >= 0 && minor <= CFA_MONEY_MINOR_MAX; }

static bool match_text(cfa__match *match, const char *name, cfa_arena *arena, const char **out,
                       bool *failed) {
    cfa_slice text;
    if (!cfa__match_text(match, name) || !cfa__match_string(match, &text))
        return false;
    *out = cfa__text_of(arena, text.size > 0 ? text : (cfa_slice){ NULL, 0 }, failed);
    return true;
}

static bool match_int(cfa__match *match, const char *name, int64_t *out) {
    return cfa__match_text(match, name) && cfa__match_int(match, out);
}

/* Facts without refunds and disputes, in the form in which cfa__facts_encode writes them. */
static bool match_facts(cfa_facts *out, cfa_arena *arena, cfa_slice json, bool *failed) {
    cfa__match match = cfa__match_begin(json);
    int64_t flags, attempt;
    const char *currency = NULL;
    *out = (cfa_facts)CFA_FACTS_INIT;
    bool good = match_text(&match, "{\"ref\":", arena, &out->ref, failed);
    if (good)
        (void)match_text(&match, ",\"origin_ref\":", arena, &out->origin_ref, failed);
    good = good && match_text(&match, ",\"payment_id\":", arena, &out->payment_id, failed) &&
           match_int(&match, ",\"amount_minor\":", &out->amount.minor) &&
           match_text(&match, ",\"currency\":", arena, &currency, failed) &&
           match_int(&match, ",\"flags\":", &flags) &&
           match_int(&match, ",\"authorized_minor\":", &out->authorized_minor) &&
           match_int(&match, ",\"captured_minor\":", &out->captured_minor) &&
           match_int(&match, ",\"attempt\":", &attempt) &&
           match_int(&match, ",\"occurred_us\":", &out->occurred_us) &&
           match_text(&match, ",\"failure_code\":", arena, &out->failure_code, failed) &&
           match_text(&match, ",\"cancel_reason\":", arena, &out->cancel_reason, failed) &&
           cfa__match_text(&match, "}") && cfa__match_ended(&match);
    if (!good || flags < 0 || flags > UINT32_MAX || attempt < INT32_MIN || attempt > INT32_MAX ||
        !in_range(out->amount.minor) || !in_range(out->authorized_minor) ||
        !in_range(out->captured_minor) || (currency != NULL && strlen(currency) != 3))
        return false;
    out->flags = (uint32_t)flags;
    out->attempt = (int32_t)attempt;
    if (currency != NULL)
        memcpy(out->amount.currency, currency, 4);
    return true;
}

static cfa_status read_facts(cfa_facts *out, cfa_arena *arena, cfa_slice json) {
    bool failed = false;
    if (match_facts(out, arena, json, &failed) && !failed)
        return CFA_OK;
    return failed ? CFA_ENOMEM : cfa__facts_decode(out, arena, json);
}

static bool brought_facts(const cfa__webhook *webhook) {
    return webhook->facts.data != NULL &&
           (webhook->verdict == CFA_WEBHOOK_APPLIED || webhook->verdict == CFA_WEBHOOK_STALE ||
            webhook->verdict == CFA_WEBHOOK_CONTRADICTION);
}

cfa_status cfa__replay_take(cfa__fold *fold, const cfa__webhook *webhook) {
    cfa_arena *arena = fold->audit->scratch;
    cfa__place place = fold->place;
    place.prefix = "whk";
    place.id = webhook->id;
    for (cfa__cause *cause = fold->causes; cause != NULL; cause = cause->next)
        cause->found = cause->found || cfa__id_compare(cause->id, webhook->id) == 0;
    cfa_facts facts;
    if (!brought_facts(webhook))
        return CFA_OK;
    cfa_status status = read_facts(&facts, arena, webhook->facts);
    if (status == CFA_ENOMEM)
        return status;
    if (status != CFA_OK) {
        cfa__audit_texts(fold->audit, CFA__AUDIT_WEBHOOK_FACTS, &place, "facts", "JSON of facts",
                         "something else");
        return CFA_OK;
    }
    if ((facts.flags & CFA__FACT_FETCH) != 0)
        return CFA_OK;
    cfa__reduction reduction;
    status = cfa__payment_reduce(&fold->replayed, &facts, arena, &reduction);
    if (status != CFA_OK || reduction.verdict == CFA_WEBHOOK_QUARANTINED)
        return status;
    for (int32_t i = 0; i < facts.refund_count; i++) {
        if (is_ours(fold, facts.refunds[i]->amount))
            replay_refund(fold, facts.refunds[i]);
    }
    for (int32_t i = 0; i < facts.dispute_count; i++) {
        if (is_ours(fold, facts.disputes[i]->amount))
            replay_dispute(fold, facts.disputes[i]);
    }
    return fold->audit->status;
}

/* True when the first volatile fact is of a later (attempt, time) than the second. */
static bool is_newer(const cfa__payment *told, const cfa__payment *known) {
    if (told->volatile_attempt != known->volatile_attempt)
        return told->volatile_attempt > known->volatile_attempt;
    return told->volatile_fact != 0 &&
           (known->volatile_fact == 0 || told->volatile_us > known->volatile_us);
}

void cfa__replay_end(cfa__fold *fold) {
    const cfa__payment *told = &fold->replayed, *known = fold->payment;
    if ((told->durable & DURABLE & ~known->durable) != 0)
        lost(fold, "durable", told->durable & DURABLE, known->durable);
    if (told->authorized_minor > known->authorized_minor)
        lost(fold, "authorized_minor", told->authorized_minor, known->authorized_minor);
    if (told->captured_minor > known->captured_minor)
        lost(fold, "captured_minor", told->captured_minor, known->captured_minor);
    if (told->hold > known->hold)
        lost(fold, "hold", told->hold, known->hold);
    if (told->canceled_us != 0 &&
        (known->canceled_us == 0 || known->canceled_us > told->canceled_us))
        lost(fold, "canceled_us", told->canceled_us, known->canceled_us);
    if (is_newer(told, known))
        lost(fold, "volatile_fact", told->volatile_fact, known->volatile_fact);
    if (fold->was_called)
        return;
    if ((known->durable & DURABLE & ~told->durable) != 0 ||
        known->captured_minor > told->captured_minor ||
        known->authorized_minor > told->authorized_minor)
        cfa__audit_numbers(fold->audit, CFA__AUDIT_PAYMENT_FACT_UNPROVED, &fold->place,
                           "captured_minor", told->captured_minor, known->captured_minor);
}
