/*
 * cursor.c - commands on a cursor, for whoever moves one: relays and subscriptions.
 */
#include "core/engine/relay.h"

cfa_status cfa__sink_command_new(cfa__command **out, cfa_engine *engine, cfa__decide decide,
                                 const cfa__sink_input *given) {
    cfa__command *command;
    cfa_status status = cfa__command_new(&command, engine, decide, sizeof(cfa__sink_answer));
    if (status != CFA_OK)
        return status;
    cfa__sink_input *input = cfa_arena_alloc(command->arena, sizeof *input);
    bool failed = input == NULL;
    if (input != NULL) {
        *input = *given;
        input->name.data = cfa_arena_copy(command->arena, given->name.data, given->name.size);
        failed = input->name.data == NULL;
    }
    if (!failed && given->reason.data != NULL) {
        input->reason.data = cfa_arena_copy(command->arena, given->reason.data, given->reason.size);
        failed = input->reason.data == NULL;
    }
    if (failed) {
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
    cfa_status status = cfa__sink_command_new(&command, engine, decide, given);
    if (status != CFA_OK)
        return status;
    status = cfa__command_run(engine, &command, deadline_us);
    if (status == CFA_OK)
        *out = *(const cfa__sink_answer *)command->output;
    cfa__command_release(engine, command);
    return status;
}
