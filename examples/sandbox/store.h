/*
 * store.h - the books: one SQLite file with objects as JSON documents, idempotency keys, webhook
 * deliveries, jobs of the clock and one line per payment. Everything between `store_begin` and
 * `store_commit` becomes durable against the process's death together. A failing database ends the
 * process: a reply must never promise what the books do not hold.
 */
#ifndef SANDBOX_STORE_H
#define SANDBOX_STORE_H

#include "sandbox.h"

#include <sqlite3.h>

typedef struct store store;

/* What an object is; part of every list's index, so numbers are only appended. */
typedef enum object_kind {
    KIND_INTENT = 1,
    KIND_CHARGE,
    KIND_REFUND,
    KIND_DISPUTE,
    KIND_SESSION,
    KIND_EVENT,
    KIND_ENDPOINT,
    KIND_BALANCE,
    KIND_METHOD,
    KIND_WARNING,
    KIND_PAYOUT
} object_kind;

/* NULL with a reason when the file cannot be used. */
store *store_open(const char *path, char *out_reason, size_t reason_size);
void store_close(store *s);

void store_begin(store *s);
void store_commit(store *s);
void store_rollback(store *s);

/* A statement prepared once and reset; bind, step and `store_done` it. `sql` is a literal. */
sqlite3_stmt *store_sql(store *s, const char *sql);
/* One more row? */
bool store_step(store *s, sqlite3_stmt *statement);
/* For writes: run to the end. */
void store_run(store *s, sqlite3_stmt *statement);
void store_bind_text(sqlite3_stmt *statement, int at, const char *text);
const char *store_column_text(sqlite3_stmt *statement, int at);

/* ---- objects -------------------------------------------------------------------------------- */

/* `parent` is the payment intent an object belongs to, `tag` what its lists select on. */
void store_insert(store *s, object_kind kind, const char *account, json_t *doc, const char *parent,
                  const char *tag);
void store_update(store *s, json_t *doc);
/* Also change what the lists see. */
void store_place(store *s, const char *id, const char *parent, const char *tag);
void store_delete(store *s, const char *id);
/* A new reference, or NULL. `account` NULL: of any account. */
json_t *store_load(store *s, object_kind kind, const char *account, const char *id);
/* The stored text, to be freed, or NULL. */
char *store_load_text(store *s, object_kind kind, const char *account, const char *id);
/* The newest of a parent. */
json_t *store_newest(store *s, object_kind kind, const char *parent);

/* ---- small things --------------------------------------------------------------------------- */

int64_t store_meta(store *s, const char *name, int64_t otherwise);
void store_meta_set(store *s, const char *name, int64_t value);

/* At `due_us` of the clock, do `what` with `id`. */
void store_job(store *s, int64_t due_us, const char *what, const char *id);

/* Add to the line of a payment. */
typedef struct payment_change {
    const char *payment_id, *account, *currency;
    int64_t amount; /* of the intent; 0: as it was */
    int intents, sessions, charges, captures, declines, disputes;
    int64_t captured, refunded;
} payment_change;
void store_payment(store *s, const payment_change *change);

#endif
