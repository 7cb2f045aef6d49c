/*
 * seen.c - what the look-ups of this process have seen of Stripe's lists, so that they share it and
 * go on where others stopped: which seconds were seen whole, and which payments lie in them. Holds
 * hashes and times alone. It may forget anything at any time; it must never hold a second as seen
 * that may still change, or whose payments it does not all hold.
 */
#include "adapters/stripe/stripe.h"

#include <assert.h>
#include <string.h>

#define LISTINGS_MAX 8
#define TABLE_CAPACITY_MIN 1024
/* An object's time of creation is set when Stripe begins to make it, and it is listed a little
 * later. After this, by Stripe's clock, nothing new is listed there. */
#define SETTLED_S 600

/* ---- spans ----------------------------------------------------------------------------------- */

static int32_t narrowest(const cfa__stripe_span *items, int32_t count) {
    int32_t found = 0;
    for (int32_t i = 1; i < count; i++) {
        if (items[i].until_s - items[i].from_s < items[found].until_s - items[found].from_s) {
            found = i;
        }
    }
    return found;
}

void cfa__stripe_spans_add(cfa__stripe_spans *spans, cfa__stripe_span added) {
    cfa__stripe_span items[CFA__STRIPE_SPANS_MAX + 1];
    int32_t count = 0;
    bool placed = false;
    if (added.from_s > added.until_s) {
        return;
    }
    for (int32_t i = 0; i < spans->count; i++) {
        cfa__stripe_span each = spans->items[i];
        if (each.until_s < added.from_s - 1) {
            items[count++] = each;
        } else if (each.from_s - 1 > added.until_s) {
            if (!placed) {
                items[count++] = added;
                placed = true;
            }
            items[count++] = each;
        } else { /* they touch */
            added.from_s = each.from_s < added.from_s ? each.from_s : added.from_s;
            added.until_s = each.until_s > added.until_s ? each.until_s : added.until_s;
        }
    }
    if (!placed) {
        items[count++] = added;
    }
    if (count > CFA__STRIPE_SPANS_MAX) { /* what is forgotten is only asked for again */
        int32_t gone = narrowest(items, count--);
        memmove(items + gone, items + gone + 1, (size_t)(count - gone) * sizeof *items);
    }
    memcpy(spans->items, items, (size_t)count * sizeof *items);
    spans->count = count;
}

bool cfa__stripe_spans_gap(const cfa__stripe_spans *spans, cfa__stripe_span within,
                           cfa__stripe_span *out) {
    int64_t until_s = within.until_s;
    for (int32_t i = spans->count; i-- > 0 && until_s >= within.from_s;) {
        cfa__stripe_span each = spans->items[i];
        if (each.from_s > until_s) {
            continue;
        }
        if (each.until_s < until_s) {
            int64_t from_s = each.until_s + 1;
            *out = (cfa__stripe_span){ from_s > within.from_s ? from_s : within.from_s, until_s };
            return true;
        }
        until_s = each.from_s - 1;
    }
    *out = (cfa__stripe_span){ within.from_s, until_s };
    return until_s >= within.from_s;
}

/* ---- the listings ---------------------------------------------------------------------------- */

typedef struct listing {
    char *account; /* NULL: free */
    bool sessions;
    uint64_t used_at;
    int64_t newest_s; /* of all objects seen: Stripe's clock was at least there */
    cfa__stripe_spans spans;
    cfa__stripe_sighting *table; /* open addressing; a payment of 0 is free */
    size_t count, capacity;
} listing;

struct cfa__stripe_seen {
    pthread_mutex_t lock;
    uint64_t uses;
    listing listings[LISTINGS_MAX];
};

cfa__stripe_seen *cfa__stripe_seen_new(void) {
    cfa__stripe_seen *seen = cfa_alloc(sizeof *seen);
    if (seen == NULL) {
        return NULL;
    }
    memset(seen, 0, sizeof *seen);
    if (pthread_mutex_init(&seen->lock, NULL) != 0) {
        cfa_free(seen);
        return NULL;
    }
    return seen;
}

/* The listing stays; what was seen of it does not. */
static void forget(listing *from) {
    cfa_free(from->table);
    from->table = NULL;
    from->count = from->capacity = 0;
    from->spans.count = 0;
}

void cfa__stripe_seen_free(cfa__stripe_seen *seen) {
    if (seen == NULL) {
        return;
    }
    for (size_t i = 0; i < LISTINGS_MAX; i++) {
        forget(&seen->listings[i]);
        cfa_free(seen->listings[i].account);
    }
    pthread_mutex_destroy(&seen->lock);
    cfa_free(seen);
}

uint64_t cfa__stripe_seen_payment(const char *payment_id) {
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (; *payment_id != '\0'; payment_id++) {
        hash = (hash ^ (unsigned char)*payment_id) * UINT64_C(1099511628211);
    }
    return hash != 0 ? hash : 1;
}

static listing *find_listing(cfa__stripe_seen *seen, const char *account, bool sessions) {
    for (size_t i = 0; i < LISTINGS_MAX; i++) {
        listing *each = &seen->listings[i];
        if (each->account != NULL && each->sessions == sessions &&
            strcmp(each->account, account) == 0) {
            each->used_at = ++seen->uses;
            return each;
        }
    }
    return NULL;
}

/* In place of the one that was not used for longest; NULL without memory. */
static listing *add_listing(cfa__stripe_seen *seen, const char *account, bool sessions) {
    listing *made = &seen->listings[0];
    for (size_t i = 1; i < LISTINGS_MAX; i++) {
        made = seen->listings[i].used_at < made->used_at ? &seen->listings[i] : made;
    }
    size_t size = strlen(account) + 1;
    char *copy = cfa_alloc(size);
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy, account, size);
    forget(made);
    cfa_free(made->account);
    *made = (listing){ .account = copy, .sessions = sessions, .used_at = ++seen->uses };
    return made;
}

/* ---- sightings ------------------------------------------------------------------------------- */

static bool equals(cfa__stripe_sighting a, cfa__stripe_sighting b) {
    return a.payment == b.payment && a.created_s == b.created_s;
}

/* Half of a table is always free. */
static void place(cfa__stripe_sighting *table, size_t capacity, cfa__stripe_sighting added) {
    size_t at = (size_t)added.payment & (capacity - 1);
    while (table[at].payment != 0) {
        at = (at + 1) & (capacity - 1);
    }
    table[at] = added;
}

static bool grow(listing *into) {
    size_t capacity = into->capacity > 0 ? 2 * into->capacity : TABLE_CAPACITY_MIN;
    cfa__stripe_sighting *table =
        into->count < CFA_STRIPE_LOOKUP_PAYMENTS_MAX ? cfa_alloc(capacity * sizeof *table) : NULL;
    if (table == NULL) {
        return false;
    }
    memset(table, 0, capacity * sizeof *table);
    for (size_t i = 0; i < into->capacity; i++) {
        if (into->table[i].payment != 0) {
            place(table, capacity, into->table[i]);
        }
    }
    cfa_free(into->table);
    into->table = table;
    into->capacity = capacity;
    return true;
}

/* False: no room. */
static bool add_sighting(listing *into, cfa__stripe_sighting added) {
    size_t at = (size_t)added.payment & (into->capacity - 1);
    for (; into->capacity > 0 && into->table[at].payment != 0;
         at = (at + 1) & (into->capacity - 1)) {
        if (equals(into->table[at], added)) {
            return true;
        }
    }
    if (2 * (into->count + 1) > into->capacity && !grow(into)) {
        return false;
    }
    place(into->table, into->capacity, added);
    into->count++;
    return true;
}

bool cfa__stripe_seen_note(cfa__stripe_seen *seen, const char *account, bool sessions,
                           const cfa__stripe_sightings *page, cfa__stripe_span span,
                           int64_t clock_s) {
    pthread_mutex_lock(&seen->lock);
    listing *into = find_listing(seen, account, sessions);
    if (into == NULL) {
        into = add_listing(seen, account, sessions);
    }
    bool good = into != NULL, news = false;
    for (int32_t i = 0; good && i < page->count; i++) {
        good = add_sighting(into, page->items[i]);
    }
    if (good) {
        into->newest_s = page->newest_s > into->newest_s ? page->newest_s : into->newest_s;
        /* Two clocks must agree that it is settled: what was stamped, and what Stripe answers. */
        clock_s = into->newest_s < clock_s ? into->newest_s : clock_s;
        span.until_s = span.until_s < clock_s - SETTLED_S ? span.until_s : clock_s - SETTLED_S;
        cfa__stripe_span gap;
        news = cfa__stripe_spans_gap(&into->spans, span, &gap);
        cfa__stripe_spans_add(&into->spans, span);
    } else if (into != NULL) {
        forget(into);
    }
    pthread_mutex_unlock(&seen->lock);
    return news;
}

/* A second within the window, but outside of `spans`, in which the payment lies. */
static bool find_sighting(const listing *from, uint64_t payment, cfa__stripe_span within,
                          const cfa__stripe_spans *spans, int64_t *out_s) {
    size_t at = (size_t)payment & (from->capacity - 1);
    for (; from->capacity > 0 && from->table[at].payment != 0;
         at = (at + 1) & (from->capacity - 1)) {
        int64_t created_s = from->table[at].created_s;
        cfa__stripe_span gap;
        if (from->table[at].payment == payment && created_s >= within.from_s &&
            created_s <= within.until_s &&
            cfa__stripe_spans_gap(spans, (cfa__stripe_span){ created_s, created_s }, &gap)) {
            *out_s = created_s;
            return true;
        }
    }
    return false;
}

bool cfa__stripe_seen_take(cfa__stripe_seen *seen, const char *account, bool sessions,
                           uint64_t payment, cfa__stripe_span within, cfa__stripe_spans *spans,
                           int64_t *out_s) {
    pthread_mutex_lock(&seen->lock);
    const listing *from = find_listing(seen, account, sessions);
    bool found = from != NULL && find_sighting(from, payment, within, spans, out_s);
    for (int32_t i = 0; from != NULL && !found && i < from->spans.count; i++) {
        cfa__stripe_span each = from->spans.items[i];
        each.from_s = each.from_s > within.from_s ? each.from_s : within.from_s;
        each.until_s = each.until_s < within.until_s ? each.until_s : within.until_s;
        cfa__stripe_spans_add(spans, each);
    }
    pthread_mutex_unlock(&seen->lock);
    return found;
}
