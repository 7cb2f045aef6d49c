/*
 * job.c - background commands without a waiter. What makes a tick not wait: it never runs a
 * command of its own to the end, it starts it and goes on.
 */
#include "core/engine/job.h"

#include <assert.h>

enum { IDLE, TAKEN, FLYING, FINISHED };

bool cfa__job_take_finished(cfa__job *job, cfa__command **out) {
    int expected = FINISHED;
    if (!atomic_compare_exchange_strong(&job->state, &expected, TAKEN))
        return false;
    *out = job->command;
    job->command = NULL;
    return true;
}

bool cfa__job_take_idle(cfa__job *job) {
    int expected = IDLE;
    return atomic_compare_exchange_strong(&job->state, &expected, TAKEN);
}

/* On whichever thread led the batch: nothing but the news. */
static void finished(cfa_engine *engine, cfa__command *command, void *user) {
    cfa__job *job = user;
    job->command = command;
    atomic_store(&job->state, FINISHED);
    cfa__signal(engine);
}

cfa_status cfa__job_start(cfa_engine *engine, cfa__job *job, cfa__command *command) {
    assert(atomic_load(&job->state) == TAKEN);
    command->background = true;
    atomic_store(&job->state, FLYING);
    cfa_status status = cfa__command_submit(engine, command, finished, job);
    if (status != CFA_OK) {
        atomic_store(&job->state, IDLE);
        cfa__command_release(engine, command);
    }
    return status;
}

void cfa__job_leave(cfa__job *job) {
    assert(atomic_load(&job->state) == TAKEN);
    atomic_store(&job->state, IDLE);
}

bool cfa__job_is_finished(const cfa__job *job) { return atomic_load(&job->state) == FINISHED; }

bool cfa__job_is_idle(const cfa__job *job) { return atomic_load(&job->state) == IDLE; }

void cfa__job_close(cfa_engine *engine, cfa__job *job) {
    cfa__command *command;
    if (cfa__job_take_finished(job, &command)) {
        cfa__command_release(engine, command);
        cfa__job_leave(job);
    }
    assert(cfa__job_is_idle(job));
}

cfa_status cfa__command_outcome(const cfa__command *command) {
    if (command->status == CFA_OK)
        return CFA_OK;
    assert(command->error.status == command->status);
    return cfa_error_restore(&command->error);
}
