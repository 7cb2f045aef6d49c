/*
 * config.c - the command, and its settings from file, environment and flags, in that order; then
 * the checks that need more than one value. Opens nothing but the file of --config.
 */
#include "config.h"
#include "command.h"
#include "secrets.h"
#include "settings.h"

#include <careforall/base.h>

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* ---- flags ---------------------------------------------------------------------------------- */

/* A secret on the command line is seen by everybody who may list processes. */
static bool refuse_flag(const server_config *config, const char *name, size_t size) {
    char key[SETTING_SPELLING_SIZE] = "", file_key[SETTING_SPELLING_SIZE + 8];
    if (size < sizeof key) {
        for (size_t i = 0; i < size; i++)
            key[i] = name[i] == '-' ? '_' : name[i];
        snprintf(file_key, sizeof file_key, "%s_file", key);
        if (setting_find(file_key, strlen(file_key))) {
            config_complain("--%.*s: a secret does not belong on the command line; put it into a "
                            "file (mode 600) and give --%.*s-file",
                            (int)size, name, (int)size, name);
            return false;
        }
    }
    const setting *known = setting_find(key, strlen(key));
    bool taken = known && (known->commands & config->command);
    const char *nearest = taken ? known->key : known ? NULL : setting_nearest(key, strlen(key));
    char spelling[SETTING_SPELLING_SIZE] = "";
    if (nearest)
        setting_spell(spelling, setting_find(nearest, strlen(nearest)), ORIGIN_FLAG);
    config_complain("%s flag --%.*s%s%s%s: see careforall-server %s --help",
                    known && !taken ? "this command takes no" : "unknown", (int)size, name,
                    nearest ? ", did you mean " : "", spelling, nearest ? "?" : "",
                    command_of(config->command)->name);
    return false;
}

/* Read "--name value", "--name=value" or a switch from argv[at]; counts what it used. */
static bool read_flag(server_config *config, char **argv, int at, int *used) {
    const char *name = argv[at] + 2;
    const char *equals = strchr(name, '=');
    size_t size = equals ? (size_t)(equals - name) : strlen(name);
    char key[SETTING_SPELLING_SIZE] = "";
    for (size_t i = 0; i < size && i + 1 < sizeof key; i++)
        key[i] = name[i] == '-' ? '_' : name[i] == '_' ? '-' : name[i];
    const setting *which = setting_find(key, strlen(key));
    if (!which || !(which->commands & config->command))
        return refuse_flag(config, name, size);
    if (setting_origin(config, which) == ORIGIN_FLAG) {
        config_complain("--%.*s is given twice: remove one", (int)size, name);
        return false;
    }
    const char *value = equals ? equals + 1 : "yes";
    *used = 1;
    if (!equals && which->kind != SETTING_SWITCH) {
        value = argv[at + 1];
        *used = 2;
        if (!value) {
            config_complain("--%.*s needs a value", (int)size, name);
            return false;
        }
    }
    char rule[SETTING_MESSAGE_SIZE];
    if (setting_store(config, which, ORIGIN_FLAG, value, rule))
        return true;
    config_complain("--%.*s%s%s: %s", (int)size, name, *value != '\0' ? " " : "", value, rule);
    return false;
}

static bool read_word(server_config *config, const char *word) {
    const command *wanted = command_of(config->command);
    for (int i = 0; i < wanted->words_max; i++) {
        if (!config->words[i]) {
            config->words[i] = word;
            return true;
        }
    }
    config_complain("%s is one word too many: see careforall-server %s --help", word, wanted->name);
    return false;
}

static config_result read_flags(server_config *config, int argc, char **argv, int at) {
    for (int used = 1; at < argc; at += used, used = 1) {
        if (strcmp(argv[at], "--help") == 0) {
            command_help(stdout, config->command);
            return CONFIG_DONE;
        }
        bool good = strncmp(argv[at], "--", 2) == 0 ? read_flag(config, argv, at, &used)
                                                    : read_word(config, argv[at]);
        if (!good)
            return CONFIG_WRONG;
    }
    const command *wanted = command_of(config->command);
    if (wanted->words_min > 0 && !config->words[wanted->words_min - 1]) {
        config_complain("say which: careforall-server %s %s", wanted->name, wanted->words);
        return CONFIG_WRONG;
    }
    return CONFIG_RUN;
}

/* ---- environment and file ------------------------------------------------------------------- */

static bool read_environment(server_config *config) {
    for (size_t i = 0; i < setting_count(); i++) {
        const setting *which = setting_at(i);
        char name[SETTING_SPELLING_SIZE], rule[SETTING_MESSAGE_SIZE];
        setting_spell(name, which, ORIGIN_ENVIRONMENT);
        bool taken = !which->flag_only && (which->commands & config->command);
        const char *value = taken ? getenv(name) : NULL;
        if (!value || *value == '\0')
            continue;
        if (!setting_store(config, which, ORIGIN_ENVIRONMENT, value, rule)) {
            config_complain("%s=%s: %s", name, value, rule);
            return false;
        }
    }
    return true;
}

static void set_defaults(server_config *config) {
    for (size_t i = 0; i < setting_count(); i++) {
        const setting *which = setting_at(i);
        char rule[SETTING_MESSAGE_SIZE];
        if (which->standard)
            (void)setting_store(config, which, ORIGIN_DEFAULT, which->standard, rule);
    }
}

/* Which file to read stands in what is read after it. */
static const char *find_file(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--config=", 9) == 0)
            return argv[i] + 9;
        if (strcmp(argv[i], "--config") == 0)
            return i + 1 < argc ? argv[i + 1] : NULL;
    }
    const char *path = getenv("CAREFORALL_CONFIG");
    return path && *path != '\0' ? path : NULL;
}

/* ---- checks --------------------------------------------------------------------------------- */

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

/* Both may be set at different places; then the nearer one counts. */
static bool choose_book(server_config *config) {
    if (!config->memory || !config->database)
        return true;
    config_origin memory = setting_origin(config, setting_find("memory", 6));
    config_origin database = setting_origin(config, setting_find("database", 8));
    if (memory == database) {
        config_complain("--memory and --database exclude each other: give one");
        return false;
    }
    if (memory > database)
        config->database = NULL;
    else
        config->memory = false;
    return true;
}

/* The directory that a file is in, or is to be made in. */
static bool check_directory(const char *spelling, const char *path) {
    char directory[4096];
    const char *slash = strrchr(path, '/');
    size_t size = !slash ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (size >= sizeof directory) {
        config_complain("%s: the path is too long", spelling);
        return false;
    }
    memcpy(directory, slash ? path : ".", slash ? size : 1);
    directory[slash ? size : 1] = '\0';
    struct stat status;
    if (stat(directory, &status) != 0)
        config_complain("%s: the directory %s cannot be used (%s): create it with mkdir -p %s",
                        spelling, directory, strerror(errno), directory);
    else if (!S_ISDIR(status.st_mode))
        config_complain("%s: %s is a file, not a directory: give a path inside a directory",
                        spelling, directory);
    else if (access(directory, W_OK | X_OK) != 0)
        config_complain("%s: the directory %s is read-only for this user: make it writable or "
                        "give another path",
                        spelling, directory);
    else if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        config_complain("%s: %s is a directory: give the path of a file", spelling, path);
    else
        return true;
    return false;
}

static bool check_book(server_config *config) {
    bool serves = config->command == COMMAND_SERVE;
    if (serves && !choose_book(config))
        return false;
    if (serves && config->memory)
        return true;
    if (!config->database) {
        config_complain("no database: give --database PATH%s",
                        serves ? ", or --memory to try things out" : "");
        return false;
    }
    return check_directory("--database", config->database);
}

static bool check_url(const char *spelling, const char *url) {
    return_url_parts parts;
    const char *wrong = url ? return_url_read(&parts, url, strlen(url)) : NULL;
    if (wrong)
        config_complain("%s %s: %s", spelling, url, wrong);
    else if (url && strlen(url) > CFA_URL_BYTES_MAX)
        config_complain("%s: a URL has at most %d characters", spelling, CFA_URL_BYTES_MAX);
    else
        return true;
    return false;
}

static bool check_return_urls(server_config *config) {
    for (const char *at = config->return_urls_text; at && *at != '\0';) {
        size_t size = strcspn(at, " \t");
        const char *wrong = size > 0 ? return_url_add(&config->return_urls, at, size) : NULL;
        if (wrong) {
            config_complain("--return-urls %.*s: %s; give addresses such as "
                            "https://example.org/thanks, separated by spaces",
                            (int)size, at, wrong);
            return false;
        }
        at += size + strspn(at + size, " \t");
    }
    return check_url("--return-url", config->return_url) &&
           check_url("--cancel-url", config->cancel_url);
}

static bool check_proxies(server_config *config) {
    for (const char *at = config->trusted_proxies_text; at && *at != '\0';) {
        size_t size = strcspn(at, " \t");
        const char *wrong = size > 0 ? caller_blocks_add(&config->trusted_proxies, at, size) : NULL;
        if (wrong) {
            config_complain("--trusted-proxies %.*s: %s; give addresses or blocks such as "
                            "127.0.0.1 or 10.0.0.0/8, separated by spaces",
                            (int)size, at, wrong);
            return false;
        }
        at += size + strspn(at + size, " \t");
    }
    return true;
}

static bool check_account(const char *account) {
    size_t size = account ? strlen(account) : 0;
    bool good = !account || (size > 5 && size <= 60 && strncmp(account, "acct_", 5) == 0);
    for (size_t i = 5; i < size && good; i++)
        good = isalnum((unsigned char)account[i]);
    if (!good)
        config_complain("--stripe-account %s: give an account's id, such as acct_1A2b3C", account);
    return good;
}

static bool check_stripe(const server_config *config) {
    if (config->provider != PROVIDER_STRIPE)
        return true;
    if (!check_account(config->stripe_account))
        return false;
    return_url_parts base;
    const char *wrong =
        return_url_read(&base, config->stripe_base_url, strlen(config->stripe_base_url));
    if (!wrong && base.path_size > 1)
        wrong = "it has a path";
    if (!wrong && !base.secure && !return_url_is_local(&base))
        wrong = "without TLS it must be on this machine";
    if (wrong) {
        config_complain("--stripe-base-url %s: %s; give https://HOST, or http://127.0.0.1:PORT for "
                        "a sandbox",
                        config->stripe_base_url, wrong);
        return false;
    }
    if (config->stripe_mode == STRIPE_CHECKOUT && !config->return_url &&
        config->return_urls.count == 0) {
        config_complain("a hosted page must know where donors go afterwards: give --return-url URL "
                        "or --return-urls URL..., or --stripe-mode intent");
        return false;
    }
    return true;
}

static bool check_all(server_config *config) {
    if ((config->command & COMMANDS_BOOK) && !check_book(config))
        return false;
    if (config->command != COMMAND_SERVE)
        return true;
    return split_listen(config) && check_proxies(config) && check_return_urls(config) &&
           check_stripe(config) &&
           (!config->events || access(config->events, W_OK) == 0 ||
            check_directory("--events", config->events));
}

config_result config_read(server_config *out, int argc, char **argv) {
    memset(out, 0, sizeof *out);
    int used = 1;
    config_result result = command_find(&out->command, argc, argv, &used);
    if (result != CONFIG_RUN)
        return result;
    set_defaults(out);
    const char *file = find_file(argc, argv);
    bool early = file && (out->command & COMMANDS_BOOK);
    for (int i = used; i < argc && early; i++)
        early = strcmp(argv[i], "--help") != 0;
    if ((early && !settings_file_read(out, file)) || !read_environment(out))
        return CONFIG_WRONG;
    result = read_flags(out, argc, argv, used);
    if (result != CONFIG_RUN)
        return result;
    return check_all(out) ? CONFIG_RUN : CONFIG_WRONG;
}

void config_print(const server_config *config) {
    static const char *const origins[] = { "default", "file", "environment", "flag" };
    for (size_t i = 0; i < setting_count(); i++) {
        const setting *which = setting_at(i);
        if (!(which->commands & config->command) || which->flag_only ||
            strcmp(which->key, "config") == 0)
            continue;
        char buffer[16];
        const char *value = setting_text(config, which, buffer);
        if (value)
            printf("%s = %s  # %s\n", which->key, value, origins[setting_origin(config, which)]);
        else
            printf("# %s is not set\n", which->key);
    }
    for (int i = 0; i < SECRET_KINDS; i++) {
        const char *variable = NULL;
        if (secret_in_environment((secret_kind)i, &variable))
            printf("# %s is set; its value is not shown\n", variable);
    }
}
