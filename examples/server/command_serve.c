/* command_serve.c - the commands that make or upgrade a book and serve it. */
#include "app.h"
#include "command.h"
#include "listener.h"
#include "signals.h"

#include <jansson.h>

#include <stdlib.h>

static bool serve(const server_config *config, const server_secrets *secrets,
                  const server_provider *provider) {
    static server_app app;
    bool good = app_open(&app, config, secrets, provider) && (!config->demo || app_demo(&app)) &&
                app_serve(&app);
    app_close(&app);
    return good;
}

/* Without touching the book or the port. */
static int check(const server_config *config, server_provider *provider) {
    bool good = listener_check(config);
    provider_close(provider);
    if (good)
        puts("the configuration is good");
    return good ? EXIT_SUCCESS : EXIT_CONFIG;
}

int command_serve(const server_config *config) {
    static server_secrets secrets;
    server_provider provider;
    char why[SECRET_MESSAGE_SIZE];
    int code = EXIT_SUCCESS;
    if (!config->check_only)
        signals_hold();
    if (!secrets_read(&secrets, config, !config->check_only, why) ||
        !provider_open(&provider, config, &secrets, why)) {
        config_complain("%s", why);
        code = EXIT_CONFIG;
    } else if (config->check_only)
        code = check(config, &provider);
    else
        code = serve(config, &secrets, &provider) ? EXIT_SUCCESS : EXIT_FAILED;
    secrets_forget(&secrets);
    return code;
}

int command_migrate(const server_config *config) {
    cfa_engine *engine = command_make(config);
    if (!engine)
        return EXIT_FAILED;
    cfa_engine_close(engine);
    json_t *out = config->json ? json_pack("{s:s, s:s}", "database", config->database, "version",
                                           cfa_version())
                               : NULL;
    if (out) {
        json_dumpf(out, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(out);
    } else
        printf("%s has the schema of %s\n", config->database, cfa_version());
    return EXIT_SUCCESS;
}
