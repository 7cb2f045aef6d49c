/*
 * test_reversal_orders.c - whatever order a provider's reports about a payment, its refunds and its
 * disputes arrive in, and however often, the book ends the same: forty histories, every order of each.
 *
 * All orders are run by one build; for others, and on SQLite, every so many of the long histories are
 * enough.
 */
#include "core/hooked.h"
#include "core/reversal_histories.h"

#include <careforall/dispute.h>
#include <careforall/refund.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide/payment_machine.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
#define ORDERS_MAX 120
#else
#define ORDERS_MAX 40320
#endif
#define ORDERS_SQLITE_MAX 6

/* ---- one order of one history ---------------------------------------------------------------- */

static struct hooked wire;

/* Reports come by webhook alone: the provider's own word about refunds does not interfere. */
static void say_nothing(struct book *book, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    if (call->kind == CFA_CALL_CREATE)
        hooked_pass(book, call, arena, out);
}

static size_t count_of(const struct history *history) {
    size_t count = 0;
    while (count < EVENTS_MAX && history->reports[count].about != END)
        count++;
    return count;
}

static bool ends_first; /* the campaign, before the first report */
static int serial;
static int payment_number; /* in the refs of its refunds and disputes */

static cfa_webhook_verdict tell(struct book *book, const char *ref, const char *refund_id,
                                const struct report *report) {
    char id[32], part[32];
    snprintf(id, sizeof id, "evt_%d", ++serial);
    snprintf(part, sizeof part, "%s.%d", report->ref != NULL ? report->ref : "", payment_number);
    cfa_webhook_event event = { .struct_size = sizeof event,
                                .event_id = id,
                                .event_type = "test",
                                .account = "",
                                .relevant = 1,
                                .facts = CFA_FACTS_INIT };
    cfa_refund_facts refund = { .struct_size = sizeof refund,
                                .ref = part,
                                .refund_id = report->ours ? refund_id : NULL,
                                .amount = { report->minor, "EUR" },
                                .state = report->state,
                                .failure_code = report->code,
                                .occurred_us = report->at * SECOND_US };
    cfa_dispute_facts dispute = { .struct_size = sizeof dispute,
                                  .ref = part,
                                  .amount = { report->minor, "EUR" },
                                  .state = report->state,
                                  .withdrawn_minor = report->withdrawn,
                                  .reinstated_minor = report->reinstated,
                                  .fee = report->fee,
                                  .reason = "fraudulent" };
    const cfa_refund_facts *refunds[] = { &refund };
    const cfa_dispute_facts *disputes[] = { &dispute };
    cfa_facts *facts = &event.facts;
    facts->ref = ref;
    if (report->about == REFUND) {
        facts->refunds = refunds;
        facts->refund_count = 1;
    } else if (report->about == DISPUTE) {
        facts->disputes = disputes;
        facts->dispute_count = 1;
    } else {
        facts->amount = (cfa_money){ ASKED, "EUR" };
        facts->authorized_minor = report->minor;
        facts->captured_minor = report->captured;
        facts->flags = report->flags;
        facts->attempt = report->attempt != 0 ? report->attempt : 1;
        facts->occurred_us = report->at * SECOND_US;
        facts->fee = report->fee;
        if ((report->flags & CFA_FACT_FAILED) != 0)
            facts->failure_code = report->code;
        else
            facts->cancel_reason = report->code;
    }
    cfa_webhook_verdict verdict = 0;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book->engine, &event, 20000), CFA_OK);
    return verdict;
}

struct ending {
    char text[2048];
    cfa__payment payment; /* without its texts */
    cfa__buckets buckets;
};

/* The payment's row, read past the engine. */
static void read_row(cfa__payment *out, struct book *book, const char *payment_id, char code[64]) {
    cfa_session *session;
    cfa_arena *arena;
    int64_t now_us;
    cfa__id id;
    cfa__any_record key;
    const cfa_storage_ops *ops = book->storage.ops;
    ck_assert_int_eq(cfa__id_parse(&id, "pay", payment_id, "id"), CFA_OK);
    cfa__key_of_id(&key, &cfa__payment_kind, id);
    cfa_query query = { .kind = &cfa__payment_kind, .match_count = 1, .limit = 1, .key = &key };
    ck_assert_int_eq(ops->session_open(book->storage.self, CFA_SESSION_READ, &session), CFA_OK);
    ck_assert_int_eq(ops->begin(session, CFA_SESSION_READ, 20000, &now_us), CFA_OK);
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    ck_assert_int_eq(ops->load(session, &query, 1, arena), CFA_OK);
    ck_assert_int_eq(query.count, 1);
    *out = *(const cfa__payment *)query.records[0];
    snprintf(code, 64, "%.*s", (int)out->failure_code.size,
             out->failure_code.size > 0 ? (const char *)out->failure_code.data : "");
    cfa_arena_free(arena);
    ops->rollback(session);
    ops->session_close(session);
}

/* What must not depend on the order: facts, states, sums; refunds and disputes by their refs. */
static void describe(struct ending *out, struct book *book, const char *payment_id) {
    cfa_refund_list *refunds;
    cfa_dispute_list *disputes;
    char failure_code[64];
    read_row(&out->payment, book, payment_id, failure_code);
    out->payment.flags &= ~(int64_t)CFA_PAYMENT_FLAG_UNKNOWN; /* our own call had no answer */
    const cfa__payment *row = &out->payment;
    out->buckets = cfa__payment_buckets(row);
    size_t used = 0;
#define PRINT(...)                                                                                 \
    (used += (size_t)snprintf(out->text + used, sizeof out->text - used, __VA_ARGS__))
    PRINT("state %d flags %d durable %d held %d captured %d hold %d volatile %d/%d code %s\n",
          (int)row->state, (int)row->flags, (int)row->durable, (int)row->authorized_minor,
          (int)row->captured_minor, (int)row->hold, (int)row->volatile_fact,
          (int)row->volatile_attempt, failure_code);
    PRINT("requested %d refunded %d withdrawn %d reinstated %d exposed %d refunds %d disputes %d "
          "open %d fee %d %s\n",
          (int)row->requested_minor, (int)row->refunded_minor, (int)row->withdrawn_minor,
          (int)row->reinstated_minor, (int)row->exposed_minor, (int)row->refund_count,
          (int)row->dispute_count, (int)row->open_count, (int)row->fee_minor, row->fee_currency);
    ck_assert_int_eq(cfa_refund_list_of(&refunds, book->engine, payment_id), CFA_OK);
    ck_assert_int_eq(cfa_dispute_list_of(&disputes, book->engine, payment_id), CFA_OK);
    for (int number = 1; number <= 5; number++) { /* the catalogue's refs, in their order */
        char name[16], ref[32];
        snprintf(name, sizeof name, number == 5 ? "re_dash" : "re_%d", number);
        snprintf(ref, sizeof ref, "%s.%d", name, payment_number);
        for (size_t i = 0; i < cfa_refund_list_size(refunds); i++) {
            const cfa_refund *refund = cfa_refund_list_at(refunds, i);
            if (cfa_refund_ref(refund) == NULL || strcmp(cfa_refund_ref(refund), ref) != 0)
                continue;
            const char *code = cfa_refund_failure_code(refund);
            PRINT("%s %d %s origin %d %s\n", name, (int)cfa_refund_amount(refund).minor,
                  cfa_refund_state_name(cfa_refund_state_of(refund)),
                  (int)cfa_refund_origin_of(refund), code != NULL ? code : "");
        }
        snprintf(name, sizeof name, "dp_%d", number);
        snprintf(ref, sizeof ref, "%s.%d", name, payment_number);
        for (size_t i = 0; i < cfa_dispute_list_size(disputes); i++) {
            const cfa_dispute *dispute = cfa_dispute_list_at(disputes, i);
            if (strcmp(cfa_dispute_ref(dispute), ref) == 0)
                PRINT("%s %d %s %d %d fee %d\n", name, (int)cfa_dispute_amount(dispute).minor,
                      cfa_dispute_state_name(cfa_dispute_state_of(dispute)),
                      (int)cfa_dispute_withdrawn(dispute).minor,
                      (int)cfa_dispute_reinstated(dispute).minor,
                      (int)cfa_dispute_fee(dispute).minor);
        }
    }
#undef PRINT
    ck_assert_uint_lt(used, sizeof out->text);
    cfa_refund_list_free(refunds);
    cfa_dispute_list_free(disputes);
}

static void end_campaign(struct book *book) {
    char key[32];
    cfa_campaign *ended;
    snprintf(key, sizeof key, "end-%d", payment_number);
    ck_assert_int_eq(cfa_campaign_end(&ended, book->engine, book->campaign_id, 1, NULL, key, NULL),
                     CFA_OK);
    cfa_campaign_free(ended);
}

/* A payment that the reports are about; with a refund asked for, one that is paid. */
static cfa_pledge *begin(struct book *book, const struct history *history, char ref[64],
                         char refund_id[CFA_ID_TEXT_SIZE]) {
    char key[32];
    snprintf(key, sizeof key, "pledge-%d", ++payment_number);
    cfa_pledge *pledge = pledge_make(book, key, ASKED);
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book->engine, cfa_pledge_payment_id(pledge)),
                     CFA_OK);
    snprintf(ref, 64, "%s", cfa_payment_ref(payment));
    cfa_payment_free(payment);
    refund_id[0] = '\0';
    if (ends_first)
        end_campaign(book);
    if (history->asked_for == 0)
        return pledge;
    const struct report paid = PAID;
    (void)tell(book, ref, NULL, &paid);
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    cfa_refund *refund;
    snprintf(key, sizeof key, "refund-%d", payment_number);
    spec.key = key;
    spec.payment_id = cfa_pledge_payment_id(pledge);
    spec.amount = (cfa_money){ history->asked_for, "EUR" };
    ck_assert_int_eq(cfa_refund_create(&refund, book->engine, &spec), CFA_OK);
    ck_assert_int_eq(cfa_refund_state_of(refund), CFA_REFUND_REQUESTED);
    snprintf(refund_id, CFA_ID_TEXT_SIZE, "%s", cfa_refund_id(refund));
    cfa_refund_free(refund);
    return pledge;
}

/* A person accepts what is held now, if it is. */
static bool accept_now(struct book *book, const cfa_pledge *pledge) {
    bool held = (flags_of(book->engine, pledge) & CFA_PAYMENT_FLAG_HELD) != 0;
    cfa_payment *payment = NULL;
    ck_assert_int_eq(cfa_payment_accept(&payment, book->engine, cfa_pledge_payment_id(pledge), NULL,
                                        cfa_pledge_id(pledge), NULL),
                     held ? CFA_OK : CFA_ESTATE);
    cfa_payment_free(payment);
    return held;
}

/* `accept_after`: so many reports; more than there are: never. True when that accepted it. */
static bool run_order(struct book *book, const struct history *history, const int *order,
                      size_t count, size_t accept_after, struct ending *out) {
    char ref[64], refund_id[CFA_ID_TEXT_SIZE];
    cfa_pledge *pledge = begin(book, history, ref, refund_id);
    bool accepted = accept_after == 0 && accept_now(book, pledge);
    for (size_t i = 0; i < count; i++) {
        (void)tell(book, ref, refund_id, &history->reports[order[i]]);
        if (accept_after == i + 1)
            accepted = accept_now(book, pledge);
    }
    describe(out, book, cfa_pledge_payment_id(pledge));
    /* Once more, as other events: nothing is new. */
    for (size_t i = 0; i < count; i++)
        ck_assert_int_ne(tell(book, ref, refund_id, &history->reports[order[count - 1 - i]]),
                         CFA_WEBHOOK_APPLIED);
    struct ending again;
    describe(&again, book, cfa_pledge_payment_id(pledge));
    ck_assert_str_eq(again.text, out->text);
    cfa_pledge_free(pledge);
    return accepted;
}

/* ---- all orders ------------------------------------------------------------------------------ */

static void order_of(int *order, size_t count, int64_t number) {
    int left[EVENTS_MAX];
    for (size_t i = 0; i < count; i++)
        left[i] = (int)i;
    for (size_t i = 0; i < count; i++) {
        size_t pick = (size_t)(number % (int64_t)(count - i));
        number /= (int64_t)(count - i);
        order[i] = left[pick];
        memmove(&left[pick], &left[pick + 1], (count - i - pick - 1) * sizeof left[0]);
    }
}

static void expect_ending(const struct history *history, const struct ending *ending) {
    ck_assert_msg(ending->payment.state == history->state &&
                      ending->payment.flags == history->flags &&
                      ending->buckets.raised_minor == history->raised &&
                      ending->buckets.refunded_minor == history->refunded &&
                      ending->buckets.disputed_minor == history->disputed,
                  "%s:\n%s", history->name, ending->text);
}

static void run_history(struct book *book, const struct history *history, int64_t orders_max) {
    size_t count = count_of(history);
    int64_t orders = 1;
    for (size_t i = 2; i <= count; i++)
        orders *= (int64_t)i;
    /* A step that shares no factor with the number of orders visits every place of every event. */
    int64_t runs = orders < orders_max ? orders : orders_max, step = orders > runs ? 7919 : 1;
    struct ending first, ending;
    int order[EVENTS_MAX];
    for (int64_t run = 0; run < runs; run++) {
        order_of(order, count, run * step % orders);
        (void)run_order(book, history, order, count, SIZE_MAX, run == 0 ? &first : &ending);
        if (run == 0) {
            expect_ending(history, &first);
            continue;
        }
        char text[64] = "";
        for (size_t i = 0; i < count; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), " %d", order[i]);
        ck_assert_msg(strcmp(first.text, ending.text) == 0, "%s, order%s:\n%sbut in order:\n%s",
                      history->name, text, ending.text, first.text);
    }
    /* A backlog of thousands is nothing to wait for in one call. */
    for (int32_t done = 1; done > 0;)
        ck_assert_int_eq(cfa_engine_tick(&done, book->engine, CFA_WORK_TOTALS, 0), CFA_OK);
    cfa_totals_row totals = totals_of(book);
    ck_assert_int_eq(totals.raised_minor, runs * history->raised);
    ck_assert_int_eq(totals.refunded_minor, runs * history->refunded);
    ck_assert_int_eq(totals.disputed_minor, runs * history->disputed);
    ck_assert_int_eq(totals.net_minor,
                     runs * (history->raised - history->refunded - history->disputed));
}

static void run_book(int store, int64_t orders_max) {
    size_t count;
    const struct history *histories = history_list(&count);
    for (size_t i = 0; i < count; i++) {
        struct book book;
        serial = payment_number = 0;
        book_prepare(&book, store);
        hooked_use(&wire, &book, say_nothing);
        book_start(&book);
        run_history(&book, &histories[i], orders_max);
        audit(&book);
        book_close(&book);
    }
}

/* ---- late money that is held ----------------------------------------------------------------- */

/* A campaign of its own, with the rule, for the pledges to come. */
static void use_campaign(struct book *book) {
    char key[32];
    cfa_campaign *campaign;
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    snprintf(key, sizeof key, "late-%d", ++payment_number);
    spec.key = key;
    spec.title = "Late";
    spec.currencies = "EUR";
    spec.late_rule = CFA_LATE_HOLD;
    ck_assert_int_eq(cfa_campaign_create(&campaign, book->engine, &spec), CFA_OK);
    snprintf(book->campaign_id, sizeof book->campaign_id, "%s", cfa_campaign_id(campaign));
    cfa_campaign_free(campaign);
}

/* Held to the end, or accepted at some moment: two endings, whatever the order. */
static void run_held(struct book *book, const struct history *history, int64_t step) {
    size_t count = count_of(history);
    int64_t orders = 1;
    struct ending endings[2], ending;
    bool known[2] = { false, false };
    int order[EVENTS_MAX];
    for (size_t i = 2; i <= count; i++)
        orders *= (int64_t)i;
    for (int64_t run = 0; run < orders * (int64_t)(count + 2); run += step) {
        size_t accept_after = (size_t)(run % (int64_t)(count + 2));
        order_of(order, count, run / (int64_t)(count + 2));
        use_campaign(book);
        bool accepted = run_order(book, history, order, count, accept_after, &ending);
        struct ending *like = &endings[accepted];
        if (!known[accepted]) {
            struct history wanted = *history;
            *like = ending;
            known[accepted] = true;
            wanted.flags &= accepted ? ~(int64_t)CFA_PAYMENT_FLAG_HELD : ~INT64_C(0);
            if ((wanted.flags & CFA_PAYMENT_FLAG_HELD) != 0)
                wanted.raised = wanted.refunded = wanted.disputed = 0;
            expect_ending(&wanted, like);
        }
        ck_assert_msg(strcmp(like->text, ending.text) == 0, "%s, run %d:\n%sbut else:\n%s",
                      history->name, (int)run, ending.text, like->text);
        int64_t raised = accepted ? history->raised : 0;
        ck_assert_int_eq(totals_of(book).raised_minor, raised);
    }
    ck_assert(known[0] && known[1] == (history->raised > 0));
}

static void run_held_book(int store, int64_t step) {
    size_t count;
    const struct held_history *histories = held_history_list(&count);
    for (size_t i = 0; i < count; i++) {
        struct book book;
        serial = payment_number = 0;
        book_prepare(&book, store);
        hooked_use(&wire, &book, say_nothing);
        book_start(&book);
        ends_first = histories[i].is_over;
        run_held(&book, &histories[i].history, step);
        audit(&book);
        book_close(&book);
    }
}

START_TEST(late_money_is_held_in_every_order_and_accepted_at_any_moment) {
    run_held_book(STORE_MEMORY, 1);
}
END_TEST

START_TEST(held_money_ends_the_same_on_sqlite) { run_held_book(STORE_SQLITE, 13); }
END_TEST

START_TEST(every_order_of_every_history_ends_the_same) { run_book(STORE_MEMORY, ORDERS_MAX); }
END_TEST

START_TEST(histories_end_the_same_on_sqlite) { run_book(STORE_SQLITE, ORDERS_SQLITE_MAX); }
END_TEST

START_TEST(the_catalogue_is_large_enough) {
    size_t count, longest = 0;
    const struct history *histories = history_list(&count);
    for (size_t i = 0; i < count; i++)
        longest = count_of(&histories[i]) > longest ? count_of(&histories[i]) : longest;
    ck_assert_uint_ge(count, 40);
    ck_assert_uint_eq(longest, EVENTS_MAX);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("reversal orders");
    add_once(suite, "catalogue", the_catalogue_is_large_enough);
    add_once(suite, "all_orders", every_order_of_every_history_ends_the_same);
    add_once(suite, "sqlite", histories_end_the_same_on_sqlite);
    add_once(suite, "held", late_money_is_held_in_every_order_and_accepted_at_any_moment);
    add_once(suite, "held_sqlite", held_money_ends_the_same_on_sqlite);
    return run_suite(suite, argc, argv);
}
