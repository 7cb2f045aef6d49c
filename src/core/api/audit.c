/*
 * api/audit.c - audits as hosts ask for them. An engine lends its storage and nothing else: the audit
 * has a session of its own, so that no reader of the engine waits for it.
 */
#include "core/audit/audit.h"
#include "core/api/api.h"

#include <string.h>

#define ORIGIN "core.audit"

static cfa_status run(cfa_audit **out, const cfa_storage *storage, const cfa_audit_spec *given) {
    cfa_audit_spec spec = CFA_AUDIT_SPEC_INIT;
    cfa_status status = CFA_OK;
    if (given != NULL)
        status = cfa__spec_take(&spec, sizeof spec, given,
                                CFA__SIZE_THROUGH(cfa_audit_spec, record), ORIGIN);
    if (status == CFA_OK && spec.record != NULL && spec.campaign_id != NULL)
        status = cfa_error_set(CFA_EINVAL, ORIGIN, "campaign_id", 0,
                               "a provider's record is of a whole book, not of one campaign");
    return status == CFA_OK ? cfa__audit_run(out, storage, &spec) : status;
}

cfa_status cfa_audit_engine(cfa_audit **out, cfa_engine *engine, const cfa_audit_spec *spec) {
    cfa_status status = cfa__call_check(engine, out);
    return status == CFA_OK ? run(out, &engine->storage, spec) : status;
}

cfa_status cfa_audit_storage(cfa_audit **out, const cfa_storage *storage,
                             const cfa_audit_spec *spec) {
    if (out == NULL || storage == NULL || storage->ops == NULL)
        return cfa_error_set(CFA_EMISUSE, ORIGIN, out == NULL ? "out" : "storage", 0,
                             "an audit needs a storage and a place for its report");
    cfa_status status = storage->ops->migrate(storage->self, &cfa__schema);
    return status == CFA_OK ? run(out, storage, spec) : status;
}
