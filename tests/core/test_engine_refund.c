/*
 * test_engine_refund.c - money that goes back: asked for, in doubt, refused, made elsewhere, disputed.
 * Nothing goes back twice, whoever asks, however often and whatever the wire does.
 */
#include "core/hooked.h"

#include <careforall/dispute.h>
#include <careforall/refund.h>
#include <stdio.h>
#include <string.h>

#include "core/engine/engine.h"

static struct book book;
static cfa_pledge *pledge;

/* ---- a payment that is paid ------------------------------------------------------------------ */

static void pay(int64_t minor) {
    pledge = pledge_make(&book, "gift", minor);
    if (cfa_pledge_state(pledge) != CFA_PAYMENT_COMPLETED)
        pledge_pay(&book, pledge);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
}

static void open_paid(int store) {
    book_open(&book, store);
    pay(1000);
}

static void close_whole(int64_t raised, int64_t refunded, int64_t disputed) {
    cfa_totals_row totals = totals_of(&book);
    ck_assert_int_eq(totals.raised_minor, raised);
    ck_assert_int_eq(totals.refunded_minor, refunded);
    ck_assert_int_eq(totals.disputed_minor, disputed);
    ck_assert_int_eq(totals.net_minor, raised - refunded - disputed);
    ck_assert_int_eq(play_books_of(&book).refunded_twice, 0);
    audit(&book);
    cfa_pledge_free(pledge);
    book_close(&book);
}

static const char *payment_id(void) { return cfa_pledge_payment_id(pledge); }

static cfa_status ask(cfa_refund **out, const char *key, int64_t minor) {
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    spec.key = key;
    spec.payment_id = payment_id();
    spec.amount = minor != 0 ? (cfa_money){ minor, "EUR" } : (cfa_money){ 0, "" };
    spec.reason = "asked by the donor";
    spec.timeout_ms = PATIENCE_MS;
    return cfa_refund_create(out, book.engine, &spec);
}

/* A refund that is asked for, and how it stands then. */
static cfa_refund_state asked(const char *key, int64_t minor) {
    cfa_refund *refund;
    cfa_status status = ask(&refund, key, minor);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    cfa_refund_state state = cfa_refund_state_of(refund);
    cfa_refund_free(refund);
    return state;
}

static void refused(const char *key, int64_t minor, cfa_status wanted, const char *field) {
    cfa_refund *refund = NULL;
    expect_error(ask(&refund, key, minor), wanted, field);
    ck_assert_ptr_null(refund);
}

/* The payment's only refund. */
static cfa_refund_state refund_state(void) {
    cfa_refund_list *list;
    ck_assert_int_eq(cfa_refund_list_of(&list, book.engine, payment_id()), CFA_OK);
    ck_assert_uint_eq(cfa_refund_list_size(list), 1);
    cfa_refund_state state = cfa_refund_state_of(cfa_refund_list_at(list, 0));
    cfa_refund_list_free(list);
    return state;
}

static const char *provider_ref(void) {
    static char ref[64];
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book.engine, payment_id()), CFA_OK);
    snprintf(ref, sizeof ref, "%s", cfa_payment_ref(payment));
    cfa_payment_free(payment);
    return ref;
}

static void deliver(void) {
    ck_assert_int_eq(cfa_play_deliver(NULL, book.play, book.engine, 0), CFA_OK);
}

/* Webhooks never come; probes must do. */
static void pass_days(int days) {
    for (int hour = 0; hour < 24 * days; hour++) {
        book_advance(&book, HOUR_US);
        book_settle(&book);
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

START_TEST(a_refund_gives_all_that_is_left) {
    open_paid(_i);
    cfa_refund *refund, *read;
    ck_assert_int_eq(ask(&refund, "r1", 0), CFA_OK);
    ck_assert_int_eq(cfa_refund_state_of(refund), CFA_REFUND_SUCCEEDED);
    ck_assert_int_eq(cfa_refund_amount(refund).minor, 1000);
    ck_assert_str_eq(cfa_refund_amount(refund).currency, "EUR");
    ck_assert_int_eq(cfa_refund_origin_of(refund), CFA_REFUND_ASKED);
    ck_assert_str_eq(cfa_refund_reason(refund), "asked by the donor");
    ck_assert_str_eq(cfa_refund_payment_id(refund), payment_id());
    ck_assert_ptr_nonnull(cfa_refund_ref(refund));
    ck_assert(!cfa_refund_replayed(refund));
    ck_assert_int_gt(cfa_refund_position(refund), 0);
    ck_assert_int_eq(cfa_refund_get(&read, book.engine, cfa_refund_id(refund)), CFA_OK);
    ck_assert_str_eq(cfa_refund_ref(read), cfa_refund_ref(refund));
    ck_assert_int_eq(cfa_refund_state_of(read), CFA_REFUND_SUCCEEDED);
    cfa_refund_free(read);
    cfa_refund_free(refund);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    deliver();
    close_whole(1000, 1000, 0);
}
END_TEST

START_TEST(one_key_is_one_refund_and_another_amount_is_refused) {
    open_paid(_i);
    cfa_refund *first, *again;
    ck_assert_int_eq(ask(&first, "r1", 300), CFA_OK);
    book_reopen(&book);
    book_advance(&book, 400 * DAY_US);
    ck_assert_int_eq(ask(&again, "r1", 300), CFA_OK);
    ck_assert_str_eq(cfa_refund_id(again), cfa_refund_id(first));
    ck_assert(cfa_refund_replayed(again));
    refused("r1", 301, CFA_EKEYREUSE, "amount.minor");
    refused("r1", 0, CFA_EKEYREUSE, "amount.minor");
    ck_assert_int_eq(play_books_of(&book).refund_count, 1);
    cfa_refund_free(first);
    cfa_refund_free(again);
    close_whole(1000, 300, 0);
}
END_TEST

START_TEST(equal_amounts_under_two_keys_are_two_refunds) {
    open_paid(_i);
    ck_assert_int_eq(asked("r1", 300), CFA_REFUND_SUCCEEDED);
    ck_assert_int_eq(asked("r2", 300), CFA_REFUND_SUCCEEDED);
    ck_assert_int_eq(play_books_of(&book).refund_count, 2);
    deliver();
    close_whole(1000, 600, 0);
}
END_TEST

START_TEST(never_more_than_is_left) {
    open_paid(_i);
    refused("r0", 1001, CFA_ERANGE, "amount.minor");
    ck_assert_int_eq(asked("r1", 400), CFA_REFUND_SUCCEEDED);
    refused("r2", 601, CFA_ERANGE, "amount.minor");
    ck_assert_int_eq(asked("r3", 600), CFA_REFUND_SUCCEEDED);
    refused("r4", 1, CFA_ESTATE, "payment_id");
    refused("r5", 0, CFA_ESTATE, "payment_id");
    /* What was refused has bound no key: it can be asked for with another content. */
    ck_assert_int_eq(play_books_of(&book).refund_count, 2);
    close_whole(1000, 1000, 0);
}
END_TEST

START_TEST(what_cannot_be_given_back_is_refused_with_its_field) {
    book_open(&book, _i);
    pledge = pledge_make(&book, "gift", 1000);
    refused("r1", 0, CFA_ESTATE, "payment_id");
    pledge_pay(&book, pledge);
    refused(NULL, 100, CFA_EKEY, "key");
    refused("r1", -1, CFA_ERANGE, "amount.minor");
    cfa_refund *refund = NULL;
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    spec.key = "r1";
    spec.payment_id = payment_id();
    spec.amount = (cfa_money){ 100, "USD" };
    expect_error(cfa_refund_create(&refund, book.engine, &spec), CFA_ECURRENCY, "amount.currency");
    spec.amount = (cfa_money){ 0, "USD" };
    expect_error(cfa_refund_create(&refund, book.engine, &spec), CFA_ECURRENCY, "amount.currency");
    spec.amount = (cfa_money){ 100, "EUR" };
    spec.payment_id = "plg_01h455vb4pex5vsknk084sn02q";
    expect_error(cfa_refund_create(&refund, book.engine, &spec), CFA_EINVAL, "payment_id");
    spec.payment_id = "pay_01h455vb4pex5vsknk084sn02q";
    expect_error(cfa_refund_create(&refund, book.engine, &spec), CFA_ENOTFOUND, "payment_id");
    spec.payment_id = payment_id();
    spec.reason = "a\x01";
    expect_error(cfa_refund_create(&refund, book.engine, &spec), CFA_EENCODING, "reason");
    spec.reason = NULL;
    spec.struct_size = 8;
    expect_error(cfa_refund_create(&refund, book.engine, &spec), CFA_EINVAL, "struct_size");
    expect_error(cfa_refund_get(&refund, book.engine, "rfd_01h455vb4pex5vsknk084sn02q"),
                 CFA_ENOTFOUND, "refund_id");
    ck_assert_ptr_null(refund);
    ck_assert_int_eq(rows_of(&book, "refund"), 0);
    close_whole(1000, 0, 0);
}
END_TEST

/* ---- many at once ---------------------------------------------------------------------------- */

#define ASKERS 8
static atomic_int granted;

static void ask_for_three_hundred(void *user, int index) {
    char key[16];
    (void)user;
    snprintf(key, sizeof key, "r%d", index);
    cfa_refund *refund;
    cfa_status status = ask(&refund, key, 300);
    if (status == CFA_OK) {
        granted++;
        cfa_refund_free(refund);
    } else {
        must(status == CFA_ERANGE);
    }
}

START_TEST(whoever_asks_at_once_gets_no_more_than_was_captured) {
    open_paid(_i);
    granted = 0;
    together(ASKERS, ask_for_three_hundred, NULL);
    ck_assert_int_eq(granted, 3);
    deliver();
    book_settle(&book);
    ck_assert_int_eq(play_books_of(&book).refund_count, 3);
    close_whole(1000, 900, 0);
}
END_TEST

static void ask_with_one_key(void *user, int index) {
    (void)user;
    (void)index;
    cfa_refund *refund;
    must(ask(&refund, "one", 300) == CFA_OK);
    cfa_refund_free(refund);
}

START_TEST(one_key_at_once_is_one_refund) {
    open_paid(_i);
    together(ASKERS, ask_with_one_key, NULL);
    deliver();
    book_settle(&book);
    ck_assert_int_eq(rows_of(&book, "refund"), 1);
    ck_assert_int_eq(play_books_of(&book).refund_count, 1);
    close_whole(1000, 300, 0);
}
END_TEST

/* ---- the wire -------------------------------------------------------------------------------- */

static const struct {
    int32_t fault;
    bool made; /* the first call had its effect, or a later one with the same key has */
} faults[] = {
    { CFA_PLAY_FAULT_REPLY_LOST, true },  { CFA_PLAY_FAULT_REQUEST_LOST, true },
    { CFA_PLAY_FAULT_ERROR_AFTER, true }, { CFA_PLAY_FAULT_ERROR_BEFORE, false },
    { CFA_PLAY_FAULT_NOT_SENT, true },    { CFA_PLAY_FAULT_REFUSED, false },
};

START_TEST(a_refund_in_doubt_is_made_once_or_proved_not_to_be) {
    int fault = _i / STORES;
    open_paid(_i % STORES);
    ck_assert_int_eq(cfa_play_fault_next(book.play, faults[fault].fault), CFA_OK);
    (void)asked("r1", 400);
    /* While it is in doubt it is reserved. */
    if (refund_state() == CFA_REFUND_REQUESTED)
        refused("r2", 601, CFA_ERANGE, "amount.minor");
    pass_days(2);
    ck_assert_int_eq(refund_state(),
                     faults[fault].made ? CFA_REFUND_SUCCEEDED : CFA_REFUND_REJECTED);
    ck_assert_int_eq(play_books_of(&book).refund_count, faults[fault].made);
    ck_assert_uint_eq(flags_of(book.engine, pledge), 0);
    ck_assert_int_eq(asked("r1", 400),
                     faults[fault].made ? CFA_REFUND_SUCCEEDED : CFA_REFUND_REJECTED);
    /* Whoever wants what was never made asks anew. */
    int64_t left = faults[fault].made ? 600 : 1000;
    ck_assert_int_eq(asked("r3", left), CFA_REFUND_SUCCEEDED);
    close_whole(1000, 1000, 0);
}
END_TEST

START_TEST(a_refund_survives_the_process_at_any_moment) {
    open_paid(_i);
    for (int i = 0; i < 4; i++) /* its reads too */
        ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_REPLY_LOST), CFA_OK);
    ck_assert_int_eq(asked("r1", 400), CFA_REFUND_REQUESTED);
    book_reopen(&book);
    pass_days(1);
    ck_assert_int_eq(refund_state(), CFA_REFUND_SUCCEEDED);
    ck_assert_int_eq(play_books_of(&book).refund_count, 1);
    close_whole(1000, 400, 0);
}
END_TEST

START_TEST(doubt_lasts_until_every_call_is_out_of_it) {
    open_paid(_i);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_ERROR_BEFORE), CFA_OK);
    ck_assert_int_eq(asked("r1", 300), CFA_REFUND_REQUESTED);
    book_advance(&book, 2 * HOUR_US);
    ck_assert_int_eq(asked("r2", 300), CFA_REFUND_REQUESTED);
    bool one_left = false;
    for (int minute = 0; minute < 24 * 60; minute++) {
        book_advance(&book, MINUTE_US);
        (void)!cfa_engine_tick(NULL, book.engine, CFA_WORK_ALL, 0);
        cfa_payment *payment;
        ck_assert_int_eq(cfa_payment_get(&payment, book.engine, payment_id()), CFA_OK);
        int64_t left = cfa_payment_refundable(payment).minor;
        bool unknown = (cfa_payment_flags(payment) & CFA_PAYMENT_FLAG_UNKNOWN) != 0;
        cfa_payment_free(payment);
        ck_assert(unknown == (left < 1000));
        one_left = one_left || left == 700;
    }
    ck_assert(one_left);
    ck_assert_uint_eq(flags_of(book.engine, pledge), 0);
    close_whole(1000, 0, 0);
}
END_TEST

START_TEST(a_payment_is_read_again_however_often_there_is_news) {
    open_paid(_i);
    for (int i = 0; i < 100; i++) { /* more than a payment may have operations */
        char id[32];
        snprintf(id, sizeof id, "evt_thin_%d", i);
        cfa_webhook_event event = { .struct_size = sizeof event,
                                    .event_id = id,
                                    .event_type = "test",
                                    .account = "",
                                    .relevant = 1,
                                    .fetch = 1,
                                    .facts = CFA_FACTS_INIT };
        event.facts.ref = provider_ref();
        cfa_webhook_verdict verdict;
        ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &event, PATIENCE_MS), CFA_OK);
        int64_t calls = play_books_of(&book).call_count;
        book_advance(&book, MINUTE_US);
        book_settle(&book);
        ck_assert_int_eq(play_books_of(&book).call_count, calls + 1);
    }
    close_whole(1000, 0, 0);
}
END_TEST

/* Whatever the n-th commit does. */
static int64_t fault_countdown;
static int32_t fault_kind;

static int32_t fail_one_commit(void *user, int32_t call, uint64_t number, cfa_status *out_status) {
    (void)user;
    (void)number;
    *out_status = CFA_EIO;
    return call == CFA_FAULT_COMMIT && --fault_countdown == 0 ? fault_kind : CFA_FAULT_PASS;
}

static bool refund_with_fault(int store, int32_t kind, int64_t nth) {
    fault_countdown = INT64_MAX;
    book_prepare(&book, store);
    book_wrap(&book, fail_one_commit, NULL);
    book_start(&book);
    pay(1000);
    fault_kind = kind;
    fault_countdown = nth;
    cfa_refund *refund = NULL;
    cfa_status status = ask(&refund, "r1", 400);
    bool met = fault_countdown <= 0;
    fault_countdown = INT64_MAX;
    ck_assert(status == CFA_OK || cfa_status_class_of(status) == CFA_CLASS_TRANSIENT ||
              status == CFA_EINDOUBT);
    if (status == CFA_OK)
        cfa_refund_free(refund);
    for (int i = 0; i < 3; i++) {
        book_advance(&book, MINUTE_US);
        (void)!cfa_engine_tick(NULL, book.engine, CFA_WORK_ALL, 0);
        book_settle(&book);
    }
    ck_assert_int_eq(asked("r1", 400), CFA_REFUND_SUCCEEDED);
    ck_assert_int_eq(play_books_of(&book).refund_count, 1);
    close_whole(1000, 400, 0);
    return met;
}

START_TEST(whichever_commit_fails_a_refund_is_made_once) {
    static const int32_t kinds[] = { CFA_FAULT_FAIL, CFA_FAULT_DOUBT_DONE,
                                     CFA_FAULT_DOUBT_NOT_DONE };
    int64_t nth = 1;
    while (refund_with_fault(_i % STORES, kinds[_i / STORES], nth))
        ck_assert_int_lt(nth++, 20);
    ck_assert_int_ge(nth, 2);
}
END_TEST

/* ---- what takes its time --------------------------------------------------------------------- */

START_TEST(a_pending_refund_is_asked_after_until_it_is_over) {
    open_paid(_i);
    ck_assert_int_eq(cfa_play_refund_next(book.play, CFA_REFUND_PENDING), CFA_OK);
    cfa_refund *refund;
    ck_assert_int_eq(ask(&refund, "r1", 400), CFA_OK);
    ck_assert_int_eq(cfa_refund_state_of(refund), CFA_REFUND_PENDING);
    ck_assert_int_eq(totals_of(&book).refunded_minor, 400);
    pass_days(1);
    ck_assert_int_eq(refund_state(), CFA_REFUND_PENDING);
    cfa_play_refund_spec move = CFA_PLAY_REFUND_SPEC_INIT;
    move.ref = cfa_refund_ref(refund);
    move.state = CFA_REFUND_FAILED;
    ck_assert_int_eq(cfa_play_refund(NULL, book.play, &move), CFA_OK);
    pass_days(3); /* no webhook was delivered */
    ck_assert_int_eq(refund_state(), CFA_REFUND_FAILED);
    int64_t calls = play_books_of(&book).call_count;
    pass_days(3);
    ck_assert_int_eq(play_books_of(&book).call_count, calls);
    ck_assert_int_eq(asked("r2", 1000), CFA_REFUND_SUCCEEDED);
    cfa_refund_free(refund);
    close_whole(1000, 1000, 0);
}
END_TEST

START_TEST(a_refund_that_fails_after_it_succeeded_is_money_again) {
    open_paid(_i);
    cfa_refund *refund;
    ck_assert_int_eq(ask(&refund, "r1", 0), CFA_OK);
    cfa_play_refund_spec move = CFA_PLAY_REFUND_SPEC_INIT;
    move.ref = cfa_refund_ref(refund);
    move.state = CFA_REFUND_FAILED;
    ck_assert_int_eq(cfa_play_refund(NULL, book.play, &move), CFA_OK);
    deliver();
    ck_assert_int_eq(refund_state(), CFA_REFUND_FAILED);
    ck_assert_int_eq(totals_of(&book).net_minor, 1000);
    cfa_refund_free(refund);
    close_whole(1000, 0, 0);
}
END_TEST

START_TEST(a_refund_made_at_the_provider_is_seen_and_holds_its_part) {
    open_paid(_i);
    cfa_play_refund_spec make = CFA_PLAY_REFUND_SPEC_INIT;
    make.ref = provider_ref();
    make.amount_minor = 700;
    ck_assert_int_eq(cfa_play_refund(NULL, book.play, &make), CFA_OK);
    deliver();
    ck_assert_int_eq(refund_state(), CFA_REFUND_SUCCEEDED);
    refused("r1", 301, CFA_ERANGE, "amount.minor");
    ck_assert_int_eq(asked("r2", 0), CFA_REFUND_SUCCEEDED);
    close_whole(1000, 1000, 0);
}
END_TEST

START_TEST(a_refund_that_the_provider_refuses_shows_what_it_has_instead) {
    open_paid(_i);
    cfa_play_refund_spec make = CFA_PLAY_REFUND_SPEC_INIT;
    make.ref = provider_ref();
    ck_assert_int_eq(cfa_play_refund(NULL, book.play, &make), CFA_OK);
    /* Its webhook is still on the way: we do not know yet. */
    ck_assert_int_eq(asked("r1", 0), CFA_REFUND_REJECTED);
    pass_days(1);
    ck_assert_int_eq(rows_of(&book, "refund"), 2);
    close_whole(1000, 1000, 0);
}
END_TEST

/* ---- disputes -------------------------------------------------------------------------------- */

static char dispute_ref[CFA_PLAY_REF_SIZE];

static cfa_play_dispute_spec dispute_begin(int64_t minor, cfa_dispute_state state) {
    cfa_play_dispute_spec spec = CFA_PLAY_DISPUTE_SPEC_INIT;
    spec.ref = provider_ref();
    spec.amount_minor = minor;
    spec.state = state;
    return spec;
}

static void dispute(const cfa_play_dispute_spec *spec) {
    cfa_status status = cfa_play_dispute(dispute_ref, book.play, spec);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    deliver();
}

static cfa_dispute_state dispute_state(void) {
    cfa_dispute_list *list;
    ck_assert_int_eq(cfa_dispute_list_of(&list, book.engine, payment_id()), CFA_OK);
    ck_assert_uint_eq(cfa_dispute_list_size(list), 1);
    const cfa_dispute *only = cfa_dispute_list_at(list, 0);
    cfa_dispute *read;
    ck_assert_int_eq(cfa_dispute_get(&read, book.engine, cfa_dispute_id(only)), CFA_OK);
    ck_assert_str_eq(cfa_dispute_ref(read), dispute_ref);
    ck_assert_str_eq(cfa_dispute_payment_id(read), payment_id());
    cfa_dispute_state state = cfa_dispute_state_of(read);
    cfa_dispute_free(read);
    cfa_dispute_list_free(list);
    return state;
}

START_TEST(what_a_dispute_may_still_take_is_not_given_back) {
    open_paid(_i);
    cfa_play_dispute_spec spec = dispute_begin(700, CFA_DISPUTE_INQUIRY);
    dispute(&spec);
    ck_assert_int_eq(dispute_state(), CFA_DISPUTE_INQUIRY);
    ck_assert_int_eq(asked("r1", 100), CFA_REFUND_SUCCEEDED); /* an inquiry holds nothing */
    spec = (cfa_play_dispute_spec)CFA_PLAY_DISPUTE_SPEC_INIT;
    spec.ref = dispute_ref;
    spec.state = CFA_DISPUTE_OPEN;
    dispute(&spec);
    ck_assert_int_eq(totals_of(&book).disputed_minor, 0); /* no money moved yet */
    refused("r2", 201, CFA_ERANGE, "amount.minor");
    spec.withdrawn_minor = 700;
    spec.fee = (cfa_money){ 1500, "EUR" };
    spec.state = 0;
    dispute(&spec);
    ck_assert_int_eq(totals_of(&book).disputed_minor, 700);
    refused("r3", 201, CFA_ERANGE, "amount.minor");
    ck_assert_int_eq(asked("r4", 200), CFA_REFUND_SUCCEEDED);
    refused("r5", 0, CFA_ESTATE, "payment_id");
    spec.state = CFA_DISPUTE_WON;
    dispute(&spec);
    refused("r6", 0, CFA_ESTATE, "payment_id"); /* the money is not back yet */
    spec.state = 0;
    spec.reinstated_minor = 700;
    dispute(&spec);
    ck_assert_int_eq(totals_of(&book).disputed_minor, 0);
    ck_assert_int_eq(asked("r7", 0), CFA_REFUND_SUCCEEDED);
    ck_assert_uint_eq(flags_of(book.engine, pledge), 0);
    close_whole(1000, 1000, 0);
}
END_TEST

START_TEST(a_lost_dispute_stays_taken) {
    open_paid(_i);
    cfa_play_dispute_spec spec = dispute_begin(0, CFA_DISPUTE_OPEN);
    spec.withdrawn_minor = 1000;
    dispute(&spec);
    spec = (cfa_play_dispute_spec)CFA_PLAY_DISPUTE_SPEC_INIT;
    spec.ref = dispute_ref;
    spec.state = CFA_DISPUTE_LOST;
    dispute(&spec);
    ck_assert_int_eq(dispute_state(), CFA_DISPUTE_LOST);
    refused("r1", 0, CFA_ESTATE, "payment_id");
    close_whole(1000, 0, 1000);
}
END_TEST

static bool provider_is_out, dispute_comes;

/* A provider that would refund what is disputed, if it could be reached. */
static void refund_blindly(struct book *of, const cfa_call *call, cfa_arena *arena,
                           cfa_reply *out) {
    if (call->kind == CFA_CALL_REFUND && dispute_comes) {
        cfa_play_dispute_spec spec = dispute_begin(1000, CFA_DISPUTE_OPEN);
        spec.withdrawn_minor = 1000;
        dispute_comes = false;
        dispute(&spec);
    }
    if (call->kind == CFA_CALL_REFUND && provider_is_out)
        out->outcome = CFA_OUTCOME_NOT_SENT;
    else
        hooked_pass(of, call, arena, out);
}

/* Rejected by us, before the provider was asked: it says "charge_disputed". */
static void expect_called_off(const char *key, int64_t minor) {
    cfa_refund *refund;
    ck_assert_int_eq(ask(&refund, key, minor), CFA_OK);
    ck_assert_int_eq(cfa_refund_state_of(refund), CFA_REFUND_REJECTED);
    ck_assert_str_eq(cfa_refund_failure_code(refund), "disputed");
    cfa_refund_free(refund);
}

START_TEST(what_was_not_sent_before_a_dispute_took_the_money_is_called_off) {
    static struct hooked wire;
    book_prepare(&book, _i);
    hooked_use(&wire, &book, refund_blindly);
    book_start(&book);
    pay(1000);
    provider_is_out = true;
    ck_assert_int_eq(asked("r1", 300), CFA_REFUND_REQUESTED);
    ck_assert_int_eq(asked("r2", 600), CFA_REFUND_REQUESTED);
    cfa_play_dispute_spec spec = dispute_begin(600, CFA_DISPUTE_OPEN);
    spec.withdrawn_minor = 600;
    dispute(&spec);
    provider_is_out = false;
    pass_days(1);
    ck_assert_int_eq(asked("r1", 300), CFA_REFUND_SUCCEEDED);
    expect_called_off("r2", 600);
    ck_assert_int_eq(play_books_of(&book).refund_count, 1);
    ck_assert_uint_eq(flags_of(book.engine, pledge), 0);
    close_whole(1000, 300, 600);
}
END_TEST

START_TEST(what_a_dispute_took_during_a_call_that_was_not_sent_is_called_off) {
    static struct hooked wire;
    book_prepare(&book, _i);
    hooked_use(&wire, &book, refund_blindly);
    book_start(&book);
    pay(1000);
    provider_is_out = dispute_comes = true;
    (void)asked("r1", 0);
    provider_is_out = false;
    pass_days(1);
    expect_called_off("r1", 0);
    ck_assert_int_eq(play_books_of(&book).refund_count, 0);
    ck_assert_uint_eq(flags_of(book.engine, pledge), 0);
    close_whole(1000, 0, 1000);
}
END_TEST

START_TEST(disputes_are_found_by_reads_when_webhooks_are_lost) {
    open_paid(_i);
    cfa_play_dispute_spec spec = dispute_begin(0, CFA_DISPUTE_INQUIRY);
    dispute(&spec);
    spec = (cfa_play_dispute_spec)CFA_PLAY_DISPUTE_SPEC_INIT;
    spec.ref = dispute_ref;
    spec.state = CFA_DISPUTE_OPEN;
    spec.withdrawn_minor = 1000;
    ck_assert_int_eq(cfa_play_dispute(NULL, book.play, &spec), CFA_OK); /* not delivered */
    pass_days(3);
    ck_assert_int_eq(dispute_state(), CFA_DISPUTE_OPEN);
    close_whole(1000, 0, 1000);
}
END_TEST

/* ---- late money ------------------------------------------------------------------------------ */

static void set_late_rule(cfa_late_rule rule) {
    cfa_campaign *campaign;
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    ck_assert_int_eq(cfa_campaign_get(&campaign, book.engine, book.campaign_id), CFA_OK);
    spec.key = "late-rule";
    spec.title = cfa_campaign_title(campaign);
    spec.currencies = cfa_campaign_currencies(campaign);
    spec.late_rule = rule;
    cfa_campaign *changed;
    ck_assert_int_eq(cfa_campaign_update(&changed, book.engine, book.campaign_id,
                                         cfa_campaign_version(campaign), &spec),
                     CFA_OK);
    cfa_campaign_free(campaign);
    cfa_campaign_free(changed);
}

static void tell_paid(const char *event_id, uint32_t flags) {
    cfa_webhook_event event = { .struct_size = sizeof event,
                                .event_id = event_id,
                                .event_type = "test",
                                .account = "",
                                .relevant = 1,
                                .facts = CFA_FACTS_INIT };
    event.facts.ref = provider_ref();
    event.facts.flags = flags;
    cfa_webhook_verdict verdict;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &event, PATIENCE_MS), CFA_OK);
    ck_assert_int_eq(verdict, CFA_WEBHOOK_APPLIED);
}

enum { IN_TIME, CANCEL_FIRST, CANCEL_LAST };

/* The provider knows it as paid, and we hear of a cancel as well. */
static void late_success(cfa_late_rule rule, int cancel) {
    pledge = pledge_make(&book, "gift", 1000);
    set_late_rule(rule);
    if (cancel == CANCEL_FIRST)
        tell_paid("evt_cancel", CFA_FACT_CANCELED);
    pledge_pay(&book, pledge);
    if (cancel == CANCEL_LAST)
        tell_paid("evt_cancel", CFA_FACT_CANCELED);
    book_advance(&book, SECOND_US); /* until somebody looks for calls that are due */
    book_settle(&book);
    deliver();
    book_settle(&book);
    deliver();
}

START_TEST(money_after_a_cancel_goes_back_where_the_campaign_says_so) {
    book_open(&book, _i % STORES);
    bool back = _i / STORES % 2 == 1;
    late_success(back ? CFA_LATE_REFUND : CFA_LATE_ACCEPT,
                 _i / STORES < 2 ? CANCEL_FIRST : CANCEL_LAST);
    ck_assert_uint_eq(flags_of(book.engine, pledge), CFA_PAYMENT_FLAG_LATE);
    ck_assert_int_eq(rows_of(&book, "refund"), back);
    if (back)
        ck_assert_int_eq(refund_state(), CFA_REFUND_SUCCEEDED);
    close_whole(1000, back ? 1000 : 0, 0);
}
END_TEST

START_TEST(money_after_the_campaigns_end_goes_back_where_the_campaign_says_so) {
    book_open(&book, _i % STORES);
    bool back = _i / STORES == 1;
    pledge = pledge_make(&book, "gift", 1000);
    set_late_rule(back ? CFA_LATE_REFUND : CFA_LATE_ACCEPT);
    cfa_campaign *campaign, *ended;
    ck_assert_int_eq(cfa_campaign_get(&campaign, book.engine, book.campaign_id), CFA_OK);
    ck_assert_int_eq(cfa_campaign_end(&ended, book.engine, book.campaign_id,
                                      cfa_campaign_version(campaign), NULL, "end", NULL),
                     CFA_OK);
    cfa_campaign_free(campaign);
    cfa_campaign_free(ended);
    pledge_pay(&book, pledge);
    book_settle(&book);
    deliver();
    ck_assert_uint_eq(flags_of(book.engine, pledge), CFA_PAYMENT_FLAG_LATE);
    ck_assert_int_eq(rows_of(&book, "refund"), back);
    close_whole(1000, back ? 1000 : 0, 0);
}
END_TEST

START_TEST(money_in_time_stays_under_every_rule) {
    book_open(&book, _i);
    late_success(CFA_LATE_REFUND, IN_TIME);
    ck_assert_uint_eq(flags_of(book.engine, pledge), 0);
    ck_assert_int_eq(rows_of(&book, "refund"), 0);
    close_whole(1000, 0, 0);
}
END_TEST

/* ---- fees and warnings ----------------------------------------------------------------------- */

START_TEST(a_fee_and_a_fraud_warning_change_no_total) {
    open_paid(_i);
    ck_assert_int_eq(cfa_play_fee(book.play, provider_ref(), (cfa_money){ 59, "USD" }), CFA_OK);
    ck_assert_int_eq(cfa_play_fraud_warning(book.play, provider_ref()), CFA_OK);
    int64_t before = head_of(book.engine);
    deliver();
    ck_assert_int_eq(head_of(book.engine), before + 2);
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book.engine, payment_id()), CFA_OK);
    ck_assert_int_eq(cfa_payment_fee(payment).minor, 59);
    ck_assert_str_eq(cfa_payment_fee(payment).currency, "USD");
    ck_assert_uint_eq(cfa_payment_flags(payment), CFA_PAYMENT_FLAG_FRAUD_WARNING);
    ck_assert_int_eq(cfa_payment_refunded(payment).minor, 0);
    ck_assert_int_eq(cfa_payment_disputed(payment).minor, 0);
    ck_assert_int_eq(cfa_payment_refundable(payment).minor, 1000);
    cfa_payment_free(payment);
    close_whole(1000, 0, 0);
}
END_TEST

/* ---- the suite ------------------------------------------------------------------------------- */

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine refund");
    add_per_store(suite, "all_left", a_refund_gives_all_that_is_left);
    add_per_store(suite, "one_key", one_key_is_one_refund_and_another_amount_is_refused);
    add_per_store(suite, "two_keys", equal_amounts_under_two_keys_are_two_refunds);
    add_per_store(suite, "never_more", never_more_than_is_left);
    add_per_store(suite, "fields", what_cannot_be_given_back_is_refused_with_its_field);
    add_per_store(suite, "race", whoever_asks_at_once_gets_no_more_than_was_captured);
    add_per_store(suite, "race_of_one_key", one_key_at_once_is_one_refund);
    add_loop(suite, "doubt", a_refund_in_doubt_is_made_once_or_proved_not_to_be,
             STORES * (int)COUNT(faults));
    add_per_store(suite, "restart", a_refund_survives_the_process_at_any_moment);
    add_per_store(suite, "two_doubts", doubt_lasts_until_every_call_is_out_of_it);
    add_per_store(suite, "read_again", a_payment_is_read_again_however_often_there_is_news);
    add_loop(suite, "any_commit", whichever_commit_fails_a_refund_is_made_once, 3 * STORES);
    add_per_store(suite, "pending", a_pending_refund_is_asked_after_until_it_is_over);
    add_per_store(suite, "late_failure", a_refund_that_fails_after_it_succeeded_is_money_again);
    add_per_store(suite, "external", a_refund_made_at_the_provider_is_seen_and_holds_its_part);
    add_per_store(suite, "rejected", a_refund_that_the_provider_refuses_shows_what_it_has_instead);
    add_per_store(suite, "guard", what_a_dispute_may_still_take_is_not_given_back);
    add_per_store(suite, "unsent", what_was_not_sent_before_a_dispute_took_the_money_is_called_off);
    add_per_store(suite, "unsent_call",
                  what_a_dispute_took_during_a_call_that_was_not_sent_is_called_off);
    add_per_store(suite, "lost", a_lost_dispute_stays_taken);
    add_per_store(suite, "lost_webhooks", disputes_are_found_by_reads_when_webhooks_are_lost);
    add_loop(suite, "late_cancel", money_after_a_cancel_goes_back_where_the_campaign_says_so,
             4 * STORES);
    add_loop(suite, "late_end", money_after_the_campaigns_end_goes_back_where_the_campaign_says_so,
             2 * STORES);
    add_per_store(suite, "in_time", money_in_time_stays_under_every_rule);
    add_per_store(suite, "fee", a_fee_and_a_fraud_warning_change_no_total);
    return run_suite(suite, argc, argv);
}
