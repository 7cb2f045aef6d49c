/*
 * heap.c - the memory of a store: which blocks the running transaction made, and which nobody sees
 * any more.
 *
 * Lists are threaded through the blocks themselves, so that giving up and cleaning up can never
 * fail. Nodes are kept for reuse, rows go back to the allocator.
 */
#include "adapters/memory/tree.h"

#include <string.h>

static void list_init(cfa__block *list) {
    list->previous = list;
    list->next = list;
}

static void list_remove(cfa__block *block) {
    block->previous->next = block->next;
    block->next->previous = block->previous;
}

static void list_append(cfa__block *list, cfa__block *block) {
    block->previous = list->previous;
    block->next = list;
    list->previous->next = block;
    list->previous = block;
}

static void list_append_all(cfa__block *list, cfa__block *from) {
    if (from->next == from) {
        return;
    }
    from->next->previous = list->previous;
    list->previous->next = from->next;
    from->previous->next = list;
    list->previous = from->previous;
    list_init(from);
}

static void block_free(cfa__heap *heap, cfa__block *block) {
    switch (block->type) {
    case CFA__BLOCK_LEAF:
        block->next = heap->spare_leaves;
        heap->spare_leaves = block;
        break;
    case CFA__BLOCK_INNER:
        block->next = heap->spare_inners;
        heap->spare_inners = block;
        break;
    default: cfa_free(block); break;
    }
}

static void list_free(cfa__heap *heap, cfa__block *list) {
    for (cfa__block *block = list->next; block != list;) {
        cfa__block *next = block->next;
        block_free(heap, block);
        block = next;
    }
    list_init(list);
}

void cfa__heap_init(cfa__heap *heap) {
    memset(heap, 0, sizeof(*heap));
    list_init(&heap->made);
    list_init(&heap->retired);
    list_init(&heap->garbage);
}

void cfa__heap_commit(cfa__heap *heap, uint64_t oldest) {
    list_init(&heap->made);
    list_append_all(&heap->garbage, &heap->retired);
    while (heap->garbage.next != &heap->garbage && heap->garbage.next->stamp <= oldest) {
        cfa__block *block = heap->garbage.next;
        list_remove(block);
        block_free(heap, block);
    }
}

void cfa__heap_rollback(cfa__heap *heap) {
    list_free(heap, &heap->made);
    list_init(&heap->retired);
}

static void spares_free(cfa__block *spare) {
    while (spare != NULL) {
        cfa__block *next = spare->next;
        cfa_free(spare);
        spare = next;
    }
}

void cfa__heap_free(cfa__heap *heap) {
    list_free(heap, &heap->garbage);
    spares_free(heap->spare_leaves);
    spares_free(heap->spare_inners);
    cfa__heap_init(heap);
}

static void block_init(cfa__heap *heap, cfa__block *block, uint32_t type, uint32_t size) {
    block->stamp = heap->transaction;
    block->type = type;
    block->size = size;
    list_append(&heap->made, block);
}

cfa__block *cfa__heap_row(cfa__heap *heap, size_t size) {
    cfa__block *row = size < UINT32_MAX ? cfa_alloc(sizeof(*row) + size) : NULL;
    if (row != NULL) {
        block_init(heap, row, CFA__BLOCK_ROW, (uint32_t)size);
    }
    return row;
}

void cfa__heap_release(cfa__heap *heap, cfa__block *block) {
    if (block->stamp == heap->transaction) {
        list_remove(block);
        block_free(heap, block);
    } else {
        /* A rolled back transaction leaves its number here; as numbers are not used twice, it means
         * nothing. */
        block->stamp = heap->transaction;
        list_append(&heap->retired, block);
    }
}

cfa__block *cfa__heap_node(cfa__heap *heap, uint32_t type, size_t size) {
    cfa__block **spares = type == CFA__BLOCK_LEAF ? &heap->spare_leaves : &heap->spare_inners;
    cfa__block *node = *spares;
    if (node != NULL) {
        *spares = node->next;
    } else {
        node = cfa_alloc(size);
    }
    if (node != NULL) {
        block_init(heap, node, type, 0);
    }
    return node;
}
