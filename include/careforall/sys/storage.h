/*
 * sys/storage.h - what a database adapter implements.
 *
 * The core describes every kind of record once, as data: fields, types, offsets, unique and ordered
 * indexes. From that description an adapter makes its tables, its statements and its rows; it knows
 * nothing about donations. Real tables with real columns: an operator can read them with plain SQL.
 *
 * Duties of every adapter, checked by the conformance suite:
 *   - Write transactions of one store behave as if run one after the other, or the adapter answers
 *     CFA_EVERSION / CFA_EEXISTS and the engine decides the batch again.
 *   - TRANSIENT only when it certainly did not happen; CFA_EINDOUBT when a commit may have
 *     happened.
 *   - After any error inside a transaction only `rollback` may follow.
 *   - Positions of the log kind are dense (1, 2, 3, ...) and become visible in order.
 *   - No call retries for ever, sleeps without bound, or writes to stderr.
 */
#ifndef CAREFORALL_SYS_STORAGE_H
#define CAREFORALL_SYS_STORAGE_H

#include <careforall/base.h>
#include <careforall/sys/platform.h>

CFA_BEGIN

/* ---- the description of records -------------------------------------------------------------- */

/* The C type that a field has inside a record struct, and what stands for "no value". */
enum {
    CFA_FIELD_INT = 1,     /* int64_t; never null */
    CFA_FIELD_ID = 2,      /* uint8_t[16], compared as bytes; null: all zero */
    CFA_FIELD_TEXT = 3,    /* cfa_slice of UTF-8, compared as bytes; null: data == NULL */
    CFA_FIELD_BYTES = 4,   /* cfa_slice, compared as bytes; null: data == NULL */
    CFA_FIELD_CURRENCY = 5 /* char[4]; null: "" */
};

enum { CFA_FIELD_NULLABLE = 1 };

typedef struct cfa_field {
    const char *name; /* column name */
    const char *doc;
    int32_t type;
    uint32_t flags;
    size_t offset; /* in the record struct */
    int32_t since; /* schema version that added it */
} cfa_field;

enum {
    CFA_INDEX_UNIQUE = 1,
    CFA_INDEX_SPARSE = 2 /* rows whose first indexed field is 0 or null are not in the index */
};

#define CFA_INDEX_FIELDS_MAX 4

typedef struct cfa_index {
    const char *name;
    int32_t fields[CFA_INDEX_FIELDS_MAX]; /* positions in the kind's field table; never nullable,
                                               but for the first of a sparse index */
    int32_t field_count;
    uint32_t flags;
    int32_t since;
} cfa_index;

typedef struct cfa_kind {
    int32_t id;       /* stable number; records are saved in (id, primary key) order */
    const char *name; /* table name, without the "cfa_" prefix */
    const char *doc;
    size_t record_size;
    const cfa_field *fields;
    int32_t field_count;
    const cfa_index *indexes; /* [0] is the primary key: unique, not sparse */
    int32_t index_count;
    int32_t version_field;  /* INT field counted up by each update, or -1: insert and delete only */
    int32_t position_field; /* INT field that `save` fills with the log position, or -1 */
    int32_t since;
} cfa_kind;

/* Everything the core stores. `version` counts migrations: migration v creates the kinds and adds
 * the fields and indexes whose `since` is v, in one transaction, forward only. */
typedef struct cfa_schema {
    size_t struct_size;
    int32_t version;
    const cfa_kind *const *kinds;
    int32_t kind_count;
} cfa_schema;

/* ---- reading and writing --------------------------------------------------------------------- */

enum {
    CFA_QUERY_AFTER = 1, /* only rows beyond `key` on all index fields, in the query's direction */
    CFA_QUERY_DESCENDING = 2,
    CFA_QUERY_UNTIL = 4 /* only rows whose first unmatched index field (INT) is <= `until` */
};

/*
 * One read: the rows of `index` whose first `match_count` fields equal those of `key`, in index
 * order, at most `limit`. A look-up by unique key is a query with all fields matched and a limit of
 * 1.
 */
typedef struct cfa_query {
    const cfa_kind *kind;
    int32_t index;
    int32_t match_count;
    uint32_t flags;
    int32_t limit;
    int64_t until;
    const void *key; /* a record with the needed index fields set */
    void **records;  /* out: array in the arena, each a whole record in the arena */
    int32_t count;   /* out */
} cfa_query;

enum { CFA_CHANGE_INSERT = 1, CFA_CHANGE_UPDATE = 2, CFA_CHANGE_DELETE = 3 };

/*
 * One record to write. INSERT: a row with the same unique key is CFA_EEXISTS. UPDATE and DELETE
 * name the row by its primary key and, if the kind has a version field, by `before`'s version: no
 * such row is CFA_EVERSION. An update may write only the fields that differ from `before`.
 */
typedef struct cfa_change {
    const cfa_kind *kind;
    int32_t action;
    const void *record; /* DELETE: same as before */
    const void *before; /* INSERT: NULL */
} cfa_change;

/* A record that was read and must still have this version at commit. */
typedef struct cfa_guard {
    const cfa_kind *kind;
    const void *record;
} cfa_guard;

typedef struct cfa_save {
    const cfa_change *changes; /* in (kind id, primary key) order, each row at most once */
    size_t change_count;
    const cfa_guard *guards;
    size_t guard_count;
    const cfa_kind *log; /* the kind with a position field */
    void *const *events; /* its records, in order; their position field is filled in */
    size_t event_count;
} cfa_save;

enum { CFA_SESSION_READ = 1, CFA_SESSION_WRITE = 2 };

enum {
    CFA_STORAGE_DURABLE = 1,   /* a commit survives power loss */
    CFA_STORAGE_SHARED = 2,    /* other processes may write the same store */
    CFA_STORAGE_JOIN = 4,      /* a host's own transaction can be joined; staged rows may appear */
    CFA_STORAGE_CLOCK = 8,     /* `begin` reports the store's own clock */
    CFA_STORAGE_EXCLUSIVE = 16 /* what a write transaction has read nobody changes before its end */
};

/* One connection. Used by one thread at a time; different sessions by different threads at once. */
typedef struct cfa_session cfa_session;

typedef struct cfa_storage_ops {
    size_t struct_size;
    const char *name; /* "memory", "sqlite", ... : the origin of its errors is "storage.<name>" */
    uint32_t capabilities;

    /* Bring the store to `schema`, creating it if empty; keep a pointer to it (static data of the
     * core). A store of a newer version or of another program is CFA_ESCHEMA, and nothing is
     * written. */
    cfa_status (*migrate)(void *self, const cfa_schema *schema);

    cfa_status (*session_open)(void *self, int32_t mode, cfa_session **out);
    void (*session_close)(cfa_session *session);

    /* Start a transaction: READ a consistent snapshot, WRITE with the right to write already held
     * (or refused with CFA_EBUSY within `timeout_ms`). `out_now_us` is set by CFA_STORAGE_CLOCK
     * adapters. */
    cfa_status (*begin)(cfa_session *session, int32_t mode, int32_t timeout_ms,
                        int64_t *out_now_us);
    /* CFA_OK: durable. CFA_EINDOUBT: may be. Anything else: certainly not. The transaction is
     * over. */
    cfa_status (*commit)(cfa_session *session);
    void (*rollback)(cfa_session *session);

    /* Run all queries as one trip; results live in `arena`. */
    cfa_status (*load)(cfa_session *session, cfa_query *queries, size_t count, cfa_arena *arena);
    /* Write everything as one trip. `out_first_position` is set when there are events. */
    cfa_status (*save)(cfa_session *session, const cfa_save *save, int64_t *out_first_position);

    /* Optional. Write a number that differs from the last when any other session has committed
     * since. */
    cfa_status (*changes)(cfa_session *session, int64_t *out);
    /* Optional. Housekeeping between batches (checkpoints); may be called at any time outside a
     * transaction on a WRITE session. */
    cfa_status (*maintain)(cfa_session *session);

    void (*close)(void *self);
} cfa_storage_ops;

/* A storage adapter: functions and their instance. Borrowed by an engine until
 * `cfa_engine_close`. */
typedef struct cfa_storage {
    const cfa_storage_ops *ops;
    void *self;
} cfa_storage;

/* ---- joining a host's transaction ------------------------------------------------------------ */

typedef struct cfa_tx cfa_tx;

/*
 * Make a joined transaction over a session whose transaction the host began and will end. For
 * adapters: hosts call `cfa_sqlite_join` and its like. `session` is closed by `cfa_tx_free`.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_tx_new(cfa_tx **out, cfa_engine *engine,
                                             cfa_session *session);

/* The storage an engine works on, borrowed. For adapters that join: to see that it is their own,
 * and which file. */
CFA_API const cfa_storage *cfa_engine_storage(cfa_engine *engine);

CFA_END

#endif
