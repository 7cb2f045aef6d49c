/*
 * webhook.c - one provider event: stored once, with its effect, in one transaction; or parked until
 * its object is known. Its signature was verified before; nothing here trusts more than that.
 */
#include "core/decide/evidence.h"
#include "core/decide/payment_machine.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.webhook"

static cfa_status find_object(cfa__working_set *set, const cfa__webhook_input *input,
                              const char *ref, const cfa__provider_object **out) {
    cfa__provider_object key;
    memset(&key, 0, sizeof key);
    key.provider = input->provider;
    key.account = input->account;
    key.ref = cfa__slice(ref);
    const void *found = NULL;
    cfa_status status = cfa__find(set, &cfa__provider_object_kind, &key, &found);
    *out = found;
    return status;
}

/* Find both objects that the event names, the origin last; one load brings both. `*out` is the one
 * that is bound, or else the one to wait for. */
static cfa_status find_objects(cfa__working_set *set, const cfa__webhook_input *input,
                               const char **out_ref, const cfa__provider_object **out) {
    const char *refs[] = { input->event.facts.ref, input->event.facts.origin_ref };
    cfa_status first = CFA_OK;
    *out = NULL;
    for (size_t i = 0; i < 2 && refs[i] != NULL; i++) {
        const cfa__provider_object *found;
        cfa_status status = find_object(set, input, refs[i], &found);
        if (status < 0)
            return status;
        if (first == CFA_OK)
            first = status;
        if (*out == NULL || cfa__id_is_null((*out)->payment_id)) {
            *out = found;
            *out_ref = refs[i];
        }
    }
    return first;
}

static cfa_status park(cfa__working_set *set, const cfa__webhook_input *input, const char *ref,
                       const cfa__provider_object *found) {
    cfa__provider_object key;
    memset(&key, 0, sizeof key);
    key.provider = input->provider;
    key.account = input->account;
    key.ref = cfa__slice(ref);
    key.created_us = cfa__now_us(set);
    void *draft;
    cfa_status status = found != NULL ? cfa__edit(set, &cfa__provider_object_kind, &key, &draft)
                                      : cfa__insert(set, &cfa__provider_object_kind, &key, &draft);
    if (status != CFA_OK)
        return status;
    cfa__provider_object *object = draft;
    if (object->parked_count++ == object->drained_count)
        object->waiting_us = cfa__now_us(set);
    cfa__parked parked = { input->provider, input->account, key.ref, object->parked_count,
                           cfa__slice(input->event.event_id) };
    return cfa__insert(set, &cfa__parked_kind, &parked, NULL);
}

/* Apply the event to the payment that its object is. */
static cfa_status apply(cfa__working_set *set, const cfa__webhook_input *input, cfa__id payment_id,
                        cfa_webhook_verdict *out_verdict) {
    void *draft;
    cfa_status status = cfa__edit_id(set, &cfa__payment_kind, payment_id, &draft);
    if (status != CFA_OK)
        return status;
    assert(draft != NULL);
    cfa__evidence evidence = { &input->event.facts, input->webhook_id, &input->handle,
                               input->refunds_suspects };
    return cfa__object_apply(set, draft, &evidence, out_verdict);
}

static cfa_status judge(cfa__working_set *set, const cfa__webhook_input *input,
                        cfa__id *out_payment, cfa_webhook_verdict *out_verdict) {
    const cfa_webhook_event *event = &input->event;
    *out_verdict = CFA_WEBHOOK_IGNORED;
    *out_payment = CFA__ID_NULL;
    if (!event->relevant || event->facts.ref == NULL ||
        (event->livemode != 0) != (input->livemode != 0) ||
        !cfa__slices_equal(cfa__slice(event->account), input->account))
        return CFA_OK;
    const cfa__provider_object *object;
    const char *ref = NULL;
    cfa_status status = find_objects(set, input, &ref, &object);
    if (status != CFA_OK)
        return status;
    if (object == NULL || cfa__id_is_null(object->payment_id)) {
        *out_verdict = CFA_WEBHOOK_PARKED;
        return park(set, input, ref, object);
    }
    *out_payment = object->payment_id;
    return apply(set, input, object->payment_id, out_verdict);
}

cfa_status cfa__webhook_apply(cfa__working_set *set, cfa__command *command) {
    const cfa__webhook_input *input = command->input;
    cfa__webhook_answer *answer = command->output;
    cfa__webhook row;
    memset(&row, 0, sizeof row);
    row.provider = input->provider;
    row.account = cfa__slice(input->event.account);
    row.event_id = cfa__slice(input->event.event_id);
    const void *found;
    cfa_status status = cfa__find(set, &cfa__webhook_kind, &row, &found);
    if (status != CFA_OK) {
        /* Ask for the objects in the same round. */
        const cfa__provider_object *object;
        const char *ref;
        if (status == CFA__MISS && find_objects(set, input, &ref, &object) < 0)
            return CFA_ENOMEM;
        return status;
    }
    if (found != NULL) {
        const cfa__webhook *stored = found;
        bool ours = cfa__id_compare(stored->id, input->webhook_id) == 0;
        bool repeats = ours || stored->verdict == CFA_WEBHOOK_CONTRADICTION;
        answer->verdict = repeats ? (cfa_webhook_verdict)stored->verdict : CFA_WEBHOOK_DUPLICATE;
        return CFA_OK;
    }
    status = judge(set, input, &row.payment_id, &answer->verdict);
    if (status == CFA_OK)
        status = cfa__facts_encode(&row.facts, cfa__batch_arena(set), &input->event.facts);
    if (status != CFA_OK)
        return status;
    row.id = input->webhook_id;
    row.event_type = cfa__slice(input->event.event_type);
    row.ref = cfa__slice(input->event.facts.ref);
    row.verdict = answer->verdict;
    if (input->has_body_hash)
        row.body_hash = (cfa_slice){ input->body_hash, sizeof input->body_hash };
    row.received_us = cfa__now_us(set);
    return cfa__insert(set, &cfa__webhook_kind, &row, NULL);
}
