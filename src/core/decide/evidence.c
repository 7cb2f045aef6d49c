/*
 * evidence.c - how what a provider says becomes a payment's facts, walk and events, and how its
 * objects are bound to payments. Webhooks and call results come through here alike.
 */
#include "core/decide/evidence.h"
#include "core/decide/payment_machine.h"
#include "core/decide/reversal_machine.h"
#include "util/buffer.h"
#include "util/text.h"

#include <assert.h>
#include <string.h>

cfa_slice cfa__slice(const char *text) {
    return text == NULL ? (cfa_slice){ NULL, 0 } : (cfa_slice){ text, strlen(text) };
}

const char *cfa__text_of(cfa_arena *arena, cfa_slice slice, bool *failed) {
    if (slice.data == NULL)
        return NULL;
    const char *copy = cfa_arena_copy(arena, slice.data, slice.size);
    if (copy == NULL)
        *failed = true;
    return copy;
}

bool cfa__slices_equal(cfa_slice a, cfa_slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* ---- the walk -------------------------------------------------------------------------------- */

cfa_status cfa__log_transition(cfa__working_set *set, cfa__payment *payment, int64_t from,
                               int64_t to, const char *rule, bool implied, cfa__id cause_id,
                               cfa__id subject_id) {
    payment->transition_count++;
    cfa__transition transition = {
        .payment_id = payment->id,
        .number = payment->transition_count,
        .from_state = from,
        .to_state = to,
        .rule = cfa__slice(rule),
        .implied = implied ? 1 : 0,
        .cause_id = cause_id,
        .created_us = cfa__now_us(set),
        .subject_id = subject_id,
    };
    return cfa__insert(set, &cfa__transition_kind, &transition, NULL);
}

cfa_status cfa__log_notice(cfa__working_set *set, cfa__payment *payment, const char *rule,
                           cfa__event_type event, cfa__id cause_id) {
    cfa_status status = CFA_OK;
    if (rule != NULL)
        status = cfa__log_transition(set, payment, payment->state, payment->state, rule, false,
                                     cause_id, CFA__ID_NULL);
    return status == CFA_OK ? cfa__emit_payment(set, payment, event) : status;
}

static cfa_status walk(cfa__working_set *set, cfa__payment *payment,
                       const cfa__reduction *reduction, cfa__id cause_id) {
    cfa_payment_state end = (cfa_payment_state)payment->state;
    cfa_status status = CFA_OK;
    for (int32_t i = 0; i < reduction->step_count && status == CFA_OK; i++) {
        const cfa__step *step = &reduction->steps[i];
        assert(cfa__payment_step_is_legal(step->from, step->to));
        status = cfa__log_transition(set, payment, step->from, step->to, step->rule, step->implied,
                                     cause_id, CFA__ID_NULL);
        /* Each event shows the payment after its own step. */
        payment->state = step->to;
        if (status == CFA_OK && step->event != 0)
            status = cfa__emit_payment(set, payment, step->event);
    }
    assert(status != CFA_OK || reduction->step_count == 0 || payment->state == end);
    payment->state = end;
    for (int32_t i = 0; i < reduction->notice_count && status == CFA_OK; i++) {
        const cfa__notice *notice = &reduction->notices[i];
        status = cfa__log_notice(set, payment, notice->rule, notice->event, cause_id);
    }
    return status;
}

/* ---- fraud ----------------------------------------------------------------------------------- */

static bool is_suspected(const cfa__payment *payment) {
    return (payment->durable & CFA_FACT_FRAUD_WARNING) != 0 && payment->captured_minor > 0;
}

/* Once, whichever of warning and money was known first; a dispute may have taken it already. */
static cfa_status apply_fraud_rule(cfa__working_set *set, cfa__payment *payment,
                                   const cfa__payment *before, const cfa__evidence *evidence) {
    if (!evidence->refunds_suspects || !is_suspected(payment) || is_suspected(before) ||
        payment->dispute_count > 0)
        return CFA_OK;
    return cfa__refund_by_rule(set, evidence->provider, payment, CFA_REFUND_FRAUD,
                               payment->captured_minor);
}

/* ---- evidence -------------------------------------------------------------------------------- */

cfa_status cfa__evidence_apply(cfa__working_set *set, cfa__payment *payment,
                               const cfa__evidence *evidence, cfa_webhook_verdict *out_verdict,
                               bool *out_probe) {
    cfa__reduction reduction;
    memset(&reduction, 0, sizeof reduction);
    *out_probe = false;
    const cfa__payment before = *payment;
    cfa_status status =
        cfa__payment_reduce(payment, evidence->facts, cfa__batch_arena(set), &reduction);
    if (status != CFA_OK)
        return status;
    *out_verdict = reduction.verdict;
    *out_probe = reduction.probe;
    /* Before the first event: none shows what is held as raised. */
    cfa__lateness lateness;
    status = cfa__late_judge(set, payment, &before, &lateness);
    if (status == CFA_OK)
        status = walk(set, payment, &reduction, evidence->cause_id);
    if (status == CFA_OK && reduction.verdict != CFA_WEBHOOK_QUARANTINED)
        status = cfa__reversals_apply(set, payment, evidence, out_verdict);
    if (status == CFA_OK && lateness.is_late)
        status = cfa__late_apply(set, payment, evidence, &lateness);
    if (status == CFA_OK)
        status = apply_fraud_rule(set, payment, &before, evidence);
    /* Told nothing new, the row stays as it is. */
    if (memcmp(&before, payment, sizeof before) != 0)
        payment->updated_us = cfa__now_us(set);
    return status;
}

/* ---- objects --------------------------------------------------------------------------------- */

static cfa_status drain_one(cfa__working_set *set, cfa__payment *payment, const cfa__parked *key,
                            const cfa__evidence *binding) {
    const void *found;
    cfa_status status = cfa__find(set, &cfa__parked_kind, key, &found);
    if (status != CFA_OK || found == NULL)
        return status;
    const cfa__webhook webhook_key = cfa__webhook_key(found);
    void *draft;
    status = cfa__edit(set, &cfa__webhook_kind, &webhook_key, &draft);
    if (status != CFA_OK)
        return status;
    cfa__webhook *webhook = draft;
    assert(webhook != NULL && webhook->verdict == CFA_WEBHOOK_PARKED);
    cfa_facts facts;
    status = cfa__facts_decode(&facts, cfa__batch_arena(set), webhook->facts);
    if (status != CFA_OK)
        return status;
    cfa_webhook_verdict verdict;
    cfa__evidence evidence = *binding;
    evidence.facts = &facts;
    evidence.cause_id = webhook->id;
    status = cfa__object_apply(set, payment, &evidence, &verdict);
    webhook->verdict = verdict;
    webhook->payment_id = payment->id;
    return status;
}

/* Ask for everything that waits for the object before applying any of it, so that one load brings
 * it all. */
static cfa_status drain(cfa__working_set *set, cfa__payment *payment, cfa__provider_object *object,
                        const cfa__evidence *binding) {
    cfa__parked key = cfa__parked_key(object);
    int64_t last = object->parked_count;
    if (last > object->drained_count + CFA__DRAIN_MAX)
        last = object->drained_count + CFA__DRAIN_MAX;
    /* The next one that goes on waiting is asked for too: since when it does. */
    int64_t through = last < object->parked_count ? last + 1 : last, waiting_us = 0;
    bool missed = false;
    for (; key.number <= through; key.number++) {
        const void *found;
        cfa_status status = cfa__find(set, &cfa__parked_kind, &key, &found);
        if (status == CFA_OK && found != NULL) {
            const cfa__webhook webhook = cfa__webhook_key(found);
            status = cfa__find(set, &cfa__webhook_kind, &webhook, &found);
            if (status == CFA_OK && found != NULL && key.number > last)
                waiting_us = ((const cfa__webhook *)found)->received_us;
        }
        if (status == CFA__MISS)
            missed = true;
        else if (status != CFA_OK)
            return status;
    }
    if (missed)
        return CFA__MISS;
    key.number = object->drained_count + 1;
    object->drained_count = last; /* at once: what is applied may name this object as its origin */
    object->waiting_us = waiting_us;
    for (; key.number <= last; key.number++) {
        cfa_status status = drain_one(set, payment, &key, binding);
        if (status != CFA_OK)
            return status;
    }
    return CFA_OK;
}

cfa_status cfa__conflict_note(cfa__working_set *set, cfa__payment *payment, cfa__id cause_id) {
    payment->durable |= CFA__FACT_MISMATCH;
    if ((payment->flags & CFA_PAYMENT_FLAG_CONFLICT) != 0)
        return CFA_OK;
    payment->flags |= CFA_PAYMENT_FLAG_CONFLICT;
    return cfa__log_notice(set, payment, "P19", CFA__EVENT_PAYMENT_CONFLICT, cause_id);
}

/* The payment is known by its first object, then by what grew out of that. */
static cfa_status know_by(cfa__working_set *set, cfa__payment *payment, const char *ref,
                          const char *origin) {
    bool grew = origin != NULL && cfa__slices_equal(payment->ref, cfa__slice(origin));
    if (payment->ref.data != NULL && !grew)
        return CFA_OK;
    if (grew)
        payment->origin_ref = payment->ref;
    const char *copy = cfa_arena_copy(cfa__batch_arena(set), ref, strlen(ref));
    if (copy == NULL)
        return CFA_ENOMEM;
    payment->ref = cfa__slice(copy);
    return CFA_OK;
}

static cfa_status bind_one(cfa__working_set *set, cfa__payment *payment,
                           const cfa__evidence *evidence, const char *ref, const char *origin,
                           bool *out_ours) {
    cfa__provider_object key;
    memset(&key, 0, sizeof key);
    key.provider = payment->provider;
    key.account = payment->account;
    key.ref = cfa__slice(ref);
    void *draft;
    cfa_status status = cfa__edit(set, &cfa__provider_object_kind, &key, &draft);
    if (status != CFA_OK)
        return status;
    const cfa__provider_object *known = draft;
    *out_ours =
        known == NULL || cfa__id_is_null(known->payment_id) ||
        (cfa__id_compare(known->payment_id, payment->id) == 0 && cfa__id_is_null(known->part_id));
    if (!*out_ours)
        return cfa__conflict_note(set, payment, evidence->cause_id);
    status = know_by(set, payment, ref, origin);
    if (status != CFA_OK)
        return status;
    cfa__provider_object *object = draft;
    if (object == NULL) {
        key.payment_id = payment->id;
        key.created_us = cfa__now_us(set);
        status = cfa__keep(set, &key.ref);
        return status == CFA_OK ? cfa__insert(set, &cfa__provider_object_kind, &key, NULL) : status;
    }
    object->payment_id = payment->id;
    return drain(set, payment, object, evidence);
}

cfa_status cfa__object_bind(cfa__working_set *set, cfa__payment *payment,
                            const cfa__evidence *evidence, bool *out_ours) {
    const cfa_facts *facts = evidence->facts;
    const char *origin = facts->origin_ref;
    *out_ours = true;
    if (origin != NULL && strcmp(origin, facts->ref) != 0) {
        cfa_status status = bind_one(set, payment, evidence, origin, NULL, out_ours);
        if (status != CFA_OK || !*out_ours)
            return status;
    }
    return bind_one(set, payment, evidence, facts->ref, origin, out_ours);
}

cfa_status cfa__object_apply(cfa__working_set *set, cfa__payment *payment,
                             const cfa__evidence *evidence, cfa_webhook_verdict *out_verdict) {
    const cfa_facts *facts = evidence->facts;
    bool ours = true, fetch = (facts->flags & CFA__FACT_FETCH) != 0, probe = false;
    *out_verdict = CFA_WEBHOOK_APPLIED;
    cfa_status status = CFA_OK;
    if (facts->origin_ref != NULL)
        status = cfa__object_bind(set, payment, evidence, &ours);
    if (status == CFA_OK && !ours)
        *out_verdict = CFA_WEBHOOK_QUARANTINED;
    if (status != CFA_OK || !ours)
        return status;
    if (!fetch)
        status = cfa__evidence_apply(set, payment, evidence, out_verdict, &probe);
    return status == CFA_OK && (probe || fetch) ? cfa__operation_expedite(set, payment) : status;
}

/* ---- answers --------------------------------------------------------------------------------- */

void cfa__answer_head(cfa__buffer *json, const cfa__pledge *pledge) {
    char id[CFA_ID_TEXT_SIZE];
    cfa__json_open(json, NULL, '{');
    cfa__id_format(id, "plg", pledge->id);
    cfa__json_text(json, "id", id);
    cfa__id_format(id, "pay", pledge->payment_id);
    cfa__json_text(json, "payment_id", id);
    cfa__id_format(id, "cmp", pledge->campaign_id);
    cfa__json_text(json, "campaign_id", id);
    cfa__json_open(json, "amount", '{');
    cfa__json_int(json, "minor", pledge->amount_minor);
    cfa__json_text(json, "currency", pledge->currency);
    cfa__json_close(json, '}');
}

cfa_status cfa__answer_build(cfa_slice *out, cfa_arena *arena, const cfa__pledge *pledge,
                             const cfa__payment *payment, const char *client_secret,
                             const char *redirect_url) {
    char time[28];
    cfa__buffer json;
    cfa__buffer_init(&json, arena, 448);
    cfa__answer_head(&json, pledge);
    cfa__json_text(&json, "state", cfa_payment_state_name((cfa_payment_state)payment->state));
    if (payment->failure_code.data != NULL)
        cfa__json_slice(&json, "failure_code", payment->failure_code);
    if (client_secret != NULL)
        cfa__json_text(&json, "client_secret", client_secret);
    if (redirect_url != NULL)
        cfa__json_text(&json, "redirect_url", redirect_url);
    cfa__time_format(time, pledge->created_us);
    cfa__json_text(&json, "created_at", time);
    cfa__json_close(&json, '}');
    return cfa__buffer_finish(&json, out);
}
