/*
 * engine/circuit.h - the provider's circuit breaker as this process sees it: calls are counted here,
 * transitions are decided in the store. What is known here only says whether to ask there.
 */
#ifndef CFA_CORE_ENGINE_CIRCUIT_H
#define CFA_CORE_ENGINE_CIRCUIT_H

#include "core/decide/decide.h"
#include "core/engine/engine.h"

/* Learn how another process, or this one in an earlier life, left the breaker, before any call. */
CFA_MUST_CHECK cfa_status cfa__circuit_open(cfa_engine *engine);
/* Note what a call that was really made has shown. Never waits. */
void cfa__circuit_note(cfa_engine *engine, const cfa_reply *reply);
/* The query that finds the breaker's row, for whoever has a snapshot open; `key` is filled and must
 * live as long as the query. */
cfa_query cfa__circuit_query(const cfa_engine *engine, cfa__breaker *key);
/* Note the breaker as such a query found it; without a row it never opened. */
void cfa__circuit_found(cfa_engine *engine, const cfa_query *query);
/* Whose breaker a command must ask, if the provider may be out; else nobody's. */
cfa__circuit cfa__circuit_asked(const cfa_engine *engine);
/* Note that a command was refused until then. */
void cfa__circuit_refused(cfa_engine *engine, int64_t until_us);
bool cfa__circuit_is_closed(const cfa_engine *engine);
/* Milliseconds until a call may try; 0 when one may go out, or ask, now. */
int64_t cfa__circuit_wait_ms(const cfa_engine *engine);
/* CFA_ECIRCUIT, with when to try again. */
CFA_MUST_CHECK cfa_status cfa__circuit_refuse(const cfa_engine *engine, int64_t until_us);

#endif
