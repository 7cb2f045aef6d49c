/* http_internal.h - what http.c (connections, loop, drain) and request.c (one exchange) share. */
#ifndef SERVER_HTTP_INTERNAL_H
#define SERVER_HTTP_INTERNAL_H

#include "http.h"

/* One connection. Deadlines are absolute, so that a slow trickle of bytes does not move them. */
typedef struct http_peer {
    struct http_peer *next, *previous;
    struct MHD_Connection *connection;
    http_request *current; /* NULL between requests */
    uint64_t deadline_ms;
    int32_t request_count;
    bool leaving; /* shut down, to be closed at libmicrohttpd's next turn */
} http_peer;

struct http_server {
    http_options options;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t turn_timer;  /* when libmicrohttpd wants to be run again */
    uv_timer_t sweep_timer; /* deadlines; runs while there are connections */
    uv_timer_t drain_timer;
    http_peer *peers, *oldest_peer; /* newest first */
    int32_t peer_count;
    bool again; /* run libmicrohttpd once more at once */
    http_request *requests;
    size_t request_count; /* exchanges that are not over */
    int32_t in_work;      /* dispatched and not yet answered */
    uint64_t request_base, request_number;
    bool draining, drained, forced;
    bool cut; /* the end came before the answer of something in work */
    void (*on_drained)(struct server_app *app, bool clean);
};

/* libmicrohttpd's side: a first line was read, its head or a piece of its body, the end. */
void *http_on_target(void *self, const char *target, struct MHD_Connection *connection);
enum MHD_Result http_on_request(void *self, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_size, void **request_slot);
void http_on_completed(void *self, struct MHD_Connection *connection, void **request_slot,
                       enum MHD_RequestTerminationCode code);

/* The answer is set: let the suspended connection send it. */
void http_finish(http_request *request);
/* Run libmicrohttpd soon: it does not notice by itself that a connection was resumed. */
void http_wake(http_server *http);
/* Give up waiting for a begun engine call. */
void http_abandon(http_request *request, bool closing);
void http_release(http_request *request);
/* An exchange ended: closes the server's last page when draining. */
void http_check_drained(http_server *http);
uint64_t http_now_ms(void);

#endif
