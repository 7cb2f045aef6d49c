/*
 * test_doctor.c - what is stuck or strange is found, named, and acted on when that is safe; a well
 * book has no findings; what was not looked at is said.
 */
#include <careforall/reconcile.h>

#include "core/explained.h"
#include "core/post.h"

#include <stdio.h>
#include <string.h>

static void expect_well(cfa_engine *engine) {
    cfa_checkup *checkup;
    ck_assert_int_eq(cfa_doctor(&checkup, engine, NULL), CFA_OK);
    if (cfa_checkup_size(checkup) > 0)
        ck_abort_msg("found %s", cfa_checkup_at(checkup, 0)->code);
    ck_assert_ptr_null(cfa_checkup_at(checkup, 0));
    cfa_checkup_free(checkup);
}

/* It is found, with this many things; the first is `id` unless NULL. */
static const cfa_finding_view *expect_found(cfa_engine *engine, const char *code, int64_t count,
                                            const char *id) {
    const cfa_finding_view *view = finding_of(engine, code, false);
    ck_assert_msg(view != NULL, "%s is not found", code);
    ck_assert_int_eq(view->count, count);
    ck_assert_str_ne(view->text, "");
    ck_assert_str_ne(view->action, "");
    if (id != NULL)
        ck_assert_str_eq(view->ids[0], id);
    return view;
}

static int64_t treat(cfa_engine *engine, const char *code) {
    int64_t done = -1;
    cfa_status status = cfa_doctor_do(&done, engine, code, NULL, NULL);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    return done;
}

static void finish(struct book *book) {
    forget_checkup();
    audit(book);
    book_close(book);
}

static cfa_pledge *pledge_in_doubt(struct book *book, const char *key) {
    ck_assert_int_eq(cfa_play_fault_next(book->play, CFA_PLAY_FAULT_REPLY_LOST), CFA_OK);
    cfa_pledge_spec spec = gift(book, key, 2500);
    spec.timeout_ms = -1;
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book->engine, &spec), CFA_OK);
    book_settle(book);
    return pledge;
}

static cfa_webhook_verdict accept_fact(struct book *book, const char *event_id, const char *ref,
                                       int64_t captured_minor) {
    cfa_webhook_event event = { sizeof event, event_id, "test", "", 0, 1, 0, CFA_FACTS_INIT };
    cfa_webhook_verdict verdict = 0;
    event.facts.ref = ref;
    event.facts.captured_minor = captured_minor;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book->engine, &event, 0), CFA_OK);
    return verdict;
}

static void ref_of(struct book *book, const cfa_pledge *pledge, char out[CFA_PLAY_REF_SIZE]) {
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book->engine, cfa_pledge_payment_id(pledge)),
                     CFA_OK);
    snprintf(out, CFA_PLAY_REF_SIZE, "%s", cfa_payment_ref(payment));
    cfa_payment_free(payment);
}

/* ---- findings -------------------------------------------------------------------------------- */

START_TEST(a_well_book_has_no_findings) {
    struct book book;
    book_open(&book, _i);
    expect_well(book.engine);
    cfa_pledge *waiting = pledge_make(&book, "waiting", 100), *paid = pledge_make(&book, "k", 2500);
    pledge_pay(&book, paid);
    expect_well(book.engine);
    book_advance(&book, 3 * DAY_US); /* the unpaid one is cancelled at the provider */
    for (int i = 0; i < 4; i++) {
        book_settle(&book);
        book_advance(&book, MINUTE_US);
    }
    book_settle(&book);
    expect_well(book.engine);
    cfa_pledge_free(waiting);
    cfa_pledge_free(paid);
    finish(&book);
}
END_TEST

START_TEST(a_call_in_doubt_is_found_and_asked_again) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_in_doubt(&book, "k");
    char id[64];
    snprintf(id, sizeof id, "%s/1", cfa_pledge_payment_id(pledge));
    const cfa_finding_view *view = expect_found(book.engine, "operation_in_doubt", 1, id);
    ck_assert(view->safe);
    int64_t calls = play_books_of(&book).call_count;
    book_settle(&book); /* it is not due yet */
    ck_assert_int_eq(play_books_of(&book).call_count, calls);
    ck_assert_int_eq(treat(book.engine, "operation_in_doubt"), 1);
    book_settle(&book);
    ck_assert_int_gt(play_books_of(&book).call_count, calls);
    ck_assert_ptr_null(finding_of(book.engine, "operation_in_doubt", false));
    ck_assert_int_eq(treat(book.engine, "operation_in_doubt"), 0);
    ck_assert_int_eq(play_books_of(&book).intent_count, 1);
    cfa_pledge_free(pledge);
    finish(&book);
}
END_TEST

START_TEST(asking_too_early_never_proves_absence) {
    struct book book;
    book_open(&book, _i);
    ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_REQUEST_LOST), CFA_OK);
    cfa_pledge_spec spec = gift(&book, "k", 2500);
    spec.timeout_ms = -1;
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
    for (int i = 0; i < 20; i++) { /* an impatient operator */
        (void)treat(book.engine, "operation_in_doubt");
        book_settle(&book);
        book_advance(&book, SECOND_US);
    }
    book_advance(&book, HOUR_US);
    book_settle(&book);
    ck_assert_int_eq(play_books_of(&book).intent_count, 1);
    cfa_pledge_free(pledge);
    pledge = pledge_make(&book, "k", 2500);
    pledge_pay(&book, pledge);
    cfa_pledge_free(pledge);
    finish(&book);
}
END_TEST

START_TEST(calls_that_nobody_makes_are_found) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    book_advance(&book, HOUR_US); /* no tick: nothing runs */
    const cfa_finding_view *view = expect_found(book.engine, "operation_overdue", 1, NULL);
    ck_assert_int_eq(view->severity, CFA_FINDING_CRITICAL);
    ck_assert_int_gt(view->age_us, 50 * MINUTE_US);
    expect_error(cfa_doctor_do(&(int64_t){ 0 }, book.engine, "operation_overdue", NULL, NULL),
                 CFA_ENOTSUP, "code");
    book_settle(&book);
    ck_assert_ptr_null(finding_of(book.engine, "operation_overdue", false));
    cfa_pledge_free(pledge);
    finish(&book);
}
END_TEST

START_TEST(an_unpaid_payment_beyond_its_time_is_found) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    book_advance(&book, DAY_US + 2 * HOUR_US);
    expect_found(book.engine, "payment_overdue", 1, cfa_pledge_payment_id(pledge));
    cfa_pledge_free(pledge);
    finish(&book);
}
END_TEST

START_TEST(a_conflict_is_found_also_when_nothing_is_open) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    pledge_pay(&book, pledge);
    book_advance(&book, MINUTE_US);
    book_settle(&book);
    char ref[CFA_PLAY_REF_SIZE];
    ref_of(&book, pledge, ref);
    ck_assert_int_eq(accept_fact(&book, "evt_strange", ref, 999999), CFA_WEBHOOK_QUARANTINED);
    for (int deep = 0; deep < 2; deep++) {
        const cfa_finding_view *view = finding_of(book.engine, "payment_conflict", deep);
        ck_assert_ptr_nonnull(view);
        ck_assert_int_eq(view->count, 1);
        ck_assert_str_eq(view->ids[0], cfa_pledge_payment_id(pledge));
        ck_assert_int_eq(view->severity, CFA_FINDING_CRITICAL);
    }
    cfa_pledge_free(pledge);
    finish(&book);
}
END_TEST

START_TEST(a_webhook_that_waits_too_long_is_found) {
    struct book book;
    book_open(&book, _i);
    ck_assert_int_eq(accept_fact(&book, "evt_1", "pi_unknown", 100), CFA_WEBHOOK_PARKED);
    ck_assert_int_eq(accept_fact(&book, "evt_2", "pi_unknown", 100), CFA_WEBHOOK_PARKED);
    book_advance(&book, 30 * MINUTE_US);
    ck_assert_ptr_null(finding_of(book.engine, "webhook_parked", false));
    book_advance(&book, HOUR_US);
    const cfa_finding_view *view = expect_found(book.engine, "webhook_parked", 1, "pi_unknown");
    ck_assert_int_eq(view->severity, CFA_FINDING_WARNING);
    book_advance(&book, DAY_US);
    view = expect_found(book.engine, "webhook_parked", 1, "pi_unknown");
    ck_assert_int_eq(view->severity, CFA_FINDING_CRITICAL);
    ck_assert_int_eq(treat(book.engine, "webhook_parked"), 0); /* it names no payment of ours */
    finish(&book);
}
END_TEST

START_TEST(a_hold_that_runs_out_is_found) {
    struct book book;
    book_prepare(&book, _i);
    book.options.capture_manual = 1;
    book_start(&book);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    pledge_pay(&book, pledge);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_AUTHORIZED);
    book_advance(&book, 4 * DAY_US);
    book_settle(&book);
    ck_assert_ptr_null(finding_of(book.engine, "hold_expiring", false));
    book_advance(&book, 36 * HOUR_US);
    const char *id = cfa_pledge_payment_id(pledge);
    const cfa_finding_view *view = expect_found(book.engine, "hold_expiring", 1, id);
    ck_assert_int_eq(view->severity, CFA_FINDING_WARNING);
    book_advance(&book, DAY_US);
    view = expect_found(book.engine, "hold_expiring", 1, id);
    ck_assert_int_eq(view->severity, CFA_FINDING_CRITICAL);
    cfa_pledge_free(pledge);
    finish(&book);
}
END_TEST

static void make_refund(struct book *book, const cfa_pledge *pledge, cfa_refund_state state) {
    ck_assert_int_eq(cfa_play_refund_next(book->play, state), CFA_OK);
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    spec.key = cfa_refund_state_name(state);
    spec.payment_id = cfa_pledge_payment_id(pledge);
    spec.amount = (cfa_money){ 500, "EUR" };
    cfa_refund *refund;
    ck_assert_int_eq(cfa_refund_create(&refund, book->engine, &spec), CFA_OK);
    ck_assert_int_eq(cfa_refund_state_of(refund), state);
    cfa_refund_free(refund);
}

START_TEST(a_refund_that_failed_is_found_until_another_is_made) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    pledge_pay(&book, pledge);
    make_refund(&book, pledge, CFA_REFUND_FAILED);
    book_settle(&book);
    const cfa_finding_view *view = expect_found(book.engine, "refund_failed", 1, NULL);
    ck_assert(!view->safe);
    ck_assert_int_eq(strncmp(view->ids[0], "rfd_", 4), 0);
    ck_assert_ptr_nonnull(finding_of(book.engine, "refund_failed", true));
    book_advance(&book, HOUR_US);
    make_refund(&book, pledge, CFA_REFUND_SUCCEEDED);
    ck_assert_ptr_null(finding_of(book.engine, "refund_failed", false));
    ck_assert_ptr_null(finding_of(book.engine, "refund_failed", true));
    cfa_pledge_free(pledge);
    finish(&book);
}
END_TEST

START_TEST(what_failed_long_ago_is_no_finding) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    pledge_pay(&book, pledge);
    make_refund(&book, pledge, CFA_REFUND_FAILED);
    book_advance(&book, 31 * DAY_US);
    book_settle(&book);
    ck_assert_ptr_null(finding_of(book.engine, "refund_failed", true));
    cfa_pledge_free(pledge);
    finish(&book);
}
END_TEST

START_TEST(refunds_and_disputes_that_wait_are_found) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    pledge_pay(&book, pledge);
    make_refund(&book, pledge, CFA_REFUND_PENDING);
    make_refund(&book, pledge, CFA_REFUND_REQUIRES_ACTION);
    char ref[CFA_PLAY_REF_SIZE];
    ref_of(&book, pledge, ref);
    cfa_play_dispute_spec dispute = CFA_PLAY_DISPUTE_SPEC_INIT;
    dispute.ref = ref;
    dispute.amount_minor = 1000;
    dispute.evidence_due_us = cfa_manual_clock_now_us(book.clock) + 9 * DAY_US;
    ck_assert_int_eq(cfa_play_dispute(NULL, book.play, &dispute), CFA_OK);
    ck_assert_int_eq(cfa_play_deliver(NULL, book.play, book.engine, 0), CFA_OK);
    book_settle(&book);
    expect_found(book.engine, "refund_action", 1, NULL);
    ck_assert_ptr_null(finding_of(book.engine, "refund_pending", false));
    ck_assert_ptr_null(finding_of(book.engine, "dispute_due", false));
    book_advance(&book, 7 * DAY_US + HOUR_US);
    book_settle(&book);
    const cfa_finding_view *view = expect_found(book.engine, "refund_pending", 1, NULL);
    ck_assert(view->safe);
    ck_assert_int_eq(treat(book.engine, "refund_pending"), 1);
    view = expect_found(book.engine, "dispute_due", 1, NULL);
    ck_assert_int_eq(view->severity, CFA_FINDING_CRITICAL);
    book_advance(&book, 3 * DAY_US);
    expect_found(book.engine, "dispute_missed", 1, NULL);
    ck_assert_ptr_null(finding_of(book.engine, "dispute_due", false));
    cfa_pledge_free(pledge);
    finish(&book);
}
END_TEST

/* ---- the book as a whole --------------------------------------------------------------------- */

START_TEST(sinks_in_trouble_are_found_and_go_on) {
    struct book book;
    struct post post = { .only = 3 };
    post_open(&book, _i, &post, 0); /* a refusal stops it */
    post_gifts(&book, 3);
    book_settle(&book);
    const cfa_finding_view *view = expect_found(book.engine, "sink_stopped", 1, "post");
    ck_assert_int_eq(view->severity, CFA_FINDING_CRITICAL);
    post.only = 0;
    ck_assert_int_eq(treat(book.engine, "sink_stopped"), 1);
    post_deliver(&book);
    ck_assert_ptr_null(finding_of(book.engine, "sink_stopped", false));
    post_pause(book.engine);
    post_gifts(&book, 1);
    expect_found(book.engine, "sink_paused", 1, "post");
    expect_error(cfa_doctor_do(&(int64_t){ 0 }, book.engine, "sink_paused", NULL, NULL),
                 CFA_ENOTSUP, "code");
    post_resume(book.engine);
    book_advance(&book, 10 * MINUTE_US);
    expect_found(book.engine, "sink_behind", 1, "post");
    post_deliver(&book);
    expect_well(book.engine);
    forget_checkup();
    post_finish(&book, &post);
}
END_TEST

START_TEST(dead_letters_are_found_and_delivered_again) {
    struct book book;
    struct post post = { .only = 3 };
    post_open(&book, _i, &post, 1);
    post_gifts(&book, 3);
    post_deliver(&book);
    ck_assert(post_is_dead(book.engine, 3));
    expect_found(book.engine, "dead_letters", 1, "post");
    post.only = 0;
    ck_assert_int_eq(treat(book.engine, "dead_letters"), 1);
    post_deliver(&book);
    ck_assert(!post_is_dead(book.engine, 3));
    ck_assert_int_eq(post.times[3] + post.again[3], 1);
    ck_assert_ptr_null(finding_of(book.engine, "dead_letters", false));
    forget_checkup();
    post_finish(&book, &post);
}
END_TEST

START_TEST(totals_that_are_behind_are_found_and_brought_up) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    book_advance(&book, 2 * MINUTE_US);
    expect_found(book.engine, "totals_behind", 1, "totals");
    ck_assert_int_eq(treat(book.engine, "totals_behind"), 1);
    ck_assert_ptr_null(finding_of(book.engine, "totals_behind", false));
    cfa_pledge_free(pledge);
    finish(&book);
}
END_TEST

START_TEST(an_open_breaker_is_found) {
    struct book book;
    book_prepare(&book, _i);
    book.options.circuit_failures = 2;
    book_start(&book);
    cfa_play_weather weather = CFA_PLAY_WEATHER_INIT;
    weather.not_sent_ppm = 1000000;
    ck_assert_int_eq(cfa_play_weather_set(book.play, &weather), CFA_OK);
    for (int i = 0; i < 4; i++) {
        cfa_pledge_spec spec = gift(&book, (const char *[]){ "a", "b", "c", "d" }[i], 100);
        spec.timeout_ms = -1;
        cfa_pledge *pledge = NULL;
        cfa_status status = cfa_pledge_create(&pledge, book.engine, &spec);
        ck_assert(status == CFA_OK || status == CFA_ECIRCUIT);
        cfa_pledge_free(pledge);
        book_settle(&book);
    }
    expect_found(book.engine, "circuit_open", 1, "play");
    cfa_pledge_spec spec = gift(&book, "late", 100);
    cfa_pledge *pledge = NULL;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_ECIRCUIT);
    const cfa_finding_view *view = finding_of(book.engine, "operation_deferred", false);
    ck_assert_ptr_nonnull(view);
    ck_assert_int_eq(view->severity, CFA_FINDING_NOTE);
    finish(&book);
}
END_TEST

START_TEST(a_clock_behind_the_newest_commit_is_found) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge_free(pledge_make(&book, "k", 2500));
    book_settle(&book);
    cfa_manual_clock_jump(book.clock, -HOUR_US);
    const cfa_finding_view *view = expect_found(book.engine, "clock_behind", 1, NULL);
    ck_assert_int_ge(view->age_us, HOUR_US - SECOND_US);
    cfa_manual_clock_jump(book.clock, HOUR_US);
    ck_assert_ptr_null(finding_of(book.engine, "clock_behind", false));
    finish(&book);
}
END_TEST

/* ---- the provider's record ------------------------------------------------------------------- */

/* A record of the one payment, until it was read. */
struct one {
    cfa_reconcile_object object;
    bool read;
};

static cfa_status next_one(void *self, cfa_reconcile_object *out) {
    struct one *one = self;
    *out = one->object;
    one->read = !one->read;
    return one->read ? CFA_OK : CFA_ENOTFOUND;
}

static void reconcile_until(struct book *book, const cfa_pledge *pledge, int64_t until_us) {
    struct one one = { .read = false };
    cfa_arena *arena;
    int64_t charges;
    cfa_reconciliation *report;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    one.object =
        (cfa_reconcile_object){ .struct_size = sizeof one.object, .livemode = 1, .whole = 1 };
    one.object.refunded_minor = -1;
    ck_assert_int_eq(cfa_play_payment(&one.object.facts, &charges, book->play,
                                      cfa_pledge_payment_id(pledge), arena),
                     CFA_OK);
    cfa_reconcile_spec spec = CFA_RECONCILE_SPEC_INIT;
    spec.next = next_one;
    spec.next_self = &one;
    spec.from_us = 1;
    spec.until_us = until_us;
    ck_assert_int_eq(cfa_reconcile_engine(&report, book->engine, &spec), CFA_OK);
    ck_assert_msg(cfa_reconciliation_differences(report) == 0, "%s",
                  cfa_reconciliation_text(report));
    ck_assert_int_eq(cfa_reconcile_record(book->engine, report, NULL, 0), CFA_OK);
    cfa_reconciliation_free(report);
    cfa_arena_free(arena);
}

static cfa_pledge *pledge_paid_live(struct book *book, const char *key) {
    cfa_pledge *pledge = pledge_make(book, key, 2500);
    ck_assert_int_eq(cfa_play_confirm(book->play, cfa_pledge_client_secret(pledge), "pm_ok"),
                     CFA_OK);
    for (int i = 0; i < 10; i++) { /* its webhooks are of test mode: a read brings it */
        book_advance(book, MINUTE_US);
        book_settle(book);
    }
    ck_assert_int_eq(state_of(book->engine, pledge), CFA_PAYMENT_COMPLETED);
    return pledge;
}

START_TEST(real_money_that_was_never_compared_is_found) {
    struct book book;
    book_prepare(&book, _i);
    book.options.livemode = 1;
    book_start(&book);
    book_advance(&book, 10 * DAY_US);
    ck_assert_ptr_null(finding_of(book.engine, "reconcile_due", false));
    cfa_pledge *unpaid = pledge_make(&book, "unpaid", 100);
    cfa_pledge *pledge = pledge_paid_live(&book, "k");
    book_advance(&book, 3 * DAY_US - HOUR_US);
    ck_assert_ptr_null(finding_of(book.engine, "reconcile_due", false));
    book_advance(&book, 2 * HOUR_US);
    const cfa_finding_view *view = expect_found(book.engine, "reconcile_due", 1, NULL);
    ck_assert_int_eq(view->severity, CFA_FINDING_WARNING);
    ck_assert_ptr_nonnull(strstr(view->text, "never"));
    ck_assert_int_gt(view->age_us, 3 * DAY_US);
    expect_error(cfa_doctor_do(&(int64_t){ 0 }, book.engine, "reconcile_due", NULL, NULL),
                 CFA_ENOTSUP, "code");
    reconcile_until(&book, pledge, cfa_manual_clock_now_us(book.clock));
    book_advance(&book, 30 * DAY_US); /* nothing came since: nothing is due */
    ck_assert_ptr_null(finding_of(book.engine, "reconcile_due", false));
    cfa_pledge *later = pledge_paid_live(&book, "later");
    book_advance(&book, 4 * DAY_US);
    view = expect_found(book.engine, "reconcile_due", 1, NULL);
    ck_assert_ptr_nonnull(strstr(view->text, "until 2026-"));
    ck_assert_ptr_null(strstr(view->text, "never"));
    cfa_pledge_free(unpaid);
    cfa_pledge_free(pledge);
    cfa_pledge_free(later);
    forget_checkup();
    book_close(&book);
}
END_TEST

static cfa_storage clocked_inner;

static cfa_status clocked_begin(cfa_session *session, int32_t mode, int32_t timeout_ms,
                                int64_t *out_now_us) {
    cfa_status status = clocked_inner.ops->begin(session, mode, timeout_ms, out_now_us);
    *out_now_us = INT64_C(1767225600000000) + HOUR_US; /* the manual clock's start, and more */
    return status;
}

START_TEST(a_store_whose_clock_is_apart_is_found) {
    struct book book;
    book_prepare(&book, _i);
    cfa_storage_ops ops = *book.storage.ops;
    clocked_inner = book.storage;
    ops.capabilities |= CFA_STORAGE_CLOCK;
    ops.begin = clocked_begin;
    cfa_storage clocked = { &ops, book.storage.self };
    book.options.storage = &clocked;
    book_start(&book);
    expect_found(book.engine, "clock_skewed", 1, NULL);
    forget_checkup();
    book_close(&book);
}
END_TEST

/* ---- the checkup itself ---------------------------------------------------------------------- */

START_TEST(the_gravest_comes_first_with_what_the_host_found) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_in_doubt(&book, "k");
    cfa_finding_view disk = { .struct_size = sizeof disk,
                              .code = "disk_low",
                              .severity = CFA_FINDING_CRITICAL,
                              .count = 1,
                              .text = "The disk is <full>.",
                              .action = "Make room." };
    const cfa_finding_view *list[] = { &disk };
    cfa_doctor_spec spec = CFA_DOCTOR_SPEC_INIT;
    spec.host_findings = list;
    spec.host_finding_count = 1;
    cfa_checkup *checkup;
    ck_assert_int_eq(cfa_doctor(&checkup, book.engine, &spec), CFA_OK);
    ck_assert_uint_eq(cfa_checkup_size(checkup), 2);
    ck_assert_str_eq(cfa_checkup_at(checkup, 0)->code, "disk_low");
    ck_assert_str_eq(cfa_checkup_at(checkup, 1)->code, "operation_in_doubt");
    char *text;
    ck_assert_int_eq(cfa_checkup_write(&text, checkup, CFA_EXPLAIN_JSON), CFA_OK);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(root);
    ck_assert_str_eq(member(root, "state"), "CRITICAL");
    ck_assert_int_eq(number_in(root, "count"), 2);
    ck_assert_str_eq(member(item_of(root, "findings", "disk_low", 0), "severity"), "critical");
    ck_assert(is_set(item_of(root, "findings", "operation_in_doubt", 0), "safe"));
    json_decref(root);
    cfa_free(text);
    ck_assert_int_eq(cfa_checkup_write(&text, checkup, CFA_EXPLAIN_HTML), CFA_OK);
    ck_assert_ptr_nonnull(strstr(text, "The disk is &lt;full&gt;."));
    cfa_free(text);
    ck_assert_int_eq(cfa_checkup_write(&text, checkup, CFA_EXPLAIN_TEXT), CFA_OK);
    ck_assert_ptr_nonnull(strstr(text, "Make room."));
    cfa_free(text);
    cfa_checkup_free(checkup);
    disk.severity = 0;
    cfa_checkup *none = NULL;
    expect_error(cfa_doctor(&none, book.engine, &spec), CFA_EINVAL, "host_findings");
    int64_t done = -1;
    expect_error(cfa_doctor_do(&done, book.engine, "nonsense", NULL, NULL), CFA_EINVAL, "code");
    expect_error(cfa_doctor_do(&done, book.engine, NULL, NULL, NULL), CFA_EINVAL, "code");
    ck_assert_ptr_null(none);
    ck_assert_int_eq(done, -1);
    cfa_pledge_free(pledge);
    finish(&book);
}
END_TEST

/* The checkup's notes of what was not looked at. */
static size_t limits_of(cfa_engine *engine, bool deep) {
    cfa_doctor_spec spec = CFA_DOCTOR_SPEC_INIT;
    spec.deep = deep;
    cfa_checkup *checkup;
    char *text;
    ck_assert_int_eq(cfa_doctor(&checkup, engine, &spec), CFA_OK);
    ck_assert_int_eq(cfa_checkup_write(&text, checkup, CFA_EXPLAIN_JSON), CFA_OK);
    json_t *root = json_loads(text, 0, NULL);
    size_t count = count_of(root, "limits", "limit");
    json_decref(root);
    cfa_free(text);
    cfa_checkup_free(checkup);
    return count;
}

START_TEST(what_was_not_looked_at_is_said) {
    struct book book;
    char key[24];
    book_open(&book, STORE_MEMORY);
    ck_assert_uint_eq(limits_of(book.engine, false), 0);
    for (int i = 0; i < 5200; i++) {
        snprintf(key, sizeof key, "gift-%d", i);
        cfa_pledge_free(pledge_make(&book, key, 100));
    }
    ck_assert_uint_eq(limits_of(book.engine, false), 2); /* calls, and older events */
    ck_assert_uint_eq(limits_of(book.engine, true), 0);
    book_advance(&book, HOUR_US);
    const cfa_finding_view *view = finding_of(book.engine, "operation_overdue", false);
    ck_assert_int_eq(view->count, 5000);
    ck_assert_int_eq(view->id_count, CFA_FINDING_IDS_MAX);
    view = finding_of(book.engine, "operation_overdue", true);
    ck_assert_int_eq(view->count, 5200);
    forget_checkup();
    book_close(&book);
}
END_TEST

START_TEST(looking_writes_nothing) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_in_doubt(&book, "k");
    int64_t rows = all_rows_of(&book), head = head_of(book.engine);
    (void)finding_of(book.engine, "operation_in_doubt", true);
    char *text = story_text(book.engine, cfa_pledge_id(pledge), CFA_EXPLAIN_TEXT);
    cfa_free(text);
    ck_assert_int_eq(all_rows_of(&book), rows);
    ck_assert_int_eq(head_of(book.engine), head);
    cfa_pledge_free(pledge);
    finish(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("doctor");
    add_per_store(suite, "well", a_well_book_has_no_findings);
    add_per_store(suite, "doubt", a_call_in_doubt_is_found_and_asked_again);
    add_per_store(suite, "impatience", asking_too_early_never_proves_absence);
    add_per_store(suite, "overdue", calls_that_nobody_makes_are_found);
    add_per_store(suite, "unpaid", an_unpaid_payment_beyond_its_time_is_found);
    add_per_store(suite, "conflict", a_conflict_is_found_also_when_nothing_is_open);
    add_per_store(suite, "parked", a_webhook_that_waits_too_long_is_found);
    add_per_store(suite, "hold", a_hold_that_runs_out_is_found);
    add_per_store(suite, "refund_failed", a_refund_that_failed_is_found_until_another_is_made);
    add_per_store(suite, "long_ago", what_failed_long_ago_is_no_finding);
    add_per_store(suite, "reversals", refunds_and_disputes_that_wait_are_found);
    add_per_store(suite, "sinks", sinks_in_trouble_are_found_and_go_on);
    add_per_store(suite, "letters", dead_letters_are_found_and_delivered_again);
    add_per_store(suite, "totals", totals_that_are_behind_are_found_and_brought_up);
    add_per_store(suite, "breaker", an_open_breaker_is_found);
    add_per_store(suite, "reconcile", real_money_that_was_never_compared_is_found);
    add_per_store(suite, "clock", a_clock_behind_the_newest_commit_is_found);
    add_per_store(suite, "store_clock", a_store_whose_clock_is_apart_is_found);
    add_per_store(suite, "host", the_gravest_comes_first_with_what_the_host_found);
    add_once(suite, "limits", what_was_not_looked_at_is_said);
    add_per_store(suite, "reads", looking_writes_nothing);
    return run_suite(suite, argc, argv);
}
