/*
 * late.c - money that comes late: after a cancel, an expiry or the campaign's end. The campaign's
 * rule is asked when it comes, or turns out to be late; another rule later changes nothing of that.
 * It must never touch what is known of the money: holding it only keeps it out of the totals.
 */
#include "core/decide/act.h"
#include "core/decide/evidence.h"
#include "core/decide/payment_machine.h"
#include "util/buffer.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.payment"

/* ---- the rule -------------------------------------------------------------------------------- */

cfa_status cfa__late_judge(cfa__working_set *set, cfa__payment *payment, const cfa__payment *before,
                           cfa__lateness *out) {
    bool grew = payment->captured_minor > before->captured_minor;
    bool late = (payment->flags & CFA_PAYMENT_FLAG_LATE) != 0;
    bool turned = late && (before->flags & CFA_PAYMENT_FLAG_LATE) == 0;
    *out = (cfa__lateness){ .is_late = false };
    if (!grew && !turned)
        return CFA_OK;
    const void *found;
    cfa_status status = cfa__find_id(set, &cfa__campaign_kind, payment->campaign_id, &found);
    if (status != CFA_OK)
        return status;
    const cfa__campaign *campaign = found;
    assert(campaign != NULL);
    out->is_late = late || cfa__campaign_has_ended(campaign, cfa__now_us(set));
    if (!out->is_late)
        return CFA_OK;
    /* What counts already, or was accepted, is neither held nor given back because more of it
     * comes. */
    bool first = before->captured_minor == 0 || turned;
    out->is_untold = !late;
    out->is_held = campaign->late_rule == CFA_LATE_HOLD && first;
    if (campaign->late_rule == CFA_LATE_REFUND)
        out->goes_back_minor = payment->captured_minor - (first ? 0 : before->captured_minor);
    payment->flags |= CFA_PAYMENT_FLAG_LATE | (out->is_held ? CFA_PAYMENT_FLAG_HELD : 0);
    return CFA_OK;
}

cfa_status cfa__late_apply(cfa__working_set *set, cfa__payment *payment,
                           const cfa__evidence *evidence, const cfa__lateness *lateness) {
    cfa_status status = CFA_OK;
    if (lateness->is_untold)
        status = cfa__emit_payment(set, payment, CFA__EVENT_PAYMENT_LATE_SUCCESS);
    if (status == CFA_OK && lateness->is_held)
        status = cfa__log_notice(set, payment, "L01", CFA__EVENT_PAYMENT_HELD, evidence->cause_id);
    if (status == CFA_OK && lateness->goes_back_minor > 0)
        status = cfa__refund_by_rule(set, evidence->provider, payment, CFA_REFUND_LATE,
                                     lateness->goes_back_minor);
    return status;
}

/* ---- a person's word ------------------------------------------------------------------------- */

static cfa_status describe(cfa__working_set *set, const cfa__payment *payment, cfa_slice *out) {
    cfa__buckets buckets = cfa__payment_buckets(payment);
    cfa__buffer json;
    cfa__buffer_init(&json, cfa__batch_arena(set), 192);
    cfa__json_open(&json, NULL, '{');
    cfa__json_text(&json, "state", cfa_payment_state_name((cfa_payment_state)payment->state));
    cfa__json_int(&json, "captured_minor", payment->captured_minor);
    cfa__json_int(&json, "raised_minor", buckets.raised_minor);
    cfa__json_int(&json, "refunded_minor", buckets.refunded_minor);
    cfa__json_int(&json, "disputed_minor", buckets.disputed_minor);
    cfa__json_text(&json, "currency", payment->currency);
    cfa__json_close(&json, '}');
    return cfa__buffer_finish(&json, out);
}

static cfa_status accept_held(cfa__working_set *set, const cfa__by *by, cfa__payment *payment) {
    char subject[CFA_ID_TEXT_SIZE];
    cfa__id_format(subject, "pay", payment->id);
    cfa__act act = { .action = cfa__slice("payment.accept"),
                     .subject = cfa__slice(subject),
                     .actor = by->actor,
                     .reason = by->reason };
    cfa_status status = describe(set, payment, &act.before);
    payment->flags &= ~(int64_t)CFA_PAYMENT_FLAG_HELD;
    payment->updated_us = cfa__now_us(set);
    if (status == CFA_OK)
        status = describe(set, payment, &act.after);
    if (status == CFA_OK)
        status = cfa__log_notice(set, payment, "L02", CFA__EVENT_PAYMENT_ACCEPTED, CFA__ID_NULL);
    return status == CFA_OK ? cfa__act_append(set, &act) : status;
}

cfa_status cfa__payment_accept(cfa__working_set *set, cfa__command *command) {
    const cfa__accept_input *input = command->input;
    cfa__accept_answer *answer = command->output;
    cfa__id resource;
    cfa__payment *payment;
    cfa_status status =
        cfa__key_resolve_payment(set, &input->keyed, input->payment_id, &resource, &payment);
    if (status != CFA_OK)
        return status;
    answer->payment = payment;
    if (!cfa__id_is_null(resource))
        return cfa__read_head(set, &command->position);
    if ((payment->flags & CFA_PAYMENT_FLAG_HELD) == 0)
        return cfa_error_set(CFA_ESTATE, ORIGIN, "payment_id", 0,
                             "only what the late rule holds can be accepted; this payment is not "
                             "held");
    status = cfa__key_bind(set, &input->keyed, payment->id);
    return status == CFA_OK ? accept_held(set, &input->by, payment) : status;
}
