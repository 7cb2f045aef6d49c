/*
 * test_explain.c - stories: every record of a donation is told, in the order of causes, found in
 * the log without an index; nothing personal is, and nobody's text becomes markup.
 */
#include <careforall/explain.h>

#include "core/post.h"
#include "core/records.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *write_story(cfa_engine *engine, const char *id, cfa_explain_format format) {
    cfa_story *story;
    char *text = NULL;
    cfa_status status = cfa_explain(&story, engine, id, 0);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    ck_assert_int_eq(cfa_story_write(&text, story, format), CFA_OK);
    cfa_story_free(story);
    return text;
}

static json_t *story_of(cfa_engine *engine, const char *id) {
    char *text = write_story(engine, id, CFA_EXPLAIN_JSON);
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(root != NULL, "%s: %s", error.text, text);
    cfa_free(text);
    return root;
}

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

/* The n-th item of a kind in a section; NULL: there are fewer. */
static const json_t *item_of(const json_t *story, const char *section, const char *kind, size_t n) {
    const json_t *items = json_object_get(story, section);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        if (strcmp(text_of(item, "kind"), kind) == 0 && n-- == 0)
            return item;
    }
    return NULL;
}

static size_t count_of(const json_t *story, const char *section, const char *kind) {
    size_t count = 0;
    while (item_of(story, section, kind, count) != NULL)
        count++;
    return count;
}

static int64_t int_of(const json_t *object, const char *name) {
    return json_integer_value(json_object_get(object, name));
}

/* Every event of the payment is told, with the position that the log has. */
static void expect_all_events(struct book *book, const json_t *story) {
    ck_assert_int_eq((int64_t)count_of(story, "timeline", "event"), int_of(story, "sequence"));
    ck_assert_uint_eq(json_array_size(json_object_get(story, "missing")), 0);
    for (size_t i = 0; i < count_of(story, "timeline", "event"); i++) {
        const json_t *item = item_of(story, "timeline", "event", i);
        cfa_event_list *list;
        ck_assert_int_eq(cfa_event_page(&list, book->engine, int_of(item, "position") - 1, 1),
                         CFA_OK);
        ck_assert_str_eq(cfa_event_list_at(list, 0)->id, text_of(item, "id"));
        ck_assert_int_eq(int_of(item, "sequence"), (int64_t)i + 1);
        cfa_event_list_free(list);
    }
}

/* ---- a whole donation ------------------------------------------------------------------------ */

START_TEST(a_donation_is_told_from_request_to_totals) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "the-secret-key-of-a-caller", 2500);
    book_advance(&book, 3 * SECOND_US);
    pledge_pay(&book, pledge);
    json_t *story = story_of(book.engine, cfa_pledge_id(pledge));
    ck_assert_str_eq(text_of(story, "document"), "explain");
    ck_assert_str_eq(text_of(story, "payment_id"), cfa_pledge_payment_id(pledge));
    ck_assert_str_eq(text_of(story, "state"), "COMPLETED");
    ck_assert_str_eq(text_of(item_of(story, "timeline", "request", 0), "command"), "pledge_create");
    ck_assert(json_is_true(json_object_get(item_of(story, "timeline", "pledge", 0), "asked")));
    const json_t *call = item_of(story, "timeline", "call", 0);
    ck_assert_str_eq(text_of(call, "call"), "CREATE");
    ck_assert_int_eq(strncmp(text_of(call, "idempotency_key"), "cfa_", 4), 0);
    ck_assert_str_eq(text_of(item_of(story, "timeline", "answer", 0), "outcome"), "DONE");
    ck_assert_uint_gt(count_of(story, "timeline", "webhook"), 0);
    const json_t *webhook =
        item_of(story, "timeline", "webhook", count_of(story, "timeline", "webhook") - 1);
    ck_assert_str_eq(text_of(webhook, "verdict"), "APPLIED");
    ck_assert_ptr_nonnull(strstr(text_of(webhook, "says"), "succeeded"));
    ck_assert_str_eq(text_of(item_of(story, "timeline", "state", 0), "rule"), "P01");
    expect_all_events(&book, story);
    const json_t *contribution = item_of(story, "totals", "contribution", 0);
    ck_assert(json_is_true(json_object_get(contribution, "equal")));
    ck_assert_int_eq(int_of(json_object_get(contribution, "raised"), "minor"), 2500);
    ck_assert_int_eq(int_of(item_of(story, "totals", "campaign_totals", 0), "donor_count"), 1);
    json_decref(story);
    cfa_pledge_free(pledge);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("explain");
    add_per_store(suite, "whole", a_donation_is_told_from_request_to_totals);
    return run_suite(suite, argc, argv);
}
