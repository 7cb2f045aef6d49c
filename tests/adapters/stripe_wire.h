/*
 * stripe_wire.h - what the tests of the Stripe adapter share: an adapter at a scripted peer, calls
 * with everything filled in, objects as Stripe writes them.
 */
#ifndef TESTS_ADAPTERS_STRIPE_WIRE_H
#define TESTS_ADAPTERS_STRIPE_WIRE_H

#include "stripe_peer.h"

#include <careforall/adapters/stripe.h>
#include <check.h>

#define PAYMENT_ID "pay_01h455vb4pex5vsknk084sn02q"
#define KEY "cfa_018c8a5d-1b2c-7000-8000-000000000001_1_1"
#define SECRET_KEY "sk_test_51canaryKEY"
#define PATIENCE_MS 120000 /* only what is broken waits so long */
#define WEBHOOK_SECRET "whsec_canarySIGNING"
/* The peer's Date header, and what the events of `wire_receive` say of their time. */
#define DATE_US INT64_C(1795341600000000)
#define CREATED_US INT64_C(1795341650000000)

/* Fresh for each test by `wire_set_up`, in the client secret mode. */
extern stripe_peer *peer;
extern cfa_stripe *stripe;
extern cfa_arena *arena;

void wire_set_up(void);
void wire_tear_down(void);

cfa_stripe_options wire_options(void);
/* Replace the adapter of the test. */
void wire_use(const cfa_stripe_options *options);
void wire_use_mode(int32_t mode);

cfa_call wire_call(int32_t kind);
/* Prepare, then make the call. */
cfa_reply wire_perform(cfa_call call);
/* The same over start and finish. */
cfa_reply wire_fly(cfa_call call);
/* Drive what flies until the peer has got `count` requests in all; nothing must end meanwhile. */
void wire_drive(size_t count);

/* An intent with these members before the others, such as "\"status\":\"succeeded\",". */
const char *wire_intent(const char *members);
const char *wire_session(const char *members);
const char *wire_error(const char *members);
/* An object with these members where its form says %s. */
const char *wire_object(const char *form, const char *members);
/* All of the members but those whose bits are set, until the next call. */
const char *wire_without(const char *const *members, size_t count, unsigned absent);
/* A genuine event around an object, received. */
cfa_status wire_receive(const char *type, const char *object, cfa_webhook_event *out);
/* The same, which must be taken, refused as unreadable, or ask for pi_1 to be read. */
cfa_webhook_event wire_tell(const char *type, const char *object);
void wire_expect_refused(const char *type, const char *object);
void wire_expect_fetch(const char *type, const char *object);

/* This thread's last error message. */
const char *wire_last_error(void);

int wire_run(Suite *suite);

#endif
