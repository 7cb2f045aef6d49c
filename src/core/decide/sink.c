/*
 * sink.c - cursors into the log and who may move them. An epoch fences whoever led before.
 */
#include "core/decide/decide.h"

#include <string.h>

#define ORIGIN "core.sink"

cfa_status cfa__sink_lead(cfa__working_set *set, cfa__command *command) {
    const cfa__sink_input *input = command->input;
    cfa__sink_answer *answer = command->output;
    int64_t now_us = cfa__now_us(set);
    cfa__sink key;
    memset(&key, 0, sizeof key);
    key.name = input->name;
    void *draft;
    cfa_status status = cfa__edit(set, &cfa__sink_kind, &key, &draft);
    if (status != CFA_OK)
        return status;
    cfa__sink *sink = draft;
    if (sink == NULL) {
        status = cfa__insert(set, &cfa__sink_kind, &key, &draft);
        if (status != CFA_OK)
            return status;
        sink = draft;
    }
    bool ours = cfa__id_compare(sink->owner, input->owner) == 0;
    bool alive = !cfa__id_is_null(sink->owner) && sink->lease_until_us > now_us;
    answer->leads = ours || !alive || input->take_over;
    answer->acknowledged = sink->acknowledged;
    if (answer->leads) {
        if (!ours) {
            sink->epoch++;
            sink->owner = input->owner;
        }
        sink->lease_until_us = now_us + input->lease_ms * 1000;
        sink->updated_us = now_us;
    }
    answer->epoch = sink->epoch;
    return CFA_OK;
}

cfa_status cfa__sink_settle(cfa__working_set *set, cfa__command *command) {
    const cfa__sink_input *input = command->input;
    cfa__sink_answer *answer = command->output;
    cfa__sink key;
    memset(&key, 0, sizeof key);
    key.name = input->name;
    void *draft;
    cfa_status status = cfa__edit(set, &cfa__sink_kind, &key, &draft);
    if (status != CFA_OK)
        return status;
    cfa__sink *sink = draft;
    if (sink == NULL || sink->epoch != input->epoch ||
        cfa__id_compare(sink->owner, input->owner) != 0)
        return cfa_error_set(CFA_EFENCED, ORIGIN, "name", 0,
                             "another owner has taken this cursor over");
    if (sink->acknowledged < input->position)
        sink->acknowledged = input->position;
    if (input->lease_ms > 0)
        sink->lease_until_us = cfa__now_us(set) + input->lease_ms * 1000;
    sink->updated_us = cfa__now_us(set);
    answer->epoch = sink->epoch;
    answer->acknowledged = sink->acknowledged;
    answer->leads = true;
    return CFA_OK;
}
