/* rate.c - GCRA over a set-associative table. Must never let a key come sooner than a table without
 * end would. */
#include "rate.h"

#include <sodium.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_NS UINT64_C(60000000000)

_Static_assert((RATE_SETS & (RATE_SETS - 1)) == 0, "a set is chosen by a mask");
_Static_assert(crypto_shorthash_KEYBYTES == RATE_SECRET_BYTES, "SipHash takes the secret");

typedef struct place {
    unsigned char key[RATE_KEY_BYTES];
    uint64_t paid_ns; /* when its debt is paid; GCRA's theoretical arrival time */
} place;

struct rate_table {
    uint64_t interval_ns;  /* what one coming costs */
    uint64_t tolerance_ns; /* the debt that one may still come with */
    unsigned char secret[RATE_SECRET_BYTES];
    place sets[RATE_SETS][RATE_WAYS];
};

int32_t rate_burst(int32_t per_minute) { return (per_minute + 2) / 3; }

rate_table *rate_new(int32_t per_minute, const unsigned char secret[RATE_SECRET_BYTES]) {
    assert(per_minute > 0 && per_minute <= RATE_PER_MINUTE_MAX);
    rate_table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    /* Rounded up: never more than was said. */
    table->interval_ns = (MINUTE_NS - 1) / (uint64_t)per_minute + 1;
    table->tolerance_ns = table->interval_ns * (uint64_t)(rate_burst(per_minute) - 1);
    memcpy(table->secret, secret, RATE_SECRET_BYTES);
    return table;
}

void rate_free(rate_table *table) { free(table); }

/* The key's own place, else that of its set whose debt is paid soonest. */
static place *find_place(rate_table *table, const unsigned char key[RATE_KEY_BYTES]) {
    uint64_t hash = 0;
    _Static_assert(crypto_shorthash_BYTES == sizeof hash, "SipHash gives 64 bits");
    (void)crypto_shorthash((unsigned char *)&hash, key, RATE_KEY_BYTES, table->secret);
    place *set = table->sets[hash & (RATE_SETS - 1)], *best = set;
    for (int i = 0; i < RATE_WAYS; i++) {
        if (memcmp(set[i].key, key, RATE_KEY_BYTES) == 0)
            return &set[i];
        if (set[i].paid_ns < best->paid_ns)
            best = &set[i];
    }
    return best;
}

uint64_t rate_take(rate_table *table, const unsigned char key[RATE_KEY_BYTES], uint64_t now_ns) {
    place *at = find_place(table, key);
    uint64_t paid_ns = at->paid_ns > now_ns ? at->paid_ns : now_ns;
    uint64_t debt_ns = paid_ns - now_ns;
    if (debt_ns > table->tolerance_ns)
        return debt_ns - table->tolerance_ns;
    memcpy(at->key, key, RATE_KEY_BYTES); /* with the debt of who was there */
    at->paid_ns = paid_ns + table->interval_ns;
    return 0;
}
