/*
 * test_play_disputes.c - disputes, fees and fraud warnings at the play provider, and what is told
 * of them; reads, malformed webhooks and lack of memory for all that goes back.
 */
#include "support/play_desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- disputes -------------------------------------------------------------------------------- */

static cfa_play_dispute_spec on(const char *ref) {
    cfa_play_dispute_spec spec = CFA_PLAY_DISPUTE_SPEC_INIT;
    spec.ref = ref;
    return spec;
}

static void dispute(cfa_play_dispute_spec spec, char *out_ref) {
    ck_assert_int_eq(cfa_play_dispute(out_ref, desk.play, &spec), CFA_OK);
}

static const cfa_dispute_facts *expect_dispute(const char *type, cfa_dispute_state state,
                                               int64_t withdrawn_minor, int64_t reinstated_minor) {
    cfa_webhook_event event = desk_expect(type);
    ck_assert_int_eq(event.facts.dispute_count, 1);
    ck_assert_int_eq(event.facts.refund_count, 0);
    ck_assert_int_eq(event.facts.captured_minor, 0);
    const cfa_dispute_facts *told = event.facts.disputes[0];
    ck_assert_int_eq(told->state, state);
    ck_assert_int_eq(told->withdrawn_minor, withdrawn_minor);
    ck_assert_int_eq(told->reinstated_minor, reinstated_minor);
    ck_assert_str_eq(told->amount.currency, "EUR");
    return told;
}

START_TEST(a_dispute_is_told_change_by_change) {
    char ref[CFA_PLAY_REF_SIZE];
    cfa_play_dispute_spec spec = on(desk.paid);
    spec.withdrawn_minor = PAID_MINOR;
    spec.reason = "fraudulent";
    spec.evidence_due_us = 77;
    dispute(spec, ref);
    ck_assert_int_eq(strncmp(ref, "dp_", 3), 0);
    spec = on(ref);
    spec.state = CFA_DISPUTE_UNDER_REVIEW;
    dispute(spec, NULL);
    spec.state = CFA_DISPUTE_WON;
    spec.reinstated_minor = PAID_MINOR;
    dispute(spec, NULL);
    spec = on(ref);
    spec.fee = (cfa_money){ 2000, "USD" };
    dispute(spec, NULL);

    const cfa_dispute_facts *told = expect_dispute("dispute.created", CFA_DISPUTE_OPEN, 0, 0);
    ck_assert_str_eq(told->ref, ref);
    ck_assert_str_eq(told->reason, "fraudulent");
    ck_assert_int_eq(told->evidence_due_us, 77);
    ck_assert_int_eq(told->amount.minor, PAID_MINOR);
    expect_dispute("dispute.funds_withdrawn", CFA_DISPUTE_OPEN, PAID_MINOR, 0);
    expect_dispute("dispute.updated", CFA_DISPUTE_UNDER_REVIEW, PAID_MINOR, 0);
    expect_dispute("dispute.closed", CFA_DISPUTE_WON, PAID_MINOR, 0);
    told = expect_dispute("dispute.funds_reinstated", CFA_DISPUTE_WON, PAID_MINOR, PAID_MINOR);
    ck_assert_str_eq(told->fee.currency, "");
    told = expect_dispute("dispute.updated", CFA_DISPUTE_WON, PAID_MINOR, PAID_MINOR);
    ck_assert_int_eq(told->fee.minor, 2000);
    ck_assert_str_eq(told->fee.currency, "USD");
    desk_expect_silence();
    cfa_facts facts = desk_retrieve();
    ck_assert_int_eq(facts.dispute_count, 1);
    ck_assert_int_eq(facts.disputes[0]->fee.minor, 2000);
    ck_assert_int_eq(facts.disputes[0]->reinstated_minor, PAID_MINOR);
}
END_TEST

START_TEST(an_inquiry_ends_or_becomes_a_dispute) {
    char ref[CFA_PLAY_REF_SIZE];
    cfa_play_dispute_spec spec = on(desk.paid);
    spec.state = CFA_DISPUTE_INQUIRY;
    dispute(spec, ref);
    desk_made(desk_refund("rfd_1", 100)); /* an inquiry holds nothing */
    spec = on(ref);
    spec.state = CFA_DISPUTE_INQUIRY_CLOSED;
    dispute(spec, NULL);
    spec.state = CFA_DISPUTE_OPEN;
    dispute(spec, NULL);
    spec.state = CFA_DISPUTE_PREVENTED;
    dispute(spec, NULL);
    expect_dispute("dispute.created", CFA_DISPUTE_INQUIRY, 0, 0);
    desk_expect("refund.created");
    expect_dispute("dispute.closed", CFA_DISPUTE_INQUIRY_CLOSED, 0, 0);
    expect_dispute("dispute.updated", CFA_DISPUTE_OPEN, 0, 0);
    expect_dispute("dispute.closed", CFA_DISPUTE_PREVENTED, 0, 0);
    desk_expect_silence();
    spec.state = CFA_DISPUTE_LOST;
    ck_assert_int_eq(cfa_play_dispute(NULL, desk.play, &spec), CFA_ESTATE);
}
END_TEST

START_TEST(what_is_disputed_cannot_be_refunded) {
    char ref[CFA_PLAY_REF_SIZE];
    desk_made(desk_refund("rfd_1", 250));
    cfa_play_dispute_spec spec = on(desk.paid);
    spec.amount_minor = 700;
    dispute(spec, ref);
    desk_refuse("rfd_2", 301, "charge_disputed");
    desk_made(desk_refund("rfd_3", 100));
    spec = on(ref);
    spec.withdrawn_minor = 700;
    spec.state = CFA_DISPUTE_LOST;
    dispute(spec, NULL);
    desk_refuse("rfd_4", 201, "charge_disputed");
    desk_made(desk_refund("rfd_5", 200));
    desk_refuse("rfd_6", 1, "charge_disputed");
    cfa_play_refund_spec by_hand = CFA_PLAY_REFUND_SPEC_INIT;
    by_hand.ref = desk.paid;
    ck_assert_int_eq(cfa_play_refund(NULL, desk.play, &by_hand), CFA_ESTATE);
}
END_TEST

START_TEST(what_a_dispute_did_not_keep_can_be_refunded) {
    char ref[CFA_PLAY_REF_SIZE];
    cfa_play_dispute_spec spec = on(desk.paid);
    dispute(spec, ref);
    desk_refuse("rfd_1", 1, "charge_disputed");
    spec = on(ref);
    spec.state = CFA_DISPUTE_LOST; /* decided against us, and no money moved */
    dispute(spec, NULL);
    desk_made(desk_refund("rfd_2", 50));

    spec = on(desk.paid);
    spec.withdrawn_minor = 1200;
    dispute(spec, ref);
    spec = on(ref);
    spec.state = CFA_DISPUTE_WON;
    dispute(spec, NULL);
    desk_refuse("rfd_3", 1, "charge_disputed"); /* won, and the money is not back yet */
    spec = on(ref);
    spec.reinstated_minor = 1200;
    dispute(spec, NULL);
    desk_made(desk_refund("rfd_4", 1200));
}
END_TEST

START_TEST(a_bank_can_take_what_was_given_back) {
    desk_made(desk_refund("rfd_1", PAID_MINOR));
    cfa_play_dispute_spec spec = on(desk.paid);
    spec.withdrawn_minor = PAID_MINOR;
    dispute(spec, NULL);
    cfa_facts facts = desk_retrieve();
    ck_assert_int_eq(facts.refunds[0]->amount.minor + facts.disputes[0]->withdrawn_minor,
                     2 * PAID_MINOR);
}
END_TEST

START_TEST(a_second_round_is_another_dispute) {
    char first[CFA_PLAY_REF_SIZE], second[CFA_PLAY_REF_SIZE];
    cfa_play_dispute_spec spec = on(desk.paid);
    spec.amount_minor = 600;
    dispute(spec, first);
    spec = on(first);
    spec.state = CFA_DISPUTE_WON;
    dispute(spec, NULL);
    spec.state = CFA_DISPUTE_OPEN;
    ck_assert_int_eq(cfa_play_dispute(NULL, desk.play, &spec), CFA_ESTATE);
    spec = on(desk.paid);
    spec.amount_minor = 600;
    dispute(spec, second);
    ck_assert_str_ne(first, second);
    cfa_facts facts = desk_retrieve();
    ck_assert_int_eq(facts.dispute_count, 2);
    ck_assert_str_eq(facts.disputes[0]->ref, first);
    ck_assert_str_eq(facts.disputes[1]->ref, second);
    ck_assert_int_eq(desk_books().dispute_count, 2);
}
END_TEST

static void refuse_dispute(cfa_play_dispute_spec spec, cfa_status status) {
    ck_assert_int_eq(cfa_play_dispute(NULL, desk.play, &spec), status);
}

START_TEST(impossible_disputes_are_refused) {
    refuse_dispute(on(NULL), CFA_EINVAL);
    refuse_dispute(on("dp_none"), CFA_ENOTFOUND);
    cfa_play_dispute_spec spec = on(desk.paid);
    spec.amount_minor = PAID_MINOR + 1;
    refuse_dispute(spec, CFA_ERANGE);
    spec.amount_minor = 500;
    spec.withdrawn_minor = 501;
    refuse_dispute(spec, CFA_ERANGE);
    spec.withdrawn_minor = 100;
    spec.reinstated_minor = 101;
    refuse_dispute(spec, CFA_ERANGE);
    spec.reinstated_minor = -1;
    refuse_dispute(spec, CFA_EINVAL);
    spec.reinstated_minor = 0;
    spec.state = CFA_DISPUTE_LOST;
    refuse_dispute(spec, CFA_ESTATE);
    spec.state = 8;
    refuse_dispute(spec, CFA_EINVAL);
    spec.state = 0;
    spec.fee = (cfa_money){ 100, "nix" };
    refuse_dispute(spec, CFA_ECURRENCY);
    ck_assert_int_eq(desk_books().dispute_count, 0);
    desk_expect_silence();

    char ref[CFA_PLAY_REF_SIZE];
    spec.fee = (cfa_money){ 1500, "EUR" };
    dispute(spec, ref);
    refuse_dispute(on(ref), CFA_ESTATE);
    spec = on(ref);
    spec.withdrawn_minor = 99;
    refuse_dispute(spec, CFA_ERANGE);
    spec.withdrawn_minor = 0;
    spec.fee = (cfa_money){ 1499, "EUR" };
    refuse_dispute(spec, CFA_ERANGE);
    spec.fee = (cfa_money){ 1600, "USD" };
    refuse_dispute(spec, CFA_ERANGE);
    spec.fee.minor = 0;
    spec.amount_minor = 501;
    refuse_dispute(spec, CFA_EINVAL);
    spec.amount_minor = 0;
    spec.reason = "other";
    refuse_dispute(spec, CFA_EINVAL);
}
END_TEST

START_TEST(what_was_not_captured_cannot_be_disputed) {
    cfa_reply held = desk_pay(1);
    refuse_dispute(on(held.facts.ref), CFA_ESTATE);
    ck_assert_int_eq(cfa_play_fraud_warning(desk.play, held.facts.ref), CFA_ESTATE);
    ck_assert_int_eq(cfa_play_fee(desk.play, held.facts.ref, (cfa_money){ 30, "EUR" }), CFA_ESTATE);
    desk_expect_silence();
}
END_TEST

/* ---- fees and warnings ----------------------------------------------------------------------- */

START_TEST(a_fee_becomes_known_once_and_late) {
    cfa_facts facts = desk_retrieve();
    ck_assert_int_eq(facts.fee.minor, 0);
    ck_assert_str_eq(facts.fee.currency, "");
    ck_assert_int_eq(cfa_play_fee(desk.play, desk.paid, (cfa_money){ 0, "EUR" }), CFA_ERANGE);
    ck_assert_int_eq(cfa_play_fee(desk.play, "pi_none", (cfa_money){ 30, "USD" }), CFA_ENOTFOUND);
    ck_assert_int_eq(cfa_play_fee(desk.play, desk.paid, (cfa_money){ 30, "USD" }), CFA_OK);
    ck_assert_int_eq(cfa_play_fee(desk.play, desk.paid, (cfa_money){ 30, "USD" }), CFA_ESTATE);
    cfa_webhook_event event = desk_expect("charge.updated");
    ck_assert_int_eq(event.facts.fee.minor, 30);
    ck_assert_str_eq(event.facts.fee.currency, "USD");
    ck_assert_int_eq(event.facts.captured_minor, PAID_MINOR);
    desk_expect_silence();
    ck_assert_int_eq(desk_retrieve().fee.minor, 30);
}
END_TEST

START_TEST(a_fraud_warning_says_no_more_than_itself) {
    ck_assert_int_eq(cfa_play_fraud_warning(desk.play, NULL), CFA_ENOTFOUND);
    ck_assert_int_eq(cfa_play_fraud_warning(desk.play, desk.paid), CFA_OK);
    ck_assert_int_eq(cfa_play_fraud_warning(desk.play, desk.paid), CFA_ESTATE);
    cfa_webhook_event event = desk_expect("fraud_warning.created");
    ck_assert_uint_eq(event.facts.flags, CFA_FACT_FRAUD_WARNING);
    ck_assert_int_eq(event.facts.captured_minor, 0);
    desk_expect_silence();
    ck_assert_uint_eq(desk_retrieve().flags, CFA_FACT_SUCCEEDED | CFA_FACT_FRAUD_WARNING);
}
END_TEST

/* ---- reads and webhooks ---------------------------------------------------------------------- */

START_TEST(reads_and_books_name_everything) {
    desk_made(desk_refund("rfd_1", 100));
    cfa_play_dispute_spec spec = on(desk.paid);
    spec.amount_minor = 200;
    dispute(spec, NULL);
    ck_assert_uint_ne(
        cfa_play_provider(desk.play)->ops->capabilities & CFA_PROVIDER_READS_REVERSALS, 0);
    cfa_facts looked_up = desk_perform(desk_call(CFA_CALL_LOOKUP, NULL, NULL)).facts, booked;
    int64_t charges;
    ck_assert_int_eq(cfa_play_payment(&booked, &charges, desk.play, "pay_1", desk.arena), CFA_OK);
    const cfa_facts *const all[] = { &looked_up, &booked };
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(all[i]->refund_count, 1);
        ck_assert_str_eq(all[i]->refunds[0]->refund_id, "rfd_1");
        ck_assert_int_eq(all[i]->dispute_count, 1);
        ck_assert_int_eq(all[i]->disputes[0]->amount.minor, 200);
    }
    ck_assert_int_eq(charges, 1);
    /* Nor is anything named like another thing but for its kind. */
    ck_assert_str_ne(booked.refunds[0]->ref + 3, booked.disputes[0]->ref + 3);
    ck_assert_str_ne(booked.refunds[0]->ref + 3, booked.ref + 3);
}
END_TEST

START_TEST(malformed_reversals_are_invalid) {
    static const char *const data[] = {
        "\"refunds\":[7]",
        "\"refunds\":[{}]",
        "\"refunds\":[{\"ref\":\"r\",\"amount_minor\":1,\"currency\":\"EUR\",\"state\":"
        "\"rejected\","
        "\"occurred_us\":1}]",
        "\"refunds\":[{\"ref\":\"r\",\"amount_minor\":1,\"currency\":\"EUR\",\"state\":\"\","
        "\"occurred_us\":1}]",
        "\"refunds\":[{\"ref\":\"r\",\"amount_minor\":-1,\"currency\":\"EUR\","
        "\"state\":\"pending\",\"occurred_us\":1}]",
        "\"refunds\":[{\"ref\":\"r\",\"amount_minor\":1,\"state\":\"pending\",\"occurred_us\":1}]",
        "\"disputes\":[{\"ref\":\"d\",\"amount_minor\":1,\"currency\":\"EUR\",\"state\":\"open\","
        "\"withdrawn_minor\":0.5,\"reinstated_minor\":0,\"evidence_due_us\":0,\"occurred_us\":1}]",
        "\"disputes\":[{\"ref\":\"d\",\"amount_minor\":1,\"currency\":\"EUR\",\"state\":\"shut\","
        "\"withdrawn_minor\":0,\"reinstated_minor\":0,\"evidence_due_us\":0,\"occurred_us\":1}]",
        "\"fee_minor\":3",
    };
    const cfa_provider *provider = cfa_play_provider(desk.play);
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++) {
        char body[700], *signature;
        snprintf(body, sizeof body,
                 "{\"id\":\"e\",\"type\":\"refund.updated\",\"livemode\":false,\"data\":{"
                 "\"ref\":\"r\",\"amount_minor\":12,\"currency\":\"EUR\",\"flags\":[],"
                 "\"authorized_minor\":0,\"captured_minor\":0,\"attempt\":0,\"occurred_us\":1,%s}}",
                 data[i]);
        int64_t now_us = cfa_manual_clock_now_us(desk.clock);
        ck_assert_int_eq(cfa_play_sign(&signature, desk.play, desk_slice(body), now_us), CFA_OK);
        cfa_webhook_event event;
        ck_assert_msg(provider->ops->webhook(provider->self, desk_slice(signature),
                                             desk_slice(body), now_us, desk.arena,
                                             &event) == CFA_EINVAL,
                      "%s", body);
        cfa_free(signature);
    }
}
END_TEST

START_TEST(reversals_ride_through_rough_weather) {
    cfa_play_weather weather = CFA_PLAY_WEATHER_INIT;
    weather.webhook_duplicated_ppm = 1000000;
    weather.webhook_reordered_ppm = 500000;
    ck_assert_int_eq(cfa_play_weather_set(desk.play, &weather), CFA_OK);
    for (int i = 0; i < 40; i++) {
        char id[16];
        snprintf(id, sizeof id, "rfd_%d", i);
        desk_made(desk_refund(id, 10));
        cfa_play_dispute_spec spec = on(desk.paid);
        spec.amount_minor = 10;
        spec.withdrawn_minor = 10;
        dispute(spec, NULL);
    }
    cfa_webhook_event event;
    int refunds = 0, created = 0, withdrawn = 0;
    while (desk_next_event(&event)) {
        refunds += strcmp(event.event_type, "refund.created") == 0;
        created += strcmp(event.event_type, "dispute.created") == 0;
        withdrawn += strcmp(event.event_type, "dispute.funds_withdrawn") == 0;
    }
    ck_assert_int_eq(refunds, 80);
    ck_assert_int_eq(created, 80);
    ck_assert_int_eq(withdrawn, 80);
}
END_TEST

/* ---- memory ---------------------------------------------------------------------------------- */

static int64_t allocations_left;

static bool may_allocate(void) { return allocations_left-- > 0; }

static void *failing_allocate(void *user, size_t size) {
    (void)user;
    return may_allocate() ? malloc(size) : NULL;
}

static void *failing_reallocate(void *user, void *memory, size_t size) {
    (void)user;
    return may_allocate() ? realloc(memory, size) : NULL;
}

static void release(void *user, void *memory) {
    (void)user;
    free(memory);
}

/* A refund, a dispute, a read and a webhook with at most `allowed` allocations; true when none was
 * refused. */
static bool give_back_within(int64_t allowed) {
    const cfa_provider *provider = cfa_play_provider(desk.play);
    cfa_call call = desk_call(CFA_CALL_REFUND, desk.paid, "k");
    call.refund_id = "rfd_1";
    ck_assert_int_eq(provider->ops->prepare(provider->self, &call, desk.arena, &call.body), CFA_OK);
    cfa_call read = desk_call(CFA_CALL_RETRIEVE, desk.paid, NULL);
    cfa_reply reply, told;
    cfa_play_dispute_spec spec = on(desk.paid);
    char *signature = NULL, *body = NULL;
    cfa_webhook_event event;
    cfa_status verified = CFA_OK;
    allocations_left = allowed;
    provider->ops->call(provider->self, &call, desk.arena, &reply);
    cfa_status disputed = cfa_play_dispute(NULL, desk.play, &spec);
    provider->ops->call(provider->self, &read, desk.arena, &told);
    cfa_status taken = cfa_play_webhook_take(&signature, &body, desk.play);
    if (body != NULL) {
        verified = provider->ops->webhook(provider->self, desk_slice(signature), desk_slice(body),
                                          cfa_manual_clock_now_us(desk.clock), desk.arena, &event);
    }
    bool enough = allocations_left >= 0;
    allocations_left = INT64_MAX;
    cfa_free(signature);
    cfa_free(body);
    ck_assert_int_ne(reply.outcome, CFA_OUTCOME_REFUSED);
    ck_assert(told.outcome == CFA_OUTCOME_DONE || told.outcome == CFA_OUTCOME_UNKNOWN);
    ck_assert(disputed == CFA_OK || disputed == CFA_ENOMEM);
    ck_assert(taken == CFA_OK || taken == CFA_ENOMEM);
    ck_assert(verified == CFA_OK || verified == CFA_ENOMEM);
    cfa_facts facts = desk_retrieve();
    ck_assert_int_eq(facts.dispute_count, disputed == CFA_OK);
    ck_assert(reply.outcome != CFA_OUTCOME_DONE || facts.refund_count == 1);
    ck_assert(reply.outcome != CFA_OUTCOME_NOT_SENT || facts.refund_count == 0);
    return enough;
}

START_TEST(any_failed_allocation_leaves_the_books_right) {
    desk_tear_down();
    allocations_left = INT64_MAX;
    const cfa_allocator failing = { sizeof failing, NULL, failing_allocate, failing_reallocate,
                                    release };
    ck_assert_int_eq(cfa_allocator_set(&failing), CFA_OK);
    bool enough = false;
    for (int64_t allowed = 0; !enough; allowed++) {
        ck_assert_int_lt(allowed, 1000);
        desk_set_up();
        enough = give_back_within(allowed);
        desk_tear_down();
    }
    ck_assert_int_eq(cfa_allocator_set(NULL), CFA_OK);
    desk_set_up();
}
END_TEST

static TCase *add_case(Suite *suite, const char *name, void (*before)(void)) {
    TCase *made = tcase_create(name);
    tcase_add_checked_fixture(made, before, desk_tear_down);
    suite_add_tcase(suite, made);
    return made;
}

int main(int argc, char **argv) {
    Suite *suite = suite_create("play_disputes");
    TCase *disputes = add_case(suite, "disputes", desk_set_up);
    tcase_add_test(disputes, a_dispute_is_told_change_by_change);
    tcase_add_test(disputes, an_inquiry_ends_or_becomes_a_dispute);
    tcase_add_test(disputes, what_is_disputed_cannot_be_refunded);
    tcase_add_test(disputes, what_a_dispute_did_not_keep_can_be_refunded);
    tcase_add_test(disputes, a_bank_can_take_what_was_given_back);
    tcase_add_test(disputes, a_second_round_is_another_dispute);
    tcase_add_test(disputes, impossible_disputes_are_refused);
    tcase_add_test(disputes, a_fee_becomes_known_once_and_late);
    tcase_add_test(disputes, a_fraud_warning_says_no_more_than_itself);
    tcase_add_test(disputes, reads_and_books_name_everything);
    tcase_add_test(disputes, malformed_reversals_are_invalid);
    tcase_add_test(disputes, reversals_ride_through_rough_weather);
    TCase *held = add_case(suite, "held", desk_set_up_unpaid);
    tcase_add_test(held, what_was_not_captured_cannot_be_disputed);
    TCase *memory = add_case(suite, "memory", desk_set_up);
    tcase_add_test(memory, any_failed_allocation_leaves_the_books_right);
    SRunner *runner = srunner_create(suite);
    srunner_run(runner, NULL, argc > 1 ? argv[1] : NULL, CK_NORMAL);
    int failed = srunner_ntests_failed(runner), run = srunner_ntests_run(runner);
    srunner_free(runner);
    return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
