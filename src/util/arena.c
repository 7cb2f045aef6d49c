/*
 * arena.c - memory that is handed out by moving a pointer and given back as a whole. Blocks double
 * from 512 bytes to 1 MiB; a piece of more than 64 KiB gets a block of its own, so that no block is
 * left half empty for it or kept for ever. Only memory that is handed out is zeroed. Never shared
 * between threads.
 */
#include <careforall/sys/platform.h>

#include <assert.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_SANITIZED 1
#endif

/*
 * Under AddressSanitizer whatever was not handed out is poisoned, and a gap follows every
 * allocation.
 */
#ifdef ARENA_SANITIZED
#include <sanitizer/asan_interface.h>
#define POISON(memory, size) ASAN_POISON_MEMORY_REGION(memory, size)
#define UNPOISON(memory, size) ASAN_UNPOISON_MEMORY_REGION(memory, size)
#define GAP ((size_t)16)
#else
#define POISON(memory, size) ((void)0)
#define UNPOISON(memory, size) ((void)0)
#define GAP ((size_t)0)
#endif

#define ALIGNMENT ((size_t)16)
#define BLOCK_SIZE_MIN ((size_t)512)
#define BLOCK_SIZE_MAX ((size_t)1048576)
#define LARGE_SIZE ((size_t)65536)

typedef struct block {
    struct block *next;
    size_t size; /* with this header */
} block;

struct cfa_arena {
    block *blocks;    /* the first is the one in use, and the largest */
    block *large;     /* one allocation each */
    char *next, *end; /* what is left of the first block; `next` is aligned */
};

/*
 * Room lost at most to a block's header and to aligning behind it: an allocator of the host may
 * give 8 bytes only.
 */
#define BLOCK_OVERHEAD (sizeof(block) + ALIGNMENT)

static char *block_start(block *b) {
    char *start = (char *)b + sizeof(block);
    size_t misaligned = (size_t)((uintptr_t)start & (ALIGNMENT - 1));
    return misaligned != 0 ? start + (ALIGNMENT - misaligned) : start;
}

static block *block_new(block **list, size_t size) {
    block *b = cfa_alloc(size);
    if (b == NULL) {
        (void)cfa_error_set(CFA_ENOMEM, "util.arena", NULL, 0, "out of memory");
        return NULL;
    }
    b->next = *list;
    b->size = size;
    *list = b;
    POISON((char *)b + sizeof(block), size - sizeof(block));
    return b;
}

static void blocks_free(block *b) {
    while (b != NULL) {
        block *next = b->next;
        UNPOISON(b, b->size);
        cfa_free(b);
        b = next;
    }
}

static void use_block(cfa_arena *arena, block *b) {
    arena->next = block_start(b);
    arena->end = (char *)b + b->size;
}

cfa_status cfa_arena_new(cfa_arena **out) {
    assert(out != NULL);
    cfa_arena *arena = cfa_alloc(sizeof(*arena));
    if (arena == NULL)
        return cfa_error_set(CFA_ENOMEM, "util.arena", NULL, 0, "out of memory");
    *arena = (cfa_arena){ NULL, NULL, NULL, NULL };
    *out = arena;
    return CFA_OK;
}

void cfa_arena_free(cfa_arena *arena) {
    if (arena == NULL)
        return;
    blocks_free(arena->blocks);
    blocks_free(arena->large);
    cfa_free(arena);
}

/*
 * The largest block stays: after a few rounds an arena that is used again and again allocates
 * nothing.
 */
void cfa_arena_reset(cfa_arena *arena) {
    blocks_free(arena->large);
    arena->large = NULL;
    block *kept = arena->blocks;
    if (kept == NULL)
        return;
    blocks_free(kept->next);
    kept->next = NULL;
    POISON((char *)kept + sizeof(block), kept->size - sizeof(block));
    use_block(arena, kept);
}

static void *allocate_slowly(cfa_arena *arena, size_t need) {
    if (need > LARGE_SIZE) {
        block *b = block_new(&arena->large, need + BLOCK_OVERHEAD);
        return b != NULL ? block_start(b) : NULL;
    }
    size_t size = arena->blocks != NULL ? arena->blocks->size * 2 : BLOCK_SIZE_MIN;
    while (size < need + BLOCK_OVERHEAD)
        size *= 2;
    if (size > BLOCK_SIZE_MAX)
        size = BLOCK_SIZE_MAX;
    block *b = block_new(&arena->blocks, size);
    if (b == NULL)
        return NULL;
    use_block(arena, b);
    char *memory = arena->next;
    arena->next += need;
    return memory;
}

static void *allocate(cfa_arena *arena, size_t size) {
    assert(arena != NULL);
    if (size > SIZE_MAX / 2) {
        (void)cfa_error_set(CFA_ENOMEM, "util.arena", NULL, 0, "out of memory");
        return NULL;
    }
    size_t need = (size + GAP + (size == 0) + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    void *memory;
    if (need <= (size_t)(arena->end - arena->next)) {
        memory = arena->next;
        arena->next += need;
    } else {
        memory = allocate_slowly(arena, need);
    }
    if (memory != NULL)
        UNPOISON(memory, size);
    return memory;
}

void *cfa_arena_alloc(cfa_arena *arena, size_t size) {
    void *memory = allocate(arena, size);
    return memory != NULL ? memset(memory, 0, size) : NULL;
}

void *cfa_arena_copy(cfa_arena *arena, const void *data, size_t size) {
    assert(data != NULL || size == 0);
    char *memory = allocate(arena, size < SIZE_MAX ? size + 1 : size);
    if (memory == NULL)
        return NULL;
    if (size != 0)
        memcpy(memory, data, size);
    memory[size] = '\0';
    return memory;
}
