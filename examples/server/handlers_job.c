/*
 * handlers_job.c - audits and reconciliations of the book in use, for the service alone: a request
 * begins one, others read what became of it.
 */
#include "app.h"
#include "body.h"
#include "handlers.h"
#include "header.h"
#include "problem.h"
#include "upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void refuse_busy(http_request *request, job_kind busy) {
    problem_http(request, PROBLEM_JOB_RUNNING, NULL, "%s runs already",
                 busy == JOB_AUDIT ? "an audit" : "a reconciliation");
    snprintf(request->answer.location, sizeof request->answer.location, "%s", places[busy]);
}

/* False: nothing was begun, and a record is still the caller's. */
static bool begin(http_request *request, const job_order *order) {
    job_kind busy = order->kind;
    switch (jobs_begin(request->app->jobs, order, &busy)) {
    case JOB_BEGUN: break;
    case JOB_BUSY: refuse_busy(request, busy); return false;
    case JOB_ENDING:
        problem_status(request, 0, CFA_ECLOSING, NULL, "the server is closing; nothing was begun");
        return false;
    case JOB_NO_THREAD:
        problem_status(request, 0, CFA_EQUEUE, NULL, "there is no thread; nothing was begun");
        return false;
    }
    snprintf(request->answer.location, sizeof request->answer.location, "%s", places[order->kind]);
    answer_latest(request, 202, order->kind);
    return true;
}

/* ---- audits --------------------------------------------------------------------------------- */

void handle_audit_begin(http_request *request) {
    job_order order;
    memset(&order, 0, sizeof order);
    order.kind = JOB_AUDIT;
    (void)begin(request, &order);
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

static bool read_actor(http_request *request, job_order *out) {
    const char *actor = NULL, *reason = NULL;
    return header_actor(request, &actor, &reason) &&
           copy_header(request, "Careforall-Actor", actor, out->actor, sizeof out->actor) &&
           copy_header(request, "Careforall-Reason", reason, out->reason, sizeof out->reason);
}

static bool read_order(http_request *request, job_order *out) {
    const char *from = NULL, *until = NULL;
    const body_field fields[] = {
        { "from", BODY_TEXT, true, &from },
        { "until", BODY_TEXT, false, &until },
        { "repair", BODY_BOOLEAN, false, &out->repair },
        { "all_ours", BODY_BOOLEAN, false, &out->all_ours },
    };
    out->kind = JOB_RECONCILIATION;
    return read_actor(request, out) &&
           body_read(request, request->json, "", fields, sizeof fields / sizeof fields[0]) &&
           read_time(request, "from", from, &out->from_us) &&
           read_time(request, "until", until, &out->until_us);
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
        (void)begin(request, order);
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

/* ---- with the provider's exported file ------------------------------------------------------ */

#ifdef SERVER_STRIPE
static const bool reads_records = true;
#else
static const bool reads_records = false;
#endif

static bool read_flag(http_request *request, const char *name, bool *out) {
    int64_t value = 0;
    bool good = header_query_number(request, name, 0, 1, 0, &value);
    *out = value == 1;
    return good;
}

/* As the command's flags: both ends of the time, or none. */
static bool read_record_window(http_request *request, job_order *out) {
    const char *from = http_query(request, "from"), *until = http_query(request, "until");
    if (!from != !until)
        problem_http(request, PROBLEM_BAD_QUERY, from ? "until" : "from",
                     "from and until belong together");
    else if (read_time(request, "from", from, &out->from_us) &&
             read_time(request, "until", until, &out->until_us) &&
             (out->from_us < 0 || out->from_us > out->until_us))
        problem_status(request, 0, CFA_EINVAL, "until", "the time ends before it begins");
    return !request->answered;
}

/* All that can be refused is refused before the file is sent. */
static bool prepare_record(http_request *request, job_kind kind) {
    job_kind busy;
    if (!reads_records) {
        problem_status(request, 409, CFA_ENOTSUP, NULL,
                       "this server was built without Stripe, whose files these are");
        return false;
    }
    job_order *order = http_input(request, sizeof *order);
    if (!order || !read_record_window(request, order) ||
        !read_flag(request, "all_ours", &order->all_ours) ||
        !read_flag(request, "repair", &order->repair) || !read_actor(request, order))
        return false;
    order->kind = kind;
    order->has_record = true;
    if (jobs_busy(request->app->jobs, &busy)) {
        refuse_busy(request, busy);
        return false;
    }
    return upload_begin(request);
}

bool prepare_audit_record(http_request *request) { return prepare_record(request, JOB_AUDIT); }

bool prepare_reconciliation_record(http_request *request) {
    return prepare_record(request, JOB_RECONCILIATION);
}

static void run_record(http_request *request) {
    job_order *order = request->input;
    order->record = upload_finish(request);
    if (order->record >= 0 && !begin(request, order))
        close(order->record);
}

void handle_record(http_request *request) {
    request->settle = upload_end;
    http_offload(request, run_record);
}
