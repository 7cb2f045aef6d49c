/*
 * test_reconcile_many.c - a record of thousands of objects, in any order and with some left out, finds
 * exactly what one object after the other would: rows that are loaded together change no answer.
 */
#include "core/records.h"

#include <careforall/adapters/memory.h>
#include <careforall/payment.h>
#include <careforall/reconcile.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/evidence.h"

#define PAYMENTS 70000 /* more than two windows */
#define FROM_US INT64_C(1790000000000000)

static cfa_storage storage;
static int64_t spacing_us;
static int64_t late_us = 2000000; /* how much later than the payment the provider's object may be */
static bool movements;     /* rows of the balance that have no id of the provider's for a payment */
static bool nobody_names;  /* no object names our payment */
static int64_t alone;      /* payments that were asked for one by one, behind their window */
static int64_t looked_up;  /* rows that were asked for by the provider's id */
static int64_t pages_read; /* of payments */
static const cfa_storage_ops *plain_ops;
static cfa_storage_ops counting_ops;

static struct record {
    int32_t order[PAYMENTS]; /* payments; negative: one that the book does not know */
    int32_t count, at;
    char ref[32], payment_id[CFA_ID_TEXT_SIZE];
} record;

static uint64_t next_random(void) {
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return state >> 33;
}

static void name_ref(char out[32], int32_t i) {
    snprintf(out, 32, "pi_%08x%06d", (unsigned)i * 2654435761u, i);
}

static cfa__id id_of(int32_t i) {
    uint8_t random[10] = { 0 };
    uint32_t value = (uint32_t)i * 2654435761u;
    memcpy(random, &value, sizeof value);
    return cfa__id_make(FROM_US + i * spacing_us, random);
}

/* Most objects name our payment, some none, and some another than their own: these contradict. */
static bool names_none(int32_t i) { return nobody_names || i % 5 == 0; }
static bool contradicts(int32_t i) { return i >= 0 && i % 7 == 0 && !names_none(i); }

/* One in ten is not paid. */
static bool is_paid(int32_t i) { return i % 10 != 3; }

static void save(cfa_session *session, cfa_change *changes, size_t count) {
    int64_t now_us;
    cfa_save all = { .changes = changes, .change_count = count };
    ck_assert_int_eq(storage.ops->begin(session, CFA_SESSION_WRITE, 1000, &now_us), CFA_OK);
    ck_assert_int_eq(storage.ops->save(session, &all, NULL), CFA_OK);
    ck_assert_int_eq(storage.ops->commit(session), CFA_OK);
}

static void write_payment(cfa_session *session, int32_t i) {
    char ref[32];
    name_ref(ref, i);
    cfa__payment payment = { .id = id_of(i),
                             .amount_minor = 1000,
                             .currency = "EUR",
                             .provider = cfa__slice("stripe"),
                             .account = cfa__slice(""),
                             .ref = cfa__slice(ref),
                             .state = is_paid(i) ? CFA_PAYMENT_COMPLETED : CFA_PAYMENT_PENDING,
                             .durable = is_paid(i) ? CFA_FACT_SUCCEEDED : 0,
                             .authorized_minor = is_paid(i) ? 1000 : 0,
                             .captured_minor = is_paid(i) ? 1000 : 0,
                             .created_us = FROM_US + i * spacing_us,
                             .version = 1 };
    cfa__provider_object object = { .provider = payment.provider,
                                    .account = payment.account,
                                    .ref = payment.ref,
                                    .payment_id = payment.id,
                                    .version = 1 };
    cfa_change changes[] = {
        { .kind = &cfa__payment_kind, .action = CFA_CHANGE_INSERT, .record = &payment },
        { .kind = &cfa__provider_object_kind, .action = CFA_CHANGE_INSERT, .record = &object },
    };
    save(session, changes, 2);
}

static void open_book(void) {
    cfa_session *session;
    cfa__book book = { .id = 1,
                       .incarnation = 1,
                       .provider = cfa__slice("stripe"),
                       .account = cfa__slice(""),
                       .secret = cfa__slice("0123456789abcdef0123456789abcdef"),
                       .version = 1 };
    cfa_change change = { .kind = &cfa__book_kind, .action = CFA_CHANGE_INSERT, .record = &book };
    ck_assert_int_eq(cfa_memory_storage_new(&storage), CFA_OK);
    ck_assert_int_eq(storage.ops->migrate(storage.self, &cfa__schema), CFA_OK);
    ck_assert_int_eq(storage.ops->session_open(storage.self, CFA_SESSION_WRITE, &session), CFA_OK);
    save(session, &change, 1);
    for (int32_t i = 0; i < PAYMENTS; i++)
        write_payment(session, i);
    storage.ops->session_close(session);
}

/* By the provider's clock, in seconds: soon or late after the payment, or by a clock that is behind;
 * one in thirty does not tell. */
static int64_t made_us(int32_t i) {
    int64_t noise = (int64_t)((uint64_t)i * UINT64_C(0x9e3779b97f4a7c15) >> 2);
    int64_t us = FROM_US + i * spacing_us;
    us += noise % 40 == 0 ? -5000000 : noise % 50 == 1 ? INT64_C(90000000000) : noise % late_us;
    return i % 30 == 7 ? 0 : us / 1000000 * 1000000;
}

static cfa_status next_object(void *self, cfa_reconcile_object *out) {
    (void)self;
    if (record.at == record.count) {
        record.at = 0;
        return CFA_ENOTFOUND;
    }
    int32_t i = record.order[record.at++];
    *out = (cfa_reconcile_object){ .struct_size = sizeof *out,
                                   .livemode = -1,
                                   .whole = 1,
                                   .refunded_minor = -1,
                                   .line = record.at,
                                   .facts = CFA_FACTS_INIT };
    name_ref(record.ref, i);
    out->facts.ref = record.ref;
    out->facts.occurred_us = made_us(i);
    out->facts.amount = (cfa_money){ 1000, "EUR" };
    if (i < 0)
        return CFA_OK;
    cfa__id_format(record.payment_id, "pay", id_of(contradicts(i) ? (i + 5000) % PAYMENTS : i));
    out->facts.payment_id = names_none(i) ? NULL : record.payment_id;
    if (movements) {
        out->facts.ref = NULL;
        out->whole = 0;
        out->summary = CFA_RECONCILE_MOVEMENT;
        cfa__id_format(record.payment_id, "pay", id_of(i));
        out->facts.payment_id = record.payment_id;
    }
    if (is_paid(i)) {
        out->facts.flags = CFA_FACT_SUCCEEDED;
        out->facts.authorized_minor = out->facts.captured_minor = 1000;
    }
    return CFA_OK;
}

/* Leave one of `out_of` out; 0: none. Newest first, or in any order. */
static int32_t take_record(int32_t out_of, bool shuffled) {
    int32_t left_out = 0;
    record.count = record.at = 0;
    for (int32_t i = PAYMENTS - 1; i >= 0; i--) {
        bool out = out_of > 0 && next_random() % (uint64_t)out_of == 0;
        if (out)
            left_out += is_paid(i);
        else
            record.order[record.count++] = i;
    }
    for (int32_t i = record.count - 1; shuffled && i > 0; i--) {
        int32_t other = (int32_t)(next_random() % (uint64_t)(i + 1)), kept = record.order[i];
        record.order[i] = record.order[other];
        record.order[other] = kept;
    }
    return left_out;
}

static int32_t contradictions(void) {
    int32_t count = 0;
    for (int32_t i = 0; i < record.count; i++)
        count += contradicts(record.order[i]);
    return count;
}

static bool is_in_record(const char *payment_id) {
    char text[CFA_ID_TEXT_SIZE];
    for (int32_t i = 0; i < record.count; i++) {
        if (record.order[i] < 0)
            continue;
        cfa__id_format(text, "pay", id_of(record.order[i]));
        if (strcmp(text, payment_id) == 0)
            return true;
    }
    return false;
}

/* Every paid payment that the record lacks, in the order of their ids, and nothing else. */
static void finds_all_but(int32_t missing, int32_t contradicting) {
    cfa_reconciliation *report = NULL;
    cfa_reconcile_spec spec = CFA_RECONCILE_SPEC_INIT;
    spec.next = next_object;
    spec.from_us = FROM_US;
    spec.until_us = FROM_US + PAYMENTS * spacing_us;
    ck_assert_int_eq(cfa_reconcile_storage(&report, &storage, &spec), CFA_OK);
    ck_assert_int_eq(cfa_reconciliation_objects(report), record.count);
    ck_assert_int_eq(cfa_reconciliation_count(report, "missing_there"), missing);
    ck_assert_int_eq(cfa_reconciliation_count(report, "amount_differs"), contradicting);
    ck_assert_int_eq(cfa_reconciliation_differences(report), missing + contradicting);
    const char *before = "";
    for (size_t i = 0; i < cfa_reconciliation_size(report); i++) {
        const cfa_reconcile_difference *difference = cfa_reconciliation_at(report, i);
        if (strcmp(difference->code, "missing_there") != 0)
            continue;
        ck_assert_str_gt(difference->id, before);
        ck_assert(!is_in_record(difference->id));
        before = difference->id;
    }
    cfa_reconciliation_free(report);
}

static void finds(int32_t missing) { finds_all_but(missing, contradictions()); }

/* Ids of one millisecond, of neighbouring ones, and far apart. */
static const int64_t spacings_us[] = { 3, 900, 1000000 };

static cfa_status count_loads(cfa_session *session, cfa_query *queries, size_t count,
                              cfa_arena *arena) {
    for (size_t i = 0; i < count; i++) {
        looked_up += queries[i].kind == &cfa__provider_object_kind;
        pages_read += queries[i].kind == &cfa__payment_kind && queries[i].limit > 1;
        alone += queries[i].kind == &cfa__payment_kind && count == 1 && queries[i].limit == 1;
    }
    return plain_ops->load(session, queries, count, arena);
}

static void count_storage(void) {
    plain_ops = storage.ops;
    counting_ops = *storage.ops;
    counting_ops.load = count_loads;
    storage.ops = &counting_ops;
    looked_up = pages_read = alone = 0;
}

START_TEST(what_is_left_out_of_a_long_record_is_missing_there_and_nothing_else) {
    spacing_us = spacings_us[_i];
    open_book();
    for (int shuffled = 0; shuffled <= 1; shuffled++) {
        finds(take_record(0, shuffled != 0));
        finds(take_record(50, shuffled != 0));
        finds(take_record(2, shuffled != 0));
    }
    /* A short stretch of it leaves nearly everything out. */
    take_record(0, false);
    record.count = 100;
    int32_t paid = 0;
    for (int32_t i = 0; i < PAYMENTS - 100; i++)
        paid += is_paid(i);
    finds(paid);
    storage.ops->close(storage.self);
}
END_TEST

/* The provider's ids lie at random places, and a look-up of each is what costs. */
START_TEST(payments_that_no_object_names_are_found_by_their_time) {
    spacing_us = spacings_us[_i];
    late_us = _i == 2 ? INT64_C(1000000000) : spacing_us * 1000;
    nobody_names = true;
    open_book();
    count_storage();
    finds(take_record(0, false));
    /* One in fifty was paid long after, one in thirty has no time. */
    ck_assert_int_lt(looked_up, PAYMENTS / 15);
    ck_assert_int_lt(pages_read, 6 * PAYMENTS / 64);
    finds(take_record(50, false));
    ck_assert_int_lt(looked_up, 2 * PAYMENTS / 15);
    storage.ops->close(storage.self);
}
END_TEST

/* A balance history may name the payment by our id in its metadata alone. */
START_TEST(movements_that_name_only_our_payment_are_loaded_together) {
    spacing_us = spacings_us[_i];
    movements = true;
    open_book();
    for (int shuffled = 0; shuffled <= 1; shuffled++) {
        int32_t missing = take_record(50, shuffled != 0);
        count_storage();
        finds_all_but(missing, 0);
        ck_assert_int_eq(looked_up, 0);
        ck_assert_int_lt(alone, PAYMENTS / 20);
        storage.ops = plain_ops;
    }
    storage.ops->close(storage.self);
}
END_TEST

/* The provider's time leads past too many payments that the record does not have, or nowhere. */
START_TEST(times_that_find_little_are_given_up) {
    spacing_us = 1000000;
    late_us = 1;
    nobody_names = true;
    open_book();
    count_storage();
    int32_t missing = 0, count = 0;
    take_record(0, false);
    for (int32_t i = 0; i < PAYMENTS; i++) {
        missing += i % 40 != 0 && is_paid(i);
        if (i % 40 == 0)
            record.order[count++] = i;
    }
    record.count = count;
    finds(missing);
    ck_assert_int_gt(looked_up, count * 8 / 10);
    ck_assert_int_lt(pages_read, (PAYMENTS + 5 * count) / 64);
    looked_up = pages_read = alone = 0;
    late_us = INT64_C(4000000000000000000); /* beyond what an id can say */
    finds(missing);
    ck_assert_int_gt(looked_up, count * 8 / 10);
    ck_assert_int_lt(pages_read, (PAYMENTS + 5 * count) / 64);
    storage.ops->close(storage.self);
}
END_TEST

START_TEST(strangers_among_many_are_counted) {
    spacing_us = 1000;
    open_book();
    take_record(0, true);
    for (int32_t i = 0; i < record.count; i += 100)
        record.order[i] = -1 - i;
    cfa_reconciliation *report = NULL;
    cfa_reconcile_spec spec = CFA_RECONCILE_SPEC_INIT;
    spec.next = next_object;
    ck_assert_int_eq(cfa_reconcile_storage(&report, &storage, &spec), CFA_OK);
    ck_assert_int_eq(cfa_reconciliation_foreign(report), PAYMENTS / 100);
    ck_assert_int_eq(cfa_reconciliation_differences(report), contradictions());
    cfa_reconciliation_free(report);
    storage.ops->close(storage.self);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("reconcile_many");
    TCase *missing = tcase_create("missing");
    tcase_set_timeout(missing, 120);
    tcase_add_loop_test(missing,
                        what_is_left_out_of_a_long_record_is_missing_there_and_nothing_else, 0,
                        sizeof spacings_us / sizeof spacings_us[0]);
    suite_add_tcase(suite, missing);
    TCase *times = tcase_create("times");
    tcase_set_timeout(times, 120);
    tcase_add_loop_test(times, payments_that_no_object_names_are_found_by_their_time, 0,
                        sizeof spacings_us / sizeof spacings_us[0]);
    tcase_add_test(times, times_that_find_little_are_given_up);
    tcase_add_loop_test(times, movements_that_name_only_our_payment_are_loaded_together, 0,
                        sizeof spacings_us / sizeof spacings_us[0]);
    suite_add_tcase(suite, times);
    TCase *strangers = tcase_create("strangers");
    tcase_set_timeout(strangers, 120);
    tcase_add_test(strangers, strangers_among_many_are_counted);
    suite_add_tcase(suite, strangers);
    SRunner *runner = srunner_create(suite);
    srunner_run(runner, NULL, argc > 1 ? argv[1] : NULL, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
