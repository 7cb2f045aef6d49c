/*
 * api/act.h - taking who and why from a host, and checking the audit log within a snapshot.
 */
#ifndef CFA_CORE_API_ACT_H
#define CFA_CORE_API_ACT_H

#include <careforall/act.h>
#include "core/decide/act.h"
#include "core/engine/engine.h"

/* Check and copy who asks and why into a command's memory; each may be NULL, "" is the same. */
CFA_MUST_CHECK cfa_status cfa__by_make(cfa__by *out, cfa__command *command, const char *actor,
                                       const char *reason);
/* The same of the public struct, NULL: nobody said. */
CFA_MUST_CHECK cfa_status cfa__by_take(cfa__by *out, cfa__command *command, const cfa_actor *given);

/* Compute the chain anew within an open snapshot; memory is bounded, whatever the log's length. */
CFA_MUST_CHECK cfa_status cfa__acts_verify(cfa_act_report *out, cfa_engine *engine,
                                           cfa__reader *reader);

#endif
