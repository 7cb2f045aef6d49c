/*
 * rate.h - how often a key may come: GCRA, the generic cell rate algorithm, in fixed memory. Pure:
 * knows keys and a monotonic time, nothing of addresses and requests.
 *
 * A key may come so often in a minute, evenly, and a third of that at once. Refused tries cost
 * nothing.
 *
 * Per key one number is kept: when its debt will be paid. A key without a place takes over the place
 * in its set whose debt is paid soonest, together with that debt, as the space-saving sketch counts
 * (Metwally et al., 2005). Debts of a set never shrink, so whoever was pushed out finds at least
 * what it owed when it comes back: sending any number of other keys forgives nothing. What a flood
 * can do is to make strangers wait for each other, when more keys are in debt at once than there
 * are places. The set comes from a keyed hash: nobody chooses whom to share it with.
 */
#ifndef SERVER_RATE_H
#define SERVER_RATE_H

#include <stddef.h>
#include <stdint.h>

enum {
    RATE_KEY_BYTES = 16,
    RATE_SECRET_BYTES = 16,
    RATE_SETS = 4096, /* a power of two */
    RATE_WAYS = 16,   /* places of a set; all tables take 1.5 MiB */
    RATE_PLACES = RATE_SETS * RATE_WAYS,
    RATE_PER_MINUTE_MAX = 1000000
};

typedef struct rate_table rate_table;

/* NULL: no memory. `per_minute` is from 1 to RATE_PER_MINUTE_MAX. */
rate_table *rate_new(int32_t per_minute, const unsigned char secret[RATE_SECRET_BYTES]);
void rate_free(rate_table *table);

/* How many may come at once. */
int32_t rate_burst(int32_t per_minute);

/* Let `key` come once. 0: it may; else the nanoseconds until it may, and nothing has changed.
 * `now_ns` must never go backward. */
uint64_t rate_take(rate_table *table, const unsigned char key[RATE_KEY_BYTES], uint64_t now_ns);

#endif
