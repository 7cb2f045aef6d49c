/*
 * working_set.h - what a command's handler sees of the world: records by key, and its own changes.
 *
 * A handler is a pure function over this: it finds records, edits drafts, emits events, and
 * returns. What is not loaded yet makes a call return CFA__MISS; the handler returns that at once
 * (or after asking for more), the engine loads everything that was missed and runs the handler
 * again from its start. Drafts and events of a run that missed or failed are dropped whole; those
 * of a run that succeeded are seen by the later commands of the batch. Nothing here does I/O.
 */
#ifndef CFA_CORE_WORKING_SET_H
#define CFA_CORE_WORKING_SET_H

#include <careforall/sys/storage.h>
#include "core/records.h"
#include <stdbool.h>

typedef struct cfa__working_set cfa__working_set;

/* Not an error: "ask again when it is loaded". Positive, so that no cfa_status collides. */
#define CFA__MISS 1

/*
 * Find a record by its primary key; `key` is a record with those fields set. `*out` is NULL when
 * there is none. The record is borrowed until the end of the batch and must not be written.
 * Returns CFA_OK, CFA__MISS or CFA_ENOMEM.
 */
CFA_MUST_CHECK cfa_status cfa__find(cfa__working_set *set, const cfa_kind *kind, const void *key,
                                    const void **out);

/* The same for a kind whose primary key is one id. */
CFA_MUST_CHECK cfa_status cfa__find_id(cfa__working_set *set, const cfa_kind *kind, cfa__id id,
                                       const void **out);

/*
 * Take a draft of a record: a copy to be changed in place, saved when the handler succeeds. The
 * same draft is returned when asked again. `*out` is NULL when there is no such record.
 */
CFA_MUST_CHECK cfa_status cfa__edit(cfa__working_set *set, const cfa_kind *kind, const void *key,
                                    void **out);

CFA_MUST_CHECK cfa_status cfa__edit_id(cfa__working_set *set, const cfa_kind *kind, cfa__id id,
                                       void **out);

/*
 * Add a new record, copied from `record` with its text and bytes. `*out` (may be NULL) is its
 * draft. A store that has the key already makes the batch be decided again.
 */
CFA_MUST_CHECK cfa_status cfa__insert(cfa__working_set *set, const cfa_kind *kind,
                                      const void *record, void **out);

/* Replace a slice by a copy in the batch's memory: for text that a draft is given from a command's
 * input. */
CFA_MUST_CHECK cfa_status cfa__keep(cfa__working_set *set, cfa_slice *slice);

/* Remove a record that was found. */
CFA_MUST_CHECK cfa_status cfa__remove(cfa__working_set *set, const cfa_kind *kind,
                                      const void *record);

/* Demand that a record, only read, still has this version when the batch commits. */
CFA_MUST_CHECK cfa_status cfa__guard(cfa__working_set *set, const cfa_kind *kind,
                                     const void *record);

/*
 * Read a bounded list. It shows what was committed before the batch, so use it only for rows that
 * no other command writes, or check each row again by `cfa__find`. `query` as in sys/storage.h; its
 * key is copied and its outputs are set.
 */
CFA_MUST_CHECK cfa_status cfa__list(cfa__working_set *set, cfa_query *query);

/* Append an event to the log; all fields but the position are set by the caller. */
CFA_MUST_CHECK cfa_status cfa__append_event(cfa__working_set *set, const cfa__event *event);

/* The time of this batch: the same for all its commands, never below an earlier batch's. */
int64_t cfa__now_us(const cfa__working_set *set);

/* Memory that lives as long as the results of the batch are in use. */
cfa_arena *cfa__batch_arena(cfa__working_set *set);

#endif
