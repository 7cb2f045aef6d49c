/*
 * route.c - the table of routes and what holds for every route: token, query names, media type. The
 * path is matched byte for byte.
 */
#include "route.h"
#include "app.h"
#include "body.h"
#include "handlers.h"
#include "header.h"
#include "problem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const http_route routes[] = {
    { "GET", "/health", 0, 0, "", handle_health },
    { "POST", "/api/v1/campaigns", ROUTE_SERVICE | ROUTE_JSON, HTTP_BODY_BYTES_MAX, "",
      handle_campaign_create },
    { "GET", "/api/v1/campaigns", 0, 0, "limit after", handle_campaign_list },
    { "GET", "/api/v1/campaigns/{id}", 0, 0, "at_least", handle_campaign_get },
    { "PUT", "/api/v1/campaigns/{id}", ROUTE_SERVICE | ROUTE_JSON, HTTP_BODY_BYTES_MAX, "",
      handle_campaign_update },
    { "POST", "/api/v1/campaigns/{id}/end", ROUTE_SERVICE, 0, "", handle_campaign_end },
    { "GET", "/api/v1/campaigns/{id}/totals", 0, 0, "at_least", handle_totals_get },
    { "POST", "/api/v1/pledges", ROUTE_JSON, HTTP_BODY_BYTES_MAX, "", handle_pledge_create },
    { "GET", "/api/v1/pledges/{id}", 0, 0, "", handle_pledge_get },
    { "POST", "/webhooks/payment", ROUTE_RAW, HTTP_WEBHOOK_BYTES_MAX, "", handle_webhook },
    { "POST", "/play/confirm", ROUTE_JSON | ROUTE_PLAY, HTTP_BODY_BYTES_MAX, "",
      handle_play_confirm },
};

enum { ROUTE_COUNT = (int)(sizeof routes / sizeof routes[0]) };

static bool path_matches(const char *pattern, const char *path, char *parameter,
                         size_t parameter_size) {
    const char *brace = strchr(pattern, '{');
    if (!brace)
        return strcmp(pattern, path) == 0;
    size_t before = (size_t)(brace - pattern);
    const char *after = brace + strlen("{id}");
    if (strncmp(pattern, path, before) != 0)
        return false;
    size_t size = strcspn(path + before, "/");
    if (size == 0 || size >= parameter_size || strcmp(path + before + size, after) != 0)
        return false;
    memcpy(parameter, path + before, size);
    parameter[size] = '\0';
    return true;
}

route_match route_find(http_request *request, const char *method, const char *path) {
    /* HEAD is GET without the body, which libmicrohttpd leaves out. */
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    char allow[sizeof request->answer.allow] = "";
    for (int i = 0; i < ROUTE_COUNT; i++) {
        const http_route *candidate = &routes[i];
        if ((candidate->flags & ROUTE_PLAY) && !request->app->play)
            continue;
        if (!path_matches(candidate->pattern, path, request->parameter, sizeof request->parameter))
            continue;
        if (strcmp(candidate->method, wanted) == 0) {
            request->method = strcmp(method, "HEAD") == 0 ? "HEAD" : candidate->method;
            request->route = candidate;
            return ROUTE_FOUND;
        }
        size_t used = strlen(allow);
        snprintf(allow + used, sizeof allow - used, "%s%s%s", used > 0 ? ", " : "",
                 candidate->method, strcmp(candidate->method, "GET") == 0 ? ", HEAD" : "");
    }
    memcpy(request->answer.allow, allow, sizeof allow);
    return allow[0] != '\0' ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
}

/* ---- what holds for every route ------------------------------------------------------------- */

typedef struct query_scan {
    const char *allowed;
    bool unknown, repeated;
    unsigned seen;
} query_scan;

static enum MHD_Result scan_query(void *self, enum MHD_ValueKind kind, const char *name,
                                  const char *value) {
    (void)kind;
    (void)value;
    query_scan *scan = self;
    unsigned bit = 1;
    for (const char *at = scan->allowed; *at != '\0'; bit <<= 1) {
        size_t size = strcspn(at, " ");
        if (strlen(name) == size && strncmp(at, name, size) == 0) {
            scan->repeated = scan->repeated || (scan->seen & bit) != 0;
            scan->seen |= bit;
            return MHD_YES;
        }
        at += size + strspn(at + size, " ");
    }
    scan->unknown = true;
    return MHD_YES;
}

static bool check_query(http_request *request) {
    query_scan scan = { request->route->queries, false, false, 0 };
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, scan_query, &scan);
    if (scan.unknown)
        problem_http(request, PROBLEM_BAD_QUERY, NULL, "this path takes %s%s",
                     *scan.allowed ? "only: " : "no query arguments", scan.allowed);
    else if (scan.repeated)
        problem_http(request, PROBLEM_BAD_QUERY, NULL, "a query argument is given twice");
    return !scan.unknown && !scan.repeated;
}

/* A form or plain-text post is what a foreign page can make a browser send without asking; JSON is
 * not. */
static bool check_media_type(http_request *request) {
    int count = 0;
    const char *text = http_header(request, "Content-Type", &count);
    static const char wanted[] = "application/json";
    size_t size = sizeof wanted - 1;
    if (count == 1 && strncasecmp(text, wanted, size) == 0) {
        text += size;
        text += strspn(text, " \t");
        if (*text == '\0')
            return true;
        if (*text == ';') {
            text++;
            text += strspn(text, " \t");
            if (strcasecmp(text, "charset=utf-8") == 0 ||
                strcasecmp(text, "charset=\"utf-8\"") == 0)
                return true;
        }
    }
    problem_http(request, PROBLEM_BAD_MEDIA_TYPE, "Content-Type",
                 "send Content-Type: application/json");
    return false;
}

bool route_admit(http_request *request) {
    unsigned flags = request->route->flags;
    header_token token = header_service_token(request, request->app->config->token);
    request->service = token == TOKEN_RIGHT;
    /* A wrong token is never quietly treated as none. */
    if (token == TOKEN_WRONG || ((flags & ROUTE_SERVICE) && token != TOKEN_RIGHT)) {
        problem_http(request, PROBLEM_UNAUTHORIZED, "Authorization",
                     token == TOKEN_WRONG ? "the token is not the service token"
                                          : "send Authorization: Bearer and the service token");
        request->answer.challenge = true;
        return false;
    }
    if (!check_query(request))
        return false;
    return !(flags & ROUTE_JSON) || check_media_type(request);
}

void route_dispatch(http_request *request) {
    if ((request->route->flags & ROUTE_JSON) && !body_parse(request))
        return;
    request->route->handler(request);
}
