/*
 * keys.c - idempotency keys: found and bound in the transaction of what they protect. A key is
 * never forgotten.
 *
 * Time-ordered keys are appended to `key` as they are. Random ones go to the current generation of
 * `key_recent`, a small tree, and are moved to `key` in key order when their generation has passed
 * (upkeep.c).
 */
#include "core/decide/decide.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.key"

cfa_status cfa__book_find(cfa__working_set *set, const cfa__book **out) {
    cfa__book key;
    memset(&key, 0, sizeof key);
    key.id = 1;
    const void *found = NULL;
    cfa_status status = cfa__find(set, &cfa__book_kind, &key, &found);
    *out = found;
    return status;
}

static cfa_status compare(const cfa__keyed *keyed, int64_t command, cfa_slice fingerprint) {
    if (command != keyed->command) {
        return cfa_error_set(CFA_EKEYREUSE, ORIGIN, "key", 0,
                             "this idempotency key was used for another kind of request");
    }
    const uint8_t *stored = fingerprint.data;
    size_t size = 1 + (size_t)keyed->field_count * CFA__FINGERPRINT_PART;
    if (fingerprint.size != size || stored[0] != CFA__FINGERPRINT_VERSION) {
        return cfa_error_set(CFA_ECORRUPT, ORIGIN, "key", 0,
                             "a stored fingerprint has an unknown form");
    }
    for (int32_t i = 0; i < keyed->field_count; i++) {
        size_t at = 1 + (size_t)i * CFA__FINGERPRINT_PART;
        if (memcmp(stored + at, keyed->fingerprint + at, CFA__FINGERPRINT_PART) != 0) {
            return cfa_error_format(CFA_EKEYREUSE, ORIGIN, keyed->field_names[i], 0,
                                    "this idempotency key was used with another %s",
                                    keyed->field_names[i]);
        }
    }
    return CFA_OK;
}

static cfa_status find_recent(cfa__working_set *set, const cfa__keyed *keyed, int64_t generation,
                              const cfa__key_recent **out) {
    cfa__key_recent key;
    memset(&key, 0, sizeof key);
    key.generation = generation;
    key.digest = keyed->digest;
    key.scope_hash = keyed->scope_hash;
    const void *found = NULL;
    cfa_status status = cfa__find(set, &cfa__key_recent_kind, &key, &found);
    *out = found;
    return status;
}

cfa_status cfa__key_resolve(cfa__working_set *set, const cfa__keyed *keyed, cfa__id *out_resource) {
    cfa__key key;
    memset(&key, 0, sizeof key);
    key.digest = keyed->digest;
    key.scope_hash = keyed->scope_hash;
    const void *found = NULL;
    cfa_status status = cfa__find(set, &cfa__key_kind, &key, &found);
    if (status < 0)
        return status;
    const cfa__key *stored = found;
    if (status == CFA_OK && stored != NULL) {
        *out_resource = stored->resource_id;
        return compare(keyed, stored->command, stored->fingerprint);
    }
    bool missed = status == CFA__MISS;
    if (!keyed->time_ordered) {
        /* Ask by the hint first, so that one round usually brings everything. */
        const cfa__book *book = NULL;
        status = cfa__book_find(set, &book);
        if (status < 0)
            return status;
        missed = missed || status == CFA__MISS;
        assert(status == CFA__MISS || book != NULL);
        int64_t generation = status == CFA_OK ? book->key_generation : keyed->generation_hint;
        for (int64_t back = 0; back < 2; back++) {
            const cfa__key_recent *recent = NULL;
            status = find_recent(set, keyed, generation - back, &recent);
            if (status < 0)
                return status;
            missed = missed || status == CFA__MISS;
            if (status == CFA_OK && recent != NULL && !missed) {
                *out_resource = recent->resource_id;
                return compare(keyed, recent->command, recent->fingerprint);
            }
        }
    }
    if (missed)
        return CFA__MISS;
    *out_resource = CFA__ID_NULL;
    return CFA_OK;
}

cfa_status cfa__key_resolve_payment(cfa__working_set *set, const cfa__keyed *keyed,
                                    cfa__id payment_id, cfa__id *out_resource, cfa__payment **out) {
    void *draft = NULL;
    cfa_status status = cfa__key_resolve(set, keyed, out_resource);
    if (status < 0)
        return status;
    cfa_status payment_status = cfa__edit_id(set, &cfa__payment_kind, payment_id, &draft);
    if (status == CFA__MISS || payment_status != CFA_OK)
        return payment_status < 0 ? payment_status : CFA__MISS;
    *out = draft;
    return draft != NULL
               ? CFA_OK
               : cfa_error_set(CFA_ENOTFOUND, ORIGIN, "payment_id", 0, "there is no such payment");
}

cfa_status cfa__key_bind(cfa__working_set *set, const cfa__keyed *keyed, cfa__id resource_id) {
    cfa_slice fingerprint = { keyed->fingerprint,
                              1 + (size_t)keyed->field_count * CFA__FINGERPRINT_PART };
    if (keyed->time_ordered) {
        cfa__key key = { keyed->digest, keyed->scope_hash, keyed->command,
                         fingerprint,   resource_id,       cfa__now_us(set) };
        return cfa__insert(set, &cfa__key_kind, &key, NULL);
    }
    const cfa__book *book;
    cfa_status status = cfa__book_find(set, &book);
    if (status != CFA_OK)
        return status;
    assert(book != NULL);
    /* The generation must still be current at commit, or two processes could bind one key twice. */
    status = cfa__guard(set, &cfa__book_kind, book);
    if (status != CFA_OK)
        return status;
    cfa__key_recent key = { book->key_generation, keyed->digest, keyed->scope_hash, keyed->command,
                            fingerprint,          resource_id,   cfa__now_us(set) };
    return cfa__insert(set, &cfa__key_recent_kind, &key, NULL);
}
