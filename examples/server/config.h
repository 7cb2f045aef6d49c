/*
 * config.h - what the program was asked to do: subcommand, flags and environment, checked before
 * anything is opened. A mistake is one line on standard error that names the fix; no secret is ever
 * printed.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_TOKEN_BYTES_MIN 32
#define CONFIG_TOKEN_BYTES_MAX 512
#define CONFIG_WEBHOOK_SECRET_BYTES_MIN 16

/* Exit codes of the program. */
enum { EXIT_FAILED = 1, EXIT_CONFIG = 2 };

enum { COMMAND_SERVE = 1, COMMAND_MIGRATE = 2 };

enum { PROVIDER_NONE = 0, PROVIDER_PLAY = 1 };

typedef struct server_config {
    int command;
    const char *database; /* NULL with `memory` */
    bool memory;
    const char *listen;
    char host[256]; /* of `listen`, without brackets */
    char port[6];
    const char *provider_name;
    int provider;
    const char *token_file;
    char token[CONFIG_TOKEN_BYTES_MAX + 2];
    const char *webhook_secret; /* of the provider's webhooks; NULL: a random one of this process */
    const char *events;         /* NULL: no sink */
    bool demo;
    bool check_only;
    bool quiet;
    int32_t connection_limit;
    int32_t request_limit; /* requests in work at once; more are refused with 503 */
    int32_t drain_ms;
} server_config;

typedef enum config_result { CONFIG_RUN, CONFIG_DONE, CONFIG_WRONG } config_result;

/*
 * Read and check everything. CONFIG_DONE: help or version was printed. CONFIG_WRONG: the one line
 * was printed, leave with EXIT_CONFIG. Text in `out` is borrowed from `argv` and the environment.
 */
config_result config_read(server_config *out, int argc, char **argv);

/* Print "careforall-server: ..." and a line end to standard error. */
void config_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
