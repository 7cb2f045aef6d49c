/*
 * engine/totals_cache.h - totals as shared snapshots, the last known good of each campaign in
 * memory, and how a fresh one is read.
 */
#ifndef CFA_CORE_ENGINE_TOTALS_CACHE_H
#define CFA_CORE_ENGINE_TOTALS_CACHE_H

#include <careforall/totals.h>

#include "core/engine/engine.h"

#define CFA__TOTALS_CURRENCIES_MAX 64

/* Immutable once shared; freed with its last reference. */
struct cfa_totals {
    atomic_int references;
    char campaign_id[CFA_ID_TEXT_SIZE];
    int64_t position, version, as_of_us;
    bool stale;
    size_t size;
    cfa_totals_row rows[];
};

/* A snapshot of zeros with one reference, or NULL with CFA_ENOMEM set. */
cfa_totals *cfa__totals_new(size_t size);

/* Read campaign and totals within one snapshot; `out_campaign` may be NULL. */
CFA_MUST_CHECK cfa_status cfa__totals_read(cfa_totals **out, const cfa__campaign **out_campaign,
                                           cfa_engine *engine, cfa__reader *reader,
                                           cfa__id campaign_id);
/* Read it with a snapshot of its own, and remember it. */
CFA_MUST_CHECK cfa_status cfa__totals_read_fresh(cfa_totals **out, cfa_engine *engine,
                                                 cfa__id campaign_id, int64_t deadline_us);
/* Remember a fresh reading, taken at `read_us` (monotonic), which is given up; the newer of it and
 * what is remembered is returned, so that no reader sees a version go backward. */
cfa_totals *cfa__totals_remember(cfa_engine *engine, cfa__id campaign_id, cfa_totals *fresh,
                                 int64_t read_us);
/* A reference to what is remembered, if the store confirmed it at `not_before_us` (monotonic) or
 * later and it includes `at_least`; else NULL. */
cfa_totals *cfa__totals_cached(cfa_engine *engine, cfa__id campaign_id, int64_t not_before_us,
                               int64_t at_least);

CFA_MUST_CHECK cfa_status cfa__totals_cache_open(cfa_engine *engine);
void cfa__totals_cache_close(cfa_engine *engine);
/* Read again what is remembered of these campaigns, so that readers go on reading memory. */
void cfa__totals_cache_refresh(cfa_engine *engine, const cfa__id *campaigns, int32_t count);

#endif
