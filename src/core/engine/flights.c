/*
 * flights.c - provider calls that nobody waits for on a thread of his own: one after the other, or,
 * when the provider can, many in flight at once. Results are enqueued, never waited for.
 */
#include "core/engine/calls.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.flights"
#define READY_BATCH 64 /* calls of one step when each is made to its end */
#define IN_TURN_MAX 4  /* leased at once then: what one lease can hold, also when calls are slow */
#define RESULT_DELAY_US 20000
#define LAND_STEP_MS 100
#define WAIT_STEP_MS 5 /* a thread that waits for completions looks at them this often */

/* A committed operation of ours, kept alive by the command that made it. */
struct cfa__ready_call {
    struct cfa__ready_call *next;
    const cfa__operation *operation;
    const cfa__payment *payment;
    cfa__command *command;
    cfa__call_done done;
    void *user;
    int64_t leased_us;
    int32_t retries;
};

struct cfa__flight {
    cfa__flight *next;      /* while free */
    cfa__ready_call *ready; /* NULL: free */
    cfa__call_made made;
};

/* ---- ready calls ----------------------------------------------------------------------------- */

/* A due call that a tick has found, not one that came with its caller's own command. */
static bool was_due(const cfa__ready_call *ready) {
    return ready->command->decide == cfa__operation_lease;
}

cfa_status cfa__calls_ready(cfa_engine *engine, cfa__command *command,
                            const cfa__operation *operation, const cfa__payment *payment,
                            int64_t leased_us, cfa__call_done done, void *user) {
    cfa__ready_call *ready = cfa_arena_alloc(command->arena, sizeof *ready);
    if (ready == NULL)
        return CFA_ENOMEM;
    *ready = (cfa__ready_call){ NULL, operation, payment, command, done, user, leased_us, 0 };
    pthread_mutex_lock(&engine->call_lock);
    if (engine->ready_last != NULL)
        engine->ready_last->next = ready;
    else
        engine->ready_first = ready;
    engine->ready_last = ready;
    if (was_due(ready))
        atomic_fetch_add(&engine->leased_count, 1);
    pthread_mutex_unlock(&engine->call_lock);
    cfa__signal(engine);
    return CFA_OK;
}

static cfa__ready_call *ready_take(cfa_engine *engine) {
    pthread_mutex_lock(&engine->call_lock);
    cfa__ready_call *ready = engine->ready_first;
    if (ready != NULL) {
        engine->ready_first = ready->next;
        if (engine->ready_first == NULL)
            engine->ready_last = NULL;
    }
    bool more = ready != NULL && was_due(ready) && atomic_fetch_sub(&engine->leased_count, 1) == 1;
    pthread_mutex_unlock(&engine->call_lock);
    if (more)
        cfa__signal(engine); /* others may be leased now, for other threads too */
    return ready;
}

bool cfa__calls_are_ready(cfa_engine *engine) {
    pthread_mutex_lock(&engine->call_lock);
    bool ready = engine->ready_first != NULL;
    pthread_mutex_unlock(&engine->call_lock);
    return ready && atomic_load(&engine->flight_count) < engine->options.calls_in_flight;
}

static void committed(cfa_engine *engine, cfa__command *result, void *user) {
    cfa__ready_call *ready = user;
    if (cfa__result_may_retry(result->status) && ready->retries < CFA__RESULT_RETRIES) {
        ready->retries++;
        cfa__command_delay(engine, result, RESULT_DELAY_US, committed, ready);
        return;
    }
    atomic_fetch_sub(&engine->result_count, 1);
    ready->done(engine, ready->command, result, ready->user);
}

/* The call is over: enqueue what it brought. */
static void report(cfa_engine *engine, cfa__ready_call *ready, cfa__call_made *made) {
    cfa__command *result = NULL;
    cfa_status status = cfa__call_close(&result, engine, made);
    if (status != CFA_OK) { /* the lease's end brings it back */
        ready->done(engine, ready->command, NULL, ready->user);
        return;
    }
    atomic_fetch_add(&engine->result_count, 1);
    if (cfa__command_submit(engine, result, committed, ready) != CFA_OK) /* a full queue */
        cfa__command_delay(engine, result, RESULT_DELAY_US, committed, ready);
}

/* Describe a ready call; false when it must not be made any more, which its owner is told. */
static bool open_call(cfa_engine *engine, cfa__ready_call *ready, cfa__call_made *out) {
    if (cfa__call_open(out, engine, ready->operation, ready->payment, ready->leased_us,
                       INT32_MAX) == CFA_OK)
        return true;
    ready->done(engine, ready->command, NULL, ready->user);
    return false;
}

/* ---- one after the other --------------------------------------------------------------------- */

static int32_t run_in_turn(cfa_engine *engine, int64_t until_us, bool *out_called) {
    int32_t taken = 0;
    cfa__ready_call *ready;
    while (taken < READY_BATCH && !atomic_load(&engine->stopping) &&
           (!*out_called || cfa__monotonic_us(engine) < until_us) &&
           (ready = ready_take(engine)) != NULL) {
        cfa__call_made call;
        taken++;
        if (!open_call(engine, ready, &call))
            continue; /* its lease is over: a host that ticks rarely is to make another now */
        *out_called = true;
        if (call.to_send)
            engine->provider.ops->call(engine->provider.self, &call.call, call.arena, &call.reply);
        report(engine, ready, &call);
    }
    return taken;
}

/* ---- many in flight -------------------------------------------------------------------------- */

bool cfa__provider_has_flights(const cfa_engine *engine) {
    const cfa_provider_ops *ops = engine->provider.ops;
    return ops != NULL &&
           ops->struct_size >= offsetof(cfa_provider_ops, next_due_ms) + sizeof ops->next_due_ms &&
           ops->start != NULL;
}

cfa_status cfa__flights_open(cfa_engine *engine) {
    if (!cfa__provider_has_flights(engine))
        return CFA_OK;
    const cfa_provider_ops *ops = engine->provider.ops;
    if (ops->finish == NULL || ops->descriptor == NULL || ops->next_due_ms == NULL ||
        ops->call == NULL)
        return cfa_error_set(
            CFA_EINVAL, ORIGIN, "provider", 0,
            "a provider with start needs finish, descriptor, next_due_ms and call");
    size_t size = (size_t)engine->options.calls_in_flight * sizeof *engine->flights;
    engine->flights = cfa_arena_alloc(engine->memory, size);
    if (engine->flights == NULL)
        return CFA_ENOMEM;
    for (int32_t i = engine->options.calls_in_flight; i-- > 0;) {
        engine->flights[i].next = engine->free_flight;
        engine->free_flight = &engine->flights[i];
    }
    return CFA_OK;
}

/* Let go of a flight before its result is told: that may start the next one. */
static void land(cfa_engine *engine, cfa__flight *flight) {
    cfa__ready_call *ready = flight->ready;
    cfa__call_made made = flight->made;
    flight->ready = NULL;
    flight->next = engine->free_flight;
    engine->free_flight = flight;
    atomic_fetch_sub(&engine->flight_count, 1);
    report(engine, ready, &made);
}

static void log_unstarted(const cfa_engine *engine, cfa_status status) {
    cfa_error error = CFA_ERROR_INIT;
    bool told = cfa_error_last(&error) == CFA_OK && error.status == status;
    cfa__log(engine, CFA_LOG_WARNING, "call_not_started",
             told ? error.message : cfa_status_text(status));
}

static void start(cfa_engine *engine, cfa__ready_call *ready) {
    cfa__flight *flight = engine->free_flight;
    if (!open_call(engine, ready, &flight->made))
        return;
    engine->free_flight = flight->next;
    flight->ready = ready;
    atomic_fetch_add(&engine->flight_count, 1);
    cfa__call_made *made = &flight->made;
    uint64_t token = (uint64_t)(flight - engine->flights) + 1;
    if (made->to_send) {
        const cfa_provider_ops *ops = engine->provider.ops;
        cfa_status status =
            ops->start(engine->provider.self, &made->call, made->arena, &made->reply, token);
        if (status == CFA_OK)
            return;
        log_unstarted(engine, status);
        made->to_send = false; /* which says nothing about the provider */
        made->reply.outcome =
            made->kind == CFA_CALL_LOOKUP ? CFA_OUTCOME_UNKNOWN : CFA_OUTCOME_NOT_SENT;
    }
    land(engine, flight);
}

/* Land what has ended, waiting at most `timeout_ms` for the first; with the flight lock held. */
static int32_t land_ended(cfa_engine *engine, int32_t timeout_ms) {
    const cfa_provider_ops *ops = engine->provider.ops;
    int32_t landed = 0;
    uint64_t token = 0;
    while (landed < engine->options.calls_in_flight && atomic_load(&engine->flight_count) > 0 &&
           ops->finish(engine->provider.self, &token, landed == 0 ? timeout_ms : 0) != 0) {
        landed++;
        bool known = token >= 1 && token <= (uint64_t)engine->options.calls_in_flight &&
                     engine->flights[token - 1].ready != NULL;
        if (known)
            land(engine, &engine->flights[token - 1]);
        else /* an adapter's mistake must not stop the book */
            cfa__log(engine, CFA_LOG_ERROR, "flight_unknown",
                     "the provider's adapter ended a call that is not in flight");
    }
    return landed;
}

static int32_t run_flights(cfa_engine *engine) {
    int32_t done = 0;
    if (pthread_mutex_trylock(&engine->flight_lock) != 0)
        return 0; /* another thread drives them */
    cfa__ready_call *ready;
    while (!atomic_load(&engine->stopping) && engine->free_flight != NULL &&
           (ready = ready_take(engine)) != NULL) {
        start(engine, ready);
        done++;
    }
    done += land_ended(engine, 0);
    pthread_mutex_unlock(&engine->flight_lock);
    return done;
}

int32_t cfa__calls_run_ready(cfa_engine *engine, int64_t until_us, bool *out_called) {
    bool called = false;
    int32_t taken =
        engine->flights != NULL ? run_flights(engine) : run_in_turn(engine, until_us, &called);
    if (out_called != NULL)
        *out_called = called;
    return taken;
}

bool cfa__flights_wait(cfa_engine *engine, int32_t timeout_ms) {
    if (atomic_load(&engine->flight_count) == 0 || pthread_mutex_trylock(&engine->flight_lock) != 0)
        return false;
    (void)land_ended(engine, timeout_ms < WAIT_STEP_MS ? timeout_ms : WAIT_STEP_MS);
    pthread_mutex_unlock(&engine->flight_lock);
    return true;
}

int32_t cfa__calls_room(cfa_engine *engine) {
    int32_t leased = atomic_load(&engine->leased_count);
    if (engine->flights == NULL)
        return leased == 0 ? IN_TURN_MAX : 0;
    int32_t room = engine->options.calls_in_flight - atomic_load(&engine->flight_count) - leased;
    return room < CFA__LEASE_MAX ? room : CFA__LEASE_MAX;
}

int32_t cfa__flights_due_ms(cfa_engine *engine) {
    if (engine->flights == NULL || atomic_load(&engine->flight_count) == 0 ||
        pthread_mutex_trylock(&engine->flight_lock) != 0)
        return -1;
    int32_t due = engine->provider.ops->next_due_ms(engine->provider.self);
    pthread_mutex_unlock(&engine->flight_lock);
    return due;
}

static void commit_results(cfa_engine *engine) {
    while (atomic_load(&engine->result_count) > 0 && cfa__lead_once(engine))
        continue;
}

void cfa__flights_land(cfa_engine *engine) {
    pthread_mutex_lock(&engine->flight_lock);
    /* Each ends by its own time-out: the adapter's promise. */
    while (atomic_load(&engine->flight_count) > 0) {
        (void)land_ended(engine, LAND_STEP_MS);
        commit_results(engine);
    }
    commit_results(engine);
    pthread_mutex_unlock(&engine->flight_lock);
}

void cfa__calls_close(cfa_engine *engine) {
    assert(atomic_load(&engine->flight_count) == 0);
    cfa__ready_call *ready;
    while ((ready = ready_take(engine)) != NULL)
        ready->done(engine, ready->command, NULL, ready->user);
}
