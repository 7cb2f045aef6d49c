/*
 * engine/job.h - a background command that nobody waits for: one step starts it, whoever leads
 * commits it, and a later step, on any thread, collects it. A job has at most one in flight.
 */
#ifndef CFA_CORE_ENGINE_JOB_H
#define CFA_CORE_ENGINE_JOB_H

#include "core/engine/engine.h"

/* Take an idle job for this thread, to start a command; false while one is in flight, finished, or
 * another thread has the job. */
bool cfa__job_take_idle(cfa__job *job);
/* Take a job whose command has finished; `*out` is that command, to be released. */
bool cfa__job_take_finished(cfa__job *job, cfa__command **out);
/* Enqueue a command for a job that this thread has taken, and let go of the job. The command is the
 * job's from here on, also on failure. */
CFA_MUST_CHECK cfa_status cfa__job_start(cfa_engine *engine, cfa__job *job, cfa__command *command);
/* Let go of a taken job without starting anything. */
void cfa__job_leave(cfa__job *job);
/* True when a step would find something to collect. */
bool cfa__job_is_finished(const cfa__job *job);
/* True when a step could start a command. */
bool cfa__job_is_idle(const cfa__job *job);
/* Drop what was not collected, at close. */
void cfa__job_close(cfa_engine *engine, cfa__job *job);

/* The status of a finished command, with its error detail as this thread's last one. */
CFA_MUST_CHECK cfa_status cfa__command_outcome(const cfa__command *command);

#endif
