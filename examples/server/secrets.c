/*
 * secrets.c - reading, making and comparing secrets. A message names file and line, never what
 * stands in it.
 */
#include "secrets.h"
#include "settings.h"

#include <sodium.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 16 * 1024, FRESH_BYTES = 32 };

typedef struct kind_rules {
    const char *name, *what;
    const char *variable; /* holds the secret itself */
    const char *key;      /* of the setting that names its file */
    const char *prefix;   /* of a fresh one; NULL: only somebody else can make it */
    const char *hint;     /* where one comes from */
    size_t least;
    int count_max;
} kind_rules;

static const kind_rules kinds[SECRET_KINDS] = {
    [SECRET_ADMIN_TOKEN] = { "admin-token", "service token", "CAREFORALL_ADMIN_TOKEN",
                             "admin_token_file", "",
                             "make one: careforall-server secret new admin-token FILE", 32,
                             SECRETS_MAX },
    [SECRET_WEBHOOK] = { "webhook-secret", "webhook secret", "CAREFORALL_WEBHOOK_SECRET",
                         "webhook_secret_file", "whsec_",
                         "the provider shows it where the webhook's address is entered", 16,
                         SECRETS_MAX },
    [SECRET_STRIPE_KEY] = { "stripe-key", "Stripe API key", "CAREFORALL_STRIPE_KEY",
                            "stripe_key_file", NULL, "it is in Stripe's dashboard", 12, 1 },
    [SECRET_PLEDGE_TOKEN_KEY] = { "pledge-token-key", "key of pledge tokens",
                                  "CAREFORALL_PLEDGE_TOKEN_KEY", "pledge_token_key_file", "",
                                  "make one: careforall-server secret new pledge-token-key FILE",
                                  32, SECRETS_MAX },
};

const char *secret_kind_name(secret_kind kind) { return kinds[kind].name; }

int secret_kind_find(const char *name) {
    for (int i = 0; i < SECRET_KINDS; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return i;
    return -1;
}

static bool refuse(char out_why[SECRET_MESSAGE_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool refuse(char out_why[SECRET_MESSAGE_SIZE], const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out_why, SECRET_MESSAGE_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- one secret ----------------------------------------------------------------------------- */

/* `where`: " in FILE, line 3", or " in CAREFORALL_...". */
static bool add(secret_list *out, secret_kind kind, const char *text, size_t size,
                const char *where, char out_why[SECRET_MESSAGE_SIZE]) {
    const kind_rules *rules = &kinds[kind];
    if (size < rules->least)
        return refuse(out_why, "the %s%s has %zu characters, it needs at least %zu (%s)",
                      rules->what, where, size, rules->least, rules->hint);
    if (size > SECRET_BYTES_MAX)
        return refuse(out_why, "the %s%s is longer than %d characters: use a shorter one",
                      rules->what, where, SECRET_BYTES_MAX);
    for (size_t i = 0; i < size; i++)
        if (!isgraph((unsigned char)text[i]))
            return refuse(out_why,
                          "the %s%s holds a space or control character: use visible ASCII alone",
                          rules->what, where);
    if (out->count == rules->count_max)
        return refuse(out_why, "there are more than %d of the %s%s: remove old ones",
                      rules->count_max, rules->what, where);
    memcpy(out->text[out->count], text, size);
    out->text[out->count++][size] = '\0';
    return true;
}

/* ---- files ---------------------------------------------------------------------------------- */

/* The service manager's own credentials: it guards them with more than a mode can show. */
static bool is_credential(const char *path) {
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    size_t size = directory ? strlen(directory) : 0;
    return size > 0 && strncmp(path, directory, size) == 0 && path[size] == '/';
}

static bool read_text(char *buffer, size_t *out_size, secret_kind kind, const char *path,
                      char out_why[SECRET_MESSAGE_SIZE]) {
    const char *what = kinds[kind].what;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        int error = errno;
        if (descriptor >= 0)
            close(descriptor);
        return refuse(out_why,
                      "cannot read the %s file %s (%s): check the path and its permissions", what,
                      path, strerror(error));
    }
    bool regular = S_ISREG(status.st_mode);
    bool shared = (status.st_mode & (S_IRWXG | S_IRWXO)) != 0 && !is_credential(path);
    ssize_t size = regular && !shared ? read(descriptor, buffer, FILE_BYTES_MAX + 1) : 0;
    int error = errno;
    close(descriptor);
    if (!regular)
        return refuse(out_why, "the %s file %s is not a regular file: give the path of a file",
                      what, path);
    if (shared)
        return refuse(out_why, "the %s file %s is open to others than its owner: run chmod 600 %s",
                      what, path, path);
    if (size < 0)
        return refuse(out_why, "cannot read the %s file %s (%s)", what, path, strerror(error));
    if (size > FILE_BYTES_MAX)
        return refuse(out_why, "the %s file %s is larger than %d bytes: is it the right file?",
                      what, path, FILE_BYTES_MAX);
    *out_size = (size_t)size;
    return true;
}

bool secret_file_read(secret_list *out, secret_kind kind, const char *path,
                      char out_why[SECRET_MESSAGE_SIZE]) {
    char buffer[FILE_BYTES_MAX + 1];
    size_t size = 0;
    memset(out, 0, sizeof *out);
    bool good = read_text(buffer, &size, kind, path, out_why);
    int line = 1;
    for (size_t at = 0; good && at < size; line++) {
        const char *text = buffer + at;
        const char *end = memchr(text, '\n', size - at);
        size_t length = end ? (size_t)(end - text) : size - at;
        at += length + 1;
        while (length > 0 && strchr(" \t\r", text[length - 1]))
            length--;
        while (length > 0 && strchr(" \t", *text)) {
            text++;
            length--;
        }
        char where[256];
        snprintf(where, sizeof where, " in %s, line %d,", path, line);
        if (length > 0 && *text != '#')
            good = add(out, kind, text, length, where, out_why);
    }
    sodium_memzero(buffer, sizeof buffer);
    if (good && out->count == 0)
        good = refuse(out_why, "the %s file %s is empty: put one secret on each line",
                      kinds[kind].what, path);
    return good;
}

/* A new name in a directory survives a power cut only once the directory is written. */
static void sync_directory(const char *path) {
    char copy[4096];
    snprintf(copy, sizeof copy, "%s", path);
    int descriptor = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return;
    (void)fsync(descriptor);
    close(descriptor);
}

static bool write_whole(int descriptor, const char *text, size_t size) {
    while (size > 0) {
        ssize_t written = write(descriptor, text, size);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            text += written;
            size -= (size_t)written;
        }
    }
    return fsync(descriptor) == 0;
}

bool secret_file_new(secret_kind kind, const char *path, bool *out_exists,
                     char out_why[SECRET_MESSAGE_SIZE]) {
    const kind_rules *rules = &kinds[kind];
    unsigned char random[FRESH_BYTES];
    char hex[FRESH_BYTES * 2 + 1], text[FRESH_BYTES * 2 + 16], draft[4096];
    *out_exists = false;
    if (!rules->prefix)
        return refuse(out_why, "a %s comes from the provider: put it into a file with mode 600",
                      rules->what);
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(hex, sizeof hex, random, sizeof random);
    int size = snprintf(text, sizeof text, "%s%s\n", rules->prefix, hex);
    int length = snprintf(draft, sizeof draft, "%s.%ld.new", path, (long)getpid());
    int descriptor = length < (int)sizeof draft
                         ? open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)
                         : -1;
    bool written = descriptor >= 0 && write_whole(descriptor, text, (size_t)size);
    int error = errno;
    if (descriptor >= 0)
        close(descriptor);
    /* A link appears whole, and never over a file that is there. */
    bool linked = written && link(draft, path) == 0;
    if (written && !linked)
        error = errno;
    if (descriptor >= 0)
        (void)unlink(draft);
    sodium_memzero(random, sizeof random);
    sodium_memzero(hex, sizeof hex);
    sodium_memzero(text, sizeof text);
    if (linked) {
        sync_directory(path);
        return true;
    }
    *out_exists = error == EEXIST;
    if (*out_exists)
        return refuse(out_why, "%s exists and was left as it is: give a new path", path);
    return refuse(out_why, "cannot make %s (%s): give a path in a writable directory", path,
                  strerror(error));
}

/* ---- what the configuration asks for -------------------------------------------------------- */

/* From the nearest place that names one: a flag, then the environment, then the file. */
static bool read_kind(secret_list *out, secret_kind kind, const server_config *config,
                      const char *path, char out_why[SECRET_MESSAGE_SIZE]) {
    const kind_rules *rules = &kinds[kind];
    const char *text = getenv(rules->variable);
    bool in_environment = text && *text != '\0';
    config_origin origin = setting_origin(config, setting_find(rules->key, strlen(rules->key)));
    out->count = 0;
    if (path && in_environment && origin == ORIGIN_ENVIRONMENT)
        return refuse(out_why, "%s and %s_FILE are both set: unset one", rules->variable,
                      rules->variable);
    if (path && (!in_environment || origin == ORIGIN_FLAG))
        return secret_file_read(out, kind, path, out_why);
    if (!in_environment)
        return true;
    char where[64];
    snprintf(where, sizeof where, " in %s", rules->variable);
    return add(out, kind, text, strnlen(text, SECRET_BYTES_MAX + 1), where, out_why);
}

static bool require(const secret_list *list, secret_kind kind, char out_why[SECRET_MESSAGE_SIZE]) {
    const kind_rules *rules = &kinds[kind];
    char flag[SETTING_SPELLING_SIZE];
    if (list->count > 0)
        return true;
    setting_spell(flag, setting_find(rules->key, strlen(rules->key)), ORIGIN_FLAG);
    return refuse(out_why, "no %s: give %s FILE or set %s (%s)", rules->what, flag, rules->variable,
                  rules->hint);
}

/* Beside the database unless a place is named: whoever may read the book may know it. */
static bool read_pledge_token_keys(secret_list *out, const server_config *config, bool create,
                                   char out_why[SECRET_MESSAGE_SIZE]) {
    const secret_kind kind = SECRET_PLEDGE_TOKEN_KEY;
    if (!read_kind(out, kind, config, config->pledge_token_key_file, out_why))
        return false;
    if (out->count > 0)
        return true;
    if (config->memory && !create)
        return true;
    if (config->memory) { /* as lasting as the book itself */
        unsigned char random[FRESH_BYTES];
        randombytes_buf(random, sizeof random);
        sodium_bin2hex(out->text[0], sizeof out->text[0], random, sizeof random);
        out->count = 1;
        return true;
    }
    char path[4096];
    bool exists = false;
    if (snprintf(path, sizeof path, "%s.token-key", config->database) >= (int)sizeof path)
        return refuse(out_why, "--database: the path is too long");
    if (access(path, F_OK) != 0 && !create)
        return true;
    if (access(path, F_OK) != 0 && !secret_file_new(kind, path, &exists, out_why) && !exists)
        return false;
    return secret_file_read(out, kind, path, out_why);
}

bool secrets_read(server_secrets *out, const server_config *config, bool create,
                  char out_why[SECRET_MESSAGE_SIZE]) {
    bool stripe = config->provider == PROVIDER_STRIPE;
    memset(out, 0, sizeof *out);
    bool good =
        read_kind(&out->tokens, SECRET_ADMIN_TOKEN, config, config->token_file, out_why) &&
        require(&out->tokens, SECRET_ADMIN_TOKEN, out_why) &&
        read_kind(&out->webhooks, SECRET_WEBHOOK, config, config->webhook_secret_file, out_why) &&
        read_kind(&out->stripe_key, SECRET_STRIPE_KEY, config, config->stripe_key_file, out_why) &&
        read_pledge_token_keys(&out->pledge_token_keys, config, create, out_why);
    /* Without a secret anybody could report payments. */
    if (good && stripe)
        good = require(&out->stripe_key, SECRET_STRIPE_KEY, out_why) &&
               require(&out->webhooks, SECRET_WEBHOOK, out_why);
    if (!good)
        secrets_forget(out);
    return good;
}

bool secrets_read_stripe_key(server_secrets *out, const server_config *config,
                             char out_why[SECRET_MESSAGE_SIZE]) {
    memset(out, 0, sizeof *out);
    bool good =
        read_kind(&out->stripe_key, SECRET_STRIPE_KEY, config, config->stripe_key_file, out_why) &&
        require(&out->stripe_key, SECRET_STRIPE_KEY, out_why);
    if (!good)
        secrets_forget(out);
    return good;
}

bool secret_in_environment(secret_kind kind, const char **out_variable) {
    const char *text = getenv(kinds[kind].variable);
    *out_variable = kinds[kind].variable;
    return text && *text != '\0';
}

void secrets_forget(server_secrets *secrets) { sodium_memzero(secrets, sizeof *secrets); }

/* ---- comparing ------------------------------------------------------------------------------ */

/* Takes the same time wherever the first difference is, for every entry. */
bool secret_list_holds(const secret_list *list, const char *text) {
    size_t size = strlen(text);
    int found = 0;
    if (size == 0 || size > SECRET_BYTES_MAX)
        return false;
    for (int i = 0; i < list->count; i++) {
        size_t secret_size = strlen(list->text[i]);
        volatile unsigned char difference = (unsigned char)(secret_size != size);
        for (size_t j = 0; j < size; j++)
            difference = (unsigned char)(difference | (list->text[i][j] ^ text[j]));
        found |= difference == 0;
    }
    return found != 0;
}
