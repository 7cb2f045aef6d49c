/*
 * storage_sessions.c - tests of storages: several sessions at once, in one thread and in several.
 *
 * Threads return what they saw; nothing waits for a time to pass.
 */
#include "testkit/storage_kinds.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { TRIES_MAX = 20000, INCREMENTS = 200, PAIRS = 60 };

static const cfa__counter first_value = { { "x", 1 }, 0, 1 };

static cfa_query counter_query(const cfa__counter *key) {
    cfa_query query = { &cfa__counter_kind, 0, 1, 0, 1, 0, key, NULL, 0 };
    return query;
}

/* ---- one thread ------------------------------------------------------------------------------ */

/* Read the counter "x" inside the reader's open transaction. */
static int64_t read_inside(cfa__runner *runner, const cfa__bench *bench) {
    cfa_query query = counter_query(&first_value);
    CFA__CHECK_OK(runner, cfa__suite_load(bench, bench->reader, &query));
    CFA__CHECK_INT(runner, query.count, 1);
    return ((const cfa__counter *)query.records[0])->value;
}

void cfa__storage_test_snapshot(cfa__runner *runner, void *user) {
    cfa__bench *bench = user;
    const cfa_storage_ops *ops = bench->storage.ops;
    int64_t now_us = 0, first = 0;
    cfa__counter next = { { "x", 1 }, 1, 2 };
    cfa_change change = { &cfa__counter_kind, CFA_CHANGE_UPDATE, &next, &first_value };
    cfa_save save = { &change, 1, NULL, 0, NULL, NULL, 0 };
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, &cfa__counter_kind, &first_value));
    CFA__CHECK_OK(runner, ops->begin(bench->reader, CFA_SESSION_READ, 0, &now_us));
    CFA__CHECK_INT(runner, read_inside(runner, bench), 0);
    CFA__CHECK_OK(runner, ops->begin(bench->writer, CFA_SESSION_WRITE, -1, &now_us));
    CFA__CHECK_OK(runner, ops->save(bench->writer, &save, &first));
    CFA__CHECK_INT(runner, read_inside(runner, bench), 0);
    CFA__CHECK_OK(runner, ops->commit(bench->writer));
    CFA__CHECK_INT(runner, read_inside(runner, bench), 0);
    CFA__CHECK_OK(runner,
                  cfa__suite_write(bench, &cfa__counter_kind, CFA_CHANGE_DELETE, &next, &next));
    CFA__CHECK_INT(runner, read_inside(runner, bench), 0);
    CFA__CHECK_OK(runner, ops->commit(bench->reader));
    CFA__CHECK(runner, cfa__suite_find(runner, bench, &cfa__counter_kind, &first_value) == NULL);
}

void cfa__storage_test_busy(cfa__runner *runner, void *user) {
    cfa__bench *bench = user;
    const cfa_storage_ops *ops = bench->storage.ops;
    int64_t now_us = 0;
    cfa_session *other;
    CFA__CHECK_OK(runner, ops->begin(bench->writer, CFA_SESSION_WRITE, 0, &now_us));
    CFA__CHECK_OK(runner, ops->session_open(bench->storage.self, CFA_SESSION_WRITE, &other));
    cfa_status at_once = ops->begin(other, CFA_SESSION_WRITE, -1, &now_us);
    if (at_once == CFA_OK) { /* a store of many writers */
        ops->rollback(other);
    }
    cfa_status later = ops->begin(other, CFA_SESSION_WRITE, 20, &now_us);
    if (later == CFA_OK) {
        ops->rollback(other);
    }
    ops->rollback(bench->writer);
    cfa_status freed = ops->begin(other, CFA_SESSION_WRITE, -1, &now_us);
    if (freed == CFA_OK) {
        freed = ops->commit(other);
    }
    ops->session_close(other);
    CFA__CHECK(runner, at_once == CFA_OK || at_once == CFA_EBUSY);
    CFA__CHECK_STATUS(runner, later, at_once);
    CFA__CHECK_OK(runner, freed);
}

void cfa__storage_test_changes(cfa__runner *runner, void *user) {
    cfa__bench *bench = user;
    const cfa_storage_ops *ops = bench->storage.ops;
    if (ops->changes == NULL) {
        cfa__runner_skip(runner, "the adapter does not count changes");
    }
    int64_t last = 0, now = 0;
    cfa__counter counter = first_value;
    CFA__CHECK_OK(runner, ops->changes(bench->reader, &last));
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, &cfa__counter_kind, &counter));
    for (int i = 0; i < 3; i++) {
        CFA__CHECK_OK(runner, ops->changes(bench->reader, &now));
        CFA__CHECK(runner, now != last);
        last = now;
        cfa__counter next = counter;
        next.version++;
        CFA__CHECK_OK(runner, cfa__suite_write(bench, &cfa__counter_kind, CFA_CHANGE_UPDATE, &next,
                                               &counter));
        counter = next;
    }
}

/* ---- several threads ------------------------------------------------------------------------- */

struct worker {
    cfa__bench *bench;
    cfa_session *session;
    cfa_arena *arena;
    int count;         /* of what is to be done */
    atomic_bool *done; /* set by the writer at its end */
    cfa_status status;
    int broken; /* reader: snapshots that were not one moment */
    pthread_t thread;
};

static bool again(cfa_status status) {
    return cfa_status_class_of(status) == CFA_CLASS_TRANSIENT || status == CFA_EVERSION ||
           status == CFA_EEXISTS;
}

/* Raise each of `counters` by one, and write one event, in a transaction of its own. */
static cfa_status raise_all(struct worker *worker, const cfa__counter *keys, size_t count) {
    const cfa_storage_ops *ops = worker->bench->storage.ops;
    cfa_query queries[2];
    cfa__counter next[2];
    cfa_change changes[2];
    int64_t now_us = 0, first = 0;
    cfa_arena_reset(worker->arena);
    for (size_t i = 0; i < count; i++) {
        queries[i] = counter_query(&keys[i]);
    }
    cfa_status status = ops->begin(worker->session, CFA_SESSION_WRITE, 0, &now_us);
    if (status != CFA_OK) {
        return status;
    }
    status = ops->load(worker->session, queries, count, worker->arena);
    for (size_t i = 0; status == CFA_OK && i < count; i++) {
        if (queries[i].count != 1) {
            status = CFA_ECORRUPT;
            break;
        }
        next[i] = *(const cfa__counter *)queries[i].records[0];
        next[i].value++;
        next[i].version++;
        changes[i] =
            (cfa_change){ &cfa__counter_kind, CFA_CHANGE_UPDATE, &next[i], queries[i].records[0] };
    }
    cfa__entry entry = { 0, { 1 }, { NULL, 0 }, { "p", 1 } };
    void *events[] = { &entry };
    cfa_save save = { changes, count, NULL, 0, &cfa__entry_kind, events, 1 };
    if (status == CFA_OK) {
        status = ops->save(worker->session, &save, &first);
    }
    if (status != CFA_OK) {
        ops->rollback(worker->session);
        return status;
    }
    return ops->commit(worker->session);
}

static void raise_many(struct worker *worker, const cfa__counter *keys, size_t count) {
    int tries = 0;
    for (int i = 0; i < worker->count && worker->status == CFA_OK;) {
        cfa_status status = raise_all(worker, keys, count);
        if (status == CFA_OK) {
            i++;
        } else if (!again(status) || ++tries > TRIES_MAX) {
            worker->status = status;
        }
    }
}

static void *raise_one_counter(void *argument) {
    raise_many(argument, &first_value, 1);
    return NULL;
}

static const cfa__counter pair[2] = { { { "x", 1 }, 0, 1 }, { { "y", 1 }, 0, 1 } };

static void *raise_pair(void *argument) {
    struct worker *worker = argument;
    raise_many(worker, pair, 2);
    atomic_store(worker->done, true);
    return NULL;
}

/* Read both counters one after the other and the first again: all three must be of one moment. */
static cfa_status read_pair(struct worker *worker) {
    const cfa_storage_ops *ops = worker->bench->storage.ops;
    int64_t now_us = 0, values[3] = { 0, 0, 0 };
    cfa_arena_reset(worker->arena);
    cfa_status status = ops->begin(worker->session, CFA_SESSION_READ, 0, &now_us);
    if (status != CFA_OK) {
        return status;
    }
    for (int i = 0; i < 3 && status == CFA_OK; i++) {
        cfa_query query = counter_query(&pair[i % 2]);
        status = ops->load(worker->session, &query, 1, worker->arena);
        if (status == CFA_OK) {
            values[i] = query.count == 1 ? ((const cfa__counter *)query.records[0])->value : -1;
        }
    }
    if (status != CFA_OK) {
        ops->rollback(worker->session);
        return status;
    }
    worker->broken += values[0] != values[1] || values[0] != values[2];
    return ops->commit(worker->session);
}

static void *read_pairs(void *argument) {
    struct worker *worker = argument;
    bool last = false;
    while (worker->status == CFA_OK && !last) {
        last = atomic_load(worker->done);
        cfa_status status = read_pair(worker);
        if (status != CFA_OK && !again(status)) {
            worker->status = status;
        }
    }
    return NULL;
}

/* Run each worker in a thread of its own, with a session and an arena of its own. */
static void run_workers(cfa__runner *runner, cfa__bench *bench, struct worker *workers,
                        size_t count, const int32_t *modes, void *(*const *functions)(void *)) {
    const cfa_storage *storage = &bench->storage;
    for (size_t i = 0; i < count; i++) {
        workers[i].bench = bench;
        CFA__CHECK_OK(runner, cfa_arena_new(&workers[i].arena));
        CFA__CHECK_OK(runner,
                      storage->ops->session_open(storage->self, modes[i], &workers[i].session));
    }
    size_t started = 0;
    while (started < count && pthread_create(&workers[started].thread, NULL, functions[started],
                                             &workers[started]) == 0) {
        started++;
    }
    for (size_t i = 0; i < count; i++) {
        if (i < started) {
            pthread_join(workers[i].thread, NULL);
        }
        storage->ops->session_close(workers[i].session);
        cfa_arena_free(workers[i].arena);
    }
    CFA__CHECK_INT(runner, (int64_t)started, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        CFA__CHECK_STATUS(runner, workers[i].status, CFA_OK);
    }
}

static int64_t counter_value(cfa__runner *runner, cfa__bench *bench, const cfa__counter *key) {
    const cfa__counter *found = cfa__suite_find(runner, bench, &cfa__counter_kind, key);
    CFA__CHECK(runner, found != NULL);
    return found->value;
}

void cfa__storage_test_counters(cfa__runner *runner, void *user) {
    cfa__bench *bench = user;
    const int32_t modes[] = { CFA_SESSION_WRITE, CFA_SESSION_WRITE };
    void *(*const functions[])(void *) = { raise_one_counter, raise_one_counter };
    struct worker workers[2];
    memset(workers, 0, sizeof(workers));
    workers[0].count = workers[1].count = INCREMENTS;
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, &cfa__counter_kind, &first_value));
    run_workers(runner, bench, workers, 2, modes, functions);
    CFA__CHECK_INT(runner, counter_value(runner, bench, &first_value), 2 * INCREMENTS);
    cfa_query query = { &cfa__entry_kind, 0, 0, 0, 10000, 0, NULL, NULL, 0 };
    CFA__CHECK_OK(runner, cfa__suite_read(bench, &query));
    CFA__CHECK_INT(runner, query.count, 2 * INCREMENTS);
    for (int32_t i = 0; i < query.count; i++) {
        CFA__CHECK_INT(runner, ((const cfa__entry *)query.records[i])->position, i + 1);
    }
}

void cfa__storage_test_whole_commits(cfa__runner *runner, void *user) {
    cfa__bench *bench = user;
    const int32_t modes[] = { CFA_SESSION_WRITE, CFA_SESSION_READ };
    void *(*const functions[])(void *) = { raise_pair, read_pairs };
    atomic_bool done = false;
    struct worker workers[2];
    memset(workers, 0, sizeof(workers));
    workers[0].count = PAIRS;
    workers[0].done = workers[1].done = &done;
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, &cfa__counter_kind, &pair[0]));
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, &cfa__counter_kind, &pair[1]));
    run_workers(runner, bench, workers, 2, modes, functions);
    CFA__CHECK_INT(runner, workers[1].broken, 0);
    CFA__CHECK_INT(runner, counter_value(runner, bench, &pair[0]), PAIRS);
    CFA__CHECK_INT(runner, counter_value(runner, bench, &pair[1]), PAIRS);
}
