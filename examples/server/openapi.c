/*
 * openapi.c - the OpenAPI 3.1 document, made from the tables of routes, problems and statuses, so
 * that it cannot say what the server does not do. Made once, on the loop's thread.
 */
#include "openapi.h"
#include "app.h"
#include "handlers.h"
#include "header.h"
#include "problem.h"
#include "route.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *reference(const char *kind, const char *name) {
    return json_pack("{s:o}", "$ref", json_sprintf("#/components/%s/%s", kind, name));
}

/* "#/components/schemas/NAME" of an id, by what the path is about. */
static const char *id_schema(const char *pattern) {
    static const struct {
        const char *folder, *schema;
    } ids[] = { { "/api/v1/pledges/", "PledgeId" },         { "/api/v1/payments/", "PaymentId" },
                { "/api/v1/refunds/", "RefundId" },         { "/api/v1/disputes/", "DisputeId" },
                { "/api/v1/admin/doctor/", "FindingCode" }, { "/api/v1/admin/", "AnyId" } };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (strncmp(pattern, ids[i].folder, strlen(ids[i].folder)) == 0)
            return ids[i].schema;
    return "CampaignId";
}

/* ---- parameters and headers ----------------------------------------------------------------- */

typedef struct named_json {
    const char *name, *json;
} named_json;

#define JSON(...) #__VA_ARGS__

/* clang-format off */
/* What requests may carry; the key is the component's name, or that of a query argument. */
static const named_json parameters[] = {
    { "limit", JSON({"name": "limit", "in": "query", "description": "size of the page",
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}}) },
    { "after", JSON({"name": "after", "in": "query",
        "description": "`next` of the page before; opaque, to be passed back as it is",
        "schema": {"type": "string", "minLength": 1, "maxLength": 64,
                   "pattern": "^[0-9A-Za-z_-]+$"}}) },
    { "at_least", JSON({"name": "at_least", "in": "query",
        "description": "a Careforall-Position: the answer includes everything up to there",
        "schema": {"type": "integer", "format": "int64", "minimum": 0,
                   "maximum": 999999999999999999}}) },
    { "deep", JSON({"name": "deep", "in": "query",
        "description": "1: read every payment and parked webhook, however many",
        "schema": {"type": "integer", "enum": [0, 1], "default": 0}}) },
    { "from", JSON({"name": "from", "in": "query",
        "description": "what was made here since must be in the file; with `until`",
        "schema": {"$ref": "#/components/schemas/Time"}}) },
    { "until", JSON({"name": "until", "in": "query",
        "description": "and before this time; with `from`",
        "schema": {"$ref": "#/components/schemas/Time"}}) },
    { "repair", JSON({"name": "repair", "in": "query",
        "description": "1: tell the book what the file's objects say, then compare again",
        "schema": {"type": "integer", "enum": [0, 1], "default": 0}}) },
    { "all_ours", JSON({"name": "all_ours", "in": "query",
        "description": "1: what names no payment of ours is missing here, too",
        "schema": {"type": "integer", "enum": [0, 1], "default": 0}}) },
    { "IdempotencyKey", JSON({"name": "Idempotency-Key", "in": "header", "required": true,
        "description":
            "made before the first try and kept for repeats; unguessable without the service token",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255,
                   "pattern": "^[!#-~]+$"}}) },
    { "IfMatch", JSON({"name": "If-Match", "in": "header", "required": true,
        "description": "the ETag of the version that this change was made from",
        "schema": {"type": "string", "pattern": "^\"[1-9][0-9]{0,17}(-[0-9]{1,18})?\"$"}}) },
    { "IfNoneMatch", JSON({"name": "If-None-Match", "in": "header",
        "description": "ETags that the caller has; 304 when one of them is current",
        "schema": {"type": "string"}}) },
    { "RequestId", JSON({"name": "X-Request-Id", "in": "header",
        "description":
            "taken over when it is 8 to 64 letters, digits, dots, dashes and underscores",
        "schema": {"type": "string"}}) },
    { "TraceParent", JSON({"name": "traceparent", "in": "header",
        "description":
            "W3C trace context, kept in the events of a pledge; a malformed one is as none",
        "schema": {"type": "string"}}) },
    { "PledgeToken", JSON({"name": "Careforall-Pledge-Token", "in": "header",
        "description": "of the answer that made the pledge: shows it to its donor",
        "schema": {"type": "string"}}) },
    { "Actor", JSON({"name": "Careforall-Actor", "in": "header",
        "description": "who asks, for the audit log: an account, not a person",
        "schema": {"type": "string", "maxLength": 200}}) },
    { "Reason", JSON({"name": "Careforall-Reason", "in": "header",
        "description": "why, for the audit log; no personal data",
        "schema": {"type": "string", "maxLength": 500}}) },
    { "Signature", JSON({"name": "Careforall-Signature", "in": "header",
        "description": "or Stripe-Signature: t=SECONDS,v1=HMAC-SHA256; exactly one of them",
        "schema": {"type": "string", "pattern": "^[ -~]+$"}}) },
};

static const named_json headers[] = {
    { "XRequestId", JSON({"description": "finds the request in the log",
        "schema": {"type": "string"}}) },
    { "ETag", JSON({"description": "the version, for If-Match and If-None-Match",
        "schema": {"type": "string"}}) },
    { "Location", JSON({"description": "where the object is", "schema": {"type": "string"}}) },
    { "Link", JSON({"description": "rel=next: the next page", "schema": {"type": "string"}}) },
    { "CareforallPosition", JSON({"description": "log position of the change, for at_least",
        "schema": {"type": "string", "pattern": "^[0-9]+$"}}) },
    { "IdempotentReplayed", JSON({"description": "an earlier request with this key did the work",
        "schema": {"type": "string", "enum": ["true"]}}) },
    { "PledgeToken", JSON({"description": "shows the pledge to its donor; keep it",
        "schema": {"type": "string"}}) },
    { "RetryAfter", JSON({"description": "seconds to wait at least",
        "schema": {"type": "string", "pattern": "^[0-9]+$"}}) },
};
/* clang-format on */

enum {
    PARAMETER_COUNT = (int)(sizeof parameters / sizeof parameters[0]),
    HEADER_COUNT = (int)(sizeof headers / sizeof headers[0])
};

static json_t *parsed(const char *text) { return json_loads(text, JSON_REJECT_DUPLICATES, NULL); }

static json_t *components_of(const named_json *list, int count) {
    json_t *out = json_object();
    for (int i = 0; i < count; i++)
        (void)json_object_set_new(out, list[i].name, parsed(list[i].json));
    return out;
}

static json_t *route_parameters(const http_route *route) {
    json_t *out = json_array();
    if (strchr(route->pattern, '{'))
        (void)json_array_append_new(
            out, json_pack("{s:s, s:s, s:b, s:o}", "name", "id", "in", "path", "required", 1,
                           "schema", reference("schemas", id_schema(route->pattern))));
    const char *query = route->queries ? route->queries : "";
    while (*query != '\0') {
        char name[32];
        size_t size = strcspn(query, " ");
        snprintf(name, sizeof name, "%.*s", (int)size, query);
        (void)json_array_append_new(out, reference("parameters", name));
        query += size + strspn(query + size, " ");
    }
    static const struct {
        unsigned flag;
        const char *name;
    } by_flag[] = {
        { ROUTE_KEY, "IdempotencyKey" },
        { ROUTE_MATCH, "IfMatch" },
        { ROUTE_TAG, "IfNoneMatch" },
        { ROUTE_RAW, "Signature" },
        { ROUTE_PLEDGE_TOKEN, "PledgeToken" },
        { ROUTE_ACTOR, "Actor" },
        { ROUTE_ACTOR, "Reason" },
    };
    for (size_t i = 0; i < sizeof by_flag / sizeof by_flag[0]; i++)
        if (route->flags & by_flag[i].flag)
            (void)json_array_append_new(out, reference("parameters", by_flag[i].name));
    (void)json_array_append_new(out, reference("parameters", "RequestId"));
    (void)json_array_append_new(out, reference("parameters", "TraceParent"));
    return out;
}

/* ---- answers -------------------------------------------------------------------------------- */

static void add_header(json_t *answer, const char *name, const char *component) {
    (void)json_object_set_new(json_object_get(answer, "headers"), name,
                              reference("headers", component));
}

static json_t *answer_new(const char *description) {
    json_t *out = json_pack("{s:s, s:{}}", "description", description, "headers");
    add_header(out, "X-Request-Id", "XRequestId");
    return out;
}

static json_t *good_answer(const http_route *route, int status, const char *schema) {
    bool begun = status == 202 && !(route->flags & ROUTE_KEY); /* work that outlives its request */
    json_t *out = answer_new(status == 201   ? "made"
                             : begun         ? "begun; Location tells what became of it"
                             : status == 202 ? "durable; repeat with the same key for the answer"
                             : status == 503 ? "not ready"
                             : (route->flags & ROUTE_KEY) ? "done, now or by an earlier request"
                                                          : "as it stands");
    (void)json_object_set_new(
        out, "content",
        json_pack("{s:{s:o}}", "application/json", "schema", reference("schemas", schema)));
    if (strcmp(schema, "Story") == 0 || strcmp(schema, "Checkup") == 0) { /* as Accept says */
        (void)json_object_set_new(json_object_get(out, "content"), "text/html",
                                  json_pack("{s:{s:s}}", "schema", "type", "string"));
        (void)json_object_set_new(json_object_get(out, "content"), "text/plain",
                                  json_pack("{s:{s:s}}", "schema", "type", "string"));
    }
    if (status == 503) /* refused before its handler ran */
        (void)json_object_set_new(json_object_get(out, "content"), "application/problem+json",
                                  json_pack("{s:o}", "schema", reference("schemas", "Problem")));
    if (route->flags & (ROUTE_TAG | ROUTE_MATCH) || strcmp(schema, "Campaign") == 0)
        add_header(out, "ETag", "ETag");
    if (route->flags & ROUTE_KEY) {
        add_header(out, "Careforall-Position", "CareforallPosition");
        add_header(out, "Idempotent-Replayed", "IdempotentReplayed");
    }
    if (begun || ((route->flags & ROUTE_KEY) && strcmp(route->method, "POST") == 0))
        add_header(out, "Location", "Location");
    if (route->queries && strstr(route->queries, "after"))
        add_header(out, "Link", "Link");
    if (strcmp(route->name, "createPledge") == 0)
        add_header(out, "Careforall-Pledge-Token", "PledgeToken");
    if ((status == 202 && !begun) || status == 503)
        add_header(out, "Retry-After", "RetryAfter");
    return out;
}

/* What was made can be read: the GET of the same path with the new id. */
static void add_link(json_t *answer, const server_app *app, const http_route *route) {
    const http_route *other = NULL;
    for (size_t i = 0; (other = route_at(app, i)) != NULL; i++) {
        size_t size = strlen(route->pattern);
        if (strcmp(other->method, "GET") == 0 &&
            strncmp(other->pattern, route->pattern, size) == 0 &&
            strcmp(other->pattern + size, "/{id}") == 0)
            (void)json_object_set_new(answer, "links",
                                      json_pack("{s:{s:s, s:{s:s}}}", "read", "operationId",
                                                other->name, "parameters", "id",
                                                "$response.body#/id"));
    }
}

static void set_status(json_t *answers, int status, json_t *answer) {
    char text[8];
    snprintf(text, sizeof text, "%d", status);
    if (json_object_get(answers, text))
        json_decref(answer);
    else
        (void)json_object_set_new(answers, text, answer);
}

static void add_problem(json_t *answers, int status) {
    char name[24];
    snprintf(name, sizeof name, "Problem%d", status);
    set_status(answers, status, reference("responses", name));
}

static json_t *route_answers(const server_app *app, const http_route *route) {
    json_t *out = json_object();
    for (const char *at = route->answers; *at != '\0'; at += strspn(at, " ")) {
        char schema[32];
        int status = (int)strtol(at, NULL, 10);
        size_t size = strcspn(at, " ");
        snprintf(schema, sizeof schema, "%.*s", (int)size - 4, at + 4);
        json_t *answer = good_answer(route, status, schema);
        if (status == 201)
            add_link(answer, app, route);
        set_status(out, status, answer);
        at += size;
    }
    if (route->flags & ROUTE_TAG) {
        json_t *same = answer_new("the caller has it already");
        add_header(same, "ETag", "ETag");
        set_status(out, 304, same);
    }
    static const int common[] = { 400, 401, 413, 414, 429, 431, 500, 503 };
    static const int of_bodies[] = { 415, 422 };
    static const int of_matches[] = { 412, 428 };
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        add_problem(out, common[i]);
    for (size_t i = 0; i < 2 && route->takes; i++)
        add_problem(out, of_bodies[i]);
    for (size_t i = 0; i < 2 && (route->flags & ROUTE_MATCH); i++)
        add_problem(out, of_matches[i]);
    char *end = NULL;
    for (const char *at = route->problems; at && *at != '\0'; at = end)
        add_problem(out, (int)strtol(at, &end, 10));
    return out;
}

/* ---- problems ------------------------------------------------------------------------------- */

static void add_code(json_t *codes, const char *code) {
    (void)json_array_append_new(codes, json_string(code));
}

/* The codes that come with an HTTP status: HTTP's own, and the engine's. */
static json_t *codes_of(int status) {
    json_t *out = json_array();
#define ADD_OWN(name, http_status, code, title)                                                    \
    if (http_status == status)                                                                     \
        add_code(out, code);
    PROBLEM_MAP(ADD_OWN)
#undef ADD_OWN
#define ADD_ENGINE(name, number, text)                                                             \
    if (name != CFA_OK &&                                                                          \
        (problem_http_status(name) == status || (status == 400 && name == CFA_EINVAL) ||           \
         (status == 409 && name == CFA_ENOTSUP))) {                                                \
        char code[32];                                                                             \
        problem_code(code, sizeof code, name);                                                     \
        add_code(out, code);                                                                       \
    }
    CFA_STATUS_MAP(ADD_ENGINE)
#undef ADD_ENGINE
    return out;
}

static json_t *problem_responses(void) {
    static const int statuses[] = { 400, 401, 402, 404, 405, 409, 412, 413,
                                    414, 415, 422, 428, 429, 431, 500, 503 };
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        char name[24];
        snprintf(name, sizeof name, "Problem%d", statuses[i]);
        json_t *answer = answer_new("a problem; switch on `code`");
        if (statuses[i] == 429 || statuses[i] == 503)
            add_header(answer, "Retry-After", "RetryAfter");
        (void)json_object_set_new(
            answer, "content",
            json_pack("{s:{s:{s:[o, {s:{s:{s:i}, s:{s:o}}}]}}}", "application/problem+json",
                      "schema", "allOf", reference("schemas", "Problem"), "properties", "status",
                      "const", statuses[i], "code", "enum", codes_of(statuses[i])));
        (void)json_object_set_new(out, name, answer);
    }
    return out;
}

/* clang-format off */
static const char problem_schema[] = JSON({
    "type": "object", "required": ["type", "title", "status", "code", "request_id"],
    "additionalProperties": false, "description": "RFC 9457",
    "properties": {
        "type": {"type": "string", "pattern": "^urn:careforall:problem:"},
        "title": {"type": "string", "description": "for people"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "for people"},
        "code": {"type": "string", "description": "for programs: stable"},
        "field": {"type": "string", "description": "the field or header at fault"},
        "request_id": {"type": "string"}}});
/* clang-format on */

/* ---- the document --------------------------------------------------------------------------- */

static json_t *body_content(const http_route *route) {
    static const char *const types[] = { "application/json", "text/csv",
                                         "application/octet-stream" };
    json_t *out = json_object();
    for (int i = 0; i < ((route->flags & ROUTE_RECORD) ? 3 : 1); i++)
        (void)json_object_set_new(out, types[i],
                                  json_pack("{s:o}", "schema", reference("schemas", route->takes)));
    return out;
}

static json_t *operation(const server_app *app, const http_route *route) {
    json_t *out =
        json_pack("{s:s, s:s, s:o, s:o}", "operationId", route->name, "summary", route->summary,
                  "parameters", route_parameters(route), "responses", route_answers(app, route));
    if (route->takes)
        (void)json_object_set_new(
            out, "requestBody",
            json_pack("{s:b, s:o}", "required", 1, "content", body_content(route)));
    /* The service may always say who it is; for some routes it must. */
    (void)json_object_set_new(out, "security",
                              route->flags & ROUTE_SERVICE ? json_pack("[{s:[]}]", "service")
                                                           : json_pack("[{}, {s:[]}]", "service"));
    return out;
}

static json_t *paths(const server_app *app) {
    json_t *out = json_object();
    const http_route *route = NULL;
    for (size_t i = 0; (route = route_at(app, i)) != NULL; i++) {
        char method[16];
        size_t size = 0;
        for (; route->method[size] != '\0' && size + 1 < sizeof method; size++)
            method[size] = (char)tolower((unsigned char)route->method[size]);
        method[size] = '\0';
        if (!json_object_get(out, route->pattern))
            (void)json_object_set_new(out, route->pattern, json_object());
        (void)json_object_set_new(json_object_get(out, route->pattern), method,
                                  operation(app, route));
    }
    return out;
}

static json_t *schemas(void) {
    json_t *out = json_object();
    for (size_t i = 0; i < openapi_schema_count; i++)
        (void)json_object_set_new(out, openapi_schemas[i].name, parsed(openapi_schemas[i].json));
    (void)json_object_set_new(out, "Problem", parsed(problem_schema));
    return out;
}

json_t *openapi_document(const server_app *app) {
    return json_pack(
        "{s:s, s:{s:s, s:s, s:s}, s:o, s:{s:o, s:o, s:o, s:o, s:{s:{s:s, s:s, s:s}}}}", "openapi",
        "3.1.0", "info", "title", "careforall-server", "version", cfa_version(), "description",
        "Donations that charge once, over HTTP. See docs/http.md.", "paths", paths(app),
        "components", "schemas", schemas(), "parameters",
        components_of(parameters, PARAMETER_COUNT), "headers", components_of(headers, HEADER_COUNT),
        "responses", problem_responses(), "securitySchemes", "service", "type", "http", "scheme",
        "bearer", "description", "the service token");
}

void handle_openapi(http_request *request) {
    static char *text; /* of the first request, kept: the tables do not change */
    static size_t size;
    static char tag[32];
    if (!text) {
        json_t *document = openapi_document(request->app);
        text = document ? json_dumps(document, JSON_COMPACT) : NULL;
        json_decref(document);
        if (!text) {
            problem_status(request, 0, CFA_ENOMEM, NULL, "the description was not made");
            return;
        }
        size = strlen(text);
        uint32_t hash = 2166136261u;
        for (size_t i = 0; i < size; i++)
            hash = (hash ^ (unsigned char)text[i]) * 16777619u;
        snprintf(tag, sizeof tag, "\"%08x\"", (unsigned)hash);
    }
    if (!header_tag_known(request, tag))
        http_answer_bytes(request, 200, text, size);
}
