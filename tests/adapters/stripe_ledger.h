/*
 * stripe_ledger.h - what an account's list endpoints serve: many objects, evenly made over a span
 * of time, newest first, by Stripe's windows, cursors and limits.
 */
#ifndef TESTS_ADAPTERS_STRIPE_LEDGER_H
#define TESTS_ADAPTERS_STRIPE_LEDGER_H

#include "stripe_peer.h"

#define LEDGER_ODD_MAX 8

/* An object that is not like all others: in the list behind `index` of those, under its own id. */
typedef struct ledger_odd {
    int64_t created_s;
    const char *id, *payment_id;
    const char *members; /* as JSON, each followed by a comma */
} ledger_odd;

typedef struct stripe_ledger {
    const char *path; /* the list: "/v1/payment_intents" */
    const char *kind; /* of its objects */
    int32_t count;    /* the others */
    int64_t from_s, until_s;
    int32_t padding; /* bytes that nobody reads, in each object */
    bool shuffled;   /* pages are not newest first */
    ledger_odd odd[LEDGER_ODD_MAX];
    size_t odd_count;
} stripe_ledger;

/* A `peer_server`; its user is the ledger. Paths of one object, "PATH/ID", work for the odd ones.
 * Other lists are empty. */
char *ledger_serve(void *user, const char *request);

#endif
