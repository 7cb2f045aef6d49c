/* command_outbox.c - the log of events from the shell. Reads only: no cursor moves. */
#include "command.h"
#include "view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool read_position(const server_config *config, int64_t *out) {
    char *end = NULL;
    *out = 0;
    if (!config->after)
        return true;
    errno = 0;
    long long value = strtoll(config->after, &end, 10);
    if (errno == 0 && *end == '\0' && end != config->after && value >= 0) {
        *out = value;
        return true;
    }
    config_complain("--after %s: give a position, a whole number from 0", config->after);
    return false;
}

static json_t *view_event(const cfa_event_view *event) {
    json_t *data = json_loadb(event->data.data, event->data.size, 0, NULL);
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:o, s:s*, s:o}", "position",
                     (json_int_t)event->position, "id", event->id, "source", event->source, "type",
                     event->event_type, "subject", event->subject, "sequence",
                     (json_int_t)event->sequence, "time", view_time(event->time_us), "traceparent",
                     event->traceparent, "data", data ? data : json_null());
}

static int print_events(const server_config *config, const cfa_event_list *list, int64_t after) {
    json_t *rows = config->json ? json_array() : NULL;
    int64_t last = after;
    for (size_t i = 0; i < cfa_event_list_size(list); i++) {
        const cfa_event_view *event = cfa_event_list_at(list, i);
        last = event->position;
        if (rows && json_array_append_new(rows, view_event(event)) != 0) {
            config_complain("out of memory");
            json_decref(rows);
            return EXIT_FAILED;
        }
        json_t *time = rows ? NULL : view_time(event->time_us);
        if (!rows)
            printf("%lld\t%s\t%s\t%s %lld\n", (long long)event->position,
                   json_is_string(time) ? json_string_value(time) : "", event->event_type,
                   event->subject, (long long)event->sequence);
        json_decref(time);
    }
    int32_t limit = config->limit > 0 ? config->limit : 100;
    bool more = cfa_event_list_size(list) == (size_t)limit;
    if (rows) {
        json_t *out =
            json_pack("{s:o, s:I, s:b}", "events", rows, "last", (json_int_t)last, "more", more);
        json_dumpf(out, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(out);
    } else if (more)
        printf("more: careforall-server outbox list --after %lld\n", (long long)last);
    return EXIT_SUCCESS;
}

int command_outbox_list(const server_config *config) {
    int64_t after = 0;
    if (!read_position(config, &after))
        return EXIT_CONFIG;
    cfa_engine *engine = command_open(config);
    if (!engine)
        return EXIT_FAILED;
    cfa_event_list *list = NULL;
    cfa_status status = cfa_event_page(&list, engine, after, config->limit);
    int code = status == CFA_OK ? print_events(config, list, after)
                                : command_failed("cannot read the log", status);
    cfa_event_list_free(list);
    cfa_engine_close(engine);
    return code;
}
