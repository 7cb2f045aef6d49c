/*
 * test_stripe_retrieve.c - the read of a payment names all its refunds and disputes, in as many
 * requests as that takes, or says that it does not know.
 */
#include "stripe_wire.h"

#include <careforall/dispute.h>
#include <careforall/refund.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FIVE "\"amount\":500,\"currency\":\"eur\","
#define ROW(amount, fee, currency)                                                                 \
    "{\"id\":\"txn_1\",\"object\":\"balance_transaction\",\"amount\":" amount ",\"fee\":" fee      \
    ",\"currency\":\"" currency "\",\"type\":\"adjustment\"}"

#define PAID "\"status\":\"succeeded\",\"amount_received\":1250,"
#define LIST(items, more) "{\"object\":\"list\",\"data\":[" items "],\"has_more\":" more "}"
#define A_REFUND(id, status)                                                                       \
    "{\"id\":\"" id "\",\"object\":\"refund\"," FIVE "\"balance_transaction\":\"txn_1\","          \
    "\"payment_intent\":\"pi_1\",\"status\":\"" status "\"}"
#define A_DISPUTE(id, status)                                                                      \
    "{\"id\":\"" id "\",\"object\":\"dispute\",\"amount\":1250,\"currency\":\"eur\","              \
    "\"balance_transactions\":[" ROW("-1250", "1500", "eur") "],\"payment_intent\":\"pi_1\","      \
                                                             "\"status\":\"" status "\"}"

/* A paid intent with its charge as the expansions bring it. */
static const char *paid_with(const char *charge_members) {
    return wire_intent(wire_object(PAID "\"latest_charge\":{\"id\":\"ch_1\",\"object\":\"charge\","
                                        "%s\"payment_intent\":\"pi_1\"},",
                                   charge_members));
}

/* The read of these answers, blocking and in flight. */
static cfa_reply read_answers(const char *const *answers, size_t count, bool flying) {
    size_t first = peer_count(peer);
    for (size_t i = 0; i < count; i++) {
        peer_push_json(peer, 200, "", answers[i]);
    }
    cfa_reply reply = flying ? wire_fly(wire_call(CFA_CALL_RETRIEVE))
                             : wire_perform(wire_call(CFA_CALL_RETRIEVE));
    ck_assert_uint_eq(peer_count(peer), first + count);
    return reply;
}

static void expect_not_read(const char *const *answers, size_t count, const char *code) {
    for (int flying = 0; flying < 2; flying++) {
        cfa_reply reply = read_answers(answers, count, flying);
        ck_assert_msg(reply.outcome == CFA_OUTCOME_UNKNOWN, "%s", answers[count - 1]);
        ck_assert_str_eq(reply.code, code);
        ck_assert_ptr_null(reply.facts.ref);
        ck_assert_int_eq(reply.facts.refund_count, 0);
        ck_assert_ptr_null(reply.client_secret);
    }
}

START_TEST(a_read_promises_to_name_all_reversals) {
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    ck_assert((provider->ops->capabilities & CFA_PROVIDER_READS_REVERSALS) != 0);
}
END_TEST

START_TEST(a_read_brings_refunds_and_fee_in_one_request) {
    const char *answer = paid_with("\"disputed\":false,\"balance_transaction\":" ROW(
        "1250", "66",
        "eur") ","
               "\"refunds\":" LIST(A_REFUND("re_3", "pending") "," A_REFUND(
                                       "re_2", "failed") "," A_REFUND("re_1", "succeeded"),
                                   "false") ",");
    for (int flying = 0; flying < 2; flying++) {
        cfa_reply reply = read_answers(&answer, 1, flying);
        ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
        ck_assert_uint_eq(reply.facts.flags, CFA_FACT_SUCCEEDED);
        ck_assert_int_eq(reply.facts.captured_minor, 1250);
        ck_assert_int_eq(reply.facts.fee.minor, 66);
        ck_assert_str_eq(reply.facts.fee.currency, "EUR");
        ck_assert_int_eq(reply.facts.refund_count, 3);
        ck_assert_int_eq(reply.facts.dispute_count, 0);
        ck_assert_str_eq(reply.facts.refunds[1]->ref, "re_2");
        ck_assert_int_eq(reply.facts.refunds[1]->state, CFA_REFUND_FAILED);
        ck_assert_int_eq(reply.facts.refunds[0]->state, CFA_REFUND_PENDING);
        ck_assert_int_eq(reply.facts.refunds[2]->occurred_us, DATE_US);
    }
}
END_TEST

START_TEST(what_was_not_paid_has_nothing_to_list) {
    static const char *const members[] = {
        "\"status\":\"requires_payment_method\",\"latest_charge\":null,",
        "\"status\":\"processing\",",
    };
    for (size_t i = 0; i < COUNT(members); i++) {
        const char *answer = wire_intent(members[i]);
        ck_assert_int_eq(read_answers(&answer, 1, false).outcome, CFA_OUTCOME_DONE);
    }
}
END_TEST

START_TEST(refunds_that_the_charge_does_not_bring_are_listed) {
    static const char *const charges[] = {
        "\"disputed\":false,",
        "\"disputed\":false,\"refunds\":null,",
        "\"disputed\":false,\"refunds\":" LIST(A_REFUND("re_2", "succeeded"), "true") ",",
        /* A status of tomorrow may have become one of today. */
        "\"disputed\":false,\"refunds\":" LIST(A_REFUND("re_2", "x"), "false") ",",
    };
    for (size_t i = 0; i < 2 * COUNT(charges); i++) {
        const char *answers[] = {
            paid_with(charges[i / 2]),
            LIST(A_REFUND("re_2", "succeeded") "," A_REFUND("re_1", "succeeded"), "false"),
        };
        size_t first = peer_count(peer);
        cfa_reply reply = read_answers(answers, 2, i % 2 != 0);
        ck_assert_ptr_nonnull(strstr(peer_request(peer, first + 1),
                                     "GET /v1/refunds?limit=100&payment_intent=pi_1 HTTP"));
        ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
        ck_assert_int_eq(reply.facts.captured_minor, 1250);
        ck_assert_int_eq(reply.facts.refund_count, 2);
        ck_assert_str_eq(reply.client_secret, "pi_1_secret_x");
    }
}
END_TEST

START_TEST(disputes_of_a_disputed_charge_are_listed) {
    const char *answers[] = {
        paid_with("\"disputed\":true,\"refunds\":" LIST("", "false") ","),
        LIST(A_DISPUTE("du_2", "needs_response") "," A_DISPUTE("du_1", "won"), "false"),
    };
    for (int flying = 0; flying < 2; flying++) {
        size_t first = peer_count(peer);
        cfa_reply reply = read_answers(answers, 2, flying);
        ck_assert_ptr_nonnull(strstr(peer_request(peer, first + 1),
                                     "GET /v1/disputes?limit=100&payment_intent=pi_1 HTTP"));
        ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
        ck_assert_int_eq(reply.facts.dispute_count, 2);
        ck_assert_str_eq(reply.facts.disputes[1]->ref, "du_1");
        ck_assert_int_eq(reply.facts.disputes[1]->state, CFA_DISPUTE_WON);
        ck_assert_int_eq(reply.facts.disputes[0]->withdrawn_minor, 1250);
        ck_assert_int_eq(reply.facts.disputes[0]->fee.minor, 1500);
    }
}
END_TEST

START_TEST(a_charge_that_is_only_named_has_both_listed) {
    const char *answers[] = {
        wire_intent(PAID "\"latest_charge\":\"ch_1\","),
        LIST(A_REFUND("re_1", "pending"), "false"),
        LIST(A_DISPUTE("du_1", "lost"), "false"),
    };
    for (int flying = 0; flying < 2; flying++) {
        cfa_reply reply = read_answers(answers, 3, flying);
        ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
        ck_assert_int_eq(reply.facts.refund_count, 1);
        ck_assert_int_eq(reply.facts.dispute_count, 1);
    }
}
END_TEST

START_TEST(a_page_that_is_read_brings_what_was_paid_with_it) {
    char members[4096];
    snprintf(members, sizeof members,
             "\"status\":\"complete\",\"payment_status\":\"paid\",\"payment_intent\":%s,",
             paid_with("\"disputed\":true,\"refunds\":" LIST(A_REFUND("re_1", "succeeded"),
                                                             "false") ","));
    const char *answers[] = { wire_session(members), LIST(A_DISPUTE("du_1", "lost"), "false") };
    size_t first = peer_count(peer);
    cfa_reply reply = read_answers(answers, 2, false);
    ck_assert_ptr_nonnull(strstr(peer_request(peer, first + 1), "&payment_intent=pi_1 HTTP"));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    ck_assert_str_eq(reply.facts.ref, "pi_1");
    ck_assert_str_eq(reply.facts.origin_ref, "cs_1");
    ck_assert_int_eq(reply.facts.refund_count, 1);
    ck_assert_int_eq(reply.facts.dispute_count, 1);
}
END_TEST

START_TEST(releases_are_left_out_of_a_read) {
    static const char release[] = "{\"id\":\"re_9\",\"object\":\"refund\",\"amount\":250,"
                                  "\"currency\":\"eur\",\"status\":\"succeeded\"}";
    static const struct {
        const char *intent;
        int32_t count;
    } cases[] = {
        /* A hold that was never captured: whatever looks like a refund is its release. */
        { "\"status\":\"canceled\",\"amount_received\":0,", 0 },
        { "\"status\":\"requires_capture\",\"amount_capturable\":1250,", 0 },
        /* A part was captured: the rest was released, and what moved money was refunded. */
        { "\"status\":\"succeeded\",\"amount_received\":1000,", 1 },
        /* All was captured: there was nothing to release. */
        { PAID, 2 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char members[2048];
        snprintf(members, sizeof members,
                 "%s\"latest_charge\":{\"object\":\"charge\",\"disputed\":false,\"refunds\":"
                 "{\"object\":\"list\",\"has_more\":false,\"data\":[%s,%s]}},",
                 cases[i].intent, release, A_REFUND("re_1", "succeeded"));
        const char *answer = wire_intent(members);
        cfa_reply reply = read_answers(&answer, 1, false);
        ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
        ck_assert_int_eq(reply.facts.refund_count, cases[i].count);
        if (cases[i].count == 1) {
            ck_assert_str_eq(reply.facts.refunds[0]->ref, "re_1");
        }
    }
}
END_TEST

/* Stripe takes refunds of a charge that is still on its way; and ours are never left out. */
START_TEST(what_goes_on_or_is_ours_is_named_even_before_a_capture) {
    static const char *const refunds[] = {
        A_REFUND("re_1", "pending"),
        A_REFUND("re_1", "failed"),
        "{\"id\":\"re_1\",\"object\":\"refund\"," FIVE "\"status\":\"succeeded\","
        "\"metadata\":{\"refund_id\":\"rfd_1\"}}",
    };
    for (size_t i = 0; i < COUNT(refunds); i++) {
        char members[1024];
        snprintf(members, sizeof members,
                 "\"status\":\"processing\",\"latest_charge\":{\"object\":\"charge\","
                 "\"disputed\":false,\"refunds\":{\"object\":\"list\",\"has_more\":false,"
                 "\"data\":[%s]}},",
                 refunds[i]);
        const char *answer = wire_intent(members);
        cfa_reply reply = read_answers(&answer, 1, false);
        ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
        ck_assert_int_eq(reply.facts.refund_count, 1);
        ck_assert_str_eq(reply.facts.refunds[0]->ref, "re_1");
    }
}
END_TEST

START_TEST(a_read_that_cannot_name_all_is_in_doubt) {
    static const char whole[] = "\"disputed\":true,\"refunds\":" LIST("", "false") ",";
    static const char none[] = "\"disputed\":true,";
    const struct {
        const char *charge, *list, *code;
    } cases[] = {
        { none, LIST(A_REFUND("re_1", "succeeded"), "true"), "incomplete_list" },
        { none, LIST(A_REFUND("re_1", "a_status_of_tomorrow"), "false"), "incomplete_list" },
        { none, "{\"object\":\"list\",\"data\":[]}", "incomplete_list" },
        { none, "{\"object\":\"list\",\"has_more\":false}", "incomplete_list" },
        { none, LIST("{\"id\":\"re_1\",\"object\":\"refund\"}", "false"), "unreadable_object" },
        { none,
          LIST("{\"id\":\"re_1\",\"object\":\"refund\"," FIVE "\"status\":\"pending\","
               "\"payment_intent\":\"pi_2\"}",
               "false"),
          "unreadable_object" },
        { none, "[]", "incomplete_list" },
        { none, "{", "unreadable_answer" },
        { whole, LIST(A_DISPUTE("du_1", "won"), "true"), "incomplete_list" },
        { whole, LIST(A_DISPUTE("du_1", "a_status_of_tomorrow"), "false"), "incomplete_list" },
        { whole,
          LIST("{\"id\":\"du_1\",\"object\":\"dispute\",\"amount\":1,"
               "\"currency\":\"eur\",\"status\":\"won\",\"payment_intent\":\"pi_2\"}",
               "false"),
          "unreadable_object" },
        { whole, LIST(A_REFUND("re_1", "succeeded"), "false"), "unreadable_object" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *answers[] = { paid_with(cases[i].charge), cases[i].list };
        expect_not_read(answers, 2, cases[i].code);
    }
    const char *other = wire_intent(
        PAID "\"latest_charge\":{\"object\":\"charge\","
             "\"disputed\":false,\"refunds\":" LIST("", "false") ","
                                                                 "\"payment_intent\":\"pi_2\"},");
    expect_not_read(&other, 1, "unreadable_object");
}
END_TEST

START_TEST(a_list_that_is_refused_or_lost_leaves_the_read_in_doubt) {
    static const struct {
        int status;
        const char *error, *code;
        int32_t unavailable;
    } cases[] = {
        { 403, "\"type\":\"invalid_request_error\"", "invalid_request_error", 0 },
        { 404, "\"type\":\"x\",\"code\":\"resource_missing\"", "resource_missing", 0 },
        { 429, "\"type\":\"x\",\"code\":\"rate_limit\"", "rate_limit", 1 },
        { 500, "\"type\":\"api_error\"", "api_error", 1 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        peer_push_json(peer, 200, "", paid_with("\"disputed\":false,"));
        peer_push_json(peer, cases[i].status, "", wire_error(cases[i].error));
        cfa_reply reply = wire_perform(wire_call(CFA_CALL_RETRIEVE));
        ck_assert_int_eq(reply.outcome, CFA_OUTCOME_UNKNOWN);
        ck_assert_str_eq(reply.code, cases[i].code);
        ck_assert_int_eq(reply.unavailable, cases[i].unavailable);
        ck_assert_ptr_null(reply.facts.ref);
    }
    size_t requests = 0; /* both share its time; more of it, where the machine was too busy */
    for (int32_t timeout_ms = 300; requests < 2; timeout_ms *= 4) {
        ck_assert_int_lt(timeout_ms, PATIENCE_MS);
        wire_tear_down();
        wire_set_up();
        peer_push_json(peer, 200, "", paid_with("\"disputed\":false,"));
        cfa_call call = wire_call(CFA_CALL_RETRIEVE);
        call.timeout_ms = timeout_ms;
        cfa_reply reply = wire_perform(call);
        requests = peer_count(peer);
        ck_assert_str_eq(reply.code, "timeout");
        ck_assert_ptr_null(reply.facts.ref);
        ck_assert(requests < 2 || reply.outcome == CFA_OUTCOME_UNKNOWN);
    }
}
END_TEST

/* A hundred refunds are told, and one more is not left out in silence. */
START_TEST(as_many_refunds_as_facts_hold_are_read) {
    for (int count = CFA_REVERSALS_MAX; count <= CFA_REVERSALS_MAX + 1; count++) {
        static char list[65536];
        size_t size = (size_t)snprintf(list, sizeof list, "{\"object\":\"list\",\"data\":[");
        for (int i = 0; i < count; i++) {
            size += (size_t)snprintf(list + size, sizeof list - size,
                                     "%s{\"id\":\"re_%d\",\"object\":\"refund\",\"amount\":12,"
                                     "\"currency\":\"eur\",\"status\":\"succeeded\"}",
                                     i > 0 ? "," : "", i);
        }
        snprintf(list + size, sizeof list - size, "],\"has_more\":false}");
        const char *answers[] = { paid_with("\"disputed\":false,"), list };
        cfa_reply reply = read_answers(answers, 2, false);
        bool fits = count <= CFA_REVERSALS_MAX;
        ck_assert_int_eq(reply.outcome, fits ? CFA_OUTCOME_DONE : CFA_OUTCOME_UNKNOWN);
        ck_assert_int_eq(reply.facts.refund_count, fits ? CFA_REVERSALS_MAX : 0);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stripe_retrieve");
    TCase *all = tcase_create("retrieve");
    tcase_add_checked_fixture(all, wire_set_up, wire_tear_down);
    tcase_add_test(all, a_read_promises_to_name_all_reversals);
    tcase_add_test(all, a_read_brings_refunds_and_fee_in_one_request);
    tcase_add_test(all, what_was_not_paid_has_nothing_to_list);
    tcase_add_test(all, refunds_that_the_charge_does_not_bring_are_listed);
    tcase_add_test(all, disputes_of_a_disputed_charge_are_listed);
    tcase_add_test(all, a_charge_that_is_only_named_has_both_listed);
    tcase_add_test(all, a_page_that_is_read_brings_what_was_paid_with_it);
    tcase_add_test(all, releases_are_left_out_of_a_read);
    tcase_add_test(all, what_goes_on_or_is_ours_is_named_even_before_a_capture);
    tcase_add_test(all, a_read_that_cannot_name_all_is_in_doubt);
    tcase_add_test(all, a_list_that_is_refused_or_lost_leaves_the_read_in_doubt);
    tcase_add_test(all, as_many_refunds_as_facts_hold_are_read);
    suite_add_tcase(suite, all);
    return wire_run(suite);
}
