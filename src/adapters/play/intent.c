/*
 * intent.c - the life of one object at the play provider: what a step changes, what it announces.
 *
 * Owns: the rules of the objects' states. Must never allocate: a step happens wholly or not at all.
 */
#include "adapters/play/books.h"

#include <assert.h>
#include <string.h>

#define VOLATILE_FACTS ((uint32_t)(CFA_FACT_NEEDS_ACTION | CFA_FACT_PROCESSING | CFA_FACT_FAILED))

/* Replace the volatile fact (0: none) and move the object's own time, which never stands still: two
 * facts of one object always have an order. */
static void turn(cfa_play *play, cfa__play_intent *intent, cfa__play_state state,
                 uint32_t volatile_fact, const char *failure_code) {
    int64_t now_us = cfa__play_now_us(play);
    intent->state = state;
    intent->now.flags = (intent->now.flags & ~VOLATILE_FACTS) | volatile_fact;
    intent->now.failure_code = failure_code;
    intent->now.occurred_us++;
    if (now_us > intent->now.occurred_us) {
        intent->now.occurred_us = now_us;
    }
}

static void emit(cfa_play *play, const cfa__play_intent *intent, cfa__play_event_type type) {
    const cfa__play_report report = cfa__play_tell(intent);
    cfa__play_queue_push(play, type, &report);
}

void cfa__play_intent_announce(cfa_play *play, cfa__play_intent *intent) {
    emit(play, intent, CFA__PLAY_INTENT_CREATED);
}

/* ---- money ----------------------------------------------------------------------------------- */

static void take(cfa_play *play, cfa__play_intent *intent, int64_t amount_minor) {
    assert(intent->now.captured_minor == 0 && amount_minor > 0);
    assert(amount_minor <= intent->now.authorized_minor);
    turn(play, intent, CFA__PLAY_PAID, 0, NULL);
    intent->now.captured_minor = amount_minor;
    emit(play, intent, CFA__PLAY_CHARGE_CAPTURED);
    intent->now.flags |= CFA_FACT_SUCCEEDED;
    emit(play, intent, CFA__PLAY_INTENT_SUCCEEDED);
    play->charge_count++;
    if (++intent->payment->charges == 2) {
        play->charged_twice++;
    }
}

static void approve(cfa_play *play, cfa__play_intent *intent) {
    turn(play, intent, CFA__PLAY_HELD, 0, NULL);
    intent->now.authorized_minor = intent->amount.minor;
    emit(play, intent, CFA__PLAY_CHARGE_AUTHORIZED);
    if (!intent->capture_manual) {
        take(play, intent, intent->amount.minor);
    }
}

static void decline(cfa_play *play, cfa__play_intent *intent, const char *code) {
    turn(play, intent, CFA__PLAY_OPEN, CFA_FACT_FAILED, code);
    emit(play, intent, CFA__PLAY_INTENT_PAYMENT_FAILED);
}

/* ---- payment methods ------------------------------------------------------------------------- */

typedef enum method_effect { APPROVES, DECLINES, NEEDS_ACTION, IS_SLOW } method_effect;

static const struct method {
    const char *name;
    method_effect effect;
    const char *failure_code;
} methods[] = {
    { "pm_ok", APPROVES, NULL },
    { "pm_declined", DECLINES, "card_declined" },
    { "pm_funds", DECLINES, "insufficient_funds" },
    { "pm_action", NEEDS_ACTION, NULL },
    { "pm_slow", IS_SLOW, NULL },
};

static const struct method *find_method(const char *name) {
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (strcmp(methods[i].name, name) == 0) {
            return &methods[i];
        }
    }
    return NULL;
}

bool cfa__play_method_is_known(const char *method) { return find_method(method) != NULL; }

bool cfa__play_intent_pay(cfa_play *play, cfa__play_intent *intent, const char *name) {
    const struct method *method = find_method(name);
    assert(method != NULL && intent->state == CFA__PLAY_OPEN);
    intent->now.attempt++;
    switch (method->effect) {
    case APPROVES: approve(play, intent); return true;
    case NEEDS_ACTION:
        turn(play, intent, CFA__PLAY_ACTION, CFA_FACT_NEEDS_ACTION, NULL);
        emit(play, intent, CFA__PLAY_INTENT_REQUIRES_ACTION);
        return true;
    case IS_SLOW:
        turn(play, intent, CFA__PLAY_PROCESSING, CFA_FACT_PROCESSING, NULL);
        emit(play, intent, CFA__PLAY_INTENT_PROCESSING);
        return true;
    case DECLINES: break;
    }
    decline(play, intent, method->failure_code);
    return false;
}

/* ---- calls on an object ---------------------------------------------------------------------- */

const char *cfa__play_intent_capture(cfa_play *play, cfa__play_intent *intent,
                                     int64_t amount_minor) {
    switch (intent->state) {
    case CFA__PLAY_HELD: break;
    case CFA__PLAY_PAID: return "already_captured";
    case CFA__PLAY_CANCELED: return "already_canceled";
    case CFA__PLAY_EXPIRED: return "charge_expired";
    case CFA__PLAY_OPEN:
    case CFA__PLAY_ACTION:
    case CFA__PLAY_PROCESSING: return "not_authorized";
    }
    int64_t wanted_minor = amount_minor == 0 ? intent->now.authorized_minor : amount_minor;
    if (wanted_minor < 0 || wanted_minor > intent->now.authorized_minor) {
        return "amount_too_large";
    }
    take(play, intent, wanted_minor);
    return NULL;
}

const char *cfa__play_intent_cancel(cfa_play *play, cfa__play_intent *intent) {
    switch (intent->state) {
    case CFA__PLAY_OPEN:
    case CFA__PLAY_ACTION:
    case CFA__PLAY_HELD: break;
    case CFA__PLAY_PAID: return "already_captured";
    case CFA__PLAY_CANCELED: return "already_canceled";
    case CFA__PLAY_EXPIRED: return "already_expired";
    case CFA__PLAY_PROCESSING: return "still_processing";
    }
    turn(play, intent, CFA__PLAY_CANCELED, 0, NULL);
    intent->now.flags |= CFA_FACT_CANCELED;
    intent->now.cancel_reason = "requested_by_customer";
    emit(play, intent, CFA__PLAY_INTENT_CANCELED);
    return NULL;
}

/* ---- the donor's and the world's side -------------------------------------------------------- */

static cfa_status missing(const char *field) {
    return cfa_error_set(CFA_ENOTFOUND, CFA__PLAY_ORIGIN, field, 0,
                         "the provider has no such payment");
}

static cfa_status wrong_state(const cfa__play_intent *intent) {
    static const char *const texts[] = {
        [CFA__PLAY_OPEN] = "the payment waits for a payment method",
        [CFA__PLAY_ACTION] = "the payment waits for the donor's action",
        [CFA__PLAY_PROCESSING] = "the payment is processing",
        [CFA__PLAY_HELD] = "the payment is authorized already",
        [CFA__PLAY_PAID] = "the payment is paid already",
        [CFA__PLAY_CANCELED] = "the payment is canceled",
        [CFA__PLAY_EXPIRED] = "the payment is expired",
    };
    return cfa_error_set(CFA_ESTATE, CFA__PLAY_ORIGIN, NULL, 0, texts[intent->state]);
}

static cfa_status confirm_locked(cfa_play *play, const char *client_secret, const char *method) {
    cfa__play_intent *intent = cfa__play_find_secret(play, client_secret);
    if (intent == NULL) {
        return missing("client_secret");
    }
    if (intent->state != CFA__PLAY_OPEN) {
        return wrong_state(intent);
    }
    cfa_status status = cfa__play_queue_reserve(play);
    if (status != CFA_OK) {
        return status;
    }
    return cfa__play_intent_pay(play, intent, method)
               ? CFA_OK
               : cfa_error_set(CFA_EDECLINED, CFA__PLAY_ORIGIN, "payment_method", 0,
                               intent->now.failure_code);
}

cfa_status cfa_play_confirm(cfa_play *play, const char *client_secret, const char *payment_method) {
    if (client_secret == NULL || payment_method == NULL ||
        !cfa__play_method_is_known(payment_method)) {
        return cfa_error_set(CFA_EINVAL, CFA__PLAY_ORIGIN,
                             client_secret == NULL ? "client_secret" : "payment_method", 0,
                             "use a client secret and one of pm_ok, pm_declined, pm_funds, "
                             "pm_action, pm_slow");
    }
    cfa__play_lock(play);
    cfa_status status = confirm_locked(play, client_secret, payment_method);
    cfa__play_unlock(play);
    return status;
}

/* Finish an attempt that waits in `waiting`. */
static cfa_status finish(cfa_play *play, cfa__play_intent *intent, cfa__play_state waiting,
                         bool succeed, const char *failure_code, const char *field) {
    if (intent == NULL) {
        return missing(field);
    }
    if (intent->state != waiting) {
        return wrong_state(intent);
    }
    cfa_status status = cfa__play_queue_reserve(play);
    if (status != CFA_OK) {
        return status;
    }
    if (!succeed) {
        decline(play, intent, failure_code);
        return CFA_OK;
    }
    if (waiting == CFA__PLAY_ACTION) {
        turn(play, intent, CFA__PLAY_PROCESSING, CFA_FACT_PROCESSING, NULL);
        emit(play, intent, CFA__PLAY_INTENT_PROCESSING);
    }
    approve(play, intent);
    return CFA_OK;
}

cfa_status cfa_play_act(cfa_play *play, const char *client_secret, int32_t approved) {
    cfa__play_lock(play);
    cfa__play_intent *intent =
        client_secret != NULL ? cfa__play_find_secret(play, client_secret) : NULL;
    cfa_status status = finish(play, intent, CFA__PLAY_ACTION, approved != 0,
                               "authentication_failed", "client_secret");
    cfa__play_unlock(play);
    return status;
}

cfa_status cfa_play_settle(cfa_play *play, const char *ref, int32_t succeed) {
    cfa__play_lock(play);
    cfa__play_intent *intent = ref != NULL ? cfa__play_find_ref(play, ref) : NULL;
    cfa_status status =
        finish(play, intent, CFA__PLAY_PROCESSING, succeed != 0, "processing_error", "ref");
    cfa__play_unlock(play);
    return status;
}

static cfa_status expire_locked(cfa_play *play, const char *ref) {
    cfa__play_intent *intent = ref != NULL ? cfa__play_find_ref(play, ref) : NULL;
    if (intent == NULL) {
        return missing("ref");
    }
    bool held = intent->state == CFA__PLAY_HELD;
    if (!held && intent->state != CFA__PLAY_OPEN && intent->state != CFA__PLAY_ACTION) {
        return wrong_state(intent);
    }
    cfa_status status = cfa__play_queue_reserve(play);
    if (status != CFA_OK) {
        return status;
    }
    turn(play, intent, CFA__PLAY_EXPIRED, 0, NULL);
    intent->now.flags |= CFA_FACT_EXPIRED;
    emit(play, intent, held ? CFA__PLAY_CHARGE_EXPIRED : CFA__PLAY_INTENT_EXPIRED);
    return CFA_OK;
}

cfa_status cfa_play_expire(cfa_play *play, const char *ref) {
    cfa__play_lock(play);
    cfa_status status = expire_locked(play, ref);
    cfa__play_unlock(play);
    return status;
}
