/*
 * donors.c - many donors at once, over HTTP: each asks for a pledge with a key of its own, asks
 * again with the same key whenever the answer was lost or told it to wait, may click twice, and
 * pays at the provider; some go away, before the answer or after it. Prints one line of JSON per
 * donor that was acknowledged, and a summary. SIGTERM lets nobody else in.
 *
 * It trusts nobody: equal keys must give equal bytes, and what it prints is what the books of the
 * server and of the provider are compared with. One thread, libcurl's multi interface.
 */
#include <curl/curl.h>
#include <jansson.h>

#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    BODY_BYTES_MAX = 16384,
    IN_FLIGHT_MAX = 1024,
    TRIES_MAX = 400,
    RETRY_MS_MIN = 20,
    RETRY_MS_MAX = 1000,
    REQUEST_MS = 15000,
    CLICK_PPM = 150000,  /* who clicks twice at the same moment */
    DECLINE_PPM = 50000, /* whose first card is declined */
    LEAVE_PPM = 30000,   /* who never pays */
    GO_PPM = 10000,      /* who does not even wait for the answer */
    SECURE_PPM = 40000,  /* whose bank asks back */
    BANK_PPM = 20000,    /* whose money comes later */
    BROKEN_PPM = 10000,  /* whose money was to come later, and does not */
    MINOR_MIN = 100,
    MINOR_SPREAD = 9900
};

struct options {
    const char *server, *provider, *campaign, *prefix;
    int64_t count;
    int in_flight;
    uint64_t seed;
    int64_t deadline_s;
    bool paying;
};

enum stage { STAGE_PLEDGE, STAGE_AGAIN, STAGE_PAY, STAGE_OVER };

struct reply {
    long status;
    long retry_after_s;
    size_t size;
    bool complete;
    char body[BODY_BYTES_MAX];
};

/* One donor; `clicks` are the requests for one key that are under way at the same time. */
struct donor {
    int64_t number;
    enum stage stage;
    int64_t minor;
    bool clicks_twice, leaves, goes, declined_first, paying_method;
    const char *method;
    int tries, waiting;
    int64_t due_ms;
    char key[64], payment_id[64], pledge_id[64];
    char *answer;
    struct curl_slist *headers;
    struct request {
        struct donor *donor;
        CURL *handle;
        bool busy;
        char sent[512], url[512];
        struct reply reply;
    } requests[2];
};

struct run {
    struct options options;
    CURLM *multi;
    struct donor *donors;
    int64_t next, over, acknowledged, paid, retries, double_clicks, gone, given_up;
    int64_t statuses[6];                       /* by their hundreds; 0: no answer */
    int64_t pending, refused, broken, hurried; /* 202; 503; other 5xx; told no time to come back */
    uint64_t random;
    int64_t end_ms;
};

/* Set by SIGTERM: no new donors; those who are here go on. */
static volatile sig_atomic_t closing;

static void on_term(int number) {
    (void)number;
    closing = 1;
}

static void die(const char *what) {
    fprintf(stderr, "donors: %s\n", what);
    exit(2);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint32_t draw(struct run *run, uint32_t below) { /* splitmix64 */
    uint64_t z = run->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) % below);
}

/* ---- requests -------------------------------------------------------------------------------- */

static size_t on_body(char *data, size_t unit, size_t count, void *user) {
    struct reply *reply = user;
    size_t size = unit * count;
    if (size > sizeof reply->body - 1 - reply->size)
        return 0;
    memcpy(reply->body + reply->size, data, size);
    reply->size += size;
    reply->body[reply->size] = '\0';
    return size;
}

static size_t on_header(char *data, size_t unit, size_t count, void *user) {
    static const char name[] = "retry-after:";
    struct reply *reply = user;
    size_t size = unit * count;
    if (size > sizeof name && strncasecmp(data, name, sizeof name - 1) == 0)
        reply->retry_after_s = strtol(data + sizeof name - 1, NULL, 10);
    return size;
}

static void send_request(struct run *run, struct request *request) {
    struct donor *donor = request->donor;
    memset(&request->reply, 0, sizeof request->reply);
    request->busy = true;
    donor->waiting++;
    CURL *handle = request->handle;
    curl_easy_setopt(handle, CURLOPT_URL, request->url);
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request->sent);
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, donor->headers);
    if (curl_multi_add_handle(run->multi, handle) != CURLM_OK)
        die("cannot start a request");
}

static CURL *new_handle(struct request *request) {
    CURL *handle = curl_easy_init();
    if (handle == NULL)
        die("no memory");
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_POST, 1L);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, (long)REQUEST_MS);
    curl_easy_setopt(handle, CURLOPT_PRIVATE, request);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &request->reply);
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, &request->reply);
    return handle;
}

/* ---- a donor's life -------------------------------------------------------------------------- */

static void ask_for_pledge(struct run *run, struct donor *donor) {
    const struct options *options = &run->options;
    int clicks = donor->clicks_twice ? 2 : 1;
    donor->tries++;
    for (int i = 0; i < clicks; i++) {
        struct request *request = &donor->requests[i];
        snprintf(request->url, sizeof request->url, "%s/api/v1/pledges", options->server);
        snprintf(request->sent, sizeof request->sent,
                 "{\"campaign_id\":\"%s\",\"amount\":{\"minor\":%lld,\"currency\":\"EUR\"},"
                 "\"return_url\":\"https://example.org/thanks\"}",
                 options->campaign, (long long)donor->minor);
        send_request(run, request);
    }
}

static void pay(struct run *run, struct donor *donor) {
    struct request *request = &donor->requests[0];
    donor->tries++;
    snprintf(request->url, sizeof request->url, "%s/_sandbox/pay", run->options.provider);
    snprintf(request->sent, sizeof request->sent,
             "{\"payment_id\":\"%s\",\"payment_method\":\"%s\"}", donor->payment_id,
             donor->declined_first ? "pm_card_chargeDeclined" : donor->method);
    send_request(run, request);
}

static void choose_method(struct run *run, struct donor *donor) {
    uint32_t draw_ppm = draw(run, 1000000);
    donor->paying_method = draw_ppm >= BROKEN_PPM;
    if (draw_ppm < BROKEN_PPM)
        donor->method = "pm_usBankAccount_insufficientFunds";
    else if (draw_ppm < BROKEN_PPM + BANK_PPM)
        donor->method = "pm_usBankAccount_success";
    else if (draw_ppm < BROKEN_PPM + BANK_PPM + SECURE_PPM)
        donor->method = "pm_card_authenticationRequired";
    else
        donor->method = "pm_card_visa";
}

static void donor_new(struct run *run, struct donor *donor) {
    const struct options *options = &run->options;
    char header[128];
    donor->number = run->next++;
    donor->stage = STAGE_PLEDGE;
    donor->minor = MINOR_MIN + (int64_t)draw(run, MINOR_SPREAD);
    donor->clicks_twice = draw(run, 1000000) < CLICK_PPM;
    donor->leaves = draw(run, 1000000) < LEAVE_PPM;
    donor->goes = draw(run, 1000000) < GO_PPM;
    donor->declined_first = draw(run, 1000000) < DECLINE_PPM;
    choose_method(run, donor);
    donor->tries = 0;
    run->double_clicks += donor->clicks_twice;
    snprintf(donor->key, sizeof donor->key, "%s-%08x%08x-%lld", options->prefix,
             draw(run, UINT32_MAX), draw(run, UINT32_MAX), (long long)donor->number);
    curl_slist_free_all(donor->headers);
    donor->headers = curl_slist_append(NULL, "Content-Type: application/json");
    donor->headers = curl_slist_append(donor->headers, "Expect:");
    snprintf(header, sizeof header, "Idempotency-Key: %s", donor->key);
    donor->headers = curl_slist_append(donor->headers, header);
    free(donor->answer);
    donor->answer = NULL;
    donor->payment_id[0] = donor->pledge_id[0] = '\0';
    ask_for_pledge(run, donor);
}

static void donor_over(struct run *run, struct donor *donor, bool paid) {
    if (donor->pledge_id[0] != '\0') {
        printf("{\"key\":\"%s\",\"pledge_id\":\"%s\",\"payment_id\":\"%s\",\"minor\":%lld,"
               "\"method\":\"%s\",\"paid\":%s}\n",
               donor->key, donor->pledge_id, donor->payment_id, (long long)donor->minor,
               donor->method, paid ? "true" : "false");
    }
    run->paid += paid;
    run->over++;
    donor->stage = STAGE_OVER;
}

static void later(struct run *run, struct donor *donor, long retry_after_s) {
    int64_t wait_ms = RETRY_MS_MIN << (donor->tries < 6 ? donor->tries : 6);
    if (retry_after_s > 0)
        wait_ms = retry_after_s * 1000;
    if (wait_ms > RETRY_MS_MAX)
        wait_ms = RETRY_MS_MAX;
    wait_ms += draw(run, (uint32_t)wait_ms);
    run->retries++;
    donor->due_ms = now_ms() + wait_ms;
}

static bool copy_text(char *out, size_t size, const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL && (size_t)snprintf(out, size, "%s", text) < size;
}

static void count_answer(struct run *run, const struct reply *reply) {
    bool waits = reply->status == 202 || reply->status == 503;
    run->statuses[reply->complete && reply->status < 600 ? reply->status / 100 : 0]++;
    if (!reply->complete)
        return;
    run->pending += reply->status == 202;
    run->refused += reply->status == 503;
    run->broken += reply->status >= 500 && reply->status != 503;
    run->hurried += waits && reply->retry_after_s < 1;
}

/* A final answer: the same bytes for every request with this key, for ever. */
static bool take_answer(struct run *run, struct donor *donor, const struct reply *reply) {
    if (donor->answer != NULL) {
        if (strcmp(donor->answer, reply->body) != 0) {
            fprintf(stderr, "donors: key %s got two answers:\n%s\n%s\n", donor->key, donor->answer,
                    reply->body);
            exit(1);
        }
        return true;
    }
    json_t *body = json_loadb(reply->body, reply->size, 0, NULL);
    bool good = body != NULL && copy_text(donor->pledge_id, sizeof donor->pledge_id, body, "id") &&
                copy_text(donor->payment_id, sizeof donor->payment_id, body, "payment_id");
    json_decref(body);
    if (!good)
        return false;
    donor->answer = strdup(reply->body);
    if (donor->answer == NULL)
        die("no memory");
    run->acknowledged++;
    return true;
}

static void after_pledge(struct run *run, struct donor *donor) {
    int clicks = donor->clicks_twice ? 2 : 1;
    bool answered = false;
    long retry_after_s = 0;
    for (int i = 0; i < clicks; i++) {
        const struct reply *reply = &donor->requests[i].reply;
        bool final = reply->complete && (reply->status == 200 || reply->status == 201);
        if (final && !take_answer(run, donor, reply))
            die("an answer without ids");
        bool again = !reply->complete || reply->status == 202 || reply->status == 409 ||
                     reply->status == 429 || reply->status >= 500;
        if (!final && !again) {
            fprintf(stderr, "donors: key %s got %ld: %s\n", donor->key, reply->status, reply->body);
            exit(1);
        }
        answered = answered || final;
        if (reply->retry_after_s > retry_after_s)
            retry_after_s = reply->retry_after_s;
    }
    if (donor->goes && donor->stage == STAGE_PLEDGE && !answered) {
        run->gone++;
        donor_over(run, donor, false);
        return;
    }
    if (!answered) {
        later(run, donor, retry_after_s);
        return;
    }
    donor->tries = 0;
    /* Some ask once more after the answer, as a reloaded page does. */
    donor->stage = donor->clicks_twice && donor->stage == STAGE_PLEDGE ? STAGE_AGAIN : STAGE_PAY;
    if (donor->stage == STAGE_AGAIN)
        ask_for_pledge(run, donor);
    else if (donor->leaves || !run->options.paying)
        donor_over(run, donor, false);
    else
        pay(run, donor);
}

static void after_pay(struct run *run, struct donor *donor) {
    const struct reply *reply = &donor->requests[0].reply;
    if (!reply->complete || reply->status >= 500) {
        later(run, donor, 0); /* whether it was paid shows in the next try: 409 when it is over */
    } else if (reply->status == 200 && !donor->declined_first) {
        donor_over(run, donor, donor->paying_method);
    } else if (reply->status == 409) {
        donor_over(run, donor, donor->paying_method);
    } else if (donor->declined_first) {
        donor->declined_first = false;
        later(run, donor, 0);
    } else {
        fprintf(stderr, "donors: paying %s gave %ld: %s\n", donor->payment_id, reply->status,
                reply->body);
        exit(1);
    }
}

static void donor_step(struct run *run, struct donor *donor) {
    donor->due_ms = 0;
    if (donor->tries >= TRIES_MAX || now_ms() >= run->end_ms) {
        run->given_up++;
        donor_over(run, donor, false);
    } else if (donor->stage == STAGE_PAY) {
        pay(run, donor);
    } else {
        ask_for_pledge(run, donor);
    }
}

static void on_finished(struct run *run, CURLMsg *message) {
    struct request *request = NULL;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request);
    curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &request->reply.status);
    request->reply.complete = message->data.result == CURLE_OK;
    count_answer(run, &request->reply);
    curl_multi_remove_handle(run->multi, request->handle);
    request->busy = false;
    struct donor *donor = request->donor;
    if (--donor->waiting > 0)
        return;
    if (donor->stage == STAGE_PAY)
        after_pay(run, donor);
    else
        after_pledge(run, donor);
}

/* ---- the run --------------------------------------------------------------------------------- */

static bool takes_more(const struct run *run) {
    return closing == 0 && run->next < run->options.count && now_ms() < run->end_ms;
}

/* Let everybody whose time has come go on; milliseconds until the next one's. */
static int wake_donors(struct run *run) {
    int64_t now = now_ms(), next = now + 100;
    for (int i = 0; i < run->options.in_flight; i++) {
        struct donor *donor = &run->donors[i];
        if (donor->waiting > 0)
            continue;
        if (donor->stage == STAGE_OVER && takes_more(run))
            donor_new(run, donor);
        else if (donor->stage != STAGE_OVER && donor->due_ms <= now)
            donor_step(run, donor);
        else if (donor->stage != STAGE_OVER && donor->due_ms < next)
            next = donor->due_ms;
    }
    return (int)(next - now);
}

static bool is_over(const struct run *run) { return !takes_more(run) && run->over == run->next; }

static void run_all(struct run *run) {
    while (!is_over(run)) {
        int wait_ms = wake_donors(run), running = 0, left = 0;
        if (curl_multi_perform(run->multi, &running) != CURLM_OK)
            die("libcurl failed");
        CURLMsg *message;
        bool any = false;
        while ((message = curl_multi_info_read(run->multi, &left)) != NULL) {
            if (message->msg == CURLMSG_DONE) {
                on_finished(run, message);
                any = true;
            }
        }
        if (!any)
            curl_multi_poll(run->multi, NULL, 0, wait_ms, NULL);
    }
}

static void read_options(struct options *out, int argc, char **argv) {
    static const struct option names[] = {
        { "server", required_argument, NULL, 's' },    { "provider", required_argument, NULL, 'p' },
        { "campaign", required_argument, NULL, 'c' },  { "count", required_argument, NULL, 'n' },
        { "in-flight", required_argument, NULL, 'f' }, { "seed", required_argument, NULL, 'r' },
        { "prefix", required_argument, NULL, 'k' },    { "seconds", required_argument, NULL, 't' },
        { "no-pay", no_argument, NULL, 'x' },          { NULL, 0, NULL, 0 }
    };
    *out = (struct options){ .prefix = "donor",
                             .count = 100,
                             .in_flight = 16,
                             .seed = 1,
                             .deadline_s = 600,
                             .paying = true };
    int name;
    while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (name) {
        case 's': out->server = optarg; break;
        case 'p': out->provider = optarg; break;
        case 'c': out->campaign = optarg; break;
        case 'n': out->count = strtoll(optarg, NULL, 10); break;
        case 'f': out->in_flight = (int)strtol(optarg, NULL, 10); break;
        case 'r': out->seed = strtoull(optarg, NULL, 10); break;
        case 'k': out->prefix = optarg; break;
        case 't': out->deadline_s = strtoll(optarg, NULL, 10); break;
        case 'x': out->paying = false; break;
        default: exit(2);
        }
    }
    if (out->server == NULL || out->campaign == NULL || (out->paying && out->provider == NULL) ||
        out->in_flight < 1 || out->in_flight > IN_FLIGHT_MAX || out->count < 1)
        die("usage: donors --server URL --provider URL --campaign ID [--count N] [--in-flight N] "
            "[--seed N] [--prefix TEXT] [--seconds N] [--no-pay]");
}

static void print_summary(const struct run *run, int64_t took_ms) {
    const struct {
        const char *name;
        int64_t value;
    } counts[] = {
        { "donors", run->next },       { "acknowledged", run->acknowledged },
        { "paid", run->paid },         { "gone", run->gone },
        { "given_up", run->given_up }, { "double_clicks", run->double_clicks },
        { "retries", run->retries },   { "no_answer", run->statuses[0] },
        { "2xx", run->statuses[2] },   { "4xx", run->statuses[4] },
        { "5xx", run->statuses[5] },   { "pending", run->pending },
        { "refused", run->refused },   { "broken", run->broken },
        { "hurried", run->hurried },   { "took_ms", took_ms },
    };
    printf("{\"summary\":true");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        printf(",\"%s\":%lld", counts[i].name, (long long)counts[i].value);
    printf("}\n");
}

int main(int argc, char **argv) {
    struct run run = { 0 };
    read_options(&run.options, argc, argv);
    run.random = run.options.seed;
    run.end_ms = now_ms() + run.options.deadline_s * 1000;
    signal(SIGTERM, on_term);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        die("libcurl does not start");
    run.multi = curl_multi_init();
    run.donors = calloc((size_t)run.options.in_flight, sizeof *run.donors);
    if (run.multi == NULL || run.donors == NULL)
        die("no memory");
    for (int i = 0; i < run.options.in_flight; i++) {
        run.donors[i].stage = STAGE_OVER;
        for (int j = 0; j < 2; j++) {
            run.donors[i].requests[j].donor = &run.donors[i];
            run.donors[i].requests[j].handle = new_handle(&run.donors[i].requests[j]);
        }
    }
    int64_t started = now_ms();
    run_all(&run);
    int64_t took = now_ms() - started;
    print_summary(&run, took);
    for (int i = 0; i < run.options.in_flight; i++) {
        for (int j = 0; j < 2; j++)
            curl_easy_cleanup(run.donors[i].requests[j].handle);
        curl_slist_free_all(run.donors[i].headers);
        free(run.donors[i].answer);
    }
    free(run.donors);
    curl_multi_cleanup(run.multi);
    curl_global_cleanup();
    return 0;
}
