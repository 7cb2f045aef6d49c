/*
 * storage_kinds.c - the test schema as data, and what the tests of storages share.
 *
 * Comparisons are written plainly from the words of sys/storage.h, not taken from any adapter.
 */
#include "testkit/storage_kinds.h"

#include <stddef.h>
#include <string.h>

#define COUNT(array) ((int32_t)(sizeof(array) / sizeof((array)[0])))
#define NULLABLE CFA_FIELD_NULLABLE
#define UNIQUE CFA_INDEX_UNIQUE
#define SPARSE CFA_INDEX_SPARSE
#define FIELD(record, type, name, flags, since)                                                    \
    { #name, "", CFA_FIELD_##type, flags, offsetof(record, name), since }

/* ---- the schema ------------------------------------------------------------------------------ */

static const cfa_field counter_fields[] = {
    FIELD(cfa__counter, TEXT, name, 0, 1),
    FIELD(cfa__counter, INT, value, 0, 1),
    FIELD(cfa__counter, INT, version, 0, 1),
};
static const cfa_index counter_indexes[] = { { "primary", { 0 }, 1, UNIQUE, 1 } };

const cfa_kind cfa__counter_kind = {
    1,
    "counter",
    "",
    sizeof(cfa__counter),
    counter_fields,
    COUNT(counter_fields),
    counter_indexes,
    COUNT(counter_indexes),
    2,
    -1,
    1,
};

enum {
    OWNER,
    NUMBER,
    LABEL,
    NOTE,
    BODY,
    CURRENCY,
    OTHER_CURRENCY,
    PARENT,
    BUCKET,
    DUE,
    TAG,
    CODE,
    VERSION,
    ITEM_FIELDS_1,
    RANK = ITEM_FIELDS_1,
    MEMO,
    ITEM_FIELDS_2
};

static const cfa_field item_fields[ITEM_FIELDS_2] = {
    [OWNER] = FIELD(cfa__item, ID, owner, 0, 1),
    [NUMBER] = FIELD(cfa__item, INT, number, 0, 1),
    [LABEL] = FIELD(cfa__item, TEXT, label, NULLABLE, 1),
    [NOTE] = FIELD(cfa__item, TEXT, note, 0, 1),
    [BODY] = FIELD(cfa__item, BYTES, body, NULLABLE, 1),
    [CURRENCY] = FIELD(cfa__item, CURRENCY, currency, 0, 1),
    [OTHER_CURRENCY] = FIELD(cfa__item, CURRENCY, other_currency, NULLABLE, 1),
    [PARENT] = FIELD(cfa__item, ID, parent, NULLABLE, 1),
    [BUCKET] = FIELD(cfa__item, INT, bucket, 0, 1),
    [DUE] = FIELD(cfa__item, INT, due, 0, 1),
    [TAG] = FIELD(cfa__item, TEXT, tag, NULLABLE, 1),
    [CODE] = FIELD(cfa__item, TEXT, code, 0, 1),
    [VERSION] = FIELD(cfa__item, INT, version, 0, 1),
    [RANK] = FIELD(cfa__item, INT, rank, 0, 2),
    [MEMO] = FIELD(cfa__item, TEXT, memo, NULLABLE, 2),
};
static const cfa_index item_indexes[CFA__ITEM_INDEXES_2] = {
    [CFA__ITEM_PRIMARY] = { "primary", { OWNER, NUMBER }, 2, UNIQUE, 1 },
    [CFA__ITEM_BY_CODE] = { "by_code", { CODE }, 1, UNIQUE, 1 },
    [CFA__ITEM_BY_BUCKET] = { "by_bucket", { BUCKET, OWNER, NUMBER }, 3, 0, 1 },
    [CFA__ITEM_BY_DUE] = { "by_due", { DUE, OWNER, NUMBER }, 3, SPARSE, 1 },
    [CFA__ITEM_BY_TAG] = { "by_tag", { TAG, NUMBER, OWNER }, 3, SPARSE, 1 },
    [CFA__ITEM_BY_CURRENCY] = { "by_currency", { CURRENCY, DUE, OWNER, NUMBER }, 4, 0, 1 },
    [CFA__ITEM_BY_RANK] = { "by_rank", { RANK, OWNER, NUMBER }, 3, 0, 2 },
};

const cfa_kind cfa__item_kind_1 = {
    2,
    "item",
    "",
    sizeof(cfa__item),
    item_fields,
    ITEM_FIELDS_1,
    item_indexes,
    CFA__ITEM_INDEXES_1,
    VERSION,
    -1,
    1,
};
const cfa_kind cfa__item_kind_2 = {
    2,
    "item",
    "",
    sizeof(cfa__item),
    item_fields,
    ITEM_FIELDS_2,
    item_indexes,
    CFA__ITEM_INDEXES_2,
    VERSION,
    -1,
    1,
};

static const cfa_field mark_fields[] = {
    FIELD(cfa__mark, BYTES, digest, 0, 1),
    FIELD(cfa__mark, INT, created, 0, 1),
};
static const cfa_index mark_indexes[] = {
    { "primary", { 0 }, 1, UNIQUE, 1 },
    { "by_created", { 1, 0 }, 2, 0, 1 },
};

const cfa_kind cfa__mark_kind = {
    3,
    "mark",
    "",
    sizeof(cfa__mark),
    mark_fields,
    COUNT(mark_fields),
    mark_indexes,
    COUNT(mark_indexes),
    -1,
    -1,
    1,
};

static const cfa_field extra_fields[] = {
    FIELD(cfa__extra, INT, number, 0, 2),
    FIELD(cfa__extra, TEXT, text, 0, 2),
    FIELD(cfa__extra, INT, version, 0, 2),
};
static const cfa_index extra_indexes[] = { { "primary", { 0 }, 1, UNIQUE, 2 } };

const cfa_kind cfa__extra_kind = {
    4,
    "extra",
    "",
    sizeof(cfa__extra),
    extra_fields,
    COUNT(extra_fields),
    extra_indexes,
    COUNT(extra_indexes),
    2,
    -1,
    2,
};

static const cfa_field entry_fields[] = {
    FIELD(cfa__entry, INT, position, 0, 1),
    FIELD(cfa__entry, ID, id, 0, 1),
    FIELD(cfa__entry, BYTES, trace, NULLABLE, 1),
    FIELD(cfa__entry, BYTES, payload, 0, 1),
};
static const cfa_index entry_indexes[] = { { "primary", { 0 }, 1, UNIQUE, 1 } };

const cfa_kind cfa__entry_kind = {
    5,
    "entry",
    "",
    sizeof(cfa__entry),
    entry_fields,
    COUNT(entry_fields),
    entry_indexes,
    COUNT(entry_indexes),
    -1,
    0,
    1,
};

static const cfa_kind *const kinds_1[] = { &cfa__counter_kind, &cfa__item_kind_1, &cfa__mark_kind,
                                           &cfa__entry_kind };
static const cfa_kind *const kinds_2[] = { &cfa__counter_kind, &cfa__item_kind_2, &cfa__mark_kind,
                                           &cfa__extra_kind, &cfa__entry_kind };

const cfa_schema cfa__test_schema_1 = { sizeof(cfa_schema), 1, kinds_1, COUNT(kinds_1) };
const cfa_schema cfa__test_schema_2 = { sizeof(cfa_schema), 2, kinds_2, COUNT(kinds_2) };

/* ---- records --------------------------------------------------------------------------------- */

cfa_slice cfa__suite_text(const char *text) {
    cfa_slice slice = { text, text != NULL ? strlen(text) : 0 };
    return slice;
}

cfa__item cfa__suite_item_make(uint8_t owner, int64_t number, const char *code) {
    cfa__item item;
    memset(&item, 0, sizeof(item));
    item.owner[15] = owner;
    item.number = number;
    item.note = cfa__suite_text("note");
    memcpy(item.currency, "EUR", 4);
    item.bucket = 1;
    item.code = cfa__suite_text(code);
    item.version = 1;
    return item;
}

static int64_t int_at(const void *field) {
    int64_t value;
    memcpy(&value, field, sizeof(value));
    return value;
}

static cfa_slice slice_at(const void *field) {
    cfa_slice value;
    memcpy(&value, field, sizeof(value));
    return value;
}

static int compare_field(const cfa_field *field, const void *a, const void *b) {
    const char *x = (const char *)a + field->offset;
    const char *y = (const char *)b + field->offset;
    switch (field->type) {
    case CFA_FIELD_INT: return int_at(x) < int_at(y) ? -1 : int_at(x) > int_at(y);
    case CFA_FIELD_ID: return memcmp(x, y, 16);
    case CFA_FIELD_CURRENCY: return strncmp(x, y, 4);
    default: {
        cfa_slice left = slice_at(x), right = slice_at(y);
        size_t shorter = left.size < right.size ? left.size : right.size;
        int order = shorter > 0 ? memcmp(left.data, right.data, shorter) : 0;
        return order != 0 ? order : left.size < right.size ? -1 : left.size > right.size;
    }
    }
}

bool cfa__suite_record_equal(const cfa_kind *kind, const void *a, const void *b) {
    for (int32_t i = 0; i < kind->field_count; i++) {
        const cfa_field *field = &kind->fields[i];
        bool is_slice = field->type == CFA_FIELD_TEXT || field->type == CFA_FIELD_BYTES;
        if (compare_field(field, a, b) != 0 ||
            (is_slice && (slice_at((const char *)a + field->offset).data == NULL) !=
                             (slice_at((const char *)b + field->offset).data == NULL))) {
            return false;
        }
    }
    return true;
}

int cfa__suite_record_compare(const cfa_kind *kind, int32_t index, int32_t count, const void *a,
                              const void *b) {
    for (int32_t i = 0; i < count; i++) {
        int order = compare_field(&kind->fields[kind->indexes[index].fields[i]], a, b);
        if (order != 0) {
            return order;
        }
    }
    return 0;
}

bool cfa__suite_record_is_indexed(const cfa_kind *kind, int32_t index, const void *record) {
    const cfa_field *field = &kind->fields[kind->indexes[index].fields[0]];
    const char *value = (const char *)record + field->offset;
    if ((kind->indexes[index].flags & CFA_INDEX_SPARSE) == 0) {
        return true;
    }
    return field->type == CFA_FIELD_INT ? int_at(value) != 0 : slice_at(value).data != NULL;
}

/* ---- the store under test -------------------------------------------------------------------- */

static void open_sessions(cfa__runner *runner, cfa__bench *bench, const cfa_schema *schema) {
    const cfa_storage *storage = &bench->storage;
    CFA__CHECK_OK(runner, storage->ops->migrate(storage->self, schema));
    CFA__CHECK_OK(runner,
                  storage->ops->session_open(storage->self, CFA_SESSION_WRITE, &bench->writer));
    CFA__CHECK_OK(runner,
                  storage->ops->session_open(storage->self, CFA_SESSION_READ, &bench->reader));
}

void cfa__bench_open(cfa__runner *runner, cfa__bench *bench, const cfa_schema *schema, bool fresh) {
    if (bench->arena == NULL) {
        CFA__CHECK_OK(runner, cfa_arena_new(&bench->arena));
    }
    CFA__CHECK_OK(runner, bench->fixture->open(&bench->storage, fresh));
    bench->is_open = true;
    open_sessions(runner, bench, schema);
}

void cfa__bench_close_sessions(cfa__bench *bench) {
    if (bench->writer != NULL) {
        bench->storage.ops->session_close(bench->writer);
        bench->writer = NULL;
    }
    if (bench->reader != NULL) {
        bench->storage.ops->session_close(bench->reader);
        bench->reader = NULL;
    }
}

void cfa__bench_close(cfa__bench *bench) {
    cfa__bench_close_sessions(bench);
    if (bench->is_open) {
        bench->fixture->close(&bench->storage);
        bench->is_open = false;
    }
    cfa_arena_free(bench->arena);
    bench->arena = NULL;
}

void cfa__bench_reopen(cfa__runner *runner, cfa__bench *bench, const cfa_schema *schema) {
    cfa__bench_close_sessions(bench);
    if ((bench->storage.ops->capabilities & CFA_STORAGE_DURABLE) == 0) {
        open_sessions(runner, bench, schema);
        return;
    }
    cfa__bench_close(bench);
    cfa__bench_open(runner, bench, schema, false);
}

cfa_status cfa__suite_write_save(const cfa__bench *bench, cfa_session *session,
                                 const cfa_save *save, int64_t *out_first_position) {
    const cfa_storage_ops *ops = bench->storage.ops;
    int64_t now_us = 0, first = 0;
    cfa_status status = ops->begin(session, CFA_SESSION_WRITE, 0, &now_us);
    if (status != CFA_OK) {
        return status;
    }
    status = ops->save(session, save, &first);
    if (status != CFA_OK) {
        ops->rollback(session);
        return status;
    }
    status = ops->commit(session);
    if (status == CFA_OK && out_first_position != NULL) {
        *out_first_position = first;
    }
    return status;
}

cfa_status cfa__suite_write(cfa__bench *bench, const cfa_kind *kind, int32_t action,
                            const void *record, const void *before) {
    cfa_change change = { kind, action, record, before };
    cfa_save save = { &change, 1, NULL, 0, NULL, NULL, 0 };
    return cfa__suite_write_save(bench, bench->writer, &save, NULL);
}

cfa_status cfa__suite_insert(cfa__bench *bench, const cfa_kind *kind, const void *record) {
    return cfa__suite_write(bench, kind, CFA_CHANGE_INSERT, record, NULL);
}

cfa_status cfa__suite_load(const cfa__bench *bench, cfa_session *session, cfa_query *query) {
    return bench->storage.ops->load(session, query, 1, bench->arena);
}

cfa_status cfa__suite_read(cfa__bench *bench, cfa_query *query) {
    const cfa_storage_ops *ops = bench->storage.ops;
    int64_t now_us = 0;
    cfa_status status = ops->begin(bench->reader, CFA_SESSION_READ, 0, &now_us);
    if (status != CFA_OK) {
        return status;
    }
    status = cfa__suite_load(bench, bench->reader, query);
    if (status != CFA_OK) {
        ops->rollback(bench->reader);
        return status;
    }
    return ops->commit(bench->reader);
}

const void *cfa__suite_find(cfa__runner *runner, cfa__bench *bench, const cfa_kind *kind,
                            const void *key) {
    cfa_query query = { kind, 0, kind->indexes[0].field_count, 0, 1, 0, key, NULL, 0 };
    CFA__CHECK_OK(runner, cfa__suite_read(bench, &query));
    return query.count == 1 ? query.records[0] : NULL;
}

int32_t cfa__suite_count(cfa__runner *runner, cfa__bench *bench, const cfa_kind *kind) {
    cfa_query query = { kind, 0, 0, 0, 1000000, 0, NULL, NULL, 0 };
    CFA__CHECK_OK(runner, cfa__suite_read(bench, &query));
    return query.count;
}
