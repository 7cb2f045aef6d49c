/*
 * test_sqlite.c - opening and refusing files, migrations, settings, snapshots and errors of the
 * SQLite adapter.
 */
#include "adapters/sqlite_book.h"
#include "adapters/sql/sql_internal.h"
#include "adapters/sqlite/sqlite_internal.h"
#include "core/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- opening --------------------------------------------------------------------------------- */

START_TEST(a_missing_directory_is_named) {
    cfa_storage storage;
    ck_is(cfa_sqlite_storage_new(&storage, book_path("absent/book.db"), NULL), CFA_EREADONLY);
    ck_assert_ptr_nonnull(
        strstr(book_message(), "/absent does not exist: create this directory first"));
}
END_TEST

START_TEST(a_directory_is_no_book) {
    cfa_storage storage;
    ck_is(cfa_sqlite_storage_new(&storage, book_path(""), NULL), CFA_EREADONLY);
    ck_assert_ptr_nonnull(strstr(book_message(), "name a file in it"));
    ck_assert_int_eq(mkdir(book_path("inner"), 0700), 0);
    ck_is(cfa_sqlite_storage_new(&storage, book_path("inner"), NULL), CFA_EREADONLY);
    ck_assert_ptr_nonnull(strstr(book_message(), "name a file in it"));
    ck_is(cfa_sqlite_storage_new(&storage, ":memory:", NULL), CFA_EINVAL);
    ck_is(cfa_sqlite_storage_new(&storage, NULL, NULL), CFA_EINVAL);
}
END_TEST

/* Permissions bind no superuser, so the attempt is made by another one. */
static void expect_refusal_as_nobody(const char *path, const char *message) {
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        cfa_storage storage;
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) {
            _exit(2);
        }
        cfa_status status = cfa_sqlite_storage_new(&storage, path, NULL);
        bool right = status == CFA_EREADONLY && strstr(book_message(), message) != NULL;
        if (!right) {
            fprintf(stderr, "%s: %s\n", cfa_status_name(status), book_message());
        }
        _exit(right ? 0 : 1);
    }
    int result;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert_int_eq(result, 0);
}

START_TEST(a_directory_that_cannot_be_written_is_named) {
    ck_assert_int_eq(mkdir(book_path("closed"), 0500), 0);
    ck_assert_int_eq(chmod(book_path(""), 0755), 0);
    ck_assert_int_eq(chmod(book_path("closed"), 0555), 0);
    expect_refusal_as_nobody(book_path("closed/book.db"),
                             "/closed is a directory this user cannot write");
}
END_TEST

START_TEST(a_file_that_cannot_be_written_is_named) {
    cfa_storage storage = book_open(NULL);
    book_close(&storage);
    ck_assert_int_eq(chmod(book_path(""), 0777), 0);
    ck_assert_int_eq(chmod(book_path("book.db"), 0444), 0);
    expect_refusal_as_nobody(book_path("book.db"), "/book.db is a file this user cannot write");
}
END_TEST

START_TEST(a_file_that_is_no_database_is_refused_and_kept) {
    cfa_storage storage;
    FILE *file = fopen(book_path("notes.txt"), "w");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 100; i++) {
        fputs("These are notes and no database.\n", file);
    }
    ck_assert_int_eq(fclose(file), 0);
    ck_is(cfa_sqlite_storage_new(&storage, book_path("notes.txt"), NULL), CFA_ESCHEMA);
    ck_assert_ptr_nonnull(strstr(book_message(), "is not an SQLite database"));
    struct stat info;
    ck_assert_int_eq(stat(book_path("notes.txt"), &info), 0);
    ck_assert_int_eq(info.st_size, 3300);
}
END_TEST

START_TEST(options_out_of_range_are_refused) {
    cfa_storage storage;
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    options.cache_kib = -1;
    ck_is(cfa_sqlite_storage_new(&storage, book_path("book.db"), &options), CFA_EINVAL);
    options.cache_kib = 0;
    options.struct_size = 4096;
    ck_is(cfa_sqlite_storage_new(&storage, book_path("book.db"), &options), CFA_EABI);
}
END_TEST

START_TEST(a_book_is_found_again_after_the_host_changed_its_directory) {
    char old[4096];
    cfa_storage storage;
    bool from_commit;
    ck_assert_ptr_nonnull(getcwd(old, sizeof(old)));
    ck_assert_int_eq(chdir(book_path("")), 0);
    ck_ok(cfa_sqlite_storage_new(&storage, "book.db", NULL));
    ck_ok(storage.ops->migrate(storage.self, &schema_one));
    ck_assert_int_eq(chdir("/"), 0);
    cfa_session *session = book_session(&storage, CFA_SESSION_WRITE);
    ck_ok(book_batch(&storage, session, 1, &from_commit));
    storage.ops->session_close(session);
    book_close(&storage);
    ck_assert_int_eq(chdir(old), 0);
    ck_assert_int_eq(book_audit(book_path("book.db")), 2);
}
END_TEST

/* ---- schema ---------------------------------------------------------------------------------- */

START_TEST(a_newer_schema_is_refused_and_nothing_is_written) {
    cfa_storage storage = book_open(NULL);
    book_close(&storage);
    book_execute(book_path("book.db"), "INSERT INTO cfa_schema VALUES (7, 0, 'careforall 9.0.0')");
    int64_t version = book_query(book_path("book.db"), "PRAGMA schema_version");
    ck_ok(cfa_sqlite_storage_new(&storage, book_path("book.db"), NULL));
    ck_is(storage.ops->migrate(storage.self, &schema_one), CFA_ESCHEMA);
    ck_assert_str_eq(book_message(),
                     "the database has schema version 7, this library knows up to 1: "
                     "upgrade the library");
    book_close(&storage);
    ck_assert_int_eq(book_query(book_path("book.db"), "PRAGMA schema_version"), version);
    ck_assert_int_eq(book_query(book_path("book.db"), "SELECT count(*) FROM cfa_schema"), 2);
}
END_TEST

START_TEST(tables_with_our_names_that_are_not_ours_are_refused_and_kept) {
    static const char *const foreign[] = {
        "CREATE TABLE cfa_donations (id INTEGER)",
        "CREATE TABLE cfa_schema (name TEXT)",
        ("CREATE TABLE cfa_schema (version INTEGER, library TEXT);"
         "INSERT INTO cfa_schema VALUES (1, 'another program 1.0')"),
        "CREATE TABLE cfa_schema (version INTEGER, library TEXT)",
        "CREATE VIEW cfa_item AS SELECT 1 AS id",
    };
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        char name[16];
        cfa_storage storage;
        snprintf(name, sizeof(name), "%zu.db", i);
        book_execute(book_path(name), foreign[i]);
        ck_ok(cfa_sqlite_storage_new(&storage, book_path(name), NULL));
        ck_is(storage.ops->migrate(storage.self, &schema_one), CFA_ESCHEMA);
        ck_assert_ptr_nonnull(strstr(book_message(), "use another one"));
        book_close(&storage);
        ck_assert_int_eq(book_query(book_path(name), "SELECT count(*) FROM sqlite_master"), 1);
        ck_assert_int_eq(book_query(book_path(name),
                                    "SELECT count(*) FROM pragma_journal_mode WHERE "
                                    "journal_mode = 'delete'"),
                         1);
    }
}
END_TEST

START_TEST(a_host_keeps_its_own_tables_and_mark_in_the_file) {
    const char *path = book_path("book.db");
    book_execute(path, "PRAGMA application_id=77; CREATE TABLE orders (id INTEGER);"
                       "INSERT INTO orders VALUES (5)");
    cfa_storage storage = book_open(NULL);
    book_close(&storage);
    ck_assert_int_eq(book_query(path, "PRAGMA application_id"), 77);
    ck_assert_int_eq(book_query(path, "SELECT id FROM orders"), 5);
    ck_assert_int_eq(book_query(path, "SELECT version FROM cfa_schema"), 1);
}
END_TEST

START_TEST(a_file_of_ours_alone_carries_our_mark) {
    cfa_storage storage = book_open(NULL);
    book_close(&storage);
    ck_assert_int_eq(book_query(book_path("book.db"), "PRAGMA application_id"), 0x43464131);
}
END_TEST

START_TEST(a_migration_adds_columns_indexes_and_kinds_and_keeps_rows) {
    bool from_commit;
    const char *path = book_path("book.db");
    cfa_storage storage = book_open(NULL);
    cfa_session *session = book_session(&storage, CFA_SESSION_WRITE);
    ck_ok(book_batch(&storage, session, 1, &from_commit));
    storage.ops->session_close(session);
    ck_is(storage.ops->migrate(storage.self, &schema_two), CFA_EMISUSE);
    book_close(&storage);

    ck_ok(cfa_sqlite_storage_new(&storage, path, NULL));
    ck_ok(storage.ops->migrate(storage.self, &schema_two));
    ck_ok(storage.ops->migrate(storage.self, &schema_two));
    session = book_session(&storage, CFA_SESSION_WRITE);
    cfa_arena *arena;
    int64_t now_us;
    ck_ok(cfa_arena_new(&arena));
    ck_ok(storage.ops->begin(session, CFA_SESSION_WRITE, 0, &now_us));
    item key = { .label = { "", 0 } };
    cfa_query query = { schema_two.kinds[0], ITEM_BY_LABEL, 1, 0, 10, 0, &key, NULL, 0 };
    ck_ok(storage.ops->load(session, &query, 1, arena));
    ck_assert_int_eq(query.count, 1);
    const item *old = query.records[0];
    ck_assert_ptr_nonnull(old->label.data);
    ck_assert_uint_eq(old->label.size, 0);
    ck_assert_str_eq(old->currency, "");
    ck_assert_int_eq(old->number, 1);
    item changed = *old;
    memcpy(changed.currency, "EUR", 4);
    changed.version++;
    cfa_change change = { schema_two.kinds[0], CFA_CHANGE_UPDATE, &changed, old };
    cfa_save save = { &change, 1, NULL, 0, NULL, NULL, 0 };
    ck_ok(storage.ops->save(session, &save, NULL));
    ck_ok(storage.ops->commit(session));
    cfa_arena_free(arena);
    storage.ops->session_close(session);
    book_close(&storage);
    ck_assert_int_eq(book_query(path, "SELECT currency = 'EUR' FROM cfa_item"), 1);
    ck_assert_int_eq(book_query(path, "SELECT count(*) FROM cfa_schema"), 2);
    ck_assert_int_eq(book_query(path, "SELECT count(*) FROM cfa_extra"), 0);

    ck_ok(cfa_sqlite_storage_new(&storage, path, NULL));
    ck_is(storage.ops->migrate(storage.self, &schema_one), CFA_ESCHEMA);
    book_close(&storage);
}
END_TEST

START_TEST(processes_that_open_a_new_book_at_once_all_succeed) {
    enum { PROCESSES = 6 };
    pid_t children[PROCESSES];
    const char *path = book_path("book.db");
    int gate[2];
    ck_assert_int_eq(pipe(gate), 0);
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) {
            cfa_storage storage;
            char byte;
            close(gate[1]);
            if (read(gate[0], &byte, 1) != 0) {
                _exit(3);
            }
            if (cfa_sqlite_storage_new(&storage, path, NULL) != CFA_OK ||
                storage.ops->migrate(storage.self, &schema_two) != CFA_OK) {
                fprintf(stderr, "%s\n", book_message());
                _exit(1);
            }
            _exit(0);
        }
    }
    close(gate[1]);
    for (int i = 0; i < PROCESSES; i++) {
        int result;
        ck_assert_int_eq(waitpid(children[i], &result, 0), children[i]);
        ck_assert_int_eq(result, 0);
    }
    close(gate[0]);
    ck_assert_int_eq(book_query(path, "SELECT count(*) FROM cfa_schema"), 2);
}
END_TEST

/* ---- settings -------------------------------------------------------------------------------- */

static int64_t pragma_of(cfa__sql_connection *connection, const char *sql) {
    sqlite3_stmt *statement;
    sqlite3 *db = ((cfa__sqlite_connection *)connection)->db;
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

START_TEST(connections_are_durable_and_readers_cannot_write) {
    cfa_storage storage = book_open(NULL);
    const cfa__sql_driver *driver = ((cfa__sql_storage *)storage.self)->driver;
    for (int32_t mode = CFA_SESSION_READ; mode <= CFA_SESSION_WRITE; mode++) {
        cfa__sql_connection *connection;
        ck_ok(driver->connect(storage.self, mode, false, &connection));
        ck_assert_int_eq(
            pragma_of(connection, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
        ck_assert_int_eq(pragma_of(connection, "PRAGMA synchronous"), 2);
        ck_assert_int_eq(pragma_of(connection, "PRAGMA wal_autocheckpoint"), 0);
        ck_assert_int_eq(pragma_of(connection, "PRAGMA journal_size_limit"), INT64_C(32000) * 4096);
        ck_assert_int_eq(pragma_of(connection, "PRAGMA cache_size"),
                         mode == CFA_SESSION_WRITE ? -65536 : -8192);
        ck_assert_int_eq(pragma_of(connection, "PRAGMA query_only"), mode == CFA_SESSION_READ);
        int off = -1;
        sqlite3_db_config(((cfa__sqlite_connection *)connection)->db,
                          SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, -1, &off);
        ck_assert_int_eq(off, cfa__sqlite_has_reset_race(sqlite3_libversion_number()));
        driver->disconnect(connection);
    }
    book_close(&storage);
    ck_assert_int_eq(book_query(book_path("book.db"),
                                "SELECT count(*) FROM pragma_table_list WHERE name LIKE "
                                "'cfa\\_%' ESCAPE '\\' AND NOT strict"),
                     0);
}
END_TEST

START_TEST(releases_with_the_reset_race_are_known) {
    static const struct {
        int version;
        bool race;
    } cases[] = {
        { 3040001, true },  { 3044005, true },  { 3044006, false }, { 3045000, true },
        { 3050006, true },  { 3050007, false }, { 3051000, true },  { 3051002, true },
        { 3051003, false }, { 3053000, false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_int_eq(cfa__sqlite_has_reset_race(cases[i].version), cases[i].race);
    }
}
END_TEST

START_TEST(the_log_stays_bounded_and_allocated) {
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    options.wal_limit_pages = 50;
    cfa_storage storage = book_open(&options);
    cfa_session *session = book_session(&storage, CFA_SESSION_WRITE);
    struct stat info;
    off_t highest = 0, lowest = 1 << 30;
    for (int i = 0; i < 600; i++) {
        bool from_commit;
        ck_ok(book_batch(&storage, session, 1, &from_commit));
        if (i % 3 == 0) {
            ck_ok(storage.ops->maintain(session));
        }
        ck_assert_int_eq(stat(book_path("book.db-wal"), &info), 0);
        highest = info.st_size > highest ? info.st_size : highest;
        lowest = i > 100 && info.st_size < lowest ? info.st_size : lowest;
    }
    ck_assert_int_le(highest, 3 * 50 * 4200);
    ck_assert_int_ge(lowest, 40 * 4096);
    storage.ops->session_close(session);
    book_close(&storage);
    ck_assert_int_eq(book_audit(book_path("book.db")), 1200);
}
END_TEST

START_TEST(a_closed_book_is_whole_without_its_log) {
    bool from_commit;
    cfa_storage storage = book_open(NULL);
    cfa_session *session = book_session(&storage, CFA_SESSION_WRITE);
    ck_ok(book_batch(&storage, session, 1, &from_commit));
    storage.ops->session_close(session);
    book_close(&storage);
    remove(book_path("book.db-wal"));
    remove(book_path("book.db-shm"));
    ck_assert_int_eq(book_audit(book_path("book.db")), 2);
}
END_TEST

/* ---- sessions -------------------------------------------------------------------------------- */

START_TEST(a_reader_keeps_its_snapshot_from_begin_on) {
    bool from_commit;
    int64_t now_us, before, after;
    cfa_arena *arena;
    cfa_storage storage = book_open(NULL);
    cfa_session *writer = book_session(&storage, CFA_SESSION_WRITE);
    cfa_session *reader = book_session(&storage, CFA_SESSION_READ);
    ck_ok(storage.ops->changes(reader, &before));
    ck_ok(storage.ops->begin(reader, CFA_SESSION_READ, 0, &now_us));
    ck_ok(book_batch(&storage, writer, 1, &from_commit));
    ck_ok(cfa_arena_new(&arena));
    cfa_query query = { &fact_kind, 0, 0, 0, 10, 0, NULL, NULL, 0 };
    ck_ok(storage.ops->load(reader, &query, 1, arena));
    ck_assert_int_eq(query.count, 0);
    storage.ops->rollback(reader);
    ck_ok(storage.ops->changes(reader, &after));
    ck_assert_int_ne(before, after);
    ck_ok(storage.ops->begin(reader, CFA_SESSION_READ, 0, &now_us));
    ck_ok(storage.ops->load(reader, &query, 1, arena));
    ck_assert_int_eq(query.count, 2);
    cfa_arena_free(arena);
    storage.ops->session_close(reader); /* with an open transaction */
    storage.ops->session_close(writer);
    book_close(&storage);
}
END_TEST

START_TEST(a_second_writer_is_refused_within_its_time) {
    const int32_t patience_ms = 120000;
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    options.busy_timeout_ms = 2 * patience_ms; /* of those that give no time */
    int64_t now_us;
    cfa_storage storage = book_open(&options);
    cfa_session *first = book_session(&storage, CFA_SESSION_WRITE);
    cfa_session *second = book_session(&storage, CFA_SESSION_WRITE);
    ck_ok(storage.ops->begin(first, CFA_SESSION_WRITE, 0, &now_us));
    int64_t start_us = cfa__sqlite_monotonic_us();
    ck_is(storage.ops->begin(second, CFA_SESSION_WRITE, -1, &now_us), CFA_EBUSY);
    ck_is(storage.ops->begin(second, CFA_SESSION_WRITE, 30, &now_us), CFA_EBUSY);
    ck_assert_int_ge(cfa__sqlite_monotonic_us() - start_us, 30000);
    ck_assert_int_lt(cfa__sqlite_monotonic_us() - start_us, patience_ms * INT64_C(1000));
    storage.ops->rollback(first);
    ck_ok(storage.ops->begin(second, CFA_SESSION_WRITE, 30, &now_us));
    storage.ops->session_close(second);
    storage.ops->session_close(first);
    book_close(&storage);
}
END_TEST

START_TEST(a_transaction_that_failed_cannot_be_committed) {
    int64_t now_us;
    bool from_commit;
    cfa_storage storage = book_open(NULL);
    cfa_session *session = book_session(&storage, CFA_SESSION_WRITE);
    ck_ok(book_batch(&storage, session, 1, &from_commit));
    item fresh = { .id = { 9 }, .version = 1 }, twice = { .id = { 1 }, .version = 1 };
    twice.id[15] = 1;
    cfa_change changes[] = {
        { &item_kind, CFA_CHANGE_INSERT, &fresh, NULL },
        { &item_kind, CFA_CHANGE_INSERT, &twice, NULL },
    };
    cfa_save save = { changes, 2, NULL, 0, NULL, NULL, 0 };
    ck_ok(storage.ops->begin(session, CFA_SESSION_WRITE, 0, &now_us));
    ck_is(storage.ops->save(session, &save, NULL), CFA_EEXISTS);
    ck_is(storage.ops->save(session, &save, NULL), CFA_EMISUSE);
    ck_is(storage.ops->commit(session), CFA_EBUG);
    ck_ok(book_batch(&storage, session, 1, &from_commit));
    storage.ops->session_close(session);
    book_close(&storage);
    ck_assert_int_eq(book_audit(book_path("book.db")), 4);
}
END_TEST

/* Rows of one kind are written by one statement when there are enough of them. */
START_TEST(inserts_of_any_number_of_rows_are_right) {
    enum { ROWS_MAX = 9 };
    int64_t now_us;
    cfa_storage storage = book_open(NULL);
    cfa_session *session = book_session(&storage, CFA_SESSION_WRITE);
    cfa_arena *arena;
    ck_ok(cfa_arena_new(&arena));
    for (size_t count = 2; count <= ROWS_MAX; count++) {
        item rows[ROWS_MAX];
        cfa_change changes[ROWS_MAX];
        memset(rows, 0, sizeof(rows));
        for (size_t i = 0; i < count; i++) {
            rows[i].id[0] = (uint8_t)count;
            rows[i].id[15] = (uint8_t)(1 + i);
            rows[i].version = 1;
            rows[i].number = i % 2 == 0 ? INT64_MIN : (int64_t)i;
            rows[i].due_us = (int64_t)(i % 3);
            rows[i].note = (cfa_slice){ i % 4 == 3 ? NULL : "abc", i % 4 == 3 ? 0 : i % 4 };
            changes[i] = (cfa_change){ &item_kind, CFA_CHANGE_INSERT, &rows[i], NULL };
        }
        cfa_save save = { changes, count, NULL, 0, NULL, NULL, 0 };
        ck_ok(storage.ops->begin(session, CFA_SESSION_WRITE, 0, &now_us));
        ck_ok(storage.ops->save(session, &save, NULL));
        ck_ok(storage.ops->commit(session));

        rows[0].id[0] = 0; /* this one would be new */
        ck_ok(storage.ops->begin(session, CFA_SESSION_WRITE, 0, &now_us));
        ck_is(storage.ops->save(session, &save, NULL), CFA_EEXISTS);
        storage.ops->rollback(session);
        rows[0].id[0] = (uint8_t)count;

        if (count == ROWS_MAX / 2) { /* statements are prepared anew */
            book_execute(book_path("book.db"), "CREATE TABLE of_the_host (a)");
        }
        cfa_query query = { &item_kind, 0, 0, 0, 1000, 0, &rows[0], NULL, 0 };
        ck_ok(storage.ops->begin(session, CFA_SESSION_READ, 0, &now_us));
        ck_ok(storage.ops->load(session, &query, 1, arena));
        storage.ops->rollback(session);
        ck_assert_int_eq(query.count, (int)(count * (count + 1) / 2 - 1));
        for (size_t i = 0; i < count; i++) {
            const item *stored = query.records[(size_t)query.count - count + i];
            ck_assert_mem_eq(stored->id, rows[i].id, sizeof(rows[i].id));
            ck_assert_int_eq(stored->number, rows[i].number);
            ck_assert_int_eq(stored->due_us, rows[i].due_us);
            ck_assert_int_eq(stored->note.data == NULL, rows[i].note.data == NULL);
            ck_assert_uint_eq(stored->note.size, rows[i].note.size);
        }
    }
    cfa_arena_free(arena);
    storage.ops->session_close(session);
    book_close(&storage);
}
END_TEST

START_TEST(updates_of_any_set_of_fields_are_right) {
    int64_t now_us;
    cfa_storage storage = book_open(NULL);
    cfa_session *session = book_session(&storage, CFA_SESSION_WRITE);
    item row = { .id = { 7 }, .version = 1 };
    ck_ok(storage.ops->begin(session, CFA_SESSION_WRITE, 0, &now_us));
    cfa_change insert = { &item_kind, CFA_CHANGE_INSERT, &row, NULL };
    cfa_save save = { &insert, 1, NULL, 0, NULL, NULL, 0 };
    ck_ok(storage.ops->save(session, &save, NULL));
    for (int64_t i = 1; i < 64; i++) {
        item next = row;
        next.number += i & 1;
        next.due_us += i >> 1 & 1;
        next.note = (i & 4) != 0 ? (cfa_slice){ "x", (size_t)(i & 1) } : (cfa_slice){ NULL, 0 };
        next.version++;
        cfa_change change = { &item_kind, CFA_CHANGE_UPDATE, &next, &row };
        cfa_save update = { &change, 1, NULL, 0, NULL, NULL, 0 };
        ck_ok(storage.ops->save(session, &update, NULL));
        row = next;
        cfa_arena *arena;
        ck_ok(cfa_arena_new(&arena));
        cfa_query query = { &item_kind, 0, 1, 0, 1, 0, &row, NULL, 0 };
        ck_ok(storage.ops->load(session, &query, 1, arena));
        const item *stored = query.records[0];
        ck_assert_int_eq(stored->number, row.number);
        ck_assert_int_eq(stored->due_us, row.due_us);
        ck_assert_int_eq(stored->version, row.version);
        ck_assert_int_eq(stored->note.data == NULL, row.note.data == NULL);
        ck_assert_uint_eq(stored->note.size, row.note.size);
        cfa_arena_free(arena);
    }
    ck_ok(storage.ops->commit(session));
    storage.ops->session_close(session);
    book_close(&storage);
}
END_TEST

/* A session keeps some two dozen update statements per kind; what goes beyond writes all fields. */
START_TEST(updates_beyond_the_kept_statements_are_right) {
    int64_t now_us;
    cfa_storage storage;
    ck_ok(cfa_sqlite_storage_new(&storage, book_path("book.db"), NULL));
    ck_ok(storage.ops->migrate(storage.self, &cfa__schema));
    cfa_session *session = book_session(&storage, CFA_SESSION_WRITE);
    cfa__payment row = { .id = { { 1 } }, .currency = "EUR", .provider = { "play", 4 } };
    cfa_change insert = { &cfa__payment_kind, CFA_CHANGE_INSERT, &row, NULL };
    cfa_save save = { &insert, 1, NULL, 0, NULL, NULL, 0 };
    ck_ok(storage.ops->begin(session, CFA_SESSION_WRITE, 0, &now_us));
    ck_ok(storage.ops->save(session, &save, NULL));
    for (int64_t i = 1; i < 128; i++) {
        cfa__payment next = row;
        next.state += i & 1;
        next.flags += i >> 1 & 1;
        next.durable += i >> 2 & 1;
        next.captured_minor += i >> 3 & 1;
        next.sequence += i >> 4 & 1;
        next.operation_count += i >> 5 & 1;
        next.updated_us += i >> 6 & 1;
        next.version++;
        cfa_change change = { &cfa__payment_kind, CFA_CHANGE_UPDATE, &next, &row };
        cfa_save update = { &change, 1, NULL, 0, NULL, NULL, 0 };
        ck_ok(storage.ops->save(session, &update, NULL));
        cfa_arena *arena;
        ck_ok(cfa_arena_new(&arena));
        cfa_query query = { &cfa__payment_kind, 0, 1, 0, 1, 0, &row, NULL, 0 };
        ck_ok(storage.ops->load(session, &query, 1, arena));
        for (int32_t j = 0; j < cfa__payment_kind.field_count; j++) {
            const cfa_field *field = &cfa__payment_kind.fields[j];
            ck_assert_msg(!cfa__sql_field_differs(field, &next, query.records[0]), "%s after %d",
                          field->name, (int)i);
        }
        cfa_arena_free(arena);
        row = next;
    }
    ck_ok(storage.ops->commit(session));
    storage.ops->session_close(session);
    book_close(&storage);
}
END_TEST

START_TEST(what_another_process_committed_is_seen) {
    const char *path = book_path("book.db");
    cfa_storage storage = book_open(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        bool from_commit;
        cfa_storage other;
        cfa_session *session;
        _exit(cfa_sqlite_storage_new(&other, path, NULL) == CFA_OK &&
                      other.ops->migrate(other.self, &schema_one) == CFA_OK &&
                      other.ops->session_open(other.self, CFA_SESSION_WRITE, &session) == CFA_OK &&
                      book_batch(&other, session, 3, &from_commit) == CFA_OK
                  ? 0
                  : 1);
    }
    int result;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert_int_eq(result, 0);
    cfa_session *reader = book_session(&storage, CFA_SESSION_READ);
    ck_assert_int_eq(book_batches(&storage, reader, 3), 1);
    storage.ops->session_close(reader);
    book_close(&storage);
}
END_TEST

/* ---- what a writer remembers ----------------------------------------------------------------- */

/* The number of items, read in a write transaction that commits nothing. */
static int32_t count_items(const cfa_storage *storage, cfa_session *session) {
    int64_t now_us;
    cfa_arena *arena;
    item key = { .version = 0 };
    cfa_query query = { &item_kind, 0, 0, 0, 10, 0, &key, NULL, 0 };
    ck_ok(cfa_arena_new(&arena));
    ck_ok(storage->ops->begin(session, CFA_SESSION_WRITE, 0, &now_us));
    ck_ok(storage->ops->load(session, &query, 1, arena));
    ck_ok(storage->ops->commit(session));
    cfa_arena_free(arena);
    return query.count;
}

START_TEST(an_empty_table_is_read_again_when_it_may_have_rows) {
    int64_t now_us;
    bool from_commit;
    cfa_storage storage = book_open(NULL);
    cfa_session *writer = book_session(&storage, CFA_SESSION_WRITE);
    cfa_session *other = book_session(&storage, CFA_SESSION_WRITE);
    ck_assert_int_eq(count_items(&storage, writer), 0);
    ck_assert_int_eq(count_items(&storage, writer), 0);
    ck_ok(book_batch(&storage, other, 1, &from_commit));
    ck_assert_int_eq(count_items(&storage, writer), 1);

    item row = { .id = { 1 }, .version = 1 };
    row.id[15] = 1;
    cfa_change removal = { &item_kind, CFA_CHANGE_DELETE, &row, &row };
    cfa_save save = { &removal, 1, NULL, 0, NULL, NULL, 0 };
    cfa_query query = { &item_kind, 0, 0, 0, 10, 0, &row, NULL, 0 };
    cfa_arena *arena;
    ck_ok(cfa_arena_new(&arena));
    ck_ok(storage.ops->begin(writer, CFA_SESSION_WRITE, 0, &now_us));
    ck_ok(storage.ops->save(writer, &save, NULL));
    ck_ok(storage.ops->load(writer, &query, 1, arena));
    ck_assert_int_eq(query.count, 0);
    storage.ops->rollback(writer);
    cfa_arena_free(arena);
    ck_assert_int_eq(count_items(&storage, writer), 1);

    book_execute(book_path("book.db"), "DELETE FROM cfa_item");
    ck_assert_int_eq(count_items(&storage, writer), 0);
    ck_ok(book_batch(&storage, writer, 2, &from_commit));
    ck_assert_int_eq(count_items(&storage, writer), 1);
    storage.ops->session_close(other);
    storage.ops->session_close(writer);
    book_close(&storage);
}
END_TEST

START_TEST(positions_are_dense_whoever_wrote_before) {
    int64_t now_us, first;
    bool from_commit;
    cfa_storage storage = book_open(NULL);
    cfa_session *writer = book_session(&storage, CFA_SESSION_WRITE);
    cfa_session *other = book_session(&storage, CFA_SESSION_WRITE);
    for (int round = 0; round < 3; round++) {
        ck_ok(book_batch(&storage, writer, 1, &from_commit));
        ck_ok(book_batch(&storage, writer, 2, &from_commit));
        ck_ok(book_batch(&storage, other, 1, &from_commit));
        fact undone = { .item_id = { 1 }, .payload = { "", 0 } };
        void *events[] = { &undone };
        cfa_save save = { NULL, 0, NULL, 0, &fact_kind, events, 1 };
        ck_ok(storage.ops->begin(writer, CFA_SESSION_WRITE, 0, &now_us));
        ck_ok(storage.ops->save(writer, &save, &first));
        ck_assert_int_eq(first, round * 6 + 7);
        storage.ops->rollback(writer);
    }
    storage.ops->session_close(other);
    storage.ops->session_close(writer);
    book_close(&storage);
    ck_assert_int_eq(book_audit(book_path("book.db")), 18);
}
END_TEST

/* ---- statements ------------------------------------------------------------------------------ */

START_TEST(queries_read_through_the_index_they_name) {
    cfa_storage storage = book_open(NULL);
    const cfa__sql_driver *driver = ((cfa__sql_storage *)storage.self)->driver;
    cfa__sql_connection *connection;
    ck_ok(driver->connect(storage.self, CFA_SESSION_READ, false, &connection));
    for (int32_t index = 0; index < item_kind.index_count; index++) {
        for (int32_t match = 0; match <= item_kind.indexes[index].field_count; match++) {
            for (uint32_t flags = 0; flags < 8; flags++) {
                bool until = (flags & CFA_QUERY_UNTIL) != 0 && (index == 0 || match != 0);
                if (until || ((flags & CFA_QUERY_AFTER) != 0 &&
                              match == item_kind.indexes[index].field_count)) {
                    continue;
                }
                cfa__sql_text text = { NULL, 0, 0, false };
                cfa__sql_append(&text, "EXPLAIN QUERY PLAN ");
                cfa__sql_write_select(&text, &driver->dialect, &item_kind, index, match, flags,
                                      cfa__sql_is_single(&item_kind, index, match, flags));
                sqlite3_stmt *statement;
                ck_assert_int_eq(sqlite3_prepare_v2(((cfa__sqlite_connection *)connection)->db,
                                                    text.data, -1, &statement, NULL),
                                 SQLITE_OK);
                while (sqlite3_step(statement) == SQLITE_ROW) {
                    const char *step = (const char *)sqlite3_column_text(statement, 3);
                    ck_assert_msg(strstr(step, "TEMP B-TREE") == NULL, "%s: %s", text.data, step);
                    ck_assert_msg(match == 0 || strstr(step, "SEARCH") != NULL, "%s: %s", text.data,
                                  step);
                }
                sqlite3_finalize(statement);
                cfa__sql_text_free(&text);
            }
        }
    }
    driver->disconnect(connection);
    book_close(&storage);
}
END_TEST

int main(int argc, char **argv) {
    const TTest *const tests[] = {
        a_missing_directory_is_named,
        a_directory_is_no_book,
        a_directory_that_cannot_be_written_is_named,
        a_file_that_cannot_be_written_is_named,
        a_file_that_is_no_database_is_refused_and_kept,
        options_out_of_range_are_refused,
        a_book_is_found_again_after_the_host_changed_its_directory,
        a_newer_schema_is_refused_and_nothing_is_written,
        tables_with_our_names_that_are_not_ours_are_refused_and_kept,
        a_host_keeps_its_own_tables_and_mark_in_the_file,
        a_file_of_ours_alone_carries_our_mark,
        a_migration_adds_columns_indexes_and_kinds_and_keeps_rows,
        processes_that_open_a_new_book_at_once_all_succeed,
        connections_are_durable_and_readers_cannot_write,
        releases_with_the_reset_race_are_known,
        the_log_stays_bounded_and_allocated,
        a_closed_book_is_whole_without_its_log,
        a_reader_keeps_its_snapshot_from_begin_on,
        a_second_writer_is_refused_within_its_time,
        a_transaction_that_failed_cannot_be_committed,
        inserts_of_any_number_of_rows_are_right,
        updates_of_any_set_of_fields_are_right,
        updates_beyond_the_kept_statements_are_right,
        what_another_process_committed_is_seen,
        an_empty_table_is_read_again_when_it_may_have_rows,
        positions_are_dense_whoever_wrote_before,
        queries_read_through_the_index_they_name,
    };
    return book_main(argc, argv, "sqlite", tests, sizeof(tests) / sizeof(tests[0]));
}
