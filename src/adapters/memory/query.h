/*
 * query.h - reads of the memory store.
 */
#ifndef CFA_ADAPTERS_MEMORY_QUERY_H
#define CFA_ADAPTERS_MEMORY_QUERY_H

#include "adapters/memory/layout.h"

/* Run `query` on `trees` of `layout`; records are copied into `arena`. CFA_EMISUSE; CFA_ENOMEM. */
CFA_MUST_CHECK cfa_status cfa__memory_query(const cfa__layout *layout, const cfa__tree *trees,
                                            cfa_query *query, cfa_arena *arena);

#endif
