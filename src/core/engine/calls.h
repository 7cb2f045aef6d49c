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

#define CFA__RESULT_RETRIES                                                                        \
    4 /* commits of a known result before its lease's end must bring it back */
/* True when a commit that ended so is worth another. */
bool cfa__result_may_retry(cfa_status status);

/* One call on its way: what the adapter is given, until its result is described. */
typedef struct cfa__call_made {
    const cfa__operation *operation;
    cfa_arena *arena;
    cfa_call call;
    cfa_reply reply;
    int32_t kind;
    bool to_send; /* false: its time is over, and `reply` says so already */
} cfa__call_made;
/* Check the lease and describe the call. CFA_EFENCED: the lease is over, nothing may be sent. */
CFA_MUST_CHECK cfa_status cfa__call_open(cfa__call_made *out, cfa_engine *engine,
                                         const cfa__operation *operation,
                                         const cfa__payment *payment, int64_t leased_us,
                                         int32_t timeout_ms);
/* Describe what became of it as a command, and let go of it. */
CFA_MUST_CHECK cfa_status cfa__call_close(cfa__command **out, cfa_engine *engine,
                                          cfa__call_made *made);

/* ---- calls that nobody waits for: flights.c -------------------------------------------------- */

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
/* Make one of them, and more until this (monotonic) time, or start and land as many as fit when the
 * provider can have many in flight; returns how many were dealt with, a lease that is over among
 * them. Their results are enqueued. `*out_called` (may be NULL): one was waited for. */
int32_t cfa__calls_run_ready(cfa_engine *engine, int64_t until_us, bool *out_called);
/* Wait a moment, at most `timeout_ms`, for one in flight to end; false when there is none, or
 * another thread sees to them. */
bool cfa__flights_wait(cfa_engine *engine, int32_t timeout_ms);
/* How many calls may be leased now. */
int32_t cfa__calls_room(cfa_engine *engine);
/* Milliseconds until flights need a look, -1 when there are none. */
int32_t cfa__flights_due_ms(cfa_engine *engine);
/* True when a provider's flights are watched by a descriptor. */
bool cfa__provider_has_flights(const cfa_engine *engine);
CFA_MUST_CHECK cfa_status cfa__flights_open(cfa_engine *engine);
/* Wait for what is in flight and commit what calls brought. */
void cfa__flights_land(cfa_engine *engine);
/* Give up what was not called: the end of their leases brings them back. */
void cfa__calls_close(cfa_engine *engine);

/* ---- due operations -------------------------------------------------------------------------- */

/* Lease the operations that are due, at most `limit`; `*out` is NULL when none is, else to be
 * released. */
CFA_MUST_CHECK cfa_status cfa__lease_due(cfa__command **out, cfa_engine *engine, int32_t limit);
CFA_MUST_CHECK cfa_status cfa__lease_command(cfa__command **out, cfa_engine *engine,
                                             const cfa__lease_item *items, int32_t count,
                                             bool expedite);
/* True when a scan for due operations is worth while. */
bool cfa__calls_scan_due(cfa_engine *engine);
/* Start leasing what is due. Never waits. */
CFA_MUST_CHECK cfa_status cfa__calls_begin(cfa_engine *engine, int32_t limit);
/* What such a command leased becomes ready. */
CFA_MUST_CHECK cfa_status cfa__calls_collect(cfa_engine *engine);
/* Lease and perform what can be done for one payment now, newest operations first: for a caller
 * that waits. No snapshot may be open on this thread. */
CFA_MUST_CHECK cfa_status cfa__calls_for_payment(cfa_engine *engine, cfa__id payment_id,
                                                 int64_t operation_count, bool expedite,
                                                 int64_t deadline_us, bool *out_acted);

#endif
