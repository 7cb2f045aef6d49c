/*
 * test_waiting.c - webhooks that wait for their object: the object knows since when, whatever part
 * of them was drained; after an hour the payment that they name is read, once.
 */
#include "core/explained.h"
#include "core/records.h"

#include <stdio.h>
#include <string.h>

/* An event about `ref`, which grew out of `origin`, and names a payment; each may be NULL. */
static cfa_webhook_verdict tell(struct book *book, int number, const char *ref, const char *origin,
                                const char *payment_id) {
    char event_id[32];
    snprintf(event_id, sizeof event_id, "evt_%d", number);
    cfa_webhook_event event = { sizeof event, event_id, "test", "", 0, 1, 0, CFA_FACTS_INIT };
    event.facts.ref = ref;
    event.facts.origin_ref = origin;
    event.facts.payment_id = payment_id;
    cfa_webhook_verdict verdict = 0;
    cfa_status status = cfa_webhook_accept(&verdict, book->engine, &event, 0);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    return verdict;
}

/* The object as it stands in the store. */
static cfa__provider_object object_of(struct book *book, const char *ref) {
    const cfa_storage_ops *ops = book->storage.ops;
    cfa__provider_object key = { .provider = { "play", 4 },
                                 .account = { "", 0 },
                                 .ref = { ref, strlen(ref) } };
    cfa_query query = {
        .kind = &cfa__provider_object_kind, .match_count = 3, .limit = 1, .key = &key
    };
    cfa_session *session;
    cfa_arena *arena;
    int64_t now_us;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    ck_assert_int_eq(ops->session_open(book->storage.self, CFA_SESSION_READ, &session), CFA_OK);
    ck_assert_int_eq(ops->begin(session, CFA_SESSION_READ, 1000, &now_us), CFA_OK);
    ck_assert_int_eq(ops->load(session, &query, 1, arena), CFA_OK);
    ck_assert_int_eq(query.count, 1);
    cfa__provider_object found = *(const cfa__provider_object *)query.records[0];
    ops->rollback(session);
    ops->session_close(session);
    cfa_arena_free(arena);
    return found;
}

static void ref_of(struct book *book, const cfa_pledge *pledge, char out[CFA_PLAY_REF_SIZE]) {
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book->engine, cfa_pledge_payment_id(pledge)),
                     CFA_OK);
    snprintf(out, CFA_PLAY_REF_SIZE, "%s", cfa_payment_ref(payment));
    cfa_payment_free(payment);
}

START_TEST(an_object_knows_since_when_its_webhooks_wait) {
    struct book book;
    char ref[CFA_PLAY_REF_SIZE];
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    ref_of(&book, pledge, ref);
    ck_assert_int_eq(object_of(&book, ref).waiting_us, 0);
    ck_assert_int_eq(tell(&book, 1, "pi_early", NULL, NULL), CFA_WEBHOOK_PARKED);
    int64_t first_us = object_of(&book, "pi_early").waiting_us;
    ck_assert_int_gt(first_us, 0);
    book_advance(&book, MINUTE_US);
    ck_assert_int_eq(tell(&book, 2, "pi_early", NULL, NULL), CFA_WEBHOOK_PARKED);
    ck_assert_int_eq(object_of(&book, "pi_early").waiting_us, first_us);
    (void)tell(&book, 3, ref, "pi_early", NULL);
    cfa__provider_object object = object_of(&book, "pi_early");
    ck_assert_int_eq(object.drained_count, 2);
    ck_assert_int_eq(object.waiting_us, 0);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(what_goes_on_waiting_behind_a_drained_part_is_known) {
    enum { COUNT = 140, PART = 128 };
    struct book book;
    char ref[CFA_PLAY_REF_SIZE];
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    ref_of(&book, pledge, ref);
    int64_t first_us = 0;
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(tell(&book, i, "pi_early", NULL, NULL), CFA_WEBHOOK_PARKED);
        if (i == 0)
            first_us = object_of(&book, "pi_early").waiting_us;
        book_advance(&book, SECOND_US);
    }
    (void)tell(&book, COUNT, ref, "pi_early", NULL);
    cfa__provider_object object = object_of(&book, "pi_early");
    ck_assert_int_eq(object.drained_count, PART);
    ck_assert_int_eq(object.waiting_us, first_us + PART * SECOND_US);
    audit(&book);
    (void)tell(&book, COUNT + 1, ref, "pi_early", NULL);
    object = object_of(&book, "pi_early");
    ck_assert_int_eq(object.drained_count, COUNT);
    ck_assert_int_eq(object.waiting_us, 0);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

/* Calls that settling made. */
static int64_t calls_by_settling(struct book *book) {
    int64_t before = play_books_of(book).call_count;
    book_settle(book);
    return play_books_of(book).call_count - before;
}

START_TEST(the_payment_that_a_waiting_webhook_names_is_read_once_after_an_hour) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    pledge_pay(&book, pledge);
    book_advance(&book, MINUTE_US);
    book_settle(&book);
    const char *payment_id = cfa_pledge_payment_id(pledge);
    ck_assert_int_eq(tell(&book, 1, "pi_other", NULL, payment_id), CFA_WEBHOOK_PARKED);
    ck_assert_int_eq(tell(&book, 2, "pi_foreign", NULL, "not ours"), CFA_WEBHOOK_PARKED);
    ck_assert_int_eq(tell(&book, 3, "pi_nobody", NULL, NULL), CFA_WEBHOOK_PARKED);
    ck_assert_int_eq(tell(&book, 4, "pi_lost", NULL, "pay_01h455vb4pex5vsknk084sn02q"),
                     CFA_WEBHOOK_PARKED);
    book_advance(&book, 59 * MINUTE_US);
    ck_assert_int_eq(calls_by_settling(&book), 0);
    book_advance(&book, MINUTE_US);
    book_settle(&book);
    book_advance(&book, MINUTE_US); /* the probe waits a little for news that come by themselves */
    ck_assert_int_eq(calls_by_settling(&book), 1);
    ck_assert_ptr_nonnull(finding_of(book.engine, "webhook_parked", false));
    for (int hour = 0; hour < 5; hour++) {
        book_advance(&book, HOUR_US);
        ck_assert_int_eq(calls_by_settling(&book), 0);
    }
    forget_checkup();
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

/* A dispute's events name no payment, and may come first. */
START_TEST(a_name_is_looked_for_behind_the_oldest_webhook) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    pledge_pay(&book, pledge);
    book_advance(&book, MINUTE_US);
    book_settle(&book);
    ck_assert_int_eq(tell(&book, 1, "pi_other", NULL, NULL), CFA_WEBHOOK_PARKED);
    ck_assert_int_eq(tell(&book, 2, "pi_other", NULL, NULL), CFA_WEBHOOK_PARKED);
    ck_assert_int_eq(tell(&book, 3, "pi_other", NULL, cfa_pledge_payment_id(pledge)),
                     CFA_WEBHOOK_PARKED);
    book_advance(&book, HOUR_US);
    book_settle(&book);
    book_advance(&book, MINUTE_US);
    ck_assert_int_eq(calls_by_settling(&book), 1);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

/* Nothing else asks after a payment that is over, and only a read drains the rest. */
START_TEST(the_payment_of_what_a_bind_left_waiting_is_read_although_nothing_names_it) {
    enum { COUNT = 140 };
    struct book book;
    char ref[CFA_PLAY_REF_SIZE];
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    ref_of(&book, pledge, ref);
    pledge_pay(&book, pledge);
    book_advance(&book, MINUTE_US);
    book_settle(&book);
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(tell(&book, i, "pi_early", NULL, NULL), CFA_WEBHOOK_PARKED);
    (void)tell(&book, COUNT, ref, "pi_early", NULL);
    ck_assert_int_gt(object_of(&book, "pi_early").waiting_us, 0);
    ck_assert_int_eq(calls_by_settling(&book), 0);
    book_advance(&book, HOUR_US);
    book_settle(&book);
    book_advance(&book, MINUTE_US);
    ck_assert_int_eq(calls_by_settling(&book), 1);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_call_in_doubt_that_a_waiting_webhook_names_is_looked_up_at_once) {
    struct book book;
    book_open(&book, _i);
    cfa_play_weather weather = CFA_PLAY_WEATHER_INIT;
    weather.reply_lost_ppm = 1000000;
    ck_assert_int_eq(cfa_play_weather_set(book.play, &weather), CFA_OK);
    cfa_pledge_spec spec = gift(&book, "k", 2500);
    spec.timeout_ms = -1;
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
    for (int hour = 0; hour < 12; hour++) { /* ever more rarely asked */
        book_settle(&book);
        book_advance(&book, HOUR_US);
    }
    for (int hour = 0; calls_by_settling(&book) == 0; hour++) {
        ck_assert_int_lt(hour, 24);
        book_advance(&book, HOUR_US);
    }
    weather.reply_lost_ppm = 0;
    ck_assert_int_eq(cfa_play_weather_set(book.play, &weather), CFA_OK);
    ck_assert_int_eq(tell(&book, 1, "pi_other", NULL, cfa_pledge_payment_id(pledge)),
                     CFA_WEBHOOK_PARKED);
    book_advance(&book, HOUR_US - SECOND_US);
    ck_assert_int_eq(calls_by_settling(&book), 0);
    book_advance(&book, 2 * SECOND_US);
    ck_assert_int_eq(calls_by_settling(&book), 1);
    ck_assert_int_eq(play_books_of(&book).intent_count, 1);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

/* More than one upkeep looks at, under a clock of the host's that stands still. */
START_TEST(more_webhooks_of_one_time_than_one_upkeep_sees_do_not_keep_it_busy) {
    enum { COUNT = 1150 };
    struct book book;
    book_open(&book, _i);
    cfa_pledge *first = pledge_make(&book, "first", 2500);
    cfa_pledge *last = pledge_make(&book, "last", 2500);
    pledge_pay(&book, first);
    pledge_pay(&book, last);
    book_advance(&book, MINUTE_US);
    book_settle(&book);
    for (int i = 0; i < COUNT; i++) {
        char ref[32];
        snprintf(ref, sizeof ref, "pi_many_%04d", i);
        ck_assert_int_eq(tell(&book, i, ref, NULL, cfa_pledge_payment_id(first)),
                         CFA_WEBHOOK_PARKED);
    }
    book_advance(&book, SECOND_US);
    ck_assert_int_eq(tell(&book, COUNT, "pi_then", NULL, cfa_pledge_payment_id(last)),
                     CFA_WEBHOOK_PARKED);
    book_advance(&book, HOUR_US);
    book_settle(&book);
    book_advance(&book, MINUTE_US);
    ck_assert_int_eq(calls_by_settling(&book), 2);
    book_advance(&book, HOUR_US);
    ck_assert_int_eq(calls_by_settling(&book), 0);
    cfa_pledge_free(first);
    cfa_pledge_free(last);
    audit(&book);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("waiting");
    add_per_store(suite, "since", an_object_knows_since_when_its_webhooks_wait);
    add_per_store(suite, "part", what_goes_on_waiting_behind_a_drained_part_is_known);
    add_per_store(suite, "read",
                  the_payment_that_a_waiting_webhook_names_is_read_once_after_an_hour);
    add_per_store(suite, "behind", a_name_is_looked_for_behind_the_oldest_webhook);
    add_per_store(suite, "left",
                  the_payment_of_what_a_bind_left_waiting_is_read_although_nothing_names_it);
    add_per_store(suite, "doubt",
                  a_call_in_doubt_that_a_waiting_webhook_names_is_looked_up_at_once);
    add_per_store(suite, "many",
                  more_webhooks_of_one_time_than_one_upkeep_sees_do_not_keep_it_busy);
    return run_suite(suite, argc, argv);
}
