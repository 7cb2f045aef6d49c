/*
 * explain/dossier.h - all records of one donation, read in one snapshot within named limits. Reads
 * only; what a limit left out is remembered, so that it is said.
 */
#ifndef CFA_CORE_EXPLAIN_DOSSIER_H
#define CFA_CORE_EXPLAIN_DOSSIER_H

#include "core/engine/engine.h"

/* Rows of one kind that a story shows; a payment has far fewer, unless somebody floods it. */
#define CFA__STORY_ROWS_MAX 500
/* Rows of the log that are read to find a payment's events. */
#define CFA__STORY_LOG_ROWS_MAX 8192
/* Events of one payment that are looked for. */
#define CFA__STORY_EVENTS_MAX 1000
#define CFA__STORY_SINKS_MAX 64

/* What was asked about. */
typedef enum cfa__asked {
    CFA__ASKED_PAYMENT,
    CFA__ASKED_PLEDGE,
    CFA__ASKED_REFUND,
    CFA__ASKED_DISPUTE,
    CFA__ASKED_EVENT,
    CFA__ASKED_WEBHOOK,
    CFA__ASKED_OBJECT /* of the provider */
} cfa__asked;

/* Rows of one kind, oldest first. */
typedef struct cfa__rows {
    void *const *items;
    int32_t count;
    bool more; /* the limit left some out */
} cfa__rows;

/* An event and where it was found: position 0 is not in the log yet. */
typedef struct cfa__found_event {
    cfa__event event;
    bool staged;
} cfa__found_event;

typedef struct cfa__dossier {
    cfa_engine *engine;
    cfa__reader *reader;
    cfa__asked asked;
    cfa__id asked_id;      /* null: the provider's name for it was given */
    const char *asked_ref; /* that */
    const cfa__provider_object *object;

    /* NULL when the story is about no payment. */
    const cfa__payment *payment;
    const cfa__pledge *pledge;
    const cfa__campaign *campaign;
    const cfa__donor *donor;
    cfa__rows transitions, operations, webhooks, refunds, disputes, acts;
    cfa__found_event *events; /* by sequence */
    int32_t event_count;
    int32_t log_rows; /* read while looking for them */

    cfa__rows sinks;
    const cfa__dead_letter **letters; /* [event * sinks.count + sink], NULL: none */
    int64_t head;                     /* of the log */
    const cfa__contribution *contribution;
    const cfa__totals *totals;
    int64_t now_us;
} cfa__dossier;

/* Find what `id` names and read everything about it. `reader` must have a snapshot open; what is
 * read lives in its arena. */
CFA_MUST_CHECK cfa_status cfa__dossier_read(cfa__dossier *out, cfa_engine *engine,
                                            cfa__reader *reader, const char *id);

/* ---- the log, searched by time: search.c ----------------------------------------------------- */

/* Insert-only rows numbered 1, 2, 3, ... whose times hardly ever run backward. */
typedef struct cfa__timed_log {
    const cfa_kind *kind;
    size_t number_offset, time_offset;
} cfa__timed_log;

extern const cfa__timed_log cfa__event_log, cfa__act_log;

/* Called for each row; false ends the reading. */
typedef bool (*cfa__log_visit)(void *user, const void *row);

typedef struct cfa__log_search {
    cfa_engine *engine;
    cfa__reader *reader;
    const cfa__timed_log *log;
    int64_t head, head_us;   /* newest number, and its time */
    int32_t rows_left;       /* may still be read */
    int64_t place, place_us; /* where the last seeking ended, and the time there */
    cfa_arena *scratch;      /* rows live here until the visit returns */
} cfa__log_search;

CFA_MUST_CHECK cfa_status cfa__log_search_open(cfa__log_search *out, cfa_engine *engine,
                                               cfa__reader *reader, const cfa__timed_log *log,
                                               int32_t rows_max);
void cfa__log_search_close(cfa__log_search *search);
/* The number before the first row of this time or later, at or after `from`. */
CFA_MUST_CHECK cfa_status cfa__log_seek(cfa__log_search *search, int64_t from, int64_t at_us,
                                        int64_t *out_before);
/* Show the rows behind `before` while they are not above `until_us` (and not beyond `last`). */
CFA_MUST_CHECK cfa_status cfa__log_scan(cfa__log_search *search, int64_t before, int64_t last,
                                        int64_t until_us, cfa__log_visit visit, void *user);

/* Find the events of the dossier's payment, and what else happened at their times. */
CFA_MUST_CHECK cfa_status cfa__dossier_events(cfa__dossier *dossier);
/* Find one event by its id; `*out` NULL when it is not there. */
CFA_MUST_CHECK cfa_status cfa__dossier_event_by_id(cfa__dossier *dossier, cfa__id id,
                                                   const cfa__event **out);

#endif
