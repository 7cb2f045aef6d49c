/*
 * verify.c - the receiver's half of the play provider's webhooks: are they real, what do they say.
 *
 * Must stay pure: no clock, no books, no lock.
 */
#include "adapters/play/books.h"
#include "util/json.h"
#include "util/signature.h"

#include <string.h>

#define TEXT_BYTES_MAX 255

/* ---- the signature --------------------------------------------------------------------------- */

static cfa_status verify(const cfa_play *play, cfa_slice signature, cfa_slice body,
                         int64_t now_us) {
    const cfa_slice secret = { play->webhook_secret, strlen(play->webhook_secret) };
    cfa__signature_verdict verdict = cfa__signature_check(signature, body, &secret, 1, now_us);
    return verdict == CFA__SIGNATURE_GOOD
               ? CFA_OK
               : cfa_error_set(CFA_ESIGNATURE, CFA__PLAY_ORIGIN, "signature", 0,
                               cfa__signature_text(verdict));
}

/* ---- what it says ---------------------------------------------------------------------------- */

static cfa_status malformed_body(const char *field) {
    return cfa_error_set(CFA_EINVAL, CFA__PLAY_ORIGIN, field, 0,
                         "the webhook's body lacks this, or it is wrong");
}

/* Copy a text member into `arena`. A missing one is NULL when it may be, else an error. */
static cfa_status copy_text(const char **out, const cfa__json *object, const char *name,
                            bool required, cfa_arena *arena) {
    const cfa__json *value = cfa__json_get(object, name);
    const char *text;
    *out = NULL;
    if (value == NULL && !required) {
        return CFA_OK;
    }
    if (!cfa__json_read_text(value, &text) || (required && text[0] == '\0') ||
        strlen(text) > TEXT_BYTES_MAX) {
        return malformed_body(name);
    }
    *out = cfa_arena_copy(arena, text, strlen(text));
    return *out != NULL ? CFA_OK : CFA_ENOMEM;
}

static cfa_status read_amount(int64_t *out, const cfa__json *object, const char *name,
                              int64_t most) {
    return cfa__json_read_int(cfa__json_get(object, name), out) && *out >= 0 && *out <= most
               ? CFA_OK
               : malformed_body(name);
}

static cfa_status read_flags(uint32_t *out, const cfa__json *flags) {
    *out = 0;
    for (size_t i = 0; i < cfa__json_size(flags); i++) {
        const char *name;
        if (!cfa__json_read_text(cfa__json_at(flags, i), &name)) {
            return malformed_body("flags");
        }
        uint32_t flag;
        const char *known;
        for (size_t at = 0; (known = cfa__play_flag_name(at, &flag)) != NULL; at++) {
            *out |= strcmp(name, known) == 0 ? flag : 0;
        }
    }
    return CFA_OK;
}

static cfa_status read_facts(cfa_facts *out, const cfa__json *data, cfa_arena *arena) {
    cfa_facts facts = CFA_FACTS_INIT;
    const char *currency;
    int64_t attempt;
    int64_t amount_minor;
    cfa_status status = copy_text(&facts.ref, data, "ref", true, arena);
    if (status == CFA_OK) {
        status = copy_text(&facts.payment_id, data, "payment_id", false, arena);
    }
    if (status == CFA_OK) {
        status = read_amount(&amount_minor, data, "amount_minor", CFA_MONEY_MINOR_MAX);
    }
    if (status == CFA_OK && (!cfa__json_read_text(cfa__json_get(data, "currency"), &currency) ||
                             cfa_money_make(&facts.amount, amount_minor, currency) != CFA_OK)) {
        status = malformed_body("currency");
    }
    if (status == CFA_OK) {
        status =
            read_amount(&facts.authorized_minor, data, "authorized_minor", CFA_MONEY_MINOR_MAX);
    }
    if (status == CFA_OK) {
        status = read_amount(&facts.captured_minor, data, "captured_minor", CFA_MONEY_MINOR_MAX);
    }
    if (status == CFA_OK) {
        status = read_amount(&attempt, data, "attempt", INT32_MAX);
    }
    if (status == CFA_OK) {
        status = read_amount(&facts.occurred_us, data, "occurred_us", INT64_MAX);
    }
    if (status == CFA_OK) {
        status = read_flags(&facts.flags, cfa__json_get(data, "flags"));
    }
    if (status == CFA_OK) {
        status = copy_text(&facts.failure_code, data, "failure_code", false, arena);
    }
    if (status == CFA_OK) {
        status = copy_text(&facts.cancel_reason, data, "cancel_reason", false, arena);
    }
    if (status == CFA_OK) {
        facts.attempt = (int32_t)attempt;
        *out = facts;
    }
    return status;
}

static cfa_status normalise(const cfa__json *root, cfa_arena *arena, cfa_webhook_event *out) {
    cfa_webhook_event event = { .struct_size = sizeof event, .facts = CFA_FACTS_INIT };
    bool livemode;
    cfa_status status = copy_text(&event.event_id, root, "id", true, arena);
    if (status == CFA_OK) {
        status = copy_text(&event.event_type, root, "type", true, arena);
    }
    if (status == CFA_OK) {
        status = copy_text(&event.account, root, "account", false, arena);
    }
    if (status == CFA_OK && !cfa__json_read_bool(cfa__json_get(root, "livemode"), &livemode)) {
        status = malformed_body("livemode");
    }
    if (status != CFA_OK) {
        return status;
    }
    event.account = event.account != NULL ? event.account : "";
    event.livemode = livemode;
    for (size_t i = 0; i < CFA__PLAY_EVENT_TYPES; i++) {
        const char *known = cfa__play_event_type_name((cfa__play_event_type)i);
        event.relevant |= strcmp(event.event_type, known) == 0;
    }
    if (event.relevant) {
        status = read_facts(&event.facts, cfa__json_get(root, "data"), arena);
    }
    if (status == CFA_OK) {
        *out = event;
    }
    return status;
}

cfa_status cfa__play_webhook(void *self, cfa_slice signature, cfa_slice body, int64_t now_us,
                             cfa_arena *arena, cfa_webhook_event *out) {
    if (body.size > CFA_WEBHOOK_BYTES_MAX) {
        return cfa_error_set(CFA_ETOOLONG, CFA__PLAY_ORIGIN, "body", 0,
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
                                    : cfa_error_set(CFA_EINVAL, CFA__PLAY_ORIGIN, "body", 0,
                                                    "the webhook's body is not JSON");
    }
    status = normalise(root, arena, out);
    cfa__json_free(root);
    return status;
}
