/*
 * main.c - the simulator's command line: which seeds, how many donations, run once or twice.
 *
 *   simulator [--seeds FROM:COUNT] [--seed N] [--donations N] [--trace] [--determinism]
 *             [--list-coverage]
 */
#include "sim/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SEEDS 1000
#define DEFAULT_DONATIONS 200
#define DETERMINISM_EVERY 50 /* in a default run this many seeds are run once again */

struct settings {
    long long from, count, donations;
    bool trace, determinism, whole;
};

/* ---- one seed -------------------------------------------------------------------------------- */

static uint64_t run_seed(uint64_t seed, int32_t donations, bool trace, int64_t *out_simulated_us) {
    struct sim *sim = take(sizeof *sim);
    trace_watch(sim);
    world_open(sim, seed, donations, trace);
    donors_open(sim);
    sim->faults = true;
    run_until(sim, draw_below(sim, 2) == 0 ? draw_time(sim, DAY_US) : 34 * DAY_US);
    check_liveness(sim);
    check_all(sim);
    world_close(sim);
    trace_watch(NULL);
    uint64_t hash = sim->hash;
    *out_simulated_us += sim->now_us;
    free(sim);
    return hash;
}

static void run_all(const struct settings *settings, int64_t *out_failed) {
    int64_t simulated_us = 0;
    uint64_t all = 0;
    for (long long i = 0; i < settings->count; i++) {
        uint64_t seed = (uint64_t)(settings->from + i);
        uint64_t hash =
            run_seed(seed, (int32_t)settings->donations, settings->trace, &simulated_us);
        bool again = settings->determinism || (settings->whole && i % DETERMINISM_EVERY == 0);
        bool same =
            !again || run_seed(seed, (int32_t)settings->donations, false, &simulated_us) == hash;
        if (!same)
            fprintf(stderr, "S16: seed %llu gives two histories\n", (unsigned long long)seed);
        if (settings->count == 1)
            printf("seed %llu: history %016llx\n", (unsigned long long)seed,
                   (unsigned long long)hash);
        all = (all ^ hash) * UINT64_C(0x9e3779b97f4a7c15);
        seeds_passed += same;
        *out_failed += !same;
    }
    printf("%lld seeds, %lld donations, %lld virtual days, history %016llx\n", settings->count,
           settings->count * settings->donations, (long long)(simulated_us / DAY_US),
           (unsigned long long)all);
}

/* ---- coverage -------------------------------------------------------------------------------- */

static int64_t tell_coverage(bool whole) {
    int64_t missed = 0;
    for (int32_t i = 0; i < COVER_COUNT; i++) {
        printf("%12llu  %s\n", (unsigned long long)coverage[i], coverage_texts[i]);
        missed += coverage[i] == 0;
    }
    if (!whole)
        return 0;
    for (int32_t i = 0; i < COVER_COUNT; i++) {
        if (coverage[i] == 0)
            fprintf(stderr, "never reached: %s\n", coverage_texts[i]);
    }
    return missed;
}

/* ---- the command line ------------------------------------------------------------------------ */

static int usage(void) {
    fputs("usage: simulator [--seeds FROM:COUNT] [--seed N] [--donations N] [--trace] "
          "[--determinism] "
          "[--list-coverage]\n",
          stderr);
    return 2;
}

static bool number(const char *text, char end, long long least, long long *out,
                   const char **out_rest) {
    char *rest;
    errno = 0;
    long long value = text != NULL ? strtoll(text, &rest, 10) : -1;
    if (text == NULL || errno != 0 || rest == text || *rest != end || value < least ||
        value > 1000000000)
        return false;
    *out = value;
    if (out_rest != NULL)
        *out_rest = rest + 1;
    return true;
}

static bool parse(int argc, char **argv, struct settings *out) {
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL, *rest;
        bool taken = true;
        if (strcmp(name, "--trace") == 0) {
            out->trace = true;
            taken = false;
        } else if (strcmp(name, "--determinism") == 0) {
            out->determinism = true;
            taken = false;
        } else if (strcmp(name, "--seeds") == 0) {
            if (!number(value, ':', 0, &out->from, &rest) ||
                !number(rest, '\0', 1, &out->count, NULL))
                return false;
            out->whole = false;
        } else if (strcmp(name, "--seed") == 0) {
            if (!number(value, '\0', 0, &out->from, NULL))
                return false;
            out->count = 1;
            out->whole = false;
        } else if (strcmp(name, "--donations") != 0 ||
                   !number(value, '\0', 1, &out->donations, NULL)) {
            return false;
        }
        i += taken;
    }
    return true;
}

int main(int argc, char **argv) {
    struct settings settings = { 1, DEFAULT_SEEDS, DEFAULT_DONATIONS, false, false, true };
    if (argc == 2 && strcmp(argv[1], "--list-coverage") == 0) {
        for (int32_t i = 0; i < COVER_COUNT; i++)
            puts(coverage_texts[i]);
        return 0;
    }
    if (!parse(argc, argv, &settings))
        return usage();
    memory_open();
    int64_t failed = 0;
    run_all(&settings, &failed);
    failed += tell_coverage(settings.whole);
    printf("%lld passed, %lld failed\n", (long long)seeds_passed, (long long)failed);
    return failed == 0 ? 0 : 1;
}
