/* host_findings.c - the write-ahead log and the space that is left. Must never touch what it
 * looks at. */
#include "host_findings.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define WAL_BYTES_MAX (INT64_C(256) * 1024 * 1024) /* four times what the writer lets it become */
#define DISK_BYTES_LEAST (INT64_C(200) * 1024 * 1024)
#define DISK_BYTES_GRAVE (INT64_C(50) * 1024 * 1024)
#define MEBIBYTE (INT64_C(1024) * 1024)

static void add(host_findings *out, const char *code, cfa_finding_severity severity,
                const char *text, const char *action) {
    cfa_finding_view *view = &out->views[out->count];
    memset(view, 0, sizeof *view);
    view->struct_size = sizeof *view;
    view->code = code;
    view->severity = severity;
    view->count = 1;
    view->text = text;
    view->action = action;
    out->list[out->count++] = view;
}

/* What a program wrote before is the audit's to find. */
static void look_at_writers(host_findings *out, const char *database) {
    char names[WRITERS_TEXT_SIZE];
    int count = writers_find(names, sizeof names, database);
    if (count == 0)
        return;
    snprintf(out->writers, sizeof out->writers,
             "Programs without this library have the database open to write it: %s.", names);
    add(out, "foreign_writer", CFA_FINDING_WARNING, out->writers,
        "End them, or let them open it to read only (sqlite3 -readonly); then audit.");
    out->views[out->count - 1].count = count;
}

void host_findings_read(host_findings *out, const char *database) {
    char path[4096 + 8];
    struct stat file;
    struct statvfs disk;
    memset(out, 0, sizeof *out);
    look_at_writers(out, database);
    int size = snprintf(path, sizeof path, "%s-wal", database);
    if (size > 0 && (size_t)size < sizeof path && stat(path, &file) == 0 &&
        (int64_t)file.st_size > WAL_BYTES_MAX) {
        snprintf(out->wal, sizeof out->wal, "The write-ahead log has grown to %lld MiB.",
                 (long long)(file.st_size / MEBIBYTE));
        add(out, "wal_large", CFA_FINDING_WARNING, out->wal,
            "Look for a process that reads the file for long; the log shrinks when it ends.");
    }
    if (statvfs(database, &disk) != 0)
        return;
    int64_t left = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    if (left < DISK_BYTES_LEAST) {
        snprintf(out->disk, sizeof out->disk, "The disk of the database has %lld MiB left.",
                 (long long)(left / MEBIBYTE));
        add(out, "disk_low", left < DISK_BYTES_GRAVE ? CFA_FINDING_CRITICAL : CFA_FINDING_WARNING,
            out->disk,
            "Make room: without it no donation can be taken. Never delete the -wal file.");
    }
}
