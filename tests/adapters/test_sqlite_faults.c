/*
 * test_sqlite_faults.c - every I/O call and every allocation fails once, or from then on. Then: the
 * status is of a clear class, what it says is true for the running process and after a crash,
 * nothing leaks, and the same session serves again when the fault is gone.
 */
#include "adapters/fault_vfs.h"
#include "adapters/sqlite_book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---------------------------------------------------------------------------------- */

static int64_t live_blocks; /* of the library */
static int64_t fail_at;     /* the n-th allocation from now fails; 0: none does */
static bool allocation_failed;

static bool allocation_fails(void) {
    if (fail_at > 0 && --fail_at == 0) {
        allocation_failed = true;
        return true;
    }
    return false;
}

static void *count_allocate(void *user, size_t size) {
    (void)user;
    void *memory = allocation_fails() ? NULL : malloc(size);
    live_blocks += memory != NULL;
    return memory;
}

static void *count_reallocate(void *user, void *memory, size_t size) {
    (void)user;
    if (allocation_fails()) {
        return NULL;
    }
    void *moved = realloc(memory, size);
    live_blocks += memory == NULL && moved != NULL;
    return moved;
}

static void count_release(void *user, void *memory) {
    (void)user;
    live_blocks -= memory != NULL;
    free(memory);
}

static sqlite3_mem_methods sqlite_memory;

static void *sqlite_allocate(int size) {
    return allocation_fails() ? NULL : sqlite_memory.xMalloc(size);
}

static void *sqlite_reallocate(void *memory, int size) {
    return allocation_fails() ? NULL : sqlite_memory.xRealloc(memory, size);
}

/* Before anything else in a test. */
static void watch_memory(bool sqlite_too) {
    const cfa_allocator counting = {
        sizeof(cfa_allocator), NULL, count_allocate, count_reallocate, count_release,
    };
    ck_ok(cfa_allocator_set(&counting));
    if (sqlite_too) {
        ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory), SQLITE_OK);
        sqlite3_mem_methods failing = sqlite_memory;
        failing.xMalloc = sqlite_allocate;
        failing.xRealloc = sqlite_reallocate;
        ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &failing), SQLITE_OK);
        /* Small objects have a pool of their own, which would hide most allocations. */
        ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);
    }
    fault_vfs_register();
}

/* ---- the scenario ---------------------------------------------------------------------------- */

enum step { NEW, MIGRATE, SESSION, FIRST, SECOND, MANY, MAINTAIN, THIRD, READER, CHANGES, DONE };

static const char *const step_names[] = {
    "storage_new", "migrate",     "session_open", "first batch", "second batch", "many rows",
    "maintain",    "third batch", "reader",       "changes",     "done",
};

typedef struct scenario {
    cfa_storage storage;
    cfa_session *writer, *reader;
    int32_t wal_limit_pages; /* few, so that checkpoints are in the sweep */
    int64_t acknowledged;
    uint8_t tries_of_many;
    enum step step; /* that failed */
    bool from_commit;
    cfa_status status;
} scenario;

static cfa_status open_all(scenario *run, enum step step) {
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    options.vfs = "fault";
    options.wal_limit_pages = run->wal_limit_pages;
    options.busy_timeout_ms = 20;
    switch (step) {
    case NEW: return cfa_sqlite_storage_new(&run->storage, book_path("book.db"), &options);
    case MIGRATE: return run->storage.ops->migrate(run->storage.self, &schema_one);
    default:
        return run->storage.ops->session_open(run->storage.self, CFA_SESSION_WRITE, &run->writer);
    }
}

static cfa_status read_something(scenario *run) {
    cfa_arena *arena;
    int64_t now_us;
    cfa_query query = { &fact_kind, 0, 0, 0, 100, 0, NULL, NULL, 0 };
    const cfa_storage_ops *ops = run->storage.ops;
    cfa_status status = run->reader != NULL
                            ? CFA_OK
                            : ops->session_open(run->storage.self, CFA_SESSION_READ, &run->reader);
    if (status != CFA_OK) {
        return status;
    }
    status = cfa_arena_new(&arena);
    if (status != CFA_OK) {
        return status;
    }
    status = ops->begin(run->reader, CFA_SESSION_READ, 0, &now_us);
    if (status == CFA_OK) {
        status = ops->load(run->reader, &query, 1, arena);
        if (status == CFA_OK) {
            ck_assert_int_eq(query.count, run->acknowledged * 2);
            status = ops->commit(run->reader);
        } else {
            ops->rollback(run->reader);
        }
    }
    cfa_arena_free(arena);
    return status;
}

/* Rows enough for one statement, each time new ones; they have no facts and are not counted. */
static cfa_status insert_many(scenario *run) {
    enum { ROWS = 6 };
    item rows[ROWS];
    cfa_change changes[ROWS];
    int64_t now_us;
    const cfa_storage_ops *ops = run->storage.ops;
    run->tries_of_many++;
    memset(rows, 0, sizeof(rows));
    for (size_t i = 0; i < ROWS; i++) {
        rows[i].id[0] = 2;
        rows[i].id[1] = run->tries_of_many;
        rows[i].id[15] = (uint8_t)i;
        changes[i] = (cfa_change){ &item_kind, CFA_CHANGE_INSERT, &rows[i], NULL };
    }
    cfa_save save = { changes, ROWS, NULL, 0, NULL, NULL, 0 };
    cfa_status status = ops->begin(run->writer, CFA_SESSION_WRITE, 0, &now_us);
    if (status != CFA_OK) {
        return status;
    }
    status = ops->save(run->writer, &save, NULL);
    if (status != CFA_OK) {
        ops->rollback(run->writer);
        return status;
    }
    run->from_commit = true;
    return ops->commit(run->writer);
}

static cfa_status take(scenario *run, enum step step) {
    int64_t version;
    run->from_commit = false;
    switch (step) {
    case NEW:
    case MIGRATE:
    case SESSION: return open_all(run, step);
    case FIRST:
    case SECOND:
    case THIRD: {
        cfa_status status = book_batch(&run->storage, run->writer, 1, &run->from_commit);
        run->acknowledged += status == CFA_OK;
        return status;
    }
    case MANY: return insert_many(run);
    case MAINTAIN: return run->storage.ops->maintain(run->writer);
    case READER: return read_something(run);
    default: return run->storage.ops->changes(run->reader, &version);
    }
}

static void play(scenario *run, enum step from) {
    for (enum step step = from; step < DONE; step++) {
        run->status = take(run, step);
        if (run->status != CFA_OK) {
            run->step = step;
            return;
        }
    }
    run->step = DONE;
}

static void end(scenario *run) {
    if (run->reader != NULL) {
        run->storage.ops->session_close(run->reader);
    }
    if (run->writer != NULL) {
        run->storage.ops->session_close(run->writer);
    }
    if (run->storage.ops != NULL) {
        book_close(&run->storage);
    }
}

/* ---- judgement ------------------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to) {
    char old[128], new[128], buffer[65536];
    snprintf(old, sizeof(old), "%s", book_path(from));
    snprintf(new, sizeof(new), "%s", book_path(to));
    remove(new);
    FILE *in = fopen(old, "rb");
    if (in == NULL) {
        return;
    }
    FILE *out = fopen(new, "wb");
    ck_assert_ptr_nonnull(out);
    for (size_t size; (size = fread(buffer, 1, sizeof(buffer), in)) > 0;) {
        ck_assert_uint_eq(fwrite(buffer, 1, size, out), size);
    }
    fclose(in);
    ck_assert_int_eq(fclose(out), 0);
}

/* The number of batches that a process which starts after a crash at this moment would find. */
static int64_t batches_after_crash(void) {
    copy_file("book.db", "crash.db");
    copy_file("book.db-wal", "crash.db-wal");
    remove(book_path("crash.db-shm"));
    if (book_query(book_path("crash.db"),
                   "SELECT count(*) FROM sqlite_master WHERE name = 'cfa_fact'") == 0) {
        return 0;
    }
    int64_t many =
        book_query(book_path("crash.db"), "SELECT count(*) FROM cfa_item WHERE number = 0");
    ck_assert_int_eq(many % 6, 0);
    int64_t facts = book_audit(book_path("crash.db"));
    ck_assert_int_eq(facts % 2, 0);
    return facts / 2;
}

static bool is_clear(const scenario *run, cfa_status expected) {
    bool in_doubt_is_right = run->from_commit || run->step == MIGRATE;
    return run->status == expected || (run->status == CFA_EINDOUBT && in_doubt_is_right) ||
           run->status == CFA_EBUSY || run->status == CFA_EIO ||
           (run->status == CFA_EREADONLY && run->step <= SESSION) ||
           (run->status == CFA_EREADONLY && expected == CFA_EIO);
}

static void judge(scenario *run, int64_t n, cfa_status expected) {
    const char *step = step_names[run->step];
    int64_t found = batches_after_crash();
    if (run->status != CFA_OK) {
        ck_assert_msg(is_clear(run, expected), "fault %lld in %s: %s: %s", (long long)n, step,
                      cfa_status_name(run->status), book_message());
    }
    bool may_be_there = run->status == CFA_EINDOUBT && run->step != MIGRATE;
    ck_assert_msg(found == run->acknowledged || (may_be_there && found == run->acknowledged + 1),
                  "fault %lld in %s: %s, but %lld of %lld batches are there after a crash",
                  (long long)n, step, cfa_status_name(run->status), (long long)found,
                  (long long)run->acknowledged);
}

/* The fault is gone: everything works again, on the same sessions where there are any. */
static void resume(scenario *run, int64_t n) {
    if (run->step != DONE) {
        enum step from = run->step;
        if (run->status == CFA_EINDOUBT && run->from_commit) {
            run->acknowledged = book_batches(&run->storage, run->writer, 1);
        }
        play(run, from);
        ck_assert_msg(run->step == DONE, "after fault %lld in %s: %s: %s", (long long)n,
                      step_names[run->step], cfa_status_name(run->status), book_message());
    }
    int64_t acknowledged = run->acknowledged;
    end(run);
    ck_assert_int_eq(book_audit(book_path("book.db")), acknowledged * 2);
}

static void remove_books(void) {
    static const char *const names[] = { "book.db", "book.db-wal", "book.db-shm",
                                         "book.db-journal" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        remove(book_path(names[i]));
    }
}

/* Fail the n-th I/O call for each n until a run passes untouched. */
static void sweep_io(uint32_t mask, int code, bool stuck, cfa_status expected) {
    int64_t blocks = -1, n = 0, bytes = 0;
    bool fired = true;
    watch_memory(false);
    while (fired) {
        scenario run = { .wal_limit_pages = 4 };
        n++;
        remove_books();
        fault_vfs_arm(mask, n, code, stuck);
        play(&run, NEW);
        fired = fault_vfs_fired();
        fault_vfs_disarm();
        judge(&run, n, expected);
        resume(&run, n);
        if (blocks < 0) {
            blocks = live_blocks;
            bytes = sqlite3_memory_used();
        }
        ck_assert_msg(live_blocks == blocks && sqlite3_memory_used() == bytes, "fault %lld leaks",
                      (long long)n);
    }
    ck_assert_int_gt(n, 3);
}

START_TEST(an_io_error_once_on_any_call) { sweep_io(FAULT_ALL, SQLITE_IOERR, false, CFA_EIO); }
END_TEST

START_TEST(io_errors_from_any_call_on) {
    sweep_io(FAULT_ALL & ~(uint32_t)FAULT_OPEN, SQLITE_IOERR, true, CFA_EIO);
}
END_TEST

START_TEST(a_full_disk_on_any_write) { sweep_io(FAULT_WRITE, SQLITE_FULL, false, CFA_ENOSPACE); }
END_TEST

START_TEST(a_full_disk_from_any_write_on) {
    sweep_io(FAULT_WRITE, SQLITE_FULL, true, CFA_ENOSPACE);
}
END_TEST

START_TEST(a_lock_is_refused_on_any_call) { sweep_io(FAULT_LOCK, SQLITE_BUSY, false, CFA_EBUSY); }
END_TEST

/* The reason why a failed COMMIT is in doubt: this one is there after a crash, complete. */
START_TEST(a_commit_whose_sync_failed_may_come_back) {
    scenario run = { .wal_limit_pages = 1000 };
    watch_memory(false);
    for (enum step step = NEW; step <= FIRST; step++) {
        ck_ok(take(&run, step));
    }
    fault_vfs_arm(FAULT_SYNC, 1, SQLITE_IOERR, false);
    ck_is(take(&run, SECOND), CFA_EINDOUBT);
    ck_assert(run.from_commit);
    ck_assert_ptr_nonnull(strstr(book_message(), "COMMIT: disk I/O error"));
    ck_assert_int_eq(batches_after_crash(), 2);
    /* Whether the running process sees it depends on who else has the file open; it counts once in
     * any case. */
    run.acknowledged = book_batches(&run.storage, run.writer, 1);
    ck_assert(run.acknowledged == 1 || run.acknowledged == 2);
    ck_ok(take(&run, THIRD));
    ck_assert_int_eq(batches_after_crash(), run.acknowledged);
    end(&run);
}
END_TEST

/* Opened anew, the file would show what only the kernel's cache has, and what is acknowledged
 * behind it would be lost with it in a power cut. */
START_TEST(a_connection_in_doubt_is_kept_whatever_fails_next) {
    scenario run = { .wal_limit_pages = 1000 };
    watch_memory(false);
    for (enum step step = NEW; step <= FIRST; step++) {
        ck_ok(take(&run, step));
    }
    fault_vfs_arm(FAULT_SYNC, 1, SQLITE_IOERR, false);
    ck_is(take(&run, SECOND), CFA_EINDOUBT);
    fault_vfs_arm(FAULT_LOCK, 1, SQLITE_IOERR, false);
    ck_is(take(&run, SECOND), CFA_EIO);
    ck_assert(fault_vfs_fired() && !run.from_commit);
    ck_assert_int_eq(batches_after_crash(), 2);
    ck_assert_int_eq(book_batches(&run.storage, run.writer, 1), 1);
    ck_ok(take(&run, THIRD));
    ck_assert_int_eq(batches_after_crash(), 2);
    fault_vfs_arm(FAULT_LOCK, 1, SQLITE_IOERR, false);
    ck_is(take(&run, THIRD), CFA_EIO); /* out of doubt, it is replaced again */
    ck_ok(take(&run, THIRD));
    end(&run);
    ck_assert_int_eq(book_audit(book_path("book.db")), 6);
}
END_TEST

/* ---- memory sweeps --------------------------------------------------------------------------- */

static void sweep_memory(bool sqlite_too, int64_t stride) {
    int64_t blocks = -1, bytes = 0;
    watch_memory(sqlite_too);
    allocation_failed = true;
    for (int64_t n = 1; allocation_failed; n += n < 400 ? 1 : stride) {
        scenario run = { .wal_limit_pages = 4 };
        remove_books();
        allocation_failed = false;
        fail_at = n;
        play(&run, NEW);
        fail_at = 0;
        judge(&run, n, CFA_ENOMEM);
        resume(&run, n);
        if (blocks < 0) {
            blocks = live_blocks;
            bytes = sqlite3_memory_used();
        }
        ck_assert_msg(live_blocks == blocks && sqlite3_memory_used() == bytes,
                      "allocation %lld leaks", (long long)n);
    }
}

START_TEST(any_allocation_of_the_library_fails) { sweep_memory(false, 1); }
END_TEST

START_TEST(any_allocation_of_sqlite_fails) { sweep_memory(true, 7); }
END_TEST

int main(int argc, char **argv) {
    const TTest *const tests[] = {
        an_io_error_once_on_any_call,
        io_errors_from_any_call_on,
        a_full_disk_on_any_write,
        a_full_disk_from_any_write_on,
        a_lock_is_refused_on_any_call,
        a_commit_whose_sync_failed_may_come_back,
        a_connection_in_doubt_is_kept_whatever_fails_next,
        any_allocation_of_the_library_fails,
        any_allocation_of_sqlite_fails,
    };
    return book_main(argc, argv, "sqlite_faults", tests, sizeof(tests) / sizeof(tests[0]));
}
