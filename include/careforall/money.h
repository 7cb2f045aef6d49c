/*
 * money.h - amounts as 64-bit integers of a currency's minor unit. Doubles appear nowhere.
 *
 * Currencies and exponents are ISO 4217's. What a payment provider can represent is narrower (KWD's
 * last digit must be 0, ISK is whole units written with two decimals, ...) and is versioned data,
 * not code.
 */
#ifndef CAREFORALL_MONEY_H
#define CAREFORALL_MONEY_H

#include <careforall/base.h>

CFA_BEGIN

/* Frozen for ever. `currency` is an upper-case ISO 4217 code and a NUL. */
typedef struct cfa_money {
    int64_t minor;
    char currency[4];
} cfa_money;

/* The greatest amount accepted anywhere: 10^15 minor units, so that sums of millions stay in
 * range. */
#define CFA_MONEY_MINOR_MAX INT64_C(1000000000000000)

/* Bytes that `cfa_money_format` may need, with its NUL. */
#define CFA_MONEY_TEXT_SIZE 32

/*
 * Build an amount after checking the currency code.
 * Expected: CFA_OK; CFA_ECURRENCY for a code ISO 4217 does not list. Negative amounts are allowed
 * here.
 * Threading for all of this header: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_money_make(cfa_money *out, int64_t minor,
                                                 const char *currency);

/*
 * Parse exactly "12.50 EUR" (or "EUR 12.50"): optional sign, digits, at most the currency's own
 * number of decimals. No grouping, no exponent, no rounding: "12.505 EUR" is CFA_EAMOUNT, never
 * 12.50 or 12.51.
 * Expected: CFA_OK; CFA_EINVAL (form); CFA_ECURRENCY; CFA_EAMOUNT (too many decimals); CFA_ERANGE.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_money_parse(cfa_money *out, const char *text);

/* Format as "12.50 EUR", which `cfa_money_parse` reads back to the same amount.
 * Expected: CFA_OK; CFA_ECURRENCY; CFA_ETOOLONG when `size` is too small (CFA_MONEY_TEXT_SIZE never
 * is). */
CFA_API CFA_MUST_CHECK cfa_status cfa_money_format(char *out_text, size_t size, cfa_money amount);

/* Add or subtract. Expected: CFA_OK; CFA_ECURRENCY when they differ; CFA_ERANGE on 64-bit
 * overflow. */
CFA_API CFA_MUST_CHECK cfa_status cfa_money_add(cfa_money *out, cfa_money a, cfa_money b);
CFA_API CFA_MUST_CHECK cfa_status cfa_money_sub(cfa_money *out, cfa_money a, cfa_money b);

/* Write -1, 0 or 1. Expected: CFA_OK; CFA_ECURRENCY when the currencies differ. */
CFA_API CFA_MUST_CHECK cfa_status cfa_money_compare(int32_t *out, cfa_money a, cfa_money b);

/* Write the ISO 4217 number of decimals: 0, 2, 3 (4 for CLF, UYW). Expected: CFA_OK;
 * CFA_ECURRENCY. */
CFA_API CFA_MUST_CHECK cfa_status cfa_currency_exponent(int32_t *out, const char *currency);

/* One currency's rule of a provider: amounts are multiples of `granularity_minor` of ISO's minor
 * unit. */
typedef struct cfa_money_rule {
    char currency[4];
    int64_t granularity_minor;
    int64_t minimum_minor;
} cfa_money_rule;

/* What one provider can represent. Listed currencies follow their rule; others take any positive
 * amount. `source` names the document and the day it was read. */
typedef struct cfa_money_rules {
    size_t struct_size;
    int32_t version;
    const char *source;
    const cfa_money_rule *rules;
    size_t rule_count;
} cfa_money_rules;

/* The rules that Stripe documents; also the play provider's. */
CFA_API const cfa_money_rules *cfa_money_rules_stripe(void);

/*
 * Check that `amount` is positive, within CFA_MONEY_MINOR_MAX and representable under `rules`
 * (NULL: ISO alone). The error names the field `amount` and the rule.
 * Expected: CFA_OK; CFA_ECURRENCY; CFA_ERANGE (zero, negative, too large); CFA_EAMOUNT.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_money_check(cfa_money amount, const cfa_money_rules *rules);

CFA_END

#endif
