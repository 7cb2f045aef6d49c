/*
 * command_reconcile.c - our books against Stripe's record: a file that was exported, with no network
 * and no key, or its own lists. Compares with a file on a book that is only read; a repair, and a
 * live run, open the book with an adapter that can make no call of the book's.
 */
#include "app.h"
#include "command.h"
#include "record_file.h"
#include "secrets.h"

#ifdef SERVER_STRIPE

#include <careforall/adapters/sqlite.h>
#include <careforall/adapters/stripe.h>

#include <stdlib.h>
#include <time.h>

enum { EXIT_DIFFERENCES = 1, EXIT_NOT_RUN = 2, REPAIR_TIMEOUT_MS = 30000, LIVE_DAYS = 7 };

static const char *const no_secret = "whsec_none"; /* no webhook comes here */

static int complain(const char *what) {
    config_complain("%s: %s", what, app_last_error().message);
    return EXIT_NOT_RUN;
}

/* An error of the reader names the line of the file. */
static int compare(const server_config *config, const cfa_reconcile_spec *spec,
                   cfa_reconciliation **out) {
    cfa_storage storage;
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    options.read_only = 1;
    cfa_status status = cfa_sqlite_storage_new(&storage, config->database, &options);
    if (status != CFA_OK)
        return complain(config->database);
    status = cfa_reconcile_storage(out, &storage, spec);
    storage.ops->close(storage.self);
    if (status == CFA_ESCHEMA) {
        config_complain("cannot reconcile %s: %s; careforall-server migrate brings it up",
                        config->database, app_last_error().message);
        return EXIT_NOT_RUN;
    }
    return status == CFA_OK ? EXIT_SUCCESS : complain(config->words[0]);
}

/* Calls that follow from what is told are left to the server. */
static void forbid_calls(cfa_provider_ops *ops) {
    ops->call = NULL;
    ops->start = NULL;
    ops->finish = NULL;
    ops->descriptor = NULL;
    ops->next_due_ms = NULL;
}

static int tell(const server_config *config, const cfa_reconcile_spec *spec, cfa_stripe *stripe,
                const cfa_reconciliation *report, int64_t *out_repaired) {
    cfa_engine *engine = NULL;
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    cfa_provider_ops ops = *cfa_stripe_provider(stripe)->ops;
    cfa_provider provider = { &ops, cfa_stripe_provider(stripe)->self };
    forbid_calls(&ops);
    options.provider = &provider;
    options.account = cfa_reconciliation_account(report);
    options.livemode = cfa_reconciliation_livemode(report);
    cfa_status status = cfa_sqlite_open(&engine, config->database, &options);
    if (status == CFA_OK)
        status = cfa_reconcile_repair(out_repaired, engine, spec, REPAIR_TIMEOUT_MS);
    int code = status == CFA_OK ? EXIT_SUCCESS : complain("cannot repair");
    if (engine)
        cfa_engine_close(engine);
    return code;
}

static int repair(const server_config *config, const cfa_reconcile_spec *spec,
                  cfa_reconciliation **report) {
    cfa_stripe *stripe = NULL;
    cfa_stripe_options options = CFA_STRIPE_OPTIONS_INIT;
    int64_t repaired = 0;
    options.secret_key = cfa_reconciliation_livemode(*report) ? "sk_live_none" : "sk_test_none";
    options.webhook_secrets = &no_secret;
    options.webhook_secret_count = 1;
    if (cfa_stripe_new(&stripe, &options) != CFA_OK)
        return complain("cannot repair");
    int code = tell(config, spec, stripe, *report, &repaired);
    cfa_stripe_free(stripe);
    cfa_reconciliation_free(*report);
    *report = NULL;
    if (code != EXIT_SUCCESS)
        return code;
    if (!config->json)
        printf("repaired: %lld\n", (long long)repaired);
    return compare(config, spec, report);
}

static int print(const server_config *config, const cfa_reconciliation *report) {
    if (config->json)
        puts(cfa_reconciliation_json(report));
    else
        fputs(cfa_reconciliation_text(report), stdout);
    return cfa_reconciliation_differences(report) == 0 ? EXIT_SUCCESS : EXIT_DIFFERENCES;
}

static int record(const server_config *config, cfa_engine *engine,
                  const cfa_reconciliation *report) {
    cfa_actor by = command_actor(config);
    return cfa_reconcile_record(engine, report, &by, 0) == CFA_OK ? EXIT_SUCCESS
                                                                  : complain("cannot record");
}

/* The same of a comparison with a file, which has no engine. */
static int record_alone(const server_config *config, const cfa_reconciliation *report) {
    cfa_engine *engine = command_open(config);
    if (!engine)
        return EXIT_NOT_RUN;
    int code = record(config, engine, report);
    cfa_engine_close(engine);
    return code;
}

/* ---- live ----------------------------------------------------------------------------------- */

static bool read_live_spec(cfa_reconcile_live_spec *out, const server_config *config) {
    if (config->words[0]) {
        config_complain("give a file or --live, not both");
        return false;
    }
    out->from_us = ((int64_t)time(NULL) - LIVE_DAYS * INT64_C(86400)) * 1000000;
    out->repair = config->repair;
    out->all_ours = config->all_ours;
    return record_file_time("--from", config->from, &out->from_us) &&
           record_file_time("--until", config->until, &out->until_us);
}

static int run_live_on(const server_config *config, const cfa_reconcile_live_spec *spec,
                       cfa_stripe *stripe) {
    cfa_engine *engine = NULL;
    cfa_reconciliation *report = NULL;
    int64_t repaired = 0;
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    cfa_provider_ops ops = *cfa_stripe_provider(stripe)->ops;
    cfa_provider provider = { &ops, cfa_stripe_provider(stripe)->self };
    forbid_calls(&ops);
    options.provider = &provider;
    options.account = config->stripe_account;
    options.livemode = cfa_stripe_livemode(stripe);
    cfa_status status = cfa_sqlite_open(&engine, config->database, &options);
    if (status != CFA_OK)
        return complain(config->database);
    status = cfa_reconcile_live(&report, &repaired, engine, spec);
    int code = status == CFA_OK ? EXIT_SUCCESS : complain("cannot reconcile");
    if (code == EXIT_SUCCESS) {
        if (config->repair && repaired > 0 && !config->json)
            printf("repaired: %lld\n", (long long)repaired);
        code = config->record ? record(config, engine, report) : EXIT_SUCCESS;
        if (code == EXIT_SUCCESS)
            code = print(config, report);
    }
    cfa_reconciliation_free(report);
    cfa_engine_close(engine);
    return code;
}

static int run_live(const server_config *config) {
    static server_secrets secrets;
    char why[SECRET_MESSAGE_SIZE];
    cfa_stripe *stripe = NULL;
    cfa_reconcile_live_spec spec = CFA_RECONCILE_LIVE_SPEC_INIT;
    cfa_stripe_options options = CFA_STRIPE_OPTIONS_INIT;
    cfa_actor by = command_actor(config);
    spec.by = &by;
    if (!read_live_spec(&spec, config))
        return EXIT_NOT_RUN;
    if (!command_has_book(config))
        return EXIT_NOT_RUN;
    if (!secrets_read_stripe_key(&secrets, config, why)) {
        config_complain("%s", why);
        return EXIT_NOT_RUN;
    }
    options.secret_key = secrets.stripe_key.text[0];
    options.webhook_secrets = &no_secret;
    options.webhook_secret_count = 1;
    options.base_url = config->stripe_base_url;
    cfa_status status = cfa_stripe_new(&stripe, &options);
    secrets_forget(&secrets);
    if (status != CFA_OK)
        return complain("cannot ask Stripe");
    int code = run_live_on(config, &spec, stripe);
    cfa_stripe_free(stripe);
    return code;
}

/* ---- either --------------------------------------------------------------------------------- */

int command_reconcile(const server_config *config) {
    if (config->live)
        return run_live(config);
    cfa_reconciliation *report = NULL;
    record_file file;
    if (!config->words[0]) {
        config_complain("say with what: careforall-server reconcile FILE, or --live");
        return EXIT_NOT_RUN;
    }
    if (!record_file_open(&file, config))
        return EXIT_NOT_RUN;
    int code = compare(config, &file.spec, &report);
    if (code == EXIT_SUCCESS && config->repair && cfa_reconciliation_repairable(report) > 0)
        code = repair(config, &file.spec, &report);
    if (code == EXIT_SUCCESS && config->record)
        code = record_alone(config, report);
    if (code == EXIT_SUCCESS)
        code = print(config, report);
    cfa_reconciliation_free(report);
    record_file_close(&file);
    return code;
}

#endif
