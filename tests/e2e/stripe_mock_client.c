/*
 * stripe_mock_client.c - every request that the Stripe adapter makes, made to Stripe's official
 * mock, which checks it against Stripe's own OpenAPI document. Run by stripe_mock.sh.
 *
 *     stripe_mock_client HTTP_URL HTTPS_URL
 *
 * The mock keeps nothing and answers with fixtures: what is judged is that it accepts the request
 * and that its objects can be read. Over HTTPS it shows a certificate that nobody signed: nothing
 * must be sent.
 */
#include <careforall/adapters/stripe.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed;

static void expect(int good, const char *what, const cfa_reply *reply) {
    printf("%s %s", good ? "ok  " : "FAIL", what);
    if (!good) {
        printf(": outcome %d, code %s", (int)reply->outcome,
               reply->code != NULL ? reply->code : "none");
        failed++;
    } else {
        passed++;
    }
    printf("\n");
}

static cfa_call make_call(int32_t kind, const char *ref) {
    return (cfa_call){
        .struct_size = sizeof(cfa_call),
        .kind = kind,
        .operation_id = "pay_01h455vb4pex5vsknk084sn02q/1",
        .payment_id = "pay_01h455vb4pex5vsknk084sn02q",
        .idempotency_key = "cfa_018c8a5d-1b2c-7000-8000-000000000001_1_1",
        .account = "",
        .ref = ref,
        .amount = { 1250, "EUR" },
        .created_from_us = INT64_C(1700000000000000),
        .created_until_us = INT64_C(1700000600000000),
        .timeout_ms = 10000,
        .return_url = "https://example.org/thanks?a=b&c=d",
        .cancel_url = "https://example.org/back",
    };
}

static cfa_reply perform(const cfa_provider *provider, cfa_call call, cfa_arena *arena) {
    cfa_reply reply = { .struct_size = sizeof reply };
    if (provider->ops->prepare(provider->self, &call, arena, &call.body) != CFA_OK) {
        cfa_error error = CFA_ERROR_INIT;
        cfa_status told = cfa_error_last(&error);
        printf("FAIL prepare: %s %s\n", error.field, told == CFA_OK ? error.message : "");
        failed++;
        return reply;
    }
    provider->ops->call(provider->self, &call, arena, &reply);
    return reply;
}

/* Accepted: DONE or PENDING, by what the fixture happens to show. */
static int is_accepted(const cfa_reply *reply) {
    return (reply->outcome == CFA_OUTCOME_DONE || reply->outcome == CFA_OUTCOME_PENDING) &&
           reply->facts.ref != NULL;
}

static cfa_stripe *new_adapter(const char *base_url, int32_t mode) {
    static const char *const secrets[] = { "whsec_mock" };
    cfa_stripe_options options = CFA_STRIPE_OPTIONS_INIT;
    options.secret_key = "sk_test_123";
    options.webhook_secrets = secrets;
    options.webhook_secret_count = 1;
    options.base_url = base_url;
    options.mode = mode;
    cfa_stripe *stripe;
    if (cfa_stripe_new(&stripe, &options) != CFA_OK) {
        printf("FAIL the adapter is not made\n");
        exit(1);
    }
    return stripe;
}

static void check_mode(const char *base_url, int32_t mode, cfa_arena *arena) {
    cfa_stripe *stripe = new_adapter(base_url, mode);
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    const char *ref = mode == CFA_STRIPE_INTENT ? "pi_123" : "cs_123";
    cfa_call call = make_call(CFA_CALL_CREATE, NULL);
    cfa_reply reply = perform(provider, call, arena);
    expect(is_accepted(&reply), "create", &reply);
    call.capture_manual = 1;
    reply = perform(provider, call, arena);
    expect(is_accepted(&reply), "create, manual capture", &reply);
    reply = perform(provider, make_call(CFA_CALL_RETRIEVE, ref), arena);
    expect(is_accepted(&reply), "retrieve", &reply);
    reply = perform(provider, make_call(CFA_CALL_CANCEL, ref), arena);
    expect(is_accepted(&reply), "cancel", &reply);
    reply = perform(provider, make_call(CFA_CALL_CAPTURE, "pi_123"), arena);
    expect(is_accepted(&reply), "capture a part", &reply);
    call = make_call(CFA_CALL_CAPTURE, "pi_123");
    call.amount.minor = 0;
    reply = perform(provider, call, arena);
    expect(is_accepted(&reply), "capture all", &reply);
    reply = perform(provider, make_call(CFA_CALL_REFUND, "pi_123"), arena);
    expect(is_accepted(&reply), "refund", &reply);
    /* The fixture's objects carry no payment id of ours: all pages are seen, it is not there. */
    reply = perform(provider, make_call(CFA_CALL_LOOKUP, NULL), arena);
    expect(reply.outcome == CFA_OUTCOME_NOT_SENT, "look-up", &reply);
    cfa_stripe_free(stripe);
}

static void check_certificate(const char *base_url, cfa_arena *arena) {
    cfa_stripe *stripe = new_adapter(base_url, CFA_STRIPE_INTENT);
    cfa_reply reply = perform(cfa_stripe_provider(stripe), make_call(CFA_CALL_CREATE, NULL), arena);
    expect(reply.outcome == CFA_OUTCOME_NOT_SENT && strcmp(reply.code, "tls_untrusted") == 0,
           "an untrusted certificate is refused", &reply);
    cfa_stripe_free(stripe);
}

int main(int argc, char **argv) {
    cfa_arena *arena;
    if (argc != 3 || cfa_arena_new(&arena) != CFA_OK) {
        fprintf(stderr, "usage: stripe_mock_client HTTP_URL HTTPS_URL\n");
        return 2;
    }
    printf("# client secret\n");
    check_mode(argv[1], CFA_STRIPE_INTENT, arena);
    printf("# hosted page\n");
    check_mode(argv[1], CFA_STRIPE_CHECKOUT, arena);
    printf("# certificate\n");
    check_certificate(argv[2], arena);
    cfa_arena_free(arena);
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0;
}
