/*
 * test_engine_evidence.c - what comes from outside is judged before it is believed or stored, and
 * what the engine tells others is whole: positions, versions, events, answers. One broken part
 * holds up no other.
 */
#include "core/hooked.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/engine/engine.h"

static struct hooked wire;

static void open_hooked(struct book *book, int store, bool one_step, hooked_hook hook) {
    book_prepare(book, store);
    book->play_options.one_step = one_step;
    hooked_use(&wire, book, hook);
    book_start(book);
}

static cfa_webhook_event event_of(const char *id, const char *ref, uint32_t flags) {
    cfa_webhook_event event = { sizeof event, id, "test", "", 0, 1, 0, CFA_FACTS_INIT };
    event.facts.ref = ref;
    event.facts.flags = flags;
    event.facts.attempt = 1;
    event.facts.occurred_us = 5 * SECOND_US;
    return event;
}

static cfa_webhook_verdict accept_event(struct book *book, const cfa_webhook_event *event) {
    cfa_webhook_verdict verdict = 0;
    cfa_status status = cfa_webhook_accept(&verdict, book->engine, event, 20000);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    return verdict;
}

static char *ref_of(struct book *book, const cfa_pledge *pledge) {
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book->engine, cfa_pledge_payment_id(pledge)),
                     CFA_OK);
    ck_assert_ptr_nonnull(cfa_payment_ref(payment));
    char *ref = strdup(cfa_payment_ref(payment));
    ck_assert_ptr_nonnull(ref);
    cfa_payment_free(payment);
    return ref;
}

/* ---- text that cannot be stored -------------------------------------------------------------- */

static char oversized[70001];
static const char *const bad_texts[] = { "caf\xe9", "\xed\xa0\x80", "a\nb", oversized };

static void make_oversized(void) { memset(oversized, 'x', sizeof oversized - 1); }

/* The book goes on: a gift is made, paid and counted. */
static void expect_business(struct book *book, const char *key) {
    cfa_pledge *pledge = pledge_make(book, key, 100);
    ck_assert(!cfa_pledge_pending(pledge));
    if (cfa_pledge_state(pledge) != CFA_PAYMENT_COMPLETED)
        pledge_pay(book, pledge);
    book_settle(book);
    ck_assert_int_eq(state_of(book->engine, pledge), CFA_PAYMENT_COMPLETED);
    cfa_pledge_free(pledge);
}

START_TEST(a_webhook_with_broken_text_stops_nobody) {
    struct book book;
    make_oversized();
    open_hooked(&book, _i, false, NULL);
    for (int i = 0; i < (int)COUNT(bad_texts); i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        cfa_pledge *pledge = pledge_make(&book, key, 100);
        char *ref = ref_of(&book, pledge);
        cfa_webhook_event event = event_of(key, ref, CFA_FACT_FAILED);
        event.facts.failure_code = bad_texts[i];
        event.facts.cancel_reason = bad_texts[i];
        event.facts.payment_id = bad_texts[i];
        ck_assert_int_eq(accept_event(&book, &event), CFA_WEBHOOK_APPLIED);
        book_settle(&book);
        ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_FAILED);
        free(ref);
        cfa_pledge_free(pledge);
    }
    expect_business(&book, "next");
    ck_assert_int_eq(totals_of(&book).raised_minor, 100);
    audit(&book);
    book_close(&book);
}
END_TEST

static int bad_text;

/* The provider's webhook is faster than its reply, and its text is broken. */
static void webhook_before_reply(struct book *book, const cfa_call *call, cfa_arena *arena,
                                 cfa_reply *out) {
    hooked_pass(book, call, arena, out);
    if (call->kind != CFA_CALL_CREATE || bad_text < 0)
        return;
    cfa_webhook_event event = event_of(call->operation_id, out->facts.ref, CFA_FACT_FAILED);
    event.facts.failure_code = bad_texts[bad_text];
    ck_assert_int_eq(accept_event(book, &event), CFA_WEBHOOK_PARKED);
}

START_TEST(a_parked_webhook_with_broken_text_stops_nobody) {
    struct book book;
    make_oversized();
    open_hooked(&book, _i, false, webhook_before_reply);
    for (bad_text = 0; bad_text < (int)COUNT(bad_texts); bad_text++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", bad_text);
        cfa_pledge *pledge = pledge_make(&book, key, 100);
        ck_assert(!cfa_pledge_pending(pledge));
        ck_assert_ptr_nonnull(cfa_pledge_client_secret(pledge));
        ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_FAILED);
        cfa_pledge_free(pledge);
    }
    bad_text = -1;
    expect_business(&book, "next");
    audit(&book);
    book_close(&book);
}
END_TEST

static void reply_badly(struct book *book, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    if (bad_text < 0) {
        hooked_pass(book, call, arena, out);
        return;
    }
    const char *text = bad_texts[bad_text];
    out->outcome = CFA_OUTCOME_REFUSED;
    out->code = out->client_secret = text;
    out->facts.ref = out->facts.payment_id = out->facts.failure_code = text;
}

START_TEST(a_reply_with_broken_text_stops_nobody) {
    struct book book;
    make_oversized();
    open_hooked(&book, _i, true, reply_badly);
    for (bad_text = 0; bad_text < (int)COUNT(bad_texts); bad_text++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", bad_text);
        cfa_pledge *pledge = pledge_make(&book, key, 100);
        ck_assert_int_eq(cfa_pledge_state(pledge), CFA_PAYMENT_FAILED);
        cfa_pledge_free(pledge);
    }
    bad_text = -1;
    expect_business(&book, "next");
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- whose object it is ---------------------------------------------------------------------- */

static char named_payment[CFA_ID_TEXT_SIZE];
static bool same_object;

static void reply_paid(struct book *book, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    (void)book;
    (void)arena;
    static char ref[64];
    snprintf(ref, sizeof ref, "pi_%s", same_object ? "same" : call->payment_id);
    out->outcome = CFA_OUTCOME_DONE;
    out->facts.ref = ref;
    out->facts.payment_id = named_payment[0] != '\0' ? named_payment : NULL;
    out->facts.amount = call->amount;
    out->facts.flags = CFA_FACT_SUCCEEDED;
    out->facts.authorized_minor = out->facts.captured_minor = call->amount.minor;
    out->facts.occurred_us = call->now_us;
    out->facts.attempt = 1;
}

static void count_once(int store, bool by_name) {
    struct book book;
    named_payment[0] = '\0';
    same_object = !by_name;
    open_hooked(&book, store, true, reply_paid);
    cfa_pledge *first = pledge_make(&book, "first", 100);
    ck_assert_int_eq(cfa_pledge_state(first), CFA_PAYMENT_COMPLETED);
    if (by_name)
        snprintf(named_payment, sizeof named_payment, "%s", cfa_pledge_payment_id(first));
    cfa_pledge *second = commit_only(&book, "second", 100);
    for (int step = 0; step < 24; step++) {
        book_settle(&book);
        ck_assert_int_ne(state_of(book.engine, second), CFA_PAYMENT_COMPLETED);
        book_advance(&book, HOUR_US);
    }
    ck_assert_uint_ne(flags_of(book.engine, second) & CFA_PAYMENT_FLAG_CONFLICT, 0);
    ck_assert_uint_eq(flags_of(book.engine, first), 0);
    cfa_totals_row row = totals_of(&book);
    ck_assert_int_eq(row.raised_minor, 100);
    ck_assert_int_eq(row.donation_count, 1);
    cfa_pledge_free(first);
    cfa_pledge_free(second);
    audit(&book);
    book_close(&book);
}

START_TEST(one_object_never_counts_for_two_payments) { count_once(_i, false); }
END_TEST

START_TEST(an_object_that_names_another_payment_does_not_count) { count_once(_i, true); }
END_TEST

START_TEST(a_tie_between_webhooks_is_asked_about_soon) {
    struct book book;
    open_hooked(&book, _i, false, NULL);
    cfa_pledge *pledge = pledge_make(&book, "k", 100);
    char *ref = ref_of(&book, pledge);
    cfa_webhook_event failed = event_of("e1", ref, CFA_FACT_FAILED);
    cfa_webhook_event processing = event_of("e2", ref, CFA_FACT_PROCESSING);
    (void)accept_event(&book, &failed);
    book_advance(&book, 2 * SECOND_US);
    book_settle(&book);
    ck_assert_int_eq(wire.kinds[CFA_CALL_RETRIEVE], 0);
    (void)accept_event(&book, &processing); /* the same attempt at the same time: who is right? */
    book_advance(&book, 2 * SECOND_US);
    book_settle(&book);
    ck_assert_int_eq(wire.kinds[CFA_CALL_RETRIEVE], 1);
    free(ref);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- what callers are told ------------------------------------------------------------------- */

static void refuse(struct book *book, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    (void)book;
    (void)call;
    (void)arena;
    out->outcome = CFA_OUTCOME_REFUSED;
    out->code = "no";
}

START_TEST(a_repeat_of_a_refused_pledge_answers_at_once_for_ever) {
    struct book book;
    open_hooked(&book, _i, true, refuse);
    cfa_pledge *pledge = pledge_make(&book, "k", 100);
    ck_assert_int_eq(cfa_pledge_state(pledge), CFA_PAYMENT_FAILED);
    ck_assert_int_eq(rows_of(&book, "answer"), 1);
    book_advance(&book, 31 * DAY_US);
    book_settle(&book);
    ck_assert_int_eq(rows_of(&book, "answer"), 0);
    cfa_pledge_spec spec = gift(&book, "k", 100);
    cfa_pledge *again;
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    ck_assert_int_eq(cfa_pledge_create(&again, book.engine, &spec), CFA_OK);
    clock_gettime(CLOCK_MONOTONIC, &end);
    ck_assert_int_lt(end.tv_sec - start.tv_sec, spec.timeout_ms / 1000 / 2);
    ck_assert(cfa_pledge_replayed(again));
    ck_assert_int_eq(cfa_pledge_state(again), CFA_PAYMENT_FAILED);
    ck_assert_int_eq(wire.calls, 1);
    cfa_pledge_free(pledge);
    cfa_pledge_free(again);
    book_close(&book);
}
END_TEST

START_TEST(totals_never_go_back_behind_a_merged_read) {
    struct book book;
    open_hooked(&book, _i, true, NULL);
    cfa_engine *other = book_second_engine(&book);
    cfa_totals *totals;
    cfa_totals_spec spec = CFA_TOTALS_SPEC_INIT;
    spec.at_least = head_of(book.engine);
    ck_assert_int_eq(cfa_totals_get(&totals, book.engine, book.campaign_id, &spec), CFA_OK);
    cfa_totals_free(totals);
    /* The other engine takes a gift and counts it; this one's cache does not know. */
    cfa_pledge_spec gift_spec = gift(&book, "k", 100);
    gift_spec.wait = CFA_WAIT_PAID;
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, other, &gift_spec), CFA_OK);
    spec.at_least = cfa_pledge_position(pledge);
    ck_assert_int_eq(cfa_totals_get(&totals, other, book.campaign_id, &spec), CFA_OK);
    cfa_totals_free(totals);
    cfa_campaign *campaign;
    ck_assert_int_eq(
        cfa_campaign_get_with_totals(&campaign, &totals, book.engine, book.campaign_id), CFA_OK);
    int64_t version = cfa_totals_version(totals);
    ck_assert_int_eq(cfa_totals_at(totals, 0)->raised_minor, 100);
    cfa_totals_free(totals);
    cfa_campaign_free(campaign);
    ck_assert_int_eq(cfa_totals_get(&totals, book.engine, book.campaign_id, NULL), CFA_OK);
    ck_assert_int_ge(cfa_totals_version(totals), version);
    ck_assert_int_eq(cfa_totals_at(totals, 0)->raised_minor, 100);
    cfa_totals_free(totals);
    cfa_pledge_free(pledge);
    audit(&book);
    cfa_engine_close(other);
    book_close(&book);
}
END_TEST

START_TEST(a_repeat_in_the_same_batch_tells_a_position_that_includes_what_it_shows) {
    struct book book;
    open_hooked(&book, _i, true, NULL);
    cfa_port *port;
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    int64_t before = head_of(book.engine);
    cfa_pledge_spec spec = gift(&book, "k", 100);
    spec.wait = CFA_WAIT_COMMIT;
    for (uint64_t token = 1; token <= 2; token++)
        ck_assert_int_eq(cfa_pledge_create_begin(port, token, &spec), CFA_OK);
    int replayed = 0;
    int64_t head = 0;
    for (int i = 0; i < 2; i++) {
        cfa_completion *completion;
        ck_assert_int_eq(cfa_port_next(&completion, port, 10000), CFA_OK);
        ck_assert_ptr_nonnull(completion);
        cfa_pledge *pledge = cfa_completion_pledge(completion);
        ck_assert_ptr_nonnull(pledge);
        head = i == 0 ? head_of(book.engine) : head;
        replayed += cfa_pledge_replayed(pledge) != 0;
        ck_assert_int_gt(cfa_pledge_position(pledge), before);
        ck_assert_int_eq(cfa_pledge_position(pledge), head);
        cfa_pledge_free(pledge);
        cfa_completion_free(completion);
    }
    ck_assert_int_eq(replayed, 1);
    cfa_port_free(port);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_port_gives_what_is_complete_before_it_calls_again) {
    struct book book;
    open_hooked(&book, _i, true, NULL);
    cfa_port *port;
    ck_assert_int_eq(cfa_port_new(&port, book.engine), CFA_OK);
    enum { GIFTS = 8 };
    for (int i = 0; i < GIFTS; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        cfa_pledge_spec spec = gift(&book, key, 100);
        ck_assert_int_eq(cfa_pledge_create_begin(port, (uint64_t)i, &spec), CFA_OK);
    }
    for (int i = 1; i <= GIFTS; i++) {
        cfa_completion *completion;
        ck_assert_int_eq(cfa_port_next(&completion, port, 10000), CFA_OK);
        ck_assert_ptr_nonnull(completion);
        /* a slow provider is waited for once, not once per gift */
        ck_assert_int_eq(wire.calls, i);
        cfa_completion_free(completion);
    }
    cfa_port_free(port);
    ck_assert_int_eq(play_books_of(&book).charge_count, GIFTS);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_call_without_an_output_changes_nothing) {
    struct book book;
    open_hooked(&book, _i, true, NULL);
    cfa_pledge *pledge = pledge_make(&book, "k", 100);
    const char *payment = cfa_pledge_payment_id(pledge);
    book_settle(&book);
    int64_t rows = all_rows_of(&book), head = head_of(book.engine);
    int calls = wire.calls;
    cfa_pledge_spec spec = gift(&book, "k2", 100);
    cfa_campaign_spec campaign = CFA_CAMPAIGN_SPEC_INIT;
    campaign.key = "another";
    campaign.title = "Another";
    campaign.currencies = "EUR";
    cfa_webhook_event event = event_of("e1", "pi_unknown", CFA_FACT_FAILED);
    cfa_money all = { 0, "" };
    cfa_engine *engine = book.engine;
    expect_error(cfa_pledge_create(NULL, engine, &spec), CFA_EMISUSE, "out");
    expect_error(cfa_campaign_create(NULL, engine, &campaign), CFA_EMISUSE, "out");
    expect_error(cfa_campaign_end(NULL, engine, book.campaign_id, 0, NULL, "end", NULL),
                 CFA_EMISUSE, "out");
    expect_error(cfa_webhook_accept(NULL, engine, &event, 0), CFA_EMISUSE, "out");
    expect_error(cfa_payment_capture(NULL, engine, payment, all, NULL, "c", NULL, 0), CFA_EMISUSE,
                 "out");
    expect_error(cfa_payment_cancel(NULL, engine, payment, NULL, "c", NULL, 0), CFA_EMISUSE, "out");
    expect_error(cfa_call_next(NULL, engine, 0), CFA_EMISUSE, "out");
    expect_error(cfa_subscription_open(NULL, engine, "s"), CFA_EMISUSE, "out");
    expect_error(cfa_pledge_get(NULL, engine, cfa_pledge_id(pledge)), CFA_EMISUSE, "out");
    expect_error(cfa_payment_get(NULL, engine, payment), CFA_EMISUSE, "out");
    expect_error(cfa_totals_get(NULL, engine, book.campaign_id, NULL), CFA_EMISUSE, "out");
    book_settle(&book);
    ck_assert_int_eq(all_rows_of(&book), rows);
    ck_assert_int_eq(head_of(book.engine), head);
    ck_assert_int_eq(wire.calls, calls);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- one broken part holds up no other ------------------------------------------------------- */

struct sink {
    int failing_resets, resets, sends, sends_unreset;
    bool whole; /* the last reset succeeded */
    int64_t last;
};

static cfa_status sink_send(void *self, const cfa_event_view *events, size_t count,
                            size_t *out_taken) {
    struct sink *sink = self;
    sink->sends++;
    sink->sends_unreset += !sink->whole || events[0].position != sink->last + 1;
    sink->last = events[count - 1].position;
    *out_taken = count;
    return CFA_OK;
}

static cfa_status sink_poll(void *self, int64_t *out_acknowledged) {
    *out_acknowledged = ((struct sink *)self)->last;
    return CFA_OK;
}

static cfa_status sink_reset(void *self, int64_t position) {
    struct sink *sink = self;
    sink->resets++;
    sink->whole = sink->resets > sink->failing_resets;
    if (!sink->whole)
        return cfa_error_set(CFA_EUNAVAILABLE, "sink.test", NULL, 0, "as the test wants");
    sink->last = position;
    return CFA_OK;
}

static const cfa_sink_ops sink_ops = { .struct_size = sizeof sink_ops,
                                       .name = "test",
                                       .send = sink_send,
                                       .poll = sink_poll,
                                       .reset = sink_reset };

START_TEST(a_sink_whose_reset_failed_is_reset_before_anything_is_sent) {
    struct book book;
    struct sink sink = { .failing_resets = 3 };
    cfa_sink_binding binding = { .name = "shaky", .sink = { &sink_ops, &sink } };
    book_prepare(&book, _i);
    book.options.sinks = &binding;
    book.options.sink_count = 1;
    book_start(&book);
    for (int minute = 0; minute < 10; minute++) {
        book_settle(&book);
        book_advance(&book, MINUTE_US);
    }
    ck_assert_int_eq(sink.resets, sink.failing_resets + 1);
    ck_assert_int_ge(sink.sends, 1);
    ck_assert_int_eq(sink.sends_unreset, 0);
    ck_assert_int_eq(sink.last, head_of(book.engine));
    book_close(&book);
}
END_TEST

static bool next_begin_fails;

static int32_t fail_next_begin(void *user, int32_t call, uint64_t number, cfa_status *out_status) {
    (void)user;
    (void)number;
    if (call != CFA_FAULT_BEGIN || !next_begin_fails)
        return CFA_FAULT_PASS;
    next_begin_fails = false;
    *out_status = CFA_EIO;
    return CFA_FAULT_FAIL;
}

START_TEST(a_failing_projector_does_not_hold_up_the_sinks) {
    struct book book;
    struct sink sink = { .failing_resets = 0 };
    cfa_sink_binding binding = { .name = "steady", .sink = { &sink_ops, &sink } };
    next_begin_fails = false;
    book_prepare(&book, _i);
    book_wrap(&book, fail_next_begin, NULL);
    book.options.sinks = &binding;
    book.options.sink_count = 1;
    book_start(&book);
    book_settle(&book);
    cfa_pledge_free(pledge_make(&book, "k", 100));
    book_advance(&book, MINUTE_US);
    int64_t head = head_of(book.engine);
    ck_assert_int_lt(sink.last, head);
    next_begin_fails = true;
    int32_t done;
    expect_error(cfa_engine_tick(&done, book.engine, CFA_WORK_TOTALS | CFA_WORK_RELAY, 0), CFA_EIO,
                 NULL);
    ck_assert(!next_begin_fails);
    ck_assert_int_eq(sink.last, head);
    book_settle(&book);
    audit(&book);
    book_close(&book);
}
END_TEST

static atomic_bool in_call;

/* The provider is slow: it answers only when the engine is being closed. */
static void answer_at_close(struct book *book, const cfa_call *call, cfa_arena *arena,
                            cfa_reply *out) {
    atomic_store(&in_call, true);
    for (int i = 0; i < PATIENCE_MS && !atomic_load(&book->engine->stopping); i++)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    hooked_pass(book, call, arena, out);
}

START_TEST(closing_makes_no_further_call_and_commits_the_one_it_was_in) {
    struct book book;
    enum { GIFTS = 6 };
    cfa_pledge *pledges[GIFTS];
    atomic_store(&in_call, false);
    open_hooked(&book, _i, true, answer_at_close);
    for (int i = 0; i < GIFTS; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        pledges[i] = commit_only(&book, key, 100);
    }
    book_run_clock(&book);
    ck_assert_int_eq(cfa_runner_start(book.engine, CFA_WORK_ALL), CFA_OK);
    for (int i = 0; i < PATIENCE_MS && !atomic_load(&in_call); i++)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    book_reopen(&book); /* closes it first */
    ck_assert_int_ge(wire.calls, 1);
    ck_assert_int_le(wire.calls, 2); /* one for each thread of the runner */
    int completed = 0;
    for (int i = 0; i < GIFTS; i++) {
        completed += state_of(book.engine, pledges[i]) == CFA_PAYMENT_COMPLETED;
        cfa_pledge_free(pledges[i]);
    }
    ck_assert_int_eq(completed, wire.calls);
    ck_assert_int_eq(play_books_of(&book).charge_count, completed);
    wire.hook = NULL;
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_provider_made_anew_for_an_old_book_repeats_no_names) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *before = pledge_make(&book, "before", 100);
    pledge_pay(&book, before);
    cfa_engine_close(book.engine);
    cfa_play_free(book.play);
    ck_assert_int_eq(cfa_play_new(&book.play, &book.play_options), CFA_OK);
    book.options.provider = cfa_play_provider(book.play);
    ck_assert_int_eq(cfa_engine_open(&book.engine, &book.options), CFA_OK);
    cfa_pledge *after = pledge_make(&book, "after", 200);
    ck_assert_ptr_nonnull(cfa_pledge_client_secret(after));
    pledge_pay(&book, after);
    ck_assert_int_eq(cfa_play_deliver(NULL, book.play, book.engine, 0), CFA_OK);
    ck_assert_int_eq(state_of(book.engine, after), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(totals_of(&book).raised_minor, 300);
    cfa_pledge_free(before);
    cfa_pledge_free(after);
    audit(&book);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine: evidence");
#define PER_STORE(name) add_per_store(suite, #name, name)
    PER_STORE(a_webhook_with_broken_text_stops_nobody);
    PER_STORE(a_parked_webhook_with_broken_text_stops_nobody);
    PER_STORE(a_reply_with_broken_text_stops_nobody);
    PER_STORE(one_object_never_counts_for_two_payments);
    PER_STORE(an_object_that_names_another_payment_does_not_count);
    PER_STORE(a_provider_made_anew_for_an_old_book_repeats_no_names);
    PER_STORE(a_tie_between_webhooks_is_asked_about_soon);
    PER_STORE(a_repeat_of_a_refused_pledge_answers_at_once_for_ever);
    PER_STORE(totals_never_go_back_behind_a_merged_read);
    PER_STORE(a_repeat_in_the_same_batch_tells_a_position_that_includes_what_it_shows);
    PER_STORE(a_port_gives_what_is_complete_before_it_calls_again);
    PER_STORE(a_call_without_an_output_changes_nothing);
    PER_STORE(a_sink_whose_reset_failed_is_reset_before_anything_is_sent);
    PER_STORE(a_failing_projector_does_not_hold_up_the_sinks);
    PER_STORE(closing_makes_no_further_call_and_commits_the_one_it_was_in);
    return run_suite(suite, argc, argv);
}
