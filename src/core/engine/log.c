/*
 * log.c - the event log as sinks see it. Reads only; positions are checked to be dense.
 */
#include "core/engine/log.h"
#include "core/decide/event_registry.h"

#include <string.h>

#define ORIGIN "core.log"

static const char *subject_prefix(int64_t kind_id) {
    return kind_id == cfa__payment_kind.id    ? "pay"
           : kind_id == cfa__campaign_kind.id ? "cmp"
                                              : "brk";
}

static cfa_status view_fill(cfa_engine *engine, cfa_arena *arena, const cfa__event *event,
                            cfa_event_view *out) {
    char id[CFA_ID_TEXT_SIZE], subject[CFA_ID_TEXT_SIZE];
    cfa__id_format(id, "evt", event->id);
    cfa__id_format(subject, subject_prefix(event->subject_kind), event->subject_id);
    *out = (cfa_event_view){
        .struct_size = sizeof *out,
        .position = event->position,
        .source = engine->source,
        .id = cfa_arena_copy(arena, id, strlen(id)),
        .event_type = cfa__event_type_name((cfa__event_type)event->type),
        .subject = cfa_arena_copy(arena, subject, strlen(subject)),
        .sequence = event->sequence,
        .time_us = event->created_us,
        .data = event->payload,
    };
    if (event->trace.data != NULL)
        out->traceparent = cfa_arena_copy(arena, event->trace.data, event->trace.size);
    if (out->event_type == NULL) {
        return cfa_error_format(CFA_ECORRUPT, ORIGIN, NULL, 0,
                                "event %lld has the unknown type %lld", (long long)event->position,
                                (long long)event->type);
    }
    bool failed = out->id == NULL || out->subject == NULL ||
                  (event->trace.data != NULL && out->traceparent == NULL);
    return failed ? CFA_ENOMEM : CFA_OK;
}

cfa_status cfa__log_read(cfa_engine *engine, cfa__reader *reader, cfa_arena *arena, int64_t after,
                         int32_t limit, cfa_event_view **out, size_t *out_count) {
    cfa__event key;
    memset(&key, 0, sizeof key);
    key.position = after;
    cfa_query query = {
        .kind = &cfa__event_kind, .flags = CFA_QUERY_AFTER, .limit = limit, .key = &key
    };
    cfa_status status = engine->storage.ops->load(reader->session, &query, 1, arena);
    if (status != CFA_OK)
        return status;
    cfa_event_view *views = cfa_arena_alloc(arena, (size_t)query.count * sizeof *views);
    if (views == NULL)
        return CFA_ENOMEM;
    for (int32_t i = 0; i < query.count; i++) {
        const cfa__event *event = query.records[i];
        if (event->position != after + 1 + i) {
            return cfa_error_format(CFA_ECORRUPT, ORIGIN, NULL, 0,
                                    "the log has a hole before position %lld",
                                    (long long)event->position);
        }
        status = view_fill(engine, arena, event, &views[i]);
        if (status != CFA_OK)
            return status;
    }
    *out = views;
    *out_count = (size_t)query.count;
    if (query.count > 0) {
        int64_t newest = views[query.count - 1].position;
        if (newest > atomic_load(&engine->head))
            atomic_store(&engine->head, newest);
    }
    return CFA_OK;
}

cfa_status cfa__log_position(cfa_engine *engine, cfa__reader *reader, int64_t *out) {
    cfa__event key;
    memset(&key, 0, sizeof key);
    cfa_query query = {
        .kind = &cfa__event_kind, .flags = CFA_QUERY_DESCENDING, .limit = 1, .key = &key
    };
    cfa_status status = cfa__read_queries(engine, reader, &query, 1);
    if (status != CFA_OK)
        return status;
    *out = query.count == 1 ? ((const cfa__event *)query.records[0])->position : 0;
    if (*out > atomic_load(&engine->head))
        atomic_store(&engine->head, *out);
    return CFA_OK;
}

cfa_status cfa__log_head(cfa_engine *engine, int32_t max_age_ms, int64_t *out) {
    int64_t now = cfa__monotonic_us(engine);
    if (max_age_ms > 0 && now - atomic_load(&engine->head_read_us) < (int64_t)max_age_ms * 1000) {
        *out = atomic_load(&engine->head);
        return CFA_OK;
    }
    cfa__reader *reader;
    cfa_status status = max_age_ms > 0
                            ? cfa__read_begin_now(&reader, engine)
                            : cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status != CFA_OK)
        return status;
    int64_t position;
    status = cfa__log_position(engine, reader, &position);
    if (status == CFA_OK) {
        atomic_store(&engine->head_read_us, now);
        *out = atomic_load(&engine->head);
    }
    cfa__read_end(engine, reader);
    return status;
}
