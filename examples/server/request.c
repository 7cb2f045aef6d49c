/*
 * request.c - one exchange: its headers are judged before its body is read, its body is bounded,
 * its answer is sent once. Must never hand a handler a request whose framing is in doubt.
 */
#include "access.h"
#include "app.h"
#include "cors.h"
#include "framing.h"
#include "http.h"
#include "http_internal.h"
#include "limit.h"
#include "problem.h"
#include "route.h"
#include "upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- life ----------------------------------------------------------------------------------- */

static caller_address caller_of_connection(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return caller_of_socket(info ? info->client_addr : NULL);
}

static http_request *request_new(http_server *http, struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    http_peer *peer = info ? info->socket_context : NULL;
    http_request *request = peer ? calloc(1, sizeof *request) : NULL;
    if (!request)
        return NULL;
    request->http = http;
    request->app = http->options.app;
    request->connection = connection;
    request->peer = peer;
    request->references = 1;
    request->number = http->request_number++;
    request->started_us = uv_hrtime() / 1000u;
    request->method = "?";
    request->discard_limit = HTTP_DISCARD_BYTES_MAX;
    request->caller = caller_of_connection(connection);
    access_number(request);
    request->next = http->requests;
    if (request->next)
        request->next->previous = request;
    http->requests = request;
    http->request_count++;
    peer->current = request;
    peer->request_count++;
    peer->deadline_ms = http_now_ms() + HTTP_HEADERS_MS;
    return request;
}

/* A phase's deadline, within the whole request's. The time of an upload is bounded by its pieces. */
static uint64_t phase_deadline(const http_request *request, uint64_t phase_ms) {
    uint64_t phase = http_now_ms() + phase_ms;
    if (request->long_body)
        return phase;
    uint64_t whole = request->started_us / 1000u + HTTP_TOTAL_MS;
    return phase < whole ? phase : whole;
}

void http_release(http_request *request) {
    if (--request->references > 0)
        return;
    http_server *http = request->http;
    if (request->next)
        request->next->previous = request->previous;
    if (request->previous)
        request->previous->next = request->next;
    else
        http->requests = request->next;
    upload_end(request);
    json_decref(request->json);
    free(request->body);
    free(request->input);
    free(request->answer.body);
    free(request);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* A broken head ends the connection: what follows it may be anything. */
static bool check_head(http_request *request, const char *method, const char *path,
                       const char *version, framing *head) {
    const char *wrong =
        framing_check(head, request->connection, method, request->target_size, version);
    request->answer.close = true;
    if (wrong) {
        problem_http(request, PROBLEM_BAD_REQUEST, NULL, "%s", wrong);
        return false;
    }
    if (head->header_count > HTTP_HEADER_COUNT_MAX || head->header_bytes > HTTP_HEADER_BYTES_MAX) {
        problem_http(request, PROBLEM_HEADERS_TOO_LARGE, NULL, "at most %d headers with %d bytes",
                     HTTP_HEADER_COUNT_MAX, HTTP_HEADER_BYTES_MAX);
        return false;
    }
    wrong = framing_check_target(path);
    if (wrong) {
        problem_http(request, PROBLEM_BAD_REQUEST, NULL, "%s", wrong);
        return false;
    }
    request->answer.close = head->length > HTTP_DISCARD_BYTES_MAX ||
                            request->peer->request_count >= HTTP_PEER_REQUESTS_MAX;
    return true;
}

static void refuse_size(http_request *request) {
    problem_http(request, PROBLEM_BODY_TOO_LARGE, NULL, "at most %zu bytes", request->body_limit);
}

static void refuse_load(http_request *request) {
    problem_http(request, PROBLEM_OVERLOADED, NULL, "at most %d requests are in work at once",
                 request->http->options.request_limit);
}

/* Judge everything that stands before the body. An answer that is set here is sent after the body
 * was read and dropped, so that the connection stays in step; with `answer.close` it is sent at
 * once. */
static void admit(http_request *request, const char *method, const char *path,
                  const char *version) {
    framing head;
    access_identify(request);
    if (!check_head(request, method, path, version, &head))
        return;
    cors_admit(request);
    route_match match = route_find(request, method, path);
    if (!limit_admit(request))
        return;
    /* The target's query is not part of `path`. */
    if (request->target_size > HTTP_TARGET_BYTES_MAX) {
        problem_http(request, PROBLEM_TARGET_TOO_LONG, NULL, "at most %d bytes",
                     HTTP_TARGET_BYTES_MAX);
        return;
    }
    switch (match) {
    case ROUTE_NO_PATH:
        problem_http(request, PROBLEM_NO_ROUTE, NULL, "GET /openapi.json lists the routes");
        return;
    case ROUTE_NO_METHOD:
        problem_http(request, PROBLEM_NO_METHOD, NULL, "use %s", request->answer.allow);
        return;
    case ROUTE_OPTIONS: http_answer_empty(request, 204); return;
    case ROUTE_FOUND: break;
    }
    request->body_limit = route_body_limit(request);
    if (request->body_limit == 0 && (head.length > 0 || head.chunked))
        request->answer.close = true; /* a body where none belongs hides something */
    if (head.length > request->body_limit || (head.chunked && request->body_limit == 0))
        refuse_size(request);
    else if (request->http->in_work >= request->http->options.request_limit)
        refuse_load(request);
    else
        route_admit(request);
    if (request->answered && (request->route->flags & ROUTE_RECORD) && head.chunked)
        request->answer.close = true; /* who knows how much would have to be dropped */
}

/* Keep or drop a piece of the body; false when the connection is not worth reading on. */
static bool take_body(http_request *request, const char *data, size_t size) {
    if (!request->answered && size > request->body_limit - request->body_size)
        refuse_size(request);
    if (request->answered) {
        upload_end(request);
        request->discarded += size;
        return request->discarded <= request->discard_limit;
    }
    if (request->upload) {
        request->body_size += size;
        return upload_take(request, data, size);
    }
    if (request->body_size + size > request->body_capacity) {
        size_t capacity = request->body_capacity ? request->body_capacity * 2 : 1024;
        while (capacity < request->body_size + size)
            capacity *= 2;
        char *grown = realloc(request->body, capacity);
        if (!grown)
            return false;
        request->body = grown;
        request->body_capacity = capacity;
    }
    memcpy(request->body + request->body_size, data, size);
    request->body_size += size;
    return true;
}

static int count_trailers(http_request *request) {
    return MHD_get_connection_values(request->connection, MHD_FOOTER_KIND, NULL, NULL);
}

/* ---- answering ------------------------------------------------------------------------------ */

static void add_header(struct MHD_Response *response, const char *name, const char *value) {
    if (value && *value != '\0')
        (void)MHD_add_response_header(response, name, value);
}

static struct MHD_Response *response_new(http_request *request) {
    static char out_of_memory[] = "{\"type\":\"urn:careforall:problem:cfa_enomem\",\"title\":\"out "
                                  "of memory; nothing was done\","
                                  "\"status\":500,\"code\":\"cfa_enomem\"}";
    http_answer *answer = &request->answer;
    if (!answer->body) {
        answer->status = 500;
        answer->content_type = "application/problem+json";
        return MHD_create_response_from_buffer(sizeof out_of_memory - 1, out_of_memory,
                                               MHD_RESPMEM_PERSISTENT);
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->body_size, answer->body, MHD_RESPMEM_MUST_FREE);
    if (response)
        answer->body = NULL;
    return response;
}

static enum MHD_Result queue_answer(http_request *request) {
    http_answer *answer = &request->answer;
    struct MHD_Response *response = response_new(request);
    if (!response)
        return MHD_NO;
    request->sent_size = answer->body_size;
    char number[16] = "";
    if (answer->retry_after_s > 0)
        snprintf(number, sizeof number, "%d", answer->retry_after_s);
    add_header(response, "Content-Type", answer->content_type);
    add_header(response, "Cache-Control", answer->revalidate ? "no-cache" : "no-store");
    add_header(response, "X-Content-Type-Options", "nosniff");
    add_header(response, "X-Request-Id", request->id);
    add_header(response, "Location", answer->location);
    add_header(response, "Link", answer->link);
    add_header(response, "ETag", answer->entity_tag);
    add_header(response, "Careforall-Position", answer->position);
    add_header(response, "Careforall-Pledge-Token", answer->pledge_token);
    add_header(response, "Allow", answer->allow);
    add_header(response, "Content-Security-Policy", answer->policy);
    add_header(response, "Retry-After", number);
    add_header(response, "Idempotent-Replayed", answer->replayed ? "true" : NULL);
    add_header(response, "WWW-Authenticate", answer->challenge ? "Bearer" : NULL);
    if (request->http->options.cors_origins)
        cors_answer(request, response);
    if (answer->close || request->http->draining)
        add_header(response, "Connection", "close");
    request->queued = true;
    request->peer->deadline_ms = phase_deadline(request, HTTP_WRITE_MS);
    enum MHD_Result result =
        MHD_queue_response(request->connection, (unsigned)answer->status, response);
    MHD_destroy_response(response);
    return result;
}

void http_answer_bytes(http_request *request, int status, const void *data, size_t size) {
    free(request->answer.body);
    request->answer.body = malloc(size > 0 ? size : 1);
    if (request->answer.body && size > 0)
        memcpy(request->answer.body, data, size);
    request->answer.body_size = size;
    request->answer.status = status;
    if (!request->answer.content_type)
        request->answer.content_type = "application/json";
    request->answered = true;
}

void http_answer_json(http_request *request, int status, json_t *value) {
    size_t flags = JSON_COMPACT;
    size_t size = value ? json_dumpb(value, NULL, 0, flags) : 0;
    free(request->answer.body);
    request->answer.body = size > 0 ? malloc(size + 1) : NULL;
    if (request->answer.body) {
        (void)json_dumpb(value, request->answer.body, size, flags);
        request->answer.body[size++] = '\n';
    }
    json_decref(value);
    request->answer.body_size = size;
    request->answer.status = status;
    if (!request->answer.content_type)
        request->answer.content_type = "application/json";
    request->answered = true;
}

void http_answer_empty(http_request *request, int status) {
    http_answer_bytes(request, status, "", 0);
    request->answer.content_type = NULL;
}

void http_finish(http_request *request) {
    request->pending = false;
    request->http->in_work--;
    if (request->suspended) {
        request->suspended = false;
        MHD_resume_connection(request->connection);
        http_wake(request->http);
    }
}

/* ---- work elsewhere ------------------------------------------------------------------------- */

static void on_work(uv_work_t *work) {
    http_request *request = work->data;
    request->run(request);
}

static void on_work_done(uv_work_t *work, int status) {
    http_request *request = work->data;
    if (status != 0) /* cancelled before it began */
        problem_status(request, 0, CFA_ECLOSING, NULL, "the server is closing; nothing was done");
    if (request->settle)
        request->settle(request);
    http_finish(request);
    http_release(request);
}

void http_offload(http_request *request, void (*run)(http_request *request)) {
    request->run = run;
    request->pending = true;
    request->work.data = request;
    request->references++;
    if (uv_queue_work(request->http->options.loop, &request->work, on_work, on_work_done) != 0) {
        request->references--;
        request->pending = false;
        problem_status(request, 0, CFA_EQUEUE, NULL,
                       "the thread pool took no work; nothing was done");
    }
}

void http_await(http_request *request,
                void (*complete)(http_request *request, cfa_completion *completion)) {
    request->complete = complete;
    request->pending = true;
    request->deadline_ms = phase_deadline(request, HTTP_WORK_MS);
    request->references++;
}

void http_completed(http_request *request, cfa_completion *completion) {
    if (request->complete) {
        request->complete(request, completion);
        request->complete = NULL;
        http_finish(request);
    }
    http_release(request);
}

void http_abandon(http_request *request, bool closing) {
    request->complete = NULL;
    problem_status(request, 0, CFA_EINDOUBT, NULL, "the %s; repeat with the same key",
                   closing ? "server is closing" : "deadline passed while the request was in work");
    http_finish(request);
}

/* ---- libmicrohttpd's side ------------------------------------------------------------------- */

static enum MHD_Result dispatch(http_request *request) {
    http_server *http = request->http;
    if (count_trailers(request) > 0) {
        problem_http(request, PROBLEM_BAD_REQUEST, NULL, "trailers are not taken");
        request->answer.close = true;
    } else if (http->in_work >= http->options.request_limit) {
        refuse_load(request);
    } else {
        http->in_work++;
        route_dispatch(request);
        if (request->pending) {
            request->suspended = true;
            MHD_suspend_connection(request->connection);
            return MHD_YES;
        }
        http->in_work--;
    }
    return queue_answer(request);
}

void *http_on_target(void *self, const char *target, struct MHD_Connection *connection) {
    http_request *request = request_new(self, connection);
    if (request)
        request->target_size = target ? strlen(target) : 0;
    return request;
}

enum MHD_Result http_on_request(void *self, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_size, void **request_slot) {
    (void)self;
    (void)connection;
    http_request *request = *request_slot;
    if (!request)
        return MHD_NO; /* there was no memory for it */
    if (!request->admitted) {
        request->admitted = true;
        request->peer->deadline_ms = phase_deadline(request, HTTP_BODY_MS);
        admit(request, method, url, version);
        bool at_once = request->answer.close || http_header(request, "Expect", NULL);
        return request->answered && at_once ? queue_answer(request) : MHD_YES;
    }
    if (request->queued || request->suspended) /* the rest waits until a piece is in its file */
        return MHD_YES;
    if (*upload_size > 0) {
        size_t size = *upload_size;
        *upload_size = 0;
        return take_body(request, upload, size) ? MHD_YES : MHD_NO;
    }
    if (request->answered)
        return queue_answer(request);
    return dispatch(request);
}

/* What was sent: ours, or the page of libmicrohttpd when it could not read the head. */
static int sent_status(const http_request *request) {
    if (request->queued)
        return request->answer.status;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_HTTP_STATUS);
    return info ? (int)info->http_status : 0;
}

void http_on_completed(void *self, struct MHD_Connection *connection, void **request_slot,
                       enum MHD_RequestTerminationCode code) {
    (void)connection;
    http_server *http = self;
    http_request *request = *request_slot;
    *request_slot = NULL;
    if (!request)
        return;
    if (!http->options.quiet)
        access_log(request, sent_status(request), code != MHD_REQUEST_TERMINATED_COMPLETED_OK);
    request->peer->current = NULL;
    request->peer->deadline_ms = http_now_ms() + HTTP_IDLE_MS;
    request->connection = NULL;
    http->request_count--;
    http_release(request);
    http_check_drained(http);
}

/* ---- for handlers --------------------------------------------------------------------------- */

typedef struct header_search {
    const char *name, *value;
    int count;
} header_search;

static enum MHD_Result match_header(void *self, enum MHD_ValueKind kind, const char *name,
                                    const char *value) {
    (void)kind;
    header_search *search = self;
    if (strcasecmp(name, search->name) == 0) {
        search->count++;
        search->value = value ? value : "";
    }
    return MHD_YES;
}

const char *http_header(http_request *request, const char *name, int *out_count) {
    header_search search = { name, NULL, 0 };
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, match_header, &search);
    if (out_count)
        *out_count = search.count;
    return search.value;
}

const char *http_query(http_request *request, const char *name) {
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

void *http_input(http_request *request, size_t size) {
    request->input = calloc(1, size);
    if (!request->input)
        problem_status(request, 0, CFA_ENOMEM, NULL, "nothing was done");
    return request->input;
}
