/*
 * money.c - amounts: the ISO 4217 table, exact text, checked arithmetic, and what a provider can
 * represent. Integers only; nothing is ever rounded, and nothing wraps.
 */
#include <careforall/money.h>
#include <careforall/sys/platform.h>

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define ORIGIN "core.money"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/*
 * ISO 4217 list one as of 2026: XCG has replaced ANG, ZWG ZWL, and the euro BGN. Fund codes are
 * listed because they have minor units (CLF and UYW four decimals). Left out is what has none:
 * metals (XAU ...), bond units (XBA ...), XDR, XSU, XUA, and the codes for tests and for no
 * currency. Sorted, for the search below.
 */
typedef struct currency {
    char code[4];
    int32_t exponent;
} currency;

static const currency currencies[] = {
    { "AED", 2 }, { "AFN", 2 }, { "ALL", 2 }, { "AMD", 2 }, { "AOA", 2 }, { "ARS", 2 },
    { "AUD", 2 }, { "AWG", 2 }, { "AZN", 2 }, { "BAM", 2 }, { "BBD", 2 }, { "BDT", 2 },
    { "BHD", 3 }, { "BIF", 0 }, { "BMD", 2 }, { "BND", 2 }, { "BOB", 2 }, { "BOV", 2 },
    { "BRL", 2 }, { "BSD", 2 }, { "BTN", 2 }, { "BWP", 2 }, { "BYN", 2 }, { "BZD", 2 },
    { "CAD", 2 }, { "CDF", 2 }, { "CHE", 2 }, { "CHF", 2 }, { "CHW", 2 }, { "CLF", 4 },
    { "CLP", 0 }, { "CNY", 2 }, { "COP", 2 }, { "COU", 2 }, { "CRC", 2 }, { "CUP", 2 },
    { "CVE", 2 }, { "CZK", 2 }, { "DJF", 0 }, { "DKK", 2 }, { "DOP", 2 }, { "DZD", 2 },
    { "EGP", 2 }, { "ERN", 2 }, { "ETB", 2 }, { "EUR", 2 }, { "FJD", 2 }, { "FKP", 2 },
    { "GBP", 2 }, { "GEL", 2 }, { "GHS", 2 }, { "GIP", 2 }, { "GMD", 2 }, { "GNF", 0 },
    { "GTQ", 2 }, { "GYD", 2 }, { "HKD", 2 }, { "HNL", 2 }, { "HTG", 2 }, { "HUF", 2 },
    { "IDR", 2 }, { "ILS", 2 }, { "INR", 2 }, { "IQD", 3 }, { "IRR", 2 }, { "ISK", 0 },
    { "JMD", 2 }, { "JOD", 3 }, { "JPY", 0 }, { "KES", 2 }, { "KGS", 2 }, { "KHR", 2 },
    { "KMF", 0 }, { "KPW", 2 }, { "KRW", 0 }, { "KWD", 3 }, { "KYD", 2 }, { "KZT", 2 },
    { "LAK", 2 }, { "LBP", 2 }, { "LKR", 2 }, { "LRD", 2 }, { "LSL", 2 }, { "LYD", 3 },
    { "MAD", 2 }, { "MDL", 2 }, { "MGA", 2 }, { "MKD", 2 }, { "MMK", 2 }, { "MNT", 2 },
    { "MOP", 2 }, { "MRU", 2 }, { "MUR", 2 }, { "MVR", 2 }, { "MWK", 2 }, { "MXN", 2 },
    { "MXV", 2 }, { "MYR", 2 }, { "MZN", 2 }, { "NAD", 2 }, { "NGN", 2 }, { "NIO", 2 },
    { "NOK", 2 }, { "NPR", 2 }, { "NZD", 2 }, { "OMR", 3 }, { "PAB", 2 }, { "PEN", 2 },
    { "PGK", 2 }, { "PHP", 2 }, { "PKR", 2 }, { "PLN", 2 }, { "PYG", 0 }, { "QAR", 2 },
    { "RON", 2 }, { "RSD", 2 }, { "RUB", 2 }, { "RWF", 0 }, { "SAR", 2 }, { "SBD", 2 },
    { "SCR", 2 }, { "SDG", 2 }, { "SEK", 2 }, { "SGD", 2 }, { "SHP", 2 }, { "SLE", 2 },
    { "SOS", 2 }, { "SRD", 2 }, { "SSP", 2 }, { "STN", 2 }, { "SVC", 2 }, { "SYP", 2 },
    { "SZL", 2 }, { "THB", 2 }, { "TJS", 2 }, { "TMT", 2 }, { "TND", 3 }, { "TOP", 2 },
    { "TRY", 2 }, { "TTD", 2 }, { "TWD", 2 }, { "TZS", 2 }, { "UAH", 2 }, { "UGX", 0 },
    { "USD", 2 }, { "USN", 2 }, { "UYI", 0 }, { "UYU", 2 }, { "UYW", 4 }, { "UZS", 2 },
    { "VED", 2 }, { "VES", 2 }, { "VND", 0 }, { "VUV", 0 }, { "WST", 2 }, { "XAD", 2 },
    { "XAF", 0 }, { "XCD", 2 }, { "XCG", 2 }, { "XOF", 0 }, { "XPF", 0 }, { "YER", 2 },
    { "ZAR", 2 }, { "ZMW", 2 }, { "ZWG", 2 },
};

/*
 * What Stripe documents, in ISO minor units, which are not always the units of its API:
 *   - Three-decimal currencies: the last digit must be 0, because its partners know two decimals.
 *   - ISK and UGX have no decimals in ISO, so every amount here is whole already. Stripe's API kept
 *     two decimals, always 00, when they became whole: its adapter multiplies both by 100. Of UGX
 *     the page says that and, in the same breath, lists it among the currencies without decimals:
 *     sources disagree, the factor is to be proved against the live API, and the rule here is right
 *     either way.
 *   - MGA has two decimals in ISO (a fifth of an ariary, written .20) but none in Stripe's API.
 *   - HUF and TWD can be charged with decimals but are paid out whole; an amount that could never
 *     be paid out as it was given is refused when it is pledged.
 *   - The minimum is that of a payment which settles in its own currency. When it settles in
 *     another, Stripe converts and has the last word, as it has for the maximum, which depends on
 *     the payment method.
 */
static const cfa_money_rule stripe_rules[] = {
    { "AED", 1, 200 },  { "ARS", 1, 50 },      { "AUD", 1, 50 },   { "BHD", 10, 10 },
    { "BIF", 1, 1 },    { "BRL", 1, 50 },      { "CAD", 1, 50 },   { "CHF", 1, 50 },
    { "CLP", 1, 1 },    { "COP", 1, 50 },      { "CZK", 1, 1500 }, { "DJF", 1, 1 },
    { "DKK", 1, 250 },  { "EUR", 1, 50 },      { "GBP", 1, 30 },   { "GNF", 1, 1 },
    { "HKD", 1, 400 },  { "HUF", 100, 17500 }, { "IDR", 1, 50 },   { "ILS", 1, 50 },
    { "INR", 1, 50 },   { "ISK", 1, 1 },       { "JOD", 10, 10 },  { "JPY", 1, 50 },
    { "KMF", 1, 1 },    { "KRW", 1, 50 },      { "KWD", 10, 10 },  { "MGA", 100, 100 },
    { "MXN", 1, 1000 }, { "MYR", 1, 200 },     { "NOK", 1, 300 },  { "NZD", 1, 50 },
    { "OMR", 10, 10 },  { "PHP", 1, 50 },      { "PLN", 1, 200 },  { "PYG", 1, 1 },
    { "RON", 1, 200 },  { "RUB", 1, 50 },      { "RWF", 1, 1 },    { "SEK", 1, 300 },
    { "SGD", 1, 50 },   { "THB", 1, 1000 },    { "TND", 10, 10 },  { "TWD", 100, 100 },
    { "UGX", 1, 1 },    { "USD", 1, 50 },      { "VND", 1, 1 },    { "VUV", 1, 1 },
    { "XAF", 1, 1 },    { "XOF", 1, 1 },       { "XPF", 1, 1 },    { "ZAR", 1, 50 },
};

static const cfa_money_rules stripe = {
    sizeof(cfa_money_rules),
    1,
    "docs.stripe.com/currencies, archived copies read 2026-11-22",
    stripe_rules,
    COUNT(stripe_rules),
};

const cfa_money_rules *cfa_money_rules_stripe(void) { return &stripe; }

/* `code`: three bytes, whatever follows them. */
static const currency *currency_find(const char *code) {
    size_t low = 0, high = COUNT(currencies);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(code, currencies[middle].code, 3);
        if (order == 0)
            return &currencies[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static cfa_status unknown_currency(void) {
    return cfa_error_set(CFA_ECURRENCY, ORIGIN, "currency", 0,
                         "the currency is no upper-case ISO 4217 code with a minor unit");
}

/*
 * The currency of an amount, which a caller may have filled by hand: the NUL is not taken for
 * granted.
 */
static const currency *currency_of(const cfa_money *amount) {
    return amount->currency[3] == '\0' ? currency_find(amount->currency) : NULL;
}

static const currency *currency_named(const char *code) {
    return code != NULL && strlen(code) == 3 ? currency_find(code) : NULL;
}

cfa_status cfa_currency_exponent(int32_t *out, const char *code) {
    const currency *found = currency_named(code);
    if (found == NULL)
        return unknown_currency();
    *out = found->exponent;
    return CFA_OK;
}

cfa_status cfa_money_make(cfa_money *out, int64_t minor, const char *code) {
    const currency *found = currency_named(code);
    if (found == NULL)
        return unknown_currency();
    out->minor = minor;
    memcpy(out->currency, found->code, sizeof(out->currency));
    return CFA_OK;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

/* The parts of an amount's text, borrowed from it. */
typedef struct amount_text {
    const char *code, *whole, *decimals;
    size_t whole_size, decimal_size;
    bool negative;
} amount_text;

static const char *scan_code(amount_text *parts, const char *at) {
    for (int i = 0; i < 3; i++) {
        if (!is_letter(at[i]))
            return NULL;
    }
    parts->code = at;
    return at + 3;
}

static const char *scan_number(amount_text *parts, const char *at) {
    parts->negative = *at == '-';
    if (*at == '-' || *at == '+')
        at++;
    parts->whole = at;
    while (is_digit(*at))
        at++;
    parts->whole_size = (size_t)(at - parts->whole);
    if (parts->whole_size == 0)
        return NULL;
    parts->decimals = at;
    parts->decimal_size = 0;
    if (*at != '.')
        return at;
    parts->decimals = ++at;
    while (is_digit(*at))
        at++;
    parts->decimal_size = (size_t)(at - parts->decimals);
    return parts->decimal_size != 0 ? at : NULL;
}

/* One space, no more, between the two; nothing before and nothing behind. */
static bool scan(amount_text *parts, const char *text) {
    bool code_first = is_letter(text[0]);
    const char *at = code_first ? scan_code(parts, text) : scan_number(parts, text);
    if (at == NULL || *at++ != ' ')
        return false;
    at = code_first ? scan_number(parts, at) : scan_code(parts, at);
    return at != NULL && *at == '\0';
}

/*
 * Digits are added with the sign they will have, so that INT64_MIN is read like any other number.
 */
static bool add_digits(int64_t *minor, const char *digits, size_t count, bool negative) {
    for (size_t i = 0; i < count; i++) {
        int64_t digit = digits[i] - '0';
        if (__builtin_mul_overflow(*minor, INT64_C(10), minor) ||
            __builtin_add_overflow(*minor, negative ? -digit : digit, minor))
            return false;
    }
    return true;
}

cfa_status cfa_money_parse(cfa_money *out, const char *text) {
    amount_text parts;
    if (text == NULL || !scan(&parts, text))
        return cfa_error_set(CFA_EINVAL, ORIGIN, "amount", 0,
                             "an amount is written \"12.50 EUR\" or \"EUR 12.50\"");
    const currency *found = currency_find(parts.code);
    if (found == NULL)
        return unknown_currency();
    size_t exponent = (size_t)found->exponent;
    if (parts.decimal_size > exponent)
        return cfa_error_format(CFA_EAMOUNT, ORIGIN, "amount", 0,
                                "%s has %d decimals; amounts are never rounded", found->code,
                                (int)found->exponent);
    int64_t minor = 0;
    if (!add_digits(&minor, parts.whole, parts.whole_size, parts.negative) ||
        !add_digits(&minor, parts.decimals, parts.decimal_size, parts.negative) ||
        !add_digits(&minor, "0000", exponent - parts.decimal_size, parts.negative))
        return cfa_error_set(CFA_ERANGE, ORIGIN, "amount", 0,
                             "the amount does not fit 64 bits of minor units");
    out->minor = minor;
    memcpy(out->currency, found->code, sizeof(out->currency));
    return CFA_OK;
}

cfa_status cfa_money_format(char *out_text, size_t size, cfa_money amount) {
    const currency *found = currency_of(&amount);
    if (found == NULL)
        return unknown_currency();
    char text[CFA_MONEY_TEXT_SIZE];
    char *const end = text + sizeof(text);
    char *at = end - 5;
    at[0] = ' ';
    memcpy(at + 1, found->code, 4);
    uint64_t rest = (uint64_t)amount.minor;
    if (amount.minor < 0)
        rest = UINT64_C(0) - rest;
    /* Digits from the last; at least one stands before the point. */
    for (int32_t place = 0; rest != 0 || place <= found->exponent; place++, rest /= 10) {
        if (place == found->exponent && place != 0)
            *--at = '.';
        *--at = (char)('0' + rest % 10);
    }
    if (amount.minor < 0)
        *--at = '-';
    assert(at >= text);
    size_t needed = (size_t)(end - at);
    if (out_text == NULL || size < needed)
        return cfa_error_format(CFA_ETOOLONG, ORIGIN, "out_text", 0, "the text needs %zu bytes",
                                needed);
    memcpy(out_text, at, needed);
    return CFA_OK;
}

/* CFA_OK when both amounts are of one listed currency. */
static cfa_status check_same_currency(const cfa_money *a, const cfa_money *b) {
    if (currency_of(a) == NULL)
        return unknown_currency();
    if (memcmp(a->currency, b->currency, sizeof(a->currency)) != 0)
        return cfa_error_set(CFA_ECURRENCY, ORIGIN, "currency", 0,
                             "the two amounts are of different currencies");
    return CFA_OK;
}

static cfa_status out_of_range(void) {
    return cfa_error_set(CFA_ERANGE, ORIGIN, "amount", 0,
                         "the result does not fit 64 bits of minor units");
}

cfa_status cfa_money_add(cfa_money *out, cfa_money a, cfa_money b) {
    cfa_status status = check_same_currency(&a, &b);
    if (status != CFA_OK)
        return status;
    if (__builtin_add_overflow(a.minor, b.minor, &a.minor))
        return out_of_range();
    *out = a;
    return CFA_OK;
}

cfa_status cfa_money_sub(cfa_money *out, cfa_money a, cfa_money b) {
    cfa_status status = check_same_currency(&a, &b);
    if (status != CFA_OK)
        return status;
    if (__builtin_sub_overflow(a.minor, b.minor, &a.minor))
        return out_of_range();
    *out = a;
    return CFA_OK;
}

cfa_status cfa_money_compare(int32_t *out, cfa_money a, cfa_money b) {
    cfa_status status = check_same_currency(&a, &b);
    if (status != CFA_OK)
        return status;
    *out = (a.minor > b.minor) - (a.minor < b.minor);
    return CFA_OK;
}

static cfa_status check_rule(const cfa_money *amount, const cfa_money_rule *rule) {
    if (amount->minor < rule->minimum_minor)
        return cfa_error_format(CFA_EAMOUNT, ORIGIN, "amount", 0,
                                "the provider takes at least %lld minor units of %s",
                                (long long)rule->minimum_minor, amount->currency);
    if (rule->granularity_minor > 1 && amount->minor % rule->granularity_minor != 0)
        return cfa_error_format(CFA_EAMOUNT, ORIGIN, "amount", 0,
                                "the provider takes multiples of %lld minor units of %s",
                                (long long)rule->granularity_minor, amount->currency);
    return CFA_OK;
}

cfa_status cfa_money_check(cfa_money amount, const cfa_money_rules *rules) {
    if (currency_of(&amount) == NULL)
        return unknown_currency();
    if (amount.minor <= 0 || amount.minor > CFA_MONEY_MINOR_MAX)
        return cfa_error_format(CFA_ERANGE, ORIGIN, "amount", 0,
                                "an amount is from 1 to %lld minor units",
                                (long long)CFA_MONEY_MINOR_MAX);
    if (rules == NULL)
        return CFA_OK;
    if (rules->struct_size < sizeof(*rules))
        return cfa_error_set(CFA_EABI, ORIGIN, "struct_size", 0,
                             "cfa_money_rules.struct_size is not set");
    for (size_t i = 0; i < rules->rule_count; i++) {
        if (memcmp(rules->rules[i].currency, amount.currency, sizeof(amount.currency)) == 0)
            return check_rule(&amount, &rules->rules[i]);
    }
    return CFA_OK;
}
