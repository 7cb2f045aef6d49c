/*
 * api/pledge.h - what the files that deal with pledges share.
 */
#ifndef CFA_CORE_API_PLEDGE_H
#define CFA_CORE_API_PLEDGE_H

#include "core/api/api.h"

/* Read a pledge with everything around it. */
CFA_MUST_CHECK cfa_status cfa__pledge_read_parts(cfa__pledge_parts *out, cfa_engine *engine,
                                                 cfa__reader *reader, cfa__id pledge_id);
/* Read a pledge with a snapshot of its own; `answering` a key, with the fixed bytes, else as a
 * plain read. */
CFA_MUST_CHECK cfa_status cfa__pledge_read(cfa_pledge **out, cfa_engine *engine, cfa__id pledge_id,
                                           bool answering, bool replayed, int64_t deadline_us);
/* Read up to `limit` snapshots of a campaign's pledges after an id; on failure the first
 * `*out_count` are set. */
CFA_MUST_CHECK cfa_status cfa__pledge_page_read(cfa_pledge **out_items, size_t *out_count,
                                                bool *out_more, cfa_engine *engine,
                                                cfa__id campaign_id, cfa__id after, int32_t limit);

#endif
