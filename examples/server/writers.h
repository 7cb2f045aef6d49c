/*
 * writers.h - which other programs have a book's file open to write it.
 */
#ifndef SERVER_WRITERS_H
#define SERVER_WRITERS_H

#include <stddef.h>

#define WRITERS_TEXT_SIZE 256

/*
 * Count the processes that have `database` open for writing and do not use this library, and write
 * the first of them to `names`, as "1234 (sqlite3), 99 (python3)". Sees what its user may see, and
 * looks for five seconds at most. A program that is linked with the library statically counts as one
 * without, unless it is this one.
 */
int writers_find(char *names, size_t size, const char *database);

#endif
