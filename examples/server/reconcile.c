/*
 * reconcile.c - when to reconcile. Looks at the time now and then instead of waiting for it,
 * because other work may hold the one place for jobs, and what failed is tried again.
 */
#include "reconcile.h"
#include "app.h"

#include <stdio.h>
#include <string.h>

#define LOOK_MS (900 * UINT64_C(1000))
#define HOUR_MS (3600 * UINT64_C(1000))
#define TIMEOUT_MS (6 * 3600 * 1000)

static void begin(server_app *app) {
    const server_config *config = app->config;
    job_order order;
    job_kind busy;
    uv_timeval64_t now;
    memset(&order, 0, sizeof order);
    uv_gettimeofday(&now);
    order.kind = JOB_RECONCILIATION;
    order.until_us = (now.tv_sec + 1 - config->reconcile_settle_minutes * INT64_C(60)) * 1000000;
    order.from_us = order.until_us - config->reconcile_days * INT64_C(86400000000);
    order.repair = true;
    order.timeout_ms = TIMEOUT_MS;
    snprintf(order.reason, sizeof order.reason, "in the background");
    if (jobs_begin(app->jobs, &order, &busy) == JOB_BEGUN)
        app->reconcile_due_ms =
            uv_now(&app->loop) + (uint64_t)config->reconcile_every_hours * HOUR_MS;
}

static void on_timer(uv_timer_t *timer) {
    server_app *app = timer->data;
    if (uv_now(&app->loop) >= app->reconcile_due_ms || jobs_live_failed(app->jobs))
        begin(app);
}

void reconcile_start(server_app *app) {
    const server_config *config = app->config;
    if (config->reconcile_every_hours == 0 || config->provider == PROVIDER_NONE)
        return;
    app->reconcile_timer.data = app;
    uv_timer_init(&app->loop, &app->reconcile_timer);
    uv_timer_start(&app->reconcile_timer, on_timer, (uint64_t)config->reconcile_after_s * 1000,
                   LOOK_MS);
}
