/*
 * test_engine_review.c - what a review asked of the engine: that nothing idle, unsent or refused
 * passes for a word of the provider, and that who waits is let go in time.
 */
#include "core/flying.h"
#include "core/hooked.h"

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
        char key[24];
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
        char key[24];
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
        char key[24];
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

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine review");
    add_per_store(suite, "unsent",
                  pledges_that_end_unsent_do_not_take_the_turn_of_a_call_that_tries);
    add_per_store(suite, "start", a_call_that_cannot_start_says_nothing_about_the_provider);
    return run_suite(suite, argc, argv);
}
