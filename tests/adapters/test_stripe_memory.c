/*
 * test_stripe_memory.c - every allocation of the Stripe adapter fails once: nothing crashes or
 * leaks, and no outcome claims more than is known.
 */
#include "stripe_ledger.h"
#include "stripe_wire.h"

#include "util/signature.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 400
#define NOW_US INT64_C(1795341660000000)

static atomic_long countdown; /* allocations until the one that fails; negative: none does */
static atomic_long held;

static bool fails(void) { return atomic_fetch_sub(&countdown, 1) == 0; }

static void *allocate(void *user, size_t size) {
    (void)user;
    void *memory = fails() ? NULL : malloc(size);
    held += memory != NULL;
    return memory;
}

static void *reallocate(void *user, void *memory, size_t size) {
    (void)user;
    if (fails()) {
        return NULL;
    }
    void *grown = realloc(memory, size);
    held += memory == NULL && grown != NULL;
    return grown;
}

static void release(void *user, void *memory) {
    (void)user;
    held -= memory != NULL;
    free(memory);
}

static void set_up(void) {
    static const cfa_allocator counting = { sizeof counting, NULL, allocate, reallocate, release };
    atomic_store(&countdown, -1);
    ck_assert_int_eq(cfa_allocator_set(&counting), CFA_OK);
    wire_set_up();
    char *answer = peer_format(200, "", wire_intent("\"status\":\"requires_payment_method\","));
    peer_always(peer, PEER_ANSWER, answer);
    free(answer);
}

/* What a call may say when memory ran out somewhere: never more than is so. */
static void expect_honest(const cfa_reply *reply, size_t requests) {
    switch (reply->outcome) {
    case CFA_OUTCOME_DONE:
        ck_assert_uint_eq(requests, 1);
        ck_assert_str_eq(reply->facts.ref, "pi_1");
        ck_assert_str_eq(reply->facts.payment_id, PAYMENT_ID);
        ck_assert_str_eq(reply->client_secret, "pi_1_secret_x");
        break;
    case CFA_OUTCOME_NOT_SENT: ck_assert_uint_eq(requests, 0); break;
    default: ck_assert_int_eq(reply->outcome, CFA_OUTCOME_UNKNOWN);
    }
}

static void call_once(bool flying) {
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    cfa_call call = wire_call(CFA_CALL_CREATE);
    cfa_reply reply = { .struct_size = sizeof reply };
    size_t before = peer_count(peer);
    uint64_t token;
    if (provider->ops->prepare(provider->self, &call, arena, &call.body) != CFA_OK) {
        return;
    }
    if (!flying) {
        provider->ops->call(provider->self, &call, arena, &reply);
    } else if (provider->ops->start(provider->self, &call, arena, &reply, 1) == CFA_OK) {
        ck_assert_int_eq(provider->ops->finish(provider->self, &token, PATIENCE_MS), 1);
    } else {
        reply.outcome = CFA_OUTCOME_NOT_SENT;
    }
    expect_honest(&reply, peer_count(peer) - before);
}

static void receive_once(void) {
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    static const char body[] =
        "{\"id\":\"evt_1\",\"object\":\"event\",\"type\":\"payment_intent.succeeded\","
        "\"created\":1795341650,\"livemode\":false,\"data\":{\"object\":{\"id\":\"pi_1\","
        "\"object\":"
        "\"payment_intent\",\"status\":\"succeeded\",\"amount\":1250,\"amount_received\":1250,"
        "\"currency\":\"eur\",\"metadata\":{\"payment_id\":\"" PAYMENT_ID "\"}}}}";
    char header[CFA__SIGNATURE_SIZE];
    cfa_slice bytes = { body, sizeof body - 1 };
    cfa__signature_make(header, (cfa_slice){ WEBHOOK_SECRET, strlen(WEBHOOK_SECRET) }, bytes,
                        NOW_US);
    cfa_webhook_event event = { .struct_size = sizeof event };
    cfa_status status = provider->ops->webhook(
        provider->self, (cfa_slice){ header, strlen(header) }, bytes, NOW_US, arena, &event);
    if (status == CFA_OK) {
        ck_assert_str_eq(event.facts.ref, "pi_1");
        ck_assert_str_eq(event.facts.payment_id, PAYMENT_ID);
        ck_assert_int_eq(event.relevant, 1);
    } else {
        ck_assert_int_eq(status, CFA_ENOMEM);
    }
}

static void live_once(void) {
    cfa_stripe_options options = wire_options();
    if (cfa_stripe_new(&stripe, &options) != CFA_OK) {
        stripe = NULL;
        return;
    }
    cfa_status status = cfa_stripe_secrets_set(stripe, "sk_test_other", NULL, 0);
    ck_assert(status == CFA_OK || status == CFA_ENOMEM);
    call_once(false);
    call_once(true);
    receive_once();
    cfa_stripe_free(stripe);
    stripe = NULL;
}

/* Two look-ups of a payment that exists, the second with what the first left behind. */
static void look_up_twice(void) {
    cfa_stripe_options options = wire_options();
    if (cfa_stripe_new(&stripe, &options) != CFA_OK) {
        stripe = NULL;
        return;
    }
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    cfa_call call = wire_call(CFA_CALL_LOOKUP);
    call.created_from_us = INT64_C(1795338000000000);
    for (int flying = 0; flying < 2; flying++) {
        cfa_reply reply = { .struct_size = sizeof reply };
        uint64_t token;
        if (flying == 0) {
            provider->ops->call(provider->self, &call, arena, &reply);
        } else if (provider->ops->start(provider->self, &call, arena, &reply, 1) == CFA_OK) {
            ck_assert_int_eq(provider->ops->finish(provider->self, &token, 10000), 1);
        }
        ck_assert(reply.outcome == CFA_OUTCOME_UNKNOWN || reply.outcome == CFA_OUTCOME_DONE);
        bool undisturbed = atomic_load(&countdown) >= 0;
        if (undisturbed || reply.outcome == CFA_OUTCOME_DONE) {
            ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
            ck_assert_str_eq(reply.facts.ref, "pi_1");
            ck_assert_str_eq(reply.client_secret, "pi_1_secret_x");
        }
    }
    cfa_stripe_free(stripe);
    stripe = NULL;
}

static void fail_each_allocation(void (*live)(void)) {
    cfa_stripe_free(stripe);
    stripe = NULL;
    cfa_arena_free(arena);
    arena = NULL;
    long round = 0;
    for (bool failed = true; failed; round++) {
        ck_assert_int_lt(round, ROUNDS_MAX);
        long before = atomic_load(&held);
        ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
        atomic_store(&countdown, round);
        live();
        failed = atomic_exchange(&countdown, -1) < 0;
        cfa_arena_free(arena);
        arena = NULL;
        ck_assert_int_eq(atomic_load(&held), before);
    }
    ck_assert_int_gt(round, 20);
}

START_TEST(an_allocation_that_fails_is_survived_and_claims_nothing) {
    fail_each_allocation(live_once);
}
END_TEST

START_TEST(an_allocation_that_fails_never_makes_a_payment_absent) {
    static stripe_ledger ledger = { .path = "/v1/payment_intents",
                                    .kind = "payment_intent",
                                    .count = 250,
                                    .from_s = 1795338000,
                                    .until_s = 1795341600,
                                    .odd_count = 1 };
    ledger.odd[0] = (ledger_odd){ 1795338000, "pi_1", PAYMENT_ID,
                                  "\"status\":\"requires_payment_method\","
                                  "\"client_secret\":\"pi_1_secret_x\"," };
    peer_serve(peer, ledger_serve, &ledger);
    fail_each_allocation(look_up_twice);
}
END_TEST

/* ---- refunds and disputes -------------------------------------------------------------------- */

#define REFUND                                                                                     \
    "{\"id\":\"re_1\",\"object\":\"refund\",\"amount\":500,\"currency\":\"eur\","                  \
    "\"metadata\":{\"payment_id\":\"" PAYMENT_ID "\",\"refund_id\":\"rfd_1\"},"                    \
    "\"status\":\"failed\",\"failure_reason\":\"unknown\",\"payment_intent\":\"pi_1\"}"
#define DISPUTE                                                                                    \
    "{\"id\":\"du_1\",\"object\":\"dispute\",\"amount\":1250,\"currency\":\"eur\","                \
    "\"status\":\"lost\",\"reason\":\"fraudulent\",\"payment_intent\":\"pi_1\"}"

/* A payment whose refunds and disputes are to be listed. */
static char *serve_reversals(void *user, const char *request) {
    (void)user;
    static const char list[] = "{\"object\":\"list\",\"has_more\":false,\"data\":[%s]}";
    char body[1024];
    bool refunds = strstr(request, "GET /v1/refunds?") == request;
    if (refunds || strstr(request, "GET /v1/disputes?") == request) {
        snprintf(body, sizeof body, list, refunds ? REFUND : DISPUTE);
    } else {
        snprintf(body, sizeof body,
                 "{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"status\":\"succeeded\","
                 "\"amount\":1250,\"amount_received\":1250,\"currency\":\"eur\","
                 "\"metadata\":{\"payment_id\":\"" PAYMENT_ID "\"},\"latest_charge\":{"
                 "\"object\":\"charge\",\"disputed\":true}}");
    }
    return peer_format(200, "", body);
}

static void expect_reversals(const cfa_facts *facts, int32_t refunds, int32_t disputes) {
    ck_assert_str_eq(facts->ref, "pi_1");
    ck_assert_int_eq(facts->refund_count, refunds);
    ck_assert_int_eq(facts->dispute_count, disputes);
    if (refunds > 0) {
        ck_assert_str_eq(facts->refunds[0]->ref, "re_1");
        ck_assert_str_eq(facts->refunds[0]->refund_id, "rfd_1");
        ck_assert_str_eq(facts->refunds[0]->failure_code, "unknown");
    }
    if (disputes > 0) {
        ck_assert_str_eq(facts->disputes[0]->ref, "du_1");
        ck_assert_str_eq(facts->disputes[0]->reason, "fraudulent");
    }
}

static void receive_reversals(void) {
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    static const char *const types[] = { "refund.failed", "charge.dispute.closed" };
    for (int i = 0; i < 2; i++) {
        char body[1024], header[CFA__SIGNATURE_SIZE];
        int size = snprintf(body, sizeof body,
                            "{\"id\":\"evt_1\",\"object\":\"event\",\"type\":\"%s\","
                            "\"created\":1795341650,\"livemode\":false,\"data\":{\"object\":%s}}",
                            types[i], i == 0 ? REFUND : DISPUTE);
        cfa_slice bytes = { body, (size_t)size };
        cfa__signature_make(header, (cfa_slice){ WEBHOOK_SECRET, strlen(WEBHOOK_SECRET) }, bytes,
                            NOW_US);
        cfa_webhook_event event = { .struct_size = sizeof event };
        cfa_status status = provider->ops->webhook(
            provider->self, (cfa_slice){ header, strlen(header) }, bytes, NOW_US, arena, &event);
        if (status == CFA_OK) {
            ck_assert_int_eq(event.fetch, 0);
            expect_reversals(&event.facts, i == 0, i == 1);
        } else {
            ck_assert_int_eq(status, CFA_ENOMEM);
        }
    }
}

static void read_whole_or_not(void) {
    cfa_stripe_options options = wire_options();
    if (cfa_stripe_new(&stripe, &options) != CFA_OK) {
        stripe = NULL;
        return;
    }
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    cfa_call call = wire_call(CFA_CALL_RETRIEVE);
    for (int flying = 0; flying < 2; flying++) {
        cfa_reply reply = { .struct_size = sizeof reply };
        uint64_t token;
        if (flying == 0) {
            provider->ops->call(provider->self, &call, arena, &reply);
        } else if (provider->ops->start(provider->self, &call, arena, &reply, 1) == CFA_OK) {
            ck_assert_int_eq(provider->ops->finish(provider->self, &token, 10000), 1);
        }
        if (reply.outcome == CFA_OUTCOME_DONE) {
            expect_reversals(&reply.facts, 1, 1);
        } else {
            ck_assert(reply.outcome == CFA_OUTCOME_UNKNOWN ||
                      reply.outcome == CFA_OUTCOME_NOT_SENT);
            ck_assert_ptr_null(reply.facts.ref);
        }
    }
    receive_reversals();
    cfa_stripe_free(stripe);
    stripe = NULL;
}

START_TEST(an_allocation_that_fails_leaves_no_refund_or_dispute_out) {
    peer_serve(peer, serve_reversals, NULL);
    fail_each_allocation(read_whole_or_not);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stripe_memory");
    TCase *all = tcase_create("memory");
    tcase_add_checked_fixture(all, set_up, wire_tear_down);
    tcase_add_test(all, an_allocation_that_fails_is_survived_and_claims_nothing);
    tcase_add_test(all, an_allocation_that_fails_never_makes_a_payment_absent);
    tcase_add_test(all, an_allocation_that_fails_leaves_no_refund_or_dispute_out);
    suite_add_tcase(suite, all);
    return wire_run(suite);
}
