/*
 * api.c - from a request to a handler and back: key check, routes, faults, one transaction per
 * request that holds the effect and the kept answer together. Knows no object.
 */
#include "api.h"
#include "clock.h"
#include "form.h"
#include "webhooks.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct api_route {
    const char *method, *path; /* a star stands for an id */
    api_handler handler;
    const char *arguments;
    bool publishable;
} api_route;

/* What would change the money and is not built here is left out, and so refused by name. */
#define PAGE "limit starting_after ending_before created "
#define INTENT_EXTRAS                                                                              \
    "description metadata payment_method payment_method_types payment_method_data "                \
    "payment_method_options receipt_email shipping statement_descriptor "                          \
    "statement_descriptor_suffix transfer_group capture_method "
#define CONFIRM_EXTRAS "return_url use_stripe_sdk client_secret "

static const api_route routes[] = {
    { "GET", "/v1/account", account_retrieve, "", false },
    { "POST", "/v1/payment_intents", intent_create,
      INTENT_EXTRAS CONFIRM_EXTRAS "amount currency confirm automatic_payment_methods", false },
    { "GET", "/v1/payment_intents", intent_list, PAGE, false },
    { "GET", "/v1/payment_intents/*", intent_retrieve, "client_secret", true },
    { "POST", "/v1/payment_intents/*", intent_update, INTENT_EXTRAS "amount currency", false },
    { "POST", "/v1/payment_intents/*/confirm", intent_confirm, INTENT_EXTRAS CONFIRM_EXTRAS, true },
    { "POST", "/v1/payment_intents/*/capture", intent_capture,
      "amount_to_capture metadata statement_descriptor statement_descriptor_suffix", false },
    { "POST", "/v1/payment_intents/*/cancel", intent_cancel, "cancellation_reason", false },
    { "GET", "/v1/charges", charge_list, PAGE "payment_intent", false },
    { "GET", "/v1/charges/*", charge_retrieve, "", false },
    { "GET", "/v1/balance_transactions", balance_list, PAGE "source payout", false },
    { "GET", "/v1/balance_transactions/*", balance_retrieve, "", false },
    { "GET", "/v1/payouts", payout_list, PAGE, false },
    { "GET", "/v1/payouts/*", payout_retrieve, "", false },
    { "POST", "/v1/payment_methods", method_create, "type card billing_details", true },
    { "GET", "/v1/payment_methods/*", method_retrieve, "", false },
    { "POST", "/v1/checkout/sessions", session_create,
      "mode line_items payment_intent_data client_reference_id success_url cancel_url metadata "
      "customer_email customer_creation expires_at locale submit_type payment_method_types "
      "payment_method_options billing_address_collection custom_text adaptive_pricing",
      false },
    { "GET", "/v1/checkout/sessions", session_list, PAGE "payment_intent", false },
    { "GET", "/v1/checkout/sessions/*", session_retrieve, "", false },
    { "POST", "/v1/checkout/sessions/*/expire", session_expire, "", false },
    { "GET", "/v1/checkout/sessions/*/line_items", session_line_items, PAGE, false },
    { "POST", "/v1/refunds", refund_create, "amount charge payment_intent reason metadata", false },
    { "GET", "/v1/refunds", refund_list, PAGE "charge payment_intent", false },
    { "GET", "/v1/refunds/*", refund_retrieve, "", false },
    { "POST", "/v1/refunds/*", refund_update, "metadata", false },
    { "POST", "/v1/refunds/*/cancel", refund_cancel, "", false },
    { "GET", "/v1/disputes", dispute_list, PAGE "charge payment_intent", false },
    { "GET", "/v1/disputes/*", dispute_retrieve, "", false },
    { "POST", "/v1/disputes/*", dispute_update, "evidence metadata submit", false },
    { "POST", "/v1/disputes/*/close", dispute_close, "", false },
    { "GET", "/v1/radar/early_fraud_warnings", warning_list, PAGE "charge payment_intent", false },
    { "GET", "/v1/radar/early_fraud_warnings/*", warning_retrieve, "", false },
    { "GET", "/v1/events", event_list, PAGE "type types delivery_success", false },
    { "GET", "/v1/events/*", event_retrieve, "", false },
    { "GET", "/v2/core/events/*", event_retrieve_thin, "", false },
    { "POST", "/v1/webhook_endpoints", endpoint_create,
      "url enabled_events api_version connect description metadata event_payload", false },
    { "GET", "/v1/webhook_endpoints", endpoint_list, PAGE, false },
    { "GET", "/v1/webhook_endpoints/*", endpoint_retrieve, "", false },
    { "POST", "/v1/webhook_endpoints/*", endpoint_update,
      "url enabled_events disabled description metadata", false },
    { "DELETE", "/v1/webhook_endpoints/*", endpoint_delete, "", false },
};

/* ---- routes --------------------------------------------------------------------------------- */

static bool path_fits(const char *pattern, const char *path, char id[ID_BYTES]) {
    while (*pattern) {
        if (*pattern != '*') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        pattern++;
        size_t size = strcspn(path, "/");
        if (!size || size >= ID_BYTES)
            return false;
        memcpy(id, path, size);
        id[size] = 0;
        path += size;
    }
    return !*path;
}

static const api_route *find_route(const call *c, char id[ID_BYTES]) {
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(routes[i].method, c->method) == 0 && path_fits(routes[i].path, c->path, id))
            return &routes[i];
    return NULL;
}

/* ---- who asks ------------------------------------------------------------------------------- */

static bool equal_secret(const char *a, const char *b) {
    size_t size = strlen(b);
    return strlen(a) == size && sodium_memcmp(a, b, size) == 0;
}

/* The key of a Bearer or Basic header. */
static bool read_key(const char *header, char *out, size_t out_size) {
    if (!header)
        return false;
    if (strncasecmp(header, "Bearer ", 7) == 0) {
        format_text(out, out_size, "%s", header + 7);
        return true;
    }
    if (strncasecmp(header, "Basic ", 6) != 0)
        return false;
    size_t size = 0;
    if (sodium_base642bin((unsigned char *)out, out_size - 1, header + 6, strlen(header + 6), NULL,
                          &size, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
        return false;
    out[size] = 0;
    out[strcspn(out, ":")] = 0;
    return true;
}

static const char name_letters[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";

static bool authenticate(call *c) {
    char key[512];
    if (!read_key(c->authorization, key, sizeof key) || !*key) {
        call_fail(c, 401, "invalid_request_error", NULL, NULL,
                  "You did not provide an API key. You need to provide your API key in the "
                  "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
                  "YOUR_SECRET_KEY').");
        return false;
    }
    const char *secret = c->box->options.secret_key;
    char publishable[512];
    format_text(publishable, sizeof publishable, "pk%s", secret + 2);
    if (equal_secret(key, publishable))
        c->publishable = true;
    else if (!equal_secret(key, secret)) {
        size_t size = strlen(key);
        call_fail(c, 401, "invalid_request_error", NULL, NULL,
                  "Invalid API Key provided: %.8s****%s", key, size > 16 ? key + size - 4 : "");
        return false;
    }
    const char *account = c->account_header ? c->account_header : DEFAULT_ACCOUNT;
    if (!text_starts(account, "acct_") || strlen(account) >= ACCOUNT_BYTES ||
        account[strspn(account, name_letters)]) {
        call_fail(c, 403, "invalid_request_error", "account_invalid", NULL,
                  "The provided key does not have access to account '%.64s' (or that account does "
                  "not exist). Application access may have been revoked.",
                  account);
        return false;
    }
    format_text(c->account, sizeof c->account, "%s", account);
    return true;
}

/* 2024-06-20, or 2026-10-28.endive */
static bool check_version(call *c) {
    const char *version = c->version_header;
    if (!version || (strspn(version, "0123456789-") == 10 && (!version[10] || version[10] == '.')))
        return true;
    call_fail(c, 400, "invalid_request_error", NULL, NULL, "Invalid Stripe API version: %.32s",
              version);
    return false;
}

static bool read_arguments(call *c) {
    const char *reason = NULL;
    bool good = !c->query || form_parse(c->params, c->query, strlen(c->query), &reason);
    if (good && c->body_size) {
        if (c->content_type &&
            strncasecmp(c->content_type, "application/x-www-form-urlencoded", 33) != 0)
            reason = "send the arguments as application/x-www-form-urlencoded";
        else
            form_parse(c->params, c->body, c->body_size, &reason);
    }
    if (reason)
        call_fail(c, 400, "invalid_request_error", NULL, NULL, "Invalid request: %s.", reason);
    return !reason;
}

/* ---- one request ---------------------------------------------------------------------------- */

static void finish_error(call *c) { call_json(c, c->status, pack("{s:O}", "error", c->error)); }

static void fail_server(call *c) {
    call_fail(c, 500, "api_error", NULL, NULL,
              "Sorry! An error occurred on the sandbox's side, as its faults asked for.");
    c->executing = true;
}

static void run_handler(call *c, const api_route *route, const char *id) {
    if (!form_only(c, route->arguments) || !expand_check(c))
        return;
    json_t *reply = route->handler(c, id);
    if (!reply)
        return;
    expand(c, reply);
    call_json(c, 200, reply);
}

/* Effect and kept answer are one transaction; before it commits nothing leaves the process. */
static void execute(call *c, const api_route *route, const char *id, const fault_plan *plan) {
    sandbox *box = c->box;
    bool write = strcmp(c->method, "GET") != 0, keyed = write && c->idempotency_key;
    unsigned char print[32];
    if (keyed && key_find(c, print) != KEY_NEW)
        return;
    format_text(box->cause_request, sizeof box->cause_request, "%s", c->request_id);
    format_text(box->cause_key, sizeof box->cause_key, "%s",
                write && c->idempotency_key ? c->idempotency_key : "");
    store_begin(box->store);
    if (plan->error_before)
        fail_server(c);
    else
        run_handler(c, route, id);
    if (plan->error_after && c->text)
        fail_server(c);
    if (c->error)
        finish_error(c);
    if (keyed && c->executing)
        key_keep(c, print);
    store_commit(box->store);
    box->cause_request[0] = box->cause_key[0] = 0;
    if (write) {
        jobs_wake(box);
        sender_wake(box);
    }
}

void api_handle(call *c, const fault_plan *plan) {
    char id[ID_BYTES] = "";
    const api_route *route = find_route(c, id);
    call_header_add(c, "Request-Id", "%s", c->request_id);
    call_header_add(c, "Stripe-Version", "%s",
                    c->version_header ? c->version_header : c->box->options.api_version);
    if (!authenticate(c))
        call_header_add(c, "WWW-Authenticate", "Bearer realm=\"Stripe\"");
    else if (plan->rate_limited) {
        call_fail(c, 429, "invalid_request_error", "rate_limit", NULL,
                  "Request rate limit exceeded. Retry later.");
        call_header_add(c, "Retry-After", "1");
    } else if (plan->unavailable) {
        call_fail(c, 503, "api_error", NULL, NULL,
                  "The sandbox is unavailable, as it was asked to.");
        call_header_add(c, "Stripe-Should-Retry", "true");
    } else if (!route)
        call_fail(c, 404, "invalid_request_error", NULL, NULL,
                  "Unrecognized request URL (%s: %.128s).", c->method, c->path);
    else if (c->publishable && !route->publishable)
        call_fail(
            c, 403, "invalid_request_error", "secret_key_required", NULL,
            "This API call cannot be made with a publishable API key. Please use a secret API "
            "key.");
    else if (check_version(c) && read_arguments(c)) {
        if (c->idempotency_key)
            call_header_add(c, "Idempotency-Key", "%s", c->idempotency_key);
        if (c->account_header)
            call_header_add(c, "Stripe-Account", "%s", c->account);
        execute(c, route, id, plan);
        if (c->status == 500)
            call_header_add(c, "Stripe-Should-Retry", "false");
        if (c->status == 409)
            call_header_add(c, "Stripe-Should-Retry", "true");
        return;
    }
    if (c->error)
        finish_error(c);
}

/* ---- for handlers --------------------------------------------------------------------------- */

json_t *load(call *c, object_kind kind, const char *id, const char *what, const char *param) {
    json_t *doc = store_load(c->box->store, kind, c->account, id);
    if (!doc) {
        c->executing = true;
        call_fail(c, 404, "invalid_request_error", "resource_missing", param, "No such %s: '%s'",
                  what, id);
    }
    return doc;
}

json_t *show(json_t *doc) {
    json_t *out = must(json_copy(doc));
    json_object_del(out, "_");
    return out;
}

json_t *account_retrieve(call *c, const char *id) {
    (void)id;
    return pack("{s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:b, s:{}, s:b, s:s}", "id", c->account,
                "object", "account", "business_type", "company", "charges_enabled", 1, "country",
                "DE", "default_currency", "eur", "email", "sandbox@example.org",
                "details_submitted", 1, "metadata", "payouts_enabled", 1, "type", "standard");
}
