/*
 * test_engine_outbox.c - events leave exactly as they were committed: dense, in order, at least
 * once to every sink and subscription, across restarts and take-overs; and the totals made from
 * them are never wrong.
 */
#include "support/book.h"

#include <careforall/adapters/memory.h>
#include <careforall/adapters/ndjson.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a sink that the test makes fail --------------------------------------------------------- */

struct sink {
    cfa_status next; /* what `send` answers; CFA_OK: it takes */
    int sends, resets;
    int64_t last;
    bool gap; /* positions did not follow each other */
};

static cfa_status sink_send(void *self, const cfa_event_view *events, size_t count,
                            size_t *out_taken) {
    struct sink *sink = self;
    sink->sends++;
    if (sink->next != CFA_OK)
        return cfa_error_set(sink->next, "sink.test", NULL, 0, "as the test wants");
    /* Take a part only, as a full buffer would. */
    *out_taken = count > 3 ? 3 : count;
    for (size_t i = 0; i < *out_taken; i++) {
        sink->gap = sink->gap || events[i].position != sink->last + 1;
        sink->last = events[i].position;
    }
    return CFA_OK;
}

static cfa_status sink_poll(void *self, int64_t *out_acknowledged) {
    *out_acknowledged = ((struct sink *)self)->last;
    return CFA_OK;
}

static cfa_status sink_reset(void *self, int64_t position) {
    struct sink *sink = self;
    sink->resets++;
    sink->last = position;
    return CFA_OK;
}

static const cfa_sink_ops sink_ops = { .struct_size = sizeof sink_ops,
                                       .name = "test",
                                       .send = sink_send,
                                       .poll = sink_poll,
                                       .reset = sink_reset };

/* ---- helpers --------------------------------------------------------------------------------- */

static void some_gifts(struct book *book, int from, int count) {
    for (int i = from; i < from + count; i++) {
        char key[16];
        snprintf(key, sizeof key, "g%d", i);
        cfa_pledge *pledge = pledge_make(book, key, 100);
        if (i % 2 == 0)
            pledge_pay(book, pledge);
        cfa_pledge_free(pledge);
    }
}

static void relay(cfa_engine *engine) {
    int32_t done = 1;
    while (done > 0)
        ck_assert_int_eq(cfa_engine_tick(&done, engine, CFA_WORK_RELAY, 0), CFA_OK);
}

static void expect_memory_sink(const cfa_sink *sink, size_t from, int64_t after, int64_t head) {
    ck_assert_uint_eq(cfa_memory_sink_size(sink), from + (size_t)(head - after));
    for (size_t i = from; i < cfa_memory_sink_size(sink); i++) {
        const cfa_event_view *event = cfa_memory_sink_at(sink, i);
        ck_assert_int_eq(event->position, after + 1 + (int64_t)(i - from));
        ck_assert_ptr_nonnull(event->id);
        ck_assert_uint_gt(event->data.size, 2);
    }
}

/* ---- sinks ----------------------------------------------------------------------------------- */

START_TEST(a_sink_gets_every_event_in_order_and_goes_on_after_a_restart) {
    struct book book;
    cfa_sink sink;
    ck_assert_int_eq(cfa_memory_sink_new(&sink), CFA_OK);
    cfa_sink_binding binding = { .name = "audit", .sink = sink };
    book_prepare(&book, _i);
    book.options.sinks = &binding;
    book.options.sink_count = 1;
    book_start(&book);
    some_gifts(&book, 0, 10);
    book_settle(&book);
    int64_t head = head_of(book.engine);
    expect_memory_sink(&sink, 0, 0, head);
    book_reopen(&book);
    some_gifts(&book, 10, 5);
    book_advance(&book, 30 * SECOND_US); /* the lease of the engine before has run out */
    book_settle(&book);
    expect_memory_sink(&sink, (size_t)head, head, head_of(book.engine));
    audit(&book);
    book_close(&book);
    sink.ops->close(sink.self);
}
END_TEST

static void failing_sink_open(struct book *book, int store, cfa_sink_binding *binding,
                              struct sink *sink) {
    *binding = (cfa_sink_binding){ .name = "shaky", .sink = { &sink_ops, sink } };
    book_prepare(book, store);
    book->options.sinks = binding;
    book->options.sink_count = 1;
    book_start(book);
}

START_TEST(a_sink_that_fails_for_a_while_backs_off_and_catches_up) {
    struct book book;
    struct sink sink = { .next = CFA_EUNAVAILABLE };
    cfa_sink_binding binding;
    failing_sink_open(&book, _i, &binding, &sink);
    some_gifts(&book, 0, 4);
    int before = sink.sends;
    for (int i = 0; i < 100; i++)
        relay(book.engine);
    ck_assert_int_lt(sink.sends - before, 20); /* it is not asked in every round */
    for (int minute = 0; minute < 10; minute++) {
        book_advance(&book, MINUTE_US);
        relay(book.engine);
    }
    ck_assert_int_ge(sink.sends - before, 5);
    sink.next = CFA_OK;
    book_advance(&book, 2 * MINUTE_US);
    book_settle(&book);
    ck_assert_int_eq(sink.last, head_of(book.engine));
    ck_assert(!sink.gap);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_broken_sink_is_paused_and_holds_up_nobody) {
    struct book book;
    struct sink broken = { .next = CFA_EREADONLY }, whole = { .next = CFA_OK };
    cfa_sink_binding bindings[] = { { .name = "broken", .sink = { &sink_ops, &broken } },
                                    { .name = "whole", .sink = { &sink_ops, &whole } } };
    book_prepare(&book, _i);
    book.options.sinks = bindings;
    book.options.sink_count = 2;
    book_start(&book);
    some_gifts(&book, 0, 4);
    for (int hour = 0; hour < 5; hour++) {
        book_advance(&book, HOUR_US);
        book_settle(&book);
    }
    ck_assert_int_eq(broken.sends, 1);
    ck_assert_int_eq(whole.last, head_of(book.engine));
    /* Mended and opened again it gets everything. */
    broken.next = CFA_OK;
    book_reopen(&book);
    book_advance(&book, MINUTE_US);
    book_settle(&book);
    ck_assert_int_eq(broken.last, head_of(book.engine));
    ck_assert(!broken.gap && !whole.gap);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(of_two_engines_one_leads_and_the_other_takes_over) {
    struct book book;
    struct sink mine = { .next = CFA_OK }, theirs = { .next = CFA_OK };
    cfa_sink_binding binding, other_binding = { .name = "shaky", .sink = { &sink_ops, &theirs } };
    failing_sink_open(&book, _i, &binding, &mine);
    cfa_engine_options options = book.options;
    options.sinks = &other_binding;
    cfa_engine *other;
    ck_assert_int_eq(cfa_engine_open(&other, &options), CFA_OK);
    some_gifts(&book, 0, 4);
    book_settle(&book);
    ck_assert_int_eq(mine.last, head_of(book.engine));
    some_gifts(&book, 4, 2);
    relay(other);
    ck_assert_int_eq(theirs.sends, 0);
    book_settle(&book);
    /* The leader falls silent: after its lease the other goes on behind what was acknowledged. */
    some_gifts(&book, 6, 2);
    int64_t acknowledged = mine.last;
    cfa_pledge_free(pledge_make(&book, "silent", 100));
    book_advance(&book, MINUTE_US);
    relay(other);
    book_advance(&book, MINUTE_US);
    relay(other);
    ck_assert_int_eq(theirs.resets, 1);
    ck_assert_int_ge(theirs.last, acknowledged);
    ck_assert_int_eq(theirs.last, head_of(other));
    ck_assert(!theirs.gap && !mine.gap);
    audit(&book);
    cfa_engine_close(other);
    book_close(&book);
}
END_TEST

START_TEST(ndjson_has_one_whole_line_per_event) {
    struct book book;
    cfa_sink sink;
    char path[] = "/tmp/careforall-ndjson-XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(cfa_ndjson_sink_new(&sink, path), CFA_OK);
    cfa_sink_binding binding = { .name = "file", .sink = sink };
    book_prepare(&book, _i);
    book.options.sinks = &binding;
    book.options.sink_count = 1;
    book_start(&book);
    some_gifts(&book, 0, 6);
    for (int i = 0; i < 20; i++) {
        book_settle(&book);
        book_advance(&book, SECOND_US);
    }
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    char line[4096];
    int64_t lines = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        ck_assert_int_eq(line[strlen(line) - 1], '\n');
        ck_assert_ptr_nonnull(strstr(line, "\"specversion\":\"1.0\""));
        ck_assert_ptr_null(strstr(line, "client_secret"));
        lines++;
    }
    fclose(file);
    ck_assert_int_eq(lines, head_of(book.engine));
    book_close(&book);
    sink.ops->close(sink.self);
    unlink(path);
}
END_TEST

/* ---- subscriptions --------------------------------------------------------------------------- */

static int64_t read_some(cfa_subscription *subscription, int32_t limit, int64_t after) {
    cfa_event_list *list;
    ck_assert_int_eq(cfa_subscription_next(&list, subscription, limit, -1), CFA_OK);
    for (size_t i = 0; i < cfa_event_list_size(list); i++)
        ck_assert_int_eq(cfa_event_list_at(list, i)->position, ++after);
    cfa_event_list_free(list);
    return after;
}

START_TEST(a_subscription_resumes_where_it_acknowledged) {
    struct book book;
    cfa_subscription *subscription, *usurper;
    book_open(&book, _i);
    some_gifts(&book, 0, 6);
    int64_t head = head_of(book.engine);
    ck_assert_int_ge(head, 10);
    ck_assert_int_eq(cfa_subscription_open(&subscription, book.engine, "mailer"), CFA_OK);
    ck_assert_int_eq(read_some(subscription, 7, 0), 7);
    expect_error(cfa_subscription_ack(subscription, 8), CFA_ERANGE, "position");
    ck_assert_int_eq(cfa_subscription_ack(subscription, 5), CFA_OK);
    ck_assert_int_eq(cfa_subscription_ack(subscription, 5), CFA_OK);
    ck_assert_int_eq(cfa_subscription_ack(subscription, 2), CFA_OK);
    cfa_subscription_free(subscription);
    book_reopen(&book);
    ck_assert_int_eq(cfa_subscription_open(&subscription, book.engine, "mailer"), CFA_OK);
    ck_assert_int_eq(read_some(subscription, 3, 5), 8);
    /* Opened again elsewhere: the first reader is told at its next acknowledgement. */
    ck_assert_int_eq(cfa_subscription_open(&usurper, book.engine, "mailer"), CFA_OK);
    expect_error(cfa_subscription_ack(subscription, 8), CFA_EFENCED, NULL);
    int64_t read = 5;
    while (read < head)
        read = read_some(usurper, 4, read);
    ck_assert_int_eq(read_some(usurper, 4, head), head);
    ck_assert_int_eq(cfa_subscription_ack(usurper, head), CFA_OK);
    cfa_subscription_free(subscription);
    cfa_subscription_free(usurper);
    expect_error(cfa_subscription_open(&subscription, book.engine, "Bad Name"), CFA_EINVAL, "name");
    book_close(&book);
}
END_TEST

/* ---- totals ---------------------------------------------------------------------------------- */

START_TEST(totals_include_the_position_that_was_asked_for) {
    struct book book;
    book_open(&book, _i);
    for (int i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof key, "g%d", i);
        cfa_pledge *pledge = pledge_make(&book, key, 100);
        cfa_totals_spec spec = CFA_TOTALS_SPEC_INIT;
        spec.at_least = cfa_pledge_position(pledge);
        ck_assert_int_gt(spec.at_least, 0);
        cfa_totals *totals;
        ck_assert_int_eq(cfa_totals_get(&totals, book.engine, book.campaign_id, &spec), CFA_OK);
        ck_assert_int_ge(cfa_totals_position(totals), spec.at_least);
        ck_assert_int_eq(cfa_totals_at(totals, 0)->pledged_minor, 100 * (i + 1));
        cfa_totals_free(totals);
        cfa_pledge_free(pledge);
    }
    cfa_totals_spec beyond = CFA_TOTALS_SPEC_INIT;
    cfa_totals *totals = NULL;
    beyond.at_least = head_of(book.engine) + 1;
    beyond.timeout_ms = 20;
    cfa_status status = cfa_totals_get(&totals, book.engine, book.campaign_id, &beyond);
    ck_assert(status == CFA_ETIMEOUT || status == CFA_ERANGE);
    ck_assert_ptr_null(totals);
    book_close(&book);
}
END_TEST

START_TEST(a_new_campaign_has_zeros_in_each_currency) {
    struct book book;
    book_open(&book, _i);
    cfa_totals *totals;
    ck_assert_int_eq(cfa_totals_get(&totals, book.engine, book.campaign_id, NULL), CFA_OK);
    ck_assert_uint_eq(cfa_totals_size(totals), 3);
    static const char *const codes[] = { "EUR", "KWD", "USD" };
    for (size_t i = 0; i < 3; i++) {
        const cfa_totals_row *row = cfa_totals_at(totals, i);
        ck_assert_str_eq(row->currency, codes[i]);
        ck_assert_int_eq(row->raised_minor + row->pledged_minor + row->donation_count, 0);
    }
    ck_assert_ptr_null(cfa_totals_at(totals, 3));
    cfa_totals_free(totals);
    book_close(&book);
}
END_TEST

static bool store_is_down;

static int32_t decide(void *user, int32_t call, uint64_t number, cfa_status *out_status) {
    (void)user;
    (void)number;
    *out_status = CFA_EIO;
    return store_is_down && call != CFA_FAULT_ROLLBACK ? CFA_FAULT_FAIL : CFA_FAULT_PASS;
}

START_TEST(totals_outlive_an_outage_of_the_store_and_say_so) {
    struct book book;
    book_prepare(&book, _i);
    book_wrap(&book, decide, NULL);
    store_is_down = false;
    book_start(&book);
    some_gifts(&book, 0, 1);
    int64_t raised = totals_of(&book).raised_minor;
    cfa_totals *totals = NULL;
    store_is_down = true;
    cfa_totals_spec fresh = CFA_TOTALS_SPEC_INIT;
    fresh.max_age_ms = -1;
    ck_assert_int_eq(cfa_totals_get(&totals, book.engine, book.campaign_id, &fresh), CFA_OK);
    ck_assert(cfa_totals_stale(totals));
    ck_assert_int_eq(cfa_totals_at(totals, 0)->raised_minor, raised);
    cfa_totals_free(totals);
    /* Nobody who asked for a position gets less, and nothing is made up for what was never
     * known. */
    fresh.at_least = 1000000;
    totals = NULL;
    ck_assert_int_eq(
        cfa_status_class_of(cfa_totals_get(&totals, book.engine, book.campaign_id, &fresh)),
        CFA_CLASS_TRANSIENT);
    ck_assert_ptr_null(totals);
    store_is_down = false;
    fresh.at_least = 0;
    ck_assert_int_eq(cfa_totals_get(&totals, book.engine, book.campaign_id, &fresh), CFA_OK);
    ck_assert(!cfa_totals_stale(totals));
    cfa_totals_free(totals);
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- many readers, one writer ---------------------------------------------------------------- */

#define READERS 4

struct race {
    struct book *book;
    atomic_bool over;
    atomic_int backward, wrong;
};

static void read_or_write(void *user, int index) {
    struct race *race = user;
    if (index == READERS) {
        for (int i = 0; i < 120; i++) {
            char key[16];
            snprintf(key, sizeof key, "r%d", i);
            cfa_pledge_free(pledge_make(race->book, key, 100));
            int32_t done;
            must(cfa_engine_tick(&done, race->book->engine, CFA_WORK_TOTALS, 0) == CFA_OK);
        }
        atomic_store(&race->over, true);
        return;
    }
    int64_t version = 0, position = 0, pledged = 0;
    cfa_totals_spec spec = CFA_TOTALS_SPEC_INIT;
    spec.max_age_ms = index % 2 == 0 ? 1 : -1;
    while (!atomic_load(&race->over)) {
        cfa_totals *totals;
        must(cfa_totals_get(&totals, race->book->engine, race->book->campaign_id, &spec) == CFA_OK);
        const cfa_totals_row *row = cfa_totals_at(totals, 0);
        if (cfa_totals_version(totals) < version || cfa_totals_position(totals) < position ||
            row->pledged_minor < pledged)
            atomic_fetch_add(&race->backward, 1);
        if (row->pledged_minor % 100 != 0)
            atomic_fetch_add(&race->wrong, 1);
        version = cfa_totals_version(totals);
        position = cfa_totals_position(totals);
        pledged = row->pledged_minor;
        cfa_totals_free(totals);
    }
}

START_TEST(no_reader_sees_the_totals_go_backward) {
    struct book book;
    book_open(&book, _i);
    struct race race = { .book = &book };
    together(READERS + 1, read_or_write, &race);
    ck_assert_int_eq(atomic_load(&race.backward), 0);
    ck_assert_int_eq(atomic_load(&race.wrong), 0);
    ck_assert_int_eq(totals_of(&book).pledged_minor, 12000);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(verifying_finds_a_row_that_was_changed_by_hand) {
    struct book book;
    book_open(&book, STORE_SQLITE);
    some_gifts(&book, 0, 4);
    audit(&book);
    static const char *const crimes[][2] = {
        { "UPDATE cfa_totals SET raised_minor = raised_minor + 1 WHERE currency = 'EUR'",
          "UPDATE cfa_totals SET raised_minor = raised_minor - 1 WHERE currency = 'EUR'" },
        { "UPDATE cfa_totals SET donation_count = donation_count + 1 WHERE currency = 'EUR'",
          "UPDATE cfa_totals SET donation_count = donation_count - 1 WHERE currency = 'EUR'" },
        { "UPDATE cfa_payment SET captured_minor = captured_minor + 1 WHERE captured_minor > 0",
          "UPDATE cfa_payment SET captured_minor = captured_minor - 1 WHERE captured_minor > 0" },
    };
    static const char *const fields[] = { "raised", "donation_count", "raised" };
    for (size_t i = 0; i < COUNT(crimes); i++) {
        int32_t equal = 1;
        book_sql(&book, crimes[i][0]);
        ck_assert_int_eq(cfa_totals_verify(&equal, book.engine, book.campaign_id, 5000), CFA_OK);
        ck_assert_int_eq(equal, 0);
        ck_assert_str_eq(last_error()->field, fields[i]);
        book_sql(&book, crimes[i][1]);
        audit(&book);
    }
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine: outbox and totals");
#define PER_STORE(name) add_per_store(suite, #name, name)
    PER_STORE(a_sink_gets_every_event_in_order_and_goes_on_after_a_restart);
    PER_STORE(a_sink_that_fails_for_a_while_backs_off_and_catches_up);
    PER_STORE(a_broken_sink_is_paused_and_holds_up_nobody);
    PER_STORE(of_two_engines_one_leads_and_the_other_takes_over);
    PER_STORE(ndjson_has_one_whole_line_per_event);
    PER_STORE(a_subscription_resumes_where_it_acknowledged);
    PER_STORE(totals_include_the_position_that_was_asked_for);
    PER_STORE(a_new_campaign_has_zeros_in_each_currency);
    PER_STORE(totals_outlive_an_outage_of_the_store_and_say_so);
    PER_STORE(no_reader_sees_the_totals_go_backward);
    add_once(suite, "verifying_finds_a_row_that_was_changed_by_hand",
             verifying_finds_a_row_that_was_changed_by_hand);
    return run_suite(suite, argc, argv);
}
