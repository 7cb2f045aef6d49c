/*
 * sql_save.c - the changes, guards and events of a save, in their order. Writes only the fields
 * that differ; gives out log positions last.
 */
#include "adapters/sql/sql_internal.h"

#include <string.h>

#define ROWS_MIN 4 /* fewer are inserted one by one: starting a statement of many costs more */

/* Append primary key and version of a record; returns the new count. */
static int32_t append_identity(cfa__sql_value *values, int32_t count, const cfa_kind *kind,
                               const void *record) {
    const cfa_index *primary = &kind->indexes[0];
    for (int32_t i = 0; i < primary->field_count; i++) {
        values[count++] = cfa__sql_value_of(&kind->fields[primary->fields[i]], record);
    }
    if (kind->version_field >= 0) {
        values[count++] = cfa__sql_value_of(&kind->fields[kind->version_field], record);
    }
    return count;
}

static cfa_status insert(cfa__sql_session *self, cfa__sql_kind_cache *cache, const cfa_kind *kind,
                         const void *record) {
    cfa__sql_value values[CFA__SQL_FIELDS_MAX];
    cfa_status status =
        cfa__sql_once(self, &cache->insert, kind, kind->field_count, cfa__sql_write_insert);
    if (status != CFA_OK) {
        return status;
    }
    for (int32_t i = 0; i < kind->field_count; i++) {
        values[i] = cfa__sql_value_of(&kind->fields[i], record);
    }
    return self->driver->execute(self->connection, cache->insert, values, kind->field_count, -1);
}

/* Records of one kind: those of changes, or events. */
typedef struct row_source {
    const cfa_kind *kind;
    const cfa_change *changes; /* or NULL */
    void *const *events;
} row_source;

static const void *record_at(const void *opaque, size_t row) {
    const row_source *source = opaque;
    return source->changes != NULL ? source->changes[row].record : source->events[row];
}

static cfa_status insert_rows(cfa__sql_session *self, cfa__sql_kind_cache *cache,
                              const row_source *source, size_t count) {
    const cfa__sql_driver *driver = self->driver;
    cfa_status status = CFA_OK;
    cache->empty_at = 0;
    if (source->kind->position_field >= 0) {
        self->newest_at = 0; /* until these are in */
    }
    if (count >= ROWS_MIN && driver->insert_rows != NULL && !self->joined) {
        status =
            cfa__sql_once(self, &cache->insert_rows, source->kind, 0, cfa__sql_write_insert_rows);
        return status != CFA_OK ? status
                                : driver->insert_rows(self->connection, cache->insert_rows,
                                                      source->kind, count, record_at, source);
    }
    for (size_t i = 0; i < count && status == CFA_OK; i++) {
        status = insert(self, cache, source->kind, record_at(source, i));
    }
    return status;
}

/* Make sure the row is there in this version. */
static cfa_status check(cfa__sql_session *self, cfa__sql_kind_cache *cache, const cfa_kind *kind,
                        const void *record) {
    cfa__sql_value values[CFA_INDEX_FIELDS_MAX + 1];
    cfa_status status = cfa__sql_once(self, &cache->guard, kind, cfa__sql_identity_size(kind),
                                      cfa__sql_write_guard);
    if (status != CFA_OK) {
        return status;
    }
    int32_t count = append_identity(values, 0, kind, record);
    return self->driver->execute(self->connection, cache->guard, values, count, 1);
}

static cfa_status delete (cfa__sql_session *self, cfa__sql_kind_cache *cache, const cfa_kind *kind,
                          const void *before) {
    cfa__sql_value values[CFA_INDEX_FIELDS_MAX + 1];
    cfa_status status = cfa__sql_once(self, &cache->delete, kind, cfa__sql_identity_size(kind),
                                      cfa__sql_write_delete);
    if (status != CFA_OK) {
        return status;
    }
    int32_t count = append_identity(values, 0, kind, before);
    return self->driver->execute(self->connection, cache->delete, values, count, 1);
}

static cfa_status update(cfa__sql_session *self, cfa__sql_kind_cache *cache,
                         const cfa_change *change) {
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
        return cfa__sql_misuse(self, "an update may not change the primary key");
    }
    if (mask == 0) {
        return check(self, cache, kind, change->before);
    }
    cfa_status status = cfa__sql_update_statement(self, cache, kind, &mask, &statement);
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

/* Save the first of the changes, and with an insert those that follow it into the same table;
 * `*out_saved` is their number. */
static cfa_status save_some(cfa__sql_session *self, const cfa_change *changes, size_t count,
                            size_t *out_saved) {
    const cfa_kind *kind = changes->kind;
    cfa__sql_kind_cache *cache = cfa__sql_cache_of(self, kind);
    if (cache == NULL) {
        return CFA_EMISUSE;
    }
    *out_saved = 1;
    switch (changes->action) {
    case CFA_CHANGE_INSERT:
        while (*out_saved < count && changes[*out_saved].kind == kind &&
               changes[*out_saved].action == CFA_CHANGE_INSERT) {
            (*out_saved)++;
        }
        return insert_rows(self, cache, &(row_source){ kind, changes, NULL }, *out_saved);
    case CFA_CHANGE_UPDATE: return update(self, cache, changes);
    case CFA_CHANGE_DELETE: return delete (self, cache, kind, changes->before);
    default: return cfa__sql_misuse(self, "a change is an insert, an update or a delete");
    }
}

typedef struct position_context {
    const cfa__sql_driver *driver;
    int64_t position;
} position_context;

static cfa_status position_row(void *opaque, const cfa__sql_row *row) {
    position_context *context = opaque;
    context->position = context->driver->column_int(row, 0);
    return CFA_OK;
}

/* The newest position is read in each transaction, unless it is known, and last, when nothing can
 * take one in between any more. */
static cfa_status read_newest(cfa__sql_session *self, cfa__sql_kind_cache *cache,
                              const cfa_kind *log, int64_t *out) {
    if (self->newest_at != 0 && self->newest_at == cfa__sql_age(self)) {
        *out = self->newest_position;
        return CFA_OK;
    }
    position_context context = { self->driver, 0 };
    cfa_status status = cfa__sql_once(self, &cache->position, log, 0, cfa__sql_write_position);
    if (status == CFA_OK) {
        status = self->driver->select(self->connection, cache->position, NULL, 0, position_row,
                                      &context);
    }
    if (status == CFA_OK) {
        status = self->driver->flush(self->connection);
    }
    *out = context.position;
    return status;
}

static cfa_status save_events(cfa__sql_session *self, const cfa_save *save,
                              int64_t *out_first_position) {
    const cfa_kind *log = save->log;
    bool is_log = log != NULL && log->position_field >= 0;
    cfa__sql_kind_cache *cache = is_log ? cfa__sql_cache_of(self, log) : NULL;
    if (cache == NULL) {
        return cfa__sql_misuse(self, "events need the log kind of the schema");
    }
    int64_t newest = 0;
    cfa_status status = read_newest(self, cache, log, &newest);
    if (status != CFA_OK) {
        return status;
    }
    size_t offset = log->fields[log->position_field].offset;
    for (size_t i = 0; i < save->event_count; i++) {
        int64_t position = newest + 1 + (int64_t)i;
        memcpy((char *)save->events[i] + offset, &position, sizeof(position));
    }
    status = insert_rows(self, cache, &(row_source){ log, NULL, save->events }, save->event_count);
    if (status == CFA_OK) {
        self->newest_at = cfa__sql_age(self);
        self->newest_position = newest + (int64_t)save->event_count;
        if (out_first_position != NULL) {
            *out_first_position = newest + 1;
        }
    }
    return status;
}

static cfa_status save_all(cfa__sql_session *self, const cfa_save *save,
                           int64_t *out_first_position) {
    cfa_status status = CFA_OK;
    size_t saved;
    for (size_t i = 0; i < save->change_count && status == CFA_OK; i += saved) {
        status = save_some(self, save->changes + i, save->change_count - i, &saved);
    }
    for (size_t i = 0; i < save->guard_count && status == CFA_OK; i++) {
        const cfa_guard *guard = &save->guards[i];
        cfa__sql_kind_cache *cache = cfa__sql_cache_of(self, guard->kind);
        status = cache != NULL ? check(self, cache, guard->kind, guard->record) : CFA_EMISUSE;
    }
    if (save->event_count > 0 && status == CFA_OK) {
        status = save_events(self, save, out_first_position);
    }
    return status == CFA_OK ? self->driver->flush(self->connection) : status;
}

/* In a host's transaction a save that fails must leave nothing, because the host may commit all the
 * same. */
static cfa_status save_joined(cfa__sql_session *self, const cfa_save *save,
                              int64_t *out_first_position) {
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
    /* When this fails too, the database has ended the whole transaction by itself, and nothing is
     * left either. */
    cfa_status undone =
        self->driver->script(self->connection, "ROLLBACK TO cfa_save; RELEASE cfa_save");
    if (undone != CFA_OK && kept == CFA_OK && error.status != CFA_OK)
        (void)cfa_error_restore(&error);
    return status;
}

cfa_status cfa__sql_save(cfa_session *handle, const cfa_save *save, int64_t *out_first_position) {
    cfa__sql_session *self = cfa__sql_session_of(handle);
    cfa_status status = cfa__sql_ready(self);
    if (status != CFA_OK) {
        return status;
    }
    if (self->transaction != CFA_SESSION_WRITE) {
        return cfa__sql_note(self, cfa__sql_misuse(self, "the transaction was begun for reading"));
    }
    self->wrote = self->wrote || save->change_count > 0 || save->event_count > 0;
    return cfa__sql_note(self, self->joined ? save_joined(self, save, out_first_position)
                                            : save_all(self, save, out_first_position));
}
