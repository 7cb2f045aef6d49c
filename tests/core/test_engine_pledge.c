/*
 * test_engine_pledge.c - a pledge from its key to its total: made once however often it is asked
 * for, answered with the same bytes for ever, waited for as far as the caller wants.
 */
#define _GNU_SOURCE /* memmem */
#include "support/book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/engine.h"
#include "core/records.h"

#define PRESSES 100

START_TEST(five_lines_take_a_donation_to_a_total) {
    struct book book;
    book_prepare(&book, _i);
    book.play_options.one_step = 1;
    book_start(&book);
    cfa_pledge_spec spec = gift(&book, "first", 2500);
    spec.wait = CFA_WAIT_PAID;
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
    ck_assert_int_eq(cfa_pledge_state(pledge), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(totals_of(&book).raised_minor, 2500);
    ck_assert_int_eq(totals_of(&book).donor_count, 1);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_two_step_pledge_is_paid_when_its_donor_confirms) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 1999);
    ck_assert(!cfa_pledge_pending(pledge) && !cfa_pledge_replayed(pledge));
    ck_assert_int_eq(cfa_pledge_state(pledge), CFA_PAYMENT_PENDING);
    ck_assert_int_eq(totals_of(&book).pledged_minor, 1999);
    ck_assert_int_eq(cfa_play_confirm(book.play, cfa_pledge_client_secret(pledge), "pm_ok"),
                     CFA_OK);
    /* No webhook comes: the wait asks the provider by itself. */
    cfa_payment *payment;
    ck_assert_int_eq(
        cfa_payment_wait(&payment, book.engine, cfa_pledge_payment_id(pledge), PATIENCE_MS),
        CFA_OK);
    ck_assert_int_eq(cfa_payment_state_of(payment), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(totals_of(&book).raised_minor, 1999);
    ck_assert_int_eq(totals_of(&book).pledged_minor, 0);
    cfa_payment_free(payment);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_double_click_is_answered_with_the_same_bytes) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *first = pledge_make(&book, "click", 500), *again = pledge_make(&book, "click", 500);
    ck_assert(!cfa_pledge_replayed(first) && cfa_pledge_replayed(again));
    ck_assert_str_eq(cfa_pledge_id(first), cfa_pledge_id(again));
    ck_assert(answers_equal(first, again));
    ck_assert_str_eq(cfa_pledge_client_secret(first), cfa_pledge_client_secret(again));
    pledge_pay(&book, first);
    cfa_pledge *paid = pledge_make(&book, "click", 500);
    ck_assert(answers_equal(first, paid));
    ck_assert_int_eq(cfa_pledge_state(paid), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(rows_of(&book, "pledge"), 1);
    ck_assert_int_eq(play_books_of(&book).intent_count, 1);
    cfa_pledge_free(first);
    cfa_pledge_free(again);
    cfa_pledge_free(paid);
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- one key from many threads --------------------------------------------------------------- */

struct press {
    struct book *book;
    const char *key;
    cfa_status statuses[PRESSES];
    cfa_pledge *pledges[PRESSES];
};

static void press_once(void *user, int index) {
    struct press *press = user;
    cfa_pledge_spec spec = gift(press->book, press->key, 700);
    press->statuses[index] = cfa_pledge_create(&press->pledges[index], press->book->engine, &spec);
}

static void press_all(int store, const char *key, int32_t delay_ms) {
    struct book book;
    book_open(&book, store);
    cfa_play_weather weather = CFA_PLAY_WEATHER_INIT;
    weather.delay_ms_max = delay_ms;
    ck_assert_int_eq(cfa_play_weather_set(book.play, &weather), CFA_OK);
    struct press press = { .book = &book, .key = key };
    together(PRESSES, press_once, &press);
    int replays = 0;
    for (int i = 0; i < PRESSES; i++) {
        ck_assert_msg(press.statuses[i] == CFA_OK, "press %d: %s", i,
                      cfa_status_name(press.statuses[i]));
        ck_assert(!cfa_pledge_pending(press.pledges[i]));
        ck_assert(answers_equal(press.pledges[0], press.pledges[i]));
        replays += cfa_pledge_replayed(press.pledges[i]) != 0;
    }
    ck_assert_int_eq(replays, PRESSES - 1);
    ck_assert_int_eq(rows_of(&book, "pledge"), 1);
    ck_assert_int_eq(rows_of(&book, "payment"), 1);
    ck_assert_int_eq(play_books_of(&book).intent_count, 1);
    for (int i = 0; i < PRESSES; i++)
        cfa_pledge_free(press.pledges[i]);
    audit(&book);
    book_close(&book);
}

START_TEST(a_hundred_threads_with_one_key_make_one_pledge) { press_all(_i, "everybody", 0); }
END_TEST

START_TEST(threads_join_the_wait_for_a_slow_provider) {
    press_all(_i, "0192f0c1-7a3b-7def-8123-456789abcdef", 30);
}
END_TEST

static void press_own(void *user, int index) {
    struct press *press = user;
    char key[32];
    snprintf(key, sizeof key, "own-%d", index);
    cfa_pledge_spec spec = gift(press->book, key, 100 + index);
    press->statuses[index] = cfa_pledge_create(&press->pledges[index], press->book->engine, &spec);
}

START_TEST(threads_with_keys_of_their_own_all_get_their_own_pledge) {
    struct book book;
    book_open(&book, _i);
    struct press press = { .book = &book };
    together(PRESSES, press_own, &press);
    int64_t sum = 0;
    for (int i = 0; i < PRESSES; i++) {
        ck_assert_int_eq(press.statuses[i], CFA_OK);
        ck_assert_int_eq(cfa_pledge_amount(press.pledges[i]).minor, 100 + i);
        ck_assert(!cfa_pledge_replayed(press.pledges[i]) && !cfa_pledge_pending(press.pledges[i]));
        sum += 100 + i;
        cfa_pledge_free(press.pledges[i]);
    }
    ck_assert_int_eq(totals_of(&book).pledged_minor, sum);
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- keys ------------------------------------------------------------------------------------ */

START_TEST(a_key_with_another_request_names_the_field) {
    struct book book;
    book_open(&book, _i);
    cfa_campaign_spec other = CFA_CAMPAIGN_SPEC_INIT;
    other.key = "other-campaign";
    other.title = "Schools";
    other.currencies = "EUR";
    cfa_campaign *campaign;
    ck_assert_int_eq(cfa_campaign_create(&campaign, book.engine, &other), CFA_OK);
    cfa_pledge_free(pledge_make(&book, "k", 500));
    int64_t rows = all_rows_of(&book);
    cfa_pledge *untouched = NULL;
    cfa_pledge_spec spec = gift(&book, "k", 501);
    expect_error(cfa_pledge_create(&untouched, book.engine, &spec), CFA_EKEYREUSE, "amount.minor");
    spec = gift(&book, "k", 500);
    memcpy(spec.amount.currency, "USD", 4);
    expect_error(cfa_pledge_create(&untouched, book.engine, &spec), CFA_EKEYREUSE,
                 "amount.currency");
    spec = gift(&book, "k", 500);
    spec.campaign_id = cfa_campaign_id(campaign);
    expect_error(cfa_pledge_create(&untouched, book.engine, &spec), CFA_EKEYREUSE, "campaign_id");
    /* The campaign's own key, used for a pledge. */
    spec = gift(&book, "other-campaign", 500);
    expect_error(cfa_pledge_create(&untouched, book.engine, &spec), CFA_EKEYREUSE, "key");
    ck_assert_ptr_null(untouched);
    ck_assert_int_eq(all_rows_of(&book), rows);
    /* What is not part of the fingerprint may differ. */
    spec = gift(&book, "k", 500);
    spec.payment_method = "pm_declined";
    spec.donor_name = "Somebody Else";
    spec.donor_message = "Different";
    ck_assert_int_eq(cfa_pledge_create(&untouched, book.engine, &spec), CFA_OK);
    ck_assert(cfa_pledge_replayed(untouched));
    ck_assert_ptr_null(cfa_pledge_donor_name(untouched));
    cfa_pledge_free(untouched);
    cfa_campaign_free(campaign);
    book_close(&book);
}
END_TEST

START_TEST(a_key_of_another_scope_is_another_key) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge_spec spec = gift(&book, "same", 500);
    cfa_pledge *host, *visitor, *found;
    ck_assert_int_eq(cfa_pledge_create(&host, book.engine, &spec), CFA_OK);
    spec.scope = "visitor";
    ck_assert_int_eq(cfa_pledge_create(&visitor, book.engine, &spec), CFA_OK);
    ck_assert(!cfa_pledge_replayed(visitor));
    ck_assert_str_ne(cfa_pledge_id(host), cfa_pledge_id(visitor));
    ck_assert_int_eq(cfa_pledge_find(&found, book.engine, "visitor", "same"), CFA_OK);
    ck_assert_str_eq(cfa_pledge_id(found), cfa_pledge_id(visitor));
    ck_assert(answers_equal(found, visitor));
    cfa_pledge_free(found);
    ck_assert_int_eq(cfa_pledge_find(&found, book.engine, NULL, "same"), CFA_OK);
    ck_assert_str_eq(cfa_pledge_id(found), cfa_pledge_id(host));
    cfa_pledge_free(found);
    expect_error(cfa_pledge_find(&found, book.engine, "nobody", "same"), CFA_ENOTFOUND, "key");
    expect_error(cfa_pledge_find(&found, book.engine, NULL, "the-campaign"), CFA_ENOTFOUND, "key");
    expect_error(cfa_pledge_find(&found, book.engine, NULL, ""), CFA_EKEY, "key");
    cfa_pledge_free(host);
    cfa_pledge_free(visitor);
    book_close(&book);
}
END_TEST

static void key_outlives_everything(int store, const char *key) {
    struct book book;
    book_open(&book, store);
    cfa_pledge *first = pledge_make(&book, key, 900);
    pledge_pay(&book, first);
    book_reopen(&book);
    cfa_pledge *restarted = pledge_make(&book, key, 900);
    ck_assert(cfa_pledge_replayed(restarted) && answers_equal(first, restarted));
    for (int day = 0; day < 31; day++) {
        book_advance(&book, DAY_US);
        book_settle(&book);
    }
    ck_assert_int_eq(rows_of(&book, "answer"), 0);
    book_reopen(&book);
    cfa_pledge *late = pledge_make(&book, key, 900);
    ck_assert_str_eq(cfa_pledge_id(late), cfa_pledge_id(first));
    ck_assert(cfa_pledge_replayed(late) && !cfa_pledge_pending(late));
    /* The stored answer is gone, its secret with it: what the key leads to is the pledge as it
     * stands. */
    ck_assert(!answers_equal(first, late) && cfa_pledge_answer(late).size > 0);
    ck_assert_ptr_null(cfa_pledge_client_secret(late));
    ck_assert_int_eq(cfa_pledge_state(late), CFA_PAYMENT_COMPLETED);
    cfa_pledge_spec spec = gift(&book, key, 901);
    cfa_pledge *untouched;
    expect_error(cfa_pledge_create(&untouched, book.engine, &spec), CFA_EKEYREUSE, "amount.minor");
    ck_assert_int_eq(play_books_of(&book).intent_count, 1);
    ck_assert_int_eq(play_books_of(&book).charge_count, 1);
    ck_assert_int_eq(totals_of(&book).raised_minor, 900);
    cfa_pledge_free(first);
    cfa_pledge_free(restarted);
    cfa_pledge_free(late);
    audit(&book);
    book_close(&book);
}

START_TEST(a_random_key_never_charges_again_after_31_days) {
    key_outlives_everything(_i, "a-random-key");
}
END_TEST

START_TEST(a_time_ordered_key_never_charges_again_after_31_days) {
    key_outlives_everything(_i, "0192f0c1-7a3b-7def-8123-456789abcdef");
}
END_TEST

START_TEST(random_keys_are_found_in_every_generation) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledges[6];
    char key[16];
    for (int generation = 0; generation < 6; generation++) {
        snprintf(key, sizeof key, "g%d", generation);
        pledges[generation] = pledge_make(&book, key, 100);
        for (int old = 0; old <= generation; old++) {
            snprintf(key, sizeof key, "g%d", old);
            cfa_pledge *again = pledge_make(&book, key, 100), *found;
            ck_assert(cfa_pledge_replayed(again) && answers_equal(again, pledges[old]));
            ck_assert_int_eq(cfa_pledge_find(&found, book.engine, NULL, key), CFA_OK);
            ck_assert_str_eq(cfa_pledge_id(found), cfa_pledge_id(again));
            cfa_pledge_free(again);
            cfa_pledge_free(found);
        }
        /* As if 65,536 keys had come. */
        int64_t before = atomic_load(&book.engine->generation);
        atomic_store(&book.engine->random_keys, 65536);
        for (int step = 0; step < 4 && atomic_load(&book.engine->generation) == before; step++) {
            book_advance(&book, 2 * SECOND_US);
            book_settle(&book);
        }
        ck_assert_int_eq(atomic_load(&book.engine->generation), before + 1);
        if (generation == 3)
            book_reopen(&book);
    }
    ck_assert_int_ge(rows_of(&book, "key"), 4);
    ck_assert_int_eq(rows_of(&book, "pledge"), 6);
    for (int i = 0; i < 6; i++)
        cfa_pledge_free(pledges[i]);
    audit(&book);
    book_close(&book);
}
END_TEST

/* Two engines on one book: the other one rotates the keys while this one still remembers the old
 * generation. */
START_TEST(a_key_rotated_by_another_engine_is_still_found) {
    struct book book;
    book_open(&book, _i);
    cfa_engine *other = book_second_engine(&book);
    cfa_pledge *first = pledge_make(&book, "moving", 100);
    for (int round = 0; round < 3; round++) {
        atomic_store(&other->random_keys, 65536);
        for (int step = 0; step < 3; step++) {
            book_advance(&book, 2 * SECOND_US);
            settle(other);
        }
        cfa_pledge *again = pledge_make(&book, "moving", 100);
        ck_assert(cfa_pledge_replayed(again) && answers_equal(first, again));
        cfa_pledge_free(again);
    }
    ck_assert_int_gt(atomic_load(&other->generation), atomic_load(&book.engine->generation));
    ck_assert_int_eq(play_books_of(&book).intent_count, 1);
    cfa_pledge_free(first);
    cfa_engine_close(other);
    book_close(&book);
}
END_TEST

/* ---- waiting --------------------------------------------------------------------------------- */

START_TEST(wait_commit_returns_before_the_provider_is_asked) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge_spec spec = gift(&book, "k", 100);
    spec.wait = CFA_WAIT_COMMIT;
    cfa_pledge *pledge, *answered;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
    ck_assert(cfa_pledge_pending(pledge));
    ck_assert_uint_eq(cfa_pledge_answer(pledge).size, 0);
    ck_assert_int_eq(play_books_of(&book).call_count, 0);
    ck_assert_int_eq(cfa_engine_next_due_ms(book.engine, CFA_WORK_CALLS), 0);
    book_settle(&book);
    ck_assert_int_eq(play_books_of(&book).intent_count, 1);
    ck_assert_int_eq(cfa_pledge_create(&answered, book.engine, &spec), CFA_OK);
    ck_assert(!cfa_pledge_pending(answered) && cfa_pledge_replayed(answered));
    ck_assert_ptr_nonnull(cfa_pledge_client_secret(answered));
    cfa_pledge_free(pledge);
    cfa_pledge_free(answered);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_pending_answer_is_fixed_when_the_provider_answers) {
    struct book book;
    book_open(&book, _i);
    ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_REPLY_LOST), CFA_OK);
    cfa_pledge_spec spec = gift(&book, "k", 100);
    spec.timeout_ms = 20;
    cfa_pledge *pending, *again, *fixed, *later;
    ck_assert_int_eq(cfa_pledge_create(&pending, book.engine, &spec), CFA_OK);
    ck_assert(cfa_pledge_pending(pending));
    ck_assert_int_eq(cfa_pledge_create(&again, book.engine, &spec), CFA_OK);
    ck_assert(cfa_pledge_pending(again) && cfa_pledge_replayed(again));
    ck_assert_uint_eq(flags_of(book.engine, pending) & CFA_PAYMENT_FLAG_UNKNOWN,
                      CFA_PAYMENT_FLAG_UNKNOWN);
    book_advance(&book, 2 * SECOND_US);
    spec.timeout_ms = PATIENCE_MS;
    ck_assert_int_eq(cfa_pledge_create(&fixed, book.engine, &spec), CFA_OK);
    ck_assert(!cfa_pledge_pending(fixed) && cfa_pledge_replayed(fixed));
    ck_assert_int_eq(cfa_pledge_create(&later, book.engine, &spec), CFA_OK);
    ck_assert(answers_equal(fixed, later));
    ck_assert_uint_eq(flags_of(book.engine, fixed) & CFA_PAYMENT_FLAG_UNKNOWN, 0);
    ck_assert_int_eq(play_books_of(&book).intent_count, 1);
    pledge_pay(&book, fixed);
    ck_assert_int_eq(state_of(book.engine, fixed), CFA_PAYMENT_COMPLETED);
    cfa_pledge_free(pending);
    cfa_pledge_free(again);
    cfa_pledge_free(fixed);
    cfa_pledge_free(later);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_caller_that_waits_for_the_provider_sleeps) {
    struct book book;
    book_open(&book, _i);
    ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_REPLY_LOST), CFA_OK);
    int64_t batches = atomic_load(&book.engine->statistics.batches);
    cfa_pledge_spec spec = gift(&book, "k", 100);
    spec.timeout_ms = 200;
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_wait(&payment, book.engine, cfa_pledge_payment_id(pledge), 200),
                     CFA_OK);
    /* It looks now and then: at other processes' commits there is no other way to look. */
    ck_assert_int_le(atomic_load(&book.engine->statistics.batches) - batches, 60);
    cfa_payment_free(payment);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

/* ---- asynchronous ---------------------------------------------------------------------------- */

#define IN_FLIGHT 500

static void fetch_all(cfa_port *port, int expected) {
    static bool seen[IN_FLIGHT];
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < expected; i++) {
        cfa_completion *completion;
        ck_assert_int_eq(cfa_port_next(&completion, port, PATIENCE_MS), CFA_OK);
        ck_assert_msg(completion != NULL, "only %d of %d completions came", i, expected);
        uint64_t token = cfa_completion_token(completion);
        ck_assert_uint_lt(token, IN_FLIGHT);
        ck_assert(!seen[token]);
        seen[token] = true;
        ck_assert_int_eq(cfa_completion_status(completion), CFA_OK);
        cfa_pledge *pledge = cfa_completion_pledge(completion);
        ck_assert_ptr_nonnull(pledge);
        ck_assert_int_eq(cfa_pledge_amount(pledge).minor, 100 + (int64_t)token);
        ck_assert(!cfa_pledge_pending(pledge));
        cfa_pledge_free(pledge);
        cfa_completion_free(completion);
    }
    cfa_completion *none;
    ck_assert_int_eq(cfa_port_next(&none, port, 0), CFA_OK);
    ck_assert_ptr_null(none);
}

static void begin_all(int store, bool with_runner) {
    struct book book;
    book_open(&book, store);
    cfa_port *port;
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    book_run_clock(&book);
    if (with_runner) {
        ck_assert_int_eq(cfa_runner_start(book.engine, CFA_WORK_ALL), CFA_OK);
        expect_error(cfa_runner_start(book.engine, CFA_WORK_ALL), CFA_ESTATE, NULL);
    }
    for (int i = 0; i < IN_FLIGHT; i++) {
        char key[24];
        snprintf(key, sizeof key, "flight-%d", i);
        cfa_pledge_spec spec = gift(&book, key, 100 + i);
        ck_assert_int_eq(cfa_pledge_create_begin(port, (uint64_t)i, &spec), CFA_OK);
    }
    fetch_all(port, IN_FLIGHT);
    cfa_runner_stop(book.engine);
    ck_assert_int_eq(rows_of(&book, "pledge"), IN_FLIGHT);
    ck_assert_int_eq(play_books_of(&book).intent_count, IN_FLIGHT);
    cfa_port_free(port);
    audit(&book);
    book_close(&book);
}

START_TEST(five_hundred_pledges_in_flight_complete_without_a_thread) { begin_all(_i, false); }
END_TEST

START_TEST(five_hundred_pledges_in_flight_complete_with_a_runner) { begin_all(_i, true); }
END_TEST

START_TEST(a_port_may_be_freed_before_its_completions_come) {
    struct book book;
    book_open(&book, _i);
    cfa_port *port;
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    cfa_pledge_spec spec = gift(&book, "dropped", 100);
    ck_assert_int_eq(cfa_pledge_create_begin(port, 1, &spec), CFA_OK);
    spec.wait = CFA_WAIT_PAID;
    expect_error(cfa_pledge_create_begin(port, 2, &spec), CFA_ENOTSUP, "wait");
    cfa_port_free(port);
    book_settle(&book);
    cfa_pledge *found;
    ck_assert_int_eq(cfa_pledge_find(&found, book.engine, NULL, "dropped"), CFA_OK);
    ck_assert(!cfa_pledge_pending(found));
    cfa_pledge_free(found);
    book_close(&book);
}
END_TEST

/* ---- what may become of a payment ------------------------------------------------------------ */

START_TEST(a_declined_card_fails_softly) {
    struct book book;
    book_prepare(&book, _i);
    book.play_options.one_step = 1;
    book_start(&book);
    cfa_pledge_spec spec = gift(&book, "poor", 100);
    spec.payment_method = "pm_declined";
    spec.wait = CFA_WAIT_PAID;
    cfa_pledge *pledge, *again;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
    ck_assert_int_eq(cfa_pledge_state(pledge), CFA_PAYMENT_FAILED);
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book.engine, cfa_pledge_payment_id(pledge)), CFA_OK);
    ck_assert_str_eq(cfa_payment_failure_code(payment), "card_declined");
    ck_assert_int_eq(cfa_pledge_create(&again, book.engine, &spec), CFA_OK);
    ck_assert(answers_equal(pledge, again));
    ck_assert_int_eq(play_books_of(&book).charge_count, 0);
    ck_assert_int_eq(totals_of(&book).raised_minor, 0);
    cfa_payment_free(payment);
    cfa_pledge_free(pledge);
    cfa_pledge_free(again);
    audit(&book);
    book_close(&book);
}
END_TEST

static cfa_pledge *authorized(struct book *book, int store, const char *key, int64_t minor) {
    book_prepare(book, store);
    book->options.capture_manual = 1;
    book_start(book);
    cfa_pledge *pledge = pledge_make(book, key, minor);
    pledge_pay(book, pledge);
    ck_assert_int_eq(state_of(book->engine, pledge), CFA_PAYMENT_AUTHORIZED);
    ck_assert_int_eq(totals_of(book).authorized_minor, minor);
    ck_assert_int_eq(totals_of(book).raised_minor, 0);
    return pledge;
}

static void expect_capture(struct book *book, const cfa_pledge *pledge, const char *key,
                           int64_t minor, int64_t captured) {
    cfa_payment *payment;
    cfa_money amount = { minor, "EUR" };
    cfa_status status = cfa_payment_capture(&payment, book->engine, cfa_pledge_payment_id(pledge),
                                            amount, NULL, key, NULL, 20000);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    ck_assert_int_eq(cfa_payment_state_of(payment), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(cfa_payment_captured(payment).minor, captured);
    cfa_payment_free(payment);
}

START_TEST(a_hold_is_captured_in_full_once) {
    struct book book;
    cfa_pledge *pledge = authorized(&book, _i, "hold", 1000);
    expect_capture(&book, pledge, "cap", 0, 1000);
    expect_capture(&book, pledge, "cap", 0, 1000);
    cfa_payment *untouched;
    expect_error(cfa_payment_capture(&untouched, book.engine, cfa_pledge_payment_id(pledge),
                                     (cfa_money){ 0, "" }, NULL, "cap2", NULL, 20000),
                 CFA_ESTATE, "payment_id");
    expect_error(cfa_payment_cancel(&untouched, book.engine, cfa_pledge_payment_id(pledge), NULL,
                                    "can", NULL, 20000),
                 CFA_ESTATE, "payment_id");
    ck_assert_int_eq(totals_of(&book).raised_minor, 1000);
    ck_assert_int_eq(totals_of(&book).authorized_minor, 0);
    ck_assert_int_eq(play_books_of(&book).charge_count, 1);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_hold_is_captured_in_part) {
    struct book book;
    cfa_pledge *pledge = authorized(&book, _i, "hold", 1000);
    cfa_payment *untouched;
    expect_error(cfa_payment_capture(&untouched, book.engine, cfa_pledge_payment_id(pledge),
                                     (cfa_money){ 1001, "EUR" }, NULL, "much", NULL, 20000),
                 CFA_ERANGE, "amount.minor");
    expect_error(cfa_payment_capture(&untouched, book.engine, cfa_pledge_payment_id(pledge),
                                     (cfa_money){ 400, "USD" }, NULL, "other", NULL, 20000),
                 CFA_ECURRENCY, "amount.currency");
    expect_capture(&book, pledge, "cap", 400, 400);
    ck_assert_int_eq(totals_of(&book).raised_minor, 400);
    ck_assert_int_eq(totals_of(&book).authorized_minor, 0);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_hold_is_cancelled_at_the_provider) {
    struct book book;
    cfa_pledge *pledge = authorized(&book, _i, "hold", 1000);
    cfa_payment *payment;
    for (int repeat = 0; repeat < 2; repeat++) {
        ck_assert_int_eq(cfa_payment_cancel(&payment, book.engine, cfa_pledge_payment_id(pledge),
                                            NULL, "can", NULL, 20000),
                         CFA_OK);
        ck_assert_int_eq(cfa_payment_state_of(payment), CFA_PAYMENT_CANCELED);
        cfa_payment_free(payment);
    }
    ck_assert_int_eq(totals_of(&book).authorized_minor, 0);
    ck_assert_int_eq(cfa_play_deliver(NULL, book.play, book.engine, 0), CFA_OK);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_CANCELED);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(an_unpaid_payment_expires_at_the_provider_too) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "forgotten", 100);
    for (int hour = 0; hour < 60; hour++) {
        book_advance(&book, HOUR_US);
        book_settle(&book);
    }
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_CANCELED);
    ck_assert_int_ne(cfa_play_confirm(book.play, cfa_pledge_client_secret(pledge), "pm_ok"),
                     CFA_OK);
    ck_assert_int_eq(totals_of(&book).pledged_minor, 0);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- donors and lists ------------------------------------------------------------------------ */

static cfa_pledge *given_by(struct book *book, const char *key, const char *reference,
                            const char *name) {
    cfa_pledge_spec spec = gift(book, key, 300);
    spec.donor_reference = reference;
    spec.donor_name = name;
    spec.donor_email = "ada.lovelace@example.org";
    spec.donor_message = "For the wells of Xanadu";
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book->engine, &spec), CFA_OK);
    return pledge;
}

START_TEST(one_donor_reference_is_one_donor) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledges[] = { given_by(&book, "a", "ref-17", "Ada"),
                              given_by(&book, "b", "ref-17", "Ada L."),
                              given_by(&book, "c", "ref-18", "Bob") };
    ck_assert_str_eq(cfa_pledge_donor_id(pledges[0]), cfa_pledge_donor_id(pledges[1]));
    ck_assert_str_ne(cfa_pledge_donor_id(pledges[0]), cfa_pledge_donor_id(pledges[2]));
    for (size_t i = 0; i < COUNT(pledges); i++) {
        pledge_pay(&book, pledges[i]);
        cfa_pledge_free(pledges[i]);
    }
    ck_assert_int_eq(totals_of(&book).donation_count, 3);
    ck_assert_int_eq(totals_of(&book).donor_count, 2);
    audit(&book);
    book_close(&book);
}
END_TEST

/* Whether any file of the book holds the text. */
static bool files_hold(const struct book *book, const char *text) {
    static const char *const suffixes[] = { "", "-wal" };
    for (size_t i = 0; i < COUNT(suffixes); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", book->path, suffixes[i]);
        FILE *file = fopen(path, "rb");
        if (file == NULL)
            continue;
        static char bytes[16 * 1024 * 1024];
        size_t size = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        if (memmem(bytes, size, text, strlen(text)) != NULL)
            return true;
    }
    return false;
}

START_TEST(erasing_a_donor_removes_the_person_and_keeps_the_money) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = given_by(&book, "a", "reference-of-ada", "Augusta Ada King");
    pledge_pay(&book, pledge);
    cfa_totals_row before = totals_of(&book);
    ck_assert_str_eq(cfa_pledge_donor_name(pledge), "Augusta Ada King");
    for (int repeat = 0; repeat < 2; repeat++)
        ck_assert_int_eq(cfa_donor_erase(book.engine, cfa_pledge_id(pledge), NULL, 0), CFA_OK);
    cfa_pledge *erased;
    ck_assert_int_eq(cfa_pledge_get(&erased, book.engine, cfa_pledge_id(pledge)), CFA_OK);
    ck_assert_ptr_null(cfa_pledge_donor_name(erased));
    ck_assert_ptr_null(cfa_pledge_donor_email(erased));
    ck_assert_ptr_null(cfa_pledge_donor_message(erased));
    ck_assert_str_eq(cfa_pledge_donor_id(erased), cfa_pledge_donor_id(pledge));
    cfa_totals_row after = totals_of(&book);
    ck_assert_mem_eq(&before, &after, sizeof before);
    expect_error(cfa_donor_erase(book.engine, "plg_01arz3ndektsv4rrffq69g5fav", NULL, 0),
                 CFA_ENOTFOUND, "pledge_id");
    cfa_pledge_free(erased);
    cfa_pledge_free(pledge);
    audit(&book);
    if (book.store == STORE_SQLITE) {
        book_sql(&book, "PRAGMA wal_checkpoint(TRUNCATE); VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
        static const char *const personal[] = { "reference-of-ada", "Augusta", "ada.lovelace",
                                                "Xanadu" };
        for (size_t i = 0; i < COUNT(personal); i++)
            ck_assert_msg(!files_hold(&book, personal[i]), "the file still holds \"%s\"",
                          personal[i]);
    }
    book_close(&book);
}
END_TEST

START_TEST(pages_list_every_pledge_once) {
    struct book book;
    book_open(&book, _i);
    for (int i = 0; i < 25; i++) {
        char key[16];
        snprintf(key, sizeof key, "p%d", i);
        book_advance(&book, 1000);
        cfa_pledge_free(pledge_make(&book, key, 100 + i));
    }
    cfa_page page = CFA_PAGE_INIT;
    page.limit = 10;
    char after[CFA_ID_TEXT_SIZE];
    int64_t expected = 100;
    for (int round = 0; round < 3; round++) {
        cfa_pledge_list *list;
        ck_assert_int_eq(cfa_pledge_page(&list, book.engine, book.campaign_id, &page), CFA_OK);
        ck_assert_uint_eq(cfa_pledge_list_size(list), round < 2 ? 10 : 5);
        for (size_t i = 0; i < cfa_pledge_list_size(list); i++)
            ck_assert_int_eq(cfa_pledge_amount(cfa_pledge_list_at(list, i)).minor, expected++);
        ck_assert_ptr_null(cfa_pledge_list_at(list, cfa_pledge_list_size(list)));
        if (round < 2) {
            memcpy(after, cfa_pledge_list_next(list), sizeof after);
            page.after = after;
        } else {
            ck_assert_ptr_null(cfa_pledge_list_next(list));
        }
        cfa_pledge_list_free(list);
    }
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine: pledges");
#define PER_STORE(name) add_per_store(suite, #name, name)
    PER_STORE(five_lines_take_a_donation_to_a_total);
    PER_STORE(a_two_step_pledge_is_paid_when_its_donor_confirms);
    PER_STORE(a_double_click_is_answered_with_the_same_bytes);
    PER_STORE(a_hundred_threads_with_one_key_make_one_pledge);
    PER_STORE(threads_join_the_wait_for_a_slow_provider);
    PER_STORE(threads_with_keys_of_their_own_all_get_their_own_pledge);
    PER_STORE(a_key_with_another_request_names_the_field);
    PER_STORE(a_key_of_another_scope_is_another_key);
    PER_STORE(a_random_key_never_charges_again_after_31_days);
    PER_STORE(a_time_ordered_key_never_charges_again_after_31_days);
    PER_STORE(random_keys_are_found_in_every_generation);
    PER_STORE(a_key_rotated_by_another_engine_is_still_found);
    PER_STORE(wait_commit_returns_before_the_provider_is_asked);
    PER_STORE(a_pending_answer_is_fixed_when_the_provider_answers);
    PER_STORE(a_caller_that_waits_for_the_provider_sleeps);
    PER_STORE(five_hundred_pledges_in_flight_complete_without_a_thread);
    PER_STORE(five_hundred_pledges_in_flight_complete_with_a_runner);
    PER_STORE(a_port_may_be_freed_before_its_completions_come);
    PER_STORE(a_declined_card_fails_softly);
    PER_STORE(a_hold_is_captured_in_full_once);
    PER_STORE(a_hold_is_captured_in_part);
    PER_STORE(a_hold_is_cancelled_at_the_provider);
    PER_STORE(an_unpaid_payment_expires_at_the_provider_too);
    PER_STORE(one_donor_reference_is_one_donor);
    PER_STORE(erasing_a_donor_removes_the_person_and_keeps_the_money);
    PER_STORE(pages_list_every_pledge_once);
    return run_suite(suite, argc, argv);
}
