/*
 * sys/provider.h - what a payment provider's adapter implements, and how a host pulls provider
 * calls instead.
 *
 * A call is recorded with its idempotency key and its exact bytes before it is made. Its reply says
 * what happened in five words; a zeroed reply means UNKNOWN, so a forgotten branch is safe. What
 * the provider knows about a payment comes back as facts: they only grow and commute, so their
 * order does not matter.
 */
#ifndef CAREFORALL_SYS_PROVIDER_H
#define CAREFORALL_SYS_PROVIDER_H

#include <careforall/base.h>
#include <careforall/money.h>
#include <careforall/sys/platform.h>

CFA_BEGIN

/* ---- facts ----------------------------------------------------------------------------------- */

/* Durable facts only grow. Volatile ones describe one attempt; a later (attempt, time) replaces an
 * earlier. */
enum {
    CFA_FACT_SUCCEEDED = 1,     /* durable: captured in full, nothing more to wait for */
    CFA_FACT_CANCELED = 2,      /* durable */
    CFA_FACT_EXPIRED = 4,       /* durable: the hold or the intent ran out at the provider */
    CFA_FACT_FRAUD_WARNING = 8, /* durable: the card's issuer suspects fraud; no money moved yet */
    CFA_FACT_NEEDS_ACTION = 16, /* volatile: the donor must do something */
    CFA_FACT_PROCESSING = 32,   /* volatile */
    CFA_FACT_FAILED = 64,  /* volatile: this attempt was declined; the payment may still succeed */
    CFA_FACT_SETTLED = 128 /* durable: what was captured was paid out to the account's owner */
};

/*
 * One refund of the payment, named by the provider's id: amounts are never what tells two apart.
 *
 * The release of a hold that was not captured is no refund: it is reported as CANCELED or EXPIRED.
 * `refund_id` comes with every report of a refund that we asked for, or with none.
 */
typedef struct cfa_refund_facts {
    size_t struct_size;
    const char *ref;       /* the provider's id of the refund */
    const char *refund_id; /* our id as the provider echoes it from metadata, or NULL */
    cfa_money amount;
    int32_t state; /* CFA_REFUND_PENDING, _REQUIRES_ACTION, _SUCCEEDED, _FAILED or _CANCELED */
    const char *failure_code; /* why it failed, or NULL */
    int64_t occurred_us;      /* the provider's own time; tells PENDING from REQUIRES_ACTION */
} cfa_refund_facts;

/* One dispute of the payment. Its money is told apart from its state: what was taken and given back
 * only grows. A second round is another dispute with a `ref` of its own. */
typedef struct cfa_dispute_facts {
    size_t struct_size;
    const char *ref;                           /* the provider's id of the dispute */
    cfa_money amount;                          /* what is disputed */
    int32_t state;                             /* CFA_DISPUTE_* */
    int64_t withdrawn_minor, reinstated_minor; /* durable: most ever taken, and given back */
    cfa_money fee;      /* durable: most ever charged for it, booked apart; minor 0: not known */
    const char *reason; /* "fraudulent", ..., or NULL */
    int64_t evidence_due_us; /* until when it can be answered; 0: not told */
    int64_t occurred_us;
} cfa_dispute_facts;

typedef struct cfa_facts {
    size_t struct_size;
    const char *ref;          /* the provider's id of the payment; NULL when there is none */
    const char *payment_id;   /* our id as the provider echoes it from metadata, or NULL */
    cfa_money amount;         /* what the provider was asked for; compared with the payment */
    uint32_t flags;           /* CFA_FACT_* */
    int64_t authorized_minor; /* durable: most ever held */
    int64_t captured_minor;   /* durable: most ever captured */
    int32_t attempt; /* which try of the donor the volatile facts are about, from 1; 0: unknown */
    int64_t occurred_us;       /* the provider's own time, for the volatile facts */
    const char *failure_code;  /* "card_declined", or NULL */
    const char *cancel_reason; /* "abandoned", "requested_by_customer", ..., or NULL */
    /* The object that `ref` grew out of, when the provider changes ids on the way (the hosted page
     * whose payment `ref` is), or NULL. Naming it once binds both to the payment. */
    const char *origin_ref;
    /* What the report says of refunds and disputes: those it names, each as far as it is told. */
    const cfa_refund_facts *const *refunds;
    const cfa_dispute_facts *const *disputes;
    int32_t refund_count, dispute_count; /* at most CFA_REVERSALS_MAX each */
    /* Durable: what the provider keeps of the captured money, in the currency it settles in; minor 0
     * and no currency while it is not known. */
    cfa_money fee;
} cfa_facts;

/* Refunds, or disputes, in one report. */
#define CFA_REVERSALS_MAX 100

#define CFA_FACTS_INIT                                                                             \
    {                                                                                              \
        sizeof(cfa_facts), NULL, NULL, { 0, "" }, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, 0,  \
            0, {                                                                                   \
            0, ""                                                                                  \
        }                                                                                          \
    }

/* ---- calls ----------------------------------------------------------------------------------- */

enum {
    CFA_CALL_CREATE = 1, /* make the intent (two-step), or charge (one-step) */
    CFA_CALL_CAPTURE = 2,
    CFA_CALL_CANCEL = 3,
    CFA_CALL_RETRIEVE = 4, /* read by `ref` */
    CFA_CALL_LOOKUP = 5,   /* read by payment id among objects created in a window */
    CFA_CALL_REFUND = 6    /* give `amount` of a captured payment back, as `refund_id` */
};

typedef struct cfa_call {
    size_t struct_size;
    int32_t kind;                /* CFA_CALL_* */
    const char *operation_id;    /* "pay_.../1": the payment and the number of the operation */
    const char *payment_id;      /* goes into the provider's metadata */
    const char *idempotency_key; /* deterministic; the same for every repeat of this operation */
    const char *account;         /* the provider account, "" for the default */
    const char *ref;             /* all but CREATE and LOOKUP */
    cfa_money amount;
    const char *payment_method; /* provider token, or NULL */
    int32_t capture_manual;
    cfa_slice body; /* what `prepare` made, byte for byte */
    /* LOOKUP: where a two-step provider's object can be; open for one-step providers, which must
     * look by payment id alone, because what they do not find may be charged again. */
    int64_t created_from_us, created_until_us;
    int64_t now_us;
    int32_t timeout_ms;
    /* CREATE: where a hosted page sends the donor afterwards, or NULL. Told to `prepare` alone, which
     * puts them into the body; a call that is made carries no more than its body. */
    const char *return_url, *cancel_url;
    const char *refund_id; /* REFUND: our id of it, for the provider's metadata; else NULL */
} cfa_call;

/* What became of a call. Never fold UNKNOWN into either side. */
enum {
    CFA_OUTCOME_UNKNOWN = 0, /* it may have happened: time-out, reset after sending, 5xx */
    CFA_OUTCOME_DONE = 1,    /* it happened; `facts` say what */
    CFA_OUTCOME_PENDING = 2, /* accepted, the result comes later */
    CFA_OUTCOME_REFUSED = 3, /* it certainly did not and will not happen: 4xx */
    CFA_OUTCOME_NOT_SENT = 4 /* nothing reached the provider, or it proved that nothing was done */
};

typedef struct cfa_reply {
    size_t struct_size;
    int32_t outcome; /* CFA_OUTCOME_* */
    int32_t stored;  /* non-zero: an answer replayed for this key; asking again gives the same */
    /* What the donor confirms with, or NULL. A read should bring it too: it may be the first word
     * after a CREATE whose reply was lost. */
    const char *client_secret;
    const char *code;       /* provider's code for a refusal or failure, or NULL */
    int64_t retry_after_ms; /* 0: unspecified */
    /* The provider's hosted page for the donor, or NULL. Like `client_secret`, a read may bring
     * it. */
    const char *redirect_url;
    /* Non-zero: the provider could not be reached, did not answer in time, or answered 5xx or 429.
     * Counts for the circuit breaker; a refusal or a decline never does. */
    int32_t unavailable;
    /* With a LOOKUP that is UNKNOWN, non-zero: it only ran out of time, and the next one goes on from
     * where it got to. The engine then looks again soon, a hundred times at most. */
    int32_t unfinished;
    /* With DONE and PENDING. A LOOKUP that found nothing is NOT_SENT, and only that: one that did
     * not reach the provider proves nothing and is UNKNOWN. Last, because it grows. */
    cfa_facts facts;
} cfa_reply;

/* ---- listing --------------------------------------------------------------------------------- */

/* What can be listed. SETTLEMENTS are payments that were paid out, by the payout's time. */
enum {
    CFA_LIST_PAYMENTS = 0,
    CFA_LIST_REFUNDS = 1,
    CFA_LIST_DISPUTES = 2,
    CFA_LIST_SETTLEMENTS = 3
};
#define CFA_LIST_KINDS 4
#define CFA_LIST_OBJECTS_MAX 100 /* of one page */
#define CFA_LIST_CURSOR_MAX 511  /* bytes of a cursor */

/* Objects that the provider created from `created_from_us` on and before `created_until_us`. */
typedef struct cfa_list_request {
    size_t struct_size;
    int32_t kind;        /* CFA_LIST_* */
    const char *account; /* "" for the default */
    int64_t created_from_us, created_until_us;
    const char *cursor; /* `next` of the page before, of the same request; NULL: the first page */
    int64_t now_us;
    int32_t timeout_ms;
} cfa_list_request;

/* One object and what it says. Facts of a refund or a dispute name their payment and that one. */
typedef struct cfa_listed {
    size_t struct_size;
    int32_t livemode;       /* 0 or 1; negative: not told */
    int32_t whole;          /* non-zero: it states all that is known of the payment's money */
    int64_t refunded_minor; /* of the payment so far; negative: not told */
    cfa_facts facts;        /* last, because it grows */
} cfa_listed;

typedef struct cfa_list_page {
    size_t struct_size;
    /* DONE: this is the page. UNKNOWN, NOT_SENT: there is none, ask again. REFUSED: there is none,
     * and asking again gives none. Zeroed means UNKNOWN: nothing that failed looks like an end. */
    int32_t outcome;
    int32_t count; /* 0 to CFA_LIST_OBJECTS_MAX; a page without objects is no end */
    const cfa_listed *const *objects;
    const char *next;    /* where the next page begins; NULL: with DONE, and only then, the end */
    const char *code;    /* why there is no page, or NULL */
    int32_t unavailable; /* as in a reply */
    int64_t retry_after_ms; /* 0: unspecified */
} cfa_list_page;

/* ---- webhooks -------------------------------------------------------------------------------- */

typedef struct cfa_webhook_event {
    size_t struct_size;
    const char *event_id;   /* unique per provider and account */
    const char *event_type; /* the provider's own name */
    const char *account;    /* "" for the default */
    int32_t livemode;
    int32_t relevant; /* 0: authentic, but nothing for us: recorded and answered 200 */
    int32_t fetch; /* non-zero: `facts` only name the object, its state is to be read (thin events,
                    * or objects that do not tell a payment's state) */
    cfa_facts facts; /* last, because it grows */
} cfa_webhook_event;

/* ---- the adapter ----------------------------------------------------------------------------- */

enum {
    CFA_PROVIDER_TWO_STEP = 1,             /* create first, the donor confirms later */
    CFA_PROVIDER_LOOKUP_AUTHORITATIVE = 2, /* a LOOKUP that finds nothing proves absence */
    CFA_PROVIDER_READS_REVERSALS = 4 /* a RETRIEVE names every refund and dispute of the payment:
                                      * what it leaves out does not exist */
};

typedef struct cfa_provider_ops {
    size_t struct_size;
    const char *name; /* "play", "stripe": part of every provider key */
    uint32_t capabilities;
    const cfa_money_rules *money_rules; /* NULL: ISO 4217 alone */

    /* Pure: write the exact bytes that `call` will send. No I/O, no clock, no randomness. */
    cfa_status (*prepare)(void *self, const cfa_call *call, cfa_arena *arena, cfa_slice *out_body);

    /* Make the call within `call->timeout_ms`. Never called inside a transaction or under a lock;
     * several threads may call at once. Reply text lives in `arena`. NULL: the host pulls calls
     * (below). */
    void (*call)(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out);

    /* Pure: verify a webhook's bytes and normalise it. CFA_ESIGNATURE says which of altered, wrong
     * secret, too old or from the future it is; CFA_EINVAL for a malformed body. NULL: no
     * webhooks. */
    cfa_status (*webhook)(void *self, cfa_slice signature, cfa_slice body, int64_t now_us,
                          cfa_arena *arena, cfa_webhook_event *out);

    /*
     * Many calls in flight on one thread; either all four or none. The provider then belongs to one
     * engine, whose background work uses these from one thread at a time, and `call` (which stays
     * required) from threads that wait for their own payment.
     *
     * `start` begins a call and never blocks; `call`, `arena` and `out` stay valid until `finish`
     * hands `token` back, once. Not CFA_OK: nothing was sent and no token will come. `finish` moves
     * the transfers on, waits at most `timeout_ms` for one to end, and returns true with its token,
     * false when none ended. `descriptor` is readable when `finish` has something to do;
     * `next_due_ms` is when it must be called at the latest, -1 when nothing is in flight.
     */
    cfa_status (*start)(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out,
                        uint64_t token);
    int32_t (*finish)(void *self, uint64_t *out_token, int32_t timeout_ms);
    int (*descriptor)(void *self);
    int32_t (*next_due_ms)(void *self);

    /*
     * Read one page of what the provider has, within `request->timeout_ms`. NULL, or behind the
     * `struct_size` of an older adapter: it lists nothing. Never called inside a transaction or under
     * a lock; several threads may call at once. Text of the page lives in `arena`.
     *
     * From the first page to the end every object of the window is brought at least once that was
     * there when the first page was asked for, as it stands when its own page is; one that comes
     * meanwhile may be left out. A page that cannot be read whole is no page. The same cursor can be
     * asked for again.
     */
    void (*list)(void *self, const cfa_list_request *request, cfa_arena *arena, cfa_list_page *out);
} cfa_provider_ops;

typedef struct cfa_provider {
    const cfa_provider_ops *ops;
    void *self;
} cfa_provider;

/* ---- pulled calls: a provider written in the host's own language ----------------------------- */

/* A due call, leased to this host until `cfa_call_free` or its lease ends. */
typedef struct cfa_pulled_call cfa_pulled_call;

/*
 * Lease the next due provider call; `*out` is NULL when none became due within `timeout_ms`.
 * The lease is durable when it returns; a crash makes the call due again, with the same key.
 * Expected: CFA_OK; TRANSIENT of the store. Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_call_next(cfa_pulled_call **out, cfa_engine *engine,
                                                int32_t timeout_ms);
/* What to send. Borrowed until the free. */
CFA_API const cfa_call *cfa_pulled_call_view(const cfa_pulled_call *call);
/*
 * Report what became of a leased call. Durable when it returns; reporting it again changes nothing.
 * Expected: CFA_OK; CFA_EFENCED when the lease ended and another host made the call; CFA_EINDOUBT.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_call_done(cfa_engine *engine, cfa_pulled_call *call,
                                                const cfa_reply *reply, int32_t timeout_ms);
CFA_API void cfa_pulled_call_free(cfa_pulled_call *call);

CFA_END

#endif
