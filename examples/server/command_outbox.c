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

/* How far the log goes, and how far the totals have followed it. */
typedef struct log_ends {
    int64_t head, totals;
} log_ends;

static cfa_status read_ends(log_ends *out, cfa_engine *engine) {
    char *text = NULL;
    cfa_page page = CFA_PAGE_INIT;
    cfa_campaign_list *list = NULL;
    cfa_totals *totals = NULL;
    page.limit = 1;
    cfa_status status = cfa_campaign_page(&list, engine, &page);
    if (status == CFA_OK && cfa_campaign_list_size(list) > 0) {
        cfa_totals_spec spec = CFA_TOTALS_SPEC_INIT;
        status =
            cfa_totals_get(&totals, engine, cfa_campaign_id(cfa_campaign_list_at(list, 0)), &spec);
    }
    if (status == CFA_OK)
        status = cfa_engine_statistics(&text, engine);
    if (status == CFA_OK) {
        json_t *numbers = json_loads(text, 0, NULL);
        out->head = json_integer_value(json_object_get(numbers, "log_position"));
        out->totals = totals ? cfa_totals_position(totals) : 0;
        json_decref(numbers);
    }
    cfa_free(text);
    cfa_totals_free(totals);
    cfa_campaign_list_free(list);
    return status;
}

static int print_json(const cfa_event_list *list, const log_ends *ends, int64_t last, bool more) {
    json_t *rows = json_array();
    for (size_t i = 0; rows && i < cfa_event_list_size(list); i++) {
        if (json_array_append_new(rows, view_event(cfa_event_list_at(list, i))) != 0) {
            json_decref(rows);
            rows = NULL;
        }
    }
    json_t *out = rows ? json_pack("{s:o, s:I, s:b, s:I, s:{s:I}}", "events", rows, "last",
                                   (json_int_t)last, "more", more, "head", (json_int_t)ends->head,
                                   "cursors", "totals", (json_int_t)ends->totals)
                       : NULL;
    if (!out) {
        config_complain("out of memory");
        return EXIT_FAILED;
    }
    json_dumpf(out, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(out);
    return EXIT_SUCCESS;
}

static void print_lines(const cfa_event_list *list, const log_ends *ends, int64_t last, bool more) {
    for (size_t i = 0; i < cfa_event_list_size(list); i++) {
        const cfa_event_view *event = cfa_event_list_at(list, i);
        json_t *time = view_time(event->time_us);
        printf("%lld\t%s\t%s\t%s %lld\n", (long long)event->position,
               json_is_string(time) ? json_string_value(time) : "", event->event_type,
               event->subject, (long long)event->sequence);
        json_decref(time);
    }
    if (more)
        printf("more: careforall-server outbox list --after %lld\n", (long long)last);
    printf("the log ends at %lld; the totals include %lld\n", (long long)ends->head,
           (long long)ends->totals);
}

int command_outbox_list(const server_config *config) {
    int64_t after = 0;
    if (!read_position(config, &after))
        return EXIT_CONFIG;
    cfa_engine *engine = command_open(config);
    if (!engine)
        return EXIT_FAILED;
    log_ends ends = { 0, 0 };
    cfa_event_list *list = NULL;
    cfa_status status = cfa_event_page(&list, engine, after, config->limit);
    if (status == CFA_OK)
        status = read_ends(&ends, engine);
    int code = EXIT_SUCCESS;
    if (status != CFA_OK)
        code = command_failed("cannot read the log", status);
    else {
        size_t size = cfa_event_list_size(list);
        int64_t last = size > 0 ? cfa_event_list_at(list, size - 1)->position : after;
        bool more = last < ends.head;
        if (config->json)
            code = print_json(list, &ends, last, more);
        else
            print_lines(list, &ends, last, more);
    }
    cfa_event_list_free(list);
    cfa_engine_close(engine);
    return code;
}
