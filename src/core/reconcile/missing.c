/*
 * missing.c - the walk over our own rows of a time: those whose money moved, and that the record did
 * not name. A kind of which the record has nothing is not walked, unless the record is of every kind:
 * its absence proves nothing.
 */
#include <careforall/refund.h>
#include <string.h>

#include "core/reconcile/reconcile.h"

#define MARGIN_US INT64_C(600000000) /* between an id's time and its row's, at most */

/* The row's time and what to say of it. False: nothing of it must be in the record. `moved`: nor
 * what moved no money, or not yet. */
static bool describe(const cfa_kind *kind, const void *record, bool moved,
                     cfa__reconcile_place *place, int64_t *out_created_us, cfa_slice *out_ref) {
    *out_ref = (cfa_slice){ NULL, 0 };
    if (kind == &cfa__payment_kind) {
        const cfa__payment *payment = record;
        place->id = place->payment_id = payment->id;
        *out_created_us = payment->created_us;
        *out_ref = payment->ref;
        return payment->captured_minor > 0;
    }
    if (kind == &cfa__refund_kind) {
        const cfa__refund *refund = record;
        place->id = refund->id;
        place->payment_id = refund->payment_id;
        *out_created_us = refund->created_us;
        *out_ref = refund->ref;
        return refund->ref.data != NULL && (!moved || refund->state == CFA_REFUND_SUCCEEDED);
    }
    const cfa__dispute *dispute = record;
    place->id = dispute->id;
    place->payment_id = dispute->payment_id;
    *out_created_us = dispute->created_us;
    *out_ref = dispute->ref;
    return !moved || dispute->withdrawn_minor > 0;
}

static bool is_of_time(const cfa__reconcile *run, int64_t created_us) {
    return created_us >= run->spec->from_us && created_us < run->spec->until_us;
}

bool cfa__reconcile_must(const cfa__reconcile *run, const cfa__payment *payment) {
    cfa__reconcile_place place;
    cfa_slice ref;
    int64_t created_us;
    return describe(&cfa__payment_kind, payment, false, &place, &created_us, &ref) &&
           is_of_time(run, created_us);
}

static cfa_status look_at(cfa__reconcile *run, const cfa_kind *kind, int32_t number,
                          const void *record, bool *out_over) {
    cfa__reconcile_place place = { .kind = number };
    cfa_slice ref;
    int64_t created_us;
    bool moved = run->read[number] > 0 && run->moved[number] == run->read[number];
    bool must = describe(kind, record, moved, &place, &created_us, &ref);
    *out_over = created_us - MARGIN_US > run->spec->until_us;
    if (!must || !is_of_time(run, created_us) || cfa__seen_has(&run->seen[number], place.id))
        return CFA_OK;
    if (ref.data != NULL)
        place.ref = cfa_arena_copy(run->scratch, ref.data, ref.size);
    if (ref.data != NULL && place.ref == NULL)
        return CFA_ENOMEM;
    cfa__reconcile_note(run, CFA__RECONCILE_MISSING_THERE, &place, NULL, "nothing", "it");
    return CFA_OK;
}

/* Go over what was passed already: only the doubts behind `last` are left to look at. False: nothing
 * was passed there. */
static cfa_status skip(cfa__reconcile *run, cfa__id *last, bool *out) {
    static const uint8_t none[10] = { 0 };
    uint64_t until_ms = cfa__walked_until(&run->walked, cfa__walked_ms(*last));
    const void *found;
    bool over;
    cfa__id id;
    cfa_status status = CFA_OK;
    *out = until_ms != 0;
    while (status == CFA_OK && *out && cfa__walked_next(&run->walked, last, &id) &&
           cfa__walked_ms(id) < until_ms) {
        cfa_arena_reset(run->scratch);
        status = cfa__reconcile_get_id(run, &cfa__payment_kind, id, &found);
        if (status == CFA_OK && found != NULL)
            status = look_at(run, &cfa__payment_kind, CFA_RECONCILE_PAYMENT, found, &over);
        *last = id;
    }
    if (*out)
        *last = cfa__id_make((int64_t)until_ms * 1000, none);
    return status == CFA_OK ? run->status : status;
}

static cfa_status walk(cfa__reconcile *run, const cfa_kind *kind, int32_t number) {
    static const uint8_t none[10] = { 0 };
    cfa__any_record last;
    int64_t from_us = run->spec->from_us > MARGIN_US ? run->spec->from_us - MARGIN_US : 0;
    bool over = false;
    cfa__key_of_id(&last, kind, cfa__id_make(from_us, none));
    while (!over) {
        bool skipped = false;
        cfa_status status =
            kind == &cfa__payment_kind ? skip(run, &last.payment.id, &skipped) : CFA_OK;
        if (status != CFA_OK)
            return status;
        if (skipped)
            continue;
        cfa_query query = {
            .kind = kind, .flags = CFA_QUERY_AFTER, .limit = CFA__RECONCILE_PAGE, .key = &last
        };
        cfa_arena_reset(run->scratch);
        status = cfa__reconcile_go_on(run);
        if (status == CFA_OK)
            status = run->storage->ops->load(run->session, &query, 1, run->scratch);
        for (int32_t i = 0; status == CFA_OK && i < query.count && !over; i++)
            status = look_at(run, kind, number, query.records[i], &over);
        if (status == CFA_OK)
            status = run->status;
        if (status != CFA_OK || query.count < CFA__RECONCILE_PAGE)
            return status;
        memcpy(&last, query.records[query.count - 1], kind->record_size);
    }
    return CFA_OK;
}

cfa_status cfa__reconcile_missing(cfa__reconcile *run) {
    const cfa_kind *const kinds[CFA__RECONCILE_KINDS] = { &cfa__payment_kind, &cfa__refund_kind,
                                                          &cfa__dispute_kind };
    cfa_status status = CFA_OK;
    for (int32_t i = 0; i < CFA__RECONCILE_KINDS && status == CFA_OK; i++) {
        if (run->spec->until_us == 0 || (run->read[i] == 0 && run->spec->all_kinds == 0))
            continue;
        cfa__seen_sort(&run->seen[i]);
        if (i == CFA_RECONCILE_PAYMENT)
            cfa__walked_settle(&run->walked, &run->seen[i]);
        status = walk(run, kinds[i], i);
    }
    return status;
}
