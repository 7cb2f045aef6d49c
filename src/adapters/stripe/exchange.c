/*
 * exchange.c - a call as one or several requests: most are one; look-ups are lookup.c's; a cancel
 * that Stripe refuses because the hosted page is still open closes the page; a read of a payment
 * goes on until all its refunds and disputes are named. Pure: it says what to ask next, somebody
 * else asks.
 */
#include "adapters/stripe/reversal.h"

int32_t cfa__stripe_exchange_left_ms(const cfa__stripe_exchange *exchange) {
    int64_t left = (exchange->deadline_us - cfa__stripe_monotonic_us()) / 1000;
    return left > INT32_MAX ? INT32_MAX : left > 0 ? (int32_t)left : 0;
}

bool cfa__stripe_exchange_end(cfa__stripe_exchange *exchange, int32_t outcome, const char *code) {
    *exchange->out = (cfa_reply){ .struct_size = sizeof *exchange->out,
                                  .outcome = outcome,
                                  .facts = CFA_FACTS_INIT,
                                  .code = code };
    return false;
}

/* True when the next request could be described and there is time for it. */
static bool go_on(cfa__stripe_exchange *exchange, cfa__stripe_phase phase, cfa_status status,
                  cfa__stripe_request *out_request) {
    int32_t timeout_ms = cfa__stripe_exchange_left_ms(exchange);
    if (status != CFA_OK || timeout_ms == 0) {
        return false;
    }
    exchange->phase = phase;
    out_request->timeout_ms = timeout_ms;
    return true;
}

bool cfa__stripe_exchange_begin(cfa__stripe_exchange *exchange, cfa_stripe *stripe,
                                const cfa_call *call, cfa_arena *arena, cfa_reply *out,
                                cfa__stripe_request *out_request) {
    int32_t timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : CFA__STRIPE_DEFAULT_TIMEOUT_MS;
    *exchange = (cfa__stripe_exchange){
        .stripe = stripe,
        .call = call,
        .arena = arena,
        .out = out,
        .deadline_us = cfa__stripe_monotonic_us() + (int64_t)timeout_ms * 1000,
    };
    *out = (cfa_reply){ .struct_size = sizeof *out, .facts = CFA_FACTS_INIT };
    if (call->kind == CFA_CALL_LOOKUP) {
        return cfa__stripe_lookup_begin(exchange, out_request);
    }
    cfa_status status = cfa__stripe_request_of(out_request, call, arena);
    if (go_on(exchange, CFA__STRIPE_OWN, status, out_request)) {
        return true;
    }
    return cfa__stripe_exchange_end(exchange, CFA_OUTCOME_NOT_SENT,
                                    status == CFA_ENOMEM ? "out_of_memory" : "parameter_missing");
}

/* ---- cancels --------------------------------------------------------------------------------- */

/* An intent that grew out of a hosted page is called off by closing the page. */
static bool may_be_on_page(const cfa__stripe_exchange *exchange,
                           const cfa__stripe_response *response) {
    return exchange->stripe->hosted && exchange->call->kind == CFA_CALL_CANCEL &&
           !cfa__stripe_is_session(exchange->call->ref) && response->status == 400 &&
           exchange->out->outcome == CFA_OUTCOME_REFUSED;
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

/* ---- reads ----------------------------------------------------------------------------------- */

/* Without all of them the payment is not read: what a read leaves out is taken not to exist. */
static bool not_read(cfa__stripe_exchange *exchange, cfa_status status, const char *code) {
    return cfa__stripe_exchange_end(exchange, CFA_OUTCOME_UNKNOWN,
                                    status == CFA_ENOMEM ? "out_of_memory" : code);
}

/* List what the answers so far did not tell. False: they told it all, or `out` says why not. */
static bool ask_reversals(cfa__stripe_exchange *exchange, cfa__stripe_request *out_request) {
    if (exchange->unread == 0) {
        return false;
    }
    cfa_status status =
        cfa__stripe_request_reversals(out_request, (exchange->unread & CFA__STRIPE_REFUNDS) != 0,
                                      exchange->out->facts.ref, exchange->arena);
    return go_on(exchange, CFA__STRIPE_REVERSALS, status, out_request) ||
           not_read(exchange, status, "timeout");
}

static bool next_read(cfa__stripe_exchange *exchange, const cfa__stripe_response *response,
                      const cfa__json *root, cfa__stripe_request *out_request) {
    cfa_status status = cfa__stripe_object_reversals(&exchange->out->facts, &exchange->unread, root,
                                                     response->date_us, exchange->arena);
    return status == CFA_OK ? ask_reversals(exchange, out_request)
                            : not_read(exchange, status, "unreadable_object");
}

static bool next_reversals(cfa__stripe_exchange *exchange, const cfa__stripe_response *response,
                           const cfa__json *root, cfa__stripe_request *out_request) {
    if (response->fate != CFA__STRIPE_ANSWERED || response->status != 200 || root == NULL) {
        cfa__stripe_reply(exchange->out, exchange->call, response, root, exchange->arena);
        exchange->out->outcome = CFA_OUTCOME_UNKNOWN;
        return false;
    }
    bool all, refunds = (exchange->unread & CFA__STRIPE_REFUNDS) != 0;
    cfa_facts *facts = &exchange->out->facts;
    cfa_status status =
        refunds ? cfa__stripe_refunds(facts, &all, root, response->date_us, exchange->arena)
                : cfa__stripe_disputes(facts, &all, root, response->date_us, exchange->arena);
    if (status != CFA_OK || !all) {
        return not_read(exchange, status,
                        status == CFA_OK ? "incomplete_list" : "unreadable_object");
    }
    exchange->unread &= ~(uint32_t)(refunds ? CFA__STRIPE_REFUNDS : CFA__STRIPE_DISPUTES);
    return ask_reversals(exchange, out_request);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool next_own(cfa__stripe_exchange *exchange, const cfa__stripe_response *response,
                     const cfa__json *root, cfa__stripe_request *out_request) {
    cfa__stripe_reply(exchange->out, exchange->call, response, root, exchange->arena);
    if (exchange->call->kind == CFA_CALL_RETRIEVE && exchange->out->outcome == CFA_OUTCOME_DONE) {
        return next_read(exchange, response, root, out_request);
    }
    return may_be_on_page(exchange, response) &&
           go_on(exchange, CFA__STRIPE_FIND_PAGE,
                 cfa__stripe_request_page_of(out_request, exchange->call->ref, exchange->arena),
                 out_request);
}

/* What is read of an answer. An intent has forty members more; building them would cost as much as
 * the request did. */
static const char *const members[] = {
    "amount",
    "amount_capturable",
    "amount_received",
    "amount_total",
    "balance_transaction",
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
    "latest_charge",
    "metadata",
    "object",
    "payment_intent",
    "payment_status",
    "reason",
    "status",
    "url",
    NULL,
};

bool cfa__stripe_exchange_next(cfa__stripe_exchange *exchange, const cfa__stripe_response *response,
                               cfa__stripe_request *out_request) {
    /* Of a list nearly all is read. */
    bool is_lookup = exchange->phase == CFA__STRIPE_LOOKUP;
    cfa__json *root = NULL;
    if (response->fate == CFA__STRIPE_ANSWERED &&
        (is_lookup
             ? cfa__json_parse(&root, response->body)
             : cfa__json_parse_some(&root, response->body, members, exchange->arena)) != CFA_OK) {
        root = NULL;
    }
    bool more = false;
    switch (exchange->phase) {
    case CFA__STRIPE_LOOKUP:
        more = cfa__stripe_lookup_next(exchange, response, root, out_request);
        break;
    case CFA__STRIPE_OWN: more = next_own(exchange, response, root, out_request); break;
    case CFA__STRIPE_REVERSALS: more = next_reversals(exchange, response, root, out_request); break;
    case CFA__STRIPE_FIND_PAGE: more = next_expire(exchange, root, out_request); break;
    case CFA__STRIPE_EXPIRE_PAGE:
        cfa__stripe_reply(exchange->out, exchange->call, response, root, exchange->arena);
        break;
    }
    cfa__json_free(root);
    return more;
}
