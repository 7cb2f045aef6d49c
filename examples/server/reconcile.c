/*
 * reconcile.c - the thread that reconciles. It alone waits for the provider's lists; the engine's
 * calls that it makes are those of any other caller. Says in the log what became of each run.
 */
#include "reconcile.h"
#include "app.h"
#include "log.h"

#include <careforall/reconcile.h>
#include <careforall/sys/provider.h>

#include <stdlib.h>

enum { TIMEOUT_MS = 6 * 3600 * 1000, RETRY_S = 900 };

struct server_reconcile {
    cfa_engine *engine;
    const server_config *config;
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t changed;
    bool ending, ended; /* under the lock */
};

/* ---- one run -------------------------------------------------------------------------------- */

static bool is_ending(server_reconcile *self) {
    uv_mutex_lock(&self->lock);
    bool ending = self->ending;
    uv_mutex_unlock(&self->lock);
    return ending;
}

static int32_t stop(void *self) { return is_ending(self); }

static void log_failure(cfa_status status) {
    log_line("warning", "reconcile_failed",
             json_pack("{s:s, s:s}", "status", cfa_status_name(status), "text",
                       app_last_error().message));
}

/* Differences that a person has to look at are a warning; the command shows them. */
static void log_report(const cfa_reconciliation *report, int64_t repaired) {
    int64_t differences = cfa_reconciliation_differences(report);
    log_line(differences == 0 ? "info" : "warning", "reconciled",
             json_pack("{s:I, s:I, s:I, s:I}", "objects",
                       (json_int_t)cfa_reconciliation_objects(report), "foreign",
                       (json_int_t)cfa_reconciliation_foreign(report), "repaired",
                       (json_int_t)repaired, "differences", (json_int_t)differences));
}

/* False: try again before the next time. */
static bool run_once(server_reconcile *self) {
    cfa_reconcile_live_spec spec = CFA_RECONCILE_LIVE_SPEC_INIT;
    cfa_reconciliation *report = NULL;
    int64_t repaired = 0;
    uv_timeval64_t now;
    uv_gettimeofday(&now);
    spec.until_us =
        (now.tv_sec + 1 - self->config->reconcile_settle_minutes * INT64_C(60)) * 1000000;
    spec.from_us = spec.until_us - self->config->reconcile_days * INT64_C(86400000000);
    spec.repair = 1;
    spec.timeout_ms = TIMEOUT_MS;
    spec.stop = stop;
    spec.stop_self = self;
    cfa_actor by = { .struct_size = sizeof by, .reason = "in the background" };
    spec.by = &by;
    log_line("info", "reconciling", NULL);
    cfa_status status = cfa_reconcile_live(&report, &repaired, self->engine, &spec);
    if (status == CFA_OK) {
        log_report(report, repaired);
        status = cfa_reconcile_record(self->engine, report, &by, 0);
    }
    if (status != CFA_OK && !is_ending(self))
        log_failure(status);
    cfa_reconciliation_free(report);
    return status == CFA_OK;
}

/* ---- the thread ----------------------------------------------------------------------------- */

/* False when it is over. */
static bool wait_s(server_reconcile *self, int64_t duration_s) {
    uint64_t until_ns = uv_hrtime() + (uint64_t)duration_s * UINT64_C(1000000000), now_ns;
    uv_mutex_lock(&self->lock);
    while (!self->ending && (now_ns = uv_hrtime()) < until_ns)
        (void)uv_cond_timedwait(&self->changed, &self->lock, until_ns - now_ns);
    bool goes_on = !self->ending;
    uv_mutex_unlock(&self->lock);
    return goes_on;
}

static void work(void *arg) {
    server_reconcile *self = arg;
    int64_t wait = self->config->reconcile_after_s;
    while (wait_s(self, wait))
        wait = run_once(self) ? self->config->reconcile_every_hours * INT64_C(3600) : RETRY_S;
    uv_mutex_lock(&self->lock);
    self->ended = true;
    uv_cond_signal(&self->changed);
    uv_mutex_unlock(&self->lock);
}

static void release(server_reconcile *self) {
    uv_cond_destroy(&self->changed);
    uv_mutex_destroy(&self->lock);
    free(self);
}

bool reconcile_start(server_reconcile **out, cfa_engine *engine, const server_config *config) {
    *out = NULL;
    if (config->reconcile_every_hours == 0 || config->provider == PROVIDER_NONE)
        return true;
    server_reconcile *self = calloc(1, sizeof *self);
    if (!self)
        return false;
    self->engine = engine;
    self->config = config;
    if (uv_mutex_init(&self->lock) != 0) {
        free(self);
        return false;
    }
    if (uv_cond_init(&self->changed) != 0) {
        uv_mutex_destroy(&self->lock);
        free(self);
        return false;
    }
    if (uv_thread_create(&self->thread, work, self) != 0) {
        release(self);
        return false;
    }
    *out = self;
    return true;
}

void reconcile_end(server_reconcile *self) {
    if (!self)
        return;
    uv_mutex_lock(&self->lock);
    self->ending = true;
    uv_cond_signal(&self->changed);
    uv_mutex_unlock(&self->lock);
}

bool reconcile_stop(server_reconcile *self, int32_t timeout_ms) {
    if (!self)
        return true;
    reconcile_end(self);
    uint64_t until_ns = uv_hrtime() + (uint64_t)timeout_ms * 1000000, now_ns;
    uv_mutex_lock(&self->lock);
    while (!self->ended && (now_ns = uv_hrtime()) < until_ns)
        (void)uv_cond_timedwait(&self->changed, &self->lock, until_ns - now_ns);
    bool ended = self->ended;
    uv_mutex_unlock(&self->lock);
    if (!ended)
        return false;
    uv_thread_join(&self->thread);
    release(self);
    return true;
}
