/*
 * query.c - reads of the memory store: one query against the trees of one snapshot.
 *
 * Results are whole copies in the caller's arena. Never changes anything.
 */
#include "adapters/memory/query.h"

#include <string.h>

/* The value behind the matched fields. */
static int64_t next_field(const cfa__key *key, int32_t match_count, const void *record) {
    int64_t value;
    memcpy(&value, (const char *)record + key->parts[match_count].offset, sizeof(value));
    return value;
}

/* Where a query starts. Descending ones start behind their first row. */
static void query_seek(const cfa_query *query, const cfa__tree *tree, const cfa__key *key,
                       cfa__cursor *cursor) {
    bool descending = (query->flags & CFA_QUERY_DESCENDING) != 0;
    bool after = (query->flags & CFA_QUERY_AFTER) != 0;
    cfa__bound bound = { query->key, after ? key->field_count : query->match_count, false, 0 };
    bool beyond = descending != after;
    if (descending && (query->flags & CFA_QUERY_UNTIL) != 0 &&
        (!after || next_field(key, query->match_count, query->key) > query->until)) {
        bound = (cfa__bound){ query->key, query->match_count, true, query->until };
        beyond = true;
    }
    cfa__cursor_seek(cursor, tree, key, &bound, beyond);
}

/* Whether an ascending or descending walk is still inside what the query asks for. */
static bool query_holds(const cfa_query *query, const cfa__key *key, const char *record) {
    if (cfa__key_compare(key, query->match_count, record, query->key) != 0) {
        return false;
    }
    return (query->flags & CFA_QUERY_UNTIL) == 0 ||
           next_field(key, query->match_count, record) <= query->until;
}

static cfa_status query_append(cfa_query *query, int32_t *capacity, void *record,
                               cfa_arena *arena) {
    if (query->count == *capacity) {
        int32_t wanted = *capacity > 0 ? *capacity * 2 : 16;
        wanted = *capacity > INT32_MAX / 2 || wanted > query->limit ? query->limit : wanted;
        void **records = cfa_arena_alloc(arena, (size_t)wanted * sizeof(*records));
        if (records == NULL) {
            return CFA_ENOMEM;
        }
        if (query->count > 0) {
            memcpy(records, query->records, (size_t)query->count * sizeof(*records));
        }
        query->records = records;
        *capacity = wanted;
    }
    query->records[query->count++] = record;
    return CFA_OK;
}

static cfa_status query_walk(cfa_query *query, const cfa__tree *tree, const cfa__layout_kind *kind,
                             cfa_arena *arena) {
    const cfa__key *key = &kind->keys[query->index];
    cfa__cursor cursor;
    int32_t capacity = 0;
    query_seek(query, tree, key, &cursor);
    while (query->count < query->limit) {
        const cfa__block *row = (query->flags & CFA_QUERY_DESCENDING) != 0
                                    ? cfa__cursor_previous(&cursor)
                                    : cfa__cursor_next(&cursor);
        if (row == NULL || !query_holds(query, key, cfa__row_record_const(row))) {
            break;
        }
        void *record = cfa__row_copy(row, kind, arena);
        if (record == NULL || query_append(query, &capacity, record, arena) != CFA_OK) {
            return CFA_ENOMEM;
        }
    }
    return CFA_OK;
}

cfa_status cfa__memory_query(const cfa__layout *layout, const cfa__tree *trees, cfa_query *query,
                             cfa_arena *arena) {
    const cfa__layout_kind *kind = cfa__layout_find(layout, query->kind);
    if (kind == NULL || query->index < 0 || query->index >= kind->kind->index_count) {
        return cfa_error_set(CFA_EMISUSE, CFA__MEMORY_ORIGIN, NULL, 0,
                             "a query of a kind or index that the schema does not have");
    }
    const cfa__key *key = &kind->keys[query->index];
    if (query->match_count < 0 || query->match_count > key->field_count ||
        ((query->flags & CFA_QUERY_UNTIL) != 0 &&
         (query->match_count == key->field_count ||
          key->parts[query->match_count].type != CFA_FIELD_INT))) {
        return cfa_error_set(CFA_EMISUSE, CFA__MEMORY_ORIGIN, NULL, 0,
                             "a query that matches more fields than its index has");
    }
    const cfa__tree *tree = &trees[kind->first_tree + query->index];
    query->count = 0;
    query->records = NULL;
    if (!key->unique || query->match_count < key->field_count || query->flags != 0) {
        return query_walk(query, tree, kind, arena);
    }
    const cfa__block *row = query->limit > 0 ? cfa__tree_find(tree, key, query->key) : NULL;
    int32_t capacity = 0;
    if (row == NULL) {
        return CFA_OK;
    }
    void *record = cfa__row_copy(row, kind, arena);
    return record != NULL ? query_append(query, &capacity, record, arena) : CFA_ENOMEM;
}
