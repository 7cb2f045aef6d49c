/*
 * evidence.c - how what a provider says becomes a payment's facts, walk and events, and how its
 * objects are bound to payments. Webhooks and call results come through here alike.
 */
#include "core/decide/evidence.h"
#include "core/decide/payment_machine.h"
#include "util/buffer.h"
#include "util/json.h"
#include "util/text.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.evidence"
#define TEXT_BYTES_MAX 500  /* of a provider's codes, references and secrets */
#define PAGE_BYTES_MAX 4000 /* of a hosted page's address, whose fragment may hold a whole key */

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

cfa_status cfa__log_transition(cfa__working_set *set, cfa__payment *payment, cfa_payment_state from,
                               cfa_payment_state to, const char *rule, bool implied,
                               cfa__id cause_id) {
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
    };
    return cfa__insert(set, &cfa__transition_kind, &transition, NULL);
}

static cfa_status walk(cfa__working_set *set, cfa__payment *payment,
                       const cfa__reduction *reduction, cfa__id cause_id) {
    cfa_payment_state end = (cfa_payment_state)payment->state;
    cfa_status status = CFA_OK;
    for (int32_t i = 0; i < reduction->step_count && status == CFA_OK; i++) {
        const cfa__step *step = &reduction->steps[i];
        assert(cfa__payment_step_is_legal(step->from, step->to));
        status = cfa__log_transition(set, payment, step->from, step->to, step->rule, step->implied,
                                     cause_id);
        /* Each event shows the payment after its own step. */
        payment->state = step->to;
        if (status == CFA_OK && step->event != 0)
            status = cfa__emit_payment(set, payment, step->event);
    }
    assert(reduction->step_count == 0 || payment->state == end);
    payment->state = end;
    if (status == CFA_OK && reduction->notice != 0)
        status = cfa__emit_payment(set, payment, reduction->notice);
    return status;
}

cfa_status cfa__evidence_apply(cfa__working_set *set, cfa__payment *payment, const cfa_facts *facts,
                               cfa__id cause_id, cfa_webhook_verdict *out_verdict,
                               bool *out_probe) {
    cfa__reduction reduction;
    memset(&reduction, 0, sizeof reduction);
    *out_probe = false;
    const cfa__payment before = *payment;
    cfa_status status = cfa__payment_reduce(payment, facts, cfa__batch_arena(set), &reduction);
    if (status != CFA_OK)
        return status;
    *out_verdict = reduction.verdict;
    *out_probe = reduction.probe;
    /* Told nothing new, the row stays as it is. */
    if (memcmp(&before, payment, sizeof before) != 0)
        payment->updated_us = cfa__now_us(set);
    return walk(set, payment, &reduction, cause_id);
}

/* ---- objects --------------------------------------------------------------------------------- */

static cfa_status drain_one(cfa__working_set *set, cfa__payment *payment, const cfa__parked *key) {
    const void *found;
    cfa_status status = cfa__find(set, &cfa__parked_kind, key, &found);
    if (status != CFA_OK || found == NULL)
        return status;
    const cfa__parked *parked = found;
    cfa__webhook webhook_key;
    memset(&webhook_key, 0, sizeof webhook_key);
    webhook_key.provider = parked->provider;
    webhook_key.account = parked->account;
    webhook_key.event_id = parked->event_id;
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
    status = cfa__object_apply(set, payment, &facts, webhook->id, &verdict);
    webhook->verdict = verdict;
    webhook->payment_id = payment->id;
    return status;
}

/* Ask for everything that waits for the object before applying any of it, so that one load brings
 * it all. */
static cfa_status drain(cfa__working_set *set, cfa__payment *payment,
                        cfa__provider_object *object) {
    cfa__parked key;
    memset(&key, 0, sizeof key);
    key.provider = object->provider;
    key.account = object->account;
    key.ref = object->ref;
    int64_t last = object->parked_count;
    if (last > object->drained_count + CFA__DRAIN_MAX)
        last = object->drained_count + CFA__DRAIN_MAX;
    bool missed = false;
    for (key.number = object->drained_count + 1; key.number <= last; key.number++) {
        const void *found;
        cfa_status status = cfa__find(set, &cfa__parked_kind, &key, &found);
        if (status == CFA_OK && found != NULL) {
            const cfa__parked *parked = found;
            cfa__webhook webhook;
            memset(&webhook, 0, sizeof webhook);
            webhook.provider = parked->provider;
            webhook.account = parked->account;
            webhook.event_id = parked->event_id;
            status = cfa__find(set, &cfa__webhook_kind, &webhook, &found);
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
    for (; key.number <= last; key.number++) {
        cfa_status status = drain_one(set, payment, &key);
        if (status != CFA_OK)
            return status;
    }
    return CFA_OK;
}

/* As the machine does for facts that it quarantines: the mismatch is kept, so that the flag stays. */
static cfa_status note_conflict(cfa__working_set *set, cfa__payment *payment) {
    payment->durable |= CFA__FACT_MISMATCH;
    if ((payment->flags & CFA_PAYMENT_FLAG_CONFLICT) != 0)
        return CFA_OK;
    payment->flags |= CFA_PAYMENT_FLAG_CONFLICT;
    return cfa__emit_payment(set, payment, CFA__EVENT_PAYMENT_CONFLICT);
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

static cfa_status bind_one(cfa__working_set *set, cfa__payment *payment, const char *ref,
                           const char *origin, bool *out_ours) {
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
    *out_ours = known == NULL || cfa__id_is_null(known->payment_id) ||
                cfa__id_compare(known->payment_id, payment->id) == 0;
    if (!*out_ours)
        return note_conflict(set, payment);
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
    return drain(set, payment, object);
}

cfa_status cfa__object_bind(cfa__working_set *set, cfa__payment *payment, const cfa_facts *facts,
                            bool *out_ours) {
    const char *origin = facts->origin_ref;
    *out_ours = true;
    if (origin != NULL && strcmp(origin, facts->ref) != 0) {
        cfa_status status = bind_one(set, payment, origin, NULL, out_ours);
        if (status != CFA_OK || !*out_ours)
            return status;
    }
    return bind_one(set, payment, facts->ref, origin, out_ours);
}

cfa_status cfa__object_apply(cfa__working_set *set, cfa__payment *payment, const cfa_facts *facts,
                             cfa__id cause_id, cfa_webhook_verdict *out_verdict) {
    bool ours = true, fetch = (facts->flags & CFA__FACT_FETCH) != 0, probe = false;
    *out_verdict = CFA_WEBHOOK_APPLIED;
    cfa_status status = CFA_OK;
    if (facts->origin_ref != NULL)
        status = cfa__object_bind(set, payment, facts, &ours);
    if (status == CFA_OK && !ours)
        *out_verdict = CFA_WEBHOOK_QUARANTINED;
    if (status != CFA_OK || !ours)
        return status;
    if (!fetch)
        status = cfa__evidence_apply(set, payment, facts, cause_id, out_verdict, &probe);
    return status == CFA_OK && (probe || fetch) ? cfa__operation_expedite(set, payment) : status;
}

/* ---- facts from outside ---------------------------------------------------------------------- */

static const char *clean(const char *text, size_t size_max) {
    size_t size = text == NULL ? 0 : strlen(text);
    if (size == 0 || size > size_max || !cfa__text_is_utf8(text, size))
        return NULL;
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return NULL;
    }
    return text;
}

const char *cfa__clean_text(const char *text) { return clean(text, TEXT_BYTES_MAX); }

const char *cfa__clean_url(const char *url) { return clean(url, PAGE_BYTES_MAX); }

static bool in_range(int64_t minor) { return minor >= 0 && minor <= CFA_MONEY_MINOR_MAX; }

bool cfa__facts_clean(cfa_facts *facts) {
    facts->ref = cfa__clean_text(facts->ref);
    facts->payment_id = cfa__clean_text(facts->payment_id);
    facts->origin_ref = cfa__clean_text(facts->origin_ref);
    facts->failure_code = cfa__clean_text(facts->failure_code);
    facts->cancel_reason = cfa__clean_text(facts->cancel_reason);
    facts->amount.currency[sizeof facts->amount.currency - 1] = '\0';
    return in_range(facts->amount.minor) && in_range(facts->authorized_minor) &&
           in_range(facts->captured_minor);
}

/* ---- facts as JSON --------------------------------------------------------------------------- */

cfa_status cfa__facts_encode(cfa_slice *out, cfa_arena *arena, const cfa_facts *facts) {
    cfa__buffer json;
    cfa__buffer_init(&json, arena, 320);
    cfa__json_open(&json, NULL, '{');
    cfa__json_text(&json, "ref", facts->ref);
    if (facts->origin_ref != NULL)
        cfa__json_text(&json, "origin_ref", facts->origin_ref);
    cfa__json_text(&json, "payment_id", facts->payment_id);
    cfa__json_int(&json, "amount_minor", facts->amount.minor);
    cfa__json_text(&json, "currency",
                   facts->amount.currency[0] != '\0' ? facts->amount.currency : NULL);
    cfa__json_int(&json, "flags", (int64_t)facts->flags);
    cfa__json_int(&json, "authorized_minor", facts->authorized_minor);
    cfa__json_int(&json, "captured_minor", facts->captured_minor);
    cfa__json_int(&json, "attempt", facts->attempt);
    cfa__json_int(&json, "occurred_us", facts->occurred_us);
    cfa__json_text(&json, "failure_code", facts->failure_code);
    cfa__json_text(&json, "cancel_reason", facts->cancel_reason);
    cfa__json_close(&json, '}');
    return cfa__buffer_finish(&json, out);
}

static const char *read_text(const cfa__json *root, const char *name, cfa_arena *arena,
                             bool *failed) {
    const char *text = NULL;
    if (!cfa__json_read_text(cfa__json_get(root, name), &text))
        return NULL;
    return cfa__text_of(arena, cfa__slice(text), failed);
}

static int64_t read_int(const cfa__json *root, const char *name) {
    int64_t value = 0;
    (void)cfa__json_read_int(cfa__json_get(root, name), &value);
    return value;
}

cfa_status cfa__facts_decode(cfa_facts *out, cfa_arena *arena, cfa_slice json) {
    cfa__json *root;
    cfa_status status = cfa__json_parse(&root, json);
    if (status != CFA_OK) {
        return status == CFA_ENOMEM ? status
                                    : cfa_error_set(CFA_ECORRUPT, ORIGIN, NULL, 0,
                                                    "stored facts of a webhook are not JSON");
    }
    bool failed = false;
    cfa_facts facts = CFA_FACTS_INIT;
    facts.ref = read_text(root, "ref", arena, &failed);
    facts.origin_ref = read_text(root, "origin_ref", arena, &failed);
    facts.payment_id = read_text(root, "payment_id", arena, &failed);
    facts.amount.minor = read_int(root, "amount_minor");
    const char *currency = read_text(root, "currency", arena, &failed);
    if (currency != NULL && strlen(currency) == 3)
        memcpy(facts.amount.currency, currency, 4);
    facts.flags = (uint32_t)read_int(root, "flags");
    facts.authorized_minor = read_int(root, "authorized_minor");
    facts.captured_minor = read_int(root, "captured_minor");
    facts.attempt = (int32_t)read_int(root, "attempt");
    facts.occurred_us = read_int(root, "occurred_us");
    facts.failure_code = read_text(root, "failure_code", arena, &failed);
    facts.cancel_reason = read_text(root, "cancel_reason", arena, &failed);
    cfa__json_free(root);
    if (failed)
        return CFA_ENOMEM;
    *out = facts;
    return CFA_OK;
}

/* ---- answers --------------------------------------------------------------------------------- */

cfa_status cfa__answer_build(cfa_slice *out, cfa_arena *arena, const cfa__pledge *pledge,
                             const cfa__payment *payment, const char *client_secret,
                             const char *redirect_url) {
    char id[CFA_ID_TEXT_SIZE], time[28];
    cfa__buffer json;
    cfa__buffer_init(&json, arena, 448);
    cfa__json_open(&json, NULL, '{');
    cfa__id_format(id, "plg", pledge->id);
    cfa__json_text(&json, "id", id);
    cfa__id_format(id, "pay", pledge->payment_id);
    cfa__json_text(&json, "payment_id", id);
    cfa__id_format(id, "cmp", pledge->campaign_id);
    cfa__json_text(&json, "campaign_id", id);
    cfa__json_open(&json, "amount", '{');
    cfa__json_int(&json, "minor", pledge->amount_minor);
    cfa__json_text(&json, "currency", pledge->currency);
    cfa__json_close(&json, '}');
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
