/*
 * engine/working_set.h - the leader's side of the working set: make, load, accept or discard a
 * handler's run, and read the changes out.
 */
#ifndef CFA_CORE_ENGINE_WORKING_SET_H
#define CFA_CORE_ENGINE_WORKING_SET_H

#include "core/working_set.h"

/* An empty set in `arena`, sized for this many commands. */
CFA_MUST_CHECK cfa_status cfa__working_set_new(cfa__working_set **out, cfa_arena *arena,
                                               int64_t now_us, size_t command_count);
/* Load everything that was missed, in one storage call. */
CFA_MUST_CHECK cfa_status cfa__working_set_load(cfa__working_set *set, const cfa_storage_ops *ops,
                                                cfa_session *session);
/* Drop, or make visible to the later commands, what the handler that just ran has staged. */
void cfa__working_set_discard(cfa__working_set *set);
void cfa__working_set_accept(cfa__working_set *set, size_t *out_first_event,
                             size_t *out_event_count);
/* Everything to be saved, in (kind, key) order. */
CFA_MUST_CHECK cfa_status cfa__working_set_changes(cfa__working_set *set, cfa_save *out);
/* The log position of the n-th event, after the save. */
int64_t cfa__working_set_position(const cfa__working_set *set, size_t event);

#endif
