/*
 * log.c - lines for the operator. Whole lines are written, at most a pipe's atomic size at once, and
 * only when the reader has room: threads do not mix, and nothing ever waits for a log.
 */
#include "log.h"

#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_ulong lost_lines;
static char pending[PIPE_BUF];
static size_t pending_size;

void log_time(char out[LOG_TIME_BYTES]) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm parts;
    out[0] = '\0';
    if (gmtime_r(&now.tv_sec, &parts)) {
        size_t used = strftime(out, LOG_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
        snprintf(out + used, LOG_TIME_BYTES - used, ".%06ldZ", now.tv_nsec / 1000);
    }
}

static unsigned long count_lines(const char *data, size_t size) {
    unsigned long lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    return lines;
}

/* A pipe that is ready takes PIPE_BUF bytes without waiting. */
static bool write_ready(const char *data, size_t size) {
    struct pollfd descriptor = { .fd = STDERR_FILENO, .events = POLLOUT };
    return poll(&descriptor, 1, 0) == 1 && (descriptor.revents & POLLOUT) != 0 &&
           write(STDERR_FILENO, data, size) == (ssize_t)size;
}

static void write_lines(const char *data, size_t size) {
    unsigned long lost = atomic_exchange(&lost_lines, 0);
    if (lost > 0) {
        char time_text[LOG_TIME_BYTES], line[160];
        log_time(time_text);
        int used = snprintf(
            line, sizeof line,
            "{\"time\":\"%s\",\"level\":\"warning\",\"event\":\"log_lost\",\"lines\":%lu}\n",
            time_text, lost);
        if (!write_ready(line, (size_t)used))
            atomic_fetch_add(&lost_lines, lost);
    }
    if (!write_ready(data, size))
        atomic_fetch_add(&lost_lines, count_lines(data, size));
}

void log_flush(void) {
    if (pending_size == 0)
        return;
    write_lines(pending, pending_size);
    pending_size = 0;
}

void log_append(const char *line, size_t size) {
    if (size > sizeof pending)
        return;
    if (pending_size + size > sizeof pending)
        log_flush();
    memcpy(pending + pending_size, line, size);
    pending_size += size;
}

void log_line(const char *level, const char *event, json_t *fields) {
    char time_text[LOG_TIME_BYTES];
    log_time(time_text);
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
    write_lines(buffer, size);
}
