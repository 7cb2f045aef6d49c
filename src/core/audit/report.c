/*
 * report.c - what an audit found, as a snapshot of its own: rows to walk through, JSON for programs,
 * text for people.
 */
#include "core/audit/audit.h"

#include <stdio.h>
#include <string.h>

#include "core/decide/evidence.h"
#include "core/reconcile/reconcile.h"

struct cfa_audit {
    cfa_arena *arena;
    int64_t differences, position, applied;
    int64_t rows[32];
    cfa_audit_finding *findings;
    size_t size;
    const char *json, *text;
    bool failed; /* no memory */
};

/* ---- making ---------------------------------------------------------------------------------- */

static const char *copy(cfa_audit *report, const char *text) {
    const char *kept = cfa_arena_copy(report->arena, text, strlen(text));
    report->failed = report->failed || kept == NULL;
    return kept;
}

static const char *copy_id(cfa_audit *report, const char *prefix, cfa__id id) {
    char text[CFA_ID_TEXT_SIZE];
    cfa__id_format(text, prefix, id);
    return copy(report, text);
}

static bool fill(cfa_audit *report, cfa_audit_finding *out, const cfa__finding *finding) {
    const cfa__place *place = &finding->place;
    const char **causes =
        cfa_arena_alloc(report->arena, ((size_t)finding->chain_count + 1) * sizeof *causes);
    if (causes == NULL)
        return false;
    for (int32_t i = 0; i < finding->chain_count; i++)
        causes[i] = copy(report, finding->chain[i]);
    *out = (cfa_audit_finding){
        .struct_size = sizeof *out,
        .check = cfa__audit_check_name(finding->check),
        .severity = cfa__audit_severity(finding->check),
        .rule = cfa__audit_rule(finding->check),
        .subject = copy(report, finding->subject),
        .expected = copy(report, finding->expected),
        .found = copy(report, finding->found),
        .causes = causes,
        .cause_count = (size_t)finding->chain_count,
    };
    if (!cfa__id_is_null(place->payment_id))
        out->payment_id = copy_id(report, "pay", place->payment_id);
    if (!cfa__id_is_null(place->campaign_id))
        out->campaign_id = copy_id(report, "cmp", place->campaign_id);
    if (finding->field[0] != '\0')
        out->field = copy(report, finding->field);
    return !report->failed;
}

static bool take_findings(cfa_audit *report, const cfa__audit *audit) {
    size_t size = 0;
    for (int32_t check = 0; check < CFA__AUDIT_CHECKS; check++) {
        int64_t count = audit->counts[check];
        report->differences += count - audit->dropped[check];
        size += (size_t)(count < CFA__AUDIT_FINDINGS_MAX ? count : CFA__AUDIT_FINDINGS_MAX);
    }
    report->findings = cfa_arena_alloc(report->arena, (size + 1) * sizeof *report->findings);
    bool good = report->findings != NULL;
    for (int32_t check = 0; check < CFA__AUDIT_CHECKS && good; check++) {
        for (int64_t i = 0; i < audit->counts[check] && i < CFA__AUDIT_FINDINGS_MAX && good; i++) {
            const cfa__finding *finding = &audit->findings[check][i];
            if (!finding->dropped)
                good = fill(report, &report->findings[report->size++], finding);
        }
    }
    return good;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void write_finding(cfa__buffer *json, const cfa_audit_finding *finding) {
    cfa__json_open(json, NULL, '{');
    cfa__json_text(json, "check", finding->check);
    cfa__json_text(json, "severity", finding->severity == CFA_AUDIT_ERROR ? "error" : "warning");
    cfa__json_text(json, "rule", finding->rule);
    cfa__json_text(json, "subject", finding->subject);
    cfa__json_text(json, "payment_id", finding->payment_id);
    cfa__json_text(json, "campaign_id", finding->campaign_id);
    cfa__json_text(json, "field", finding->field);
    cfa__json_text(json, "expected", finding->expected);
    cfa__json_text(json, "found", finding->found);
    cfa__json_open(json, "causes", '[');
    for (size_t i = 0; i < finding->cause_count; i++)
        cfa__json_text(json, NULL, finding->causes[i]);
    cfa__json_close(json, ']');
    cfa__json_close(json, '}');
}

/* The reconciliation whole; or why there is none. */
static void write_record(cfa__buffer *json, const cfa__audit *audit) {
    if (audit->record != NULL)
        cfa__json_raw(json, "record", cfa__slice(cfa_reconciliation_json(audit->record)));
    else
        cfa__json_text(json, "record", NULL);
    cfa__json_text(json, "record_problem",
                   audit->record_problem[0] != '\0' ? audit->record_problem : NULL);
}

static cfa_status write_json(cfa_audit *report, const cfa__audit *audit) {
    cfa__buffer json;
    cfa_slice out;
    cfa__buffer_init(&json, report->arena, 4096);
    cfa__json_open(&json, NULL, '{');
    cfa__json_bool(&json, "clean", report->differences == 0);
    cfa__json_int(&json, "differences", report->differences);
    cfa__json_int(&json, "position", report->position);
    cfa__json_int(&json, "applied", report->applied);
    cfa__json_open(&json, "rows", '{');
    for (int32_t i = 0; i < cfa__schema.kind_count; i++) {
        const cfa_kind *kind = cfa__schema.kinds[i];
        if (report->rows[kind->id] > 0)
            cfa__json_int(&json, kind->name, report->rows[kind->id]);
    }
    cfa__json_close(&json, '}');
    cfa__json_open(&json, "findings", '[');
    for (size_t i = 0; i < report->size; i++)
        write_finding(&json, &report->findings[i]);
    cfa__json_close(&json, ']');
    write_record(&json, audit);
    cfa__json_close(&json, '}');
    cfa_status status = cfa__buffer_finish(&json, &out);
    report->json = out.data;
    return status;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void write_line(cfa__buffer *text, const char *first, const char *second) {
    cfa__buffer_text(text, first);
    cfa__buffer_text(text, second);
}

static void write_found(cfa__buffer *text, size_t number, const cfa_audit_finding *finding) {
    cfa__buffer_int(text, (int64_t)number);
    write_line(text, ". ", finding->check);
    write_line(text, finding->severity == CFA_AUDIT_ERROR ? "  " : " (warning)  ",
               finding->subject);
    if (finding->field != NULL)
        write_line(text, "  ", finding->field);
    write_line(text, ": expected ", finding->expected);
    write_line(text, ", found ", finding->found);
    write_line(text, "\n   rule: ", finding->rule);
    for (size_t i = 0; i < finding->cause_count; i++)
        write_line(text, i == 0 ? "\n   from: " : "\n         ", finding->causes[i]);
    cfa__buffer_text(text, "\n");
}

static cfa_status write_text(cfa_audit *report, const cfa__audit *audit) {
    cfa__buffer text;
    cfa_slice out;
    cfa__buffer_init(&text, report->arena, 4096);
    if (report->differences == 0) {
        cfa__buffer_text(&text, "audit: clean");
    } else {
        cfa__buffer_text(&text, "audit: ");
        cfa__buffer_int(&text, report->differences);
        cfa__buffer_text(&text, report->differences == 1 ? " difference" : " differences");
        if ((int64_t)report->size < report->differences) {
            cfa__buffer_text(&text, ", ");
            cfa__buffer_int(&text, (int64_t)report->size);
            cfa__buffer_text(&text, " listed");
        }
    }
    cfa__buffer_text(&text, "; ");
    cfa__buffer_int(&text, report->rows[cfa__payment_kind.id]);
    cfa__buffer_text(&text, " payments, ");
    cfa__buffer_int(&text, report->rows[cfa__event_kind.id]);
    cfa__buffer_text(&text, " events, up to position ");
    cfa__buffer_int(&text, report->position);
    if (report->applied < report->position) {
        cfa__buffer_text(&text, ", totals up to ");
        cfa__buffer_int(&text, report->applied);
    }
    cfa__buffer_text(&text, "\n");
    for (size_t i = 0; i < report->size; i++)
        write_found(&text, i + 1, &report->findings[i]);
    if (audit->record != NULL) {
        cfa__buffer_text(&text, "record: ");
        cfa__reconciliation_write_scope(&text, audit->record);
    } else if (audit->record_problem[0] != '\0') {
        write_line(&text, "record: not compared: ", audit->record_problem);
        cfa__buffer_text(&text, "\n");
    }
    cfa_status status = cfa__buffer_finish(&text, &out);
    report->text = out.data;
    return status;
}

cfa_status cfa__audit_report(cfa_audit **out, cfa__audit *audit) {
    cfa_audit *report = cfa_alloc(sizeof *report);
    if (report == NULL)
        return cfa_error_set(CFA_ENOMEM, "core.audit", NULL, 0, "out of memory");
    memset(report, 0, sizeof *report);
    report->position = audit->head;
    report->applied = audit->applied;
    memcpy(report->rows, audit->rows, sizeof report->rows);
    cfa_status status = cfa_arena_new(&report->arena);
    if (status == CFA_OK && !take_findings(report, audit))
        status = CFA_ENOMEM;
    if (status == CFA_OK)
        status = write_json(report, audit);
    if (status == CFA_OK)
        status = write_text(report, audit);
    if (status != CFA_OK) {
        cfa_audit_free(report);
        return status;
    }
    *out = report;
    return CFA_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

int64_t cfa_audit_differences(const cfa_audit *audit) { return audit->differences; }
int64_t cfa_audit_position(const cfa_audit *audit) { return audit->position; }
size_t cfa_audit_size(const cfa_audit *audit) { return audit->size; }
const char *cfa_audit_json(const cfa_audit *audit) { return audit->json; }
const char *cfa_audit_text(const cfa_audit *audit) { return audit->text; }

int64_t cfa_audit_rows(const cfa_audit *audit, const char *table) {
    for (int32_t i = 0; table != NULL && i < cfa__schema.kind_count; i++) {
        if (strcmp(cfa__schema.kinds[i]->name, table) == 0)
            return audit->rows[cfa__schema.kinds[i]->id];
    }
    return 0;
}

const cfa_audit_finding *cfa_audit_at(const cfa_audit *audit, size_t index) {
    return index < audit->size ? &audit->findings[index] : NULL;
}

void cfa_audit_free(cfa_audit *audit) {
    if (audit == NULL)
        return;
    cfa_arena_free(audit->arena);
    cfa_free(audit);
}
