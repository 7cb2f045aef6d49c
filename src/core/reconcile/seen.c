/*
 * seen.c - which of our rows a record named: 8 bytes each, sorted once, then asked. Never decides
 * what it means that one is absent.
 */
#include <assert.h>
#include <string.h>

#include "core/reconcile/reconcile.h"
#include "util/sort.h"

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

void cfa__seen_sort(cfa__seen_ids *seen) { cfa__sort_words(seen->items, seen->count, 1); }

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
