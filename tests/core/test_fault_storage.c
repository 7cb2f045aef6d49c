/*
 * test_fault_storage.c - the fault wrapper does what the test decided, and a crash leaves nothing
 * open.
 */
#include <careforall/adapters/memory.h>
#include <careforall/testkit/fault.h>

#include <check.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "testkit/storage_kinds.h"

static struct {
    int32_t call; /* to act on */
    int32_t action;
    cfa_status status;
    int32_t last_call;
    uint64_t last_number;
    bool crash;
    jmp_buf leave;
} plan;

static int32_t decide(void *user, int32_t call, uint64_t number, cfa_status *out_status) {
    (void)user;
    plan.last_call = call;
    plan.last_number = number;
    if (call != plan.call) {
        return CFA_FAULT_PASS;
    }
    if (plan.crash) {
        longjmp(plan.leave, 1);
    }
    if (plan.status != CFA_OK) {
        *out_status = plan.status;
    }
    return plan.action;
}

static cfa_storage inner, storage;
static cfa_fault_storage *control;
static cfa_session *session;
static cfa_arena *arena;

static void setup(void) {
    memset(&plan, 0, sizeof(plan));
    ck_assert_int_eq(cfa_memory_storage_new(&inner), CFA_OK);
    ck_assert_int_eq(cfa_fault_storage_new(&storage, &control, &inner, decide, NULL), CFA_OK);
    ck_assert_int_eq(storage.ops->migrate(storage.self, &cfa__test_schema_1), CFA_OK);
    ck_assert_int_eq(storage.ops->session_open(storage.self, CFA_SESSION_WRITE, &session), CFA_OK);
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
}

static void teardown(void) {
    if (session != NULL) {
        storage.ops->session_close(session);
    }
    storage.ops->close(storage.self);
    inner.ops->close(inner.self);
    cfa_arena_free(arena);
}

static void plan_for(int32_t call, int32_t action, cfa_status status) {
    plan.call = call;
    plan.action = action;
    plan.status = status;
}

static cfa_status insert_counter(const char *name) {
    cfa__counter counter = { cfa__suite_text(name), 1, 1 };
    cfa_change change = { &cfa__counter_kind, CFA_CHANGE_INSERT, &counter, NULL };
    cfa_save save = { &change, 1, NULL, 0, NULL, NULL, 0 };
    int64_t first = 0;
    cfa_status status = storage.ops->begin(session, CFA_SESSION_WRITE, 0, NULL);
    if (status != CFA_OK) {
        return status;
    }
    status = storage.ops->save(session, &save, &first);
    if (status != CFA_OK) {
        storage.ops->rollback(session);
        return status;
    }
    return storage.ops->commit(session);
}

static int32_t count_counters(void) {
    int32_t call = plan.call;
    plan.call = 0;
    cfa_query query = { &cfa__counter_kind, 0, 0, 0, 100, 0, NULL, NULL, 0 };
    ck_assert_int_eq(storage.ops->begin(session, CFA_SESSION_READ, 0, NULL), CFA_OK);
    ck_assert_int_eq(storage.ops->load(session, &query, 1, arena), CFA_OK);
    ck_assert_int_eq(storage.ops->commit(session), CFA_OK);
    plan.call = call;
    return query.count;
}

START_TEST(every_call_is_counted_and_asked_for) {
    ck_assert_uint_eq(cfa_fault_storage_calls(control), 1);
    ck_assert_int_eq(plan.last_call, CFA_FAULT_SESSION_OPEN);
    ck_assert_int_eq(insert_counter("a"), CFA_OK);
    ck_assert_int_eq(plan.last_call, CFA_FAULT_COMMIT);
    ck_assert_uint_eq(plan.last_number, 4);
    ck_assert_int_eq(count_counters(), 1);
    ck_assert_uint_eq(cfa_fault_storage_calls(control), 7);
}
END_TEST

START_TEST(failed_calls_return_the_status_and_do_nothing) {
    const int32_t calls[] = { CFA_FAULT_BEGIN, CFA_FAULT_SAVE, CFA_FAULT_COMMIT };
    for (size_t i = 0; i < 3; i++) {
        plan_for(calls[i], CFA_FAULT_FAIL, CFA_EBUSY);
        ck_assert_int_eq(insert_counter("a"), CFA_EBUSY);
        plan_for(calls[i], CFA_FAULT_FAIL, CFA_OK);
        ck_assert_int_eq(insert_counter("a"), CFA_EIO);
        ck_assert_int_eq(count_counters(), 0);
    }
    cfa_session *other;
    int64_t changes = 0;
    plan_for(CFA_FAULT_SESSION_OPEN, CFA_FAULT_FAIL, CFA_EUNAVAILABLE);
    ck_assert_int_eq(storage.ops->session_open(storage.self, CFA_SESSION_READ, &other),
                     CFA_EUNAVAILABLE);
    plan_for(CFA_FAULT_CHANGES, CFA_FAULT_FAIL, CFA_EIO);
    ck_assert_int_eq(storage.ops->changes(session, &changes), CFA_EIO);
    plan.call = 0;
    ck_assert_int_eq(insert_counter("a"), CFA_OK);
}
END_TEST

START_TEST(doubtful_commits_report_doubt_whatever_happened) {
    plan_for(CFA_FAULT_COMMIT, CFA_FAULT_DOUBT_NOT_DONE, CFA_OK);
    ck_assert_int_eq(insert_counter("a"), CFA_EINDOUBT);
    ck_assert_int_eq(count_counters(), 0);
    plan_for(CFA_FAULT_COMMIT, CFA_FAULT_DOUBT_DONE, CFA_OK);
    ck_assert_int_eq(insert_counter("a"), CFA_EINDOUBT);
    ck_assert_int_eq(count_counters(), 1);
}
END_TEST

START_TEST(commit_after_a_failed_call_is_refused) {
    plan_for(CFA_FAULT_LOAD, CFA_FAULT_FAIL, CFA_EIO);
    ck_assert_int_eq(storage.ops->begin(session, CFA_SESSION_WRITE, 0, NULL), CFA_OK);
    ck_assert_int_eq(storage.ops->load(session, NULL, 0, arena), CFA_EIO);
    ck_assert_int_eq(storage.ops->commit(session), CFA_EMISUSE);
    ck_assert_int_eq(insert_counter("a"), CFA_OK);
}
END_TEST

START_TEST(crash_rolls_back_and_a_new_session_goes_on) {
    ck_assert_int_eq(insert_counter("kept"), CFA_OK);
    const int32_t calls[] = { CFA_FAULT_BEGIN, CFA_FAULT_SAVE, CFA_FAULT_COMMIT };
    plan.call = calls[_i];
    plan.crash = true;
    if (setjmp(plan.leave) == 0) {
        insert_counter("lost");
        ck_abort_msg("the crash did not come");
    }
    cfa_fault_storage_crash(control);
    session = NULL;
    plan.crash = false;
    ck_assert_int_eq(storage.ops->session_open(storage.self, CFA_SESSION_WRITE, &session), CFA_OK);
    ck_assert_int_eq(count_counters(), 1);
    ck_assert_int_eq(insert_counter("next"), CFA_OK);
    ck_assert_int_eq(count_counters(), 2);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("fault_storage");
    TCase *tests = tcase_create("fault_storage");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, every_call_is_counted_and_asked_for);
    tcase_add_test(tests, failed_calls_return_the_status_and_do_nothing);
    tcase_add_test(tests, doubtful_commits_report_doubt_whatever_happened);
    tcase_add_test(tests, commit_after_a_failed_call_is_refused);
    tcase_add_loop_test(tests, crash_rolls_back_and_a_new_session_goes_on, 0, 3);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
