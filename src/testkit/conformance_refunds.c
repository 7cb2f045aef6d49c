/*
 * conformance_refunds.c - the refunds' part of the provider suite: one key is one refund, a refusal
 * is none, and what is read and told names them.
 *
 * Skipped for providers whose fixture shows no books of refunds.
 */
#include "testkit/conformance_provider.h"

#include <careforall/refund.h>

#include <stdio.h>
#include <string.h>

#define AMOUNT_MINOR CFA__PROVIDER_AMOUNT_MINOR
#define PART_MINOR INT64_C(500)
#define TEXT_SIZE 96

typedef cfa__provider_context provider_context;

/* A payment and whose it is. */
typedef struct paid {
    const char *payment_id, *ref;
} paid;

static paid pay(cfa__runner *runner, provider_context *context, bool hold_only) {
    if (context->fixture->refunds == NULL) {
        cfa__runner_skip(runner, "this provider gives no money back");
    }
    paid made = { .payment_id = cfa__provider_new_payment(runner, context) };
    made.ref = cfa__provider_pay(runner, context, made.payment_id, hold_only).facts.ref;
    return made;
}

static cfa_call refund_call(cfa__runner *runner, provider_context *context, const paid *of,
                            int number, int64_t amount_minor) {
    cfa_call call =
        cfa__provider_call(runner, context, CFA_CALL_REFUND, of->payment_id, 100 + number);
    char *refund_id = cfa_arena_alloc(context->arena, TEXT_SIZE);
    CFA__CHECK(runner, refund_id != NULL);
    snprintf(refund_id, TEXT_SIZE, "rfd_%s_%d", of->payment_id + 4, number);
    call.refund_id = refund_id;
    call.ref = of->ref;
    call.amount.minor = amount_minor;
    call.payment_method = NULL;
    return call;
}

static bool was_made(const cfa_reply *reply) {
    return reply->outcome == CFA_OUTCOME_DONE || reply->outcome == CFA_OUTCOME_PENDING;
}

/* The one refund that a reply to `call` tells of. */
static const cfa_refund_facts *told(cfa__runner *runner, const cfa_reply *reply,
                                    const cfa_call *call) {
    CFA__CHECK(runner, was_made(reply));
    CFA__CHECK_INT(runner, reply->facts.refund_count, 1);
    const cfa_refund_facts *refund = reply->facts.refunds[0];
    CFA__CHECK(runner, reply->facts.ref == NULL || strcmp(reply->facts.ref, call->ref) == 0);
    CFA__CHECK(runner, refund->ref != NULL && refund->ref[0] != '\0');
    CFA__CHECK(runner,
               refund->refund_id != NULL && strcmp(refund->refund_id, call->refund_id) == 0);
    CFA__CHECK_INT(runner, refund->amount.minor, call->amount.minor);
    CFA__CHECK(runner, strcmp(refund->amount.currency, call->amount.currency) == 0);
    CFA__CHECK(runner,
               refund->state == CFA_REFUND_PENDING || refund->state == CFA_REFUND_SUCCEEDED);
    return refund;
}

static const char *refund(cfa__runner *runner, provider_context *context, const paid *of,
                          int number, int64_t amount_minor) {
    cfa_call call = refund_call(runner, context, of, number, amount_minor);
    cfa_reply reply = cfa__provider_make(runner, context, &call);
    return told(runner, &reply, &call)->ref;
}

static void refuse(cfa__runner *runner, provider_context *context, const paid *of, int number,
                   int64_t amount_minor) {
    cfa_call call = refund_call(runner, context, of, number, amount_minor);
    cfa_reply reply = cfa__provider_make(runner, context, &call);
    CFA__CHECK_INT(runner, reply.outcome, CFA_OUTCOME_REFUSED);
    CFA__CHECK(runner, reply.code != NULL && reply.code[0] != '\0');
}

static void expect_books(cfa__runner *runner, provider_context *context, const paid *of,
                         int64_t count, int64_t sum_minor) {
    int64_t actual = -1, actual_minor = -1;
    CFA__CHECK_OK(runner, context->fixture->refunds(&context->provider, of->payment_id, &actual,
                                                    &actual_minor));
    CFA__CHECK_INT(runner, actual, count);
    CFA__CHECK_INT(runner, actual_minor, sum_minor);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void the_same_key_gives_the_same_refund(cfa__runner *runner, void *user) {
    provider_context *context = user;
    paid of = pay(runner, context, false);
    cfa_call call = refund_call(runner, context, &of, 1, PART_MINOR);
    cfa_reply first = cfa__provider_make(runner, context, &call);
    const char *ref = told(runner, &first, &call)->ref;
    cfa_reply again = cfa__provider_make(runner, context, &call);
    CFA__CHECK(runner, strcmp(told(runner, &again, &call)->ref, ref) == 0);
    CFA__CHECK(runner, again.stored != 0);
    expect_books(runner, context, &of, 1, PART_MINOR);
}

static void a_lost_reply_is_answered_by_the_same_key(cfa__runner *runner, void *user) {
    provider_context *context = user;
    paid of = pay(runner, context, false);
    if (context->fixture->lose_reply == NULL) {
        cfa__runner_skip(runner, "this provider's replies cannot be lost here");
    }
    cfa_call call = refund_call(runner, context, &of, 1, PART_MINOR);
    CFA__CHECK_OK(runner, context->fixture->lose_reply(&context->provider));
    cfa_reply lost = cfa__provider_make(runner, context, &call);
    CFA__CHECK_INT(runner, lost.outcome, CFA_OUTCOME_UNKNOWN);
    expect_books(runner, context, &of, 1, PART_MINOR);
    cfa_reply again = cfa__provider_make(runner, context, &call);
    (void)told(runner, &again, &call);
    expect_books(runner, context, &of, 1, PART_MINOR);
}

static void a_refund_key_with_another_amount_does_nothing(cfa__runner *runner, void *user) {
    provider_context *context = user;
    paid of = pay(runner, context, false);
    (void)refund(runner, context, &of, 1, PART_MINOR);
    cfa_call other = refund_call(runner, context, &of, 1, PART_MINOR + 1);
    cfa_reply reply = cfa__provider_make(runner, context, &other);
    CFA__CHECK(runner, reply.outcome == CFA_OUTCOME_REFUSED ||
                           (reply.outcome == CFA_OUTCOME_UNKNOWN && reply.stored != 0));
    expect_books(runner, context, &of, 1, PART_MINOR);
}

/* Prepare all racers' calls: one call for all, or a full refund each. */
static void line_up(cfa__runner *runner, provider_context *context, const paid *of, bool one_key,
                    cfa__provider_racer *racers) {
    const cfa_provider *provider = &context->provider;
    memset(racers, 0, CFA__PROVIDER_THREADS * sizeof *racers);
    for (int i = 0; i < CFA__PROVIDER_THREADS; i++) {
        cfa_call call = refund_call(runner, context, of, one_key ? 1 : 1 + i,
                                    one_key ? PART_MINOR : AMOUNT_MINOR);
        CFA__CHECK_OK(runner,
                      provider->ops->prepare(provider->self, &call, context->arena, &call.body));
        racers[i].context = context;
        racers[i].call = call;
    }
}

static int count_made(cfa__provider_racer *racers) {
    int made = 0;
    for (int i = 0; i < CFA__PROVIDER_THREADS; i++) {
        made += was_made(&racers[i].reply);
    }
    cfa__provider_race_end(racers);
    return made;
}

static void one_refund_key_at_once_is_one_refund(cfa__runner *runner, void *user) {
    provider_context *context = user;
    paid of = pay(runner, context, false);
    cfa__provider_racer racers[CFA__PROVIDER_THREADS];
    line_up(runner, context, &of, true, racers);
    cfa__provider_race(runner, racers);
    CFA__CHECK(runner, count_made(racers) > 0);
    expect_books(runner, context, &of, 1, PART_MINOR);
}

static void full_refunds_at_once_give_the_money_back_once(cfa__runner *runner, void *user) {
    provider_context *context = user;
    paid of = pay(runner, context, false);
    cfa__provider_racer racers[CFA__PROVIDER_THREADS];
    line_up(runner, context, &of, false, racers);
    cfa__provider_race(runner, racers);
    CFA__CHECK_INT(runner, count_made(racers), 1);
    expect_books(runner, context, &of, 1, AMOUNT_MINOR);
}

/* ---- amounts --------------------------------------------------------------------------------- */

static void a_refused_refund_gave_nothing(cfa__runner *runner, void *user) {
    provider_context *context = user;
    paid of = pay(runner, context, false);
    refuse(runner, context, &of, 1, AMOUNT_MINOR + 1);
    expect_books(runner, context, &of, 0, 0);
    (void)refund(runner, context, &of, 2, AMOUNT_MINOR - 1);
    refuse(runner, context, &of, 3, 2);
    expect_books(runner, context, &of, 1, AMOUNT_MINOR - 1);
    (void)refund(runner, context, &of, 4, 1);
    refuse(runner, context, &of, 5, 1);
    expect_books(runner, context, &of, 2, AMOUNT_MINOR);
}

static void what_was_not_captured_is_not_refunded(cfa__runner *runner, void *user) {
    provider_context *context = user;
    paid of = pay(runner, context, true);
    refuse(runner, context, &of, 1, PART_MINOR);
    expect_books(runner, context, &of, 0, 0);
    cfa_facts facts = cfa__provider_retrieve(runner, context, of.payment_id, of.ref);
    CFA__CHECK_INT(runner, facts.refund_count, 0);
}

/* ---- reads and webhooks ---------------------------------------------------------------------- */

static const cfa_refund_facts *find(const cfa_facts *facts, const char *ref) {
    for (int32_t i = 0; i < facts->refund_count; i++) {
        if (strcmp(facts->refunds[i]->ref, ref) == 0) {
            return facts->refunds[i];
        }
    }
    return NULL;
}

static void a_read_names_every_refund(cfa__runner *runner, void *user) {
    provider_context *context = user;
    paid of = pay(runner, context, false);
    if ((context->provider.ops->capabilities & CFA_PROVIDER_READS_REVERSALS) == 0) {
        cfa__runner_skip(runner, "this provider's reads do not promise to name refunds");
    }
    /* Of the same amount: what tells them apart is who they are. */
    const char *refs[] = { refund(runner, context, &of, 1, PART_MINOR),
                           refund(runner, context, &of, 2, PART_MINOR) };
    CFA__CHECK(runner, strcmp(refs[0], refs[1]) != 0);
    cfa_facts facts = cfa__provider_retrieve(runner, context, of.payment_id, of.ref);
    CFA__CHECK_INT(runner, facts.captured_minor, AMOUNT_MINOR);
    CFA__CHECK_INT(runner, facts.refund_count, 2);
    CFA__CHECK_INT(runner, facts.dispute_count, 0);
    for (int i = 0; i < 2; i++) {
        const cfa_refund_facts *found = find(&facts, refs[i]);
        cfa_call asked = refund_call(runner, context, &of, i + 1, PART_MINOR);
        CFA__CHECK(runner, found != NULL && found->refund_id != NULL);
        CFA__CHECK(runner, strcmp(found->refund_id, asked.refund_id) == 0);
        CFA__CHECK_INT(runner, found->amount.minor, PART_MINOR);
    }
    expect_books(runner, context, &of, 2, 2 * PART_MINOR);
}

/* True when this delivery tells of the refund, or that its payment is to be read. */
static bool tells_of(cfa__runner *runner, provider_context *context, const char *signature,
                     const char *body, const char *ref) {
    const cfa_provider *provider = &context->provider;
    cfa_webhook_event event = { .struct_size = sizeof event };
    CFA__CHECK_OK(runner, provider->ops->webhook(provider->self,
                                                 (cfa_slice){ signature, strlen(signature) },
                                                 (cfa_slice){ body, strlen(body) },
                                                 context->fixture->now_us(&context->provider),
                                                 context->arena, &event));
    return event.relevant && (event.fetch || find(&event.facts, ref) != NULL);
}

/* Take one delivery; false when none is left. Copies live in the arena. */
static bool take(cfa__runner *runner, provider_context *context, const char **out_signature,
                 const char **out_body) {
    char *signature = NULL, *body = NULL;
    CFA__CHECK_OK(runner, context->fixture->webhook(&context->provider, &signature, &body));
    if (body == NULL) {
        return false;
    }
    *out_signature = cfa_arena_copy(context->arena, signature, strlen(signature));
    *out_body = cfa_arena_copy(context->arena, body, strlen(body));
    cfa_free(signature);
    cfa_free(body);
    CFA__CHECK(runner, *out_signature != NULL && *out_body != NULL);
    return true;
}

static void a_refund_is_told_by_webhook(cfa__runner *runner, void *user) {
    provider_context *context = user;
    paid of = pay(runner, context, false);
    const char *signature, *body;
    if (context->fixture->webhook == NULL || context->provider.ops->webhook == NULL) {
        cfa__runner_skip(runner, "this provider sends no webhooks");
    }
    while (take(runner, context, &signature, &body)) {
    }
    const char *ref = refund(runner, context, &of, 1, PART_MINOR);
    int telling = 0;
    while (take(runner, context, &signature, &body)) {
        telling += tells_of(runner, context, signature, body, ref);
    }
    CFA__CHECK(runner, telling > 0);
}

#define TEST(name)                                                                                 \
    { #name, name }

const cfa__test cfa__refund_tests[CFA__REFUND_TESTS] = {
    TEST(the_same_key_gives_the_same_refund),
    TEST(a_lost_reply_is_answered_by_the_same_key),
    TEST(a_refund_key_with_another_amount_does_nothing),
    TEST(one_refund_key_at_once_is_one_refund),
    TEST(full_refunds_at_once_give_the_money_back_once),
    TEST(a_refused_refund_gave_nothing),
    TEST(what_was_not_captured_is_not_refunded),
    TEST(a_read_names_every_refund),
    TEST(a_refund_is_told_by_webhook),
};
