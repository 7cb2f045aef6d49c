/*
 * relay.c - the outbox's way out: one relay per sink, and the local projector, whose cursor moves
 * in the same transaction as the totals. Only the owner of a cursor's epoch may move it; a zombie
 * can repeat, never skip.
 */
#include "core/engine/relay.h"
#include "core/engine/job.h"
#include "core/engine/log.h"
#include "core/engine/totals_cache.h"

#include <assert.h>
#include <string.h>

#define LEASE_MS 10000
#define READ_LIMIT 500
#define SETTLE_INTERVAL_US 20000
#define SETTLE_EVENTS 10000
#define HEAD_AGE_MS 500
#define BACKOFF_BASE_US 100000
#define BACKOFF_CAP_US 60000000

struct cfa__relay {
    pthread_mutex_t busy; /* whoever has it may touch the rest, and the job */
    cfa__job job;         /* its command on the cursor */
    bool settles;         /* what that command is: settling, else leading */
    int64_t settling, started_us;
    char name[64];
    cfa_sink sink;
    bool leads, paused;
    bool stuck;       /* at the last look nothing was taken or acknowledged */
    bool sink_failed; /* the failure is the sink's own, not our store's */
    int64_t epoch;
    int64_t lease_until_us; /* monotonic: half of the lease, then it is renewed */
    int64_t sent, acknowledged, settled;
    int64_t settle_us, next_try_us;
    int32_t failures;
};

/* ---- commands on a cursor -------------------------------------------------------------------- */

static cfa_status command_make(cfa__command **out, cfa_engine *engine, cfa__decide decide,
                               const cfa__sink_input *given) {
    cfa__command *command;
    cfa_status status = cfa__command_new(&command, engine, decide, sizeof(cfa__sink_answer));
    if (status != CFA_OK)
        return status;
    cfa__sink_input *input = cfa_arena_alloc(command->arena, sizeof *input);
    if (input != NULL) {
        *input = *given;
        input->name.data = cfa_arena_copy(command->arena, given->name.data, given->name.size);
    }
    if (input == NULL || input->name.data == NULL) {
        cfa__command_release(engine, command);
        return CFA_ENOMEM;
    }
    command->input = input;
    command->background = true;
    *out = command;
    return CFA_OK;
}

cfa_status cfa__sink_command(cfa_engine *engine, cfa__decide decide, const cfa__sink_input *given,
                             int64_t deadline_us, cfa__sink_answer *out) {
    cfa__command *command;
    cfa_status status = command_make(&command, engine, decide, given);
    if (status != CFA_OK)
        return status;
    status = cfa__command_run(engine, &command, deadline_us);
    if (status == CFA_OK)
        *out = *(const cfa__sink_answer *)command->output;
    cfa__command_release(engine, command);
    return status;
}

static cfa_status of_sink(cfa__relay *relay, cfa_status status) {
    relay->sink_failed = status != CFA_OK;
    return status;
}

/* ---- one sink -------------------------------------------------------------------------------- */

/* Start a command on the sink's cursor. */
static cfa_status job_begin(cfa_engine *engine, cfa__relay *relay, bool settles) {
    cfa__sink_input input = { .name = { relay->name, strlen(relay->name) },
                              .owner = engine->instance,
                              .lease_ms = LEASE_MS };
    if (settles) {
        input.epoch = relay->epoch;
        input.position = relay->settling = relay->acknowledged;
    }
    cfa__command *command;
    bool taken = cfa__job_take_idle(&relay->job);
    assert(taken); /* we have `busy`, and nothing is in flight */
    (void)taken;
    cfa_status status =
        command_make(&command, engine, settles ? cfa__sink_settle : cfa__sink_lead, &input);
    if (status != CFA_OK) {
        cfa__job_leave(&relay->job);
        return status;
    }
    relay->settles = settles;
    relay->started_us = cfa__monotonic_us(engine);
    return cfa__job_start(engine, &relay->job, command);
}

/* We lead the sink's cursor now, or still do, or somebody else does. */
static cfa_status led(cfa_engine *engine, cfa__relay *relay, const cfa__sink_answer *answer) {
    (void)engine;
    bool fresh = answer->leads && (!relay->leads || answer->epoch != relay->epoch);
    relay->leads = answer->leads;
    relay->epoch = answer->epoch;
    relay->lease_until_us = relay->started_us + (int64_t)LEASE_MS * 1000 / 2;
    if (!answer->leads) {
        relay->settled = answer->acknowledged;
        relay->next_try_us = relay->started_us + (int64_t)LEASE_MS * 1000 / 4;
        return CFA_OK;
    }
    if (!fresh)
        return CFA_OK;
    relay->sent = relay->acknowledged = relay->settled = answer->acknowledged;
    cfa_status status =
        of_sink(relay, relay->sink.ops->reset(relay->sink.self, answer->acknowledged));
    if (status != CFA_OK) { /* not reset: start anew the next time */
        relay->leads = false;
        relay->epoch = 0;
    }
    return status;
}

/* What the command on the cursor brought, if it is over. */
static cfa_status job_end(cfa_engine *engine, cfa__relay *relay, int32_t *out_done) {
    cfa__command *command;
    if (!cfa__job_take_finished(&relay->job, &command))
        return CFA_OK;
    cfa__job_leave(&relay->job);
    ++*out_done;
    cfa_status status = cfa__command_outcome(command);
    if (status == CFA_OK && !relay->settles) {
        status = led(engine, relay, command->output);
    } else if (status == CFA_OK) {
        relay->settled = relay->settling;
        relay->settle_us = relay->started_us;
        relay->lease_until_us = relay->started_us + (int64_t)LEASE_MS * 1000 / 2;
    } else if (status == CFA_EFENCED) {
        relay->leads = false;
        cfa__log(engine, CFA_LOG_WARNING, "relay_fenced", relay->name);
        status = CFA_OK;
    }
    cfa__command_release(engine, command);
    return status;
}

static cfa_status send_some(cfa_engine *engine, cfa__relay *relay, int32_t *out_done) {
    cfa__reader *reader;
    cfa_status status = cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status != CFA_OK)
        return status;
    cfa_event_view *views = NULL;
    size_t count = 0, taken = 0;
    status = cfa__log_read(engine, reader, reader->arena, relay->sent, READ_LIMIT, &views, &count);
    if (status == CFA_OK && count > 0)
        status = of_sink(relay, relay->sink.ops->send(relay->sink.self, views, count, &taken));
    if (status == CFA_OK) {
        assert(taken <= count);
        relay->sent += (int64_t)taken;
        *out_done += (int32_t)taken;
    }
    cfa__read_end(engine, reader);
    return status;
}

/* True when what the sink acknowledged is worth a commit now. */
static bool should_settle(const cfa_engine *engine, const cfa__relay *relay) {
    int64_t gained = relay->acknowledged - relay->settled;
    bool caught_up =
        relay->acknowledged == relay->sent && relay->sent >= atomic_load(&engine->head);
    return gained > 0 && (caught_up || gained >= SETTLE_EVENTS ||
                          cfa__monotonic_us(engine) - relay->settle_us >= SETTLE_INTERVAL_US);
}

static cfa_status ask_sink(cfa__relay *relay) {
    int64_t acknowledged = relay->acknowledged;
    cfa_status status = of_sink(relay, relay->sink.ops->poll(relay->sink.self, &acknowledged));
    if (status != CFA_OK)
        return status;
    assert(acknowledged <= relay->sent);
    if (acknowledged > relay->acknowledged)
        relay->acknowledged = acknowledged;
    return CFA_OK;
}

static void back_off(cfa_engine *engine, cfa__relay *relay, cfa_status status) {
    cfa_status_class class = cfa_status_class_of(status);
    if (relay->sink_failed && (class == CFA_CLASS_PERMANENT || class == CFA_CLASS_INVALID)) {
        relay->paused = true;
        cfa__log(engine, CFA_LOG_ERROR, "sink_paused", relay->name);
        return;
    }
    int64_t ceiling = BACKOFF_BASE_US;
    for (int32_t i = 0; i < relay->failures && ceiling < BACKOFF_CAP_US; i++)
        ceiling *= 2;
    if (ceiling > BACKOFF_CAP_US)
        ceiling = BACKOFF_CAP_US;
    uint64_t draw = 0;
    if (engine->platform.random(engine->platform.self, &draw, sizeof draw) != CFA_OK)
        draw = (uint64_t)ceiling / 2;
    relay->failures++;
    relay->next_try_us = cfa__monotonic_us(engine) + (int64_t)(draw % (uint64_t)ceiling);
    cfa__log(engine, CFA_LOG_WARNING, "sink_backs_off", relay->name);
}

static bool behind(const cfa_engine *engine, const cfa__relay *relay) {
    return !relay->paused && relay->settled < atomic_load(&engine->head);
}

/* While a command on the cursor is in flight, only sending goes on. */
static cfa_status advance(cfa_engine *engine, cfa__relay *relay, int32_t *out_done) {
    bool idle = cfa__job_is_idle(&relay->job);
    if (!relay->leads || cfa__monotonic_us(engine) >= relay->lease_until_us)
        return idle ? job_begin(engine, relay, false) : CFA_OK;
    cfa_status status = CFA_OK;
    int64_t before = relay->sent + relay->acknowledged;
    if (relay->sent < atomic_load(&engine->head))
        status = send_some(engine, relay, out_done);
    if (status == CFA_OK)
        status = ask_sink(relay);
    relay->stuck = relay->sent + relay->acknowledged == before;
    if (status == CFA_OK && idle && should_settle(engine, relay))
        status = job_begin(engine, relay, true);
    return status;
}

static void relay_step(cfa_engine *engine, cfa__relay *relay, int32_t *out_done) {
    relay->sink_failed = false;
    cfa_status status = job_end(engine, relay, out_done);
    if (status == CFA_OK && !relay->paused && cfa__monotonic_us(engine) >= relay->next_try_us &&
        behind(engine, relay)) {
        status = advance(engine, relay, out_done);
        if (status == CFA_OK)
            relay->failures = 0;
    }
    if (status != CFA_OK)
        back_off(engine, relay, status);
}

cfa_status cfa__relays_step(cfa_engine *engine, int32_t *out_done) {
    *out_done = 0;
    if (engine->relay_count == 0)
        return CFA_OK;
    int64_t head;
    cfa_status status = cfa__log_head(engine, HEAD_AGE_MS, &head);
    for (int32_t i = 0; status == CFA_OK && i < engine->relay_count; i++) {
        cfa__relay *relay = engine->relays[i];
        if (pthread_mutex_trylock(&relay->busy) != 0)
            continue; /* another thread works on it */
        relay_step(engine, relay, out_done);
        pthread_mutex_unlock(&relay->busy);
    }
    return status;
}

int32_t cfa__relays_due_ms(cfa_engine *engine) {
    int64_t now = cfa__monotonic_us(engine), due = INT64_C(1000);
    for (int32_t i = 0; i < engine->relay_count; i++) {
        cfa__relay *relay = engine->relays[i];
        if (pthread_mutex_trylock(&relay->busy) != 0)
            continue;
        if (cfa__job_is_finished(&relay->job)) {
            due = 0;
        } else if (behind(engine, relay) && cfa__job_is_idle(&relay->job)) {
            int64_t wait = (relay->next_try_us - now) / 1000;
            /* What was sent and is not acknowledged yet is asked for again in a moment, and so is
             * a sink that had no room. */
            bool asks = relay->stuck || relay->sent >= atomic_load(&engine->head);
            int64_t least = relay->leads && asks ? 2 : 0;
            wait = wait < least ? least : wait;
            due = wait < due ? wait : due;
        }
        pthread_mutex_unlock(&relay->busy);
    }
    return (int32_t)due;
}

cfa_status cfa__relays_open(cfa_engine *engine) {
    for (int32_t i = 0; i < engine->options.sink_count; i++) {
        cfa__relay *relay = cfa_arena_alloc(engine->memory, sizeof *relay);
        if (relay == NULL)
            return CFA_ENOMEM;
        pthread_mutex_init(&relay->busy, NULL);
        size_t size = strlen(engine->options.sinks[i].name);
        assert(size < sizeof relay->name);
        memcpy(relay->name, engine->options.sinks[i].name, size + 1);
        relay->sink = engine->options.sinks[i].sink;
        engine->relays[engine->relay_count++] = relay;
    }
    return CFA_OK;
}

void cfa__relays_close(cfa_engine *engine) {
    for (int32_t i = 0; i < engine->relay_count; i++) {
        cfa__job_close(engine, &engine->relays[i]->job);
        pthread_mutex_destroy(&engine->relays[i]->busy);
    }
    engine->relay_count = 0;
}

/* ---- the projector --------------------------------------------------------------------------- */

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
