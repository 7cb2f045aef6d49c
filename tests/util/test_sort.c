/*
 * test_sort.c - rows of words sorted in place: in order, and every row still whole.
 */
#include "util/suite.h"

#include "util/sort.h"
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 20000

static uint64_t rows[2 * ROWS_MAX];

static const struct {
    size_t count;
    uint64_t mask; /* of the first word: few bits make many equal ones */
} cases[] = {
    { 0, UINT64_MAX },
    { 1, UINT64_MAX },
    { 2, UINT64_MAX },
    { 23, UINT64_MAX },
    { 24, 1 },
    { 25, UINT64_MAX },
    { 300, 0 },
    { ROWS_MAX, UINT64_MAX },
    { ROWS_MAX, 0xffff },
    { ROWS_MAX, 0xff00 },
    { ROWS_MAX, 1ull << 63 },
};

START_TEST(rows_come_in_order_and_each_stays_whole) {
    for (size_t width = 1; width <= 2; width++) {
        uint64_t state = 7, sum = 0, after = 0;
        for (size_t i = 0; i < cases[_i].count; i++) {
            uint64_t first = next_random(&state) & cases[_i].mask;
            rows[i * width] = first;
            if (width == 2)
                rows[i * width + 1] = ~first;
            sum += first * first;
        }
        cfa__sort_words(rows, cases[_i].count, width);
        for (size_t i = 0; i < cases[_i].count; i++) {
            ck_assert(i == 0 || rows[(i - 1) * width] <= rows[i * width]);
            ck_assert(width == 1 || rows[i * width + 1] == ~rows[i * width]);
            after += rows[i * width] * rows[i * width];
        }
        ck_assert_uint_eq(after, sum);
    }
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("sort");
    TCase *order = tcase_create("order");
    tcase_add_loop_test(order, rows_come_in_order_and_each_stays_whole, 0, COUNT(cases));
    suite_add_tcase(suite, order);
    return run_suite(suite, argc, argv);
}
