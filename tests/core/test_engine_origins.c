/*
 * test_engine_origins.c - providers whose objects grow out of each other: a hosted page's session
 * becomes a payment on the way, and events about either arrive in any order, before and after the
 * create call's own reply. Also events that only say where to look.
 */
#include "core/hooked.h"

#include <stdio.h>
#include <string.h>

static struct hooked wire;
static bool create_reply_lost, grown;

#define SESSION_PREFIX "cs_"

/* Longer than any name or code: a page's address may hold a whole key. */
static char page[3000];

/* The play provider's intent, seen through a session that shows it only once the donor has acted. */
static void call_through_session(struct book *book, const cfa_call *given, cfa_arena *arena,
                                 cfa_reply *out) {
    cfa_call call = *given;
    bool by_session =
        call.ref != NULL && strncmp(call.ref, SESSION_PREFIX, strlen(SESSION_PREFIX)) == 0;
    if (by_session)
        call.ref += strlen(SESSION_PREFIX);
    hooked_pass(book, &call, arena, out);
    bool through = by_session || call.kind == CFA_CALL_CREATE || call.kind == CFA_CALL_LOOKUP;
    if (call.kind == CFA_CALL_CREATE && create_reply_lost) {
        memset(out, 0, sizeof *out);
        out->struct_size = sizeof *out;
        out->facts.struct_size = sizeof out->facts;
        return;
    }
    if (!through || out->facts.ref == NULL)
        return;
    char session[96];
    snprintf(session, sizeof session, SESSION_PREFIX "%s", out->facts.ref);
    const char *copy = cfa_arena_copy(arena, session, strlen(session));
    if (grown)
        out->facts.origin_ref = copy;
    else
        out->facts.ref = copy;
    out->redirect_url = page;
}

static void open_sessions(struct book *book, int store) {
    create_reply_lost = grown = false;
    snprintf(page, sizeof page, "https://pay.example/session#%02900d", 7);
    book_prepare(book, store);
    hooked_use(&wire, book, call_through_session);
    book_start(book);
}

struct refs {
    char intent[64], session[96];
};

static struct refs refs_of(struct book *book, const cfa_pledge *pledge) {
    struct refs refs;
    cfa_arena *arena;
    cfa_facts facts;
    int64_t charges;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    ck_assert_int_eq(
        cfa_play_payment(&facts, &charges, book->play, cfa_pledge_payment_id(pledge), arena),
        CFA_OK);
    snprintf(refs.intent, sizeof refs.intent, "%s", facts.ref);
    snprintf(refs.session, sizeof refs.session, SESSION_PREFIX "%s", facts.ref);
    cfa_arena_free(arena);
    return refs;
}

enum { INTENT_AUTHORIZED, INTENT_SUCCEEDED, SESSION_COMPLETED, SESSION_OPENED, EVENTS };

static cfa_webhook_verdict send_event(struct book *book, const struct refs *refs, int which) {
    static const char *const ids[] = { "evt_held", "evt_paid", "evt_session", "evt_opened" };
    cfa_webhook_event event = { sizeof event, ids[which], "test", "", 0, 1, 0, CFA_FACTS_INIT };
    event.facts.attempt = 1;
    event.facts.occurred_us = (which + 1) * SECOND_US;
    event.facts.ref = which == SESSION_OPENED ? refs->session : refs->intent;
    if (which == SESSION_COMPLETED)
        event.facts.origin_ref = refs->session;
    if (which == INTENT_AUTHORIZED)
        event.facts.authorized_minor = 100;
    else if (which != SESSION_OPENED)
        event.facts.flags = CFA_FACT_SUCCEEDED;
    cfa_webhook_verdict verdict = 0;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book->engine, &event, 20000), CFA_OK);
    return verdict;
}

static void expect_paid_once(struct book *book, const cfa_pledge *pledge) {
    ck_assert_int_eq(state_of(book->engine, pledge), CFA_PAYMENT_COMPLETED);
    ck_assert_uint_eq(flags_of(book->engine, pledge), 0);
    ck_assert_int_eq(totals_of(book).raised_minor, 100);
    ck_assert_int_eq(rows_of(book, "provider_object"), 2);
    audit(book);
}

START_TEST(events_of_both_objects_arrive_in_any_order_around_the_reply) {
    /* All orders of four events, and where among them the create call's truth becomes known. */
    for (int order = 0; order < 24; order++) {
        for (int reply_at = 0; reply_at <= EVENTS; reply_at++) {
            struct book book;
            open_sessions(&book, _i);
            create_reply_lost = true;
            cfa_pledge_spec spec = gift(&book, "k", 100);
            spec.wait = CFA_WAIT_COMMIT;
            cfa_pledge *pledge;
            ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
            book_settle(&book);
            struct refs refs = refs_of(&book, pledge);
            create_reply_lost = false;
            int left[EVENTS] = { 0, 1, 2, 3 }, code = order;
            for (int i = 0; i <= EVENTS; i++) {
                if (i == reply_at) { /* the same key is sent again, or the object is looked up */
                    book_advance(&book, 2 * SECOND_US);
                    book_settle(&book);
                }
                if (i == EVENTS)
                    break;
                int pick = code % (EVENTS - i), which = left[pick];
                code /= EVENTS - i;
                memmove(&left[pick], &left[pick + 1], (size_t)(EVENTS - 1 - pick) * sizeof left[0]);
                cfa_webhook_verdict verdict = send_event(&book, &refs, which);
                ck_assert_int_ne(verdict, CFA_WEBHOOK_QUARANTINED);
                ck_assert_int_ne(verdict, CFA_WEBHOOK_CONTRADICTION);
            }
            expect_paid_once(&book, pledge);
            cfa_pledge_free(pledge);
            book_close(&book);
        }
    }
}
END_TEST

START_TEST(everything_that_waits_under_both_names_is_drained_by_one_reply) {
    struct book book;
    open_sessions(&book, _i);
    create_reply_lost = true;
    cfa_pledge_spec spec = gift(&book, "k", 100);
    spec.wait = CFA_WAIT_COMMIT;
    spec.donor_reference = "person-1"; /* one record more for the command to load */
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
    book_settle(&book);
    struct refs refs = refs_of(&book, pledge);
    for (int which = 0; which < EVENTS; which++)
        ck_assert_int_eq(send_event(&book, &refs, which), CFA_WEBHOOK_PARKED);
    cfa_webhook_event event = { sizeof event, "evt_thin", "test", "", 0, 1, 1, CFA_FACTS_INIT };
    event.facts.ref = refs.intent;
    event.facts.origin_ref = refs.session;
    cfa_webhook_verdict verdict = 0;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &event, 20000), CFA_OK);
    ck_assert_int_eq(verdict, CFA_WEBHOOK_PARKED);
    create_reply_lost = false;
    book_advance(&book, 2 * SECOND_US);
    book_settle(&book);
    expect_paid_once(&book, pledge);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

START_TEST(the_standing_probe_alone_follows_the_session_to_its_payment) {
    struct book book;
    open_sessions(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 100);
    ck_assert_str_eq(cfa_pledge_redirect_url(pledge), page);
    struct refs refs = refs_of(&book, pledge);
    grown = true;
    ck_assert_int_eq(cfa_play_confirm(book.play, cfa_pledge_client_secret(pledge), "pm_ok"),
                     CFA_OK);
    book_advance(&book, MINUTE_US);
    book_settle(&book);
    expect_paid_once(&book, pledge);
    /* Later events about either object are known. */
    ck_assert_int_ne(send_event(&book, &refs, SESSION_OPENED), CFA_WEBHOOK_PARKED);
    ck_assert_int_ne(send_event(&book, &refs, SESSION_COMPLETED), CFA_WEBHOOK_PARKED);
    expect_paid_once(&book, pledge);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

START_TEST(the_same_key_answers_with_the_same_page) {
    struct book book;
    open_sessions(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 100), *again = pledge_make(&book, "k", 100);
    ck_assert(answers_equal(pledge, again));
    ck_assert_str_eq(cfa_pledge_redirect_url(again), cfa_pledge_redirect_url(pledge));
    book_reopen(&book);
    cfa_pledge *later = pledge_make(&book, "k", 100);
    ck_assert(answers_equal(pledge, later));
    ck_assert_str_eq(cfa_pledge_redirect_url(later), cfa_pledge_redirect_url(pledge));
    cfa_pledge_free(later);
    cfa_pledge_free(again);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

START_TEST(another_payments_object_named_as_origin_is_quarantined) {
    struct book book;
    open_sessions(&book, _i);
    cfa_pledge *mine = pledge_make(&book, "mine", 100), *theirs = pledge_make(&book, "theirs", 100);
    struct refs refs = refs_of(&book, mine), other = refs_of(&book, theirs);
    ck_assert_int_eq(send_event(&book, &refs, SESSION_COMPLETED), CFA_WEBHOOK_APPLIED);
    cfa_webhook_event event = { sizeof event, "evt_x", "test", "", 0, 1, 0, CFA_FACTS_INIT };
    event.facts.ref = refs.intent; /* bound to mine already */
    event.facts.origin_ref = other.session;
    event.facts.flags = CFA_FACT_SUCCEEDED;
    cfa_webhook_verdict verdict = 0;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &event, 20000), CFA_OK);
    ck_assert_int_eq(verdict, CFA_WEBHOOK_QUARANTINED);
    book_settle(&book);
    ck_assert_int_ne(state_of(book.engine, theirs), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(totals_of(&book).raised_minor, 100);
    audit(&book);
    cfa_pledge_free(theirs);
    cfa_pledge_free(mine);
    book_close(&book);
}
END_TEST

START_TEST(an_event_that_only_names_its_object_has_it_read_soon) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 100);
    struct refs refs = refs_of(&book, pledge);
    ck_assert_int_eq(cfa_play_confirm(book.play, cfa_pledge_client_secret(pledge), "pm_ok"),
                     CFA_OK);
    book_settle(&book);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_PENDING);
    cfa_webhook_event event = { sizeof event, "evt_thin", "test", "", 0, 1, 1, CFA_FACTS_INIT };
    event.facts.ref = refs.intent;
    cfa_webhook_verdict verdict = 0;
    for (int again = 0; again < 2; again++) {
        ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &event, 20000), CFA_OK);
        ck_assert_int_eq(verdict, again == 0 ? CFA_WEBHOOK_APPLIED : CFA_WEBHOOK_DUPLICATE);
    }
    book_advance(&book, 2 * SECOND_US); /* long before the standing probe's own time */
    book_settle(&book);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_COMPLETED);
    audit(&book);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine origins");
    add_per_store(suite, "any_order", events_of_both_objects_arrive_in_any_order_around_the_reply);
    add_per_store(suite, "both_names",
                  everything_that_waits_under_both_names_is_drained_by_one_reply);
    add_per_store(suite, "probe", the_standing_probe_alone_follows_the_session_to_its_payment);
    add_per_store(suite, "replay", the_same_key_answers_with_the_same_page);
    add_per_store(suite, "foreign", another_payments_object_named_as_origin_is_quarantined);
    add_per_store(suite, "thin", an_event_that_only_names_its_object_has_it_read_soon);
    return run_suite(suite, argc, argv);
}
