/* export_file.c - the file that a test of exports is about. */
#include "export_file.h"
#include "stripe_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char export_path[64];

static void set_up(void) {
    snprintf(export_path, sizeof export_path, "/tmp/careforall-export-XXXXXX");
    int descriptor = mkstemp(export_path);
    ck_assert_int_ge(descriptor, 0);
    close(descriptor);
}

static void tear_down(void) { unlink(export_path); }

void export_add(Suite *suite, const char *name, const TTest *test, int count) {
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, test, 0, count);
    suite_add_tcase(suite, tests);
}

void export_write(const char *text, size_t size) {
    FILE *file = fopen(export_path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

cfa_stripe_export *export_opened(const char *text) {
    cfa_stripe_export *file = NULL;
    export_write(text, strlen(text));
    cfa_status status = cfa_stripe_export_open(&file, export_path);
    ck_assert_msg(status == CFA_OK, "%s", wire_last_error());
    return file;
}

cfa_reconcile_object export_taken(cfa_stripe_export *file) {
    cfa_reconcile_object object;
    ck_assert_int_eq(cfa_stripe_export_next(file, &object), CFA_OK);
    return object;
}

void export_ends(cfa_stripe_export *file) {
    cfa_reconcile_object object;
    ck_assert_int_eq(cfa_stripe_export_next(file, &object), CFA_ENOTFOUND);
}

void export_refused(cfa_status wanted, const char *line, const char *why) {
    cfa_stripe_export *file = NULL;
    cfa_status status = cfa_stripe_export_open(&file, export_path);
    ck_assert_ptr_null(file);
    ck_assert_msg(status == wanted, "%s: %s", cfa_status_name(status), wire_last_error());
    ck_assert_msg(strncmp(wire_last_error(), line, strlen(line)) == 0, "%s, not %s",
                  wire_last_error(), line);
    ck_assert_msg(strstr(wire_last_error(), why) != NULL, "%s, not %s", wire_last_error(), why);
}
