/*
 * layout.c - prepares schemas for the memory store and makes and copies rows.
 *
 * Everything a transaction needs to know about a kind is worked out here once. Never touches a
 * tree.
 */
#include "adapters/memory/layout.h"

#include <assert.h>
#include <string.h>

enum { KIND_ID_MAX = 4095 };

static cfa_slice *slice_at(const cfa__layout_kind *kind, int32_t slice, char *record) {
    return (cfa_slice *)(void *)(record + kind->kind->fields[kind->slices[slice]].offset);
}

static const cfa_slice *slice_at_const(const cfa__layout_kind *kind, int32_t slice,
                                       const char *record) {
    return (const cfa_slice *)(const void *)(record +
                                             kind->kind->fields[kind->slices[slice]].offset);
}

/* ---- schemas --------------------------------------------------------------------------------- */

static void add_part(cfa__key *key, const cfa_field *field) {
    for (int32_t i = 0; i < key->part_count; i++) {
        if (key->parts[i].offset == field->offset) {
            return;
        }
    }
    assert(key->part_count < CFA__KEY_PARTS_MAX);
    key->parts[key->part_count].type = field->type;
    key->parts[key->part_count].offset = field->offset;
    key->part_count++;
}

static void prepare_key(cfa__key *key, const cfa_kind *kind, const cfa_index *index) {
    for (int32_t i = 0; i < index->field_count; i++) {
        add_part(key, &kind->fields[index->fields[i]]);
    }
    key->field_count = key->part_count;
    key->unique = (index->flags & CFA_INDEX_UNIQUE) != 0;
    key->sparse = (index->flags & CFA_INDEX_SPARSE) != 0;
    if (!key->unique) {
        for (int32_t i = 0; i < kind->indexes[0].field_count; i++) {
            add_part(key, &kind->fields[kind->indexes[0].fields[i]]);
        }
    }
}

static cfa_status prepare_kind(cfa__layout *layout, cfa__layout_kind *prepared,
                               const cfa_kind *kind) {
    cfa__key *keys = cfa_arena_alloc(layout->arena, (size_t)kind->index_count * sizeof(*keys));
    int32_t *slices = cfa_arena_alloc(layout->arena, (size_t)kind->field_count * sizeof(*slices));
    if (keys == NULL || slices == NULL) {
        return CFA_ENOMEM;
    }
    for (int32_t i = 0; i < kind->index_count; i++) {
        prepare_key(&keys[i], kind, &kind->indexes[i]);
    }
    for (int32_t i = 0; i < kind->field_count; i++) {
        int32_t type = kind->fields[i].type;
        if (type == CFA_FIELD_TEXT || type == CFA_FIELD_BYTES) {
            slices[prepared->slice_count++] = i;
        }
    }
    prepared->kind = kind;
    prepared->keys = keys;
    prepared->slices = slices;
    prepared->first_tree = layout->tree_count;
    layout->tree_count += kind->index_count;
    return CFA_OK;
}

static cfa_status prepare(cfa__layout *layout) {
    const cfa_schema *schema = layout->schema;
    for (int32_t i = 0; i < schema->kind_count; i++) {
        const cfa_kind *kind = schema->kinds[i];
        if (kind->id < 0 || kind->id > KIND_ID_MAX || kind->index_count < 1 ||
            (kind->indexes[0].flags & (CFA_INDEX_UNIQUE | CFA_INDEX_SPARSE)) != CFA_INDEX_UNIQUE) {
            return cfa_error_format(CFA_EBUG, CFA__MEMORY_ORIGIN, kind->name, 0,
                                    "a kind needs an id up to %d and a primary key", KIND_ID_MAX);
        }
        layout->id_max = kind->id > layout->id_max ? kind->id : layout->id_max;
    }
    size_t id_count = (size_t)layout->id_max + 1;
    int32_t *slots = cfa_arena_alloc(layout->arena, id_count * sizeof(*slots));
    layout->kinds =
        cfa_arena_alloc(layout->arena, (size_t)schema->kind_count * sizeof(*layout->kinds));
    if (slots == NULL || layout->kinds == NULL) {
        return CFA_ENOMEM;
    }
    for (size_t id = 0; id < id_count; id++) {
        slots[id] = -1;
    }
    layout->slots = slots;
    for (int32_t i = 0; i < schema->kind_count; i++) {
        slots[schema->kinds[i]->id] = i;
        cfa_status status = prepare_kind(layout, &layout->kinds[i], schema->kinds[i]);
        if (status != CFA_OK) {
            return status;
        }
    }
    return CFA_OK;
}

cfa_status cfa__layout_new(cfa__layout **out, const cfa_schema *schema) {
    cfa_arena *arena;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK) {
        return status;
    }
    cfa__layout *layout = cfa_arena_alloc(arena, sizeof(*layout));
    if (layout == NULL) {
        cfa_arena_free(arena);
        return CFA_ENOMEM;
    }
    layout->arena = arena;
    layout->schema = schema;
    status = prepare(layout);
    if (status != CFA_OK) {
        cfa__layout_free(layout);
        return status;
    }
    *out = layout;
    return CFA_OK;
}

void cfa__layout_free(cfa__layout *layout) {
    if (layout != NULL) {
        cfa_arena_free(layout->arena);
    }
}

const cfa__layout_kind *cfa__layout_find(const cfa__layout *layout, const cfa_kind *kind) {
    if (kind == NULL || kind->id < 0 || kind->id > layout->id_max || layout->slots[kind->id] < 0) {
        return NULL;
    }
    const cfa__layout_kind *found = &layout->kinds[layout->slots[kind->id]];
    if (found->kind == kind) {
        return found;
    }
    return found->kind->record_size == kind->record_size &&
                   found->kind->field_count == kind->field_count
               ? found
               : NULL;
}

/* The same, or the same with more fields or indexes behind, and, in the `same` schema, at the same
 * offsets. */
static bool extends(const cfa_kind *old, const cfa_kind *next, bool same) {
    if (strcmp(old->name, next->name) != 0 || next->field_count < old->field_count ||
        (same && (next->field_count != old->field_count || next->index_count != old->index_count ||
                  next->record_size != old->record_size))) {
        return false;
    }
    for (int32_t i = 0; i < old->field_count; i++) {
        const cfa_field *a = &old->fields[i];
        const cfa_field *b = &next->fields[i];
        if (strcmp(a->name, b->name) != 0 || a->type != b->type ||
            (same && a->offset != b->offset)) {
            return false;
        }
    }
    return true;
}

cfa_status cfa__layout_check_upgrade(const cfa__layout *layout, const cfa_schema *next) {
    const cfa_schema *old = layout->schema;
    if (next->version < old->version) {
        return cfa_error_format(CFA_ESCHEMA, CFA__MEMORY_ORIGIN, NULL, 0,
                                "the store has schema version %d, this program knows up to %d: "
                                "use a newer program",
                                (int)old->version, (int)next->version);
    }
    bool same = next->version == old->version;
    bool fits = !same || next->kind_count == old->kind_count;
    for (int32_t i = 0; fits && i < old->kind_count; i++) {
        int32_t j = 0;
        while (j < next->kind_count && next->kinds[j]->id != old->kinds[i]->id) {
            j++;
        }
        fits = j < next->kind_count && extends(old->kinds[i], next->kinds[j], same);
    }
    return fits ? CFA_OK
                : cfa_error_set(CFA_ESCHEMA, CFA__MEMORY_ORIGIN, NULL, 0,
                                "the store belongs to another program's schema");
}

/* ---- rows ------------------------------------------------------------------------------------ */

cfa_status cfa__row_new(cfa__block **out, cfa__heap *heap, const cfa__layout_kind *kind,
                        const void *record) {
    size_t size = kind->kind->record_size;
    for (int32_t i = 0; i < kind->slice_count; i++) {
        const cfa_slice *slice = slice_at_const(kind, i, record);
        if (slice->data != NULL) {
            size += slice->size + 1;
        } else if ((kind->kind->fields[kind->slices[i]].flags & CFA_FIELD_NULLABLE) == 0) {
            return cfa_error_format(CFA_EBUG, CFA__MEMORY_ORIGIN,
                                    kind->kind->fields[kind->slices[i]].name, 0,
                                    "null in a field of %s that cannot be null", kind->kind->name);
        }
    }
    cfa__block *row = cfa__heap_row(heap, size);
    if (row == NULL) {
        return cfa_error_set(CFA_ENOMEM, CFA__MEMORY_ORIGIN, NULL, 0, "no memory for a row");
    }
    char *copy = cfa__row_record(row);
    char *end = copy + kind->kind->record_size;
    memcpy(copy, record, kind->kind->record_size);
    for (int32_t i = 0; i < kind->slice_count; i++) {
        cfa_slice *slice = slice_at(kind, i, copy);
        if (slice->data == NULL) {
            slice->size = 0;
            continue;
        }
        memcpy(end, slice->data, slice->size);
        slice->data = end;
        end += slice->size;
        *end++ = '\0';
    }
    *out = row;
    return CFA_OK;
}

void *cfa__row_copy(const cfa__block *row, const cfa__layout_kind *kind, cfa_arena *arena) {
    char *copy = cfa_arena_alloc(arena, row->size);
    if (copy == NULL) {
        return NULL;
    }
    const char *record = cfa__row_record_const(row);
    memcpy(copy, record, row->size);
    for (int32_t i = 0; i < kind->slice_count; i++) {
        cfa_slice *slice = slice_at(kind, i, copy);
        if (slice->data != NULL) {
            slice->data = copy + ((const char *)slice->data - record);
        }
    }
    return copy;
}

static size_t field_size(int32_t type) {
    switch (type) {
    case CFA_FIELD_INT: return sizeof(int64_t);
    case CFA_FIELD_ID: return 16;
    case CFA_FIELD_CURRENCY: return 4;
    default: return sizeof(cfa_slice);
    }
}

void cfa__row_upgrade(const cfa__layout_kind *from, const cfa__block *row, const cfa_kind *kind,
                      char *record) {
    for (int32_t i = 0; i < kind->field_count; i++) {
        const cfa_field *field = &kind->fields[i];
        if (i < from->kind->field_count) {
            memcpy(record + field->offset,
                   cfa__row_record_const(row) + from->kind->fields[i].offset,
                   field_size(field->type));
        } else if ((field->type == CFA_FIELD_TEXT || field->type == CFA_FIELD_BYTES) &&
                   (field->flags & CFA_FIELD_NULLABLE) == 0) {
            cfa_slice empty = { "", 0 };
            memcpy(record + field->offset, &empty, sizeof(empty));
        }
    }
}
