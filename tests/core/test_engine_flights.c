/*
 * test_engine_flights.c - many provider calls in flight at once: never more than allowed, each
 * answer to its own caller in whatever order they land, nothing sent twice, and nothing that may
 * have happened taken for something that did or did not.
 */
#include "core/flying.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "core/engine/engine.h"

static struct book book;
static struct flying flying;
static cfa_port *port;
static atomic_int calls_put_off;

static void count_log(void *self, const cfa_log_record *record) {
    (void)self;
    calls_put_off += strcmp(record->event, "call_put_off") == 0;
}

/* A one-step provider: a call that is done is a payment that is completed. */
static void open_flying(int store, int fate, int32_t calls_in_flight, int32_t queue_limit) {
    book_prepare(&book, store);
    book.play_options.one_step = 1;
    book.platform.log = count_log;
    book.options.calls_in_flight = calls_in_flight;
    book.options.queue_limit = queue_limit;
    flying_use(&flying, &book);
    flying.fate = fate;
    book_start(&book);
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
}

static void close_flying(void) {
    cfa_port_free(port);
    audit(&book);
    book_close(&book);
    flying_close(&flying);
}

static void begin(int token, int64_t minor) {
    char key[32];
    snprintf(key, sizeof key, "begun-%d", token);
    cfa_pledge_spec spec = gift(&book, key, minor);
    ck_assert_int_eq(cfa_pledge_create_begin(port, (uint64_t)token, &spec), CFA_OK);
}

static void begin_many(int count) {
    for (int i = 0; i < count; i++)
        begin(i, 100 + i);
}

/* Pledges whose calls are found by whoever looks. */
static void commit_many(int count) {
    for (int i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "left-%d", i);
        cfa_pledge_spec spec = gift(&book, key, 100 + i);
        spec.wait = CFA_WAIT_COMMIT;
        cfa_pledge *pledge;
        ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
        cfa_pledge_free(pledge);
    }
}

static int32_t tick(uint32_t mask) {
    int32_t done = 0;
    cfa_status status = cfa_engine_tick(&done, book.engine, mask, 0);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    return done;
}

/* Work as it comes due, for some minutes of the book's time. */
static void minutes_pass(int minutes) {
    for (int i = 0; i < minutes; i++) {
        book_settle(&book);
        book_advance(&book, MINUTE_US);
    }
    book_settle(&book);
}

static void wait_in_air(int count) {
    for (int i = 0; i < PATIENCE_MS && flying.in_air != count; i++)
        (void)poll(NULL, 0, 1);
    ck_assert_int_eq(flying.in_air, count);
}

/* The next completion, which must have come already; owned. NULL: there is none. */
static cfa_pledge *arrived(uint64_t *out_token, int32_t timeout_ms) {
    cfa_completion *completion;
    ck_assert_int_eq(cfa_port_next(&completion, port, timeout_ms), CFA_OK);
    if (completion == NULL)
        return NULL;
    ck_assert_int_eq(cfa_completion_status(completion), CFA_OK);
    cfa_pledge *pledge = cfa_completion_pledge(completion);
    ck_assert_ptr_nonnull(pledge);
    *out_token = cfa_completion_token(completion);
    cfa_completion_free(completion);
    return pledge;
}

/* What the provider holds for a pledge is what this caller asked for, once. */
static void expect_own(const cfa_pledge *pledge, int64_t minor) {
    cfa_facts facts = CFA_FACTS_INIT;
    cfa_arena *arena;
    int64_t charges;
    ck_assert_int_eq(cfa_pledge_amount(pledge).minor, minor);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    ck_assert_int_eq(
        cfa_play_payment(&facts, &charges, book.play, cfa_pledge_payment_id(pledge), arena),
        CFA_OK);
    ck_assert_int_eq(facts.amount.minor, minor);
    ck_assert_int_eq(charges, 1);
    cfa_arena_free(arena);
}

/* Every caller of `begin_many` has got the answer that is his. */
static void expect_all_own(int count, int32_t timeout_ms) {
    bool seen[256] = { false };
    for (int i = 0; i < count; i++) {
        uint64_t token;
        cfa_pledge *pledge = arrived(&token, timeout_ms);
        ck_assert_ptr_nonnull(pledge);
        ck_assert(token < COUNT(seen) && !seen[token]);
        seen[token] = true;
        expect_own(pledge, 100 + (int64_t)token);
        ck_assert_uint_gt(cfa_pledge_answer(pledge).size, 0);
        cfa_pledge_free(pledge);
    }
}

static int64_t charges(void) {
    ck_assert_int_eq(play_books_of(&book).charged_twice, 0);
    return play_books_of(&book).charge_count;
}

/* ---- how many ---------------------------------------------------------------------------------- */

START_TEST(no_more_are_in_flight_than_allowed_and_a_full_house_does_not_spin) {
    open_flying(_i, FLY_HELD, 3, 0);
    commit_many(10);
    begin_many(5);
    book_advance(&book, SECOND_US);
    for (int landed = 0; landed < 15; landed++) {
        for (int i = 0; i < 5; i++)
            (void)tick(CFA_WORK_ALL);
        ck_assert_int_eq(flying.in_air, landed < 13 ? 3 : 15 - landed);
        ck_assert_int_gt(cfa_engine_next_due_ms(book.engine, CFA_WORK_CALLS), 0);
        char operation[64] = "";
        for (size_t i = 0; i < FLYING_MAX; i++) {
            if (flying.calls[i].token != 0)
                snprintf(operation, sizeof operation, "%s", flying.calls[i].call->operation_id);
        }
        flying_release_one(&flying, operation);
        ck_assert_int_eq(cfa_engine_next_due_ms(book.engine, CFA_WORK_CALLS), 0);
    }
    book_settle(&book);
    expect_all_own(5, 0);
    ck_assert_int_eq(flying.most_in_air, 3);
    ck_assert_int_eq(flying.starts, 15);
    ck_assert_int_eq(charges(), 15);
    close_flying();
}
END_TEST

START_TEST(due_calls_are_leased_as_they_can_be_made) {
    const int count = 100;
    open_flying(_i, FLY_HELD, 8, 0);
    commit_many(count);
    for (int round = 0; round < 40 && flying.finished < count; round++) {
        book_settle(&book);
        book_advance(&book, 10 * SECOND_US); /* every call takes this long */
        (void)flying_release(&flying, (uint64_t)round);
    }
    book_settle(&book);
    ck_assert_int_eq(flying.starts, count);
    ck_assert_int_eq(calls_put_off, 0); /* no lease ended in vain */
    ck_assert_int_eq(charges(), count);
    close_flying();
}
END_TEST

START_TEST(a_house_full_of_pledges_still_takes_what_is_due) {
    open_flying(_i, FLY_HELD, 2, 0);
    begin_many(6);
    (void)tick(CFA_WORK_COMMANDS);
    cfa_pledge_spec spec = gift(&book, "due", 100);
    spec.wait = CFA_WAIT_COMMIT;
    cfa_pledge *due;
    ck_assert_int_eq(cfa_pledge_create(&due, book.engine, &spec), CFA_OK);
    int token = 6;
    for (; token < 40 && state_of(book.engine, due) != CFA_PAYMENT_COMPLETED; token++) {
        begin(2 * token - 6, 94 + 2 * token); /* there are always others */
        begin(2 * token - 5, 95 + 2 * token);
        for (int i = 0; i < 3; i++)
            (void)tick(CFA_WORK_ALL);
        ck_assert_int_eq(flying_release(&flying, (uint64_t)token), 2);
    }
    ck_assert_int_lt(token, 40);
    cfa_pledge_free(due);
    flying.fate = FLY_NOW;
    book_settle(&book);
    (void)flying_release(&flying, 1);
    book_settle(&book);
    expect_all_own(2 * token - 6, 0);
    close_flying();
}
END_TEST

/* ---- in which order ---------------------------------------------------------------------------- */

START_TEST(whatever_the_order_every_caller_gets_his_own_answer) {
    const int count = 40;
    open_flying(_i % STORES, FLY_HELD, 0, 0);
    begin_many(count);
    (void)tick(CFA_WORK_COMMANDS);
    (void)tick(CFA_WORK_CALLS);
    ck_assert_int_eq(flying.in_air, count);
    ck_assert_int_eq(flying_release(&flying, (uint64_t)_i), count);
    book_settle(&book);
    expect_all_own(count, 0);
    ck_assert_int_eq(flying.starts, count);
    ck_assert_int_eq(totals_of(&book).donation_count, count);
    close_flying();
}
END_TEST

/* ---- what goes wrong --------------------------------------------------------------------------- */

static void expect_undecided(void) {
    int64_t failed = 0;
    cfa_event_list *list;
    ck_assert_int_eq(cfa_event_page(&list, book.engine, 0, 1000), CFA_OK);
    for (size_t i = 0; i < cfa_event_list_size(list); i++)
        failed += strstr(cfa_event_list_at(list, i)->event_type, "failed") != NULL;
    cfa_event_list_free(list);
    ck_assert_int_eq(failed, 0);
}

START_TEST(what_cannot_start_was_not_sent_and_is_tried_again) {
    open_flying(_i, FLY_REFUSED, 0, 0);
    begin_many(5);
    commit_many(5);
    minutes_pass(15);
    ck_assert_int_ge(flying.refused, 20);
    ck_assert_int_eq(flying.starts, 0);
    ck_assert_int_eq(play_books_of(&book).call_count, 0);
    for (int i = 0; i < 5; i++) {
        uint64_t token;
        cfa_pledge *pledge = arrived(&token, 0);
        ck_assert_ptr_nonnull(pledge);
        /* Nothing was sent: there is no doubt either. */
        ck_assert_uint_eq(flags_of(book.engine, pledge) & CFA_PAYMENT_FLAG_UNKNOWN, 0);
        cfa_pledge_free(pledge);
    }
    expect_undecided();
    flying.fate = FLY_NOW;
    minutes_pass(15);
    ck_assert_int_eq(flying.starts, 10);
    ck_assert_int_eq(charges(), 10);
    ck_assert_int_eq(totals_of(&book).donation_count, 10);
    close_flying();
}
END_TEST

START_TEST(a_lookup_that_cannot_start_proves_nothing) {
    open_flying(_i, FLY_NOW, 0, 0);
    ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_ERROR_AFTER), CFA_OK);
    commit_many(1); /* charged, and the error is stored under the key */
    book_settle(&book);
    ck_assert_int_eq(flying.starts, 1);
    flying.fate = FLY_REFUSED;
    minutes_pass(3);
    ck_assert_int_ge(flying.refused, 3);
    expect_undecided();
    flying.fate = FLY_NOW;
    minutes_pass(120);
    ck_assert_int_eq(charges(), 1);
    ck_assert_int_eq(totals_of(&book).donation_count, 1);
    close_flying();
}
END_TEST

START_TEST(a_call_that_never_answers_ends_in_doubt_by_its_time_out) {
    open_flying(_i, FLY_HELD, 0, 0);
    begin_many(1);
    (void)tick(CFA_WORK_COMMANDS);
    (void)tick(CFA_WORK_CALLS);
    ck_assert_int_eq(flying.in_air, 1);
    book_advance(&book, 29 * SECOND_US + 900000);
    book_settle(&book);
    ck_assert_int_eq(flying.in_air, 1);
    ck_assert_int_le(cfa_engine_next_due_ms(book.engine, CFA_WORK_CALLS), 101);
    book_advance(&book, SECOND_US / 5);
    flying.fate = FLY_NOW;
    (void)tick(CFA_WORK_CALLS);
    ck_assert_int_eq(flying.timed_out, 1);
    uint64_t token;
    cfa_pledge *pledge = arrived(&token, 0);
    ck_assert_ptr_nonnull(pledge);
    ck_assert_uint_ne(flags_of(book.engine, pledge) & CFA_PAYMENT_FLAG_UNKNOWN, 0);
    ck_assert_int_ne(state_of(book.engine, pledge), CFA_PAYMENT_FAILED);
    minutes_pass(60);
    expect_own(pledge, 100);
    ck_assert_uint_eq(flags_of(book.engine, pledge) & CFA_PAYMENT_FLAG_UNKNOWN, 0);
    ck_assert_int_eq(charges(), 1);
    cfa_pledge_free(pledge);
    close_flying();
}
END_TEST

START_TEST(a_lease_that_ended_before_a_full_house_had_room_is_not_used) {
    open_flying(_i, FLY_HELD, 2, 0);
    begin_many(5);
    (void)tick(CFA_WORK_COMMANDS);
    (void)tick(CFA_WORK_CALLS | CFA_WORK_NO_COMMIT);
    ck_assert_int_eq(flying.in_air, 2);
    book_advance(&book, 41 * SECOND_US);
    for (int i = 0; i < 3; i++)
        (void)tick(CFA_WORK_CALLS | CFA_WORK_NO_COMMIT); /* nothing is leased anew */
    ck_assert_int_eq(flying.in_air, 0);
    ck_assert_int_eq(flying.starts, 2);
    flying.fate = FLY_NOW;
    minutes_pass(60);
    uint64_t token;
    for (int i = 0; i < 5; i++) {
        cfa_pledge *pledge = arrived(&token, 0);
        ck_assert_ptr_nonnull(pledge);
        expect_own(pledge, 100 + (int64_t)token);
        cfa_pledge_free(pledge);
    }
    ck_assert_int_eq(charges(), 5);
    close_flying();
}
END_TEST

/* By amount: a third flies, a third hangs, a third does not start. */
static int fate_by_amount(struct flying *of, const cfa_call *call) {
    static const int fates[] = { FLY_NOW, FLY_HELD, FLY_REFUSED };
    return of->fate == FLY_NOW ? FLY_NOW : fates[call->amount.minor % 3];
}

START_TEST(one_failure_touches_no_other_call) {
    open_flying(_i, FLY_HELD, 0, 0);
    flying.plan = fate_by_amount;
    for (int i = 0; i < 30; i++)
        begin(i, 300 + i); /* a multiple of three flies */
    book_settle(&book);
    uint64_t token;
    cfa_pledge *pledges[30] = { NULL };
    for (cfa_pledge *pledge; (pledge = arrived(&token, 0)) != NULL;)
        pledges[token] = pledge;
    for (int i = 0; i < 30; i++) {
        ck_assert_int_eq(pledges[i] != NULL, i % 3 != 1);
        if (i % 3 == 0)
            expect_own(pledges[i], 300 + i);
    }
    ck_assert_int_eq(flying.in_air, 10);
    ck_assert_int_eq(charges(), 10);
    minutes_pass(3);
    flying.fate = FLY_NOW;
    minutes_pass(90);
    while (flying.in_air > 0 || charges() < 30) {
        ck_assert_int_lt(flying.timed_out, 1000);
        minutes_pass(10);
    }
    for (cfa_pledge *pledge; (pledge = arrived(&token, 0)) != NULL;)
        pledges[token] = pledge;
    for (int i = 0; i < 30; i++) {
        ck_assert_ptr_nonnull(pledges[i]);
        expect_own(pledges[i], 300 + i);
        cfa_pledge_free(pledges[i]);
    }
    close_flying();
}
END_TEST

START_TEST(a_full_queue_does_not_drop_what_the_provider_said) {
    open_flying(_i, FLY_HELD, 8, 2);
    for (int i = 0; i < 6; i += 2) {
        begin(i, 100 + i);
        begin(i + 1, 101 + i);
        (void)tick(CFA_WORK_COMMANDS);
    }
    (void)tick(CFA_WORK_CALLS | CFA_WORK_NO_COMMIT);
    /* The queue has the command of the lease by now, at most. */
    ck_assert_int_eq(flying_release(&flying, 1), 6);
    (void)tick(CFA_WORK_CALLS | CFA_WORK_NO_COMMIT);
    ck_assert_int_eq(flying.finished, 6);
    book_advance(&book, SECOND_US);
    book_settle(&book);
    expect_all_own(6, 0);
    ck_assert_int_eq(flying.starts, 6);
    close_flying();
}
END_TEST

START_TEST(tokens_of_no_call_are_ignored) {
    open_flying(_i, FLY_HELD, 0, 0);
    begin_many(6);
    (void)tick(CFA_WORK_COMMANDS);
    flying.strays = 3;
    (void)tick(CFA_WORK_CALLS);
    ck_assert_int_eq(flying.strays, 0);
    ck_assert_int_eq(flying.in_air, 6);
    ck_assert_int_eq(flying_release(&flying, 5), 6);
    book_settle(&book);
    expect_all_own(6, 0);
    close_flying();
}
END_TEST

START_TEST(a_provider_that_can_start_and_not_finish_is_refused) {
    book_prepare(&book, _i);
    flying_use(&flying, &book);
    flying.ops.finish = NULL;
    ck_assert_int_eq(cfa_play_new(&book.play, &book.play_options), CFA_OK);
    expect_error(cfa_engine_open(&book.engine, &book.options), CFA_EINVAL, "provider");
    flying_use(&flying, &book);
    ck_assert_int_eq(cfa_engine_open(&book.engine, &book.options), CFA_OK);
    book_close(&book);
    flying_close(&flying);
}
END_TEST

/* ---- who drives them --------------------------------------------------------------------------- */

START_TEST(the_runners_calls_overlap) {
    const int count = 20;
    open_flying(_i, FLY_HELD, 0, 0);
    book_run_clock(&book);
    ck_assert_int_eq(cfa_runner_start(book.engine, CFA_WORK_ALL), CFA_OK);
    begin_many(count);
    wait_in_air(count); /* none has landed: they are in the air together */
    ck_assert_int_eq(flying.finished, 0);
    ck_assert_int_eq(flying_release(&flying, 7), count);
    expect_all_own(count, PATIENCE_MS);
    cfa_runner_stop(book.engine);
    ck_assert_int_eq(flying.starts, count);
    book_settle(&book);
    close_flying();
}
END_TEST

static void release_at_twelve(void *user, int index) {
    (void)user;
    if (index == 0) {
        expect_all_own(12, PATIENCE_MS);
        return;
    }
    for (int i = 0; i < PATIENCE_MS && flying.in_air != 12; i++)
        (void)poll(NULL, 0, 1);
    must(flying_release(&flying, 3) == 12);
}

START_TEST(a_thread_that_waits_at_a_port_drives_them_alone) {
    open_flying(_i, FLY_HELD, 0, 0);
    begin_many(12);
    together(2, release_at_twelve, NULL);
    ck_assert_int_eq(flying.starts, 12);
    book_settle(&book);
    close_flying();
}
END_TEST

START_TEST(who_waits_for_a_payment_drives_the_call_that_is_in_flight) {
    open_flying(_i % STORES, FLY_HELD, 0, 0);
    cfa_pledge_spec spec = gift(&book, "k", 100);
    spec.wait = CFA_WAIT_COMMIT;
    cfa_pledge *pledge, *again;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
    for (int i = 0; i < 5 && flying.in_air == 0; i++)
        (void)tick(CFA_WORK_CALLS);
    ck_assert_int_eq(flying.in_air, 1);
    ck_assert_int_eq(flying_release(&flying, 1), 1);
    if (_i / STORES == 0) {
        cfa_payment *payment;
        ck_assert_int_eq(
            cfa_payment_wait(&payment, book.engine, cfa_pledge_payment_id(pledge), PATIENCE_MS),
            CFA_OK);
        ck_assert_int_eq(cfa_payment_state_of(payment), CFA_PAYMENT_COMPLETED);
        cfa_payment_free(payment);
    } else {
        spec.wait = CFA_WAIT_ANSWER;
        spec.timeout_ms = PATIENCE_MS;
        ck_assert_int_eq(cfa_pledge_create(&again, book.engine, &spec), CFA_OK);
        ck_assert_uint_gt(cfa_pledge_answer(again).size, 0);
        cfa_pledge_free(again);
    }
    expect_own(pledge, 100);
    ck_assert_int_eq(flying.starts, 1);
    ck_assert_int_eq(flying.blocking_calls, 0);
    cfa_pledge_free(pledge);
    book_settle(&book);
    close_flying();
}
END_TEST

#define EACH 30

static void give_at_own_port(void *user, int index) {
    (void)user;
    cfa_port *own;
    must(cfa_port_new(&own, book.engine) == CFA_OK);
    for (int i = 0; i < EACH; i++) {
        char key[32];
        snprintf(key, sizeof key, "own-%d-%d", index, i);
        cfa_pledge_spec spec = gift(&book, key, 100);
        must(cfa_pledge_create_begin(own, (uint64_t)i, &spec) == CFA_OK);
    }
    for (int i = 0; i < EACH; i++) {
        cfa_completion *completion;
        must(cfa_port_next(&completion, own, PATIENCE_MS) == CFA_OK);
        must(completion != NULL && cfa_completion_status(completion) == CFA_OK);
        cfa_completion_free(completion);
    }
    cfa_port_free(own);
}

START_TEST(ports_and_the_runner_drive_them_by_turns) {
    open_flying(_i, FLY_NOW, 5, 0);
    book_run_clock(&book);
    ck_assert_int_eq(cfa_runner_start(book.engine, CFA_WORK_ALL), CFA_OK);
    together(3, give_at_own_port, NULL);
    cfa_runner_stop(book.engine);
    book_settle(&book);
    ck_assert_int_eq(flying.starts, 3 * EACH);
    ck_assert_int_eq(charges(), 3 * EACH);
    ck_assert_int_eq(totals_of(&book).donation_count, 3 * EACH);
    close_flying();
}
END_TEST

/* ---- stopping and closing ---------------------------------------------------------------------- */

static void *release_while_closing(void *user) {
    (void)user;
    for (int i = 0; i < PATIENCE_MS && flying.waiting == 0; i++)
        (void)poll(NULL, 0, 1);
    for (uint64_t seed = 1; flying_release(&flying, seed) > 0; seed++)
        continue;
    return NULL;
}

START_TEST(sixty_four_in_flight_land_and_are_committed_at_close) {
    const int count = 64;
    bool runs = _i / STORES == 1;
    pthread_t thread;
    open_flying(_i % STORES, FLY_HELD, 0, 0);
    book_run_clock(&book);
    if (runs)
        ck_assert_int_eq(cfa_runner_start(book.engine, CFA_WORK_ALL), CFA_OK);
    begin_many(count);
    if (!runs) {
        (void)tick(CFA_WORK_COMMANDS);
        (void)tick(CFA_WORK_CALLS);
    }
    wait_in_air(count);
    cfa_runner_stop(book.engine);
    ck_assert_int_eq(flying.in_air, count);
    cfa_port_free(port);
    ck_assert_int_eq(pthread_create(&thread, NULL, release_while_closing, NULL), 0);
    cfa_engine_close(book.engine);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(flying.in_air, 0);
    ck_assert_int_eq(charges(), count);
    ck_assert_int_eq(cfa_engine_open(&book.engine, &book.options), CFA_OK);
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    ck_assert_int_eq(totals_of(&book).donation_count, count); /* all without another call */
    ck_assert_int_eq(flying.starts, count);
    close_flying();
}
END_TEST

START_TEST(landed_and_not_taken_is_committed_at_close) {
    open_flying(_i % STORES, FLY_HELD, 0, 0);
    begin_many(5);
    (void)tick(CFA_WORK_COMMANDS);
    (void)tick(CFA_WORK_CALLS);
    ck_assert_int_eq(flying_release(&flying, 1), 5);
    if (_i / STORES == 1) /* taken, and not committed */
        (void)tick(CFA_WORK_CALLS | CFA_WORK_NO_COMMIT);
    cfa_port_free(port);
    cfa_engine_close(book.engine);
    ck_assert_int_eq(cfa_engine_open(&book.engine, &book.options), CFA_OK);
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    ck_assert_int_eq(totals_of(&book).donation_count, 5);
    ck_assert_int_eq(flying.starts, 5);
    close_flying();
}
END_TEST

START_TEST(what_was_ready_at_close_is_called_after_the_next_open) {
    open_flying(_i, FLY_NOW, 0, 0);
    begin_many(5);
    (void)tick(CFA_WORK_COMMANDS);
    ck_assert_int_eq(flying.starts, 0);
    cfa_port_free(port);
    cfa_engine_close(book.engine);
    ck_assert_int_eq(flying.starts, 0);
    ck_assert_int_eq(cfa_engine_open(&book.engine, &book.options), CFA_OK);
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    minutes_pass(2);
    ck_assert_int_eq(flying.starts, 5);
    ck_assert_int_eq(charges(), 5);
    ck_assert_int_eq(totals_of(&book).donation_count, 5);
    close_flying();
}
END_TEST

/* ---- the suite --------------------------------------------------------------------------------- */

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine flights");
    add_per_store(suite, "limit",
                  no_more_are_in_flight_than_allowed_and_a_full_house_does_not_spin);
    add_per_store(suite, "leased_in_time", due_calls_are_leased_as_they_can_be_made);
    add_per_store(suite, "no_starving", a_house_full_of_pledges_still_takes_what_is_due);
    add_loop(suite, "any_order", whatever_the_order_every_caller_gets_his_own_answer, 5 * STORES);
    add_per_store(suite, "start_fails", what_cannot_start_was_not_sent_and_is_tried_again);
    add_per_store(suite, "lookup_fails", a_lookup_that_cannot_start_proves_nothing);
    add_per_store(suite, "time_out", a_call_that_never_answers_ends_in_doubt_by_its_time_out);
    add_per_store(suite, "lease_ended",
                  a_lease_that_ended_before_a_full_house_had_room_is_not_used);
    add_per_store(suite, "one_failure", one_failure_touches_no_other_call);
    add_per_store(suite, "full_queue", a_full_queue_does_not_drop_what_the_provider_said);
    add_per_store(suite, "stray_tokens", tokens_of_no_call_are_ignored);
    add_per_store(suite, "half_a_provider", a_provider_that_can_start_and_not_finish_is_refused);
    add_per_store(suite, "runner_overlaps", the_runners_calls_overlap);
    add_per_store(suite, "port_alone", a_thread_that_waits_at_a_port_drives_them_alone);
    add_loop(suite, "waiter_drives", who_waits_for_a_payment_drives_the_call_that_is_in_flight,
             2 * STORES);
    add_per_store(suite, "ports_and_runner", ports_and_the_runner_drive_them_by_turns);
    add_loop(suite, "close_in_flight", sixty_four_in_flight_land_and_are_committed_at_close,
             2 * STORES);
    add_loop(suite, "close_landed", landed_and_not_taken_is_committed_at_close, 2 * STORES);
    add_per_store(suite, "close_ready", what_was_ready_at_close_is_called_after_the_next_open);
    return run_suite(suite, argc, argv);
}
