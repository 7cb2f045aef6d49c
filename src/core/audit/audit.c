/*
 * audit.c - one audit from its snapshot to its report. The snapshot is one: what a total is made of
 * can be read in pages only while nothing moves, and a difference between two moments would have to be
 * told from a difference in the books. The price is a database whose log cannot be cut meanwhile.
 */
#include "core/audit/audit.h"

#include <string.h>

#include "core/decide/decide.h"
#include "core/decide/evidence.h"
#include "util/secure.h"

#define BEGIN_MS 30000

_Static_assert(sizeof(((cfa__audit *)NULL)->rows) / sizeof(int64_t) > 24, "a count for each kind");

static void check_cursor(cfa__audit *audit, const cfa__sink *sink) {
    cfa__place place = cfa__place_of(NULL, CFA__ID_NULL);
    char name[64] = "";
    size_t size = sink->name.size < sizeof name ? sink->name.size : sizeof name - 1;
    memcpy(name, sink->name.size > 0 ? sink->name.data : "", size);
    place.text = name;
    place.position = sink->acknowledged;
    if (cfa__slices_equal(sink->name, cfa__slice(CFA__PROJECTOR_NAME)))
        audit->applied = sink->acknowledged;
    if (sink->acknowledged > audit->head)
        cfa__audit_numbers(audit, CFA__AUDIT_LOG_CURSOR, &place, "acknowledged", audit->head,
                           sink->acknowledged);
}

static cfa_status read_head(cfa__audit *audit) {
    cfa__event key;
    memset(&key, 0, sizeof key);
    cfa_query query = {
        .kind = &cfa__event_kind, .flags = CFA_QUERY_DESCENDING, .limit = 1, .key = &key
    };
    cfa_status status = audit->storage->ops->load(audit->session, &query, 1, audit->scratch);
    if (status == CFA_OK && query.count == 1)
        audit->head = ((const cfa__event *)query.records[0])->position;
    return status;
}

static cfa_status read_small(cfa__audit *audit, const cfa_kind *kind) {
    cfa__stream stream;
    const void *record = NULL;
    cfa_status status = cfa__stream_open(&stream, audit, kind, 0, 0, NULL);
    while (status == CFA_OK) {
        status = cfa__stream_peek(&stream, &record);
        if (status != CFA_OK || record == NULL)
            break;
        if (kind == &cfa__sink_kind)
            check_cursor(audit, record);
        else
            cfa__feed(audit, kind, record);
        audit->staged = audit->staged || kind == &cfa__staged_kind;
        cfa__stream_skip(&stream);
    }
    cfa__stream_close(&stream);
    return status;
}

static cfa_status read_book(cfa__audit *audit) {
    bool whole = cfa__id_is_null(audit->campaign_id);
    cfa_status status = read_head(audit);
    if (status == CFA_OK)
        status = read_small(audit, &cfa__sink_kind);
    if (status == CFA_OK)
        status = read_small(audit, &cfa__staged_kind);
    if (status == CFA_OK)
        status = cfa__audit_campaigns(audit);
    if (status == CFA_OK)
        status = cfa__audit_payments(audit);
    if (status == CFA_OK && whole)
        status = cfa__audit_log(audit);
    if (status == CFA_OK && whole)
        status = cfa__audit_acts(audit);
    if (status == CFA_OK && whole)
        status = cfa__audit_rows(audit);
    if (status == CFA_OK)
        status = cfa__audit_totals(audit);
    if (status == CFA_OK)
        status = audit->status;
    if (status == CFA_OK)
        status = cfa__tally_resolve(audit);
    if (status == CFA_OK && whole)
        status = cfa__audit_provider(audit);
    if (status != CFA_OK)
        return status;
    cfa__audit_judge(audit);
    return cfa__audit_chains(audit);
}

static cfa_status run(cfa_audit **out, cfa__audit *audit) {
    const cfa_storage_ops *ops = audit->storage->ops;
    int64_t now_us;
    cfa_status status = ops->session_open(audit->storage->self, CFA_SESSION_READ, &audit->session);
    if (status != CFA_OK)
        return status;
    status = ops->begin(audit->session, CFA_SESSION_READ, BEGIN_MS, &now_us);
    if (status == CFA_OK) {
        status = read_book(audit);
        if (status == CFA_OK)
            status = cfa__audit_report(out, audit);
        ops->rollback(audit->session);
    }
    ops->session_close(audit->session);
    return status;
}

cfa_status cfa__audit_run(cfa_audit **out, const cfa_storage *storage, const cfa_audit_spec *spec) {
    cfa__audit *audit = cfa_alloc(sizeof *audit);
    if (audit == NULL)
        return cfa_error_set(CFA_ENOMEM, "core.audit", NULL, 0, "out of memory");
    memset(audit, 0, sizeof *audit);
    audit->storage = storage;
    audit->spec = spec;
    cfa_status status = CFA_OK;
    if (spec->campaign_id != NULL)
        status = cfa__id_parse(&audit->campaign_id, "cmp", spec->campaign_id, "campaign_id");
    if (status == CFA_OK && spec->campaign_id != NULL && cfa__id_is_null(audit->campaign_id))
        status = cfa__audit_no_campaign();
    if (status == CFA_OK)
        status = cfa__random(audit->hash_key, sizeof audit->hash_key);
    if (status == CFA_OK)
        status = cfa_arena_new(&audit->arena);
    if (status == CFA_OK)
        status = cfa_arena_new(&audit->scratch);
    if (status == CFA_OK)
        status = cfa__tally_open(audit);
    if (status == CFA_OK)
        status = run(out, audit);
    cfa_reconciliation_free(audit->record);
    cfa__tally_close(audit);
    cfa_free(audit->sums);
    cfa_arena_free(audit->scratch);
    cfa_arena_free(audit->arena);
    cfa_free(audit);
    return status;
}
