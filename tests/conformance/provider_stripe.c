/*
 * provider_stripe.c - the Stripe adapter's conformance, over real HTTP to careforall-sandbox, whose
 * books are the truth and whose webhooks are received here; then every claim that it makes about
 * calls while the sandbox suffers its faults.
 *
 * The sandbox is found beside the tests, or by CAREFORALL_SANDBOX; without one there is nothing to
 * conform to, and the program says so (exit code 77).
 */
#define _GNU_SOURCE
#include <careforall/adapters/stripe.h>
#include <careforall/testkit/conformance.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECRET_KEY "sk_test_conformance"
#define PUBLISHABLE_KEY "pk_test_conformance"
#define WEBHOOK_SECRET "whsec_conformance"
#define MESSAGE_SIZE 65536
#define WAIT_MS 120000 /* only what is broken waits so long */
#define CALL_MS 10000

static const char *program;
static cfa_stripe *stripe;
static pid_t sandbox = -1;
static int sandbox_port, listener = -1;

/* ---- HTTP, as little as is needed ------------------------------------------------------------ */

static cfa_status failed(const char *what) {
    return cfa_error_set(CFA_EIO, "conformance", NULL, 0, what);
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* Read a whole message of `size` bytes at most; NUL-terminated. */
static bool read_message(int fd, char *out, size_t size) {
    size_t got = 0;
    while (got + 1 < size) {
        struct pollfd ready = { fd, POLLIN, 0 };
        if (poll(&ready, 1, WAIT_MS) != 1) {
            return false;
        }
        ssize_t count = read(fd, out + got, size - 1 - got);
        if (count < 0) {
            return false;
        }
        got += (size_t)count;
        out[got] = '\0';
        const char *end = strstr(out, "\r\n\r\n");
        const char *length = strcasestr(out, "\r\ncontent-length:");
        if (end != NULL && length != NULL && length < end &&
            got >= (size_t)(end + 4 - out) + strtoul(length + 17, NULL, 10)) {
            return true;
        }
        if (count == 0) {
            return end != NULL;
        }
    }
    return false;
}

/* Ask the sandbox; the answer's status, 0 for none. */
static int ask(char answer[MESSAGE_SIZE], const char *method, const char *path, const char *key,
               const char *body) {
    char request[2048];
    struct sockaddr_in address = loopback(sandbox_port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int size = snprintf(request, sizeof request,
                        "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                        "Authorization: Bearer %s\r\n"
                        "Content-Type: application/x-www-form-urlencoded\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        method, path, key, strlen(body), body);
    bool good = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                write(fd, request, (size_t)size) == size && read_message(fd, answer, MESSAGE_SIZE);
    if (fd >= 0) {
        close(fd);
    }
    return good ? (int)strtol(answer + 9, NULL, 10) : 0;
}

static int64_t number_in(const char *json, const char *name) {
    char member[64];
    snprintf(member, sizeof member, "\"%s\":", name);
    const char *at = strstr(json, member);
    return at != NULL ? strtoll(at + strlen(member), NULL, 10) : -1;
}

/* ---- the sandbox ----------------------------------------------------------------------------- */

static void stop_sandbox(void) {
    if (sandbox > 0) {
        kill(sandbox, SIGTERM);
        (void)waitpid(sandbox, NULL, 0);
        sandbox = -1;
    }
    if (listener >= 0) {
        close(listener);
        listener = -1;
    }
}

static int open_listener(void) {
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
        listen(listener, 64) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        return 0;
    }
    return ntohs(address.sin_port);
}

static bool with_faults;
static int32_t mode = CFA_STRIPE_INTENT;

static void run_sandbox(int out, int webhook_port) {
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", webhook_port);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(out, STDOUT_FILENO);
    const char *arguments[48] = { program,        "--listen", "127.0.0.1:0",      "--quiet",
                                  "--webhook",    url,        "--webhook-secret", WEBHOOK_SECRET,
                                  "--secret-key", SECRET_KEY, "--seed",           "7" };
    static const char *const faults[] = { "reset_before=6%", "reset_after=6%",  "reset_middle=6%",
                                          "reply_lost=6%",   "error_before=6%", "error_after=6%",
                                          "rate_limited=6%", "unavailable=6%" };
    size_t count = 12;
    for (size_t i = 0; with_faults && i < sizeof faults / sizeof faults[0]; i++) {
        arguments[count++] = "--fault";
        arguments[count++] = faults[i];
    }
    execv(program, (char **)(uintptr_t)arguments);
    _exit(127);
}

/* Its first line ends in its port. */
static cfa_status start_sandbox(void) {
    int out[2];
    int webhook_port = open_listener();
    if (webhook_port == 0 || pipe2(out, O_CLOEXEC) != 0) {
        return failed("no socket or pipe for the sandbox");
    }
    sandbox = fork();
    if (sandbox == 0) {
        run_sandbox(out[1], webhook_port);
    }
    close(out[1]);
    char line[256] = "";
    FILE *lines = fdopen(out[0], "r");
    bool said = lines != NULL && fgets(line, sizeof line, lines) != NULL;
    if (lines != NULL) {
        fclose(lines);
    }
    const char *port = strrchr(line, ':');
    sandbox_port = said && port != NULL ? (int)strtol(port + 1, NULL, 10) : 0;
    return sandbox > 0 && sandbox_port > 0 ? CFA_OK : failed("the sandbox does not start");
}

/* ---- the fixture ----------------------------------------------------------------------------- */

static cfa_status open_provider(cfa_provider *out) {
    static const char *const secrets[] = { WEBHOOK_SECRET };
    char base_url[64];
    cfa_status status = start_sandbox();
    if (status != CFA_OK) {
        stop_sandbox();
        return status;
    }
    snprintf(base_url, sizeof base_url, "http://127.0.0.1:%d", sandbox_port);
    cfa_stripe_options options = CFA_STRIPE_OPTIONS_INIT;
    options.secret_key = SECRET_KEY;
    options.webhook_secrets = secrets;
    options.webhook_secret_count = 1;
    options.base_url = base_url;
    options.mode = mode;
    status = cfa_stripe_new(&stripe, &options);
    if (status == CFA_OK) {
        *out = *cfa_stripe_provider(stripe);
    } else {
        stop_sandbox();
    }
    return status;
}

static void close_provider(cfa_provider *provider) {
    (void)provider;
    cfa_stripe_free(stripe);
    stop_sandbox();
}

/* As a browser does: with the publishable key and the client secret. */
static cfa_status confirm(cfa_provider *provider, const char *client_secret, const char *method) {
    (void)provider;
    static char answer[MESSAGE_SIZE];
    char path[256], body[512];
    const char *end = strstr(client_secret, "_secret_");
    snprintf(path, sizeof path, "/v1/payment_intents/%.*s/confirm",
             end != NULL ? (int)(end - client_secret) : 0, client_secret);
    snprintf(body, sizeof body,
             "client_secret=%s&payment_method=%s&return_url=https%%3A%%2F%%2Fexample.org%%2F",
             client_secret, method);
    int status = ask(answer, "POST", path, PUBLISHABLE_KEY, body);
    if (status == 200) {
        return CFA_OK;
    }
    bool wrong_secret = strstr(answer, "\"param\":\"client_secret\"") != NULL;
    cfa_status meaning = status == 402                   ? CFA_EDECLINED
                         : status == 404 || wrong_secret ? CFA_ENOTFOUND
                         : status == 400                 ? CFA_ESTATE
                                                         : CFA_EIO;
    return cfa_error_format(meaning, "conformance", NULL, status, "the sandbox answered %d",
                            status);
}

static cfa_status charges(cfa_provider *provider, const char *payment_id, int64_t *out) {
    (void)provider;
    static char answer[MESSAGE_SIZE];
    char path[128];
    snprintf(path, sizeof path, "/_sandbox/payments/%s", payment_id);
    if (ask(answer, "GET", path, SECRET_KEY, "") != 200) {
        return failed("the sandbox's books do not show the payment");
    }
    *out = number_in(answer, "captures");
    return *out >= 0 ? CFA_OK : failed("the sandbox's books have no captures");
}

static cfa_status refunds(cfa_provider *provider, const char *payment_id, int64_t *out_count,
                          int64_t *out_minor) {
    (void)provider;
    static char answer[MESSAGE_SIZE];
    char path[128];
    snprintf(path, sizeof path, "/_sandbox/payments/%s", payment_id);
    if (ask(answer, "GET", path, SECRET_KEY, "") != 200) {
        return failed("the sandbox's books do not show the payment");
    }
    *out_count = number_in(answer, "refunds");
    *out_minor = number_in(answer, "refunded");
    return *out_count >= 0 && *out_minor >= 0 ? CFA_OK
                                              : failed("the sandbox's books have no refunds");
}

/* Half of it comes, so that libcurl does not ask once more on its own. */
static cfa_status lose_reply(cfa_provider *provider) {
    (void)provider;
    static char answer[MESSAGE_SIZE];
    return ask(answer, "POST", "/_sandbox/faults", SECRET_KEY,
               "{\"next\": {\"fault\": \"reset_middle\", \"method\": \"POST\", \"path\": "
               "\"/v1/*\"}}") == 200
               ? CFA_OK
               : failed("the sandbox takes no fault");
}

static cfa_status lose_page(cfa_provider *provider) {
    (void)provider;
    static char answer[MESSAGE_SIZE];
    return ask(answer, "POST", "/_sandbox/faults", SECRET_KEY,
               "{\"next\": {\"fault\": \"reset_middle\", \"method\": \"GET\", \"path\": "
               "\"/v1/*\"}}") == 200
               ? CFA_OK
               : failed("the sandbox takes no fault");
}

static cfa_status pay_out(cfa_provider *provider) {
    (void)provider;
    static char answer[MESSAGE_SIZE];
    return ask(answer, "POST", "/_sandbox/payouts", SECRET_KEY, "{\"all\": true}") == 200
               ? CFA_OK
               : failed("the sandbox pays nothing out");
}

static char *copy_out(const char *text, size_t size) {
    char *copy = cfa_alloc(size + 1);
    if (copy != NULL) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

/* Take a delivery, acknowledge it, hand out its signature and its exact bytes. */
static cfa_status take_delivery(int fd, char **out_signature, char **out_body) {
    static char message[MESSAGE_SIZE];
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    static const char name[] = "\r\nstripe-signature:";
    if (!read_message(fd, message, sizeof message) ||
        write(fd, answer, sizeof answer - 1) != (ssize_t)sizeof answer - 1) {
        return failed("a webhook was not delivered whole");
    }
    const char *body = strstr(message, "\r\n\r\n") + 4;
    const char *signature = strcasestr(message, name);
    if (signature == NULL || signature > body) {
        return failed("a webhook came without a signature");
    }
    signature += sizeof name - 1;
    signature += strspn(signature, " ");
    *out_signature = copy_out(signature, strcspn(signature, "\r"));
    *out_body = copy_out(body, strlen(body));
    return *out_signature != NULL && *out_body != NULL ? CFA_OK : CFA_ENOMEM;
}

/* None is left when none comes and the sandbox has none to deliver. */
static cfa_status webhook(cfa_provider *provider, char **out_signature, char **out_body) {
    (void)provider;
    static char answer[MESSAGE_SIZE];
    *out_signature = *out_body = NULL;
    for (int waited_ms = 0; waited_ms < WAIT_MS; waited_ms += 20) {
        struct pollfd ready = { listener, POLLIN, 0 };
        if (poll(&ready, 1, 20) == 1) {
            int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            cfa_status status =
                fd < 0 ? failed("accept") : take_delivery(fd, out_signature, out_body);
            if (fd >= 0) {
                close(fd);
            }
            return status;
        }
        if (ask(answer, "GET", "/_sandbox/books", SECRET_KEY, "") != 200) {
            return failed("the sandbox's books cannot be read");
        }
        if (number_in(answer, "due") == 0) {
            return CFA_OK;
        }
    }
    return failed("the sandbox has webhooks and does not deliver them");
}

static int64_t now_us(cfa_provider *provider) {
    (void)provider;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- claims under faults --------------------------------------------------------------------- */

#define PAYMENTS 100
#define TRIES_MAX 60

/* What the books say of a payment: 200 there is an object, 404 there is none. */
static int look_into_books(const char *payment_id) {
    static char answer[MESSAGE_SIZE];
    char path[128];
    int status = 0;
    snprintf(path, sizeof path, "/_sandbox/payments/%s", payment_id);
    for (int i = 0; i < 50 && status != 200 && status != 404; i++) {
        status = ask(answer, "GET", path, SECRET_KEY, "");
    }
    return status;
}

/* One call, blocking or over start and finish. */
static cfa_reply call_once(cfa_provider *provider, cfa_call *call, cfa_arena *arena, bool flying) {
    cfa_reply reply = { .struct_size = sizeof reply };
    uint64_t token;
    if (provider->ops->prepare(provider->self, call, arena, &call->body) != CFA_OK) {
        reply.outcome = -1;
    } else if (!flying) {
        provider->ops->call(provider->self, call, arena, &reply);
    } else if (provider->ops->start(provider->self, call, arena, &reply, 1) != CFA_OK ||
               !provider->ops->finish(provider->self, &token, WAIT_MS)) {
        reply.outcome = -1;
    }
    return reply;
}

/* Create, then look up and repeat in turns until the object is known; as the engine does. False: a
 * claim was wrong. */
static bool settle(cfa_provider *provider, cfa_arena *arena, int number) {
    char payment_id[64], key[64];
    bool stored = false;
    snprintf(payment_id, sizeof payment_id, "pay_claims_%d_%d", (int)mode, number);
    snprintf(key, sizeof key, "claims_%d_%d", (int)mode, number);
    cfa_call call = { .struct_size = sizeof call,
                      .payment_id = payment_id,
                      .idempotency_key = key,
                      .account = "",
                      .amount = { 1250, "EUR" },
                      .created_from_us = INT64_C(1700000000000000),
                      .timeout_ms = CALL_MS,
                      .return_url = "http://127.0.0.1:9/" };
    for (int i = 0; i < TRIES_MAX; i++) {
        cfa_arena_reset(arena);
        call.kind = i % 2 == 1 || stored ? CFA_CALL_LOOKUP : CFA_CALL_CREATE;
        cfa_reply reply = call_once(provider, &call, arena, number % 2 == 1);
        int books = look_into_books(payment_id);
        bool absent = reply.outcome == CFA_OUTCOME_NOT_SENT || reply.outcome == CFA_OUTCOME_REFUSED;
        bool done = reply.outcome == CFA_OUTCOME_DONE;
        if (reply.outcome < 0 || (done && books != 200) || (absent && books != 404)) {
            printf("not ok claims_hold_under_faults: outcome %d, code %s, books %d\n",
                   (int)reply.outcome, reply.code != NULL ? reply.code : "none", books);
            return false;
        }
        if (done || (absent && stored)) {
            return true; /* known, or proved absent: a new key would be used */
        }
        stored = stored || reply.stored != 0;
    }
    printf("not ok claims_hold_under_faults: a call never ended\n");
    return false;
}

static int check_claims(int32_t wanted_mode) {
    cfa_provider provider;
    cfa_arena *arena;
    bool good = true;
    with_faults = true;
    mode = wanted_mode;
    if (cfa_arena_new(&arena) != CFA_OK || open_provider(&provider) != CFA_OK) {
        printf("not ok claims_hold_under_faults: no sandbox\n");
        return 1;
    }
    for (int i = 0; i < PAYMENTS && good; i++) {
        good = settle(&provider, arena, i);
    }
    close_provider(&provider);
    cfa_arena_free(arena);
    printf("%d passed, %d failed\n", good ? 1 : 0, good ? 0 : 1);
    return good ? 0 : 1;
}

int main(int argc, char **argv) {
    static char beside[4096];
    const char *slash = strrchr(argv[0], '/');
    snprintf(beside, sizeof beside, "%.*s/../../examples/careforall-sandbox",
             slash != NULL ? (int)(slash - argv[0]) : 1, slash != NULL ? argv[0] : ".");
    program = getenv("CAREFORALL_SANDBOX") != NULL ? getenv("CAREFORALL_SANDBOX") : beside;
    if (access(program, X_OK) != 0) {
        printf("skipped: there is no careforall-sandbox\n");
        return 77;
    }
    const cfa_provider_fixture fixture = {
        .struct_size = sizeof fixture,
        .name = "stripe",
        .open = open_provider,
        .close = close_provider,
        .confirm = confirm,
        .charges = charges,
        .method_ok = "pm_card_visa",
        .method_declined = "pm_card_chargeDeclined",
        .webhook = webhook,
        .now_us = now_us,
        .refunds = refunds,
        .lose_reply = lose_reply,
        .lose_page = lose_page,
        .pay_out = pay_out,
    };
    int result = cfa_conformance_provider(argc, argv, &fixture);
    if (argc < 2) {
        printf("# claims while the sandbox suffers its faults: client secrets, hosted pages\n");
        result |= check_claims(CFA_STRIPE_INTENT);
        result |= check_claims(CFA_STRIPE_CHECKOUT);
    }
    return result;
}
