/*
 * explain/doctor.h - findings while they are collected: one per kind, however much it is about.
 */
#ifndef CFA_CORE_EXPLAIN_DOCTOR_H
#define CFA_CORE_EXPLAIN_DOCTOR_H

#include "core/api/api.h"
#include "core/explain/document.h"

#define CFA__DOCTOR_CALLS_MAX 5000     /* open calls that are read, those due first */
#define CFA__DOCTOR_EVENTS_MAX 2000    /* of the log, the newest */
#define CFA__DOCTOR_PAYMENTS_MAX 1000  /* behind the time that was compared, until one took money */
#define CFA__DOCTOR_PARKED_MAX 5000    /* objects whose webhooks wait for an hour */
#define CFA__DOCTOR_PAGE 250           /* rows of one read */
#define CFA__DOCTOR_TARGETS_MAX 1000   /* things that `cfa_doctor_do` acts on at once */
#define CFA__DOCTOR_CONFLICTS_MAX 4096 /* payments that are told apart */
#define CFA__DOCTOR_HOST_MAX 64        /* findings of the host */

#define CFA__MINUTE_US (INT64_C(60) * 1000000)
#define CFA__HOUR_US (60 * CFA__MINUTE_US)
#define CFA__DAY_US (24 * CFA__HOUR_US)
/* Beyond the time that donors have to pay, by which a comparison ends earlier than now. */
#define CFA__DOCTOR_RECONCILE_AGE_US (2 * CFA__DAY_US)

/* In the order in which findings of one severity are listed. */
typedef enum cfa__ailment {
    CFA__AILMENT_CLOCK_BEHIND,
    CFA__AILMENT_CLOCK_SKEWED,
    CFA__AILMENT_PAYMENT_CONFLICT,
    CFA__AILMENT_OPERATION_IN_DOUBT,
    CFA__AILMENT_OPERATION_OVERDUE,
    CFA__AILMENT_WEBHOOK_PARKED,
    CFA__AILMENT_DISPUTE_DUE,
    CFA__AILMENT_DISPUTE_MISSED,
    CFA__AILMENT_HOLD_EXPIRING,
    CFA__AILMENT_PAYMENT_HELD,
    CFA__AILMENT_OPERATIONS_SPENT,
    CFA__AILMENT_PAYMENT_OVERDUE,
    CFA__AILMENT_REFUND_PENDING,
    CFA__AILMENT_REFUND_ACTION,
    CFA__AILMENT_REFUND_FAILED,
    CFA__AILMENT_CIRCUIT_OPEN,
    CFA__AILMENT_SINK_STOPPED,
    CFA__AILMENT_SINK_PAUSED,
    CFA__AILMENT_SINK_REFUSED,
    CFA__AILMENT_SINK_BEHIND,
    CFA__AILMENT_DEAD_LETTERS,
    CFA__AILMENT_TOTALS_BEHIND,
    CFA__AILMENT_EVENTS_STAGED,
    CFA__AILMENT_RECONCILE_DUE,
    CFA__AILMENT_OPERATION_DEFERRED,
    CFA__AILMENTS
} cfa__ailment;

typedef struct cfa__ailment_kind {
    const char *code;
    cfa_finding_severity severity;
    const char *text;
    const char *action;
    bool safe;
} cfa__ailment_kind;

extern const cfa__ailment_kind cfa__ailment_kinds[CFA__AILMENTS];

typedef struct cfa__finding {
    cfa_finding_severity severity;
    const char *text; /* NULL: the kind's */
    int64_t count, age_us;
    const char *ids[CFA_FINDING_IDS_MAX];
    int32_t id_count;
    cfa__lease_item *targets; /* calls; NULL: none */
    int32_t target_count;
} cfa__finding;

typedef struct cfa__limit_note {
    struct cfa__limit_note *next;
    const char *text;
} cfa__limit_note;

typedef struct cfa__examination {
    cfa_engine *engine;
    cfa__reader *reader;
    cfa_arena *arena;     /* of the checkup */
    cfa_arena *scratch;   /* of one page */
    cfa__document *texts; /* makes them */
    bool deep;
    int64_t now_us;
    cfa__finding findings[CFA__AILMENTS];
    cfa__limit_note *notes, *last_note;
    cfa__id *conflicts; /* payments, each once */
    int32_t conflict_count;
} cfa__examination;

/* Count one thing; `id` is listed while there is room, `target` (or NULL) remembered. */
void cfa__found(cfa__examination *examination, cfa__ailment ailment, const char *id, int64_t age_us,
                const cfa__lease_item *target);
void cfa__found_grave(cfa__examination *examination, cfa__ailment ailment);
/* Say what was not looked at. */
void cfa__not_seen(cfa__examination *examination, const char *text);
/* Read into the scratch memory. */
CFA_MUST_CHECK cfa_status cfa__examine_load(cfa__examination *examination, cfa_query *queries,
                                            size_t count);
/* One record by primary key; `*out` NULL when absent. */
CFA_MUST_CHECK cfa_status cfa__examine_record(cfa__examination *examination, const cfa_kind *kind,
                                              const void *key, const void **out);
/* The book's own row; `*out` NULL when it is not there. */
CFA_MUST_CHECK cfa_status cfa__examine_book_row(cfa__examination *examination,
                                                const cfa__book **out);
/* The next page: the scratch memory is reset first. */
CFA_MUST_CHECK cfa_status cfa__examine_page(cfa__examination *examination, cfa_query *query);

/* Open calls and their payments; payments in conflict: doctor_payments.c. */
CFA_MUST_CHECK cfa_status cfa__examine_calls(cfa__examination *examination);
CFA_MUST_CHECK cfa_status cfa__examine_conflicts(cfa__examination *examination);
/* Webhooks that wait: doctor_parked.c. */
CFA_MUST_CHECK cfa_status cfa__examine_parked(cfa__examination *examination);
/* Sinks, projector, breaker, clocks: doctor_book.c. */
CFA_MUST_CHECK cfa_status cfa__examine_book(cfa__examination *examination);
/* Everything above. */
CFA_MUST_CHECK cfa_status cfa__examine(cfa__examination *examination);

/* Bring calls forward: remedy.c. */
CFA_MUST_CHECK cfa_status cfa__calls_hasten(int64_t *out_done, cfa_engine *engine,
                                            const cfa__lease_item *items, int32_t count,
                                            int64_t deadline_us);

#endif
