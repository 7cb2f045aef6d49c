/*
 * cards.c - the table of test cards, after Stripe's documentation, and the checks a form makes.
 * Holds no state: a number that is not in the table is not remembered anywhere.
 */
#include "cards.h"

#include <ctype.h>
#include <string.h>

#define DECLINED "Your card was declined."

static const test_card cards[] = {
    { .number = "4242424242424242",
      .method = "pm_card_visa",
      .token = "tok_visa",
      .brand = "visa",
      .hint = "is paid" },
    { .number = "5555555555554444",
      .method = "pm_card_mastercard",
      .token = "tok_mastercard",
      .brand = "mastercard" },
    { .number = "378282246310005", .method = "pm_card_amex", .token = "tok_amex", .brand = "amex" },
    { .number = "4000056655665556",
      .method = "pm_card_visa_debit",
      .token = "tok_visa_debit",
      .brand = "visa" },
    { .number = "4000002760000016", .method = "pm_card_de", .token = "tok_de", .brand = "visa" },
    { .number = "4000000000000077",
      .method = "pm_card_bypassPending",
      .token = "tok_bypassPending",
      .brand = "visa" },
    { .number = "4000000000000002",
      .method = "pm_card_chargeDeclined",
      .token = "tok_chargeDeclined",
      .brand = "visa",
      .code = "card_declined",
      .decline_code = "generic_decline",
      .message = DECLINED,
      .hint = "is declined" },
    { .number = "4000000000009995",
      .method = "pm_card_chargeDeclinedInsufficientFunds",
      .token = "tok_chargeDeclinedInsufficientFunds",
      .brand = "visa",
      .code = "card_declined",
      .decline_code = "insufficient_funds",
      .message = "Your card has insufficient funds.",
      .hint = "has too little money" },
    { .method = "pm_card_visa_chargeDeclinedInsufficientFunds",
      .brand = "visa",
      .code = "card_declined",
      .decline_code = "insufficient_funds",
      .message = "Your card has insufficient funds." },
    { .number = "4000000000009987",
      .method = "pm_card_visa_chargeDeclinedLostCard",
      .brand = "visa",
      .code = "card_declined",
      .decline_code = "lost_card",
      .message = DECLINED },
    { .number = "4000000000009979",
      .method = "pm_card_visa_chargeDeclinedStolenCard",
      .brand = "visa",
      .code = "card_declined",
      .decline_code = "stolen_card",
      .message = DECLINED },
    { .number = "4000000000000069",
      .method = "pm_card_chargeDeclinedExpiredCard",
      .token = "tok_chargeDeclinedExpiredCard",
      .brand = "visa",
      .code = "expired_card",
      .decline_code = "expired_card",
      .message = "Your card has expired.",
      .hint = "has expired" },
    { .number = "4000000000000127",
      .method = "pm_card_chargeDeclinedIncorrectCvc",
      .token = "tok_chargeDeclinedIncorrectCvc",
      .brand = "visa",
      .code = "incorrect_cvc",
      .decline_code = "incorrect_cvc",
      .message = "Your card's security code is incorrect.",
      .hint = "is refused for its security code" },
    { .number = "4000000000000119",
      .method = "pm_card_chargeDeclinedProcessingError",
      .token = "tok_chargeDeclinedProcessingError",
      .brand = "visa",
      .code = "processing_error",
      .decline_code = "processing_error",
      .message = "An error occurred while processing your card. Try again in a little bit." },
    { .number = "4100000000000019",
      .method = "pm_card_radarBlock",
      .token = "tok_radarBlock",
      .brand = "visa",
      .code = "card_declined",
      .decline_code = "fraudulent",
      .message = DECLINED },
    { .number = "4000000000000341",
      .method = "pm_card_chargeCustomerFail",
      .token = "tok_chargeCustomerFail",
      .brand = "visa",
      .code = "card_declined",
      .decline_code = "generic_decline",
      .message = DECLINED },
    { .number = "4000002500003155",
      .method = "pm_card_authenticationRequired",
      .token = "tok_visa_authenticationRequired",
      .brand = "visa",
      .authenticate = true,
      .hint = "asks for 3-D Secure" },
    { .number = "4000002760003184",
      .method = "pm_card_authenticationRequiredOnSetup",
      .brand = "visa",
      .authenticate = true },
    { .number = "4000000000003220",
      .method = "pm_card_threeDSecure2Required",
      .token = "tok_threeDSecure2Required",
      .brand = "visa",
      .authenticate = true },
    { .number = "4000008260003178",
      .method = "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
      .brand = "visa",
      .authenticate = true,
      .code = "card_declined",
      .decline_code = "insufficient_funds",
      .message = "Your card has insufficient funds.",
      .hint = "asks for 3-D Secure, then has too little money" },
    { .number = "4000008400001629",
      .method = "pm_card_threeDSecureRequiredChargeDeclined",
      .brand = "visa",
      .authenticate = true,
      .code = "card_declined",
      .decline_code = "generic_decline",
      .message = DECLINED },
    { .number = "4000000000005126",
      .method = "pm_card_refundFail",
      .token = "tok_refundFail",
      .brand = "visa",
      .refund_fails = true,
      .hint = "is paid; its refund fails later" },
    { .number = "4000000000007726",
      .method = "pm_card_pendingRefund",
      .token = "tok_pendingRefund",
      .brand = "visa",
      .refund_pending = true },
    { .number = "4000000000000259",
      .method = "pm_card_createDispute",
      .token = "tok_createDispute",
      .brand = "visa",
      .dispute = true,
      .hint = "is paid and disputed" },
    { .number = "4000000000001976",
      .method = "pm_card_createDisputeInquiry",
      .token = "tok_createDisputeInquiry",
      .brand = "visa",
      .inquiry = true },
    { .number = "4000000000005423",
      .method = "pm_card_createIssuerFraudRecord",
      .token = "tok_createIssuerFraudRecord",
      .brand = "visa",
      .warning = true },
    /* The sandbox's own: Stripe has such only for bank debits. */
    { .number = "4000000000008880",
      .method = "pm_usBankAccount_success",
      .brand = "visa",
      .async = true,
      .hint = "is paid after a while" },
    { .number = "4000000000008864",
      .method = "pm_usBankAccount_insufficientFunds",
      .brand = "visa",
      .async = true,
      .code = "card_declined",
      .decline_code = "insufficient_funds",
      .message = "The account has insufficient funds.",
      .hint = "fails after a while" },
    { .number = "4000000000008831",
      .method = "pm_usBankAccount_processing",
      .brand = "visa",
      .async = true,
      .stuck = true },
};

enum { CARD_COUNT = sizeof cards / sizeof *cards };

const test_card *card_list(size_t *out_count) {
    *out_count = CARD_COUNT;
    return cards;
}

/* The digits alone; false when there is something else. */
static bool digits_of(const char *text, char out[24]) {
    size_t size = 0;
    for (; *text; text++) {
        if (*text == ' ' || *text == '-')
            continue;
        if (!isdigit((unsigned char)*text) || size == 19)
            return false;
        out[size++] = *text;
    }
    out[size] = 0;
    return size >= 12;
}

static bool luhn(const char *digits) {
    int sum = 0;
    bool twice = false;
    for (size_t i = strlen(digits); i-- > 0; twice = !twice) {
        int value = digits[i] - '0';
        if (twice)
            value = value > 4 ? value * 2 - 9 : value * 2;
        sum += value;
    }
    return sum % 10 == 0;
}

const test_card *card_by_number(const char *number) {
    char digits[24];
    if (!digits_of(number, digits))
        return NULL;
    for (size_t i = 0; i < CARD_COUNT; i++)
        if (text_equal(cards[i].number, digits))
            return &cards[i];
    return NULL;
}

const test_card *card_by_method(const char *method) {
    for (size_t i = 0; i < CARD_COUNT; i++)
        if (text_equal(cards[i].method, method) || text_equal(cards[i].token, method))
            return &cards[i];
    return NULL;
}

const test_card *card_by_name(const char *name) { return name ? card_by_method(name) : NULL; }

const char *card_name(const test_card *card) { return card->method; }

void card_last4(const test_card *card, char out[5]) {
    const char *number = card->number ? card->number : "4000000000009995";
    memcpy(out, number + strlen(number) - 4, 5);
}

const test_card *card_check(const char *number, const char *month, const char *year,
                            const char *cvc, int64_t now_s, const char **out_code,
                            const char **out_message) {
    char digits[24];
    int64_t month_number = 0, year_number = 0, cvc_number = 0;
    if (!digits_of(number ? number : "", digits) || !luhn(digits)) {
        *out_code = "incorrect_number";
        *out_message = "Your card number is incorrect.";
        return NULL;
    }
    if (!month || !text_integer(month, &month_number) || month_number < 1 || month_number > 12) {
        *out_code = "invalid_expiry_month";
        *out_message = "Your card's expiration month is invalid.";
        return NULL;
    }
    if (!year || !text_integer(year, &year_number) || year_number < 0 || year_number > 2100) {
        *out_code = "invalid_expiry_year";
        *out_message = "Your card's expiration year is invalid.";
        return NULL;
    }
    year_number += year_number < 100 ? 2000 : 0;
    /* Good enough for a form: a month of 30.4 days since 1970. */
    int64_t now_month = now_s / 2629746;
    if ((year_number - 1970) * 12 + month_number - 1 < now_month) {
        *out_code = "invalid_expiry_year";
        *out_message = "Your card's expiration date is in the past.";
        return NULL;
    }
    if (cvc && (strlen(cvc) < 3 || strlen(cvc) > 4 || !text_integer(cvc, &cvc_number))) {
        *out_code = "invalid_cvc";
        *out_message = "Your card's security code is invalid.";
        return NULL;
    }
    const test_card *found = card_by_number(digits);
    if (!found) {
        *out_code = "card_declined";
        *out_message = "Your card was declined. Only the sandbox's test cards work here.";
    }
    return found;
}
