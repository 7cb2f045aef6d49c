/*
 * storage_fault.c - the storage suite on the fault wrapper that fails nothing: a test must not be
 * able to tell.
 */
#include <careforall/adapters/memory.h>
#include <careforall/testkit/conformance.h>
#include <careforall/testkit/fault.h>

static cfa_storage inner;

static cfa_status open_store(cfa_storage *out, int32_t fresh) {
    (void)fresh;
    cfa_fault_storage *control;
    cfa_status status = cfa_memory_storage_new(&inner);
    return status != CFA_OK ? status : cfa_fault_storage_new(out, &control, &inner, NULL, NULL);
}

static void close_store(cfa_storage *storage) {
    storage->ops->close(storage->self);
    inner.ops->close(inner.self);
}

static const cfa_storage_fixture fixture = { sizeof(fixture), "fault", open_store, close_store };

int main(int argc, char **argv) { return cfa_conformance_storage(argc, argv, &fixture); }
