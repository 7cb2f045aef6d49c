/*
 * limit.h - how often one address may ask: judged at a request's head, before anything is read or
 * done. Signed webhooks and the service are never counted with donors.
 */
#ifndef SERVER_LIMIT_H
#define SERVER_LIMIT_H

#include "http.h"

typedef struct server_limits server_limits;
struct server_config;

/* NULL: no memory. */
server_limits *limits_new(const struct server_config *config);
/* Says what was refused since the last line of the log. NULL: nothing happens. */
void limits_free(server_limits *limits);

/* Find out who asks and count the request, whose route is known by now; false after 400 or 429 was
 * answered. The loop's thread alone. */
bool limit_admit(http_request *request);

#endif
