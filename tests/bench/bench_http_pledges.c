/*
 * bench_http_pledges.c - the in-process peer of http_pledges.py: pledges until their answer, by
 * blocking callers, or by one thread that submits and polls, for a number of seconds. Prints the
 * count, the seconds, and the CPU seconds of the process. Never a part of the server.
 */
#include "bench/harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define CALLERS_MAX 256

struct load {
    bench_book book;
    int64_t end_ns;
    atomic_llong made;
};

static cfa_pledge_spec pledge_of(const bench_book *book, char key[BENCH_KEY_SIZE]) {
    bench_check(cfa_key_new(key, BENCH_KEY_SIZE), "cfa_key_new");
    cfa_pledge_spec spec = bench_pledge(book, key);
    spec.wait =
        CFA_WAIT_ANSWER; /* as the server does: nothing is told before the object is bound */
    return spec;
}

static void *call_blocking(void *opaque) {
    struct load *load = opaque;
    while (bench_now_ns() < load->end_ns) {
        char key[BENCH_KEY_SIZE];
        cfa_pledge *pledge;
        cfa_pledge_spec spec = pledge_of(&load->book, key);
        bench_check(cfa_pledge_create(&pledge, load->book.engine, &spec), "cfa_pledge_create");
        cfa_pledge_free(pledge);
        atomic_fetch_add(&load->made, 1);
    }
    return NULL;
}

static void run_blocking(struct load *load, int callers) {
    pthread_t threads[CALLERS_MAX];
    for (int i = 0; i < callers; i++) {
        if (pthread_create(&threads[i], NULL, call_blocking, load) != 0)
            bench_fail("pthread_create", "no thread");
    }
    for (int i = 0; i < callers; i++)
        pthread_join(threads[i], NULL);
}

static void run_polled(struct load *load, int callers) {
    cfa_port *port;
    int in_flight = 0;
    bench_check(cfa_port_new(&port, load->book.engine), "cfa_port_new");
    while (in_flight > 0 || bench_now_ns() < load->end_ns) {
        for (; in_flight < callers && bench_now_ns() < load->end_ns; in_flight++) {
            char key[BENCH_KEY_SIZE];
            cfa_pledge_spec spec = pledge_of(&load->book, key);
            bench_check(cfa_pledge_create_begin(port, 1, &spec), "cfa_pledge_create_begin");
        }
        cfa_completion *completion;
        bench_check(cfa_port_next(&completion, port, 10000), "cfa_port_next");
        for (; completion != NULL; in_flight--) {
            bench_check(cfa_completion_status(completion), "completion");
            cfa_pledge_free(cfa_completion_pledge(completion));
            cfa_completion_free(completion);
            atomic_fetch_add(&load->made, 1);
            bench_check(cfa_port_next(&completion, port, 0), "cfa_port_next");
        }
    }
    cfa_port_free(port);
}

static double cpu_s(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
    bool polled = argc == 4 && strcmp(argv[1], "polled") == 0;
    long callers = argc == 4 ? strtol(argv[2], NULL, 10) : 0;
    long seconds = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    if (callers < 1 || callers > CALLERS_MAX || seconds < 1 ||
        (!polled && strcmp(argv[1], "blocking") != 0)) {
        fprintf(stderr, "usage: bench_http_pledges blocking|polled CALLERS SECONDS\n");
        return 2;
    }
    struct load load = { 0 };
    bench_disk_use(BENCH_NATIVE);
    bench_book_open(&load.book, "http_pledges.db", NULL);
    bench_check(cfa_runner_start(load.book.engine, CFA_WORK_ALL), "cfa_runner_start");
    double before_s = cpu_s();
    int64_t started = bench_now_ns();
    load.end_ns = started + (int64_t)seconds * 1000000000;
    if (polled)
        run_polled(&load, (int)callers);
    else
        run_blocking(&load, (int)callers);
    printf("%lld %.3f %.3f\n", (long long)load.made, (double)(bench_now_ns() - started) / 1e9,
           cpu_s() - before_s);
    cfa_runner_stop(load.book.engine);
    bench_book_close(&load.book);
    bench_remove(load.book.path);
    return 0;
}
