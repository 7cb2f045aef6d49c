/*
 * dispute.c - /v1/disputes and early fraud warnings. Money moves with funds_withdrawn and
 * funds_reinstated only; an inquiry moves none.
 */
#include "dispute.h"
#include "api.h"
#include "form.h"
#include "payment.h"
#include "webhooks.h"

#include <string.h>

enum { EVIDENCE_S = 9 * 24 * 3600, DISPUTE_FEE = 1500 };

static void emit(sandbox *box, json_t *doc, const char *type) {
    event_emit(box, doc_account(doc), type, doc, NULL);
}

static void withdraw(sandbox *box, json_t *dispute, bool back) {
    char id[ID_BYTES];
    int64_t amount = doc_integer(dispute, "amount");
    balance_new(box, doc_account(dispute), doc_string(dispute, "id"), "adjustment",
                back ? amount : -amount, back ? -DISPUTE_FEE : DISPUTE_FEE,
                doc_string(dispute, "currency"), id);
    json_t *row = must(store_load(box->store, KIND_BALANCE, NULL, id));
    json_object_del(row, "_");
    json_array_append_new(json_object_get(dispute, "balance_transactions"), row);
    doc_set(doc_hidden(dispute), "withdrawn", json_boolean(!back));
}

static const char dispute_shape[] =
    "{'id':'','object':'dispute','amount':0,'balance_transactions':[],'charge':'','created':0,"
    "'currency':'','enhanced_eligibility_types':[],'evidence':{},"
    "'evidence_details':{'due_by':0,'enhanced_eligibility':{},'has_evidence':false,"
    "'past_due':false,'submission_count':0},'is_charge_refundable':false,'livemode':false,"
    "'metadata':{},'network_reason_code':'10.4','payment_intent':null,"
    "'payment_method_details':{'card':{'brand':'visa','case_type':'',"
    "'network_reason_code':'10.4'},'type':'card'},'reason':'fraudulent','status':''}";

/* `amount` 0: all that was captured. */
static const char *open_dispute(sandbox *box, const char *charge_id, bool inquiry, int64_t amount) {
    char id[ID_BYTES];
    int64_t now_s = clock_s(box);
    json_t *charge = store_load(box->store, KIND_CHARGE, NULL, charge_id);
    int64_t captured = charge ? doc_integer(charge, "amount_captured") : 0;
    if (!captured || amount < 0 || amount > captured) {
        json_decref(charge);
        return captured ? "amount: at most what was captured" : "no such captured charge";
    }
    random_id(box, id, "du_1", 23);
    json_t *dispute = shape(dispute_shape);
    doc_set_string(dispute, "id", id);
    doc_set_integer(dispute, "amount", amount ? amount : captured);
    doc_set_string(dispute, "charge", charge_id);
    doc_set_integer(dispute, "created", now_s);
    doc_set_string(dispute, "currency", doc_string(charge, "currency"));
    doc_set_integer(json_object_get(dispute, "evidence_details"), "due_by", now_s + EVIDENCE_S);
    doc_set(dispute, "is_charge_refundable", json_boolean(inquiry));
    doc_set_string(dispute, "payment_intent", doc_string(charge, "payment_intent"));
    doc_set_string(json_object_get(json_object_get(dispute, "payment_method_details"), "card"),
                   "case_type", inquiry ? "inquiry" : "chargeback");
    doc_set_string(dispute, "status", inquiry ? "warning_needs_response" : "needs_response");
    doc_set_string(doc_hidden(dispute), "payment_id", doc_string(doc_hidden(charge), "payment_id"));
    store_insert(box->store, KIND_DISPUTE, doc_account(charge), dispute,
                 doc_string(charge, "payment_intent"), charge_id);
    doc_set(charge, "disputed", json_true());
    doc_set(doc_hidden(charge), "inquiry", json_boolean(inquiry));
    store_update(box->store, charge);
    store_payment(box->store,
                  &(payment_change){ .payment_id = doc_string(doc_hidden(charge), "payment_id"),
                                     .account = doc_account(charge),
                                     .currency = doc_string(charge, "currency"),
                                     .disputes = 1 });
    emit(box, dispute, "charge.dispute.created");
    if (!inquiry) {
        withdraw(box, dispute, false);
        emit(box, dispute, "charge.dispute.funds_withdrawn");
        warning_answered(box, doc_string(charge, "payment_intent"));
    }
    store_update(box->store, dispute);
    json_decref(dispute);
    json_decref(charge);
    return NULL;
}

void dispute_open(sandbox *box, const char *charge_id) { open_dispute(box, charge_id, false, 0); }

void dispute_open_inquiry(sandbox *box, const char *charge_id) {
    open_dispute(box, charge_id, true, 0);
}

const char *dispute_open_part(sandbox *box, const char *charge_id, int64_t amount) {
    return open_dispute(box, charge_id, false, amount);
}

/* ---- verdicts ------------------------------------------------------------------------------- */

static void close_as(sandbox *box, json_t *dispute, const char *status) {
    bool back = strcmp(status, "won") == 0 && doc_true(doc_hidden(dispute), "withdrawn");
    doc_set_string(dispute, "status", status);
    if (back) {
        withdraw(box, dispute, true);
        emit(box, dispute, "charge.dispute.funds_reinstated");
    }
    store_update(box->store, dispute);
    emit(box, dispute, "charge.dispute.closed");
}

static bool is_open(const json_t *dispute) {
    return word_in("needs_response under_review warning_needs_response warning_under_review",
                   doc_string(dispute, "status"));
}

static const char *decide(sandbox *box, json_t *dispute, const char *verdict) {
    bool inquiry = text_starts(doc_string(dispute, "status"), "warning_");
    if (strcmp(verdict, "reinstated") == 0) {
        if (!doc_true(doc_hidden(dispute), "withdrawn"))
            return "no funds are withdrawn";
        withdraw(box, dispute, true);
        store_update(box->store, dispute);
        emit(box, dispute, "charge.dispute.funds_reinstated");
        return NULL;
    }
    if (!is_open(dispute))
        return "the dispute is closed";
    if (strcmp(verdict, "escalated") == 0) {
        if (!inquiry)
            return "only an inquiry can become a dispute";
        doc_set_string(dispute, "status", "needs_response");
        doc_set(dispute, "is_charge_refundable", json_false());
        withdraw(box, dispute, false);
        store_update(box->store, dispute);
        emit(box, dispute, "charge.dispute.updated");
        emit(box, dispute, "charge.dispute.funds_withdrawn");
        return NULL;
    }
    if (strcmp(verdict, "under_review") == 0) {
        doc_set_string(dispute, "status", inquiry ? "warning_under_review" : "under_review");
        store_update(box->store, dispute);
        emit(box, dispute, "charge.dispute.updated");
        return NULL;
    }
    if (!word_in("won lost prevented", verdict))
        return "give won, lost, under_review, prevented, reinstated or escalated";
    close_as(box, dispute,
             inquiry && strcmp(verdict, "prevented") != 0 ? "warning_closed" : verdict);
    return NULL;
}

const char *dispute_decide(sandbox *box, const char *dispute_id, const char *verdict) {
    json_t *dispute = store_load(box->store, KIND_DISPUTE, NULL, dispute_id);
    if (!dispute)
        return "no such dispute";
    const char *problem = decide(box, dispute, verdict);
    json_decref(dispute);
    return problem;
}

/* ---- routes --------------------------------------------------------------------------------- */

json_t *dispute_retrieve(call *c, const char *id) {
    json_t *dispute = load(c, KIND_DISPUTE, id, "dispute", "dispute");
    if (dispute)
        json_object_del(dispute, "_");
    return dispute;
}

json_t *dispute_list(call *c, const char *id) {
    (void)id;
    const char *charge = form_string(c, "charge");
    return list(c, &(list_filter){ .kind = KIND_DISPUTE,
                                   .url = "/v1/disputes",
                                   .parent = charge ? NULL : form_string(c, "payment_intent"),
                                   .tag = charge,
                                   .delivered = -1 });
}

/* With test data, evidence of "winning_evidence" or "losing_evidence" decides at once. */
json_t *dispute_update(call *c, const char *id) {
    json_t *evidence = form_nested(c, "evidence"), *given = form_nested(c, "metadata");
    json_t *dispute = load(c, KIND_DISPUTE, id, "dispute", "dispute");
    if (!dispute)
        return NULL;
    if (given && !form_metadata(c, "metadata", given, json_object_get(dispute, "metadata"))) {
        json_decref(dispute);
        return NULL;
    }
    call_execute(c);
    if (evidence && !is_open(dispute)) {
        call_fail(c, 400, "invalid_request_error", NULL, NULL, "This dispute is already closed");
        json_decref(dispute);
        return NULL;
    }
    const char *text = doc_string(evidence, "uncategorized_text");
    if (evidence) {
        json_object_update(json_object_get(dispute, "evidence"), evidence);
        doc_set(json_object_get(dispute, "evidence_details"), "has_evidence", json_true());
        if (text_equal(text, "winning_evidence") || text_equal(text, "losing_evidence"))
            close_as(c->box, dispute, *text == 'w' ? "won" : "lost");
        else
            decide(c->box, dispute, "under_review");
    }
    store_update(c->box->store, dispute);
    json_object_del(dispute, "_");
    return dispute;
}

json_t *dispute_close(call *c, const char *id) {
    json_t *dispute = load(c, KIND_DISPUTE, id, "dispute", "dispute");
    if (!dispute)
        return NULL;
    call_execute(c);
    if (!is_open(dispute)) {
        call_fail(c, 400, "invalid_request_error", NULL, NULL, "This dispute is already closed");
        json_decref(dispute);
        return NULL;
    }
    decide(c->box, dispute, "lost");
    json_object_del(dispute, "_");
    return dispute;
}

/* ---- early fraud warnings ------------------------------------------------------------------- */

void warning_open(sandbox *box, const char *charge_id) {
    char id[ID_BYTES];
    json_t *charge = store_load(box->store, KIND_CHARGE, NULL, charge_id);
    if (!charge)
        return;
    bool disputed = doc_true(charge, "disputed") && !doc_true(doc_hidden(charge), "inquiry");
    random_id(box, id, "issfr_1", 23);
    json_t *warning = pack(
        "{s:s, s:s, s:b, s:s, s:I, s:s, s:b, s:s}", "id", id, "object", "radar.early_fraud_warning",
        "actionable", !disputed && !doc_true(charge, "refunded"), "charge", charge_id, "created",
        (json_int_t)clock_s(box), "fraud_type", "made_with_stolen_card", "livemode", 0,
        "payment_intent", doc_string(charge, "payment_intent"));
    store_insert(box->store, KIND_WARNING, doc_account(charge), warning,
                 doc_string(charge, "payment_intent"), charge_id);
    emit(box, warning, "radar.early_fraud_warning.created");
    json_decref(warning);
    json_decref(charge);
}

void warning_answered(sandbox *box, const char *intent_id) {
    json_t *warning = store_newest(box->store, KIND_WARNING, intent_id);
    if (warning && doc_true(warning, "actionable")) {
        doc_set(warning, "actionable", json_false());
        store_update(box->store, warning);
        emit(box, warning, "radar.early_fraud_warning.updated");
    }
    json_decref(warning);
}

json_t *warning_retrieve(call *c, const char *id) {
    json_t *warning = load(c, KIND_WARNING, id, "early_fraud_warning", "early_fraud_warning");
    if (warning)
        json_object_del(warning, "_");
    return warning;
}

json_t *warning_list(call *c, const char *id) {
    (void)id;
    const char *charge = form_string(c, "charge");
    return list(c, &(list_filter){ .kind = KIND_WARNING,
                                   .url = "/v1/radar/early_fraud_warnings",
                                   .parent = charge ? NULL : form_string(c, "payment_intent"),
                                   .tag = charge,
                                   .delivered = -1 });
}
