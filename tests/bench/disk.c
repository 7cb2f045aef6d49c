/*
 * disk.c - fsync and fdatasync of the benchmark's own process. Defined in the program, they take
 * the place of libc's for every library in it, SQLite too: the same disk for every contestant.
 * Syncs nothing else differently.
 */
#include "bench/harness.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t sleep_us = -1;

void bench_sync_sleep(int64_t given_us) { sleep_us = given_us; }

long syscall(long number, ...);

static int sync_file(long call, int descriptor) {
    int64_t pause_us = sleep_us;
    if (pause_us < 0) {
        return (int)syscall(call, descriptor);
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)pause_us * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
    return 0;
}

__attribute__((visibility("default"))) int fsync(int descriptor) {
    return sync_file(SYS_fsync, descriptor);
}

__attribute__((visibility("default"))) int fdatasync(int descriptor) {
    return sync_file(SYS_fdatasync, descriptor);
}
