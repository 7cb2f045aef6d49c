/*
 * working_set.c - the working set of one batch: entries by (kind, primary key), the lists that were
 * asked for, and the changes that come out of it. Owned by the leader of the batch; never touches
 * the store itself.
 */
#include "core/engine/working_set.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.working_set"
#define KIND_ID_MAX 63

struct entry {
    struct entry *next; /* in the bucket */
    struct entry *next_staged, *next_dirty;
    const cfa_kind *kind;
    uint64_t hash;
    const void *key;       /* a record with the primary key set */
    const void *committed; /* as loaded; NULL: absent */
    const void *current;   /* with the effects of the commands that succeeded; NULL: absent */
    void *draft;           /* of the running handler; NULL while `staged`: removal */
    bool loaded, missing, staged, dirty, guarded;
};

struct list {
    struct list *next;
    cfa_query query;
    bool loaded;
};

struct guard_node {
    struct guard_node *next;
    cfa_guard guard;
};

struct cfa__working_set {
    cfa_arena *arena;
    int64_t now_us;
    struct entry **buckets;
    size_t bucket_count, entry_count;
    struct entry **missing;
    size_t missing_count, missing_capacity;
    struct entry *staged, *dirty_first, *dirty_last;
    struct list *lists;
    size_t lists_missing;
    struct guard_node *guards, *staged_guards;
    size_t guard_count;
    void **events;
    size_t event_count, event_capacity, staged_event_start;
};

/* ---- fields and hashing ---------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash ^= value;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

static uint64_t mix_bytes(uint64_t hash, const void *data, size_t size) {
    const uint8_t *bytes = data;
    for (; size >= 8; bytes += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        hash = mix(hash, word);
    }
    uint64_t tail = size;
    for (size_t i = 0; i < size; i++)
        tail = (tail << 8) | bytes[i];
    return mix(hash, tail);
}

static const void *field_at(const cfa_kind *kind, const void *record, int32_t position) {
    return (const char *)record + kind->fields[position].offset;
}

static uint64_t hash_key(const cfa_kind *kind, const void *record) {
    const cfa_index *primary = &kind->indexes[0];
    uint64_t hash = (uint64_t)kind->id;
    for (int32_t i = 0; i < primary->field_count; i++) {
        const void *field = field_at(kind, record, primary->fields[i]);
        switch (kind->fields[primary->fields[i]].type) {
        case CFA_FIELD_INT: hash = mix_bytes(hash, field, sizeof(int64_t)); break;
        case CFA_FIELD_ID: hash = mix_bytes(hash, field, sizeof(cfa__id)); break;
        case CFA_FIELD_CURRENCY: hash = mix_bytes(hash, field, sizeof(cfa__currency)); break;
        default: {
            const cfa_slice *slice = field;
            hash = mix_bytes(hash, slice->data, slice->size);
        }
        }
    }
    return hash;
}

static int compare_slices(const cfa_slice *a, const cfa_slice *b) {
    size_t shorter = a->size < b->size ? a->size : b->size;
    int order = shorter > 0 ? memcmp(a->data, b->data, shorter) : 0;
    if (order != 0)
        return order;
    return (a->size > b->size) - (a->size < b->size);
}

static int compare_field(int32_t type, const void *a, const void *b) {
    switch (type) {
    case CFA_FIELD_INT: {
        int64_t x, y;
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        return (x > y) - (x < y);
    }
    case CFA_FIELD_ID: return memcmp(a, b, sizeof(cfa__id));
    case CFA_FIELD_CURRENCY: return memcmp(a, b, sizeof(cfa__currency));
    default: return compare_slices(a, b);
    }
}

static int compare_index(const cfa_kind *kind, int32_t index, int32_t count, const void *a,
                         const void *b) {
    for (int32_t i = 0; i < count; i++) {
        int32_t position = kind->indexes[index].fields[i];
        int order = compare_field(kind->fields[position].type, field_at(kind, a, position),
                                  field_at(kind, b, position));
        if (order != 0)
            return order;
    }
    return 0;
}

static int64_t version_of(const cfa_kind *kind, const void *record) {
    int64_t version;
    memcpy(&version, field_at(kind, record, kind->version_field), sizeof version);
    return version;
}

/* ---- entries --------------------------------------------------------------------------------- */

cfa_status cfa__keep(cfa__working_set *set, cfa_slice *slice) {
    if (slice->data == NULL)
        return CFA_OK;
    slice->data = cfa_arena_copy(set->arena, slice->data, slice->size);
    return slice->data == NULL ? CFA_ENOMEM : CFA_OK;
}

cfa_status cfa__working_set_new(cfa__working_set **out, cfa_arena *arena, int64_t now_us,
                                size_t command_count) {
    cfa__working_set *set = cfa_arena_alloc(arena, sizeof *set);
    if (set == NULL)
        return CFA_ENOMEM;
    set->arena = arena;
    set->now_us = now_us;
    set->bucket_count = 64;
    while (set->bucket_count < command_count * 16)
        set->bucket_count *= 2;
    set->buckets = cfa_arena_alloc(arena, set->bucket_count * sizeof *set->buckets);
    if (set->buckets == NULL)
        return CFA_ENOMEM;
    *out = set;
    return CFA_OK;
}

/* Long chains cost time, never correctness: a command touches a bounded number of records, so the
 * table is sized once. */
static struct entry *entry_find(const cfa__working_set *set, const cfa_kind *kind, const void *key,
                                uint64_t hash) {
    struct entry *entry = set->buckets[hash & (set->bucket_count - 1)];
    while (entry != NULL &&
           (entry->hash != hash || entry->kind != kind ||
            compare_index(kind, 0, kind->indexes[0].field_count, entry->key, key) != 0))
        entry = entry->next;
    return entry;
}

/* `key` lives as long as the set. */
static struct entry *entry_add(cfa__working_set *set, const cfa_kind *kind, const void *key,
                               uint64_t hash) {
    struct entry *entry = cfa_arena_alloc(set->arena, sizeof *entry);
    if (entry == NULL)
        return NULL;
    struct entry **bucket = &set->buckets[hash & (set->bucket_count - 1)];
    entry->kind = kind;
    entry->hash = hash;
    entry->key = key;
    entry->next = *bucket;
    *bucket = entry;
    set->entry_count++;
    return entry;
}

/* Find the entry of a key, or make one with a copy of the key. */
static struct entry *entry_of(cfa__working_set *set, const cfa_kind *kind, const void *key) {
    uint64_t hash = hash_key(kind, key);
    struct entry *entry = entry_find(set, kind, key, hash);
    if (entry != NULL)
        return entry;
    void *copy = cfa_arena_copy(set->arena, key, kind->record_size);
    if (copy == NULL)
        return NULL;
    for (int32_t i = 0; i < kind->indexes[0].field_count; i++) {
        const cfa_field *field = &kind->fields[kind->indexes[0].fields[i]];
        if ((field->type == CFA_FIELD_TEXT || field->type == CFA_FIELD_BYTES) &&
            cfa__keep(set, (cfa_slice *)((char *)copy + field->offset)) != CFA_OK)
            return NULL;
    }
    return entry_add(set, kind, copy, hash);
}

static cfa_status note_missing(cfa__working_set *set, struct entry *entry) {
    if (entry->missing)
        return CFA__MISS;
    if (set->missing_count == set->missing_capacity) {
        size_t capacity = set->missing_capacity == 0 ? 64 : set->missing_capacity * 2;
        struct entry **grown = cfa_arena_alloc(set->arena, capacity * sizeof *grown);
        if (grown == NULL)
            return CFA_ENOMEM;
        if (set->missing_count > 0)
            memcpy(grown, set->missing, set->missing_count * sizeof *grown);
        set->missing = grown;
        set->missing_capacity = capacity;
    }
    set->missing[set->missing_count++] = entry;
    entry->missing = true;
    return CFA__MISS;
}

cfa_status cfa__find(cfa__working_set *set, const cfa_kind *kind, const void *key,
                     const void **out) {
    struct entry *entry = entry_of(set, kind, key);
    if (entry == NULL)
        return CFA_ENOMEM;
    if (entry->staged)
        *out = entry->draft;
    else if (entry->loaded)
        *out = entry->current;
    else
        return note_missing(set, entry);
    return CFA_OK;
}

cfa_status cfa__find_id(cfa__working_set *set, const cfa_kind *kind, cfa__id id, const void **out) {
    cfa__any_record key;
    cfa__key_of_id(&key, kind, id);
    return cfa__find(set, kind, &key, out);
}

cfa_status cfa__edit_id(cfa__working_set *set, const cfa_kind *kind, cfa__id id, void **out) {
    cfa__any_record key;
    cfa__key_of_id(&key, kind, id);
    return cfa__edit(set, kind, &key, out);
}

static void stage(cfa__working_set *set, struct entry *entry, void *draft) {
    if (!entry->staged) {
        entry->staged = true;
        entry->next_staged = set->staged;
        set->staged = entry;
    }
    entry->draft = draft;
}

cfa_status cfa__edit(cfa__working_set *set, const cfa_kind *kind, const void *key, void **out) {
    struct entry *entry = entry_of(set, kind, key);
    if (entry == NULL)
        return CFA_ENOMEM;
    if (!entry->staged) {
        if (!entry->loaded)
            return note_missing(set, entry);
        if (entry->current == NULL) {
            *out = NULL;
            return CFA_OK;
        }
        assert(kind->version_field >= 0);
        void *draft = cfa_arena_copy(set->arena, entry->current, kind->record_size);
        if (draft == NULL)
            return CFA_ENOMEM;
        stage(set, entry, draft);
    }
    *out = entry->draft;
    return CFA_OK;
}

/* A command's memory may go before the batch's does: what a record points to moves with it. */
static cfa_status keep_fields(cfa__working_set *set, const cfa_kind *kind, void *record) {
    for (int32_t i = 0; i < kind->field_count; i++) {
        if (kind->fields[i].type != CFA_FIELD_TEXT && kind->fields[i].type != CFA_FIELD_BYTES)
            continue;
        cfa_status status = cfa__keep(set, (cfa_slice *)((char *)record + kind->fields[i].offset));
        if (status != CFA_OK)
            return status;
    }
    return CFA_OK;
}

cfa_status cfa__insert(cfa__working_set *set, const cfa_kind *kind, const void *record,
                       void **out) {
    void *draft = cfa_arena_copy(set->arena, record, kind->record_size);
    if (draft == NULL || keep_fields(set, kind, draft) != CFA_OK)
        return CFA_ENOMEM;
    uint64_t hash = hash_key(kind, record);
    struct entry *entry = entry_find(set, kind, record, hash);
    if (entry == NULL)
        entry = entry_add(set, kind, draft, hash); /* a draft keeps its key */
    if (entry == NULL)
        return CFA_ENOMEM;
    assert(entry->staged ? entry->draft == NULL : entry->current == NULL);
    stage(set, entry, draft);
    if (out != NULL)
        *out = draft;
    return CFA_OK;
}

cfa_status cfa__remove(cfa__working_set *set, const cfa_kind *kind, const void *record) {
    struct entry *entry = entry_of(set, kind, record);
    if (entry == NULL)
        return CFA_ENOMEM;
    assert(entry->loaded || entry->staged);
    stage(set, entry, NULL);
    return CFA_OK;
}

cfa_status cfa__guard(cfa__working_set *set, const cfa_kind *kind, const void *record) {
    struct guard_node *node = cfa_arena_alloc(set->arena, sizeof *node);
    if (node == NULL)
        return CFA_ENOMEM;
    node->guard.kind = kind;
    node->guard.record = record;
    node->next = set->staged_guards;
    set->staged_guards = node;
    return CFA_OK;
}

cfa_status cfa__append_event(cfa__working_set *set, const cfa__event *event) {
    if (set->event_count == set->event_capacity) {
        size_t capacity = set->event_capacity == 0 ? 64 : set->event_capacity * 2;
        void **grown = cfa_arena_alloc(set->arena, capacity * sizeof *grown);
        if (grown == NULL)
            return CFA_ENOMEM;
        if (set->event_count > 0)
            memcpy(grown, set->events, set->event_count * sizeof *grown);
        set->events = grown;
        set->event_capacity = capacity;
    }
    cfa__event *copy = cfa_arena_alloc(set->arena, sizeof *copy);
    if (copy == NULL)
        return CFA_ENOMEM;
    *copy = *event;
    set->events[set->event_count++] = copy;
    return CFA_OK;
}

int64_t cfa__now_us(const cfa__working_set *set) { return set->now_us; }

cfa_arena *cfa__batch_arena(cfa__working_set *set) { return set->arena; }

/* ---- lists ----------------------------------------------------------------------------------- */

static bool same_query(const cfa_query *a, const cfa_query *b) {
    if (a->kind != b->kind || a->index != b->index || a->match_count != b->match_count ||
        a->flags != b->flags || a->limit != b->limit || a->until != b->until)
        return false;
    int32_t compared =
        (a->flags & CFA_QUERY_AFTER) != 0 ? a->kind->indexes[a->index].field_count : a->match_count;
    return compare_index(a->kind, a->index, compared, a->key, b->key) == 0;
}

cfa_status cfa__list(cfa__working_set *set, cfa_query *query) {
    struct list *list = set->lists;
    while (list != NULL && !same_query(&list->query, query))
        list = list->next;
    if (list == NULL) {
        list = cfa_arena_alloc(set->arena, sizeof *list);
        void *key = cfa_arena_alloc(set->arena, query->kind->record_size);
        if (list == NULL || key == NULL)
            return CFA_ENOMEM;
        memcpy(key, query->key, query->kind->record_size);
        list->query = *query;
        list->query.key = key;
        list->next = set->lists;
        set->lists = list;
        set->lists_missing++;
    }
    if (!list->loaded)
        return CFA__MISS;
    query->records = list->query.records;
    query->count = list->query.count;
    return CFA_OK;
}

/* ---- for the leader -------------------------------------------------------------------------- */

void cfa__working_set_discard(cfa__working_set *set) {
    for (struct entry *entry = set->staged; entry != NULL; entry = entry->next_staged) {
        entry->staged = false;
        entry->draft = NULL;
    }
    set->staged = NULL;
    set->staged_guards = NULL;
    set->event_count = set->staged_event_start;
}

void cfa__working_set_accept(cfa__working_set *set, size_t *out_first_event,
                             size_t *out_event_count) {
    for (struct entry *entry = set->staged; entry != NULL; entry = entry->next_staged) {
        const cfa_kind *kind = entry->kind;
        entry->staged = false;
        if (entry->draft != NULL && entry->current != NULL &&
            memcmp(entry->draft, entry->current, kind->record_size) == 0) {
            entry->draft = NULL; /* taken for editing, left as it was */
            continue;
        }
        if (entry->draft != NULL && kind->version_field >= 0) {
            int64_t version = entry->current != NULL ? version_of(kind, entry->current) + 1 : 1;
            memcpy((char *)entry->draft + kind->fields[kind->version_field].offset, &version,
                   sizeof version);
        }
        entry->current = entry->draft;
        entry->draft = NULL;
        entry->loaded = true; /* an insert is known from here on: its absence was its premise */
        if (entry->dirty)
            continue;
        entry->dirty = true;
        if (set->dirty_last != NULL)
            set->dirty_last->next_dirty = entry;
        else
            set->dirty_first = entry;
        set->dirty_last = entry;
    }
    while (set->staged_guards != NULL) {
        struct guard_node *node = set->staged_guards;
        set->staged_guards = node->next;
        node->next = set->guards;
        set->guards = node;
        set->guard_count++;
    }
    *out_first_event = set->staged_event_start;
    *out_event_count = set->event_count - set->staged_event_start;
    set->staged = NULL;
    set->staged_event_start = set->event_count;
}

cfa_status cfa__working_set_load(cfa__working_set *set, const cfa_storage_ops *ops,
                                 cfa_session *session) {
    size_t count = set->missing_count + set->lists_missing;
    if (count == 0)
        return CFA_OK;
    cfa_query *queries = cfa_arena_alloc(set->arena, count * sizeof *queries);
    if (queries == NULL)
        return CFA_ENOMEM;
    for (size_t i = 0; i < set->missing_count; i++) {
        const struct entry *entry = set->missing[i];
        queries[i].kind = entry->kind;
        queries[i].match_count = entry->kind->indexes[0].field_count;
        queries[i].limit = 1;
        queries[i].key = entry->key;
    }
    size_t next = set->missing_count;
    for (const struct list *list = set->lists; list != NULL; list = list->next) {
        if (!list->loaded)
            queries[next++] = list->query;
    }
    assert(next == count);
    cfa_status status = ops->load(session, queries, count, set->arena);
    if (status != CFA_OK)
        return status;
    for (size_t i = 0; i < set->missing_count; i++) {
        struct entry *entry = set->missing[i];
        assert(queries[i].count <= 1);
        entry->missing = false;
        if (entry->loaded)
            continue; /* inserted by an earlier command of this batch meanwhile */
        entry->committed = queries[i].count == 1 ? queries[i].records[0] : NULL;
        entry->current = entry->committed;
        entry->loaded = true;
    }
    next = set->missing_count;
    for (struct list *list = set->lists; list != NULL; list = list->next) {
        if (list->loaded)
            continue;
        list->query.records = queries[next].records;
        list->query.count = queries[next].count;
        list->loaded = true;
        next++;
    }
    set->missing_count = 0;
    set->lists_missing = 0;
    return CFA_OK;
}

static bool change_before(const cfa_change *a, const cfa_change *b) {
    return compare_index(a->kind, 0, a->kind->indexes[0].field_count, a->record, b->record) < 0;
}

/* Merge two neighbouring runs, [0, middle) and [middle, count); `spare` holds the first. */
static void merge(cfa_change *changes, size_t middle, size_t count, cfa_change *spare) {
    memcpy(spare, changes, middle * sizeof *changes);
    size_t left = 0, right = middle, out = 0;
    while (left < middle && right < count) {
        bool take_right = change_before(&changes[right], &spare[left]);
        changes[out++] = take_right ? changes[right++] : spare[left++];
    }
    memcpy(changes + out, spare + left, (middle - left) * sizeof *changes);
}

/* Merge sort from below: few comparisons, hardly any where ids came in the order of time. */
static void sort_changes(cfa_change *changes, size_t count, cfa_change *spare) {
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start + width < count; start += 2 * width) {
            cfa_change *run = changes + start;
            size_t size = count - start < 2 * width ? count - start : 2 * width;
            if (change_before(&run[width], &run[width - 1]))
                merge(run, width, size, spare);
        }
    }
}

static bool is_change(const struct entry *entry) {
    return entry->committed != NULL || entry->current != NULL;
}

static cfa_change change_of(const struct entry *entry) {
    return (cfa_change){
        .kind = entry->kind,
        .action = entry->committed == NULL ? CFA_CHANGE_INSERT
                  : entry->current == NULL ? CFA_CHANGE_DELETE
                                           : CFA_CHANGE_UPDATE,
        .record = entry->current != NULL ? entry->current : entry->committed,
        .before = entry->committed,
    };
}

/* List the changes by kind, and by key within a kind. `changes` and `spare` hold all that is
 * dirty. */
static size_t list_changes(const cfa__working_set *set, cfa_change *changes, cfa_change *spare) {
    size_t ends[KIND_ID_MAX + 2] = { 0 }; /* of each kind's changes, one place on */
    for (const struct entry *entry = set->dirty_first; entry != NULL; entry = entry->next_dirty) {
        assert(entry->kind->id >= 0 && entry->kind->id <= KIND_ID_MAX);
        ends[entry->kind->id + 1] += is_change(entry);
    }
    for (int32_t id = 0; id <= KIND_ID_MAX; id++)
        ends[id + 1] += ends[id];
    for (const struct entry *entry = set->dirty_first; entry != NULL; entry = entry->next_dirty) {
        if (is_change(entry))
            changes[ends[entry->kind->id]++] = change_of(entry);
    }
    for (size_t id = 0, start = 0; id <= KIND_ID_MAX; start = ends[id++])
        sort_changes(changes + start, ends[id] - start, spare);
    return ends[KIND_ID_MAX];
}

cfa_status cfa__working_set_changes(cfa__working_set *set, cfa_save *out) {
    cfa_change *changes = cfa_arena_alloc(set->arena, (set->entry_count + 1) * 2 * sizeof *changes);
    cfa_guard *guards = cfa_arena_alloc(set->arena, (set->guard_count + 1) * sizeof *guards);
    if (changes == NULL || guards == NULL)
        return CFA_ENOMEM;
    size_t count = list_changes(set, changes, changes + set->entry_count + 1);
    size_t guard_count = 0;
    for (const struct guard_node *node = set->guards; node != NULL; node = node->next) {
        struct entry *entry = entry_of(set, node->guard.kind, node->guard.record);
        if (entry == NULL)
            return CFA_ENOMEM;
        if (!entry->dirty &&
            !entry->guarded) /* a record that is written is guarded by its own version */
            guards[guard_count++] = node->guard;
        entry->guarded = true;
    }
    out->changes = changes;
    out->change_count = count;
    out->guards = guards;
    out->guard_count = guard_count;
    out->log = &cfa__event_kind;
    out->events = set->events;
    out->event_count = set->event_count;
    return CFA_OK;
}

int64_t cfa__working_set_position(const cfa__working_set *set, size_t event) {
    assert(event < set->event_count);
    return ((const cfa__event *)set->events[event])->position;
}
