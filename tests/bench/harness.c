/*
 * harness.c - see harness.h. Ends the process at the first thing that goes wrong: a benchmark that
 * limps measures nothing.
 */
#include "bench/harness.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int missed;

/* ---- start ----------------------------------------------------------------------------------- */

static void usage(const char *program) {
    fprintf(
        stderr,
        "usage: %s [--quick] [--repetitions N] [--disk native|fixed] [--rows N] [--only CASE]\n"
        "Files go to $CAREFORALL_BENCH_DIR (default: the working directory) and, with a sync of\n"
        "1 ms, to /dev/shm.\n",
        program);
    exit(2);
}

static int64_t number_of(const char *program, const char *text, int64_t least, int64_t most) {
    char *end;
    long long value = text != NULL ? strtoll(text, &end, 10) : 0;
    if (text == NULL || *end != '\0' || value < least || value > most) {
        usage(program);
    }
    return value;
}

bench_options bench_start(int argc, char **argv) {
    bench_options options = { 0, false, true, true, 0, NULL };
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--quick") == 0) {
            options.quick = true;
            continue;
        }
        if (strcmp(argv[i], "--repetitions") == 0) {
            options.repetitions = (int)number_of(argv[0], value, 1, BENCH_REPETITIONS_MAX);
        } else if (strcmp(argv[i], "--rows") == 0) {
            options.rows = number_of(argv[0], value, 1, INT64_C(1000000000));
        } else if (strcmp(argv[i], "--only") == 0 && value != NULL) {
            options.only = value;
        } else if (strcmp(argv[i], "--disk") == 0 && value != NULL) {
            options.native = strcmp(value, "native") == 0;
            options.fixed = strcmp(value, "fixed") == 0;
        } else {
            usage(argv[0]);
        }
        i++;
    }
    if (options.repetitions == 0) {
        options.repetitions = options.quick ? 3 : 5;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    prctl(PR_SET_TIMERSLACK, 1UL); /* a sync of 1 ms takes 1 ms; threads inherit it */
    return options;
}

bool bench_wanted(const bench_options *options, const char *name) {
    return options->only == NULL || strcmp(options->only, name) == 0;
}

int64_t bench_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t bench_wall_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void bench_fail(const char *doing, const char *why) {
    fprintf(stderr, "%s: %s\n", doing, why);
    exit(2);
}

void bench_check(cfa_status status, const char *doing) {
    if (status != CFA_OK) {
        cfa_error error = CFA_ERROR_INIT;
        (void)!cfa_error_last(&error);
        fprintf(stderr, "%s: %s: %s\n", doing, cfa_status_name(status), error.message);
        exit(2);
    }
}

void *bench_alloc(size_t size) {
    void *memory = calloc(1, size);
    if (memory == NULL) {
        bench_fail("calloc", "out of memory");
    }
    return memory;
}

/* ---- disks ----------------------------------------------------------------------------------- */

static bench_disk disk_in_use = BENCH_NATIVE;

const char *bench_disk_name(bench_disk disk) { return disk == BENCH_NATIVE ? "native" : "1 ms"; }

void bench_disk_use(bench_disk disk) {
    disk_in_use = disk;
    bench_sync_sleep(disk == BENCH_FIXED ? 1000 : -1);
}

static const char *directory(void) {
    const char *given = getenv("CAREFORALL_BENCH_DIR");
    return disk_in_use == BENCH_FIXED ? "/dev/shm" : given != NULL ? given : ".";
}

void bench_remove(const char *path) {
    static const char *const suffixes[] = { "", "-wal", "-shm", "-lock" };
    char name[4200];
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

const char *bench_path(const char *name) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/careforall-bench-%ld-%s.db", directory(), (long)getpid(),
             name);
    bench_remove(path);
    /* Kept for as long as the process lives: there are a few dozen. */
    char *kept = bench_alloc(strlen(path) + 1);
    memcpy(kept, path, strlen(path) + 1);
    return kept;
}

/* ---- books ----------------------------------------------------------------------------------- */

void bench_book_open(bench_book *book, const char *name, const cfa_engine_options *given) {
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    if (given != NULL) {
        options = *given;
    }
    book->path = bench_path(name);
    bench_check(cfa_play_new(&book->play, NULL), "cfa_play_new");
    options.provider = cfa_play_provider(book->play);
    bench_check(cfa_sqlite_open(&book->engine, book->path, &options), "cfa_sqlite_open");
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    char key[37];
    bench_check(cfa_key_new(key, sizeof(key)), "cfa_key_new");
    spec.key = key;
    spec.title = "Clean water";
    spec.currencies = "EUR";
    cfa_campaign *campaign;
    bench_check(cfa_campaign_create(&campaign, book->engine, &spec), "cfa_campaign_create");
    snprintf(book->campaign_id, sizeof(book->campaign_id), "%s", cfa_campaign_id(campaign));
    cfa_campaign_free(campaign);
}

void bench_book_reopen(bench_book *book) { bench_book_reopen_with(book, NULL); }

void bench_book_reopen_with(bench_book *book, const cfa_sink_binding *sink) {
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    options.sinks = sink;
    options.sink_count = sink != NULL;
    cfa_campaign_list *list;
    bench_check(cfa_play_new(&book->play, NULL), "cfa_play_new");
    options.provider = cfa_play_provider(book->play);
    bench_check(cfa_sqlite_open(&book->engine, book->path, &options), "cfa_sqlite_open");
    bench_check(cfa_campaign_page(&list, book->engine, NULL), "cfa_campaign_page");
    snprintf(book->campaign_id, sizeof(book->campaign_id), "%s",
             cfa_campaign_id(cfa_campaign_list_at(list, 0)));
    cfa_campaign_list_free(list);
}

void bench_book_close(bench_book *book) {
    cfa_engine_close(book->engine);
    cfa_play_free(book->play);
}

int64_t bench_statistic(cfa_engine *engine, const char *name) {
    char *json, quoted[64];
    bench_check(cfa_engine_statistics(&json, engine), "cfa_engine_statistics");
    snprintf(quoted, sizeof(quoted), "\"%s\":", name);
    const char *found = strstr(json, quoted);
    if (found == NULL) {
        bench_fail("no such statistic", name);
    }
    int64_t value = strtoll(found + strlen(quoted), NULL, 10);
    cfa_free(json);
    return value;
}

char (*bench_keys(size_t count, bool opaque))[BENCH_KEY_SIZE] {
    char(*keys)[37] = bench_alloc((count + 1) * sizeof(*keys));
    for (size_t i = 0; i < count; i++) {
        bench_check(cfa_key_new(keys[i], sizeof(keys[i])), "cfa_key_new");
        if (opaque) {
            char tail[18]; /* random, and no UUIDv7: hashed, and stored where random keys go */
            memcpy(tail, keys[i] + 19, sizeof(tail));
            snprintf(keys[i], sizeof(keys[i]), "order-%s", tail);
        }
    }
    return keys;
}

cfa_pledge_spec bench_pledge(const bench_book *book, const char *key) {
    cfa_pledge_spec spec = CFA_PLEDGE_SPEC_INIT;
    spec.key = key;
    spec.campaign_id = book->campaign_id;
    spec.amount = (cfa_money){ 2500, "EUR" };
    spec.payment_method = "pm_ok";
    spec.donor_name = "Ada Lovelace";
    spec.donor_email = "ada@example.org";
    spec.wait = CFA_WAIT_COMMIT;
    spec.timeout_ms = 60000;
    return spec;
}

bench_run bench_run_polled(bench_book *book, int in_flight, char (*keys)[BENCH_KEY_SIZE],
                           size_t count, int64_t *durations_ns) {
    bench_run run = { 0, 0, 0, 0, 1 };
    int64_t *started_ns =
        durations_ns != NULL ? durations_ns : bench_alloc(count * sizeof(int64_t));
    cfa_port *port;
    bench_check(cfa_port_new(&port, book->engine), "cfa_port_new");
    size_t begun = 0, done = 0;
    int64_t started = bench_now_ns();
    while (done < count) {
        while (begun < count && begun - done < (size_t)in_flight) {
            cfa_pledge_spec spec = bench_pledge(book, keys[begun]);
            started_ns[begun] = bench_now_ns();
            bench_check(cfa_pledge_create_begin(port, begun, &spec), "cfa_pledge_create_begin");
            begun++;
        }
        cfa_completion *completion;
        bench_check(cfa_port_next(&completion, port, 10000), "cfa_port_next");
        while (completion != NULL) {
            uint64_t token = cfa_completion_token(completion);
            bench_check(cfa_completion_status(completion), "completion");
            started_ns[token] = bench_now_ns() - started_ns[token];
            cfa_pledge_free(cfa_completion_pledge(completion));
            cfa_completion_free(completion);
            done++;
            bench_check(cfa_port_next(&completion, port, 0), "cfa_port_next");
        }
    }
    run.per_second = (double)count / ((double)(bench_now_ns() - started) / 1e9);
    cfa_port_free(port);
    if (durations_ns == NULL) {
        free(started_ns);
    }
    return run;
}

/* ---- results --------------------------------------------------------------------------------- */

static int compare_int64(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static int compare_double(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

void bench_percentiles(bench_run *run, int64_t *durations_ns, size_t count) {
    qsort(durations_ns, count, sizeof(*durations_ns), compare_int64);
    run->p50_us = (double)durations_ns[count / 2] / 1000.0;
    run->p99_us = (double)durations_ns[count * 99 / 100] / 1000.0;
    run->p999_us = (double)durations_ns[count * 999 / 1000] / 1000.0;
}

double bench_median(const double *values, int count) {
    double sorted[BENCH_REPETITIONS_MAX];
    memcpy(sorted, values, (size_t)count * sizeof(*values));
    qsort(sorted, (size_t)count, sizeof(*sorted), compare_double);
    return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

void bench_report(const char *name, bench_disk disk, const char *unit, const double *values,
                  int count, bench_goal goal, double target) {
    double least = values[0], most = values[0], median = bench_median(values, count);
    for (int i = 1; i < count; i++) {
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    bool met = goal == BENCH_AT_LEAST ? median >= target : median <= target;
    char wanted[32] = "";
    if (goal != BENCH_INFORMATION) {
        snprintf(wanted, sizeof(wanted), "%s %.4g", goal == BENCH_AT_LEAST ? ">=" : "<=", target);
        missed += met ? 0 : 1;
    }
    printf("%-50s %-7s %9.4g %-5s %8.4g .. %-8.4g %-9s %s\n", name, bench_disk_name(disk), median,
           unit, least, most, wanted,
           goal == BENCH_INFORMATION ? ""
           : met                     ? "pass"
                                     : "MISS");
}

void bench_note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("  # ", stdout);
    vprintf(format, arguments);
    fputc('\n', stdout);
    va_end(arguments);
}

int bench_finish(void) { return missed == 0 ? 0 : 1; }
