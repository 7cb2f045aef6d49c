/*
 * test_stripe_refunds.c - refunds in Stripe's events and answers as facts, what only looks like one,
 * and what is rather read again than guessed.
 */
#include "stripe_wire.h"

#include <careforall/refund.h>
#include <stdio.h>
#include <string.h>

#define REFUND_ID "rfd_01h455vb4pex5vsknk084sn02r"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- refunds --------------------------------------------------------------------------------- */

/* As a refund of the card is written: made in the dashboard, so without metadata. */
static const char *refund(const char *members) {
    return wire_object("{\"id\":\"re_1\",\"object\":\"refund\",%s"
                       "\"balance_transaction\":\"txn_1\",\"charge\":\"ch_1\","
                       "\"created\":1795341640,\"destination_details\":{\"type\":\"card\"},"
                       "\"payment_intent\":\"pi_1\",\"receipt_number\":null,"
                       "\"source_transfer_reversal\":null,\"transfer_reversal\":null}",
                       members);
}

static const cfa_refund_facts *only_refund(const cfa_facts *facts) {
    ck_assert_int_eq(facts->refund_count, 1);
    ck_assert_int_eq(facts->dispute_count, 0);
    ck_assert_uint_eq(facts->refunds[0]->struct_size, sizeof(cfa_refund_facts));
    return facts->refunds[0];
}

static const char *const refund_events[] = { "refund.created", "refund.updated", "refund.failed",
                                             "charge.refund.updated" };

START_TEST(a_refunds_status_becomes_its_state_whatever_the_event) {
    static const struct {
        const char *status;
        int32_t state;
    } cases[] = {
        { "pending", CFA_REFUND_PENDING },     { "requires_action", CFA_REFUND_REQUIRES_ACTION },
        { "succeeded", CFA_REFUND_SUCCEEDED }, { "failed", CFA_REFUND_FAILED },
        { "canceled", CFA_REFUND_CANCELED },
    };
    for (size_t i = 0; i < COUNT(cases) * COUNT(refund_events); i++) {
        char members[128];
        snprintf(members, sizeof members,
                 "\"amount\":500,\"currency\":\"eur\",\"metadata\":{},\"status\":\"%s\",",
                 cases[i % COUNT(cases)].status);
        cfa_webhook_event event = wire_tell(refund_events[i / COUNT(cases)], refund(members));
        ck_assert_int_eq(event.relevant, 1);
        ck_assert_int_eq(event.fetch, 0);
        ck_assert_str_eq(event.facts.ref, "pi_1");
        ck_assert_uint_eq(event.facts.flags, 0);
        ck_assert_int_eq(event.facts.captured_minor, 0);
        ck_assert_str_eq(event.facts.amount.currency, "");
        const cfa_refund_facts *told = only_refund(&event.facts);
        ck_assert_str_eq(told->ref, "re_1");
        ck_assert_ptr_null(told->refund_id);
        ck_assert_int_eq(told->state, cases[i % COUNT(cases)].state);
        ck_assert_int_eq(told->amount.minor, 500);
        ck_assert_str_eq(told->amount.currency, "EUR");
        ck_assert_int_eq(told->occurred_us, CREATED_US);
    }
}
END_TEST

#define OURS "\"metadata\":{\"payment_id\":\"" PAYMENT_ID "\",\"refund_id\":\"" REFUND_ID "\"},"
#define FIVE "\"amount\":500,\"currency\":\"eur\","

START_TEST(a_refund_that_was_asked_for_brings_its_id) {
    cfa_webhook_event event =
        wire_tell("refund.failed", refund(FIVE OURS "\"status\":\"failed\",\"failure_reason\":"
                                                    "\"expired_or_canceled_card\","
                                                    "\"failure_balance_transaction\":\"txn_2\","));
    ck_assert_str_eq(event.facts.payment_id, PAYMENT_ID);
    ck_assert_str_eq(only_refund(&event.facts)->refund_id, REFUND_ID);
    ck_assert_str_eq(only_refund(&event.facts)->failure_code, "expired_or_canceled_card");
}
END_TEST

/* Whatever of a refund is absent or null but what makes it one, it is told. */
START_TEST(a_refund_is_told_with_whatever_it_lacks) {
    static const char *const members[] = {
        "\"metadata\":{},", "\"failure_reason\":null,", "\"balance_transaction\":\"txn_1\",",
        "\"reason\":null,", "\"charge\":\"ch_1\",",     "\"created\":1795341640,",
    };
    for (unsigned absent = 0; absent < 1u << COUNT(members); absent++) {
        const char *given = wire_without(members, COUNT(members), absent);
        cfa_webhook_event event = wire_tell(
            "refund.created", wire_object("{\"id\":\"re_1\",\"object\":\"refund\",%s" FIVE
                                          "\"status\":\"pending\",\"payment_intent\":\"pi_1\"}",
                                          given));
        ck_assert_int_eq(event.fetch, 0);
        ck_assert_int_eq(only_refund(&event.facts)->amount.minor, 500);
    }
}
END_TEST

START_TEST(a_refund_names_its_intent_also_when_that_is_expanded) {
    cfa_webhook_event event =
        wire_tell("refund.updated", wire_object("{\"id\":\"re_1\",\"object\":\"refund\"," FIVE
                                                "\"status\":\"pending\",\"payment_intent\":%s}",
                                                wire_intent("\"status\":\"succeeded\",")));
    ck_assert_str_eq(event.facts.ref, "pi_1");
    ck_assert_int_eq(event.facts.refund_count, 1);
}
END_TEST

START_TEST(a_refund_of_no_intent_is_not_ours) {
    for (size_t i = 0; i < COUNT(refund_events); i++) {
        cfa_webhook_event event =
            wire_tell(refund_events[i],
                      "{\"id\":\"re_1\",\"object\":\"refund\"," FIVE
                      "\"status\":\"succeeded\",\"charge\":\"ch_1\",\"payment_intent\":null}");
        ck_assert_int_eq(event.relevant, 0);
        ck_assert_int_eq(event.fetch, 0);
    }
}
END_TEST

START_TEST(amounts_of_refunds_are_in_our_minor_units) {
    static const struct {
        const char *members, *currency;
        int64_t minor;
    } cases[] = {
        { "\"amount\":5120,\"currency\":\"kwd\",", "KWD", 5120 },
        { "\"amount\":500,\"currency\":\"jpy\",", "JPY", 500 },
        { "\"amount\":50000,\"currency\":\"isk\",", "ISK", 500 },
        { "\"amount\":50000,\"currency\":\"ugx\",", "UGX", 500 },
        { "\"amount\":7,\"currency\":\"mga\",", "MGA", 700 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char members[128];
        snprintf(members, sizeof members, "%s\"status\":\"succeeded\",", cases[i].members);
        cfa_webhook_event event = wire_tell("refund.created", refund(members));
        ck_assert_int_eq(only_refund(&event.facts)->amount.minor, cases[i].minor);
        ck_assert_str_eq(only_refund(&event.facts)->amount.currency, cases[i].currency);
    }
}
END_TEST

START_TEST(a_refund_that_cannot_be_read_is_refused) {
    static const char *const broken[] = {
        "\"currency\":\"eur\",\"status\":\"succeeded\",",
        "\"amount\":null,\"currency\":\"eur\",\"status\":\"succeeded\",",
        "\"amount\":\"500\",\"currency\":\"eur\",\"status\":\"succeeded\",",
        "\"amount\":5.5,\"currency\":\"eur\",\"status\":\"succeeded\",",
        "\"amount\":-500,\"currency\":\"eur\",\"status\":\"succeeded\",",
        "\"amount\":9223372036854775808,\"currency\":\"eur\",\"status\":\"succeeded\",",
        "\"amount\":500,\"status\":\"succeeded\",",
        "\"amount\":500,\"currency\":\"xxq\",\"status\":\"succeeded\",",
        "\"amount\":500,\"currency\":7,\"status\":\"succeeded\",",
        "\"amount\":550,\"currency\":\"isk\",\"status\":\"succeeded\",",
    };
    for (size_t i = 0; i < COUNT(broken); i++) {
        wire_expect_refused("refund.created", refund(broken[i]));
    }
    wire_expect_refused("refund.created", "{\"object\":\"refund\"," FIVE
                                          "\"status\":\"pending\",\"payment_intent\":\"pi_1\"}");
    wire_expect_refused("refund.created", wire_intent("\"status\":\"succeeded\","));
    wire_expect_refused("refund.created", "{}");
}
END_TEST

START_TEST(a_status_of_tomorrow_makes_no_state) {
    wire_expect_fetch("refund.updated", refund(FIVE "\"status\":\"a_status_of_tomorrow\","));
    wire_expect_fetch("refund.updated", refund(FIVE "\"status\":null,"));
    wire_expect_fetch("refund.updated", refund(FIVE));
}
END_TEST

/* ---- releases of holds ----------------------------------------------------------------------- */

START_TEST(the_release_of_an_expired_hold_is_no_refund) {
    cfa_webhook_event event = wire_tell(
        "refund.created", wire_object("{\"id\":\"re_1\",\"object\":\"refund\",%s" FIVE
                                      "\"balance_transaction\":null,\"status\":\"succeeded\","
                                      "\"payment_intent\":\"pi_1\"}",
                                      "\"reason\":\"expired_uncaptured_charge\","));
    ck_assert_int_eq(event.relevant, 1);
    ck_assert_int_eq(event.fetch, 0);
    ck_assert_int_eq(event.facts.refund_count, 0);
    ck_assert_uint_eq(event.facts.flags, CFA_FACT_EXPIRED);
    ck_assert_str_eq(event.facts.ref, "pi_1");
    ck_assert_str_eq(event.facts.cancel_reason, "expired_uncaptured_charge");
}
END_TEST

/* A canceled hold, or the rest of a partial capture: nothing moved, and the refund does not say
 * whether there was anything to move. */
START_TEST(what_may_be_a_release_is_looked_at) {
    wire_expect_fetch("refund.created", "{\"id\":\"re_1\",\"object\":\"refund\"," FIVE
                                        "\"balance_transaction\":null,\"status\":\"succeeded\","
                                        "\"payment_intent\":\"pi_1\"}");
    cfa_webhook_event event =
        wire_tell("refund.created", "{\"id\":\"re_1\",\"object\":\"refund\"," FIVE OURS
                                    "\"balance_transaction\":null,\"status\":\"succeeded\","
                                    "\"payment_intent\":\"pi_1\"}");
    ck_assert_int_eq(event.fetch, 0);
    ck_assert_int_eq(only_refund(&event.facts)->state, CFA_REFUND_SUCCEEDED);
}
END_TEST

static const char *charge(const char *members) {
    return wire_object("{\"id\":\"ch_1\",\"object\":\"charge\",%s\"amount\":1250,"
                       "\"currency\":\"eur\",\"payment_intent\":\"pi_1\",\"status\":\"succeeded\","
                       "\"metadata\":{\"payment_id\":\"" PAYMENT_ID "\"}}",
                       members);
}

#define CAPTURED "\"captured\":true,\"amount_captured\":1250,"

START_TEST(a_refunded_charge_is_read_unless_it_brings_its_refunds) {
    wire_expect_fetch("charge.refunded", charge(CAPTURED "\"amount_refunded\":500,"));
    wire_expect_fetch("charge.refunded", charge(CAPTURED "\"amount_refunded\":\"500\","));
    wire_expect_fetch("charge.refunded", charge(CAPTURED "\"amount_refunded\":500,\"refunds\":{"
                                                         "\"object\":\"list\",\"data\":[],"
                                                         "\"has_more\":true},"));
    cfa_webhook_event event =
        wire_tell("charge.refunded",
                  charge(CAPTURED "\"amount_refunded\":500,\"disputed\":false,\"refunds\":{"
                                  "\"object\":\"list\",\"has_more\":false,\"data\":["
                                  "{\"id\":\"re_2\",\"object\":\"refund\"," FIVE
                                  "\"status\":\"succeeded\",\"balance_transaction\":\"txn_1\"},"
                                  "{\"id\":\"re_1\",\"object\":\"refund\"," FIVE OURS
                                  "\"status\":\"failed\",\"payment_intent\":\"pi_1\"}]},"));
    ck_assert_int_eq(event.fetch, 0);
    ck_assert_int_eq(event.facts.captured_minor, 1250);
    ck_assert_int_eq(event.facts.refund_count, 2);
    ck_assert_str_eq(event.facts.refunds[0]->ref, "re_2");
    ck_assert_int_eq(event.facts.refunds[1]->state, CFA_REFUND_FAILED);
    ck_assert_str_eq(event.facts.refunds[1]->refund_id, REFUND_ID);
}
END_TEST

START_TEST(the_release_of_the_rest_of_a_hold_is_no_refund_of_the_charge) {
    cfa_webhook_event event =
        wire_tell("charge.refunded", charge("\"captured\":true,\"amount_captured\":1000,"
                                            "\"amount_refunded\":250,"));
    ck_assert_int_eq(event.fetch, 0);
    ck_assert_int_eq(event.facts.captured_minor, 1000);
    ck_assert_int_eq(event.facts.refund_count, 0);
    wire_expect_fetch("charge.refunded", charge("\"captured\":true,\"amount_captured\":1000,"
                                                "\"amount_refunded\":251,"));
    event = wire_tell("charge.refunded", charge("\"captured\":false,\"refunded\":true,"));
    ck_assert_int_eq(event.relevant, 0);
    ck_assert_int_eq(event.facts.refund_count, 0);
}
END_TEST

START_TEST(a_refund_of_another_payment_spoils_the_charge) {
    wire_expect_refused("charge.refunded",
                        charge(CAPTURED "\"amount_refunded\":500,\"refunds\":{\"object\":\"list\","
                                        "\"has_more\":false,\"data\":[{\"id\":\"re_1\","
                                        "\"object\":\"refund\"," FIVE "\"status\":\"succeeded\","
                                        "\"payment_intent\":\"pi_2\"}]},"));
}
END_TEST

/* ---- answers --------------------------------------------------------------------------------- */

START_TEST(the_answer_to_a_refund_tells_what_became_of_it) {
    static const struct {
        const char *status;
        int32_t outcome, state;
    } cases[] = {
        { "succeeded", CFA_OUTCOME_DONE, CFA_REFUND_SUCCEEDED },
        { "failed", CFA_OUTCOME_DONE, CFA_REFUND_FAILED },
        { "canceled", CFA_OUTCOME_DONE, CFA_REFUND_CANCELED },
        { "pending", CFA_OUTCOME_PENDING, CFA_REFUND_PENDING },
        { "requires_action", CFA_OUTCOME_PENDING, CFA_REFUND_REQUIRES_ACTION },
    };
    for (size_t i = 0; i < 2 * COUNT(cases); i++) {
        char members[256], body[2048];
        snprintf(members, sizeof members, FIVE OURS "\"status\":\"%s\",\"failure_reason\":%s,",
                 cases[i / 2].status,
                 cases[i / 2].state == CFA_REFUND_FAILED ? "\"lost_or_stolen_card\"" : "null");
        snprintf(body, sizeof body,
                 "{\"id\":\"re_1\",\"object\":\"refund\",%s"
                 "\"payment_intent\":%s}",
                 members,
                 i % 2 == 0 ? "\"pi_1\""
                            : wire_intent("\"status\":\"succeeded\",\"amount_received\":1250,"));
        peer_push_json(peer, 200, "", body);
        cfa_call call = wire_call(CFA_CALL_REFUND);
        call.refund_id = REFUND_ID;
        cfa_reply reply = wire_perform(call);
        ck_assert_int_eq(reply.outcome, cases[i / 2].outcome);
        ck_assert_str_eq(reply.facts.ref, "pi_1");
        ck_assert_int_eq(reply.facts.captured_minor, i % 2 == 0 ? 0 : 1250);
        ck_assert_ptr_null(reply.client_secret);
        const cfa_refund_facts *told = only_refund(&reply.facts);
        ck_assert_str_eq(told->ref, "re_1");
        ck_assert_str_eq(told->refund_id, REFUND_ID);
        ck_assert_int_eq(told->state, cases[i / 2].state);
        ck_assert_int_eq(told->amount.minor, 500);
        ck_assert_int_eq(told->occurred_us, DATE_US);
        ck_assert(reply.code == NULL || strcmp(reply.code, "lost_or_stolen_card") == 0);
        ck_assert_int_eq(reply.code != NULL, cases[i / 2].state == CFA_REFUND_FAILED);
    }
}
END_TEST

START_TEST(a_refund_in_a_status_of_tomorrow_was_made_and_goes_on) {
    peer_push_json(peer, 200, "", refund(FIVE OURS "\"status\":\"a_status_of_tomorrow\","));
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_REFUND));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_PENDING);
    ck_assert_str_eq(reply.facts.ref, "pi_1");
    ck_assert_int_eq(reply.facts.refund_count, 0);
}
END_TEST

START_TEST(an_answer_to_a_refund_that_cannot_be_read_is_in_doubt) {
    static const char *const broken[] = {
        "{\"id\":\"re_1\",\"object\":\"refund\",\"status\":\"succeeded\",\"amount\":5}",
        "{\"id\":\"re_1\",\"object\":\"refund\",\"status\":\"succeeded\",\"amount\":-5,"
        "\"currency\":\"eur\",\"payment_intent\":\"pi_1\"}",
        "{\"object\":\"refund\",\"status\":\"succeeded\"," FIVE "\"payment_intent\":\"pi_1\"}",
        "{\"id\":\"re_1\",\"object\":\"charge\",\"status\":\"succeeded\"," FIVE
        "\"payment_intent\":\"pi_1\"}",
        "{\"id\":\"re_1\",\"object\":\"refund\",\"status\":\"succeeded\"," FIVE
        "\"payment_intent\":{\"object\":\"payment_intent\",\"id\":\"pi_1\"}}",
    };
    for (size_t i = 0; i < COUNT(broken); i++) {
        peer_push_json(peer, 200, "", broken[i]);
        cfa_reply reply = wire_perform(wire_call(CFA_CALL_REFUND));
        ck_assert_msg(reply.outcome == CFA_OUTCOME_UNKNOWN, "%s", broken[i]);
        ck_assert_str_eq(reply.code, "unreadable_object");
        ck_assert_ptr_null(reply.facts.ref);
        ck_assert_int_eq(reply.facts.refund_count, 0);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stripe_refunds");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, wire_set_up, wire_tear_down);
    tcase_add_test(all, a_refunds_status_becomes_its_state_whatever_the_event);
    tcase_add_test(all, a_refund_that_was_asked_for_brings_its_id);
    tcase_add_test(all, a_refund_is_told_with_whatever_it_lacks);
    tcase_add_test(all, a_refund_names_its_intent_also_when_that_is_expanded);
    tcase_add_test(all, a_refund_of_no_intent_is_not_ours);
    tcase_add_test(all, amounts_of_refunds_are_in_our_minor_units);
    tcase_add_test(all, a_refund_that_cannot_be_read_is_refused);
    tcase_add_test(all, a_status_of_tomorrow_makes_no_state);
    tcase_add_test(all, the_release_of_an_expired_hold_is_no_refund);
    tcase_add_test(all, what_may_be_a_release_is_looked_at);
    tcase_add_test(all, a_refunded_charge_is_read_unless_it_brings_its_refunds);
    tcase_add_test(all, the_release_of_the_rest_of_a_hold_is_no_refund_of_the_charge);
    tcase_add_test(all, a_refund_of_another_payment_spoils_the_charge);
    tcase_add_test(all, the_answer_to_a_refund_tells_what_became_of_it);
    tcase_add_test(all, a_refund_in_a_status_of_tomorrow_was_made_and_goes_on);
    tcase_add_test(all, an_answer_to_a_refund_that_cannot_be_read_is_in_doubt);
    suite_add_tcase(suite, all);
    return wire_run(suite);
}
