/*
 * change.c - writes of the memory store: one save on the trees of one transaction.
 *
 * After a failure the trees are half-way and the caller drops them; nothing is undone here.
 */
#include "adapters/memory/change.h"

#include <string.h>

static cfa_status misuse(const char *message) {
    return cfa_error_set(CFA_EMISUSE, CFA__MEMORY_ORIGIN, NULL, 0, message);
}

static cfa_status row_failed(cfa_status status, const cfa_kind *kind, const cfa_index *index) {
    switch (status) {
    case CFA_EEXISTS:
        return cfa_error_format(status, CFA__MEMORY_ORIGIN, index->name, 0,
                                "a row of %s with the same %s key exists", kind->name, index->name);
    case CFA_ENOMEM:
        return cfa_error_set(status, CFA__MEMORY_ORIGIN, index->name, 0, "no memory for an index");
    default:
        return cfa_error_format(status, CFA__MEMORY_ORIGIN, index->name, 0,
                                "index %s of %s misses a row", index->name, kind->name);
    }
}

cfa_status cfa__memory_insert(cfa__heap *heap, cfa__tree *trees, const cfa__layout_kind *kind,
                              const void *record) {
    cfa__block *row;
    cfa_status status = cfa__row_new(&row, heap, kind, record);
    if (status != CFA_OK) {
        return status;
    }
    for (int32_t i = 0; i < kind->kind->index_count; i++) {
        if (!cfa__key_holds(&kind->keys[i], cfa__row_record(row))) {
            continue;
        }
        status = cfa__tree_insert(heap, &trees[kind->first_tree + i], &kind->keys[i], row);
        if (status != CFA_OK) {
            return row_failed(status, kind->kind, &kind->kind->indexes[i]);
        }
    }
    return CFA_OK;
}

static int64_t version_of(const cfa_kind *kind, const void *record) {
    int64_t version = 0;
    if (kind->version_field >= 0) {
        memcpy(&version, (const char *)record + kind->fields[kind->version_field].offset,
               sizeof(version));
    }
    return version;
}

/* The row with the primary key and version of `record`. */
static cfa_status find_version(const cfa__tree *trees, const cfa__layout_kind *kind,
                               const void *record, const cfa__block **out) {
    const cfa__block *row = cfa__tree_find(&trees[kind->first_tree], &kind->keys[0], record);
    if (row == NULL) {
        return cfa_error_format(CFA_EVERSION, CFA__MEMORY_ORIGIN, NULL, 0, "the row of %s is gone",
                                kind->kind->name);
    }
    if (version_of(kind->kind, cfa__row_record_const(row)) != version_of(kind->kind, record)) {
        return cfa_error_format(CFA_EVERSION, CFA__MEMORY_ORIGIN, NULL, 0,
                                "the row of %s changed since it was read", kind->kind->name);
    }
    *out = row;
    return CFA_OK;
}

/* Move one index from `old` to `row`; NULL `row`: out of the index. */
static cfa_status change_index(cfa__heap *heap, cfa__tree *tree, const cfa__key *key,
                               const char *old, cfa__block *row) {
    bool held = cfa__key_holds(key, old);
    bool holds = row != NULL && cfa__key_holds(key, cfa__row_record(row));
    if (held && holds && cfa__key_compare(key, key->part_count, old, cfa__row_record(row)) == 0) {
        return cfa__tree_replace(heap, tree, key, row);
    }
    cfa_status status = held ? cfa__tree_remove(heap, tree, key, old) : CFA_OK;
    if (status == CFA_OK && holds) {
        status = cfa__tree_insert(heap, tree, key, row);
    }
    return status;
}

/* UPDATE and DELETE. */
static cfa_status change_row(cfa__heap *heap, cfa__tree *trees, const cfa__layout_kind *kind,
                             const cfa_change *change) {
    const cfa__block *found;
    cfa__block *row = NULL;
    cfa_status status = find_version(trees, kind, change->before, &found);
    if (status == CFA_OK && change->action == CFA_CHANGE_UPDATE) {
        if (kind->kind->version_field < 0 ||
            cfa__key_compare(&kind->keys[0], kind->keys[0].part_count, change->before,
                             change->record) != 0) {
            return misuse("an update needs a version field and keeps the primary key");
        }
        status = cfa__row_new(&row, heap, kind, change->record);
    }
    if (status != CFA_OK) {
        return status;
    }
    cfa__block *old = (cfa__block *)(uintptr_t)found;
    for (int32_t i = 0; i < kind->kind->index_count; i++) {
        status = change_index(heap, &trees[kind->first_tree + i], &kind->keys[i],
                              cfa__row_record(old), row);
        if (status != CFA_OK) {
            return row_failed(status, kind->kind, &kind->kind->indexes[i]);
        }
    }
    cfa__heap_release(heap, old);
    return CFA_OK;
}

static cfa_status save_change(const cfa__layout *layout, cfa__heap *heap, cfa__tree *trees,
                              const cfa_change *change) {
    const cfa__layout_kind *kind = cfa__layout_find(layout, change->kind);
    if (kind == NULL || kind->kind->position_field >= 0) {
        return misuse("a change of a kind that the schema does not have, or of the log");
    }
    if (change->action == CFA_CHANGE_INSERT) {
        return cfa__memory_insert(heap, trees, kind, change->record);
    }
    return change_row(heap, trees, kind, change);
}

static cfa_status save_events(const cfa__layout *layout, cfa__heap *heap, cfa__tree *trees,
                              const cfa_save *save, int64_t *out_first) {
    const cfa__layout_kind *kind = cfa__layout_find(layout, save->log);
    if (kind == NULL || kind->kind->position_field < 0) {
        return misuse("events without a log kind");
    }
    size_t offset = kind->kind->fields[kind->kind->position_field].offset;
    const cfa__block *last = cfa__tree_last(&trees[kind->first_tree]);
    int64_t position = 0;
    if (last != NULL) {
        memcpy(&position, cfa__row_record_const(last) + offset, sizeof(position));
    }
    *out_first = position + 1;
    for (size_t i = 0; i < save->event_count; i++) {
        position++;
        memcpy((char *)save->events[i] + offset, &position, sizeof(position));
        cfa_status status = cfa__memory_insert(heap, trees, kind, save->events[i]);
        if (status != CFA_OK) {
            return status;
        }
    }
    return CFA_OK;
}

cfa_status cfa__memory_save(const cfa__layout *layout, cfa__heap *heap, cfa__tree *trees,
                            const cfa_save *save, int64_t *out_first) {
    for (size_t i = 0; i < save->guard_count; i++) {
        const cfa__layout_kind *kind = cfa__layout_find(layout, save->guards[i].kind);
        const cfa__block *row;
        cfa_status status = kind != NULL
                                ? find_version(trees, kind, save->guards[i].record, &row)
                                : misuse("a guard of a kind that the schema does not have");
        if (status != CFA_OK) {
            return status;
        }
    }
    for (size_t i = 0; i < save->change_count; i++) {
        cfa_status status = save_change(layout, heap, trees, &save->changes[i]);
        if (status != CFA_OK) {
            return status;
        }
    }
    return save->event_count > 0 ? save_events(layout, heap, trees, save, out_first) : CFA_OK;
}
