/*
 * acts.c - the audit log of persons' acts: each row against the hash of the one before it, the last
 * against the book's row.
 */
#include "core/audit/audit.h"

#include <string.h>

#include "core/decide/act.h"
#include "core/decide/evidence.h"

static void check_act(cfa__audit *audit, cfa__act_chain *chain, const cfa__act *act) {
    int64_t number, expected = chain->last + 1;
    cfa__place place = cfa__place_of(NULL, CFA__ID_NULL);
    place.text = "act";
    place.number = act->number;
    switch (cfa__act_chain_step(chain, act, &number)) {
    case CFA_ACT_MISSING:
        cfa__audit_numbers(audit, CFA__AUDIT_ACT_CHAIN, &place, "number", expected, act->number);
        break;
    case CFA_ACT_UNLINKED:
        cfa__audit_texts(audit, CFA__AUDIT_ACT_CHAIN, &place, "previous_hash",
                         "the hash of the act before it", "another");
        break;
    case CFA_ACT_ALTERED:
        cfa__audit_texts(audit, CFA__AUDIT_ACT_CHAIN, &place, "hash", "the hash of the row",
                         "another");
        break;
    default: break; /* what was added shows at the end */
    }
}

cfa_status cfa__audit_acts(cfa__audit *audit) {
    cfa__stream stream;
    cfa__any_record key;
    const void *record = NULL;
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
    cfa__act_chain chain = cfa__act_chain_begin(book);
    status = cfa__stream_open(&stream, audit, &cfa__act_kind, 0, 0, NULL);
    while (status == CFA_OK) {
        status = cfa__stream_peek(&stream, &record);
        if (status != CFA_OK || record == NULL)
            break;
        check_act(audit, &chain, record);
        cfa__feed(audit, &cfa__act_kind, record);
        status = audit->status;
        cfa__stream_skip(&stream);
    }
    cfa__stream_close(&stream);
    if (status == CFA_OK &&
        !cfa__audit_compare(audit, CFA__AUDIT_ACT_COUNT, &place, "act_count", chain.last,
                            book->act_count) &&
        !chain.head_agrees)
        cfa__audit_texts(audit, CFA__AUDIT_ACT_COUNT, &place, "act_hash",
                         "the hash of the newest act", "another");
    return status;
}
