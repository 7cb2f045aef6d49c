/*
 * test_stripe_disputes.c - disputes, fraud warnings and fees in Stripe's events as facts.
 */
#include "stripe_wire.h"

#include <careforall/dispute.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CAPTURED "\"captured\":true,\"amount_captured\":1250,"

/* ---- disputes -------------------------------------------------------------------------------- */

static const char *dispute(const char *members) {
    return wire_object("{\"id\":\"du_1\",\"object\":\"dispute\",\"amount\":1250,"
                       "\"currency\":\"eur\",\"charge\":\"ch_1\",\"created\":1795341640,%s"
                       "\"evidence\":{},\"evidence_details\":{\"due_by\":1796000000,"
                       "\"has_evidence\":false},\"metadata\":{},\"payment_intent\":\"pi_1\","
                       "\"reason\":\"fraudulent\"}",
                       members);
}

static const cfa_dispute_facts *only_dispute(const cfa_facts *facts) {
    ck_assert_int_eq(facts->dispute_count, 1);
    ck_assert_int_eq(facts->refund_count, 0);
    ck_assert_uint_eq(facts->disputes[0]->struct_size, sizeof(cfa_dispute_facts));
    return facts->disputes[0];
}

START_TEST(a_disputes_status_becomes_its_state_whatever_the_event) {
    static const struct {
        const char *status;
        int32_t state;
    } cases[] = {
        { "warning_needs_response", CFA_DISPUTE_INQUIRY },
        { "warning_under_review", CFA_DISPUTE_INQUIRY },
        { "warning_closed", CFA_DISPUTE_INQUIRY_CLOSED },
        { "needs_response", CFA_DISPUTE_OPEN },
        { "under_review", CFA_DISPUTE_UNDER_REVIEW },
        { "prevented", CFA_DISPUTE_PREVENTED },
        { "won", CFA_DISPUTE_WON },
        { "lost", CFA_DISPUTE_LOST },
    };
    static const char *const events[] = { "charge.dispute.created", "charge.dispute.updated",
                                          "charge.dispute.closed" };
    for (size_t i = 0; i < COUNT(cases) * COUNT(events); i++) {
        char members[128];
        snprintf(members, sizeof members, "\"status\":\"%s\",\"balance_transactions\":[],",
                 cases[i % COUNT(cases)].status);
        cfa_webhook_event event = wire_tell(events[i / COUNT(cases)], dispute(members));
        ck_assert_int_eq(event.relevant, 1);
        ck_assert_int_eq(event.fetch, 0);
        ck_assert_str_eq(event.facts.ref, "pi_1");
        ck_assert_ptr_null(event.facts.payment_id);
        const cfa_dispute_facts *told = only_dispute(&event.facts);
        ck_assert_str_eq(told->ref, "du_1");
        ck_assert_int_eq(told->state, cases[i % COUNT(cases)].state);
        ck_assert_int_eq(told->amount.minor, 1250);
        ck_assert_str_eq(told->amount.currency, "EUR");
        ck_assert_int_eq(told->withdrawn_minor, 0);
        ck_assert_int_eq(told->reinstated_minor, 0);
        ck_assert_int_eq(told->fee.minor, 0);
        ck_assert_str_eq(told->reason, "fraudulent");
        ck_assert_int_eq(told->evidence_due_us, INT64_C(1796000000000000));
        ck_assert_int_eq(told->occurred_us, CREATED_US);
    }
}
END_TEST

#define ROW(amount, fee, currency)                                                                 \
    "{\"id\":\"txn_1\",\"object\":\"balance_transaction\",\"amount\":" amount ",\"fee\":" fee      \
    ",\"currency\":\"" currency "\",\"type\":\"adjustment\"}"
#define KIND_ROW(amount, fee, currency, category)                                                  \
    "{\"id\":\"txn_1\",\"object\":\"balance_transaction\",\"amount\":" amount ",\"fee\":" fee      \
    ",\"currency\":\"" currency "\",\"reporting_category\":\"" category "\"}"
#define WITHDRAWN "charge.dispute.funds_withdrawn"
#define REINSTATED "charge.dispute.funds_reinstated"
#define UPDATED "charge.dispute.updated"

START_TEST(a_disputes_money_is_what_its_balance_transactions_say) {
    static const struct {
        const char *type, *rows;
        int64_t withdrawn, reinstated, fee;
        const char *fee_currency;
    } cases[] = {
        /* One row with its fee, as the withdrawal is usually written; the fee may come back. */
        { WITHDRAWN, ROW("-1250", "1500", "eur"), 1250, 0, 1500, "EUR" },
        { UPDATED, ROW("-1250", "1500", "eur") "," ROW("1250", "-1500", "eur"), 1250, 1250, 1500,
          "EUR" },
        { UPDATED, ROW("-1250", "1500", "eur") "," ROW("1250", "0", "eur"), 1250, 1250, 1500,
          "EUR" },
        /* A row for the money, and one for the fee. */
        { UPDATED,
          KIND_ROW("-1250", "0", "eur", "dispute") "," KIND_ROW("-1500", "0", "eur", "fee"), 1250,
          0, 1500, "EUR" },
        { UPDATED,
          KIND_ROW("-1250", "1500", "eur", "dispute") "," KIND_ROW(
              "1250", "0", "eur", "dispute_reversal") "," KIND_ROW("-900", "0", "eur", "fee"),
          1250, 1250, 2400, "EUR" },
        /* A part of it, and taken again. */
        { UPDATED, ROW("-600", "0", "eur"), 600, 0, 0, "" },
        { UPDATED,
          ROW("-1250", "0", "eur") "," ROW("1250", "0", "eur") "," ROW("-1250", "0", "eur"), 2500,
          1250, 0, "" },
        /* Settled in another currency: the disputed amount moved, the fee is that currency's. */
        { UPDATED, ROW("-1391", "1500", "usd"), 1250, 0, 1500, "USD" },
        { UPDATED, ROW("-1391", "1500", "usd") "," ROW("1402", "0", "usd"), 1250, 1250, 1500,
          "USD" },
        /* What the event says, where no row shows it yet. */
        { WITHDRAWN, "", 1250, 0, 0, "" },
        { REINSTATED, "", 1250, 1250, 0, "" },
        { REINSTATED, ROW("-1250", "1500", "eur"), 1250, 1250, 1500, "EUR" },
        { REINSTATED, ROW("-1250", "1500", "eur") "," ROW("600", "0", "eur"), 1250, 600, 1500,
          "EUR" },
        { UPDATED, ROW("600", "0", "eur"), 600, 600, 0, "" },
        /* A fee that cannot be told exactly is not known. */
        { UPDATED, ROW("-1250", "1500", "xxq"), 1250, 0, 0, "" },
        { UPDATED, ROW("-1250", "1550", "isk"), 1250, 0, 0, "" },
        { UPDATED, ROW("-1250", "\"15\"", "eur"), 1250, 0, 0, "" },
        { UPDATED, ROW("-1250", "10", "eur") "," ROW("1391", "10", "usd"), 1250, 1250, 0, "" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char members[1024];
        snprintf(members, sizeof members,
                 "\"status\":\"needs_response\",\"balance_transactions\":[%s],", cases[i].rows);
        cfa_webhook_event event = wire_tell(cases[i].type, dispute(members));
        const cfa_dispute_facts *told = only_dispute(&event.facts);
        ck_assert_msg(told->withdrawn_minor == cases[i].withdrawn, "%s", cases[i].rows);
        ck_assert_msg(told->reinstated_minor == cases[i].reinstated, "%s", cases[i].rows);
        ck_assert_msg(told->fee.minor == cases[i].fee, "%s", cases[i].rows);
        ck_assert_str_eq(told->fee.currency, cases[i].fee_currency);
    }
}
END_TEST

START_TEST(a_disputes_rows_of_three_decimals_and_of_other_units) {
    static const char form[] = "{\"id\":\"du_1\",\"object\":\"dispute\",%s"
                               "\"status\":\"lost\",\"payment_intent\":\"pi_1\"}";
    cfa_webhook_event event = wire_tell(
        UPDATED, wire_object(form, "\"amount\":5120,\"currency\":\"kwd\","
                                   "\"balance_transactions\":[" ROW("-5120", "4601", "kwd") "],"));
    ck_assert_int_eq(only_dispute(&event.facts)->withdrawn_minor, 5120);
    ck_assert_int_eq(only_dispute(&event.facts)->fee.minor, 4601);
    event = wire_tell(UPDATED, wire_object(form, "\"amount\":50000,\"currency\":\"isk\","
                                                 "\"balance_transactions\":[" ROW(
                                                     "-50000", "200000", "isk") "],"));
    ck_assert_int_eq(only_dispute(&event.facts)->amount.minor, 500);
    ck_assert_int_eq(only_dispute(&event.facts)->withdrawn_minor, 500);
    ck_assert_int_eq(only_dispute(&event.facts)->fee.minor, 2000);
}
END_TEST

START_TEST(a_dispute_is_told_with_whatever_it_lacks) {
    static const char *const members[] = {
        "\"balance_transactions\":[],", "\"charge\":\"ch_1\",", "\"reason\":\"general\",",
        "\"evidence_details\":{},",     "\"metadata\":{},",     "\"created\":1795341640,",
    };
    for (unsigned absent = 0; absent < 1u << COUNT(members); absent++) {
        const char *given = wire_without(members, COUNT(members), absent);
        cfa_webhook_event event =
            wire_tell("charge.dispute.created",
                      wire_object("{\"id\":\"du_1\",\"object\":\"dispute\",%s\"amount\":1250,"
                                  "\"currency\":\"eur\",\"status\":\"needs_response\","
                                  "\"payment_intent\":\"pi_1\"}",
                                  given));
        ck_assert_int_eq(event.fetch, 0);
        ck_assert_int_eq(only_dispute(&event.facts)->evidence_due_us, 0);
        ck_assert_int_eq(only_dispute(&event.facts)->amount.minor, 1250);
    }
}
END_TEST

START_TEST(a_dispute_that_cannot_be_read_is_refused) {
    static const char *const broken[] = {
        "\"balance_transactions\":[{\"amount\":\"-1250\",\"currency\":\"eur\"}],",
        "\"balance_transactions\":[{\"amount\":-12.5,\"currency\":\"eur\"}],",
        "\"balance_transactions\":[{\"currency\":\"eur\"}],",
        "\"balance_transactions\":[{\"amount\":-1250}],",
        "\"balance_transactions\":[\"txn_1\"],",
        "\"balance_transactions\":[" ROW("-9223372036854775807", "0",
                                         "eur") "," ROW("-9223372036854775807", "0", "eur") "],",
    };
    for (size_t i = 0; i < COUNT(broken); i++) {
        char members[512];
        snprintf(members, sizeof members, "\"status\":\"lost\",%s", broken[i]);
        wire_expect_refused(UPDATED, dispute(members));
    }
    static const char *const objects[] = {
        "{\"id\":\"du_1\",\"object\":\"dispute\",\"currency\":\"eur\",\"status\":\"lost\","
        "\"payment_intent\":\"pi_1\"}",
        "{\"id\":\"du_1\",\"object\":\"dispute\",\"amount\":1,\"currency\":\"xxq\","
        "\"status\":\"lost\",\"payment_intent\":\"pi_1\"}",
        "{\"object\":\"dispute\",\"amount\":1,\"currency\":\"eur\",\"status\":\"lost\","
        "\"payment_intent\":\"pi_1\"}",
        "{\"id\":\"x\",\"object\":\"x\"}",
    };
    for (size_t i = 0; i < COUNT(objects); i++) {
        wire_expect_refused("charge.dispute.closed", objects[i]);
    }
}
END_TEST

START_TEST(a_dispute_in_a_status_of_tomorrow_is_read_again) {
    wire_expect_fetch(UPDATED, dispute("\"status\":\"a_status_of_tomorrow\","));
    wire_expect_fetch(WITHDRAWN, dispute(""));
}
END_TEST

START_TEST(a_dispute_of_no_intent_is_not_ours) {
    cfa_webhook_event event =
        wire_tell("charge.dispute.created",
                  "{\"id\":\"du_1\",\"object\":\"dispute\",\"amount\":1,\"currency\":\"eur\","
                  "\"status\":\"lost\",\"payment_intent\":null}");
    ck_assert_int_eq(event.relevant, 0);
    ck_assert_int_eq(event.facts.dispute_count, 0);
}
END_TEST

/* ---- warnings and fees ----------------------------------------------------------------------- */

static const char *charge(const char *members) {
    return wire_object("{\"id\":\"ch_1\",\"object\":\"charge\",%s\"amount\":1250,"
                       "\"currency\":\"eur\",\"payment_intent\":\"pi_1\",\"status\":\"succeeded\","
                       "\"metadata\":{\"payment_id\":\"" PAYMENT_ID "\"}}",
                       members);
}

START_TEST(an_early_fraud_warning_is_a_flag_of_its_intent) {
    static const char *const types[] = { "radar.early_fraud_warning.created",
                                         "radar.early_fraud_warning.updated" };
    for (size_t i = 0; i < COUNT(types); i++) {
        cfa_webhook_event event = wire_tell(
            types[i], "{\"id\":\"issfr_1\",\"object\":\"radar.early_fraud_warning\","
                      "\"actionable\":true,\"charge\":\"ch_1\",\"created\":1795341640,"
                      "\"fraud_type\":\"misc\",\"livemode\":false,\"payment_intent\":\"pi_1\"}");
        ck_assert_int_eq(event.relevant, 1);
        ck_assert_int_eq(event.fetch, 0);
        ck_assert_str_eq(event.facts.ref, "pi_1");
        ck_assert_uint_eq(event.facts.flags, CFA_FACT_FRAUD_WARNING);
        event = wire_tell(types[i], "{\"id\":\"issfr_1\",\"object\":\"radar.early_fraud_warning\","
                                    "\"charge\":\"ch_1\"}");
        ck_assert_int_eq(event.relevant, 0);
        wire_expect_refused(types[i], "{\"id\":\"issfr_1\",\"object\":\"review\"}");
    }
}
END_TEST

START_TEST(a_charge_tells_its_fee_in_the_currency_it_settles_in) {
    static const struct {
        const char *row;
        int64_t minor;
        const char *currency;
    } cases[] = {
        { ROW("1250", "66", "eur"), 66, "EUR" },
        { ROW("1391", "70", "usd"), 70, "USD" },
        { ROW("5120", "455", "kwd"), 455, "KWD" },
        { ROW("125000", "6600", "isk"), 66, "ISK" },
        { ROW("125000", "6650", "isk"), 0, "" },
        { ROW("1250", "0", "eur"), 0, "" },
        { ROW("1250", "-5", "eur"), 0, "" },
        { ROW("1250", "6.5", "eur"), 0, "" },
        { ROW("1250", "66", "xxq"), 0, "" },
        { "{\"object\":\"balance_transaction\"}", 0, "" },
        { "{\"object\":\"x\",\"fee\":66,\"currency\":\"eur\"}", 0, "" },
        { "null", 0, "" },
    };
    static const char *const types[] = { "charge.updated", "charge.succeeded", "charge.captured" };
    for (size_t i = 0; i < COUNT(cases) * COUNT(types); i++) {
        char members[512];
        snprintf(members, sizeof members, CAPTURED "\"balance_transaction\":%s,",
                 cases[i % COUNT(cases)].row);
        cfa_webhook_event event = wire_tell(types[i / COUNT(cases)], charge(members));
        ck_assert_int_eq(event.fetch, 0);
        ck_assert_int_eq(event.facts.captured_minor, 1250);
        ck_assert_int_eq(event.facts.fee.minor, cases[i % COUNT(cases)].minor);
        ck_assert_str_eq(event.facts.fee.currency, cases[i % COUNT(cases)].currency);
    }
}
END_TEST

START_TEST(a_fee_that_became_known_late_is_read) {
    wire_expect_fetch("charge.updated", charge(CAPTURED "\"balance_transaction\":\"txn_1\","));
    cfa_webhook_event event =
        wire_tell("charge.succeeded", charge(CAPTURED "\"balance_transaction\":\"txn_1\","));
    ck_assert_int_eq(event.fetch, 0);
    event = wire_tell("charge.updated", charge("\"captured\":false,"));
    ck_assert_int_eq(event.fetch, 0);
    ck_assert_int_eq(event.facts.authorized_minor, 1250);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stripe_disputes");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, wire_set_up, wire_tear_down);
    tcase_add_test(all, a_disputes_status_becomes_its_state_whatever_the_event);
    tcase_add_test(all, a_disputes_money_is_what_its_balance_transactions_say);
    tcase_add_test(all, a_disputes_rows_of_three_decimals_and_of_other_units);
    tcase_add_test(all, a_dispute_is_told_with_whatever_it_lacks);
    tcase_add_test(all, a_dispute_that_cannot_be_read_is_refused);
    tcase_add_test(all, a_dispute_in_a_status_of_tomorrow_is_read_again);
    tcase_add_test(all, a_dispute_of_no_intent_is_not_ours);
    tcase_add_test(all, an_early_fraud_warning_is_a_flag_of_its_intent);
    tcase_add_test(all, a_charge_tells_its_fee_in_the_currency_it_settles_in);
    tcase_add_test(all, a_fee_that_became_known_late_is_read);
    suite_add_tcase(suite, all);
    return wire_run(suite);
}
