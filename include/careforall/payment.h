/*
 * payment.h - one payment intent at the provider, its state computed from facts, and the ways facts
 * come in.
 *
 * The provider's durable facts only grow and commute, so webhooks may come late, twice or out of
 * order. FAILED is soft: a later success wins. CANCELED and EXPIRED need the provider's word.
 * docs/payment-states.md is the generated table.
 */
#ifndef CAREFORALL_PAYMENT_H
#define CAREFORALL_PAYMENT_H

#include <careforall/base.h>
#include <careforall/money.h>
#include <careforall/engine.h>
#include <careforall/sys/provider.h>

CFA_BEGIN

typedef struct cfa_payment cfa_payment;
typedef struct cfa_transition_list cfa_transition_list;

typedef int32_t cfa_payment_state;
#define CFA_PAYMENT_STATE_MAP(X)                                                                   \
    X(PENDING, 1, "recorded; nothing is known of money yet")                                       \
    X(REQUIRES_ACTION, 2, "the donor must act, such as 3-D Secure")                                \
    X(PROCESSING, 3, "the provider works on it")                                                   \
    X(AUTHORIZED, 4, "funds are held, not taken")                                                  \
    X(CAPTURED, 5, "funds are taken")                                                              \
    X(COMPLETED, 6, "the provider reported full success")                                          \
    X(FAILED, 7, "the last attempt was declined; a later one may succeed")                         \
    X(CANCELED, 8, "the provider confirmed that it will not happen")                               \
    X(EXPIRED, 9, "the hold or the offer ran out, as the provider confirmed")

enum {
#define CFA_PAYMENT_STATE_ENUM(name, code, text) CFA_PAYMENT_##name = code,
    CFA_PAYMENT_STATE_MAP(CFA_PAYMENT_STATE_ENUM)
#undef CFA_PAYMENT_STATE_ENUM
};

enum {
    CFA_PAYMENT_FLAG_UNKNOWN = 1,  /* a provider call's outcome is in doubt; probes run */
    CFA_PAYMENT_FLAG_CONFLICT = 2, /* the provider's amounts contradict ours; quarantined */
    CFA_PAYMENT_FLAG_SETTLED = 4,  /* what was captured was paid out, as reconciling found */
    CFA_PAYMENT_FLAG_LATE = 8,     /* success came after cancel, expiry or the campaign's end */
    CFA_PAYMENT_FLAG_FRAUD_WARNING = 16, /* the card's issuer suspects fraud; no money moved */
    CFA_PAYMENT_FLAG_HELD = 32 /* late money that the campaign's rule holds: in no total */
};

/* Read one payment by its "pay_..." id. Expected: CFA_OK; CFA_EINVAL; CFA_ENOTFOUND; TRANSIENT. */
CFA_API CFA_MUST_CHECK cfa_status cfa_payment_get(cfa_payment **out, cfa_engine *engine,
                                                  const char *payment_id);

/*
 * Wait until the payment is COMPLETED, FAILED, CANCELED or EXPIRED, doing its due provider calls
 * and probes on this thread. The answer is the payment as it stands at the end of `timeout_ms`,
 * settled or not.
 * Expected: CFA_OK (look at the state); CFA_ENOTFOUND; TRANSIENT.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_payment_wait(cfa_payment **out, cfa_engine *engine,
                                                   const char *payment_id, int32_t timeout_ms);

/*
 * Capture an authorized payment, in full (`amount.minor` 0) or in part, or cancel one that is not
 * captured.
 *
 * Durable when it returns: the operation and its provider key; the call follows at once on this
 * thread. A repeat with the same key joins the first; after the answer it returns the payment as it
 * stands.
 * `key`: required. `by`: copied. Expected: CFA_OK (look at the state: the provider may still be in
 * doubt); CFA_ENOTFOUND; CFA_ESTATE; CFA_ERANGE (capture above what is authorized); CFA_EKEYREUSE;
 * TRANSIENT; CFA_EINDOUBT.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_payment_capture(cfa_payment **out, cfa_engine *engine,
                                                      const char *payment_id, cfa_money amount,
                                                      const char *scope, const char *key,
                                                      const cfa_actor *by, int32_t timeout_ms);
CFA_API CFA_MUST_CHECK cfa_status cfa_payment_cancel(cfa_payment **out, cfa_engine *engine,
                                                     const char *payment_id, const char *scope,
                                                     const char *key, const cfa_actor *by,
                                                     int32_t timeout_ms);

/*
 * Take a payment that the late rule holds (flag HELD) into the totals, with what was refunded and
 * disputed of it. What came back in full may be accepted too; it adds nothing to the net.
 *
 * Durable when it returns: the flag is gone, for good, with its event `payment.accepted` and an act.
 * A repeat with the same key returns the payment as it stands.
 * `key`: required. `by`: copied. Expected: CFA_OK; CFA_EINVAL; CFA_ENOTFOUND; CFA_ESTATE (not held,
 * or accepted under another key); CFA_EKEYREUSE; TRANSIENT; CFA_EINDOUBT.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_payment_accept(cfa_payment **out, cfa_engine *engine,
                                                     const char *payment_id, const char *scope,
                                                     const char *key, const cfa_actor *by);

CFA_API const char *cfa_payment_id(const cfa_payment *payment);
CFA_API const char *cfa_payment_pledge_id(const cfa_payment *payment);
CFA_API const char *cfa_payment_campaign_id(const cfa_payment *payment);
CFA_API cfa_payment_state cfa_payment_state_of(const cfa_payment *payment);
/* "COMPLETED", ...; "" for a number that is no state. */
CFA_API const char *cfa_payment_state_name(cfa_payment_state state);
CFA_API uint32_t cfa_payment_flags(const cfa_payment *payment);
CFA_API cfa_money cfa_payment_amount(const cfa_payment *payment);
CFA_API cfa_money cfa_payment_authorized(const cfa_payment *payment);
CFA_API cfa_money cfa_payment_captured(const cfa_payment *payment);
/* What went back by refunds that are under way or done, what disputes hold of it now, and what may
 * still be given back. */
CFA_API cfa_money cfa_payment_refunded(const cfa_payment *payment);
CFA_API cfa_money cfa_payment_disputed(const cfa_payment *payment);
CFA_API cfa_money cfa_payment_refundable(const cfa_payment *payment);
/* The provider's fee, in the currency it settles in; {0, ""} while it is not known. */
CFA_API cfa_money cfa_payment_fee(const cfa_payment *payment);
/* The provider's id, or NULL while unknown. */
CFA_API const char *cfa_payment_ref(const cfa_payment *payment);
CFA_API const char *cfa_payment_failure_code(const cfa_payment *payment);
CFA_API int64_t cfa_payment_sequence(const cfa_payment *payment);
CFA_API int64_t cfa_payment_created_us(const cfa_payment *payment);
CFA_API int64_t cfa_payment_updated_us(const cfa_payment *payment);
CFA_API int64_t cfa_payment_position(const cfa_payment *payment);
CFA_API void cfa_payment_free(cfa_payment *payment);

/* Read the transition log of a payment, oldest first, at most CFA_PAGE_LIMIT_MAX rows. */
CFA_API CFA_MUST_CHECK cfa_status cfa_payment_history(cfa_transition_list **out, cfa_engine *engine,
                                                      const char *payment_id);
CFA_API size_t cfa_transition_list_size(const cfa_transition_list *list);
/* 0 stands for "did not exist". */
CFA_API cfa_payment_state cfa_transition_from(const cfa_transition_list *list, size_t index);
CFA_API cfa_payment_state cfa_transition_to(const cfa_transition_list *list, size_t index);
/* The rule of docs/payment-states.md, such as "P05". */
CFA_API const char *cfa_transition_rule(const cfa_transition_list *list, size_t index);
/* Non-zero for a step that no evidence named but that must have happened. */
CFA_API int32_t cfa_transition_implied(const cfa_transition_list *list, size_t index);
CFA_API int64_t cfa_transition_at_us(const cfa_transition_list *list, size_t index);
CFA_API void cfa_transition_list_free(cfa_transition_list *list);

/* ---- webhooks -------------------------------------------------------------------------------- */

typedef int32_t cfa_webhook_verdict;
enum {
    CFA_WEBHOOK_APPLIED = 1,
    CFA_WEBHOOK_DUPLICATE = 2,    /* this event was stored before */
    CFA_WEBHOOK_STALE = 3,        /* told nothing new */
    CFA_WEBHOOK_PARKED = 4,       /* its object is not known yet; applied when it appears */
    CFA_WEBHOOK_IGNORED = 5,      /* a type that is nothing to us, another account or mode */
    CFA_WEBHOOK_QUARANTINED = 6,  /* amount or currency differ from ours */
    CFA_WEBHOOK_CONTRADICTION = 7 /* the table forbids it; a redelivery gets the same verdict */
};

/*
 * Take in one webhook: verify its signature over the raw bytes, store it once per (provider,
 * account, event id) and apply its facts in the same transaction.
 *
 * Durable when it returns CFA_OK: acknowledge it to the provider. A repeat is DUPLICATE, or repeats
 * CONTRADICTION. On any error but INVALID and PERMANENT answer so that the provider sends it again.
 * `signature`, `body`: the header's and the body's bytes as received.
 * Expected: CFA_OK; CFA_ESIGNATURE; CFA_EINVAL; CFA_ETOOLONG; CFA_ENOTSUP; TRANSIENT; CFA_EINDOUBT.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_webhook_receive(cfa_webhook_verdict *out, cfa_engine *engine,
                                                      cfa_slice signature, cfa_slice body,
                                                      int32_t timeout_ms);
/* The same without waiting; the completion carries the verdict. */
CFA_API CFA_MUST_CHECK cfa_status cfa_webhook_receive_begin(cfa_port *port, uint64_t token,
                                                            cfa_slice signature, cfa_slice body);
/* 0 unless the completion is of a webhook. */
CFA_API cfa_webhook_verdict cfa_completion_webhook(const cfa_completion *completion);
/* "APPLIED", ...; "" for a number that is no verdict. */
CFA_API const char *cfa_webhook_verdict_name(cfa_webhook_verdict verdict);

/*
 * Take in an event that the host verified itself, for providers written in the host's language.
 * Everything else is as with `cfa_webhook_receive`.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_webhook_accept(cfa_webhook_verdict *out, cfa_engine *engine,
                                                     const cfa_webhook_event *event,
                                                     int32_t timeout_ms);

CFA_END

#endif
