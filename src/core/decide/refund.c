/*
 * refund.c - a refund is asked for, by a person or a rule. The guard against money that goes twice is
 * decided here, on the sums in the payment's own row, which whoever changes any part of them writes
 * too.
 */
#include "core/decide/act.h"
#include "core/decide/evidence.h"
#include "core/decide/reversal_machine.h"
#include "util/buffer.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.refund"

static cfa_status check_request(const cfa__refund_input *input, const cfa__payment *payment,
                                int64_t *out_amount) {
    int64_t left = cfa__payment_refundable_minor(payment);
    if (payment->captured_minor == 0) {
        return cfa_error_format(CFA_ESTATE, ORIGIN, "payment_id", 0,
                                "only captured money can be given back; this payment is %s",
                                cfa_payment_state_name((cfa_payment_state)payment->state));
    }
    if (input->currency[0] != '\0' && memcmp(input->currency, payment->currency, 4) != 0) {
        return cfa_error_format(CFA_ECURRENCY, ORIGIN, "amount.currency", 0, "the payment is in %s",
                                payment->currency);
    }
    if (left == 0) {
        return cfa_error_format(CFA_ESTATE, ORIGIN, "payment_id", 0,
                                "nothing is left to give back: of %lld captured, refunds hold %lld "
                                "and disputes %lld",
                                (long long)payment->captured_minor,
                                (long long)(payment->requested_minor + payment->refunded_minor),
                                (long long)payment->exposed_minor);
    }
    if (input->amount_minor > left) {
        return cfa_error_format(CFA_ERANGE, ORIGIN, "amount.minor", 0,
                                "%lld is more than the %lld that are left: of %lld captured, "
                                "refunds hold %lld and disputes %lld",
                                (long long)input->amount_minor, (long long)left,
                                (long long)payment->captured_minor,
                                (long long)(payment->requested_minor + payment->refunded_minor),
                                (long long)payment->exposed_minor);
    }
    *out_amount = input->amount_minor > 0 ? input->amount_minor : left;
    return CFA_OK;
}

static cfa_status append_act(cfa__working_set *set, const cfa__by *by, const cfa__payment *payment,
                             const cfa__refund *refund) {
    char subject[CFA_ID_TEXT_SIZE], payment_id[CFA_ID_TEXT_SIZE];
    cfa__id_format(subject, "rfd", refund->id);
    cfa__id_format(payment_id, "pay", payment->id);
    cfa__act act = { .action = cfa__slice("refund.create"),
                     .subject = cfa__slice(subject),
                     .actor = by->actor,
                     .reason = by->reason };
    cfa__buffer json;
    cfa__buffer_init(&json, cfa__batch_arena(set), 128);
    cfa__json_open(&json, NULL, '{');
    cfa__json_text(&json, "payment_id", payment_id);
    cfa__json_int(&json, "amount_minor", refund->amount_minor);
    cfa__json_text(&json, "currency", payment->currency);
    cfa__json_close(&json, '}');
    cfa_status status = cfa__buffer_finish(&json, &act.after);
    return status == CFA_OK ? cfa__act_append(set, &act) : status;
}

static cfa_status replay(cfa__working_set *set, cfa__command *command, cfa__id refund_id) {
    cfa__refund_answer *answer = command->output;
    const void *found;
    cfa_status status = cfa__find_id(set, &cfa__refund_kind, refund_id, &found);
    if (status != CFA_OK)
        return status;
    answer->refund = found;
    answer->replayed = true;
    return cfa__read_head(set, &command->position);
}

cfa_status cfa__refund_create(cfa__working_set *set, cfa__command *command) {
    const cfa__refund_input *input = command->input;
    cfa__refund_answer *answer = command->output;
    cfa__id resource;
    cfa__payment *payment;
    cfa_status status =
        cfa__key_resolve_payment(set, &input->keyed, input->payment_id, &resource, &payment);
    if (status != CFA_OK)
        return status;
    answer->payment = payment;
    if (!cfa__id_is_null(resource))
        return replay(set, command, resource);
    cfa__refund refund = { .id = input->refund_id,
                           .origin = CFA_REFUND_ASKED,
                           .reason = input->by.reason };
    cfa__refund *made = NULL;
    status = check_request(input, payment, &refund.amount_minor);
    if (status == CFA_OK)
        status = cfa__key_bind(set, &input->keyed, refund.id);
    if (status == CFA_OK)
        status = cfa__refund_append(set, &input->provider, payment, &refund, &made);
    if (status == CFA_OK)
        status = append_act(set, &input->by, payment, made);
    if (status == CFA_OK)
        payment->updated_us = cfa__now_us(set);
    answer->refund = made;
    return status;
}

/* ---- by a rule ------------------------------------------------------------------------------- */

/* Deciding again gives the same. */
static cfa__id id_by_rule(const cfa__working_set *set, const cfa__payment *payment,
                          cfa_refund_origin origin) {
    static const uint8_t late[10] = "late_rule", fraud[10] = "suspected";
    const uint8_t *mark = origin == CFA_REFUND_LATE ? late : fraud;
    uint8_t random[10];
    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)(payment->id.bytes[6 + i] ^ mark[i]);
    for (size_t i = 0; i < 8; i++)
        random[i + 2] = (uint8_t)(random[i + 2] ^ (uint8_t)(payment->captured_minor >> (8 * i)));
    return cfa__id_make(cfa__now_us(set), random);
}

cfa_status cfa__refund_by_rule(cfa__working_set *set, const cfa_provider *provider,
                               cfa__payment *payment, cfa_refund_origin origin,
                               int64_t most_minor) {
    assert(origin == CFA_REFUND_LATE || origin == CFA_REFUND_FRAUD);
    int64_t amount = cfa__payment_refundable_minor(payment);
    if (amount > most_minor)
        amount = most_minor;
    if (amount == 0 || payment->operation_count >= CFA__OPERATIONS_PER_PAYMENT_MAX)
        return CFA_OK;
    cfa__refund refund = { .id = id_by_rule(set, payment, origin),
                           .amount_minor = amount,
                           .origin = origin };
    const cfa__payment kept = *payment;
    cfa_status status = cfa__refund_append(set, provider, payment, &refund, NULL);
    cfa_status_class class = cfa_status_class_of(status);
    if (class != CFA_CLASS_INVALID && class != CFA_CLASS_PERMANENT)
        return status;
    /* The provider's `prepare` cannot write such a refund. What was taken is recorded all the same:
     * a flag shows why. */
    *payment = kept;
    return CFA_OK;
}
