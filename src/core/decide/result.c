/*
 * result.c - what became of a provider call: facts for the payment, the fixed answer for the donor,
 * and when to ask again. Doubt is never failure: it stays doubt until the provider's word ends it.
 */
#include "core/decide/evidence.h"
#include "core/decide/payment_machine.h"
#include "core/decide/reversal_machine.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.result"
#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US (60 * MINUTE_US)
#define UNSENT_TRIES_MAX 5                             /* then every ten minutes */
#define UNFINISHED_TRIES_MAX 100                       /* then as rare as all doubt */
#define RETRY_AFTER_MS_MAX (INT64_C(24) * 3600 * 1000) /* what a provider may ask for */
#define KEY_RETIRED_US                                                                             \
    INT64_C(1) /* as first_sent_us: so long ago that the key is never sent again */

/* Records that a result touches; drafts but for the pledge. */
struct scene {
    cfa__working_set *set;
    const cfa__result_input *input;
    cfa__payment *payment;
    cfa__operation *operation;
    const cfa__pledge *pledge;
    const cfa__answer *answer;
    bool probe_soon;
    bool read_again; /* what this read brought may be old already */
    bool refused;    /* something in the reply was not taken: what it leaves out is not absent */
};

/* How long after the n-th try of a standing probe, and of a call in doubt, the next one is due. The
 * source is the provider-call rule of the project's domain specification; the short first steps
 * serve waiting donors. */
static int64_t delay_us(int64_t tries, bool doubt) {
    static const int64_t steps[] = { 30 * SECOND_US, 2 * MINUTE_US, 10 * MINUTE_US,
                                     HOUR_US,        6 * HOUR_US,   23 * HOUR_US };
    const int64_t count = (int64_t)(sizeof steps / sizeof steps[0]);
    if (doubt) {
        if (tries <= 2)
            return tries <= 1 ? SECOND_US : 5 * SECOND_US;
        tries -= 2;
    }
    int64_t step = tries - 1;
    if (step < 0)
        step = 0;
    return step < count ? steps[step] : 24 * HOUR_US;
}

static void schedule(struct scene *scene, int64_t delay) {
    cfa__operation *operation = scene->operation;
    int64_t asked_ms = scene->input->reply.retry_after_ms;
    if (asked_ms > RETRY_AFTER_MS_MAX)
        asked_ms = RETRY_AFTER_MS_MAX;
    if (asked_ms > 0 && delay < asked_ms * 1000)
        delay = asked_ms * 1000;
    operation->due_us = cfa__now_us(scene->set) + delay;
    operation->lease_owner = CFA__ID_NULL;
}

static void close_operation(struct scene *scene, cfa__operation_state state) {
    scene->operation->state = state;
    scene->operation->due_us = 0;
    scene->operation->lease_owner = CFA__ID_NULL;
}

/* ---- doubt ----------------------------------------------------------------------------------- */

static cfa_status doubt_begin(struct scene *scene) {
    cfa__operation *operation = scene->operation;
    bool goes_on = scene->input->call == CFA_CALL_LOOKUP && scene->input->reply.unfinished != 0 &&
                   operation->tries < UNFINISHED_TRIES_MAX;
    operation->state = CFA__OPERATION_UNKNOWN;
    schedule(scene, goes_on ? SECOND_US : delay_us(operation->tries, true));
    if ((scene->payment->flags & CFA_PAYMENT_FLAG_UNKNOWN) != 0)
        return CFA_OK;
    scene->payment->flags |= CFA_PAYMENT_FLAG_UNKNOWN;
    return cfa__log_notice(scene->set, scene->payment, "P20", CFA__EVENT_PAYMENT_OUTCOME_UNKNOWN,
                           CFA__ID_NULL);
}

/* True when another call of the payment is in doubt as well. */
static cfa_status is_another_in_doubt(const struct scene *scene, bool *out) {
    bool missed = false;
    *out = false;
    for (int64_t number = 1; number <= scene->payment->operation_count; number++) {
        const cfa__operation *other;
        cfa_status status = cfa__operation_find(scene->set, scene->payment->id, number, &other);
        if (status < 0)
            return status;
        missed = missed || status == CFA__MISS;
        *out = *out || (status == CFA_OK && number != scene->operation->number && other != NULL &&
                        other->state == CFA__OPERATION_UNKNOWN && other->due_us != 0);
    }
    return missed ? CFA__MISS : CFA_OK;
}

static cfa_status doubt_end(struct scene *scene) {
    if ((scene->payment->flags & CFA_PAYMENT_FLAG_UNKNOWN) == 0)
        return CFA_OK;
    bool another;
    cfa_status status = is_another_in_doubt(scene, &another);
    if (status != CFA_OK || another)
        return status;
    scene->payment->flags &= ~(int64_t)CFA_PAYMENT_FLAG_UNKNOWN;
    return cfa__log_notice(scene->set, scene->payment, "P21", CFA__EVENT_PAYMENT_OUTCOME_RESOLVED,
                           CFA__ID_NULL);
}

/* The provider proved that nothing was done: only now may a new key be used. */
static cfa_status start_over(struct scene *scene) {
    cfa__operation *operation = scene->operation;
    char key[64];
    operation->attempt++;
    cfa__operation_key(key, operation->payment_id, operation->number, operation->attempt);
    operation->idempotency_key = cfa__slice(key);
    cfa_status status = cfa__keep(scene->set, &operation->idempotency_key);
    if (status != CFA_OK)
        return status;
    operation->state = CFA__OPERATION_READY;
    operation->first_sent_us = operation->last_sent_us = 0;
    operation->stored = 0;
    operation->tries = 0; /* a new attempt is as urgent as the first was */
    schedule(scene, 0);
    return doubt_end(scene);
}

/* ---- evidence -------------------------------------------------------------------------------- */

/* True for facts about the object that the payment is known by, or what grew out of it. */
static bool is_about(const cfa__payment *payment, const cfa_facts *facts) {
    if (facts->ref == NULL || payment->ref.data == NULL)
        return false;
    return cfa__slices_equal(payment->ref, cfa__slice(facts->ref)) ||
           cfa__slices_equal(payment->origin_ref, cfa__slice(facts->ref)) ||
           (facts->origin_ref != NULL &&
            cfa__slices_equal(payment->ref, cfa__slice(facts->origin_ref)));
}

static cfa_status apply(struct scene *scene, const cfa_facts *facts) {
    cfa_webhook_verdict verdict;
    bool probe;
    cfa__evidence evidence = { facts, CFA__ID_NULL, &scene->input->provider,
                               scene->input->refunds_suspects };
    cfa_status status =
        cfa__evidence_apply(scene->set, scene->payment, &evidence, &verdict, &probe);
    scene->refused = scene->refused || (status == CFA_OK && verdict == CFA_WEBHOOK_QUARANTINED);
    /* A read that ties with what is known would tie again: only other evidence asks for one. */
    scene->probe_soon = scene->probe_soon || (probe && scene->input->call != CFA_CALL_RETRIEVE);
    return status;
}

static cfa_status bind(struct scene *scene, const cfa_facts *facts, bool *out_ours) {
    cfa__evidence evidence = { facts, CFA__ID_NULL, &scene->input->provider,
                               scene->input->refunds_suspects };
    return cfa__object_bind(scene->set, scene->payment, &evidence, out_ours);
}

/* Apply what a reply says about a payment whose object is known, and what waited for that. */
static cfa_status bind_and_apply(struct scene *scene, const cfa_facts *facts) {
    bool ours = true;
    cfa_status status = CFA_OK;
    if (is_about(scene->payment, facts))
        status = bind(scene, facts, &ours);
    scene->refused = scene->refused || !ours;
    return status == CFA_OK && ours ? apply(scene, facts) : status;
}

/* Fix the answer, once, in the commit that stores the provider's object. */
static cfa_status fix_answer(struct scene *scene) {
    if (scene->answer != NULL)
        return CFA_OK;
    cfa__answer answer = {
        .pledge_id = scene->payment->pledge_id,
        .client_secret = cfa__slice(scene->input->reply.client_secret),
        .created_us = cfa__now_us(scene->set),
        .redirect_url = cfa__slice(scene->input->reply.redirect_url),
    };
    cfa_status status =
        cfa__answer_build(&answer.body, cfa__batch_arena(scene->set), scene->pledge, scene->payment,
                          scene->input->reply.client_secret, scene->input->reply.redirect_url);
    void *draft = NULL;
    if (status == CFA_OK)
        status = cfa__insert(scene->set, &cfa__answer_kind, &answer, &draft);
    if (status == CFA_OK)
        scene->answer = draft;
    return status;
}

/* A payment whose object is known is probed until it is final, in case every webhook is lost. */
static cfa_status start_probe(struct scene *scene) {
    if (cfa__payment_is_final((cfa_payment_state)scene->payment->state))
        return CFA_OK;
    return cfa__operation_append(scene->set, &scene->input->provider, scene->payment,
                                 CFA_CALL_RETRIEVE, 0, CFA__ID_NULL,
                                 cfa__now_us(scene->set) + delay_us(1, false));
}

static bool is_found(const cfa_reply *reply) {
    return (reply->outcome == CFA_OUTCOME_DONE || reply->outcome == CFA_OUTCOME_PENDING) &&
           reply->facts.ref != NULL && reply->facts.ref[0] != '\0';
}

/* ---- per kind of operation ------------------------------------------------------------------- */

static cfa_status created(struct scene *scene) {
    const cfa_facts *facts = &scene->input->reply.facts;
    bool ours;
    cfa_status status = bind(scene, facts, &ours);
    if (status == CFA_OK && !ours)
        return doubt_begin(scene); /* another payment's object says nothing about this one */
    if (status == CFA_OK)
        status = apply(scene, facts);
    if (status == CFA_OK)
        status = doubt_end(scene);
    if (status != CFA_OK)
        return status;
    close_operation(scene, CFA__OPERATION_DONE);
    status = fix_answer(scene);
    return status == CFA_OK ? start_probe(scene) : status;
}

/* Nothing was ever made at the provider: the payment ends by our own word. */
static cfa_status end_without_object(struct scene *scene, uint32_t flag, const char *reason) {
    cfa_facts facts = CFA_FACTS_INIT;
    facts.flags = flag;
    facts.attempt = (int32_t)scene->operation->attempt;
    facts.occurred_us = cfa__now_us(scene->set);
    if (flag == CFA_FACT_FAILED)
        facts.failure_code = reason;
    else
        facts.cancel_reason = reason;
    cfa_status status = apply(scene, &facts);
    if (status == CFA_OK)
        status = fix_answer(scene);
    close_operation(scene,
                    flag == CFA_FACT_FAILED ? CFA__OPERATION_REFUSED : CFA__OPERATION_CLOSED);
    return status;
}

/* Nothing reached the provider: no doubt, so the tries need not become as rare as probes do. */
static cfa_status try_unsent_again(struct scene *scene) {
    cfa__operation *operation = scene->operation;
    int64_t tries = operation->tries < UNSENT_TRIES_MAX ? operation->tries : UNSENT_TRIES_MAX;
    operation->first_sent_us = operation->last_sent_us = 0;
    schedule(scene, delay_us(tries, true));
    return CFA_OK;
}

/* True when whatever was sent must have arrived: a leased call may be made until its lease ends. */
static bool is_long_ago(const struct scene *scene) {
    int64_t wait_us = CFA__ABSENCE_DELAY_US + scene->input->lease_ms * 1000;
    return cfa__now_us(scene->set) - scene->operation->last_sent_us >= wait_us;
}

/* True when a look-up that finds nothing is enough at once: the provider repeats an error that it has
 * stored under the key, so no request with it is on its way any more, and what it may still come to
 * show cannot be paid, because nobody was ever told of it. A one-step charge is no such thing. */
static bool is_over_unpaid(const struct scene *scene) {
    bool two_step = (scene->input->provider.ops->capabilities & CFA_PROVIDER_TWO_STEP) != 0;
    return two_step && scene->operation->stored == CFA__STORED_ERROR;
}

/* A look-up found nothing, long after the call. Once is not enough: the wall clock may just have
 * jumped while the request was still on its way. The key is retired, only look-ups follow, and the
 * same must be found after as long again. */
static cfa_status absence_begin(struct scene *scene) {
    cfa__operation *operation = scene->operation;
    int64_t now_us = cfa__now_us(scene->set);
    cfa_status status = doubt_begin(scene);
    operation->first_sent_us = KEY_RETIRED_US;
    operation->last_sent_us = now_us;
    schedule(scene, CFA__ABSENCE_DELAY_US + scene->input->lease_ms * 1000);
    return status;
}

static cfa_status after_create(struct scene *scene) {
    const cfa_reply *reply = &scene->input->reply;
    cfa__operation *operation = scene->operation;
    int64_t now_us = cfa__now_us(scene->set);
    if (is_found(reply))
        return created(scene);
    bool in_doubt = operation->state == CFA__OPERATION_UNKNOWN;
    if (scene->input->call == CFA_CALL_LOOKUP && reply->outcome == CFA_OUTCOME_NOT_SENT) {
        if (scene->input->lookup_authoritative && is_over_unpaid(scene))
            return start_over(scene);
        if (!scene->input->lookup_authoritative || !is_long_ago(scene))
            return doubt_begin(scene);
        return operation->first_sent_us == KEY_RETIRED_US ? start_over(scene)
                                                          : absence_begin(scene);
    }
    if (in_doubt || reply->outcome == CFA_OUTCOME_UNKNOWN ||
        reply->outcome == CFA_OUTCOME_PENDING || reply->outcome == CFA_OUTCOME_DONE)
        return doubt_begin(scene); /* DONE without a reference proves nothing either */
    if (reply->outcome == CFA_OUTCOME_REFUSED)
        return end_without_object(scene, CFA_FACT_FAILED,
                                  reply->code != NULL ? reply->code : "refused");
    assert(reply->outcome == CFA_OUTCOME_NOT_SENT);
    if (now_us >= scene->payment->expires_us)
        return end_without_object(scene, CFA_FACT_EXPIRED, "never_sent");
    if (operation->state == CFA__OPERATION_DEFERRED) { /* the clock ran ahead, and came back */
        schedule(scene, scene->payment->expires_us - now_us);
        return CFA_OK;
    }
    return try_unsent_again(scene);
}

/* Capture and cancel act on a known object; its state decides what a doubtful call did. */
static cfa_status after_change(struct scene *scene) {
    const cfa_reply *reply = &scene->input->reply;
    cfa__operation *operation = scene->operation;
    bool told = is_found(reply);
    if (told) {
        cfa_status status = bind_and_apply(scene, &reply->facts);
        if (status != CFA_OK)
            return status;
    }
    const cfa__payment *payment = scene->payment;
    bool took_effect = operation->call == CFA_CALL_CAPTURE
                           ? payment->captured_minor > 0
                           : (payment->durable & CFA_FACT_CANCELED) != 0;
    if (took_effect || cfa__payment_is_final((cfa_payment_state)payment->state) ||
        (told && scene->input->call == operation->call && reply->outcome == CFA_OUTCOME_DONE)) {
        close_operation(scene, CFA__OPERATION_DONE);
        return doubt_end(scene);
    }
    if (reply->outcome == CFA_OUTCOME_PENDING) {
        /* Accepted, not done: it stays open, so that no second one starts, and reads decide. */
        operation->state = CFA__OPERATION_UNKNOWN;
        schedule(scene, delay_us(operation->tries, false));
        return CFA_OK;
    }
    if (reply->outcome == CFA_OUTCOME_REFUSED && operation->state == CFA__OPERATION_READY) {
        close_operation(scene, CFA__OPERATION_REFUSED);
        scene->probe_soon = true;
        return CFA_OK;
    }
    if (reply->outcome == CFA_OUTCOME_NOT_SENT && operation->state == CFA__OPERATION_READY) {
        return try_unsent_again(scene);
    }
    bool settled_absence =
        told && !scene->refused && scene->input->call == CFA_CALL_RETRIEVE && is_long_ago(scene);
    return settled_absence ? start_over(scene) : doubt_begin(scene);
}

/* A refund acts on a known object as well; what counts is whether the provider names it. */
static cfa_status after_refund(struct scene *scene) {
    const cfa_reply *reply = &scene->input->reply;
    cfa__operation *operation = scene->operation;
    bool told = is_found(reply);
    cfa_status status = told ? bind_and_apply(scene, &reply->facts) : CFA_OK;
    const void *found = NULL;
    if (status == CFA_OK)
        status = cfa__find_id(scene->set, &cfa__refund_kind, operation->refund_id, &found);
    if (status != CFA_OK)
        return status;
    const cfa__refund *refund = found;
    assert(refund != NULL);
    if (refund->ref.data != NULL) {
        close_operation(scene, CFA__OPERATION_DONE);
        return doubt_end(scene);
    }
    if (reply->outcome == CFA_OUTCOME_REFUSED && operation->state == CFA__OPERATION_READY) {
        close_operation(scene, CFA__OPERATION_REFUSED);
        scene->probe_soon = true; /* somebody may have given the money back already */
        return cfa__refund_reject(scene->set, scene->payment, refund->id,
                                  reply->code != NULL ? reply->code : "refused");
    }
    if (reply->outcome == CFA_OUTCOME_NOT_SENT && operation->state == CFA__OPERATION_READY) {
        if (!cfa__payment_is_promised_twice(scene->payment))
            return try_unsent_again(scene);
        close_operation(scene, CFA__OPERATION_CLOSED);
        return cfa__refund_reject(scene->set, scene->payment, refund->id, "disputed");
    }
    bool reads_all = (scene->input->provider.ops->capabilities & CFA_PROVIDER_READS_REVERSALS) != 0;
    if (!told || scene->refused || scene->input->call != CFA_CALL_RETRIEVE || !reads_all ||
        !is_long_ago(scene))
        return doubt_begin(scene);
    if (operation->first_sent_us != KEY_RETIRED_US)
        return absence_begin(scene);
    /* Twice not there, and the key is never sent again: whoever wants it asks anew. */
    close_operation(scene, CFA__OPERATION_CLOSED);
    status = cfa__refund_reject(scene->set, scene->payment, refund->id, "never_made");
    return status == CFA_OK ? doubt_end(scene) : status;
}

/* True when an unpaid payment is to be cancelled at the provider: its time is over, or its
 * campaign's is and the campaign refuses late money. */
static cfa_status is_overdue(const struct scene *scene, bool *out) {
    const cfa__payment *payment = scene->payment;
    int64_t now_us = cfa__now_us(scene->set);
    bool unpaid = payment->state == CFA_PAYMENT_PENDING ||
                  payment->state == CFA_PAYMENT_REQUIRES_ACTION ||
                  payment->state == CFA_PAYMENT_FAILED;
    *out = unpaid && now_us >= payment->expires_us;
    if (!unpaid || *out)
        return CFA_OK;
    const void *found;
    cfa_status status = cfa__find_id(scene->set, &cfa__campaign_kind, payment->campaign_id, &found);
    if (status != CFA_OK)
        return status;
    const cfa__campaign *campaign = found;
    assert(campaign != NULL);
    *out = cfa__campaign_has_ended(campaign, now_us) &&
           (campaign->late_rule == CFA_LATE_REFUSE || campaign->late_rule == CFA_LATE_REFUND);
    return CFA_OK;
}

static cfa_status after_probe(struct scene *scene) {
    const cfa_reply *reply = &scene->input->reply;
    cfa__operation *operation = scene->operation;
    if (is_found(reply)) {
        /* One bind drains a bounded number of parked webhooks; the probes go on with the rest. */
        cfa_status status = bind_and_apply(scene, &reply->facts);
        if (status != CFA_OK)
            return status;
    }
    /* It stood for a question, which a call that failed, or news that came during it, leaves open. */
    bool answered =
        (is_found(reply) || reply->outcome == CFA_OUTCOME_REFUSED) && !scene->read_again;
    if (answered && cfa__payment_is_final((cfa_payment_state)scene->payment->state) &&
        scene->payment->open_count == 0) {
        close_operation(scene, CFA__OPERATION_CLOSED);
        return CFA_OK;
    }
    int64_t delay = delay_us(operation->tries, false);
    int64_t left = scene->payment->expires_us - cfa__now_us(scene->set);
    if (left > 0 && delay > left)
        delay = left < SECOND_US ? SECOND_US : left;
    schedule(scene, scene->read_again ? SECOND_US : delay);
    if (!is_found(reply))
        return CFA_OK;
    bool overdue;
    const cfa__operation *open = NULL;
    cfa_status status = is_overdue(scene, &overdue);
    if (status == CFA_OK && overdue)
        status = cfa__operation_find_open(scene->set, scene->payment, CFA_CALL_CANCEL, &open);
    /* One cancel at a time; a refused one is tried again with a later probe, up to the limit of
     * operations. */
    if (status != CFA_OK || !overdue || open != NULL ||
        scene->payment->operation_count >= CFA__OPERATIONS_PER_PAYMENT_MAX)
        return status;
    return cfa__operation_append(scene->set, &scene->input->provider, scene->payment,
                                 CFA_CALL_CANCEL, 0, CFA__ID_NULL, cfa__now_us(scene->set));
}

/* ---- the command ----------------------------------------------------------------------------- */

static cfa_status find_scene(struct scene *scene, const cfa__donor **out_donor) {
    cfa__working_set *set = scene->set;
    cfa__operation operation_key;
    memset(&operation_key, 0, sizeof operation_key);
    operation_key.payment_id = scene->input->payment_id;
    operation_key.number = scene->input->number;
    void *payment = NULL, *operation = NULL;
    cfa_status status = cfa__edit_id(set, &cfa__payment_kind, scene->input->payment_id, &payment);
    cfa_status operation_status = cfa__edit(set, &cfa__operation_kind, &operation_key, &operation);
    if (status == CFA_OK)
        status = operation_status;
    if (status != CFA_OK)
        return status;
    if (payment == NULL || operation == NULL)
        return cfa_error_set(CFA_ENOTFOUND, ORIGIN, "payment_id", 0, "there is no such operation");
    scene->payment = payment;
    scene->operation = operation;
    const void *pledge = NULL, *answer = NULL, *donor = NULL;
    status = cfa__find_id(set, &cfa__pledge_kind, scene->payment->pledge_id, &pledge);
    cfa_status answer_status =
        cfa__find_id(set, &cfa__answer_kind, scene->payment->pledge_id, &answer);
    if (status == CFA_OK)
        status = answer_status;
    if (status != CFA_OK)
        return status;
    assert(pledge != NULL);
    scene->pledge = pledge;
    scene->answer = answer;
    if (!cfa__id_is_null(scene->pledge->donor_id))
        status = cfa__find_id(set, &cfa__donor_kind, scene->pledge->donor_id, &donor);
    *out_donor = donor;
    return status;
}

static int64_t stored_of(const cfa_reply *reply) {
    if (reply->stored == 0)
        return 0;
    return reply->outcome == CFA_OUTCOME_UNKNOWN ? CFA__STORED_ERROR : CFA__STORED_ANSWER;
}

cfa_status cfa__operation_result(cfa__working_set *set, cfa__command *command) {
    cfa__result_answer *answer = command->output;
    struct scene scene = { .set = set, .input = command->input };
    const cfa__donor *donor = NULL;
    cfa_status status = find_scene(&scene, &donor);
    if (status != CFA_OK)
        return status;
    cfa__operation *operation = scene.operation;
    bool ours = cfa__id_compare(operation->lease_owner, scene.input->lease_id) == 0 &&
                operation->tries + 1 == scene.input->try_number;
    /* Our own earlier commit, its word lost, or the same report again. */
    bool repeated = cfa__id_is_null(operation->lease_owner) &&
                    operation->tries == scene.input->try_number &&
                    operation->lease_epoch == scene.input->lease_epoch;
    if (ours) {
        operation->tries++;
        operation->outcome = scene.input->reply.outcome;
        scene.read_again = operation->stored == CFA__READ_AGAIN;
        if (scene.input->call == operation->call)
            operation->stored = stored_of(&scene.input->reply);
        operation->code = cfa__slice(scene.input->reply.code);
        operation->updated_us = cfa__now_us(set);
        status = cfa__keep(set, &operation->code);
        if (status != CFA_OK)
            return status;
        switch (operation->call) {
        case CFA_CALL_CREATE: status = after_create(&scene); break;
        case CFA_CALL_RETRIEVE: status = after_probe(&scene); break;
        case CFA_CALL_REFUND: status = after_refund(&scene); break;
        default: status = after_change(&scene); break;
        }
    } else if (is_found(&scene.input->reply)) {
        /* Late, but evidence all the same: what the provider said is never thrown away. */
        bool bound = true;
        if (operation->call == CFA_CALL_CREATE)
            status = bind(&scene, &scene.input->reply.facts, &bound);
        if (status == CFA_OK && bound)
            status = bind_and_apply(&scene, &scene.input->reply.facts);
        /* Only this reply holds what the donor confirms with: the probe that ends the doubt may not
         * bring it. */
        if (status == CFA_OK && bound && scene.input->call == CFA_CALL_CREATE)
            status = fix_answer(&scene);
    }
    if (status == CFA_OK && scene.probe_soon)
        status = cfa__operation_expedite(set, scene.payment);
    if (status == CFA_OK && !ours)
        status = cfa__read_head(set, &command->position);
    if (status != CFA_OK)
        return status;
    answer->pledge = scene.pledge;
    answer->payment = scene.payment;
    answer->donor = donor;
    answer->answer = scene.answer;
    answer->fenced = !ours && !repeated;
    return CFA_OK;
}
