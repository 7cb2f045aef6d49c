/*
 * test_money.c - amounts: text, arithmetic at the edges of 64 bits, ISO 4217, and what a provider
 * can represent.
 */
#include <careforall/error.h>
#include <careforall/money.h>

#include <check.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/*
 * Written down a second time, grouped by decimals, so that a slip in the library's table is seen.
 */
static const char *const codes_by_exponent[5] = {
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    NULL,
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD "
    "CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS "
    "GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD "
    "LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB "
    "PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
    "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW "
    "ZWG",
    "BHD IQD JOD KWD LYD OMR TND",
    "CLF UYW",
};

enum { CODES_MAX = 200 };

typedef struct listed {
    char code[4];
    int32_t exponent;
} listed;

static size_t list_codes(listed out[CODES_MAX]) {
    size_t count = 0;
    for (int32_t exponent = 0; exponent < 5; exponent++) {
        const char *at = codes_by_exponent[exponent];
        while (at != NULL && *at != '\0') {
            ck_assert_uint_lt(count, CODES_MAX);
            memcpy(out[count].code, at, 3);
            out[count].code[3] = '\0';
            out[count++].exponent = exponent;
            at += at[3] == ' ' ? 4 : 3;
        }
    }
    return count;
}

static cfa_money money(int64_t minor, const char *currency) {
    cfa_money amount;
    ck_assert_int_eq(cfa_money_make(&amount, minor, currency), CFA_OK);
    return amount;
}

static const char *last_field(void) {
    static cfa_error error;
    error.struct_size = sizeof(error);
    ck_assert_int_eq(cfa_error_last(&error), CFA_OK);
    return error.field;
}

/* A fixed sequence (splitmix64): the same amounts in every run. */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

START_TEST(every_iso_code_has_its_exponent_and_no_other_code_is_known) {
    listed codes[CODES_MAX];
    size_t count = list_codes(codes), known = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t exponent = -1;
        ck_assert_int_eq(cfa_currency_exponent(&exponent, codes[i].code), CFA_OK);
        ck_assert_int_eq(exponent, codes[i].exponent);
    }
    for (int i = 0; i < 26 * 26 * 26; i++) {
        char code[4] = "AAA";
        code[0] = (char)('A' + i / 676);
        code[1] = (char)('A' + i / 26 % 26);
        code[2] = (char)('A' + i % 26);
        int32_t exponent = -1;
        cfa_status status = cfa_currency_exponent(&exponent, code);
        known += status == CFA_OK;
        if (status != CFA_OK) {
            ck_assert_int_eq(status, CFA_ECURRENCY);
            ck_assert_int_eq(exponent, -1);
        }
    }
    ck_assert_uint_eq(known, count);
}
END_TEST

START_TEST(codes_that_are_no_currency_are_refused_and_outputs_left_alone) {
    static const char *const bad[] = {
        "",    "E",   "EU",  "EURO", "eur", "Eur", "EU\xc3", "XXX", "XTS",
        "XAU", "XDR", "BGN", "ANG",  "HRK", "123", "E R",    "ZZZ", "AAA",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cfa_money amount = { 7, "USD" };
        ck_assert_int_eq(cfa_money_make(&amount, 1, bad[i]), CFA_ECURRENCY);
        ck_assert_str_eq(last_field(), "currency");
        ck_assert_int_eq(amount.minor, 7);
        ck_assert_str_eq(amount.currency, "USD");
    }
    cfa_money amount;
    ck_assert_int_eq(cfa_money_make(&amount, 1, NULL), CFA_ECURRENCY);
    cfa_money unterminated = { 1, { 'E', 'U', 'R', 'O' } };
    char text[CFA_MONEY_TEXT_SIZE];
    int32_t order;
    ck_assert_int_eq(cfa_money_format(text, sizeof(text), unterminated), CFA_ECURRENCY);
    ck_assert_int_eq(cfa_money_check(unterminated, NULL), CFA_ECURRENCY);
    ck_assert_int_eq(cfa_money_add(&amount, unterminated, unterminated), CFA_ECURRENCY);
    ck_assert_int_eq(cfa_money_compare(&order, unterminated, unterminated), CFA_ECURRENCY);
}
END_TEST

/*
 * One assertion for everything: the library's answers to thousands of amounts, not check's pipe,
 * should take the time.
 */
static bool survives_round_trip(int64_t minor, const char *currency) {
    char text[CFA_MONEY_TEXT_SIZE], swapped[CFA_MONEY_TEXT_SIZE], small[CFA_MONEY_TEXT_SIZE] = "x";
    cfa_money amount, back, again;
    if (cfa_money_make(&amount, minor, currency) != CFA_OK ||
        cfa_money_format(text, sizeof(text), amount) != CFA_OK ||
        cfa_money_parse(&back, text) != CFA_OK)
        return false;
    size_t number_size = strlen(text) - 4;
    memcpy(swapped, currency, 3);
    swapped[3] = ' ';
    memcpy(swapped + 4, text, number_size);
    swapped[4 + number_size] = '\0';
    if (cfa_money_parse(&again, swapped) != CFA_OK)
        return false;
    /* One byte less than needed is too little, and writes nothing. */
    return back.minor == minor && strcmp(back.currency, currency) == 0 && again.minor == minor &&
           strcmp(again.currency, currency) == 0 &&
           cfa_money_format(small, strlen(text), amount) == CFA_ETOOLONG && small[0] == 'x' &&
           cfa_money_format(small, strlen(text) + 1, amount) == CFA_OK && strcmp(small, text) == 0;
}

START_TEST(format_and_parse_are_inverse_for_every_currency) {
    static const int64_t edges[] = {
        0,         1,
        -1,        9,
        10,        11,
        99,        100,
        101,       999,
        1000,      1001,
        9999,      10000,
        10001,     -99,
        -100,      -1000,
        -10000,    CFA_MONEY_MINOR_MAX,
        INT64_MAX, INT64_MAX - 1,
        INT64_MIN, INT64_MIN + 1,
    };
    listed codes[CODES_MAX];
    size_t count = list_codes(codes);
    uint64_t state = 20260131;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < sizeof(edges) / sizeof(edges[0]); j++)
            ck_assert_msg(survives_round_trip(edges[j], codes[i].code), "%" PRId64 " %s", edges[j],
                          codes[i].code);
        for (int j = 0; j < 400; j++) {
            /* Shifted by a random count, so that short amounts are as common as long ones. */
            uint64_t bits = next_random(&state);
            int64_t minor = (int64_t)next_random(&state) >> (bits & 63);
            ck_assert_msg(survives_round_trip(minor, codes[i].code), "%" PRId64 " %s", minor,
                          codes[i].code);
        }
    }
}
END_TEST

static const struct {
    const char *text;
    cfa_status status;
    int64_t minor;
    const char *currency;
} texts[] = {
    { "12.50 EUR", CFA_OK, 1250, "EUR" },
    { "EUR 12.50", CFA_OK, 1250, "EUR" },
    { "12.5 EUR", CFA_OK, 1250, "EUR" },
    { "12 EUR", CFA_OK, 1200, "EUR" },
    { "+12 EUR", CFA_OK, 1200, "EUR" },
    { "-0.01 EUR", CFA_OK, -1, "EUR" },
    { "EUR -0.01", CFA_OK, -1, "EUR" },
    { "-0 EUR", CFA_OK, 0, "EUR" },
    { "000000000000000000000000000007 JPY", CFA_OK, 7, "JPY" },
    { "500 JPY", CFA_OK, 500, "JPY" },
    { "5.123 KWD", CFA_OK, 5123, "KWD" },
    { "5.1234 CLF", CFA_OK, 51234, "CLF" },
    { "5.1 UYW", CFA_OK, 51000, "UYW" },
    { "12.505 EUR", CFA_EAMOUNT, 0, NULL },
    { "12.500 EUR", CFA_EAMOUNT, 0, NULL },
    { "500.0 JPY", CFA_EAMOUNT, 0, NULL },
    { "5.1234 KWD", CFA_EAMOUNT, 0, NULL },
    { "5.12345 CLF", CFA_EAMOUNT, 0, NULL },
    { "92233720368547758.07 EUR", CFA_OK, INT64_MAX, "EUR" },
    { "92233720368547758.08 EUR", CFA_ERANGE, 0, NULL },
    { "-92233720368547758.08 EUR", CFA_OK, INT64_MIN, "EUR" },
    { "-92233720368547758.09 EUR", CFA_ERANGE, 0, NULL },
    { "9223372036854775807 JPY", CFA_OK, INT64_MAX, "JPY" },
    { "9223372036854775808 JPY", CFA_ERANGE, 0, NULL },
    { "-9223372036854775808 JPY", CFA_OK, INT64_MIN, "JPY" },
    { "-9223372036854775809 JPY", CFA_ERANGE, 0, NULL },
    { "92233720368547759 EUR", CFA_ERANGE, 0, NULL },
    { "922337203685477.5808 CLF", CFA_ERANGE, 0, NULL },
    { "922337203685477.5807 CLF", CFA_OK, INT64_MAX, "CLF" },
    { "99999999999999999999999999999999999999 EUR", CFA_ERANGE, 0, NULL },
    { "1 ZZZ", CFA_ECURRENCY, 0, NULL },
    { "1 eur", CFA_ECURRENCY, 0, NULL },
    { "ZZZ 1", CFA_ECURRENCY, 0, NULL },
    { "1 aaz", CFA_ECURRENCY, 0, NULL },
    { "zza 1", CFA_ECURRENCY, 0, NULL },
    { "1.23456789 ZZZ", CFA_ECURRENCY, 0, NULL },
    { "", CFA_EINVAL, 0, NULL },
    { " ", CFA_EINVAL, 0, NULL },
    { "EUR", CFA_EINVAL, 0, NULL },
    { "EUR ", CFA_EINVAL, 0, NULL },
    { "12.50", CFA_EINVAL, 0, NULL },
    { "12.50 ", CFA_EINVAL, 0, NULL },
    { "12.50EUR", CFA_EINVAL, 0, NULL },
    { "EUR12.50", CFA_EINVAL, 0, NULL },
    { "12.50  EUR", CFA_EINVAL, 0, NULL },
    { "12.50\tEUR", CFA_EINVAL, 0, NULL },
    { " 12.50 EUR", CFA_EINVAL, 0, NULL },
    { "12.50 EUR ", CFA_EINVAL, 0, NULL },
    { "12.50 EUR\n", CFA_EINVAL, 0, NULL },
    { "12.50 EU", CFA_EINVAL, 0, NULL },
    { "12.50 EURO", CFA_EINVAL, 0, NULL },
    { "12,50 EUR", CFA_EINVAL, 0, NULL },
    { "1,250.00 EUR", CFA_EINVAL, 0, NULL },
    { "1 250 EUR", CFA_EINVAL, 0, NULL },
    { "1e3 EUR", CFA_EINVAL, 0, NULL },
    { "0x10 EUR", CFA_EINVAL, 0, NULL },
    { "12. EUR", CFA_EINVAL, 0, NULL },
    { ".50 EUR", CFA_EINVAL, 0, NULL },
    { "1.2.3 EUR", CFA_EINVAL, 0, NULL },
    { "--1 EUR", CFA_EINVAL, 0, NULL },
    { "+-1 EUR", CFA_EINVAL, 0, NULL },
    { "- 1 EUR", CFA_EINVAL, 0, NULL },
    { "1- EUR", CFA_EINVAL, 0, NULL },
    { "- EUR", CFA_EINVAL, 0, NULL },
    { "EUR -", CFA_EINVAL, 0, NULL },
    { "EUR 1 EUR", CFA_EINVAL, 0, NULL },
    { "NaN EUR", CFA_EINVAL, 0, NULL },
    { "inf EUR", CFA_EINVAL, 0, NULL },
    { "\xe2\x82\xac"
      "12",
      CFA_EINVAL, 0, NULL },
    { "\xd9\xa1 EUR", CFA_EINVAL, 0, NULL },
};

START_TEST(text_is_read_exactly_or_refused_with_the_right_reason) {
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        cfa_money amount = { 77, "SEK" };
        cfa_status status = cfa_money_parse(&amount, texts[i].text);
        ck_assert_msg(status == texts[i].status, "\"%s\": %s", texts[i].text,
                      cfa_status_name(status));
        bool good = status == CFA_OK;
        ck_assert_msg(amount.minor == (good ? texts[i].minor : 77), "\"%s\"", texts[i].text);
        ck_assert_str_eq(amount.currency, good ? texts[i].currency : "SEK");
        if (!good)
            ck_assert_str_eq(last_field(), status == CFA_ECURRENCY ? "currency" : "amount");
    }
    cfa_money amount;
    ck_assert_int_eq(cfa_money_parse(&amount, NULL), CFA_EINVAL);
}
END_TEST

START_TEST(format_writes_the_currencys_own_decimals) {
    static const struct {
        int64_t minor;
        const char *currency, *text;
    } cases[] = {
        { 0, "EUR", "0.00 EUR" },
        { 5, "EUR", "0.05 EUR" },
        { -5, "EUR", "-0.05 EUR" },
        { 1250, "EUR", "12.50 EUR" },
        { 0, "JPY", "0 JPY" },
        { -500, "JPY", "-500 JPY" },
        { 1, "KWD", "0.001 KWD" },
        { 51234, "CLF", "5.1234 CLF" },
        { INT64_MIN, "EUR", "-92233720368547758.08 EUR" },
        { INT64_MIN, "CLF", "-922337203685477.5808 CLF" },
        { INT64_MIN, "JPY", "-9223372036854775808 JPY" },
        { INT64_MAX, "KWD", "9223372036854775.807 KWD" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[CFA_MONEY_TEXT_SIZE];
        cfa_money amount = money(cases[i].minor, cases[i].currency);
        ck_assert_int_eq(cfa_money_format(text, sizeof(text), amount), CFA_OK);
        ck_assert_str_eq(text, cases[i].text);
    }
    ck_assert_int_eq(cfa_money_format(NULL, 0, money(1, "EUR")), CFA_ETOOLONG);
}
END_TEST

START_TEST(sums_are_exact_up_to_the_last_unit_and_refused_beyond) {
    static const struct {
        int64_t a, b;
        bool sum_fits, difference_fits;
    } cases[] = {
        { INT64_MAX, 0, true, true },          { INT64_MAX, 1, false, true },
        { INT64_MAX - 1, 1, true, true },      { INT64_MAX, INT64_MAX, false, true },
        { INT64_MIN, 0, true, true },          { INT64_MIN, 1, true, false },
        { INT64_MIN, -1, false, true },        { INT64_MIN + 1, -1, true, true },
        { INT64_MIN, INT64_MIN, false, true }, { 0, INT64_MIN, true, false },
        { -1, INT64_MIN, false, true },        { INT64_MAX, INT64_MIN, true, false },
        { INT64_MAX, -1, true, false },        { 0, INT64_MAX, true, true },
        { -2, INT64_MAX, true, false },        { -1, INT64_MAX, true, true },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cfa_money a = money(cases[i].a, "EUR"), b = money(cases[i].b, "EUR"),
                  out = money(42, "USD");
        ck_assert_int_eq(cfa_money_add(&out, a, b), cases[i].sum_fits ? CFA_OK : CFA_ERANGE);
        ck_assert_int_eq(out.minor, cases[i].sum_fits ? cases[i].a + cases[i].b : 42);
        ck_assert_str_eq(out.currency, cases[i].sum_fits ? "EUR" : "USD");
        out = money(42, "USD");
        ck_assert_int_eq(cfa_money_sub(&out, a, b), cases[i].difference_fits ? CFA_OK : CFA_ERANGE);
        ck_assert_int_eq(out.minor, cases[i].difference_fits ? cases[i].a - cases[i].b : 42);
    }
}
END_TEST

START_TEST(random_sums_can_be_taken_back) {
    uint64_t state = 7;
    for (int i = 0; i < 20000; i++) {
        cfa_money a = money((int64_t)next_random(&state) >> 2, "SEK");
        cfa_money b = money((int64_t)next_random(&state) >> 2, "SEK");
        cfa_money sum, back;
        ck_assert_int_eq(cfa_money_add(&sum, a, b), CFA_OK);
        ck_assert_int_eq(cfa_money_sub(&back, sum, b), CFA_OK);
        ck_assert_int_eq(back.minor, a.minor);
        int32_t order;
        ck_assert_int_eq(cfa_money_compare(&order, sum, a), CFA_OK);
        ck_assert_int_eq(order, (b.minor > 0) - (b.minor < 0));
    }
}
END_TEST

START_TEST(two_currencies_never_meet) {
    cfa_money euro = money(1, "EUR"), dollar = money(1, "USD"), out = money(9, "SEK");
    int32_t order = 9;
    ck_assert_int_eq(cfa_money_add(&out, euro, dollar), CFA_ECURRENCY);
    ck_assert_int_eq(cfa_money_sub(&out, euro, dollar), CFA_ECURRENCY);
    ck_assert_int_eq(cfa_money_compare(&order, euro, dollar), CFA_ECURRENCY);
    ck_assert_int_eq(out.minor, 9);
    ck_assert_int_eq(order, 9);
    ck_assert_int_eq(cfa_money_compare(&order, euro, euro), CFA_OK);
    ck_assert_int_eq(order, 0);
}
END_TEST

START_TEST(only_positive_amounts_below_the_limit_can_be_pledged) {
    static const struct {
        int64_t minor;
        cfa_status status;
    } cases[] = {
        { 1, CFA_OK },
        { CFA_MONEY_MINOR_MAX, CFA_OK },
        { 0, CFA_ERANGE },
        { -1, CFA_ERANGE },
        { INT64_MIN, CFA_ERANGE },
        { CFA_MONEY_MINOR_MAX + 1, CFA_ERANGE },
        { INT64_MAX, CFA_ERANGE },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_int_eq(cfa_money_check(money(cases[i].minor, "EUR"), NULL), cases[i].status);
        if (cases[i].status != CFA_OK)
            ck_assert_str_eq(last_field(), "amount");
    }
    cfa_money nothing = { 1, "" };
    ck_assert_int_eq(cfa_money_check(nothing, NULL), CFA_ECURRENCY);
    ck_assert_str_eq(last_field(), "currency");
}
END_TEST

START_TEST(each_rule_of_the_provider_holds) {
    const cfa_money_rules *rules = cfa_money_rules_stripe();
    ck_assert_uint_eq(rules->struct_size, sizeof(*rules));
    ck_assert_int_ge(rules->version, 1);
    ck_assert_ptr_nonnull(strstr(rules->source, "stripe.com/currencies"));
    for (size_t i = 0; i < rules->rule_count; i++) {
        const cfa_money_rule *rule = &rules->rules[i];
        int64_t step = rule->granularity_minor, least = rule->minimum_minor;
        ck_assert_msg(step >= 1 && least >= 1 && least % step == 0, "%s", rule->currency);
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(rules->rules[j].currency, rule->currency);
        ck_assert_int_eq(cfa_money_check(money(least, rule->currency), rules), CFA_OK);
        ck_assert_int_eq(cfa_money_check(money(least + step, rule->currency), rules), CFA_OK);
        ck_assert_int_eq(cfa_money_check(money(least - 1, rule->currency), rules),
                         least == 1 ? CFA_ERANGE : CFA_EAMOUNT);
        for (int64_t off = 1; off < step; off++) {
            ck_assert_int_eq(cfa_money_check(money(least + off, rule->currency), rules),
                             CFA_EAMOUNT);
            ck_assert_str_eq(last_field(), "amount");
        }
    }
}
END_TEST

START_TEST(amounts_stripe_cannot_represent_are_refused) {
    static const struct {
        int64_t minor;
        const char *currency;
        cfa_status status;
    } cases[] = {
        { 5120, "KWD", CFA_OK },       { 5124, "KWD", CFA_EAMOUNT }, { 10, "BHD", CFA_OK },
        { 1, "TND", CFA_EAMOUNT },     { 5, "ISK", CFA_OK },         { 1, "UGX", CFA_OK },
        { 17550, "HUF", CFA_EAMOUNT }, { 17600, "HUF", CFA_OK },     { 17400, "HUF", CFA_EAMOUNT },
        { 80045, "TWD", CFA_EAMOUNT }, { 80000, "TWD", CFA_OK },     { 20, "MGA", CFA_EAMOUNT },
        { 100, "MGA", CFA_OK },        { 49, "USD", CFA_EAMOUNT },   { 50, "USD", CFA_OK },
        { 29, "GBP", CFA_EAMOUNT },    { 30, "GBP", CFA_OK },        { 49, "JPY", CFA_EAMOUNT },
        { 50, "JPY", CFA_OK },         { 49, "KRW", CFA_EAMOUNT },   { 1499, "CZK", CFA_EAMOUNT },
        { 1500, "CZK", CFA_OK },       { 1, "GEL", CFA_OK },         { 1001, "IQD", CFA_OK },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cfa_money amount = money(cases[i].minor, cases[i].currency);
        cfa_status status = cfa_money_check(amount, cfa_money_rules_stripe());
        ck_assert_msg(status == cases[i].status, "%" PRId64 " %s: %s", cases[i].minor,
                      cases[i].currency, cfa_status_name(status));
        ck_assert_int_eq(cfa_money_check(amount, NULL), CFA_OK);
    }
    cfa_money_rules unset = { 0, 1, "", NULL, 0 };
    ck_assert_int_eq(cfa_money_check(money(1, "EUR"), &unset), CFA_EABI);
}
END_TEST

static Suite *money_suite(void) {
    Suite *suite = suite_create("money");
    TCase *currencies = tcase_create("currencies");
    tcase_add_test(currencies, every_iso_code_has_its_exponent_and_no_other_code_is_known);
    tcase_add_test(currencies, codes_that_are_no_currency_are_refused_and_outputs_left_alone);
    suite_add_tcase(suite, currencies);
    TCase *text = tcase_create("text");
    tcase_set_timeout(text, 60);
    tcase_add_test(text, format_and_parse_are_inverse_for_every_currency);
    tcase_add_test(text, text_is_read_exactly_or_refused_with_the_right_reason);
    tcase_add_test(text, format_writes_the_currencys_own_decimals);
    suite_add_tcase(suite, text);
    TCase *arithmetic = tcase_create("arithmetic");
    tcase_add_test(arithmetic, sums_are_exact_up_to_the_last_unit_and_refused_beyond);
    tcase_add_test(arithmetic, random_sums_can_be_taken_back);
    tcase_add_test(arithmetic, two_currencies_never_meet);
    suite_add_tcase(suite, arithmetic);
    TCase *rules = tcase_create("rules");
    tcase_add_test(rules, only_positive_amounts_below_the_limit_can_be_pledged);
    tcase_add_test(rules, each_rule_of_the_provider_holds);
    tcase_add_test(rules, amounts_stripe_cannot_represent_are_refused);
    suite_add_tcase(suite, rules);
    return suite;
}

int main(int argc, char **argv) {
    SRunner *runner = srunner_create(money_suite());
    srunner_run(runner, NULL, argc > 1 ? argv[1] : NULL, CK_NORMAL);
    /* A name that selects nothing must not look like success. */
    int failed = srunner_ntests_failed(runner), run = srunner_ntests_run(runner);
    srunner_free(runner);
    return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
