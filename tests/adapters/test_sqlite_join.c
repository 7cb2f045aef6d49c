/*
 * test_sqlite_join.c - a host's own transaction joined at the level of the storage: whose
 * connection is taken, what is refused, and that both sides' rows commit and roll back together.
 * The engine is played by the two functions below.
 */
#include "adapters/sqlite_book.h"
#include "adapters/sqlite/sqlite_internal.h"

#include <string.h>
#include <unistd.h>

static cfa_storage storage;
static cfa_session *joined;

const cfa_storage *cfa_engine_storage(cfa_engine *engine) {
    (void)engine;
    return &storage;
}

cfa_status cfa_tx_new(cfa_tx **out, cfa_engine *engine, cfa_session *session) {
    (void)engine;
    *out = (cfa_tx *)session;
    joined = session;
    return CFA_OK;
}

static sqlite3 *host;
static cfa_engine *const engine = (cfa_engine *)&storage;

static void run(const char *sql) {
    ck_assert_msg(sqlite3_exec(host, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql,
                  sqlite3_errmsg(host));
}

static void open_both(void) {
    storage = book_open(NULL);
    ck_assert_int_eq(sqlite3_open(book_path("book.db"), &host), SQLITE_OK);
    run("CREATE TABLE orders (id INTEGER)");
}

static void close_both(void) {
    /* refuses while statements of ours are left */
    ck_assert_int_eq(sqlite3_close(host), SQLITE_OK);
    book_close(&storage);
}

static cfa_status insert(uint8_t tag) {
    item row = { .id = { 1 }, .number = 1, .version = 1 };
    row.id[15] = tag;
    fact facts[2] = { { 0, { 1 }, { "a", 1 } }, { 0, { 1 }, { "b", 1 } } };
    facts[0].item_id[15] = facts[1].item_id[15] = tag;
    void *events[] = { &facts[0], &facts[1] };
    cfa_change change = { &item_kind, CFA_CHANGE_INSERT, &row, NULL };
    cfa_save save = { &change, 1, NULL, 0, &fact_kind, events, 2 };
    int64_t first;
    return storage.ops->save(joined, &save, &first);
}

START_TEST(rows_of_both_sides_commit_and_roll_back_together) {
    cfa_tx *tx;
    open_both();
    for (int keep = 0; keep <= 1; keep++) {
        run("BEGIN IMMEDIATE; INSERT INTO orders VALUES (1)");
        ck_ok(cfa_sqlite_join(&tx, engine, host));
        ck_ok(insert(1));
        storage.ops->session_close(joined);
        run(keep ? "COMMIT" : "ROLLBACK");
        ck_assert_int_eq(book_audit(book_path("book.db")), keep * 2);
        ck_assert_int_eq(book_query(book_path("book.db"), "SELECT count(*) FROM orders"), keep);
    }
    close_both();
}
END_TEST

START_TEST(a_save_that_fails_leaves_nothing_in_the_hosts_transaction) {
    cfa_tx *tx;
    open_both();
    run("BEGIN IMMEDIATE");
    ck_ok(cfa_sqlite_join(&tx, engine, host));
    ck_ok(insert(1));
    item fresh = { .id = { 2 }, .version = 1 }, twice = { .id = { 1 }, .version = 1 };
    twice.id[15] = 1;
    cfa_change changes[] = {
        { &item_kind, CFA_CHANGE_INSERT, &fresh, NULL },
        { &item_kind, CFA_CHANGE_INSERT, &twice, NULL },
    };
    cfa_save save = { changes, 2, NULL, 0, NULL, NULL, 0 };
    ck_is(storage.ops->save(joined, &save, NULL), CFA_EEXISTS);
    ck_assert_ptr_nonnull(strstr(book_message(), "UNIQUE constraint failed"));
    ck_ok(insert(2));
    storage.ops->session_close(joined);
    run("COMMIT");
    ck_assert_int_eq(book_audit(book_path("book.db")), 4);
    close_both();
}
END_TEST

START_TEST(the_host_alone_ends_its_transaction) {
    cfa_tx *tx;
    int64_t now_us;
    open_both();
    run("BEGIN IMMEDIATE");
    ck_ok(cfa_sqlite_join(&tx, engine, host));
    ck_ok(insert(1));
    ck_is(storage.ops->begin(joined, CFA_SESSION_WRITE, 0, &now_us), CFA_EMISUSE);
    ck_is(storage.ops->commit(joined), CFA_EMISUSE);
    storage.ops->rollback(joined);
    ck_is(storage.ops->changes(joined, &now_us), CFA_EMISUSE);
    ck_is(storage.ops->maintain(joined), CFA_EMISUSE);
    storage.ops->session_close(joined);
    ck_assert_int_eq(sqlite3_txn_state(host, "main"), SQLITE_TXN_WRITE);
    run("COMMIT");
    close_both();
}
END_TEST

START_TEST(joining_without_the_write_lock_is_refused) {
    static const char *const states[] = { "SELECT 1", "BEGIN", "BEGIN; SELECT * FROM orders" };
    cfa_tx *tx;
    open_both();
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        run(states[i]);
        ck_is(cfa_sqlite_join(&tx, engine, host), CFA_EMISUSE);
        ck_assert_ptr_nonnull(strstr(book_message(), "BEGIN IMMEDIATE"));
        if (!sqlite3_get_autocommit(host)) {
            run("ROLLBACK");
        }
    }
    close_both();
}
END_TEST

START_TEST(joining_from_another_file_is_refused) {
    sqlite3 *others[2];
    cfa_tx *tx;
    open_both();
    ck_assert_int_eq(sqlite3_open(book_path("other.db"), &others[0]), SQLITE_OK);
    ck_assert_int_eq(sqlite3_open(":memory:", &others[1]), SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(
            sqlite3_exec(others[i], "CREATE TABLE t (a); BEGIN IMMEDIATE", NULL, NULL, NULL),
            SQLITE_OK);
        ck_is(cfa_sqlite_join(&tx, engine, others[i]), CFA_EMISUSE);
        ck_assert_ptr_nonnull(strstr(book_message(), "not on the engine's database file"));
        ck_assert_int_eq(sqlite3_close(others[i]), SQLITE_OK);
    }
    ck_is(cfa_sqlite_join(&tx, engine, NULL), CFA_EMISUSE);
    close_both();
}
END_TEST

START_TEST(a_file_is_the_same_by_any_name) {
    sqlite3 *other;
    cfa_tx *tx;
    char target[128];
    open_both();
    strcpy(target, book_path("book.db"));
    ck_assert_int_eq(symlink(target, book_path("link.db")), 0);
    ck_assert_int_eq(sqlite3_open(book_path("link.db"), &other), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    ck_ok(cfa_sqlite_join(&tx, engine, other));
    storage.ops->session_close(joined);
    ck_assert_int_eq(sqlite3_close(other), SQLITE_OK);
    close_both();
}
END_TEST

static int own_hook(void *user, sqlite3 *db, const char *name, int pages) {
    (void)db;
    (void)name;
    (void)pages;
    *(int *)user += 1;
    return SQLITE_OK;
}

START_TEST(a_joined_connection_checkpoints_no_more_where_that_is_dangerous) {
    cfa_tx *tx;
    int commits = 0, off = -1;
    bool race = cfa__sqlite_has_reset_race(sqlite3_libversion_number());
    open_both();
    run("BEGIN IMMEDIATE");
    ck_ok(cfa_sqlite_join(&tx, engine, host));
    storage.ops->session_close(joined);
    run("COMMIT");
    sqlite3_db_config(host, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, -1, &off);
    ck_assert_int_eq(off, race);
    sqlite3_wal_hook(host, own_hook, &commits);
    run("BEGIN IMMEDIATE");
    ck_ok(cfa_sqlite_join(&tx, engine, host));
    ck_ok(insert(1));
    storage.ops->session_close(joined);
    run("COMMIT");
    ck_assert_int_eq(commits, 1); /* the host's hook is still there */
    close_both();
}
END_TEST

int main(int argc, char **argv) {
    const TTest *const tests[] = {
        rows_of_both_sides_commit_and_roll_back_together,
        a_save_that_fails_leaves_nothing_in_the_hosts_transaction,
        the_host_alone_ends_its_transaction,
        joining_without_the_write_lock_is_refused,
        joining_from_another_file_is_refused,
        a_file_is_the_same_by_any_name,
        a_joined_connection_checkpoints_no_more_where_that_is_dangerous,
    };
    return book_main(argc, argv, "sqlite_join", tests, sizeof(tests) / sizeof(tests[0]));
}
