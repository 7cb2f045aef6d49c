/*
 * test_stripe_lookup.c - look-ups on accounts with many objects: a page that fails is asked for
 * again, what was seen is not looked at twice, and nothing is called absent that was not looked for
 * everywhere.
 */
#include "stripe_ledger.h"
#include "stripe_wire.h"

#include "adapters/stripe/stripe.h"
#include "util/id.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define T0_S INT64_C(1795341000)
#define HOUR_S 3600
#define STATE "\"status\":\"requires_payment_method\",\"client_secret\":\"pi_1_secret_x\","

static stripe_ledger ledger;
static char payment_id[CFA_ID_TEXT_SIZE];

static void name_payment(char *out, int64_t time_s, uint8_t number) {
    const uint8_t random[10] = { number };
    cfa__id_format(out, "pay", cfa__id_make(time_s * 1000000, random));
}

/* An account whose newest object was made at T0, as many others as this in the two hours before. */
static void set_up(void) {
    wire_set_up();
    ledger = (stripe_ledger){ .path = "/v1/payment_intents",
                              .kind = "payment_intent",
                              .count = 650,
                              .from_s = T0_S - 2 * HOUR_S,
                              .until_s = T0_S };
    name_payment(payment_id, T0_S - HOUR_S, 1);
    peer_serve(peer, ledger_serve, &ledger);
}

static void add_odd(int64_t created_s, const char *id, const char *named, const char *members) {
    ck_assert_uint_lt(ledger.odd_count, LEDGER_ODD_MAX);
    ledger.odd[ledger.odd_count++] = (ledger_odd){ created_s, id, named, members };
}

static cfa_call lookup_of(const char *payment) {
    cfa_call call = wire_call(CFA_CALL_LOOKUP);
    call.payment_id = payment;
    call.created_from_us = ledger.from_s * 1000000;
    call.created_until_us = (ledger.until_s + HOUR_S) * 1000000;
    call.timeout_ms = PATIENCE_MS;
    return call;
}

static cfa_reply look_up(const char *payment, bool flying) {
    return flying ? wire_fly(lookup_of(payment)) : wire_perform(lookup_of(payment));
}

/* Requests that it took, with an adapter that remembers nothing. */
static size_t count_fresh(const char *payment, bool flying, int32_t outcome) {
    wire_use_mode(CFA_STRIPE_INTENT);
    size_t before = peer_count(peer);
    cfa_reply reply = look_up(payment, flying);
    ck_assert_int_eq(reply.outcome, outcome);
    return peer_count(peer) - before;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- a page that fails ----------------------------------------------------------------------- */

static const struct failure {
    const char *name;
    peer_deed deed;
    int status;
    const char *headers;
    int64_t rest_ms; /* at least, before the page is asked for again */
    int times;       /* libcurl itself repeats once what a kept connection lost */
} failures[] = {
    { "500", PEER_ANSWER, 500, "", 200, 1 },
    { "503", PEER_ANSWER, 503, "Stripe-Should-Retry: true\r\n", 200, 1 },
    { "429", PEER_ANSWER, 429, "Retry-After: 1\r\n", 1000, 1 },
    { "409", PEER_ANSWER, 409, "", 200, 1 },
    { "reset", PEER_RESET, 0, NULL, 200, 2 },
    { "half an answer", PEER_ANSWER_AND_CLOSE, 0, NULL, 200, 1 },
};

static void push_failure(const struct failure *failure) {
    if (failure->status == 0) {
        peer_push(peer, failure->deed, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{");
    } else {
        peer_push_json(peer, failure->status, failure->headers,
                       wire_error("\"type\":\"api_error\""));
    }
}

START_TEST(a_page_that_fails_once_is_asked_for_again) {
    const struct failure *failure = &failures[_i];
    for (int which = 0; which < 4; which++) {
        bool flying = which % 2 != 0, exists = which / 2 != 0;
        int32_t outcome = exists ? CFA_OUTCOME_DONE : CFA_OUTCOME_NOT_SENT;
        /* In the oldest page of all: the clock that made it was wrong. */
        if (exists && ledger.odd_count == 0) {
            add_odd(ledger.from_s, "pi_1", payment_id, STATE);
        }
        size_t undisturbed = count_fresh(payment_id, flying, outcome);
        ck_assert_uint_ge(undisturbed, 5);
        peer_push(peer, PEER_SERVE, NULL);
        peer_push(peer, PEER_SERVE, NULL);
        for (int i = 0; i < failure->times; i++) {
            push_failure(failure);
        }
        int64_t begin_ms = now_ms();
        size_t disturbed = count_fresh(payment_id, flying, outcome);
        ck_assert_msg(now_ms() - begin_ms >= failure->rest_ms, "%s: too soon", failure->name);
        /* It goes on where it was. */
        ck_assert_uint_eq(disturbed, undisturbed + (size_t)failure->times);
    }
}
END_TEST

START_TEST(a_page_that_keeps_failing_leaves_the_outcome_unknown) {
    for (int flying = 0; flying < 2; flying++) {
        wire_use_mode(CFA_STRIPE_INTENT);
        size_t before = peer_count(peer);
        char *answer = peer_format(500, "", wire_error("\"type\":\"api_error\""));
        peer_push(peer, PEER_SERVE, NULL);
        peer_push(peer, PEER_SERVE, NULL);
        peer_always(peer, PEER_ANSWER, answer);
        free(answer);
        cfa_reply reply = look_up(payment_id, flying);
        ck_assert_int_eq(reply.outcome, CFA_OUTCOME_UNKNOWN);
        ck_assert_str_eq(reply.code, "api_error");
        ck_assert_int_eq(reply.unavailable, 1);
        ck_assert_uint_eq(peer_count(peer), before + 2 + 4);
        peer_serve(peer, ledger_serve, &ledger);
    }
}
END_TEST

START_TEST(a_provider_that_is_out_is_told_at_once) {
    peer_push_json(peer, 503, "", wire_error("\"type\":\"api_error\""));
    cfa_reply reply = look_up(payment_id, false);
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_UNKNOWN);
    ck_assert_int_eq(reply.unavailable, 1);
    ck_assert_uint_eq(peer_count(peer), 1);
}
END_TEST

START_TEST(a_page_that_may_not_be_repeated_is_not) {
    static const struct {
        int status;
        const char *headers;
    } cases[] = { { 500, "Stripe-Should-Retry: false\r\n" }, { 401, "" }, { 400, "" } };
    for (size_t i = 0; i < 3; i++) {
        wire_use_mode(CFA_STRIPE_INTENT);
        size_t before = peer_count(peer);
        peer_push(peer, PEER_SERVE, NULL);
        peer_push_json(peer, cases[i].status, cases[i].headers,
                       wire_error("\"type\":\"api_error\""));
        ck_assert_int_eq(look_up(payment_id, i % 2 != 0).outcome, CFA_OUTCOME_UNKNOWN);
        ck_assert_uint_eq(peer_count(peer), before + 2);
    }
}
END_TEST

START_TEST(a_wait_that_is_too_long_ends_the_look_up) {
    peer_push(peer, PEER_SERVE, NULL);
    peer_push_json(peer, 429, "Retry-After: 3600\r\n", wire_error("\"code\":\"rate_limit\""));
    int64_t begin_ms = now_ms();
    cfa_reply reply = look_up(payment_id, false);
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_UNKNOWN);
    ck_assert_int_eq(reply.retry_after_ms, 3600000);
    ck_assert_int_lt(now_ms() - begin_ms, PATIENCE_MS / 2);
}
END_TEST

/* A page that waits for `rest_s`, and a call begun meanwhile: which of them ended first? */
static uint64_t first_beside_a_rest(int rest_s) {
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    size_t before = peer_count(peer);
    char headers[64];
    cfa_call slow = lookup_of(payment_id), quick = wire_call(CFA_CALL_RETRIEVE);
    cfa_reply replies[2] = { { .struct_size = sizeof(cfa_reply) },
                             { .struct_size = sizeof(cfa_reply) } };
    uint64_t token;
    peer_push(peer, PEER_SERVE, NULL);
    snprintf(headers, sizeof headers, "Retry-After: %d\r\n", rest_s);
    peer_push_json(peer, 429, headers, wire_error("\"code\":\"rate_limit\""));
    ck_assert_int_eq(provider->ops->start(provider->self, &slow, arena, &replies[0], 1), CFA_OK);
    wire_drive(before + 2);
    /* Once the answer is in, it waits. */
    int64_t begin_ms = now_ms();
    while (provider->ops->next_due_ms(provider->self) > rest_s * 1000 &&
           now_ms() - begin_ms < PATIENCE_MS / 2) {
        ck_assert_int_eq(provider->ops->finish(provider->self, &token, 10), 0);
    }
    ck_assert_int_eq(provider->ops->start(provider->self, &quick, arena, &replies[1], 2), CFA_OK);
    uint64_t first = 0;
    ck_assert_int_eq(provider->ops->finish(provider->self, &first, PATIENCE_MS), 1);
    ck_assert_int_eq(provider->ops->finish(provider->self, &token, PATIENCE_MS), 1);
    ck_assert_uint_eq(token, 3 - first);
    ck_assert_int_eq(replies[0].outcome, CFA_OUTCOME_NOT_SENT);
    return first;
}

START_TEST(other_calls_go_on_while_a_page_waits_for_its_time) {
    /* The shorter rest ends first where the machine is busy. */
    ck_assert(first_beside_a_rest(2) == 2 || first_beside_a_rest(20) == 2);
}
END_TEST

START_TEST(an_adapter_can_be_freed_while_a_page_waits) {
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    cfa_call call = lookup_of(payment_id);
    cfa_reply reply = { .struct_size = sizeof reply };
    peer_push(peer, PEER_SERVE, NULL);
    peer_push_json(peer, 429, "Retry-After: 30\r\n", wire_error("\"code\":\"rate_limit\""));
    ck_assert_int_eq(provider->ops->start(provider->self, &call, arena, &reply, 1), CFA_OK);
    wire_drive(2);
}
END_TEST

/* ---- many objects ---------------------------------------------------------------------------- */

START_TEST(among_many_objects_one_is_found_and_none_is_proved) {
    ledger.count = 30000;
    ledger.padding = 600;
    for (int flying = 0; flying < 2; flying++) {
        ledger.odd_count = 0;
        size_t all = count_fresh(payment_id, flying, CFA_OUTCOME_NOT_SENT);
        ck_assert_uint_ge(all, 300);
        ck_assert_uint_le(all, 310);
        /* Where it is likely to be it is found soon. */
        add_odd(T0_S - HOUR_S + 3, "pi_1", payment_id, STATE);
        ck_assert_uint_le(count_fresh(payment_id, flying, CFA_OUTCOME_DONE), 15);
        /* Where it is not likely, all the same. */
        ledger.odd[0].created_s = T0_S - 2 * HOUR_S + 60;
        ck_assert_uint_le(count_fresh(payment_id, flying, CFA_OUTCOME_DONE), 310);
    }
}
END_TEST

START_TEST(what_one_look_up_saw_others_need_not_read_again) {
    char other[CFA_ID_TEXT_SIZE], third[CFA_ID_TEXT_SIZE];
    name_payment(other, T0_S - HOUR_S + 1, 2);
    name_payment(third, T0_S - HOUR_S + 2, 3);
    ledger.count = 30000;
    add_odd(T0_S - HOUR_S - 1234, "pi_2", other, STATE);
    ck_assert_int_eq(look_up(payment_id, false).outcome, CFA_OUTCOME_NOT_SENT);
    size_t before = peer_count(peer);
    cfa_reply reply = look_up(other, true); /* it was seen, far from where it should be */
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    ck_assert_str_eq(reply.facts.ref, "pi_2");
    ck_assert_uint_eq(peer_count(peer), before + 1);
    before = peer_count(peer);
    ck_assert_int_eq(look_up(third, false).outcome, CFA_OUTCOME_NOT_SENT);
    ck_assert_uint_le(peer_count(peer), before + 40); /* the newest minutes, which may change */
    /* Other accounts and other lists are other things. */
    cfa_call call = lookup_of(third);
    call.account = "acct_2";
    call.timeout_ms = 1;
    (void)wire_perform(call);
    call.timeout_ms = PATIENCE_MS;
    before = peer_count(peer);
    ck_assert_int_eq(wire_perform(call).outcome, CFA_OUTCOME_NOT_SENT);
    ck_assert_uint_ge(peer_count(peer), before + 300);
}
END_TEST

#define AT_ONCE 8

struct seeker {
    pthread_t thread;
    char payment[CFA_ID_TEXT_SIZE];
    int32_t outcome;
};

static void *seek(void *user) {
    struct seeker *seeker = user;
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    cfa_call call = lookup_of(seeker->payment);
    cfa_reply reply = { .struct_size = sizeof reply };
    cfa_arena *own;
    if (cfa_arena_new(&own) == CFA_OK) {
        provider->ops->call(provider->self, &call, own, &reply);
        seeker->outcome = reply.outcome;
        cfa_arena_free(own);
    }
    return NULL;
}

START_TEST(look_ups_at_once_share_the_walk) {
    static struct seeker seekers[AT_ONCE];
    ledger.count = 15000;
    for (uint8_t i = 0; i < AT_ONCE; i++) {
        name_payment(seekers[i].payment, T0_S - HOUR_S + i, i);
        seekers[i].outcome = CFA_OUTCOME_UNKNOWN;
    }
    add_odd(ledger.from_s + 77, "pi_3", seekers[3].payment, STATE);
    for (size_t i = 0; i < AT_ONCE; i++) {
        ck_assert_int_eq(pthread_create(&seekers[i].thread, NULL, seek, &seekers[i]), 0);
    }
    for (size_t i = 0; i < AT_ONCE; i++) {
        pthread_join(seekers[i].thread, NULL);
        ck_assert_int_eq(seekers[i].outcome, i == 3 ? CFA_OUTCOME_DONE : CFA_OUTCOME_NOT_SENT);
    }
    /* Each for itself would make 150. */
    ck_assert_uint_le(peer_count(peer), AT_ONCE * 150 / 2);
}
END_TEST

START_TEST(a_look_up_that_was_cut_off_is_gone_on_with) {
    ledger.count = 15000;
    char *answer = peer_format(401, "", wire_error("\"type\":\"api_error\""));
    int32_t outcome = CFA_OUTCOME_UNKNOWN;
    int calls = 0;
    for (; outcome == CFA_OUTCOME_UNKNOWN && calls < 10; calls++) {
        for (int i = 0; i < 45; i++) { /* of more than 150 pages */
            peer_push(peer, PEER_SERVE, NULL);
        }
        peer_push(peer, PEER_ANSWER, answer);
        outcome = look_up(payment_id, calls % 2 != 0).outcome;
    }
    free(answer);
    ck_assert_int_eq(outcome, CFA_OUTCOME_NOT_SENT);
    ck_assert_int_ge(calls, 4);
    ck_assert_int_le(calls, 6);
}
END_TEST

START_TEST(what_may_still_change_is_read_again) {
    ledger.count = 3000;
    ck_assert_int_eq(look_up(payment_id, false).outcome, CFA_OUTCOME_NOT_SENT);
    /* Late, but within what Stripe may take to list it. */
    add_odd(T0_S - 500, "pi_1", payment_id, STATE);
    ck_assert_int_eq(look_up(payment_id, false).outcome, CFA_OUTCOME_DONE);
    /* And where it most likely is, however long ago that was. */
    ledger.odd_count = 0;
    (void)count_fresh(payment_id, false, CFA_OUTCOME_NOT_SENT);
    add_odd(T0_S - HOUR_S + 2, "pi_1", payment_id, STATE);
    ck_assert_int_eq(look_up(payment_id, true).outcome, CFA_OUTCOME_DONE);
}
END_TEST

START_TEST(what_is_known_is_not_told_before_the_provider_answers) {
    char late[CFA_ID_TEXT_SIZE];
    name_payment(late, T0_S + 3 * HOUR_S, 2);
    ck_assert_int_eq(look_up(late, false).outcome, CFA_OUTCOME_NOT_SENT);
    cfa_call call = lookup_of(late);
    call.created_until_us = (T0_S - HOUR_S) * 1000000; /* all of it is settled */
    size_t before = peer_count(peer);
    ck_assert_int_eq(wire_perform(call).outcome, CFA_OUTCOME_NOT_SENT);
    ck_assert_uint_eq(peer_count(peer), before + 1);
    peer_always(peer, PEER_RESET, NULL);
    ck_assert_int_eq(wire_perform(call).outcome, CFA_OUTCOME_UNKNOWN);
}
END_TEST

START_TEST(pages_in_no_order_prove_nothing_before_their_end) {
    ledger.count = 1000;
    ledger.shuffled = true;
    ck_assert_int_eq(look_up(payment_id, false).outcome, CFA_OUTCOME_NOT_SENT);
    add_odd(T0_S - HOUR_S, "pi_1", payment_id, STATE);
    ck_assert_int_eq(look_up(payment_id, true).outcome, CFA_OUTCOME_DONE);
    /* None of it was kept. */
    char other[CFA_ID_TEXT_SIZE];
    name_payment(other, T0_S - HOUR_S, 2);
    size_t before = peer_count(peer);
    ck_assert_int_eq(look_up(other, false).outcome, CFA_OUTCOME_NOT_SENT);
    ck_assert_uint_ge(peer_count(peer), before + 10);
}
END_TEST

START_TEST(pages_that_are_too_long_become_shorter) {
    ledger.count = 200;
    ledger.padding = 20000; /* 2 MB a page */
    for (int flying = 0; flying < 2; flying++) {
        ledger.odd_count = 0;
        ck_assert_uint_le(count_fresh(payment_id, flying, CFA_OUTCOME_NOT_SENT), 14);
        add_odd(ledger.from_s + 10, "pi_1", payment_id, STATE);
        ck_assert_uint_le(count_fresh(payment_id, flying, CFA_OUTCOME_DONE), 14);
    }
    cfa_stripe_options options = wire_options();
    options.response_limit_bytes = 10000; /* not even one fits */
    wire_use(&options);
    cfa_reply reply = look_up(payment_id, false);
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_UNKNOWN);
    ck_assert_str_eq(reply.code, "response_too_large");
}
END_TEST

START_TEST(many_objects_of_one_second_are_all_seen) {
    ledger.from_s = ledger.until_s - 2;
    ledger.count = 3000;
    ck_assert_int_eq(look_up(payment_id, false).outcome, CFA_OUTCOME_NOT_SENT);
    add_odd(ledger.from_s + 1, "pi_1", payment_id, STATE);
    ck_assert_int_eq(look_up(payment_id, true).outcome, CFA_OUTCOME_DONE);
    /* Also where others have seen it. */
    wire_use_mode(CFA_STRIPE_INTENT);
    char other[CFA_ID_TEXT_SIZE];
    name_payment(other, T0_S, 2);
    ck_assert_int_eq(look_up(other, false).outcome, CFA_OUTCOME_NOT_SENT);
    size_t before = peer_count(peer);
    ck_assert_int_eq(look_up(payment_id, true).outcome, CFA_OUTCOME_DONE);
    ck_assert_uint_le(peer_count(peer), before + 16);
}
END_TEST

/* ---- hosted pages ---------------------------------------------------------------------------- */

static void use_sessions(void) {
    wire_use_mode(CFA_STRIPE_CHECKOUT);
    ledger.path = "/v1/checkout/sessions";
    ledger.kind = "checkout.session";
}

#define PAID_INTENT                                                                                \
    "\"payment_intent\":{\"id\":\"pi_7\",\"object\":\"payment_intent\",\"amount\":1250,"           \
    "\"currency\":\"eur\",\"status\":\"succeeded\",\"amount_received\":1250},"

START_TEST(a_paid_page_is_read_with_its_intent) {
    use_sessions();
    add_odd(T0_S - HOUR_S, "cs_7", payment_id,
            "\"status\":\"complete\",\"payment_status\":\"paid\"," PAID_INTENT);
    for (int failing = 0; failing < 2; failing++) {
        for (int i = 0; failing && i < 3; i++) {
            peer_push(peer, PEER_SERVE, NULL);
        }
        if (failing) {
            peer_push_json(peer, 500, "", wire_error("\"type\":\"api_error\""));
        }
        wire_use_mode(CFA_STRIPE_CHECKOUT);
        cfa_reply reply = look_up(payment_id, failing != 0);
        ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
        ck_assert_str_eq(reply.facts.ref, "pi_7");
        ck_assert_str_eq(reply.facts.origin_ref, "cs_7");
        ck_assert_int_eq(reply.facts.captured_minor, 1250);
        ck_assert_ptr_nonnull(strstr(peer_request(peer, peer_count(peer) - 1),
                                     "GET /v1/checkout/sessions/cs_7?expand[]=payment_intent"));
    }
}
END_TEST

START_TEST(of_several_pages_the_paid_one_is_read) {
    use_sessions();
    static const char open[] =
        "\"status\":\"open\",\"payment_status\":\"unpaid\",\"payment_intent\":null,";
    add_odd(T0_S - HOUR_S, "cs_1", payment_id, open);
    add_odd(T0_S - HOUR_S, "cs_2", payment_id,
            "\"status\":\"complete\",\"payment_status\":\"paid\"," PAID_INTENT);
    add_odd(T0_S - HOUR_S, "cs_3", payment_id, open);
    cfa_reply reply = look_up(payment_id, false);
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    ck_assert_str_eq(reply.facts.origin_ref, "cs_2");
}
END_TEST

START_TEST(the_body_of_the_create_says_which_list_to_read) {
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    static const struct {
        const char *body, *path;
    } cases[] = { { "mode=payment&x=y", "GET /v1/checkout/sessions?" },
                  { "amount=1250&currency=eur", "GET /v1/payment_intents?" } };
    ledger.count = 10;
    for (int mode = 0; mode < 2; mode++) {
        wire_use_mode(mode == 0 ? CFA_STRIPE_CHECKOUT : CFA_STRIPE_INTENT);
        provider = cfa_stripe_provider(stripe);
        for (size_t i = 0; i < 2; i++) {
            cfa_call call = lookup_of(payment_id);
            cfa_reply reply = { .struct_size = sizeof reply };
            size_t before = peer_count(peer);
            call.body = (cfa_slice){ cases[i].body, strlen(cases[i].body) };
            provider->ops->call(provider->self, &call, arena, &reply);
            ck_assert_int_eq(reply.outcome, CFA_OUTCOME_NOT_SENT);
            ck_assert_uint_eq(peer_count(peer), before + 1);
            ck_assert_ptr_nonnull(strstr(peer_request(peer, before), cases[i].path));
        }
    }
}
END_TEST

START_TEST(a_window_that_ends_before_it_begins_proves_nothing) {
    cfa_call call = lookup_of(payment_id);
    call.created_until_us = call.created_from_us - 5000000;
    ck_assert_int_eq(wire_perform(call).outcome, CFA_OUTCOME_UNKNOWN);
    ck_assert_uint_eq(peer_count(peer), 0);
}
END_TEST

/* ---- spans ----------------------------------------------------------------------------------- */

#define LINE 300

START_TEST(spans_are_what_was_added) {
    srand(7);
    for (int round = 0; round < 2000; round++) {
        cfa__stripe_spans spans = { .count = 0 };
        bool line[LINE] = { false };
        for (int i = 0; i < 20; i++) {
            int64_t from_s = rand() % LINE, until_s = from_s + rand() % 12 - 2;
            until_s = until_s < LINE ? until_s : LINE - 1;
            cfa__stripe_spans_add(&spans, (cfa__stripe_span){ from_s, until_s });
            for (int64_t at = from_s; at <= until_s; at++) {
                line[at] = true;
            }
        }
        for (int32_t i = 1; i < spans.count; i++) {
            ck_assert_int_gt(spans.items[i].from_s, spans.items[i - 1].until_s + 1);
        }
        int64_t from_s = rand() % LINE, until_s = rand() % LINE, end_s = until_s;
        while (end_s >= from_s && line[end_s]) {
            end_s--;
        }
        int64_t begin_s = end_s;
        while (begin_s > from_s && !line[begin_s - 1]) {
            begin_s--;
        }
        cfa__stripe_span gap;
        bool found = cfa__stripe_spans_gap(&spans, (cfa__stripe_span){ from_s, until_s }, &gap);
        ck_assert_int_eq(found, end_s >= from_s);
        if (found) {
            ck_assert_int_eq(gap.from_s, begin_s);
            ck_assert_int_eq(gap.until_s, end_s);
        }
    }
}
END_TEST

START_TEST(spans_that_do_not_fit_are_forgotten_never_invented) {
    cfa__stripe_spans spans = { .count = 0 };
    for (int64_t i = 0; i < 3 * CFA__STRIPE_SPANS_MAX; i++) {
        cfa__stripe_spans_add(&spans, (cfa__stripe_span){ 100 * i, 100 * i + i % 50 });
    }
    ck_assert_int_eq(spans.count, CFA__STRIPE_SPANS_MAX);
    for (int32_t i = 0; i < spans.count; i++) {
        int64_t number = spans.items[i].from_s / 100;
        ck_assert_int_eq(spans.items[i].from_s, 100 * number);
        ck_assert_int_eq(spans.items[i].until_s, 100 * number + number % 50);
    }
}
END_TEST

/* ---- what is remembered ---------------------------------------------------------------------- */

static bool take(cfa__stripe_seen *seen, const char *payment, cfa__stripe_span window,
                 int64_t *out_seen_s, int64_t *out_found_s) {
    cfa__stripe_spans spans = { .count = 0 };
    bool found = cfa__stripe_seen_take(seen, "", false, cfa__stripe_seen_payment(payment), window,
                                       &spans, out_found_s);
    *out_seen_s = 0;
    for (int32_t i = 0; i < spans.count; i++) {
        *out_seen_s += spans.items[i].until_s - spans.items[i].from_s + 1;
    }
    return found;
}

START_TEST(payments_beyond_the_limit_are_forgotten_with_all_that_was_seen) {
    cfa__stripe_seen *seen = cfa__stripe_seen_new();
    static cfa__stripe_sightings page;
    char name[32];
    int64_t seen_s, found_s, known_s = 0;
    for (int64_t i = 0; i < CFA_STRIPE_LOOKUP_PAYMENTS_MAX + 1000; i += page.count) {
        page = (cfa__stripe_sightings){ .newest_s = 1000000, .oldest_s = i };
        while (page.count < CFA__STRIPE_PAGE_OBJECTS_MAX) {
            snprintf(name, sizeof name, "pay_%lld", (long long)(i + page.count));
            page.items[page.count++] = (cfa__stripe_sighting){ cfa__stripe_seen_payment(name), i };
        }
        cfa__stripe_seen_note(seen, "", false, &page, (cfa__stripe_span){ i, i + 99 }, 1000000);
        cfa__stripe_span window = { 0, 999999 };
        bool known = take(seen, "pay_0", window, &seen_s, &found_s);
        ck_assert(known || i >= CFA_STRIPE_LOOKUP_PAYMENTS_MAX - 100);
        if (!known) { /* then nothing is said of its second */
            ck_assert(!take(seen, "pay_0", (cfa__stripe_span){ 0, 0 }, &seen_s, &found_s));
            ck_assert_int_eq(seen_s, 0);
            known_s++;
        }
    }
    ck_assert_int_gt(known_s, 0);
    cfa__stripe_seen_free(seen);
}
END_TEST

START_TEST(only_what_two_clocks_call_settled_is_remembered) {
    cfa__stripe_seen *seen = cfa__stripe_seen_new();
    cfa__stripe_sightings page = { .newest_s = 10000, .oldest_s = 10000 };
    cfa__stripe_span window = { 0, 20000 };
    int64_t seen_s, found_s;
    cfa__stripe_seen_note(seen, "", false, &page, (cfa__stripe_span){ 5000, 20000 }, 99999);
    ck_assert(!take(seen, "pay_1", window, &seen_s, &found_s));
    ck_assert_int_eq(seen_s, 10000 - 600 - 5000 + 1);
    cfa__stripe_seen_free(seen);
    seen = cfa__stripe_seen_new();
    page.newest_s = 99999;
    cfa__stripe_seen_note(seen, "", false, &page, (cfa__stripe_span){ 5000, 20000 }, 10000);
    ck_assert(!take(seen, "pay_1", window, &seen_s, &found_s));
    ck_assert_int_eq(seen_s, 10000 - 600 - 5000 + 1);
    cfa__stripe_seen_free(seen);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stripe_lookup");
    TCase *all = tcase_create("lookup");
    tcase_add_checked_fixture(all, set_up, wire_tear_down);
    tcase_add_loop_test(all, a_page_that_fails_once_is_asked_for_again, 0,
                        (int)(sizeof failures / sizeof failures[0]));
    tcase_add_test(all, a_page_that_keeps_failing_leaves_the_outcome_unknown);
    tcase_add_test(all, a_provider_that_is_out_is_told_at_once);
    tcase_add_test(all, a_page_that_may_not_be_repeated_is_not);
    tcase_add_test(all, a_wait_that_is_too_long_ends_the_look_up);
    tcase_add_test(all, other_calls_go_on_while_a_page_waits_for_its_time);
    tcase_add_test(all, an_adapter_can_be_freed_while_a_page_waits);
    tcase_add_test(all, among_many_objects_one_is_found_and_none_is_proved);
    tcase_add_test(all, what_one_look_up_saw_others_need_not_read_again);
    tcase_add_test(all, look_ups_at_once_share_the_walk);
    tcase_add_test(all, a_look_up_that_was_cut_off_is_gone_on_with);
    tcase_add_test(all, what_may_still_change_is_read_again);
    tcase_add_test(all, what_is_known_is_not_told_before_the_provider_answers);
    tcase_add_test(all, pages_in_no_order_prove_nothing_before_their_end);
    tcase_add_test(all, pages_that_are_too_long_become_shorter);
    tcase_add_test(all, many_objects_of_one_second_are_all_seen);
    tcase_add_test(all, a_paid_page_is_read_with_its_intent);
    tcase_add_test(all, of_several_pages_the_paid_one_is_read);
    tcase_add_test(all, the_body_of_the_create_says_which_list_to_read);
    tcase_add_test(all, a_window_that_ends_before_it_begins_proves_nothing);
    suite_add_tcase(suite, all);
    TCase *pure = tcase_create("seen");
    tcase_add_test(pure, spans_are_what_was_added);
    tcase_add_test(pure, spans_that_do_not_fit_are_forgotten_never_invented);
    tcase_add_test(pure, payments_beyond_the_limit_are_forgotten_with_all_that_was_seen);
    tcase_add_test(pure, only_what_two_clocks_call_settled_is_remembered);
    suite_add_tcase(suite, pure);
    return wire_run(suite);
}
