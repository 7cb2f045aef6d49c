/*
 * stripe.h - the Stripe adapter's inside: what its files share.
 *
 * units, request, object, reply, exchange, lookup and webhook are pure; seen is memory that look-ups
 * share; list asks through transfer, which with flight alone touches libcurl and the network.
 */
#ifndef CFA_ADAPTERS_STRIPE_STRIPE_H
#define CFA_ADAPTERS_STRIPE_STRIPE_H

#include "util/json.h"

#include <careforall/adapters/stripe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define CFA__STRIPE_ORIGIN "provider.stripe"
#define CFA__STRIPE_DEFAULT_TIMEOUT_MS 20000

/* ---- secrets: replaced as a whole, kept by every call that began with them ------------------- */

typedef struct cfa__stripe_secrets {
    atomic_int owners;
    char *authorization; /* the whole header line */
    char *webhook[CFA_STRIPE_WEBHOOK_SECRETS_MAX];
    size_t webhook_count;
} cfa__stripe_secrets;

/* ---- one HTTP request and its answer --------------------------------------------------------- */

typedef struct cfa__stripe_request {
    bool post;
    const char *target;          /* path and query; in the call's arena */
    cfa_slice body;              /* POST */
    const char *idempotency_key; /* POST */
    int32_t delay_ms;            /* to be made so much later */
    int32_t timeout_ms;          /* from then on */
} cfa__stripe_request;

/* How far a request got that brought no whole answer. */
typedef enum cfa__stripe_fate {
    CFA__STRIPE_ANSWERED,
    CFA__STRIPE_NEVER_SENT, /* not one byte of the request left */
    CFA__STRIPE_LOST        /* it may have arrived */
} cfa__stripe_fate;

typedef struct cfa__stripe_response {
    cfa__stripe_fate fate;
    const char *code; /* why there is no answer: static text */
    bool unavailable; /* ... and it speaks against the provider */
    int32_t status;
    bool replayed;      /* Idempotent-Replayed: true */
    int32_t retry_wish; /* Stripe-Should-Retry: 1 true, -1 false, 0 absent */
    int64_t retry_after_ms;
    int64_t date_us; /* the provider's clock, 0 when it said nothing */
    cfa_slice body;
} cfa__stripe_response;

/* ---- units.c: our minor units and Stripe's --------------------------------------------------- */

/* False when Stripe has no such amount. */
bool cfa__stripe_units(int64_t *out, cfa_money amount);
/* False when ours has none, or the currency (as Stripe writes it) is unknown. */
bool cfa__stripe_money(cfa_money *out, int64_t units, const char *currency);

/* ---- seen.c: what look-ups have seen --------------------------------------------------------- */

#define CFA__STRIPE_PAGE_OBJECTS_MAX 100 /* Stripe's own limit */
#define CFA__STRIPE_SPANS_MAX 64

/* Seconds of Stripe's clock, both ends included. */
typedef struct cfa__stripe_span {
    int64_t from_s, until_s;
} cfa__stripe_span;

/* Ascending and apart from each other. */
typedef struct cfa__stripe_spans {
    int32_t count;
    cfa__stripe_span items[CFA__STRIPE_SPANS_MAX];
} cfa__stripe_spans;

/* Where there are too many, the narrowest is forgotten. */
void cfa__stripe_spans_add(cfa__stripe_spans *spans, cfa__stripe_span added);
/* The newest part of `within` that is in none of them; false when there is none. */
bool cfa__stripe_spans_gap(const cfa__stripe_spans *spans, cfa__stripe_span within,
                           cfa__stripe_span *out);

typedef struct cfa__stripe_sighting {
    uint64_t payment;
    int64_t created_s;
} cfa__stripe_sighting;

/* Of one page: objects with a payment of ours, and the times of all. */
typedef struct cfa__stripe_sightings {
    int32_t count;
    int64_t newest_s, oldest_s;
    cfa__stripe_sighting items[CFA__STRIPE_PAGE_OBJECTS_MAX];
} cfa__stripe_sightings;

typedef struct cfa__stripe_seen cfa__stripe_seen;

/* NULL without memory. */
cfa__stripe_seen *cfa__stripe_seen_new(void);
void cfa__stripe_seen_free(cfa__stripe_seen *seen);
/* How a payment is known here; two may rarely share one. */
uint64_t cfa__stripe_seen_payment(const char *payment_id);
/* Remember a page and the span that was seen whole with it, as far as it can change no more. True
 * when that says anything new. `clock_s`: when the page was answered. */
bool cfa__stripe_seen_note(cfa__stripe_seen *seen, const char *account, bool sessions,
                           const cfa__stripe_sightings *page, cfa__stripe_span span,
                           int64_t clock_s);
/*
 * Add to `spans` what was seen of the window and does not hold the payment. True: nothing was added,
 * the payment was seen in the second `out_s`, which is in none of `spans`; it has to be looked at.
 */
bool cfa__stripe_seen_take(cfa__stripe_seen *seen, const char *account, bool sessions,
                           uint64_t payment, cfa__stripe_span within, cfa__stripe_spans *spans,
                           int64_t *out_s);

/* ---- request.c ------------------------------------------------------------------------------- */

cfa_status cfa__stripe_prepare(void *self, const cfa_call *call, cfa_arena *arena,
                               cfa_slice *out_body);
/* The first request of a call; not for LOOKUP. */
CFA_MUST_CHECK cfa_status cfa__stripe_request_of(cfa__stripe_request *out, const cfa_call *call,
                                                 cfa_arena *arena);
/* What was created in a span of time, or, `open`, since its beginning, newest first. `after`: the
 * last id of the page before, or "". */
CFA_MUST_CHECK cfa_status cfa__stripe_request_list(cfa__stripe_request *out, bool sessions,
                                                   cfa__stripe_span created, bool open,
                                                   const char *after, int32_t limit,
                                                   cfa_arena *arena);
/* One page of a list: `created` NULL: of any time; `rest`: more of the query, as it stands there, or
 * ""; `payout`: only what was paid out with it, or NULL. */
CFA_MUST_CHECK cfa_status cfa__stripe_request_page(cfa__stripe_request *out, const char *path,
                                                   const cfa__stripe_span *created,
                                                   const char *payout, const char *after,
                                                   int32_t limit, const char *rest,
                                                   cfa_arena *arena);
/* An intent, or a hosted page with its intent, and what was paid with it: charge, refunds, fee. */
CFA_MUST_CHECK cfa_status cfa__stripe_request_read(cfa__stripe_request *out, const char *ref,
                                                   cfa_arena *arena);
/* All refunds, or disputes, of an intent. */
CFA_MUST_CHECK cfa_status cfa__stripe_request_reversals(cfa__stripe_request *out, bool refunds,
                                                        const char *intent, cfa_arena *arena);
/* The hosted page of an intent, and its end. */
CFA_MUST_CHECK cfa_status cfa__stripe_request_page_of(cfa__stripe_request *out, const char *intent,
                                                      cfa_arena *arena);
CFA_MUST_CHECK cfa_status cfa__stripe_request_expire(cfa__stripe_request *out, const cfa_call *call,
                                                     const char *session, cfa_arena *arena);
bool cfa__stripe_is_session(const char *ref);
/* True for the body of a CREATE that makes a hosted page. */
bool cfa__stripe_makes_page(cfa_slice body);

/* ---- object.c: what Stripe's objects say as facts -------------------------------------------- */

/*
 * `moment_us`: when the object looked like this, by Stripe's clock. Text is copied into `arena`.
 * CFA_EINVAL: not such an object, or an amount that ours cannot hold; CFA_ENOMEM.
 */
CFA_MUST_CHECK cfa_status cfa__stripe_intent(cfa_facts *out, const cfa__json *intent,
                                             int64_t moment_us, cfa_arena *arena);
/* `*out_tells`: false when the state is to be read from the payment intent. */
CFA_MUST_CHECK cfa_status cfa__stripe_session(cfa_facts *out, bool *out_tells,
                                              const cfa__json *session, int64_t moment_us,
                                              cfa_arena *arena);
CFA_MUST_CHECK cfa_status cfa__stripe_charge(cfa_facts *out, const cfa__json *charge,
                                             int64_t moment_us, cfa_arena *arena);
/* True for {"object": name}. */
bool cfa__stripe_object_is(const cfa__json *value, const char *name);
/* The objects of one page of a list; NULL when that is anything else: it says nothing, least of all
 * that there are none. */
const cfa__json *cfa__stripe_page(const cfa__json *list, bool *out_more);
/* A text member, borrowed; NULL when absent or of another type. */
const char *cfa__stripe_text(const cfa__json *object, const char *name);
bool cfa__stripe_text_is(const cfa__json *object, const char *name, const char *wanted);
/* The code of a failure: what the bank said where it said something. */
const char *cfa__stripe_failure(const char *code, const char *bank_code);

/* ---- reply.c: what an answer proves ---------------------------------------------------------- */

/* Fill `out` from the answer to a call's own request. `root`: its JSON, or NULL. */
void cfa__stripe_reply(cfa_reply *out, const cfa_call *call, const cfa__stripe_response *response,
                       const cfa__json *root, cfa_arena *arena);
/* Fill `out` from one object that a look-up found. */
void cfa__stripe_reply_found(cfa_reply *out, const cfa__json *object, int64_t moment_us,
                             cfa_arena *arena);

/* ---- exchange.c: a call as one or several requests ------------------------------------------- */

typedef enum cfa__stripe_phase {
    CFA__STRIPE_OWN, /* the call's own request; the only one of most calls */
    CFA__STRIPE_LOOKUP,
    CFA__STRIPE_REVERSALS, /* of a read: refunds or disputes that the payment did not bring */
    CFA__STRIPE_FIND_PAGE, /* a refused cancel: is the hosted page still open? */
    CFA__STRIPE_EXPIRE_PAGE
} cfa__stripe_phase;

typedef struct cfa__stripe_exchange {
    cfa_stripe *stripe;
    const cfa_call *call;
    cfa_arena *arena;
    cfa_reply *out;
    cfa__stripe_phase phase;
    uint32_t unread; /* of a read: CFA__STRIPE_REFUNDS, CFA__STRIPE_DISPUTES still to be listed */
    int64_t deadline_us;
    struct cfa__stripe_walk *walk; /* of a look-up, in the arena */
} cfa__stripe_exchange;

/* Zero `out` and describe the first request. False: none is to be made and `out` says why. */
bool cfa__stripe_exchange_begin(cfa__stripe_exchange *exchange, cfa_stripe *stripe,
                                const cfa_call *call, cfa_arena *arena, cfa_reply *out,
                                cfa__stripe_request *out_request);
/* Take an answer. True: `out_request` is to be made next; false: `out` is filled. */
bool cfa__stripe_exchange_next(cfa__stripe_exchange *exchange, const cfa__stripe_response *response,
                               cfa__stripe_request *out_request);
/* Fill `out` with an outcome that brings nothing else; false, for the callers of the above. */
bool cfa__stripe_exchange_end(cfa__stripe_exchange *exchange, int32_t outcome, const char *code);
int32_t cfa__stripe_exchange_left_ms(const cfa__stripe_exchange *exchange);

/* ---- lookup.c: the requests of a look-up, in the manner of an exchange ----------------------- */

bool cfa__stripe_lookup_begin(cfa__stripe_exchange *exchange, cfa__stripe_request *out_request);
bool cfa__stripe_lookup_next(cfa__stripe_exchange *exchange, const cfa__stripe_response *response,
                             const cfa__json *root, cfa__stripe_request *out_request);

/* ---- transfer.c: one request over libcurl ---------------------------------------------------- */

/* A handle with its buffers, used by one request at a time and kept for the next. */
typedef struct cfa__stripe_transfer cfa__stripe_transfer;

/* NULL without memory. */
cfa__stripe_transfer *cfa__stripe_transfer_new(const cfa_stripe *stripe);
void cfa__stripe_transfer_free(cfa__stripe_transfer *transfer);
/* Give back the memory of a long answer. */
void cfa__stripe_transfer_trim(cfa__stripe_transfer *transfer);
/* Free the idle handles of `cfa__stripe_call`. */
void cfa__stripe_idle_free(cfa_stripe *stripe);
/* Describe the request to libcurl. False: it cannot be made, and `out` says why. */
bool cfa__stripe_transfer_begin(cfa__stripe_transfer *transfer, const cfa_stripe *stripe,
                                const cfa__stripe_secrets *secrets, const cfa_call *call,
                                const cfa__stripe_request *request, cfa__stripe_response *out);
/* What libcurl's result means; the response's body is the transfer's until its next request. */
void cfa__stripe_transfer_end(cfa__stripe_transfer *transfer, const cfa_stripe *stripe,
                              int curl_result, cfa__stripe_response *out);
void *cfa__stripe_transfer_handle(cfa__stripe_transfer *transfer);
void cfa__stripe_call(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out);
/* Make one request and wait for its answer, whose body is copied into `arena`. */
void cfa__stripe_ask(cfa_stripe *stripe, const char *account, const cfa__stripe_request *request,
                     cfa_arena *arena, cfa__stripe_response *out);

/* ---- flight.c: many calls on one thread ------------------------------------------------------ */

typedef struct cfa__stripe_flights cfa__stripe_flights;

CFA_MUST_CHECK cfa_status cfa__stripe_flights_new(cfa__stripe_flights **out, int32_t limit);
void cfa__stripe_flights_free(cfa__stripe_flights *flights);
cfa_status cfa__stripe_start(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out,
                             uint64_t token);
int32_t cfa__stripe_finish(void *self, uint64_t *out_token, int32_t timeout_ms);
int cfa__stripe_descriptor(void *self);
int32_t cfa__stripe_next_due_ms(void *self);

/* ---- the adapter ----------------------------------------------------------------------------- */

struct cfa_stripe {
    cfa_provider_ops ops; /* this and all until the lock: immutable */
    cfa_provider provider;
    cfa_platform platform;
    char *account, *base_url, *product_name, *ca_file;
    bool hosted, livemode, plain_http;
    int32_t connect_timeout_ms;
    size_t response_limit;
    cfa__stripe_flights *flights; /* used by one thread at a time */
    cfa__stripe_seen *seen;       /* locks itself */
    pthread_mutex_t lock;
    cfa__stripe_secrets *secrets;
    cfa__stripe_transfer *idle; /* of blocking calls, with open connections; last used first */
    int32_t idle_count;
};

/* stripe.c */
cfa__stripe_secrets *cfa__stripe_secrets_hold(cfa_stripe *stripe);
void cfa__stripe_secrets_release(cfa__stripe_secrets *secrets);
int64_t cfa__stripe_now_us(const cfa_stripe *stripe);
/* The account that a call is for, "" for the key's own. */
const char *cfa__stripe_account_of(const cfa_stripe *stripe, const cfa_call *call);
/* A clock that no one sets, for time-outs. */
int64_t cfa__stripe_monotonic_us(void);

/* list.c */
void cfa__stripe_list(void *self, const cfa_list_request *request, cfa_arena *arena,
                      cfa_list_page *out);

/* webhook.c */
cfa_status cfa__stripe_webhook(void *self, cfa_slice signature, cfa_slice body, int64_t now_us,
                               cfa_arena *arena, cfa_webhook_event *out);

#endif
