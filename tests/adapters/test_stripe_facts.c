/*
 * test_stripe_facts.c - Stripe's objects as facts, and look-ups through pages of them.
 */
#include "stripe_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The facts of a read whose answer is this object. */
static cfa_reply read_object(const char *object) {
    peer_push_json(peer, 200, "", object);
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_RETRIEVE));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    ck_assert_str_eq(reply.facts.payment_id, PAYMENT_ID);
    return reply;
}

static void expect_text(const char *text, const char *expected) {
    if (expected == NULL) {
        ck_assert_ptr_null(text);
    } else {
        ck_assert_str_eq(text, expected);
    }
}

/* libcurl asks once more when a kept connection turns out to be dead. */
static void lose_request(void) {
    peer_push(peer, PEER_RESET, NULL);
    peer_push(peer, PEER_RESET, NULL);
}

/* ---- intents --------------------------------------------------------------------------------- */

static const struct intent_row {
    const char *members;
    uint32_t flags;
    int64_t authorized, captured, occurred_us;
    const char *failure_code, *cancel_reason;
} intents[] = {
    { "\"status\":\"requires_payment_method\",", 0, 0, 0, DATE_US, NULL, NULL },
    { "\"status\":\"requires_confirmation\",", 0, 0, 0, DATE_US, NULL, NULL },
    { "\"status\":\"a_status_of_tomorrow\",", 0, 0, 0, DATE_US, NULL, NULL },
    { "\"status\":\"requires_action\",", CFA_FACT_NEEDS_ACTION, 0, 0, DATE_US, NULL, NULL },
    { "\"status\":\"processing\",", CFA_FACT_PROCESSING, 0, 0, DATE_US, NULL, NULL },
    { "\"status\":\"requires_capture\",\"amount_capturable\":1250,\"amount_received\":0,", 0, 1250,
      0, DATE_US, NULL, NULL },
    { "\"status\":\"succeeded\",\"amount_capturable\":0,\"amount_received\":1250,",
      CFA_FACT_SUCCEEDED, 1250, 1250, DATE_US, NULL, NULL },
    { "\"status\":\"succeeded\",\"amount_received\":500,", CFA_FACT_SUCCEEDED, 1250, 500, DATE_US,
      NULL, NULL },
    { "\"status\":\"requires_payment_method\",\"last_payment_error\":{\"code\":\"card_declined\","
      "\"decline_code\":\"generic_decline\"},",
      CFA_FACT_FAILED, 0, 0, DATE_US, "card_declined", NULL },
    { "\"status\":\"requires_payment_method\",\"last_payment_error\":{\"code\":\"card_declined\","
      "\"decline_code\":\"insufficient_funds\"},",
      CFA_FACT_FAILED, 0, 0, DATE_US, "insufficient_funds", NULL },
    { "\"status\":\"requires_payment_method\",\"last_payment_error\":{\"code\":"
      "\"payment_intent_authentication_failure\"},",
      CFA_FACT_FAILED, 0, 0, DATE_US, "payment_intent_authentication_failure", NULL },
    { "\"status\":\"requires_payment_method\",\"last_payment_error\":{},", CFA_FACT_FAILED, 0, 0,
      DATE_US, "payment_failed", NULL },
    /* An error of an earlier try does not speak about the one that goes on. */
    { "\"status\":\"processing\",\"last_payment_error\":{\"code\":\"card_declined\"},",
      CFA_FACT_PROCESSING, 0, 0, DATE_US, NULL, NULL },
    { "\"status\":\"canceled\",\"cancellation_reason\":\"requested_by_customer\","
      "\"canceled_at\":1795341500,",
      CFA_FACT_CANCELED, 0, 0, INT64_C(1795341500000000), NULL, "requested_by_customer" },
    { "\"status\":\"canceled\",\"cancellation_reason\":\"duplicate\",", CFA_FACT_CANCELED, 0, 0,
      DATE_US, NULL, "duplicate" },
    { "\"status\":\"canceled\",\"cancellation_reason\":null,", CFA_FACT_CANCELED, 0, 0, DATE_US,
      NULL, NULL },
    { "\"status\":\"canceled\",\"cancellation_reason\":\"automatic\",", CFA_FACT_EXPIRED, 0, 0,
      DATE_US, NULL, "automatic" },
    { "\"status\":\"canceled\",\"cancellation_reason\":\"expired\",", CFA_FACT_EXPIRED, 0, 0,
      DATE_US, NULL, "expired" },
    { "\"status\":\"canceled\",\"cancellation_reason\":\"abandoned\",", CFA_FACT_EXPIRED, 0, 0,
      DATE_US, NULL, "abandoned" },
};

START_TEST(an_intents_status_becomes_facts) {
    const struct intent_row *row = &intents[_i];
    cfa_reply reply = read_object(wire_intent(row->members));
    ck_assert_str_eq(reply.facts.ref, "pi_1");
    ck_assert_ptr_null(reply.facts.origin_ref);
    ck_assert_uint_eq(reply.facts.flags, row->flags);
    ck_assert_int_eq(reply.facts.amount.minor, 1250);
    ck_assert_str_eq(reply.facts.amount.currency, "EUR");
    ck_assert_int_eq(reply.facts.authorized_minor, row->authorized);
    ck_assert_int_eq(reply.facts.captured_minor, row->captured);
    ck_assert_int_eq(reply.facts.occurred_us, row->occurred_us);
    ck_assert_int_eq(reply.facts.attempt, 0);
    expect_text(reply.facts.failure_code, row->failure_code);
    expect_text(reply.facts.cancel_reason, row->cancel_reason);
    ck_assert_str_eq(reply.client_secret, "pi_1_secret_x");
}
END_TEST

START_TEST(an_intent_that_cannot_be_read_says_nothing) {
    static const char *const broken[] = {
        "{\"object\":\"payment_intent\",\"amount\":1,\"currency\":\"eur\",\"status\":\"x\"}",
        "{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"currency\":\"eur\",\"status\":\"x\"}",
        "{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"amount\":1,\"status\":\"x\"}",
        "{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"amount\":1,\"currency\":\"eur\"}",
        "{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"amount\":1.5,\"currency\":\"eur\","
        "\"status\":\"succeeded\"}",
        "{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"amount\":-1,\"currency\":\"eur\","
        "\"status\":\"succeeded\"}",
        "{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"amount\":150,\"currency\":\"isk\","
        "\"status\":\"succeeded\"}",
        "{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"amount\":1,\"currency\":\"eur\","
        "\"status\":\"succeeded\",\"amount_received\":\"1\"}",
        "[]",
        "null",
        "{\"id\":\"pi_1\",\"id\":\"pi_2\"}",
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        peer_push_json(peer, 200, "", broken[i]);
        cfa_reply reply = wire_perform(wire_call(CFA_CALL_RETRIEVE));
        ck_assert_msg(reply.outcome == CFA_OUTCOME_UNKNOWN, "%s", broken[i]);
        ck_assert_ptr_null(reply.facts.ref);
    }
}
END_TEST

/* ---- hosted pages ---------------------------------------------------------------------------- */

START_TEST(an_open_page_is_its_own_ref_and_brings_its_address) {
    wire_use_mode(CFA_STRIPE_CHECKOUT);
    peer_push_json(peer, 200, "",
                   wire_session("\"status\":\"open\",\"payment_status\":\"unpaid\","
                                "\"payment_intent\":null,\"url\":\"https://checkout.test/x\","));
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_CREATE));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    ck_assert_str_eq(reply.facts.ref, "cs_1");
    ck_assert_ptr_null(reply.facts.origin_ref);
    ck_assert_str_eq(reply.redirect_url, "https://checkout.test/x");
    ck_assert_ptr_null(reply.client_secret);
    ck_assert_int_eq(reply.facts.flags, 0);
    ck_assert_int_eq(reply.facts.amount.minor, 1250);
}
END_TEST

/* A page around an intent. */
static const char *page(const char *members, const char *intent) {
    static char text[1024];
    snprintf(text, sizeof text, "%s\"payment_intent\":%s,", members, intent);
    return wire_session(text);
}

START_TEST(a_page_with_an_intent_has_the_intents_facts) {
    cfa_reply reply =
        read_object(page("\"status\":\"complete\",\"payment_status\":\"paid\",",
                         wire_intent("\"status\":\"succeeded\",\"amount_received\":1250,")));
    ck_assert_str_eq(reply.facts.ref, "pi_1");
    ck_assert_str_eq(reply.facts.origin_ref, "cs_1");
    ck_assert_int_eq(reply.facts.flags, CFA_FACT_SUCCEEDED);
    ck_assert_int_eq(reply.facts.captured_minor, 1250);
    reply = read_object(page("\"status\":\"complete\",\"payment_status\":\"unpaid\",",
                             wire_intent("\"status\":\"requires_capture\","
                                         "\"amount_capturable\":1250,")));
    ck_assert_int_eq(reply.facts.authorized_minor, 1250);
    ck_assert_int_eq(reply.facts.flags, 0);
}
END_TEST

START_TEST(a_page_that_ran_out_unpaid_is_expired) {
    cfa_reply reply = read_object(wire_session(
        "\"status\":\"expired\",\"payment_status\":\"unpaid\",\"payment_intent\":null,"));
    ck_assert_int_eq(reply.facts.flags, CFA_FACT_EXPIRED);
    ck_assert_str_eq(reply.facts.ref, "cs_1");
    reply = read_object(page("\"status\":\"expired\",\"payment_status\":\"unpaid\",",
                             wire_intent("\"status\":\"requires_payment_method\","
                                         "\"last_payment_error\":{\"code\":\"card_declined\"},")));
    ck_assert_int_eq(reply.facts.flags, CFA_FACT_EXPIRED);
    ck_assert_str_eq(reply.facts.ref, "pi_1");
    /* Money is stronger than a page. */
    reply = read_object(page("\"status\":\"expired\",\"payment_status\":\"unpaid\",",
                             wire_intent("\"status\":\"processing\",")));
    ck_assert_int_eq(reply.facts.flags, CFA_FACT_PROCESSING);
}
END_TEST

START_TEST(closing_a_page_cancels_the_payment) {
    cfa_call call = wire_call(CFA_CALL_CANCEL);
    call.ref = "cs_1";
    peer_push_json(peer, 200, "",
                   wire_session("\"status\":\"expired\",\"payment_status\":\"unpaid\","
                                "\"payment_intent\":null,"));
    cfa_reply reply = wire_perform(call);
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    ck_assert_int_eq(reply.facts.flags, CFA_FACT_EXPIRED);
}
END_TEST

#define UNEXPECTED "\"type\":\"invalid_request_error\",\"code\":\"payment_intent_unexpected_state\""

START_TEST(an_intent_of_an_open_page_is_called_off_by_closing_the_page) {
    wire_use_mode(CFA_STRIPE_CHECKOUT);
    for (int flying = 0; flying < 2; flying++) {
        size_t first = peer_count(peer);
        peer_push_json(peer, 400, "", wire_error(UNEXPECTED));
        peer_push_json(peer, 200, "",
                       "{\"object\":\"list\",\"has_more\":false,\"data\":[{\"id\":\"cs_1\","
                       "\"object\":\"checkout.session\",\"status\":\"open\"}]}");
        peer_push_json(peer, 200, "",
                       wire_session("\"status\":\"expired\",\"payment_status\":\"unpaid\","
                                    "\"payment_intent\":\"pi_1\","));
        cfa_reply reply = flying ? wire_fly(wire_call(CFA_CALL_CANCEL))
                                 : wire_perform(wire_call(CFA_CALL_CANCEL));
        ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
        ck_assert_int_eq(reply.facts.flags, CFA_FACT_EXPIRED);
        ck_assert_str_eq(reply.facts.ref, "pi_1");
        ck_assert_str_eq(reply.facts.origin_ref, "cs_1");
        ck_assert_ptr_nonnull(strstr(peer_request(peer, first + 1),
                                     "GET /v1/checkout/sessions?limit=1&payment_intent=pi_1 "));
        ck_assert_ptr_nonnull(strstr(peer_request(peer, first + 2), "/cs_1/expire "));
        ck_assert_ptr_nonnull(
            strstr(peer_request(peer, first + 2), "Idempotency-Key: " KEY "_page\r\n"));
    }
}
END_TEST

START_TEST(a_refused_cancel_without_an_open_page_stays_refused) {
    wire_use_mode(CFA_STRIPE_CHECKOUT);
    peer_push_json(peer, 400, "", wire_error(UNEXPECTED));
    peer_push_json(peer, 200, "", "{\"object\":\"list\",\"has_more\":false,\"data\":[]}");
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_CANCEL));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_REFUSED);
    peer_push_json(peer, 400, "", wire_error(UNEXPECTED));
    lose_request();
    reply = wire_perform(wire_call(CFA_CALL_CANCEL));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_REFUSED);
    /* Closing the page is a request of its own: what became of it is in doubt. */
    peer_push_json(peer, 400, "", wire_error(UNEXPECTED));
    peer_push_json(peer, 200, "",
                   "{\"object\":\"list\",\"has_more\":false,\"data\":[{\"id\":\"cs_1\","
                   "\"object\":\"checkout.session\",\"status\":\"open\"}]}");
    lose_request();
    reply = wire_perform(wire_call(CFA_CALL_CANCEL));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_UNKNOWN);
}
END_TEST

/* ---- look-ups -------------------------------------------------------------------------------- */

static void push_page(const char *objects, bool more) {
    static char text[8192];
    snprintf(text, sizeof text, "{\"object\":\"list\",\"data\":[%s],\"has_more\":%s}", objects,
             more ? "true" : "false");
    peer_push_json(peer, 200, "", text);
}

#define STRANGER(id)                                                                               \
    "{\"id\":\"" id "\",\"object\":\"payment_intent\",\"amount\":1,\"currency\":\"usd\","          \
    "\"status\":\"succeeded\",\"metadata\":{}}"

/* What is no list says nothing, least of all that there is nothing: a new key would charge again. */
START_TEST(a_lookup_that_is_answered_by_no_list_proves_nothing) {
    static const char *const answers[] = {
        "{\"object\":\"list\",\"data\":{},\"has_more\":false}",
        "{\"object\":\"list\",\"data\":\"\",\"has_more\":false}",
        "{\"object\":\"list\",\"has_more\":false}",
        "{\"object\":\"list\",\"data\":[]}",
        "{\"object\":\"search_result\",\"data\":[],\"has_more\":false}",
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        peer_push_json(peer, 200, "", answers[i]);
        cfa_reply reply = wire_perform(wire_call(CFA_CALL_LOOKUP));
        ck_assert_int_eq(reply.outcome, CFA_OUTCOME_UNKNOWN);
    }
}
END_TEST

START_TEST(a_lookup_turns_pages_until_it_finds_the_payment) {
    for (int flying = 0; flying < 2; flying++) {
        size_t first = peer_count(peer);
        push_page(STRANGER("pi_8") "," STRANGER("pi_9"), true);
        push_page(wire_intent("\"status\":\"processing\","), true);
        cfa_reply reply = flying ? wire_fly(wire_call(CFA_CALL_LOOKUP))
                                 : wire_perform(wire_call(CFA_CALL_LOOKUP));
        ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
        ck_assert_str_eq(reply.facts.ref, "pi_1");
        ck_assert_str_eq(reply.client_secret, "pi_1_secret_x");
        ck_assert_uint_eq(peer_count(peer), first + 2);
        ck_assert_ptr_nonnull(strstr(peer_request(peer, first),
                                     "GET /v1/payment_intents?limit=100&created[gte]=1795341000"
                                     "&created[lte]=1795341600 HTTP"));
        ck_assert_ptr_nonnull(strstr(peer_request(peer, first + 1), "&starting_after=pi_9 HTTP"));
    }
}
END_TEST

START_TEST(a_lookup_that_saw_every_page_proves_absence) {
    push_page(STRANGER("pi_9"), true);
    push_page("", false);
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_LOOKUP));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_NOT_SENT);
    ck_assert_ptr_null(reply.facts.ref);
    ck_assert_ptr_null(reply.code);
}
END_TEST

START_TEST(a_lookup_in_the_hosted_mode_asks_for_pages_and_intents) {
    wire_use_mode(CFA_STRIPE_CHECKOUT);
    push_page("", false);
    push_page("", false);
    ck_assert_int_eq(wire_perform(wire_call(CFA_CALL_LOOKUP)).outcome, CFA_OUTCOME_NOT_SENT);
    ck_assert_ptr_nonnull(strstr(peer_request(peer, 0), "GET /v1/checkout/sessions?limit=100&"));
    ck_assert_ptr_nonnull(strstr(peer_request(peer, 1), "GET /v1/payment_intents?limit=100&"));
    push_page(
        page("\"status\":\"open\",\"payment_status\":\"unpaid\",\"url\":\"https://c.test/1\",",
             "null"),
        false);
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_LOOKUP));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    ck_assert_str_eq(reply.facts.ref, "cs_1");
    ck_assert_str_eq(reply.redirect_url, "https://c.test/1");
}
END_TEST

START_TEST(a_lookup_that_lost_a_page_proves_nothing) {
    push_page(STRANGER("pi_9"), true);
    peer_always(peer, PEER_RESET, NULL);
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_LOOKUP));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_UNKNOWN);
    push_page(STRANGER("pi_9"), true);
    char *answer = peer_format(500, "", wire_error("\"type\":\"api_error\""));
    peer_always(peer, PEER_ANSWER, answer);
    free(answer);
    reply = wire_perform(wire_call(CFA_CALL_LOOKUP));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_UNKNOWN);
    ck_assert_int_eq(reply.unavailable, 1);
    /* Pages said to go on without saying where. */
    push_page("", true);
    reply = wire_perform(wire_call(CFA_CALL_LOOKUP));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_UNKNOWN);
    /* An object of this payment that cannot be read. */
    push_page("{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"metadata\":{\"payment_id\":"
              "\"" PAYMENT_ID "\"}}",
              false);
    reply = wire_perform(wire_call(CFA_CALL_LOOKUP));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_UNKNOWN);
}
END_TEST

START_TEST(a_lookup_without_an_end_gives_up_in_doubt) {
    char *answer = peer_format(
        200, "", "{\"object\":\"list\",\"data\":[" STRANGER("pi_9") "],\"has_more\":true}");
    peer_always(peer, PEER_ANSWER, answer);
    free(answer);
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_LOOKUP));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_UNKNOWN);
    ck_assert_str_eq(reply.code, "too_many_pages");
    ck_assert_uint_eq(peer_count(peer), CFA_STRIPE_LOOKUP_PAGES_MAX);
}
END_TEST

START_TEST(of_several_objects_the_one_with_money_is_found) {
    static char objects[2048];
    const char *open = wire_intent("\"status\":\"requires_payment_method\",");
    const char *paid = wire_intent("\"status\":\"succeeded\",\"amount_received\":1250,");
    snprintf(objects, sizeof objects, "%s,%s,%s", open, paid, open);
    push_page(objects, false);
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_LOOKUP));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    ck_assert_int_eq(reply.facts.captured_minor, 1250);
}
END_TEST

START_TEST(a_lookups_pages_share_its_time) {
    char *answer = peer_format(
        200, "", "{\"object\":\"list\",\"data\":[" STRANGER("pi_9") "],\"has_more\":true}");
    cfa_call call = wire_call(CFA_CALL_LOOKUP);
    size_t pages = 0; /* one, where the machine is so busy that the time was over before */
    for (call.timeout_ms = 200; pages < 2; call.timeout_ms *= 4) {
        ck_assert_int_lt(call.timeout_ms, PATIENCE_MS);
        wire_tear_down();
        wire_set_up();
        peer_push(peer, PEER_ANSWER, answer);
        cfa_reply reply = wire_perform(call); /* the second page never comes */
        ck_assert_int_eq(reply.outcome, CFA_OUTCOME_UNKNOWN);
        ck_assert_str_eq(reply.code, "timeout");
        pages = peer_count(peer);
        ck_assert_uint_le(pages, 2);
    }
    free(answer);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stripe_facts");
    TCase *all = tcase_create("facts");
    tcase_add_checked_fixture(all, wire_set_up, wire_tear_down);
    tcase_add_loop_test(all, an_intents_status_becomes_facts, 0,
                        (int)(sizeof intents / sizeof intents[0]));
    tcase_add_test(all, an_intent_that_cannot_be_read_says_nothing);
    tcase_add_test(all, an_open_page_is_its_own_ref_and_brings_its_address);
    tcase_add_test(all, a_page_with_an_intent_has_the_intents_facts);
    tcase_add_test(all, a_page_that_ran_out_unpaid_is_expired);
    tcase_add_test(all, closing_a_page_cancels_the_payment);
    tcase_add_test(all, an_intent_of_an_open_page_is_called_off_by_closing_the_page);
    tcase_add_test(all, a_refused_cancel_without_an_open_page_stays_refused);
    tcase_add_test(all, a_lookup_that_is_answered_by_no_list_proves_nothing);
    tcase_add_test(all, a_lookup_turns_pages_until_it_finds_the_payment);
    tcase_add_test(all, a_lookup_that_saw_every_page_proves_absence);
    tcase_add_test(all, a_lookup_in_the_hosted_mode_asks_for_pages_and_intents);
    tcase_add_test(all, a_lookup_that_lost_a_page_proves_nothing);
    tcase_add_test(all, a_lookup_without_an_end_gives_up_in_doubt);
    tcase_add_test(all, of_several_objects_the_one_with_money_is_found);
    tcase_add_test(all, a_lookups_pages_share_its_time);
    suite_add_tcase(suite, all);
    return wire_run(suite);
}
