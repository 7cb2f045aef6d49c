/*
 * event.c - events as their final bytes. No personal data: ids, states and amounts only.
 */
#include "core/decide/event_id.h"
#include "core/decide/evidence.h"
#include "core/decide/payment_machine.h"
#include "core/decide/reversal_machine.h"
#include "util/buffer.h"

#include <assert.h>
#include <string.h>

/* An event's id follows from its subject and sequence, so that deciding again gives the same; its
 * time part keeps ids in the order of time. */
cfa__id cfa__event_id(int64_t now_us, cfa__id subject, int64_t sequence) {
    uint8_t random[10];
    memcpy(random, subject.bytes + 6, sizeof random);
    uint64_t spread = (uint64_t)sequence * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < 8; i++)
        random[i + 2] = (uint8_t)(random[i + 2] ^ (uint8_t)(spread >> (i * 8)));
    return cfa__id_make(now_us, random);
}

static cfa_status append(cfa__working_set *set, cfa__event_type type, const cfa_kind *subject_kind,
                         cfa__id subject, int64_t sequence, cfa_slice trace, cfa_slice payload) {
    assert(sequence > 0 && payload.size > 0 && payload.size <= CFA_EVENT_BYTES_MAX);
    cfa__event event = {
        .id = cfa__event_id(cfa__now_us(set), subject, sequence),
        .type = type,
        .subject_kind = subject_kind->id,
        .subject_id = subject,
        .sequence = sequence,
        .created_us = cfa__now_us(set),
        .trace = trace,
        .payload = payload,
    };
    return cfa__append_event(set, &event);
}

static void write_id(cfa__buffer *buffer, const char *name, const char *prefix, cfa__id id) {
    char text[CFA_ID_TEXT_SIZE];
    cfa__id_format(text, prefix, id);
    cfa__json_text(buffer, name, text);
}

static void write_refund(cfa__buffer *json, const cfa__refund *refund) {
    cfa__json_open(json, "refund", '{');
    write_id(json, "refund_id", "rfd", refund->id);
    cfa__json_text(json, "state", cfa_refund_state_name((cfa_refund_state)refund->state));
    cfa__json_int(json, "amount_minor", refund->amount_minor);
    cfa__json_int(json, "origin", refund->origin);
    if (refund->failure_code.data != NULL)
        cfa__json_slice(json, "failure_code", refund->failure_code);
    cfa__json_close(json, '}');
}

static void write_fee(cfa__buffer *json, int64_t minor, const char *currency) {
    if (minor == 0)
        return;
    cfa__json_open(json, "fee", '{');
    cfa__json_int(json, "minor", minor);
    cfa__json_text(json, "currency", currency);
    cfa__json_close(json, '}');
}

static void write_dispute(cfa__buffer *json, const cfa__dispute *dispute) {
    cfa__json_open(json, "dispute", '{');
    write_id(json, "dispute_id", "dsp", dispute->id);
    cfa__json_text(json, "state", cfa_dispute_state_name((cfa_dispute_state)dispute->state));
    cfa__json_int(json, "amount_minor", dispute->amount_minor);
    cfa__json_int(json, "withdrawn_minor", dispute->withdrawn_minor);
    cfa__json_int(json, "reinstated_minor", dispute->reinstated_minor);
    write_fee(json, dispute->fee_minor, dispute->fee_currency);
    if (dispute->reason.data != NULL)
        cfa__json_slice(json, "reason", dispute->reason);
    cfa__json_close(json, '}');
}

cfa_status cfa__emit_payment(cfa__working_set *set, cfa__payment *payment, cfa__event_type type) {
    return cfa__emit_reversal(set, payment, type, NULL, NULL);
}

cfa_status cfa__emit_reversal(cfa__working_set *set, cfa__payment *payment, cfa__event_type type,
                              const cfa__refund *refund, const cfa__dispute *dispute) {
    payment->sequence++;
    cfa__buckets buckets = cfa__payment_buckets(payment);
    cfa__buffer json;
    cfa__buffer_init(&json, cfa__batch_arena(set), 640);
    cfa__json_open(&json, NULL, '{');
    write_id(&json, "payment_id", "pay", payment->id);
    write_id(&json, "pledge_id", "plg", payment->pledge_id);
    write_id(&json, "campaign_id", "cmp", payment->campaign_id);
    write_id(&json, "donor_id", "dnr", payment->person_id);
    cfa__json_text(&json, "state", cfa_payment_state_name((cfa_payment_state)payment->state));
    cfa__json_text(&json, "currency", payment->currency);
    cfa__json_int(&json, "amount_minor", payment->amount_minor);
    cfa__json_int(&json, "pledged_us", payment->created_us);
    if (payment->failure_code.data != NULL)
        cfa__json_slice(&json, "failure_code", payment->failure_code);
    if (refund != NULL)
        write_refund(&json, refund);
    if (dispute != NULL)
        write_dispute(&json, dispute);
    if (type == CFA__EVENT_PAYMENT_FEE_RECORDED)
        write_fee(&json, payment->fee_minor, payment->fee_currency);
    cfa__json_open(&json, "contribution", '{');
    cfa__json_int(&json, "state_code", payment->state);
    cfa__json_int(&json, "pledged_minor", buckets.pledged_minor);
    cfa__json_int(&json, "authorized_minor", buckets.authorized_minor);
    cfa__json_int(&json, "raised_minor", buckets.raised_minor);
    cfa__json_int(&json, "refunded_minor", buckets.refunded_minor);
    cfa__json_int(&json, "disputed_minor", buckets.disputed_minor);
    cfa__json_close(&json, '}');
    cfa__json_close(&json, '}');
    cfa_slice payload;
    cfa_status status = cfa__buffer_finish(&json, &payload);
    if (status != CFA_OK)
        return status;
    return append(set, type, &cfa__payment_kind, payment->id, payment->sequence, payment->trace,
                  payload);
}

cfa_status cfa__emit_campaign(cfa__working_set *set, cfa__campaign *campaign,
                              cfa__event_type type) {
    campaign->sequence++;
    cfa__buffer json;
    cfa__buffer_init(&json, cfa__batch_arena(set), 512);
    cfa__json_open(&json, NULL, '{');
    write_id(&json, "campaign_id", "cmp", campaign->id);
    cfa__json_slice(&json, "title", campaign->title);
    cfa__json_slice(&json, "currencies", campaign->currencies);
    cfa__json_text(&json, "state", cfa_campaign_state_name((cfa_campaign_state)campaign->state));
    cfa__json_int(&json, "goal_minor", campaign->goal_minor);
    cfa__json_text(&json, "goal_currency",
                   campaign->goal_currency[0] ? campaign->goal_currency : NULL);
    cfa__json_int(&json, "deadline_us", campaign->deadline_us);
    cfa__json_close(&json, '}');
    cfa_slice payload, none = { NULL, 0 };
    cfa_status status = cfa__buffer_finish(&json, &payload);
    if (status != CFA_OK)
        return status;
    return append(set, type, &cfa__campaign_kind, campaign->id, campaign->sequence, none, payload);
}

cfa_status cfa__emit_breaker(cfa__working_set *set, cfa__breaker *breaker, cfa__event_type type) {
    breaker->sequence++;
    cfa__buffer json;
    cfa__buffer_init(&json, cfa__batch_arena(set), 256);
    cfa__json_open(&json, NULL, '{');
    cfa__json_slice(&json, "provider", breaker->provider);
    cfa__json_slice(&json, "account", breaker->account);
    cfa__json_text(&json, "state", cfa__breaker_state_name(breaker->state));
    cfa__json_int(&json, "opened_us", breaker->opened_us);
    cfa__json_int(&json, "retry_us", breaker->retry_us);
    cfa__json_close(&json, '}');
    cfa_slice payload, none = { NULL, 0 };
    cfa_status status = cfa__buffer_finish(&json, &payload);
    if (status != CFA_OK)
        return status;
    return append(set, type, &cfa__breaker_kind, breaker->id, breaker->sequence, none, payload);
}

cfa_status cfa__read_head(cfa__working_set *set, int64_t *out_position) {
    cfa__event key;
    memset(&key, 0, sizeof key);
    cfa_query query = {
        .kind = &cfa__event_kind, .flags = CFA_QUERY_DESCENDING, .limit = 1, .key = &key
    };
    cfa_status status = cfa__list(set, &query);
    if (status == CFA_OK)
        *out_position = query.count == 1 ? ((const cfa__event *)query.records[0])->position : 0;
    return status;
}

cfa_status cfa__staged_drain(cfa__working_set *set, int32_t *out_count) {
    cfa__staged key;
    memset(&key, 0, sizeof key);
    cfa_query query = { .kind = &cfa__staged_kind, .limit = CFA__STAGED_ROWS_MAX, .key = &key };
    cfa_status status = cfa__list(set, &query);
    if (status != CFA_OK)
        return status;
    *out_count = query.count;
    bool missed = false;
    for (int32_t i = 0; i < query.count; i++) {
        const void *found;
        status = cfa__find(set, &cfa__staged_kind, query.records[i], &found);
        if (status < 0)
            return status;
        missed = missed || status == CFA__MISS;
    }
    for (int32_t i = 0; i < query.count && !missed && status == CFA_OK; i++) {
        const cfa__staged *staged = query.records[i];
        cfa__event event = {
            .id = staged->id,
            .type = staged->type,
            .subject_kind = staged->subject_kind,
            .subject_id = staged->subject_id,
            .sequence = staged->sequence,
            .created_us = staged->created_us,
            .trace = staged->trace,
            .payload = staged->payload,
        };
        status = cfa__append_event(set, &event);
        if (status == CFA_OK)
            status = cfa__remove(set, &cfa__staged_kind, staged);
    }
    return missed ? CFA__MISS : status;
}
