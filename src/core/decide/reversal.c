/*
 * reversal.c - how what a provider says of refunds and disputes reaches a payment: its parts are
 * found by the provider's ids, made when they are new, and moved by the reversal machine; the
 * payment's row follows in the same commit.
 */
#include "core/decide/reversal_machine.h"
#include "core/decide/evidence.h"
#include "core/decide/payment_machine.h"
#include "util/secure.h"

#include <assert.h>
#include <string.h>

#define REVERSALS_PER_PAYMENT_MAX 500 /* refunds, and disputes; more is taken for a mistake */

/* What one report is applied with. */
struct scene {
    cfa__working_set *set;
    cfa__payment *payment;
    const cfa__evidence *evidence;
    bool changed, refused;
};

/* ---- parts by the provider's ids ------------------------------------------------------------- */

/* `*out`: what it is bound to, or NULL. */
static cfa_status find_part(struct scene *scene, const char *ref,
                            const cfa__provider_object **out) {
    cfa__provider_object key;
    memset(&key, 0, sizeof key);
    key.provider = scene->payment->provider;
    key.account = scene->payment->account;
    key.ref = cfa__slice(ref);
    const void *found = NULL;
    cfa_status status = cfa__find(scene->set, &cfa__provider_object_kind, &key, &found);
    const cfa__provider_object *object = status == CFA_OK ? found : NULL;
    *out = object != NULL && !cfa__id_is_null(object->payment_id) ? object : NULL;
    return status;
}

/* False for another payment's object, and for the payment itself. */
static bool is_own_part(const struct scene *scene, const cfa__provider_object *object) {
    return cfa__id_compare(object->payment_id, scene->payment->id) == 0 &&
           !cfa__id_is_null(object->part_id);
}

/* Events may wait for the reference, taken for a payment's: they stay where they are. */
static cfa_status bind_part(struct scene *scene, const char *ref, cfa__id part_id) {
    cfa__provider_object object;
    memset(&object, 0, sizeof object);
    object.provider = scene->payment->provider;
    object.account = scene->payment->account;
    object.ref = cfa__slice(ref);
    object.payment_id = scene->payment->id;
    object.part_id = part_id;
    object.created_us = cfa__now_us(scene->set);
    void *draft;
    cfa_status status = cfa__edit(scene->set, &cfa__provider_object_kind, &object, &draft);
    if (status != CFA_OK)
        return status;
    if (draft == NULL)
        return cfa__insert(scene->set, &cfa__provider_object_kind, &object, NULL);
    cfa__provider_object *known = draft;
    assert(cfa__id_is_null(known->payment_id));
    known->payment_id = object.payment_id;
    known->part_id = part_id;
    return CFA_OK;
}

/* The id of a part that the provider made: deciding again gives the same. */
static cfa__id derived_id(const struct scene *scene, const char *ref) {
    uint8_t hash[16];
    const cfa_slice parts[] = { { scene->payment->id.bytes, sizeof scene->payment->id.bytes },
                                cfa__slice(ref) };
    cfa__hash(hash, sizeof hash, (cfa_slice){ NULL, 0 }, parts, 2);
    return cfa__id_make(cfa__now_us(scene->set), hash);
}

/* What was told is not of this payment: nothing of it is taken, and the conflict is kept. */
static cfa_status refuse(struct scene *scene) {
    scene->refused = true;
    return cfa__conflict_note(scene->set, scene->payment, scene->evidence->cause_id);
}

static bool is_other_currency(const struct scene *scene, const cfa_money *amount) {
    return amount->currency[0] != '\0' &&
           memcmp(amount->currency, scene->payment->currency, sizeof amount->currency) != 0;
}

/* ---- refunds --------------------------------------------------------------------------------- */

static cfa_status log_step(struct scene *scene, const cfa__reversal_step *step, cfa__id subject_id,
                           const cfa__refund *refund, const cfa__dispute *dispute) {
    cfa_status status =
        cfa__log_transition(scene->set, scene->payment, step->from, step->to, step->rule, false,
                            scene->evidence->cause_id, subject_id);
    return status == CFA_OK
               ? cfa__emit_reversal(scene->set, scene->payment, step->event, refund, dispute)
               : status;
}

static cfa_status refund_changed(struct scene *scene, const cfa__refund *before,
                                 cfa__refund *after) {
    cfa__reversal_step step;
    after->updated_us = cfa__now_us(scene->set);
    scene->changed = true;
    cfa__payment_move_refund(scene->payment, before, after);
    return cfa__refund_step(before, after, &step) ? log_step(scene, &step, after->id, after, NULL)
                                                  : CFA_OK;
}

/* The refund that we asked for, if the report names one of this payment that has no object yet. */
static cfa_status find_ours(struct scene *scene, const cfa_refund_facts *facts, cfa__id *out) {
    cfa__id named;
    *out = CFA__ID_NULL;
    if (facts->refund_id == NULL ||
        cfa__id_parse(&named, "rfd", facts->refund_id, "refund_id") != CFA_OK)
        return CFA_OK;
    const void *found;
    cfa_status status = cfa__find_id(scene->set, &cfa__refund_kind, named, &found);
    const cfa__refund *refund = status == CFA_OK ? found : NULL;
    if (refund != NULL && cfa__id_compare(refund->payment_id, scene->payment->id) == 0)
        *out = named;
    return status;
}

static cfa_status keep_texts(struct scene *scene, cfa_slice *a, cfa_slice *b) {
    cfa_status status = a->data != NULL ? cfa__keep(scene->set, a) : CFA_OK;
    return status == CFA_OK && b->data != NULL ? cfa__keep(scene->set, b) : status;
}

static cfa_status make_external(struct scene *scene, const cfa_refund_facts *facts) {
    cfa__refund refund, none;
    bool conflict;
    memset(&none, 0, sizeof none);
    memset(&refund, 0, sizeof refund);
    if (scene->payment->refund_count >= REVERSALS_PER_PAYMENT_MAX)
        return refuse(scene);
    refund.id = derived_id(scene, facts->ref);
    refund.payment_id = scene->payment->id;
    refund.ref = cfa__slice(facts->ref);
    refund.origin = CFA_REFUND_EXTERNAL;
    refund.created_us = cfa__now_us(scene->set);
    (void)cfa__refund_merge(&refund, facts, &conflict);
    void *draft = NULL;
    cfa_status status = cfa__insert(scene->set, &cfa__refund_kind, &refund, &draft);
    if (status == CFA_OK)
        status = bind_part(scene, facts->ref, refund.id);
    return status == CFA_OK ? refund_changed(scene, &none, draft) : status;
}

static cfa_status update_refund(struct scene *scene, cfa__id id, const cfa_refund_facts *facts) {
    void *draft;
    cfa_status status = cfa__edit_id(scene->set, &cfa__refund_kind, id, &draft);
    if (status != CFA_OK)
        return status;
    if (draft == NULL)
        return refuse(scene); /* this id is a dispute's */
    cfa__refund *refund = draft;
    const cfa__refund before = *refund;
    bool conflict, is_first = refund->ref.data == NULL;
    bool changed = cfa__refund_merge(refund, facts, &conflict) || is_first;
    if (is_first)
        refund->ref = cfa__slice(facts->ref);
    if (changed)
        status = keep_texts(scene, &refund->ref, &refund->failure_code);
    if (status == CFA_OK && is_first)
        status = bind_part(scene, facts->ref, id);
    if (status == CFA_OK && changed)
        status = refund_changed(scene, &before, refund);
    return status == CFA_OK && conflict ? refuse(scene) : status;
}

static cfa_status apply_refund(struct scene *scene, const cfa_refund_facts *facts) {
    const cfa__provider_object *object;
    cfa__id ours;
    cfa_status status = find_part(scene, facts->ref, &object);
    cfa_status ours_status = find_ours(scene, facts, &ours);
    if (status != CFA_OK || ours_status != CFA_OK)
        return status < 0 || ours_status == CFA_OK ? status : ours_status;
    if (facts->amount.minor == 0 || facts->amount.minor > scene->payment->amount_minor ||
        is_other_currency(scene, &facts->amount))
        return refuse(scene);
    if (object != NULL && !is_own_part(scene, object))
        return refuse(scene);
    if (object != NULL)
        return update_refund(scene, object->part_id, facts);
    if (cfa__id_is_null(ours))
        return make_external(scene, facts);
    const void *found;
    status = cfa__find_id(scene->set, &cfa__refund_kind, ours, &found);
    if (status != CFA_OK)
        return status;
    if (((const cfa__refund *)found)->ref.data == NULL)
        return update_refund(scene, ours, facts);
    /* Two of the provider's refunds for one of ours: the money of both moved, and both count. */
    status = make_external(scene, facts);
    return status == CFA_OK ? refuse(scene) : status;
}

/* ---- disputes -------------------------------------------------------------------------------- */

static cfa_status dispute_changed(struct scene *scene, const cfa__dispute *before,
                                  cfa__dispute *after) {
    cfa__reversal_step steps[CFA__DISPUTE_STEPS_MAX];
    int32_t count = cfa__dispute_steps(before, after, steps);
    after->updated_us = cfa__now_us(scene->set);
    scene->changed = true;
    cfa__payment_move_dispute(scene->payment, before, after);
    cfa_status status = CFA_OK;
    for (int32_t i = 0; i < count && status == CFA_OK; i++)
        status = log_step(scene, &steps[i], after->id, NULL, after);
    return status;
}

static cfa_status apply_dispute(struct scene *scene, const cfa_dispute_facts *facts) {
    const cfa__provider_object *object;
    void *draft = NULL;
    cfa_status status = find_part(scene, facts->ref, &object);
    if (status != CFA_OK)
        return status;
    if (is_other_currency(scene, &facts->amount))
        return refuse(scene);
    if (object != NULL && !is_own_part(scene, object))
        return refuse(scene);
    if (object != NULL)
        status = cfa__edit_id(scene->set, &cfa__dispute_kind, object->part_id, &draft);
    if (status != CFA_OK)
        return status;
    cfa__dispute dispute, before;
    memset(&dispute, 0, sizeof dispute);
    if (draft != NULL) {
        dispute = *(cfa__dispute *)draft;
    } else if (object != NULL || scene->payment->dispute_count >= REVERSALS_PER_PAYMENT_MAX) {
        return refuse(scene); /* this id is a refund's */
    } else {
        dispute.id = derived_id(scene, facts->ref);
        dispute.payment_id = scene->payment->id;
        dispute.ref = cfa__slice(facts->ref);
        dispute.created_us = cfa__now_us(scene->set);
    }
    before = dispute;
    if (!cfa__dispute_merge(&dispute, facts))
        return CFA_OK;
    status = keep_texts(scene, &dispute.ref, &dispute.reason);
    if (status == CFA_OK && draft == NULL) {
        status = cfa__insert(scene->set, &cfa__dispute_kind, &dispute, &draft);
        if (status == CFA_OK)
            status = bind_part(scene, facts->ref, dispute.id);
    }
    if (status != CFA_OK)
        return status;
    *(cfa__dispute *)draft = dispute;
    return dispute_changed(scene, &before, draft);
}

/* ---- a report -------------------------------------------------------------------------------- */

/* True for a refund's call that nobody makes now and nobody ever made. */
static bool is_unsent(const cfa__operation *operation) {
    return operation->call == CFA_CALL_REFUND && operation->state == CFA__OPERATION_READY &&
           operation->due_us != 0 && operation->first_sent_us == 0 &&
           cfa__id_is_null(operation->lease_owner);
}

/* What waits to be sent was promised before a dispute, or the provider's desk, took the money: the
 * newest of it is called off. */
static cfa_status call_off_unsent(struct scene *scene) {
    cfa__payment *payment = scene->payment;
    bool missed = false;
    if (!cfa__payment_is_promised_twice(payment))
        return CFA_OK;
    for (int64_t number = payment->operation_count; number > 0; number--) {
        const cfa__operation *found;
        cfa_status status = cfa__operation_find(scene->set, payment->id, number, &found);
        missed = missed || status == CFA__MISS;
        if (status < 0)
            return status;
        if (missed || found == NULL || !is_unsent(found) ||
            !cfa__payment_is_promised_twice(payment))
            continue;
        void *draft;
        status = cfa__edit(scene->set, &cfa__operation_kind, found, &draft);
        if (status == CFA_OK)
            status = cfa__refund_reject(scene->set, payment, found->refund_id, "disputed");
        if (status != CFA_OK)
            return status;
        cfa__operation *operation = draft;
        operation->state = CFA__OPERATION_CLOSED;
        operation->due_us = 0;
        operation->updated_us = cfa__now_us(scene->set);
    }
    return missed ? CFA__MISS : CFA_OK;
}

cfa_status cfa__reversals_apply(cfa__working_set *set, cfa__payment *payment,
                                const cfa__evidence *evidence, cfa_webhook_verdict *verdict) {
    const cfa_facts *facts = evidence->facts;
    if (facts->refund_count == 0 && facts->dispute_count == 0)
        return CFA_OK;
    struct scene scene = { .set = set, .payment = payment, .evidence = evidence };
    const cfa__payment before = *payment;
    cfa_status status = CFA_OK;
    bool missed = false;
    for (int32_t i = 0; i < facts->refund_count && status >= 0; i++) {
        status = apply_refund(&scene, facts->refunds[i]);
        missed = missed || status == CFA__MISS;
    }
    for (int32_t i = 0; i < facts->dispute_count && status >= 0; i++) {
        status = apply_dispute(&scene, facts->disputes[i]);
        missed = missed || status == CFA__MISS;
    }
    if (status < 0 || missed)
        return status < 0 ? status : CFA__MISS;
    if (scene.changed)
        status = call_off_unsent(&scene);
    if (status != CFA_OK)
        return status;
    bool conflicts = cfa__payment_derive_flags(payment, &before);
    if (conflicts && !scene.refused) /* what was refused has said so */
        status =
            cfa__log_notice(set, payment, "P19", CFA__EVENT_PAYMENT_CONFLICT, evidence->cause_id);
    if (scene.refused)
        *verdict = CFA_WEBHOOK_QUARANTINED;
    else if (scene.changed && *verdict == CFA_WEBHOOK_STALE)
        *verdict = CFA_WEBHOOK_APPLIED;
    /* What is not over is asked for, in case every webhook is lost. */
    if (status == CFA_OK && before.open_count == 0 && payment->open_count > 0)
        status = cfa__operation_expedite(set, payment);
    return status;
}

/* ---- refunds that are made here -------------------------------------------------------------- */

cfa_status cfa__refund_append(cfa__working_set *set, const cfa_provider *provider,
                              cfa__payment *payment, const cfa__refund *given, cfa__refund **out) {
    static const cfa__evidence ours = { NULL, { { 0 } }, NULL, false };
    struct scene scene = { .set = set, .payment = payment, .evidence = &ours };
    cfa__refund none, refund = *given;
    memset(&none, 0, sizeof none);
    assert(refund.amount_minor > 0 &&
           refund.amount_minor <= cfa__payment_refundable_minor(payment));
    refund.payment_id = payment->id;
    refund.state = CFA_REFUND_REQUESTED;
    refund.created_us = cfa__now_us(set);
    refund.operation_number = payment->operation_count + 1;
    cfa_status status = cfa__operation_append(set, provider, payment, CFA_CALL_REFUND,
                                              refund.amount_minor, refund.id, cfa__now_us(set));
    void *draft = NULL;
    if (status == CFA_OK)
        status = cfa__insert(set, &cfa__refund_kind, &refund, &draft);
    if (status == CFA_OK)
        status = refund_changed(&scene, &none, draft);
    if (status == CFA_OK && out != NULL)
        *out = draft;
    return status;
}

cfa_status cfa__refund_reject(cfa__working_set *set, cfa__payment *payment, cfa__id refund_id,
                              const char *code) {
    static const cfa__evidence ours = { NULL, { { 0 } }, NULL, false };
    struct scene scene = { .set = set, .payment = payment, .evidence = &ours };
    void *draft;
    cfa_status status = cfa__edit_id(set, &cfa__refund_kind, refund_id, &draft);
    if (status != CFA_OK)
        return status;
    cfa__refund *refund = draft;
    assert(refund != NULL && refund->state == CFA_REFUND_REQUESTED);
    const cfa__refund before = *refund;
    refund->durable |= CFA__REFUND_WAS_REJECTED;
    refund->state = cfa__refund_state(refund);
    refund->failure_code = cfa__slice(code);
    status = cfa__keep(set, &refund->failure_code);
    return status == CFA_OK ? refund_changed(&scene, &before, refund) : status;
}
