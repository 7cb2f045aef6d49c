/* log.c - lines for the operator. One write per line, so that threads do not mix. */
#include "log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void log_line(const char *level, const char *event, json_t *fields) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm parts;
    char time_text[32] = "";
    if (gmtime_r(&now.tv_sec, &parts))
        strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    json_t *line = json_pack("{s:s, s:s, s:s}", "time", time_text, "level", level, "event", event);
    if (line && fields)
        (void)json_object_update(line, fields);
    json_decref(fields);
    char buffer[2048];
    size_t size =
        line ? json_dumpb(line, buffer, sizeof buffer - 1, JSON_COMPACT | JSON_ENSURE_ASCII) : 0;
    json_decref(line);
    if (size == 0 || size > sizeof buffer - 1)
        return;
    buffer[size++] = '\n';
    /* A log that cannot be written must not stop donations. */
    ssize_t written = write(STDERR_FILENO, buffer, size);
    (void)written;
}
