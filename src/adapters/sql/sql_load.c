/*
 * sql_load.c - queries of a load: checked, bound, and their rows turned into records in the
 * caller's arena.
 */
#include "adapters/sql/sql_internal.h"

#include <string.h>

typedef struct load_context {
    const cfa__sql_driver *driver;
    cfa_query *query;
    cfa_arena *arena;
    int32_t capacity;
} load_context;

static cfa_status load_row(void *opaque, const cfa__sql_row *row) {
    load_context *context = opaque;
    cfa_query *query = context->query;
    if (query->count == context->capacity) {
        int32_t capacity = query->limit < 8 ? query->limit : context->capacity * 2 + 8;
        void **records = cfa_arena_alloc(context->arena, (size_t)capacity * sizeof(*records));
        if (records == NULL) {
            return CFA_ENOMEM;
        }
        if (query->count > 0) {
            memcpy(records, query->records, (size_t)query->count * sizeof(*records));
        }
        query->records = records;
        context->capacity = capacity;
    }
    cfa_status status = CFA_OK;
    void *record = cfa__sql_record_of(context->driver, query->kind, row, context->arena, &status);
    if (record != NULL) {
        query->records[query->count++] = record;
    }
    return status;
}

static bool query_is_valid(const cfa_query *query) {
    const cfa_kind *kind = query->kind;
    if (query->index < 0 || query->index >= kind->index_count || query->match_count < 0 ||
        query->flags >= CFA__SQL_QUERY_FLAGS) {
        return false;
    }
    const cfa_index *index = &kind->indexes[query->index];
    if ((query->flags & CFA_QUERY_UNTIL) == 0) {
        return query->match_count <= index->field_count;
    }
    return query->match_count < index->field_count &&
           kind->fields[index->fields[query->match_count]].type == CFA_FIELD_INT;
}

/* Without a row there is none in the table. */
static bool is_whole_table(const cfa_query *query) {
    return query->index == 0 && query->match_count == 0 && query->flags == 0 && query->limit > 0;
}

static cfa_status load_one(cfa__sql_session *self, load_context *context) {
    cfa_query *query = context->query;
    const cfa_kind *kind = query->kind;
    cfa__sql_value values[2 * CFA_INDEX_FIELDS_MAX];
    int32_t count = 0;

    query->records = NULL;
    query->count = 0;
    cfa__sql_kind_cache *cache = cfa__sql_cache_of(self, kind);
    if (cache == NULL) {
        return CFA_EMISUSE;
    }
    if (!query_is_valid(query)) {
        return cfa__sql_misuse(self, "the query does not fit its index");
    }
    if (is_whole_table(query) && cache->empty_at == cfa__sql_age(self) && cache->empty_at != 0) {
        return CFA_OK;
    }
    const cfa_index *index = &kind->indexes[query->index];
    bool after = (query->flags & CFA_QUERY_AFTER) != 0;
    if (query->limit <= 0 || (after && query->match_count == index->field_count)) {
        return CFA_OK;
    }
    int32_t keys = after ? index->field_count : query->match_count;
    while (count < keys) {
        values[count] = cfa__sql_value_of(&kind->fields[index->fields[count]], query->key);
        count++;
    }
    if ((query->flags & CFA_QUERY_UNTIL) != 0) {
        values[count++] = (cfa__sql_value){ CFA_FIELD_INT, query->until, NULL, 0 };
    }
    if (!cfa__sql_is_single(kind, query->index, query->match_count, query->flags)) {
        values[count++] = (cfa__sql_value){ CFA_FIELD_INT, query->limit, NULL, 0 };
    }
    cfa__sql_statement *statement;
    cfa_status status = cfa__sql_select_statement(self, cache, query, count, &statement);
    if (status != CFA_OK) {
        return status;
    }
    return self->driver->select(self->connection, statement, values, count, load_row, context);
}

cfa_status cfa__sql_load(cfa_session *handle, cfa_query *queries, size_t count, cfa_arena *arena) {
    cfa__sql_session *self = cfa__sql_session_of(handle);
    cfa_status status = cfa__sql_ready(self);
    if (status != CFA_OK || count == 0) {
        return status;
    }
    load_context *contexts = cfa_arena_alloc(arena, count * sizeof(*contexts));
    if (contexts == NULL) {
        return cfa__sql_note(self, CFA_ENOMEM);
    }
    for (size_t i = 0; i < count && status == CFA_OK; i++) {
        contexts[i] = (load_context){ self->driver, &queries[i], arena, 0 };
        status = load_one(self, &contexts[i]);
    }
    if (status == CFA_OK) {
        status = self->driver->flush(self->connection);
    }
    for (size_t i = 0; i < count && status == CFA_OK; i++) {
        if (queries[i].count == 0 && is_whole_table(&queries[i])) {
            cfa__sql_cache_of(self, queries[i].kind)->empty_at = cfa__sql_age(self);
        }
    }
    return cfa__sql_note(self, status);
}
