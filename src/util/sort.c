/*
 * sort.c - a radix sort that moves every row to its place by one byte at a time, from the highest
 * (American flag sort); few rows are inserted instead. Time grows with the rows alone, whatever they
 * hold. Never allocates.
 */
#include "util/sort.h"

#include <assert.h>
#include <string.h>

#define FEW 24
#define VALUES 256

static void swap(uint64_t *a, uint64_t *b, size_t width) {
    for (size_t i = 0; i < width; i++) {
        uint64_t kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

static void insert_each(uint64_t *rows, size_t count, size_t width) {
    for (size_t i = 1; i < count; i++) {
        for (size_t at = i; at > 0 && rows[at * width] < rows[(at - 1) * width]; at--)
            swap(rows + at * width, rows + (at - 1) * width, width);
    }
}

/* `shift`: of the byte to look at. At most eight levels deep. */
static void sort(uint64_t *rows, size_t count, size_t width, unsigned shift) {
    size_t next[VALUES], ends[VALUES];
    if (count <= FEW) {
        insert_each(rows, count, width);
        return;
    }
    memset(ends, 0, sizeof ends);
    for (size_t i = 0; i < count; i++)
        ends[rows[i * width] >> shift & 0xff]++;
    for (size_t value = 0, from = 0; value < VALUES; value++) {
        next[value] = from;
        from = ends[value] += from;
    }
    for (size_t value = 0; value < VALUES; value++) {
        while (next[value] < ends[value]) {
            uint64_t *row = rows + next[value] * width;
            size_t belongs = *row >> shift & 0xff;
            swap(row, rows + next[belongs]++ * width, width);
        }
    }
    for (size_t value = 0, from = 0; value < VALUES && shift > 0; from = ends[value++])
        sort(rows + from * width, ends[value] - from, width, shift - 8);
}

void cfa__sort_words(uint64_t *rows, size_t count, size_t width) {
    assert(width == 1 || width == 2);
    sort(rows, count, width, 56);
}
