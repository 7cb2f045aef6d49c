/*
 * facts.c - what the play provider tells: reports as facts, facts as JSON and back.
 *
 * Owns: the names of states and flags on the wire. Must never change an object.
 */
#include "adapters/play/books.h"

#include <assert.h>
#include <string.h>

#define TEXT_BYTES_MAX 255

/* ---- names ----------------------------------------------------------------------------------- */

static const struct flag_name {
    uint32_t flag;
    const char *name;
} flag_names[] = {
    { CFA_FACT_SUCCEEDED, "succeeded" },
    { CFA_FACT_CANCELED, "canceled" },
    { CFA_FACT_EXPIRED, "expired" },
    { CFA_FACT_FRAUD_WARNING, "fraud_warning" },
    { CFA_FACT_NEEDS_ACTION, "needs_action" },
    { CFA_FACT_PROCESSING, "processing" },
    { CFA_FACT_FAILED, "failed" },
    { CFA_FACT_SETTLED, "settled" },
};
#define FLAG_NAMES (sizeof flag_names / sizeof flag_names[0])

static const char *const refund_names[] = {
    [CFA_REFUND_PENDING] = "pending",     [CFA_REFUND_REQUIRES_ACTION] = "requires_action",
    [CFA_REFUND_SUCCEEDED] = "succeeded", [CFA_REFUND_FAILED] = "failed",
    [CFA_REFUND_CANCELED] = "canceled",
};
#define REFUND_NAMES (sizeof refund_names / sizeof refund_names[0])

static const char *const dispute_names[] = {
    [CFA_DISPUTE_INQUIRY] = "inquiry",     [CFA_DISPUTE_INQUIRY_CLOSED] = "inquiry_closed",
    [CFA_DISPUTE_OPEN] = "open",           [CFA_DISPUTE_UNDER_REVIEW] = "under_review",
    [CFA_DISPUTE_PREVENTED] = "prevented", [CFA_DISPUTE_WON] = "won",
    [CFA_DISPUTE_LOST] = "lost",
};
#define DISPUTE_NAMES (sizeof dispute_names / sizeof dispute_names[0])

/* ---- reports as facts ------------------------------------------------------------------------ */

cfa__play_report cfa__play_tell(const cfa__play_intent *intent) {
    return (cfa__play_report){ .intent = intent, .as.payment = intent->now };
}

cfa__play_report cfa__play_tell_refund(const cfa__play_refund *refund) {
    return (
        cfa__play_report){ .intent = refund->intent, .refund = refund, .as.refund = refund->now };
}

cfa__play_report cfa__play_tell_dispute(const cfa__play_dispute *dispute) {
    return (cfa__play_report){ .intent = dispute->intent,
                               .dispute = dispute,
                               .as.dispute = dispute->now };
}

/* NULL stays NULL, and so does "". */
static const char *copy(const char *text, cfa_arena *arena, bool *failed) {
    if (text == NULL || text[0] == '\0') {
        return NULL;
    }
    const char *made = cfa_arena_copy(arena, text, strlen(text));
    *failed = *failed || made == NULL;
    return made;
}

static const cfa_refund_facts *refund_facts(const cfa__play_refund *refund,
                                            const cfa__play_refund_snapshot *now, cfa_arena *arena,
                                            bool *failed) {
    cfa_refund_facts *made = cfa_arena_alloc(arena, sizeof *made);
    if (made == NULL) {
        *failed = true;
        return NULL;
    }
    *made = (cfa_refund_facts){
        .struct_size = sizeof *made,
        .ref = copy(refund->ref, arena, failed),
        .refund_id = copy(refund->refund_id, arena, failed),
        .amount = refund->intent->amount,
        .state = now->state,
        .failure_code = copy(now->failure_code, arena, failed),
        .occurred_us = now->occurred_us,
    };
    made->amount.minor = refund->amount_minor;
    return made;
}

static const cfa_dispute_facts *dispute_facts(const cfa__play_dispute *dispute,
                                              const cfa__play_dispute_snapshot *now,
                                              cfa_arena *arena, bool *failed) {
    cfa_dispute_facts *made = cfa_arena_alloc(arena, sizeof *made);
    if (made == NULL) {
        *failed = true;
        return NULL;
    }
    *made = (cfa_dispute_facts){
        .struct_size = sizeof *made,
        .ref = copy(dispute->ref, arena, failed),
        .amount = dispute->intent->amount,
        .state = now->state,
        .withdrawn_minor = now->withdrawn_minor,
        .reinstated_minor = now->reinstated_minor,
        .fee = now->fee,
        .reason = copy(dispute->reason, arena, failed),
        .evidence_due_us = now->evidence_due_us,
        .occurred_us = now->occurred_us,
    };
    made->amount.minor = dispute->amount_minor;
    return made;
}

/* Room for `count` pointers; NULL for none. */
static void *room(int32_t count, cfa_arena *arena, bool *failed) {
    if (count == 0) {
        return NULL;
    }
    void *made = cfa_arena_alloc(arena, (size_t)count * sizeof(void *));
    *failed = *failed || made == NULL;
    return made;
}

/* All that there are, the oldest first. */
static void list_all(cfa_facts *out, const cfa__play_intent *intent, cfa_arena *arena,
                     bool *failed) {
    const cfa_refund_facts **refunds = room(intent->refund_count, arena, failed);
    const cfa_dispute_facts **disputes = room(intent->dispute_count, arena, failed);
    int32_t at = intent->refund_count;
    for (cfa__play_refund *i = intent->newest_refund; i != NULL && !*failed; i = i->older) {
        refunds[--at] = refund_facts(i, &i->now, arena, failed);
    }
    at = intent->dispute_count;
    for (cfa__play_dispute *i = intent->newest_dispute; i != NULL && !*failed; i = i->older) {
        disputes[--at] = dispute_facts(i, &i->now, arena, failed);
    }
    out->refunds = refunds;
    out->refund_count = intent->refund_count;
    out->disputes = disputes;
    out->dispute_count = intent->dispute_count;
}

static void list_refund(cfa_facts *out, const cfa__play_report *report, cfa_arena *arena,
                        bool *failed) {
    const cfa_refund_facts **refunds = room(1, arena, failed);
    if (refunds != NULL) {
        refunds[0] = refund_facts(report->refund, &report->as.refund, arena, failed);
    }
    out->refunds = refunds;
    out->refund_count = 1;
    out->occurred_us = report->as.refund.occurred_us;
}

static void list_dispute(cfa_facts *out, const cfa__play_report *report, cfa_arena *arena,
                         bool *failed) {
    const cfa_dispute_facts **disputes = room(1, arena, failed);
    if (disputes != NULL) {
        disputes[0] = dispute_facts(report->dispute, &report->as.dispute, arena, failed);
    }
    out->disputes = disputes;
    out->dispute_count = 1;
    out->occurred_us = report->as.dispute.occurred_us;
}

static void tell_payment(cfa_facts *out, const cfa__play_snapshot *now) {
    out->flags = now->flags;
    out->authorized_minor = now->authorized_minor;
    out->captured_minor = now->captured_minor;
    out->attempt = now->attempt;
    out->occurred_us = now->occurred_us;
    out->failure_code = now->failure_code;
    out->cancel_reason = now->cancel_reason;
    out->fee = now->fee;
}

cfa_status cfa__play_facts(cfa_facts *out, const cfa__play_report *report, cfa_arena *arena) {
    assert(report->intent != NULL);
    cfa_facts facts = CFA_FACTS_INIT;
    bool failed = false;
    facts.ref = copy(report->intent->ref, arena, &failed);
    facts.payment_id = copy(report->intent->payment->id, arena, &failed);
    facts.amount = report->intent->amount;
    if (report->refund != NULL) {
        list_refund(&facts, report, arena, &failed);
    } else if (report->dispute != NULL) {
        list_dispute(&facts, report, arena, &failed);
    } else {
        tell_payment(&facts, &report->as.payment);
    }
    if (report->whole) {
        list_all(&facts, report->intent, arena, &failed);
    }
    if (failed) {
        return CFA_ENOMEM;
    }
    *out = facts;
    return CFA_OK;
}

/* ---- facts as JSON --------------------------------------------------------------------------- */

static void write_refunds(cfa__buffer *json, const cfa_facts *facts) {
    cfa__json_open(json, "refunds", '[');
    for (int32_t i = 0; i < facts->refund_count; i++) {
        const cfa_refund_facts *refund = facts->refunds[i];
        cfa__json_open(json, NULL, '{');
        cfa__json_text(json, "ref", refund->ref);
        cfa__json_text(json, "refund_id", refund->refund_id);
        cfa__json_int(json, "amount_minor", refund->amount.minor);
        cfa__json_text(json, "currency", refund->amount.currency);
        cfa__json_text(json, "state", refund_names[refund->state]);
        cfa__json_text(json, "failure_code", refund->failure_code);
        cfa__json_int(json, "occurred_us", refund->occurred_us);
        cfa__json_close(json, '}');
    }
    cfa__json_close(json, ']');
}

static void write_fee(cfa__buffer *json, cfa_money fee) {
    if (fee.currency[0] != '\0') {
        cfa__json_int(json, "fee_minor", fee.minor);
        cfa__json_text(json, "fee_currency", fee.currency);
    }
}

static void write_disputes(cfa__buffer *json, const cfa_facts *facts) {
    cfa__json_open(json, "disputes", '[');
    for (int32_t i = 0; i < facts->dispute_count; i++) {
        const cfa_dispute_facts *dispute = facts->disputes[i];
        cfa__json_open(json, NULL, '{');
        cfa__json_text(json, "ref", dispute->ref);
        cfa__json_int(json, "amount_minor", dispute->amount.minor);
        cfa__json_text(json, "currency", dispute->amount.currency);
        cfa__json_text(json, "state", dispute_names[dispute->state]);
        cfa__json_int(json, "withdrawn_minor", dispute->withdrawn_minor);
        cfa__json_int(json, "reinstated_minor", dispute->reinstated_minor);
        write_fee(json, dispute->fee);
        cfa__json_text(json, "reason", dispute->reason);
        cfa__json_int(json, "evidence_due_us", dispute->evidence_due_us);
        cfa__json_int(json, "occurred_us", dispute->occurred_us);
        cfa__json_close(json, '}');
    }
    cfa__json_close(json, ']');
}

void cfa__play_facts_write(cfa__buffer *json, const cfa_facts *facts) {
    cfa__json_text(json, "ref", facts->ref);
    cfa__json_text(json, "payment_id", facts->payment_id);
    cfa__json_int(json, "amount_minor", facts->amount.minor);
    cfa__json_text(json, "currency", facts->amount.currency);
    cfa__json_open(json, "flags", '[');
    for (size_t i = 0; i < FLAG_NAMES; i++) {
        if ((facts->flags & flag_names[i].flag) != 0) {
            cfa__json_text(json, NULL, flag_names[i].name);
        }
    }
    cfa__json_close(json, ']');
    cfa__json_int(json, "authorized_minor", facts->authorized_minor);
    cfa__json_int(json, "captured_minor", facts->captured_minor);
    cfa__json_int(json, "attempt", facts->attempt);
    cfa__json_int(json, "occurred_us", facts->occurred_us);
    cfa__json_text(json, "failure_code", facts->failure_code);
    cfa__json_text(json, "cancel_reason", facts->cancel_reason);
    if (facts->refund_count > 0) {
        write_refunds(json, facts);
    }
    if (facts->dispute_count > 0) {
        write_disputes(json, facts);
    }
    write_fee(json, facts->fee);
}

/* ---- JSON as facts --------------------------------------------------------------------------- */

/* Reads members until the first that is wrong. */
typedef struct reader {
    const cfa__json *object;
    cfa_arena *arena;
    cfa_status status;
} reader;

cfa_status cfa__play_malformed(const char *field) {
    return cfa_error_set(CFA_EINVAL, CFA__PLAY_ORIGIN, field, 0,
                         "the webhook's body lacks this, or it is wrong");
}

cfa_status cfa__play_read_text(const char **out, const cfa__json *object, const char *name,
                               bool required, cfa_arena *arena) {
    const cfa__json *value = cfa__json_get(object, name);
    const char *text;
    *out = NULL;
    if (value == NULL && !required) {
        return CFA_OK;
    }
    if (!cfa__json_read_text(value, &text) || (required && text[0] == '\0') ||
        strlen(text) > TEXT_BYTES_MAX) {
        return cfa__play_malformed(name);
    }
    *out = cfa_arena_copy(arena, text, strlen(text));
    return *out != NULL ? CFA_OK : CFA_ENOMEM;
}

static const char *read_text(reader *in, const char *name, bool required) {
    const char *text = NULL;
    if (in->status == CFA_OK) {
        in->status = cfa__play_read_text(&text, in->object, name, required, in->arena);
    }
    return text;
}

static int64_t read_number(reader *in, const char *name, int64_t most) {
    int64_t value = 0;
    if (in->status == CFA_OK && (!cfa__json_read_int(cfa__json_get(in->object, name), &value) ||
                                 value < 0 || value > most)) {
        in->status = cfa__play_malformed(name);
    }
    return in->status == CFA_OK ? value : 0;
}

static cfa_money read_money(reader *in, const char *minor_name, const char *currency_name) {
    cfa_money money = { 0, "" };
    int64_t minor = read_number(in, minor_name, CFA_MONEY_MINOR_MAX);
    const char *currency;
    if (in->status == CFA_OK &&
        (!cfa__json_read_text(cfa__json_get(in->object, currency_name), &currency) ||
         cfa_money_make(&money, minor, currency) != CFA_OK)) {
        in->status = cfa__play_malformed(currency_name);
    }
    return money;
}

static cfa_money read_fee(reader *in) {
    return cfa__json_get(in->object, "fee_minor") != NULL
               ? read_money(in, "fee_minor", "fee_currency")
               : (cfa_money){ 0, "" };
}

/* The index of a state's name. */
static int32_t read_state(reader *in, const char *const *names, size_t count) {
    const char *text = read_text(in, "state", true);
    for (size_t i = 0; i < count && text != NULL; i++) {
        if (names[i] != NULL && strcmp(names[i], text) == 0) {
            return (int32_t)i;
        }
    }
    if (in->status == CFA_OK) {
        in->status = cfa__play_malformed("state");
    }
    return 0;
}

static uint32_t read_flags(reader *in) {
    const cfa__json *flags = cfa__json_get(in->object, "flags");
    uint32_t told = 0;
    for (size_t i = 0; i < cfa__json_size(flags); i++) {
        const char *name;
        if (!cfa__json_read_text(cfa__json_at(flags, i), &name)) {
            in->status = in->status == CFA_OK ? cfa__play_malformed("flags") : in->status;
            break;
        }
        for (size_t at = 0; at < FLAG_NAMES; at++) {
            told |= strcmp(name, flag_names[at].name) == 0 ? flag_names[at].flag : 0;
        }
    }
    return told;
}

static const cfa_refund_facts *read_refund(reader *in) {
    cfa_refund_facts *refund = cfa_arena_alloc(in->arena, sizeof *refund);
    if (refund == NULL) {
        in->status = CFA_ENOMEM;
        return NULL;
    }
    *refund = (cfa_refund_facts){ .struct_size = sizeof *refund };
    refund->ref = read_text(in, "ref", true);
    refund->refund_id = read_text(in, "refund_id", false);
    refund->amount = read_money(in, "amount_minor", "currency");
    refund->state = read_state(in, refund_names, REFUND_NAMES);
    refund->failure_code = read_text(in, "failure_code", false);
    refund->occurred_us = read_number(in, "occurred_us", INT64_MAX);
    return refund;
}

static const cfa_dispute_facts *read_dispute(reader *in) {
    cfa_dispute_facts *dispute = cfa_arena_alloc(in->arena, sizeof *dispute);
    if (dispute == NULL) {
        in->status = CFA_ENOMEM;
        return NULL;
    }
    *dispute = (cfa_dispute_facts){ .struct_size = sizeof *dispute };
    dispute->ref = read_text(in, "ref", true);
    dispute->amount = read_money(in, "amount_minor", "currency");
    dispute->state = read_state(in, dispute_names, DISPUTE_NAMES);
    dispute->withdrawn_minor = read_number(in, "withdrawn_minor", CFA_MONEY_MINOR_MAX);
    dispute->reinstated_minor = read_number(in, "reinstated_minor", CFA_MONEY_MINOR_MAX);
    dispute->fee = read_fee(in);
    dispute->reason = read_text(in, "reason", false);
    dispute->evidence_due_us = read_number(in, "evidence_due_us", INT64_MAX);
    dispute->occurred_us = read_number(in, "occurred_us", INT64_MAX);
    return dispute;
}

/* The members' array and its length; an absent one is empty. */
static const cfa__json *read_array(reader *in, const char *name, int32_t *out_count) {
    const cfa__json *array = cfa__json_get(in->object, name);
    size_t count = cfa__json_size(array);
    *out_count = 0;
    if (in->status == CFA_OK && count > CFA_REVERSALS_MAX) {
        in->status = cfa__play_malformed(name);
    }
    *out_count = in->status == CFA_OK ? (int32_t)count : 0;
    return array;
}

static void read_reversals(reader *in, cfa_facts *facts) {
    bool failed = false;
    const cfa__json *refunds = read_array(in, "refunds", &facts->refund_count);
    const cfa__json *disputes = read_array(in, "disputes", &facts->dispute_count);
    const cfa_refund_facts **refund_list = room(facts->refund_count, in->arena, &failed);
    const cfa_dispute_facts **dispute_list = room(facts->dispute_count, in->arena, &failed);
    if (failed) {
        in->status = CFA_ENOMEM;
    }
    reader item = *in;
    for (int32_t i = 0; i < facts->refund_count && item.status == CFA_OK; i++) {
        item.object = cfa__json_at(refunds, (size_t)i);
        refund_list[i] = read_refund(&item);
    }
    for (int32_t i = 0; i < facts->dispute_count && item.status == CFA_OK; i++) {
        item.object = cfa__json_at(disputes, (size_t)i);
        dispute_list[i] = read_dispute(&item);
    }
    in->status = item.status;
    facts->refunds = refund_list;
    facts->disputes = dispute_list;
}

cfa_status cfa__play_facts_read(cfa_facts *out, const cfa__json *data, cfa_arena *arena) {
    reader in = { data, arena, CFA_OK };
    cfa_facts facts = CFA_FACTS_INIT;
    facts.ref = read_text(&in, "ref", true);
    facts.payment_id = read_text(&in, "payment_id", false);
    facts.amount = read_money(&in, "amount_minor", "currency");
    facts.authorized_minor = read_number(&in, "authorized_minor", CFA_MONEY_MINOR_MAX);
    facts.captured_minor = read_number(&in, "captured_minor", CFA_MONEY_MINOR_MAX);
    facts.attempt = (int32_t)read_number(&in, "attempt", INT32_MAX);
    facts.occurred_us = read_number(&in, "occurred_us", INT64_MAX);
    facts.flags = read_flags(&in);
    facts.failure_code = read_text(&in, "failure_code", false);
    facts.cancel_reason = read_text(&in, "cancel_reason", false);
    facts.fee = read_fee(&in);
    read_reversals(&in, &facts);
    if (in.status == CFA_OK) {
        *out = facts;
    }
    return in.status;
}
