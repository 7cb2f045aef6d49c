/* cards.h - the test cards and payment methods, and what each of them does. */
#ifndef SANDBOX_CARDS_H
#define SANDBOX_CARDS_H

#include "sandbox.h"

typedef struct test_card {
    const char *number, *method; /* either may be NULL */
    const char *token;           /* tok_... */
    const char *brand;
    const char *code, *decline_code, *message; /* of the decline; NULL: it is paid */
    const char *hint;                          /* on the hosted page, NULL: not shown */
    bool authenticate;                         /* asks for 3-D Secure first */
    bool async;                                /* processing first */
    bool stuck;                                /* processing for ever */
    bool refund_fails, refund_pending;
    bool dispute, inquiry, warning;
} test_card;

/* NULL when there is none. Spaces and dashes in a number are skipped. */
const test_card *card_by_number(const char *number);
const test_card *card_by_method(const char *method);
/* By what `card_name` gave. */
const test_card *card_by_name(const char *name);
const char *card_name(const test_card *card);
/* Why a card's fields cannot be right, or NULL; `*out_card` is set when they can. */
const test_card *card_check(const char *number, const char *month, const char *year,
                            const char *cvc, int64_t now_s, const char **out_code,
                            const char **out_message);
/* The last four digits. */
void card_last4(const test_card *card, char out[5]);
const test_card *card_list(size_t *out_count);

#endif
