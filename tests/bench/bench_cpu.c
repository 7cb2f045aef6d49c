/*
 * bench_cpu.c - what tests/bench/cpu_share.py samples: the engine alone, making durable pledges on
 * the native disk for a few seconds. Prints nothing that is measured itself.
 */
#include "bench/harness.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 64
#define IN_FLIGHT 256

static bench_book book;
static int64_t until_ns;
static atomic_int_fast64_t made;

static void *call(void *unused) {
    (void)unused;
    while (bench_now_ns() < until_ns) {
        char key[37];
        cfa_pledge *pledge;
        bench_check(cfa_key_new(key, sizeof(key)), "cfa_key_new");
        cfa_pledge_spec spec = bench_pledge(&book, key);
        bench_check(cfa_pledge_create(&pledge, book.engine, &spec), "cfa_pledge_create");
        cfa_pledge_free(pledge);
        atomic_fetch_add(&made, 1);
    }
    return NULL;
}

static void run_callers(void) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, call, NULL) != 0) {
            bench_fail("pthread_create", "no thread");
        }
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void run_polled(void) {
    cfa_port *port;
    int64_t in_flight = 0;
    bench_check(cfa_port_new(&port, book.engine), "cfa_port_new");
    while (bench_now_ns() < until_ns || in_flight > 0) {
        while (in_flight < IN_FLIGHT && bench_now_ns() < until_ns) {
            char key[37];
            bench_check(cfa_key_new(key, sizeof(key)), "cfa_key_new");
            cfa_pledge_spec spec = bench_pledge(&book, key);
            bench_check(cfa_pledge_create_begin(port, 0, &spec), "cfa_pledge_create_begin");
            in_flight++;
        }
        cfa_completion *completion;
        bench_check(cfa_port_next(&completion, port, 10000), "cfa_port_next");
        while (completion != NULL) {
            bench_check(cfa_completion_status(completion), "completion");
            cfa_completion_free(completion);
            in_flight--;
            atomic_fetch_add(&made, 1);
            bench_check(cfa_port_next(&completion, port, 0), "cfa_port_next");
        }
    }
    cfa_port_free(port);
}

int main(int argc, char **argv) {
    bench_options options = bench_start(argc, argv);
    bench_disk_use(options.native ? BENCH_NATIVE : BENCH_FIXED);
    bench_book_open(&book, "cpu", NULL);
    until_ns = bench_now_ns() + (options.quick ? 1 : 3) * INT64_C(1000000000);
    if (options.only != NULL && options.only[0] == '6') {
        run_callers();
    } else {
        run_polled();
    }
    bench_note("%lld pledges", (long long)made);
    bench_book_close(&book);
    bench_remove(book.path);
    return bench_finish();
}
