/*
 * charge.c - charges, balance transactions and payment methods: how they look, and the routes that
 * read them. Moves no intent.
 */
#include "charge.h"
#include "api.h"
#include "clock.h"
#include "form.h"
#include "refund.h"

#include <string.h>

enum { FEE_FIXED = 30, FEE_PER_MILLE = 29, AVAILABLE_S = 7 * 24 * 3600 };

/* ---- payment methods ------------------------------------------------------------------------ */

void method_new(sandbox *box, const char *account, const test_card *card, char out_id[ID_BYTES]) {
    char last4[5];
    card_last4(card, last4);
    random_id(box, out_id, "pm_1", 23);
    json_t *method = pack(
        "{s:s, s:s, s:s, s:{s:{s:n, s:n, s:n, s:n, s:n, s:n}, s:n, s:n, s:n}, s:{s:s, s:{s:n, s:n,"
        " s:s}, s:s, s:s, s:i, s:i, s:s, s:s, s:n, s:s, s:n}, s:I, s:n, s:b, s:{}, s:s}",
        "id", out_id, "object", "payment_method", "allow_redisplay", "unspecified",
        "billing_details", "address", "city", "country", "line1", "line2", "postal_code", "state",
        "email", "name", "phone", "card", "brand", card->brand, "checks", "address_line1_check",
        "address_postal_code_check", "cvc_check", "pass", "country", "US", "display_brand",
        card->brand, "exp_month", 12, "exp_year", 2034, "funding", "credit", "last4", last4,
        "regulated_status", "fingerprint", "sandboxFingerprint", "wallet", "created",
        (json_int_t)clock_s(box), "customer", "livemode", 0, "metadata", "type", "card");
    doc_set_string(doc_hidden(method), "card", card_name(card));
    store_insert(box->store, KIND_METHOD, account, method, NULL, NULL);
    json_decref(method);
}

const test_card *method_find(sandbox *box, const char *account, const char *name,
                             char out_id[ID_BYTES]) {
    const test_card *card = card_by_method(name);
    if (card) {
        method_new(box, account, card, out_id);
        return card;
    }
    json_t *method = store_load(box->store, KIND_METHOD, account, name);
    if (!method)
        return NULL;
    format_text(out_id, ID_BYTES, "%s", name);
    card = card_by_name(doc_string(doc_hidden(method), "card"));
    json_decref(method);
    return card;
}

json_t *method_create(call *c, const char *id) {
    (void)id;
    const char *type = form_required(c, "type"), *code = NULL, *message = NULL;
    if (!type)
        return NULL;
    json_t *fields = form_nested(c, "card");
    if (strcmp(type, "card") != 0 || !fields)
        return call_fail(c, 400, "invalid_request_error", NULL, "type",
                         "Invalid type: the sandbox makes payment methods of type card.");
    const char *token = doc_string(fields, "token");
    const test_card *card =
        token ? card_by_method(token)
              : card_check(doc_string(fields, "number"), doc_string(fields, "exp_month"),
                           doc_string(fields, "exp_year"), doc_string(fields, "cvc"),
                           clock_s(c->box), &code, &message);
    if (!card)
        return call_fail(c, 402, "card_error", code ? code : "resource_missing", "card[number]",
                         "%s", message ? message : "No such token.");
    call_execute(c);
    char made[ID_BYTES];
    method_new(c->box, c->account, card, made);
    json_t *method = store_load(c->box->store, KIND_METHOD, c->account, made);
    json_object_del(method, "_");
    return method;
}

json_t *method_retrieve(call *c, const char *id) {
    json_t *method = load(c, KIND_METHOD, id, "PaymentMethod", "payment_method");
    if (method)
        json_object_del(method, "_");
    return method;
}

/* ---- charges -------------------------------------------------------------------------------- */

static json_t *outcome_of(const test_card *card, const char *status) {
    bool failed = strcmp(status, "failed") == 0;
    return pack("{s:s, s:o, s:o, s:s, s:i, s:s, s:s}", "network_status",
                failed ? "declined_by_network" : "approved_by_network", "advice_code",
                string_or_null(failed ? "try_again_later" : NULL), "reason",
                string_or_null(failed ? card->decline_code : NULL), "risk_level", "normal",
                "risk_score", 20, "seller_message",
                failed ? "The bank did not return any further details with this decline."
                       : "Payment complete.",
                "type", failed ? "issuer_declined" : "authorized");
}

static json_t *details_of(sandbox *box, const test_card *card, bool held, int64_t amount) {
    char last4[5];
    card_last4(card, last4);
    json_t *details = pack(
        "{s:{s:I, s:s, s:s, s:{s:n, s:n, s:s}, s:s, s:i, s:i, s:s, s:n, s:s, s:n, s:s, s:n, s:n},"
        " s:s}",
        "card", "amount_authorized", (json_int_t)amount, "authorization_code", "123456", "brand",
        card->brand, "checks", "address_line1_check", "address_postal_code_check", "cvc_check",
        "pass", "country", "US", "exp_month", 12, "exp_year", 2034, "funding", "credit",
        "installments", "last4", last4, "mandate", "network", card->brand, "three_d_secure",
        "wallet", "type", "card");
    json_t *fields = json_object_get(details, "card");
    if (card->authenticate)
        doc_set(fields, "three_d_secure",
                pack("{s:s, s:s, s:n, s:s}", "authentication_flow", "challenge", "result",
                     "authenticated", "result_reason", "version", "2.2.0"));
    if (held)
        doc_set_integer(fields, "capture_before", clock_s(box) + HOLD_S);
    return details;
}

json_t *charge_new(sandbox *box, json_t *intent, const test_card *card, const char *status) {
    char id[ID_BYTES];
    int64_t amount = doc_integer(intent, "amount");
    bool good = strcmp(status, "succeeded") == 0, failed = strcmp(status, "failed") == 0;
    bool held = text_equal(doc_string(intent, "capture_method"), "manual");
    bool captured = good && !held;
    random_id(box, id, "ch_3", 23);
    json_t *charge = pack(
        "{s:s, s:s, s:I, s:I, s:I, s:n, s:n, s:n, s:n, s:{s:{s:n, s:n, s:n, s:n, s:n, s:n}, s:n,"
        " s:n, s:n}, s:s, s:b, s:I, s:s, s:n, s:O, s:b}",
        "id", id, "object", "charge", "amount", (json_int_t)amount, "amount_captured",
        (json_int_t)(captured ? amount : 0), "amount_refunded", (json_int_t)0, "application",
        "application_fee", "application_fee_amount", "balance_transaction", "billing_details",
        "address", "city", "country", "line1", "line2", "postal_code", "state", "email", "name",
        "phone", "calculated_statement_descriptor", "SANDBOX", "captured", (int)captured, "created",
        (json_int_t)clock_s(box), "currency", doc_string(intent, "currency"), "customer",
        "description", json_object_get(intent, "description"), "disputed", 0);
    json_t *more = pack(
        "{s:n, s:o, s:o, s:{}, s:b, s:O, s:n, s:o, s:b, s:s, s:o, s:o, s:{}, s:n, s:n, s:s, s:b,"
        " s:n, s:n, s:n, s:n, s:n, s:s, s:n, s:n}",
        "failure_balance_transaction", "failure_code", string_or_null(failed ? card->code : NULL),
        "failure_message", string_or_null(failed ? card->message : NULL), "fraud_details",
        "livemode", 0, "metadata", json_object_get(intent, "metadata"), "on_behalf_of", "outcome",
        outcome_of(card, status), "paid", (int)good, "payment_intent", doc_string(intent, "id"),
        "payment_method", json_incref(json_object_get(intent, "payment_method")),
        "payment_method_details", details_of(box, card, held && good, amount), "radar_options",
        "receipt_email", "receipt_number", "receipt_url", "https://pay.stripe.com/receipts/sandbox",
        "refunded", 0, "review", "shipping", "source", "statement_descriptor",
        "statement_descriptor_suffix", "status", status, "transfer_data", "transfer_group");
    json_object_update(charge, more);
    json_decref(more);
    doc_set_string(doc_hidden(charge), "card", card_name(card));
    doc_set_string(doc_hidden(charge), "payment_id", doc_string(doc_hidden(intent), "payment_id"));
    store_insert(box->store, KIND_CHARGE, doc_account(intent), charge, doc_string(intent, "id"),
                 NULL);
    return charge;
}

void charge_fail(sandbox *box, json_t *charge, const test_card *card) {
    doc_set_string(charge, "status", "failed");
    doc_set_string(charge, "failure_code", card->code);
    doc_set_string(charge, "failure_message", card->message);
    doc_set(charge, "outcome", outcome_of(card, "failed"));
    store_update(box->store, charge);
}

int64_t balance_fee(int64_t amount) {
    int64_t fee = (amount * FEE_PER_MILLE + 500) / 1000 + FEE_FIXED;
    return fee < amount ? fee : amount;
}

void charge_book(sandbox *box, json_t *charge) {
    char id[ID_BYTES];
    int64_t amount = doc_integer(charge, "amount_captured");
    balance_new(box, doc_account(charge), doc_string(charge, "id"), "charge", amount,
                balance_fee(amount), doc_string(charge, "currency"), id);
    doc_set_string(charge, "balance_transaction", id);
    store_update(box->store, charge);
}

void charge_release(sandbox *box, json_t *charge, int64_t amount, const char *reason) {
    json_decref(refund_new(box, charge, amount, reason, NULL, "succeeded"));
    doc_set_integer(charge, "amount_refunded", doc_integer(charge, "amount_refunded") + amount);
    doc_set(charge, "refunded",
            json_boolean(doc_integer(charge, "amount_refunded") == doc_integer(charge, "amount")));
    store_update(box->store, charge);
}

void charge_consequences(sandbox *box, json_t *charge) {
    const test_card *card = card_by_name(doc_string(doc_hidden(charge), "card"));
    const char *id = doc_string(charge, "id");
    if (card && card->dispute)
        job_later(box, "dispute", id);
    if (card && card->inquiry)
        job_later(box, "inquiry", id);
    if (card && card->warning)
        job_later(box, "warning", id);
}

json_t *charge_retrieve(call *c, const char *id) {
    json_t *charge = load(c, KIND_CHARGE, id, "charge", "id");
    if (charge)
        json_object_del(charge, "_");
    return charge;
}

json_t *charge_list(call *c, const char *id) {
    (void)id;
    return list(c, &(list_filter){ .kind = KIND_CHARGE,
                                   .url = "/v1/charges",
                                   .parent = form_string(c, "payment_intent"),
                                   .delivered = -1 });
}

/* ---- the balance ---------------------------------------------------------------------------- */

void balance_new(sandbox *box, const char *account, const char *source, const char *type,
                 int64_t amount, int64_t fee, const char *currency, char out_id[ID_BYTES]) {
    int64_t now_s = clock_s(box);
    random_id(box, out_id, "txn_3", 23);
    json_t *fees = pack("[]");
    if (fee)
        json_array_append_new(fees, pack("{s:I, s:n, s:s, s:s, s:s}", "amount", (json_int_t)fee,
                                         "application", "currency", currency, "description",
                                         "Stripe processing fees", "type", "stripe_fee"));
    json_t *row =
        pack("{s:s, s:s, s:I, s:I, s:s, s:I, s:s, s:n, s:n, s:I, s:o, s:I, s:s, s:s, s:s,"
             " s:s}",
             "id", out_id, "object", "balance_transaction", "amount", (json_int_t)amount,
             "available_on", (json_int_t)(now_s + AVAILABLE_S), "balance_type", "payments",
             "created", (json_int_t)now_s, "currency", currency, "description", "exchange_rate",
             "fee", (json_int_t)fee, "fee_details", fees, "net", (json_int_t)(amount - fee),
             "reporting_category", strcmp(type, "adjustment") == 0 ? "dispute" : type, "source",
             source, "status", "pending", "type", type);
    store_insert(box->store, KIND_BALANCE, account, row, NULL, source);
    json_decref(row);
}

json_t *balance_retrieve(call *c, const char *id) {
    json_t *row = load(c, KIND_BALANCE, id, "balance transaction", "id");
    if (row)
        json_object_del(row, "_");
    return row;
}

json_t *balance_list(call *c, const char *id) {
    (void)id;
    return list(c, &(list_filter){ .kind = KIND_BALANCE,
                                   .url = "/v1/balance_transactions",
                                   .tag = form_string(c, "source"),
                                   .delivered = -1 });
}
