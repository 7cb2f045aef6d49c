/*
 * story.c - see story.h.
 */
#include "story.h"

#include <careforall/adapters/memory.h>
#include <careforall/testkit/clock.h>
#include <stdlib.h>
#include <string.h>

#define PAYMENTS_MAX 8
#define REFUNDS_MAX 8   /* that the host asks for */
#define REVERSALS_MAX 8 /* refunds, or disputes, in one report */
#define SECOND_US INT64_C(1000000)
/* A call in doubt is repeated after one second, then after five; other reads wait far longer. */
#define CALL_SECONDS_MAX 10

struct tale {
    cfa_storage storage;
    cfa_manual_clock *clock;
    cfa_engine *engine;
    const json_t *payments;
    char campaign_id[CFA_ID_TEXT_SIZE], payment_ids[PAYMENTS_MAX][CFA_ID_TEXT_SIZE];
    char refund_ids[REFUNDS_MAX][CFA_ID_TEXT_SIZE];
    const char *called_refund_id; /* while a REFUND call is answered */
};

/* A report and what it points to. */
struct report {
    cfa_facts facts;
    cfa_refund_facts refunds[REVERSALS_MAX];
    cfa_dispute_facts disputes[REVERSALS_MAX];
    const cfa_refund_facts *refund_list[REVERSALS_MAX];
    const cfa_dispute_facts *dispute_list[REVERSALS_MAX];
};

static const struct word call_kinds[] = {
    { "CREATE", CFA_CALL_CREATE },
    { "CAPTURE", CFA_CALL_CAPTURE },
    { "CANCEL", CFA_CALL_CANCEL },
    { "RETRIEVE", CFA_CALL_RETRIEVE },
    { "LOOKUP", CFA_CALL_LOOKUP },
    { "REFUND", CFA_CALL_REFUND },
    { NULL, 0 },
};

static const struct word outcomes[] = {
    { "UNKNOWN", CFA_OUTCOME_UNKNOWN },   { "DONE", CFA_OUTCOME_DONE },
    { "PENDING", CFA_OUTCOME_PENDING },   { "REFUSED", CFA_OUTCOME_REFUSED },
    { "NOT_SENT", CFA_OUTCOME_NOT_SENT }, { NULL, 0 },
};

static const struct word fact_flags[] = {
    { "SUCCEEDED", CFA_FACT_SUCCEEDED },
    { "CANCELED", CFA_FACT_CANCELED },
    { "EXPIRED", CFA_FACT_EXPIRED },
    { "FRAUD_WARNING", CFA_FACT_FRAUD_WARNING },
    { "NEEDS_ACTION", CFA_FACT_NEEDS_ACTION },
    { "PROCESSING", CFA_FACT_PROCESSING },
    { "FAILED", CFA_FACT_FAILED },
    { "SETTLED", CFA_FACT_SETTLED },
    { NULL, 0 },
};

static const struct word payment_flags[] = {
    { "UNKNOWN", CFA_PAYMENT_FLAG_UNKNOWN },
    { "CONFLICT", CFA_PAYMENT_FLAG_CONFLICT },
    { "SETTLED", CFA_PAYMENT_FLAG_SETTLED },
    { "LATE", CFA_PAYMENT_FLAG_LATE },
    { "FRAUD_WARNING", CFA_PAYMENT_FLAG_FRAUD_WARNING },
    { "HELD", CFA_PAYMENT_FLAG_HELD },
    { NULL, 0 },
};

static const struct word refund_states[] = {
#define REFUND_STATE_WORD(name, code, text) { #name, code },
    CFA_REFUND_STATE_MAP(REFUND_STATE_WORD)
#undef REFUND_STATE_WORD
        { NULL, 0 },
};

static const struct word dispute_states[] = {
#define DISPUTE_STATE_WORD(name, code, text) { #name, code },
    CFA_DISPUTE_STATE_MAP(DISPUTE_STATE_WORD)
#undef DISPUTE_STATE_WORD
        { NULL, 0 },
};

static const struct word refund_origins[] = {
    { "ASKED", CFA_REFUND_ASKED },
    { "EXTERNAL", CFA_REFUND_EXTERNAL },
    { "LATE", CFA_REFUND_LATE },
    { NULL, 0 },
};

static const struct word late_rules[] = {
    { "ACCEPT", CFA_LATE_ACCEPT },
    { "REFUSE", CFA_LATE_REFUSE },
    { "REFUND", CFA_LATE_REFUND },
    { "HOLD", CFA_LATE_HOLD },
    { NULL, 0 },
};

static uint32_t flags_in(const json_t *object, const char *name, const struct word *words) {
    uint32_t flags = 0;
    const json_t *list = json_object_get(object, name);
    for (size_t i = 0; i < json_array_size(list); i++)
        flags |= (uint32_t)value_of(words, json_string_value(json_array_get(list, i)));
    return flags;
}

/* ---- the book -------------------------------------------------------------------------------- */

static cfa_status prepare(void *self, const cfa_call *call, cfa_arena *arena, cfa_slice *out_body) {
    (void)self;
    (void)call;
    (void)arena;
    *out_body = (cfa_slice){ "{}", 2 };
    return CFA_OK;
}

/* Without `call`: the story answers what the engine asks. */
static const cfa_provider_ops ops = {
    .struct_size = sizeof ops,
    .name = "vectors",
    .capabilities = CFA_PROVIDER_TWO_STEP | CFA_PROVIDER_LOOKUP_AUTHORITATIVE,
    .prepare = prepare,
};
static const cfa_provider provider = { &ops, NULL };

static void tale_open(struct tale *tale, const json_t *story) {
    memset(tale, 0, sizeof *tale);
    tale->payments = json_object_get(story, "payments");
    ck_assert_uint_le(json_array_size(tale->payments), PAYMENTS_MAX);
    ck_assert_int_eq(cfa_memory_storage_new(&tale->storage), CFA_OK);
    ck_assert_int_eq(cfa_manual_clock_new(&tale->clock, 0, 1), CFA_OK);
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    options.storage = &tale->storage;
    options.provider = &provider;
    options.platform = cfa_manual_clock_platform(tale->clock);
    options.circuit_failures = -1;
    ck_assert_int_eq(cfa_engine_open(&tale->engine, &options), CFA_OK);
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    spec.key = "campaign";
    spec.title = "Clean water";
    spec.currencies = text_in(story, "currencies");
    if (spec.currencies == NULL)
        spec.currencies = "EUR";
    if (json_object_get(story, "late_rule") != NULL)
        spec.late_rule = value_of(late_rules, text_in(story, "late_rule"));
    cfa_campaign *campaign;
    ck_assert_int_eq(cfa_campaign_create(&campaign, tale->engine, &spec), CFA_OK);
    memcpy(tale->campaign_id, cfa_campaign_id(campaign), sizeof tale->campaign_id);
    cfa_campaign_free(campaign);
}

static void tale_close(struct tale *tale) {
    cfa_engine_close(tale->engine);
    tale->storage.ops->close(tale->storage.self);
    cfa_manual_clock_free(tale->clock);
}

static const char *payment_id(const struct tale *tale, int64_t index) {
    ck_assert(index >= 0 && index < (int64_t)json_array_size(tale->payments));
    ck_assert_str_ne(tale->payment_ids[index], "");
    return tale->payment_ids[index];
}

/* ---- steps ----------------------------------------------------------------------------------- */

static const char *refund_id(const struct tale *tale, int64_t index) {
    ck_assert(index >= 0 && index < REFUNDS_MAX);
    ck_assert_str_ne(tale->refund_ids[index], "");
    return tale->refund_ids[index];
}

static cfa_refund_facts refund_in(const struct tale *tale, const json_t *object) {
    only(object, "ref refund_id amount state failure_code occurred_us");
    cfa_refund_facts refund = { .struct_size = sizeof refund };
    refund.ref = text_in(object, "ref");
    refund.refund_id = text_in(object, "refund_id");
    if (refund.refund_id != NULL && strcmp(refund.refund_id, "$") == 0)
        refund.refund_id = tale->called_refund_id;
    else if (refund.refund_id != NULL && refund.refund_id[0] == '$')
        refund.refund_id = refund_id(tale, atol(refund.refund_id + 1));
    refund.amount = money_in(object, "amount");
    refund.state = value_of(refund_states, text_in(object, "state"));
    refund.failure_code = text_in(object, "failure_code");
    refund.occurred_us = number_in(object, "occurred_us");
    return refund;
}

static cfa_dispute_facts dispute_in(const json_t *object) {
    only(object, "ref amount state withdrawn_minor reinstated_minor fee reason evidence_due_us "
                 "occurred_us");
    cfa_dispute_facts dispute = { .struct_size = sizeof dispute };
    dispute.ref = text_in(object, "ref");
    dispute.amount = money_in(object, "amount");
    dispute.state = value_of(dispute_states, text_in(object, "state"));
    dispute.withdrawn_minor = number_in(object, "withdrawn_minor");
    dispute.reinstated_minor = number_in(object, "reinstated_minor");
    dispute.fee = money_in(object, "fee");
    dispute.reason = text_in(object, "reason");
    dispute.evidence_due_us = number_in(object, "evidence_due_us");
    dispute.occurred_us = number_in(object, "occurred_us");
    return dispute;
}

static void read_reversals(struct report *out, const struct tale *tale, const json_t *object) {
    const json_t *refunds = json_object_get(object, "refunds");
    const json_t *disputes = json_object_get(object, "disputes");
    size_t refund_count = json_array_size(refunds), dispute_count = json_array_size(disputes);
    ck_assert(refund_count <= REVERSALS_MAX && dispute_count <= REVERSALS_MAX);
    for (size_t i = 0; i < refund_count; i++) {
        out->refunds[i] = refund_in(tale, json_array_get(refunds, i));
        out->refund_list[i] = &out->refunds[i];
    }
    for (size_t i = 0; i < dispute_count; i++) {
        out->disputes[i] = dispute_in(json_array_get(disputes, i));
        out->dispute_list[i] = &out->disputes[i];
    }
    out->facts.refunds = out->refund_list;
    out->facts.refund_count = (int32_t)refund_count;
    out->facts.disputes = out->dispute_list;
    out->facts.dispute_count = (int32_t)dispute_count;
}

static cfa_facts facts_in(struct report *report, const struct tale *tale, const json_t *object) {
    report->facts = (cfa_facts)CFA_FACTS_INIT;
    if (object == NULL)
        return report->facts;
    only(object, "ref origin_ref payment_id amount flags authorized_minor captured_minor attempt "
                 "occurred_us failure_code cancel_reason refunds disputes fee");
    cfa_facts *facts = &report->facts;
    facts->ref = text_in(object, "ref");
    facts->origin_ref = text_in(object, "origin_ref");
    facts->payment_id = text_in(object, "payment_id");
    if (facts->payment_id != NULL && facts->payment_id[0] == '$')
        facts->payment_id = payment_id(tale, atol(facts->payment_id + 1));
    facts->amount = money_in(object, "amount");
    facts->flags = flags_in(object, "flags", fact_flags);
    facts->authorized_minor = number_in(object, "authorized_minor");
    facts->captured_minor = number_in(object, "captured_minor");
    facts->attempt = (int32_t)number_in(object, "attempt");
    facts->occurred_us = number_in(object, "occurred_us");
    facts->failure_code = text_in(object, "failure_code");
    facts->cancel_reason = text_in(object, "cancel_reason");
    facts->fee = money_in(object, "fee");
    read_reversals(report, tale, object);
    return *facts;
}

static void step_pledge(struct tale *tale, const json_t *step) {
    only(step, "pledge");
    int64_t index = number_in(step, "pledge");
    ck_assert(index >= 0 && index < (int64_t)json_array_size(tale->payments));
    const json_t *payment = json_array_get(tale->payments, (size_t)index);
    only(payment, "amount donor");
    char key[] = "pledge-0";
    key[sizeof key - 2] = (char)('0' + index);
    cfa_pledge_spec spec = CFA_PLEDGE_SPEC_INIT;
    spec.key = key;
    spec.campaign_id = tale->campaign_id;
    spec.amount = money_in(payment, "amount");
    spec.donor_reference = text_in(payment, "donor");
    spec.wait = CFA_WAIT_COMMIT;
    cfa_pledge *pledge;
    cfa_status status = cfa_pledge_create(&pledge, tale->engine, &spec);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), error_now()->message);
    memcpy(tale->payment_ids[index], cfa_pledge_payment_id(pledge), CFA_ID_TEXT_SIZE);
    cfa_pledge_free(pledge);
}

static void step_call(struct tale *tale, const json_t *step) {
    only(step, "call payment reply state");
    const json_t *answer = json_object_get(step, "reply");
    only(answer, "outcome facts code stored");
    cfa_pulled_call *pulled = NULL;
    for (int second = 0; pulled == NULL; second++) {
        ck_assert_msg(second < CALL_SECONDS_MAX, "no call became due");
        ck_assert_int_eq(cfa_call_next(&pulled, tale->engine, -1), CFA_OK);
        if (pulled == NULL)
            cfa_manual_clock_advance(tale->clock, SECOND_US);
    }
    const cfa_call *call = cfa_pulled_call_view(pulled);
    ck_assert_int_eq(call->kind, value_of(call_kinds, text_in(step, "call")));
    ck_assert_str_eq(call->payment_id, payment_id(tale, number_in(step, "payment")));
    tale->called_refund_id = call->refund_id;
    cfa_reply reply = { .struct_size = sizeof reply };
    reply.outcome = value_of(outcomes, text_in(answer, "outcome"));
    struct report report;
    reply.facts = facts_in(&report, tale, json_object_get(answer, "facts"));
    reply.code = text_in(answer, "code");
    reply.stored = flag_in(answer, "stored");
    ck_assert_int_eq(cfa_call_done(tale->engine, pulled, &reply, 0), CFA_OK);
    cfa_pulled_call_free(pulled);
}

static void step_event(struct tale *tale, const json_t *step) {
    only(step, "event facts verdict relevant livemode account fetch payment state");
    cfa_webhook_event event = { .struct_size = sizeof event };
    event.event_id = text_in(step, "event");
    event.event_type = "vector";
    event.account = text_in(step, "account");
    event.livemode = flag_in(step, "livemode");
    event.relevant = json_object_get(step, "relevant") == NULL || flag_in(step, "relevant");
    event.fetch = flag_in(step, "fetch");
    struct report report;
    event.facts = facts_in(&report, tale, json_object_get(step, "facts"));
    cfa_webhook_verdict verdict;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, tale->engine, &event, 0), CFA_OK);
    ck_assert_msg(strcmp(cfa_webhook_verdict_name(verdict), text_in(step, "verdict")) == 0,
                  "%s is %s, not %s", event.event_id, cfa_webhook_verdict_name(verdict),
                  text_in(step, "verdict"));
}

static void ask_refund(struct tale *tale, const json_t *step, const char *id) {
    int64_t number = number_in(step, "refund");
    ck_assert(number >= 0 && number < REFUNDS_MAX);
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    spec.key = text_in(step, "key");
    spec.payment_id = id;
    spec.amount = money_in(step, "amount");
    cfa_refund *refund = NULL;
    if (!expect_status(step, cfa_refund_create(&refund, tale->engine, &spec)))
        return;
    bool again = strcmp(tale->refund_ids[number], cfa_refund_id(refund)) == 0;
    ck_assert_int_eq(cfa_refund_replayed(refund) != 0, again);
    memcpy(tale->refund_ids[number], cfa_refund_id(refund), CFA_ID_TEXT_SIZE);
    cfa_refund_free(refund);
}

static void step_command(struct tale *tale, const json_t *step) {
    only(step, "command payment refund amount key status field state");
    const char *id = payment_id(tale, number_in(step, "payment")), *key = text_in(step, "key");
    const char *command = text_in(step, "command");
    cfa_payment *payment = NULL;
    if (strcmp(command, "refund") == 0) {
        ask_refund(tale, step, id);
    } else if (strcmp(command, "capture") == 0) {
        (void)expect_status(step,
                            cfa_payment_capture(&payment, tale->engine, id,
                                                money_in(step, "amount"), NULL, key, NULL, 0));
    } else if (strcmp(command, "accept") == 0) {
        (void)expect_status(step, cfa_payment_accept(&payment, tale->engine, id, NULL, key, NULL));
    } else {
        ck_assert_str_eq(command, "cancel");
        (void)expect_status(step,
                            cfa_payment_cancel(&payment, tale->engine, id, NULL, key, NULL, 0));
    }
    cfa_payment_free(payment);
}

/* ---- what must be true ----------------------------------------------------------------------- */

static void check_totals(const struct tale *tale, const json_t *rows) {
    cfa_event_list *events;
    ck_assert_int_eq(cfa_event_page(&events, tale->engine, 0, CFA_PAGE_LIMIT_MAX), CFA_OK);
    size_t head = cfa_event_list_size(events);
    cfa_totals_spec spec = CFA_TOTALS_SPEC_INIT;
    spec.at_least = cfa_event_list_at(events, head - 1)->position;
    cfa_event_list_free(events);
    cfa_totals *totals;
    ck_assert_int_eq(cfa_totals_get(&totals, tale->engine, tale->campaign_id, &spec), CFA_OK);
    ck_assert_uint_eq(cfa_totals_size(totals), json_array_size(rows));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const cfa_totals_row *row = cfa_totals_at(totals, i);
        const json_t *wanted = json_array_get(rows, i);
        only(wanted, "currency pledged_minor authorized_minor raised_minor refunded_minor "
                     "disputed_minor net_minor donation_count donor_count");
        ck_assert_str_eq(row->currency, text_in(wanted, "currency"));
        ck_assert_int_eq(row->pledged_minor, number_in(wanted, "pledged_minor"));
        ck_assert_int_eq(row->authorized_minor, number_in(wanted, "authorized_minor"));
        ck_assert_int_eq(row->raised_minor, number_in(wanted, "raised_minor"));
        ck_assert_int_eq(row->refunded_minor, number_in(wanted, "refunded_minor"));
        ck_assert_int_eq(row->disputed_minor, number_in(wanted, "disputed_minor"));
        ck_assert_int_eq(row->net_minor, number_in(wanted, "net_minor"));
        ck_assert_int_eq(row->donation_count, number_in(wanted, "donation_count"));
        ck_assert_int_eq(row->donor_count, number_in(wanted, "donor_count"));
    }
    cfa_totals_free(totals);
    int32_t equal = 0;
    ck_assert_int_eq(cfa_totals_verify(&equal, tale->engine, tale->campaign_id, 0), CFA_OK);
    ck_assert_msg(equal != 0, "%s", error_now()->message);
}

static void check_history(const struct tale *tale, const char *id, const json_t *rows) {
    cfa_transition_list *list;
    ck_assert_int_eq(cfa_payment_history(&list, tale->engine, id), CFA_OK);
    for (size_t i = 0; i < json_array_size(rows) || i < cfa_transition_list_size(list); i++) {
        const json_t *row = json_array_get(rows, i);
        ck_assert_msg(i < cfa_transition_list_size(list), "step %zu is not in the log", i);
        ck_assert_msg(json_array_size(row) == 4, "%s %s is in the log",
                      cfa_transition_rule(list, i),
                      cfa_payment_state_name(cfa_transition_to(list, i)));
        const char *from = json_string_value(json_array_get(row, 0));
        ck_assert_str_eq(cfa_payment_state_name(cfa_transition_from(list, i)),
                         from != NULL ? from : "");
        ck_assert_str_eq(cfa_payment_state_name(cfa_transition_to(list, i)),
                         json_string_value(json_array_get(row, 1)));
        ck_assert_str_eq(cfa_transition_rule(list, i), json_string_value(json_array_get(row, 2)));
        ck_assert_int_eq(cfa_transition_implied(list, i), json_is_true(json_array_get(row, 3)));
    }
    cfa_transition_list_free(list);
}

static const char *short_type(const cfa_event_view *event) {
    static const char prefix[] = "org.careforall.";
    ck_assert_int_eq(strncmp(event->event_type, prefix, sizeof prefix - 1), 0);
    return event->event_type + sizeof prefix - 1;
}

static void check_event_types(const struct tale *tale, const char *id, const json_t *types) {
    cfa_event_list *events;
    ck_assert_int_eq(cfa_event_page(&events, tale->engine, 0, CFA_PAGE_LIMIT_MAX), CFA_OK);
    size_t found = 0;
    for (size_t i = 0; i < cfa_event_list_size(events); i++) {
        const cfa_event_view *event = cfa_event_list_at(events, i);
        if (strcmp(event->subject, id) != 0)
            continue;
        const char *wanted = json_string_value(json_array_get(types, found++));
        ck_assert_str_eq(short_type(event), wanted != NULL ? wanted : "no more events");
    }
    ck_assert_uint_eq(found, json_array_size(types));
    cfa_event_list_free(events);
}

static void check_state(const struct tale *tale, const json_t *wanted, int64_t index) {
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, tale->engine, payment_id(tale, index)), CFA_OK);
    ck_assert_str_eq(cfa_payment_state_name(cfa_payment_state_of(payment)),
                     text_in(wanted, "state"));
    cfa_payment_free(payment);
}

static void expect_text(const char *name, const char *got, const char *wanted) {
    ck_assert_msg((got == NULL) == (wanted == NULL) && (got == NULL || strcmp(got, wanted) == 0),
                  "%s is %s, not %s", name, got != NULL ? got : "absent",
                  wanted != NULL ? wanted : "absent");
}

static void expect_money(cfa_money got, cfa_money wanted) {
    ck_assert_int_eq(got.minor, wanted.minor);
    ck_assert_str_eq(got.currency, wanted.currency);
}

static bool is_same_text(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Which refund or dispute a vector means: the one with that ref. */
static void check_refunds(const struct tale *tale, const char *id, const json_t *wanted) {
    cfa_refund_list *list;
    ck_assert_int_eq(cfa_refund_list_of(&list, tale->engine, id), CFA_OK);
    ck_assert_uint_eq(cfa_refund_list_size(list), json_array_size(wanted));
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const json_t *one = json_array_get(wanted, i);
        only(one, "ref state origin amount failure_code");
        size_t at = 0;
        while (at < cfa_refund_list_size(list) &&
               !is_same_text(cfa_refund_ref(cfa_refund_list_at(list, at)), text_in(one, "ref")))
            at++;
        const cfa_refund *refund = cfa_refund_list_at(list, at);
        ck_assert_ptr_nonnull(refund);
        ck_assert_str_eq(cfa_refund_state_name(cfa_refund_state_of(refund)), text_in(one, "state"));
        ck_assert_int_eq(cfa_refund_origin_of(refund),
                         value_of(refund_origins, text_in(one, "origin")));
        expect_money(cfa_refund_amount(refund), money_in(one, "amount"));
        expect_text("failure_code", cfa_refund_failure_code(refund), text_in(one, "failure_code"));
    }
    cfa_refund_list_free(list);
}

static void check_disputes(const struct tale *tale, const char *id, const json_t *wanted) {
    cfa_dispute_list *list;
    ck_assert_int_eq(cfa_dispute_list_of(&list, tale->engine, id), CFA_OK);
    ck_assert_uint_eq(cfa_dispute_list_size(list), json_array_size(wanted));
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const json_t *one = json_array_get(wanted, i);
        only(one, "ref state amount withdrawn_minor reinstated_minor fee reason");
        size_t at = 0;
        while (at < cfa_dispute_list_size(list) &&
               !is_same_text(cfa_dispute_ref(cfa_dispute_list_at(list, at)), text_in(one, "ref")))
            at++;
        const cfa_dispute *dispute = cfa_dispute_list_at(list, at);
        ck_assert_ptr_nonnull(dispute);
        ck_assert_str_eq(cfa_dispute_state_name(cfa_dispute_state_of(dispute)),
                         text_in(one, "state"));
        expect_money(cfa_dispute_amount(dispute), money_in(one, "amount"));
        ck_assert_int_eq(cfa_dispute_withdrawn(dispute).minor, number_in(one, "withdrawn_minor"));
        ck_assert_int_eq(cfa_dispute_reinstated(dispute).minor, number_in(one, "reinstated_minor"));
        expect_money(cfa_dispute_fee(dispute), money_in(one, "fee"));
        expect_text("reason", cfa_dispute_reason(dispute), text_in(one, "reason"));
    }
    cfa_dispute_list_free(list);
}

static void check_payment(const struct tale *tale, const json_t *wanted, int64_t index) {
    only(wanted, "state flags authorized_minor captured_minor failure_code ref history events "
                 "refunds disputes refundable_minor fee");
    const char *id = payment_id(tale, index);
    check_state(tale, wanted, index);
    check_history(tale, id, json_object_get(wanted, "history"));
    if (json_object_get(wanted, "events") != NULL)
        check_event_types(tale, id, json_object_get(wanted, "events"));
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, tale->engine, id), CFA_OK);
    ck_assert_uint_eq(cfa_payment_flags(payment), flags_in(wanted, "flags", payment_flags));
    ck_assert_int_eq(cfa_payment_authorized(payment).minor, number_in(wanted, "authorized_minor"));
    ck_assert_int_eq(cfa_payment_captured(payment).minor, number_in(wanted, "captured_minor"));
    expect_text("failure_code", cfa_payment_failure_code(payment), text_in(wanted, "failure_code"));
    expect_text("ref", cfa_payment_ref(payment), text_in(wanted, "ref"));
    if (json_object_get(wanted, "refundable_minor") != NULL)
        ck_assert_int_eq(cfa_payment_refundable(payment).minor,
                         number_in(wanted, "refundable_minor"));
    expect_money(cfa_payment_fee(payment), money_in(wanted, "fee"));
    cfa_payment_free(payment);
    check_refunds(tale, id, json_object_get(wanted, "refunds"));
    check_disputes(tale, id, json_object_get(wanted, "disputes"));
}

/* One event of a payment and the contribution that it carries. */
static void check_contribution(const struct tale *tale, const cfa_event_view *event,
                               const json_t *wanted) {
    only(wanted, "payment type state currency pledged_minor authorized_minor raised_minor "
                 "refunded_minor disputed_minor");
    ck_assert_str_eq(event->subject, payment_id(tale, number_in(wanted, "payment")));
    ck_assert_str_eq(short_type(event), text_in(wanted, "type"));
    json_t *data = json_loadb(event->data.data, event->data.size, 0, NULL);
    ck_assert_ptr_nonnull(data);
    ck_assert_str_eq(text_in(data, "state"), text_in(wanted, "state"));
    ck_assert_str_eq(text_in(data, "currency"), text_in(wanted, "currency"));
    const json_t *contribution = json_object_get(data, "contribution");
    static const char *const buckets[] = { "pledged_minor", "authorized_minor", "raised_minor",
                                           "refunded_minor", "disputed_minor" };
    for (size_t i = 0; i < sizeof buckets / sizeof buckets[0]; i++) {
        ck_assert_ptr_nonnull(json_object_get(contribution, buckets[i]));
        ck_assert_msg(number_in(contribution, buckets[i]) == number_in(wanted, buckets[i]),
                      "%s of event %lld", buckets[i], (long long)event->position);
    }
    json_decref(data);
}

static void check_contributions(const struct tale *tale, const json_t *wanted) {
    cfa_event_list *events;
    ck_assert_int_eq(cfa_event_page(&events, tale->engine, 0, CFA_PAGE_LIMIT_MAX), CFA_OK);
    size_t found = 0;
    for (size_t i = 0; i < cfa_event_list_size(events); i++) {
        const cfa_event_view *event = cfa_event_list_at(events, i);
        if (strncmp(event->subject, "pay_", 4) != 0)
            continue;
        ck_assert_uint_lt(found, json_array_size(wanted));
        check_contribution(tale, event, json_array_get(wanted, found++));
    }
    ck_assert_uint_eq(found, json_array_size(wanted));
    cfa_event_list_free(events);
}

/* ---- a story --------------------------------------------------------------------------------- */

static void take_step(struct tale *tale, const json_t *step) {
    if (json_object_get(step, "pledge") != NULL) {
        step_pledge(tale, step);
    } else if (json_object_get(step, "call") != NULL) {
        step_call(tale, step);
    } else if (json_object_get(step, "event") != NULL) {
        step_event(tale, step);
    } else if (json_object_get(step, "command") != NULL) {
        step_command(tale, step);
    } else if (json_object_get(step, "totals") != NULL) {
        only(step, "totals");
        check_totals(tale, json_object_get(step, "totals"));
    } else {
        only(step, "advance_s");
        cfa_manual_clock_advance(tale->clock, number_in(step, "advance_s") * SECOND_US);
    }
    if (json_object_get(step, "state") != NULL)
        check_state(tale, step, number_in(step, "payment"));
}

void story_run(const json_t *story) {
    only(story, "name about rules clock currencies late_rule payments steps expect");
    struct tale tale;
    tale_open(&tale, story);
    const json_t *steps = json_object_get(story, "steps");
    for (size_t i = 0; i < json_array_size(steps); i++)
        take_step(&tale, json_array_get(steps, i));
    const json_t *expect = json_object_get(story, "expect");
    only(expect, "payments events totals");
    const json_t *payments = json_object_get(expect, "payments");
    for (size_t i = 0; i < json_array_size(payments); i++)
        check_payment(&tale, json_array_get(payments, i), (int64_t)i);
    if (json_object_get(expect, "events") != NULL)
        check_contributions(&tale, json_object_get(expect, "events"));
    if (json_object_get(expect, "totals") != NULL)
        check_totals(&tale, json_object_get(expect, "totals"));
    tale_close(&tale);
}
