/* command_secret.c - making and checking files of secrets. Prints no secret. */
#include "command.h"
#include "secrets.h"

#include <jansson.h>

#include <stdlib.h>
#include <string.h>

/* The words are KIND FILE; -1 after the one line was printed. */
static int read_kind(const server_config *config) {
    int kind = secret_kind_find(config->words[0]);
    if (kind < 0)
        config_complain("unknown kind of secret %s: use %s, %s, %s or %s", config->words[0],
                        secret_kind_name(SECRET_ADMIN_TOKEN), secret_kind_name(SECRET_WEBHOOK),
                        secret_kind_name(SECRET_STRIPE_KEY),
                        secret_kind_name(SECRET_PLEDGE_TOKEN_KEY));
    return kind;
}

static int answer(const server_config *config, const char *what, int count) {
    if (config->json) {
        json_t *out = json_pack("{s:s, s:s, s:i}", "file", config->words[1], "kind",
                                config->words[0], "secrets", count);
        json_dumpf(out, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(out);
    } else
        puts(what);
    return EXIT_SUCCESS;
}

int command_secret_new(const server_config *config) {
    int kind = read_kind(config);
    char why[SECRET_MESSAGE_SIZE], what[4096];
    bool exists = false;
    if (kind < 0)
        return EXIT_CONFIG;
    if (!secret_file_new((secret_kind)kind, config->words[1], &exists, why)) {
        config_complain("%s", why);
        return EXIT_FAILED;
    }
    snprintf(what, sizeof what, "made %s, readable by you alone", config->words[1]);
    return answer(config, what, 1);
}

int command_secret_check(const server_config *config) {
    static secret_list list;
    int kind = read_kind(config);
    char why[SECRET_MESSAGE_SIZE], what[4096];
    if (kind < 0)
        return EXIT_CONFIG;
    if (!secret_file_read(&list, (secret_kind)kind, config->words[1], why)) {
        config_complain("%s", why);
        return EXIT_FAILED;
    }
    int count = list.count;
    memset(&list, 0, sizeof list);
    snprintf(what, sizeof what, "%s is good: %d %s%s", config->words[1], count,
             secret_kind_name((secret_kind)kind), count == 1 ? "" : "s");
    return answer(config, what, count);
}
