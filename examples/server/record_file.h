/*
 * record_file.h - the provider's exported file that a command compares the book with, and the flags that
 * belong to it.
 */
#ifndef SERVER_RECORD_FILE_H
#define SERVER_RECORD_FILE_H

#include "config.h"

#include <careforall/reconcile.h>

#include <stdbool.h>

typedef struct record_file {
    struct cfa_stripe_export *file;
    cfa_reconcile_spec spec;
} record_file;

/* Open the command's first word, with --from, --until and --all-ours. False after the one line was
 * printed. A file is read once to its end, and refused whole with the line that is wrong. */
bool record_file_open(record_file *out, const server_config *config);
void record_file_close(record_file *file);

/* Read a time; `text` NULL leaves `*out` as it is. False after the one line was printed. */
bool record_file_time(const char *flag, const char *text, int64_t *out);

#endif
