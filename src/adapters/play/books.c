/*
 * books.c - where the play provider keeps objects, payments and idempotency keys, and finds them.
 *
 * Owns: the hash maps and the memory in them. Must never decide what a call means; intent.c and
 * call.c do.
 */
#include "adapters/play/books.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- hash map: open addressing, linear probing, no tombstones -------------------------------- */

static uint64_t hash_bytes(const void *data, size_t size) {
    const unsigned char *bytes = data;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return cfa__play_mix(hash);
}

static void map_place(cfa__play_map *map, cfa__play_item *item) {
    size_t at = (size_t)item->hash & (map->capacity - 1);
    while (map->slots[at] != NULL) {
        at = (at + 1) & (map->capacity - 1);
    }
    map->slots[at] = item;
}

/* Make room for one more item, so that the insert itself cannot fail. */
static bool map_reserve(cfa__play_map *map) {
    if ((map->count + 1) * 4 <= map->capacity * 3) {
        return true;
    }
    cfa__play_map grown = { NULL, map->capacity == 0 ? 64 : map->capacity * 2, map->count };
    grown.slots = cfa_alloc(grown.capacity * sizeof(cfa__play_item *));
    if (grown.slots == NULL) {
        return false;
    }
    memset(grown.slots, 0, grown.capacity * sizeof(cfa__play_item *));
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i] != NULL) {
            map_place(&grown, map->slots[i]);
        }
    }
    cfa_free(map->slots);
    *map = grown;
    return true;
}

static void map_insert(cfa__play_map *map, cfa__play_item *item) {
    assert((map->count + 1) * 4 <= map->capacity * 3);
    map_place(map, item);
    map->count++;
}

static void map_remove(cfa__play_map *map, const cfa__play_item *item) {
    size_t mask = map->capacity - 1;
    size_t hole = (size_t)item->hash & mask;
    while (map->slots[hole] != item) {
        assert(map->slots[hole] != NULL);
        hole = (hole + 1) & mask;
    }
    /* Move back every follower whose own place is not between the hole and where it lies. */
    for (size_t at = (hole + 1) & mask; map->slots[at] != NULL; at = (at + 1) & mask) {
        size_t home = (size_t)map->slots[at]->hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = NULL;
    map->count--;
}

typedef bool (*item_equal)(const cfa__play_item *item, const void *name, size_t size);

static cfa__play_item *map_find(const cfa__play_map *map, uint64_t hash, item_equal equal,
                                const void *name, size_t size) {
    if (map->capacity == 0) {
        return NULL;
    }
    size_t mask = map->capacity - 1;
    for (size_t at = (size_t)hash & mask; map->slots[at] != NULL; at = (at + 1) & mask) {
        if (map->slots[at]->hash == hash && equal(map->slots[at], name, size)) {
            return map->slots[at];
        }
    }
    return NULL;
}

static void map_free(cfa__play_map *map) {
    for (size_t i = 0; i < map->capacity; i++) {
        cfa_free(map->slots[i]);
    }
    cfa_free(map->slots);
    *map = (cfa__play_map){ NULL, 0, 0 };
}

void cfa__play_books_free(cfa_play *play) {
    map_free(&play->intents);
    map_free(&play->payments);
    map_free(&play->keys);
    map_free(&play->refunds);
    map_free(&play->disputes);
    play->oldest_key = play->newest_key = NULL;
    play->newest_intent = play->newest_refund = play->newest_dispute = NULL;
}

/* ---- payments and their objects -------------------------------------------------------------- */

static bool ref_equal(const char ref[CFA__PLAY_REF_SIZE], const void *name, size_t size) {
    return size == CFA__PLAY_REF_SIZE - 1 && memcmp(ref, name, size) == 0;
}

static bool intent_equal(const cfa__play_item *item, const void *name, size_t size) {
    return ref_equal(((const cfa__play_intent *)item)->ref, name, size);
}

static cfa__play_intent *find_ref(const cfa_play *play, const char *ref, size_t size) {
    return (cfa__play_intent *)map_find(&play->intents, hash_bytes(ref, size), intent_equal, ref,
                                        size);
}

cfa__play_intent *cfa__play_find_ref(cfa_play *play, const char *ref) {
    return find_ref(play, ref, strlen(ref));
}

cfa__play_intent *cfa__play_find_secret(cfa_play *play, const char *secret) {
    if (strlen(secret) != CFA__PLAY_SECRET_SIZE - 1) {
        return NULL;
    }
    cfa__play_intent *intent = find_ref(play, secret, CFA__PLAY_REF_SIZE - 1);
    return intent != NULL && strcmp(intent->secret, secret) == 0 ? intent : NULL;
}

static bool payment_equal(const cfa__play_item *item, const void *name, size_t size) {
    const cfa__play_payment *payment = (const cfa__play_payment *)item;
    return strlen(payment->id) == size && memcmp(payment->id, name, size) == 0;
}

cfa__play_payment *cfa__play_find_payment(cfa_play *play, const char *payment_id) {
    size_t size = strlen(payment_id);
    return (cfa__play_payment *)map_find(&play->payments, hash_bytes(payment_id, size),
                                         payment_equal, payment_id, size);
}

cfa__play_intent *cfa__play_best_intent(const cfa__play_payment *payment, const char *account,
                                        int64_t from_us, int64_t until_us) {
    cfa__play_intent *best = NULL;
    for (cfa__play_intent *at = payment->newest; at != NULL; at = at->older) {
        if ((account != NULL && strcmp(at->account, account) != 0) ||
            at->entry.created_us < from_us || at->entry.created_us > until_us) {
            continue;
        }
        if (best == NULL || at->now.captured_minor > best->now.captured_minor ||
            (at->now.captured_minor == best->now.captured_minor &&
             at->now.authorized_minor > best->now.authorized_minor)) {
            best = at;
        }
    }
    return best;
}

static cfa__play_payment *payment_for(cfa_play *play, const char *payment_id) {
    cfa__play_payment *payment = cfa__play_find_payment(play, payment_id);
    if (payment != NULL) {
        return payment;
    }
    size_t size = strlen(payment_id);
    if (!map_reserve(&play->payments)) {
        return NULL;
    }
    payment = cfa_alloc(sizeof *payment + size + 1);
    if (payment == NULL) {
        return NULL;
    }
    memset(payment, 0, sizeof *payment);
    memcpy(payment->id, payment_id, size + 1);
    payment->item.hash = hash_bytes(payment_id, size);
    map_insert(&play->payments, &payment->item);
    return payment;
}

static void enter(cfa__play_map *map, cfa__play_entry **newest, cfa__play_entry *entry,
                  const char ref[CFA__PLAY_REF_SIZE], int64_t now_us) {
    entry->created_us = now_us;
    entry->before = *newest;
    *newest = entry;
    entry->item.hash = hash_bytes(ref, CFA__PLAY_REF_SIZE - 1);
    map_insert(map, &entry->item);
}

/* Where the numbers of refunds and disputes begin, so that no two objects are named alike. */
#define REFUND_NUMBERS (UINT64_C(1) << 62)
#define DISPUTE_NUMBERS (UINT64_C(2) << 62)

/* Names look random, differ by seed and by payment: a provider made anew for an old book must not
 * repeat those that the book knows. */
static uint64_t new_name(const cfa_play *play, uint64_t number, const cfa__play_payment *payment) {
    return cfa__play_mix(number ^ cfa__play_mix(play->seed) ^ cfa__play_mix(payment->item.hash));
}

static void write_ref(char out[CFA__PLAY_REF_SIZE], const char *kind, uint64_t name) {
    snprintf(out, CFA__PLAY_REF_SIZE, "%s_play_%016llx", kind, (unsigned long long)name);
}

cfa__play_intent *cfa__play_intent_new(cfa_play *play, const char *payment_id, const char *account,
                                       cfa_money amount, bool capture_manual, int64_t now_us) {
    size_t account_size = strlen(account);
    if (!map_reserve(&play->intents)) {
        return NULL;
    }
    cfa__play_intent *intent = cfa_alloc(sizeof *intent + account_size + 1);
    if (intent == NULL) {
        return NULL;
    }
    memset(intent, 0, sizeof *intent);
    /* A payment without objects would be found and told about: make it last. */
    cfa__play_payment *payment = payment_for(play, payment_id);
    if (payment == NULL) {
        cfa_free(intent);
        return NULL;
    }
    uint64_t name = new_name(play, ++play->intent_number, payment);
    write_ref(intent->ref, "pi", name);
    snprintf(intent->secret, sizeof intent->secret, "%s_secret_%016llx", intent->ref,
             (unsigned long long)cfa__play_mix(name ^ ~play->seed));
    memcpy(intent->account, account, account_size + 1);
    intent->amount = amount;
    intent->now.occurred_us = now_us;
    intent->capture_manual = capture_manual;
    intent->payment = payment;
    intent->older = payment->newest;
    payment->newest = intent;
    enter(&play->intents, &play->newest_intent, &intent->entry, intent->ref, now_us);
    return intent;
}

/* ---- refunds and disputes -------------------------------------------------------------------- */

static bool refund_equal(const cfa__play_item *item, const void *name, size_t size) {
    return ref_equal(((const cfa__play_refund *)item)->ref, name, size);
}

cfa__play_refund *cfa__play_find_refund(cfa_play *play, const char *ref) {
    size_t size = strlen(ref);
    return (cfa__play_refund *)map_find(&play->refunds, hash_bytes(ref, size), refund_equal, ref,
                                        size);
}

cfa__play_refund *cfa__play_refund_new(cfa_play *play, cfa__play_intent *intent,
                                       int64_t amount_minor, const char *refund_id) {
    assert(intent->refund_count < CFA_REVERSALS_MAX);
    size_t id_size = strlen(refund_id);
    cfa__play_refund *refund =
        map_reserve(&play->refunds) ? cfa_alloc(sizeof *refund + id_size + 1) : NULL;
    if (refund == NULL) {
        return NULL;
    }
    memset(refund, 0, sizeof *refund);
    uint64_t number = REFUND_NUMBERS + ++play->refund_number;
    write_ref(refund->ref, "re", new_name(play, number, intent->payment));
    memcpy(refund->refund_id, refund_id, id_size + 1);
    refund->amount_minor = amount_minor;
    refund->intent = intent;
    refund->older = intent->newest_refund;
    intent->newest_refund = refund;
    intent->refund_count++;
    enter(&play->refunds, &play->newest_refund, &refund->entry, refund->ref,
          cfa__play_now_us(play));
    return refund;
}

static bool dispute_equal(const cfa__play_item *item, const void *name, size_t size) {
    return ref_equal(((const cfa__play_dispute *)item)->ref, name, size);
}

cfa__play_dispute *cfa__play_find_dispute(cfa_play *play, const char *ref) {
    size_t size = strlen(ref);
    return (cfa__play_dispute *)map_find(&play->disputes, hash_bytes(ref, size), dispute_equal, ref,
                                         size);
}

cfa__play_dispute *cfa__play_dispute_new(cfa_play *play, cfa__play_intent *intent,
                                         int64_t amount_minor) {
    assert(intent->dispute_count < CFA_REVERSALS_MAX);
    cfa__play_dispute *dispute = map_reserve(&play->disputes) ? cfa_alloc(sizeof *dispute) : NULL;
    if (dispute == NULL) {
        return NULL;
    }
    memset(dispute, 0, sizeof *dispute);
    uint64_t number = DISPUTE_NUMBERS + ++play->dispute_number;
    write_ref(dispute->ref, "dp", new_name(play, number, intent->payment));
    dispute->amount_minor = amount_minor;
    dispute->intent = intent;
    dispute->older = intent->newest_dispute;
    intent->newest_dispute = dispute;
    intent->dispute_count++;
    enter(&play->disputes, &play->newest_dispute, &dispute->entry, dispute->ref,
          cfa__play_now_us(play));
    return dispute;
}

/* ---- idempotency keys ------------------------------------------------------------------------ */

typedef struct key_name {
    const char *account, *key;
    size_t account_size, key_size;
} key_name;

static key_name name_of(const char *account, const char *key) {
    return (key_name){ account, key, strlen(account), strlen(key) };
}

static uint64_t key_hash(const key_name *name) {
    return hash_bytes(name->key, name->key_size) ^
           cfa__play_mix(hash_bytes(name->account, name->account_size));
}

static bool key_equal(const cfa__play_item *item, const void *name, size_t size) {
    const cfa__play_key *key = (const cfa__play_key *)item;
    const key_name *wanted = name;
    return key->size == size && memcmp(key->name, wanted->account, wanted->account_size + 1) == 0 &&
           memcmp(key->name + wanted->account_size + 1, wanted->key, wanted->key_size) == 0;
}

void cfa__play_key_drop(cfa_play *play, cfa__play_key *key) {
    map_remove(&play->keys, &key->item);
    *(key->older != NULL ? &key->older->newer : &play->oldest_key) = key->newer;
    *(key->newer != NULL ? &key->newer->older : &play->newest_key) = key->older;
    cfa_free(key);
}

static bool key_is_forgotten(const cfa_play *play, const cfa__play_key *key, int64_t now_us) {
    return now_us - key->created_us >= play->key_retention_us;
}

cfa__play_key *cfa__play_key_find(cfa_play *play, const char *account, const char *key,
                                  int64_t now_us) {
    while (play->oldest_key != NULL && key_is_forgotten(play, play->oldest_key, now_us)) {
        cfa__play_key_drop(play, play->oldest_key);
    }
    key_name name = name_of(account, key);
    cfa__play_key *found = (cfa__play_key *)map_find(&play->keys, key_hash(&name), key_equal, &name,
                                                     name.account_size + 1 + name.key_size);
    /* The clock may have jumped, so age is not the order of arrival. */
    if (found != NULL && key_is_forgotten(play, found, now_us)) {
        cfa__play_key_drop(play, found);
        return NULL;
    }
    return found;
}

cfa__play_key *cfa__play_key_new(cfa_play *play, const char *account, const char *key,
                                 const uint8_t body_hash[16], int64_t now_us) {
    key_name name = name_of(account, key);
    size_t size = name.account_size + 1 + name.key_size;
    if (!map_reserve(&play->keys)) {
        return NULL;
    }
    cfa__play_key *made = cfa_alloc(sizeof *made + size);
    if (made == NULL) {
        return NULL;
    }
    memset(made, 0, sizeof *made);
    made->item.hash = key_hash(&name);
    made->created_us = now_us;
    memcpy(made->body_hash, body_hash, sizeof made->body_hash);
    made->size = size;
    memcpy(made->name, account, name.account_size + 1);
    memcpy(made->name + name.account_size + 1, key, name.key_size);
    made->older = play->newest_key;
    *(made->older != NULL ? &made->older->newer : &play->oldest_key) = made;
    play->newest_key = made;
    map_insert(&play->keys, &made->item);
    return made;
}
