/*
 * payment.h - what happens to a payment intent and its charge, whoever asks for it: the API, the
 * hosted page, the panel or the clock. Callers hold a transaction and have checked that the step is
 * allowed; these functions change, store, count and emit events.
 */
#ifndef SANDBOX_PAYMENT_H
#define SANDBOX_PAYMENT_H

#include "cards.h"
#include "sandbox.h"

typedef enum pay_outcome { PAID, HELD, PROCESSING, NEEDS_ACTION, DECLINED } pay_outcome;

/* A stored payment_method for the card; the id is written to `out_id`. */
void method_new(sandbox *box, const char *account, const test_card *card, char out_id[ID_BYTES]);
/* The card behind pm_card_..., tok_... or a stored pm_...; NULL when there is none. `out_id` gets
 * the id of the stored method, made when it was only a name. */
const test_card *method_find(sandbox *box, const char *account, const char *name,
                             char out_id[ID_BYTES]);

/* A new stored intent in requires_payment_method. `metadata` is copied; `line` NULL: its
 * own line in the books is named by metadata[payment_id] or else by its id. */
json_t *payment_new(sandbox *box, const char *account, int64_t amount, const char *currency,
                    const char *capture_method, const char *description, json_t *metadata,
                    const char *session, const char *line);
/* Try to take the money with a card. */
pay_outcome payment_attempt(sandbox *box, json_t *intent, const test_card *card, const char *method,
                            bool authenticated);
/* The donor came through 3-D Secure, or not. */
pay_outcome payment_authenticate(sandbox *box, json_t *intent, bool passed);
void payment_capture(sandbox *box, json_t *intent, int64_t amount);
void payment_cancel(sandbox *box, json_t *intent, const char *reason, bool expired);
/* The key of its line in the books. */
const char *payment_line(json_t *intent);
bool payment_can_confirm(const json_t *intent);

/* Jobs of the clock. */
void payment_settle(sandbox *box, const char *intent_id);
void payment_book_fee(sandbox *box, const char *charge_id);
void payment_hold_over(sandbox *box, const char *intent_id);

/* A stored balance transaction for `source`; the id is written to `out_id`. */
void balance_new(sandbox *box, const char *account, const char *source, const char *type,
                 int64_t amount, int64_t fee, const char *currency, char out_id[ID_BYTES]);
int64_t balance_fee(int64_t amount);

#endif
