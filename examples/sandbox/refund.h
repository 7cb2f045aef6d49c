/* refund.h - refunds, also those that only release a hold. */
#ifndef SANDBOX_REFUND_H
#define SANDBOX_REFUND_H

#include "sandbox.h"

/* A stored refund of a charge; books nothing and changes no charge. */
json_t *refund_new(sandbox *box, json_t *charge, int64_t amount, const char *reason,
                   json_t *metadata, const char *status);
/* Job of the clock: a pending one succeeds, one that shall fail fails. */
void refund_settle(sandbox *box, const char *refund_id);
/* What becomes of it: "succeeded", "failed" (also after it succeeded, with a reason), "canceled",
 * "requires_action". NULL, or why not. */
const char *refund_decide(sandbox *box, const char *refund_id, const char *status,
                          const char *reason);

#endif
