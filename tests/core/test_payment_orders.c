/*
 * test_payment_orders.c - the order in which a provider's reports arrive does not matter: all 5040
 * orders of seven reports for each of several histories, and every record that a catalogue of facts
 * can reach.
 */
#include "core/payment_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORTS 7
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A fixed sequence, so that a failure repeats (xorshift64). */
static uint64_t random_state;

static size_t random_below(size_t bound) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % bound);
}

/* ---- histories ------------------------------------------------------------------------------- */

typedef struct history {
    const char *name;
    cfa_payment_state state;
    int64_t flags;
    int64_t raised_minor;
    bool notices_vary; /* which notices were sent on the way depends on the order */
    cfa_facts reports[REPORTS];
} history;

#define EUR10                                                                                      \
    { ASKED_MINOR, "EUR" }
#define REPORT(...)                                                                                \
    { .struct_size = sizeof(cfa_facts), .ref = "pi_1", .amount = EUR10, __VA_ARGS__ }

static const history histories[] = {
    { "two-step with automatic capture",
      CFA_PAYMENT_COMPLETED,
      0,
      1000,
      false,
      { REPORT(.occurred_us = 1),
        REPORT(.flags = CFA_FACT_NEEDS_ACTION, .attempt = 1, .occurred_us = 2),
        REPORT(.flags = CFA_FACT_PROCESSING, .attempt = 1, .occurred_us = 3),
        REPORT(.authorized_minor = 1000, .attempt = 1, .occurred_us = 4),
        REPORT(.authorized_minor = 1000, .captured_minor = 1000, .attempt = 1, .occurred_us = 5),
        REPORT(.flags = CFA_FACT_SUCCEEDED, .captured_minor = 1000, .attempt = 1, .occurred_us = 6),
        REPORT(.flags = CFA_FACT_SUCCEEDED, .authorized_minor = 1000, .captured_minor = 1000,
               .attempt = 1, .occurred_us = 7) } },
    { "manual capture",
      CFA_PAYMENT_COMPLETED,
      0,
      1000,
      true,
      { REPORT(.occurred_us = 1),
        REPORT(.flags = CFA_FACT_PROCESSING, .attempt = 1, .occurred_us = 2),
        REPORT(.authorized_minor = 600, .attempt = 1, .occurred_us = 3),
        REPORT(.authorized_minor = 1000, .attempt = 1, .occurred_us = 4),
        REPORT(.authorized_minor = 1000, .flags = CFA_FACT_PROCESSING, .attempt = 1,
               .occurred_us = 8),
        REPORT(.authorized_minor = 1000, .captured_minor = 1000, .attempt = 1, .occurred_us = 9),
        REPORT(.flags = CFA_FACT_SUCCEEDED, .attempt = 1, .occurred_us = 9) } },
    { "two declines, then success",
      CFA_PAYMENT_COMPLETED,
      0,
      1000,
      false,
      { REPORT(.occurred_us = 1),
        REPORT(.flags = CFA_FACT_FAILED, .failure_code = "card_declined", .attempt = 1,
               .occurred_us = 2),
        REPORT(.flags = CFA_FACT_FAILED, .failure_code = "expired_card", .attempt = 2,
               .occurred_us = 2),
        REPORT(.attempt = 3, .occurred_us = 3),
        REPORT(.flags = CFA_FACT_PROCESSING, .attempt = 3, .occurred_us = 3),
        REPORT(.captured_minor = 1000, .attempt = 3, .occurred_us = 4),
        REPORT(.flags = CFA_FACT_SUCCEEDED, .captured_minor = 1000, .attempt = 3,
               .occurred_us = 4) } },
    { "decline then success, attempts unknown",
      CFA_PAYMENT_COMPLETED,
      0,
      1000,
      true,
      { REPORT(.occurred_us = 1),
        REPORT(.flags = CFA_FACT_FAILED, .failure_code = "card_declined", .occurred_us = 2),
        REPORT(.flags = CFA_FACT_NEEDS_ACTION, .occurred_us = 2),
        REPORT(.flags = CFA_FACT_PROCESSING, .occurred_us = 3),
        REPORT(.authorized_minor = 1000, .occurred_us = 3),
        REPORT(.captured_minor = 1000, .occurred_us = 4),
        REPORT(.flags = CFA_FACT_SUCCEEDED, .occurred_us = 4) } },
    { "3-D Secure refused at last",
      CFA_PAYMENT_FAILED,
      0,
      0,
      false,
      { REPORT(.occurred_us = 1),
        REPORT(.flags = CFA_FACT_NEEDS_ACTION, .attempt = 1, .occurred_us = 2),
        REPORT(.flags = CFA_FACT_FAILED, .failure_code = "authentication_failed", .attempt = 1,
               .occurred_us = 3),
        REPORT(.attempt = 2, .occurred_us = 4),
        REPORT(.flags = CFA_FACT_NEEDS_ACTION, .attempt = 2, .occurred_us = 4),
        REPORT(.flags = CFA_FACT_PROCESSING, .attempt = 2, .occurred_us = 5),
        REPORT(.flags = CFA_FACT_FAILED, .failure_code = "card_declined", .attempt = 2,
               .occurred_us = 6) } },
    { "cancel that races success",
      CFA_PAYMENT_COMPLETED,
      CFA_PAYMENT_FLAG_LATE,
      1000,
      false,
      { REPORT(.flags = CFA_FACT_NEEDS_ACTION, .attempt = 1, .occurred_us = 2),
        REPORT(.flags = CFA_FACT_PROCESSING, .attempt = 1, .occurred_us = 3),
        REPORT(.flags = CFA_FACT_CANCELED, .occurred_us = 5),
        REPORT(.flags = CFA_FACT_CANCELED, .cancel_reason = "requested_by_customer",
               .occurred_us = 4),
        REPORT(.authorized_minor = 1000, .attempt = 1, .occurred_us = 4),
        REPORT(.authorized_minor = 1000, .captured_minor = 1000, .attempt = 1, .occurred_us = 5),
        REPORT(.flags = CFA_FACT_SUCCEEDED, .captured_minor = 1000, .attempt = 1,
               .occurred_us = 6) } },
    { "expiry, then late success",
      CFA_PAYMENT_COMPLETED,
      CFA_PAYMENT_FLAG_LATE,
      1000,
      false,
      { REPORT(.authorized_minor = 1000, .attempt = 1, .occurred_us = 2),
        REPORT(.flags = CFA_FACT_CANCELED, .occurred_us = 3),
        REPORT(.flags = CFA_FACT_CANCELED, .cancel_reason = "automatic", .occurred_us = 3),
        REPORT(.flags = CFA_FACT_EXPIRED, .occurred_us = 3),
        REPORT(.flags = CFA_FACT_EXPIRED, .cancel_reason = "expired", .authorized_minor = 1000,
               .occurred_us = 4),
        REPORT(.captured_minor = 1000, .attempt = 1, .occurred_us = 9),
        REPORT(.flags = CFA_FACT_SUCCEEDED, .attempt = 1, .occurred_us = 9) } },
    { "partial capture",
      CFA_PAYMENT_COMPLETED,
      0,
      700,
      false,
      { REPORT(.occurred_us = 1),
        REPORT(.flags = CFA_FACT_NEEDS_ACTION, .attempt = 1, .occurred_us = 2),
        REPORT(.authorized_minor = 1000, .attempt = 1, .occurred_us = 3),
        REPORT(.authorized_minor = 1000, .captured_minor = 300, .attempt = 1, .occurred_us = 4),
        REPORT(.captured_minor = 500, .attempt = 1, .occurred_us = 5),
        REPORT(.authorized_minor = 1000, .captured_minor = 700, .attempt = 1, .occurred_us = 6),
        REPORT(.flags = CFA_FACT_SUCCEEDED, .captured_minor = 700, .attempt = 1,
               .occurred_us = 6) } },
    { "a hold refused at capture, held again",
      CFA_PAYMENT_AUTHORIZED,
      0,
      0,
      false,
      { REPORT(.flags = CFA_FACT_NEEDS_ACTION, .attempt = 1, .occurred_us = 1),
        REPORT(.authorized_minor = 1000, .attempt = 1, .occurred_us = 2),
        REPORT(.flags = CFA_FACT_FAILED, .authorized_minor = 1000,
               .failure_code = "capture_refused", .attempt = 1, .occurred_us = 3),
        REPORT(.attempt = 2, .occurred_us = 4),
        REPORT(.flags = CFA_FACT_NEEDS_ACTION, .attempt = 2, .occurred_us = 5),
        REPORT(.flags = CFA_FACT_PROCESSING, .attempt = 2, .occurred_us = 6),
        REPORT(.authorized_minor = 800, .attempt = 2, .occurred_us = 7) } },
    { "amounts that contradict",
      CFA_PAYMENT_CAPTURED,
      CFA_PAYMENT_FLAG_CONFLICT,
      900,
      false,
      { REPORT(.attempt = 1, .occurred_us = 1),
        REPORT(.flags = CFA_FACT_PROCESSING, .attempt = 1, .occurred_us = 2),
        REPORT(.authorized_minor = 300, .attempt = 1, .occurred_us = 3),
        REPORT(.captured_minor = 900, .attempt = 1, .occurred_us = 4),
        REPORT(.authorized_minor = 600, .attempt = 1, .occurred_us = 5),
        REPORT(.captured_minor = 800, .attempt = 1, .occurred_us = 6),
        { .struct_size = sizeof(cfa_facts),
          .amount = { 900, "EUR" },
          .flags = CFA_FACT_SUCCEEDED } } },
};

/* Heap's method, one step: false after the last order. */
static bool next_order(size_t order[REPORTS], size_t counters[REPORTS], size_t *level) {
    while (*level < REPORTS) {
        if (counters[*level] < *level) {
            size_t other = *level % 2 == 0 ? 0 : counters[*level];
            size_t kept = order[other];
            order[other] = order[*level];
            order[*level] = kept;
            counters[*level]++;
            *level = 1;
            return true;
        }
        counters[*level] = 0;
        (*level)++;
    }
    return false;
}

/* Apply the reports in one order, each followed by redeliveries of some that came before. */
static cfa__payment replay(const history *past, const size_t order[REPORTS], cfa_arena *arena) {
    cfa__payment payment = payment_new();
    int conflicts = 0, late = 0;
    for (size_t i = 0; i < REPORTS; i++) {
        cfa__reduction reduction = payment_apply(&payment, &past->reports[order[i]], arena);
        conflicts += reduction.notices[0].event == CFA__EVENT_PAYMENT_CONFLICT;
        late += reduction.notices[0].event == CFA__EVENT_PAYMENT_LATE_SUCCESS;
        while (random_below(3) == 0) {
            cfa__payment before = payment;
            reduction = payment_apply(&payment, &past->reports[order[random_below(i + 1)]], arena);
            require(reduction.verdict == CFA_WEBHOOK_STALE ||
                    reduction.verdict == CFA_WEBHOOK_QUARANTINED);
            require(reduction.step_count == 0 && reduction.notices[0].event == 0);
            require(payment_equals(&before, &payment));
        }
    }
    if (!past->notices_vary) {
        require(conflicts == ((past->flags & CFA_PAYMENT_FLAG_CONFLICT) != 0));
        require(late == ((past->flags & CFA_PAYMENT_FLAG_LATE) != 0));
    }
    return payment;
}

START_TEST(all_orders_of_seven_reports_end_equal) {
    const history *past = &histories[_i];
    cfa_arena *kept, *scratch;
    ck_assert_int_eq(cfa_arena_new(&kept), CFA_OK);
    ck_assert_int_eq(cfa_arena_new(&scratch), CFA_OK);
    random_state = 0x9e3779b97f4a7c15u;

    size_t order[REPORTS] = { 0, 1, 2, 3, 4, 5, 6 }, counters[REPORTS] = { 0 }, level = 1;
    cfa__payment expected = replay(past, order, kept);
    ck_assert_msg(expected.state == past->state, "%s: %s", past->name,
                  state_name((cfa_payment_state)expected.state));
    ck_assert_int_eq(expected.flags, past->flags);
    ck_assert_int_eq(cfa__payment_buckets(&expected).raised_minor, past->raised_minor);

    int orders = 1;
    while (next_order(order, counters, &level)) {
        cfa__payment payment = replay(past, order, scratch);
        if (!payment_equals(&expected, &payment))
            ck_abort_msg("%s: order %zu%zu%zu%zu%zu%zu%zu ends in %s", past->name, order[0],
                         order[1], order[2], order[3], order[4], order[5], order[6],
                         state_name((cfa_payment_state)payment.state));
        cfa_arena_reset(scratch);
        orders++;
    }
    ck_assert_int_eq(orders, 5040);
    cfa_arena_free(scratch);
    cfa_arena_free(kept);
}
END_TEST

/* ---- a small world, exhausted ---------------------------------------------------------------- */

#define FACT(...)                                                                                  \
    { .struct_size = sizeof(cfa_facts), __VA_ARGS__ }

static const cfa_facts catalogue[] = {
    FACT(.flags = CFA_FACT_NEEDS_ACTION, .attempt = 1, .occurred_us = 10),
    FACT(.flags = CFA_FACT_NEEDS_ACTION, .attempt = 2, .occurred_us = 10),
    FACT(.flags = CFA_FACT_PROCESSING, .attempt = 1, .occurred_us = 10),
    FACT(.flags = CFA_FACT_PROCESSING, .attempt = 1, .occurred_us = 20),
    FACT(.flags = CFA_FACT_PROCESSING, .attempt = 2, .occurred_us = 5),
    FACT(.flags = CFA_FACT_FAILED, .failure_code = "card_declined", .attempt = 1,
         .occurred_us = 10),
    FACT(.flags = CFA_FACT_FAILED, .failure_code = "card", .occurred_us = 10),
    FACT(.flags = CFA_FACT_FAILED, .attempt = 2, .occurred_us = 30),
    FACT(.attempt = 2),
    FACT(.attempt = 3, .occurred_us = 1),
    FACT(.authorized_minor = 300, .attempt = 1, .occurred_us = 40),
    FACT(.authorized_minor = 600, .attempt = 2, .occurred_us = 60),
    FACT(.authorized_minor = 1000),
    FACT(.flags = CFA_FACT_FAILED, .authorized_minor = 300, .attempt = 1, .occurred_us = 15),
    FACT(.flags = CFA_FACT_FAILED, .authorized_minor = 600, .attempt = 2, .occurred_us = 70),
    FACT(.flags = CFA_FACT_PROCESSING, .authorized_minor = 300, .occurred_us = 50),
    FACT(.captured_minor = 300),
    FACT(.captured_minor = 500, .authorized_minor = 500, .attempt = 2),
    FACT(.flags = CFA_FACT_SUCCEEDED, .captured_minor = 500),
    FACT(.flags = CFA_FACT_SUCCEEDED, .attempt = 2),
    FACT(.flags = CFA_FACT_CANCELED, .occurred_us = 45),
    FACT(.flags = CFA_FACT_CANCELED, .cancel_reason = "requested_by_customer", .occurred_us = 50),
    FACT(.flags = CFA_FACT_CANCELED, .cancel_reason = "duplicate"),
    FACT(.flags = CFA_FACT_CANCELED, .cancel_reason = "abandoned", .authorized_minor = 300),
    FACT(.flags = CFA_FACT_EXPIRED, .occurred_us = 44),
    FACT(.flags = CFA_FACT_SUCCEEDED | CFA_FACT_CANCELED, .cancel_reason = "expired"),
    FACT(.amount = { 5, "EUR" }, .flags = CFA_FACT_SUCCEEDED),
};

START_TEST(every_triple_commutes) {
    static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                      { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
    cfa_arena *arena;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    for (size_t a = 0; a < COUNT(catalogue); a++) {
        for (size_t b = a; b < COUNT(catalogue); b++) {
            for (size_t c = b; c < COUNT(catalogue); c++) {
                const size_t chosen[3] = { a, b, c };
                cfa__payment expected;
                for (size_t i = 0; i < COUNT(orders); i++) {
                    cfa__payment payment = payment_new();
                    for (size_t k = 0; k < 3; k++)
                        (void)payment_apply(&payment, &catalogue[chosen[orders[i][k]]], arena);
                    if (i == 0)
                        expected = payment;
                    if (!payment_equals(&expected, &payment))
                        ck_abort_msg("facts %zu, %zu and %zu", a, b, c);
                }
                cfa_arena_reset(arena);
            }
        }
    }
    cfa_arena_free(arena);
}
END_TEST

/* Every record that can be reached, found through a hash table of positions (0: free). */
enum { RECORDS_MAX = 1 << 19, SLOTS = RECORDS_MAX * 2 };
static cfa__payment *records;
static uint32_t *slots;
static size_t record_count;

static uint64_t mix(uint64_t hash, uint64_t value) {
    return (hash ^ value) * UINT64_C(0x100000001b3);
}

static uint64_t mix_text(uint64_t hash, cfa_slice text) {
    const unsigned char *bytes = text.data;
    for (size_t i = 0; i < text.size; i++)
        hash = mix(hash, bytes[i]);
    return mix(hash, text.size);
}

static uint64_t payment_hash(const cfa__payment *payment) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const int64_t numbers[] = { payment->durable,          payment->authorized_minor,
                                payment->captured_minor,   payment->hold,
                                payment->canceled_us,      payment->volatile_fact,
                                payment->volatile_attempt, payment->volatile_us };
    for (size_t i = 0; i < COUNT(numbers); i++)
        hash = mix(hash, (uint64_t)numbers[i]);
    hash = mix_text(mix_text(hash, payment->cancel_reason), payment->failure_code);
    return hash ^ hash >> 32;
}

static cfa_slice keep(cfa_slice text, cfa_arena *arena) {
    if (text.data != NULL) {
        text.data = cfa_arena_copy(arena, text.data, text.size);
        require(text.data != NULL);
    }
    return text;
}

static void remember(const cfa__payment *payment, cfa_arena *arena) {
    size_t slot = payment_hash(payment) % SLOTS;
    for (; slots[slot] != 0; slot = (slot + 1) % SLOTS) {
        if (payment_equals(&records[slots[slot] - 1], payment))
            return;
    }
    require(record_count < RECORDS_MAX);
    cfa__payment *kept = &records[record_count++];
    *kept = *payment;
    kept->cancel_reason = keep(payment->cancel_reason, arena);
    kept->failure_code = keep(payment->failure_code, arena);
    slots[slot] = (uint32_t)record_count;
}

/* From one record: a fact applied twice changes nothing the second time, and every two facts
 * commute. */
static void check_record(const cfa__payment *record, cfa_arena *kept, cfa_arena *scratch) {
    cfa__payment after[COUNT(catalogue)];
    for (size_t i = 0; i < COUNT(catalogue); i++) {
        after[i] = *record;
        (void)payment_apply(&after[i], &catalogue[i], scratch);
        cfa__payment again = after[i];
        cfa__reduction reduction = payment_apply(&again, &catalogue[i], scratch);
        require(reduction.verdict != CFA_WEBHOOK_APPLIED);
        require(payment_equals(&after[i], &again));
        remember(&after[i], kept);
    }
    for (size_t a = 0; a < COUNT(catalogue); a++) {
        for (size_t b = 0; b < a; b++) {
            cfa__payment first = after[a], second = after[b];
            (void)payment_apply(&first, &catalogue[b], scratch);
            (void)payment_apply(&second, &catalogue[a], scratch);
            require(payment_equals(&first, &second));
        }
    }
    cfa_arena_reset(scratch);
}

START_TEST(from_every_reachable_record_every_fact_walks_legally_and_every_pair_commutes) {
    cfa_arena *kept, *scratch;
    ck_assert_int_eq(cfa_arena_new(&kept), CFA_OK);
    ck_assert_int_eq(cfa_arena_new(&scratch), CFA_OK);
    records = calloc(RECORDS_MAX, sizeof(*records));
    slots = calloc(SLOTS, sizeof(*slots));
    ck_assert(records != NULL && slots != NULL);

    cfa__payment fresh = payment_new();
    remember(&fresh, kept);
    for (size_t i = 0; i < record_count; i++)
        check_record(&records[i], kept, scratch);
    printf("%zu records, %zu facts each\n", record_count, COUNT(catalogue));

    uint32_t states = 0;
    for (size_t i = 0; i < record_count; i++)
        states |= 1u << records[i].state;
    ck_assert_uint_eq(states, 0x3fe);
    free(slots);
    free(records);
    cfa_arena_free(scratch);
    cfa_arena_free(kept);
}
END_TEST

static Suite *payment_orders_suite(void) {
    Suite *suite = suite_create("payment_orders");
    TCase *orders = tcase_create("orders");
    tcase_add_loop_test(orders, all_orders_of_seven_reports_end_equal, 0, (int)COUNT(histories));
    suite_add_tcase(suite, orders);
    TCase *exhaustive = tcase_create("exhaustive");
    tcase_add_test(exhaustive, every_triple_commutes);
    tcase_add_test(exhaustive,
                   from_every_reachable_record_every_fact_walks_legally_and_every_pair_commutes);
    suite_add_tcase(suite, exhaustive);
    return suite;
}

/* An argument names the one case to run. */
int main(int argc, char **argv) {
    SRunner *runner = srunner_create(payment_orders_suite());
    srunner_run(runner, NULL, argc > 1 ? argv[1] : NULL, CK_NORMAL);
    bool good = srunner_ntests_failed(runner) == 0 && srunner_ntests_run(runner) > 0;
    srunner_free(runner);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
