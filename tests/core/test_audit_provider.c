/*
 * test_audit_provider.c - the provider's own record against the book, both ways: what differs, what is
 * missing there, what is unknown here.
 */
#include <stdio.h>
#include <string.h>

#include "support/book.h"

static struct book book;

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
    cfa_audit_object objects[16];
    size_t count, at;
};

static cfa_status next_object(void *self, cfa_audit_object *out) {
    struct record *record = self;
    if (record->at == record->count) {
        record->at = 0;
        return CFA_ENOTFOUND;
    }
    *out = record->objects[record->at++];
    return CFA_OK;
}

static cfa_status cannot_read(void *self, cfa_audit_object *out) {
    (void)self;
    (void)out;
    return cfa_error_set(CFA_EIO, "test", NULL, 0, "the file ends early");
}

START_TEST(the_providers_record_is_compared_both_ways) {
    struct record record = { .count = 0 };
    cfa_pledge *all[3];
    char refs[3][64];
    book_open(&book, _i);
    for (int i = 0; i < 3; i++) {
        char key[32];
        snprintf(key, sizeof key, "paid-%d", i);
        all[i] = pledge_make(&book, key, 100 + i);
        pledge_pay(&book, all[i]);
        read_ref(refs[i], all[i]);
        record.objects[record.count++] =
            (cfa_audit_object){ sizeof(cfa_audit_object), refs[i], NULL, "EUR", 100 + i, 0, i + 2 };
    }
    cfa_audit_spec spec = CFA_AUDIT_SPEC_INIT;
    spec.next = next_object;
    spec.next_self = &record;
    spec.until_us = INT64_MAX;
    expect_clean(&spec);
    record.objects[1].captured_minor++;
    cfa_audit *out = audit_of(&spec);
    ck_assert_int_eq(cfa_audit_differences(out), 1);
    ck_assert_str_eq(cfa_audit_at(out, 0)->check, "provider.differs");
    ck_assert_str_eq(cfa_audit_at(out, 0)->payment_id, cfa_pledge_payment_id(all[1]));
    cfa_audit_free(out);
    record.objects[1].captured_minor--;
    record.count--; /* the third payment is not there */
    out = audit_of(&spec);
    ck_assert_int_eq(cfa_audit_differences(out), 1);
    ck_assert_str_eq(cfa_audit_at(out, 0)->check, "provider.missing");
    ck_assert_str_eq(cfa_audit_at(out, 0)->payment_id, cfa_pledge_payment_id(all[2]));
    cfa_audit_free(out);
    record.count++;
    record.objects[2].ref = "pi_stranger";
    out = audit_of(&spec);
    ck_assert_int_eq(cfa_audit_differences(out), 2);
    ck_assert_str_eq(cfa_audit_at(out, 1)->check, "provider.unknown");
    ck_assert_int_eq(cfa_audit_at(out, 1)->severity, CFA_AUDIT_WARNING);
    ck_assert_str_eq(cfa_audit_at(out, 1)->subject, "pi_stranger/4");
    cfa_audit_free(out);
    for (int i = 0; i < 3; i++)
        cfa_pledge_free(all[i]);
    book_close(&book);
}
END_TEST

START_TEST(a_record_without_a_reference_or_that_cannot_be_read_ends_the_audit) {
    struct record record = { .count = 1 };
    record.objects[0] = (cfa_audit_object){ .struct_size = sizeof record.objects[0] };
    book_open(&book, _i);
    cfa_audit_spec spec = CFA_AUDIT_SPEC_INIT;
    cfa_audit *out = NULL;
    spec.next = next_object;
    spec.next_self = &record;
    expect_error(cfa_audit_engine(&out, book.engine, &spec), CFA_EINVAL, "ref");
    ck_assert_ptr_null(out);
    spec.next = cannot_read;
    expect_error(cfa_audit_engine(&out, book.engine, &spec), CFA_EIO, NULL);
    spec.next = NULL;
    spec.from_us = 2;
    spec.until_us = 1;
    expect_error(cfa_audit_engine(&out, book.engine, &spec), CFA_EINVAL, "until_us");
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("audit: the provider's record");
    add_per_store(suite, "both_ways", the_providers_record_is_compared_both_ways);
    add_per_store(suite, "unusable",
                  a_record_without_a_reference_or_that_cannot_be_read_ends_the_audit);
    return run_suite(suite, argc, argv);
}
