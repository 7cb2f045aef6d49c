/* listener.h - the listening socket: our own, or one that the service manager passed to us. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include "config.h"

/* Bound, listening, non-blocking; -1 after the one line was printed. */
int listener_open(const server_config *config);
/* Check that the address is one; false after the one line was printed. */
bool listener_check(const server_config *config);
/* Print "listening on http://...". */
void listener_print(int listener);

#endif
