/*
 * projector.c - the local projector, run: its cursor moves in the same transaction as the totals
 * (decide/totals.c), so that it needs no owner.
 */
#include "core/engine/job.h"
#include "core/engine/log.h"
#include "core/engine/relay.h"
#include "core/engine/totals_cache.h"

#define HEAD_AGE_MS 500

static cfa_status project_command(cfa__command **out, cfa_engine *engine) {
    cfa__command *command;
    cfa_status status =
        cfa__command_new(&command, engine, cfa__totals_apply, sizeof(cfa__project_answer));
    if (status != CFA_OK)
        return status;
    cfa__project_input *input = cfa_arena_alloc(command->arena, sizeof *input);
    cfa__project_readings *readings = cfa_arena_alloc(command->arena, sizeof *readings);
    if (input == NULL || readings == NULL) {
        cfa__command_release(engine, command);
        return CFA_ENOMEM;
    }
    input->readings = readings;
    command->input = input;
    *out = command;
    return CFA_OK;
}

/* What a step did becomes visible: the position, and the totals in memory. */
static int32_t projected(cfa_engine *engine, const cfa__project_answer *answer) {
    int64_t known = atomic_load(&engine->projected);
    while (answer->position > known &&
           !atomic_compare_exchange_weak(&engine->projected, &known, answer->position))
        continue;
    if (answer->applied > 0)
        cfa__totals_cache_refresh(engine, answer->campaigns, answer->campaign_count);
    return answer->applied;
}

/* One step for a caller who waits for it: before background work. */
static cfa_status project_awaited(cfa_engine *engine, int64_t deadline_us, int32_t *out_applied) {
    cfa__command *command;
    cfa_status status = project_command(&command, engine);
    if (status != CFA_OK)
        return status;
    status = cfa__command_run(engine, &command, deadline_us);
    if (status == CFA_OK)
        *out_applied = projected(engine, command->output);
    cfa__command_release(engine, command);
    return status;
}

cfa_status cfa__project_until(cfa_engine *engine, int64_t position, int64_t deadline_us) {
    while (atomic_load(&engine->projected) < position) {
        if (cfa__left_ms(deadline_us) == 0) {
            return cfa_error_format(CFA_ETIMEOUT, "core.totals", "at_least", 0,
                                    "the totals have not reached position %lld",
                                    (long long)position);
        }
        int32_t applied;
        cfa_status status = project_awaited(engine, deadline_us, &applied);
        if (status != CFA_OK)
            return status;
        if (applied == 0 && atomic_load(&engine->projected) < position) {
            return cfa_error_format(CFA_ERANGE, "core.totals", "at_least", 0,
                                    "the log has not reached position %lld", (long long)position);
        }
    }
    return CFA_OK;
}

bool cfa__project_is_due(cfa_engine *engine) {
    if (cfa__job_is_finished(&engine->project_job))
        return true;
    return cfa__job_is_idle(&engine->project_job) &&
           atomic_load(&engine->projected) < atomic_load(&engine->head);
}

cfa_status cfa__project_begin(cfa_engine *engine, int32_t *out_done) {
    int64_t head;
    *out_done = 0;
    cfa_status status = cfa__log_head(engine, HEAD_AGE_MS, &head);
    if (status != CFA_OK || atomic_load(&engine->projected) >= head ||
        !cfa__job_take_idle(&engine->project_job))
        return status;
    cfa__command *command;
    status = project_command(&command, engine);
    if (status != CFA_OK) {
        cfa__job_leave(&engine->project_job);
        return status;
    }
    return cfa__job_start(engine, &engine->project_job, command);
}

cfa_status cfa__project_collect(cfa_engine *engine, int32_t *out_done) {
    cfa__command *command;
    *out_done = 0;
    if (!cfa__job_take_finished(&engine->project_job, &command))
        return CFA_OK;
    cfa_status status = cfa__command_outcome(command);
    if (status == CFA_OK)
        *out_done = projected(engine, command->output);
    cfa__command_release(engine, command);
    cfa__job_leave(&engine->project_job);
    return status;
}
