/*
 * process.c - processes that die and come back: an engine each, behind a store and a provider that
 * misbehave, and a sink that both feed. While one waits for the provider the other works.
 */
#include "sim/sim.h"
#include "core/engine/engine.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TICK_MIN_US (20 * INT64_C(1000))
#define STRAGGLE_US                                                                                \
    (9 * MINUTE_US) /* absence counts as proven ten minutes after the last request */

/* ---- misfortune of the store ----------------------------------------------------------------- */

static int32_t decide(void *user, int32_t call, uint64_t number, cfa_status *out_status) {
    struct process *process = user;
    struct sim *sim = process->sim;
    (void)number;
    if (!sim->faults)
        return CFA_FAULT_PASS;
    if (chance(sim, sim->rates.crash)) {
        note(sim, "crash in a storage call", process->number, call, 0);
        cover(CRASH_STORAGE);
        if (call == CFA_FAULT_COMMIT)
            cover(CRASH_COMMIT);
        if (process->engine == NULL)
            cover(CRASH_OPEN);
        longjmp(process->death, 1);
    }
    /* Now and then the same misfortune comes again and again. */
    if (process->losses == 0 && chance(sim, sim->rates.fail / 16))
        process->losses = 1 + (int32_t)draw_below(sim, 24);
    if (process->doubts == 0 && chance(sim, sim->rates.doubt / 64))
        process->doubts = 1 + (int32_t)draw_below(sim, 8);
    if (call == CFA_FAULT_COMMIT && (process->doubts > 0 || chance(sim, sim->rates.doubt))) {
        process->doubts -= process->doubts > 0;
        bool done = draw_below(sim, 2) == 0;
        note(sim, "commit in doubt", process->number, done, 0);
        if (done)
            cover(DOUBT_DONE);
        else
            cover(DOUBT_NOT_DONE);
        return done ? CFA_FAULT_DOUBT_DONE : CFA_FAULT_DOUBT_NOT_DONE;
    }
    /* Only a writer can lose a race. */
    bool races = call == CFA_FAULT_SAVE || call == CFA_FAULT_COMMIT,
         loses = races && process->losses > 0;
    if (call == CFA_FAULT_ROLLBACK || (!loses && !chance(sim, sim->rates.fail)))
        return CFA_FAULT_PASS;
    process->losses -= loses;
    switch (loses ? 2 : draw_below(sim, races ? 3 : 2)) {
    case 0:
        *out_status = CFA_EBUSY;
        cover(FAIL_BUSY);
        break;
    case 1:
        *out_status = CFA_EIO;
        cover(FAIL_IO);
        break;
    default:
        *out_status = CFA_EVERSION;
        cover(FAIL_VERSION);
        break;
    }
    note(sim, "storage call fails", process->number, call, *out_status);
    return CFA_FAULT_FAIL;
}

/* ---- the way to the provider ----------------------------------------------------------------- */

static cfa_status provider_prepare(void *self, const cfa_call *call, cfa_arena *arena,
                                   cfa_slice *out_body) {
    const cfa_provider *play = cfa_play_provider(((struct process *)self)->sim->play);
    return play->ops->prepare(play->self, call, arena, out_body);
}

static cfa_status provider_webhook(void *self, cfa_slice signature, cfa_slice body, int64_t now_us,
                                   cfa_arena *arena, cfa_webhook_event *out) {
    const cfa_provider *play = cfa_play_provider(((struct process *)self)->sim->play);
    return play->ops->webhook(play->self, signature, body, now_us, arena, out);
}

static struct call_memory *remember(struct sim *sim, const char *key) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *key != '\0'; key++)
        hash = (hash ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
    hash |= 1;
    size_t at = (size_t)(hash >> 8) & (sim->call_capacity - 1);
    while (sim->calls[at].hash != 0 && sim->calls[at].hash != hash)
        at = (at + 1) & (sim->call_capacity - 1);
    if (sim->calls[at].hash == 0)
        sim->calls[at] = (struct call_memory){ hash, sim->now_us, false };
    return &sim->calls[at];
}

static void cover_call(struct sim *sim, const cfa_call *call, const cfa_reply *reply) {
    struct call_memory *memory = remember(sim, call->idempotency_key);
    bool found = reply->outcome == CFA_OUTCOME_DONE || reply->outcome == CFA_OUTCOME_PENDING;
    size_t size = strlen(call->idempotency_key);
    if (call->kind == CFA_CALL_CREATE && memory->unknown && found)
        cover(RESEND_RESOLVES);
    if (call->kind == CFA_CALL_CREATE && strcmp(call->idempotency_key + size - 2, "_1") != 0)
        cover(NEW_ATTEMPT);
    if (call->kind == CFA_CALL_LOOKUP && found)
        cover(LOOKUP_RESOLVES);
    if (call->kind == CFA_CALL_LOOKUP && sim->now_us - memory->sent_us > DAY_US)
        cover(KEY_FORGOTTEN);
    if (reply->stored)
        cover(CALL_STORED);
    if (reply->outcome == CFA_OUTCOME_UNKNOWN) {
        cover(CALL_UNKNOWN);
        memory->unknown = true;
    }
    if (reply->outcome == CFA_OUTCOME_NOT_SENT && call->kind != CFA_CALL_LOOKUP)
        cover(CALL_NOT_SENT);
}

static void straggle(struct sim *sim, const cfa_call *call) {
    sim->stragglers = grow(sim->stragglers, sim->straggler_count, &sim->straggler_capacity,
                           sizeof *sim->stragglers);
    struct straggler *straggler = &sim->stragglers[sim->straggler_count];
    require(sim, cfa_arena_new(&straggler->arena) == CFA_OK, "no memory");
    cfa_call *copy = &straggler->call;
    *copy = *call;
    const char **texts[] = { &copy->operation_id, &copy->payment_id, &copy->idempotency_key,
                             &copy->account,      &copy->ref,        &copy->payment_method };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (*texts[i] != NULL)
            *texts[i] = cfa_arena_copy(straggler->arena, *texts[i], strlen(*texts[i]));
    }
    copy->body.data = cfa_arena_copy(straggler->arena, call->body.data, call->body.size);
    schedule(sim, draw_below(sim, STRAGGLE_US), EVENT_STRAGGLE, sim->straggler_count++, 0);
    cover(CALL_STRAGGLES);
}

void straggler_arrives(struct sim *sim, int32_t number) {
    struct straggler *straggler = &sim->stragglers[number];
    const cfa_provider *play = cfa_play_provider(sim->play);
    cfa_reply reply = { .struct_size = sizeof reply };
    play->ops->call(play->self, &straggler->call, straggler->arena, &reply);
    note(sim, "a straggling request arrives", number, straggler->call.kind, reply.outcome);
    cfa_arena_free(straggler->arena);
    straggler->arena = NULL;
    collect_webhooks(sim);
}

/* Time passes on the way to the provider and back; the other process works meanwhile, and this one
 * may die. */
static void provider_call(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    struct process *process = self;
    struct sim *sim = process->sim;
    const cfa_provider *play = cfa_play_provider(sim->play);
    note(sim, "provider call", process->number, call->kind, 0);
    note_bytes(sim, call->idempotency_key, strlen(call->idempotency_key));
    snprintf(process->calling, sizeof process->calling, "%s", call->operation_id);
    for (int32_t i = 0; i < ENGINES; i++) {
        if (i != process->number && strcmp(sim->processes[i].calling, process->calling) == 0)
            cover(CALL_OVERLAP);
    }
    if (sim->faults && chance(sim, sim->mayhem ? 300000 : sim->rates.call_crash)) {
        note(sim, "crash before a provider call", process->number, 0, 0);
        cover(CRASH_BEFORE_CALL);
        longjmp(process->death, 1);
    }
    bool slow = sim->faults && chance(sim, sim->rates.slow_call);
    bool straggles = sim->faults && chance(sim, sim->rates.straggle);
    int64_t limit_us = (int64_t)call->timeout_ms * 1000;
    int64_t there_us = straggles ? limit_us : draw_time(sim, slow ? 15 * SECOND_US : 100000);
    int64_t began_us = sim->now_us;
    run_until(sim, sim->now_us + (there_us < limit_us ? there_us : limit_us));
    if (sim->deaf && call->kind == CFA_CALL_RETRIEVE)
        *out = (cfa_reply){ .struct_size = sizeof *out };
    else if (straggles)
        straggle(sim, call);
    else
        play->ops->call(play->self, call, arena, out);
    collect_webhooks(sim);
    if (sim->faults && chance(sim, sim->mayhem ? 300000 : sim->rates.call_crash)) {
        note(sim, "crash after a provider call", process->number, out->outcome, 0);
        cover(CRASH_AFTER_CALL);
        longjmp(process->death, 1);
    }
    run_until(sim, sim->now_us + draw_time(sim, slow ? 15 * SECOND_US : 100000));
    if (sim->now_us - began_us >= limit_us) {
        cover(CALL_TIMEOUT);
        *out = (cfa_reply){ .struct_size = sizeof *out };
    }
    process->calling[0] = '\0';
    cover_call(sim, call, out);
    note(sim, "provider answers", process->number, out->outcome, out->stored);
}

/* ---- a sink, the same behind both processes -------------------------------------------------- */

static cfa_status sink_send(void *self, const cfa_event_view *events, size_t count,
                            size_t *out_taken) {
    struct process *process = self;
    struct sim *sim = process->sim;
    if (sim->faults && draw_below(sim, 8) == 0) {
        cover(SINK_FAILS);
        return cfa_error_set(CFA_EUNAVAILABLE, "sink.sim", NULL, 0, "the broker cannot be reached");
    }
    size_t taken = sim->faults ? (size_t)draw_below(sim, (int64_t)count + 1) : count;
    for (size_t i = 0; i < taken; i++) {
        require(sim, events[i].position == process->sent_position + 1,
                "S8: a sink is sent %lld after %lld", (long long)events[i].position,
                (long long)process->sent_position);
        process->sent_position = events[i].position;
        require(sim, events[i].position <= sim->broker_position + 1,
                "S8: a sink never got event %lld", (long long)sim->broker_position + 1);
        if (events[i].position <= sim->broker_position)
            cover(SINK_REPEAT);
        else
            sim->broker_position = events[i].position;
    }
    *out_taken = taken;
    return CFA_OK;
}

static cfa_status sink_poll(void *self, int64_t *out_acknowledged) {
    const struct process *process = self;
    *out_acknowledged = process->sent_position;
    return CFA_OK;
}

static cfa_status sink_reset(void *self, int64_t position) {
    struct process *process = self;
    process->sent_position = position;
    return CFA_OK;
}

static void sink_close(void *self) { (void)self; }

static const cfa_sink_ops sink_ops = { sizeof sink_ops, "sim", sink_send, sink_poll,
                                       sink_reset,      NULL,  sink_close };

/* ---- processes ------------------------------------------------------------------------------- */

struct process *free_process(struct sim *sim) {
    int32_t first = (int32_t)draw_below(sim, ENGINES);
    for (int32_t i = 0; i < ENGINES; i++) {
        struct process *process = &sim->processes[(first + i) % ENGINES];
        if (process->engine != NULL && !process->busy)
            return process;
    }
    return NULL;
}

bool all_are_busy(const struct sim *sim) {
    bool busy = true;
    for (int32_t i = 0; i < ENGINES; i++)
        busy = busy && sim->processes[i].busy;
    return busy;
}

static void cover_statistics(const struct process *process) {
    cfa__statistics *statistics = &process->engine->statistics;
    coverage[COVER_REDECIDED] += (uint64_t)atomic_load(&statistics->redecided);
    coverage[COVER_SPLIT] += (uint64_t)atomic_load(&statistics->splits);
    coverage[COVER_DOUBT_RESOLVED] += (uint64_t)atomic_load(&statistics->commits_in_doubt);
}

static void schedule_tick(struct process *process, int64_t delay_us) {
    schedule(process->sim, delay_us, EVENT_TICK, process->number, ++process->tick_number);
}

void stir(struct sim *sim) {
    for (int32_t i = 0; i < ENGINES; i++) {
        struct process *process = &sim->processes[i];
        if (process->engine != NULL && process->idle_us > 4 * TICK_MIN_US) {
            process->idle_us = TICK_MIN_US;
            schedule_tick(process, draw_time(sim, TICK_MIN_US));
        }
    }
}

/* What the system does when a process dies: descriptors closed, transactions rolled back. */
static void die(struct process *process) {
    struct sim *sim = process->sim;
    sim->deaths++;
    process->busy = false;
    process->calling[0] = '\0';
    if (process->engine != NULL)
        cover_statistics(process);
    process->engine = NULL;
    process->port = NULL;
    for (int32_t i = 0; i < 2; i++) {
        if (process->descriptors[i] >= 0)
            close(process->descriptors[i]);
        process->descriptors[i] = -1;
    }
    cfa_fault_storage_crash(process->control);
    donors_process_died(process);
    schedule(sim, draw_time(sim, 20 * SECOND_US), EVENT_START, process->number, 0);
}

bool within(struct process *process, void (*action)(struct process *process, void *user),
            void *user) {
    assert(!process->busy);
    process->busy = true;
    if (setjmp(process->death) == 0) {
        action(process, user);
        process->busy = false;
        return true;
    }
    die(process);
    return false;
}

void process_make(struct sim *sim, int32_t number) {
    struct process *process = &sim->processes[number];
    process->sim = sim;
    process->number = number;
    process->descriptors[0] = process->descriptors[1] = -1;
    process->provider_ops = *cfa_play_provider(sim->play)->ops;
    process->provider_ops.prepare = provider_prepare;
    process->provider_ops.call = provider_call;
    process->provider_ops.webhook = provider_webhook;
    process->provider = (cfa_provider){ &process->provider_ops, process };
    require(sim,
            cfa_fault_storage_new(&process->storage, &process->control, &sim->store, decide,
                                  process) == CFA_OK,
            "no store");
}

static void process_open(struct process *process, void *user) {
    struct sim *sim = process->sim;
    (void)user;
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    options.storage = &process->storage;
    options.provider = &process->provider;
    options.platform = cfa_manual_clock_platform(sim->clock);
    options.capture_manual = sim->manual;
    const cfa_sink_binding sink = { "broker", { &sink_ops, process } };
    options.sinks = &sink;
    options.sink_count = 1;
    /* The engine's descriptor is the next free one: known even if it dies while opening. */
    process->descriptors[0] = eventfd(0, EFD_CLOEXEC);
    close(process->descriptors[0]);
    cfa_engine *engine = NULL;
    cfa_status status = cfa_engine_open(&engine, &options);
    note(sim, "engine opens", process->number, status, 0);
    if (status != CFA_OK) {
        require(sim, sim->faults, "an engine does not open: %s", cfa_status_name(status));
        process->descriptors[0] = -1;
        schedule(sim, draw_time(sim, 5 * SECOND_US), EVENT_START, process->number, 0);
        return;
    }
    require(sim, cfa_port_new(&process->port, engine) == CFA_OK, "no port");
    process->engine = engine;
    process->descriptors[1] = cfa_port_descriptor(process->port);
    process->idle_us = TICK_MIN_US;
    schedule_tick(process, TICK_MIN_US);
}

static void process_close(struct process *process, void *user) {
    (void)user;
    cover_statistics(process);
    cfa_port_free(process->port);
    cfa_engine_close(process->engine);
    process->engine = NULL;
    process->port = NULL;
    process->descriptors[0] = process->descriptors[1] = -1;
    donors_process_died(process);
}

void process_free(struct process *process) {
    if (process->engine != NULL)
        (void)within(process, process_close, NULL);
    process->storage.ops->close(process->storage.self);
}

static void process_tick(struct process *process, void *user) {
    struct sim *sim = process->sim;
    (void)user;
    static const uint32_t masks[] = { CFA_WORK_ALL,
                                      CFA_WORK_ALL,
                                      CFA_WORK_ALL,
                                      CFA_WORK_COMMANDS,
                                      CFA_WORK_COMMANDS | CFA_WORK_CALLS,
                                      CFA_WORK_TOTALS | CFA_WORK_UPKEEP };
    uint32_t mask = sim->faults ? masks[draw_below(sim, 6)] : (uint32_t)CFA_WORK_ALL;
    if (chance(sim, 2000)) /* as if very many random keys had come */
        atomic_store(&process->engine->random_keys, 1000000);
    int32_t done = 0;
    cfa_status status = cfa_engine_tick(&done, process->engine, mask, 1000);
    if (status != CFA_OK || done > 0)
        note(sim, "tick", process->number, status, done);
    require(sim, status == CFA_OK || sim->faults, "a tick fails without a fault: %s",
            cfa_status_name(status));
    donors_complete(process, NULL);
    bool active = status != CFA_OK || done > 0;
    process->idle_us = active ? TICK_MIN_US : process->idle_us * 2;
    int64_t most_us = sim->faults ? 4 * HOUR_US : 10 * MINUTE_US;
    if (process->idle_us > most_us)
        process->idle_us = most_us;
}

static void tick(struct process *process, int32_t number) {
    if (process->engine == NULL || number != process->tick_number)
        return;
    if (process->busy) {
        schedule_tick(process, SECOND_US / 10);
        return;
    }
    if (within(process, process_tick, NULL))
        schedule_tick(process, process->sim->faults ? draw_time(process->sim, process->idle_us)
                                                    : process->idle_us);
}

static void restart(struct sim *sim, struct process *process) {
    if (process->engine == NULL || process->busy) {
        schedule(sim, MINUTE_US, EVENT_RESTART, process->number, 0);
        return;
    }
    note(sim, "engine closes", process->number, 0, 0);
    cover(RESTART);
    if (within(process, process_close, NULL))
        schedule(sim, draw_time(sim, SECOND_US), EVENT_START, process->number, 0);
}

void process_event(struct process *process, const struct event *event) {
    switch (event->kind) {
    case EVENT_TICK: tick(process, event->number); break;
    case EVENT_START: (void)within(process, process_open, NULL); break;
    default: restart(process->sim, process); break;
    }
}
