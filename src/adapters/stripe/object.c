/*
 * object.c - Stripe's objects as facts. Pure. Says only what an object states about itself: what it
 * leaves open is left open here, so that facts from objects of any age can be merged in any order.
 */
#include "adapters/stripe/reversal.h"

#include <string.h>

#define TEXT_BYTES_MAX 255

bool cfa__stripe_object_is(const cfa__json *value, const char *name) {
    const char *object = cfa__stripe_text(value, "object");
    return object != NULL && strcmp(object, name) == 0;
}

const cfa__json *cfa__stripe_page(const cfa__json *list, bool *out_more) {
    const cfa__json *data = cfa__json_get(list, "data");
    bool good = cfa__stripe_object_is(list, "list") && cfa__json_is_array(data) &&
                cfa__json_read_bool(cfa__json_get(list, "has_more"), out_more);
    return good ? data : NULL;
}

const char *cfa__stripe_text(const cfa__json *object, const char *name) {
    const char *text;
    return cfa__json_read_text(cfa__json_get(object, name), &text) ? text : NULL;
}

bool cfa__stripe_text_is(const cfa__json *object, const char *name, const char *wanted) {
    const char *text = cfa__stripe_text(object, name);
    return text != NULL && strcmp(text, wanted) == 0;
}

cfa_status cfa__stripe_malformed(const char *object, const char *field) {
    return cfa_error_format(CFA_EINVAL, CFA__STRIPE_ORIGIN, field, 0,
                            "Stripe's %s lacks this, or it is wrong", object);
}

cfa_status cfa__stripe_keep(const char **out, const char *text, cfa_arena *arena) {
    *out = NULL;
    size_t size = text == NULL ? 0 : strnlen(text, TEXT_BYTES_MAX + 1);
    if (size == 0 || size > TEXT_BYTES_MAX) {
        return CFA_OK;
    }
    *out = cfa_arena_copy(arena, text, size);
    return *out != NULL ? CFA_OK : CFA_ENOMEM;
}

cfa_status cfa__stripe_keep_id(const char **out, const char *text, const char *object,
                               cfa_arena *arena) {
    cfa_status status = cfa__stripe_keep(out, text, arena);
    return status == CFA_OK && *out == NULL ? cfa__stripe_malformed(object, "id") : status;
}

const char *cfa__stripe_id(const cfa__json *object, const char *name) {
    const char *id = cfa__stripe_text(object, name);
    return id != NULL ? id : cfa__stripe_text(cfa__json_get(object, name), "id");
}

static cfa_status keep_payment_id(cfa_facts *facts, const cfa__json *object, cfa_arena *arena) {
    return cfa__stripe_keep(&facts->payment_id,
                            cfa__stripe_text(cfa__json_get(object, "metadata"), "payment_id"),
                            arena);
}

cfa_status cfa__stripe_amount(cfa_money *out, const cfa__json *object, const char *kind,
                              const char *name, bool required) {
    int64_t units = 0;
    const cfa__json *value = cfa__json_get(object, name);
    if (value == NULL && required) {
        return cfa__stripe_malformed(kind, name);
    }
    if (value != NULL && (!cfa__json_read_int(value, &units) || units < 0)) {
        return cfa__stripe_malformed(kind, name);
    }
    return cfa__stripe_money(out, units, cfa__stripe_text(object, "currency"))
               ? CFA_OK
               : cfa__stripe_malformed(kind, value == NULL ? "currency" : name);
}

const char *cfa__stripe_failure(const char *code, const char *bank_code) {
    static const char generic[] = "generic_decline";
    if (bank_code != NULL && strcmp(bank_code, generic) != 0) {
        return bank_code;
    }
    return code != NULL ? code : bank_code;
}

/* ---- payment intents ------------------------------------------------------------------------- */

/* Called off because its time was over, as opposed to somebody's wish. */
static bool is_expiry(const char *reason) {
    return reason != NULL && (strcmp(reason, "automatic") == 0 || strcmp(reason, "expired") == 0 ||
                              strcmp(reason, "abandoned") == 0);
}

static cfa_status intent_canceled(cfa_facts *facts, const cfa__json *intent, cfa_arena *arena) {
    const char *reason = cfa__stripe_text(intent, "cancellation_reason");
    int64_t canceled_s;
    facts->flags = is_expiry(reason) ? CFA_FACT_EXPIRED : CFA_FACT_CANCELED;
    if (cfa__json_read_int(cfa__json_get(intent, "canceled_at"), &canceled_s) && canceled_s > 0 &&
        canceled_s < INT64_MAX / 1000000) {
        facts->occurred_us = canceled_s * 1000000;
    }
    return cfa__stripe_keep(&facts->cancel_reason, reason, arena);
}

static cfa_status intent_unpaid(cfa_facts *facts, const cfa__json *intent, cfa_arena *arena) {
    const cfa__json *error = cfa__json_get(intent, "last_payment_error");
    if (error == NULL) {
        return CFA_OK;
    }
    const char *code = cfa__stripe_failure(cfa__stripe_text(error, "code"),
                                           cfa__stripe_text(error, "decline_code"));
    facts->flags = CFA_FACT_FAILED;
    return cfa__stripe_keep(&facts->failure_code, code != NULL ? code : "payment_failed", arena);
}

static cfa_status intent_state(cfa_facts *facts, const cfa__json *intent, cfa_arena *arena) {
    cfa_money received, capturable;
    cfa_status status =
        cfa__stripe_amount(&received, intent, "payment intent", "amount_received", false);
    if (status == CFA_OK) {
        status =
            cfa__stripe_amount(&capturable, intent, "payment intent", "amount_capturable", false);
    }
    if (status != CFA_OK) {
        return status;
    }
    facts->captured_minor = received.minor;
    if (cfa__stripe_text_is(intent, "status", "succeeded")) {
        facts->flags = CFA_FACT_SUCCEEDED;
        facts->authorized_minor =
            received.minor > facts->amount.minor ? received.minor : facts->amount.minor;
    } else if (cfa__stripe_text_is(intent, "status", "requires_capture")) {
        facts->authorized_minor = capturable.minor + received.minor;
    } else if (cfa__stripe_text_is(intent, "status", "processing")) {
        facts->flags = CFA_FACT_PROCESSING;
    } else if (cfa__stripe_text_is(intent, "status", "requires_action")) {
        facts->flags = CFA_FACT_NEEDS_ACTION;
    } else if (cfa__stripe_text_is(intent, "status", "canceled")) {
        return intent_canceled(facts, intent, arena);
    } else if (cfa__stripe_text_is(intent, "status", "requires_payment_method")) {
        return intent_unpaid(facts, intent, arena);
    } else if (cfa__stripe_text(intent, "status") == NULL) {
        return cfa__stripe_malformed("payment intent", "status");
    }
    /* requires_confirmation, and what Stripe may invent: nothing happened that we know of. */
    return CFA_OK;
}

cfa_status cfa__stripe_intent(cfa_facts *out, const cfa__json *intent, int64_t moment_us,
                              cfa_arena *arena) {
    cfa_facts facts = CFA_FACTS_INIT;
    facts.occurred_us = moment_us;
    if (!cfa__stripe_object_is(intent, "payment_intent")) {
        return cfa__stripe_malformed("payment intent", "object");
    }
    cfa_status status =
        cfa__stripe_keep_id(&facts.ref, cfa__stripe_text(intent, "id"), "payment intent", arena);
    if (status == CFA_OK) {
        status = keep_payment_id(&facts, intent, arena);
    }
    if (status == CFA_OK) {
        status = cfa__stripe_amount(&facts.amount, intent, "payment intent", "amount", true);
    }
    if (status == CFA_OK) {
        status = intent_state(&facts, intent, arena);
    }
    if (status == CFA_OK) {
        *out = facts;
    }
    return status;
}

/* ---- checkout sessions ----------------------------------------------------------------------- */

static void session_paid(cfa_facts *facts) {
    facts->flags = CFA_FACT_SUCCEEDED;
    facts->authorized_minor = facts->captured_minor = facts->amount.minor;
}

/* A page that ran out can never be paid any more; only the page says so, its intent may not. */
static void session_expired(cfa_facts *facts) {
    if ((facts->flags & (CFA_FACT_SUCCEEDED | CFA_FACT_PROCESSING)) == 0 &&
        facts->authorized_minor == 0 && facts->captured_minor == 0) {
        facts->flags = CFA_FACT_EXPIRED;
        facts->failure_code = NULL;
    }
}

/* Facts of the page itself, whose intent is at most named. */
static cfa_status session_alone(cfa_facts *facts, bool *out_tells, const cfa__json *session,
                                cfa_arena *arena) {
    const char *intent = cfa__stripe_text(session, "payment_intent");
    cfa_status status = keep_payment_id(facts, session, arena);
    if (status == CFA_OK && cfa__json_get(session, "amount_total") != NULL) {
        status =
            cfa__stripe_amount(&facts->amount, session, "checkout session", "amount_total", true);
    }
    if (status == CFA_OK && intent != NULL) {
        facts->origin_ref = facts->ref;
        status = cfa__stripe_keep_id(&facts->ref, intent, "checkout session", arena);
    }
    if (status != CFA_OK) {
        return status;
    }
    if (cfa__stripe_text_is(session, "payment_status", "paid")) {
        session_paid(facts);
    } else if (cfa__stripe_text_is(session, "status", "complete")) {
        *out_tells = false; /* held, or on its way: the intent knows */
    }
    return CFA_OK;
}

cfa_status cfa__stripe_session(cfa_facts *out, bool *out_tells, const cfa__json *session,
                               int64_t moment_us, cfa_arena *arena) {
    cfa_facts facts = CFA_FACTS_INIT;
    const char *ref;
    if (!cfa__stripe_object_is(session, "checkout.session")) {
        return cfa__stripe_malformed("checkout session", "object");
    }
    cfa_status status =
        cfa__stripe_keep_id(&ref, cfa__stripe_text(session, "id"), "checkout session", arena);
    if (status != CFA_OK) {
        return status;
    }
    *out_tells = true;
    const cfa__json *intent = cfa__json_get(session, "payment_intent");
    if (cfa__stripe_object_is(intent, "payment_intent")) {
        status = cfa__stripe_intent(&facts, intent, moment_us, arena);
        facts.origin_ref = ref;
    } else {
        facts.ref = ref;
        facts.occurred_us = moment_us;
        status = session_alone(&facts, out_tells, session, arena);
    }
    if (status != CFA_OK) {
        return status;
    }
    if (cfa__stripe_text_is(session, "status", "expired") &&
        !cfa__stripe_text_is(session, "payment_status", "paid")) {
        session_expired(&facts);
    }
    *out = facts;
    return CFA_OK;
}

/* ---- charges --------------------------------------------------------------------------------- */

static cfa_status charge_state(cfa_facts *facts, const cfa__json *charge, cfa_arena *arena) {
    bool captured = false;
    cfa_money taken;
    cfa_status status = cfa__stripe_amount(&taken, charge, "charge", "amount_captured", false);
    if (status != CFA_OK) {
        return status;
    }
    (void)cfa__json_read_bool(cfa__json_get(charge, "captured"), &captured);
    if (cfa__stripe_text_is(charge, "status", "succeeded")) {
        facts->authorized_minor = facts->amount.minor;
        facts->captured_minor = captured ? taken.minor : 0;
    } else if (cfa__stripe_text_is(charge, "status", "pending")) {
        facts->flags = CFA_FACT_PROCESSING;
    } else if (cfa__stripe_text_is(charge, "status", "failed")) {
        const char *code =
            cfa__stripe_failure(cfa__stripe_text(charge, "failure_code"),
                                cfa__stripe_text(cfa__json_get(charge, "outcome"), "reason"));
        facts->flags = CFA_FACT_FAILED;
        return cfa__stripe_keep(&facts->failure_code, code != NULL ? code : "payment_failed",
                                arena);
    }
    return CFA_OK;
}

cfa_status cfa__stripe_charge(cfa_facts *out, const cfa__json *charge, int64_t moment_us,
                              cfa_arena *arena) {
    cfa_facts facts = CFA_FACTS_INIT;
    facts.occurred_us = moment_us;
    if (!cfa__stripe_object_is(charge, "charge")) {
        return cfa__stripe_malformed("charge", "object");
    }
    cfa_status status =
        cfa__stripe_keep(&facts.ref, cfa__stripe_id(charge, "payment_intent"), arena);
    if (status == CFA_OK) {
        status = keep_payment_id(&facts, charge, arena);
    }
    if (status == CFA_OK) {
        status = cfa__stripe_amount(&facts.amount, charge, "charge", "amount", true);
    }
    if (status == CFA_OK) {
        status = charge_state(&facts, charge, arena);
    }
    if (status == CFA_OK) {
        *out = facts;
    }
    return status;
}
