/* command.h - the subcommands: what they are called, what they do, how they answer. */
#ifndef SERVER_COMMAND_H
#define SERVER_COMMAND_H

#include "config.h"

#include <careforall/careforall.h>

#include <jansson.h>
#include <stdio.h>

typedef struct command {
    unsigned number;   /* COMMAND_* */
    const char *name;  /* "campaign create" */
    const char *words; /* what stands behind it, "ID", or "" */
    int words_min, words_max;
    const char *summary;
    const char *detail;                      /* more help, or "" */
    int (*run)(const server_config *config); /* the exit code */
} command;

const command *command_of(unsigned number);

/* Find the command that `argv` begins with, and how many words it has. Prints help or the one line
 * when there is none. */
config_result command_find(unsigned *out, int argc, char **argv, int *out_used);
void command_help(FILE *file, unsigned number);

/* Open the book for a command that works beside a server: no provider, no sink, no thread. NULL
 * after the one line was printed, also where there is no book; `cfa_engine_close`. */
cfa_engine *command_open(const server_config *config);
/* Whether there is a book; false after the one line was printed. */
bool command_has_book(const server_config *config);
/* The same as `command_open`, and a book is made if need be. */
cfa_engine *command_make(const server_config *config);

/* Read a position of the log; `text` NULL leaves `*out` as it is. False after the one line was
 * printed. */
bool command_position(int64_t *out, const char *flag, const char *text);

/* The key of a repeat, or a fresh one in `fresh`. */
const char *command_key(char fresh[40], const server_config *config);
/* Who asks and why, as the flags say. */
cfa_actor command_actor(const server_config *config);
/* Print the failure of a command that writes; after a doubtful end the key is what a repeat needs. */
int command_write_failed(const char *what, cfa_status status, const char *key);
/* Print one JSON value and take its reference; NULL stands for "out of memory". */
int command_print_json(json_t *value);

/* Print the one line of an engine's failure and what to do about it; returns the exit code. */
int command_failed(const char *what, cfa_status status);

int command_serve(const server_config *config);
int command_migrate(const server_config *config);
int command_campaign_create(const server_config *config);
int command_campaign_list(const server_config *config);
int command_campaign_show(const server_config *config);
int command_campaign_end(const server_config *config);
int command_outbox_list(const server_config *config);
int command_outbox_dead(const server_config *config);
int command_outbox_requeue(const server_config *config);
int command_outbox_rewind(const server_config *config);
int command_outbox_pause(const server_config *config);
int command_outbox_resume(const server_config *config);
int command_audit(const server_config *config);
int command_reconcile(const server_config *config);
int command_explain(const server_config *config);
int command_doctor(const server_config *config);
int command_secret_new(const server_config *config);
int command_secret_check(const server_config *config);

#endif
