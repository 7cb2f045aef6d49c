/*
 * harness.h - what the benchmarks share: time, disks, books to fill, medians, and the lines that
 * tests/bench/run makes a table of. Never a part of what is measured.
 */
#ifndef CFA_TESTS_BENCH_HARNESS_H
#define CFA_TESTS_BENCH_HARNESS_H

#include <careforall/adapters/play.h>
#include <careforall/adapters/sqlite.h>
#include <careforall/careforall.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_REPETITIONS_MAX 31
#define BENCH_KEY_SIZE 37

/* What the command line said. */
typedef struct bench_options {
    int repetitions;    /* 5; 3 with --quick */
    bool quick;         /* a tenth of the work: to see that it runs, not to judge by */
    bool native, fixed; /* which disks */
    int64_t rows;       /* --rows, 0: the benchmark's own choice */
    const char *only;   /* --only NAME: one case of the benchmark */
} bench_options;

bench_options bench_start(int argc, char **argv);
/* True when --only does not exclude this case. */
bool bench_wanted(const bench_options *options, const char *name);

int64_t bench_now_ns(void);
int64_t bench_wall_us(void);
void bench_check(cfa_status status, const char *doing);
void bench_fail(const char *doing, const char *why);
void *bench_alloc(size_t size);

/* ---- disks ----------------------------------------------------------------------------------- */

/* The native disk, or files in memory with a sync that takes exactly 1 ms. */
typedef enum bench_disk { BENCH_NATIVE, BENCH_FIXED } bench_disk;

void bench_disk_use(bench_disk disk);
const char *bench_disk_name(bench_disk disk);
/* A file of that name on the disk in use, without what an earlier run left there. */
const char *bench_path(const char *name);
void bench_remove(const char *path);
/* What fsync and fdatasync of this process do: -1 the real thing, else sleep this long. */
void bench_sync_sleep(int64_t sleep_us);

/* ---- books ----------------------------------------------------------------------------------- */

typedef struct bench_book {
    cfa_play *play;
    cfa_engine *engine;
    char campaign_id[CFA_ID_TEXT_SIZE];
    const char *path;
} bench_book;

/* Open a fresh book with one campaign. `given`: further options, or NULL. */
void bench_book_open(bench_book *book, const char *name, const cfa_engine_options *given);
/* Open the book at `book->path` again; its campaign is the one there is. */
void bench_book_reopen(bench_book *book);
/* The same with one sink, or none. */
void bench_book_reopen_with(bench_book *book, const cfa_sink_binding *sink);
void bench_book_close(bench_book *book);
int64_t bench_statistic(cfa_engine *engine, const char *name);
/* Fresh keys, time-ordered or opaque; released by `free`. */
char (*bench_keys(size_t count, bool opaque))[BENCH_KEY_SIZE];
/* A pledge as donors make them, waiting for its commit. */
cfa_pledge_spec bench_pledge(const bench_book *book, const char *key);

/* ---- results --------------------------------------------------------------------------------- */

typedef struct bench_run {
    double per_second;
    double p50_us, p99_us, p999_us;
    double batch; /* mean commands per commit */
} bench_run;

/* One thread makes a pledge for each key and polls for its completion, `in_flight` at a time.
 * `durations_ns`: how long each took, or NULL. */
bench_run bench_run_polled(bench_book *book, int in_flight, char (*keys)[BENCH_KEY_SIZE],
                           size_t count, int64_t *durations_ns);
/* Percentiles of `count` durations in nanoseconds, which are sorted in place. */
void bench_percentiles(bench_run *run, int64_t *durations_ns, size_t count);
double bench_median(const double *values, int count);

typedef enum bench_goal { BENCH_AT_LEAST, BENCH_AT_MOST, BENCH_INFORMATION } bench_goal;

/* One line of the table: median and range of the repetitions' values, and the judgement. */
void bench_report(const char *name, bench_disk disk, const char *unit, const double *values,
                  int count, bench_goal goal, double target);
/* A remark below the table: absolute figures, what bounds a ratio. */
void bench_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* 0: every goal was met. */
int bench_finish(void);

#endif
