/*
 * http.h - HTTP/1.1 by libmicrohttpd inside the libuv loop: connections, one request object per
 * request, limits, work on the thread pool, drain. Knows routes only through route.h; must never
 * block the loop's thread.
 *
 * A request is touched by the loop's thread, but for the time between `http_offload` and its
 * return, when it belongs to the pool's thread.
 */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include "caller.h"

#include <careforall/careforall.h>

#include <jansson.h>
#include <microhttpd.h>
#include <uv.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_POSITION_MAX INT64_C(999999999999999999)

/* Limits; docs/http.md lists them. */
enum {
    HTTP_CONNECTION_MEMORY_BYTES = 24 * 1024, /* header and read buffer of one connection */
    HTTP_HEADER_BYTES_MAX = 16 * 1024,
    HTTP_HEADER_COUNT_MAX = 64,
    HTTP_TARGET_BYTES_MAX = 2048,
    HTTP_BODY_BYTES_MAX = 64 * 1024,
    HTTP_WEBHOOK_BYTES_MAX = 512 * 1024,
    HTTP_DISCARD_BYTES_MAX = 1024 * 1024,  /* of a refused body that is still read */
    HTTP_UPLOAD_PIECE_BYTES = 1024 * 1024, /* of a body that goes to a file: each in HTTP_BODY_MS */
    HTTP_IDLE_MS = 15000,
    HTTP_HEADERS_MS = 10000,
    HTTP_BODY_MS = 20000,
    HTTP_WORK_MS = 30000,
    HTTP_WRITE_MS = 15000,
    HTTP_TOTAL_MS = 60000, /* of one request, from its first line to the answer's last byte; a body
                            * that goes to a file has its own time */
    HTTP_CALL_MS = 8000,   /* what an engine call may take */
    HTTP_PEER_REQUESTS_MAX = 1000, /* on one connection */
    HTTP_ID_BYTES_MIN = 8,
    HTTP_ID_BYTES_MAX = 64,
    HTTP_RETRY_AFTER_MAX_S = 3600
};

typedef struct http_server http_server;
typedef struct http_request http_request;
struct server_app;
struct http_route;

/* What is sent back. `body` is owned by the request until it is queued. */
typedef struct http_answer {
    int status;
    char *body;
    size_t body_size;
    const char *content_type;
    char code[32]; /* of a problem, for the log; "" */
    char location[96];
    char link[128];
    char entity_tag[64];
    char position[24];
    char pledge_token[48];
    char allow[64];
    char policy[192];  /* Content-Security-Policy of a page */
    int retry_after_s; /* 0: none */
    bool replayed;
    bool revalidate; /* may be kept by caches that ask again with the ETag */
    bool challenge;  /* WWW-Authenticate */
    bool preflight;  /* a browser asks what a page of another origin may do */
    bool close;
} http_answer;

struct http_request {
    http_server *http;
    struct server_app *app;
    struct MHD_Connection *connection; /* NULL once the exchange is over */
    struct http_peer *peer;
    http_request *next, *previous; /* all requests, for drain */
    int references;                /* connection, pool work, engine call */
    uint64_t number;
    uint64_t started_us;
    char id[HTTP_ID_BYTES_MAX + 1];
    char traceparent[56]; /* "" when none was sent */
    size_t target_size;
    bool admitted; /* its head was read */
    const char *method;
    const struct http_route *route; /* NULL when refused before routing */
    char parameter[64];             /* the path's {id} */
    const char *origin;             /* of an allowed page, for CORS; NULL: none */
    bool service;                   /* carries the service token */
    caller_address caller;          /* the peer, or whom a trusted proxy names */

    char *body;
    size_t body_size, body_capacity, body_limit, discarded, discard_limit, sent_size;
    json_t *json;
    struct http_upload *upload; /* where the body goes instead; NULL: to `body` */

    bool suspended, queued;
    bool pending; /* worked on elsewhere; the loop must not look at the answer */
    bool answered;
    bool long_body;       /* it went to a file, and took its time */
    uint64_t deadline_ms; /* of an engine call that was begun */
    uv_work_t work;
    void (*run)(http_request *request);
    void (*settle)(http_request *request); /* on the loop's thread after the pool; may be NULL */
    void (*complete)(http_request *request, cfa_completion *completion); /* NULL: nothing begun */
    void *input; /* the handler's own, freed with the request */

    http_answer answer;
};

typedef struct http_options {
    struct server_app *app;
    uv_loop_t *loop;
    int listener; /* bound, listening, non-blocking; taken over on success */
    int32_t connection_limit;
    int32_t request_limit;
    int32_t address_limit;    /* connections of one address; 0: no limit (behind a proxy) */
    const char *cors_origins; /* origins whose pages may call, separated by spaces; NULL: none */
    bool log_addresses;       /* put the peer's address into the log: it is personal data */
    bool quiet;
} http_options;

/* Start answering. NULL with the reason in `*out_reason`. */
http_server *http_start(const http_options *options, const char **out_reason);

/* Stop accepting and finish what is in flight, at most `limit_ms`; then `drained(app, clean)` is
 * called once. */
void http_drain(http_server *http, int32_t limit_ms,
                void (*drained)(struct server_app *app, bool clean));

/* Requests whose answer is being worked out. The loop's thread alone. */
int32_t http_in_work(const http_server *http);

/* False while an exchange is not over: then a thread is stuck, and `http_stop` must not be called.
 */
bool http_is_idle(const http_server *http);

/* Free everything, after `drained`. */
void http_stop(http_server *http);

/* ---- for handlers --------------------------------------------------------------------------- */

/* One header's value, or NULL; `*out_count` (may be NULL) tells how often it was sent. */
const char *http_header(http_request *request, const char *name, int *out_count);
/* One query argument's value as sent, without any decoding, or NULL. */
const char *http_query(http_request *request, const char *name);

/* The request's W3C trace context, or NULL when none or a malformed one was sent. Borrowed. */
const char *http_traceparent(const http_request *request);

/* Zeroed memory that lives as long as the request; NULL after a 500 was answered. Once per request.
 */
void *http_input(http_request *request, size_t size);

/* Run `run` on the thread pool; it must set an answer. */
void http_offload(http_request *request, void (*run)(http_request *request));

/* An engine call with this request as its token was begun; `complete` must set an answer. */
void http_await(http_request *request,
                void (*complete)(http_request *request, cfa_completion *completion));
/* The loop's thread hands over a completion that a port returned. */
void http_completed(http_request *request, cfa_completion *completion);

/* Answer with JSON; takes the reference. NULL stands for "out of memory". */
void http_answer_json(http_request *request, int status, json_t *value);
/* Answer with bytes; copied. */
void http_answer_bytes(http_request *request, int status, const void *data, size_t size);
/* Answer without a body. */
void http_answer_empty(http_request *request, int status);

#endif
