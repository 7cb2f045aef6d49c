/*
 * reversal.c - money that goes back at the play provider, and what is kept or passed on of it:
 * refunds, disputes, fees, warnings, payouts.
 *
 * Owns: what can be given back, how refunds and disputes go on, what each step announces. A dispute
 * is the bank's: unlike a refund it can take what was given back already.
 */
#include "adapters/play/books.h"

#include <assert.h>
#include <string.h>

#define BIT(state) (1u << (state))

/* A later moment than the last, so that two facts of one object always have an order. */
static int64_t later_us(const cfa_play *play, int64_t last_us) {
    int64_t now_us = cfa__play_now_us(play);
    return now_us > last_us ? now_us : last_us + 1;
}

static void emit_refund(cfa_play *play, const cfa__play_refund *refund, cfa__play_event_type type) {
    const cfa__play_report report = cfa__play_tell_refund(refund);
    cfa__play_queue_push(play, type, &report);
}

static void emit_dispute(cfa_play *play, const cfa__play_dispute *dispute,
                         cfa__play_event_type type) {
    const cfa__play_report report = cfa__play_tell_dispute(dispute);
    cfa__play_queue_push(play, type, &report);
}

static cfa_status wrong(cfa_status status, const char *field, const char *text) {
    return cfa_error_set(status, CFA__PLAY_ORIGIN, field, 0, text);
}

/* ---- what can be given back ------------------------------------------------------------------ */

static bool is_active(cfa_refund_state state) {
    return state == CFA_REFUND_PENDING || state == CFA_REFUND_REQUIRES_ACTION ||
           state == CFA_REFUND_SUCCEEDED;
}

static int64_t refunded_minor(const cfa__play_intent *intent) {
    int64_t sum_minor = 0;
    for (const cfa__play_refund *at = intent->newest_refund; at != NULL; at = at->older) {
        sum_minor += is_active(at->now.state) ? at->amount_minor : 0;
    }
    return sum_minor;
}

/* What disputes hold, and what those that are not decided may still take. */
static int64_t disputed_minor(const cfa__play_intent *intent) {
    int64_t sum_minor = 0;
    for (const cfa__play_dispute *at = intent->newest_dispute; at != NULL; at = at->older) {
        bool undecided =
            at->now.state == CFA_DISPUTE_OPEN || at->now.state == CFA_DISPUTE_UNDER_REVIEW;
        sum_minor +=
            (undecided ? at->amount_minor : at->now.withdrawn_minor) - at->now.reinstated_minor;
    }
    return sum_minor;
}

const char *cfa__play_refund_refusal(const cfa__play_intent *intent, int64_t amount_minor) {
    if (intent->now.captured_minor == 0) {
        return "charge_not_captured";
    }
    int64_t left_minor = intent->now.captured_minor - refunded_minor(intent);
    if (left_minor == 0) {
        return "charge_already_refunded";
    }
    if (amount_minor > left_minor) {
        return "amount_too_large";
    }
    if (amount_minor > left_minor - disputed_minor(intent)) {
        return "charge_disputed";
    }
    return intent->refund_count == CFA_REVERSALS_MAX ? "too_many_refunds" : NULL;
}

/* ---- refunds --------------------------------------------------------------------------------- */

static int64_t made_as(const cfa__play_payment *payment, const char *refund_id) {
    int64_t count = 0;
    for (const cfa__play_intent *intent = payment->newest; intent != NULL; intent = intent->older) {
        for (const cfa__play_refund *at = intent->newest_refund; at != NULL; at = at->older) {
            count += strcmp(at->refund_id, refund_id) == 0;
        }
    }
    return count;
}

static void stand(cfa_play *play, cfa__play_refund *refund, cfa_refund_state state,
                  const char *failure_code) {
    if (state == CFA_REFUND_FAILED) {
        const char *code = failure_code != NULL ? failure_code : "expired_or_canceled_card";
        size_t size = strlen(code);
        assert(size < sizeof refund->failure_code && refund->failure_code[0] == '\0');
        memcpy(refund->failure_code, code, size + 1);
        refund->now.failure_code = refund->failure_code;
    }
    refund->now.state = state;
    refund->now.occurred_us = later_us(play, refund->now.occurred_us);
}

static cfa__play_refund *make_refund(cfa_play *play, cfa__play_intent *intent, int64_t amount_minor,
                                     const char *refund_id, cfa_refund_state state,
                                     const char *failure_code) {
    assert(cfa__play_refund_refusal(intent, amount_minor) == NULL && amount_minor > 0);
    cfa__play_refund *refund = cfa__play_refund_new(play, intent, amount_minor, refund_id);
    if (refund == NULL) {
        return NULL;
    }
    stand(play, refund, state, failure_code);
    emit_refund(play, refund, CFA__PLAY_REFUND_CREATED);
    if (refund_id[0] != '\0' && made_as(intent->payment, refund_id) == 2) {
        play->refunded_twice++;
    }
    return refund;
}

const cfa__play_refund *cfa__play_refund_make(cfa_play *play, cfa__play_intent *intent,
                                              int64_t amount_minor, const char *refund_id,
                                              cfa_refund_state state) {
    return make_refund(play, intent, amount_minor, refund_id, state, NULL);
}

static cfa_status make_by_hand(cfa_play *play, cfa__play_intent *intent,
                               const cfa_play_refund_spec *spec, cfa__play_refund **out) {
    int64_t amount_minor = spec->amount_minor;
    if (amount_minor == 0) {
        amount_minor = intent->now.captured_minor - refunded_minor(intent) - disputed_minor(intent);
        amount_minor = amount_minor > 0 ? amount_minor : 1; /* nothing is left: refused below */
    }
    const char *refusal = cfa__play_refund_refusal(intent, amount_minor);
    if (refusal != NULL) {
        bool less_fits = cfa__play_refund_refusal(intent, 1) == NULL;
        return wrong(less_fits ? CFA_ERANGE : CFA_ESTATE, "amount_minor", refusal);
    }
    if (spec->state == CFA_REFUND_CANCELED) {
        return wrong(CFA_ESTATE, "state", "a refund is made first, then canceled");
    }
    *out = make_refund(play, intent, amount_minor, "", spec->state, spec->failure_code);
    return *out != NULL ? CFA_OK : wrong(CFA_ENOMEM, NULL, "no memory for a refund");
}

static cfa_status move_refund(cfa_play *play, cfa__play_refund *refund,
                              const cfa_play_refund_spec *spec) {
    static const unsigned followers[] = {
        [CFA_REFUND_PENDING] = BIT(CFA_REFUND_REQUIRES_ACTION) | BIT(CFA_REFUND_SUCCEEDED) |
                               BIT(CFA_REFUND_FAILED) | BIT(CFA_REFUND_CANCELED),
        [CFA_REFUND_REQUIRES_ACTION] = BIT(CFA_REFUND_PENDING) | BIT(CFA_REFUND_SUCCEEDED) |
                                       BIT(CFA_REFUND_FAILED) | BIT(CFA_REFUND_CANCELED),
        [CFA_REFUND_SUCCEEDED] = BIT(CFA_REFUND_FAILED),
        [CFA_REFUND_FAILED] = 0,
        [CFA_REFUND_CANCELED] = 0,
    };
    if (spec->amount_minor != 0 && spec->amount_minor != refund->amount_minor) {
        return wrong(CFA_EINVAL, "amount_minor", "a refund's amount never changes");
    }
    if ((followers[refund->now.state] & BIT(spec->state)) == 0) {
        return wrong(CFA_ESTATE, "state", "a refund that stands so does not go on like this");
    }
    stand(play, refund, spec->state, spec->failure_code);
    emit_refund(play, refund,
                spec->state == CFA_REFUND_FAILED ? CFA__PLAY_REFUND_FAILED
                                                 : CFA__PLAY_REFUND_UPDATED);
    return CFA_OK;
}

static cfa_status refund_locked(cfa_play *play, const cfa_play_refund_spec *spec, char *out_ref) {
    cfa__play_intent *intent = cfa__play_find_ref(play, spec->ref);
    cfa__play_refund *refund = cfa__play_find_refund(play, spec->ref);
    if (intent == NULL && refund == NULL) {
        return wrong(CFA_ENOTFOUND, "ref", "the provider has no such payment or refund");
    }
    cfa_status status = cfa__play_queue_reserve(play);
    if (status == CFA_OK) {
        status = refund != NULL ? move_refund(play, refund, spec)
                                : make_by_hand(play, intent, spec, &refund);
    }
    if (status == CFA_OK && out_ref != NULL) {
        memcpy(out_ref, refund->ref, sizeof refund->ref);
    }
    return status;
}

static bool is_too_long(const char *text) {
    return text != NULL && strlen(text) >= CFA__PLAY_CODE_SIZE;
}

static bool is_refund_state(cfa_refund_state state) {
    return state >= CFA_REFUND_PENDING && state <= CFA_REFUND_CANCELED;
}

cfa_status cfa_play_refund(char out_ref[CFA_PLAY_REF_SIZE], cfa_play *play,
                           const cfa_play_refund_spec *given) {
    cfa_play_refund_spec spec = CFA_PLAY_REFUND_SPEC_INIT;
    cfa_status status = cfa__play_copy_struct(&spec, sizeof spec, given, "spec");
    if (status != CFA_OK) {
        return status;
    }
    spec.state = spec.state != 0 ? spec.state : CFA_REFUND_SUCCEEDED;
    if (spec.ref == NULL || !is_refund_state(spec.state) || spec.amount_minor < 0) {
        return wrong(CFA_EINVAL,
                     spec.ref == NULL ? "ref" : (spec.amount_minor < 0 ? "amount_minor" : "state"),
                     "name a payment or a refund, CFA_REFUND_PENDING to _CANCELED, and no "
                     "negative amount");
    }
    if (is_too_long(spec.failure_code)) {
        return wrong(CFA_ETOOLONG, "failure_code", "at most 63 bytes");
    }
    cfa__play_lock(play);
    status = refund_locked(play, &spec, out_ref);
    cfa__play_unlock(play);
    return status;
}

cfa_status cfa_play_refund_next(cfa_play *play, cfa_refund_state state) {
    if (!is_refund_state(state) || state == CFA_REFUND_CANCELED) {
        return wrong(CFA_EINVAL, "state", "a refund begins as PENDING to FAILED");
    }
    cfa__play_lock(play);
    cfa_status status = cfa__play_script_push(&play->refund_states, state);
    cfa__play_unlock(play);
    return status;
}

/* ---- disputes -------------------------------------------------------------------------------- */

static bool is_closed(cfa_dispute_state state) {
    return state == CFA_DISPUTE_INQUIRY_CLOSED || state >= CFA_DISPUTE_PREVENTED;
}

static cfa_status check_money(const cfa__play_dispute_snapshot *now, int64_t amount_minor,
                              const cfa_play_dispute_spec *spec) {
    int64_t withdrawn_minor =
        spec->withdrawn_minor != 0 ? spec->withdrawn_minor : now->withdrawn_minor;
    if (withdrawn_minor < now->withdrawn_minor || withdrawn_minor > amount_minor) {
        return wrong(CFA_ERANGE, "withdrawn_minor",
                     "what was taken only grows, up to what is disputed");
    }
    if (spec->reinstated_minor != 0 && (spec->reinstated_minor < now->reinstated_minor ||
                                        spec->reinstated_minor > withdrawn_minor)) {
        return wrong(CFA_ERANGE, "reinstated_minor",
                     "what was given back only grows, up to what was taken");
    }
    bool fee_shrinks =
        spec->fee.minor != 0 && now->fee.minor != 0 &&
        (spec->fee.minor < now->fee.minor || strcmp(spec->fee.currency, now->fee.currency) != 0);
    return fee_shrinks ? wrong(CFA_ERANGE, "fee", "a fee only grows, in one currency") : CFA_OK;
}

static cfa_status check_state(cfa_dispute_state from, cfa_dispute_state to) {
    static const unsigned followers[] = {
        [CFA_DISPUTE_INQUIRY] =
            BIT(CFA_DISPUTE_INQUIRY_CLOSED) | BIT(CFA_DISPUTE_OPEN) | BIT(CFA_DISPUTE_PREVENTED),
        [CFA_DISPUTE_INQUIRY_CLOSED] = BIT(CFA_DISPUTE_OPEN),
        [CFA_DISPUTE_OPEN] = BIT(CFA_DISPUTE_UNDER_REVIEW) | BIT(CFA_DISPUTE_PREVENTED) |
                             BIT(CFA_DISPUTE_WON) | BIT(CFA_DISPUTE_LOST),
        [CFA_DISPUTE_UNDER_REVIEW] = BIT(CFA_DISPUTE_WON) | BIT(CFA_DISPUTE_LOST),
        [CFA_DISPUTE_PREVENTED] = 0,
        [CFA_DISPUTE_WON] = 0,
        [CFA_DISPUTE_LOST] = 0,
    };
    return to == from || (followers[from] & BIT(to)) != 0
               ? CFA_OK
               : wrong(CFA_ESTATE, "state", "a dispute that stands so does not go on like this");
}

static void emit_now(cfa_play *play, cfa__play_dispute *dispute, cfa__play_event_type type) {
    dispute->now.occurred_us = later_us(play, dispute->now.occurred_us);
    emit_dispute(play, dispute, type);
}

/* Bring a dispute to where `spec` wants it, one event for each change. True when there was any. */
static bool carry_on(cfa_play *play, cfa__play_dispute *dispute, const cfa_play_dispute_spec *spec,
                     bool is_new) {
    cfa__play_dispute_snapshot *now = &dispute->now;
    bool noted = false, told = is_new;
    if (spec->fee.minor != 0 && spec->fee.minor != now->fee.minor) {
        now->fee = spec->fee;
        noted = true;
    }
    if (spec->evidence_due_us != 0 && spec->evidence_due_us != now->evidence_due_us) {
        now->evidence_due_us = spec->evidence_due_us;
        noted = true;
    }
    if (is_new) {
        emit_now(play, dispute, CFA__PLAY_DISPUTE_CREATED);
    }
    if (spec->withdrawn_minor > now->withdrawn_minor) {
        now->withdrawn_minor = spec->withdrawn_minor;
        emit_now(play, dispute, CFA__PLAY_DISPUTE_FUNDS_WITHDRAWN);
        told = true;
    }
    if (spec->state != 0 && spec->state != now->state) {
        now->state = spec->state;
        emit_now(play, dispute,
                 is_closed(now->state) ? CFA__PLAY_DISPUTE_CLOSED : CFA__PLAY_DISPUTE_UPDATED);
        told = true;
    }
    if (spec->reinstated_minor > now->reinstated_minor) {
        now->reinstated_minor = spec->reinstated_minor;
        emit_now(play, dispute, CFA__PLAY_DISPUTE_FUNDS_REINSTATED);
        told = true;
    }
    if (noted && !told) {
        emit_now(play, dispute, CFA__PLAY_DISPUTE_UPDATED);
        told = true;
    }
    return told;
}

static cfa_status open_dispute(cfa_play *play, cfa__play_intent *intent,
                               const cfa_play_dispute_spec *spec, cfa__play_dispute **out) {
    const char *reason = spec->reason != NULL ? spec->reason : "general";
    int64_t amount_minor =
        spec->amount_minor != 0 ? spec->amount_minor : intent->now.captured_minor;
    cfa_dispute_state state = spec->state != 0 ? spec->state : CFA_DISPUTE_OPEN;
    if (intent->now.captured_minor == 0) {
        return wrong(CFA_ESTATE, "ref", "nothing was captured of this payment");
    }
    if (amount_minor > intent->now.captured_minor) {
        return wrong(CFA_ERANGE, "amount_minor", "more than was captured");
    }
    if (intent->dispute_count == CFA_REVERSALS_MAX) {
        return wrong(CFA_ESTATE, "ref", "too many disputes of one payment");
    }
    if (state != CFA_DISPUTE_INQUIRY && state != CFA_DISPUTE_OPEN &&
        state != CFA_DISPUTE_PREVENTED) {
        return wrong(CFA_ESTATE, "state", "a dispute begins as INQUIRY, OPEN or PREVENTED");
    }
    const cfa__play_dispute_snapshot nothing = { 0 };
    cfa_status status = check_money(&nothing, amount_minor, spec);
    if (status != CFA_OK) {
        return status;
    }
    cfa__play_dispute *dispute = cfa__play_dispute_new(play, intent, amount_minor);
    if (dispute == NULL) {
        return wrong(CFA_ENOMEM, NULL, "no memory for a dispute");
    }
    memcpy(dispute->reason, reason, strlen(reason) + 1);
    dispute->now.state = state;
    (void)carry_on(play, dispute, spec, true);
    *out = dispute;
    return CFA_OK;
}

static cfa_status move_dispute(cfa_play *play, cfa__play_dispute *dispute,
                               const cfa_play_dispute_spec *spec) {
    if ((spec->amount_minor != 0 && spec->amount_minor != dispute->amount_minor) ||
        (spec->reason != NULL && strcmp(spec->reason, dispute->reason) != 0)) {
        return wrong(CFA_EINVAL, "amount_minor", "a dispute's amount and reason never change");
    }
    cfa_status status = check_money(&dispute->now, dispute->amount_minor, spec);
    if (status == CFA_OK && spec->state != 0) {
        status = check_state(dispute->now.state, spec->state);
    }
    if (status == CFA_OK && !carry_on(play, dispute, spec, false)) {
        status = wrong(CFA_ESTATE, NULL, "the dispute stands like this already");
    }
    return status;
}

static cfa_status dispute_locked(cfa_play *play, const cfa_play_dispute_spec *spec, char *out_ref) {
    cfa__play_intent *intent = cfa__play_find_ref(play, spec->ref);
    cfa__play_dispute *dispute = cfa__play_find_dispute(play, spec->ref);
    if (intent == NULL && dispute == NULL) {
        return wrong(CFA_ENOTFOUND, "ref", "the provider has no such payment or dispute");
    }
    cfa_status status = cfa__play_queue_reserve(play);
    if (status == CFA_OK) {
        status = dispute != NULL ? move_dispute(play, dispute, spec)
                                 : open_dispute(play, intent, spec, &dispute);
    }
    if (status == CFA_OK && out_ref != NULL) {
        memcpy(out_ref, dispute->ref, sizeof dispute->ref);
    }
    return status;
}

/* The first field of a spec that no dispute can have, or NULL. */
static const char *bad_field(const cfa_play_dispute_spec *spec) {
    if (spec->ref == NULL) {
        return "ref";
    }
    if (spec->state != 0 && (spec->state < CFA_DISPUTE_INQUIRY || spec->state > CFA_DISPUTE_LOST)) {
        return "state";
    }
    if (spec->amount_minor < 0 || spec->withdrawn_minor < 0 || spec->reinstated_minor < 0) {
        return spec->amount_minor < 0
                   ? "amount_minor"
                   : (spec->withdrawn_minor < 0 ? "withdrawn_minor" : "reinstated_minor");
    }
    return spec->evidence_due_us < 0 ? "evidence_due_us" : NULL;
}

cfa_status cfa_play_dispute(char out_ref[CFA_PLAY_REF_SIZE], cfa_play *play,
                            const cfa_play_dispute_spec *given) {
    cfa_play_dispute_spec spec = CFA_PLAY_DISPUTE_SPEC_INIT;
    cfa_status status = cfa__play_copy_struct(&spec, sizeof spec, given, "spec");
    if (status != CFA_OK) {
        return status;
    }
    const char *field = bad_field(&spec);
    if (field != NULL) {
        return wrong(CFA_EINVAL, field,
                     "name a payment or a dispute, CFA_DISPUTE_*, and nothing "
                     "negative");
    }
    if (is_too_long(spec.reason)) {
        return wrong(CFA_ETOOLONG, "reason", "at most 63 bytes");
    }
    if (spec.fee.minor != 0) {
        status = cfa_money_check(spec.fee, NULL);
    }
    if (status == CFA_OK) {
        cfa__play_lock(play);
        status = dispute_locked(play, &spec, out_ref);
        cfa__play_unlock(play);
    }
    return status;
}

/* ---- fees and warnings ----------------------------------------------------------------------- */

/* A captured payment, with room for its event. */
static cfa_status find_captured(cfa_play *play, const char *ref, cfa__play_intent **out) {
    *out = ref != NULL ? cfa__play_find_ref(play, ref) : NULL;
    if (*out == NULL) {
        return wrong(CFA_ENOTFOUND, "ref", "the provider has no such payment");
    }
    if ((*out)->now.captured_minor == 0) {
        return wrong(CFA_ESTATE, "ref", "nothing was captured of this payment");
    }
    return cfa__play_queue_reserve(play);
}

static cfa_status fee_locked(cfa_play *play, const char *ref, cfa_money fee) {
    cfa__play_intent *intent;
    cfa_status status = find_captured(play, ref, &intent);
    if (status != CFA_OK) {
        return status;
    }
    if (intent->now.fee.minor != 0) {
        return wrong(CFA_ESTATE, "fee", "this payment's fee is known already");
    }
    intent->now.fee = fee;
    intent->now.occurred_us = later_us(play, intent->now.occurred_us);
    const cfa__play_report report = cfa__play_tell(intent);
    cfa__play_queue_push(play, CFA__PLAY_CHARGE_UPDATED, &report);
    return CFA_OK;
}

cfa_status cfa_play_fee(cfa_play *play, const char *ref, cfa_money fee) {
    cfa_status status = cfa_money_check(fee, NULL);
    if (status == CFA_OK) {
        cfa__play_lock(play);
        status = fee_locked(play, ref, fee);
        cfa__play_unlock(play);
    }
    return status;
}

static cfa_status payout_locked(int64_t *out_count, cfa_play *play) {
    cfa_status status = CFA_OK;
    for (cfa__play_entry *at = play->newest_intent; at != NULL; at = at->before) {
        cfa__play_intent *intent = (cfa__play_intent *)at;
        if (intent->now.captured_minor == 0 || intent->paid_out_us != 0) {
            continue;
        }
        status = cfa__play_queue_reserve(play);
        if (status != CFA_OK) {
            break;
        }
        intent->paid_out_us = cfa__play_now_us(play);
        intent->now.flags |= CFA_FACT_SETTLED;
        intent->now.occurred_us = later_us(play, intent->now.occurred_us);
        const cfa__play_report report = cfa__play_tell(intent);
        cfa__play_queue_push(play, CFA__PLAY_CHARGE_UPDATED, &report);
        ++*out_count;
    }
    return status;
}

cfa_status cfa_play_payout(int64_t *out_count, cfa_play *play) {
    int64_t count = 0;
    cfa__play_lock(play);
    cfa_status status = payout_locked(&count, play);
    cfa__play_unlock(play);
    if (status == CFA_OK && out_count != NULL) {
        *out_count = count;
    }
    return status;
}

static cfa_status warn_locked(cfa_play *play, const char *ref) {
    cfa__play_intent *intent;
    cfa_status status = find_captured(play, ref, &intent);
    if (status != CFA_OK) {
        return status;
    }
    if ((intent->now.flags & CFA_FACT_FRAUD_WARNING) != 0) {
        return wrong(CFA_ESTATE, "ref", "this payment has its warning already");
    }
    intent->now.flags |= CFA_FACT_FRAUD_WARNING;
    intent->now.occurred_us = later_us(play, intent->now.occurred_us);
    /* A warning is an object of its own: it says whose it is and no more. */
    cfa__play_report report = { .intent = intent };
    report.as.payment.flags = CFA_FACT_FRAUD_WARNING;
    report.as.payment.occurred_us = intent->now.occurred_us;
    cfa__play_queue_push(play, CFA__PLAY_FRAUD_WARNING_CREATED, &report);
    return CFA_OK;
}

cfa_status cfa_play_fraud_warning(cfa_play *play, const char *ref) {
    cfa__play_lock(play);
    cfa_status status = warn_locked(play, ref);
    cfa__play_unlock(play);
    return status;
}
