/*
 * provider.c - the provider's own record against the book: every object of the record is compared
 * with its payment, and the payments with money of its time are counted against it.
 */
#include "core/audit/audit.h"

#include <string.h>

static cfa_status find_payment(cfa__audit *audit, const cfa__book *book, const char *ref,
                               const cfa__payment **out) {
    cfa__provider_object key;
    const void *found;
    memset(&key, 0, sizeof key);
    key.provider = book->provider;
    key.account = book->account;
    key.ref = (cfa_slice){ ref, strlen(ref) };
    *out = NULL;
    cfa_status status =
        cfa__audit_get(audit, audit->scratch, &cfa__provider_object_kind, &key, &found);
    const cfa__provider_object *object = found;
    if (status != CFA_OK || object == NULL || cfa__id_is_null(object->payment_id))
        return status;
    status =
        cfa__audit_get_id(audit, audit->scratch, &cfa__payment_kind, object->payment_id, &found);
    *out = found;
    return status;
}

static void compare(cfa__audit *audit, const cfa_audit_object *object,
                    const cfa__payment *payment) {
    cfa__place place = cfa__place_of(NULL, CFA__ID_NULL);
    place.text = object->ref;
    place.number = object->line;
    if (payment == NULL) {
        cfa__audit_texts(audit, CFA__AUDIT_PROVIDER_UNKNOWN, &place, "ref", "a payment", "none");
        return;
    }
    place = cfa__place_of_payment(payment);
    if (memcmp(object->currency, payment->currency, sizeof payment->currency) != 0)
        cfa__audit_texts(audit, CFA__AUDIT_PROVIDER_DIFFERS, &place, "currency", object->currency,
                         payment->currency);
    else if (!cfa__audit_compare(audit, CFA__AUDIT_PROVIDER_DIFFERS, &place, "captured_minor",
                                 object->captured_minor, payment->captured_minor))
        cfa__audit_compare(audit, CFA__AUDIT_PROVIDER_DIFFERS, &place, "refunded_minor",
                           object->refunded_minor, payment->refunded_minor);
}

static bool is_of_the_time(const cfa__audit *audit, const cfa__payment *payment) {
    return payment != NULL && payment->captured_minor > 0 &&
           payment->created_us >= audit->spec->from_us &&
           payment->created_us < audit->spec->until_us;
}

cfa_status cfa__audit_provider(cfa__audit *audit, bool check) {
    const void *book;
    cfa__any_record key;
    memset(&key, 0, sizeof key);
    key.book.id = 1;
    if (audit->spec->next == NULL)
        return CFA_OK;
    cfa_status status = cfa__audit_get(audit, audit->arena, &cfa__book_kind, &key, &book);
    while (status == CFA_OK && book != NULL) {
        cfa_audit_object object = { .struct_size = sizeof object };
        const cfa__payment *payment;
        cfa_arena_reset(audit->scratch);
        status = audit->spec->next(audit->spec->next_self, &object);
        if (status == CFA_ENOTFOUND)
            return CFA_OK;
        if (status != CFA_OK)
            break;
        if (object.ref == NULL)
            return cfa_error_set(CFA_EINVAL, "core.audit", "ref", 0,
                                 "an object of the provider's record has no reference");
        object.currency[sizeof object.currency - 1] = '\0';
        status = find_payment(audit, book, object.ref, &payment);
        if (status == CFA_OK && check)
            compare(audit, &object, payment);
        if (status == CFA_OK && is_of_the_time(audit, payment)) {
            cfa__member member = { .group = payment->id, .weight = -1 };
            cfa__tally_note(audit, CFA__TALLY_PROVIDER, &member);
        }
        if (status == CFA_OK)
            status = audit->status;
    }
    return status;
}
