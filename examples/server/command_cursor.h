/* command_cursor.h - how cursors of sinks and subscriptions look on the command line. */
#ifndef SERVER_COMMAND_CURSOR_H
#define SERVER_COMMAND_CURSOR_H

#include <careforall/careforall.h>
#include <jansson.h>

/* A new reference, or NULL when out of memory. */
json_t *cursor_view_list(const cfa_cursor_list *list);
/* One line per cursor. */
void cursor_print_list(const cfa_cursor_list *list);

#endif
