/*
 * suite.h - what the test programs of this folder share.
 */
#ifndef TESTS_UTIL_SUITE_H
#define TESTS_UTIL_SUITE_H

#include <check.h>

#include <careforall/error.h>
#include <stddef.h>
#include <stdint.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Run the suite, or only the test case named by the first argument; the program's exit code. */
int run_suite(Suite *suite, int argc, char **argv);

/* This thread's last error, valid until the next call. */
const cfa_error *last_error(void);

/* A fixed sequence of numbers: the same in every run. */
uint64_t next_random(uint64_t *state);

#endif
