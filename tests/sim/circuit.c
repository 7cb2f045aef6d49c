/*
 * circuit.c - what must be true of the circuit breaker: its events alternate, what it refuses is kept
 * and never charged behind the donor's back, what it holds back does not go out, and it closes.
 */
#include "sim/sim.h"
#include "core/decide/decide.h"
#include "core/engine/engine.h"
#include "core/records.h"

#include <stdlib.h>
#include <string.h>

enum { CLOSED, OPEN, HALF_OPEN };

#define LEASE_US (40 * SECOND_US) /* a call's own 30 s and a margin: for the one that may try */

/* ---- the log ----------------------------------------------------------------------------------- */

bool is_circuit_event(const cfa_event_view *event) {
    return strncmp(event->subject, "brk_", 4) == 0;
}

void check_circuit_event(struct sim *sim, struct circuit_walk *walk, const cfa_event_view *event) {
    static const struct {
        const char *type, *state;
        uint32_t from; /* bits of the states that it may follow */
        int32_t to;
    } steps[] = {
        { "org.careforall.provider.unavailable.v1", "\"OPEN\"", 1u << CLOSED | 1u << HALF_OPEN,
          OPEN },
        { "org.careforall.provider.probed.v1", "\"HALF_OPEN\"", 1u << OPEN, HALF_OPEN },
        { "org.careforall.provider.available.v1", "\"CLOSED\"", 1u << OPEN | 1u << HALF_OPEN,
          CLOSED },
    };
    size_t step = 0;
    char data[512];
    require(sim, sim->breaker, "the log tells of a circuit breaker that is off");
    if (walk->id[0] == '\0')
        strncpy(walk->id, event->subject, sizeof walk->id - 1);
    require(sim, strcmp(walk->id, event->subject) == 0, "two circuit breakers, %s and %s", walk->id,
            event->subject);
    require(sim, event->sequence == ++walk->sequence, "S7: %s has sequence %lld after %lld",
            event->subject, (long long)event->sequence, (long long)walk->sequence - 1);
    while (step < 3 && strcmp(steps[step].type, event->event_type) != 0)
        step++;
    require(sim, step < 3 && (steps[step].from >> walk->state & 1u) != 0,
            "the circuit breaker is in state %d, and then %s", (int)walk->state, event->event_type);
    size_t size = event->data.size < sizeof data ? event->data.size : sizeof data - 1;
    memcpy(data, event->data.data, size);
    data[size] = '\0';
    require(sim, strstr(data, steps[step].state) != NULL, "%s shows another state: %s",
            event->event_type, data);
    coverage[COVER_OPENED] += walk->state == CLOSED;
    coverage[COVER_PROBE_FAILED] += walk->state == HALF_OPEN && steps[step].to == OPEN;
    coverage[COVER_PROBE_SUCCEEDED] += walk->state == HALF_OPEN && steps[step].to == CLOSED;
    coverage[COVER_CLOSED_EARLY] += walk->state == OPEN && steps[step].to == CLOSED;
    walk->state = steps[step].to;
}

void check_circuit_end(struct sim *sim, const struct circuit_walk *walk) {
    const struct donor *last = &sim->donors[sim->donor_count - 1];
    /* One that answers no questions tells nobody that it is back. */
    require(sim, walk->state == CLOSED || sim->deaf || last->refused,
            "L3: the circuit breaker never closes");
}

/* ---- pledges ----------------------------------------------------------------------------------- */

void check_refusal(struct process *process, struct donor *donor, int64_t asked_us) {
    struct sim *sim = process->sim;
    int32_t number = (int32_t)(donor - sim->donors);
    cfa_error error = CFA_ERROR_INIT;
    cfa_pledge *pledge = NULL;
    bool faults = sim->faults;
    require(sim, sim->breaker && sim->rejects, "donor %d is refused by no circuit breaker",
            (int)number);
    /* A second click may have revived the pledge while this refusal was on its way. */
    bool overtaken = donor->acknowledged && asked_us <= donor->acknowledged_us;
    require(sim, !donor->acknowledged || overtaken, "S2: donor %d has a pledge, and is refused",
            (int)number);
    bool calm = !sim->faults && sim->now_us - sim->calm_us > 6 * HOUR_US;
    require(sim, !calm || donor->refusals++ < 8,
            "L3: donor %d is refused although nothing is wrong", (int)number);
    require(sim, cfa_error_last(&error) == CFA_OK && error.retry_after_ms > 0,
            "donor %d is not told when to come again", (int)number);
    sim->faults = false;
    cfa_status status = cfa_pledge_find(&pledge, process->engine,
                                        donor->scope[0] != '\0' ? donor->scope : NULL, donor->key);
    sim->faults = faults;
    require(sim, status == CFA_OK, "S3: donor %d was refused, and the pledge is not kept: %s",
            (int)number, cfa_status_name(status));
    require(sim, !donor->kept || strcmp(donor->pledge_id, cfa_pledge_id(pledge)) == 0,
            "S2: donor %d has two pledges", (int)number);
    if (donor->kept)
        cover(REFUSED_AGAIN);
    else
        cover(REFUSED);
    donor->kept = donor->written = true;
    donor->untouched = !donor->overlaps && !overtaken;
    strncpy(donor->pledge_id, cfa_pledge_id(pledge), sizeof donor->pledge_id - 1);
    strncpy(donor->payment_id, cfa_pledge_payment_id(pledge), sizeof donor->payment_id - 1);
    cfa_pledge_free(pledge);
}

void check_untouched(struct sim *sim, const struct donor *donor) {
    if (!donor->untouched)
        return;
    struct truth truth = truth_of(sim, donor);
    require(sim, !truth.exists,
            "S1: donor %d was refused, and %s went to the provider all the same",
            (int)(donor - sim->donors), donor->payment_id);
}

/* ---- calls ------------------------------------------------------------------------------------- */

void circuit_watch(struct process *process) {
    bool closed = atomic_load(&process->engine->circuit.state) == CFA__BREAKER_CLOSED;
    /* One tick late: what was asked for before the engine knew may be committed a little later. */
    process->saw_open_us = closed ? 0 : process->sees_open_us;
    process->sees_open_us = closed ? 0 : cfa_manual_clock_now_us(process->sim->clock);
}

/* All times are the book's: when the breaker moved, and when this call was leased. An engine that
 * knew of the outage by then must have asked. */
static void check_lease(struct process *process, const cfa__breaker *breaker,
                        const cfa__operation *operation) {
    int64_t leased_us = operation->updated_us, moved_us = breaker->updated_us;
    bool knew = process->saw_open_us > breaker->opened_us && leased_us > process->saw_open_us;
    if (breaker->state == CFA__BREAKER_CLOSED || !knew || leased_us <= moved_us)
        return;
    require(process->sim, breaker->state != CFA__BREAKER_OPEN,
            "a call goes out, leased %lld us after the circuit breaker opened",
            (long long)(leased_us - moved_us));
    require(process->sim, leased_us + LEASE_US == breaker->retry_us,
            "half open, a second call goes out");
}

void check_call_allowed(struct process *process, const cfa_call *call) {
    struct sim *sim = process->sim;
    if (!sim->breaker || sim->jumps || process->saw_open_us == 0)
        return; /* where the clock jumps, the two processes do not agree on times */
    cfa_arena *arena;
    require(sim, cfa_arena_new(&arena) == CFA_OK, "no memory");
    const cfa__breaker breaker_key = { .state = 0 };
    cfa_query breakers = rows_of(sim, &cfa__breaker_kind, 0, 0, &breaker_key, arena);
    cfa__operation key;
    memset(&key, 0, sizeof key);
    require(sim, cfa__id_parse(&key.payment_id, "pay", call->payment_id, "payment_id") == CFA_OK,
            "a call without a payment");
    const char *number = strchr(call->operation_id, '/');
    key.number = number != NULL ? strtol(number + 1, NULL, 10) : 0;
    cfa_query operations = rows_of(sim, &cfa__operation_kind, 0, 2, &key, arena);
    require(sim, operations.count == 1, "a call goes out that is not in the store");
    if (breakers.count == 1)
        check_lease(process, breakers.records[0], operations.records[0]);
    cfa_arena_free(arena);
}
