/*
 * line.c - one event as one line: CloudEvents 1.0 in JSON, its data as it came.
 *
 * Must never change an event's bytes, and never let a line break into a line.
 */
#include "adapters/ndjson/line.h"
#include "util/buffer.h"
#include "util/text.h"

#include <stdio.h>
#include <string.h>

static cfa_status check_event(const cfa_event_view *event) {
    if (event->position <= 0) {
        return cfa_error_set(CFA_EINVAL, CFA__NDJSON_ORIGIN, "position", 0, "positions begin at 1");
    }
    if (event->data.size > CFA_EVENT_BYTES_MAX) {
        return cfa_error_set(CFA_ETOOLONG, CFA__NDJSON_ORIGIN, "data", 0,
                             "an event's data is at most 64 KiB");
    }
    if (event->data.size > 0 && memchr(event->data.data, '\n', event->data.size) != NULL) {
        return cfa_error_set(CFA_EINVAL, CFA__NDJSON_ORIGIN, "data", 0,
                             "data with a line break would break the line it stands in");
    }
    return CFA_OK;
}

/* `sequence` orders the events of one source and must sort as text (CloudEvents' extension). */
cfa_status cfa__ndjson_line(const cfa_event_view *event, cfa_arena *arena, cfa_slice *out) {
    cfa_status status = check_event(event);
    if (status != CFA_OK) {
        return status;
    }
    char time[28];
    char sequence[24];
    cfa__time_format(time, event->time_us);
    snprintf(sequence, sizeof sequence, "%020lld", (long long)event->position);
    cfa__buffer line;
    cfa__buffer_init(&line, arena, event->data.size + 512);
    cfa__json_open(&line, NULL, '{');
    cfa__json_text(&line, "specversion", "1.0");
    cfa__json_text(&line, "id", event->id);
    cfa__json_text(&line, "source", event->source);
    cfa__json_text(&line, "type", event->event_type);
    cfa__json_text(&line, "subject", event->subject);
    cfa__json_text(&line, "time", time);
    cfa__json_text(&line, "datacontenttype", "application/json");
    cfa__json_text(&line, "partitionkey", event->subject);
    cfa__json_text(&line, "sequence", sequence);
    if (event->traceparent != NULL) {
        cfa__json_text(&line, "traceparent", event->traceparent);
    }
    if (event->data.size > 0) {
        cfa__json_raw(&line, "data", event->data);
    }
    cfa__json_close(&line, '}');
    cfa__buffer_text(&line, "\n");
    return cfa__buffer_finish(&line, out);
}
