/*
 * post.h - a sink named "post" that refuses what a test wants, on a book, and what must be true of
 * both at any time. For tests of the outbox and its operators.
 */
#ifndef TESTS_CORE_POST_H
#define TESTS_CORE_POST_H

#include "support/book.h"

#include <careforall/event.h>

#define POSITIONS_MAX 1024

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
    int behind;                 /* taken behind one that was refused before, with its fate open */
    bool gap;
};

extern const cfa_sink_ops post_ops;
/* As an adapter that was built before sinks could take anything again. */
extern const cfa_sink_ops post_old_ops;
/* The one that `post_prepare` gives to the engine; change it before the start. */
extern cfa_sink_binding post_binding;

/* `tries` 0: a refusal stops the sink. */
void post_prepare(struct book *book, int store, struct post *post, int32_t tries);
void post_open(struct book *book, int store, struct post *post, int32_t tries);
void post_gifts(struct book *book, int count);
/* A cursor, as any process would list it, valid until the next call; NULL: there is none. */
const cfa_cursor_view *cursor_of(cfa_engine *engine, const char *name);
const cfa_cursor_view *post_of(struct book *book);
void post_forget_cursors(void);
/* Let time pass and tick until nothing is left to deliver. */
void post_deliver(struct book *book);
/* Tick for some time, whatever comes of it. */
void post_pass_time(struct book *book, int seconds);
bool post_is_dead(cfa_engine *engine, int64_t position);
/* Up to the cursor each event was delivered or is dead. */
void post_expect_nothing_lost(struct book *book, const struct post *post);
/* That, an audit, and everything closed. */
void post_finish(struct book *book, const struct post *post);
cfa_status post_rewind(cfa_engine *engine, int64_t expected, int64_t position, const char *key);
cfa_status post_requeue(cfa_engine *engine, int64_t position, const char *key);
void post_pause(cfa_engine *engine);
void post_resume(cfa_engine *engine);

#endif
