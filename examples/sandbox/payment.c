/*
 * payment.c - the life of a payment intent: attempt, 3-D Secure, hold, capture, release, delayed
 * results. The only place that makes a charge succeed, and so the only one that could charge twice.
 */
#include "payment.h"
#include "charge.h"
#include "checkout.h"
#include "clock.h"
#include "store.h"
#include "webhooks.h"

#include <assert.h>
#include <string.h>

static const char intent_shape[] =
    "{'id':'','object':'payment_intent','amount':0,'amount_capturable':0,"
    "'amount_details':{'tip':{}},'amount_received':0,'application':null,"
    "'application_fee_amount':null,'automatic_payment_methods':null,'canceled_at':null,"
    "'cancellation_reason':null,'capture_method':'','client_secret':'',"
    "'confirmation_method':'automatic','created':0,'currency':'','customer':null,"
    "'description':null,'last_payment_error':null,'latest_charge':null,'livemode':false,"
    "'metadata':{},'next_action':null,'on_behalf_of':null,'payment_method':null,"
    "'payment_method_options':{'card':{'installments':null,'mandate_options':null,"
    "'network':null,'request_three_d_secure':'automatic'}},'payment_method_types':['card'],"
    "'processing':null,'receipt_email':null,'review':null,'setup_future_usage':null,"
    "'shipping':null,'source':null,'statement_descriptor':null,"
    "'statement_descriptor_suffix':null,'status':'requires_payment_method',"
    "'transfer_data':null,'transfer_group':null}";

json_t *payment_new(sandbox *box, const char *account, int64_t amount, const char *currency,
                    const char *capture_method, const char *description, json_t *metadata,
                    const char *session, const char *line) {
    char id[ID_BYTES], tail[ID_BYTES];
    random_id(box, id, "pi_3", 23);
    random_id(box, tail, "_secret_", 25);
    json_t *intent = shape(intent_shape);
    doc_set_string(intent, "id", id);
    doc_set_integer(intent, "amount", amount);
    doc_set_string(intent, "capture_method", capture_method);
    doc_set(intent, "client_secret", json_sprintf("%s%s", id, tail));
    doc_set_integer(intent, "created", clock_s(box));
    doc_set_string(intent, "currency", currency);
    doc_set_string(intent, "description", description);
    doc_set(intent, "metadata", json_deep_copy(metadata));
    json_t *hidden = doc_hidden(intent);
    if (!line)
        line = doc_string(metadata, "payment_id");
    doc_set_string(hidden, "payment_id", line && *line ? line : id);
    if (session)
        doc_set_string(hidden, "session", session);
    store_insert(box->store, KIND_INTENT, account, intent, session, payment_line(intent));
    store_payment(box->store, &(payment_change){ .payment_id = payment_line(intent),
                                                 .account = account,
                                                 .currency = currency,
                                                 .amount = amount,
                                                 .intents = 1 });
    event_emit(box, account, "payment_intent.created", intent, NULL);
    return intent;
}

const char *payment_line(json_t *intent) { return doc_string(doc_hidden(intent), "payment_id"); }

bool payment_can_confirm(const json_t *intent) {
    const char *status = doc_string(intent, "status");
    return text_equal(status, "requires_payment_method") ||
           text_equal(status, "requires_confirmation") || text_equal(status, "requires_action");
}

static void count(sandbox *box, json_t *intent, payment_change change) {
    change.payment_id = payment_line(intent);
    change.account = doc_account(intent);
    change.currency = doc_string(intent, "currency");
    store_payment(box->store, &change);
}

static void emit(sandbox *box, json_t *doc, const char *type) {
    event_emit(box, doc_account(doc), type, doc, NULL);
}

static void set_status(json_t *intent, const char *status) {
    doc_set_string(intent, "status", status);
    if (strcmp(status, "requires_action") != 0)
        doc_set(intent, "next_action", json_null());
}

/* ---- the ways an attempt ends --------------------------------------------------------------- */

static pay_outcome ask_authentication(sandbox *box, json_t *intent) {
    const char *back = doc_string(doc_hidden(intent), "return_url");
    json_t *url =
        must(json_sprintf("%s/pay/%s/authenticate", box->base_url, doc_string(intent, "id")));
    set_status(intent, "requires_action");
    if (back)
        doc_set(intent, "next_action",
                pack("{s:s, s:{s:s, s:o}}", "type", "redirect_to_url", "redirect_to_url",
                     "return_url", back, "url", url));
    else
        doc_set(intent, "next_action",
                pack("{s:s, s:{s:s, s:o}}", "type", "use_stripe_sdk", "use_stripe_sdk", "type",
                     "three_d_secure_redirect", "stripe_js", url));
    store_update(box->store, intent);
    emit(box, intent, "payment_intent.requires_action");
    return NEEDS_ACTION;
}

/* A refused attempt: the intent can be tried again. `charge` may be NULL. */
static pay_outcome decline(sandbox *box, json_t *intent, json_t *charge, const char *code,
                           const char *decline_code, const char *message) {
    const char *method = doc_string(intent, "payment_method");
    json_t *error = pack("{s:o, s:s, s:o, s:s, s:s}", "charge",
                         string_or_null(charge ? doc_string(charge, "id") : NULL), "code", code,
                         "doc_url", json_sprintf("https://stripe.com/docs/error-codes/%s", code),
                         "message", message, "type", "card_error");
    if (decline_code)
        doc_set_string(error, "decline_code", decline_code);
    json_t *shown =
        method ? store_load(box->store, KIND_METHOD, doc_account(intent), method) : NULL;
    if (shown) {
        json_object_del(shown, "_");
        doc_set(error, "payment_method", shown);
    }
    doc_set(intent, "last_payment_error", error);
    doc_set(intent, "payment_method", json_null());
    doc_set(intent, "processing", json_null());
    set_status(intent, "requires_payment_method");
    store_update(box->store, intent);
    count(box, intent, (payment_change){ .declines = 1 });
    if (charge)
        emit(box, charge, "charge.failed");
    emit(box, intent, "payment_intent.payment_failed");
    session_follow(box, intent, DECLINED);
    return DECLINED;
}

static pay_outcome hold(sandbox *box, json_t *intent, json_t *charge) {
    doc_set_integer(intent, "amount_capturable", doc_integer(intent, "amount"));
    set_status(intent, "requires_capture");
    store_update(box->store, intent);
    count(box, intent, (payment_change){ .charges = 1 });
    store_job(box->store, clock_us(box) + HOLD_S * INT64_C(1000000), "hold",
              doc_string(intent, "id"));
    emit(box, charge, "charge.succeeded");
    emit(box, intent, "payment_intent.amount_capturable_updated");
    session_follow(box, intent, HELD);
    return HELD;
}

static pay_outcome pay(sandbox *box, json_t *intent, json_t *charge) {
    int64_t amount = doc_integer(intent, "amount");
    doc_set_integer(intent, "amount_received", amount);
    doc_set(intent, "processing", json_null());
    set_status(intent, "succeeded");
    store_update(box->store, intent);
    count(box, intent, (payment_change){ .charges = 1, .captures = 1, .captured = amount });
    /* With automatic_async the fee comes later, in a charge.updated of its own. */
    if (text_equal(doc_string(intent, "capture_method"), "automatic_async"))
        job_later(box, "fee", doc_string(charge, "id"));
    else
        charge_book(box, charge);
    charge_consequences(box, charge);
    emit(box, charge, "charge.succeeded");
    emit(box, intent, "payment_intent.succeeded");
    session_follow(box, intent, PAID);
    return PAID;
}

pay_outcome payment_attempt(sandbox *box, json_t *intent, const test_card *card, const char *method,
                            bool authenticated) {
    assert(payment_can_confirm(intent)); /* or it could be paid twice */
    doc_set_string(intent, "payment_method", method);
    doc_set(intent, "last_payment_error", json_null());
    doc_set_string(doc_hidden(intent), "card", card_name(card));
    if (card->authenticate && !authenticated)
        return ask_authentication(box, intent);
    if (card->async) {
        json_t *charge = charge_new(box, intent, card, "pending");
        doc_set_string(intent, "latest_charge", doc_string(charge, "id"));
        doc_set(intent, "processing",
                pack("{s:s, s:{s:n}}", "type", "card", "card", "customer_notification"));
        set_status(intent, "processing");
        store_update(box->store, intent);
        if (!card->stuck)
            job_later(box, "settle", doc_string(intent, "id"));
        emit(box, charge, "charge.pending");
        emit(box, intent, "payment_intent.processing");
        session_follow(box, intent, PROCESSING);
        json_decref(charge);
        return PROCESSING;
    }
    json_t *charge = charge_new(box, intent, card, card->code ? "failed" : "succeeded");
    doc_set_string(intent, "latest_charge", doc_string(charge, "id"));
    bool manual = text_equal(doc_string(intent, "capture_method"), "manual");
    pay_outcome out =
        card->code ? decline(box, intent, charge, card->code, card->decline_code, card->message)
        : manual   ? hold(box, intent, charge)
                   : pay(box, intent, charge);
    json_decref(charge);
    return out;
}

pay_outcome payment_authenticate(sandbox *box, json_t *intent, bool passed) {
    const test_card *card = card_by_name(doc_string(doc_hidden(intent), "card"));
    if (!passed || !card)
        return decline(box, intent, NULL, "payment_intent_authentication_failure", NULL,
                       "The provided PaymentMethod has failed authentication. You can provide "
                       "payment_method_data or a new PaymentMethod to attempt to fulfill this "
                       "PaymentIntent again.");
    char method[ID_BYTES];
    format_text(method, sizeof method, "%s", doc_string(intent, "payment_method"));
    return payment_attempt(box, intent, card, method, true);
}

/* ---- capture and release -------------------------------------------------------------------- */

void payment_capture(sandbox *box, json_t *intent, int64_t amount) {
    json_t *charge =
        must(store_load(box->store, KIND_CHARGE, NULL, doc_string(intent, "latest_charge")));
    int64_t rest = doc_integer(charge, "amount") - amount;
    doc_set(charge, "captured", json_true());
    doc_set_integer(charge, "amount_captured", amount);
    charge_book(box, charge);
    if (rest > 0)
        charge_release(box, charge, rest, NULL);
    doc_set_integer(intent, "amount_capturable", 0);
    doc_set_integer(intent, "amount_received", amount);
    set_status(intent, "succeeded");
    store_update(box->store, intent);
    count(box, intent, (payment_change){ .captures = 1, .captured = amount });
    charge_consequences(box, charge);
    emit(box, charge, "charge.captured");
    emit(box, intent, "payment_intent.succeeded");
    session_follow(box, intent, PAID);
    json_decref(charge);
}

void payment_cancel(sandbox *box, json_t *intent, const char *reason, bool expired) {
    const char *charge_id = doc_string(intent, "latest_charge");
    bool held = text_equal(doc_string(intent, "status"), "requires_capture");
    if (held) {
        json_t *charge = must(store_load(box->store, KIND_CHARGE, NULL, charge_id));
        charge_release(box, charge, doc_integer(charge, "amount"),
                       expired ? "expired_uncaptured_charge" : NULL);
        emit(box, charge, expired ? "charge.expired" : "charge.refunded");
        json_decref(charge);
        count(box, intent, (payment_change){ .charges = -1 });
    }
    doc_set_integer(intent, "amount_capturable", 0);
    doc_set_integer(intent, "canceled_at", clock_s(box));
    doc_set_string(intent, "cancellation_reason", reason);
    set_status(intent, "canceled");
    store_update(box->store, intent);
    emit(box, intent, "payment_intent.canceled");
}

/* ---- the clock ------------------------------------------------------------------------------ */

void payment_settle(sandbox *box, const char *intent_id) {
    json_t *intent = store_load(box->store, KIND_INTENT, NULL, intent_id);
    const test_card *card = intent ? card_by_name(doc_string(doc_hidden(intent), "card")) : NULL;
    if (card && text_equal(doc_string(intent, "status"), "processing")) {
        json_t *charge =
            must(store_load(box->store, KIND_CHARGE, NULL, doc_string(intent, "latest_charge")));
        if (card->code) {
            charge_fail(box, charge, card);
            decline(box, intent, charge, card->code, card->decline_code, card->message);
        } else {
            doc_set_string(charge, "status", "succeeded");
            doc_set(charge, "paid", json_true());
            doc_set(charge, "captured", json_true());
            doc_set_integer(charge, "amount_captured", doc_integer(charge, "amount"));
            store_update(box->store, charge);
            pay(box, intent, charge);
        }
        json_decref(charge);
    }
    json_decref(intent);
}

void payment_book_fee(sandbox *box, const char *charge_id) {
    json_t *charge = store_load(box->store, KIND_CHARGE, NULL, charge_id);
    if (charge && json_is_null(json_object_get(charge, "balance_transaction"))) {
        charge_book(box, charge);
        event_emit(box, doc_account(charge), "charge.updated", charge,
                   pack("{s:n}", "balance_transaction"));
    }
    json_decref(charge);
}

void payment_hold_over(sandbox *box, const char *intent_id) {
    json_t *intent = store_load(box->store, KIND_INTENT, NULL, intent_id);
    if (intent && text_equal(doc_string(intent, "status"), "requires_capture"))
        payment_cancel(box, intent, "automatic", true);
    json_decref(intent);
}
