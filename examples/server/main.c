/* main.c - the program: read what is wanted, do it, say in the exit code how it went. */
#include "app.h"
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static bool serve(const server_config *config) {
    static server_app app;
    bool good = app_open(&app, config);
    if (good && config->command == COMMAND_MIGRATE)
        printf("%s has the schema of %s\n", config->database, cfa_version());
    else if (good)
        good = (!config->demo || app_demo(&app)) && app_serve(&app);
    app_close(&app);
    return good;
}

int main(int argc, char **argv) {
    static server_config config;
    /* A reader that goes away ends its request, not the process. */
    signal(SIGPIPE, SIG_IGN);
    switch (config_read(&config, argc, argv)) {
    case CONFIG_DONE: return EXIT_SUCCESS;
    case CONFIG_WRONG: return EXIT_CONFIG;
    case CONFIG_RUN: break;
    }
    if (config.check_only) {
        puts("the configuration is good");
        return EXIT_SUCCESS;
    }
    return serve(&config) ? EXIT_SUCCESS : EXIT_FAILED;
}
