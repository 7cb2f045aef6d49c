/*
 * test_io_sweep.c - every read, write, sync and lock of the SQLite file fails once, or for a while,
 * under a donation: a clear status, nothing half-done, and the service goes on by itself when the
 * disk does.
 */
#include "adapters/fault_vfs.h"
#include "support/book.h"

#include <careforall/adapters/sqlite.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/engine/engine.h"

static void fault_open(struct book *book) {
    fault_vfs_register();
    book_prepare(book, STORE_SQLITE);
    book_use_vfs(book, "fault");
    book_start(book);
}

static void files_without_a_disk(void) {
    /* The faulty file system does not sync anyway. */
    if (access("/dev/shm", W_OK) == 0)
        ck_assert_int_eq(setenv("TMPDIR", "/dev/shm", 1), 0);
}

/* The `nth` call of a kind fails; returns whether there was such a call. */
static bool donate_with(uint32_t mask, int64_t nth, int code, bool stuck, bool may_doubt) {
    struct book book;
    fault_open(&book);
    fault_vfs_arm(mask, nth, code, stuck);
    cfa_pledge *pledge = NULL;
    cfa_status got = donate(&book, &pledge);
    bool fired = fault_vfs_fired();
    fault_vfs_disarm();
    expect_whole(&book, got, pledge, nth);
    if (!may_doubt)
        ck_assert_msg(got != CFA_EINDOUBT, "call %lld: in doubt, yet nothing can have happened",
                      (long long)nth);
    cfa_pledge_free(pledge);
    finish_donation(&book);
    book_close(&book);
    return fired;
}

static void sweep(uint32_t mask, int code, bool stuck, bool may_doubt) {
    files_without_a_disk();
    int64_t nth = 1;
    while (donate_with(mask, nth, code, stuck, may_doubt))
        nth++;
    ck_assert_int_gt(nth, 1);
}

START_TEST(any_one_call_may_fail) { sweep(FAULT_ALL, SQLITE_IOERR, false, true); }
END_TEST

START_TEST(the_disk_may_die_at_any_call_and_come_back) {
    sweep(FAULT_ALL, SQLITE_IOERR, true, true);
}
END_TEST

START_TEST(the_disk_may_be_full_at_any_write) {
    sweep(FAULT_WRITE, SQLITE_FULL, false, true);
    sweep(FAULT_WRITE, SQLITE_FULL, true, true);
}
END_TEST

START_TEST(a_lock_may_be_taken_at_any_time) { sweep(FAULT_LOCK, SQLITE_BUSY, false, true); }
END_TEST

START_TEST(a_failing_read_is_never_in_doubt) { sweep(FAULT_READ, SQLITE_IOERR, false, false); }
END_TEST

/* The sync of COMMIT fails: whether it happened is unknown, until the batch is decided again. */
START_TEST(a_failing_sync_is_found_out) {
    files_without_a_disk();
    int64_t nth = 1;
    int doubts = 0;
    bool fired = true;
    for (; fired; nth++) {
        struct book book;
        fault_open(&book);
        fault_vfs_arm(FAULT_SYNC, nth, SQLITE_IOERR, false);
        cfa_pledge *pledge = NULL;
        cfa_status got = donate(&book, &pledge);
        fired = fault_vfs_fired();
        fault_vfs_disarm();
        doubts += (int)atomic_load(&book.engine->statistics.commits_in_doubt);
        ck_assert_msg(got == CFA_OK, "sync %lld: %s", (long long)nth, cfa_status_name(got));
        ck_assert(!cfa_pledge_replayed(pledge));
        cfa_pledge_free(pledge);
        finish_donation(&book);
        book_close(&book);
    }
    ck_assert_int_gt(nth, 2);
    ck_assert_int_gt(doubts, 0);
}
END_TEST

START_TEST(syncs_that_never_succeed_end_in_doubt_and_the_key_resolves_it) {
    files_without_a_disk();
    struct book book;
    fault_open(&book);
    fault_vfs_arm(FAULT_SYNC, 1, SQLITE_IOERR, true);
    cfa_pledge *pledge = NULL;
    cfa_status got = donate(&book, &pledge);
    fault_vfs_disarm();
    ck_assert_int_eq(got, CFA_EINDOUBT);
    ck_assert_ptr_null(pledge);
    finish_donation(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_book_opens_or_tells_why_at_any_failing_call) {
    files_without_a_disk();
    fault_vfs_register();
    bool fired = true;
    int64_t nth = 1;
    for (; fired; nth++) {
        struct book book;
        book_prepare(&book, STORE_SQLITE);
        book_use_vfs(&book, "fault");
        fault_vfs_arm(FAULT_ALL, nth, SQLITE_IOERR, false);
        cfa_status status = cfa_engine_open(&book.engine, &book.options);
        fired = fault_vfs_fired();
        fault_vfs_disarm();
        if (status == CFA_OK) {
            cfa_engine_close(book.engine);
        } else {
            cfa_status_class class = cfa_status_class_of(status);
            ck_assert_msg(class == CFA_CLASS_TRANSIENT || class == CFA_CLASS_IN_DOUBT ||
                              status == CFA_EREADONLY,
                          "call %lld: %s, %s", (long long)nth, cfa_status_name(status),
                          last_error()->message);
        }
        book_start(&book);
        finish_donation(&book);
        book_close(&book);
    }
    ck_assert_int_gt(nth, 10);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("I/O sweep");
#define ONCE(name) add_once(suite, #name, name)
    ONCE(any_one_call_may_fail);
    ONCE(the_disk_may_die_at_any_call_and_come_back);
    ONCE(the_disk_may_be_full_at_any_write);
    ONCE(a_lock_may_be_taken_at_any_time);
    ONCE(a_failing_read_is_never_in_doubt);
    ONCE(a_failing_sync_is_found_out);
    ONCE(syncs_that_never_succeed_end_in_doubt_and_the_key_resolves_it);
    ONCE(a_book_opens_or_tells_why_at_any_failing_call);
    return run_suite(suite, argc, argv);
}
