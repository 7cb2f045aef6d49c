/*
 * events.c - the log of events: made in the transaction that caused them, read by /v1/events.
 */
#include "api.h"
#include "form.h"
#include "webhooks.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static void queue(sandbox *box, const char *event, const webhook_endpoint *endpoint,
                  const char *type) {
    webhook_fault fault = faults_draw_webhook(box->faults, type);
    int64_t now_us = clock_us(box);
    for (int i = 0; i < fault.copies; i++) {
        sqlite3_stmt *q =
            store_sql(box->store, "INSERT INTO delivery(event, endpoint, state, first, due,"
                                  " attempts, status, error) VALUES(?, ?, ?, ?, ?, 0, 0, ?)");
        store_bind_text(q, 1, event);
        store_bind_text(q, 2, endpoint->id);
        sqlite3_bind_int(q, 3, fault.lost ? 3 : 0);
        sqlite3_bind_int64(q, 4, now_us);
        sqlite3_bind_int64(q, 5, now_us + fault.delay_ms * 1000);
        store_bind_text(q, 6, fault.lost ? "lost, as the faults asked for" : NULL);
        store_run(box->store, q);
    }
}

void event_emit(sandbox *box, const char *account, const char *type, json_t *doc,
                json_t *previous) {
    char id[ID_BYTES];
    int64_t pending = 0;
    random_id(box, id, "evt_1", 23);
    for (const webhook_endpoint *e = NULL; (e = endpoint_next(box, e, account, type));)
        pending++;
    json_t *data = pack("{s:o}", "object", show(doc));
    if (previous)
        doc_set(data, "previous_attributes", previous);
    bool asked = *box->cause_request;
    json_t *event =
        pack("{s:s, s:s, s:s, s:I, s:o, s:b, s:I, s:{s:o, s:o}, s:s}", "id", id, "object", "event",
             "api_version", box->options.api_version, "created", (json_int_t)clock_s(box), "data",
             data, "livemode", 0, "pending_webhooks", (json_int_t)pending, "request", "id",
             string_or_null(asked ? box->cause_request : NULL), "idempotency_key",
             string_or_null(asked && *box->cause_key ? box->cause_key : NULL), "type", type);
    if (strcmp(account, DEFAULT_ACCOUNT) != 0)
        doc_set_string(event, "account", account);
    store_insert(box->store, KIND_EVENT, account, event, doc_string(doc, "id"), type);
    json_decref(event);
    for (const webhook_endpoint *e = NULL; (e = endpoint_next(box, e, account, type));)
        queue(box, id, e, type);
}

void event_count_pending(sandbox *box, json_t *event) {
    sqlite3_stmt *q = store_sql(box->store, "SELECT count(*) FROM delivery"
                                            " WHERE event = ? AND state = 0");
    store_bind_text(q, 1, doc_string(event, "id"));
    store_step(box->store, q);
    doc_set_integer(event, "pending_webhooks", sqlite3_column_int64(q, 0));
    store_run(box->store, q);
}

json_t *event_thin(const char *text) {
    json_t *event = must(json_loads(text, 0, NULL));
    json_t *object = json_object_get(json_object_get(event, "data"), "object");
    const char *kind = doc_string(object, "object"), *id = doc_string(object, "id");
    time_t created = (time_t)doc_integer(event, "created");
    struct tm parts;
    char when[40], folder[64];
    gmtime_r(&created, &parts);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S.000Z", &parts);
    format_text(folder, sizeof folder, "%ss", kind);
    for (char *at = folder; *at; at++)
        *at = *at == '.' ? '/' : *at;
    const char *account = doc_string(event, "account");
    json_t *thin = pack(
        "{s:s, s:s, s:o, s:s, s:o, s:b, s:{s:s, s:s, s:o}, s:o}", "id", doc_string(event, "id"),
        "object", "v2.core.event", "type", json_sprintf("v1.%s", doc_string(event, "type")),
        "created", when, "context", string_or_null(account), "livemode", 0, "related_object", "id",
        id, "type", kind, "url", json_sprintf("/v1/%s/%s", folder, id), "reason", json_null());
    json_decref(event);
    return thin;
}

/* ---- routes --------------------------------------------------------------------------------- */

json_t *event_retrieve(call *c, const char *id) {
    json_t *event = load(c, KIND_EVENT, id, "event", "id");
    if (event)
        event_count_pending(c->box, event);
    return event;
}

json_t *event_retrieve_thin(call *c, const char *id) {
    char *text = store_load_text(c->box->store, KIND_EVENT, c->account, id);
    if (!text)
        return call_fail(c, 404, "invalid_request_error", "not_found", NULL, "No such event: '%s'",
                         id);
    json_t *thin = event_thin(text);
    free(text);
    return thin;
}

json_t *event_list(call *c, const char *id) {
    (void)id;
    const char *delivered = NULL, *type = form_string(c, "type"), *index;
    json_t *given = form_nested(c, "types"), *item, *tags = NULL;
    if (!form_choice(c, "delivery_success", "true false", &delivered))
        return NULL;
    if (given) {
        tags = pack("[]");
        json_object_foreach(given, index, item) json_array_append(tags, item);
    }
    size_t size = type ? strlen(type) : 0;
    bool group = size > 2 && strcmp(type + size - 2, ".*") == 0;
    if (group) {
        json_decref(tags);
        return call_fail(c, 400, "invalid_request_error", NULL, "type",
                         "Invalid type: the sandbox takes whole names; use types[] for several.");
    }
    json_t *out = list(c, &(list_filter){ .kind = KIND_EVENT,
                                          .url = "/v1/events",
                                          .tag = type,
                                          .tags = tags,
                                          .delivered = !delivered          ? -1
                                                       : *delivered == 't' ? 1
                                                                           : 0 });
    json_decref(tags);
    return out;
}
