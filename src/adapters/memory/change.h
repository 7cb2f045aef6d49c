/*
 * change.h - writes of the memory store.
 */
#ifndef CFA_ADAPTERS_MEMORY_CHANGE_H
#define CFA_ADAPTERS_MEMORY_CHANGE_H

#include "adapters/memory/layout.h"

/* Put a copy of `record` into every index of its kind. CFA_EEXISTS; CFA_ENOMEM; CFA_EBUG. */
CFA_MUST_CHECK cfa_status cfa__memory_insert(cfa__heap *heap, cfa__tree *trees,
                                             const cfa__layout_kind *kind, const void *record);

/* Check the guards, write the changes, append the events. The first failure is returned. */
CFA_MUST_CHECK cfa_status cfa__memory_save(const cfa__layout *layout, cfa__heap *heap,
                                           cfa__tree *trees, const cfa_save *save,
                                           int64_t *out_first);

#endif
