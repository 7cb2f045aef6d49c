/*
 * seen.c - which of our rows a record named: 8 bytes each, sorted once, then asked. Never decides
 * what it means that one is absent.
 */
#include <assert.h>
#include <string.h>

#include "core/reconcile/reconcile.h"

#define SEEN_FIRST 1024

/* The 62 random bits of the id's end. */
static uint64_t part_of(cfa__id id) {
    uint64_t part;
    memcpy(&part, id.bytes + 8, sizeof part);
    return part;
}

cfa_status cfa__seen_add(cfa__seen_ids *seen, cfa__id id) {
    if (seen->count == CFA_RECONCILE_OBJECTS_MAX) {
        return cfa_error_format(CFA_ERANGE, CFA__RECONCILE_ORIGIN, "next", 0,
                                "a record has at most %d objects: reconcile it in parts",
                                CFA_RECONCILE_OBJECTS_MAX);
    }
    if (seen->count == seen->capacity) {
        size_t capacity = seen->capacity == 0 ? SEEN_FIRST : seen->capacity + seen->capacity / 2;
        uint64_t *items = cfa_realloc(seen->items, capacity * sizeof *items);
        if (items == NULL)
            return cfa_error_set(CFA_ENOMEM, CFA__RECONCILE_ORIGIN, NULL, 0, "out of memory");
        seen->items = items;
        seen->capacity = capacity;
    }
    seen->items[seen->count++] = part_of(id);
    return CFA_OK;
}

static void swap(uint64_t *a, uint64_t *b) {
    uint64_t kept = *a;
    *a = *b;
    *b = kept;
}

/* In place, since qsort may take as much memory again: a heap, whose worst case is its usual one. */
static void sift(uint64_t *items, size_t from, size_t count) {
    for (size_t at = from; 2 * at + 1 < count;) {
        size_t child = 2 * at + 1;
        if (child + 1 < count && items[child] < items[child + 1])
            child++;
        if (items[at] >= items[child])
            return;
        swap(&items[at], &items[child]);
        at = child;
    }
}

void cfa__seen_sort(cfa__seen_ids *seen) {
    for (size_t i = seen->count / 2; i > 0; i--)
        sift(seen->items, i - 1, seen->count);
    for (size_t end = seen->count; end > 1; end--) {
        swap(&seen->items[0], &seen->items[end - 1]);
        sift(seen->items, 0, end - 1);
    }
}

bool cfa__seen_has(const cfa__seen_ids *seen, cfa__id id) {
    uint64_t wanted = part_of(id);
    size_t low = 0, high = seen->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (seen->items[middle] < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low < seen->count && seen->items[low] == wanted;
}

void cfa__seen_free(cfa__seen_ids *seen) {
    cfa_free(seen->items);
    memset(seen, 0, sizeof *seen);
}
