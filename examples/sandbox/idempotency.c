/*
 * idempotency.c - keys as API v1 keeps them: status and body of the first request that began to
 * execute, for a day of the clock. The request is remembered only as a keyed hash, since it can
 * hold a test card's number.
 */
#include "api.h"
#include "http.h"

#include <sodium.h>
#include <string.h>

static void fingerprint(call *c, unsigned char print[32]) {
    crypto_generichash_state state;
    int64_t secret[2] = { store_meta(c->box->store, "hash_0", 0),
                          store_meta(c->box->store, "hash_1", 0) };
    char *text = must(json_dumps(c->params, JSON_COMPACT | JSON_SORT_KEYS));
    crypto_generichash_init(&state, (const unsigned char *)secret, sizeof secret, 32);
    crypto_generichash_update(&state, (const unsigned char *)c->path, strlen(c->path) + 1);
    crypto_generichash_update(&state, (const unsigned char *)c->method, strlen(c->method) + 1);
    crypto_generichash_update(&state, (const unsigned char *)text, strlen(text));
    crypto_generichash_final(&state, print, 32);
    sodium_memzero(text, strlen(text));
    free(text);
}

static key_state refuse(call *c, int status, const char *code, const char *message) {
    call_fail(c, status, "idempotency_error", code, NULL, "%s", message);
    c->executing = false;
    call_json(c, status, pack("{s:O}", "error", c->error));
    return KEY_REFUSED;
}

key_state key_find(call *c, unsigned char out_print[32]) {
    size_t size = strlen(c->idempotency_key);
    if (!size || size > KEY_BYTES_MAX)
        return refuse(c, 400, NULL, "Idempotency keys have 1 to 255 characters.");
    for (size_t i = 0; i < size; i++)
        if (c->idempotency_key[i] < ' ' || c->idempotency_key[i] > '~')
            return refuse(c, 400, NULL, "Idempotency keys are ASCII text.");
    if (http_key_in_use(c->box, c))
        return refuse(c, 409, "idempotency_key_in_use",
                      "There is currently another in-progress request using this idempotency key "
                      "(that probably means you submitted twice, and the other request is still "
                      "going through). Please try again later.");
    fingerprint(c, out_print);
    sqlite3_stmt *q = store_sql(c->box->store, "SELECT request, status, body, request_id, created"
                                               " FROM answer WHERE account = ? AND key = ?");
    store_bind_text(q, 1, c->account);
    store_bind_text(q, 2, c->idempotency_key);
    if (!store_step(c->box->store, q))
        return KEY_NEW;
    bool same = sqlite3_column_bytes(q, 0) == 32 &&
                sodium_memcmp(sqlite3_column_blob(q, 0), out_print, 32) == 0;
    bool old = sqlite3_column_int64(q, 4) <= clock_s(c->box) - KEY_KEPT_S;
    if (same && !old) {
        call_text(c, sqlite3_column_int(q, 1), "application/json", store_column_text(q, 2));
        call_header_add(c, "Idempotent-Replayed", "true");
        call_header_add(c, "Original-Request", "%s", store_column_text(q, 3));
    }
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    if (old)
        return KEY_NEW;
    if (same)
        return KEY_REPLAYED;
    return refuse(
        c, 400, NULL,
        "Keys for idempotent requests can only be used with the same parameters they were "
        "first used with. Try using a key other than the one given if you meant to execute "
        "a different request.");
}

void key_keep(call *c, const unsigned char print[32]) {
    sqlite3_stmt *q =
        store_sql(c->box->store, "INSERT OR REPLACE INTO answer(account, key, created, request,"
                                 " request_id, status, body) VALUES(?, ?, ?, ?, ?, ?, ?)");
    store_bind_text(q, 1, c->account);
    store_bind_text(q, 2, c->idempotency_key);
    sqlite3_bind_int64(q, 3, clock_s(c->box));
    sqlite3_bind_blob(q, 4, print, 32, SQLITE_TRANSIENT);
    store_bind_text(q, 5, c->request_id);
    sqlite3_bind_int(q, 6, c->status);
    store_bind_text(q, 7, c->text);
    store_run(c->box->store, q);
}

void key_prune(sandbox *box) {
    sqlite3_stmt *q = store_sql(box->store, "DELETE FROM answer WHERE created <= ?");
    sqlite3_bind_int64(q, 1, clock_s(box) - KEY_KEPT_S);
    store_run(box->store, q);
}
