/*
 * flying.h - the play provider as one that has many calls in flight: a test decides which calls
 * start, which stay in the air, in which order they land, and when; a held one ends by its
 * time-out, by the book's clock. It dies when the engine breaks its side: two threads at once, a
 * token twice, more in flight than allowed.
 */
#ifndef TESTS_CORE_FLYING_H
#define TESTS_CORE_FLYING_H

#include "support/book.h"

#include <pthread.h>
#include <stdatomic.h>

#define FLYING_MAX 512

/* What becomes of a call that is to start. */
enum {
    FLY_NOW,    /* it can be landed at once */
    FLY_HELD,   /* it stays until it is released, or its time-out */
    FLY_REFUSED /* it does not start: nothing was sent */
};

struct flying;
typedef int (*flying_plan)(struct flying *flying, const cfa_call *call);

struct flying_call {
    uint64_t token; /* 0: free */
    const cfa_call *call;
    cfa_arena *arena;
    cfa_reply *reply;
    int64_t until_us; /* monotonic, by the book's clock: its time-out */
    bool landing;
};

struct flying {
    flying_plan
        plan;        /* NULL: everything flies now; set before the engine opens or while it rests */
    atomic_int fate; /* of every call, when there is no plan */
    atomic_int starts, refused, finished, timed_out, blocking_calls;
    atomic_int in_air, most_in_air;
    atomic_int strays;           /* as many tokens of no call are handed back first */
    atomic_int drivers, waiting; /* threads inside; inside `finish`, in its sleep */
    pthread_mutex_t lock;
    struct flying_call calls[FLYING_MAX];
    uint64_t landing[FLYING_MAX]; /* tokens in the order of landing */
    int landing_count;
    int descriptor;
    struct book *book;
    cfa_provider_ops ops;
    cfa_provider provider;
};

/* Put it before the play provider of a book that is prepared and not started; neither may move. */
void flying_use(struct flying *flying, struct book *book);
/* After the book is closed. */
void flying_close(struct flying *flying);
/* Let everything that is held land, in an order drawn from the seed; returns how many. */
int flying_release(struct flying *flying, uint64_t seed);
/* Let one of those that are held land, the one of this operation ("pay_.../1"). */
void flying_release_one(struct flying *flying, const char *operation_id);

#endif
