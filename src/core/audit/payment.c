/*
 * payment.c - every payment with the rows below it, in one pass: all the tables are in the order of
 * payments' ids, or have an index that is, so they are merged. Of one campaign, payment by payment.
 */
#include "core/audit/fold.h"

#include <string.h>

/* What stands below a payment, in the order in which it is taken in. */
static const struct {
    const cfa_kind *kind;
    int32_t index;
    size_t payment_id; /* offset */
} below[] = {
    { &cfa__transition_kind, 0, offsetof(cfa__transition, payment_id) },
    { &cfa__operation_kind, 0, offsetof(cfa__operation, payment_id) },
    { &cfa__refund_kind, CFA__REFUND_BY_PAYMENT, offsetof(cfa__refund, payment_id) },
    { &cfa__dispute_kind, CFA__DISPUTE_BY_PAYMENT, offsetof(cfa__dispute, payment_id) },
    { &cfa__webhook_kind, CFA__WEBHOOK_BY_PAYMENT, offsetof(cfa__webhook, payment_id) },
    { &cfa__contribution_kind, 0, offsetof(cfa__contribution, payment_id) },
};
#define BELOW (sizeof below / sizeof below[0])

static cfa__id payment_of(size_t which, const void *record) {
    cfa__id id;
    memcpy(&id, (const char *)record + below[which].payment_id, sizeof id);
    return id;
}

/* A contribution counts in its total, whoever it is of. */
static void take_orphan(cfa__audit *audit, size_t which, cfa__id id, const void *record) {
    cfa__audit_no_payment(audit, id);
    if (below[which].kind == &cfa__contribution_kind)
        cfa__fold_add(audit, record);
    else
        cfa__feed(audit, below[which].kind, record);
}

/* Take the rows of this payment; those of a smaller id have none. NULL: all that are left. */
static cfa_status take_rows(cfa__fold *fold, cfa__audit *audit, cfa__stream *stream, size_t which,
                            const cfa__payment *payment) {
    for (;;) {
        const void *record;
        cfa_status status = cfa__stream_peek(stream, &record);
        if (status != CFA_OK || record == NULL)
            return status;
        cfa__id id = payment_of(which, record);
        int order = payment == NULL ? -1 : cfa__id_compare(id, payment->id);
        if (order > 0)
            return CFA_OK;
        if (order < 0)
            take_orphan(audit, which, id, record);
        else
            status = cfa__fold_take(fold, below[which].kind, record);
        if (status != CFA_OK)
            return status;
        if (which != BELOW - 1 || order < 0)
            cfa__stream_skip(stream);
        else
            return CFA_OK; /* the contribution is looked at until the end */
    }
}

static cfa_status take_payment(cfa__audit *audit, cfa__stream *streams,
                               const cfa__payment *payment) {
    cfa__fold fold;
    cfa_status status = CFA_OK;
    cfa__fold_begin(&fold, audit, payment);
    for (size_t i = 0; i < BELOW && status == CFA_OK; i++)
        status = take_rows(&fold, audit, &streams[i], i, payment);
    if (status != CFA_OK)
        return status;
    cfa__fold_end(&fold);
    if (fold.contribution != NULL)
        cfa__stream_skip(&streams[BELOW - 1]);
    return audit->status;
}

static cfa_status open_below(cfa__audit *audit, cfa__stream *streams, const cfa__payment *payment) {
    cfa_status status = CFA_OK;
    for (size_t i = 0; i < BELOW && status == CFA_OK; i++) {
        cfa__any_record key;
        memset(&key, 0, sizeof key);
        if (payment != NULL)
            memcpy((char *)&key + below[i].payment_id, &payment->id, sizeof payment->id);
        status = cfa__stream_open(&streams[i], audit, below[i].kind, below[i].index,
                                  payment != NULL ? 1 : 0, &key);
    }
    return status;
}

static void close_below(cfa__stream *streams) {
    for (size_t i = 0; i < BELOW; i++)
        cfa__stream_close(&streams[i]);
}

static cfa_status take_all(cfa__audit *audit) {
    cfa__stream payments, streams[BELOW];
    const void *record = NULL;
    memset(streams, 0, sizeof streams);
    cfa_status status = cfa__stream_open(&payments, audit, &cfa__payment_kind, 0, 0, NULL);
    if (status == CFA_OK)
        status = open_below(audit, streams, NULL);
    while (status == CFA_OK) {
        status = cfa__stream_peek(&payments, &record);
        if (status != CFA_OK || record == NULL)
            break;
        cfa__feed(audit, &cfa__payment_kind, record);
        status = take_payment(audit, streams, record);
        cfa__stream_skip(&payments);
    }
    for (size_t i = 0; i < BELOW && status == CFA_OK; i++)
        status = take_rows(NULL, audit, &streams[i], i, NULL);
    close_below(streams);
    cfa__stream_close(&payments);
    return status;
}

/* ---- one campaign ---------------------------------------------------------------------------- */

static cfa_status take_pledge(cfa__audit *audit, cfa_arena *arena, const cfa__pledge *pledge) {
    cfa__stream streams[BELOW];
    const void *payment;
    memset(streams, 0, sizeof streams);
    cfa_arena_reset(arena);
    cfa_status status =
        cfa__audit_get_id(audit, arena, &cfa__payment_kind, pledge->payment_id, &payment);
    if (status != CFA_OK)
        return status;
    if (payment == NULL) {
        cfa__audit_no_payment(audit, pledge->payment_id);
        return CFA_OK;
    }
    audit->rows[cfa__payment_kind.id]++;
    status = open_below(audit, streams, payment);
    if (status == CFA_OK)
        status = take_payment(audit, streams, payment);
    close_below(streams);
    return status;
}

static cfa_status take_campaign(cfa__audit *audit) {
    cfa__stream pledges;
    cfa_arena *arena;
    const void *record = NULL;
    cfa__pledge key;
    memset(&key, 0, sizeof key);
    key.campaign_id = audit->campaign_id;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    status = cfa__stream_open(&pledges, audit, &cfa__pledge_kind, CFA__PLEDGE_BY_CAMPAIGN, 1, &key);
    while (status == CFA_OK) {
        status = cfa__stream_peek(&pledges, &record);
        if (status != CFA_OK || record == NULL)
            break;
        status = take_pledge(audit, arena, record);
        cfa__stream_skip(&pledges);
    }
    cfa__stream_close(&pledges);
    cfa_arena_free(arena);
    return status;
}

cfa_status cfa__audit_payments(cfa__audit *audit) {
    return cfa__id_is_null(audit->campaign_id) ? take_all(audit) : take_campaign(audit);
}
