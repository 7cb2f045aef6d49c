/*
 * adapters/stripe.h - payments through Stripe's API. Library careforall-stripe, pkg-config
 * careforall-stripe.
 *
 * Two-step: an intent or a hosted page is created unconfirmed, the donor pays there, and webhooks
 * or reads tell what became of it. docs/stripe.md has the mapping of statuses, events and errors.
 */
#ifndef CAREFORALL_ADAPTERS_STRIPE_H
#define CAREFORALL_ADAPTERS_STRIPE_H

#include <careforall/engine.h>
#include <careforall/reconcile.h>
#include <careforall/sys/provider.h>

CFA_BEGIN

/* The API version that every request asks for. */
#define CFA_STRIPE_API_VERSION "2024-06-20"

/* Signing secrets that can be active at once, while one is rolled. */
#define CFA_STRIPE_WEBHOOK_SECRETS_MAX 8

/*
 * Bounds of look-ups. One lists what was created in a window of time, 100 objects a page, within the
 * call's `timeout_ms`; what did not fit into it the next one goes on with. With 0.3 s a page and 30 s
 * a call absence is proved on accounts that make up to 5,000 objects an hour by one look-up, up to
 * 60,000 by several (docs/stripe.md).
 */
#define CFA_STRIPE_LOOKUP_PAGES_MAX 2000      /* requests of one look-up */
#define CFA_STRIPE_LOOKUP_PAYMENTS_MAX 131072 /* remembered of each list from those before */

/* How a donor pays. */
enum {
    CFA_STRIPE_CHECKOUT = 0, /* on Stripe's hosted page: replies bring a redirect_url */
    CFA_STRIPE_INTENT = 1    /* in the host's own page: replies bring a client_secret */
};

typedef struct cfa_stripe cfa_stripe;

typedef struct cfa_stripe_options {
    size_t struct_size;
    const char *secret_key;             /* sk_test_, rk_test_, sk_live_ or rk_live_ */
    const char *const *webhook_secrets; /* whsec_...; any of them may have signed */
    size_t webhook_secret_count;        /* at least 1 */
    /* A connected account, sent as Stripe-Account with calls that name none; its events are then
     * reported as the default account's. NULL or "": none. Where the engine's own `account` option
     * is set, leave this one out. */
    const char *account;
    const char *base_url;     /* NULL: https://api.stripe.com; http:// only to a loopback address */
    int32_t mode;             /* CFA_STRIPE_CHECKOUT or CFA_STRIPE_INTENT */
    const char *product_name; /* what the hosted page says is paid for; NULL: "Donation" */
    const char *ca_file;      /* PEM file of trusted authorities; NULL: the system's */
    int32_t connect_timeout_ms;   /* 0: 3000 */
    int32_t response_limit_bytes; /* a longer answer is not read; 0: 1 MiB */
    int32_t in_flight_limit;      /* calls that `start` takes at once; 0: 1000 */
    const cfa_platform *platform; /* its clock; NULL: the system's. Borrowed */
} cfa_stripe_options;

#define CFA_STRIPE_OPTIONS_INIT                                                                    \
    { sizeof(cfa_stripe_options), NULL, NULL, 0, NULL, NULL, 0, NULL, NULL, 0, 0, 0, NULL }

/*
 * Make an adapter for one Stripe account; no request is made yet.
 * `options`: copied. `*out`: freed by `cfa_stripe_free`, after every engine that uses it.
 * Expected: CFA_OK; CFA_EINVAL naming the option; CFA_ENOMEM; CFA_EIO.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_stripe_new(cfa_stripe **out,
                                                 const cfa_stripe_options *options);
/* Calls that are still in flight are cut off; what they did is unknown. */
CFA_API void cfa_stripe_free(cfa_stripe *stripe);
/* The adapter, borrowed until the free. */
CFA_API const cfa_provider *cfa_stripe_provider(cfa_stripe *stripe);
/* Non-zero when the secret key moves real money: what `cfa_engine_options.livemode` must say. */
CFA_API int32_t cfa_stripe_livemode(const cfa_stripe *stripe);

/*
 * Replace the API key, the webhook secrets, or both, while calls are made.
 * Calls in flight keep the key they began with. `secret_key` NULL and `webhook_secret_count` 0:
 * keep what there is. Strings: copied.
 * Expected: CFA_OK; CFA_EINVAL; CFA_EMODE for a key of the other mode (test, live); CFA_ENOMEM.
 * Nothing changes unless CFA_OK. Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_stripe_secrets_set(cfa_stripe *stripe, const char *secret_key,
                                                         const char *const *webhook_secrets,
                                                         size_t webhook_secret_count);

/* ---- exported files -------------------------------------------------------------------------- */

typedef struct cfa_stripe_export cfa_stripe_export;

/*
 * Open a file that was exported from Stripe, for `cfa_reconcile_engine` and its like; no network, no
 * key. Its first byte tells the form: objects as the API writes them, one after the other or in list
 * objects (payment_intent, checkout.session, charge, refund, dispute, balance_transaction, payout); or
 * CSV, whose header tells which: the Dashboard's payments or balance history, the itemized reports of
 * the balance and of payouts. docs/reconcile.md has the columns.
 *
 * The whole file is read once before this returns, as a stream: one that cannot be read to its end,
 * or has one id with two contents, is refused with its line.
 * `*out`: owned, `cfa_stripe_export_free`. Used by one thread at a time.
 * Expected: CFA_OK; CFA_EINVAL, CFA_EENCODING, CFA_ECURRENCY, CFA_EAMOUNT, CFA_ETOOLONG or
 * CFA_ERANGE naming line and field; CFA_EIO; CFA_ENOMEM. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_stripe_export_open(cfa_stripe_export **out, const char *path);
CFA_API void cfa_stripe_export_free(cfa_stripe_export *file);
/* A `cfa_reconcile_next`, whose `self` is the file. */
CFA_API cfa_status cfa_stripe_export_next(void *self, cfa_reconcile_object *out);

CFA_END

#endif
