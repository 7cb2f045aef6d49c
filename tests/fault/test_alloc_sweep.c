/*
 * test_alloc_sweep.c - every allocation fails once while a donation goes from its pledge to its
 * total: a clear status, nothing half-done, nothing leaked, and the same donation succeeds
 * afterwards.
 */
#include "support/book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void heap_install(void) {
    const cfa_allocator allocator = { sizeof allocator, NULL, counted_allocate, counted_reallocate,
                                      counted_release };
    ck_assert_int_eq(cfa_allocator_set(&allocator), CFA_OK);
    /* Files without a disk under them: this is about memory. */
    if (access("/dev/shm", W_OK) == 0)
        ck_assert_int_eq(setenv("TMPDIR", "/dev/shm", 1), 0);
}

static void heap_arm(int64_t nth) {
    heap.armed = true;
    heap.fired = false;
    heap.made = 0;
    heap.refuse_nth = nth;
}

/* ---- the sweeps ------------------------------------------------------------------------------ */

START_TEST(a_donation_survives_any_one_failing_allocation) {
    int64_t nth = 0;
    heap_install();
    do {
        struct book book;
        book_open(&book, _i);
        heap_arm(++nth);
        cfa_pledge *pledge = NULL;
        cfa_status got = donate(&book, &pledge);
        heap.armed = false;
        expect_whole(&book, got, pledge, nth);
        cfa_pledge_free(pledge);
        finish_donation(&book);
        book_close(&book);
        ck_assert_msg(heap.outstanding == 0, "allocation %lld: %lld leaked", (long long)nth,
                      (long long)heap.outstanding);
    } while (heap.fired);
    ck_assert_int_gt(nth, 10);
}
END_TEST

START_TEST(an_engine_opens_or_tells_why_at_any_failing_allocation) {
    int64_t nth = 0;
    heap_install();
    do {
        struct book book;
        book_prepare(&book, _i);
        ck_assert_int_eq(cfa_play_new(&book.play, &book.play_options), CFA_OK);
        book.options.provider = cfa_play_provider(book.play);
        heap_arm(++nth);
        cfa_status status = cfa_engine_open(&book.engine, &book.options);
        heap.armed = false;
        if (status == CFA_OK)
            cfa_engine_close(book.engine);
        else
            expect_error(status, CFA_ENOMEM, NULL);
        cfa_play_free(book.play);
        book.options.provider = NULL;
        book_start(&book);
        finish_donation(&book);
        book_close(&book);
        ck_assert_msg(heap.outstanding == 0, "allocation %lld: %lld leaked", (long long)nth,
                      (long long)heap.outstanding);
    } while (heap.fired);
    ck_assert_int_gt(nth, 5);
}
END_TEST

/* Every public call that makes something, each with every allocation failing. */
static cfa_status make_campaign(struct book *book) {
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    spec.key = "another";
    spec.title = "Another";
    spec.currencies = "EUR";
    cfa_campaign *campaign;
    cfa_status status = cfa_campaign_create(&campaign, book->engine, &spec);
    if (status == CFA_OK)
        cfa_campaign_free(campaign);
    return status;
}

static cfa_status begin_pledge(struct book *book) {
    cfa_port *port;
    cfa_status status = cfa_port_new(&port, book->engine);
    if (status != CFA_OK)
        return status;
    cfa_pledge_spec spec = gift(book, "begun", 100);
    status = cfa_pledge_create_begin(port, 1, &spec);
    cfa_completion *completion = NULL;
    if (status == CFA_OK)
        status = cfa_port_next(&completion, port, 1000);
    if (status == CFA_OK && completion != NULL)
        status = cfa_completion_status(completion);
    cfa_completion_free(completion);
    cfa_port_free(port);
    return status;
}

static cfa_status read_everything(struct book *book) {
    cfa_totals *totals = NULL;
    cfa_event_list *events = NULL;
    cfa_pledge_list *pledges = NULL;
    cfa_subscription *subscription = NULL;
    cfa_act_list *acts = NULL;
    cfa_act_report report = CFA_ACT_REPORT_INIT;
    cfa_totals_spec fresh = { sizeof fresh, 0, -1, 0 };
    int32_t equal;
    char *statistics = NULL;
    cfa_status status = cfa_totals_get(&totals, book->engine, book->campaign_id, &fresh);
    if (status == CFA_OK)
        status = cfa_event_page(&events, book->engine, 0, 10);
    if (status == CFA_OK)
        status = cfa_pledge_page(&pledges, book->engine, book->campaign_id, NULL);
    if (status == CFA_OK)
        status = cfa_totals_verify(&equal, book->engine, book->campaign_id, 1000);
    if (status == CFA_OK)
        status = cfa_engine_statistics(&statistics, book->engine);
    if (status == CFA_OK)
        status = cfa_act_page(&acts, book->engine, 0, 10);
    if (status == CFA_OK)
        status = cfa_act_verify(&report, book->engine);
    if (status == CFA_OK)
        status = cfa_subscription_open(&subscription, book->engine, "reader");
    cfa_event_list *next = NULL;
    if (status == CFA_OK)
        status = cfa_subscription_next(&next, subscription, 10, -1);
    if (status == CFA_OK)
        status = cfa_subscription_ack(subscription, 1);
    cfa_event_list_free(next);
    cfa_subscription_free(subscription);
    cfa_free(statistics);
    cfa_act_list_free(acts);
    cfa_pledge_list_free(pledges);
    cfa_event_list_free(events);
    cfa_totals_free(totals);
    return status;
}

static cfa_status erase_donor(struct book *book) {
    cfa_pledge *pledge;
    cfa_status status = cfa_pledge_find(&pledge, book->engine, NULL, "given");
    if (status != CFA_OK)
        return status;
    status = cfa_donor_erase(book->engine, cfa_pledge_id(pledge), NULL, 0);
    cfa_pledge_free(pledge);
    return status;
}

static cfa_status end_campaign(struct book *book) {
    cfa_campaign *campaign;
    cfa_actor by = CFA_ACTOR_INIT;
    by.actor = "ann";
    by.reason = "it is over";
    cfa_status status =
        cfa_campaign_end(&campaign, book->engine, book->campaign_id, 1, NULL, "end", &by);
    if (status == CFA_OK)
        cfa_campaign_free(campaign);
    return status;
}

static cfa_status pull_call(struct book *book) {
    cfa_pledge_spec spec = gift(book, "pulled", 100);
    spec.wait = CFA_WAIT_COMMIT;
    cfa_pledge *pledge;
    cfa_status status = cfa_pledge_create(&pledge, book->engine, &spec);
    if (status != CFA_OK)
        return status;
    cfa_pledge_free(pledge);
    cfa_pulled_call *call = NULL;
    status = cfa_call_next(&call, book->engine, -1);
    if (status == CFA_OK && call != NULL) {
        cfa_reply unknown = { .struct_size = sizeof unknown };
        status = cfa_call_done(book->engine, call, &unknown, 0);
    }
    cfa_pulled_call_free(call);
    return status;
}

/* What no webhook told yet is found in the provider's lists. */
static cfa_status reconcile_live(struct book *book) {
    cfa_pledge *pledge;
    cfa_reconciliation *report;
    cfa_reconcile_live_spec spec = CFA_RECONCILE_LIVE_SPEC_INIT;
    cfa_status status = cfa_pledge_find(&pledge, book->engine, NULL, "given");
    if (status != CFA_OK)
        return status;
    status = cfa_play_confirm(book->play, cfa_pledge_client_secret(pledge), "pm_ok");
    cfa_pledge_free(pledge);
    if (status != CFA_OK && status != CFA_ESTATE) /* it was paid the time before */
        return status;
    spec.from_us = cfa_manual_clock_now_us(book->clock) - DAY_US;
    spec.until_us = cfa_manual_clock_now_us(book->clock) + HOUR_US;
    spec.repair = 1;
    status = cfa_reconcile_live(&report, NULL, book->engine, &spec);
    if (status != CFA_OK)
        return status;
    ck_assert_msg(cfa_reconciliation_differences(report) == 0, "%s",
                  cfa_reconciliation_text(report));
    cfa_reconciliation_free(report);
    return CFA_OK;
}

/* Objects that the book knows by their own id, by ours, and not at all. */
struct record {
    const char *ref, *payment_id;
    int at;
};

static cfa_status next_known(void *self, cfa_reconcile_object *out) {
    struct record *record = self;
    if (record->at == 3)
        return CFA_ENOTFOUND;
    *out = (cfa_reconcile_object){
        .struct_size = sizeof *out, .livemode = -1, .refunded_minor = -1, .facts = CFA_FACTS_INIT
    };
    out->facts.ref = record->at == 2 ? "pi_stranger" : record->ref;
    out->facts.payment_id = record->at == 1 ? record->payment_id : NULL;
    record->at++;
    return CFA_OK;
}

static cfa_status reconcile_record(struct book *book) {
    cfa_pledge *pledge;
    cfa_payment *payment;
    cfa_reconciliation *report;
    cfa_reconcile_spec spec = CFA_RECONCILE_SPEC_INIT;
    cfa_status status = cfa_pledge_find(&pledge, book->engine, NULL, "given");
    if (status != CFA_OK)
        return status;
    status = cfa_payment_get(&payment, book->engine, cfa_pledge_payment_id(pledge));
    cfa_pledge_free(pledge);
    if (status != CFA_OK)
        return status;
    struct record record = { cfa_payment_ref(payment), cfa_payment_id(payment), 0 };
    spec.next = next_known;
    spec.next_self = &record;
    spec.from_us = 1;
    spec.until_us = INT64_C(1) << 60;
    status = cfa_reconcile_engine(&report, book->engine, &spec);
    cfa_payment_free(payment);
    if (status != CFA_OK)
        return status;
    ck_assert_msg(cfa_reconciliation_foreign(report) == 1, "%s", cfa_reconciliation_text(report));
    cfa_reconciliation_free(report);
    return CFA_OK;
}

static cfa_status (*const calls[])(struct book *) = { make_campaign,   begin_pledge,
                                                      read_everything, erase_donor,
                                                      pull_call,       end_campaign,
                                                      reconcile_live,  reconcile_record };

/* Whoever asks again does so at once. */
static void pause_nowhere(void *self, int64_t duration_us) {
    (void)self;
    (void)duration_us;
}

START_TEST(every_call_survives_any_one_failing_allocation) {
    heap_install();
    for (size_t i = 0; i < COUNT(calls); i++) {
        int64_t nth = 0;
        do {
            struct book book;
            book_prepare(&book, _i);
            book.platform.pause = pause_nowhere;
            book_start(&book);
            cfa_pledge_free(pledge_make(&book, "given", 100));
            heap_arm(++nth);
            cfa_status status = calls[i](&book);
            heap.armed = false;
            cfa_status_class class = cfa_status_class_of(status);
            ck_assert_msg(status == CFA_OK || status == CFA_ENOMEM ||
                              class == CFA_CLASS_TRANSIENT || class == CFA_CLASS_IN_DOUBT,
                          "call %zu, allocation %lld: %s", i, (long long)nth,
                          cfa_status_name(status));
            book_advance(&book, HOUR_US);
            book_settle(&book);
            status = calls[i](&book);
            ck_assert_msg(status == CFA_OK, "call %zu, after allocation %lld: %s, %s", i,
                          (long long)nth, cfa_status_name(status), last_error()->message);
            book_settle(&book);
            audit(&book);
            book_close(&book);
            ck_assert_msg(heap.outstanding == 0, "call %zu, allocation %lld: %lld leaked", i,
                          (long long)nth, (long long)heap.outstanding);
        } while (heap.fired);
    }
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("allocation sweep");
#define PER_STORE(name) add_per_store(suite, #name, name)
    PER_STORE(a_donation_survives_any_one_failing_allocation);
    PER_STORE(an_engine_opens_or_tells_why_at_any_failing_allocation);
    PER_STORE(every_call_survives_any_one_failing_allocation);
    return run_suite(suite, argc, argv);
}
