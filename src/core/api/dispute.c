/*
 * api/dispute.c - disputes, which are only read: banks make them.
 */
#include "core/api/api.h"

#include <careforall/dispute.h>

#include <string.h>

struct cfa_dispute {
    cfa_arena *arena; /* NULL in a list, which has it */
    char id[CFA_ID_TEXT_SIZE], payment_id[CFA_ID_TEXT_SIZE];
    cfa_money amount, withdrawn, reinstated, fee;
    cfa_dispute_state state;
    const char *ref, *reason;
    int64_t evidence_due_us, created_us, updated_us;
};

struct cfa_dispute_list {
    cfa__part_list parts;
};

static cfa_money money_of(int64_t minor, const char *currency) {
    cfa_money money = { minor, "" };
    memcpy(money.currency, currency, sizeof money.currency);
    return money;
}

static bool fill(void *item, cfa_arena *arena, const void *row, const char *currency) {
    cfa_dispute *out = item;
    const cfa__dispute *record = row;
    bool failed = false;
    memset(out, 0, sizeof *out);
    cfa__id_format(out->id, "dsp", record->id);
    cfa__id_format(out->payment_id, "pay", record->payment_id);
    out->amount = money_of(record->amount_minor, currency);
    out->withdrawn = money_of(record->withdrawn_minor, currency);
    out->reinstated = money_of(record->reinstated_minor, currency);
    out->fee = money_of(record->fee_minor, record->fee_currency);
    out->state = (cfa_dispute_state)record->state;
    out->ref = cfa__text_of(arena, record->ref, &failed);
    out->reason = cfa__text_of(arena, record->reason, &failed);
    out->evidence_due_us = record->evidence_due_us;
    out->created_us = record->created_us;
    out->updated_us = record->updated_us;
    return !failed;
}

static cfa_status snapshot(cfa_dispute **out, const cfa__dispute *record, const char *currency) {
    cfa_arena *arena;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    cfa_dispute *dispute = cfa_arena_alloc(arena, sizeof *dispute);
    if (dispute == NULL || !fill(dispute, arena, record, currency)) {
        cfa_arena_free(arena);
        return CFA_ENOMEM;
    }
    dispute->arena = arena;
    *out = dispute;
    return CFA_OK;
}

cfa_status cfa_dispute_get(cfa_dispute **out, cfa_engine *engine, const char *dispute_id) {
    static const cfa__part_kind part = { &cfa__dispute_kind, "dsp", "dispute_id",
                                         offsetof(cfa__dispute, payment_id) };
    cfa__reader *reader;
    const void *found;
    const cfa__payment *payment;
    cfa_status status = cfa__part_find(&reader, &found, &payment, engine, &part, dispute_id, out);
    if (status != CFA_OK)
        return status;
    status = snapshot(out, found, payment->currency);
    cfa__read_end(engine, reader);
    return status;
}

/* By the book's time; ids have chance within a millisecond. */
static int compare_ages(const void *a, const void *b) {
    const cfa__dispute *one = *(void *const *)a, *other = *(void *const *)b;
    if (one->created_us != other->created_us)
        return one->created_us < other->created_us ? -1 : 1;
    return cfa__id_compare(one->id, other->id);
}

cfa_status cfa_dispute_list_of(cfa_dispute_list **out, cfa_engine *engine, const char *payment_id) {
    static const cfa__part_view view = { sizeof(cfa_dispute), fill, compare_ages };
    cfa__dispute key;
    memset(&key, 0, sizeof key);
    cfa__parts parts = { .kind = &cfa__dispute_kind,
                         .index = CFA__DISPUTE_BY_PAYMENT,
                         .key = &key,
                         .key_payment_id = &key.payment_id };
    cfa__part_list *list;
    cfa_status status = cfa__part_list_read(&list, &parts, &view, engine, payment_id, out);
    if (status == CFA_OK)
        *out = (cfa_dispute_list *)list;
    return status;
}

size_t cfa_dispute_list_size(const cfa_dispute_list *list) { return list->parts.size; }

const cfa_dispute *cfa_dispute_list_at(const cfa_dispute_list *list, size_t index) {
    return index < list->parts.size ? (const cfa_dispute *)list->parts.items + index : NULL;
}

void cfa_dispute_list_free(cfa_dispute_list *list) {
    if (list != NULL)
        cfa_arena_free(list->parts.arena);
}

const char *cfa_dispute_id(const cfa_dispute *dispute) { return dispute->id; }
const char *cfa_dispute_payment_id(const cfa_dispute *dispute) { return dispute->payment_id; }
const char *cfa_dispute_ref(const cfa_dispute *dispute) { return dispute->ref; }
cfa_money cfa_dispute_amount(const cfa_dispute *dispute) { return dispute->amount; }
cfa_dispute_state cfa_dispute_state_of(const cfa_dispute *dispute) { return dispute->state; }
cfa_money cfa_dispute_withdrawn(const cfa_dispute *dispute) { return dispute->withdrawn; }
cfa_money cfa_dispute_reinstated(const cfa_dispute *dispute) { return dispute->reinstated; }
cfa_money cfa_dispute_fee(const cfa_dispute *dispute) { return dispute->fee; }
const char *cfa_dispute_reason(const cfa_dispute *dispute) { return dispute->reason; }
int64_t cfa_dispute_evidence_due_us(const cfa_dispute *dispute) { return dispute->evidence_due_us; }
int64_t cfa_dispute_created_us(const cfa_dispute *dispute) { return dispute->created_us; }
int64_t cfa_dispute_updated_us(const cfa_dispute *dispute) { return dispute->updated_us; }

void cfa_dispute_free(cfa_dispute *dispute) {
    if (dispute != NULL)
        cfa_arena_free(dispute->arena);
}

const char *cfa_dispute_state_name(cfa_dispute_state state) {
    switch (state) {
#define STATE_NAME(name, code, text)                                                               \
    case code: return #name;
        CFA_DISPUTE_STATE_MAP(STATE_NAME)
#undef STATE_NAME
    default: return "";
    }
}
