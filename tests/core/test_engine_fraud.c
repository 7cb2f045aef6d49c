/*
 * test_engine_fraud.c - an early fraud warning under the engine's rule: what is left goes back, once,
 * whichever was known first, and never beside a dispute.
 */
#include "core/hooked.h"

#include <careforall/dispute.h>
#include <careforall/refund.h>
#include <stdio.h>
#include <string.h>

static struct book book;
static cfa_pledge *pledge;

static void open_book(int store, int32_t rule) {
    book_prepare(&book, store);
    book.options.fraud_rule = rule;
    book_start(&book);
    pledge = pledge_make(&book, "gift", 1000);
}

static const char *payment_id(void) { return cfa_pledge_payment_id(pledge); }

static const char *provider_ref(void) {
    static char ref[64];
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book.engine, payment_id()), CFA_OK);
    snprintf(ref, sizeof ref, "%s", cfa_payment_ref(payment));
    cfa_payment_free(payment);
    return ref;
}

static void deliver(void) {
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(cfa_play_deliver(NULL, book.play, book.engine, 0), CFA_OK);
        book_advance(&book, SECOND_US); /* until somebody looks for calls that are due */
        book_settle(&book);
    }
}

static void warn(void) {
    ck_assert_int_eq(cfa_play_fraud_warning(book.play, provider_ref()), CFA_OK);
    deliver();
}

static void tell(const char *event_id, uint32_t flags) {
    cfa_webhook_event event = { .struct_size = sizeof event,
                                .event_id = event_id,
                                .event_type = "test",
                                .account = "",
                                .relevant = 1,
                                .facts = CFA_FACTS_INIT };
    event.facts.ref = provider_ref();
    event.facts.flags = flags;
    cfa_webhook_verdict verdict;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &event, PATIENCE_MS), CFA_OK);
}

static void close_whole(int64_t refunds, int64_t refunded, int64_t disputed) {
    deliver();
    cfa_totals_row totals = totals_of(&book);
    ck_assert_int_eq(totals.raised_minor, 1000);
    ck_assert_int_eq(totals.refunded_minor, refunded);
    ck_assert_int_eq(totals.disputed_minor, disputed);
    ck_assert_int_eq(rows_of(&book, "refund"), refunds);
    ck_assert_uint_eq(flags_of(book.engine, pledge), CFA_PAYMENT_FLAG_FRAUD_WARNING);
    ck_assert_int_eq(play_books_of(&book).refunded_twice, 0);
    audit(&book);
    cfa_pledge_free(pledge);
    book_close(&book);
}

/* The payment's newest refund. */
static void expect_refund(int64_t minor) {
    cfa_refund_list *list;
    ck_assert_int_eq(cfa_refund_list_of(&list, book.engine, payment_id()), CFA_OK);
    const cfa_refund *refund = cfa_refund_list_at(list, cfa_refund_list_size(list) - 1);
    ck_assert_int_eq(cfa_refund_origin_of(refund), CFA_REFUND_FRAUD);
    ck_assert_int_eq(cfa_refund_state_of(refund), CFA_REFUND_SUCCEEDED);
    ck_assert_int_eq(cfa_refund_amount(refund).minor, minor);
    cfa_refund_list_free(list);
}

START_TEST(without_the_rule_a_person_decides) {
    open_book(_i, CFA_FRAUD_FLAG);
    pledge_pay(&book, pledge);
    warn();
    close_whole(0, 0, 0);
}
END_TEST

START_TEST(what_is_suspected_goes_back_once) {
    open_book(_i, CFA_FRAUD_REFUND);
    pledge_pay(&book, pledge);
    int64_t acts = rows_of(&book, "act");
    warn();
    expect_refund(1000);
    tell("evt_again", CFA_FACT_FRAUD_WARNING);
    ck_assert_int_eq(rows_of(&book, "act"), acts); /* nobody asked */
    close_whole(1, 1000, 0);
}
END_TEST

START_TEST(a_warning_before_the_money_counts_as_well) {
    open_book(_i, CFA_FRAUD_REFUND);
    tell("evt_early", CFA_FACT_FRAUD_WARNING);
    ck_assert_int_eq(rows_of(&book, "refund"), 0);
    pledge_pay(&book, pledge);
    deliver();
    expect_refund(1000);
    close_whole(1, 1000, 0);
}
END_TEST

START_TEST(only_what_is_left_goes_back) {
    open_book(_i, CFA_FRAUD_REFUND);
    pledge_pay(&book, pledge);
    cfa_refund *refund;
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    spec.key = "a-part";
    spec.payment_id = payment_id();
    spec.amount = (cfa_money){ 300, "EUR" };
    spec.timeout_ms = PATIENCE_MS;
    ck_assert_int_eq(cfa_refund_create(&refund, book.engine, &spec), CFA_OK);
    cfa_refund_free(refund);
    book_advance(&book, SECOND_US);
    warn();
    expect_refund(700);
    close_whole(2, 1000, 0);
}
END_TEST

START_TEST(nothing_goes_back_beside_a_dispute) {
    open_book(_i % STORES, CFA_FRAUD_REFUND);
    bool takes = _i / STORES == 1;
    pledge_pay(&book, pledge);
    cfa_play_dispute_spec spec = CFA_PLAY_DISPUTE_SPEC_INIT;
    spec.ref = provider_ref();
    spec.state = takes ? CFA_DISPUTE_OPEN : CFA_DISPUTE_INQUIRY;
    spec.withdrawn_minor = takes ? 1000 : 0;
    ck_assert_int_eq(cfa_play_dispute(NULL, book.play, &spec), CFA_OK);
    deliver();
    warn();
    close_whole(0, 0, takes ? 1000 : 0);
}
END_TEST

START_TEST(a_refund_that_failed_is_not_made_again) {
    open_book(_i, CFA_FRAUD_REFUND);
    pledge_pay(&book, pledge);
    ck_assert_int_eq(cfa_play_refund_next(book.play, CFA_REFUND_FAILED), CFA_OK);
    warn();
    tell("evt_again", CFA_FACT_FRAUD_WARNING);
    close_whole(1, 0, 0);
}
END_TEST

START_TEST(a_rule_that_is_none_is_refused) {
    cfa_engine *engine = NULL;
    book_prepare(&book, STORE_MEMORY);
    book_start(&book);
    cfa_engine_options options = book.options;
    options.fraud_rule = 2;
    expect_error(cfa_engine_open(&engine, &options), CFA_EINVAL, "fraud_rule");
    ck_assert_ptr_null(engine);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine fraud");
    add_per_store(suite, "flag", without_the_rule_a_person_decides);
    add_per_store(suite, "once", what_is_suspected_goes_back_once);
    add_per_store(suite, "early", a_warning_before_the_money_counts_as_well);
    add_per_store(suite, "left", only_what_is_left_goes_back);
    TCase *disputes = tcase_create("dispute");
    tcase_add_loop_test(disputes, nothing_goes_back_beside_a_dispute, 0, 2 * STORES);
    suite_add_tcase(suite, disputes);
    add_per_store(suite, "failed", a_refund_that_failed_is_not_made_again);
    add_once(suite, "range", a_rule_that_is_none_is_refused);
    return run_suite(suite, argc, argv);
}
