/*
 * fold.h - one payment and the rows below it, taken in one by one; in the end everything about it has
 * been compared. Memory is bounded by what one payment may have.
 */
#ifndef CFA_CORE_AUDIT_FOLD_H
#define CFA_CORE_AUDIT_FOLD_H

#include "core/audit/audit.h"

/* A refund or dispute, as its own row and as the steps of the walk have it. */
typedef struct cfa__part {
    struct cfa__part *next;
    cfa__id id;
    int64_t walked; /* state that the steps end in */
    bool has_row, is_refund;
    cfa__refund refund; /* its text in the scratch arena */
    cfa__dispute dispute;
} cfa__part;

/* A call that makes a refund. */
typedef struct cfa__refund_call {
    struct cfa__refund_call *next;
    int64_t number, amount_minor;
    cfa__id refund_id;
} cfa__refund_call;

/* A webhook that a step names as its cause. */
typedef struct cfa__cause {
    struct cfa__cause *next;
    cfa__id id;
    int64_t number;
    bool found;
} cfa__cause;

typedef struct cfa__fold {
    cfa__audit *audit;
    const cfa__payment *payment;
    cfa__place place;
    int64_t transitions, operations, walked;
    bool broken_walk, was_called;
    bool held, was_held; /* by the late rule, as the walk says */
    cfa__part *parts;
    cfa__refund_call *calls;
    cfa__cause *causes;
    int32_t cause_count;
    cfa__payment sums;                     /* of refunds and disputes */
    cfa__payment replayed;                 /* from nothing, by what webhooks brought */
    const cfa__contribution *contribution; /* NULL: none */
} cfa__fold;

/* Begin with a payment; uses the audit's scratch arena until the end. */
void cfa__fold_begin(cfa__fold *fold, cfa__audit *audit, const cfa__payment *payment);
/* In this order of kinds: transitions, operations, refunds, disputes, webhooks, contribution. */
CFA_MUST_CHECK cfa_status cfa__fold_take(cfa__fold *fold, const cfa_kind *kind, const void *record);
void cfa__fold_end(cfa__fold *fold);
/* Add a contribution row to its campaign's sum. */
void cfa__fold_add(cfa__audit *audit, const cfa__contribution *row);

/* replay.c: a webhook's facts, merged again; and what that shows. */
CFA_MUST_CHECK cfa_status cfa__replay_take(cfa__fold *fold, const cfa__webhook *webhook);
void cfa__replay_end(cfa__fold *fold);

cfa__part *cfa__fold_part(cfa__fold *fold, cfa__id id);

#endif
