/*
 * api/payment.c - payments: reads, waiting, capture and cancel, and taking held money into the
 * totals.
 */
#include "core/api/act.h"
#include "core/api/api.h"
#include "core/decide/payment_machine.h"
#include "core/decide/reversal_machine.h"
#include "util/secure.h"
#include "util/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ORIGIN "core.payment"
#define WAIT_STEP_US_MIN 2000
#define WAIT_STEP_US_MAX 250000

struct cfa_payment {
    cfa_arena *arena;
    char id[CFA_ID_TEXT_SIZE], pledge_id[CFA_ID_TEXT_SIZE], campaign_id[CFA_ID_TEXT_SIZE];
    cfa_payment_state state;
    uint32_t flags;
    cfa_money amount, authorized, captured, refunded, disputed, refundable, fee;
    const char *ref, *failure_code;
    int64_t sequence, created_us, updated_us, position;
};

struct cfa_transition_list {
    cfa_arena *arena;
    size_t size;
    const cfa__transition **items;
};

/* ---- snapshots ------------------------------------------------------------------------------- */

static cfa_money money_of(int64_t minor, const char *currency) {
    cfa_money money = { minor, "" };
    memcpy(money.currency, currency, sizeof money.currency);
    return money;
}

cfa_status cfa__payment_snapshot(cfa_payment **out, const cfa__payment *record, int64_t position) {
    cfa_arena *arena;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    bool failed = false;
    cfa_payment *payment = cfa_arena_alloc(arena, sizeof *payment);
    if (payment != NULL) {
        payment->arena = arena;
        payment->ref = cfa__text_of(arena, record->ref, &failed);
        payment->failure_code = cfa__text_of(arena, record->failure_code, &failed);
    }
    if (payment == NULL || failed) {
        cfa_arena_free(arena);
        return CFA_ENOMEM;
    }
    cfa__id_format(payment->id, "pay", record->id);
    cfa__id_format(payment->pledge_id, "plg", record->pledge_id);
    cfa__id_format(payment->campaign_id, "cmp", record->campaign_id);
    payment->state = (cfa_payment_state)record->state;
    payment->flags = (uint32_t)record->flags;
    payment->amount = money_of(record->amount_minor, record->currency);
    payment->authorized = money_of(cfa__payment_authorized_minor(record), record->currency);
    payment->captured = money_of(record->captured_minor, record->currency);
    payment->refunded = money_of(record->refunded_minor, record->currency);
    payment->disputed =
        money_of(record->withdrawn_minor - record->reinstated_minor, record->currency);
    payment->refundable = money_of(cfa__payment_refundable_minor(record), record->currency);
    payment->fee = money_of(record->fee_minor, record->fee_currency);
    payment->sequence = record->sequence;
    payment->created_us = record->created_us;
    payment->updated_us = record->updated_us;
    payment->position = position;
    *out = payment;
    return CFA_OK;
}

void cfa_payment_free(cfa_payment *payment) {
    if (payment != NULL)
        cfa_arena_free(payment->arena);
}

const char *cfa_payment_id(const cfa_payment *payment) { return payment->id; }
const char *cfa_payment_pledge_id(const cfa_payment *payment) { return payment->pledge_id; }
const char *cfa_payment_campaign_id(const cfa_payment *payment) { return payment->campaign_id; }
cfa_payment_state cfa_payment_state_of(const cfa_payment *payment) { return payment->state; }
uint32_t cfa_payment_flags(const cfa_payment *payment) { return payment->flags; }
cfa_money cfa_payment_amount(const cfa_payment *payment) { return payment->amount; }
cfa_money cfa_payment_authorized(const cfa_payment *payment) { return payment->authorized; }
cfa_money cfa_payment_captured(const cfa_payment *payment) { return payment->captured; }
cfa_money cfa_payment_refunded(const cfa_payment *payment) { return payment->refunded; }
cfa_money cfa_payment_disputed(const cfa_payment *payment) { return payment->disputed; }
cfa_money cfa_payment_refundable(const cfa_payment *payment) { return payment->refundable; }
cfa_money cfa_payment_fee(const cfa_payment *payment) { return payment->fee; }
const char *cfa_payment_ref(const cfa_payment *payment) { return payment->ref; }
const char *cfa_payment_failure_code(const cfa_payment *payment) { return payment->failure_code; }
int64_t cfa_payment_sequence(const cfa_payment *payment) { return payment->sequence; }
int64_t cfa_payment_created_us(const cfa_payment *payment) { return payment->created_us; }
int64_t cfa_payment_updated_us(const cfa_payment *payment) { return payment->updated_us; }
int64_t cfa_payment_position(const cfa_payment *payment) { return payment->position; }

const char *cfa_payment_state_name(cfa_payment_state state) {
    switch (state) {
#define STATE_NAME(name, code, text)                                                               \
    case code: return #name;
        CFA_PAYMENT_STATE_MAP(STATE_NAME)
#undef STATE_NAME
    default: return "";
    }
}

/* ---- reads ----------------------------------------------------------------------------------- */

static cfa_status read_record(const cfa__payment **out, cfa_engine *engine, cfa__reader *reader,
                              cfa__id payment_id) {
    const void *found = NULL;
    cfa_status status = cfa__read_id(engine, reader, &cfa__payment_kind, payment_id, &found);
    if (status == CFA_OK && found == NULL)
        status = cfa_error_set(CFA_ENOTFOUND, ORIGIN, "payment_id", 0, "there is no such payment");
    *out = found;
    return status;
}

cfa_status cfa__payment_read(cfa_payment **out, cfa_engine *engine, cfa__id payment_id,
                             int64_t deadline_us) {
    cfa__reader *reader;
    cfa_status status = cfa__read_begin(&reader, engine, deadline_us);
    if (status != CFA_OK)
        return status;
    const cfa__payment *record;
    int64_t position = 0;
    status = read_record(&record, engine, reader, payment_id);
    if (status == CFA_OK)
        status = cfa__log_position(engine, reader, &position);
    if (status == CFA_OK)
        status = cfa__payment_snapshot(out, record, position);
    cfa__read_end(engine, reader);
    return status;
}

static cfa_status take_id(cfa__id *out, const cfa_engine *engine, const char *payment_id,
                          const void *answer) {
    cfa_status status = cfa__call_check(engine, answer);
    return status == CFA_OK ? cfa__id_parse(out, "pay", payment_id, "payment_id") : status;
}

cfa_status cfa_payment_get(cfa_payment **out, cfa_engine *engine, const char *payment_id) {
    cfa__id id;
    cfa_status status = take_id(&id, engine, payment_id, out);
    return status == CFA_OK ? cfa__payment_read(out, engine, id, cfa__deadline_us(engine, 0))
                            : status;
}

cfa_status cfa__parts_read(cfa__parts *parts, cfa_engine *engine, const char *payment_id,
                           const void *answer) {
    cfa__id id;
    cfa__reader *reader;
    cfa_status status = take_id(&id, engine, payment_id, answer);
    if (status == CFA_OK)
        status = cfa_arena_new(&parts->arena);
    if (status != CFA_OK)
        return status;
    cfa__any_record payment_key;
    cfa__key_of_id(&payment_key, &cfa__payment_kind, id);
    *parts->key_payment_id = id;
    cfa_query queries[] = {
        { .kind = &cfa__payment_kind, .match_count = 1, .limit = 1, .key = &payment_key },
        { .kind = parts->kind,
          .index = parts->index,
          .match_count = 1,
          .limit = CFA_PAGE_LIMIT_MAX,
          .key = parts->key },
    };
    status = cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status == CFA_OK) {
        status = engine->storage.ops->load(reader->session, queries, 2, parts->arena);
        cfa__read_end(engine, reader);
    }
    if (status == CFA_OK && queries[0].count == 0)
        status = cfa_error_set(CFA_ENOTFOUND, ORIGIN, "payment_id", 0, "there is no such payment");
    if (status != CFA_OK) {
        cfa_arena_free(parts->arena);
        return status;
    }
    parts->payment = queries[0].records[0];
    parts->query = queries[1];
    return CFA_OK;
}

static cfa_status part_list_fill(cfa__part_list *list, const cfa__parts *parts,
                                 const cfa__part_view *view) {
    size_t count = (size_t)parts->query.count;
    void **records = parts->query.records;
    list->items = cfa_arena_alloc(list->arena, (count + 1) * view->item_size);
    if (list->items == NULL)
        return CFA_ENOMEM;
    if (count > 1)
        qsort(records, count, sizeof records[0], view->compare);
    for (size_t i = 0; i < count; i++) {
        if (!view->fill((char *)list->items + i * view->item_size, list->arena, records[i],
                        parts->payment->currency))
            return CFA_ENOMEM;
    }
    list->size = count;
    return CFA_OK;
}

cfa_status cfa__part_list_read(cfa__part_list **out, cfa__parts *parts, const cfa__part_view *view,
                               cfa_engine *engine, const char *payment_id, const void *answer) {
    cfa_status status = cfa__parts_read(parts, engine, payment_id, answer);
    if (status != CFA_OK)
        return status;
    cfa__part_list *list = cfa_arena_alloc(parts->arena, sizeof *list);
    status = list == NULL ? CFA_ENOMEM : CFA_OK;
    if (status == CFA_OK) {
        list->arena = parts->arena;
        status = part_list_fill(list, parts, view);
    }
    if (status != CFA_OK) {
        cfa_arena_free(parts->arena);
        return status;
    }
    *out = list;
    return CFA_OK;
}

cfa_status cfa__part_find(cfa__reader **out_reader, const void **out,
                          const cfa__payment **out_payment, cfa_engine *engine,
                          const cfa__part_kind *part, const char *id, const void *answer) {
    cfa__id parsed, payment_id;
    cfa__reader *reader;
    const cfa__payment *payment = NULL;
    cfa_status status = cfa__call_check(engine, answer);
    if (status == CFA_OK)
        status = cfa__id_parse(&parsed, part->prefix, id, part->field);
    if (status == CFA_OK)
        status = cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status != CFA_OK)
        return status;
    const void *found = NULL;
    status = cfa__read_id(engine, reader, part->kind, parsed, &found);
    if (status == CFA_OK && found == NULL) {
        status = cfa_error_format(CFA_ENOTFOUND, ORIGIN, part->field, 0, "there is no such %s",
                                  part->kind->name);
    }
    if (status == CFA_OK) {
        memcpy(&payment_id, (const char *)found + part->payment_at, sizeof payment_id);
        status = read_record(&payment, engine, reader, payment_id);
    }
    if (status != CFA_OK) {
        cfa__read_end(engine, reader);
        return status;
    }
    *out_reader = reader;
    *out = found;
    *out_payment = payment;
    return CFA_OK;
}

cfa_status cfa_payment_history(cfa_transition_list **out, cfa_engine *engine,
                               const char *payment_id) {
    cfa__transition key;
    memset(&key, 0, sizeof key);
    cfa__parts parts = { .kind = &cfa__transition_kind,
                         .key = &key,
                         .key_payment_id = &key.payment_id };
    cfa_status status = cfa__parts_read(&parts, engine, payment_id, out);
    if (status != CFA_OK)
        return status;
    cfa_transition_list *list = cfa_arena_alloc(parts.arena, sizeof *list);
    if (list == NULL) {
        cfa_arena_free(parts.arena);
        return CFA_ENOMEM;
    }
    list->arena = parts.arena;
    list->items = (const cfa__transition **)parts.query.records;
    for (int32_t i = 0; i < parts.query.count; i++) {
        const cfa__transition *row = parts.query.records[i];
        if (cfa__id_is_null(row->subject_id)) /* else the states are a refund's or dispute's */
            list->items[list->size++] = row;
    }
    *out = list;
    return CFA_OK;
}

size_t cfa_transition_list_size(const cfa_transition_list *list) { return list->size; }

static const cfa__transition *transition_at(const cfa_transition_list *list, size_t index) {
    static const cfa__transition none = { .rule = { "", 0 } };
    return index < list->size ? list->items[index] : &none;
}

cfa_payment_state cfa_transition_from(const cfa_transition_list *list, size_t index) {
    return (cfa_payment_state)transition_at(list, index)->from_state;
}

cfa_payment_state cfa_transition_to(const cfa_transition_list *list, size_t index) {
    return (cfa_payment_state)transition_at(list, index)->to_state;
}

/* Rules are stored as text; adapters end loaded text with a NUL, and so does this table's empty
 * one. */
const char *cfa_transition_rule(const cfa_transition_list *list, size_t index) {
    return transition_at(list, index)->rule.data;
}

int32_t cfa_transition_implied(const cfa_transition_list *list, size_t index) {
    return (int32_t)transition_at(list, index)->implied;
}

int64_t cfa_transition_at_us(const cfa_transition_list *list, size_t index) {
    return transition_at(list, index)->created_us;
}

void cfa_transition_list_free(cfa_transition_list *list) {
    if (list != NULL)
        cfa_arena_free(list->arena);
}

/* ---- waiting --------------------------------------------------------------------------------- */

uint64_t cfa__wait_step(cfa_engine *engine, uint64_t seen, int64_t deadline_us) {
    int64_t until = cfa__real_us() + WAIT_STEP_US_MAX;
    if (until > deadline_us)
        until = deadline_us;
    /* The call that is waited for may be in flight, with nobody else to land it. */
    while (engine->flights != NULL && cfa__progress_count(engine) == seen &&
           cfa__left_ms(until) > 0 &&
           (cfa__calls_run_ready(engine, INT64_MIN, NULL) > 0 ||
            cfa__flights_wait(engine, cfa__left_ms(until)))) {
        (void)cfa__lead_once(engine); /* one batch: others may fill the queue for ever */
    }
    return cfa__progress_wait(engine, seen, until);
}

/* Ask the provider again and again, ever more slowly, until the payment is settled. */
cfa_status cfa__payment_await(cfa_engine *engine, cfa__id payment_id, int64_t deadline_us) {
    uint64_t seen = cfa__progress_count(engine);
    int64_t step_us = WAIT_STEP_US_MIN, next_probe_us = 0;
    for (;;) {
        cfa__reader *reader;
        cfa_status status = cfa__read_begin(&reader, engine, deadline_us);
        if (status != CFA_OK)
            return status;
        const cfa__payment *record;
        status = read_record(&record, engine, reader, payment_id);
        bool settled =
            status != CFA_OK || cfa__payment_is_settled((cfa_payment_state)record->state);
        int64_t now = cfa__real_us();
        int64_t operations = status == CFA_OK ? record->operation_count : 0;
        cfa__read_end(engine, reader);
        bool expedite = now >= next_probe_us, acted = false;
        if (!settled)
            status = cfa__calls_for_payment(engine, payment_id, operations, expedite, deadline_us,
                                            &acted);
        if (settled || status != CFA_OK || cfa__left_ms(deadline_us) == 0)
            return status;
        if (acted) {
            next_probe_us = cfa__real_us() + step_us;
            step_us = step_us * 2 < WAIT_STEP_US_MAX ? step_us * 2 : WAIT_STEP_US_MAX;
            continue;
        }
        int64_t until = next_probe_us > now ? next_probe_us : now + step_us;
        seen = cfa__wait_step(engine, seen, until < deadline_us ? until : deadline_us);
    }
}

cfa_status cfa_payment_wait(cfa_payment **out, cfa_engine *engine, const char *payment_id,
                            int32_t timeout_ms) {
    cfa__id id;
    cfa_status status = take_id(&id, engine, payment_id, out);
    if (status != CFA_OK)
        return status;
    status = cfa__payment_await(engine, id, cfa__deadline_us(engine, timeout_ms));
    if (status == CFA_OK || status == CFA_ETIMEOUT || status == CFA_EINDOUBT)
        status = cfa__payment_read(out, engine, id, cfa__deadline_us(engine, 0));
    return status;
}

/* ---- capture and cancel ---------------------------------------------------------------------- */

static cfa_status operate(cfa_payment **out, cfa_engine *engine, const char *payment_id,
                          int32_t call, cfa_money amount, const char *scope, const char *key,
                          const cfa_actor *by, int32_t timeout_ms) {
    cfa__id id;
    cfa_status status = take_id(&id, engine, payment_id, out);
    if (status == CFA_OK && engine->provider.ops == NULL)
        status =
            cfa_error_set(CFA_ENOTSUP, ORIGIN, "provider", 0, "the engine has no payment provider");
    if (status == CFA_OK && amount.minor < 0)
        status = cfa_error_set(CFA_ERANGE, ORIGIN, "amount.minor", 0, "an amount is not negative");
    if (status != CFA_OK)
        return status;
    cfa__command *command;
    void *memory;
    status = cfa__command_with_input(&command, &memory, engine, cfa__operation_create,
                                     sizeof(cfa__operation_input), sizeof(cfa__operation_answer));
    if (status != CFA_OK)
        return status;
    cfa__operation_input *input = memory;
    cfa__fingerprint_field fields[] = {
        { "payment_id", { id.bytes, sizeof id.bytes } },
        { "amount.minor", { &amount.minor, sizeof amount.minor } },
    };
    input->provider = engine->provider;
    input->payment_id = id;
    input->call = call;
    input->amount_minor = amount.minor;
    memcpy(input->currency, amount.currency, sizeof input->currency);
    status = cfa__keyed_make(&input->keyed, engine, scope, key,
                             call == CFA_CALL_CAPTURE ? CFA__KEYED_CAPTURE : CFA__KEYED_CANCEL,
                             fields, 2);
    if (status == CFA_OK)
        status = cfa__by_take(&input->by, command, by);
    int64_t deadline_us = cfa__deadline_us(engine, timeout_ms);
    if (status == CFA_OK)
        status = cfa__command_run(engine, &command, deadline_us);
    if (status == CFA_OK) {
        /* The operation is durable; what follows only hurries. */
        bool acted;
        const cfa__operation_answer *answer = command->output;
        (void)!cfa__calls_for_payment(engine, id, answer->payment->operation_count, true,
                                      deadline_us, &acted);
        atomic_store(&engine->operation_due_us, 0);
        cfa__signal(engine);
        status = cfa__payment_read(out, engine, id, cfa__deadline_us(engine, 0));
        if (status != CFA_OK)
            status = cfa__payment_snapshot(out, answer->payment, command->position);
        status = cfa__status_committed(status, ORIGIN);
    }
    cfa__command_release(engine, command);
    return status;
}

cfa_status cfa_payment_capture(cfa_payment **out, cfa_engine *engine, const char *payment_id,
                               cfa_money amount, const char *scope, const char *key,
                               const cfa_actor *by, int32_t timeout_ms) {
    return operate(out, engine, payment_id, CFA_CALL_CAPTURE, amount, scope, key, by, timeout_ms);
}

cfa_status cfa_payment_cancel(cfa_payment **out, cfa_engine *engine, const char *payment_id,
                              const char *scope, const char *key, const cfa_actor *by,
                              int32_t timeout_ms) {
    cfa_money nothing = { 0, "" };
    return operate(out, engine, payment_id, CFA_CALL_CANCEL, nothing, scope, key, by, timeout_ms);
}

/* ---- late money ------------------------------------------------------------------------------ */

cfa_status cfa_payment_accept(cfa_payment **out, cfa_engine *engine, const char *payment_id,
                              const char *scope, const char *key, const cfa_actor *by) {
    cfa__id id;
    cfa__command *command;
    void *memory;
    cfa_status status = take_id(&id, engine, payment_id, out);
    if (status == CFA_OK)
        status = cfa__command_with_input(&command, &memory, engine, cfa__payment_accept,
                                         sizeof(cfa__accept_input), sizeof(cfa__accept_answer));
    if (status != CFA_OK)
        return status;
    cfa__accept_input *input = memory;
    cfa__fingerprint_field fields[] = { { "payment_id", { id.bytes, sizeof id.bytes } } };
    input->payment_id = id;
    status = cfa__keyed_make(&input->keyed, engine, scope, key, CFA__KEYED_ACCEPT, fields, 1);
    if (status == CFA_OK)
        status = cfa__by_take(&input->by, command, by);
    if (status == CFA_OK)
        status = cfa__command_run(engine, &command, cfa__deadline_us(engine, 0));
    if (status == CFA_OK) {
        const cfa__accept_answer *answer = command->output;
        status = cfa__payment_snapshot(out, answer->payment, command->position);
        status = cfa__status_committed(status, ORIGIN);
    }
    cfa__command_release(engine, command);
    return status;
}
