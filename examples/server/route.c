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
    { .method = "GET",
      .pattern = "/health",
      .handler = handle_health,
      .name = "getHealth",
      .summary = "Tell whether this server can take donations now",
      .answers = "200:Health 503:Health" },
    { .method = "GET",
      .pattern = "/health/ready",
      .handler = handle_ready,
      .name = "getReadiness",
      .summary = "Tell a load balancer whether to send requests here",
      .answers = "200:Readiness 503:Readiness" },
    { .method = "GET",
      .pattern = "/openapi.json",
      .flags = ROUTE_TAG,
      .handler = handle_openapi,
      .name = "getDescription",
      .summary = "This document",
      .answers = "200:Description" },
    { .method = "POST",
      .pattern = "/api/v1/campaigns",
      .flags = ROUTE_SERVICE | ROUTE_JSON | ROUTE_KEY | ROUTE_ACTOR,
      .body_limit = HTTP_BODY_BYTES_MAX,
      .handler = handle_campaign_create,
      .name = "createCampaign",
      .summary = "Create a campaign",
      .takes = "CampaignSpec",
      .answers = "201:Campaign 200:Campaign" },
    { .method = "GET",
      .pattern = "/api/v1/campaigns",
      .queries = "limit after",
      .handler = handle_campaign_list,
      .name = "listCampaigns",
      .summary = "Read one page of campaigns, oldest first",
      .answers = "200:CampaignPage" },
    { .method = "GET",
      .pattern = "/api/v1/campaigns/{id}",
      .flags = ROUTE_TAG,
      .queries = "at_least",
      .handler = handle_campaign_get,
      .name = "getCampaign",
      .summary = "Read a campaign and its totals from one snapshot",
      .answers = "200:CampaignWithTotals",
      .problems = "404 422" },
    { .method = "PUT",
      .pattern = "/api/v1/campaigns/{id}",
      .flags = ROUTE_SERVICE | ROUTE_JSON | ROUTE_KEY | ROUTE_MATCH | ROUTE_ACTOR,
      .body_limit = HTTP_BODY_BYTES_MAX,
      .handler = handle_campaign_update,
      .name = "updateCampaign",
      .summary = "Replace all fields of a campaign",
      .takes = "CampaignSpec",
      .answers = "200:Campaign",
      .problems = "404 409" },
    { .method = "POST",
      .pattern = "/api/v1/campaigns/{id}/end",
      .flags = ROUTE_SERVICE | ROUTE_KEY | ROUTE_MATCH | ROUTE_ACTOR,
      .handler = handle_campaign_end,
      .name = "endCampaign",
      .summary = "End a campaign: it takes no more pledges",
      .answers = "200:Campaign",
      .problems = "404 409 422" },
    { .method = "GET",
      .pattern = "/api/v1/campaigns/{id}/pledges",
      .flags = ROUTE_SERVICE,
      .queries = "limit after",
      .handler = handle_pledge_list,
      .name = "listPledges",
      .summary = "Read one page of a campaign's pledges, oldest first",
      .answers = "200:PledgePage",
      .problems = "404 422" },
    { .method = "GET",
      .pattern = "/api/v1/campaigns/{id}/totals",
      .flags = ROUTE_TAG,
      .queries = "at_least",
      .handler = handle_totals_get,
      .name = "getTotals",
      .summary = "Read what a campaign raised, normally from memory",
      .answers = "200:Totals",
      .problems = "404 422" },
    { .method = "POST",
      .pattern = "/api/v1/pledges",
      .flags = ROUTE_JSON | ROUTE_KEY | ROUTE_PAY,
      .body_limit = HTTP_BODY_BYTES_MAX,
      .handler = handle_pledge_create,
      .name = "createPledge",
      .summary = "Promise a donation, once per key however often it is sent",
      .takes = "PledgeSpec",
      .answers = "201:PledgeAnswer 200:PledgeAnswer 202:Pledge",
      .problems = "402 404 409" },
    { .method = "GET",
      .pattern = "/api/v1/pledges/{id}",
      .flags = ROUTE_PLEDGE_TOKEN,
      .handler = handle_pledge_get,
      .name = "getPledge",
      .summary = "Read a pledge as it stands: the service, or who holds its token",
      .answers = "200:Pledge",
      .problems = "404 422" },
    { .method = "GET",
      .pattern = "/api/v1/admin/explain/{id}",
      .flags = ROUTE_SERVICE,
      .handler = handle_explain,
      .name = "explainDonation",
      .summary = "Tell everything that is known of one donation, as JSON, text or a page",
      .answers = "200:Story",
      .problems = "404" },
    { .method = "GET",
      .pattern = "/api/v1/admin/doctor",
      .flags = ROUTE_SERVICE,
      .queries = "deep",
      .handler = handle_doctor,
      .name = "examineBook",
      .summary = "List what is stuck or strange, as JSON, text or a page",
      .answers = "200:Checkup",
      .problems = "409" },
    { .method = "POST",
      .pattern = "/api/v1/admin/doctor/{id}",
      .flags = ROUTE_SERVICE | ROUTE_KEY | ROUTE_ACTOR,
      .handler = handle_remedy,
      .name = "treatFinding",
      .summary = "Do the next safe action of a finding",
      .answers = "200:Remedy",
      .problems = "404 409 422" },
    { .method = "POST",
      .pattern = "/api/v1/admin/audits",
      .flags = ROUTE_SERVICE,
      .handler = handle_audit_begin,
      .name = "beginAudit",
      .summary = "Begin to recompute the book in use",
      .answers = "202:Audit",
      .problems = "409" },
    { .method = "POST",
      .pattern = "/api/v1/admin/audits/record",
      .flags = ROUTE_SERVICE | ROUTE_RECORD,
      .queries = "from until all_ours",
      .prepare = prepare_audit_record,
      .handler = handle_record,
      .name = "beginAuditWithRecord",
      .summary = "Begin to recompute the book in use, and compare it with an exported file",
      .takes = "Record",
      .answers = "202:Audit",
      .problems = "409" },
    { .method = "GET",
      .pattern = "/api/v1/admin/audits/latest",
      .flags = ROUTE_SERVICE,
      .handler = handle_audit_latest,
      .name = "getLatestAudit",
      .summary = "Read what became of the newest audit",
      .answers = "200:Audit",
      .problems = "404" },
    { .method = "POST",
      .pattern = "/api/v1/admin/reconciliations",
      .flags = ROUTE_SERVICE | ROUTE_JSON | ROUTE_ACTOR,
      .body_limit = HTTP_BODY_BYTES_MAX,
      .handler = handle_reconciliation_begin,
      .name = "beginReconciliation",
      .summary = "Begin to compare the book with what the provider lists",
      .takes = "ReconciliationSpec",
      .answers = "202:Reconciliation",
      .problems = "409" },
    { .method = "POST",
      .pattern = "/api/v1/admin/reconciliations/record",
      .flags = ROUTE_SERVICE | ROUTE_RECORD | ROUTE_ACTOR,
      .queries = "from until repair all_ours",
      .prepare = prepare_reconciliation_record,
      .handler = handle_record,
      .name = "beginReconciliationWithRecord",
      .summary = "Begin to compare the book with an exported file",
      .takes = "Record",
      .answers = "202:Reconciliation",
      .problems = "409" },
    { .method = "GET",
      .pattern = "/api/v1/admin/reconciliations/latest",
      .flags = ROUTE_SERVICE,
      .handler = handle_reconciliation_latest,
      .name = "getLatestReconciliation",
      .summary = "Read what became of the newest reconciliation",
      .answers = "200:Reconciliation",
      .problems = "404" },
    { .method = "GET",
      .pattern = "/api/v1/admin/acts",
      .flags = ROUTE_SERVICE,
      .queries = "limit after",
      .handler = handle_act_list,
      .name = "listActs",
      .summary = "Read one page of the audit log, oldest first",
      .answers = "200:ActPage",
      .problems = "422" },
    { .method = "GET",
      .pattern = "/api/v1/payments/{id}",
      .flags = ROUTE_SERVICE,
      .handler = handle_payment_get,
      .name = "getPayment",
      .summary = "Read a payment, with what went back of it",
      .answers = "200:Payment",
      .problems = "404 422" },
    { .method = "POST",
      .pattern = "/api/v1/payments/{id}/capture",
      .flags = ROUTE_SERVICE | ROUTE_JSON | ROUTE_KEY | ROUTE_ACTOR,
      .body_limit = HTTP_BODY_BYTES_MAX,
      .handler = handle_payment_capture,
      .name = "capturePayment",
      .summary = "Take what an authorized payment holds, or a part",
      .takes = "CaptureSpec",
      .answers = "200:Payment",
      .problems = "404 409" },
    { .method = "POST",
      .pattern = "/api/v1/payments/{id}/cancel",
      .flags = ROUTE_SERVICE | ROUTE_KEY | ROUTE_ACTOR,
      .handler = handle_payment_cancel,
      .name = "cancelPayment",
      .summary = "Call off a payment that is not captured",
      .answers = "200:Payment",
      .problems = "404 409 422" },
    { .method = "POST",
      .pattern = "/api/v1/payments/{id}/accept",
      .flags = ROUTE_SERVICE | ROUTE_KEY | ROUTE_ACTOR,
      .handler = handle_payment_accept,
      .name = "acceptPayment",
      .summary = "Take late money that is held into the totals",
      .answers = "200:Payment",
      .problems = "404 409 422" },
    { .method = "POST",
      .pattern = "/api/v1/payments/{id}/refunds",
      .flags = ROUTE_SERVICE | ROUTE_JSON | ROUTE_KEY | ROUTE_ACTOR,
      .body_limit = HTTP_BODY_BYTES_MAX,
      .handler = handle_refund_create,
      .name = "createRefund",
      .summary = "Give a payment's money back, once per key however often it is sent",
      .takes = "RefundSpec",
      .answers = "201:Refund 200:Refund",
      .problems = "404 409" },
    { .method = "GET",
      .pattern = "/api/v1/payments/{id}/refunds",
      .flags = ROUTE_SERVICE,
      .handler = handle_refund_list,
      .name = "listRefunds",
      .summary = "Read a payment's refunds, made here or at the provider",
      .answers = "200:RefundList",
      .problems = "404 422" },
    { .method = "GET",
      .pattern = "/api/v1/payments/{id}/disputes",
      .flags = ROUTE_SERVICE,
      .handler = handle_dispute_list,
      .name = "listDisputes",
      .summary = "Read a payment's disputes",
      .answers = "200:DisputeList",
      .problems = "404 422" },
    { .method = "GET",
      .pattern = "/api/v1/refunds/{id}",
      .flags = ROUTE_SERVICE,
      .handler = handle_refund_get,
      .name = "getRefund",
      .summary = "Read a refund as it stands",
      .answers = "200:Refund",
      .problems = "404 422" },
    { .method = "GET",
      .pattern = "/api/v1/disputes/{id}",
      .flags = ROUTE_SERVICE,
      .handler = handle_dispute_get,
      .name = "getDispute",
      .summary = "Read a dispute as it stands",
      .answers = "200:Dispute",
      .problems = "404 422" },
    { .method = "POST",
      .pattern = "/webhooks/payment",
      .flags = ROUTE_RAW,
      .body_limit = HTTP_WEBHOOK_BYTES_MAX,
      .handler = handle_webhook,
      .name = "receiveWebhook",
      .summary = "Take a signed event of the payment provider",
      .takes = "WebhookEvent",
      .answers = "200:WebhookVerdict" },
    { .method = "POST",
      .pattern = "/play/confirm",
      .flags = ROUTE_JSON | ROUTE_PLAY,
      .body_limit = HTTP_BODY_BYTES_MAX,
      .handler = handle_play_confirm,
      .name = "confirmPlayPayment",
      .summary = "Pay as on a provider's hosted page; only with --provider play",
      .takes = "PlayConfirmation",
      .answers = "200:PlayResult",
      .problems = "402 404 409" },
};

enum { ROUTE_COUNT = (int)(sizeof routes / sizeof routes[0]) };

static bool exists(const server_app *app, const http_route *route) {
    return !(route->flags & ROUTE_PLAY) || app->play;
}

const http_route *route_at(const server_app *app, size_t index) {
    for (int i = 0; i < ROUTE_COUNT; i++)
        if (exists(app, &routes[i]) && index-- == 0)
            return &routes[i];
    return NULL;
}

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
    char *allow = request->answer.allow;
    size_t size = sizeof request->answer.allow;
    for (int i = 0; i < ROUTE_COUNT; i++) {
        const http_route *candidate = &routes[i];
        if (!exists(request->app, candidate) ||
            !path_matches(candidate->pattern, path, request->parameter, sizeof request->parameter))
            continue;
        if (strcmp(candidate->method, wanted) == 0) {
            request->method = wanted == method ? candidate->method : "HEAD";
            request->route = candidate;
            allow[0] = '\0';
            return ROUTE_FOUND;
        }
        size_t used = strlen(allow);
        snprintf(allow + used, size - used, "%s, ",
                 strcmp(candidate->method, "GET") == 0 ? "GET, HEAD" : candidate->method);
    }
    bool options = strcmp(method, "OPTIONS") == 0;
    if (options && strcmp(path, "*") == 0)
        snprintf(allow, size, "GET, HEAD, POST, PUT, ");
    size_t used = strlen(allow);
    if (used == 0)
        return ROUTE_NO_PATH;
    snprintf(allow + used, size - used, "OPTIONS");
    if (options)
        request->method = "OPTIONS";
    return options ? ROUTE_OPTIONS : ROUTE_NO_METHOD;
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
    const char *allowed = request->route->queries ? request->route->queries : "";
    query_scan scan = { allowed, false, false, 0 };
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, scan_query, &scan);
    if (scan.unknown)
        problem_http(request, PROBLEM_BAD_QUERY, NULL, "this path takes %s%s",
                     *scan.allowed ? "only: " : "no query arguments", scan.allowed);
    else if (scan.repeated)
        problem_http(request, PROBLEM_BAD_QUERY, NULL, "a query argument is given twice");
    return !scan.unknown && !scan.repeated;
}

/* Whether `text` is the media type `name`, alone or in UTF-8. */
static bool is_media_type(const char *text, const char *name) {
    size_t size = strlen(name);
    if (strncasecmp(text, name, size) != 0)
        return false;
    text += size;
    text += strspn(text, " \t");
    if (*text == '\0')
        return true;
    if (*text != ';')
        return false;
    text++;
    text += strspn(text, " \t");
    return strcasecmp(text, "charset=utf-8") == 0 || strcasecmp(text, "charset=\"utf-8\"") == 0;
}

/* A form or plain-text post is what a foreign page can make a browser send without asking; these are
 * not. */
static bool check_media_type(http_request *request) {
    static const char *const names[] = { "application/json", "text/csv",
                                         "application/octet-stream" };
    bool record = (request->route->flags & ROUTE_RECORD) != 0;
    int count = 0;
    const char *text = http_header(request, "Content-Type", &count);
    for (int i = 0; count == 1 && i < (record ? 3 : 1); i++)
        if (is_media_type(text, names[i]))
            return true;
    problem_http(request, PROBLEM_BAD_MEDIA_TYPE, "Content-Type", "send Content-Type: %s%s",
                 names[0], record ? ", text/csv or application/octet-stream" : "");
    return false;
}

static bool check_coding(http_request *request) {
    if (!http_header(request, "Content-Encoding", NULL))
        return true;
    problem_http(request, PROBLEM_BAD_MEDIA_TYPE, "Content-Encoding", "send the body uncompressed");
    return false;
}

bool route_admit(http_request *request) {
    unsigned flags = request->route->flags;
    header_token token = header_service_token(request, &request->app->secrets.tokens);
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
    return (!(flags & (ROUTE_JSON | ROUTE_RECORD)) || check_media_type(request)) &&
           check_coding(request) && (!request->route->prepare || request->route->prepare(request));
}

size_t route_body_limit(const http_request *request) {
    const http_route *route = request->route;
    return (route->flags & ROUTE_RECORD) ? (size_t)request->app->config->record_mib_max << 20
                                         : route->body_limit;
}

void route_dispatch(http_request *request) {
    if ((request->route->flags & ROUTE_JSON) && !body_parse(request))
        return;
    request->route->handler(request);
}
