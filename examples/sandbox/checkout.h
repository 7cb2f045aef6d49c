/* checkout.h - Checkout Sessions: the hosted page's side of a payment. */
#ifndef SANDBOX_CHECKOUT_H
#define SANDBOX_CHECKOUT_H

#include "payment.h"

/* The donor submits a card: makes the intent when there is none and tries to pay. Stores. */
pay_outcome session_submit(sandbox *box, json_t *session, const test_card *card);
/* An intent of a session moved. */
void session_follow(sandbox *box, json_t *intent, pay_outcome outcome);
/* Job of the clock. */
void session_over(sandbox *box, const char *session_id);
/* success_url with {CHECKOUT_SESSION_ID} replaced, to be freed. */
char *session_return_url(const json_t *session, const char *url);

#endif
