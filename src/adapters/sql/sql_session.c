/*
 * sql_session.c - sessions: statements prepared once and found in constant time, loads, saves, and the rule that a
 * connection which failed is replaced at the next begin. Never builds SQL twice for one session.
 */
#include "adapters/sql/sql_internal.h"

#include <assert.h>
#include <string.h>

#define QUERY_FLAGS 8   /* combinations of CFA_QUERY_* */
#define SELECTS_PER_INDEX ((CFA_INDEX_FIELDS_MAX + 1) * QUERY_FLAGS)
#define UPDATE_SLOTS 32 /* different sets of changed fields per kind; a power of two */
#define UPDATES_MAX 24  /* beyond these, updates write all fields */

typedef struct update_slot {
    uint64_t mask;
    cfa__sql_statement *statement;
} update_slot;

/* The prepared statements of one kind, made when first used. */
typedef struct kind_cache {
    cfa__sql_statement *insert, *delete, *guard, *position;
    cfa__sql_statement **selects;   /* [index][match_count][flags] */
    update_slot *updates;           /* open addressing by mask */
    int32_t update_count;
    uint64_t key_mask, all_mask;    /* fields of the primary key; all others */
} kind_cache;

typedef struct session {
    cfa__sql_storage *storage;
    const cfa__sql_driver *driver;
    cfa__sql_connection *connection;    /* NULL: opened by the next begin */
    kind_cache *kinds;                  /* by position in the schema; NULL until first used */
    int32_t mode;
    int32_t transaction;                /* CFA_SESSION_* of the open one, or 0 */
    bool joined;
    bool failed;    /* an error inside the transaction: only rollback may follow */
    bool broken;    /* an error after which the connection is not trusted */
} session;

static session *session_of(cfa_session *handle)
{
    return (session *)handle;
}

static cfa_status misuse(const session *self, const char *message)
{
    return cfa_error_set(CFA_EMISUSE, self->driver->origin, NULL, 0, message);
}

/* Pass a driver's status on and remember what it means for the transaction and the connection. */
static cfa_status note(session *self, cfa_status status)
{
    if (status != CFA_OK) {
        self->failed = true;
        if (status == CFA_EIO || status == CFA_ECORRUPT || status == CFA_EINDOUBT) {
            self->broken = true;
        }
    }
    return status;
}

/* ---- statements ----------------------------------------------------------------------------------- */

static void finalize(session *self, cfa__sql_statement *statement)
{
    if (statement != NULL) {
        self->driver->finalize(self->connection, statement);
    }
}

static void drop_statements(session *self)
{
    const cfa_schema *schema = self->storage->schema;
    if (self->kinds == NULL) {
        return;
    }
    for (int32_t i = 0; i < schema->kind_count; i++) {
        kind_cache *cache = &self->kinds[i];
        finalize(self, cache->insert);
        finalize(self, cache->delete);
        finalize(self, cache->guard);
        finalize(self, cache->position);
        for (int32_t j = 0; cache->selects != NULL && j < schema->kinds[i]->index_count * SELECTS_PER_INDEX; j++) {
            finalize(self, cache->selects[j]);
        }
        for (int32_t j = 0; cache->updates != NULL && j < UPDATE_SLOTS; j++) {
            finalize(self, cache->updates[j].statement);
        }
        cfa_free(cache->selects);
        cfa_free(cache->updates);
    }
    cfa_free(self->kinds);
    self->kinds = NULL;
}

static void *alloc_zeroed(const session *self, size_t size)
{
    void *memory = cfa_alloc(size);
    if (memory == NULL) {
        cfa_error_set(CFA_ENOMEM, self->driver->origin, NULL, 0, "out of memory");
        return NULL;
    }
    return memset(memory, 0, size);
}

static cfa_status make_caches(session *self)
{
    const cfa_schema *schema = self->storage->schema;
    if (schema == NULL) {
        return misuse(self, "the storage was not migrated yet");
    }
    kind_cache *caches = alloc_zeroed(self, (size_t)schema->kind_count * sizeof(*caches));
    if (caches == NULL) {
        return CFA_ENOMEM;
    }
    for (int32_t i = 0; i < schema->kind_count; i++) {
        const cfa_kind *kind = schema->kinds[i];
        for (int32_t j = 0; j < kind->indexes[0].field_count; j++) {
            caches[i].key_mask |= UINT64_C(1) << kind->indexes[0].fields[j];
        }
        caches[i].all_mask = (UINT64_MAX >> (CFA__SQL_FIELDS_MAX - kind->field_count)) & ~caches[i].key_mask;
    }
    self->kinds = caches;
    return CFA_OK;
}

/* The statements of a kind, or NULL with CFA_EMISUSE set: a kind of another schema. */
static kind_cache *cache_of(session *self, const cfa_kind *kind)
{
    const cfa__sql_storage *storage = self->storage;
    int32_t slot = kind->id >= 0 && kind->id < storage->slot_count ? storage->slots[kind->id] : -1;
    if (slot < 0 || storage->schema->kinds[slot] != kind) {
        misuse(self, "the kind is not in the schema");
        return NULL;
    }
    return &self->kinds[slot];
}

/* Prepare what was written and free the text. */
static cfa_status prepare(session *self, cfa__sql_text *text, int32_t parameters, cfa__sql_statement **out)
{
    cfa_status status = CFA_ENOMEM;
    if (text->failed) {
        cfa_error_set(CFA_ENOMEM, self->driver->origin, NULL, 0, "out of memory");
    } else {
        status = self->driver->prepare(self->connection, text->data, parameters, out);
    }
    cfa__sql_text_free(text);
    return status;
}

static int32_t identity_size(const cfa_kind *kind)
{
    return kind->indexes[0].field_count + (kind->version_field >= 0 ? 1 : 0);
}

/* One of the four statements that a kind has once: prepare it if this is its first use. */
static cfa_status once(session *self, cfa__sql_statement **slot, const cfa_kind *kind, int32_t parameters,
                       void (*write)(cfa__sql_text *text, const cfa_kind *kind))
{
    cfa__sql_text text = { NULL, 0, 0, false };
    if (*slot != NULL) {
        return CFA_OK;
    }
    write(&text, kind);
    return prepare(self, &text, parameters, slot);
}

static cfa_status update_statement(session *self, kind_cache *cache, const cfa_kind *kind, uint64_t *mask,
                                   cfa__sql_statement **out)
{
    if (cache->updates == NULL) {
        cache->updates = alloc_zeroed(self, UPDATE_SLOTS * sizeof(*cache->updates));
        if (cache->updates == NULL) {
            return CFA_ENOMEM;
        }
    }
    for (;;) {
        uint64_t hash = *mask * UINT64_C(0x9e3779b97f4a7c15);
        update_slot *slot = &cache->updates[hash >> 59];
        while (slot->statement != NULL && slot->mask != *mask) {
            slot = slot + 1 < cache->updates + UPDATE_SLOTS ? slot + 1 : cache->updates;
        }
        if (slot->statement == NULL && cache->update_count >= UPDATES_MAX && *mask != cache->all_mask) {
            *mask = cache->all_mask;
            continue;
        }
        if (slot->statement == NULL) {
            cfa__sql_text text = { NULL, 0, 0, false };
            cfa__sql_write_update(&text, kind, *mask);
            int32_t parameters = __builtin_popcountll(*mask) + identity_size(kind);
            cfa_status status = prepare(self, &text, parameters, &slot->statement);
            if (status != CFA_OK) {
                return status;
            }
            slot->mask = *mask;
            cache->update_count++;
        }
        *out = slot->statement;
        return CFA_OK;
    }
}

static cfa_status select_statement(session *self, kind_cache *cache, const cfa_query *query,
                                   int32_t parameters, cfa__sql_statement **out)
{
    const cfa_kind *kind = query->kind;
    if (cache->selects == NULL) {
        size_t count = (size_t)kind->index_count * SELECTS_PER_INDEX;
        cache->selects = alloc_zeroed(self, count * sizeof(cfa__sql_statement *));
        if (cache->selects == NULL) {
            return CFA_ENOMEM;
        }
    }
    int32_t position = query->index * SELECTS_PER_INDEX + query->match_count * QUERY_FLAGS + (int32_t)query->flags;
    cfa__sql_statement **slot = &cache->selects[position];
    if (*slot == NULL) {
        cfa__sql_text text = { NULL, 0, 0, false };
        bool single = cfa__sql_is_single(kind, query->index, query->match_count, query->flags);
        cfa__sql_write_select(&text, &self->driver->dialect, kind, query->index, query->match_count,
                              query->flags, single);
        cfa_status status = prepare(self, &text, parameters, slot);
        if (status != CFA_OK) {
            return status;
        }
    }
    *out = *slot;
    return CFA_OK;
}

/* ---- the life of a session ------------------------------------------------------------------------ */

static void disconnect(session *self)
{
    drop_statements(self);
    if (self->connection != NULL) {
        self->driver->disconnect(self->connection);
        self->connection = NULL;
    }
    self->broken = false;
}

static cfa_status connect(session *self)
{
    if (self->broken) {
        disconnect(self);
    }
    return self->connection != NULL
               ? CFA_OK
               : self->driver->connect(self->storage, self->mode, false, &self->connection);
}

static cfa_status session_new(cfa__sql_storage *storage, int32_t mode, session **out)
{
    session *self = cfa_alloc(sizeof(*self));
    if (self == NULL) {
        return cfa_error_set(CFA_ENOMEM, storage->driver->origin, NULL, 0, "out of memory");
    }
    memset(self, 0, sizeof(*self));
    self->storage = storage;
    self->driver = storage->driver;
    self->mode = mode;
    *out = self;
    return CFA_OK;
}

cfa_status cfa__sql_session_open(void *storage, int32_t mode, cfa_session **out)
{
    session *self;
    cfa_status status = session_new(storage, mode, &self);
    if (status != CFA_OK) {
        return status;
    }
    status = connect(self);
    if (status != CFA_OK) {
        cfa_free(self);
        return status;
    }
    *out = (cfa_session *)self;
    return CFA_OK;
}

cfa_status cfa__sql_session_join(cfa__sql_storage *storage, cfa__sql_connection *connection,
                                 cfa_session **out)
{
    session *self;
    cfa_status status = session_new(storage, CFA_SESSION_WRITE, &self);
    if (status != CFA_OK) {
        storage->driver->disconnect(connection);
        return status;
    }
    self->connection = connection;
    self->transaction = CFA_SESSION_WRITE;
    self->joined = true;
    *out = (cfa_session *)self;
    return CFA_OK;
}

void cfa__sql_session_close(cfa_session *handle)
{
    session *self = session_of(handle);
    if (self == NULL) {
        return;
    }
    cfa__sql_rollback(handle);
    disconnect(self);
    cfa_free(self);
}

cfa_status cfa__sql_begin(cfa_session *handle, int32_t mode, int32_t timeout_ms, int64_t *out_now_us)
{
    session *self = session_of(handle);
    if (self->joined || self->transaction != 0) {
        return misuse(self, "a transaction is open already");
    }
    if (mode == CFA_SESSION_WRITE && self->mode != CFA_SESSION_WRITE) {
        return misuse(self, "the session was opened for reading");
    }
    cfa_status status = connect(self);
    if (status != CFA_OK) {
        return status;
    }
    status = note(self, self->driver->begin(self->connection, mode, timeout_ms, out_now_us));
    if (status == CFA_OK) {
        self->transaction = mode;
    }
    self->failed = false;
    return status;
}

cfa_status cfa__sql_commit(cfa_session *handle)
{
    session *self = session_of(handle);
    if (self->joined || self->transaction == 0) {
        return misuse(self, self->joined ? "a joined transaction is committed by its host"
                                         : "no transaction is open");
    }
    if (self->failed) {
        cfa__sql_rollback(handle);
        return cfa_error_set(CFA_EBUG, self->driver->origin, NULL, 0,
                             "commit after an error in the transaction; it was rolled back");
    }
    self->transaction = 0;
    cfa_status status = note(self, self->driver->commit(self->connection));
    self->failed = false;
    return status;
}

void cfa__sql_rollback(cfa_session *handle)
{
    session *self = session_of(handle);
    if (self->joined || self->transaction == 0) {
        return;
    }
    self->transaction = 0;
    self->failed = false;
    if (!self->driver->rollback(self->connection)) {
        self->broken = true;
    }
}

/* What load and save need: a transaction that has not failed, and the caches. */
static cfa_status ready(session *self)
{
    if (self->transaction == 0 || (self->failed && !self->joined)) {
        return misuse(self, self->failed ? "the transaction failed: only rollback may follow"
                                         : "no transaction is open");
    }
    return self->kinds != NULL ? CFA_OK : make_caches(self);
}

/* ---- load ----------------------------------------------------------------------------------------- */

typedef struct load_context {
    const cfa__sql_driver *driver;
    cfa_query *query;
    cfa_arena *arena;
    int32_t capacity;
} load_context;

static cfa_status load_row(void *opaque, const cfa__sql_row *row)
{
    load_context *context = opaque;
    cfa_query *query = context->query;
    if (query->count == context->capacity) {
        int32_t capacity = query->limit < 8 ? query->limit : context->capacity * 2 + 8;
        void **records = cfa_arena_alloc(context->arena, (size_t)capacity * sizeof(*records));
        if (records == NULL) {
            return CFA_ENOMEM;
        }
        if (query->count > 0) {
            memcpy(records, query->records, (size_t)query->count * sizeof(*records));
        }
        query->records = records;
        context->capacity = capacity;
    }
    cfa_status status = CFA_OK;
    void *record = cfa__sql_record_of(context->driver, query->kind, row, context->arena, &status);
    if (record != NULL) {
        query->records[query->count++] = record;
    }
    return status;
}

static bool query_is_valid(const cfa_query *query)
{
    const cfa_kind *kind = query->kind;
    if (query->index < 0 || query->index >= kind->index_count || query->match_count < 0 ||
        query->match_count > kind->indexes[query->index].field_count || query->flags >= QUERY_FLAGS) {
        return false;
    }
    const cfa_index *index = &kind->indexes[query->index];
    return (query->flags & CFA_QUERY_UNTIL) == 0 ||
           (query->match_count < index->field_count &&
            kind->fields[index->fields[query->match_count]].type == CFA_FIELD_INT);
}

static cfa_status load_one(session *self, load_context *context)
{
    cfa_query *query = context->query;
    const cfa_kind *kind = query->kind;
    cfa__sql_value values[2 * CFA_INDEX_FIELDS_MAX];
    int32_t count = 0;

    query->records = NULL;
    query->count = 0;
    kind_cache *cache = cache_of(self, kind);
    if (cache == NULL) {
        return CFA_EMISUSE;
    }
    if (!query_is_valid(query)) {
        return misuse(self, "the query does not fit its index");
    }
    const cfa_index *index = &kind->indexes[query->index];
    bool after = (query->flags & CFA_QUERY_AFTER) != 0;
    if (query->limit <= 0 || (after && query->match_count == index->field_count)) {
        return CFA_OK;
    }
    int32_t keys = after ? index->field_count : query->match_count;
    while (count < keys) {
        values[count] = cfa__sql_value_of(&kind->fields[index->fields[count]], query->key);
        count++;
    }
    if ((query->flags & CFA_QUERY_UNTIL) != 0) {
        values[count++] = (cfa__sql_value){ CFA_FIELD_INT, query->until, NULL, 0 };
    }
    if (!cfa__sql_is_single(kind, query->index, query->match_count, query->flags)) {
        values[count++] = (cfa__sql_value){ CFA_FIELD_INT, query->limit, NULL, 0 };
    }
    cfa__sql_statement *statement;
    cfa_status status = select_statement(self, cache, query, count, &statement);
    return status != CFA_OK ? status
                            : self->driver->select(self->connection, statement, values, count, load_row, context);
}

cfa_status cfa__sql_load(cfa_session *handle, cfa_query *queries, size_t count, cfa_arena *arena)
{
    session *self = session_of(handle);
    cfa_status status = ready(self);
    if (status != CFA_OK || count == 0) {
        return status;
    }
    load_context *contexts = cfa_arena_alloc(arena, count * sizeof(*contexts));
    if (contexts == NULL) {
        return note(self, CFA_ENOMEM);
    }
    for (size_t i = 0; i < count && status == CFA_OK; i++) {
        contexts[i] = (load_context){ self->driver, &queries[i], arena, 0 };
        status = load_one(self, &contexts[i]);
    }
    if (status == CFA_OK) {
        status = self->driver->flush(self->connection);
    }
    return note(self, status);
}

/* ---- save ----------------------------------------------------------------------------------------- */

/* Append primary key and version of a record; returns the new count. */
static int32_t append_identity(cfa__sql_value *values, int32_t count, const cfa_kind *kind, const void *record)
{
    const cfa_index *primary = &kind->indexes[0];
    for (int32_t i = 0; i < primary->field_count; i++) {
        values[count++] = cfa__sql_value_of(&kind->fields[primary->fields[i]], record);
    }
    if (kind->version_field >= 0) {
        values[count++] = cfa__sql_value_of(&kind->fields[kind->version_field], record);
    }
    return count;
}

static cfa_status insert(session *self, kind_cache *cache, const cfa_kind *kind, const void *record)
{
    cfa__sql_value values[CFA__SQL_FIELDS_MAX];
    cfa_status status = once(self, &cache->insert, kind, kind->field_count, cfa__sql_write_insert);
    if (status != CFA_OK) {
        return status;
    }
    for (int32_t i = 0; i < kind->field_count; i++) {
        values[i] = cfa__sql_value_of(&kind->fields[i], record);
    }
    return self->driver->execute(self->connection, cache->insert, values, kind->field_count, -1);
}

/* Make sure the row is there in this version. */
static cfa_status check(session *self, kind_cache *cache, const cfa_kind *kind, const void *record)
{
    cfa__sql_value values[CFA_INDEX_FIELDS_MAX + 1];
    cfa_status status = once(self, &cache->guard, kind, identity_size(kind), cfa__sql_write_guard);
    if (status != CFA_OK) {
        return status;
    }
    int32_t count = append_identity(values, 0, kind, record);
    return self->driver->execute(self->connection, cache->guard, values, count, 1);
}

static cfa_status delete(session *self, kind_cache *cache, const cfa_kind *kind, const void *before)
{
    cfa__sql_value values[CFA_INDEX_FIELDS_MAX + 1];
    cfa_status status = once(self, &cache->delete, kind, identity_size(kind), cfa__sql_write_delete);
    if (status != CFA_OK) {
        return status;
    }
    int32_t count = append_identity(values, 0, kind, before);
    return self->driver->execute(self->connection, cache->delete, values, count, 1);
}

static cfa_status update(session *self, kind_cache *cache, const cfa_change *change)
{
    const cfa_kind *kind = change->kind;
    cfa__sql_value values[CFA__SQL_PARAMETERS_MAX];
    cfa__sql_statement *statement;
    uint64_t mask = 0;
    int32_t count = 0;
    for (int32_t i = 0; i < kind->field_count; i++) {
        if (cfa__sql_field_differs(&kind->fields[i], change->before, change->record)) {
            mask |= UINT64_C(1) << i;
        }
    }
    if ((mask & cache->key_mask) != 0) {
        return misuse(self, "an update may not change the primary key");
    }
    if (mask == 0) {
        return check(self, cache, kind, change->before);
    }
    cfa_status status = update_statement(self, cache, kind, &mask, &statement);
    if (status != CFA_OK) {
        return status;
    }
    for (int32_t i = 0; i < kind->field_count; i++) {
        if ((mask >> i & 1) != 0) {
            values[count++] = cfa__sql_value_of(&kind->fields[i], change->record);
        }
    }
    count = append_identity(values, count, kind, change->before);
    return self->driver->execute(self->connection, statement, values, count, 1);
}

static cfa_status save_change(session *self, const cfa_change *change)
{
    kind_cache *cache = cache_of(self, change->kind);
    if (cache == NULL) {
        return CFA_EMISUSE;
    }
    switch (change->action) {
    case CFA_CHANGE_INSERT:
        return insert(self, cache, change->kind, change->record);
    case CFA_CHANGE_UPDATE:
        return update(self, cache, change);
    case CFA_CHANGE_DELETE:
        return delete(self, cache, change->kind, change->before);
    default:
        return misuse(self, "a change is an insert, an update or a delete");
    }
}

typedef struct position_context {
    const cfa__sql_driver *driver;
    int64_t position;
} position_context;

static cfa_status position_row(void *opaque, const cfa__sql_row *row)
{
    position_context *context = opaque;
    context->position = context->driver->column_int(row, 0);
    return CFA_OK;
}

/* The newest position is read in each transaction and last, when nothing can take one in between any more. */
static cfa_status save_events(session *self, const cfa_save *save, int64_t *out_first_position)
{
    const cfa_kind *log = save->log;
    kind_cache *cache = log != NULL && log->position_field >= 0 ? cache_of(self, log) : NULL;
    if (cache == NULL) {
        return misuse(self, "events need the log kind of the schema");
    }
    position_context context = { self->driver, 0 };
    cfa_status status = once(self, &cache->position, log, 0, cfa__sql_write_position);
    if (status == CFA_OK) {
        status = self->driver->select(self->connection, cache->position, NULL, 0, position_row, &context);
    }
    if (status == CFA_OK) {
        status = self->driver->flush(self->connection);
    }
    size_t offset = log->fields[log->position_field].offset;
    for (size_t i = 0; i < save->event_count && status == CFA_OK; i++) {
        int64_t position = context.position + 1 + (int64_t)i;
        memcpy((char *)save->events[i] + offset, &position, sizeof(position));
        status = insert(self, cache, log, save->events[i]);
    }
    if (status == CFA_OK && out_first_position != NULL) {
        *out_first_position = context.position + 1;
    }
    return status;
}

static cfa_status save_all(session *self, const cfa_save *save, int64_t *out_first_position)
{
    cfa_status status = CFA_OK;
    for (size_t i = 0; i < save->change_count && status == CFA_OK; i++) {
        status = save_change(self, &save->changes[i]);
    }
    for (size_t i = 0; i < save->guard_count && status == CFA_OK; i++) {
        kind_cache *cache = cache_of(self, save->guards[i].kind);
        status = cache != NULL ? check(self, cache, save->guards[i].kind, save->guards[i].record) : CFA_EMISUSE;
    }
    if (save->event_count > 0 && status == CFA_OK) {
        status = save_events(self, save, out_first_position);
    }
    return status == CFA_OK ? self->driver->flush(self->connection) : status;
}

/* In a host's transaction a save that fails must leave nothing, because the host may commit all the same. */
static cfa_status save_joined(session *self, const cfa_save *save, int64_t *out_first_position)
{
    cfa_status status = self->driver->script(self->connection, "SAVEPOINT cfa_save");
    if (status != CFA_OK) {
        return status;
    }
    status = save_all(self, save, out_first_position);
    if (status == CFA_OK) {
        return self->driver->script(self->connection, "RELEASE cfa_save");
    }
    cfa_error error = CFA_ERROR_INIT;
    cfa_status kept = cfa_error_last(&error);
    /* When this fails too, the database has ended the whole transaction by itself, and nothing is left either. */
    cfa_status undone = self->driver->script(self->connection, "ROLLBACK TO cfa_save; RELEASE cfa_save");
    if (undone != CFA_OK && kept == CFA_OK) {
        cfa_error_set(error.status, error.origin, error.field[0] != '\0' ? error.field : NULL,
                      error.native_code, error.message);
    }
    return status;
}

cfa_status cfa__sql_save(cfa_session *handle, const cfa_save *save, int64_t *out_first_position)
{
    session *self = session_of(handle);
    cfa_status status = ready(self);
    if (status != CFA_OK) {
        return status;
    }
    if (self->transaction != CFA_SESSION_WRITE) {
        return note(self, misuse(self, "the transaction was begun for reading"));
    }
    return note(self, self->joined ? save_joined(self, save, out_first_position)
                                   : save_all(self, save, out_first_position));
}

/* ---- the rest ------------------------------------------------------------------------------------- */

cfa_status cfa__sql_changes(cfa_session *handle, int64_t *out)
{
    session *self = session_of(handle);
    cfa_status status = self->transaction == 0 ? connect(self) : CFA_OK;
    return status != CFA_OK ? status : note(self, self->driver->changes(self->connection, out));
}

cfa_status cfa__sql_maintain(cfa_session *handle)
{
    session *self = session_of(handle);
    if (self->transaction != 0 || self->mode != CFA_SESSION_WRITE) {
        return misuse(self, "maintenance needs a write session outside a transaction");
    }
    cfa_status status = connect(self);
    return status != CFA_OK ? status : note(self, self->driver->maintain(self->connection));
}
