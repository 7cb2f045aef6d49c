/*
 * test_engine_hold.c - late money under the rule `hold`: in no total from its first event on, until a
 * person accepts it, once; and whatever goes back of it before and after.
 */
#include "core/explained.h"
#include "core/hooked.h"

#include <careforall/dispute.h>
#include <careforall/refund.h>
#include <stdio.h>
#include <string.h>

#define HELD (CFA_PAYMENT_FLAG_LATE | CFA_PAYMENT_FLAG_HELD)

static struct book book;
static cfa_pledge *pledge;

/* ---- a payment that comes late --------------------------------------------------------------- */

static void set_late_rule(cfa_late_rule rule) {
    static int32_t serial;
    char key[32];
    cfa_campaign *campaign, *changed;
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    ck_assert_int_eq(cfa_campaign_get(&campaign, book.engine, book.campaign_id), CFA_OK);
    snprintf(key, sizeof key, "late-rule-%d", (int)++serial);
    spec.key = key;
    spec.title = cfa_campaign_title(campaign);
    spec.currencies = cfa_campaign_currencies(campaign);
    spec.late_rule = rule;
    ck_assert_int_eq(cfa_campaign_update(&changed, book.engine, book.campaign_id,
                                         cfa_campaign_version(campaign), &spec),
                     CFA_OK);
    ck_assert_int_eq(cfa_campaign_late_rule(changed), rule);
    cfa_campaign_free(campaign);
    cfa_campaign_free(changed);
}

static void end_campaign(void) {
    cfa_campaign *campaign, *ended;
    ck_assert_int_eq(cfa_campaign_get(&campaign, book.engine, book.campaign_id), CFA_OK);
    ck_assert_int_eq(cfa_campaign_end(&ended, book.engine, book.campaign_id,
                                      cfa_campaign_version(campaign), NULL, "end", NULL),
                     CFA_OK);
    cfa_campaign_free(campaign);
    cfa_campaign_free(ended);
}

static const char *payment_id(void) { return cfa_pledge_payment_id(pledge); }

static const char *provider_ref(void) {
    static char ref[64];
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book.engine, payment_id()), CFA_OK);
    snprintf(ref, sizeof ref, "%s", cfa_payment_ref(payment));
    cfa_payment_free(payment);
    return ref;
}

/* A report of a host's own. */
static void tell(uint32_t flags, int64_t captured_minor) {
    static int32_t serial;
    char id[32];
    snprintf(id, sizeof id, "evt_test_%d", (int)++serial);
    cfa_webhook_event event = { .struct_size = sizeof event,
                                .event_id = id,
                                .event_type = "test",
                                .account = "",
                                .relevant = 1,
                                .facts = CFA_FACTS_INIT };
    event.facts.ref = provider_ref();
    event.facts.flags = flags;
    event.facts.captured_minor = captured_minor;
    cfa_webhook_verdict verdict;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &event, PATIENCE_MS), CFA_OK);
    ck_assert_int_eq(verdict, CFA_WEBHOOK_APPLIED);
}

static void deliver(void) {
    ck_assert_int_eq(cfa_play_deliver(NULL, book.play, book.engine, 0), CFA_OK);
    book_settle(&book);
}

static void open_pledged(int store, cfa_late_rule rule) {
    book_open(&book, store);
    pledge = pledge_make(&book, "gift", 1000);
    set_late_rule(rule);
}

/* Paid after a cancel that the provider reported. */
static void open_held(int store) {
    open_pledged(store, CFA_LATE_HOLD);
    tell(CFA_FACT_CANCELED, 0);
    pledge_pay(&book, pledge);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    ck_assert_uint_eq(flags_of(book.engine, pledge), HELD);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static cfa_status accept_with(cfa_payment **out, const char *key) {
    cfa_actor by = CFA_ACTOR_INIT;
    by.actor = "desk-3";
    by.reason = "the donor was on time, the bank was not";
    return cfa_payment_accept(out, book.engine, payment_id(), "desk", key, &by);
}

static void accept(const char *key) {
    cfa_payment *payment;
    cfa_status status = accept_with(&payment, key);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    ck_assert_uint_eq(cfa_payment_flags(payment) & CFA_PAYMENT_FLAG_HELD, 0);
    cfa_payment_free(payment);
}

static void refund_of(int64_t minor, const char *key) {
    cfa_refund *refund;
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    spec.key = key;
    spec.payment_id = payment_id();
    spec.amount = minor != 0 ? (cfa_money){ minor, "EUR" } : (cfa_money){ 0, "" };
    spec.timeout_ms = PATIENCE_MS;
    ck_assert_int_eq(cfa_refund_create(&refund, book.engine, &spec), CFA_OK);
    ck_assert_int_eq(cfa_refund_state_of(refund), CFA_REFUND_SUCCEEDED);
    cfa_refund_free(refund);
}

static void expect_totals(int64_t raised, int64_t refunded, int64_t disputed) {
    cfa_totals_row totals = totals_of(&book);
    ck_assert_int_eq(totals.raised_minor, raised);
    ck_assert_int_eq(totals.refunded_minor, refunded);
    ck_assert_int_eq(totals.disputed_minor, disputed);
    ck_assert_int_eq(totals.net_minor, raised - refunded - disputed);
    ck_assert_int_eq(totals.donation_count, raised > 0);
    audit(&book);
}

static void close_whole(int64_t raised, int64_t refunded, int64_t disputed) {
    expect_totals(raised, refunded, disputed);
    ck_assert_int_eq(play_books_of(&book).refunded_twice, 0);
    cfa_pledge_free(pledge);
    book_close(&book);
}

/* Steps of the payment's walk under a rule. */
static int64_t steps_of(const char *rule) {
    cfa_transition_list *list;
    int64_t count = 0;
    ck_assert_int_eq(cfa_payment_history(&list, book.engine, payment_id()), CFA_OK);
    for (size_t i = 0; i < cfa_transition_list_size(list); i++) {
        bool is_it = strcmp(cfa_transition_rule(list, i), rule) == 0;
        count += is_it;
        if (is_it)
            ck_assert_int_eq(cfa_transition_from(list, i), cfa_transition_to(list, i));
    }
    cfa_transition_list_free(list);
    return count;
}

/* Events of a type; each of the book's that is behind `from` and raises money is counted in
 * `*raising`. */
static int64_t events_of(const char *type, int64_t from, int64_t *raising) {
    cfa_event_list *list;
    int64_t count = 0;
    *raising = 0;
    ck_assert_int_eq(cfa_event_page(&list, book.engine, 0, CFA_PAGE_LIMIT_MAX), CFA_OK);
    for (size_t i = 0; i < cfa_event_list_size(list); i++) {
        const cfa_event_view *event = cfa_event_list_at(list, i);
        char payload[2048];
        snprintf(payload, sizeof payload, "%.*s", (int)event->data.size,
                 (const char *)event->data.data);
        count += strcmp(event->event_type, type) == 0;
        const char *raised = strstr(payload, "\"raised_minor\":");
        *raising += event->position > from && raised != NULL && raised[15] != '0';
    }
    cfa_event_list_free(list);
    return count;
}

/* ---- held ------------------------------------------------------------------------------------ */

static const struct {
    bool canceled_before, ended_before, canceled_after;
} lates[] = { { true, false, false },
              { false, true, false },
              { true, true, false },
              { false, true, true },
              { false, false, true } };

START_TEST(late_money_is_in_no_total_and_raised_by_no_event) {
    int late = _i / STORES;
    int64_t raising;
    open_pledged(_i % STORES, CFA_LATE_HOLD);
    if (lates[late].canceled_before)
        tell(CFA_FACT_CANCELED, 0);
    if (lates[late].ended_before)
        end_campaign();
    pledge_pay(&book, pledge);
    int64_t paid_at = head_of(book.engine);
    if (lates[late].canceled_after)
        tell(CFA_FACT_CANCELED, 0);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    ck_assert_uint_eq(flags_of(book.engine, pledge), HELD);
    ck_assert_int_eq(events_of("org.careforall.payment.held.v1", 0, &raising), 1);
    bool was_in_time = !lates[late].canceled_before && !lates[late].ended_before;
    ck_assert(was_in_time == (raising > 0));
    ck_assert_int_eq(events_of("org.careforall.payment.late_success.v1", paid_at, &raising), 1);
    ck_assert_int_eq(raising, 0);
    ck_assert_int_eq(steps_of("L01"), 1);
    deliver();
    close_whole(0, 0, 0);
}
END_TEST

START_TEST(what_is_known_of_held_money_is_not_touched) {
    open_held(_i);
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book.engine, payment_id()), CFA_OK);
    ck_assert_int_eq(cfa_payment_captured(payment).minor, 1000);
    ck_assert_int_eq(cfa_payment_refundable(payment).minor, 1000);
    ck_assert_int_eq(cfa_payment_state_of(payment), CFA_PAYMENT_COMPLETED);
    cfa_payment_free(payment);
    close_whole(0, 0, 0);
}
END_TEST

START_TEST(money_in_time_counts_and_payments_in_flight_may_finish) {
    open_pledged(_i, CFA_LATE_HOLD);
    pledge_pay(&book, pledge);
    cfa_pledge *in_flight = pledge_make(&book, "in-flight", 700);
    end_campaign();
    for (int hour = 0; hour < 3; hour++) { /* the standing probes do not cancel it */
        book_advance(&book, HOUR_US / 4);
        book_settle(&book);
    }
    ck_assert_int_eq(state_of(book.engine, in_flight), CFA_PAYMENT_PENDING);
    pledge_pay(&book, in_flight);
    ck_assert_uint_eq(flags_of(book.engine, in_flight), HELD);
    ck_assert_uint_eq(flags_of(book.engine, pledge), 0);
    cfa_pledge_free(in_flight);
    close_whole(1000, 0, 0);
}
END_TEST

START_TEST(another_rule_later_changes_nothing_of_what_was_decided) {
    open_pledged(_i, CFA_LATE_ACCEPT);
    tell(CFA_FACT_CANCELED, 0);
    pledge_pay(&book, pledge);
    ck_assert_uint_eq(flags_of(book.engine, pledge), CFA_PAYMENT_FLAG_LATE);
    cfa_pledge *other = pledge_make(&book, "other", 700);
    set_late_rule(CFA_LATE_HOLD);
    deliver();
    tell(CFA_FACT_EXPIRED, 0);
    ck_assert_uint_eq(flags_of(book.engine, pledge), CFA_PAYMENT_FLAG_LATE);
    cfa_pledge *first = pledge;
    pledge = other;
    tell(CFA_FACT_CANCELED, 0);
    pledge_pay(&book, other);
    set_late_rule(CFA_LATE_ACCEPT);
    deliver();
    tell(CFA_FACT_EXPIRED, 0);
    ck_assert_uint_eq(flags_of(book.engine, other), HELD);
    cfa_pledge_free(first);
    close_whole(1000, 0, 0);
}
END_TEST

/* ---- accepted -------------------------------------------------------------------------------- */

static void expect_act(const char *before, const char *after) {
    cfa_act_list *list;
    ck_assert_int_eq(cfa_act_page(&list, book.engine, 0, 0), CFA_OK);
    const cfa_act_view *act = cfa_act_list_at(list, cfa_act_list_size(list) - 1);
    ck_assert_str_eq(act->action, "payment.accept");
    ck_assert_str_eq(act->subject, payment_id());
    ck_assert_str_eq(act->actor, "desk-3");
    ck_assert_str_eq(act->reason, "the donor was on time, the bank was not");
    ck_assert_str_eq(act->before, before);
    ck_assert_str_eq(act->after, after);
    cfa_act_list_free(list);
}

START_TEST(what_is_accepted_counts_once_and_for_good) {
    open_held(_i);
    int64_t acts = rows_of(&book, "act"), head = head_of(book.engine), raising;
    accept("yes");
    ck_assert_int_eq(head_of(book.engine), head + 1);
    ck_assert_int_eq(events_of("org.careforall.payment.accepted.v1", head, &raising), 1);
    ck_assert_int_eq(raising, 1);
    ck_assert_int_eq(steps_of("L02"), 1);
    ck_assert_int_eq(rows_of(&book, "act"), acts + 1);
    expect_act("{\"state\":\"COMPLETED\",\"captured_minor\":1000,\"raised_minor\":0,"
               "\"refunded_minor\":0,\"disputed_minor\":0,\"currency\":\"EUR\"}",
               "{\"state\":\"COMPLETED\",\"captured_minor\":1000,\"raised_minor\":1000,"
               "\"refunded_minor\":0,\"disputed_minor\":0,\"currency\":\"EUR\"}");
    expect_totals(1000, 0, 0);
    accept("yes"); /* a repeat */
    ck_assert_int_eq(head_of(book.engine), head + 1);
    tell(CFA_FACT_EXPIRED, 0);
    close_whole(1000, 0, 0);
}
END_TEST

START_TEST(what_cannot_be_accepted_is_refused_with_its_field) {
    open_pledged(_i, CFA_LATE_HOLD);
    int64_t rows = all_rows_of(&book);
    cfa_payment *payment = NULL;
    expect_error(accept_with(&payment, "k"), CFA_ESTATE, "payment_id"); /* nothing came yet */
    expect_error(cfa_payment_accept(&payment, book.engine, cfa_pledge_id(pledge), NULL, "k", NULL),
                 CFA_EINVAL, "payment_id");
    expect_error(cfa_payment_accept(&payment, book.engine, "pay_01h455vb4pex5vsknk084sn02q", NULL,
                                    "k", NULL),
                 CFA_ENOTFOUND, "payment_id");
    expect_error(cfa_payment_accept(&payment, book.engine, payment_id(), NULL, NULL, NULL),
                 CFA_EKEY, "key");
    ck_assert_int_eq(all_rows_of(&book), rows);
    tell(CFA_FACT_CANCELED, 0);
    pledge_pay(&book, pledge);
    accept("k"); /* what was refused has not used the key up */
    expect_error(accept_with(&payment, "other"), CFA_ESTATE, "payment_id");
    cfa_pledge *other = pledge_make(&book, "other", 700);
    expect_error(
        cfa_payment_accept(&payment, book.engine, cfa_pledge_payment_id(other), "desk", "k", NULL),
        CFA_EKEYREUSE, "payment_id");
    ck_assert_ptr_null(payment);
    cfa_pledge_free(other);
    close_whole(1000, 0, 0);
}
END_TEST

#define ASKERS 8
static _Atomic int granted;

static void ask_with_own_key(void *user, int index) {
    char key[32];
    cfa_payment *payment;
    snprintf(key, sizeof key, "%s-%d", (const char *)user, index);
    cfa_status status = accept_with(&payment, user != NULL ? key : "one");
    must(status == CFA_OK || (user != NULL && status == CFA_ESTATE));
    if (status != CFA_OK)
        return;
    granted++;
    cfa_payment_free(payment);
}

START_TEST(whoever_accepts_at_once_there_is_one_acceptance) {
    open_held(_i % STORES);
    bool own = _i / STORES == 1;
    static char mine[] = "mine";
    granted = 0;
    together(ASKERS, ask_with_own_key, own ? mine : NULL);
    ck_assert_int_eq(granted, own ? 1 : ASKERS);
    ck_assert_int_eq(steps_of("L02"), 1);
    close_whole(1000, 0, 0);
}
END_TEST

static int64_t fault_countdown;
static int32_t fault_kind;

static int32_t fail_one_commit(void *user, int32_t call, uint64_t number, cfa_status *out_status) {
    (void)user;
    (void)number;
    *out_status = CFA_EIO;
    return call == CFA_FAULT_COMMIT && --fault_countdown == 0 ? fault_kind : CFA_FAULT_PASS;
}

START_TEST(whatever_its_commit_does_it_is_accepted_once) {
    static const int32_t kinds[] = { CFA_FAULT_FAIL, CFA_FAULT_DOUBT_DONE,
                                     CFA_FAULT_DOUBT_NOT_DONE };
    fault_countdown = INT64_MAX;
    fault_kind = kinds[_i / STORES];
    book_prepare(&book, _i % STORES);
    book_wrap(&book, fail_one_commit, NULL);
    book_start(&book);
    pledge = pledge_make(&book, "gift", 1000);
    set_late_rule(CFA_LATE_HOLD);
    tell(CFA_FACT_CANCELED, 0);
    pledge_pay(&book, pledge);
    cfa_payment *payment = NULL;
    fault_countdown = 1;
    cfa_status status = accept_with(&payment, "yes");
    ck_assert_int_le(fault_countdown, 0);
    fault_countdown = INT64_MAX;
    ck_assert(status == CFA_OK || cfa_status_class_of(status) == CFA_CLASS_TRANSIENT ||
              status == CFA_EINDOUBT);
    if (status == CFA_OK)
        cfa_payment_free(payment);
    accept("yes");
    ck_assert_int_eq(steps_of("L02"), 1);
    close_whole(1000, 0, 0);
}
END_TEST

/* ---- more of it, and less -------------------------------------------------------------------- */

START_TEST(more_money_after_the_acceptance_counts_at_once) {
    int64_t raising;
    open_pledged(_i, CFA_LATE_HOLD);
    end_campaign();
    tell(0, 400);
    ck_assert_uint_eq(flags_of(book.engine, pledge), HELD);
    tell(0, 500);
    ck_assert_int_eq(events_of("org.careforall.payment.captured.v1", 0, &raising), 2);
    ck_assert_int_eq(raising, 0);
    expect_totals(0, 0, 0);
    accept("yes");
    expect_totals(500, 0, 0);
    tell(0, 800);
    expect_totals(800, 0, 0);
    tell(CFA_FACT_CANCELED, 0);
    tell(CFA_FACT_SUCCEEDED, 1000);
    ck_assert_uint_eq(flags_of(book.engine, pledge), CFA_PAYMENT_FLAG_LATE);
    ck_assert_int_eq(steps_of("L01"), 1);
    close_whole(1000, 0, 0);
}
END_TEST

START_TEST(more_money_after_the_end_of_what_counts_already_counts) {
    open_pledged(_i, CFA_LATE_HOLD);
    tell(0, 400);
    end_campaign();
    tell(CFA_FACT_SUCCEEDED, 1000);
    ck_assert_uint_eq(flags_of(book.engine, pledge), CFA_PAYMENT_FLAG_LATE);
    close_whole(1000, 0, 0);
}
END_TEST

START_TEST(what_goes_back_while_it_is_held_shows_when_it_is_accepted) {
    int64_t minor = _i / STORES == 1 ? 0 : 300, back = minor != 0 ? minor : 1000;
    open_held(_i % STORES);
    refund_of(minor, "back");
    deliver();
    expect_totals(0, 0, 0);
    accept("yes");
    expect_totals(1000, back, 0);
    if (minor != 0)
        refund_of(0, "the-rest");
    close_whole(1000, 1000, 0);
}
END_TEST

START_TEST(held_money_may_go_back_and_never_be_accepted) {
    open_held(_i);
    refund_of(0, "back");
    deliver();
    ck_assert_uint_eq(flags_of(book.engine, pledge), HELD);
    close_whole(0, 0, 0);
}
END_TEST

START_TEST(a_refund_that_fails_later_leaves_money_to_be_accepted) {
    open_held(_i);
    refund_of(0, "back");
    cfa_refund_list *list;
    ck_assert_int_eq(cfa_refund_list_of(&list, book.engine, payment_id()), CFA_OK);
    cfa_play_refund_spec move = CFA_PLAY_REFUND_SPEC_INIT;
    move.ref = cfa_refund_ref(cfa_refund_list_at(list, 0));
    move.state = CFA_REFUND_FAILED;
    ck_assert_int_eq(cfa_play_refund(NULL, book.play, &move), CFA_OK);
    cfa_refund_list_free(list);
    deliver();
    expect_totals(0, 0, 0);
    accept("yes");
    close_whole(1000, 0, 0);
}
END_TEST

START_TEST(a_dispute_of_held_money_shows_when_it_is_accepted) {
    open_held(_i);
    char dispute_ref[CFA_PLAY_REF_SIZE];
    cfa_play_dispute_spec spec = CFA_PLAY_DISPUTE_SPEC_INIT;
    spec.ref = provider_ref();
    spec.state = CFA_DISPUTE_OPEN;
    spec.withdrawn_minor = 1000;
    ck_assert_int_eq(cfa_play_dispute(dispute_ref, book.play, &spec), CFA_OK);
    deliver();
    expect_totals(0, 0, 0);
    accept("yes");
    expect_totals(1000, 0, 1000);
    spec = (cfa_play_dispute_spec)CFA_PLAY_DISPUTE_SPEC_INIT;
    spec.ref = dispute_ref;
    spec.state = CFA_DISPUTE_WON;
    spec.withdrawn_minor = spec.reinstated_minor = 1000;
    ck_assert_int_eq(cfa_play_dispute(NULL, book.play, &spec), CFA_OK);
    deliver();
    close_whole(1000, 0, 0);
}
END_TEST

/* ---- told ------------------------------------------------------------------------------------ */

START_TEST(the_doctor_lists_what_a_person_must_decide) {
    open_held(_i);
    book_advance(&book, DAY_US);
    for (int deep = 0; deep < 2; deep++) {
        const cfa_finding_view *view = finding_of(book.engine, "payment_held", deep);
        ck_assert_ptr_nonnull(view);
        ck_assert_int_eq(view->severity, CFA_FINDING_WARNING);
        ck_assert_int_eq(view->count, 1);
        ck_assert_str_eq(view->ids[0], payment_id());
        ck_assert_int_eq(view->age_us, DAY_US);
        ck_assert(!view->safe);
    }
    int64_t done;
    expect_error(cfa_doctor_do(&done, book.engine, "payment_held", NULL, NULL), CFA_ENOTSUP, NULL);
    refund_of(400, "a-part");
    deliver();
    ck_assert_int_eq(finding_of(book.engine, "payment_held", false)->age_us, DAY_US);
    bool back = _i % 2 == 1;
    if (back) {
        refund_of(0, "the-rest"); /* nothing is left to be decided */
        deliver();
    } else {
        accept("yes");
    }
    ck_assert_ptr_null(finding_of(book.engine, "payment_held", false));
    ck_assert_ptr_null(finding_of(book.engine, "payment_held", true));
    forget_checkup();
    close_whole(back ? 0 : 1000, back ? 0 : 400, 0);
}
END_TEST

/* Calls have a limit, and what the rule cannot send back must not stay in silence. */
START_TEST(late_money_that_no_call_is_left_for_is_told) {
    open_pledged(_i, CFA_LATE_REFUND);
    pledge_pay(&book, pledge);
    int32_t refunds = 0;
    for (int64_t calls = rows_of(&book, "operation"); calls < 64; calls++, refunds++) {
        char key[16];
        snprintf(key, sizeof key, "part-%d", (int)refunds);
        refund_of(10, key);
        ck_assert_ptr_null(finding_of(book.engine, "operations_spent", calls % 16 == 0));
    }
    ck_assert_int_gt(refunds, 50);
    deliver();
    tell(CFA_FACT_CANCELED, 0);
    ck_assert_uint_eq(flags_of(book.engine, pledge), CFA_PAYMENT_FLAG_LATE);
    ck_assert_int_eq(rows_of(&book, "refund"), refunds);
    for (int deep = 0; deep < 2; deep++) {
        const cfa_finding_view *view = finding_of(book.engine, "operations_spent", deep);
        ck_assert_ptr_nonnull(view);
        ck_assert_int_eq(view->severity, CFA_FINDING_WARNING);
        ck_assert_int_eq(view->count, 1);
        ck_assert_str_eq(view->ids[0], payment_id());
    }
    forget_checkup();
    close_whole(1000, refunds * 10, 0);
}
END_TEST

START_TEST(its_story_says_that_it_was_held_and_who_accepted_it) {
    open_held(_i);
    book_advance(&book, HOUR_US);
    (void)totals_of(&book);
    json_t *story = story_of(book.engine, payment_id());
    ck_assert_ptr_nonnull(strstr(member(story, "summary"), "held: no total has them"));
    ck_assert_ptr_nonnull(strstr(member(item_of(story, "totals", "contribution", 0), "title"),
                                 "until it is accepted"));
    ck_assert_ptr_nonnull(
        strstr(member(item_with(story, "timeline", "state", "rule", "L01"), "title"),
               "the campaign's rule holds it"));
    json_decref(story);
    accept("yes");
    (void)totals_of(&book);
    story = story_of(book.engine, payment_id());
    ck_assert_ptr_null(strstr(member(story, "summary"), "held"));
    ck_assert_str_eq(member(item_with(story, "timeline", "state", "rule", "L02"), "cause"),
                     "a person's act");
    ck_assert_str_eq(
        member(item_with(story, "timeline", "act", "action", "payment.accept"), "actor"), "desk-3");
    json_decref(story);
    close_whole(1000, 0, 0);
}
END_TEST

/* ---- the suite ------------------------------------------------------------------------------- */

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine hold");
    add_loop(suite, "held", late_money_is_in_no_total_and_raised_by_no_event,
             STORES * (int)COUNT(lates));
    add_per_store(suite, "facts", what_is_known_of_held_money_is_not_touched);
    add_per_store(suite, "in_time", money_in_time_counts_and_payments_in_flight_may_finish);
    add_per_store(suite, "rules", another_rule_later_changes_nothing_of_what_was_decided);
    add_per_store(suite, "accepted", what_is_accepted_counts_once_and_for_good);
    add_per_store(suite, "fields", what_cannot_be_accepted_is_refused_with_its_field);
    add_loop(suite, "race", whoever_accepts_at_once_there_is_one_acceptance, 2 * STORES);
    add_loop(suite, "commit", whatever_its_commit_does_it_is_accepted_once, 3 * STORES);
    add_per_store(suite, "more", more_money_after_the_acceptance_counts_at_once);
    add_per_store(suite, "more_in_time", more_money_after_the_end_of_what_counts_already_counts);
    add_loop(suite, "back", what_goes_back_while_it_is_held_shows_when_it_is_accepted, 2 * STORES);
    add_per_store(suite, "back_for_good", held_money_may_go_back_and_never_be_accepted);
    add_per_store(suite, "failed_refund", a_refund_that_fails_later_leaves_money_to_be_accepted);
    add_per_store(suite, "dispute", a_dispute_of_held_money_shows_when_it_is_accepted);
    add_per_store(suite, "doctor", the_doctor_lists_what_a_person_must_decide);
    add_per_store(suite, "spent", late_money_that_no_call_is_left_for_is_told);
    add_per_store(suite, "story", its_story_says_that_it_was_held_and_who_accepted_it);
    return run_suite(suite, argc, argv);
}
