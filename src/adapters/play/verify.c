/*
 * verify.c - the receiver's half of the play provider's webhooks: are they real, what do they say.
 *
 * Must stay pure: no clock, no books, no lock.
 */
#include "adapters/play/books.h"
#include "util/signature.h"

#include <string.h>

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

static cfa_status normalise(const cfa__json *root, cfa_arena *arena, cfa_webhook_event *out) {
    cfa_webhook_event event = { .struct_size = sizeof event, .facts = CFA_FACTS_INIT };
    bool livemode;
    cfa_status status = cfa__play_read_text(&event.event_id, root, "id", true, arena);
    if (status == CFA_OK) {
        status = cfa__play_read_text(&event.event_type, root, "type", true, arena);
    }
    if (status == CFA_OK) {
        status = cfa__play_read_text(&event.account, root, "account", false, arena);
    }
    if (status == CFA_OK && !cfa__json_read_bool(cfa__json_get(root, "livemode"), &livemode)) {
        status = cfa__play_malformed("livemode");
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
        status = cfa__play_facts_read(&event.facts, cfa__json_get(root, "data"), arena);
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
