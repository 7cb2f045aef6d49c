/*
 * engine/relay.h - cursors, sinks and the projector, driven in bounded steps.
 */
#ifndef CFA_CORE_ENGINE_RELAY_H
#define CFA_CORE_ENGINE_RELAY_H

#include "core/decide/decide.h"
#include "core/engine/engine.h"

/* Run `cfa__sink_lead` or `cfa__sink_settle`. */
CFA_MUST_CHECK cfa_status cfa__sink_command(cfa_engine *engine, cfa__decide decide,
                                            const cfa__sink_input *input, int64_t deadline_us,
                                            cfa__sink_answer *out);

CFA_MUST_CHECK cfa_status cfa__relays_open(cfa_engine *engine);
void cfa__relays_close(cfa_engine *engine);
/* One bounded step of every sink that is behind; a failing sink backs off by itself. */
CFA_MUST_CHECK cfa_status cfa__relays_run(cfa_engine *engine, int32_t *out_done);
int32_t cfa__relays_due_ms(cfa_engine *engine);

/* One bounded step of the projector; awaited ones go before background work. */
CFA_MUST_CHECK cfa_status cfa__project(cfa_engine *engine, bool awaited, int64_t deadline_us,
                                       int32_t *out_applied);
/* A step if the log is ahead of the totals. */
CFA_MUST_CHECK cfa_status cfa__project_due(cfa_engine *engine, int32_t *out_applied);
/* Steps until the totals include a position. CFA_ETIMEOUT; CFA_ERANGE when the log is not that
 * long. */
CFA_MUST_CHECK cfa_status cfa__project_until(cfa_engine *engine, int64_t position,
                                             int64_t deadline_us);

#endif
