/*
 * signals.h - SIGTERM, SIGINT and SIGHUP as something the loop reads. They are blocked before any
 * thread begins and so in all of them: none interrupts anything, none is lost before the loop turns.
 */
#ifndef SERVER_SIGNALS_H
#define SERVER_SIGNALS_H

#include <stdbool.h>

/* From here on signals wait until they are read. Before the first thread begins. */
void signals_hold(void);
/* A descriptor for `signals_next`; -1 when there is none left. */
int signals_open(void);
/* The number of a signal that came, or 0. */
int signals_next(int descriptor);
/* Nobody reads any more: signals end the process again. */
void signals_release(void);

#endif
