/*
 * runner.c - the loop over the tests of a conformance suite and its output.
 *
 * Prints "ok <name>", "not ok <name>: why (file:line)" or "skipped <name>: why" per test, then one
 * line of counts. Never knows what is tested.
 */
#include "testkit/runner.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum outcome { PASSED = 1, FAILED = 2, SKIPPED = 3 };

struct cfa__runner {
    jmp_buf leave;
    const char *file;
    int line;
    char why[512];
};

static const char *file_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

void cfa__runner_fail(cfa__runner *runner, const char *file, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(runner->why, sizeof(runner->why), format, arguments);
    va_end(arguments);
    runner->file = file;
    runner->line = line;
    longjmp(runner->leave, FAILED);
}

void cfa__runner_skip(cfa__runner *runner, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(runner->why, sizeof(runner->why), format, arguments);
    va_end(arguments);
    longjmp(runner->leave, SKIPPED);
}

void cfa__runner_check_status(cfa__runner *runner, const char *file, int line, const char *call,
                              cfa_status actual, cfa_status expected) {
    if (actual == expected) {
        return;
    }
    cfa_error error = CFA_ERROR_INIT;
    if (cfa_error_last(&error) != CFA_OK || error.status != actual) {
        error.message[0] = '\0';
    }
    cfa__runner_fail(runner, file, line, "%s is %s, not %s%s%s", call, cfa_status_name(actual),
                     cfa_status_name(expected), error.message[0] != '\0' ? ": " : "",
                     error.message);
}

void cfa__runner_check_int(cfa__runner *runner, const char *file, int line, const char *expression,
                           int64_t actual, int64_t expected) {
    if (actual != expected) {
        cfa__runner_fail(runner, file, line, "%s is %" PRId64 ", not %" PRId64, expression, actual,
                         expected);
    }
}

/* Apart from its caller, so that no variable lives across the setjmp. */
static enum outcome run_body(cfa__runner *runner, const cfa__suite *suite, const cfa__test *test) {
    switch (setjmp(runner->leave)) {
    case 0:
        if (suite->setup != NULL) {
            suite->setup(runner, suite->user);
        }
        test->run(runner, suite->user);
        return PASSED;
    case SKIPPED: return SKIPPED;
    default: return FAILED;
    }
}

static enum outcome run_test(const cfa__suite *suite, const cfa__test *test) {
    cfa__runner runner;
    memset(&runner, 0, sizeof(runner));
    cfa_error_clear();
    enum outcome outcome = run_body(&runner, suite, test);
    if (suite->teardown != NULL) {
        suite->teardown(suite->user);
    }
    switch (outcome) {
    case PASSED: printf("ok %s\n", test->name); break;
    case SKIPPED: printf("skipped %s: %s\n", test->name, runner.why); break;
    case FAILED:
        printf("not ok %s: %s (%s:%d)\n", test->name, runner.why, file_name(runner.file),
               runner.line);
        break;
    }
    fflush(stdout);
    return outcome;
}

int cfa__runner_main(int argc, char **argv, const cfa__suite *suite) {
    const char *wanted = argc > 1 ? argv[1] : NULL;
    if (wanted != NULL && strcmp(wanted, "--list") == 0) {
        for (size_t i = 0; i < suite->test_count; i++) {
            printf("%s\n", suite->tests[i].name);
        }
        return 0;
    }
    printf("# conformance of %s %s\n", suite->name, suite->adapter);
    size_t passed = 0, failed = 0, skipped = 0;
    for (size_t i = 0; i < suite->test_count; i++) {
        if (wanted != NULL && strcmp(wanted, suite->tests[i].name) != 0) {
            continue;
        }
        switch (run_test(suite, &suite->tests[i])) {
        case PASSED: passed++; break;
        case FAILED: failed++; break;
        case SKIPPED: skipped++; break;
        }
    }
    if (passed + failed + skipped == 0) {
        fprintf(stderr, "no test is named %s; --list shows them\n", wanted != NULL ? wanted : "");
        return 2;
    }
    printf("%zu passed, %zu failed", passed, failed);
    if (skipped > 0) {
        printf(", %zu skipped", skipped);
    }
    printf("\n");
    return failed == 0 ? 0 : 1;
}
