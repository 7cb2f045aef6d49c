/*
 * pledge.c - a pledge, its key, its payment, its provider operation and its event, in one commit or
 * not at all.
 */
#include "core/decide/evidence.h"
#include "util/buffer.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.pledge"

/* The caller makes the call itself, right after the commit; without a lease whoever finds it does. */
static void lease_first(cfa__operation *operation, const cfa__pledge_input *input, int64_t now_us) {
    operation->due_us = now_us;
    operation->updated_us = now_us;
    if (input->lease_ms == 0)
        return;
    operation->due_us = now_us + input->lease_ms * 1000;
    operation->lease_owner = input->lease_id;
    operation->lease_epoch++;
    operation->first_sent_us = operation->last_sent_us = now_us;
}

/* The provider was out when this key came first; now that it comes again, the call may be made. */
static cfa_status revive(cfa__working_set *set, const cfa__pledge_input *input,
                         const cfa__operation *deferred, cfa__pledge_answer *answer) {
    bool admitted;
    int64_t retry_us;
    cfa_status status = cfa__circuit_admit(set, &input->circuit, &admitted, &retry_us);
    if (status != CFA_OK)
        return status;
    if (!admitted) {
        answer->refused_until_us = retry_us;
        return CFA_OK;
    }
    void *draft;
    status = cfa__edit(set, &cfa__operation_kind, deferred, &draft);
    if (status != CFA_OK)
        return status;
    cfa__operation *operation = draft;
    operation->state = CFA__OPERATION_READY;
    lease_first(operation, input, cfa__now_us(set));
    answer->operation = input->lease_ms > 0 ? operation : NULL;
    return CFA_OK;
}

/* Collect the answer to a repeat: everything as it stands now, and the fixed bytes if there are
 * any. */
static cfa_status answer_repeat(cfa__working_set *set, cfa__command *command, cfa__id pledge_id) {
    const cfa__pledge_input *input = command->input;
    cfa__pledge_answer *answer = command->output;
    const void *pledge = NULL, *fixed = NULL, *payment = NULL, *donor = NULL, *operation = NULL;
    cfa_status status = cfa__find_id(set, &cfa__pledge_kind, pledge_id, &pledge);
    cfa_status fixed_status = cfa__find_id(set, &cfa__answer_kind, pledge_id, &fixed);
    cfa_status head_status = cfa__read_head(set, &command->position);
    if (status == CFA_OK)
        status = fixed_status;
    if (status == CFA_OK)
        status = head_status;
    if (status != CFA_OK)
        return status;
    if (pledge == NULL)
        return cfa_error_set(CFA_ECORRUPT, ORIGIN, "key", 0,
                             "the key names a pledge that is not there");
    const cfa__pledge *found = pledge;
    cfa__operation operation_key;
    memset(&operation_key, 0, sizeof operation_key);
    operation_key.payment_id = found->payment_id;
    operation_key.number = 1;
    status = cfa__find_id(set, &cfa__payment_kind, found->payment_id, &payment);
    cfa_status donor_status = cfa__id_is_null(found->donor_id)
                                  ? CFA_OK
                                  : cfa__find_id(set, &cfa__donor_kind, found->donor_id, &donor);
    cfa_status operation_status = cfa__find(set, &cfa__operation_kind, &operation_key, &operation);
    if (status == CFA_OK)
        status = donor_status;
    if (status == CFA_OK)
        status = operation_status;
    if (status != CFA_OK)
        return status;
    assert(payment != NULL && operation != NULL);
    answer->pledge = pledge;
    answer->payment = payment;
    answer->donor = donor;
    answer->answer = fixed;
    answer->replayed = cfa__id_compare(pledge_id, input->pledge_id) != 0;
    if (((const cfa__operation *)operation)->state == CFA__OPERATION_DEFERRED)
        return revive(set, input, operation, answer);
    /* Our own earlier commit, which made or revived it, its reply lost: the lease is still ours to
     * use. */
    const cfa__operation *first = operation;
    if (cfa__id_compare(first->lease_owner, input->lease_id) == 0 && input->lease_ms > 0)
        answer->operation = first;
    return CFA_OK;
}

static cfa_status check_campaign(cfa__working_set *set, const cfa__pledge_input *input,
                                 const cfa__campaign *campaign) {
    if (campaign == NULL)
        return cfa_error_set(CFA_ENOTFOUND, ORIGIN, "campaign_id", 0, "there is no such campaign");
    if (campaign->state != CFA_CAMPAIGN_OPEN)
        return cfa_error_set(CFA_ECLOSED, ORIGIN, "campaign_id", 0, "the campaign has ended");
    if (campaign->deadline_us != 0 && cfa__now_us(set) >= campaign->deadline_us)
        return cfa_error_set(CFA_ECLOSED, ORIGIN, "campaign_id", 0,
                             "the campaign's deadline has passed");
    if (!cfa__currency_is_listed(campaign->currencies, input->amount.currency)) {
        return cfa_error_format(CFA_ECURRENCY, ORIGIN, "amount.currency", 0,
                                "the campaign accepts %.*s, not %s", (int)campaign->currencies.size,
                                (const char *)campaign->currencies.data, input->amount.currency);
    }
    return CFA_OK;
}

static cfa_status insert_donor(cfa__working_set *set, const cfa__pledge_input *input,
                               const cfa__donor **out) {
    bool personal = input->reference.data != NULL || input->name.data != NULL ||
                    input->email.data != NULL || input->message.data != NULL ||
                    input->visibility != CFA_VISIBILITY_PUBLIC;
    *out = NULL;
    if (!personal)
        return CFA_OK;
    cfa__donor donor = {
        .id = input->donor_id,
        .person_id = input->person_id,
        .reference = input->reference,
        .name = input->name,
        .email = input->email,
        .message = input->message,
        .visibility = input->visibility,
        .created_us = cfa__now_us(set),
    };
    void *draft = NULL;
    cfa_status status = cfa__insert(set, &cfa__donor_kind, &donor, &draft);
    *out = draft;
    return status;
}

/* `retry_us`: the provider is out until then; 0: it is not. */
static cfa_status insert_operation(cfa__working_set *set, const cfa__pledge_input *input,
                                   cfa__payment *payment, int64_t retry_us,
                                   const cfa__operation **out) {
    int64_t now_us = cfa__now_us(set);
    payment->operation_count = 1;
    cfa__operation operation = {
        .payment_id = payment->id,
        .number = 1,
        .call = CFA_CALL_CREATE,
        .attempt = 1,
        .idempotency_key = input->idempotency_key,
        .body = input->body,
        .method = input->method,
        .amount_minor = input->amount.minor,
        .state = CFA__OPERATION_READY,
        .due_us = now_us,
        .created_us = now_us,
        .updated_us = now_us,
    };
    bool leased = retry_us == 0 && input->lease_ms > 0;
    if (leased) {
        lease_first(&operation, input, now_us);
    } else if (retry_us != 0 && input->circuit_queues) {
        operation.due_us = retry_us;
    } else if (retry_us != 0) {
        operation.state = CFA__OPERATION_DEFERRED;
        operation.due_us = payment->expires_us; /* to end what nobody asked for again */
        operation.outcome = CFA_OUTCOME_NOT_SENT;
    }
    void *draft = NULL;
    cfa_status status = cfa__insert(set, &cfa__operation_kind, &operation, &draft);
    *out = leased ? draft : NULL;
    return status;
}

static cfa_status create(cfa__working_set *set, cfa__command *command, int64_t retry_us) {
    const cfa__pledge_input *input = command->input;
    cfa__pledge_answer *answer = command->output;
    int64_t now_us = cfa__now_us(set);
    cfa_status status = cfa__key_bind(set, &input->keyed, input->pledge_id);
    if (status == CFA_OK)
        status = insert_donor(set, input, &answer->donor);
    if (status != CFA_OK)
        return status;
    cfa__pledge pledge = {
        .id = input->pledge_id,
        .campaign_id = input->campaign_id,
        .payment_id = input->payment_id,
        .donor_id = answer->donor != NULL ? input->donor_id : CFA__ID_NULL,
        .amount_minor = input->amount.minor,
        .created_us = now_us,
    };
    memcpy(pledge.currency, input->amount.currency, sizeof pledge.currency);
    cfa__payment payment = {
        .id = input->payment_id,
        .pledge_id = input->pledge_id,
        .campaign_id = input->campaign_id,
        .person_id = input->person_id,
        .amount_minor = input->amount.minor,
        .provider = input->provider,
        .account = input->account,
        .state = CFA_PAYMENT_PENDING,
        .expires_us = now_us + input->expires_ms * 1000,
        .trace = input->trace,
        .capture_manual = input->capture_manual,
        .created_us = now_us,
        .updated_us = now_us,
    };
    memcpy(payment.currency, input->amount.currency, sizeof payment.currency);
    void *pledge_draft, *payment_draft;
    status = cfa__insert(set, &cfa__pledge_kind, &pledge, &pledge_draft);
    if (status == CFA_OK)
        status = cfa__insert(set, &cfa__payment_kind, &payment, &payment_draft);
    if (status == CFA_OK)
        status = insert_operation(set, input, payment_draft, retry_us, &answer->operation);
    if (status == CFA_OK) {
        status = cfa__log_transition(set, payment_draft, 0, CFA_PAYMENT_PENDING, "P01", false,
                                     CFA__ID_NULL, CFA__ID_NULL);
    }
    if (status == CFA_OK)
        status = cfa__emit_payment(set, payment_draft, CFA__EVENT_PLEDGE_CREATED);
    if (status == CFA_OK && retry_us != 0)
        status = cfa__emit_payment(set, payment_draft, CFA__EVENT_PLEDGE_DEFERRED);
    if (status == CFA_OK) {
        answer->refused_until_us = input->circuit_queues ? 0 : retry_us;
        answer->pledge = pledge_draft;
        answer->payment = payment_draft;
    }
    return status;
}

cfa_status cfa__pledge_create(cfa__working_set *set, cfa__command *command) {
    const cfa__pledge_input *input = command->input;
    cfa__id resource;
    const void *found = NULL;
    cfa_status status = cfa__key_resolve(set, &input->keyed, &resource);
    if (status < 0)
        return status;
    cfa_status campaign_status = cfa__find_id(set, &cfa__campaign_kind, input->campaign_id, &found);
    if (status == CFA__MISS)
        return CFA__MISS;
    if (!cfa__id_is_null(resource))
        return answer_repeat(set, command, resource);
    if (campaign_status != CFA_OK)
        return campaign_status;
    const cfa__campaign *campaign = found;
    status = check_campaign(set, input, campaign);
    if (status != CFA_OK)
        return status;
    bool admitted;
    int64_t retry_us;
    status = cfa__circuit_admit(set, &input->circuit, &admitted, &retry_us);
    if (status != CFA_OK)
        return status;
    /* The campaign must still be open when this commits. */
    status = cfa__guard(set, &cfa__campaign_kind, campaign);
    return status == CFA_OK ? create(set, command, admitted ? 0 : retry_us) : status;
}

/* What of a donor is there, never what it says: an act is never erased. */
static cfa_status describe_donor(cfa__working_set *set, const cfa__donor *donor, cfa_slice *out) {
    cfa__buffer json;
    cfa__buffer_init(&json, cfa__batch_arena(set), 96);
    cfa__json_open(&json, NULL, '{');
    cfa__json_bool(&json, "reference", donor->reference.data != NULL);
    cfa__json_bool(&json, "name", donor->name.data != NULL);
    cfa__json_bool(&json, "email", donor->email.data != NULL);
    cfa__json_bool(&json, "message", donor->message.data != NULL);
    cfa__json_close(&json, '}');
    return cfa__buffer_finish(&json, out);
}

cfa_status cfa__donor_erase(cfa__working_set *set, cfa__command *command) {
    const cfa__erase_input *input = command->input;
    const void *found;
    cfa_status status = cfa__find_id(set, &cfa__pledge_kind, input->pledge_id, &found);
    if (status != CFA_OK)
        return status;
    const cfa__pledge *pledge = found;
    if (pledge == NULL)
        return cfa_error_set(CFA_ENOTFOUND, ORIGIN, "pledge_id", 0, "there is no such pledge");
    if (cfa__id_is_null(pledge->donor_id))
        return CFA_OK;
    status = cfa__find_id(set, &cfa__donor_kind, pledge->donor_id, &found);
    if (status != CFA_OK)
        return status;
    assert(found != NULL);
    if (((const cfa__donor *)found)->erased_us != 0)
        return CFA_OK;
    void *draft;
    status = cfa__edit_id(set, &cfa__donor_kind, pledge->donor_id, &draft);
    if (status != CFA_OK)
        return status;
    cfa__donor *donor = draft;
    char subject[CFA_ID_TEXT_SIZE];
    cfa__id_format(subject, "plg", input->pledge_id);
    cfa__act act = {
        .action = cfa__slice("donor.erase"),
        .subject = cfa__slice(subject),
        .actor = input->by.actor,
        .reason = input->by.reason,
    };
    status = describe_donor(set, donor, &act.before);
    if (status != CFA_OK)
        return status;
    donor->reference = donor->name = donor->email = donor->message = (cfa_slice){ NULL, 0 };
    donor->erased_us = cfa__now_us(set);
    status = describe_donor(set, donor, &act.after);
    return status == CFA_OK ? cfa__act_append(set, &act) : status;
}
