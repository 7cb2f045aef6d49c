/*
 * campaign.h - what people give to: a title, accepted currencies, an optional goal and deadline.
 */
#ifndef CAREFORALL_CAMPAIGN_H
#define CAREFORALL_CAMPAIGN_H

#include <careforall/base.h>
#include <careforall/money.h>

CFA_BEGIN

typedef struct cfa_campaign cfa_campaign;
typedef struct cfa_campaign_list cfa_campaign_list;

typedef int32_t cfa_campaign_state;
enum { CFA_CAMPAIGN_OPEN = 1, CFA_CAMPAIGN_ENDED = 2 };

/* What becomes of money that is captured after the campaign's end, or after a cancel or expiry. The
 * rule is asked when the money comes; another one later changes nothing of what was decided. */
typedef int32_t cfa_late_rule;
enum {
    CFA_LATE_ACCEPT = 0, /* counts like any other */
    CFA_LATE_REFUSE = 1, /* an unpaid payment is cancelled at the end; paid money still counts */
    CFA_LATE_REFUND = 2, /* as REFUSE, and money that comes all the same is given back */
    CFA_LATE_HOLD = 3    /* it is held, in no total, until it is accepted (`cfa_payment_accept`) or
                          * given back (`cfa_refund_create`) */
};

/* What a campaign is created with, or changed to (an update replaces every field). */
typedef struct cfa_campaign_spec {
    size_t struct_size;
    const char *key;   /* required: the idempotency key of this command */
    const char *scope; /* whose key it is; NULL: the host itself */
    const char *title; /* required */
    const char
        *currencies;     /* required: "EUR" or "EUR,USD", at most 16; cannot shrink by an update */
    cfa_money goal;      /* {0, ""}: none; else in one of the currencies */
    int64_t deadline_us; /* 0: none; pledges at or after it are refused */
    cfa_late_rule late_rule;
    int32_t timeout_ms;
    const char *actor;  /* who asks, for the audit log, or NULL */
    const char *reason; /* why, or NULL */
} cfa_campaign_spec;

#define CFA_CAMPAIGN_SPEC_INIT                                                                     \
    { sizeof(cfa_campaign_spec), NULL, NULL, NULL, NULL, { 0, "" }, 0, 0, 0, NULL, NULL }

/*
 * Create a campaign.
 *
 * Durable when it returns, with its event and its totals of zero to follow. A repeat with the same
 * key returns the same campaign as it stands now; with other content it is CFA_EKEYREUSE naming the
 * field. `*out`: owned, `cfa_campaign_free`. `spec`: copied.
 * Expected: CFA_OK; INVALID naming the field; CFA_EKEYREUSE; TRANSIENT; CFA_EINDOUBT.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_campaign_create(cfa_campaign **out, cfa_engine *engine,
                                                      const cfa_campaign_spec *spec);

/*
 * Replace a campaign's fields, if its version still is `expected_version`.
 *
 * Durable when it returns. A repeat with the same key returns the campaign and changes nothing.
 * Expected: as `_create`; CFA_ENOTFOUND; CFA_EVERSION; CFA_ESTATE when it has ended.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_campaign_update(cfa_campaign **out, cfa_engine *engine,
                                                      const char *campaign_id,
                                                      int64_t expected_version,
                                                      const cfa_campaign_spec *spec);

/*
 * End a campaign: no pledge commits after it. Payments in flight follow the late rule.
 *
 * Durable when it returns. A repeat with the same key, or of an ended campaign, changes nothing.
 * `key`: required. `by`: copied. Expected: CFA_OK; CFA_ENOTFOUND; CFA_EVERSION; TRANSIENT;
 * CFA_EINDOUBT.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_campaign_end(cfa_campaign **out, cfa_engine *engine,
                                                   const char *campaign_id,
                                                   int64_t expected_version, const char *scope,
                                                   const char *key, const cfa_actor *by);

/* Read one campaign from a snapshot. Expected: CFA_OK; CFA_EINVAL (not a cmp_ id); CFA_ENOTFOUND;
 * TRANSIENT. */
CFA_API CFA_MUST_CHECK cfa_status cfa_campaign_get(cfa_campaign **out, cfa_engine *engine,
                                                   const char *campaign_id);

/* Read one page, oldest first. Expected: CFA_OK; CFA_EINVAL; TRANSIENT. */
CFA_API CFA_MUST_CHECK cfa_status cfa_campaign_page(cfa_campaign_list **out, cfa_engine *engine,
                                                    const cfa_page *page);
CFA_API size_t cfa_campaign_list_size(const cfa_campaign_list *list);
/* Borrowed from the list; NULL beyond its size. */
CFA_API const cfa_campaign *cfa_campaign_list_at(const cfa_campaign_list *list, size_t index);
/* What to pass as `after` for the next page, or NULL at the end. Borrowed. */
CFA_API const char *cfa_campaign_list_next(const cfa_campaign_list *list);
CFA_API void cfa_campaign_list_free(cfa_campaign_list *list);

/* Fields of a snapshot. Threading: any thread. */
CFA_API const char *cfa_campaign_id(const cfa_campaign *campaign);
CFA_API const char *cfa_campaign_title(const cfa_campaign *campaign);
CFA_API const char *cfa_campaign_currencies(const cfa_campaign *campaign);
CFA_API cfa_money cfa_campaign_goal(const cfa_campaign *campaign);
CFA_API int64_t cfa_campaign_deadline_us(const cfa_campaign *campaign);
CFA_API cfa_late_rule cfa_campaign_late_rule(const cfa_campaign *campaign);
CFA_API cfa_campaign_state cfa_campaign_state_of(const cfa_campaign *campaign);
CFA_API const char *cfa_campaign_state_name(cfa_campaign_state state);
CFA_API int64_t cfa_campaign_version(const cfa_campaign *campaign);
CFA_API int64_t cfa_campaign_created_us(const cfa_campaign *campaign);
CFA_API int64_t cfa_campaign_updated_us(const cfa_campaign *campaign);
/* Non-zero when this answer repeats an earlier one with the same key. */
CFA_API int32_t cfa_campaign_replayed(const cfa_campaign *campaign);
/* The log position of the change, to read after with `at_least`; 0 for reads. */
CFA_API int64_t cfa_campaign_position(const cfa_campaign *campaign);
CFA_API void cfa_campaign_free(cfa_campaign *campaign);

CFA_END

#endif
