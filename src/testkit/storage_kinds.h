/*
 * storage_kinds.h - the schema that storages are tested with, and short forms of their calls.
 *
 * Made to use every type, flag and kind of index once, and to have nothing in common with
 * donations.
 */
#ifndef CFA_TESTKIT_STORAGE_KINDS_H
#define CFA_TESTKIT_STORAGE_KINDS_H

#include <careforall/testkit/conformance.h>
#include <stdbool.h>

#include "testkit/runner.h"

typedef struct cfa__counter {
    cfa_slice name;
    int64_t value;
    int64_t version;
} cfa__counter;

typedef struct cfa__item {
    uint8_t owner[16];
    int64_t number;
    cfa_slice label; /* nullable text */
    cfa_slice note;  /* text */
    cfa_slice body;  /* nullable bytes */
    char currency[4];
    char other_currency[4]; /* nullable */
    uint8_t parent[16];     /* nullable */
    int64_t bucket;
    int64_t due;    /* 0: not in its index */
    cfa_slice tag;  /* nullable text; null: not in its index */
    cfa_slice code; /* unique */
    int64_t version;
    int64_t rank;   /* since schema 2 */
    cfa_slice memo; /* since schema 2, nullable text */
} cfa__item;

/* Without a version: inserted and deleted, never updated. */
typedef struct cfa__mark {
    cfa_slice digest; /* bytes */
    int64_t created;
} cfa__mark;

typedef struct cfa__entry {
    int64_t position;
    uint8_t id[16];
    cfa_slice trace;   /* nullable bytes */
    cfa_slice payload; /* bytes */
} cfa__entry;

/* Only in schema 2. */
typedef struct cfa__extra {
    int64_t number;
    cfa_slice text;
    int64_t version;
} cfa__extra;

enum {
    CFA__ITEM_PRIMARY,     /* owner, number */
    CFA__ITEM_BY_CODE,     /* code; unique */
    CFA__ITEM_BY_BUCKET,   /* bucket, owner, number */
    CFA__ITEM_BY_DUE,      /* due, owner, number; sparse */
    CFA__ITEM_BY_TAG,      /* tag, number, owner; sparse */
    CFA__ITEM_BY_CURRENCY, /* currency, due, owner, number */
    CFA__ITEM_INDEXES_1,
    CFA__ITEM_BY_RANK = CFA__ITEM_INDEXES_1, /* rank, owner, number; since schema 2 */
    CFA__ITEM_INDEXES_2
};

extern const cfa_kind cfa__counter_kind, cfa__mark_kind, cfa__entry_kind, cfa__extra_kind;
extern const cfa_kind cfa__item_kind_1, cfa__item_kind_2;
extern const cfa_schema cfa__test_schema_1, cfa__test_schema_2;

/* ---- records --------------------------------------------------------------------------------- */

cfa_slice cfa__suite_text(const char *text); /* NULL: null */
/* An item with every field set to something small; the caller changes what matters. */
cfa__item cfa__suite_item_make(uint8_t owner, int64_t number, const char *code);
/* Whether all fields of a kind are equal. */
bool cfa__suite_record_equal(const cfa_kind *kind, const void *a, const void *b);
/* Order on the first `count` fields of an index, as sys/storage.h says. */
int cfa__suite_record_compare(const cfa_kind *kind, int32_t index, int32_t count, const void *a,
                              const void *b);
bool cfa__suite_record_is_indexed(const cfa_kind *kind, int32_t index, const void *record);

/* ---- the store under test -------------------------------------------------------------------- */

typedef struct cfa__bench {
    const cfa_storage_fixture *fixture;
    cfa_storage storage;
    bool is_open;
    cfa_session *writer, *reader;
    cfa_arena *arena;
} cfa__bench;

/* Open the fixture's store, migrate it and open a session of each mode. */
void cfa__bench_open(cfa__runner *runner, cfa__bench *bench, const cfa_schema *schema, bool fresh);
void cfa__bench_close(cfa__bench *bench);
/* Only the sessions, so that the store can be migrated. */
void cfa__bench_close_sessions(cfa__bench *bench);
/* Close and open what is kept; a store that keeps nothing stays open, without sessions. */
void cfa__bench_reopen(cfa__runner *runner, cfa__bench *bench, const cfa_schema *schema);

/* One change as one write transaction. The first failure is returned, after a rollback. */
cfa_status cfa__suite_write(cfa__bench *bench, const cfa_kind *kind, int32_t action,
                            const void *record, const void *before);
/* A whole save as one write transaction. */
cfa_status cfa__suite_write_save(const cfa__bench *bench, cfa_session *session,
                                 const cfa_save *save, int64_t *out_first_position);
cfa_status cfa__suite_insert(cfa__bench *bench, const cfa_kind *kind, const void *record);

/* Run one query inside the session's transaction, or, without one, in a read transaction of its
 * own. */
cfa_status cfa__suite_load(const cfa__bench *bench, cfa_session *session, cfa_query *query);
cfa_status cfa__suite_read(cfa__bench *bench, cfa_query *query);
/* The row with the primary key of `key` as committed; NULL: none. Failures fail the test. */
const void *cfa__suite_find(cfa__runner *runner, cfa__bench *bench, const cfa_kind *kind,
                            const void *key);
/* All committed rows of a kind, in primary order. */
int32_t cfa__suite_count(cfa__runner *runner, cfa__bench *bench, const cfa_kind *kind);

/* ---- parts of the suite in files of their own ------------------------------------------------ */

void cfa__storage_test_model(cfa__runner *runner, void *user);
void cfa__storage_test_snapshot(cfa__runner *runner, void *user);
void cfa__storage_test_whole_commits(cfa__runner *runner, void *user);
void cfa__storage_test_counters(cfa__runner *runner, void *user);
void cfa__storage_test_changes(cfa__runner *runner, void *user);
void cfa__storage_test_busy(cfa__runner *runner, void *user);
void cfa__storage_test_upgrade(cfa__runner *runner, void *user);
void cfa__storage_test_newer(cfa__runner *runner, void *user);
void cfa__storage_test_migrate(cfa__runner *runner, void *user);
void cfa__storage_test_prefix(cfa__runner *runner, void *user);
void cfa__storage_test_after(cfa__runner *runner, void *user);
void cfa__storage_test_until(cfa__runner *runner, void *user);
void cfa__storage_test_sparse(cfa__runner *runner, void *user);
void cfa__storage_test_bytes_order(cfa__runner *runner, void *user);

#endif
