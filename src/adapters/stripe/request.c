/*
 * request.c - calls as the bytes of Stripe's API: form-encoded bodies, paths, queries. Pure. What
 * is stored as a body holds no secret, and alone decides which endpoint a CREATE goes to, so that
 * a repeat is the same request even after the mode was changed.
 */
#include "adapters/stripe/stripe.h"
#include "util/buffer.h"

#include <assert.h>
#include <string.h>

static const char page_body[] = "mode=payment&"; /* how the body of a hosted page begins */

static bool is_empty(const char *text) { return text == NULL || text[0] == '\0'; }

bool cfa__stripe_is_session(const char *ref) { return ref != NULL && strncmp(ref, "cs_", 3) == 0; }

/* ---- encoding -------------------------------------------------------------------------------- */

static void escape(cfa__buffer *buffer, const char *text) {
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (strchr(plain, byte) != NULL) {
            cfa__buffer_append(buffer, text, 1);
        } else {
            const char escaped[] = { '%', "0123456789ABCDEF"[byte >> 4],
                                     "0123456789ABCDEF"[byte & 15] };
            cfa__buffer_append(buffer, escaped, sizeof escaped);
        }
    }
}

/* Names are ours and stand as they are, brackets included, as Stripe's own libraries send them. */
static void field_name(cfa__buffer *buffer, const char *name) {
    if (buffer->size > 0) {
        cfa__buffer_append(buffer, "&", 1);
    }
    cfa__buffer_text(buffer, name);
    cfa__buffer_append(buffer, "=", 1);
}

static void field(cfa__buffer *buffer, const char *name, const char *value) {
    field_name(buffer, name);
    escape(buffer, value);
}

static void field_int(cfa__buffer *buffer, const char *name, int64_t value) {
    field_name(buffer, name);
    cfa__buffer_int(buffer, value);
}

static void field_currency(cfa__buffer *buffer, const char *name, const char *currency) {
    char lower[4] = { 0 };
    for (size_t i = 0; i < 3; i++) {
        lower[i] = (char)(currency[i] - 'A' + 'a');
    }
    field(buffer, name, lower);
}

/* ---- prepare --------------------------------------------------------------------------------- */

static cfa_status missing(const char *name) {
    return cfa_error_set(CFA_EINVAL, CFA__STRIPE_ORIGIN, name, 0, "the call needs this field");
}

static cfa_status read_units(int64_t *out, cfa_money amount) {
    cfa_status status = cfa_money_check(amount, NULL);
    if (status == CFA_OK && !cfa__stripe_units(out, amount)) {
        status = cfa_error_set(CFA_EAMOUNT, CFA__STRIPE_ORIGIN, "amount", 0,
                               "Stripe's unit of this currency is larger than the amount's");
    }
    return status;
}

static void write_intent(cfa__buffer *body, const cfa_call *call, int64_t units) {
    field_int(body, "amount", units);
    field_currency(body, "currency", call->amount.currency);
    field(body, "automatic_payment_methods[enabled]", "true");
    field(body, "capture_method", call->capture_manual != 0 ? "manual" : "automatic");
    field(body, "metadata[payment_id]", call->payment_id);
    if (!is_empty(call->payment_method)) {
        field(body, "payment_method", call->payment_method);
    }
}

static void write_page(cfa__buffer *body, const cfa_stripe *stripe, const cfa_call *call,
                       int64_t units) {
    field(body, "mode", "payment");
    field(body, "submit_type", "donate");
    /* Else Stripe may show, and charge, the donor's own currency: not what was pledged. */
    field(body, "adaptive_pricing[enabled]", "false");
    field(body, "client_reference_id", call->payment_id);
    field(body, "line_items[0][quantity]", "1");
    field_currency(body, "line_items[0][price_data][currency]", call->amount.currency);
    field_int(body, "line_items[0][price_data][unit_amount]", units);
    field(body, "line_items[0][price_data][product_data][name]", stripe->product_name);
    field(body, "metadata[payment_id]", call->payment_id);
    field(body, "payment_intent_data[capture_method]",
          call->capture_manual != 0 ? "manual" : "automatic");
    field(body, "payment_intent_data[metadata][payment_id]", call->payment_id);
    field(body, "success_url", call->return_url);
    if (!is_empty(call->cancel_url)) {
        field(body, "cancel_url", call->cancel_url);
    }
}

static cfa_status prepare_create(cfa__buffer *body, const cfa_stripe *stripe,
                                 const cfa_call *call) {
    if (is_empty(call->payment_id)) {
        return missing("payment_id");
    }
    int64_t units;
    cfa_status status = cfa_money_check(call->amount, cfa_money_rules_stripe());
    if (status == CFA_OK) {
        status = read_units(&units, call->amount);
    }
    if (status != CFA_OK) {
        return status;
    }
    if (!stripe->hosted) {
        write_intent(body, call, units);
        return CFA_OK;
    }
    if (is_empty(call->return_url)) {
        return cfa_error_set(CFA_EINVAL, CFA__STRIPE_ORIGIN, "return_url", 0,
                             "the hosted page needs to know where it sends the donor afterwards");
    }
    write_page(body, stripe, call, units);
    return CFA_OK;
}

static cfa_status prepare_change(cfa__buffer *body, const cfa_call *call) {
    if (is_empty(call->ref)) {
        return missing("ref");
    }
    int64_t units = 0;
    bool all = call->amount.minor == 0;
    cfa_status status =
        call->kind == CFA_CALL_CANCEL || all ? CFA_OK : read_units(&units, call->amount);
    if (status != CFA_OK) {
        return status;
    }
    switch (call->kind) {
    case CFA_CALL_CAPTURE:
        if (!all) {
            field_int(body, "amount_to_capture", units);
        }
        break;
    case CFA_CALL_CANCEL:
        if (!cfa__stripe_is_session(call->ref)) {
            field(body, "cancellation_reason", "requested_by_customer");
        }
        break;
    default:
        field(body, "payment_intent", call->ref);
        if (!all) {
            field_int(body, "amount", units);
        }
        if (!is_empty(call->payment_id)) {
            field(body, "metadata[payment_id]", call->payment_id);
        }
        if (!is_empty(call->operation_id)) {
            field(body, "metadata[operation_id]", call->operation_id);
        }
        if (!is_empty(call->refund_id)) {
            field(body, "metadata[refund_id]", call->refund_id);
        }
        field(body, "expand[]", "payment_intent");
    }
    return CFA_OK;
}

cfa_status cfa__stripe_prepare(void *self, const cfa_call *call, cfa_arena *arena,
                               cfa_slice *out_body) {
    cfa__buffer body;
    cfa__buffer_init(&body, arena, 512);
    cfa_status status = CFA_OK;
    switch (call->kind) {
    case CFA_CALL_CREATE: status = prepare_create(&body, self, call); break;
    case CFA_CALL_CAPTURE:
    case CFA_CALL_CANCEL:
    case CFA_CALL_REFUND: status = prepare_change(&body, call); break;
    case CFA_CALL_RETRIEVE: status = is_empty(call->ref) ? missing("ref") : CFA_OK; break;
    case CFA_CALL_LOOKUP:
        status = is_empty(call->payment_id) ? missing("payment_id") : CFA_OK;
        break;
    default:
        status = cfa_error_set(CFA_ENOTSUP, CFA__STRIPE_ORIGIN, "kind", call->kind, "no such call");
    }
    return status == CFA_OK ? cfa__buffer_finish(&body, out_body) : status;
}

/* ---- requests -------------------------------------------------------------------------------- */

static cfa_status finish_target(cfa__stripe_request *out, cfa__buffer *target) {
    cfa_slice text;
    cfa_status status = cfa__buffer_finish(target, &text);
    if (status == CFA_OK) {
        out->target = text.data;
    }
    return status;
}

static cfa_status target_of_object(cfa__stripe_request *out, const char *folder, const char *ref,
                                   const char *rest, cfa_arena *arena) {
    cfa__buffer target;
    cfa__buffer_init(&target, arena, 128);
    cfa__buffer_text(&target, folder);
    escape(&target, ref);
    cfa__buffer_text(&target, rest);
    return finish_target(out, &target);
}

cfa_status cfa__stripe_request_read(cfa__stripe_request *out, const char *ref, cfa_arena *arena) {
    *out = (cfa__stripe_request){ .post = false };
    return cfa__stripe_is_session(ref)
               ? target_of_object(out, "/v1/checkout/sessions/", ref,
                                  "?expand[]=payment_intent.latest_charge.refunds"
                                  "&expand[]=payment_intent.latest_charge.balance_transaction",
                                  arena)
               : target_of_object(out, "/v1/payment_intents/", ref,
                                  "?expand[]=latest_charge.refunds"
                                  "&expand[]=latest_charge.balance_transaction",
                                  arena);
}

cfa_status cfa__stripe_request_reversals(cfa__stripe_request *out, bool refunds, const char *intent,
                                         cfa_arena *arena) {
    static_assert(CFA_REVERSALS_MAX == 100, "a page holds as many as facts do");
    *out = (cfa__stripe_request){ .post = false };
    return target_of_object(out,
                            refunds ? "/v1/refunds?limit=100&payment_intent="
                                    : "/v1/disputes?limit=100&payment_intent=",
                            intent, "", arena);
}

bool cfa__stripe_makes_page(cfa_slice body) {
    return body.size >= sizeof page_body - 1 &&
           memcmp(body.data, page_body, sizeof page_body - 1) == 0;
}

cfa_status cfa__stripe_request_of(cfa__stripe_request *out, const cfa_call *call,
                                  cfa_arena *arena) {
    if (call->kind == CFA_CALL_RETRIEVE) {
        return is_empty(call->ref) ? missing("ref")
                                   : cfa__stripe_request_read(out, call->ref, arena);
    }
    *out = (cfa__stripe_request){ .post = true,
                                  .body = call->body,
                                  .idempotency_key = call->idempotency_key };
    if (is_empty(call->idempotency_key)) {
        return missing("idempotency_key");
    }
    if (is_empty(call->ref) && call->kind != CFA_CALL_CREATE && call->kind != CFA_CALL_REFUND) {
        return missing("ref");
    }
    switch (call->kind) {
    case CFA_CALL_CREATE:
        out->target =
            cfa__stripe_makes_page(call->body) ? "/v1/checkout/sessions" : "/v1/payment_intents";
        return CFA_OK;
    case CFA_CALL_CAPTURE:
        return target_of_object(out, "/v1/payment_intents/", call->ref, "/capture", arena);
    case CFA_CALL_CANCEL:
        return cfa__stripe_is_session(call->ref)
                   ? target_of_object(out, "/v1/checkout/sessions/", call->ref, "/expire", arena)
                   : target_of_object(out, "/v1/payment_intents/", call->ref, "/cancel", arena);
    case CFA_CALL_REFUND: out->target = "/v1/refunds"; return CFA_OK;
    default:
        return cfa_error_set(CFA_ENOTSUP, CFA__STRIPE_ORIGIN, "kind", call->kind, "no such call");
    }
}

cfa_status cfa__stripe_request_list(cfa__stripe_request *out, bool sessions,
                                    cfa__stripe_span created, bool open, const char *after,
                                    int32_t limit, cfa_arena *arena) {
    cfa__buffer query;
    cfa__buffer_init(&query, arena, 256);
    *out = (cfa__stripe_request){ .post = false };
    cfa__buffer_text(&query, sessions ? "/v1/checkout/sessions?" : "/v1/payment_intents?");
    cfa__buffer_text(&query, "limit=");
    cfa__buffer_int(&query, limit);
    field_int(&query, "created[gte]", created.from_s);
    if (!open) {
        field_int(&query, "created[lte]", created.until_s);
    }
    if (!is_empty(after)) {
        field(&query, "starting_after", after);
    }
    return finish_target(out, &query);
}

cfa_status cfa__stripe_request_page(cfa__stripe_request *out, const char *path,
                                    const cfa__stripe_span *created, const char *payout,
                                    const char *after, int32_t limit, const char *rest,
                                    cfa_arena *arena) {
    cfa__buffer query;
    cfa__buffer_init(&query, arena, 256);
    *out = (cfa__stripe_request){ .post = false };
    cfa__buffer_text(&query, path);
    cfa__buffer_text(&query, "?limit=");
    cfa__buffer_int(&query, limit);
    if (created != NULL) {
        field_int(&query, "created[gte]", created->from_s);
        field_int(&query, "created[lte]", created->until_s);
    }
    if (!is_empty(payout)) {
        field(&query, "payout", payout);
    }
    if (!is_empty(after)) {
        field(&query, "starting_after", after);
    }
    cfa__buffer_text(&query, rest);
    return finish_target(out, &query);
}

cfa_status cfa__stripe_request_page_of(cfa__stripe_request *out, const char *intent,
                                       cfa_arena *arena) {
    *out = (cfa__stripe_request){ .post = false };
    return target_of_object(out, "/v1/checkout/sessions?limit=1&payment_intent=", intent, "",
                            arena);
}

cfa_status cfa__stripe_request_expire(cfa__stripe_request *out, const cfa_call *call,
                                      const char *session, cfa_arena *arena) {
    cfa__buffer key;
    cfa_slice text;
    cfa__buffer_init(&key, arena, 128);
    cfa__buffer_text(&key, call->idempotency_key);
    cfa__buffer_text(&key, "_page"); /* another request, so another key, as deterministic */
    cfa_status status = cfa__buffer_finish(&key, &text);
    if (status != CFA_OK) {
        return status;
    }
    *out = (cfa__stripe_request){ .post = true, .idempotency_key = text.data };
    return target_of_object(out, "/v1/checkout/sessions/", session, "/expire", arena);
}
