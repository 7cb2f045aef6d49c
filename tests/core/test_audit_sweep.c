/*
 * test_audit_sweep.c - an audit in which one allocation, or one read, fails: it says so, leaves
 * nothing behind, and the next one finds what there is to find. On a clean book and on a damaged one,
 * which is looked at twice, each without and with a record of the provider's that differs.
 */
#include <stdlib.h>
#include <string.h>

#include "core/records.h"
#include "support/book.h"

/* ---- an allocator that counts, and refuses once ---------------------------------------------- */

static struct { int64_t outstanding, made, refuse_nth; /* 0: none */ } heap;

static void *counted_allocate(void *user, size_t size) {
    (void)user;
    void *memory = ++heap.made == heap.refuse_nth ? NULL : malloc(size);
    heap.outstanding += memory != NULL;
    return memory;
}

static void *counted_reallocate(void *user, void *memory, size_t size) {
    if (memory == NULL)
        return counted_allocate(user, size);
    return ++heap.made == heap.refuse_nth ? NULL : realloc(memory, size);
}

static void counted_release(void *user, void *memory) {
    (void)user;
    heap.outstanding -= memory != NULL;
    free(memory);
}

static void heap_install(void) {
    const cfa_allocator allocator = { sizeof allocator, NULL, counted_allocate, counted_reallocate,
                                      counted_release };
    ck_assert_int_eq(cfa_allocator_set(&allocator), CFA_OK);
}

/* ---- a book that is clean, or not ------------------------------------------------------------ */

static struct book book;

static void fill(void) {
    static const char *const keys[] = { "one", "two", "three" };
    for (size_t i = 0; i < COUNT(keys); i++) {
        cfa_pledge *pledge = pledge_make(&book, keys[i], 500);
        if (i > 0)
            pledge_pay(&book, pledge);
        cfa_pledge_free(pledge);
    }
    book_settle(&book);
}

enum { DAMAGED = 1, COMPARED = 2, CAMPAIGN = 4, CASES = 6 };

/* The newest payment knows of an event that the log does not have. */
static void lose_event(void *record) {
    cfa__payment *payment = record;
    payment->sequence++;
    payment->version++;
}

static void falsify_total(void *record) {
    cfa__totals *totals = record;
    totals->raised_minor++;
    totals->version++;
}

/* Change the last row of a kind. */
static void damage(const cfa_kind *kind, void (*change)(void *record)) {
    cfa_session *session;
    int64_t now_us;
    const cfa_storage_ops *ops = book.storage.ops;
    cfa_arena *arena;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    ck_assert_int_eq(ops->session_open(book.storage.self, CFA_SESSION_WRITE, &session), CFA_OK);
    ck_assert_int_eq(ops->begin(session, CFA_SESSION_WRITE, 5000, &now_us), CFA_OK);
    cfa__any_record key, changed;
    memset(&key, 0, sizeof key);
    cfa_query query = { .kind = kind, .flags = CFA_QUERY_DESCENDING, .limit = 1, .key = &key };
    ck_assert_int_eq(ops->load(session, &query, 1, arena), CFA_OK);
    ck_assert_int_eq(query.count, 1);
    memcpy(&changed, query.records[0], kind->record_size);
    change(&changed);
    cfa_change row = { kind, CFA_CHANGE_UPDATE, &changed, query.records[0] };
    cfa_save save = { .changes = &row, .change_count = 1, .log = &cfa__event_kind };
    ck_assert_int_eq(ops->save(session, &save, NULL), CFA_OK);
    ck_assert_int_eq(ops->commit(session), CFA_OK);
    ops->session_close(session);
    cfa_arena_free(arena);
}

static void fill_case(int which) {
    fill();
    if ((which & DAMAGED) == 0)
        return;
    if ((which & CAMPAIGN) != 0)
        damage(&cfa__totals_kind, falsify_total);
    else
        damage(&cfa__payment_kind, lose_event);
}

/* ---- a record with a payment that nobody knows ------------------------------------------------ */

static cfa_status next_stranger(void *self, cfa_reconcile_object *out) {
    bool *told = self;
    *told = !*told;
    if (!*told)
        return CFA_ENOTFOUND;
    *out = (cfa_reconcile_object){
        .struct_size = sizeof *out, .livemode = -1, .refunded_minor = -1, .facts = CFA_FACTS_INIT
    };
    out->facts.ref = "pi_of_nobody";
    out->facts.amount = (cfa_money){ 500, "EUR" };
    out->facts.occurred_us = INT64_C(1800000000000000);
    return CFA_OK;
}

static cfa_status audit_once(cfa_audit **out, int which) {
    bool told = false;
    cfa_audit_spec spec = CFA_AUDIT_SPEC_INIT;
    cfa_reconcile_spec record = CFA_RECONCILE_SPEC_INIT;
    record.next = next_stranger;
    record.next_self = &told;
    record.all_ours = 1;
    spec.record = (which & COMPARED) != 0 ? &record : NULL;
    spec.campaign_id = (which & CAMPAIGN) != 0 ? book.campaign_id : NULL;
    return cfa_audit_engine(out, book.engine, &spec);
}

static void expect_finding(const cfa_audit *report, int which) {
    ck_assert_msg((cfa_audit_differences(report) > 0) == ((which & (DAMAGED | COMPARED)) != 0),
                  "%s", cfa_audit_text(report));
    if ((which & COMPARED) != 0)
        ck_assert_str_eq(cfa_audit_at(report, cfa_audit_size(report) - 1)->check,
                         "provider.missing_here");
    if ((which & DAMAGED) != 0) {
        ck_assert_str_eq(cfa_audit_at(report, 0)->check,
                         (which & CAMPAIGN) != 0 ? "totals.counter" : "log.missing");
        ck_assert_uint_ge(cfa_audit_at(report, 0)->cause_count, (which & CAMPAIGN) != 0 ? 2 : 4);
    }
}

START_TEST(an_audit_says_when_it_ran_out_of_memory) {
    heap_install();
    book_open(&book, STORE_MEMORY);
    fill_case(_i);
    int64_t before = heap.outstanding, nth = 0;
    cfa_status status = CFA_ENOMEM;
    while (status != CFA_OK) {
        cfa_audit *report = NULL;
        heap.made = 0;
        heap.refuse_nth = ++nth;
        status = audit_once(&report, _i);
        heap.refuse_nth = 0;
        if (status == CFA_OK)
            expect_finding(report, _i);
        else
            expect_error(status, CFA_ENOMEM, NULL);
        ck_assert((status == CFA_OK) == (report != NULL));
        cfa_audit_free(report);
        ck_assert_msg(heap.outstanding == before, "allocation %lld: %lld leaked", (long long)nth,
                      (long long)(heap.outstanding - before));
    }
    ck_assert_int_gt(nth, 30);
    book_close(&book);
}
END_TEST

/* ---- a store that fails once ----------------------------------------------------------------- */

static uint64_t fail_from;

static int32_t fail_once(void *user, int32_t call, uint64_t number, cfa_status *out_status) {
    (void)user;
    bool reads =
        call == CFA_FAULT_LOAD || call == CFA_FAULT_BEGIN || call == CFA_FAULT_SESSION_OPEN;
    if (!reads || fail_from == 0 || number < fail_from)
        return CFA_FAULT_PASS;
    fail_from = 0;
    *out_status = cfa_error_set(CFA_EIO, "test", NULL, 0, "the disk is gone");
    return CFA_FAULT_FAIL;
}

START_TEST(an_audit_says_when_a_read_failed) {
    book_prepare(&book, STORE_MEMORY);
    book_wrap(&book, fail_once, NULL);
    book_start(&book);
    fill_case(_i);
    int failures = 0;
    for (uint64_t nth = 1;; nth++) {
        cfa_audit *report = NULL;
        fail_from = cfa_fault_storage_calls(book.fault) + nth;
        cfa_status status = audit_once(&report, _i);
        bool reached = fail_from == 0;
        fail_from = 0;
        if (reached) {
            expect_error(status, CFA_EIO, NULL);
            ck_assert_ptr_null(report);
            failures++;
            continue;
        }
        ck_assert_int_eq(status, CFA_OK);
        expect_finding(report, _i);
        cfa_audit_free(report);
        break;
    }
    ck_assert_int_gt(failures, 20);
    book_close(&book);
}
END_TEST

static void add_cases(Suite *suite, const char *name, const TTest *test) {
    TCase *test_case = tcase_create(name);
    tcase_add_loop_test(test_case, test, 0, CASES);
    suite_add_tcase(suite, test_case);
}

int main(int argc, char **argv) {
    Suite *suite = suite_create("audit: sweeps");
    add_cases(suite, "memory", an_audit_says_when_it_ran_out_of_memory);
    add_cases(suite, "reads", an_audit_says_when_a_read_failed);
    return run_suite(suite, argc, argv);
}
