/*
 * conformance_provider.h - what the halves of the provider suite share: a provider, its payments.
 */
#ifndef CFA_TESTKIT_CONFORMANCE_PROVIDER_H
#define CFA_TESTKIT_CONFORMANCE_PROVIDER_H

#include <careforall/testkit/conformance.h>

#include "testkit/runner.h"

#include <stdbool.h>

#define CFA__PROVIDER_AMOUNT_MINOR INT64_C(1250)

typedef struct cfa__provider_context {
    const cfa_provider_fixture *fixture;
    cfa_provider provider;
    bool is_open, two_step;
    cfa_arena *arena; /* of one test */
    int64_t opened_us;
    int next_payment;
} cfa__provider_context;

/* A payment id that this run has not used. */
const char *cfa__provider_new_payment(cfa__runner *runner, cfa__provider_context *context);
/* Create a payment and take its donor's money, or hold it with `manual`; the first reply. */
cfa_reply cfa__provider_pay(cfa__runner *runner, cfa__provider_context *context,
                            const char *payment_id, bool manual);

#define CFA__WEBHOOK_TESTS 6
extern const cfa__test cfa__webhook_tests[CFA__WEBHOOK_TESTS];

#endif
