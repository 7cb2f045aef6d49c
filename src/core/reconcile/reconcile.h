/*
 * reconcile.h - what the parts of a reconciliation share. An object of the provider's record is
 * judged by the reducers themselves, on copies of our rows: the book is behind where the object's
 * facts would move it, and ahead where the object alone does not amount to what the book says.
 * Nothing in this folder writes a row; a repair hands facts to `cfa_webhook_accept`.
 */
#ifndef CFA_CORE_RECONCILE_RECONCILE_H
#define CFA_CORE_RECONCILE_RECONCILE_H

#include <careforall/reconcile.h>
#include <stdbool.h>

#include "core/records.h"
#include "util/buffer.h"

#define CFA__RECONCILE_ORIGIN "core.reconcile"
#define CFA__RECONCILE_PAGE 256
#define CFA__RECONCILE_KINDS 3

/* X(symbol, name, doc): the codes are part of the contract. */
#define CFA__RECONCILE_CODE_MAP(X)                                                                 \
    X(MISSING_HERE, "missing_here", "the provider has it, the book does not know it")              \
    X(MISSING_THERE, "missing_there", "the book has it, the record of its time does not")          \
    X(AMOUNT_DIFFERS, "amount_differs", "amount or currency contradict each other")                \
    X(STATE_BEHIND, "state_behind", "the provider says more than the book knows")                  \
    X(STATE_AHEAD, "state_ahead", "the book says more than the provider's record")

enum {
#define CFA__RECONCILE_ENUM(symbol, name, doc) CFA__RECONCILE_##symbol,
    CFA__RECONCILE_CODE_MAP(CFA__RECONCILE_ENUM)
#undef CFA__RECONCILE_ENUM
        CFA__RECONCILE_CODES
};

/* What a report says in numbers, for whoever records it. */
typedef struct cfa__reconcile_summary {
    char key[37]; /* its own, as a caller's: it is recorded once */
    cfa__id book_id;
    int64_t from_us, until_us, as_of_us;
    int64_t differences, objects, foreign, other, unnamed;
    int64_t counts[CFA__RECONCILE_CODES], read[CFA__RECONCILE_KINDS];
    bool all_kinds;
} cfa__reconcile_summary;

const cfa__reconcile_summary *cfa__reconciliation_summary(const cfa_reconciliation *report);
/* "payment", ...; "missing_here", ... */
const char *cfa__reconcile_kind_name(int32_t kind);
const char *cfa__reconcile_code_name(int32_t code);

/* What a difference is about. Null ids: not known here. */
typedef struct cfa__reconcile_place {
    int32_t kind; /* CFA_RECONCILE_* */
    cfa__id id, payment_id;
    const char *ref;
    int64_t line;
    bool repairable;
} cfa__reconcile_place;

/* ---- ids that were matched (seen.c) ---------------------------------------------------------- */

/* The random parts of ids: equal ones are equal ids, but for one pair in 10^18. */
typedef struct cfa__seen_ids {
    uint64_t *items;
    size_t count, capacity;
} cfa__seen_ids;

CFA_MUST_CHECK cfa_status cfa__seen_add(cfa__seen_ids *seen, cfa__id id);
/* Once, before the first question. */
void cfa__seen_sort(cfa__seen_ids *seen);
bool cfa__seen_has(const cfa__seen_ids *seen, cfa__id id);
void cfa__seen_free(cfa__seen_ids *seen);

/* ---- differences that were noted (noted.c) ---------------------------------------------------- */

#define CFA__NOTED_MAX ((size_t)1 << 20) /* that are told apart; 16 MiB. More may count again */
#define CFA__NOTED_FRESH_MAX 512         /* of one object */

/* Hashes of what each is about. */
typedef struct cfa__noted {
    uint64_t *slots;
    size_t count, capacity;
    uint64_t fresh[CFA__NOTED_FRESH_MAX]; /* of the object at hand */
    size_t fresh_count;
} cfa__noted;

/* False: it was noted before, of this object or another. */
bool cfa__noted_add(cfa__noted *noted, int32_t code, const cfa__reconcile_place *place,
                    const char *field);
/* The next object begins. */
CFA_MUST_CHECK cfa_status cfa__noted_begin(cfa__noted *noted);
/* Nothing of this object will be repaired: another one that tells the same may be. */
void cfa__noted_take_back(cfa__noted *noted);
void cfa__noted_free(cfa__noted *noted);

/* ---- payments that were passed on the way (walked.c) ----------------------------------------- */

#define CFA__WALKED_RANGES 256

/* Of the ids that were made in them. */
typedef struct cfa__walked_range {
    uint64_t from_ms, until_ms;
} cfa__walked_range;

/* An id as two numbers. */
typedef struct cfa__doubt {
    uint64_t high, low;
} cfa__doubt;

/* Times of which every payment that must be in the record was named by it or is a doubt. */
typedef struct cfa__walked {
    cfa__walked_range ranges[CFA__WALKED_RANGES]; /* in order, apart */
    size_t range_count;
    cfa__doubt *doubts;
    size_t doubt_count, doubt_capacity;
} cfa__walked;

/* When an id was made. */
uint64_t cfa__walked_ms(cfa__id id);
/* A payment that was passed. False: no room for it, so its time is not walked. */
bool cfa__walked_doubt(cfa__walked *walked, cfa__id id);
void cfa__walked_add(cfa__walked *walked, uint64_t from_ms, uint64_t until_ms);
/* Drop the doubts that the record named after all, and order the others. */
void cfa__walked_settle(cfa__walked *walked, const cfa__seen_ids *seen);
/* The first doubt behind `last`. False: none. */
bool cfa__walked_next(const cfa__walked *walked, const cfa__id *last, cfa__id *out);
cfa__id cfa__walked_id(const cfa__doubt *doubt);
/* Until when all is walked from `ms` on; 0: it is not. */
uint64_t cfa__walked_until(const cfa__walked *walked, uint64_t ms);
void cfa__walked_free(cfa__walked *walked);

/* ---- many objects at once (window.c) ---------------------------------------------------------- */

typedef struct cfa__window cfa__window;

CFA_MUST_CHECK cfa_status cfa__window_new(cfa__window **out);
void cfa__window_free(cfa__window *window);
/* Empty it. Returns the memory for what its objects say. */
cfa_arena *cfa__window_begin(cfa__window *window);
/* Room for one more object; NULL when it is full. And: that room was not needed. */
cfa_reconcile_object *cfa__window_next(cfa__window *window);
void cfa__window_end(cfa__window *window);
/* NULL beyond the last. */
const cfa_reconcile_object *cfa__window_at(const cfa__window *window, size_t index);
/* False: the window knows nothing of this row; else it is `*out`, NULL when there is none. */
bool cfa__window_find(cfa__window *window, const cfa_kind *kind, const void *key, const void **out);

/* ---- one run --------------------------------------------------------------------------------- */

/* A snapshot that is open already, of somebody who may end the work: false, with a last error. */
typedef struct cfa__reconcile_snapshot {
    const cfa_storage *storage;
    cfa_session *session;
    bool (*goes_on)(void *self);
    void *self;
} cfa__reconcile_snapshot;

/* reconcile.c: compare in it. `spec` is not `moving`. */
CFA_MUST_CHECK cfa_status cfa__reconcile_within(cfa_reconciliation **out,
                                                const cfa__reconcile_snapshot *snapshot,
                                                const cfa_reconcile_spec *spec);

typedef struct cfa__reconcile {
    const cfa_storage *storage;
    cfa_session *session;
    const cfa__reconcile_snapshot *within; /* NULL: the session is the run's own */
    const cfa_reconcile_spec *spec;
    cfa_reconciliation *report; /* NULL: nothing is noted */
    cfa_arena *arena;           /* of the run: the book's text */
    cfa_arena *scratch;         /* of one object or page */
    cfa__window *window;        /* NULL: each object reads what it is about */
    cfa__book book;
    const cfa_reconcile_object *object; /* at hand, when each has its own snapshot */
    bool feeds;                         /* of the object at hand: worth telling */
    bool contradicts;                   /* the same: it must not be told */
    bool keeps_seen;
    cfa__seen_ids seen[CFA__RECONCILE_KINDS]; /* by kind */
    cfa__walked walked;                       /* payments */
    cfa__noted noted;
    int64_t read[CFA__RECONCILE_KINDS];  /* objects, by kind */
    int64_t moved[CFA__RECONCILE_KINDS]; /* of them, movements of the balance */
    int64_t counts[CFA__RECONCILE_CODES], repairable, objects, foreign;
    int64_t other, unnamed; /* objects of no kind that is compared */
    cfa_status status;      /* first failure of a note */
} cfa__reconcile;

/* reconcile.c: one record by primary key, into `scratch`; NULL when absent. */
CFA_MUST_CHECK cfa_status cfa__reconcile_get(cfa__reconcile *run, const cfa_kind *kind,
                                             const void *key, const void **out);
CFA_MUST_CHECK cfa_status cfa__reconcile_get_id(cfa__reconcile *run, const cfa_kind *kind,
                                                cfa__id id, const void **out);

/* Asked before each page of rows, and every so many objects. */
CFA_MUST_CHECK cfa_status cfa__reconcile_go_on(const cfa__reconcile *run);

/* window.c: load the rows that the window's objects are about. */
CFA_MUST_CHECK cfa_status cfa__window_load(cfa__reconcile *run);

/* compare.c: what one object says against the book; differences are noted, and `feeds` and
 * `contradicts` set. */
CFA_MUST_CHECK cfa_status cfa__reconcile_object(cfa__reconcile *run,
                                                const cfa_reconcile_object *object);
/* What of a movement's facts a repair tells: the fee and the settlement of the object it names. */
cfa_facts cfa__reconcile_beside(const cfa_facts *facts);
/* missing.c: what the book has of the time that was asked for, and the record did not bring. */
CFA_MUST_CHECK cfa_status cfa__reconcile_missing(cfa__reconcile *run);
/* A payment that must be in the record. */
bool cfa__reconcile_must(const cfa__reconcile *run, const cfa__payment *payment);

/* report.c: note a difference; `field` may be NULL. Texts are copied. */
void cfa__reconcile_note(cfa__reconcile *run, int32_t code, const cfa__reconcile_place *place,
                         const char *field, const char *expected, const char *found);
void cfa__reconcile_note_int(cfa__reconcile *run, int32_t code, const cfa__reconcile_place *place,
                             const char *field, int64_t expected, int64_t found);
/* What is noted from here on is about one object; and: nothing of it will be repaired. */
void cfa__reconcile_note_begin(cfa__reconcile *run);
void cfa__reconcile_note_unrepairable(cfa__reconcile *run);
CFA_MUST_CHECK cfa_status cfa__reconciliation_new(cfa_reconciliation **out);
/* How much was compared, and what was looked for: the beginning of the text. */
void cfa__reconciliation_write_scope(cfa__buffer *text, const cfa_reconciliation *report);
/* Take the counts and write the report. */
CFA_MUST_CHECK cfa_status cfa__reconciliation_finish(cfa_reconciliation *report,
                                                     const cfa__reconcile *run);

#endif
