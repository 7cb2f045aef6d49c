/*
 * bench_pledges.c - durable pledges per second: the engine against a loop that writes the very rows it wrote, and
 * against one transaction per call. Contestants take turns; every figure is a ratio of one turn.
 */
#include "bench/harness.h"
#include "bench/rows.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 64

/* ---- the engine: blocking callers ------------------------------------------------------------ */

struct load {
    bench_book *book;
    char (*keys)[37];           /* the donors' devices made them before */
    bench_writer *writer;       /* one transaction per call: instead of an engine */
    const bench_rows *rows;
    pthread_mutex_t lock;
    size_t first;
    atomic_size_t next;
    size_t count;
    int64_t *durations_ns;
};

static void *call_engine(void *opaque)
{
    struct load *load = opaque;
    for (size_t i; (i = atomic_fetch_add(&load->next, 1)) < load->count;) {
        cfa_pledge *pledge;
        cfa_pledge_spec spec = bench_pledge(load->book, load->keys[i]);
        int64_t started = bench_now_ns();
        bench_check(cfa_pledge_create(&pledge, load->book->engine, &spec), "cfa_pledge_create");
        load->durations_ns[i] = bench_now_ns() - started;
        cfa_pledge_free(pledge);
    }
    return NULL;
}

static bench_run drive(struct load *load, int threads, void *(*body)(void *))
{
    bench_run run = { 0, 0, 0, 0, 1 };
    pthread_t thread[THREADS_MAX];
    load->durations_ns = bench_alloc(load->count * sizeof(int64_t));
    int64_t started = bench_now_ns();
    for (int i = 1; i < threads; i++) {
        if (pthread_create(&thread[i], NULL, body, load) != 0) {
            bench_fail("pthread_create", "no thread");
        }
    }
    body(load);
    for (int i = 1; i < threads; i++) {
        pthread_join(thread[i], NULL);
    }
    run.per_second = (double)load->count / ((double)(bench_now_ns() - started) / 1e9);
    bench_percentiles(&run, load->durations_ns, load->count);
    free(load->durations_ns);
    return run;
}

static bench_run run_blocking(bench_book *book, int threads, size_t count)
{
    struct load load = { .book = book, .count = count, .keys = bench_keys(count, false) };
    bench_run run = drive(&load, threads, call_engine);
    free(load.keys);
    return run;
}

/* ---- the peers ------------------------------------------------------------------------------- */

static void *call_writer(void *opaque)
{
    struct load *load = opaque;
    for (size_t i; (i = atomic_fetch_add(&load->next, 1)) < load->count;) {
        int64_t started = bench_now_ns();
        pthread_mutex_lock(&load->lock);
        bench_writer_batch(load->writer, load->rows, load->first + i, 1);
        pthread_mutex_unlock(&load->lock);
        load->durations_ns[i] = bench_now_ns() - started;
    }
    return NULL;
}

/* A file with the engine's schema, made by the engine. */
static const char *empty_book(const char *name)
{
    bench_book book;
    bench_book_open(&book, name, NULL);
    bench_book_close(&book);
    bench_writer writer;
    bench_writer_open(&writer, book.path);
    bench_writer_close(&writer);
    return book.path;
}

/* The rows in batches of `batch`, after `warm` of them; a mean of 63.4 gives batches of 63 and 64. */
static bench_run run_replay(const bench_rows *rows, size_t warm, double batch)
{
    bench_run run = { 0, 0, 0, 0, batch };
    const char *path = empty_book("replay");
    bench_writer writer;
    bench_writer_open(&writer, path);
    size_t done = 0;
    int64_t started = 0;
    for (double edge = batch; done < rows->count; edge += batch) {
        size_t until = (size_t)(edge + 0.5);
        if (started == 0 && done >= warm) {
            started = bench_now_ns();
            warm = done;
        }
        until = until > rows->count ? rows->count : until;
        if (until > done) {
            bench_writer_batch(&writer, rows, done, until - done);
        }
        done = until;
    }
    run.per_second = (double)(rows->count - warm) / ((double)(bench_now_ns() - started) / 1e9);
    bench_writer_close(&writer);
    bench_remove(path);
    return run;
}

static bench_run run_single(const bench_rows *rows, size_t warm, int threads, size_t count)
{
    const char *path = empty_book("single");
    bench_writer writer;
    bench_writer_open(&writer, path);
    for (size_t i = 0; i < warm && i < 64; i++) {
        bench_writer_batch(&writer, rows, i, 1);
    }
    struct load load = { .writer = &writer, .rows = rows, .first = warm, .count = count,
                         .lock = PTHREAD_MUTEX_INITIALIZER };
    if (load.count > rows->count - warm) {
        load.count = rows->count - warm;
    }
    bench_run run = drive(&load, threads, call_writer);
    bench_writer_close(&writer);
    bench_remove(path);
    return run;
}

/* ---- cases ----------------------------------------------------------------------------------- */

struct scenario {
    const char *name;
    int callers;                /* 0: submit and poll */
    int in_flight;
    bool runner;                /* the library's thread leads, else whoever polls */
    size_t count, single_count; /* pledges; fewer when each has a transaction */
    double replay_goal;         /* 0: for information */
};

/* One repetition: the engine on a fresh book, then its rows by hand. */
struct turn {
    bench_run engine, replay, single;
};

static struct turn take_turn(const struct scenario *scenario, bool single)
{
    struct turn turn;
    memset(&turn, 0, sizeof(turn));
    size_t warm = scenario->count / 8 + 1;
    bench_book book;
    bench_book_open(&book, "engine", NULL);
    if (scenario->runner) {
        bench_check(cfa_runner_start(book.engine, CFA_WORK_COMMANDS), "cfa_runner_start");
    }
    for (int phase = 0; phase < 2; phase++) {
        size_t count = phase == 0 ? warm : scenario->count;
        int64_t commands = bench_statistic(book.engine, "commands");
        int64_t batches = bench_statistic(book.engine, "batches");
        if (scenario->callers > 0) {
            turn.engine = run_blocking(&book, scenario->callers, count);
        } else {
            char (*keys)[37] = bench_keys(count, false);
            turn.engine = bench_run_polled(&book, scenario->in_flight, keys, count);
            free(keys);
        }
        commands = bench_statistic(book.engine, "commands") - commands;
        batches = bench_statistic(book.engine, "batches") - batches;
        turn.engine.batch = (double)commands / (double)batches;
    }
    bench_book_close(&book);
    bench_rows rows;
    bench_rows_read(&rows, book.path);
    bench_remove(book.path);
    turn.replay = run_replay(&rows, warm, turn.engine.batch);
    if (single) {
        turn.single = run_single(&rows, warm, scenario->callers > 0 ? scenario->callers : 1,
                                 scenario->single_count);
    }
    bench_rows_free(&rows);
    return turn;
}

static void report_absolute(const char *what, const struct turn *turns, int count, size_t offset)
{
    double per_second[BENCH_REPETITIONS_MAX], p50[BENCH_REPETITIONS_MAX], p99[BENCH_REPETITIONS_MAX],
        batch[BENCH_REPETITIONS_MAX];
    for (int i = 0; i < count; i++) {
        const bench_run *run = (const bench_run *)((const char *)&turns[i] + offset);
        per_second[i] = run->per_second;
        p50[i] = run->p50_us;
        p99[i] = run->p99_us;
        batch[i] = run->batch;
    }
    bench_note("%s: %.0f/s, p50 %.0f us, p99 %.0f us, mean batch %.1f", what,
               bench_median(per_second, count), bench_median(p50, count), bench_median(p99, count),
               bench_median(batch, count));
}

static void run_scenario(const bench_options *options, const struct scenario *scenario, bench_disk disk)
{
    struct turn turns[BENCH_REPETITIONS_MAX];
    double replay[BENCH_REPETITIONS_MAX], single[BENCH_REPETITIONS_MAX], p99[BENCH_REPETITIONS_MAX];
    char name[96];
    bool with_single = scenario->single_count > 0;
    struct scenario scaled = *scenario;
    if (options->quick) {
        scaled.count /= 10;
        scaled.single_count /= 4;
    }
    for (int i = 0; i < options->repetitions; i++) {
        turns[i] = take_turn(&scaled, with_single);
        replay[i] = turns[i].engine.per_second / turns[i].replay.per_second;
        if (with_single) {
            single[i] = turns[i].engine.per_second / turns[i].single.per_second;
            p99[i] = turns[i].engine.p99_us / turns[i].single.p99_us;
        }
    }
    snprintf(name, sizeof(name), "pledges, %s / same rows by hand", scenario->name);
    bench_report(name, disk, "x", replay, options->repetitions,
                 scenario->replay_goal > 0 ? BENCH_AT_LEAST : BENCH_INFORMATION, scenario->replay_goal);
    if (with_single) {
        bool many = scenario->callers == 64, alone = scenario->callers == 1;
        double goal = many ? 12 : 0.95;
        snprintf(name, sizeof(name), "pledges, %s / one transaction each", scenario->name);
        bench_report(name, disk, "x", single, options->repetitions,
                     alone || (many && disk == BENCH_FIXED) ? BENCH_AT_LEAST : BENCH_INFORMATION, goal);
        snprintf(name, sizeof(name), "p99, %s / one transaction each", scenario->name);
        bench_report(name, disk, "x", p99, options->repetitions,
                     many && disk == BENCH_FIXED ? BENCH_AT_MOST : BENCH_INFORMATION, 0.1);
    }
    report_absolute("engine", turns, options->repetitions, offsetof(struct turn, engine));
    report_absolute("same rows by hand", turns, options->repetitions, offsetof(struct turn, replay));
    if (with_single) {
        report_absolute("one transaction each", turns, options->repetitions,
                        offsetof(struct turn, single));
    }
}

int main(int argc, char **argv)
{
    bench_options options = bench_start(argc, argv);
    static const struct scenario scenarios[] = {
        { "64 callers", 64, 0, false, 16000, 1500, 0.7 },
        { "8 callers", 8, 0, false, 5000, 1000, 0 },
        { "1 caller", 1, 0, false, 1000, 1000, 0 },
        { "64 in flight", 0, 64, false, 16000, 0, 0.9 },
        { "256 in flight", 0, 256, false, 24000, 0, 0.9 },
        { "64 in flight, runner", 0, 64, true, 16000, 0, 0.9 },
        { "256 in flight, runner", 0, 256, true, 24000, 0, 0.9 },
    };
    for (int disk = BENCH_NATIVE; disk <= BENCH_FIXED; disk++) {
        if (!(disk == BENCH_NATIVE ? options.native : options.fixed)) {
            continue;
        }
        bench_disk_use((bench_disk)disk);
        for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
            if (bench_wanted(&options, scenarios[i].name)) {
                run_scenario(&options, &scenarios[i], (bench_disk)disk);
            }
        }
    }
    return bench_finish();
}
