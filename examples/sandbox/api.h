/*
 * api.h - Stripe's API v1 as far as donations need it: authentication, routes, idempotency, lists,
 * expansion. A handler returns the reply's object (a new reference) or NULL after `call_fail`; it
 * calls `call_execute` once its parameters are fine, and from then on its reply is kept.
 */
#ifndef SANDBOX_API_H
#define SANDBOX_API_H

#include "faults.h"
#include "sandbox.h"
#include "store.h"

#define API_VERSION "2026-10-28.endive"
#define DEFAULT_ACCOUNT "acct_1SandboxAccount00"

typedef json_t *(*api_handler)(call *c, const char *id);

void api_handle(call *c, const fault_plan *plan);

static inline void call_execute(call *c) { c->executing = true; }

/* The object, or NULL after a 404 naming `param`. */
json_t *load(call *c, object_kind kind, const char *id, const char *what, const char *param);
/* As callers see it, without the sandbox's own notes. */
json_t *show(json_t *doc);

/* ---- lists (list.c) ------------------------------------------------------------------------- */

typedef struct list_filter {
    object_kind kind;
    const char *url;
    const char *parent, *tag; /* NULL: any */
    json_t *tags;             /* any of these; NULL: any */
    int delivered;            /* events: -1 any, 0 not delivered everywhere, 1 delivered */
} list_filter;
json_t *list(call *c, const list_filter *filter);
/* Refuse what cannot be expanded. */
bool expand_check(call *c);
void expand(call *c, json_t *reply);

/* ---- idempotency (idempotency.c) ------------------------------------------------------------ */

typedef enum key_state { KEY_NEW, KEY_REPLAYED, KEY_REFUSED } key_state;
/* Look the key up: replays into the call, or refuses. `*out_print` is kept with the answer. */
key_state key_find(call *c, unsigned char out_print[32]);
/* Keep the call's reply under its key; inside the transaction of its effect. */
void key_keep(call *c, const unsigned char print[32]);
void key_prune(sandbox *box);

/* ---- handlers ------------------------------------------------------------------------------- */

json_t *account_retrieve(call *c, const char *id);

json_t *intent_create(call *c, const char *id);
json_t *intent_retrieve(call *c, const char *id);
json_t *intent_update(call *c, const char *id);
json_t *intent_list(call *c, const char *id);
json_t *intent_confirm(call *c, const char *id);
json_t *intent_capture(call *c, const char *id);
json_t *intent_cancel(call *c, const char *id);

json_t *charge_retrieve(call *c, const char *id);
json_t *charge_list(call *c, const char *id);
json_t *balance_retrieve(call *c, const char *id);
json_t *balance_list(call *c, const char *id);
json_t *payout_retrieve(call *c, const char *id);
json_t *payout_list(call *c, const char *id);
json_t *method_create(call *c, const char *id);
json_t *method_retrieve(call *c, const char *id);

json_t *session_create(call *c, const char *id);
json_t *session_retrieve(call *c, const char *id);
json_t *session_list(call *c, const char *id);
json_t *session_expire(call *c, const char *id);
json_t *session_line_items(call *c, const char *id);

json_t *refund_create(call *c, const char *id);
json_t *refund_retrieve(call *c, const char *id);
json_t *refund_update(call *c, const char *id);
json_t *refund_list(call *c, const char *id);
json_t *refund_cancel(call *c, const char *id);

json_t *dispute_retrieve(call *c, const char *id);
json_t *dispute_update(call *c, const char *id);
json_t *dispute_list(call *c, const char *id);
json_t *dispute_close(call *c, const char *id);
json_t *warning_retrieve(call *c, const char *id);
json_t *warning_list(call *c, const char *id);

json_t *event_retrieve(call *c, const char *id);
json_t *event_retrieve_thin(call *c, const char *id);
json_t *event_list(call *c, const char *id);

json_t *endpoint_create(call *c, const char *id);
json_t *endpoint_retrieve(call *c, const char *id);
json_t *endpoint_update(call *c, const char *id);
json_t *endpoint_list(call *c, const char *id);
json_t *endpoint_delete(call *c, const char *id);

#endif
