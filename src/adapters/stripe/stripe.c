/*
 * stripe.c - the adapter's life: options, secrets, the provider it offers. No secret leaves this
 * file but in the header line that libcurl sends; none is ever put into an error.
 */
#include "adapters/stripe/stripe.h"

#include <curl/curl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_BASE_URL "https://api.stripe.com"
#define DEFAULT_PRODUCT_NAME "Donation"
#define DEFAULT_CONNECT_TIMEOUT_MS 3000
#define DEFAULT_RESPONSE_LIMIT 1048576
#define DEFAULT_IN_FLIGHT_LIMIT 1000
#define IN_FLIGHT_LIMIT_MAX 100000
#define SECRET_BYTES_MAX 512
#define TEXT_BYTES_MAX 2048

static const char authorization[] = "Authorization: Bearer ";

static cfa_status wrong(const char *field, const char *message) {
    return cfa_error_set(CFA_EINVAL, CFA__STRIPE_ORIGIN, field, 0, message);
}

static cfa_status no_memory(void) {
    return cfa_error_set(CFA_ENOMEM, CFA__STRIPE_ORIGIN, NULL, 0, "out of memory");
}

static bool is_empty(const char *text) { return text == NULL || text[0] == '\0'; }

static bool begins(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* ---- clocks ---------------------------------------------------------------------------------- */

int64_t cfa__stripe_monotonic_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t cfa__stripe_now_us(const cfa_stripe *stripe) {
    if (stripe->platform.now_us != NULL) {
        return stripe->platform.now_us(stripe->platform.self);
    }
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

const char *cfa__stripe_account_of(const cfa_stripe *stripe, const cfa_call *call) {
    return !is_empty(call->account) ? call->account : stripe->account;
}

/* ---- secrets --------------------------------------------------------------------------------- */

/* Through a volatile pointer, so that the compiler cannot leave it out. */
static void wipe_free(char *text) {
    if (text == NULL) {
        return;
    }
    size_t size = strlen(text);
    for (volatile char *at = text; size > 0; size--) {
        *at++ = '\0';
    }
    cfa_free(text);
}

static char *copy_text(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = cfa_alloc(size);
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

static void secrets_free(cfa__stripe_secrets *secrets) {
    if (secrets == NULL) {
        return;
    }
    wipe_free(secrets->authorization);
    for (size_t i = 0; i < secrets->webhook_count; i++) {
        wipe_free(secrets->webhook[i]);
    }
    cfa_free(secrets);
}

cfa__stripe_secrets *cfa__stripe_secrets_hold(cfa_stripe *stripe) {
    pthread_mutex_lock(&stripe->lock);
    cfa__stripe_secrets *secrets = stripe->secrets;
    atomic_fetch_add(&secrets->owners, 1);
    pthread_mutex_unlock(&stripe->lock);
    return secrets;
}

void cfa__stripe_secrets_release(cfa__stripe_secrets *secrets) {
    if (secrets != NULL && atomic_fetch_sub(&secrets->owners, 1) == 1) {
        secrets_free(secrets);
    }
}

static cfa_status check_secret(const char *secret, const char *field) {
    size_t size = strnlen(secret, SECRET_BYTES_MAX + 1);
    if (size == 0 || size > SECRET_BYTES_MAX) {
        return wrong(field, "a secret has 1 to 512 bytes");
    }
    for (size_t i = 0; i < size; i++) {
        if (secret[i] <= ' ' || secret[i] >= 0x7f) {
            return wrong(field, "a secret is visible ASCII");
        }
    }
    return CFA_OK;
}

static cfa_status check_key(bool *out_livemode, const char *key) {
    cfa_status status = check_secret(key, "secret_key");
    if (status != CFA_OK) {
        return status;
    }
    *out_livemode = begins(key, "sk_live_") || begins(key, "rk_live_");
    return *out_livemode || begins(key, "sk_test_") || begins(key, "rk_test_")
               ? CFA_OK
               : wrong("secret_key", "Stripe's secret keys begin with sk_test_, rk_test_, sk_live_ "
                                     "or rk_live_");
}

static cfa_status check_webhook_secrets(const char *const *secrets, size_t count) {
    if (secrets == NULL || count == 0 || count > CFA_STRIPE_WEBHOOK_SECRETS_MAX) {
        return wrong("webhook_secrets", "1 to 8 signing secrets are needed");
    }
    cfa_status status = CFA_OK;
    for (size_t i = 0; i < count && status == CFA_OK; i++) {
        status = secrets[i] == NULL ? wrong("webhook_secrets", "a signing secret is NULL")
                                    : check_secret(secrets[i], "webhook_secrets");
    }
    return status;
}

/* What is NULL or 0 is taken from `before`. */
static cfa__stripe_secrets *secrets_new(const char *key, const char *const *webhook, size_t count,
                                        const cfa__stripe_secrets *before) {
    cfa__stripe_secrets *made = cfa_alloc(sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    memset(made, 0, sizeof *made);
    atomic_init(&made->owners, 1);
    size_t prefix = sizeof authorization - 1;
    const char *text = key != NULL ? key : before->authorization + prefix;
    made->authorization = cfa_alloc(prefix + strlen(text) + 1);
    if (made->authorization != NULL) {
        memcpy(made->authorization, authorization, prefix);
        memcpy(made->authorization + prefix, text, strlen(text) + 1);
    }
    size_t wanted = count > 0 ? count : before->webhook_count;
    for (size_t i = 0; i < wanted; i++) {
        made->webhook[i] = copy_text(count > 0 ? webhook[i] : before->webhook[i]);
        made->webhook_count = i + 1;
        if (made->webhook[i] == NULL) {
            made->webhook_count = i;
            break;
        }
    }
    if (made->authorization == NULL || made->webhook_count < wanted) {
        secrets_free(made);
        return NULL;
    }
    return made;
}

cfa_status cfa_stripe_secrets_set(cfa_stripe *stripe, const char *secret_key,
                                  const char *const *webhook_secrets, size_t webhook_secret_count) {
    if (stripe == NULL) {
        return cfa_error_set(CFA_EMISUSE, CFA__STRIPE_ORIGIN, "stripe", 0, "there is no adapter");
    }
    bool livemode = stripe->livemode;
    cfa_status status = secret_key != NULL ? check_key(&livemode, secret_key) : CFA_OK;
    if (status == CFA_OK && webhook_secret_count > 0) {
        status = check_webhook_secrets(webhook_secrets, webhook_secret_count);
    }
    if (status == CFA_OK && livemode != stripe->livemode) {
        status = cfa_error_set(CFA_EMODE, CFA__STRIPE_ORIGIN, "secret_key", 0,
                               "the new key is of the other mode: one is live, one is for tests");
    }
    if (status != CFA_OK) {
        return status;
    }
    /* Under the lock, so that two who replace different parts lose neither. */
    pthread_mutex_lock(&stripe->lock);
    cfa__stripe_secrets *before = stripe->secrets;
    cfa__stripe_secrets *made =
        secrets_new(secret_key, webhook_secrets, webhook_secret_count, before);
    if (made != NULL) {
        stripe->secrets = made;
    }
    pthread_mutex_unlock(&stripe->lock);
    if (made == NULL) {
        return no_memory();
    }
    cfa__stripe_secrets_release(before);
    return CFA_OK;
}

/* ---- options --------------------------------------------------------------------------------- */

/* The host of a URL behind its scheme: 127.x.x.x, [::1] or localhost, then a port or a path. */
static bool is_loopback(const char *host) {
    size_t size = strcspn(host, "/");
    if (begins(host, "127.")) {
        size_t digits = strspn(host, "0123456789.");
        return digits == size || host[digits] == ':';
    }
    static const char *const names[] = { "localhost", "[::1]" };
    for (size_t i = 0; i < 2; i++) {
        size_t length = strlen(names[i]);
        if (begins(host, names[i]) && (length == size || host[length] == ':')) {
            return true;
        }
    }
    return false;
}

static cfa_status check_base_url(bool *out_plain, const char *url) {
    bool secure = begins(url, "https://");
    bool plain = begins(url, "http://");
    const char *host = secure ? url + 8 : url + 7;
    if ((!secure && !plain) || host[0] == '\0' || host[0] == '/') {
        return wrong("base_url", "it is https:// and a host");
    }
    if (strpbrk(host, "@?#\\ ") != NULL) {
        return wrong("base_url", "it has no user, query, fragment or space");
    }
    for (const char *at = host; *at != '\0'; at++) {
        if (*at < ' ' || *at >= 0x7f) {
            return wrong("base_url", "it is visible ASCII");
        }
    }
    if (plain && !is_loopback(host)) {
        return wrong("base_url", "http:// is for loopback addresses only; use https://");
    }
    *out_plain = plain;
    return CFA_OK;
}

static cfa_status check_text(const char *text, const char *field) {
    return text == NULL || strnlen(text, TEXT_BYTES_MAX + 1) <= TEXT_BYTES_MAX
               ? CFA_OK
               : cfa_error_format(CFA_ETOOLONG, CFA__STRIPE_ORIGIN, field, 0,
                                  "it has at most %d bytes", TEXT_BYTES_MAX);
}

/* Take a sized struct from a caller who may know fewer fields. */
static cfa_status take_options(cfa_stripe_options *out, const cfa_stripe_options *given) {
    if (given == NULL) {
        return wrong("options", "a secret key and a signing secret are needed");
    }
    if (given->struct_size < sizeof given->struct_size || given->struct_size > sizeof *out) {
        return cfa_error_set(CFA_EABI, CFA__STRIPE_ORIGIN, "struct_size", 0,
                             "cfa_stripe_options.struct_size is not set, or is a newer one's");
    }
    memset(out, 0, sizeof *out);
    memcpy(out, given, given->struct_size);
    const char *texts[] = { out->account, out->base_url, out->product_name, out->ca_file };
    static const char *const names[] = { "account", "base_url", "product_name", "ca_file" };
    cfa_status status = CFA_OK;
    for (size_t i = 0; i < 4 && status == CFA_OK; i++) {
        status = check_text(texts[i], names[i]);
    }
    if (status == CFA_OK && out->ca_file != NULL && access(out->ca_file, R_OK) != 0) {
        status = wrong("ca_file", "it cannot be read");
    }
    if (status == CFA_OK && out->mode != CFA_STRIPE_CHECKOUT && out->mode != CFA_STRIPE_INTENT) {
        status = wrong("mode", "it is CFA_STRIPE_CHECKOUT or CFA_STRIPE_INTENT");
    }
    if (status == CFA_OK &&
        (out->connect_timeout_ms < 0 || out->response_limit_bytes < 0 || out->in_flight_limit < 0 ||
         out->in_flight_limit > IN_FLIGHT_LIMIT_MAX)) {
        status = wrong("in_flight_limit", "limits and time-outs are not negative, and at most "
                                          "100000 calls are in flight");
    }
    return status;
}

/* ---- the adapter ----------------------------------------------------------------------------- */

static const cfa_provider_ops ops_template = {
    .struct_size = sizeof(cfa_provider_ops),
    .name = "stripe",
    .capabilities =
        CFA_PROVIDER_TWO_STEP | CFA_PROVIDER_LOOKUP_AUTHORITATIVE | CFA_PROVIDER_READS_REVERSALS,
    .prepare = cfa__stripe_prepare,
    .call = cfa__stripe_call,
    .webhook = cfa__stripe_webhook,
    .start = cfa__stripe_start,
    .finish = cfa__stripe_finish,
    .descriptor = cfa__stripe_descriptor,
    .next_due_ms = cfa__stripe_next_due_ms,
    .list = cfa__stripe_list,
};

static CURLcode curl_ready;

static void start_curl(void) { curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT); }

static int32_t or_default(int32_t value, int32_t otherwise) {
    return value > 0 ? value : otherwise;
}

/* Without a slash at the end: paths begin with one. */
static char *copy_base_url(const char *url) {
    char *copy = copy_text(url);
    if (copy != NULL) {
        size_t size = strlen(copy);
        while (size > 0 && copy[size - 1] == '/') {
            copy[--size] = '\0';
        }
    }
    return copy;
}

static cfa_status fill(cfa_stripe *stripe, const cfa_stripe_options *options) {
    stripe->ops = ops_template;
    stripe->ops.money_rules = cfa_money_rules_stripe();
    stripe->provider = (cfa_provider){ &stripe->ops, stripe };
    if (options->platform != NULL) {
        stripe->platform = *options->platform;
    }
    stripe->hosted = options->mode == CFA_STRIPE_CHECKOUT;
    stripe->connect_timeout_ms =
        or_default(options->connect_timeout_ms, DEFAULT_CONNECT_TIMEOUT_MS);
    stripe->response_limit =
        (size_t)or_default(options->response_limit_bytes, DEFAULT_RESPONSE_LIMIT);
    stripe->account = copy_text(options->account != NULL ? options->account : "");
    stripe->base_url =
        copy_base_url(options->base_url != NULL ? options->base_url : DEFAULT_BASE_URL);
    stripe->product_name =
        copy_text(!is_empty(options->product_name) ? options->product_name : DEFAULT_PRODUCT_NAME);
    stripe->ca_file = options->ca_file != NULL ? copy_text(options->ca_file) : NULL;
    stripe->secrets = secrets_new(options->secret_key, options->webhook_secrets,
                                  options->webhook_secret_count, NULL);
    stripe->seen = cfa__stripe_seen_new();
    if (stripe->account == NULL || stripe->base_url == NULL || stripe->product_name == NULL ||
        stripe->seen == NULL || (options->ca_file != NULL && stripe->ca_file == NULL) ||
        stripe->secrets == NULL) {
        return no_memory();
    }
    return cfa__stripe_flights_new(&stripe->flights,
                                   or_default(options->in_flight_limit, DEFAULT_IN_FLIGHT_LIMIT));
}

cfa_status cfa_stripe_new(cfa_stripe **out, const cfa_stripe_options *given) {
    cfa_stripe_options options;
    bool livemode = false, plain_http = false;
    cfa_status status = take_options(&options, given);
    if (status == CFA_OK) {
        status = options.secret_key == NULL ? wrong("secret_key", "a secret key is needed")
                                            : check_key(&livemode, options.secret_key);
    }
    if (status == CFA_OK) {
        status = check_webhook_secrets(options.webhook_secrets, options.webhook_secret_count);
    }
    if (status == CFA_OK && options.base_url != NULL) {
        status = check_base_url(&plain_http, options.base_url);
    }
    if (status != CFA_OK) {
        return status;
    }
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, start_curl);
    if (curl_ready != CURLE_OK) {
        return cfa_error_set(CFA_EIO, CFA__STRIPE_ORIGIN, NULL, (int32_t)curl_ready,
                             "libcurl could not be initialised");
    }
    cfa_stripe *stripe = cfa_alloc(sizeof *stripe);
    if (stripe == NULL) {
        return no_memory();
    }
    memset(stripe, 0, sizeof *stripe);
    stripe->livemode = livemode;
    stripe->plain_http = plain_http;
    if (pthread_mutex_init(&stripe->lock, NULL) != 0) {
        cfa_free(stripe);
        return no_memory();
    }
    status = fill(stripe, &options);
    if (status != CFA_OK) {
        cfa_stripe_free(stripe);
        return status;
    }
    *out = stripe;
    return CFA_OK;
}

void cfa_stripe_free(cfa_stripe *stripe) {
    if (stripe == NULL) {
        return;
    }
    cfa__stripe_flights_free(stripe->flights);
    cfa__stripe_idle_free(stripe);
    cfa__stripe_secrets_release(stripe->secrets);
    cfa__stripe_seen_free(stripe->seen);
    pthread_mutex_destroy(&stripe->lock);
    cfa_free(stripe->account);
    cfa_free(stripe->base_url);
    cfa_free(stripe->product_name);
    cfa_free(stripe->ca_file);
    cfa_free(stripe);
}

const cfa_provider *cfa_stripe_provider(cfa_stripe *stripe) { return &stripe->provider; }

int32_t cfa_stripe_livemode(const cfa_stripe *stripe) { return stripe->livemode; }
