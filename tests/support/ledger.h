/*
 * ledger.h - a payment provider whose books are one file: shared by processes, and it survives
 * their death. It charges in one step, honours idempotency keys, and now and then its reply is
 * lost.
 */
#ifndef TESTS_SUPPORT_LEDGER_H
#define TESTS_SUPPORT_LEDGER_H

#include <careforall/sys/provider.h>
#include <stdbool.h>

struct ledger {
    char path[128];
    int descriptor;
    int lose_every; /* the n-th reply of this process is lost; 0: none is */
    int calls;
    cfa_provider provider;
};

/* Open the file, created if needed. `ledger` must not move while the provider is used. */
void ledger_open(struct ledger *ledger, const char *path);
void ledger_close(struct ledger *ledger);

struct ledger_books {
    int64_t objects; /* distinct idempotency keys: what the provider made and charged */
    int64_t
        payments; /* distinct payments among them; fewer than objects: somebody was charged twice */
    int64_t charged_minor;
};
struct ledger_books ledger_read(const struct ledger *ledger);

#endif
