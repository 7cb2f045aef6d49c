/*
 * command_explain.c - `explain` and `doctor` from the shell, beside a running server: they read, and
 * what doctor does on request is safe to do again.
 */
#include "command.h"

#include <careforall/explain.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define DOCTOR_WELL 0
#define DOCTOR_FINDINGS 1
#define DOCTOR_FAILED 2
#define WAL_BYTES_MAX (INT64_C(256) * 1024 * 1024) /* four times what the writer lets it become */
#define DISK_BYTES_LEAST (INT64_C(200) * 1024 * 1024)
#define DISK_BYTES_GRAVE (INT64_C(50) * 1024 * 1024)
#define MEBIBYTE (INT64_C(1024) * 1024)

static cfa_explain_format format_of(const server_config *config) {
    return config->json ? CFA_EXPLAIN_JSON : config->html ? CFA_EXPLAIN_HTML : CFA_EXPLAIN_TEXT;
}

/* ---- explain -------------------------------------------------------------------------------- */

int command_explain(const server_config *config) {
    cfa_engine *engine = command_open(config);
    if (!engine)
        return EXIT_FAILED;
    cfa_story *story = NULL;
    char *text = NULL;
    cfa_status status = cfa_explain(&story, engine, config->words[0], 0);
    if (status == CFA_OK)
        status = cfa_story_write(&text, story, format_of(config));
    int code = status == CFA_OK ? EXIT_SUCCESS : command_failed(config->words[0], status);
    if (text)
        fputs(text, stdout);
    cfa_free(text);
    cfa_story_free(story);
    cfa_engine_close(engine);
    return code;
}

/* ---- doctor --------------------------------------------------------------------------------- */

typedef struct host_findings {
    cfa_finding_view views[2];
    const cfa_finding_view *list[2];
    int32_t count;
    char wal[96], disk[96];
} host_findings;

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

/* What the library cannot see: the files of the book and the disk they are on. */
static void look_at_files(host_findings *out, const char *database) {
    char path[4096 + 8];
    struct stat file;
    struct statvfs disk;
    memset(out, 0, sizeof *out);
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

static int treat(const server_config *config, cfa_engine *engine, const cfa_doctor_spec *spec) {
    int64_t done = 0;
    char reason[96];
    cfa_actor by = CFA_ACTOR_INIT;
    snprintf(reason, sizeof reason, "doctor --do %s", config->remedy);
    by.actor = config->actor;
    by.reason = reason;
    cfa_status status = cfa_doctor_do(&done, engine, config->remedy, spec, &by);
    if (status != CFA_OK) {
        (void)command_failed(config->remedy, status);
        return DOCTOR_FAILED;
    }
    if (config->json)
        return command_print_json(
            json_pack("{s:s, s:I}", "code", config->remedy, "done", (json_int_t)done));
    printf("%s: %lld done\n", config->remedy, (long long)done);
    return DOCTOR_WELL;
}

static int examine(const server_config *config, cfa_engine *engine, const cfa_doctor_spec *spec) {
    cfa_checkup *checkup = NULL;
    char *text = NULL;
    cfa_status status = cfa_doctor(&checkup, engine, spec);
    if (status == CFA_OK)
        status = cfa_checkup_write(&text, checkup, format_of(config));
    int code = DOCTOR_FAILED;
    if (status == CFA_OK) {
        code = cfa_checkup_size(checkup) > 0 ? DOCTOR_FINDINGS : DOCTOR_WELL;
        fputs(text, stdout);
    } else {
        (void)command_failed("cannot examine the book", status);
    }
    cfa_free(text);
    cfa_checkup_free(checkup);
    return code;
}

int command_doctor(const server_config *config) {
    host_findings files;
    struct stat file;
    /* A doctor makes no book where there is none. */
    if (stat(config->database, &file) != 0) {
        config_complain("there is no database %s", config->database);
        return DOCTOR_FAILED;
    }
    cfa_engine *engine = command_open(config);
    if (!engine)
        return DOCTOR_FAILED;
    look_at_files(&files, config->database);
    cfa_doctor_spec spec = CFA_DOCTOR_SPEC_INIT;
    spec.deep = config->deep;
    spec.host_findings = files.list;
    spec.host_finding_count = files.count;
    int code = config->remedy ? treat(config, engine, &spec) : examine(config, engine, &spec);
    cfa_engine_close(engine);
    return code;
}
