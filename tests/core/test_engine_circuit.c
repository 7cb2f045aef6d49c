/*
 * test_engine_circuit.c - the circuit breaker: what opens it, what it does to pledges and to
 * background calls, how it closes, and that nothing is charged twice or lost on the way.
 */
#include "core/hooked.h"

#include "core/engine/calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAILURES 5
#define OPEN_US (30 * SECOND_US)

static struct hooked wire;
static bool provider_is_out;

/* An outage: nothing reaches the provider. */
static void call_in_outage(struct book *book, const cfa_call *call, cfa_arena *arena,
                           cfa_reply *out) {
    if (!provider_is_out) {
        hooked_pass(book, call, arena, out);
        return;
    }
    out->outcome = call->kind == CFA_CALL_LOOKUP ? CFA_OUTCOME_UNKNOWN : CFA_OUTCOME_NOT_SENT;
    out->unavailable = 1;
    out->code = "connection_refused";
}

static void open_with_breaker(struct book *book, int store, int32_t rule) {
    provider_is_out = false;
    book_prepare(book, store);
    book->options.circuit_failures = FAILURES;
    book->options.circuit_rule = rule;
    hooked_use(&wire, book, call_in_outage);
    book_start(book);
}

static int events_of(struct book *book, const char *type) {
    int count = 0;
    int64_t position = 0;
    for (;;) {
        cfa_event_list *list;
        ck_assert_int_eq(cfa_event_page(&list, book->engine, position, 1000), CFA_OK);
        size_t size = cfa_event_list_size(list);
        for (size_t i = 0; i < size; i++) {
            const cfa_event_view *event = cfa_event_list_at(list, i);
            position = event->position;
            count += strcmp(event->event_type, type) == 0;
            if (strstr(event->event_type, ".provider.") != NULL)
                ck_assert_int_eq(strncmp(event->subject, "brk_", 4), 0);
        }
        cfa_event_list_free(list);
        if (size == 0)
            return count;
    }
}

static int opened(struct book *book) {
    return events_of(book, "org.careforall.provider.unavailable.v1");
}
static int probed(struct book *book) {
    return events_of(book, "org.careforall.provider.probed.v1");
}
static int closed(struct book *book) {
    return events_of(book, "org.careforall.provider.available.v1");
}
static int deferred(struct book *book) {
    return events_of(book, "org.careforall.pledge.deferred.v1");
}

static cfa_status try_gift(struct book *book, cfa_pledge **out, const char *key) {
    cfa_pledge_spec spec = gift(book, key, 100);
    spec.timeout_ms = 1500;
    *out = NULL;
    return cfa_pledge_create(out, book->engine, &spec);
}

/* Pledges that meet the outage itself, until the breaker has opened. */
static void trip(struct book *book) {
    provider_is_out = true;
    for (int i = 0; i < FAILURES; i++) {
        char key[32];
        snprintf(key, sizeof key, "meets-the-outage-%d", i);
        cfa_pledge_spec spec = gift(book, key, 100);
        spec.wait = CFA_WAIT_COMMIT;
        cfa_pledge *pledge;
        ck_assert_int_eq(cfa_pledge_create(&pledge, book->engine, &spec), CFA_OK);
        cfa_pledge_free(pledge);
        book_settle(book);
    }
    ck_assert_int_eq(opened(book), 1);
}

START_TEST(an_outage_opens_it_once_and_keeps_calls_from_the_provider) {
    struct book book;
    open_with_breaker(&book, _i, CFA_CIRCUIT_REJECT);
    trip(&book);
    int calls = wire.calls;
    for (int second = 0; second < 28; second++) {
        book_advance(&book, SECOND_US);
        book_settle(&book);
    }
    ck_assert_int_eq(wire.calls, calls); /* also due tries wait */
    ck_assert_int_eq(opened(&book), 1);
    ck_assert_int_eq(cfa_engine_next_due_ms(book.engine, CFA_WORK_CALLS) > 0, 1);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(declines_never_open_it) {
    struct book book;
    open_with_breaker(&book, _i, CFA_CIRCUIT_REJECT);
    for (int i = 0; i < 4 * FAILURES; i++) {
        char key[32];
        snprintf(key, sizeof key, "declined-%d", i);
        cfa_pledge *pledge = pledge_make(&book, key, 100);
        ck_assert_int_eq(
            cfa_play_confirm(book.play, cfa_pledge_client_secret(pledge), "pm_declined"),
            CFA_EDECLINED);
        ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_REFUSED), CFA_OK);
        book_advance(&book, MINUTE_US);
        book_settle(&book);
        cfa_pledge_free(pledge);
    }
    ck_assert_int_eq(opened(&book), 0);
    audit(&book);
    book_close(&book);
}
END_TEST

static int64_t nth_call;

/* Four calls of twenty are lost, for ever: bad weather, no outage. */
static void call_in_bad_weather(struct book *book, const cfa_call *call, cfa_arena *arena,
                                cfa_reply *out) {
    provider_is_out = nth_call++ % 5 == 0;
    call_in_outage(book, call, arena, out);
    provider_is_out = false;
}

START_TEST(a_part_of_many_calls_failing_never_opens_it) {
    struct book book;
    nth_call = 0;
    open_with_breaker(&book, _i, CFA_CIRCUIT_REJECT);
    wire.hook = call_in_bad_weather;
    for (int i = 0; i < 20 * FAILURES; i++) {
        char key[32];
        snprintf(key, sizeof key, "weather-%d", i);
        cfa_pledge_spec spec = gift(&book, key, 100);
        spec.wait = CFA_WAIT_COMMIT;
        cfa_pledge *pledge;
        ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
        cfa_pledge_free(pledge);
        book_settle(&book);
    }
    ck_assert_int_ge(nth_call, 20 * FAILURES);
    ck_assert_int_eq(opened(&book), 0);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(while_open_a_pledge_is_kept_refused_and_revived_by_its_key_alone) {
    struct book book;
    open_with_breaker(&book, _i, CFA_CIRCUIT_REJECT);
    trip(&book);
    int calls = wire.calls;
    cfa_pledge *pledge;
    for (int again = 0; again < 3; again++) {
        expect_error(try_gift(&book, &pledge, "mine"), CFA_ECIRCUIT, "provider");
        ck_assert_int_gt(last_error()->retry_after_ms, 0);
        ck_assert_int_le(last_error()->retry_after_ms, OPEN_US / 1000);
        ck_assert_ptr_null(pledge);
    }
    ck_assert_int_eq(wire.calls, calls);
    ck_assert_int_eq(deferred(&book), 1);
    cfa_pledge *kept;
    ck_assert_int_eq(cfa_pledge_find(&kept, book.engine, NULL, "mine"), CFA_OK);
    /* The outage ends, somebody else's calls close the breaker: this pledge still waits for its
     * donor. */
    provider_is_out = false;
    book_advance(&book, OPEN_US + SECOND_US);
    book_settle(&book);
    ck_assert_int_eq(closed(&book), 1);
    for (int hour = 0; hour < 3; hour++) {
        book_advance(&book, HOUR_US);
        book_settle(&book);
    }
    ck_assert_int_eq(state_of(book.engine, kept), CFA_PAYMENT_PENDING);
    int creates = wire.kinds[CFA_CALL_CREATE];
    ck_assert_int_eq(try_gift(&book, &pledge, "mine"), CFA_OK);
    ck_assert_str_eq(cfa_pledge_id(pledge), cfa_pledge_id(kept));
    ck_assert(!cfa_pledge_pending(pledge));
    ck_assert_int_eq(wire.kinds[CFA_CALL_CREATE], creates + 1);
    pledge_pay(&book, pledge);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    cfa_pledge_free(kept);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_refused_pledge_that_nobody_asks_for_again_expires_unsent) {
    struct book book;
    open_with_breaker(&book, _i, CFA_CIRCUIT_REJECT);
    trip(&book);
    cfa_pledge *pledge, *kept;
    expect_error(try_gift(&book, &pledge, "left"), CFA_ECIRCUIT, NULL);
    ck_assert_int_eq(cfa_pledge_find(&kept, book.engine, NULL, "left"), CFA_OK);
    provider_is_out = false;
    for (int hour = 0; hour < 25; hour++) {
        book_advance(&book, HOUR_US);
        book_settle(&book);
    }
    ck_assert_int_eq(state_of(book.engine, kept), CFA_PAYMENT_EXPIRED);
    ck_assert_int_eq(play_books_of(&book).intent_count, FAILURES);
    /* Its key still leads to it, and charges nothing. */
    ck_assert_int_eq(try_gift(&book, &pledge, "left"), CFA_OK);
    ck_assert_int_eq(cfa_pledge_state(pledge), CFA_PAYMENT_EXPIRED);
    ck_assert_int_eq(play_books_of(&book).intent_count, FAILURES);
    cfa_pledge_free(pledge);
    cfa_pledge_free(kept);
    audit(&book);
    book_close(&book);
}
END_TEST

/* A process takes it while the clock is a day ahead, and dies; then the clock is right again. */
START_TEST(a_refused_pledge_stays_unsent_when_the_clock_runs_ahead_and_back) {
    struct book book;
    open_with_breaker(&book, _i, CFA_CIRCUIT_REJECT);
    trip(&book);
    cfa_pledge *pledge, *kept;
    cfa__command *lease;
    expect_error(try_gift(&book, &pledge, "left"), CFA_ECIRCUIT, NULL);
    ck_assert_int_eq(cfa_pledge_find(&kept, book.engine, NULL, "left"), CFA_OK);
    provider_is_out = false;
    book_advance(&book, HOUR_US);
    book_settle(&book);
    cfa_engine *other = book_second_engine(&book);
    cfa_manual_clock_jump(book.clock, 24 * HOUR_US);
    ck_assert_int_eq(cfa__lease_due(&lease, other, CFA__LEASE_MAX), CFA_OK);
    ck_assert_int_gt(((const cfa__lease_answer *)lease->output)->count, 0);
    cfa__command_release(other, lease);
    cfa_engine_close(other);
    cfa_manual_clock_jump(book.clock, -24 * HOUR_US);
    book_advance(&book, HOUR_US);
    book_settle(&book);
    ck_assert_int_eq(state_of(book.engine, kept), CFA_PAYMENT_PENDING);
    ck_assert_int_eq(play_books_of(&book).intent_count, FAILURES);
    ck_assert_int_eq(try_gift(&book, &pledge, "left"), CFA_OK);
    ck_assert_int_eq(play_books_of(&book).intent_count, FAILURES + 1);
    cfa_pledge_free(pledge);
    cfa_pledge_free(kept);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(while_open_a_queued_pledge_is_pending_and_goes_out_by_itself) {
    struct book book;
    open_with_breaker(&book, _i, CFA_CIRCUIT_QUEUE);
    trip(&book);
    int calls = wire.calls;
    cfa_pledge *pledge;
    ck_assert_int_eq(try_gift(&book, &pledge, "patient"), CFA_OK);
    ck_assert(cfa_pledge_pending(pledge));
    ck_assert_int_eq(wire.calls, calls);
    provider_is_out = false;
    for (int minute = 0; minute < 3; minute++) {
        book_advance(&book, MINUTE_US);
        book_settle(&book);
    }
    cfa_pledge *again;
    ck_assert_int_eq(try_gift(&book, &again, "patient"), CFA_OK);
    ck_assert(!cfa_pledge_pending(again));
    pledge_pay(&book, again);
    ck_assert_int_eq(state_of(book.engine, again), CFA_PAYMENT_COMPLETED);
    cfa_pledge_free(again);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

static long long batches_of(struct book *book) {
    char *json;
    ck_assert_int_eq(cfa_engine_statistics(&json, book->engine), CFA_OK);
    const char *batches = strstr(json, "\"batches\":");
    ck_assert_ptr_nonnull(batches);
    long long count = strtoll(batches + strlen("\"batches\":"), NULL, 10);
    cfa_free(json);
    return count;
}

START_TEST(who_waits_while_open_waits_and_does_not_ask_again_and_again) {
    struct book book;
    open_with_breaker(&book, _i, CFA_CIRCUIT_QUEUE);
    trip(&book);
    cfa_pledge *pledge, *again;
    ck_assert_int_eq(try_gift(&book, &pledge, "patient"), CFA_OK);
    book_advance(&book, 2 * SECOND_US); /* what meets the outage is due again */
    long long batches = batches_of(&book);
    cfa_pledge_spec spec = gift(&book, "meets-the-outage-0", 100);
    spec.timeout_ms = 300;
    ck_assert_int_eq(cfa_pledge_create(&again, book.engine, &spec), CFA_OK);
    ck_assert(cfa_pledge_pending(again));
    ck_assert_int_lt(batches_of(&book) - batches, 8);
    cfa_pledge_free(again);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(half_open_lets_one_call_try_and_a_failure_opens_it_again) {
    struct book book;
    open_with_breaker(&book, _i, CFA_CIRCUIT_REJECT);
    trip(&book);
    for (int round = 1; round <= 4; round++) {
        int calls = wire.calls;
        book_advance(&book, OPEN_US + SECOND_US);
        book_settle(&book);
        ck_assert_int_eq(wire.calls, calls + 1);
        ck_assert_int_eq(probed(&book), round);
        ck_assert_int_eq(opened(&book), 1 + round);
        cfa_pledge *pledge;
        expect_error(try_gift(&book, &pledge, "during"), CFA_ECIRCUIT, NULL);
        ck_assert_int_eq(wire.calls, calls + 1);
    }
    provider_is_out = false;
    book_advance(&book, OPEN_US + SECOND_US);
    book_settle(&book);
    ck_assert_int_eq(closed(&book), 1);
    ck_assert_int_eq(probed(&book), 5);
    book_advance(&book, 10 * MINUTE_US);
    book_settle(&book);
    ck_assert_int_eq(closed(&book), 1);
    ck_assert_int_eq(play_books_of(&book).intent_count, FAILURES);
    audit(&book);
    book_close(&book);
}
END_TEST

static void call_timing_out(struct book *book, const cfa_call *call, cfa_arena *arena,
                            cfa_reply *out) {
    if (provider_is_out) {
        out->unavailable = 1;
        out->stored =
            1; /* UNKNOWN, and asking again with the key is useless: only look-ups follow */
    } else {
        hooked_pass(book, call, arena, out);
    }
}

START_TEST(a_look_up_that_finds_nothing_closes_it_too) {
    struct book book;
    open_with_breaker(&book, _i, CFA_CIRCUIT_REJECT);
    wire.hook = call_timing_out;
    trip(&book);
    provider_is_out = false;
    int lookups = wire.kinds[CFA_CALL_LOOKUP];
    for (int second = 0; second < 90 && wire.kinds[CFA_CALL_LOOKUP] == lookups; second++) {
        book_advance(&book, SECOND_US);
        book_settle(&book);
    }
    ck_assert_int_eq(closed(&book), 1);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_donor_may_be_the_one_who_tries) {
    struct book book;
    open_with_breaker(&book, _i, CFA_CIRCUIT_REJECT);
    trip(&book);
    provider_is_out = false;
    cfa_pledge *pledge;
    expect_error(try_gift(&book, &pledge, "donor"), CFA_ECIRCUIT, NULL);
    book_advance(&book, OPEN_US + SECOND_US);
    ck_assert_int_eq(try_gift(&book, &pledge, "donor"), CFA_OK);
    ck_assert(!cfa_pledge_pending(pledge));
    ck_assert_int_eq(probed(&book), 1);
    cfa_pledge_free(pledge);
    book_settle(&book);
    ck_assert_int_eq(closed(&book), 1);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_second_process_sees_it_open_and_sees_it_closed) {
    struct book book;
    open_with_breaker(&book, _i, CFA_CIRCUIT_REJECT);
    cfa_engine *other = book_second_engine(&book);
    trip(&book);
    settle(other);
    book_advance(&book, SECOND_US);
    settle(other);
    cfa_pledge_spec spec = gift(&book, "elsewhere", 100);
    cfa_pledge *pledge = NULL;
    int calls = wire.calls;
    expect_error(cfa_pledge_create(&pledge, other, &spec), CFA_ECIRCUIT, NULL);
    ck_assert_int_eq(wire.calls, calls);
    provider_is_out = false;
    book_advance(&book, OPEN_US);
    book_settle(&book);
    ck_assert_int_eq(closed(&book), 1);
    book_advance(&book, SECOND_US);
    settle(other);
    ck_assert_int_eq(cfa_pledge_create(&pledge, other, &spec), CFA_OK);
    cfa_pledge_free(pledge);
    ck_assert_int_eq(opened(&book), 1);
    ck_assert_int_eq(closed(&book), 1);
    cfa_engine_close(other);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(it_is_still_open_for_the_first_pledge_after_a_start) {
    struct book book;
    open_with_breaker(&book, _i, CFA_CIRCUIT_REJECT);
    trip(&book);
    provider_is_out = false; /* but nobody asked it yet */
    book_reopen(&book);
    int calls = wire.calls;
    cfa_pledge *pledge;
    expect_error(try_gift(&book, &pledge, "first"), CFA_ECIRCUIT, NULL);
    ck_assert_int_eq(wire.calls, calls);
    ck_assert_int_eq(closed(&book), 0);
    book_advance(&book, OPEN_US + SECOND_US);
    book_settle(&book);
    ck_assert_int_eq(closed(&book), 1);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(one_that_tried_and_died_does_not_keep_it_half_open) {
    struct book book;
    open_with_breaker(&book, _i, CFA_CIRCUIT_REJECT);
    trip(&book);
    book_advance(&book, OPEN_US + SECOND_US);
    /* Another process is let through and never reports. */
    cfa_engine *other = book_second_engine(&book);
    cfa_pulled_call *pulled = NULL;
    settle(other);
    cfa_engine_close(other);
    (void)pulled;
    provider_is_out = false;
    for (int minute = 0; minute < 3; minute++) {
        book_advance(&book, MINUTE_US);
        book_settle(&book);
    }
    ck_assert_int_eq(closed(&book), 1);
    ck_assert_int_eq(play_books_of(&book).intent_count, FAILURES);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(asynchronous_callers_are_refused_and_revived_too) {
    struct book book;
    open_with_breaker(&book, _i, CFA_CIRCUIT_REJECT);
    trip(&book);
    cfa_port *port;
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    cfa_pledge_spec spec = gift(&book, "async", 100);
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(cfa_pledge_create_begin(port, 7, &spec), CFA_OK);
        cfa_completion *completion;
        ck_assert_int_eq(cfa_port_next(&completion, port, 10000), CFA_OK);
        ck_assert_ptr_nonnull(completion);
        if (round == 0) {
            cfa_error error = CFA_ERROR_INIT;
            ck_assert_int_eq(cfa_completion_status(completion), CFA_ECIRCUIT);
            ck_assert_int_eq(cfa_completion_error(&error, completion), CFA_OK);
            ck_assert_int_gt(error.retry_after_ms, 0);
            provider_is_out = false;
            book_advance(&book, OPEN_US + SECOND_US);
        } else {
            ck_assert_int_eq(cfa_completion_status(completion), CFA_OK);
            cfa_pledge *pledge = cfa_completion_pledge(completion);
            ck_assert(!cfa_pledge_pending(pledge));
            cfa_pledge_free(pledge);
        }
        cfa_completion_free(completion);
    }
    cfa_port_free(port);
    book_settle(&book);
    audit(&book);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine circuit");
    add_per_store(suite, "opens", an_outage_opens_it_once_and_keeps_calls_from_the_provider);
    add_per_store(suite, "declines", declines_never_open_it);
    add_per_store(suite, "weather", a_part_of_many_calls_failing_never_opens_it);
    add_per_store(suite, "reject",
                  while_open_a_pledge_is_kept_refused_and_revived_by_its_key_alone);
    add_per_store(suite, "expires", a_refused_pledge_that_nobody_asks_for_again_expires_unsent);
    add_per_store(suite, "ahead", a_refused_pledge_stays_unsent_when_the_clock_runs_ahead_and_back);
    add_per_store(suite, "queue", while_open_a_queued_pledge_is_pending_and_goes_out_by_itself);
    add_per_store(suite, "waits", who_waits_while_open_waits_and_does_not_ask_again_and_again);
    add_per_store(suite, "half_open", half_open_lets_one_call_try_and_a_failure_opens_it_again);
    add_per_store(suite, "look_up", a_look_up_that_finds_nothing_closes_it_too);
    add_per_store(suite, "donor_tries", a_donor_may_be_the_one_who_tries);
    add_per_store(suite, "processes", a_second_process_sees_it_open_and_sees_it_closed);
    add_per_store(suite, "start", it_is_still_open_for_the_first_pledge_after_a_start);
    add_per_store(suite, "died", one_that_tried_and_died_does_not_keep_it_half_open);
    add_per_store(suite, "asynchronous", asynchronous_callers_are_refused_and_revived_too);
    return run_suite(suite, argc, argv);
}
