/*
 * pledge.h - a donor's promise, made once per idempotency key however often it is asked for.
 */
#ifndef CAREFORALL_PLEDGE_H
#define CAREFORALL_PLEDGE_H

#include <careforall/base.h>
#include <careforall/engine.h>
#include <careforall/money.h>
#include <careforall/payment.h>

CFA_BEGIN

typedef struct cfa_pledge cfa_pledge;
typedef struct cfa_pledge_list cfa_pledge_list;

typedef int32_t cfa_visibility;
enum {
    CFA_VISIBILITY_PUBLIC = 0,
    CFA_VISIBILITY_OWNER = 1, /* the campaign's owner sees the name, the public does not */
    CFA_VISIBILITY_HIDDEN = 2
};

/* How far a call waits. */
typedef int32_t cfa_wait;
enum {
    CFA_WAIT_ANSWER = 0, /* until the provider's object is stored and the answer fixed */
    CFA_WAIT_COMMIT =
        1,            /* until the pledge is durable; the provider call follows in the background */
    CFA_WAIT_PAID = 2 /* until the payment is COMPLETED, FAILED, CANCELED or EXPIRED */
};

typedef struct cfa_pledge_spec {
    size_t struct_size;
    const char *key;         /* required: the idempotency key, 1 to 255 visible ASCII characters */
    const char *scope;       /* whose key it is; NULL or "": the host itself. Stored hashed */
    const char *campaign_id; /* required */
    cfa_money amount;        /* required */
    const char *payment_method;  /* provider token; required by one-step providers */
    const char *donor_reference; /* the host's own stable id of the donor, or NULL: anonymous */
    const char *donor_name;      /* personal data, erasable: name, e-mail, message, reference */
    const char *donor_email;
    const char *donor_message;
    cfa_visibility visibility;
    cfa_wait wait;
    int32_t timeout_ms;
    const char *traceparent; /* W3C trace context, kept in the events, or NULL */
    /* Where the provider's hosted page sends the donor afterwards: http or https, at most 500
     * bytes. Providers without such a page ignore them. The host decides which hosts it allows. */
    const char *return_url, *cancel_url;
} cfa_pledge_spec;

#define CFA_PLEDGE_SPEC_INIT                                                                       \
    {                                                                                              \
        sizeof(cfa_pledge_spec), NULL, NULL, NULL, { 0, "" }, NULL, NULL, NULL, NULL, NULL, 0, 0,  \
            0, NULL, NULL, NULL                                                                    \
    }

/*
 * Create a pledge and its payment, once per (scope, key).
 *
 * Durable when it returns CFA_OK: key, pledge, payment, provider operation and events, in one
 * commit; with CFA_WAIT_ANSWER the provider's object too, unless `cfa_pledge_pending` says that the
 * provider has not answered yet. A repeat with the same key returns the same pledge with equal
 * answer bytes and `cfa_pledge_replayed`; while the first is still waiting for the provider it
 * joins that wait. A repeat with another campaign, amount, currency or account is CFA_EKEYREUSE
 * naming the field; payment method, name and message may differ and are ignored. After 30 days the
 * stored answer is gone and the key still resolves to the pledge: it never charges again.
 * `*out`: owned, `cfa_pledge_free`. `spec`: copied.
 * Expected: CFA_OK; INVALID naming the field; CFA_ENOTFOUND (campaign); CFA_ECLOSED; CFA_EKEYREUSE;
 * TRANSIENT: certainly nothing was written; CFA_EINDOUBT: repeat with the same key.
 * Source: IETF draft-ietf-httpapi-idempotency-key-header; Stripe API, idempotent requests.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_pledge_create(cfa_pledge **out, cfa_engine *engine,
                                                    const cfa_pledge_spec *spec);

/* The same without waiting: only enqueues. `spec->wait` is ANSWER or COMMIT; whoever ticks does the
 * work.
 * Expected: CFA_OK: a completion with `token` will arrive; INVALID; CFA_EQUEUE. */
CFA_API CFA_MUST_CHECK cfa_status cfa_pledge_create_begin(cfa_port *port, uint64_t token,
                                                          const cfa_pledge_spec *spec);
/* Take the pledge out of a completion (once); NULL unless it succeeded and is of a pledge.
 * Owned. */
CFA_API cfa_pledge *cfa_completion_pledge(cfa_completion *completion);

/*
 * Create a pledge inside the host's own open transaction: both commit or neither.
 *
 * Provisional until the host commits. Never calls the provider: that starts from what committed. A
 * repeat is as with `cfa_pledge_create`. Threading: the thread that owns the host's connection.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_tx_pledge_create(cfa_pledge **out, cfa_tx *tx,
                                                       const cfa_pledge_spec *spec);
/* Drop the joined transaction's handle, before or after the host's commit or rollback. NULL does
 * nothing. */
CFA_API void cfa_tx_free(cfa_tx *tx);

/* Read one pledge with its payment. Expected: CFA_OK; CFA_EINVAL; CFA_ENOTFOUND; TRANSIENT. */
CFA_API CFA_MUST_CHECK cfa_status cfa_pledge_get(cfa_pledge **out, cfa_engine *engine,
                                                 const char *pledge_id);

/* Find the pledge that a key made. Expected: CFA_OK; CFA_ENOTFOUND; CFA_EKEY; TRANSIENT. */
CFA_API CFA_MUST_CHECK cfa_status cfa_pledge_find(cfa_pledge **out, cfa_engine *engine,
                                                  const char *scope, const char *key);

/* Read one page of a campaign's pledges, oldest first. */
CFA_API CFA_MUST_CHECK cfa_status cfa_pledge_page(cfa_pledge_list **out, cfa_engine *engine,
                                                  const char *campaign_id, const cfa_page *page);
CFA_API size_t cfa_pledge_list_size(const cfa_pledge_list *list);
CFA_API const cfa_pledge *cfa_pledge_list_at(const cfa_pledge_list *list, size_t index);
CFA_API const char *cfa_pledge_list_next(const cfa_pledge_list *list);
CFA_API void cfa_pledge_list_free(cfa_pledge_list *list);

/*
 * Erase the personal data of a pledge's donor: reference, name, e-mail, message. Amounts stay.
 * Durable when it returns; a repeat changes nothing. `by`: copied. Expected: CFA_OK;
 * CFA_ENOTFOUND; TRANSIENT; CFA_EINDOUBT.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_donor_erase(cfa_engine *engine, const char *pledge_id,
                                                  const cfa_actor *by, int32_t timeout_ms);

CFA_API const char *cfa_pledge_id(const cfa_pledge *pledge);
CFA_API const char *cfa_pledge_campaign_id(const cfa_pledge *pledge);
CFA_API const char *cfa_pledge_payment_id(const cfa_pledge *pledge);
CFA_API cfa_money cfa_pledge_amount(const cfa_pledge *pledge);
/* The payment's state in this snapshot. */
CFA_API cfa_payment_state cfa_pledge_state(const cfa_pledge *pledge);
CFA_API int64_t cfa_pledge_created_us(const cfa_pledge *pledge);
/* "dnr_..."; the same for all pledges with one donor reference. */
CFA_API const char *cfa_pledge_donor_id(const cfa_pledge *pledge);
CFA_API const char *cfa_pledge_donor_name(const cfa_pledge *pledge);
CFA_API const char *cfa_pledge_donor_email(const cfa_pledge *pledge);
CFA_API const char *cfa_pledge_donor_message(const cfa_pledge *pledge);
CFA_API cfa_visibility cfa_pledge_visibility(const cfa_pledge *pledge);
/* Non-zero when an earlier call with this key made the pledge. */
CFA_API int32_t cfa_pledge_replayed(const cfa_pledge *pledge);
/* Non-zero while the provider has not answered: there is no final answer yet. */
CFA_API int32_t cfa_pledge_pending(const cfa_pledge *pledge);
/* The answer, fixed once as JSON bytes and equal for every repeat; empty while pending and for
 * reads. */
CFA_API cfa_slice cfa_pledge_answer(const cfa_pledge *pledge);
/* What the donor's browser confirms the payment with, or NULL. Part of the stored answer, kept
 * nowhere else. */
CFA_API const char *cfa_pledge_client_secret(const cfa_pledge *pledge);
/* The provider's hosted page where the donor pays, or NULL. Part of the stored answer, as above. */
CFA_API const char *cfa_pledge_redirect_url(const cfa_pledge *pledge);
/* The log position of the newest change this snapshot knows, for `at_least`. */
CFA_API int64_t cfa_pledge_position(const cfa_pledge *pledge);
CFA_API void cfa_pledge_free(cfa_pledge *pledge);

CFA_END

#endif
