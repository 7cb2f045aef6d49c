/*
 * stripe_wire.c - the fixture of the Stripe adapter's tests.
 */
#define _GNU_SOURCE
#include "stripe_wire.h"

#include "util/signature.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

stripe_peer *peer;
cfa_stripe *stripe;
cfa_arena *arena;

static char base_url[64];
static const char *const secrets[] = { WEBHOOK_SECRET };

cfa_stripe_options wire_options(void) {
    cfa_stripe_options options = CFA_STRIPE_OPTIONS_INIT;
    options.secret_key = SECRET_KEY;
    options.webhook_secrets = secrets;
    options.webhook_secret_count = 1;
    options.base_url = base_url;
    options.mode = CFA_STRIPE_INTENT;
    options.connect_timeout_ms = PATIENCE_MS;
    return options;
}

void wire_use(const cfa_stripe_options *options) {
    cfa_stripe_free(stripe);
    stripe = NULL;
    ck_assert_int_eq(cfa_stripe_new(&stripe, options), CFA_OK);
}

void wire_use_mode(int32_t mode) {
    cfa_stripe_options options = wire_options();
    options.mode = mode;
    wire_use(&options);
}

void wire_set_up(void) {
    peer = peer_start();
    snprintf(base_url, sizeof base_url, "http://127.0.0.1:%d", peer_port(peer));
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    wire_use_mode(CFA_STRIPE_INTENT);
}

void wire_tear_down(void) {
    cfa_stripe_free(stripe);
    stripe = NULL;
    cfa_arena_free(arena);
    peer_stop(peer);
}

cfa_call wire_call(int32_t kind) {
    cfa_call call = { .struct_size = sizeof call, .kind = kind };
    call.operation_id = PAYMENT_ID "/1";
    call.payment_id = PAYMENT_ID;
    call.idempotency_key = KEY;
    call.account = "";
    call.ref = kind == CFA_CALL_CREATE || kind == CFA_CALL_LOOKUP ? NULL : "pi_1";
    call.amount = (cfa_money){ 1250, "EUR" };
    call.created_from_us = INT64_C(1795341000000000);
    call.created_until_us = INT64_C(1795341600000000);
    call.timeout_ms = PATIENCE_MS;
    call.return_url = "https://example.org/thanks?a=1&b=2";
    call.cancel_url = "https://example.org/back";
    return call;
}

static void prepare(cfa_call *call) {
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    ck_assert_int_eq(provider->ops->prepare(provider->self, call, arena, &call->body), CFA_OK);
}

cfa_reply wire_perform(cfa_call call) {
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    cfa_reply reply = { .struct_size = sizeof reply };
    prepare(&call);
    provider->ops->call(provider->self, &call, arena, &reply);
    return reply;
}

cfa_reply wire_fly(cfa_call call) {
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    cfa_reply reply = { .struct_size = sizeof reply };
    uint64_t token = 0;
    prepare(&call);
    ck_assert_int_eq(provider->ops->start(provider->self, &call, arena, &reply, 77), CFA_OK);
    ck_assert_int_eq(provider->ops->finish(provider->self, &token, PATIENCE_MS), 1);
    ck_assert_uint_eq(token, 77);
    ck_assert_int_eq(provider->ops->next_due_ms(provider->self), -1);
    return reply;
}

void wire_drive(size_t count) {
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    uint64_t token;
    for (int waited_ms = 0; waited_ms < PATIENCE_MS && peer_count(peer) < count; waited_ms += 10)
        ck_assert_int_eq(provider->ops->finish(provider->self, &token, 10), 0);
    ck_assert_uint_ge(peer_count(peer), count);
}

/* An object around its members, in the test's arena. */
static const char *enclose(const char *before, const char *members, const char *after) {
    char *text = NULL;
    int size = asprintf(&text, "%s%s%s", before, members, after);
    ck_assert_int_gt(size, 0);
    const char *copy = cfa_arena_copy(arena, text, (size_t)size);
    free(text);
    ck_assert_ptr_nonnull(copy);
    return copy;
}

#define METADATA "\"metadata\":{\"payment_id\":\"" PAYMENT_ID "\"}}"

const char *wire_intent(const char *members) {
    return enclose("{\"id\":\"pi_1\",\"object\":\"payment_intent\",", members,
                   "\"amount\":1250,\"currency\":\"eur\",\"created\":1795341000,"
                   "\"client_secret\":\"pi_1_secret_x\"," METADATA);
}

const char *wire_session(const char *members) {
    return enclose("{\"id\":\"cs_1\",\"object\":\"checkout.session\",", members,
                   "\"amount_total\":1250,\"currency\":\"eur\",\"created\":1795341000,"
                   "\"client_secret\":null," METADATA);
}

const char *wire_error(const char *members) { return enclose("{\"error\":{", members, "}}"); }

const char *wire_object(const char *form, const char *members) {
    const char *gap = strstr(form, "%s");
    char before[1024];
    int size = snprintf(before, sizeof before, "%.*s", (int)(gap - form), form);
    ck_assert(size >= 0 && (size_t)size < sizeof before);
    return enclose(before, members, gap + 2);
}

const char *wire_without(const char *const *members, size_t count, unsigned absent) {
    static char given[512];
    size_t size = 0;
    given[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if ((absent >> i & 1u) == 0) {
            size += (size_t)snprintf(given + size, sizeof given - size, "%s", members[i]);
            ck_assert(size < sizeof given);
        }
    }
    return given;
}

/* ---- events ---------------------------------------------------------------------------------- */

#define NOW_US INT64_C(1795341660000000)

cfa_status wire_receive(const char *type, const char *object, cfa_webhook_event *out) {
    const char *body = wire_object("{\"id\":\"evt_1\",\"object\":\"event\",\"created\":1795341650,"
                                   "\"livemode\":false,\"type\":\"%s\",\"data\":{\"object\":",
                                   type);
    body = enclose(body, object, "}}");
    char header[CFA__SIGNATURE_SIZE];
    cfa_slice bytes = { body, strlen(body) };
    cfa__signature_make(header, (cfa_slice){ WEBHOOK_SECRET, strlen(WEBHOOK_SECRET) }, bytes,
                        NOW_US);
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    *out = (cfa_webhook_event){ .struct_size = sizeof *out };
    return provider->ops->webhook(provider->self, (cfa_slice){ header, strlen(header) }, bytes,
                                  NOW_US, arena, out);
}

cfa_webhook_event wire_tell(const char *type, const char *object) {
    cfa_webhook_event event;
    ck_assert_msg(wire_receive(type, object, &event) == CFA_OK, "%s: %s", object,
                  wire_last_error());
    return event;
}

void wire_expect_refused(const char *type, const char *object) {
    cfa_webhook_event event;
    ck_assert_msg(wire_receive(type, object, &event) == CFA_EINVAL, "%s", object);
    ck_assert_ptr_nonnull(strstr(wire_last_error(), "webhook"));
}

void wire_expect_fetch(const char *type, const char *object) {
    cfa_webhook_event event = wire_tell(type, object);
    ck_assert_msg(event.relevant == 1 && event.fetch == 1, "%s", object);
    ck_assert_str_eq(event.facts.ref, "pi_1");
}

const char *wire_last_error(void) {
    static cfa_error error;
    error = (cfa_error)CFA_ERROR_INIT;
    ck_assert_int_eq(cfa_error_last(&error), CFA_OK);
    return error.message;
}

int wire_run(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
