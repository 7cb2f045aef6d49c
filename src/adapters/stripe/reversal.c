/*
 * reversal.c - refunds, disputes, fraud warnings and fees as facts. Pure. No state is made up for
 * an object whose status is not known here, and of several objects none is left out in silence.
 */
#include "adapters/stripe/reversal.h"

#include <careforall/dispute.h>
#include <careforall/refund.h>
#include <string.h>

/* ---- shared ---------------------------------------------------------------------------------- */

typedef struct word {
    const char *text;
    int32_t state;
} word;

/* 0: a status that is not known here, or none. */
static int32_t state_of(const word *words, size_t count, const cfa__json *object) {
    for (size_t i = 0; i < count; i++) {
        if (cfa__stripe_text_is(object, "status", words[i].text)) {
            return words[i].state;
        }
    }
    return 0;
}

/* Of the payment that the facts are about, or of one that is not named. */
static bool is_of(const cfa__json *object, const cfa_facts *facts) {
    const char *intent = cfa__stripe_id(object, "payment_intent");
    return intent == NULL || facts->ref == NULL || strcmp(intent, facts->ref) == 0;
}

/* What a fee adds to `fee`. One that cannot be held exactly, or is of another currency than the
 * rest, makes the whole unknown: it is booked apart, and must not hide the money. */
static void add_fee(cfa_money *fee, bool *known, int64_t units, const char *currency) {
    cfa_money part;
    if (units <= 0) {
        return; /* given back: what was charged stays charged */
    }
    if (!cfa__stripe_money(&part, units, currency) ||
        (fee->minor > 0 && strcmp(fee->currency, part.currency) != 0) ||
        __builtin_add_overflow(fee->minor, part.minor, &part.minor)) {
        *known = false;
        return;
    }
    *fee = part;
}

/* A list that is all there: its objects. NULL: it goes on, or is longer than facts may be. */
static const cfa__json *whole(const cfa__json *list) {
    bool more;
    const cfa__json *data = cfa__stripe_page(list, &more);
    return data != NULL && !more && cfa__json_size(data) <= CFA_REVERSALS_MAX ? data : NULL;
}

/* ---- refunds --------------------------------------------------------------------------------- */

static const word refund_words[] = {
    { "pending", CFA_REFUND_PENDING },     { "requires_action", CFA_REFUND_REQUIRES_ACTION },
    { "succeeded", CFA_REFUND_SUCCEEDED }, { "failed", CFA_REFUND_FAILED },
    { "canceled", CFA_REFUND_CANCELED },
};

static const char expired[] = "expired_uncaptured_charge";

/* `*out`: NULL when its status is not known here. */
static cfa_status read_refund(const cfa_refund_facts **out, const cfa__json *refund,
                              int64_t moment_us, cfa_arena *arena) {
    cfa_refund_facts facts = { .struct_size = sizeof facts, .occurred_us = moment_us };
    if (!cfa__stripe_object_is(refund, "refund")) {
        return cfa__stripe_malformed("refund", "object");
    }
    facts.state = state_of(refund_words, sizeof refund_words / sizeof refund_words[0], refund);
    cfa_status status =
        cfa__stripe_keep_id(&facts.ref, cfa__stripe_text(refund, "id"), "refund", arena);
    if (status == CFA_OK) {
        status = cfa__stripe_keep(&facts.refund_id,
                                  cfa__stripe_text(cfa__json_get(refund, "metadata"), "refund_id"),
                                  arena);
    }
    if (status == CFA_OK) {
        status = cfa__stripe_amount(&facts.amount, refund, "refund", "amount", true);
    }
    if (status == CFA_OK) {
        status = cfa__stripe_keep(&facts.failure_code, cfa__stripe_text(refund, "failure_reason"),
                                  arena);
    }
    *out =
        status == CFA_OK && facts.state != 0 ? cfa_arena_copy(arena, &facts, sizeof facts) : NULL;
    return status == CFA_OK && facts.state != 0 && *out == NULL ? CFA_ENOMEM : status;
}

/* Stripe writes the release of a hold as a refund that succeeds at once, without a movement of
 * money. A refund that we asked for is none. */
static bool may_be_release(const cfa__json *refund, bool moved) {
    return cfa__stripe_text_is(refund, "reason", expired) ||
           (cfa__stripe_text_is(refund, "status", "succeeded") && !moved &&
            cfa__stripe_text(cfa__json_get(refund, "metadata"), "refund_id") == NULL);
}

static bool has_moved(const cfa__json *refund) {
    return cfa__json_get(refund, "balance_transaction") != NULL;
}

/* No more than what was not captured can have been released, and without a capture nothing can have
 * moved. */
static bool is_release(const cfa__json *refund, const cfa_facts *facts,
                       const cfa_refund_facts *read) {
    return may_be_release(refund, facts->captured_minor > 0 && has_moved(refund)) &&
           read->amount.minor <= facts->amount.minor - facts->captured_minor;
}

cfa_status cfa__stripe_refunds(cfa_facts *facts, bool *out_all, const cfa__json *list,
                               int64_t moment_us, cfa_arena *arena) {
    const cfa__json *data = whole(list);
    size_t size = cfa__json_size(data);
    *out_all = data != NULL;
    if (size == 0) {
        return CFA_OK;
    }
    int32_t count = 0;
    const cfa_refund_facts **items = cfa_arena_alloc(arena, size * sizeof *items);
    if (items == NULL) {
        return CFA_ENOMEM;
    }
    for (size_t i = 0; i < size; i++) {
        const cfa__json *refund = cfa__json_at(data, i);
        cfa_status status = read_refund(&items[count], refund, moment_us, arena);
        if (status == CFA_OK && !is_of(refund, facts)) {
            status = cfa__stripe_malformed("refund", "payment_intent");
        }
        if (status != CFA_OK) {
            return status;
        }
        if (items[count] == NULL) {
            *out_all = false;
            return CFA_OK;
        }
        count += !is_release(refund, facts, items[count]);
    }
    facts->refunds = items;
    facts->refund_count = count;
    return CFA_OK;
}

/* Facts that only name the intent of an object, or nothing when it is of none. */
static cfa_status begin_alone(cfa_facts *facts, const cfa__json *object, int64_t moment_us,
                              cfa_arena *arena) {
    *facts = (cfa_facts)CFA_FACTS_INIT;
    facts->occurred_us = moment_us;
    return cfa__stripe_keep(&facts->ref, cfa__stripe_id(object, "payment_intent"), arena);
}

static cfa_status refund_alone(cfa_facts *facts, bool *out_tells, const cfa__json *refund,
                               cfa_arena *arena) {
    if (cfa__stripe_text_is(refund, "reason", expired)) {
        facts->flags = CFA_FACT_EXPIRED;
        return cfa__stripe_keep(&facts->cancel_reason, expired, arena);
    }
    const cfa_refund_facts **item = cfa_arena_alloc(arena, sizeof *item);
    cfa_status status =
        item != NULL ? read_refund(item, refund, facts->occurred_us, arena) : CFA_ENOMEM;
    if (status != CFA_OK || *item == NULL || may_be_release(refund, has_moved(refund))) {
        *out_tells = false;
        return status;
    }
    facts->refunds = item;
    facts->refund_count = 1;
    return CFA_OK;
}

cfa_status cfa__stripe_refund(cfa_facts *out, bool *out_tells, const cfa__json *refund,
                              int64_t moment_us, cfa_arena *arena) {
    cfa_facts facts;
    *out_tells = true;
    if (!cfa__stripe_object_is(refund, "refund")) {
        return cfa__stripe_malformed("refund", "object");
    }
    cfa_status status = begin_alone(&facts, refund, moment_us, arena);
    if (status == CFA_OK && facts.ref != NULL) {
        status = cfa__stripe_keep(&facts.payment_id,
                                  cfa__stripe_text(cfa__json_get(refund, "metadata"), "payment_id"),
                                  arena);
    }
    if (status == CFA_OK && facts.ref != NULL) {
        status = refund_alone(&facts, out_tells, refund, arena);
    }
    if (status == CFA_OK) {
        *out = facts;
    }
    return status;
}

/* ---- disputes -------------------------------------------------------------------------------- */

static const word dispute_words[] = {
    { "warning_needs_response", CFA_DISPUTE_INQUIRY },
    { "warning_under_review", CFA_DISPUTE_INQUIRY },
    { "warning_closed", CFA_DISPUTE_INQUIRY_CLOSED },
    { "needs_response", CFA_DISPUTE_OPEN },
    { "under_review", CFA_DISPUTE_UNDER_REVIEW },
    { "prevented", CFA_DISPUTE_PREVENTED },
    { "won", CFA_DISPUTE_WON },
    { "lost", CFA_DISPUTE_LOST },
};

/* Rows of a dispute that only charge for it. All others show what was taken or given back. */
static bool is_fee_row(const cfa__json *row) {
    return cfa__stripe_text_is(row, "reporting_category", "fee") ||
           cfa__stripe_text_is(row, "reporting_category", "network_cost") ||
           cfa__stripe_text_is(row, "reporting_category", "tax");
}

/* One balance transaction. In a settlement currency its amount is not the donor's money: then the
 * disputed amount went, or came back. */
static cfa_status add_row(cfa_dispute_facts *facts, bool *fee_known, const cfa__json *row) {
    int64_t units, fee_units = 0;
    cfa_money moved;
    const char *currency = cfa__stripe_text(row, "currency");
    if (!cfa__json_read_int(cfa__json_get(row, "amount"), &units) || units == INT64_MIN ||
        currency == NULL) {
        return cfa__stripe_malformed("dispute", "balance_transactions");
    }
    if (!cfa__json_read_int(cfa__json_get(row, "fee"), &fee_units)) {
        *fee_known = *fee_known && cfa__json_get(row, "fee") == NULL;
    }
    add_fee(&facts->fee, fee_known, fee_units, currency);
    if (is_fee_row(row)) {
        add_fee(&facts->fee, fee_known, -units, currency);
        return CFA_OK;
    }
    if (!cfa__stripe_money(&moved, units < 0 ? -units : units, currency) ||
        strcmp(moved.currency, facts->amount.currency) != 0) {
        moved.minor = units != 0 ? facts->amount.minor : 0;
    }
    int64_t *sum = units < 0 ? &facts->withdrawn_minor : &facts->reinstated_minor;
    return __builtin_add_overflow(*sum, moved.minor, sum)
               ? cfa__stripe_malformed("dispute", "balance_transactions")
               : CFA_OK;
}

static cfa_status read_rows(cfa_dispute_facts *facts, const cfa__json *dispute) {
    const cfa__json *rows = cfa__json_get(dispute, "balance_transactions");
    bool fee_known = true;
    cfa_status status = CFA_OK;
    for (size_t i = 0; i < cfa__json_size(rows) && status == CFA_OK; i++) {
        status = add_row(facts, &fee_known, cfa__json_at(rows, i));
    }
    if (!fee_known) {
        facts->fee = (cfa_money){ 0, "" };
    }
    return status;
}

/* What an event says about the money, where the object's rows do not show it yet. */
static void heed_event(cfa_dispute_facts *facts, const char *type) {
    bool back = type != NULL && strcmp(type, "charge.dispute.funds_reinstated") == 0;
    bool away = type != NULL && strcmp(type, "charge.dispute.funds_withdrawn") == 0;
    if (back && facts->reinstated_minor == 0) {
        facts->reinstated_minor = facts->amount.minor;
    }
    /* What came back had been taken. */
    if (facts->withdrawn_minor == 0 && (away || facts->reinstated_minor > 0)) {
        facts->withdrawn_minor = away ? facts->amount.minor : facts->reinstated_minor;
    }
}

/* `*out`: NULL when its status is not known here. */
static cfa_status read_dispute(const cfa_dispute_facts **out, const cfa__json *dispute,
                               const char *event_type, int64_t moment_us, cfa_arena *arena) {
    cfa_dispute_facts facts = { .struct_size = sizeof facts, .occurred_us = moment_us };
    int64_t due_s;
    if (!cfa__stripe_object_is(dispute, "dispute")) {
        return cfa__stripe_malformed("dispute", "object");
    }
    facts.state = state_of(dispute_words, sizeof dispute_words / sizeof dispute_words[0], dispute);
    cfa_status status =
        cfa__stripe_keep_id(&facts.ref, cfa__stripe_text(dispute, "id"), "dispute", arena);
    if (status == CFA_OK) {
        status = cfa__stripe_amount(&facts.amount, dispute, "dispute", "amount", true);
    }
    if (status == CFA_OK) {
        status = cfa__stripe_keep(&facts.reason, cfa__stripe_text(dispute, "reason"), arena);
    }
    if (status == CFA_OK) {
        status = read_rows(&facts, dispute);
    }
    heed_event(&facts, event_type);
    if (cfa__json_read_int(cfa__json_get(cfa__json_get(dispute, "evidence_details"), "due_by"),
                           &due_s) &&
        due_s > 0 && due_s < INT64_MAX / 1000000) {
        facts.evidence_due_us = due_s * 1000000;
    }
    *out =
        status == CFA_OK && facts.state != 0 ? cfa_arena_copy(arena, &facts, sizeof facts) : NULL;
    return status == CFA_OK && facts.state != 0 && *out == NULL ? CFA_ENOMEM : status;
}

cfa_status cfa__stripe_disputes(cfa_facts *facts, bool *out_all, const cfa__json *list,
                                int64_t moment_us, cfa_arena *arena) {
    const cfa__json *data = whole(list);
    size_t size = cfa__json_size(data);
    *out_all = data != NULL;
    if (size == 0) {
        return CFA_OK;
    }
    const cfa_dispute_facts **items = cfa_arena_alloc(arena, size * sizeof *items);
    if (items == NULL) {
        return CFA_ENOMEM;
    }
    for (size_t i = 0; i < size; i++) {
        const cfa__json *dispute = cfa__json_at(data, i);
        cfa_status status = read_dispute(&items[i], dispute, NULL, moment_us, arena);
        if (status == CFA_OK && !is_of(dispute, facts)) {
            status = cfa__stripe_malformed("dispute", "payment_intent");
        }
        if (status != CFA_OK) {
            return status;
        }
        if (items[i] == NULL) {
            *out_all = false;
            return CFA_OK;
        }
    }
    facts->disputes = items;
    facts->dispute_count = (int32_t)size;
    return CFA_OK;
}

cfa_status cfa__stripe_dispute(cfa_facts *out, bool *out_tells, const cfa__json *dispute,
                               const char *event_type, int64_t moment_us, cfa_arena *arena) {
    cfa_facts facts;
    *out_tells = true;
    if (!cfa__stripe_object_is(dispute, "dispute")) {
        return cfa__stripe_malformed("dispute", "object");
    }
    cfa_status status = begin_alone(&facts, dispute, moment_us, arena);
    if (status == CFA_OK && facts.ref != NULL) {
        const cfa_dispute_facts **item = cfa_arena_alloc(arena, sizeof *item);
        status =
            item != NULL ? read_dispute(item, dispute, event_type, moment_us, arena) : CFA_ENOMEM;
        *out_tells = status == CFA_OK && *item != NULL;
        facts.disputes = item;
        facts.dispute_count = *out_tells;
    }
    if (status == CFA_OK) {
        *out = facts;
    }
    return status;
}

/* ---- warnings and fees ----------------------------------------------------------------------- */

cfa_status cfa__stripe_warning(cfa_facts *out, const cfa__json *warning, int64_t moment_us,
                               cfa_arena *arena) {
    cfa_facts facts;
    if (!cfa__stripe_object_is(warning, "radar.early_fraud_warning")) {
        return cfa__stripe_malformed("early fraud warning", "object");
    }
    cfa_status status = begin_alone(&facts, warning, moment_us, arena);
    facts.flags = CFA_FACT_FRAUD_WARNING;
    if (status == CFA_OK) {
        *out = facts;
    }
    return status;
}

void cfa__stripe_row_fee(cfa_facts *facts, const cfa__json *row) {
    int64_t units = 0;
    bool known = true;
    cfa_money fee = { 0, "" };
    (void)cfa__json_read_int(cfa__json_get(row, "fee"), &units);
    add_fee(&fee, &known, units, cfa__stripe_text(row, "currency"));
    if (known && cfa__stripe_object_is(row, "balance_transaction")) {
        facts->fee = fee;
    }
}

cfa_status cfa__stripe_charge_reversals(cfa_facts *facts, uint32_t *out_unread,
                                        const cfa__json *charge, int64_t moment_us,
                                        cfa_arena *arena) {
    bool all = false, disputed = true;
    const cfa__json *refunds = cfa__json_get(charge, "refunds");
    *out_unread = CFA__STRIPE_REFUNDS | CFA__STRIPE_DISPUTES;
    cfa__stripe_row_fee(facts, cfa__json_get(charge, "balance_transaction"));
    cfa_status status =
        refunds != NULL ? cfa__stripe_refunds(facts, &all, refunds, moment_us, arena) : CFA_OK;
    if (all) {
        *out_unread &= ~(uint32_t)CFA__STRIPE_REFUNDS;
    }
    (void)cfa__json_read_bool(cfa__json_get(charge, "disputed"), &disputed);
    if (!disputed) {
        *out_unread &= ~(uint32_t)CFA__STRIPE_DISPUTES;
    }
    return status;
}

cfa_status cfa__stripe_object_reversals(cfa_facts *facts, uint32_t *out_unread,
                                        const cfa__json *object, int64_t moment_us,
                                        cfa_arena *arena) {
    bool is_page = cfa__stripe_object_is(object, "checkout.session");
    const cfa__json *intent = is_page ? cfa__json_get(object, "payment_intent") : object;
    const cfa__json *charge = cfa__json_get(intent, "latest_charge");
    *out_unread = 0;
    if (intent == NULL || (charge == NULL && cfa__stripe_object_is(intent, "payment_intent"))) {
        return CFA_OK; /* nothing was ever paid */
    }
    if (!cfa__stripe_object_is(charge, "charge")) {
        *out_unread = CFA__STRIPE_REFUNDS | CFA__STRIPE_DISPUTES;
        return CFA_OK;
    }
    return is_of(charge, facts)
               ? cfa__stripe_charge_reversals(facts, out_unread, charge, moment_us, arena)
               : cfa__stripe_malformed("charge", "payment_intent");
}
