/*
 * http.c - the daemon in the loop: connections and their deadlines, the listening socket, drain.
 * Must never block and never look into a request.
 */
#include "http.h"
#include "http_internal.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SWEEP_MS = 500, DRAIN_GRACE_MS = 2000, CONNECTION_RESERVE_MAX = 8, ROOM_SCAN_MAX = 64 };

uint64_t http_now_ms(void) { return uv_hrtime() / 1000000u; }

static int peer_descriptor(const http_peer *peer) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(peer->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

/* libmicrohttpd notices at its next turn and closes the connection itself. */
static void peer_shutdown(const http_peer *peer) {
    int descriptor = peer_descriptor(peer);
    if (descriptor >= 0)
        shutdown(descriptor, SHUT_RDWR);
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void on_turn_timer(uv_timer_t *timer);

static void turn(http_server *http) {
    http->again = false;
    if (MHD_run(http->daemon) != MHD_YES)
        log_line("error", "http_run_failed", NULL);
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    if (http->again) /* a place became free: accept who waits for it */
        uv_timer_start(&http->turn_timer, on_turn_timer, 0, 0);
    else if (MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES)
        uv_timer_start(&http->turn_timer, on_turn_timer, timeout_ms, 0);
    else
        uv_timer_stop(&http->turn_timer);
    log_flush();
}

static void on_turn_timer(uv_timer_t *timer) { turn(timer->data); }

void http_wake(http_server *http) { uv_timer_start(&http->turn_timer, on_turn_timer, 0, 0); }

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    turn(poll->data);
}

/* Absolute deadlines per phase; libmicrohttpd's own time-out only knows inactivity. */
static void on_sweep(uv_timer_t *timer) {
    http_server *http = timer->data;
    uint64_t now_ms = http_now_ms();
    for (http_peer *peer = http->peers; peer; peer = peer->next) {
        http_request *request = peer->current;
        if (request && request->suspended) {
            if (request->complete && now_ms > request->deadline_ms)
                http_abandon(request, false);
        } else if (now_ms > peer->deadline_ms)
            peer_shutdown(peer);
    }
    turn(http);
}

/* Room for newcomers is made by those that ask for nothing: between requests, or slow to send their
 * first head. Of the oldest few, the one that is nearest to its deadline goes. */
static void make_room(http_server *http) {
    http_peer *victim = NULL, *peer = http->oldest_peer;
    for (int i = 0; peer && i < ROOM_SCAN_MAX; i++, peer = peer->previous) {
        bool asks = peer->current && peer->current->admitted;
        if (!asks && !peer->leaving && (!victim || peer->deadline_ms < victim->deadline_ms))
            victim = peer;
    }
    if (victim) {
        victim->leaving = true;
        peer_shutdown(victim);
    }
}

/* From here on each newcomer costs somebody the connection. */
static int32_t accept_threshold(const http_server *http) {
    int32_t limit = http->options.connection_limit, reserve = limit / 16;
    return limit - (reserve < CONNECTION_RESERVE_MAX ? reserve : CONNECTION_RESERVE_MAX);
}

static void peer_add(http_server *http, struct MHD_Connection *connection, void **slot) {
    if (++http->peer_count > accept_threshold(http))
        make_room(http);
    http_peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return; /* its requests are refused: they find no peer */
    peer->connection = connection;
    peer->deadline_ms = http_now_ms() + HTTP_HEADERS_MS;
    peer->next = http->peers;
    if (peer->next)
        peer->next->previous = peer;
    else {
        http->oldest_peer = peer;
        uv_timer_start(&http->sweep_timer, on_sweep, SWEEP_MS, SWEEP_MS);
    }
    http->peers = peer;
    *slot = peer;
}

static void peer_remove(http_server *http, http_peer *peer) {
    if (peer->next)
        peer->next->previous = peer->previous;
    else
        http->oldest_peer = peer->previous;
    if (peer->previous)
        peer->previous->next = peer->next;
    else
        http->peers = peer->next;
    if (!http->peers)
        uv_timer_stop(&http->sweep_timer);
    free(peer);
}

static void on_connection(void *self, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode code) {
    http_server *http = self;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        peer_add(http, connection, slot);
        return;
    }
    /* At the limit libmicrohttpd accepts again only when it is run again. */
    if (http->peer_count-- >= accept_threshold(http))
        http->again = true;
    if (*slot)
        peer_remove(http, *slot);
    *slot = NULL;
}

/* Nothing is decoded: ids and numbers never need it, and so a path has one spelling. */
static size_t keep_escapes(void *self, struct MHD_Connection *connection, char *text) {
    (void)self;
    (void)connection;
    return strlen(text);
}

/* ---- start ---------------------------------------------------------------------------------- */

static struct MHD_Daemon *daemon_start(http_server *http) {
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, http_on_request, http,
        MHD_OPTION_LISTEN_SOCKET, http->options.listener, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)http->options.connection_limit, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HTTP_CONNECTION_MEMORY_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(HTTP_IDLE_MS / 1000), MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)http->options.address_limit, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, http_on_target, http, MHD_OPTION_NOTIFY_COMPLETED,
        http_on_completed, http, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
}

http_server *http_start(const http_options *options, const char **out_reason) {
    http_server *http = calloc(1, sizeof *http);
    if (!http) {
        *out_reason = "out of memory";
        return NULL;
    }
    http->options = *options;
    /* Request ids are unique across restarts without being a secret. */
    if (getrandom(&http->request_base, sizeof http->request_base, 0) != sizeof http->request_base)
        http->request_base = uv_hrtime();
    http->daemon = daemon_start(http);
    const union MHD_DaemonInfo *info =
        http->daemon ? MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info || uv_poll_init(options->loop, &http->poll, info->epoll_fd) != 0) {
        *out_reason = "the HTTP library did not start";
        if (http->daemon) {
            (void)MHD_quiesce_daemon(http->daemon); /* the listener stays the caller's */
            MHD_stop_daemon(http->daemon);
        }
        free(http);
        return NULL;
    }
    uv_timer_init(options->loop, &http->turn_timer);
    uv_timer_init(options->loop, &http->sweep_timer);
    uv_timer_init(options->loop, &http->drain_timer);
    http->poll.data = http->turn_timer.data = http->sweep_timer.data = http->drain_timer.data =
        http;
    uv_poll_start(&http->poll, UV_READABLE, on_readable);
    return http;
}

/* ---- end ------------------------------------------------------------------------------------ */

int32_t http_in_work(const http_server *http) { return http->in_work; }

bool http_is_idle(const http_server *http) { return http->request_count == 0; }

static void finish_drain(http_server *http, bool clean) {
    if (http->drained)
        return;
    http->drained = true;
    uv_timer_stop(&http->drain_timer);
    http->on_drained(http->options.app, clean);
}

void http_check_drained(http_server *http) {
    if (http->draining && http->request_count == 0)
        finish_drain(http, !http->cut);
}

/* First time: answer what waits for the engine, leave who has not even sent a whole request. Second
 * time: some thread is stuck; leave. */
static void on_drain_timer(uv_timer_t *timer) {
    http_server *http = timer->data;
    if (http->forced) {
        finish_drain(http, false);
        return;
    }
    http->forced = true;
    http_request *next = NULL;
    for (http_request *request = http->requests; request; request = next) {
        next = request->next;
        http->cut = http->cut || (request->suspended && !request->upload);
        if (request->suspended && request->complete)
            http_abandon(request, true);
        else if (request->suspended)
            uv_cancel((uv_req_t *)&request->work);
        else if (request->connection && !request->queued)
            peer_shutdown(request->peer);
    }
    uv_timer_start(&http->drain_timer, on_drain_timer, HTTP_CALL_MS + DRAIN_GRACE_MS, 0);
    turn(http);
}

void http_drain(http_server *http, int32_t limit_ms,
                void (*drained)(struct server_app *app, bool clean)) {
    if (http->draining)
        return;
    http->on_drained = drained;
    turn(http); /* take in what has already arrived */
    http->draining = true;
    MHD_socket listener = MHD_quiesce_daemon(http->daemon);
    if (listener != MHD_INVALID_SOCKET)
        close(listener);
    for (http_peer *peer = http->peers; peer; peer = peer->next)
        if (!peer->current || !peer->current->admitted)
            peer_shutdown(peer);
    uv_timer_start(&http->drain_timer, on_drain_timer, (uint64_t)limit_ms, 0);
    turn(http);
    http_check_drained(http);
}

static void on_closed(uv_handle_t *handle) { (void)handle; }

void http_stop(http_server *http) {
    if (!http)
        return;
    uv_poll_stop(&http->poll);
    uv_close((uv_handle_t *)&http->poll, on_closed);
    uv_close((uv_handle_t *)&http->turn_timer, on_closed);
    uv_close((uv_handle_t *)&http->sweep_timer, on_closed);
    uv_close((uv_handle_t *)&http->drain_timer, on_closed);
    uv_run(http->options.loop, UV_RUN_NOWAIT);
    MHD_stop_daemon(http->daemon);
    log_flush();
    /* Given up on by their callers, still awaiting the engine: their completions are dropped with
     * the port. */
    while (http->requests) {
        http->requests->references = 1;
        http_release(http->requests);
    }
    free(http);
}
