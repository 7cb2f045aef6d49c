/*
 * command_reconcile.c - our books against a file that was exported from Stripe: no network, no key.
 * Compares on a file that is only read; a repair opens the book with an adapter that can make no call.
 */
#include "app.h"
#include "body.h"
#include "command.h"

#ifdef SERVER_STRIPE

#include <careforall/adapters/sqlite.h>
#include <careforall/adapters/stripe.h>

#include <stdlib.h>
#include <string.h>

enum { EXIT_DIFFERENCES = 1, EXIT_NOT_RUN = 2, REPAIR_TIMEOUT_MS = 30000 };

static int complain(const char *what) {
    config_complain("%s: %s", what, app_last_error().message);
    return EXIT_NOT_RUN;
}

static bool read_time(const char *flag, const char *text, int64_t *out) {
    if (!text || body_parse_time(text, out))
        return true;
    config_complain("%s %s: give a time with its zone, such as 2030-12-31T23:59:59Z", flag, text);
    return false;
}

static bool read_spec(cfa_reconcile_spec *out, const server_config *config) {
    if (!config->from != !config->until) {
        config_complain("--from and --until belong together");
        return false;
    }
    out->all_ours = config->all_ours;
    return read_time("--from", config->from, &out->from_us) &&
           read_time("--until", config->until, &out->until_us);
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
    if (status != CFA_OK)
        return complain(config->words[0]);
    const char *provider = cfa_reconciliation_provider(*out);
    if (*provider != '\0' && strcmp(provider, "stripe") != 0) {
        config_complain("the book %s is of the provider %s; this reads Stripe's files",
                        config->database, provider);
        return EXIT_NOT_RUN;
    }
    return EXIT_SUCCESS;
}

static int tell(const server_config *config, const cfa_reconcile_spec *spec, cfa_stripe *stripe,
                const cfa_reconciliation *report, int64_t *out_repaired) {
    cfa_engine *engine = NULL;
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    cfa_provider_ops ops = *cfa_stripe_provider(stripe)->ops;
    cfa_provider provider = { &ops, cfa_stripe_provider(stripe)->self };
    /* Calls that follow from what is told are left to the server. */
    ops.call = NULL;
    ops.start = NULL;
    ops.finish = NULL;
    ops.descriptor = NULL;
    ops.next_due_ms = NULL;
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
    static const char *const no_secret = "whsec_none";
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

int command_reconcile(const server_config *config) {
    cfa_stripe_export *file = NULL;
    cfa_reconciliation *report = NULL;
    cfa_reconcile_spec spec = CFA_RECONCILE_SPEC_INIT;
    if (!read_spec(&spec, config))
        return EXIT_NOT_RUN;
    if (cfa_stripe_export_open(&file, config->words[0]) != CFA_OK)
        return complain(config->words[0]);
    spec.next = cfa_stripe_export_next;
    spec.next_self = file;
    int code = compare(config, &spec, &report);
    if (code == EXIT_SUCCESS && config->repair && cfa_reconciliation_repairable(report) > 0)
        code = repair(config, &spec, &report);
    if (code == EXIT_SUCCESS) {
        if (config->json)
            puts(cfa_reconciliation_json(report));
        else
            fputs(cfa_reconciliation_text(report), stdout);
        code = cfa_reconciliation_differences(report) == 0 ? EXIT_SUCCESS : EXIT_DIFFERENCES;
    }
    cfa_reconciliation_free(report);
    cfa_stripe_export_free(file);
    return code;
}

#endif
