/*
 * export_balance.c - movements of the balance, as rows of reports and as balance transactions: what
 * each one tells of a payment. A movement is in the currency that the account settles in, and tells
 * no state: that money came, went or came back is all that it says. Never takes the settled amount
 * for the donor's.
 */
#include "adapters/stripe/export.h"
#include "adapters/stripe/reversal.h"

#include <careforall/dispute.h>
#include <careforall/refund.h>
#include <string.h>
#include <strings.h>

enum { CHARGED = 1, REFUNDED, REFUND_FAILED, DISPUTED, ADJUSTED };

/* Types and reporting categories; docs.stripe.com/reports/reporting-categories, read 2026-11-23.
 * What is not here moves no donor's money: payouts, transfers, fees, and what Stripe may invent. */
static const struct category {
    const char *name;
    int32_t what, sign; /* 0: either */
} categories[] = {
    { "charge", CHARGED, 1 },
    { "payment", CHARGED, 1 },
    { "refund", REFUNDED, -1 },
    { "payment_refund", REFUNDED, -1 },
    { "refund_failure", REFUND_FAILED, 1 },
    { "dispute", DISPUTED, 0 },
    { "dispute_reversal", DISPUTED, 0 },
    { "adjustment", ADJUSTED, 0 }, /* the older type of the three above */
};

static bool starts(const char *text, const char *prefix) {
    return text != NULL && strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_refund(const char *id) { return starts(id, "re_") || starts(id, "pyr_"); }
static bool is_dispute(const char *id) { return starts(id, "dp_") || starts(id, "du_"); }
static const char *some(const char *text) { return text != NULL && text[0] != '\0' ? text : NULL; }
static const char *either(const char *text, const char *other) {
    return some(text) != NULL ? text : some(other);
}

static const struct category *category_of(const cfa__export_movement *movement) {
    for (size_t i = 0; i < sizeof categories / sizeof categories[0]; i++) {
        if (movement->category != NULL && strcasecmp(movement->category, categories[i].name) == 0)
            return &categories[i];
    }
    return NULL;
}

/* What an adjustment is shows in what it is about. */
static int32_t adjusted(const cfa__export_movement *movement) {
    if (is_dispute(either(movement->dispute, movement->source)))
        return DISPUTED;
    return is_refund(either(movement->refund, movement->source)) && movement->amount.minor > 0
               ? REFUND_FAILED
               : 0;
}

/* ---- what it tells --------------------------------------------------------------------------- */

/* A card's charge is in the balance when it was captured; of other ways to pay when they began: they
 * may fail, and be tried again for another fee, until they are paid out. */
static void take_charge(const cfa__export_movement *movement, cfa_reconcile_object *out) {
    cfa_facts *facts = &out->facts;
    out->kind = CFA_RECONCILE_PAYMENT;
    facts->amount = movement->facing;
    if (movement->settled)
        facts->flags |= CFA_FACT_SETTLED;
    else if (!starts(either(movement->charge, movement->source), "ch_"))
        return;
    if (movement->fee.minor > 0)
        facts->fee = movement->fee;
    facts->captured_minor = facts->authorized_minor = facts->amount.minor;
    out->whole = facts->amount.minor > 0;
}

static cfa_status take_refund(cfa_stripe_export *file, const cfa__export_movement *movement,
                              bool failed, cfa_reconcile_object *out) {
    cfa_refund_facts refund = { .struct_size = sizeof refund,
                                .ref = either(movement->refund, movement->source),
                                .refund_id = some(movement->refund_id),
                                .amount = movement->facing,
                                .state = failed ? CFA_REFUND_FAILED : CFA_REFUND_PENDING };
    if (!is_refund(refund.ref))
        return CFA_OK; /* older files name the charge */
    const cfa_refund_facts **items = cfa_arena_alloc(file->arena, sizeof *items);
    if (items == NULL || (*items = cfa_arena_copy(file->arena, &refund, sizeof refund)) == NULL)
        return CFA_ENOMEM;
    out->kind = CFA_RECONCILE_REFUND;
    out->facts.refunds = items;
    out->facts.refund_count = 1;
    return CFA_OK;
}

static cfa_status take_dispute(cfa_stripe_export *file, const cfa__export_movement *movement,
                               cfa_reconcile_object *out) {
    cfa_dispute_facts dispute = { .struct_size = sizeof dispute,
                                  .ref = either(movement->dispute, movement->source),
                                  .amount = movement->facing,
                                  .state = CFA_DISPUTE_OPEN };
    if (!is_dispute(dispute.ref))
        return CFA_OK;
    if (movement->amount.minor < 0)
        dispute.withdrawn_minor = movement->facing.minor;
    else
        dispute.reinstated_minor = movement->facing.minor;
    if (movement->fee.minor > 0)
        dispute.fee = movement->fee;
    const cfa_dispute_facts **items = cfa_arena_alloc(file->arena, sizeof *items);
    if (items == NULL || (*items = cfa_arena_copy(file->arena, &dispute, sizeof dispute)) == NULL)
        return CFA_ENOMEM;
    out->kind = CFA_RECONCILE_DISPUTE;
    out->facts.disputes = items;
    out->facts.dispute_count = 1;
    return CFA_OK;
}

cfa_status cfa__export_movement_take(cfa_stripe_export *file, const cfa__export_movement *movement,
                                     cfa_reconcile_object *out) {
    const struct category *category = category_of(movement);
    int32_t what = category != NULL ? category->what : 0;
    int32_t sign = (movement->amount.minor > 0) - (movement->amount.minor < 0);
    cfa_status status = CFA_OK;
    if (what == ADJUSTED)
        what = adjusted(movement);
    out->summary = CFA_RECONCILE_MOVEMENT;
    out->kind = what == 0 || sign == 0 ? CFA_RECONCILE_OTHER : CFA_RECONCILE_UNNAMED;
    if (out->kind == CFA_RECONCILE_OTHER)
        return CFA_OK;
    if (category->sign != 0 && category->sign != sign)
        return cfa__export_refuse(file, CFA_EAMOUNT, file->text_line, category->name,
                                  category->sign > 0 ? "it brings money: its amount is not negative"
                                                     : "it takes money: its amount is negative");
    out->facts.ref = some(movement->intent);
    out->facts.payment_id = some(movement->payment_id);
    if (what == DISPUTED)
        status = take_dispute(file, movement, out);
    else if (what != CHARGED)
        status = take_refund(file, movement, what == REFUND_FAILED, out);
    else if (out->facts.ref != NULL || out->facts.payment_id != NULL)
        take_charge(movement, out);
    return status;
}

/* ---- balance transactions -------------------------------------------------------------------- */

static cfa_status read_units(cfa_stripe_export *file, const cfa__json *root, const char *name,
                             int64_t *out_units, cfa_money *out) {
    if (!cfa__json_read_int(cfa__json_get(root, name), out_units) ||
        !cfa__stripe_money(out, *out_units, cfa__stripe_text(root, "currency")) ||
        out->minor > CFA_MONEY_MINOR_MAX || out->minor < -CFA_MONEY_MINOR_MAX)
        return cfa__export_refuse(file, CFA_EINVAL, file->text_line, name,
                                  "it should be a whole number of the currency's units");
    return CFA_OK;
}

static cfa_status read_sums(cfa_stripe_export *file, const cfa__json *root,
                            cfa__export_movement *movement) {
    int64_t amount, fee, net, difference;
    cfa_money rest;
    cfa_status status = read_units(file, root, "amount", &amount, &movement->amount);
    if (status == CFA_OK)
        status = read_units(file, root, "fee", &fee, &movement->fee);
    if (status == CFA_OK)
        status = read_units(file, root, "net", &net, &rest);
    if (status == CFA_OK && (__builtin_sub_overflow(amount, fee, &difference) || difference != net))
        status = cfa__export_refuse(file, CFA_EINVAL, file->text_line, "net",
                                    "it is not the amount less the fee");
    return status;
}

cfa_status cfa__export_movement_read(cfa_stripe_export *file, const cfa__json *root,
                                     cfa_reconcile_object *out, const cfa__json **out_source) {
    const cfa__json *source = cfa__json_get(root, "source");
    const char *type = cfa__stripe_text(root, "type");
    const char *category = cfa__stripe_text(root, "reporting_category");
    cfa__export_movement movement = { .category = either(category, type) };
    *out_source = NULL;
    if (movement.category == NULL)
        return cfa__export_refuse(file, CFA_EINVAL, file->text_line, "type", "the object has none");
    cfa_status status = read_sums(file, root, &movement);
    if (status == CFA_OK)
        status = cfa__stripe_keep(&movement.source, cfa__stripe_text(root, "source"), file->arena);
    if (status != CFA_OK)
        return status;
    if (cfa__stripe_object_is(source, "charge") || cfa__stripe_object_is(source, "refund") ||
        cfa__stripe_object_is(source, "dispute")) {
        *out_source = source;
        return CFA_OK;
    }
    if (cfa__json_get(root, "exchange_rate") == NULL) {
        movement.facing = movement.amount;
        if (movement.facing.minor < 0)
            movement.facing.minor = -movement.facing.minor;
    }
    return cfa__export_movement_take(file, &movement, out);
}
