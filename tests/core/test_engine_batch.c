/*
 * test_engine_batch.c - many commands, one commit: each caller gets its own answer, whatever the
 * others, the store or the clock do; what is in doubt is found out before anybody is told.
 */
#include "support/book.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/engine/engine.h"
#include "core/records.h"

#define CROWD 256

/* ---- a store whose saves and commits the test watches ---------------------------------------- */

static struct {
    const cfa_storage_ops *inner;
    cfa_storage_ops ops;
    int64_t poisoned_minor; /* a save with such a pledge is refused */
    bool gated;             /* commits wait for `go` */
    sem_t entered, go;
} watch;

static cfa_status watched_save(cfa_session *session, const cfa_save *save,
                               int64_t *out_first_position) {
    for (size_t i = 0; i < save->change_count; i++) {
        const cfa_change *change = &save->changes[i];
        if (watch.poisoned_minor != 0 && change->kind == &cfa__pledge_kind &&
            ((const cfa__pledge *)change->record)->amount_minor == watch.poisoned_minor)
            return cfa_error_set(CFA_ERANGE, "storage.watch", "amount", 0, "poison");
    }
    return watch.inner->save(session, save, out_first_position);
}

static cfa_status watched_commit(cfa_session *session) {
    if (__atomic_load_n(&watch.gated, __ATOMIC_SEQ_CST)) {
        sem_post(&watch.entered);
        while (sem_wait(&watch.go) != 0)
            continue;
    }
    return watch.inner->commit(session);
}

static void book_watch(struct book *book) {
    memset(&watch, 0, sizeof watch);
    watch.inner = book->storage.ops;
    watch.ops = *watch.inner;
    watch.ops.save = watched_save;
    watch.ops.commit = watched_commit;
    sem_init(&watch.entered, 0, 0);
    sem_init(&watch.go, 0, 0);
    book->wrapped = (cfa_storage){ &watch.ops, book->storage.self };
    book->options.storage = &book->wrapped;
}

static void gate(bool closed) { __atomic_store_n(&watch.gated, closed, __ATOMIC_SEQ_CST); }

/* ---- one batch ------------------------------------------------------------------------------- */

static void begin(struct book *book, cfa_port *port, int token, const char *key, int64_t minor) {
    cfa_pledge_spec spec = gift(book, key, minor);
    spec.wait = CFA_WAIT_COMMIT;
    ck_assert_int_eq(cfa_pledge_create_begin(port, (uint64_t)token, &spec), CFA_OK);
}

static cfa_completion *fetch(cfa_port *port) {
    cfa_completion *completion;
    ck_assert_int_eq(cfa_port_next(&completion, port, 20000), CFA_OK);
    ck_assert_ptr_nonnull(completion);
    return completion;
}

static void lead(struct book *book) {
    int32_t done;
    ck_assert_int_eq(cfa_engine_tick(&done, book->engine, CFA_WORK_COMMANDS, 0), CFA_OK);
    ck_assert_int_eq(done, 1);
}

static void expect_one_guilty(struct book *book, cfa_port *port, int guilty, cfa_status wanted,
                              const char *origin) {
    for (int i = 0; i < CROWD; i++) {
        cfa_completion *completion = fetch(port);
        cfa_error error = CFA_ERROR_INIT;
        bool good = cfa_completion_token(completion) != (uint64_t)guilty;
        ck_assert_int_eq(cfa_completion_status(completion), good ? CFA_OK : wanted);
        if (!good) {
            ck_assert_int_eq(cfa_completion_error(&error, completion), CFA_OK);
            ck_assert_int_eq(error.status, wanted);
            ck_assert_str_eq(error.origin, origin);
        }
        cfa_completion_free(completion);
    }
    ck_assert_int_eq(rows_of(book, "pledge"), CROWD - 1);
}

START_TEST(one_refused_command_fails_alone_among_255) {
    struct book book;
    cfa_port *port;
    book_prepare(&book, _i);
    book_start(&book);
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    int64_t batches = atomic_load(&book.engine->statistics.batches);
    for (int i = 0; i < CROWD; i++) {
        char key[16];
        snprintf(key, sizeof key, "c%d", i);
        cfa_pledge_spec spec = gift(&book, key, 100);
        spec.wait = CFA_WAIT_COMMIT;
        if (i == 77)
            spec.campaign_id = "cmp_01arz3ndektsv4rrffq69g5fav";
        ck_assert_int_eq(cfa_pledge_create_begin(port, (uint64_t)i, &spec), CFA_OK);
    }
    lead(&book);
    expect_one_guilty(&book, port, 77, CFA_ENOTFOUND, "core.pledge");
    ck_assert_int_eq(atomic_load(&book.engine->statistics.batches), batches + 1);
    cfa_port_free(port);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(one_command_that_the_store_refuses_fails_alone_among_255) {
    struct book book;
    cfa_port *port;
    book_prepare(&book, _i);
    book_watch(&book);
    book_start(&book);
    watch.poisoned_minor = 666;
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    for (int i = 0; i < CROWD; i++) {
        char key[16];
        snprintf(key, sizeof key, "c%d", i);
        begin(&book, port, i, key, i == 200 ? 666 : 100);
    }
    lead(&book);
    expect_one_guilty(&book, port, 200, CFA_ERANGE, "storage.watch");
    cfa_port_free(port);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_key_twice_in_one_batch_is_one_pledge_and_one_replay) {
    struct book book;
    cfa_port *port;
    book_open(&book, _i);
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    begin(&book, port, 0, "twin", 100);
    begin(&book, port, 1, "twin", 100);
    begin(&book, port, 2, "twin", 101);
    lead(&book);
    char id[CFA_ID_TEXT_SIZE] = "";
    for (int i = 0; i < 3; i++) {
        cfa_completion *completion = fetch(port);
        ck_assert_uint_eq(cfa_completion_token(completion), (uint64_t)i);
        cfa_pledge *pledge = cfa_completion_pledge(completion);
        if (i == 2) {
            cfa_error error = CFA_ERROR_INIT;
            ck_assert_int_eq(cfa_completion_status(completion), CFA_EKEYREUSE);
            ck_assert_int_eq(cfa_completion_error(&error, completion), CFA_OK);
            ck_assert_str_eq(error.field, "amount.minor");
            ck_assert_ptr_null(pledge);
        } else {
            ck_assert_int_eq(cfa_pledge_replayed(pledge) != 0, i == 1);
            if (i == 1)
                ck_assert_str_eq(cfa_pledge_id(pledge), id);
            memcpy(id, cfa_pledge_id(pledge), sizeof id);
        }
        cfa_pledge_free(pledge);
        cfa_completion_free(completion);
    }
    book_settle(&book);
    ck_assert_int_eq(rows_of(&book, "pledge"), 1);
    ck_assert_int_eq(play_books_of(&book).intent_count, 1);
    cfa_port_free(port);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(webhooks_of_one_payment_in_one_batch_act_one_after_the_other) {
    struct book book;
    cfa_port *port;
    book_open(&book, _i);
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    cfa_pledge *pledge = pledge_make(&book, "paid", 100);
    ck_assert_int_eq(cfa_play_confirm(book.play, cfa_pledge_client_secret(pledge), "pm_ok"),
                     CFA_OK);
    int64_t batches = atomic_load(&book.engine->statistics.batches);
    int count = 0;
    for (;; count += 2) {
        char *signature, *body;
        ck_assert_int_eq(cfa_play_webhook_take(&signature, &body, book.play), CFA_OK);
        if (body == NULL)
            break;
        cfa_slice header = { signature, strlen(signature) }, bytes = { body, strlen(body) };
        for (int twice = 0; twice < 2; twice++) {
            ck_assert_int_eq(
                cfa_webhook_receive_begin(port, (uint64_t)(count + twice), header, bytes), CFA_OK);
        }
        cfa_free(signature);
        cfa_free(body);
    }
    ck_assert_int_ge(count, 2);
    lead(&book);
    ck_assert_int_eq(atomic_load(&book.engine->statistics.batches), batches + 1);
    for (int i = 0; i < count; i++) {
        cfa_completion *completion = fetch(port);
        ck_assert_int_eq(cfa_completion_status(completion), CFA_OK);
        cfa_webhook_verdict verdict = cfa_completion_webhook(completion);
        if (cfa_completion_token(completion) % 2 == 1)
            ck_assert_int_eq(verdict, CFA_WEBHOOK_DUPLICATE);
        else
            ck_assert(verdict == CFA_WEBHOOK_APPLIED || verdict == CFA_WEBHOOK_STALE);
        cfa_completion_free(completion);
    }
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(totals_of(&book).raised_minor, 100);
    cfa_pledge_free(pledge);
    cfa_port_free(port);
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- limits and deadlines -------------------------------------------------------------------- */

START_TEST(a_full_queue_refuses_and_changes_nothing) {
    struct book book;
    cfa_port *port;
    book_prepare(&book, _i);
    book.options.queue_limit = 4;
    book_start(&book);
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    char key[16];
    for (int i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "q%d", i);
        begin(&book, port, i, key, 100);
    }
    cfa_pledge_spec spec = gift(&book, "q4", 100);
    expect_error(cfa_pledge_create_begin(port, 4, &spec), CFA_EQUEUE, NULL);
    cfa_pledge *untouched;
    expect_error(cfa_pledge_create(&untouched, book.engine, &spec), CFA_EQUEUE, NULL);
    lead(&book);
    for (int i = 0; i < 4; i++)
        cfa_completion_free(fetch(port));
    ck_assert_int_eq(rows_of(&book, "pledge"), 4);
    cfa_pledge_free(pledge_make(&book, "q4", 100));
    cfa_port_free(port);
    audit(&book);
    book_close(&book);
}
END_TEST

struct caller {
    struct book *book;
    const char *key;
    int32_t timeout_ms;
    pthread_t thread;
    cfa_status status;
    bool replayed;
};

static void *call(void *argument) {
    struct caller *caller = argument;
    cfa_pledge_spec spec = gift(caller->book, caller->key, 100);
    spec.wait = CFA_WAIT_COMMIT;
    spec.timeout_ms = caller->timeout_ms;
    cfa_pledge *pledge = NULL;
    caller->status = cfa_pledge_create(&pledge, caller->book->engine, &spec);
    caller->replayed = pledge != NULL && cfa_pledge_replayed(pledge);
    cfa_pledge_free(pledge);
    return NULL;
}

static void start_call(struct caller *caller) {
    ck_assert_int_eq(pthread_create(&caller->thread, NULL, call, caller), 0);
}

static void await_queued(struct book *book, size_t count) {
    size_t queued = 0;
    while (queued != count) {
        sched_yield();
        pthread_mutex_lock(&book->engine->lock);
        queued = book->engine->lanes[0].count;
        pthread_mutex_unlock(&book->engine->lock);
    }
}

START_TEST(a_deadline_takes_back_what_is_queued_and_doubts_what_is_running) {
    struct book book;
    book_prepare(&book, _i);
    book_watch(&book);
    book_start(&book);
    gate(true);
    struct caller leader = { .book = &book, .key = "leader", .timeout_ms = 60000 };
    struct caller hasty = { .book = &book, .key = "hasty", .timeout_ms = 30 };
    start_call(&leader);
    sem_wait(&watch.entered); /* the leader stands in its commit */
    call(&hasty);
    ck_assert_int_eq(hasty.status, CFA_ETIMEOUT);

    /* Two more wait; the first of them will lead both, and stand in its commit while the other's
     * time runs out. */
    struct caller next = { .book = &book, .key = "next", .timeout_ms = 60000 };
    struct caller running = { .book = &book, .key = "running", .timeout_ms = 1000 };
    start_call(&next);
    await_queued(&book, 1);
    start_call(&running);
    await_queued(&book, 2);
    sem_post(&watch.go);
    sem_wait(&watch.entered);
    ck_assert_int_eq(pthread_join(running.thread, NULL), 0);
    ck_assert_int_eq(running.status, CFA_EINDOUBT);
    gate(false);
    sem_post(&watch.go);
    ck_assert_int_eq(pthread_join(leader.thread, NULL), 0);
    ck_assert_int_eq(pthread_join(next.thread, NULL), 0);
    ck_assert_int_eq(leader.status, CFA_OK);
    ck_assert_int_eq(next.status, CFA_OK);

    cfa_pledge *pledge;
    expect_error(cfa_pledge_find(&pledge, book.engine, NULL, "hasty"), CFA_ENOTFOUND, "key");
    running.timeout_ms = 60000;
    call(&running);
    ck_assert(running.status == CFA_OK && running.replayed);
    call(&hasty);
    ck_assert(hasty.status == CFA_OK && !hasty.replayed);
    book_settle(&book);
    ck_assert_int_eq(rows_of(&book, "pledge"), 4);
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- impatient callers ----------------------------------------------------------------------- */

#define IMPATIENT 24
#define ATTEMPTS 40

struct attempts {
    struct book *book;
    cfa_status statuses[IMPATIENT][ATTEMPTS];
};

static void attempt(void *user, int index) {
    struct attempts *attempts = user;
    uint32_t random = (uint32_t)index * 2654435761u + 1;
    for (int i = 0; i < ATTEMPTS; i++) {
        char key[24];
        snprintf(key, sizeof key, "i%d-%d", index, i);
        cfa_pledge_spec spec = gift(attempts->book, key, 100);
        random = random * 1664525u + 1013904223u;
        spec.timeout_ms = (random >> 20) % 5 == 0 ? -1 : 1 + (int32_t)((random >> 24) % 4);
        spec.wait = CFA_WAIT_COMMIT;
        cfa_pledge *pledge = NULL;
        attempts->statuses[index][i] = cfa_pledge_create(&pledge, attempts->book->engine, &spec);
        cfa_pledge_free(pledge);
    }
}

START_TEST(whoever_gives_up_early_is_told_the_truth) {
    static struct attempts attempts;
    struct book book;
    book_open(&book, _i);
    attempts.book = &book;
    together(IMPATIENT, attempt, &attempts);
    int64_t certain = 0, doubtful = 0;
    for (int i = 0; i < IMPATIENT * ATTEMPTS; i++) {
        cfa_status status = attempts.statuses[i / ATTEMPTS][i % ATTEMPTS];
        char key[24];
        snprintf(key, sizeof key, "i%d-%d", i / ATTEMPTS, i % ATTEMPTS);
        cfa_pledge *pledge = NULL;
        cfa_status found = cfa_pledge_find(&pledge, book.engine, NULL, key);
        cfa_pledge_free(pledge);
        if (status == CFA_OK)
            ck_assert_int_eq(found, CFA_OK);
        else if (status == CFA_ETIMEOUT)
            ck_assert_int_eq(found, CFA_ENOTFOUND);
        else
            ck_assert_int_eq(status, CFA_EINDOUBT);
        certain += status == CFA_OK;
        doubtful += status == CFA_EINDOUBT;
    }
    int64_t pledges = rows_of(&book, "pledge");
    ck_assert_int_ge(pledges, certain);
    ck_assert_int_le(pledges, certain + doubtful);
    ck_assert_int_gt(certain, 0);
    book_settle(&book);
    ck_assert_int_eq(play_books_of(&book).intent_count, pledges);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(closing_refuses_what_is_queued) {
    struct book book;
    cfa_port *port;
    book_open(&book, _i);
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    begin(&book, port, 0, "a", 100);
    begin(&book, port, 1, "b", 100);
    cfa_port_free(port);
    book_reopen(&book);
    ck_assert_int_eq(rows_of(&book, "pledge"), 0);
    cfa_pledge_free(pledge_make(&book, "a", 100));
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_forks_copy_of_an_engine_refuses_to_work) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge_free(pledge_make(&book, "before", 100));
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        cfa_pledge *pledge = NULL;
        cfa_totals *totals = NULL;
        cfa_pledge_spec spec = gift(&book, "child", 100);
        bool refused =
            cfa_pledge_create(&pledge, book.engine, &spec) == CFA_EMISUSE &&
            cfa_totals_get(&totals, book.engine, book.campaign_id, NULL) == CFA_EMISUSE &&
            cfa_engine_tick(NULL, book.engine, CFA_WORK_ALL, 0) == CFA_EMISUSE;
        cfa_engine_close(book.engine);
        _exit(refused ? 0 : 1);
    }
    int result;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    cfa_pledge_free(pledge_make(&book, "after", 100));
    ck_assert_int_eq(rows_of(&book, "pledge"), 2);
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- faults of the store --------------------------------------------------------------------- */

struct plan {
    bool armed, fired;
    int32_t only;        /* a kind of call; 0: any */
    int64_t nth, length; /* the n-th such call and those that follow */
    int64_t seen;
    int32_t action;
    cfa_status status;
};

static int32_t decide(void *user, int32_t call_kind, uint64_t number, cfa_status *out_status) {
    struct plan *plan = user;
    (void)number;
    if (!plan->armed || (plan->only != 0 && call_kind != plan->only) ||
        call_kind == CFA_FAULT_ROLLBACK)
        return CFA_FAULT_PASS;
    plan->seen++;
    if (plan->seen < plan->nth || plan->seen >= plan->nth + plan->length)
        return CFA_FAULT_PASS;
    plan->fired = true;
    *out_status = plan->status;
    return plan->action;
}

static void arm(struct plan *plan, int64_t nth) {
    plan->armed = true;
    plan->fired = false;
    plan->seen = 0;
    plan->nth = nth;
}

/* Every commit in turn has an unknown outcome: nobody notices, and nothing is done twice. */
static void sweep_doubt(int store, int32_t action) {
    bool fired = true;
    int64_t nth = 1;
    for (; fired; nth++) {
        struct book book;
        struct plan plan = { .only = CFA_FAULT_COMMIT, .length = 1, .action = action };
        arm(&plan, nth);
        book_prepare(&book, store);
        book_wrap(&book, decide, &plan);
        book_start(&book);
        cfa_pledge *pledge = NULL;
        cfa_status status = donate(&book, &pledge);
        ck_assert_msg(status == CFA_OK, "commit %lld: %s", (long long)nth, cfa_status_name(status));
        ck_assert(!cfa_pledge_replayed(pledge) && !cfa_pledge_pending(pledge));
        ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
        cfa_pledge_free(pledge);
        fired = plan.fired;
        plan.armed = false;
        ck_assert_int_eq(atomic_load(&book.engine->statistics.commits_in_doubt), fired ? 1 : 0);
        finish_donation(&book);
        book_close(&book);
    }
    ck_assert_int_gt(nth, 5);
}

START_TEST(a_commit_that_happened_though_it_failed_is_found_out) {
    sweep_doubt(_i, CFA_FAULT_DOUBT_DONE);
}
END_TEST

START_TEST(a_commit_in_doubt_that_did_not_happen_is_made_again) {
    sweep_doubt(_i, CFA_FAULT_DOUBT_NOT_DONE);
}
END_TEST

/* A whole batch whose commit happened though it failed: run again, each command must know its own
 * work. */
static void crowd_in_doubt(int store, int32_t action, int64_t length) {
    struct book book;
    struct plan plan = { .only = CFA_FAULT_COMMIT, .length = length, .action = action };
    cfa_port *port;
    book_prepare(&book, store);
    book_wrap(&book, decide, &plan);
    book_start(&book);
    cfa_pledge *pledge = pledge_make(&book, "paid", 100);
    ck_assert_int_eq(cfa_play_confirm(book.play, cfa_pledge_client_secret(pledge), "pm_ok"),
                     CFA_OK);
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    char *signature, *body;
    int webhooks = 0;
    for (;; webhooks++) {
        ck_assert_int_eq(cfa_play_webhook_take(&signature, &body, book.play), CFA_OK);
        if (body == NULL)
            break;
        cfa_slice header = { signature, strlen(signature) }, bytes = { body, strlen(body) };
        ck_assert_int_eq(cfa_webhook_receive_begin(port, 1000, header, bytes), CFA_OK);
        cfa_free(signature);
        cfa_free(body);
    }
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "c%d", i / 2); /* every key twice */
        begin(&book, port, i, key, 100);
    }
    arm(&plan, 1);
    lead(&book);
    ck_assert(plan.fired);
    plan.armed = false;
    for (int i = 0; i < 100 + webhooks; i++) {
        cfa_completion *completion = fetch(port);
        uint64_t token = cfa_completion_token(completion);
        ck_assert_int_eq(cfa_completion_status(completion), CFA_OK);
        cfa_pledge *made = cfa_completion_pledge(completion);
        if (token == 1000) {
            cfa_webhook_verdict verdict = cfa_completion_webhook(completion);
            ck_assert(verdict == CFA_WEBHOOK_APPLIED || verdict == CFA_WEBHOOK_STALE);
        } else {
            ck_assert_int_eq(cfa_pledge_replayed(made) != 0, token % 2 == 1);
        }
        cfa_pledge_free(made);
        cfa_completion_free(completion);
    }
    book_settle(&book);
    ck_assert_int_eq(rows_of(&book, "pledge"), 51);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(play_books_of(&book).intent_count, 51);
    cfa_pledge_free(pledge);
    cfa_port_free(port);
    audit(&book);
    book_close(&book);
}

START_TEST(a_whole_batch_in_doubt_gives_everybody_the_right_answer) {
    crowd_in_doubt(_i, CFA_FAULT_DOUBT_DONE, 1);
    crowd_in_doubt(_i, CFA_FAULT_DOUBT_NOT_DONE, 3);
}
END_TEST

START_TEST(doubt_that_does_not_end_is_told_to_the_caller) {
    struct book book;
    struct plan plan = { .only = CFA_FAULT_COMMIT,
                         .length = INT64_MAX / 2,
                         .action = CFA_FAULT_DOUBT_NOT_DONE };
    book_prepare(&book, _i);
    book_wrap(&book, decide, &plan);
    book_start(&book);
    arm(&plan, 1);
    cfa_pledge *pledge = NULL;
    expect_error(donate(&book, &pledge), CFA_EINDOUBT, NULL);
    ck_assert_ptr_null(pledge);
    plan.armed = false;
    ck_assert_int_eq(rows_of(&book, "pledge"), 0);
    finish_donation(&book);
    book_close(&book);
}
END_TEST

static void sweep_races(int store, cfa_status status, int64_t length) {
    bool fired = true;
    for (int64_t nth = 1; fired; nth++) {
        struct book book;
        struct plan plan = {
            .only = CFA_FAULT_SAVE, .length = length, .action = CFA_FAULT_FAIL, .status = status
        };
        book_prepare(&book, store);
        book_wrap(&book, decide, &plan);
        book_start(&book);
        arm(&plan, nth);
        cfa_pledge *pledge = NULL;
        ck_assert_int_eq(donate(&book, &pledge), CFA_OK);
        ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
        cfa_pledge_free(pledge);
        fired = plan.fired;
        plan.armed = false;
        finish_donation(&book);
        book_close(&book);
    }
}

START_TEST(a_lost_race_is_decided_again) {
    sweep_races(_i, CFA_EVERSION, 1);
    sweep_races(_i, CFA_EEXISTS, 4);
}
END_TEST

START_TEST(a_race_that_is_always_lost_is_told_as_busy) {
    struct book book;
    struct plan plan = { .only = CFA_FAULT_SAVE,
                         .length = INT64_MAX / 2,
                         .action = CFA_FAULT_FAIL,
                         .status = CFA_EVERSION };
    book_prepare(&book, _i);
    book_wrap(&book, decide, &plan);
    book_start(&book);
    arm(&plan, 1);
    cfa_pledge *pledge = NULL;
    expect_error(donate(&book, &pledge), CFA_EBUSY, NULL);
    plan.armed = false;
    ck_assert_int_eq(rows_of(&book, "pledge"), 0);
    finish_donation(&book);
    book_close(&book);
}
END_TEST

/* Each call in turn fails: TRANSIENT means that nothing was done, and the next call works. */
static void sweep_failures(int store, cfa_status status, int64_t length) {
    bool fired = true;
    for (int64_t nth = 1; fired; nth++) {
        struct book book;
        struct plan plan = { .length = length, .action = CFA_FAULT_FAIL, .status = status };
        book_prepare(&book, store);
        book_wrap(&book, decide, &plan);
        book_start(&book);
        arm(&plan, nth);
        cfa_pledge *pledge = NULL;
        cfa_status got = donate(&book, &pledge);
        fired = plan.fired;
        plan.armed = false;
        ck_assert_msg(got == CFA_OK || got == status ||
                          cfa_status_class_of(got) == CFA_CLASS_IN_DOUBT ||
                          (cfa_status_class_of(got) == CFA_CLASS_TRANSIENT && status != CFA_ENOMEM),
                      "call %lld failing with %s gave %s", (long long)nth, cfa_status_name(status),
                      cfa_status_name(got));
        expect_whole(&book, got, pledge, nth);
        cfa_pledge_free(pledge);
        finish_donation(&book);
        book_close(&book);
    }
}

START_TEST(each_storage_call_may_find_the_store_busy) { sweep_failures(_i, CFA_EBUSY, 1); }
END_TEST

START_TEST(each_storage_call_may_fail) {
    sweep_failures(_i, CFA_EIO, 1);
    sweep_failures(_i, CFA_EIO, 3);
}
END_TEST

START_TEST(each_storage_call_may_find_the_disk_full) { sweep_failures(_i, CFA_ENOSPACE, 1); }
END_TEST

START_TEST(each_storage_call_may_run_out_of_memory) { sweep_failures(_i, CFA_ENOMEM, 1); }
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine: batches");
#define PER_STORE(name) add_per_store(suite, #name, name)
    PER_STORE(one_refused_command_fails_alone_among_255);
    PER_STORE(one_command_that_the_store_refuses_fails_alone_among_255);
    PER_STORE(a_key_twice_in_one_batch_is_one_pledge_and_one_replay);
    PER_STORE(webhooks_of_one_payment_in_one_batch_act_one_after_the_other);
    PER_STORE(a_full_queue_refuses_and_changes_nothing);
    PER_STORE(a_deadline_takes_back_what_is_queued_and_doubts_what_is_running);
    PER_STORE(whoever_gives_up_early_is_told_the_truth);
    PER_STORE(closing_refuses_what_is_queued);
    PER_STORE(a_forks_copy_of_an_engine_refuses_to_work);
    PER_STORE(a_commit_that_happened_though_it_failed_is_found_out);
    PER_STORE(a_commit_in_doubt_that_did_not_happen_is_made_again);
    PER_STORE(a_whole_batch_in_doubt_gives_everybody_the_right_answer);
    PER_STORE(doubt_that_does_not_end_is_told_to_the_caller);
    PER_STORE(a_lost_race_is_decided_again);
    PER_STORE(a_race_that_is_always_lost_is_told_as_busy);
    PER_STORE(each_storage_call_may_find_the_store_busy);
    PER_STORE(each_storage_call_may_fail);
    PER_STORE(each_storage_call_may_find_the_disk_full);
    PER_STORE(each_storage_call_may_run_out_of_memory);
    return run_suite(suite, argc, argv);
}
