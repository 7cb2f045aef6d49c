/*
 * test_explain.c - stories: every record of a donation is told, in the order of causes, found in
 * the log without an index; nothing personal is, and nobody's text becomes markup.
 */
#include "core/explained.h"
#include "core/post.h"

#include <careforall/adapters/sqlite.h>
#include <careforall/refund.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

/* Every event of the payment is told, with the position and id that the log has. */
static void expect_all_events(struct book *book, const json_t *story) {
    size_t count = count_of(story, "timeline", "event");
    ck_assert_int_eq((int64_t)count, number_in(story, "sequence"));
    ck_assert_uint_eq(json_array_size(json_object_get(story, "missing")), 0);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = item_of(story, "timeline", "event", i);
        cfa_event_list *list;
        ck_assert_int_eq(cfa_event_page(&list, book->engine, number_in(item, "position") - 1, 1),
                         CFA_OK);
        ck_assert_str_eq(cfa_event_list_at(list, 0)->id, member(item, "id"));
        ck_assert_str_eq(cfa_event_list_at(list, 0)->subject, member(story, "payment_id"));
        ck_assert_int_eq(number_in(item, "sequence"), (int64_t)i + 1);
        cfa_event_list_free(list);
    }
}

static void expect_story(struct book *book, const cfa_pledge *pledge) {
    json_t *story = story_of(book->engine, cfa_pledge_id(pledge));
    expect_all_events(book, story);
    json_decref(story);
}

/* The provider's name of the pledge's payment. */
static void ref_of(struct book *book, const cfa_pledge *pledge, char out[CFA_PLAY_REF_SIZE]) {
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book->engine, cfa_pledge_payment_id(pledge)),
                     CFA_OK);
    snprintf(out, CFA_PLAY_REF_SIZE, "%s", cfa_payment_ref(payment));
    cfa_payment_free(payment);
}

static void deliver(struct book *book) {
    ck_assert_int_eq(cfa_play_deliver(NULL, book->play, book->engine, 0), CFA_OK);
    book_settle(book);
}

/* ---- what is told ---------------------------------------------------------------------------- */

START_TEST(a_donation_is_told_from_request_to_totals) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "the-secret-key-of-a-caller", 2500);
    book_advance(&book, 3 * SECOND_US);
    pledge_pay(&book, pledge);
    json_t *story = story_of(book.engine, cfa_pledge_id(pledge));
    ck_assert_str_eq(member(story, "document"), "explain");
    ck_assert_str_eq(member(story, "payment_id"), cfa_pledge_payment_id(pledge));
    ck_assert_str_eq(member(story, "state"), "COMPLETED");
    ck_assert_str_eq(member(item_of(story, "timeline", "request", 0), "command"), "pledge_create");
    ck_assert(is_set(item_of(story, "timeline", "pledge", 0), "asked"));
    const json_t *call = item_of(story, "timeline", "call", 0);
    ck_assert_str_eq(member(call, "call"), "CREATE");
    ck_assert_int_eq(strncmp(member(call, "idempotency_key"), "cfa_", 4), 0);
    ck_assert_str_eq(member(item_of(story, "timeline", "answer", 0), "outcome"), "DONE");
    const json_t *webhook =
        item_with(story, "timeline", "webhook", "event_type", "intent.succeeded");
    ck_assert_str_eq(member(webhook, "verdict"), "APPLIED");
    ck_assert_ptr_nonnull(strstr(member(webhook, "says"), "succeeded"));
    ck_assert_str_eq(member(item_of(story, "timeline", "state", 0), "rule"), "P01");
    const json_t *last = item_with(story, "timeline", "state", "to", "COMPLETED");
    ck_assert_str_eq(member(last, "cause_id"), member(webhook, "id"));
    expect_all_events(&book, story);
    const json_t *contribution = item_of(story, "totals", "contribution", 0);
    ck_assert(is_set(contribution, "equal"));
    ck_assert_int_eq(minor_in(contribution, "raised"), 2500);
    ck_assert_int_eq(number_in(item_of(story, "totals", "campaign_totals", 0), "donor_count"), 1);
    json_decref(story);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

START_TEST(causes_stand_before_what_they_caused) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    pledge_pay(&book, pledge); /* all at one time of the clock */
    json_t *story = story_of(book.engine, cfa_pledge_id(pledge));
    const json_t *items = json_object_get(story, "timeline");
    static const char *const order[] = { "request", "pledge", "state", "event", "call", "answer" };
    for (size_t i = 0; i < COUNT(order); i++)
        ck_assert_str_eq(member(json_array_get(items, i), "kind"), order[i]);
    for (size_t i = 1; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i), *before = json_array_get(items, i - 1);
        ck_assert_int_le(strcmp(member(before, "at"), member(item, "at")), 0);
        if (strcmp(member(item, "cause_id"), "") != 0)
            ck_assert_str_eq(member(before, "id"), member(item, "cause_id"));
    }
    json_decref(story);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

START_TEST(a_call_in_doubt_is_told_as_doubt) {
    struct book book;
    book_open(&book, _i);
    ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_REPLY_LOST), CFA_OK);
    cfa_pledge_spec spec = gift(&book, "k", 2500);
    spec.wait = CFA_WAIT_ANSWER;
    spec.timeout_ms = -1;
    cfa_pledge *pledge = NULL;
    cfa_status status = cfa_pledge_create(&pledge, book.engine, &spec);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    int32_t done;
    ck_assert_int_eq(cfa_engine_tick(&done, book.engine, CFA_WORK_ALL, 0), CFA_OK);
    book_settle(&book);
    json_t *story = story_of(book.engine, cfa_pledge_id(pledge));
    const json_t *answer = item_of(story, "timeline", "answer", 0);
    ck_assert_str_eq(member(answer, "state"), "IN_DOUBT");
    ck_assert_str_eq(member(answer, "outcome"), "UNKNOWN");
    ck_assert_ptr_nonnull(strstr(member(story, "summary"), "in doubt"));
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(story, "flags"), 0)),
                     "UNKNOWN");
    ck_assert_uint_eq(count_of(story, "next", "call_due"), 1);
    expect_all_events(&book, story);
    json_decref(story);
    book_advance(&book, 10 * MINUTE_US);
    book_settle(&book);
    story = story_of(book.engine, cfa_pledge_id(pledge));
    ck_assert_str_eq(member(item_of(story, "timeline", "answer", 0), "state"), "DONE");
    item_with(story, "timeline", "state", "rule", "P21");
    expect_all_events(&book, story);
    json_decref(story);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

START_TEST(implied_steps_are_told_as_implied) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    cfa_webhook_event event = { sizeof event, "evt_only", "test", "", 0, 1, 0, CFA_FACTS_INIT };
    cfa_webhook_verdict verdict;
    char ref[CFA_PLAY_REF_SIZE];
    ref_of(&book, pledge, ref);
    event.facts.ref = ref;
    event.facts.flags = CFA_FACT_SUCCEEDED;
    event.facts.captured_minor = 2500;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &event, 0), CFA_OK);
    json_t *story = story_of(book.engine, "evt_only");
    ck_assert_str_eq(member(story, "payment_id"), cfa_pledge_payment_id(pledge));
    ck_assert(is_set(item_of(story, "timeline", "webhook", 0), "asked"));
    ck_assert(is_set(item_with(story, "timeline", "state", "to", "AUTHORIZED"), "implied"));
    ck_assert(is_set(item_with(story, "timeline", "state", "to", "CAPTURED"), "implied"));
    ck_assert(!is_set(item_with(story, "timeline", "state", "to", "COMPLETED"), "implied"));
    json_decref(story);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

START_TEST(refunds_and_disputes_have_their_place) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    pledge_pay(&book, pledge);
    book_advance(&book, DAY_US);
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    spec.key = "refund";
    spec.payment_id = cfa_pledge_payment_id(pledge);
    spec.amount = (cfa_money){ 500, "EUR" };
    cfa_refund *refund;
    cfa_status status = cfa_refund_create(&refund, book.engine, &spec);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    book_settle(&book);
    char ref[CFA_PLAY_REF_SIZE], dispute_ref[CFA_PLAY_REF_SIZE];
    ref_of(&book, pledge, ref);
    cfa_play_dispute_spec dispute = CFA_PLAY_DISPUTE_SPEC_INIT;
    dispute.ref = ref;
    dispute.amount_minor = 2000;
    dispute.withdrawn_minor = 2000;
    dispute.reason = "fraudulent";
    book_advance(&book, DAY_US);
    ck_assert_int_eq(cfa_play_dispute(dispute_ref, book.play, &dispute), CFA_OK);
    deliver(&book);
    json_t *story = story_of(book.engine, cfa_refund_id(refund));
    ck_assert_str_eq(member(story, "payment_id"), cfa_pledge_payment_id(pledge));
    ck_assert(is_set(item_of(story, "timeline", "refund", 0), "asked"));
    ck_assert_str_eq(member(item_of(story, "refunds", "refund", 0), "state"), "SUCCEEDED");
    const json_t *call = item_with(story, "timeline", "call", "call", "REFUND");
    ck_assert_str_eq(member(call, "refund_id"), cfa_refund_id(refund));
    ck_assert_str_eq(
        member(item_with(story, "timeline", "state", "subject", "refund"), "subject_id"),
        cfa_refund_id(refund));
    ck_assert_uint_eq(count_of(story, "disputes", "dispute"), 1);
    ck_assert_int_eq(minor_in(story, "refunded"), 500);
    ck_assert_int_eq(minor_in(story, "withdrawn"), 2000);
    expect_all_events(&book, story);
    const json_t *contribution = item_of(story, "totals", "contribution", 0);
    ck_assert(is_set(contribution, "equal"));
    ck_assert_int_eq(minor_in(contribution, "disputed"), 2000);
    char id[CFA_ID_TEXT_SIZE];
    snprintf(id, sizeof id, "%s", member(item_of(story, "disputes", "dispute", 0), "id"));
    json_decref(story);
    static const char *const names[] = { "id", "ref" };
    for (size_t i = 0; i < COUNT(names); i++) { /* ours, then the provider's */
        story = story_of(book.engine, i == 0 ? id : dispute_ref);
        ck_assert(is_set(item_of(story, "timeline", "dispute", 0), "asked"));
        json_decref(story);
    }
    cfa_refund_free(refund);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

START_TEST(sinks_that_wait_or_refused_are_named) {
    struct book book;
    struct post post = { .only = 2 };
    post_open(&book, _i, &post, 1);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    post_deliver(&book);
    post_pause(book.engine);
    pledge_pay(&book, pledge);
    json_t *story = story_of(book.engine, cfa_pledge_id(pledge));
    const json_t *first = item_of(story, "timeline", "event", 0);
    ck_assert_int_eq(number_in(first, "position"), 2);
    const json_t *troubles = json_object_get(first, "undelivered");
    ck_assert_uint_eq(json_array_size(troubles), 1);
    ck_assert_ptr_nonnull(strstr(json_string_value(json_array_get(troubles, 0)), "set aside"));
    const json_t *sink = item_with(story, "sinks", "sink", "name", "post");
    ck_assert_int_eq(number_in(sink, "dead"), 1);
    ck_assert_int_eq(number_in(sink, "waiting"), 3);
    ck_assert_str_eq(member(sink, "state"), "paused");
    json_decref(story);
    post_resume(book.engine);
    post_deliver(&book);
    post_forget_cursors();
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

/* ---- whose story ----------------------------------------------------------------------------- */

START_TEST(every_name_of_a_donation_finds_it) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *other = pledge_make(&book, "other", 100);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    pledge_pay(&book, pledge);
    char ref[CFA_PLAY_REF_SIZE], uuid[37], hex[33];
    ref_of(&book, pledge, ref);
    json_t *story = story_of(book.engine, ref);
    const char *key = member(item_with(story, "timeline", "call", "call", "CREATE"),
                             "idempotency_key"); /* "cfa_" and the payment's UUID */
    snprintf(uuid, sizeof uuid, "%.36s", key + 4);
    size_t size = 0;
    for (const char *at = uuid; *at != '\0'; at++) {
        if (*at != '-')
            hex[size++] = *at;
    }
    hex[size] = '\0';
    char position[24], call[CFA_ID_TEXT_SIZE + 8], pasted[CFA_ID_TEXT_SIZE + 8];
    snprintf(call, sizeof call, "%s/1", cfa_pledge_payment_id(pledge));
    snprintf(pasted, sizeof pasted, " \t%s\r\n", cfa_pledge_payment_id(pledge));
    snprintf(position, sizeof position, "%lld",
             (long long)number_in(item_of(story, "timeline", "event", 1), "position"));
    const char *names[] = {
        position,
        key,
        call,
        pasted,
        member(item_of(story, "timeline", "webhook", 0), "id"),
        cfa_pledge_id(pledge),
        cfa_pledge_payment_id(pledge),
        uuid,
        hex,
        member(item_of(story, "timeline", "event", 0), "id"),
        member(item_of(story, "timeline", "event", 2), "id"),
        member(item_of(story, "timeline", "webhook", 0), "event_id"),
    };
    for (size_t i = 0; i < COUNT(names); i++) {
        cfa_story *found;
        cfa_status status = cfa_explain(&found, book.engine, names[i], 0);
        ck_assert_msg(status == CFA_OK, "%s: %s", names[i], last_error()->message);
        ck_assert_str_eq(cfa_story_payment_id(found), cfa_pledge_payment_id(pledge));
        cfa_story_free(found);
    }
    json_decref(story);
    cfa_pledge_free(other);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

START_TEST(what_is_of_no_payment_is_told_too) {
    struct book book;
    book_open(&book, _i);
    cfa_event_list *list;
    ck_assert_int_eq(cfa_event_page(&list, book.engine, 0, 1), CFA_OK);
    json_t *story;
    for (int by_position = 0; by_position < 2; by_position++) {
        story = story_of(book.engine, by_position ? "1" : cfa_event_list_at(list, 0)->id);
        ck_assert_str_eq(member(item_of(story, "timeline", "event", 0), "type"),
                         "org.careforall.campaign.created.v1");
        json_decref(story);
    }
    cfa_event_list_free(list);
    cfa_webhook_event event = { sizeof event, "evt_early", "test", "", 0, 1, 0, CFA_FACTS_INIT };
    cfa_webhook_verdict verdict;
    event.facts.ref = "pi_unknown";
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &event, 0), CFA_OK);
    char id[CFA_ID_TEXT_SIZE];
    story = story_of(book.engine, "evt_early");
    snprintf(id, sizeof id, "%s", member(item_of(story, "timeline", "webhook", 0), "id"));
    ck_assert_int_eq(strncmp(id, "whk_", 4), 0);
    json_decref(story);
    const char *const names[] = { "pi_unknown", "evt_early", id };
    for (size_t i = 0; i < COUNT(names); i++) {
        story = story_of(book.engine, names[i]);
        ck_assert_ptr_nonnull(strstr(member(story, "summary"), "is kept"));
        ck_assert_ptr_null(json_object_get(story, "payment_id"));
        ck_assert_str_eq(member(item_of(story, "timeline", "webhook", 0), "verdict"), "PARKED");
        json_decref(story);
    }
    book_close(&book);
}
END_TEST

START_TEST(a_name_of_nothing_is_refused_by_rule) {
    struct book book;
    book_open(&book, _i);
    cfa_story *story = NULL;
    cfa_engine *engine = book.engine;
    char longest[600];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    expect_error(cfa_explain(&story, engine, "pay_01arz3ndektsv4rrffq69g5fav", 0), CFA_ENOTFOUND,
                 "id");
    expect_error(cfa_explain(&story, engine, "evt_01arz3ndektsv4rrffq69g5fav", 0), CFA_ENOTFOUND,
                 "id");
    expect_error(cfa_explain(&story, engine, "whk_01arz3ndektsv4rrffq69g5fav", 0), CFA_ENOTFOUND,
                 "id");
    expect_error(cfa_explain(&story, engine, "pi_nobody", 0), CFA_ENOTFOUND, "id");
    expect_error(cfa_explain(&story, engine, "pay_01arz3ndektsv4rrffq69g5fav/1", 0), CFA_ENOTFOUND,
                 "id");
    expect_error(cfa_explain(&story, engine, "cfa_", 0), CFA_ENOTFOUND, "id");
    expect_error(cfa_explain(&story, engine, "cfa_x_1_1", 0), CFA_ENOTFOUND, "id");
    expect_error(cfa_explain(&story, engine, " \n", 0), CFA_EINVAL, "id");
    expect_error(cfa_explain(&story, engine, "999999", 0), CFA_ENOTFOUND, "id");
    expect_error(cfa_explain(&story, engine, "999999999999999999", 0), CFA_ENOTFOUND, "id");
    expect_error(cfa_explain(&story, engine, "9999999999999999999", 0), CFA_ENOTFOUND, "id");
    expect_error(cfa_explain(&story, engine, book.campaign_id, 0), CFA_EINVAL, "id");
    expect_error(cfa_explain(&story, engine, "", 0), CFA_EINVAL, "id");
    expect_error(cfa_explain(&story, engine, NULL, 0), CFA_EINVAL, "id");
    expect_error(cfa_explain(&story, engine, longest, 0), CFA_ETOOLONG, "id");
    expect_error(cfa_explain(&story, engine, "\xff", 0), CFA_EENCODING, "id");
    expect_error(cfa_explain(NULL, engine, "x", 0), CFA_EMISUSE, "out");
    ck_assert_ptr_null(story);
    book_close(&book);
}
END_TEST

/* ---- what is never told ---------------------------------------------------------------------- */

START_TEST(nothing_personal_and_no_secret_is_told) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge_spec spec = gift(&book, "the-secret-key-of-a-caller", 2500);
    spec.donor_name = "Ada Lovelace";
    spec.donor_email = "ada@example.org";
    spec.donor_message = "for my neighbours";
    spec.donor_reference = "customer-4711";
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
    const char *secrets[] = { "Lovelace",      "ada@",   "neighbours",
                              "customer-4711", "secret", cfa_pledge_client_secret(pledge) };
    for (cfa_explain_format format = CFA_EXPLAIN_TEXT; format <= CFA_EXPLAIN_HTML; format++) {
        char *text = story_text(book.engine, cfa_pledge_id(pledge), format);
        for (size_t i = 0; i < COUNT(secrets); i++)
            ck_assert_msg(strstr(text, secrets[i]) == NULL, "%s is told", secrets[i]);
        ck_assert_ptr_nonnull(strstr(text, cfa_pledge_donor_id(pledge)));
        cfa_free(text);
    }
    book_advance(&book, DAY_US);
    ck_assert_int_eq(cfa_donor_erase(book.engine, cfa_pledge_id(pledge), NULL, 0), CFA_OK);
    json_t *story = story_of(book.engine, cfa_pledge_id(pledge));
    ck_assert(is_set(story, "donor_erased"));
    ck_assert_uint_eq(count_of(story, "timeline", "donor"), 1);
    json_decref(story);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

#define HOSTILE "</title><script>alert(1)</script><img src=x onerror='a'>&\"\xe2\x80\xae"

static void expect_harmless(const char *html) {
    static const char *const forbidden[] = { "<script", "<img", "onerror='", "\xe2\x80\xae" };
    for (size_t i = 0; i < COUNT(forbidden); i++)
        ck_assert_msg(strstr(html, forbidden[i]) == NULL, "the page holds %s", forbidden[i]);
    ck_assert_ptr_nonnull(strstr(html, "&lt;script&gt;"));
    ck_assert_ptr_nonnull(strstr(html, "onerror=&#39;a&#39;"));
}

START_TEST(nobodys_text_becomes_markup) {
    struct book book;
    book_open(&book, _i);
    cfa_campaign_spec campaign = CFA_CAMPAIGN_SPEC_INIT;
    campaign.key = "hostile";
    campaign.title = HOSTILE;
    campaign.currencies = "EUR";
    cfa_campaign *made;
    ck_assert_int_eq(cfa_campaign_create(&made, book.engine, &campaign), CFA_OK);
    cfa_pledge_spec spec = gift(&book, "k", 2500);
    spec.campaign_id = cfa_campaign_id(made);
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
    cfa_webhook_event event = { sizeof event, HOSTILE, HOSTILE, "", 0, 1, 0, CFA_FACTS_INIT };
    cfa_webhook_verdict verdict;
    char ref[CFA_PLAY_REF_SIZE];
    ref_of(&book, pledge, ref);
    event.facts.ref = ref;
    event.facts.flags = CFA_FACT_FAILED;
    event.facts.failure_code = HOSTILE;
    event.facts.attempt = 1;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &event, 0), CFA_OK);
    char *text = story_text(book.engine, cfa_pledge_id(pledge), CFA_EXPLAIN_HTML);
    expect_harmless(text);
    cfa_free(text);
    text = story_text(book.engine, cfa_pledge_id(pledge), CFA_EXPLAIN_TEXT);
    for (const char *at = text; *at != '\0'; at++)
        ck_assert((unsigned char)*at >= 0x20 || *at == '\n');
    ck_assert_ptr_null(strstr(text, "\xe2\x80\xae"));
    cfa_free(text);
    json_t *story = story_of(book.engine, cfa_pledge_id(pledge));
    ck_assert_ptr_nonnull(strstr(member(story, "failure_code"), "<script>"));
    json_decref(story);
    cfa_pledge_free(pledge);
    cfa_campaign_free(made);
    book_close(&book);
}
END_TEST

START_TEST(the_page_loads_nothing) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    pledge_pay(&book, pledge);
    char *html = story_text(book.engine, cfa_pledge_id(pledge), CFA_EXPLAIN_HTML);
    static const char *const forbidden[] = { "<script", "<link",   "<img", "<iframe", "src=",
                                             "href=",   "@import", "url(", "http:",   "https:" };
    for (size_t i = 0; i < COUNT(forbidden); i++)
        ck_assert_msg(strstr(html, forbidden[i]) == NULL, "the page holds %s", forbidden[i]);
    ck_assert_ptr_nonnull(strstr(html, "default-src 'none'"));
    cfa_free(html);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

START_TEST(text_fits_a_terminal) {
    struct book book;
    book_open(&book, _i);
    char title[CFA_TITLE_BYTES_MAX + 1];
    memset(title, 'w', CFA_TITLE_BYTES_MAX);
    title[CFA_TITLE_BYTES_MAX] = '\0';
    cfa_campaign_spec campaign = CFA_CAMPAIGN_SPEC_INIT;
    campaign.key = "wide";
    campaign.title = title;
    campaign.currencies = "EUR";
    cfa_campaign *made;
    ck_assert_int_eq(cfa_campaign_create(&made, book.engine, &campaign), CFA_OK);
    cfa_pledge_spec spec = gift(&book, "k", 2500);
    spec.campaign_id = cfa_campaign_id(made);
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
    pledge_pay(&book, pledge);
    char *text = story_text(book.engine, cfa_pledge_id(pledge), CFA_EXPLAIN_TEXT);
    size_t column = 0;
    for (const char *at = text; *at != '\0'; at++) {
        column = *at == '\n' ? 0 : column + (((unsigned char)*at & 0xc0) != 0x80);
        ck_assert_msg(column <= 100, "a line is too long: %.80s", at - 80);
    }
    cfa_free(text);
    cfa_pledge_free(pledge);
    cfa_campaign_free(made);
    book_close(&book);
}
END_TEST

/* ---- finding events -------------------------------------------------------------------------- */

START_TEST(events_are_found_among_thousands) {
    struct book book;
    cfa_pledge *pledges[12];
    char key[24];
    book_open(&book, _i);
    for (size_t i = 0; i < COUNT(pledges); i++) {
        snprintf(key, sizeof key, "mine-%zu", i);
        pledges[i] = pledge_make(&book, key, 2500);
        for (int others = 0; others < 120; others++) {
            snprintf(key, sizeof key, "other-%zu-%d", i, others);
            cfa_pledge_free(pledge_make(&book, key, 100));
            if (others % 3 == 0)
                book_advance(&book, 1 + others * others);
        }
        if (i >= 4)
            pledge_pay(&book, pledges[i - 4]);
    }
    for (size_t i = 0; i < COUNT(pledges); i++) {
        expect_story(&book, pledges[i]);
        cfa_pledge_free(pledges[i]);
    }
    book_close(&book);
}
END_TEST

START_TEST(events_of_a_clock_that_ran_behind_are_found) {
    struct book book;
    char key[24];
    book_open(&book, _i);
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "before-%d", i);
        cfa_pledge_free(pledge_make(&book, key, 100));
        book_advance(&book, 100000);
    }
    /* As another process with an earlier clock would write them. */
    cfa_engine *second = book_second_engine(&book);
    cfa_manual_clock_jump(book.clock, -2 * SECOND_US);
    cfa_pledge_spec spec = gift(&book, "behind", 2500);
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, second, &spec), CFA_OK);
    cfa_manual_clock_jump(book.clock, 2 * SECOND_US);
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "after-%d", i);
        cfa_pledge_free(pledge_make(&book, key, 100));
        book_advance(&book, 100000);
    }
    cfa_engine_close(second);
    pledge_pay(&book, pledge);
    expect_story(&book, pledge);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

static void run_sql(sqlite3 *host, const char *sql) {
    ck_assert_int_eq(sqlite3_exec(host, sql, NULL, NULL, NULL), SQLITE_OK);
}

START_TEST(an_event_that_is_only_staged_is_told) {
    struct book book;
    book_open(&book, STORE_SQLITE);
    sqlite3 *host;
    cfa_tx *tx;
    cfa_pledge *pledge;
    ck_assert_int_eq(sqlite3_open(book.path, &host), SQLITE_OK);
    run_sql(host, "PRAGMA wal_autocheckpoint=0");
    run_sql(host, "BEGIN IMMEDIATE");
    ck_assert_int_eq(cfa_sqlite_join(&tx, book.engine, host), CFA_OK);
    cfa_pledge_spec spec = gift(&book, "joined", 2500);
    ck_assert_int_eq(cfa_tx_pledge_create(&pledge, tx, &spec), CFA_OK);
    cfa_tx_free(tx);
    run_sql(host, "COMMIT");
    ck_assert_int_eq(sqlite3_close(host), SQLITE_OK);
    json_t *story = story_of(book.engine, cfa_pledge_id(pledge));
    ck_assert(is_set(item_of(story, "timeline", "event", 0), "staged"));
    ck_assert_uint_eq(json_array_size(json_object_get(story, "missing")), 0);
    json_decref(story);
    book_advance(&book, 3 * SECOND_US); /* others come first */
    post_gifts(&book, 20);
    book_settle(&book);
    expect_story(&book, pledge);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

START_TEST(an_event_that_is_gone_is_said_to_be_missing) {
    struct book book;
    book_open(&book, STORE_SQLITE);
    cfa_pledge *pledge = pledge_make(&book, "k", 2500);
    pledge_pay(&book, pledge);
    book_sql(&book, "UPDATE cfa_event SET subject_id = randomblob(16) WHERE position = 3");
    json_t *story = story_of(book.engine, cfa_pledge_id(pledge));
    ck_assert_uint_eq(count_of(story, "timeline", "event"),
                      (size_t)number_in(story, "sequence") - 1);
    const json_t *note = item_of(story, "missing", "events", 0);
    ck_assert_ptr_nonnull(strstr(member(note, "title"), "with sequence 2"));
    json_decref(story);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("explain");
    add_per_store(suite, "whole", a_donation_is_told_from_request_to_totals);
    add_per_store(suite, "order", causes_stand_before_what_they_caused);
    add_per_store(suite, "doubt", a_call_in_doubt_is_told_as_doubt);
    add_per_store(suite, "implied", implied_steps_are_told_as_implied);
    add_per_store(suite, "reversals", refunds_and_disputes_have_their_place);
    add_per_store(suite, "sinks", sinks_that_wait_or_refused_are_named);
    add_per_store(suite, "names", every_name_of_a_donation_finds_it);
    add_per_store(suite, "strangers", what_is_of_no_payment_is_told_too);
    add_per_store(suite, "refused", a_name_of_nothing_is_refused_by_rule);
    add_per_store(suite, "secrets", nothing_personal_and_no_secret_is_told);
    add_per_store(suite, "hostile", nobodys_text_becomes_markup);
    add_per_store(suite, "page", the_page_loads_nothing);
    add_per_store(suite, "columns", text_fits_a_terminal);
    add_per_store(suite, "thousands", events_are_found_among_thousands);
    add_per_store(suite, "clock", events_of_a_clock_that_ran_behind_are_found);
    add_once(suite, "staged", an_event_that_is_only_staged_is_told);
    add_once(suite, "missing", an_event_that_is_gone_is_said_to_be_missing);
    return run_suite(suite, argc, argv);
}
