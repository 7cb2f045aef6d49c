/* dispute.h - disputes, inquiries and early fraud warnings. */
#ifndef SANDBOX_DISPUTE_H
#define SANDBOX_DISPUTE_H

#include "sandbox.h"

/* Jobs of the clock, with a charge's id; also what the panel asks for. */
void dispute_open(sandbox *box, const char *charge_id);
void dispute_open_inquiry(sandbox *box, const char *charge_id);
void warning_open(sandbox *box, const char *charge_id);
/* The same of a part of what was captured; 0: all of it. NULL, or why not. */
const char *dispute_open_part(sandbox *box, const char *charge_id, int64_t amount);
/* There is nothing more to be done about the warning of a payment: it was refunded or disputed. */
void warning_answered(sandbox *box, const char *intent_id);
/* The issuer's word: "won", "lost", "under_review", "prevented", "reinstated", "escalated". NULL, or
 * why not. */
const char *dispute_decide(sandbox *box, const char *dispute_id, const char *verdict);

#endif
