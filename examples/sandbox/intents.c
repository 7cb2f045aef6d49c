/*
 * intents.c - /v1/payment_intents: checks what callers ask and hands the step to payment.c.
 */
#include "api.h"
#include "form.h"
#include "money.h"
#include "payment.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- shared checks -------------------------------------------------------------------------- */

static json_t *refuse_state(call *c, json_t *intent, const char *verb, const char *allowed) {
    const char *status = doc_string(intent, "status");
    call_fail(
        c, 400, "invalid_request_error", "payment_intent_unexpected_state", NULL,
        "You cannot %s this PaymentIntent because it has a status of %s. Only a PaymentIntent "
        "with one of the following statuses may be %s: %s.",
        verb, status,
        strcmp(verb, "cancel") == 0    ? "canceled"
        : strcmp(verb, "capture") == 0 ? "captured"
                                       : "confirmed or updated",
        allowed);
    call_error_set(c, "payment_intent", show(intent));
    json_decref(intent);
    return NULL;
}

/* 402 with the whole story, as Stripe's clients expect it. */
static json_t *refuse_card(call *c, json_t *intent) {
    json_t *error = json_deep_copy(json_object_get(intent, "last_payment_error"));
    json_decref(c->error);
    c->status = 402;
    c->error = must(error);
    if (json_is_null(json_object_get(error, "charge")))
        json_object_del(error, "charge");
    call_error_set(c, "payment_intent", show(intent));
    json_decref(intent);
    return NULL;
}

/* Metadata and description of the arguments laid over an intent. */
static bool apply_fields(call *c, json_t *intent) {
    static const char *const texts[] = { "description",
                                         "receipt_email",
                                         "setup_future_usage",
                                         "statement_descriptor",
                                         "statement_descriptor_suffix",
                                         "transfer_group" };
    json_t *metadata = form_nested(c, "metadata");
    if (metadata && !form_metadata(c, "metadata", metadata, json_object_get(intent, "metadata")))
        return false;
    if (form_string(c, "metadata") && !*form_string(c, "metadata"))
        doc_set(intent, "metadata", json_object());
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *value = form_string(c, texts[i]);
        if (value)
            doc_set_string(intent, texts[i], *value ? value : NULL);
    }
    return true;
}

/* The card of payment_method or payment_method_data; `*out_given` tells whether there was one. */
static const test_card *read_card(call *c, char method[ID_BYTES], bool *out_given) {
    const char *name = form_string(c, "payment_method"), *code = NULL, *message = NULL;
    json_t *data = form_nested(c, "payment_method_data");
    json_t *fields = json_object_get(data, "card");
    *out_given = (name && *name) || data;
    const test_card *card = NULL;
    if (name && *name) {
        card = method_find(c->box, c->account, name, method);
        if (!card)
            call_fail(c, 400, "invalid_request_error", "resource_missing", "payment_method",
                      "No such PaymentMethod: '%s'", name);
    } else if (data) {
        const char *token = doc_string(fields, "token");
        card = token ? card_by_method(token)
                     : card_check(doc_string(fields, "number"), doc_string(fields, "exp_month"),
                                  doc_string(fields, "exp_year"), doc_string(fields, "cvc"),
                                  clock_s(c->box), &code, &message);
        if (card)
            method_new(c->box, c->account, card, method);
        else
            call_fail(c, 402, "card_error", code ? code : "resource_missing",
                      "payment_method_data[card]", "%s", message ? message : "No such token.");
    }
    return card;
}

/* `return_url` was checked by the caller. */
static json_t *confirm(call *c, json_t *intent, const test_card *card, const char *method) {
    const char *back = form_string(c, "return_url");
    if (back)
        doc_set_string(doc_hidden(intent), "return_url", back);
    if (payment_attempt(c->box, intent, card, method, false) == DECLINED)
        return refuse_card(c, intent);
    json_t *out = show(intent);
    json_decref(intent);
    return out;
}

/* ---- routes --------------------------------------------------------------------------------- */

json_t *intent_create(call *c, const char *id) {
    (void)id;
    int64_t amount = 0;
    char currency[4], method[ID_BYTES] = "";
    const char *capture = NULL, *text, *back;
    if (!form_required(c, "amount") || !form_integer(c, "amount", &amount))
        return NULL;
    if (!(text = form_required(c, "currency")) || !money_currency(c, text, "currency", currency) ||
        !money_amount(c, amount, currency, "amount") ||
        !form_choice(c, "capture_method", "automatic automatic_async manual", &capture) ||
        !form_url(c, "return_url", false, &back))
        return NULL;
    json_t *metadata = must(json_object());
    json_t *given = form_nested(c, "metadata");
    bool has_card = false;
    if (given && !form_metadata(c, "metadata", given, metadata)) {
        json_decref(metadata);
        return NULL;
    }
    const test_card *card = read_card(c, method, &has_card);
    if (has_card && !card) {
        json_decref(metadata);
        return NULL;
    }
    if (form_true(c, "confirm") && !card) {
        json_decref(metadata);
        return call_fail(
            c, 400, "invalid_request_error", "parameter_missing", "payment_method",
            "You cannot confirm this PaymentIntent because it's missing a payment "
            "method. To confirm the PaymentIntent with a payment method, specify one.");
    }
    call_execute(c);
    json_t *intent =
        payment_new(c->box, c->account, amount, currency, capture ? capture : "automatic_async",
                    form_string(c, "description"), metadata, NULL, NULL);
    json_decref(metadata);
    bool described = apply_fields(c, intent);
    json_t *automatic = form_nested(c, "automatic_payment_methods");
    if (described && automatic)
        doc_set(intent, "automatic_payment_methods",
                pack("{s:s, s:b}", "allow_redirects",
                     doc_string(automatic, "allow_redirects")
                         ? doc_string(automatic, "allow_redirects")
                         : "always",
                     "enabled", text_equal(doc_string(automatic, "enabled"), "true")));
    if (card && form_true(c, "confirm"))
        return confirm(c, intent, card, method);
    if (card) {
        doc_set_string(intent, "payment_method", method);
        doc_set_string(intent, "status", "requires_confirmation");
    }
    store_update(c->box->store, intent);
    json_t *out = show(intent);
    json_decref(intent);
    return out;
}

static bool secret_fits(call *c, const json_t *intent) {
    const char *given = form_string(c, "client_secret");
    if (!c->publishable && !given)
        return true;
    if (given && text_equal(given, doc_string(intent, "client_secret")))
        return true;
    call_fail(c, 400, "invalid_request_error", given ? "payment_intent_invalid_parameter" : NULL,
              "client_secret",
              given ? "The client_secret provided does not match the client_secret associated with "
                      "this PaymentIntent."
                    : "Missing required param: client_secret.");
    return false;
}

static json_t *load_intent(call *c, const char *id) {
    json_t *intent = load(c, KIND_INTENT, id, "payment_intent", "intent");
    if (intent && !secret_fits(c, intent)) {
        json_decref(intent);
        intent = NULL;
    }
    return intent;
}

json_t *intent_retrieve(call *c, const char *id) {
    json_t *intent = load_intent(c, id);
    if (intent)
        json_object_del(intent, "_");
    return intent;
}

json_t *intent_list(call *c, const char *id) {
    (void)id;
    return list(
        c, &(list_filter){ .kind = KIND_INTENT, .url = "/v1/payment_intents", .delivered = -1 });
}

json_t *intent_update(call *c, const char *id) {
    int64_t amount = 0;
    char currency[4] = "", method[ID_BYTES];
    const char *text = form_string(c, "currency");
    bool has_card = false;
    if (!form_integer(c, "amount", &amount) ||
        (text && !money_currency(c, text, "currency", currency)))
        return NULL;
    json_t *intent = load_intent(c, id);
    if (!intent)
        return NULL;
    if (amount &&
        !money_amount(c, amount, *currency ? currency : doc_string(intent, "currency"), "amount"))
        goto refused;
    call_execute(c);
    bool pays = amount || *currency || form_string(c, "payment_method");
    if (pays && !payment_can_confirm(intent))
        return refuse_state(c, intent, "update",
                            "requires_payment_method, requires_confirmation, requires_action");
    const test_card *card = read_card(c, method, &has_card);
    if ((has_card && !card) || !apply_fields(c, intent))
        goto refused;
    if (card) {
        doc_set_string(intent, "payment_method", method);
        doc_set_string(intent, "status", "requires_confirmation");
        doc_set(intent, "next_action", json_null());
    }
    if (amount) {
        doc_set_integer(intent, "amount", amount);
        store_payment(c->box->store, &(payment_change){ .payment_id = payment_line(intent),
                                                        .account = c->account,
                                                        .currency = doc_string(intent, "currency"),
                                                        .amount = amount });
    }
    if (*currency)
        doc_set_string(intent, "currency", currency);
    store_update(c->box->store, intent);
    json_object_del(intent, "_");
    return intent;
refused:
    json_decref(intent);
    return NULL;
}

json_t *intent_confirm(call *c, const char *id) {
    char method[ID_BYTES] = "";
    const char *back;
    bool has_card = false;
    if (!form_url(c, "return_url", false, &back))
        return NULL;
    json_t *intent = load_intent(c, id);
    if (!intent)
        return NULL;
    call_execute(c);
    if (!payment_can_confirm(intent))
        return refuse_state(c, intent, "confirm",
                            "requires_payment_method, requires_confirmation, requires_action");
    if (doc_string(doc_hidden(intent), "session")) {
        json_decref(intent);
        return call_fail(
            c, 400, "invalid_request_error", NULL, NULL,
            "You cannot confirm this PaymentIntent because it was created by Checkout.");
    }
    const test_card *card = read_card(c, method, &has_card);
    const char *stored = doc_string(intent, "payment_method");
    if (!has_card && stored)
        card = method_find(c->box, c->account, stored, method);
    if (!card) {
        if (!c->error)
            call_fail(
                c, 400, "invalid_request_error", "payment_intent_unexpected_state", NULL,
                "You cannot confirm this PaymentIntent because it's missing a payment method. "
                "You can either update the PaymentIntent with a payment method and then "
                "confirm it again, or confirm it again directly with a payment method.");
        json_decref(intent);
        return NULL;
    }
    return confirm(c, intent, card, method);
}

json_t *intent_capture(call *c, const char *id) {
    int64_t amount = 0;
    if (!form_integer(c, "amount_to_capture", &amount))
        return NULL;
    if (amount < 0 || (form_string(c, "amount_to_capture") && amount < 1))
        return call_fail(c, 400, "invalid_request_error", "parameter_invalid_integer",
                         "amount_to_capture", "This value must be greater than or equal to 1.");
    json_t *intent = load_intent(c, id);
    if (!intent)
        return NULL;
    call_execute(c);
    if (!text_equal(doc_string(intent, "status"), "requires_capture"))
        return refuse_state(c, intent, "capture", "requires_capture");
    int64_t most = doc_integer(intent, "amount_capturable");
    if (amount > most) {
        call_fail(
            c, 400, "invalid_request_error", "amount_too_large", "amount_to_capture",
            "The requested capture amount is greater than the amount you can capture for this "
            "charge (%" PRId64 ").",
            most);
        json_decref(intent);
        return NULL;
    }
    if (!apply_fields(c, intent)) {
        json_decref(intent);
        return NULL;
    }
    payment_capture(c->box, intent, amount ? amount : most);
    json_object_del(intent, "_");
    return intent;
}

json_t *intent_cancel(call *c, const char *id) {
    const char *reason = NULL;
    if (!form_choice(c, "cancellation_reason",
                     "duplicate fraudulent requested_by_customer abandoned", &reason))
        return NULL;
    json_t *intent = load_intent(c, id);
    if (!intent)
        return NULL;
    call_execute(c);
    const char *session = doc_string(doc_hidden(intent), "session");
    json_t *open = session ? store_load(c->box->store, KIND_SESSION, NULL, session) : NULL;
    bool busy = open && text_equal(doc_string(open, "status"), "open");
    json_decref(open);
    if (busy) {
        json_decref(intent);
        return call_fail(c, 400, "invalid_request_error", NULL, NULL,
                         "You cannot cancel this PaymentIntent because it was created by Checkout. "
                         "To cancel it, expire the Checkout Session.");
    }
    if (!payment_can_confirm(intent) &&
        !text_equal(doc_string(intent, "status"), "requires_capture"))
        return refuse_state(c, intent, "cancel",
                            "requires_payment_method, requires_capture, requires_confirmation, "
                            "requires_action");
    payment_cancel(c->box, intent, reason, false);
    json_object_del(intent, "_");
    return intent;
}
