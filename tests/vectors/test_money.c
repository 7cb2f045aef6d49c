/*
 * test_money.c - money.json: exponents, text, what a provider can represent, checked arithmetic.
 */
#include "vectors.h"

#include <string.h>

static const json_t *file;

static bool amounts_equal(cfa_money a, cfa_money b) {
    return a.minor == b.minor && strcmp(a.currency, b.currency) == 0;
}

START_TEST(currency) {
    const json_t *vector = vector_at(file, "currencies", _i);
    only(vector, "name about wide currency exponent status field");
    int32_t exponent = -1;
    if (expect_status(vector, cfa_currency_exponent(&exponent, text_in(vector, "currency"))))
        ck_assert_int_eq(exponent, number_in(vector, "exponent"));
    else
        ck_assert_int_eq(exponent, -1);
}
END_TEST

START_TEST(parse) {
    const json_t *vector = vector_at(file, "parse", _i);
    only(vector, "name about wide text amount formatted status field");
    const cfa_money untouched = { 77, "XPF" };
    cfa_money amount = untouched, again;
    if (!expect_status(vector, cfa_money_parse(&amount, text_in(vector, "text")))) {
        ck_assert(amounts_equal(amount, untouched));
        return;
    }
    ck_assert(amounts_equal(amount, money_in(vector, "amount")));
    char text[CFA_MONEY_TEXT_SIZE];
    ck_assert_int_eq(cfa_money_format(text, sizeof text, amount), CFA_OK);
    ck_assert_str_eq(text, text_in(vector, "formatted"));
    ck_assert_int_eq(cfa_money_parse(&again, text), CFA_OK);
    ck_assert(amounts_equal(again, amount));
}
END_TEST

START_TEST(check) {
    const json_t *vector = vector_at(file, "check", _i);
    only(vector, "name about wide rules amount status field");
    const char *rules = text_in(vector, "rules");
    bool stripe = strcmp(rules, "stripe") == 0;
    ck_assert(stripe || strcmp(rules, "iso") == 0);
    (void)expect_status(vector, cfa_money_check(money_in(vector, "amount"),
                                                stripe ? cfa_money_rules_stripe() : NULL));
}
END_TEST

START_TEST(arithmetic) {
    const json_t *vector = vector_at(file, "arithmetic", _i);
    only(vector, "name about wide operation left right result order status field");
    const char *operation = text_in(vector, "operation");
    cfa_money left = money_in(vector, "left"), right = money_in(vector, "right"), result;
    if (strcmp(operation, "compare") == 0) {
        int32_t order = 0;
        if (expect_status(vector, cfa_money_compare(&order, left, right)))
            ck_assert_int_eq(order, number_in(vector, "order"));
        return;
    }
    bool adds = strcmp(operation, "add") == 0;
    ck_assert(adds || strcmp(operation, "subtract") == 0);
    if (expect_status(vector, adds ? cfa_money_add(&result, left, right)
                                   : cfa_money_sub(&result, left, right)))
        ck_assert(amounts_equal(result, money_in(vector, "result")));
}
END_TEST

int main(int argc, char **argv) {
    file = vectors_load("money.json", "careforall.vectors.money.v1");
    Suite *suite = suite_create("vectors.money");
    vectors_add(suite, file, "currencies", currency);
    vectors_add(suite, file, "parse", parse);
    vectors_add(suite, file, "check", check);
    vectors_add(suite, file, "arithmetic", arithmetic);
    return vectors_run(suite, argc, argv);
}
