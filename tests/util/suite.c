/*
 * suite.c - running a suite, and a source of numbers that repeats.
 */
#include "util/suite.h"

#include <stdlib.h>

int run_suite(Suite *suite, int argc, char **argv) {
    SRunner *runner = srunner_create(suite);
    srunner_run(runner, NULL, argc > 1 ? argv[1] : NULL, CK_NORMAL);
    int failed = srunner_ntests_failed(runner), run = srunner_ntests_run(runner);
    srunner_free(runner);
    /* A name that selects nothing must not look like success. */
    return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const cfa_error *last_error(void) {
    static cfa_error error;
    error.struct_size = sizeof(error);
    ck_assert_int_eq(cfa_error_last(&error), CFA_OK);
    return &error;
}

/* splitmix64 */
uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
