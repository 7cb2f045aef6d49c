/*
 * noted.c - which differences were noted: a record may tell of one object in several of its lists,
 * and each difference is one. What the object at hand brings is kept apart until the next begins,
 * because a contradiction takes back what was promised to be repaired.
 */
#include <assert.h>
#include <string.h>

#include "core/decide/evidence.h"
#include "core/reconcile/reconcile.h"
#include "util/secure.h"

#define SLOTS_FIRST 1024
#define SLOTS_MAX ((size_t)2 * CFA__NOTED_MAX)

/* Never 0, which is a free slot. */
static uint64_t key_of(int32_t code, const cfa__reconcile_place *place, const char *field) {
    uint8_t hash[16];
    uint64_t key;
    const uint8_t repairable = place->repairable;
    const char *ref = cfa__id_is_null(place->id) ? place->ref : NULL;
    const cfa_slice parts[] = { { &code, sizeof code },
                                { &place->kind, sizeof place->kind },
                                { &repairable, sizeof repairable },
                                { place->id.bytes, sizeof place->id.bytes },
                                { place->payment_id.bytes, sizeof place->payment_id.bytes },
                                cfa__slice(ref),
                                cfa__slice(field) };
    cfa__hash(hash, sizeof hash, (cfa_slice){ NULL, 0 }, parts, sizeof parts / sizeof parts[0]);
    memcpy(&key, hash, sizeof key);
    return key != 0 ? key : 1;
}

/* The key's slot, or the free one where it belongs. */
static uint64_t *slot_of(const cfa__noted *noted, uint64_t key) {
    size_t at = (size_t)key & (noted->capacity - 1);
    while (noted->slots[at] != 0 && noted->slots[at] != key)
        at = (at + 1) & (noted->capacity - 1);
    return &noted->slots[at];
}

static cfa_status grow(cfa__noted *noted) {
    cfa__noted larger = { .capacity = noted->capacity == 0 ? SLOTS_FIRST : 2 * noted->capacity };
    assert(larger.capacity <= SLOTS_MAX);
    larger.slots = cfa_alloc(larger.capacity * sizeof *larger.slots);
    if (larger.slots == NULL)
        return cfa_error_set(CFA_ENOMEM, CFA__RECONCILE_ORIGIN, NULL, 0, "out of memory");
    memset(larger.slots, 0, larger.capacity * sizeof *larger.slots);
    for (size_t i = 0; i < noted->capacity; i++) {
        if (noted->slots[i] != 0)
            *slot_of(&larger, noted->slots[i]) = noted->slots[i];
    }
    cfa_free(noted->slots);
    noted->slots = larger.slots;
    noted->capacity = larger.capacity;
    return CFA_OK;
}

static cfa_status settle(cfa__noted *noted, uint64_t key) {
    if (noted->count == CFA__NOTED_MAX)
        return CFA_OK;
    cfa_status status = 2 * (noted->count + 1) > noted->capacity ? grow(noted) : CFA_OK;
    if (status != CFA_OK)
        return status;
    uint64_t *slot = slot_of(noted, key);
    noted->count += *slot == 0;
    *slot = key;
    return CFA_OK;
}

bool cfa__noted_add(cfa__noted *noted, int32_t code, const cfa__reconcile_place *place,
                    const char *field) {
    uint64_t key = key_of(code, place, field);
    if (noted->capacity > 0 && *slot_of(noted, key) == key)
        return false;
    for (size_t i = 0; i < noted->fresh_count; i++) {
        if (noted->fresh[i] == key)
            return false;
    }
    if (noted->fresh_count < CFA__NOTED_FRESH_MAX)
        noted->fresh[noted->fresh_count++] = key;
    return true;
}

cfa_status cfa__noted_begin(cfa__noted *noted) {
    cfa_status status = CFA_OK;
    for (size_t i = 0; i < noted->fresh_count && status == CFA_OK; i++)
        status = settle(noted, noted->fresh[i]);
    noted->fresh_count = 0;
    return status;
}

void cfa__noted_take_back(cfa__noted *noted) { noted->fresh_count = 0; }

void cfa__noted_free(cfa__noted *noted) {
    cfa_free(noted->slots);
    memset(noted, 0, sizeof *noted);
}
