/* host_findings.h - what the library cannot see of a book: its files and the disk that they are
 * on. */
#ifndef SERVER_HOST_FINDINGS_H
#define SERVER_HOST_FINDINGS_H

#include <careforall/explain.h>

#include "writers.h"

typedef struct host_findings {
    cfa_finding_view views[3];
    const cfa_finding_view *list[3]; /* for cfa_doctor_spec */
    int32_t count;
    char wal[96], disk[96], writers[WRITERS_TEXT_SIZE + 96];
} host_findings;

/* Look at the files of a database; `out` must stay where it is. Waits for the disk alone. */
void host_findings_read(host_findings *out, const char *database);

#endif
