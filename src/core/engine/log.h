/*
 * engine/log.h - reading the event log as views, for sinks, subscriptions and pages.
 */
#ifndef CFA_CORE_ENGINE_LOG_H
#define CFA_CORE_ENGINE_LOG_H

#include "core/engine/engine.h"

/* Read events after a position; views and their text live in `arena`, which may be the reader's. */
CFA_MUST_CHECK cfa_status cfa__log_read(cfa_engine *engine, cfa__reader *reader, cfa_arena *arena,
                                        int64_t after, int32_t limit, cfa_event_view **out,
                                        size_t *out_count);
/* The newest position within a reader's snapshot. */
CFA_MUST_CHECK cfa_status cfa__log_position(cfa_engine *engine, cfa__reader *reader, int64_t *out);
/* The newest position, asking the store when the last answer is older than `max_age_ms`. */
CFA_MUST_CHECK cfa_status cfa__log_head(cfa_engine *engine, int32_t max_age_ms, int64_t *out);

#endif
