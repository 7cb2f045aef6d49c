/*
 * test_engine_webhook.c - what a provider reports, in every order, twice, too early, forged or
 * wrong: the same facts have the same effect, once.
 */
#include "support/book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/payment_machine.h"
#include "core/payment_facts.h"

#define REPORTS 7

/* ---- a provider whose object ids are known beforehand ---------------------------------------- */

static cfa_status plain_prepare(void *self, const cfa_call *call, cfa_arena *arena,
                                cfa_slice *out_body) {
    (void)self;
    (void)call;
    (void)arena;
    *out_body = (cfa_slice){ "", 0 };
    return CFA_OK;
}

static void plain_call(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    (void)self;
    if (call->kind != CFA_CALL_CREATE && call->kind != CFA_CALL_RETRIEVE)
        return; /* nobody knows */
    char ref[64];
    snprintf(ref, sizeof ref, "pi_%s", call->payment_id);
    out->outcome = CFA_OUTCOME_DONE;
    out->facts.ref = cfa_arena_copy(arena, ref, strlen(ref));
    out->facts.amount = call->amount;
    /* Asked again it knows the object and nothing of its money: facts come by reports alone. */
    out->client_secret = call->kind == CFA_CALL_CREATE ? "secret" : NULL;
}

static const cfa_provider_ops plain_ops = {
    .struct_size = sizeof plain_ops,
    .name = "plain",
    .capabilities = CFA_PROVIDER_TWO_STEP,
    .prepare = plain_prepare,
    .call = plain_call,
};

static const cfa_provider plain_provider = { &plain_ops, NULL };

/* Reports about one pledge's payment are told by their number. */
static cfa_webhook_verdict report(struct book *book, const cfa_pledge *pledge, int number,
                                  const cfa_facts *facts) {
    char id[64], ref[64];
    snprintf(id, sizeof id, "evt_%s_%d", cfa_pledge_payment_id(pledge), number);
    snprintf(ref, sizeof ref, "pi_%s", cfa_pledge_payment_id(pledge));
    cfa_webhook_event event = { .struct_size = sizeof event,
                                .event_id = id,
                                .event_type = "report",
                                .account = "",
                                .relevant = 1,
                                .facts = *facts };
    event.facts.ref = ref;
    cfa_webhook_verdict verdict = 0;
    cfa_status status = cfa_webhook_accept(&verdict, book->engine, &event, 0);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    return verdict;
}

static cfa_pledge *plain_pledge(struct book *book, const char *key, cfa_wait wait) {
    cfa_pledge_spec spec = gift(book, key, ASKED_MINOR);
    spec.wait = wait;
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book->engine, &spec), CFA_OK);
    return pledge;
}

static void plain_open(struct book *book, int store) {
    book_prepare(book, store);
    book->options.provider = &plain_provider;
    book_start(book);
}

static void expect_legal_walk(struct book *book, const cfa_pledge *pledge) {
    cfa_transition_list *list;
    ck_assert_int_eq(cfa_payment_history(&list, book->engine, cfa_pledge_payment_id(pledge)),
                     CFA_OK);
    cfa_payment_state at = 0;
    for (size_t i = 0; i < cfa_transition_list_size(list); i++) {
        cfa_payment_state from = cfa_transition_from(list, i), to = cfa_transition_to(list, i);
        require(from == at);
        require(i == 0 ? to == CFA_PAYMENT_PENDING : cfa__payment_step_is_legal(from, to));
        at = to;
    }
    require(at == state_of(book->engine, pledge));
    cfa_transition_list_free(list);
}

/* ---- all orders ------------------------------------------------------------------------------ */

#define REPORT(...)                                                                                \
    { .struct_size = sizeof(cfa_facts), .amount = { ASKED_MINOR, "EUR" }, __VA_ARGS__ }

static const struct past {
    cfa_payment_state state;
    uint32_t flags;
    int64_t raised_minor;
    cfa_facts reports[REPORTS];
} pasts[] = {
    { CFA_PAYMENT_COMPLETED,
      0,
      1000,
      { REPORT(.occurred_us = 1),
        REPORT(.flags = CFA_FACT_NEEDS_ACTION, .attempt = 1, .occurred_us = 2),
        REPORT(.flags = CFA_FACT_FAILED, .failure_code = "card_declined", .attempt = 1,
               .occurred_us = 3),
        REPORT(.flags = CFA_FACT_PROCESSING, .attempt = 2, .occurred_us = 4),
        REPORT(.authorized_minor = 1000, .attempt = 2, .occurred_us = 5),
        REPORT(.captured_minor = 1000, .attempt = 2, .occurred_us = 6),
        REPORT(.flags = CFA_FACT_SUCCEEDED, .captured_minor = 1000, .attempt = 2,
               .occurred_us = 7) } },
    { CFA_PAYMENT_COMPLETED,
      CFA_PAYMENT_FLAG_LATE,
      1000,
      { REPORT(.flags = CFA_FACT_NEEDS_ACTION, .attempt = 1, .occurred_us = 2),
        REPORT(.flags = CFA_FACT_PROCESSING, .attempt = 1, .occurred_us = 3),
        REPORT(.flags = CFA_FACT_CANCELED, .occurred_us = 5),
        REPORT(.flags = CFA_FACT_CANCELED, .cancel_reason = "requested_by_customer",
               .occurred_us = 4),
        REPORT(.authorized_minor = 1000, .attempt = 1, .occurred_us = 4),
        REPORT(.authorized_minor = 1000, .captured_minor = 1000, .attempt = 1, .occurred_us = 5),
        REPORT(.flags = CFA_FACT_SUCCEEDED, .captured_minor = 1000, .attempt = 1,
               .occurred_us = 6) } },
    { CFA_PAYMENT_COMPLETED,
      0,
      700,
      { REPORT(.occurred_us = 1),
        REPORT(.flags = CFA_FACT_NEEDS_ACTION, .attempt = 1, .occurred_us = 2),
        REPORT(.authorized_minor = 1000, .attempt = 1, .occurred_us = 3),
        REPORT(.authorized_minor = 1000, .captured_minor = 300, .attempt = 1, .occurred_us = 4),
        REPORT(.captured_minor = 500, .attempt = 1, .occurred_us = 5),
        REPORT(.authorized_minor = 1000, .captured_minor = 700, .attempt = 1, .occurred_us = 6),
        REPORT(.flags = CFA_FACT_SUCCEEDED, .captured_minor = 700, .attempt = 1,
               .occurred_us = 6) } },
};

/* The order with this number in the factorial number system. */
static void order_of(int number, int out[REPORTS]) {
    int left[REPORTS] = { 0, 1, 2, 3, 4, 5, 6 };
    for (int size = REPORTS, at = 0; size > 0; size--, at++) {
        int chosen = number % size;
        number /= size;
        out[at] = left[chosen];
        memmove(left + chosen, left + chosen + 1, (size_t)(size - chosen - 1) * sizeof left[0]);
    }
}

/* One order of one history; its first `early` reports come before the provider's object is
 * known. */
static void live_through(struct book *book, const struct past *past, int number, int early) {
    int order[REPORTS];
    char key[32];
    order_of(number, order);
    snprintf(key, sizeof key, "order-%d", number);
    cfa_pledge *pledge = plain_pledge(book, key, early > 0 ? CFA_WAIT_COMMIT : CFA_WAIT_ANSWER);
    for (int i = 0; i < REPORTS; i++) {
        if (i == early && early > 0)
            book_settle(book);
        cfa_webhook_verdict verdict = report(book, pledge, order[i], &past->reports[order[i]]);
        require((verdict == CFA_WEBHOOK_PARKED) == (i < early));
        require(verdict != CFA_WEBHOOK_DUPLICATE && verdict != CFA_WEBHOOK_QUARANTINED);
        /* A redelivery now and then, of this or an earlier one. */
        int again = order[(number + i) % (i + 1)];
        if ((number + i) % 3 == 0)
            require(report(book, pledge, again, &past->reports[again]) == CFA_WEBHOOK_DUPLICATE);
    }
    if (early == REPORTS)
        book_settle(book);
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book->engine, cfa_pledge_payment_id(pledge)),
                     CFA_OK);
    if (cfa_payment_state_of(payment) != past->state || cfa_payment_flags(payment) != past->flags ||
        cfa_payment_captured(payment).minor != past->raised_minor)
        ck_abort_msg("order %d, %d early: %s, flags %u, %lld captured", number, early,
                     state_name(cfa_payment_state_of(payment)), cfa_payment_flags(payment),
                     (long long)cfa_payment_captured(payment).minor);
    cfa_payment_free(payment);
    expect_legal_walk(book, pledge);
    cfa_pledge_free(pledge);
}

START_TEST(all_orders_of_seven_reports_have_the_same_effect) {
    const struct past *past = &pasts[_i];
    struct book book;
    plain_open(&book, STORE_MEMORY);
    for (int number = 0; number < 5040; number++)
        live_through(&book, past, number, number % 3 == 0 ? number / 3 % (REPORTS + 1) : 0);
    cfa_totals_row row = totals_of(&book);
    ck_assert_int_eq(row.raised_minor, 5040 * past->raised_minor);
    ck_assert_int_eq(row.donation_count, 5040);
    ck_assert_int_eq(row.pledged_minor, 0);
    ck_assert_int_eq(row.authorized_minor, 0);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_sample_of_orders_has_the_same_effect_on_sqlite) {
    const struct past *past = &pasts[_i];
    struct book book;
    plain_open(&book, STORE_SQLITE);
    int count = 0;
    for (int number = 11; number < 5040; number += 97, count++)
        live_through(&book, past, number, count % (REPORTS + 1));
    ck_assert_int_eq(totals_of(&book).raised_minor, count * past->raised_minor);
    audit(&book);
    book_close(&book);
}
END_TEST

/* ---- one report at a time -------------------------------------------------------------------- */

START_TEST(a_report_is_stored_once_and_a_duplicate_changes_nothing) {
    struct book book;
    plain_open(&book, _i);
    cfa_pledge *pledge = plain_pledge(&book, "k", CFA_WAIT_ANSWER);
    cfa_facts paid =
        REPORT(.flags = CFA_FACT_SUCCEEDED, .captured_minor = ASKED_MINOR, .occurred_us = 5);
    ck_assert_int_eq(report(&book, pledge, 1, &paid), CFA_WEBHOOK_APPLIED);
    int64_t rows = all_rows_of(&book);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(report(&book, pledge, 1, &paid), CFA_WEBHOOK_DUPLICATE);
    ck_assert_int_eq(all_rows_of(&book), rows);
    ck_assert_int_eq(report(&book, pledge, 2, &paid), CFA_WEBHOOK_STALE);
    ck_assert_int_eq(rows_of(&book, "webhook"), 2);
    book_reopen(&book);
    ck_assert_int_eq(report(&book, pledge, 1, &paid), CFA_WEBHOOK_DUPLICATE);
    ck_assert_int_eq(totals_of(&book).raised_minor, ASKED_MINOR);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(early_reports_wait_and_are_applied_in_the_commit_that_binds_their_object) {
    struct book book;
    plain_open(&book, _i);
    cfa_pledge *pledge = plain_pledge(&book, "k", CFA_WAIT_COMMIT);
    for (int i = 0; i < 5; i++) {
        cfa_facts facts = REPORT(.authorized_minor = 100 + i, .attempt = 1, .occurred_us = i);
        ck_assert_int_eq(report(&book, pledge, i, &facts), CFA_WEBHOOK_PARKED);
        ck_assert_int_eq(report(&book, pledge, i, &facts), CFA_WEBHOOK_DUPLICATE);
    }
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_PENDING);
    book_reopen(&book);
    book_settle(&book);
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book.engine, cfa_pledge_payment_id(pledge)), CFA_OK);
    ck_assert_int_eq(cfa_payment_state_of(payment), CFA_PAYMENT_AUTHORIZED);
    ck_assert_int_eq(cfa_payment_authorized(payment).minor, 104);
    cfa_payment_free(payment);
    cfa_facts last = REPORT(.flags = CFA_FACT_SUCCEEDED, .captured_minor = 104, .occurred_us = 9);
    ck_assert_int_eq(report(&book, pledge, 9, &last), CFA_WEBHOOK_APPLIED);
    ck_assert_int_eq(totals_of(&book).raised_minor, 104);
    expect_legal_walk(&book, pledge);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(more_reports_than_one_commit_drains_may_be_parked) {
    struct book book;
    plain_open(&book, _i);
    cfa_pledge *pledge = plain_pledge(&book, "k", CFA_WAIT_COMMIT);
    for (int i = 0; i < 150; i++) {
        cfa_facts facts = REPORT(.authorized_minor = 1 + i, .attempt = 1, .occurred_us = i);
        ck_assert_int_eq(report(&book, pledge, i, &facts), CFA_WEBHOOK_PARKED);
    }
    for (int step = 0; step < 20; step++) {
        book_settle(&book);
        book_advance(&book, HOUR_US);
    }
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book.engine, cfa_pledge_payment_id(pledge)), CFA_OK);
    ck_assert_int_eq(cfa_payment_authorized(payment).minor, 150);
    cfa_payment_free(payment);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(another_amount_is_quarantined_and_flagged) {
    struct book book;
    plain_open(&book, _i);
    cfa_pledge *pledge = plain_pledge(&book, "k", CFA_WAIT_ANSWER);
    cfa_facts facts[] = {
        { .struct_size = sizeof(cfa_facts),
          .amount = { ASKED_MINOR + 1, "EUR" },
          .flags = CFA_FACT_SUCCEEDED },
        { .struct_size = sizeof(cfa_facts),
          .amount = { ASKED_MINOR, "USD" },
          .flags = CFA_FACT_SUCCEEDED },
        REPORT(.captured_minor = ASKED_MINOR + 1),
        REPORT(.authorized_minor = 5000),
    };
    for (size_t i = 0; i < COUNT(facts); i++) {
        ck_assert_int_eq(report(&book, pledge, (int)i, &facts[i]), CFA_WEBHOOK_QUARANTINED);
        ck_assert_uint_eq(flags_of(book.engine, pledge), CFA_PAYMENT_FLAG_CONFLICT);
        ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_PENDING);
    }
    ck_assert_int_eq(totals_of(&book).raised_minor, 0);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_contradiction_gets_the_same_verdict_again) {
    struct book book;
    plain_open(&book, _i);
    cfa_pledge *pledge = plain_pledge(&book, "k", CFA_WAIT_ANSWER);
    cfa_facts canceled = REPORT(.flags = CFA_FACT_CANCELED, .occurred_us = 10);
    cfa_facts held = REPORT(.authorized_minor = 500, .attempt = 1, .occurred_us = 20);
    ck_assert_int_eq(report(&book, pledge, 1, &canceled), CFA_WEBHOOK_APPLIED);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(report(&book, pledge, 2, &held), CFA_WEBHOOK_CONTRADICTION);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_CANCELED);
    ck_assert_int_eq(totals_of(&book).authorized_minor, 0);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(what_is_nothing_to_us_is_recorded_and_ignored) {
    struct book book;
    plain_open(&book, _i);
    cfa_pledge *pledge = plain_pledge(&book, "k", CFA_WAIT_ANSWER);
    char ref[64];
    snprintf(ref, sizeof ref, "pi_%s", cfa_pledge_payment_id(pledge));
    const cfa_webhook_event paid = {
        .struct_size = sizeof paid,
        .event_type = "report",
        .account = "",
        .relevant = 1,
        .facts = { .struct_size = sizeof(cfa_facts), .ref = ref, .flags = CFA_FACT_SUCCEEDED }
    };
    cfa_webhook_event events[] = { paid, paid, paid, paid };
    events[0].relevant = 0;
    events[1].livemode = 1;
    events[2].account = "somebody_else";
    events[3].facts.ref = NULL;
    for (size_t i = 0; i < COUNT(events); i++) {
        char id[16];
        snprintf(id, sizeof id, "evt_%zu", i);
        events[i].event_id = id;
        cfa_webhook_verdict verdict;
        ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &events[i], 0), CFA_OK);
        ck_assert_int_eq(verdict, CFA_WEBHOOK_IGNORED);
        ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &events[i], 0), CFA_OK);
        ck_assert_int_eq(verdict, CFA_WEBHOOK_DUPLICATE);
    }
    ck_assert_int_eq(rows_of(&book, "webhook"), COUNT(events));
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_PENDING);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(events_that_break_a_rule_are_refused_and_not_stored) {
    struct book book;
    plain_open(&book, _i);
    static char longer[300];
    memset(longer, 'x', sizeof longer - 1);
    const cfa_webhook_event good = { .struct_size = sizeof good,
                                     .event_id = "evt_1",
                                     .event_type = "t",
                                     .relevant = 1,
                                     .facts = { .struct_size = sizeof(cfa_facts), .ref = "pi" } };
    struct {
        cfa_webhook_event event;
        cfa_status status;
        const char *field;
    } cases[6];
    for (size_t i = 0; i < COUNT(cases); i++)
        cases[i].event = good;
    cases[0].event.event_id = NULL, cases[0].status = CFA_EINVAL, cases[0].field = "event_id";
    cases[1].event.event_id = longer, cases[1].status = CFA_ETOOLONG, cases[1].field = "event_id";
    cases[2].event.event_type = "\xff", cases[2].status = CFA_EENCODING,
    cases[2].field = "event_type";
    cases[3].event.facts.captured_minor = -1, cases[3].status = CFA_EINVAL,
    cases[3].field = "captured_minor";
    cases[4].event.struct_size = 8, cases[4].status = CFA_EINVAL, cases[4].field = "struct_size";
    cases[5].event.facts.ref = longer, cases[5].status = CFA_ETOOLONG, cases[5].field = "ref";
    cfa_webhook_verdict verdict = 0;
    for (size_t i = 0; i < COUNT(cases); i++) {
        expect_error(cfa_webhook_accept(&verdict, book.engine, &cases[i].event, 0), cases[i].status,
                     cases[i].field);
    }
    ck_assert_int_eq(verdict, 0);
    ck_assert_int_eq(rows_of(&book, "webhook"), 0);
    book_close(&book);
}
END_TEST

/* ---- bytes from outside ---------------------------------------------------------------------- */

static cfa_status receive(struct book *book, const char *signature, const char *body,
                          cfa_webhook_verdict *out) {
    cfa_slice header = { signature, signature != NULL ? strlen(signature) : 0 };
    cfa_slice bytes = { body, strlen(body) };
    return cfa_webhook_receive(out, book->engine, header, bytes, 0);
}

START_TEST(only_what_the_provider_signed_in_time_is_taken) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *pledge = pledge_make(&book, "k", 500);
    ck_assert_int_eq(cfa_play_confirm(book.play, cfa_pledge_client_secret(pledge), "pm_ok"),
                     CFA_OK);
    char *signature, *body, *next;
    ck_assert_int_eq(cfa_play_webhook_take(&signature, &body, book.play), CFA_OK);
    ck_assert_ptr_nonnull(body);
    cfa_webhook_verdict verdict = 0;
    expect_error(receive(&book, "", body, &verdict), CFA_ESIGNATURE, "signature");
    expect_error(receive(&book, "t=1,v1=00", body, &verdict), CFA_ESIGNATURE, "signature");
    expect_error(receive(&book, signature, "{\"id\":\"evt_forged\"}", &verdict), CFA_ESIGNATURE,
                 "signature");
    body[strlen(body) - 2] ^= 1;
    expect_error(receive(&book, signature, body, &verdict), CFA_ESIGNATURE, "signature");
    body[strlen(body) - 2] ^= 1;
    book_advance(&book, 6 * MINUTE_US);
    expect_error(receive(&book, signature, body, &verdict), CFA_ESIGNATURE, "signature");
    cfa_slice bytes = { body, strlen(body) };
    ck_assert_int_eq(
        cfa_play_sign(&next, book.play, bytes, cfa_manual_clock_now_us(book.clock) + 6 * MINUTE_US),
        CFA_OK);
    expect_error(receive(&book, next, body, &verdict), CFA_ESIGNATURE, "signature");
    cfa_free(next);
    ck_assert_int_eq(verdict, 0);
    ck_assert_int_eq(rows_of(&book, "webhook"), 0);
    ck_assert_int_eq(state_of(book.engine, pledge), CFA_PAYMENT_PENDING);
    /* The provider's redelivery, signed anew. */
    ck_assert_int_eq(cfa_play_sign(&next, book.play, bytes, cfa_manual_clock_now_us(book.clock)),
                     CFA_OK);
    ck_assert_int_eq(receive(&book, next, body, &verdict), CFA_OK);
    cfa_free(next);
    static const char *const broken[] = {
        "", "{", "[]", "{\"id\":1}", "{\"id\":\"a\",\"id\":\"b\"}", "\xff"
    };
    for (size_t i = 0; i < COUNT(broken); i++) {
        cfa_slice garbage = { broken[i], strlen(broken[i]) };
        ck_assert_int_eq(
            cfa_play_sign(&next, book.play, garbage, cfa_manual_clock_now_us(book.clock)), CFA_OK);
        cfa_status status = receive(&book, next, broken[i], &verdict);
        ck_assert_msg(cfa_status_class_of(status) == CFA_CLASS_INVALID, "%s: %s", broken[i],
                      cfa_status_name(status));
        cfa_free(next);
    }
    char *huge = calloc(1, CFA_WEBHOOK_BYTES_MAX + 2);
    ck_assert_ptr_nonnull(huge);
    memset(huge, ' ', CFA_WEBHOOK_BYTES_MAX + 1);
    expect_error(receive(&book, signature, huge, &verdict), CFA_ETOOLONG, "body");
    free(huge);
    ck_assert_int_eq(rows_of(&book, "webhook"), 1);
    cfa_free(signature);
    cfa_free(body);
    cfa_pledge_free(pledge);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(lost_doubled_and_reordered_webhooks_end_in_the_same_book) {
    struct book book;
    book_open(&book, _i);
    cfa_play_weather weather = CFA_PLAY_WEATHER_INIT;
    weather.webhook_lost_ppm = 200000;
    weather.webhook_duplicated_ppm = 300000;
    weather.webhook_reordered_ppm = 500000;
    ck_assert_int_eq(cfa_play_weather_set(book.play, &weather), CFA_OK);
    enum { GIFTS = 60 };
    cfa_pledge *pledges[GIFTS];
    for (int i = 0; i < GIFTS; i++) {
        char key[16];
        snprintf(key, sizeof key, "w%d", i);
        pledges[i] = pledge_make(&book, key, 100);
        static const char *const methods[] = { "pm_ok", "pm_declined", "pm_action" };
        (void)!cfa_play_confirm(book.play, cfa_pledge_client_secret(pledges[i]), methods[i % 3]);
        if (i % 3 == 2)
            ck_assert_int_eq(cfa_play_act(book.play, cfa_pledge_client_secret(pledges[i]), 1),
                             CFA_OK);
    }
    ck_assert_int_eq(cfa_play_deliver(NULL, book.play, book.engine, 0), CFA_OK);
    /* What was lost is found by the probes. */
    for (int minute = 0; minute < 60; minute++) {
        book_advance(&book, MINUTE_US);
        book_settle(&book);
    }
    for (int i = 0; i < GIFTS; i++) {
        ck_assert_int_eq(state_of(book.engine, pledges[i]),
                         i % 3 == 1 ? CFA_PAYMENT_FAILED : CFA_PAYMENT_COMPLETED);
        expect_legal_walk(&book, pledges[i]);
        cfa_pledge_free(pledges[i]);
    }
    ck_assert_int_eq(totals_of(&book).raised_minor, 100 * (GIFTS - GIFTS / 3));
    audit(&book);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine: webhooks");
    TCase *orders = tcase_create("all_orders_of_seven_reports_have_the_same_effect");
    tcase_add_loop_test(orders, all_orders_of_seven_reports_have_the_same_effect, 0,
                        (int)COUNT(pasts));
    suite_add_tcase(suite, orders);
    TCase *sample = tcase_create("a_sample_of_orders_has_the_same_effect_on_sqlite");
    tcase_add_loop_test(sample, a_sample_of_orders_has_the_same_effect_on_sqlite, 0,
                        (int)COUNT(pasts));
    suite_add_tcase(suite, sample);
#define PER_STORE(name) add_per_store(suite, #name, name)
    PER_STORE(a_report_is_stored_once_and_a_duplicate_changes_nothing);
    PER_STORE(early_reports_wait_and_are_applied_in_the_commit_that_binds_their_object);
    PER_STORE(more_reports_than_one_commit_drains_may_be_parked);
    PER_STORE(another_amount_is_quarantined_and_flagged);
    PER_STORE(a_contradiction_gets_the_same_verdict_again);
    PER_STORE(what_is_nothing_to_us_is_recorded_and_ignored);
    PER_STORE(events_that_break_a_rule_are_refused_and_not_stored);
    PER_STORE(only_what_the_provider_signed_in_time_is_taken);
    PER_STORE(lost_doubled_and_reordered_webhooks_end_in_the_same_book);
    return run_suite(suite, argc, argv);
}
