/*
 * test_engine_leases.c - a provider call is made by whoever holds its lease, while the lease lasts,
 * as the lease decided it; and what was asked for once is not asked for again beside it.
 */
#include "core/hooked.h"
#include "core/engine/calls.h"

#include <stdio.h>
#include <string.h>

#define LEASE_US (41 * SECOND_US) /* the default lease is over */

static struct hooked wire;

static void open_hooked(struct book *book, int store, bool one_step, hooked_hook hook) {
    book_prepare(book, store);
    book->play_options.one_step = one_step;
    hooked_use(&wire, book, hook);
    book_start(book);
}

/* ---- a process that was suspended in the middle of its work ---------------------------------- */

static struct {
    cfa_engine *other;
    bool asleep, awake;
    char operation[CFA_ID_TEXT_SIZE + 32];
    int sent_afterwards;
} sleeper;

static bool is_first_attempt(const cfa_call *call) {
    return call->idempotency_key[strlen(call->idempotency_key) - 1] == '1';
}

/*
 * The first call of the first engine hangs for hours. Meanwhile the other engine takes over: its
 * request for the second gift is lost, it proves the absence and charges under a new key.
 */
static void call_while_asleep(struct book *book, const cfa_call *call, cfa_arena *arena,
                              cfa_reply *out) {
    if (!sleeper.asleep) {
        sleeper.asleep = true;
        snprintf(sleeper.operation, sizeof sleeper.operation, "%s", call->operation_id);
        for (int step = 0; step < 24; step++) {
            book_advance(book, step == 0 ? LEASE_US : step < 3 ? 20 * SECOND_US : 20 * MINUTE_US);
            settle(sleeper.other);
        }
        ck_assert_int_eq(play_books_of(book).charge_count, 2);
        sleeper.awake = true;
        hooked_pass(book, call, arena, out);
        return;
    }
    sleeper.sent_afterwards += sleeper.awake;
    bool lost = call->kind == CFA_CALL_CREATE && is_first_attempt(call) && !sleeper.awake &&
                strcmp(call->operation_id, sleeper.operation) != 0;
    if (!lost)
        hooked_pass(book, call, arena, out);
}

START_TEST(a_call_is_not_sent_after_its_lease_has_ended) {
    struct book book;
    memset(&sleeper, 0, sizeof sleeper);
    open_hooked(&book, _i, true, call_while_asleep);
    sleeper.other = book_second_engine(&book);
    cfa_pledge *pledges[] = { commit_only(&book, "one", 100), commit_only(&book, "two", 100) };
    int32_t done;
    /* One tick makes the first call, and sleeps in it; the next one comes to the second. */
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(cfa_engine_tick(&done, book.engine, CFA_WORK_CALLS, 0), CFA_OK);
        ck_assert_int_ge(done, 1);
    }
    ck_assert(sleeper.awake);
    ck_assert_int_eq(sleeper.sent_afterwards, 0);
    ck_assert_int_eq(play_books_of(&book).charge_count, 2);
    book_settle(&book);
    for (size_t i = 0; i < COUNT(pledges); i++) {
        ck_assert_int_eq(state_of(book.engine, pledges[i]), CFA_PAYMENT_COMPLETED);
        cfa_pledge_free(pledges[i]);
    }
    ck_assert_int_eq(totals_of(&book).raised_minor, 200);
    audit(&book);
    cfa_engine_close(sleeper.other);
    book_close(&book);
}
END_TEST

/* The same for calls that wait in the memory of their process, of pledges made through a port. */
START_TEST(a_call_that_waited_for_too_long_is_not_sent) {
    struct book book;
    open_hooked(&book, _i, true, NULL);
    cfa_port *port;
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    cfa_pledge_spec spec = gift(&book, "k", 100);
    ck_assert_int_eq(cfa_pledge_create_begin(port, 1, &spec), CFA_OK);
    int32_t done;
    ck_assert_int_eq(cfa_engine_tick(&done, book.engine, CFA_WORK_COMMANDS, 0), CFA_OK);
    book_advance(&book, LEASE_US);
    cfa_engine *other = book_second_engine(&book);
    settle(other);
    int before = wire.calls;
    ck_assert_int_ge(before, 1);
    ck_assert_int_eq(cfa_engine_tick(&done, book.engine, CFA_WORK_CALLS, 0), CFA_OK);
    ck_assert_int_eq(wire.calls, before);
    cfa_completion *completion;
    ck_assert_int_eq(cfa_port_next(&completion, port, 10000), CFA_OK);
    ck_assert_ptr_nonnull(completion);
    cfa_completion_free(completion);
    cfa_port_free(port);
    ck_assert_int_eq(play_books_of(&book).charge_count, 1);
    audit(&book);
    cfa_engine_close(other);
    book_close(&book);
}
END_TEST

START_TEST(the_report_of_an_earlier_lease_is_fenced_off) {
    struct book book;
    book_prepare(&book, _i);
    hooked_use(&wire, &book, NULL);
    wire.ops.call = NULL; /* a provider in the host's own language */
    book_start(&book);
    cfa_engine *other = book_second_engine(&book);
    cfa_pledge *pledge = commit_only(&book, "k", 100);
    cfa_pulled_call *first, *earlier, *later;
    cfa_reply unknown = { .struct_size = sizeof unknown, .facts = CFA_FACTS_INIT };
    ck_assert_int_eq(cfa_call_next(&first, book.engine, 10000), CFA_OK);
    ck_assert_ptr_nonnull(first);
    ck_assert_int_eq(cfa_call_done(book.engine, first, &unknown, 0), CFA_OK);
    book_advance(&book, 10 * SECOND_US);
    ck_assert_int_eq(cfa_call_next(&earlier, book.engine, 10000), CFA_OK);
    ck_assert_ptr_nonnull(earlier);
    book_advance(&book, LEASE_US);
    ck_assert_int_eq(cfa_call_next(&later, other, 10000), CFA_OK);
    ck_assert_ptr_nonnull(later);
    expect_error(cfa_call_done(book.engine, earlier, &unknown, 0), CFA_EFENCED, NULL);
    ck_assert_int_eq(cfa_call_done(other, later, &unknown, 0), CFA_OK);
    /* Both leases were for the same try: only the one that reported may say so again. */
    int64_t rows = all_rows_of(&book);
    ck_assert_int_eq(cfa_call_done(other, later, &unknown, 0), CFA_OK);
    expect_error(cfa_call_done(book.engine, earlier, &unknown, 0), CFA_EFENCED, NULL);
    ck_assert_int_eq(all_rows_of(&book), rows);
    cfa_pulled_call_free(first);
    cfa_pulled_call_free(earlier);
    cfa_pulled_call_free(later);
    cfa_pledge_free(pledge);
    audit(&book);
    cfa_engine_close(other);
    book_close(&book);
}
END_TEST

/* ---- clocks ---------------------------------------------------------------------------------- */

enum { CHARGED_UNHEARD, SILENT, BACK_IN_TIME };
static int phase;
static int creates_back_in_time;

static void call_by_phase(struct book *book, const cfa_call *call, cfa_arena *arena,
                          cfa_reply *out) {
    creates_back_in_time += phase == BACK_IN_TIME && call->kind == CFA_CALL_CREATE;
    if (call->kind == CFA_CALL_CREATE && phase != SILENT)
        hooked_pass(book, call, arena, out);
    if (phase == CHARGED_UNHEARD) {
        *out = (cfa_reply){ .struct_size = sizeof *out, .facts = CFA_FACTS_INIT };
        phase = SILENT;
    }
}

START_TEST(a_wall_clock_set_back_does_not_revive_a_key) {
    struct book book;
    /* the provider's own: it forgets keys after a day and never jumps */
    cfa_manual_clock *theirs;
    phase = CHARGED_UNHEARD;
    creates_back_in_time = 0;
    book_prepare(&book, _i);
    ck_assert_int_eq(cfa_manual_clock_new(&theirs, 0, 2), CFA_OK);
    book.play_options.platform = cfa_manual_clock_platform(theirs);
    book.play_options.one_step = 1;
    hooked_use(&wire, &book, call_by_phase);
    book_start(&book);
    cfa_pledge *pledge = commit_only(&book, "k", 100);
    book_settle(&book);
    ck_assert_int_eq(play_books_of(&book).charge_count, 1);
    for (int hour = 0; hour < 25; hour++) {
        book_advance(&book, HOUR_US);
        cfa_manual_clock_advance(theirs, HOUR_US);
        if (hour < 4)
            book_settle(&book);
    }
    /* The book has seen this late hour before the clock goes back. */
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    cfa_campaign *campaign;
    spec.key = "late";
    spec.title = "Late";
    spec.currencies = "EUR";
    ck_assert_int_eq(cfa_campaign_create(&campaign, book.engine, &spec), CFA_OK);
    cfa_campaign_free(campaign);
    phase = BACK_IN_TIME;
    int before = wire.calls;
    cfa_manual_clock_jump(book.clock, -20 * HOUR_US);
    for (int step = 0; step < 48; step++) {
        book_settle(&book);
        ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_PENDING);
        book_advance(&book, 10 * MINUTE_US);
    }
    ck_assert_int_ge(wire.calls, before + 3); /* and the book's time has not stood still */
    ck_assert_int_eq(creates_back_in_time, 0);
    ck_assert_int_eq(play_books_of(&book).charge_count, 1);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
    cfa_manual_clock_free(theirs);
}
END_TEST

static int lookups_with_window;

static void see_window(struct book *book, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    lookups_with_window += call->kind == CFA_CALL_LOOKUP &&
                           (call->created_from_us != 0 || call->created_until_us != INT64_MAX);
    hooked_pass(book, call, arena, out);
}

START_TEST(a_one_step_charge_is_looked_for_at_any_time) {
    struct book book;
    cfa_manual_clock *theirs;
    lookups_with_window = 0;
    book_prepare(&book, _i);
    ck_assert_int_eq(cfa_manual_clock_new(&theirs, 0, 2), CFA_OK);
    book_advance(&book, 2 * DAY_US); /* our clock is wrong by days */
    book.play_options.platform = cfa_manual_clock_platform(theirs);
    book.play_options.one_step = 1;
    hooked_use(&wire, &book, see_window);
    book_start(&book);
    /* Charged, but the 500 is stored under the key: only a look-up can tell. */
    ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_ERROR_AFTER), CFA_OK);
    cfa_pledge *pledge = commit_only(&book, "k", 100);
    for (int step = 0; step < 40; step++) {
        book_settle(&book);
        book_advance(&book, 12 * MINUTE_US);
        cfa_manual_clock_advance(theirs, 12 * MINUTE_US);
    }
    ck_assert_int_ge(wire.kinds[CFA_CALL_LOOKUP], 1);
    ck_assert_int_eq(lookups_with_window, 0);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(play_books_of(&book).charge_count, 1);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
    cfa_manual_clock_free(theirs);
}
END_TEST

/* One pulled call, which nobody hears of again. */
static int32_t pull_in_vain(struct book *book) {
    cfa_pulled_call *pulled;
    const cfa_reply unknown = { .struct_size = sizeof unknown, .facts = CFA_FACTS_INIT };
    ck_assert_int_eq(cfa_call_next(&pulled, book->engine, 10000), CFA_OK);
    ck_assert_ptr_nonnull(pulled);
    const cfa_call *call = cfa_pulled_call_view(pulled);
    int32_t kind = call->kind;
    if (kind == CFA_CALL_LOOKUP) {
        ck_assert_int_eq(call->created_from_us, 0);
        ck_assert_int_eq(call->created_until_us, INT64_MAX);
    }
    ck_assert_int_eq(cfa_call_done(book->engine, pulled, &unknown, 0), CFA_OK);
    cfa_pulled_call_free(pulled);
    return kind;
}

START_TEST(a_pulled_call_is_what_its_lease_decided) {
    struct book book;
    book_prepare(&book, _i);
    book.play_options.one_step = 1;
    hooked_use(&wire, &book, NULL);
    wire.ops.call = NULL;
    book_start(&book);
    cfa_pledge *pledge = commit_only(&book, "k", 100);
    ck_assert_int_eq(pull_in_vain(&book), CFA_CALL_CREATE);
    book_advance(&book, MINUTE_US);
    ck_assert_int_eq(pull_in_vain(&book), CFA_CALL_CREATE);
    book_advance(&book, MINUTE_US);
    ck_assert_int_eq(pull_in_vain(&book), CFA_CALL_LOOKUP);
    book_advance(&book, DAY_US);
    /* The book sees this hour, then the wall clock goes back to when the key was fresh. */
    ck_assert_int_eq(pull_in_vain(&book), CFA_CALL_LOOKUP);
    cfa_manual_clock_jump(book.clock, -DAY_US);
    for (int i = 0; i < 4; i++) {
        book_advance(&book, DAY_US);
        cfa_manual_clock_jump(book.clock, -DAY_US);
        ck_assert_int_eq(pull_in_vain(&book), CFA_CALL_LOOKUP);
    }
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_charge_never_sent_is_not_made_after_the_payment_expired) {
    struct book book;
    open_hooked(&book, _i, true, NULL);
    cfa_pledge *pledge = commit_only(&book, "k", 100);
    book_advance(&book, 7 * DAY_US); /* nobody ran; a payment's time is a day */
    book_reopen(&book);
    for (int step = 0; step < 10; step++) {
        book_settle(&book);
        book_advance(&book, MINUTE_US);
    }
    ck_assert_int_eq(wire.calls, 0);
    ck_assert_int_eq(play_books_of(&book).charge_count, 0);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_EXPIRED);
    ck_assert_int_eq(totals_of(&book).raised_minor, 0);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(nor_when_whoever_was_to_end_it_died) {
    struct book book;
    open_hooked(&book, _i, true, NULL);
    cfa_pledge *pledge = commit_only(&book, "k", 100);
    book_advance(&book, 7 * DAY_US);
    for (int death = 0; death < 3; death++) { /* leased, and never heard of again */
        cfa__command *lease;
        ck_assert_int_eq(cfa__lease_due(&lease, book.engine, 1), CFA_OK);
        ck_assert_ptr_nonnull(lease);
        cfa__command_release(book.engine, lease);
        book_advance(&book, LEASE_US);
    }
    book_settle(&book);
    ck_assert_int_eq(wire.calls, 0);
    ck_assert_int_eq(play_books_of(&book).charge_count, 0);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_EXPIRED);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(nor_by_a_host_that_pulls_its_calls) {
    struct book book;
    open_hooked(&book, _i, true, NULL);
    cfa_pledge *pledge = commit_only(&book, "k", 100);
    book_advance(&book, 7 * DAY_US);
    cfa_pulled_call *call;
    ck_assert_int_eq(cfa_call_next(&call, book.engine, -1), CFA_OK);
    ck_assert_ptr_null(call);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_EXPIRED);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- captures -------------------------------------------------------------------------------- */

static bool capture_shows;
static char capture_key[80];
static int capture_keys;

/* The provider takes the request to capture, and for a while nobody can see that it did so. */
static void capture_slowly(struct book *book, const cfa_call *call, cfa_arena *arena,
                           cfa_reply *out) {
    hooked_pass(book, call, arena, out);
    if (call->kind == CFA_CALL_CAPTURE && strcmp(call->idempotency_key, capture_key) != 0) {
        snprintf(capture_key, sizeof capture_key, "%s", call->idempotency_key);
        capture_keys++;
    }
    if (capture_shows || out->facts.captured_minor == 0)
        return;
    if (call->kind == CFA_CALL_CAPTURE)
        out->outcome = CFA_OUTCOME_PENDING;
    out->facts.flags = 0;
    out->facts.captured_minor = 0;
}

static cfa_status capture(struct book *book, const cfa_pledge *pledge, int64_t minor,
                          const char *key) {
    cfa_payment *payment = NULL;
    cfa_status status = cfa_payment_capture(&payment, book->engine, cfa_pledge_payment_id(pledge),
                                            (cfa_money){ minor, "EUR" }, NULL, key, NULL, -1);
    if (status == CFA_OK)
        cfa_payment_free(payment);
    return status;
}

START_TEST(a_capture_accepted_but_not_done_stays_the_only_one) {
    struct book book;
    capture_shows = false;
    capture_key[0] = '\0';
    capture_keys = 0;
    book_prepare(&book, _i);
    book.options.capture_manual = 1;
    hooked_use(&wire, &book, capture_slowly);
    book_start(&book);
    cfa_pledge *pledge = pledge_make(&book, "k", 100);
    pledge_pay(&book, pledge);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_AUTHORIZED);
    ck_assert_int_eq(capture(&book, pledge, 40, "capture-1"), CFA_OK);
    book_settle(&book);
    ck_assert_int_eq(wire.kinds[CFA_CALL_CAPTURE], 1);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_AUTHORIZED);
    ck_assert_int_eq(capture(&book, pledge, 40, "capture-2"), CFA_OK); /* it joins */
    expect_error(capture(&book, pledge, 30, "capture-3"), CFA_ESTATE, "amount.minor");
    expect_error(capture(&book, pledge, 100, "capture-4"), CFA_ESTATE, "amount.minor");
    for (int minute = 0; minute < 5; minute++) {
        book_settle(&book);
        ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_AUTHORIZED);
        book_advance(&book, MINUTE_US);
    }
    capture_shows = true;
    book_advance(&book, 10 * MINUTE_US);
    book_settle(&book);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(capture_keys, 1); /* asked again perhaps, but never for a second one */
    ck_assert_int_eq(totals_of(&book).raised_minor, 40);
    ck_assert_int_eq(play_books_of(&book).charge_count, 1);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine leases");
    add_per_store(suite, "not_sent_after_lease", a_call_is_not_sent_after_its_lease_has_ended);
    add_per_store(suite, "not_sent_after_waiting", a_call_that_waited_for_too_long_is_not_sent);
    add_per_store(suite, "earlier_lease_fenced", the_report_of_an_earlier_lease_is_fenced_off);
    add_per_store(suite, "clock_set_back", a_wall_clock_set_back_does_not_revive_a_key);
    add_per_store(suite, "lookup_any_time", a_one_step_charge_is_looked_for_at_any_time);
    add_per_store(suite, "pulled_call", a_pulled_call_is_what_its_lease_decided);
    add_per_store(suite, "not_made_late",
                  a_charge_never_sent_is_not_made_after_the_payment_expired);
    add_per_store(suite, "expired_pulled", nor_by_a_host_that_pulls_its_calls);
    add_per_store(suite, "expired_dead", nor_when_whoever_was_to_end_it_died);
    add_per_store(suite, "capture_pending", a_capture_accepted_but_not_done_stays_the_only_one);
    return run_suite(suite, argc, argv);
}
