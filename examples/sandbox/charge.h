/* charge.h - charges, their fees, what is released of them, and payment methods. */
#ifndef SANDBOX_CHARGE_H
#define SANDBOX_CHARGE_H

#include "payment.h"

/* A stored charge of the intent in the given status. */
json_t *charge_new(sandbox *box, json_t *intent, const test_card *card, const char *status);
void charge_fail(sandbox *box, json_t *charge, const test_card *card);
/* Write the captured amount and its fee to the balance; stores the charge. */
void charge_book(sandbox *box, json_t *charge);
/* Give back what was only held: a refund object that moves no money; stores the charge. */
void charge_release(sandbox *box, json_t *charge, int64_t amount, const char *reason);
/* Disputes and warnings that the card brings with it. */
void charge_consequences(sandbox *box, json_t *charge);

#endif
