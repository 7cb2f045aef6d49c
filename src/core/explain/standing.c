/*
 * standing.c - where a donation stands now: its head, what happens next by itself, its part of the
 * totals, and what this story could not find.
 */
#include <assert.h>
#include <string.h>

#include "core/decide/evidence.h"
#include "core/decide/payment_machine.h"
#include "core/explain/story.h"
#include "util/text.h"

/* ---- the head -------------------------------------------------------------------------------- */

static void show_flags(cfa__document *document, cfa__fields *fields, int64_t flags) {
    static const struct {
        int64_t flag;
        const char *name;
    } names[] = {
        { CFA_PAYMENT_FLAG_UNKNOWN, "UNKNOWN" },
        { CFA_PAYMENT_FLAG_CONFLICT, "CONFLICT" },
        { CFA_PAYMENT_FLAG_SETTLED, "SETTLED" },
        { CFA_PAYMENT_FLAG_LATE, "LATE" },
        { CFA_PAYMENT_FLAG_FRAUD_WARNING, "FRAUD_WARNING" },
        { CFA_PAYMENT_FLAG_HELD, "HELD" },
    };
    cfa__field *list = cfa__show_list(document, fields, "flags", "flags");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((flags & names[i].flag) != 0)
            cfa__show_entry(document, list, names[i].name);
    }
}

static bool is_held(const cfa__payment *payment) {
    return (payment->flags & CFA_PAYMENT_FLAG_HELD) != 0;
}

static const char *state_sentence(cfa__teller *teller) {
    cfa__document *document = teller->document;
    const cfa__payment *payment = teller->dossier->payment;
    const char *amount = cfa__document_money(document, payment->amount_minor, payment->currency);
    const char *taken = cfa__document_money(document, payment->captured_minor, payment->currency);
    const char *code = payment->failure_code.data != NULL
                           ? cfa__document_text(document, payment->failure_code)
                           : "declined";
    switch (payment->state) {
    case CFA_PAYMENT_PENDING:
        return cfa__document_format(document, "%s were promised; nothing is known of money yet.",
                                    amount);
    case CFA_PAYMENT_REQUIRES_ACTION:
        return cfa__document_format(document, "%s were promised; the donor must act.", amount);
    case CFA_PAYMENT_PROCESSING:
        return cfa__document_format(document, "%s are on their way at the provider.", amount);
    case CFA_PAYMENT_AUTHORIZED:
        return cfa__document_format(document, "%s are held, not taken.",
                                    cfa__document_money(document,
                                                        cfa__payment_authorized_minor(payment),
                                                        payment->currency));
    case CFA_PAYMENT_CAPTURED:
    case CFA_PAYMENT_COMPLETED: return cfa__document_format(document, "%s were taken.", taken);
    case CFA_PAYMENT_FAILED:
        return cfa__document_format(document, "%s were not taken: %s. The donor may try again.",
                                    amount, code);
    case CFA_PAYMENT_CANCELED:
        return cfa__document_format(document, "%s were not taken: the payment was cancelled.",
                                    amount);
    default: return cfa__document_format(document, "%s were not taken: time ran out.", amount);
    }
}

static void summarize(cfa__teller *teller) {
    cfa__document *document = teller->document;
    const cfa__payment *payment = teller->dossier->payment;
    const char *currency = payment->currency, *more = "", *back = "", *asked_back = "";
    const char *held = is_held(payment) ? " They came late and are held: no total has them until a "
                                          "person accepts them."
                                        : "";
    if (payment->refunded_minor > 0)
        back =
            cfa__document_format(document, " %s went back, or are on their way.",
                                 cfa__document_money(document, payment->refunded_minor, currency));
    if (payment->withdrawn_minor > 0)
        asked_back = cfa__document_format(
            document, " Disputes took %s and gave %s back.",
            cfa__document_money(document, payment->withdrawn_minor, currency),
            cfa__document_money(document, payment->reinstated_minor, currency));
    if ((payment->flags & CFA_PAYMENT_FLAG_CONFLICT) != 0)
        more = " What the provider said contradicts the book: a person must compare both.";
    else if ((payment->flags & CFA_PAYMENT_FLAG_UNKNOWN) != 0)
        more = " A call is in doubt: it may have happened, and the provider is asked until that is "
               "known.";
    document->summary = cfa__document_format(document, "%s%s%s%s%s", state_sentence(teller), back,
                                             asked_back, held, more);
}

void cfa__tell_head(cfa__teller *teller) {
    const cfa__dossier *dossier = teller->dossier;
    cfa__document *document = teller->document;
    const cfa__payment *payment = dossier->payment;
    cfa__fields *fields = &document->fields;
    const char *currency = payment->currency;
    document->state = cfa_payment_state_name((cfa_payment_state)payment->state);
    document->tone = (payment->flags & CFA_PAYMENT_FLAG_CONFLICT) != 0 ? CFA__TONE_BAD
                     : is_held(payment)                                ? CFA__TONE_WAITING
                     : payment->state >= CFA_PAYMENT_FAILED            ? CFA__TONE_BAD
                     : payment->state >= CFA_PAYMENT_CAPTURED          ? CFA__TONE_GOOD
                                                                       : CFA__TONE_WAITING;
    document->title = cfa__document_format(
        document, "%s for \xe2\x80\x9c%s\xe2\x80\x9d",
        cfa__document_money(document, payment->amount_minor, currency),
        dossier->campaign != NULL ? cfa__document_text(document, dossier->campaign->title) : "?");
    summarize(teller);
    cfa__show_id(document, fields, "payment_id", "payment", "pay", payment->id);
    cfa__show_id(document, fields, "pledge_id", "pledge", "plg", payment->pledge_id);
    cfa__show_id(document, fields, "campaign_id", "campaign", "cmp", payment->campaign_id);
    if (dossier->campaign != NULL)
        cfa__show_slice(document, fields, "campaign_title", NULL, dossier->campaign->title);
    cfa__show_id(document, fields, "donor_id", "donor", "dnr", payment->person_id);
    cfa__show_bool(document, fields, "donor_erased", "donor's data erased",
                   dossier->donor != NULL && dossier->donor->erased_us != 0);
    cfa__show_text(document, fields, "state", "state", document->state);
    if ((payment->flags & CFA_PAYMENT_FLAG_CONFLICT) != 0) /* a page shows why it is not green */
        document->state = cfa__document_format(document, "%s, IN CONFLICT", document->state);
    else if (is_held(payment))
        document->state = cfa__document_format(document, "%s, HELD", document->state);
    show_flags(document, fields, payment->flags);
    cfa__show_money(document, fields, "amount", "asked for", payment->amount_minor, currency);
    cfa__show_money(document, fields, "authorized",
                    payment->state == CFA_PAYMENT_AUTHORIZED ? "held" : NULL,
                    cfa__payment_authorized_minor(payment), currency);
    cfa__show_money(document, fields, "captured", "taken", payment->captured_minor, currency);
    cfa__show_money(document, fields, "refunded", payment->refunded_minor > 0 ? "given back" : NULL,
                    payment->refunded_minor, currency);
    cfa__show_money(document, fields, "refund_requested",
                    payment->requested_minor > 0 ? "asked to give back" : NULL,
                    payment->requested_minor, currency);
    cfa__show_money(document, fields, "withdrawn",
                    payment->withdrawn_minor > 0 ? "taken by disputes" : NULL,
                    payment->withdrawn_minor, currency);
    cfa__show_money(document, fields, "reinstated",
                    payment->reinstated_minor > 0 ? "returned by disputes" : NULL,
                    payment->reinstated_minor, currency);
    if (payment->fee_minor != 0)
        cfa__show_money(document, fields, "fee", "provider's fee", payment->fee_minor,
                        payment->fee_currency);
    cfa__show_slice(document, fields, "provider", "provider", payment->provider);
    cfa__show_slice(document, fields, "account", "account", payment->account);
    cfa__show_slice(document, fields, "ref", "provider's id", payment->ref);
    cfa__show_slice(document, fields, "origin_ref", "made as", payment->origin_ref);
    cfa__show_slice(document, fields, "failure_code", "last failure", payment->failure_code);
    cfa__show_slice(document, fields, "cancel_reason", "why cancelled", payment->cancel_reason);
    cfa__show_time(document, fields, "created", "pledged at", payment->created_us);
    cfa__show_time(document, fields, "updated", "last change", payment->updated_us);
    cfa__show_int(document, fields, "sequence", NULL, payment->sequence);
    cfa__show_int(document, fields, "position", NULL, dossier->head);
    cfa__show_time(document, fields, "as_of", NULL, dossier->now_us);
}

/* ---- what happens next ----------------------------------------------------------------------- */

static void tell_due(cfa__teller *teller, cfa__section *section, const cfa__operation *operation) {
    const cfa__dossier *dossier = teller->dossier;
    cfa__document *document = teller->document;
    int64_t left_us = operation->due_us - dossier->now_us;
    bool leased = !cfa__id_is_null(operation->lease_owner) && left_us > 0;
    const char *call =
        cfa__call_name(cfa__operation_next_call(operation, dossier->payment, dossier->now_us));
    const char *when =
        leased ? "now: a process is at it"
        : left_us <= 0
            ? cfa__document_format(document, "overdue by %s",
                                   cfa__document_duration(document, -left_us))
            : cfa__document_format(document, "in %s", cfa__document_duration(document, left_us));
    cfa__item *item =
        cfa__document_item(document, section, "call_due", 0,
                           cfa__document_format(document, "Call %lld: %s, %s",
                                                (long long)operation->number, call, when));
    if (item == NULL)
        return;
    item->tone = left_us <= 0 ? CFA__TONE_BAD : CFA__TONE_PLAIN;
    cfa__show_int(document, &item->fields, "call_number", NULL, operation->number);
    cfa__show_text(document, &item->fields, "call", NULL, call);
    cfa__show_time(document, &item->fields, "due", NULL, operation->due_us);
    cfa__show_bool(document, &item->fields, "leased", NULL, leased);
}

void cfa__tell_next(cfa__teller *teller) {
    const cfa__dossier *dossier = teller->dossier;
    cfa__document *document = teller->document;
    const cfa__payment *payment = dossier->payment;
    cfa__section *section =
        cfa__document_section(document, "next", "What happens next", CFA__NOTES,
                              "Nothing is left to do; what the provider says is still taken in.");
    for (int32_t i = 0; i < dossier->operations.count; i++) {
        const cfa__operation *operation = dossier->operations.items[i];
        if (operation->due_us != 0)
            tell_due(teller, section, operation);
    }
    bool unpaid = payment->state == CFA_PAYMENT_PENDING ||
                  payment->state == CFA_PAYMENT_REQUIRES_ACTION ||
                  payment->state == CFA_PAYMENT_FAILED;
    if (!unpaid)
        return;
    char time[28];
    cfa__time_format(time, payment->expires_us);
    cfa__item *item = cfa__document_item(
        document, section, "expiry", 0,
        cfa__document_format(document,
                             payment->expires_us > dossier->now_us
                                 ? "Unpaid, it is cancelled at the provider after %s"
                                 : "Its time was over at %s: it is cancelled at the provider, "
                                   "whose word is waited for",
                             time));
    if (item != NULL)
        cfa__show_time(document, &item->fields, "expires", NULL, payment->expires_us);
}

/* ---- totals ---------------------------------------------------------------------------------- */

static void show_buckets(cfa__document *document, cfa__fields *fields, const cfa__buckets *buckets,
                         const char *currency) {
    const struct {
        const char *name, *label;
        int64_t minor;
    } parts[] = {
        { "pledged", "pledged", buckets->pledged_minor },
        { "authorized", "authorized", buckets->authorized_minor },
        { "raised", "raised", buckets->raised_minor },
        { "refunded", "refunded", buckets->refunded_minor },
        { "disputed", "disputed", buckets->disputed_minor },
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        cfa__show_money(document, fields, parts[i].name,
                        parts[i].minor != 0 ? parts[i].label : NULL, parts[i].minor, currency);
}

static void tell_contribution(cfa__teller *teller, cfa__section *section) {
    const cfa__dossier *dossier = teller->dossier;
    cfa__document *document = teller->document;
    const cfa__payment *payment = dossier->payment;
    const cfa__contribution *counted = dossier->contribution;
    cfa__buckets should = cfa__payment_buckets(payment), is = { 0, 0, 0, 0, 0 };
    int64_t sequence = 0;
    if (counted != NULL) {
        is = (cfa__buckets){ counted->pledged_minor, counted->authorized_minor,
                             counted->raised_minor, counted->refunded_minor,
                             counted->disputed_minor };
        sequence = counted->sequence;
    }
    bool current = sequence == payment->sequence;
    bool equal = memcmp(&is, &should, sizeof is) == 0;
    const char *title =
        !current ? cfa__document_format(document,
                                        "The totals know this payment up to its event %lld of %lld",
                                        (long long)sequence, (long long)payment->sequence)
        : !equal ? "The totals count something else than the facts amount to: run the audit"
        : is_held(payment) ? "Held: the totals have nothing of it until it is accepted"
                           : "The totals count exactly what the facts amount to";
    cfa__item *item = cfa__document_item(document, section, "contribution", 0, title);
    if (item == NULL)
        return;
    item->tone = !current ? CFA__TONE_WAITING : equal ? CFA__TONE_GOOD : CFA__TONE_BAD;
    cfa__show_int(document, &item->fields, "sequence", NULL, sequence);
    cfa__show_bool(document, &item->fields, "current", NULL, current);
    cfa__show_bool(document, &item->fields, "equal", NULL, current && equal);
    show_buckets(document, &item->fields, &is, payment->currency);
}

void cfa__tell_totals(cfa__teller *teller) {
    const cfa__dossier *dossier = teller->dossier;
    cfa__document *document = teller->document;
    cfa__section *section =
        cfa__document_section(document, "totals", "In the totals", CFA__CARDS, NULL);
    tell_contribution(teller, section);
    const cfa__totals *totals = dossier->totals;
    if (totals == NULL)
        return;
    const char *title = dossier->campaign != NULL
                            ? cfa__document_text(document, dossier->campaign->title)
                            : "the campaign";
    cfa__item *item =
        cfa__document_item(document, section, "campaign_totals", 0,
                           cfa__document_format(document, "All of \xe2\x80\x9c%s\xe2\x80\x9d in %s",
                                                title, totals->currency));
    if (item == NULL)
        return;
    cfa__buckets sums = { totals->pledged_minor, totals->authorized_minor, totals->raised_minor,
                          totals->refunded_minor, totals->disputed_minor };
    show_buckets(document, &item->fields, &sums, totals->currency);
    cfa__show_int(document, &item->fields, "donation_count", "donations", totals->donation_count);
    cfa__show_int(document, &item->fields, "donor_count", "donors", totals->donor_count);
    cfa__show_int(document, &item->fields, "position", NULL, totals->position);
}

/* ---- what is missing ------------------------------------------------------------------------- */

static void miss(cfa__teller *teller, cfa__section *section, const char *kind, const char *title) {
    cfa__item *item = cfa__document_item(teller->document, section, kind, 0, title);
    if (item != NULL)
        item->tone = CFA__TONE_BAD;
}

void cfa__tell_missing(cfa__teller *teller) {
    const cfa__dossier *dossier = teller->dossier;
    cfa__document *document = teller->document;
    cfa__section *section =
        cfa__document_section(document, "missing", "What this story leaves out", CFA__NOTES, NULL);
    const struct {
        const char *name;
        bool more;
    } lists[] = {
        { "transitions", dossier->transitions.more },
        { "calls", dossier->operations.more },
        { "webhooks", dossier->webhooks.more },
        { "refunds", dossier->refunds.more },
        { "disputes", dossier->disputes.more },
        { "acts", dossier->acts.more },
        { "sinks", dossier->sinks.more },
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (lists[i].more)
            miss(teller, section, "limit",
                 cfa__document_format(document, "There are more %s than the %d shown",
                                      lists[i].name, CFA__STORY_ROWS_MAX));
    }
    if (dossier->payment == NULL)
        return;
    int64_t lost = 0, first = 0;
    for (int32_t i = 0; i < dossier->event_count; i++) {
        if (dossier->events[i].event.sequence != 0)
            continue;
        lost++;
        first = first == 0 ? i + 1 : first;
    }
    if (lost > 0)
        miss(teller, section, "events",
             cfa__document_format(
                 document,
                 "%lld of its %lld events were not found near the times of its records, the first "
                 "with sequence %lld; %d rows of the log were read",
                 (long long)lost, (long long)dossier->payment->sequence, (long long)first,
                 dossier->log_rows));
    if (dossier->payment->sequence > dossier->event_count)
        miss(teller, section, "events",
             cfa__document_format(document, "Events from sequence %d on were not looked for",
                                  dossier->event_count + 1));
}
