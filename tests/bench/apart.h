/*
 * apart.h - work that is measured in a process of its own, so that its peak memory is its own; and
 * what a pass over a book is compared with: a plain scan of the same tables.
 */
#ifndef CFA_TESTS_BENCH_APART_H
#define CFA_TESTS_BENCH_APART_H

#include <careforall/sys/storage.h>
#include <stddef.h>
#include <stdint.h>

typedef struct apart {
    double seconds;
    int64_t rows, rss_kib;
} apart;

/* In the parent: run `program what arguments...` (NULL ends them) and take what it printed. */
apart apart_run(const char *program, const char *what, const char *const *arguments);
/* In the child: print how long it took since `began_ns`, what it counted, and its peak memory. */
int apart_print(int64_t began_ns, int64_t rows);

/* Step over every row of these tables and look at every column. Returns the rows. */
int64_t plain_scan(const char *path, const cfa_kind *const *kinds, int32_t count);
/* Read a CSV and look at every field of it; read the objects of JSON lists, each parsed by jansson and
 * thrown away. Both return how many rows or objects there are. */
int64_t plain_csv(const char *path);
int64_t plain_json(const char *path);

#endif
