/*
 * settings_file.c - the file of --config: one `key = value` per line. Strict: whatever is not
 * understood is refused with file, line, key and fix.
 */
#include "settings.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 64 * 1024 };

/* Values point into it, for the life of the process. */
static char whole[FILE_BYTES_MAX + 2];

static bool read_whole(const char *path) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        config_complain("--config %s: %s; give the path of a readable file", path, strerror(errno));
        if (descriptor >= 0)
            close(descriptor);
        return false;
    }
    bool regular = S_ISREG(status.st_mode);
    ssize_t size = regular ? read(descriptor, whole, FILE_BYTES_MAX + 1) : 0;
    int error = errno;
    close(descriptor);
    if (!regular)
        config_complain("--config %s is not a regular file: give the path of a file", path);
    else if (size < 0)
        config_complain("--config %s: %s; give the path of a readable file", path, strerror(error));
    else if (size > FILE_BYTES_MAX)
        config_complain("--config %s is larger than %d bytes: is it the right file?", path,
                        FILE_BYTES_MAX);
    else if (memchr(whole, '\0', (size_t)size))
        config_complain("--config %s holds a NUL byte: give a text file", path);
    else {
        whole[size] = '\0';
        return true;
    }
    return false;
}

static char *trim(char *text) {
    text += strspn(text, " \t\r");
    size_t size = strlen(text);
    while (size > 0 && strchr(" \t\r", text[size - 1]))
        text[--size] = '\0';
    return text;
}

/* A comment is a line that begins with #, or what follows a space and # behind a value. */
static void cut_comment(char *line) {
    for (char *at = line; *at != '\0'; at++) {
        if (*at == '#' && (at == line || at[-1] == ' ' || at[-1] == '\t')) {
            *at = '\0';
            return;
        }
    }
}

/* The names that hold secrets in the environment. */
static bool is_secret(const char *key) {
    static const char *const names[] = { "admin_token", "webhook_secret", "stripe_key",
                                         "pledge_token_key" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(key, names[i]) == 0)
            return true;
    return false;
}

static bool refuse_key(const char *path, int line, const char *key) {
    const char *nearest = setting_nearest(key, strlen(key));
    if (is_secret(key))
        config_complain("%s:%d: %s: a secret does not belong here; put it into a file of its own "
                        "(mode 600) and give %s_file",
                        path, line, key, key);
    else if (nearest)
        config_complain("%s:%d: unknown key %s: did you mean %s? (docs/server.md lists all)", path,
                        line, key, nearest);
    else
        config_complain("%s:%d: unknown key %s: docs/server.md lists all", path, line, key);
    return false;
}

static bool read_line(server_config *config, const char *path, int number, char *line,
                      int seen[CONFIG_SETTINGS_MAX]) {
    cut_comment(line);
    line = trim(line);
    if (*line == '\0')
        return true;
    char *equals = strchr(line, '=');
    if (!equals || equals == line) {
        config_complain("%s:%d: this line is no `key = value`%s", path, number,
                        *line == '[' ? ": sections are not needed, remove it" : "");
        return false;
    }
    *equals = '\0';
    char *key = trim(line), *value = trim(equals + 1);
    const setting *which = setting_find(key, strlen(key));
    if (!which)
        return refuse_key(path, number, key);
    if (which->flag_only || strcmp(which->key, "config") == 0) {
        config_complain("%s:%d: %s is no setting of a file: remove the line", path, number, key);
        return false;
    }
    size_t index = (size_t)(which - setting_at(0));
    if (seen[index] != 0) {
        config_complain("%s:%d: %s is given twice, first in line %d: remove one", path, number, key,
                        seen[index]);
        return false;
    }
    seen[index] = number;
    size_t size = strlen(value);
    if (size >= 2 && (value[0] == '"' || value[0] == '\'') && value[size - 1] == value[0]) {
        config_complain("%s:%d: %s: values take no quotes, remove them", path, number, key);
        return false;
    }
    char rule[SETTING_MESSAGE_SIZE];
    if (setting_store(config, which, ORIGIN_FILE, value, rule))
        return true;
    config_complain("%s:%d: %s%s%s: %s", path, number, key, *value != '\0' ? " = " : "", value,
                    rule);
    return false;
}

bool settings_file_read(server_config *config, const char *path) {
    if (!read_whole(path))
        return false;
    int seen[CONFIG_SETTINGS_MAX] = { 0 };
    int number = 0;
    for (char *line = whole; line; number++) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        if (!read_line(config, path, number + 1, line, seen))
            return false;
        line = end ? end + 1 : NULL;
    }
    return true;
}
