/*
 * tree.c - the copy-on-write B+tree under the memory store.
 *
 * Every entry of an inner node carries the first row below it, kept exact on the way back up, so no
 * key is stored twice and none can point at a row that is gone. Beside each row pointer stands the
 * first field as a number that orders alike; most comparisons end there and never touch the row.
 * Never locks; never sets an error.
 */
#include "adapters/memory/tree.h"

#include <assert.h>
#include <string.h>

enum {
    ENTRIES_MAX = CFA__NODE_ENTRIES_MAX,
    ENTRIES_LOW = ENTRIES_MAX / 4,       /* below this a node looks for a neighbour to join */
    ENTRIES_JOINED = ENTRIES_MAX * 3 / 4 /* and does so if both fit in this many */
};

struct cfa__node {
    cfa__block block;
    uint64_t heads[ENTRIES_MAX];
    cfa__block *rows[ENTRIES_MAX]; /* leaf: the rows; inner: the first row below each child */
    cfa__node *children[];         /* inner only: ENTRIES_MAX */
};

static cfa__node *node_new(cfa__heap *heap, uint32_t type) {
    size_t children = type == CFA__BLOCK_INNER ? ENTRIES_MAX * sizeof(cfa__node *) : 0;
    return (cfa__node *)cfa__heap_node(heap, type, sizeof(cfa__node) + children);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static int compare_slices(const char *a, const char *b) {
    const cfa_slice *x = (const cfa_slice *)(const void *)a;
    const cfa_slice *y = (const cfa_slice *)(const void *)b;
    size_t shorter = x->size < y->size ? x->size : y->size;
    int order = shorter > 0 ? memcmp(x->data, y->data, shorter) : 0;
    return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

static int64_t read_int(const char *field) {
    int64_t value;
    memcpy(&value, field, sizeof(value));
    return value;
}

int cfa__key_compare(const cfa__key *key, int32_t count, const char *a, const char *b) {
    assert(count <= key->part_count);
    for (const cfa__key_part *part = key->parts; part < key->parts + count; part++) {
        const char *x = a + part->offset;
        const char *y = b + part->offset;
        int order = 0;
        switch (part->type) {
        case CFA_FIELD_INT:
            order = (read_int(x) > read_int(y)) - (read_int(x) < read_int(y));
            break;
        case CFA_FIELD_ID: order = memcmp(x, y, 16); break;
        case CFA_FIELD_CURRENCY: order = strncmp(x, y, 4); break;
        default: order = compare_slices(x, y); break;
        }
        if (order != 0) {
            return order;
        }
    }
    return 0;
}

/* Big-endian, so that numbers order as bytes do; shorter text is filled with zeros. */
static uint64_t head_of_bytes(const char *bytes, size_t size) {
    uint8_t filled[8] = { 0 };
    if (size > 0) {
        memcpy(filled, bytes, size < 8 ? size : 8);
    }
    uint64_t head = 0;
    for (int i = 0; i < 8; i++) {
        head = head << 8 | filled[i];
    }
    return head;
}

/* If the first field of one record is below that of another, its head is not above: a tie says
 * nothing. */
static uint64_t head_of(const cfa__key *key, const char *record) {
    const char *field = record + key->parts[0].offset;
    switch (key->parts[0].type) {
    case CFA_FIELD_INT: return (uint64_t)read_int(field) ^ UINT64_C(1) << 63;
    case CFA_FIELD_ID: return head_of_bytes(field, 8);
    case CFA_FIELD_CURRENCY: return head_of_bytes(field, strnlen(field, 4));
    default: {
        const cfa_slice *slice = (const cfa_slice *)(const void *)field;
        return head_of_bytes(slice->data, slice->size);
    }
    }
}

bool cfa__key_holds(const cfa__key *key, const char *record) {
    static const char zero[16];
    const char *field = record + key->parts[0].offset;
    if (!key->sparse) {
        return true;
    }
    switch (key->parts[0].type) {
    case CFA_FIELD_INT: return read_int(field) != 0;
    case CFA_FIELD_ID: return memcmp(field, zero, sizeof(zero)) != 0;
    case CFA_FIELD_CURRENCY: return field[0] != '\0';
    default: return ((const cfa_slice *)(const void *)field)->data != NULL;
    }
}

/* ---- searching inside a node ----------------------------------------------------------------- */

static int compare_bound(const cfa__key *key, const cfa__bound *bound, const char *record) {
    int order = cfa__key_compare(key, bound->parts, record, bound->record);
    if (order == 0 && bound->limited) {
        int64_t value = read_int(record + key->parts[bound->parts].offset);
        order = (value > bound->limit) - (value < bound->limit);
    }
    return order;
}

/* The first entry that is not below `bound`, or, if `beyond`, that is above it. */
static uint32_t search(const cfa__node *node, const cfa__key *key, const cfa__bound *bound,
                       uint64_t head, bool beyond) {
    uint32_t low = 0, high = node->block.size;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order;
        if (bound->parts > 0 && node->heads[middle] != head) {
            order = node->heads[middle] < head ? -1 : 1;
        } else {
            order = compare_bound(key, bound, cfa__row_record(node->rows[middle]));
        }
        if (order < 0 || (order == 0 && beyond)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The child that holds a row equal to `bound`, or would. */
static uint32_t search_child(const cfa__node *node, const cfa__key *key, const cfa__bound *bound,
                             uint64_t head) {
    uint32_t slot = search(node, key, bound, head, true);
    return slot > 0 ? slot - 1 : 0;
}

/* ---- changing -------------------------------------------------------------------------------- */

/* What a change carries down the tree. */
struct edit {
    cfa__heap *heap;
    const cfa__key *key;
    cfa__bound bound;
    uint64_t head;
    cfa__block *row; /* to put in; NULL: take out */
    bool replace;
};

/* Make `*place` a node of this transaction, by copying it unless it is one already. */
static cfa__node *writable(cfa__heap *heap, cfa__node **place) {
    cfa__node *old = *place;
    if (old->block.stamp == heap->transaction) {
        return old;
    }
    cfa__node *copy = node_new(heap, old->block.type);
    if (copy == NULL) {
        return NULL;
    }
    uint32_t size = old->block.size;
    copy->block.size = size;
    memcpy(copy->heads, old->heads, size * sizeof(old->heads[0]));
    memcpy(copy->rows, old->rows, size * sizeof(old->rows[0]));
    if (old->block.type == CFA__BLOCK_INNER) {
        memcpy(copy->children, old->children, size * sizeof(old->children[0]));
    }
    cfa__heap_release(heap, &old->block);
    *place = copy;
    return copy;
}

static void move_entries(cfa__node *to, uint32_t to_slot, cfa__node *from, uint32_t from_slot,
                         uint32_t count) {
    memmove(to->heads + to_slot, from->heads + from_slot, count * sizeof(to->heads[0]));
    memmove(to->rows + to_slot, from->rows + from_slot, count * sizeof(to->rows[0]));
    if (to->block.type == CFA__BLOCK_INNER) {
        memmove(to->children + to_slot, from->children + from_slot,
                count * sizeof(to->children[0]));
    }
}

static void set_entry(cfa__node *node, uint32_t slot, uint64_t head, cfa__block *row,
                      cfa__node *child) {
    node->heads[slot] = head;
    node->rows[slot] = row;
    if (child != NULL) {
        node->children[slot] = child;
    }
}

static void set_child(cfa__node *node, uint32_t slot, cfa__node *child) {
    set_entry(node, slot, child->heads[0], child->rows[0], child);
}

static void remove_entry(cfa__node *node, uint32_t slot) {
    move_entries(node, slot, node, slot + 1, node->block.size - slot - 1);
    node->block.size--;
}

/* Insert an entry; a full node is split and `*out_right` is its new right neighbour. */
static cfa_status add_entry(cfa__heap *heap, cfa__node *node, uint32_t slot, uint64_t head,
                            cfa__block *row, cfa__node *child, cfa__node **out_right) {
    if (node->block.size == ENTRIES_MAX) {
        cfa__node *right = node_new(heap, node->block.type);
        if (right == NULL) {
            return CFA_ENOMEM;
        }
        /* Rows that come in order fill their nodes: the old one stays whole. */
        uint32_t keep = slot == ENTRIES_MAX ? ENTRIES_MAX : ENTRIES_MAX / 2;
        right->block.size = ENTRIES_MAX - keep;
        move_entries(right, 0, node, keep, ENTRIES_MAX - keep);
        node->block.size = keep;
        *out_right = right;
        if (slot >= keep) {
            node = right;
            slot -= keep;
        }
    }
    move_entries(node, slot + 1, node, slot, node->block.size - slot);
    node->block.size++;
    set_entry(node, slot, head, row, child);
    return CFA_OK;
}

static cfa_status change_leaf(const struct edit *edit, cfa__node *leaf, cfa__node **out_right) {
    uint32_t slot = search(leaf, edit->key, &edit->bound, edit->head, false);
    bool found = slot < leaf->block.size && leaf->heads[slot] == edit->head &&
                 compare_bound(edit->key, &edit->bound, cfa__row_record(leaf->rows[slot])) == 0;
    if (edit->row != NULL && !edit->replace) {
        return found ? CFA_EEXISTS
                     : add_entry(edit->heap, leaf, slot, edit->head, edit->row, NULL, out_right);
    }
    if (!found) {
        return CFA_ECORRUPT;
    }
    if (edit->replace) {
        leaf->rows[slot] = edit->row;
    } else {
        remove_entry(leaf, slot);
    }
    return CFA_OK;
}

/* The child at `slot` got few entries: drop it when empty, or join it with a neighbour. */
static cfa_status thin_child(cfa__heap *heap, cfa__node *node, uint32_t slot) {
    cfa__node *child = node->children[slot];
    if (child->block.size == 0) {
        cfa__heap_release(heap, &child->block);
        remove_entry(node, slot);
        return CFA_OK;
    }
    if (node->block.size < 2) {
        return CFA_OK;
    }
    uint32_t left = slot + 1 < node->block.size ? slot : slot - 1;
    cfa__node *right = node->children[left + 1];
    if (node->children[left]->block.size + right->block.size > ENTRIES_JOINED) {
        return CFA_OK;
    }
    cfa__node *joined = writable(heap, &node->children[left]);
    if (joined == NULL) {
        return CFA_ENOMEM;
    }
    move_entries(joined, joined->block.size, right, 0, right->block.size);
    joined->block.size += right->block.size;
    cfa__heap_release(heap, &right->block);
    remove_entry(node, left + 1);
    return CFA_OK;
}

static cfa_status change_below(const struct edit *edit, cfa__node **place, int32_t height,
                               cfa__node **out_right) {
    cfa__node *node = writable(edit->heap, place);
    if (node == NULL) {
        return CFA_ENOMEM;
    }
    if (height == 0) {
        return change_leaf(edit, node, out_right);
    }
    uint32_t slot = search_child(node, edit->key, &edit->bound, edit->head);
    cfa__node *right = NULL;
    cfa_status status = change_below(edit, &node->children[slot], height - 1, &right);
    if (status != CFA_OK) {
        return status;
    }
    cfa__node *child = node->children[slot];
    if (child->block.size > 0) {
        set_child(node, slot, child);
    }
    if (right != NULL) {
        return add_entry(edit->heap, node, slot + 1, right->heads[0], right->rows[0], right,
                         out_right);
    }
    if (edit->row == NULL && child->block.size < ENTRIES_LOW) {
        return thin_child(edit->heap, node, slot);
    }
    return CFA_OK;
}

static cfa_status change_tree(cfa__tree *tree, const struct edit *edit) {
    cfa__node *right = NULL;
    cfa_status status = change_below(edit, &tree->root, tree->height, &right);
    if (status != CFA_OK) {
        return status;
    }
    if (right != NULL) {
        assert(tree->height + 1 < CFA__TREE_HEIGHT_MAX);
        cfa__node *root = node_new(edit->heap, CFA__BLOCK_INNER);
        if (root == NULL) {
            return CFA_ENOMEM;
        }
        root->block.size = 2;
        set_child(root, 0, tree->root);
        set_child(root, 1, right);
        tree->root = root;
        tree->height++;
        return CFA_OK;
    }
    while (tree->height > 0 && tree->root->block.size == 1) {
        cfa__node *root = tree->root;
        tree->root = root->children[0];
        tree->height--;
        cfa__heap_release(edit->heap, &root->block);
    }
    if (tree->root->block.size == 0) {
        cfa__heap_release(edit->heap, &tree->root->block);
        tree->root = NULL;
        tree->height = 0;
    }
    return CFA_OK;
}

static struct edit edit_of(cfa__heap *heap, const cfa__key *key, const char *record,
                           cfa__block *row, bool replace) {
    struct edit edit = { heap, key,    { record, key->part_count, false, 0 }, head_of(key, record),
                         row,  replace };
    return edit;
}

cfa_status cfa__tree_insert(cfa__heap *heap, cfa__tree *tree, const cfa__key *key,
                            cfa__block *row) {
    struct edit insertion = edit_of(heap, key, cfa__row_record(row), row, false);
    if (tree->root == NULL) {
        cfa__node *root = node_new(heap, CFA__BLOCK_LEAF);
        if (root == NULL) {
            return CFA_ENOMEM;
        }
        tree->root = root;
        tree->height = 0;
    }
    return change_tree(tree, &insertion);
}

cfa_status cfa__tree_replace(cfa__heap *heap, cfa__tree *tree, const cfa__key *key,
                             cfa__block *row) {
    struct edit replacement = edit_of(heap, key, cfa__row_record(row), row, true);
    return tree->root != NULL ? change_tree(tree, &replacement) : CFA_ECORRUPT;
}

cfa_status cfa__tree_remove(cfa__heap *heap, cfa__tree *tree, const cfa__key *key,
                            const char *record) {
    struct edit removal = edit_of(heap, key, record, NULL, false);
    return tree->root != NULL ? change_tree(tree, &removal) : CFA_ECORRUPT;
}

static void release_below(cfa__heap *heap, cfa__node *node, int32_t height, bool rows) {
    for (uint32_t i = 0; i < node->block.size; i++) {
        if (height > 0) {
            release_below(heap, node->children[i], height - 1, rows);
        } else if (rows) {
            cfa__heap_release(heap, node->rows[i]);
        }
    }
    cfa__heap_release(heap, &node->block);
}

void cfa__tree_release(cfa__heap *heap, cfa__tree *tree, bool rows) {
    if (tree->root != NULL) {
        release_below(heap, tree->root, tree->height, rows);
    }
    tree->root = NULL;
    tree->height = 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

const cfa__block *cfa__tree_find(const cfa__tree *tree, const cfa__key *key, const char *record) {
    const cfa__node *node = tree->root;
    if (node == NULL) {
        return NULL;
    }
    cfa__bound bound = { record, key->field_count, false, 0 };
    uint64_t head = head_of(key, record);
    for (int32_t height = tree->height; height > 0; height--) {
        node = node->children[search_child(node, key, &bound, head)];
    }
    uint32_t slot = search(node, key, &bound, head, false);
    if (slot == node->block.size || node->heads[slot] != head ||
        compare_bound(key, &bound, cfa__row_record(node->rows[slot])) != 0) {
        return NULL;
    }
    return node->rows[slot];
}

const cfa__block *cfa__tree_last(const cfa__tree *tree) {
    const cfa__node *node = tree->root;
    if (node == NULL) {
        return NULL;
    }
    for (int32_t height = tree->height; height > 0; height--) {
        node = node->children[node->block.size - 1];
    }
    return node->rows[node->block.size - 1];
}

void cfa__cursor_seek(cfa__cursor *cursor, const cfa__tree *tree, const cfa__key *key,
                      const cfa__bound *bound, bool beyond) {
    cursor->tree = tree;
    const cfa__node *node = tree->root;
    uint64_t head = bound->parts > 0 ? head_of(key, bound->record) : 0;
    for (int32_t height = tree->height; node != NULL && height >= 0; height--) {
        uint32_t slot = search(node, key, bound, head, beyond);
        if (height > 0 && slot > 0) {
            slot--; /* the place may be behind the first row of the child before */
        }
        cursor->nodes[height] = node;
        cursor->slots[height] = slot;
        node = height > 0 ? node->children[slot] : NULL;
    }
}

const cfa__block *cfa__cursor_next(cfa__cursor *cursor) {
    int32_t top = cursor->tree->height;
    if (cursor->tree->root == NULL) {
        return NULL;
    }
    if (cursor->slots[0] == cursor->nodes[0]->block.size) {
        int32_t level = 1;
        while (level <= top && cursor->slots[level] + 1 == cursor->nodes[level]->block.size) {
            level++;
        }
        if (level > top) {
            return NULL;
        }
        cursor->slots[level]++;
        for (; level > 0; level--) {
            cursor->nodes[level - 1] = cursor->nodes[level]->children[cursor->slots[level]];
            cursor->slots[level - 1] = 0;
        }
    }
    return cursor->nodes[0]->rows[cursor->slots[0]++];
}

const cfa__block *cfa__cursor_previous(cfa__cursor *cursor) {
    int32_t top = cursor->tree->height;
    if (cursor->tree->root == NULL) {
        return NULL;
    }
    if (cursor->slots[0] == 0) {
        int32_t level = 1;
        while (level <= top && cursor->slots[level] == 0) {
            level++;
        }
        if (level > top) {
            return NULL;
        }
        cursor->slots[level]--;
        for (; level > 0; level--) {
            const cfa__node *child = cursor->nodes[level]->children[cursor->slots[level]];
            cursor->nodes[level - 1] = child;
            cursor->slots[level - 1] = level > 1 ? child->block.size - 1 : child->block.size;
        }
    }
    return cursor->nodes[0]->rows[--cursor->slots[0]];
}
