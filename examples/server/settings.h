/*
 * settings.h - every setting once: its key, its kind, its bounds, its help. A flag, an environment
 * variable and a key of the file are three spellings of one setting: --drain-ms,
 * CAREFORALL_DRAIN_MS, drain_ms.
 */
#ifndef SERVER_SETTINGS_H
#define SERVER_SETTINGS_H

#include "config.h"

#include <stddef.h>
#include <stdio.h>

typedef enum setting_kind {
    SETTING_TEXT,
    SETTING_SWITCH,
    SETTING_NUMBER,
    SETTING_CHOICE
} setting_kind;

typedef struct setting {
    const char *key;
    setting_kind kind;
    unsigned commands; /* COMMAND_* that take it */
    bool flag_only;
    size_t offset; /* in server_config */
    int32_t minimum, maximum;
    const char *choices;  /* of a choice: "play stripe none", in the order of its enum */
    const char *argument; /* what the help calls its value */
    const char *standard; /* its default as text, or NULL */
    const char *help;     /* one line or more, separated by line ends */
} setting;

enum { SETTING_SPELLING_SIZE = 64, SETTING_MESSAGE_SIZE = 512 };

size_t setting_count(void);
const setting *setting_at(size_t index);
/* Find by key; `size` is that of `key`. NULL when there is none. */
const setting *setting_find(const char *key, size_t size);
/* The key most like a mistyped one, or NULL. */
const char *setting_nearest(const char *key, size_t size);

/* Its spelling at one origin: "--drain-ms", "CAREFORALL_DRAIN_MS", "drain_ms". */
void setting_spell(char out[SETTING_SPELLING_SIZE], const setting *which, config_origin origin);

/* Check `text` and store it; on failure what to give instead is in `out_rule`. `text` must live as
 * long as the process. */
bool setting_store(server_config *config, const setting *which, config_origin origin,
                   const char *text, char out_rule[SETTING_MESSAGE_SIZE]);
config_origin setting_origin(const server_config *config, const setting *which);
/* The value as text; NULL when there is none. `buffer` holds a number's. */
const char *setting_text(const server_config *config, const setting *which, char buffer[16]);
void setting_help(FILE *file, const setting *which);

/* Read the file of --config; false after the one line was printed. settings_file.c. */
bool settings_file_read(server_config *config, const char *path);

#endif
