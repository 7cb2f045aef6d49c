/*
 * handlers_job.c - audits and reconciliations of the book in use, for the service alone: a request
 * begins one, others read what became of it.
 */
#include "app.h"
#include "body.h"
#include "handlers.h"
#include "header.h"
#include "problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const places[JOB_KINDS] = {
    [JOB_AUDIT] = "/api/v1/admin/audits/latest",
    [JOB_RECONCILIATION] = "/api/v1/admin/reconciliations/latest",
};

static void answer_latest(http_request *request, int status, job_kind kind) {
    char *text = NULL;
    if (!jobs_latest(request->app->jobs, kind, &text))
        problem_status(request, 0, CFA_ENOTFOUND, NULL, "none was begun since this server started");
    else if (!text)
        problem_status(request, 0, CFA_ENOMEM, NULL, "out of memory");
    else
        http_answer_bytes(request, status, text, strlen(text));
    free(text);
}

static void begin(http_request *request, const job_order *order) {
    job_kind busy = order->kind;
    switch (jobs_begin(request->app->jobs, order, &busy)) {
    case JOB_BEGUN: break;
    case JOB_BUSY:
        problem_http(request, PROBLEM_JOB_RUNNING, NULL, "%s runs already",
                     busy == JOB_AUDIT ? "an audit" : "a reconciliation");
        snprintf(request->answer.location, sizeof request->answer.location, "%s", places[busy]);
        return;
    case JOB_ENDING:
        problem_status(request, 0, CFA_ECLOSING, NULL, "the server is closing; nothing was begun");
        return;
    case JOB_NO_THREAD:
        problem_status(request, 0, CFA_EQUEUE, NULL, "there is no thread; nothing was begun");
        return;
    }
    snprintf(request->answer.location, sizeof request->answer.location, "%s", places[order->kind]);
    answer_latest(request, 202, order->kind);
}

/* ---- audits --------------------------------------------------------------------------------- */

void handle_audit_begin(http_request *request) {
    job_order order;
    memset(&order, 0, sizeof order);
    order.kind = JOB_AUDIT;
    begin(request, &order);
}

static void run_audit_latest(http_request *request) { answer_latest(request, 200, JOB_AUDIT); }

void handle_audit_latest(http_request *request) { http_offload(request, run_audit_latest); }

/* ---- reconciliations ------------------------------------------------------------------------ */

static bool read_time(http_request *request, const char *field, const char *text, int64_t *out) {
    if (!text || body_parse_time(text, out))
        return true;
    problem_status(request, 0, CFA_EINVAL, field,
                   "give an RFC 3339 time with its zone, such as 2030-12-31T23:59:59Z");
    return false;
}

static bool copy_header(http_request *request, const char *name, const char *text, char *out,
                        size_t size) {
    if (text && strlen(text) >= size) {
        problem_status(request, 0, CFA_ETOOLONG, name, "at most %d bytes", (int)size - 1);
        return false;
    }
    snprintf(out, size, "%s", text ? text : "");
    return true;
}

static bool read_order(http_request *request, job_order *out) {
    const char *from = NULL, *until = NULL, *actor = NULL, *reason = NULL;
    const body_field fields[] = {
        { "from", BODY_TEXT, true, &from },
        { "until", BODY_TEXT, false, &until },
        { "repair", BODY_BOOLEAN, false, &out->repair },
        { "all_ours", BODY_BOOLEAN, false, &out->all_ours },
    };
    out->kind = JOB_RECONCILIATION;
    return header_actor(request, &actor, &reason) &&
           body_read(request, request->json, "", fields, sizeof fields / sizeof fields[0]) &&
           read_time(request, "from", from, &out->from_us) &&
           read_time(request, "until", until, &out->until_us) &&
           copy_header(request, "Careforall-Actor", actor, out->actor, sizeof out->actor) &&
           copy_header(request, "Careforall-Reason", reason, out->reason, sizeof out->reason);
}

/* What the library would refuse at once is refused here: opening its list asks nothing of the
 * provider. */
static void run_reconciliation_begin(http_request *request) {
    const job_order *order = request->input;
    cfa_reconcile_listing *listing = NULL;
    cfa_reconcile_live_spec spec = CFA_RECONCILE_LIVE_SPEC_INIT;
    spec.from_us = order->from_us;
    spec.until_us = order->until_us;
    cfa_status status = cfa_reconcile_listing_open(&listing, request->app->engine, &spec);
    cfa_reconcile_listing_free(listing);
    if (status == CFA_OK)
        begin(request, order);
    else if (status == CFA_ENOTSUP)
        problem_status(request, 409, status, NULL, "%s", app_last_error().message);
    else
        problem_last(request, status);
}

void handle_reconciliation_begin(http_request *request) {
    job_order *order = http_input(request, sizeof *order);
    if (order && read_order(request, order))
        http_offload(request, run_reconciliation_begin);
}

static void run_reconciliation_latest(http_request *request) {
    answer_latest(request, 200, JOB_RECONCILIATION);
}

void handle_reconciliation_latest(http_request *request) {
    http_offload(request, run_reconciliation_latest);
}
