/*
 * app.c - start and end in the right order: provider and sink before the engine, engine before the
 * runner, all of them before the first connection; and back. Must never leave a request without its
 * engine.
 */
#include "app.h"
#include "listener.h"
#include "log.h"
#include "reconcile.h"
#include "service.h"
#include "signals.h"

#include <careforall/adapters/memory.h>
#include <careforall/adapters/ndjson.h>
#include <careforall/adapters/sqlite.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { DELIVER_MS = 50, DELIVER_LIMIT = 256, COMPLETIONS_PER_TURN = 256 };

#define DEMO_KEY "careforall-demo-campaign"

cfa_error app_last_error(void) {
    cfa_error error = CFA_ERROR_INIT;
    if (cfa_error_last(&error) != CFA_OK || error.message[0] == '\0')
        snprintf(error.message, sizeof error.message, "no detail");
    return error;
}

/* ---- the book ------------------------------------------------------------------------------- */

static void write_log(void *self, const cfa_log_record *record) {
    (void)self;
    if (record->level > CFA_LOG_INFO)
        return;
    log_line(record->level == CFA_LOG_ERROR     ? "error"
             : record->level == CFA_LOG_WARNING ? "warning"
                                                : "info",
             record->event,
             json_pack("{s:s, s:s}", "component", record->component, "text", record->text));
}

static const cfa_platform platform = { .struct_size = sizeof(cfa_platform), .log = write_log };

const char *app_open_fix(cfa_status status) {
    switch (status) {
    case CFA_ESCHEMA: return "give another --database, or use the version that wrote it";
    case CFA_EREADONLY:
        return "make the file and its directory writable, or give another --database";
    case CFA_EMODE:
        return "start with the provider and mode the book began with, or give another --database";
    case CFA_EBUSY: return "another process holds it: stop that or wait";
    case CFA_ENOSPACE: return "free some space";
    default: return "check that --database names a file of this program";
    }
}

static bool open_events(server_app *app) {
    const char *path = app->config->events;
    if (!path)
        return true;
    app->events.name = "events";
    if (cfa_ndjson_sink_new(&app->events.sink, path) == CFA_OK)
        return true;
    config_complain("cannot write events to %s: %s; give --events a file in a writable directory",
                    path, app_last_error().message);
    return false;
}

static cfa_status open_engine(server_app *app) {
    const server_config *config = app->config;
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    options.provider = app->provider.adapter;
    options.livemode = app->provider.livemode;
    options.account = config->provider == PROVIDER_STRIPE ? config->stripe_account : NULL;
    options.platform = &platform;
    options.queue_limit = config->queue_limit;
    options.timeout_ms = HTTP_CALL_MS;
    options.call_timeout_ms = config->provider_timeout_ms;
    options.calls_in_flight = config->provider_calls;
    options.fraud_rule = config->fraud_rule;
    options.circuit_rule = config->circuit_rule;
    options.circuit_failures = config->circuit_failures > 0 ? config->circuit_failures : -1;
    options.circuit_open_ms = config->circuit_open_ms;
    if (app->events.name) {
        options.sinks = &app->events;
        options.sink_count = 1;
    }
    if (!config->memory)
        return cfa_sqlite_open(&app->engine, config->database, &options);
    cfa_storage storage;
    cfa_status status = cfa_memory_storage_new(&storage);
    if (status != CFA_OK)
        return status;
    options.storage = &storage;
    options.owns_storage = 1;
    status = cfa_engine_open(&app->engine, &options);
    if (status != CFA_OK)
        storage.ops->close(storage.self);
    return status;
}

bool app_open(server_app *out, const server_config *config, const server_secrets *secrets,
              const server_provider *provider) {
    memset(out, 0, sizeof *out);
    out->config = config;
    out->secrets = *secrets;
    out->provider = *provider;
    out->play = provider->play;
    if (!open_events(out))
        return false;
    cfa_status status = open_engine(out);
    if (status != CFA_OK) {
        config_complain("cannot open %s: %s; %s",
                        config->memory ? "the book in memory" : config->database,
                        app_last_error().message, app_open_fix(status));
        return false;
    }
    return true;
}

bool app_demo(server_app *app) {
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    spec.key = DEMO_KEY;
    spec.scope = "service";
    spec.title = "Clean water for everyone";
    spec.currencies = "EUR,USD";
    spec.goal.minor = 1000000;
    memcpy(spec.goal.currency, "EUR", 4);
    cfa_campaign *campaign = NULL;
    if (cfa_campaign_create(&campaign, app->engine, &spec) != CFA_OK) {
        config_complain("cannot create the demo campaign: %s", app_last_error().message);
        return false;
    }
    printf("demo campaign %s\n", cfa_campaign_id(campaign));
    cfa_campaign_free(campaign);
    return true;
}

void app_close(server_app *app) {
    if (app->runner)
        cfa_runner_stop(app->engine);
    cfa_port_free(app->port);
    cfa_engine_close(app->engine);
    if (app->events.sink.ops)
        app->events.sink.ops->close(app->events.sink.self);
    limits_free(app->limits);
    provider_close(&app->provider);
    secrets_forget(&app->secrets);
    memset(app, 0, sizeof *app);
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void on_completions(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    server_app *app = poll->data;
    for (int i = 0; i < COMPLETIONS_PER_TURN; i++) {
        cfa_completion *completion = NULL;
        if (cfa_port_next(&completion, app->port, 0) != CFA_OK || !completion)
            return;
        http_completed((http_request *)(uintptr_t)cfa_completion_token(completion), completion);
        cfa_completion_free(completion);
    }
}

static void run_deliver(uv_work_t *work) {
    server_app *app = work->data;
    /* What is not acknowledged stays pending and is delivered again by the next round. */
    cfa_status status = cfa_play_deliver(NULL, app->play, app->engine, DELIVER_LIMIT);
    if (status != CFA_OK)
        log_line("warning", "play_delivery_failed",
                 json_pack("{s:s, s:s}", "status", cfa_status_name(status), "text",
                           app_last_error().message));
}

static void on_delivered(uv_work_t *work, int status) {
    (void)status;
    server_app *app = work->data;
    app->delivering = false;
}

static void on_deliver_timer(uv_timer_t *timer) {
    server_app *app = timer->data;
    cfa_play_books books = CFA_PLAY_BOOKS_INIT;
    if (app->delivering || app->stopping || cfa_play_books_get(&books, app->play) != CFA_OK ||
        books.webhooks_pending == 0)
        return;
    app->delivering = uv_queue_work(&app->loop, &app->deliver_work, run_deliver, on_delivered) == 0;
}

static void on_drained(server_app *app, bool clean) {
    app->failed = !clean;
    uv_stop(&app->loop);
}

static void on_drain_timer(uv_timer_t *timer) {
    server_app *app = timer->data;
    http_drain(app->http, app->config->drain_ms, on_drained);
}

static void on_end(server_app *app, int number) {
    if (app->stopping)
        _exit(EXIT_FAILED);
    app->stopping = true;
    jobs_end(app->jobs);
    service_notify("STOPPING=1");
    log_line("info", "draining", json_pack("{s:i}", "signal", number));
    /* Whoever sends us requests sees first that we are not ready. */
    uv_timer_start(&app->drain_timer, on_drain_timer, (uint64_t)app->config->drain_delay_ms, 0);
}

static void on_signals(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    server_app *app = poll->data;
    for (int number; (number = signals_next(app->signals)) != 0;) {
        if (number == SIGHUP)
            app_reload(app);
        else
            on_end(app, number);
    }
}

/* This loop turns: nothing else needs to be known. */
static void on_watchdog_timer(uv_timer_t *timer) {
    (void)timer;
    service_notify("WATCHDOG=1");
}

/* As many descriptors as the system allows: each connection is one. */
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void close_handle(uv_handle_t *handle, void *self) {
    (void)self;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Everything that is left on the loop ends here; work on the pool is waited for, engine calls are
 * bounded. */
static void stop_loop(server_app *app) {
    signals_release();
    uv_walk(&app->loop, close_handle, NULL);
    uv_run(&app->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&app->loop) != 0)
        log_line("error", "loop_not_empty", NULL);
    if (app->signals >= 0)
        close(app->signals);
}

static bool start_loop(server_app *app) {
    if (uv_loop_init(&app->loop) != 0) {
        config_complain("the event loop did not start: raise the limit of open files (ulimit -n)");
        return false;
    }
    app->port_poll.data = app->deliver_timer.data = app->deliver_work.data = app;
    app->drain_timer.data = app->watchdog_timer.data = app;
    app->signals_poll.data = app;
    uv_timer_init(&app->loop, &app->deliver_timer);
    uv_timer_init(&app->loop, &app->drain_timer);
    uv_timer_init(&app->loop, &app->watchdog_timer);
    app->signals = signals_open();
    if (app->signals < 0 || uv_poll_init(&app->loop, &app->signals_poll, app->signals) != 0) {
        config_complain("signals cannot be read: raise the limit of open files (ulimit -n)");
        stop_loop(app);
        return false;
    }
    uv_poll_start(&app->signals_poll, UV_READABLE, on_signals);
    if (app->play)
        uv_timer_start(&app->deliver_timer, on_deliver_timer, DELIVER_MS, DELIVER_MS);
    return true;
}

static bool start_engine_side(server_app *app) {
    if (cfa_port_new(&app->port, app->engine) != CFA_OK ||
        cfa_runner_start(app->engine, CFA_WORK_ALL) != CFA_OK) {
        config_complain("the engine did not start: %s", app_last_error().message);
        return false;
    }
    app->runner = true;
    if (uv_poll_init(&app->loop, &app->port_poll, cfa_port_descriptor(app->port)) != 0) {
        config_complain("the engine's descriptor cannot be watched");
        return false;
    }
    uv_poll_start(&app->port_poll, UV_READABLE, on_completions);
    return true;
}

static void announce(server_app *app, int listener) {
    listener_print(listener);
    service_notify("READY=1");
    uint64_t watchdog_ms = service_watchdog_ms();
    if (watchdog_ms > 0)
        uv_timer_start(&app->watchdog_timer, on_watchdog_timer, watchdog_ms, watchdog_ms);
}

bool app_serve(server_app *app) {
    const server_config *config = app->config;
    raise_descriptor_limit();
    int listener = listener_open(config);
    if (listener < 0)
        return false;
    if (!start_loop(app)) {
        close(listener);
        return false;
    }
    const char *reason = NULL;
    http_options options = {
        .app = app,
        .loop = &app->loop,
        .listener = listener,
        .connection_limit = config->connection_limit,
        .request_limit = config->request_limit,
        .address_limit = config->address_limit,
        .cors_origins = config->cors_origins,
        .log_addresses = config->log_addresses,
        .quiet = config->quiet,
    };
    bool started = start_engine_side(app);
    app->limits = limits_new(config);
    app->jobs = jobs_new(app->engine);
    if (!app->limits || !app->jobs)
        reason = "out of memory";
    app->http = started && !reason ? http_start(&options, &reason) : NULL;
    if (!app->http) {
        if (started)
            config_complain("cannot answer requests: %s", reason);
        (void)jobs_stop(app->jobs, 0); /* nothing was begun */
        close(listener);
        stop_loop(app);
        return false;
    }
    reconcile_start(app);
    announce(app, listener);
    uv_run(&app->loop, UV_RUN_DEFAULT);
    if (app->failed)
        log_line("warning", "drain_incomplete", NULL);
    if (!http_is_idle(app->http))
        _exit(EXIT_FAILED); /* a thread is stuck in a call: what was acknowledged is durable */
    http_stop(app->http);
    stop_loop(app);
    if (!jobs_stop(app->jobs, config->drain_ms)) {
        log_line("warning", "job_abandoned", NULL);
        _exit(app->failed ? EXIT_FAILED : EXIT_SUCCESS); /* what was told is durable */
    }
    return !app->failed;
}
