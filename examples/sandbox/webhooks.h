/*
 * webhooks.h - events, the endpoints that want them, and their delivery. An event and its
 * deliveries are rows of the transaction that caused them; sending follows the commit.
 */
#ifndef SANDBOX_WEBHOOKS_H
#define SANDBOX_WEBHOOKS_H

#include "sandbox.h"

/* ---- events.c ------------------------------------------------------------------------------- */

/* Record `type` about `doc` and a delivery for every endpoint that wants it. `previous` (may be
 * NULL) is taken over. */
void event_emit(sandbox *box, const char *account, const char *type, json_t *doc, json_t *previous);
/* Set pending_webhooks as it is now. */
void event_count_pending(sandbox *box, json_t *event);
/* The thin form of a stored event, a new reference. */
json_t *event_thin(const char *text);

/* ---- endpoints.c ---------------------------------------------------------------------------- */

typedef struct webhook_endpoint {
    char id[ID_BYTES], account[ACCOUNT_BYTES];
    char *url, *secret, *old_secret;
    int64_t old_until_s; /* the old secret signs as well until then */
    json_t *events;
    bool connect, thin, enabled, everything;
} webhook_endpoint;

void endpoints_start(sandbox *box);
void endpoints_stop(sandbox *box);
const webhook_endpoint *endpoint_find(sandbox *box, const char *id);
/* Visit those that want `type` of `account`. */
const webhook_endpoint *endpoint_next(sandbox *box, const webhook_endpoint *after,
                                      const char *account, const char *type);
/* A new secret; the old one signs too for `keep_s`. The reply for the panel, or NULL. */
json_t *endpoint_roll(sandbox *box, const char *id, int64_t keep_s);

/* ---- deliver.c ------------------------------------------------------------------------------ */

struct sender *sender_start(sandbox *box);
void sender_stop(sandbox *box);
/* Look for deliveries that are due, soon. */
void sender_wake(sandbox *box);
/* Make everything that waits for a retry due now; `event` NULL: of all events, else that event is
 * sent again to every endpoint. The number of deliveries. */
int64_t sender_retry(sandbox *box, const char *event);
/* Rows of deliveries for the panel. */
json_t *sender_show(sandbox *box, const char *event);

#endif
