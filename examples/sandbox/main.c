/*
 * main.c - flags, start and end of careforall-sandbox. Says in one line what is wrong with a start.
 */
#include "api.h"
#include "clock.h"
#include "http.h"
#include "money.h"
#include "webhooks.h"

#include <curl/curl.h>
#include <getopt.h>
#include <netdb.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <netinet/in.h>

enum { ASYNC_MS = 500, ASYNC_MS_MAX = 3600 * 1000, FAULT_FLAGS_MAX = 32, SECRET_BYTES = 256 };

static const char usage[] =
    "careforall-sandbox - a Stripe-compatible payment provider for tests, on loopback\n"
    "\n"
    "  --listen HOST:PORT      default 127.0.0.1:12111; port 0: any\n"
    "  --books FILE            SQLite file that survives kill -9; default :memory:\n"
    "  --secret-key KEY        default sk_test_careforall, or CAREFORALL_SANDBOX_SECRET_KEY\n"
    "  --secret-key-file FILE\n"
    "  --api-version VERSION   what events carry; default " API_VERSION "\n"
    "  --public-url URL        what links to the hosted pages begin with\n"
    "  --webhook URL           an endpoint for every event of every account\n"
    "  --webhook-secret SECRET whsec_..., or CAREFORALL_SANDBOX_WEBHOOK_SECRET\n"
    "  --webhook-payload KIND  snapshot (default) or thin\n"
    "  --settle-in CURRENCY    of the balance, at 1.1 for one of any other; default: none is "
    "changed\n"
    "  --async-ms N            what happens \"later\" happens after this; default 500\n"
    "  --fault NAME=RATE       2%, 500ppm; delay_ms=N; outage=on; may be repeated\n"
    "  --seed N                repeatable ids and faults\n"
    "  --allow-remote          listen on other addresses than loopback\n"
    "  --quiet                 print only the address\n"
    "  --help\n";

static int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("careforall-sandbox: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return 2;
}

/* ---- flags ---------------------------------------------------------------------------------- */

typedef struct start {
    sandbox_options options;
    const char *faults[FAULT_FLAGS_MAX];
    int fault_count;
    char host[256], secret[SECRET_BYTES];
} start;

static bool read_listen(start *s, const char *text) {
    const char *colon = strrchr(text, ':');
    int64_t port = 0;
    if (!colon || !text_integer(colon + 1, &port) || port < 0 || port > 65535 || colon == text)
        return false;
    size_t size = (size_t)(colon - text);
    bool brackets = text[0] == '[' && text[size - 1] == ']';
    format_text(s->host, sizeof s->host, "%.*s", (int)(size - (brackets ? 2 : 0)),
                text + (brackets ? 1 : 0));
    s->options.host = s->host;
    s->options.port = (int)port;
    return true;
}

static bool read_secret_file(start *s, const char *path) {
    FILE *file = fopen(path, "r");
    bool good = file && fgets(s->secret, sizeof s->secret, file);
    if (file)
        fclose(file);
    s->secret[strcspn(s->secret, "\r\n")] = 0;
    s->options.secret_key = s->secret;
    return good;
}

static bool is_loopback(const char *host) {
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return true; /* listening says what is wrong with it */
    bool loopback = true;
    for (const struct addrinfo *at = found; at; at = at->ai_next) {
        const void *address = at->ai_addr;
        if (at->ai_family == AF_INET)
            loopback &= ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
        else if (at->ai_family == AF_INET6)
            loopback &= IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
    }
    freeaddrinfo(found);
    return loopback;
}

enum {
    LISTEN = 256,
    BOOKS,
    KEY,
    KEY_FILE,
    API,
    PUBLIC_URL,
    WEBHOOK,
    WEBHOOK_SECRET,
    PAYLOAD,
    SETTLE,
    ASYNC,
    FAULT,
    SEED,
    REMOTE,
    QUIET,
    HELP
};

static int read_flag(start *s, int flag, const char *text) {
    sandbox_options *o = &s->options;
    int64_t number = 0;
    switch (flag) {
    case LISTEN:
        return read_listen(s, text)
                   ? 0
                   : fail("--listen %s: %s", text, "give HOST:PORT, such as 127.0.0.1:12111");
    case BOOKS: o->books = text; return 0;
    case KEY: o->secret_key = text; return 0;
    case KEY_FILE:
        return read_secret_file(s, text) ? 0
                                         : fail("--secret-key-file %s: %s", text, "not readable");
    case API: o->api_version = text; return 0;
    case PUBLIC_URL: o->public_url = text; return 0;
    case WEBHOOK: o->webhook_url = text; return 0;
    case WEBHOOK_SECRET: o->webhook_secret = text; return 0;
    case PAYLOAD:
        o->webhook_thin = strcmp(text, "thin") == 0;
        return o->webhook_thin || strcmp(text, "snapshot") == 0
                   ? 0
                   : fail("--webhook-payload %s: %s", text, "give snapshot or thin");
    case SETTLE:
        o->settle_in = text;
        return money_known(text) ? 0
                                 : fail("--settle-in %s: %s", text, "give a currency, such as usd");
    case ASYNC:
        if (!text_integer(text, &number) || number < 0 || number > ASYNC_MS_MAX)
            return fail("--async-ms %s: %s", text, "give milliseconds, at most an hour");
        o->async_ms = (int)number;
        return 0;
    case FAULT:
        if (s->fault_count == FAULT_FLAGS_MAX)
            return fail("--fault %s: %s", text, "too many of them");
        s->faults[s->fault_count++] = text;
        return 0;
    case SEED:
        if (!text_integer(text, &number))
            return fail("--seed %s: %s", text, "give a number");
        o->seed = (uint64_t)number;
        o->seeded = true;
        return 0;
    case REMOTE: o->allow_remote = true; return 0;
    case QUIET: o->quiet = true; return 0;
    case HELP: fputs(usage, stdout); return -1;
    default: return fail("an unknown flag, or one without its value; see --help");
    }
}

static int read_flags(start *s, int argc, char **argv) {
    static const struct option flags[] = { { "listen", required_argument, NULL, LISTEN },
                                           { "books", required_argument, NULL, BOOKS },
                                           { "secret-key", required_argument, NULL, KEY },
                                           { "secret-key-file", required_argument, NULL, KEY_FILE },
                                           { "api-version", required_argument, NULL, API },
                                           { "public-url", required_argument, NULL, PUBLIC_URL },
                                           { "webhook", required_argument, NULL, WEBHOOK },
                                           { "webhook-secret", required_argument, NULL,
                                             WEBHOOK_SECRET },
                                           { "webhook-payload", required_argument, NULL, PAYLOAD },
                                           { "settle-in", required_argument, NULL, SETTLE },
                                           { "async-ms", required_argument, NULL, ASYNC },
                                           { "fault", required_argument, NULL, FAULT },
                                           { "seed", required_argument, NULL, SEED },
                                           { "allow-remote", no_argument, NULL, REMOTE },
                                           { "quiet", no_argument, NULL, QUIET },
                                           { "help", no_argument, NULL, HELP },
                                           { NULL, 0, NULL, 0 } };
    int flag, status = 0;
    s->options = (sandbox_options){ .books = ":memory:",
                                    .api_version = API_VERSION,
                                    .async_ms = ASYNC_MS,
                                    .secret_key = getenv("CAREFORALL_SANDBOX_SECRET_KEY"),
                                    .webhook_secret = getenv("CAREFORALL_SANDBOX_WEBHOOK_SECRET") };
    read_listen(s, "127.0.0.1:12111");
    opterr = 0;
    while (!status && (flag = getopt_long(argc, argv, "", flags, NULL)) != -1)
        status = read_flag(s, flag, optarg);
    if (status)
        return status;
    if (optind < argc)
        return fail("%s: %s", argv[optind], "only flags are taken; see --help");
    if (!s->options.secret_key)
        s->options.secret_key = "sk_test_careforall";
    if (!text_starts(s->options.secret_key, "sk_test_"))
        return fail("%s%s",
                    "the secret key must begin with sk_test_: this is no place for a live one", "");
    const char *url = s->options.webhook_url;
    if (url && !text_starts(url, "http://") && !text_starts(url, "https://"))
        return fail("--webhook %s: give an http or https address", url);
    if (url && !s->options.webhook_secret)
        return fail("--webhook needs --webhook-secret whsec_...");
    if (!s->options.allow_remote && !is_loopback(s->options.host))
        return fail("--listen %s: %s", s->options.host,
                    "not a loopback address, and the panel has no password; see --allow-remote");
    return 0;
}

/* ---- start and end -------------------------------------------------------------------------- */

static void prepare_books(sandbox *box) {
    store *s = box->store;
    uint64_t seed = box->options.seed;
    store_begin(s);
    int64_t starts = store_meta(s, "starts", 0) + 1;
    store_meta_set(s, "starts", starts);
    box->clock_offset_us = store_meta(s, "clock_offset_us", 0);
    if (starts == 1) {
        int64_t secret[2];
        randombytes_buf(secret, sizeof secret);
        store_meta_set(s, "hash_0", secret[0]);
        store_meta_set(s, "hash_1", secret[1]);
    }
    store_commit(s);
    if (!box->options.seeded)
        randombytes_buf(&seed, sizeof seed);
    /* A restart on the same books must not make the same ids again. */
    box->random_state = seed ^ ((uint64_t)starts * 0xd1342543de82ef95u);
}

static void on_signal(uv_signal_t *handle, int number) {
    (void)number;
    uv_stop(handle->loop);
}

static int run(sandbox *box) {
    char reason[256];
    int port = 0;
    box->http = http_start(box, &port, reason, sizeof reason);
    if (!box->http)
        return fail("cannot listen on %s: %s", box->options.host, reason);
    bool six = strchr(box->options.host, ':') != NULL;
    char address[300];
    format_text(address, sizeof address, "http://%s%s%s:%d", six ? "[" : "", box->options.host,
                six ? "]" : "", port);
    format_text(box->base_url, sizeof box->base_url, "%s",
                box->options.public_url ? box->options.public_url : address);
    jobs_start(box);
    box->sender = sender_start(box);
    if (!box->options.quiet)
        printf("books %s, key %s\n", box->options.books,
               strcmp(box->options.secret_key, "sk_test_careforall") == 0 ? "sk_test_careforall"
                                                                          : "as given");
    uv_signal_t signals[2];
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&box->loop, &signals[i]);
        uv_signal_start(&signals[i], on_signal, i ? SIGINT : SIGTERM);
    }
    printf("listening on %s\n", address); /* and whoever reads it may end us in peace */
    fflush(stdout);
    uv_run(&box->loop, UV_RUN_DEFAULT);
    for (int i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&signals[i], NULL);
    jobs_stop(box);
    http_stop(box->http);
    sender_stop(box);
    return 0;
}

/* Every connection of a load test is a file. */
static void raise_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv) {
    static sandbox box;
    static start s;
    char reason[256];
    int status = read_flags(&s, argc, argv);
    if (status)
        return status < 0 ? 0 : status;
    raise_limit();
    signal(SIGPIPE, SIG_IGN);
    box.options = s.options;
    if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0 ||
        uv_loop_init(&box.loop) != 0)
        return fail("a library did not start");
    box.store = store_open(box.options.books, reason, sizeof reason);
    if (!box.store)
        return fail("--books %s: %s", box.options.books, reason);
    prepare_books(&box);
    box.faults = faults_new(&box);
    for (int i = 0; i < s.fault_count && !status; i++)
        if (!faults_flag(box.faults, s.faults[i]))
            status = fail("--fault %s: %s", s.faults[i],
                          "give NAME=RATE, such as reply_lost=2%; docs/sandbox.md lists the names");
    if (!status) {
        endpoints_start(&box);
        status = run(&box);
        endpoints_stop(&box);
    }
    faults_free(box.faults);
    store_close(box.store);
    uv_loop_close(&box.loop);
    curl_global_cleanup();
    return status;
}
