/*
 * fold.c - one payment: its walk, its calls, its refunds and disputes, its state, its flags and its
 * contribution, each recomputed from what stands below it.
 */
#include "core/audit/fold.h"

#include <stdio.h>
#include <string.h>

#include "core/decide/decide.h"
#include "core/decide/payment_machine.h"
#include "core/decide/reversal_machine.h"

static void *take_memory(cfa__fold *fold, size_t size) {
    void *memory = cfa_arena_alloc(fold->audit->scratch, size);
    if (memory == NULL)
        fold->audit->status = CFA_ENOMEM;
    return memory;
}

void cfa__fold_begin(cfa__fold *fold, cfa__audit *audit, const cfa__payment *payment) {
    memset(fold, 0, sizeof *fold);
    cfa_arena_reset(audit->scratch);
    fold->audit = audit;
    fold->payment = payment;
    fold->place = cfa__place_of_payment(payment);
    fold->replayed = (cfa__payment){
        .id = payment->id,
        .amount_minor = payment->amount_minor,
        .ref = payment->ref,
        .origin_ref = payment->origin_ref,
        .state = CFA_PAYMENT_PENDING,
    };
    memcpy(fold->replayed.currency, payment->currency, sizeof payment->currency);
}

cfa__part *cfa__fold_part(cfa__fold *fold, cfa__id id) {
    for (cfa__part *part = fold->parts; part != NULL; part = part->next) {
        if (cfa__id_compare(part->id, id) == 0)
            return part;
    }
    cfa__part *part = take_memory(fold, sizeof *part);
    if (part != NULL) {
        part->id = id;
        part->next = fold->parts;
        fold->parts = part;
    }
    return part;
}

/* ---- the walk -------------------------------------------------------------------------------- */

static void note_cause(cfa__fold *fold, const cfa__transition *row) {
    if (cfa__id_is_null(row->cause_id) || fold->cause_count == CFA__AUDIT_CAUSES_MAX ||
        (fold->causes != NULL && cfa__id_compare(fold->causes->id, row->cause_id) == 0))
        return;
    cfa__cause *cause = take_memory(fold, sizeof *cause);
    if (cause == NULL)
        return;
    *cause = (cfa__cause){ fold->causes, row->cause_id, row->number, false };
    fold->causes = cause;
    fold->cause_count++;
}

static const char *state_name(int64_t state) {
    return state == 0 ? "none" : cfa_payment_state_name((cfa_payment_state)state);
}

static void take_step(cfa__fold *fold, const cfa__transition *row) {
    cfa__audit *audit = fold->audit;
    cfa__place place = fold->place;
    place.number = row->number;
    if (row->from_state != fold->walked) {
        cfa__audit_texts(audit, CFA__AUDIT_TRANSITION_WALK, &place, "from_state",
                         state_name(fold->walked), state_name(row->from_state));
        fold->broken_walk = true;
    } else if (row->from_state != row->to_state && /* a notice stays */
               !cfa__payment_step_is_legal((cfa_payment_state)row->from_state,
                                           (cfa_payment_state)row->to_state)) {
        cfa__audit_texts(audit, CFA__AUDIT_TRANSITION_ILLEGAL, &place, state_name(row->from_state),
                         "a step of the table", state_name(row->to_state));
        fold->broken_walk = true;
    }
    fold->walked = row->to_state;
}

static void take_part_step(cfa__fold *fold, const cfa__transition *row) {
    cfa__part *part = cfa__fold_part(fold, row->subject_id);
    if (part == NULL)
        return;
    cfa__place place = fold->place;
    place.number = row->number;
    cfa__audit_compare(fold->audit, CFA__AUDIT_TRANSITION_WALK, &place, "from_state", part->walked,
                       row->from_state);
    part->walked = row->to_state;
}

/* What the late rule held, and a person accepted: once each, in this order. */
static void take_late(cfa__fold *fold, const cfa__transition *row, bool accepted) {
    cfa__place place = fold->place;
    place.number = row->number;
    if (!fold->broken_walk && (accepted ? !fold->held : fold->was_held))
        cfa__audit_texts(fold->audit, CFA__AUDIT_TRANSITION_ILLEGAL, &place, "rule",
                         fold->was_held ? "nothing after it was accepted" : "held before",
                         accepted ? "L02" : "L01");
    fold->held = !accepted;
    fold->was_held = true;
    if (accepted)
        cfa__feed(fold->audit, &cfa__transition_kind, row);
}

static void take_transition(cfa__fold *fold, const cfa__transition *row) {
    cfa__place place = fold->place;
    place.number = row->number;
    if (cfa__audit_compare(fold->audit, CFA__AUDIT_TRANSITION_NUMBER, &place, "number",
                           fold->transitions + 1, row->number))
        fold->broken_walk = true;
    fold->transitions = row->number;
    note_cause(fold, row);
    if (row->rule.size == 3 && ((const char *)row->rule.data)[0] == 'L')
        take_late(fold, row, ((const char *)row->rule.data)[2] == '2');
    if (cfa__id_is_null(row->subject_id))
        take_step(fold, row);
    else
        take_part_step(fold, row);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void check_amount(cfa__fold *fold, const cfa__operation *row, const cfa__place *place) {
    int64_t asked = fold->payment->amount_minor;
    bool wrong = row->call == CFA_CALL_CREATE ? row->amount_minor != asked
                 : row->call == CFA_CALL_CAPTURE
                     ? row->amount_minor < 0 || row->amount_minor > asked
                     : row->amount_minor < 0;
    if (wrong)
        cfa__audit_numbers(fold->audit, CFA__AUDIT_OPERATION_AMOUNT, place, "amount_minor", asked,
                           row->amount_minor);
}

static void take_operation(cfa__fold *fold, const cfa__operation *row) {
    cfa__audit *audit = fold->audit;
    cfa__place place = fold->place;
    place.number = row->number;
    cfa__audit_compare(audit, CFA__AUDIT_OPERATION_NUMBER, &place, "number", fold->operations + 1,
                       row->number);
    fold->operations = row->number;
    char key[64];
    cfa__operation_key(key, fold->payment->id, row->number, row->attempt);
    size_t size = strlen(key);
    if (row->idempotency_key.size != size || memcmp(row->idempotency_key.data, key, size) != 0) {
        char found[64] = "";
        snprintf(found, sizeof found, "%.*s", (int)row->idempotency_key.size,
                 row->idempotency_key.size > 0 ? (const char *)row->idempotency_key.data : "");
        cfa__audit_texts(audit, CFA__AUDIT_OPERATION_KEY, &place, "idempotency_key", key, found);
    }
    check_amount(fold, row, &place);
    bool open = row->state == CFA__OPERATION_READY || row->state == CFA__OPERATION_UNKNOWN ||
                row->state == CFA__OPERATION_DEFERRED;
    if (open != (row->due_us != 0))
        cfa__audit_texts(audit, CFA__AUDIT_OPERATION_DUE, &place, "due_us",
                         open ? "a time" : "none", open ? "none" : "a time");
    if (row->tries > 0 || row->attempt > 1 || row->first_sent_us != 0)
        fold->was_called = true;
    cfa__refund_call *call = row->call == CFA_CALL_REFUND ? take_memory(fold, sizeof *call) : NULL;
    if (call != NULL) {
        *call = (cfa__refund_call){ fold->calls, row->number, row->amount_minor, row->refund_id };
        fold->calls = call;
    }
}

/* ---- refunds and disputes -------------------------------------------------------------------- */

static cfa__place place_of_part(const cfa__fold *fold, const char *prefix, cfa__id id) {
    cfa__place place = fold->place;
    place.prefix = prefix;
    place.id = id;
    return place;
}

static cfa_slice keep(cfa__fold *fold, cfa_slice text) {
    const void *kept =
        text.data != NULL ? cfa_arena_copy(fold->audit->scratch, text.data, text.size) : NULL;
    if (text.data != NULL && kept == NULL)
        fold->audit->status = CFA_ENOMEM;
    return (cfa_slice){ kept, kept != NULL ? text.size : 0 };
}

static void check_call(cfa__fold *fold, const cfa__refund *row, const cfa__place *place) {
    if (row->operation_number == 0)
        return;
    const cfa__refund_call *call = fold->calls;
    while (call != NULL && call->number != row->operation_number)
        call = call->next;
    if (call == NULL || cfa__id_compare(call->refund_id, row->id) != 0)
        cfa__audit_numbers(fold->audit, CFA__AUDIT_REFUND_CALL, place, "operation_number",
                           call == NULL ? 0 : call->number, row->operation_number);
}

static void take_refund(cfa__fold *fold, const cfa__refund *row) {
    cfa__place place = place_of_part(fold, "rfd", row->id);
    cfa__part *part = cfa__fold_part(fold, row->id);
    if (part == NULL)
        return;
    part->has_row = part->is_refund = true;
    part->refund = *row;
    part->refund.ref = keep(fold, row->ref);
    part->refund.reason = part->refund.failure_code = (cfa_slice){ NULL, 0 };
    part->refund.state = cfa__refund_state(row);
    if (row->amount_minor < 0) {
        cfa__audit_numbers(fold->audit, CFA__AUDIT_PAYMENT_RANGE, &place, "amount_minor", 0,
                           row->amount_minor);
        return;
    }
    if (!cfa__audit_compare(fold->audit, CFA__AUDIT_REFUND_STATE, &place, "state",
                            part->refund.state, row->state) &&
        part->walked != row->state)
        cfa__audit_numbers(fold->audit, CFA__AUDIT_TRANSITION_END, &place, "state", row->state,
                           part->walked);
    check_call(fold, row, &place);
    cfa__payment_move_refund(&fold->sums, NULL, &part->refund);
}

static void take_dispute(cfa__fold *fold, const cfa__dispute *row) {
    cfa__place place = place_of_part(fold, "dsp", row->id);
    cfa__part *part = cfa__fold_part(fold, row->id);
    if (part == NULL)
        return;
    part->has_row = true;
    part->dispute = *row;
    part->dispute.ref = keep(fold, row->ref);
    part->dispute.reason = (cfa_slice){ NULL, 0 };
    if (row->state < CFA_DISPUTE_INQUIRY || row->state > CFA_DISPUTE_LOST ||
        row->reinstated_minor < 0 || row->withdrawn_minor < row->reinstated_minor ||
        row->amount_minor < 0) {
        cfa__audit_numbers(fold->audit, CFA__AUDIT_PAYMENT_RANGE, &place, "withdrawn_minor",
                           row->reinstated_minor, row->withdrawn_minor);
        return;
    }
    cfa__audit_compare(fold->audit, CFA__AUDIT_TRANSITION_END, &place, "state", row->state,
                       part->walked);
    cfa__payment_move_dispute(&fold->sums, NULL, &part->dispute);
}

static void compare_sums(cfa__fold *fold) {
    const cfa__payment *is = fold->payment, *should = &fold->sums;
    const struct {
        const char *name;
        int64_t should, is;
    } sums[] = {
        { "requested_minor", should->requested_minor, is->requested_minor },
        { "refunded_minor", should->refunded_minor, is->refunded_minor },
        { "withdrawn_minor", should->withdrawn_minor, is->withdrawn_minor },
        { "reinstated_minor", should->reinstated_minor, is->reinstated_minor },
        { "exposed_minor", should->exposed_minor, is->exposed_minor },
        { "refund_count", should->refund_count, is->refund_count },
        { "dispute_count", should->dispute_count, is->dispute_count },
        { "open_count", should->open_count, is->open_count },
    };
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
        if (cfa__audit_compare(fold->audit, CFA__AUDIT_REFUND_SUM, &fold->place, sums[i].name,
                               sums[i].should, sums[i].is))
            return; /* one lost row moves several */
    }
}

/* ---- the payment itself ---------------------------------------------------------------------- */

static void check_range(cfa__fold *fold) {
    const cfa__payment *payment = fold->payment;
    const struct {
        const char *name;
        int64_t value;
    } amounts[] = {
        { "authorized_minor", payment->authorized_minor },
        { "captured_minor", payment->captured_minor },
    };
    for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++) {
        if (amounts[i].value < 0 || amounts[i].value > payment->amount_minor)
            cfa__audit_numbers(fold->audit, CFA__AUDIT_PAYMENT_RANGE, &fold->place, amounts[i].name,
                               payment->amount_minor, amounts[i].value);
    }
    if (payment->amount_minor <= 0 || payment->sequence < 1)
        cfa__audit_numbers(fold->audit, CFA__AUDIT_PAYMENT_RANGE, &fold->place,
                           payment->amount_minor <= 0 ? "amount_minor" : "sequence", 1,
                           payment->amount_minor <= 0 ? payment->amount_minor : payment->sequence);
}

static void check_state(cfa__fold *fold) {
    cfa__audit *audit = fold->audit;
    const cfa__payment *payment = fold->payment;
    int64_t state = cfa__payment_state(payment);
    if (payment->state != state)
        cfa__audit_texts(audit, CFA__AUDIT_PAYMENT_STATE, &fold->place, "state", state_name(state),
                         state_name(payment->state));
    if (fold->walked != state && !fold->broken_walk && fold->transitions > 0)
        cfa__audit_texts(audit, CFA__AUDIT_TRANSITION_END, &fold->place, "to_state",
                         state_name(state), state_name(fold->walked));
    cfa__audit_compare(audit, CFA__AUDIT_TRANSITION_COUNT, &fold->place, "transition_count",
                       fold->transitions, payment->transition_count);
    cfa__audit_compare(audit, CFA__AUDIT_OPERATION_COUNT, &fold->place, "operation_count",
                       fold->operations, payment->operation_count);
}

/* As the walk says, unless that has lost a step. */
static bool is_held(const cfa__fold *fold) {
    bool whole = !fold->broken_walk && fold->transitions == fold->payment->transition_count;
    return whole ? fold->held : (fold->payment->flags & CFA_PAYMENT_FLAG_HELD) != 0;
}

/* Flags that follow from the facts alone stand exactly when they do; LATE at least then, for a
 * campaign's end may set it too, and whenever the late rule held something. */
static void check_flags(cfa__fold *fold) {
    cfa__payment bare = *fold->payment;
    bare.flags = 0;
    cfa__payment derived = bare;
    (void)cfa__payment_derive_flags(&derived, &bare);
    const int64_t exact = CFA_PAYMENT_FLAG_CONFLICT | CFA_PAYMENT_FLAG_SETTLED |
                          CFA_PAYMENT_FLAG_FRAUD_WARNING | CFA_PAYMENT_FLAG_HELD;
    int64_t wanted = (fold->payment->flags & ~exact) | derived.flags;
    wanted |= is_held(fold) ? CFA_PAYMENT_FLAG_HELD : 0;
    wanted |= fold->was_held ? CFA_PAYMENT_FLAG_LATE : 0;
    cfa__audit_compare(fold->audit, CFA__AUDIT_PAYMENT_FLAGS, &fold->place, "flags", wanted,
                       fold->payment->flags);
}

static void check_campaign(cfa__fold *fold) {
    const cfa__payment *payment = fold->payment;
    cfa__sum *sum = cfa__sum_of(fold->audit, payment->campaign_id, payment->currency, false);
    if (!cfa__sum_knows(fold->audit, payment->campaign_id))
        cfa__audit_texts(fold->audit, CFA__AUDIT_CAMPAIGN_MISSING, &fold->place, "campaign_id",
                         "the campaign", "none");
    else if (sum == NULL || !sum->listed)
        cfa__audit_texts(fold->audit, CFA__AUDIT_PAYMENT_CURRENCY, &fold->place, "currency",
                         "one that the campaign accepts", payment->currency);
}

/* ---- what it adds to the totals -------------------------------------------------------------- */

static void check_identity(cfa__fold *fold, const cfa__contribution *row) {
    const cfa__payment *payment = fold->payment;
    const char *field = cfa__id_compare(row->campaign_id, payment->campaign_id) != 0 ? "campaign_id"
                        : cfa__id_compare(row->pledge_id, payment->pledge_id) != 0   ? "pledge_id"
                        : cfa__id_compare(row->person_id, payment->person_id) != 0   ? "person_id"
                        : memcmp(row->currency, payment->currency, 4) != 0           ? "currency"
                        : row->created_us != payment->created_us                     ? "created_us"
                                                                                     : NULL;
    if (field != NULL)
        cfa__audit_texts(fold->audit, CFA__AUDIT_CONTRIBUTION_IDENTITY, &fold->place, field,
                         "the payment's", "another");
}

static void compare_buckets(cfa__fold *fold, const cfa__contribution *row) {
    cfa__payment payment = *fold->payment;
    payment.state = cfa__payment_state(&payment);
    payment.flags = is_held(fold) ? CFA_PAYMENT_FLAG_HELD : 0;
    cfa__buckets buckets = cfa__payment_buckets(&payment);
    const struct {
        const char *name;
        int64_t should, is;
    } parts[] = {
        { "state", payment.state, row->state },
        { "pledged_minor", buckets.pledged_minor, row->pledged_minor },
        { "authorized_minor", buckets.authorized_minor, row->authorized_minor },
        { "raised_minor", buckets.raised_minor, row->raised_minor },
        { "refunded_minor", buckets.refunded_minor, row->refunded_minor },
        { "disputed_minor", buckets.disputed_minor, row->disputed_minor },
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (cfa__audit_compare(fold->audit, CFA__AUDIT_CONTRIBUTION_DIFFERS, &fold->place,
                               parts[i].name, parts[i].should, parts[i].is))
            return;
    }
}

void cfa__fold_add(cfa__audit *audit, const cfa__contribution *row) {
    cfa__feed(audit, &cfa__contribution_kind, row);
    cfa__sum *sum = cfa__sum_of(audit, row->campaign_id, row->currency, true);
    if (sum == NULL)
        return;
    const int64_t parts[] = { row->pledged_minor, row->authorized_minor, row->raised_minor,
                              row->refunded_minor, row->disputed_minor };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        sum->sum[i] = (int64_t)((uint64_t)sum->sum[i] + (uint64_t)parts[i]);
    sum->donations += row->raised_minor > 0;
    sum->has_payment = true;
}

static void take_contribution(cfa__fold *fold, const cfa__contribution *row) {
    fold->contribution = row;
    cfa__fold_add(fold->audit, row);
}

/* Of a whole book the log tells which events were applied; of one campaign it is not read. */
static void check_contribution(cfa__fold *fold) {
    const cfa__contribution *row = fold->contribution;
    cfa__audit *audit = fold->audit;
    bool alone =
        !cfa__id_is_null(audit->campaign_id) && audit->applied == audit->head && !audit->staged;
    if (row == NULL) {
        if (alone)
            cfa__audit_texts(audit, CFA__AUDIT_CONTRIBUTION_MISSING, &fold->place, NULL, "a row",
                             "none");
        return;
    }
    check_identity(fold, row);
    if (row->sequence == fold->payment->sequence)
        compare_buckets(fold, row);
    else if (alone)
        cfa__audit_numbers(audit, CFA__AUDIT_CONTRIBUTION_SEQUENCE, &fold->place, "sequence",
                           fold->payment->sequence, row->sequence);
}

/* ---- together -------------------------------------------------------------------------------- */

cfa_status cfa__fold_take(cfa__fold *fold, const cfa_kind *kind, const void *record) {
    if (kind == &cfa__transition_kind)
        take_transition(fold, record);
    else if (kind == &cfa__operation_kind)
        take_operation(fold, record);
    else if (kind == &cfa__refund_kind)
        take_refund(fold, record);
    else if (kind == &cfa__dispute_kind)
        take_dispute(fold, record);
    else if (kind == &cfa__contribution_kind)
        take_contribution(fold, record);
    else
        return cfa__replay_take(fold, record);
    if (kind == &cfa__refund_kind || kind == &cfa__dispute_kind)
        cfa__feed(fold->audit, kind, record);
    return fold->audit->status;
}

static void check_causes(cfa__fold *fold) {
    for (const cfa__cause *cause = fold->causes; cause != NULL; cause = cause->next) {
        cfa__place place = fold->place;
        char id[CFA_ID_TEXT_SIZE];
        place.number = cause->number;
        cfa__id_format(id, "whk", cause->id);
        if (!cause->found)
            cfa__audit_texts(fold->audit, CFA__AUDIT_TRANSITION_CAUSE, &place, "cause_id", id,
                             "no such webhook of this payment");
    }
}

void cfa__fold_end(cfa__fold *fold) {
    check_range(fold);
    for (const cfa__part *part = fold->parts; part != NULL; part = part->next) {
        if (!part->has_row)
            cfa__audit_texts(fold->audit, CFA__AUDIT_REFUND_SUM, &fold->place, "refunds",
                             "the refund or dispute that a step is about", "none");
    }
    compare_sums(fold);
    check_causes(fold);
    cfa__replay_end(fold);
    check_state(fold);
    check_flags(fold);
    check_campaign(fold);
    check_contribution(fold);
}
