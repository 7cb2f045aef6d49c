/*
 * test_payment_facts.c - facts one by one: what contradicts, what ties, whose memory text is, and
 * that a failed allocation changes nothing.
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

static void volatile_at(uint32_t flag, int32_t attempt, int64_t time_us) {
    apply(FACTS(.flags = flag, .attempt = attempt, .occurred_us = time_us));
}

static void succeeded(void) {
    apply(FACTS(.flags = CFA_FACT_SUCCEEDED, .captured_minor = ASKED_MINOR));
}

static void canceled_at(int64_t time_us) {
    apply(FACTS(.flags = CFA_FACT_CANCELED, .occurred_us = time_us, .cancel_reason = "duplicate"));
}

/* ---- contradictions -------------------------------------------------------------------------- */

START_TEST(a_new_hold_after_the_cancel_contradicts_it) {
    canceled_at(50);
    apply(FACTS(.authorized_minor = 1000, .occurred_us = 51));
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_CONTRADICTION);
    ck_assert_int_eq(payment.state, CFA_PAYMENT_CANCELED);
    apply(FACTS(.authorized_minor = 1000, .occurred_us = 51));
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_STALE);
    apply(FACTS(.captured_minor = 1000, .authorized_minor = 1000, .occurred_us = 60));
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_APPLIED);
}
END_TEST

START_TEST(a_hold_that_need_not_be_newer_than_the_cancel_is_only_late) {
    const cfa_facts late[] = {
        FACTS(.authorized_minor = 1000, .occurred_us = 50),
        FACTS(.authorized_minor = 1000),
        FACTS(.authorized_minor = 1000, .occurred_us = 99, .flags = CFA_FACT_CANCELED),
        FACTS(.authorized_minor = 1000, .occurred_us = 99, .flags = CFA_FACT_FAILED),
    };
    for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
        payment = payment_new();
        canceled_at(50);
        apply(late[i]);
        ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_APPLIED);
        ck_assert_int_eq(payment.state, CFA_PAYMENT_CANCELED);
    }
    payment = payment_new();
    canceled_at(0);
    apply(FACTS(.authorized_minor = 1000, .occurred_us = 99));
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_APPLIED);
}
END_TEST

START_TEST(facts_about_another_provider_object_are_quarantined) {
    apply(FACTS(.ref = "pi_1"));
    apply(FACTS(.ref = "pi_2", .flags = CFA_FACT_SUCCEEDED));
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_QUARANTINED);
    ck_assert_int_eq(reduction.notices[0].event, CFA__EVENT_PAYMENT_CONFLICT);
    ck_assert_int_eq(payment.captured_minor, 0);
    succeeded();
    ck_assert_mem_eq(payment.ref.data, "pi_1", 5);
    ck_assert_int_eq(payment.state, CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(payment.flags, CFA_PAYMENT_FLAG_CONFLICT);
}
END_TEST

START_TEST(a_report_that_says_nothing_is_stale) {
    apply(FACTS(.amount = { 1000, "EUR" }, .attempt = 1, .occurred_us = 5));
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_STALE);
}
END_TEST

/* ---- volatile facts and text ----------------------------------------------------------------- */

START_TEST(a_tie_in_provider_time_is_ranked_and_probed) {
    volatile_at(CFA_FACT_PROCESSING, 1, 10);
    volatile_at(CFA_FACT_NEEDS_ACTION, 1, 10);
    ck_assert_str_eq(walk_text(&reduction), "P02 REQUIRES_ACTION");
    ck_assert(reduction.probe);
    volatile_at(CFA_FACT_FAILED, 1, 10);
    ck_assert(reduction.probe);
    volatile_at(CFA_FACT_PROCESSING, 1, 10);
    ck_assert(reduction.probe);
    ck_assert_int_eq(reduction.verdict, CFA_WEBHOOK_STALE);
    ck_assert_int_eq(payment.state, CFA_PAYMENT_FAILED);
    volatile_at(CFA_FACT_FAILED, 1, 10);
    ck_assert(!reduction.probe);
}
END_TEST

START_TEST(a_tie_is_not_probed_when_money_has_decided) {
    succeeded();
    volatile_at(CFA_FACT_PROCESSING, 1, 10);
    volatile_at(CFA_FACT_FAILED, 1, 10);
    ck_assert(!reduction.probe);
}
END_TEST

START_TEST(text_is_the_arenas_and_empty_text_is_none) {
    char ref[] = "pi_1", code[] = "card_declined", reason[] = "duplicate", empty[] = "";
    apply(FACTS(.ref = empty, .flags = CFA_FACT_FAILED, .failure_code = empty));
    ck_assert_ptr_null(payment.ref.data);
    ck_assert_ptr_null(payment.failure_code.data);
    apply(FACTS(.ref = ref, .flags = CFA_FACT_FAILED | CFA_FACT_CANCELED, .failure_code = code,
                .cancel_reason = reason, .occurred_us = 5));
    memset(ref, 'x', sizeof(ref));
    memset(code, 'x', sizeof(code));
    memset(reason, 'x', sizeof(reason));
    ck_assert_mem_eq(payment.ref.data, "pi_1", 5);
    ck_assert_mem_eq(payment.failure_code.data, "card_declined", 14);
    ck_assert_mem_eq(payment.cancel_reason.data, "duplicate", 10);
}
END_TEST

static void *refuse_allocate(void *user, size_t size) {
    (void)user;
    (void)size;
    return NULL;
}

static void *refuse_reallocate(void *user, void *memory, size_t size) {
    (void)user;
    (void)memory;
    (void)size;
    return NULL;
}

static void release_memory(void *user, void *memory) {
    (void)user;
    free(memory);
}

START_TEST(out_of_memory_leaves_the_payment_untouched) {
    static char code[200000];
    memset(code, 'c', sizeof(code) - 1);
    cfa_facts facts = FACTS(.ref = "pi_1", .flags = CFA_FACT_FAILED, .failure_code = code);
    cfa__payment before = payment;
    cfa__reduction untouched = { .step_count = 77 };

    cfa_allocator refusing = { sizeof(refusing), NULL, refuse_allocate, refuse_reallocate,
                               release_memory };
    ck_assert_int_eq(cfa_allocator_set(&refusing), CFA_OK);
    cfa_status status = cfa__payment_reduce(&payment, &facts, arena, &untouched);
    ck_assert_int_eq(cfa_allocator_set(NULL), CFA_OK);

    ck_assert_int_eq(status, CFA_ENOMEM);
    ck_assert(payment_equals(&before, &payment));
    ck_assert_int_eq(untouched.step_count, 77);
}
END_TEST

START_TEST(every_event_type_has_a_name_and_no_other_number_has) {
    ck_assert_str_eq(cfa__event_type_name(CFA__EVENT_PLEDGE_CREATED),
                     "org.careforall.pledge.created.v1");
    ck_assert_str_eq(cfa__event_type_name(CFA__EVENT_PAYMENT_OUTCOME_RESOLVED),
                     "org.careforall.payment.outcome_resolved.v1");
    ck_assert_ptr_null(cfa__event_type_name(0));
    ck_assert_ptr_null(cfa__event_type_name(-1));
    ck_assert_ptr_null(cfa__event_type_name(19));
}
END_TEST

static Suite *payment_facts_suite(void) {
    Suite *suite = suite_create("payment_facts");
    TCase *facts = tcase_create("facts");
    tcase_add_checked_fixture(facts, setup, teardown);
    tcase_add_test(facts, a_new_hold_after_the_cancel_contradicts_it);
    tcase_add_test(facts, a_hold_that_need_not_be_newer_than_the_cancel_is_only_late);
    tcase_add_test(facts, facts_about_another_provider_object_are_quarantined);
    tcase_add_test(facts, a_report_that_says_nothing_is_stale);
    tcase_add_test(facts, a_tie_in_provider_time_is_ranked_and_probed);
    tcase_add_test(facts, a_tie_is_not_probed_when_money_has_decided);
    tcase_add_test(facts, text_is_the_arenas_and_empty_text_is_none);
    tcase_add_test(facts, out_of_memory_leaves_the_payment_untouched);
    tcase_add_test(facts, every_event_type_has_a_name_and_no_other_number_has);
    suite_add_tcase(suite, facts);
    return suite;
}

/* An argument names the one case to run. */
int main(int argc, char **argv) {
    SRunner *runner = srunner_create(payment_facts_suite());
    srunner_run(runner, NULL, argc > 1 ? argv[1] : NULL, CK_NORMAL);
    bool good = srunner_ntests_failed(runner) == 0 && srunner_ntests_run(runner) > 0;
    srunner_free(runner);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
