/*
 * sql_statement.c - the prepared statements of a session: made when first used, found in constant
 * time, bounded in number. Never holds a value of a row.
 */
#include "adapters/sql/sql_internal.h"

#include <string.h>

#define SELECTS_PER_INDEX ((CFA_INDEX_FIELDS_MAX + 1) * CFA__SQL_QUERY_FLAGS)
#define UPDATE_SLOTS 32 /* different sets of changed fields per kind; a power of two */
#define UPDATES_MAX 24  /* beyond these, updates write all fields */

static void finalize(cfa__sql_session *self, cfa__sql_statement *statement) {
    if (statement != NULL) {
        self->driver->finalize(self->connection, statement);
    }
}

void cfa__sql_drop_statements(cfa__sql_session *self) {
    const cfa_schema *schema = self->storage->schema;
    if (self->kinds == NULL) {
        return;
    }
    for (int32_t i = 0; i < schema->kind_count; i++) {
        cfa__sql_kind_cache *cache = &self->kinds[i];
        finalize(self, cache->insert);
        finalize(self, cache->insert_rows);
        finalize(self, cache->delete);
        finalize(self, cache->guard);
        finalize(self, cache->position);
        for (int32_t j = 0;
             cache->selects != NULL && j < schema->kinds[i]->index_count * SELECTS_PER_INDEX; j++) {
            finalize(self, cache->selects[j]);
        }
        for (int32_t j = 0; cache->updates != NULL && j < UPDATE_SLOTS; j++) {
            finalize(self, cache->updates[j].statement);
        }
        cfa_free(cache->selects);
        cfa_free(cache->updates);
    }
    cfa_free(self->kinds);
    self->kinds = NULL;
}

static void *alloc_zeroed(const cfa__sql_session *self, size_t size) {
    void *memory = cfa_alloc(size);
    if (memory == NULL) {
        cfa_error_set(CFA_ENOMEM, self->driver->origin, NULL, 0, "out of memory");
        return NULL;
    }
    return memset(memory, 0, size);
}

cfa_status cfa__sql_make_caches(cfa__sql_session *self) {
    const cfa_schema *schema = self->storage->schema;
    if (schema == NULL) {
        return cfa__sql_misuse(self, "the storage was not migrated yet");
    }
    cfa__sql_kind_cache *caches = alloc_zeroed(self, (size_t)schema->kind_count * sizeof(*caches));
    if (caches == NULL) {
        return CFA_ENOMEM;
    }
    for (int32_t i = 0; i < schema->kind_count; i++) {
        const cfa_kind *kind = schema->kinds[i];
        for (int32_t j = 0; j < kind->indexes[0].field_count; j++) {
            caches[i].key_mask |= UINT64_C(1) << kind->indexes[0].fields[j];
        }
        uint64_t all = UINT64_MAX >> (CFA__SQL_FIELDS_MAX - kind->field_count);
        caches[i].all_mask = all & ~caches[i].key_mask;
    }
    self->kinds = caches;
    return CFA_OK;
}

/* The statements of a kind, or NULL with CFA_EMISUSE set: a kind of another schema. */
cfa__sql_kind_cache *cfa__sql_cache_of(cfa__sql_session *self, const cfa_kind *kind) {
    const cfa__sql_storage *storage = self->storage;
    int32_t slot = kind->id >= 0 && kind->id < storage->slot_count ? storage->slots[kind->id] : -1;
    if (slot < 0 || storage->schema->kinds[slot] != kind) {
        cfa__sql_misuse(self, "the kind is not in the schema");
        return NULL;
    }
    return &self->kinds[slot];
}

/* Prepare what was written and free the text. */
static cfa_status prepare(cfa__sql_session *self, cfa__sql_text *text, int32_t parameters,
                          cfa__sql_statement **out) {
    cfa_status status = CFA_ENOMEM;
    if (text->failed) {
        cfa_error_set(CFA_ENOMEM, self->driver->origin, NULL, 0, "out of memory");
    } else {
        status = self->driver->prepare(self->connection, text->data, parameters, out);
    }
    cfa__sql_text_free(text);
    return status;
}

int32_t cfa__sql_identity_size(const cfa_kind *kind) {
    return kind->indexes[0].field_count + (kind->version_field >= 0 ? 1 : 0);
}

/* One of the statements that a kind has once: prepare it if this is its first use. */
cfa_status cfa__sql_once(cfa__sql_session *self, cfa__sql_statement **slot, const cfa_kind *kind,
                         int32_t parameters,
                         void (*write)(cfa__sql_text *text, const cfa_kind *kind)) {
    cfa__sql_text text = { NULL, 0, 0, false };
    if (*slot != NULL) {
        return CFA_OK;
    }
    write(&text, kind);
    return prepare(self, &text, parameters, slot);
}

cfa_status cfa__sql_update_statement(cfa__sql_session *self, cfa__sql_kind_cache *cache,
                                     const cfa_kind *kind, uint64_t *mask,
                                     cfa__sql_statement **out) {
    if (cache->updates == NULL) {
        cache->updates = alloc_zeroed(self, UPDATE_SLOTS * sizeof(*cache->updates));
        if (cache->updates == NULL) {
            return CFA_ENOMEM;
        }
    }
    for (;;) {
        uint64_t hash = *mask * UINT64_C(0x9e3779b97f4a7c15);
        cfa__sql_update_slot *slot = &cache->updates[hash >> 59];
        while (slot->statement != NULL && slot->mask != *mask) {
            slot = slot + 1 < cache->updates + UPDATE_SLOTS ? slot + 1 : cache->updates;
        }
        if (slot->statement == NULL && cache->update_count >= UPDATES_MAX &&
            *mask != cache->all_mask) {
            *mask = cache->all_mask;
            continue;
        }
        if (slot->statement == NULL) {
            cfa__sql_text text = { NULL, 0, 0, false };
            cfa__sql_write_update(&text, kind, *mask);
            int32_t parameters = __builtin_popcountll(*mask) + cfa__sql_identity_size(kind);
            cfa_status status = prepare(self, &text, parameters, &slot->statement);
            if (status != CFA_OK) {
                return status;
            }
            slot->mask = *mask;
            cache->update_count++;
        }
        *out = slot->statement;
        return CFA_OK;
    }
}

cfa_status cfa__sql_select_statement(cfa__sql_session *self, cfa__sql_kind_cache *cache,
                                     const cfa_query *query, int32_t parameters,
                                     cfa__sql_statement **out) {
    const cfa_kind *kind = query->kind;
    if (cache->selects == NULL) {
        size_t count = (size_t)kind->index_count * SELECTS_PER_INDEX;
        cache->selects = alloc_zeroed(self, count * sizeof(cfa__sql_statement *));
        if (cache->selects == NULL) {
            return CFA_ENOMEM;
        }
    }
    int32_t position = query->index * SELECTS_PER_INDEX +
                       query->match_count * CFA__SQL_QUERY_FLAGS + (int32_t)query->flags;
    cfa__sql_statement **slot = &cache->selects[position];
    if (*slot == NULL) {
        cfa__sql_text text = { NULL, 0, 0, false };
        bool single = cfa__sql_is_single(kind, query->index, query->match_count, query->flags);
        cfa__sql_write_select(&text, &self->driver->dialect, kind, query->index, query->match_count,
                              query->flags, single);
        cfa_status status = prepare(self, &text, parameters, slot);
        if (status != CFA_OK) {
            return status;
        }
    }
    *out = *slot;
    return CFA_OK;
}
