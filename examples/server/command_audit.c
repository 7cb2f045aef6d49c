/* command_audit.c - the books recomputed from the shell, and compared with the provider's exported file
 * when one is given. The book is opened to be read only, so that an auditor's copy stays what it is. */
#include "app.h"
#include "command.h"
#include "record_file.h"

#include <careforall/adapters/sqlite.h>

#include <stdlib.h>
#include <string.h>

enum { EXIT_DIFFERENCES = 1, EXIT_NO_AUDIT = 2 };

static int complain(const server_config *config, cfa_status status) {
    const char *fix = status == CFA_ESCHEMA ? "; careforall-server migrate brings it up" : "";
    config_complain("cannot audit %s: %s%s", config->database, app_last_error().message, fix);
    return EXIT_NO_AUDIT;
}

static int run(const server_config *config, const cfa_reconcile_spec *record) {
    cfa_storage storage;
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    cfa_audit_spec spec = CFA_AUDIT_SPEC_INIT;
    cfa_audit *audit = NULL;
    options.read_only = 1;
    spec.campaign_id = config->campaign;
    spec.record = record;
    cfa_status status = cfa_sqlite_storage_new(&storage, config->database, &options);
    if (status != CFA_OK)
        return complain(config, status);
    status = cfa_audit_storage(&audit, &storage, &spec);
    storage.ops->close(storage.self);
    if (status != CFA_OK)
        return complain(config, status);
    if (config->json)
        puts(cfa_audit_json(audit));
    else
        fputs(cfa_audit_text(audit), stdout);
    int code = cfa_audit_differences(audit) == 0 ? EXIT_SUCCESS : EXIT_DIFFERENCES;
    cfa_audit_free(audit);
    return code;
}

int command_audit(const server_config *config) {
    record_file file;
    if (config->words[0]) {
        if (!record_file_open(&file, config))
            return EXIT_NO_AUDIT;
        int code = run(config, &file.spec);
        record_file_close(&file);
        return code;
    }
    if (config->from || config->until || config->all_ours) {
        config_complain("--from, --until and --all-ours are of the provider's file: give one");
        return EXIT_NO_AUDIT;
    }
    return run(config, NULL);
}
