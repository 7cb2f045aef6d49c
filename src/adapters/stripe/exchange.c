/*
 * exchange.c - a call as one or several requests: most are one; a look-up turns pages; a cancel
 * that Stripe refuses because the hosted page is still open closes the page. Pure: it says what to
 * ask next, somebody else asks.
 */
#include "adapters/stripe/stripe.h"

/* Pages of one look-up. Beyond that absence is not proved: UNKNOWN. */
#define LOOKUP_PAGES_MAX 200

static int32_t left_ms(const cfa__stripe_exchange *exchange) {
    int64_t left = (exchange->deadline_us - cfa__stripe_monotonic_us()) / 1000;
    return left > INT32_MAX ? INT32_MAX : left > 0 ? (int32_t)left : 0;
}

static bool end(cfa__stripe_exchange *exchange, int32_t outcome, const char *code) {
    *exchange->out = (cfa_reply){ .struct_size = sizeof *exchange->out,
                                  .outcome = outcome,
                                  .facts = CFA_FACTS_INIT,
                                  .code = code };
    return false;
}

/* True when the next request could be described and there is time for it. */
static bool go_on(cfa__stripe_exchange *exchange, cfa__stripe_phase phase, cfa_status status,
                  cfa__stripe_request *out_request) {
    int32_t timeout_ms = left_ms(exchange);
    if (status != CFA_OK || timeout_ms == 0) {
        return false;
    }
    exchange->phase = phase;
    out_request->timeout_ms = timeout_ms;
    return true;
}

static bool turn_page(cfa__stripe_exchange *exchange, cfa__stripe_phase phase, const char *after,
                      cfa__stripe_request *out_request) {
    if (exchange->page_count == LOOKUP_PAGES_MAX) {
        return end(exchange, CFA_OUTCOME_UNKNOWN, "too_many_pages");
    }
    exchange->page_count++;
    cfa_status status = cfa__stripe_request_page(
        out_request, exchange->call, phase == CFA__STRIPE_SESSION_PAGES, after, exchange->arena);
    return go_on(exchange, phase, status, out_request) ||
           end(exchange, CFA_OUTCOME_UNKNOWN, status == CFA_OK ? "timeout" : "out_of_memory");
}

bool cfa__stripe_exchange_begin(cfa__stripe_exchange *exchange, bool hosted, const cfa_call *call,
                                cfa_arena *arena, cfa_reply *out,
                                cfa__stripe_request *out_request) {
    int32_t timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : CFA__STRIPE_DEFAULT_TIMEOUT_MS;
    *exchange = (cfa__stripe_exchange){
        .call = call,
        .arena = arena,
        .out = out,
        .hosted = hosted,
        .deadline_us = cfa__stripe_monotonic_us() + (int64_t)timeout_ms * 1000,
    };
    *out = (cfa_reply){ .struct_size = sizeof *out, .facts = CFA_FACTS_INIT };
    if (call->kind == CFA_CALL_LOOKUP) {
        return call->payment_id != NULL && call->payment_id[0] != '\0'
                   ? turn_page(exchange,
                               hosted ? CFA__STRIPE_SESSION_PAGES : CFA__STRIPE_INTENT_PAGES, NULL,
                               out_request)
                   : end(exchange, CFA_OUTCOME_UNKNOWN, "parameter_missing");
    }
    cfa_status status = cfa__stripe_request_of(out_request, call, arena);
    if (go_on(exchange, CFA__STRIPE_OWN, status, out_request)) {
        return true;
    }
    return end(exchange, CFA_OUTCOME_NOT_SENT,
               status == CFA_ENOMEM ? "out_of_memory" : "parameter_missing");
}

/* ---- look-ups -------------------------------------------------------------------------------- */

static bool names_payment(const cfa__json *object, const char *payment_id) {
    return cfa__stripe_text_is(cfa__json_get(object, "metadata"), "payment_id", payment_id);
}

static bool tells_more(const cfa_facts *facts, const cfa_facts *than) {
    return facts->captured_minor != than->captured_minor
               ? facts->captured_minor > than->captured_minor
               : facts->authorized_minor > than->authorized_minor;
}

/* Of the page's objects for this payment the one with most money, the newest of equals. */
static bool find_in_page(cfa__stripe_exchange *exchange, const cfa__json *page, int64_t moment_us) {
    bool found = false;
    for (size_t i = 0; i < cfa__json_size(page); i++) {
        const cfa__json *object = cfa__json_at(page, i);
        if (!names_payment(object, exchange->call->payment_id)) {
            continue;
        }
        cfa_reply reply = { .struct_size = sizeof reply, .facts = CFA_FACTS_INIT };
        cfa__stripe_reply_found(&reply, object, moment_us, exchange->arena);
        if (!found || tells_more(&reply.facts, &exchange->out->facts)) {
            *exchange->out = reply;
        }
        found = true;
    }
    return found;
}

static bool next_page(cfa__stripe_exchange *exchange, const cfa__stripe_response *response,
                      const cfa__json *root, cfa__stripe_request *out_request) {
    const cfa__json *page = cfa__json_get(root, "data");
    bool more;
    if (response->fate != CFA__STRIPE_ANSWERED || response->status != 200 || page == NULL ||
        !cfa__json_read_bool(cfa__json_get(root, "has_more"), &more)) {
        cfa__stripe_reply(exchange->out, exchange->call, response, root, exchange->arena);
        exchange->out->outcome = CFA_OUTCOME_UNKNOWN;
        return false;
    }
    if (find_in_page(exchange, page, response->date_us)) {
        return false;
    }
    if (more) {
        size_t size = cfa__json_size(page);
        const char *last = size > 0 ? cfa__stripe_text(cfa__json_at(page, size - 1), "id") : NULL;
        return last != NULL ? turn_page(exchange, exchange->phase, last, out_request)
                            : end(exchange, CFA_OUTCOME_UNKNOWN, "unreadable_answer");
    }
    if (exchange->phase == CFA__STRIPE_SESSION_PAGES) {
        return turn_page(exchange, CFA__STRIPE_INTENT_PAGES, NULL, out_request);
    }
    return end(exchange, CFA_OUTCOME_NOT_SENT, NULL); /* every page was seen: there is none */
}

/* ---- cancels --------------------------------------------------------------------------------- */

/* An intent that grew out of a hosted page is called off by closing the page. */
static bool may_be_on_page(const cfa__stripe_exchange *exchange,
                           const cfa__stripe_response *response) {
    return exchange->hosted && exchange->call->kind == CFA_CALL_CANCEL &&
           !cfa__stripe_is_session(exchange->call->ref) && response->status == 400 &&
           exchange->out->outcome == CFA_OUTCOME_REFUSED;
}

static bool next_own(cfa__stripe_exchange *exchange, const cfa__stripe_response *response,
                     const cfa__json *root, cfa__stripe_request *out_request) {
    cfa__stripe_reply(exchange->out, exchange->call, response, root, exchange->arena);
    return may_be_on_page(exchange, response) &&
           go_on(exchange, CFA__STRIPE_FIND_PAGE,
                 cfa__stripe_request_page_of(out_request, exchange->call->ref, exchange->arena),
                 out_request);
}

/* Without an open page the refusal stands. */
static bool next_expire(cfa__stripe_exchange *exchange, const cfa__json *root,
                        cfa__stripe_request *out_request) {
    const cfa__json *page = cfa__json_at(cfa__json_get(root, "data"), 0);
    const char *id = cfa__stripe_text(page, "id");
    return id != NULL && cfa__stripe_text_is(page, "status", "open") &&
           go_on(exchange, CFA__STRIPE_EXPIRE_PAGE,
                 cfa__stripe_request_expire(out_request, exchange->call, id, exchange->arena),
                 out_request);
}

/* What is read of an answer. An intent has forty members more; building them would cost as much as
 * the request did. */
static const char *const members[] = {
    "amount",
    "amount_capturable",
    "amount_received",
    "amount_total",
    "canceled_at",
    "cancellation_reason",
    "client_secret",
    "currency",
    "data",
    "error",
    "failure_reason",
    "has_more",
    "id",
    "last_payment_error",
    "metadata",
    "object",
    "payment_intent",
    "payment_status",
    "status",
    "url",
    NULL,
};

bool cfa__stripe_exchange_next(cfa__stripe_exchange *exchange, const cfa__stripe_response *response,
                               cfa__stripe_request *out_request) {
    cfa__json *root = NULL;
    if (response->fate == CFA__STRIPE_ANSWERED &&
        cfa__json_parse_some(&root, response->body, members, exchange->arena) != CFA_OK) {
        root = NULL;
    }
    bool more = false;
    switch (exchange->phase) {
    case CFA__STRIPE_SESSION_PAGES:
    case CFA__STRIPE_INTENT_PAGES: more = next_page(exchange, response, root, out_request); break;
    case CFA__STRIPE_OWN: more = next_own(exchange, response, root, out_request); break;
    case CFA__STRIPE_FIND_PAGE: more = next_expire(exchange, root, out_request); break;
    case CFA__STRIPE_EXPIRE_PAGE:
        cfa__stripe_reply(exchange->out, exchange->call, response, root, exchange->arena);
        break;
    }
    cfa__json_free(root);
    return more;
}
