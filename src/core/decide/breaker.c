/*
 * breaker.c - the circuit breaker of a provider's account. Whether it should open is counted
 * outside, by each process; here are its transitions, each with exactly one event.
 */
#include "core/decide/evidence.h"

#include <assert.h>
#include <string.h>

const char *cfa__breaker_state_name(int64_t state) {
    switch (state) {
    case CFA__BREAKER_OPEN: return "OPEN";
    case CFA__BREAKER_HALF_OPEN: return "HALF_OPEN";
    default: return "CLOSED";
    }
}

static cfa__breaker key_of(const cfa__circuit *circuit) {
    cfa__breaker key;
    memset(&key, 0, sizeof key);
    key.provider = circuit->provider;
    key.account = circuit->account;
    return key;
}

static cfa_status move(cfa__working_set *set, cfa__breaker *breaker, int64_t state,
                       int64_t retry_us) {
    static const cfa__event_type events[] = {
        [CFA__BREAKER_CLOSED] = CFA__EVENT_PROVIDER_AVAILABLE,
        [CFA__BREAKER_OPEN] = CFA__EVENT_PROVIDER_UNAVAILABLE,
        [CFA__BREAKER_HALF_OPEN] = CFA__EVENT_PROVIDER_PROBED,
    };
    assert(breaker->state != state);
    if (state == CFA__BREAKER_OPEN && breaker->state != CFA__BREAKER_HALF_OPEN)
        breaker->opened_us = cfa__now_us(set);
    breaker->state = state;
    breaker->retry_us = retry_us;
    breaker->updated_us = cfa__now_us(set);
    return cfa__emit_breaker(set, breaker, events[state]);
}

cfa_status cfa__circuit_admit(cfa__working_set *set, const cfa__circuit *circuit,
                              bool *out_admitted, int64_t *out_retry_us) {
    *out_admitted = true;
    *out_retry_us = 0;
    if (circuit->provider.data == NULL)
        return CFA_OK;
    cfa__breaker key = key_of(circuit);
    const void *found;
    cfa_status status = cfa__find(set, &cfa__breaker_kind, &key, &found);
    const cfa__breaker *known = found;
    if (status != CFA_OK || known == NULL || known->state == CFA__BREAKER_CLOSED)
        return status;
    int64_t now_us = cfa__now_us(set);
    *out_retry_us = known->retry_us;
    *out_admitted = now_us >= known->retry_us;
    if (!*out_admitted)
        return CFA_OK;
    void *draft;
    status = cfa__edit(set, &cfa__breaker_kind, &key, &draft);
    if (status != CFA_OK)
        return status;
    cfa__breaker *breaker = draft;
    int64_t until_us = now_us + circuit->lease_ms * 1000;
    *out_retry_us = until_us;
    if (breaker->state == CFA__BREAKER_HALF_OPEN) { /* the last one that tried never reported */
        breaker->retry_us = until_us;
        return CFA_OK;
    }
    return move(set, breaker, CFA__BREAKER_HALF_OPEN, until_us);
}

cfa_status cfa__circuit_report(cfa__working_set *set, cfa__command *command) {
    const cfa__circuit_input *input = command->input;
    cfa__circuit_answer *answer = command->output;
    int64_t retry_us = cfa__now_us(set) + input->open_ms * 1000;
    cfa__breaker key = key_of(&input->circuit);
    void *draft;
    cfa_status status = cfa__edit(set, &cfa__breaker_kind, &key, &draft);
    if (status == CFA_OK && draft == NULL && input->out) {
        key.id = input->breaker_id;
        key.state = CFA__BREAKER_CLOSED;
        status = cfa__insert(set, &cfa__breaker_kind, &key, &draft);
    }
    if (status != CFA_OK)
        return status;
    cfa__breaker *breaker = draft;
    if (breaker == NULL) {
        answer->state = CFA__BREAKER_CLOSED;
        return CFA_OK;
    }
    if (input->out && breaker->state != CFA__BREAKER_OPEN)
        status = move(set, breaker, CFA__BREAKER_OPEN, retry_us);
    else if (!input->out && breaker->state != CFA__BREAKER_CLOSED)
        status = move(set, breaker, CFA__BREAKER_CLOSED, 0);
    answer->state = breaker->state;
    answer->retry_us = breaker->retry_us;
    return status;
}
