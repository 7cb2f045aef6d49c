/*
 * test_play_refunds.c - refunds at the play provider: by a call and by hand, how they go on, and
 * what is told of them in answers, reads and webhooks.
 */
#include "support/play_desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US INT64_C(1000000)

/* ---- refunds by a call ----------------------------------------------------------------------- */

START_TEST(a_refund_is_told_by_answer_read_and_webhook) {
    const cfa_refund_facts *answered = desk_made(desk_refund("rfd_1", 500));
    ck_assert_str_eq(answered->refund_id, "rfd_1");
    ck_assert_int_eq(strncmp(answered->ref, "re_", 3), 0);
    ck_assert_int_eq(answered->amount.minor, 500);
    ck_assert_str_eq(answered->amount.currency, "EUR");
    ck_assert_int_eq(answered->state, CFA_REFUND_SUCCEEDED);
    ck_assert_ptr_null(answered->failure_code);

    cfa_facts facts = desk_retrieve();
    ck_assert_int_eq(facts.captured_minor, PAID_MINOR);
    ck_assert_int_eq(facts.refund_count, 1);
    ck_assert_str_eq(facts.refunds[0]->ref, answered->ref);
    ck_assert_str_eq(facts.refunds[0]->refund_id, "rfd_1");

    cfa_webhook_event event = desk_expect("refund.created");
    ck_assert_int_eq(event.facts.refund_count, 1);
    ck_assert_str_eq(event.facts.refunds[0]->ref, answered->ref);
    ck_assert_str_eq(event.facts.refunds[0]->refund_id, "rfd_1");
    ck_assert_int_eq(event.facts.refunds[0]->amount.minor, 500);
    ck_assert_str_eq(event.facts.refunds[0]->amount.currency, "EUR");
    ck_assert_int_eq(event.facts.refunds[0]->state, CFA_REFUND_SUCCEEDED);
    ck_assert_int_eq(event.facts.refunds[0]->occurred_us, answered->occurred_us);
    /* A refund is an object of its own and says nothing of its charge. */
    ck_assert_int_eq(event.facts.captured_minor, 0);
    ck_assert_uint_eq(event.facts.flags, 0);
    desk_expect_silence();
}
END_TEST

START_TEST(one_key_is_one_refund) {
    const cfa_refund_facts *first = desk_made(desk_refund("rfd_1", 500));
    cfa_reply again = desk_refund("rfd_1", 500);
    ck_assert_int_eq(again.stored, 1);
    ck_assert_str_eq(desk_made(again)->ref, first->ref);
    desk_refuse("rfd_1", 501, "idempotency_mismatch");
    ck_assert_int_eq(desk_books().refund_count, 1);
    ck_assert_int_eq(desk_books().refunded_twice, 0);
}
END_TEST

START_TEST(a_lost_reply_leaves_one_refund) {
    static const int32_t faults[] = { CFA_PLAY_FAULT_REPLY_LOST, CFA_PLAY_FAULT_REQUEST_LOST };
    for (size_t i = 0; i < 2; i++) {
        char id[16];
        snprintf(id, sizeof id, "rfd_%zu", i);
        ck_assert_int_eq(cfa_play_fault_next(desk.play, faults[i]), CFA_OK);
        cfa_reply lost = desk_refund(id, 100);
        ck_assert_int_eq(lost.outcome, CFA_OUTCOME_UNKNOWN);
        ck_assert_int_eq(lost.facts.refund_count, 0);
        ck_assert_int_eq(desk_retrieve().refund_count, 1);
        cfa_reply again = desk_refund(id, 100);
        ck_assert_str_eq(desk_made(again)->refund_id, id);
        ck_assert_int_eq(again.stored, faults[i] == CFA_PLAY_FAULT_REPLY_LOST);
        ck_assert_int_eq(desk_retrieve().refund_count, (int32_t)i + 1);
    }
}
END_TEST

START_TEST(errors_around_the_effect_never_refund_twice) {
    ck_assert_int_eq(cfa_play_fault_next(desk.play, CFA_PLAY_FAULT_ERROR_AFTER), CFA_OK);
    ck_assert_int_eq(desk_refund("rfd_1", 100).outcome, CFA_OUTCOME_UNKNOWN);
    cfa_reply again = desk_refund("rfd_1", 100);
    ck_assert_int_eq(again.outcome, CFA_OUTCOME_UNKNOWN);
    ck_assert_int_eq(again.stored, 1);
    ck_assert_int_eq(desk_retrieve().refund_count, 1);
    ck_assert_int_eq(cfa_play_fault_next(desk.play, CFA_PLAY_FAULT_ERROR_BEFORE), CFA_OK);
    ck_assert_int_eq(desk_refund("rfd_2", 100).outcome, CFA_OUTCOME_UNKNOWN);
    ck_assert_int_eq(desk_refund("rfd_2", 100).outcome, CFA_OUTCOME_UNKNOWN);
    ck_assert_int_eq(desk_retrieve().refund_count, 1);
    ck_assert_int_eq(cfa_play_fault_next(desk.play, CFA_PLAY_FAULT_NOT_SENT), CFA_OK);
    ck_assert_int_eq(desk_refund("rfd_3", 100).outcome, CFA_OUTCOME_NOT_SENT);
    desk_made(desk_refund("rfd_3", 100));
    ck_assert_int_eq(desk_retrieve().refund_count, 2);
}
END_TEST

START_TEST(refunds_never_exceed_what_was_captured) {
    desk_refuse("rfd_0", PAID_MINOR + 1, "amount_too_large");
    desk_made(desk_refund("rfd_1", 500));
    desk_made(desk_refund("rfd_2", 500));
    desk_refuse("rfd_3", 251, "amount_too_large");
    desk_made(desk_refund("rfd_4", 250));
    desk_refuse("rfd_5", 1, "charge_already_refunded");
    cfa_facts facts = desk_retrieve();
    ck_assert_int_eq(facts.refund_count, 3);
    ck_assert_str_eq(facts.refunds[0]->refund_id, "rfd_1");
    ck_assert_str_eq(facts.refunds[2]->refund_id, "rfd_4");
    ck_assert_str_ne(facts.refunds[0]->ref, facts.refunds[1]->ref);
    ck_assert_int_eq(desk_books().refund_count, 3);
}
END_TEST

START_TEST(a_part_that_was_captured_is_what_can_be_refunded) {
    desk_pay(1);
    desk_refuse("rfd_1", 100, "charge_not_captured");
    cfa_call capture = desk_call(CFA_CALL_CAPTURE, desk.paid, "capture");
    capture.amount.minor = 300;
    ck_assert_int_eq(desk_perform(capture).outcome, CFA_OUTCOME_DONE);
    /* What was held beyond that is released, which is no refund. */
    ck_assert_int_eq(desk_retrieve().refund_count, 0);
    desk_refuse("rfd_2", 301, "amount_too_large");
    desk_made(desk_refund("rfd_3", 300));
}
END_TEST

START_TEST(a_released_hold_is_no_refund) {
    desk_pay(1);
    ck_assert_int_eq(desk_perform(desk_call(CFA_CALL_CANCEL, desk.paid, "cancel")).outcome,
                     CFA_OUTCOME_DONE);
    cfa_webhook_event event = desk_expect("intent.canceled");
    ck_assert_int_eq(event.facts.refund_count, 0);
    desk_expect_silence();
    cfa_facts facts = desk_retrieve();
    ck_assert_uint_eq(facts.flags, CFA_FACT_CANCELED);
    ck_assert_int_eq(facts.refund_count, 0);
    desk_refuse("rfd_1", 100, "charge_not_captured");
}
END_TEST

START_TEST(refund_calls_are_checked) {
    const cfa_provider *provider = cfa_play_provider(desk.play);
    cfa_slice body = { NULL, 77 };
    cfa_call call = desk_call(CFA_CALL_REFUND, desk.paid, "k");
    ck_assert_int_eq(provider->ops->prepare(provider->self, &call, desk.arena, &body), CFA_EINVAL);
    call.refund_id = "rfd_1";
    call.ref = NULL;
    ck_assert_int_eq(provider->ops->prepare(provider->self, &call, desk.arena, &body), CFA_EINVAL);
    call.ref = "pi_none";
    call.amount.minor = 0;
    ck_assert_int_ne(provider->ops->prepare(provider->self, &call, desk.arena, &body), CFA_OK);
    ck_assert_uint_eq(body.size, 77);
    call.amount.minor = 100;
    ck_assert_str_eq(desk_perform(call).code, "resource_missing");
    call.ref = desk.paid;
    call.idempotency_key = "other";
    call.amount = (cfa_money){ 100, "USD" };
    ck_assert_str_eq(desk_perform(call).code, "currency_mismatch");
    call.idempotency_key = "account";
    call.account = "acct_other";
    call.amount = (cfa_money){ 100, "EUR" };
    ck_assert_str_eq(desk_perform(call).code, "resource_missing");
    ck_assert_int_eq(desk_books().refund_count, 0);
}
END_TEST

START_TEST(a_forgotten_key_refunds_a_second_time) {
    desk_made(desk_refund("rfd_1", 500));
    cfa_manual_clock_advance(desk.clock, 24 * 3600 * SECOND_US);
    desk_made(desk_refund("rfd_1", 500));
    ck_assert_int_eq(desk_books().refunded_twice, 1);
    cfa_manual_clock_advance(desk.clock, 24 * 3600 * SECOND_US);
    desk_made(desk_refund("rfd_1", 250));
    ck_assert_int_eq(desk_books().refunded_twice, 1);
    ck_assert_int_eq(desk_books().refund_count, 3);
}
END_TEST

START_TEST(refunds_are_bounded_in_number) {
    char id[16];
    for (int i = 0; i < CFA_REVERSALS_MAX; i++) {
        snprintf(id, sizeof id, "rfd_%d", i);
        desk_made(desk_refund(id, 1));
    }
    desk_refuse("rfd_last", 1, "too_many_refunds");
    ck_assert_int_eq(desk_retrieve().refund_count, CFA_REVERSALS_MAX);
}
END_TEST

/* ---- how refunds go on ----------------------------------------------------------------------- */

static cfa_status move(const char *ref, cfa_refund_state state) {
    cfa_play_refund_spec spec = CFA_PLAY_REFUND_SPEC_INIT;
    spec.ref = ref;
    spec.state = state;
    return cfa_play_refund(NULL, desk.play, &spec);
}

static void begin_as(cfa_refund_state state) {
    ck_assert_int_eq(cfa_play_refund_next(desk.play, state), CFA_OK);
}

START_TEST(scripted_refunds_begin_as_told_in_order) {
    begin_as(CFA_REFUND_PENDING);
    begin_as(CFA_REFUND_REQUIRES_ACTION);
    begin_as(CFA_REFUND_FAILED);
    desk_refuse("rfd_0", PAID_MINOR + 1, "amount_too_large"); /* takes nothing from the script */
    ck_assert_int_eq(desk_made(desk_refund("rfd_1", 100))->state, CFA_REFUND_PENDING);
    ck_assert_int_eq(desk_made(desk_refund("rfd_2", 100))->state, CFA_REFUND_REQUIRES_ACTION);
    cfa_reply failed = desk_refund("rfd_3", 100);
    ck_assert_int_eq(desk_made(failed)->state, CFA_REFUND_FAILED);
    ck_assert_str_eq(failed.code, "expired_or_canceled_card");
    ck_assert_str_eq(failed.facts.refunds[0]->failure_code, "expired_or_canceled_card");
    ck_assert_int_eq(desk_made(desk_refund("rfd_4", 100))->state, CFA_REFUND_SUCCEEDED);
    ck_assert_int_eq(cfa_play_refund_next(desk.play, CFA_REFUND_CANCELED), CFA_EINVAL);
    ck_assert_int_eq(cfa_play_refund_next(desk.play, CFA_REFUND_REQUESTED), CFA_EINVAL);
}
END_TEST

START_TEST(a_refund_goes_on_step_by_step) {
    begin_as(CFA_REFUND_PENDING);
    const cfa_refund_facts *pending = desk_made(desk_refund("rfd_1", PAID_MINOR));
    ck_assert_int_eq(move(pending->ref, CFA_REFUND_REQUIRES_ACTION), CFA_OK);
    ck_assert_int_eq(move(pending->ref, CFA_REFUND_PENDING), CFA_OK);
    ck_assert_int_eq(move(pending->ref, CFA_REFUND_PENDING), CFA_ESTATE);
    ck_assert_int_eq(move(pending->ref, CFA_REFUND_SUCCEEDED), CFA_OK);
    ck_assert_int_eq(move(pending->ref, CFA_REFUND_CANCELED), CFA_ESTATE);
    cfa_play_refund_spec failure = CFA_PLAY_REFUND_SPEC_INIT;
    failure.ref = pending->ref;
    failure.state = CFA_REFUND_FAILED;
    failure.failure_code = "lost_or_stolen_card";
    char ref[CFA_PLAY_REF_SIZE];
    ck_assert_int_eq(cfa_play_refund(ref, desk.play, &failure), CFA_OK);
    ck_assert_str_eq(ref, pending->ref);
    ck_assert_int_eq(move(pending->ref, CFA_REFUND_SUCCEEDED), CFA_ESTATE);

    static const struct {
        const char *type;
        cfa_refund_state state;
    } told[] = {
        { "refund.created", CFA_REFUND_PENDING }, { "refund.updated", CFA_REFUND_REQUIRES_ACTION },
        { "refund.updated", CFA_REFUND_PENDING }, { "refund.updated", CFA_REFUND_SUCCEEDED },
        { "refund.failed", CFA_REFUND_FAILED },
    };
    int64_t last_us = 0;
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        const cfa_refund_facts *event = desk_expect(told[i].type).facts.refunds[0];
        ck_assert_int_eq(event->state, told[i].state);
        ck_assert_int_gt(event->occurred_us, last_us);
        last_us = event->occurred_us;
        bool failed = told[i].state == CFA_REFUND_FAILED;
        ck_assert_str_eq(failed ? event->failure_code : "none",
                         failed ? "lost_or_stolen_card" : "none");
        ck_assert_int_eq(event->failure_code != NULL, failed);
    }
    desk_expect_silence();
    /* The answer of the call stays what it was; what failed can be given again. */
    ck_assert_int_eq(desk_made(desk_refund("rfd_1", PAID_MINOR))->state, CFA_REFUND_PENDING);
    desk_made(desk_refund("rfd_2", PAID_MINOR));
}
END_TEST

START_TEST(a_canceled_refund_gives_its_money_back) {
    begin_as(CFA_REFUND_REQUIRES_ACTION);
    const cfa_refund_facts *waiting = desk_made(desk_refund("rfd_1", PAID_MINOR));
    desk_refuse("rfd_2", 1, "charge_already_refunded");
    ck_assert_int_eq(move(waiting->ref, CFA_REFUND_CANCELED), CFA_OK);
    desk_made(desk_refund("rfd_3", PAID_MINOR));
    ck_assert_int_eq(desk_retrieve().refunds[0]->state, CFA_REFUND_CANCELED);
}
END_TEST

START_TEST(a_refund_by_hand_is_told_like_ours_without_our_id) {
    cfa_play_refund_spec spec = CFA_PLAY_REFUND_SPEC_INIT;
    char first[CFA_PLAY_REF_SIZE], rest[CFA_PLAY_REF_SIZE];
    spec.ref = desk.paid;
    spec.amount_minor = 250;
    spec.state = CFA_REFUND_PENDING;
    ck_assert_int_eq(cfa_play_refund(first, desk.play, &spec), CFA_OK);
    spec.amount_minor = 0;
    spec.state = 0;
    ck_assert_int_eq(cfa_play_refund(rest, desk.play, &spec), CFA_OK);
    cfa_webhook_event event = desk_expect("refund.created");
    ck_assert_str_eq(event.facts.refunds[0]->ref, first);
    ck_assert_ptr_null(event.facts.refunds[0]->refund_id);
    ck_assert_int_eq(event.facts.refunds[0]->state, CFA_REFUND_PENDING);
    event = desk_expect("refund.created");
    ck_assert_str_eq(event.facts.refunds[0]->ref, rest);
    ck_assert_int_eq(event.facts.refunds[0]->amount.minor, PAID_MINOR - 250);
    ck_assert_int_eq(cfa_play_refund(NULL, desk.play, &spec), CFA_ESTATE);
    desk_refuse("rfd_1", 1, "charge_already_refunded");
    ck_assert_int_eq(desk_books().refund_count, 2);
}
END_TEST

START_TEST(wrong_refunds_by_hand_are_refused) {
    cfa_play_refund_spec spec = CFA_PLAY_REFUND_SPEC_INIT;
    ck_assert_int_eq(cfa_play_refund(NULL, desk.play, &spec), CFA_EINVAL);
    spec.ref = "re_none";
    ck_assert_int_eq(cfa_play_refund(NULL, desk.play, &spec), CFA_ENOTFOUND);
    spec.ref = desk.paid;
    spec.amount_minor = PAID_MINOR + 1;
    ck_assert_int_eq(cfa_play_refund(NULL, desk.play, &spec), CFA_ERANGE);
    spec.amount_minor = -1;
    ck_assert_int_eq(cfa_play_refund(NULL, desk.play, &spec), CFA_EINVAL);
    spec.amount_minor = 0;
    spec.state = CFA_REFUND_REJECTED;
    ck_assert_int_eq(cfa_play_refund(NULL, desk.play, &spec), CFA_EINVAL);
    spec.state = CFA_REFUND_CANCELED;
    ck_assert_int_eq(cfa_play_refund(NULL, desk.play, &spec), CFA_ESTATE);
    spec.state = CFA_REFUND_FAILED;
    char code[65];
    memset(code, 'x', 64);
    code[64] = '\0';
    spec.failure_code = code;
    ck_assert_int_eq(cfa_play_refund(NULL, desk.play, &spec), CFA_ETOOLONG);
    code[63] = '\0';
    char ref[CFA_PLAY_REF_SIZE];
    ck_assert_int_eq(cfa_play_refund(ref, desk.play, &spec), CFA_OK);
    ck_assert_str_eq(desk_retrieve().refunds[0]->failure_code, code);
    spec.ref = ref;
    spec.amount_minor = 7;
    ck_assert_int_eq(cfa_play_refund(NULL, desk.play, &spec), CFA_EINVAL);
    spec.struct_size += 8;
    ck_assert_int_eq(cfa_play_refund(NULL, desk.play, &spec), CFA_EABI);
    ck_assert_int_eq(desk_books().refund_count, 1);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name, void (*before)(void)) {
    TCase *made = tcase_create(name);
    tcase_add_checked_fixture(made, before, desk_tear_down);
    suite_add_tcase(suite, made);
    return made;
}

int main(int argc, char **argv) {
    Suite *suite = suite_create("play_refunds");
    TCase *calls = add_case(suite, "calls", desk_set_up);
    tcase_add_test(calls, a_refund_is_told_by_answer_read_and_webhook);
    tcase_add_test(calls, one_key_is_one_refund);
    tcase_add_test(calls, a_lost_reply_leaves_one_refund);
    tcase_add_test(calls, errors_around_the_effect_never_refund_twice);
    tcase_add_test(calls, refunds_never_exceed_what_was_captured);
    tcase_add_test(calls, refund_calls_are_checked);
    tcase_add_test(calls, a_forgotten_key_refunds_a_second_time);
    tcase_add_test(calls, refunds_are_bounded_in_number);
    TCase *steps = add_case(suite, "steps", desk_set_up);
    tcase_add_test(steps, scripted_refunds_begin_as_told_in_order);
    tcase_add_test(steps, a_refund_goes_on_step_by_step);
    tcase_add_test(steps, a_canceled_refund_gives_its_money_back);
    tcase_add_test(steps, a_refund_by_hand_is_told_like_ours_without_our_id);
    tcase_add_test(steps, wrong_refunds_by_hand_are_refused);
    TCase *held = add_case(suite, "held", desk_set_up_unpaid);
    tcase_add_test(held, a_part_that_was_captured_is_what_can_be_refunded);
    tcase_add_test(held, a_released_hold_is_no_refund);
    SRunner *runner = srunner_create(suite);
    srunner_run(runner, NULL, argc > 1 ? argv[1] : NULL, CK_NORMAL);
    int failed = srunner_ntests_failed(runner), run = srunner_ntests_run(runner);
    srunner_free(runner);
    return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
