/* command_outbox.c - the log of events from the shell. Reads only: no cursor moves. */
#include "command.h"
#include "command_cursor.h"
#include "view.h"

#include <stdlib.h>
#include <string.h>

static json_t *view_event(const cfa_event_view *event) {
    json_t *data = json_loadb(event->data.data, event->data.size, 0, NULL);
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:o, s:s*, s:o}", "position",
                     (json_int_t)event->position, "id", event->id, "source", event->source, "type",
                     event->event_type, "subject", event->subject, "sequence",
                     (json_int_t)event->sequence, "time", view_time(event->time_us), "traceparent",
                     event->traceparent, "data", data ? data : json_null());
}

static json_t *view_events(const cfa_event_list *list) {
    json_t *rows = json_array();
    for (size_t i = 0; rows && i < cfa_event_list_size(list); i++) {
        if (json_array_append_new(rows, view_event(cfa_event_list_at(list, i))) != 0) {
            json_decref(rows);
            rows = NULL;
        }
    }
    return rows;
}

static void print_events(const cfa_event_list *list) {
    for (size_t i = 0; i < cfa_event_list_size(list); i++) {
        const cfa_event_view *event = cfa_event_list_at(list, i);
        json_t *time = view_time(event->time_us);
        printf("%lld\t%s\t%s\t%s %lld\n", (long long)event->position,
               json_is_string(time) ? json_string_value(time) : "", event->event_type,
               event->subject, (long long)event->sequence);
        json_decref(time);
    }
}

/* The newest position, which a book without sinks knows too. */
static int64_t read_head(cfa_engine *engine) {
    char *text = NULL;
    if (cfa_engine_statistics(&text, engine) != CFA_OK)
        return 0;
    json_t *numbers = json_loads(text, 0, NULL);
    int64_t head = json_integer_value(json_object_get(numbers, "log_position"));
    json_decref(numbers);
    cfa_free(text);
    return head;
}

static int print_list(const server_config *config, const cfa_event_list *list,
                      const cfa_cursor_list *cursors, int64_t after, int64_t head) {
    size_t size = cfa_event_list_size(list);
    int64_t last = size > 0 ? cfa_event_list_at(list, size - 1)->position : after;
    if (config->json)
        return command_print_json(json_pack(
            "{s:o, s:I, s:b, s:I, s:o}", "events", view_events(list), "last", (json_int_t)last,
            "more", last < head, "head", (json_int_t)head, "cursors", cursor_view_list(cursors)));
    print_events(list);
    if (last < head)
        printf("more: careforall-server outbox list --after %lld\n", (long long)last);
    cursor_print_list(cursors);
    return EXIT_SUCCESS;
}

int command_outbox_list(const server_config *config) {
    int64_t after = 0;
    if (!command_position(&after, "--after", config->after))
        return EXIT_CONFIG;
    cfa_engine *engine = command_open(config);
    if (!engine)
        return EXIT_FAILED;
    cfa_page page = CFA_PAGE_INIT;
    cfa_cursor_list *cursors = NULL;
    cfa_event_list *list = NULL;
    page.limit = CFA_PAGE_LIMIT_MAX;
    cfa_status status = cfa_event_page(&list, engine, after, config->limit);
    if (status == CFA_OK)
        status = cfa_cursor_page(&cursors, engine, &page);
    int code = status == CFA_OK ? print_list(config, list, cursors, after, read_head(engine))
                                : command_failed("cannot read the log", status);
    cfa_cursor_list_free(cursors);
    cfa_event_list_free(list);
    cfa_engine_close(engine);
    return code;
}
