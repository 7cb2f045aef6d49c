/*
 * list.c - lists, newest first, by Stripe's cursors and windows; and expansion of ids to objects.
 */
#include "api.h"
#include "form.h"
#include "webhooks.h"

#include <stdlib.h>
#include <string.h>

enum { LIMIT_DEFAULT = 10, LIMIT_MAX = 100, EXPAND_DEPTH_MAX = 4, EVENTS_S = 30 * 24 * 3600 };

/* ---- lists ---------------------------------------------------------------------------------- */

#define SELECT_PAGE(source, order_1, order_2)                                                      \
    "SELECT body FROM object WHERE " source                                                        \
    " kind = ?1 AND account = ?2 AND created >= ?4 AND created <= ?5"                              \
    " AND (?6 IS NULL OR tag IN (SELECT value FROM json_each(?6)))"                                \
    " AND (?7 < 0 OR ?7 = NOT EXISTS(SELECT 1 FROM delivery d WHERE d.event = object.id"           \
    " AND d.state <> 1))" order_1 " ORDER BY created " order_2 ", seq " order_2 " LIMIT ?10"

#define OLDER " AND (created, seq) < (?8, ?9)"
#define NEWER " AND (created, seq) > (?8, ?9)"

static sqlite3_stmt *statement_of(store *s, const list_filter *filter, bool newer) {
    if (filter->parent)
        return newer ? store_sql(s, SELECT_PAGE("parent = ?3 AND", NEWER, "ASC"))
                     : store_sql(s, SELECT_PAGE("parent = ?3 AND", OLDER, "DESC"));
    if (filter->tag)
        return newer ? store_sql(s, SELECT_PAGE("tag = ?3 AND", NEWER, "ASC"))
                     : store_sql(s, SELECT_PAGE("tag = ?3 AND", OLDER, "DESC"));
    return newer ? store_sql(s, SELECT_PAGE("", NEWER, "ASC"))
                 : store_sql(s, SELECT_PAGE("", OLDER, "DESC"));
}

static bool read_bound(call *c, json_t *created, const char *name, int64_t step, int64_t *out) {
    const char *text = doc_string(created, name);
    if (!text)
        return true;
    if (!text_integer(text, out)) {
        call_fail(c, 400, "invalid_request_error", "parameter_invalid_integer", "created",
                  "Invalid integer: %s", text);
        return false;
    }
    *out += step;
    return true;
}

static bool read_window(call *c, int64_t *from, int64_t *to) {
    const char *text = form_string(c, "created");
    json_t *created = form_nested(c, "created");
    int64_t more = INT64_MIN, less = INT64_MAX;
    if (text && !form_integer(c, "created", from))
        return false;
    if (text)
        *to = *from;
    if (!read_bound(c, created, "gte", 0, from) || !read_bound(c, created, "gt", 1, &more) ||
        !read_bound(c, created, "lte", 0, to) || !read_bound(c, created, "lt", -1, &less))
        return false;
    *from = more > *from ? more : *from;
    *to = less < *to ? less : *to;
    return true;
}

static bool read_cursor(call *c, object_kind kind, const char *name, int64_t *created,
                        int64_t *seq) {
    const char *id = form_string(c, name);
    if (!id)
        return true;
    sqlite3_stmt *q = store_sql(c->box->store, "SELECT created, seq FROM object"
                                               " WHERE id = ? AND kind = ? AND account = ?");
    store_bind_text(q, 1, id);
    sqlite3_bind_int(q, 2, (int)kind);
    store_bind_text(q, 3, c->account);
    if (!store_step(c->box->store, q)) {
        call_fail(c, 400, "invalid_request_error", "resource_missing", name, "No such object: '%s'",
                  id);
        return false;
    }
    *created = sqlite3_column_int64(q, 0);
    *seq = sqlite3_column_int64(q, 1);
    store_run(c->box->store, q);
    return true;
}

json_t *list(call *c, const list_filter *filter) {
    int64_t limit = LIMIT_DEFAULT, from = 0, to = INT64_MAX, created = INT64_MAX, seq = INT64_MAX;
    bool newer = form_string(c, "ending_before") != NULL;
    if (!form_integer(c, "limit", &limit) || !read_window(c, &from, &to) ||
        !read_cursor(c, filter->kind, newer ? "ending_before" : "starting_after", &created, &seq))
        return NULL;
    if (limit < 1 || limit > LIMIT_MAX)
        return call_fail(c, 400, "invalid_request_error", "parameter_invalid_integer", "limit",
                         "Invalid limit: must be between 1 and %d", LIMIT_MAX);
    if (filter->kind == KIND_EVENT && from < clock_s(c->box) - EVENTS_S)
        from = clock_s(c->box) - EVENTS_S;
    call_execute(c);
    store *s = c->box->store;
    sqlite3_stmt *q = statement_of(s, filter, newer);
    sqlite3_bind_int(q, 1, (int)filter->kind);
    store_bind_text(q, 2, c->account);
    store_bind_text(q, 3, filter->parent ? filter->parent : filter->tag);
    sqlite3_bind_int64(q, 4, from);
    sqlite3_bind_int64(q, 5, to);
    if (filter->tags)
        sqlite3_bind_text(q, 6, must(json_dumps(filter->tags, 0)), -1, free);
    sqlite3_bind_int(q, 7, filter->kind == KIND_EVENT ? filter->delivered : -1);
    sqlite3_bind_int64(q, 8, created);
    sqlite3_bind_int64(q, 9, seq);
    sqlite3_bind_int64(q, 10, limit + 1);
    json_t *data = pack("[]");
    bool more = false;
    while (store_step(s, q)) {
        if ((int64_t)json_array_size(data) == limit) {
            more = true;
            continue;
        }
        json_t *doc = must(json_loads(store_column_text(q, 0), 0, NULL));
        json_object_del(doc, "_");
        if (newer)
            json_array_insert_new(data, 0, doc);
        else
            json_array_append_new(data, doc);
    }
    if (filter->kind == KIND_EVENT)
        for (size_t i = 0; i < json_array_size(data); i++)
            event_count_pending(c->box, json_array_get(data, i));
    return pack("{s:s, s:s, s:b, s:o}", "object", "list", "url", filter->url, "has_more", (int)more,
                "data", data);
}

/* ---- expansion ------------------------------------------------------------------------------ */

static object_kind kind_of(const char *id) {
    static const struct {
        const char *prefix;
        object_kind kind;
    } prefixes[] = { { "pi_", KIND_INTENT },  { "ch_", KIND_CHARGE },     { "re_", KIND_REFUND },
                     { "du_", KIND_DISPUTE }, { "cs_", KIND_SESSION },    { "txn_", KIND_BALANCE },
                     { "pm_", KIND_METHOD },  { "issfr_", KIND_WARNING }, { "po_", KIND_PAYOUT } };
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (text_starts(id, prefixes[i].prefix))
            return prefixes[i].kind;
    return 0;
}

bool expand_check(call *c) {
    const char *index;
    json_t *value;
    json_object_foreach(form_nested(c, "expand"), index, value) {
        char path[128];
        int depth = 0;
        format_text(path, sizeof path, "%s", json_is_string(value) ? json_string_value(value) : "");
        for (char *at = path, *next; at; at = next) {
            next = strchr(at, '.');
            if (next)
                *next++ = 0;
            if (++depth <= EXPAND_DEPTH_MAX &&
                word_in("data latest_charge payment_intent charge balance_transaction source "
                        "payment_method refunds line_items failure_balance_transaction customer "
                        "on_behalf_of application transfer_data review",
                        at))
                continue;
            call_fail(c, 400, "invalid_request_error", NULL, "expand",
                      "This property cannot be expanded (%.64s).", at);
            return false;
        }
    }
    return true;
}

static json_t *refunds_of(call *c, const char *charge) {
    store *s = c->box->store;
    sqlite3_stmt *q = store_sql(s, "SELECT body FROM object WHERE tag = ? AND kind = ?"
                                   " ORDER BY seq DESC LIMIT ?");
    store_bind_text(q, 1, charge ? charge : "");
    sqlite3_bind_int(q, 2, KIND_REFUND);
    sqlite3_bind_int(q, 3, LIMIT_DEFAULT + 1);
    json_t *data = pack("[]");
    bool more = false;
    while (store_step(s, q)) {
        more = json_array_size(data) == LIMIT_DEFAULT;
        if (more)
            continue;
        json_t *doc = must(json_loads(store_column_text(q, 0), 0, NULL));
        json_object_del(doc, "_");
        json_array_append_new(data, doc);
    }
    json_t *url = must(json_sprintf("/v1/charges/%s/refunds", charge ? charge : ""));
    return pack("{s:s, s:o, s:b, s:o}", "object", "list", "url", url, "has_more", (int)more, "data",
                data);
}

static void expand_path(call *c, json_t *at, const char *path) {
    size_t i;
    json_t *item;
    if (json_is_array(at)) {
        json_array_foreach(at, i, item) expand_path(c, item, path);
        return;
    }
    if (!json_is_object(at))
        return;
    char name[64];
    size_t size = strcspn(path, ".");
    format_text(name, sizeof name, "%.*s", (int)size, path);
    const char *rest = path[size] ? path + size + 1 : NULL;
    json_t *field = json_object_get(at, name);
    if (json_is_string(field) && kind_of(json_string_value(field))) {
        const char *id = json_string_value(field);
        json_t *doc = store_load(c->box->store, kind_of(id), c->account, id);
        if (doc) {
            json_object_del(doc, "_");
            doc_set(at, name, doc);
        }
    } else if (!field && strcmp(name, "line_items") == 0)
        doc_set(at, name, session_line_items(c, doc_string(at, "id")));
    else if (!field && strcmp(name, "refunds") == 0 &&
             text_equal(doc_string(at, "object"), "charge"))
        doc_set(at, name, refunds_of(c, doc_string(at, "id")));
    if (rest)
        expand_path(c, json_object_get(at, name), rest);
}

void expand(call *c, json_t *reply) {
    const char *index;
    json_t *value;
    json_object_foreach(form_nested(c, "expand"), index, value)
        expand_path(c, reply, json_string_value(value));
}
