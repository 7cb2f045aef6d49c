/* main.c - the program: read what is wanted, do it, say in the exit code how it went. */
#include "command.h"
#include "config.h"

#include <sodium.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    static server_config config;
    /* A reader that goes away ends its request, not the process. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like a full disk */
    if (sodium_init() < 0) {
        config_complain("the system gave no randomness");
        return EXIT_FAILED;
    }
    switch (config_read(&config, argc, argv)) {
    case CONFIG_DONE: return EXIT_SUCCESS;
    case CONFIG_WRONG: return EXIT_CONFIG;
    case CONFIG_RUN: break;
    }
    if (config.print_only) {
        config_print(&config);
        return EXIT_SUCCESS;
    }
    return command_of(config.command)->run(&config);
}
