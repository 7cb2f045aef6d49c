/*
 * post.c - see post.h.
 */
#include "post.h"

#include <stdio.h>
#include <string.h>

#define ROUNDS_MAX 400

/* ---- a sink that refuses --------------------------------------------------------------------- */

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
        post->behind +=
            post->refused[post->only] > 0 && position > post->only && post->last < post->only;
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

const cfa_sink_ops post_ops = { .struct_size = sizeof post_ops,
                                .name = "post",
                                .send = post_send,
                                .poll = post_poll,
                                .reset = post_reset,
                                .redeliver = post_redeliver };

const cfa_sink_ops post_old_ops = { .struct_size = offsetof(cfa_sink_ops, redeliver),
                                    .name = "old",
                                    .send = post_send,
                                    .poll = post_poll,
                                    .reset = post_reset };

/* ---- helpers --------------------------------------------------------------------------------- */

cfa_sink_binding post_binding;

void post_prepare(struct book *book, int store, struct post *post, int32_t tries) {
    book_prepare(book, store);
    post_binding =
        (cfa_sink_binding){ .name = "post",
                            .sink = { &post_ops, post },
                            .refused_rule = tries > 0 ? CFA_REFUSED_SET_ASIDE : CFA_REFUSED_STOP,
                            .refused_tries = tries };
    book->options.sinks = &post_binding;
    book->options.sink_count = 1;
}

void post_open(struct book *book, int store, struct post *post, int32_t tries) {
    post_prepare(book, store, post, tries);
    book_start(book);
}

void post_gifts(struct book *book, int count) {
    static int number;
    for (int i = 0; i < count; i++) {
        char key[24];
        snprintf(key, sizeof key, "gift-%d", number++);
        cfa_pledge_free(pledge_make(book, key, 100));
    }
}

static cfa_cursor_list *cursors;

void post_forget_cursors(void) {
    cfa_cursor_list_free(cursors);
    cursors = NULL;
}

const cfa_cursor_view *cursor_of(cfa_engine *engine, const char *name) {
    post_forget_cursors();
    ck_assert_int_eq(cfa_cursor_page(&cursors, engine, NULL), CFA_OK);
    for (size_t i = 0; i < cfa_cursor_list_size(cursors); i++) {
        if (strcmp(cfa_cursor_list_at(cursors, i)->name, name) == 0)
            return cfa_cursor_list_at(cursors, i);
    }
    return NULL;
}

const cfa_cursor_view *post_of(struct book *book) { return cursor_of(book->engine, "post"); }

/* Let time pass and tick until nothing is left to post_deliver. */
void post_deliver(struct book *book) {
    for (int round = 0; round < ROUNDS_MAX; round++) {
        book_settle(book);
        const cfa_cursor_view *cursor = post_of(book);
        if (cursor != NULL && cursor->lag == 0 && cursor->requeued_count == 0)
            return;
        book_advance(book, SECOND_US);
    }
    ck_abort_msg("not everything was delivered");
}

void post_pass_time(struct book *book, int seconds) {
    for (int i = 0; i < seconds; i++) {
        book_advance(book, SECOND_US);
        book_settle(book);
    }
}

bool post_is_dead(cfa_engine *engine, int64_t position) {
    cfa_letter_list *list;
    ck_assert_int_eq(cfa_letter_page(&list, engine, "post", position - 1, 1), CFA_OK);
    bool dead =
        cfa_letter_list_size(list) == 1 && cfa_letter_list_at(list, 0)->position == position;
    cfa_letter_list_free(list);
    return dead;
}

void post_expect_nothing_lost(struct book *book, const struct post *post) {
    int64_t acknowledged = post_of(book)->acknowledged, dead = 0;
    for (int64_t position = 1; position <= acknowledged; position++) {
        bool taken = post->times[position] + post->again[position] > 0;
        bool is_letter = post_is_dead(book->engine, position);
        ck_assert_msg(taken || is_letter, "event %lld is lost", (long long)position);
        dead += is_letter;
    }
    ck_assert_int_eq(dead, post_of(book)->dead_count);
    ck_assert(!post->gap);
}

void post_finish(struct book *book, const struct post *post) {
    post_expect_nothing_lost(book, post);
    post_forget_cursors();
    audit(book);
    book_close(book);
}

cfa_status post_rewind(cfa_engine *engine, int64_t expected, int64_t position, const char *key) {
    cfa_cursor_list *list = NULL;
    cfa_status status =
        cfa_cursor_rewind(&list, engine, "post", expected, position, NULL, key, NULL);
    cfa_cursor_list_free(list);
    return status;
}

cfa_status post_requeue(cfa_engine *engine, int64_t position, const char *key) {
    cfa_cursor_list *list = NULL;
    cfa_status status = cfa_letter_requeue(&list, engine, "post", position, NULL, key, NULL);
    cfa_cursor_list_free(list);
    return status;
}

void post_pause(cfa_engine *engine) {
    cfa_cursor_list *list;
    cfa_actor by = CFA_ACTOR_INIT;
    by.reason = "the receiver moves house";
    ck_assert_int_eq(cfa_cursor_pause(&list, engine, "post", &by), CFA_OK);
    ck_assert_int_eq(cfa_cursor_list_at(list, 0)->paused, CFA_CURSOR_PAUSED);
    cfa_cursor_list_free(list);
}

void post_resume(cfa_engine *engine) {
    cfa_cursor_list *list;
    ck_assert_int_eq(cfa_cursor_resume(&list, engine, "post", NULL), CFA_OK);
    ck_assert_int_eq(cfa_cursor_list_at(list, 0)->paused, CFA_CURSOR_RUNS);
    cfa_cursor_list_free(list);
}
