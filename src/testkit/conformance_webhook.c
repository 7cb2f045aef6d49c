/*
 * conformance_webhook.c - the webhook half of the provider suite: what is told, what is refused.
 *
 * Alters and cuts deliveries at every byte; knows nothing of how a provider signs.
 */
#include "testkit/conformance_provider.h"

#include <string.h>

#define TOLERANCE_US INT64_C(300000000)

typedef cfa__provider_context provider_context;

/* ---- deliveries ------------------------------------------------------------------------------ */

typedef struct delivery {
    char *signature, *body;
    cfa_webhook_event event;
} delivery;

static cfa_status verify(provider_context *context, cfa_slice signature, cfa_slice body,
                         int64_t now_us, cfa_webhook_event *out) {
    const cfa_provider *provider = &context->provider;
    return provider->ops->webhook(provider->self, signature, body, now_us, context->arena, out);
}

static cfa_slice slice_of(const char *text) { return (cfa_slice){ text, strlen(text) }; }

static cfa_status verify_now(provider_context *context, cfa_slice signature, cfa_slice body,
                             cfa_webhook_event *out) {
    return verify(context, signature, body, context->fixture->now_us(&context->provider), out);
}

/* Pay a payment and take the webhooks that came of it; the number taken. They live in the arena. */
static size_t take_webhooks(cfa__runner *runner, provider_context *context, delivery *out,
                            size_t limit, const char **out_payment_id) {
    if (context->fixture->webhook == NULL || context->provider.ops->webhook == NULL) {
        cfa__runner_skip(runner, "this provider sends no webhooks");
    }
    *out_payment_id = cfa__provider_new_payment(runner, context);
    (void)cfa__provider_pay(runner, context, *out_payment_id, false);
    size_t count = 0;
    while (count < limit) {
        char *signature = NULL;
        char *body = NULL;
        CFA__CHECK_OK(runner, context->fixture->webhook(&context->provider, &signature, &body));
        if (body == NULL) {
            break;
        }
        delivery *at = &out[count++];
        *at = (delivery){ .event = { .struct_size = sizeof at->event } };
        at->signature = cfa_arena_copy(context->arena, signature, strlen(signature));
        at->body = cfa_arena_copy(context->arena, body, strlen(body));
        cfa_free(signature);
        cfa_free(body);
        CFA__CHECK(runner, at->signature != NULL && at->body != NULL);
        CFA__CHECK_OK(runner,
                      verify_now(context, slice_of(at->signature), slice_of(at->body), &at->event));
    }
    CFA__CHECK(runner, count > 0);
    return count;
}

#define WEBHOOKS_MAX 32

static void webhooks_tell_the_whole_story(cfa__runner *runner, void *user) {
    provider_context *context = user;
    delivery all[WEBHOOKS_MAX];
    const char *payment_id;
    size_t count = take_webhooks(runner, context, all, WEBHOOKS_MAX, &payment_id);
    int64_t captured_minor = 0;
    uint32_t flags = 0;
    for (size_t i = 0; i < count; i++) {
        const cfa_webhook_event *event = &all[i].event;
        CFA__CHECK(runner, event->event_id != NULL && event->event_id[0] != '\0');
        CFA__CHECK(runner, event->event_type != NULL && event->account != NULL);
        CFA__CHECK_INT(runner, event->livemode, 0);
        for (size_t other = 0; other < i; other++) {
            CFA__CHECK(runner, strcmp(event->event_id, all[other].event.event_id) != 0);
        }
        if (!event->relevant) {
            continue;
        }
        CFA__CHECK(runner, event->facts.ref != NULL);
        CFA__CHECK(runner, event->facts.payment_id == NULL ||
                               strcmp(event->facts.payment_id, payment_id) == 0);
        CFA__CHECK_INT(runner, event->facts.amount.minor, CFA__PROVIDER_AMOUNT_MINOR);
        flags |= event->facts.flags;
        if (event->facts.captured_minor > captured_minor) {
            captured_minor = event->facts.captured_minor;
        }
    }
    CFA__CHECK_INT(runner, captured_minor, CFA__PROVIDER_AMOUNT_MINOR);
    CFA__CHECK(runner, (flags & CFA_FACT_SUCCEEDED) != 0);
}

static void a_webhook_delivered_twice_is_one_event(cfa__runner *runner, void *user) {
    provider_context *context = user;
    delivery all[WEBHOOKS_MAX];
    const char *payment_id;
    size_t count = take_webhooks(runner, context, all, WEBHOOKS_MAX, &payment_id);
    for (size_t i = 0; i < count; i++) {
        cfa_webhook_event again = { .struct_size = sizeof again };
        CFA__CHECK_OK(
            runner, verify_now(context, slice_of(all[i].signature), slice_of(all[i].body), &again));
        CFA__CHECK(runner, strcmp(again.event_id, all[i].event.event_id) == 0);
        CFA__CHECK_INT(runner, again.facts.captured_minor, all[i].event.facts.captured_minor);
    }
}

static void a_webhook_altered_anywhere_is_refused(cfa__runner *runner, void *user) {
    provider_context *context = user;
    delivery all[WEBHOOKS_MAX];
    const char *payment_id;
    size_t count = take_webhooks(runner, context, all, WEBHOOKS_MAX, &payment_id);
    const delivery *last = &all[count - 1];
    cfa_webhook_event event = { .struct_size = sizeof event };
    cfa_slice signature = slice_of(last->signature);
    cfa_slice body = slice_of(last->body);
    for (size_t i = 0; i < body.size; i++) {
        for (int bit = 0; bit < 8; bit += 3) {
            last->body[i] ^= (char)(1 << bit);
            CFA__CHECK_STATUS(runner, verify_now(context, signature, body, &event), CFA_ESIGNATURE);
            last->body[i] ^= (char)(1 << bit);
        }
    }
    for (size_t i = 0; i < signature.size; i++) {
        last->signature[i] ^= 1;
        CFA__CHECK_STATUS(runner, verify_now(context, signature, body, &event), CFA_ESIGNATURE);
        last->signature[i] ^= 1;
    }
    CFA__CHECK_OK(runner, verify_now(context, signature, body, &event));
}

static void a_webhook_cut_short_is_refused(cfa__runner *runner, void *user) {
    provider_context *context = user;
    delivery all[WEBHOOKS_MAX];
    const char *payment_id;
    size_t count = take_webhooks(runner, context, all, WEBHOOKS_MAX, &payment_id);
    cfa_webhook_event event = { .struct_size = sizeof event };
    cfa_slice signature = slice_of(all[count - 1].signature);
    cfa_slice body = slice_of(all[count - 1].body);
    for (size_t size = 0; size < body.size; size++) {
        cfa_slice part = { body.data, size };
        CFA__CHECK_STATUS(runner, verify_now(context, signature, part, &event), CFA_ESIGNATURE);
    }
    for (size_t size = 0; size < signature.size; size++) {
        cfa_slice part = { signature.data, size };
        CFA__CHECK_STATUS(runner, verify_now(context, part, body, &event), CFA_ESIGNATURE);
    }
}

static void a_signature_of_another_body_is_refused(cfa__runner *runner, void *user) {
    provider_context *context = user;
    delivery all[WEBHOOKS_MAX];
    const char *payment_id;
    size_t count = take_webhooks(runner, context, all, WEBHOOKS_MAX, &payment_id);
    if (count < 2) {
        cfa__runner_skip(runner, "this provider sent one webhook only");
    }
    cfa_webhook_event event = { .struct_size = sizeof event };
    CFA__CHECK_STATUS(
        runner, verify_now(context, slice_of(all[0].signature), slice_of(all[1].body), &event),
        CFA_ESIGNATURE);
}

static void a_signature_outside_its_window_is_refused(cfa__runner *runner, void *user) {
    provider_context *context = user;
    delivery all[WEBHOOKS_MAX];
    const char *payment_id;
    size_t count = take_webhooks(runner, context, all, WEBHOOKS_MAX, &payment_id);
    cfa_slice signature = slice_of(all[count - 1].signature);
    cfa_slice body = slice_of(all[count - 1].body);
    int64_t now_us = context->fixture->now_us(&context->provider);
    cfa_webhook_event event = { .struct_size = sizeof event };
    /* Ten seconds on both sides, for a real clock and for signatures in whole seconds. */
    int64_t inside_us = TOLERANCE_US - 10000000;
    int64_t outside_us = TOLERANCE_US + 10000000;
    CFA__CHECK_OK(runner, verify(context, signature, body, now_us + inside_us, &event));
    CFA__CHECK_OK(runner, verify(context, signature, body, now_us - inside_us, &event));
    CFA__CHECK_STATUS(runner, verify(context, signature, body, now_us + outside_us, &event),
                      CFA_ESIGNATURE);
    CFA__CHECK_STATUS(runner, verify(context, signature, body, now_us - outside_us, &event),
                      CFA_ESIGNATURE);
}

#define TEST(name)                                                                                 \
    { #name, name }

const cfa__test cfa__webhook_tests[CFA__WEBHOOK_TESTS] = {
    TEST(webhooks_tell_the_whole_story),          TEST(a_webhook_delivered_twice_is_one_event),
    TEST(a_webhook_altered_anywhere_is_refused),  TEST(a_webhook_cut_short_is_refused),
    TEST(a_signature_of_another_body_is_refused), TEST(a_signature_outside_its_window_is_refused),
};
