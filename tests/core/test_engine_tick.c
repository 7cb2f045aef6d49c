/*
 * test_engine_tick.c - a tick starts work, leaves, and comes back for what became of it: it never
 * waits for another thread's commit, wakes who must look, spins for nobody, and loses nothing.
 */
#include "core/flying.h"
#include "core/hooked.h"

#include <careforall/adapters/memory.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/engine/engine.h"

/* ---- a store whose commits the test holds up, or makes fail ------------------------------------ */

static struct {
    const cfa_storage_ops *inner;
    cfa_storage_ops ops;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool shut, overdue;
    int inside;
    atomic_bool fails;
    atomic_int commits;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static _Thread_local int commits_here;

static cfa_status gate_commit(cfa_session *session) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    commits_here++;
    gate.commits++;
    pthread_mutex_lock(&gate.lock);
    gate.inside++;
    pthread_cond_broadcast(&gate.changed);
    while (gate.shut) {
        if (pthread_cond_timedwait(&gate.changed, &gate.lock, &until) != 0) {
            gate.overdue = true;
            gate.shut = false;
        }
    }
    gate.inside--;
    pthread_mutex_unlock(&gate.lock);
    if (!gate.fails)
        return gate.inner->commit(session);
    gate.inner->rollback(session);
    return cfa_error_set(CFA_EIO, "storage.gate", NULL, 0, "the disk is gone");
}

static void gate_use(struct book *book) {
    gate.inner = book->storage.ops;
    gate.ops = *gate.inner;
    gate.ops.commit = gate_commit;
    book->wrapped = (cfa_storage){ &gate.ops, book->storage.self };
    book->options.storage = &book->wrapped;
}

static void gate_set(bool shut) {
    pthread_mutex_lock(&gate.lock);
    gate.shut = shut;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void gate_wait_inside(void) {
    pthread_mutex_lock(&gate.lock);
    while (gate.inside == 0)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

/* ---- a book with work of one kind that is due -------------------------------------------------- */

static const struct {
    uint32_t mask;
    const char *name;
} kinds[] = { { CFA_WORK_TOTALS, "totals" },
              { CFA_WORK_RELAY, "relay" },
              { CFA_WORK_CALLS, "calls" },
              { CFA_WORK_UPKEEP, "upkeep" } };

static struct book book;
static struct hooked wire;
static struct flying flying;
static cfa_sink sink;
static cfa_sink_binding binding;
static cfa_pledge *pledge;
static int32_t queue_limit;
static atomic_int steps_failed, calls_put_off; /* as logged */
static int64_t due_until;                      /* of the log: what totals and sinks are to reach */

static void count_log(void *self, const cfa_log_record *record) {
    (void)self;
    steps_failed += strcmp(record->event, "runner_step_failed") == 0;
    calls_put_off += strcmp(record->event, "call_put_off") == 0;
}

static void prepare(int store) {
    book_prepare(&book, store);
    book.platform.log = count_log;
    book.play_options.one_step = 1;
    book.options.queue_limit = queue_limit;
    gate_use(&book);
    ck_assert_int_eq(cfa_memory_sink_new(&sink), CFA_OK);
    binding = (cfa_sink_binding){ .name = "memory", .sink = sink };
    book.options.sinks = &binding;
    book.options.sink_count = 1;
}

static void open_due(int store, uint32_t mask) {
    prepare(store);
    hooked_use(&wire, &book, NULL);
    book_start(&book);
    if (mask == CFA_WORK_CALLS) {
        pledge = commit_only(&book, "due", 100);
    } else {
        pledge = pledge_make(&book, "due", 100);
        if (mask == CFA_WORK_UPKEEP)
            book_advance(&book, 31 * DAY_US);
    }
    due_until = atomic_load(&book.engine->head);
    commits_here = 0;
}

static bool is_done(uint32_t mask) {
    switch (mask) {
    case CFA_WORK_TOTALS: return atomic_load(&book.engine->projected) >= due_until;
    case CFA_WORK_RELAY: return cfa_memory_sink_size(&sink) >= (size_t)due_until;
    case CFA_WORK_CALLS: return state_of(book.engine, pledge) == CFA_PAYMENT_COMPLETED;
    default: return rows_of(&book, "answer") == 0;
    }
}

static int32_t tick(uint32_t mask, int32_t budget_ms) {
    int32_t done = 0;
    cfa_status status = cfa_engine_tick(&done, book.engine, mask, budget_ms);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    return done;
}

static void tick_until_done(uint32_t mask) {
    for (int i = 0; i < 1000 && !is_done(mask); i++)
        (void)tick(mask, 1);
    ck_assert(is_done(mask));
}

static bool is_readable(int descriptor, int timeout_ms) {
    struct pollfd look = { .fd = descriptor, .events = POLLIN };
    return poll(&look, 1, timeout_ms) == 1;
}

/* Everything is as it should be, and sinks have seen every event once. Time passes twice: a failure
 * that nobody had taken in yet makes the sink wait once more. */
static void close_whole(void) {
    cfa_pledge_free(pledge);
    pledge = NULL;
    for (int minute = 0; minute < 2; minute++) {
        book_advance(&book, MINUTE_US);
        book_settle(&book);
    }
    audit(&book);
    int64_t head = head_of(book.engine);
    book_settle(&book);
    ck_assert_uint_eq(cfa_memory_sink_size(&sink), (size_t)head);
    for (int64_t i = 0; i < head; i++)
        ck_assert_int_eq(cfa_memory_sink_at(&sink, (size_t)i)->position, i + 1);
    ck_assert(!gate.overdue);
    book_close(&book);
    sink.ops->close(sink.self);
}

/* A commit of a caller of its own. */
static void commit_something(void *user, int index) {
    static atomic_int number;
    (void)user;
    (void)index;
    char key[32];
    snprintf(key, sizeof key, "other-%d", atomic_fetch_add(&number, 1));
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    spec.key = key;
    spec.title = "Other";
    spec.currencies = "EUR";
    cfa_campaign *campaign;
    must(cfa_campaign_create(&campaign, book.engine, &spec) == CFA_OK);
    cfa_campaign_free(campaign);
}

static void *commit_main(void *user) {
    commit_something(user, 0);
    return NULL;
}

/* ---- never waiting ----------------------------------------------------------------------------- */

START_TEST(a_tick_returns_while_another_thread_is_inside_a_commit) {
    uint32_t mask = kinds[_i / STORES].mask;
    open_due(_i % STORES, mask);
    pthread_t thread;
    gate_set(true);
    ck_assert_int_eq(pthread_create(&thread, NULL, commit_main, NULL), 0);
    gate_wait_inside();
    for (int i = 0; i < 5; i++)
        (void)tick(mask, 2);
    ck_assert_int_eq(commits_here, 0);
    ck_assert(!is_done(mask));
    ck_assert_int_gt(cfa_engine_next_due_ms(book.engine, mask), 0);
    ck_assert(!gate.overdue);
    gate_set(false);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    tick_until_done(mask);
    close_whole();
}
END_TEST

START_TEST(all_kinds_at_once_do_not_wait_either) {
    open_due(_i, CFA_WORK_CALLS);
    pthread_t thread;
    gate_set(true);
    ck_assert_int_eq(pthread_create(&thread, NULL, commit_main, NULL), 0);
    gate_wait_inside();
    for (int i = 0; i < 5; i++)
        (void)tick(CFA_WORK_ALL, 2);
    ck_assert_int_gt(cfa_engine_next_due_ms(book.engine, CFA_WORK_ALL), 0);
    ck_assert(!gate.overdue);
    gate_set(false);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    for (size_t i = 0; i < COUNT(kinds) - 1; i++)
        tick_until_done(kinds[i].mask);
    close_whole();
}
END_TEST

/* ---- leaving every commit to others ------------------------------------------------------------ */

static void tick_plainly(void *user, int index) {
    int32_t done;
    (void)user;
    (void)index;
    must(cfa_engine_tick(&done, book.engine, CFA_WORK_COMMANDS, 0) == CFA_OK);
}

/* Callers go before background work: that has its turn after a streak of them. */
static void call_in_streaks(void *user, int index) {
    for (int i = 0; i <= CFA__FOREGROUND_STREAK; i++)
        commit_something(user, index);
}

static void leave_commits_to(int index, void (*others)(void *user, int index)) {
    uint32_t mask = kinds[index / STORES].mask;
    open_due(index % STORES, mask);
    for (int round = 0; round < 20 && !is_done(mask); round++) {
        int looks = 0;
        (void)tick(mask | CFA_WORK_NO_COMMIT, 0);
        while (cfa_engine_next_due_ms(book.engine, mask | CFA_WORK_NO_COMMIT) == 0) {
            ck_assert_int_lt(looks++, 5); /* it would spin */
            (void)tick(mask | CFA_WORK_NO_COMMIT, 0);
        }
        together(1, others, NULL);
    }
    ck_assert(is_done(mask));
    ck_assert_int_eq(commits_here, 0);
    close_whole();
}

START_TEST(what_a_tick_may_not_commit_is_committed_by_another_tick) {
    leave_commits_to(_i, tick_plainly);
}
END_TEST

START_TEST(what_a_tick_may_not_commit_is_committed_by_callers) {
    leave_commits_to(_i, call_in_streaks);
}
END_TEST

START_TEST(more_work_than_one_lease_takes_does_not_make_a_loop_spin) {
    open_due(_i, CFA_WORK_CALLS);
    for (int i = 0; i < 20; i++) {
        char key[32];
        snprintf(key, sizeof key, "more-%d", i);
        cfa_pledge_free(commit_only(&book, key, 100));
    }
    uint32_t mask = CFA_WORK_CALLS | CFA_WORK_NO_COMMIT;
    book_advance(&book, SECOND_US);
    (void)tick(mask, 0); /* leases some of them, and others are due at once */
    (void)tick(mask, 0);
    ck_assert_int_gt(cfa_engine_next_due_ms(book.engine, mask), 0);
    tick_until_done(CFA_WORK_CALLS);
    close_whole();
}
END_TEST

/* The first commit of a result fails: what was put off for that is not put off for ever. */
static void fail_own_result(struct book *of, const cfa_call *call, cfa_arena *arena,
                            cfa_reply *out) {
    hooked_pass(of, call, arena, out);
    gate.fails = true;
}

START_TEST(a_result_whose_commit_failed_is_committed_by_callers_alone) {
    prepare(_i);
    hooked_use(&wire, &book, fail_own_result);
    book_start(&book);
    pledge = commit_only(&book, "due", 100);
    for (int i = 0; i < 10 && wire.calls == 0; i++) {
        (void)tick(CFA_WORK_CALLS | CFA_WORK_NO_COMMIT, 0);
        if (wire.calls == 0)
            together(1, tick_plainly, NULL);
    }
    ck_assert_int_eq(wire.calls, 1);
    int32_t done;
    (void)!cfa_engine_tick(&done, book.engine, CFA_WORK_COMMANDS, 0);
    gate.fails = false;
    ck_assert_int_ne(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    book_advance(&book, SECOND_US);
    for (int i = 0; i < 3; i++)
        commit_something(NULL, 0);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(wire.calls, 1);
    close_whole();
}
END_TEST

/* ---- waking ------------------------------------------------------------------------------------ */

static void lead_once(void *user, int index) {
    (void)user;
    (void)index;
    must(cfa__lead_once(book.engine));
}

START_TEST(a_job_that_another_thread_finished_wakes_the_loop) {
    uint32_t mask = kinds[_i / STORES].mask;
    open_due(_i % STORES, mask);
    int descriptor = cfa_engine_descriptor(book.engine);
    for (int i = 0; i < 10 && (i == 0 || is_readable(descriptor, 0)); i++)
        (void)tick(mask | CFA_WORK_NO_COMMIT, 0);
    ck_assert(!is_readable(descriptor, 0));
    together(1, lead_once, NULL);
    ck_assert(is_readable(descriptor, 0));
    tick_until_done(mask);
    close_whole();
}
END_TEST

static struct {
    atomic_bool over;
    atomic_int lost;
} signals;

static void signal_or_look(void *user, int index) {
    (void)user;
    int descriptor = cfa_engine_descriptor(book.engine);
    if (index == 0) {
        while (!signals.over)
            cfa__signal(book.engine);
        return;
    }
    for (int i = 0; i < 20000 && signals.lost == 0; i++) {
        int32_t done;
        must(cfa_engine_tick(&done, book.engine, 0, 0) == CFA_OK);
        cfa__signal(book.engine);
        signals.lost += !is_readable(descriptor, PATIENCE_MS);
    }
    signals.over = true;
}

START_TEST(no_signal_is_lost_between_two_threads) {
    book_open(&book, STORE_MEMORY);
    signals.over = false;
    signals.lost = 0;
    together(2, signal_or_look, NULL);
    ck_assert_int_eq(signals.lost, 0);
    book_close(&book);
}
END_TEST

START_TEST(the_runner_does_not_take_the_hosts_signals) {
    open_due(_i, CFA_WORK_TOTALS);
    int descriptor = cfa_engine_descriptor(book.engine);
    book_run_clock(&book);
    ck_assert_int_eq(cfa_runner_start(book.engine, CFA_WORK_CALLS), CFA_OK);
    for (int i = 0; i < 10; i++) {
        char key[32];
        snprintf(key, sizeof key, "r%d", i);
        (void)tick(CFA_WORK_TOTALS, 10);
        cfa_pledge *made = commit_only(&book, key, 100);
        /* The runner makes its call; the totals are the host's. */
        for (int look = 0; look < PATIENCE_MS; look++) {
            if (state_of(book.engine, made) == CFA_PAYMENT_COMPLETED)
                break;
            (void)poll(NULL, 0, 1);
        }
        ck_assert_int_eq(state_of(book.engine, made), CFA_PAYMENT_COMPLETED);
        ck_assert(is_readable(descriptor, PATIENCE_MS));
        (void)poll(NULL, 0, 2);
        ck_assert(is_readable(descriptor, 0)); /* still */
        cfa_pledge_free(made);
    }
    cfa_runner_stop(book.engine);
    tick_until_done(CFA_WORK_TOTALS);
    close_whole();
}
END_TEST

/* ---- a loop that only waits -------------------------------------------------------------------- */

#define GIFTS 200
#define COMPETITORS 2
#define GIFTS_EACH 15

static atomic_int competitors_left;
static pthread_rwlock_t others_act = PTHREAD_RWLOCK_INITIALIZER; /* held while they do */

static void *compete(void *user) {
    int index = (int)(intptr_t)user;
    for (int i = 0; i < GIFTS_EACH; i++) {
        char key[32];
        snprintf(key, sizeof key, "rival-%d-%d", index, i);
        cfa_pledge_spec spec = gift(&book, key, 100);
        cfa_pledge *made;
        pthread_rwlock_rdlock(&others_act);
        must(cfa_pledge_create(&made, book.engine, &spec) == CFA_OK);
        pthread_rwlock_unlock(&others_act);
        cfa_pledge_free(made);
    }
    atomic_fetch_sub(&competitors_left, 1);
    cfa__signal(book.engine);
    return NULL;
}

static atomic_bool landing_over;

/* What is in flight lands a little later, by itself. */
static void *land_later(void *user) {
    (void)user;
    for (uint64_t seed = 1; !landing_over; seed++) {
        (void)poll(NULL, 0, 1);
        pthread_rwlock_rdlock(&others_act);
        (void)flying_release(&flying, seed);
        pthread_rwlock_unlock(&others_act);
    }
    return NULL;
}

static int fetch_all(cfa_port *port, bool *arrived) {
    int count = 0;
    for (;;) {
        cfa_completion *completion;
        ck_assert_int_eq(cfa_port_next(&completion, port, 0), CFA_OK);
        if (completion == NULL)
            return count;
        ck_assert_int_eq(cfa_completion_status(completion), CFA_OK);
        uint64_t token = cfa_completion_token(completion);
        ck_assert(!arrived[token]);
        arrived[token] = true;
        cfa_pledge *made = cfa_completion_pledge(completion);
        ck_assert_int_eq(cfa_pledge_amount(made).minor, 100 + (int64_t)token);
        ck_assert_int_eq(state_of(book.engine, made), CFA_PAYMENT_COMPLETED);
        cfa_pledge_free(made);
        cfa_completion_free(completion);
        count++;
    }
}

/* Tick only when asked to; returns how often a wait of half a second and more ended in work that
 * nobody had announced. The others stand still while that is found out: what they do after the wait
 * and before the tick, a busy machine may make that long, was not there to be announced. */
static int loop_until_quiet(cfa_port *port, bool *arrived) {
    const uint32_t mask = CFA_WORK_ALL & ~(uint32_t)CFA_WORK_UPKEEP;
    int count = 0, stalled = 0;
    time_t until = time(NULL) + PATIENCE_MS / 1000;
    while (count < GIFTS || competitors_left > 0 || !is_done(CFA_WORK_TOTALS) ||
           !is_done(CFA_WORK_RELAY)) {
        due_until = atomic_load(&book.engine->head);
        ck_assert_int_lt(time(NULL), until);
        struct pollfd wait[] = { { .fd = cfa_engine_descriptor(book.engine), .events = POLLIN },
                                 { .fd = cfa_port_descriptor(port), .events = POLLIN } };
        int32_t due_ms = cfa_engine_next_due_ms(book.engine, mask);
        bool waited = poll(wait, 2, due_ms) == 0 && due_ms >= 500;
        if (waited)
            pthread_rwlock_wrlock(&others_act);
        bool silent = waited && poll(wait, 2, 0) == 0;
        int32_t done = tick(mask, 2);
        int fetched = fetch_all(port, arrived);
        if (waited)
            pthread_rwlock_unlock(&others_act);
        stalled += silent && done + fetched > 0;
        count += fetched;
    }
    return stalled;
}

START_TEST(a_loop_that_only_waits_never_stalls) {
    bool arrived[GIFTS] = { false }, flies = _i / STORES == 1;
    pthread_t rivals[COMPETITORS], lander;
    cfa_port *port;
    prepare(_i % STORES);
    if (flies)
        flying_use(&flying, &book);
    else
        hooked_use(&wire, &book, NULL);
    book_start(&book);
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    book_run_clock(&book);
    competitors_left = COMPETITORS;
    landing_over = false;
    flying.fate = FLY_HELD;
    if (flies)
        ck_assert_int_eq(pthread_create(&lander, NULL, land_later, NULL), 0);
    for (int i = 0; i < COMPETITORS; i++)
        ck_assert_int_eq(pthread_create(&rivals[i], NULL, compete, (void *)(intptr_t)i), 0);
    for (int i = 0; i < GIFTS; i++) {
        char key[32];
        snprintf(key, sizeof key, "loop-%d", i);
        cfa_pledge_spec spec = gift(&book, key, 100 + i);
        ck_assert_int_eq(cfa_pledge_create_begin(port, (uint64_t)i, &spec), CFA_OK);
    }
    ck_assert_int_eq(loop_until_quiet(port, arrived), 0);
    for (int i = 0; i < COMPETITORS; i++)
        ck_assert_int_eq(pthread_join(rivals[i], NULL), 0);
    landing_over = true;
    if (flies)
        ck_assert_int_eq(pthread_join(lander, NULL), 0);
    flying.fate = FLY_NOW;
    ck_assert_int_eq(totals_of(&book).raised_minor,
                     GIFTS * 100 + GIFTS * (GIFTS - 1) / 2 + COMPETITORS * GIFTS_EACH * 100);
    ck_assert_int_eq(play_books_of(&book).call_count, GIFTS + COMPETITORS * GIFTS_EACH);
    cfa_port_free(port);
    close_whole();
    if (flies)
        flying_close(&flying);
}
END_TEST

/* ---- many threads ------------------------------------------------------------------------------ */

#define TICKERS 3
#define CROWD 60

static atomic_bool crowd_over;

static void tick_or_give(void *user, int index) {
    (void)user;
    if (index > 0) {
        while (!crowd_over) {
            int32_t done = 0;
            must(cfa_engine_tick(&done, book.engine, CFA_WORK_ALL, 1) == CFA_OK);
            if (done == 0)
                sched_yield();
        }
        return;
    }
    for (int i = 0; i < CROWD; i++) {
        char key[32];
        snprintf(key, sizeof key, "crowd-%d", i);
        cfa_pledge_spec spec = gift(&book, key, 100);
        spec.wait = CFA_WAIT_COMMIT;
        cfa_pledge *made;
        must(cfa_pledge_create(&made, book.engine, &spec) == CFA_OK);
        cfa_pledge_free(made);
    }
    for (int i = 0; i < PATIENCE_MS && play_books_of(&book).charge_count < CROWD; i++)
        (void)poll(NULL, 0, 1);
    crowd_over = true;
}

START_TEST(threads_that_tick_at_once_do_everything_once) {
    bool flies = _i / STORES == 1;
    prepare(_i % STORES);
    if (flies)
        flying_use(&flying, &book);
    else
        hooked_use(&wire, &book, NULL);
    book_start(&book);
    crowd_over = false;
    together(1 + TICKERS, tick_or_give, NULL);
    book_settle(&book);
    ck_assert_int_eq(play_books_of(&book).call_count, CROWD);
    ck_assert_int_eq(play_books_of(&book).charge_count, CROWD);
    if (flies)
        ck_assert_int_eq(flying.starts, CROWD);
    ck_assert_int_eq(totals_of(&book).raised_minor, 100 * CROWD);
    close_whole();
    if (flies)
        flying_close(&flying);
}
END_TEST

/* ---- provider calls one after the other -------------------------------------------------------- */

static int32_t least_timeout_ms;

static void call_for_ten_seconds(struct book *of, const cfa_call *call, cfa_arena *arena,
                                 cfa_reply *out) {
    if (call->timeout_ms < least_timeout_ms)
        least_timeout_ms = call->timeout_ms;
    book_advance(of, 10 * SECOND_US);
    hooked_pass(of, call, arena, out);
}

START_TEST(slow_calls_do_not_use_up_each_others_leases) {
    const int count = 24;
    least_timeout_ms = INT32_MAX;
    prepare(_i);
    hooked_use(&wire, &book, call_for_ten_seconds);
    book_start(&book);
    for (int i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "slow-%d", i);
        cfa_pledge_free(commit_only(&book, key, 100));
    }
    for (int i = 0; i < 200 && play_books_of(&book).charge_count < count; i++)
        (void)tick(CFA_WORK_CALLS, 20);
    ck_assert_int_eq(play_books_of(&book).charge_count, count);
    ck_assert_int_eq(wire.calls, count);
    ck_assert_int_ge(least_timeout_ms, 9000);
    ck_assert_int_eq(calls_put_off, 0);
    close_whole();
}
END_TEST

#define CALLERS 8

static atomic_int callers_inside, callers_met;

static void meet_the_others(struct book *of, const cfa_call *call, cfa_arena *arena,
                            cfa_reply *out) {
    callers_inside++;
    for (int i = 0; i < PATIENCE_MS && callers_inside < CALLERS; i++)
        (void)poll(NULL, 0, 1);
    callers_met += callers_inside >= CALLERS;
    hooked_pass(of, call, arena, out);
}

static void tick_until_met(void *user, int index) {
    (void)user;
    (void)index;
    for (int i = 0; i < PATIENCE_MS && callers_inside < CALLERS; i++) {
        int32_t done = 0;
        must(cfa_engine_tick(&done, book.engine, CFA_WORK_CALLS, 0) == CFA_OK);
        if (done == 0)
            (void)poll(NULL, 0, 1);
    }
}

START_TEST(as_many_calls_overlap_as_threads_tick) {
    prepare(_i);
    hooked_use(&wire, &book, meet_the_others);
    book_start(&book);
    for (int i = 0; i < CALLERS; i++) {
        char key[32];
        snprintf(key, sizeof key, "meet-%d", i);
        cfa_pledge_free(commit_only(&book, key, 100));
    }
    together(CALLERS, tick_until_met, NULL);
    ck_assert_int_eq(callers_met, CALLERS);
    book_settle(&book);
    ck_assert_int_eq(play_books_of(&book).charge_count, CALLERS);
    close_whole();
}
END_TEST

START_TEST(a_tick_without_a_budget_makes_one_call) {
    open_due(_i, CFA_WORK_CALLS);
    for (int i = 0; i < 5; i++) {
        char key[32];
        snprintf(key, sizeof key, "one-%d", i);
        cfa_pledge_free(commit_only(&book, key, 100));
    }
    for (int i = 0; i < 20; i++) {
        int before = wire.calls;
        (void)tick(CFA_WORK_CALLS, 0);
        ck_assert_int_le(wire.calls - before, 1);
    }
    ck_assert_int_eq(wire.calls, 6);
    close_whole();
}
END_TEST

START_TEST(ticks_that_are_further_apart_than_a_lease_lasts_make_calls_too) {
    open_due(_i, CFA_WORK_CALLS);
    for (int i = 0; i < 5; i++) {
        char key[32];
        snprintf(key, sizeof key, "rare-%d", i);
        cfa_pledge_free(commit_only(&book, key, 100));
    }
    for (int i = 0; i < 50 && play_books_of(&book).charge_count < 6; i++) {
        book_advance(&book, MINUTE_US);
        (void)tick(CFA_WORK_CALLS, 0);
    }
    ck_assert_int_eq(play_books_of(&book).charge_count, 6);
    close_whole();
}
END_TEST

/* ---- a queue that is full ---------------------------------------------------------------------- */

START_TEST(a_full_queue_holds_up_no_job) {
    uint32_t mask = kinds[_i / STORES].mask;
    cfa_port *port;
    queue_limit = 2;
    open_due(_i % STORES, mask);
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    for (int i = 0; i < 2; i++) {
        cfa_pledge_spec spec = gift(&book, i == 0 ? "full-0" : "full-1", 100);
        spec.wait = CFA_WAIT_COMMIT;
        ck_assert_int_eq(cfa_pledge_create_begin(port, (uint64_t)i, &spec), CFA_OK);
    }
    for (int i = 0; i < 3; i++)
        (void)tick(mask | CFA_WORK_NO_COMMIT, 0);
    ck_assert_int_gt(cfa_engine_next_due_ms(book.engine, mask | CFA_WORK_NO_COMMIT), 0);
    tick_until_done(mask);
    cfa_port_free(port);
    close_whole();
}
END_TEST

/* ---- a store that fails ------------------------------------------------------------------------ */

START_TEST(a_store_that_fails_is_told_of_and_the_work_stays_due) {
    uint32_t mask = kinds[_i / STORES].mask;
    open_due(_i % STORES, mask);
    gate.fails = true;
    int32_t done;
    for (int i = 0; i < 3; i++) {
        cfa_status status = cfa_engine_tick(&done, book.engine, mask, 5);
        if (mask == CFA_WORK_RELAY) /* it backs off by itself */
            ck_assert_int_eq(status, CFA_OK);
        else
            expect_error(status, CFA_EIO, NULL);
        ck_assert(!is_done(mask));
        if (mask == CFA_WORK_UPKEEP)
            book_advance(&book, 2 * SECOND_US);
        else
            book_advance(&book, SECOND_US);
    }
    gate.fails = false;
    book_advance(&book, MINUTE_US);
    tick_until_done(mask);
    close_whole();
}
END_TEST

static int64_t fault_countdown;
static int32_t fault_kind;

static int32_t fail_one_commit(void *user, int32_t call, uint64_t number, cfa_status *out_status) {
    (void)user;
    (void)number;
    *out_status = CFA_EIO;
    return call == CFA_FAULT_COMMIT && --fault_countdown == 0 ? fault_kind : CFA_FAULT_PASS;
}

static void open_faulty(int store) {
    book_prepare(&book, store);
    book.play_options.one_step = 1;
    ck_assert_int_eq(cfa_memory_sink_new(&sink), CFA_OK);
    binding = (cfa_sink_binding){ .name = "memory", .sink = sink };
    book.options.sinks = &binding;
    book.options.sink_count = 1;
    flying_use(&flying, &book);
    fault_countdown = INT64_MAX;
    book_wrap(&book, fail_one_commit, NULL);
    book_start(&book);
}

/* Every event once at least, first deliveries in order. */
static void expect_sink_whole(void) {
    int64_t seen = 0;
    for (size_t i = 0; i < cfa_memory_sink_size(&sink); i++) {
        int64_t position = cfa_memory_sink_at(&sink, i)->position;
        ck_assert_int_le(position, seen + 1);
        seen += position == seen + 1;
    }
    ck_assert_int_eq(seen, head_of(book.engine));
}

/* Two donations, one of them begun, with whatever the n-th commit does. */
static bool donate_with_fault(int store, int32_t kind, int64_t nth) {
    int32_t done;
    cfa_port *port;
    open_faulty(store);
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    cfa_pledge_free(commit_only(&book, "left", 100));
    cfa_pledge_spec spec = gift(&book, "begun", 200);
    fault_kind = kind;
    fault_countdown = nth;
    ck_assert_int_eq(cfa_pledge_create_begin(port, 1, &spec), CFA_OK);
    for (int i = 0; i < 30; i++)
        (void)!cfa_engine_tick(&done, book.engine, CFA_WORK_ALL, 0);
    bool met = fault_countdown <= 0;
    fault_countdown = INT64_MAX;
    for (int minute = 0; minute < 3; minute++) {
        book_advance(&book, MINUTE_US);
        book_settle(&book);
    }
    cfa_completion *completion;
    ck_assert_int_eq(cfa_port_next(&completion, port, 0), CFA_OK);
    ck_assert_ptr_nonnull(completion);
    bool refused = cfa_completion_status(completion) == CFA_EIO;
    ck_assert(refused || cfa_completion_status(completion) == CFA_OK);
    ck_assert_int_eq(rows_of(&book, "pledge"), refused ? 1 : 2);
    ck_assert_int_eq(play_books_of(&book).charge_count, refused ? 1 : 2);
    ck_assert_int_eq(totals_of(&book).raised_minor, refused ? 100 : 300);
    cfa_completion_free(completion);
    cfa_port_free(port);
    audit(&book);
    book_settle(&book);
    expect_sink_whole();
    book_close(&book);
    flying_close(&flying);
    sink.ops->close(sink.self);
    return met;
}

START_TEST(whichever_commit_fails_or_is_in_doubt_the_work_gets_done) {
    static const int32_t faults[] = { CFA_FAULT_FAIL, CFA_FAULT_DOUBT_DONE,
                                      CFA_FAULT_DOUBT_NOT_DONE };
    int64_t nth = 1;
    while (donate_with_fault(_i % STORES, faults[_i / STORES], nth))
        ck_assert_int_lt(nth++, 50);
    ck_assert_int_ge(nth, 4);
}
END_TEST

START_TEST(the_runner_does_not_spin_on_a_store_that_fails) {
    prepare(_i);
    hooked_use(&wire, &book, NULL);
    book_start(&book);
    for (int i = 0; i < 10; i++) {
        char key[32];
        snprintf(key, sizeof key, "spin-%d", i);
        cfa_pledge_free(commit_only(&book, key, 100));
    }
    gate.fails = true;
    int before = gate.commits;
    int64_t began_us = cfa__real_us();
    book_run_clock(&book);
    ck_assert_int_eq(cfa_runner_start(book.engine, CFA_WORK_ALL), CFA_OK);
    (void)poll(NULL, 0, 700);
    for (int i = 0; i < PATIENCE_MS && gate.commits - before < 2; i++)
        (void)poll(NULL, 0, 1);
    int tried = gate.commits - before, failed = steps_failed;
    int rounds = (int)((cfa__real_us() - began_us) / 100000) + 5; /* of a thread that rests */
    ck_assert_int_ge(tried, 2);
    ck_assert_int_le(tried, 5 * rounds);
    ck_assert_int_le(failed, 2 * rounds); /* two threads */
    gate.fails = false;
    for (int i = 0; i < PATIENCE_MS && play_books_of(&book).charge_count < 10; i++)
        (void)poll(NULL, 0, 1);
    ck_assert_int_eq(play_books_of(&book).charge_count, 10);
    cfa_runner_stop(book.engine);
    close_whole();
}
END_TEST

static cfa_status take_nothing(void *self, const cfa_event_view *events, size_t count,
                               size_t *out_taken) {
    (void)events;
    (void)count;
    ++*(int *)self;
    *out_taken = 0;
    return CFA_OK;
}
static cfa_status poll_nothing(void *self, int64_t *out_acknowledged) {
    (void)self;
    (void)out_acknowledged;
    return CFA_OK;
}
static cfa_status reset_nothing(void *self, int64_t position) {
    (void)self;
    (void)position;
    return CFA_OK;
}

START_TEST(a_sink_that_takes_nothing_now_does_not_make_the_runner_spin) {
    static const cfa_sink_ops full = { .struct_size = sizeof full,
                                       .name = "full",
                                       .send = take_nothing,
                                       .poll = poll_nothing,
                                       .reset = reset_nothing };
    int sends = 0;
    book_prepare(&book, _i);
    binding = (cfa_sink_binding){ .name = "full", .sink = { &full, &sends } };
    book.options.sinks = &binding;
    book.options.sink_count = 1;
    book_start(&book);
    for (int i = 0; i < 20; i++)
        (void)tick(CFA_WORK_RELAY, 0);
    ck_assert_int_ge(sends, 1);
    ck_assert_int_gt(cfa_engine_next_due_ms(book.engine, CFA_WORK_RELAY), 0);
    book_close(&book);
}
END_TEST

/* ---- closing ----------------------------------------------------------------------------------- */

/* Nobody sees the engine go but the book: reopened, it does what was left. */
static void reopen_and_finish(uint32_t mask) {
    cfa_engine_close(book.engine);
    ck_assert_int_eq(cfa_engine_open(&book.engine, &book.options), CFA_OK);
    book_advance(&book, MINUTE_US); /* leases of the engine before have run out */
    tick_until_done(mask);
    book_advance(&book, MINUTE_US);
    close_whole();
}

START_TEST(an_engine_closes_with_a_job_in_flight) {
    uint32_t mask = kinds[_i / STORES].mask;
    open_due(_i % STORES, mask);
    (void)tick(mask | CFA_WORK_NO_COMMIT, 0);
    reopen_and_finish(mask);
}
END_TEST

START_TEST(an_engine_closes_with_a_job_that_nobody_collected) {
    uint32_t mask = kinds[_i / STORES].mask;
    open_due(_i % STORES, mask);
    (void)tick(mask | CFA_WORK_NO_COMMIT, 0);
    ck_assert(cfa__lead_once(book.engine));
    reopen_and_finish(mask);
}
END_TEST

START_TEST(what_a_call_brought_is_committed_before_the_engine_closes) {
    open_due(_i, CFA_WORK_CALLS);
    for (int i = 0; i < 10 && wire.calls == 0; i++) {
        (void)tick(CFA_WORK_CALLS | CFA_WORK_NO_COMMIT, 0);
        if (wire.calls == 0)
            (void)cfa__lead_once(book.engine);
    }
    ck_assert_int_eq(wire.calls, 1);
    cfa_engine_close(book.engine);
    ck_assert_int_eq(cfa_engine_open(&book.engine, &book.options), CFA_OK);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    close_whole();
    ck_assert_int_eq(wire.calls, 1);
}
END_TEST

/* ---- the suite --------------------------------------------------------------------------------- */

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine tick");
    const int every_kind = STORES * (int)COUNT(kinds), both_providers = 2 * STORES;
    add_loop(suite, "never_waits", a_tick_returns_while_another_thread_is_inside_a_commit,
             every_kind);
    add_per_store(suite, "never_waits_for_all", all_kinds_at_once_do_not_wait_either);
    add_loop(suite, "no_commit_tick", what_a_tick_may_not_commit_is_committed_by_another_tick,
             every_kind);
    add_loop(suite, "no_commit_callers", what_a_tick_may_not_commit_is_committed_by_callers,
             every_kind);
    add_per_store(suite, "no_spin_on_more",
                  more_work_than_one_lease_takes_does_not_make_a_loop_spin);
    add_per_store(suite, "delayed_by_callers",
                  a_result_whose_commit_failed_is_committed_by_callers_alone);
    add_loop(suite, "job_wakes", a_job_that_another_thread_finished_wakes_the_loop, every_kind);
    add_once(suite, "no_signal_lost", no_signal_is_lost_between_two_threads);
    add_per_store(suite, "runner_leaves_signals", the_runner_does_not_take_the_hosts_signals);
    add_loop(suite, "waiting_loop", a_loop_that_only_waits_never_stalls, both_providers);
    add_loop(suite, "many_tickers", threads_that_tick_at_once_do_everything_once, both_providers);
    add_per_store(suite, "slow_calls", slow_calls_do_not_use_up_each_others_leases);
    add_per_store(suite, "calls_overlap", as_many_calls_overlap_as_threads_tick);
    add_per_store(suite, "one_call", a_tick_without_a_budget_makes_one_call);
    add_per_store(suite, "rare_ticks",
                  ticks_that_are_further_apart_than_a_lease_lasts_make_calls_too);
    add_loop(suite, "store_fails", a_store_that_fails_is_told_of_and_the_work_stays_due,
             every_kind);
    add_loop(suite, "any_commit", whichever_commit_fails_or_is_in_doubt_the_work_gets_done,
             3 * STORES);
    add_loop(suite, "full_queue", a_full_queue_holds_up_no_job, every_kind);
    add_per_store(suite, "runner_store_fails", the_runner_does_not_spin_on_a_store_that_fails);
    add_per_store(suite, "full_sink", a_sink_that_takes_nothing_now_does_not_make_the_runner_spin);
    add_loop(suite, "close_job_flying", an_engine_closes_with_a_job_in_flight, every_kind);
    add_loop(suite, "close_job_finished", an_engine_closes_with_a_job_that_nobody_collected,
             every_kind);
    add_per_store(suite, "close_result", what_a_call_brought_is_committed_before_the_engine_closes);
    return run_suite(suite, argc, argv);
}
