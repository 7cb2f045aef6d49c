/* command.h - the subcommands: what they are called, what they do, how they answer. */
#ifndef SERVER_COMMAND_H
#define SERVER_COMMAND_H

#include "config.h"

#include <careforall/careforall.h>

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
 * after the one line was printed; `cfa_engine_close`. */
cfa_engine *command_open(const server_config *config);

/* Print the one line of an engine's failure and what to do about it; returns the exit code. */
int command_failed(const char *what, cfa_status status);

int command_serve(const server_config *config);
int command_migrate(const server_config *config);
int command_campaign_create(const server_config *config);
int command_campaign_list(const server_config *config);
int command_campaign_show(const server_config *config);
int command_campaign_end(const server_config *config);
int command_outbox_list(const server_config *config);
int command_secret_new(const server_config *config);
int command_secret_check(const server_config *config);

#endif
