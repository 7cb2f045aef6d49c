/*
 * record_file.h - the provider's exported file, with which commands and jobs compare the book.
 */
#ifndef SERVER_RECORD_FILE_H
#define SERVER_RECORD_FILE_H

#include "config.h"

#include <careforall/reconcile.h>

#include <stdbool.h>

typedef struct record_file {
    struct cfa_stripe_export *file;
    cfa_reconcile_spec spec; /* reads it; of every time, and of nothing that must be there */
} record_file;

/* Open a file, which is read once to its end and refused whole with the line that is wrong. What it
 * failed with is the last error; CFA_ENOTSUP: this server was built without Stripe. */
cfa_status record_file_read(record_file *out, const char *path);
void record_file_close(record_file *file);

/* The same of a command's first word, with --from, --until and --all-ours. False after the one line
 * was printed. */
bool record_file_open(record_file *out, const server_config *config);

/* Read a time; `text` NULL leaves `*out` as it is. False after the one line was printed. */
bool record_file_time(const char *flag, const char *text, int64_t *out);

#endif
