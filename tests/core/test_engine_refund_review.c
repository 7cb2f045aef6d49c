/*
 * test_engine_refund_review.c - what a hostile reader of the refund code found: before its fix each
 * test lost money, gave it back twice or stopped the book.
 */
#include "core/hooked.h"

#include <careforall/dispute.h>
#include <careforall/refund.h>
#include <stdio.h>
#include <string.h>

static struct book book;
static struct hooked hooked;
static cfa_pledge *pledge;

/* ---- helpers --------------------------------------------------------------------------------- */

static void open_hooked(int store, hooked_hook hook) {
    book_prepare(&book, store);
    hooked_use(&hooked, &book, hook);
    hooked.ops.capabilities |= (uint32_t)CFA_PROVIDER_READS_REVERSALS;
    book_start(&book);
}

static void pay(int64_t minor) {
    pledge = pledge_make(&book, "gift", minor);
    pledge_pay(&book, pledge);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
}

static void close_whole(int64_t raised, int64_t refunded) {
    cfa_totals_row totals = totals_of(&book);
    ck_assert_int_eq(totals.raised_minor, raised);
    ck_assert_int_eq(totals.refunded_minor, refunded);
    audit(&book);
    cfa_pledge_free(pledge);
    book_close(&book);
}

static cfa_status ask(cfa_refund **out, const char *key, int64_t minor) {
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    spec.key = key;
    spec.payment_id = cfa_pledge_payment_id(pledge);
    spec.amount = minor != 0 ? (cfa_money){ minor, "EUR" } : (cfa_money){ 0, "" };
    spec.timeout_ms = PATIENCE_MS;
    return cfa_refund_create(out, book.engine, &spec);
}

static cfa_refund_state asked(const char *key, int64_t minor) {
    cfa_refund *refund;
    ck_assert_int_eq(ask(&refund, key, minor), CFA_OK);
    cfa_refund_state state = cfa_refund_state_of(refund);
    cfa_refund_free(refund);
    return state;
}

static void pass_days(int days) {
    for (int hour = 0; hour < 24 * days; hour++) {
        book_advance(&book, HOUR_US);
        book_settle(&book);
    }
}

/* ---- an answer that is not taken proves nothing ---------------------------------------------- */

enum {
    OTHER_AMOUNT,
    OTHER_PAYMENT,
    REFUND_OF_NOTHING,
    REFUND_IN_DOLLARS,
    TOO_GREAT_A_REFUND,
    LIES
};
static int lie;

/* The refund is made, its word is lost, and every read names it in a way that cannot be taken. */
static void lie_about_the_refund(struct book *in, const cfa_call *call, cfa_arena *arena,
                                 cfa_reply *out) {
    hooked_pass(in, call, arena, out);
    if (call->kind == CFA_CALL_REFUND) {
        out->outcome = CFA_OUTCOME_UNKNOWN;
        out->facts = (cfa_facts)CFA_FACTS_INIT;
    }
    if (call->kind != CFA_CALL_RETRIEVE || out->facts.refund_count == 0)
        return;
    cfa_refund_facts *refund = cfa_arena_copy(arena, out->facts.refunds[0], sizeof *refund);
    const cfa_refund_facts **refunds = cfa_arena_alloc(arena, sizeof *refunds);
    must(refund != NULL && refunds != NULL);
    refunds[0] = refund;
    out->facts.refunds = refunds;
    switch (lie) {
    case OTHER_AMOUNT: out->facts.amount.minor++; break;
    case OTHER_PAYMENT: out->facts.payment_id = "pay_01h455vb4pex5vsknk084sn02q"; break;
    case REFUND_OF_NOTHING: refund->amount.minor = 0; break;
    case REFUND_IN_DOLLARS: memcpy(refund->amount.currency, "USD", 4); break;
    default: refund->amount.minor = 1001; break;
    }
}

START_TEST(a_refund_that_is_named_but_not_taken_is_not_absent) {
    lie = _i / STORES;
    open_hooked(_i % STORES, lie_about_the_refund);
    pay(1000);
    ck_assert_int_eq(asked("r1", 1000), CFA_REFUND_REQUESTED);
    pass_days(4);
    ck_assert_int_eq(asked("r1", 1000), CFA_REFUND_REQUESTED);
    cfa_refund *refund = NULL;
    ck_assert_int_eq(ask(&refund, "r2", 1000), CFA_ESTATE);
    ck_assert_int_eq(play_books_of(&book).refund_count, 1);
    /* Told what can be taken, it is over. */
    hooked.hook = NULL;
    pass_days(2);
    ck_assert_int_eq(asked("r1", 1000), CFA_REFUND_SUCCEEDED);
    close_whole(1000, 1000);
}
END_TEST

/* ---- facts that are broken ------------------------------------------------------------------- */

static cfa_webhook_event event_of(const char *event_id, const char *ref) {
    cfa_webhook_event event = { .struct_size = sizeof event,
                                .event_id = event_id,
                                .event_type = "test",
                                .account = "",
                                .relevant = 1,
                                .facts = CFA_FACTS_INIT };
    event.facts.ref = ref;
    return event;
}

START_TEST(a_list_with_a_hole_is_refused) {
    book_open(&book, _i);
    pay(1000);
    const cfa_refund_facts *const refunds[] = { NULL };
    const cfa_dispute_facts *const disputes[] = { NULL };
    cfa_webhook_event event = event_of("evt_hole", "pi_any");
    cfa_webhook_verdict verdict;
    event.facts.refunds = refunds;
    event.facts.refund_count = 1;
    expect_error(cfa_webhook_accept(&verdict, book.engine, &event, PATIENCE_MS), CFA_EINVAL,
                 "refunds");
    event.facts.refund_count = 0;
    event.facts.disputes = disputes;
    event.facts.dispute_count = 1;
    expect_error(cfa_webhook_accept(&verdict, book.engine, &event, PATIENCE_MS), CFA_EINVAL,
                 "disputes");
    close_whole(1000, 0);
}
END_TEST

static char first_ref[64];
static bool create_lost;

static void lose_the_first_create(struct book *in, const cfa_call *call, cfa_arena *arena,
                                  cfa_reply *out) {
    hooked_pass(in, call, arena, out);
    if (call->kind == CFA_CALL_CREATE && !create_lost) {
        create_lost = true;
        snprintf(first_ref, sizeof first_ref, "%s", out->facts.ref);
        *out = (cfa_reply){ .struct_size = sizeof *out, .facts = CFA_FACTS_INIT };
    }
}

/* A currency that no JSON can hold must not be parked, to be found broken when the payment is
 * bound. */
START_TEST(a_broken_currency_does_not_stop_the_payment_it_waits_for) {
    static const char *const currencies[] = { "\xff\xff\xff", "E\x01R", "EU" };
    create_lost = false;
    open_hooked(_i % STORES, lose_the_first_create);
    pledge = commit_only(&book, "gift", 1000);
    (void)!cfa_engine_tick(NULL, book.engine, CFA_WORK_ALL, 0);
    for (int i = 0; i < 100 && !create_lost; i++)
        (void)!cfa_engine_tick(NULL, book.engine, CFA_WORK_ALL, 0);
    ck_assert(create_lost);
    cfa_refund_facts refund = { .struct_size = sizeof refund,
                                .ref = "re_1",
                                .amount = { 100, "" },
                                .state = CFA_REFUND_SUCCEEDED };
    memcpy(refund.amount.currency, currencies[_i / STORES], strlen(currencies[_i / STORES]) + 1);
    const cfa_refund_facts *const refunds[] = { &refund };
    cfa_webhook_event event = event_of("evt_broken", first_ref);
    cfa_webhook_verdict verdict;
    event.facts.refunds = refunds;
    event.facts.refund_count = 1;
    expect_error(cfa_webhook_accept(&verdict, book.engine, &event, PATIENCE_MS), CFA_EINVAL,
                 "refunds.amount");
    for (int i = 0; i < 10; i++) {
        book_advance(&book, SECOND_US);
        book_settle(&book);
    }
    cfa_pledge_free(pledge);
    pledge = pledge_make(&book, "gift", 1000);
    pledge_pay(&book, pledge);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    close_whole(1000, 0);
}
END_TEST

/* ---- the late rule --------------------------------------------------------------------------- */

/* The campaign ends, and gives back what comes late. */
static void end_with_refunds(void) {
    cfa_campaign *campaign, *changed, *ended;
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    ck_assert_int_eq(cfa_campaign_get(&campaign, book.engine, book.campaign_id), CFA_OK);
    spec.key = "late-rule";
    spec.title = cfa_campaign_title(campaign);
    spec.currencies = cfa_campaign_currencies(campaign);
    spec.late_rule = CFA_LATE_REFUND;
    ck_assert_int_eq(cfa_campaign_update(&changed, book.engine, book.campaign_id,
                                         cfa_campaign_version(campaign), &spec),
                     CFA_OK);
    ck_assert_int_eq(cfa_campaign_end(&ended, book.engine, book.campaign_id,
                                      cfa_campaign_version(changed), NULL, "end", NULL),
                     CFA_OK);
    cfa_campaign_free(campaign);
    cfa_campaign_free(changed);
    cfa_campaign_free(ended);
}

static cfa_status prepare_no_refund(void *self, const cfa_call *call, cfa_arena *arena,
                                    cfa_slice *out_body) {
    const cfa_provider *play = cfa_play_provider(book.play);
    (void)self;
    if (call->kind == CFA_CALL_REFUND)
        return cfa_error_set(CFA_ENOTSUP, "provider.play", NULL, 0, "no refunds here");
    return play->ops->prepare(play->self, call, arena, out_body);
}

/* A provider that cannot give back must not make us lose what it took. */
START_TEST(late_money_that_cannot_go_back_is_in_the_books) {
    book_prepare(&book, _i);
    hooked_use(&hooked, &book, NULL);
    hooked.ops.prepare = prepare_no_refund;
    book_start(&book);
    pledge = pledge_make(&book, "gift", 1000);
    end_with_refunds();
    pledge_pay(&book, pledge);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    ck_assert_uint_eq(flags_of(book.engine, pledge), CFA_PAYMENT_FLAG_LATE);
    close_whole(1000, 0);
}
END_TEST

/* A provider may take it in parts; what counted before the end was never late. */
START_TEST(only_what_came_after_the_end_goes_back) {
    book_open(&book, _i);
    pledge = pledge_make(&book, "gift", 1000);
    ck_assert_int_eq(cfa_play_confirm(book.play, cfa_pledge_client_secret(pledge), "pm_ok"),
                     CFA_OK);
    cfa_payment *payment;
    cfa_webhook_verdict verdict;
    cfa_webhook_event event = { .struct_size = sizeof event,
                                .event_id = "evt_part",
                                .event_type = "test",
                                .account = "",
                                .relevant = 1,
                                .facts = CFA_FACTS_INIT };
    ck_assert_int_eq(cfa_payment_get(&payment, book.engine, cfa_pledge_payment_id(pledge)), CFA_OK);
    event.facts.ref = cfa_payment_ref(payment);
    event.facts.captured_minor = 400;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &event, PATIENCE_MS), CFA_OK);
    ck_assert_int_eq(verdict, CFA_WEBHOOK_APPLIED);
    cfa_payment_free(payment);
    end_with_refunds();
    ck_assert_int_eq(cfa_play_deliver(NULL, book.play, book.engine, 0), CFA_OK);
    book_settle(&book);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    close_whole(1000, 600);
}
END_TEST

/* ---- oldest first ---------------------------------------------------------------------------- */

START_TEST(refunds_are_listed_oldest_first_whatever_the_clock_does) {
    book_open(&book, _i);
    pay(1000);
    char ids[6][CFA_ID_TEXT_SIZE];
    for (int i = 0; i < 6; i++) {
        char key[32];
        cfa_refund *refund;
        snprintf(key, sizeof key, "r%d", i);
        ck_assert_int_eq(ask(&refund, key, 100), CFA_OK);
        snprintf(ids[i], sizeof ids[i], "%s", cfa_refund_id(refund));
        cfa_refund_free(refund);
    }
    cfa_refund_list *list;
    ck_assert_int_eq(cfa_refund_list_of(&list, book.engine, cfa_pledge_payment_id(pledge)), CFA_OK);
    ck_assert_uint_eq(cfa_refund_list_size(list), 6);
    for (size_t i = 0; i < 6; i++)
        ck_assert_str_eq(cfa_refund_id(cfa_refund_list_at(list, i)), ids[i]);
    cfa_refund_list_free(list);
    close_whole(1000, 600);
}
END_TEST

/* ---- news that only says: look --------------------------------------------------------------- */

static void tell_to_look(const char *event_id) {
    cfa_payment *payment;
    cfa_webhook_verdict verdict;
    ck_assert_int_eq(cfa_payment_get(&payment, book.engine, cfa_pledge_payment_id(pledge)), CFA_OK);
    cfa_webhook_event event = event_of(event_id, cfa_payment_ref(payment));
    event.fetch = 1;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &event, PATIENCE_MS), CFA_OK);
    cfa_payment_free(payment);
}

static void refund_at_the_provider(int64_t minor) {
    cfa_payment *payment;
    cfa_play_refund_spec make = CFA_PLAY_REFUND_SPEC_INIT;
    ck_assert_int_eq(cfa_payment_get(&payment, book.engine, cfa_pledge_payment_id(pledge)), CFA_OK);
    make.ref = cfa_payment_ref(payment);
    make.amount_minor = minor;
    ck_assert_int_eq(cfa_play_refund(NULL, book.play, &make), CFA_OK);
    cfa_payment_free(payment);
}

START_TEST(a_read_that_failed_has_not_looked) {
    static const int32_t faults[] = { CFA_PLAY_FAULT_REPLY_LOST, CFA_PLAY_FAULT_NOT_SENT,
                                      CFA_PLAY_FAULT_ERROR_BEFORE };
    open_hooked(_i % STORES, NULL);
    pay(1000);
    pass_days(2); /* the probe is at rest */
    refund_at_the_provider(400);
    tell_to_look("evt_look");
    ck_assert_int_eq(cfa_play_fault_next(book.play, faults[_i / STORES]), CFA_OK);
    pass_days(3); /* no webhook was delivered */
    ck_assert_int_eq(rows_of(&book, "refund"), 1);
    int calls = hooked.calls;
    pass_days(3);
    ck_assert_int_eq(hooked.calls, calls);
    close_whole(1000, 400);
}
END_TEST

static bool told_meanwhile;

/* What was read is old when it arrives. */
static void news_during_the_read(struct book *in, const cfa_call *call, cfa_arena *arena,
                                 cfa_reply *out) {
    hooked_pass(in, call, arena, out);
    if (call->kind != CFA_CALL_RETRIEVE || told_meanwhile)
        return;
    told_meanwhile = true;
    refund_at_the_provider(400);
    tell_to_look("evt_meanwhile");
}

START_TEST(news_that_comes_during_a_read_is_read_again) {
    told_meanwhile = true;
    open_hooked(_i, news_during_the_read);
    pay(1000);
    pass_days(2);
    told_meanwhile = false;
    tell_to_look("evt_look");
    pass_days(3);
    ck_assert(told_meanwhile);
    ck_assert_int_eq(rows_of(&book, "refund"), 1);
    int calls = hooked.calls;
    pass_days(3);
    ck_assert_int_eq(hooked.calls, calls);
    close_whole(1000, 400);
}
END_TEST

/* ---- one report, one reference more than once ------------------------------------------------ */

START_TEST(a_report_that_names_one_refund_twice_counts_it_once) {
    book_open(&book, _i);
    pay(1000);
    cfa_refund_facts first = { .struct_size = sizeof first,
                               .ref = "re_1",
                               .amount = { 300, "EUR" },
                               .state = CFA_REFUND_PENDING };
    cfa_refund_facts second = first, third = first;
    second.state = CFA_REFUND_SUCCEEDED;
    third.ref = "re_2";
    const cfa_refund_facts *const refunds[] = { &first, &second, &third };
    cfa_dispute_facts dispute = { .struct_size = sizeof dispute,
                                  .ref = "re_2",
                                  .amount = { 300, "EUR" },
                                  .state = CFA_DISPUTE_OPEN,
                                  .withdrawn_minor = 300 };
    const cfa_dispute_facts *const disputes[] = { &dispute };
    cfa_payment *payment;
    cfa_webhook_verdict verdict;
    ck_assert_int_eq(cfa_payment_get(&payment, book.engine, cfa_pledge_payment_id(pledge)), CFA_OK);
    cfa_webhook_event event = event_of("evt_twice", cfa_payment_ref(payment));
    event.facts.refunds = refunds;
    event.facts.refund_count = 3;
    event.facts.disputes = disputes;
    event.facts.dispute_count = 1;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &event, PATIENCE_MS), CFA_OK);
    ck_assert_int_eq(verdict, CFA_WEBHOOK_QUARANTINED);
    ck_assert_uint_eq(flags_of(book.engine, pledge), CFA_PAYMENT_FLAG_CONFLICT);
    ck_assert_int_eq(rows_of(&book, "refund"), 2);
    ck_assert_int_eq(rows_of(&book, "dispute"), 0);
    cfa_payment_free(payment);
    close_whole(1000, 600);
}
END_TEST

/* An event about something that nobody knows waits for it; that it is a refund we hear later. */
START_TEST(a_reference_that_something_waits_for_can_be_a_refund) {
    book_open(&book, _i % STORES);
    pay(1000);
    cfa_refund_facts refund = { .struct_size = sizeof refund,
                                .ref = "re_1",
                                .amount = { 300, "EUR" },
                                .state = CFA_REFUND_SUCCEEDED };
    const cfa_refund_facts *const refunds[] = { &refund };
    cfa_payment *payment;
    cfa_webhook_verdict verdict;
    ck_assert_int_eq(cfa_payment_get(&payment, book.engine, cfa_pledge_payment_id(pledge)), CFA_OK);
    cfa_webhook_event stray = event_of("evt_stray", "re_1");
    cfa_webhook_event event = event_of("evt_refund", cfa_payment_ref(payment));
    event.facts.refunds = refunds;
    event.facts.refund_count = 1;
    for (int i = 0; i < 2; i++) {
        bool is_stray = i == _i / STORES;
        ck_assert_int_eq(
            cfa_webhook_accept(&verdict, book.engine, is_stray ? &stray : &event, PATIENCE_MS),
            CFA_OK);
    }
    ck_assert_int_eq(rows_of(&book, "refund"), 1);
    cfa_payment_free(payment);
    close_whole(1000, 300);
}
END_TEST

/* ---- two engines on one book ----------------------------------------------------------------- */

static atomic_int granted;
static cfa_engine *engines[2];

static void ask_for_three_hundred(void *user, int index) {
    char key[16];
    (void)user;
    snprintf(key, sizeof key, "r%d", index);
    cfa_refund *refund;
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    spec.key = key;
    spec.payment_id = cfa_pledge_payment_id(pledge);
    spec.amount = (cfa_money){ 300, "EUR" };
    spec.timeout_ms = PATIENCE_MS;
    cfa_status status = cfa_refund_create(&refund, engines[index % 2], &spec);
    must(status == CFA_OK || status == CFA_ERANGE);
    granted += status == CFA_OK;
    if (status == CFA_OK)
        cfa_refund_free(refund);
}

START_TEST(two_engines_give_no_more_than_was_captured) {
    book_open(&book, _i);
    pay(1000);
    engines[0] = book.engine;
    engines[1] = book_second_engine(&book);
    granted = 0;
    together(8, ask_for_three_hundred, NULL);
    settle(engines[1]);
    cfa_engine_close(engines[1]);
    book_settle(&book);
    ck_assert_int_eq(granted, 3);
    ck_assert_int_eq(play_books_of(&book).refund_count, 3);
    close_whole(1000, 900);
}
END_TEST

/* ---- the suite ------------------------------------------------------------------------------- */

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine refund review");
    add_loop(suite, "not_absent", a_refund_that_is_named_but_not_taken_is_not_absent,
             LIES * STORES);
    add_per_store(suite, "hole", a_list_with_a_hole_is_refused);
    add_loop(suite, "currency", a_broken_currency_does_not_stop_the_payment_it_waits_for,
             3 * STORES);
    add_per_store(suite, "no_refunds", late_money_that_cannot_go_back_is_in_the_books);
    add_per_store(suite, "after_the_end", only_what_came_after_the_end_goes_back);
    add_per_store(suite, "oldest_first", refunds_are_listed_oldest_first_whatever_the_clock_does);
    add_loop(suite, "failed_read", a_read_that_failed_has_not_looked, 3 * STORES);
    add_per_store(suite, "meanwhile", news_that_comes_during_a_read_is_read_again);
    add_per_store(suite, "twice", a_report_that_names_one_refund_twice_counts_it_once);
    add_loop(suite, "stray", a_reference_that_something_waits_for_can_be_a_refund, 2 * STORES);
    add_per_store(suite, "two_engines", two_engines_give_no_more_than_was_captured);
    return run_suite(suite, argc, argv);
}
