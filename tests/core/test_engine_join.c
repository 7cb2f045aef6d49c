/*
 * test_engine_join.c - a host's row and a pledge in the host's own SQLite transaction: both commit
 * or neither does.
 */
#include "support/book.h"

#include <careforall/adapters/sqlite.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void run(sqlite3 *host, const char *sql) {
    char *message = NULL;
    int code = sqlite3_exec(host, sql, NULL, NULL, &message);
    ck_assert_msg(code == SQLITE_OK, "%s: %s", sql, message);
}

static int count_orders(sqlite3 *host) {
    sqlite3_stmt *statement;
    ck_assert_int_eq(sqlite3_prepare_v2(host, "SELECT count(*) FROM orders", -1, &statement, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    int count = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return count;
}

static sqlite3 *host_open(const char *path) {
    sqlite3 *host;
    ck_assert_int_eq(sqlite3_open(path, &host), SQLITE_OK);
    run(host, "PRAGMA wal_autocheckpoint=0");
    ck_assert_int_eq(sqlite3_busy_timeout(host, PATIENCE_MS), SQLITE_OK);
    run(host, "CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY)");
    return host;
}

/* The host's row and the pledge, in the transaction that the host has begun. */
static cfa_pledge *order(struct book *book, sqlite3 *host, const char *key, int64_t minor) {
    cfa_tx *tx;
    cfa_pledge *pledge;
    run(host, "INSERT INTO orders DEFAULT VALUES");
    cfa_status status = cfa_sqlite_join(&tx, book->engine, host);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    cfa_pledge_spec spec = gift(book, key, minor);
    status = cfa_tx_pledge_create(&pledge, tx, &spec);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    cfa_tx_free(tx);
    return pledge;
}

START_TEST(the_host_and_the_pledge_commit_together) {
    struct book book;
    book_open(&book, STORE_SQLITE);
    sqlite3 *host = host_open(book.path);
    int64_t head = head_of(book.engine);
    run(host, "BEGIN IMMEDIATE");
    cfa_pledge *pledge = order(&book, host, "order-1", 100), *read;
    ck_assert(cfa_pledge_pending(pledge) && !cfa_pledge_replayed(pledge));
    /* Nobody else sees it yet. */
    expect_error(cfa_pledge_get(&read, book.engine, cfa_pledge_id(pledge)), CFA_ENOTFOUND,
                 "pledge_id");
    ck_assert_int_eq(play_books_of(&book).call_count, 0);
    run(host, "COMMIT");
    ck_assert_int_eq(count_orders(host), 1);
    ck_assert_int_eq(cfa_pledge_get(&read, book.engine, cfa_pledge_id(pledge)), CFA_OK);
    cfa_pledge_free(read);
    /* Its events are staged until the engine's next batch. */
    ck_assert_int_eq(rows_of(&book, "staged"), 1);
    ck_assert_int_eq(head_of(book.engine), head);
    book_settle(&book);
    ck_assert_int_eq(rows_of(&book, "staged"), 0);
    ck_assert_int_gt(head_of(book.engine), head);
    ck_assert_int_eq(play_books_of(&book).intent_count, 1);
    cfa_pledge *answered = pledge_make(&book, "order-1", 100);
    ck_assert(cfa_pledge_replayed(answered) && !cfa_pledge_pending(answered));
    pledge_pay(&book, answered);
    ck_assert_int_eq(totals_of(&book).raised_minor, 100);
    cfa_pledge_free(answered);
    cfa_pledge_free(pledge);
    ck_assert_int_eq(sqlite3_close(host), SQLITE_OK);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(the_host_and_the_pledge_roll_back_together) {
    struct book book;
    book_open(&book, STORE_SQLITE);
    sqlite3 *host = host_open(book.path);
    int64_t rows = all_rows_of(&book);
    run(host, "BEGIN IMMEDIATE");
    cfa_pledge *pledge = order(&book, host, "order-1", 100), *read;
    run(host, "ROLLBACK");
    ck_assert_int_eq(count_orders(host), 0);
    ck_assert_int_eq(all_rows_of(&book), rows);
    expect_error(cfa_pledge_get(&read, book.engine, cfa_pledge_id(pledge)), CFA_ENOTFOUND,
                 "pledge_id");
    book_settle(&book);
    ck_assert_int_eq(play_books_of(&book).call_count, 0);
    /* The key was never used. */
    cfa_pledge *fresh = pledge_make(&book, "order-1", 999);
    ck_assert(!cfa_pledge_replayed(fresh));
    cfa_pledge_free(fresh);
    cfa_pledge_free(pledge);
    ck_assert_int_eq(sqlite3_close(host), SQLITE_OK);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_joined_repeat_is_a_replay) {
    struct book book;
    book_open(&book, STORE_SQLITE);
    sqlite3 *host = host_open(book.path);
    cfa_pledge *before = pledge_make(&book, "before", 100);
    run(host, "BEGIN IMMEDIATE");
    cfa_pledge *again = order(&book, host, "before", 100);
    ck_assert(cfa_pledge_replayed(again) && answers_equal(before, again));
    cfa_pledge *first = order(&book, host, "joined", 200),
               *second = order(&book, host, "joined", 200);
    ck_assert(!cfa_pledge_replayed(first) && cfa_pledge_replayed(second));
    ck_assert_str_eq(cfa_pledge_id(first), cfa_pledge_id(second));
    cfa_tx *tx;
    cfa_pledge *untouched = NULL;
    cfa_pledge_spec spec = gift(&book, "joined", 201);
    ck_assert_int_eq(cfa_sqlite_join(&tx, book.engine, host), CFA_OK);
    expect_error(cfa_tx_pledge_create(&untouched, tx, &spec), CFA_EKEYREUSE, "amount.minor");
    spec = gift(&book, "bad", 0);
    ck_assert_int_eq(cfa_status_class_of(cfa_tx_pledge_create(&untouched, tx, &spec)),
                     CFA_CLASS_INVALID);
    spec = gift(&book, "elsewhere", 100);
    spec.campaign_id = "cmp_01arz3ndektsv4rrffq69g5fav";
    expect_error(cfa_tx_pledge_create(&untouched, tx, &spec), CFA_ENOTFOUND, "campaign_id");
    ck_assert_ptr_null(untouched);
    cfa_tx_free(tx);
    /* A refusal leaves the host's transaction as it was. */
    run(host, "COMMIT");
    ck_assert_int_eq(count_orders(host), 3);
    book_settle(&book);
    ck_assert_int_eq(rows_of(&book, "pledge"), 2);
    ck_assert_int_eq(play_books_of(&book).intent_count, 2);
    cfa_pledge_free(before);
    cfa_pledge_free(again);
    cfa_pledge_free(first);
    cfa_pledge_free(second);
    ck_assert_int_eq(sqlite3_close(host), SQLITE_OK);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(only_a_write_transaction_on_the_books_own_file_is_joined) {
    struct book book;
    char path[128];
    book_open(&book, STORE_SQLITE);
    sqlite3 *host = host_open(book.path);
    cfa_tx *tx = NULL;
    expect_error(cfa_sqlite_join(&tx, book.engine, host), CFA_EMISUSE, NULL);
    run(host, "BEGIN");
    expect_error(cfa_sqlite_join(&tx, book.engine, host), CFA_EMISUSE, NULL);
    ck_assert_int_eq(count_orders(host), 0);
    expect_error(cfa_sqlite_join(&tx, book.engine, host), CFA_EMISUSE, NULL);
    run(host, "COMMIT");
    snprintf(path, sizeof path, "%s/other.db", book.directory);
    sqlite3 *other;
    ck_assert_int_eq(sqlite3_open(path, &other), SQLITE_OK);
    run(other, "PRAGMA journal_mode=WAL; BEGIN IMMEDIATE");
    expect_error(cfa_sqlite_join(&tx, book.engine, other), CFA_EMISUSE, NULL);
    run(other, "ROLLBACK");
    ck_assert_int_eq(sqlite3_close(other), SQLITE_OK);
    ck_assert_ptr_null(tx);
    cfa_tx_free(NULL);
    ck_assert_int_eq(sqlite3_close(host), SQLITE_OK);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(many_joined_pledges_keep_the_log_dense) {
    struct book book;
    book_open(&book, STORE_SQLITE);
    sqlite3 *host = host_open(book.path);
    enum { ORDERS = 300 };
    run(host, "BEGIN IMMEDIATE");
    for (int i = 0; i < ORDERS; i++) {
        char key[16];
        snprintf(key, sizeof key, "o%d", i);
        cfa_pledge_free(order(&book, host, key, 100));
    }
    run(host, "COMMIT");
    ck_assert_int_eq(rows_of(&book, "staged"), ORDERS);
    /* The engine's own events come after all that was staged before them. */
    cfa_pledge *later = pledge_make(&book, "later", 100);
    book_settle(&book);
    ck_assert_int_eq(rows_of(&book, "staged"), 0);
    ck_assert_int_eq(play_books_of(&book).intent_count, ORDERS + 1);
    ck_assert_int_eq(totals_of(&book).pledged_minor, 100 * (ORDERS + 1));
    cfa_pledge_free(later);
    ck_assert_int_eq(sqlite3_close(host), SQLITE_OK);
    audit(&book);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine: joined transactions");
#define ONCE(name) add_once(suite, #name, name)
    ONCE(the_host_and_the_pledge_commit_together);
    ONCE(the_host_and_the_pledge_roll_back_together);
    ONCE(a_joined_repeat_is_a_replay);
    ONCE(only_a_write_transaction_on_the_books_own_file_is_joined);
    ONCE(many_joined_pledges_keep_the_log_dense);
    return run_suite(suite, argc, argv);
}
