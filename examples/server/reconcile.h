/*
 * reconcile.h - the book compared with what the provider lists, every so many hours, on a thread of
 * its own: never on the loop.
 */
#ifndef SERVER_RECONCILE_H
#define SERVER_RECONCILE_H

#include "config.h"

#include <careforall/engine.h>

typedef struct server_reconcile server_reconcile;

/* Begin; `*out` NULL when the settings or the provider ask for nothing. False: it did not start. */
bool reconcile_start(server_reconcile **out, cfa_engine *engine, const server_config *config);
/* Come to an end soon; NULL does nothing. Never waits. */
void reconcile_end(server_reconcile *self);
/* Wait so long at most, then free it. False: it still works on a page, and the engine must not be
 * closed. */
bool reconcile_stop(server_reconcile *self, int32_t timeout_ms);

#endif
