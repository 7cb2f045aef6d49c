/*
 * world.c - the world around the engines: virtual time and its queue of events, chance, processes that die and come
 * back, a store and a provider that misbehave, webhooks on their way.
 */
#include "sim/sim.h"
#include "core/engine/engine.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define START_US INT64_C(1767225600000000)   /* as the manual clock */
#define TICK_MIN_US (20 * INT64_C(1000))
#define WEBHOOK_TRIES 14
#define STRAGGLE_US (9 * MINUTE_US)          /* absence counts as proven ten minutes after the last request */

const char *const currencies[CURRENCIES] = { "EUR", "JPY", "KWD", "USD" };

/* ---- chance ----------------------------------------------------------------------------------------------------- */

/* SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t draw(struct sim *sim) {
    sim->random_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t bits = sim->random_state;
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
    return bits ^ (bits >> 31);
}

int64_t draw_below(struct sim *sim, int64_t limit) {
    return limit <= 1 ? 0 : (int64_t)(draw(sim) % (uint64_t)limit);
}

bool chance(struct sim *sim, int32_t ppm) {
    return ppm > 0 && draw_below(sim, 1000000) < ppm;
}

int64_t draw_time(struct sim *sim, int64_t mean_us) {
    int64_t scale = mean_us;
    for (int64_t luck = draw_below(sim, 64); luck > 0; luck >>= 1)
        scale = luck % 2 != 0 && scale > 8 ? scale / 2 : scale;
    return 1000 + draw_below(sim, chance(sim, 20000) ? 20 * mean_us : 2 * scale);
}

/* ---- memory ------------------------------------------------------------------------------------------------------- */

void *take(size_t size) {
    void *memory = calloc(1, size);
    if (memory == NULL)
        exit(1);
    return memory;
}

void *grow(void *memory, int32_t count, int32_t *capacity, size_t size) {
    if (count < *capacity)
        return memory;
    *capacity = *capacity == 0 ? 64 : *capacity * 2;
    void *grown = realloc(memory, (size_t)*capacity * size);
    if (grown == NULL)
        exit(1);
    return grown;
}

/* ---- the queue of events -------------------------------------------------------------------------------------------- */

static bool earlier(const struct event *a, const struct event *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void schedule(struct sim *sim, int64_t delay_us, int32_t kind, int32_t subject, int32_t number) {
    sim->heap = grow(sim->heap, sim->heap_count, &sim->heap_capacity, sizeof *sim->heap);
    struct event made = { sim->now_us + delay_us, draw(sim), kind, subject, number };
    int32_t at = sim->heap_count++;
    while (at > 0 && earlier(&made, &sim->heap[(at - 1) / 2])) {
        sim->heap[at] = sim->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    sim->heap[at] = made;
}

static struct event pop(struct sim *sim) {
    struct event first = sim->heap[0], last = sim->heap[--sim->heap_count];
    int32_t at = 0;
    for (;;) {
        int32_t child = 2 * at + 1;
        if (child >= sim->heap_count)
            break;
        if (child + 1 < sim->heap_count && earlier(&sim->heap[child + 1], &sim->heap[child]))
            child++;
        if (!earlier(&sim->heap[child], &last))
            break;
        sim->heap[at] = sim->heap[child];
        at = child;
    }
    sim->heap[at] = last;
    return first;
}

static void advance_to(struct sim *sim, int64_t at_us) {
    if (at_us <= sim->now_us)
        return;
    cfa_manual_clock_advance(sim->clock, at_us - sim->now_us);
    sim->now_us = at_us;
}

/* ---- misfortune of the store -------------------------------------------------------------------------------------------- */

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
    bool races = call == CFA_FAULT_SAVE || call == CFA_FAULT_COMMIT, loses = races && process->losses > 0;
    if (call == CFA_FAULT_ROLLBACK || (!loses && !chance(sim, sim->rates.fail)))
        return CFA_FAULT_PASS;
    process->losses -= loses;
    switch (loses ? 2 : draw_below(sim, races ? 3 : 2)) {
    case 0: *out_status = CFA_EBUSY; cover(FAIL_BUSY); break;
    case 1: *out_status = CFA_EIO; cover(FAIL_IO); break;
    default: *out_status = CFA_EVERSION; cover(FAIL_VERSION); break;
    }
    note(sim, "storage call fails", process->number, call, *out_status);
    return CFA_FAULT_FAIL;
}

/* ---- the way to the provider -------------------------------------------------------------------------------------------- */

static cfa_status provider_prepare(void *self, const cfa_call *call, cfa_arena *arena, cfa_slice *out_body) {
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
    const char **texts[] = { &copy->operation_id, &copy->payment_id, &copy->idempotency_key, &copy->account,
                             &copy->ref, &copy->payment_method };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (*texts[i] != NULL)
            *texts[i] = cfa_arena_copy(straggler->arena, *texts[i], strlen(*texts[i]));
    }
    copy->body.data = cfa_arena_copy(straggler->arena, call->body.data, call->body.size);
    schedule(sim, draw_below(sim, STRAGGLE_US), EVENT_STRAGGLE, sim->straggler_count++, 0);
    cover(CALL_STRAGGLES);
}

static void straggler_arrives(struct sim *sim, int32_t number) {
    struct straggler *straggler = &sim->stragglers[number];
    const cfa_provider *play = cfa_play_provider(sim->play);
    cfa_reply reply = { .struct_size = sizeof reply };
    play->ops->call(play->self, &straggler->call, straggler->arena, &reply);
    note(sim, "a straggling request arrives", number, straggler->call.kind, reply.outcome);
    cfa_arena_free(straggler->arena);
    straggler->arena = NULL;
    collect_webhooks(sim);
}

/* Time passes on the way to the provider and back; the other process works meanwhile, and this one may die. */
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

/* ---- a sink, the same behind both processes ------------------------------------------------------------------------- */

static cfa_status sink_send(void *self, const cfa_event_view *events, size_t count, size_t *out_taken) {
    struct process *process = self;
    struct sim *sim = process->sim;
    if (sim->faults && draw_below(sim, 8) == 0) {
        cover(SINK_FAILS);
        return cfa_error_set(CFA_EUNAVAILABLE, "sink.sim", NULL, 0, "the broker cannot be reached");
    }
    size_t taken = sim->faults ? (size_t)draw_below(sim, (int64_t)count + 1) : count;
    for (size_t i = 0; i < taken; i++) {
        require(sim, events[i].position == process->sent_position + 1, "S8: a sink is sent %lld after %lld",
                (long long)events[i].position, (long long)process->sent_position);
        process->sent_position = events[i].position;
        require(sim, events[i].position <= sim->broker_position + 1, "S8: a sink never got event %lld",
                (long long)sim->broker_position + 1);
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

static void sink_close(void *self) {
    (void)self;
}

static const cfa_sink_ops sink_ops = { sizeof sink_ops, "sim", sink_send, sink_poll, sink_reset, NULL,
                                       sink_close };

/* ---- processes ------------------------------------------------------------------------------------------------------------- */

struct process *free_process(struct sim *sim) {
    int32_t first = (int32_t)draw_below(sim, ENGINES);
    for (int32_t i = 0; i < ENGINES; i++) {
        struct process *process = &sim->processes[(first + i) % ENGINES];
        if (process->engine != NULL && !process->busy)
            return process;
    }
    return NULL;
}

static bool all_are_busy(const struct sim *sim) {
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

/* What the system does when a process dies: descriptors closed, transactions rolled back, memory gone. */
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

bool within(struct process *process, void (*action)(struct process *process, void *user), void *user) {
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
    require(sim, cfa_fault_storage_new(&process->storage, &process->control, &sim->store, decide, process) == CFA_OK,
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
    /* The engine's descriptor is the next free one: known even if the process dies while opening. */
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
    static const uint32_t masks[] = { CFA_WORK_ALL, CFA_WORK_ALL, CFA_WORK_ALL, CFA_WORK_COMMANDS,
                                      CFA_WORK_COMMANDS | CFA_WORK_CALLS, CFA_WORK_TOTALS | CFA_WORK_UPKEEP };
    uint32_t mask = sim->faults ? masks[draw_below(sim, 6)] : (uint32_t)CFA_WORK_ALL;
    if (chance(sim, 2000))   /* as if very many random keys had come */
        atomic_store(&process->engine->random_keys, 1000000);
    int32_t done = 0;
    cfa_status status = cfa_engine_tick(&done, process->engine, mask, 1000);
    if (status != CFA_OK || done > 0)
        note(sim, "tick", process->number, status, done);
    require(sim, status == CFA_OK || sim->faults, "a tick fails without a fault: %s", cfa_status_name(status));
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
        schedule_tick(process, process->sim->faults ? draw_time(process->sim, process->idle_us) : process->idle_us);
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

/* ---- webhooks ------------------------------------------------------------------------------------------------------------ */

void collect_webhooks(struct sim *sim) {
    for (;;) {
        char *signature, *body;
        require(sim, cfa_play_webhook_take(&signature, &body, sim->play) == CFA_OK, "no webhook");
        if (body == NULL)
            break;
        cfa_free(signature);
        sim->webhooks = grow(sim->webhooks, sim->webhook_count, &sim->webhook_capacity, sizeof *sim->webhooks);
        sim->webhooks[sim->webhook_count] = (struct webhook){ body, 0, sim->now_us };
        sim->webhooks_waiting++;
        int64_t delay_us = draw_time(sim, SECOND_US);
        if (sim->faults && chance(sim, sim->rates.late_webhook))
            delay_us = draw_below(sim, 3 * DAY_US);
        schedule(sim, delay_us, EVENT_WEBHOOK, sim->webhook_count++, 0);
    }
    stir(sim);
}

static void cover_verdict(struct sim *sim, const struct webhook *webhook, cfa_webhook_verdict verdict) {
    if (sim->now_us - webhook->made_us > DAY_US)
        cover(WEBHOOK_LATE);
    switch (verdict) {
    case CFA_WEBHOOK_APPLIED: cover(WEBHOOK_APPLIED); break;
    case CFA_WEBHOOK_DUPLICATE: cover(WEBHOOK_DUPLICATE); break;
    case CFA_WEBHOOK_STALE: cover(WEBHOOK_STALE); break;
    case CFA_WEBHOOK_PARKED: cover(WEBHOOK_PARKED); break;
    default: break;
    }
}

static void webhook_deliver(struct process *process, void *user) {
    struct sim *sim = process->sim;
    int32_t number = *(const int32_t *)user;
    const cfa_slice body = { sim->webhooks[number].body, strlen(sim->webhooks[number].body) };
    /* Signed by a clock that agrees with the receiver's, or now and then by the true time. */
    int64_t now_us = chance(sim, 20000) ? START_US + sim->now_us : cfa_manual_clock_now_us(sim->clock);
    char *signature;
    require(sim, cfa_play_sign(&signature, sim->play, body, now_us) == CFA_OK, "no signature");
    cfa_webhook_verdict verdict = 0;
    cfa_status status = cfa_webhook_receive(&verdict, process->engine, (cfa_slice){ signature, strlen(signature) },
                                            body, -1);
    cfa_free(signature);
    note(sim, "webhook", number, status, verdict);
    if (status == CFA_OK) {
        cover_verdict(sim, &sim->webhooks[number], verdict);
        cfa_free(sim->webhooks[number].body);
        sim->webhooks[number].body = NULL;
        sim->webhooks_waiting--;
        return;
    }
    if (status == CFA_ESIGNATURE)
        cover(WEBHOOK_REFUSED);
    require(sim, status == CFA_ESIGNATURE || sim->faults, "a webhook is refused: %s", cfa_status_name(status));
}

static void webhook_event(struct sim *sim, int32_t number) {
    struct process *process = free_process(sim);
    if (process == NULL) {
        schedule(sim, draw_time(sim, SECOND_US), EVENT_WEBHOOK, number, 0);
        return;
    }
    (void)within(process, webhook_deliver, &number);
    struct webhook *webhook = &sim->webhooks[number];
    if (webhook->body == NULL)
        return;
    if (++webhook->tries > WEBHOOK_TRIES && sim->faults && !sim->deaf) {
        note(sim, "webhook given up", number, 0, 0);
        cfa_free(webhook->body);
        webhook->body = NULL;
        sim->webhooks_waiting--;
        return;
    }
    schedule(sim, draw_time(sim, SECOND_US << (webhook->tries < 15 ? webhook->tries : 15)), EVENT_WEBHOOK, number,
             0);
}

/* ---- weather, clock, campaigns ---------------------------------------------------------------------------------------------- */

void weather_draw(struct sim *sim) {
    if (!sim->faults)
        return;
    cfa_play_weather weather = sim->weather;
    int64_t lasts_us = draw_time(sim, 2 * HOUR_US);
    int64_t kind = draw_below(sim, 12);
    if (kind == 0)
        weather = (cfa_play_weather)CFA_PLAY_WEATHER_INIT;
    bool mayhem = !sim->mayhem && kind == 1;
    if (mayhem) {
        /* Processes die in the middle of calls; often the provider is gone for long right after. */
        weather.reply_lost_ppm = weather.error_after_ppm = 200000;
        weather.request_lost_ppm = weather.error_before_ppm = weather.not_sent_ppm = 0;
        lasts_us = draw_time(sim, 20 * MINUTE_US);
    } else if (kind == 2 || kind == 3 || (sim->mayhem && kind % 2 == 0)) {
        /* Nothing comes back, nothing gets there, or nobody answers at all. */
        int32_t *const all[] = { &weather.reply_lost_ppm, &weather.request_lost_ppm, &weather.not_sent_ppm };
        weather.reply_lost_ppm = weather.request_lost_ppm = weather.error_after_ppm = 0;
        weather.error_before_ppm = weather.not_sent_ppm = 0;
        *all[draw_below(sim, 3)] = 1000000;
        lasts_us = draw_time(sim, kind == 2 ? 5 * MINUTE_US : 20 * HOUR_US);
        if (lasts_us > 12 * HOUR_US)
            cover(OUTAGE);
    }
    sim->mayhem = mayhem;
    require(sim, cfa_play_weather_set(sim->play, &weather) == CFA_OK, "the weather is refused");
    note(sim, "weather", kind, lasts_us, 0);
    schedule(sim, lasts_us, EVENT_WEATHER, 0, 0);
}

static void jump(struct sim *sim) {
    if (!sim->faults)
        return;
    int64_t wanted_us = draw_below(sim, 3) == 0 ? 0 : draw_below(sim, 2 * HOUR_US) - HOUR_US;
    cfa_manual_clock_jump(sim->clock, wanted_us - sim->jumped_us);
    note(sim, "wall clock jumps", wanted_us - sim->jumped_us, 0, 0);
    sim->jumped_us = wanted_us;
    cover(CLOCK_JUMP);
    schedule(sim, draw_time(sim, 8 * HOUR_US), EVENT_JUMP, 0, 0);
}

static void campaign_end(struct process *process, void *user) {
    struct sim *sim = process->sim;
    int32_t number = *(const int32_t *)user;
    cfa_campaign *campaign;
    char key[24];
    snprintf(key, sizeof key, "end-%d", (int)number);
    sim->campaign_ending[number] = true;
    cfa_status status = cfa_campaign_end(&campaign, process->engine, sim->campaign_ids[number], 1, NULL, key);
    note(sim, "campaign ends", number, status, 0);
    if (status != CFA_OK)
        return;
    require(sim, cfa_campaign_state_of(campaign) == CFA_CAMPAIGN_ENDED, "an ended campaign is open");
    cfa_campaign_free(campaign);
    sim->campaign_ended_us[number] = sim->now_us;
    cover(CAMPAIGN_ENDED);
}

static void campaign_event(struct sim *sim, int32_t number) {
    struct process *process = free_process(sim);
    if (process != NULL)
        (void)within(process, campaign_end, &number);
    if (sim->campaign_ended_us[number] == 0)
        schedule(sim, draw_time(sim, 5 * SECOND_US), EVENT_END_CAMPAIGN, number, 0);
}

static void totals_read(struct process *process, void *user) {
    check_totals_read(process, *(const int32_t *)user, 0);
}

static void read_event(struct sim *sim) {
    int32_t campaign = (int32_t)draw_below(sim, CAMPAIGNS);
    struct process *process = free_process(sim);
    if (process != NULL)
        (void)within(process, totals_read, &campaign);
    schedule(sim, draw_time(sim, 20 * MINUTE_US), EVENT_READ, 0, 0);
}

/* ---- one thing after the other ------------------------------------------------------------------------------------------------ */

static void dispatch(struct sim *sim, const struct event *event) {
    switch (event->kind) {
    case EVENT_TICK: tick(&sim->processes[event->subject], event->number); break;
    case EVENT_START: (void)within(&sim->processes[event->subject], process_open, NULL); break;
    case EVENT_RESTART: restart(sim, &sim->processes[event->subject]); break;
    case EVENT_WEBHOOK: webhook_event(sim, event->subject); break;
    case EVENT_READ: read_event(sim); break;
    case EVENT_JUMP: jump(sim); break;
    case EVENT_WEATHER: weather_draw(sim); break;
    case EVENT_END_CAMPAIGN: campaign_event(sim, event->subject); break;
    case EVENT_STRAGGLE: straggler_arrives(sim, event->subject); break;
    default: donor_event(sim, event); break;
    }
}

void run_until(struct sim *sim, int64_t until_us) {
    while (sim->heap_count > 0 && sim->heap[0].at_us <= until_us && !all_are_busy(sim)) {
        struct event event = pop(sim);
        advance_to(sim, event.at_us);
        dispatch(sim, &event);
    }
    advance_to(sim, until_us);
}
