/*
 * command.c - the table of subcommands and what they share. A new command is one line here and one
 * function.
 */
#include "command.h"
#include "app.h"
#include "settings.h"

#include <careforall/adapters/sqlite.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const command commands[] = {
    { COMMAND_SERVE, "serve", "", 0, 0, "answer requests until SIGTERM",
      "SIGHUP reads secrets again.", command_serve },
    { COMMAND_MIGRATE, "migrate", "", 0, 0, "bring the database to this version's schema",
      "Starting the server does the same.", command_migrate },
    { COMMAND_CAMPAIGN_CREATE, "campaign create", "", 0, 0, "create a campaign, print its id",
      "Beside a running server, too. A repeat with the same --key prints the same campaign.",
      command_campaign_create },
    { COMMAND_CAMPAIGN_LIST, "campaign list", "", 0, 0, "list campaigns, oldest first", "",
      command_campaign_list },
    { COMMAND_CAMPAIGN_SHOW, "campaign show", "ID", 1, 1, "show a campaign and its totals", "",
      command_campaign_show },
    { COMMAND_CAMPAIGN_END, "campaign end", "ID", 1, 1, "take no more pledges for a campaign",
      "Ending an ended campaign changes nothing.", command_campaign_end },
    { COMMAND_OUTBOX_LIST, "outbox list", "", 0, 0, "list events and cursors",
      "Reads only: no cursor moves.", command_outbox_list },
    { COMMAND_OUTBOX_DEAD, "outbox dead", "CURSOR", 1, 1, "list events that a sink refused", "",
      command_outbox_dead },
    { COMMAND_OUTBOX_REQUEUE, "outbox requeue", "CURSOR", 1, 1, "deliver dead letters again",
      "A letter that is refused again stays. A repeat with the same --key does nothing new.",
      command_outbox_requeue },
    { COMMAND_OUTBOX_REWIND, "outbox rewind", "CURSOR", 1, 1,
      "deliver events again from a position",
      "Pause the cursor first: one that moves meanwhile is left alone.", command_outbox_rewind },
    { COMMAND_OUTBOX_PAUSE, "outbox pause", "CURSOR", 1, 1, "stop delivering, also over restarts",
      "", command_outbox_pause },
    { COMMAND_OUTBOX_RESUME, "outbox resume", "CURSOR", 1, 1, "go on after a pause", "",
      command_outbox_resume },
#ifdef SERVER_STRIPE
    { COMMAND_AUDIT, "audit", "[FILE]", 0, 1, "recompute the books, name the first difference",
      "FILE: Stripe's record to compare them with, as for reconcile. Reads only. Exit codes: 0 "
      "clean,\n1 differences, 2 could not run.",
      command_audit },
    { COMMAND_RECONCILE, "reconcile", "[FILE]", 0, 1, "compare the books with Stripe's record",
      "FILE: objects as JSON, or the payments export as CSV; or --live, beside a running server, "
      "too.\nReads only, but with --repair or --record. Exit codes: 0 clean, 1 differences, 2 "
      "could not "
      "run.",
      command_reconcile },
#else
    { COMMAND_AUDIT, "audit", "", 0, 0, "recompute the books, name the first difference",
      "Reads only. Exit codes: 0 clean, 1 differences, 2 could not run.", command_audit },
#endif
    { COMMAND_EXPLAIN, "explain", "ID", 1, 1, "tell one donation's story",
      "ID: of a pledge, payment, refund, dispute, event or webhook, or what the provider calls "
      "it.\n"
      "Reads only.",
      command_explain },
    { COMMAND_DOCTOR, "doctor", "", 0, 0, "list what is stuck or strange, and what to do",
      "Exit codes: 0 nothing, 1 findings, 2 failed. With --do: 0 done.", command_doctor },
    { COMMAND_SECRET_NEW, "secret new", "KIND FILE", 2, 2, "make a file with a fresh secret",
      "KIND: admin-token, webhook-secret or pledge-token-key. An existing file is never touched.",
      command_secret_new },
    { COMMAND_SECRET_CHECK, "secret check", "KIND FILE", 2, 2, "check a file of secrets",
      "KIND: admin-token, webhook-secret, stripe-key or pledge-token-key.", command_secret_check },
};

enum { COMMAND_COUNT = (int)(sizeof commands / sizeof commands[0]) };

const command *command_of(unsigned number) {
    const command *found = &commands[0];
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (commands[i].number == number)
            found = &commands[i];
    return found;
}

/* ---- help ----------------------------------------------------------------------------------- */

static void print_settings(FILE *file, unsigned mask) {
    for (size_t i = 0; i < setting_count(); i++)
        if (setting_at(i)->commands & mask)
            setting_help(file, setting_at(i));
}

static void print_spellings(FILE *file) {
    fprintf(file,
            "\nA setting is a flag (--drain-ms 5000), a variable (CAREFORALL_DRAIN_MS=5000) or "
            "a line of the\nfile of --config (drain_ms = 5000); flags win over variables, "
            "variables over the file.\n");
}

static void print_usage(FILE *file) {
    fprintf(file, "careforall-server %s - donations over HTTP, kept in one SQLite file\n\n",
            cfa_version());
    for (int i = 0; i < COMMAND_COUNT; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].words);
        fprintf(file, "  careforall-server %-24s %s\n", left, commands[i].summary);
    }
    fprintf(file,
            "\nTo begin:\n\n"
            "  careforall-server secret new admin-token admin-token\n"
            "  careforall-server serve --database book.db --admin-token-file admin-token --demo"
            "\n\nEach command has --help. Flags of serve:\n\n");
    print_settings(file, COMMAND_SERVE);
    print_spellings(file);
    fprintf(file,
            "Exit codes: 0 done, 1 failed, 2 wrong settings. More: docs/server.md; the routes: "
            "docs/http.md\n");
}

void command_help(FILE *file, unsigned number) {
    const command *which = command_of(number);
    fprintf(file, "careforall-server %s%s%s [flags] - %s\n", which->name,
            *which->words != '\0' ? " " : "", which->words, which->summary);
    if (*which->detail != '\0')
        fprintf(file, "%s\n", which->detail);
    fputc('\n', file);
    print_settings(file, number);
    if (number & COMMANDS_BOOK)
        print_spellings(file);
}

/* ---- finding -------------------------------------------------------------------------------- */

/* True when `word` is the name's first word and `next` its second, if it has one. */
static bool named(const command *which, const char *word, const char *next, int *out_used) {
    const char *space = strchr(which->name, ' ');
    size_t size = space ? (size_t)(space - which->name) : strlen(which->name);
    *out_used = space ? 3 : 2;
    return strlen(word) == size && strncmp(word, which->name, size) == 0 &&
           (!space || (next && strcmp(next, space + 1) == 0));
}

/* The second words of a group, "create, list, show, end"; "" when `word` names no group. */
static void list_group(char *out, size_t size, const char *word) {
    size_t used = 0, word_size = strlen(word);
    out[0] = '\0';
    for (int i = 0; i < COMMAND_COUNT; i++) {
        const char *name = commands[i].name;
        if (strncmp(name, word, word_size) == 0 && name[word_size] == ' ' && used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "",
                                     name + word_size + 1);
    }
}

config_result command_find(unsigned *out, int argc, char **argv, int *out_used) {
    const char *word = argc > 1 ? argv[1] : NULL, *next = argc > 2 ? argv[2] : NULL;
    char group[128];
    if (!word) {
        config_complain("no subcommand: try careforall-server serve, or --help");
        return CONFIG_WRONG;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "help") == 0) {
        print_usage(stdout);
        return CONFIG_DONE;
    }
    if (strcmp(word, "--version") == 0) {
        printf("careforall-server %s\n", cfa_version());
        return CONFIG_DONE;
    }
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (named(&commands[i], word, next, out_used)) {
            *out = commands[i].number;
            return CONFIG_RUN;
        }
    }
    list_group(group, sizeof group, word);
    if (group[0] == '\0')
        config_complain(
            "unknown subcommand %s: use serve, migrate, campaign, outbox, audit, reconcile, "
            "explain, doctor or secret, or see --help",
            word);
    else if (next && strcmp(next, "--help") == 0) {
        for (int i = 0; i < COMMAND_COUNT; i++)
            if (strncmp(commands[i].name, word, strlen(word)) == 0)
                printf("careforall-server %s %s - %s\n", commands[i].name, commands[i].words,
                       commands[i].summary);
        return CONFIG_DONE;
    } else
        config_complain("%s what? use %s %s", word, word, group);
    return CONFIG_WRONG;
}

/* ---- shared --------------------------------------------------------------------------------- */

bool command_has_book(const server_config *config) {
    if (access(config->database, F_OK) == 0)
        return true;
    config_complain("there is no book %s", config->database);
    return false;
}

cfa_engine *command_open(const server_config *config) {
    return command_has_book(config) ? command_make(config) : NULL;
}

cfa_engine *command_make(const server_config *config) {
    cfa_engine *engine = NULL;
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    cfa_status status = cfa_sqlite_open(&engine, config->database, &options);
    if (status == CFA_OK)
        return engine;
    config_complain("cannot open %s: %s; %s", config->database, app_last_error().message,
                    app_open_fix(status));
    return NULL;
}

int command_failed(const char *what, cfa_status status) {
    cfa_error error = app_last_error();
    const char *fix = "";
    if (cfa_status_class_of(status) == CFA_CLASS_TRANSIENT)
        fix = "; nothing was done: try again";
    else if (cfa_status_class_of(status) == CFA_CLASS_IN_DOUBT)
        fix = "; it may have happened: try again with the same --key";
    config_complain("%s: %s%s", what, error.message, fix);
    return EXIT_FAILED;
}

int command_write_failed(const char *what, cfa_status status, const char *key) {
    if (cfa_status_class_of(status) != CFA_CLASS_IN_DOUBT)
        return command_failed(what, status);
    config_complain("%s: it may have happened: repeat with --key %s", what, key);
    return EXIT_FAILED;
}

const char *command_key(char fresh[40], const server_config *config) {
    if (config->key)
        return config->key;
    return cfa_key_new(fresh, 40) == CFA_OK ? fresh : NULL;
}

cfa_actor command_actor(const server_config *config) {
    cfa_actor by = CFA_ACTOR_INIT;
    by.actor = config->actor;
    by.reason = config->reason;
    return by;
}

int command_print_json(json_t *value) {
    if (!value) {
        config_complain("out of memory");
        return EXIT_FAILED;
    }
    json_dumpf(value, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(value);
    return EXIT_SUCCESS;
}

bool command_position(int64_t *out, const char *flag, const char *text) {
    char *end = NULL;
    errno = 0;
    long long value = text ? strtoll(text, &end, 10) : 0;
    if (text && (errno != 0 || end == text || *end != '\0' || value < 0)) {
        config_complain("%s %s: give a position, a whole number from 0", flag, text);
        return false;
    }
    if (text)
        *out = value;
    return true;
}
