/*
 * bench_pledges.c - durable pledges per second: the engine against a loop that writes the very rows
 * it wrote, and against one transaction per call. Contestants take turns; every figure is a ratio
 * of one turn.
 */
#include "bench/harness.h"
#include "bench/rows.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 64

/* What one contestant has done in one turn, slice by slice. */
struct measured {
    int64_t elapsed_ns;
    size_t count;
    size_t batches; /* by hand */
    int64_t *durations_ns;
};

/* ---- the engine: blocking callers ------------------------------------------------------------ */

struct load {
    bench_book *book;
    char (*keys)[37];     /* the donors' devices made them before */
    bench_writer *writer; /* one transaction per call: instead of an engine */
    const bench_rows *rows;
    pthread_mutex_t lock;
    size_t first;
    atomic_size_t next;
    size_t count;
    int64_t *durations_ns;
};

static void *call_engine(void *opaque) {
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

/* Run `body` on `threads` threads until the load is done; adds to what was measured before. */
static void drive(struct load *load, int threads, void *(*body)(void *),
                  struct measured *measured) {
    pthread_t thread[THREADS_MAX];
    load->durations_ns = measured->durations_ns + measured->count;
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
    measured->elapsed_ns += bench_now_ns() - started;
    measured->count += load->count;
}

/* ---- the peers ------------------------------------------------------------------------------- */

static void *call_writer(void *opaque) {
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
static const char *empty_book(bench_writer *writer, const char *name) {
    bench_book book;
    bench_book_open(&book, name, NULL);
    bench_book_close(&book);
    bench_writer_open(writer, book.path);
    return book.path;
}

/* Rows [first, first + count) in batches of `batch`; a mean of 63.4 gives batches of 63 and 64. */
static void replay(bench_writer *writer, const bench_rows *rows, size_t first, size_t count,
                   double batch, struct measured *measured) {
    int64_t started = bench_now_ns();
    size_t done = 0;
    for (double edge = batch; done < count; edge += batch) {
        size_t until = (size_t)(edge + 0.5) < count ? (size_t)(edge + 0.5) : count;
        if (until > done) {
            bench_writer_batch(writer, rows, first + done, until - done);
            measured->batches++;
        }
        done = until;
    }
    measured->elapsed_ns += bench_now_ns() - started;
    measured->count += count;
}

/* ---- cases ----------------------------------------------------------------------------------- */

struct scenario {
    const char *name;
    int callers; /* 0: submit and poll */
    int in_flight;
    bool runner;                /* the library's thread leads, else whoever polls */
    size_t count, single_count; /* pledges; fewer when each has a transaction */
    int slices;                 /* contestants alternate this often within a turn */
    double replay_goal;         /* 0: for information */
};

struct turn {
    bench_run engine, replay, single;
};

/* The engine's part of a slice; true durations of each pledge go behind those of the slices
 * before. */
static void engine_slice(const struct scenario *scenario, bench_book *book, size_t count,
                         struct measured *measured) {
    char(*keys)[BENCH_KEY_SIZE] = bench_keys(count, false);
    if (scenario->callers > 0) {
        struct load load = { .book = book, .count = count, .keys = keys };
        drive(&load, scenario->callers, call_engine, measured);
    } else {
        int64_t *durations_ns = measured->durations_ns + measured->count;
        bench_run run = bench_run_polled(book, scenario->in_flight, keys, count, durations_ns);
        measured->elapsed_ns += (int64_t)((double)count / run.per_second * 1e9);
        measured->count += count;
    }
    free(keys);
}

static void engine_open(const struct scenario *scenario, bench_book *book) {
    bench_book_open(book, "engine", NULL);
    if (scenario->runner) {
        bench_check(cfa_runner_start(book->engine, CFA_WORK_COMMANDS), "cfa_runner_start");
    }
}

/* Commands per commit since the last question. */
struct batches {
    int64_t commands, batches;
};

static double mean_batch(struct batches *before, cfa_engine *engine) {
    struct batches now = { bench_statistic(engine, "commands"),
                           bench_statistic(engine, "batches") };
    double mean =
        (double)(now.commands - before->commands) / (double)(now.batches - before->batches);
    *before = now;
    return mean;
}

/* Fill a book, so that there are rows to write again and a batch size to write them with. */
static double rows_make(const struct scenario *scenario, bench_rows *rows, size_t count) {
    bench_book book;
    struct measured measured = { .durations_ns = bench_alloc(count * sizeof(int64_t)) };
    engine_open(scenario, &book);
    struct batches seen = { 0, 0 };
    mean_batch(&seen, book.engine);
    engine_slice(scenario, &book, count, &measured);
    double batch = mean_batch(&seen, book.engine);
    bench_book_close(&book);
    bench_rows_read(rows, book.path);
    bench_remove(book.path);
    free(measured.durations_ns);
    return batch;
}

static bench_run run_of(struct measured *measured, double batch) {
    bench_run run = { 0, 0, 0, 0, batch };
    run.per_second = (double)measured->count / ((double)measured->elapsed_ns / 1e9);
    if (measured->durations_ns != NULL) {
        bench_percentiles(&run, measured->durations_ns, measured->count);
        free(measured->durations_ns);
    }
    return run;
}

/* One repetition: fresh files, a warm-up slice that is not counted, then slices in turns. By hand,
 * batches are as large as the engine's were in its last slice; `batch` to begin with. */
static struct turn take_turn(const struct scenario *scenario, const bench_rows *rows,
                             double batch) {
    size_t slice = scenario->count / (size_t)scenario->slices;
    size_t single_slice = scenario->single_count / (size_t)scenario->slices;
    size_t total = slice * (size_t)(scenario->slices + 1);
    struct measured engine = { .durations_ns = bench_alloc(total * sizeof(int64_t)) };
    struct measured single = { .durations_ns = bench_alloc(total * sizeof(int64_t)) };
    struct measured hand = { .durations_ns = NULL };
    bench_book book;
    bench_writer hand_writer, single_writer;
    engine_open(scenario, &book);
    const char *hand_path = empty_book(&hand_writer, "by-hand");
    const char *single_path = empty_book(&single_writer, "single");
    struct batches seen = { 0, 0 }, seen_from_start = { 0, 0 };
    for (int i = 0; i <= scenario->slices; i++) {
        struct load load = { .writer = &single_writer,
                             .rows = rows,
                             .first = (size_t)i * single_slice,
                             .count = single_slice,
                             .lock = PTHREAD_MUTEX_INITIALIZER };
        for (int place = 0; place < 3; place++) { /* who follows whom changes, too */
            int turn = i + (i % 2 == 0 ? place : 2 - place);
            switch (turn % 3) {
            case 0:
                engine_slice(scenario, &book, slice, &engine);
                batch = mean_batch(&seen, book.engine);
                break;
            case 1: replay(&hand_writer, rows, (size_t)i * slice, slice, batch, &hand); break;
            default:
                if (single_slice > 0) {
                    drive(&load, scenario->callers, call_writer, &single);
                }
                break;
            }
        }
        if (i == 0) {
            engine.elapsed_ns = hand.elapsed_ns = single.elapsed_ns = 0;
            engine.count = hand.count = single.count = hand.batches = 0;
            mean_batch(&seen_from_start, book.engine);
        }
    }
    struct turn turn = { run_of(&engine, mean_batch(&seen_from_start, book.engine)),
                         run_of(&hand, (double)hand.count / (double)hand.batches),
                         run_of(&single, 1) };
    bench_book_close(&book);
    bench_writer_close(&hand_writer);
    bench_writer_close(&single_writer);
    bench_remove(book.path);
    bench_remove(hand_path);
    bench_remove(single_path);
    return turn;
}

static void report_absolute(const char *what, const struct turn *turns, int count, size_t offset) {
    double per_second[BENCH_REPETITIONS_MAX], p50[BENCH_REPETITIONS_MAX],
        p99[BENCH_REPETITIONS_MAX], batch[BENCH_REPETITIONS_MAX];
    for (int i = 0; i < count; i++) {
        const bench_run *run = (const bench_run *)((const char *)&turns[i] + offset);
        per_second[i] = run->per_second;
        p50[i] = run->p50_us;
        p99[i] = run->p99_us;
        batch[i] = run->batch;
    }
    char latency[64] = "";
    if (p50[0] > 0) {
        snprintf(latency, sizeof(latency), "p50 %.0f us, p99 %.0f us, ", bench_median(p50, count),
                 bench_median(p99, count));
    }
    bench_note("%s: %.0f/s, %smean batch %.1f", what, bench_median(per_second, count), latency,
               bench_median(batch, count));
}

static void run_scenario(const bench_options *options, const struct scenario *scenario,
                         bench_disk disk) {
    struct turn turns[BENCH_REPETITIONS_MAX];
    double replay[BENCH_REPETITIONS_MAX], single[BENCH_REPETITIONS_MAX], p99[BENCH_REPETITIONS_MAX];
    char name[96];
    bool with_single = scenario->single_count > 0;
    struct scenario scaled = *scenario;
    if (options->quick) {
        scaled.count /= 10; /* never fewer rows than transactions */
        scaled.single_count /= 10;
    }
    bench_rows rows;
    size_t slice = scaled.count / (size_t)scaled.slices;
    double batch = rows_make(&scaled, &rows, slice * (size_t)(scaled.slices + 1));
    for (int i = 0; i < options->repetitions; i++) {
        turns[i] = take_turn(&scaled, &rows, batch);
        replay[i] = turns[i].engine.per_second / turns[i].replay.per_second;
        if (with_single) {
            single[i] = turns[i].engine.per_second / turns[i].single.per_second;
            p99[i] = turns[i].engine.p99_us / turns[i].single.p99_us;
        }
    }
    bench_rows_free(&rows);
    snprintf(name, sizeof(name), "pledges, %s / same rows by hand", scenario->name);
    bench_report(name, disk, "x", replay, options->repetitions,
                 scenario->replay_goal > 0 ? BENCH_AT_LEAST : BENCH_INFORMATION,
                 scenario->replay_goal);
    if (with_single) {
        bool many = scenario->callers == 64, alone = scenario->callers == 1;
        double goal = many ? 12 : 0.95;
        snprintf(name, sizeof(name), "pledges, %s / one transaction each", scenario->name);
        bench_report(name, disk, "x", single, options->repetitions,
                     alone || (many && disk == BENCH_FIXED) ? BENCH_AT_LEAST : BENCH_INFORMATION,
                     goal);
        snprintf(name, sizeof(name), "p99, %s / one transaction each", scenario->name);
        bench_report(name, disk, "x", p99, options->repetitions,
                     many && disk == BENCH_FIXED ? BENCH_AT_MOST : BENCH_INFORMATION, 0.1);
    }
    report_absolute("engine", turns, options->repetitions, offsetof(struct turn, engine));
    report_absolute("same rows by hand", turns, options->repetitions,
                    offsetof(struct turn, replay));
    if (with_single) {
        report_absolute("one transaction each", turns, options->repetitions,
                        offsetof(struct turn, single));
    }
}

int main(int argc, char **argv) {
    bench_options options = bench_start(argc, argv);
    static const struct scenario scenarios[] = {
        { "64 callers", 64, 0, false, 16000, 1600, 4, 0.7 },
        { "8 callers", 8, 0, false, 6000, 1000, 10, 0 },
        { "1 caller", 1, 0, false, 2000, 2000, 40, 0 },
        { "64 in flight", 0, 64, false, 20480, 0, 10, 0.9 },
        { "256 in flight", 0, 256, false, 30720, 0, 10, 0.9 },
        { "64 in flight, runner", 0, 64, true, 20480, 0, 10, 0.9 },
        { "256 in flight, runner", 0, 256, true, 30720, 0, 10, 0.9 },
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
