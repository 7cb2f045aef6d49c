/*
 * bench_stripe.c - the Stripe adapter's CPU per call with a thousand in flight on one thread,
 * against a bare libcurl multi loop that makes the same requests and only keeps the answers' bytes.
 *
 * The peer is a process of its own that answers each request with the same intent.
 */
#define _GNU_SOURCE
#include "bench/harness.h"

#include <careforall/adapters/stripe.h>
#include <careforall/sys/platform.h>

#include <curl/curl.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT 1000
#define GOAL 0.7
#define REQUEST_SIZE 4096
#define SECRET_KEY "sk_test_bench"
#define REF "pi_3PqkQmLkdIwHu7ix0oZ8wZkL"
#define CREATE_BODY                                                                                \
    "amount=1250&currency=eur&automatic_payment_methods[enabled]=true&capture_method=automatic"    \
    "&metadata[payment_id]=pay_01h455vb4pex5vsknk084sn02q"

/* As Stripe answers a read of an unpaid intent. */
static const char intent[] =
    "{\n  \"id\": \"" REF "\",\n  \"object\": \"payment_intent\",\n  \"amount\": 1250,\n"
    "  \"amount_capturable\": 0,\n  \"amount_details\": {\n    \"tip\": {}\n  },\n"
    "  \"amount_received\": 0,\n  \"application\": null,\n  \"application_fee_amount\": null,\n"
    "  \"automatic_payment_methods\": {\n    \"allow_redirects\": \"always\",\n"
    "    \"enabled\": true\n  },\n  \"canceled_at\": null,\n  \"cancellation_reason\": null,\n"
    "  \"capture_method\": \"automatic\",\n  \"client_secret\": \"" REF
    "_secret_h1Qv9PpQ0cF9mJ1TtXw2Zb3Ye\",\n  \"confirmation_method\": \"automatic\",\n"
    "  \"created\": 1795341000,\n  \"currency\": \"eur\",\n  \"customer\": null,\n"
    "  \"description\": null,\n  \"invoice\": null,\n  \"last_payment_error\": null,\n"
    "  \"latest_charge\": null,\n  \"livemode\": false,\n  \"metadata\": {\n"
    "    \"payment_id\": \"pay_01h455vb4pex5vsknk084sn02q\"\n  },\n  \"next_action\": null,\n"
    "  \"on_behalf_of\": null,\n  \"payment_method\": null,\n"
    "  \"payment_method_configuration_details\": {\n    \"id\": \"pmc_1PbTzULkdIwHu7ixFKqvL9dM\",\n"
    "    \"parent\": null\n  },\n  \"payment_method_options\": {\n    \"card\": {\n"
    "      \"installments\": null,\n      \"mandate_options\": null,\n      \"network\": null,\n"
    "      \"request_three_d_secure\": \"automatic\"\n    },\n    \"link\": {\n"
    "      \"persistent_token\": null\n    }\n  },\n  \"payment_method_types\": [\n    \"card\",\n"
    "    \"link\"\n  ],\n  \"processing\": null,\n  \"receipt_email\": null,\n  \"review\": null,\n"
    "  \"setup_future_usage\": null,\n  \"shipping\": null,\n  \"source\": null,\n"
    "  \"statement_descriptor\": null,\n  \"statement_descriptor_suffix\": null,\n"
    "  \"status\": \"requires_payment_method\",\n  \"transfer_data\": null,\n"
    "  \"transfer_group\": null\n}\n";

static char base_url[64];
static int64_t calls;

/* ---- the peer -------------------------------------------------------------------------------- */

typedef struct connection {
    char request[REQUEST_SIZE];
    size_t size;
} connection;

static char answer[8192];
static size_t answer_size;

static bool is_whole(const connection *from) {
    const char *end = memmem(from->request, from->size, "\r\n\r\n", 4);
    if (end == NULL) {
        return false;
    }
    const char *length = memmem(from->request, from->size, "Content-Length: ", 16);
    size_t body = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
    return (size_t)(end - from->request) + 4 + body <= from->size;
}

static void serve_one(int fd, connection *from) {
    ssize_t got = read(fd, from->request + from->size, REQUEST_SIZE - from->size);
    if (got <= 0) {
        close(fd);
        from->size = 0;
        return;
    }
    from->size += (size_t)got;
    if (is_whole(from)) {
        from->size = 0;
        if (write(fd, answer, answer_size) != (ssize_t)answer_size) {
            close(fd);
        }
    }
}

static void serve(int listener) {
    static connection connections[8192];
    struct epoll_event events[256];
    struct epoll_event event = { .events = EPOLLIN, .data = { .fd = listener } };
    int epoll = epoll_create1(0);
    int one = 1;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                serve_one(fd, &connections[fd]);
                continue;
            }
            fd = accept4(listener, NULL, NULL, 0);
            if (fd >= 0 && fd < 8192) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                event.data.fd = fd;
                connections[fd].size = 0;
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}

static pid_t start_peer(void) {
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
        listen(listener, 2 * IN_FLIGHT) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        bench_fail("the peer", "no socket");
    }
    snprintf(base_url, sizeof base_url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    int written = snprintf(answer, sizeof answer,
                           "HTTP/1.1 200 OK\r\nServer: nginx\r\n"
                           "Date: Sun, 22 Nov 2026 10:00:00 GMT\r\n"
                           "Content-Type: application/json\r\nContent-Length: %zu\r\n"
                           "Cache-Control: no-cache, no-store\r\nRequest-Id: req_bench\r\n"
                           "Stripe-Version: " CFA_STRIPE_API_VERSION "\r\n\r\n%s",
                           sizeof intent - 1, intent);
    answer_size = (size_t)written;
    pid_t peer = fork();
    if (peer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(listener);
    }
    close(listener);
    return peer;
}

static int64_t cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- the adapter ----------------------------------------------------------------------------- */

static cfa_stripe *new_adapter(void) {
    static const char *const secrets[] = { "whsec_bench" };
    cfa_stripe_options options = CFA_STRIPE_OPTIONS_INIT;
    options.secret_key = SECRET_KEY;
    options.webhook_secrets = secrets;
    options.webhook_secret_count = 1;
    options.base_url = base_url;
    options.mode = CFA_STRIPE_INTENT;
    cfa_stripe *stripe;
    bench_check(cfa_stripe_new(&stripe, &options), "cfa_stripe_new");
    return stripe;
}

static cfa_call call_of(int32_t kind) {
    return (cfa_call){
        .struct_size = sizeof(cfa_call),
        .kind = kind,
        .payment_id = "pay_01h455vb4pex5vsknk084sn02q",
        .idempotency_key = "cfa_018c8a5d-1b2c-7000-8000-000000000001_1_1",
        .account = "",
        .ref = REF,
        .amount = { 1250, "EUR" },
        .body = { CREATE_BODY, sizeof CREATE_BODY - 1 },
        .timeout_ms = 20000,
    };
}

static double adapter_ns(cfa_stripe *stripe, int32_t kind, int64_t count) {
    static cfa_arena *arenas[IN_FLIGHT];
    static cfa_reply replies[IN_FLIGHT];
    const cfa_provider_ops *ops = cfa_stripe_provider(stripe)->ops;
    void *self = cfa_stripe_provider(stripe)->self;
    const cfa_call call = call_of(kind);
    for (size_t i = 0; i < IN_FLIGHT && arenas[i] == NULL; i++) {
        bench_check(cfa_arena_new(&arenas[i]), "cfa_arena_new");
    }
    int64_t begin = cpu_ns(), started = 0, finished = 0;
    for (size_t i = 0; i < IN_FLIGHT; i++, started++) {
        bench_check(ops->start(self, &call, arenas[i], &replies[i], i), "start");
    }
    uint64_t token;
    while (finished < count) {
        if (!ops->finish(self, &token, 1000)) {
            continue;
        }
        if (replies[token].outcome != CFA_OUTCOME_DONE) {
            bench_fail("finish", "a call was not done");
        }
        cfa_arena_reset(arenas[token]);
        finished++;
        if (started < count) {
            bench_check(ops->start(self, &call, arenas[token], &replies[token], token), "start");
            started++;
        }
    }
    return (double)(cpu_ns() - begin) / (double)count;
}

/* ---- libcurl alone --------------------------------------------------------------------------- */

typedef struct bare {
    CURLM *multi;
    int epoll;
    long timer_ms;
    struct curl_slist *headers;
    CURL *handles[IN_FLIGHT];
    struct bare_answer {
        char body[8192];
        size_t size;
    } answers[IN_FLIGHT];
} bare;

static size_t keep(char *data, size_t size, size_t count, void *user) {
    struct bare_answer *to = user;
    size *= count;
    if (size <= sizeof to->body - to->size) {
        memcpy(to->body + to->size, data, size);
        to->size += size;
    }
    return size;
}

static int watch(CURL *easy, curl_socket_t fd, int what, void *user, void *known) {
    (void)easy;
    bare *self = user;
    struct epoll_event event = { .data = { .fd = fd } };
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    epoll_ctl(self->epoll,
              what == CURL_POLL_REMOVE ? EPOLL_CTL_DEL
              : known != NULL          ? EPOLL_CTL_MOD
                                       : EPOLL_CTL_ADD,
              fd, &event);
    curl_multi_assign(self->multi, fd, self);
    return 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *user) {
    (void)multi;
    ((bare *)user)->timer_ms = timeout_ms;
    return 0;
}

static bare *new_bare(int32_t kind) {
    bare *self = bench_alloc(sizeof *self);
    memset(self, 0, sizeof *self);
    self->multi = curl_multi_init();
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    curl_multi_setopt(self->multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(self->multi, CURLMOPT_SOCKETDATA, self);
    curl_multi_setopt(self->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(self->multi, CURLMOPT_TIMERDATA, self);
    curl_multi_setopt(self->multi, CURLMOPT_MAXCONNECTS, (long)IN_FLIGHT);
    self->headers = curl_slist_append(self->headers, "Authorization: Bearer " SECRET_KEY);
    self->headers = curl_slist_append(self->headers, "Stripe-Version: " CFA_STRIPE_API_VERSION);
    self->headers = curl_slist_append(self->headers, "Expect:");
    if (kind == CFA_CALL_CREATE) {
        self->headers = curl_slist_append(
            self->headers, "Idempotency-Key: cfa_018c8a5d-1b2c-7000-8000-000000000001_1_1");
    }
    char url[256];
    snprintf(url, sizeof url, "%s/v1/payment_intents%s", base_url,
             kind == CFA_CALL_CREATE ? "" : "/" REF);
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        CURL *easy = self->handles[i] = curl_easy_init();
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_URL, url);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, self->headers);
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 20000L);
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, &self->answers[i]);
        curl_easy_setopt(easy, CURLOPT_PRIVATE, &self->answers[i]);
        if (kind == CFA_CALL_CREATE) {
            curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)sizeof CREATE_BODY - 1);
            curl_easy_setopt(easy, CURLOPT_POSTFIELDS, CREATE_BODY);
        }
    }
    return self;
}

static void free_bare(bare *self) {
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        curl_easy_cleanup(self->handles[i]);
    }
    curl_multi_cleanup(self->multi);
    curl_slist_free_all(self->headers);
    close(self->epoll);
    free(self);
}

static double bare_ns(bare *self, int64_t count) {
    struct epoll_event events[64];
    int64_t begin = cpu_ns(), started = IN_FLIGHT, finished = 0;
    int running, left;
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        curl_multi_add_handle(self->multi, self->handles[i]);
    }
    while (finished < count) {
        int ready = epoll_wait(self->epoll, events, 64, (int)self->timer_ms);
        for (int i = 0; i < ready; i++) {
            int mask = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                       (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0);
            curl_multi_socket_action(self->multi, events[i].data.fd, mask, &running);
        }
        if (ready == 0 || self->timer_ms == 0) {
            curl_multi_socket_action(self->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        for (CURLMsg *message; (message = curl_multi_info_read(self->multi, &left)) != NULL;) {
            CURL *easy = message->easy_handle;
            char *user;
            long status = 0;
            curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
            curl_easy_getinfo(easy, CURLINFO_PRIVATE, &user);
            struct bare_answer *got = (struct bare_answer *)(void *)user;
            if (message->data.result != CURLE_OK || status != 200 ||
                got->size != sizeof intent - 1) {
                bench_fail("libcurl", "a request failed");
            }
            got->size = 0;
            curl_multi_remove_handle(self->multi, easy);
            finished++;
            if (started < count) {
                curl_multi_add_handle(self->multi, easy);
                started++;
            }
        }
    }
    return (double)(cpu_ns() - begin) / (double)count;
}

/* ---- side by side ---------------------------------------------------------------------------- */

static void compare(const bench_options *options, const char *name, int32_t kind) {
    double ratios[BENCH_REPETITIONS_MAX], ours[BENCH_REPETITIONS_MAX],
        theirs[BENCH_REPETITIONS_MAX];
    if (!bench_wanted(options, name)) {
        return;
    }
    cfa_stripe *stripe = new_adapter();
    bare *alone = new_bare(kind);
    /* Connections are opened before anything is measured. */
    (void)adapter_ns(stripe, kind, IN_FLIGHT);
    (void)bare_ns(alone, IN_FLIGHT);
    for (int i = 0; i < options->repetitions; i++) {
        theirs[i] = bare_ns(alone, calls);
        ours[i] = adapter_ns(stripe, kind, calls);
        ratios[i] = theirs[i] / ours[i];
    }
    bench_report(name, BENCH_NATIVE, "x", ratios, options->repetitions, BENCH_AT_LEAST, GOAL);
    bench_note("CPU per call: libcurl alone %.1f us, adapter %.1f us; %d in flight on one thread",
               bench_median(theirs, options->repetitions) / 1000,
               bench_median(ours, options->repetitions) / 1000, IN_FLIGHT);
    free_bare(alone);
    cfa_stripe_free(stripe);
}

int main(int argc, char **argv) {
    bench_options options = bench_start(argc, argv);
    struct rlimit limit;
    calls = options.quick ? 20000 : 100000;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    pid_t peer = start_peer();
    compare(&options, "stripe reads / libcurl alone", CFA_CALL_RETRIEVE);
    compare(&options, "stripe creates / libcurl alone", CFA_CALL_CREATE);
    kill(peer, SIGKILL);
    (void)waitpid(peer, NULL, 0);
    return bench_finish();
}
