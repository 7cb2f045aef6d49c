/* log.h - one JSON object per line on standard error. Takes no text from requests: no secrets, no
 * personal data. A reader that is too slow loses lines; it never holds up donations. */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include <jansson.h>

enum { LOG_TIME_BYTES = 32 };

/* Write a line with the time, `level`, `event` and the members of `fields`, whose reference is
 * taken. Any thread. */
void log_line(const char *level, const char *event, json_t *fields);

/* Append a finished line, with its line end, to what `log_flush` writes. The loop's thread alone. */
void log_append(const char *line, size_t size);
void log_flush(void);

/* Write the time as RFC 3339 with microseconds. */
void log_time(char out[LOG_TIME_BYTES]);

#endif
