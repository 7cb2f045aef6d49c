/*
 * api/refund.c - refunds: asked for with a key of their own, and read.
 */
#include "core/api/act.h"
#include "core/api/api.h"
#include "core/decide/reversal_machine.h"

#include <careforall/refund.h>

#include <string.h>

#define ORIGIN "core.refund"

struct cfa_refund {
    cfa_arena *arena; /* NULL in a list, which has it */
    char id[CFA_ID_TEXT_SIZE], payment_id[CFA_ID_TEXT_SIZE];
    cfa_money amount;
    cfa_refund_state state;
    cfa_refund_origin origin;
    const char *ref, *failure_code, *reason;
    int64_t created_us, updated_us, position;
    int32_t replayed;
};

struct cfa_refund_list {
    cfa__part_list parts;
};

/* ---- snapshots ------------------------------------------------------------------------------- */

static bool fill(void *item, cfa_arena *arena, const void *row, const char *currency) {
    cfa_refund *out = item;
    const cfa__refund *record = row;
    bool failed = false;
    memset(out, 0, sizeof *out);
    cfa__id_format(out->id, "rfd", record->id);
    cfa__id_format(out->payment_id, "pay", record->payment_id);
    out->amount.minor = record->amount_minor;
    memcpy(out->amount.currency, currency, sizeof out->amount.currency);
    out->state = (cfa_refund_state)record->state;
    out->origin = (cfa_refund_origin)record->origin;
    out->ref = cfa__text_of(arena, record->ref, &failed);
    out->failure_code = cfa__text_of(arena, record->failure_code, &failed);
    out->reason = cfa__text_of(arena, record->reason, &failed);
    out->created_us = record->created_us;
    out->updated_us = record->updated_us;
    return !failed;
}

static cfa_status snapshot(cfa_refund **out, const cfa__refund *record, const char *currency,
                           bool replayed, int64_t position) {
    cfa_arena *arena;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    cfa_refund *refund = cfa_arena_alloc(arena, sizeof *refund);
    if (refund == NULL || !fill(refund, arena, record, currency)) {
        cfa_arena_free(arena);
        return CFA_ENOMEM;
    }
    refund->arena = arena;
    refund->replayed = replayed;
    refund->position = position;
    *out = refund;
    return CFA_OK;
}

void cfa_refund_free(cfa_refund *refund) {
    if (refund != NULL)
        cfa_arena_free(refund->arena);
}

const char *cfa_refund_id(const cfa_refund *refund) { return refund->id; }
const char *cfa_refund_payment_id(const cfa_refund *refund) { return refund->payment_id; }
cfa_money cfa_refund_amount(const cfa_refund *refund) { return refund->amount; }
cfa_refund_state cfa_refund_state_of(const cfa_refund *refund) { return refund->state; }
cfa_refund_origin cfa_refund_origin_of(const cfa_refund *refund) { return refund->origin; }
const char *cfa_refund_ref(const cfa_refund *refund) { return refund->ref; }
const char *cfa_refund_failure_code(const cfa_refund *refund) { return refund->failure_code; }
const char *cfa_refund_reason(const cfa_refund *refund) { return refund->reason; }
int64_t cfa_refund_created_us(const cfa_refund *refund) { return refund->created_us; }
int64_t cfa_refund_updated_us(const cfa_refund *refund) { return refund->updated_us; }
int32_t cfa_refund_replayed(const cfa_refund *refund) { return refund->replayed; }
int64_t cfa_refund_position(const cfa_refund *refund) { return refund->position; }

const char *cfa_refund_state_name(cfa_refund_state state) {
    switch (state) {
#define STATE_NAME(name, code, text)                                                               \
    case code: return #name;
        CFA_REFUND_STATE_MAP(STATE_NAME)
#undef STATE_NAME
    default: return "";
    }
}

/* ---- asking for one -------------------------------------------------------------------------- */

/* What the provider can represent, its pure `prepare` says; its least charge is no least refund. */
static cfa_status take_amount(cfa_money *amount) {
    amount->currency[sizeof amount->currency - 1] = '\0';
    if (amount->minor < 0)
        return cfa_error_set(CFA_ERANGE, ORIGIN, "amount.minor", 0, "an amount is not negative");
    return amount->minor == 0 ? CFA_OK : cfa_money_check(*amount, NULL);
}

static cfa_status fill_command(cfa_engine *engine, cfa__command *command, cfa__refund_input *input,
                               const cfa_refund_spec *spec) {
    cfa_money amount = spec->amount;
    cfa_status status = cfa__id_parse(&input->payment_id, "pay", spec->payment_id, "payment_id");
    if (status == CFA_OK)
        status = take_amount(&amount);
    if (status == CFA_OK)
        status = cfa__by_make(&input->by, command, spec->actor, spec->reason);
    if (status == CFA_OK)
        status = cfa__draw_id(engine, &input->refund_id);
    if (status != CFA_OK)
        return status;
    cfa__fingerprint_field fields[] = {
        { "payment_id", { input->payment_id.bytes, sizeof input->payment_id.bytes } },
        { "amount.minor", { &amount.minor, sizeof amount.minor } },
        { "amount.currency", { amount.currency, strlen(amount.currency) } },
    };
    input->provider = engine->provider;
    input->amount_minor = amount.minor;
    memcpy(input->currency, amount.currency, sizeof input->currency);
    return cfa__keyed_make(&input->keyed, engine, spec->scope, spec->key, CFA__KEYED_REFUND, fields,
                           3);
}

/* True while somebody else, a runner for one, makes the refund's call. */
static cfa_status is_being_made(bool *out, cfa_engine *engine, const cfa__refund *refund,
                                int64_t deadline_us) {
    cfa__reader *reader;
    cfa_status status = cfa__read_begin(&reader, engine, deadline_us);
    if (status != CFA_OK)
        return status;
    cfa__operation key;
    memset(&key, 0, sizeof key);
    key.payment_id = refund->payment_id;
    key.number = refund->operation_number;
    cfa_query query = { .kind = &cfa__operation_kind, .match_count = 2, .limit = 1, .key = &key };
    status = cfa__read_queries(engine, reader, &query, 1);
    const cfa__operation *call = status == CFA_OK && query.count == 1 ? query.records[0] : NULL;
    *out = call != NULL && call->due_us != 0 && !cfa__id_is_null(call->lease_owner);
    cfa__read_end(engine, reader);
    return status;
}

/* Make the call on this thread, or wait for whoever was faster. Nothing here can fail the refund,
 * which is durable. */
static void make_or_await(cfa_engine *engine, const cfa__refund_answer *answer,
                          int64_t deadline_us) {
    uint64_t seen = cfa__progress_count(engine);
    bool acted, made = true;
    (void)!cfa__calls_for_payment(engine, answer->payment->id, answer->payment->operation_count,
                                  true, deadline_us, &acted);
    atomic_store(&engine->operation_due_us, 0);
    cfa__signal(engine);
    while (is_being_made(&made, engine, answer->refund, deadline_us) == CFA_OK && made &&
           cfa__left_ms(deadline_us) > 0)
        seen = cfa__wait_step(engine, seen, deadline_us);
}

static cfa_status make_call(cfa_refund **out, cfa_engine *engine, const cfa__command *command,
                            int64_t deadline_us) {
    const cfa__refund_answer *answer = command->output;
    if (answer->refund->state == CFA_REFUND_REQUESTED)
        make_or_await(engine, answer, deadline_us);
    cfa__reader *reader;
    const void *found = NULL;
    cfa_status status = cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status == CFA_OK) {
        status = cfa__read_id(engine, reader, &cfa__refund_kind, answer->refund->id, &found);
        int64_t position = command->position;
        if (status == CFA_OK)
            status = cfa__log_position(engine, reader, &position);
        if (status == CFA_OK && found != NULL)
            status = snapshot(out, found, answer->payment->currency, answer->replayed, position);
        cfa__read_end(engine, reader);
    }
    if (status != CFA_OK || found == NULL)
        status = snapshot(out, answer->refund, answer->payment->currency, answer->replayed,
                          command->position);
    return cfa__status_committed(status, ORIGIN);
}

cfa_status cfa_refund_create(cfa_refund **out, cfa_engine *engine, const cfa_refund_spec *given) {
    cfa_refund_spec spec;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK && engine->provider.ops == NULL)
        status =
            cfa_error_set(CFA_ENOTSUP, ORIGIN, "provider", 0, "the engine has no payment provider");
    if (status == CFA_OK)
        status = cfa__spec_take(&spec, sizeof spec, given,
                                CFA__SIZE_THROUGH(cfa_refund_spec, timeout_ms), ORIGIN);
    if (status != CFA_OK)
        return status;
    cfa__command *command;
    void *input;
    status = cfa__command_with_input(&command, &input, engine, cfa__refund_create,
                                     sizeof(cfa__refund_input), sizeof(cfa__refund_answer));
    if (status != CFA_OK)
        return status;
    int64_t deadline_us = cfa__deadline_us(engine, spec.timeout_ms);
    status = fill_command(engine, command, input, &spec);
    if (status == CFA_OK)
        status = cfa__command_run(engine, &command, deadline_us);
    if (status == CFA_OK)
        status = make_call(out, engine, command, deadline_us);
    cfa__command_release(engine, command);
    return status;
}

/* ---- reads ----------------------------------------------------------------------------------- */

cfa_status cfa_refund_get(cfa_refund **out, cfa_engine *engine, const char *refund_id) {
    static const cfa__part_kind part = { &cfa__refund_kind, "rfd", "refund_id",
                                         offsetof(cfa__refund, payment_id) };
    cfa__reader *reader;
    const void *found;
    const cfa__payment *payment;
    cfa_status status = cfa__part_find(&reader, &found, &payment, engine, &part, refund_id, out);
    if (status != CFA_OK)
        return status;
    status = snapshot(out, found, payment->currency, false, 0);
    cfa__read_end(engine, reader);
    return status;
}

/* By the book's time, which never goes back; at one time in the order in which they were asked for.
 * Ids have the caller's clock, and chance within a millisecond. */
static int compare_ages(const void *a, const void *b) {
    const cfa__refund *one = *(void *const *)a, *other = *(void *const *)b;
    if (one->created_us != other->created_us)
        return one->created_us < other->created_us ? -1 : 1;
    if (one->operation_number != other->operation_number)
        return one->operation_number < other->operation_number ? -1 : 1;
    return cfa__id_compare(one->id, other->id);
}

cfa_status cfa_refund_list_of(cfa_refund_list **out, cfa_engine *engine, const char *payment_id) {
    static const cfa__part_view view = { sizeof(cfa_refund), fill, compare_ages };
    cfa__refund key;
    memset(&key, 0, sizeof key);
    cfa__parts parts = { .kind = &cfa__refund_kind,
                         .index = CFA__REFUND_BY_PAYMENT,
                         .key = &key,
                         .key_payment_id = &key.payment_id };
    cfa__part_list *list;
    cfa_status status = cfa__part_list_read(&list, &parts, &view, engine, payment_id, out);
    if (status == CFA_OK)
        *out = (cfa_refund_list *)list;
    return status;
}

size_t cfa_refund_list_size(const cfa_refund_list *list) { return list->parts.size; }

const cfa_refund *cfa_refund_list_at(const cfa_refund_list *list, size_t index) {
    return index < list->parts.size ? (const cfa_refund *)list->parts.items + index : NULL;
}

void cfa_refund_list_free(cfa_refund_list *list) {
    if (list != NULL)
        cfa_arena_free(list->parts.arena);
}
