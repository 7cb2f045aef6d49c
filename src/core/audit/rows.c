/*
 * rows.c - what stands beside the payments: pledges with their answers, keys, donors, webhooks, and
 * provider's objects with the webhooks that waited for them.
 */
#include "core/audit/audit.h"

#include <careforall/payment.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/decide/evidence.h"
#include "util/buffer.h"

/* ---- pledges and their answers --------------------------------------------------------------- */

static cfa_status check_answer(cfa__audit *audit, const cfa__pledge *pledge,
                               const cfa__answer *answer) {
    cfa_slice head;
    cfa__buffer json;
    cfa__place place = cfa__place_of("plg", pledge->id);
    place.payment_id = pledge->payment_id;
    cfa_arena_reset(audit->scratch);
    cfa__buffer_init(&json, audit->scratch, 256);
    cfa__answer_head(&json, pledge);
    cfa_status status = cfa__buffer_finish(&json, &head);
    if (status == CFA_OK &&
        (answer->body.size < head.size || memcmp(answer->body.data, head.data, head.size) != 0)) {
        char found[CFA__AUDIT_TEXT_SIZE];
        snprintf(found, sizeof found, "%.*s",
                 (int)(answer->body.size < sizeof found ? answer->body.size : sizeof found - 1),
                 answer->body.size > 0 ? (const char *)answer->body.data : "");
        cfa__audit_texts(audit, CFA__AUDIT_ANSWER_DIFFERS, &place, "body", head.data, found);
    }
    return status;
}

/* Take the answers up to this pledge's; NULL: all that are left. */
static cfa_status take_answers(cfa__audit *audit, cfa__stream *answers, const cfa__pledge *pledge) {
    for (;;) {
        const void *record;
        cfa_status status = cfa__stream_peek(answers, &record);
        if (status != CFA_OK || record == NULL)
            return status;
        const cfa__answer *answer = record;
        int order = pledge == NULL ? -1 : cfa__id_compare(answer->pledge_id, pledge->id);
        if (order > 0)
            return CFA_OK;
        cfa__place place = cfa__place_of("plg", answer->pledge_id);
        if (order < 0)
            cfa__audit_texts(audit, CFA__AUDIT_ANSWER_STRAY, &place, NULL, "its pledge", "none");
        else
            status = check_answer(audit, pledge, answer);
        if (status != CFA_OK)
            return status;
        cfa__stream_skip(answers);
    }
}

static void note_persons(cfa__audit *audit, const cfa__place *place, cfa__id expected,
                         cfa__id found) {
    char texts[2][CFA_ID_TEXT_SIZE];
    cfa__id_format(texts[0], "dnr", expected);
    cfa__id_format(texts[1], "dnr", found);
    cfa__audit_texts(audit, CFA__AUDIT_DONOR_PERSON, place, "person_id", texts[0], texts[1]);
}

/* Of which person the payment is: as its contribution row says, which is compared with it, else as
 * it says itself. */
static cfa_status person_of(cfa__audit *audit, const cfa_query *contribution, cfa__id payment_id,
                            cfa__id *out) {
    const void *found = NULL;
    cfa_status status = CFA_OK;
    *out = CFA__ID_NULL;
    if (contribution->count == 1)
        *out = ((const cfa__contribution *)contribution->records[0])->person_id;
    else
        status = cfa__audit_get_id(audit, audit->scratch, &cfa__payment_kind, payment_id, &found);
    if (found != NULL)
        *out = ((const cfa__payment *)found)->person_id;
    return status;
}

/* A page of pledges: the row with the personal data is of the same person as the payment. */
static cfa_status check_persons(cfa__audit *audit, void *const *pledges, int32_t count) {
    cfa__any_record keys[2 * CFA__AUDIT_PAGE];
    cfa_query queries[2 * CFA__AUDIT_PAGE];
    size_t used = 0;
    assert(count <= CFA__AUDIT_PAGE);
    for (int32_t i = 0; i < count; i++) {
        const cfa__pledge *pledge = pledges[i];
        if (cfa__id_is_null(pledge->donor_id))
            continue;
        keys[used].donor.id = pledge->donor_id;
        keys[used + 1].contribution.payment_id = pledge->payment_id;
        for (size_t at = used; at < used + 2; at++)
            queries[at] =
                (cfa_query){ .kind = at == used ? &cfa__donor_kind : &cfa__contribution_kind,
                             .match_count = 1,
                             .limit = 1,
                             .key = &keys[at] };
        used += 2;
    }
    cfa_arena_reset(audit->scratch);
    cfa_status status =
        used == 0 ? CFA_OK
                  : audit->storage->ops->load(audit->session, queries, used, audit->scratch);
    for (size_t i = 0; status == CFA_OK && i < used; i += 2) {
        cfa__id person_id;
        if (queries[i].count == 0)
            continue; /* these sets are compared elsewhere, as is the other one */
        const cfa__donor *donor = queries[i].records[0];
        cfa__place place = cfa__place_of("dnr", donor->id);
        place.payment_id = keys[i + 1].contribution.payment_id;
        status = person_of(audit, &queries[i + 1], place.payment_id, &person_id);
        if (status == CFA_OK && !cfa__id_is_null(person_id) &&
            cfa__id_compare(donor->person_id, person_id) != 0)
            note_persons(audit, &place, person_id, donor->person_id);
    }
    return status == CFA_OK ? audit->status : status;
}

static cfa_status take_pledges(cfa__audit *audit) {
    cfa__stream pledges, answers = { 0 };
    const void *record = NULL;
    cfa_status status = cfa__stream_open(&pledges, audit, &cfa__pledge_kind, 0, 0, NULL);
    if (status == CFA_OK)
        status = cfa__stream_open(&answers, audit, &cfa__answer_kind, 0, 0, NULL);
    while (status == CFA_OK) {
        status = cfa__stream_peek(&pledges, &record);
        if (status != CFA_OK || record == NULL)
            break;
        if (pledges.at == 0)
            status = check_persons(audit, pledges.records, pledges.count);
        if (status != CFA_OK)
            break;
        cfa__feed(audit, &cfa__pledge_kind, record);
        status = take_answers(audit, &answers, record);
        cfa__stream_skip(&pledges);
    }
    if (status == CFA_OK)
        status = take_answers(audit, &answers, NULL);
    cfa__stream_close(&answers);
    cfa__stream_close(&pledges);
    return status;
}

/* ---- rows of one kind ------------------------------------------------------------------------ */

static void check_webhook(cfa__audit *audit, const cfa__webhook *row) {
    bool bound = !cfa__id_is_null(row->payment_id);
    bool wants = row->verdict == CFA_WEBHOOK_APPLIED || row->verdict == CFA_WEBHOOK_STALE ||
                 row->verdict == CFA_WEBHOOK_CONTRADICTION;
    bool waits = row->verdict == CFA_WEBHOOK_PARKED;
    cfa__place place = cfa__place_of("whk", row->id);
    place.payment_id = row->payment_id;
    if ((wants && !bound) || (waits && bound))
        cfa__audit_texts(audit, CFA__AUDIT_WEBHOOK_PAYMENT, &place, "payment_id",
                         wants ? "a payment" : "none while it waits", wants ? "none" : "one");
}

static cfa_status take_kind(cfa__audit *audit, const cfa_kind *kind) {
    cfa__stream stream;
    const void *record = NULL;
    cfa_status status = cfa__stream_open(&stream, audit, kind, 0, 0, NULL);
    if (kind == &cfa__webhook_kind)
        audit->rows[kind->id] = 0; /* read by payment before; those without one are new */
    while (status == CFA_OK) {
        status = cfa__stream_peek(&stream, &record);
        if (status != CFA_OK || record == NULL)
            break;
        if (kind == &cfa__webhook_kind)
            check_webhook(audit, record);
        else
            cfa__feed(audit, kind, record);
        status = audit->status;
        cfa__stream_skip(&stream);
    }
    cfa__stream_close(&stream);
    return status;
}

/* ---- provider's objects ---------------------------------------------------------------------- */

static int compare_text(cfa_slice a, cfa_slice b) {
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size > 0 ? memcmp(a.data, b.data, size) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_object(const cfa__parked *parked, const cfa__provider_object *object) {
    int order = compare_text(parked->provider, object->provider);
    if (order == 0)
        order = compare_text(parked->account, object->account);
    return order != 0 ? order : compare_text(parked->ref, object->ref);
}

static cfa__place place_of_ref(cfa__audit *audit, cfa_slice ref) {
    cfa__place place = cfa__place_of(NULL, CFA__ID_NULL);
    place.text = ref.data != NULL ? cfa_arena_copy(audit->scratch, ref.data, ref.size) : "";
    if (place.text == NULL)
        audit->status = CFA_ENOMEM;
    return place;
}

/* `*out_waiting_us` is set when this is the oldest that waits for the object. */
static cfa_status check_parked(cfa__audit *audit, const cfa__parked *parked,
                               const cfa__provider_object *object, int64_t *out_waiting_us) {
    const cfa__webhook key = cfa__webhook_key(parked);
    const void *found;
    cfa_status status = cfa__audit_get(audit, audit->scratch, &cfa__webhook_kind, &key, &found);
    if (status != CFA_OK)
        return status;
    const cfa__webhook *webhook = found;
    cfa__place place = place_of_ref(audit, parked->event_id);
    bool drained = object != NULL && parked->number <= object->drained_count;
    if (webhook == NULL)
        cfa__audit_texts(audit, CFA__AUDIT_PARKED_WEBHOOK, &place, "event_id", "the webhook",
                         "none");
    else if (drained == (webhook->verdict == CFA_WEBHOOK_PARKED))
        cfa__audit_texts(audit, CFA__AUDIT_PARKED_WEBHOOK, &place, "verdict",
                         drained ? "one of its payment" : "PARKED",
                         cfa_webhook_verdict_name((cfa_webhook_verdict)webhook->verdict));
    if (object != NULL && parked->number == object->drained_count + 1)
        *out_waiting_us = webhook != NULL ? webhook->received_us : object->waiting_us;
    return CFA_OK;
}

/* Take the webhooks that waited for this object; NULL: all that are left. */
static cfa_status take_parked(cfa__audit *audit, cfa__stream *stream,
                              const cfa__provider_object *object) {
    int64_t count = 0, waiting_us = 0;
    cfa_status status = CFA_OK;
    cfa_arena_reset(audit->scratch);
    for (;;) {
        const void *record;
        status = cfa__stream_peek(stream, &record);
        if (status != CFA_OK || record == NULL)
            break;
        const cfa__parked *parked = record;
        int order = object == NULL ? -1 : compare_object(parked, object);
        if (order > 0)
            break;
        cfa__place place = place_of_ref(audit, parked->ref);
        if (order < 0)
            cfa__audit_texts(audit, CFA__AUDIT_PARKED_COUNT, &place, NULL, "the object", "none");
        else
            cfa__audit_compare(audit, CFA__AUDIT_PARKED_COUNT, &place, "number", count + 1,
                               parked->number);
        count = parked->number;
        status = check_parked(audit, parked, order < 0 ? NULL : object, &waiting_us);
        if (status != CFA_OK)
            break;
        cfa__stream_skip(stream);
    }
    bool differs = object != NULL && (count != object->parked_count ||
                                      (audit->filled && waiting_us != object->waiting_us));
    if (status == CFA_OK && differs) {
        cfa__place place = place_of_ref(audit, object->ref);
        place.payment_id = object->payment_id;
        if (!cfa__audit_compare(audit, CFA__AUDIT_PARKED_COUNT, &place, "parked_count", count,
                                object->parked_count))
            cfa__audit_numbers(audit, CFA__AUDIT_PARKED_WAITING, &place, "waiting_us", waiting_us,
                               object->waiting_us);
    }
    return status;
}

static cfa_status take_objects(cfa__audit *audit) {
    cfa__stream objects, parked = { 0 };
    const void *record = NULL;
    cfa_status status = cfa__stream_open(&objects, audit, &cfa__provider_object_kind, 0, 0, NULL);
    if (status == CFA_OK)
        status = cfa__stream_open(&parked, audit, &cfa__parked_kind, 0, 0, NULL);
    while (status == CFA_OK) {
        status = cfa__stream_peek(&objects, &record);
        if (status != CFA_OK || record == NULL)
            break;
        cfa__feed(audit, &cfa__provider_object_kind, record);
        status = take_parked(audit, &parked, record);
        if (status == CFA_OK)
            status = audit->status;
        cfa__stream_skip(&objects);
    }
    if (status == CFA_OK)
        status = take_parked(audit, &parked, NULL);
    cfa__stream_close(&parked);
    cfa__stream_close(&objects);
    return status;
}

cfa_status cfa__audit_rows(cfa__audit *audit) {
    static const cfa_kind *const kinds[] = {
        &cfa__key_kind,     &cfa__key_recent_kind, &cfa__donor_kind,
        &cfa__breaker_kind, &cfa__webhook_kind,
    };
    cfa_status status = take_pledges(audit);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && status == CFA_OK; i++)
        status = take_kind(audit, kinds[i]);
    return status == CFA_OK ? take_objects(audit) : status;
}
