/*
 * test_stripe_balance.c - exported balance files: the header alone tells which it is, a movement
 * says of a payment what it can and no more, and a file that is not sound is refused with its line.
 */
#include "export_file.h"
#include "stripe_wire.h"

#include <careforall/dispute.h>
#include <careforall/refund.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OURS "pay_01890a5d-ac96-774b-bcce-b302099a8057"

#define HISTORY                                                                                    \
    "id,Type,Source,Amount,Fee,Destination Platform Fee,Destination Platform Fee Currency,Net,"    \
    "Currency,Created (UTC),Available On (UTC),Description,Customer Facing Amount,"                \
    "Customer Facing Currency,Transfer,Transfer Date (UTC),Transfer Group,payment_id (metadata)\n"
#define ITEMIZED                                                                                   \
    "automatic_payout_id,automatic_payout_effective_at,balance_transaction_id,created_utc,"        \
    "created,available_on_utc,currency,gross,fee,net,reporting_category,source_id,description,"    \
    "customer_facing_amount,customer_facing_currency,charge_id,payment_intent_id\n"

/* Of the balance history: what varies. */
#define ROW(id, type, source, amount, fee, net, currency, facing, payment_id)                      \
    id "," type "," source "," amount "," fee ",,," net "," currency ",2026-01-01 10:00,"          \
       "2026-01-08 00:00,Gift," facing ",,,," payment_id "\n"
#define LINE(payout, id, money, category, source, facing, intent)                                  \
    payout "," id ",2026-01-01 10:00:00,2026-01-01 11:00:00,2026-01-08 00:00:00," money            \
           "," category "," source ",Gift," facing "," source "," intent "\n"
#define NOTHING ","
#define PAID "po_1,2026-01-09 00:00:00"
#define COMING "po_2,2999-01-09 00:00:00"

#define MOVED(id, type, category, source, more)                                                    \
    "{\"id\":\"" id "\",\"object\":\"balance_transaction\",\"created\":1767225600,"                \
    "\"currency\":\"eur\",\"type\":\"" type "\",\"reporting_category\":\"" category                \
    "\",\"source\":" source "," more "}\n"
#define SUMS "\"amount\":1250,\"fee\":61,\"net\":1189,\"exchange_rate\":null"

static cfa_stripe_export *opened_rows(const char *header, const char *const *rows, size_t count) {
    char text[4096];
    size_t size = (size_t)snprintf(text, sizeof text, "%s", header);
    for (size_t i = 0; i < count; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "%s", rows[i]);
    ck_assert_uint_lt(size, sizeof text);
    return export_opened(text);
}

/* ---- the balance history --------------------------------------------------------------------- */

START_TEST(a_charge_of_the_history_tells_its_fee_and_amount_by_our_id) {
    cfa_stripe_export *file = export_opened(HISTORY ROW("txn_1", "charge", "ch_1", "12.50", "0.61",
                                                        "11.89", "eur", "12.50,eur", OURS) "");
    for (int round = 0; round < 2; round++) {
        cfa_reconcile_object object = export_taken(file);
        ck_assert_int_eq(object.kind, CFA_RECONCILE_PAYMENT);
        ck_assert_int_eq(object.summary, CFA_RECONCILE_MOVEMENT);
        ck_assert_ptr_null(object.facts.ref);
        ck_assert_str_eq(object.facts.payment_id, OURS);
        ck_assert_int_eq(object.facts.amount.minor, 1250);
        ck_assert_int_eq(object.facts.captured_minor, 1250);
        ck_assert_int_eq(object.facts.fee.minor, 61);
        ck_assert_str_eq(object.facts.fee.currency, "EUR");
        ck_assert_uint_eq(object.facts.flags, 0);
        ck_assert_int_eq(object.facts.occurred_us, INT64_C(1767261600000000));
        ck_assert_int_eq(object.line, 2);
        export_ends(file);
    }
    cfa_stripe_export_free(file);
}
END_TEST

START_TEST(a_settled_amount_is_never_taken_for_the_donors) {
    static const char *const rows[] = {
        ROW("t1", "charge", "ch_1", "11.00", "0.61", "10.39", "eur", "12.50,usd", OURS),
        ROW("t2", "charge", "ch_2", "11.00", "0.61", "10.39", "eur", ",", OURS),
    };
    cfa_stripe_export *file = opened_rows(HISTORY, rows, COUNT(rows));
    cfa_reconcile_object told = export_taken(file);
    ck_assert_int_eq(told.facts.amount.minor, 1250);
    ck_assert_str_eq(told.facts.amount.currency, "USD");
    ck_assert_str_eq(told.facts.fee.currency, "EUR");
    cfa_reconcile_object untold = export_taken(file);
    ck_assert_int_eq(untold.facts.amount.minor, 0);
    ck_assert_str_eq(untold.facts.amount.currency, "");
    ck_assert_int_eq(untold.facts.captured_minor, 0);
    ck_assert_int_eq(untold.whole, 0);
    ck_assert_int_eq(untold.facts.fee.minor, 61);
    cfa_stripe_export_free(file);
}
END_TEST

START_TEST(a_payment_that_may_still_fail_is_not_captured_until_it_is_paid_out) {
    static const char *const rows[] = {
        LINE(NOTHING, "t1", "eur,9.00,0.30,8.70", "charge", "py_1", "9.00,eur", "pi_1"),
        LINE(PAID, "t2", "eur,9.00,0.30,8.70", "charge", "py_2", "9.00,eur", "pi_2"),
        LINE(COMING, "t3", "eur,9.00,0.30,8.70", "charge", "ch_3", "9.00,eur", "pi_3"),
    };
    cfa_stripe_export *file = opened_rows(ITEMIZED, rows, COUNT(rows));
    cfa_reconcile_object began = export_taken(file);
    ck_assert_int_eq(began.facts.captured_minor, 0);
    ck_assert_int_eq(began.facts.amount.minor, 900);
    ck_assert_int_eq(began.facts.fee.minor, 0);
    cfa_reconcile_object paid = export_taken(file);
    ck_assert_int_eq(paid.facts.captured_minor, 900);
    ck_assert_int_eq(paid.facts.fee.minor, 30);
    ck_assert_uint_eq(paid.facts.flags, CFA_FACT_SETTLED);
    ck_assert_str_eq(paid.facts.ref, "pi_2");
    cfa_reconcile_object coming = export_taken(file);
    ck_assert_int_eq(coming.facts.captured_minor, 900);
    ck_assert_uint_eq(coming.facts.flags, 0);
    export_ends(file);
    cfa_stripe_export_free(file);
}
END_TEST

START_TEST(refunds_and_disputes_are_named_by_what_moved) {
    static const char *const rows[] = {
        ROW("t1", "refund", "re_1", "-5.00", "0.00", "-5.00", "eur", "-5.00,eur", ""),
        ROW("t2", "payment_refund", "pyr_1", "-5.00", "-0.10", "-4.90", "eur", ",", ""),
        ROW("t3", "refund_failure", "re_1", "5.00", "0.00", "5.00", "eur", "5.00,eur", ""),
        ROW("t4", "adjustment", "dp_1", "-12.50", "15.00", "-27.50", "eur", "-12.50,eur", ""),
        ROW("t5", "adjustment", "du_1", "12.50", "0.00", "12.50", "eur", "12.50,eur", ""),
        ROW("t6", "adjustment", "re_2", "3.00", "0.00", "3.00", "eur", "3.00,eur", ""),
    };
    cfa_stripe_export *file = opened_rows(HISTORY, rows, COUNT(rows));
    cfa_reconcile_object given = export_taken(file);
    ck_assert_int_eq(given.kind, CFA_RECONCILE_REFUND);
    ck_assert_str_eq(given.facts.refunds[0]->ref, "re_1");
    ck_assert_int_eq(given.facts.refunds[0]->amount.minor, 500);
    ck_assert_int_eq(given.facts.refunds[0]->state, CFA_REFUND_PENDING);
    cfa_reconcile_object converted = export_taken(file);
    ck_assert_str_eq(converted.facts.refunds[0]->ref, "pyr_1");
    ck_assert_int_eq(converted.facts.refunds[0]->amount.minor, 0);
    ck_assert_int_eq(export_taken(file).facts.refunds[0]->state, CFA_REFUND_FAILED);
    cfa_reconcile_object taken = export_taken(file);
    ck_assert_int_eq(taken.kind, CFA_RECONCILE_DISPUTE);
    ck_assert_int_eq(taken.facts.disputes[0]->withdrawn_minor, 1250);
    ck_assert_int_eq(taken.facts.disputes[0]->fee.minor, 1500);
    ck_assert_int_eq(taken.facts.fee.minor, 0);
    cfa_reconcile_object back = export_taken(file);
    ck_assert_str_eq(back.facts.disputes[0]->ref, "du_1");
    ck_assert_int_eq(back.facts.disputes[0]->withdrawn_minor, 0);
    ck_assert_int_eq(back.facts.disputes[0]->reinstated_minor, 1250);
    cfa_reconcile_object failed = export_taken(file);
    ck_assert_int_eq(failed.facts.refunds[0]->state, CFA_REFUND_FAILED);
    export_ends(file);
    cfa_stripe_export_free(file);
}
END_TEST

START_TEST(what_is_no_donors_money_is_skipped_and_what_has_no_name_is_said) {
    static const char *const others[] = {
        ROW("txn_1", "payout", "po_1", "-99.00", "0.00", "-99.00", "eur", ",", ""),
        ROW("txn_1", "stripe_fee", "", "-2.00", "0.00", "-2.00", "eur", ",", ""),
        ROW("txn_1", "transfer", "tr_1", "-2.00", "0.00", "-2.00", "eur", ",", OURS),
        ROW("txn_1", "contribution", "", "-0.50", "0.00", "-0.50", "eur", ",", ""),
        ROW("txn_1", "payment_failure_refund", "pyr_1", "-5.00", "0.00", "-5.00", "eur", ",", OURS),
        ROW("txn_1", "of_the_year_2040", "x", "5.00", "0.00", "5.00", "eur", ",", OURS),
        ROW("txn_1", "adjustment", "", "5.00", "0.00", "5.00", "eur", ",", OURS),
        ROW("txn_1", "charge", "ch_1", "0.00", "0.00", "0.00", "eur", ",", OURS),
    };
    static const char *const unnamed[] = {
        ROW("txn_1", "charge", "ch_1", "5.00", "0.30", "4.70", "eur", "5.00,eur", ""),
        ROW("txn_1", "refund", "ch_1", "-5.00", "0.00", "-5.00", "eur", "-5.00,eur", ""),
        ROW("txn_1", "dispute", "ch_1", "-5.00", "0.00", "-5.00", "eur", "-5.00,eur", ""),
    };
    bool skipped = (size_t)_i < COUNT(others);
    const char *row = skipped ? others[_i] : unnamed[(size_t)_i - COUNT(others)];
    cfa_stripe_export *file = opened_rows(HISTORY, &row, 1);
    ck_assert_int_eq(export_taken(file).kind,
                     skipped ? CFA_RECONCILE_OTHER : CFA_RECONCILE_UNNAMED);
    export_ends(file);
    cfa_stripe_export_free(file);
}
END_TEST

START_TEST(every_currency_is_exact) {
    static const struct {
        const char *row;
        int64_t minor, fee_minor;
    } rows[] = {
        { ROW("t", "charge", "ch_1", "500", "23", "477", "jpy", "500,jpy", OURS), 500, 23 },
        { ROW("t", "charge", "ch_1", "1.250", "0.061", "1.189", "kwd", "1.250,kwd", OURS), 1250,
          61 },
        { ROW("t", "charge", "ch_1", "500.00", "23.00", "477.00", "isk", "500.00,isk", OURS), 500,
          23 },
        { ROW("t", "charge", "ch_1", "500", "23", "477", "ugx", "500,ugx", OURS), 500, 23 },
        { ROW("t", "charge", "ch_1", "500.00", "23.00", "477.00", "ugx", "500.00,ugx", OURS), 500,
          23 },
        { ROW("t", "charge", "ch_1", "500.45", "23.00", "477.45", "huf", "500.45,huf", OURS), 50045,
          2300 },
        { ROW("t", "charge", "ch_1", "500.00", "23.50", "476.50", "twd", "500.00,twd", OURS), 50000,
          2350 },
    };
    cfa_stripe_export *file = opened_rows(HISTORY, &rows[_i].row, 1);
    cfa_reconcile_object object = export_taken(file);
    ck_assert_int_eq(object.facts.amount.minor, rows[_i].minor);
    ck_assert_int_eq(object.facts.fee.minor, rows[_i].fee_minor);
    cfa_stripe_export_free(file);
}
END_TEST

/* ---- the itemized reports -------------------------------------------------------------------- */

START_TEST(the_shortest_itemized_file_is_read) {
    cfa_stripe_export *file =
        export_opened("balance_transaction_id,reporting_category,source_id,currency,gross,fee,net,"
                      "payment_metadata[payment_id],payment_intent_id\r\n"
                      "txn_1,charge,ch_1,eur,12.50,0.61,11.89," OURS ",pi_1\r\n"
                      "txn_2,partial_capture_reversal,re_1,eur,-2.50,0.00,-2.50," OURS ",pi_1\r\n");
    cfa_reconcile_object object = export_taken(file);
    ck_assert_str_eq(object.facts.ref, "pi_1");
    ck_assert_str_eq(object.facts.payment_id, OURS);
    ck_assert_int_eq(object.facts.fee.minor, 61);
    ck_assert_int_eq(object.facts.amount.minor, 0);
    ck_assert_int_eq(object.facts.occurred_us, 0);
    ck_assert_int_eq(export_taken(file).kind, CFA_RECONCILE_OTHER);
    export_ends(file);
    cfa_stripe_export_free(file);
}
END_TEST

/* ---- balance transactions -------------------------------------------------------------------- */

#define CHARGE                                                                                     \
    "{\"id\":\"ch_1\",\"object\":\"charge\",\"amount\":1500,\"amount_captured\":1500,"             \
    "\"captured\":true,\"currency\":\"usd\",\"status\":\"succeeded\",\"livemode\":true,"           \
    "\"payment_intent\":\"pi_1\",\"metadata\":{\"payment_id\":\"" OURS "\"}}"
#define REFUND                                                                                     \
    "{\"id\":\"re_1\",\"object\":\"refund\",\"amount\":500,\"currency\":\"usd\","                  \
    "\"status\":\"succeeded\",\"payment_intent\":\"pi_1\",\"created\":2,"                          \
    "\"balance_transaction\":\"txn_2\"}"
#define DISPUTE                                                                                    \
    "{\"id\":\"du_1\",\"object\":\"dispute\",\"amount\":900,\"currency\":\"usd\","                 \
    "\"status\":\"needs_response\",\"payment_intent\":\"pi_1\",\"created\":3}"

START_TEST(an_expanded_source_is_the_object_with_the_movements_fee) {
    static const char *const objects[] = {
        MOVED("txn_1", "charge", "charge", CHARGE,
              "\"amount\":1250,\"fee\":61,\"net\":1189,\"exchange_rate\":0.83"),
        MOVED("txn_2", "refund", "refund", REFUND, "\"amount\":-415,\"fee\":0,\"net\":-415"),
        MOVED("txn_3", "adjustment", "dispute", DISPUTE,
              "\"amount\":-750,\"fee\":1500,\"net\":-2250"),
    };
    cfa_stripe_export *file = opened_rows("", objects, COUNT(objects));
    cfa_reconcile_object charge = export_taken(file);
    ck_assert_int_eq(charge.summary, 0);
    ck_assert_int_eq(charge.livemode, 1);
    ck_assert_str_eq(charge.facts.ref, "pi_1");
    ck_assert_str_eq(charge.facts.payment_id, OURS);
    ck_assert_int_eq(charge.facts.captured_minor, 1500);
    ck_assert_str_eq(charge.facts.amount.currency, "USD");
    ck_assert_int_eq(charge.facts.fee.minor, 61);
    ck_assert_str_eq(charge.facts.fee.currency, "EUR");
    cfa_reconcile_object refund = export_taken(file);
    ck_assert_int_eq(refund.kind, CFA_RECONCILE_REFUND);
    ck_assert_int_eq(refund.summary, 0);
    ck_assert_int_eq(refund.facts.refunds[0]->state, CFA_REFUND_SUCCEEDED);
    cfa_reconcile_object dispute = export_taken(file);
    ck_assert_int_eq(dispute.kind, CFA_RECONCILE_DISPUTE);
    ck_assert_int_eq(dispute.facts.disputes[0]->amount.minor, 900);
    export_ends(file);
    cfa_stripe_export_free(file);
}
END_TEST

#define GAVE(more) "\"amount\":-500,\"fee\":0,\"net\":-500" more
#define PAYOUT                                                                                     \
    "{\"id\":\"po_1\",\"object\":\"payout\",\"created\":5,\"amount\":500,\"currency\":\"eur\","    \
    "\"livemode\":false}"

START_TEST(a_source_that_is_an_id_tells_what_it_names) {
    static const char *const objects[] = {
        MOVED("txn_1", "charge", "charge", "\"ch_1\"", SUMS),
        MOVED("txn_2", "refund", "refund", "\"re_1\"", GAVE(",\"exchange_rate\":null")),
        MOVED("txn_3", "refund", "refund", "\"re_2\"", GAVE(",\"exchange_rate\":0.83")),
        MOVED("txn_4", "payout", "payout", "\"po_1\"", GAVE("")),
        PAYOUT,
    };
    cfa_stripe_export *file = opened_rows("", objects, COUNT(objects));
    ck_assert_int_eq(export_taken(file).kind, CFA_RECONCILE_UNNAMED);
    cfa_reconcile_object refund = export_taken(file);
    ck_assert_int_eq(refund.summary, CFA_RECONCILE_MOVEMENT);
    ck_assert_str_eq(refund.facts.refunds[0]->ref, "re_1");
    ck_assert_int_eq(refund.facts.refunds[0]->amount.minor, 500);
    ck_assert_int_eq(export_taken(file).facts.refunds[0]->amount.minor, 0);
    ck_assert_int_eq(export_taken(file).kind, CFA_RECONCILE_OTHER);
    cfa_reconcile_object payout = export_taken(file);
    ck_assert_int_eq(payout.kind, CFA_RECONCILE_OTHER);
    ck_assert_int_eq(payout.livemode, 0);
    export_ends(file);
    cfa_stripe_export_free(file);
}
END_TEST

/* ---- files that are refused ------------------------------------------------------------------ */

#define GOOD ROW("txn_1", "charge", "ch_1", "12.50", "0.61", "11.89", "eur", "12.50,eur", OURS)
#define MONEY(amount, fee, net) ROW("txn_2", "charge", "ch_2", amount, fee, net, "eur", ",", OURS)
#define FACING(facing) ROW("txn_2", "charge", "ch_2", "5.00", "0.30", "4.70", "eur", facing, OURS)
#define OBJECT(sums) MOVED("txn_1", "charge", "charge", "\"ch_1\"", sums)

static const struct bad {
    const char *text;
    size_t size; /* 0: the text's */
    cfa_status status;
    const char *line, *why;
} bads[] = {
    { "id,Type,Source,Amount,Fee,Currency,Created (UTC)\n", 0, CFA_EINVAL,
      "line 1: Net:", "of the balance history" },
    { "balance_transaction_id,reporting_category,source_id,currency,gross,net\n", 0, CFA_EINVAL,
      "line 1: fee:", "of the itemized reports" },
    { "payout_id,effective_at,currency,gross,fee,net,reporting_category\n", 0, CFA_EINVAL,
      "line 1: balance_transaction_id:", "of the itemized reports" },
    { "id,Amount,Currency,Captured,Status,Created (UTC)\n", 0, CFA_EINVAL,
      "line 1: PaymentIntent ID:", "of the payments export" },
    { "Net," HISTORY, 0, CFA_EINVAL, "line 1: Net:", "twice" },
    { "\xef\xbb\xbf" HISTORY, 0, CFA_EENCODING, "line 1:", "byte order mark" },
    { HISTORY "txn_1,charge\n", 0, CFA_EINVAL, "line 2:", "more or fewer fields" },
    { HISTORY GOOD MONEY("5,00", "0.30", "4.70"), 0, CFA_EINVAL, "line 3:", "more or fewer" },
    { HISTORY GOOD MONEY("\"5,00\"", "0.30", "4.70"), 0, CFA_EINVAL, "line 3:", "" },
    { HISTORY GOOD MONEY("\"1,250.00\"", "0.30", "4.70"), 0, CFA_EINVAL, "line 3:", "" },
    { HISTORY GOOD MONEY("1 250.00", "0.30", "4.70"), 0, CFA_EINVAL, "line 3:", "" },
    { HISTORY GOOD MONEY("5e2", "0.30", "4.70"), 0, CFA_EINVAL, "line 3:", "" },
    { HISTORY GOOD MONEY("+5.00", "0.30", "4.70"), 0, CFA_EAMOUNT, "line 3: Amount:", "12.50" },
    { HISTORY GOOD MONEY("--5.00", "0.30", "4.70"), 0, CFA_EAMOUNT, "line 3: Amount:", "12.50" },
    { HISTORY GOOD MONEY("(5.00)", "0.30", "4.70"), 0, CFA_EAMOUNT, "line 3: Amount:", "12.50" },
    { HISTORY GOOD MONEY("", "0.30", "4.70"), 0, CFA_EAMOUNT, "line 3: Amount:", "12.50" },
    { HISTORY GOOD MONEY("5.00", "", "4.70"), 0, CFA_EAMOUNT, "line 3: Fee:", "12.50" },
    { HISTORY GOOD MONEY("5.00", "0.30", ""), 0, CFA_EAMOUNT, "line 3: Net:", "12.50" },
    { HISTORY GOOD MONEY("5.005", "0.30", "4.705"), 0, CFA_EINVAL, "line 3:", "never rounded" },
    { HISTORY GOOD MONEY("5.00", "0.30", "4.71"), 0, CFA_EINVAL, "line 3: Net:", "less the fee" },
    { HISTORY GOOD MONEY("9999999999999999999", "0.30", "4.70"), 0, CFA_EINVAL, "line 3:", "" },
    { HISTORY GOOD MONEY("99999999999999999999999999", "0", "0"), 0, CFA_EAMOUNT,
      "line 3: Amount:", "" },
    { HISTORY GOOD MONEY("-5.00", "0.30", "-5.30"), 0, CFA_EAMOUNT, "line 3: charge:", "brings" },
    { HISTORY ROW("t", "refund", "re_1", "5.00", "0.00", "5.00", "eur", ",", ""), 0, CFA_EAMOUNT,
      "line 2: refund:", "takes" },
    { HISTORY ROW("t", "refund_failure", "re_1", "-5.00", "0.00", "-5.00", "eur", ",", ""), 0,
      CFA_EAMOUNT, "line 2: refund_failure:", "brings" },
    { HISTORY ROW("t", "charge", "ch_1", "500.50", "0", "500.50", "isk", ",", ""), 0, CFA_EINVAL,
      "line 2:", "never rounded" },
    { HISTORY ROW("t", "charge", "ch_1", "500.00", "0", "500.00", "jpy", ",", ""), 0, CFA_EINVAL,
      "line 2:", "" },
    { HISTORY ROW("t", "charge", "ch_1", "5.00", "0.30", "4.70", "usdc", ",", ""), 0, CFA_ECURRENCY,
      "line 2: Currency:", "ISO 4217" },
    { HISTORY ROW("t", "", "ch_1", "5.00", "0.30", "4.70", "eur", ",", ""), 0, CFA_EINVAL,
      "line 2: Type:", "the row has none" },
    { HISTORY ROW("", "charge", "ch_1", "5.00", "0.30", "4.70", "eur", ",", ""), 0, CFA_EINVAL,
      "line 2: id:", "the row has none" },
    { HISTORY FACING("5.00,xxq"), 0, CFA_ECURRENCY, "line 2: Customer Facing Currency:", "" },
    { HISTORY FACING("5.000,eur"), 0, CFA_EINVAL, "line 2:", "never rounded" },
    { HISTORY FACING("five,eur"), 0, CFA_EAMOUNT, "line 2: Customer Facing Amount:", "12.50" },
    { HISTORY "txn_1,charge,ch_1,5.00,0.30,,,4.70,eur,01/02/2026,,,,,,,,\n", 0, CFA_EINVAL,
      "line 2: Created (UTC):", "a time such as" },
    { HISTORY "txn_1,charge,ch_1,5.00,0.30,,,4.70,eur,2026-01-01 10:00,,,,,po_1,soon,,\n", 0,
      CFA_EINVAL, "line 2: Transfer Date (UTC):", "a time such as" },
    { HISTORY GOOD ROW("txn_1", "charge", "ch_1", "12.51", "0.61", "11.90", "eur", ",", OURS), 0,
      CFA_EINVAL, "line 3:", "stands in line 2 already" },
    { HISTORY GOOD "txn_2,\"char\"ge,\n", 0, CFA_EINVAL, "line 3:", "behind the quote" },
    { HISTORY GOOD "txn_2,char\"ge,\n", 0, CFA_EINVAL, "line 3:", "without quotes" },
    { HISTORY GOOD "txn_2,\"charge\n", 0, CFA_EINVAL, "line 3:", "never closed" },
    { HISTORY "txn_1,charge,ch_1,5.00,0.30,,,4.70,eur,2026-01-01 10:00,,,,,,,,\r\n", 0, CFA_EINVAL,
      "line 2:", "ends otherwise" },
    { HISTORY "txn_1,\xc3\x28,\n", 0, CFA_EENCODING, "line 2:", "UTF-8" },
    { HISTORY "txn\0_1,", sizeof HISTORY + 6, CFA_EENCODING, "line 2:", "NUL" },
    { ITEMIZED LINE("po_1,tomorrow", "txn_1", "eur,9.00,0.30,8.70", "charge", "ch_1", ",", "pi_1"),
      0, CFA_EINVAL, "line 2: automatic_payout_effective_at_utc:", "a time such as" },
    { ITEMIZED LINE(NOTHING, "txn_1", "eur,9.00,0.30,8.71", "charge", "ch_1", ",", "pi_1"), 0,
      CFA_EINVAL, "line 2: net:", "less the fee" },
    { OBJECT("\"amount\":1250,\"fee\":61,\"net\":1190"), 0, CFA_EINVAL, "line 1: net:", "less" },
    { OBJECT("\"amount\":12.5,\"fee\":61,\"net\":1189"), 0, CFA_EINVAL,
      "line 1: amount:", "whole number" },
    { OBJECT("\"amount\":-9223372036854775808,\"fee\":1,\"net\":0"), 0, CFA_EINVAL,
      "line 1: amount:", "whole number" },
    { OBJECT("\"amount\":1250,\"net\":1189"), 0, CFA_EINVAL, "line 1: fee:", "whole number" },
    { OBJECT("\"amount\":-1250,\"fee\":0,\"net\":-1250"), 0, CFA_EAMOUNT,
      "line 1: charge:", "brings" },
    { "{\"id\":\"txn_1\",\"object\":\"balance_transaction\",\"created\":1,\"currency\":\"eur\","
      "\"amount\":1,\"fee\":0,\"net\":1}",
      0, CFA_EINVAL, "line 1: type:", "has none" },
    { "{\"id\":\"txn_1\",\"object\":\"balance_transaction\",\"created\":1,\"type\":\"charge\","
      "\"amount\":1,\"fee\":0,\"net\":1}",
      0, CFA_EINVAL, "line 1: amount:", "units" },
    { MOVED("txn_1", "charge", "charge", "{\"id\":\"ch_1\",\"object\":\"charge\"}", SUMS), 0,
      CFA_EINVAL, "line 1:", "charge" },
    { OBJECT(SUMS) OBJECT("\"amount\":1251,\"fee\":61,\"net\":1190"), 0, CFA_EINVAL,
      "line 2:", "stands in line 1 already" },
};

START_TEST(a_file_that_is_not_sound_is_refused_with_its_line) {
    const struct bad *bad = &bads[_i];
    export_write(bad->text, bad->size != 0 ? bad->size : strlen(bad->text));
    export_refused(bad->status, bad->line, bad->why);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stripe_balance");
    export_add(suite, "charge", a_charge_of_the_history_tells_its_fee_and_amount_by_our_id, 1);
    export_add(suite, "settled_amount", a_settled_amount_is_never_taken_for_the_donors, 1);
    export_add(suite, "paid_out",
               a_payment_that_may_still_fail_is_not_captured_until_it_is_paid_out, 1);
    export_add(suite, "parts", refunds_and_disputes_are_named_by_what_moved, 1);
    export_add(suite, "skipped", what_is_no_donors_money_is_skipped_and_what_has_no_name_is_said,
               11);
    export_add(suite, "currencies", every_currency_is_exact, 7);
    export_add(suite, "shortest", the_shortest_itemized_file_is_read, 1);
    export_add(suite, "expanded", an_expanded_source_is_the_object_with_the_movements_fee, 1);
    export_add(suite, "id", a_source_that_is_an_id_tells_what_it_names, 1);
    export_add(suite, "refused", a_file_that_is_not_sound_is_refused_with_its_line,
               (int)COUNT(bads));
    return wire_run(suite);
}
