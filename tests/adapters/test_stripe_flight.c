/*
 * test_stripe_flight.c - many calls at once: on one thread over start and finish, and from many
 * threads while secrets are rolled.
 */
#include "stripe_wire.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define FLIGHTS 1000
#define THREADS 8
#define CALLS_PER_THREAD 50

static const cfa_provider_ops *ops;
static void *self;

static void set_up(void) {
    wire_set_up();
    ops = cfa_stripe_provider(stripe)->ops;
    self = cfa_stripe_provider(stripe)->self;
}

static void use(const cfa_stripe_options *options) {
    wire_use(options);
    ops = cfa_stripe_provider(stripe)->ops;
    self = cfa_stripe_provider(stripe)->self;
}

/* Both ends of a thousand connections are in this process. */
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_gt(limit.rlim_cur, 2 * FLIGHTS + 100);
}

static void answer_always(const char *intent) {
    char *answer = peer_format(200, "", intent);
    peer_always(peer, PEER_ANSWER, answer);
    free(answer);
}

static cfa_call calls[FLIGHTS];
static cfa_reply replies[FLIGHTS];

static void start(size_t index) {
    calls[index] = wire_call(CFA_CALL_RETRIEVE);
    ck_assert_int_eq(ops->start(self, &calls[index], arena, &replies[index], index), CFA_OK);
}

/* Finish as a host's loop does: by the descriptor and the next due time. */
static size_t finish_all(size_t expected) {
    static bool seen[FLIGHTS];
    memset(seen, 0, sizeof seen);
    size_t finished = 0;
    uint64_t token;
    while (finished < expected) {
        struct pollfd descriptor = { ops->descriptor(self), POLLIN, 0 };
        int32_t due_ms = ops->next_due_ms(self);
        ck_assert_int_ge(due_ms, 0);
        (void)poll(&descriptor, 1, due_ms);
        while (ops->finish(self, &token, 0)) {
            ck_assert_uint_lt(token, FLIGHTS);
            ck_assert(!seen[token]);
            seen[token] = true;
            finished++;
        }
    }
    return finished;
}

START_TEST(a_thousand_calls_are_in_flight_at_once_on_one_thread) {
    raise_descriptor_limit();
    answer_always(wire_intent("\"status\":\"processing\","));
    peer_hold(peer, FLIGHTS); /* not one is answered before all are there */
    for (size_t i = 0; i < FLIGHTS; i++) {
        start(i);
    }
    ck_assert_uint_eq(finish_all(FLIGHTS), FLIGHTS);
    for (size_t i = 0; i < FLIGHTS; i++) {
        ck_assert_int_eq(replies[i].outcome, CFA_OUTCOME_DONE);
        ck_assert_int_eq(replies[i].facts.flags, CFA_FACT_PROCESSING);
    }
    ck_assert_int_eq(ops->next_due_ms(self), -1);
    ck_assert_uint_eq(peer_count(peer), FLIGHTS);
    /* And their connections are used again. */
    size_t connections = peer_connections(peer);
    for (size_t i = 0; i < FLIGHTS; i++) {
        start(i);
    }
    ck_assert_uint_eq(finish_all(FLIGHTS), FLIGHTS);
    ck_assert_uint_eq(peer_connections(peer), connections);
}
END_TEST

START_TEST(more_calls_than_the_limit_are_refused_before_anything_is_sent) {
    cfa_stripe_options options = wire_options();
    options.in_flight_limit = 2;
    use(&options);
    answer_always(wire_intent("\"status\":\"processing\","));
    start(0);
    start(1);
    calls[2] = wire_call(CFA_CALL_RETRIEVE);
    ck_assert_int_eq(ops->start(self, &calls[2], arena, &replies[2], 2), CFA_EQUEUE);
    ck_assert_uint_eq(finish_all(2), 2);
    ck_assert_uint_eq(peer_count(peer), 2);
    start(2);
    uint64_t token = 0;
    ck_assert_int_eq(ops->finish(self, &token, PATIENCE_MS), 1);
    ck_assert_uint_eq(token, 2);
}
END_TEST

START_TEST(finish_waits_no_longer_than_it_may) {
    uint64_t token = 99;
    ck_assert_int_eq(ops->finish(self, &token, 10000), 0); /* nothing is in flight */
    start(0);
    ck_assert_int_eq(ops->finish(self, &token, 50), 0); /* the peer is silent */
    ck_assert_int_eq(ops->finish(self, &token, 0), 0);
    ck_assert_uint_eq(token, 99);
}
END_TEST

START_TEST(a_call_that_cannot_be_made_comes_back_by_its_token) {
    calls[0] = wire_call(CFA_CALL_CREATE);
    calls[0].idempotency_key = NULL;
    ck_assert_int_eq(ops->start(self, &calls[0], arena, &replies[0], 5), CFA_OK);
    ck_assert_int_eq(ops->next_due_ms(self), 0);
    uint64_t token = 0;
    ck_assert_int_eq(ops->finish(self, &token, 0), 1);
    ck_assert_uint_eq(token, 5);
    ck_assert_int_eq(replies[0].outcome, CFA_OUTCOME_NOT_SENT);
}
END_TEST

START_TEST(freeing_the_adapter_cuts_calls_off) {
    for (size_t i = 0; i < 20; i++) {
        start(i);
    }
    wire_drive(20);
    cfa_stripe_free(stripe);
    stripe = NULL;
    for (size_t i = 0; i < 20; i++) {
        ck_assert_int_eq(replies[i].outcome, CFA_OUTCOME_UNKNOWN);
    }
}
END_TEST

START_TEST(each_of_many_flights_has_its_own_misfortune) {
    char *answer = peer_format(200, "", wire_intent("\"status\":\"processing\","));
    static const peer_deed deeds[] = { PEER_ANSWER, PEER_RESET, PEER_ANSWER_AND_CLOSE, PEER_CLOSE };
    for (size_t i = 0; i < 100; i++) {
        peer_push(peer, deeds[i % 4], answer);
    }
    free(answer);
    for (size_t i = 0; i < 100; i++) {
        start(i);
    }
    ck_assert_uint_eq(finish_all(100), 100);
    size_t done = 0, unknown = 0;
    for (size_t i = 0; i < 100; i++) {
        done += replies[i].outcome == CFA_OUTCOME_DONE;
        unknown += replies[i].outcome == CFA_OUTCOME_UNKNOWN;
    }
    ck_assert_uint_eq(done, 50);
    ck_assert_uint_eq(unknown, 50);
}
END_TEST

START_TEST(a_call_keeps_the_key_it_began_with) {
    char *page = peer_format(
        200, "", "{\"object\":\"list\",\"has_more\":true,\"data\":[{\"id\":\"pi_9\"}]}");
    char *end = peer_format(200, "", "{\"object\":\"list\",\"has_more\":false,\"data\":[]}");
    peer_hold(peer, 2);
    calls[0] = wire_call(CFA_CALL_LOOKUP);
    calls[1] = wire_call(CFA_CALL_RETRIEVE);
    peer_push(peer, PEER_ANSWER, page);
    peer_push(peer, PEER_ANSWER, page);
    peer_push(peer, PEER_ANSWER, end);
    free(page);
    free(end);
    ck_assert_int_eq(ops->start(self, &calls[0], arena, &replies[0], 0), CFA_OK);
    wire_drive(1);
    ck_assert_int_eq(cfa_stripe_secrets_set(stripe, "sk_test_second", NULL, 0), CFA_OK);
    ck_assert_int_eq(ops->start(self, &calls[1], arena, &replies[1], 1), CFA_OK);
    ck_assert_uint_eq(finish_all(2), 2);
    ck_assert_int_eq(replies[0].outcome, CFA_OUTCOME_NOT_SENT);
    ck_assert_uint_eq(peer_count(peer), 3);
    for (size_t i = 0; i < 3; i++) {
        const char *request = peer_request(peer, i);
        bool is_lookup = strstr(request, "limit=") != NULL;
        ck_assert_ptr_nonnull(
            strstr(request, is_lookup ? "Bearer " SECRET_KEY "\r" : "Bearer sk_test_second\r"));
    }
}
END_TEST

/* ---- threads --------------------------------------------------------------------------------- */

static atomic_bool rolling;
static atomic_int wrong;

static void *make_calls(void *user) {
    (void)user;
    for (int i = 0; i < CALLS_PER_THREAD; i++) {
        cfa_arena *own;
        if (cfa_arena_new(&own) != CFA_OK) {
            atomic_fetch_add(&wrong, 1);
            return NULL;
        }
        cfa_call call = wire_call(CFA_CALL_RETRIEVE);
        cfa_reply reply = { .struct_size = sizeof reply };
        ops->call(self, &call, own, &reply);
        if (reply.outcome != CFA_OUTCOME_DONE || strcmp(reply.facts.ref, "pi_1") != 0) {
            atomic_fetch_add(&wrong, 1);
        }
        cfa_arena_free(own);
    }
    return NULL;
}

static void *roll(void *user) {
    (void)user;
    static const char *const keys[] = { "sk_test_first", "sk_test_second" };
    static const char *const signing[] = { "whsec_one", "whsec_two" };
    for (size_t i = 0; atomic_load(&rolling); i++) {
        if (cfa_stripe_secrets_set(stripe, keys[i % 2], signing, 1 + i % 2) != CFA_OK) {
            atomic_fetch_add(&wrong, 1);
        }
    }
    return NULL;
}

static void *fly(void *user) {
    (void)user;
    for (int i = 0; i < CALLS_PER_THREAD; i++) {
        cfa_arena *own;
        uint64_t token = 0;
        cfa_call call = wire_call(CFA_CALL_RETRIEVE);
        cfa_reply reply = { .struct_size = sizeof reply };
        if (cfa_arena_new(&own) != CFA_OK) {
            atomic_fetch_add(&wrong, 1);
            return NULL;
        }
        if (ops->start(self, &call, own, &reply, 1) != CFA_OK ||
            !ops->finish(self, &token, PATIENCE_MS) || reply.outcome != CFA_OUTCOME_DONE) {
            atomic_fetch_add(&wrong, 1);
        }
        cfa_arena_free(own);
    }
    return NULL;
}

START_TEST(many_threads_call_while_secrets_are_rolled) {
    answer_always(wire_intent("\"status\":\"processing\","));
    atomic_store(&rolling, true);
    atomic_store(&wrong, 0);
    pthread_t threads[THREADS], roller, flyer;
    ck_assert_int_eq(pthread_create(&roller, NULL, roll, NULL), 0);
    ck_assert_int_eq(pthread_create(&flyer, NULL, fly, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, make_calls, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_join(flyer, NULL);
    atomic_store(&rolling, false);
    pthread_join(roller, NULL);
    ck_assert_int_eq(atomic_load(&wrong), 0);
    ck_assert_uint_eq(peer_count(peer), (THREADS + 1) * CALLS_PER_THREAD);
    ck_assert_uint_le(peer_connections(peer), THREADS + 1);
    for (size_t i = 0; i < peer_count(peer); i++) {
        const char *request = peer_request(peer, i);
        ck_assert(strstr(request, "Bearer sk_test_first\r") != NULL ||
                  strstr(request, "Bearer sk_test_second\r") != NULL ||
                  strstr(request, "Bearer " SECRET_KEY "\r") != NULL);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stripe_flight");
    TCase *all = tcase_create("flight");
    tcase_add_checked_fixture(all, set_up, wire_tear_down);
    tcase_add_test(all, a_thousand_calls_are_in_flight_at_once_on_one_thread);
    tcase_add_test(all, more_calls_than_the_limit_are_refused_before_anything_is_sent);
    tcase_add_test(all, finish_waits_no_longer_than_it_may);
    tcase_add_test(all, a_call_that_cannot_be_made_comes_back_by_its_token);
    tcase_add_test(all, freeing_the_adapter_cuts_calls_off);
    tcase_add_test(all, each_of_many_flights_has_its_own_misfortune);
    tcase_add_test(all, a_call_keeps_the_key_it_began_with);
    tcase_add_test(all, many_threads_call_while_secrets_are_rolled);
    suite_add_tcase(suite, all);
    return wire_run(suite);
}
