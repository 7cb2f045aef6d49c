/*
 * chain.c - what a finding comes from, from its campaign's total down to the webhook or call that
 * brought the newest fact. The log has no index by payment: it is read once more, for all findings
 * together, and only when there are any.
 */
#include "core/audit/audit.h"

#include <stdio.h>
#include <string.h>

#include "core/decide/decide.h"
#include "core/decide/event_registry.h"

struct wanted {
    cfa__finding *findings[CFA__AUDIT_CHAINS_MAX];
    size_t count;
    bool of_log; /* some payment's newest event is not known */
};

static void choose(cfa__audit *audit, struct wanted *wanted) {
    for (int32_t check = 0; check < CFA__AUDIT_CHECKS; check++) {
        int64_t count = audit->counts[check];
        for (int64_t i = 0; i < count && i < CFA__AUDIT_FINDINGS_MAX; i++) {
            cfa__finding *finding = &audit->findings[check][i];
            if (wanted->count == CFA__AUDIT_CHAINS_MAX || finding->dropped)
                continue;
            wanted->findings[wanted->count++] = finding;
            wanted->of_log = wanted->of_log || !cfa__id_is_null(finding->place.payment_id);
        }
    }
}

/* ---- the log --------------------------------------------------------------------------------- */

static cfa_status read_log(cfa__audit *audit, struct wanted *wanted) {
    cfa__stream stream;
    const void *record = NULL;
    int64_t rows = audit->rows[cfa__event_kind.id];
    cfa_status status = cfa__stream_open(&stream, audit, &cfa__event_kind, 0, 0, NULL);
    while (status == CFA_OK && wanted->of_log) {
        status = cfa__stream_peek(&stream, &record);
        if (status != CFA_OK || record == NULL)
            break;
        const cfa__event *event = record;
        for (size_t i = 0; i < wanted->count; i++) {
            if (cfa__id_compare(wanted->findings[i]->place.payment_id, event->subject_id) == 0)
                wanted->findings[i]->newest = event->position;
        }
        cfa__stream_skip(&stream);
    }
    cfa__stream_close(&stream);
    audit->rows[cfa__event_kind.id] = rows;
    return status;
}

static cfa_status event_at(cfa__audit *audit, int64_t position, const cfa__event **out) {
    cfa__event key;
    const void *found = NULL;
    memset(&key, 0, sizeof key);
    key.position = position;
    cfa_status status = cfa__audit_get(audit, audit->scratch, &cfa__event_kind, &key, &found);
    *out = found;
    return status;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static char *next_line(cfa__audit *audit, cfa__finding *finding) {
    if (finding->chain == NULL)
        finding->chain =
            cfa_arena_alloc(audit->arena, CFA__AUDIT_CHAIN_MAX * sizeof *finding->chain);
    if (finding->chain == NULL || finding->chain_count == CFA__AUDIT_CHAIN_MAX)
        return NULL;
    return finding->chain[finding->chain_count++];
}

static cfa_status tell_total(cfa__audit *audit, cfa__finding *finding, cfa__id campaign_id,
                             const char *currency) {
    cfa__totals key;
    const void *found;
    char id[CFA_ID_TEXT_SIZE];
    memset(&key, 0, sizeof key);
    key.campaign_id = campaign_id;
    memcpy(key.currency, currency, sizeof key.currency);
    cfa_status status = cfa__audit_get(audit, audit->scratch, &cfa__totals_kind, &key, &found);
    char *line = status == CFA_OK ? next_line(audit, finding) : NULL;
    if (line == NULL)
        return status;
    const cfa__totals *row = found;
    cfa__id_format(id, "cmp", campaign_id);
    if (row == NULL)
        snprintf(line, CFA__AUDIT_TEXT_SIZE, "total of %s in %.3s: no row", id, currency);
    else
        snprintf(line, CFA__AUDIT_TEXT_SIZE,
                 "total of %s in %.3s: raised %lld, refunded %lld, disputed %lld, position %lld",
                 id, currency, (long long)row->raised_minor, (long long)row->refunded_minor,
                 (long long)row->disputed_minor, (long long)row->position);
    return CFA_OK;
}

static cfa_status tell_contribution(cfa__audit *audit, cfa__finding *finding, cfa__id payment_id) {
    const void *found;
    cfa_status status =
        cfa__audit_get_id(audit, audit->scratch, &cfa__contribution_kind, payment_id, &found);
    char *line = status == CFA_OK ? next_line(audit, finding) : NULL;
    if (line == NULL)
        return status;
    const cfa__contribution *row = found;
    if (row == NULL)
        snprintf(line, CFA__AUDIT_TEXT_SIZE, "contribution: no row");
    else
        snprintf(line, CFA__AUDIT_TEXT_SIZE,
                 "contribution: sequence %lld, %s, pledged %lld, authorized %lld, raised %lld",
                 (long long)row->sequence, cfa_payment_state_name((cfa_payment_state)row->state),
                 (long long)row->pledged_minor, (long long)row->authorized_minor,
                 (long long)row->raised_minor);
    return CFA_OK;
}

static void tell_payment(cfa__audit *audit, cfa__finding *finding, cfa__id payment_id,
                         const cfa__payment *payment) {
    char id[CFA_ID_TEXT_SIZE];
    char *line = next_line(audit, finding);
    cfa__id_format(id, "pay", payment_id);
    if (line != NULL && payment == NULL)
        snprintf(line, CFA__AUDIT_TEXT_SIZE, "payment %s: no row", id);
    else if (line != NULL)
        snprintf(line, CFA__AUDIT_TEXT_SIZE,
                 "payment %s: sequence %lld, %s, asked %lld %s, captured %lld", id,
                 (long long)payment->sequence,
                 cfa_payment_state_name((cfa_payment_state)payment->state),
                 (long long)payment->amount_minor, payment->currency,
                 (long long)payment->captured_minor);
}

static void tell_event(cfa__audit *audit, cfa__finding *finding, const cfa__event *event) {
    char *line = event != NULL ? next_line(audit, finding) : NULL;
    const char *type = event != NULL ? cfa__event_type_name((cfa__event_type)event->type) : NULL;
    if (line != NULL)
        snprintf(line, CFA__AUDIT_TEXT_SIZE, "event at position %lld: sequence %lld, %s",
                 (long long)event->position, (long long)event->sequence,
                 type != NULL ? type : "unknown type");
}

static cfa_status tell_webhook(cfa__audit *audit, cfa__finding *finding, cfa__id payment_id) {
    cfa__webhook key;
    char id[CFA_ID_TEXT_SIZE];
    memset(&key, 0, sizeof key);
    key.payment_id = payment_id;
    cfa_query query = { .kind = &cfa__webhook_kind,
                        .index = CFA__WEBHOOK_BY_PAYMENT,
                        .match_count = 1,
                        .flags = CFA_QUERY_DESCENDING,
                        .limit = 1,
                        .key = &key };
    cfa_status status = audit->storage->ops->load(audit->session, &query, 1, audit->scratch);
    char *line = status == CFA_OK && query.count == 1 ? next_line(audit, finding) : NULL;
    if (line == NULL)
        return status;
    const cfa__webhook *row = query.records[0];
    cfa__id_format(id, "whk", row->id);
    snprintf(line, CFA__AUDIT_TEXT_SIZE, "newest webhook %s: %.*s, %.*s, %s", id,
             (int)(row->event_id.size < 40 ? row->event_id.size : 40),
             row->event_id.size > 0 ? (const char *)row->event_id.data : "",
             (int)(row->event_type.size < 40 ? row->event_type.size : 40),
             row->event_type.size > 0 ? (const char *)row->event_type.data : "",
             cfa_webhook_verdict_name((cfa_webhook_verdict)row->verdict));
    return CFA_OK;
}

static const char *call_name(int64_t call) {
    static const char *const names[] = { "?",        "create", "capture", "cancel",
                                         "retrieve", "lookup", "refund" };
    return call > 0 && call < (int64_t)(sizeof names / sizeof names[0]) ? names[call] : names[0];
}

/* The newest call that is not the standing probe's. */
static cfa_status tell_operation(cfa__audit *audit, cfa__finding *finding, cfa__id payment_id) {
    cfa__operation key;
    memset(&key, 0, sizeof key);
    key.payment_id = payment_id;
    cfa_query query = { .kind = &cfa__operation_kind,
                        .match_count = 1,
                        .flags = CFA_QUERY_DESCENDING,
                        .limit = CFA__OPERATIONS_PER_PAYMENT_MAX,
                        .key = &key };
    cfa_status status = audit->storage->ops->load(audit->session, &query, 1, audit->scratch);
    int32_t at = 0;
    while (status == CFA_OK && at < query.count &&
           ((const cfa__operation *)query.records[at])->call == CFA_CALL_RETRIEVE)
        at++;
    char *line = status == CFA_OK && at < query.count ? next_line(audit, finding) : NULL;
    if (line == NULL)
        return status;
    const cfa__operation *row = query.records[at];
    char id[CFA_ID_TEXT_SIZE];
    cfa__id_format(id, "pay", payment_id);
    snprintf(line, CFA__AUDIT_TEXT_SIZE, "newest call %s/%lld: %s, attempt %lld, tries %lld", id,
             (long long)row->number, call_name(row->call), (long long)row->attempt,
             (long long)row->tries);
    return CFA_OK;
}

static cfa_status tell(cfa__audit *audit, cfa__finding *finding) {
    cfa__place *place = &finding->place;
    const cfa__event *event = NULL;
    const void *payment = NULL;
    cfa_status status = CFA_OK;
    cfa_arena_reset(audit->scratch);
    int64_t position = finding->newest != 0 ? finding->newest : place->position;
    if (position != 0)
        status = event_at(audit, position, &event);
    cfa__id payment_id = place->payment_id;
    if (cfa__id_is_null(payment_id) && event != NULL && event->subject_kind == cfa__payment_kind.id)
        payment_id = event->subject_id;
    if (status == CFA_OK && !cfa__id_is_null(payment_id))
        status = cfa__audit_get_id(audit, audit->scratch, &cfa__payment_kind, payment_id, &payment);
    const cfa__payment *row = payment;
    if (row != NULL && cfa__id_is_null(place->campaign_id)) {
        place->campaign_id = row->campaign_id;
        memcpy(place->currency, row->currency, sizeof place->currency);
    }
    if (status == CFA_OK && place->currency[0] != '\0')
        status = tell_total(audit, finding, place->campaign_id, place->currency);
    if (status == CFA_OK && !cfa__id_is_null(payment_id)) {
        status = tell_contribution(audit, finding, payment_id);
        tell_payment(audit, finding, payment_id, payment);
    }
    tell_event(audit, finding, event);
    if (status == CFA_OK && !cfa__id_is_null(payment_id))
        status = tell_webhook(audit, finding, payment_id);
    if (status == CFA_OK && !cfa__id_is_null(payment_id))
        status = tell_operation(audit, finding, payment_id);
    return status;
}

cfa_status cfa__audit_chains(cfa__audit *audit) {
    struct wanted wanted = { .count = 0 };
    choose(audit, &wanted);
    cfa_status status = CFA_OK;
    if (wanted.of_log)
        status = read_log(audit, &wanted);
    for (size_t i = 0; i < wanted.count && status == CFA_OK; i++)
        status = tell(audit, wanted.findings[i]);
    return status;
}
