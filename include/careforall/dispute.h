/*
 * dispute.h - money that a donor's bank asks back. Seen, never made here: disputes come from the
 * provider's webhooks and reads.
 *
 * The state and the money are told apart: what was withdrawn and reinstated are facts of their own
 * that only grow, so a lost dispute whose money never moved takes nothing from the totals, and one
 * that is won gives back when the money is back. docs/payment-states.md has the table D01 to D12.
 */
#ifndef CAREFORALL_DISPUTE_H
#define CAREFORALL_DISPUTE_H

#include <careforall/base.h>
#include <careforall/engine.h>
#include <careforall/money.h>

CFA_BEGIN

typedef struct cfa_dispute cfa_dispute;
typedef struct cfa_dispute_list cfa_dispute_list;

/* In the order in which they can follow each other: the furthest that was reported is the state. */
typedef int32_t cfa_dispute_state;
#define CFA_DISPUTE_STATE_MAP(X)                                                                   \
    X(INQUIRY, 1, "the bank asks; no money moves")                                                 \
    X(INQUIRY_CLOSED, 2, "the inquiry ended without a dispute")                                    \
    X(OPEN, 3, "disputed; it can be answered")                                                     \
    X(UNDER_REVIEW, 4, "answered; the bank decides")                                               \
    X(PREVENTED, 5, "ended before it became a dispute")                                            \
    X(WON, 6, "decided for us")                                                                    \
    X(LOST, 7, "decided for the donor, or accepted")

enum {
#define CFA_DISPUTE_STATE_ENUM(name, code, text) CFA_DISPUTE_##name = code,
    CFA_DISPUTE_STATE_MAP(CFA_DISPUTE_STATE_ENUM)
#undef CFA_DISPUTE_STATE_ENUM
};

/* Read one dispute by its "dsp_..." id. Expected: CFA_OK; CFA_EINVAL; CFA_ENOTFOUND; TRANSIENT.
 * Threading: any thread. Since: 0.1. */
CFA_API CFA_MUST_CHECK cfa_status cfa_dispute_get(cfa_dispute **out, cfa_engine *engine,
                                                  const char *dispute_id);

/* Read a payment's disputes, oldest first, at most CFA_PAGE_LIMIT_MAX. Expected: as `_get`. */
CFA_API CFA_MUST_CHECK cfa_status cfa_dispute_list_of(cfa_dispute_list **out, cfa_engine *engine,
                                                      const char *payment_id);
CFA_API size_t cfa_dispute_list_size(const cfa_dispute_list *list);
/* Borrowed from the list; NULL beyond its size. */
CFA_API const cfa_dispute *cfa_dispute_list_at(const cfa_dispute_list *list, size_t index);
CFA_API void cfa_dispute_list_free(cfa_dispute_list *list);

CFA_API const char *cfa_dispute_id(const cfa_dispute *dispute);
CFA_API const char *cfa_dispute_payment_id(const cfa_dispute *dispute);
CFA_API const char *cfa_dispute_ref(const cfa_dispute *dispute);
CFA_API cfa_money cfa_dispute_amount(const cfa_dispute *dispute);
CFA_API cfa_dispute_state cfa_dispute_state_of(const cfa_dispute *dispute);
/* "UNDER_REVIEW", ...; "" for a number that is no state. */
CFA_API const char *cfa_dispute_state_name(cfa_dispute_state state);
CFA_API cfa_money cfa_dispute_withdrawn(const cfa_dispute *dispute);
CFA_API cfa_money cfa_dispute_reinstated(const cfa_dispute *dispute);
/* In the currency that the provider settles in; {0, ""} while it is not known. */
CFA_API cfa_money cfa_dispute_fee(const cfa_dispute *dispute);
/* "fraudulent", ...; or NULL. */
CFA_API const char *cfa_dispute_reason(const cfa_dispute *dispute);
/* Until when it can be answered; 0 when that was not told. */
CFA_API int64_t cfa_dispute_evidence_due_us(const cfa_dispute *dispute);
CFA_API int64_t cfa_dispute_created_us(const cfa_dispute *dispute);
CFA_API int64_t cfa_dispute_updated_us(const cfa_dispute *dispute);
CFA_API void cfa_dispute_free(cfa_dispute *dispute);

CFA_END

#endif
