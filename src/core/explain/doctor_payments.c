/*
 * doctor_payments.c - what is wrong with calls and their payments. Whatever is not over has a call
 * that is due, so the index of due calls is where the stuck are; the longest overdue come first.
 */
#include <careforall/dispute.h>
#include <careforall/refund.h>
#include <stdio.h>
#include <string.h>

#include "core/decide/evidence.h"
#include "core/decide/reversal_machine.h"
#include "core/explain/doctor.h"

#define OVERDUE_US (5 * CFA__MINUTE_US) /* due so long: nobody makes calls */
#define UNPAID_GRACE_US CFA__HOUR_US    /* after its time, for the provider to confirm the end */
#define HOLD_US (7 * CFA__DAY_US)       /* what card networks mostly give */
#define HOLD_WARN_US (5 * CFA__DAY_US)
#define HOLD_GRAVE_US (HOLD_US - CFA__DAY_US)
#define REFUND_REQUESTED_US CFA__HOUR_US
#define REFUND_PENDING_US (7 * CFA__DAY_US)
#define REFUND_FAILED_US (30 * CFA__DAY_US) /* then whoever had to look has looked */
#define DISPUTE_WARN_US (7 * CFA__DAY_US)
#define DISPUTE_GRAVE_US (2 * CFA__DAY_US)
#define PARTS_MAX 100 /* refunds, or disputes, looked at of one payment */
#define STEPS_MAX 100

/* NULL when no more ids of this finding are listed: nothing is kept of what is only counted. */
static const char *id_text(cfa__examination *examination, cfa__ailment ailment, const char *prefix,
                           cfa__id id) {
    if (examination->findings[ailment].id_count == CFA_FINDING_IDS_MAX)
        return NULL;
    return cfa__document_id(examination->texts, prefix, id);
}

/* ---- one payment ----------------------------------------------------------------------------- */

static void note_conflict(cfa__examination *examination, const cfa__payment *payment) {
    if ((payment->flags & CFA_PAYMENT_FLAG_CONFLICT) == 0)
        return;
    for (int32_t i = 0; i < examination->conflict_count; i++) {
        if (cfa__id_compare(examination->conflicts[i], payment->id) == 0)
            return;
    }
    if (examination->conflict_count < CFA__DOCTOR_CONFLICTS_MAX)
        examination->conflicts[examination->conflict_count++] = payment->id;
    cfa__found(examination, CFA__AILMENT_PAYMENT_CONFLICT,
               id_text(examination, CFA__AILMENT_PAYMENT_CONFLICT, "pay", payment->id),
               examination->now_us - payment->updated_us, NULL);
}

static void note_unpaid(cfa__examination *examination, const cfa__payment *payment,
                        const cfa__lease_item *item) {
    bool unpaid = payment->state == CFA_PAYMENT_PENDING ||
                  payment->state == CFA_PAYMENT_REQUIRES_ACTION ||
                  payment->state == CFA_PAYMENT_FAILED;
    int64_t late_us = examination->now_us - payment->expires_us;
    if (unpaid && late_us > UNPAID_GRACE_US)
        cfa__found(examination, CFA__AILMENT_PAYMENT_OVERDUE,
                   id_text(examination, CFA__AILMENT_PAYMENT_OVERDUE, "pay", payment->id), late_us,
                   item);
}

/* When the newest step of this kind was taken; as it is when there is none. */
static cfa_status find_step(cfa__examination *examination, const cfa__payment *payment,
                            bool (*is_it)(const cfa__transition *), int64_t *out_us) {
    cfa__transition key;
    memset(&key, 0, sizeof key);
    key.payment_id = payment->id;
    cfa_query query = { .kind = &cfa__transition_kind,
                        .match_count = 1,
                        .flags = CFA_QUERY_DESCENDING,
                        .limit = STEPS_MAX,
                        .key = &key };
    cfa_status status = cfa__examine_load(examination, &query, 1);
    for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
        const cfa__transition *step = query.records[i];
        if (!is_it(step))
            continue;
        *out_us = step->created_us;
        break;
    }
    return status;
}

static bool begins_hold(const cfa__transition *step) {
    return cfa__id_is_null(step->subject_id) && step->to_state == CFA_PAYMENT_AUTHORIZED &&
           step->from_state != CFA_PAYMENT_AUTHORIZED;
}

static cfa_status note_hold(cfa__examination *examination, const cfa__payment *payment) {
    if (payment->state != CFA_PAYMENT_AUTHORIZED)
        return CFA_OK;
    int64_t held_us = payment->updated_us;
    cfa_status status = find_step(examination, payment, begins_hold, &held_us);
    int64_t age_us = examination->now_us - held_us;
    if (status == CFA_OK && age_us > HOLD_WARN_US) {
        cfa__found(examination, CFA__AILMENT_HOLD_EXPIRING,
                   id_text(examination, CFA__AILMENT_HOLD_EXPIRING, "pay", payment->id), age_us,
                   NULL);
        if (age_us > HOLD_GRAVE_US)
            cfa__found_grave(examination, CFA__AILMENT_HOLD_EXPIRING);
    }
    return status;
}

static bool is_late_rule(const cfa__transition *step) {
    return cfa__slices_equal(step->rule, cfa__slice("L01"));
}

/* Late money, unless all of it went back: then there is nothing to decide. */
static cfa_status note_held(cfa__examination *examination, const cfa__payment *payment) {
    int64_t left_minor = payment->captured_minor - payment->refunded_minor -
                         (payment->withdrawn_minor - payment->reinstated_minor);
    if ((payment->flags & CFA_PAYMENT_FLAG_HELD) == 0 || left_minor <= 0)
        return CFA_OK;
    int64_t held_us = payment->updated_us;
    cfa_status status = find_step(examination, payment, is_late_rule, &held_us);
    if (status == CFA_OK)
        cfa__found(examination, CFA__AILMENT_PAYMENT_HELD,
                   id_text(examination, CFA__AILMENT_PAYMENT_HELD, "pay", payment->id),
                   examination->now_us - held_us, NULL);
    return status;
}

/* One payment has more than one event that leads here. */
static bool is_listed(const cfa__examination *examination, cfa__ailment ailment, const char *prefix,
                      cfa__id id) {
    const cfa__finding *finding = &examination->findings[ailment];
    char text[CFA_ID_TEXT_SIZE];
    cfa__id_format(text, prefix, id);
    for (int32_t i = 0; i < finding->id_count; i++) {
        if (strcmp(finding->ids[i], text) == 0)
            return true;
    }
    return false;
}

/* While any of its money may still have to go back. */
static void note_spent(cfa__examination *examination, const cfa__payment *payment) {
    const cfa__ailment ailment = CFA__AILMENT_OPERATIONS_SPENT;
    if (payment->operation_count >= CFA__OPERATIONS_PER_PAYMENT_MAX &&
        cfa__payment_refundable_minor(payment) > 0 &&
        !is_listed(examination, ailment, "pay", payment->id))
        cfa__found(examination, ailment, id_text(examination, ailment, "pay", payment->id),
                   examination->now_us - payment->updated_us, NULL);
}

/* The newest refund did not go through, and there is money that it was of. */
static cfa_status note_failed(cfa__examination *examination, const cfa__payment *payment) {
    const cfa__ailment ailment = CFA__AILMENT_REFUND_FAILED;
    if (payment->refund_count == 0 || cfa__payment_refundable_minor(payment) == 0)
        return CFA_OK;
    cfa__refund key;
    memset(&key, 0, sizeof key);
    key.payment_id = payment->id;
    cfa_query query = { .kind = &cfa__refund_kind,
                        .index = CFA__REFUND_BY_PAYMENT,
                        .match_count = 1,
                        .flags = CFA_QUERY_DESCENDING,
                        .limit = 1,
                        .key = &key };
    cfa_status status = cfa__examine_load(examination, &query, 1);
    if (status != CFA_OK || query.count == 0)
        return status;
    const cfa__refund *refund = query.records[0];
    int64_t age_us = examination->now_us - refund->updated_us;
    if (refund->state == CFA_REFUND_FAILED && age_us < REFUND_FAILED_US &&
        !is_listed(examination, ailment, "rfd", refund->id))
        cfa__found(examination, ailment, id_text(examination, ailment, "rfd", refund->id), age_us,
                   NULL);
    return CFA_OK;
}

static void note_refund(cfa__examination *examination, const cfa__refund *refund,
                        const cfa__lease_item *item) {
    int64_t age_us = examination->now_us - refund->created_us;
    bool action = refund->state == CFA_REFUND_REQUIRES_ACTION;
    bool late = (refund->state == CFA_REFUND_REQUESTED && age_us > REFUND_REQUESTED_US) ||
                (refund->state == CFA_REFUND_PENDING && age_us > REFUND_PENDING_US);
    cfa__ailment ailment = action ? CFA__AILMENT_REFUND_ACTION : CFA__AILMENT_REFUND_PENDING;
    if (action || late)
        cfa__found(examination, ailment, id_text(examination, ailment, "rfd", refund->id), age_us,
                   action ? NULL : item);
}

static void note_dispute(cfa__examination *examination, const cfa__dispute *dispute) {
    int64_t left_us = dispute->evidence_due_us - examination->now_us;
    bool answerable = dispute->state == CFA_DISPUTE_OPEN || dispute->state == CFA_DISPUTE_INQUIRY;
    if (!answerable || dispute->evidence_due_us == 0 || left_us > DISPUTE_WARN_US)
        return;
    bool missed = left_us < 0;
    cfa__ailment ailment = missed ? CFA__AILMENT_DISPUTE_MISSED : CFA__AILMENT_DISPUTE_DUE;
    cfa__found(examination, ailment, id_text(examination, ailment, "dsp", dispute->id),
               missed ? -left_us : examination->now_us - dispute->created_us, NULL);
    if (!missed && left_us < DISPUTE_GRAVE_US)
        cfa__found_grave(examination, ailment);
}

static cfa_status note_parts(cfa__examination *examination, const cfa__payment *payment,
                             const cfa__lease_item *item) {
    if (payment->open_count == 0)
        return CFA_OK;
    cfa__refund refund;
    cfa__dispute dispute;
    memset(&refund, 0, sizeof refund);
    memset(&dispute, 0, sizeof dispute);
    refund.payment_id = dispute.payment_id = payment->id;
    cfa_query queries[] = {
        { .kind = &cfa__refund_kind,
          .index = CFA__REFUND_BY_PAYMENT,
          .match_count = 1,
          .limit = PARTS_MAX,
          .key = &refund },
        { .kind = &cfa__dispute_kind,
          .index = CFA__DISPUTE_BY_PAYMENT,
          .match_count = 1,
          .limit = PARTS_MAX,
          .key = &dispute },
    };
    cfa_status status = cfa__examine_load(examination, queries, 2);
    for (int32_t i = 0; status == CFA_OK && i < queries[0].count; i++)
        note_refund(examination, queries[0].records[i], item);
    for (int32_t i = 0; status == CFA_OK && i < queries[1].count; i++)
        note_dispute(examination, queries[1].records[i]);
    return status;
}

/* ---- open calls ------------------------------------------------------------------------------ */

static const char *call_text(cfa__examination *examination, cfa__ailment ailment,
                             const cfa__operation *operation) {
    char payment_id[CFA_ID_TEXT_SIZE];
    if (examination->findings[ailment].id_count == CFA_FINDING_IDS_MAX)
        return NULL;
    cfa__id_format(payment_id, "pay", operation->payment_id);
    return cfa__document_format(examination->texts, "%s/%lld", payment_id,
                                (long long)operation->number);
}

static void note_call(cfa__examination *examination, const cfa__operation *operation,
                      const cfa__lease_item *item) {
    int64_t late_us = examination->now_us - operation->due_us;
    int64_t age_us = examination->now_us - operation->created_us;
    cfa__ailment ailment = CFA__AILMENT_OPERATION_DEFERRED;
    if (operation->state == CFA__OPERATION_DEFERRED)
        cfa__found(examination, ailment, call_text(examination, ailment, operation), age_us, NULL);
    ailment = CFA__AILMENT_OPERATION_IN_DOUBT;
    if (operation->state == CFA__OPERATION_UNKNOWN && operation->call != CFA_CALL_RETRIEVE)
        cfa__found(examination, ailment, call_text(examination, ailment, operation), age_us, item);
    ailment = CFA__AILMENT_OPERATION_OVERDUE;
    if (late_us > OVERDUE_US)
        cfa__found(examination, ailment, call_text(examination, ailment, operation), late_us, NULL);
}

static cfa_status note_payment(cfa__examination *examination, const cfa__operation *operation,
                               const cfa__payment *payment, const cfa__lease_item *item) {
    note_conflict(examination, payment);
    /* A payment is judged once: by its standing probe, or by the call that is to make it. */
    if (operation->call != CFA_CALL_RETRIEVE && operation->call != CFA_CALL_CREATE)
        return CFA_OK;
    note_unpaid(examination, payment, item);
    cfa_status status = note_hold(examination, payment);
    return status == CFA_OK ? note_parts(examination, payment, item) : status;
}

/* The payments of a page of calls, as one trip. */
static cfa_status note_page(cfa__examination *examination, const cfa_query *calls) {
    size_t count = (size_t)calls->count;
    cfa_arena *arena = examination->scratch;
    cfa_query *queries = cfa_arena_alloc(arena, (count + 1) * sizeof *queries);
    cfa__payment *keys = cfa_arena_alloc(arena, (count + 1) * sizeof *keys);
    if (queries == NULL || keys == NULL)
        return CFA_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        keys[i].id = ((const cfa__operation *)calls->records[i])->payment_id;
        queries[i] = (cfa_query){
            .kind = &cfa__payment_kind, .match_count = 1, .limit = 1, .key = &keys[i]
        };
    }
    cfa_status status = count == 0 ? CFA_OK : cfa__examine_load(examination, queries, count);
    for (size_t i = 0; status == CFA_OK && i < count; i++) {
        const cfa__operation *operation = calls->records[i];
        cfa__lease_item item = { operation->payment_id, operation->number };
        note_call(examination, operation, &item);
        if (queries[i].count == 1)
            status = note_payment(examination, operation, queries[i].records[0], &item);
    }
    return status;
}

cfa_status cfa__examine_calls(cfa__examination *examination) {
    cfa__operation key;
    memset(&key, 0, sizeof key);
    key.due_us = 1; /* closed ones have none and are not in the index */
    for (int64_t seen = 0; examination->deep || seen < CFA__DOCTOR_CALLS_MAX;) {
        cfa_query query = { .kind = &cfa__operation_kind,
                            .index = CFA__OPERATION_BY_DUE,
                            .flags = CFA_QUERY_AFTER,
                            .limit = CFA__DOCTOR_PAGE,
                            .key = &key };
        cfa_status status = cfa__examine_page(examination, &query);
        if (status == CFA_OK)
            status = note_page(examination, &query);
        if (status != CFA_OK || query.count < CFA__DOCTOR_PAGE)
            return status;
        const cfa__operation *last = query.records[query.count - 1];
        key.due_us = last->due_us;
        key.payment_id = last->payment_id;
        key.number = last->number;
        seen += query.count;
    }
    cfa__not_seen(examination,
                  cfa__document_format(examination->texts,
                                       "Of the open calls only the %d that are due first were "
                                       "read; --deep reads all",
                                       CFA__DOCTOR_CALLS_MAX));
    return CFA_OK;
}

/* ---- conflicts and late money ---------------------------------------------------------------- */

/* All are told by an event, which what is held has once. */
static cfa_status examine_event(cfa__examination *examination, const cfa__event *event) {
    bool held = event->type == CFA__EVENT_PAYMENT_HELD;
    bool by_rule = event->type == CFA__EVENT_PAYMENT_LATE_SUCCESS ||
                   event->type == CFA__EVENT_PAYMENT_FRAUD_WARNING;
    bool failed =
        event->type == CFA__EVENT_REFUND_FAILED || event->type == CFA__EVENT_REFUND_REVERSED;
    if (!held && !by_rule && !failed && event->type != CFA__EVENT_PAYMENT_CONFLICT)
        return CFA_OK;
    const void *found = NULL;
    cfa__any_record key;
    cfa__key_of_id(&key, &cfa__payment_kind, event->subject_id);
    cfa_status status = cfa__examine_record(examination, &cfa__payment_kind, &key, &found);
    if (status != CFA_OK || found == NULL)
        return status;
    if (held)
        return note_held(examination, found);
    if (failed)
        return note_failed(examination, found);
    if (by_rule) /* its rule may have wanted to send it back */
        note_spent(examination, found);
    else
        note_conflict(examination, found);
    return CFA_OK;
}

static cfa_status examine_newest(cfa__examination *examination) {
    cfa__event key;
    memset(&key, 0, sizeof key);
    cfa_query query = { .kind = &cfa__event_kind,
                        .flags = CFA_QUERY_DESCENDING,
                        .limit = CFA__DOCTOR_PAGE,
                        .key = &key };
    for (int64_t seen = 0; seen < CFA__DOCTOR_EVENTS_MAX; seen += query.count) {
        cfa_status status = cfa__examine_page(examination, &query);
        for (int32_t i = 0; status == CFA_OK && i < query.count; i++)
            status = examine_event(examination, query.records[i]);
        if (status != CFA_OK || query.count < CFA__DOCTOR_PAGE)
            return status;
        key.position = ((const cfa__event *)query.records[query.count - 1])->position;
        query.flags = CFA_QUERY_DESCENDING | CFA_QUERY_AFTER;
    }
    cfa__not_seen(examination, cfa__document_format(
                                   examination->texts,
                                   "Conflicts were looked for in open payments and in the newest "
                                   "%d events, late money and failed refunds in those events; "
                                   "--deep looks at every "
                                   "payment",
                                   CFA__DOCTOR_EVENTS_MAX));
    return CFA_OK;
}

cfa_status cfa__examine_conflicts(cfa__examination *examination) {
    if (!examination->deep)
        return examine_newest(examination);
    cfa__payment key;
    memset(&key, 0, sizeof key);
    for (;;) {
        cfa_query query = { .kind = &cfa__payment_kind,
                            .flags = CFA_QUERY_AFTER,
                            .limit = CFA__DOCTOR_PAGE,
                            .key = &key };
        cfa_status status = cfa__examine_page(examination, &query);
        for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
            note_conflict(examination, query.records[i]);
            note_spent(examination, query.records[i]);
            status = note_held(examination, query.records[i]);
            if (status == CFA_OK)
                status = note_failed(examination, query.records[i]);
        }
        if (status != CFA_OK || query.count < CFA__DOCTOR_PAGE)
            return status;
        key.id = ((const cfa__payment *)query.records[query.count - 1])->id;
    }
}
