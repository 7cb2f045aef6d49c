/*
 * config.c - flags, environment and their checks. Opens nothing but the token file; never prints a
 * token.
 */
#include "config.h"

#include <careforall/base.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "careforall-server " CFA_VERSION " - donations over HTTP, kept in one SQLite file\n"
    "\n"
    "  careforall-server serve   --database PATH | --memory [flags]   answer requests\n"
    "  careforall-server migrate --database PATH                      bring the schema up to date\n"
    "\n"
    "Flags of serve, each with its environment variable:\n"
    "  --database PATH          SQLite file, created if need be (CAREFORALL_DATABASE)\n"
    "  --memory                 keep everything in memory; nothing survives the process\n"
    "  --listen HOST:PORT       default 127.0.0.1:8080; port 0: any (CAREFORALL_LISTEN)\n"
    "  --provider play|none     default play: no money moves (CAREFORALL_PROVIDER)\n"
    "  --admin-token-file FILE  the service token, 32 characters or more\n"
    "                           (CAREFORALL_ADMIN_TOKEN_FILE, or CAREFORALL_ADMIN_TOKEN itself)\n"
    "  --events FILE            append every event as a CloudEvents line (CAREFORALL_EVENTS)\n"
    "  --demo                   create the demo campaign once and print its id\n"
    "  --connections N          open connections at once, default 1000\n"
    "  --requests N             requests in work at once, default 512; more get 503\n"
    "  --drain-ms N             longest wait for requests in flight at the end, default 10000\n"
    "  --quiet                  no log line per request\n"
    "  --check-config           check flags, token and paths, then leave\n"
    "  --help, --version\n"
    "\n"
    "CAREFORALL_WEBHOOK_SECRET: secret of webhooks posted from outside, 16 characters or more\n"
    "\n"
    "Routes, codes and limits: docs/http.md\n";

typedef enum flag_kind { FLAG_TEXT, FLAG_SWITCH, FLAG_NUMBER } flag_kind;

typedef struct flag {
    const char *name;
    const char *variable;
    flag_kind kind;
    size_t offset;
    int32_t minimum, maximum;
} flag;

static const flag flags[] = {
    { "--database", "CAREFORALL_DATABASE", FLAG_TEXT, offsetof(server_config, database), 0, 0 },
    { "--memory", NULL, FLAG_SWITCH, offsetof(server_config, memory), 0, 0 },
    { "--listen", "CAREFORALL_LISTEN", FLAG_TEXT, offsetof(server_config, listen), 0, 0 },
    { "--provider", "CAREFORALL_PROVIDER", FLAG_TEXT, offsetof(server_config, provider_name), 0,
      0 },
    { "--admin-token-file", "CAREFORALL_ADMIN_TOKEN_FILE", FLAG_TEXT,
      offsetof(server_config, token_file), 0, 0 },
    { "--events", "CAREFORALL_EVENTS", FLAG_TEXT, offsetof(server_config, events), 0, 0 },
    { "--demo", NULL, FLAG_SWITCH, offsetof(server_config, demo), 0, 0 },
    { "--connections", NULL, FLAG_NUMBER, offsetof(server_config, connection_limit), 1, 100000 },
    { "--requests", NULL, FLAG_NUMBER, offsetof(server_config, request_limit), 1, 65536 },
    { "--drain-ms", NULL, FLAG_NUMBER, offsetof(server_config, drain_ms), 0, 600000 },
    { "--quiet", NULL, FLAG_SWITCH, offsetof(server_config, quiet), 0, 0 },
    { "--check-config", NULL, FLAG_SWITCH, offsetof(server_config, check_only), 0, 0 },
};

enum { FLAG_COUNT = (int)(sizeof flags / sizeof flags[0]) };

void config_complain(const char *format, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    /* Paths and adapter messages come from outside: keep the promise of one line. */
    for (char *at = line; *at != '\0'; at++)
        if (iscntrl((unsigned char)*at))
            *at = ' ';
    fprintf(stderr, "careforall-server: %s\n", line);
}

static bool set_number(server_config *out, const flag *which, const char *text) {
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < which->minimum ||
        value > which->maximum) {
        config_complain("%s %s: give a whole number from %d to %d", which->name, text,
                        which->minimum, which->maximum);
        return false;
    }
    *(int32_t *)(void *)((char *)out + which->offset) = (int32_t)value;
    return true;
}

static bool set_flag(server_config *out, const flag *which, const char *text) {
    switch (which->kind) {
    case FLAG_NUMBER: return set_number(out, which, text);
    case FLAG_SWITCH: *(bool *)(void *)((char *)out + which->offset) = true; return true;
    case FLAG_TEXT: break;
    }
    if (*text == '\0') {
        config_complain("%s is empty: give it a value or leave it out", which->name);
        return false;
    }
    *(const char **)(void *)((char *)out + which->offset) = text;
    return true;
}

/* Flags win: only what is still unset is taken from the environment. */
static bool read_environment(server_config *out) {
    for (int i = 0; i < FLAG_COUNT; i++) {
        const char *value = flags[i].variable ? getenv(flags[i].variable) : NULL;
        if (!value || *value == '\0' ||
            (flags[i].offset == offsetof(server_config, database) && out->memory))
            continue;
        if (!*(const char **)(void *)((char *)out + flags[i].offset) &&
            !set_flag(out, &flags[i], value))
            return false;
    }
    return true;
}

/* Reads "--name value" and "--name=value" from argv[at]; counts what it used into `*used`. */
static bool read_flag(server_config *out, int argc, char **argv, int at, int *used) {
    const char *argument = argv[at];
    const char *equals = strchr(argument, '=');
    size_t length = equals ? (size_t)(equals - argument) : strlen(argument);
    for (int i = 0; i < FLAG_COUNT; i++) {
        if (strlen(flags[i].name) != length || strncmp(flags[i].name, argument, length) != 0)
            continue;
        *used = 1;
        if (flags[i].kind == FLAG_SWITCH) {
            if (equals) {
                config_complain("%s takes no value", flags[i].name);
                return false;
            }
            return set_flag(out, &flags[i], "");
        }
        if (equals)
            return set_flag(out, &flags[i], equals + 1);
        if (at + 1 >= argc) {
            config_complain("%s needs a value", flags[i].name);
            return false;
        }
        *used = 2;
        return set_flag(out, &flags[i], argv[at + 1]);
    }
    config_complain("unknown flag %.*s: see careforall-server --help", (int)length, argument);
    return false;
}

static bool split_listen(server_config *out) {
    const char *text = out->listen;
    const char *colon = strrchr(text, ':');
    const char *host = text;
    size_t host_size = colon ? (size_t)(colon - text) : 0;
    if (host_size >= 2 && host[0] == '[' && host[host_size - 1] == ']') {
        host++;
        host_size -= 2;
    } else if (host_size > 0 && memchr(host, ':', host_size)) {
        host_size = 0; /* a bare IPv6 address: where the port begins is a guess */
    }
    const char *port = colon ? colon + 1 : "";
    size_t port_size = strspn(port, "0123456789");
    if (host_size == 0 || host_size >= sizeof out->host || port_size == 0 || port_size > 5 ||
        port[port_size] != '\0' || strtol(port, NULL, 10) > 65535) {
        config_complain("--listen %s: give HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080", text);
        return false;
    }
    memcpy(out->host, host, host_size);
    memcpy(out->port, port, port_size);
    return true;
}

static bool check_provider(server_config *out) {
    if (strcmp(out->provider_name, "play") == 0)
        out->provider = PROVIDER_PLAY;
    else if (strcmp(out->provider_name, "none") == 0)
        out->provider = PROVIDER_NONE;
    else {
        config_complain("unknown provider \"%s\": use --provider play or --provider none",
                        out->provider_name);
        return false;
    }
    return true;
}

static bool read_token_file(server_config *out) {
    int descriptor = open(out->token_file, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        config_complain("cannot read the token file %s (%s): check the path and its permissions",
                        out->token_file, strerror(errno));
        if (descriptor >= 0)
            close(descriptor);
        return false;
    }
    bool sound = false;
    if (!S_ISREG(status.st_mode))
        config_complain(
            "the token file %s is not a regular file: give the path of a file that holds the token",
            out->token_file);
    else if ((status.st_mode & S_IRWXO) != 0)
        config_complain("the token file %s is open to everybody: run chmod 600 %s", out->token_file,
                        out->token_file);
    else
        sound = true;
    /* One byte more than a token may have, so that a longer one is seen and not cut. */
    ssize_t size = sound ? read(descriptor, out->token, CONFIG_TOKEN_BYTES_MAX + 1) : 0;
    if (size < 0) {
        config_complain("cannot read the token file %s (%s): check the path and its permissions",
                        out->token_file, strerror(errno));
        sound = false;
        size = 0;
    }
    close(descriptor);
    while (size > 0 && isspace((unsigned char)out->token[size - 1]))
        size--;
    out->token[size] = '\0';
    return sound;
}

static bool read_token(server_config *out) {
    const char *variable = getenv("CAREFORALL_ADMIN_TOKEN");
    if (out->token_file) {
        if (!read_token_file(out))
            return false;
    } else if (variable && *variable != '\0') {
        size_t length = strnlen(variable, CONFIG_TOKEN_BYTES_MAX + 1);
        memcpy(out->token, variable, length);
    } else {
        config_complain(
            "no service token: give --admin-token-file FILE or set CAREFORALL_ADMIN_TOKEN "
            "(make one with: openssl rand -hex 32)");
        return false;
    }
    size_t size = strlen(out->token);
    if (size < CONFIG_TOKEN_BYTES_MIN) {
        config_complain("the service token has %zu characters, it needs at least %d "
                        "(make one with: openssl rand -hex 32)",
                        size, CONFIG_TOKEN_BYTES_MIN);
        return false;
    }
    if (size > CONFIG_TOKEN_BYTES_MAX) {
        config_complain("the service token is longer than %d characters: use a shorter one",
                        CONFIG_TOKEN_BYTES_MAX);
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (!isgraph((unsigned char)out->token[i])) {
            config_complain(
                "the service token holds a space or control character: use visible ASCII alone");
            return false;
        }
    }
    return true;
}

/* Webhooks are delivered inside this process: a secret is needed only to post them from outside. */
static bool read_webhook_secret(server_config *out) {
    const char *text = getenv("CAREFORALL_WEBHOOK_SECRET");
    if (!text || *text == '\0')
        return true;
    if (strlen(text) < CONFIG_WEBHOOK_SECRET_BYTES_MIN) {
        config_complain("CAREFORALL_WEBHOOK_SECRET has %zu characters, it needs at least %d "
                        "(make one with: openssl rand -hex 32)",
                        strlen(text), CONFIG_WEBHOOK_SECRET_BYTES_MIN);
        return false;
    }
    out->webhook_secret = text;
    return true;
}

/* The mistakes of a first try that can be seen without opening the database. */
static bool check_database(const server_config *config) {
    if (config->memory && config->database) {
        config_complain("--memory and --database exclude each other: give one");
        return false;
    }
    if (config->memory)
        return true;
    if (!config->database) {
        config_complain("no database: give --database PATH, or --memory to try things out");
        return false;
    }
    char directory[4096];
    const char *slash = strrchr(config->database, '/');
    size_t size = !slash ? 0 : slash == config->database ? 1 : (size_t)(slash - config->database);
    if (size >= sizeof directory) {
        config_complain("--database: the path is too long");
        return false;
    }
    memcpy(directory, slash ? config->database : ".", slash ? size : 1);
    directory[slash ? size : 1] = '\0';
    struct stat status;
    if (stat(directory, &status) != 0) {
        config_complain(
            "the database's directory %s cannot be used (%s): create it with mkdir -p %s",
            directory, strerror(errno), directory);
        return false;
    }
    if (!S_ISDIR(status.st_mode)) {
        config_complain("%s is a file, not a directory: give --database a path inside a directory",
                        directory);
        return false;
    }
    if (access(directory, W_OK | X_OK) != 0) {
        config_complain(
            "the database's directory %s is read-only for this user: make it writable or move "
            "the database",
            directory);
        return false;
    }
    if (stat(config->database, &status) == 0 && S_ISDIR(status.st_mode)) {
        config_complain("%s is a directory: give --database the path of a file", config->database);
        return false;
    }
    return true;
}

static config_result read_command(server_config *out, const char *word) {
    if (!word) {
        config_complain("no subcommand: try careforall-server serve, or --help");
        return CONFIG_WRONG;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "help") == 0) {
        fputs(usage, stdout);
        return CONFIG_DONE;
    }
    if (strcmp(word, "--version") == 0) {
        printf("careforall-server %s\n", cfa_version());
        return CONFIG_DONE;
    }
    if (strcmp(word, "serve") == 0)
        out->command = COMMAND_SERVE;
    else if (strcmp(word, "migrate") == 0)
        out->command = COMMAND_MIGRATE;
    else {
        config_complain("unknown subcommand %s: use serve or migrate, or see --help", word);
        return CONFIG_WRONG;
    }
    return CONFIG_RUN;
}

config_result config_read(server_config *out, int argc, char **argv) {
    memset(out, 0, sizeof *out);
    out->connection_limit = 1000;
    out->request_limit = 512;
    out->drain_ms = 10000;
    config_result result = read_command(out, argc > 1 ? argv[1] : NULL);
    if (result != CONFIG_RUN)
        return result;
    for (int at = 2, used = 0; at < argc; at += used) {
        if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "--version") == 0)
            return read_command(out, argv[at]);
        if (!read_flag(out, argc, argv, at, &used))
            return CONFIG_WRONG;
    }
    if (!read_environment(out))
        return CONFIG_WRONG;
    out->listen = out->listen ? out->listen : "127.0.0.1:8080";
    out->provider_name = out->provider_name ? out->provider_name : "play";
    if (!check_database(out))
        return CONFIG_WRONG;
    if (out->command == COMMAND_MIGRATE) {
        if (out->memory) {
            config_complain(
                "migrate needs --database PATH: a book in memory has nothing to migrate");
            return CONFIG_WRONG;
        }
        return CONFIG_RUN;
    }
    if (!split_listen(out) || !check_provider(out) || !read_token(out) || !read_webhook_secret(out))
        return CONFIG_WRONG;
    return CONFIG_RUN;
}
