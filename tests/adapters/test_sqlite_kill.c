/*
 * test_sqlite_kill.c - several processes on one file, and processes that are killed while they
 * write and checkpoint: what was acknowledged is there, what is there is whole, and the next
 * process goes on.
 */
#include "adapters/sqlite_book.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WRITERS = 2 };

/* In a child: commit `count` batches of `tag`, and write one byte to `pipe` for each that was
 * acknowledged. */
static void write_batches(const char *path, uint8_t tag, int count, int pipe) {
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    cfa_storage storage;
    cfa_session *session;
    options.wal_limit_pages = 20; /* checkpoints all the time */
    options.busy_timeout_ms = 120000;
    if (cfa_sqlite_storage_new(&storage, path, &options) != CFA_OK ||
        storage.ops->migrate(storage.self, &schema_one) != CFA_OK ||
        storage.ops->session_open(storage.self, CFA_SESSION_WRITE, &session) != CFA_OK) {
        fprintf(stderr, "%s\n", book_message());
        _exit(1);
    }
    for (int i = 0; i < count; i++) {
        bool from_commit;
        cfa_status status = book_batch(&storage, session, tag, &from_commit);
        if (status == CFA_OK && i % 5 == 0) {
            status = storage.ops->maintain(session);
        }
        if (status != CFA_OK || write(pipe, "+", 1) != 1) {
            fprintf(stderr, "%s\n", book_message());
            _exit(1);
        }
    }
    storage.ops->session_close(session);
    storage.ops->close(storage.self);
    _exit(0);
}

static pid_t start_writer(const char *path, uint8_t tag, int count, int *out_pipe) {
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        close(ends[0]);
        write_batches(path, tag, count, ends[1]);
    }
    close(ends[1]);
    *out_pipe = ends[0];
    return child;
}

static int count_bytes(int pipe) {
    char buffer[256];
    int count = 0;
    for (ssize_t size; (size = read(pipe, buffer, sizeof(buffer))) > 0;) {
        count += (int)size;
    }
    close(pipe);
    return count;
}

static int64_t number_of(const char *path, uint8_t tag) {
    char sql[128];
    snprintf(sql, sizeof(sql),
             "SELECT coalesce(sum(number), 0) FROM cfa_item WHERE id = "
             "x'010000000000000000000000000000%02x'",
             (unsigned)tag);
    return book_query(path, sql);
}

/* Both count up the same row: a lost update would show. */
START_TEST(processes_that_write_one_row_lose_nothing) {
    enum { BATCHES = 300 };
    const char *path = book_path("book.db");
    pid_t children[WRITERS];
    int pipes[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        children[i] = start_writer(path, 1, BATCHES, &pipes[i]);
    }
    for (int i = 0; i < WRITERS; i++) {
        int result;
        ck_assert_int_eq(count_bytes(pipes[i]), BATCHES);
        ck_assert_int_eq(waitpid(children[i], &result, 0), children[i]);
        ck_assert_int_eq(result, 0);
    }
    ck_assert_int_eq(number_of(path, 1), WRITERS * BATCHES);
    ck_assert_int_eq(book_audit(path), 2 * WRITERS * BATCHES);
}
END_TEST

/* The point is random because it depends on the machine's load; the number of acknowledged batches
 * before it is drawn, so that kills fall into opening, migrating, writing and checkpointing. */
START_TEST(a_writer_killed_at_any_point_leaves_a_whole_book) {
    const char *path = book_path("book.db");
    int64_t acknowledged[WRITERS] = { 0 };
    srand(20261122);
    for (int cycle = 0; cycle < 20; cycle++) {
        pid_t children[WRITERS];
        int pipes[WRITERS];
        for (int i = 0; i < WRITERS; i++) {
            children[i] = start_writer(path, (uint8_t)(i + 1), 1000000, &pipes[i]);
        }
        int before = cycle < 3 ? 0 : rand() % 150;
        for (int i = 0; i < before; i++) {
            char byte;
            ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
        }
        for (int i = 0; i < WRITERS; i++) {
            ck_assert_int_eq(kill(children[i], SIGKILL), 0);
        }
        for (int i = 0; i < WRITERS; i++) {
            int result;
            ck_assert_int_eq(waitpid(children[i], &result, 0), children[i]);
            ck_assert(WIFSIGNALED(result));
            acknowledged[i] += count_bytes(pipes[i]) + (i == 0 ? before : 0);
        }
        if (book_query(path, "SELECT count(*) FROM sqlite_master WHERE name = 'cfa_schema'") == 0) {
            continue; /* killed before it was made */
        }
        book_audit(path);
        for (int i = 0; i < WRITERS; i++) {
            int64_t found = number_of(path, (uint8_t)(i + 1));
            /* The last one may be committed and not yet acknowledged. */
            ck_assert_int_ge(found, acknowledged[i]);
            ck_assert_int_le(found, acknowledged[i] + 1);
            acknowledged[i] = found;
        }
    }
    ck_assert_int_gt(acknowledged[0], 0);
}
END_TEST

/* A process that dies inside a transaction gives the lock back by dying. */
START_TEST(a_writer_killed_inside_a_transaction_blocks_nobody) {
    int ends[2];
    int64_t now_us;
    cfa_storage storage = book_open(NULL);
    const char *path = book_path("book.db");
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        cfa_storage other;
        cfa_session *session;
        if (cfa_sqlite_storage_new(&other, path, NULL) == CFA_OK &&
            other.ops->migrate(other.self, &schema_one) == CFA_OK &&
            other.ops->session_open(other.self, CFA_SESSION_WRITE, &session) == CFA_OK &&
            other.ops->begin(session, CFA_SESSION_WRITE, 0, &now_us) == CFA_OK &&
            write(ends[1], "+", 1) == 1) {
            pause();
        }
        _exit(1);
    }
    char byte;
    bool from_commit;
    ck_assert_int_eq(read(ends[0], &byte, 1), 1);
    cfa_session *session = book_session(&storage, CFA_SESSION_WRITE);
    ck_is(storage.ops->begin(session, CFA_SESSION_WRITE, -1, &now_us), CFA_EBUSY);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_ok(book_batch(&storage, session, 1, &from_commit));
    storage.ops->session_close(session);
    book_close(&storage);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

int main(int argc, char **argv) {
    const TTest *const tests[] = {
        processes_that_write_one_row_lose_nothing,
        a_writer_killed_at_any_point_leaves_a_whole_book,
        a_writer_killed_inside_a_transaction_blocks_nobody,
    };
    return book_main(argc, argv, "sqlite_kill", tests, sizeof(tests) / sizeof(tests[0]));
}
