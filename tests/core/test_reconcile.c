/*
 * test_reconcile.c - our books against the play provider's record: nothing where they agree, each
 * difference by its code, and a repair that only tells what the provider says, once.
 */
#include "core/records.h"
#include "support/book.h"

#include <careforall/act.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define GIFTS 3

static struct book book;
static cfa_pledge *pledges[GIFTS];

/* The record: what the provider knows of each payment, as a test changes it. */
static struct record {
    cfa_arena *arena;
    int at, count;
    cfa_reconcile_object objects[GIFTS + 1];
} record;

static cfa_status next_object(void *self, cfa_reconcile_object *out) {
    struct record *from = self;
    if (from->at == from->count) {
        from->at = 0;
        return CFA_ENOTFOUND;
    }
    *out = from->objects[from->at++];
    return CFA_OK;
}

static void take_record(void) {
    record.at = 0;
    record.count = GIFTS;
    for (int i = 0; i < GIFTS; i++) {
        int64_t charges;
        cfa_reconcile_object *object = &record.objects[i];
        memset(object, 0, sizeof *object);
        object->struct_size = sizeof *object;
        object->whole = 1;
        object->livemode = -1;
        object->refunded_minor = -1;
        object->line = i + 1;
        ck_assert_int_eq(cfa_play_payment(&object->facts, &charges, book.play,
                                          cfa_pledge_payment_id(pledges[i]), record.arena),
                         CFA_OK);
    }
}

static cfa_reconcile_spec spec_of(void) {
    cfa_reconcile_spec spec = CFA_RECONCILE_SPEC_INIT;
    spec.next = next_object;
    spec.next_self = &record;
    spec.from_us = 1;
    spec.until_us = INT64_C(1) << 60;
    return spec;
}

static void open_paid(int store) {
    static const char *const keys[GIFTS] = { "one", "two", "three" };
    book_open(&book, store);
    ck_assert_int_eq(cfa_arena_new(&record.arena), CFA_OK);
    for (int i = 0; i < GIFTS; i++) {
        pledges[i] = pledge_make(&book, keys[i], 1000);
        if (cfa_pledge_state(pledges[i]) != CFA_PAYMENT_COMPLETED)
            pledge_pay(&book, pledges[i]);
    }
    take_record();
}

static void close_sound(void) {
    audit(&book);
    for (int i = 0; i < GIFTS; i++)
        cfa_pledge_free(pledges[i]);
    cfa_arena_free(record.arena);
    book_close(&book);
}

/* Drop every webhook that the provider would send. */
static void lose_webhooks(void) {
    char *signature, *body;
    do {
        ck_assert_int_eq(cfa_play_webhook_take(&signature, &body, book.play), CFA_OK);
        bool more = body != NULL;
        cfa_free(signature);
        cfa_free(body);
        if (!more)
            return;
    } while (true);
}

static cfa_reconciliation *compared(void) {
    cfa_reconciliation *report = NULL;
    cfa_reconcile_spec spec = spec_of();
    cfa_status status = cfa_reconcile_engine(&report, book.engine, &spec);
    ck_assert_msg(status == CFA_OK, "%s", last_error()->message);
    return report;
}

static void expect_clean(void) {
    cfa_reconciliation *report = compared();
    ck_assert_msg(cfa_reconciliation_differences(report) == 0, "%s",
                  cfa_reconciliation_text(report));
    ck_assert_int_eq(cfa_reconciliation_objects(report), record.count);
    cfa_reconciliation_free(report);
}

/* Expect one difference and no other. */
static void expect_one(const char *code, const char *kind, const char *field, const char *expected,
                       const char *found, bool repairable) {
    cfa_reconciliation *report = compared();
    const char *text = cfa_reconciliation_text(report);
    ck_assert_msg(cfa_reconciliation_differences(report) == 1, "%s", text);
    ck_assert_int_eq(cfa_reconciliation_count(report, code), 1);
    const cfa_reconcile_difference *difference = cfa_reconciliation_at(report, 0);
    ck_assert_str_eq(difference->code, code);
    ck_assert_str_eq(difference->kind, kind);
    if (field != NULL)
        ck_assert_str_eq(difference->field, field);
    else
        ck_assert_ptr_null(difference->field);
    ck_assert_str_eq(difference->expected, expected);
    ck_assert_str_eq(difference->found, found);
    ck_assert_msg((difference->repairable != 0) == repairable, "%s", text);
    ck_assert_int_eq(cfa_reconciliation_repairable(report), repairable);
    ck_assert_ptr_nonnull(strstr(cfa_reconciliation_json(report), code));
    ck_assert_ptr_null(cfa_reconciliation_at(report, 1));
    cfa_reconciliation_free(report);
}

static int64_t repaired(void) {
    int64_t count = -1;
    cfa_reconcile_spec spec = spec_of();
    cfa_status status = cfa_reconcile_repair(&count, book.engine, &spec, PATIENCE_MS);
    ck_assert_msg(status == CFA_OK, "%s", last_error()->message);
    return count;
}

/* A repair tells it once; a second one writes nothing at all. */
static void expect_repair(int64_t count) {
    ck_assert_int_eq(repaired(), count);
    expect_clean();
    int64_t rows = all_rows_of(&book), head = head_of(book.engine);
    ck_assert_int_eq(repaired(), 0);
    ck_assert_int_eq(all_rows_of(&book), rows);
    ck_assert_int_eq(head_of(book.engine), head);
}

static void refund_by_hand(int64_t minor, cfa_refund_state state) {
    cfa_play_refund_spec spec = CFA_PLAY_REFUND_SPEC_INIT;
    char ref[CFA_PLAY_REF_SIZE];
    spec.ref = record.objects[0].facts.ref;
    spec.amount_minor = minor;
    spec.state = state;
    ck_assert_int_eq(cfa_play_refund(ref, book.play, &spec), CFA_OK);
}

static void deliver(void) {
    ck_assert_int_eq(cfa_play_deliver(NULL, book.play, book.engine, 0), CFA_OK);
}

/* ---- tests ----------------------------------------------------------------------------------- */

START_TEST(books_that_agree_give_nothing) {
    cfa_play_dispute_spec dispute = CFA_PLAY_DISPUTE_SPEC_INIT;
    open_paid(_i);
    expect_clean();
    refund_by_hand(300, CFA_REFUND_SUCCEEDED);
    refund_by_hand(200, CFA_REFUND_PENDING);
    dispute.ref = record.objects[1].facts.ref;
    dispute.withdrawn_minor = 1000;
    ck_assert_int_eq(cfa_play_dispute(NULL, book.play, &dispute), CFA_OK);
    deliver();
    take_record();
    expect_clean();
    ck_assert_int_eq(repaired(), 0);
    close_sound();
}
END_TEST

START_TEST(a_refund_whose_webhook_was_lost_is_missing_here_and_repaired_once) {
    open_paid(_i);
    refund_by_hand(300, CFA_REFUND_SUCCEEDED);
    lose_webhooks();
    take_record();
    expect_one("missing_here", "refund", NULL, "it", "nothing", true);
    expect_repair(1);
    ck_assert_int_eq(totals_of(&book).refunded_minor, 300);
    close_sound();
}
END_TEST

/* An intent, its page and the list of refunds all name it. */
START_TEST(what_several_lists_tell_is_one_difference) {
    open_paid(_i);
    refund_by_hand(300, CFA_REFUND_SUCCEEDED);
    lose_webhooks();
    take_record();
    cfa_reconcile_object *again = &record.objects[record.count++];
    *again = record.objects[0];
    again->kind = CFA_RECONCILE_REFUND;
    expect_one("missing_here", "refund", NULL, "it", "nothing", true);
    /* An object that contradicts the book takes back what it promised, not what the other does. */
    record.objects[0].facts.amount.minor = 1100;
    again->facts.amount = (cfa_money){ 0, "" };
    again->whole = 0;
    cfa_reconciliation *report = compared();
    ck_assert_int_eq(cfa_reconciliation_count(report, "amount_differs"), 1);
    ck_assert_int_eq(cfa_reconciliation_repairable(report), 1);
    cfa_reconciliation_free(report);
    ck_assert_int_eq(repaired(), 1);
    ck_assert_int_eq(totals_of(&book).refunded_minor, 300);
    close_sound();
}
END_TEST

/* As when the book learns of it after the record was asked for. */
START_TEST(a_sum_that_grew_since_the_record_is_not_ahead_of_it) {
    open_paid(_i);
    record.objects[0].refunded_minor = 0;
    record.objects[0].as_of_us = 1;
    expect_clean();
    refund_by_hand(300, CFA_REFUND_SUCCEEDED);
    deliver();
    expect_clean();
    record.objects[0].as_of_us = 0;
    expect_one("state_ahead", "payment", "refunded_minor", "0", "300", false);
    close_sound();
}
END_TEST

START_TEST(a_refund_that_went_on_leaves_the_book_behind) {
    open_paid(_i);
    refund_by_hand(300, CFA_REFUND_PENDING);
    deliver();
    take_record();
    cfa_play_refund_spec on = CFA_PLAY_REFUND_SPEC_INIT;
    on.ref = record.objects[0].facts.refunds[0]->ref;
    on.state = CFA_REFUND_FAILED;
    ck_assert_int_eq(cfa_play_refund(NULL, book.play, &on), CFA_OK);
    lose_webhooks();
    take_record();
    expect_one("state_behind", "refund", "state", "FAILED", "PENDING", true);
    expect_repair(1);
    close_sound();
}
END_TEST

START_TEST(a_lost_dispute_is_missing_here_and_repaired_once) {
    cfa_play_dispute_spec spec = CFA_PLAY_DISPUTE_SPEC_INIT;
    open_paid(_i);
    spec.ref = record.objects[2].facts.ref;
    spec.withdrawn_minor = 1000;
    ck_assert_int_eq(cfa_play_dispute(NULL, book.play, &spec), CFA_OK);
    lose_webhooks();
    take_record();
    expect_one("missing_here", "dispute", NULL, "it", "nothing", true);
    expect_repair(1);
    ck_assert_int_eq(totals_of(&book).disputed_minor, 1000);
    close_sound();
}
END_TEST

START_TEST(a_payment_that_is_paid_there_leaves_the_book_behind) {
    open_paid(_i);
    cfa_pledge_free(pledges[2]);
    pledges[2] = pledge_make(&book, "late", 500);
    cfa_pledge *late = pledges[2];
    if (cfa_pledge_state(late) != CFA_PAYMENT_COMPLETED)
        ck_assert_int_eq(cfa_play_confirm(book.play, cfa_pledge_client_secret(late), "pm_ok"),
                         CFA_OK);
    lose_webhooks();
    take_record();
    cfa_reconcile_spec spec = spec_of();
    spec.from_us = spec.until_us = 0; /* the record leaves one of them out */
    cfa_reconciliation *report;
    ck_assert_int_eq(cfa_reconcile_engine(&report, book.engine, &spec), CFA_OK);
    ck_assert_int_eq(cfa_reconciliation_count(report, "state_behind"), 1);
    ck_assert_str_eq(cfa_reconciliation_at(report, 0)->expected, "COMPLETED");
    cfa_reconciliation_free(report);
    ck_assert_int_eq(repaired(), 1);
    ck_assert_int_eq(state_of(book.engine, late), CFA_PAYMENT_COMPLETED);
    ck_assert_int_eq(repaired(), 0);
    close_sound();
}
END_TEST

START_TEST(what_the_record_lacks_is_missing_there) {
    open_paid(_i);
    record.count = GIFTS - 1;
    expect_one("missing_there", "payment", NULL, "nothing", "it", false);
    ck_assert_int_eq(repaired(), 0);
    close_sound();
}
END_TEST

/* As when a key of another account lists nothing at all. */
START_TEST(what_a_record_of_all_kinds_lacks_is_missing_there) {
    cfa_reconciliation *report;
    cfa_reconcile_spec spec = spec_of();
    open_paid(_i);
    refund_by_hand(300, CFA_REFUND_SUCCEEDED);
    deliver();
    record.count = 0;
    ck_assert_int_eq(cfa_reconcile_engine(&report, book.engine, &spec), CFA_OK);
    ck_assert_int_eq(cfa_reconciliation_differences(report), 0);
    ck_assert_ptr_nonnull(strstr(cfa_reconciliation_text(report), "not looked for"));
    cfa_reconciliation_free(report);
    spec.all_kinds = 1;
    ck_assert_int_eq(cfa_reconcile_engine(&report, book.engine, &spec), CFA_OK);
    ck_assert_int_eq(cfa_reconciliation_count(report, "missing_there"), GIFTS + 1);
    ck_assert_int_eq(cfa_reconciliation_differences(report), GIFTS + 1);
    ck_assert_ptr_null(strstr(cfa_reconciliation_text(report), "not looked for"));
    cfa_reconciliation_free(report);
    close_sound();
}
END_TEST

START_TEST(another_amount_or_currency_is_named_and_left_alone) {
    open_paid(_i);
    int64_t rows = all_rows_of(&book);
    record.objects[1].facts.amount.minor = 1100;
    expect_one("amount_differs", "payment", "amount_minor", "1100", "1000", false);
    ck_assert_int_eq(repaired(), 0);
    take_record();
    memcpy(record.objects[1].facts.amount.currency, "USD", 4);
    expect_one("amount_differs", "payment", "currency", "USD", "EUR", false);
    ck_assert_int_eq(repaired(), 0);
    ck_assert_int_eq(all_rows_of(&book), rows);
    close_sound();
}
END_TEST

START_TEST(a_record_that_says_less_finds_the_book_ahead) {
    open_paid(_i);
    cfa_facts *facts = &record.objects[2].facts;
    facts->flags = CFA_FACT_PROCESSING;
    facts->captured_minor = facts->authorized_minor = 0;
    facts->occurred_us = 1;
    expect_one("state_ahead", "payment", "captured_minor", "0", "1000", false);
    ck_assert_int_eq(repaired(), 0);
    close_sound();
}
END_TEST

START_TEST(a_payment_that_names_us_and_is_unknown_stays_reported) {
    open_paid(_i);
    cfa_reconcile_object *object = &record.objects[record.count++];
    *object = record.objects[0];
    object->facts.ref = "pi_unknown";
    object->facts.payment_id = "pay_00000000000000000000000001";
    expect_one("missing_here", "payment", "payment_id", "pay_00000000000000000000000001", "nothing",
               false);
    ck_assert_int_eq(repaired(), 0);
    expect_one("missing_here", "payment", "payment_id", "pay_00000000000000000000000001", "nothing",
               false);
    object->facts.payment_id = NULL; /* somebody else's */
    expect_clean();
    close_sound();
}
END_TEST

START_TEST(a_row_of_a_report_is_compared_and_never_told) {
    open_paid(_i);
    refund_by_hand(300, CFA_REFUND_SUCCEEDED);
    lose_webhooks();
    for (int i = 0; i < GIFTS; i++) {
        record.objects[i].summary = 1;
        record.objects[i].refunded_minor = i == 0 ? 300 : 0;
    }
    expect_one("state_behind", "payment", "refunded_minor", "300", "0", false);
    ck_assert_int_eq(repaired(), 0);
    close_sound();
}
END_TEST

/* ---- movements of the balance ---------------------------------------------------------------- */

/* What a balance file says of the first payment, and nothing of the others. */
static cfa_reconcile_object *take_movement(int32_t kind) {
    cfa_reconcile_object *object = &record.objects[0];
    cfa_facts facts = CFA_FACTS_INIT;
    facts.ref = object->facts.ref;
    *object = (cfa_reconcile_object){ .struct_size = sizeof *object,
                                      .kind = kind,
                                      .livemode = -1,
                                      .refunded_minor = -1,
                                      .summary = CFA_RECONCILE_MOVEMENT,
                                      .line = 1,
                                      .facts = facts };
    return object;
}

START_TEST(a_movement_tells_the_fee_and_the_settlement_and_nothing_else) {
    open_paid(_i);
    cfa_reconcile_object *object = take_movement(CFA_RECONCILE_PAYMENT);
    const char *ref = object->facts.ref;
    object->facts.flags = CFA_FACT_SETTLED;
    object->facts.ref = NULL;
    object->facts.payment_id = cfa_pledge_payment_id(pledges[0]);
    expect_one("state_behind", "payment", "settled", "paid out", "not paid out", false);
    ck_assert_int_eq(repaired(), 0);
    object->facts.ref = ref;
    object->facts.payment_id = NULL;
    expect_one("state_behind", "payment", "settled", "paid out", "not paid out", true);
    ck_assert_int_eq(repaired(), 1);
    expect_clean();
    object->facts.fee = (cfa_money){ 900, "EUR" };
    expect_one("state_behind", "payment", "fee_minor", "900", "0", true);
    ck_assert_int_eq(repaired(), 1);
    object->facts.fee.minor = 901;
    expect_one("amount_differs", "payment", "fee_minor", "901", "900", false);
    ck_assert_int_eq(repaired(), 0);
    object->facts.fee = (cfa_money){ 0, "" };
    object->facts.captured_minor = object->facts.authorized_minor = 999;
    object->whole = 1;
    expect_one("state_ahead", "payment", "captured_minor", "999", "1000", false);
    object->facts.captured_minor = object->facts.authorized_minor = 1001;
    ck_assert_int_eq(repaired(), 0);
    close_sound();
}
END_TEST

START_TEST(a_refund_in_the_balance_tells_no_state_and_is_found_by_its_own_id) {
    open_paid(_i);
    refund_by_hand(300, CFA_REFUND_SUCCEEDED);
    lose_webhooks();
    take_record();
    const cfa_refund_facts *known = record.objects[0].facts.refunds[0];
    cfa_refund_facts moved = { .struct_size = sizeof moved,
                               .ref = known->ref,
                               .amount = { 300, "EUR" },
                               .state = CFA_REFUND_PENDING };
    const cfa_refund_facts *items[] = { &moved };
    cfa_reconcile_object whole = record.objects[0];
    cfa_reconcile_object *object = take_movement(CFA_RECONCILE_REFUND);
    const char *ref = object->facts.ref;
    object->facts.refunds = items;
    object->facts.refund_count = 1;
    record.objects[GIFTS] = whole;
    record.count = GIFTS + 1; /* the payment itself is in the record, as ever */
    record.objects[GIFTS].facts.refund_count = 0;
    expect_one("missing_here", "refund", NULL, "it", "nothing", false);
    ck_assert_int_eq(repaired(), 0);
    object->facts.ref = NULL; /* nobody's, then */
    cfa_reconciliation *report = compared();
    ck_assert_int_eq(cfa_reconciliation_differences(report), 0);
    ck_assert_int_eq(cfa_reconciliation_foreign(report), 1);
    cfa_reconciliation_free(report);
    object->facts.ref = ref;
    record.objects[GIFTS] = whole;
    ck_assert_int_eq(repaired(), 1);
    object->facts.ref = NULL;
    expect_clean(); /* of a refund that succeeded */
    moved.amount = (cfa_money){ 0, "" };
    expect_clean();
    moved.amount = (cfa_money){ 299, "EUR" };
    expect_one("amount_differs", "refund", "amount_minor", "299", "300", false);
    moved.amount.minor = 300;
    moved.state = CFA_REFUND_FAILED;
    expect_one("state_behind", "refund", "state", "FAILED", "SUCCEEDED", false);
    ck_assert_int_eq(repaired(), 0);
    close_sound();
}
END_TEST

START_TEST(what_is_of_no_kind_is_only_counted) {
    open_paid(_i);
    for (int i = 0; i < GIFTS; i++)
        record.objects[i].kind = i == 0 ? CFA_RECONCILE_OTHER : CFA_RECONCILE_UNNAMED;
    cfa_reconciliation *report = compared();
    ck_assert_int_eq(cfa_reconciliation_differences(report), 0);
    ck_assert_ptr_nonnull(strstr(cfa_reconciliation_json(report), "\"other\":1,\"unnamed\":2"));
    ck_assert_int_eq(cfa_reconciliation_other(report), 1);
    ck_assert_int_eq(cfa_reconciliation_unnamed(report), 2);
    ck_assert_ptr_nonnull(strstr(cfa_reconciliation_text(report), "they name no payment"));
    cfa_reconciliation_free(report);
    ck_assert_int_eq(repaired(), 0);
    close_sound();
}
END_TEST

/* So many payments that name us and are unknown. */
static cfa_status next_stranger(void *self, cfa_reconcile_object *out) {
    static char ref[32];
    int *left = self;
    *out = (cfa_reconcile_object){
        .struct_size = sizeof *out, .livemode = -1, .refunded_minor = -1, .facts = CFA_FACTS_INIT
    };
    snprintf(ref, sizeof ref, "pi_unknown_%d", *left);
    out->facts.ref = ref;
    out->facts.payment_id = "pay_00000000000000000000000001";
    return (*left)-- > 0 ? CFA_OK : CFA_ENOTFOUND;
}

START_TEST(what_is_listed_is_bounded_and_all_is_counted) {
    int left = CFA_RECONCILE_LISTED_MAX + 7;
    cfa_reconciliation *report;
    cfa_reconcile_spec spec = CFA_RECONCILE_SPEC_INIT;
    open_paid(_i);
    spec.next = next_stranger;
    spec.next_self = &left;
    ck_assert_int_eq(cfa_reconcile_engine(&report, book.engine, &spec), CFA_OK);
    ck_assert_int_eq(cfa_reconciliation_differences(report), CFA_RECONCILE_LISTED_MAX + 7);
    ck_assert_uint_eq(cfa_reconciliation_size(report), CFA_RECONCILE_LISTED_MAX);
    cfa_reconciliation_free(report);
    close_sound();
}
END_TEST

START_TEST(what_cannot_be_compared_is_an_error) {
    cfa_reconciliation *report = NULL;
    cfa_reconcile_spec spec = spec_of();
    open_paid(_i);
    record.objects[1].livemode = 1;
    expect_error(cfa_reconcile_engine(&report, book.engine, &spec), CFA_EMODE, "livemode");
    take_record();
    record.objects[1].kind = 7;
    expect_error(cfa_reconcile_engine(&report, book.engine, &spec), CFA_EINVAL, "kind");
    spec.next = NULL;
    expect_error(cfa_reconcile_engine(&report, book.engine, &spec), CFA_EINVAL, "next");
    spec = spec_of();
    spec.until_us = 0;
    expect_error(cfa_reconcile_engine(&report, book.engine, &spec), CFA_EINVAL, "until_us");
    ck_assert_ptr_null(report);
    close_sound();
}
END_TEST

/* ---- recording ------------------------------------------------------------------------------- */

static cfa__book row_of_book(void) {
    const cfa_storage_ops *ops = book.storage.ops;
    cfa__book key = { .id = 1 };
    cfa_query query = { .kind = &cfa__book_kind, .match_count = 1, .limit = 1, .key = &key };
    cfa_session *session;
    int64_t now_us;
    ck_assert_int_eq(ops->session_open(book.storage.self, CFA_SESSION_READ, &session), CFA_OK);
    ck_assert_int_eq(ops->begin(session, CFA_SESSION_READ, 1000, &now_us), CFA_OK);
    ck_assert_int_eq(ops->load(session, &query, 1, record.arena), CFA_OK);
    ck_assert_int_eq(query.count, 1);
    cfa__book row = *(const cfa__book *)query.records[0];
    ops->rollback(session);
    ops->session_close(session);
    return row;
}

static cfa_reconciliation *compared_within(int64_t from_us, int64_t until_us) {
    cfa_reconciliation *report = NULL;
    cfa_reconcile_spec spec = spec_of();
    spec.from_us = from_us;
    spec.until_us = until_us;
    ck_assert_int_eq(cfa_reconcile_engine(&report, book.engine, &spec), CFA_OK);
    return report;
}

static void write_down(const cfa_reconciliation *report) {
    cfa_actor by = CFA_ACTOR_INIT;
    by.actor = "ops";
    by.reason = "nightly";
    cfa_status status = cfa_reconcile_record(book.engine, report, &by, 0);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
}

static void expect_known(int64_t from_us, int64_t until_us) {
    cfa__book row = row_of_book();
    ck_assert_int_eq(row.reconciled_from_us, from_us);
    ck_assert_int_eq(row.reconciled_until_us, until_us);
    ck_assert((row.reconciled_at_us != 0) == (until_us != 0));
}

static void write_down_within(int64_t from_us, int64_t until_us) {
    cfa_reconciliation *report = compared_within(from_us, until_us);
    write_down(report);
    cfa_reconciliation_free(report);
}

static json_t *after_of_act(int64_t number) {
    cfa_act_list *acts;
    ck_assert_int_eq(cfa_act_page(&acts, book.engine, number - 1, 1), CFA_OK);
    const cfa_act_view *act = cfa_act_list_at(acts, 0);
    ck_assert_ptr_nonnull(act);
    ck_assert_str_eq(act->action, "book.reconcile");
    ck_assert_str_eq(act->subject, "book");
    ck_assert_str_eq(act->actor, "ops");
    ck_assert_str_eq(act->reason, "nightly");
    json_t *after = json_loads(act->after, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(after);
    cfa_act_list_free(acts);
    return after;
}

START_TEST(a_comparison_is_recorded_once_with_what_it_found) {
    open_paid(_i);
    int64_t acts = row_of_book().act_count;
    int64_t now_us = cfa_manual_clock_now_us(book.clock);
    cfa_reconciliation *report = compared();
    write_down(report);
    expect_known(1, now_us); /* what was compared ended with the time of the comparison */
    ck_assert_int_eq(row_of_book().act_count, acts + 1);
    json_t *after = after_of_act(acts + 1);
    ck_assert_int_eq(json_integer_value(json_object_get(after, "objects")), GIFTS);
    ck_assert_int_eq(json_integer_value(json_object_get(after, "differences")), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(after, "read"), "payment")),
                     GIFTS);
    ck_assert_ptr_nonnull(json_object_get(after, "reconciled_until"));
    json_decref(after);
    int64_t rows = all_rows_of(&book);
    book_advance(&book, DAY_US);
    write_down(report);
    cfa_engine *second = book_second_engine(&book);
    ck_assert_int_eq(cfa_reconcile_record(second, report, NULL, 0), CFA_OK);
    cfa_engine_close(second);
    ck_assert_int_eq(all_rows_of(&book), rows);
    expect_known(1, now_us);
    cfa_reconciliation_free(report);
    close_sound();
}
END_TEST

START_TEST(books_that_differ_are_recorded_as_that) {
    open_paid(_i);
    int64_t acts = row_of_book().act_count;
    record.objects[0].facts.captured_minor += 1;
    cfa_reconciliation *report = compared();
    int64_t differences = cfa_reconciliation_differences(report);
    ck_assert_int_gt(differences, 0);
    write_down(report);
    json_t *after = after_of_act(acts + 1), *counts = json_object_get(after, "counts");
    int64_t sum = 0;
    const char *code;
    json_t *count;
    json_object_foreach(counts, code, count) {
        ck_assert_int_eq(json_integer_value(count), cfa_reconciliation_count(report, code));
        sum += json_integer_value(count);
    }
    ck_assert_int_eq(sum, differences);
    ck_assert_int_eq(json_integer_value(json_object_get(after, "differences")), differences);
    json_decref(after);
    cfa_reconciliation_free(report);
    expect_known(0, 0);
    close_sound();
}
END_TEST

START_TEST(times_that_were_compared_are_joined) {
    open_paid(_i);
    int64_t now_us = cfa_manual_clock_now_us(book.clock), day = now_us - 30 * DAY_US;
    write_down_within(day + 10 * DAY_US, day + 20 * DAY_US);
    expect_known(day + 10 * DAY_US, day + 20 * DAY_US);
    write_down_within(day + 20 * DAY_US, day + 21 * DAY_US); /* meets it */
    expect_known(day + 10 * DAY_US, day + 21 * DAY_US);
    write_down_within(day + 9 * DAY_US, day + 11 * DAY_US); /* overlaps its begin */
    expect_known(day + 9 * DAY_US, day + 21 * DAY_US);
    write_down_within(day + 12 * DAY_US, day + 13 * DAY_US); /* within it */
    expect_known(day + 9 * DAY_US, day + 21 * DAY_US);
    write_down_within(day, day + 5 * DAY_US); /* earlier, with a gap */
    expect_known(day + 9 * DAY_US, day + 21 * DAY_US);
    write_down_within(day + 25 * DAY_US, day + 26 * DAY_US); /* later, with a gap */
    expect_known(day + 25 * DAY_US, day + 26 * DAY_US);
    write_down_within(0, 0);                                 /* of no time */
    write_down_within(now_us + DAY_US, now_us + 2 * DAY_US); /* of none that was */
    expect_known(day + 25 * DAY_US, day + 26 * DAY_US);
    record.count = 0; /* a record of nothing proves nothing */
    write_down_within(day, day + 30 * DAY_US);
    expect_known(day + 25 * DAY_US, day + 26 * DAY_US);
    close_sound();
}
END_TEST

START_TEST(a_report_of_another_book_is_refused) {
    open_paid(_i);
    cfa_reconciliation *report = compared();
    struct book other;
    book_prepare(&other, STORE_MEMORY);
    cfa_manual_clock_jump(other.clock, DAY_US); /* or its ids would be the same */
    book_start(&other);
    int64_t rows = all_rows_of(&other);
    expect_error(cfa_reconcile_record(other.engine, report, NULL, 0), CFA_EINVAL, "report");
    ck_assert_int_eq(all_rows_of(&other), rows);
    expect_error(cfa_reconcile_record(other.engine, NULL, NULL, 0), CFA_EMISUSE, "report");
    book_close(&other);
    cfa_reconciliation_free(report);
    expect_known(0, 0);
    close_sound();
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("reconcile");
    add_per_store(suite, "agree", books_that_agree_give_nothing);
    add_per_store(suite, "refund",
                  a_refund_whose_webhook_was_lost_is_missing_here_and_repaired_once);
    add_per_store(suite, "several", what_several_lists_tell_is_one_difference);
    add_per_store(suite, "sum", a_sum_that_grew_since_the_record_is_not_ahead_of_it);
    add_per_store(suite, "refund_on", a_refund_that_went_on_leaves_the_book_behind);
    add_per_store(suite, "dispute", a_lost_dispute_is_missing_here_and_repaired_once);
    add_per_store(suite, "paid", a_payment_that_is_paid_there_leaves_the_book_behind);
    add_per_store(suite, "there", what_the_record_lacks_is_missing_there);
    add_per_store(suite, "all_kinds", what_a_record_of_all_kinds_lacks_is_missing_there);
    add_per_store(suite, "amount", another_amount_or_currency_is_named_and_left_alone);
    add_per_store(suite, "ahead", a_record_that_says_less_finds_the_book_ahead);
    add_per_store(suite, "unknown", a_payment_that_names_us_and_is_unknown_stays_reported);
    add_per_store(suite, "summary", a_row_of_a_report_is_compared_and_never_told);
    add_per_store(suite, "movement", a_movement_tells_the_fee_and_the_settlement_and_nothing_else);
    add_per_store(suite, "moved_refund",
                  a_refund_in_the_balance_tells_no_state_and_is_found_by_its_own_id);
    add_per_store(suite, "other", what_is_of_no_kind_is_only_counted);
    add_per_store(suite, "bounded", what_is_listed_is_bounded_and_all_is_counted);
    add_per_store(suite, "errors", what_cannot_be_compared_is_an_error);
    add_per_store(suite, "record", a_comparison_is_recorded_once_with_what_it_found);
    add_per_store(suite, "record_differences", books_that_differ_are_recorded_as_that);
    add_per_store(suite, "record_times", times_that_were_compared_are_joined);
    add_per_store(suite, "record_other", a_report_of_another_book_is_refused);
    return run_suite(suite, argc, argv);
}
