/*
 * engine/relay.h - cursors, sinks (relay.c) and the projector (projector.c), driven in bounded
 * steps.
 */
#ifndef CFA_CORE_ENGINE_RELAY_H
#define CFA_CORE_ENGINE_RELAY_H

#include "core/decide/decide.h"
#include "core/engine/engine.h"
#include "util/buffer.h"

/* Make a command of one of the `cfa__sink_` functions; its input is copied. */
CFA_MUST_CHECK cfa_status cfa__sink_command_new(cfa__command **out, cfa_engine *engine,
                                                cfa__decide decide, const cfa__sink_input *given);
/* Run one, and wait for it. */
CFA_MUST_CHECK cfa_status cfa__sink_command(cfa_engine *engine, cfa__decide decide,
                                            const cfa__sink_input *given, int64_t deadline_us,
                                            cfa__sink_answer *out);

CFA_MUST_CHECK cfa_status cfa__relays_open(cfa_engine *engine);
void cfa__relays_close(cfa_engine *engine);
/* One bounded step of every sink that is behind, from what its last command brought to the next
 * one's start; never waits for a commit. A failing sink backs off by itself. */
CFA_MUST_CHECK cfa_status cfa__relays_step(cfa_engine *engine, int32_t *out_done);
int32_t cfa__relays_due_ms(cfa_engine *engine);
/* An operator changed a cursor in this process: look at once. */
void cfa__relays_nudge(cfa_engine *engine);
/* The outbox's part of the statistics. */
void cfa__relays_write(cfa_engine *engine, cfa__buffer *json);
/* One of the bindings, as the host's library knew them. */
cfa_sink_binding cfa__sink_binding_at(const cfa_engine_options *options, int32_t index);

/* Start a step of the projector if the log is ahead of the totals. What is only started is not
 * counted as done: it may turn out that there was nothing to do. */
CFA_MUST_CHECK cfa_status cfa__project_begin(cfa_engine *engine, int32_t *out_done);
/* Take in what such a step did; `*out_done` is how many events it applied. */
CFA_MUST_CHECK cfa_status cfa__project_collect(cfa_engine *engine, int32_t *out_done);
bool cfa__project_is_due(cfa_engine *engine);
/* Steps until the totals include a position. CFA_ETIMEOUT; CFA_ERANGE when the log is not that
 * long. */
CFA_MUST_CHECK cfa_status cfa__project_until(cfa_engine *engine, int64_t position,
                                             int64_t deadline_us);

#endif
