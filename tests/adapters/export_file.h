/* export_file.h - an exported file of one test: written, opened, read, refused. */
#ifndef CFA_TESTS_ADAPTERS_EXPORT_FILE_H
#define CFA_TESTS_ADAPTERS_EXPORT_FILE_H

#include <careforall/adapters/stripe.h>
#include <check.h>

extern char export_path[64];

/* Make a test case `name` of one test that has such a file, run so many times, with `_i`. */
void export_add(Suite *suite, const char *name, const TTest *test, int count);
void export_write(const char *text, size_t size);
cfa_stripe_export *export_opened(const char *text);
cfa_reconcile_object export_taken(cfa_stripe_export *file);
void export_ends(cfa_stripe_export *file);
/* What was written is refused, with a text that begins with `line` and holds `why`. */
void export_refused(cfa_status wanted, const char *line, const char *why);

#endif
