/*
 * stream.c - the rows of an index in order, a page at a time. Never holds more than two pages.
 */
#include "core/audit/audit.h"

#include <assert.h>
#include <string.h>

cfa_status cfa__stream_open(cfa__stream *stream, cfa__audit *audit, const cfa_kind *kind,
                            int32_t index, int32_t match_count, const void *key) {
    memset(stream, 0, sizeof *stream);
    stream->audit = audit;
    stream->kind = kind;
    stream->index = index;
    stream->match_count = match_count;
    if (key != NULL)
        memcpy(&stream->first, key, kind->record_size);
    cfa_status status = cfa_arena_new(&stream->pages[0]);
    return status == CFA_OK ? cfa_arena_new(&stream->pages[1]) : status;
}

void cfa__stream_close(cfa__stream *stream) {
    cfa_arena_free(stream->pages[0]);
    cfa_arena_free(stream->pages[1]);
    stream->pages[0] = stream->pages[1] = NULL;
}

bool cfa__audit_goes_on(const cfa__audit *audit) {
    if (audit->spec->stop == NULL || !audit->spec->stop(audit->spec->stop_self, audit->row_count))
        return true;
    (void)cfa_error_set(CFA_ECLOSING, "core.audit", NULL, 0, "the audit was ended");
    return false;
}

static cfa_status read_page(cfa__stream *stream) {
    cfa__audit *audit = stream->audit;
    const void *key = stream->begun ? stream->records[stream->count - 1] : (void *)&stream->first;
    int32_t next = stream->begun ? 1 - stream->page : stream->page;
    cfa_query query = { .kind = stream->kind,
                        .index = stream->index,
                        .match_count = stream->match_count,
                        .flags = stream->begun ? CFA_QUERY_AFTER : 0,
                        .limit = CFA__AUDIT_PAGE,
                        .key = key };
    if (!cfa__audit_goes_on(audit))
        return CFA_ECLOSING;
    cfa_arena_reset(stream->pages[next]);
    cfa_status status = audit->storage->ops->load(audit->session, &query, 1, stream->pages[next]);
    if (status != CFA_OK)
        return status;
    stream->page = next;
    stream->records = query.records;
    stream->count = query.count;
    stream->at = 0;
    stream->begun = true;
    stream->ended = query.count < CFA__AUDIT_PAGE;
    audit->rows[stream->kind->id] += query.count;
    audit->row_count += query.count;
    return CFA_OK;
}

cfa_status cfa__stream_peek(cfa__stream *stream, const void **out) {
    *out = NULL;
    if (stream->at == stream->count && !stream->ended) {
        cfa_status status = read_page(stream);
        if (status != CFA_OK)
            return status;
    }
    if (stream->at < stream->count)
        *out = stream->records[stream->at];
    return CFA_OK;
}

void cfa__stream_skip(cfa__stream *stream) {
    assert(stream->at < stream->count);
    stream->at++;
}

cfa_status cfa__audit_get(cfa__audit *audit, cfa_arena *arena, const cfa_kind *kind,
                          const void *key, const void **out) {
    cfa_query query = {
        .kind = kind, .match_count = kind->indexes[0].field_count, .limit = 1, .key = key
    };
    cfa_status status = audit->storage->ops->load(audit->session, &query, 1, arena);
    *out = status == CFA_OK && query.count == 1 ? query.records[0] : NULL;
    return status;
}

cfa_status cfa__audit_get_id(cfa__audit *audit, cfa_arena *arena, const cfa_kind *kind, cfa__id id,
                             const void **out) {
    cfa__any_record key;
    cfa__key_of_id(&key, kind, id);
    return cfa__audit_get(audit, arena, kind, &key, out);
}
