/*
 * api/sink.c - what an operator sees of the outbox and may do to it: cursors, dead letters, rewind,
 * requeue, pause and resume. Never sends anything itself: relays do, in whatever process they run.
 */
#include <careforall/event.h>

#include "core/api/act.h"
#include "core/api/api.h"

#include <stdio.h>
#include <string.h>

#define ORIGIN "core.sink"
#define LIMIT_DEFAULT 100
#define NAME_BYTES_MAX 64
#define LOG_TEXT_SIZE 384

struct cfa_cursor_list {
    cfa_arena *arena;
    cfa_cursor_view *items;
    size_t size;
    const char *next;
    bool replayed;
};

struct cfa_letter_list {
    cfa_arena *arena;
    cfa_letter_view *items;
    size_t size;
};

/* ---- inputs ---------------------------------------------------------------------------------- */

static cfa_status check_name(const char *name) {
    size_t size = name == NULL ? 0 : strlen(name);
    if (size >= 1 && size <= NAME_BYTES_MAX &&
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-.") == size)
        return CFA_OK;
    return cfa_error_set(CFA_EINVAL, ORIGIN, "name", 0,
                         "a cursor's name is a sink's, \"totals\", or \"sub.\" and a "
                         "subscription's");
}

static bool is_projector(const char *name) { return strcmp(name, CFA__PROJECTOR_NAME) == 0; }

static bool is_subscription(const char *name) {
    return strncmp(name, CFA__SUBSCRIPTION_PREFIX, sizeof CFA__SUBSCRIPTION_PREFIX - 1) == 0;
}

static cfa_status check_position(const char *field, int64_t position) {
    return position >= 0
               ? CFA_OK
               : cfa_error_set(CFA_ERANGE, ORIGIN, field, 0, "a position is not negative");
}

static cfa_status take_limit(int32_t *limit) {
    if (*limit == 0)
        *limit = LIMIT_DEFAULT;
    if (*limit >= 1 && *limit <= CFA_PAGE_LIMIT_MAX)
        return CFA_OK;
    return cfa_error_format(CFA_ERANGE, ORIGIN, "limit", 0, "limit must be 1 to %d",
                            CFA_PAGE_LIMIT_MAX);
}

/* ---- cursors --------------------------------------------------------------------------------- */

static cfa_status cursor_fill(cfa_cursor_view *out, cfa_engine *engine, cfa_arena *arena,
                              const cfa__sink *sink, int64_t head, const cfa__event *oldest) {
    bool failed = false;
    *out = (cfa_cursor_view){
        .struct_size = sizeof *out,
        .name = cfa__text_of(arena, sink->name, &failed),
        .head = head,
        .acknowledged = sink->acknowledged,
        .lag = head > sink->acknowledged ? head - sink->acknowledged : 0,
        .oldest_us = oldest != NULL ? oldest->created_us : 0,
        .epoch = sink->epoch,
        .owned = !cfa__id_is_null(sink->owner) && sink->lease_until_us > cfa__book_now_us(engine),
        .paused = (cfa_cursor_state)sink->paused,
        .reason = cfa__text_of(arena, sink->reason, &failed),
        .paused_us = sink->paused_us,
        .updated_us = sink->updated_us,
        .refused = sink->refused,
        .refused_tries = sink->refused_tries,
        .dead_count = sink->dead_count,
        .requeued_count = sink->requeued_count,
    };
    return failed ? CFA_ENOMEM : CFA_OK;
}

static cfa_status list_new(cfa_cursor_list **out, size_t capacity) {
    cfa_arena *arena;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    cfa_cursor_list *list = cfa_arena_alloc(arena, sizeof *list);
    if (list != NULL)
        list->items = cfa_arena_alloc(arena, (capacity + 1) * sizeof *list->items);
    if (list == NULL || list->items == NULL) {
        cfa_arena_free(arena);
        return CFA_ENOMEM;
    }
    list->arena = arena;
    *out = list;
    return CFA_OK;
}

/* The first event behind each of `count` cursors, as one trip. */
static cfa_status read_oldest(cfa_engine *engine, cfa__reader *reader, const cfa_query *sinks,
                              size_t count, cfa_query **out) {
    cfa_query *queries = cfa_arena_alloc(reader->arena, (count + 1) * sizeof *queries);
    cfa__event *keys = cfa_arena_alloc(reader->arena, (count + 1) * sizeof *keys);
    if (queries == NULL || keys == NULL)
        return CFA_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        keys[i].position = ((const cfa__sink *)sinks->records[i])->acknowledged + 1;
        queries[i].kind = &cfa__event_kind;
        queries[i].match_count = 1;
        queries[i].limit = 1;
        queries[i].key = &keys[i];
    }
    *out = queries;
    return count > 0 ? cfa__read_queries(engine, reader, queries, count) : CFA_OK;
}

static cfa_status read_cursors(cfa_cursor_list **out, cfa_engine *engine, cfa__reader *reader,
                               const char *after, int32_t limit) {
    int64_t head;
    cfa_status status = cfa__log_position(engine, reader, &head);
    if (status != CFA_OK)
        return status;
    cfa__sink key;
    memset(&key, 0, sizeof key);
    key.name = cfa__slice(after != NULL ? after : "");
    cfa_query sinks = {
        .kind = &cfa__sink_kind, .flags = CFA_QUERY_AFTER, .limit = limit + 1, .key = &key
    };
    cfa_query *oldest = NULL;
    cfa_cursor_list *list = NULL;
    status = cfa__read_queries(engine, reader, &sinks, 1);
    size_t count = status != CFA_OK ? 0 : sinks.count > limit ? (size_t)limit : (size_t)sinks.count;
    if (status == CFA_OK)
        status = read_oldest(engine, reader, &sinks, count, &oldest);
    if (status == CFA_OK)
        status = list_new(&list, count);
    for (size_t i = 0; status == CFA_OK && i < count; i++) {
        status = cursor_fill(&list->items[i], engine, list->arena, sinks.records[i], head,
                             oldest[i].count == 1 ? oldest[i].records[0] : NULL);
        list->size++;
    }
    if (status != CFA_OK) {
        cfa_cursor_list_free(list);
        return status;
    }
    if ((size_t)sinks.count > count)
        list->next = list->items[count - 1].name;
    *out = list;
    return CFA_OK;
}

cfa_status cfa_cursor_page(cfa_cursor_list **out, cfa_engine *engine, const cfa_page *given) {
    cfa_page page = CFA_PAGE_INIT;
    cfa__reader *reader;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK && given != NULL)
        status =
            cfa__spec_take(&page, sizeof page, given, CFA__SIZE_THROUGH(cfa_page, limit), ORIGIN);
    if (status == CFA_OK)
        status = take_limit(&page.limit);
    if (status == CFA_OK && page.after != NULL)
        status = check_name(page.after);
    if (status == CFA_OK)
        status = cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status != CFA_OK)
        return status;
    status = read_cursors(out, engine, reader, page.after, page.limit);
    cfa__read_end(engine, reader);
    return status;
}

size_t cfa_cursor_list_size(const cfa_cursor_list *list) { return list->size; }

const cfa_cursor_view *cfa_cursor_list_at(const cfa_cursor_list *list, size_t index) {
    return index < list->size ? &list->items[index] : NULL;
}

const char *cfa_cursor_list_next(const cfa_cursor_list *list) { return list->next; }

int32_t cfa_cursor_list_replayed(const cfa_cursor_list *list) { return list->replayed; }

void cfa_cursor_list_free(cfa_cursor_list *list) {
    if (list != NULL)
        cfa_arena_free(list->arena);
}

/* ---- dead letters ---------------------------------------------------------------------------- */

static cfa_status letter_fill(cfa_letter_view *out, cfa_engine *engine, cfa__reader *reader,
                              cfa_arena *arena, const cfa__dead_letter *letter) {
    cfa_event_view *event = NULL;
    size_t count = 0;
    bool failed = false;
    cfa_status status =
        cfa__log_read(engine, reader, arena, letter->position - 1, 1, &event, &count);
    if (status != CFA_OK)
        return status;
    if (count == 0)
        return cfa_error_set(CFA_ECORRUPT, ORIGIN, NULL, 0, "a dead letter has no event");
    *out = (cfa_letter_view){
        .struct_size = sizeof *out,
        .position = letter->position,
        .event_id = event->id,
        .event_type = event->event_type,
        .subject = event->subject,
        .tries = letter->tries,
        .code = letter->code,
        .reason = cfa__text_of(arena, letter->reason, &failed),
        .first_us = letter->first_us,
        .last_us = letter->last_us,
        .requeued = letter->requeued != 0,
    };
    return failed ? CFA_ENOMEM : CFA_OK;
}

static cfa_status read_letters(cfa_letter_list *list, cfa_engine *engine, cfa__reader *reader,
                               const char *name, int64_t after, int32_t limit) {
    cfa__sink sink_key;
    cfa__dead_letter key;
    memset(&sink_key, 0, sizeof sink_key);
    memset(&key, 0, sizeof key);
    sink_key.name = key.sink = cfa__slice(name);
    key.position = after;
    cfa_query queries[] = {
        { .kind = &cfa__sink_kind, .match_count = 1, .limit = 1, .key = &sink_key },
        { .kind = &cfa__dead_letter_kind,
          .match_count = 1,
          .flags = CFA_QUERY_AFTER,
          .limit = limit,
          .key = &key },
    };
    cfa_status status = cfa__read_queries(engine, reader, queries, 2);
    if (status == CFA_OK && queries[0].count == 0)
        status = cfa_error_set(CFA_ENOTFOUND, ORIGIN, "name", 0, "there is no such cursor");
    if (status != CFA_OK)
        return status;
    size_t count = (size_t)queries[1].count;
    list->items = cfa_arena_alloc(list->arena, (count + 1) * sizeof *list->items);
    if (list->items == NULL)
        return CFA_ENOMEM;
    for (size_t i = 0; i < count && status == CFA_OK; i++) {
        status = letter_fill(&list->items[i], engine, reader, list->arena, queries[1].records[i]);
        list->size++;
    }
    return status;
}

cfa_status cfa_letter_page(cfa_letter_list **out, cfa_engine *engine, const char *name,
                           int64_t after_position, int32_t limit) {
    cfa_arena *arena;
    cfa__reader *reader;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = check_name(name);
    if (status == CFA_OK)
        status = check_position("after_position", after_position);
    if (status == CFA_OK)
        status = take_limit(&limit);
    if (status == CFA_OK)
        status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    cfa_letter_list *list = cfa_arena_alloc(arena, sizeof *list);
    status =
        list == NULL ? CFA_ENOMEM : cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status == CFA_OK) {
        list->arena = arena;
        status = read_letters(list, engine, reader, name, after_position, limit);
        cfa__read_end(engine, reader);
    }
    if (status != CFA_OK) {
        cfa_arena_free(arena);
        return status;
    }
    *out = list;
    return CFA_OK;
}

size_t cfa_letter_list_size(const cfa_letter_list *list) { return list->size; }

const cfa_letter_view *cfa_letter_list_at(const cfa_letter_list *list, size_t index) {
    return index < list->size ? &list->items[index] : NULL;
}

void cfa_letter_list_free(cfa_letter_list *list) {
    if (list != NULL)
        cfa_arena_free(list->arena);
}

/* ---- commands -------------------------------------------------------------------------------- */

static cfa_status command_new(cfa__command **out, cfa__cursor_input **out_input, cfa_engine *engine,
                              cfa__decide decide, const char *name, const cfa_actor *by) {
    void *input;
    cfa_status status = cfa__command_with_input(
        out, &input, engine, decide, sizeof(cfa__cursor_input), sizeof(cfa__cursor_answer));
    if (status != CFA_OK)
        return status;
    *out_input = input;
    status = cfa__input_text(&(*out_input)->name, *out, name);
    if (status == CFA_OK)
        status = cfa__by_take(&(*out_input)->by, *out, by);
    if (status == CFA_OK)
        status = cfa__draw_id(engine, &(*out_input)->request_id);
    if (status != CFA_OK)
        cfa__command_release(engine, *out);
    return status;
}

/* The cursor as a command left it. The first event behind it is read afterwards: only a page of
 * cursors needs to be of one moment. */
static cfa_status answer_show(cfa_cursor_list **out, cfa_engine *engine,
                              const cfa__cursor_answer *answer) {
    cfa_cursor_list *list;
    cfa__reader *reader;
    cfa_status status = list_new(&list, 1);
    if (status != CFA_OK)
        return status;
    status = cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status == CFA_OK) {
        void *record = NULL;
        cfa_query sinks = { .records = &record, .count = 1 };
        cfa_query *oldest = NULL;
        memcpy(&record, &answer->sink, sizeof record);
        status = read_oldest(engine, reader, &sinks, 1, &oldest);
        if (status == CFA_OK)
            status = cursor_fill(&list->items[0], engine, list->arena, answer->sink, answer->head,
                                 oldest->count == 1 ? oldest->records[0] : NULL);
        cfa__read_end(engine, reader);
    }
    if (status != CFA_OK) {
        cfa_cursor_list_free(list);
        return status;
    }
    list->size = 1;
    list->replayed = answer->replayed;
    *out = list;
    return CFA_OK;
}

/* Run it, show the cursor, tell the log and the relays of this process. The command is released. */
static cfa_status finish(cfa_cursor_list **out, cfa_engine *engine, cfa__command *command,
                         const char *event, const char *text) {
    cfa_status status = cfa__command_run(engine, &command, cfa__deadline_us(engine, 0));
    if (status == CFA_OK) {
        const cfa__cursor_answer *answer = command->output;
        if (!answer->replayed)
            cfa__log(engine, CFA_LOG_INFO, event, text);
        cfa__relays_nudge(engine);
        status = cfa__status_committed(answer_show(out, engine, answer), ORIGIN);
    }
    cfa__command_release(engine, command);
    return status;
}

static cfa_status not_for(const char *name, const char *what) {
    return cfa_error_format(CFA_ENOTSUP, ORIGIN, "name", 0, "%s cannot be %s", name, what);
}

cfa_status cfa_cursor_rewind(cfa_cursor_list **out, cfa_engine *engine, const char *name,
                             int64_t expected, int64_t position, const char *scope, const char *key,
                             const cfa_actor *by) {
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = check_name(name);
    if (status == CFA_OK && is_projector(name))
        status =
            not_for(name, "rewound: totals take each event once, cfa_totals_verify checks them");
    if (status == CFA_OK)
        status = check_position("position", position);
    if (status == CFA_OK && position > expected)
        status = cfa_error_set(CFA_ERANGE, ORIGIN, "position", 0,
                               "a cursor is rewound to where it stands or to before it");
    cfa__command *command;
    cfa__cursor_input *input;
    if (status == CFA_OK)
        status = command_new(&command, &input, engine, cfa__cursor_rewind, name, by);
    if (status != CFA_OK)
        return status;
    cfa__fingerprint_field fields[] = { { "name", cfa__slice(name) },
                                        { "expected", { &expected, sizeof expected } },
                                        { "position", { &position, sizeof position } } };
    input->expected = expected;
    input->position = position;
    status = cfa__keyed_make(&input->keyed, engine, scope, key, CFA__KEYED_REWIND, fields, 3);
    if (status != CFA_OK) {
        cfa__command_release(engine, command);
        return status;
    }
    char text[LOG_TEXT_SIZE];
    snprintf(text, sizeof text, "%s from %lld to %lld", name, (long long)expected,
             (long long)position);
    return finish(out, engine, command, "cursor_rewound", text);
}

/* Requeue those behind `after`, as many as one commit takes; `*out_next` is 0 after the last. */
static cfa_status requeue_step(cfa_cursor_list **out, cfa_engine *engine, const char *name,
                               int64_t position, int64_t after, const cfa__keyed *keyed,
                               const cfa_actor *by, int64_t *out_next) {
    cfa__command *command;
    cfa__cursor_input *input;
    cfa_status status = command_new(&command, &input, engine, cfa__cursor_requeue, name, by);
    if (status != CFA_OK)
        return status;
    input->keyed = *keyed;
    input->position = position;
    input->after = after;
    status = cfa__command_run(engine, &command, cfa__deadline_us(engine, 0));
    if (status == CFA_OK) {
        const cfa__cursor_answer *answer = command->output;
        *out_next = answer->next;
        cfa__relays_nudge(engine);
        if (!answer->replayed) {
            char text[LOG_TEXT_SIZE];
            snprintf(text, sizeof text, "%s: %lld", name, (long long)answer->changed);
            cfa__log(engine, CFA_LOG_INFO, "dead_letters_requeued", text);
        }
        if (answer->next == 0)
            status = cfa__status_committed(answer_show(out, engine, answer), ORIGIN);
    }
    cfa__command_release(engine, command);
    return status;
}

cfa_status cfa_letter_requeue(cfa_cursor_list **out, cfa_engine *engine, const char *name,
                              int64_t position, const char *scope, const char *key,
                              const cfa_actor *by) {
    cfa__keyed keyed;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = check_name(name);
    if (status == CFA_OK)
        status = check_position("position", position);
    if (status != CFA_OK)
        return status;
    cfa__fingerprint_field fields[] = { { "name", cfa__slice(name) },
                                        { "position", { &position, sizeof position } } };
    status = cfa__keyed_make(&keyed, engine, scope, key, CFA__KEYED_REQUEUE, fields, 2);
    int64_t after = 0, next = 0;
    do {
        if (status == CFA_OK)
            status = requeue_step(out, engine, name, position, after, &keyed, by, &next);
        after = next;
    } while (status == CFA_OK && next != 0);
    return status;
}

cfa_status cfa_cursor_pause(cfa_cursor_list **out, cfa_engine *engine, const char *name,
                            const cfa_actor *by) {
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = check_name(name);
    if (status == CFA_OK && (is_projector(name) || is_subscription(name)))
        status = not_for(name, "paused: only sinks are");
    cfa__command *command;
    cfa__cursor_input *input;
    if (status == CFA_OK)
        status = command_new(&command, &input, engine, cfa__cursor_pause, name, by);
    if (status != CFA_OK)
        return status;
    if (input->by.reason.data == NULL) {
        cfa__command_release(engine, command);
        return cfa_error_set(CFA_EINVAL, ORIGIN, "reason", 0, "a pause needs a reason");
    }
    return finish(out, engine, command, "cursor_paused", name);
}

cfa_status cfa_cursor_resume(cfa_cursor_list **out, cfa_engine *engine, const char *name,
                             const cfa_actor *by) {
    cfa__command *command;
    cfa__cursor_input *input;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = check_name(name);
    if (status == CFA_OK)
        status = command_new(&command, &input, engine, cfa__cursor_resume, name, by);
    return status == CFA_OK ? finish(out, engine, command, "cursor_resumed", name) : status;
}
