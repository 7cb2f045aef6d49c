/*
 * facts.c - facts on their way in from an adapter, and in and out of a webhook's row. Nothing that a
 * provider says is trusted to be short, clean or in range; nothing here decides what it means.
 */
#include "core/decide/facts.h"

#include <careforall/dispute.h>
#include <careforall/refund.h>

#include "core/decide/evidence.h"
#include "util/buffer.h"
#include "util/json.h"
#include "util/text.h"

#include <string.h>

#define ORIGIN "core.facts"
#define TEXT_BYTES_MAX 500  /* of a provider's codes, references and secrets */
#define PAGE_BYTES_MAX 4000 /* of a hosted page's address, whose fragment may hold a whole key */

/* ---- from outside ---------------------------------------------------------------------------- */

static const char *clean(const char *text, size_t size_max) {
    size_t size = text == NULL ? 0 : strlen(text);
    if (size == 0 || size > size_max || !cfa__text_is_utf8(text, size))
        return NULL;
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return NULL;
    }
    return text;
}

const char *cfa__clean_text(const char *text) { return clean(text, TEXT_BYTES_MAX); }

const char *cfa__clean_url(const char *url) { return clean(url, PAGE_BYTES_MAX); }

/* Facts that are being taken in, or read back. */
struct intake {
    cfa_arena *arena;
    const char *wrong; /* the first field that is unusable */
    bool failed;       /* no memory */
};

static const char *take_text(struct intake *intake, const char *text) {
    return cfa__text_of(intake->arena, cfa__slice(cfa__clean_text(text)), &intake->failed);
}

static void take_minor(struct intake *intake, int64_t minor, const char *field) {
    if ((minor < 0 || minor > CFA_MONEY_MINOR_MAX) && intake->wrong == NULL)
        intake->wrong = field;
}

/* Three printable characters or none: another currency is told apart later, but anything else could
 * not be stored and read back as it is. */
static bool currency_is_usable(const char currency[4]) {
    size_t size = strlen(currency);
    for (size_t i = 0; i < size; i++) {
        if (currency[i] <= 0x20 || currency[i] > 0x7e)
            return false;
    }
    return size == 0 || size == 3;
}

static cfa_money take_money(struct intake *intake, cfa_money money, const char *field) {
    take_minor(intake, money.minor, field);
    money.currency[sizeof money.currency - 1] = '\0';
    if (!currency_is_usable(money.currency) && intake->wrong == NULL)
        intake->wrong = field;
    return money;
}

/* A sized struct of an adapter: what an older one does not have is zero. */
static void take_sized(void *out, size_t size, const void *given) {
    size_t told;
    memcpy(&told, given, sizeof told);
    memset(out, 0, size);
    memcpy(out, given, told == 0 || told > size ? size : told);
    memcpy(out, &size, sizeof size);
}

static cfa_refund_facts *take_refund(struct intake *intake, const cfa_refund_facts *given) {
    if (given == NULL) {
        intake->wrong = intake->wrong == NULL ? "refunds" : intake->wrong;
        return NULL;
    }
    cfa_refund_facts *refund = cfa_arena_alloc(intake->arena, sizeof *refund);
    if (refund == NULL) {
        intake->failed = true;
        return NULL;
    }
    take_sized(refund, sizeof *refund, given);
    refund->ref = take_text(intake, refund->ref);
    refund->refund_id = take_text(intake, refund->refund_id);
    refund->failure_code = take_text(intake, refund->failure_code);
    refund->amount = take_money(intake, refund->amount, "refunds.amount");
    if (refund->ref == NULL && intake->wrong == NULL)
        intake->wrong = "refunds.ref";
    if ((refund->state < CFA_REFUND_PENDING || refund->state > CFA_REFUND_CANCELED) &&
        intake->wrong == NULL)
        intake->wrong = "refunds.state";
    return refund;
}

static cfa_dispute_facts *take_dispute(struct intake *intake, const cfa_dispute_facts *given) {
    if (given == NULL) {
        intake->wrong = intake->wrong == NULL ? "disputes" : intake->wrong;
        return NULL;
    }
    cfa_dispute_facts *dispute = cfa_arena_alloc(intake->arena, sizeof *dispute);
    if (dispute == NULL) {
        intake->failed = true;
        return NULL;
    }
    take_sized(dispute, sizeof *dispute, given);
    dispute->ref = take_text(intake, dispute->ref);
    dispute->reason = take_text(intake, dispute->reason);
    dispute->amount = take_money(intake, dispute->amount, "disputes.amount");
    dispute->fee = take_money(intake, dispute->fee, "disputes.fee");
    take_minor(intake, dispute->withdrawn_minor, "disputes.withdrawn_minor");
    take_minor(intake, dispute->reinstated_minor, "disputes.reinstated_minor");
    if (dispute->ref == NULL && intake->wrong == NULL)
        intake->wrong = "disputes.ref";
    if ((dispute->state < CFA_DISPUTE_INQUIRY || dispute->state > CFA_DISPUTE_LOST) &&
        intake->wrong == NULL)
        intake->wrong = "disputes.state";
    return dispute;
}

static bool count_is_usable(int32_t count, const void *items) {
    return count >= 0 && count <= CFA_REVERSALS_MAX && (count == 0 || items != NULL);
}

static void take_reversals(struct intake *intake, cfa_facts *facts) {
    if (!count_is_usable(facts->refund_count, facts->refunds))
        intake->wrong = "refunds";
    else if (!count_is_usable(facts->dispute_count, facts->disputes))
        intake->wrong = "disputes";
    if (intake->wrong != NULL)
        return;
    const cfa_refund_facts **refunds = NULL;
    const cfa_dispute_facts **disputes = NULL;
    if (facts->refund_count > 0)
        refunds = cfa_arena_alloc(intake->arena, (size_t)facts->refund_count * sizeof *refunds);
    if (facts->dispute_count > 0)
        disputes = cfa_arena_alloc(intake->arena, (size_t)facts->dispute_count * sizeof *disputes);
    intake->failed = intake->failed || (facts->refund_count > 0 && refunds == NULL) ||
                     (facts->dispute_count > 0 && disputes == NULL);
    for (int32_t i = 0; i < facts->refund_count && !intake->failed; i++)
        refunds[i] = take_refund(intake, facts->refunds[i]);
    for (int32_t i = 0; i < facts->dispute_count && !intake->failed; i++)
        disputes[i] = take_dispute(intake, facts->disputes[i]);
    facts->refunds = refunds;
    facts->disputes = disputes;
}

cfa_status cfa__facts_take(cfa_facts *out, cfa_arena *arena, const cfa_facts *given,
                           const char **out_field) {
    struct intake intake = { .arena = arena };
    cfa_facts facts;
    take_sized(&facts, sizeof facts, given);
    facts.ref = take_text(&intake, facts.ref);
    facts.payment_id = take_text(&intake, facts.payment_id);
    facts.origin_ref = take_text(&intake, facts.origin_ref);
    facts.failure_code = take_text(&intake, facts.failure_code);
    facts.cancel_reason = take_text(&intake, facts.cancel_reason);
    facts.amount = take_money(&intake, facts.amount, "amount");
    facts.fee = take_money(&intake, facts.fee, "fee");
    take_minor(&intake, facts.authorized_minor, "authorized_minor");
    take_minor(&intake, facts.captured_minor, "captured_minor");
    take_reversals(&intake, &facts);
    if (intake.failed)
        return CFA_ENOMEM;
    *out_field = intake.wrong;
    *out = intake.wrong == NULL ? facts : (cfa_facts)CFA_FACTS_INIT;
    return CFA_OK;
}

/* ---- as JSON --------------------------------------------------------------------------------- */

/* Members that say nothing are left out: these are stored by the million. */
static void write_text(cfa__buffer *json, const char *name, const char *text) {
    if (text != NULL && text[0] != '\0')
        cfa__json_text(json, name, text);
}

static void write_int(cfa__buffer *json, const char *name, int64_t value) {
    if (value != 0)
        cfa__json_int(json, name, value);
}

static void write_refunds(cfa__buffer *json, const cfa_facts *facts) {
    if (facts->refund_count == 0)
        return;
    cfa__json_open(json, "refunds", '[');
    for (int32_t i = 0; i < facts->refund_count; i++) {
        const cfa_refund_facts *refund = facts->refunds[i];
        cfa__json_open(json, NULL, '{');
        cfa__json_text(json, "ref", refund->ref);
        write_text(json, "refund_id", refund->refund_id);
        cfa__json_int(json, "amount_minor", refund->amount.minor);
        write_text(json, "currency", refund->amount.currency);
        cfa__json_int(json, "state", refund->state);
        write_text(json, "failure_code", refund->failure_code);
        write_int(json, "occurred_us", refund->occurred_us);
        cfa__json_close(json, '}');
    }
    cfa__json_close(json, ']');
}

static void write_disputes(cfa__buffer *json, const cfa_facts *facts) {
    if (facts->dispute_count == 0)
        return;
    cfa__json_open(json, "disputes", '[');
    for (int32_t i = 0; i < facts->dispute_count; i++) {
        const cfa_dispute_facts *dispute = facts->disputes[i];
        cfa__json_open(json, NULL, '{');
        cfa__json_text(json, "ref", dispute->ref);
        cfa__json_int(json, "amount_minor", dispute->amount.minor);
        write_text(json, "currency", dispute->amount.currency);
        cfa__json_int(json, "state", dispute->state);
        write_int(json, "withdrawn_minor", dispute->withdrawn_minor);
        write_int(json, "reinstated_minor", dispute->reinstated_minor);
        write_int(json, "fee_minor", dispute->fee.minor);
        write_text(json, "fee_currency", dispute->fee.currency);
        write_text(json, "reason", dispute->reason);
        write_int(json, "evidence_due_us", dispute->evidence_due_us);
        write_int(json, "occurred_us", dispute->occurred_us);
        cfa__json_close(json, '}');
    }
    cfa__json_close(json, ']');
}

cfa_status cfa__facts_encode(cfa_slice *out, cfa_arena *arena, const cfa_facts *facts) {
    cfa__buffer json;
    cfa__buffer_init(&json, arena, 320);
    cfa__json_open(&json, NULL, '{');
    cfa__json_text(&json, "ref", facts->ref);
    write_text(&json, "origin_ref", facts->origin_ref);
    cfa__json_text(&json, "payment_id", facts->payment_id);
    cfa__json_int(&json, "amount_minor", facts->amount.minor);
    cfa__json_text(&json, "currency",
                   facts->amount.currency[0] != '\0' ? facts->amount.currency : NULL);
    cfa__json_int(&json, "flags", (int64_t)facts->flags);
    cfa__json_int(&json, "authorized_minor", facts->authorized_minor);
    cfa__json_int(&json, "captured_minor", facts->captured_minor);
    cfa__json_int(&json, "attempt", facts->attempt);
    cfa__json_int(&json, "occurred_us", facts->occurred_us);
    cfa__json_text(&json, "failure_code", facts->failure_code);
    cfa__json_text(&json, "cancel_reason", facts->cancel_reason);
    write_refunds(&json, facts);
    write_disputes(&json, facts);
    write_int(&json, "fee_minor", facts->fee.minor);
    write_text(&json, "fee_currency", facts->fee.currency);
    cfa__json_close(&json, '}');
    return cfa__buffer_finish(&json, out);
}

static const char *read_text(struct intake *intake, const cfa__json *root, const char *name) {
    const char *text = NULL;
    if (!cfa__json_read_text(cfa__json_get(root, name), &text))
        return NULL;
    return cfa__text_of(intake->arena, cfa__slice(text), &intake->failed);
}

static int64_t read_int(const cfa__json *root, const char *name) {
    int64_t value = 0;
    (void)cfa__json_read_int(cfa__json_get(root, name), &value);
    return value;
}

static cfa_money read_money(const cfa__json *root, const char *minor, const char *currency) {
    cfa_money money = { read_int(root, minor), "" };
    const char *text;
    if (cfa__json_read_text(cfa__json_get(root, currency), &text) && strlen(text) == 3)
        memcpy(money.currency, text, 4);
    return money;
}

static const cfa_refund_facts *read_refund(struct intake *intake, const cfa__json *item) {
    cfa_refund_facts *refund = cfa_arena_alloc(intake->arena, sizeof *refund);
    if (refund == NULL) {
        intake->failed = true;
        return NULL;
    }
    *refund = (cfa_refund_facts){
        .struct_size = sizeof *refund,
        .ref = read_text(intake, item, "ref"),
        .refund_id = read_text(intake, item, "refund_id"),
        .amount = read_money(item, "amount_minor", "currency"),
        .state = (int32_t)read_int(item, "state"),
        .failure_code = read_text(intake, item, "failure_code"),
        .occurred_us = read_int(item, "occurred_us"),
    };
    return refund;
}

static const cfa_dispute_facts *read_dispute(struct intake *intake, const cfa__json *item) {
    cfa_dispute_facts *dispute = cfa_arena_alloc(intake->arena, sizeof *dispute);
    if (dispute == NULL) {
        intake->failed = true;
        return NULL;
    }
    *dispute = (cfa_dispute_facts){
        .struct_size = sizeof *dispute,
        .ref = read_text(intake, item, "ref"),
        .amount = read_money(item, "amount_minor", "currency"),
        .state = (int32_t)read_int(item, "state"),
        .withdrawn_minor = read_int(item, "withdrawn_minor"),
        .reinstated_minor = read_int(item, "reinstated_minor"),
        .fee = read_money(item, "fee_minor", "fee_currency"),
        .reason = read_text(intake, item, "reason"),
        .evidence_due_us = read_int(item, "evidence_due_us"),
        .occurred_us = read_int(item, "occurred_us"),
    };
    return dispute;
}

static void read_reversals(struct intake *intake, const cfa__json *root, cfa_facts *facts) {
    const cfa__json *refunds = cfa__json_get(root, "refunds");
    const cfa__json *disputes = cfa__json_get(root, "disputes");
    size_t refund_count = cfa__json_size(refunds), dispute_count = cfa__json_size(disputes);
    if (refund_count > CFA_REVERSALS_MAX || dispute_count > CFA_REVERSALS_MAX) {
        intake->wrong = refund_count > CFA_REVERSALS_MAX ? "refunds" : "disputes";
        return;
    }
    const cfa_refund_facts **refund_items = NULL;
    const cfa_dispute_facts **dispute_items = NULL;
    if (refund_count > 0)
        refund_items = cfa_arena_alloc(intake->arena, refund_count * sizeof *refund_items);
    if (dispute_count > 0)
        dispute_items = cfa_arena_alloc(intake->arena, dispute_count * sizeof *dispute_items);
    intake->failed = intake->failed || (refund_count > 0 && refund_items == NULL) ||
                     (dispute_count > 0 && dispute_items == NULL);
    for (size_t i = 0; i < refund_count && !intake->failed; i++)
        refund_items[i] = read_refund(intake, cfa__json_at(refunds, i));
    for (size_t i = 0; i < dispute_count && !intake->failed; i++)
        dispute_items[i] = read_dispute(intake, cfa__json_at(disputes, i));
    facts->refunds = refund_items;
    facts->disputes = dispute_items;
    facts->refund_count = (int32_t)refund_count;
    facts->dispute_count = (int32_t)dispute_count;
}

cfa_status cfa__facts_decode(cfa_facts *out, cfa_arena *arena, cfa_slice json) {
    cfa__json *root;
    cfa_status status = cfa__json_parse(&root, json);
    if (status != CFA_OK) {
        return status == CFA_ENOMEM ? status
                                    : cfa_error_set(CFA_ECORRUPT, ORIGIN, NULL, 0,
                                                    "stored facts of a webhook are not JSON");
    }
    struct intake intake = { .arena = arena };
    cfa_facts facts = CFA_FACTS_INIT;
    facts.ref = read_text(&intake, root, "ref");
    facts.origin_ref = read_text(&intake, root, "origin_ref");
    facts.payment_id = read_text(&intake, root, "payment_id");
    facts.amount = read_money(root, "amount_minor", "currency");
    facts.flags = (uint32_t)read_int(root, "flags");
    facts.authorized_minor = read_int(root, "authorized_minor");
    facts.captured_minor = read_int(root, "captured_minor");
    facts.attempt = (int32_t)read_int(root, "attempt");
    facts.occurred_us = read_int(root, "occurred_us");
    facts.failure_code = read_text(&intake, root, "failure_code");
    facts.cancel_reason = read_text(&intake, root, "cancel_reason");
    facts.fee = read_money(root, "fee_minor", "fee_currency");
    read_reversals(&intake, root, &facts);
    cfa__json_free(root);
    if (intake.failed)
        return CFA_ENOMEM;
    /* What was taken in is what was stored; anything else was not written by this library. */
    cfa_facts taken;
    const char *wrong = intake.wrong;
    status = wrong == NULL ? cfa__facts_take(&taken, arena, &facts, &wrong) : CFA_OK;
    if (status == CFA_OK && wrong != NULL) {
        status = cfa_error_format(CFA_ECORRUPT, ORIGIN, wrong, 0,
                                  "stored facts of a webhook hold a wrong %s", wrong);
    }
    if (status == CFA_OK)
        *out = taken;
    return status;
}
