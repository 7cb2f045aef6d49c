/*
 * test_stripe_outcome.c - what an answer of Stripe, or its absence, proves: one test per row of the
 * table in docs/stripe.md. The rows of plain answers run over both ways of making a call.
 */
#define _GNU_SOURCE
#include "stripe_wire.h"

#include <dlfcn.h>
#include <netdb.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- answers --------------------------------------------------------------------------------- */

typedef struct row {
    const char *name;
    int32_t kind;
    int status;
    const char *headers;
    const char *error; /* members of the error, or NULL for `body` */
    const char *body;
    int32_t outcome;
    const char *code;
    int stored, unavailable;
    int64_t retry_after_ms;
} row;

#define INVALID "\"type\":\"invalid_request_error\","

static const row rows[] = {
    { "400 refuses", CFA_CALL_CREATE, 400, "", INVALID "\"code\":\"amount_too_small\"", NULL,
      CFA_OUTCOME_REFUSED, "amount_too_small", 0, 0, 0 },
    { "400 without a code names its type", CFA_CALL_CREATE, 400, "",
      "\"type\":\"invalid_request_error\"", NULL, CFA_OUTCOME_REFUSED, "invalid_request_error", 0,
      0, 0 },
    { "400 that Stripe wants repeated is in doubt", CFA_CALL_CREATE, 400,
      "Stripe-Should-Retry: true\r\n", INVALID "\"code\":\"x\"", NULL, CFA_OUTCOME_UNKNOWN, "x", 0,
      0, 0 },
    { "a key used for something else is in doubt, for good", CFA_CALL_CREATE, 400, "",
      "\"type\":\"idempotency_error\"", NULL, CFA_OUTCOME_UNKNOWN, "idempotency_error", 1, 0, 0 },
    { "401 did nothing", CFA_CALL_CREATE, 401, "",
      "\"type\":\"invalid_request_error\",\"message\":\"Invalid API Key\"", NULL,
      CFA_OUTCOME_NOT_SENT, "invalid_request_error", 0, 0, 0 },
    { "403 did nothing", CFA_CALL_CAPTURE, 403, "",
      INVALID "\"code\":\"more_permissions_required\"", NULL, CFA_OUTCOME_NOT_SENT,
      "more_permissions_required", 0, 0, 0 },
    { "402 without an intent refuses", CFA_CALL_CREATE, 402, "",
      "\"type\":\"card_error\",\"code\":\"card_declined\",\"decline_code\":\"lost_card\"", NULL,
      CFA_OUTCOME_REFUSED, "lost_card", 0, 0, 0 },
    { "404 refuses", CFA_CALL_RETRIEVE, 404, "", INVALID "\"code\":\"resource_missing\"", NULL,
      CFA_OUTCOME_REFUSED, "resource_missing", 0, 0, 0 },
    { "404 refuses a change", CFA_CALL_CANCEL, 404, "", INVALID "\"code\":\"resource_missing\"",
      NULL, CFA_OUTCOME_REFUSED, "resource_missing", 0, 0, 0 },
    { "409 is in doubt", CFA_CALL_CREATE, 409, "Retry-After: 2\r\n",
      "\"type\":\"idempotency_error\",\"code\":\"idempotency_key_in_use\"", NULL,
      CFA_OUTCOME_UNKNOWN, "idempotency_key_in_use", 0, 0, 2000 },
    { "409 of a locked object is in doubt", CFA_CALL_CAPTURE, 409, "",
      INVALID "\"code\":\"lock_timeout\"", NULL, CFA_OUTCOME_UNKNOWN, "lock_timeout", 0, 0, 0 },
    { "424 is in doubt", CFA_CALL_CREATE, 424, "", "\"type\":\"api_error\"", NULL,
      CFA_OUTCOME_UNKNOWN, "api_error", 0, 0, 0 },
    { "429 did nothing", CFA_CALL_CREATE, 429, "Retry-After: 7\r\n",
      "\"type\":\"invalid_request_error\",\"code\":\"rate_limit\"", NULL, CFA_OUTCOME_NOT_SENT,
      "rate_limit", 0, 1, 7000 },
    { "429 that is a stored answer is in doubt", CFA_CALL_CREATE, 429,
      "Idempotent-Replayed: true\r\n", INVALID "\"code\":\"lock_timeout\"", NULL,
      CFA_OUTCOME_UNKNOWN, "lock_timeout", 1, 1, 0 },
    { "429 of a gateway proves nothing", CFA_CALL_CREATE, 429, "", NULL, "<html>slow down</html>",
      CFA_OUTCOME_UNKNOWN, "unreadable_answer", 0, 1, 0 },
    { "500 is in doubt", CFA_CALL_CREATE, 500, "", "\"type\":\"api_error\"", NULL,
      CFA_OUTCOME_UNKNOWN, "api_error", 0, 1, 0 },
    { "500 not to be repeated is stored", CFA_CALL_CREATE, 500, "Stripe-Should-Retry: false\r\n",
      "\"type\":\"api_error\"", NULL, CFA_OUTCOME_UNKNOWN, "api_error", 1, 1, 0 },
    { "500 to be repeated is not stored", CFA_CALL_CREATE, 500, "Stripe-Should-Retry: true\r\n",
      "\"type\":\"api_error\"", NULL, CFA_OUTCOME_UNKNOWN, "api_error", 0, 1, 0 },
    { "a replayed 500 is stored", CFA_CALL_CAPTURE, 500, "Idempotent-Replayed: true\r\n",
      "\"type\":\"api_error\"", NULL, CFA_OUTCOME_UNKNOWN, "api_error", 1, 1, 0 },
    { "503 of a gateway is in doubt", CFA_CALL_CREATE, 503, "Retry-After: 30\r\n", NULL,
      "<html>503</html>", CFA_OUTCOME_UNKNOWN, "server_error", 0, 1, 30000 },
    { "500 says nothing about a read", CFA_CALL_RETRIEVE, 500, "", "\"type\":\"api_error\"", NULL,
      CFA_OUTCOME_UNKNOWN, "api_error", 0, 1, 0 },
    { "a redirect is not followed and proves nothing", CFA_CALL_CREATE, 302,
      "Location: http://127.0.0.1:9/\r\n", NULL, "", CFA_OUTCOME_UNKNOWN, "unexpected_redirect", 0,
      0, 0 },
    { "200 that is not JSON proves nothing", CFA_CALL_CREATE, 200, "", NULL, "{\"id\":\"pi_1\"",
      CFA_OUTCOME_UNKNOWN, "unreadable_answer", 0, 0, 0 },
    { "200 with another object proves nothing", CFA_CALL_CREATE, 200, "", NULL,
      "{\"id\":\"cus_1\",\"object\":\"customer\"}", CFA_OUTCOME_UNKNOWN, "unreadable_object", 0, 0,
      0 },
    { "400 that is not Stripe's proves nothing", CFA_CALL_CREATE, 400, "", NULL, "bad request",
      CFA_OUTCOME_UNKNOWN, "unreadable_answer", 0, 0, 0 },
    { "403 that is not Stripe's proves nothing", CFA_CALL_CREATE, 403, "", NULL,
      "<html>blocked</html>", CFA_OUTCOME_UNKNOWN, "unreadable_answer", 0, 0, 0 },
    { "a look-up takes no error for absence", CFA_CALL_LOOKUP, 404, "",
      INVALID "\"code\":\"resource_missing\"", NULL, CFA_OUTCOME_UNKNOWN, "resource_missing", 0, 0,
      0 },
    { "a look-up takes no refused key for absence", CFA_CALL_LOOKUP, 401, "",
      INVALID "\"code\":\"x\"", NULL, CFA_OUTCOME_UNKNOWN, "x", 0, 0, 0 },
    { "a look-up takes no rate limit for absence", CFA_CALL_LOOKUP, 429, "Retry-After: 1\r\n",
      INVALID "\"code\":\"rate_limit\"", NULL, CFA_OUTCOME_UNKNOWN, "rate_limit", 0, 1, 1000 },
    { "a look-up takes no unreadable page for absence", CFA_CALL_LOOKUP, 200, "", NULL,
      "{\"object\":\"list\",\"data\":[]}", CFA_OUTCOME_UNKNOWN, "unreadable_object", 0, 0, 0 },
};

#define ROW_COUNT ((int)(sizeof rows / sizeof rows[0]))

static void expect_row(const row *expected, const cfa_reply *reply) {
    ck_assert_msg(reply->outcome == expected->outcome, "%s: outcome %d", expected->name,
                  (int)reply->outcome);
    ck_assert_msg(reply->code != NULL && strcmp(reply->code, expected->code) == 0, "%s: code %s",
                  expected->name, reply->code != NULL ? reply->code : "NULL");
    ck_assert_msg(reply->stored == expected->stored, "%s: stored", expected->name);
    ck_assert_msg(reply->unavailable == expected->unavailable, "%s: unavailable", expected->name);
    ck_assert_msg(reply->retry_after_ms == expected->retry_after_ms, "%s: retry after",
                  expected->name);
}

START_TEST(an_answer_proves_what_its_row_says) {
    const row *expected = &rows[_i];
    const char *body = expected->error != NULL ? wire_error(expected->error) : expected->body;
    peer_push_json(peer, expected->status, expected->headers, body);
    cfa_reply reply = wire_perform(wire_call(expected->kind));
    expect_row(expected, &reply);
    peer_push_json(peer, expected->status, expected->headers, body);
    reply = wire_fly(wire_call(expected->kind));
    expect_row(expected, &reply);
    ck_assert_uint_eq(peer_count(peer), 2);
}
END_TEST

START_TEST(a_created_intent_is_done) {
    peer_push_json(peer, 200, "", wire_intent("\"status\":\"requires_payment_method\","));
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_CREATE));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    ck_assert_int_eq(reply.stored, 0);
    ck_assert_str_eq(reply.facts.ref, "pi_1");
    ck_assert_str_eq(reply.facts.payment_id, PAYMENT_ID);
    ck_assert_str_eq(reply.client_secret, "pi_1_secret_x");
    ck_assert_ptr_null(reply.redirect_url);
    ck_assert_int_eq(reply.facts.flags, 0);
}
END_TEST

START_TEST(a_replayed_answer_is_stored_and_looks_as_old_as_can_be) {
    peer_push_json(peer, 200, "Idempotent-Replayed: true\r\n",
                   wire_intent("\"status\":\"processing\","));
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_CREATE));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    ck_assert_int_eq(reply.stored, 1);
    ck_assert_int_eq(reply.facts.flags, CFA_FACT_PROCESSING);
    ck_assert_int_eq(reply.facts.occurred_us, 0);
}
END_TEST

START_TEST(a_declined_create_that_made_an_intent_is_done) {
    char members[600];
    snprintf(members, sizeof members,
             "\"type\":\"card_error\",\"code\":\"card_declined\","
             "\"decline_code\":\"insufficient_funds\",\"payment_intent\":%s",
             wire_intent("\"status\":\"requires_payment_method\",\"last_payment_error\":{\"code\":"
                         "\"card_declined\",\"decline_code\":\"insufficient_funds\"},"));
    peer_push_json(peer, 402, "", wire_error(members));
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_CREATE));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    ck_assert_int_eq(reply.facts.flags, CFA_FACT_FAILED);
    ck_assert_str_eq(reply.facts.failure_code, "insufficient_funds");
    ck_assert_str_eq(reply.code, "insufficient_funds");
}
END_TEST

START_TEST(a_declined_capture_is_refused_and_shows_the_intent) {
    char members[600];
    snprintf(members, sizeof members,
             "\"type\":\"card_error\",\"code\":\"expired_card\",\"payment_intent\":%s",
             wire_intent("\"status\":\"requires_payment_method\",\"last_payment_error\":{\"code\":"
                         "\"expired_card\"},"));
    peer_push_json(peer, 402, "", wire_error(members));
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_CAPTURE));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_REFUSED);
    ck_assert_str_eq(reply.code, "expired_card");
    ck_assert_int_eq(reply.facts.flags, CFA_FACT_FAILED);
}
END_TEST

START_TEST(a_capture_or_cancel_that_goes_on_is_pending) {
    peer_push_json(peer, 200, "", wire_intent("\"status\":\"processing\","));
    ck_assert_int_eq(wire_perform(wire_call(CFA_CALL_CAPTURE)).outcome, CFA_OUTCOME_PENDING);
    peer_push_json(peer, 200, "", wire_intent("\"status\":\"processing\","));
    ck_assert_int_eq(wire_perform(wire_call(CFA_CALL_CANCEL)).outcome, CFA_OUTCOME_PENDING);
    peer_push_json(peer, 200, "", wire_intent("\"status\":\"canceled\","));
    ck_assert_int_eq(wire_perform(wire_call(CFA_CALL_CANCEL)).outcome, CFA_OUTCOME_DONE);
    peer_push_json(peer, 200, "", wire_intent("\"status\":\"succeeded\",\"amount_received\":500,"));
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_CAPTURE));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    ck_assert_int_eq(reply.facts.captured_minor, 500);
    ck_assert_int_eq(reply.facts.authorized_minor, 1250);
}
END_TEST

/* ---- no answer ------------------------------------------------------------------------------- */

static void expect_lost(const cfa_reply *reply, int32_t outcome, const char *code,
                        int32_t unavailable) {
    ck_assert_int_eq(reply->outcome, outcome);
    ck_assert_str_eq(reply->code, code);
    ck_assert_int_eq(reply->unavailable, unavailable);
    ck_assert_ptr_null(reply->facts.ref);
}

static void use_url(const char *base_url) {
    cfa_stripe_options options = wire_options();
    options.base_url = base_url;
    wire_use(&options);
}

/* All ways of making a call, and the one kind of call for which NOT_SENT would be an answer. */
static void expect_never_sent(const char *code) {
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_CREATE));
    expect_lost(&reply, CFA_OUTCOME_NOT_SENT, code, 1);
    reply = wire_fly(wire_call(CFA_CALL_CREATE));
    expect_lost(&reply, CFA_OUTCOME_NOT_SENT, code, 1);
    reply = wire_perform(wire_call(CFA_CALL_RETRIEVE));
    expect_lost(&reply, CFA_OUTCOME_NOT_SENT, code, 1);
    reply = wire_perform(wire_call(CFA_CALL_LOOKUP));
    expect_lost(&reply, CFA_OUTCOME_UNKNOWN, code, 1);
}

START_TEST(a_name_that_does_not_resolve_was_never_sent_to) {
    char url[128];
    /* A label is at most 63 bytes long: the resolver refuses it without asking anybody. */
    snprintf(url, sizeof url, "https://%080d.invalid", 0);
    use_url(url);
    expect_never_sent("resolve_failed");
}
END_TEST

#define SLOW_NAME "slow.invalid"

static sem_t resolver_may_end;
static atomic_bool resolver_gave_up;

/* The resolver of this program: one name takes as long as the test wants. */
__attribute__((visibility("default"))) int getaddrinfo(const char *restrict name,
                                                       const char *restrict service,
                                                       const struct addrinfo *restrict hints,
                                                       struct addrinfo **restrict out) {
    typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    static resolver *next;
    if (name != NULL && strcmp(name, SLOW_NAME) == 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += PATIENCE_MS / 1000;
        if (sem_timedwait(&resolver_may_end, &until) != 0)
            resolver_gave_up = true;
        return EAI_AGAIN;
    }
    if (next == NULL) {
        void *found = dlsym(RTLD_NEXT, "getaddrinfo");
        memcpy(&next, &found, sizeof next);
    }
    return next(name, service, hints, out);
}

START_TEST(a_resolver_that_hangs_does_not_hold_the_call) {
    ck_assert_int_eq(sem_init(&resolver_may_end, 0, 0), 0);
    use_url("https://" SLOW_NAME);
    cfa_call call = wire_call(CFA_CALL_CREATE);
    call.timeout_ms = 100;
    for (int flying = 0; flying < 2; flying++) {
        cfa_reply reply = flying ? wire_fly(call) : wire_perform(call);
        expect_lost(&reply, CFA_OUTCOME_NOT_SENT, "timeout", 1);
    }
    ck_assert(!resolver_gave_up); /* the calls were back before it */
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(sem_post(&resolver_may_end), 0);
    }
}
END_TEST

START_TEST(a_refused_connection_was_never_sent_to) {
    peer_refuse(peer);
    expect_never_sent("connect_failed");
}
END_TEST

START_TEST(a_broken_tls_handshake_was_never_sent_to) {
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%d", peer_port(peer));
    use_url(url);
    peer_reset_connections(peer);
    expect_never_sent("tls_failed");
}
END_TEST

START_TEST(a_handshake_that_takes_too_long_was_never_sent_to) {
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%d", peer_port(peer));
    cfa_stripe_options options = wire_options();
    options.base_url = url;
    options.connect_timeout_ms = 100;
    wire_use(&options);
    expect_never_sent("timeout");
}
END_TEST

static void expect_unknown(const char *code, int32_t unavailable) {
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_CREATE));
    expect_lost(&reply, CFA_OUTCOME_UNKNOWN, code, unavailable);
    reply = wire_fly(wire_call(CFA_CALL_CREATE));
    expect_lost(&reply, CFA_OUTCOME_UNKNOWN, code, unavailable);
}

START_TEST(a_connection_reset_before_the_request_was_read_is_in_doubt) {
    peer_reset_connections(peer);
    expect_unknown("connection_lost", 1);
}
END_TEST

START_TEST(a_connection_reset_after_the_request_is_in_doubt) {
    peer_always(peer, PEER_RESET, NULL);
    expect_unknown("connection_lost", 1);
}
END_TEST

START_TEST(a_connection_closed_without_a_word_is_in_doubt) {
    peer_always(peer, PEER_CLOSE, NULL);
    expect_unknown("connection_lost", 1);
}
END_TEST

START_TEST(a_connection_closed_within_the_headers_is_in_doubt) {
    peer_always(peer, PEER_ANSWER_AND_CLOSE, "HTTP/1.1 200 OK\r\nContent-Le");
    /* What there is of an answer has neither an end nor a body. */
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_CREATE));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_UNKNOWN);
}
END_TEST

START_TEST(a_truncated_body_is_in_doubt) {
    peer_always(peer, PEER_ANSWER_AND_CLOSE,
                "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"id\":\"pi_1\",");
    expect_unknown("connection_lost", 1);
}
END_TEST

START_TEST(a_body_that_ends_with_the_connection_too_early_is_in_doubt) {
    peer_always(peer, PEER_ANSWER_AND_CLOSE,
                "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"id\":\"pi_1\",");
    expect_unknown("unreadable_answer", 0);
}
END_TEST

/* A call of so little time that it ends within the answer; of more, where the machine is so busy
 * that it ended before the peer had read the request. */
static void expect_time_out(bool flying) {
    cfa_call call = wire_call(CFA_CALL_CREATE);
    bool was_read = false;
    for (call.timeout_ms = 100; !was_read; call.timeout_ms *= 4) {
        char key[32];
        ck_assert_int_lt(call.timeout_ms, PATIENCE_MS);
        snprintf(key, sizeof key, "within-%d-%d", flying, (int)call.timeout_ms);
        call.idempotency_key = key;
        cfa_reply reply = flying ? wire_fly(call) : wire_perform(call);
        for (size_t i = peer_count(peer); i > 0 && !was_read; i--) {
            was_read = strstr(peer_request(peer, i - 1), key) != NULL;
        }
        bool was_sent = was_read || reply.outcome != CFA_OUTCOME_NOT_SENT;
        expect_lost(&reply, was_sent ? CFA_OUTCOME_UNKNOWN : CFA_OUTCOME_NOT_SENT, "timeout", 1);
    }
}

START_TEST(silence_is_in_doubt_when_its_time_is_over) {
    peer_always(peer, PEER_SILENCE, NULL);
    expect_time_out(false);
    expect_time_out(true);
}
END_TEST

START_TEST(a_slow_drip_ends_with_the_calls_time) {
    char members[16000]; /* more than five minutes of them */
    snprintf(members, sizeof members, "\"status\":\"succeeded\",%15000s", "");
    char *answer = peer_format(200, "", wire_intent(members));
    peer_always(peer, PEER_DRIP, answer);
    free(answer);
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    expect_time_out(false);
    clock_gettime(CLOCK_MONOTONIC, &end);
    ck_assert_int_lt(end.tv_sec - begin.tv_sec, PATIENCE_MS / 1000);
}
END_TEST

START_TEST(an_oversized_body_is_not_read_to_its_end) {
    cfa_stripe_options options = wire_options();
    options.response_limit_bytes = 1000;
    wire_use(&options);
    char *body = malloc(5001);
    ck_assert_ptr_nonnull(body);
    memset(body, ' ', 5000);
    body[5000] = '\0';
    char *answer = peer_format(200, "", body);
    peer_always(peer, PEER_ANSWER, answer);
    free(answer);
    free(body);
    expect_unknown("response_too_large", 0);
}
END_TEST

START_TEST(oversized_headers_are_not_read_to_their_end) {
    size_t size = 0, capacity = 200000;
    char *answer = malloc(capacity);
    ck_assert_ptr_nonnull(answer);
    size += (size_t)snprintf(answer, capacity, "HTTP/1.1 200 OK\r\n");
    while (size < 150000) {
        size += (size_t)snprintf(answer + size, capacity - size, "X-Filler: %0500d\r\n", 0);
    }
    snprintf(answer + size, capacity - size, "Content-Length: 2\r\n\r\n{}");
    peer_always(peer, PEER_ANSWER, answer);
    free(answer);
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_CREATE));
    expect_lost(&reply, CFA_OUTCOME_UNKNOWN, "response_too_large", 0);
}
END_TEST

/* libcurl makes a request again when a kept connection turns out to be dead: then a failure to
 * connect anew does not mean that nothing was sent. */
START_TEST(a_request_lost_on_a_kept_connection_is_in_doubt_even_if_the_next_is_refused) {
    peer_push_json(peer, 200, "", wire_intent("\"status\":\"requires_payment_method\","));
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_CREATE));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    peer_refuse(peer);
    reply = wire_perform(wire_call(CFA_CALL_CREATE));
    expect_lost(&reply, CFA_OUTCOME_UNKNOWN, "connect_failed", 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stripe_outcome");
    TCase *answers = tcase_create("answers");
    tcase_add_checked_fixture(answers, wire_set_up, wire_tear_down);
    tcase_add_loop_test(answers, an_answer_proves_what_its_row_says, 0, ROW_COUNT);
    tcase_add_test(answers, a_created_intent_is_done);
    tcase_add_test(answers, a_replayed_answer_is_stored_and_looks_as_old_as_can_be);
    tcase_add_test(answers, a_declined_create_that_made_an_intent_is_done);
    tcase_add_test(answers, a_declined_capture_is_refused_and_shows_the_intent);
    tcase_add_test(answers, a_capture_or_cancel_that_goes_on_is_pending);
    suite_add_tcase(suite, answers);
    TCase *losses = tcase_create("losses");
    tcase_add_checked_fixture(losses, wire_set_up, wire_tear_down);
    tcase_add_test(losses, a_name_that_does_not_resolve_was_never_sent_to);
    tcase_add_test(losses, a_resolver_that_hangs_does_not_hold_the_call);
    tcase_add_test(losses, a_refused_connection_was_never_sent_to);
    tcase_add_test(losses, a_broken_tls_handshake_was_never_sent_to);
    tcase_add_test(losses, a_handshake_that_takes_too_long_was_never_sent_to);
    tcase_add_test(losses, a_connection_reset_before_the_request_was_read_is_in_doubt);
    tcase_add_test(losses, a_connection_reset_after_the_request_is_in_doubt);
    tcase_add_test(losses, a_connection_closed_without_a_word_is_in_doubt);
    tcase_add_test(losses, a_connection_closed_within_the_headers_is_in_doubt);
    tcase_add_test(losses, a_truncated_body_is_in_doubt);
    tcase_add_test(losses, a_body_that_ends_with_the_connection_too_early_is_in_doubt);
    tcase_add_test(losses, silence_is_in_doubt_when_its_time_is_over);
    tcase_add_test(losses, a_slow_drip_ends_with_the_calls_time);
    tcase_add_test(losses, an_oversized_body_is_not_read_to_its_end);
    tcase_add_test(losses, oversized_headers_are_not_read_to_their_end);
    tcase_add_test(losses,
                   a_request_lost_on_a_kept_connection_is_in_doubt_even_if_the_next_is_refused);
    suite_add_tcase(suite, losses);
    return wire_run(suite);
}
