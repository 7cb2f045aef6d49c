/*
 * store.c - the SQLite file: schema, statements kept prepared, objects. synchronous is OFF because
 * only the death of the process is survived, not that of the machine.
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATEMENTS_MAX = 128, SCHEMA_VERSION = 1, BUSY_MS = 500 };

struct store {
    sqlite3 *db;
    struct {
        const char *sql;
        sqlite3_stmt *statement;
    } statements[STATEMENTS_MAX];
    int count;
};

static const char schema[] =
    "CREATE TABLE object(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL,"
    " account TEXT NOT NULL, created INTEGER NOT NULL, parent TEXT, tag TEXT, body TEXT NOT NULL)"
    " STRICT;"
    "CREATE INDEX object_list ON object(kind, account, created, seq);"
    "CREATE INDEX object_parent ON object(parent, kind, seq) WHERE parent IS NOT NULL;"
    "CREATE INDEX object_tag ON object(tag, kind, seq) WHERE tag IS NOT NULL;"
    "CREATE TABLE answer(seq INTEGER PRIMARY KEY, account TEXT NOT NULL, key TEXT NOT NULL,"
    " created INTEGER NOT NULL, request BLOB NOT NULL, request_id TEXT NOT NULL,"
    " status INTEGER NOT NULL, body TEXT NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX answer_key ON answer(account, key);"
    "CREATE INDEX answer_created ON answer(created);"
    "CREATE TABLE delivery(seq INTEGER PRIMARY KEY, event TEXT NOT NULL, endpoint TEXT NOT NULL,"
    " state INTEGER NOT NULL, first INTEGER NOT NULL, due INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, status INTEGER NOT NULL, error TEXT) STRICT;"
    "CREATE INDEX delivery_due ON delivery(due, seq) WHERE state = 0;"
    "CREATE INDEX delivery_event ON delivery(event);"
    "CREATE TABLE job(seq INTEGER PRIMARY KEY, due INTEGER NOT NULL, what TEXT NOT NULL,"
    " id TEXT NOT NULL) STRICT;"
    "CREATE INDEX job_due ON job(due, seq);"
    "CREATE TABLE payment(payment_id TEXT PRIMARY KEY, account TEXT NOT NULL,"
    " currency TEXT NOT NULL, amount INTEGER NOT NULL, intents INTEGER NOT NULL,"
    " sessions INTEGER NOT NULL,"
    " charges INTEGER NOT NULL, captures INTEGER NOT NULL, declines INTEGER NOT NULL,"
    " disputes INTEGER NOT NULL, captured INTEGER NOT NULL, refunded INTEGER NOT NULL) STRICT;"
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "PRAGMA user_version = 1;";

static void die(store *s, const char *what) {
    fprintf(stderr, "careforall-sandbox: the books failed: %s: %s\n", what, sqlite3_errmsg(s->db));
    exit(1);
}

static void execute(store *s, const char *sql) {
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        die(s, sql);
}

static bool prepare_file(store *s) {
    sqlite3_busy_timeout(s->db, BUSY_MS);
    /* One process owns the file: two sandboxes on it would answer past each other. */
    if (sqlite3_exec(s->db,
                     "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
                     "PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;"
                     "PRAGMA temp_store = MEMORY; BEGIN IMMEDIATE;",
                     NULL, NULL, NULL) != SQLITE_OK)
        return false;
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &statement, NULL) != SQLITE_OK)
        return false;
    int version = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int(statement, 0) : -1;
    sqlite3_finalize(statement);
    if (version != 0 && version != SCHEMA_VERSION)
        return false;
    if (version == 0 && sqlite3_exec(s->db, schema, NULL, NULL, NULL) != SQLITE_OK)
        return false;
    return sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
}

store *store_open(const char *path, char *out_reason, size_t reason_size) {
    store *s = must(calloc(1, sizeof *s));
    if (sqlite3_open(path, &s->db) != SQLITE_OK || !prepare_file(s)) {
        const char *reason = s->db ? sqlite3_errmsg(s->db) : "out of memory";
        if (s->db && sqlite3_errcode(s->db) == SQLITE_OK)
            reason = "not the books of this version of the sandbox";
        else if (s->db && sqlite3_errcode(s->db) == SQLITE_BUSY)
            reason = "another process has them open";
        format_text(out_reason, reason_size, "%s", reason);
        sqlite3_close(s->db);
        free(s);
        return NULL;
    }
    return s;
}

void store_close(store *s) {
    if (!s)
        return;
    for (int i = 0; i < s->count; i++)
        sqlite3_finalize(s->statements[i].statement);
    sqlite3_close(s->db);
    free(s);
}

void store_begin(store *s) { execute(s, "BEGIN"); }
void store_commit(store *s) { execute(s, "COMMIT"); }
void store_rollback(store *s) { execute(s, "ROLLBACK"); }

/* Literals have one address each, so a short linear search over pointers finds them. */
sqlite3_stmt *store_sql(store *s, const char *sql) {
    for (int i = 0; i < s->count; i++)
        if (s->statements[i].sql == sql)
            return s->statements[i].statement;
    if (s->count == STATEMENTS_MAX)
        die(s, "too many statements");
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
        SQLITE_OK)
        die(s, sql);
    s->statements[s->count].sql = sql;
    s->statements[s->count++].statement = statement;
    return statement;
}

bool store_step(store *s, sqlite3_stmt *statement) {
    int status = sqlite3_step(statement);
    if (status == SQLITE_ROW)
        return true;
    if (status != SQLITE_DONE)
        die(s, sqlite3_sql(statement));
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return false;
}

void store_run(store *s, sqlite3_stmt *statement) {
    while (store_step(s, statement)) {
    }
}

void store_bind_text(sqlite3_stmt *statement, int at, const char *text) {
    if (text)
        sqlite3_bind_text(statement, at, text, -1, SQLITE_TRANSIENT);
}

const char *store_column_text(sqlite3_stmt *statement, int at) {
    return (const char *)sqlite3_column_text(statement, at);
}

static void finish(sqlite3_stmt *statement) {
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

/* ---- objects -------------------------------------------------------------------------------- */

void store_insert(store *s, object_kind kind, const char *account, json_t *doc, const char *parent,
                  const char *tag) {
    if (kind != KIND_EVENT)
        doc_set_string(doc_hidden(doc), "account", account);
    char *body = must(json_dumps(doc, JSON_COMPACT));
    sqlite3_stmt *q = store_sql(s, "INSERT INTO object(id, kind, account, created, parent, tag,"
                                   " body) VALUES(?, ?, ?, ?, ?, ?, ?)");
    store_bind_text(q, 1, doc_string(doc, "id"));
    sqlite3_bind_int(q, 2, (int)kind);
    store_bind_text(q, 3, account);
    sqlite3_bind_int64(q, 4, doc_integer(doc, "created"));
    store_bind_text(q, 5, parent);
    store_bind_text(q, 6, tag);
    sqlite3_bind_text(q, 7, body, -1, free);
    store_run(s, q);
}

void store_update(store *s, json_t *doc) {
    sqlite3_stmt *q = store_sql(s, "UPDATE object SET body = ? WHERE id = ?");
    sqlite3_bind_text(q, 1, must(json_dumps(doc, JSON_COMPACT)), -1, free);
    store_bind_text(q, 2, doc_string(doc, "id"));
    store_run(s, q);
}

void store_place(store *s, const char *id, const char *parent, const char *tag) {
    sqlite3_stmt *q = store_sql(s, "UPDATE object SET parent = ?, tag = ? WHERE id = ?");
    store_bind_text(q, 1, parent);
    store_bind_text(q, 2, tag);
    store_bind_text(q, 3, id);
    store_run(s, q);
}

void store_delete(store *s, const char *id) {
    sqlite3_stmt *q = store_sql(s, "DELETE FROM object WHERE id = ?");
    store_bind_text(q, 1, id);
    store_run(s, q);
}

char *store_load_text(store *s, object_kind kind, const char *account, const char *id) {
    sqlite3_stmt *q = store_sql(s, "SELECT body, account FROM object WHERE id = ? AND kind = ?");
    store_bind_text(q, 1, id);
    sqlite3_bind_int(q, 2, (int)kind);
    char *out = NULL;
    if (store_step(s, q)) {
        if (!account || strcmp(account, store_column_text(q, 1)) == 0)
            out = must(strdup(store_column_text(q, 0)));
        finish(q);
    }
    return out;
}

json_t *store_load(store *s, object_kind kind, const char *account, const char *id) {
    char *text = store_load_text(s, kind, account, id);
    json_t *out = text ? must(json_loads(text, 0, NULL)) : NULL;
    free(text);
    return out;
}

json_t *store_newest(store *s, object_kind kind, const char *parent) {
    sqlite3_stmt *q = store_sql(s, "SELECT body FROM object WHERE parent = ? AND kind = ?"
                                   " ORDER BY seq DESC LIMIT 1");
    store_bind_text(q, 1, parent);
    sqlite3_bind_int(q, 2, (int)kind);
    json_t *out = NULL;
    if (store_step(s, q)) {
        out = must(json_loads(store_column_text(q, 0), 0, NULL));
        finish(q);
    }
    return out;
}

/* ---- small things --------------------------------------------------------------------------- */

int64_t store_meta(store *s, const char *name, int64_t otherwise) {
    sqlite3_stmt *q = store_sql(s, "SELECT value FROM meta WHERE name = ?");
    store_bind_text(q, 1, name);
    if (store_step(s, q)) {
        otherwise = sqlite3_column_int64(q, 0);
        finish(q);
    }
    return otherwise;
}

void store_meta_set(store *s, const char *name, int64_t value) {
    sqlite3_stmt *q = store_sql(s, "INSERT INTO meta(name, value) VALUES(?1, ?2)"
                                   " ON CONFLICT(name) DO UPDATE SET value = ?2");
    store_bind_text(q, 1, name);
    sqlite3_bind_int64(q, 2, value);
    store_run(s, q);
}

void store_job(store *s, int64_t due_us, const char *what, const char *id) {
    sqlite3_stmt *q = store_sql(s, "INSERT INTO job(due, what, id) VALUES(?, ?, ?)");
    sqlite3_bind_int64(q, 1, due_us);
    store_bind_text(q, 2, what);
    store_bind_text(q, 3, id);
    store_run(s, q);
}

void store_payment(store *s, const payment_change *change) {
    sqlite3_stmt *q = store_sql(
        s, "INSERT INTO payment VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
           " ON CONFLICT(payment_id) DO UPDATE SET amount = iif(?4 > 0, ?4, amount),"
           " intents = intents + ?5, sessions = sessions + ?6, charges = charges + ?7,"
           " captures = captures + ?8, declines = declines + ?9, disputes = disputes + ?10,"
           " captured = captured + ?11, refunded = refunded + ?12");
    store_bind_text(q, 1, change->payment_id);
    store_bind_text(q, 2, change->account);
    store_bind_text(q, 3, change->currency);
    sqlite3_bind_int64(q, 4, change->amount);
    sqlite3_bind_int(q, 5, change->intents);
    sqlite3_bind_int(q, 6, change->sessions);
    sqlite3_bind_int(q, 7, change->charges);
    sqlite3_bind_int(q, 8, change->captures);
    sqlite3_bind_int(q, 9, change->declines);
    sqlite3_bind_int(q, 10, change->disputes);
    sqlite3_bind_int64(q, 11, change->captured);
    sqlite3_bind_int64(q, 12, change->refunded);
    store_run(s, q);
}
