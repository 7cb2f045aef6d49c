/*
 * remedy.c - bringing provider calls forward. Only their time changes: what is sent, under which
 * key, and what proves that nothing was done stay as the engine decides them.
 */
#include <assert.h>
#include <string.h>

#include "core/explain/doctor.h"

struct hasten_input {
    cfa__lease_item items[CFA__LEASE_MAX];
    int32_t count;
};

struct hasten_answer {
    int32_t done;
};

static cfa_status hasten(cfa__working_set *set, cfa__command *command) {
    const struct hasten_input *input = command->input;
    struct hasten_answer *answer = command->output;
    const cfa__operation *operations[CFA__LEASE_MAX];
    bool missed = false;
    assert(input->count <= CFA__LEASE_MAX);
    for (int32_t i = 0; i < input->count; i++) {
        cfa_status status = cfa__operation_find(set, input->items[i].payment_id,
                                                input->items[i].number, &operations[i]);
        if (status < 0)
            return status;
        missed = missed || status == CFA__MISS;
    }
    if (missed)
        return CFA__MISS;
    for (int32_t i = 0; i < input->count; i++) {
        void *draft;
        if (operations[i] == NULL || !cfa__operation_can_hasten(operations[i], cfa__now_us(set)))
            continue;
        cfa_status status = cfa__edit(set, &cfa__operation_kind, operations[i], &draft);
        if (status != CFA_OK)
            return status;
        ((cfa__operation *)draft)->due_us = cfa__now_us(set);
        answer->done++;
    }
    return CFA_OK;
}

cfa_status cfa__calls_hasten(int64_t *out_done, cfa_engine *engine, const cfa__lease_item *items,
                             int32_t count, int64_t deadline_us) {
    cfa_status status = CFA_OK;
    for (int32_t at = 0; at < count && status == CFA_OK; at += CFA__LEASE_MAX) {
        cfa__command *command;
        void *memory;
        status = cfa__command_with_input(&command, &memory, engine, hasten,
                                         sizeof(struct hasten_input), sizeof(struct hasten_answer));
        if (status != CFA_OK)
            return status;
        struct hasten_input *input = memory;
        input->count = count - at < CFA__LEASE_MAX ? count - at : CFA__LEASE_MAX;
        memcpy(input->items, items + at, (size_t)input->count * sizeof *items);
        status = cfa__command_run(engine, &command, deadline_us);
        if (status == CFA_OK)
            *out_done += ((const struct hasten_answer *)command->output)->done;
        cfa__command_release(engine, command);
    }
    atomic_store(&engine->operation_due_us, 0);
    cfa__signal(engine);
    return status;
}
