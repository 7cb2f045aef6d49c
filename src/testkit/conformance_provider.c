/*
 * conformance_provider.c - the duties of a payment provider's adapter as tests: keys, facts, reads.
 *
 * Judges by the contract of sys/provider.h and by the books that the fixture shows. A test that the
 * adapter's own capabilities exclude is skipped with the reason.
 */
#include "testkit/conformance_provider.h"

#include <stdio.h>
#include <string.h>

#define AMOUNT_MINOR CFA__PROVIDER_AMOUNT_MINOR
/* Wider than any difference between the clocks of a provider and its caller. */
#define WINDOW_US INT64_C(300000000)
#define TIMEOUT_MS 30000

typedef cfa__provider_context provider_context;

static void setup(cfa__runner *runner, void *user) {
    provider_context *context = user;
    CFA__CHECK_OK(runner, cfa_arena_new(&context->arena));
    CFA__CHECK_OK(runner, context->fixture->open(&context->provider));
    context->is_open = true;
    const cfa_provider_ops *ops = context->provider.ops;
    CFA__CHECK(runner, ops->name != NULL && ops->name[0] != '\0');
    CFA__CHECK(runner, ops->prepare != NULL);
    if (ops->call == NULL) {
        cfa__runner_skip(runner, "the host pulls this provider's calls");
    }
    context->two_step = (ops->capabilities & CFA_PROVIDER_TWO_STEP) != 0;
    CFA__CHECK(runner, context->fixture->now_us != NULL && context->fixture->charges != NULL);
    CFA__CHECK(runner, !context->two_step || context->fixture->confirm != NULL);
    context->opened_us = context->fixture->now_us(&context->provider);
}

static void teardown(void *user) {
    provider_context *context = user;
    if (context->is_open) {
        context->fixture->close(&context->provider);
    }
    cfa_arena_free(context->arena);
    context->is_open = false;
    context->arena = NULL;
}

/* ---- calls ----------------------------------------------------------------------------------- */

#define TEXT_SIZE 96

static char *new_text(cfa__runner *runner, provider_context *context) {
    char *text = cfa_arena_alloc(context->arena, TEXT_SIZE);
    CFA__CHECK(runner, text != NULL);
    return text;
}

const char *cfa__provider_new_payment(cfa__runner *runner, provider_context *context) {
    char *payment_id = new_text(runner, context);
    snprintf(payment_id, TEXT_SIZE, "pay_%026d", ++context->next_payment);
    return payment_id;
}

cfa_call cfa__provider_call(cfa__runner *runner, provider_context *context, int32_t kind,
                            const char *payment_id, int number) {
    cfa_call call = { .struct_size = sizeof call, .kind = kind, .payment_id = payment_id };
    char *operation_id = new_text(runner, context);
    char *key = new_text(runner, context);
    snprintf(operation_id, TEXT_SIZE, "%s/%d", payment_id, number);
    snprintf(key, TEXT_SIZE, "%s/%d/1", payment_id, number);
    call.operation_id = operation_id;
    call.idempotency_key = key;
    call.account = "";
    call.amount = (cfa_money){ AMOUNT_MINOR, "EUR" };
    call.payment_method = context->fixture->method_ok;
    call.now_us = context->fixture->now_us(&context->provider);
    call.timeout_ms = TIMEOUT_MS;
    return call;
}

cfa_reply cfa__provider_make(cfa__runner *runner, provider_context *context, cfa_call *call) {
    const cfa_provider *provider = &context->provider;
    cfa_reply reply = { .struct_size = sizeof reply };
    CFA__CHECK_OK(runner,
                  provider->ops->prepare(provider->self, call, context->arena, &call->body));
    provider->ops->call(provider->self, call, context->arena, &reply);
    CFA__CHECK(runner, reply.outcome >= CFA_OUTCOME_UNKNOWN);
    CFA__CHECK(runner, reply.outcome <= CFA_OUTCOME_NOT_SENT);
    return reply;
}

/* A call that must be done; its facts must be about this payment. */
static cfa_reply make_done(cfa__runner *runner, provider_context *context, cfa_call *call) {
    cfa_reply reply = cfa__provider_make(runner, context, call);
    CFA__CHECK_INT(runner, reply.outcome, CFA_OUTCOME_DONE);
    CFA__CHECK(runner, reply.facts.ref != NULL && reply.facts.ref[0] != '\0');
    CFA__CHECK(runner, reply.facts.payment_id != NULL &&
                           strcmp(reply.facts.payment_id, call->payment_id) == 0);
    CFA__CHECK(runner, strcmp(reply.facts.amount.currency, "EUR") == 0);
    CFA__CHECK_INT(runner, reply.facts.amount.minor, AMOUNT_MINOR);
    return reply;
}

static cfa_reply create(cfa__runner *runner, provider_context *context, const char *payment_id) {
    cfa_call call = cfa__provider_call(runner, context, CFA_CALL_CREATE, payment_id, 1);
    return make_done(runner, context, &call);
}

cfa_facts cfa__provider_retrieve(cfa__runner *runner, provider_context *context,
                                 const char *payment_id, const char *ref) {
    cfa_call call = cfa__provider_call(runner, context, CFA_CALL_RETRIEVE, payment_id, 9);
    call.ref = ref;
    return make_done(runner, context, &call).facts;
}

static cfa_status confirm(provider_context *context, const cfa_reply *created, const char *method) {
    return context->fixture->confirm(&context->provider, created->client_secret, method);
}

cfa_reply cfa__provider_pay(cfa__runner *runner, provider_context *context, const char *payment_id,
                            bool manual) {
    cfa_call call = cfa__provider_call(runner, context, CFA_CALL_CREATE, payment_id, 1);
    call.capture_manual = manual;
    cfa_reply reply = make_done(runner, context, &call);
    if (context->two_step) {
        CFA__CHECK_OK(runner, confirm(context, &reply, context->fixture->method_ok));
    }
    return reply;
}

static void expect_charges(cfa__runner *runner, provider_context *context, const char *payment_id,
                           int64_t expected) {
    int64_t charges = -1;
    CFA__CHECK_OK(runner, context->fixture->charges(&context->provider, payment_id, &charges));
    CFA__CHECK_INT(runner, charges, expected);
}

static void expect_paid(cfa__runner *runner, const cfa_facts *facts, int64_t captured_minor) {
    CFA__CHECK(runner, (facts->flags & CFA_FACT_SUCCEEDED) != 0);
    CFA__CHECK(runner, (facts->flags & (CFA_FACT_CANCELED | CFA_FACT_EXPIRED)) == 0);
    CFA__CHECK_INT(runner, facts->captured_minor, captured_minor);
    CFA__CHECK(runner, facts->authorized_minor >= captured_minor);
}

static void need_two_step(cfa__runner *runner, const provider_context *context) {
    if (!context->two_step) {
        cfa__runner_skip(runner, "this provider charges in one step");
    }
}

/* ---- requests and keys ----------------------------------------------------------------------- */

static void prepare_is_pure(cfa__runner *runner, void *user) {
    provider_context *context = user;
    const cfa_provider *provider = &context->provider;
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_call call = cfa__provider_call(runner, context, CFA_CALL_CREATE, payment_id, 1);
    cfa_slice first, second, other;
    CFA__CHECK_OK(runner, provider->ops->prepare(provider->self, &call, context->arena, &first));
    call.now_us += INT64_C(86400000000);
    CFA__CHECK_OK(runner, provider->ops->prepare(provider->self, &call, context->arena, &second));
    CFA__CHECK(runner, first.size > 0 && first.size == second.size &&
                           memcmp(first.data, second.data, first.size) == 0);
    call.amount.minor++;
    CFA__CHECK_OK(runner, provider->ops->prepare(provider->self, &call, context->arena, &other));
    CFA__CHECK(runner, first.size != other.size || memcmp(first.data, other.data, first.size) != 0);
    call.amount.minor--;
    CFA__CHECK_INT(runner, cfa__provider_make(runner, context, &call).outcome, CFA_OUTCOME_DONE);
}

static void a_zeroed_reply_means_unknown(cfa__runner *runner, void *user) {
    (void)user;
    cfa_reply reply = { 0 };
    CFA__CHECK_INT(runner, reply.outcome, CFA_OUTCOME_UNKNOWN);
}

static void the_same_key_gives_the_same_object(cfa__runner *runner, void *user) {
    provider_context *context = user;
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_reply first = create(runner, context, payment_id);
    cfa_reply second = create(runner, context, payment_id);
    CFA__CHECK(runner, strcmp(first.facts.ref, second.facts.ref) == 0);
    CFA__CHECK(runner, second.stored != 0);
    CFA__CHECK(runner, (first.client_secret != NULL) == (second.client_secret != NULL));
    CFA__CHECK(runner, first.client_secret == NULL ||
                           strcmp(first.client_secret, second.client_secret) == 0);
    expect_charges(runner, context, payment_id, context->two_step ? 0 : 1);
}

static void a_repeat_after_payment_charges_nothing(cfa__runner *runner, void *user) {
    provider_context *context = user;
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_reply first = cfa__provider_pay(runner, context, payment_id, false);
    cfa_reply again = create(runner, context, payment_id);
    CFA__CHECK(runner, strcmp(first.facts.ref, again.facts.ref) == 0);
    if (context->two_step) {
        CFA__CHECK_STATUS(runner, confirm(context, &again, context->fixture->method_ok),
                          CFA_ESTATE);
    }
    expect_charges(runner, context, payment_id, 1);
}

/* A provider that knows only that the key was used cannot say what for: then it is in doubt, and
 * asking again is useless. */
static void a_key_with_another_body_does_nothing(cfa__runner *runner, void *user) {
    provider_context *context = user;
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_reply first = create(runner, context, payment_id);
    cfa_call other = cfa__provider_call(runner, context, CFA_CALL_CREATE, payment_id, 1);
    other.amount.minor += 100;
    cfa_reply reply = cfa__provider_make(runner, context, &other);
    CFA__CHECK(runner, reply.outcome == CFA_OUTCOME_REFUSED ||
                           (reply.outcome == CFA_OUTCOME_UNKNOWN && reply.stored != 0));
    CFA__CHECK(runner, strcmp(create(runner, context, payment_id).facts.ref, first.facts.ref) == 0);
    expect_charges(runner, context, payment_id, context->two_step ? 0 : 1);
}

static void *race(void *user) {
    cfa__provider_racer *self = user;
    const cfa_provider *provider = &self->context->provider;
    self->reply = (cfa_reply){ .struct_size = sizeof self->reply };
    if (cfa_arena_new(&self->arena) == CFA_OK) {
        provider->ops->call(provider->self, &self->call, self->arena, &self->reply);
    }
    return NULL;
}

void cfa__provider_race(cfa__runner *runner, cfa__provider_racer *racers) {
    for (int i = 0; i < CFA__PROVIDER_THREADS; i++) {
        racers[i].started = pthread_create(&racers[i].thread, NULL, race, &racers[i]) == 0;
    }
    bool started = true;
    for (int i = 0; i < CFA__PROVIDER_THREADS; i++) {
        started = started && racers[i].started;
        if (racers[i].started) {
            pthread_join(racers[i].thread, NULL);
        }
    }
    CFA__CHECK(runner, started);
}

void cfa__provider_race_end(cfa__provider_racer *racers) {
    for (int i = 0; i < CFA__PROVIDER_THREADS; i++) {
        cfa_arena_free(racers[i].arena);
    }
}

static void one_key_at_once_from_many_threads_is_one_object(cfa__runner *runner, void *user) {
    provider_context *context = user;
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_call call = cfa__provider_call(runner, context, CFA_CALL_CREATE, payment_id, 1);
    const cfa_provider *provider = &context->provider;
    CFA__CHECK_OK(runner,
                  provider->ops->prepare(provider->self, &call, context->arena, &call.body));
    cfa__provider_racer racers[CFA__PROVIDER_THREADS];
    memset(racers, 0, sizeof racers);
    for (int i = 0; i < CFA__PROVIDER_THREADS; i++) {
        racers[i].context = context;
        racers[i].call = call;
    }
    cfa__provider_race(runner, racers);
    /* A provider may answer "in use" to some, as UNKNOWN; those told of an object agree. */
    const char *ref = NULL;
    bool agree = true;
    int done = 0;
    for (int i = 0; i < CFA__PROVIDER_THREADS; i++) {
        if (racers[i].reply.outcome == CFA_OUTCOME_DONE) {
            done++;
            ref = ref != NULL ? ref : racers[i].reply.facts.ref;
            agree = agree && strcmp(ref, racers[i].reply.facts.ref) == 0;
        }
    }
    cfa__provider_race_end(racers);
    CFA__CHECK(runner, done > 0 && agree);
    expect_charges(runner, context, payment_id, context->two_step ? 0 : 1);
}

static void captures_at_once_take_the_money_once(cfa__runner *runner, void *user) {
    provider_context *context = user;
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_reply held = cfa__provider_pay(runner, context, payment_id, true);
    const cfa_provider *provider = &context->provider;
    cfa__provider_racer racers[CFA__PROVIDER_THREADS];
    memset(racers, 0, sizeof racers);
    for (int i = 0; i < CFA__PROVIDER_THREADS; i++) {
        cfa_call call = cfa__provider_call(runner, context, CFA_CALL_CAPTURE, payment_id, 2 + i);
        call.ref = held.facts.ref;
        CFA__CHECK_OK(runner,
                      provider->ops->prepare(provider->self, &call, context->arena, &call.body));
        racers[i].context = context;
        racers[i].call = call;
    }
    cfa__provider_race(runner, racers);
    int done = 0;
    for (int i = 0; i < CFA__PROVIDER_THREADS; i++) {
        done += racers[i].reply.outcome == CFA_OUTCOME_DONE;
    }
    cfa__provider_race_end(racers);
    CFA__CHECK_INT(runner, done, 1);
    expect_charges(runner, context, payment_id, 1);
}

/* ---- facts ----------------------------------------------------------------------------------- */

static void a_created_payment_has_no_money_yet(cfa__runner *runner, void *user) {
    provider_context *context = user;
    need_two_step(runner, context);
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_reply reply = create(runner, context, payment_id);
    CFA__CHECK(runner, reply.client_secret != NULL && reply.client_secret[0] != '\0');
    CFA__CHECK_INT(runner, reply.facts.flags, 0);
    CFA__CHECK_INT(runner, reply.facts.authorized_minor, 0);
    CFA__CHECK_INT(runner, reply.facts.captured_minor, 0);
    expect_charges(runner, context, payment_id, 0);
}

static void a_paid_payment_says_so(cfa__runner *runner, void *user) {
    provider_context *context = user;
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_reply reply = cfa__provider_pay(runner, context, payment_id, false);
    cfa_facts facts = cfa__provider_retrieve(runner, context, payment_id, reply.facts.ref);
    expect_paid(runner, &facts, AMOUNT_MINOR);
    CFA__CHECK(runner, (facts.flags & (CFA_FACT_FAILED | CFA_FACT_NEEDS_ACTION)) == 0);
    expect_charges(runner, context, payment_id, 1);
}

static void a_decline_is_soft(cfa__runner *runner, void *user) {
    provider_context *context = user;
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_call call = cfa__provider_call(runner, context, CFA_CALL_CREATE, payment_id, 1);
    call.payment_method = context->fixture->method_declined;
    cfa_reply reply = make_done(runner, context, &call);
    if (context->two_step) {
        CFA__CHECK_STATUS(runner, confirm(context, &reply, context->fixture->method_declined),
                          CFA_EDECLINED);
    }
    cfa_facts facts = cfa__provider_retrieve(runner, context, payment_id, reply.facts.ref);
    CFA__CHECK_INT(runner, facts.flags, CFA_FACT_FAILED);
    CFA__CHECK(runner, facts.failure_code != NULL && facts.failure_code[0] != '\0');
    CFA__CHECK_INT(runner, facts.captured_minor, 0);
    expect_charges(runner, context, payment_id, 0);
    if (context->two_step) {
        int32_t attempt = facts.attempt;
        CFA__CHECK_OK(runner, confirm(context, &reply, context->fixture->method_ok));
        facts = cfa__provider_retrieve(runner, context, payment_id, reply.facts.ref);
        CFA__CHECK(runner, attempt == 0 || facts.attempt > attempt);
    } else {
        cfa_call again = cfa__provider_call(runner, context, CFA_CALL_CREATE, payment_id, 2);
        facts = make_done(runner, context, &again).facts;
    }
    expect_paid(runner, &facts, AMOUNT_MINOR);
    expect_charges(runner, context, payment_id, 1);
}

static void a_wrong_secret_confirms_nothing(cfa__runner *runner, void *user) {
    provider_context *context = user;
    need_two_step(runner, context);
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_reply reply = create(runner, context, payment_id);
    char *secret = cfa_arena_copy(context->arena, reply.client_secret, strlen(reply.client_secret));
    CFA__CHECK(runner, secret != NULL);
    char *last = secret + strlen(secret) - 1;
    *last = *last == '0' ? '1' : '0';
    reply.client_secret = secret;
    CFA__CHECK_STATUS(runner, confirm(context, &reply, context->fixture->method_ok), CFA_ENOTFOUND);
    expect_charges(runner, context, payment_id, 0);
}

static void a_hold_is_captured_once(cfa__runner *runner, void *user) {
    provider_context *context = user;
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_reply held = cfa__provider_pay(runner, context, payment_id, true);
    cfa_facts facts = cfa__provider_retrieve(runner, context, payment_id, held.facts.ref);
    CFA__CHECK_INT(runner, facts.authorized_minor, AMOUNT_MINOR);
    CFA__CHECK_INT(runner, facts.captured_minor, 0);
    CFA__CHECK(runner, (facts.flags & CFA_FACT_SUCCEEDED) == 0);
    expect_charges(runner, context, payment_id, 0);
    cfa_call capture = cfa__provider_call(runner, context, CFA_CALL_CAPTURE, payment_id, 2);
    capture.ref = held.facts.ref;
    facts = make_done(runner, context, &capture).facts;
    expect_paid(runner, &facts, AMOUNT_MINOR);
    facts = make_done(runner, context, &capture).facts;
    expect_paid(runner, &facts, AMOUNT_MINOR);
    cfa_call other = cfa__provider_call(runner, context, CFA_CALL_CAPTURE, payment_id, 3);
    other.ref = held.facts.ref;
    CFA__CHECK_INT(runner, cfa__provider_make(runner, context, &other).outcome,
                   CFA_OUTCOME_REFUSED);
    expect_charges(runner, context, payment_id, 1);
}

static void a_part_of_a_hold_can_be_captured_and_never_more(cfa__runner *runner, void *user) {
    provider_context *context = user;
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_reply held = cfa__provider_pay(runner, context, payment_id, true);
    cfa_call capture = cfa__provider_call(runner, context, CFA_CALL_CAPTURE, payment_id, 2);
    capture.ref = held.facts.ref;
    capture.amount.minor = AMOUNT_MINOR + 1;
    CFA__CHECK_INT(runner, cfa__provider_make(runner, context, &capture).outcome,
                   CFA_OUTCOME_REFUSED);
    expect_charges(runner, context, payment_id, 0);
    cfa_call part = cfa__provider_call(runner, context, CFA_CALL_CAPTURE, payment_id, 3);
    part.ref = held.facts.ref;
    part.amount.minor = 500;
    cfa_facts facts = make_done(runner, context, &part).facts;
    expect_paid(runner, &facts, 500);
    CFA__CHECK_INT(runner, facts.authorized_minor, AMOUNT_MINOR);
    expect_charges(runner, context, payment_id, 1);
}

static void a_hold_can_be_canceled(cfa__runner *runner, void *user) {
    provider_context *context = user;
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_reply held = cfa__provider_pay(runner, context, payment_id, true);
    cfa_call cancel = cfa__provider_call(runner, context, CFA_CALL_CANCEL, payment_id, 2);
    cancel.ref = held.facts.ref;
    cfa_facts facts = make_done(runner, context, &cancel).facts;
    CFA__CHECK(runner, (facts.flags & CFA_FACT_CANCELED) != 0);
    CFA__CHECK_INT(runner, facts.captured_minor, 0);
    cfa_call capture = cfa__provider_call(runner, context, CFA_CALL_CAPTURE, payment_id, 3);
    capture.ref = held.facts.ref;
    CFA__CHECK_INT(runner, cfa__provider_make(runner, context, &capture).outcome,
                   CFA_OUTCOME_REFUSED);
    expect_charges(runner, context, payment_id, 0);
}

static void a_canceled_payment_cannot_be_confirmed(cfa__runner *runner, void *user) {
    provider_context *context = user;
    need_two_step(runner, context);
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_reply created = create(runner, context, payment_id);
    cfa_call cancel = cfa__provider_call(runner, context, CFA_CALL_CANCEL, payment_id, 2);
    cancel.ref = created.facts.ref;
    cfa_facts facts = make_done(runner, context, &cancel).facts;
    CFA__CHECK(runner, (facts.flags & CFA_FACT_CANCELED) != 0);
    CFA__CHECK_STATUS(runner, confirm(context, &created, context->fixture->method_ok), CFA_ESTATE);
    expect_charges(runner, context, payment_id, 0);
}

static void a_paid_payment_cannot_be_canceled(cfa__runner *runner, void *user) {
    provider_context *context = user;
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_reply paid = cfa__provider_pay(runner, context, payment_id, false);
    cfa_call cancel = cfa__provider_call(runner, context, CFA_CALL_CANCEL, payment_id, 2);
    cancel.ref = paid.facts.ref;
    CFA__CHECK_INT(runner, cfa__provider_make(runner, context, &cancel).outcome,
                   CFA_OUTCOME_REFUSED);
    cfa_facts facts = cfa__provider_retrieve(runner, context, payment_id, paid.facts.ref);
    expect_paid(runner, &facts, AMOUNT_MINOR);
}

/* ---- reads ----------------------------------------------------------------------------------- */

static void an_unknown_ref_is_refused(cfa__runner *runner, void *user) {
    provider_context *context = user;
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_call call = cfa__provider_call(runner, context, CFA_CALL_RETRIEVE, payment_id, 1);
    call.ref = "no_such_object_anywhere";
    CFA__CHECK_INT(runner, cfa__provider_make(runner, context, &call).outcome, CFA_OUTCOME_REFUSED);
}

static void a_lookup_finds_by_payment_id_in_its_window(cfa__runner *runner, void *user) {
    provider_context *context = user;
    if ((context->provider.ops->capabilities & CFA_PROVIDER_LOOKUP_AUTHORITATIVE) == 0) {
        cfa__runner_skip(runner, "this provider's look-ups lag");
    }
    const char *payment_id = cfa__provider_new_payment(runner, context);
    cfa_reply created = create(runner, context, payment_id);
    cfa_call lookup = cfa__provider_call(runner, context, CFA_CALL_LOOKUP, payment_id, 2);
    lookup.created_from_us = context->opened_us - WINDOW_US;
    lookup.created_until_us = lookup.now_us + WINDOW_US;
    cfa_reply found = make_done(runner, context, &lookup);
    CFA__CHECK(runner, strcmp(found.facts.ref, created.facts.ref) == 0);
    lookup.created_until_us = context->opened_us - WINDOW_US / 2;
    CFA__CHECK_INT(runner, cfa__provider_make(runner, context, &lookup).outcome,
                   CFA_OUTCOME_NOT_SENT);
    lookup.payment_id = cfa__provider_new_payment(runner, context);
    lookup.created_until_us = lookup.now_us + WINDOW_US;
    CFA__CHECK_INT(runner, cfa__provider_make(runner, context, &lookup).outcome,
                   CFA_OUTCOME_NOT_SENT);
}

/* ---- the suite ------------------------------------------------------------------------------- */

#define TEST(name)                                                                                 \
    { #name, name }

static const cfa__test tests[] = {
    TEST(prepare_is_pure),
    TEST(a_zeroed_reply_means_unknown),
    TEST(the_same_key_gives_the_same_object),
    TEST(a_repeat_after_payment_charges_nothing),
    TEST(a_key_with_another_body_does_nothing),
    TEST(one_key_at_once_from_many_threads_is_one_object),
    TEST(captures_at_once_take_the_money_once),
    TEST(a_created_payment_has_no_money_yet),
    TEST(a_paid_payment_says_so),
    TEST(a_decline_is_soft),
    TEST(a_wrong_secret_confirms_nothing),
    TEST(a_hold_is_captured_once),
    TEST(a_part_of_a_hold_can_be_captured_and_never_more),
    TEST(a_hold_can_be_canceled),
    TEST(a_canceled_payment_cannot_be_confirmed),
    TEST(a_paid_payment_cannot_be_canceled),
    TEST(an_unknown_ref_is_refused),
    TEST(a_lookup_finds_by_payment_id_in_its_window),
};

int cfa_conformance_provider(int argc, char **argv, const cfa_provider_fixture *given) {
    cfa_provider_fixture fixture = { 0 };
    if (given->struct_size == 0 || given->struct_size > sizeof fixture) {
        printf("not ok: the fixture's struct_size is not of this version\n");
        return 1;
    }
    memcpy(&fixture, given, given->struct_size);
    provider_context context = { .fixture = &fixture };
    const size_t own = sizeof tests / sizeof tests[0];
    cfa__test all[sizeof tests / sizeof tests[0] + CFA__REFUND_TESTS + CFA__WEBHOOK_TESTS +
                  CFA__LIST_TESTS];
    memcpy(all, tests, sizeof tests);
    memcpy(all + own, cfa__refund_tests, sizeof cfa__refund_tests);
    memcpy(all + own + CFA__REFUND_TESTS, cfa__webhook_tests, sizeof cfa__webhook_tests);
    memcpy(all + own + CFA__REFUND_TESTS + CFA__WEBHOOK_TESTS, cfa__list_tests,
           sizeof cfa__list_tests);
    const cfa__suite suite = {
        .name = "provider",
        .adapter = fixture.name,
        .tests = all,
        .test_count = sizeof all / sizeof all[0],
        .user = &context,
        .setup = setup,
        .teardown = teardown,
    };
    return cfa__runner_main(argc, argv, &suite);
}
