/*
 * explain/story.h - a dossier told as a document: what its parts share.
 */
#ifndef CFA_CORE_EXPLAIN_STORY_H
#define CFA_CORE_EXPLAIN_STORY_H

#include "core/decide/decide.h"
#include "core/explain/document.h"
#include "core/explain/dossier.h"

/* Order at one time: causes before what they caused. */
enum {
    CFA__RANK_REQUEST,
    CFA__RANK_PLEDGE, /* with its first state, event and call */
    CFA__RANK_ANSWER,
    CFA__RANK_WEBHOOK, /* those that led to no step */
    CFA__RANK_PART,    /* refunds and disputes */
    CFA__RANK_STATE,   /* steps by their number, each behind the webhook that led to it */
    CFA__RANK_EVENT,
    CFA__RANK_CALL
};

typedef struct cfa__teller {
    const cfa__dossier *dossier;
    cfa__document *document;
    cfa__section *timeline;
} cfa__teller;

/* Add an item to the timeline. */
cfa__item *cfa__tell(cfa__teller *teller, const char *kind, int64_t at_us, int32_t rank,
                     cfa__tone tone, const char *title);

/* What was asked of us and of the provider, and what it answered: tell_calls.c. */
void cfa__tell_requests(cfa__teller *teller);
void cfa__tell_calls(cfa__teller *teller);
/* Webhooks, transitions, refunds, disputes: tell_facts.c. */
void cfa__tell_webhooks(cfa__teller *teller);
void cfa__tell_transitions(cfa__teller *teller);
void cfa__tell_refunds(cfa__teller *teller);
void cfa__tell_disputes(cfa__teller *teller);
/* Events, and where sinks stand: tell_events.c. */
void cfa__tell_events(cfa__teller *teller);
void cfa__tell_sinks(cfa__teller *teller);
/* Head, what happens next, totals, what is missing: standing.c. */
void cfa__tell_head(cfa__teller *teller);
void cfa__tell_next(cfa__teller *teller);
void cfa__tell_totals(cfa__teller *teller);
void cfa__tell_missing(cfa__teller *teller);

const char *cfa__call_name(int64_t call);

#endif
