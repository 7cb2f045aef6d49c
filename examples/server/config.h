/*
 * config.h - what the program was asked to do: command, flags, environment and file, checked before
 * anything is opened. A mistake is one line on standard error that names the fix; no secret is ever
 * held here.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "caller.h"
#include "return_url.h"

#include <stdbool.h>
#include <stdint.h>

/* Exit codes of the program. */
enum { EXIT_FAILED = 1, EXIT_CONFIG = 2 };

/* The commands, as a mask: a setting says which of them it is for. */
enum {
    COMMAND_SERVE = 1,
    COMMAND_MIGRATE = 2,
    COMMAND_CAMPAIGN_CREATE = 4,
    COMMAND_CAMPAIGN_LIST = 8,
    COMMAND_CAMPAIGN_SHOW = 16,
    COMMAND_CAMPAIGN_END = 32,
    COMMAND_OUTBOX_LIST = 64,
    COMMAND_SECRET_NEW = 128,
    COMMAND_SECRET_CHECK = 256,
    COMMAND_OUTBOX_DEAD = 512,
    COMMAND_OUTBOX_REQUEUE = 1024,
    COMMAND_OUTBOX_REWIND = 2048,
    COMMAND_OUTBOX_PAUSE = 4096,
    COMMAND_OUTBOX_RESUME = 8192,
    COMMAND_EXPLAIN = 16384,
    COMMAND_DOCTOR = 32768,
    COMMAND_AUDIT = 65536,
    COMMAND_RECONCILE = 131072,
    COMMANDS_ALL = 262143,
    COMMANDS_SECRET = COMMAND_SECRET_NEW | COMMAND_SECRET_CHECK,
    COMMANDS_BOOK = COMMANDS_ALL & ~COMMANDS_SECRET /* those that open a book */
};

enum { PROVIDER_NONE = 0, PROVIDER_PLAY = 1, PROVIDER_STRIPE = 2 };
enum { STRIPE_CHECKOUT = 0, STRIPE_INTENT = 1 };

/* Where a value came from; a higher one wins. */
typedef enum config_origin {
    ORIGIN_DEFAULT,
    ORIGIN_FILE,
    ORIGIN_ENVIRONMENT,
    ORIGIN_FLAG
} config_origin;

enum { CONFIG_SETTINGS_MAX = 80, CONFIG_WORDS_MAX = 2 };

/* A request for help or the version ends reading; the rest is for the command to do. */
typedef enum config_result { CONFIG_RUN, CONFIG_DONE, CONFIG_WRONG } config_result;

typedef struct server_config {
    unsigned command;
    const char *file; /* --config, or NULL */
    bool check_only, print_only;
    unsigned char origins[CONFIG_SETTINGS_MAX]; /* config_origin, per setting */

    const char *database; /* NULL with `memory` */
    bool memory;
    const char *listen;
    char host[256]; /* of `listen`, without brackets */
    char port[6];
    int32_t provider;
    const char *events; /* NULL: no sink */
    bool demo;
    bool quiet, log_addresses;
    const char *cors_origins; /* NULL: none */
    int32_t connection_limit;
    int32_t address_limit; /* of one address; 0: no limit */
    int32_t request_limit; /* requests in work at once; more are refused with 503 */
    int32_t queue_limit;   /* commands that wait for the book */
    int32_t pledges_per_minute, requests_per_minute, webhooks_per_minute; /* 0: no limit */
    const char *trusted_proxies_text;                                     /* NULL: none */
    caller_blocks trusted_proxies;
    int32_t record_mib_max;
    int32_t drain_ms;
    int32_t drain_delay_ms; /* not ready any more, but still answering */

    /* Paths of secrets, NULL when the setting is absent. What is in them: secrets.h. */
    const char *token_file, *webhook_secret_file, *stripe_key_file, *pledge_token_key_file;

    const char *stripe_base_url, *stripe_account;
    int32_t stripe_mode;
    int32_t provider_timeout_ms, provider_calls;
    int32_t fraud_rule, circuit_rule, circuit_failures, circuit_open_ms;
    const char *return_url, *cancel_url; /* used when a pledge names none; NULL: none */
    const char *return_urls_text;
    return_url_list return_urls;

    /* What only some commands take. */
    const char *words[CONFIG_WORDS_MAX];
    const char *title, *currencies, *goal, *deadline, *key, *after;
    const char *campaign;
    const char *from, *until; /* of reconcile */
    bool repair, all_ours, live, record;
    int32_t reconcile_every_hours, reconcile_days, reconcile_settle_minutes, reconcile_after_s;
    const char *to, *expected, *position, *actor, *reason;
    const char *remedy; /* --do */
    int32_t late_rule, limit, version;
    bool json, html, deep;
} server_config;

/*
 * Read and check everything. CONFIG_DONE: help or version was printed. CONFIG_WRONG: the one line
 * was printed, leave with EXIT_CONFIG. Text in `out` lives as long as the process.
 */
config_result config_read(server_config *out, int argc, char **argv);

/* Print every setting of the command as a file of --config would say it; secrets only counted. */
void config_print(const server_config *config);

/* Print "careforall-server: ..." and a line end to standard error. */
void config_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
