/*
 * conformance_sink.c - the duties of a sink as tests: order, prefixes, repeats, durability.
 *
 * Judges by the contract of sys/transport.h and by what the fixture reads back, never by how a
 * sink works.
 */
#include <careforall/testkit/conformance.h>

#include "testkit/runner.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Calls without any progress before a sink counts as stuck. */
#define ROUNDS_MAX 100000
#define DATA_SMALL 96

typedef struct sink_context {
    const cfa_sink_fixture *fixture;
    cfa_sink sink;
    bool is_open;
    cfa_arena *arena;
} sink_context;

static void setup(cfa__runner *runner, void *user) {
    sink_context *context = user;
    CFA__CHECK_OK(runner, cfa_arena_new(&context->arena));
    CFA__CHECK_OK(runner, context->fixture->open(&context->sink, 1));
    context->is_open = true;
    CFA__CHECK_OK(runner, context->sink.ops->reset(context->sink.self, 0));
}

static void teardown(void *user) {
    sink_context *context = user;
    if (context->is_open) {
        context->fixture->close(&context->sink);
    }
    cfa_arena_free(context->arena);
    context->is_open = false;
    context->arena = NULL;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* JSON text of exactly `size` bytes that differs by position. */
static cfa_slice make_data(cfa__runner *runner, sink_context *context, int64_t position,
                           size_t size) {
    char *data = cfa_arena_alloc(context->arena, size + 1);
    CFA__CHECK(runner, data != NULL && size >= DATA_SMALL);
    int used =
        snprintf(data, size, "{\"position\":%lld,\"text\":\"\\u00e9\\\"\\\\ \xc3\xa9\",\"fill\":\"",
                 (long long)position);
    CFA__CHECK(runner, used > 0 && (size_t)used + 2 <= size);
    for (size_t i = (size_t)used; i < size - 2; i++) {
        data[i] = (char)('a' + (i + (size_t)position) % 26);
    }
    memcpy(data + size - 2, "\"}", 2);
    return (cfa_slice){ data, size };
}

static cfa_event_view *make_events(cfa__runner *runner, sink_context *context, int64_t first,
                                   size_t count, size_t data_size) {
    cfa_event_view *events = cfa_arena_alloc(context->arena, count * sizeof *events);
    CFA__CHECK(runner, events != NULL);
    for (size_t i = 0; i < count; i++) {
        int64_t position = first + (int64_t)i;
        char *id = cfa_arena_alloc(context->arena, CFA_ID_TEXT_SIZE);
        CFA__CHECK(runner, id != NULL);
        snprintf(id, CFA_ID_TEXT_SIZE, "evt_%026lld", (long long)position);
        events[i] = (cfa_event_view){
            .struct_size = sizeof events[i],
            .position = position,
            .source = "/careforall/conformance/1",
            .id = id,
            .event_type = "org.careforall.pledge.created.v1",
            .subject = "pay_01h455vb4pex5vsknk084sn02q",
            .sequence = position,
            .time_us = INT64_C(1767225600000000) + position,
            .traceparent =
                i % 2 == 0 ? "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" : NULL,
            .data = make_data(runner, context, position, data_size),
        };
    }
    return events;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static int64_t poll_sink(cfa__runner *runner, sink_context *context) {
    int64_t acknowledged = -1;
    CFA__CHECK_OK(runner, context->sink.ops->poll(context->sink.self, &acknowledged));
    CFA__CHECK(runner, acknowledged >= 0);
    return acknowledged;
}

static size_t send_some(cfa__runner *runner, sink_context *context, const cfa_event_view *events,
                        size_t count) {
    size_t taken = SIZE_MAX;
    CFA__CHECK_OK(runner, context->sink.ops->send(context->sink.self, events, count, &taken));
    CFA__CHECK(runner, taken <= count);
    return taken;
}

/* Send everything in pieces of `piece` until the last is acknowledged; check each step. */
static void deliver(cfa__runner *runner, sink_context *context, const cfa_event_view *events,
                    size_t count, size_t piece) {
    int64_t last = events[count - 1].position;
    int64_t acknowledged = events[0].position - 1;
    size_t sent = 0;
    for (int rounds = 0; acknowledged < last; rounds++) {
        CFA__CHECK(runner, rounds < ROUNDS_MAX);
        if (sent < count) {
            size_t rest = count - sent;
            sent += send_some(runner, context, events + sent, rest < piece ? rest : piece);
        }
        int64_t now = poll_sink(runner, context);
        CFA__CHECK(runner, now >= acknowledged);
        CFA__CHECK(runner, now <= events[0].position - 1 + (int64_t)sent);
        acknowledged = now;
    }
    CFA__CHECK_INT(runner, acknowledged, last);
}

static bool read_one(cfa__runner *runner, sink_context *context, size_t index,
                     int64_t *out_position, cfa_slice *out_data) {
    cfa_status status =
        context->fixture->read(&context->sink, index, out_position, context->arena, out_data);
    if (status == CFA_ENOTFOUND) {
        return false;
    }
    CFA__CHECK_STATUS(runner, status, CFA_OK);
    return true;
}

/* The durable events from the index on are exactly these; the index behind them. */
static size_t expect_events(cfa__runner *runner, sink_context *context, size_t index,
                            const cfa_event_view *events, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int64_t position = 0;
        cfa_slice data = { NULL, 0 };
        CFA__CHECK(runner, read_one(runner, context, index + i, &position, &data));
        CFA__CHECK_INT(runner, position, events[i].position);
        CFA__CHECK(runner, data.size == events[i].data.size &&
                               memcmp(data.data, events[i].data.data, data.size) == 0);
    }
    return index + count;
}

static void expect_end(cfa__runner *runner, sink_context *context, size_t index) {
    int64_t position;
    cfa_slice data;
    CFA__CHECK(runner, !read_one(runner, context, index, &position, &data));
}

static size_t count_durable(cfa__runner *runner, sink_context *context) {
    int64_t position;
    cfa_slice data;
    size_t count = 0;
    while (read_one(runner, context, count, &position, &data)) {
        count++;
    }
    return count;
}

static void reopen(cfa__runner *runner, sink_context *context) {
    context->fixture->close(&context->sink);
    context->is_open = false;
    cfa_status status = context->fixture->open(&context->sink, 0);
    if (status == CFA_ENOTSUP) {
        cfa__runner_skip(runner, "this sink keeps nothing when it is closed");
    }
    CFA__CHECK_STATUS(runner, status, CFA_OK);
    context->is_open = true;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void keeps_order_and_bytes(cfa__runner *runner, void *user) {
    cfa_event_view *events = make_events(runner, user, 1, 25, 200);
    deliver(runner, user, events, 25, 25);
    expect_end(runner, user, expect_events(runner, user, 0, events, 25));
}

static void takes_nothing_of_nothing(cfa__runner *runner, void *user) {
    cfa_event_view *events = make_events(runner, user, 1, 1, DATA_SMALL);
    CFA__CHECK_INT(runner, (int64_t)send_some(runner, user, events, 0), 0);
    CFA__CHECK_INT(runner, poll_sink(runner, user), 0);
    expect_end(runner, user, 0);
}

static void a_prefix_taken_goes_on_where_it_ended(cfa__runner *runner, void *user) {
    cfa_event_view *events = make_events(runner, user, 1, 60, DATA_SMALL);
    deliver(runner, user, events, 60, 7);
    expect_end(runner, user, expect_events(runner, user, 0, events, 60));
}

static void never_acknowledges_beyond_what_was_sent(cfa__runner *runner, void *user) {
    cfa_event_view *events = make_events(runner, user, 1, 40, DATA_SMALL);
    int64_t sent = 0;
    for (int rounds = 0; sent < 40 && rounds < ROUNDS_MAX; rounds++) {
        sent += (int64_t)send_some(runner, user, events + sent, 1);
        CFA__CHECK(runner, poll_sink(runner, user) <= sent);
    }
    CFA__CHECK_INT(runner, sent, 40);
}

static void what_is_acknowledged_can_be_read(cfa__runner *runner, void *user) {
    cfa_event_view *events = make_events(runner, user, 1, 30, DATA_SMALL);
    size_t sent = 0;
    int64_t acknowledged = 0;
    for (int rounds = 0; acknowledged < 30; rounds++) {
        CFA__CHECK(runner, rounds < ROUNDS_MAX);
        sent += send_some(runner, user, events + sent, 30 - sent < 4 ? 30 - sent : 4);
        acknowledged = poll_sink(runner, user);
        (void)expect_events(runner, user, 0, events, (size_t)acknowledged);
    }
}

static void polling_without_news_changes_nothing(cfa__runner *runner, void *user) {
    cfa_event_view *events = make_events(runner, user, 1, 3, DATA_SMALL);
    deliver(runner, user, events, 3, 3);
    for (int i = 0; i < 10; i++) {
        CFA__CHECK_INT(runner, poll_sink(runner, user), 3);
    }
    expect_end(runner, user, expect_events(runner, user, 0, events, 3));
}

static void copies_what_it_takes(cfa__runner *runner, void *user) {
    cfa_event_view *events = make_events(runner, user, 1, 5, DATA_SMALL);
    cfa_event_view *passing = make_events(runner, user, 1, 5, DATA_SMALL);
    size_t taken = send_some(runner, user, passing, 5);
    for (size_t i = 0; i < 5; i++) {
        memset((char *)(uintptr_t)passing[i].data.data, 'X', passing[i].data.size);
        memset((char *)(uintptr_t)passing[i].id, 'X', 4);
    }
    memset(passing, 0, 5 * sizeof *passing);
    if (taken < 5) {
        deliver(runner, user, events + taken, 5 - taken, 5);
    }
    for (int rounds = 0; poll_sink(runner, user) < 5; rounds++) {
        CFA__CHECK(runner, rounds < ROUNDS_MAX);
    }
    (void)expect_events(runner, user, 0, events, 5);
}

static void sends_again_after_reset(cfa__runner *runner, void *user) {
    sink_context *context = user;
    cfa_event_view *events = make_events(runner, context, 1, 20, DATA_SMALL);
    deliver(runner, context, events, 20, 20);
    CFA__CHECK_OK(runner, context->sink.ops->reset(context->sink.self, 12));
    CFA__CHECK(runner, poll_sink(runner, context) <= 12);
    deliver(runner, context, events + 12, 8, 3);
    size_t index = expect_events(runner, context, 0, events, 20);
    expect_end(runner, context, expect_events(runner, context, index, events + 12, 8));
}

static void reset_forgets_what_was_in_flight(cfa__runner *runner, void *user) {
    sink_context *context = user;
    cfa_event_view *events = make_events(runner, context, 1, 6, DATA_SMALL);
    (void)send_some(runner, context, events, 6);
    CFA__CHECK_OK(runner, context->sink.ops->reset(context->sink.self, 0));
    CFA__CHECK_INT(runner, poll_sink(runner, context), 0);
    deliver(runner, context, events, 6, 6);
    /* Earlier copies may stand before them; the last six are whole and in order. */
    size_t count = count_durable(runner, context);
    CFA__CHECK(runner, count >= 6 && count <= 12);
    (void)expect_events(runner, context, count - 6, events, 6);
}

static void starts_at_any_position(cfa__runner *runner, void *user) {
    sink_context *context = user;
    CFA__CHECK_OK(runner, context->sink.ops->reset(context->sink.self, INT64_C(5000000000)));
    CFA__CHECK(runner, poll_sink(runner, context) <= INT64_C(5000000000));
    cfa_event_view *events = make_events(runner, context, INT64_C(5000000001), 9, DATA_SMALL);
    deliver(runner, context, events, 9, 2);
    expect_end(runner, context, expect_events(runner, context, 0, events, 9));
}

static void takes_the_largest_events(cfa__runner *runner, void *user) {
    cfa_event_view *events = make_events(runner, user, 1, 40, CFA_EVENT_BYTES_MAX);
    deliver(runner, user, events, 40, 40);
    expect_end(runner, user, expect_events(runner, user, 0, events, 40));
}

static void takes_thousands(cfa__runner *runner, void *user) {
    cfa_event_view *events = make_events(runner, user, 1, 10000, 250);
    deliver(runner, user, events, 10000, 512);
    /* Not every one: a fixture may read from the start each time. */
    for (size_t i = 0; i < 10000; i += 613) {
        (void)expect_events(runner, user, i, events + i, 1);
    }
    (void)expect_events(runner, user, 9999, events + 9999, 1);
    expect_end(runner, user, 10000);
}

static void acknowledged_events_survive_a_reopen(cfa__runner *runner, void *user) {
    sink_context *context = user;
    cfa_event_view *events = make_events(runner, context, 1, 30, DATA_SMALL);
    deliver(runner, context, events, 20, 20);
    reopen(runner, context);
    (void)expect_events(runner, context, 0, events, 20);
    CFA__CHECK_OK(runner, context->sink.ops->reset(context->sink.self, 20));
    deliver(runner, context, events + 20, 10, 10);
    expect_end(runner, context, expect_events(runner, context, 0, events, 30));
}

static void a_new_owner_can_begin_before_the_end(cfa__runner *runner, void *user) {
    sink_context *context = user;
    cfa_event_view *events = make_events(runner, context, 1, 12, DATA_SMALL);
    deliver(runner, context, events, 8, 8);
    (void)send_some(runner, context, events + 8, 4);
    reopen(runner, context);
    CFA__CHECK_OK(runner, context->sink.ops->reset(context->sink.self, 5));
    CFA__CHECK(runner, poll_sink(runner, context) <= 5);
    deliver(runner, context, events + 5, 7, 7);
    size_t count = count_durable(runner, context);
    (void)expect_events(runner, context, 0, events, 8);
    (void)expect_events(runner, context, count - 7, events + 5, 7);
}

static void a_descriptor_is_valid_or_absent(cfa__runner *runner, void *user) {
    sink_context *context = user;
    if (context->sink.ops->descriptor == NULL) {
        cfa__runner_skip(runner, "this sink has no descriptor");
    }
    CFA__CHECK(runner, context->sink.ops->descriptor(context->sink.self) >= -1);
}

static const cfa__test tests[] = {
    { "keeps_order_and_bytes", keeps_order_and_bytes },
    { "takes_nothing_of_nothing", takes_nothing_of_nothing },
    { "a_prefix_taken_goes_on_where_it_ended", a_prefix_taken_goes_on_where_it_ended },
    { "never_acknowledges_beyond_what_was_sent", never_acknowledges_beyond_what_was_sent },
    { "what_is_acknowledged_can_be_read", what_is_acknowledged_can_be_read },
    { "polling_without_news_changes_nothing", polling_without_news_changes_nothing },
    { "copies_what_it_takes", copies_what_it_takes },
    { "sends_again_after_reset", sends_again_after_reset },
    { "reset_forgets_what_was_in_flight", reset_forgets_what_was_in_flight },
    { "starts_at_any_position", starts_at_any_position },
    { "takes_the_largest_events", takes_the_largest_events },
    { "takes_thousands", takes_thousands },
    { "acknowledged_events_survive_a_reopen", acknowledged_events_survive_a_reopen },
    { "a_new_owner_can_begin_before_the_end", a_new_owner_can_begin_before_the_end },
    { "a_descriptor_is_valid_or_absent", a_descriptor_is_valid_or_absent },
};

int cfa_conformance_sink(int argc, char **argv, const cfa_sink_fixture *fixture) {
    sink_context context = { .fixture = fixture };
    const cfa__suite suite = {
        .name = "sink",
        .adapter = fixture->name,
        .tests = tests,
        .test_count = sizeof tests / sizeof tests[0],
        .user = &context,
        .setup = setup,
        .teardown = teardown,
    };
    return cfa__runner_main(argc, argv, &suite);
}
