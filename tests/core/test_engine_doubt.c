/*
 * test_engine_doubt.c - what the provider did is not known: it timed out after acting, answered an
 * error, was never reached, or the process that asked is gone. Doubt is never failure, and never a
 * second charge.
 */
#include "support/book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a provider that is told what to answer and remembers what it was asked ------------------ */

struct asked {
    int32_t kind;
    int64_t at_us;
    char key[80];
};

static struct {
    struct asked calls[400];
    int count;
    int32_t create_outcome, lookup_outcome;
} wire;

static cfa_status wire_prepare(void *self, const cfa_call *call, cfa_arena *arena,
                               cfa_slice *out_body) {
    (void)self;
    (void)call;
    (void)arena;
    *out_body = (cfa_slice){ "", 0 };
    return CFA_OK;
}

static void wire_call(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    (void)self;
    (void)arena;
    ck_assert_int_lt(wire.count, (int)COUNT(wire.calls));
    struct asked *asked = &wire.calls[wire.count++];
    asked->kind = call->kind;
    asked->at_us = call->now_us;
    snprintf(asked->key, sizeof asked->key, "%s", call->idempotency_key);
    out->outcome = call->kind == CFA_CALL_CREATE ? wire.create_outcome : wire.lookup_outcome;
}

static const cfa_provider_ops weak_ops = {
    .struct_size = sizeof weak_ops,
    .name = "wire",
    .capabilities = CFA_PROVIDER_TWO_STEP,
    .prepare = wire_prepare,
    .call = wire_call,
};
static const cfa_provider_ops strong_ops = {
    .struct_size = sizeof strong_ops,
    .name = "wire",
    .capabilities = CFA_PROVIDER_TWO_STEP | CFA_PROVIDER_LOOKUP_AUTHORITATIVE,
    .prepare = wire_prepare,
    .call = wire_call,
};

static cfa_pledge *committed(struct book *book, const char *key, int64_t minor) {
    cfa_pledge_spec spec = gift(book, key, minor);
    spec.wait = CFA_WAIT_COMMIT;
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book->engine, &spec), CFA_OK);
    return pledge;
}

/* Days pass, looked at every ten minutes; doubt must never look like an end. */
static void doubt_for_days(struct book *book, const cfa_pledge *pledge, int days) {
    for (int step = 0; step < days * 144; step++) {
        book_settle(book);
        ck_assert_int_eq(state_of(book->engine, pledge), CFA_PAYMENT_PENDING);
        book_advance(book, 10 * MINUTE_US);
    }
}

static void wire_open(struct book *book, int store, const cfa_provider *provider, int32_t create,
                      int32_t lookup) {
    memset(&wire, 0, sizeof wire);
    wire.create_outcome = create;
    wire.lookup_outcome = lookup;
    book_prepare(book, store);
    book->options.provider = provider;
    book_start(book);
}

START_TEST(after_twelve_hours_a_key_is_never_sent_again) {
    struct book book;
    const cfa_provider provider = { &weak_ops, NULL };
    wire_open(&book, _i, &provider, CFA_OUTCOME_UNKNOWN, CFA_OUTCOME_UNKNOWN);
    cfa_pledge *pledge = committed(&book, "k", 100);
    doubt_for_days(&book, pledge, 4);
    ck_assert_uint_eq(flags_of(book.engine, pledge), CFA_PAYMENT_FLAG_UNKNOWN);
    int creates = 0, late_lookups = 0;
    for (int i = 0; i < wire.count; i++) {
        int64_t age_us = wire.calls[i].at_us - wire.calls[0].at_us;
        if (wire.calls[i].kind == CFA_CALL_CREATE) {
            ck_assert_str_eq(wire.calls[i].key, wire.calls[0].key);
            ck_assert_int_lt(age_us, 12 * HOUR_US);
            creates++;
        } else {
            ck_assert_int_eq(wire.calls[i].kind, CFA_CALL_LOOKUP);
            late_lookups += age_us >= 12 * HOUR_US;
        }
    }
    ck_assert_int_ge(creates, 2);
    ck_assert_int_ge(late_lookups, 2);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(absence_that_proves_nothing_never_gives_a_new_key) {
    struct book book;
    const cfa_provider provider = { &weak_ops, NULL };
    wire_open(&book, _i, &provider, CFA_OUTCOME_UNKNOWN, CFA_OUTCOME_NOT_SENT);
    cfa_pledge *pledge = committed(&book, "k", 100);
    doubt_for_days(&book, pledge, 3);
    for (int i = 0; i < wire.count; i++) {
        if (wire.calls[i].kind == CFA_CALL_CREATE)
            ck_assert_str_eq(wire.calls[i].key, wire.calls[0].key);
    }
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

START_TEST(a_new_key_comes_only_after_proven_absence) {
    struct book book;
    const cfa_provider provider = { &strong_ops, NULL };
    wire_open(&book, _i, &provider, CFA_OUTCOME_UNKNOWN, CFA_OUTCOME_NOT_SENT);
    cfa_pledge *pledge = committed(&book, "k", 100);
    for (int step = 0; step < 4 * 3600 / 30; step++) {
        book_settle(&book);
        ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_PENDING);
        book_advance(&book, 30 * SECOND_US);
    }
    int keys = 1;
    int64_t last_sent_us = wire.calls[0].at_us;
    for (int i = 1; i < wire.count; i++) {
        if (wire.calls[i].kind != CFA_CALL_CREATE)
            continue;
        const struct asked *before = &wire.calls[i - 1];
        if (strcmp(wire.calls[i].key, before->key) != 0) {
            /* The call before was the proof, made long enough after the old key was last used. */
            ck_assert_int_eq(before->kind, CFA_CALL_LOOKUP);
            ck_assert_int_ge(before->at_us - last_sent_us, 10 * MINUTE_US);
            keys++;
        }
        last_sent_us = wire.calls[i].at_us;
    }
    ck_assert_int_ge(keys, 2);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- one misfortune at a time ---------------------------------------------------------------- */

static const int32_t faults[] = { CFA_PLAY_FAULT_REPLY_LOST, CFA_PLAY_FAULT_REQUEST_LOST,
                                  CFA_PLAY_FAULT_ERROR_AFTER, CFA_PLAY_FAULT_ERROR_BEFORE,
                                  CFA_PLAY_FAULT_NOT_SENT };

/* Time passes in ever larger steps until the payment is as wanted; on the way it never looks
 * failed. */
static void wait_for(struct book *book, const cfa_pledge *pledge, cfa_payment_state wanted) {
    for (int step = 0; step < 40; step++) {
        book_settle(book);
        cfa_payment_state state = state_of(book->engine, pledge);
        ck_assert_int_ne(state, CFA_PAYMENT_FAILED);
        if (state == wanted && (flags_of(book->engine, pledge) & CFA_PAYMENT_FLAG_UNKNOWN) == 0)
            return;
        book_advance(book, step < 30 ? MINUTE_US : HOUR_US);
    }
    ck_abort_msg("never %s", cfa_payment_state_name(wanted));
}

static void create_in_doubt(int store, int32_t fault, bool one_step) {
    struct book book;
    book_prepare(&book, store);
    book.play_options.one_step = one_step;
    book_start(&book);
    ck_assert_int_eq(cfa_play_fault_next(book.play, fault), CFA_OK);
    cfa_pledge *pledge = committed(&book, "k", 100), *answered;
    book_settle(&book);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_PENDING);
    ck_assert_uint_eq(flags_of(book.engine, pledge),
                      fault == CFA_PLAY_FAULT_NOT_SENT ? 0 : CFA_PAYMENT_FLAG_UNKNOWN);
    if (one_step) {
        wait_for(&book, pledge, CFA_PAYMENT_COMPLETED);
    } else {
        cfa_pledge_spec spec = gift(&book, "k", 100);
        spec.timeout_ms = -1;
        bool pending = true;
        for (int minute = 0; minute < 180 && pending; minute++) {
            book_advance(&book, MINUTE_US);
            book_settle(&book);
            ck_assert_int_eq(cfa_pledge_create(&answered, book.engine, &spec), CFA_OK);
            pending = cfa_pledge_pending(answered);
            if (pending)
                cfa_pledge_free(answered);
        }
        ck_assert_msg(!pending, "fault %d: the answer never came", fault);
        ck_assert_msg(cfa_pledge_client_secret(answered) != NULL, "fault %d: no secret", fault);
        pledge_pay(&book, answered);
        wait_for(&book, pledge, CFA_PAYMENT_COMPLETED);
        cfa_pledge_free(answered);
    }
    ck_assert_int_eq(play_books_of(&book).intent_count, 1);
    ck_assert_int_eq(play_books_of(&book).charge_count, 1);
    ck_assert_int_eq(totals_of(&book).raised_minor, 100);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}

START_TEST(a_create_in_doubt_makes_one_object) {
    for (size_t i = 0; i < COUNT(faults); i++)
        create_in_doubt(_i, faults[i], false);
}
END_TEST

START_TEST(a_charge_in_doubt_charges_once) {
    for (size_t i = 0; i < COUNT(faults); i++)
        create_in_doubt(_i, faults[i], true);
}
END_TEST

START_TEST(a_refused_create_fails_and_charges_nothing) {
    struct book book;
    book_open(&book, _i);
    ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_REFUSED), CFA_OK);
    cfa_pledge *pledge = pledge_make(&book, "k", 100), *again = pledge_make(&book, "k", 100);
    ck_assert_int_eq(cfa_pledge_state(pledge), CFA_PAYMENT_FAILED);
    ck_assert(!cfa_pledge_pending(pledge) && answers_equal(pledge, again));
    ck_assert_int_eq(play_books_of(&book).intent_count, 0);
    ck_assert_int_eq(totals_of(&book).pledged_minor, 0);
    cfa_pledge_free(pledge);
    cfa_pledge_free(again);
    audit(&book);
    book_close(&book);
}
END_TEST

static void change_in_doubt(int store, int32_t fault, bool capture) {
    struct book book;
    book_prepare(&book, store);
    book.options.capture_manual = 1;
    book_start(&book);
    cfa_pledge *pledge = pledge_make(&book, "k", 100);
    pledge_pay(&book, pledge);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_AUTHORIZED);
    ck_assert_int_eq(cfa_play_fault_next(book.play, fault), CFA_OK);
    cfa_payment *payment;
    const char *id = cfa_pledge_payment_id(pledge);
    cfa_status status = capture
                            ? cfa_payment_capture(&payment, book.engine, id, (cfa_money){ 0, "" },
                                                  NULL, "c", NULL, 20)
                            : cfa_payment_cancel(&payment, book.engine, id, NULL, "c", NULL, 20);
    ck_assert_int_eq(status, CFA_OK);
    ck_assert_int_ne(cfa_payment_state_of(payment), CFA_PAYMENT_FAILED);
    cfa_payment_free(payment);
    wait_for(&book, pledge, capture ? CFA_PAYMENT_COMPLETED : CFA_PAYMENT_CANCELED);
    ck_assert_int_eq(play_books_of(&book).charge_count, capture ? 1 : 0);
    ck_assert_int_eq(totals_of(&book).raised_minor, capture ? 100 : 0);
    ck_assert_int_eq(totals_of(&book).authorized_minor, 0);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}

START_TEST(a_capture_in_doubt_captures_once) {
    for (size_t i = 0; i < COUNT(faults); i++)
        change_in_doubt(_i, faults[i], true);
}
END_TEST

START_TEST(a_cancel_in_doubt_ends_cancelled) {
    for (size_t i = 0; i < COUNT(faults); i++)
        change_in_doubt(_i, faults[i], false);
}
END_TEST

/* Half a minute after a 500 that the provider stored under the key; two stores, two faults. */
static void after_stored_error(int store, bool one_step, int32_t fault, bool answered) {
    struct book book;
    book_prepare(&book, store);
    book.play_options.one_step = one_step;
    book_start(&book);
    ck_assert_int_eq(cfa_play_fault_next(book.play, fault), CFA_OK);
    cfa_pledge *pledge = committed(&book, "k", 100);
    for (int second = 0; second < 30; second++) {
        book_settle(&book);
        book_advance(&book, SECOND_US);
    }
    ck_assert_int_eq(flags_of(book.engine, pledge) == 0, answered);
    cfa_pledge *again;
    ck_assert_int_eq(cfa_pledge_find(&again, book.engine, NULL, "k"), CFA_OK);
    ck_assert_int_eq(cfa_pledge_pending(again) != 0, !answered);
    ck_assert_int_eq(play_books_of(&book).intent_count,
                     answered || fault == CFA_PLAY_FAULT_ERROR_AFTER);
    cfa_pledge_free(again);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}

START_TEST(a_stored_error_keeps_a_two_step_donor_waiting_for_seconds_only) {
    after_stored_error(_i, false, CFA_PLAY_FAULT_ERROR_BEFORE, true);
    after_stored_error(_i, false, CFA_PLAY_FAULT_ERROR_AFTER, true);
}
END_TEST

START_TEST(a_stored_error_of_a_charge_is_no_proof_of_its_absence) {
    after_stored_error(_i, true, CFA_PLAY_FAULT_ERROR_BEFORE, false);
    after_stored_error(_i, true, CFA_PLAY_FAULT_ERROR_AFTER, true);
}
END_TEST

START_TEST(in_bad_weather_every_gift_is_charged_once) {
    struct book book;
    book_prepare(&book, _i);
    book.play_options.one_step = 1;
    book_start(&book);
    cfa_play_weather weather = CFA_PLAY_WEATHER_INIT;
    weather.reply_lost_ppm = weather.request_lost_ppm = weather.error_after_ppm = 150000;
    weather.error_before_ppm = weather.not_sent_ppm = 100000;
    weather.webhook_lost_ppm = 500000;
    ck_assert_int_eq(cfa_play_weather_set(book.play, &weather), CFA_OK);
    enum { GIFTS = 100 };
    cfa_pledge *pledges[GIFTS];
    for (int i = 0; i < GIFTS; i++) {
        char key[16];
        snprintf(key, sizeof key, "g%d", i);
        pledges[i] = committed(&book, key, 100);
        book_advance(&book, 1000); /* their order, and so the weather of each, is always the same */
    }
    for (int step = 0; step < 12 * 24; step++) {
        if (step == 7 * 24) /* tries come once a day by then: let the rest succeed */
            ck_assert_int_eq(
                cfa_play_weather_set(book.play, &(cfa_play_weather)CFA_PLAY_WEATHER_INIT), CFA_OK);
        book_settle(&book);
        book_advance(&book, step < 12 ? MINUTE_US : HOUR_US);
    }
    int paid = 0;
    for (int i = 0; i < GIFTS; i++) {
        cfa_payment_state state = state_of(book.engine, pledges[i]);
        /* One that never reached the provider within a day is over, and was not charged. */
        ck_assert_msg(state == CFA_PAYMENT_COMPLETED || state == CFA_PAYMENT_EXPIRED,
                      "gift %d: %s, flags %u", i, cfa_payment_state_name(state),
                      flags_of(book.engine, pledges[i]));
        ck_assert_uint_eq(flags_of(book.engine, pledges[i]), 0);
        paid += state == CFA_PAYMENT_COMPLETED;
        cfa_pledge_free(pledges[i]);
    }
    /* Two calls of three fail in some way, and a charge that is not made within a day is not made
     * late. */
    ck_assert_int_ge(paid, GIFTS * 9 / 10);
    ck_assert_int_eq(play_books_of(&book).charge_count, paid);
    ck_assert_int_eq(totals_of(&book).raised_minor, 100 * paid);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_clock_that_jumps_charges_nobody_twice) {
    struct book book;
    book_prepare(&book, _i);
    book.play_options.one_step = 1;
    book_start(&book);
    static const int64_t jumps[] = { -DAY_US, 3 * DAY_US, -2 * DAY_US, -HOUR_US, 40 * DAY_US };
    cfa_pledge *pledges[COUNT(jumps)];
    for (size_t i = 0; i < COUNT(jumps); i++) {
        char key[16];
        snprintf(key, sizeof key, "j%zu", i);
        ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_REPLY_LOST), CFA_OK);
        pledges[i] = committed(&book, key, 100);
        book_settle(&book);
        cfa_manual_clock_jump(book.clock, jumps[i]);
        book_settle(&book);
    }
    for (int hour = 0; hour < 100; hour++) {
        book_advance(&book, HOUR_US);
        book_settle(&book);
    }
    for (size_t i = 0; i < COUNT(jumps); i++) {
        ck_assert_int_eq(state_of(book.engine, pledges[i]), CFA_PAYMENT_COMPLETED);
        cfa_pledge_free(pledges[i]);
    }
    ck_assert_int_eq(play_books_of(&book).charge_count, COUNT(jumps));
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- whoever asked is gone ------------------------------------------------------------------- */

static cfa_pulled_call *pull(cfa_engine *engine) {
    cfa_pulled_call *call;
    ck_assert_int_eq(cfa_call_next(&call, engine, -1), CFA_OK);
    return call;
}

static void send(struct book *book, const cfa_pulled_call *call, cfa_arena *arena, cfa_reply *out) {
    memset(out, 0, sizeof *out);
    out->struct_size = sizeof *out;
    out->facts.struct_size = sizeof out->facts;
    const cfa_provider *provider = cfa_play_provider(book->play);
    provider->ops->call(provider->self, cfa_pulled_call_view(call), arena, out);
}

START_TEST(a_call_whose_caller_died_is_made_again_with_its_key) {
    struct book book;
    book_open(&book, _i);
    cfa_engine *heir = book_second_engine(&book);
    cfa_pledge *pledge = committed(&book, "k", 100);
    cfa_arena *arena;
    cfa_reply reply;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    cfa_pulled_call *lost = pull(book.engine), *found;
    ck_assert_ptr_nonnull(lost);
    send(&book, lost, arena, &reply);
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    /* While the lease lasts nobody else gets the call. */
    ck_assert_ptr_null(pull(heir));
    book_advance(&book, 10 * MINUTE_US);
    found = pull(heir);
    ck_assert_ptr_nonnull(found);
    ck_assert_str_eq(cfa_pulled_call_view(found)->idempotency_key,
                     cfa_pulled_call_view(lost)->idempotency_key);
    ck_assert_int_eq(cfa_pulled_call_view(found)->kind, CFA_CALL_CREATE);
    cfa_reply again;
    send(&book, found, arena, &again);
    ck_assert_int_eq(cfa_call_done(heir, found, &again, 0), CFA_OK);
    ck_assert_int_eq(play_books_of(&book).intent_count, 1);
    /* The dead one comes back: its word changes nothing, and it is told. */
    expect_error(cfa_call_done(book.engine, lost, &reply, 0), CFA_EFENCED, NULL);
    cfa_pledge *answered = pledge_make(&book, "k", 100);
    pledge_pay(&book, answered);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(play_books_of(&book).charge_count, 1);
    cfa_pulled_call_free(lost);
    cfa_pulled_call_free(found);
    cfa_arena_free(arena);
    cfa_pledge_free(answered);
    cfa_pledge_free(pledge);
    audit(&book);
    cfa_engine_close(heir);
    book_close(&book);
}
END_TEST

START_TEST(a_late_result_is_fenced_but_its_facts_and_its_secret_count) {
    struct book book;
    book_open(&book, _i);
    cfa_engine *heir = book_second_engine(&book);
    cfa_pledge *pledge = committed(&book, "k", 100);
    cfa_arena *arena;
    cfa_reply reply, unknown = { .struct_size = sizeof unknown };
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    cfa_pulled_call *slow = pull(book.engine);
    send(&book, slow, arena, &reply);
    book_advance(&book, 10 * MINUTE_US);
    cfa_pulled_call *second = pull(heir);
    ck_assert_int_eq(cfa_call_done(heir, second, &unknown, 0), CFA_OK);
    expect_error(cfa_call_done(book.engine, slow, &reply, 0), CFA_EFENCED, NULL);
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, heir, cfa_pledge_payment_id(pledge)), CFA_OK);
    ck_assert_str_eq(cfa_payment_ref(payment), reply.facts.ref);
    cfa_payment_free(payment);
    cfa_pledge *answered = pledge_make(&book, "k", 100);
    ck_assert_ptr_nonnull(cfa_pledge_client_secret(answered));
    pledge_pay(&book, answered);
    for (int minute = 0; minute < 10; minute++) {
        book_advance(&book, MINUTE_US);
        book_settle(&book);
    }
    cfa_pledge *later = pledge_make(&book, "k", 100);
    ck_assert(answers_equal(answered, later));
    ck_assert_int_eq(state_of(heir, pledge), CFA_PAYMENT_COMPLETED);
    ck_assert_uint_eq(flags_of(heir, pledge), 0);
    ck_assert_int_eq(play_books_of(&book).intent_count, 1);
    cfa_pulled_call_free(slow);
    cfa_pulled_call_free(second);
    cfa_arena_free(arena);
    cfa_pledge_free(later);
    cfa_pledge_free(answered);
    cfa_pledge_free(pledge);
    audit(&book);
    cfa_engine_close(heir);
    book_close(&book);
}
END_TEST

static int32_t doubt_armed;

static int32_t decide(void *user, int32_t call, uint64_t number, cfa_status *out_status) {
    (void)user;
    (void)number;
    (void)out_status;
    if (call != CFA_FAULT_COMMIT || doubt_armed == 0)
        return CFA_FAULT_PASS;
    doubt_armed--;
    return CFA_FAULT_DOUBT_DONE;
}

START_TEST(a_result_reported_again_changes_nothing) {
    struct book book;
    book_prepare(&book, _i);
    book_wrap(&book, decide, NULL);
    book_start(&book);
    cfa_pledge *pledge = committed(&book, "k", 100);
    cfa_arena *arena;
    cfa_reply reply;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    cfa_pulled_call *call = pull(book.engine);
    send(&book, call, arena, &reply);
    doubt_armed =
        1; /* its commit happens and its word is lost: run again, it must not look fenced */
    ck_assert_int_eq(cfa_call_done(book.engine, call, &reply, 0), CFA_OK);
    ck_assert_int_eq(doubt_armed, 0);
    int64_t rows = all_rows_of(&book);
    ck_assert_int_eq(cfa_call_done(book.engine, call, &reply, 0), CFA_OK);
    ck_assert_int_eq(all_rows_of(&book), rows);
    cfa_pulled_call_free(call);
    cfa_arena_free(arena);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine: doubt");
#define PER_STORE(name) add_per_store(suite, #name, name)
    PER_STORE(after_twelve_hours_a_key_is_never_sent_again);
    PER_STORE(absence_that_proves_nothing_never_gives_a_new_key);
    PER_STORE(a_new_key_comes_only_after_proven_absence);
    PER_STORE(a_create_in_doubt_makes_one_object);
    PER_STORE(a_charge_in_doubt_charges_once);
    PER_STORE(a_refused_create_fails_and_charges_nothing);
    PER_STORE(a_capture_in_doubt_captures_once);
    PER_STORE(a_cancel_in_doubt_ends_cancelled);
    PER_STORE(a_stored_error_keeps_a_two_step_donor_waiting_for_seconds_only);
    PER_STORE(a_stored_error_of_a_charge_is_no_proof_of_its_absence);
    PER_STORE(in_bad_weather_every_gift_is_charged_once);
    PER_STORE(a_clock_that_jumps_charges_nobody_twice);
    PER_STORE(a_call_whose_caller_died_is_made_again_with_its_key);
    PER_STORE(a_late_result_is_fenced_but_its_facts_and_its_secret_count);
    PER_STORE(a_result_reported_again_changes_nothing);
    return run_suite(suite, argc, argv);
}
