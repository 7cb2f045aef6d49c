/*
 * http.h - HTTP/1.1 by libmicrohttpd inside the libuv loop: reads one request whole, lets the
 * faults have their way with it, and sends the reply. Knows no payments.
 */
#ifndef SANDBOX_HTTP_H
#define SANDBOX_HTTP_H

#include "sandbox.h"

typedef struct http_front http_front;

/* Listens on `options.host` and `options.port`; `*out_port` is the real one. NULL with a reason. */
http_front *http_start(sandbox *box, int *out_port, char *out_reason, size_t reason_size);
void http_stop(http_front *http);
/* Is another request with this idempotency key being worked on? */
bool http_key_in_use(sandbox *box, const call *except);

#endif
