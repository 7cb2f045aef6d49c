/*
 * transfer.c - one request over libcurl: its options, its bounded answer, what its failure means.
 *
 * TLS is verified, nothing is redirected, no proxy or .netrc is taken from the environment. What a
 * failure means rests on the bytes that left: only a request of which none did was never sent.
 */
#include "adapters/stripe/stripe.h"

#include <curl/curl.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define IDLE_MAX 64
#define HEADER_BYTES_MAX 65536
#define RETRY_AFTER_MAX_S 86400
#define LINE_SIZE 320
#define DATE_SIZE 64
#define BODY_CAPACITY_MIN 4096
#define BODY_CAPACITY_KEPT 65536

struct cfa__stripe_transfer {
    CURL *easy;
    cfa__stripe_transfer *next; /* idle */
    char *url;
    size_t url_capacity;
    char *body;
    size_t body_size, body_capacity, body_limit;
    size_t header_bytes;
    char date[DATE_SIZE]; /* the last one seen */
    int64_t date_us;
    bool too_large, no_memory;
    cfa__stripe_response response;
    struct curl_slist lines[5];
    char key_line[LINE_SIZE], account_line[LINE_SIZE];
};

/* ---- the answer as it comes ------------------------------------------------------------------ */

static size_t take_body(char *data, size_t size, size_t count, void *user) {
    cfa__stripe_transfer *transfer = user;
    size *= count;
    if (size > transfer->body_limit - transfer->body_size) {
        transfer->too_large = true;
        return 0;
    }
    if (size > transfer->body_capacity - transfer->body_size) {
        size_t capacity = 2 * (transfer->body_size + size);
        capacity = capacity < BODY_CAPACITY_MIN ? BODY_CAPACITY_MIN : capacity;
        char *body = cfa_realloc(transfer->body, capacity);
        if (body == NULL) {
            transfer->no_memory = true;
            return 0;
        }
        transfer->body = body;
        transfer->body_capacity = capacity;
    }
    memcpy(transfer->body + transfer->body_size, data, size);
    transfer->body_size += size;
    return size;
}

/* The value of "name: value" without the space around it; false for another name. */
static bool header_value(cfa_slice *out, const char *line, size_t size, const char *name) {
    size_t name_size = strlen(name);
    if (size <= name_size || line[name_size] != ':' || strncasecmp(line, name, name_size) != 0) {
        return false;
    }
    const char *begin = line + name_size + 1;
    const char *end = line + size;
    while (begin < end && (*begin == ' ' || *begin == '\t')) {
        begin++;
    }
    while (end > begin && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ')) {
        end--;
    }
    *out = (cfa_slice){ begin, (size_t)(end - begin) };
    return true;
}

static bool equals(cfa_slice value, const char *text) {
    return value.size == strlen(text) && strncasecmp(value.data, text, value.size) == 0;
}

static int64_t read_retry_after_ms(cfa_slice value) {
    int64_t seconds = 0;
    const char *digits = value.data;
    for (size_t i = 0; i < value.size; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return 0;
        }
        seconds = seconds * 10 + (digits[i] - '0');
        if (seconds > RETRY_AFTER_MAX_S) {
            return RETRY_AFTER_MAX_S * INT64_C(1000);
        }
    }
    return seconds * 1000;
}

/* Most answers come within the second of the one before. */
static int64_t read_date_us(cfa__stripe_transfer *transfer, cfa_slice value) {
    if (value.size >= DATE_SIZE) {
        return 0;
    }
    if (value.size != strlen(transfer->date) ||
        memcmp(transfer->date, value.data, value.size) != 0) {
        memcpy(transfer->date, value.data, value.size);
        transfer->date[value.size] = '\0';
        int64_t seconds = curl_getdate(transfer->date, NULL);
        transfer->date_us = seconds > 0 && seconds < INT64_MAX / 1000000 ? seconds * 1000000 : 0;
    }
    return transfer->date_us;
}

static size_t take_header(char *line, size_t size, size_t count, void *user) {
    cfa__stripe_transfer *transfer = user;
    cfa__stripe_response *response = &transfer->response;
    size *= count;
    transfer->header_bytes += size;
    if (transfer->header_bytes > HEADER_BYTES_MAX) {
        transfer->too_large = true;
        return 0;
    }
    cfa_slice value;
    if (header_value(&value, line, size, "Idempotent-Replayed")) {
        response->replayed = equals(value, "true");
    } else if (header_value(&value, line, size, "Stripe-Should-Retry")) {
        response->retry_wish = equals(value, "true") ? 1 : equals(value, "false") ? -1 : 0;
    } else if (header_value(&value, line, size, "Retry-After")) {
        response->retry_after_ms = read_retry_after_ms(value);
    } else if (header_value(&value, line, size, "Date")) {
        response->date_us = read_date_us(transfer, value);
    }
    return size;
}

/* ---- handles --------------------------------------------------------------------------------- */

/* Options that are the same for every request of this adapter. */
static bool set_up(CURL *easy, const cfa_stripe *stripe, cfa__stripe_transfer *transfer) {
    const char *protocol = stripe->plain_http ? "http" : "https";
    bool good = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocol) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK;
    /* A time-out must not wait for a resolver that hangs. */
    good &= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK;
    /* What was sent is counted per request, which needs a connection of its own for each. */
    good &= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)stripe->connect_timeout_ms) ==
            CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_USERAGENT, "careforall/" CFA_VERSION) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK;
    if (stripe->ca_file != NULL) {
        good &= curl_easy_setopt(easy, CURLOPT_CAINFO, stripe->ca_file) == CURLE_OK;
    }
    return good;
}

void cfa__stripe_transfer_free(cfa__stripe_transfer *transfer) {
    if (transfer == NULL) {
        return;
    }
    curl_easy_cleanup(transfer->easy);
    cfa_free(transfer->url);
    cfa_free(transfer->body);
    cfa_free(transfer);
}

cfa__stripe_transfer *cfa__stripe_transfer_new(const cfa_stripe *stripe) {
    cfa__stripe_transfer *transfer = cfa_alloc(sizeof *transfer);
    if (transfer == NULL) {
        return NULL;
    }
    memset(transfer, 0, sizeof *transfer);
    transfer->easy = curl_easy_init();
    if (transfer->easy == NULL || !set_up(transfer->easy, stripe, transfer)) {
        cfa__stripe_transfer_free(transfer);
        return NULL;
    }
    return transfer;
}

void cfa__stripe_transfer_trim(cfa__stripe_transfer *transfer) {
    if (transfer->body_capacity > BODY_CAPACITY_KEPT) {
        cfa_free(transfer->body);
        transfer->body = NULL;
        transfer->body_size = transfer->body_capacity = 0;
    }
}

/* An idle handle, or a new one; NULL without memory. */
static cfa__stripe_transfer *take_idle(cfa_stripe *stripe) {
    pthread_mutex_lock(&stripe->lock);
    cfa__stripe_transfer *transfer = stripe->idle;
    if (transfer != NULL) {
        stripe->idle = transfer->next;
        stripe->idle_count--;
    }
    pthread_mutex_unlock(&stripe->lock);
    return transfer != NULL ? transfer : cfa__stripe_transfer_new(stripe);
}

static void give_idle(cfa_stripe *stripe, cfa__stripe_transfer *transfer) {
    cfa__stripe_transfer_trim(transfer);
    pthread_mutex_lock(&stripe->lock);
    bool keep = stripe->idle_count < IDLE_MAX;
    if (keep) {
        transfer->next = stripe->idle;
        stripe->idle = transfer;
        stripe->idle_count++;
    }
    pthread_mutex_unlock(&stripe->lock);
    if (!keep) {
        cfa__stripe_transfer_free(transfer);
    }
}

void cfa__stripe_idle_free(cfa_stripe *stripe) {
    while (stripe->idle != NULL) {
        cfa__stripe_transfer *next = stripe->idle->next;
        cfa__stripe_transfer_free(stripe->idle);
        stripe->idle = next;
    }
}

void *cfa__stripe_transfer_handle(cfa__stripe_transfer *transfer) { return transfer->easy; }

/* ---- one request ----------------------------------------------------------------------------- */

static bool make_url(cfa__stripe_transfer *transfer, const cfa_stripe *stripe, const char *target) {
    size_t base_size = strlen(stripe->base_url);
    size_t target_size = strlen(target);
    size_t needed = base_size + target_size + 1;
    if (needed > transfer->url_capacity) {
        char *url = cfa_realloc(transfer->url, 2 * needed);
        if (url == NULL) {
            return false;
        }
        transfer->url = url;
        transfer->url_capacity = 2 * needed;
    }
    memcpy(transfer->url, stripe->base_url, base_size);
    memcpy(transfer->url + base_size, target, target_size + 1);
    return true;
}

/* Visible ASCII alone: a header must not end early. */
static bool make_line(char out[LINE_SIZE], const char *name, const char *value) {
    for (const char *at = value; *at != '\0'; at++) {
        if (*at <= ' ' || *at >= 0x7f) {
            return false;
        }
    }
    int size = snprintf(out, LINE_SIZE, "%s: %s", name, value);
    return size > 0 && size < LINE_SIZE;
}

static void add_line(cfa__stripe_transfer *transfer, size_t *count, char *line) {
    assert(*count < sizeof transfer->lines / sizeof transfer->lines[0]);
    transfer->lines[*count] = (struct curl_slist){ line, NULL };
    if (*count > 0) {
        transfer->lines[*count - 1].next = &transfer->lines[*count];
    }
    (*count)++;
}

/* libcurl reads the list where it lies: no copy of the secret is made here. */
static bool make_lines(cfa__stripe_transfer *transfer, const cfa_stripe *stripe,
                       const cfa__stripe_secrets *secrets, const cfa_call *call,
                       const cfa__stripe_request *request) {
    static char version[] = "Stripe-Version: " CFA_STRIPE_API_VERSION;
    static char no_expect[] = "Expect:";
    size_t count = 0;
    add_line(transfer, &count, secrets->authorization);
    add_line(transfer, &count, version);
    add_line(transfer, &count, no_expect);
    if (request->post) {
        if (!make_line(transfer->key_line, "Idempotency-Key", request->idempotency_key)) {
            return false;
        }
        add_line(transfer, &count, transfer->key_line);
    }
    const char *account = cfa__stripe_account_of(stripe, call);
    if (account[0] != '\0') {
        if (!make_line(transfer->account_line, "Stripe-Account", account)) {
            return false;
        }
        add_line(transfer, &count, transfer->account_line);
    }
    return true;
}

static bool describe(cfa__stripe_transfer *transfer, const cfa__stripe_request *request) {
    CURL *easy = transfer->easy;
    bool good = curl_easy_setopt(easy, CURLOPT_URL, transfer->url) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->lines) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms) == CURLE_OK;
    if (request->post) {
        const char *body = request->body.size > 0 ? request->body.data : "";
        good &= curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK;
        good &= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                 (curl_off_t)request->body.size) == CURLE_OK;
        good &= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body) == CURLE_OK;
    } else {
        good &= curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    }
    return good;
}

bool cfa__stripe_transfer_begin(cfa__stripe_transfer *transfer, const cfa_stripe *stripe,
                                const cfa__stripe_secrets *secrets, const cfa_call *call,
                                const cfa__stripe_request *request, cfa__stripe_response *out) {
    assert(request->timeout_ms > 0);
    transfer->response = (cfa__stripe_response){ .fate = CFA__STRIPE_ANSWERED };
    transfer->body_size = transfer->header_bytes = 0;
    transfer->body_limit = stripe->response_limit;
    transfer->too_large = transfer->no_memory = false;
    *out = (cfa__stripe_response){ .fate = CFA__STRIPE_NEVER_SENT, .code = "out_of_memory" };
    if (!make_url(transfer, stripe, request->target)) {
        return false;
    }
    if (!make_lines(transfer, stripe, secrets, call, request)) {
        out->code = "parameter_invalid";
        return false;
    }
    return describe(transfer, request);
}

/* ---- what became of it ----------------------------------------------------------------------- */

static const struct failure {
    CURLcode result;
    const char *code;
    bool unavailable;
} failures[] = {
    { CURLE_COULDNT_RESOLVE_HOST, "resolve_failed", true },
    { CURLE_COULDNT_CONNECT, "connect_failed", true },
    { CURLE_SSL_CONNECT_ERROR, "tls_failed", true },
    { CURLE_PEER_FAILED_VERIFICATION, "tls_untrusted", true },
    { CURLE_SSL_CACERT_BADFILE, "ca_file_unreadable", false },
    { CURLE_OPERATION_TIMEDOUT, "timeout", true },
    { CURLE_SEND_ERROR, "connection_lost", true },
    { CURLE_RECV_ERROR, "connection_lost", true },
    { CURLE_GOT_NOTHING, "connection_lost", true },
    { CURLE_PARTIAL_FILE, "connection_lost", true },
    { CURLE_OUT_OF_MEMORY, "out_of_memory", false },
};

static void fail(const cfa__stripe_transfer *transfer, CURLcode result, cfa__stripe_response *out) {
    long sent = 1;
    if (curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent) != CURLE_OK) {
        sent = 1;
    }
    *out = (cfa__stripe_response){ .fate = sent == 0 ? CFA__STRIPE_NEVER_SENT : CFA__STRIPE_LOST,
                                   .code = "unreadable_answer" };
    if (transfer->too_large) {
        out->code = "response_too_large";
        return;
    }
    if (transfer->no_memory) {
        out->code = "out_of_memory";
        return;
    }
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        if (failures[i].result == result) {
            out->code = failures[i].code;
            out->unavailable = failures[i].unavailable;
        }
    }
}

void cfa__stripe_transfer_end(cfa__stripe_transfer *transfer, const cfa_stripe *stripe,
                              int curl_result, cfa__stripe_response *out) {
    if (curl_result != CURLE_OK) {
        fail(transfer, (CURLcode)curl_result, out);
        return;
    }
    long status = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    *out = transfer->response;
    out->status = (int32_t)status;
    out->body = (cfa_slice){ transfer->body, transfer->body_size };
    if (out->date_us == 0) {
        out->date_us = cfa__stripe_now_us(stripe);
    }
}

/* ---- the blocking call ----------------------------------------------------------------------- */

static void rest(int32_t delay_ms) {
    struct timespec left = { delay_ms / 1000, delay_ms % 1000 * 1000000L };
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/* The answer's body is the transfer's until its next request. */
static void perform(cfa__stripe_transfer *transfer, const cfa_stripe *stripe,
                    const cfa__stripe_secrets *secrets, const cfa_call *call,
                    const cfa__stripe_request *request, cfa__stripe_response *out) {
    *out = (cfa__stripe_response){ .fate = CFA__STRIPE_NEVER_SENT, .code = "out_of_memory" };
    if (transfer != NULL &&
        cfa__stripe_transfer_begin(transfer, stripe, secrets, call, request, out)) {
        CURLcode result = curl_easy_perform(transfer->easy);
        cfa__stripe_transfer_end(transfer, stripe, (int)result, out);
    }
}

void cfa__stripe_ask(cfa_stripe *stripe, const char *account, const cfa__stripe_request *request,
                     cfa_arena *arena, cfa__stripe_response *out) {
    const cfa_call call = { .struct_size = sizeof call, .account = account };
    cfa__stripe_secrets *secrets = cfa__stripe_secrets_hold(stripe);
    cfa__stripe_transfer *transfer = take_idle(stripe);
    perform(transfer, stripe, secrets, &call, request, out);
    if (out->body.size > 0) {
        out->body.data = cfa_arena_copy(arena, out->body.data, out->body.size);
        if (out->body.data == NULL) {
            *out = (cfa__stripe_response){ .fate = CFA__STRIPE_LOST, .code = "out_of_memory" };
        }
    }
    if (transfer != NULL) {
        give_idle(stripe, transfer);
    }
    cfa__stripe_secrets_release(secrets);
}

void cfa__stripe_call(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    cfa_stripe *stripe = self;
    cfa__stripe_exchange exchange;
    cfa__stripe_request request;
    cfa__stripe_response response;
    if (!cfa__stripe_exchange_begin(&exchange, stripe, call, arena, out, &request)) {
        return;
    }
    cfa__stripe_secrets *secrets = cfa__stripe_secrets_hold(stripe);
    cfa__stripe_transfer *transfer = take_idle(stripe);
    bool more = true;
    while (more) {
        if (request.delay_ms > 0) {
            rest(request.delay_ms);
        }
        perform(transfer, stripe, secrets, call, &request, &response);
        more = cfa__stripe_exchange_next(&exchange, &response, &request);
    }
    if (transfer != NULL) {
        give_idle(stripe, transfer);
    }
    cfa__stripe_secrets_release(secrets);
}
