/*
 * test_stripe_webhook.c - Stripe's events: exact diagnoses of what is not genuine, and what each
 * type tells.
 */
#include "stripe_wire.h"

#include "util/signature.h"

#include <stdio.h>
#include <string.h>

#define NOW_US INT64_C(1795341660000000)
#define SECOND_US INT64_C(1000000)

static cfa_slice slice_of(const char *text) { return (cfa_slice){ text, strlen(text) }; }

static const char *sign_with(const char *secret, const char *body, int64_t at_us) {
    static char header[CFA__SIGNATURE_SIZE];
    cfa__signature_make(header, slice_of(secret), slice_of(body), at_us);
    return header;
}

static cfa_status receive(const char *signature, const char *body, int64_t now_us,
                          cfa_webhook_event *out) {
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    memset(out, 0, sizeof *out);
    out->struct_size = sizeof *out;
    return provider->ops->webhook(provider->self, slice_of(signature), slice_of(body), now_us,
                                  arena, out);
}

/* An event around an object. */
static const char *event_of(const char *type, const char *object) {
    static char text[8192];
    snprintf(text, sizeof text,
             "{\"id\":\"evt_1\",\"object\":\"event\",\"type\":\"%s\",\"created\":1795341650,"
             "\"livemode\":false,\"api_version\":\"2024-06-20\",\"data\":{\"object\":%s}}",
             type, object);
    return text;
}

static cfa_webhook_event accept_event(const char *body) {
    cfa_webhook_event event;
    ck_assert_int_eq(receive(sign_with(WEBHOOK_SECRET, body, NOW_US), body, NOW_US, &event),
                     CFA_OK);
    return event;
}

/* ---- signatures ------------------------------------------------------------------------------ */

static void expect_untrusted(const char *signature, const char *body, int64_t now_us,
                             const char *why) {
    cfa_webhook_event event;
    ck_assert_int_eq(receive(signature, body, now_us, &event), CFA_ESIGNATURE);
    ck_assert_msg(strstr(wire_last_error(), why) != NULL, "%s", wire_last_error());
    ck_assert_ptr_null(strstr(wire_last_error(), "canary"));
}

START_TEST(a_signature_made_elsewhere_is_good) {
    /* Made by Stripe's own Python library: stripe.WebhookSignature over this body. */
    static const char body[] = "{\"id\":\"evt_1\"}";
    cfa_webhook_event event;
    const char *header = "t=1795341660,"
                         "v1=3d519428d3e5540403f6940919669972c9e78e15b8a7eda049a922e461f971ac,"
                         "v0=6ffbb59b2300aae63f27";
    ck_assert_int_eq(receive(header, body, NOW_US, &event), CFA_EINVAL); /* genuine, but no event */
    ck_assert_ptr_nonnull(strstr(wire_last_error(), "body"));
}
END_TEST

START_TEST(what_is_wrong_with_a_signature_is_said_exactly) {
    const char *body = event_of("payment_intent.created", "{}");
    const char *good = sign_with(WEBHOOK_SECRET, body, NOW_US);
    char other[CFA__SIGNATURE_SIZE];
    expect_untrusted("", body, NOW_US, "header is missing");
    expect_untrusted("v1=", body, NOW_US, "malformed");
    expect_untrusted("t=1", body, NOW_US, "malformed");
    expect_untrusted("t=x,v1=00", body, NOW_US, "malformed");
    expect_untrusted("hello", body, NOW_US, "malformed");
    snprintf(other, sizeof other, "%s", good);
    char *last = other + strlen(other) - 1;
    *last = *last == '0' ? '1' : '0';
    expect_untrusted(other, body, NOW_US, "does not match");
    snprintf(other, sizeof other, "%s", sign_with("whsec_other", body, NOW_US));
    expect_untrusted(other, body, NOW_US, "the body was altered, or the secret is another one");
    snprintf(other, sizeof other, "%s", sign_with(WEBHOOK_SECRET, body, NOW_US));
    expect_untrusted(other, "{}", NOW_US, "does not match");
    expect_untrusted(other, body, NOW_US + 301 * SECOND_US, "too old");
    expect_untrusted(other, body, NOW_US - 301 * SECOND_US, "from the future");
    cfa_webhook_event event;
    ck_assert_int_eq(receive(other, body, NOW_US + 300 * SECOND_US, &event), CFA_OK);
    ck_assert_int_eq(receive(other, body, NOW_US - 300 * SECOND_US, &event), CFA_OK);
}
END_TEST

START_TEST(a_secret_of_the_wrong_kind_is_named_as_such) {
    const char *body = event_of("payment_intent.created", "{}");
    char header[CFA__SIGNATURE_SIZE];
    snprintf(header, sizeof header, "%s", sign_with("whsec_real", body, NOW_US));
    static const char *const keys[] = { "sk_test_canary" };
    static const char *const others[] = { "canary" };
    ck_assert_int_eq(cfa_stripe_secrets_set(stripe, NULL, keys, 1), CFA_OK);
    expect_untrusted(header, body, NOW_US, "looks like an API key");
    ck_assert_int_eq(cfa_stripe_secrets_set(stripe, NULL, others, 1), CFA_OK);
    expect_untrusted(header, body, NOW_US, "signing secrets begin with whsec_");
}
END_TEST

START_TEST(while_secrets_are_rolled_both_are_good) {
    const char *body = event_of("payment_intent.created", "{}");
    static const char *const both[] = { "whsec_old", "whsec_new" };
    ck_assert_int_eq(cfa_stripe_secrets_set(stripe, NULL, both, 2), CFA_OK);
    cfa_webhook_event event;
    for (size_t i = 0; i < 2; i++) {
        const char *header = sign_with(both[i], body, NOW_US);
        ck_assert_int_eq(receive(header, body, NOW_US, &event), CFA_OK);
    }
    expect_untrusted(sign_with(WEBHOOK_SECRET, body, NOW_US), body, NOW_US, "does not match");
    /* The sender's side of rolling: two codes in one header. */
    char header[2 * CFA__SIGNATURE_SIZE], second[CFA__SIGNATURE_SIZE];
    snprintf(second, sizeof second, "%s", sign_with("whsec_new", body, NOW_US));
    snprintf(header, sizeof header, "%s,%s", sign_with("whsec_unknown", body, NOW_US),
             strchr(second, ',') + 1);
    ck_assert_int_eq(receive(header, body, NOW_US, &event), CFA_OK);
}
END_TEST

/* ---- what events tell ------------------------------------------------------------------------ */

START_TEST(an_intents_events_carry_its_facts) {
    static const struct {
        const char *type, *members;
        uint32_t flags;
        int64_t authorized, captured;
    } cases[] = {
        { "payment_intent.created", "\"status\":\"requires_payment_method\",", 0, 0, 0 },
        { "payment_intent.requires_action", "\"status\":\"requires_action\",",
          CFA_FACT_NEEDS_ACTION, 0, 0 },
        { "payment_intent.processing", "\"status\":\"processing\",", CFA_FACT_PROCESSING, 0, 0 },
        { "payment_intent.amount_capturable_updated",
          "\"status\":\"requires_capture\",\"amount_capturable\":1250,", 0, 1250, 0 },
        { "payment_intent.payment_failed",
          "\"status\":\"requires_payment_method\",\"last_payment_error\":{\"code\":\"x\"},",
          CFA_FACT_FAILED, 0, 0 },
        { "payment_intent.succeeded", "\"status\":\"succeeded\",\"amount_received\":1250,",
          CFA_FACT_SUCCEEDED, 1250, 1250 },
        { "payment_intent.canceled",
          "\"status\":\"canceled\",\"cancellation_reason\":\"requested_by_customer\",",
          CFA_FACT_CANCELED, 0, 0 },
        { "payment_intent.canceled",
          "\"status\":\"canceled\",\"cancellation_reason\":\"automatic\",", CFA_FACT_EXPIRED, 0,
          0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cfa_webhook_event event =
            accept_event(event_of(cases[i].type, wire_intent(cases[i].members)));
        ck_assert_str_eq(event.event_id, "evt_1");
        ck_assert_str_eq(event.event_type, cases[i].type);
        ck_assert_str_eq(event.account, "");
        ck_assert_int_eq(event.livemode, 0);
        ck_assert_int_eq(event.relevant, 1);
        ck_assert_int_eq(event.fetch, 0);
        ck_assert_str_eq(event.facts.ref, "pi_1");
        ck_assert_str_eq(event.facts.payment_id, PAYMENT_ID);
        ck_assert_int_eq(event.facts.amount.minor, 1250);
        ck_assert_uint_eq(event.facts.flags, cases[i].flags);
        ck_assert_int_eq(event.facts.authorized_minor, cases[i].authorized);
        ck_assert_int_eq(event.facts.captured_minor, cases[i].captured);
        ck_assert_int_eq(event.facts.occurred_us, CREATED_US);
    }
}
END_TEST

static const char *charge(const char *members) {
    static char text[1024];
    snprintf(text, sizeof text,
             "{\"id\":\"ch_1\",\"object\":\"charge\",%s\"amount\":1250,\"currency\":\"eur\","
             "\"payment_intent\":\"pi_1\",\"metadata\":{\"payment_id\":\"" PAYMENT_ID "\"}}",
             members);
    return text;
}

START_TEST(a_charges_events_tell_about_its_intent) {
    static const struct {
        const char *type, *members;
        int32_t relevant;
        uint32_t flags;
        int64_t authorized, captured;
    } cases[] = {
        { "charge.pending", "\"status\":\"pending\",", 1, CFA_FACT_PROCESSING, 0, 0 },
        { "charge.succeeded", "\"status\":\"succeeded\",\"captured\":false,", 1, 0, 1250, 0 },
        { "charge.succeeded",
          "\"status\":\"succeeded\",\"captured\":true,\"amount_captured\":1250,", 1, 0, 1250,
          1250 },
        { "charge.captured", "\"status\":\"succeeded\",\"captured\":true,\"amount_captured\":500,",
          1, 0, 1250, 500 },
        { "charge.updated", "\"status\":\"succeeded\",\"captured\":true,\"amount_captured\":1250,",
          1, 0, 1250, 1250 },
        { "charge.failed",
          "\"status\":\"failed\",\"captured\":false,\"failure_code\":\"card_declined\","
          "\"outcome\":{\"reason\":\"insufficient_funds\"},",
          1, CFA_FACT_FAILED, 0, 0 },
        { "charge.expired", "\"status\":\"succeeded\",\"captured\":false,\"refunded\":true,", 1,
          CFA_FACT_EXPIRED, 0, 0 },
        { "charge.refunded",
          "\"status\":\"succeeded\",\"captured\":true,\"amount_captured\":1250,"
          "\"amount_refunded\":1250,\"refunded\":true,",
          1, 0, 1250, 1250 },
        /* The release of a hold looks like a refund; it tells of no money, and of no hold. */
        { "charge.refunded", "\"status\":\"succeeded\",\"captured\":false,\"refunded\":true,", 0, 0,
          1250, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cfa_webhook_event event = accept_event(event_of(cases[i].type, charge(cases[i].members)));
        ck_assert_msg(event.relevant == cases[i].relevant, "%s", cases[i].members);
        ck_assert_str_eq(event.facts.ref, "pi_1");
        ck_assert_uint_eq(event.facts.flags, cases[i].flags);
        ck_assert_int_eq(event.facts.authorized_minor, cases[i].authorized);
        ck_assert_int_eq(event.facts.captured_minor, cases[i].captured);
    }
}
END_TEST

/* Two reports of one decline must agree, or they would look like two. */
START_TEST(a_decline_has_one_code_from_charge_and_intent) {
    cfa_webhook_event by_charge = accept_event(
        event_of("charge.failed", charge("\"status\":\"failed\",\"failure_code\":\"card_declined\","
                                         "\"outcome\":{\"reason\":\"generic_decline\"},")));
    cfa_webhook_event by_intent = accept_event(
        event_of("payment_intent.payment_failed",
                 wire_intent("\"status\":\"requires_payment_method\",\"last_payment_error\":{"
                             "\"code\":\"card_declined\",\"decline_code\":\"generic_decline\"},")));
    ck_assert_str_eq(by_charge.facts.failure_code, "card_declined");
    ck_assert_str_eq(by_intent.facts.failure_code, by_charge.facts.failure_code);
}
END_TEST

START_TEST(a_pages_events_tell_or_ask_to_fetch) {
    static const struct {
        const char *type, *members;
        int32_t fetch;
        uint32_t flags;
        int64_t captured;
        const char *ref, *origin;
    } cases[] = {
        { "checkout.session.completed",
          "\"status\":\"complete\",\"payment_status\":\"paid\",\"payment_intent\":\"pi_1\",", 0,
          CFA_FACT_SUCCEEDED, 1250, "pi_1", "cs_1" },
        { "checkout.session.completed",
          "\"status\":\"complete\",\"payment_status\":\"unpaid\",\"payment_intent\":\"pi_1\",", 1,
          0, 0, "pi_1", "cs_1" },
        { "checkout.session.async_payment_succeeded",
          "\"status\":\"complete\",\"payment_status\":\"paid\",\"payment_intent\":\"pi_1\",", 0,
          CFA_FACT_SUCCEEDED, 1250, "pi_1", "cs_1" },
        { "checkout.session.async_payment_failed",
          "\"status\":\"complete\",\"payment_status\":\"unpaid\",\"payment_intent\":\"pi_1\",", 0,
          CFA_FACT_FAILED, 0, "pi_1", "cs_1" },
        { "checkout.session.expired",
          "\"status\":\"expired\",\"payment_status\":\"unpaid\",\"payment_intent\":null,", 0,
          CFA_FACT_EXPIRED, 0, "cs_1", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cfa_webhook_event event =
            accept_event(event_of(cases[i].type, wire_session(cases[i].members)));
        ck_assert_int_eq(event.relevant, 1);
        ck_assert_int_eq(event.fetch, cases[i].fetch);
        ck_assert_uint_eq(event.facts.flags, cases[i].flags);
        ck_assert_int_eq(event.facts.captured_minor, cases[i].captured);
        ck_assert_str_eq(event.facts.ref, cases[i].ref);
        if (cases[i].origin == NULL) {
            ck_assert_ptr_null(event.facts.origin_ref);
        } else {
            ck_assert_str_eq(event.facts.origin_ref, cases[i].origin);
        }
    }
}
END_TEST

START_TEST(what_tells_nothing_about_a_payment_is_genuine_and_left_alone) {
    static const char *const types[] = {
        "payout.paid",
        "mandate.updated",
        "charge.dispute.of.tomorrow",
        "a.type.of.tomorrow",
        "payment_intent.of.tomorrow",
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        cfa_webhook_event event = accept_event(
            event_of(types[i], "{\"id\":\"x_1\",\"object\":\"x\",\"metadata\":{\"payment_id\":"
                               "\"" PAYMENT_ID "\"}}"));
        ck_assert_int_eq(event.relevant, 0);
        ck_assert_int_eq(event.fetch, 0);
        ck_assert_str_eq(event.event_type, types[i]);
    }
}
END_TEST

START_TEST(another_products_payment_is_not_ours) {
    cfa_webhook_event event = accept_event(event_of(
        "payment_intent.succeeded",
        "{\"id\":\"pi_2\",\"object\":\"payment_intent\",\"status\":\"succeeded\",\"amount\":1,"
        "\"currency\":\"usd\",\"metadata\":{}}"));
    ck_assert_int_eq(event.relevant, 0);
}
END_TEST

START_TEST(a_thin_event_asks_to_fetch_its_object) {
    static const char thin[] =
        "{\"id\":\"evt_2\",\"object\":\"v2.core.event\",\"type\":\"v1.payment_intent.succeeded\","
        "\"livemode\":false,\"created\":\"2026-11-22T10:00:00.000Z\",\"related_object\":{"
        "\"id\":\"%s\",\"type\":\"payment_intent\",\"url\":\"/v1/payment_intents/pi_1\"}}";
    char body[512];
    snprintf(body, sizeof body, "%.*s%s%s", (int)(strstr(thin, "%s") - thin), thin, "pi_1",
             strstr(thin, "%s") + 2);
    cfa_webhook_event event = accept_event(body);
    ck_assert_int_eq(event.relevant, 1);
    ck_assert_int_eq(event.fetch, 1);
    ck_assert_str_eq(event.facts.ref, "pi_1");
    ck_assert_int_eq(event.facts.amount.minor, 0);
    event = accept_event("{\"id\":\"evt_3\",\"object\":\"v2.core.event\",\"type\":\"v2.x\","
                         "\"livemode\":true,\"context\":\"acct_7\",\"related_object\":{\"id\":"
                         "\"acct_7\",\"type\":\"account\"}}");
    ck_assert_int_eq(event.relevant, 0);
    ck_assert_int_eq(event.livemode, 1);
    ck_assert_str_eq(event.account, "acct_7");
}
END_TEST

START_TEST(mode_and_account_are_the_events_own) {
    static const char form[] =
        "{\"id\":\"evt_4\",\"object\":\"event\",\"type\":\"payment_intent.succeeded\","
        "\"created\":1795341650,\"livemode\":true,\"account\":\"acct_1\",\"data\":{\"object\":";
    char body[1024];
    snprintf(body, sizeof body, "%s%s}}", form,
             wire_intent("\"status\":\"succeeded\",\"amount_received\":1250,"));
    cfa_webhook_event event = accept_event(body);
    ck_assert_int_eq(event.livemode, 1);
    ck_assert_str_eq(event.account, "acct_1");
    ck_assert_int_eq(event.relevant, 1);
    /* Acting for that account, its events are the default account's; others' are not ours. */
    cfa_stripe_options options = wire_options();
    options.account = "acct_1";
    wire_use(&options);
    event = accept_event(body);
    ck_assert_str_eq(event.account, "");
    ck_assert_int_eq(event.relevant, 1);
    options.account = "acct_2";
    wire_use(&options);
    event = accept_event(body);
    ck_assert_int_eq(event.relevant, 0);
}
END_TEST

START_TEST(a_malformed_body_is_refused) {
    static const char *const bodies[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"id\":\"evt_1\"}",
        "null",
        "{\"id\":\"evt_1\",\"object\":\"event\",\"type\":\"x\",\"created\":1}",
        "{\"id\":\"evt_1\",\"object\":\"event\",\"type\":\"x\",\"livemode\":false}",
        "{\"object\":\"event\",\"type\":\"x\",\"created\":1,\"livemode\":false}",
        "{\"id\":\"evt_1\",\"object\":\"event\",\"created\":1,\"livemode\":false}",
        ("{\"id\":\"evt_1\",\"id\":\"evt_2\",\"object\":\"event\",\"type\":\"x\",\"created\":1,"
         "\"livemode\":false}"),
        "{\"id\":\"evt_1\",\"object\":\"event\",\"type\":\"x\",\"created\":1,\"livemode\":false} x",
    };
    cfa_webhook_event event;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        const char *header = sign_with(WEBHOOK_SECRET, bodies[i], NOW_US);
        ck_assert_msg(receive(header, bodies[i], NOW_US, &event) == CFA_EINVAL, "%s", bodies[i]);
    }
    const char *body = event_of("payment_intent.succeeded",
                                "{\"object\":\"payment_intent\",\"metadata\":{\"payment_id\":"
                                "\"pay_1\"}}");
    ck_assert_int_eq(receive(sign_with(WEBHOOK_SECRET, body, NOW_US), body, NOW_US, &event),
                     CFA_EINVAL);
}
END_TEST

START_TEST(depth_and_size_are_bounded) {
    static char deep[4096];
    size_t size = 0;
    for (int i = 0; i < 1000; i++) {
        deep[size++] = '[';
    }
    cfa_webhook_event event;
    ck_assert_int_eq(receive(sign_with(WEBHOOK_SECRET, deep, NOW_US), deep, NOW_US, &event),
                     CFA_EINVAL);
    static char large[CFA_WEBHOOK_BYTES_MAX + 2];
    memset(large, ' ', sizeof large - 1);
    ck_assert_int_eq(receive("t=1,v1=0", large, NOW_US, &event), CFA_ETOOLONG);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stripe_webhook");
    TCase *all = tcase_create("webhook");
    tcase_add_checked_fixture(all, wire_set_up, wire_tear_down);
    tcase_add_test(all, a_signature_made_elsewhere_is_good);
    tcase_add_test(all, what_is_wrong_with_a_signature_is_said_exactly);
    tcase_add_test(all, a_secret_of_the_wrong_kind_is_named_as_such);
    tcase_add_test(all, while_secrets_are_rolled_both_are_good);
    tcase_add_test(all, an_intents_events_carry_its_facts);
    tcase_add_test(all, a_charges_events_tell_about_its_intent);
    tcase_add_test(all, a_decline_has_one_code_from_charge_and_intent);
    tcase_add_test(all, a_pages_events_tell_or_ask_to_fetch);
    tcase_add_test(all, what_tells_nothing_about_a_payment_is_genuine_and_left_alone);
    tcase_add_test(all, another_products_payment_is_not_ours);
    tcase_add_test(all, a_thin_event_asks_to_fetch_its_object);
    tcase_add_test(all, mode_and_account_are_the_events_own);
    tcase_add_test(all, a_malformed_body_is_refused);
    tcase_add_test(all, depth_and_size_are_bounded);
    suite_add_tcase(suite, all);
    return wire_run(suite);
}
