/*
 * refund.h - money that goes back to a donor: asked for here, or made at the provider and seen.
 *
 * A refund is told apart by its own id, never by its amount, so two refunds of the same amount are
 * two and one that is asked for twice with one key is one. Its state follows from facts that only
 * grow: FAILED is for ever, even after SUCCEEDED. docs/payment-states.md has the table R01 to R11.
 */
#ifndef CAREFORALL_REFUND_H
#define CAREFORALL_REFUND_H

#include <careforall/base.h>
#include <careforall/engine.h>
#include <careforall/money.h>

CFA_BEGIN

typedef struct cfa_refund cfa_refund;
typedef struct cfa_refund_list cfa_refund_list;

typedef int32_t cfa_refund_state;
#define CFA_REFUND_STATE_MAP(X)                                                                    \
    X(REQUESTED, 1, "recorded and reserved; the provider has not named it yet")                    \
    X(PENDING, 2, "the provider works on it")                                                      \
    X(REQUIRES_ACTION, 3, "the donor must act")                                                    \
    X(SUCCEEDED, 4, "the provider reported success; it can still fail at the donor's bank")        \
    X(FAILED, 5, "it did not reach the donor; the money is ours again")                            \
    X(CANCELED, 6, "called off at the provider; the money is ours again")                          \
    X(REJECTED, 7, "the provider refused to make it")

enum {
#define CFA_REFUND_STATE_ENUM(name, code, text) CFA_REFUND_##name = code,
    CFA_REFUND_STATE_MAP(CFA_REFUND_STATE_ENUM)
#undef CFA_REFUND_STATE_ENUM
};

/* Who made it. */
typedef int32_t cfa_refund_origin;
enum {
    CFA_REFUND_ASKED = 1,    /* by `cfa_refund_create` */
    CFA_REFUND_EXTERNAL = 2, /* at the provider */
    CFA_REFUND_LATE = 3,     /* by the campaign's late rule */
    CFA_REFUND_FRAUD = 4     /* by the engine's fraud rule */
};

typedef struct cfa_refund_spec {
    size_t struct_size;
    const char *key;        /* required: the idempotency key of this refund */
    const char *scope;      /* whose key it is; NULL: the host itself */
    const char *payment_id; /* required: "pay_..." */
    cfa_money amount;       /* {0, ""}: all that is left; else in the payment's currency */
    const char *reason;     /* for the audit log, or NULL; no personal data */
    const char *actor;      /* who asks, for the audit log, or NULL */
    int32_t timeout_ms;     /* to wait for the provider's answer as well */
} cfa_refund_spec;

#define CFA_REFUND_SPEC_INIT                                                                       \
    { sizeof(cfa_refund_spec), NULL, NULL, NULL, { 0, "" }, NULL, NULL, 0 }

/*
 * Give a payment's money back, all of it or a part.
 *
 * Durable when it returns: the refund, its provider key and its reservation; the call follows at
 * once on this thread, and in the background if it is in doubt. No money goes twice: what refunds
 * and disputes hold already, and what open disputes may still take, cannot be asked for again,
 * whoever asks and in whatever order; what was asked for and not sent yet is called off when a
 * dispute takes its money (REJECTED, "disputed"). A repeat with the same key returns the same refund as it
 * stands; with another amount or payment it is CFA_EKEYREUSE.
 * `*out`: owned, `cfa_refund_free`. `spec`: copied.
 * Expected: CFA_OK (look at the state); CFA_ENOTFOUND; CFA_ESTATE (nothing was captured, nothing is
 * left, or the payment has reached its limit of provider calls); CFA_ERANGE (more than is left); CFA_ECURRENCY; CFA_EAMOUNT; CFA_EKEYREUSE; TRANSIENT;
 * CFA_EINDOUBT.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_refund_create(cfa_refund **out, cfa_engine *engine,
                                                    const cfa_refund_spec *spec);

/* Read one refund by its "rfd_..." id. Expected: CFA_OK; CFA_EINVAL; CFA_ENOTFOUND; TRANSIENT. */
CFA_API CFA_MUST_CHECK cfa_status cfa_refund_get(cfa_refund **out, cfa_engine *engine,
                                                 const char *refund_id);

/* Read a payment's refunds, oldest first, at most CFA_PAGE_LIMIT_MAX. Expected: as `_get`. */
CFA_API CFA_MUST_CHECK cfa_status cfa_refund_list_of(cfa_refund_list **out, cfa_engine *engine,
                                                     const char *payment_id);
CFA_API size_t cfa_refund_list_size(const cfa_refund_list *list);
/* Borrowed from the list; NULL beyond its size. */
CFA_API const cfa_refund *cfa_refund_list_at(const cfa_refund_list *list, size_t index);
CFA_API void cfa_refund_list_free(cfa_refund_list *list);

CFA_API const char *cfa_refund_id(const cfa_refund *refund);
CFA_API const char *cfa_refund_payment_id(const cfa_refund *refund);
CFA_API cfa_money cfa_refund_amount(const cfa_refund *refund);
CFA_API cfa_refund_state cfa_refund_state_of(const cfa_refund *refund);
/* "SUCCEEDED", ...; "" for a number that is no state. */
CFA_API const char *cfa_refund_state_name(cfa_refund_state state);
CFA_API cfa_refund_origin cfa_refund_origin_of(const cfa_refund *refund);
/* The provider's id, or NULL while unknown. */
CFA_API const char *cfa_refund_ref(const cfa_refund *refund);
/* Why it failed or was rejected, in the provider's words, or NULL. */
CFA_API const char *cfa_refund_failure_code(const cfa_refund *refund);
CFA_API const char *cfa_refund_reason(const cfa_refund *refund);
CFA_API int64_t cfa_refund_created_us(const cfa_refund *refund);
CFA_API int64_t cfa_refund_updated_us(const cfa_refund *refund);
/* Non-zero when this answer repeats an earlier one with the same key. */
CFA_API int32_t cfa_refund_replayed(const cfa_refund *refund);
/* The log position of the change, to read after with `at_least`; 0 for reads. */
CFA_API int64_t cfa_refund_position(const cfa_refund *refund);
CFA_API void cfa_refund_free(cfa_refund *refund);

CFA_END

#endif
