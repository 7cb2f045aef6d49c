/*
 * search.c - finding rows of an insert-only log by their time, without an index: numbers are dense
 * and times hardly ever run backward. Where processes or joined transactions made them do so by a
 * little, a probe takes the greatest time of some neighbours.
 */
#include "core/explain/dossier.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define PROBE_ROWS 4
#define PAGE_ROWS 32
#define ROUNDS_MAX 160 /* of one search: half of them halve what is left */

const cfa__timed_log cfa__event_log = { &cfa__event_kind, offsetof(cfa__event, position),
                                        offsetof(cfa__event, created_us) };
const cfa__timed_log cfa__act_log = { &cfa__act_kind, offsetof(cfa__act, number),
                                      offsetof(cfa__act, created_us) };

static int64_t number_of(const cfa__timed_log *log, const void *row) {
    int64_t number;
    memcpy(&number, (const char *)row + log->number_offset, sizeof number);
    return number;
}

static int64_t time_of(const cfa__timed_log *log, const void *row) {
    int64_t at_us;
    memcpy(&at_us, (const char *)row + log->time_offset, sizeof at_us);
    return at_us;
}

/* Rows behind a number, in the scratch memory. */
static cfa_status page(cfa__log_search *search, int64_t before, uint32_t flags, int32_t limit,
                       cfa_query *out) {
    cfa__any_record key;
    memset(&key, 0, sizeof key);
    memcpy((char *)&key + search->log->number_offset, &before, sizeof before);
    *out = (cfa_query){ .kind = search->log->kind, .flags = flags, .limit = limit, .key = &key };
    cfa_arena_reset(search->scratch);
    cfa_status status =
        search->engine->storage.ops->load(search->reader->session, out, 1, search->scratch);
    out->key = NULL;
    return status;
}

cfa_status cfa__log_search_open(cfa__log_search *out, cfa_engine *engine, cfa__reader *reader,
                                const cfa__timed_log *log, int32_t rows_max) {
    *out = (cfa__log_search){
        .engine = engine, .reader = reader, .log = log, .rows_left = rows_max, .place = -1
    };
    cfa_status status = cfa_arena_new(&out->scratch);
    if (status != CFA_OK)
        return status;
    cfa_query query;
    status = page(out, 0, CFA_QUERY_DESCENDING, 1, &query);
    if (status != CFA_OK) {
        cfa__log_search_close(out);
        return status;
    }
    if (query.count == 1) {
        out->head = number_of(log, query.records[0]);
        out->head_us = time_of(log, query.records[0]);
    }
    return CFA_OK;
}

void cfa__log_search_close(cfa__log_search *search) { cfa_arena_free(search->scratch); }

/* The greatest time of the rows right behind a number; beyond the log, the end of time. */
static cfa_status probe(cfa__log_search *search, int64_t before, int64_t *out_us) {
    cfa_query query;
    cfa_status status = page(search, before, CFA_QUERY_AFTER, PROBE_ROWS, &query);
    if (status != CFA_OK)
        return status;
    *out_us = query.count == 0 ? INT64_MAX : INT64_MIN;
    for (int32_t i = 0; i < query.count; i++) {
        int64_t at_us = time_of(search->log, query.records[i]);
        if (at_us > *out_us)
            *out_us = at_us;
    }
    return CFA_OK;
}

/* Between `low` and `high`, as far along as `at_us` is between their times. */
static int64_t interpolate(int64_t low, int64_t low_us, int64_t high, int64_t high_us,
                           int64_t at_us) {
    const int64_t parts = INT64_C(1) << 20;
    int64_t unit_us = (high_us - low_us) / parts + 1, part = (at_us - low_us) / unit_us;
    int64_t rows = high - low;
    return low + rows / parts * part + rows % parts * part / parts;
}

/* Where to look next: mostly where the times say, a little to one side, so that both ends close in;
 * now and then in the middle, so that it ends however times are spread. */
static int64_t choose(int32_t round, int64_t low, int64_t low_us, int64_t high, int64_t high_us,
                      int64_t at_us) {
    int64_t middle = low + (high - low) / 2;
    if (round % 3 != 2 && high_us > low_us)
        middle = interpolate(low, low_us, high, high_us, at_us) +
                 (round % 3 == 0 ? -PAGE_ROWS : PAGE_ROWS);
    if (middle <= low)
        return low + 1;
    return middle < high ? middle : high - 1;
}

cfa_status cfa__log_seek(cfa__log_search *search, int64_t from, int64_t at_us,
                         int64_t *out_before) {
    int64_t low = from, high = search->head, high_us = search->head_us;
    int64_t low_us = from == search->place ? search->place_us : INT64_MIN;
    for (int32_t round = 0; high - low > PROBE_ROWS && round < ROUNDS_MAX; round++) {
        int64_t middle = low, found_us;
        if (low_us != INT64_MIN)
            middle = choose(round, low, low_us, high, high_us, at_us);
        cfa_status status = probe(search, middle, &found_us);
        if (status != CFA_OK)
            return status;
        if (found_us >= at_us) {
            high = middle;
            high_us = found_us;
        } else {
            low = middle;
            low_us = found_us;
        }
    }
    search->place = *out_before = low;
    search->place_us = low_us;
    return CFA_OK;
}

cfa_status cfa__log_scan(cfa__log_search *search, int64_t before, int64_t last, int64_t until_us,
                         cfa__log_visit visit, void *user) {
    while (before < last && search->rows_left > 0) {
        cfa_query query;
        int32_t limit = search->rows_left < PAGE_ROWS ? search->rows_left : PAGE_ROWS;
        cfa_status status = page(search, before, CFA_QUERY_AFTER, limit, &query);
        if (status != CFA_OK || query.count == 0)
            return status;
        search->rows_left -= query.count;
        for (int32_t i = 0; i < query.count; i++) {
            before = number_of(search->log, query.records[i]);
            if (before > last || time_of(search->log, query.records[i]) > until_us ||
                !visit(user, query.records[i]))
                return CFA_OK;
        }
    }
    return CFA_OK;
}
