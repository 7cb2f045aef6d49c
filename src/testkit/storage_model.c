/*
 * storage_model.c - a test of storages: random transactions and queries, compared with an array.
 *
 * The same numbers are drawn in every run. A save holds at most one change that must be refused, so
 * there is always exactly one right answer.
 */
#include "testkit/storage_kinds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEM (&cfa__item_kind_1)

enum {
    OWNERS = 8,
    NUMBERS = 125,
    KEYS = OWNERS * NUMBERS, /* every primary key that may exist */
    PRELOADED = 600,
    BATCH_MAX = 12,
    TRANSACTIONS = 250,
    QUERIES = 3, /* after each transaction */
    CODE_SIZE = 12
};

struct model {
    uint64_t random;
    int64_t next_code;
    bool exists[KEYS];
    cfa__item rows[KEYS];
    char codes[KEYS][CODE_SIZE];
};

/* One transaction while it is put together. */
struct batch {
    size_t count;
    int keys[BATCH_MAX]; /* ascending */
    cfa_change changes[BATCH_MAX];
    cfa__item after[BATCH_MAX];
    cfa__item before[BATCH_MAX];
    char codes[BATCH_MAX][CODE_SIZE];
    cfa_status expected;
};

static const char *const tags[] = { "",          "t",          "tag",        "tagtagta",
                                    "tagtagtag", "tagtagtagA", "tagtagtagB", "u" };
static const char *const currencies[] = { "EUR", "JPY", "KWD", "USD" };

static uint64_t draw(struct model *model, uint64_t below) {
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return (model->random >> 11) % below;
}

static void set_key(cfa__item *item, int key) {
    memset(item->owner, 0, sizeof(item->owner));
    item->owner[key / NUMBERS % 2 * 15] = (uint8_t)(1 + key / NUMBERS);
    item->number = key % NUMBERS - NUMBERS / 2;
}

/* Owners are not in byte order of their numbers, so sort keys as the primary index does. */
static int compare_keys(const void *a, const void *b) {
    cfa__item x, y;
    set_key(&x, *(const int *)a);
    set_key(&y, *(const int *)b);
    return cfa__suite_record_compare(ITEM, CFA__ITEM_PRIMARY, 2, &x, &y);
}

static void set_values(struct model *model, cfa__item *item) {
    item->label =
        draw(model, 3) == 0 ? cfa__suite_text(NULL) : cfa__suite_text(tags[draw(model, 8)]);
    item->note = cfa__suite_text(tags[draw(model, 8)]);
    item->body = cfa__suite_text(NULL);
    if (draw(model, 3) != 0) {
        item->body = (cfa_slice){ "\0b\0", draw(model, 4) };
    }
    memcpy(item->currency, currencies[draw(model, 4)], 4);
    item->parent[3] = (uint8_t)draw(model, 2);
    item->bucket = (int64_t)draw(model, 5) - 2;
    item->due = (int64_t)draw(model, 9) - 2;
    item->tag = draw(model, 3) == 0 ? cfa__suite_text(NULL) : cfa__suite_text(tags[draw(model, 8)]);
}

/* ---- transactions ---------------------------------------------------------------------------- */

static void fresh_code(struct model *model, struct batch *batch, size_t change) {
    snprintf(batch->codes[change], CODE_SIZE, "c%07d", (int)(model->next_code++ * 7919 % 9999991));
    batch->after[change].code = cfa__suite_text(batch->codes[change]);
}

static bool in_batch(const struct batch *batch, int key) {
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->keys[i] == key) {
            return true;
        }
    }
    return false;
}

static void make_change(struct model *model, struct batch *batch, size_t change) {
    int key = batch->keys[change];
    cfa__item *after = &batch->after[change];
    cfa__item *before = &batch->before[change];
    bool exists = model->exists[key];
    bool removes = exists && draw(model, 3) == 0;
    *before = model->rows[key];
    *after = exists ? *before : cfa__suite_item_make(0, 0, "");
    set_key(after, key);
    after->version = exists ? before->version + 1 : 1;
    set_values(model, after);
    if (!exists || draw(model, 2) == 0) {
        fresh_code(model, batch, change);
    }
    batch->changes[change].kind = ITEM;
    batch->changes[change].action = !exists   ? CFA_CHANGE_INSERT
                                    : removes ? CFA_CHANGE_DELETE
                                              : CFA_CHANGE_UPDATE;
    batch->changes[change].record = removes ? before : after;
    batch->changes[change].before = exists ? before : NULL;
}

/* Make one change of the batch wrong. */
static void spoil(struct model *model, struct batch *batch) {
    size_t victim = (size_t)draw(model, batch->count);
    cfa_change *change = &batch->changes[victim];
    int other = (int)draw(model, KEYS);
    if (change->action != CFA_CHANGE_INSERT && draw(model, 2) == 0) {
        batch->before[victim].version += draw(model, 2) == 0 ? 1 : -1;
        batch->expected = CFA_EVERSION;
    } else if (change->action != CFA_CHANGE_DELETE && model->exists[other] &&
               !in_batch(batch, other)) {
        batch->after[victim].code = model->rows[other].code;
        batch->expected = CFA_EEXISTS;
    } else if (change->action == CFA_CHANGE_UPDATE) {
        change->action = CFA_CHANGE_INSERT;
        change->before = NULL;
        fresh_code(model, batch, victim);
        batch->expected = CFA_EEXISTS;
    }
}

static void make_batch(struct model *model, struct batch *batch, bool spoiled) {
    size_t count = 1 + (size_t)draw(model, BATCH_MAX);
    memset(batch, 0, sizeof(*batch));
    while (batch->count < count) {
        int key = (int)draw(model, KEYS);
        if (!in_batch(batch, key)) {
            batch->keys[batch->count++] = key;
        }
    }
    qsort(batch->keys, count, sizeof(batch->keys[0]), compare_keys);
    for (size_t i = 0; i < count; i++) {
        make_change(model, batch, i);
    }
    if (spoiled) {
        spoil(model, batch);
    }
}

static void apply(struct model *model, const struct batch *batch) {
    for (size_t i = 0; i < batch->count; i++) {
        int key = batch->keys[i];
        model->exists[key] = batch->changes[i].action != CFA_CHANGE_DELETE;
        model->rows[key] = batch->after[i];
        if (batch->after[i].code.data != model->codes[key]) {
            snprintf(model->codes[key], CODE_SIZE, "%s", (const char *)batch->after[i].code.data);
        }
        model->rows[key].code = cfa__suite_text(model->codes[key]);
    }
}

/* ---- queries --------------------------------------------------------------------------------- */

static int64_t int_of(const cfa_query *query, const void *record) {
    const cfa_index *index = &ITEM->indexes[query->index];
    const cfa_field *field = &ITEM->fields[index->fields[query->match_count]];
    int64_t value;
    memcpy(&value, (const char *)record + field->offset, sizeof(value));
    return value;
}

static bool matches(const cfa_query *query, const cfa__item *item) {
    int32_t fields = ITEM->indexes[query->index].field_count;
    if (!cfa__suite_record_is_indexed(ITEM, query->index, item) ||
        cfa__suite_record_compare(ITEM, query->index, query->match_count, item, query->key) != 0) {
        return false;
    }
    if ((query->flags & CFA_QUERY_AFTER) != 0) {
        int order = cfa__suite_record_compare(ITEM, query->index, fields, item, query->key);
        if ((query->flags & CFA_QUERY_DESCENDING) != 0 ? order >= 0 : order <= 0) {
            return false;
        }
    }
    return (query->flags & CFA_QUERY_UNTIL) == 0 || int_of(query, item) <= query->until;
}

/* Write the rows that a query must return, in order; by insertion, as plain as can be. */
static int32_t expected_rows(const struct model *model, const cfa_query *query,
                             const cfa__item **out) {
    int32_t count = 0;
    int32_t fields = ITEM->indexes[query->index].field_count;
    for (int key = 0; key < KEYS; key++) {
        const cfa__item *row = &model->rows[key];
        if (!model->exists[key] || !matches(query, row)) {
            continue;
        }
        int32_t slot = count++;
        while (slot > 0) {
            int order = cfa__suite_record_compare(ITEM, query->index, fields, out[slot - 1], row);
            if ((query->flags & CFA_QUERY_DESCENDING) != 0 ? order > 0 : order < 0) {
                break;
            }
            out[slot] = out[slot - 1];
            slot--;
        }
        out[slot] = row;
    }
    return count < query->limit ? count : query->limit;
}

static cfa_query draw_query(struct model *model, const cfa__item *key) {
    cfa_query query = { ITEM, (int32_t)draw(model, CFA__ITEM_INDEXES_1), 0, 0, 0, 0, key, NULL, 0 };
    const cfa_index *index = &ITEM->indexes[query.index];
    query.match_count = (int32_t)draw(model, (uint64_t)index->field_count + 1);
    query.limit = draw(model, 4) == 0 ? 2 * KEYS : 1 + (int32_t)draw(model, 20);
    if (query.match_count == index->field_count) {
        return query;
    }
    query.flags = draw(model, 2) == 0 ? CFA_QUERY_DESCENDING : 0;
    /* A key without the first field is no place in a sparse index. */
    if (draw(model, 2) == 0 && cfa__suite_record_is_indexed(ITEM, query.index, key)) {
        query.flags |= CFA_QUERY_AFTER;
    }
    if (ITEM->fields[index->fields[query.match_count]].type == CFA_FIELD_INT &&
        draw(model, 2) == 0) {
        query.flags |= CFA_QUERY_UNTIL;
        query.until = (int64_t)draw(model, 9) - 3;
    }
    return query;
}

static void compare_query(cfa__runner *runner, cfa__bench *bench, struct model *model,
                          cfa_session *session) {
    static const cfa__item *expected[KEYS];
    int from = (int)draw(model, KEYS);
    cfa__item key = model->rows[from];
    set_key(&key, from);
    if (draw(model, 4) == 0 || key.code.data == NULL) {
        cfa__item other = cfa__suite_item_make(0, 0, "c5000000");
        set_key(&other, from);
        set_values(model, &other);
        key = other;
    }
    cfa_query query = draw_query(model, &key);
    if (query.match_count > 0 && !cfa__suite_record_is_indexed(ITEM, query.index, &key)) {
        return; /* matching a null is not asked of anybody */
    }
    int32_t count = expected_rows(model, &query, expected);
    if (session != NULL) {
        CFA__CHECK_OK(runner, cfa__suite_load(bench, session, &query));
    } else {
        CFA__CHECK_OK(runner, cfa__suite_read(bench, &query));
    }
    bool equal = query.count == count;
    for (int32_t i = 0; equal && i < count; i++) {
        equal = cfa__suite_record_equal(ITEM, expected[i], query.records[i]);
    }
    if (!equal) {
        cfa__runner_fail(runner, __FILE__, __LINE__,
                         "index %s, %d fields matched, flags %u, limit %d: %d rows, not the %d "
                         "of the model",
                         ITEM->indexes[query.index].name, (int)query.match_count,
                         (unsigned)query.flags, (int)query.limit, (int)query.count, (int)count);
    }
}

/* ---- the test -------------------------------------------------------------------------------- */

static void preload(cfa__runner *runner, cfa__bench *bench, struct model *model,
                    struct batch *batch) {
    for (int rows = 0; rows < PRELOADED;) {
        make_batch(model, batch, false);
        for (size_t i = 0; i < batch->count; i++) {
            rows += batch->changes[i].action == CFA_CHANGE_INSERT;
            rows -= batch->changes[i].action == CFA_CHANGE_DELETE;
        }
        cfa_save save = { batch->changes, batch->count, NULL, 0, NULL, NULL, 0 };
        CFA__CHECK_OK(runner, cfa__suite_write_save(bench, bench->writer, &save, NULL));
        apply(model, batch);
    }
}

static void run_transaction(cfa__runner *runner, cfa__bench *bench, struct model *model,
                            struct batch *batch) {
    const cfa_storage_ops *ops = bench->storage.ops;
    int64_t now_us = 0, first = 0;
    bool keep = draw(model, 4) != 0;
    cfa_arena_reset(bench->arena);
    make_batch(model, batch, draw(model, 4) == 0);
    cfa_save save = { batch->changes, batch->count, NULL, 0, NULL, NULL, 0 };
    CFA__CHECK_OK(runner, ops->begin(bench->writer, CFA_SESSION_WRITE, 0, &now_us));
    compare_query(runner, bench, model, bench->writer);
    CFA__CHECK_STATUS(runner, ops->save(bench->writer, &save, &first), batch->expected);
    if (batch->expected != CFA_OK || !keep) {
        ops->rollback(bench->writer);
    } else {
        apply(model, batch);
        compare_query(runner, bench, model, bench->writer);
        CFA__CHECK_OK(runner, ops->commit(bench->writer));
    }
    for (int i = 0; i < QUERIES; i++) {
        compare_query(runner, bench, model, NULL);
    }
}

void cfa__storage_test_model(cfa__runner *runner, void *user) {
    static struct model model;
    static struct batch batch;
    cfa__bench *bench = user;
    memset(&model, 0, sizeof(model));
    model.random = UINT64_C(0x9e3779b97f4a7c15);
    preload(runner, bench, &model, &batch);
    for (int i = 0; i < TRANSACTIONS; i++) {
        run_transaction(runner, bench, &model, &batch);
    }
    cfa_query all = { ITEM, CFA__ITEM_PRIMARY, 0, 0, 2 * KEYS, 0, NULL, NULL, 0 };
    CFA__CHECK_OK(runner, cfa__suite_read(bench, &all));
    int32_t rows = 0;
    for (int key = 0; key < KEYS; key++) {
        rows += model.exists[key];
    }
    CFA__CHECK_INT(runner, all.count, rows);
}
