/*
 * test_reconcile_live.c - our books against what the play provider lists: what no webhook ever told
 * is found and repaired by the run alone, a second one finds nothing, and a page that fails is never
 * taken for an end.
 */
#include "support/book.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define GIFTS 25 /* several pages of the play provider */

static struct book book;
static cfa_pledge *pledges[GIFTS];

/* Nobody sleeps between two tries. */
static void pause_nowhere(void *self, int64_t duration_us) {
    (void)self;
    (void)duration_us;
}

static void open_paid(int store) {
    book_prepare(&book, store);
    book.platform.pause = pause_nowhere;
    book_start(&book);
    for (int i = 0; i < GIFTS; i++) {
        char key[24];
        snprintf(key, sizeof key, "gift-%d", i);
        pledges[i] = pledge_make(&book, key, 1000);
        if (cfa_pledge_state(pledges[i]) != CFA_PAYMENT_COMPLETED)
            pledge_pay(&book, pledges[i]);
    }
}

static void close_sound(void) {
    audit(&book);
    for (int i = 0; i < GIFTS; i++)
        cfa_pledge_free(pledges[i]);
    book_close(&book);
}

static const char *ref_of(int index) {
    static char ref[CFA_PLAY_REF_SIZE];
    cfa_arena *arena;
    cfa_facts facts;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    ck_assert_int_eq(
        cfa_play_payment(&facts, NULL, book.play, cfa_pledge_payment_id(pledges[index]), arena),
        CFA_OK);
    snprintf(ref, sizeof ref, "%s", facts.ref);
    cfa_arena_free(arena);
    return ref;
}

/* Drop every webhook that the provider would send. */
static void lose_webhooks(void) {
    for (bool more = true; more;) {
        char *signature, *body;
        ck_assert_int_eq(cfa_play_webhook_take(&signature, &body, book.play), CFA_OK);
        more = body != NULL;
        cfa_free(signature);
        cfa_free(body);
    }
}

/* The whole life of the book, up to an hour from now. */
static cfa_reconcile_live_spec spec_of(bool repair) {
    cfa_reconcile_live_spec spec = CFA_RECONCILE_LIVE_SPEC_INIT;
    int64_t now_us = cfa_manual_clock_now_us(book.clock);
    spec.from_us = now_us - 3 * DAY_US;
    spec.until_us = now_us + HOUR_US;
    spec.repair = repair;
    return spec;
}

static cfa_status run(cfa_reconciliation **out, int64_t *out_repaired, bool repair) {
    cfa_reconcile_live_spec spec = spec_of(repair);
    *out = NULL;
    return cfa_reconcile_live(out, out_repaired, book.engine, &spec);
}

static void expect_run(bool repair, int64_t differences, int64_t repaired) {
    cfa_reconciliation *report;
    int64_t told = -1;
    cfa_status status = run(&report, &told, repair);
    ck_assert_msg(status == CFA_OK, "%s", last_error()->message);
    ck_assert_msg(cfa_reconciliation_differences(report) == differences, "%s",
                  cfa_reconciliation_text(report));
    ck_assert_int_eq(told, repaired);
    cfa_reconciliation_free(report);
}

/* ---- tests ----------------------------------------------------------------------------------- */

START_TEST(books_that_agree_give_nothing) {
    open_paid(_i);
    cfa_reconciliation *report;
    ck_assert_int_eq(run(&report, NULL, true), CFA_OK);
    ck_assert_msg(cfa_reconciliation_differences(report) == 0, "%s",
                  cfa_reconciliation_text(report));
    ck_assert_int_eq(cfa_reconciliation_objects(report), GIFTS);
    cfa_reconciliation_free(report);
    close_sound();
}
END_TEST

START_TEST(what_no_webhook_told_is_found_and_repaired_by_the_run_alone) {
    cfa_play_refund_spec refund = CFA_PLAY_REFUND_SPEC_INIT;
    cfa_play_dispute_spec dispute = CFA_PLAY_DISPUTE_SPEC_INIT;
    int64_t paid_out;
    open_paid(_i);
    refund.ref = ref_of(3);
    refund.amount_minor = 300;
    ck_assert_int_eq(cfa_play_refund(NULL, book.play, &refund), CFA_OK);
    dispute.ref = ref_of(4);
    dispute.withdrawn_minor = 1000;
    ck_assert_int_eq(cfa_play_dispute(NULL, book.play, &dispute), CFA_OK);
    ck_assert_int_eq(cfa_play_fee(book.play, ref_of(5), (cfa_money){ 45, "EUR" }), CFA_OK);
    lose_webhooks();
    /* What the payment and an object of its own both tell is one difference. */
    expect_run(false, 3, 0);
    expect_run(true, 0, 3);
    ck_assert_int_eq(totals_of(&book).refunded_minor, 300);
    ck_assert_int_eq(totals_of(&book).disputed_minor, 1000);
    ck_assert_int_eq(cfa_play_payout(&paid_out, book.play), CFA_OK);
    ck_assert_int_eq(paid_out, GIFTS);
    lose_webhooks();
    expect_run(true, 0, GIFTS);
    ck_assert(flags_of(book.engine, pledges[0]) & CFA_PAYMENT_FLAG_SETTLED);
    int64_t rows = all_rows_of(&book), head = head_of(book.engine);
    expect_run(true, 0, 0);
    ck_assert_int_eq(all_rows_of(&book), rows + 2); /* the act that says so, and its key */
    ck_assert_int_eq(head_of(book.engine), head);
    close_sound();
}
END_TEST

START_TEST(a_payment_that_was_paid_there_unheard_is_repaired) {
    open_paid(_i);
    cfa_pledge_free(pledges[0]);
    pledges[0] = pledge_make(&book, "late", 500);
    char secret[128];
    snprintf(secret, sizeof secret, "%s", cfa_pledge_client_secret(pledges[0]));
    ck_assert_int_eq(cfa_play_confirm(book.play, secret, "pm_ok"), CFA_OK);
    lose_webhooks();
    expect_run(false, 1, 0);
    expect_run(true, 0, 1);
    ck_assert_int_eq(state_of(book.engine, pledges[0]), CFA_PAYMENT_COMPLETED);
    expect_run(true, 0, 0);
    close_sound();
}
END_TEST

START_TEST(what_the_provider_does_not_list_is_missing_there_once_it_is_old_enough) {
    open_paid(_i);
    cfa_play_options options = CFA_PLAY_OPTIONS_INIT;
    cfa_play *empty, *own = book.play;
    options.platform = &book.platform;
    ck_assert_int_eq(cfa_play_new(&empty, &options), CFA_OK);
    /* Another provider of the same name, which knows only one payment, and that is another one. */
    book.play = empty;
    cfa_provider other = *cfa_play_provider(empty);
    book.options.provider = &other;
    book_reopen(&book);
    cfa_pledge *stray = pledge_make(&book, "stray", 700);
    lose_webhooks();
    expect_run(false, 0, 0); /* younger than a donor may take to pay */
    book_advance(&book, 2 * DAY_US);
    cfa_reconciliation *report;
    ck_assert_int_eq(run(&report, NULL, false), CFA_OK);
    ck_assert_msg(cfa_reconciliation_count(report, "missing_there") == GIFTS, "%s",
                  cfa_reconciliation_text(report));
    cfa_reconciliation_free(report);
    cfa_pledge_free(stray);
    book.play = own;
    book.options.provider = cfa_play_provider(own);
    book_reopen(&book);
    cfa_play_free(empty);
    close_sound();
}
END_TEST

/* Donors pay and webhooks come, one after the other. */
static atomic_bool paying;

static void *pay_on(void *user) {
    (void)user;
    for (int i = 0; i < GIFTS; i++) {
        must(cfa_play_confirm(book.play, cfa_pledge_client_secret(pledges[i]), "pm_ok") == CFA_OK);
        cfa_manual_clock_advance(book.clock, SECOND_US);
        must(cfa_play_deliver(NULL, book.play, book.engine, 0) == CFA_OK);
        cfa_manual_clock_advance(book.clock, SECOND_US);
    }
    atomic_store(&paying, false);
    return NULL;
}

START_TEST(a_book_that_goes_on_meanwhile_is_never_ahead_and_lacks_nothing) {
    pthread_t donors;
    book_open(&book, _i);
    for (int i = 0; i < GIFTS; i++) {
        char key[24];
        snprintf(key, sizeof key, "gift-%d", i);
        pledges[i] = pledge_make(&book, key, 1000);
    }
    atomic_store(&paying, true);
    ck_assert_int_eq(pthread_create(&donors, NULL, pay_on, NULL), 0);
    for (bool more = true; more;) {
        more = atomic_load(&paying);
        cfa_reconciliation *report;
        ck_assert_int_eq(run(&report, NULL, false), CFA_OK);
        /* A webhook on its way leaves the book behind; nothing else may be said. */
        ck_assert_msg(cfa_reconciliation_differences(report) ==
                          cfa_reconciliation_count(report, "state_behind"),
                      "%s", cfa_reconciliation_text(report));
        cfa_reconciliation_free(report);
    }
    pthread_join(donors, NULL);
    expect_run(false, 0, 0);
    close_sound();
}
END_TEST

START_TEST(a_page_that_fails_is_asked_for_again_and_invents_nothing) {
    static const int32_t faults[] = { CFA_PLAY_FAULT_REPLY_LOST, CFA_PLAY_FAULT_REQUEST_LOST,
                                      CFA_PLAY_FAULT_ERROR_AFTER, CFA_PLAY_FAULT_ERROR_BEFORE,
                                      CFA_PLAY_FAULT_NOT_SENT };
    open_paid(_i);
    for (size_t i = 0; i < COUNT(faults); i++) {
        ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_NONE), CFA_OK);
        ck_assert_int_eq(cfa_play_fault_next(book.play, faults[i]), CFA_OK);
        expect_run(true, 0, 0);
    }
    close_sound();
}
END_TEST

START_TEST(a_list_that_stays_broken_is_an_error_and_never_an_end) {
    cfa_play_weather weather = CFA_PLAY_WEATHER_INIT;
    cfa_reconciliation *report;
    open_paid(_i);
    weather.request_lost_ppm = 1000000;
    ck_assert_int_eq(cfa_play_weather_set(book.play, &weather), CFA_OK);
    expect_error(run(&report, NULL, true), CFA_EUNAVAILABLE, "provider");
    ck_assert_ptr_null(report);
    weather.request_lost_ppm = 0;
    ck_assert_int_eq(cfa_play_weather_set(book.play, &weather), CFA_OK);
    ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_NONE), CFA_OK);
    ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_REFUSED), CFA_OK);
    expect_error(run(&report, NULL, true), CFA_ENOTSUP, "provider");
    expect_run(true, 0, 0);
    close_sound();
}
END_TEST

static int32_t stop_after(void *self) {
    int *left = self;
    return (*left)-- == 0;
}

START_TEST(a_run_can_be_called_off_and_has_a_deadline) {
    cfa_reconciliation *report = NULL;
    int pages = 2;
    open_paid(_i);
    cfa_reconcile_live_spec spec = spec_of(true);
    spec.stop = stop_after;
    spec.stop_self = &pages;
    expect_error(cfa_reconcile_live(&report, NULL, book.engine, &spec), CFA_ECLOSING, NULL);
    spec = spec_of(true);
    spec.timeout_ms = 1;
    cfa_play_weather weather = CFA_PLAY_WEATHER_INIT;
    weather.delay_ms_max = 20;
    ck_assert_int_eq(cfa_play_weather_set(book.play, &weather), CFA_OK);
    expect_error(cfa_reconcile_live(&report, NULL, book.engine, &spec), CFA_ETIMEOUT, "timeout_ms");
    ck_assert_ptr_null(report);
    close_sound();
}
END_TEST

START_TEST(a_provider_that_lists_nothing_is_told_apart) {
    cfa_reconciliation *report = NULL;
    open_paid(_i);
    cfa_provider_ops ops = *cfa_play_provider(book.play)->ops;
    cfa_provider older = { &ops, cfa_play_provider(book.play)->self };
    ops.struct_size = offsetof(cfa_provider_ops, list);
    book.options.provider = &older;
    book_reopen(&book);
    cfa_reconcile_live_spec spec = spec_of(false);
    expect_error(cfa_reconcile_live(&report, NULL, book.engine, &spec), CFA_ENOTSUP, "provider");
    ck_assert_ptr_nonnull(strstr(last_error()->message, "play"));
    ops.struct_size = sizeof ops;
    ops.list = NULL;
    expect_error(cfa_reconcile_live(&report, NULL, book.engine, &spec), CFA_ENOTSUP, "provider");
    ops.list = cfa_play_provider(book.play)->ops->list;
    spec.until_us = spec.from_us;
    expect_error(cfa_reconcile_live(&report, NULL, book.engine, &spec), CFA_EINVAL, "until_us");
    spec.from_us = INT64_MAX - 1;
    spec.until_us = INT64_MAX;
    expect_error(cfa_reconcile_live(&report, NULL, book.engine, &spec), CFA_ERANGE, "until_us");
    spec.from_us = 0;
    expect_error(cfa_reconcile_live(&report, NULL, book.engine, &spec), CFA_EINVAL, "from_us");
    ck_assert_ptr_null(report);
    close_sound();
}
END_TEST

/* ---- pages that no adapter may give ---------------------------------------------------------- */

static cfa_list_page bad;

static void list_badly(void *self, const cfa_list_request *request, cfa_arena *arena,
                       cfa_list_page *out) {
    (void)self;
    (void)request;
    (void)arena;
    *out = bad;
}

START_TEST(a_list_that_does_not_go_on_is_refused) {
    cfa_reconciliation *report = NULL;
    open_paid(_i);
    cfa_provider_ops ops = *cfa_play_provider(book.play)->ops;
    cfa_provider broken = { &ops, cfa_play_provider(book.play)->self };
    ops.list = list_badly;
    book.options.provider = &broken;
    book_reopen(&book);
    cfa_reconcile_live_spec spec = spec_of(true);
    bad = (cfa_list_page){ .struct_size = sizeof bad,
                           .outcome = CFA_OUTCOME_DONE,
                           .next = "the same for ever" };
    expect_error(cfa_reconcile_live(&report, NULL, book.engine, &spec), CFA_EBUG, "next");
    bad.next = NULL;
    bad.count = CFA_LIST_OBJECTS_MAX + 1;
    expect_error(cfa_reconcile_live(&report, NULL, book.engine, &spec), CFA_EBUG, "next");
    bad = (cfa_list_page){ 0 }; /* forgotten: it is no end */
    expect_error(cfa_reconcile_live(&report, NULL, book.engine, &spec), CFA_EUNAVAILABLE,
                 "provider");
    ck_assert_ptr_null(report);
    close_sound();
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("reconcile_live");
    add_per_store(suite, "agree", books_that_agree_give_nothing);
    add_per_store(suite, "repair", what_no_webhook_told_is_found_and_repaired_by_the_run_alone);
    add_per_store(suite, "late", a_payment_that_was_paid_there_unheard_is_repaired);
    add_per_store(suite, "there",
                  what_the_provider_does_not_list_is_missing_there_once_it_is_old_enough);
    add_per_store(suite, "meanwhile",
                  a_book_that_goes_on_meanwhile_is_never_ahead_and_lacks_nothing);
    add_per_store(suite, "faults", a_page_that_fails_is_asked_for_again_and_invents_nothing);
    add_per_store(suite, "broken", a_list_that_stays_broken_is_an_error_and_never_an_end);
    add_per_store(suite, "stop", a_run_can_be_called_off_and_has_a_deadline);
    add_per_store(suite, "notsup", a_provider_that_lists_nothing_is_told_apart);
    add_per_store(suite, "pages", a_list_that_does_not_go_on_is_refused);
    return run_suite(suite, argc, argv);
}
