/*
 * api/pledge_read.c - pledges read from snapshots: by id, by the key that made them, by campaign.
 */
#include "core/api/pledge.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.pledge"

cfa_status cfa__pledge_read_parts(cfa__pledge_parts *out, cfa_engine *engine, cfa__reader *reader,
                                  cfa__id pledge_id) {
    const void *pledge, *payment, *answer, *donor = NULL;
    cfa_status status = cfa__read_id(engine, reader, &cfa__pledge_kind, pledge_id, &pledge);
    if (status == CFA_OK && pledge == NULL)
        status = cfa_error_set(CFA_ENOTFOUND, ORIGIN, "pledge_id", 0, "there is no such pledge");
    if (status != CFA_OK)
        return status;
    const cfa__pledge *record = pledge;
    status = cfa__read_id(engine, reader, &cfa__payment_kind, record->payment_id, &payment);
    if (status == CFA_OK)
        status = cfa__read_id(engine, reader, &cfa__answer_kind, pledge_id, &answer);
    if (status == CFA_OK && !cfa__id_is_null(record->donor_id))
        status = cfa__read_id(engine, reader, &cfa__donor_kind, record->donor_id, &donor);
    int64_t position = 0;
    if (status == CFA_OK)
        status = cfa__log_position(engine, reader, &position);
    if (status != CFA_OK)
        return status;
    if (payment == NULL)
        return cfa_error_set(CFA_ECORRUPT, ORIGIN, "pledge_id", 0, "the pledge has no payment");
    *out = (cfa__pledge_parts){ pledge, payment, donor, answer, false, position };
    return CFA_OK;
}

cfa_status cfa__pledge_read(cfa_pledge **out, cfa_engine *engine, cfa__id pledge_id, bool answering,
                            bool replayed, int64_t deadline_us) {
    cfa__reader *reader;
    cfa_status status = cfa__read_begin(&reader, engine, deadline_us);
    if (status != CFA_OK)
        return status;
    cfa__pledge_parts parts;
    status = cfa__pledge_read_parts(&parts, engine, reader, pledge_id);
    if (status == CFA_OK) {
        parts.replayed = replayed;
        if (!answering)
            parts.answer = NULL;
        status = cfa__pledge_snapshot(out, &parts);
    }
    cfa__read_end(engine, reader);
    return status;
}

cfa_status cfa_pledge_get(cfa_pledge **out, cfa_engine *engine, const char *pledge_id) {
    cfa__id id;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = cfa__id_parse(&id, "plg", pledge_id, "pledge_id");
    return status == CFA_OK
               ? cfa__pledge_read(out, engine, id, false, false, cfa__deadline_us(engine, 0))
               : status;
}

/* Find what a key made in a snapshot, in the order of `cfa__key_resolve`. */
static cfa_status find_key(cfa_engine *engine, cfa__reader *reader, const cfa__keyed *keyed,
                           cfa__id *out_resource, int64_t *out_command) {
    cfa__key key;
    cfa__book book_key;
    memset(&key, 0, sizeof key);
    memset(&book_key, 0, sizeof book_key);
    key.digest = keyed->digest;
    key.scope_hash = keyed->scope_hash;
    book_key.id = 1;
    const void *found, *book;
    cfa_status status = cfa__read_record(engine, reader, &cfa__key_kind, &key, &found);
    if (status == CFA_OK && found != NULL) {
        *out_resource = ((const cfa__key *)found)->resource_id;
        *out_command = ((const cfa__key *)found)->command;
        return CFA_OK;
    }
    if (status == CFA_OK)
        status = cfa__read_record(engine, reader, &cfa__book_kind, &book_key, &book);
    if (status != CFA_OK)
        return status;
    assert(book != NULL);
    for (int64_t back = 0; back < 2; back++) {
        cfa__key_recent recent;
        memset(&recent, 0, sizeof recent);
        recent.generation = ((const cfa__book *)book)->key_generation - back;
        recent.digest = keyed->digest;
        recent.scope_hash = keyed->scope_hash;
        status = cfa__read_record(engine, reader, &cfa__key_recent_kind, &recent, &found);
        if (status != CFA_OK)
            return status;
        if (found != NULL) {
            *out_resource = ((const cfa__key_recent *)found)->resource_id;
            *out_command = ((const cfa__key_recent *)found)->command;
            return CFA_OK;
        }
    }
    return cfa_error_set(CFA_ENOTFOUND, ORIGIN, "key", 0, "no pledge was made with this key");
}

cfa_status cfa_pledge_find(cfa_pledge **out, cfa_engine *engine, const char *scope,
                           const char *key) {
    cfa__keyed keyed;
    cfa__reader *reader;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = cfa__keyed_find(&keyed, engine, scope, key);
    if (status == CFA_OK)
        status = cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status != CFA_OK)
        return status;
    cfa__id resource = CFA__ID_NULL;
    int64_t command = 0;
    status = find_key(engine, reader, &keyed, &resource, &command);
    if (status == CFA_OK && command != CFA__KEYED_PLEDGE_CREATE)
        status =
            cfa_error_set(CFA_ENOTFOUND, ORIGIN, "key", 0, "the key was used for something else");
    cfa__pledge_parts parts;
    if (status == CFA_OK)
        status = cfa__pledge_read_parts(&parts, engine, reader, resource);
    if (status == CFA_OK) {
        parts.replayed = true;
        status = cfa__pledge_snapshot(out, &parts);
    }
    cfa__read_end(engine, reader);
    return status;
}

cfa_status cfa__pledge_page_read(cfa_pledge **out_items, size_t *out_count, bool *out_more,
                                 cfa_engine *engine, cfa__id campaign_id, cfa__id after,
                                 int32_t limit) {
    cfa__reader *reader;
    cfa_status status = cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status != CFA_OK)
        return status;
    cfa__pledge key;
    memset(&key, 0, sizeof key);
    key.campaign_id = campaign_id;
    key.id = after;
    cfa_query query = { .kind = &cfa__pledge_kind,
                        .index = CFA__PLEDGE_BY_CAMPAIGN,
                        .match_count = 1,
                        .flags = CFA_QUERY_AFTER,
                        .limit = limit + 1,
                        .key = &key };
    status = cfa__read_queries(engine, reader, &query, 1);
    *out_count = 0;
    *out_more = status == CFA_OK && query.count > limit;
    for (int32_t i = 0; status == CFA_OK && i < query.count && i < limit; i++) {
        cfa__pledge_parts parts;
        status = cfa__pledge_read_parts(&parts, engine, reader,
                                        ((const cfa__pledge *)query.records[i])->id);
        if (status == CFA_OK) {
            parts.answer = NULL;
            status = cfa__pledge_snapshot(&out_items[i], &parts);
        }
        if (status == CFA_OK)
            ++*out_count;
    }
    cfa__read_end(engine, reader);
    return status;
}
