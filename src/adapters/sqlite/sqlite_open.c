/*
 * sqlite_open.c - storage, schema and engine in one call.
 */
#include "adapters/sqlite/sqlite_internal.h"

#include <string.h>

cfa_status cfa_sqlite_open(cfa_engine **out, const char *path, const cfa_engine_options *given) {
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    cfa_storage storage;
    if (given != NULL) {
        if (given->struct_size > sizeof(options)) {
            return cfa_error_set(CFA_EABI, CFA__SQLITE_ORIGIN, "options", 0,
                                 "the options are of a newer library");
        }
        memcpy(&options, given, given->struct_size);
        options.struct_size = sizeof(options);
    }
    if (options.storage != NULL) {
        return cfa_error_set(CFA_EINVAL, CFA__SQLITE_ORIGIN, "storage", 0,
                             "this call makes the storage itself: leave options.storage NULL, or "
                             "call cfa_engine_open");
    }
    cfa_status status = cfa_sqlite_storage_new(&storage, path, NULL);
    if (status != CFA_OK) {
        return status;
    }
    options.storage = &((cfa__sqlite_storage *)storage.self)->handle;
    options.owns_storage = 1;
    status = cfa_engine_open(out, &options);
    if (status != CFA_OK) {
        storage.ops->close(storage.self); /* an engine that did not open owns nothing */
    }
    return status;
}
