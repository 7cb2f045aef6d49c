/*
 * units.c - amounts as Stripe writes them. Its API counts most currencies in ISO's minor unit; the
 * few that it counts otherwise are data here. Never rounds.
 */
#include "adapters/stripe/stripe.h"

#include <string.h>

/*
 * Stripe's unit by ISO's: Stripe kept two decimals, always 00, for ISK and UGX when they became
 * whole, and knows no fifths of an ariary. docs.stripe.com/currencies, "Special cases", and
 * support.stripe.com on fractional ISK, read 2026-11-22. Which amounts are taken at all is
 * cfa_money_rules_stripe.
 */
static const struct unit_rule {
    char currency[4];
    int64_t multiply, divide;
} unit_rules[] = {
    { "ISK", 100, 1 },
    { "MGA", 1, 100 },
    { "UGX", 100, 1 },
};

static const struct unit_rule *rule_of(const char *currency) {
    for (size_t i = 0; i < sizeof unit_rules / sizeof unit_rules[0]; i++) {
        if (memcmp(unit_rules[i].currency, currency, 3) == 0) {
            return &unit_rules[i];
        }
    }
    return NULL;
}

static bool scale(int64_t *out, int64_t value, int64_t multiply, int64_t divide) {
    if (value % divide != 0) {
        return false;
    }
    return !__builtin_mul_overflow(value / divide, multiply, out);
}

bool cfa__stripe_units(int64_t *out, cfa_money amount) {
    const struct unit_rule *rule = rule_of(amount.currency);
    return scale(out, amount.minor, rule != NULL ? rule->multiply : 1,
                 rule != NULL ? rule->divide : 1);
}

bool cfa__stripe_money(cfa_money *out, int64_t units, const char *currency) {
    char upper[4] = { 0 };
    if (currency == NULL || strlen(currency) != 3) {
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        char letter = currency[i];
        upper[i] = letter >= 'a' && letter <= 'z' ? (char)(letter - 'a' + 'A') : letter;
    }
    const struct unit_rule *rule = rule_of(upper);
    int64_t minor;
    return scale(&minor, units, rule != NULL ? rule->divide : 1,
                 rule != NULL ? rule->multiply : 1) &&
           cfa_money_make(out, minor, upper) == CFA_OK;
}
