/*
 * vectors.h - the conformance vectors of this folder for libcheck: one test case per vector, named
 * after it. The tests use public headers alone, as a third party's would.
 */
#ifndef TESTS_VECTORS_VECTORS_H
#define TESTS_VECTORS_VECTORS_H

#include <careforall/careforall.h>
#include <check.h>
#include <jansson.h>
#include <stdbool.h>

/* Read a file of this folder; it lives until the process ends. Ends the process when it is not of
 * this schema. */
const json_t *vectors_load(const char *file, const char *schema);
/* Add every vector of a section: the test's `_i` is its index. */
void vectors_add(Suite *suite, const json_t *file, const char *section, const TTest *test);
const json_t *vector_at(const json_t *file, const char *section, int index);
/* Run all vectors, or the one that the first argument names; the program's exit code. */
int vectors_run(Suite *suite, int argc, char **argv);

/* Abort the test when an object has a member that is not among these words: a vector says something
 * that the test would not see. */
void only(const json_t *object, const char *names);

/* Members. Absent: NULL, 0, false; of another type: the test is aborted. */
const char *text_in(const json_t *object, const char *name);
int64_t number_in(const json_t *object, const char *name);
bool flag_in(const json_t *object, const char *name);
/* As they stand, also when a test is about currencies that there are none of. */
cfa_money money_in(const json_t *object, const char *name);

/* Expect what the vector's "status" and "field" say. True when that is CFA_OK. */
bool expect_status(const json_t *vector, cfa_status got);
/* This thread's last error. */
const cfa_error *error_now(void);
/* A word of the vectors and the public constant that it stands for; a table ends with NULL. */
struct word {
    const char *text;
    int32_t value;
};
/* Aborts the test when the word is unknown. */
int32_t value_of(const struct word *words, const char *text);

#endif
