/*
 * reconcile.h - the book compared with what the provider lists, every so many hours; the work
 * itself is a job (jobs.h).
 */
#ifndef SERVER_RECONCILE_H
#define SERVER_RECONCILE_H

struct server_app;

/* Begin to look at the time, on the loop; nothing when the settings or the provider ask for
 * nothing. */
void reconcile_start(struct server_app *app);

#endif
