/*
 * app.h - what the serving process holds: the book (engine, provider, sink), the secrets, the loop,
 * the HTTP server, and their order of start and end.
 */
#ifndef SERVER_APP_H
#define SERVER_APP_H

#include "config.h"
#include "http.h"
#include "jobs.h"
#include "limit.h"
#include "provider.h"
#include "secrets.h"

typedef struct server_app {
    const server_config *config;
    server_secrets secrets; /* of the loop's thread */
    server_provider provider;
    cfa_play *play;          /* of `provider`: NULL without the play provider */
    cfa_sink_binding events; /* ops NULL: none */
    cfa_engine *engine;
    bool runner;

    uv_loop_t loop;
    cfa_port *port;
    uv_poll_t port_poll;
    uv_timer_t deliver_timer, watchdog_timer, drain_timer;
    uv_work_t deliver_work, reload_work;
    bool delivering;
    int signals; /* descriptor */
    uv_poll_t signals_poll;
    http_server *http;
    server_limits *limits;
    server_jobs *jobs;
    bool examining; /* a deep examination is under way */
    bool uploading; /* a body is on its way into a file */
    uv_timer_t reconcile_timer;
    uint64_t reconcile_due_ms;

    bool reloading, reload_again;
    bool reload_good;
    server_secrets fresh; /* of the pool's thread while reloading */
    char reload_reason[SECRET_MESSAGE_SIZE];

    bool stopping; /* not ready any more; draining follows */
    bool failed;
} server_app;

/* Open the book as `config` says; false after the one line was printed. Copies `secrets` and takes
 * the provider over, both to be closed by `app_close`, also after a failure. */
bool app_open(server_app *out, const server_config *config, const server_secrets *secrets,
              const server_provider *provider);
/* Create the demo campaign once and print its id. */
bool app_demo(server_app *app);
/* Listen, answer until a signal, drain; false when it could not start or not end cleanly. */
bool app_serve(server_app *app);
void app_close(server_app *app);

/* What to do when a book does not open. */
const char *app_open_fix(cfa_status status);
/* This thread's last error, never without a message. */
cfa_error app_last_error(void);

/* reload.c: read the secrets again, on the pool's thread, and put them in force between two
 * requests. */
void app_reload(server_app *app);

#endif
