/*
 * circuit.c - counting calls for the circuit breaker. Only what shows that the provider is out
 * counts; a decline shows that it is there.
 */
#include "core/engine/circuit.h"
#include "core/decide/evidence.h"
#include "core/engine/calls.h"

#include <string.h>

#define ORIGIN "core.circuit"
#define WINDOW_US INT64_C(30000000)

bool cfa__circuit_is_closed(const cfa_engine *engine) {
    return atomic_load(&engine->circuit.state) == CFA__BREAKER_CLOSED;
}

cfa__circuit cfa__circuit_asked(const cfa_engine *engine) {
    cfa__circuit circuit = { { NULL, 0 }, { NULL, 0 }, 0 };
    if (cfa__circuit_is_closed(engine))
        return circuit;
    circuit.provider = cfa__slice(engine->provider_name);
    circuit.account = cfa__slice(engine->account);
    circuit.lease_ms = cfa__lease_ms(engine);
    return circuit;
}

int64_t cfa__circuit_wait_ms(const cfa_engine *engine) {
    if (cfa__circuit_is_closed(engine))
        return 0;
    int64_t left_us = atomic_load(&engine->circuit.retry_us) - cfa__book_now_us(engine);
    return left_us > 0 ? left_us / 1000 + 1 : 0;
}

cfa_status cfa__circuit_refuse(const cfa_engine *engine, int64_t until_us) {
    cfa_error error = CFA_ERROR_INIT;
    (void)cfa_error_format(CFA_ECIRCUIT, ORIGIN, "provider", 0,
                           "%s is out; the pledge is kept, ask again with the same key",
                           engine->provider_name);
    if (cfa_error_last(&error) != CFA_OK)
        return CFA_ECIRCUIT;
    int64_t left_us = until_us - cfa__book_now_us(engine);
    error.retry_after_ms = left_us > 1000000 ? (left_us + 999) / 1000 : 1000;
    return cfa_error_restore(&error);
}

static void seen(cfa_engine *engine, int64_t state, int64_t retry_us) {
    atomic_store(&engine->circuit.retry_us, retry_us);
    int before = atomic_exchange(&engine->circuit.state, (int)state);
    if (state != CFA__BREAKER_CLOSED || before == CFA__BREAKER_CLOSED)
        return;
    pthread_mutex_lock(&engine->circuit.lock);
    engine->circuit.calls = 0; /* the outage is over: its failures open nothing again */
    pthread_mutex_unlock(&engine->circuit.lock);
    atomic_store(&engine->operation_due_us, 0); /* what was put off is due */
    cfa__signal(engine);
}

cfa_query cfa__circuit_query(const cfa_engine *engine, cfa__breaker *key) {
    memset(key, 0, sizeof *key);
    key->provider = cfa__slice(engine->provider_name);
    key->account = cfa__slice(engine->account);
    return (cfa_query){ .kind = &cfa__breaker_kind, .match_count = 2, .limit = 1, .key = key };
}

void cfa__circuit_found(cfa_engine *engine, const cfa_query *query) {
    if (query->count == 0)
        return;
    const cfa__breaker *breaker = query->records[0];
    seen(engine, breaker->state, breaker->retry_us);
}

cfa_status cfa__circuit_open(cfa_engine *engine) {
    if (engine->provider.ops == NULL)
        return CFA_OK;
    cfa__reader *reader;
    cfa_status status = cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status != CFA_OK)
        return status;
    cfa__breaker key;
    cfa_query query = cfa__circuit_query(engine, &key);
    status = cfa__read_queries(engine, reader, &query, 1);
    if (status == CFA_OK)
        cfa__circuit_found(engine, &query);
    cfa__read_end(engine, reader);
    return status;
}

void cfa__circuit_refused(cfa_engine *engine, int64_t until_us) {
    /* Open or half open; the latter is the one in which every failure is worth a report. */
    seen(engine, CFA__BREAKER_HALF_OPEN, until_us);
}

static void reported(cfa_engine *engine, cfa__command *command, void *user) {
    (void)user;
    if (command->status == CFA_OK) {
        const cfa__circuit_answer *answer = command->output;
        seen(engine, answer->state, answer->retry_us);
    }
    atomic_store(&engine->circuit.reporting, false);
    cfa__command_release(engine, command);
}

static bool submit(cfa_engine *engine, bool out) {
    cfa__command *command = NULL;
    cfa_status status =
        cfa__command_new(&command, engine, cfa__circuit_report, sizeof(cfa__circuit_answer));
    cfa__circuit_input *input =
        status == CFA_OK ? cfa_arena_alloc(command->arena, sizeof *input) : NULL;
    if (input == NULL || cfa__draw_id(engine, &input->breaker_id) != CFA_OK) {
        cfa__command_release(engine, command);
        return false;
    }
    input->circuit.provider = cfa__slice(engine->provider_name);
    input->circuit.account = cfa__slice(engine->account);
    input->out = out;
    input->open_ms = engine->options.circuit_open_ms;
    command->input = input;
    if (cfa__command_submit(engine, command, reported, NULL) == CFA_OK)
        return true;
    cfa__command_release(engine, command);
    return false;
}

/* One report at a time; what is lost is reported again after the next call. */
static void report(cfa_engine *engine, bool out) {
    if (!atomic_exchange(&engine->circuit.reporting, true) && !submit(engine, out))
        atomic_store(&engine->circuit.reporting, false);
}

/*
 * Remember one more call; true when enough of the newest ones have failed: a number, so that one
 * lost reply in a quiet hour is no outage, and half of them, because of many calls any smaller part
 * fails together by chance now and then.
 */
static bool count(cfa_engine *engine, bool failed) {
    cfa__circuit_state *circuit = &engine->circuit;
    int64_t now_us = cfa__monotonic_us(engine);
    int32_t failures = 0, recent = 0;
    pthread_mutex_lock(&circuit->lock);
    uint32_t slot = circuit->calls++ % CFA__CIRCUIT_CALLS;
    circuit->ring[slot].at_us = now_us;
    circuit->ring[slot].failed = failed;
    uint32_t known = circuit->calls < CFA__CIRCUIT_CALLS ? circuit->calls : CFA__CIRCUIT_CALLS;
    for (uint32_t i = 0; i < known; i++) {
        bool in_window = now_us - circuit->ring[i].at_us < WINDOW_US;
        recent += in_window;
        failures += in_window && circuit->ring[i].failed;
    }
    pthread_mutex_unlock(&circuit->lock);
    return failures >= engine->options.circuit_failures && 2 * failures >= recent;
}

void cfa__circuit_note(cfa_engine *engine, const cfa_reply *reply) {
    bool failed = reply->unavailable != 0; /* else it answered, whatever it said */
    if (engine->options.circuit_failures < 0)
        return;
    bool enough = count(engine, failed);
    bool open = atomic_load(&engine->circuit.state) == CFA__BREAKER_OPEN;
    if (cfa__circuit_is_closed(engine) ? failed && enough
                                       : !failed || !open || cfa__circuit_wait_ms(engine) == 0)
        report(engine, failed);
}
