/*
 * sort.h - rows of 64-bit words sorted by their first, in place: for millions of hashes and ids, where
 * qsort may take as much memory again. No order among equal ones.
 */
#ifndef CFA_UTIL_SORT_H
#define CFA_UTIL_SORT_H

#include <stddef.h>
#include <stdint.h>

/* `width`: words of a row, 1 or 2. */
void cfa__sort_words(uint64_t *rows, size_t count, size_t width);

#endif
