/*
 * sqlite_book.c - see sqlite_book.h.
 */
#include "adapters/sqlite_book.h"

#include <ftw.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the schema ------------------------------------------------------------------------------ */

static const cfa_field item_fields[] = {
    { "id", "", CFA_FIELD_ID, 0, offsetof(item, id), 1 },
    { "number", "batches that wrote it", CFA_FIELD_INT, 0, offsetof(item, number), 1 },
    { "note", "", CFA_FIELD_TEXT, CFA_FIELD_NULLABLE, offsetof(item, note), 1 },
    { "due_us", "", CFA_FIELD_INT, 0, offsetof(item, due_us), 1 },
    { "version", "counts updates", CFA_FIELD_INT, 0, offsetof(item, version), 1 },
};
static const cfa_index item_indexes[] = {
    { "primary", { 0 }, 1, CFA_INDEX_UNIQUE, 1 },
    { "by_due", { 3, 0 }, 2, CFA_INDEX_SPARSE, 1 },
};
const cfa_kind item_kind = {
    1, "item", "rows", sizeof(item), item_fields, 5, item_indexes, 2, 4, -1, 1,
};

static const cfa_field fact_fields[] = {
    { "position", "", CFA_FIELD_INT, 0, offsetof(fact, position), 1 },
    { "item_id", "", CFA_FIELD_ID, 0, offsetof(fact, item_id), 1 },
    { "payload", "", CFA_FIELD_BYTES, 0, offsetof(fact, payload), 1 },
};
static const cfa_index fact_indexes[] = { { "primary", { 0 }, 1, CFA_INDEX_UNIQUE, 1 } };
const cfa_kind fact_kind = {
    2, "fact", "the log", sizeof(fact), fact_fields, 3, fact_indexes, 1, -1, 0, 1,
};

static const cfa_kind *const kinds_one[] = { &item_kind, &fact_kind };
const cfa_schema schema_one = { sizeof(cfa_schema), 1, kinds_one, 2 };

/* Version 2 adds two columns, an index over one of them and a kind. */
static const cfa_field item_fields_two[] = {
    { "id", "", CFA_FIELD_ID, 0, offsetof(item, id), 1 },
    { "number", "batches that wrote it", CFA_FIELD_INT, 0, offsetof(item, number), 1 },
    { "note", "", CFA_FIELD_TEXT, CFA_FIELD_NULLABLE, offsetof(item, note), 1 },
    { "due_us", "", CFA_FIELD_INT, 0, offsetof(item, due_us), 1 },
    { "version", "counts updates", CFA_FIELD_INT, 0, offsetof(item, version), 1 },
    { "currency", "", CFA_FIELD_CURRENCY, CFA_FIELD_NULLABLE, offsetof(item, currency), 2 },
    { "label", "", CFA_FIELD_TEXT, 0, offsetof(item, label), 2 },
};
static const cfa_index item_indexes_two[] = {
    { "primary", { 0 }, 1, CFA_INDEX_UNIQUE, 1 },
    { "by_due", { 3, 0 }, 2, CFA_INDEX_SPARSE, 1 },
    { "by_label", { 6, 0 }, 2, 0, 2 },
};
static const cfa_kind item_kind_two = {
    1, "item", "rows", sizeof(item), item_fields_two, 7, item_indexes_two, 3, 4, -1, 1,
};
static const cfa_index extra_indexes[] = { { "primary", { 1, 0 }, 2, CFA_INDEX_UNIQUE, 2 } };
static const cfa_kind extra_kind = {
    3, "extra", "new in version 2", sizeof(fact), fact_fields, 3, extra_indexes, 1, -1, -1, 2,
};
static const cfa_kind *const kinds_two[] = { &item_kind_two, &fact_kind, &extra_kind };
const cfa_schema schema_two = { sizeof(cfa_schema), 2, kinds_two, 3 };

/* ---- the directory --------------------------------------------------------------------------- */

static char directory[64];

void book_setup(void) {
    strcpy(directory, "/tmp/careforall-sqlite-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk) {
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

void book_teardown(void) { nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS); }

const char *book_path(const char *name) {
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

/* ---- statuses -------------------------------------------------------------------------------- */

const char *book_message(void) {
    static cfa_error error;
    error.struct_size = sizeof(error);
    return cfa_error_last(&error) == CFA_OK ? error.message : "";
}

void book_check(cfa_status actual, cfa_status expected, const char *call, int line) {
    if (actual != expected) {
        ck_abort_msg("line %d: %s is %s, not %s: %s", line, call, cfa_status_name(actual),
                     cfa_status_name(expected), book_message());
    }
}

cfa_storage book_open(const cfa_sqlite_options *options) {
    cfa_storage storage;
    ck_ok(cfa_sqlite_storage_new(&storage, book_path("book.db"), options));
    ck_ok(storage.ops->migrate(storage.self, &schema_one));
    return storage;
}

void book_close(cfa_storage *storage) { storage->ops->close(storage->self); }

cfa_session *book_session(const cfa_storage *storage, int32_t mode) {
    cfa_session *session = NULL;
    ck_ok(storage->ops->session_open(storage->self, mode, &session));
    return session;
}

/* ---- batches --------------------------------------------------------------------------------- */

/* Load the item of `tag`; NULL in `*out` when there is none. */
static cfa_status load_item(const cfa_storage *storage, cfa_session *session, uint8_t tag,
                            cfa_arena *arena, const item **out) {
    item key = { { 0 }, 0, { NULL, 0 }, 0, 0, "", { NULL, 0 } };
    cfa_query query = { &item_kind, 0, 1, 0, 1, 0, &key, NULL, 0 };
    key.id[0] = 1;
    key.id[15] = tag;
    cfa_status status = storage->ops->load(session, &query, 1, arena);
    if (status == CFA_OK) {
        *out = query.count > 0 ? query.records[0] : NULL;
    }
    return status;
}

static cfa_status write_item(const cfa_storage *storage, cfa_session *session, uint8_t tag,
                             cfa_arena *arena) {
    const item *before = NULL;
    cfa_status status = load_item(storage, session, tag, arena, &before);
    if (status != CFA_OK) {
        return status;
    }
    item after = { { 0 }, 0, { NULL, 0 }, 0, 0, "", { NULL, 0 } };
    if (before != NULL) {
        after = *before;
    }
    after.id[0] = 1;
    after.id[15] = tag;
    after.number++;
    after.version++;
    after.due_us = after.number % 2;
    after.note = after.number % 3 == 0 ? (cfa_slice){ NULL, 0 } : (cfa_slice){ "a note", 6 };
    static char payload[300];
    fact facts[2] = { { 0, { 0 }, { payload, sizeof(payload) } }, { 0, { 0 }, { payload, 1 } } };
    memcpy(facts[0].item_id, after.id, 16);
    memcpy(facts[1].item_id, after.id, 16);
    void *events[] = { &facts[0], &facts[1] };
    cfa_change change = { &item_kind, CFA_CHANGE_INSERT, &after, before };
    if (before != NULL) {
        change.action = CFA_CHANGE_UPDATE;
    }
    cfa_save save = { &change, 1, NULL, 0, &fact_kind, events, 2 };
    int64_t first = 0;
    status = storage->ops->save(session, &save, &first);
    if (status == CFA_OK && (first != facts[0].position || first + 1 != facts[1].position)) {
        ck_abort_msg("positions are not filled in");
    }
    return status;
}

cfa_status book_batch(const cfa_storage *storage, cfa_session *session, uint8_t tag,
                      bool *out_commit) {
    cfa_arena *arena;
    int64_t now_us;
    cfa_status status = cfa_arena_new(&arena);
    *out_commit = false;
    if (status != CFA_OK) {
        return status;
    }
    status = storage->ops->begin(session, CFA_SESSION_WRITE, 0, &now_us);
    if (status == CFA_OK) {
        status = write_item(storage, session, tag, arena);
        if (status == CFA_OK) {
            *out_commit = true;
            status = storage->ops->commit(session);
        } else {
            storage->ops->rollback(session);
        }
    }
    cfa_arena_free(arena);
    return status;
}

int64_t book_batches(const cfa_storage *storage, cfa_session *session, uint8_t tag) {
    cfa_arena *arena;
    const item *found = NULL;
    int64_t now_us, number;
    ck_ok(cfa_arena_new(&arena));
    ck_ok(storage->ops->begin(session, CFA_SESSION_READ, 0, &now_us));
    ck_ok(load_item(storage, session, tag, arena, &found));
    number = found != NULL ? found->number : 0;
    ck_ok(storage->ops->commit(session));
    cfa_arena_free(arena);
    return number;
}

/* ---- without the library --------------------------------------------------------------------- */

static sqlite3 *open_plain(const char *path) {
    sqlite3 *db;
    ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL),
                     SQLITE_OK);
    sqlite3_busy_timeout(db, 120000);
    sqlite3_wal_autocheckpoint(db, 0);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return db;
}

static int64_t query_plain(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement;
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK, "%s: %s", sql,
                  sqlite3_errmsg(db));
    ck_assert_msg(sqlite3_step(statement) == SQLITE_ROW, "%s: %s", sql, sqlite3_errmsg(db));
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

int64_t book_query(const char *path, const char *sql) {
    sqlite3 *db = open_plain(path);
    int64_t value = query_plain(db, sql);
    sqlite3_close(db);
    return value;
}

void book_execute(const char *path, const char *sql) {
    sqlite3 *db = open_plain(path);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql,
                  sqlite3_errmsg(db));
    sqlite3_close(db);
}

int64_t book_audit(const char *path) {
    static const char damage[] =
        "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'";
    static const char halves[] =
        "SELECT count(*) FROM cfa_item AS i WHERE version <> number OR number * 2 <> "
        "(SELECT count(*) FROM cfa_fact WHERE item_id = i.id)";
    sqlite3 *db = open_plain(path);
    ck_assert_int_eq(query_plain(db, damage), 0);
    int64_t facts = query_plain(db, "SELECT count(*) FROM cfa_fact");
    ck_assert_int_eq(query_plain(db, "SELECT coalesce(max(position), 0) FROM cfa_fact"), facts);
    ck_assert_int_eq(query_plain(db, "SELECT coalesce(min(position), 1) FROM cfa_fact"), 1);
    ck_assert_int_eq(query_plain(db, "SELECT coalesce(sum(number), 0) * 2 FROM cfa_item"), facts);
    ck_assert_int_eq(query_plain(db, halves), 0);
    sqlite3_close(db);
    return facts;
}

int book_main(int argc, char **argv, const char *name, const TTest *const *tests, size_t count) {
    Suite *suite = suite_create(name);
    for (size_t i = 0; i < count; i++) {
        if (argc > 1 && strcmp(argv[1], tests[i]->name) != 0) {
            continue;
        }
        TCase *test_case = tcase_create(tests[i]->name);
        tcase_add_checked_fixture(test_case, book_setup, book_teardown);
        tcase_add_test(test_case, tests[i]);
        suite_add_tcase(suite, test_case);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner), run = srunner_ntests_run(runner);
    srunner_free(runner);
    return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
