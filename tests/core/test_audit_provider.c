/*
 * test_audit_provider.c - the provider's own record against the book, both ways: what differs, what is
 * missing there, what is unknown here.
 */
#include <stdio.h>
#include <string.h>

#include "support/book.h"

enum { OBJECTS = 600, STRANGERS = CFA_RECONCILE_LISTED_MAX + 20 };

static struct book book;
static char strangers[STRANGERS][24];

static cfa_audit *audit_of(const cfa_audit_spec *spec) {
    cfa_audit *out = NULL;
    cfa_status status = cfa_audit_engine(&out, book.engine, spec);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    return out;
}

static void expect_clean(const cfa_audit_spec *spec) {
    cfa_audit *out = audit_of(spec);
    ck_assert_msg(cfa_audit_differences(out) == 0, "%s", cfa_audit_text(out));
    cfa_audit_free(out);
}

static void read_ref(char out[64], const cfa_pledge *of) {
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book.engine, cfa_pledge_payment_id(of)), CFA_OK);
    ck_assert_ptr_nonnull(cfa_payment_ref(payment));
    snprintf(out, 64, "%s", cfa_payment_ref(payment));
    cfa_payment_free(payment);
}

struct record {
    cfa_reconcile_object objects[OBJECTS];
    size_t count, at;
};

static cfa_status next_object(void *self, cfa_reconcile_object *out) {
    struct record *record = self;
    if (record->at == record->count) {
        record->at = 0;
        return CFA_ENOTFOUND;
    }
    *out = record->objects[record->at++];
    return CFA_OK;
}

static cfa_status cannot_read(void *self, cfa_reconcile_object *out) {
    (void)self;
    (void)out;
    return cfa_error_set(CFA_EIO, "test", NULL, 0, "the file ends early");
}

static cfa_reconcile_object paid(const char *ref, int64_t minor, int64_t line) {
    cfa_reconcile_object object = { .struct_size = sizeof object,
                                    .livemode = -1,
                                    .whole = 1,
                                    .refunded_minor = 0,
                                    .line = line,
                                    .facts = CFA_FACTS_INIT };
    object.facts.ref = ref;
    object.facts.amount = (cfa_money){ minor, "EUR" };
    object.facts.flags = CFA_FACT_SUCCEEDED;
    object.facts.authorized_minor = object.facts.captured_minor = minor;
    return object;
}

/* Three paid donations, and the record that has them. */
struct three {
    cfa_pledge *pledges[3];
    char refs[3][64];
    struct record record;
    cfa_reconcile_spec of;
    cfa_audit_spec spec;
};

static void open_three(struct three *three, int store) {
    *three = (struct three){ .of = CFA_RECONCILE_SPEC_INIT, .spec = CFA_AUDIT_SPEC_INIT };
    book_open(&book, store);
    for (int i = 0; i < 3; i++) {
        char key[32];
        snprintf(key, sizeof key, "paid-%d", i);
        three->pledges[i] = pledge_make(&book, key, 100 + i);
        pledge_pay(&book, three->pledges[i]);
        read_ref(three->refs[i], three->pledges[i]);
        three->record.objects[three->record.count++] = paid(three->refs[i], 100 + i, i + 2);
    }
    three->of.next = next_object;
    three->of.next_self = &three->record;
    three->of.until_us = INT64_MAX;
    three->spec.record = &three->of;
}

static void close_three(struct three *three) {
    for (int i = 0; i < 3; i++)
        cfa_pledge_free(three->pledges[i]);
    book_close(&book);
}

/* One difference, of this check and payment. */
static void expect_one(const struct three *three, const char *check, int payment,
                       const char *subject_end) {
    cfa_audit *out = audit_of(&three->spec);
    ck_assert_msg(cfa_audit_differences(out) == 1, "%s", cfa_audit_text(out));
    const cfa_audit_finding *finding = cfa_audit_at(out, 0);
    ck_assert_str_eq(finding->check, check);
    ck_assert_int_eq(finding->severity, CFA_AUDIT_ERROR);
    const char *id = payment >= 0 ? cfa_pledge_payment_id(three->pledges[payment]) : NULL;
    if (id != NULL)
        ck_assert_str_eq(finding->payment_id, id);
    else
        ck_assert_ptr_null(finding->payment_id);
    const char *end = finding->subject + strlen(finding->subject) - strlen(subject_end);
    ck_assert_msg(end >= finding->subject && strcmp(end, subject_end) == 0, "%s", finding->subject);
    cfa_audit_free(out);
}

START_TEST(the_providers_record_is_compared_both_ways) {
    struct three three;
    open_three(&three, _i);
    expect_clean(&three.spec);
    cfa_facts *facts = &three.record.objects[1].facts;
    facts->amount.minor = facts->authorized_minor = ++facts->captured_minor;
    expect_one(&three, "provider.amount_differs", 1, " (line 3)");
    three.record.objects[1] = paid(three.refs[1], 101, 3);
    facts->flags = 0;
    facts->authorized_minor = facts->captured_minor = 0;
    expect_one(&three, "provider.state_ahead", 1, " (line 3)");
    three.record.objects[1] = paid(three.refs[1], 101, 3);
    three.record.objects[1].refunded_minor = 50;
    expect_one(&three, "provider.state_behind", 1, " (line 3)");
    three.record.objects[1].refunded_minor = 0;
    three.record.count--; /* the third payment is not there */
    expect_one(&three, "provider.missing_there", 2, "");
    three.record.objects[three.record.count++] = paid("pi_stranger", 102, 4);
    three.of.until_us = three.of.from_us = 0;
    expect_clean(&three.spec); /* it may be somebody else's */
    three.of.all_ours = 1;
    expect_one(&three, "provider.missing_here", -1, "pi_stranger (line 4)");
    close_three(&three);
}
END_TEST

START_TEST(a_report_says_what_was_compared) {
    struct three three;
    open_three(&three, _i);
    cfa_audit *out = audit_of(&three.spec);
    ck_assert_ptr_nonnull(strstr(cfa_audit_text(out), "record: clean; 3 objects\n"));
    ck_assert_ptr_nonnull(strstr(cfa_audit_text(out), "looked for in the record: each payment"));
    ck_assert_ptr_nonnull(strstr(cfa_audit_json(out), "\"record\":{\"clean\":true"));
    cfa_audit_free(out);
    three.spec.record = NULL;
    out = audit_of(&three.spec);
    ck_assert_ptr_null(strstr(cfa_audit_text(out), "record:"));
    ck_assert_ptr_nonnull(strstr(cfa_audit_json(out), "\"record\":null,\"record_problem\":null"));
    cfa_audit_free(out);
    close_three(&three);
}
END_TEST

/* More than a report lists of one code are counted all the same. */
START_TEST(every_difference_with_the_record_is_counted) {
    struct three three;
    open_three(&three, _i);
    three.of.all_ours = 1;
    three.of.until_us = 0;
    for (int i = 0; i < STRANGERS; i++) {
        snprintf(strangers[i], sizeof strangers[i], "pi_stranger_%d", i);
        three.record.objects[three.record.count++] = paid(strangers[i], 100, i + 5);
    }
    cfa_audit *out = audit_of(&three.spec);
    ck_assert_int_eq(cfa_audit_differences(out), STRANGERS);
    ck_assert_uint_lt(cfa_audit_size(out), CFA_RECONCILE_LISTED_MAX);
    ck_assert_ptr_nonnull(strstr(cfa_audit_text(out), "record: 120 differences"));
    cfa_audit_free(out);
    close_three(&three);
}
END_TEST

static int32_t end_in_record(void *self, int64_t rows) {
    (void)rows;
    const struct record *record = self;
    return record->at > 0;
}

START_TEST(who_asked_for_an_audit_can_end_it_in_the_record) {
    struct three three;
    cfa_audit *out = NULL;
    open_three(&three, _i);
    for (int i = 0; three.record.count < OBJECTS; i++)
        three.record.objects[three.record.count++] = paid(three.refs[0], 100, i + 5);
    three.spec.stop = end_in_record;
    three.spec.stop_self = &three.record;
    expect_error(cfa_audit_engine(&out, book.engine, &three.spec), CFA_ECLOSING, NULL);
    ck_assert_uint_lt(three.record.at, OBJECTS);
    close_three(&three);
}
END_TEST

/* Damage is named, and the record is not compared with what nobody can trust. */
START_TEST(a_damaged_book_is_named_before_the_record) {
    struct three three;
    open_three(&three, STORE_SQLITE);
    book_sql(&book, "UPDATE cfa_payment SET state = state - 1 WHERE amount_minor = 100");
    cfa_audit *out = audit_of(&three.spec);
    ck_assert_int_gt(cfa_audit_differences(out), 0);
    ck_assert_str_eq(cfa_audit_at(out, 0)->check, "payment.state");
    ck_assert_ptr_nonnull(strstr(cfa_audit_text(out), "record: not compared: "));
    ck_assert_ptr_nonnull(strstr(cfa_audit_json(out), "\"record\":null,\"record_problem\":\""));
    cfa_audit_free(out);
    book_sql(&book, "UPDATE cfa_payment SET state = state + 1 WHERE amount_minor = 100");
    close_three(&three);
}
END_TEST

START_TEST(a_record_that_cannot_be_compared_ends_the_audit) {
    struct three three;
    cfa_audit *out = NULL;
    open_three(&three, _i);
    three.of.next = cannot_read;
    expect_error(cfa_audit_engine(&out, book.engine, &three.spec), CFA_EIO, NULL);
    three.of.next = NULL;
    expect_error(cfa_audit_engine(&out, book.engine, &three.spec), CFA_EINVAL, "next");
    three.of.next = next_object;
    three.of.from_us = 2;
    three.of.until_us = 1;
    expect_error(cfa_audit_engine(&out, book.engine, &three.spec), CFA_EINVAL, "until_us");
    three.of.from_us = three.of.until_us = 0;
    three.of.moving = 1;
    expect_error(cfa_audit_engine(&out, book.engine, &three.spec), CFA_EINVAL, "moving");
    three.of.moving = 0;
    three.of.provider = "stripe";
    expect_error(cfa_audit_engine(&out, book.engine, &three.spec), CFA_EMODE, "provider");
    three.of.provider = "play";
    expect_clean(&three.spec);
    three.record.objects[0].livemode = 1;
    expect_error(cfa_audit_engine(&out, book.engine, &three.spec), CFA_EMODE, "livemode");
    three.record.at = 0;
    three.spec.campaign_id = book.campaign_id;
    expect_error(cfa_audit_engine(&out, book.engine, &three.spec), CFA_EINVAL, "campaign_id");
    ck_assert_ptr_null(out);
    close_three(&three);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("audit: the provider's record");
    add_per_store(suite, "both_ways", the_providers_record_is_compared_both_ways);
    add_per_store(suite, "scope", a_report_says_what_was_compared);
    add_per_store(suite, "counted", every_difference_with_the_record_is_counted);
    add_per_store(suite, "stop", who_asked_for_an_audit_can_end_it_in_the_record);
    TCase *damaged = tcase_create("damaged");
    tcase_add_test(damaged, a_damaged_book_is_named_before_the_record);
    suite_add_tcase(suite, damaged);
    add_per_store(suite, "unusable", a_record_that_cannot_be_compared_ends_the_audit);
    return run_suite(suite, argc, argv);
}
