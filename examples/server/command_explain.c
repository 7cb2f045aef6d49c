/*
 * command_explain.c - `explain` and `doctor` from the shell, beside a running server: they read, and
 * what doctor does on request is safe to do again.
 */
#include "app.h"
#include "command.h"
#include "host_findings.h"

#include <careforall/adapters/memory.h>
#include <careforall/adapters/sqlite.h>
#include <careforall/explain.h>

#include <stdlib.h>
#include <sys/stat.h>

#define DOCTOR_WELL 0
#define DOCTOR_FINDINGS 1
#define DOCTOR_FAILED 2

static cfa_explain_format format_of(const server_config *config) {
    return config->json ? CFA_EXPLAIN_JSON : config->html ? CFA_EXPLAIN_HTML : CFA_EXPLAIN_TEXT;
}

/* The schema of the book, which looking must not change; false after the one line was printed. */
static bool read_schema(int32_t *out_found, int32_t *out_known, const char *database) {
    cfa_storage storage;
    struct stat file;
    if (stat(database, &file) != 0) { /* looking makes no book where there is none, either */
        config_complain("there is no database %s", database);
        return false;
    }
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    options.read_only = 1;
    cfa_status status = cfa_sqlite_storage_new(&storage, database, &options);
    if (status == CFA_OK) {
        status = cfa_schema_of(out_found, out_known, &storage);
        storage.ops->close(storage.self);
    }
    if (status != CFA_OK)
        config_complain("cannot open %s: %s; %s", database, app_last_error().message,
                        app_open_fix(status));
    return status == CFA_OK;
}

/* ---- explain -------------------------------------------------------------------------------- */

int command_explain(const server_config *config) {
    int32_t found, known;
    if (!read_schema(&found, &known, config->database))
        return EXIT_FAILED;
    if (found < known) {
        config_complain(
            "%s has schema version %d, this program reads %d: careforall-server migrate",
            config->database, (int)found, (int)known);
        return EXIT_FAILED;
    }
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

/* An older one is a finding: shown as that of a book in which nothing else can be found. */
static int tell_old_schema(const server_config *config, int32_t found, int32_t known) {
    char text[128];
    cfa_storage storage;
    cfa_engine *engine = NULL;
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    cfa_doctor_spec spec = CFA_DOCTOR_SPEC_INIT;
    cfa_finding_view view = {
        .struct_size = sizeof view,
        .code = "old_schema",
        .severity = CFA_FINDING_WARNING,
        .count = 1,
        .text = text,
        .action = "Stop the servers of the earlier version, then careforall-server migrate.",
    };
    const cfa_finding_view *list[] = { &view };
    snprintf(text, sizeof text,
             "The database has schema version %d, this program makes %d; nothing else was looked "
             "at.",
             (int)found, (int)known);
    if (config->remedy) {
        config_complain("%s: %s %s", config->database, text, view.action);
        return DOCTOR_FAILED;
    }
    cfa_status status = cfa_memory_storage_new(&storage);
    int code = DOCTOR_FAILED;
    if (status != CFA_OK) {
        (void)command_failed("cannot examine the book", status);
        return code;
    }
    options.storage = &storage;
    spec.host_findings = list;
    spec.host_finding_count = 1;
    status = cfa_engine_open(&engine, &options);
    if (status == CFA_OK)
        code = examine(config, engine, &spec);
    else
        (void)command_failed("cannot examine the book", status);
    cfa_engine_close(engine);
    storage.ops->close(storage.self);
    return code;
}

int command_doctor(const server_config *config) {
    host_findings files;
    int32_t found, known;
    if (!read_schema(&found, &known, config->database))
        return DOCTOR_FAILED;
    if (found < known)
        return tell_old_schema(config, found, known);
    cfa_engine *engine = command_open(config);
    if (!engine)
        return DOCTOR_FAILED;
    host_findings_read(&files, config->database);
    cfa_doctor_spec spec = CFA_DOCTOR_SPEC_INIT;
    spec.deep = config->deep;
    spec.host_findings = files.list;
    spec.host_finding_count = files.count;
    int code = config->remedy ? treat(config, engine, &spec) : examine(config, engine, &spec);
    cfa_engine_close(engine);
    return code;
}
