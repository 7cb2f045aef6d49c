/*
 * api/schema.c - which schema a store has, for those who must not bring it up by opening it.
 */
#include "core/api/api.h"

#define ORIGIN "core.schema"

cfa_status cfa_schema_of(int32_t *out_found, int32_t *out_known, const cfa_storage *storage) {
    if (out_found == NULL || out_known == NULL || storage == NULL || storage->ops == NULL)
        return cfa_error_set(CFA_EMISUSE, ORIGIN, NULL, 0,
                             "a storage and two places for versions are needed");
    cfa_error error = CFA_ERROR_INIT;
    cfa_status status = storage->ops->migrate(storage->self, &cfa__schema);
    *out_known = *out_found = CFA__SCHEMA_VERSION;
    if (status != CFA_ESCHEMA || cfa_error_last(&error) != CFA_OK || error.native_code <= 0)
        return status;
    *out_found = error.native_code;
    return CFA_OK;
}
