/*
 * payment_facts.h - what the tests of the payment machine share: a payment to reduce into, a walk
 * written as text, and the invariants that every single reduction must keep.
 */
#ifndef CFA_TESTS_CORE_PAYMENT_FACTS_H
#define CFA_TESTS_CORE_PAYMENT_FACTS_H

#include "core/decide/payment_machine.h"

#include <check.h>

/* check's own assertions cost a system call each: too much for what runs millions of times. */
#define require(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

#define FACTS(...) ((cfa_facts){ .struct_size = sizeof(cfa_facts), __VA_ARGS__ })
#define ASKED_MINOR 1000

/* A fresh PENDING payment of 10.00 EUR. */
cfa__payment payment_new(void);

/*
 * Reduce, and check what must hold for every reduction: the state is what the facts amount to, the
 * walk is legal and leads from the old state to the new, facts and time order never shrink, buckets
 * change only with a step, and the verdict says whether facts changed.
 */
cfa__reduction payment_apply(cfa__payment *payment, const cfa_facts *facts, cfa_arena *arena);

/* Equal facts, state and flags. */
bool payment_equals(const cfa__payment *a, const cfa__payment *b);

/* "P04~AUTHORIZED P06 CAPTURED": rule and target of each step, "~" for an implied one. Static
 * memory. */
const char *walk_text(const cfa__reduction *reduction);

const char *state_name(cfa_payment_state state);

#endif
