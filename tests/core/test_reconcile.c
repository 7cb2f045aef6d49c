/*
 * test_reconcile.c - our books against the play provider's record: nothing where they agree, each
 * difference by its code, and a repair that only tells what the provider says, once.
 */
#include "support/book.h"

#include <stdio.h>
#include <string.h>

#define GIFTS 3

static struct book book;
static cfa_pledge *pledges[GIFTS];

/* The record: what the provider knows of each payment, as a test changes it. */
static struct record {
    cfa_arena *arena;
    int at, count;
    cfa_reconcile_object objects[GIFTS + 1];
} record;

static cfa_status next_object(void *self, cfa_reconcile_object *out) {
    struct record *from = self;
    if (from->at == from->count) {
        from->at = 0;
        return CFA_ENOTFOUND;
    }
    *out = from->objects[from->at++];
    return CFA_OK;
}

static void take_record(void) {
    record.at = 0;
    record.count = GIFTS;
    for (int i = 0; i < GIFTS; i++) {
        int64_t charges;
        cfa_reconcile_object *object = &record.objects[i];
        memset(object, 0, sizeof *object);
        object->struct_size = sizeof *object;
        object->whole = 1;
        object->livemode = -1;
        object->refunded_minor = -1;
        object->line = i + 1;
        ck_assert_int_eq(cfa_play_payment(&object->facts, &charges, book.play,
                                          cfa_pledge_payment_id(pledges[i]), record.arena),
                         CFA_OK);
    }
}

static cfa_reconcile_spec spec_of(void) {
    cfa_reconcile_spec spec = CFA_RECONCILE_SPEC_INIT;
    spec.next = next_object;
    spec.next_self = &record;
    spec.from_us = 1;
    spec.until_us = INT64_C(1) << 60;
    return spec;
}

static void open_paid(int store) {
    static const char *const keys[GIFTS] = { "one", "two", "three" };
    book_open(&book, store);
    ck_assert_int_eq(cfa_arena_new(&record.arena), CFA_OK);
    for (int i = 0; i < GIFTS; i++) {
        pledges[i] = pledge_make(&book, keys[i], 1000);
        if (cfa_pledge_state(pledges[i]) != CFA_PAYMENT_COMPLETED)
            pledge_pay(&book, pledges[i]);
    }
    take_record();
}

static void close_sound(void) {
    audit(&book);
    for (int i = 0; i < GIFTS; i++)
        cfa_pledge_free(pledges[i]);
    cfa_arena_free(record.arena);
    book_close(&book);
}

/* Drop every webhook that the provider would send. */
static void lose_webhooks(void) {
    char *signature, *body;
    do {
        ck_assert_int_eq(cfa_play_webhook_take(&signature, &body, book.play), CFA_OK);
        bool more = body != NULL;
        cfa_free(signature);
        cfa_free(body);
        if (!more)
            return;
    } while (true);
}

static cfa_reconciliation *compared(void) {
    cfa_reconciliation *report = NULL;
    cfa_reconcile_spec spec = spec_of();
    cfa_status status = cfa_reconcile_engine(&report, book.engine, &spec);
    ck_assert_msg(status == CFA_OK, "%s", last_error()->message);
    return report;
}

static void expect_clean(void) {
    cfa_reconciliation *report = compared();
    ck_assert_msg(cfa_reconciliation_differences(report) == 0, "%s",
                  cfa_reconciliation_text(report));
    ck_assert_int_eq(cfa_reconciliation_objects(report), record.count);
    cfa_reconciliation_free(report);
}

/* Expect one difference and no other. */
static void expect_one(const char *code, const char *kind, const char *field, const char *expected,
                       const char *found, bool repairable) {
    cfa_reconciliation *report = compared();
    const char *text = cfa_reconciliation_text(report);
    ck_assert_msg(cfa_reconciliation_differences(report) == 1, "%s", text);
    ck_assert_int_eq(cfa_reconciliation_count(report, code), 1);
    const cfa_reconcile_difference *difference = cfa_reconciliation_at(report, 0);
    ck_assert_str_eq(difference->code, code);
    ck_assert_str_eq(difference->kind, kind);
    if (field != NULL)
        ck_assert_str_eq(difference->field, field);
    else
        ck_assert_ptr_null(difference->field);
    ck_assert_str_eq(difference->expected, expected);
    ck_assert_str_eq(difference->found, found);
    ck_assert_msg((difference->repairable != 0) == repairable, "%s", text);
    ck_assert_int_eq(cfa_reconciliation_repairable(report), repairable);
    ck_assert_ptr_nonnull(strstr(cfa_reconciliation_json(report), code));
    ck_assert_ptr_null(cfa_reconciliation_at(report, 1));
    cfa_reconciliation_free(report);
}

static int64_t repaired(void) {
    int64_t count = -1;
    cfa_reconcile_spec spec = spec_of();
    cfa_status status = cfa_reconcile_repair(&count, book.engine, &spec, PATIENCE_MS);
    ck_assert_msg(status == CFA_OK, "%s", last_error()->message);
    return count;
}

/* A repair tells it once; a second one writes nothing at all. */
static void expect_repair(int64_t count) {
    ck_assert_int_eq(repaired(), count);
    expect_clean();
    int64_t rows = all_rows_of(&book), head = head_of(book.engine);
    ck_assert_int_eq(repaired(), 0);
    ck_assert_int_eq(all_rows_of(&book), rows);
    ck_assert_int_eq(head_of(book.engine), head);
}

static void refund_by_hand(int64_t minor, cfa_refund_state state) {
    cfa_play_refund_spec spec = CFA_PLAY_REFUND_SPEC_INIT;
    char ref[CFA_PLAY_REF_SIZE];
    spec.ref = record.objects[0].facts.ref;
    spec.amount_minor = minor;
    spec.state = state;
    ck_assert_int_eq(cfa_play_refund(ref, book.play, &spec), CFA_OK);
}

static void deliver(void) {
    ck_assert_int_eq(cfa_play_deliver(NULL, book.play, book.engine, 0), CFA_OK);
}

/* ---- tests ----------------------------------------------------------------------------------- */

START_TEST(books_that_agree_give_nothing) {
    cfa_play_dispute_spec dispute = CFA_PLAY_DISPUTE_SPEC_INIT;
    open_paid(_i);
    expect_clean();
    refund_by_hand(300, CFA_REFUND_SUCCEEDED);
    refund_by_hand(200, CFA_REFUND_PENDING);
    dispute.ref = record.objects[1].facts.ref;
    dispute.withdrawn_minor = 1000;
    ck_assert_int_eq(cfa_play_dispute(NULL, book.play, &dispute), CFA_OK);
    deliver();
    take_record();
    expect_clean();
    ck_assert_int_eq(repaired(), 0);
    close_sound();
}
END_TEST

START_TEST(a_refund_whose_webhook_was_lost_is_missing_here_and_repaired_once) {
    open_paid(_i);
    refund_by_hand(300, CFA_REFUND_SUCCEEDED);
    lose_webhooks();
    take_record();
    expect_one("missing_here", "refund", NULL, "it", "nothing", true);
    expect_repair(1);
    ck_assert_int_eq(totals_of(&book).refunded_minor, 300);
    close_sound();
}
END_TEST

START_TEST(a_refund_that_went_on_leaves_the_book_behind) {
    open_paid(_i);
    refund_by_hand(300, CFA_REFUND_PENDING);
    deliver();
    take_record();
    cfa_play_refund_spec on = CFA_PLAY_REFUND_SPEC_INIT;
    on.ref = record.objects[0].facts.refunds[0]->ref;
    on.state = CFA_REFUND_FAILED;
    ck_assert_int_eq(cfa_play_refund(NULL, book.play, &on), CFA_OK);
    lose_webhooks();
    take_record();
    expect_one("state_behind", "refund", "state", "FAILED", "PENDING", true);
    expect_repair(1);
    close_sound();
}
END_TEST

START_TEST(a_lost_dispute_is_missing_here_and_repaired_once) {
    cfa_play_dispute_spec spec = CFA_PLAY_DISPUTE_SPEC_INIT;
    open_paid(_i);
    spec.ref = record.objects[2].facts.ref;
    spec.withdrawn_minor = 1000;
    ck_assert_int_eq(cfa_play_dispute(NULL, book.play, &spec), CFA_OK);
    lose_webhooks();
    take_record();
    expect_one("missing_here", "dispute", NULL, "it", "nothing", true);
    expect_repair(1);
    ck_assert_int_eq(totals_of(&book).disputed_minor, 1000);
    close_sound();
}
END_TEST

START_TEST(a_payment_that_is_paid_there_leaves_the_book_behind) {
    open_paid(_i);
    cfa_pledge_free(pledges[2]);
    pledges[2] = pledge_make(&book, "late", 500);
    cfa_pledge *late = pledges[2];
    if (cfa_pledge_state(late) != CFA_PAYMENT_COMPLETED)
        ck_assert_int_eq(cfa_play_confirm(book.play, cfa_pledge_client_secret(late), "pm_ok"),
                         CFA_OK);
    lose_webhooks();
    take_record();
    cfa_reconcile_spec spec = spec_of();
    spec.from_us = spec.until_us = 0; /* the record leaves one of them out */
    cfa_reconciliation *report;
    ck_assert_int_eq(cfa_reconcile_engine(&report, book.engine, &spec), CFA_OK);
    ck_assert_int_eq(cfa_reconciliation_count(report, "state_behind"), 1);
    ck_assert_str_eq(cfa_reconciliation_at(report, 0)->expected, "COMPLETED");
    cfa_reconciliation_free(report);
    ck_assert_int_eq(repaired(), 1);
    ck_assert_int_eq(state_of(book.engine, late), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(repaired(), 0);
    close_sound();
}
END_TEST

START_TEST(what_the_record_lacks_is_missing_there) {
    open_paid(_i);
    record.count = GIFTS - 1;
    expect_one("missing_there", "payment", NULL, "nothing", "it", false);
    ck_assert_int_eq(repaired(), 0);
    close_sound();
}
END_TEST

START_TEST(another_amount_or_currency_is_named_and_left_alone) {
    open_paid(_i);
    int64_t rows = all_rows_of(&book);
    record.objects[1].facts.amount.minor = 1100;
    expect_one("amount_differs", "payment", "amount_minor", "1100", "1000", false);
    ck_assert_int_eq(repaired(), 0);
    take_record();
    memcpy(record.objects[1].facts.amount.currency, "USD", 4);
    expect_one("amount_differs", "payment", "currency", "USD", "EUR", false);
    ck_assert_int_eq(repaired(), 0);
    ck_assert_int_eq(all_rows_of(&book), rows);
    close_sound();
}
END_TEST

START_TEST(a_record_that_says_less_finds_the_book_ahead) {
    open_paid(_i);
    cfa_facts *facts = &record.objects[2].facts;
    facts->flags = CFA_FACT_PROCESSING;
    facts->captured_minor = facts->authorized_minor = 0;
    facts->occurred_us = 1;
    expect_one("state_ahead", "payment", "captured_minor", "0", "1000", false);
    ck_assert_int_eq(repaired(), 0);
    close_sound();
}
END_TEST

START_TEST(a_payment_that_names_us_and_is_unknown_stays_reported) {
    open_paid(_i);
    cfa_reconcile_object *object = &record.objects[record.count++];
    *object = record.objects[0];
    object->facts.ref = "pi_unknown";
    object->facts.payment_id = "pay_00000000000000000000000001";
    expect_one("missing_here", "payment", "payment_id", "pay_00000000000000000000000001", "nothing",
               false);
    ck_assert_int_eq(repaired(), 0);
    expect_one("missing_here", "payment", "payment_id", "pay_00000000000000000000000001", "nothing",
               false);
    object->facts.payment_id = NULL; /* somebody else's */
    expect_clean();
    close_sound();
}
END_TEST

START_TEST(a_row_of_a_report_is_compared_and_never_told) {
    open_paid(_i);
    refund_by_hand(300, CFA_REFUND_SUCCEEDED);
    lose_webhooks();
    for (int i = 0; i < GIFTS; i++) {
        record.objects[i].summary = 1;
        record.objects[i].refunded_minor = i == 0 ? 300 : 0;
    }
    expect_one("state_behind", "payment", "refunded_minor", "300", "0", false);
    ck_assert_int_eq(repaired(), 0);
    close_sound();
}
END_TEST

/* So many payments that name us and are unknown. */
static cfa_status next_stranger(void *self, cfa_reconcile_object *out) {
    int *left = self;
    *out = (cfa_reconcile_object){
        .struct_size = sizeof *out, .livemode = -1, .refunded_minor = -1, .facts = CFA_FACTS_INIT
    };
    out->facts.ref = "pi_unknown";
    out->facts.payment_id = "pay_00000000000000000000000001";
    return (*left)-- > 0 ? CFA_OK : CFA_ENOTFOUND;
}

START_TEST(what_is_listed_is_bounded_and_all_is_counted) {
    int left = CFA_RECONCILE_LISTED_MAX + 7;
    cfa_reconciliation *report;
    cfa_reconcile_spec spec = CFA_RECONCILE_SPEC_INIT;
    open_paid(_i);
    spec.next = next_stranger;
    spec.next_self = &left;
    ck_assert_int_eq(cfa_reconcile_engine(&report, book.engine, &spec), CFA_OK);
    ck_assert_int_eq(cfa_reconciliation_differences(report), CFA_RECONCILE_LISTED_MAX + 7);
    ck_assert_uint_eq(cfa_reconciliation_size(report), CFA_RECONCILE_LISTED_MAX);
    cfa_reconciliation_free(report);
    close_sound();
}
END_TEST

START_TEST(what_cannot_be_compared_is_an_error) {
    cfa_reconciliation *report = NULL;
    cfa_reconcile_spec spec = spec_of();
    open_paid(_i);
    record.objects[1].livemode = 1;
    expect_error(cfa_reconcile_engine(&report, book.engine, &spec), CFA_EMODE, "livemode");
    take_record();
    record.objects[1].kind = 7;
    expect_error(cfa_reconcile_engine(&report, book.engine, &spec), CFA_EINVAL, "kind");
    spec.next = NULL;
    expect_error(cfa_reconcile_engine(&report, book.engine, &spec), CFA_EINVAL, "next");
    spec = spec_of();
    spec.until_us = 0;
    expect_error(cfa_reconcile_engine(&report, book.engine, &spec), CFA_EINVAL, "until_us");
    ck_assert_ptr_null(report);
    close_sound();
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("reconcile");
    add_per_store(suite, "agree", books_that_agree_give_nothing);
    add_per_store(suite, "refund",
                  a_refund_whose_webhook_was_lost_is_missing_here_and_repaired_once);
    add_per_store(suite, "refund_on", a_refund_that_went_on_leaves_the_book_behind);
    add_per_store(suite, "dispute", a_lost_dispute_is_missing_here_and_repaired_once);
    add_per_store(suite, "paid", a_payment_that_is_paid_there_leaves_the_book_behind);
    add_per_store(suite, "there", what_the_record_lacks_is_missing_there);
    add_per_store(suite, "amount", another_amount_or_currency_is_named_and_left_alone);
    add_per_store(suite, "ahead", a_record_that_says_less_finds_the_book_ahead);
    add_per_store(suite, "unknown", a_payment_that_names_us_and_is_unknown_stays_reported);
    add_per_store(suite, "summary", a_row_of_a_report_is_compared_and_never_told);
    add_per_store(suite, "bounded", what_is_listed_is_bounded_and_all_is_counted);
    add_per_store(suite, "errors", what_cannot_be_compared_is_an_error);
    return run_suite(suite, argc, argv);
}
