/*
 * operation.c - provider calls as records: asked for, leased, and which call comes next. The call
 * itself is made outside, after the lease has committed.
 */
#include "core/decide/evidence.h"
#include "core/decide/payment_machine.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define ORIGIN "core.operation"
#define EXPEDITE_US INT64_C(1000000)

void cfa__operation_key(char out[64], cfa__id payment_id, int64_t number, int64_t attempt) {
    char uuid[37];
    cfa__id_format_uuid(uuid, payment_id);
    int written =
        snprintf(out, 64, "cfa_%s_%lld_%lld", uuid, (long long)number, (long long)attempt);
    assert(written > 0 && written < 64);
    (void)written;
}

int32_t cfa__operation_next_call(const cfa__operation *operation, const cfa__payment *payment,
                                 int64_t now_us) {
    int32_t own = (int32_t)operation->call;
    if (own == CFA_CALL_RETRIEVE || operation->state != CFA__OPERATION_UNKNOWN)
        return own;
    bool key_is_safe =
        operation->first_sent_us != 0 && now_us - operation->first_sent_us < CFA__KEY_GUARD_US;
    /* The same key and a look-up take turns: the first repairs a lost request, the second sees past
     * an error that the provider has stored under the key; where it says so, asking again is
     * useless. */
    bool resend = key_is_safe && operation->stored == 0 && operation->tries % 2 == 1;
    if (own == CFA_CALL_CREATE) {
        if (payment->ref.data != NULL)
            return CFA_CALL_RETRIEVE;
        return resend ? CFA_CALL_CREATE : CFA_CALL_LOOKUP;
    }
    return resend ? own : CFA_CALL_RETRIEVE;
}

cfa_status cfa__operation_find(cfa__working_set *set, cfa__id payment_id, int64_t number,
                               const cfa__operation **out) {
    cfa__operation key;
    memset(&key, 0, sizeof key);
    key.payment_id = payment_id;
    key.number = number;
    const void *found = NULL;
    cfa_status status = cfa__find(set, &cfa__operation_kind, &key, &found);
    *out = found;
    return status;
}

/* The payment's standing probe, open or closed; NULL when it never had one. */
static cfa_status find_probe(cfa__working_set *set, const cfa__payment *payment,
                             const cfa__operation **out) {
    *out = NULL;
    bool missed = false;
    for (int64_t number = 1; number <= payment->operation_count; number++) {
        const cfa__operation *operation;
        cfa_status status = cfa__operation_find(set, payment->id, number, &operation);
        if (status == CFA__MISS)
            missed = true;
        else if (status != CFA_OK)
            return status;
        else if (operation != NULL && operation->call == CFA_CALL_RETRIEVE &&
                 (*out == NULL || (*out)->due_us == 0))
            *out = operation;
    }
    return missed ? CFA__MISS : CFA_OK;
}

/* It was closed when the payment was final; now there is more to be heard. */
static void probe_reopen(cfa__operation *probe, int64_t due_us, int64_t now_us) {
    probe->state = CFA__OPERATION_READY;
    probe->due_us = due_us;
    probe->lease_owner = CFA__ID_NULL;
    probe->stored = 0;
    probe->tries = 0;
    probe->updated_us = now_us;
}

bool cfa__operation_can_hasten(const cfa__operation *operation, int64_t now_us) {
    return operation->due_us > now_us && cfa__id_is_null(operation->lease_owner) &&
           operation->state != CFA__OPERATION_DEFERRED;
}

cfa_status cfa__operation_expedite(cfa__working_set *set, cfa__payment *payment) {
    const cfa__operation *known;
    cfa_status status = find_probe(set, payment, &known);
    int64_t soon = cfa__now_us(set) + EXPEDITE_US;
    if (status != CFA_OK)
        return status;
    if (known == NULL) {
        bool can =
            payment->ref.data != NULL && payment->operation_count < CFA__OPERATIONS_PER_PAYMENT_MAX;
        return can ? cfa__operation_append(set, NULL, payment, CFA_CALL_RETRIEVE, 0, CFA__ID_NULL,
                                           soon)
                   : CFA_OK;
    }
    bool leased = !cfa__id_is_null(known->lease_owner), closed = known->due_us == 0;
    if (!closed && (leased ? known->stored == CFA__READ_AGAIN : known->due_us <= soon))
        return CFA_OK;
    void *draft;
    status = cfa__edit(set, &cfa__operation_kind, known, &draft);
    if (status != CFA_OK)
        return status;
    cfa__operation *probe = draft;
    if (closed)
        probe_reopen(probe, soon, cfa__now_us(set));
    else if (leased)
        probe->stored = CFA__READ_AGAIN;
    else
        probe->due_us = soon;
    return CFA_OK;
}

/* ---- asked for by a caller ------------------------------------------------------------------- */

cfa_status cfa__operation_find_open(cfa__working_set *set, const cfa__payment *payment,
                                    int32_t call, const cfa__operation **out) {
    *out = NULL;
    bool missed = false;
    for (int64_t number = 1; number <= payment->operation_count; number++) {
        const cfa__operation *operation;
        cfa_status status = cfa__operation_find(set, payment->id, number, &operation);
        if (status == CFA__MISS)
            missed = true;
        else if (status != CFA_OK)
            return status;
        else if (operation != NULL && operation->call == call && operation->due_us != 0)
            *out = operation;
    }
    return missed ? CFA__MISS : CFA_OK;
}

static cfa_status check_request(const cfa__operation_input *input, const cfa__payment *payment) {
    const char *state = cfa_payment_state_name((cfa_payment_state)payment->state);
    if (input->call == CFA_CALL_CAPTURE) {
        if (payment->state != CFA_PAYMENT_AUTHORIZED) {
            return cfa_error_format(CFA_ESTATE, ORIGIN, "payment_id", 0,
                                    "only an AUTHORIZED payment can be captured; this one is %s",
                                    state);
        }
        int64_t authorized_minor = cfa__payment_authorized_minor(payment);
        if (input->amount_minor > authorized_minor) {
            return cfa_error_format(CFA_ERANGE, ORIGIN, "amount.minor", 0,
                                    "%lld is above the %lld that are authorized",
                                    (long long)input->amount_minor, (long long)authorized_minor);
        }
        if (input->amount_minor > 0 && memcmp(input->currency, payment->currency, 4) != 0) {
            return cfa_error_format(CFA_ECURRENCY, ORIGIN, "amount.currency", 0,
                                    "the payment is in %s", payment->currency);
        }
        return CFA_OK;
    }
    if (payment->state == CFA_PAYMENT_CAPTURED ||
        cfa__payment_is_final((cfa_payment_state)payment->state)) {
        return cfa_error_format(CFA_ESTATE, ORIGIN, "payment_id", 0,
                                "a payment that is %s cannot be cancelled", state);
    }
    if (payment->ref.data == NULL) {
        return cfa_error_set(CFA_ESTATE, ORIGIN, "payment_id", 0,
                             "the provider has not answered yet; try again");
    }
    return CFA_OK;
}

cfa_status cfa__call_fill(cfa_call *out, cfa_arena *arena, const cfa__operation *operation,
                          const cfa__payment *payment, int32_t kind, int64_t now_us,
                          int32_t timeout_ms) {
    char payment_id[CFA_ID_TEXT_SIZE], operation_id[64], refund_id[CFA_ID_TEXT_SIZE];
    cfa__id_format(payment_id, "pay", payment->id);
    int written = snprintf(operation_id, sizeof operation_id, "%s/%lld", payment_id,
                           (long long)operation->number);
    assert(written > 0 && (size_t)written < sizeof operation_id);
    (void)written;
    bool failed = false;
    cfa_call call = {
        .struct_size = sizeof call,
        .kind = kind,
        .operation_id = cfa__text_of(arena, cfa__slice(operation_id), &failed),
        .payment_id = cfa__text_of(arena, cfa__slice(payment_id), &failed),
        .idempotency_key = cfa__text_of(arena, operation->idempotency_key, &failed),
        .account = cfa__text_of(arena, payment->account, &failed),
        .ref = cfa__text_of(arena, payment->ref, &failed),
        .payment_method = cfa__text_of(arena, operation->method, &failed),
        .capture_manual = payment->capture_manual != 0,
        .body = operation->body,
        .now_us = now_us,
        .timeout_ms = timeout_ms,
    };
    bool own_amount = operation->call == CFA_CALL_CAPTURE || operation->call == CFA_CALL_REFUND;
    call.amount.minor = own_amount ? operation->amount_minor : payment->amount_minor;
    memcpy(call.amount.currency, payment->currency, sizeof call.amount.currency);
    if (operation->call == CFA_CALL_REFUND) {
        cfa__id_format(refund_id, "rfd", operation->refund_id);
        call.refund_id = cfa__text_of(arena, cfa__slice(refund_id), &failed);
    }
    if (kind == CFA_CALL_LOOKUP) {
        call.created_from_us = payment->created_us - CFA__LOOKUP_MARGIN_US;
        call.created_until_us = operation->last_sent_us + CFA__LOOKUP_MARGIN_US;
        if (call.created_until_us < now_us)
            call.created_until_us = now_us + CFA__LOOKUP_MARGIN_US;
    }
    *out = call;
    return failed ? CFA_ENOMEM : CFA_OK;
}

cfa_status cfa__operation_append(cfa__working_set *set, const cfa_provider *provider,
                                 cfa__payment *payment, int32_t kind, int64_t amount_minor,
                                 cfa__id refund_id, int64_t due_us) {
    if (payment->operation_count >= CFA__OPERATIONS_PER_PAYMENT_MAX) {
        return cfa_error_format(CFA_ESTATE, ORIGIN, "payment_id", 0,
                                "the payment has reached its limit of %d provider operations",
                                CFA__OPERATIONS_PER_PAYMENT_MAX);
    }
    payment->operation_count++;
    char key[64];
    cfa__operation_key(key, payment->id, payment->operation_count, 1);
    cfa__operation operation = {
        .payment_id = payment->id,
        .number = payment->operation_count,
        .call = kind,
        .attempt = 1,
        .idempotency_key = cfa__slice(key),
        .body = { "", 0 },
        .amount_minor = amount_minor,
        .state = CFA__OPERATION_READY,
        .due_us = due_us,
        .created_us = cfa__now_us(set),
        .updated_us = cfa__now_us(set),
        .refund_id = refund_id,
    };
    if (kind != CFA_CALL_RETRIEVE) {
        cfa_call call;
        cfa_arena *arena = cfa__batch_arena(set);
        cfa_status status =
            cfa__call_fill(&call, arena, &operation, payment, kind, cfa__now_us(set), 0);
        if (status == CFA_OK)
            status = provider->ops->prepare(provider->self, &call, arena, &operation.body);
        if (status != CFA_OK)
            return status;
    }
    return cfa__insert(set, &cfa__operation_kind, &operation, NULL);
}

cfa_status cfa__operation_create(cfa__working_set *set, cfa__command *command) {
    const cfa__operation_input *input = command->input;
    cfa__operation_answer *answer = command->output;
    cfa__id resource;
    const void *found = NULL;
    cfa_status status = cfa__key_resolve(set, &input->keyed, &resource);
    if (status < 0)
        return status;
    cfa_status payment_status = cfa__find_id(set, &cfa__payment_kind, input->payment_id, &found);
    if (status == CFA__MISS || payment_status != CFA_OK)
        return payment_status < 0 ? payment_status : CFA__MISS;
    const cfa__payment *payment = found;
    if (payment == NULL)
        return cfa_error_set(CFA_ENOTFOUND, ORIGIN, "payment_id", 0, "there is no such payment");
    answer->payment = payment;
    if (!cfa__id_is_null(resource))
        return cfa__read_head(set, &command->position);
    status = check_request(input, payment);
    if (status != CFA_OK)
        return status;
    const cfa__operation *open; /* a second key joins it */
    status = cfa__operation_find_open(set, payment, input->call, &open);
    if (status != CFA_OK)
        return status;
    int64_t amount = input->call != CFA_CALL_CAPTURE ? 0
                     : input->amount_minor > 0       ? input->amount_minor
                                                     : cfa__payment_authorized_minor(payment);
    if (open != NULL && open->amount_minor != amount) {
        return cfa_error_format(CFA_ESTATE, ORIGIN, "amount.minor", 0,
                                "a capture of %lld is under way already",
                                (long long)open->amount_minor);
    }
    void *draft = NULL;
    status = cfa__edit_id(set, &cfa__payment_kind, input->payment_id, &draft);
    if (status == CFA_OK)
        status = cfa__key_bind(set, &input->keyed, payment->id);
    if (status == CFA_OK && open == NULL)
        status = cfa__act_operation(set, &input->by, payment, input->call, amount);
    if (status == CFA_OK && open == NULL) {
        status = cfa__operation_append(set, &input->provider, draft, input->call, amount,
                                       CFA__ID_NULL, cfa__now_us(set));
    }
    if (status == CFA_OK)
        answer->payment = draft;
    return status;
}

/* ---- leases ---------------------------------------------------------------------------------- */

bool cfa__operation_is_leasable(const cfa__operation *operation, bool expedite, int64_t now_us) {
    if (operation->due_us == 0)
        return false;
    if (operation->due_us <= now_us)
        return true;
    bool leased = !cfa__id_is_null(operation->lease_owner);
    return expedite && !leased &&
           (operation->call == CFA_CALL_RETRIEVE || operation->state == CFA__OPERATION_READY);
}

bool cfa__operation_is_too_late(const cfa__operation *operation, const cfa__payment *payment) {
    /* What was put off is leased only to end: its donor was refused, and never asked again. */
    if (operation->state == CFA__OPERATION_DEFERRED)
        return true;
    return operation->call == CFA_CALL_CREATE && operation->state == CFA__OPERATION_READY &&
           operation->first_sent_us == operation->updated_us &&
           operation->updated_us >= payment->expires_us;
}

static cfa_status lease_one(cfa__working_set *set, const cfa__lease_input *input,
                            const cfa__operation *found, const cfa__payment *payment,
                            const cfa__operation **out) {
    void *draft;
    cfa_status status = cfa__edit(set, &cfa__operation_kind, found, &draft);
    if (status == CFA_OK && found->call == CFA_CALL_CREATE) /* it must have no object until then */
        status = cfa__guard(set, &cfa__payment_kind, payment);
    if (status != CFA_OK)
        return status;
    cfa__operation *operation = draft;
    int64_t now_us = cfa__now_us(set);
    if (cfa__operation_is_too_late(operation, payment)) {
        operation->first_sent_us = 0; /* its last owner did not send it either */
    } else if (!cfa__id_is_null(operation->lease_owner) && operation->call != CFA_CALL_RETRIEVE &&
               operation->state == CFA__OPERATION_READY) {
        /* Its last owner never reported: the call may have been sent. */
        operation->state = CFA__OPERATION_UNKNOWN;
        if (operation->tries == 0)
            operation->tries = 1;
    }
    /* A late reply has brought the object after all: it is read, and no other is made. */
    if (operation->call == CFA_CALL_CREATE && payment->ref.data != NULL)
        operation->state = CFA__OPERATION_UNKNOWN;
    operation->lease_owner = input->lease_id;
    operation->lease_epoch++;
    operation->due_us = now_us + input->lease_ms * 1000;
    operation->updated_us = now_us;
    if (operation->state != CFA__OPERATION_DEFERRED &&
        cfa__operation_next_call(operation, payment, now_us) == operation->call) {
        operation->last_sent_us = now_us;
        if (operation->first_sent_us == 0)
            operation->first_sent_us = now_us;
    }
    *out = operation;
    return CFA_OK;
}

static bool has_leased(const cfa__operation *const *operations, const cfa__lease_input *input) {
    for (int32_t i = 0; i < input->count; i++) {
        if (operations[i] != NULL &&
            cfa__id_compare(operations[i]->lease_owner, input->lease_id) == 0)
            return true;
    }
    return false;
}

/* True when leasing it now sends nothing: its donor's time was over before any call was made. */
static bool ends_unsent(const cfa__operation *operation, const cfa__payment *payment,
                        int64_t now_us) {
    if (operation->state == CFA__OPERATION_DEFERRED)
        return true;
    if (operation->call != CFA_CALL_CREATE || now_us < payment->expires_us)
        return false;
    return operation->state == CFA__OPERATION_READY &&
           (operation->first_sent_us == 0 || cfa__operation_is_too_late(operation, payment));
}

/* True when a call would go out: only then the breaker is asked, whose one turn to try it takes. */
static bool sends_any(const cfa__operation *const *operations, const cfa__payment *const *payments,
                      const cfa__lease_input *input, int64_t now_us) {
    for (int32_t i = 0; i < input->count; i++) {
        if (operations[i] != NULL && payments[i] != NULL &&
            cfa__operation_is_leasable(operations[i], input->expedite, now_us) &&
            !ends_unsent(operations[i], payments[i], now_us))
            return true;
    }
    return false;
}

cfa_status cfa__operation_lease(cfa__working_set *set, cfa__command *command) {
    const cfa__lease_input *input = command->input;
    cfa__lease_answer *answer = command->output;
    const cfa__operation *operations[CFA__LEASE_MAX];
    const cfa__payment *payments[CFA__LEASE_MAX];
    bool missed = false;
    assert(input->count <= CFA__LEASE_MAX);
    for (int32_t i = 0; i < input->count; i++) {
        cfa__id payment_id = input->items[i].payment_id;
        const void *found = NULL;
        cfa_status status =
            cfa__operation_find(set, payment_id, input->items[i].number, &operations[i]);
        cfa_status payment_status = cfa__find_id(set, &cfa__payment_kind, payment_id, &found);
        payments[i] = found;
        if (status < 0 || payment_status < 0)
            return status < 0 ? status : payment_status;
        missed = missed || status == CFA__MISS || payment_status == CFA__MISS;
    }
    bool admitted = true;
    int64_t retry_us = 0;
    cfa_status admission = CFA_OK;
    /* Not for our own earlier commit, decided again. */
    if (missed || (!has_leased(operations, input) &&
                   sends_any(operations, payments, input, cfa__now_us(set))))
        admission = cfa__circuit_admit(set, &input->circuit, &admitted, &retry_us);
    if (missed || admission != CFA_OK)
        return admission < 0 ? admission : CFA__MISS;
    if (!admitted) {
        answer->refused_until_us = retry_us;
        return CFA_OK;
    }
    for (int32_t i = 0; i < input->count; i++) {
        const cfa__operation *operation = operations[i];
        if (operation == NULL || payments[i] == NULL)
            continue;
        bool ours = cfa__id_compare(operation->lease_owner, input->lease_id) == 0;
        if (!ours && !cfa__operation_is_leasable(operation, input->expedite, cfa__now_us(set)))
            continue;
        if (!ours) {
            cfa_status status = lease_one(set, input, operation, payments[i], &operation);
            if (status != CFA_OK)
                return status;
        }
        answer->operations[answer->count] = operation;
        answer->payments[answer->count] = payments[i];
        answer->count++;
    }
    return CFA_OK;
}
