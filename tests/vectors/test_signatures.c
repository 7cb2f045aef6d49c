/*
 * test_signatures.c - signatures.json: which webhooks are genuine, and why the others are not,
 * through the provider interface that an engine uses.
 */
#include "vectors.h"

#include <careforall/adapters/stripe.h>
#include <string.h>

#define SECOND_US INT64_C(1000000)
#define BODY_BYTES_MAX 4096

static const json_t *file;

/* Base64 as RFC 4648 has it, of test data that is known to be well-formed. */
static size_t decode_base64(unsigned char *out, const char *text) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = 0;
    unsigned bits = 0, held = 0;
    for (; *text != '\0' && *text != '='; text++) {
        const char *digit = strchr(digits, *text);
        ck_assert_ptr_nonnull(digit);
        bits = bits << 6 | (unsigned)(digit - digits);
        held += 6;
        if (held >= 8) {
            ck_assert_uint_lt(size, BODY_BYTES_MAX);
            held -= 8;
            out[size++] = (unsigned char)(bits >> held);
        }
    }
    return size;
}

static cfa_slice body_in(const json_t *vector) {
    static unsigned char bytes[BODY_BYTES_MAX];
    const char *text = text_in(vector, "body");
    if (text != NULL)
        return (cfa_slice){ text, strlen(text) };
    return (cfa_slice){ bytes, decode_base64(bytes, text_in(vector, "body_base64")) };
}

static cfa_stripe *stripe_with(const json_t *secrets) {
    const char *texts[CFA_STRIPE_WEBHOOK_SECRETS_MAX];
    size_t count = json_array_size(secrets);
    ck_assert_uint_le(count, CFA_STRIPE_WEBHOOK_SECRETS_MAX);
    for (size_t i = 0; i < count; i++)
        texts[i] = json_string_value(json_array_get(secrets, i));
    cfa_stripe_options options = CFA_STRIPE_OPTIONS_INIT;
    options.secret_key = "sk_test_of_these_vectors";
    options.webhook_secrets = texts;
    options.webhook_secret_count = count;
    cfa_stripe *stripe;
    ck_assert_int_eq(cfa_stripe_new(&stripe, &options), CFA_OK);
    return stripe;
}

START_TEST(signature) {
    const json_t *vector = vector_at(file, "signatures", _i);
    only(vector, "name about secrets now_s body body_base64 header template signed exact diagnosis "
                 "status field");
    const char *header = text_in(vector, "header");
    const json_t *diagnoses = json_object_get(file, "diagnoses");
    ck_assert_ptr_nonnull(json_object_get(diagnoses, text_in(vector, "diagnosis")));
    const char *message = text_in(diagnoses, text_in(vector, "diagnosis"));
    cfa_stripe *stripe = stripe_with(json_object_get(vector, "secrets"));
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    cfa_arena *arena;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    cfa_webhook_event event = { .struct_size = sizeof event };
    cfa_status status = provider->ops->webhook(
        provider->self, (cfa_slice){ header, strlen(header) }, body_in(vector),
        number_in(vector, "now_s") * SECOND_US, arena, &event);
    if (expect_status(vector, status))
        ck_assert_str_eq(event.event_id, "evt_vector");
    if (message != NULL)
        ck_assert_str_eq(error_now()->message, message);
    ck_assert_int_eq(status == CFA_ESIGNATURE, message != NULL);
    cfa_arena_free(arena);
    cfa_stripe_free(stripe);
}
END_TEST

int main(int argc, char **argv) {
    file = vectors_load("signatures.json", "careforall.vectors.signatures.v1");
    Suite *suite = suite_create("vectors.signatures");
    vectors_add(suite, file, "signatures", signature);
    return vectors_run(suite, argc, argv);
}
