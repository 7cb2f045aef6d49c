/*
 * test_stripe_request.c - the exact bytes that the Stripe adapter sends, what it refuses to make,
 * its options, and its amounts in every currency that Stripe counts in its own way.
 */
#include "stripe_wire.h"

#include "adapters/stripe/stripe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cfa_status try_prepare(const cfa_call *call, const char **out) {
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    cfa_slice body = { "", 0 };
    cfa_status status = provider->ops->prepare(provider->self, call, arena, &body);
    *out = body.data;
    return status;
}

static void expect_body(const cfa_call *call, const char *expected) {
    const char *body;
    ck_assert_int_eq(try_prepare(call, &body), CFA_OK);
    ck_assert_str_eq(body, expected);
}

static void expect_refused(const cfa_call *call, cfa_status status, const char *field) {
    const char *body;
    ck_assert_int_eq(try_prepare(call, &body), status);
    cfa_error error = CFA_ERROR_INIT;
    ck_assert_int_eq(cfa_error_last(&error), CFA_OK);
    ck_assert_str_eq(error.field, field);
}

/* ---- bodies ---------------------------------------------------------------------------------- */

START_TEST(an_intent_is_asked_for_unconfirmed) {
    cfa_call call = wire_call(CFA_CALL_CREATE);
    expect_body(&call, "amount=1250&currency=eur&automatic_payment_methods[enabled]=true"
                       "&capture_method=automatic&metadata[payment_id]=" PAYMENT_ID);
    call.capture_manual = 1;
    call.payment_method = "pm_card_visa";
    expect_body(&call, "amount=1250&currency=eur&automatic_payment_methods[enabled]=true"
                       "&capture_method=manual&metadata[payment_id]=" PAYMENT_ID
                       "&payment_method=pm_card_visa");
}
END_TEST

START_TEST(a_hosted_page_carries_the_payment_id_everywhere) {
    wire_use_mode(CFA_STRIPE_CHECKOUT);
    cfa_call call = wire_call(CFA_CALL_CREATE);
    expect_body(&call,
                "mode=payment&submit_type=donate&adaptive_pricing[enabled]=false"
                "&client_reference_id=" PAYMENT_ID
                "&line_items[0][quantity]=1&line_items[0][price_data][currency]=eur"
                "&line_items[0][price_data][unit_amount]=1250"
                "&line_items[0][price_data][product_data][name]=Donation"
                "&metadata[payment_id]=" PAYMENT_ID "&payment_intent_data[capture_method]=automatic"
                "&payment_intent_data[metadata][payment_id]=" PAYMENT_ID
                "&success_url=https%3A%2F%2Fexample.org%2Fthanks%3Fa%3D1%26b%3D2"
                "&cancel_url=https%3A%2F%2Fexample.org%2Fback");
}
END_TEST

START_TEST(a_hosted_page_needs_a_way_back) {
    wire_use_mode(CFA_STRIPE_CHECKOUT);
    cfa_call call = wire_call(CFA_CALL_CREATE);
    call.return_url = NULL;
    expect_refused(&call, CFA_EINVAL, "return_url");
    call.return_url = "";
    expect_refused(&call, CFA_EINVAL, "return_url");
}
END_TEST

START_TEST(text_cannot_break_out_of_its_field) {
    cfa_stripe_options options = wire_options();
    options.mode = CFA_STRIPE_CHECKOUT;
    options.product_name = "Wells & more=100%+\xc3\xa9\r\n";
    wire_use(&options);
    cfa_call call = wire_call(CFA_CALL_CREATE);
    const char *body;
    ck_assert_int_eq(try_prepare(&call, &body), CFA_OK);
    ck_assert_ptr_nonnull(
        strstr(body, "[name]=Wells%20%26%20more%3D100%25%2B%C3%A9%0D%0A&metadata"));
}
END_TEST

START_TEST(changes_say_what_they_change) {
    cfa_call call = wire_call(CFA_CALL_CAPTURE);
    expect_body(&call, "amount_to_capture=1250");
    call.amount.minor = 0;
    expect_body(&call, "");
    call = wire_call(CFA_CALL_CANCEL);
    expect_body(&call, "cancellation_reason=requested_by_customer");
    call.ref = "cs_1";
    expect_body(&call, "");
    call = wire_call(CFA_CALL_REFUND);
    expect_body(&call, "payment_intent=pi_1&amount=1250&metadata[payment_id]=" PAYMENT_ID
                       "&metadata[operation_id]=" PAYMENT_ID "%2F1&expand[]=payment_intent");
    call.refund_id = "rfd_1";
    expect_body(&call, "payment_intent=pi_1&amount=1250&metadata[payment_id]=" PAYMENT_ID
                       "&metadata[operation_id]=" PAYMENT_ID "%2F1&metadata[refund_id]=rfd_1"
                       "&expand[]=payment_intent");
    call = wire_call(CFA_CALL_RETRIEVE);
    expect_body(&call, "");
    call = wire_call(CFA_CALL_LOOKUP);
    expect_body(&call, "");
}
END_TEST

START_TEST(a_call_that_lacks_something_is_refused_by_name) {
    cfa_call call = wire_call(CFA_CALL_CREATE);
    call.payment_id = NULL;
    expect_refused(&call, CFA_EINVAL, "payment_id");
    call = wire_call(CFA_CALL_CREATE);
    call.amount.minor = 49;
    expect_refused(&call, CFA_EAMOUNT, "amount");
    call.amount.minor = -1;
    expect_refused(&call, CFA_ERANGE, "amount");
    call.amount = (cfa_money){ 1250, "XXX" };
    expect_refused(&call, CFA_ECURRENCY, "currency");
    static const int32_t kinds[] = { CFA_CALL_CAPTURE, CFA_CALL_CANCEL, CFA_CALL_RETRIEVE,
                                     CFA_CALL_REFUND };
    for (size_t i = 0; i < 4; i++) {
        call = wire_call(kinds[i]);
        call.ref = "";
        expect_refused(&call, CFA_EINVAL, "ref");
    }
    call = wire_call(99);
    expect_refused(&call, CFA_ENOTSUP, "kind");
}
END_TEST

/* ---- requests -------------------------------------------------------------------------------- */

static void expect_line(const char *request, const char *line) {
    ck_assert_msg(strstr(request, line) != NULL, "no %s in %s", line, request);
}

static const char *sent(cfa_call call) {
    size_t before = peer_count(peer);
    peer_push_json(peer, 404, "", wire_error("\"type\":\"x\""));
    (void)wire_perform(call);
    const char *request = peer_request(peer, before);
    ck_assert_ptr_nonnull(request);
    return request;
}

START_TEST(a_request_carries_key_version_and_account) {
    cfa_call call = wire_call(CFA_CALL_CREATE);
    const char *request = sent(call);
    ck_assert_int_eq(strncmp(request, "POST /v1/payment_intents HTTP/1.1\r\n", 35), 0);
    expect_line(request, "\r\nAuthorization: Bearer " SECRET_KEY "\r\n");
    expect_line(request, "\r\nStripe-Version: " CFA_STRIPE_API_VERSION "\r\n");
    expect_line(request, "\r\nIdempotency-Key: " KEY "\r\n");
    expect_line(request, "\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    expect_line(request, "\r\n\r\namount=1250&currency=eur&");
    ck_assert_ptr_null(strstr(request, "Stripe-Account"));
    ck_assert_ptr_null(strstr(request, "Expect:"));
    call.account = "acct_1";
    expect_line(sent(call), "\r\nStripe-Account: acct_1\r\n");
}
END_TEST

START_TEST(the_adapters_own_account_is_the_default) {
    cfa_stripe_options options = wire_options();
    options.account = "acct_own";
    wire_use(&options);
    cfa_call call = wire_call(CFA_CALL_RETRIEVE);
    expect_line(sent(call), "\r\nStripe-Account: acct_own\r\n");
    call.account = "acct_other";
    expect_line(sent(call), "\r\nStripe-Account: acct_other\r\n");
}
END_TEST

START_TEST(each_kind_of_call_has_its_endpoint) {
    static const struct {
        int32_t kind;
        const char *ref, *line;
    } cases[] = {
        { CFA_CALL_RETRIEVE, "pi_1",
          "GET /v1/payment_intents/pi_1?expand[]=latest_charge.refunds"
          "&expand[]=latest_charge.balance_transaction HTTP" },
        { CFA_CALL_RETRIEVE, "cs_1",
          "GET /v1/checkout/sessions/cs_1?expand[]=payment_intent.latest_charge.refunds"
          "&expand[]=payment_intent.latest_charge.balance_transaction HTTP" },
        { CFA_CALL_RETRIEVE, "../x?y", "GET /v1/payment_intents/..%2Fx%3Fy?expand" },
        { CFA_CALL_CAPTURE, "pi_1", "POST /v1/payment_intents/pi_1/capture HTTP" },
        { CFA_CALL_CANCEL, "pi_1", "POST /v1/payment_intents/pi_1/cancel HTTP" },
        { CFA_CALL_CANCEL, "cs_1", "POST /v1/checkout/sessions/cs_1/expire HTTP" },
        { CFA_CALL_REFUND, "pi_1", "POST /v1/refunds HTTP" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cfa_call call = wire_call(cases[i].kind);
        call.ref = cases[i].ref;
        const char *request = sent(call);
        ck_assert_msg(strncmp(request, cases[i].line, strlen(cases[i].line)) == 0, "%s", request);
        /* Reads are no operations: a key on them would mean nothing. */
        ck_assert((strstr(request, "Idempotency-Key") != NULL) ==
                  (cases[i].kind != CFA_CALL_RETRIEVE));
    }
}
END_TEST

START_TEST(a_stored_body_goes_where_it_was_made_for_whatever_the_mode_is_now) {
    const char *body;
    cfa_call call = wire_call(CFA_CALL_CREATE);
    ck_assert_int_eq(try_prepare(&call, &body), CFA_OK);
    call.body = (cfa_slice){ body, strlen(body) };
    wire_use_mode(CFA_STRIPE_CHECKOUT);
    peer_push_json(peer, 200, "", wire_intent("\"status\":\"requires_payment_method\","));
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    cfa_reply reply = { .struct_size = sizeof reply };
    provider->ops->call(provider->self, &call, arena, &reply);
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    expect_line(peer_request(peer, 0), "POST /v1/payment_intents HTTP");
}
END_TEST

START_TEST(a_key_that_is_no_header_value_is_never_sent) {
    cfa_call call = wire_call(CFA_CALL_CREATE);
    call.idempotency_key = "a\r\nX-Injected: 1";
    cfa_reply reply = wire_perform(call);
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_NOT_SENT);
    ck_assert_str_eq(reply.code, "parameter_invalid");
    call.idempotency_key = NULL;
    reply = wire_perform(call);
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_NOT_SENT);
    ck_assert_str_eq(reply.code, "parameter_missing");
    ck_assert_uint_eq(peer_count(peer), 0);
}
END_TEST

START_TEST(a_connection_is_kept_for_the_next_call) {
    for (int i = 0; i < 5; i++) {
        (void)sent(wire_call(CFA_CALL_RETRIEVE));
    }
    ck_assert_uint_eq(peer_count(peer), 5);
    ck_assert_uint_eq(peer_connections(peer), 1);
}
END_TEST

START_TEST(no_proxy_is_taken_from_the_environment) {
    ck_assert_int_eq(setenv("http_proxy", "http://127.0.0.1:9", 1), 0);
    ck_assert_int_eq(setenv("ALL_PROXY", "http://127.0.0.1:9", 1), 0);
    expect_line(sent(wire_call(CFA_CALL_RETRIEVE)), "GET /v1/payment_intents/pi_1");
}
END_TEST

/* ---- options --------------------------------------------------------------------------------- */

static void expect_option_refused(const cfa_stripe_options *options, const char *field) {
    cfa_stripe *made = NULL;
    ck_assert_int_eq(cfa_stripe_new(&made, options), CFA_EINVAL);
    ck_assert_ptr_null(made);
    cfa_error error = CFA_ERROR_INIT;
    ck_assert_int_eq(cfa_error_last(&error), CFA_OK);
    ck_assert_str_eq(error.field, field);
    ck_assert_ptr_null(strstr(error.message, "canary"));
}

START_TEST(plain_http_goes_to_loopback_only) {
    static const char *const refused[] = {
        "http://api.stripe.com",
        "http://10.0.0.1",
        "http://127.evil.org",
        "http://localhost.evil.org",
        "http://127.0.0.1.evil.org",
        "ftp://127.0.0.1",
        "https://",
        "https:///x",
        "https://user@api.stripe.com",
        "https://api.stripe.com?x",
        "api.stripe.com",
        "",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        cfa_stripe_options options = wire_options();
        options.base_url = refused[i];
        expect_option_refused(&options, "base_url");
    }
    static const char *const taken[] = { "http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:1",
                                         "http://localhost:1/", "https://example.org/base/" };
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        cfa_stripe_options options = wire_options();
        options.base_url = taken[i];
        wire_use(&options);
    }
}
END_TEST

START_TEST(options_are_checked_by_name) {
    static const char *const keys[] = { NULL, "", "pk_test_canary", "canary", "sk_test_can\nary" };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        cfa_stripe_options options = wire_options();
        options.secret_key = keys[i];
        expect_option_refused(&options, "secret_key");
    }
    cfa_stripe_options options = wire_options();
    options.webhook_secret_count = 0;
    expect_option_refused(&options, "webhook_secrets");
    options = wire_options();
    options.ca_file = "/nonexistent/authorities.pem";
    expect_option_refused(&options, "ca_file");
    options = wire_options();
    options.mode = 2;
    expect_option_refused(&options, "mode");
}
END_TEST

START_TEST(the_keys_prefix_decides_the_mode) {
    static const struct {
        const char *key;
        int live;
    } cases[] = { { "sk_test_a", 0 }, { "rk_test_a", 0 }, { "sk_live_a", 1 }, { "rk_live_a", 1 } };
    for (size_t i = 0; i < 4; i++) {
        cfa_stripe_options options = wire_options();
        options.secret_key = cases[i].key;
        wire_use(&options);
        ck_assert_int_eq(cfa_stripe_livemode(stripe), cases[i].live);
        cfa_status expected = cases[i].live ? CFA_EMODE : CFA_OK;
        ck_assert_int_eq(cfa_stripe_secrets_set(stripe, "sk_test_b", NULL, 0), expected);
    }
}
END_TEST

START_TEST(a_rolled_key_is_used_from_the_next_call_on) {
    expect_line(sent(wire_call(CFA_CALL_RETRIEVE)), "Bearer " SECRET_KEY "\r\n");
    ck_assert_int_eq(cfa_stripe_secrets_set(stripe, "rk_test_new", NULL, 0), CFA_OK);
    expect_line(sent(wire_call(CFA_CALL_RETRIEVE)), "Bearer rk_test_new\r\n");
    ck_assert_int_eq(cfa_stripe_secrets_set(stripe, "nonsense", NULL, 0), CFA_EINVAL);
    expect_line(sent(wire_call(CFA_CALL_RETRIEVE)), "Bearer rk_test_new\r\n");
}
END_TEST

/* ---- amounts --------------------------------------------------------------------------------- */

START_TEST(every_currency_of_the_table_goes_to_stripe_and_back) {
    const cfa_money_rules *rules = cfa_money_rules_stripe();
    for (size_t i = 0; i < rules->rule_count; i++) {
        const cfa_money_rule *rule = &rules->rules[i];
        bool times = strcmp(rule->currency, "ISK") == 0 || strcmp(rule->currency, "UGX") == 0;
        bool parts = strcmp(rule->currency, "MGA") == 0;
        int64_t step = rule->granularity_minor;
        for (int64_t n = 1; n <= 4; n++) {
            cfa_money amount = { n * 12345 * step, "" }, back;
            memcpy(amount.currency, rule->currency, 4);
            int64_t units;
            ck_assert(cfa__stripe_units(&units, amount));
            ck_assert_int_eq(units, times   ? amount.minor * 100
                                    : parts ? amount.minor / 100
                                            : amount.minor);
            char lower[4] = { 0 };
            for (size_t at = 0; at < 3; at++) {
                lower[at] = (char)(rule->currency[at] + 32);
            }
            ck_assert(cfa__stripe_money(&back, units, lower));
            ck_assert_int_eq(back.minor, amount.minor);
            ck_assert_str_eq(back.currency, rule->currency);
        }
    }
}
END_TEST

START_TEST(amounts_that_one_side_cannot_hold_are_not_rounded) {
    int64_t units;
    cfa_money amount;
    ck_assert(!cfa__stripe_units(&units, (cfa_money){ 150, "MGA" }));
    ck_assert(!cfa__stripe_units(&units, (cfa_money){ INT64_MAX / 10, "ISK" }));
    ck_assert(!cfa__stripe_money(&amount, 150, "isk"));
    ck_assert(!cfa__stripe_money(&amount, INT64_MAX / 10, "mga"));
    ck_assert(!cfa__stripe_money(&amount, 100, "zzz"));
    ck_assert(!cfa__stripe_money(&amount, 100, "euro"));
    ck_assert(!cfa__stripe_money(&amount, 100, NULL));
    cfa_call call = wire_call(CFA_CALL_CREATE);
    call.amount = (cfa_money){ 5124, "KWD" };
    expect_refused(&call, CFA_EAMOUNT, "amount");
    call.amount.minor = 5120;
    const char *body;
    ck_assert_int_eq(try_prepare(&call, &body), CFA_OK);
    ck_assert_int_eq(strncmp(body, "amount=5120&currency=kwd&", 25), 0);
    call.amount = (cfa_money){ 500, "ISK" };
    ck_assert_int_eq(try_prepare(&call, &body), CFA_OK);
    ck_assert_int_eq(strncmp(body, "amount=50000&currency=isk&", 26), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stripe_request");
    TCase *all = tcase_create("request");
    tcase_add_checked_fixture(all, wire_set_up, wire_tear_down);
    tcase_add_test(all, an_intent_is_asked_for_unconfirmed);
    tcase_add_test(all, a_hosted_page_carries_the_payment_id_everywhere);
    tcase_add_test(all, a_hosted_page_needs_a_way_back);
    tcase_add_test(all, text_cannot_break_out_of_its_field);
    tcase_add_test(all, changes_say_what_they_change);
    tcase_add_test(all, a_call_that_lacks_something_is_refused_by_name);
    tcase_add_test(all, a_request_carries_key_version_and_account);
    tcase_add_test(all, the_adapters_own_account_is_the_default);
    tcase_add_test(all, each_kind_of_call_has_its_endpoint);
    tcase_add_test(all, a_stored_body_goes_where_it_was_made_for_whatever_the_mode_is_now);
    tcase_add_test(all, a_key_that_is_no_header_value_is_never_sent);
    tcase_add_test(all, a_connection_is_kept_for_the_next_call);
    tcase_add_test(all, no_proxy_is_taken_from_the_environment);
    tcase_add_test(all, plain_http_goes_to_loopback_only);
    tcase_add_test(all, options_are_checked_by_name);
    tcase_add_test(all, the_keys_prefix_decides_the_mode);
    tcase_add_test(all, a_rolled_key_is_used_from_the_next_call_on);
    tcase_add_test(all, every_currency_of_the_table_goes_to_stripe_and_back);
    tcase_add_test(all, amounts_that_one_side_cannot_hold_are_not_rounded);
    suite_add_tcase(suite, all);
    return wire_run(suite);
}
