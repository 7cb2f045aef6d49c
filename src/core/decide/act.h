/*
 * act.h - the audit log: what persons did other than giving, each act chained to the one before it.
 *
 * The newest hash and the number of acts stand in the book's row and move in the same commit, so
 * that several acts of one batch follow each other and a log that lost its end is seen.
 */
#ifndef CFA_CORE_DECIDE_ACT_H
#define CFA_CORE_DECIDE_ACT_H

#include <careforall/act.h>

#include "core/working_set.h"

#define CFA__ACT_HASH_SIZE 32

/* Who asks and why, as the host said; null: it did not. */
typedef struct cfa__by {
    cfa_slice actor, reason;
} cfa__by;

/*
 * Append an act; its action, subject, actor, reason, before and after are given, the rest is set
 * here. Call it only where something changes: a repeat or a command that finds nothing to do is no
 * act. No personal data belongs into it: an act is never erased.
 */
CFA_MUST_CHECK cfa_status cfa__act_append(cfa__working_set *set, const cfa__act *act);

/* The act of asking a payment's provider for an operation, capture or cancel. */
CFA_MUST_CHECK cfa_status cfa__act_operation(cfa__working_set *set, const cfa__by *by,
                                             const cfa__payment *payment, int32_t call,
                                             int64_t amount_minor);

/* A walk over all acts in order of their numbers, against each other and the book's row. */
typedef struct cfa__act_chain {
    const cfa__book *book; /* borrowed */
    int64_t count, last;   /* acts seen; the newest number */
    uint8_t previous[CFA__ACT_HASH_SIZE];
    bool linked;      /* `previous` is the hash of the act before */
    bool head_agrees; /* the last act is the newest of the book's row */
} cfa__act_chain;

cfa__act_chain cfa__act_chain_begin(const cfa__book *book);
/* What is wrong with the next act, the first of it; `*out_number`: which act that is about. */
cfa_act_fault cfa__act_chain_step(cfa__act_chain *chain, const cfa__act *act, int64_t *out_number);
/* What is wrong with where the acts end. */
cfa_act_fault cfa__act_chain_end(const cfa__act_chain *chain, int64_t *out_number);

/* The hash of all of an act but its `hash`, in the form that careforall/act.h states. */
void cfa__act_hash(uint8_t out[CFA__ACT_HASH_SIZE], cfa__id book_id, const cfa__act *act);

#endif
