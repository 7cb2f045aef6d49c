/*
 * engine/calls.h - making provider calls and committing what became of them.
 */
#ifndef CFA_CORE_ENGINE_CALLS_H
#define CFA_CORE_ENGINE_CALLS_H

#include "core/decide/decide.h"
#include "core/engine/engine.h"

/* How long a call's lease lasts: longer than the call may. */
int64_t cfa__lease_ms(const cfa_engine *engine);

/* Make the call of an operation on this thread and commit what became of it; the lease was asked
 * for at `leased_us` (monotonic). `*out` (may be NULL) is the command with its
 * `cfa__result_answer`, to be released. */
CFA_MUST_CHECK cfa_status cfa__call_perform(cfa__command **out, cfa_engine *engine,
                                            const cfa__operation *operation,
                                            const cfa__payment *payment, int64_t leased_us,
                                            int64_t deadline_us);

/* A one-step provider that finds nothing allows a second charge: no clock may narrow where it
 * looks. */
void cfa__call_open_window(const cfa_engine *engine, cfa_call *call);

/* Describe a reply to a leased operation as a command; `kind` is what was really sent. */
CFA_MUST_CHECK cfa_status cfa__result_command(cfa__command **out, cfa_engine *engine,
                                              const cfa__operation *operation, int32_t kind,
                                              const cfa_reply *reply);

/* Told when the call of an asynchronous command is committed; `result` is NULL when there is none.
 * Owns both. */
typedef void (*cfa__call_done)(cfa_engine *engine, cfa__command *command, cfa__command *result,
                               void *user);
/* Remember a committed operation that this process leased, to be called by the next tick. `command`
 * keeps the records alive. */
CFA_MUST_CHECK cfa_status cfa__calls_ready(cfa_engine *engine, cfa__command *command,
                                           const cfa__operation *operation,
                                           const cfa__payment *payment, int64_t leased_us,
                                           cfa__call_done done, void *user);
bool cfa__calls_are_ready(cfa_engine *engine);
/* Make one of them, and more until this (monotonic) time; returns how many. */
int32_t cfa__calls_run_ready(cfa_engine *engine, int64_t until_us);
/* Give up what was not called: the end of their leases brings them back. */
void cfa__calls_close(cfa_engine *engine);

/* Lease the operations that are due, at most `limit`; `*out` is NULL when none is, else to be
 * released. */
CFA_MUST_CHECK cfa_status cfa__lease_due(cfa__command **out, cfa_engine *engine, int32_t limit);
CFA_MUST_CHECK cfa_status cfa__lease_command(cfa__command **out, cfa_engine *engine,
                                             const cfa__lease_item *items, int32_t count,
                                             bool expedite);
/* True when a scan for due operations is worth while. */
bool cfa__calls_scan_due(cfa_engine *engine);
/* Lease and perform due operations of any payment. */
CFA_MUST_CHECK cfa_status cfa__calls_due(cfa_engine *engine, int32_t limit, int32_t *out_done);
/* Lease and perform what can be done for one payment now, newest operations first: for a caller
 * that waits. No snapshot may be open on this thread. */
CFA_MUST_CHECK cfa_status cfa__calls_for_payment(cfa_engine *engine, cfa__id payment_id,
                                                 int64_t operation_count, bool expedite,
                                                 int64_t deadline_us, bool *out_acted);

#endif
