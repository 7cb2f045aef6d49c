/*
 * storage.c - the memory store: sessions and transactions over copy-on-write trees, for any schema.
 *
 * A reader takes the roots of the newest commit and keeps them, so it sees one moment for as long
 * as it likes and never waits for a writer, nor a writer for it. One transaction writes at a time,
 * on roots of its own; commit puts them in the place of the store's, rollback drops them. Never
 * knows what the records mean.
 */
#include <careforall/adapters/memory.h>

#include "adapters/memory/change.h"
#include "adapters/memory/query.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define BUSY_TIMEOUT_MS 5000

struct store {
    pthread_mutex_t mutex; /* of everything up to `readers` */
    pthread_cond_t writer_left;
    bool writer;                             /* somebody may write: the owner of `heap` */
    uint64_t version;                        /* transaction number of the newest commit */
    cfa__layout *layout;                     /* NULL before the first migrate */
    cfa__tree *trees;                        /* of the newest commit */
    cfa_session *first_reader, *last_reader; /* by version */
    cfa__heap heap;                          /* the writer's */
};

struct cfa_session {
    struct store *store;
    int32_t mode;        /* as opened */
    int32_t transaction; /* mode of the open transaction, or 0 */
    bool doomed;         /* failed: only rollback may follow */
    bool dirty;
    const cfa__layout *layout;
    cfa__tree *trees; /* as this transaction sees them */
    int32_t tree_capacity;
    uint64_t version; /* reader: newest commit it sees */
    cfa_session *previous_reader, *next_reader;
};

static cfa_status out_of_memory(const char *what) {
    return cfa_error_set(CFA_ENOMEM, CFA__MEMORY_ORIGIN, NULL, 0, what);
}

static cfa_status misuse(const char *message) {
    return cfa_error_set(CFA_EMISUSE, CFA__MEMORY_ORIGIN, NULL, 0, message);
}

/* ---- the right to write ---------------------------------------------------------------------- */

/* With the mutex held. */
static cfa_status writer_enter(struct store *store, int32_t timeout_ms) {
    if (store->writer && timeout_ms >= 0) {
        int32_t wait_ms = timeout_ms > 0 ? timeout_ms : BUSY_TIMEOUT_MS;
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += wait_ms / 1000;
        until.tv_nsec += (int64_t)(wait_ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        int waited = 0;
        while (store->writer && waited != ETIMEDOUT) {
            waited = pthread_cond_timedwait(&store->writer_left, &store->mutex, &until);
        }
    }
    if (store->writer) {
        return cfa_error_set(CFA_EBUSY, CFA__MEMORY_ORIGIN, NULL, 0,
                             "another session is writing to the store; try again");
    }
    store->writer = true;
    store->heap.transaction++;
    return CFA_OK;
}

static void writer_leave(struct store *store) {
    pthread_mutex_lock(&store->mutex);
    store->writer = false;
    pthread_cond_signal(&store->writer_left);
    pthread_mutex_unlock(&store->mutex);
}

/* Make `*trees` the newest commit and end the writing; hands back the trees of the one before. */
static void writer_commit(struct store *store, cfa__layout *layout, cfa__tree **trees) {
    pthread_mutex_lock(&store->mutex);
    cfa__tree *before = store->trees;
    store->trees = *trees;
    store->layout = layout;
    store->version = store->heap.transaction;
    uint64_t oldest = store->first_reader != NULL ? store->first_reader->version : store->version;
    pthread_mutex_unlock(&store->mutex);
    *trees = before;
    cfa__heap_commit(&store->heap, oldest);
    writer_leave(store);
}

/* ---- migrations ------------------------------------------------------------------------------ */

/* Insert the rows of one kind again, in their new shape. */
static cfa_status upgrade_kind(struct store *store, const cfa__layout_kind *old,
                               const cfa__layout_kind *next, cfa__tree *trees) {
    char *record = cfa_alloc(next->kind->record_size);
    if (record == NULL) {
        return out_of_memory("no memory for a row");
    }
    cfa__cursor cursor;
    cfa__bound first = { NULL, 0, false, 0 };
    cfa__cursor_seek(&cursor, &store->trees[old->first_tree], &old->keys[0], &first, false);
    const cfa__block *row;
    cfa_status status = CFA_OK;
    while (status == CFA_OK && (row = cfa__cursor_next(&cursor)) != NULL) {
        memset(record, 0, next->kind->record_size);
        cfa__row_upgrade(old, row, next->kind, record);
        status = cfa__memory_insert(&store->heap, trees, next, record);
    }
    cfa_free(record);
    return status;
}

static cfa_status upgrade(struct store *store, cfa__layout *next, cfa__tree *trees) {
    const cfa__layout *old = store->layout;
    for (int32_t i = 0; i < old->schema->kind_count; i++) {
        const cfa__layout_kind *from = &old->kinds[i];
        cfa_status status =
            upgrade_kind(store, from, &next->kinds[next->slots[from->kind->id]], trees);
        if (status != CFA_OK) {
            return status;
        }
    }
    /* Nothing can fail from here on. */
    for (int32_t i = 0; i < old->schema->kind_count; i++) {
        for (int32_t j = 0; j < old->kinds[i].kind->index_count; j++) {
            cfa__tree tree = store->trees[old->kinds[i].first_tree + j];
            cfa__tree_release(&store->heap, &tree, j == 0);
        }
    }
    return CFA_OK;
}

/* With the right to write: bring the rows into the shape of `schema` and commit. */
static cfa_status migrate_to(struct store *store, const cfa_schema *schema) {
    cfa__layout *next;
    cfa_status status = cfa__layout_new(&next, schema);
    if (status != CFA_OK) {
        return status;
    }
    size_t size = (size_t)next->tree_count * sizeof(cfa__tree);
    cfa__tree *trees = cfa_alloc(size);
    if (trees == NULL) {
        status = out_of_memory("no memory for the schema");
    } else {
        memset(trees, 0, size);
        status = store->layout != NULL ? upgrade(store, next, trees) : CFA_OK;
    }
    if (status == CFA_OK) {
        next->previous = store->layout;
        writer_commit(store, next, &trees);
    } else {
        cfa__layout_free(next);
    }
    cfa_free(trees);
    return status;
}

static cfa_status memory_migrate(void *self, const cfa_schema *schema) {
    struct store *store = self;
    pthread_mutex_lock(&store->mutex);
    cfa_status status = writer_enter(store, 0);
    pthread_mutex_unlock(&store->mutex);
    if (status != CFA_OK) {
        return status;
    }
    /* Only a writer changes the layout, so it may be read here without the mutex. */
    if (store->layout != NULL) {
        status = cfa__layout_check_upgrade(store->layout, schema);
    }
    if (status == CFA_OK &&
        (store->layout == NULL || store->layout->schema->version < schema->version)) {
        status = migrate_to(store, schema);
        if (status == CFA_OK) {
            return CFA_OK;
        }
        cfa__heap_rollback(&store->heap);
    }
    writer_leave(store);
    return status;
}

/* ---- sessions -------------------------------------------------------------------------------- */

static cfa_status memory_session_open(void *self, int32_t mode, cfa_session **out) {
    cfa_session *session = cfa_alloc(sizeof(*session));
    if (session == NULL) {
        return out_of_memory("no memory for a session");
    }
    memset(session, 0, sizeof(*session));
    session->store = self;
    session->mode = mode;
    *out = session;
    return CFA_OK;
}

/* With the mutex held: see what the newest commit left. */
static cfa_status take_snapshot(cfa_session *session) {
    const struct store *store = session->store;
    if (store->layout == NULL) {
        return misuse("the store has no schema yet: call migrate first");
    }
    int32_t count = store->layout->tree_count;
    if (session->tree_capacity < count) {
        cfa__tree *trees = cfa_realloc(session->trees, (size_t)count * sizeof(*trees));
        if (trees == NULL) {
            return out_of_memory("no memory for a snapshot");
        }
        session->trees = trees;
        session->tree_capacity = count;
    }
    memcpy(session->trees, store->trees, (size_t)count * sizeof(*session->trees));
    session->layout = store->layout;
    session->version = store->version;
    return CFA_OK;
}

static void readers_append(struct store *store, cfa_session *session) {
    session->previous_reader = store->last_reader;
    session->next_reader = NULL;
    if (store->last_reader != NULL) {
        store->last_reader->next_reader = session;
    } else {
        store->first_reader = session;
    }
    store->last_reader = session;
}

static void readers_remove(struct store *store, cfa_session *session) {
    if (session->previous_reader != NULL) {
        session->previous_reader->next_reader = session->next_reader;
    } else {
        store->first_reader = session->next_reader;
    }
    if (session->next_reader != NULL) {
        session->next_reader->previous_reader = session->previous_reader;
    } else {
        store->last_reader = session->previous_reader;
    }
}

static cfa_status memory_begin(cfa_session *session, int32_t mode, int32_t timeout_ms,
                               int64_t *out_now_us) {
    (void)out_now_us;
    struct store *store = session->store;
    if (session->transaction != 0) {
        return misuse("the session has a transaction already");
    }
    if (mode != CFA_SESSION_READ && session->mode != CFA_SESSION_WRITE) {
        return misuse("a session opened for reading cannot write");
    }
    pthread_mutex_lock(&store->mutex);
    cfa_status status = CFA_OK;
    if (mode == CFA_SESSION_WRITE) {
        status = writer_enter(store, timeout_ms);
    }
    bool entered = status == CFA_OK;
    if (entered) {
        status = take_snapshot(session);
    }
    if (status == CFA_OK && mode == CFA_SESSION_READ) {
        readers_append(store, session);
    }
    pthread_mutex_unlock(&store->mutex);
    if (status == CFA_OK) {
        session->transaction = mode;
        session->doomed = false;
        session->dirty = false;
    } else if (entered && mode == CFA_SESSION_WRITE) {
        writer_leave(store);
    }
    return status;
}

static void memory_rollback(cfa_session *session) {
    struct store *store = session->store;
    if (session->transaction == CFA_SESSION_WRITE) {
        cfa__heap_rollback(&store->heap);
        writer_leave(store);
    } else if (session->transaction == CFA_SESSION_READ) {
        pthread_mutex_lock(&store->mutex);
        readers_remove(store, session);
        pthread_mutex_unlock(&store->mutex);
    }
    session->transaction = 0;
}

static cfa_status memory_commit(cfa_session *session) {
    if (session->transaction == 0) {
        return misuse("commit without a transaction");
    }
    if (session->doomed) {
        memory_rollback(session);
        return misuse("commit after a failed call: the transaction was rolled back");
    }
    if (session->transaction == CFA_SESSION_WRITE && session->dirty) {
        writer_commit(session->store, session->store->layout, &session->trees);
        session->tree_capacity = session->layout->tree_count;
        session->transaction = 0;
    } else {
        memory_rollback(session);
    }
    return CFA_OK;
}

static void memory_session_close(cfa_session *session) {
    if (session != NULL) {
        memory_rollback(session);
        cfa_free(session->trees);
        cfa_free(session);
    }
}

/* ---- reading and writing --------------------------------------------------------------------- */

static cfa_status memory_load(cfa_session *session, cfa_query *queries, size_t count,
                              cfa_arena *arena) {
    if (session->transaction == 0 || session->doomed) {
        return misuse("load outside a transaction or after a failed call");
    }
    for (size_t i = 0; i < count; i++) {
        cfa_status status = cfa__memory_query(session->layout, session->trees, &queries[i], arena);
        if (status != CFA_OK) {
            session->doomed = true;
            return status;
        }
    }
    return CFA_OK;
}

static cfa_status memory_save(cfa_session *session, const cfa_save *save,
                              int64_t *out_first_position) {
    if (session->transaction != CFA_SESSION_WRITE || session->doomed) {
        return misuse("save outside a write transaction or after a failed call");
    }
    int64_t first = 0;
    session->dirty = session->dirty || save->change_count > 0 || save->event_count > 0;
    cfa_status status =
        cfa__memory_save(session->layout, &session->store->heap, session->trees, save, &first);
    if (status != CFA_OK) {
        session->doomed = true;
    } else if (save->event_count > 0 && out_first_position != NULL) {
        *out_first_position = first;
    }
    return status;
}

static cfa_status memory_changes(cfa_session *session, int64_t *out) {
    pthread_mutex_lock(&session->store->mutex);
    *out = (int64_t)session->store->version;
    pthread_mutex_unlock(&session->store->mutex);
    return CFA_OK;
}

/* ---- the store ------------------------------------------------------------------------------- */

static void memory_close(void *self) {
    struct store *store = self;
    assert(!store->writer && store->first_reader == NULL);
    store->heap.transaction++;
    for (int32_t i = 0; store->layout != NULL && i < store->layout->schema->kind_count; i++) {
        const cfa__layout_kind *kind = &store->layout->kinds[i];
        for (int32_t j = 0; j < kind->kind->index_count; j++) {
            cfa__tree_release(&store->heap, &store->trees[kind->first_tree + j], j == 0);
        }
    }
    cfa__heap_commit(&store->heap, store->heap.transaction);
    cfa__heap_free(&store->heap);
    while (store->layout != NULL) {
        cfa__layout *previous = store->layout->previous;
        cfa__layout_free(store->layout);
        store->layout = previous;
    }
    pthread_cond_destroy(&store->writer_left);
    pthread_mutex_destroy(&store->mutex);
    cfa_free(store->trees);
    cfa_free(store);
}

static const cfa_storage_ops memory_ops = {
    .struct_size = sizeof(cfa_storage_ops),
    .name = "memory",
    .migrate = memory_migrate,
    .session_open = memory_session_open,
    .session_close = memory_session_close,
    .begin = memory_begin,
    .commit = memory_commit,
    .rollback = memory_rollback,
    .load = memory_load,
    .save = memory_save,
    .changes = memory_changes,
    .close = memory_close,
};

cfa_status cfa_memory_storage_new(cfa_storage *out) {
    struct store *store = cfa_alloc(sizeof(*store));
    if (store == NULL) {
        return out_of_memory("no memory for a store");
    }
    memset(store, 0, sizeof(*store));
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&store->writer_left, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&store->mutex, NULL);
    cfa__heap_init(&store->heap);
    out->ops = &memory_ops;
    out->self = store;
    return CFA_OK;
}
