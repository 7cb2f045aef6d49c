/*
 * act.c - appending to the audit log, and what its chain says of it. Never changes or removes what
 * stands in it.
 */
#include "core/decide/act.h"

#include "core/decide/evidence.h"
#include "core/decide/payment_machine.h"
#include "util/buffer.h"
#include "util/secure.h"

#include <assert.h>
#include <string.h>

static void put_int(uint8_t out[8], int64_t value) {
    for (int byte = 0; byte < 8; byte++)
        out[byte] = (uint8_t)((uint64_t)value >> (8 * byte));
}

/* The form is part of the contract; another needs another first part. */
void cfa__act_hash(uint8_t out[CFA__ACT_HASH_SIZE], cfa__id book_id, const cfa__act *act) {
    const cfa_slice nullable[] = { act->actor, act->reason, act->before, act->after,
                                   act->previous_hash };
    uint8_t number[8], created_us[8];
    char present[sizeof nullable / sizeof nullable[0]];
    put_int(number, act->number);
    put_int(created_us, act->created_us);
    for (size_t i = 0; i < sizeof present; i++)
        present[i] = nullable[i].data != NULL ? '1' : '0';
    const cfa_slice parts[] = {
        cfa__slice("careforall.act.v1"),
        { book_id.bytes, sizeof book_id.bytes },
        { number, sizeof number },
        act->action,
        act->subject,
        { present, sizeof present },
        act->actor,
        act->reason,
        act->before,
        act->after,
        { created_us, sizeof created_us },
        act->previous_hash,
    };
    cfa__hash(out, CFA__ACT_HASH_SIZE, (cfa_slice){ NULL, 0 }, parts,
              sizeof parts / sizeof parts[0]);
}

/* ---- the chain ------------------------------------------------------------------------------- */

cfa__act_chain cfa__act_chain_begin(const cfa__book *book) {
    cfa__act_chain chain = { .book = book, .linked = true };
    chain.head_agrees = book->act_count == 0 && book->act_hash.data == NULL;
    return chain;
}

static cfa_act_fault judge(const cfa__act_chain *chain, const cfa__act *act, int64_t *out_number) {
    uint8_t computed[CFA__ACT_HASH_SIZE];
    cfa_slice previous = { chain->last > 0 ? chain->previous : NULL,
                           chain->last > 0 ? sizeof chain->previous : 0 };
    bool gap = act->number > chain->last + 1;
    *out_number = act->number;
    if (gap && chain->last < chain->book->act_count) {
        *out_number = chain->last + 1;
        return CFA_ACT_MISSING;
    }
    if (act->number < 1 || act->number > chain->book->act_count)
        return CFA_ACT_ADDED;
    cfa__act_hash(computed, chain->book->book_id, act);
    if (!cfa__slices_equal(act->hash, (cfa_slice){ computed, sizeof computed }))
        return CFA_ACT_ALTERED;
    if (chain->linked && !cfa__slices_equal(act->previous_hash, previous))
        return CFA_ACT_UNLINKED;
    return CFA_ACT_NONE;
}

cfa_act_fault cfa__act_chain_step(cfa__act_chain *chain, const cfa__act *act, int64_t *out_number) {
    cfa_act_fault fault = judge(chain, act, out_number);
    chain->count++;
    chain->last = act->number;
    chain->linked = act->hash.size == sizeof chain->previous;
    if (chain->linked)
        memcpy(chain->previous, act->hash.data, sizeof chain->previous);
    chain->head_agrees = act->number == chain->book->act_count &&
                         cfa__slices_equal(act->hash, chain->book->act_hash);
    return fault;
}

cfa_act_fault cfa__act_chain_end(const cfa__act_chain *chain, int64_t *out_number) {
    bool missing = chain->last < chain->book->act_count;
    *out_number = missing ? chain->last + 1 : chain->book->act_count;
    return missing ? CFA_ACT_MISSING : chain->head_agrees ? CFA_ACT_NONE : CFA_ACT_HEAD;
}

/* ---- appending ------------------------------------------------------------------------------- */

cfa_status cfa__act_append(cfa__working_set *set, const cfa__act *act) {
    assert(act->action.size > 0 && act->subject.size > 0);
    cfa__book key;
    memset(&key, 0, sizeof key);
    key.id = 1;
    void *draft = NULL;
    cfa_status status = cfa__edit(set, &cfa__book_kind, &key, &draft);
    if (status != CFA_OK)
        return status;
    cfa__book *book = draft;
    assert(book != NULL);
    uint8_t hash[CFA__ACT_HASH_SIZE];
    cfa__act chained = *act;
    chained.number = book->act_count + 1;
    chained.created_us = cfa__now_us(set);
    chained.previous_hash = book->act_hash;
    cfa__act_hash(hash, book->book_id, &chained);
    chained.hash = (cfa_slice){ hash, sizeof hash };
    book->act_count = chained.number;
    book->act_hash = chained.hash;
    status = cfa__keep(set, &book->act_hash);
    return status == CFA_OK ? cfa__insert(set, &cfa__act_kind, &chained, NULL) : status;
}

cfa_status cfa__act_operation(cfa__working_set *set, const cfa__by *by, const cfa__payment *payment,
                              int32_t call, int64_t amount_minor) {
    assert(call == CFA_CALL_CAPTURE || call == CFA_CALL_CANCEL);
    char subject[CFA_ID_TEXT_SIZE];
    cfa__id_format(subject, "pay", payment->id);
    cfa__act act = {
        .action = cfa__slice(call == CFA_CALL_CAPTURE ? "payment.capture" : "payment.cancel"),
        .subject = cfa__slice(subject),
        .actor = by->actor,
        .reason = by->reason,
    };
    cfa__buffer json;
    cfa__buffer_init(&json, cfa__batch_arena(set), 128);
    cfa__json_open(&json, NULL, '{');
    cfa__json_text(&json, "state", cfa_payment_state_name((cfa_payment_state)payment->state));
    cfa__json_int(&json, "authorized_minor", cfa__payment_authorized_minor(payment));
    cfa__json_text(&json, "currency", payment->currency);
    cfa__json_close(&json, '}');
    cfa_status status = cfa__buffer_finish(&json, &act.before);
    if (status == CFA_OK && call == CFA_CALL_CAPTURE) {
        cfa__buffer_init(&json, cfa__batch_arena(set), 64);
        cfa__json_open(&json, NULL, '{');
        cfa__json_int(&json, "captured_minor", amount_minor);
        cfa__json_close(&json, '}');
        status = cfa__buffer_finish(&json, &act.after);
    }
    return status == CFA_OK ? cfa__act_append(set, &act) : status;
}
