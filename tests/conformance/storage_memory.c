/*
 * storage_memory.c - the storage suite on the memory store.
 */
#include <careforall/adapters/memory.h>
#include <careforall/testkit/conformance.h>

static cfa_status open_store(cfa_storage *out, int32_t fresh) {
    (void)fresh; /* nothing outlives a memory store */
    return cfa_memory_storage_new(out);
}

static void close_store(cfa_storage *storage) { storage->ops->close(storage->self); }

static const cfa_storage_fixture fixture = { sizeof(fixture), "memory", open_store, close_store };

int main(int argc, char **argv) { return cfa_conformance_storage(argc, argv, &fixture); }
