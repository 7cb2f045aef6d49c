/*
 * doctor_parked.c - webhooks that wait for an object which nobody here knows. Most of them found it
 * within seconds; what still waits after an hour is money that the book does not know, or is not
 * ours.
 */
#include <string.h>

#include "core/decide/evidence.h"
#include "core/decide/facts.h"
#include "core/explain/doctor.h"

#define PARKED_GRAVE_US CFA__DAY_US
#define OPERATIONS_MAX 8

/* NULL when no more are listed. */
static const char *object_text(cfa__examination *examination, cfa_slice ref) {
    if (examination->findings[CFA__AILMENT_WEBHOOK_PARKED].id_count == CFA_FINDING_IDS_MAX)
        return NULL;
    return cfa__document_text(examination->texts, ref);
}

/* The payment that the webhook names, if it is ours: its open calls end the waiting. */
static cfa_status note_targets(cfa__examination *examination, const char *object,
                               const cfa__webhook *webhook, int64_t age_us) {
    cfa_facts facts;
    cfa__id payment_id;
    cfa__lease_item item;
    bool named = webhook->facts.data != NULL &&
                 cfa__facts_decode(&facts, examination->scratch, webhook->facts) == CFA_OK &&
                 facts.payment_id != NULL &&
                 cfa__id_parse(&payment_id, "pay", facts.payment_id, "payment_id") == CFA_OK;
    if (!named) {
        cfa__found(examination, CFA__AILMENT_WEBHOOK_PARKED, object, age_us, NULL);
        return CFA_OK;
    }
    cfa__operation key;
    memset(&key, 0, sizeof key);
    key.payment_id = payment_id;
    cfa_query query = {
        .kind = &cfa__operation_kind, .match_count = 1, .limit = OPERATIONS_MAX, .key = &key
    };
    cfa_status status = cfa__examine_load(examination, &query, 1);
    bool target = false;
    for (int32_t i = 0; status == CFA_OK && i < query.count && !target; i++) {
        const cfa__operation *operation = query.records[i];
        target = operation->due_us != 0;
        item = (cfa__lease_item){ payment_id, operation->number };
    }
    if (status == CFA_OK)
        cfa__found(examination, CFA__AILMENT_WEBHOOK_PARKED, object, age_us, target ? &item : NULL);
    return status;
}

static cfa_status note_waiting(cfa__examination *examination, const cfa__provider_object *object) {
    const cfa__parked key = cfa__parked_key(object);
    const void *found;
    cfa_status status = cfa__examine_record(examination, &cfa__parked_kind, &key, &found);
    if (status != CFA_OK || found == NULL)
        return status;
    const cfa__webhook webhook = cfa__webhook_key(found);
    status = cfa__examine_record(examination, &cfa__webhook_kind, &webhook, &found);
    if (status != CFA_OK || found == NULL)
        return status;
    int64_t age_us = examination->now_us - object->waiting_us;
    if (age_us > PARKED_GRAVE_US)
        cfa__found_grave(examination, CFA__AILMENT_WEBHOOK_PARKED);
    return note_targets(examination, object_text(examination, object->ref), found, age_us);
}

/* The index of what waits is filled by upkeep in a book that an earlier version made. */
static cfa_status note_unfilled(cfa__examination *examination) {
    const cfa__book *book;
    cfa_status status = cfa__examine_book_row(examination, &book);
    if (status == CFA_OK && book != NULL && book->filled < CFA__SCHEMA_VERSION)
        cfa__not_seen(examination,
                      cfa__document_format(
                          examination->texts, "%s",
                          "An earlier version made this book, and its oldest waiting webhooks are "
                          "still being listed: a running server does it"));
    return status;
}

/* The index holds only what waits, the oldest first. */
cfa_status cfa__examine_parked(cfa__examination *examination) {
    cfa_status unfilled = note_unfilled(examination);
    if (unfilled != CFA_OK)
        return unfilled;
    cfa__provider_object key;
    memset(&key, 0, sizeof key);
    key.provider = key.account = key.ref = cfa__slice("");
    for (int64_t seen = 0; examination->deep || seen < CFA__DOCTOR_PARKED_MAX;) {
        cfa_query query = { .kind = &cfa__provider_object_kind,
                            .index = CFA__OBJECT_BY_WAITING,
                            .flags = CFA_QUERY_AFTER | CFA_QUERY_UNTIL,
                            .limit = CFA__DOCTOR_PAGE,
                            .until = examination->now_us - CFA__WAITING_READ_US,
                            .key = &key };
        cfa_status status = cfa__examine_page(examination, &query);
        for (int32_t i = 0; status == CFA_OK && i < query.count; i++)
            status = note_waiting(examination, query.records[i]);
        if (status != CFA_OK || query.count < CFA__DOCTOR_PAGE)
            return status;
        /* The last row's text must outlive its page. */
        const cfa__provider_object *last = query.records[query.count - 1];
        bool failed = false;
        cfa_arena *arena = examination->reader->arena;
        key.waiting_us = last->waiting_us;
        key.provider = cfa__slice(cfa__text_of(arena, last->provider, &failed));
        key.account = cfa__slice(cfa__text_of(arena, last->account, &failed));
        key.ref = cfa__slice(cfa__text_of(arena, last->ref, &failed));
        if (failed)
            return CFA_ENOMEM;
        seen += query.count;
    }
    cfa__not_seen(examination, cfa__document_format(
                                   examination->texts,
                                   "Of the objects whose webhooks wait the %d oldest were read; "
                                   "--deep reads all",
                                   CFA__DOCTOR_PARKED_MAX));
    return CFA_OK;
}
