/*
 * http.c - the daemon in the loop and one exchange on it: read whole, wait when a fault says so,
 * hand to the API, the hosted pages or the panel, send. Must never block.
 */
#include "http.h"
#include "api.h"
#include "faults.h"
#include "form.h"
#include "page.h"
#include "panel.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 4096,
    CONNECTION_BYTES = 32 * 1024,
    IDLE_S = 120,
    BACKLOG = 1024,
    DRIP_PIECES = 16
};

typedef struct exchange {
    http_front *front;
    struct MHD_Connection *connection;
    struct exchange *next, *previous;
    char *target; /* as sent */
    char *body;
    size_t body_size, body_capacity;
    bool begun, waited, too_large, suspended;
    uv_timer_t *timer; /* while suspended */
    fault_plan plan;
    call call;
    size_t sent;
    bool may_send;
} exchange;

struct http_front {
    sandbox *box;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t turn_timer;
    exchange *exchanges;
};

/* ---- the loop ------------------------------------------------------------------------------- */

static void on_turn_timer(uv_timer_t *timer);

static void turn(http_front *http) {
    MHD_run(http->daemon);
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    if (MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES)
        uv_timer_start(&http->turn_timer, on_turn_timer, timeout_ms, 0);
    else
        uv_timer_stop(&http->turn_timer);
}

static void on_turn_timer(uv_timer_t *timer) { turn(timer->data); }

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    turn(poll->data);
}

/* ---- waiting -------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle) { free(handle); }

static void resume(exchange *e) {
    e->suspended = false;
    e->waited = true;
    e->may_send = true;
    MHD_resume_connection(e->connection);
    uv_timer_start(&e->front->turn_timer, on_turn_timer, 0, 0);
}

static void on_waited(uv_timer_t *timer) {
    exchange *e = timer->data;
    uv_close((uv_handle_t *)timer, on_timer_closed);
    e->timer = NULL;
    resume(e);
}

/* A suspended exchange cannot end, so the timer never finds it gone. */
static void wait_ms(exchange *e, int delay_ms) {
    uv_timer_t *timer = must(calloc(1, sizeof *timer));
    uv_timer_init(&e->front->box->loop, timer);
    timer->data = e;
    uv_timer_start(timer, on_waited, (uint64_t)delay_ms, 0);
    e->timer = timer;
    e->suspended = true;
    MHD_suspend_connection(e->connection);
}

bool http_key_in_use(sandbox *box, const call *except) {
    for (exchange *e = box->http->exchanges; e; e = e->next)
        if (e->suspended && &e->call != except && !e->call.status && e->call.idempotency_key &&
            text_equal(e->call.idempotency_key, except->idempotency_key) &&
            text_equal(e->call.account_header, except->account_header))
            return true;
    return false;
}

/* ---- replies -------------------------------------------------------------------------------- */

/* Closing with a reset instead of an orderly end. */
static enum MHD_Result reset(exchange *e) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(e->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };
    if (info)
        setsockopt(info->connect_fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    return MHD_NO;
}

static ssize_t read_piece(void *self, uint64_t at, char *buffer, size_t size) {
    exchange *e = self;
    size_t left = e->call.text_size - (size_t)at;
    if (e->plan.reset_middle) {
        if (at >= e->call.text_size / 2) {
            reset(e);
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
        left = e->call.text_size / 2 - (size_t)at;
    } else {
        if (!e->may_send) {
            wait_ms(e, e->plan.drip_ms / DRIP_PIECES);
            return 0;
        }
        e->may_send = false;
        size_t piece = e->call.text_size / DRIP_PIECES + 1;
        left = left < piece ? left : piece;
    }
    left = left < size ? left : size;
    memcpy(buffer, e->call.text + at, left);
    return (ssize_t)left;
}

static enum MHD_Result reply(exchange *e) {
    call *c = &e->call;
    struct MHD_Response *response;
    if ((e->plan.reset_middle || e->plan.drip_ms) && c->text_size > 1)
        response = MHD_create_response_from_callback(c->text_size, 4096, read_piece, e, NULL);
    else
        response = MHD_create_response_from_buffer(c->text_size, c->text, MHD_RESPMEM_PERSISTENT);
    must(response);
    MHD_add_response_header(response, "Content-Type", c->text_type);
    MHD_add_response_header(response, "Cache-Control", "no-cache, no-store");
    for (int i = 0; i < c->header_count; i++)
        MHD_add_response_header(response, c->headers[i].name, c->headers[i].value);
    enum MHD_Result result = MHD_queue_response(e->connection, (unsigned)c->status, response);
    MHD_destroy_response(response);
    return result;
}

static void fill_call(exchange *e, const char *method) {
    struct MHD_Connection *connection = e->connection;
    call *c = &e->call;
    c->box = e->front->box;
    c->method = method;
    c->path = e->target;
    c->authorization = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
    c->idempotency_key =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Idempotency-Key");
    c->content_type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");
    c->account_header = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Stripe-Account");
    c->version_header = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Stripe-Version");
    c->params = must(json_object());
    random_id(c->box, c->request_id, "req_", 14);
}

static void dispatch(exchange *e) {
    call *c = &e->call;
    c->body = e->body ? e->body : "";
    c->body_size = e->body_size;
    if (e->too_large)
        call_text(c, 413, "text/plain; charset=utf-8", "The request is too large.\n");
    else if (text_starts(c->path, "/v1/") || text_starts(c->path, "/v2/"))
        api_handle(c, &e->plan);
    else if (text_starts(c->path, "/pay/"))
        page_handle(c);
    else if (text_starts(c->path, "/_sandbox/"))
        panel_handle(c);
    else
        call_text(c, 404, "text/plain; charset=utf-8",
                  "careforall-sandbox: the API is at /v1/, the panel at /_sandbox/books\n");
}

static bool append(exchange *e, const char *data, size_t size) {
    if (e->body_size + size > BODY_BYTES_MAX)
        return false;
    if (e->body_size + size > e->body_capacity) {
        e->body_capacity = (e->body_size + size) * 2;
        e->body = must(realloc(e->body, e->body_capacity));
    }
    memcpy(e->body + e->body_size, data, size);
    e->body_size += size;
    return true;
}

/* Called with the headers, with every piece of the body, at its end, and again after a wait. */
static enum MHD_Result on_request(void *self, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **slot) {
    (void)self, (void)connection, (void)url, (void)version;
    exchange *e = *slot;
    if (!e)
        return MHD_NO;
    if (!e->begun) {
        e->begun = true;
        fill_call(e, method);
        e->plan = faults_draw(e->front->box->faults, method, e->target);
        return e->plan.reset_before ? reset(e) : MHD_YES;
    }
    if (*upload_size) {
        if (!append(e, upload, *upload_size))
            e->too_large = true;
        *upload_size = 0;
        return MHD_YES;
    }
    if (e->plan.reset_after)
        return reset(e);
    if (e->plan.delay_ms && !e->waited) {
        wait_ms(e, e->plan.delay_ms);
        return MHD_YES;
    }
    dispatch(e);
    e->may_send = false;
    return e->plan.reply_lost ? MHD_NO : reply(e);
}

/* The first that is heard of a request; what it returns is the slot of `on_request`. */
static void *on_target(void *self, const char *uri, struct MHD_Connection *connection) {
    http_front *http = self;
    exchange *e = must(calloc(1, sizeof *e));
    e->front = http;
    e->connection = connection;
    e->target = must(strdup(uri));
    char *query = strchr(e->target, '?');
    if (query) {
        *query = 0;
        e->call.query = must(strdup(query + 1));
    }
    e->next = http->exchanges;
    if (e->next)
        e->next->previous = e;
    http->exchanges = e;
    return e;
}

static void on_completed(void *self, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode code) {
    (void)connection, (void)code;
    http_front *http = self;
    exchange *e = *slot;
    if (!e)
        return;
    if (e->next)
        e->next->previous = e->previous;
    if (e->previous)
        e->previous->next = e->next;
    else
        http->exchanges = e->next;
    for (int i = 0; i < e->call.header_count; i++)
        free(e->call.headers[i].value);
    json_decref(e->call.params);
    json_decref(e->call.error);
    free(e->call.text);
    free(e->call.query);
    free(e->target);
    free(e->body);
    free(e);
    *slot = NULL;
}

/* ---- start and stop ------------------------------------------------------------------------- */

static int open_listener(const sandbox_options *options, int *out_port, char *out_reason,
                         size_t reason_size) {
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found = NULL;
    char port[16];
    format_text(port, sizeof port, "%d", options->port);
    int problem = getaddrinfo(options->host, port, &hints, &found);
    if (problem) {
        format_text(out_reason, reason_size, "%s", gai_strerror(problem));
        return -1;
    }
    int on = 1;
    int listener = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener, found->ai_addr, found->ai_addrlen) != 0 || listen(listener, BACKLOG) != 0) {
        format_text(out_reason, reason_size, "%s", strerror(errno));
        if (listener >= 0)
            close(listener);
        listener = -1;
    }
    freeaddrinfo(found);
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    char text[16];
    int64_t number = 0;
    if (listener >= 0 && getsockname(listener, (struct sockaddr *)&bound, &size) == 0 &&
        getnameinfo((struct sockaddr *)&bound, size, NULL, 0, text, sizeof text, NI_NUMERICSERV) ==
            0 &&
        text_integer(text, &number))
        *out_port = (int)number;
    return listener;
}

http_front *http_start(sandbox *box, int *out_port, char *out_reason, size_t reason_size) {
    int listener = open_listener(&box->options, out_port, out_reason, reason_size);
    if (listener < 0)
        return NULL;
    http_front *http = must(calloc(1, sizeof *http));
    http->box = box;
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, http,
        MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_S, MHD_OPTION_URI_LOG_CALLBACK, on_target, http, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, http, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        http->daemon ? MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info || uv_poll_init(&box->loop, &http->poll, info->epoll_fd) != 0) {
        format_text(out_reason, reason_size, "the HTTP library did not start");
        if (http->daemon)
            MHD_stop_daemon(http->daemon);
        else
            close(listener);
        free(http);
        return NULL;
    }
    uv_timer_init(&box->loop, &http->turn_timer);
    http->turn_timer.data = http;
    http->poll.data = http;
    uv_poll_start(&http->poll, UV_READABLE, on_readable);
    turn(http);
    return http;
}

void http_stop(http_front *http) {
    if (!http)
        return;
    uv_close((uv_handle_t *)&http->poll, NULL);
    uv_close((uv_handle_t *)&http->turn_timer, NULL);
    for (exchange *e = http->exchanges; e; e = e->next)
        if (e->suspended) {
            uv_close((uv_handle_t *)e->timer, on_timer_closed);
            e->suspended = false;
            MHD_resume_connection(e->connection);
        }
    uv_run(&http->box->loop, UV_RUN_NOWAIT);
    MHD_stop_daemon(http->daemon);
    free(http);
}
