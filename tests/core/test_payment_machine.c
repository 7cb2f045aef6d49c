/*
 * test_payment_machine.c - every rule of the table by name, and that the table has no other steps.
 * What is refused is in test_payment_facts.c, orders and exhaustive domains are in
 * test_payment_orders.c.
 */
#include "core/payment_facts.h"

#include <stdlib.h>
#include <string.h>

static cfa_arena *arena;
static cfa__payment payment;
static cfa__reduction reduction;

static void setup(void) {
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    payment = payment_new();
}

static void teardown(void) { cfa_arena_free(arena); }

static void apply(cfa_facts facts) { reduction = payment_apply(&payment, &facts, arena); }

#define ck_walk(expected) ck_assert_str_eq(walk_text(&reduction), expected)
#define ck_state(expected) ck_assert_str_eq(state_name((cfa_payment_state)payment.state), expected)

static void ck_buckets(int64_t pledged, int64_t authorized, int64_t raised) {
    cfa__buckets buckets = cfa__payment_buckets(&payment);
    ck_assert_int_eq(buckets.pledged_minor, pledged);
    ck_assert_int_eq(buckets.authorized_minor, authorized);
    ck_assert_int_eq(buckets.raised_minor, raised);
    ck_assert_int_eq(buckets.refunded_minor, 0);
    ck_assert_int_eq(buckets.disputed_minor, 0);
}

static void needs_action(int32_t attempt, int64_t time_us) {
    apply(FACTS(.flags = CFA_FACT_NEEDS_ACTION, .attempt = attempt, .occurred_us = time_us));
}

static void processing(int32_t attempt, int64_t time_us) {
    apply(FACTS(.flags = CFA_FACT_PROCESSING, .attempt = attempt, .occurred_us = time_us));
}

static void failed(int32_t attempt, int64_t time_us) {
    apply(FACTS(.flags = CFA_FACT_FAILED, .attempt = attempt, .occurred_us = time_us,
                .failure_code = "card_declined"));
}

static void authorized(int64_t minor) { apply(FACTS(.authorized_minor = minor)); }

static void captured(int64_t minor) { apply(FACTS(.captured_minor = minor)); }

static void succeeded(void) {
    apply(FACTS(.flags = CFA_FACT_SUCCEEDED, .captured_minor = ASKED_MINOR));
}

static void canceled(const char *reason) {
    apply(FACTS(.flags = CFA_FACT_CANCELED, .occurred_us = 50, .cancel_reason = reason));
}

/* ---- the rules ------------------------------------------------------------------------------- */

START_TEST(p01_a_payment_begins_pending_and_nowhere_else) {
    ck_assert(cfa__payment_step_is_legal(0, CFA_PAYMENT_PENDING));
    for (cfa_payment_state to = CFA_PAYMENT_REQUIRES_ACTION; to <= CFA_PAYMENT_EXPIRED; to++)
        ck_assert(!cfa__payment_step_is_legal(0, to));
    ck_state("PENDING");
    ck_buckets(1000, 0, 0);
}
END_TEST

START_TEST(p02_the_donor_must_act) {
    needs_action(1, 10);
    ck_walk("P02 REQUIRES_ACTION");
    ck_assert_int_eq(reduction.steps[0].event, CFA__EVENT_PAYMENT_ACTION_REQUIRED);
    ck_buckets(1000, 0, 0);
}
END_TEST

START_TEST(p02_follows_processing_and_a_failure_of_the_same_attempt) {
    processing(1, 10);
    needs_action(1, 20);
    ck_walk("P02 REQUIRES_ACTION");
    failed(1, 30);
    needs_action(0, 40);
    ck_walk("P02 REQUIRES_ACTION");
    ck_assert_uint_eq(payment.failure_code.size, 0);
}
END_TEST

START_TEST(p03_the_provider_works_on_it) {
    processing(1, 10);
    ck_walk("P03 PROCESSING");
    needs_action(1, 20);
    processing(1, 30);
    ck_walk("P03 PROCESSING");
    failed(1, 40);
    processing(1, 50);
    ck_walk("P03 PROCESSING");
    ck_buckets(1000, 0, 0);
}
END_TEST

START_TEST(p04_funds_held_move_from_pledged_to_authorized) {
    authorized(1000);
    ck_walk("P04 AUTHORIZED");
    ck_buckets(0, 1000, 0);
}
END_TEST

START_TEST(p04_a_greater_hold_is_a_step_of_its_own) {
    authorized(400);
    ck_buckets(0, 400, 0);
    authorized(1000);
    ck_walk("P04 AUTHORIZED");
    ck_buckets(0, 1000, 0);
    authorized(700);
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_STALE);
    ck_buckets(0, 1000, 0);
}
END_TEST

START_TEST(p05_capture_moves_from_authorized_to_raised) {
    authorized(1000);
    captured(600);
    ck_walk("P05 CAPTURED");
    ck_buckets(0, 0, 600);
}
END_TEST

START_TEST(p05_a_greater_capture_is_a_step_of_its_own) {
    authorized(1000);
    captured(300);
    captured(600);
    ck_walk("P05 CAPTURED");
    ck_buckets(0, 0, 600);
    apply(FACTS(.flags = CFA_FACT_SUCCEEDED, .captured_minor = 600));
    captured(1000);
    ck_walk("P05 COMPLETED");
    ck_assert_int_eq(reduction.steps[0].event, CFA__EVENT_PAYMENT_CAPTURED);
    ck_buckets(0, 0, 1000);
}
END_TEST

START_TEST(p06_capture_seen_first_implies_the_hold) {
    captured(1000);
    ck_walk("P04~AUTHORIZED P06 CAPTURED");
    ck_assert_int_eq(reduction.steps[0].event, CFA__EVENT_PAYMENT_AUTHORIZED);
    ck_assert_int_eq(reduction.steps[1].event, CFA__EVENT_PAYMENT_CAPTURED);
    ck_assert_int_eq(cfa__payment_authorized_minor(&payment), 1000);
    payment.state = CFA_PAYMENT_AUTHORIZED; /* as the event of the implied step shows it */
    ck_buckets(0, 1000, 0);
    payment.state = CFA_PAYMENT_CAPTURED;
    authorized(1000);
    ck_assert_int_eq(reduction.step_count, 0);
    ck_state("CAPTURED");
}
END_TEST

START_TEST(p07_success_after_capture) {
    captured(1000);
    succeeded();
    ck_walk("P07 COMPLETED");
    ck_buckets(0, 0, 1000);
}
END_TEST

START_TEST(p08_success_seen_first_implies_the_rest) {
    processing(1, 10);
    succeeded();
    ck_walk("P04~AUTHORIZED P05~CAPTURED P08 COMPLETED");
    ck_buckets(0, 0, 1000);
    ck_assert_int_eq(reduction.notices[0].event, 0);
}
END_TEST

START_TEST(p08_success_without_an_amount_means_in_full) {
    authorized(1000);
    apply(FACTS(.flags = CFA_FACT_SUCCEEDED));
    ck_walk("P05~CAPTURED P08 COMPLETED");
    ck_buckets(0, 0, 1000);
}
END_TEST

START_TEST(p09_a_decline_is_soft) {
    processing(1, 10);
    failed(1, 20);
    ck_walk("P09 FAILED");
    ck_buckets(0, 0, 0);
    ck_assert_uint_eq(payment.failure_code.size, strlen("card_declined"));
    ck_assert(cfa__payment_is_settled((cfa_payment_state)payment.state));
    ck_assert(!cfa__payment_is_final((cfa_payment_state)payment.state));
}
END_TEST

START_TEST(p10_a_hold_that_failed_ends_authorized) {
    authorized(1000);
    apply(FACTS(.flags = CFA_FACT_FAILED, .authorized_minor = 1000, .attempt = 1, .occurred_us = 20,
                .failure_code = "capture_refused"));
    ck_walk("P10 FAILED");
    ck_buckets(0, 0, 0);
    authorized(1000);
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_STALE);
    ck_state("FAILED");
}
END_TEST

START_TEST(p10_never_follows_from_a_plain_decline) {
    apply(FACTS(.authorized_minor = 1000, .attempt = 2));
    failed(1, 90);
    ck_assert_int_eq(reduction.step_count, 0);
    failed(2, 99);
    ck_assert_int_eq(reduction.step_count, 0);
    ck_state("AUTHORIZED");
}
END_TEST

START_TEST(p10_a_newer_attempt_can_hold_again) {
    authorized(1000);
    apply(
        FACTS(.flags = CFA_FACT_FAILED, .authorized_minor = 1000, .attempt = 1, .occurred_us = 20));
    needs_action(2, 30);
    ck_walk("P11~PENDING P02 REQUIRES_ACTION");
    apply(FACTS(.authorized_minor = 1000, .attempt = 2));
    ck_walk("P04 AUTHORIZED");
    ck_buckets(0, 1000, 0);
}
END_TEST

START_TEST(p11_a_newer_attempt_after_a_failure) {
    failed(1, 10);
    apply(FACTS(.attempt = 2));
    ck_walk("P11 PENDING");
    ck_assert_int_eq(reduction.steps[0].event, CFA__EVENT_PAYMENT_RETRIED);
    ck_buckets(1000, 0, 0);
    failed(1, 99);
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_STALE);
    ck_state("PENDING");
}
END_TEST

START_TEST(p11_is_implied_when_the_attempt_has_gone_further) {
    failed(1, 10);
    needs_action(2, 20);
    ck_walk("P11~PENDING P02 REQUIRES_ACTION");
    failed(2, 30);
    failed(3, 40);
    ck_walk("P11~PENDING P09 FAILED");
    apply(FACTS(.flags = CFA_FACT_SUCCEEDED, .captured_minor = 1000, .attempt = 4));
    ck_walk("P11~PENDING P04~AUTHORIZED P05~CAPTURED P08 COMPLETED");
    ck_assert_int_eq(reduction.notices[0].event, 0);
}
END_TEST

START_TEST(p12_the_provider_confirmed_a_cancel) {
    needs_action(1, 10);
    canceled("requested_by_customer");
    ck_walk("P12 CANCELED");
    ck_buckets(0, 0, 0);
    payment = payment_new();
    authorized(1000);
    canceled(NULL);
    ck_walk("P12 CANCELED");
    ck_buckets(0, 0, 0);
    payment = payment_new();
    failed(1, 10);
    apply(FACTS(.flags = CFA_FACT_CANCELED, .attempt = 2));
    ck_walk("P12 CANCELED");
}
END_TEST

START_TEST(p12_a_hold_named_by_the_cancel_is_implied) {
    apply(
        FACTS(.flags = CFA_FACT_CANCELED, .authorized_minor = 1000, .cancel_reason = "duplicate"));
    ck_walk("P04~AUTHORIZED P12 CANCELED");
}
END_TEST

START_TEST(p13_a_hold_that_ran_out_is_expired) {
    authorized(1000);
    canceled("automatic");
    ck_walk("P13 EXPIRED");
    ck_buckets(0, 0, 0);
    payment = payment_new();
    authorized(1000);
    apply(FACTS(.flags = CFA_FACT_EXPIRED));
    ck_walk("P13 EXPIRED");
}
END_TEST

START_TEST(p13_an_expiry_refines_a_plain_cancel_and_not_the_reverse) {
    canceled("requested_by_customer");
    canceled("expired");
    ck_walk("P13 EXPIRED");
    ck_assert_uint_eq(payment.cancel_reason.size, strlen("expired"));
    canceled("a_smaller_text");
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_STALE);
    ck_state("EXPIRED");
}
END_TEST

START_TEST(p14_an_abandoned_offer_is_expired) {
    failed(1, 10);
    canceled("abandoned");
    ck_walk("P14 EXPIRED");
    payment = payment_new();
    canceled("abandoned");
    ck_walk("P14 EXPIRED");
    ck_buckets(0, 0, 0);
}
END_TEST

START_TEST(p15_money_after_a_decline_of_the_same_attempt) {
    failed(1, 10);
    captured(1000);
    ck_walk("P04~AUTHORIZED P15 CAPTURED");
    ck_assert_int_eq(reduction.notices[0].event, CFA__EVENT_PAYMENT_LATE_SUCCESS);
    ck_assert_int_eq(payment.flags, 0);
    payment = payment_new();
    failed(1, 10);
    succeeded();
    ck_walk("P04~AUTHORIZED P05~CAPTURED P15 COMPLETED");
    ck_assert_int_eq(reduction.notices[0].event, CFA__EVENT_PAYMENT_LATE_SUCCESS);
    ck_buckets(0, 0, 1000);
}
END_TEST

START_TEST(p16_money_after_a_cancel_counts_and_is_said_aloud) {
    canceled("requested_by_customer");
    captured(1000);
    ck_walk("P16 CAPTURED");
    ck_assert_int_eq(reduction.notices[0].event, CFA__EVENT_PAYMENT_LATE_SUCCESS);
    ck_assert_int_eq(payment.flags, CFA_PAYMENT_FLAG_LATE);
    ck_buckets(0, 0, 1000);
    succeeded();
    ck_walk("P07 COMPLETED");
    ck_assert_int_eq(reduction.notices[0].event, 0);
}
END_TEST

START_TEST(p16_success_after_expiry) {
    canceled("expired");
    succeeded();
    ck_walk("P16~CAPTURED P16 COMPLETED");
    ck_assert_int_eq(reduction.notices[0].event, CFA__EVENT_PAYMENT_LATE_SUCCESS);
}
END_TEST

START_TEST(p16_a_cancel_that_arrives_after_the_money_is_said_aloud_once_too) {
    succeeded();
    canceled("requested_by_customer");
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_APPLIED);
    ck_assert_int_eq(reduction.notices[0].event, CFA__EVENT_PAYMENT_LATE_SUCCESS);
    ck_assert_int_eq(payment.flags, CFA_PAYMENT_FLAG_LATE);
    ck_assert_int_eq(reduction.step_count, 0);
    canceled("duplicate");
    ck_assert_int_eq(reduction.notices[0].event, 0);
    ck_state("COMPLETED");
}
END_TEST

START_TEST(p17_lower_and_older_facts_are_stale) {
    succeeded();
    apply(FACTS(.captured_minor = 400));
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_STALE);
    payment = payment_new();
    processing(2, 20);
    processing(2, 10);
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_STALE);
    failed(1, 30);
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_STALE);
    ck_state("PROCESSING");
}
END_TEST

START_TEST(p18_the_same_facts_again_are_stale) {
    cfa_facts facts =
        FACTS(.ref = "pi_1", .amount = { 1000, "EUR" }, .authorized_minor = 1000, .attempt = 2);
    apply(facts);
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_APPLIED);
    apply(facts);
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_STALE);
    ck_assert(!reduction.probe);
}
END_TEST

START_TEST(p19_another_amount_or_currency_is_quarantined) {
    const cfa_facts refused[] = {
        FACTS(.amount = { 999, "EUR" }, .flags = CFA_FACT_SUCCEEDED, .ref = "pi_1"),
        FACTS(.amount = { 1000, "USD" }, .captured_minor = 1000),
        FACTS(.amount = { 0, "USD" }, .captured_minor = 1000),
        FACTS(.captured_minor = 1001),
        FACTS(.authorized_minor = 1001),
        FACTS(.captured_minor = -1),
        FACTS(.authorized_minor = INT64_MIN),
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        payment = payment_new();
        apply(refused[i]);
        ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_QUARANTINED);
        ck_assert_int_eq(reduction.notices[0].event, CFA__EVENT_PAYMENT_CONFLICT);
        ck_assert_int_eq(payment.flags, CFA_PAYMENT_FLAG_CONFLICT);
        ck_assert_ptr_null(payment.ref.data);
        ck_assert_int_eq(payment.captured_minor + payment.authorized_minor, 0);
        ck_state("PENDING");
        apply(refused[i]);
        ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_QUARANTINED);
        ck_assert_int_eq(reduction.notices[0].event, 0);
        succeeded();
        ck_state("COMPLETED");
        ck_assert_int_eq(payment.flags, CFA_PAYMENT_FLAG_CONFLICT);
    }
}
END_TEST

START_TEST(p19_a_capture_above_the_hold_counts_and_conflicts_in_both_orders) {
    authorized(300);
    captured(500);
    ck_walk("P05 CAPTURED");
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_APPLIED);
    ck_assert_int_eq(reduction.notices[0].event, CFA__EVENT_PAYMENT_CONFLICT);
    ck_assert_ptr_nonnull(reduction.reason);
    ck_buckets(0, 0, 500);
    cfa__payment first = payment;

    payment = payment_new();
    captured(500);
    ck_assert_int_eq(payment.flags, 0);
    authorized(300);
    ck_assert_int_eq(reduction.notices[0].event, CFA__EVENT_PAYMENT_CONFLICT);
    ck_assert(payment_equals(&first, &payment));

    authorized(600);
    ck_assert_int_eq(payment.flags, 0);
    ck_assert_int_eq(reduction.notices[0].event, 0);
}
END_TEST

START_TEST(p20_p21_the_unknown_flag_is_the_callers) {
    payment.flags = CFA_PAYMENT_FLAG_UNKNOWN | CFA_PAYMENT_FLAG_SETTLED;
    succeeded();
    apply(FACTS(.amount = { 1, "EUR" }));
    ck_assert_int_eq(payment.flags, CFA_PAYMENT_FLAG_UNKNOWN | CFA_PAYMENT_FLAG_SETTLED |
                                        CFA_PAYMENT_FLAG_CONFLICT);
}
END_TEST

/* ---- what the table forbids ------------------------------------------------------------------ */

START_TEST(only_the_steps_of_the_table_are_legal) {
    /* Rows: from none, PENDING, ... EXPIRED. Columns: to PENDING, ... EXPIRED. */
    static const char *const legal[] = {
        "X........", ".XXX..XXX", "X.XX..XXX", "XX.X..XXX", "...XX.XXX",
        "....XX...", ".....X...", "XXXX...XX", "....X...X", "....X....",
    };
    for (cfa_payment_state from = 0; from <= CFA_PAYMENT_EXPIRED; from++) {
        for (cfa_payment_state to = CFA_PAYMENT_PENDING; to <= CFA_PAYMENT_EXPIRED; to++)
            ck_assert_msg(cfa__payment_step_is_legal(from, to) == (legal[from][to - 1] == 'X'),
                          "%s to %s", state_name(from), state_name(to));
    }
    ck_assert(!cfa__payment_step_is_legal(-1, 1));
    ck_assert(!cfa__payment_step_is_legal(1, 0));
    ck_assert(!cfa__payment_step_is_legal(10, 1));
    ck_assert(!cfa__payment_step_is_legal(1, 10));
}
END_TEST

START_TEST(no_two_rules_claim_the_same_step) {
    size_t count;
    const cfa__payment_rule *rules = cfa__payment_rules(&count);
    for (size_t i = 0; i < count; i++) {
        ck_assert(rules[i].event == 0 || cfa__event_type_name(rules[i].event) != NULL);
        if (i > 0) /* the machine's own, then those of late money */
            ck_assert(rules[i - 1].id[0] == rules[i].id[0]
                          ? strcmp(rules[i - 1].id, rules[i].id) <= 0
                          : rules[i - 1].id[0] == 'P' && rules[i].id[0] == 'L');
        for (size_t k = i + 1; k < count; k++)
            ck_assert_msg(rules[i].to != rules[k].to || (rules[i].from & rules[k].from) == 0 ||
                              (rules[i].last & rules[k].last) == 0,
                          "%s and %s", rules[i].id, rules[k].id);
    }
}
END_TEST

static Suite *payment_machine_suite(void) {
    Suite *suite = suite_create("payment_machine");
    TCase *rules = tcase_create("rules");
    tcase_add_checked_fixture(rules, setup, teardown);
    tcase_add_test(rules, p01_a_payment_begins_pending_and_nowhere_else);
    tcase_add_test(rules, p02_the_donor_must_act);
    tcase_add_test(rules, p02_follows_processing_and_a_failure_of_the_same_attempt);
    tcase_add_test(rules, p03_the_provider_works_on_it);
    tcase_add_test(rules, p04_funds_held_move_from_pledged_to_authorized);
    tcase_add_test(rules, p04_a_greater_hold_is_a_step_of_its_own);
    tcase_add_test(rules, p05_capture_moves_from_authorized_to_raised);
    tcase_add_test(rules, p05_a_greater_capture_is_a_step_of_its_own);
    tcase_add_test(rules, p06_capture_seen_first_implies_the_hold);
    tcase_add_test(rules, p07_success_after_capture);
    tcase_add_test(rules, p08_success_seen_first_implies_the_rest);
    tcase_add_test(rules, p08_success_without_an_amount_means_in_full);
    tcase_add_test(rules, p09_a_decline_is_soft);
    tcase_add_test(rules, p10_a_hold_that_failed_ends_authorized);
    tcase_add_test(rules, p10_never_follows_from_a_plain_decline);
    tcase_add_test(rules, p10_a_newer_attempt_can_hold_again);
    tcase_add_test(rules, p11_a_newer_attempt_after_a_failure);
    tcase_add_test(rules, p11_is_implied_when_the_attempt_has_gone_further);
    tcase_add_test(rules, p12_the_provider_confirmed_a_cancel);
    tcase_add_test(rules, p12_a_hold_named_by_the_cancel_is_implied);
    tcase_add_test(rules, p13_a_hold_that_ran_out_is_expired);
    tcase_add_test(rules, p13_an_expiry_refines_a_plain_cancel_and_not_the_reverse);
    tcase_add_test(rules, p14_an_abandoned_offer_is_expired);
    tcase_add_test(rules, p15_money_after_a_decline_of_the_same_attempt);
    tcase_add_test(rules, p16_money_after_a_cancel_counts_and_is_said_aloud);
    tcase_add_test(rules, p16_success_after_expiry);
    tcase_add_test(rules, p16_a_cancel_that_arrives_after_the_money_is_said_aloud_once_too);
    tcase_add_test(rules, p17_lower_and_older_facts_are_stale);
    tcase_add_test(rules, p18_the_same_facts_again_are_stale);
    tcase_add_test(rules, p19_another_amount_or_currency_is_quarantined);
    tcase_add_test(rules, p19_a_capture_above_the_hold_counts_and_conflicts_in_both_orders);
    tcase_add_test(rules, p20_p21_the_unknown_flag_is_the_callers);
    suite_add_tcase(suite, rules);

    TCase *table = tcase_create("table");
    tcase_add_test(table, only_the_steps_of_the_table_are_legal);
    tcase_add_test(table, no_two_rules_claim_the_same_step);
    suite_add_tcase(suite, table);
    return suite;
}

/* An argument names the one case to run. */
int main(int argc, char **argv) {
    SRunner *runner = srunner_create(payment_machine_suite());
    srunner_run(runner, NULL, argc > 1 ? argv[1] : NULL, CK_NORMAL);
    bool good = srunner_ntests_failed(runner) == 0 && srunner_ntests_run(runner) > 0;
    srunner_free(runner);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
