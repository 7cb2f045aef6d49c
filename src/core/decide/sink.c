/*
 * sink.c - cursors into the log, who may move them, and the events that a sink refuses. An epoch
 * fences whoever led before. A cursor never passes an event that is neither delivered nor, in the
 * same commit, a dead letter.
 */
#include <careforall/event.h>

#include "core/decide/evidence.h"
#include "util/buffer.h"

#include <string.h>

#define ORIGIN "core.sink"

static cfa_status edit_sink(cfa__working_set *set, cfa_slice name, cfa__sink **out) {
    cfa__sink key;
    memset(&key, 0, sizeof key);
    key.name = name;
    void *draft = NULL;
    cfa_status status = cfa__edit(set, &cfa__sink_kind, &key, &draft);
    *out = draft;
    return status;
}

static void answer_fill(cfa__sink_answer *answer, const cfa__sink *sink, bool leads) {
    *answer = (cfa__sink_answer){
        .epoch = sink->epoch,
        .acknowledged = sink->acknowledged,
        .refused = sink->refused,
        .refused_tries = sink->refused_tries,
        .requeued_count = sink->requeued_count,
        .leads = leads,
        .paused = sink->paused != CFA_CURSOR_RUNS,
    };
}

static void clear_refusal(cfa__sink *sink) {
    sink->refused = sink->refused_tries = sink->refused_us = 0;
}

static void give_up(cfa__sink *sink) {
    sink->owner = CFA__ID_NULL;
    sink->lease_until_us = 0;
}

static void clear_pause(cfa__sink *sink) {
    sink->paused = CFA_CURSOR_RUNS;
    sink->paused_us = 0;
    sink->reason = (cfa_slice){ NULL, 0 };
}

/* ---- its owner ------------------------------------------------------------------------------- */

cfa_status cfa__sink_lead(cfa__working_set *set, cfa__command *command) {
    const cfa__sink_input *input = command->input;
    cfa__sink *sink;
    cfa_status status = edit_sink(set, input->name, &sink);
    if (status != CFA_OK)
        return status;
    if (sink == NULL) {
        cfa__sink fresh;
        void *draft;
        memset(&fresh, 0, sizeof fresh);
        fresh.name = input->name;
        status = cfa__insert(set, &cfa__sink_kind, &fresh, &draft);
        if (status != CFA_OK)
            return status;
        sink = draft;
    }
    if (sink->paused == CFA_CURSOR_STOPPED && input->opening) {
        clear_pause(sink);
        clear_refusal(sink);
    }
    int64_t now_us = cfa__now_us(set);
    bool ours = cfa__id_compare(sink->owner, input->owner) == 0;
    bool alive = !cfa__id_is_null(sink->owner) && sink->lease_until_us > now_us;
    bool leads = sink->paused == CFA_CURSOR_RUNS && (ours || !alive || input->take_over);
    if (leads) {
        if (!ours) {
            sink->epoch++;
            sink->owner = input->owner;
        }
        sink->lease_until_us = now_us + input->lease_ms * 1000;
        sink->updated_us = now_us;
    }
    answer_fill(command->output, sink, leads);
    return CFA_OK;
}

/* The cursor's draft for its owner. */
static cfa_status edit_owned(cfa__working_set *set, const cfa__sink_input *input, cfa__sink **out) {
    cfa_status status = edit_sink(set, input->name, out);
    if (status != CFA_OK)
        return status;
    if (*out == NULL || (*out)->epoch != input->epoch ||
        cfa__id_compare((*out)->owner, input->owner) != 0)
        return cfa_error_set(CFA_EFENCED, ORIGIN, "name", 0,
                             "another owner has taken this cursor over");
    return CFA_OK;
}

/* ---- dead letters ---------------------------------------------------------------------------- */

static cfa_status list_letters(cfa__working_set *set, cfa_slice sink, int64_t after, int64_t until,
                               cfa_query *query) {
    cfa__dead_letter key;
    memset(&key, 0, sizeof key);
    key.sink = sink;
    key.position = after;
    *query = (cfa_query){ .kind = &cfa__dead_letter_kind,
                          .match_count = 1,
                          .flags = CFA_QUERY_AFTER | CFA_QUERY_UNTIL,
                          .limit = CFA__LETTERS_MAX,
                          .until = until,
                          .key = &key };
    return cfa__list(set, query);
}

static cfa_status edit_letter(cfa__working_set *set, cfa_slice sink, int64_t position,
                              cfa__dead_letter **out) {
    cfa__dead_letter key;
    memset(&key, 0, sizeof key);
    key.sink = sink;
    key.position = position;
    void *draft = NULL;
    cfa_status status = cfa__edit(set, &cfa__dead_letter_kind, &key, &draft);
    *out = draft;
    return status;
}

static cfa_status remove_letter(cfa__working_set *set, cfa__sink *sink,
                                const cfa__dead_letter *letter) {
    sink->dead_count--;
    sink->requeued_count -= letter->requeued;
    return cfa__remove(set, &cfa__dead_letter_kind, letter);
}

/* Remove the letters that a cursor passes on its way to `*position`, which becomes lower when they
 * are too many. Only a rewound cursor meets any. */
static cfa_status pass_letters(cfa__working_set *set, cfa__sink *sink, int64_t *position) {
    cfa_query query;
    cfa_status status = list_letters(set, sink->name, sink->acknowledged, *position, &query);
    bool missed = false;
    for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
        const cfa__dead_letter *listed = query.records[i];
        const void *found = NULL;
        status = cfa__find(set, &cfa__dead_letter_kind, listed, &found);
        if (status == CFA__MISS) {
            missed = true;
            status = CFA_OK;
        } else if (status == CFA_OK && found != NULL && !missed) {
            status = remove_letter(set, sink, found);
        }
    }
    if (status != CFA_OK || missed)
        return status != CFA_OK ? status : CFA__MISS;
    if (query.count == CFA__LETTERS_MAX)
        *position = ((const cfa__dead_letter *)query.records[query.count - 1])->position;
    return CFA_OK;
}

cfa_status cfa__sink_settle(cfa__working_set *set, cfa__command *command) {
    const cfa__sink_input *input = command->input;
    cfa__sink *sink;
    cfa_status status = edit_owned(set, input, &sink);
    if (status != CFA_OK)
        return status;
    int64_t position = input->position;
    if (sink->dead_count > 0 && sink->acknowledged < position)
        status = pass_letters(set, sink, &position);
    if (status != CFA_OK)
        return status;
    if (sink->acknowledged < position)
        sink->acknowledged = position;
    if (sink->refused > 0 && sink->acknowledged >= sink->refused)
        clear_refusal(sink);
    if (input->lease_ms > 0)
        sink->lease_until_us = cfa__now_us(set) + input->lease_ms * 1000;
    sink->updated_us = cfa__now_us(set);
    answer_fill(command->output, sink, true);
    return CFA_OK;
}

static cfa_status bury(cfa__working_set *set, cfa__sink *sink, const cfa__sink_input *input,
                       cfa__dead_letter *letter) {
    void *draft = letter;
    cfa_status status = CFA_OK;
    if (letter == NULL) {
        cfa__dead_letter fresh;
        memset(&fresh, 0, sizeof fresh);
        fresh.sink = sink->name;
        fresh.position = input->position;
        fresh.first_us = sink->refused_us;
        status = cfa__insert(set, &cfa__dead_letter_kind, &fresh, &draft);
        sink->dead_count++;
    } else { /* the cursor was rewound to before it */
        sink->requeued_count -= letter->requeued;
        letter->requeued = 0;
    }
    if (status != CFA_OK)
        return status;
    letter = draft;
    letter->tries += input->tries;
    letter->code = input->code;
    letter->reason = input->reason;
    letter->last_us = cfa__now_us(set);
    sink->acknowledged = input->position;
    clear_refusal(sink);
    return cfa__keep(set, &letter->reason);
}

/* An operator's pause stays one. */
static cfa_status stop(cfa__working_set *set, cfa__sink *sink, cfa_slice reason) {
    give_up(sink);
    if (sink->paused == CFA_CURSOR_PAUSED)
        return CFA_OK;
    sink->paused = CFA_CURSOR_STOPPED;
    sink->paused_us = cfa__now_us(set);
    sink->reason = reason;
    return cfa__keep(set, &sink->reason);
}

/* The owned cursor and the letter of the event it is about, which need not exist; one load brings
 * both. */
static cfa_status edit_owned_letter(cfa__working_set *set, const cfa__sink_input *input,
                                    cfa__sink **out_sink, cfa__dead_letter **out_letter) {
    cfa_status status = edit_owned(set, input, out_sink);
    if (status < 0)
        return status;
    cfa_status found = edit_letter(set, input->name, input->position, out_letter);
    if (found < 0)
        return found;
    return status == CFA__MISS || found == CFA__MISS ? CFA__MISS : CFA_OK;
}

/* Decided again after it was committed it changes nothing: the cursor has passed the event, or the
 * owner is gone, or this try was counted. */
cfa_status cfa__sink_refuse(cfa__working_set *set, cfa__command *command) {
    const cfa__sink_input *input = command->input;
    cfa__sink *sink;
    cfa__dead_letter *letter;
    cfa_status status = edit_owned_letter(set, input, &sink, &letter);
    if (status != CFA_OK)
        return status;
    int64_t now_us = cfa__now_us(set);
    if (sink->acknowledged == input->position - 1) {
        if (sink->refused != input->position)
            sink->refused_us = now_us;
        sink->refused = input->position;
        sink->refused_tries = input->tries;
        if (input->tries_max == 0)
            status = stop(set, sink, input->reason);
        else if (input->tries >= input->tries_max)
            status = bury(set, sink, input, letter);
    }
    if (status != CFA_OK)
        return status;
    bool leads = !cfa__id_is_null(sink->owner);
    if (leads)
        sink->lease_until_us = now_us + input->lease_ms * 1000;
    sink->updated_us = now_us;
    answer_fill(command->output, sink, leads);
    return CFA_OK;
}

cfa_status cfa__sink_redelivered(cfa__working_set *set, cfa__command *command) {
    const cfa__sink_input *input = command->input;
    cfa__sink *sink;
    cfa__dead_letter *letter;
    cfa_status status = edit_owned_letter(set, input, &sink, &letter);
    if (status != CFA_OK)
        return status;
    if (letter != NULL && letter->requeued && !input->refused) {
        status = remove_letter(set, sink, letter);
    } else if (letter != NULL && letter->requeued) {
        letter->requeued = 0;
        letter->tries++;
        letter->code = input->code;
        letter->reason = input->reason;
        letter->last_us = cfa__now_us(set);
        sink->requeued_count--;
        status = cfa__keep(set, &letter->reason);
    }
    answer_fill(command->output, sink, true);
    return status;
}

cfa_status cfa__sink_stop(cfa__working_set *set, cfa__command *command) {
    const cfa__sink_input *input = command->input;
    cfa__sink *sink;
    cfa_status status = edit_owned(set, input, &sink);
    if (status == CFA_OK)
        status = stop(set, sink, input->reason);
    if (status == CFA_OK)
        answer_fill(command->output, sink, false);
    return status;
}

/* ---- operators ------------------------------------------------------------------------------- */

static cfa_status no_such_cursor(void) {
    return cfa_error_set(CFA_ENOTFOUND, ORIGIN, "name", 0,
                         "there is no such cursor: no sink of this name has run yet");
}

/* The steps that all share: the key, if there is one, the cursor, the log's end. `*out` is NULL
 * after a repeat, whose answer is set. */
static cfa_status cursor_begin(cfa__working_set *set, cfa__command *command, bool keyed,
                               cfa__sink **out) {
    const cfa__cursor_input *input = command->input;
    cfa__cursor_answer *answer = command->output;
    cfa__id resource = CFA__ID_NULL;
    cfa_status resolved = keyed ? cfa__key_resolve(set, &input->keyed, &resource) : CFA_OK;
    cfa_status found = edit_sink(set, input->name, out);
    cfa_status head = cfa__read_head(set, &answer->head);
    if (resolved < 0)
        return resolved;
    if (found < 0 || head < 0)
        return found < 0 ? found : head;
    if (resolved == CFA__MISS || found == CFA__MISS || head == CFA__MISS)
        return CFA__MISS;
    if (*out == NULL)
        return no_such_cursor();
    answer->sink = *out;
    if (!cfa__id_is_null(resource)) {
        answer->replayed = cfa__id_compare(resource, input->request_id) != 0;
        *out = NULL;
    }
    return CFA_OK;
}

/* What an act tells of a cursor, and of the one dead letter it is about, if it is. */
static cfa_status describe(cfa__working_set *set, const cfa__sink *sink, int64_t letter,
                           cfa_slice *out) {
    cfa__buffer json;
    cfa__buffer_init(&json, cfa__batch_arena(set), 128);
    cfa__json_open(&json, NULL, '{');
    cfa__json_text(&json, "state",
                   sink->paused == CFA_CURSOR_RUNS     ? "runs"
                   : sink->paused == CFA_CURSOR_PAUSED ? "paused"
                                                       : "stopped");
    cfa__json_int(&json, "acknowledged", sink->acknowledged);
    cfa__json_int(&json, "requeued_count", sink->requeued_count);
    if (letter != 0)
        cfa__json_int(&json, "letter", letter);
    cfa__json_close(&json, '}');
    return cfa__buffer_finish(&json, out);
}

static cfa_status note_act(cfa__working_set *set, const cfa__cursor_input *input,
                           const char *action, const cfa__sink *sink, int64_t letter,
                           cfa_slice before) {
    cfa__act act = {
        .action = cfa__slice(action),
        .subject = sink->name,
        .actor = input->by.actor,
        .reason = input->by.reason,
        .before = before,
    };
    cfa_status status = describe(set, sink, letter, &act.after);
    return status == CFA_OK ? cfa__act_append(set, &act) : status;
}

cfa_status cfa__cursor_rewind(cfa__working_set *set, cfa__command *command) {
    const cfa__cursor_input *input = command->input;
    cfa__cursor_answer *answer = command->output;
    cfa__sink *sink;
    cfa_status status = cursor_begin(set, command, true, &sink);
    if (status != CFA_OK || sink == NULL)
        return status;
    if (sink->acknowledged != input->expected) {
        return cfa_error_format(CFA_EVERSION, ORIGIN, "expected", 0, "the cursor is at %lld",
                                (long long)sink->acknowledged);
    }
    cfa_slice before;
    status = describe(set, sink, 0, &before);
    if (status != CFA_OK)
        return status;
    answer->changed = sink->acknowledged;
    sink->acknowledged = input->position;
    sink->epoch++;
    give_up(sink);
    clear_refusal(sink);
    sink->updated_us = cfa__now_us(set);
    status = cfa__key_bind(set, &input->keyed, input->request_id);
    return status == CFA_OK ? note_act(set, input, "cursor.rewind", sink, 0, before) : status;
}

static void requeue(cfa__sink *sink, cfa__dead_letter *letter, cfa__cursor_answer *answer) {
    if (letter->requeued)
        return;
    letter->requeued = 1;
    sink->requeued_count++;
    answer->changed++;
}

static cfa_status requeue_some(cfa__working_set *set, const cfa__cursor_input *input,
                               cfa__sink *sink, cfa__cursor_answer *answer) {
    cfa_query query;
    cfa_status status = list_letters(set, sink->name, input->after, INT64_MAX, &query);
    bool missed = false;
    for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
        const cfa__dead_letter *listed = query.records[i];
        cfa__dead_letter *letter;
        status = edit_letter(set, input->name, listed->position, &letter);
        if (status == CFA__MISS) {
            missed = true;
            status = CFA_OK;
        } else if (status == CFA_OK && letter != NULL && !missed) {
            requeue(sink, letter, answer);
        }
    }
    if (status != CFA_OK || missed)
        return status != CFA_OK ? status : CFA__MISS;
    if (query.count == CFA__LETTERS_MAX)
        answer->next = ((const cfa__dead_letter *)query.records[query.count - 1])->position;
    return CFA_OK;
}

/* The key is bound in the last commit: a repeat after a crash in between goes on. */
cfa_status cfa__cursor_requeue(cfa__working_set *set, cfa__command *command) {
    const cfa__cursor_input *input = command->input;
    cfa__cursor_answer *answer = command->output;
    cfa__sink *sink;
    cfa_status status = cursor_begin(set, command, true, &sink);
    if (status != CFA_OK || sink == NULL)
        return status;
    cfa_slice before;
    status = describe(set, sink, 0, &before);
    if (status != CFA_OK)
        return status;
    if (input->position == 0) {
        status = requeue_some(set, input, sink, answer);
    } else {
        cfa__dead_letter *letter;
        status = edit_letter(set, input->name, input->position, &letter);
        if (status == CFA_OK && letter == NULL)
            return cfa_error_set(CFA_ENOTFOUND, ORIGIN, "position", 0,
                                 "there is no dead letter at this position");
        if (status == CFA_OK)
            requeue(sink, letter, answer);
    }
    if (status == CFA_OK && answer->next == 0)
        status = cfa__key_bind(set, &input->keyed, input->request_id);
    if (status == CFA_OK && answer->changed > 0)
        status = note_act(set, input, "cursor.requeue", sink, input->position, before);
    return status;
}

cfa_status cfa__cursor_pause(cfa__working_set *set, cfa__command *command) {
    const cfa__cursor_input *input = command->input;
    cfa__cursor_answer *answer = command->output;
    cfa__sink *sink;
    cfa_status status = cursor_begin(set, command, false, &sink);
    if (status != CFA_OK || sink->paused == CFA_CURSOR_PAUSED)
        return status;
    cfa_slice before;
    status = describe(set, sink, 0, &before);
    if (status != CFA_OK)
        return status;
    answer->changed = 1;
    sink->paused = CFA_CURSOR_PAUSED;
    sink->paused_us = sink->updated_us = cfa__now_us(set);
    sink->reason = input->by.reason;
    status = cfa__keep(set, &sink->reason);
    return status == CFA_OK ? note_act(set, input, "cursor.pause", sink, 0, before) : status;
}

cfa_status cfa__cursor_resume(cfa__working_set *set, cfa__command *command) {
    const cfa__cursor_input *input = command->input;
    cfa__cursor_answer *answer = command->output;
    cfa__sink *sink;
    cfa_status status = cursor_begin(set, command, false, &sink);
    if (status != CFA_OK || sink->paused == CFA_CURSOR_RUNS)
        return status;
    cfa_slice before;
    status = describe(set, sink, 0, &before);
    if (status != CFA_OK)
        return status;
    answer->changed = 1;
    clear_pause(sink);
    clear_refusal(sink);
    sink->updated_us = cfa__now_us(set);
    return note_act(set, input, "cursor.resume", sink, 0, before);
}
