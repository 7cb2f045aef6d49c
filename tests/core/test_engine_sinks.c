/*
 * test_engine_sinks.c - events that a sink refuses, and what an operator does about them: nothing
 * is lost, nothing is both delivered and dead, a rewind fences whoever runs the sink, a pause holds
 * in every process, and a repeat does nothing twice. Also when the store dies at any call.
 */
#include "support/book.h"

#include <careforall/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POSITIONS_MAX 1024
#define ROUNDS_MAX 400

/* ---- a sink that refuses --------------------------------------------------------------------- */

struct post {
    int64_t every, only;        /* refuses each so many-th event, or one; 0: none */
    bool late;                  /* says so in `poll`, with others behind it taken already */
    bool told;                  /* of that */
    bool slow;                  /* takes a dead letter only when asked for the third time */
    int asked;                  /* of that */
    int64_t last, window;       /* durable; taken */
    int sends, resets;          /* calls */
    int times[POSITIONS_MAX];   /* deliveries of a position, in order */
    int again[POSITIONS_MAX];   /* out of order */
    int refused[POSITIONS_MAX]; /* tries that were refused */
    bool gap;
};

static bool refuses(struct post *post, int64_t position) {
    bool refused = position == post->only || (post->every > 0 && position % post->every == 0);
    post->refused[position] += refused;
    return refused;
}

static cfa_status refusal(int64_t position) {
    return cfa_error_format(CFA_EREFUSED, "sink.post", NULL, 422, "no room for %lld",
                            (long long)position);
}

static cfa_status post_send(void *self, const cfa_event_view *events, size_t count,
                            size_t *out_taken) {
    struct post *post = self;
    post->sends++;
    for (size_t i = 0; i < count; i++) {
        int64_t position = events[i].position;
        ck_assert_int_lt(position, POSITIONS_MAX);
        post->gap = post->gap || position != post->window + 1;
        *out_taken = i;
        if (!post->late && refuses(post, position))
            return refusal(position);
        post->window = position;
        if (!post->late) {
            post->times[position]++;
            post->last = position;
        }
    }
    *out_taken = count;
    return CFA_OK;
}

static cfa_status post_poll(void *self, int64_t *out_acknowledged) {
    struct post *post = self;
    while (post->late && post->last < post->window) {
        if (post->told || refuses(post, post->last + 1)) {
            post->told = true; /* until the relay has reset it */
            *out_acknowledged = post->last;
            return refusal(post->last + 1);
        }
        post->times[++post->last]++;
    }
    *out_acknowledged = post->last;
    return CFA_OK;
}

static cfa_status post_reset(void *self, int64_t position) {
    struct post *post = self;
    post->resets++;
    post->told = false;
    post->last = post->window = position;
    return CFA_OK;
}

static cfa_status post_redeliver(void *self, const cfa_event_view *event, int32_t *out_done) {
    struct post *post = self;
    *out_done = !post->slow || ++post->asked % 3 == 0;
    if (*out_done == 0)
        return CFA_OK;
    if (refuses(post, event->position))
        return refusal(event->position);
    post->again[event->position]++;
    return CFA_OK;
}

static const cfa_sink_ops post_ops = { .struct_size = sizeof post_ops,
                                       .name = "post",
                                       .send = post_send,
                                       .poll = post_poll,
                                       .reset = post_reset,
                                       .redeliver = post_redeliver };

/* As an adapter that was built before sinks could take anything again. */
static const cfa_sink_ops old_ops = { .struct_size = offsetof(cfa_sink_ops, redeliver),
                                      .name = "old",
                                      .send = post_send,
                                      .poll = post_poll,
                                      .reset = post_reset };

/* ---- helpers --------------------------------------------------------------------------------- */

static cfa_sink_binding binding;

static void sink_prepare(struct book *book, int store, struct post *post, int32_t tries) {
    book_prepare(book, store);
    binding =
        (cfa_sink_binding){ .name = "post",
                            .sink = { &post_ops, post },
                            .refused_rule = tries > 0 ? CFA_REFUSED_SET_ASIDE : CFA_REFUSED_STOP,
                            .refused_tries = tries };
    book->options.sinks = &binding;
    book->options.sink_count = 1;
}

static void sink_open(struct book *book, int store, struct post *post, int32_t tries) {
    sink_prepare(book, store, post, tries);
    book_start(book);
}

static void some_gifts(struct book *book, int count) {
    static int number;
    for (int i = 0; i < count; i++) {
        char key[24];
        snprintf(key, sizeof key, "gift-%d", number++);
        cfa_pledge_free(pledge_make(book, key, 100));
    }
}

/* The cursor, as any process would list it. */
static cfa_cursor_list *cursors;

static const cfa_cursor_view *cursor_of(cfa_engine *engine, const char *name) {
    cfa_cursor_list_free(cursors);
    cursors = NULL;
    ck_assert_int_eq(cfa_cursor_page(&cursors, engine, NULL), CFA_OK);
    for (size_t i = 0; i < cfa_cursor_list_size(cursors); i++) {
        if (strcmp(cfa_cursor_list_at(cursors, i)->name, name) == 0)
            return cfa_cursor_list_at(cursors, i);
    }
    return NULL;
}

static const cfa_cursor_view *post_of(struct book *book) { return cursor_of(book->engine, "post"); }

/* Let time pass and tick until nothing is left to deliver. */
static void deliver(struct book *book) {
    for (int round = 0; round < ROUNDS_MAX; round++) {
        book_settle(book);
        const cfa_cursor_view *cursor = post_of(book);
        if (cursor != NULL && cursor->lag == 0 && cursor->requeued_count == 0)
            return;
        book_advance(book, SECOND_US);
    }
    ck_abort_msg("not everything was delivered");
}

/* Tick for some time, whatever comes of it. */
static void pass_time(struct book *book, int seconds) {
    for (int i = 0; i < seconds; i++) {
        book_advance(book, SECOND_US);
        book_settle(book);
    }
}

static bool is_dead(cfa_engine *engine, int64_t position) {
    cfa_letter_list *list;
    ck_assert_int_eq(cfa_letter_page(&list, engine, "post", position - 1, 1), CFA_OK);
    bool dead =
        cfa_letter_list_size(list) == 1 && cfa_letter_list_at(list, 0)->position == position;
    cfa_letter_list_free(list);
    return dead;
}

/* What must be true at any time: up to the cursor each event was delivered or is dead, and a dead
 * one was taken by nobody. */
static void expect_nothing_lost(struct book *book, const struct post *post) {
    int64_t acknowledged = post_of(book)->acknowledged, dead = 0;
    for (int64_t position = 1; position <= acknowledged; position++) {
        bool taken = post->times[position] + post->again[position] > 0;
        bool is_letter = is_dead(book->engine, position);
        ck_assert_msg(taken || is_letter, "event %lld is lost", (long long)position);
        dead += is_letter;
    }
    ck_assert_int_eq(dead, post_of(book)->dead_count);
    ck_assert(!post->gap);
}

static void finish(struct book *book, const struct post *post) {
    expect_nothing_lost(book, post);
    cfa_cursor_list_free(cursors);
    cursors = NULL;
    audit(book);
    book_close(book);
}

static cfa_status rewind_to(cfa_engine *engine, int64_t expected, int64_t position,
                            const char *key) {
    cfa_cursor_list *list = NULL;
    cfa_status status = cfa_cursor_rewind(&list, engine, "post", expected, position, NULL, key);
    cfa_cursor_list_free(list);
    return status;
}

static cfa_status requeue(cfa_engine *engine, int64_t position, const char *key) {
    cfa_cursor_list *list = NULL;
    cfa_status status = cfa_letter_requeue(&list, engine, "post", position, NULL, key);
    cfa_cursor_list_free(list);
    return status;
}

static void pause_sink(cfa_engine *engine) {
    cfa_cursor_list *list;
    ck_assert_int_eq(cfa_cursor_pause(&list, engine, "post", "the receiver moves house"), CFA_OK);
    ck_assert_int_eq(cfa_cursor_list_at(list, 0)->paused, CFA_CURSOR_PAUSED);
    cfa_cursor_list_free(list);
}

static void resume_sink(cfa_engine *engine) {
    cfa_cursor_list *list;
    ck_assert_int_eq(cfa_cursor_resume(&list, engine, "post"), CFA_OK);
    ck_assert_int_eq(cfa_cursor_list_at(list, 0)->paused, CFA_CURSOR_RUNS);
    cfa_cursor_list_free(list);
}

/* ---- refusals -------------------------------------------------------------------------------- */

START_TEST(a_refused_event_stops_the_sink_and_the_next_engine_tries_again) {
    struct book book;
    struct post post = { .only = 4 };
    sink_open(&book, _i, &post, 0);
    some_gifts(&book, 6);
    pass_time(&book, 30);
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
    pass_time(&book, 30);
    ck_assert_int_eq(post.refused[4], 2);
    ck_assert_int_eq(post_of(&book)->paused, CFA_CURSOR_STOPPED);
    /* Mended, an operator lets it go on where it is. */
    post.only = 0;
    pass_time(&book, 30);
    ck_assert_int_eq(post_of(&book)->acknowledged, 3);
    resume_sink(book.engine);
    deliver(&book);
    for (int64_t i = 1; i <= head_of(book.engine); i++)
        ck_assert_int_eq(post.times[i], 1);
    finish(&book, &post);
}
END_TEST

static void set_aside(int store, bool late) {
    struct book book;
    struct post post = { .only = 4, .late = late };
    sink_open(&book, store, &post, 3);
    int64_t before_us = cfa_manual_clock_now_us(book.clock);
    some_gifts(&book, 8);
    deliver(&book);
    int64_t head = head_of(book.engine);
    ck_assert_int_eq(post.refused[4], 3);
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
    finish(&book, &post);
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
    sink_open(&book, _i, &post, 1000);
    some_gifts(&book, 8);
    pass_time(&book, 5);
    ck_assert_int_eq(post_of(&book)->refused, 4);
    ck_assert_int_eq(post_of(&book)->refused_tries, post.refused[4]);
    ck_assert_int_eq(post.times[5], 0); /* what comes behind it waits for its fate */
    post.only = 0;
    deliver(&book);
    ck_assert_int_eq(post_of(&book)->refused, 0);
    ck_assert_int_eq(rows_of(&book, "dead_letter"), 0);
    finish(&book, &post);
}
END_TEST

START_TEST(tries_are_counted_over_restarts) {
    struct book book;
    struct post post = { .only = 2 };
    sink_open(&book, _i, &post, 4);
    some_gifts(&book, 3);
    for (int i = 0; i < 4; i++) {
        for (int second = 0; post.refused[2] == i && second < ROUNDS_MAX; second++)
            pass_time(&book, 1);
        book_reopen(&book);
    }
    deliver(&book);
    ck_assert_int_eq(post.refused[2], 4);
    ck_assert(is_dead(book.engine, 2));
    finish(&book, &post);
}
END_TEST

/* ---- requeue --------------------------------------------------------------------------------- */

START_TEST(a_requeued_event_is_delivered_out_of_order_and_then_gone) {
    struct book book;
    struct post post = { .every = 3, .slow = _i == STORE_SQLITE };
    sink_open(&book, _i, &post, 1);
    some_gifts(&book, 8);
    deliver(&book);
    int64_t dead = post_of(&book)->dead_count;
    ck_assert_int_ge(dead, 3);
    post.every = 0;
    ck_assert_int_eq(requeue(book.engine, 6, "again-6"), CFA_OK);
    ck_assert_int_eq(post_of(&book)->requeued_count, 1);
    ck_assert_int_eq(rows_of(&book, "dead_letter"), dead); /* not taken yet, not gone yet */
    deliver(&book);
    ck_assert_int_eq(post.again[6], 1);
    ck_assert_int_eq(post.times[6], 0);
    ck_assert_int_eq(rows_of(&book, "dead_letter"), dead - 1);
    /* The key was used: a repeat requeues nothing, another event needs another key. */
    ck_assert_int_eq(requeue(book.engine, 6, "again-6"), CFA_OK);
    expect_error(requeue(book.engine, 3, "again-6"), CFA_EKEYREUSE, "position");
    expect_error(requeue(book.engine, 6, "again-6b"), CFA_ENOTFOUND, "position");
    expect_error(requeue(book.engine, 3, NULL), CFA_EKEY, "key");
    ck_assert_int_eq(requeue(book.engine, 0, "all"), CFA_OK);
    deliver(&book);
    ck_assert_int_eq(post_of(&book)->dead_count, 0);
    for (int64_t i = 1; i <= head_of(book.engine); i++)
        ck_assert_int_eq(post.times[i] + post.again[i], 1);
    finish(&book, &post);
}
END_TEST

START_TEST(refused_again_it_stays_dead_and_a_repeat_requeues_it_no_more) {
    struct book book;
    struct post post = { .only = 3 };
    sink_open(&book, _i, &post, 2);
    some_gifts(&book, 5);
    deliver(&book);
    ck_assert_int_eq(requeue(book.engine, 3, "again"), CFA_OK);
    deliver(&book);
    ck_assert_int_eq(post.refused[3], 3);
    ck_assert_int_eq(requeue(book.engine, 3, "again"), CFA_OK);
    cfa_cursor_list *list;
    ck_assert_int_eq(cfa_letter_requeue(&list, book.engine, "post", 3, NULL, "again"), CFA_OK);
    ck_assert_int_eq(cfa_cursor_list_replayed(list), 1);
    cfa_cursor_list_free(list);
    pass_time(&book, 5);
    ck_assert_int_eq(post.refused[3], 3);
    cfa_letter_list *letters;
    ck_assert_int_eq(cfa_letter_page(&letters, book.engine, "post", 0, 0), CFA_OK);
    ck_assert_int_eq(cfa_letter_list_at(letters, 0)->tries, 3);
    ck_assert_int_eq(cfa_letter_list_at(letters, 0)->requeued, 0);
    cfa_letter_list_free(letters);
    finish(&book, &post);
}
END_TEST

START_TEST(more_dead_letters_than_one_commit_takes_are_all_requeued) {
    struct book book;
    struct post post = { .every = 1 };
    sink_open(&book, _i, &post, 1);
    some_gifts(&book, 300);
    deliver(&book);
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
    ck_assert_int_eq(requeue(book.engine, 0, "all"), CFA_OK);
    ck_assert_int_eq(post_of(&book)->requeued_count, head);
    deliver(&book);
    ck_assert_int_eq(rows_of(&book, "dead_letter"), 0);
    /* Rewound to the start they come in order; no dead letter is left on the way. */
    post.every = 1;
    ck_assert_int_eq(rewind_to(book.engine, head, 0, "first"), CFA_OK);
    deliver(&book);
    ck_assert_int_eq(rows_of(&book, "dead_letter"), head);
    post.every = 0;
    ck_assert_int_eq(rewind_to(book.engine, head, 0, "second"), CFA_OK);
    deliver(&book);
    ck_assert_int_eq(rows_of(&book, "dead_letter"), 0);
    ck_assert_int_eq(post_of(&book)->dead_count, 0);
    finish(&book, &post);
}
END_TEST

START_TEST(a_sink_that_cannot_take_anything_again_keeps_its_dead_letters) {
    struct book book;
    struct post post = { .only = 2 };
    sink_prepare(&book, _i, &post, 1);
    binding.sink.ops = &old_ops;
    book_start(&book);
    some_gifts(&book, 3);
    deliver(&book);
    post.only = 0;
    ck_assert_int_eq(requeue(book.engine, 2, "again"), CFA_OK);
    deliver(&book);
    cfa_letter_list *letters;
    ck_assert_int_eq(cfa_letter_page(&letters, book.engine, "post", 0, 0), CFA_OK);
    ck_assert_uint_eq(cfa_letter_list_size(letters), 1);
    ck_assert_int_eq(cfa_letter_list_at(letters, 0)->code, CFA_ENOTSUP);
    cfa_letter_list_free(letters);
    finish(&book, &post);
}
END_TEST

/* ---- rewind ---------------------------------------------------------------------------------- */

START_TEST(a_rewind_fences_who_runs_the_sink_and_delivers_again) {
    struct book book;
    struct post post = { .only = 0 };
    sink_open(&book, _i, &post, 1);
    some_gifts(&book, 6);
    deliver(&book);
    int64_t head = head_of(book.engine), epoch = post_of(&book)->epoch;
    cfa_engine_options plain = book.options;
    plain.sinks = NULL;
    plain.sink_count = 0;
    cfa_engine *operator;
    ck_assert_int_eq(cfa_engine_open(&operator, & plain), CFA_OK);
    expect_error(rewind_to(operator, head - 1, 2, "back"), CFA_EVERSION, "expected");
    expect_error(rewind_to(operator, head, head + 1, "back"), CFA_ERANGE, "position");
    expect_error(rewind_to(operator, head, -1, "back"), CFA_ERANGE, "position");
    ck_assert_int_eq(rewind_to(operator, head, 2, "back"), CFA_OK);
    ck_assert_int_eq(post_of(&book)->acknowledged, 2);
    ck_assert_int_gt(post_of(&book)->epoch, epoch);
    ck_assert_int_eq(post_of(&book)->owned, 0);
    pass_time(&book, 2); /* it looks once in a while */
    deliver(&book);
    ck_assert_int_eq(post.resets, 2);
    for (int64_t i = 1; i <= head; i++)
        ck_assert_int_eq(post.times[i], i <= 2 ? 1 : 2);
    /* The same key again: it was done, and is not done twice. */
    cfa_cursor_list *list;
    ck_assert_int_eq(cfa_cursor_rewind(&list, operator, "post", head, 2, NULL, "back"), CFA_OK);
    ck_assert_int_eq(cfa_cursor_list_replayed(list), 1);
    ck_assert_int_eq(cfa_cursor_list_at(list, 0)->acknowledged, head);
    cfa_cursor_list_free(list);
    expect_error(rewind_to(operator, head, 3, "back"), CFA_EKEYREUSE, "position");
    expect_error(cfa_cursor_rewind(&list, operator, "totals", head, 0, NULL, "t"), CFA_ENOTSUP,
                 "name");
    expect_error(cfa_cursor_rewind(&list, operator, "nobody", 0, 0, NULL, "n"), CFA_ENOTFOUND,
                 "name");
    expect_error(cfa_cursor_rewind(&list, operator, "No Body", 0, 0, NULL, "n"), CFA_EINVAL,
                 "name");
    cfa_engine_close(operator);
    finish(&book, &post);
}
END_TEST

START_TEST(a_rewound_subscription_tells_its_reader) {
    struct book book;
    book_open(&book, _i);
    some_gifts(&book, 3);
    cfa_subscription *subscription;
    cfa_event_list *events;
    ck_assert_int_eq(cfa_subscription_open(&subscription, book.engine, "mailer"), CFA_OK);
    ck_assert_int_eq(cfa_subscription_next(&events, subscription, 4, -1), CFA_OK);
    cfa_event_list_free(events);
    ck_assert_int_eq(cfa_subscription_ack(subscription, 4), CFA_OK);
    cfa_cursor_list *list;
    ck_assert_int_eq(cfa_cursor_rewind(&list, book.engine, "sub.mailer", 4, 1, NULL, "again"),
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
    expect_error(cfa_cursor_pause(&list, book.engine, "sub.mailer", "why"), CFA_ENOTSUP, "name");
    book_close(&book);
}
END_TEST

/* ---- pause ----------------------------------------------------------------------------------- */

START_TEST(a_pause_holds_in_every_engine_and_over_restarts) {
    struct book book;
    struct post mine = { .only = 0 }, theirs = { .only = 0 };
    sink_open(&book, _i, &mine, 1);
    some_gifts(&book, 2);
    deliver(&book);
    int64_t head = head_of(book.engine);
    cfa_sink_binding other_binding = { .name = "post", .sink = { &post_ops, &theirs } };
    cfa_engine_options options = book.options;
    options.sinks = &other_binding;
    cfa_engine *other;
    ck_assert_int_eq(cfa_engine_open(&other, &options), CFA_OK);
    pause_sink(other);
    pass_time(&book, 2);
    some_gifts(&book, 2);
    for (int minute = 0; minute < 5; minute++) {
        book_advance(&book, MINUTE_US);
        book_settle(&book);
        settle(other);
    }
    ck_assert_int_eq(mine.last, head);
    ck_assert_int_eq(theirs.sends, 0);
    cfa_engine_close(other);
    book_reopen(&book);
    pass_time(&book, 30);
    const cfa_cursor_view *cursor = post_of(&book);
    ck_assert_int_eq(cursor->acknowledged, head);
    ck_assert_int_eq(cursor->paused, CFA_CURSOR_PAUSED);
    ck_assert_str_eq(cursor->reason, "the receiver moves house");
    ck_assert_int_gt(cursor->oldest_us, 0);
    pause_sink(book.engine); /* a repeat changes nothing */
    other = book_second_engine(&book);
    resume_sink(other);
    resume_sink(other);
    cfa_engine_close(other);
    pass_time(&book, 2);
    deliver(&book);
    ck_assert_ptr_null(post_of(&book)->reason);
    cfa_cursor_list *list;
    expect_error(cfa_cursor_pause(&list, book.engine, "post", ""), CFA_EINVAL, "reason");
    expect_error(cfa_cursor_pause(&list, book.engine, "totals", "no"), CFA_ENOTSUP, "name");
    finish(&book, &mine);
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
    sink_open(&book, _i, &post, 0);
    some_gifts(&book, 4);
    pass_time(&book, 30);
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
    resume_sink(book.engine);
    deliver(&book);
    pass_time(&book, 2);
    expect_statistic(book.engine, "\"outbox_oldest_ms\":0,\"outbox_lag\":0");
    expect_statistic(book.engine, "\"sinks_paused\":0");
    cfa_letter_list *letters;
    expect_error(cfa_letter_page(&letters, book.engine, "nobody", 0, 0), CFA_ENOTFOUND, "name");
    expect_error(cfa_letter_page(&letters, book.engine, "post", -1, 0), CFA_ERANGE, NULL);
    expect_error(cfa_letter_page(&letters, book.engine, "post", 0, 1001), CFA_ERANGE, "limit");
    finish(&book, &post);
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
    some_gifts(&book, 3);
    pass_time(&book, 3);
    ck_assert_int_eq(post_of(&book)->paused, CFA_CURSOR_STOPPED);
    ck_assert_int_eq(second.last, head_of(book.engine));
    cfa_cursor_list_free(cursors);
    cursors = NULL;
    book_close(&book);
}
END_TEST

/* ---- a store that dies at any call ----------------------------------------------------------- */

struct weather {
    int32_t verdict; /* of the first bad call, if it is a commit: CFA_FAULT_* */
    int64_t good;    /* calls until then; negative: for ever */
    bool dead;       /* everything fails from then on, as for a process that dies */
    bool struck;
};

static int32_t weather_decide(void *user, int32_t call, uint64_t number, cfa_status *out_status) {
    struct weather *weather = user;
    (void)number;
    *out_status = CFA_EIO;
    if (weather->struck)
        return weather->dead && call != CFA_FAULT_ROLLBACK ? CFA_FAULT_FAIL : CFA_FAULT_PASS;
    if (weather->good < 0 || call == CFA_FAULT_ROLLBACK || weather->good-- > 0)
        return CFA_FAULT_PASS;
    weather->struck = true;
    return call == CFA_FAULT_COMMIT ? weather->verdict : CFA_FAULT_FAIL;
}

/* A sweep's scene: a refused event, then dead, then requeued and taken, then all of it again from
 * the start. Each step can be told from the book, so that a later life goes on with it. Any call
 * may fail; what it did not do it does when it is called again. */
static void scene(struct book *book, struct post *post, int64_t head) {
    int32_t done;
    for (int i = 0; i < 12; i++) {
        book_advance(book, SECOND_US);
        (void)!cfa_engine_tick(&done, book->engine, CFA_WORK_RELAY, 0);
        if (i == 5) {
            post->only = 0;
            (void)!requeue(book->engine, 0, "requeue");
        }
        if (i == 8)
            (void)!rewind_to(book->engine, head, 1, "rewind");
    }
}

static void live_on(struct book *book, struct post *post, int64_t head) {
    /* The dead letter exists, or the event was taken: both end in a requeue that finds it or not. */
    deliver(book);
    expect_nothing_lost(book, post);
    post->only = 0;
    ck_assert_int_eq(requeue(book->engine, 0, "requeue"), CFA_OK);
    deliver(book);
    cfa_status status = rewind_to(book->engine, head, 1, "rewind");
    ck_assert_int_eq(status, CFA_OK);
    deliver(book);
    /* A repeat of the rewind does not rewind. */
    int taken = post->times[head];
    ck_assert_int_eq(rewind_to(book->engine, head, 1, "rewind"), CFA_OK);
    deliver(book);
    ck_assert_int_eq(post->times[head], taken);
    ck_assert_int_ge(taken, 2);
    ck_assert_int_eq(rows_of(book, "dead_letter"), 0);
    for (int64_t i = 1; i <= head; i++)
        ck_assert_int_ge(post->times[i] + post->again[i], 1);
}

/* True while the scene still makes so many calls. */
static bool sweep_at(int store, struct weather weather) {
    struct book book;
    struct post post = { .only = 3 };
    sink_prepare(&book, store, &post, 2);
    int64_t good = weather.good;
    weather.good = -1;
    book_wrap(&book, weather_decide, &weather);
    book_start(&book);
    some_gifts(&book, 3);
    int64_t head = head_of(book.engine);
    weather.good = good;
    scene(&book, &post, head);
    bool struck = weather.struck;
    weather.good = -1;
    if (weather.dead) { /* the process is gone; another opens the book */
        cfa_engine_close(book.engine);
        weather.dead = false;
        ck_assert_int_eq(cfa_engine_open(&book.engine, &book.options), CFA_OK);
        book_advance(&book, MINUTE_US);
    }
    weather.struck = true;
    live_on(&book, &post, head);
    finish(&book, &post);
    return struck;
}

START_TEST(no_failure_of_the_store_loses_an_event_or_does_anything_twice) {
    static const int32_t verdicts[] = { CFA_FAULT_FAIL, CFA_FAULT_DOUBT_DONE,
                                        CFA_FAULT_DOUBT_NOT_DONE };
    int64_t calls = 0;
    for (size_t i = 0; i < COUNT(verdicts); i++) {
        for (int dead = 0; dead < 2; dead++) {
            /* A file takes its time: each round looks at other calls. */
            int64_t step = _i == STORE_SQLITE ? 6 : 1, good = (int64_t)i * 2 + dead;
            while (sweep_at(_i, (struct weather){ verdicts[i], good, dead != 0, false }))
                good += step;
            ck_assert_int_gt(good, 40);
            calls += good;
        }
    }
    ck_assert_int_gt(calls, 300);
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
    PER_STORE(cursors_are_listed_by_pages_and_the_statistics_name_the_worst);
    PER_STORE(bindings_of_an_older_host_are_read_by_their_own_size);
    PER_STORE(no_failure_of_the_store_loses_an_event_or_does_anything_twice);
    return run_suite(suite, argc, argv);
}
