/*
 * test_engine_review.c - what a review asked of the engine: that nothing idle, unsent or refused
 * passes for a word of the provider, and that who waits is let go in time.
 */
#include "core/engine/engine.h"
#include "core/flying.h"
#include "core/hooked.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define FAILURES 5
#define OPEN_US (30 * SECOND_US)
#define EXPIRED 20

static struct hooked wire;
static bool provider_is_out;

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

static const char *circuit_of(struct book *book) {
    char *json;
    ck_assert_int_eq(cfa_engine_statistics(&json, book->engine), CFA_OK);
    const char *state = strstr(json, "\"circuit_state\":\"CLOSED\"") != NULL ? "CLOSED"
                        : strstr(json, "\"circuit_state\":\"OPEN\"") != NULL ? "OPEN"
                                                                             : "HALF_OPEN";
    cfa_free(json);
    return state;
}

static cfa_status try_gift(struct book *book, const char *key, cfa_wait wait) {
    cfa_pledge_spec spec = gift(book, key, 100);
    cfa_pledge *pledge = NULL;
    spec.timeout_ms = 1500;
    spec.wait = wait;
    cfa_status status = cfa_pledge_create(&pledge, book->engine, &spec);
    cfa_pledge_free(pledge);
    return status;
}

static void trip(struct book *book) {
    provider_is_out = true;
    for (int i = 0; i < FAILURES; i++) {
        char key[32];
        snprintf(key, sizeof key, "meets-the-outage-%d", i);
        ck_assert_int_eq(try_gift(book, key, CFA_WAIT_COMMIT), CFA_OK);
        book_settle(book);
    }
    ck_assert_str_eq(circuit_of(book), "OPEN");
}

START_TEST(pledges_that_end_unsent_do_not_take_the_turn_of_a_call_that_tries) {
    struct book book;
    provider_is_out = false;
    book_prepare(&book, _i);
    book.options.circuit_failures = FAILURES;
    hooked_use(&wire, &book, call_in_outage);
    book_start(&book);
    trip(&book);
    for (int i = 0; i < EXPIRED; i++) {
        char key[32];
        snprintf(key, sizeof key, "left-%d", i);
        ck_assert_int_eq(try_gift(&book, key, CFA_WAIT_ANSWER), CFA_ECIRCUIT);
    }
    /* A night without the provider, and without anybody who would try. */
    book_advance(&book, 25 * HOUR_US);
    provider_is_out = false;
    int seconds = 0;
    cfa_status status;
    do {
        book_advance(&book, SECOND_US);
        book_settle(&book);
        status = try_gift(&book, "morning", CFA_WAIT_ANSWER);
        seconds++;
    } while (status != CFA_OK && seconds < 3600);
    ck_assert_int_le(seconds, OPEN_US / SECOND_US + 1);
    book_settle(&book);
    ck_assert_str_eq(circuit_of(&book), "CLOSED");
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_call_that_cannot_start_says_nothing_about_the_provider) {
    struct book book;
    struct flying flying;
    book_prepare(&book, _i);
    book.options.circuit_failures = FAILURES;
    flying_use(&flying, &book);
    book_start(&book);
    for (int i = 0; i < FAILURES; i++) {
        char key[32];
        snprintf(key, sizeof key, "meets-the-outage-%d", i);
        ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_NOT_SENT), CFA_OK);
        ck_assert_int_eq(try_gift(&book, key, CFA_WAIT_COMMIT), CFA_OK);
        book_settle(&book);
    }
    ck_assert_str_eq(circuit_of(&book), "OPEN");
    flying.fate = FLY_REFUSED;
    book_advance(&book, OPEN_US + SECOND_US);
    book_settle(&book);
    ck_assert_int_gt(flying.refused, 0);
    ck_assert_str_ne(circuit_of(&book), "CLOSED");
    flying.fate = FLY_NOW;
    for (int minute = 0; minute < 3; minute++) {
        book_advance(&book, MINUTE_US);
        book_settle(&book);
    }
    ck_assert_str_eq(circuit_of(&book), "CLOSED");
    ck_assert_int_eq(play_books_of(&book).intent_count, FAILURES);
    audit(&book);
    book_close(&book);
    flying_close(&flying);
}
END_TEST

/* ---- commits whose word is lost ---------------------------------------------------------------- */

static uint64_t commits, doubtful;
static int32_t doubt;

static int32_t decide_doubt(void *user, int32_t call, uint64_t number, cfa_status *out_status) {
    (void)user, (void)number, (void)out_status;
    return call == CFA_FAULT_COMMIT && ++commits == doubtful ? doubt : CFA_FAULT_PASS;
}

/* From the outage to the donation of a pledge that was refused meanwhile. */
static void through_an_outage(struct book *book) {
    provider_is_out = false;
    book_prepare(book, STORE_MEMORY);
    book->options.circuit_failures = FAILURES;
    book_wrap(book, decide_doubt, NULL);
    hooked_use(&wire, book, call_in_outage);
    book_start(book);
    trip(book);
    ck_assert_int_eq(try_gift(book, "mine", CFA_WAIT_ANSWER), CFA_ECIRCUIT);
    provider_is_out = false;
    book_advance(book, OPEN_US + SECOND_US);
    ck_assert_int_eq(try_gift(book, "mine", CFA_WAIT_ANSWER), CFA_OK);
    ck_assert_int_eq(wire.kinds[CFA_CALL_CREATE], FAILURES + 1);
    cfa_pledge *pledge = pledge_make(book, "mine", 100);
    pledge_pay(book, pledge);
    ck_assert_int_eq(state_of(book->engine, pledge), CFA_PAYMENT_COMPLETED);
    cfa_pledge_free(pledge);
    for (int minute = 0; minute < 3; minute++) {
        book_advance(book, MINUTE_US);
        book_settle(book);
    }
    ck_assert_str_eq(circuit_of(book), "CLOSED");
    ck_assert_int_eq(play_books_of(book).intent_count, FAILURES + 1);
    ck_assert_int_eq(play_books_of(book).charge_count, 1);
    audit(book);
    book_close(book);
}

START_TEST(a_commit_in_doubt_anywhere_in_an_outage_charges_once_and_loses_nothing) {
    struct book book;
    doubt = _i == 0 ? CFA_FAULT_DOUBT_DONE : CFA_FAULT_DOUBT_NOT_DONE;
    doubtful = 0;
    uint64_t last = 1;
    for (; doubtful <= last; doubtful++) {
        commits = 0;
        through_an_outage(&book);
        last = commits;
    }
    ck_assert_uint_gt(last, 20);
}
END_TEST

START_TEST(a_clock_that_is_set_back_does_not_keep_it_open) {
    struct book book;
    provider_is_out = false;
    book_prepare(&book, _i);
    book.options.circuit_failures = FAILURES;
    hooked_use(&wire, &book, call_in_outage);
    book_start(&book);
    trip(&book);
    cfa_manual_clock_jump(book.clock, -2 * DAY_US);
    provider_is_out = false;
    for (int minute = 0; minute < 2; minute++) {
        book_advance(&book, MINUTE_US);
        book_settle(&book);
    }
    ck_assert_str_eq(circuit_of(&book), "CLOSED");
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- news during a read ------------------------------------------------------------------------- */

static const cfa_pledge *read_meanwhile;

/* The provider answers a read; then the donor pays, and an event that only names the payment comes
 * in before the answer is taken in. */
static void call_with_news(struct book *book, const cfa_call *call, cfa_arena *arena,
                           cfa_reply *out) {
    hooked_pass(book, call, arena, out);
    if (call->kind != CFA_CALL_RETRIEVE || read_meanwhile == NULL)
        return;
    const cfa_pledge *pledge = read_meanwhile;
    read_meanwhile = NULL;
    ck_assert_int_eq(cfa_play_confirm(book->play, cfa_pledge_client_secret(pledge), "pm_ok"),
                     CFA_OK);
    cfa_webhook_event event = { sizeof event, "evt_thin", "thin", "", 0, 1, 1, CFA_FACTS_INIT };
    cfa_webhook_verdict verdict;
    event.facts.ref = call->ref;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book->engine, &event, 20000), CFA_OK);
    ck_assert_int_eq(verdict, CFA_WEBHOOK_APPLIED);
}

START_TEST(an_event_that_asks_for_a_read_during_one_gets_another) {
    struct book book;
    book_prepare(&book, _i);
    hooked_use(&wire, &book, call_with_news);
    book_start(&book);
    cfa_pledge *pledge = pledge_make(&book, "k", 100);
    for (int minute = 0; minute < 15; minute++) { /* the next probe is rare by now */
        book_advance(&book, MINUTE_US);
        book_settle(&book);
    }
    read_meanwhile = pledge;
    for (int minute = 0; minute < 60 && read_meanwhile != NULL; minute++) {
        book_advance(&book, MINUTE_US);
        book_settle(&book);
    }
    ck_assert_ptr_null(read_meanwhile);
    book_advance(&book, 2 * SECOND_US);
    book_settle(&book);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(totals_of(&book).raised_minor, 100);
    int reads = wire.kinds[CFA_CALL_RETRIEVE];
    book_advance(&book, DAY_US);
    book_settle(&book);
    ck_assert_int_eq(wire.kinds[CFA_CALL_RETRIEVE], reads);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- a reply that comes after the other key -------------------------------------------------------- */

static cfa_engine *other;
static int lookups, lookups_wanted, creates_elsewhere;

/* The first process hangs in its call until the other one has proved that nothing was done and made
 * a new key, which it has not used yet. */
static void call_that_hangs(struct book *book, const cfa_call *call, cfa_arena *arena,
                            cfa_reply *out) {
    static bool hangs;
    if (other == NULL) {
        hooked_pass(book, call, arena, out);
        return;
    }
    if (!hangs) {
        hangs = true;
        for (int second = 0; second < 3 * 3600 && lookups < lookups_wanted; second++) {
            book_advance(book, SECOND_US);
            int32_t done;
            ck_assert_int_eq(cfa_engine_tick(&done, other, CFA_WORK_ALL, 0), CFA_OK);
        }
        hangs = false;
        hooked_pass(book, call, arena, out);
        return;
    }
    bool first_key = call->idempotency_key[strlen(call->idempotency_key) - 1] == '1';
    creates_elsewhere += call->kind == CFA_CALL_CREATE && !first_key;
    lookups += call->kind == CFA_CALL_LOOKUP;
    if (call->kind == CFA_CALL_LOOKUP)
        out->outcome = CFA_OUTCOME_NOT_SENT;
}

static int64_t charges_after_a_late_reply(int store, int wanted) {
    struct book book;
    lookups = creates_elsewhere = 0;
    lookups_wanted = wanted;
    book_prepare(&book, store);
    book.play_options.one_step = 1;
    hooked_use(&wire, &book, call_that_hangs);
    book_start(&book);
    other = book_second_engine(&book);
    cfa_pledge *pledge = pledge_make(&book, "k", 100);
    cfa_engine *second = other;
    other = NULL;
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    for (int minute = 0; minute < 60; minute++) {
        book_advance(&book, MINUTE_US);
        settle(second);
    }
    int64_t charges = play_books_of(&book).charge_count;
    cfa_pledge_free(pledge);
    cfa_engine_close(second);
    book_close(&book);
    return charges;
}

START_TEST(a_late_reply_keeps_a_new_key_from_being_used) {
    /* However far the other process had come, short of using the new key. */
    int wanted = 1;
    for (; wanted < 10; wanted++) {
        int64_t charges = charges_after_a_late_reply(_i, wanted);
        if (creates_elsewhere > 0)
            break;
        ck_assert_int_eq(charges, 1);
    }
    ck_assert_int_gt(wanted, 2);
}
END_TEST

/* ---- slow readers ------------------------------------------------------------------------------- */

START_TEST(a_tick_waits_for_nobodys_reading) {
    struct book book;
    book_open(&book, _i);
    cfa__reader *readers[CFA__READERS_MAX], *late;
    cfa_pledge_free(commit_only(&book, "k", 100));
    for (size_t i = 0; i < COUNT(readers); i++)
        ck_assert_int_eq(
            cfa__read_begin(&readers[i], book.engine, cfa__deadline_us(book.engine, 0)), CFA_OK);
    int64_t before_us = cfa__real_us();
    book_settle(&book);
    ck_assert_int_lt(cfa__real_us() - before_us, PATIENCE_MS / 2 * 1000);
    expect_error(cfa__read_begin(&late, book.engine, cfa__deadline_us(book.engine, 50)),
                 CFA_ETIMEOUT, NULL);
    for (size_t i = 0; i < COUNT(readers); i++)
        cfa__read_end(book.engine, readers[i]);
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- a store that fails ------------------------------------------------------------------------- */

static bool disk_is_full;

static int32_t decide_full(void *user, int32_t call, uint64_t number, cfa_status *out_status) {
    (void)user, (void)number;
    *out_status = CFA_ENOSPACE;
    return disk_is_full && call == CFA_FAULT_SAVE ? CFA_FAULT_FAIL : CFA_FAULT_PASS;
}

START_TEST(a_store_that_fails_keeps_no_loop_busy) {
    struct book book;
    disk_is_full = false;
    book_prepare(&book, _i);
    book_wrap(&book, decide_full, NULL);
    book_start(&book);
    cfa_pledge_free(commit_only(&book, "k", 100));
    disk_is_full = true;
    int32_t done;
    int wakes = 0;
    expect_error(cfa_engine_tick(&done, book.engine, CFA_WORK_ALL, 5), CFA_ENOSPACE, NULL);
    ck_assert_int_gt(cfa_engine_next_due_ms(book.engine, CFA_WORK_ALL), 0);
    book_run_clock(&book);
    int64_t until_us = cfa__real_us() + SECOND_US;
    while (cfa__real_us() < until_us) { /* a host's loop */
        struct pollfd descriptor = { cfa_engine_descriptor(book.engine), POLLIN, 0 };
        (void)poll(&descriptor, 1, cfa_engine_next_due_ms(book.engine, CFA_WORK_ALL));
        (void)!cfa_engine_tick(&done, book.engine, CFA_WORK_ALL, 5);
        wakes++;
    }
    ck_assert_int_lt(wakes, 100);
    disk_is_full = false;
    book_advance(&book, SECOND_US);
    book_settle(&book);
    ck_assert_int_eq(play_books_of(&book).intent_count, 1);
    audit(&book);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine review");
    add_per_store(suite, "unsent",
                  pledges_that_end_unsent_do_not_take_the_turn_of_a_call_that_tries);
    add_per_store(suite, "start", a_call_that_cannot_start_says_nothing_about_the_provider);
    add_per_store(suite, "doubt",
                  a_commit_in_doubt_anywhere_in_an_outage_charges_once_and_loses_nothing);
    add_per_store(suite, "set_back", a_clock_that_is_set_back_does_not_keep_it_open);
    add_per_store(suite, "read", an_event_that_asks_for_a_read_during_one_gets_another);
    add_per_store(suite, "late", a_late_reply_keeps_a_new_key_from_being_used);
    add_per_store(suite, "readers", a_tick_waits_for_nobodys_reading);
    add_per_store(suite, "full", a_store_that_fails_keeps_no_loop_busy);
    return run_suite(suite, argc, argv);
}
