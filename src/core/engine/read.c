/*
 * read.c - snapshots outside the queue: a small pool of read sessions, each used by one thread at a
 * time.
 */
#include "core/engine/engine.h"

#include <assert.h>
#include <time.h>

#define ORIGIN "core.read"
#define BEGIN_MS_MIN 100 /* for a store that is busy for a moment */

static cfa_status reader_new(cfa__reader **out, cfa_engine *engine) {
    cfa__reader *reader = cfa_alloc(sizeof *reader);
    if (reader == NULL)
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for a reader");
    *reader = (cfa__reader){ NULL, NULL, NULL };
    cfa_status status = cfa_arena_new(&reader->arena);
    if (status == CFA_OK) {
        status = engine->storage.ops->session_open(engine->storage.self, CFA_SESSION_READ,
                                                   &reader->session);
        if (status == CFA_OK) {
            *out = reader;
            return CFA_OK;
        }
        cfa_arena_free(reader->arena);
    }
    cfa_free(reader);
    return status;
}

/* Take an idle reader, or the right to open one; waits while as many as the limit are in use. */
static cfa_status reader_take(cfa__reader **out, cfa_engine *engine, int64_t deadline_us,
                              int32_t limit) {
    int32_t left_ms = cfa__left_ms(deadline_us);
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += left_ms / 1000;
    at.tv_nsec += (long)(left_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    cfa_status status = CFA_OK;
    pthread_mutex_lock(&engine->reader_lock);
    while (engine->readers_in_use >= limit && status == CFA_OK) {
        if (pthread_cond_timedwait(&engine->reader_free, &engine->reader_lock, &at) != 0)
            status =
                cfa_error_set(CFA_ETIMEOUT, ORIGIN, NULL, 0, "all read sessions stayed in use");
    }
    *out = NULL;
    if (status == CFA_OK) {
        engine->readers_in_use++;
        *out = engine->readers;
        if (*out != NULL)
            engine->readers = (*out)->next;
    }
    pthread_mutex_unlock(&engine->reader_lock);
    return status;
}

static void reader_give_back(cfa_engine *engine, cfa__reader *reader, bool broken) {
    if (broken && reader != NULL) {
        engine->storage.ops->session_close(reader->session);
        cfa_arena_free(reader->arena);
        cfa_free(reader);
        reader = NULL;
    }
    pthread_mutex_lock(&engine->reader_lock);
    engine->readers_in_use--;
    if (reader != NULL) {
        reader->next = engine->readers;
        engine->readers = reader;
    }
    pthread_cond_signal(&engine->reader_free);
    pthread_mutex_unlock(&engine->reader_lock);
}

static cfa_status begin(cfa__reader **out, cfa_engine *engine, int64_t deadline_us, int32_t limit) {
    cfa__reader *reader = NULL;
    cfa_status status = reader_take(&reader, engine, deadline_us, limit);
    if (status != CFA_OK)
        return status;
    if (reader == NULL) {
        status = reader_new(&reader, engine);
        if (status != CFA_OK) {
            reader_give_back(engine, NULL, false);
            return status;
        }
    }
    int64_t now_us = 0;
    int32_t left_ms = cfa__left_ms(deadline_us);
    status = engine->storage.ops->begin(reader->session, CFA_SESSION_READ,
                                        left_ms > BEGIN_MS_MIN ? left_ms : BEGIN_MS_MIN, &now_us);
    if (status != CFA_OK) {
        reader_give_back(engine, reader, true);
        return status;
    }
    atomic_fetch_add(&engine->statistics.reads, 1);
    *out = reader;
    return CFA_OK;
}

cfa_status cfa__read_begin(cfa__reader **out, cfa_engine *engine, int64_t deadline_us) {
    return begin(out, engine, deadline_us, CFA__READERS_MAX);
}

cfa_status cfa__read_begin_now(cfa__reader **out, cfa_engine *engine) {
    return begin(out, engine, cfa__deadline_us(engine, -1), CFA__READERS_MAX + CFA__READERS_KEPT);
}

void cfa__read_end(cfa_engine *engine, cfa__reader *reader) {
    if (reader == NULL)
        return;
    engine->storage.ops->rollback(reader->session);
    cfa_arena_reset(reader->arena);
    reader_give_back(engine, reader, false);
}

cfa_status cfa__read_queries(cfa_engine *engine, cfa__reader *reader, cfa_query *queries,
                             size_t count) {
    return engine->storage.ops->load(reader->session, queries, count, reader->arena);
}

cfa_status cfa__read_record(cfa_engine *engine, cfa__reader *reader, const cfa_kind *kind,
                            const void *key, const void **out) {
    cfa_query query = { kind, 0, kind->indexes[0].field_count, 0, 1, 0, key, NULL, 0 };
    cfa_status status = cfa__read_queries(engine, reader, &query, 1);
    if (status != CFA_OK)
        return status;
    assert(query.count <= 1);
    *out = query.count == 1 ? query.records[0] : NULL;
    return CFA_OK;
}

cfa_status cfa__read_id(cfa_engine *engine, cfa__reader *reader, const cfa_kind *kind, cfa__id id,
                        const void **out) {
    cfa__any_record key;
    cfa__key_of_id(&key, kind, id);
    return cfa__read_record(engine, reader, kind, &key, out);
}
