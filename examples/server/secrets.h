/*
 * secrets.h - what must not be known: service tokens, webhook secrets, the provider's key, the keys
 * of pledge tokens. From files that only their owner may read, or from the environment; several at
 * once while one is rolled. Never printed.
 */
#ifndef SERVER_SECRETS_H
#define SERVER_SECRETS_H

#include "config.h"

enum { SECRETS_MAX = 8, SECRET_BYTES_MAX = 512, SECRET_MESSAGE_SIZE = 512 };

typedef struct secret_list {
    int count;
    char text[SECRETS_MAX][SECRET_BYTES_MAX + 1];
} secret_list;

typedef struct server_secrets {
    secret_list tokens, webhooks, stripe_key, pledge_token_keys;
} server_secrets;

typedef enum secret_kind {
    SECRET_ADMIN_TOKEN,
    SECRET_WEBHOOK,
    SECRET_STRIPE_KEY,
    SECRET_PLEDGE_TOKEN_KEY,
    SECRET_KINDS
} secret_kind;

/* "admin-token", ...; -1 for a name that is none. */
const char *secret_kind_name(secret_kind kind);
int secret_kind_find(const char *name);

/* Read a file of secrets, one per line; false with one line in `out_why`, which names no secret. */
bool secret_file_read(secret_list *out, secret_kind kind, const char *path,
                      char out_why[SECRET_MESSAGE_SIZE]);

/* Make a file with one fresh secret, readable by its owner alone; never over an existing one
 * (`*out_exists`). It is there whole or not at all. */
bool secret_file_new(secret_kind kind, const char *path, bool *out_exists,
                     char out_why[SECRET_MESSAGE_SIZE]);

/* Read all that the configuration asks for. With `create` the key of pledge tokens is made when
 * there is none. */
bool secrets_read(server_secrets *out, const server_config *config, bool create,
                  char out_why[SECRET_MESSAGE_SIZE]);

/* The same of the Stripe key alone, for commands that only ask Stripe. */
bool secrets_read_stripe_key(server_secrets *out, const server_config *config,
                             char out_why[SECRET_MESSAGE_SIZE]);

/* True when the environment holds one; `*out_variable` names where. */
bool secret_in_environment(secret_kind kind, const char **out_variable);

/* Compare in constant time; only the length of `text` shows. */
bool secret_list_holds(const secret_list *list, const char *text);

/* Overwrite, so that it is in no dump. */
void secrets_forget(server_secrets *secrets);

#endif
