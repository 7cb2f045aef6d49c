/*
 * app.h - what the process holds: the book (engine, provider, sink), the loop, the HTTP server, and
 * their order of start and end.
 */
#ifndef SERVER_APP_H
#define SERVER_APP_H

#include "config.h"
#include "http.h"

#include <careforall/adapters/play.h>

typedef struct server_app {
    const server_config *config;
    uv_loop_t loop;
    cfa_engine *engine;
    cfa_play *play;          /* NULL without the play provider */
    cfa_sink_binding events; /* ops NULL: none */
    cfa_port *port;
    uv_poll_t port_poll;
    uv_timer_t deliver_timer;
    uv_work_t deliver_work;
    bool delivering;
    bool runner;
    uv_signal_t terminate, interrupt;
    bool stopping;
    bool failed;
    http_server *http;
} server_app;

/* Open the book as `config` says; false after the one line was printed. */
bool app_open(server_app *out, const server_config *config);
/* Create the demo campaign once and print its id. */
bool app_demo(server_app *app);
/* Listen, answer until a signal, drain; false when it could not start or not end cleanly. */
bool app_serve(server_app *app);
void app_close(server_app *app);

#endif
