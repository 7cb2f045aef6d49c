/*
 * totals.h - what a campaign raised, per currency, in integers, applied once per fact, with a
 * version that no reader sees go backward.
 */
#ifndef CAREFORALL_TOTALS_H
#define CAREFORALL_TOTALS_H

#include <careforall/base.h>
#include <careforall/campaign.h>
#include <careforall/money.h>

CFA_BEGIN

typedef struct cfa_totals cfa_totals;

typedef struct cfa_totals_spec {
    size_t struct_size;
    int64_t at_least; /* include every event up to this log position; does the projector's work */
    int32_t
        max_age_ms; /* accept a cached answer this old; 0: the engine's default; negative: none */
    int32_t timeout_ms;
} cfa_totals_spec;

#define CFA_TOTALS_SPEC_INIT                                                                       \
    { sizeof(cfa_totals_spec), 0, 0, 0 }

/*
 * Read a campaign's totals, normally from memory.
 *
 * A campaign without donations has one row of zeros per accepted currency. When the store cannot be
 * read the last known good answer comes with `cfa_totals_stale`; a number is never made up.
 * `*out`: owned, `cfa_totals_free`. `spec`: NULL for defaults.
 * Expected: CFA_OK; CFA_EINVAL; CFA_ENOTFOUND; CFA_ETIMEOUT (`at_least` was not reached in time);
 * CFA_ERANGE (the log itself is not that long); TRANSIENT when nothing is known.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_totals_get(cfa_totals **out, cfa_engine *engine,
                                                 const char *campaign_id,
                                                 const cfa_totals_spec *spec);

/* Read a campaign and its totals from one snapshot. Both outputs are set, or neither. */
CFA_API CFA_MUST_CHECK cfa_status cfa_campaign_get_with_totals(cfa_campaign **out_campaign,
                                                               cfa_totals **out_totals,
                                                               cfa_engine *engine,
                                                               const char *campaign_id);

CFA_API const char *cfa_totals_campaign_id(const cfa_totals *totals);
/* The log position these numbers include everything up to. */
CFA_API int64_t cfa_totals_position(const cfa_totals *totals);
/* Rises with every change of this campaign's numbers. */
CFA_API int64_t cfa_totals_version(const cfa_totals *totals);
CFA_API int64_t cfa_totals_as_of_us(const cfa_totals *totals);
CFA_API int32_t cfa_totals_stale(const cfa_totals *totals);
/* Number of currencies, in alphabetical order. */
CFA_API size_t cfa_totals_size(const cfa_totals *totals);

/* One currency's numbers. Money moves pledged -> authorized -> raised; net = raised - refunded -
 * disputed. Frozen for ever. */
typedef struct cfa_totals_row {
    char currency[4];
    int64_t pledged_minor;
    int64_t authorized_minor;
    int64_t raised_minor;
    int64_t refunded_minor;
    int64_t disputed_minor;
    int64_t net_minor;
    int64_t donation_count; /* payments with money raised */
    int64_t donor_count;    /* distinct donors among them */
} cfa_totals_row;

/* Borrowed from the snapshot; NULL beyond its size. */
CFA_API const cfa_totals_row *cfa_totals_at(const cfa_totals *totals, size_t index);
CFA_API void cfa_totals_free(cfa_totals *totals);

/*
 * Recompute a campaign's totals from its payments' facts in one snapshot and compare with the
 * projected ones at the same position. `*out_equal` is 0 when a number differs; the error detail
 * then names the first. Reads only; costs a scan of the campaign's payments.
 * Expected: CFA_OK; CFA_ENOTFOUND; CFA_ETIMEOUT when the projector could not be brought up;
 * TRANSIENT.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_totals_verify(int32_t *out_equal, cfa_engine *engine,
                                                    const char *campaign_id, int32_t timeout_ms);

CFA_END

#endif
