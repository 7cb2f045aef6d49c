/* access.h - who a request is in the logs: its id, its trace, its one line. */
#ifndef SERVER_ACCESS_H
#define SERVER_ACCESS_H

#include "http.h"

/* Give a new request an id of the server's own. */
void access_number(http_request *request);

/* Take over a well-formed X-Request-Id, else the id of a well-formed traceparent. */
void access_identify(http_request *request);

/* Write the line of an exchange that is over; `status` 0: nothing was answered. */
void access_log(const http_request *request, int status, bool aborted);

#endif
