/*
 * acts.c - the audit log of persons' acts: each row against the hash of the one before it, the last
 * against the book's row.
 */
#include "core/audit/audit.h"

#include <string.h>

#include "core/decide/act.h"
#include "core/decide/evidence.h"

static void check_act(cfa__audit *audit, const cfa__book *book, const cfa__act *act,
                      int64_t expected_number, cfa_slice previous) {
    uint8_t hash[CFA__ACT_HASH_SIZE];
    cfa__place place = cfa__place_of(NULL, CFA__ID_NULL);
    place.text = "act";
    place.number = act->number;
    cfa__act_hash(hash, book->book_id, act);
    if (act->number != expected_number)
        cfa__audit_numbers(audit, CFA__AUDIT_ACT_CHAIN, &place, "number", expected_number,
                           act->number);
    else if (!cfa__slices_equal(act->previous_hash, previous))
        cfa__audit_texts(audit, CFA__AUDIT_ACT_CHAIN, &place, "previous_hash",
                         "the hash of the act before it", "another");
    else if (!cfa__slices_equal(act->hash, (cfa_slice){ hash, sizeof hash }))
        cfa__audit_texts(audit, CFA__AUDIT_ACT_CHAIN, &place, "hash", "the hash of the row",
                         "another");
}

cfa_status cfa__audit_acts(cfa__audit *audit) {
    cfa__stream stream;
    cfa__any_record key;
    const void *record = NULL;
    int64_t count = 0;
    uint8_t last[CFA__ACT_HASH_SIZE];
    cfa_slice previous = { NULL, 0 };
    memset(&key, 0, sizeof key);
    key.book.id = 1;
    cfa_status status = cfa__audit_get(audit, audit->arena, &cfa__book_kind, &key, &record);
    if (status != CFA_OK)
        return status;
    const cfa__book *book = record;
    cfa__place place = cfa__place_of(NULL, CFA__ID_NULL);
    place.text = "book";
    if (book == NULL) {
        cfa__audit_texts(audit, CFA__AUDIT_BOOK_MISSING, &place, NULL, "one row", "none");
        return CFA_OK;
    }
    audit->rows[cfa__book_kind.id] = 1;
    audit->filled = book->filled >= CFA__SCHEMA_VERSION;
    status = cfa__stream_open(&stream, audit, &cfa__act_kind, 0, 0, NULL);
    while (status == CFA_OK) {
        status = cfa__stream_peek(&stream, &record);
        if (status != CFA_OK || record == NULL)
            break;
        const cfa__act *act = record;
        check_act(audit, book, act, count + 1, previous);
        cfa__feed(audit, &cfa__act_kind, act);
        count = act->number;
        if (act->hash.size == sizeof last) {
            memcpy(last, act->hash.data, sizeof last);
            previous = (cfa_slice){ last, sizeof last };
        }
        status = audit->status;
        cfa__stream_skip(&stream);
    }
    cfa__stream_close(&stream);
    if (status == CFA_OK &&
        !cfa__audit_compare(audit, CFA__AUDIT_ACT_COUNT, &place, "act_count", count,
                            book->act_count) &&
        !cfa__slices_equal(book->act_hash, previous))
        cfa__audit_texts(audit, CFA__AUDIT_ACT_COUNT, &place, "act_hash",
                         "the hash of the newest act", "another");
    return status;
}
