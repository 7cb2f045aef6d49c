/*
 * settings.c - the table of settings and how one value is checked. Knows nothing of where values
 * come from beyond their spelling; must never hold a secret.
 */
#include "settings.h"
#include "rate.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(server_config, member)
#define TEXT(key, commands, member, argument, standard, help)                                      \
    { key, SETTING_TEXT, commands, false, AT(member), 0, 0, NULL, argument, standard, help }
#define SWITCH(key, commands, flag_only, member, help)                                             \
    { key, SETTING_SWITCH, commands, flag_only, AT(member), 0, 0, NULL, NULL, NULL, help }
#define NUMBER(key, commands, member, minimum, maximum, standard, help)                            \
    {                                                                                              \
        key, SETTING_NUMBER, commands, false, AT(member), minimum, maximum, NULL, "N", standard,   \
            help                                                                                   \
    }
#define CHOICE(key, commands, member, choices, argument, standard, help)                           \
    { key, SETTING_CHOICE, commands, false, AT(member), 0, 0, choices, argument, standard, help }
#define OPTION(key, kind, commands, member, minimum, maximum, choices, argument, help)             \
    { key, kind, commands, true, AT(member), minimum, maximum, choices, argument, NULL, help }

/* Commands that the audit log tells of. */
#define COMMANDS_ACT                                                                               \
    (COMMAND_CAMPAIGN_CREATE | COMMAND_CAMPAIGN_END | COMMAND_OUTBOX_REQUEUE |                     \
     COMMAND_OUTBOX_REWIND | COMMAND_OUTBOX_PAUSE | COMMAND_OUTBOX_RESUME)

static const setting settings[] = {
    { "config", SETTING_TEXT, COMMANDS_ALL, false, AT(file), 0, 0, NULL, "FILE", NULL,
      "read settings from FILE, one `key = value` per line" },
    TEXT("database", COMMANDS_BOOK, database, "PATH", NULL,
         "SQLite file; serve, migrate and campaign create make it if need be"),
    SWITCH("memory", COMMAND_SERVE, false, memory,
           "keep everything in memory; nothing survives the process"),
    TEXT("listen", COMMAND_SERVE, listen, "HOST:PORT", "127.0.0.1:8080",
         "port 0: any; a socket passed by systemd comes first"),
    CHOICE("provider", COMMAND_SERVE, provider, "none play stripe", "NAME", "play",
           "play: no money moves; stripe; none: takes no donations"),
    TEXT("admin_token_file", COMMAND_SERVE, token_file, "FILE", NULL,
         "service tokens, one per line, 32 characters or more;\n"
         "or one in CAREFORALL_ADMIN_TOKEN"),
    TEXT("webhook_secret_file", COMMAND_SERVE, webhook_secret_file, "FILE", NULL,
         "secrets of the provider's webhooks, one per line;\n"
         "or one in CAREFORALL_WEBHOOK_SECRET"),
    TEXT("pledge_token_key_file", COMMAND_SERVE, pledge_token_key_file, "FILE", NULL,
         "keys of pledge tokens, one per line, the first makes new ones;\n"
         "or one in CAREFORALL_PLEDGE_TOKEN_KEY; default: made once,\n"
         "beside the database, in PATH.token-key"),
    TEXT("stripe_key_file", COMMAND_SERVE | COMMAND_RECONCILE, stripe_key_file, "FILE", NULL,
         "Stripe's secret API key; or in CAREFORALL_STRIPE_KEY"),
    TEXT("stripe_base_url", COMMAND_SERVE | COMMAND_RECONCILE, stripe_base_url, "URL",
         "https://api.stripe.com", "https, or http on this machine for a sandbox"),
    CHOICE("stripe_mode", COMMAND_SERVE, stripe_mode, "checkout intent", "MODE", "checkout",
           "checkout: a hosted page; intent: a client secret"),
    TEXT("stripe_account", COMMAND_SERVE | COMMAND_RECONCILE, stripe_account, "ID", NULL,
         "act for this connected account (acct_...)"),
    NUMBER("provider_timeout_ms", COMMAND_SERVE, provider_timeout_ms, 100, 600000, "30000",
           "longest wait for one answer of the provider"),
    NUMBER("provider_calls", COMMAND_SERVE, provider_calls, 1, 4096, "64",
           "calls to the provider in flight at once"),
    CHOICE("fraud", COMMAND_SERVE, fraud_rule, "flag refund", "RULE", "flag",
           "of payments whose card's issuer suspects fraud: a flag, or what\nis left goes back, "
           "unless a dispute is known"),
    CHOICE("circuit", COMMAND_SERVE, circuit_rule, "reject queue", "RULE", "reject",
           "of pledges while the provider is out: reject: 503, the same\n"
           "key goes on; queue: 202, the provider is asked later"),
    NUMBER("circuit_failures", COMMAND_SERVE, circuit_failures, 0, 20, "5",
           "of the newest 20 calls say that it is out; 0: never"),
    NUMBER("circuit_open_ms", COMMAND_SERVE, circuit_open_ms, 1000, 3600000, "30000",
           "then so long before one call tries again"),
    NUMBER("reconcile_every_hours", COMMAND_SERVE, reconcile_every_hours, 0, 8760, "24",
           "compare the book with what the provider lists, and tell it what\n"
           "it was not told; 0: never"),
    NUMBER("reconcile_days", COMMAND_SERVE, reconcile_days, 1, 366, "7", "of the last days"),
    NUMBER("reconcile_settle_minutes", COMMAND_SERVE, reconcile_settle_minutes, 0, 1440, "10",
           "younger objects are left to their webhooks"),
    NUMBER("reconcile_after_s", COMMAND_SERVE, reconcile_after_s, 0, 86400, "60",
           "for the first time so long after the start"),
    NUMBER("record_mib_max", COMMAND_SERVE, record_mib_max, 1, 1048576, "256",
           "largest exported file of the provider that is taken over HTTP,\nin MiB"),
    TEXT("return_urls", COMMAND_SERVE, return_urls_text, "URL...", NULL,
         "where hosted pages may send donors: scheme, host and port\n"
         "must be equal, the path must begin so; separated by spaces"),
    TEXT("return_url", COMMAND_SERVE, return_url, "URL", NULL,
         "used when a pledge names none; allowed by being here"),
    TEXT("cancel_url", COMMAND_SERVE, cancel_url, "URL", NULL, "the same for donors who turn back"),
    TEXT("cors_origins", COMMAND_SERVE, cors_origins, "ORIGIN...", NULL,
         "origins whose pages may call, separated by spaces"),
    TEXT("events", COMMAND_SERVE, events, "FILE", NULL, "append every event as a CloudEvents line"),
    NUMBER("connections", COMMAND_SERVE, connection_limit, 1, 100000, "1000",
           "open connections at once"),
    NUMBER("connections_per_address", COMMAND_SERVE, address_limit, 0, 100000, "0",
           "of them from one address; 0: no limit, as behind a proxy"),
    NUMBER("requests", COMMAND_SERVE, request_limit, 1, 65536, "512",
           "requests in work at once; more get 503"),
    NUMBER("queue", COMMAND_SERVE, queue_limit, 1, 65536, "8192",
           "commands that wait for the book at once; more get 503"),
    NUMBER("pledges_per_minute", COMMAND_SERVE, pledges_per_minute, 0, RATE_PER_MINUTE_MAX, "60",
           "pledges from one address, a third of them at once; more get\n429; 0: no limit"),
    NUMBER("requests_per_minute", COMMAND_SERVE, requests_per_minute, 0, RATE_PER_MINUTE_MAX,
           "6000", "the same of all other requests without the service token"),
    NUMBER("webhooks_per_minute", COMMAND_SERVE, webhooks_per_minute, 0, RATE_PER_MINUTE_MAX,
           "12000", "the same of webhooks"),
    TEXT("trusted_proxies", COMMAND_SERVE, trusted_proxies_text, "BLOCK...", NULL,
         "addresses and CIDR blocks of proxies whose X-Forwarded-For is\n"
         "believed, separated by spaces"),
    NUMBER("drain_delay_ms", COMMAND_SERVE, drain_delay_ms, 0, 600000, "0",
           "at the end, first be not ready for so long, still answering"),
    NUMBER("drain_ms", COMMAND_SERVE, drain_ms, 0, 600000, "10000",
           "then the longest wait for requests in flight"),
    SWITCH("log_addresses", COMMAND_SERVE, false, log_addresses,
           "put callers' addresses into the log: they are personal data"),
    SWITCH("quiet", COMMAND_SERVE, false, quiet, "no log line per request"),
    SWITCH("demo", COMMAND_SERVE, false, demo, "create the demo campaign once and print its id"),
    SWITCH("check_config", COMMAND_SERVE, true, check_only,
           "check settings, secrets and paths, then leave"),
    SWITCH("print_config", COMMAND_SERVE, true, print_only,
           "print the settings in force, without secrets, then leave"),

    OPTION("title", SETTING_TEXT, COMMAND_CAMPAIGN_CREATE, title, 0, 0, NULL, "TEXT",
           "what people see; required"),
    OPTION("currencies", SETTING_TEXT, COMMAND_CAMPAIGN_CREATE, currencies, 0, 0, NULL, "LIST",
           "accepted currencies, such as EUR or EUR,USD; required"),
    OPTION("goal", SETTING_TEXT, COMMAND_CAMPAIGN_CREATE, goal, 0, 0, NULL, "AMOUNT",
           "such as \"10000.00 EUR\""),
    OPTION("deadline", SETTING_TEXT, COMMAND_CAMPAIGN_CREATE, deadline, 0, 0, NULL, "TIME",
           "RFC 3339, such as 2030-12-31T23:59:59Z"),
    OPTION("late_rule", SETTING_CHOICE, COMMAND_CAMPAIGN_CREATE, late_rule, 0, 0,
           "accept refuse refund hold", "RULE",
           "what becomes of money after the end: it counts; unpaid\npayments are cancelled; that, "
           "and what comes goes back; it is\nheld, in no total, until it is accepted"),
    OPTION("key", SETTING_TEXT,
           COMMAND_CAMPAIGN_CREATE | COMMAND_CAMPAIGN_END | COMMAND_OUTBOX_REQUEUE |
               COMMAND_OUTBOX_REWIND,
           key, 0, 0, NULL, "KEY",
           "idempotency key: a repeat with it does nothing new; default: a\nfresh one"),
    OPTION("version", SETTING_NUMBER, COMMAND_CAMPAIGN_END, version, 1, INT32_MAX, NULL, "N",
           "only if the campaign still has this version"),
    OPTION("after", SETTING_TEXT, COMMAND_CAMPAIGN_LIST | COMMAND_OUTBOX_LIST | COMMAND_OUTBOX_DEAD,
           after, 0, 0, NULL, "PLACE", "begin behind this campaign's id, or behind this position"),
    OPTION("to", SETTING_TEXT, COMMAND_OUTBOX_REWIND, to, 0, 0, NULL, "N",
           "deliver everything behind this position again; required"),
    OPTION("expected", SETTING_TEXT, COMMAND_OUTBOX_REWIND, expected, 0, 0, NULL, "N",
           "only if the cursor still stands there; default: where it is\nseen to stand"),
    OPTION("position", SETTING_TEXT, COMMAND_OUTBOX_REQUEUE, position, 0, 0, NULL, "N",
           "only the dead letter at this position; default: all"),
    OPTION("actor", SETTING_TEXT, COMMANDS_ACT | COMMAND_DOCTOR | COMMAND_RECONCILE, actor, 0, 0,
           NULL, "NAME", "who asks, for the audit log: an account"),
    OPTION("reason", SETTING_TEXT, COMMANDS_ACT | COMMAND_RECONCILE, reason, 0, 0, NULL, "TEXT",
           "why, for the audit log; a pause needs it"),
    OPTION("limit", SETTING_NUMBER,
           COMMAND_CAMPAIGN_LIST | COMMAND_OUTBOX_LIST | COMMAND_OUTBOX_DEAD, limit, 1, 1000, NULL,
           "N", "at most so many, default 100"),
    OPTION("do", SETTING_TEXT, COMMAND_DOCTOR, remedy, 0, 0, NULL, "CODE",
           "do the next safe action of this finding instead of listing"),
    OPTION("deep", SETTING_SWITCH, COMMAND_DOCTOR, deep, 0, 0, NULL, NULL,
           "read every payment, however many"),
    OPTION("html", SETTING_SWITCH, COMMAND_EXPLAIN | COMMAND_DOCTOR, html, 0, 0, NULL, NULL,
           "answer as a page that loads nothing"),
    OPTION("live", SETTING_SWITCH, COMMAND_RECONCILE, live, 0, 0, NULL, NULL,
           "with what Stripe itself lists, instead of a file; needs its key"),
    OPTION("from", SETTING_TEXT, COMMAND_AUDIT | COMMAND_RECONCILE, from, 0, 0, NULL, "TIME",
           "what was made here since must be in the file; live: what Stripe\n"
           "made since, default a week ago"),
    OPTION("until", SETTING_TEXT, COMMAND_AUDIT | COMMAND_RECONCILE, until, 0, 0, NULL, "TIME",
           "and before this time; together with --from; live: default ten\nminutes ago"),
    OPTION("all_ours", SETTING_SWITCH, COMMAND_AUDIT | COMMAND_RECONCILE, all_ours, 0, 0, NULL,
           NULL, "the account is this book's alone: nothing in the file is\nsomebody else's"),
    OPTION(
        "repair", SETTING_SWITCH, COMMAND_RECONCILE, repair, 0, 0, NULL, NULL,
        "tell the book what the file's objects say, as webhooks would\nhave; then compare again"),
    OPTION("record", SETTING_SWITCH, COMMAND_RECONCILE, record, 0, 0, NULL, NULL,
           "write what was found into the audit log, and the time that was\nfound equal into the "
           "book"),
    OPTION("campaign", SETTING_TEXT, COMMAND_AUDIT, campaign, 0, 0, NULL, "ID",
           "only this campaign's payments and totals, not the log"),
    OPTION("json", SETTING_SWITCH, COMMANDS_ALL & ~(unsigned)COMMAND_SERVE, json, 0, 0, NULL, NULL,
           "answer as one JSON value"),
};

enum { SETTING_COUNT = (int)(sizeof settings / sizeof settings[0]) };
_Static_assert((int)SETTING_COUNT <= (int)CONFIG_SETTINGS_MAX, "a place for each origin");

size_t setting_count(void) { return SETTING_COUNT; }

const setting *setting_at(size_t index) { return &settings[index]; }

const setting *setting_find(const char *key, size_t size) {
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (strlen(settings[i].key) == size && strncmp(settings[i].key, key, size) == 0)
            return &settings[i];
    return NULL;
}

/* ---- spelling ------------------------------------------------------------------------------- */

enum { DISTANCE_KEY_MAX = 40 };

/* Levenshtein's distance. */
static size_t distance(const char *left, size_t left_size, const char *right) {
    size_t row[DISTANCE_KEY_MAX + 1], right_size = strlen(right);
    if (left_size > DISTANCE_KEY_MAX || right_size > DISTANCE_KEY_MAX)
        return DISTANCE_KEY_MAX;
    for (size_t j = 0; j <= right_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= left_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= right_size; j++) {
            size_t replaced = diagonal + (left[i - 1] == right[j - 1] ? 0 : 1);
            size_t shorter = row[j - 1] < row[j] ? row[j - 1] + 1 : row[j] + 1;
            diagonal = row[j];
            row[j] = replaced < shorter ? replaced : shorter;
        }
    }
    return row[right_size];
}

const char *setting_nearest(const char *key, size_t size) {
    const char *best = NULL;
    size_t least = size / 3 + 1;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        size_t found = distance(key, size, settings[i].key);
        if (found < least || (found == least && !best)) {
            least = found;
            best = settings[i].key;
        }
    }
    return best;
}

void setting_spell(char out[SETTING_SPELLING_SIZE], const setting *which, config_origin origin) {
    const char *prefix = origin == ORIGIN_FLAG          ? "--"
                         : origin == ORIGIN_ENVIRONMENT ? "CAREFORALL_"
                                                        : "";
    size_t size = (size_t)snprintf(out, SETTING_SPELLING_SIZE, "%s", prefix);
    for (const char *at = which->key; *at != '\0' && size + 1 < SETTING_SPELLING_SIZE; at++) {
        char c = *at;
        if (origin == ORIGIN_FLAG && c == '_')
            c = '-';
        else if (origin == ORIGIN_ENVIRONMENT)
            c = (char)toupper((unsigned char)c);
        out[size++] = c;
    }
    out[size] = '\0';
}

/* ---- values --------------------------------------------------------------------------------- */

static void *place(const server_config *config, const setting *which) {
    return (char *)(uintptr_t)config + which->offset;
}

static bool parse_number(const setting *which, const char *text, int32_t *out,
                         char out_rule[SETTING_MESSAGE_SIZE]) {
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && isdigit((unsigned char)text[0]) &&
        value >= which->minimum && value <= which->maximum) {
        *out = (int32_t)value;
        return true;
    }
    snprintf(out_rule, SETTING_MESSAGE_SIZE, "give a whole number from %d to %d", which->minimum,
             which->maximum);
    return false;
}

static bool parse_choice(const setting *which, const char *text, int32_t *out,
                         char out_rule[SETTING_MESSAGE_SIZE]) {
    int32_t number = 0;
    size_t used = (size_t)snprintf(out_rule, SETTING_MESSAGE_SIZE, "use ");
    for (const char *at = which->choices; *at != '\0'; number++) {
        size_t size = strcspn(at, " ");
        if (strlen(text) == size && strncmp(text, at, size) == 0) {
            *out = number;
            return true;
        }
        const char *next = at + size + strspn(at + size, " ");
        const char *glue = number == 0 ? "" : *next == '\0' ? " or " : ", ";
        used += (size_t)snprintf(out_rule + used, SETTING_MESSAGE_SIZE - used, "%s%.*s", glue,
                                 (int)size, at);
        at = next;
    }
    return false;
}

bool setting_store(server_config *config, const setting *which, config_origin origin,
                   const char *text, char out_rule[SETTING_MESSAGE_SIZE]) {
    bool good = true;
    if (*text == '\0') {
        snprintf(out_rule, SETTING_MESSAGE_SIZE, "it is empty: give a value or leave it out");
        return false;
    }
    switch (which->kind) {
    case SETTING_NUMBER: good = parse_number(which, text, place(config, which), out_rule); break;
    case SETTING_CHOICE: good = parse_choice(which, text, place(config, which), out_rule); break;
    case SETTING_SWITCH:
        good = strcmp(text, "yes") == 0 || strcmp(text, "no") == 0;
        if (good)
            *(bool *)place(config, which) = strcmp(text, "yes") == 0;
        else
            snprintf(out_rule, SETTING_MESSAGE_SIZE, "use yes or no");
        break;
    case SETTING_TEXT: *(const char **)place(config, which) = text; break;
    }
    if (good)
        config->origins[which - settings] = (unsigned char)origin;
    return good;
}

config_origin setting_origin(const server_config *config, const setting *which) {
    return (config_origin)config->origins[which - settings];
}

const char *setting_text(const server_config *config, const setting *which, char buffer[16]) {
    const void *at = place(config, which);
    switch (which->kind) {
    case SETTING_TEXT: return *(const char *const *)at;
    case SETTING_SWITCH: return *(const bool *)at ? "yes" : "no";
    case SETTING_NUMBER: snprintf(buffer, 16, "%d", *(const int32_t *)at); return buffer;
    case SETTING_CHOICE: break;
    }
    const char *choice = which->choices;
    for (int32_t i = 0; i < *(const int32_t *)at; i++)
        choice += strcspn(choice, " ") + 1;
    snprintf(buffer, 16, "%.*s", (int)strcspn(choice, " "), choice);
    return buffer;
}

void setting_help(FILE *file, const setting *which) {
    enum { COLUMN = 33 };
    char left[SETTING_SPELLING_SIZE * 2], spelling[SETTING_SPELLING_SIZE];
    setting_spell(spelling, which, ORIGIN_FLAG);
    snprintf(left, sizeof left, "  %s%s%s", spelling, which->argument ? " " : "",
             which->argument ? which->argument : "");
    for (const char *at = which->help; *at != '\0';) {
        size_t size = strcspn(at, "\n");
        bool last = at[size] == '\0';
        bool standard = last && which->standard;
        fprintf(file, "%-*s%.*s%s%s%s\n", COLUMN, at == which->help ? left : "", (int)size, at,
                standard ? " (default " : "", standard ? which->standard : "", standard ? ")" : "");
        at += size + (last ? 0 : 1);
    }
}
