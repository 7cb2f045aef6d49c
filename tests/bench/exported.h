/*
 * exported.h - files as Stripe exports them, of a book that paid_book.c wrote: the same payments, in
 * the provider's order, the newest first.
 */
#ifndef CFA_TESTS_BENCH_EXPORTED_H
#define CFA_TESTS_BENCH_EXPORTED_H

#include "bench/paid_book.h"

/* The Dashboard's payments export: a row per payment. All return how many objects there are. */
int64_t exported_csv(const char *path, const paid_book *book);
/* The same without the column of our own ids. */
int64_t exported_bare_csv(const char *path, const paid_book *book);
/* The API's lists, indented as it writes them: payment intents, behind them refunds. */
int64_t exported_json(const char *path, const paid_book *book);

#endif
