/*
 * test_engine_sinks.c - events that a sink refuses, and what an operator does about them: nothing
 * is lost, nothing is both delivered and dead, a rewind fences whoever runs the sink, a pause holds
 * in every process, and a repeat does nothing twice.
 */
#include "core/engine/relay.h"
#include "post.h"

#include <stdio.h>
#include <string.h>

#define SECONDS_MAX 400

/* ---- refusals -------------------------------------------------------------------------------- */

START_TEST(a_refused_event_stops_the_sink_and_the_next_engine_tries_again) {
    struct book book;
    struct post post = { .only = 4 };
    post_open(&book, _i, &post, 0);
    post_gifts(&book, 6);
    post_pass_time(&book, 30);
    const cfa_cursor_view *cursor = post_of(&book);
    ck_assert_int_eq(cursor->acknowledged, 3);
    ck_assert_int_eq(cursor->paused, CFA_CURSOR_STOPPED);
    ck_assert_str_eq(cursor->reason, "no room for 4");
    ck_assert_int_gt(cursor->paused_us, 0);
    ck_assert_int_eq(cursor->dead_count, 0);
    ck_assert_int_eq(cursor->owned, 0);
    ck_assert_int_eq(post.refused[4], 1);
    ck_assert_int_eq(post.times[5], 0);
    /* Opened again it tries once more, and stops once more. */
    book_reopen(&book);
    post_pass_time(&book, 30);
    ck_assert_int_eq(post.refused[4], 2);
    ck_assert_int_eq(post_of(&book)->paused, CFA_CURSOR_STOPPED);
    /* Mended, an operator lets it go on where it is. */
    post.only = 0;
    post_pass_time(&book, 30);
    ck_assert_int_eq(post_of(&book)->acknowledged, 3);
    post_resume(book.engine);
    post_deliver(&book);
    for (int64_t i = 1; i <= head_of(book.engine); i++)
        ck_assert_int_eq(post.times[i], 1);
    post_finish(&book, &post);
}
END_TEST

static void set_aside(int store, bool late) {
    struct book book;
    struct post post = { .only = 4, .late = late };
    post_open(&book, store, &post, 3);
    int64_t before_us = cfa_manual_clock_now_us(book.clock);
    post_gifts(&book, 8);
    post_deliver(&book);
    int64_t head = head_of(book.engine);
    ck_assert_int_eq(post.refused[4], 3);
    ck_assert_int_eq(post.behind, 0);
    for (int64_t i = 1; i <= head; i++)
        ck_assert_int_eq(post.times[i], i == 4 ? 0 : 1);
    cfa_letter_list *list;
    ck_assert_int_eq(cfa_letter_page(&list, book.engine, "post", 0, 0), CFA_OK);
    ck_assert_uint_eq(cfa_letter_list_size(list), 1);
    const cfa_letter_view *letter = cfa_letter_list_at(list, 0);
    ck_assert_int_eq(letter->position, 4);
    ck_assert_int_eq(letter->tries, 3);
    ck_assert_int_eq(letter->code, 422);
    ck_assert_str_eq(letter->reason, "no room for 4");
    ck_assert_int_eq(strncmp(letter->event_id, "evt_", 4), 0);
    ck_assert_int_ge(letter->first_us, before_us);
    ck_assert_int_ge(letter->last_us, letter->first_us);
    ck_assert_int_eq(letter->requeued, 0);
    ck_assert_ptr_null(cfa_letter_list_at(list, 1));
    cfa_letter_list_free(list);
    const cfa_cursor_view *cursor = post_of(&book);
    ck_assert_int_eq(cursor->acknowledged, head);
    ck_assert_int_eq(cursor->dead_count, 1);
    ck_assert_int_eq(cursor->refused, 0);
    post_finish(&book, &post);
}

START_TEST(a_refused_event_is_set_aside_after_its_tries_and_the_others_go_on_in_order) {
    set_aside(_i, false);
}
END_TEST

START_TEST(a_refusal_may_come_after_later_events_were_taken) { set_aside(_i, true); }
END_TEST

START_TEST(an_event_that_is_taken_at_last_is_no_dead_letter) {
    struct book book;
    struct post post = { .only = 4 };
    post_open(&book, _i, &post, 1000);
    post_gifts(&book, 8);
    post_pass_time(&book, 5);
    ck_assert_int_eq(post_of(&book)->refused, 4);
    ck_assert_int_eq(post_of(&book)->refused_tries, post.refused[4]);
    ck_assert_int_eq(post.times[5], 0); /* what comes behind it waits for its fate */
    post.only = 0;
    post_deliver(&book);
    ck_assert_int_eq(post_of(&book)->refused, 0);
    ck_assert_int_eq(rows_of(&book, "dead_letter"), 0);
    post_finish(&book, &post);
}
END_TEST

START_TEST(tries_are_counted_over_restarts) {
    struct book book;
    struct post post = { .only = 2 };
    post_open(&book, _i, &post, 4);
    post_gifts(&book, 3);
    for (int i = 0; i < 4; i++) {
        for (int second = 0; post.refused[2] == i && second < SECONDS_MAX; second++)
            post_pass_time(&book, 1);
        book_reopen(&book);
    }
    post_deliver(&book);
    ck_assert_int_eq(post.refused[2], 4);
    ck_assert(post_is_dead(book.engine, 2));
    post_finish(&book, &post);
}
END_TEST

/* ---- post_requeue --------------------------------------------------------------------------------- */

START_TEST(a_requeued_event_is_delivered_out_of_order_and_then_gone) {
    struct book book;
    struct post post = { .every = 3, .slow = _i == STORE_SQLITE };
    post_open(&book, _i, &post, 1);
    post_gifts(&book, 8);
    post_deliver(&book);
    int64_t dead = post_of(&book)->dead_count;
    ck_assert_int_ge(dead, 3);
    post.every = 0;
    ck_assert_int_eq(post_requeue(book.engine, 6, "again-6"), CFA_OK);
    ck_assert_int_eq(post_of(&book)->requeued_count, 1);
    ck_assert_int_eq(rows_of(&book, "dead_letter"), dead); /* not taken yet, not gone yet */
    post_deliver(&book);
    ck_assert_int_eq(post.again[6], 1);
    ck_assert_int_eq(post.times[6], 0);
    ck_assert_int_eq(rows_of(&book, "dead_letter"), dead - 1);
    /* The key was used: a repeat requeues nothing, another event needs another key. */
    ck_assert_int_eq(post_requeue(book.engine, 6, "again-6"), CFA_OK);
    expect_error(post_requeue(book.engine, 3, "again-6"), CFA_EKEYREUSE, "position");
    expect_error(post_requeue(book.engine, 6, "again-6b"), CFA_ENOTFOUND, "position");
    expect_error(post_requeue(book.engine, 3, NULL), CFA_EKEY, "key");
    ck_assert_int_eq(post_requeue(book.engine, 0, "all"), CFA_OK);
    post_deliver(&book);
    ck_assert_int_eq(post_of(&book)->dead_count, 0);
    for (int64_t i = 1; i <= head_of(book.engine); i++)
        ck_assert_int_eq(post.times[i] + post.again[i], 1);
    post_finish(&book, &post);
}
END_TEST

START_TEST(refused_again_it_stays_dead_and_a_repeat_requeues_it_no_more) {
    struct book book;
    struct post post = { .only = 3 };
    post_open(&book, _i, &post, 2);
    post_gifts(&book, 5);
    post_deliver(&book);
    ck_assert_int_eq(post_requeue(book.engine, 3, "again"), CFA_OK);
    post_deliver(&book);
    ck_assert_int_eq(post.refused[3], 3);
    ck_assert_int_eq(post_requeue(book.engine, 3, "again"), CFA_OK);
    cfa_cursor_list *list;
    ck_assert_int_eq(cfa_letter_requeue(&list, book.engine, "post", 3, NULL, "again", NULL),
                     CFA_OK);
    ck_assert_int_eq(cfa_cursor_list_replayed(list), 1);
    cfa_cursor_list_free(list);
    post_pass_time(&book, 5);
    ck_assert_int_eq(post.refused[3], 3);
    cfa_letter_list *letters;
    ck_assert_int_eq(cfa_letter_page(&letters, book.engine, "post", 0, 0), CFA_OK);
    ck_assert_int_eq(cfa_letter_list_at(letters, 0)->tries, 3);
    ck_assert_int_eq(cfa_letter_list_at(letters, 0)->requeued, 0);
    cfa_letter_list_free(letters);
    post_finish(&book, &post);
}
END_TEST

START_TEST(more_dead_letters_than_one_commit_takes_are_all_requeued) {
    struct book book;
    struct post post = { .every = 1 };
    post_open(&book, _i, &post, 1);
    post_gifts(&book, 300);
    post_deliver(&book);
    int64_t head = head_of(book.engine), seen = 0;
    ck_assert_int_gt(head, 256);
    ck_assert_int_eq(post_of(&book)->dead_count, head);
    for (int64_t after = 0;;) { /* by pages */
        cfa_letter_list *page;
        ck_assert_int_eq(cfa_letter_page(&page, book.engine, "post", after, 50), CFA_OK);
        size_t size = cfa_letter_list_size(page);
        for (size_t i = 0; i < size; i++)
            ck_assert_int_eq(cfa_letter_list_at(page, i)->position, ++seen);
        cfa_letter_list_free(page);
        if (size == 0)
            break;
        after = seen;
    }
    ck_assert_int_eq(seen, head);
    post.every = 0;
    ck_assert_int_eq(post_requeue(book.engine, 0, "all"), CFA_OK);
    ck_assert_int_eq(post_of(&book)->requeued_count, head);
    post_deliver(&book);
    ck_assert_int_eq(rows_of(&book, "dead_letter"), 0);
    /* Rewound to the start they come in order; no dead letter is left on the way. */
    post.every = 1;
    ck_assert_int_eq(post_rewind(book.engine, head, 0, "first"), CFA_OK);
    post_deliver(&book);
    ck_assert_int_eq(rows_of(&book, "dead_letter"), head);
    post.every = 0;
    ck_assert_int_eq(post_rewind(book.engine, head, 0, "second"), CFA_OK);
    post_deliver(&book);
    ck_assert_int_eq(rows_of(&book, "dead_letter"), 0);
    ck_assert_int_eq(post_of(&book)->dead_count, 0);
    post_finish(&book, &post);
}
END_TEST

START_TEST(a_sink_that_cannot_take_anything_again_keeps_its_dead_letters) {
    struct book book;
    struct post post = { .only = 2 };
    post_prepare(&book, _i, &post, 1);
    post_binding.sink.ops = &post_old_ops;
    book_start(&book);
    post_gifts(&book, 3);
    post_deliver(&book);
    post.only = 0;
    ck_assert_int_eq(post_requeue(book.engine, 2, "again"), CFA_OK);
    post_deliver(&book);
    cfa_letter_list *letters;
    ck_assert_int_eq(cfa_letter_page(&letters, book.engine, "post", 0, 0), CFA_OK);
    ck_assert_uint_eq(cfa_letter_list_size(letters), 1);
    ck_assert_int_eq(cfa_letter_list_at(letters, 0)->code, CFA_ENOTSUP);
    cfa_letter_list_free(letters);
    post_finish(&book, &post);
}
END_TEST

/* ---- rewind ---------------------------------------------------------------------------------- */

START_TEST(a_rewind_fences_who_runs_the_sink_and_delivers_again) {
    struct book book;
    struct post post = { .only = 0 };
    post_open(&book, _i, &post, 1);
    post_gifts(&book, 6);
    post_deliver(&book);
    int64_t head = head_of(book.engine), epoch = post_of(&book)->epoch;
    cfa_engine_options plain = book.options;
    plain.sinks = NULL;
    plain.sink_count = 0;
    cfa_engine *operator;
    ck_assert_int_eq(cfa_engine_open(&operator, & plain), CFA_OK);
    expect_error(post_rewind(operator, head - 1, 2, "back"), CFA_EVERSION, "expected");
    expect_error(post_rewind(operator, head, head + 1, "back"), CFA_ERANGE, "position");
    expect_error(post_rewind(operator, head, -1, "back"), CFA_ERANGE, "position");
    ck_assert_int_eq(post_rewind(operator, head, 2, "back"), CFA_OK);
    ck_assert_int_eq(post_of(&book)->acknowledged, 2);
    ck_assert_int_gt(post_of(&book)->epoch, epoch);
    ck_assert_int_eq(post_of(&book)->owned, 0);
    post_pass_time(&book, 2); /* it looks once in a while */
    post_deliver(&book);
    ck_assert_int_eq(post.resets, 2);
    for (int64_t i = 1; i <= head; i++)
        ck_assert_int_eq(post.times[i], i <= 2 ? 1 : 2);
    /* The same key again: it was done, and is not done twice. */
    cfa_cursor_list *list;
    ck_assert_int_eq(cfa_cursor_rewind(&list, operator, "post", head, 2, NULL, "back", NULL),
                     CFA_OK);
    ck_assert_int_eq(cfa_cursor_list_replayed(list), 1);
    ck_assert_int_eq(cfa_cursor_list_at(list, 0)->acknowledged, head);
    cfa_cursor_list_free(list);
    expect_error(post_rewind(operator, head, 3, "back"), CFA_EKEYREUSE, "position");
    expect_error(cfa_cursor_rewind(&list, operator, "totals", head, 0, NULL, "t", NULL),
                 CFA_ENOTSUP, "name");
    expect_error(cfa_cursor_rewind(&list, operator, "nobody", 0, 0, NULL, "n", NULL), CFA_ENOTFOUND,
                 "name");
    expect_error(cfa_cursor_rewind(&list, operator, "No Body", 0, 0, NULL, "n", NULL), CFA_EINVAL,
                 "name");
    cfa_engine_close(operator);
    post_finish(&book, &post);
}
END_TEST

START_TEST(a_rewound_subscription_tells_its_reader) {
    struct book book;
    book_open(&book, _i);
    post_gifts(&book, 3);
    cfa_subscription *subscription;
    cfa_event_list *events;
    ck_assert_int_eq(cfa_subscription_open(&subscription, book.engine, "mailer"), CFA_OK);
    ck_assert_int_eq(cfa_subscription_next(&events, subscription, 4, -1), CFA_OK);
    cfa_event_list_free(events);
    ck_assert_int_eq(cfa_subscription_ack(subscription, 4), CFA_OK);
    cfa_cursor_list *list;
    ck_assert_int_eq(cfa_cursor_rewind(&list, book.engine, "sub.mailer", 4, 1, NULL, "again", NULL),
                     CFA_OK);
    ck_assert_int_eq(cfa_cursor_list_at(list, 0)->acknowledged, 1);
    cfa_cursor_list_free(list);
    expect_error(cfa_subscription_ack(subscription, 4), CFA_EFENCED, NULL);
    cfa_subscription_free(subscription);
    ck_assert_int_eq(cfa_subscription_open(&subscription, book.engine, "mailer"), CFA_OK);
    ck_assert_int_eq(cfa_subscription_next(&events, subscription, 1, -1), CFA_OK);
    ck_assert_int_eq(cfa_event_list_at(events, 0)->position, 2);
    cfa_event_list_free(events);
    cfa_subscription_free(subscription);
    expect_error(cfa_cursor_pause(&list, book.engine, "sub.mailer", NULL), CFA_ENOTSUP, "name");
    book_close(&book);
}
END_TEST

/* ---- pause ----------------------------------------------------------------------------------- */

START_TEST(a_pause_holds_in_every_engine_and_over_restarts) {
    struct book book;
    struct post mine = { .only = 0 }, theirs = { .only = 0 };
    post_open(&book, _i, &mine, 1);
    post_gifts(&book, 2);
    post_deliver(&book);
    int64_t head = head_of(book.engine);
    cfa_sink_binding other_binding = { .name = "post", .sink = { &post_ops, &theirs } };
    cfa_engine_options options = book.options;
    options.sinks = &other_binding;
    cfa_engine *other;
    ck_assert_int_eq(cfa_engine_open(&other, &options), CFA_OK);
    post_pause(other);
    post_pass_time(&book, 2);
    post_gifts(&book, 2);
    for (int minute = 0; minute < 5; minute++) {
        book_advance(&book, MINUTE_US);
        book_settle(&book);
        settle(other);
    }
    ck_assert_int_eq(mine.last, head);
    ck_assert_int_eq(theirs.sends, 0);
    cfa_engine_close(other);
    book_reopen(&book);
    post_pass_time(&book, 30);
    const cfa_cursor_view *cursor = post_of(&book);
    ck_assert_int_eq(cursor->acknowledged, head);
    ck_assert_int_eq(cursor->paused, CFA_CURSOR_PAUSED);
    ck_assert_str_eq(cursor->reason, "the receiver moves house");
    ck_assert_int_gt(cursor->oldest_us, 0);
    post_pause(book.engine); /* a repeat changes nothing */
    other = book_second_engine(&book);
    post_resume(other);
    post_resume(other);
    cfa_engine_close(other);
    post_pass_time(&book, 2);
    post_deliver(&book);
    ck_assert_ptr_null(post_of(&book)->reason);
    cfa_cursor_list *list;
    expect_error(cfa_cursor_pause(&list, book.engine, "post", NULL), CFA_EINVAL, "reason");
    expect_error(cfa_cursor_pause(&list, book.engine, "totals", NULL), CFA_ENOTSUP, "name");
    post_finish(&book, &mine);
}
END_TEST

/* ---- who may do what to a cursor ------------------------------------------------------------- */

static cfa_status ask(struct book *book, cfa__decide decide, cfa__sink_input input,
                      cfa__sink_answer *out) {
    input.name = (cfa_slice){ "bare", 4 };
    input.lease_ms = 10000;
    return cfa__sink_command(book->engine, decide, &input, cfa__deadline_us(book->engine, 0), out);
}

START_TEST(nobody_leads_a_paused_cursor_and_an_old_epoch_moves_none) {
    struct book book;
    cfa_cursor_list *list;
    cfa__sink_answer answer;
    cfa__sink_input first = { .owner = { { 1 } }, .position = 1 }, second = { .owner = { { 2 } } };
    book_open(&book, _i);
    post_gifts(&book, 2);
    ck_assert_int_eq(ask(&book, cfa__sink_lead, first, &answer), CFA_OK);
    ck_assert(answer.leads);
    first.epoch = answer.epoch;
    cfa_actor by = CFA_ACTOR_INIT;
    by.reason = "why";
    ck_assert_int_eq(cfa_cursor_pause(&list, book.engine, "bare", &by), CFA_OK);
    cfa_cursor_list_free(list);
    second.opening = second.take_over = true;
    ck_assert_int_eq(ask(&book, cfa__sink_lead, second, &answer), CFA_OK);
    ck_assert(!answer.leads && answer.paused);
    ck_assert_int_eq(ask(&book, cfa__sink_lead, first, &answer), CFA_OK);
    ck_assert(!answer.leads && answer.paused);
    /* What it has may still be acknowledged. */
    ck_assert_int_eq(ask(&book, cfa__sink_settle, first, &answer), CFA_OK);
    ck_assert_int_eq(answer.acknowledged, 1);
    ck_assert_int_eq(cfa_cursor_resume(&list, book.engine, "bare", NULL), CFA_OK);
    cfa_cursor_list_free(list);
    ck_assert_int_eq(cfa_cursor_rewind(&list, book.engine, "bare", 1, 0, NULL, "back", NULL),
                     CFA_OK);
    cfa_cursor_list_free(list);
    expect_error(ask(&book, cfa__sink_settle, first, &answer), CFA_EFENCED, NULL);
    ck_assert_int_eq(ask(&book, cfa__sink_lead, first, &answer), CFA_OK);
    ck_assert(answer.leads && answer.epoch > first.epoch);
    /* Also when it is its own, from before the rewind. */
    static const cfa__decide moves[] = { cfa__sink_settle, cfa__sink_refuse, cfa__sink_redelivered,
                                         cfa__sink_stop };
    for (size_t i = 0; i < COUNT(moves); i++)
        expect_error(ask(&book, moves[i], first, &answer), CFA_EFENCED, NULL);
    ck_assert_int_eq(cursor_of(book.engine, "bare")->acknowledged, 0);
    post_forget_cursors();
    book_close(&book);
}
END_TEST

/* After a commit in doubt a command is decided again, with its effects there already. */
START_TEST(what_was_committed_already_is_not_done_twice) {
    struct book book;
    cfa__sink_answer answer;
    cfa__sink_input input = { .owner = { { 1 } }, .position = 1, .tries_max = 2, .code = 7 };
    book_open(&book, _i);
    post_gifts(&book, 2);
    ck_assert_int_eq(ask(&book, cfa__sink_lead, input, &answer), CFA_OK);
    input.epoch = answer.epoch;
    input.reason = (cfa_slice){ "no", 2 };
    for (input.tries = 1; input.tries <= 2; input.tries++) {
        for (int again = 0; again < 2; again++) {
            ck_assert_int_eq(ask(&book, cfa__sink_refuse, input, &answer), CFA_OK);
            ck_assert_int_eq(answer.refused_tries, input.tries == 1 ? 1 : 0);
            ck_assert_int_eq(answer.acknowledged, input.tries == 1 ? 0 : 1);
        }
    }
    ck_assert_int_eq(cursor_of(book.engine, "bare")->dead_count, 1);
    ck_assert_int_eq(rows_of(&book, "dead_letter"), 1);
    for (int refused = 1; refused >= 0; refused--) {
        cfa_cursor_list *list;
        ck_assert_int_eq(cfa_letter_requeue(&list, book.engine, "bare", 1, NULL,
                                            refused != 0 ? "first" : "second", NULL),
                         CFA_OK);
        cfa_cursor_list_free(list);
        input.refused = refused != 0;
        for (int again = 0; again < 2; again++)
            ck_assert_int_eq(ask(&book, cfa__sink_redelivered, input, &answer), CFA_OK);
        ck_assert_int_eq(answer.requeued_count, 0);
        ck_assert_int_eq(cursor_of(book.engine, "bare")->dead_count, refused);
        ck_assert_int_eq(rows_of(&book, "dead_letter"), refused);
    }
    post_forget_cursors();
    book_close(&book);
}
END_TEST

/* ---- what is shown --------------------------------------------------------------------------- */

static void expect_statistic(cfa_engine *engine, const char *wanted) {
    char *json;
    ck_assert_int_eq(cfa_engine_statistics(&json, engine), CFA_OK);
    ck_assert_msg(strstr(json, wanted) != NULL, "%s is not in %s", wanted, json);
    cfa_free(json);
}

START_TEST(cursors_are_listed_by_pages_and_the_statistics_name_the_worst) {
    struct book book;
    struct post post = { .only = 4 };
    post_open(&book, _i, &post, 0);
    post_gifts(&book, 4);
    post_pass_time(&book, 30);
    cfa_subscription *subscription;
    ck_assert_int_eq(cfa_subscription_open(&subscription, book.engine, "mailer"), CFA_OK);
    static const char *const names[] = { "post", "sub.mailer", "totals" };
    const char *after = NULL;
    cfa_cursor_list *list = NULL;
    int64_t head = head_of(book.engine);
    for (size_t i = 0; i < 3; i++) {
        cfa_page page = CFA_PAGE_INIT;
        cfa_cursor_list *next;
        page.limit = 1;
        page.after = after;
        ck_assert_int_eq(cfa_cursor_page(&next, book.engine, &page), CFA_OK);
        cfa_cursor_list_free(list);
        list = next;
        const cfa_cursor_view *cursor = cfa_cursor_list_at(list, 0);
        ck_assert_str_eq(cursor->name, names[i]);
        ck_assert_int_eq(cursor->head, head);
        ck_assert_int_eq(cursor->lag, head - cursor->acknowledged);
        ck_assert_int_eq(cursor->owned, i == 1);
        ck_assert((cursor->oldest_us != 0) == (cursor->lag > 0));
        after = cfa_cursor_list_next(list);
        ck_assert((after != NULL) == (i < 2));
    }
    cfa_cursor_list_free(list);
    cfa_subscription_free(subscription);
    char lag[48];
    snprintf(lag, sizeof lag, "\"outbox_lag\":%lld", (long long)head - 3);
    expect_statistic(book.engine, lag);
    expect_statistic(book.engine, "\"outbox_worst_sink\":\"post\"");
    expect_statistic(book.engine, "\"outbox_oldest_ms\":3"); /* 30 s and some */
    expect_statistic(book.engine, "\"sinks_paused\":1");
    expect_statistic(book.engine, "\"dead_letters\":0");
    post.only = 0;
    post_resume(book.engine);
    post_deliver(&book);
    post_pass_time(&book, 2);
    expect_statistic(book.engine, "\"outbox_oldest_ms\":0,\"outbox_lag\":0");
    expect_statistic(book.engine, "\"sinks_paused\":0");
    cfa_letter_list *letters;
    expect_error(cfa_letter_page(&letters, book.engine, "nobody", 0, 0), CFA_ENOTFOUND, "name");
    expect_error(cfa_letter_page(&letters, book.engine, "post", -1, 0), CFA_ERANGE, NULL);
    expect_error(cfa_letter_page(&letters, book.engine, "post", 0, 1001), CFA_ERANGE, "limit");
    post_finish(&book, &post);
}
END_TEST

/* ---- a host that was built before bindings grew ---------------------------------------------- */

START_TEST(bindings_of_an_older_host_are_read_by_their_own_size) {
    struct book book;
    struct post first = { .only = 2 }, second = { .only = 0 };
    struct old_binding {
        const char *name;
        cfa_sink sink;
    } bindings[] = { { "post", { &post_ops, &first } }, { "second", { &post_ops, &second } } };
    book_prepare(&book, _i);
    memcpy(&book.options.sinks, &(const void *){ bindings }, sizeof(void *));
    book.options.sink_count = 2;
    book.options.struct_size = offsetof(cfa_engine_options, sink_binding_size);
    book.options.sink_binding_size = 12345; /* not its own memory */
    book_start(&book);
    post_gifts(&book, 3);
    post_pass_time(&book, 3);
    ck_assert_int_eq(post_of(&book)->paused, CFA_CURSOR_STOPPED);
    ck_assert_int_eq(second.last, head_of(book.engine));
    post_forget_cursors();
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine: sinks and their operator");
#define PER_STORE(name) add_per_store(suite, #name, name)
    PER_STORE(a_refused_event_stops_the_sink_and_the_next_engine_tries_again);
    PER_STORE(a_refused_event_is_set_aside_after_its_tries_and_the_others_go_on_in_order);
    PER_STORE(a_refusal_may_come_after_later_events_were_taken);
    PER_STORE(an_event_that_is_taken_at_last_is_no_dead_letter);
    PER_STORE(tries_are_counted_over_restarts);
    PER_STORE(a_requeued_event_is_delivered_out_of_order_and_then_gone);
    PER_STORE(refused_again_it_stays_dead_and_a_repeat_requeues_it_no_more);
    PER_STORE(more_dead_letters_than_one_commit_takes_are_all_requeued);
    PER_STORE(a_sink_that_cannot_take_anything_again_keeps_its_dead_letters);
    PER_STORE(a_rewind_fences_who_runs_the_sink_and_delivers_again);
    PER_STORE(a_rewound_subscription_tells_its_reader);
    PER_STORE(a_pause_holds_in_every_engine_and_over_restarts);
    PER_STORE(nobody_leads_a_paused_cursor_and_an_old_epoch_moves_none);
    PER_STORE(what_was_committed_already_is_not_done_twice);
    PER_STORE(cursors_are_listed_by_pages_and_the_statistics_name_the_worst);
    PER_STORE(bindings_of_an_older_host_are_read_by_their_own_size);
    return run_suite(suite, argc, argv);
}
