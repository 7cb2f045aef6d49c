/*
 * test_explain_faults.c - a story and a checkup when memory or the store fails: a clear status,
 * nothing leaked, the output untouched; and the next one is whole.
 */
#include "core/explained.h"

#include <stdlib.h>
#include <string.h>

/* ---- an allocator that counts, and refuses once ---------------------------------------------- */

static struct {
    int64_t outstanding, made, refuse_nth;
    bool armed, fired;
} heap;

static bool refuses(void) {
    if (!heap.armed || ++heap.made != heap.refuse_nth)
        return false;
    heap.fired = true;
    return true;
}

static void *counted_allocate(void *user, size_t size) {
    (void)user;
    void *memory = refuses() ? NULL : malloc(size);
    heap.outstanding += memory != NULL;
    return memory;
}

static void *counted_reallocate(void *user, void *memory, size_t size) {
    if (memory == NULL)
        return counted_allocate(user, size);
    return refuses() ? NULL : realloc(memory, size);
}

static void counted_release(void *user, void *memory) {
    (void)user;
    heap.outstanding -= memory != NULL;
    free(memory);
}

static void heap_arm(int64_t nth) {
    heap.armed = true;
    heap.fired = false;
    heap.made = 0;
    heap.refuse_nth = nth;
}

/* ---- what is asked --------------------------------------------------------------------------- */

static cfa_status write_all(const cfa_story *story) {
    cfa_status status = CFA_OK;
    for (cfa_explain_format format = CFA_EXPLAIN_TEXT; format <= CFA_EXPLAIN_HTML; format++) {
        char *text = NULL;
        if (status == CFA_OK)
            status = cfa_story_write(&text, story, format);
        ck_assert((status == CFA_OK) == (text != NULL));
        cfa_free(text);
    }
    return status;
}

static cfa_status ask(struct book *book, const char *id) {
    cfa_story *story = NULL;
    cfa_checkup *checkup = NULL;
    cfa_status status = cfa_explain(&story, book->engine, id, 0);
    ck_assert((status == CFA_OK) == (story != NULL));
    if (status == CFA_OK)
        status = write_all(story);
    cfa_story_free(story);
    if (status != CFA_OK)
        return status;
    char *text = NULL;
    status = cfa_doctor(&checkup, book->engine, NULL);
    ck_assert((status == CFA_OK) == (checkup != NULL));
    if (status == CFA_OK)
        status = cfa_checkup_write(&text, checkup, CFA_EXPLAIN_JSON);
    cfa_free(text);
    cfa_checkup_free(checkup);
    return status;
}

static cfa_pledge *paid_and_conflicting(struct book *book) {
    cfa_pledge *pledge = pledge_make(book, "k", 2500);
    pledge_pay(book, pledge);
    cfa_webhook_event event = { sizeof event, "evt_early", "test", "", 0, 1, 0, CFA_FACTS_INIT };
    cfa_webhook_verdict verdict;
    event.facts.ref = "pi_unknown";
    event.facts.payment_id = cfa_pledge_payment_id(pledge);
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book->engine, &event, 0), CFA_OK);
    book_advance(book, 2 * DAY_US);
    return pledge;
}

START_TEST(any_one_allocation_may_fail) {
    const cfa_allocator allocator = { sizeof allocator, NULL, counted_allocate, counted_reallocate,
                                      counted_release };
    ck_assert_int_eq(cfa_allocator_set(&allocator), CFA_OK);
    struct book book;
    book_open(&book, STORE_MEMORY);
    cfa_pledge *pledge = paid_and_conflicting(&book);
    ck_assert_int_eq(ask(&book, cfa_pledge_id(pledge)), CFA_OK);
    int64_t nth = 0;
    do {
        heap_arm(++nth);
        int64_t outstanding = heap.outstanding;
        cfa_status status = ask(&book, cfa_pledge_id(pledge));
        heap.armed = false;
        ck_assert_msg(status == (heap.fired ? CFA_ENOMEM : CFA_OK), "allocation %lld: %s",
                      (long long)nth, cfa_status_name(status));
        /* A reader may be opened and kept. */
        ck_assert_int_le(heap.outstanding, outstanding + 64);
        ck_assert_int_eq(ask(&book, cfa_pledge_id(pledge)), CFA_OK);
    } while (heap.fired);
    ck_assert_int_gt(nth, 10);
    cfa_pledge_free(pledge);
    book_close(&book);
    ck_assert_int_eq(heap.outstanding, 0);
}
END_TEST

/* ---- a store that fails ---------------------------------------------------------------------- */

static struct {
    int64_t calls, fail_nth;
    bool armed;
} store;

static int32_t decide(void *user, int32_t call, uint64_t number, cfa_status *out_status) {
    (void)user;
    (void)number;
    if (!store.armed || (call != CFA_FAULT_LOAD && call != CFA_FAULT_BEGIN) ||
        ++store.calls != store.fail_nth)
        return CFA_FAULT_PASS;
    *out_status = cfa_error_set(CFA_EIO, "storage.test", NULL, 0, "the disk does not answer");
    return CFA_FAULT_FAIL;
}

START_TEST(any_one_read_may_fail) {
    struct book book;
    book_prepare(&book, _i);
    book_wrap(&book, decide, NULL);
    book_start(&book);
    cfa_pledge *pledge = paid_and_conflicting(&book);
    int64_t nth = 0;
    bool failed;
    do {
        store.armed = true;
        store.calls = 0;
        store.fail_nth = ++nth;
        cfa_status status = ask(&book, cfa_pledge_id(pledge));
        store.armed = false;
        failed = store.calls >= nth;
        ck_assert_msg(status == (failed ? CFA_EIO : CFA_OK), "read %lld: %s", (long long)nth,
                      cfa_status_name(status));
        ck_assert_int_eq(ask(&book, cfa_pledge_id(pledge)), CFA_OK);
    } while (failed);
    ck_assert_int_gt(nth, 10);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("explain_faults");
    add_once(suite, "memory", any_one_allocation_may_fail);
    add_per_store(suite, "store", any_one_read_may_fail);
    return run_suite(suite, argc, argv);
}
