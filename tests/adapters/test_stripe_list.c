/*
 * test_stripe_list.c - what the adapter asks of Stripe's lists, what it makes of their answers, and
 * that an answer which cannot be read whole is no page: never an end, never half of one.
 */
#include "stripe_wire.h"

#include <careforall/dispute.h>
#include <careforall/refund.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LIST(items, more) "{\"object\":\"list\",\"data\":[" items "],\"has_more\":" more "}"
#define EMPTY LIST("", "false")
#define INTENT(id, more)                                                                           \
    "{\"id\":\"" id "\",\"object\":\"payment_intent\",\"amount\":1250,\"currency\":\"eur\","       \
    "\"livemode\":false,\"metadata\":{\"payment_id\":\"" PAYMENT_ID                                \
    "\"},\"status\":\"succeeded\",\"amount_received\":1250" more "}"
#define CHARGE(more)                                                                               \
    "{\"id\":\"ch_1\",\"object\":\"charge\",\"amount\":1250,\"amount_captured\":1250,"             \
    "\"captured\":true,\"currency\":\"eur\",\"livemode\":false,\"payment_intent\":\"pi_1\","       \
    "\"status\":\"succeeded\"" more "}"
#define ROW(type, source)                                                                          \
    "{\"id\":\"txn_1\",\"object\":\"balance_transaction\",\"amount\":1250,\"fee\":66,"             \
    "\"currency\":\"eur\",\"type\":\"" type "\",\"source\":" source "}"
#define PAYOUT(id, automatic, status, reconciliation)                                              \
    "{\"id\":\"" id "\",\"object\":\"payout\",\"automatic\":" automatic ",\"status\":\"" status    \
    "\",\"reconciliation_status\":\"" reconciliation "\"}"

static cfa_list_request request_of(int32_t kind, const char *cursor) {
    return (cfa_list_request){ .struct_size = sizeof(cfa_list_request),
                               .kind = kind,
                               .account = "",
                               .created_from_us = INT64_C(1700000000500000),
                               .created_until_us = INT64_C(1700003600000000),
                               .cursor = cursor,
                               .now_us = DATE_US,
                               .timeout_ms = PATIENCE_MS };
}

static cfa_list_page list(int32_t kind, const char *cursor) {
    cfa_list_page page = { .struct_size = sizeof page };
    cfa_list_request request = request_of(kind, cursor);
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    provider->ops->list(provider->self, &request, arena, &page);
    return page;
}

static cfa_list_page answered(int32_t kind, const char *cursor, const char *body) {
    peer_push_json(peer, 200, "", body);
    cfa_list_page page = list(kind, cursor);
    ck_assert_msg(page.outcome == CFA_OUTCOME_DONE, "%s: %s", page.code, body);
    return page;
}

static void expect_asked(const char *target) {
    const char *request = peer_request(peer, peer_count(peer) - 1);
    char line[512];
    snprintf(line, sizeof line, "GET %s HTTP/1.1\r\n", target);
    ck_assert_msg(strncmp(request, line, strlen(line)) == 0, "%s instead of %s", request, line);
}

static void expect_no_page(const cfa_list_page *page, int32_t outcome, const char *code) {
    ck_assert_int_eq(page->outcome, outcome);
    ck_assert_str_eq(page->code, code);
    ck_assert_ptr_null(page->next);
    ck_assert_int_eq(page->count, 0);
}

#define WINDOW "&created[gte]=1700000000&created[lte]=1700003599"

/* ---- what is asked --------------------------------------------------------------------------- */

START_TEST(payments_are_hosted_pages_and_then_intents) {
    cfa_list_page page = answered(
        CFA_LIST_PAYMENTS, NULL,
        LIST("{\"id\":\"cs_1\",\"object\":\"checkout.session\",\"amount_total\":1250,"
             "\"currency\":\"eur\",\"livemode\":false,\"metadata\":{\"payment_id\":\"" PAYMENT_ID
             "\"},\"status\":\"complete\",\"payment_status\":\"paid\",\"payment_intent\":" INTENT(
                 "pi_1", "") "}",
             "true"));
    expect_asked("/v1/checkout/sessions?limit=100" WINDOW
                 "&expand[]=data.payment_intent.latest_charge.refunds"
                 "&expand[]=data.payment_intent.latest_charge.balance_transaction");
    ck_assert_int_eq(page.count, 1);
    ck_assert_str_eq(page.objects[0]->facts.ref, "pi_1");
    ck_assert_str_eq(page.objects[0]->facts.origin_ref, "cs_1");
    ck_assert_int_eq(page.objects[0]->whole, 0);
    page = answered(CFA_LIST_PAYMENTS, page.next, EMPTY);
    expect_asked("/v1/checkout/sessions?limit=100" WINDOW
                 "&starting_after=cs_1&expand[]=data.payment_intent.latest_charge.refunds"
                 "&expand[]=data.payment_intent.latest_charge.balance_transaction");
    ck_assert_int_eq(page.count, 0);
    page = answered(CFA_LIST_PAYMENTS, page.next,
                    LIST(INTENT("pi_1", ",\"latest_charge\":" CHARGE(
                                            ",\"balance_transaction\":" ROW("charge", "\"ch_1\""))),
                         "false"));
    expect_asked("/v1/payment_intents?limit=100" WINDOW "&expand[]=data.latest_charge.refunds"
                 "&expand[]=data.latest_charge.balance_transaction");
    const cfa_listed *listed = page.objects[0];
    ck_assert_str_eq(listed->facts.payment_id, PAYMENT_ID);
    ck_assert_uint_eq(listed->facts.flags, CFA_FACT_SUCCEEDED);
    ck_assert_int_eq(listed->facts.fee.minor, 66);
    ck_assert_int_eq(listed->whole, 1);
    ck_assert_int_eq(listed->livemode, 0);
    ck_assert_int_eq(listed->facts.occurred_us, DATE_US);
    ck_assert_ptr_null(page.next);
}
END_TEST

START_TEST(refunds_and_disputes_are_one_list_each) {
    cfa_list_page page =
        answered(CFA_LIST_REFUNDS, NULL,
                 LIST("{\"id\":\"re_1\",\"object\":\"refund\",\"amount\":500,\"currency\":\"eur\","
                      "\"balance_transaction\":\"txn_1\",\"payment_intent\":\"pi_1\","
                      "\"status\":\"succeeded\"}",
                      "true"));
    expect_asked("/v1/refunds?limit=100" WINDOW);
    ck_assert_int_eq(page.objects[0]->facts.refunds[0]->state, CFA_REFUND_SUCCEEDED);
    ck_assert_int_eq(page.objects[0]->livemode, -1);
    page = answered(CFA_LIST_REFUNDS, page.next, EMPTY);
    expect_asked("/v1/refunds?limit=100" WINDOW "&starting_after=re_1");
    ck_assert_ptr_null(page.next);
    page = answered(CFA_LIST_DISPUTES, NULL,
                    LIST("{\"id\":\"du_1\",\"object\":\"dispute\",\"amount\":1250,"
                         "\"currency\":\"eur\",\"livemode\":true,\"balance_transactions\":[],"
                         "\"payment_intent\":\"pi_1\",\"status\":\"needs_response\"}",
                         "false"));
    expect_asked("/v1/disputes?limit=100" WINDOW);
    ck_assert_int_eq(page.objects[0]->facts.disputes[0]->state, CFA_DISPUTE_OPEN);
    ck_assert_int_eq(page.objects[0]->livemode, 1);
    ck_assert_ptr_null(page.next);
}
END_TEST

START_TEST(only_payouts_that_are_known_to_hold_it_settle_a_payment) {
    cfa_list_page page =
        answered(CFA_LIST_SETTLEMENTS, NULL,
                 LIST(PAYOUT("po_5", "false", "paid", "not_applicable") "," PAYOUT(
                          "po_4", "true", "in_transit",
                          "in_progress") "," PAYOUT("po_3", "true", "failed",
                                                    "completed") "," PAYOUT("po_2", "true", "paid",
                                                                            "in_progress"),
                      "true"));
    expect_asked("/v1/payouts?limit=10" WINDOW);
    ck_assert_int_eq(page.count, 0);
    page = answered(CFA_LIST_SETTLEMENTS, page.next,
                    LIST(PAYOUT("po_1", "true", "paid", "completed"), "false"));
    expect_asked("/v1/payouts?limit=10" WINDOW "&starting_after=po_2");
    page = answered(
        CFA_LIST_SETTLEMENTS, page.next,
        LIST(ROW("charge", CHARGE("")) "," ROW(
                 "refund", "{\"id\":\"re_1\",\"object\":\"refund\"}") "," ROW("payout", "\"po_1\""),
             "true"));
    expect_asked("/v1/balance_transactions?limit=100&payout=po_1&expand[]=data.source");
    ck_assert_int_eq(page.count, 1);
    ck_assert_str_eq(page.objects[0]->facts.ref, "pi_1");
    ck_assert_uint_eq(page.objects[0]->facts.flags, CFA_FACT_SETTLED);
    ck_assert_int_eq(page.objects[0]->facts.captured_minor, 1250);
    ck_assert_int_eq(page.objects[0]->facts.fee.minor, 66);
    page = answered(CFA_LIST_SETTLEMENTS, page.next, LIST(ROW("payment", CHARGE("")), "false"));
    expect_asked("/v1/balance_transactions?limit=100&payout=po_1&starting_after=txn_1"
                 "&expand[]=data.source");
    ck_assert_int_eq(page.count, 1);
    page = answered(CFA_LIST_SETTLEMENTS, page.next, EMPTY);
    expect_asked("/v1/payouts?limit=10" WINDOW "&starting_after=po_1");
    ck_assert_ptr_null(page.next);
}
END_TEST

START_TEST(a_list_is_of_the_account_that_was_asked_for) {
    cfa_list_page page = { .struct_size = sizeof page };
    cfa_list_request request = request_of(CFA_LIST_REFUNDS, NULL);
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    request.account = "acct_1Connected";
    peer_push_json(peer, 200, "", EMPTY);
    provider->ops->list(provider->self, &request, arena, &page);
    ck_assert_int_eq(page.outcome, CFA_OUTCOME_DONE);
    ck_assert_ptr_nonnull(strstr(peer_request(peer, 0), "\r\nStripe-Account: acct_1Connected\r\n"));
    ck_assert_ptr_null(strstr(peer_request(peer, 0), "Idempotency-Key"));
}
END_TEST

/* ---- what is no page ------------------------------------------------------------------------- */

START_TEST(an_answer_that_cannot_be_read_whole_is_no_page) {
    static const struct {
        const char *body, *code;
    } answers[] = {
        { "", "unreadable_answer" },
        { "{", "unreadable_answer" },
        { "[]", "unreadable_answer" },
        { "{\"object\":\"list\",\"data\":[]}", "unreadable_answer" },
        { "{\"object\":\"list\",\"has_more\":false}", "unreadable_answer" },
        { "{\"object\":\"list\",\"data\":{},\"has_more\":false}", "unreadable_answer" },
        { "{\"object\":\"list\",\"data\":\"\",\"has_more\":false}", "unreadable_answer" },
        { "{\"data\":[],\"has_more\":false}", "unreadable_answer" },
        { LIST("", "true"), "unreadable_answer" },
        { LIST("", "\"no\""), "unreadable_answer" },
        { LIST("{\"id\":\"re_1\"}", "false"), "unreadable_object" },
        { LIST(INTENT("pi_1", ""), "false"), "unreadable_object" },
        { LIST("{\"id\":\"re_1\",\"object\":\"refund\",\"amount\":-1,\"currency\":\"eur\","
               "\"payment_intent\":\"pi_1\",\"status\":\"succeeded\"}",
               "false"),
          "unreadable_object" },
    };
    for (size_t i = 0; i < COUNT(answers); i++) {
        peer_push_json(peer, 200, "", answers[i].body);
        cfa_list_page page = list(CFA_LIST_REFUNDS, NULL);
        expect_no_page(&page, CFA_OUTCOME_UNKNOWN, answers[i].code);
    }
    /* Half of a row is none. */
    peer_push_json(peer, 200, "", LIST(ROW("charge", "\"ch_1\""), "false"));
    cfa_list_page page = list(CFA_LIST_SETTLEMENTS, "b:100:po_1:");
    expect_no_page(&page, CFA_OUTCOME_UNKNOWN, "unreadable_object");
}
END_TEST

/* What is in such a payout is not known, and the list is not over. */
START_TEST(a_payout_that_cannot_be_named_is_no_end) {
    static const char *const bodies[] = {
        LIST("{\"object\":\"payout\",\"automatic\":true,\"status\":\"paid\","
             "\"reconciliation_status\":\"completed\"}",
             "false"),
        LIST(PAYOUT("", "true", "paid", "completed"), "false"),
        LIST(PAYOUT("po:1", "true", "paid", "completed"), "false"),
    };
    for (size_t i = 0; i < COUNT(bodies); i++) {
        peer_push_json(peer, 200, "", bodies[i]);
        cfa_list_page page = list(CFA_LIST_SETTLEMENTS, NULL);
        expect_no_page(&page, CFA_OUTCOME_UNKNOWN, "unreadable_answer");
    }
}
END_TEST

START_TEST(what_fails_says_whether_to_ask_again) {
    static const struct {
        int status;
        const char *headers, *body, *code;
        int32_t outcome, unavailable;
        int64_t retry_after_ms;
    } answers[] = {
        { 429, "Retry-After: 7\r\n", "{\"error\":{\"code\":\"rate_limit\"}}", "rate_limit",
          CFA_OUTCOME_NOT_SENT, 1, 7000 },
        { 500, "", "{\"error\":{\"type\":\"api_error\"}}", "api_error", CFA_OUTCOME_UNKNOWN, 1, 0 },
        { 503, "", "busy", "server_error", CFA_OUTCOME_UNKNOWN, 1, 0 },
        { 409, "", "{\"error\":{\"code\":\"lock_timeout\"}}", "lock_timeout", CFA_OUTCOME_UNKNOWN,
          0, 0 },
        { 401, "", "{\"error\":{\"type\":\"invalid_request_error\"}}", "invalid_request_error",
          CFA_OUTCOME_REFUSED, 0, 0 },
        { 400, "", "{\"error\":{\"code\":\"resource_missing\"}}", "resource_missing",
          CFA_OUTCOME_REFUSED, 0, 0 },
        { 404, "", "<html>", "unreadable_answer", CFA_OUTCOME_UNKNOWN, 0, 0 },
        { 301, "", EMPTY, "unreadable_answer", CFA_OUTCOME_UNKNOWN, 0, 0 },
    };
    for (size_t i = 0; i < COUNT(answers); i++) {
        peer_push_json(peer, answers[i].status, answers[i].headers, answers[i].body);
        cfa_list_page page = list(CFA_LIST_REFUNDS, NULL);
        expect_no_page(&page, answers[i].outcome, answers[i].code);
        ck_assert_int_eq(page.unavailable, answers[i].unavailable);
        ck_assert_int_eq(page.retry_after_ms, answers[i].retry_after_ms);
    }
    peer_push(peer, PEER_ANSWER_AND_CLOSE,
              "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"object\":\"list\",\"data\":[]");
    cfa_list_page page = list(CFA_LIST_REFUNDS, NULL);
    expect_no_page(&page, CFA_OUTCOME_UNKNOWN, "connection_lost");
    ck_assert_int_eq(page.unavailable, 1);
}
END_TEST

START_TEST(a_page_that_is_too_long_is_asked_for_in_halves) {
    cfa_stripe_options options = wire_options();
    options.response_limit_bytes = 600;
    wire_use(&options);
    char *filler = malloc(2001), *body = malloc(4000);
    memset(filler, 'x', 2000);
    filler[2000] = '\0';
    snprintf(body, 4000, "{\"object\":\"list\",\"data\":[],\"has_more\":false,\"x\":\"%s\"}",
             filler);
    peer_push_json(peer, 200, "", body);
    peer_push_json(peer, 200, "", body);
    cfa_list_page page =
        answered(CFA_LIST_REFUNDS, NULL,
                 LIST("{\"id\":\"re_1\",\"object\":\"refund\",\"amount\":500,\"currency\":\"eur\","
                      "\"payment_intent\":\"pi_1\",\"status\":\"pending\"}",
                      "true"));
    expect_asked("/v1/refunds?limit=25" WINDOW);
    page = answered(CFA_LIST_REFUNDS, page.next, EMPTY); /* it remembers */
    expect_asked("/v1/refunds?limit=25" WINDOW "&starting_after=re_1");
    for (int limit = 100; limit > 0; limit /= 2)
        peer_push_json(peer, 200, "", body);
    page = list(CFA_LIST_REFUNDS, NULL);
    expect_no_page(&page, CFA_OUTCOME_UNKNOWN, "response_too_large");
    expect_asked("/v1/refunds?limit=1" WINDOW);
    free(filler);
    free(body);
}
END_TEST

START_TEST(a_cursor_that_is_none_is_refused_unasked) {
    static const char *const cursors[] = {
        "",        "x:100::", "r",     "r:",     "r:0::",  "r:101:",   "r:1",
        "r:100:a", "r:a::",   "100::", "r:-1::", "r100::", "r:10 0::", "rr:100::"
    };
    for (size_t i = 0; i < COUNT(cursors); i++) {
        cfa_list_page page = list(CFA_LIST_REFUNDS, cursors[i]);
        expect_no_page(&page, CFA_OUTCOME_REFUSED, "parameter_invalid");
    }
    cfa_list_page page = list(CFA_LIST_KINDS, NULL);
    expect_no_page(&page, CFA_OUTCOME_REFUSED, "parameter_invalid");
    ck_assert_uint_eq(peer_count(peer), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stripe_list");
    TCase *test_case = tcase_create("list");
    tcase_add_checked_fixture(test_case, wire_set_up, wire_tear_down);
    tcase_add_test(test_case, payments_are_hosted_pages_and_then_intents);
    tcase_add_test(test_case, refunds_and_disputes_are_one_list_each);
    tcase_add_test(test_case, only_payouts_that_are_known_to_hold_it_settle_a_payment);
    tcase_add_test(test_case, a_list_is_of_the_account_that_was_asked_for);
    tcase_add_test(test_case, an_answer_that_cannot_be_read_whole_is_no_page);
    tcase_add_test(test_case, a_payout_that_cannot_be_named_is_no_end);
    tcase_add_test(test_case, what_fails_says_whether_to_ask_again);
    tcase_add_test(test_case, a_page_that_is_too_long_is_asked_for_in_halves);
    tcase_add_test(test_case, a_cursor_that_is_none_is_refused_unasked);
    suite_add_tcase(suite, test_case);
    return wire_run(suite);
}
