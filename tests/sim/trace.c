/*
 * trace.c - the history of a run: its hash, its last events, what it visited, and how a violation
 * is told. Also the memory of a run, so that what a dead process held can be given back.
 */
#include "sim/sim.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t coverage[COVER_COUNT];
int64_t seeds_passed;

const char *const coverage_texts[COVER_COUNT] = {
#define COVERAGE_TEXT(symbol, text) text,
    COVERAGE(COVERAGE_TEXT)
#undef COVERAGE_TEXT
};

static struct sim *watched;

/* ---- history --------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash ^= value;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

void note_bytes(struct sim *sim, const void *data, size_t size) {
    const unsigned char *bytes = data;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    sim->hash = mix(sim->hash, hash);
}

static void print_entry(FILE *file, const struct history_entry *entry) {
    fprintf(file, "  %12.6f s  %-34s %lld %lld %lld\n", (double)entry->at_us / 1e6, entry->what,
            (long long)entry->a, (long long)entry->b, (long long)entry->c);
}

void note(struct sim *sim, const char *what, int64_t a, int64_t b, int64_t c) {
    struct history_entry *entry = &sim->history[sim->history_count++ % HISTORY_KEPT];
    *entry = (struct history_entry){ sim->now_us, what, a, b, c };
    note_bytes(sim, what, strlen(what));
    sim->hash =
        mix(mix(mix(mix(sim->hash, (uint64_t)sim->now_us), (uint64_t)a), (uint64_t)b), (uint64_t)c);
    if (sim->trace)
        print_entry(stdout, entry);
}

static void tell(const struct sim *sim) {
    uint64_t count = sim->history_count < HISTORY_KEPT ? sim->history_count : HISTORY_KEPT;
    fprintf(stderr, "the last %llu events:\n", (unsigned long long)count);
    for (uint64_t i = sim->history_count - count; i < sim->history_count; i++)
        print_entry(stderr, &sim->history[i % HISTORY_KEPT]);
    fprintf(stderr, "reproduce: simulator --seed %llu --donations %d --trace\n",
            (unsigned long long)sim->seed, (int)sim->donations);
}

void violation(struct sim *sim, const char *format, ...) {
    fflush(stdout);
    fprintf(stderr, "seed %llu: ", (unsigned long long)sim->seed);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    tell(sim);
    fflush(stderr);
    printf("%lld passed, 1 failed\n", (long long)seeds_passed);
    fflush(stdout);
    _Exit(1);
}

static void aborted(int signal_number) {
    (void)signal_number;
    if (watched != NULL)
        violation(watched, "an assertion failed");
    _Exit(1);
}

void trace_watch(struct sim *sim) {
    watched = sim;
    signal(SIGABRT, aborted);
}

/* ---- memory ---------------------------------------------------------------------------------- */

struct block {
    struct block *previous, *next;
};

static struct block blocks = { &blocks, &blocks };
static size_t block_count;

static void *block_link(struct block *block) {
    if (block == NULL)
        return NULL;
    block->previous = &blocks;
    block->next = blocks.next;
    block->next->previous = block;
    blocks.next = block;
    block_count++;
    return block + 1;
}

static void block_unlink(struct block *block) {
    block->previous->next = block->next;
    block->next->previous = block->previous;
    block_count--;
}

static void *allocate(void *user, size_t size) {
    (void)user;
    return block_link(malloc(sizeof(struct block) + size));
}

static void release(void *user, void *memory) {
    (void)user;
    struct block *block = (struct block *)memory - 1;
    block_unlink(block);
    free(block);
}

static void *reallocate(void *user, void *memory, size_t size) {
    (void)user;
    struct block *old = (struct block *)memory - 1;
    block_unlink(old);
    struct block *grown = realloc(old, sizeof *old + size);
    if (grown == NULL) {
        block_link(old);
        return NULL;
    }
    return block_link(grown);
}

void memory_open(void) {
    const cfa_allocator allocator = { sizeof allocator, NULL, allocate, reallocate, release };
    if (cfa_allocator_set(&allocator) != CFA_OK) {
        fputs("the allocator was refused\n", stderr);
        exit(1);
    }
}

size_t memory_live(void) { return block_count; }

void memory_discard(void) {
    while (blocks.next != &blocks)
        release(NULL, blocks.next + 1);
}
