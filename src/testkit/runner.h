/*
 * runner.h - runs the tests of a conformance suite by name and reports them in one fixed form.
 *
 * Public headers only: a suite must judge an adapter by the contract, never by what the library
 * knows of itself. A failed check leaves the test at once (longjmp), so checks belong on the thread
 * that runs the test; threads that a test starts return what they saw and are joined before it is
 * checked.
 */
#ifndef CFA_TESTKIT_RUNNER_H
#define CFA_TESTKIT_RUNNER_H

#include <careforall/error.h>
#include <careforall/sys/platform.h>
#include <stddef.h>

#if defined(__GNUC__)
#define CFA__RUNNER_NORETURN __attribute__((noreturn))
#define CFA__RUNNER_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define CFA__RUNNER_NORETURN
#define CFA__RUNNER_PRINTF(text, first)
#endif

typedef struct cfa__runner cfa__runner;

typedef struct cfa__test {
    const char *name; /* names the behaviour it protects */
    void (*run)(cfa__runner *runner, void *user);
} cfa__test;

typedef struct cfa__suite {
    const char *name; /* "storage", ... : printed with the adapter's name */
    const char *adapter;
    const cfa__test *tests;
    size_t test_count;
    void *user; /* handed to every function below and to the tests */
    void (*setup)(cfa__runner *runner, void *user); /* optional; may check and skip */
    void (*teardown)(void *user); /* optional; runs after success, failure and skip alike */
} cfa__suite;

/* Run what `argv` asks for ("--list", one name, or everything) and return an exit code. */
int cfa__runner_main(int argc, char **argv, const cfa__suite *suite);

/* Leave the running test as failed or as skipped; the text says why. */
CFA__RUNNER_NORETURN void cfa__runner_fail(cfa__runner *runner, const char *file, int line,
                                           const char *format, ...) CFA__RUNNER_PRINTF(4, 5);
CFA__RUNNER_NORETURN void cfa__runner_skip(cfa__runner *runner, const char *format, ...)
    CFA__RUNNER_PRINTF(2, 3);

/* The bodies of the macros below. */
void cfa__runner_check_status(cfa__runner *runner, const char *file, int line, const char *call,
                              cfa_status actual, cfa_status expected);
void cfa__runner_check_int(cfa__runner *runner, const char *file, int line, const char *expression,
                           int64_t actual, int64_t expected);

#define CFA__CHECK(runner, condition)                                                              \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            cfa__runner_fail(runner, __FILE__, __LINE__, "%s", #condition);                        \
        }                                                                                          \
    } while (0)
/* Status checks print the error detail of the failing call. */
#define CFA__CHECK_OK(runner, call)                                                                \
    cfa__runner_check_status(runner, __FILE__, __LINE__, #call, call, CFA_OK)
#define CFA__CHECK_STATUS(runner, call, expected)                                                  \
    cfa__runner_check_status(runner, __FILE__, __LINE__, #call, call, expected)
#define CFA__CHECK_INT(runner, actual, expected)                                                   \
    cfa__runner_check_int(runner, __FILE__, __LINE__, #actual, actual, expected)

#endif
