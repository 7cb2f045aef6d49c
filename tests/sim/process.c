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

static const cfa_sink_ops sink_ops = { sizeof sink_ops, "sim", sink_send,  sink_poll,
                                       sink_reset,      NULL,  sink_close, NULL };

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

/* Descriptors are closed, transactions rolled back. */
void process_dies(struct process *process) {
    struct sim *sim = process->sim;
    sim->deaths++;
    process->busy = false;
    process->calling[0] = '\0';
    process->saw_open_us = process->sees_open_us = 0;
    flights_die(process);
    if (process->engine != NULL)
        cover_statistics(process);
    process->engine = NULL;
    process->port = NULL;
    for (int32_t i = 0; i < 3; i++) {
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
    process_dies(process);
    return false;
}

static void descriptors_forget(struct process *process) {
    process->descriptors[0] = process->descriptors[1] = process->descriptors[2] = -1;
}

/* The engine's descriptors are the next free ones: known even if it dies while opening. */
static void descriptors_foresee(struct process *process) {
    process->descriptors[0] = eventfd(0, EFD_CLOEXEC);
    process->descriptors[2] = process->sim->flights ? eventfd(0, EFD_CLOEXEC) : -1;
    close(process->descriptors[0]);
    if (process->descriptors[2] >= 0)
        close(process->descriptors[2]);
}

void process_make(struct sim *sim, int32_t number) {
    struct process *process = &sim->processes[number];
    process->sim = sim;
    process->number = number;
    descriptors_forget(process);
    process->readable = eventfd(0, EFD_CLOEXEC);
    require(sim, process->readable >= 0, "no descriptor");
    wire_make(process);
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
    const cfa_sink_binding sink = { .name = "broker", .sink = { &sink_ops, process } };
    options.sinks = &sink;
    options.sink_count = 1;
    options.fraud_rule = sim->refunds_suspects ? CFA_FRAUD_REFUND : CFA_FRAUD_FLAG;
    options.circuit_failures = sim->breaker ? sim->circuit_failures : -1;
    options.circuit_rule = sim->rejects ? CFA_CIRCUIT_REJECT : CFA_CIRCUIT_QUEUE;
    options.circuit_open_ms = sim->circuit_open_ms;
    options.calls_in_flight = sim->calls_in_flight;
    descriptors_foresee(process);
    cfa_engine *engine = NULL;
    cfa_status status = cfa_engine_open(&engine, &options);
    note(sim, "engine opens", process->number, status, 0);
    if (status != CFA_OK) {
        require(sim, sim->faults, "an engine does not open: %s", cfa_status_name(status));
        descriptors_forget(process);
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
    descriptors_forget(process);
    process->saw_open_us = process->sees_open_us = 0;
    require(process->sim, flights_in_air(process) == 0, "a closed engine left calls in flight");
    process->life++;
    donors_process_died(process);
}

void process_free(struct process *process) {
    if (process->engine != NULL)
        (void)within(process, process_close, NULL);
    close(process->readable);
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
    if (sim->faults && draw_below(sim, 64) == 0) {
        mask |= CFA_WORK_NO_COMMIT;
        cover(NO_COMMIT);
    }
    circuit_watch(process);
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
    if (flights_in_air(process) > 0)
        most_us = MINUTE_US; /* a host looks after its calls */
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

#define RESTART_TRIES 400 /* to find calls in flight */

static void restart(struct sim *sim, struct process *process, int32_t tries) {
    bool worth =
        !sim->flights || !sim->faults || tries >= RESTART_TRIES || flights_in_air(process) > 0;
    if (process->engine == NULL || process->busy || !worth) {
        schedule(sim, draw_time(sim, 5 * SECOND_US), EVENT_RESTART, process->number, tries + 1);
        return;
    }
    if (flights_in_air(process) > 0)
        cover(FLIGHTS_AT_CLOSE);
    note(sim, "engine closes", process->number, 0, 0);
    cover(RESTART);
    if (within(process, process_close, NULL))
        schedule(sim, draw_time(sim, SECOND_US), EVENT_START, process->number, 0);
}

/* The host's loop sees that a call in flight has moved, at once or later. */
static void wake(struct process *process, int32_t life) {
    struct sim *sim = process->sim;
    if (process->engine != NULL && process->life == life && flights_in_air(process) > 0 &&
        !(sim->faults && draw_below(sim, 8) == 0))
        schedule_tick(process, 1000);
}

void process_event(struct process *process, const struct event *event) {
    switch (event->kind) {
    case EVENT_LANDS: wake(process, event->number); break;
    case EVENT_TICK: tick(process, event->number); break;
    case EVENT_START: (void)within(process, process_open, NULL); break;
    default: restart(process->sim, process, event->number); break;
    }
}
