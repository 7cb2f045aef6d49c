/*
 * webhook.c - Stripe's events: are they real, and what do they say about a payment. Pure.
 *
 * Events of other products on the same account carry no payment id of ours: they are authentic and
 * of no interest. Refunds, disputes and fraud warnings carry none in any case, but name the intent.
 */
#include "adapters/stripe/reversal.h"
#include "util/signature.h"

#include <string.h>

#define TEXT_BYTES_MAX 255

/* ---- the signature --------------------------------------------------------------------------- */

static bool begins(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Why no secret can have signed, when that can be seen in the secrets themselves. */
static const char *wrong_kind(const cfa__stripe_secrets *secrets) {
    for (size_t i = 0; i < secrets->webhook_count; i++) {
        if (begins(secrets->webhook[i], "whsec_")) {
            return NULL;
        }
    }
    const char *first = secrets->webhook[0];
    return begins(first, "sk_") || begins(first, "rk_") || begins(first, "pk_")
               ? "the webhook secret is of the wrong kind: it looks like an API key, and must be "
                 "the endpoint's signing secret (whsec_...)"
               : "the webhook secret is of the wrong kind: signing secrets begin with whsec_";
}

static cfa_status verify(cfa_stripe *stripe, cfa_slice signature, cfa_slice body, int64_t now_us) {
    cfa__stripe_secrets *secrets = cfa__stripe_secrets_hold(stripe);
    cfa_slice tried[CFA_STRIPE_WEBHOOK_SECRETS_MAX];
    for (size_t i = 0; i < secrets->webhook_count; i++) {
        tried[i] = (cfa_slice){ secrets->webhook[i], strlen(secrets->webhook[i]) };
    }
    cfa__signature_verdict verdict =
        cfa__signature_check(signature, body, tried, secrets->webhook_count, now_us);
    const char *why = verdict == CFA__SIGNATURE_MISMATCH ? wrong_kind(secrets) : NULL;
    cfa__stripe_secrets_release(secrets);
    return verdict == CFA__SIGNATURE_GOOD
               ? CFA_OK
               : cfa_error_set(CFA_ESIGNATURE, CFA__STRIPE_ORIGIN, "signature", 0,
                               why != NULL ? why : cfa__signature_text(verdict));
}

/* ---- what it says ---------------------------------------------------------------------------- */

typedef enum subject { NOBODY, INTENT, SESSION, CHARGE, REFUND, DISPUTE, WARNING } subject;

/* Types that tell about a payment; all others are recorded and left alone. */
static const struct event_type {
    const char *name;
    subject about;
} event_types[] = {
    { "payment_intent.created", INTENT },
    { "payment_intent.requires_action", INTENT },
    { "payment_intent.processing", INTENT },
    { "payment_intent.amount_capturable_updated", INTENT },
    { "payment_intent.partially_funded", INTENT },
    { "payment_intent.payment_failed", INTENT },
    { "payment_intent.succeeded", INTENT },
    { "payment_intent.canceled", INTENT },
    { "checkout.session.completed", SESSION },
    { "checkout.session.async_payment_succeeded", SESSION },
    { "checkout.session.async_payment_failed", SESSION },
    { "checkout.session.expired", SESSION },
    { "charge.pending", CHARGE },
    { "charge.succeeded", CHARGE },
    { "charge.captured", CHARGE },
    { "charge.failed", CHARGE },
    { "charge.expired", CHARGE },
    { "charge.updated", CHARGE },
    { "charge.refunded", CHARGE },
    { "charge.refund.updated", REFUND },
    { "refund.created", REFUND },
    { "refund.updated", REFUND },
    { "refund.failed", REFUND },
    { "charge.dispute.created", DISPUTE },
    { "charge.dispute.updated", DISPUTE },
    { "charge.dispute.funds_withdrawn", DISPUTE },
    { "charge.dispute.funds_reinstated", DISPUTE },
    { "charge.dispute.closed", DISPUTE },
    { "radar.early_fraud_warning.created", WARNING },
    { "radar.early_fraud_warning.updated", WARNING },
};

static subject subject_of(const char *type) {
    for (size_t i = 0; i < sizeof event_types / sizeof event_types[0]; i++) {
        if (strcmp(event_types[i].name, type) == 0) {
            return event_types[i].about;
        }
    }
    return NOBODY;
}

static cfa_status malformed(const char *field) {
    return cfa_error_set(CFA_EINVAL, CFA__STRIPE_ORIGIN, field, 0,
                         "the webhook's body lacks this, or it is wrong");
}

static cfa_status copy_text(const char **out, const cfa__json *object, const char *name,
                            cfa_arena *arena) {
    const char *text = cfa__stripe_text(object, name);
    if (text == NULL || text[0] == '\0' || strnlen(text, TEXT_BYTES_MAX + 1) > TEXT_BYTES_MAX) {
        return malformed(name);
    }
    *out = cfa_arena_copy(arena, text, strlen(text));
    return *out != NULL ? CFA_OK : CFA_ENOMEM;
}

static cfa_status read_intent(cfa_webhook_event *event, const cfa__json *object, int64_t created_us,
                              cfa_arena *arena) {
    event->relevant = 1;
    return cfa__stripe_intent(&event->facts, object, created_us, arena);
}

static cfa_status read_session(cfa_webhook_event *event, const cfa__json *object,
                               int64_t created_us, cfa_arena *arena) {
    bool tells;
    cfa_status status = cfa__stripe_session(&event->facts, &tells, object, created_us, arena);
    if (status != CFA_OK) {
        return status;
    }
    event->relevant = 1;
    if (strcmp(event->event_type, "checkout.session.async_payment_failed") == 0 &&
        event->facts.flags == 0) {
        event->facts.flags = CFA_FACT_FAILED;
        event->facts.failure_code = "async_payment_failed";
        tells = true;
    }
    event->fetch = !tells;
    return CFA_OK;
}

/* More went back than what was released of the hold. */
static bool is_refunded(const cfa_facts *facts, const cfa__json *charge) {
    cfa_money back;
    return facts->captured_minor > 0 &&
           (cfa__stripe_amount(&back, charge, "charge", "amount_refunded", false) != CFA_OK ||
            back.minor > facts->amount.minor - facts->captured_minor);
}

/* What the charge itself does not tell is to be read: which refunds there are, and the fee, which
 * becomes known late and is named then. */
static bool leaves_open(const cfa_webhook_event *event, const cfa__json *charge, uint32_t unread) {
    if (strcmp(event->event_type, "charge.refunded") == 0) {
        return is_refunded(&event->facts, charge) && (unread & CFA__STRIPE_REFUNDS) != 0;
    }
    return strcmp(event->event_type, "charge.updated") == 0 && event->facts.captured_minor > 0 &&
           cfa__stripe_text(charge, "balance_transaction") != NULL;
}

/* A charge that was released without being captured looks refunded; it never was any money. */
static cfa_status read_charge(cfa_webhook_event *event, const cfa__json *object, int64_t created_us,
                              cfa_arena *arena) {
    uint32_t unread;
    cfa_status status = cfa__stripe_charge(&event->facts, object, created_us, arena);
    if (status == CFA_OK) {
        status = cfa__stripe_charge_reversals(&event->facts, &unread, object, created_us, arena);
    }
    if (status != CFA_OK) {
        return status;
    }
    bool holds = event->facts.captured_minor == 0 && event->facts.authorized_minor > 0;
    bool released = false;
    (void)cfa__json_read_bool(cfa__json_get(object, "refunded"), &released);
    event->relevant = event->facts.ref != NULL;
    event->fetch = event->relevant && leaves_open(event, object, unread);
    if (strcmp(event->event_type, "charge.expired") == 0) {
        event->facts.flags = CFA_FACT_EXPIRED;
        event->facts.authorized_minor = 0;
        event->facts.cancel_reason = "expired_uncaptured_charge";
    } else if (holds && (released || strcmp(event->event_type, "charge.refunded") == 0)) {
        event->relevant = 0;
    }
    return CFA_OK;
}

/* Refunds, disputes, warnings: of no interest without an intent. */
static cfa_status read_reversal(cfa_webhook_event *event, subject about, const cfa__json *object,
                                int64_t created_us, cfa_arena *arena) {
    bool tells = true;
    cfa_status status =
        about == REFUND    ? cfa__stripe_refund(&event->facts, &tells, object, created_us, arena)
        : about == DISPUTE ? cfa__stripe_dispute(&event->facts, &tells, object, event->event_type,
                                                 created_us, arena)
                           : cfa__stripe_warning(&event->facts, object, created_us, arena);
    event->relevant = status == CFA_OK && event->facts.ref != NULL;
    event->fetch = !tells;
    return status;
}

static bool is_ours(const cfa__json *object) {
    const char *payment_id = cfa__stripe_text(cfa__json_get(object, "metadata"), "payment_id");
    return payment_id != NULL && payment_id[0] != '\0';
}

static cfa_status read_object(cfa_webhook_event *event, const cfa__json *object, int64_t created_us,
                              cfa_arena *arena) {
    subject about = subject_of(event->event_type);
    cfa_status status = CFA_OK;
    switch (about) {
    case NOBODY: break;
    case INTENT:
    case SESSION:
    case CHARGE:
        if (is_ours(object)) {
            status = about == INTENT    ? read_intent(event, object, created_us, arena)
                     : about == SESSION ? read_session(event, object, created_us, arena)
                                        : read_charge(event, object, created_us, arena);
        }
        break;
    case REFUND:
    case DISPUTE:
    case WARNING: status = read_reversal(event, about, object, created_us, arena); break;
    }
    return status == CFA_EINVAL ? malformed("data.object") : status;
}

/* An event that only names its object: the object is to be fetched. */
static cfa_status read_thin(cfa_webhook_event *event, const cfa__json *related, cfa_arena *arena) {
    const char *id = cfa__stripe_text(related, "id");
    if (id == NULL || (!begins(id, "pi_") && !begins(id, "cs_"))) {
        return CFA_OK;
    }
    event->relevant = event->fetch = 1;
    return copy_text(&event->facts.ref, related, "id", arena);
}

/* Whose event it is. False: not of the account that this adapter acts for. */
static bool read_account(cfa_webhook_event *event, const cfa__json *root, const cfa_stripe *stripe,
                         cfa_arena *arena) {
    const char *account = cfa__stripe_text(root, "account");
    account = account != NULL ? account : cfa__stripe_text(root, "context");
    account = account != NULL ? account : "";
    event->account = "";
    if (stripe->account[0] != '\0') {
        return strcmp(account, stripe->account) == 0;
    }
    if (strnlen(account, TEXT_BYTES_MAX + 1) <= TEXT_BYTES_MAX) {
        event->account = cfa_arena_copy(arena, account, strlen(account));
    }
    return true;
}

static cfa_status normalise(const cfa__json *root, const cfa_stripe *stripe, cfa_arena *arena,
                            cfa_webhook_event *out) {
    cfa_webhook_event event = { .struct_size = sizeof event, .facts = CFA_FACTS_INIT };
    bool livemode = false;
    int64_t created_s = 0;
    bool thin = cfa__stripe_object_is(root, "v2.core.event");
    if (!thin && !cfa__stripe_object_is(root, "event")) {
        return malformed("object");
    }
    cfa_status status = copy_text(&event.event_id, root, "id", arena);
    if (status == CFA_OK) {
        status = copy_text(&event.event_type, root, "type", arena);
    }
    if (status == CFA_OK && !cfa__json_read_bool(cfa__json_get(root, "livemode"), &livemode)) {
        status = malformed("livemode");
    }
    /* Thin events write the time as text; they do not need it. */
    if (status == CFA_OK && !thin &&
        (!cfa__json_read_int(cfa__json_get(root, "created"), &created_s) || created_s < 0 ||
         created_s > INT64_MAX / 1000000)) {
        status = malformed("created");
    }
    if (status != CFA_OK) {
        return status;
    }
    event.livemode = livemode;
    bool ours = read_account(&event, root, stripe, arena);
    if (event.account == NULL) {
        return CFA_ENOMEM;
    }
    const cfa__json *object = cfa__json_get(cfa__json_get(root, "data"), "object");
    if (ours) {
        status = thin || object == NULL
                     ? read_thin(&event, cfa__json_get(root, "related_object"), arena)
                     : read_object(&event, object, created_s * 1000000, arena);
    }
    if (status == CFA_OK) {
        *out = event;
    }
    return status;
}

cfa_status cfa__stripe_webhook(void *self, cfa_slice signature, cfa_slice body, int64_t now_us,
                               cfa_arena *arena, cfa_webhook_event *out) {
    if (body.size > CFA_WEBHOOK_BYTES_MAX) {
        return cfa_error_set(CFA_ETOOLONG, CFA__STRIPE_ORIGIN, "body", 0,
                             "a webhook is at most 1 MiB");
    }
    cfa_status status = verify(self, signature, body, now_us);
    if (status != CFA_OK) {
        return status;
    }
    cfa__json *root;
    status = cfa__json_parse(&root, body);
    if (status != CFA_OK) {
        return status == CFA_ENOMEM ? status
                                    : cfa_error_set(CFA_EINVAL, CFA__STRIPE_ORIGIN, "body", 0,
                                                    "the webhook's body is not JSON");
    }
    status = normalise(root, self, arena, out);
    cfa__json_free(root);
    return status;
}
