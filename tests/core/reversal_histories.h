/*
 * reversal_histories.h - what may become of a payment, its refunds and its disputes: reports that a
 * provider may send in any order, and where they must end.
 */
#ifndef TESTS_CORE_REVERSAL_HISTORIES_H
#define TESTS_CORE_REVERSAL_HISTORIES_H

#include <careforall/payment.h>
#include <careforall/sys/provider.h>
#include <stdbool.h>
#include <stddef.h>

#define EVENTS_MAX 8
#define ASKED 1000

enum { END, PAYMENT, REFUND, DISPUTE };

/* One report. `at`: seconds, the provider's time. */
struct report {
    int about;
    const char *ref; /* of the refund or dispute */
    int64_t minor;   /* authorized; of the refund; disputed */
    int64_t captured, withdrawn, reinstated;
    uint32_t flags;
    int32_t state, attempt, at;
    const char *code;
    cfa_money fee;
    bool ours; /* a refund that we asked for before all of this */
};

/* All of it, at once. */
#define PAID                                                                                       \
    { .about = PAYMENT, .captured = ASKED, .flags = CFA_FACT_SUCCEEDED, .at = 9 }

struct history {
    const char *name;
    struct report reports[EVENTS_MAX];
    cfa_payment_state state;
    int64_t raised, refunded, disputed;
    int64_t flags;
    int64_t asked_for; /* refund that we asked for first, of a payment that is paid; 0: none */
};

/* Late money of a campaign whose rule is to hold it; amounts are those after it was accepted. */
struct held_history {
    struct history history;
    bool is_over; /* the campaign ends before the first report */
};

const struct history *history_list(size_t *out_count);
const struct held_history *held_history_list(size_t *out_count);

#endif
