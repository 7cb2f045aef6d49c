/*
 * conformance_storage.c - the storage suite: its list of tests, and those of writing and of
 * positions.
 *
 * Judges an adapter by sys/storage.h alone, on a schema that has nothing to do with donations.
 */
#include "testkit/storage_kinds.h"

#include <string.h>

#define TEST_OF(runner, user)                                                                      \
    cfa__bench *bench = user;                                                                      \
    const cfa_storage_ops *ops = bench->storage.ops;                                               \
    (void)runner;                                                                                  \
    (void)ops

#define ITEM (&cfa__item_kind_1)
#define BIG_BYTES 65536

static void setup(cfa__runner *runner, void *user) {
    cfa__bench_open(runner, user, &cfa__test_schema_1, true);
}

static void teardown(void *user) { cfa__bench_close(user); }

/* ---- values ---------------------------------------------------------------------------------- */

static void check_round_trip(cfa__runner *runner, cfa__bench *bench, const cfa__item *item) {
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, ITEM, item));
    const void *found = cfa__suite_find(runner, bench, ITEM, item);
    CFA__CHECK(runner, found != NULL);
    CFA__CHECK(runner, cfa__suite_record_equal(ITEM, item, found));
}

static void test_values(cfa__runner *runner, void *user) {
    TEST_OF(runner, user);
    cfa__item item = cfa__suite_item_make(1, INT64_MIN, "a");
    item.bucket = INT64_MAX;
    item.due = INT64_MIN;
    check_round_trip(runner, bench, &item);

    item = cfa__suite_item_make(1, INT64_MAX, "b");
    memset(item.owner, 0xff, sizeof(item.owner));
    memset(item.parent, 0xff, sizeof(item.parent));
    item.parent[0] = 0;
    item.label = cfa__suite_text("");
    item.note = cfa__suite_text("");
    item.body = cfa__suite_text("");
    item.tag = cfa__suite_text("");
    memcpy(item.other_currency, "JPY", 4);
    check_round_trip(runner, bench, &item);

    item = cfa__suite_item_make(2, 0, "c");
    item.body = (cfa_slice){ "\0a\0\0b\0", 6 };
    item.label = cfa__suite_text("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5 \xf0\x9f\x8e\x81");
    check_round_trip(runner, bench, &item);
}

static void test_null(cfa__runner *runner, void *user) {
    TEST_OF(runner, user);
    cfa__item nothing = cfa__suite_item_make(1, 1, "nothing");
    check_round_trip(runner, bench, &nothing);
    cfa__item empty = cfa__suite_item_make(1, 2, "empty");
    empty.label = empty.body = empty.tag = cfa__suite_text("");
    check_round_trip(runner, bench, &empty);
    const cfa__item *found = cfa__suite_find(runner, bench, ITEM, &nothing);
    CFA__CHECK(runner, found->label.data == NULL && found->body.data == NULL);
    CFA__CHECK(runner, found->tag.data == NULL);
    found = cfa__suite_find(runner, bench, ITEM, &empty);
    CFA__CHECK(runner, found->label.data != NULL && found->label.size == 0);
    CFA__CHECK(runner, found->body.data != NULL && found->body.size == 0);
    /* An update can make a value null and back. */
    cfa__item next = empty;
    next.version = 2;
    next.label = nothing.label;
    CFA__CHECK_OK(runner, cfa__suite_write(bench, ITEM, CFA_CHANGE_UPDATE, &next, &empty));
    CFA__CHECK(runner,
               cfa__suite_record_equal(ITEM, &next, cfa__suite_find(runner, bench, ITEM, &empty)));
    cfa__item last = next;
    last.version = 3;
    last.label = cfa__suite_text("back");
    CFA__CHECK_OK(runner, cfa__suite_write(bench, ITEM, CFA_CHANGE_UPDATE, &last, &next));
    CFA__CHECK(runner,
               cfa__suite_record_equal(ITEM, &last, cfa__suite_find(runner, bench, ITEM, &empty)));
}

static void test_big_values(cfa__runner *runner, void *user) {
    TEST_OF(runner, user);
    uint8_t *bytes = cfa_arena_alloc(bench->arena, BIG_BYTES);
    CFA__CHECK(runner, bytes != NULL);
    for (size_t i = 0; i < BIG_BYTES; i++) {
        bytes[i] = (uint8_t)(i * 31 + (i >> 8));
    }
    cfa__item item = cfa__suite_item_make(1, 1, "big");
    item.body = (cfa_slice){ bytes, BIG_BYTES };
    check_round_trip(runner, bench, &item);
    cfa__entry entry = { 0, { 1 }, { NULL, 0 }, { bytes, BIG_BYTES } };
    void *events[] = { &entry };
    cfa_save save = { NULL, 0, NULL, 0, &cfa__entry_kind, events, 1 };
    CFA__CHECK_OK(runner, cfa__suite_write_save(bench, bench->writer, &save, NULL));
    const void *found = cfa__suite_find(runner, bench, &cfa__entry_kind, &entry);
    CFA__CHECK(runner, found != NULL && cfa__suite_record_equal(&cfa__entry_kind, &entry, found));
}

/* What was loaded belongs to the arena, not to the store. */
static void test_results_outlive(cfa__runner *runner, void *user) {
    TEST_OF(runner, user);
    cfa__item item = cfa__suite_item_make(1, 1, "a");
    item.label = cfa__suite_text("first");
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, ITEM, &item));
    const cfa__item *found = cfa__suite_find(runner, bench, ITEM, &item);
    CFA__CHECK(runner, found != NULL);
    cfa__item next = item;
    next.version = 2;
    next.label = cfa__suite_text("second");
    CFA__CHECK_OK(runner, cfa__suite_write(bench, ITEM, CFA_CHANGE_UPDATE, &next, &item));
    CFA__CHECK_OK(runner, cfa__suite_write(bench, ITEM, CFA_CHANGE_DELETE, &next, &next));
    cfa__bench_close_sessions(bench);
    CFA__CHECK(runner, cfa__suite_record_equal(ITEM, &item, found));
}

/* ---- conflicts ------------------------------------------------------------------------------- */

static void test_unique(cfa__runner *runner, void *user) {
    TEST_OF(runner, user);
    cfa__item first = cfa__suite_item_make(1, 1, "a");
    cfa__item second = cfa__suite_item_make(1, 2, "b");
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, ITEM, &first));
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, ITEM, &second));
    cfa__item same_primary = cfa__suite_item_make(1, 1, "c");
    CFA__CHECK_STATUS(runner, cfa__suite_insert(bench, ITEM, &same_primary), CFA_EEXISTS);
    cfa__item same_code = cfa__suite_item_make(1, 3, "b");
    CFA__CHECK_STATUS(runner, cfa__suite_insert(bench, ITEM, &same_code), CFA_EEXISTS);
    cfa__item moved = second;
    moved.version = 2;
    moved.code = first.code;
    CFA__CHECK_STATUS(runner, cfa__suite_write(bench, ITEM, CFA_CHANGE_UPDATE, &moved, &second),
                      CFA_EEXISTS);
    cfa__mark mark = { { "\0m", 2 }, 1 };
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, &cfa__mark_kind, &mark));
    CFA__CHECK_STATUS(runner, cfa__suite_insert(bench, &cfa__mark_kind, &mark), CFA_EEXISTS);
    CFA__CHECK_INT(runner, cfa__suite_count(runner, bench, ITEM), 2);
    CFA__CHECK(runner, cfa__suite_record_equal(ITEM, &second,
                                               cfa__suite_find(runner, bench, ITEM, &second)));
    CFA__CHECK(runner, cfa__suite_find(runner, bench, ITEM, &same_code) == NULL);
}

static void test_version(cfa__runner *runner, void *user) {
    TEST_OF(runner, user);
    cfa__item old = cfa__suite_item_make(1, 1, "a");
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, ITEM, &old));
    cfa__item next = old;
    next.version = 2;
    next.bucket = 7;
    CFA__CHECK_OK(runner, cfa__suite_write(bench, ITEM, CFA_CHANGE_UPDATE, &next, &old));
    cfa__item late = old;
    late.version = 2;
    late.bucket = 9;
    CFA__CHECK_STATUS(runner, cfa__suite_write(bench, ITEM, CFA_CHANGE_UPDATE, &late, &old),
                      CFA_EVERSION);
    CFA__CHECK_STATUS(runner, cfa__suite_write(bench, ITEM, CFA_CHANGE_DELETE, &old, &old),
                      CFA_EVERSION);
    CFA__CHECK(runner,
               cfa__suite_record_equal(ITEM, &next, cfa__suite_find(runner, bench, ITEM, &old)));
    cfa__item absent = cfa__suite_item_make(9, 9, "z");
    CFA__CHECK_STATUS(runner, cfa__suite_write(bench, ITEM, CFA_CHANGE_UPDATE, &absent, &absent),
                      CFA_EVERSION);
    CFA__CHECK_STATUS(runner, cfa__suite_write(bench, ITEM, CFA_CHANGE_DELETE, &absent, &absent),
                      CFA_EVERSION);
    cfa__mark mark = { { "gone", 4 }, 1 };
    CFA__CHECK_STATUS(runner,
                      cfa__suite_write(bench, &cfa__mark_kind, CFA_CHANGE_DELETE, &mark, &mark),
                      CFA_EVERSION);
    CFA__CHECK_INT(runner, cfa__suite_count(runner, bench, ITEM), 1);
}

static void test_guard(cfa__runner *runner, void *user) {
    TEST_OF(runner, user);
    cfa__counter read = { { "g", 1 }, 5, 1 };
    cfa__item item = cfa__suite_item_make(1, 1, "a");
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, &cfa__counter_kind, &read));
    cfa_change change = { ITEM, CFA_CHANGE_INSERT, &item, NULL };
    cfa_guard guard = { &cfa__counter_kind, &read };
    cfa_save save = { &change, 1, &guard, 1, NULL, NULL, 0 };
    CFA__CHECK_OK(runner, cfa__suite_write_save(bench, bench->writer, &save, NULL));

    cfa__counter next = { { "g", 1 }, 6, 2 };
    CFA__CHECK_OK(runner,
                  cfa__suite_write(bench, &cfa__counter_kind, CFA_CHANGE_UPDATE, &next, &read));
    item = cfa__suite_item_make(1, 2, "b");
    CFA__CHECK_STATUS(runner, cfa__suite_write_save(bench, bench->writer, &save, NULL),
                      CFA_EVERSION);
    CFA__CHECK_OK(runner,
                  cfa__suite_write(bench, &cfa__counter_kind, CFA_CHANGE_DELETE, &next, &next));
    guard.record = &next;
    CFA__CHECK_STATUS(runner, cfa__suite_write_save(bench, bench->writer, &save, NULL),
                      CFA_EVERSION);
    CFA__CHECK_INT(runner, cfa__suite_count(runner, bench, ITEM), 1);
}

static void test_delete(cfa__runner *runner, void *user) {
    TEST_OF(runner, user);
    cfa__item item = cfa__suite_item_make(1, 1, "a");
    item.due = 5;
    item.tag = cfa__suite_text("t");
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, ITEM, &item));
    CFA__CHECK_OK(runner, cfa__suite_write(bench, ITEM, CFA_CHANGE_DELETE, &item, &item));
    for (int32_t index = 0; index < ITEM->index_count; index++) {
        cfa_query query = { ITEM, index, 0, 0, 10, 0, &item, NULL, 0 };
        CFA__CHECK_OK(runner, cfa__suite_read(bench, &query));
        CFA__CHECK_INT(runner, query.count, 0);
    }
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, ITEM, &item));
    CFA__CHECK_INT(runner, cfa__suite_count(runner, bench, ITEM), 1);
    cfa__mark mark = { { "m", 1 }, 1 };
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, &cfa__mark_kind, &mark));
    CFA__CHECK_OK(runner,
                  cfa__suite_write(bench, &cfa__mark_kind, CFA_CHANGE_DELETE, &mark, &mark));
    CFA__CHECK(runner, cfa__suite_find(runner, bench, &cfa__mark_kind, &mark) == NULL);
}

/* ---- transactions ---------------------------------------------------------------------------- */

static void test_own_writes(cfa__runner *runner, void *user) {
    TEST_OF(runner, user);
    int64_t now_us = 0, first = 0;
    cfa__item item = cfa__suite_item_make(1, 1, "a");
    cfa__item next = item;
    next.version = 2;
    next.bucket = 2;
    cfa_change insertion = { ITEM, CFA_CHANGE_INSERT, &item, NULL };
    cfa_change update = { ITEM, CFA_CHANGE_UPDATE, &next, &item };
    cfa_save save = { &insertion, 1, NULL, 0, NULL, NULL, 0 };
    cfa_query by_bucket = { ITEM, CFA__ITEM_BY_BUCKET, 1, 0, 10, 0, &item, NULL, 0 };
    CFA__CHECK_OK(runner, ops->begin(bench->writer, CFA_SESSION_WRITE, 0, &now_us));
    CFA__CHECK_OK(runner, ops->save(bench->writer, &save, &first));
    CFA__CHECK_OK(runner, cfa__suite_load(bench, bench->writer, &by_bucket));
    CFA__CHECK_INT(runner, by_bucket.count, 1);
    CFA__CHECK_INT(runner, cfa__suite_count(runner, bench, ITEM), 0);
    save.changes = &update;
    CFA__CHECK_OK(runner, ops->save(bench->writer, &save, &first));
    CFA__CHECK_OK(runner, cfa__suite_load(bench, bench->writer, &by_bucket));
    CFA__CHECK_INT(runner, by_bucket.count, 0);
    by_bucket.key = &next;
    CFA__CHECK_OK(runner, cfa__suite_load(bench, bench->writer, &by_bucket));
    CFA__CHECK_INT(runner, by_bucket.count, 1);
    CFA__CHECK_OK(runner, ops->commit(bench->writer));
    CFA__CHECK(runner,
               cfa__suite_record_equal(ITEM, &next, cfa__suite_find(runner, bench, ITEM, &item)));
}

static void test_rollback(cfa__runner *runner, void *user) {
    TEST_OF(runner, user);
    int64_t now_us = 0, first = 0;
    cfa__counter kept = { { "kept", 4 }, 1, 1 };
    cfa__counter changed = { { "kept", 4 }, 2, 2 };
    cfa__item item = cfa__suite_item_make(1, 1, "a");
    cfa__entry entry = { 0, { 1 }, { NULL, 0 }, { "p", 1 } };
    void *events[] = { &entry };
    cfa_change changes[] = { { &cfa__counter_kind, CFA_CHANGE_UPDATE, &changed, &kept },
                             { ITEM, CFA_CHANGE_INSERT, &item, NULL } };
    cfa_save save = { changes, 2, NULL, 0, &cfa__entry_kind, events, 1 };
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, &cfa__counter_kind, &kept));
    CFA__CHECK_OK(runner, ops->begin(bench->writer, CFA_SESSION_WRITE, 0, &now_us));
    CFA__CHECK_OK(runner, ops->save(bench->writer, &save, &first));
    ops->rollback(bench->writer);
    CFA__CHECK_INT(runner, cfa__suite_count(runner, bench, ITEM), 0);
    CFA__CHECK_INT(runner, cfa__suite_count(runner, bench, &cfa__entry_kind), 0);
    const void *found = cfa__suite_find(runner, bench, &cfa__counter_kind, &kept);
    CFA__CHECK(runner, cfa__suite_record_equal(&cfa__counter_kind, &kept, found));
    /* Closing a session in the middle of a transaction rolls back as well. */
    CFA__CHECK_OK(runner, ops->begin(bench->writer, CFA_SESSION_WRITE, 0, &now_us));
    CFA__CHECK_OK(runner, ops->save(bench->writer, &save, &first));
    cfa__bench_close_sessions(bench);
    cfa__bench_reopen(runner, bench, &cfa__test_schema_1);
    CFA__CHECK_INT(runner, cfa__suite_count(runner, bench, ITEM), 0);
}

/* One bad change: nothing of its save stays, and the session goes on. */
static void test_after_error(cfa__runner *runner, void *user) {
    TEST_OF(runner, user);
    cfa__item present = cfa__suite_item_make(5, 5, "present");
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, ITEM, &present));
    cfa__item items[] = { cfa__suite_item_make(1, 1, "a"), cfa__suite_item_make(5, 5, "b"),
                          cfa__suite_item_make(6, 1, "c") };
    cfa_change changes[3];
    for (size_t i = 0; i < 3; i++) {
        changes[i] = (cfa_change){ ITEM, CFA_CHANGE_INSERT, &items[i], NULL };
    }
    cfa__entry entry = { 0, { 1 }, { NULL, 0 }, { "p", 1 } };
    void *events[] = { &entry };
    cfa_save save = { changes, 3, NULL, 0, &cfa__entry_kind, events, 1 };
    int64_t first = -7;
    CFA__CHECK_STATUS(runner, cfa__suite_write_save(bench, bench->writer, &save, &first),
                      CFA_EEXISTS);
    CFA__CHECK_INT(runner, first, -7);
    cfa_error error = CFA_ERROR_INIT;
    CFA__CHECK_OK(runner, cfa_error_last(&error));
    CFA__CHECK(runner, error.status == CFA_EEXISTS && error.message[0] != '\0');
    CFA__CHECK_INT(runner, cfa__suite_count(runner, bench, ITEM), 1);
    CFA__CHECK_INT(runner, cfa__suite_count(runner, bench, &cfa__entry_kind), 0);
    items[1] = cfa__suite_item_make(5, 6, "b");
    CFA__CHECK_OK(runner, cfa__suite_write_save(bench, bench->writer, &save, &first));
    CFA__CHECK_INT(runner, first, 1);
    CFA__CHECK_INT(runner, cfa__suite_count(runner, bench, ITEM), 4);
}

static void test_empty_calls(cfa__runner *runner, void *user) {
    TEST_OF(runner, user);
    cfa_save nothing = { NULL, 0, NULL, 0, NULL, NULL, 0 };
    int64_t first = -7;
    CFA__CHECK_OK(runner, cfa__suite_write_save(bench, bench->writer, &nothing, NULL));
    CFA__CHECK_OK(runner, ops->begin(bench->reader, CFA_SESSION_READ, 0, &first));
    CFA__CHECK_OK(runner, ops->load(bench->reader, NULL, 0, bench->arena));
    CFA__CHECK_OK(runner, ops->commit(bench->reader));
    ops->rollback(bench->writer);
    CFA__CHECK_INT(runner, cfa__suite_count(runner, bench, ITEM), 0);
}

/* One save of many rows of every kind is one commit. */
static void test_big_save(cfa__runner *runner, void *user) {
    enum { ROWS = 1500 };
    TEST_OF(runner, user);
    cfa__mark *marks = cfa_arena_alloc(bench->arena, ROWS * sizeof(*marks));
    cfa__entry *entries = cfa_arena_alloc(bench->arena, ROWS * sizeof(*entries));
    cfa_change *changes = cfa_arena_alloc(bench->arena, ROWS * sizeof(*changes));
    void **events = cfa_arena_alloc(bench->arena, ROWS * sizeof(*events));
    uint8_t *digests = cfa_arena_alloc(bench->arena, ROWS * 2);
    CFA__CHECK(runner, marks != NULL && entries != NULL && changes != NULL && events != NULL);
    CFA__CHECK(runner, digests != NULL);
    for (size_t i = 0; i < ROWS; i++) {
        digests[i * 2] = (uint8_t)(i >> 8);
        digests[i * 2 + 1] = (uint8_t)i;
        marks[i] = (cfa__mark){ { digests + i * 2, 2 }, (int64_t)i };
        changes[i] = (cfa_change){ &cfa__mark_kind, CFA_CHANGE_INSERT, &marks[i], NULL };
        entries[i].id[0] = 1;
        entries[i].payload = marks[i].digest;
        events[i] = &entries[i];
    }
    cfa_save save = { changes, ROWS, NULL, 0, &cfa__entry_kind, events, ROWS };
    int64_t first = 0;
    CFA__CHECK_OK(runner, cfa__suite_write_save(bench, bench->writer, &save, &first));
    CFA__CHECK_INT(runner, first, 1);
    CFA__CHECK_INT(runner, entries[ROWS - 1].position, ROWS);
    CFA__CHECK_INT(runner, cfa__suite_count(runner, bench, &cfa__mark_kind), ROWS);
    CFA__CHECK_INT(runner, cfa__suite_count(runner, bench, &cfa__entry_kind), ROWS);
}

/* ---- the log --------------------------------------------------------------------------------- */

static void append_events(cfa__runner *runner, cfa__bench *bench, size_t count, int64_t expected,
                          bool commit) {
    const cfa_storage_ops *ops = bench->storage.ops;
    cfa__entry entries[3];
    void *events[3];
    memset(entries, 0, sizeof(entries));
    for (size_t i = 0; i < count; i++) {
        entries[i].payload = cfa__suite_text("payload");
        events[i] = &entries[i];
    }
    cfa_save save = { NULL, 0, NULL, 0, &cfa__entry_kind, events, count };
    int64_t now_us = 0, first = 0;
    CFA__CHECK_OK(runner, ops->begin(bench->writer, CFA_SESSION_WRITE, 0, &now_us));
    CFA__CHECK_OK(runner, ops->save(bench->writer, &save, &first));
    CFA__CHECK_INT(runner, first, expected);
    for (size_t i = 0; i < count; i++) {
        CFA__CHECK_INT(runner, entries[i].position, expected + (int64_t)i);
    }
    if (commit) {
        CFA__CHECK_OK(runner, ops->commit(bench->writer));
    } else {
        ops->rollback(bench->writer);
    }
}

static void test_positions(cfa__runner *runner, void *user) {
    TEST_OF(runner, user);
    append_events(runner, bench, 2, 1, true);
    append_events(runner, bench, 3, 3, false);
    append_events(runner, bench, 1, 3, true);
    cfa__bench_reopen(runner, bench, &cfa__test_schema_1);
    append_events(runner, bench, 3, 4, true);
    cfa__entry after = { 2, { 0 }, { NULL, 0 }, { NULL, 0 } };
    cfa_query query = { &cfa__entry_kind, 0, 0, CFA_QUERY_AFTER, 100, 0, &after, NULL, 0 };
    CFA__CHECK_OK(runner, cfa__suite_read(bench, &query));
    CFA__CHECK_INT(runner, query.count, 4);
    for (int32_t i = 0; i < query.count; i++) {
        CFA__CHECK_INT(runner, ((const cfa__entry *)query.records[i])->position, 3 + i);
    }
}

static void test_positions_in_one(cfa__runner *runner, void *user) {
    TEST_OF(runner, user);
    cfa__entry entry = { 0, { 1 }, { "t", 1 }, { "p", 1 } };
    void *events[] = { &entry };
    cfa_save save = { NULL, 0, NULL, 0, &cfa__entry_kind, events, 1 };
    int64_t now_us = 0, first = 0;
    CFA__CHECK_OK(runner, ops->begin(bench->writer, CFA_SESSION_WRITE, 0, &now_us));
    for (int64_t position = 1; position <= 3; position++) {
        CFA__CHECK_OK(runner, ops->save(bench->writer, &save, &first));
        CFA__CHECK_INT(runner, first, position);
    }
    CFA__CHECK_OK(runner, ops->commit(bench->writer));
    append_events(runner, bench, 1, 4, true);
}

static void test_reopen(cfa__runner *runner, void *user) {
    TEST_OF(runner, user);
    if ((ops->capabilities & CFA_STORAGE_DURABLE) == 0) {
        cfa__runner_skip(runner, "the store is not durable");
    }
    cfa__item item = cfa__suite_item_make(1, 1, "a");
    item.body = (cfa_slice){ "\0\1", 2 };
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, ITEM, &item));
    cfa__bench_reopen(runner, bench, &cfa__test_schema_1);
    const void *found = cfa__suite_find(runner, bench, ITEM, &item);
    CFA__CHECK(runner, found != NULL && cfa__suite_record_equal(ITEM, &item, found));
}

/* ---- the suite ------------------------------------------------------------------------------- */

static const cfa__test tests[] = {
    { "migrate_creates_and_repeats", cfa__storage_test_migrate },
    { "migrate_upgrades_and_keeps_rows", cfa__storage_test_upgrade },
    { "migrate_refuses_a_newer_store", cfa__storage_test_newer },
    { "values_come_back_as_written", test_values },
    { "null_is_not_empty", test_null },
    { "big_values_come_back", test_big_values },
    { "results_belong_to_the_arena", test_results_outlive },
    { "existing_unique_key_is_refused", test_unique },
    { "stale_version_is_refused", test_version },
    { "broken_guard_is_refused", test_guard },
    { "delete_leaves_every_index", test_delete },
    { "query_matches_a_prefix_in_order", cfa__storage_test_prefix },
    { "query_goes_on_after_a_row", cfa__storage_test_after },
    { "query_stops_at_until", cfa__storage_test_until },
    { "sparse_index_skips_zero_and_null", cfa__storage_test_sparse },
    { "bytes_order_as_bytes_then_length", cfa__storage_test_bytes_order },
    { "own_writes_are_seen_only_inside", test_own_writes },
    { "rollback_leaves_nothing", test_rollback },
    { "failed_save_leaves_nothing_and_a_usable_session", test_after_error },
    { "empty_calls_do_nothing", test_empty_calls },
    { "big_save_is_one_commit", test_big_save },
    { "positions_are_dense_over_commits_and_rollbacks", test_positions },
    { "positions_go_on_inside_a_transaction", test_positions_in_one },
    { "snapshot_is_not_moved_by_a_commit", cfa__storage_test_snapshot },
    { "readers_see_whole_commits", cfa__storage_test_whole_commits },
    { "writers_lose_nothing_to_each_other", cfa__storage_test_counters },
    { "busy_writer_is_refused_in_time", cfa__storage_test_busy },
    { "changes_notices_other_sessions", cfa__storage_test_changes },
    { "random_operations_match_a_model", cfa__storage_test_model },
    { "rows_outlive_the_store_when_durable", test_reopen },
};

int cfa_conformance_storage(int argc, char **argv, const cfa_storage_fixture *fixture) {
    cfa__bench bench;
    memset(&bench, 0, sizeof(bench));
    bench.fixture = fixture;
    cfa__suite suite = { "storage", fixture->name, tests,   sizeof(tests) / sizeof(tests[0]),
                         &bench,    setup,         teardown };
    return cfa__runner_main(argc, argv, &suite);
}
