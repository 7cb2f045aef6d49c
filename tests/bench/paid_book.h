/*
 * paid_book.h - books of payments that all were paid, written through the storage interface: what is
 * measured on them depends on their size alone. Never a part of what is measured.
 */
#ifndef CFA_TESTS_BENCH_PAID_BOOK_H
#define CFA_TESTS_BENCH_PAID_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/records.h"

#define PAID_BOOK_REF_SIZE 40
#define PAID_BOOK_REFUND_EACH 20 /* one payment of so many had half of its money sent back */

/*
 * Whole: every row that a payment leaves behind (twenty of them), with three webhooks and one probe
 * each, at the play provider.
 * Compared: only what a reconciliation is about, payments, refunds and the provider's objects, at
 * Stripe, whose ids look random. One payment of twenty was refunded by half.
 */
typedef enum paid_book_form { PAID_BOOK_WHOLE, PAID_BOOK_COMPARED } paid_book_form;

typedef struct paid_book {
    const char *path;
    paid_book_form form;
    int64_t payments;
    int64_t from_us, spacing_us; /* of the first payment; between two */
} paid_book;

/* Set what `path`, `form` and `payments` do not say, and write the book. Returns its rows. */
int64_t paid_book_write(paid_book *book);

/* The provider's id of what belongs to the i-th payment: "pi_3" and 24 more. */
void paid_book_ref(char out[PAID_BOOK_REF_SIZE], const char *prefix, int64_t i);
cfa__id paid_book_payment_id(const paid_book *book, int64_t i);
int64_t paid_book_amount_minor(int64_t i);
/* 0: none. */
int64_t paid_book_refunded_minor(int64_t i);

#endif
