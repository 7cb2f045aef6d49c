/*
 * charge.c - charges, balance transactions and payment methods: how they look, and the routes that
 * read them. Moves no intent.
 */
#include "charge.h"
#include "api.h"
#include "clock.h"
#include "form.h"
#include "refund.h"
#include "webhooks.h"

#include <string.h>

enum { FEE_FIXED = 30, FEE_PER_MILLE = 29, AVAILABLE_S = 7 * 24 * 3600 };

/* ---- payment methods ------------------------------------------------------------------------ */

#define BILLING                                                                                    \
    "'billing_details':{'address':{'city':null,'country':null,'line1':null,'line2':null,"          \
    "'postal_code':null,'state':null},'email':null,'name':null,'phone':null}"
#define CHECKS                                                                                     \
    "'checks':{'address_line1_check':null,'address_postal_code_check':null,'cvc_check':'pass'}"

static const char method_shape[] =
    "{'id':'','object':'payment_method','allow_redisplay':'unspecified'," BILLING ","
    "'card':{'brand':''," CHECKS ",'country':'US','display_brand':'','exp_month':12,"
    "'exp_year':2034,'fingerprint':'sandboxFingerprint','funding':'credit','last4':'',"
    "'networks':{'available':[],'preferred':null},'regulated_status':'unregulated',"
    "'three_d_secure_usage':{'supported':true},'wallet':null},"
    "'created':0,'customer':null,'livemode':false,'metadata':{},'type':'card'}";

void method_new(sandbox *box, const char *account, const test_card *card, char out_id[ID_BYTES]) {
    char last4[5];
    card_last4(card, last4);
    random_id(box, out_id, "pm_1", 23);
    json_t *method = shape(method_shape), *fields = json_object_get(method, "card");
    doc_set_string(method, "id", out_id);
    doc_set_string(fields, "brand", card->brand);
    doc_set_string(fields, "display_brand", card->brand);
    doc_set_string(fields, "last4", last4);
    doc_set_integer(method, "created", clock_s(box));
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

static const char details_shape[] =
    "{'card':{'amount_authorized':0,'authorization_code':'123456','brand':''," CHECKS ","
    "'country':'US','exp_month':12,'exp_year':2034,'funding':'credit','installments':null,"
    "'last4':'','mandate':null,'network':'','three_d_secure':null,'wallet':null},"
    "'type':'card'}";

static const char charge_shape[] =
    "{'id':'','object':'charge','amount':0,'amount_captured':0,'amount_refunded':0,"
    "'application':null,'application_fee':null,'application_fee_amount':null,"
    "'balance_transaction':null," BILLING ",'calculated_statement_descriptor':'SANDBOX',"
    "'captured':false,'created':0,'currency':'','customer':null,'description':null,"
    "'disputed':false,'failure_balance_transaction':null,'failure_code':null,"
    "'failure_message':null,'fraud_details':{},'livemode':false,'metadata':{},"
    "'on_behalf_of':null,'outcome':null,'paid':false,'payment_intent':null,"
    "'payment_method':null,'payment_method_details':null,'radar_options':{},"
    "'receipt_email':null,'receipt_number':null,"
    "'receipt_url':'https://pay.stripe.com/receipts/sandbox','refunded':false,'review':null,"
    "'shipping':null,'source':null,'source_transfer':null,'statement_descriptor':null,"
    "'statement_descriptor_suffix':null,'status':'','transfer_data':null,"
    "'transfer_group':null}";

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

static json_t *details_of(const test_card *card, int64_t amount, int64_t held_until_s) {
    char last4[5];
    card_last4(card, last4);
    json_t *details = shape(details_shape), *fields = json_object_get(details, "card");
    doc_set_integer(fields, "amount_authorized", amount);
    doc_set_string(fields, "brand", card->brand);
    doc_set_string(fields, "last4", last4);
    doc_set_string(fields, "network", card->brand);
    if (card->authenticate)
        doc_set(fields, "three_d_secure",
                pack("{s:s, s:s, s:n, s:s}", "authentication_flow", "challenge", "result",
                     "authenticated", "result_reason", "version", "2.2.0"));
    if (held_until_s)
        doc_set_integer(fields, "capture_before", held_until_s);
    return details;
}

json_t *charge_new(sandbox *box, json_t *intent, const test_card *card, const char *status) {
    char id[ID_BYTES];
    int64_t amount = doc_integer(intent, "amount"), now_s = clock_s(box);
    bool good = strcmp(status, "succeeded") == 0, failed = strcmp(status, "failed") == 0;
    bool held = text_equal(doc_string(intent, "capture_method"), "manual");
    bool captured = good && !held;
    random_id(box, id, "ch_3", 23);
    json_t *charge = shape(charge_shape);
    doc_set_string(charge, "id", id);
    doc_set_integer(charge, "amount", amount);
    doc_set_integer(charge, "amount_captured", captured ? amount : 0);
    doc_set(charge, "captured", json_boolean(captured));
    doc_set_integer(charge, "created", now_s);
    doc_set_string(charge, "currency", doc_string(intent, "currency"));
    doc_set_string(charge, "description", doc_string(intent, "description"));
    doc_set_string(charge, "failure_code", failed ? card->code : NULL);
    doc_set_string(charge, "failure_message", failed ? card->message : NULL);
    doc_set(charge, "metadata", json_deep_copy(json_object_get(intent, "metadata")));
    doc_set(charge, "outcome", outcome_of(card, status));
    doc_set(charge, "paid", json_boolean(good));
    doc_set_string(charge, "payment_intent", doc_string(intent, "id"));
    doc_set_string(charge, "payment_method", doc_string(intent, "payment_method"));
    doc_set(charge, "payment_method_details",
            details_of(card, amount, held && good ? now_s + HOLD_S : 0));
    doc_set_string(charge, "status", status);
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
    json_t *refund = refund_new(box, charge, amount, reason, NULL, "succeeded");
    doc_set_integer(charge, "amount_refunded", doc_integer(charge, "amount_refunded") + amount);
    doc_set(charge, "refunded",
            json_boolean(doc_integer(charge, "amount_refunded") == doc_integer(charge, "amount")));
    store_update(box->store, charge);
    event_emit(box, doc_account(refund), "refund.created", refund, NULL);
    json_decref(refund);
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

static const char balance_shape[] =
    "{'id':'','object':'balance_transaction','amount':0,'available_on':0,"
    "'balance_type':'payments','created':0,'currency':'','description':null,"
    "'exchange_rate':null,'fee':0,'fee_details':[],'net':0,'reporting_category':'',"
    "'source':'','status':'pending','type':''}";

void balance_new(sandbox *box, const char *account, const char *source, const char *type,
                 int64_t amount, int64_t fee, const char *currency, char out_id[ID_BYTES]) {
    int64_t now_s = clock_s(box);
    const char *settled = box->options.settle_in ? box->options.settle_in : currency;
    bool exchanged = strcmp(settled, currency) != 0;
    amount += exchanged ? amount / 10 : 0;
    random_id(box, out_id, "txn_3", 23);
    json_t *fees = pack("[]");
    if (fee)
        json_array_append_new(fees, pack("{s:I, s:n, s:s, s:s, s:s}", "amount", (json_int_t)fee,
                                         "application", "currency", settled, "description",
                                         "Stripe processing fees", "type", "stripe_fee"));
    json_t *row = shape(balance_shape);
    doc_set_string(row, "id", out_id);
    doc_set_integer(row, "amount", amount);
    doc_set_integer(row, "available_on", now_s + AVAILABLE_S);
    doc_set_integer(row, "created", now_s);
    doc_set_string(row, "currency", settled);
    if (exchanged)
        doc_set(row, "exchange_rate", json_real(1.1));
    doc_set_integer(row, "fee", fee);
    doc_set(row, "fee_details", fees);
    doc_set_integer(row, "net", amount - fee);
    doc_set_string(row, "reporting_category",
                   strcmp(type, "adjustment") != 0 ? type
                   : amount > 0                    ? "dispute_reversal"
                                                   : "dispute");
    doc_set_string(row, "source", source);
    doc_set_string(row, "type", type);
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
    const char *payout = form_string(c, "payout");
    if (payout) {
        json_t *doc = load(c, KIND_PAYOUT, payout, "payout", "payout");
        bool manual = doc && !doc_true(doc, "automatic");
        json_decref(doc);
        if (!doc)
            return NULL;
        if (manual)
            return call_fail(c, 400, "invalid_request_error", NULL, "payout",
                             "Balance transaction history can only be filtered on automatic "
                             "transfers, not manual.");
    }
    return list(c, &(list_filter){ .kind = KIND_BALANCE,
                                   .url = "/v1/balance_transactions",
                                   .parent = payout,
                                   .tag = payout ? NULL : form_string(c, "source"),
                                   .delivered = -1 });
}
