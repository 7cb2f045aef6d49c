/*
 * limit.c - which limit a request counts against, and its refusal. Must never count what carries
 * the service token, nor hold a webhook against a donor.
 */
#include "limit.h"
#include "app.h"
#include "caller.h"
#include "header.h"
#include "log.h"
#include "problem.h"
#include "rate.h"
#include "route.h"

#include <sodium.h>

#include <stdlib.h>
#include <strings.h>

typedef enum limit_kind { LIMIT_REQUESTS, LIMIT_PLEDGES, LIMIT_WEBHOOKS, LIMIT_KINDS } limit_kind;

#define REPORT_NS UINT64_C(10000000000) /* at least between two lines of the log */
#define SECOND_NS UINT64_C(1000000000)

struct server_limits {
    int32_t per_minute[LIMIT_KINDS];
    rate_table *tables[LIMIT_KINDS]; /* NULL: off */
    int64_t refused[LIMIT_KINDS];    /* since the last line */
    uint64_t report_ns;              /* when the next line may come */
    const caller_blocks *trusted;
};

server_limits *limits_new(const server_config *config) {
    server_limits *limits = calloc(1, sizeof *limits);
    if (!limits)
        return NULL;
    unsigned char secret[RATE_SECRET_BYTES];
    limits->trusted = &config->trusted_proxies;
    limits->per_minute[LIMIT_REQUESTS] = config->requests_per_minute;
    limits->per_minute[LIMIT_PLEDGES] = config->pledges_per_minute;
    limits->per_minute[LIMIT_WEBHOOKS] = config->webhooks_per_minute;
    for (int i = 0; i < LIMIT_KINDS; i++) {
        if (limits->per_minute[i] == 0)
            continue;
        randombytes_buf(secret, sizeof secret);
        limits->tables[i] = rate_new(limits->per_minute[i], secret);
        if (!limits->tables[i]) {
            limits_free(limits);
            return NULL;
        }
    }
    return limits;
}

/* One line says how much was refused, so that a flood is seen also with --quiet and fills no log. */
static void report(server_limits *limits) {
    log_line("warning", "rate_limited",
             json_pack("{s:I, s:I, s:I}", "pledges", (json_int_t)limits->refused[LIMIT_PLEDGES],
                       "requests", (json_int_t)limits->refused[LIMIT_REQUESTS], "webhooks",
                       (json_int_t)limits->refused[LIMIT_WEBHOOKS]));
    for (int i = 0; i < LIMIT_KINDS; i++)
        limits->refused[i] = 0;
}

void limits_free(server_limits *limits) {
    if (!limits)
        return;
    int64_t refused = 0;
    for (int i = 0; i < LIMIT_KINDS; i++) {
        refused += limits->refused[i];
        rate_free(limits->tables[i]);
    }
    if (refused > 0)
        report(limits);
    free(limits);
}

/* ---- who asks ------------------------------------------------------------------------------- */

typedef struct value_list {
    const char *values[HTTP_HEADER_COUNT_MAX];
    int count;
} value_list;

static enum MHD_Result keep_forwarded(void *self, enum MHD_ValueKind kind, const char *name,
                                      const char *value) {
    (void)kind;
    value_list *list = self;
    if (value && list->count < HTTP_HEADER_COUNT_MAX && strcasecmp(name, "X-Forwarded-For") == 0)
        list->values[list->count++] = value;
    return MHD_YES;
}

/* A proxy whose word cannot be read is configured wrongly, and that should be seen: counted under the
 * proxy's address, all its callers would be one. */
static bool find_caller(http_request *request, const caller_blocks *trusted) {
    value_list list = { .count = 0 };
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, keep_forwarded, &list);
    const char *wrong = caller_forwarded(&request->caller, trusted, list.values, list.count);
    if (wrong)
        problem_http(request, PROBLEM_BAD_HEADER, "X-Forwarded-For", "%s", wrong);
    return !wrong;
}

/* ---- how often ------------------------------------------------------------------------------ */

static limit_kind kind_of(const http_route *route) {
    unsigned flags = route ? route->flags : 0;
    return (flags & ROUTE_RAW)   ? LIMIT_WEBHOOKS
           : (flags & ROUTE_PAY) ? LIMIT_PLEDGES
                                 : LIMIT_REQUESTS;
}

static void refuse(http_request *request, server_limits *limits, limit_kind kind, uint64_t now_ns,
                   uint64_t wait_ns) {
    static const char *const names[] = { "requests", "pledges", "webhooks" };
    limits->refused[kind]++;
    if (now_ns >= limits->report_ns) {
        report(limits);
        limits->report_ns = now_ns + REPORT_NS;
    }
    request->answer.retry_after_s = (int)((wait_ns - 1) / SECOND_NS) + 1;
    problem_http(request, PROBLEM_RATE_LIMITED, NULL,
                 "at most %d %s in a minute come from one address, %d of them at once",
                 limits->per_minute[kind], names[kind], rate_burst(limits->per_minute[kind]));
}

bool limit_admit(http_request *request) {
    server_limits *limits = request->app->limits;
    bool proxied = caller_blocks_hold(limits->trusted, &request->caller);
    if (proxied && !find_caller(request, limits->trusted))
        return false;
    limit_kind kind = kind_of(request->route);
    if (!limits->tables[kind] || (!proxied && caller_is_loopback(&request->caller)) ||
        header_service_token(request, &request->app->secrets.tokens) == TOKEN_RIGHT)
        return true;
    caller_address network = caller_network(&request->caller);
    uint64_t now_ns = uv_hrtime();
    uint64_t wait_ns = rate_take(limits->tables[kind], network.bytes, now_ns);
    if (wait_ns > 0)
        refuse(request, limits, kind, now_ns, wait_ns);
    return wait_ns == 0;
}
