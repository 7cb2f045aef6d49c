/*
 * bench_totals.c - reading a campaign's totals in process, from memory, while others pledge to it
 * and the runner keeps the totals fresh.
 */
#include "bench/harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define WRITERS 4
#define READERS_MAX 8
#define GOAL_US 10

static bench_book book;
static atomic_bool stopping;
static atomic_int_fast64_t written;
static size_t reads;

static void *write_pledges(void *unused) {
    (void)unused;
    while (!stopping) {
        char key[BENCH_KEY_SIZE];
        cfa_pledge *pledge;
        bench_check(cfa_key_new(key, sizeof(key)), "cfa_key_new");
        cfa_pledge_spec spec = bench_pledge(&book, key);
        bench_check(cfa_pledge_create(&pledge, book.engine, &spec), "cfa_pledge_create");
        cfa_pledge_free(pledge);
        atomic_fetch_add(&written, 1);
    }
    return NULL;
}

static void *read_totals(void *opaque) {
    int64_t *durations_ns = opaque;
    for (size_t i = 0; i < reads; i++) {
        cfa_totals *totals;
        int64_t started = bench_now_ns();
        bench_check(cfa_totals_get(&totals, book.engine, book.campaign_id, NULL), "cfa_totals_get");
        durations_ns[i] = bench_now_ns() - started;
        cfa_totals_free(totals);
    }
    return NULL;
}

static bench_run run_readers(int readers) {
    bench_run run = { 0, 0, 0, 0, 0 };
    pthread_t threads[READERS_MAX];
    int64_t *durations_ns = bench_alloc((size_t)readers * reads * sizeof(*durations_ns));
    for (int i = 0; i < readers; i++) {
        if (pthread_create(&threads[i], NULL, read_totals, durations_ns + (size_t)i * reads) != 0) {
            bench_fail("pthread_create", "no thread");
        }
    }
    for (int i = 0; i < readers; i++) {
        pthread_join(threads[i], NULL);
    }
    bench_percentiles(&run, durations_ns, (size_t)readers * reads);
    free(durations_ns);
    return run;
}

static void report(const bench_options *options, int readers) {
    double p50[BENCH_REPETITIONS_MAX], p99[BENCH_REPETITIONS_MAX], p999[BENCH_REPETITIONS_MAX];
    char name[64];
    int64_t before = written;
    for (int i = 0; i < options->repetitions; i++) {
        bench_run run = run_readers(readers);
        p50[i] = run.p50_us;
        p99[i] = run.p99_us;
        p999[i] = run.p999_us;
    }
    snprintf(name, sizeof(name), "totals read, %d thread%s, p99", readers, readers > 1 ? "s" : "");
    bench_report(name, BENCH_NATIVE, "us", p99, options->repetitions, BENCH_AT_MOST, GOAL_US);
    bench_note("p50 %.2f us, p99.9 %.1f us; %lld pledges were written meanwhile",
               bench_median(p50, options->repetitions), bench_median(p999, options->repetitions),
               (long long)(written - before));
}

int main(int argc, char **argv) {
    bench_options options = bench_start(argc, argv);
    pthread_t writers[WRITERS];
    reads = options.quick ? 50000 : 500000;
    bench_disk_use(BENCH_NATIVE);
    bench_book_open(&book, "totals", NULL);
    bench_check(cfa_runner_start(book.engine, CFA_WORK_COMMANDS | CFA_WORK_TOTALS),
                "cfa_runner_start");
    for (int i = 0; i < WRITERS; i++) {
        if (pthread_create(&writers[i], NULL, write_pledges, NULL) != 0) {
            bench_fail("pthread_create", "no thread");
        }
    }
    report(&options, 1);
    report(&options, READERS_MAX);
    stopping = true;
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i], NULL);
    }
    bench_book_close(&book);
    bench_remove(book.path);
    return bench_finish();
}
