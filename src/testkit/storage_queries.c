/*
 * storage_queries.c - tests of storages: what a query returns, and what migrations keep.
 */
#include "testkit/storage_kinds.h"

#include <string.h>

#define ITEM (&cfa__item_kind_1)

/* ---- queries --------------------------------------------------------------------------------- */

/* Owners 1 to 3 with numbers 1 to 3; bucket is the owner, due number * 10. */
static void insert_grid(cfa__runner *runner, cfa__bench *bench) {
    for (uint8_t owner = 3; owner >= 1; owner--) {
        for (int64_t number = 1; number <= 3; number++) {
            char code[3] = { (char)('a' + owner), (char)('0' + number), '\0' };
            cfa__item item = cfa__suite_item_make(owner, number, code);
            item.bucket = owner;
            item.due = number * 10;
            CFA__CHECK_OK(runner, cfa__suite_insert(bench, ITEM, &item));
        }
    }
}

/* Check that a query gives the rows "owner.number owner.number ...", in this order. */
static void expect(cfa__runner *runner, cfa__bench *bench, cfa_query query, const char *expected) {
    char found[128] = "";
    size_t size = 0;
    CFA__CHECK_OK(runner, cfa__suite_read(bench, &query));
    for (int32_t i = 0; i < query.count && size + 4 < sizeof(found); i++) {
        const cfa__item *item = query.records[i];
        if (i > 0) {
            found[size++] = ' ';
        }
        found[size++] = (char)('0' + item->owner[15]);
        found[size++] = '.';
        found[size++] = (char)('0' + item->number);
        found[size] = '\0';
    }
    if (strcmp(found, expected) != 0) {
        cfa__runner_fail(runner, __FILE__, __LINE__,
                         "query of %s with %d matched fields and flags %u gave \"%s\", not \"%s\"",
                         query.kind->indexes[query.index].name, (int)query.match_count,
                         (unsigned)query.flags, found, expected);
    }
}

static cfa_query query_of(int32_t index, int32_t match_count, uint32_t flags, const void *key) {
    cfa_query query = { ITEM, index, match_count, flags, 100, 0, key, NULL, 0 };
    return query;
}

void cfa__storage_test_prefix(cfa__runner *runner, void *user) {
    cfa__bench *bench = user;
    insert_grid(runner, bench);
    cfa__item key = cfa__suite_item_make(2, 3, "c2");
    key.bucket = 3;
    const uint32_t down = CFA_QUERY_DESCENDING;
    expect(runner, bench, query_of(CFA__ITEM_PRIMARY, 0, 0, &key),
           "1.1 1.2 1.3 2.1 2.2 2.3 3.1 3.2 3.3");
    expect(runner, bench, query_of(CFA__ITEM_PRIMARY, 0, down, &key),
           "3.3 3.2 3.1 2.3 2.2 2.1 1.3 1.2 1.1");
    expect(runner, bench, query_of(CFA__ITEM_PRIMARY, 1, 0, &key), "2.1 2.2 2.3");
    expect(runner, bench, query_of(CFA__ITEM_PRIMARY, 1, down, &key), "2.3 2.2 2.1");
    expect(runner, bench, query_of(CFA__ITEM_PRIMARY, 2, 0, &key), "2.3");
    expect(runner, bench, query_of(CFA__ITEM_BY_CODE, 1, 0, &key), "2.2");
    expect(runner, bench, query_of(CFA__ITEM_BY_BUCKET, 1, 0, &key), "3.1 3.2 3.3");
    expect(runner, bench, query_of(CFA__ITEM_BY_CURRENCY, 1, down, &key),
           "3.3 2.3 1.3 3.2 2.2 1.2 3.1 2.1 1.1");
    cfa_query two = query_of(CFA__ITEM_BY_CURRENCY, 1, 0, &key);
    two.limit = 2;
    expect(runner, bench, two, "1.1 2.1");
    two.flags = down;
    expect(runner, bench, two, "3.3 2.3");
    key = cfa__suite_item_make(9, 9, "none");
    key.bucket = 9;
    expect(runner, bench, query_of(CFA__ITEM_PRIMARY, 1, 0, &key), "");
    expect(runner, bench, query_of(CFA__ITEM_BY_BUCKET, 1, down, &key), "");
    expect(runner, bench, query_of(CFA__ITEM_BY_CODE, 1, 0, &key), "");
}

void cfa__storage_test_after(cfa__runner *runner, void *user) {
    cfa__bench *bench = user;
    insert_grid(runner, bench);
    const uint32_t after = CFA_QUERY_AFTER;
    const uint32_t down = CFA_QUERY_AFTER | CFA_QUERY_DESCENDING;
    cfa__item key = cfa__suite_item_make(2, 1, "c1");
    key.bucket = 2;
    key.due = 20;
    expect(runner, bench, query_of(CFA__ITEM_PRIMARY, 0, after, &key), "2.2 2.3 3.1 3.2 3.3");
    expect(runner, bench, query_of(CFA__ITEM_PRIMARY, 0, down, &key), "1.3 1.2 1.1");
    expect(runner, bench, query_of(CFA__ITEM_PRIMARY, 1, after, &key), "2.2 2.3");
    expect(runner, bench, query_of(CFA__ITEM_PRIMARY, 1, down, &key), "");
    expect(runner, bench, query_of(CFA__ITEM_BY_BUCKET, 1, after, &key), "2.2 2.3");
    /* Behind a row that does not exist: due 20, owner 2, number 1. */
    expect(runner, bench, query_of(CFA__ITEM_BY_CURRENCY, 1, after, &key), "2.2 3.2 1.3 2.3 3.3");
    expect(runner, bench, query_of(CFA__ITEM_BY_CURRENCY, 1, down, &key), "1.2 3.1 2.1 1.1");
    expect(runner, bench, query_of(CFA__ITEM_BY_CURRENCY, 2, after, &key), "2.2 3.2");
    key = cfa__suite_item_make(3, 3, "d3");
    expect(runner, bench, query_of(CFA__ITEM_PRIMARY, 0, after, &key), "");
}

void cfa__storage_test_until(cfa__runner *runner, void *user) {
    cfa__bench *bench = user;
    insert_grid(runner, bench);
    cfa__item key = cfa__suite_item_make(2, 1, "c1");
    cfa_query due = query_of(CFA__ITEM_BY_DUE, 0, CFA_QUERY_UNTIL, &key);
    due.until = 20;
    expect(runner, bench, due, "1.1 2.1 3.1 1.2 2.2 3.2");
    due.until = 9;
    expect(runner, bench, due, "");
    due.until = 19;
    due.flags |= CFA_QUERY_DESCENDING;
    expect(runner, bench, due, "3.1 2.1 1.1");
    key.due = 10;
    due.flags = CFA_QUERY_UNTIL | CFA_QUERY_AFTER;
    due.until = 20;
    expect(runner, bench, due, "3.1 1.2 2.2 3.2");
    key.due = 30;
    due.flags |= CFA_QUERY_DESCENDING;
    expect(runner, bench, due, "3.2 2.2 1.2 3.1 2.1 1.1");
    cfa_query owned = query_of(CFA__ITEM_PRIMARY, 1, CFA_QUERY_UNTIL, &key);
    owned.until = 2;
    expect(runner, bench, owned, "2.1 2.2");
}

void cfa__storage_test_sparse(cfa__runner *runner, void *user) {
    cfa__bench *bench = user;
    cfa__item items[] = { cfa__suite_item_make(1, 1, "a"), cfa__suite_item_make(1, 2, "b"),
                          cfa__suite_item_make(1, 3, "c"), cfa__suite_item_make(1, 4, "d") };
    items[0].due = 5;
    items[2].due = -5;
    items[1].tag = cfa__suite_text("");
    items[3].tag = cfa__suite_text("t");
    for (size_t i = 0; i < 4; i++) {
        CFA__CHECK_OK(runner, cfa__suite_insert(bench, ITEM, &items[i]));
    }
    expect(runner, bench, query_of(CFA__ITEM_BY_DUE, 0, 0, &items[0]), "1.3 1.1");
    expect(runner, bench, query_of(CFA__ITEM_BY_TAG, 0, 0, &items[0]), "1.2 1.4");
    expect(runner, bench, query_of(CFA__ITEM_BY_TAG, 1, 0, &items[3]), "1.4");
    cfa_query until = query_of(CFA__ITEM_BY_DUE, 0, CFA_QUERY_UNTIL, &items[0]);
    until.until = 4;
    expect(runner, bench, until, "1.3");
    /* Updates move rows into, inside and out of sparse indexes. */
    cfa__item next = items[0];
    next.version = 2;
    next.due = 0;
    next.tag = cfa__suite_text("s");
    CFA__CHECK_OK(runner, cfa__suite_write(bench, ITEM, CFA_CHANGE_UPDATE, &next, &items[0]));
    expect(runner, bench, query_of(CFA__ITEM_BY_DUE, 0, 0, &items[0]), "1.3");
    expect(runner, bench, query_of(CFA__ITEM_BY_TAG, 0, CFA_QUERY_DESCENDING, &items[0]),
           "1.4 1.1 1.2");
    cfa__item back = next;
    back.version = 3;
    back.due = -6;
    back.tag = cfa__suite_text(NULL);
    CFA__CHECK_OK(runner, cfa__suite_write(bench, ITEM, CFA_CHANGE_UPDATE, &back, &next));
    expect(runner, bench, query_of(CFA__ITEM_BY_DUE, 0, 0, &items[0]), "1.1 1.3");
    expect(runner, bench, query_of(CFA__ITEM_BY_TAG, 0, 0, &items[0]), "1.2 1.4");
}

void cfa__storage_test_bytes_order(cfa__runner *runner, void *user) {
    cfa__bench *bench = user;
    /* In the order they must come back. */
    const cfa__mark marks[] = {
        { { "", 0 }, 1 },           { { "\0", 1 }, 1 },        { { "\0\0", 2 }, 1 },
        { { "\0\1", 2 }, 1 },       { { "\1", 1 }, 1 },        { { "abcdefgh", 8 }, 1 },
        { { "abcdefgh\0", 9 }, 1 }, { { "abcdefghi", 9 }, 1 }, { { "abcdefgi", 8 }, 1 },
        { { "\x7f", 1 }, 1 },       { { "\x80", 1 }, 1 },      { { "\xff\xff", 2 }, 1 },
    };
    const size_t count = sizeof(marks) / sizeof(marks[0]);
    for (size_t i = 0; i < count; i++) {
        CFA__CHECK_OK(runner, cfa__suite_insert(bench, &cfa__mark_kind, &marks[i * 7 % count]));
    }
    for (int32_t index = 0; index < 2; index++) {
        cfa_query query = { &cfa__mark_kind, index, 0, 0, 100, 0, NULL, NULL, 0 };
        CFA__CHECK_OK(runner, cfa__suite_read(bench, &query));
        CFA__CHECK_INT(runner, query.count, (int64_t)count);
        for (size_t i = 0; i < count; i++) {
            CFA__CHECK(runner,
                       cfa__suite_record_equal(&cfa__mark_kind, query.records[i], &marks[i]));
        }
    }
    for (size_t i = 0; i < count; i++) {
        CFA__CHECK(runner, cfa__suite_find(runner, bench, &cfa__mark_kind, &marks[i]) != NULL);
    }
}

/* ---- migrations ------------------------------------------------------------------------------ */

void cfa__storage_test_migrate(cfa__runner *runner, void *user) {
    cfa__bench *bench = user;
    CFA__CHECK_INT(runner, cfa__suite_count(runner, bench, ITEM), 0);
    cfa__item item = cfa__suite_item_make(1, 1, "a");
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, ITEM, &item));
    const cfa_storage *storage = &bench->storage;
    CFA__CHECK_OK(runner, storage->ops->migrate(storage->self, &cfa__test_schema_1));
    CFA__CHECK(runner, cfa__suite_find(runner, bench, ITEM, &item) != NULL);
    cfa__bench_reopen(runner, bench, &cfa__test_schema_1);
    CFA__CHECK(runner, cfa__suite_find(runner, bench, ITEM, &item) != NULL);
}

void cfa__storage_test_upgrade(cfa__runner *runner, void *user) {
    cfa__bench *bench = user;
    cfa__item item = cfa__suite_item_make(2, 1, "a");
    item.body = (cfa_slice){ "\0b", 2 };
    item.tag = cfa__suite_text("t");
    cfa__entry entry = { 0, { 1 }, { NULL, 0 }, { "p", 1 } };
    void *events[] = { &entry };
    cfa_change change = { ITEM, CFA_CHANGE_INSERT, &item, NULL };
    cfa_save save = { &change, 1, NULL, 0, &cfa__entry_kind, events, 1 };
    CFA__CHECK_OK(runner, cfa__suite_write_save(bench, bench->writer, &save, NULL));

    cfa__bench_reopen(runner, bench, &cfa__test_schema_2);
    const cfa__item *old = cfa__suite_find(runner, bench, &cfa__item_kind_2, &item);
    CFA__CHECK(runner, old != NULL && cfa__suite_record_equal(&cfa__item_kind_2, &item, old));
    cfa__item ranked = cfa__suite_item_make(1, 1, "b");
    ranked.rank = -4;
    ranked.memo = cfa__suite_text("memo");
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, &cfa__item_kind_2, &ranked));
    cfa__item next = *old;
    next.version = 2;
    next.rank = 9;
    CFA__CHECK_OK(runner,
                  cfa__suite_write(bench, &cfa__item_kind_2, CFA_CHANGE_UPDATE, &next, old));
    cfa_query query = query_of(CFA__ITEM_BY_RANK, 0, 0, &item);
    query.kind = &cfa__item_kind_2;
    expect(runner, bench, query, "1.1 2.1");
    query.index = CFA__ITEM_BY_TAG;
    expect(runner, bench, query, "2.1");
    cfa__extra extra = { 1, { "x", 1 }, 1 };
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, &cfa__extra_kind, &extra));
    save.change_count = 0;
    int64_t first = 0;
    CFA__CHECK_OK(runner, cfa__suite_write_save(bench, bench->writer, &save, &first));
    CFA__CHECK_INT(runner, first, 2);
}

void cfa__storage_test_newer(cfa__runner *runner, void *user) {
    cfa__bench *bench = user;
    cfa__bench_reopen(runner, bench, &cfa__test_schema_2);
    cfa__item item = cfa__suite_item_make(1, 1, "a");
    item.rank = 3;
    CFA__CHECK_OK(runner, cfa__suite_insert(bench, &cfa__item_kind_2, &item));
    cfa__bench_close_sessions(bench);
    bool durable = (bench->storage.ops->capabilities & CFA_STORAGE_DURABLE) != 0;
    if (durable) {
        cfa__bench_close(bench);
        CFA__CHECK_OK(runner, bench->fixture->open(&bench->storage, 0));
        bench->is_open = true;
    }
    const cfa_storage *storage = &bench->storage;
    CFA__CHECK_STATUS(runner, storage->ops->migrate(storage->self, &cfa__test_schema_1),
                      CFA_ESCHEMA);
    cfa__bench_reopen(runner, bench, &cfa__test_schema_2);
    const void *found = cfa__suite_find(runner, bench, &cfa__item_kind_2, &item);
    CFA__CHECK(runner, found != NULL && cfa__suite_record_equal(&cfa__item_kind_2, &item, found));
}
