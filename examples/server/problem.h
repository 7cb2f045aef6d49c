/* problem.h - errors as application/problem+json (RFC 9457), each with a stable code; docs/http.md
 * lists them. */
#ifndef SERVER_PROBLEM_H
#define SERVER_PROBLEM_H

#include "http.h"

/* X(name, status, code, title): what HTTP itself gets wrong. The engine's statuses have their own
 * names. */
#define PROBLEM_MAP(X)                                                                             \
    X(BAD_REQUEST, 400, "http_bad_request", "the request is malformed")                            \
    X(BAD_JSON, 400, "http_bad_json", "the body is not valid JSON")                                \
    X(BAD_HEADER, 400, "http_bad_header", "a header is missing or malformed")                      \
    X(BAD_QUERY, 400, "http_bad_query", "a query argument is unknown or malformed")                \
    X(UNKNOWN_FIELD, 400, "http_unknown_field", "the body has a field that is not known")          \
    X(DUPLICATE_FIELD, 400, "http_duplicate_field", "the body names a field twice")                \
    X(MISSING_FIELD, 400, "http_missing_field", "the body lacks a required field")                 \
    X(WRONG_TYPE, 400, "http_wrong_type", "a field has the wrong JSON type")                       \
    X(TOO_DEEP, 400, "http_too_deep", "the body is nested too deeply or has too many values")      \
    X(UNAUTHORIZED, 401, "http_unauthorized", "the service token is missing or wrong")             \
    X(NO_ROUTE, 404, "http_no_route", "no such path")                                              \
    X(NO_METHOD, 405, "http_no_method", "the path does not take this method")                      \
    X(JOB_RUNNING, 409, "http_job_running",                                                        \
      "work on the whole book runs already; nothing was begun")                                    \
    X(BODY_TOO_LARGE, 413, "http_body_too_large", "the body is larger than this path takes")       \
    X(TARGET_TOO_LONG, 414, "http_target_too_long", "the request target is too long")              \
    X(BAD_MEDIA_TYPE, 415, "http_bad_media_type",                                                  \
      "the body is of a media type that this path does not take")                                  \
    X(NO_PRECONDITION, 428, "http_no_precondition", "this change needs an If-Match header")        \
    X(HEADERS_TOO_LARGE, 431, "http_headers_too_large", "the headers are too many or too large")   \
    X(RATE_LIMITED, 429, "http_rate_limited", "too many requests; nothing was done")               \
    X(OVERLOADED, 503, "http_overloaded", "too many requests are in work; nothing was done")       \
    X(NO_PROVIDER, 503, "http_no_provider", "no payment provider is configured")

typedef enum problem_kind {
#define PROBLEM_ENUM(name, status, code, title) PROBLEM_##name,
    PROBLEM_MAP(PROBLEM_ENUM)
#undef PROBLEM_ENUM
} problem_kind;

/* Answer with a problem of HTTP's own. `field`: "" or NULL when there is none. */
void problem_http(http_request *request, problem_kind which, const char *field, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));

/* Answer with an engine status that the server itself found out; `http_status` 0: the usual one. */
void problem_status(http_request *request, int http_status, cfa_status status, const char *field,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Answer with an error of the engine, or with this thread's last one. */
void problem_error(http_request *request, const cfa_error *error);
void problem_last(http_request *request, cfa_status status);

/* An engine status as a problem's code: "cfa_ekeyreuse". */
void problem_code(char *out, size_t size, cfa_status status);

/* The HTTP status that an engine status becomes. */
int problem_http_status(cfa_status status);

#endif
