/*
 * endpoints.c - /v1/webhook_endpoints and the list of them that events are matched against, which
 * is kept in memory and made anew after every change.
 */
#include "api.h"
#include "form.h"
#include "webhooks.h"

#include <stdlib.h>
#include <string.h>

enum { ENDPOINTS_MAX = 16 };

static const char flag_id[] = "we_1SandboxByFlag";

typedef struct endpoints {
    webhook_endpoint list[ENDPOINTS_MAX];
    int count;
} endpoints;

static void forget(endpoints *all) {
    for (int i = 0; i < all->count; i++) {
        free(all->list[i].url);
        free(all->list[i].secret);
        free(all->list[i].old_secret);
        json_decref(all->list[i].events);
    }
    all->count = 0;
}

static char *copy_or_null(const char *text) { return text ? must(strdup(text)) : NULL; }

static void remember(endpoints *all, json_t *doc) {
    json_t *hidden = doc_hidden(doc), *events = json_object_get(doc, "enabled_events"), *item;
    webhook_endpoint *e = &all->list[all->count++];
    *e = (webhook_endpoint){ .url = copy_or_null(doc_string(doc, "url")),
                             .secret = copy_or_null(doc_string(hidden, "secret")),
                             .old_secret = copy_or_null(doc_string(hidden, "old_secret")),
                             .old_until_s = doc_integer(hidden, "old_until"),
                             .events = json_incref(events),
                             .connect = doc_true(hidden, "connect"),
                             .thin = doc_true(hidden, "thin"),
                             .enabled = text_equal(doc_string(doc, "status"), "enabled") };
    format_text(e->id, sizeof e->id, "%s", doc_string(doc, "id"));
    format_text(e->account, sizeof e->account, "%s", doc_account(doc));
    size_t i;
    json_array_foreach(events, i, item) if (text_equal(json_string_value(item), "*"))
        e->everything = true;
}

static void reload(sandbox *box) {
    forget(box->endpoints);
    sqlite3_stmt *q =
        store_sql(box->store, "SELECT body FROM object WHERE kind = ? ORDER BY seq LIMIT ?");
    sqlite3_bind_int(q, 1, KIND_ENDPOINT);
    sqlite3_bind_int(q, 2, ENDPOINTS_MAX);
    while (store_step(box->store, q)) {
        json_t *doc = must(json_loads(store_column_text(q, 0), 0, NULL));
        remember(box->endpoints, doc);
        json_decref(doc);
    }
}

static json_t *endpoint_doc(const char *id, const char *version, int64_t now_s, const char *url,
                            json_t *events, const char *description, const char *secret,
                            bool connect, bool thin) {
    json_t *doc =
        pack("{s:s, s:s, s:s, s:n, s:I, s:o, s:O, s:b, s:{}, s:s, s:s}", "id", id, "object",
             "webhook_endpoint", "api_version", version, "application", "created",
             (json_int_t)now_s, "description", string_or_null(description), "enabled_events",
             events, "livemode", 0, "metadata", "status", "enabled", "url", url);
    json_t *hidden = doc_hidden(doc);
    doc_set_string(hidden, "secret", secret);
    doc_set(hidden, "connect", json_boolean(connect));
    doc_set(hidden, "thin", json_boolean(thin));
    return doc;
}

/* The endpoint of --webhook: one, with a fixed id, set anew at every start. */
static void add_flagged(sandbox *box) {
    const sandbox_options *options = &box->options;
    if (!options->webhook_url)
        return;
    json_t *events = pack("[s]", "*");
    json_t *doc =
        endpoint_doc(flag_id, options->api_version, clock_s(box), options->webhook_url, events,
                     "by --webhook", options->webhook_secret, true, options->webhook_thin);
    store_begin(box->store);
    store_delete(box->store, flag_id);
    store_insert(box->store, KIND_ENDPOINT, DEFAULT_ACCOUNT, doc, NULL, NULL);
    store_commit(box->store);
    json_decref(doc);
    json_decref(events);
}

void endpoints_start(sandbox *box) {
    box->endpoints = must(calloc(1, sizeof *box->endpoints));
    add_flagged(box);
    reload(box);
}

void endpoints_stop(sandbox *box) {
    forget(box->endpoints);
    free(box->endpoints);
    box->endpoints = NULL;
}

const webhook_endpoint *endpoint_find(sandbox *box, const char *id) {
    const endpoints *all = box->endpoints;
    for (int i = 0; i < all->count; i++)
        if (strcmp(all->list[i].id, id) == 0)
            return &all->list[i];
    return NULL;
}

static bool wants(const webhook_endpoint *e, const char *account, const char *type) {
    bool own = strcmp(e->account, account) == 0;
    bool flagged = strcmp(e->id, flag_id) == 0;
    if (!e->enabled || (!flagged && e->connect == own))
        return false;
    if (e->everything)
        return true;
    size_t i;
    json_t *item;
    json_array_foreach(e->events, i,
                       item) if (text_equal(json_string_value(item), type)) return true;
    return false;
}

const webhook_endpoint *endpoint_next(sandbox *box, const webhook_endpoint *after,
                                      const char *account, const char *type) {
    const endpoints *all = box->endpoints;
    const webhook_endpoint *e = after ? after + 1 : all->list;
    for (; e < all->list + all->count; e++)
        if (wants(e, account, type))
            return e;
    return NULL;
}

json_t *endpoint_roll(sandbox *box, const char *id, int64_t keep_s) {
    if (!id && !box->endpoints->count)
        return NULL;
    json_t *doc = store_load(box->store, KIND_ENDPOINT, NULL, id ? id : box->endpoints->list[0].id);
    if (!doc)
        return NULL;
    char secret[ID_BYTES];
    json_t *hidden = doc_hidden(doc);
    int64_t until_s = clock_s(box) + keep_s;
    random_id(box, secret, "whsec_", 32);
    doc_set_string(hidden, "old_secret", doc_string(hidden, "secret"));
    doc_set_integer(hidden, "old_until", until_s);
    doc_set_string(hidden, "secret", secret);
    store_begin(box->store);
    store_update(box->store, doc);
    store_commit(box->store);
    json_t *out = pack("{s:s, s:s, s:I}", "id", doc_string(doc, "id"), "secret", secret,
                       "old_secret_until", (json_int_t)until_s);
    json_decref(doc);
    reload(box);
    return out;
}

/* ---- routes --------------------------------------------------------------------------------- */

static bool check_url(call *c, const char *url) {
    if (text_starts(url, "http://") || text_starts(url, "https://"))
        return true;
    call_fail(c, 400, "invalid_request_error", "url_invalid", "url",
              "Invalid URL: An explicit scheme (such as https) must be provided.");
    return false;
}

/* enabled_events[] as a list; NULL when absent. */
static json_t *read_events(call *c) {
    json_t *given = form_nested(c, "enabled_events"), *item, *out = NULL;
    const char *index;
    if (!given)
        return NULL;
    out = pack("[]");
    json_object_foreach(given, index, item) json_array_append(out, item);
    return out;
}

json_t *endpoint_create(call *c, const char *id) {
    (void)id;
    char made[ID_BYTES], secret[ID_BYTES];
    const char *url = form_required(c, "url"), *payload = NULL;
    if (!url || !check_url(c, url) || !form_choice(c, "event_payload", "snapshot thin", &payload))
        return NULL;
    json_t *events = read_events(c);
    if (!events)
        return call_fail(c, 400, "invalid_request_error", "parameter_missing", "enabled_events",
                         "Missing required param: enabled_events.");
    call_execute(c);
    if (c->box->endpoints->count == ENDPOINTS_MAX) {
        json_decref(events);
        return call_fail(c, 400, "invalid_request_error", NULL, NULL,
                         "You have reached the maximum of %d webhook endpoints.", ENDPOINTS_MAX);
    }
    random_id(c->box, made, "we_1", 23);
    random_id(c->box, secret, "whsec_", 32);
    json_t *doc = endpoint_doc(made,
                               form_string(c, "api_version") ? form_string(c, "api_version")
                                                             : c->box->options.api_version,
                               clock_s(c->box), url, events, form_string(c, "description"), secret,
                               form_true(c, "connect"), text_equal(payload, "thin"));
    if (form_nested(c, "metadata"))
        json_object_update(json_object_get(doc, "metadata"), form_nested(c, "metadata"));
    store_insert(c->box->store, KIND_ENDPOINT, c->account, doc, NULL, NULL);
    reload(c->box);
    json_object_del(doc, "_");
    doc_set_string(doc, "secret", secret); /* shown here and never again */
    json_decref(events);
    return doc;
}

json_t *endpoint_retrieve(call *c, const char *id) {
    json_t *doc = load(c, KIND_ENDPOINT, id, "webhook_endpoint", "webhook_endpoint");
    if (doc)
        json_object_del(doc, "_");
    return doc;
}

json_t *endpoint_update(call *c, const char *id) {
    json_t *doc = load(c, KIND_ENDPOINT, id, "webhook_endpoint", "webhook_endpoint");
    const char *url = form_string(c, "url"), *disabled = form_string(c, "disabled");
    if (!doc)
        return NULL;
    if (url && !check_url(c, url)) {
        json_decref(doc);
        return NULL;
    }
    call_execute(c);
    json_t *events = read_events(c);
    if (events)
        doc_set(doc, "enabled_events", events);
    if (url)
        doc_set_string(doc, "url", url);
    if (disabled)
        doc_set_string(doc, "status", strcmp(disabled, "true") == 0 ? "disabled" : "enabled");
    if (form_string(c, "description"))
        doc_set_string(doc, "description", form_string(c, "description"));
    if (form_nested(c, "metadata"))
        json_object_update(json_object_get(doc, "metadata"), form_nested(c, "metadata"));
    store_update(c->box->store, doc);
    reload(c->box);
    json_object_del(doc, "_");
    return doc;
}

json_t *endpoint_list(call *c, const char *id) {
    (void)id;
    return list(c, &(list_filter){
                       .kind = KIND_ENDPOINT, .url = "/v1/webhook_endpoints", .delivered = -1 });
}

json_t *endpoint_delete(call *c, const char *id) {
    json_t *doc = load(c, KIND_ENDPOINT, id, "webhook_endpoint", "webhook_endpoint");
    if (!doc)
        return NULL;
    json_decref(doc);
    call_execute(c);
    store_delete(c->box->store, id);
    reload(c->box);
    return pack("{s:s, s:s, s:b}", "id", id, "object", "webhook_endpoint", "deleted", 1);
}
