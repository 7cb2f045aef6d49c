/*
 * alloc.c - the library's allocator: malloc, or what the host put in its place. It owns the one
 * piece of global state the library has. Never called before `cfa_allocator_set` by a host that
 * replaces it, so it takes no lock.
 */
#include <careforall/sys/platform.h>

#include <stdlib.h>

static void *system_allocate(void *user, size_t size) {
    (void)user;
    return malloc(size);
}

static void *system_reallocate(void *user, void *memory, size_t size) {
    (void)user;
    return realloc(memory, size);
}

static void system_release(void *user, void *memory) {
    (void)user;
    free(memory);
}

#define SYSTEM_ALLOCATOR                                                                           \
    { sizeof(cfa_allocator), NULL, system_allocate, system_reallocate, system_release }

static const cfa_allocator system_allocator = SYSTEM_ALLOCATOR;
static cfa_allocator allocator = SYSTEM_ALLOCATOR;

cfa_status cfa_allocator_set(const cfa_allocator *replacement) {
    if (replacement == NULL) {
        allocator = system_allocator;
        return CFA_OK;
    }
    if (replacement->struct_size < sizeof(cfa_allocator))
        return cfa_error_set(CFA_EABI, "util.alloc", "struct_size", 0,
                             "cfa_allocator.struct_size is not set");
    /* A newer host may append functions that this library would never call. */
    if (replacement->struct_size > sizeof(cfa_allocator))
        return cfa_error_set(CFA_EABI, "util.alloc", "struct_size", 0,
                             "cfa_allocator was built for a newer library");
    if (replacement->allocate == NULL || replacement->reallocate == NULL ||
        replacement->release == NULL)
        return cfa_error_set(CFA_EINVAL, "util.alloc", "allocator", 0,
                             "an allocator needs allocate, reallocate and release");
    allocator = *replacement;
    return CFA_OK;
}

/*
 * A size of 0 is asked for as 1: what an allocator answers to 0 is its own choice, and NULL means
 * failure here.
 */
void *cfa_alloc(size_t size) { return allocator.allocate(allocator.user, size != 0 ? size : 1); }

void *cfa_realloc(void *memory, size_t size) {
    if (memory == NULL)
        return cfa_alloc(size);
    return allocator.reallocate(allocator.user, memory, size != 0 ? size : 1);
}

void cfa_free(void *memory) {
    if (memory != NULL)
        allocator.release(allocator.user, memory);
}
