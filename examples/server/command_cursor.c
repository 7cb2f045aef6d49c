/*
 * command_cursor.c - what an operator does to the cursors of sinks and subscriptions: dead letters,
 * rewinding, pausing. Beside a running server, too: it acts within a second.
 */
#include "command_cursor.h"
#include "command.h"
#include "view.h"

#include <stdlib.h>
#include <string.h>

#define SCOPE "service"

/* ---- cursors -------------------------------------------------------------------------------- */

static const char *state_name(cfa_cursor_state state) {
    return state == CFA_CURSOR_PAUSED ? "paused" : state == CFA_CURSOR_STOPPED ? "stopped" : "runs";
}

static json_t *view_cursor(const cfa_cursor_view *cursor) {
    return json_pack("{s:s, s:I, s:I, s:o, s:s, s:s?, s:b, s:I, s:I, s:I, s:I}", "name",
                     cursor->name, "acknowledged", (json_int_t)cursor->acknowledged, "lag",
                     (json_int_t)cursor->lag, "oldest", view_time(cursor->oldest_us), "state",
                     state_name(cursor->paused), "reason", cursor->reason, "owned",
                     cursor->owned != 0, "refused", (json_int_t)cursor->refused, "refused_tries",
                     (json_int_t)cursor->refused_tries, "dead", (json_int_t)cursor->dead_count,
                     "requeued", (json_int_t)cursor->requeued_count);
}

json_t *cursor_view_list(const cfa_cursor_list *list) {
    json_t *rows = json_array();
    for (size_t i = 0; rows && i < cfa_cursor_list_size(list); i++) {
        if (json_array_append_new(rows, view_cursor(cfa_cursor_list_at(list, i))) != 0) {
            json_decref(rows);
            rows = NULL;
        }
    }
    return rows;
}

void cursor_print_list(const cfa_cursor_list *list) {
    for (size_t i = 0; i < cfa_cursor_list_size(list); i++) {
        const cfa_cursor_view *cursor = cfa_cursor_list_at(list, i);
        printf("cursor %s: %s at %lld of %lld", cursor->name, state_name(cursor->paused),
               (long long)cursor->acknowledged, (long long)cursor->head);
        if (cursor->reason)
            printf(" (%s)", cursor->reason);
        if (cursor->refused > 0)
            printf(", %lld refused %lld times", (long long)cursor->refused,
                   (long long)cursor->refused_tries);
        if (cursor->dead_count > 0)
            printf(", %lld dead letters, %lld of them requeued", (long long)cursor->dead_count,
                   (long long)cursor->requeued_count);
        putchar('\n');
    }
}

/* The end of every command below: the cursor as it stands now, or the one line. */
static int finish(const server_config *config, cfa_engine *engine, const char *what,
                  cfa_status status, cfa_cursor_list *cursor, const char *key) {
    int code = EXIT_SUCCESS;
    if (status != CFA_OK)
        code = key ? command_write_failed(what, status, key) : command_failed(what, status);
    else if (config->json)
        code = command_print_json(view_cursor(cfa_cursor_list_at(cursor, 0)));
    else
        cursor_print_list(cursor);
    cfa_cursor_list_free(cursor);
    cfa_engine_close(engine);
    return code;
}

int command_outbox_pause(const server_config *config) {
    if (!config->reason) {
        config_complain("say why: --reason TEXT");
        return EXIT_CONFIG;
    }
    cfa_engine *engine = command_open(config);
    if (!engine)
        return EXIT_FAILED;
    cfa_cursor_list *cursor = NULL;
    const cfa_actor by = command_actor(config);
    cfa_status status = cfa_cursor_pause(&cursor, engine, config->words[0], &by);
    return finish(config, engine, "cannot pause the cursor", status, cursor, NULL);
}

int command_outbox_resume(const server_config *config) {
    cfa_engine *engine = command_open(config);
    if (!engine)
        return EXIT_FAILED;
    cfa_cursor_list *cursor = NULL;
    const cfa_actor by = command_actor(config);
    cfa_status status = cfa_cursor_resume(&cursor, engine, config->words[0], &by);
    return finish(config, engine, "cannot resume the cursor", status, cursor, NULL);
}

/* Where a cursor stands now. */
static cfa_status find_position(int64_t *out, cfa_engine *engine, const char *name) {
    cfa_page page = CFA_PAGE_INIT;
    cfa_cursor_list *list = NULL;
    page.limit = CFA_PAGE_LIMIT_MAX;
    cfa_status status = cfa_cursor_page(&list, engine, &page);
    bool found = false;
    for (size_t i = 0; status == CFA_OK && i < cfa_cursor_list_size(list); i++) {
        const cfa_cursor_view *cursor = cfa_cursor_list_at(list, i);
        if (strcmp(cursor->name, name) == 0) {
            *out = cursor->acknowledged;
            found = true;
        }
    }
    cfa_cursor_list_free(list);
    if (status == CFA_OK && !found)
        status = cfa_error_set(CFA_ENOTFOUND, "server", "name", 0, "there is no such cursor");
    return status;
}

int command_outbox_rewind(const server_config *config) {
    int64_t to = 0, expected = 0;
    char fresh[40];
    const char *key = command_key(fresh, config);
    if (!config->to) {
        config_complain("say where to: --to N; everything behind position N is delivered again");
        return EXIT_CONFIG;
    }
    if (config->key && !config->expected) {
        config_complain("a repeat must say the same: give --expected N with --key");
        return EXIT_CONFIG;
    }
    if (!command_position(&to, "--to", config->to) ||
        !command_position(&expected, "--expected", config->expected))
        return EXIT_CONFIG;
    cfa_engine *engine = command_open(config);
    if (!engine)
        return EXIT_FAILED;
    const cfa_actor by = command_actor(config);
    cfa_cursor_list *cursor = NULL;
    cfa_status status =
        config->expected ? CFA_OK : find_position(&expected, engine, config->words[0]);
    if (status == CFA_OK)
        status =
            cfa_cursor_rewind(&cursor, engine, config->words[0], expected, to, SCOPE, key, &by);
    return finish(config, engine, "cannot rewind the cursor", status, cursor, key);
}

/* ---- dead letters --------------------------------------------------------------------------- */

int command_outbox_requeue(const server_config *config) {
    int64_t position = 0;
    char fresh[40];
    const char *key = command_key(fresh, config);
    if (!command_position(&position, "--position", config->position))
        return EXIT_CONFIG;
    cfa_engine *engine = command_open(config);
    if (!engine)
        return EXIT_FAILED;
    const cfa_actor by = command_actor(config);
    cfa_cursor_list *cursor = NULL;
    cfa_status status =
        cfa_letter_requeue(&cursor, engine, config->words[0], position, SCOPE, key, &by);
    return finish(config, engine, "cannot requeue", status, cursor, key);
}

static json_t *view_letter(const cfa_letter_view *letter) {
    return json_pack("{s:I, s:s, s:s, s:s, s:I, s:I, s:s?, s:o, s:o, s:b}", "position",
                     (json_int_t)letter->position, "id", letter->event_id, "type",
                     letter->event_type, "subject", letter->subject, "tries",
                     (json_int_t)letter->tries, "code", (json_int_t)letter->code, "reason",
                     letter->reason, "first_refused", view_time(letter->first_us), "last_refused",
                     view_time(letter->last_us), "requeued", letter->requeued != 0);
}

static int print_letters(const server_config *config, const cfa_letter_list *list) {
    json_t *rows = config->json ? json_array() : NULL;
    for (size_t i = 0; i < cfa_letter_list_size(list); i++) {
        const cfa_letter_view *letter = cfa_letter_list_at(list, i);
        if (rows && json_array_append_new(rows, view_letter(letter)) != 0) {
            json_decref(rows);
            return command_print_json(NULL);
        }
        if (!config->json)
            printf("%lld\t%s\t%s\t%lld tries\t%s%s\n", (long long)letter->position,
                   letter->event_type, letter->subject, (long long)letter->tries,
                   letter->requeued ? "requeued: " : "", letter->reason ? letter->reason : "");
    }
    return config->json ? command_print_json(rows) : EXIT_SUCCESS;
}

int command_outbox_dead(const server_config *config) {
    int64_t after = 0;
    if (!command_position(&after, "--after", config->after))
        return EXIT_CONFIG;
    cfa_engine *engine = command_open(config);
    if (!engine)
        return EXIT_FAILED;
    cfa_letter_list *list = NULL;
    cfa_status status = cfa_letter_page(&list, engine, config->words[0], after, config->limit);
    int code = EXIT_SUCCESS;
    if (status == CFA_OK)
        code = print_letters(config, list);
    else
        return finish(config, engine, "cannot list dead letters", status, NULL, NULL);
    cfa_letter_list_free(list);
    cfa_engine_close(engine);
    return code;
}
