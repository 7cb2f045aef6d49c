/* money.h - what amounts and currencies the provider takes. */
#ifndef SANDBOX_MONEY_H
#define SANDBOX_MONEY_H

#include "sandbox.h"

/* Whether the provider has this currency, in lower case. */
bool money_known(const char *currency);
/* Lower-case into `out` (4 bytes); false after a refusal that names `param`. */
bool money_currency(call *c, const char *text, const char *param, char out[4]);
/* Within the limits and granularity of the currency; false after a refusal. */
bool money_amount(call *c, int64_t amount, const char *currency, const char *param);
/* "12.50 EUR", for people. */
void money_text(char *out, size_t size, int64_t amount, const char *currency);

#endif
