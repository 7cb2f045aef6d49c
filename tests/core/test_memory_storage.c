/*
 * test_memory_storage.c - what the conformance suite cannot see of the memory store: every
 * allocation failing once, memory given back, big trees growing and shrinking, and the memory sink.
 */
#include <careforall/adapters/memory.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testkit/storage_kinds.h"

/* ---- an allocator that counts, and fails once ------------------------------------------------ */

static struct {
    int64_t live;
    int64_t countdown; /* allocations until the failing one; 0: none fails */
    bool fired;
} memory;

static bool fails_now(void) {
    if (memory.countdown == 0 || --memory.countdown > 0) {
        return false;
    }
    memory.fired = true;
    return true;
}

static void *allocate(void *user, size_t size) {
    (void)user;
    void *block = fails_now() ? NULL : malloc(size);
    memory.live += block != NULL;
    return block;
}

static void *reallocate(void *user, void *old, size_t size) {
    (void)user;
    void *block = fails_now() ? NULL : realloc(old, size);
    memory.live += block != NULL && old == NULL;
    return block;
}

static void release(void *user, void *block) {
    (void)user;
    memory.live -= block != NULL;
    free(block);
}

static void count_memory(void) {
    static const cfa_allocator allocator = { sizeof(allocator), NULL, allocate, reallocate,
                                             release };
    memset(&memory, 0, sizeof(memory));
    ck_assert_int_eq(cfa_allocator_set(&allocator), CFA_OK);
}

static void stop_counting(void) { ck_assert_int_eq(cfa_allocator_set(NULL), CFA_OK); }

/* ---- a series of transactions ---------------------------------------------------------------- */

enum { ITEMS = 70, STEPS = 8 };

struct scene {
    cfa_storage storage;
    cfa_session *session;
    cfa_arena *arena;
    cfa__item items[ITEMS];
    char codes[ITEMS][8];
};

static void make_items(struct scene *scene) {
    for (int i = 0; i < ITEMS; i++) {
        snprintf(scene->codes[i], sizeof(scene->codes[i]), "c%d", i * 37 % ITEMS);
        scene->items[i] = cfa__suite_item_make(1, i, scene->codes[i]);
        scene->items[i].due = i % 3;
        scene->items[i].bucket = i % 5;
        scene->items[i].label = cfa__suite_text("a label");
    }
}

static cfa_status save_items(struct scene *scene, int32_t action, int from, int to) {
    cfa_change changes[ITEMS];
    cfa__item after[ITEMS];
    cfa__entry entries[2];
    void *events[2] = { &entries[0], &entries[1] };
    size_t count = 0;
    for (int i = from; i < to; i++, count++) {
        after[count] = scene->items[i];
        if (action == CFA_CHANGE_UPDATE) {
            after[count].version++;
            after[count].bucket += 2;
            after[count].due = (after[count].due + 1) % 3;
        }
        changes[count] =
            (cfa_change){ &cfa__item_kind_1, action,
                          action == CFA_CHANGE_DELETE ? &scene->items[i] : &after[count],
                          action == CFA_CHANGE_INSERT ? NULL : &scene->items[i] };
    }
    memset(entries, 0, sizeof(entries));
    entries[0].payload = entries[1].payload = cfa__suite_text("payload");
    cfa_save save = { changes, count, NULL, 0, &cfa__entry_kind, events, 2 };
    int64_t first = 0;
    const cfa_storage_ops *ops = scene->storage.ops;
    cfa_status status = ops->begin(scene->session, CFA_SESSION_WRITE, 0, NULL);
    if (status != CFA_OK) {
        return status;
    }
    status = ops->save(scene->session, &save, &first);
    if (status != CFA_OK) {
        /* Whatever stays open, only rollback helps. */
        ck_assert_int_ne(ops->load(scene->session, NULL, 0, scene->arena), CFA_OK);
        ops->rollback(scene->session);
        return status;
    }
    status = ops->commit(scene->session);
    for (size_t i = 0; status == CFA_OK && i < count; i++) {
        scene->items[from + (int)i] = after[i];
    }
    return status;
}

static cfa_status run_step(struct scene *scene, int step) {
    const cfa_storage *storage = &scene->storage;
    switch (step) {
    case 0: return storage->ops->migrate(storage->self, &cfa__test_schema_1);
    case 1: return storage->ops->session_open(storage->self, CFA_SESSION_WRITE, &scene->session);
    case 2: return save_items(scene, CFA_CHANGE_INSERT, 0, 40);
    case 3: return save_items(scene, CFA_CHANGE_INSERT, 40, ITEMS);
    case 4: return save_items(scene, CFA_CHANGE_UPDATE, 10, 50);
    case 5: return save_items(scene, CFA_CHANGE_DELETE, 5, 30);
    case 6: return save_items(scene, CFA_CHANGE_DELETE, 30, 60);
    default: return storage->ops->migrate(storage->self, &cfa__test_schema_2);
    }
}

static uint64_t mix(uint64_t hash, const void *data, size_t size) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* A hash of everything the store holds, through every index. 1: no schema yet. */
static uint64_t content(struct scene *scene, bool upgraded) {
    int64_t countdown = memory.countdown;
    memory.countdown = 0;
    const cfa_storage *storage = &scene->storage;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    cfa_session *reader;
    ck_assert_int_eq(storage->ops->session_open(storage->self, CFA_SESSION_READ, &reader), CFA_OK);
    if (storage->ops->begin(reader, CFA_SESSION_READ, 0, NULL) != CFA_OK) {
        hash = 1;
    } else {
        const cfa_kind *kind = upgraded ? &cfa__item_kind_2 : &cfa__item_kind_1;
        for (int32_t index = 0; index <= CFA__ITEM_INDEXES_1; index++) {
            cfa_query query = { kind, index, 0, 0, 1000, 0, NULL, NULL, 0 };
            if (index == CFA__ITEM_INDEXES_1) { /* the log comes last */
                query.kind = &cfa__entry_kind;
                query.index = 0;
            }
            ck_assert_int_eq(storage->ops->load(reader, &query, 1, scene->arena), CFA_OK);
            for (int32_t i = 0; i < query.count; i++) {
                const cfa__item *item = query.records[i];
                hash = mix(hash, query.records[i], sizeof(int64_t));
                if (index < CFA__ITEM_INDEXES_1) {
                    hash = mix(hash, &item->number, sizeof(item->number));
                    hash = mix(hash, &item->bucket, sizeof(item->bucket));
                    hash = mix(hash, &item->due, sizeof(item->due));
                    hash = mix(hash, &item->version, sizeof(item->version));
                    hash = mix(hash, item->code.data, item->code.size);
                    hash = mix(hash, item->label.data, item->label.size);
                }
            }
            hash = mix(hash, &query.count, sizeof(query.count));
        }
        ck_assert_int_eq(storage->ops->commit(reader), CFA_OK);
    }
    storage->ops->session_close(reader);
    cfa_arena_reset(scene->arena);
    memory.countdown = countdown;
    return hash;
}

static void open_scene(struct scene *scene) {
    memset(scene, 0, sizeof(*scene));
    make_items(scene);
    ck_assert_int_eq(cfa_arena_new(&scene->arena), CFA_OK);
    ck_assert_int_eq(cfa_memory_storage_new(&scene->storage), CFA_OK);
}

static void close_scene(struct scene *scene) {
    if (scene->session != NULL) {
        scene->storage.ops->session_close(scene->session);
    }
    scene->storage.ops->close(scene->storage.self);
    cfa_arena_free(scene->arena);
}

START_TEST(every_failed_allocation_leaves_the_store_as_it_was) {
    static struct scene scene;
    uint64_t expected[STEPS];
    count_memory();
    open_scene(&scene);
    for (int step = 0; step < STEPS; step++) {
        ck_assert_int_eq(run_step(&scene, step), CFA_OK);
        expected[step] = content(&scene, step == STEPS - 1);
    }
    close_scene(&scene);
    ck_assert_int_eq(memory.live, 0);

    int64_t failures = 0;
    for (int64_t failing = 1;; failing++) {
        open_scene(&scene);
        memory.fired = false;
        memory.countdown = failing;
        for (int step = 0; step < STEPS; step++) {
            uint64_t before = content(&scene, false);
            cfa_status status = run_step(&scene, step);
            if (status != CFA_OK) {
                ck_assert_int_eq(status, CFA_ENOMEM);
                ck_assert(memory.fired);
                ck_assert_uint_eq(content(&scene, false), before);
                ck_assert_int_eq(run_step(&scene, step), CFA_OK);
            }
            ck_assert_uint_eq(content(&scene, step == STEPS - 1), expected[step]);
        }
        bool fired = memory.fired;
        memory.countdown = 0;
        close_scene(&scene);
        ck_assert_int_eq(memory.live, 0);
        if (!fired) {
            break;
        }
        failures++;
    }
    ck_assert_int_gt(failures, 100);
    stop_counting();
}
END_TEST

START_TEST(making_a_store_or_a_sink_without_memory_fails_clearly) {
    count_memory();
    cfa_storage storage;
    cfa_sink sink;
    memory.countdown = 1;
    ck_assert_int_eq(cfa_memory_storage_new(&storage), CFA_ENOMEM);
    memory.countdown = 1;
    ck_assert_int_eq(cfa_memory_sink_new(&sink), CFA_ENOMEM);
    ck_assert_int_eq(memory.live, 0);
    stop_counting();
}
END_TEST

/* ---- memory ---------------------------------------------------------------------------------- */

START_TEST(old_snapshots_keep_their_rows_and_then_give_them_back) {
    static struct scene scene;
    count_memory();
    open_scene(&scene);
    for (int step = 0; step < 4; step++) {
        ck_assert_int_eq(run_step(&scene, step), CFA_OK);
    }
    const cfa_storage *storage = &scene.storage;
    cfa_session *reader;
    ck_assert_int_eq(storage->ops->session_open(storage->self, CFA_SESSION_READ, &reader), CFA_OK);
    ck_assert_int_eq(storage->ops->begin(reader, CFA_SESSION_READ, 0, NULL), CFA_OK);
    ck_assert_int_eq(save_items(&scene, CFA_CHANGE_UPDATE, 0, ITEMS), CFA_OK);
    int64_t settled = 0;
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(save_items(&scene, CFA_CHANGE_UPDATE, 0, ITEMS), CFA_OK);
        cfa_query query = { &cfa__item_kind_1, 0, 0, 0, 1000, 0, NULL, NULL, 0 };
        ck_assert_int_eq(storage->ops->load(reader, &query, 1, scene.arena), CFA_OK);
        ck_assert_int_eq(query.count, ITEMS);
        for (int32_t j = 0; j < query.count; j++) {
            ck_assert_int_eq(((const cfa__item *)query.records[j])->version, 1);
        }
        cfa_arena_reset(scene.arena);
    }
    int64_t held = memory.live;
    ck_assert_int_eq(storage->ops->commit(reader), CFA_OK);
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(save_items(&scene, CFA_CHANGE_UPDATE, 0, ITEMS), CFA_OK);
        if (i == 1) {
            settled = memory.live;
        }
    }
    ck_assert_int_lt(settled, held - 40 * ITEMS);
    /* From then on only the log grows: two rows a transaction and the nodes above them. */
    ck_assert_int_lt(memory.live - settled, 48 * 2 + 48);
    storage->ops->session_close(reader);
    close_scene(&scene);
    ck_assert_int_eq(memory.live, 0);
    stop_counting();
}
END_TEST

START_TEST(an_upgrade_does_not_disturb_an_open_snapshot) {
    static struct scene scene;
    open_scene(&scene);
    for (int step = 0; step < 4; step++) {
        ck_assert_int_eq(run_step(&scene, step), CFA_OK);
    }
    const cfa_storage *storage = &scene.storage;
    cfa_session *reader;
    ck_assert_int_eq(storage->ops->session_open(storage->self, CFA_SESSION_READ, &reader), CFA_OK);
    ck_assert_int_eq(storage->ops->begin(reader, CFA_SESSION_READ, 0, NULL), CFA_OK);
    ck_assert_int_eq(run_step(&scene, STEPS - 1), CFA_OK);
    cfa_query query = { &cfa__item_kind_1, CFA__ITEM_BY_CODE, 0, 0, 1000, 0, NULL, NULL, 0 };
    ck_assert_int_eq(storage->ops->load(reader, &query, 1, scene.arena), CFA_OK);
    ck_assert_int_eq(query.count, ITEMS);
    ck_assert_int_eq(storage->ops->commit(reader), CFA_OK);
    storage->ops->session_close(reader);
    close_scene(&scene);
}
END_TEST

/* ---- big trees ------------------------------------------------------------------------------- */

enum { BIG = 20000, BIG_BATCH = 500 };

/* The i-th of BIG different numbers: up, down, or scattered. */
static int64_t number_of(int order, int64_t i) {
    return order == 0 ? i : order == 1 ? BIG - 1 - i : i * 7919 % BIG;
}

static void change_many(struct scene *scene, int32_t action, int order, bool keep_some) {
    static cfa__mark marks[BIG_BATCH];
    static uint8_t digests[BIG_BATCH][8];
    cfa_change changes[BIG_BATCH];
    for (int64_t from = 0; from < BIG; from += BIG_BATCH) {
        size_t count = 0;
        for (int64_t i = from; i < from + BIG_BATCH; i++) {
            int64_t number = number_of(order, i);
            if (keep_some && number % 100 == 0) {
                continue;
            }
            for (int j = 0; j < 8; j++) {
                digests[count][j] = (uint8_t)(number >> (56 - j * 8));
            }
            marks[count] = (cfa__mark){ { digests[count], 8 }, number / 10 };
            changes[count] = (cfa_change){ &cfa__mark_kind, action, &marks[count],
                                           action == CFA_CHANGE_INSERT ? NULL : &marks[count] };
            count++;
        }
        cfa_save save = { changes, count, NULL, 0, NULL, NULL, 0 };
        const cfa_storage_ops *ops = scene->storage.ops;
        int64_t first = 0;
        ck_assert_int_eq(ops->begin(scene->session, CFA_SESSION_WRITE, 0, NULL), CFA_OK);
        ck_assert_int_eq(ops->save(scene->session, &save, &first), CFA_OK);
        ck_assert_int_eq(ops->commit(scene->session), CFA_OK);
    }
}

/* Check that both indexes hold every `step`-th number, in both directions. */
static void check_numbers(struct scene *scene, int64_t step, int32_t expected) {
    const cfa_storage_ops *ops = scene->storage.ops;
    ck_assert_int_eq(ops->begin(scene->session, CFA_SESSION_READ, 0, NULL), CFA_OK);
    for (int i = 0; i < 4; i++) {
        uint32_t flags = i % 2 == 0 ? 0 : CFA_QUERY_DESCENDING;
        cfa_query query = { &cfa__mark_kind, i / 2, 0, flags, 2 * BIG, 0, NULL, NULL, 0 };
        ck_assert_int_eq(ops->load(scene->session, &query, 1, scene->arena), CFA_OK);
        ck_assert_int_eq(query.count, expected);
        for (int32_t j = 0; j < query.count; j++) {
            int64_t number = step * (flags == 0 ? j : expected - 1 - j);
            const cfa__mark *mark = query.records[j];
            const uint8_t *digest = mark->digest.data;
            ck_assert_int_eq((digest[6] << 8) | digest[7], number);
            ck_assert_int_eq(mark->created, number / 10);
        }
        cfa_arena_reset(scene->arena);
    }
    ck_assert_int_eq(ops->commit(scene->session), CFA_OK);
}

START_TEST(trees_grow_and_shrink_in_any_order) {
    static struct scene scene;
    count_memory();
    open_scene(&scene);
    ck_assert_int_eq(run_step(&scene, 0), CFA_OK);
    ck_assert_int_eq(run_step(&scene, 1), CFA_OK);
    int inserts = _i / 3, deletes = _i % 3;
    change_many(&scene, CFA_CHANGE_INSERT, inserts, false);
    check_numbers(&scene, 1, BIG);
    change_many(&scene, CFA_CHANGE_DELETE, deletes, true);
    check_numbers(&scene, 100, BIG / 100);
    change_many(&scene, CFA_CHANGE_INSERT, deletes, true);
    check_numbers(&scene, 1, BIG);
    change_many(&scene, CFA_CHANGE_DELETE, inserts, false);
    check_numbers(&scene, 1, 0);
    close_scene(&scene);
    ck_assert_int_eq(memory.live, 0);
    stop_counting();
}
END_TEST

/* ---- misuse ---------------------------------------------------------------------------------- */

START_TEST(wrong_calls_are_refused) {
    static struct scene scene;
    open_scene(&scene);
    const cfa_storage_ops *ops = scene.storage.ops;
    ck_assert_int_eq(run_step(&scene, 1), CFA_OK);
    ck_assert_int_eq(ops->begin(scene.session, CFA_SESSION_WRITE, 0, NULL), CFA_EMISUSE);
    ck_assert_int_eq(run_step(&scene, 0), CFA_OK);
    ck_assert_int_eq(ops->commit(scene.session), CFA_EMISUSE);
    ck_assert_int_eq(ops->begin(scene.session, CFA_SESSION_READ, 0, NULL), CFA_OK);
    ck_assert_int_eq(ops->begin(scene.session, CFA_SESSION_WRITE, 0, NULL), CFA_EMISUSE);
    cfa_save save = { NULL, 0, NULL, 0, NULL, NULL, 0 };
    int64_t first = 0;
    ck_assert_int_eq(ops->save(scene.session, &save, &first), CFA_EMISUSE);
    ops->rollback(scene.session);
    /* Null where it must not be: the engine's mistake, found before it is stored. */
    scene.items[0].note = cfa__suite_text(NULL);
    ck_assert_int_eq(save_items(&scene, CFA_CHANGE_INSERT, 0, 1), CFA_EBUG);
    cfa_session *reader;
    ck_assert_int_eq(ops->session_open(scene.storage.self, CFA_SESSION_READ, &reader), CFA_OK);
    ck_assert_int_eq(ops->begin(reader, CFA_SESSION_WRITE, 0, NULL), CFA_EMISUSE);
    ck_assert_int_eq(ops->begin(reader, CFA_SESSION_READ, 0, NULL), CFA_OK);
    cfa_query query = { &cfa__extra_kind, 0, 0, 0, 1, 0, NULL, NULL, 0 };
    ck_assert_int_eq(ops->load(reader, &query, 1, scene.arena), CFA_EMISUSE);
    ck_assert_int_eq(ops->commit(reader), CFA_EMISUSE);
    ops->session_close(reader);
    close_scene(&scene);
}
END_TEST

/* ---- the sink -------------------------------------------------------------------------------- */

START_TEST(sink_keeps_copies_of_everything_it_was_sent) {
    count_memory();
    cfa_sink sink;
    char subject[] = "pay_1";
    cfa_event_view event;
    memset(&event, 0, sizeof(event));
    event.struct_size = sizeof(event);
    event.source = "/careforall/book/1";
    event.id = "evt_1";
    event.event_type = "org.careforall.test.v1";
    event.subject = subject;
    event.sequence = 1;
    event.data = (cfa_slice){ "{}", 2 };
    ck_assert_int_eq(cfa_memory_sink_new(&sink), CFA_OK);
    int64_t acknowledged = -1;
    for (int64_t position = 1; position <= 100; position++) {
        size_t taken = 0;
        event.position = position;
        ck_assert_int_eq(sink.ops->send(sink.self, &event, 1, &taken), CFA_OK);
        ck_assert_uint_eq(taken, 1);
        ck_assert_int_eq(sink.ops->poll(sink.self, &acknowledged), CFA_OK);
        ck_assert_int_eq(acknowledged, position);
    }
    subject[0] = 'x';
    ck_assert_uint_eq(cfa_memory_sink_size(&sink), 100);
    const cfa_event_view *kept = cfa_memory_sink_at(&sink, 99);
    ck_assert_str_eq(kept->subject, "pay_1");
    ck_assert_ptr_null(kept->traceparent);
    ck_assert_mem_eq(kept->data.data, "{}", 3);
    ck_assert_ptr_null(cfa_memory_sink_at(&sink, 100));
    /* Without memory it takes less, and says so. */
    cfa_event_view two[2] = { event, event };
    two[0].position = 101;
    two[1].position = 102;
    size_t taken = 7;
    memory.countdown = 2;
    ck_assert_int_eq(sink.ops->send(sink.self, two, 2, &taken), CFA_OK);
    ck_assert_uint_eq(taken, 1);
    memory.countdown = 1;
    ck_assert_int_eq(sink.ops->send(sink.self, two + 1, 1, &taken), CFA_ENOMEM);
    ck_assert_uint_eq(taken, 1);
    ck_assert_int_eq(sink.ops->reset(sink.self, 50), CFA_OK);
    ck_assert_int_eq(sink.ops->poll(sink.self, &acknowledged), CFA_OK);
    ck_assert_int_eq(acknowledged, 50);
    ck_assert_uint_eq(cfa_memory_sink_size(&sink), 101);
    sink.ops->close(sink.self);
    ck_assert_int_eq(memory.live, 0);
    stop_counting();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("memory_storage");
    TCase *tests = tcase_create("memory_storage");
    tcase_add_test(tests, every_failed_allocation_leaves_the_store_as_it_was);
    tcase_add_test(tests, making_a_store_or_a_sink_without_memory_fails_clearly);
    tcase_add_test(tests, old_snapshots_keep_their_rows_and_then_give_them_back);
    tcase_add_test(tests, an_upgrade_does_not_disturb_an_open_snapshot);
    tcase_add_loop_test(tests, trees_grow_and_shrink_in_any_order, 0, 9);
    tcase_add_test(tests, wrong_calls_are_refused);
    tcase_add_test(tests, sink_keeps_copies_of_everything_it_was_sent);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
