/*
 * conformance_provider.h - what the parts of the provider suite share: a provider, its payments,
 * calls and races of them.
 */
#ifndef CFA_TESTKIT_CONFORMANCE_PROVIDER_H
#define CFA_TESTKIT_CONFORMANCE_PROVIDER_H

#include <careforall/testkit/conformance.h>

#include "testkit/runner.h"

#include <pthread.h>
#include <stdbool.h>

#define CFA__PROVIDER_AMOUNT_MINOR INT64_C(1250)

typedef struct cfa__provider_context {
    const cfa_provider_fixture *fixture; /* as this version has it */
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

/* A call with everything but its body. `number` is the payment's operation and decides the key. */
cfa_call cfa__provider_call(cfa__runner *runner, cfa__provider_context *context, int32_t kind,
                            const char *payment_id, int number);
/* Prepare and make it. */
cfa_reply cfa__provider_make(cfa__runner *runner, cfa__provider_context *context, cfa_call *call);
/* What a read tells of a payment; it must tell. */
cfa_facts cfa__provider_retrieve(cfa__runner *runner, cfa__provider_context *context,
                                 const char *payment_id, const char *ref);

#define CFA__PROVIDER_THREADS 8

/* One of the calls that are made at once; set the first two. */
typedef struct cfa__provider_racer {
    cfa__provider_context *context;
    cfa_call call;
    cfa_arena *arena;
    cfa_reply reply;
    bool started;
    pthread_t thread;
} cfa__provider_racer;

/* Make all CFA__PROVIDER_THREADS calls at once. Replies live until the end. */
void cfa__provider_race(cfa__runner *runner, cfa__provider_racer *racers);
void cfa__provider_race_end(cfa__provider_racer *racers);

#define CFA__REFUND_TESTS 9
extern const cfa__test cfa__refund_tests[CFA__REFUND_TESTS];

#define CFA__LIST_TESTS 6
extern const cfa__test cfa__list_tests[CFA__LIST_TESTS];

#define CFA__WEBHOOK_TESTS 6
extern const cfa__test cfa__webhook_tests[CFA__WEBHOOK_TESTS];

#endif
