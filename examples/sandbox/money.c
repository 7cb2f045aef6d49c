/* money.c - the provider's currencies, limits and granularity, and amounts for people. */
#include "money.h"
#include "form.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

enum { AMOUNT_MIN = 50, AMOUNT_MAX = 99999999 };

static const char currencies[] =
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl "
    "bsd bwp byn bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd "
    "fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs "
    "khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk "
    "mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub "
    "rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah "
    "ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw";
static const char no_decimals[] = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf";
static const char three_decimals[] = "bhd jod kwd omr tnd";
static const char whole_units[] = "isk ugx"; /* sent with two decimals that must be zero */

bool money_known(const char *currency) {
    return strlen(currency) == 3 && word_in(currencies, currency);
}

bool money_currency(call *c, const char *text, const char *param, char out[4]) {
    size_t size = strlen(text);
    if (size == 3) {
        for (size_t i = 0; i <= size; i++)
            out[i] = (char)tolower((unsigned char)text[i]);
        if (word_in(currencies, out))
            return true;
    }
    call_fail(c, 400, "invalid_request_error", NULL, param,
              "Invalid currency: %.16s. Stripe currently supports these currencies: %s", text,
              currencies);
    return false;
}

bool money_amount(call *c, int64_t amount, const char *currency, const char *param) {
    int64_t minimum = word_in(no_decimals, currency) ? 1 : AMOUNT_MIN;
    if (amount < 1)
        call_fail(c, 400, "invalid_request_error", "parameter_invalid_integer", param,
                  "This value must be greater than or equal to 1.");
    else if (amount < minimum)
        call_fail(c, 400, "invalid_request_error", "amount_too_small", param,
                  "Amount must be at least %" PRId64 " in the smallest unit of %s.", minimum,
                  currency);
    else if (amount > AMOUNT_MAX)
        call_fail(c, 400, "invalid_request_error", "amount_too_large", param,
                  "Amount must be no more than %d in the smallest unit of %s.", AMOUNT_MAX,
                  currency);
    else if ((word_in(three_decimals, currency) && amount % 10) ||
             (word_in(whole_units, currency) && amount % 100))
        call_fail(c, 400, "invalid_request_error", "invalid_charge_amount", param,
                  "Invalid amount: %" PRId64 " is not a multiple of %d, which %s asks for.", amount,
                  word_in(whole_units, currency) ? 100 : 10, currency);
    else
        return true;
    return false;
}

void money_text(char *out, size_t size, int64_t amount, const char *currency) {
    char upper[8];
    size_t i = 0;
    for (; currency[i] && i + 1 < sizeof upper; i++)
        upper[i] = (char)toupper((unsigned char)currency[i]);
    upper[i] = 0;
    if (word_in(no_decimals, currency))
        format_text(out, size, "%" PRId64 " %s", amount, upper);
    else if (word_in(three_decimals, currency))
        format_text(out, size, "%" PRId64 ".%03d %s", amount / 1000, (int)(amount % 1000), upper);
    else
        format_text(out, size, "%" PRId64 ".%02d %s", amount / 100, (int)(amount % 100), upper);
}
