/* payout.h - money that leaves the balance for the account's bank. */
#ifndef SANDBOX_PAYOUT_H
#define SANDBOX_PAYOUT_H

#include "sandbox.h"

typedef struct payout_wish {
    const char *account;
    bool all;     /* also what is not available yet */
    bool manual;  /* nobody knows then what is in it */
    bool travels; /* it arrives later, by `payout_arrive` */
} payout_wish;

/* One payout for each currency that has something; their ids, a new list. */
json_t *payout_make(sandbox *box, const payout_wish *wish);
/* NULL when done, else why not. */
const char *payout_arrive(sandbox *box, const char *payout_id);

#endif
