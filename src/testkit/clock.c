/*
 * clock.c - the manual clock: time that only the test moves, and randomness that only the seed
 * decides.
 *
 * Owns: two clocks and one generator under one mutex. Must never read the system's clock or
 * randomness: the same seed and the same calls give the same run.
 */
#include <careforall/testkit/clock.h>

#include <assert.h>
#include <pthread.h>
#include <string.h>

/* 2026-01-01T00:00:00Z */
#define START_US INT64_C(1767225600000000)
/* Not 0, so that a forgotten initialisation cannot pass for a reading. */
#define MONOTONIC_START_US INT64_C(1000000)

struct cfa_manual_clock {
    pthread_mutex_t lock;
    int64_t now_us;
    int64_t monotonic_us;
    uint64_t random_state;
    cfa_platform platform;
};

/* SplitMix64 (Steele, Lea, Flood 2014): one word of state, passes BigCrush, any seed is a good
 * one. */
static uint64_t draw_locked(cfa_manual_clock *clock) {
    clock->random_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t bits = clock->random_state;
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
    return bits ^ (bits >> 31);
}

/* A mutex of our own that was initialised can only fail to lock when the program is already
 * broken. */
static void lock(cfa_manual_clock *clock) {
    int rc = pthread_mutex_lock(&clock->lock);
    assert(rc == 0);
    (void)rc;
}

static void unlock(cfa_manual_clock *clock) {
    int rc = pthread_mutex_unlock(&clock->lock);
    assert(rc == 0);
    (void)rc;
}

static int64_t platform_now_us(void *self) { return cfa_manual_clock_now_us(self); }

static int64_t platform_monotonic_us(void *self) {
    cfa_manual_clock *clock = self;
    lock(clock);
    int64_t monotonic_us = clock->monotonic_us;
    unlock(clock);
    return monotonic_us;
}

static cfa_status platform_random(void *self, void *out, size_t size) {
    cfa_manual_clock *clock = self;
    unsigned char *bytes = out;
    lock(clock);
    for (size_t at = 0; at < size;) {
        uint64_t bits = draw_locked(clock);
        /* Byte by byte from the low end: the same on every machine. */
        for (int byte = 0; byte < 8 && at < size; byte++, at++) {
            bytes[at] = (unsigned char)(bits >> (8 * byte));
        }
    }
    unlock(clock);
    return CFA_OK;
}

/* Time passes by the clock alone: nobody sleeps. */
static void platform_pause(void *self, int64_t duration_us) {
    cfa_manual_clock_advance(self, duration_us);
}

static void platform_log(void *self, const cfa_log_record *record) {
    (void)self;
    (void)record;
}

cfa_status cfa_manual_clock_new(cfa_manual_clock **out, int64_t start_us, uint64_t seed) {
    if (out == NULL) {
        return cfa_error_set(CFA_EMISUSE, "testkit.clock", "out", 0, "the output is missing");
    }
    cfa_manual_clock *clock = cfa_alloc(sizeof *clock);
    if (clock == NULL) {
        return cfa_error_set(CFA_ENOMEM, "testkit.clock", NULL, 0, "no memory for the clock");
    }
    memset(clock, 0, sizeof *clock);
    if (pthread_mutex_init(&clock->lock, NULL) != 0) {
        cfa_free(clock);
        return cfa_error_set(CFA_ENOMEM, "testkit.clock", NULL, 0, "no resources for a mutex");
    }
    clock->now_us = start_us != 0 ? start_us : START_US;
    clock->monotonic_us = MONOTONIC_START_US;
    clock->random_state = seed;
    clock->platform = (cfa_platform)CFA_PLATFORM_INIT;
    clock->platform.self = clock;
    clock->platform.now_us = platform_now_us;
    clock->platform.monotonic_us = platform_monotonic_us;
    clock->platform.random = platform_random;
    clock->platform.log = platform_log;
    clock->platform.pause = platform_pause;
    *out = clock;
    return CFA_OK;
}

void cfa_manual_clock_free(cfa_manual_clock *clock) {
    if (clock != NULL) {
        pthread_mutex_destroy(&clock->lock);
        cfa_free(clock);
    }
}

const cfa_platform *cfa_manual_clock_platform(cfa_manual_clock *clock) { return &clock->platform; }

void cfa_manual_clock_advance(cfa_manual_clock *clock, int64_t by_us) {
    assert(by_us >= 0);
    lock(clock);
    clock->now_us += by_us;
    clock->monotonic_us += by_us;
    unlock(clock);
}

void cfa_manual_clock_jump(cfa_manual_clock *clock, int64_t by_us) {
    lock(clock);
    clock->now_us += by_us;
    unlock(clock);
}

int64_t cfa_manual_clock_now_us(cfa_manual_clock *clock) {
    lock(clock);
    int64_t now_us = clock->now_us;
    unlock(clock);
    return now_us;
}

uint64_t cfa_manual_clock_draw(cfa_manual_clock *clock) {
    lock(clock);
    uint64_t bits = draw_locked(clock);
    unlock(clock);
    return bits;
}
