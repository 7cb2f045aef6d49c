/*
 * api/pledge.h - pledges as snapshots and pages, for the two files that deal with them.
 */
#ifndef CFA_CORE_API_PLEDGE_H
#define CFA_CORE_API_PLEDGE_H

#include "core/api/api.h"

/* Read up to `limit` snapshots of a campaign's pledges after an id; on failure the first `*out_count` are set. */
CFA_MUST_CHECK cfa_status cfa__pledge_page_read(cfa_pledge **out_items, size_t *out_count, bool *out_more,
                                                cfa_engine *engine, cfa__id campaign_id, cfa__id after,
                                                int32_t limit);

#endif
