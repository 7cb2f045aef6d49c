/*
 * walked.c - which of our payments were passed on the way while a record was compared: whole times, and
 * within them those that the record had not named there. So the walk for what is missing need not
 * read them again. Bounded: what does not fit is not noted, and walked.
 */
#include <assert.h>
#include <string.h>

#include "core/reconcile/reconcile.h"
#include "util/sort.h"

#define DOUBTS_FIRST 1024
#define DOUBTS_MAX 1000000 /* 16 bytes each */

static uint64_t word_of(const uint8_t bytes[8]) {
    uint64_t word = 0;
    for (int i = 0; i < 8; i++)
        word = word << 8 | bytes[i];
    return word;
}

uint64_t cfa__walked_ms(cfa__id id) { return word_of(id.bytes) >> 16; }

/* False: no room. */
bool cfa__walked_doubt(cfa__walked *walked, cfa__id id) {
    if (walked->doubt_count == DOUBTS_MAX)
        return false;
    if (walked->doubt_count == walked->doubt_capacity) {
        size_t capacity = walked->doubt_capacity == 0 ? DOUBTS_FIRST : walked->doubt_capacity * 2;
        cfa__doubt *doubts = cfa_realloc(walked->doubts, capacity * sizeof *doubts);
        if (doubts == NULL)
            return false;
        walked->doubts = doubts;
        walked->doubt_capacity = capacity;
    }
    walked->doubts[walked->doubt_count++] =
        (cfa__doubt){ word_of(id.bytes), word_of(id.bytes + 8) };
    return true;
}

void cfa__walked_add(cfa__walked *walked, uint64_t from_ms, uint64_t until_ms) {
    size_t at = 0, end;
    if (from_ms >= until_ms)
        return;
    while (at < walked->range_count && walked->ranges[at].until_ms < from_ms)
        at++;
    for (end = at; end < walked->range_count && walked->ranges[end].from_ms <= until_ms; end++) {
        if (walked->ranges[end].from_ms < from_ms)
            from_ms = walked->ranges[end].from_ms;
        if (walked->ranges[end].until_ms > until_ms)
            until_ms = walked->ranges[end].until_ms;
    }
    if (end == at && walked->range_count == CFA__WALKED_RANGES)
        return;
    memmove(walked->ranges + at + 1, walked->ranges + end,
            (walked->range_count - end) * sizeof *walked->ranges);
    walked->ranges[at] = (cfa__walked_range){ from_ms, until_ms };
    walked->range_count += 1 + at - end;
}

static bool is_before(const cfa__doubt *a, const cfa__doubt *b) {
    return a->high != b->high ? a->high < b->high : a->low < b->low;
}

cfa__id cfa__walked_id(const cfa__doubt *doubt) {
    cfa__id id;
    for (int i = 0; i < 8; i++) {
        id.bytes[i] = (uint8_t)(doubt->high >> (56 - 8 * i));
        id.bytes[8 + i] = (uint8_t)(doubt->low >> (56 - 8 * i));
    }
    return id;
}

/* Most were named elsewhere in the record, and many were passed twice. */
void cfa__walked_settle(cfa__walked *walked, const cfa__seen_ids *seen) {
    static_assert(sizeof(cfa__doubt) == 2 * sizeof(uint64_t), "a doubt is two words");
    size_t count = 0;
    for (size_t i = 0; i < walked->doubt_count; i++) {
        if (!cfa__seen_has(seen, cfa__walked_id(&walked->doubts[i])))
            walked->doubts[count++] = walked->doubts[i];
    }
    walked->doubt_count = count;
    if (count > 0)
        cfa__sort_words(&walked->doubts->high, count, 2);
    for (size_t i = 1; i < count; i++) { /* those of one first word */
        for (size_t at = i; at > 0 && is_before(&walked->doubts[at], &walked->doubts[at - 1]);
             at--) {
            cfa__doubt kept = walked->doubts[at];
            walked->doubts[at] = walked->doubts[at - 1];
            walked->doubts[at - 1] = kept;
        }
    }
}

bool cfa__walked_next(const cfa__walked *walked, const cfa__id *last, cfa__id *out) {
    size_t low = 0, high = walked->doubt_count;
    const cfa__doubt after = { word_of(last->bytes), word_of(last->bytes + 8) };
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_before(&after, &walked->doubts[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    if (low == walked->doubt_count)
        return false;
    *out = cfa__walked_id(&walked->doubts[low]);
    return true;
}

uint64_t cfa__walked_until(const cfa__walked *walked, uint64_t ms) {
    for (size_t i = 0; i < walked->range_count; i++) {
        if (walked->ranges[i].from_ms <= ms && ms < walked->ranges[i].until_ms)
            return walked->ranges[i].until_ms;
    }
    return 0;
}

void cfa__walked_free(cfa__walked *walked) {
    cfa_free(walked->doubts);
    memset(walked, 0, sizeof *walked);
}
