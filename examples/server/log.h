/* log.h - one JSON object per line on standard error. Takes no text from requests: no secrets, no
 * personal data. */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include <jansson.h>

/* Write a line with the time, `level`, `event` and the members of `fields`, whose reference is
 * taken. Any thread. */
void log_line(const char *level, const char *event, json_t *fields);

#endif
