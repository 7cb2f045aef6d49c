/*
 * layout.h - a schema prepared for the memory store: the trees of every kind, their keys, and rows
 * of them.
 *
 * A row is one block: the record struct, then the bytes its slices point at. It knows nothing of
 * transactions.
 */
#ifndef CFA_ADAPTERS_MEMORY_LAYOUT_H
#define CFA_ADAPTERS_MEMORY_LAYOUT_H

#include "adapters/memory/tree.h"

#define CFA__MEMORY_ORIGIN "storage.memory"

typedef struct cfa__layout_kind {
    const cfa_kind *kind;
    const cfa__key *keys;  /* one per index */
    int32_t first_tree;    /* of the primary key; the other indexes follow */
    const int32_t *slices; /* positions of the TEXT and BYTES fields */
    int32_t slice_count;
} cfa__layout_kind;

/* Lives in an arena of its own. */
typedef struct cfa__layout {
    struct cfa__layout *previous; /* of an older schema; snapshots may still use it */
    cfa_arena *arena;
    const cfa_schema *schema;
    cfa__layout_kind *kinds;
    int32_t tree_count;
    int32_t id_max;
    const int32_t *slots; /* by kind id: position in `kinds`, or -1 */
} cfa__layout;

CFA_MUST_CHECK cfa_status cfa__layout_new(cfa__layout **out, const cfa_schema *schema);
void cfa__layout_free(cfa__layout *layout);

/* The prepared kind, or NULL if the schema has none like it. */
const cfa__layout_kind *cfa__layout_find(const cfa__layout *layout, const cfa_kind *kind);
/* CFA_ESCHEMA unless `next` has every kind and field of `layout`, in the same order. */
CFA_MUST_CHECK cfa_status cfa__layout_check_upgrade(const cfa__layout *layout,
                                                    const cfa_schema *next);

/* A row with copies of all that `record` holds. CFA_ENOMEM; CFA_EBUG: null where it must not be. */
CFA_MUST_CHECK cfa_status cfa__row_new(cfa__block **out, cfa__heap *heap,
                                       const cfa__layout_kind *kind, const void *record);
/* A copy of the row's record in the arena, or NULL with CFA_ENOMEM set. */
void *cfa__row_copy(const cfa__block *row, const cfa__layout_kind *kind, cfa_arena *arena);
/* Write the row of the older kind `from` into `record`, a zeroed struct of the newer kind; borrows
 * from the row. */
void cfa__row_upgrade(const cfa__layout_kind *from, const cfa__block *row, const cfa_kind *kind,
                      char *record);

#endif
