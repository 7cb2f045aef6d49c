/*
 * rows.h - the very rows that an engine wrote, read back from its file, and a hand-written loop
 * that writes them again: the same schema, pragmas, order and batch size, prepared statements,
 * nothing else.
 */
#ifndef CFA_TESTS_BENCH_ROWS_H
#define CFA_TESTS_BENCH_ROWS_H

#include "bench/harness.h"

struct sqlite3;
struct sqlite3_stmt;

#define BENCH_TABLES 7 /* of a pledge: key, donor, pledge, payment, transition, operation, event */

typedef struct bench_cell {
    int type; /* SQLITE_INTEGER, ... */
    int size;
    int64_t integer;
    const void *data;
} bench_cell;

/* All rows of a book's pledges, in the order of their commits; row i of every table is of pledge
 * i. */
typedef struct bench_rows {
    size_t count;
    int columns[BENCH_TABLES];
    bench_cell *cells[BENCH_TABLES];
} bench_rows;

void bench_rows_read(bench_rows *rows, const char *path);
void bench_rows_free(bench_rows *rows);

/* A connection with the engine's own settings on a file with the engine's own schema, and its
 * statements. */
typedef struct bench_writer {
    struct sqlite3 *db;
    struct sqlite3_stmt *begin, *commit, *insert[BENCH_TABLES];
    int wal_pages;
} bench_writer;

void bench_writer_open(bench_writer *writer, const char *path);
void bench_writer_close(bench_writer *writer);
void bench_writer_run(bench_writer *writer, struct sqlite3_stmt *statement);
/* Write pledges [first, first + count) in one transaction, table by table in key order, as the
 * engine does. */
void bench_writer_batch(bench_writer *writer, const bench_rows *rows, size_t first, size_t count);

#endif
