/*
 * panel.c - what tests and people ask of the sandbox beside Stripe's API. JSON in and out, no
 * token: it exists on loopback addresses only, unless --allow-remote says otherwise.
 */
#include "panel.h"
#include "api.h"
#include "checkout.h"
#include "clock.h"
#include "dispute.h"
#include "faults.h"
#include "payout.h"
#include "refund.h"
#include "webhooks.h"

#include <stdlib.h>
#include <string.h>

enum { ADVANCE_S_MAX = 400 * 24 * 3600, KEEP_S = 24 * 3600 };

static void complain(call *c, int status, const char *message) {
    call_json(c, status, pack("{s:s}", "error", message));
}

/* ---- the books ------------------------------------------------------------------------------ */

static json_t *row_of(sqlite3_stmt *q) {
    json_t *out = pack("{}");
    for (int i = 0; i < sqlite3_column_count(q); i++)
        doc_set(out, sqlite3_column_name(q, i),
                sqlite3_column_type(q, i) == SQLITE_INTEGER
                    ? json_integer(sqlite3_column_int64(q, i))
                    : string_or_null(store_column_text(q, i)));
    return out;
}

static json_t *one_row(store *s, sqlite3_stmt *q) {
    json_t *out = store_step(s, q) ? row_of(q) : pack("{}");
    store_run(s, q);
    return out;
}

#define TWICE "(captures > 1 OR charges > 1 OR captured > amount)"

static void show_books(call *c) {
    store *s = c->box->store;
    json_t *out = one_row(
        s,
        store_sql(s, "SELECT count(*) AS payments, ifnull(sum(intents), 0) AS intents,"
                     " ifnull(sum(sessions), 0) AS sessions, ifnull(sum(charges), 0) AS charges,"
                     " ifnull(sum(captures), 0) AS captures, ifnull(sum(declines), 0) AS declines,"
                     " ifnull(sum(disputes), 0) AS disputes,"
                     " ifnull(sum(" TWICE "), 0) AS charged_twice,"
                     " ifnull(sum(captures > 0), 0) AS paid FROM payment"));
    sqlite3_stmt *q = store_sql(s, "SELECT currency, sum(captured) AS captured,"
                                   " sum(refunded) AS refunded FROM payment GROUP BY currency");
    json_t *currencies = pack("[]"), *twice = pack("[]");
    while (store_step(s, q))
        json_array_append_new(currencies, row_of(q));
    q = store_sql(s, "SELECT payment_id FROM payment WHERE " TWICE " LIMIT 100");
    while (store_step(s, q))
        json_array_append_new(twice, json_string(store_column_text(q, 0)));
    doc_set(out, "currencies", currencies);
    doc_set(out, "charged_twice_ids", twice);
    doc_set(out, "deliveries",
            one_row(s, store_sql(s, "SELECT ifnull(sum(state = 0), 0) AS due,"
                                    " ifnull(sum(state = 1), 0) AS delivered,"
                                    " ifnull(sum(state = 2), 0) AS gave_up,"
                                    " ifnull(sum(state = 3), 0) AS lost FROM delivery")));
    json_t *events =
        one_row(s, store_sql(s, "SELECT count(*) AS events FROM object WHERE kind = 6"));
    json_object_update(out, events);
    json_decref(events);
    call_json(c, 200, out);
}

static json_t *ids_of(store *s, const char *line, object_kind kind) {
    sqlite3_stmt *q = store_sql(s, "SELECT id, body ->> '$.status' AS status FROM object"
                                   " WHERE tag = ? AND kind = ? ORDER BY seq");
    store_bind_text(q, 1, line);
    sqlite3_bind_int(q, 2, (int)kind);
    json_t *out = pack("[]");
    while (store_step(s, q))
        json_array_append_new(out, row_of(q));
    return out;
}

/* Those that moved money and did not bring it back. */
static int64_t count_refunds(store *s, const char *line) {
    sqlite3_stmt *q = store_sql(s, "SELECT count(*) FROM object WHERE kind = ?1 AND parent IN"
                                   " (SELECT id FROM object WHERE kind = ?2 AND tag = ?3)"
                                   " AND body ->> '$.balance_transaction' IS NOT NULL"
                                   " AND body ->> '$.status' NOT IN ('failed', 'canceled')");
    sqlite3_bind_int(q, 1, KIND_REFUND);
    sqlite3_bind_int(q, 2, KIND_INTENT);
    store_bind_text(q, 3, line);
    int64_t count = store_step(s, q) ? sqlite3_column_int64(q, 0) : 0;
    store_run(s, q);
    return count;
}

static void show_payment(call *c, const char *line) {
    store *s = c->box->store;
    sqlite3_stmt *q = store_sql(s, "SELECT *, " TWICE " AS charged_twice FROM payment"
                                   " WHERE payment_id = ?");
    store_bind_text(q, 1, line);
    json_t *out = one_row(s, q);
    if (!json_object_size(out)) {
        json_decref(out);
        complain(c, 404, "no such payment");
        return;
    }
    doc_set_integer(out, "refunds", count_refunds(s, line));
    doc_set(out, "intent_list", ids_of(s, line, KIND_INTENT));
    doc_set(out, "session_list", ids_of(s, line, KIND_SESSION));
    call_json(c, 200, out);
}

static void show_payments(call *c) {
    store *s = c->box->store;
    sqlite3_stmt *q = store_sql(s, "SELECT * FROM payment");
    json_t *out = pack("[]");
    while (store_step(s, q))
        json_array_append_new(out, row_of(q));
    call_json(c, 200, pack("{s:o}", "payments", out));
}

/* ---- a donor's hand ------------------------------------------------------------------------- */

static json_t *newest_of(store *s, const char *line, object_kind kind) {
    sqlite3_stmt *q = store_sql(s, "SELECT body FROM object WHERE tag = ? AND kind = ?"
                                   " ORDER BY seq DESC LIMIT 1");
    store_bind_text(q, 1, line);
    sqlite3_bind_int(q, 2, (int)kind);
    json_t *out = store_step(s, q) ? must(json_loads(store_column_text(q, 0), 0, NULL)) : NULL;
    store_run(s, q);
    return out;
}

static pay_outcome pay_intent(sandbox *box, json_t *intent, const test_card *card) {
    char method[ID_BYTES];
    method_new(box, doc_account(intent), card, method);
    return payment_attempt(box, intent, card, method, false);
}

static void finish_pay(call *c, json_t *session, json_t *intent, const test_card *card,
                       bool answers) {
    static const char *const names[] = { "paid", "held", "processing", "needs_action", "declined" };
    sandbox *box = c->box;
    store_begin(box->store);
    pay_outcome out = session ? session_submit(box, session, card) : pay_intent(box, intent, card);
    const char *intent_id =
        session ? doc_string(session, "payment_intent") : doc_string(intent, "id");
    json_t *now = must(store_load(box->store, KIND_INTENT, NULL, intent_id));
    if (out == NEEDS_ACTION)
        out = payment_authenticate(box, now, answers);
    store_commit(box->store);
    jobs_wake(box);
    sender_wake(box);
    json_t *reply = pack("{s:s, s:s, s:s}", "outcome", names[out], "intent", doc_string(now, "id"),
                         "status", doc_string(now, "status"));
    if (session && out != DECLINED) {
        char *url = session_return_url(session, doc_string(session, "success_url"));
        doc_set_string(reply, "redirect", url);
        free(url);
    }
    json_decref(now);
    call_json(c, 200, reply);
}

static void pay(call *c, const json_t *wanted) {
    store *s = c->box->store;
    const char *line = doc_string(wanted, "payment_id"),
               *method = doc_string(wanted, "payment_method");
    const char *session_id = doc_string(wanted, "session"),
               *intent_id = doc_string(wanted, "intent");
    const test_card *card = method ? card_by_method(method) : card_by_method("pm_card_visa");
    card = card || !method ? card : card_by_number(method);
    json_t *session = NULL, *intent = NULL;
    if (session_id)
        session = store_load(s, KIND_SESSION, NULL, session_id);
    else if (intent_id)
        intent = store_load(s, KIND_INTENT, NULL, intent_id);
    else if (line && !(session = newest_of(s, line, KIND_SESSION)))
        intent = newest_of(s, line, KIND_INTENT);
    if (!card)
        complain(c, 400, "no such payment_method");
    else if (!session && !intent)
        complain(c, 404, "no such payment, session or intent");
    else if (session && !text_equal(doc_string(session, "status"), "open"))
        complain(c, 409, "the session is not open");
    else if (intent && !payment_can_confirm(intent))
        complain(c, 409, "the intent cannot be confirmed");
    else
        finish_pay(c, session, intent, card,
                   !json_is_false(json_object_get(wanted, "authenticate")));
    json_decref(session);
    json_decref(intent);
}

/* ---- the other levers ----------------------------------------------------------------------- */

static void show_clock(call *c) {
    call_json(c, 200,
              pack("{s:I, s:I}", "now_us", (json_int_t)clock_us(c->box), "advanced_s",
                   (json_int_t)(c->box->clock_offset_us / 1000000)));
}

static void move_clock(call *c, const json_t *wanted) {
    const json_t *seconds = json_object_get(wanted, "advance_s");
    if (!json_is_integer(seconds) || json_integer_value(seconds) < 0 ||
        json_integer_value(seconds) > ADVANCE_S_MAX)
        complain(c, 400, "advance_s: seconds to go forward, at most 400 days");
    else {
        clock_advance(c->box, json_integer_value(seconds));
        show_clock(c);
    }
}

static void change_faults(call *c, const json_t *wanted) {
    const char *problem = faults_apply(c->box->faults, wanted);
    if (problem)
        complain(c, 400, problem);
    else
        call_json(c, 200, faults_show(c->box->faults));
}

static void roll_secret(call *c, const json_t *wanted) {
    int64_t keep_s = json_object_get(wanted, "keep_s") ? doc_integer(wanted, "keep_s") : KEEP_S;
    json_t *reply = endpoint_roll(c->box, doc_string(wanted, "endpoint"), keep_s);
    if (reply)
        call_json(c, 200, reply);
    else
        complain(c, 404, "no such endpoint");
}

static void retry(call *c, const json_t *wanted) {
    int64_t count = sender_retry(c->box, doc_string(wanted, "event"));
    call_json(c, 200, pack("{s:I}", "deliveries", (json_int_t)count));
}

/* {"dispute": id, "verdict": ...} or {"charge": id, "open": "dispute" | "inquiry" | "warning"}, a
 * dispute also with an amount */
static void judge(call *c, const json_t *wanted) {
    const char *id = doc_string(wanted, "dispute"), *verdict = doc_string(wanted, "verdict");
    const char *charge = doc_string(wanted, "charge"), *open = doc_string(wanted, "open");
    const char *problem = NULL;
    sandbox *box = c->box;
    store_begin(box->store);
    if (id && verdict)
        problem = dispute_decide(box, id, verdict);
    else if (charge && text_equal(open, "dispute"))
        problem = dispute_open_part(box, charge, doc_integer(wanted, "amount"));
    else if (charge && text_equal(open, "inquiry"))
        dispute_open_inquiry(box, charge);
    else if (charge && text_equal(open, "warning"))
        warning_open(box, charge);
    else
        problem = "give dispute and verdict, or charge and open (dispute, inquiry, warning)";
    store_commit(box->store);
    sender_wake(box);
    if (problem)
        complain(c, 400, problem);
    else
        call_json(c, 200, pack("{s:b}", "done", 1));
}

/* {"refund": id, "status": "succeeded" | "failed" | "canceled" | "requires_action"} */
static void settle(call *c, const json_t *wanted) {
    const char *id = doc_string(wanted, "refund"), *status = doc_string(wanted, "status");
    sandbox *box = c->box;
    store_begin(box->store);
    const char *problem = id && status
                              ? refund_decide(box, id, status, doc_string(wanted, "failure_reason"))
                              : "give refund and status";
    store_commit(box->store);
    sender_wake(box);
    if (problem)
        complain(c, 400, problem);
    else
        call_json(c, 200, pack("{s:b}", "done", 1));
}

/* {"payout": id} arrives, or a new one: {"account", "all", "manual", "travels"} */
static void pay_out(call *c, const json_t *wanted) {
    const char *id = doc_string(wanted, "payout"), *account = doc_string(wanted, "account");
    const payout_wish wish = { .account = account ? account : DEFAULT_ACCOUNT,
                               .all = doc_true(wanted, "all"),
                               .manual = doc_true(wanted, "manual"),
                               .travels = doc_true(wanted, "travels") };
    sandbox *box = c->box;
    store_begin(box->store);
    const char *problem = id ? payout_arrive(box, id) : NULL;
    json_t *made = id ? NULL : payout_make(box, &wish);
    store_commit(box->store);
    sender_wake(box);
    if (problem)
        complain(c, 400, problem);
    else
        call_json(c, 200, made ? pack("{s:o}", "payouts", made) : pack("{s:b}", "done", 1));
}

static const struct {
    const char *path;
    void (*get)(call *c);
    void (*post)(call *c, const json_t *wanted);
} levers[] = {
    { "books", show_books, NULL },
    { "payments", show_payments, NULL },
    { "pay", NULL, pay },
    { "clock", show_clock, move_clock },
    { "faults", NULL, change_faults },
    { "secret/roll", NULL, roll_secret },
    { "webhooks/retry", NULL, retry },
    { "disputes", NULL, judge },
    { "refunds", NULL, settle },
    { "payouts", NULL, pay_out },
};

void panel_handle(call *c) {
    const char *path = c->path + strlen("/_sandbox/");
    bool get = strcmp(c->method, "GET") == 0, post = strcmp(c->method, "POST") == 0;
    json_t *wanted = c->body_size ? json_loadb(c->body, c->body_size, JSON_REJECT_DUPLICATES, NULL)
                                  : must(json_object());
    if (post && !json_is_object(wanted))
        complain(c, 400, "send a JSON object");
    else if (get && strcmp(path, "faults") == 0)
        call_json(c, 200, faults_show(c->box->faults));
    else if (get && text_starts(path, "payments/"))
        show_payment(c, path + strlen("payments/"));
    else if (get && text_starts(path, "webhooks"))
        call_json(
            c, 200,
            pack("{s:o}", "deliveries", sender_show(c->box, path[8] == '/' ? path + 9 : NULL)));
    for (size_t i = 0; !c->text && i < sizeof levers / sizeof *levers; i++) {
        if (strcmp(levers[i].path, path) != 0)
            continue;
        if (get && levers[i].get)
            levers[i].get(c);
        else if (post && levers[i].post)
            levers[i].post(c, wanted);
        else
            complain(c, 405, "not with this method");
    }
    if (!c->text)
        complain(c, 404, "no such lever; docs/sandbox.md lists them");
    json_decref(wanted);
}
