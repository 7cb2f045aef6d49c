/*
 * jobs.c - the thread of long work and what is known of it. The thread works on an order that
 * nobody changes and publishes its result under the lock, at its end; results live as long as the
 * process.
 */
#include "jobs.h"
#include "app.h"
#include "log.h"
#include "problem.h"
#include "record_file.h"
#include "view.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORD_MS = 30000, REPAIR_MS = 30000 };

typedef enum job_state { JOB_NONE, JOB_RUNNING, JOB_FINISHED, JOB_FAILED } job_state;

typedef struct job_result {
    cfa_status status;
    char message[256]; /* of a failure */
    int64_t differences, repaired;
    int64_t objects, foreign; /* that the provider listed */
    char *report;             /* JSON; NULL: it came to none */
} job_result;

typedef struct job_record {
    job_order order;
    job_state state;
    int64_t number, began_us, ended_us;
    job_result result;
} job_record;

struct server_jobs {
    cfa_engine *engine;
    uv_mutex_t lock;
    uv_cond_t changed;
    uv_thread_t thread;
    bool has_thread; /* not joined yet */
    bool ending;
    bool live_failed;
    job_record *running; /* NULL: none */
    int64_t count;
    job_record newest[JOB_KINDS];
    atomic_bool stopped;
    atomic_llong rows; /* that the running audit has read */
};

/* ---- the work ------------------------------------------------------------------------------- */

static int32_t stop_audit(void *self, int64_t rows) {
    server_jobs *jobs = self;
    atomic_store(&jobs->rows, (long long)rows);
    return atomic_load(&jobs->stopped);
}

static int32_t stop_listing(void *self) { return atomic_load(&((server_jobs *)self)->stopped); }

static void fail(job_result *out, cfa_status status) {
    out->status = status;
    snprintf(out->message, sizeof out->message, "%s", app_last_error().message);
}

static void keep_report(job_result *out, const char *report) {
    out->report = strdup(report);
    if (!out->report) {
        out->status = CFA_ENOMEM;
        snprintf(out->message, sizeof out->message, "out of memory for the report");
    }
}

/* ---- the provider's exported file ----------------------------------------------------------- */

typedef struct record_reader {
    server_jobs *jobs;
    record_file file;
    cfa_reconcile_spec spec; /* the file's, until the server closes */
} record_reader;

static cfa_status next_of_record(void *self, cfa_reconcile_object *out) {
    record_reader *reader = self;
    const cfa_reconcile_spec *file = &reader->file.spec;
    return atomic_load(&reader->jobs->stopped) ? CFA_ECLOSING : file->next(file->next_self, out);
}

/* The file has no name: the descriptor stands for one. */
static cfa_status record_open(record_reader *out, server_jobs *jobs, const job_order *order) {
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", order->record);
    cfa_status status = record_file_read(&out->file, path);
    out->jobs = jobs;
    out->spec = out->file.spec;
    out->spec.next = next_of_record;
    out->spec.next_self = out;
    out->spec.from_us = order->from_us;
    out->spec.until_us = order->until_us;
    out->spec.all_ours = order->all_ours;
    return status;
}

/* ---- audits --------------------------------------------------------------------------------- */

static cfa_status audit_with(cfa_audit **out, server_jobs *jobs, const cfa_reconcile_spec *record) {
    cfa_audit_spec spec = CFA_AUDIT_SPEC_INIT;
    spec.record = record;
    spec.stop = stop_audit;
    spec.stop_self = jobs;
    return cfa_audit_engine(out, jobs->engine, &spec);
}

static void run_audit(server_jobs *jobs, const job_order *order, job_result *out) {
    cfa_audit *audit = NULL;
    record_reader reader;
    cfa_status status = order->has_record ? record_open(&reader, jobs, order) : CFA_OK;
    if (status == CFA_OK)
        status = audit_with(&audit, jobs, order->has_record ? &reader.spec : NULL);
    if (order->has_record)
        record_file_close(&reader.file);
    if (status != CFA_OK) {
        fail(out, status);
        return;
    }
    out->differences = cfa_audit_differences(audit);
    keep_report(out, cfa_audit_json(audit));
    cfa_audit_free(audit);
}

/* ---- reconciliations ------------------------------------------------------------------------ */

/* As the command does: compare, tell the book what it can be told, and compare again. */
static cfa_status compare_record(cfa_reconciliation **out, int64_t *out_repaired, server_jobs *jobs,
                                 const job_order *order) {
    record_reader reader;
    cfa_reconciliation *report = NULL;
    cfa_status status = record_open(&reader, jobs, order);
    if (status == CFA_OK)
        status = cfa_reconcile_engine(&report, jobs->engine, &reader.spec);
    if (status == CFA_OK && order->repair && cfa_reconciliation_repairable(report) > 0) {
        cfa_reconciliation_free(report);
        report = NULL;
        status = cfa_reconcile_repair(out_repaired, jobs->engine, &reader.spec, REPAIR_MS);
        if (status == CFA_OK)
            status = cfa_reconcile_engine(&report, jobs->engine, &reader.spec);
    }
    record_file_close(&reader.file);
    if (status == CFA_OK)
        *out = report;
    return status;
}

static cfa_status compare_live(cfa_reconciliation **out, int64_t *out_repaired, server_jobs *jobs,
                               const job_order *order, const cfa_actor *by) {
    cfa_reconcile_live_spec spec = CFA_RECONCILE_LIVE_SPEC_INIT;
    spec.from_us = order->from_us;
    spec.until_us = order->until_us;
    spec.repair = order->repair;
    spec.all_ours = order->all_ours;
    spec.timeout_ms = order->timeout_ms;
    spec.stop = stop_listing;
    spec.stop_self = jobs;
    spec.by = by;
    return cfa_reconcile_live(out, out_repaired, jobs->engine, &spec);
}

static void run_reconciliation(server_jobs *jobs, const job_order *order, job_result *out) {
    cfa_reconciliation *report = NULL;
    cfa_actor by = CFA_ACTOR_INIT;
    by.actor = order->actor[0] != '\0' ? order->actor : NULL;
    by.reason = order->reason[0] != '\0' ? order->reason : NULL;
    cfa_status status = order->has_record ? compare_record(&report, &out->repaired, jobs, order)
                                          : compare_live(&report, &out->repaired, jobs, order, &by);
    if (status != CFA_OK) {
        fail(out, status);
        return;
    }
    out->differences = cfa_reconciliation_differences(report);
    out->objects = cfa_reconciliation_objects(report);
    out->foreign = cfa_reconciliation_foreign(report);
    keep_report(out, cfa_reconciliation_json(report));
    status = cfa_reconcile_record(jobs->engine, report, &by, RECORD_MS);
    if (status != CFA_OK)
        fail(out, status);
    cfa_reconciliation_free(report);
}

static const struct {
    const char *name;
    void (*run)(server_jobs *jobs, const job_order *order, job_result *out);
} kinds[JOB_KINDS] = {
    [JOB_AUDIT] = { "audit", run_audit },
    [JOB_RECONCILIATION] = { "reconciliation", run_reconciliation },
};

/* ---- the thread ----------------------------------------------------------------------------- */

static int64_t now_us(void) {
    uv_timeval64_t now;
    return uv_gettimeofday(&now) == 0 ? now.tv_sec * 1000000 + now.tv_usec : 0;
}

/* Differences that a person has to look at are a warning. */
static void tell_log(const job_record *record) {
    const job_result *result = &record->result;
    const char *name = kinds[record->order.kind].name;
    int64_t duration_us = record->ended_us - record->began_us;
    if (result->status != CFA_OK)
        log_line("warning", "job_failed",
                 json_pack("{s:s, s:I, s:I, s:s, s:s}", "kind", name, "number",
                           (json_int_t)record->number, "duration_us", (json_int_t)duration_us,
                           "status", cfa_status_name(result->status), "text", result->message));
    else
        log_line(result->differences == 0 ? "info" : "warning", "job_finished",
                 json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "kind", name, "number",
                           (json_int_t)record->number, "duration_us", (json_int_t)duration_us,
                           "differences", (json_int_t)result->differences, "repaired",
                           (json_int_t)result->repaired, "objects", (json_int_t)result->objects,
                           "foreign", (json_int_t)result->foreign));
}

static void work(void *self) {
    server_jobs *jobs = self;
    uv_mutex_lock(&jobs->lock);
    job_record *record = jobs->running;
    uv_mutex_unlock(&jobs->lock);
    job_result result;
    memset(&result, 0, sizeof result);
    result.status = CFA_OK;
    kinds[record->order.kind].run(jobs, &record->order, &result);
    if (record->order.has_record)
        close(record->order.record);
    if (record->order.has_record && result.status == CFA_ECLOSING) /* its reader says no more */
        snprintf(result.message, sizeof result.message, "the server is closing");
    uv_mutex_lock(&jobs->lock);
    record->result = result;
    record->ended_us = now_us();
    record->state = result.status == CFA_OK ? JOB_FINISHED : JOB_FAILED;
    if (record->order.kind == JOB_RECONCILIATION && !record->order.has_record)
        jobs->live_failed = record->state == JOB_FAILED;
    tell_log(record);
    jobs->running = NULL;
    uv_cond_broadcast(&jobs->changed);
    uv_mutex_unlock(&jobs->lock);
}

static void join(server_jobs *self) {
    if (self->has_thread)
        uv_thread_join(&self->thread); /* it is at its end */
    self->has_thread = false;
}

static job_begun begin(server_jobs *self, const job_order *order, job_kind *out_busy) {
    if (self->ending)
        return JOB_ENDING;
    if (self->running) {
        *out_busy = self->running->order.kind;
        return JOB_BUSY;
    }
    join(self);
    job_record *record = &self->newest[order->kind], before = *record;
    memset(record, 0, sizeof *record);
    record->order = *order;
    record->state = JOB_RUNNING;
    record->number = self->count + 1;
    record->began_us = now_us();
    self->running = record;
    atomic_store(&self->rows, 0);
    if (uv_thread_create(&self->thread, work, self) != 0) {
        *record = before;
        self->running = NULL;
        return JOB_NO_THREAD;
    }
    self->has_thread = true;
    log_line("info", "job_begun",
             json_pack("{s:s, s:I}", "kind", kinds[order->kind].name, "number",
                       (json_int_t)record->number));
    self->count++;
    free(before.result.report);
    return JOB_BEGUN;
}

job_begun jobs_begin(server_jobs *self, const job_order *order, job_kind *out_busy) {
    assert(order->kind >= 0 && order->kind < JOB_KINDS);
    uv_mutex_lock(&self->lock);
    job_begun begun = begin(self, order, out_busy);
    uv_mutex_unlock(&self->lock);
    return begun;
}

/* ---- what is known -------------------------------------------------------------------------- */

static json_t *view_failure(const job_result *result) {
    char code[32];
    problem_code(code, sizeof code, result->status);
    return json_pack("{s:s, s:s}", "code", code, "detail", result->message);
}

/* The object without its report, which comes last. */
static json_t *view(const server_jobs *self, const job_record *record) {
    static const char *const states[] = { "", "running", "finished", "failed" };
    const job_result *result = &record->result;
    bool audit = record->order.kind == JOB_AUDIT, finished = record->state == JOB_FINISHED;
    json_t *out =
        json_pack("{s:s, s:I, s:s, s:o, s:o}", "kind", kinds[record->order.kind].name, "number",
                  (json_int_t)record->number, "state", states[record->state], "started_at",
                  view_time(record->began_us), "ended_at", view_time(record->ended_us));
    json_t *more = NULL;
    (void)json_object_set_new(out, "source",
                              json_string(record->order.has_record ? "record"
                                          : audit                  ? "book"
                                                                   : "live"));
    if (audit)
        more =
            json_pack("{s:o}", "rows",
                      record == self->running ? json_integer((json_int_t)atomic_load(&self->rows))
                                              : json_null());
    else
        more = json_pack("{s:o, s:o, s:b, s:b, s:o}", "from", view_time(record->order.from_us),
                         "until", view_time(record->order.until_us), "repair", record->order.repair,
                         "all_ours", record->order.all_ours, "repaired",
                         finished ? json_integer((json_int_t)result->repaired) : json_null());
    if (more)
        (void)json_object_update(out, more);
    json_decref(more);
    (void)json_object_set_new(
        out, "verdict",
        finished ? json_string(result->differences == 0 ? "clean" : "differences") : json_null());
    (void)json_object_set_new(
        out, "differences", finished ? json_integer((json_int_t)result->differences) : json_null());
    (void)json_object_set_new(out, "problem",
                              record->state == JOB_FAILED ? view_failure(result) : json_null());
    return out;
}

static char *write_text(const server_jobs *self, const job_record *record) {
    const char *report = record->result.report ? record->result.report : "null";
    json_t *value = view(self, record);
    char *head = value ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    size_t head_size = head ? strlen(head) : 0, size = head_size + strlen(report) + 16;
    char *text = head ? malloc(size) : NULL;
    if (text)
        snprintf(text, size, "%.*s,\"report\":%s}\n", (int)head_size - 1, head, report);
    free(head);
    return text;
}

bool jobs_busy(server_jobs *self, job_kind *out_kind) {
    uv_mutex_lock(&self->lock);
    bool busy = self->running != NULL;
    if (busy)
        *out_kind = self->running->order.kind;
    uv_mutex_unlock(&self->lock);
    return busy;
}

bool jobs_latest(server_jobs *self, job_kind kind, char **out_text) {
    uv_mutex_lock(&self->lock);
    const job_record *record = &self->newest[kind];
    bool known = record->state != JOB_NONE;
    *out_text = known ? write_text(self, record) : NULL;
    uv_mutex_unlock(&self->lock);
    return known;
}

bool jobs_live_failed(server_jobs *self) {
    uv_mutex_lock(&self->lock);
    bool failed = self->live_failed;
    uv_mutex_unlock(&self->lock);
    return failed;
}

/* ---- begin and end -------------------------------------------------------------------------- */

server_jobs *jobs_new(cfa_engine *engine) {
    server_jobs *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->engine = engine;
    if (uv_mutex_init(&self->lock) != 0) {
        free(self);
        return NULL;
    }
    if (uv_cond_init(&self->changed) != 0) {
        uv_mutex_destroy(&self->lock);
        free(self);
        return NULL;
    }
    return self;
}

void jobs_end(server_jobs *self) {
    if (!self)
        return;
    atomic_store(&self->stopped, true);
    uv_mutex_lock(&self->lock);
    self->ending = true;
    uv_mutex_unlock(&self->lock);
}

bool jobs_stop(server_jobs *self, int32_t timeout_ms) {
    if (!self)
        return true;
    jobs_end(self);
    uint64_t until_ns = uv_hrtime() + (uint64_t)timeout_ms * 1000000, now_ns;
    uv_mutex_lock(&self->lock);
    while (self->running && (now_ns = uv_hrtime()) < until_ns)
        (void)uv_cond_timedwait(&self->changed, &self->lock, until_ns - now_ns);
    bool ended = !self->running;
    uv_mutex_unlock(&self->lock);
    if (!ended)
        return false;
    join(self);
    for (int i = 0; i < JOB_KINDS; i++)
        free(self->newest[i].result.report);
    uv_cond_destroy(&self->changed);
    uv_mutex_destroy(&self->lock);
    free(self);
    return true;
}
