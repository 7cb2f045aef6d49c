/*
 * events.c - the events of one payment, found in the log by the times at which something happened
 * to it: an event is written in the commit that caused it, so it bears the same time. Sequences
 * from 1 on tell when all are found.
 */
#include "core/explain/dossier.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TIMES_MAX (8 * CFA__STORY_ROWS_MAX)
#define STAGED_ROWS_MAX 1024
#define ID_SLACK_US 2 /* an id's time is rounded to a 4096th of a millisecond */

struct hunt {
    cfa__dossier *dossier;
    cfa__log_search search;
    int64_t *times;
    size_t time_count;
    int64_t wanted;  /* events 1 to this */
    int64_t left;    /* of them not found yet */
    int64_t *places; /* position of each; 0: not found, INT64_MAX: staged */
    bool failed;     /* no memory */
};

static void note_time(struct hunt *hunt, int64_t at_us) {
    if (at_us > 1000000 && hunt->time_count < TIMES_MAX)
        hunt->times[hunt->time_count++] = at_us;
}

static int compare_times(const void *a, const void *b) {
    int64_t left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    return (left > right) - (left < right);
}

/* A copy in the reader's memory: the row itself lives only until the next page. */
static bool copy_event(cfa__dossier *dossier, cfa__event *out, const cfa__event *row) {
    cfa_arena *arena = dossier->reader->arena;
    *out = *row;
    out->payload.data = cfa_arena_copy(arena, row->payload.data, row->payload.size);
    if (row->trace.data != NULL)
        out->trace.data = cfa_arena_copy(arena, row->trace.data, row->trace.size);
    return out->payload.data != NULL && (row->trace.data == NULL || out->trace.data != NULL);
}

static void found(struct hunt *hunt, const cfa__event *row, bool staged) {
    if (row->sequence < 1 || row->sequence > hunt->wanted || hunt->places[row->sequence] != 0)
        return;
    cfa__found_event *slot = &hunt->dossier->events[row->sequence - 1];
    slot->staged = staged;
    if (!copy_event(hunt->dossier, &slot->event, row))
        hunt->failed = true;
    hunt->places[row->sequence] = staged ? INT64_MAX : row->position;
    hunt->left--;
}

static bool visit(void *user, const void *row) {
    struct hunt *hunt = user;
    const cfa__event *event = row;
    if (cfa__id_compare(event->subject_id, hunt->dossier->payment->id) == 0)
        found(hunt, event, false);
    return hunt->left > 0 && !hunt->failed;
}

/* Look at each of the times that are noted, in their order. */
static cfa_status look_at_times(struct hunt *hunt) {
    qsort(hunt->times, hunt->time_count, sizeof *hunt->times, compare_times);
    int64_t from = 0;
    cfa_status status = CFA_OK;
    for (size_t i = 0; i < hunt->time_count && status == CFA_OK && hunt->left > 0; i++) {
        if (i > 0 && hunt->times[i] == hunt->times[i - 1])
            continue;
        status = cfa__log_seek(&hunt->search, from, hunt->times[i], &from);
        if (status == CFA_OK)
            status =
                cfa__log_scan(&hunt->search, from, hunt->search.head, hunt->times[i], visit, hunt);
    }
    hunt->time_count = 0;
    return hunt->failed ? CFA_ENOMEM : status;
}

/* What is still missing lies between its neighbours; or, if it was staged by a joined transaction
 * or written by a process whose clock was behind, somewhat after its time. */
static cfa_status look_between(struct hunt *hunt) {
    cfa_status status = CFA_OK;
    for (int64_t sequence = 1; sequence <= hunt->wanted && status == CFA_OK; sequence++) {
        if (hunt->places[sequence] != 0)
            continue;
        int64_t before = hunt->places[sequence - 1], last = hunt->search.head;
        for (int64_t next = sequence + 1; next <= hunt->wanted; next++) {
            if (hunt->places[next] != 0 && hunt->places[next] != INT64_MAX) {
                last = hunt->places[next] - 1;
                break;
            }
        }
        if (sequence == 1)
            status = cfa__log_seek(&hunt->search, 0, hunt->dossier->payment->created_us, &before);
        if (before == INT64_MAX)
            continue; /* behind a staged one: staged as well, or not there */
        if (status == CFA_OK)
            status = cfa__log_scan(&hunt->search, before, last, INT64_MAX, visit, hunt);
        if (hunt->places[sequence] == 0)
            break; /* the limit, or a hole: what follows was looked for in the same rows */
    }
    return hunt->failed ? CFA_ENOMEM : status;
}

static cfa_status look_in_staged(struct hunt *hunt) {
    cfa__staged key;
    memset(&key, 0, sizeof key);
    cfa_query query = { .kind = &cfa__staged_kind, .limit = STAGED_ROWS_MAX, .key = &key };
    cfa_status status = cfa__read_queries(hunt->dossier->engine, hunt->dossier->reader, &query, 1);
    for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
        const cfa__staged *row = query.records[i];
        cfa__event event = { .id = row->id,
                             .type = row->type,
                             .subject_kind = row->subject_kind,
                             .subject_id = row->subject_id,
                             .sequence = row->sequence,
                             .created_us = row->created_us,
                             .trace = row->trace,
                             .payload = row->payload };
        if (cfa__id_compare(row->subject_id, hunt->dossier->payment->id) == 0)
            found(hunt, &event, true);
    }
    return hunt->failed ? CFA_ENOMEM : status;
}

static void note_certain_times(struct hunt *hunt) {
    const cfa__dossier *dossier = hunt->dossier;
    note_time(hunt, dossier->payment->created_us);
    for (int32_t i = 0; i < dossier->transitions.count; i++)
        note_time(hunt, ((const cfa__transition *)dossier->transitions.items[i])->created_us);
}

static void note_other_times(struct hunt *hunt) {
    const cfa__dossier *dossier = hunt->dossier;
    note_time(hunt, dossier->payment->updated_us);
    for (int32_t i = 0; i < dossier->operations.count; i++) {
        const cfa__operation *operation = dossier->operations.items[i];
        note_time(hunt, operation->created_us);
        note_time(hunt, operation->updated_us);
    }
    for (int32_t i = 0; i < dossier->webhooks.count; i++)
        note_time(hunt, ((const cfa__webhook *)dossier->webhooks.items[i])->received_us);
    for (int32_t i = 0; i < dossier->refunds.count; i++) {
        const cfa__refund *refund = dossier->refunds.items[i];
        note_time(hunt, refund->created_us);
        note_time(hunt, refund->updated_us);
    }
    for (int32_t i = 0; i < dossier->disputes.count; i++) {
        const cfa__dispute *dispute = dossier->disputes.items[i];
        note_time(hunt, dispute->created_us);
        note_time(hunt, dispute->updated_us);
    }
}

static cfa_status hunt_run(struct hunt *hunt) {
    cfa_status status = look_in_staged(hunt);
    note_certain_times(hunt);
    if (status == CFA_OK)
        status = look_at_times(hunt);
    if (status == CFA_OK && hunt->left > 0) {
        note_other_times(hunt);
        status = look_at_times(hunt);
    }
    if (status == CFA_OK && hunt->left > 0)
        status = look_between(hunt);
    return status;
}

cfa_status cfa__dossier_events(cfa__dossier *dossier) {
    cfa_arena *arena = dossier->reader->arena;
    struct hunt hunt = { .dossier = dossier };
    hunt.wanted = dossier->payment->sequence;
    if (hunt.wanted > CFA__STORY_EVENTS_MAX)
        hunt.wanted = CFA__STORY_EVENTS_MAX;
    hunt.left = hunt.wanted;
    dossier->events = cfa_arena_alloc(arena, (size_t)(hunt.wanted + 1) * sizeof *dossier->events);
    hunt.places = cfa_arena_alloc(arena, (size_t)(hunt.wanted + 2) * sizeof *hunt.places);
    hunt.times = cfa_arena_alloc(arena, TIMES_MAX * sizeof *hunt.times);
    if (dossier->events == NULL || hunt.places == NULL || hunt.times == NULL)
        return CFA_ENOMEM;
    cfa_status status = cfa__log_search_open(&hunt.search, dossier->engine, dossier->reader,
                                             &cfa__event_log, CFA__STORY_LOG_ROWS_MAX);
    if (status != CFA_OK)
        return status;
    dossier->head = hunt.search.head;
    dossier->event_count = (int32_t)hunt.wanted;
    status = hunt_run(&hunt);
    dossier->log_rows = CFA__STORY_LOG_ROWS_MAX - hunt.search.rows_left;
    cfa__log_search_close(&hunt.search);
    return status;
}

/* ---- one event by its id --------------------------------------------------------------------- */

struct id_hunt {
    cfa__dossier *dossier;
    cfa__id id;
    cfa__event *out;
    bool found, failed;
};

static bool visit_id(void *user, const void *row) {
    struct id_hunt *hunt = user;
    const cfa__event *event = row;
    if (cfa__id_compare(event->id, hunt->id) != 0)
        return true;
    hunt->found = true;
    hunt->failed = !copy_event(hunt->dossier, hunt->out, event);
    return false;
}

/* A UUIDv7 tells when it was made, to the microsecond or so. */
static int64_t time_of_id(cfa__id id) {
    int64_t ms = 0;
    for (size_t i = 0; i < 6; i++)
        ms = ms << 8 | id.bytes[i];
    int64_t fraction = (id.bytes[6] & 0x0f) << 8 | id.bytes[7];
    return ms * 1000 + fraction * 1000 / 4096;
}

cfa_status cfa__dossier_event_by_id(cfa__dossier *dossier, cfa__id id, const cfa__event **out) {
    struct id_hunt hunt = { .dossier = dossier, .id = id };
    cfa__log_search search;
    int64_t at_us = time_of_id(id), before;
    *out = NULL;
    hunt.out = cfa_arena_alloc(dossier->reader->arena, sizeof *hunt.out);
    if (hunt.out == NULL)
        return CFA_ENOMEM;
    cfa_status status = cfa__log_search_open(&search, dossier->engine, dossier->reader,
                                             &cfa__event_log, CFA__STORY_LOG_ROWS_MAX);
    if (status != CFA_OK)
        return status;
    dossier->head = search.head;
    status = cfa__log_seek(&search, 0, at_us - ID_SLACK_US, &before);
    /* A staged event is in the log somewhat after its time: no end but the limit of rows. */
    if (status == CFA_OK)
        status = cfa__log_scan(&search, before, search.head, INT64_MAX, visit_id, &hunt);
    cfa__log_search_close(&search);
    if (status == CFA_OK && hunt.failed)
        status = CFA_ENOMEM;
    if (status == CFA_OK && hunt.found)
        *out = hunt.out;
    return status;
}
