/*
 * provider.c - the provider's own record against the book: a reconciliation in the audit's snapshot,
 * whose differences are findings.
 */
#include "core/audit/audit.h"

#include <stdio.h>
#include <string.h>

#include "core/decide/evidence.h"
#include "core/reconcile/reconcile.h"

#define OF_CODE(symbol, name, doc)                                                                 \
    _Static_assert(CFA__AUDIT_PROVIDER_##symbol - CFA__AUDIT_PROVIDER_MISSING_HERE ==              \
                       CFA__RECONCILE_##symbol,                                                    \
                   "a check for each code, in their order");
CFA__RECONCILE_CODE_MAP(OF_CODE)
#undef OF_CODE

static bool goes_on(void *self) { return cfa__audit_goes_on(self); }

/* What a difference is about: the payment when it is known, else what the provider calls it. */
static cfa_status find_place(cfa__audit *audit, const cfa_reconcile_difference *difference,
                             cfa__place *out) {
    const void *found = NULL;
    cfa__id id = CFA__ID_NULL;
    cfa_status status = CFA_OK;
    *out = cfa__place_of(NULL, CFA__ID_NULL);
    if (difference->payment_id != NULL)
        status = cfa__id_parse(&id, "pay", difference->payment_id, "payment_id");
    if (status == CFA_OK && !cfa__id_is_null(id))
        status = cfa__audit_get_id(audit, audit->scratch, &cfa__payment_kind, id, &found);
    if (status == CFA_OK && found != NULL)
        *out = cfa__place_of_payment(found);
    out->prefix = NULL;
    return status;
}

static void name_subject(char out[CFA__AUDIT_TEXT_SIZE],
                         const cfa_reconcile_difference *difference) {
    const char *name = difference->id != NULL ? difference->id : difference->ref;
    name = name != NULL ? name : difference->kind;
    if (difference->line != 0)
        snprintf(out, CFA__AUDIT_TEXT_SIZE, "%s (line %lld)", name, (long long)difference->line);
    else
        snprintf(out, CFA__AUDIT_TEXT_SIZE, "%s", name);
}

static cfa_status note_listed(cfa__audit *audit, int32_t code, size_t *at) {
    const char *name = cfa__reconcile_code_name(code);
    const int32_t check = CFA__AUDIT_PROVIDER_MISSING_HERE + code;
    const cfa_reconcile_difference *difference;
    cfa_status status = CFA_OK;
    for (; status == CFA_OK && (difference = cfa_reconciliation_at(audit->record, *at)) != NULL &&
           strcmp(difference->code, name) == 0;
         ++*at) {
        cfa__place place;
        char subject[CFA__AUDIT_TEXT_SIZE];
        cfa_arena_reset(audit->scratch);
        status = find_place(audit, difference, &place);
        name_subject(subject, difference);
        place.text = subject;
        if (status == CFA_OK)
            cfa__audit_texts(audit, check, &place, difference->field, difference->expected,
                             difference->found);
    }
    /* More were counted than are listed. */
    if (status == CFA_OK && audit->counts[check] > 0)
        audit->counts[check] = cfa_reconciliation_count(audit->record, name);
    return status;
}

cfa_status cfa__audit_provider(cfa__audit *audit) {
    bool damaged = false;
    if (audit->spec->record == NULL)
        return CFA_OK;
    for (int32_t check = 0; check < CFA__AUDIT_PROVIDER_MISSING_HERE; check++)
        damaged = damaged || audit->counts[check] > audit->dropped[check];
    const cfa__reconcile_snapshot snapshot = { audit->storage, audit->session, goes_on, audit };
    cfa_status status = cfa__reconcile_within(&audit->record, &snapshot, audit->spec->record);
    if (status == CFA_ECORRUPT && damaged) { /* that is told, and no number can be trusted */
        cfa_error error = { .struct_size = sizeof error };
        bool told = cfa_error_last(&error) == CFA_OK;
        snprintf(audit->record_problem, sizeof audit->record_problem, "%s",
                 told ? error.message : "the book is damaged");
        return CFA_OK;
    }
    size_t at = 0;
    for (int32_t code = 0; code < CFA__RECONCILE_CODES && status == CFA_OK; code++)
        status = note_listed(audit, code, &at);
    return status == CFA_OK ? audit->status : status;
}
