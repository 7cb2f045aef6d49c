/*
 * refund.c - /v1/refunds: never more than was captured, counted at once and taken back when a
 * refund fails later.
 */
#include "refund.h"
#include "api.h"
#include "cards.h"
#include "clock.h"
#include "dispute.h"
#include "form.h"
#include "payment.h"
#include "webhooks.h"

#include <inttypes.h>
#include <string.h>

enum { ACTION_S = 45 * 24 * 3600 };

static const char refund_shape[] =
    "{'id':'','object':'refund','amount':0,'balance_transaction':null,'charge':'','created':0,"
    "'currency':'','destination_details':{'card':{'reference_status':'pending',"
    "'reference_type':'acquirer_reference_number','type':'refund'},'type':'card'},"
    "'metadata':{},'payment_intent':null,'reason':null,'receipt_number':null,"
    "'source_transfer_reversal':null,'status':'','transfer_reversal':null}";

json_t *refund_new(sandbox *box, json_t *charge, int64_t amount, const char *reason,
                   json_t *metadata, const char *status) {
    char id[ID_BYTES];
    random_id(box, id, "re_3", 23);
    json_t *refund = shape(refund_shape);
    doc_set_string(refund, "id", id);
    doc_set_integer(refund, "amount", amount);
    doc_set_string(refund, "charge", doc_string(charge, "id"));
    doc_set_integer(refund, "created", clock_s(box));
    doc_set_string(refund, "currency", doc_string(charge, "currency"));
    if (metadata)
        doc_set(refund, "metadata", json_deep_copy(metadata));
    doc_set_string(refund, "payment_intent", doc_string(charge, "payment_intent"));
    doc_set_string(refund, "reason", reason);
    doc_set_string(refund, "status", status);
    store_insert(box->store, KIND_REFUND, doc_account(charge), refund,
                 doc_string(charge, "payment_intent"), doc_string(charge, "id"));
    return refund;
}

static void emit(sandbox *box, json_t *doc, const char *type) {
    event_emit(box, doc_account(doc), type, doc, NULL);
}

/* Money goes back to the donor, or (negative) comes back from there. */
static void move(sandbox *box, json_t *charge, json_t *refund, int64_t amount) {
    char id[ID_BYTES];
    int64_t refunded = doc_integer(charge, "amount_refunded") + amount;
    balance_new(box, doc_account(charge), doc_string(refund, "id"),
                amount > 0 ? "refund" : "refund_failure", -amount, 0,
                doc_string(charge, "currency"), id);
    doc_set_string(refund, amount > 0 ? "balance_transaction" : "failure_balance_transaction", id);
    doc_set_integer(charge, "amount_refunded", refunded);
    doc_set(charge, "refunded", json_boolean(refunded == doc_integer(charge, "amount")));
    store_update(box->store, charge);
    store_update(box->store, refund);
    store_payment(box->store,
                  &(payment_change){ .payment_id = doc_string(doc_hidden(charge), "payment_id"),
                                     .account = doc_account(charge),
                                     .currency = doc_string(charge, "currency"),
                                     .refunded = amount });
}

/* ---- routes --------------------------------------------------------------------------------- */

/* The charge to refund, with its refusals. */
static json_t *find_charge(call *c) {
    const char *charge_id = form_string(c, "charge"), *intent_id = form_string(c, "payment_intent");
    char found[ID_BYTES] = "";
    if (!charge_id && !intent_id)
        return call_fail(c, 400, "invalid_request_error", "parameter_missing", NULL,
                         "One of the following params should be provided for this request: "
                         "payment_intent or charge.");
    if (intent_id) {
        json_t *intent = load(c, KIND_INTENT, intent_id, "payment_intent", "payment_intent");
        if (!intent)
            return NULL;
        const char *latest = doc_string(intent, "latest_charge");
        format_text(found, sizeof found, "%s", latest ? latest : "");
        json_decref(intent);
        if (!*found) {
            call_execute(c);
            return call_fail(c, 400, "invalid_request_error", NULL, "payment_intent",
                             "This PaymentIntent (%s) does not have a successful charge to refund.",
                             intent_id);
        }
        charge_id = found;
    }
    return load(c, KIND_CHARGE, charge_id, "charge", "charge");
}

/* What can still go back; 0 after a refusal. */
static int64_t refundable(call *c, json_t *charge, int64_t wanted) {
    const char *id = doc_string(charge, "id");
    int64_t captured = doc_integer(charge, "amount_captured");
    int64_t released = doc_integer(charge, "amount") - captured;
    int64_t left = captured - (doc_integer(charge, "amount_refunded") - released);
    if (!text_equal(doc_string(charge, "status"), "succeeded") || !doc_true(charge, "captured"))
        call_fail(c, 400, "invalid_request_error", "charge_not_refundable", NULL,
                  "Charge %s cannot be refunded: it has not been captured.", id);
    else if (doc_true(charge, "disputed") && !doc_true(doc_hidden(charge), "inquiry"))
        call_fail(c, 400, "invalid_request_error", "charge_disputed", NULL,
                  "Charge %s has been charged back; cannot issue a refund.", id);
    else if (left <= 0)
        call_fail(c, 400, "invalid_request_error", "charge_already_refunded", NULL,
                  "Charge %s has already been refunded.", id);
    else if (wanted > left)
        call_fail(c, 400, "invalid_request_error", NULL, "amount",
                  "Refund amount (%" PRId64
                  ") is greater than unrefunded amount on charge (%" PRId64 ")",
                  wanted, left);
    else
        return wanted ? wanted : left;
    return 0;
}

json_t *refund_create(call *c, const char *id) {
    (void)id;
    int64_t amount = 0;
    const char *reason = NULL;
    if (!form_integer(c, "amount", &amount) ||
        !form_choice(c, "reason", "duplicate fraudulent requested_by_customer", &reason))
        return NULL;
    if (form_string(c, "amount") && amount < 1)
        return call_fail(c, 400, "invalid_request_error", "parameter_invalid_integer", "amount",
                         "This value must be greater than or equal to 1.");
    json_t *metadata = must(json_object()), *given = form_nested(c, "metadata");
    json_t *charge = NULL, *refund = NULL;
    if ((!given || form_metadata(c, "metadata", given, metadata)) && (charge = find_charge(c))) {
        call_execute(c);
        amount = refundable(c, charge, amount);
    }
    if (charge && amount && !c->error) {
        const test_card *card = card_by_name(doc_string(doc_hidden(charge), "card"));
        bool pending = card && card->refund_pending;
        refund =
            refund_new(c->box, charge, amount, reason, metadata, pending ? "pending" : "succeeded");
        if (pending)
            doc_set_string(refund, "pending_reason", "processing");
        doc_set(doc_hidden(refund), "fails", json_boolean(card && card->refund_fails));
        move(c->box, charge, refund, amount);
        if (pending || (card && card->refund_fails))
            job_later(c->box, "refund", doc_string(refund, "id"));
        emit(c->box, refund, "refund.created");
        emit(c->box, charge, "charge.refunded");
        if (doc_true(charge, "refunded"))
            warning_answered(c->box, doc_string(charge, "payment_intent"));
        json_object_del(refund, "_");
    }
    json_decref(charge);
    json_decref(metadata);
    return refund;
}

/* ---- what becomes of it --------------------------------------------------------------------- */

static void set_status(json_t *refund, const char *status) {
    doc_set_string(refund, "status", status);
    json_object_del(refund, "pending_reason");
    json_object_del(refund, "next_action");
}

static void emit_updated(sandbox *box, json_t *refund) {
    emit(box, refund, "refund.updated");
    emit(box, refund, "charge.refund.updated");
}

/* The money comes back. `reason` NULL: somebody called it off. */
static void fail_refund(sandbox *box, json_t *refund, const char *reason) {
    json_t *charge = must(store_load(box->store, KIND_CHARGE, NULL, doc_string(refund, "charge")));
    set_status(refund, reason ? "failed" : "canceled");
    if (reason)
        doc_set_string(refund, "failure_reason", reason);
    move(box, charge, refund, -doc_integer(refund, "amount"));
    emit_updated(box, refund);
    if (reason)
        emit(box, refund, "refund.failed");
    emit(box, charge, "charge.updated");
    json_decref(charge);
}

/* The donor must say where the money shall go, as with bank transfers and vouchers. */
static void ask_donor(sandbox *box, json_t *refund) {
    set_status(refund, "requires_action");
    doc_set(refund, "next_action",
            pack("{s:s, s:{s:{s:I, s:s}, s:I}}", "type", "display_details", "display_details",
                 "email_sent", "email_sent_at", (json_int_t)clock_s(box), "email_sent_to",
                 "donor@example.org", "expires_at", (json_int_t)clock_s(box) + ACTION_S));
    store_update(box->store, refund);
    emit_updated(box, refund);
}

static void succeed(sandbox *box, json_t *refund) {
    set_status(refund, "succeeded");
    store_update(box->store, refund);
    emit_updated(box, refund);
}

void refund_settle(sandbox *box, const char *refund_id) {
    json_t *refund = store_load(box->store, KIND_REFUND, NULL, refund_id);
    if (refund && text_equal(doc_string(refund, "status"), "pending"))
        succeed(box, refund);
    else if (refund && text_equal(doc_string(refund, "status"), "succeeded") &&
             doc_true(doc_hidden(refund), "fails"))
        fail_refund(box, refund, "expired_or_canceled_card");
    json_decref(refund);
}

static bool goes_on(const json_t *refund) {
    return word_in("pending requires_action", doc_string(refund, "status"));
}

const char *refund_decide(sandbox *box, const char *refund_id, const char *status,
                          const char *reason) {
    json_t *refund = store_load(box->store, KIND_REFUND, NULL, refund_id);
    const char *problem = NULL;
    if (!refund)
        return "no such refund";
    bool done = text_equal(doc_string(refund, "status"), "succeeded");
    if (!goes_on(refund) && !(done && strcmp(status, "failed") == 0))
        problem = "the refund is over";
    else if (done && json_is_null(json_object_get(refund, "balance_transaction")))
        problem = "the refund moved no money: it released a hold";
    else if (strcmp(status, "failed") == 0)
        fail_refund(box, refund, reason ? reason : "unknown");
    else if (strcmp(status, "canceled") == 0)
        fail_refund(box, refund, NULL);
    else if (strcmp(status, "requires_action") == 0)
        ask_donor(box, refund);
    else if (strcmp(status, "succeeded") == 0)
        succeed(box, refund);
    else
        problem = "give succeeded, failed, canceled or requires_action";
    json_decref(refund);
    return problem;
}

/* ---- the other routes ----------------------------------------------------------------------- */

json_t *refund_retrieve(call *c, const char *id) {
    json_t *refund = load(c, KIND_REFUND, id, "refund", "id");
    if (refund)
        json_object_del(refund, "_");
    return refund;
}

json_t *refund_update(call *c, const char *id) {
    json_t *refund = load(c, KIND_REFUND, id, "refund", "id");
    json_t *given = form_nested(c, "metadata");
    if (!refund)
        return NULL;
    if (given && !form_metadata(c, "metadata", given, json_object_get(refund, "metadata"))) {
        json_decref(refund);
        return NULL;
    }
    call_execute(c);
    store_update(c->box->store, refund);
    emit(c->box, refund, "refund.updated");
    json_object_del(refund, "_");
    return refund;
}

json_t *refund_cancel(call *c, const char *id) {
    json_t *refund = load(c, KIND_REFUND, id, "refund", "id");
    if (!refund)
        return NULL;
    call_execute(c);
    if (!goes_on(refund)) {
        call_fail(c, 400, "invalid_request_error", NULL, NULL,
                  "You cannot cancel this refund because it has a status of %s.",
                  doc_string(refund, "status"));
        json_decref(refund);
        return NULL;
    }
    fail_refund(c->box, refund, NULL);
    json_object_del(refund, "_");
    return refund;
}

json_t *refund_list(call *c, const char *id) {
    (void)id;
    const char *charge = form_string(c, "charge");
    return list(c, &(list_filter){ .kind = KIND_REFUND,
                                   .url = "/v1/refunds",
                                   .parent = charge ? NULL : form_string(c, "payment_intent"),
                                   .tag = charge,
                                   .delivered = -1 });
}
