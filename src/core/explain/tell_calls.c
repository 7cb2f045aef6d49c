/*
 * tell_calls.c - what was asked of the book, and what the book asked of the provider. Shows the
 * provider's deterministic keys, never a caller's own; no request bytes, no payment method.
 */
#include <string.h>

#include "core/explain/story.h"

const char *cfa__call_name(int64_t call) {
    switch (call) {
    case CFA_CALL_CREATE: return "CREATE";
    case CFA_CALL_CAPTURE: return "CAPTURE";
    case CFA_CALL_CANCEL: return "CANCEL";
    case CFA_CALL_RETRIEVE: return "RETRIEVE";
    case CFA_CALL_LOOKUP: return "LOOKUP";
    case CFA_CALL_REFUND: return "REFUND";
    default: return "UNKNOWN";
    }
}

static const char *state_name(int64_t state) {
    switch (state) {
    case CFA__OPERATION_READY: return "READY";
    case CFA__OPERATION_UNKNOWN: return "IN_DOUBT";
    case CFA__OPERATION_DONE: return "DONE";
    case CFA__OPERATION_REFUSED: return "REFUSED";
    case CFA__OPERATION_CLOSED: return "CLOSED";
    case CFA__OPERATION_DEFERRED: return "DEFERRED";
    default: return "UNKNOWN";
    }
}

static const char *outcome_name(int64_t outcome) {
    static const char *const names[] = { "UNKNOWN", "DONE", "PENDING", "REFUSED", "NOT_SENT" };
    return outcome >= 0 && outcome <= 4 ? names[outcome] : "UNKNOWN";
}

/* ---- requests -------------------------------------------------------------------------------- */

static void tell_request(cfa__teller *teller, const char *command, int64_t at_us,
                         const char *title) {
    cfa__item *item =
        cfa__tell(teller, "request", at_us, CFA__RANK_REQUEST, CFA__TONE_PLAIN, title);
    if (item != NULL)
        cfa__show_text(teller->document, &item->fields, "command", "command", command);
}

/* A key is bound in the commit of what it made, so its time is that. */
void cfa__tell_requests(cfa__teller *teller) {
    const cfa__dossier *dossier = teller->dossier;
    cfa__document *document = teller->document;
    const cfa__payment *payment = dossier->payment;
    const char *amount = cfa__document_money(document, payment->amount_minor, payment->currency);
    tell_request(teller, "pledge_create", payment->created_us,
                 cfa__document_format(
                     document, "A pledge of %s was asked for, under an idempotency key", amount));
    cfa__item *item =
        cfa__tell(teller, "pledge", payment->created_us, CFA__RANK_PLEDGE, CFA__TONE_PLAIN,
                  dossier->campaign == NULL
                      ? "The pledge was recorded"
                      : cfa__document_format(
                            document, "The pledge was recorded, for \xe2\x80\x9c%s\xe2\x80\x9d",
                            cfa__document_text(document, dossier->campaign->title)));
    if (item != NULL) {
        item->id = cfa__document_id(document, "plg", payment->pledge_id);
        item->marked = dossier->asked == CFA__ASKED_PLEDGE;
        cfa__show_text(document, &item->fields, "pledge_id", "pledge", item->id);
        cfa__show_id(document, &item->fields, "campaign_id", "campaign", "cmp",
                     payment->campaign_id);
        cfa__show_id(document, &item->fields, "donor_id", "donor", "dnr", payment->person_id);
        cfa__show_money(document, &item->fields, "amount", "amount", payment->amount_minor,
                        payment->currency);
        cfa__show_time(document, &item->fields, "unpaid_until", "may be paid until",
                       payment->expires_us);
        cfa__show_slice(document, &item->fields, "traceparent", "trace", payment->trace);
    }
    for (int32_t i = 0; i < dossier->operations.count; i++) {
        const cfa__operation *operation = dossier->operations.items[i];
        if (operation->call == CFA_CALL_CAPTURE)
            tell_request(teller, "payment_capture", operation->created_us,
                         "A capture was asked for, under an idempotency key");
    }
    for (int32_t i = 0; i < dossier->acts.count; i++) {
        const cfa__act *act = dossier->acts.items[i];
        const char *action = cfa__document_text(document, act->action);
        item = cfa__tell(teller, "act", act->created_us, CFA__RANK_REQUEST, CFA__TONE_PLAIN,
                         act->actor.data != NULL
                             ? cfa__document_format(document, "%s, by %s", action,
                                                    cfa__document_text(document, act->actor))
                             : action);
        if (item == NULL)
            continue;
        cfa__show_int(document, &item->fields, "number", "audit log", act->number);
        cfa__show_text(document, &item->fields, "action", NULL, action);
        cfa__show_slice(document, &item->fields, "subject", NULL, act->subject);
        cfa__show_slice(document, &item->fields, "actor", NULL, act->actor);
        cfa__show_slice(document, &item->fields, "reason", "reason", act->reason);
    }
    if (dossier->donor != NULL && dossier->donor->erased_us != 0)
        (void)cfa__tell(teller, "donor", dossier->donor->erased_us, CFA__RANK_REQUEST,
                        CFA__TONE_PLAIN, "The donor's personal data was erased");
}

/* ---- calls ----------------------------------------------------------------------------------- */

static const char *call_words(cfa__teller *teller, const cfa__operation *operation) {
    cfa__document *document = teller->document;
    const cfa__payment *payment = teller->dossier->payment;
    const char *provider = cfa__document_text(document, payment->provider);
    const char *amount = cfa__document_money(document, operation->amount_minor, payment->currency);
    switch (operation->call) {
    case CFA_CALL_CREATE: return cfa__document_format(document, "make the payment at %s", provider);
    case CFA_CALL_CAPTURE: return cfa__document_format(document, "take %s at %s", amount, provider);
    case CFA_CALL_CANCEL:
        return cfa__document_format(document, "cancel the payment at %s", provider);
    case CFA_CALL_REFUND:
        return cfa__document_format(document, "give %s back at %s", amount, provider);
    default: return cfa__document_format(document, "read the payment at %s", provider);
    }
}

static void show_identity(cfa__teller *teller, cfa__item *item, const cfa__operation *operation) {
    cfa__document *document = teller->document;
    char payment_id[CFA_ID_TEXT_SIZE];
    cfa__id_format(payment_id, "pay", operation->payment_id);
    item->id = cfa__document_format(document, "%s/%lld", payment_id, (long long)operation->number);
    cfa__show_text(document, &item->fields, "call", "call", cfa__call_name(operation->call));
    cfa__show_int(document, &item->fields, "call_number", NULL, operation->number);
}

static void tell_recorded(cfa__teller *teller, const cfa__operation *operation) {
    cfa__document *document = teller->document;
    bool probe = operation->call == CFA_CALL_RETRIEVE;
    const char *title =
        probe ? cfa__document_format(document,
                                     "Call %lld: read it again from time to time, in case a "
                                     "webhook is lost",
                                     (long long)operation->number)
              : cfa__document_format(document, "Call %lld: %s, recorded before it was made",
                                     (long long)operation->number, call_words(teller, operation));
    cfa__item *item =
        cfa__tell(teller, "call", operation->created_us, CFA__RANK_CALL, CFA__TONE_PLAIN, title);
    if (item == NULL)
        return;
    show_identity(teller, item, operation);
    item->number = 2 * operation->number;
    if (operation->number == 1) {
        item->rank = CFA__RANK_PLEDGE;
        item->number = INT64_C(3) * INT32_MAX;
    }
    cfa__show_slice(document, &item->fields, "idempotency_key", probe ? NULL : "key sent",
                    operation->idempotency_key);
    cfa__show_int(document, &item->fields, "attempt", operation->attempt > 1 ? "attempt" : NULL,
                  operation->attempt);
    if (operation->call == CFA_CALL_CAPTURE || operation->call == CFA_CALL_REFUND)
        cfa__show_money(document, &item->fields, "amount", "amount", operation->amount_minor,
                        teller->dossier->payment->currency);
    if (!cfa__id_is_null(operation->refund_id))
        cfa__show_id(document, &item->fields, "refund_id", "refund", "rfd", operation->refund_id);
}

/* What is known of a call now; NULL: it was not made yet. */
static const char *outcome_words(cfa__teller *teller, const cfa__operation *operation,
                                 cfa__tone *out_tone) {
    cfa__document *document = teller->document;
    long long number = (long long)operation->number, tries = (long long)operation->tries;
    bool leased = !cfa__id_is_null(operation->lease_owner) && operation->due_us != 0;
    *out_tone = CFA__TONE_PLAIN;
    if (operation->call == CFA_CALL_RETRIEVE) {
        if (tries == 0)
            return NULL;
        return cfa__document_format(document, "Call %lld: read %lld %s, last now%s", number, tries,
                                    tries == 1 ? "time" : "times",
                                    operation->due_us == 0 ? "; nothing is left to wait for" : "");
    }
    switch (operation->state) {
    case CFA__OPERATION_DONE:
        *out_tone = CFA__TONE_GOOD;
        return cfa__document_format(document, "Call %lld was answered: it happened", number);
    case CFA__OPERATION_REFUSED:
        *out_tone = CFA__TONE_BAD;
        return cfa__document_format(document, "Call %lld was refused: it did not happen", number);
    case CFA__OPERATION_UNKNOWN:
        *out_tone = CFA__TONE_WAITING;
        return cfa__document_format(
            document, "Call %lld is in doubt: it may have happened; asked %lld %s, and again%s",
            number, tries, tries == 1 ? "time" : "times", leased ? " now" : "");
    case CFA__OPERATION_CLOSED:
        return cfa__document_format(document, "Call %lld is no longer needed", number);
    case CFA__OPERATION_DEFERRED:
        *out_tone = CFA__TONE_WAITING;
        return cfa__document_format(document,
                                    "Call %lld was not made: the provider was out; a repeat with "
                                    "the same key makes it",
                                    number);
    default:
        *out_tone = CFA__TONE_WAITING;
        if (tries > 0)
            return cfa__document_format(
                document, "Call %lld did not reach the provider; it is made again", number);
        return leased ? cfa__document_format(document, "Call %lld is being made", number) : NULL;
    }
}

static void tell_outcome(cfa__teller *teller, const cfa__operation *operation) {
    cfa__document *document = teller->document;
    cfa__tone tone;
    const char *title = outcome_words(teller, operation, &tone);
    if (title == NULL)
        return;
    cfa__item *item =
        cfa__tell(teller, "answer", operation->updated_us, CFA__RANK_ANSWER, tone, title);
    if (item == NULL)
        return;
    if (operation->updated_us == operation->created_us) {
        /* Behind what it answers. */
        item->rank = operation->number == 1 ? CFA__RANK_PLEDGE : CFA__RANK_CALL;
        item->number = operation->number == 1 ? INT64_C(4) * INT32_MAX : 2 * operation->number + 1;
    }
    show_identity(teller, item, operation);
    cfa__show_text(document, &item->fields, "state", NULL, state_name(operation->state));
    cfa__show_text(document, &item->fields, "outcome", operation->tries > 0 ? "outcome" : NULL,
                   operation->tries > 0 ? outcome_name(operation->outcome) : NULL);
    cfa__show_slice(document, &item->fields, "code", "provider's code", operation->code);
    cfa__show_int(document, &item->fields, "tries", "tries", operation->tries);
    cfa__show_int(document, &item->fields, "attempt", operation->attempt > 1 ? "attempt" : NULL,
                  operation->attempt);
    /* 1 stands for "so long ago that the key is never sent again". */
    int64_t first_us = operation->first_sent_us > 1 ? operation->first_sent_us : 0;
    cfa__show_time(document, &item->fields, "first_sent", "first sent", first_us);
    cfa__show_time(document, &item->fields, "last_sent", NULL, operation->last_sent_us);
    cfa__show_bool(document, &item->fields, "key_retired", "key is retired",
                   operation->first_sent_us == 1);
    cfa__show_time(document, &item->fields, "due", "due again", operation->due_us);
}

void cfa__tell_calls(cfa__teller *teller) {
    for (int32_t i = 0; i < teller->dossier->operations.count; i++) {
        tell_recorded(teller, teller->dossier->operations.items[i]);
        tell_outcome(teller, teller->dossier->operations.items[i]);
    }
}
