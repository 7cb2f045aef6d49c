/*
 * adapters/play.h - a payment provider inside the process, for tests and for trying things out. No
 * money moves.
 *
 * It behaves like the real thing: idempotency keys, intents that a donor confirms, declines,
 * refunds, disputes, webhooks with signatures, and every misfortune on request, deterministic by
 * seed. Part of libcareforall.
 *
 * Payment methods: "pm_ok"; "pm_declined" (card_declined); "pm_funds" (insufficient_funds);
 * "pm_action" (needs `cfa_play_act` before it succeeds); "pm_slow" (processing until
 * `cfa_play_settle`).
 */
#ifndef CAREFORALL_ADAPTERS_PLAY_H
#define CAREFORALL_ADAPTERS_PLAY_H

#include <careforall/dispute.h>
#include <careforall/engine.h>
#include <careforall/refund.h>
#include <careforall/sys/provider.h>

CFA_BEGIN

typedef struct cfa_play cfa_play;

typedef struct cfa_play_options {
    size_t struct_size;
    uint64_t seed;
    int32_t one_step; /* charge in the create call; default: two-step */
    int32_t lookup_not_authoritative;
    int64_t key_retention_ms;     /* idempotency keys are forgotten after this; 0: 24 hours */
    const char *webhook_secret;   /* NULL: "whsec_play" */
    const cfa_platform *platform; /* its clock; NULL: the system's. Borrowed */
} cfa_play_options;

#define CFA_PLAY_OPTIONS_INIT                                                                      \
    { sizeof(cfa_play_options), 0, 0, 0, 0, NULL, NULL }

/* Make a provider with empty books; `options`: copied, NULL for defaults. Freed by `cfa_play_free`,
 * after every engine that uses it. Threading for all of this header: any thread, at once. Since:
 * 0.1. */
CFA_API CFA_MUST_CHECK cfa_status cfa_play_new(cfa_play **out, const cfa_play_options *options);
CFA_API void cfa_play_free(cfa_play *play);
/* The adapter, borrowed until the free. */
CFA_API const cfa_provider *cfa_play_provider(cfa_play *play);

/* ---- the donor's side ------------------------------------------------------------------------ */

/*
 * Confirm an intent as the donor's browser would, with its client secret and a payment method.
 * Expected: CFA_OK (accepted, or needs action, or processing); CFA_EDECLINED; CFA_ENOTFOUND;
 * CFA_ESTATE (paid or canceled already). A repeat of a successful one is CFA_ESTATE and charges
 * nothing.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_play_confirm(cfa_play *play, const char *client_secret,
                                                   const char *payment_method);
/* Finish what "pm_action" asked for (`approve` 0: the donor failed it), or what "pm_slow" left
 * processing. */
CFA_API CFA_MUST_CHECK cfa_status cfa_play_act(cfa_play *play, const char *client_secret,
                                               int32_t approve);
CFA_API CFA_MUST_CHECK cfa_status cfa_play_settle(cfa_play *play, const char *ref, int32_t succeed);
/* Let an uncaptured hold or an unpaid intent run out, as time would. */
CFA_API CFA_MUST_CHECK cfa_status cfa_play_expire(cfa_play *play, const char *ref);

/* ---- money that goes back -------------------------------------------------------------------- */

#define CFA_PLAY_REF_SIZE 25 /* "pi_play_", "re_play_" or "dp_play_", 16 hex digits, NUL */

/* Push the state in which the next refund begins that is asked for by a call and not refused:
 * PENDING, REQUIRES_ACTION, SUCCEEDED or FAILED; refunds take them in order, then all succeed at
 * once. */
CFA_API CFA_MUST_CHECK cfa_status cfa_play_refund_next(cfa_play *play, cfa_refund_state state);

typedef struct cfa_play_refund_spec {
    size_t struct_size;
    const char *ref;        /* required: the payment's, to make one; the refund's, to move it on */
    int64_t amount_minor;   /* of a new one; 0: all that is left */
    cfa_refund_state state; /* how it stands then; 0: SUCCEEDED */
    const char *failure_code; /* with FAILED; NULL: "expired_or_canceled_card" */
} cfa_play_refund_spec;

#define CFA_PLAY_REFUND_SPEC_INIT                                                                  \
    { sizeof(cfa_play_refund_spec), NULL, 0, 0, NULL }

/*
 * Refund a payment by hand, as at the provider's own desk, or move a refund on: PENDING and
 * REQUIRES_ACTION become each other, SUCCEEDED, FAILED or CANCELED; SUCCEEDED can still fail.
 * `out_ref`: whose it is, or NULL. `spec`: copied.
 * Expected: CFA_OK; CFA_EINVAL; CFA_ENOTFOUND; CFA_ERANGE (more than is left); CFA_ESTATE (nothing
 * is left, or it cannot go on like this); CFA_ETOOLONG.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_play_refund(char out_ref[CFA_PLAY_REF_SIZE], cfa_play *play,
                                                  const cfa_play_refund_spec *spec);

/* How a dispute stands afterwards. What is 0 stays as it is. */
typedef struct cfa_play_dispute_spec {
    size_t struct_size;
    const char *ref;         /* required: the payment's, to open one; the dispute's, to go on */
    cfa_dispute_state state; /* of a new one: INQUIRY, OPEN (0) or PREVENTED */
    int64_t amount_minor;    /* of a new one; 0: all that was captured */
    int64_t withdrawn_minor, reinstated_minor; /* in total; the first up to the amount */
    cfa_money fee;
    const char *reason; /* of a new one; NULL: "general" */
    int64_t evidence_due_us;
} cfa_play_dispute_spec;

#define CFA_PLAY_DISPUTE_SPEC_INIT                                                                 \
    { sizeof(cfa_play_dispute_spec), NULL, 0, 0, 0, 0, { 0, "" }, NULL, 0 }

/*
 * Let a donor's bank dispute a payment, or carry a dispute on; another round is another dispute.
 * Each change is a webhook of its own, in the order created, funds_withdrawn, updated or closed,
 * funds_reinstated. Refunds do not stop a bank: it can take what was given back already.
 * `out_ref`: whose it is, or NULL. `spec`: copied.
 * Expected: CFA_OK; CFA_EINVAL; CFA_ENOTFOUND; CFA_ERANGE (money or fee shrinks or is too much);
 * CFA_ESTATE (nothing was captured, nothing changes, or it cannot go on like this); CFA_ETOOLONG.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_play_dispute(char out_ref[CFA_PLAY_REF_SIZE], cfa_play *play,
                                                   const cfa_play_dispute_spec *spec);

/* Let become known, once each, what the provider kept of a captured payment, and that the issuer of
 * the card suspects fraud. Expected: CFA_OK; CFA_ENOTFOUND; CFA_ESTATE (nothing was captured, or it
 * is known). */
CFA_API CFA_MUST_CHECK cfa_status cfa_play_fee(cfa_play *play, const char *ref, cfa_money fee);
CFA_API CFA_MUST_CHECK cfa_status cfa_play_fraud_warning(cfa_play *play, const char *ref);

/* Pay out to the account's owner what was captured and was not paid out yet: each payment is then
 * settled. `*out_count`: how many were, may be NULL. Expected: CFA_OK; CFA_ENOMEM (some may be paid
 * out; a repeat goes on). */
CFA_API CFA_MUST_CHECK cfa_status cfa_play_payout(int64_t *out_count, cfa_play *play);

/* ---- misfortune ------------------------------------------------------------------------------ */

/* What happens to calls. Lost replies: the effect stays, the caller sees UNKNOWN. */
enum {
    CFA_PLAY_FAULT_NONE = 0,
    CFA_PLAY_FAULT_REPLY_LOST = 1,   /* acts, then the reply is lost: UNKNOWN */
    CFA_PLAY_FAULT_REQUEST_LOST = 2, /* times out before acting: UNKNOWN */
    CFA_PLAY_FAULT_ERROR_AFTER =
        3, /* acts, answers 500 and stores that 500 under the key: UNKNOWN */
    CFA_PLAY_FAULT_ERROR_BEFORE = 4, /* answers 500 without acting, stored under the key: UNKNOWN */
    CFA_PLAY_FAULT_NOT_SENT = 5,     /* connection refused: NOT_SENT, but UNKNOWN for a look-up */
    CFA_PLAY_FAULT_REFUSED = 6       /* 4xx */
};

/* Push a fault for the next call that has none yet; calls take them in order. */
CFA_API CFA_MUST_CHECK cfa_status cfa_play_fault_next(cfa_play *play, int32_t fault);

/* Rates in parts per million, drawn from the seed; all 0 at the start. */
typedef struct cfa_play_weather {
    size_t struct_size;
    int32_t reply_lost_ppm, request_lost_ppm, error_after_ppm, error_before_ppm, not_sent_ppm;
    int32_t webhook_lost_ppm, webhook_duplicated_ppm, webhook_reordered_ppm;
    int32_t delay_ms_max; /* real sleep inside `call`, for tests with threads; 0: none */
} cfa_play_weather;
#define CFA_PLAY_WEATHER_INIT                                                                      \
    { sizeof(cfa_play_weather), 0, 0, 0, 0, 0, 0, 0, 0, 0 }
CFA_API CFA_MUST_CHECK cfa_status cfa_play_weather_set(cfa_play *play,
                                                       const cfa_play_weather *weather);

/* ---- webhooks -------------------------------------------------------------------------------- */

/*
 * Deliver pending webhooks to an engine as HTTP would, at most `limit` (0: all that are there now);
 * each is signed, verified and applied. One that is not acknowledged stays pending.
 * `*out_delivered` may be NULL.
 * Expected: CFA_OK; the engine's first TRANSIENT or IN_DOUBT status, which ends the delivery; its
 * first refusal (INVALID, PERMANENT), after the others were tried.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_play_deliver(int32_t *out_delivered, cfa_play *play,
                                                   cfa_engine *engine, int32_t limit);
/* Take the next pending webhook's bytes instead of delivering it; `*out_body` is NULL when there is
 * none. Both are freed by `cfa_free`. */
CFA_API CFA_MUST_CHECK cfa_status cfa_play_webhook_take(char **out_signature, char **out_body,
                                                        cfa_play *play);
/* Sign any body, for tests. `out_signature`: freed by `cfa_free`. */
CFA_API CFA_MUST_CHECK cfa_status cfa_play_sign(char **out_signature, cfa_play *play,
                                                cfa_slice body, int64_t at_us);

/* ---- the books: the ground truth for tests --------------------------------------------------- */

typedef struct cfa_play_books {
    size_t struct_size;
    int64_t intent_count;  /* objects ever made */
    int64_t charge_count;  /* successful captures */
    int64_t charged_twice; /* payments with more than one successful charge: must be 0 */
    int64_t call_count;
    int64_t webhooks_pending;
    int64_t refund_count;   /* ever made, asked for or by hand */
    int64_t refunded_twice; /* ids of ours with more than one refund: must be 0 */
    int64_t dispute_count;
} cfa_play_books;
#define CFA_PLAY_BOOKS_INIT                                                                        \
    { sizeof(cfa_play_books), 0, 0, 0, 0, 0, 0, 0, 0 }
CFA_API CFA_MUST_CHECK cfa_status cfa_play_books_get(cfa_play_books *out, cfa_play *play);
/* What the provider knows of one payment, by our payment id: its facts with all refunds and
 * disputes, and the number of successful charges. Text is copied into `arena`. CFA_ENOTFOUND when it
 * has no object for it. */
CFA_API CFA_MUST_CHECK cfa_status cfa_play_payment(cfa_facts *out, int64_t *out_charges,
                                                   cfa_play *play, const char *payment_id,
                                                   cfa_arena *arena);

CFA_END

#endif
