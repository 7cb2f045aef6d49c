/*
 * test_stripe_reversals.c - refunds, disputes, fraud warnings and fees: Stripe's events and answers
 * as facts, and what is rather read again than guessed.
 */
#include "stripe_wire.h"

#include "util/signature.h"

#include <careforall/dispute.h>
#include <careforall/refund.h>
#include <stdio.h>
#include <string.h>

#define NOW_US INT64_C(1795341660000000)
#define CREATED_US INT64_C(1795341650000000)
#define REFUND_ID "rfd_01h455vb4pex5vsknk084sn02r"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- events ---------------------------------------------------------------------------------- */

static cfa_status receive(const char *type, const char *object, cfa_webhook_event *out) {
    static char body[16384];
    int size = snprintf(body, sizeof body,
                        "{\"id\":\"evt_1\",\"object\":\"event\",\"type\":\"%s\","
                        "\"created\":1795341650,\"livemode\":false,\"data\":{\"object\":%s}}",
                        type, object);
    ck_assert(size > 0 && (size_t)size < sizeof body);
    char header[CFA__SIGNATURE_SIZE];
    cfa_slice bytes = { body, (size_t)size };
    cfa__signature_make(header, (cfa_slice){ WEBHOOK_SECRET, strlen(WEBHOOK_SECRET) }, bytes,
                        NOW_US);
    const cfa_provider *provider = cfa_stripe_provider(stripe);
    *out = (cfa_webhook_event){ .struct_size = sizeof *out };
    return provider->ops->webhook(provider->self, (cfa_slice){ header, strlen(header) }, bytes,
                                  NOW_US, arena, out);
}

/* What a genuine event tells. */
static cfa_webhook_event tell(const char *type, const char *object) {
    cfa_webhook_event event;
    ck_assert_msg(receive(type, object, &event) == CFA_OK, "%s: %s", object, wire_last_error());
    return event;
}

static void expect_refused(const char *type, const char *object) {
    cfa_webhook_event event;
    ck_assert_msg(receive(type, object, &event) == CFA_EINVAL, "%s", object);
    ck_assert_ptr_nonnull(strstr(wire_last_error(), "webhook"));
}

/* The payment is to be read; nothing else is told. */
static void expect_fetch(const char *type, const char *object) {
    cfa_webhook_event event = tell(type, object);
    ck_assert_msg(event.relevant == 1 && event.fetch == 1, "%s", object);
    ck_assert_str_eq(event.facts.ref, "pi_1");
}

/* An object with its members where the form says %s. */
static const char *object_of(const char *form, const char *members) {
    static char text[4][4096];
    static size_t next;
    char *out = text[next++ % 4];
    const char *gap = strstr(form, "%s");
    int size = snprintf(out, sizeof text[0], "%.*s%s%s", (int)(gap - form), form, members, gap + 2);
    ck_assert(size > 0 && (size_t)size < sizeof text[0]);
    return out;
}

/* All of the members but those whose bits are set. */
static const char *without(const char *const *members, size_t count, unsigned absent) {
    static char given[512];
    size_t size = 0;
    given[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if ((absent >> i & 1u) == 0) {
            size += (size_t)snprintf(given + size, sizeof given - size, "%s", members[i]);
            ck_assert(size < sizeof given);
        }
    }
    return given;
}

/* ---- refunds --------------------------------------------------------------------------------- */

/* As a refund of the card is written: made in the dashboard, so without metadata. */
static const char *refund(const char *members) {
    return object_of("{\"id\":\"re_1\",\"object\":\"refund\",%s"
                     "\"balance_transaction\":\"txn_1\",\"charge\":\"ch_1\","
                     "\"created\":1795341640,\"destination_details\":{\"type\":\"card\"},"
                     "\"payment_intent\":\"pi_1\",\"receipt_number\":null,"
                     "\"source_transfer_reversal\":null,\"transfer_reversal\":null}",
                     members);
}

static const cfa_refund_facts *only_refund(const cfa_facts *facts) {
    ck_assert_int_eq(facts->refund_count, 1);
    ck_assert_int_eq(facts->dispute_count, 0);
    ck_assert_uint_eq(facts->refunds[0]->struct_size, sizeof(cfa_refund_facts));
    return facts->refunds[0];
}

static const char *const refund_events[] = { "refund.created", "refund.updated", "refund.failed",
                                             "charge.refund.updated" };

START_TEST(a_refunds_status_becomes_its_state_whatever_the_event) {
    static const struct {
        const char *status;
        int32_t state;
    } cases[] = {
        { "pending", CFA_REFUND_PENDING },     { "requires_action", CFA_REFUND_REQUIRES_ACTION },
        { "succeeded", CFA_REFUND_SUCCEEDED }, { "failed", CFA_REFUND_FAILED },
        { "canceled", CFA_REFUND_CANCELED },
    };
    for (size_t i = 0; i < COUNT(cases) * COUNT(refund_events); i++) {
        char members[128];
        snprintf(members, sizeof members,
                 "\"amount\":500,\"currency\":\"eur\",\"metadata\":{},\"status\":\"%s\",",
                 cases[i % COUNT(cases)].status);
        cfa_webhook_event event = tell(refund_events[i / COUNT(cases)], refund(members));
        ck_assert_int_eq(event.relevant, 1);
        ck_assert_int_eq(event.fetch, 0);
        ck_assert_str_eq(event.facts.ref, "pi_1");
        ck_assert_uint_eq(event.facts.flags, 0);
        ck_assert_int_eq(event.facts.captured_minor, 0);
        ck_assert_str_eq(event.facts.amount.currency, "");
        const cfa_refund_facts *told = only_refund(&event.facts);
        ck_assert_str_eq(told->ref, "re_1");
        ck_assert_ptr_null(told->refund_id);
        ck_assert_int_eq(told->state, cases[i % COUNT(cases)].state);
        ck_assert_int_eq(told->amount.minor, 500);
        ck_assert_str_eq(told->amount.currency, "EUR");
        ck_assert_int_eq(told->occurred_us, CREATED_US);
    }
}
END_TEST

#define OURS "\"metadata\":{\"payment_id\":\"" PAYMENT_ID "\",\"refund_id\":\"" REFUND_ID "\"},"
#define FIVE "\"amount\":500,\"currency\":\"eur\","

START_TEST(a_refund_that_was_asked_for_brings_its_id) {
    cfa_webhook_event event =
        tell("refund.failed", refund(FIVE OURS "\"status\":\"failed\",\"failure_reason\":"
                                               "\"expired_or_canceled_card\","
                                               "\"failure_balance_transaction\":\"txn_2\","));
    ck_assert_str_eq(event.facts.payment_id, PAYMENT_ID);
    ck_assert_str_eq(only_refund(&event.facts)->refund_id, REFUND_ID);
    ck_assert_str_eq(only_refund(&event.facts)->failure_code, "expired_or_canceled_card");
}
END_TEST

/* Whatever of a refund is absent or null but what makes it one, it is told. */
START_TEST(a_refund_is_told_with_whatever_it_lacks) {
    static const char *const members[] = {
        "\"metadata\":{},", "\"failure_reason\":null,", "\"balance_transaction\":\"txn_1\",",
        "\"reason\":null,", "\"charge\":\"ch_1\",",     "\"created\":1795341640,",
    };
    for (unsigned absent = 0; absent < 1u << COUNT(members); absent++) {
        const char *given = without(members, COUNT(members), absent);
        cfa_webhook_event event =
            tell("refund.created", object_of("{\"id\":\"re_1\",\"object\":\"refund\",%s" FIVE
                                             "\"status\":\"pending\",\"payment_intent\":\"pi_1\"}",
                                             given));
        ck_assert_int_eq(event.fetch, 0);
        ck_assert_int_eq(only_refund(&event.facts)->amount.minor, 500);
    }
}
END_TEST

START_TEST(a_refund_names_its_intent_also_when_that_is_expanded) {
    cfa_webhook_event event =
        tell("refund.updated", object_of("{\"id\":\"re_1\",\"object\":\"refund\"," FIVE
                                         "\"status\":\"pending\",\"payment_intent\":%s}",
                                         wire_intent("\"status\":\"succeeded\",")));
    ck_assert_str_eq(event.facts.ref, "pi_1");
    ck_assert_int_eq(event.facts.refund_count, 1);
}
END_TEST

START_TEST(a_refund_of_no_intent_is_not_ours) {
    for (size_t i = 0; i < COUNT(refund_events); i++) {
        cfa_webhook_event event =
            tell(refund_events[i],
                 "{\"id\":\"re_1\",\"object\":\"refund\"," FIVE
                 "\"status\":\"succeeded\",\"charge\":\"ch_1\",\"payment_intent\":null}");
        ck_assert_int_eq(event.relevant, 0);
        ck_assert_int_eq(event.fetch, 0);
    }
}
END_TEST

START_TEST(amounts_of_refunds_are_in_our_minor_units) {
    static const struct {
        const char *members, *currency;
        int64_t minor;
    } cases[] = {
        { "\"amount\":5120,\"currency\":\"kwd\",", "KWD", 5120 },
        { "\"amount\":500,\"currency\":\"jpy\",", "JPY", 500 },
        { "\"amount\":50000,\"currency\":\"isk\",", "ISK", 500 },
        { "\"amount\":50000,\"currency\":\"ugx\",", "UGX", 500 },
        { "\"amount\":7,\"currency\":\"mga\",", "MGA", 700 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char members[128];
        snprintf(members, sizeof members, "%s\"status\":\"succeeded\",", cases[i].members);
        cfa_webhook_event event = tell("refund.created", refund(members));
        ck_assert_int_eq(only_refund(&event.facts)->amount.minor, cases[i].minor);
        ck_assert_str_eq(only_refund(&event.facts)->amount.currency, cases[i].currency);
    }
}
END_TEST

START_TEST(a_refund_that_cannot_be_read_is_refused) {
    static const char *const broken[] = {
        "\"currency\":\"eur\",\"status\":\"succeeded\",",
        "\"amount\":null,\"currency\":\"eur\",\"status\":\"succeeded\",",
        "\"amount\":\"500\",\"currency\":\"eur\",\"status\":\"succeeded\",",
        "\"amount\":5.5,\"currency\":\"eur\",\"status\":\"succeeded\",",
        "\"amount\":-500,\"currency\":\"eur\",\"status\":\"succeeded\",",
        "\"amount\":9223372036854775808,\"currency\":\"eur\",\"status\":\"succeeded\",",
        "\"amount\":500,\"status\":\"succeeded\",",
        "\"amount\":500,\"currency\":\"xxq\",\"status\":\"succeeded\",",
        "\"amount\":500,\"currency\":7,\"status\":\"succeeded\",",
        "\"amount\":550,\"currency\":\"isk\",\"status\":\"succeeded\",",
    };
    for (size_t i = 0; i < COUNT(broken); i++) {
        expect_refused("refund.created", refund(broken[i]));
    }
    expect_refused("refund.created", "{\"object\":\"refund\"," FIVE
                                     "\"status\":\"pending\",\"payment_intent\":\"pi_1\"}");
    expect_refused("refund.created", wire_intent("\"status\":\"succeeded\","));
    expect_refused("refund.created", "{}");
}
END_TEST

START_TEST(a_status_of_tomorrow_makes_no_state) {
    expect_fetch("refund.updated", refund(FIVE "\"status\":\"a_status_of_tomorrow\","));
    expect_fetch("refund.updated", refund(FIVE "\"status\":null,"));
    expect_fetch("refund.updated", refund(FIVE));
}
END_TEST

/* ---- releases of holds ----------------------------------------------------------------------- */

START_TEST(the_release_of_an_expired_hold_is_no_refund) {
    cfa_webhook_event event =
        tell("refund.created", object_of("{\"id\":\"re_1\",\"object\":\"refund\",%s" FIVE
                                         "\"balance_transaction\":null,\"status\":\"succeeded\","
                                         "\"payment_intent\":\"pi_1\"}",
                                         "\"reason\":\"expired_uncaptured_charge\","));
    ck_assert_int_eq(event.relevant, 1);
    ck_assert_int_eq(event.fetch, 0);
    ck_assert_int_eq(event.facts.refund_count, 0);
    ck_assert_uint_eq(event.facts.flags, CFA_FACT_EXPIRED);
    ck_assert_str_eq(event.facts.ref, "pi_1");
    ck_assert_str_eq(event.facts.cancel_reason, "expired_uncaptured_charge");
}
END_TEST

/* A canceled hold, or the rest of a partial capture: nothing moved, and the refund does not say
 * whether there was anything to move. */
START_TEST(what_may_be_a_release_is_looked_at) {
    expect_fetch("refund.created", "{\"id\":\"re_1\",\"object\":\"refund\"," FIVE
                                   "\"balance_transaction\":null,\"status\":\"succeeded\","
                                   "\"payment_intent\":\"pi_1\"}");
    cfa_webhook_event event =
        tell("refund.created", "{\"id\":\"re_1\",\"object\":\"refund\"," FIVE OURS
                               "\"balance_transaction\":null,\"status\":\"succeeded\","
                               "\"payment_intent\":\"pi_1\"}");
    ck_assert_int_eq(event.fetch, 0);
    ck_assert_int_eq(only_refund(&event.facts)->state, CFA_REFUND_SUCCEEDED);
}
END_TEST

static const char *charge(const char *members) {
    return object_of("{\"id\":\"ch_1\",\"object\":\"charge\",%s\"amount\":1250,"
                     "\"currency\":\"eur\",\"payment_intent\":\"pi_1\",\"status\":\"succeeded\","
                     "\"metadata\":{\"payment_id\":\"" PAYMENT_ID "\"}}",
                     members);
}

#define CAPTURED "\"captured\":true,\"amount_captured\":1250,"

START_TEST(a_refunded_charge_is_read_unless_it_brings_its_refunds) {
    expect_fetch("charge.refunded", charge(CAPTURED "\"amount_refunded\":500,"));
    expect_fetch("charge.refunded", charge(CAPTURED "\"amount_refunded\":\"500\","));
    expect_fetch("charge.refunded", charge(CAPTURED "\"amount_refunded\":500,\"refunds\":{"
                                                    "\"object\":\"list\",\"data\":[],"
                                                    "\"has_more\":true},"));
    cfa_webhook_event event =
        tell("charge.refunded",
             charge(CAPTURED "\"amount_refunded\":500,\"disputed\":false,\"refunds\":{"
                             "\"object\":\"list\",\"has_more\":false,\"data\":["
                             "{\"id\":\"re_2\",\"object\":\"refund\"," FIVE
                             "\"status\":\"succeeded\",\"balance_transaction\":\"txn_1\"},"
                             "{\"id\":\"re_1\",\"object\":\"refund\"," FIVE OURS
                             "\"status\":\"failed\",\"payment_intent\":\"pi_1\"}]},"));
    ck_assert_int_eq(event.fetch, 0);
    ck_assert_int_eq(event.facts.captured_minor, 1250);
    ck_assert_int_eq(event.facts.refund_count, 2);
    ck_assert_str_eq(event.facts.refunds[0]->ref, "re_2");
    ck_assert_int_eq(event.facts.refunds[1]->state, CFA_REFUND_FAILED);
    ck_assert_str_eq(event.facts.refunds[1]->refund_id, REFUND_ID);
}
END_TEST

START_TEST(the_release_of_the_rest_of_a_hold_is_no_refund_of_the_charge) {
    cfa_webhook_event event =
        tell("charge.refunded", charge("\"captured\":true,\"amount_captured\":1000,"
                                       "\"amount_refunded\":250,"));
    ck_assert_int_eq(event.fetch, 0);
    ck_assert_int_eq(event.facts.captured_minor, 1000);
    ck_assert_int_eq(event.facts.refund_count, 0);
    expect_fetch("charge.refunded", charge("\"captured\":true,\"amount_captured\":1000,"
                                           "\"amount_refunded\":251,"));
    event = tell("charge.refunded", charge("\"captured\":false,\"refunded\":true,"));
    ck_assert_int_eq(event.relevant, 0);
    ck_assert_int_eq(event.facts.refund_count, 0);
}
END_TEST

START_TEST(a_refund_of_another_payment_spoils_the_charge) {
    expect_refused("charge.refunded",
                   charge(CAPTURED "\"amount_refunded\":500,\"refunds\":{\"object\":\"list\","
                                   "\"has_more\":false,\"data\":[{\"id\":\"re_1\","
                                   "\"object\":\"refund\"," FIVE "\"status\":\"succeeded\","
                                   "\"payment_intent\":\"pi_2\"}]},"));
}
END_TEST

/* ---- disputes -------------------------------------------------------------------------------- */

static const char *dispute(const char *members) {
    return object_of("{\"id\":\"du_1\",\"object\":\"dispute\",\"amount\":1250,"
                     "\"currency\":\"eur\",\"charge\":\"ch_1\",\"created\":1795341640,%s"
                     "\"evidence\":{},\"evidence_details\":{\"due_by\":1796000000,"
                     "\"has_evidence\":false},\"metadata\":{},\"payment_intent\":\"pi_1\","
                     "\"reason\":\"fraudulent\"}",
                     members);
}

static const cfa_dispute_facts *only_dispute(const cfa_facts *facts) {
    ck_assert_int_eq(facts->dispute_count, 1);
    ck_assert_int_eq(facts->refund_count, 0);
    ck_assert_uint_eq(facts->disputes[0]->struct_size, sizeof(cfa_dispute_facts));
    return facts->disputes[0];
}

START_TEST(a_disputes_status_becomes_its_state_whatever_the_event) {
    static const struct {
        const char *status;
        int32_t state;
    } cases[] = {
        { "warning_needs_response", CFA_DISPUTE_INQUIRY },
        { "warning_under_review", CFA_DISPUTE_INQUIRY },
        { "warning_closed", CFA_DISPUTE_INQUIRY_CLOSED },
        { "needs_response", CFA_DISPUTE_OPEN },
        { "under_review", CFA_DISPUTE_UNDER_REVIEW },
        { "prevented", CFA_DISPUTE_PREVENTED },
        { "won", CFA_DISPUTE_WON },
        { "lost", CFA_DISPUTE_LOST },
    };
    static const char *const events[] = { "charge.dispute.created", "charge.dispute.updated",
                                          "charge.dispute.closed" };
    for (size_t i = 0; i < COUNT(cases) * COUNT(events); i++) {
        char members[128];
        snprintf(members, sizeof members, "\"status\":\"%s\",\"balance_transactions\":[],",
                 cases[i % COUNT(cases)].status);
        cfa_webhook_event event = tell(events[i / COUNT(cases)], dispute(members));
        ck_assert_int_eq(event.relevant, 1);
        ck_assert_int_eq(event.fetch, 0);
        ck_assert_str_eq(event.facts.ref, "pi_1");
        ck_assert_ptr_null(event.facts.payment_id);
        const cfa_dispute_facts *told = only_dispute(&event.facts);
        ck_assert_str_eq(told->ref, "du_1");
        ck_assert_int_eq(told->state, cases[i % COUNT(cases)].state);
        ck_assert_int_eq(told->amount.minor, 1250);
        ck_assert_str_eq(told->amount.currency, "EUR");
        ck_assert_int_eq(told->withdrawn_minor, 0);
        ck_assert_int_eq(told->reinstated_minor, 0);
        ck_assert_int_eq(told->fee.minor, 0);
        ck_assert_str_eq(told->reason, "fraudulent");
        ck_assert_int_eq(told->evidence_due_us, INT64_C(1796000000000000));
        ck_assert_int_eq(told->occurred_us, CREATED_US);
    }
}
END_TEST

#define ROW(amount, fee, currency)                                                                 \
    "{\"id\":\"txn_1\",\"object\":\"balance_transaction\",\"amount\":" amount ",\"fee\":" fee      \
    ",\"currency\":\"" currency "\",\"type\":\"adjustment\"}"
#define KIND_ROW(amount, fee, currency, category)                                                  \
    "{\"id\":\"txn_1\",\"object\":\"balance_transaction\",\"amount\":" amount ",\"fee\":" fee      \
    ",\"currency\":\"" currency "\",\"reporting_category\":\"" category "\"}"
#define WITHDRAWN "charge.dispute.funds_withdrawn"
#define REINSTATED "charge.dispute.funds_reinstated"
#define UPDATED "charge.dispute.updated"

START_TEST(a_disputes_money_is_what_its_balance_transactions_say) {
    static const struct {
        const char *type, *rows;
        int64_t withdrawn, reinstated, fee;
        const char *fee_currency;
    } cases[] = {
        /* One row with its fee, as the withdrawal is usually written; the fee may come back. */
        { WITHDRAWN, ROW("-1250", "1500", "eur"), 1250, 0, 1500, "EUR" },
        { UPDATED, ROW("-1250", "1500", "eur") "," ROW("1250", "-1500", "eur"), 1250, 1250, 1500,
          "EUR" },
        { UPDATED, ROW("-1250", "1500", "eur") "," ROW("1250", "0", "eur"), 1250, 1250, 1500,
          "EUR" },
        /* A row for the money, and one for the fee. */
        { UPDATED,
          KIND_ROW("-1250", "0", "eur", "dispute") "," KIND_ROW("-1500", "0", "eur", "fee"), 1250,
          0, 1500, "EUR" },
        { UPDATED,
          KIND_ROW("-1250", "1500", "eur", "dispute") "," KIND_ROW(
              "1250", "0", "eur", "dispute_reversal") "," KIND_ROW("-900", "0", "eur", "fee"),
          1250, 1250, 2400, "EUR" },
        /* A part of it, and taken again. */
        { UPDATED, ROW("-600", "0", "eur"), 600, 0, 0, "" },
        { UPDATED,
          ROW("-1250", "0", "eur") "," ROW("1250", "0", "eur") "," ROW("-1250", "0", "eur"), 2500,
          1250, 0, "" },
        /* Settled in another currency: the disputed amount moved, the fee is that currency's. */
        { UPDATED, ROW("-1391", "1500", "usd"), 1250, 0, 1500, "USD" },
        { UPDATED, ROW("-1391", "1500", "usd") "," ROW("1402", "0", "usd"), 1250, 1250, 1500,
          "USD" },
        /* What the event says, where no row shows it yet. */
        { WITHDRAWN, "", 1250, 0, 0, "" },
        { REINSTATED, "", 1250, 1250, 0, "" },
        { REINSTATED, ROW("-1250", "1500", "eur"), 1250, 1250, 1500, "EUR" },
        { REINSTATED, ROW("-1250", "1500", "eur") "," ROW("600", "0", "eur"), 1250, 600, 1500,
          "EUR" },
        { UPDATED, ROW("600", "0", "eur"), 600, 600, 0, "" },
        /* A fee that cannot be told exactly is not known. */
        { UPDATED, ROW("-1250", "1500", "xxq"), 1250, 0, 0, "" },
        { UPDATED, ROW("-1250", "1550", "isk"), 1250, 0, 0, "" },
        { UPDATED, ROW("-1250", "\"15\"", "eur"), 1250, 0, 0, "" },
        { UPDATED, ROW("-1250", "10", "eur") "," ROW("1391", "10", "usd"), 1250, 1250, 0, "" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char members[1024];
        snprintf(members, sizeof members,
                 "\"status\":\"needs_response\",\"balance_transactions\":[%s],", cases[i].rows);
        cfa_webhook_event event = tell(cases[i].type, dispute(members));
        const cfa_dispute_facts *told = only_dispute(&event.facts);
        ck_assert_msg(told->withdrawn_minor == cases[i].withdrawn, "%s", cases[i].rows);
        ck_assert_msg(told->reinstated_minor == cases[i].reinstated, "%s", cases[i].rows);
        ck_assert_msg(told->fee.minor == cases[i].fee, "%s", cases[i].rows);
        ck_assert_str_eq(told->fee.currency, cases[i].fee_currency);
    }
}
END_TEST

START_TEST(a_disputes_rows_of_three_decimals_and_of_other_units) {
    static const char form[] = "{\"id\":\"du_1\",\"object\":\"dispute\",%s"
                               "\"status\":\"lost\",\"payment_intent\":\"pi_1\"}";
    cfa_webhook_event event = tell(
        UPDATED, object_of(form, "\"amount\":5120,\"currency\":\"kwd\","
                                 "\"balance_transactions\":[" ROW("-5120", "4601", "kwd") "],"));
    ck_assert_int_eq(only_dispute(&event.facts)->withdrawn_minor, 5120);
    ck_assert_int_eq(only_dispute(&event.facts)->fee.minor, 4601);
    event = tell(UPDATED,
                 object_of(form, "\"amount\":50000,\"currency\":\"isk\","
                                 "\"balance_transactions\":[" ROW("-50000", "200000", "isk") "],"));
    ck_assert_int_eq(only_dispute(&event.facts)->amount.minor, 500);
    ck_assert_int_eq(only_dispute(&event.facts)->withdrawn_minor, 500);
    ck_assert_int_eq(only_dispute(&event.facts)->fee.minor, 2000);
}
END_TEST

START_TEST(a_dispute_is_told_with_whatever_it_lacks) {
    static const char *const members[] = {
        "\"balance_transactions\":[],", "\"charge\":\"ch_1\",", "\"reason\":\"general\",",
        "\"evidence_details\":{},",     "\"metadata\":{},",     "\"created\":1795341640,",
    };
    for (unsigned absent = 0; absent < 1u << COUNT(members); absent++) {
        const char *given = without(members, COUNT(members), absent);
        cfa_webhook_event event =
            tell("charge.dispute.created",
                 object_of("{\"id\":\"du_1\",\"object\":\"dispute\",%s\"amount\":1250,"
                           "\"currency\":\"eur\",\"status\":\"needs_response\","
                           "\"payment_intent\":\"pi_1\"}",
                           given));
        ck_assert_int_eq(event.fetch, 0);
        ck_assert_int_eq(only_dispute(&event.facts)->evidence_due_us, 0);
        ck_assert_int_eq(only_dispute(&event.facts)->amount.minor, 1250);
    }
}
END_TEST

START_TEST(a_dispute_that_cannot_be_read_is_refused) {
    static const char *const broken[] = {
        "\"balance_transactions\":[{\"amount\":\"-1250\",\"currency\":\"eur\"}],",
        "\"balance_transactions\":[{\"amount\":-12.5,\"currency\":\"eur\"}],",
        "\"balance_transactions\":[{\"currency\":\"eur\"}],",
        "\"balance_transactions\":[{\"amount\":-1250}],",
        "\"balance_transactions\":[\"txn_1\"],",
        "\"balance_transactions\":[" ROW("-9223372036854775807", "0",
                                         "eur") "," ROW("-9223372036854775807", "0", "eur") "],",
    };
    for (size_t i = 0; i < COUNT(broken); i++) {
        char members[512];
        snprintf(members, sizeof members, "\"status\":\"lost\",%s", broken[i]);
        expect_refused(UPDATED, dispute(members));
    }
    static const char *const objects[] = {
        "{\"id\":\"du_1\",\"object\":\"dispute\",\"currency\":\"eur\",\"status\":\"lost\","
        "\"payment_intent\":\"pi_1\"}",
        "{\"id\":\"du_1\",\"object\":\"dispute\",\"amount\":1,\"currency\":\"xxq\","
        "\"status\":\"lost\",\"payment_intent\":\"pi_1\"}",
        "{\"object\":\"dispute\",\"amount\":1,\"currency\":\"eur\",\"status\":\"lost\","
        "\"payment_intent\":\"pi_1\"}",
        "{\"id\":\"x\",\"object\":\"x\"}",
    };
    for (size_t i = 0; i < COUNT(objects); i++) {
        expect_refused("charge.dispute.closed", objects[i]);
    }
}
END_TEST

START_TEST(a_dispute_in_a_status_of_tomorrow_is_read_again) {
    expect_fetch(UPDATED, dispute("\"status\":\"a_status_of_tomorrow\","));
    expect_fetch(WITHDRAWN, dispute(""));
}
END_TEST

START_TEST(a_dispute_of_no_intent_is_not_ours) {
    cfa_webhook_event event =
        tell("charge.dispute.created",
             "{\"id\":\"du_1\",\"object\":\"dispute\",\"amount\":1,\"currency\":\"eur\","
             "\"status\":\"lost\",\"payment_intent\":null}");
    ck_assert_int_eq(event.relevant, 0);
    ck_assert_int_eq(event.facts.dispute_count, 0);
}
END_TEST

/* ---- warnings and fees ----------------------------------------------------------------------- */

START_TEST(an_early_fraud_warning_is_a_flag_of_its_intent) {
    static const char *const types[] = { "radar.early_fraud_warning.created",
                                         "radar.early_fraud_warning.updated" };
    for (size_t i = 0; i < COUNT(types); i++) {
        cfa_webhook_event event = tell(
            types[i], "{\"id\":\"issfr_1\",\"object\":\"radar.early_fraud_warning\","
                      "\"actionable\":true,\"charge\":\"ch_1\",\"created\":1795341640,"
                      "\"fraud_type\":\"misc\",\"livemode\":false,\"payment_intent\":\"pi_1\"}");
        ck_assert_int_eq(event.relevant, 1);
        ck_assert_int_eq(event.fetch, 0);
        ck_assert_str_eq(event.facts.ref, "pi_1");
        ck_assert_uint_eq(event.facts.flags, CFA_FACT_FRAUD_WARNING);
        event = tell(types[i], "{\"id\":\"issfr_1\",\"object\":\"radar.early_fraud_warning\","
                               "\"charge\":\"ch_1\"}");
        ck_assert_int_eq(event.relevant, 0);
        expect_refused(types[i], "{\"id\":\"issfr_1\",\"object\":\"review\"}");
    }
}
END_TEST

START_TEST(a_charge_tells_its_fee_in_the_currency_it_settles_in) {
    static const struct {
        const char *row;
        int64_t minor;
        const char *currency;
    } cases[] = {
        { ROW("1250", "66", "eur"), 66, "EUR" },
        { ROW("1391", "70", "usd"), 70, "USD" },
        { ROW("5120", "455", "kwd"), 455, "KWD" },
        { ROW("125000", "6600", "isk"), 66, "ISK" },
        { ROW("125000", "6650", "isk"), 0, "" },
        { ROW("1250", "0", "eur"), 0, "" },
        { ROW("1250", "-5", "eur"), 0, "" },
        { ROW("1250", "6.5", "eur"), 0, "" },
        { ROW("1250", "66", "xxq"), 0, "" },
        { "{\"object\":\"balance_transaction\"}", 0, "" },
        { "{\"object\":\"x\",\"fee\":66,\"currency\":\"eur\"}", 0, "" },
        { "null", 0, "" },
    };
    static const char *const types[] = { "charge.updated", "charge.succeeded", "charge.captured" };
    for (size_t i = 0; i < COUNT(cases) * COUNT(types); i++) {
        char members[512];
        snprintf(members, sizeof members, CAPTURED "\"balance_transaction\":%s,",
                 cases[i % COUNT(cases)].row);
        cfa_webhook_event event = tell(types[i / COUNT(cases)], charge(members));
        ck_assert_int_eq(event.fetch, 0);
        ck_assert_int_eq(event.facts.captured_minor, 1250);
        ck_assert_int_eq(event.facts.fee.minor, cases[i % COUNT(cases)].minor);
        ck_assert_str_eq(event.facts.fee.currency, cases[i % COUNT(cases)].currency);
    }
}
END_TEST

START_TEST(a_fee_that_became_known_late_is_read) {
    expect_fetch("charge.updated", charge(CAPTURED "\"balance_transaction\":\"txn_1\","));
    cfa_webhook_event event =
        tell("charge.succeeded", charge(CAPTURED "\"balance_transaction\":\"txn_1\","));
    ck_assert_int_eq(event.fetch, 0);
    event = tell("charge.updated", charge("\"captured\":false,"));
    ck_assert_int_eq(event.fetch, 0);
    ck_assert_int_eq(event.facts.authorized_minor, 1250);
}
END_TEST

/* ---- answers --------------------------------------------------------------------------------- */

START_TEST(the_answer_to_a_refund_tells_what_became_of_it) {
    static const struct {
        const char *status;
        int32_t outcome, state;
    } cases[] = {
        { "succeeded", CFA_OUTCOME_DONE, CFA_REFUND_SUCCEEDED },
        { "failed", CFA_OUTCOME_DONE, CFA_REFUND_FAILED },
        { "canceled", CFA_OUTCOME_DONE, CFA_REFUND_CANCELED },
        { "pending", CFA_OUTCOME_PENDING, CFA_REFUND_PENDING },
        { "requires_action", CFA_OUTCOME_PENDING, CFA_REFUND_REQUIRES_ACTION },
    };
    for (size_t i = 0; i < 2 * COUNT(cases); i++) {
        char members[256], body[2048];
        snprintf(members, sizeof members, FIVE OURS "\"status\":\"%s\",\"failure_reason\":%s,",
                 cases[i / 2].status,
                 cases[i / 2].state == CFA_REFUND_FAILED ? "\"lost_or_stolen_card\"" : "null");
        snprintf(body, sizeof body,
                 "{\"id\":\"re_1\",\"object\":\"refund\",%s"
                 "\"payment_intent\":%s}",
                 members,
                 i % 2 == 0 ? "\"pi_1\""
                            : wire_intent("\"status\":\"succeeded\",\"amount_received\":1250,"));
        peer_push_json(peer, 200, "", body);
        cfa_call call = wire_call(CFA_CALL_REFUND);
        call.refund_id = REFUND_ID;
        cfa_reply reply = wire_perform(call);
        ck_assert_int_eq(reply.outcome, cases[i / 2].outcome);
        ck_assert_str_eq(reply.facts.ref, "pi_1");
        ck_assert_int_eq(reply.facts.captured_minor, i % 2 == 0 ? 0 : 1250);
        ck_assert_ptr_null(reply.client_secret);
        const cfa_refund_facts *told = only_refund(&reply.facts);
        ck_assert_str_eq(told->ref, "re_1");
        ck_assert_str_eq(told->refund_id, REFUND_ID);
        ck_assert_int_eq(told->state, cases[i / 2].state);
        ck_assert_int_eq(told->amount.minor, 500);
        ck_assert_int_eq(told->occurred_us, DATE_US);
        ck_assert(reply.code == NULL || strcmp(reply.code, "lost_or_stolen_card") == 0);
        ck_assert_int_eq(reply.code != NULL, cases[i / 2].state == CFA_REFUND_FAILED);
    }
}
END_TEST

START_TEST(a_refund_in_a_status_of_tomorrow_was_made_and_goes_on) {
    peer_push_json(peer, 200, "", refund(FIVE OURS "\"status\":\"a_status_of_tomorrow\","));
    cfa_reply reply = wire_perform(wire_call(CFA_CALL_REFUND));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_PENDING);
    ck_assert_str_eq(reply.facts.ref, "pi_1");
    ck_assert_int_eq(reply.facts.refund_count, 0);
}
END_TEST

START_TEST(an_answer_to_a_refund_that_cannot_be_read_is_in_doubt) {
    static const char *const broken[] = {
        "{\"id\":\"re_1\",\"object\":\"refund\",\"status\":\"succeeded\",\"amount\":5}",
        "{\"id\":\"re_1\",\"object\":\"refund\",\"status\":\"succeeded\",\"amount\":-5,"
        "\"currency\":\"eur\",\"payment_intent\":\"pi_1\"}",
        "{\"object\":\"refund\",\"status\":\"succeeded\"," FIVE "\"payment_intent\":\"pi_1\"}",
        "{\"id\":\"re_1\",\"object\":\"charge\",\"status\":\"succeeded\"," FIVE
        "\"payment_intent\":\"pi_1\"}",
        "{\"id\":\"re_1\",\"object\":\"refund\",\"status\":\"succeeded\"," FIVE
        "\"payment_intent\":{\"object\":\"payment_intent\",\"id\":\"pi_1\"}}",
    };
    for (size_t i = 0; i < COUNT(broken); i++) {
        peer_push_json(peer, 200, "", broken[i]);
        cfa_reply reply = wire_perform(wire_call(CFA_CALL_REFUND));
        ck_assert_msg(reply.outcome == CFA_OUTCOME_UNKNOWN, "%s", broken[i]);
        ck_assert_str_eq(reply.code, "unreadable_object");
        ck_assert_ptr_null(reply.facts.ref);
        ck_assert_int_eq(reply.facts.refund_count, 0);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stripe_reversals");
    TCase *all = tcase_create("reversals");
    tcase_add_checked_fixture(all, wire_set_up, wire_tear_down);
    tcase_add_test(all, a_refunds_status_becomes_its_state_whatever_the_event);
    tcase_add_test(all, a_refund_that_was_asked_for_brings_its_id);
    tcase_add_test(all, a_refund_is_told_with_whatever_it_lacks);
    tcase_add_test(all, a_refund_names_its_intent_also_when_that_is_expanded);
    tcase_add_test(all, a_refund_of_no_intent_is_not_ours);
    tcase_add_test(all, amounts_of_refunds_are_in_our_minor_units);
    tcase_add_test(all, a_refund_that_cannot_be_read_is_refused);
    tcase_add_test(all, a_status_of_tomorrow_makes_no_state);
    tcase_add_test(all, the_release_of_an_expired_hold_is_no_refund);
    tcase_add_test(all, what_may_be_a_release_is_looked_at);
    tcase_add_test(all, a_refunded_charge_is_read_unless_it_brings_its_refunds);
    tcase_add_test(all, the_release_of_the_rest_of_a_hold_is_no_refund_of_the_charge);
    tcase_add_test(all, a_refund_of_another_payment_spoils_the_charge);
    tcase_add_test(all, a_disputes_status_becomes_its_state_whatever_the_event);
    tcase_add_test(all, a_disputes_money_is_what_its_balance_transactions_say);
    tcase_add_test(all, a_disputes_rows_of_three_decimals_and_of_other_units);
    tcase_add_test(all, a_dispute_is_told_with_whatever_it_lacks);
    tcase_add_test(all, a_dispute_that_cannot_be_read_is_refused);
    tcase_add_test(all, a_dispute_in_a_status_of_tomorrow_is_read_again);
    tcase_add_test(all, a_dispute_of_no_intent_is_not_ours);
    tcase_add_test(all, an_early_fraud_warning_is_a_flag_of_its_intent);
    tcase_add_test(all, a_charge_tells_its_fee_in_the_currency_it_settles_in);
    tcase_add_test(all, a_fee_that_became_known_late_is_read);
    tcase_add_test(all, the_answer_to_a_refund_tells_what_became_of_it);
    tcase_add_test(all, a_refund_in_a_status_of_tomorrow_was_made_and_goes_on);
    tcase_add_test(all, an_answer_to_a_refund_that_cannot_be_read_is_in_doubt);
    suite_add_tcase(suite, all);
    return wire_run(suite);
}
