/*
 * payout.c - /v1/payouts: what is in the balance and not paid out yet goes to the account's bank. A
 * balance transaction belongs to at most one automatic payout; of a manual one nobody knows what is
 * in it. Moves no charge and no intent.
 */
#include "payout.h"
#include "api.h"
#include "form.h"
#include "webhooks.h"

#include <string.h>

enum { TRAVEL_S = 2 * 24 * 3600 };

static const char payout_shape[] =
    "{'id':'','object':'payout','amount':0,'application_fee':null,'application_fee_amount':null,"
    "'arrival_date':0,'automatic':true,'balance_transaction':'','created':0,'currency':'',"
    "'description':'STRIPE PAYOUT','destination':'ba_1SandboxBankAccount0',"
    "'failure_balance_transaction':null,'failure_code':null,'failure_message':null,"
    "'livemode':false,'metadata':{},'method':'standard','original_payout':null,"
    "'payout_method':null,'reconciliation_status':'','reversed_by':null,'source_type':'card',"
    "'statement_descriptor':null,'status':'','trace_id':null,'type':'bank_account'}";

static const char row_shape[] =
    "{'id':'','object':'balance_transaction','amount':0,'available_on':0,"
    "'balance_type':'payments','created':0,'currency':'','description':'STRIPE PAYOUT',"
    "'exchange_rate':null,'fee':0,'fee_details':[],'net':0,'reporting_category':'payout',"
    "'source':'','status':'available','type':'payout'}";

static void emit(sandbox *box, json_t *payout, const char *type) {
    event_emit(box, doc_account(payout), type, payout, NULL);
}

/* ---- what is in the balance ----------------------------------------------------------------- */

/* Rows that no payout has, as {currency: {"net": sum, "ids": [...]}}. */
static json_t *waiting_rows(sandbox *box, const payout_wish *wish) {
    sqlite3_stmt *q =
        store_sql(box->store, "SELECT id, body ->> '$.currency', body ->> '$.net' FROM object"
                              " WHERE kind = ? AND account = ? AND parent IS NULL"
                              " AND (? OR body ->> '$.available_on' <= ?) ORDER BY seq");
    sqlite3_bind_int(q, 1, KIND_BALANCE);
    store_bind_text(q, 2, wish->account);
    sqlite3_bind_int(q, 3, wish->all);
    sqlite3_bind_int64(q, 4, clock_s(box));
    json_t *out = pack("{}");
    while (store_step(box->store, q)) {
        const char *currency = store_column_text(q, 1);
        json_t *sum = json_object_get(out, currency);
        if (!sum) {
            doc_set(out, currency, pack("{s:i, s:[]}", "net", 0, "ids"));
            sum = json_object_get(out, currency);
        }
        doc_set_integer(sum, "net", doc_integer(sum, "net") + sqlite3_column_int64(q, 2));
        json_array_append_new(json_object_get(sum, "ids"), json_string(store_column_text(q, 0)));
    }
    return out;
}

static void take_row(sandbox *box, const char *id, const char *payout_id) {
    json_t *row = must(store_load(box->store, KIND_BALANCE, NULL, id));
    doc_set_string(row, "status", "available");
    store_update(box->store, row);
    store_place(box->store, id, payout_id, doc_string(row, "source"));
    json_decref(row);
}

/* The payout's own row takes from the balance what leaves it. */
static void book(sandbox *box, json_t *payout) {
    char id[ID_BYTES];
    int64_t amount = doc_integer(payout, "amount");
    json_t *row = shape(row_shape);
    random_id(box, id, "txn_1", 23);
    doc_set_string(row, "id", id);
    doc_set_integer(row, "amount", -amount);
    doc_set_integer(row, "net", -amount);
    doc_set_integer(row, "available_on", clock_s(box));
    doc_set_integer(row, "created", clock_s(box));
    doc_set_string(row, "currency", doc_string(payout, "currency"));
    doc_set_string(row, "source", doc_string(payout, "id"));
    doc_set_string(payout, "balance_transaction", id);
    store_insert(box->store, KIND_BALANCE, doc_account(payout), row,
                 doc_true(payout, "automatic") ? doc_string(payout, "id") : NULL,
                 doc_string(payout, "id"));
    json_decref(row);
}

/* ---- payouts -------------------------------------------------------------------------------- */

static void arrive(sandbox *box, json_t *payout) {
    bool automatic = doc_true(payout, "automatic");
    doc_set_string(payout, "status", "paid");
    if (automatic)
        doc_set_string(payout, "reconciliation_status", "completed");
    store_update(box->store, payout);
    emit(box, payout, "payout.paid");
    if (automatic)
        emit(box, payout, "payout.reconciliation_completed");
}

static void make(sandbox *box, const payout_wish *wish, const char *currency, const json_t *sum,
                 char out_id[ID_BYTES]) {
    json_t *payout = shape(payout_shape), *id;
    size_t i;
    random_id(box, out_id, "po_1", 23);
    doc_set_string(payout, "id", out_id);
    doc_set_integer(payout, "amount", doc_integer(sum, "net"));
    doc_set_integer(payout, "arrival_date", clock_s(box) + (wish->travels ? TRAVEL_S : 0));
    doc_set(payout, "automatic", json_boolean(!wish->manual));
    doc_set_integer(payout, "created", clock_s(box));
    doc_set_string(payout, "currency", currency);
    doc_set_string(payout, "reconciliation_status",
                   wish->manual ? "not_applicable" : "in_progress");
    doc_set_string(payout, "status", "in_transit");
    store_insert(box->store, KIND_PAYOUT, wish->account, payout, NULL, NULL);
    book(box, payout);
    if (!wish->manual)
        json_array_foreach(json_object_get(sum, "ids"), i, id)
            take_row(box, json_string_value(id), out_id);
    store_update(box->store, payout);
    emit(box, payout, "payout.created");
    if (!wish->travels)
        arrive(box, payout);
    json_decref(payout);
}

json_t *payout_make(sandbox *box, const payout_wish *wish) {
    json_t *sums = waiting_rows(box, wish), *sum, *out = pack("[]");
    const char *currency;
    json_object_foreach(sums, currency, sum) {
        char id[ID_BYTES];
        if (doc_integer(sum, "net") <= 0)
            continue;
        make(box, wish, currency, sum, id);
        json_array_append_new(out, json_string(id));
    }
    json_decref(sums);
    return out;
}

const char *payout_arrive(sandbox *box, const char *payout_id) {
    json_t *payout = store_load(box->store, KIND_PAYOUT, NULL, payout_id);
    if (!payout)
        return "no such payout";
    bool travels = text_equal(doc_string(payout, "status"), "in_transit");
    if (travels)
        arrive(box, payout);
    json_decref(payout);
    return travels ? NULL : "the payout has arrived";
}

/* ---- routes --------------------------------------------------------------------------------- */

json_t *payout_retrieve(call *c, const char *id) {
    json_t *payout = load(c, KIND_PAYOUT, id, "payout", "id");
    if (payout)
        json_object_del(payout, "_");
    return payout;
}

json_t *payout_list(call *c, const char *id) {
    (void)id;
    return list(c, &(list_filter){ .kind = KIND_PAYOUT, .url = "/v1/payouts", .delivered = -1 });
}
