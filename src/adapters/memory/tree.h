/*
 * tree.h - ordered trees of rows that are copied on write, and the blocks they are made of.
 *
 * A published node or row is never written again: a transaction copies the path it changes, so
 * every older root stays a whole, consistent snapshot, and rolling back is dropping what was made.
 * One transaction at a time writes; any number of threads read roots that they hold a snapshot of.
 * Nothing here takes a lock.
 */
#ifndef CFA_ADAPTERS_MEMORY_TREE_H
#define CFA_ADAPTERS_MEMORY_TREE_H

#include <careforall/sys/storage.h>
#include <stdbool.h>

/* ---- blocks ---------------------------------------------------------------------------------- */

enum { CFA__BLOCK_ROW = 1, CFA__BLOCK_LEAF = 2, CFA__BLOCK_INNER = 3 };

/* The head of a row or node. It is in at most one list: of the transaction that made it, then none,
 * then of what a transaction no longer needs. */
typedef struct cfa__block {
    struct cfa__block *previous, *next;
    uint64_t stamp; /* transaction that made it; once retired, the one that retired it */
    uint32_t type;
    uint32_t size; /* row: bytes behind the head; node: entries in use */
} cfa__block;

/* Memory of one store. Used only by whoever holds the right to write. */
typedef struct cfa__heap {
    uint64_t transaction; /* number of the running write transaction; never used twice */
    cfa__block made;      /* by the running transaction */
    cfa__block retired;   /* by the running transaction, still seen by snapshots */
    cfa__block garbage;   /* retired by committed transactions, oldest first */
    cfa__block *spare_leaves, *spare_inners;
} cfa__heap;

void cfa__heap_init(cfa__heap *heap);
/* Keep what the transaction made; free all garbage that no snapshot as old as `oldest` can see. */
void cfa__heap_commit(cfa__heap *heap, uint64_t oldest);
/* Free what the transaction made. Cannot fail. */
void cfa__heap_rollback(cfa__heap *heap);
/* Free garbage and spares. Rows and nodes still in trees are freed by retiring them first. */
void cfa__heap_free(cfa__heap *heap);

/* A row of `size` bytes behind its head, made by the running transaction; NULL without memory. */
cfa__block *cfa__heap_row(cfa__heap *heap, size_t size);
/* A node of `size` bytes with its head, the same for all of one type; NULL without memory. */
cfa__block *cfa__heap_node(cfa__heap *heap, uint32_t type, size_t size);
/* The trees of the running transaction no longer hold `block`. */
void cfa__heap_release(cfa__heap *heap, cfa__block *block);

/* A row's record stands behind its head. */
static inline char *cfa__row_record(cfa__block *row) { return (char *)(row + 1); }

static inline const char *cfa__row_record_const(const cfa__block *row) {
    return (const char *)(row + 1);
}

/* ---- keys ------------------------------------------------------------------------------------ */

enum { CFA__KEY_PARTS_MAX = 2 * CFA_INDEX_FIELDS_MAX };

typedef struct cfa__key_part {
    int32_t type;
    size_t offset;
} cfa__key_part;

/* How an index orders records: by its fields, then, unless unique, by the primary key. */
typedef struct cfa__key {
    cfa__key_part parts[CFA__KEY_PARTS_MAX];
    int32_t part_count;  /* enough to tell any two rows apart */
    int32_t field_count; /* those of the index itself */
    bool unique, sparse;
} cfa__key;

/* Compare two records on the first `count` parts. */
int cfa__key_compare(const cfa__key *key, int32_t count, const char *a, const char *b);
/* Whether the index holds this record: false for a sparse one with 0 or null in the first field. */
bool cfa__key_holds(const cfa__key *key, const char *record);

/* ---- trees ----------------------------------------------------------------------------------- */

enum { CFA__NODE_ENTRIES_MAX = 32, CFA__TREE_HEIGHT_MAX = 32 };

typedef struct cfa__node cfa__node;

typedef struct cfa__tree {
    cfa__node *root; /* NULL: empty */
    int32_t height;  /* 0: the root is a leaf */
} cfa__tree;

/* CFA_OK; CFA_EEXISTS: an equal row is there; CFA_ENOMEM. No error detail is set. After a failure
 * the tree may only be dropped by rolling back. */
CFA_MUST_CHECK cfa_status cfa__tree_insert(cfa__heap *heap, cfa__tree *tree, const cfa__key *key,
                                           cfa__block *row);
/* Put `row` in the place of the row that is equal to it on the whole key, which must be there. */
CFA_MUST_CHECK cfa_status cfa__tree_replace(cfa__heap *heap, cfa__tree *tree, const cfa__key *key,
                                            cfa__block *row);
/* Take out the row that is equal to `record` on the whole key, which must be there. */
CFA_MUST_CHECK cfa_status cfa__tree_remove(cfa__heap *heap, cfa__tree *tree, const cfa__key *key,
                                           const char *record);
/* Release every node, and every row when `rows`, into `heap`. */
void cfa__tree_release(cfa__heap *heap, cfa__tree *tree, bool rows);

/* The row equal to `record` on the fields of the index, or NULL. */
const cfa__block *cfa__tree_find(const cfa__tree *tree, const cfa__key *key, const char *record);
/* The last row, or NULL. */
const cfa__block *cfa__tree_last(const cfa__tree *tree);

/* A place between rows: before the first, after the last, or in between. */
typedef struct cfa__cursor {
    const cfa__tree *tree;
    const cfa__node *nodes[CFA__TREE_HEIGHT_MAX]; /* [0] is the leaf */
    uint32_t slots[CFA__TREE_HEIGHT_MAX];
} cfa__cursor;

typedef struct cfa__bound {
    const char *record;
    int32_t parts; /* how many parts of the key count */
    bool limited;  /* the next part (INT) counts too, with this value */
    int64_t limit;
} cfa__bound;

/* Stand before the first row that is not below `bound`, or, if `beyond`, that is above it. */
void cfa__cursor_seek(cfa__cursor *cursor, const cfa__tree *tree, const cfa__key *key,
                      const cfa__bound *bound, bool beyond);
/* Step over the next or previous row and return it; NULL at the end. */
const cfa__block *cfa__cursor_next(cfa__cursor *cursor);
const cfa__block *cfa__cursor_previous(cfa__cursor *cursor);

#endif
