/*
 * tell_facts.c - what the provider said and what followed from it: webhooks with their verdicts,
 * transitions, refunds, disputes.
 */
#include <careforall/dispute.h>
#include <careforall/refund.h>
#include <string.h>

#include "core/decide/evidence.h"
#include "core/decide/facts.h"
#include "core/decide/payment_machine.h"
#include "core/decide/reversal_machine.h"
#include "core/explain/story.h"

static const char *refund_state(int64_t state) {
    return cfa_refund_state_name((cfa_refund_state)state);
}

static const char *dispute_state(int64_t state) {
    return cfa_dispute_state_name((cfa_dispute_state)state);
}

/* ---- webhooks -------------------------------------------------------------------------------- */

static void say(cfa__buffer *out, const char *text) {
    if (out->size > 0)
        cfa__buffer_text(out, ", ");
    cfa__buffer_text(out, text);
}

static void say_amount(cfa__document *document, cfa__buffer *out, const char *what, int64_t minor,
                       const char *currency) {
    if (minor != 0)
        say(out, cfa__document_format(document, "%s %s", what,
                                      cfa__document_money(document, minor, currency)));
}

static void say_parts(cfa__document *document, cfa__buffer *out, const cfa_facts *facts) {
    for (int32_t i = 0; i < facts->refund_count; i++) {
        const cfa_refund_facts *refund = facts->refunds[i];
        say(out, cfa__document_format(
                     document, "refund %s %s of %s", refund->ref != NULL ? refund->ref : "",
                     refund_state(refund->state),
                     cfa__document_money(document, refund->amount.minor, refund->amount.currency)));
    }
    for (int32_t i = 0; i < facts->dispute_count; i++) {
        const cfa_dispute_facts *dispute = facts->disputes[i];
        say(out,
            cfa__document_format(
                document, "dispute %s %s of %s", dispute->ref != NULL ? dispute->ref : "",
                dispute_state(dispute->state),
                cfa__document_money(document, dispute->amount.minor, dispute->amount.currency)));
    }
}

/* Facts in words; "" when they say nothing that we know a word for. */
static const char *facts_words(cfa__teller *teller, const cfa_facts *facts, const char *currency) {
    static const struct {
        uint32_t flag;
        const char *words;
    } flags[] = {
        { CFA_FACT_SUCCEEDED, "succeeded" },
        { CFA_FACT_CANCELED, "canceled" },
        { CFA_FACT_EXPIRED, "expired" },
        { CFA_FACT_FRAUD_WARNING, "fraud is suspected" },
        { CFA_FACT_SETTLED, "paid out" },
        { CFA_FACT_NEEDS_ACTION, "the donor must act" },
        { CFA_FACT_PROCESSING, "in work" },
        { CFA_FACT_FAILED, "declined" },
        { CFA__FACT_FETCH, "something changed: read it" },
    };
    cfa__document *document = teller->document;
    cfa__buffer out;
    cfa_slice made;
    cfa__buffer_init(&out, document->arena, 128);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if ((facts->flags & flags[i].flag) != 0)
            say(&out, flags[i].words);
    }
    say_amount(document, &out, "held", facts->authorized_minor, currency);
    say_amount(document, &out, "captured", facts->captured_minor, currency);
    if (facts->attempt > 1)
        say(&out, cfa__document_format(document, "attempt %d", facts->attempt));
    if (facts->failure_code != NULL)
        say(&out, cfa__document_format(document, "code %s", facts->failure_code));
    if (facts->cancel_reason != NULL)
        say(&out, cfa__document_format(document, "reason %s", facts->cancel_reason));
    say_parts(document, &out, facts);
    if (cfa__buffer_finish(&out, &made) == CFA_OK)
        return cfa__document_text(document, made);
    document->failed = true;
    return "";
}

static const char *verdict_words(int64_t verdict) {
    switch (verdict) {
    case CFA_WEBHOOK_APPLIED: return "applied";
    case CFA_WEBHOOK_STALE: return "told nothing new";
    case CFA_WEBHOOK_PARKED: return "waits until its object is known here";
    case CFA_WEBHOOK_IGNORED: return "nothing to us: another type, account or mode";
    case CFA_WEBHOOK_QUARANTINED: return "quarantined: it does not fit this payment";
    case CFA_WEBHOOK_CONTRADICTION: return "contradicts what is certain";
    default: return "of an unknown verdict";
    }
}

static cfa__tone verdict_tone(int64_t verdict) {
    return verdict == CFA_WEBHOOK_QUARANTINED || verdict == CFA_WEBHOOK_CONTRADICTION
               ? CFA__TONE_BAD
           : verdict == CFA_WEBHOOK_PARKED ? CFA__TONE_WAITING
                                           : CFA__TONE_PLAIN;
}

/* The first step that it led to; later than it came, if it had to wait. */
static const cfa__transition *first_step(const cfa__dossier *dossier, const cfa__webhook *webhook) {
    for (int32_t i = 0; i < dossier->transitions.count; i++) {
        const cfa__transition *transition = dossier->transitions.items[i];
        if (cfa__id_compare(transition->cause_id, webhook->id) == 0)
            return transition;
    }
    return NULL;
}

static void tell_webhook(cfa__teller *teller, const cfa__webhook *webhook) {
    const cfa__dossier *dossier = teller->dossier;
    cfa__document *document = teller->document;
    const char *currency = dossier->payment != NULL ? dossier->payment->currency : "";
    cfa__item *item = cfa__tell(
        teller, "webhook", webhook->received_us, CFA__RANK_WEBHOOK, verdict_tone(webhook->verdict),
        cfa__document_format(
            document, "%s said %s: %s", cfa__document_text(document, webhook->provider),
            cfa__document_text(document, webhook->event_type), verdict_words(webhook->verdict)));
    if (item == NULL)
        return;
    item->id = cfa__document_id(document, "whk", webhook->id);
    item->marked = dossier->asked == CFA__ASKED_WEBHOOK &&
                   cfa__id_compare(dossier->asked_id, webhook->id) == 0;
    cfa__show_text(document, &item->fields, "verdict", NULL,
                   cfa_webhook_verdict_name((cfa_webhook_verdict)webhook->verdict));
    cfa_facts facts;
    if (webhook->facts.data != NULL &&
        cfa__facts_decode(&facts, document->arena, webhook->facts) == CFA_OK) {
        if (currency[0] == '\0')
            currency = facts.amount.currency;
        item->note = facts_words(teller, &facts, currency);
        cfa__show_text(document, &item->fields, "says", NULL, item->note);
        cfa__show_time(document, &item->fields, "occurred", "happened there at", facts.occurred_us);
    }
    const cfa__transition *step = first_step(dossier, webhook);
    bool waited = step != NULL && step->created_us > webhook->received_us;
    if (step != NULL && !waited) {
        item->rank = CFA__RANK_STATE;
        item->number = 2 * step->number;
    }
    cfa__show_time(document, &item->fields, "applied", "took effect at",
                   waited ? step->created_us : 0);
    cfa__show_slice(document, &item->fields, "ref", "object", webhook->ref);
    cfa__show_slice(document, &item->fields, "event_id", "their event", webhook->event_id);
    cfa__show_slice(document, &item->fields, "event_type", NULL, webhook->event_type);
    cfa__show_raw(document, &item->fields, "facts", NULL, webhook->facts);
}

void cfa__tell_webhooks(cfa__teller *teller) {
    for (int32_t i = 0; i < teller->dossier->webhooks.count; i++)
        tell_webhook(teller, teller->dossier->webhooks.items[i]);
}

/* ---- transitions ----------------------------------------------------------------------------- */

/* Whose states these are. */
typedef enum subject { OF_PAYMENT, OF_REFUND, OF_DISPUTE } subject;

static subject subject_of(const cfa__dossier *dossier, const cfa__transition *transition) {
    if (cfa__id_is_null(transition->subject_id))
        return OF_PAYMENT;
    for (int32_t i = 0; i < dossier->disputes.count; i++) {
        const cfa__dispute *dispute = dossier->disputes.items[i];
        if (cfa__id_compare(dispute->id, transition->subject_id) == 0)
            return OF_DISPUTE;
    }
    return OF_REFUND;
}

static const char *subject_state(subject of, int64_t state) {
    return of == OF_REFUND    ? refund_state(state)
           : of == OF_DISPUTE ? dispute_state(state)
                              : cfa_payment_state_name((cfa_payment_state)state);
}

static cfa__tone state_tone(subject of, int64_t state) {
    if (of == OF_REFUND)
        return state == CFA_REFUND_SUCCEEDED ? CFA__TONE_GOOD
               : state >= CFA_REFUND_FAILED  ? CFA__TONE_BAD
                                             : CFA__TONE_WAITING;
    if (of == OF_DISPUTE)
        return state == CFA_DISPUTE_LOST ? CFA__TONE_BAD
               : state == CFA_DISPUTE_OPEN || state == CFA_DISPUTE_UNDER_REVIEW ||
                       state == CFA_DISPUTE_INQUIRY
                   ? CFA__TONE_WAITING
                   : CFA__TONE_GOOD;
    return state == CFA_PAYMENT_COMPLETED || state == CFA_PAYMENT_CAPTURED ? CFA__TONE_GOOD
           : state >= CFA_PAYMENT_FAILED                                   ? CFA__TONE_BAD
                                                                           : CFA__TONE_WAITING;
}

/* Why a rule of the tables fires. */
static const char *rule_trigger(const cfa__transition *transition) {
    size_t count;
    const cfa__payment_rule *rules = cfa__payment_rules(&count);
    for (size_t i = 0; i < count; i++) {
        if (cfa__slices_equal(transition->rule, cfa__slice(rules[i].id)) &&
            (rules[i].to == 0 || rules[i].to == transition->to_state))
            return rules[i].trigger;
    }
    const cfa__reversal_rule *reversals = cfa__reversal_rules(&count);
    for (size_t i = 0; i < count; i++) {
        if (cfa__slices_equal(transition->rule, cfa__slice(reversals[i].id)))
            return reversals[i].trigger;
    }
    return NULL;
}

static const char *transition_title(cfa__teller *teller, const cfa__transition *transition,
                                    subject of, const char *why) {
    cfa__document *document = teller->document;
    const char *noun = of == OF_REFUND ? "Refund" : of == OF_DISPUTE ? "Dispute" : "Payment";
    const char *from = subject_state(of, transition->from_state);
    const char *to = subject_state(of, transition->to_state);
    const char *colon = why != NULL ? ": " : "";
    if (transition->from_state == transition->to_state)
        return cfa__document_format(document, "%s stays %s%s%s", noun, to, colon,
                                    why != NULL ? why : "");
    if (transition->from_state == 0)
        return cfa__document_format(document, "%s is %s%s%s", noun, to, colon,
                                    why != NULL ? why : "");
    if (transition->implied != 0)
        return cfa__document_format(document, "%s %s \xe2\x86\x92 %s: implied, no report named it",
                                    noun, from, to);
    return cfa__document_format(document, "%s %s \xe2\x86\x92 %s%s%s", noun, from, to, colon,
                                why != NULL ? why : "");
}

/* What brought the fact: a webhook of this payment by the provider's name, or an id. */
static void show_cause(cfa__teller *teller, cfa__item *item, const cfa__transition *transition) {
    const cfa__dossier *dossier = teller->dossier;
    cfa__document *document = teller->document;
    cfa__show_id(document, &item->fields, "cause_id", NULL, "whk", transition->cause_id);
    for (int32_t i = 0; i < dossier->webhooks.count; i++) {
        const cfa__webhook *webhook = dossier->webhooks.items[i];
        if (cfa__id_compare(webhook->id, transition->cause_id) == 0 &&
            !cfa__id_is_null(webhook->id)) {
            cfa__show_text(document, &item->fields, "cause", "because of",
                           cfa__document_format(document, "webhook %s",
                                                cfa__document_text(document, webhook->event_id)));
            return;
        }
    }
    if (transition->from_state != 0)
        cfa__show_text(document, &item->fields, "cause", "because of",
                       !cfa__id_is_null(transition->cause_id) ? "a webhook"
                       : cfa__slices_equal(transition->rule, cfa__slice("L02"))
                           ? "a person's act"
                           : "a call's answer");
}

static void tell_transition(cfa__teller *teller, const cfa__transition *transition) {
    cfa__document *document = teller->document;
    subject of = subject_of(teller->dossier, transition);
    const char *why = rule_trigger(transition);
    cfa__tone tone = state_tone(of, transition->to_state);
    if (transition->implied != 0 || transition->from_state == 0)
        tone = CFA__TONE_PLAIN;
    if (cfa__slices_equal(transition->rule, cfa__slice("L01")))
        tone = CFA__TONE_WAITING;
    cfa__item *item = cfa__tell(teller, "state", transition->created_us, CFA__RANK_STATE, tone,
                                transition_title(teller, transition, of, why));
    if (item == NULL)
        return;
    bool first = transition->from_state == 0 && of == OF_PAYMENT;
    item->rank = first ? CFA__RANK_PLEDGE : CFA__RANK_STATE;
    item->number = first ? INT32_MAX : 2 * transition->number + 1;
    cfa__show_slice(document, &item->fields, "rule", "rule", transition->rule);
    cfa__show_int(document, &item->fields, "number", NULL, transition->number);
    cfa__show_text(document, &item->fields, "subject", NULL,
                   of == OF_REFUND    ? "refund"
                   : of == OF_DISPUTE ? "dispute"
                                      : "payment");
    if (of != OF_PAYMENT)
        cfa__show_id(document, &item->fields, "subject_id", of == OF_REFUND ? "refund" : "dispute",
                     of == OF_REFUND ? "rfd" : "dsp", transition->subject_id);
    cfa__show_text(document, &item->fields, "from", NULL,
                   transition->from_state == 0 ? NULL : subject_state(of, transition->from_state));
    cfa__show_text(document, &item->fields, "to", NULL, subject_state(of, transition->to_state));
    cfa__show_bool(document, &item->fields, "implied", NULL, transition->implied != 0);
    show_cause(teller, item, transition);
}

void cfa__tell_transitions(cfa__teller *teller) {
    for (int32_t i = 0; i < teller->dossier->transitions.count; i++)
        tell_transition(teller, teller->dossier->transitions.items[i]);
}

/* ---- refunds and disputes -------------------------------------------------------------------- */

static void tell_refund(cfa__teller *teller, cfa__section *section, const cfa__refund *refund) {
    cfa__document *document = teller->document;
    const cfa__payment *payment = teller->dossier->payment;
    const char *amount = cfa__document_money(document, refund->amount_minor, payment->currency);
    const char *origin = refund->origin == CFA_REFUND_ASKED   ? "asked"
                         : refund->origin == CFA_REFUND_LATE  ? "late_rule"
                         : refund->origin == CFA_REFUND_FRAUD ? "fraud_rule"
                                                              : "provider";
    const char *title =
        refund->origin == CFA_REFUND_ASKED
            ? cfa__document_format(document,
                                   "A refund of %s was asked for, under an idempotency key", amount)
        : refund->origin == CFA_REFUND_LATE
            ? cfa__document_format(document, "The campaign's late rule gives %s back", amount)
        : refund->origin == CFA_REFUND_FRAUD
            ? cfa__document_format(document, "Fraud is suspected: the book's rule gives %s back",
                                   amount)
            : cfa__document_format(document, "A refund of %s, made at the provider, was seen",
                                   amount);
    bool marked = teller->dossier->asked == CFA__ASKED_REFUND &&
                  cfa__id_compare(teller->dossier->asked_id, refund->id) == 0;
    cfa__item *item =
        cfa__tell(teller, "refund", refund->created_us, CFA__RANK_PART, CFA__TONE_PLAIN, title);
    if (item != NULL) {
        item->id = cfa__document_id(document, "rfd", refund->id);
        item->marked = marked;
        cfa__show_text(document, &item->fields, "refund_id", "refund", item->id);
        cfa__show_money(document, &item->fields, "amount", "amount", refund->amount_minor,
                        payment->currency);
        cfa__show_text(document, &item->fields, "origin", NULL, origin);
        cfa__show_slice(document, &item->fields, "reason", "reason", refund->reason);
    }
    const char *state = refund_state(refund->state);
    item = cfa__document_item(document, section, "refund", 0,
                              cfa__document_format(document, "%s, %s", amount, state));
    if (item == NULL)
        return;
    item->id = cfa__document_id(document, "rfd", refund->id);
    item->marked = marked;
    item->tone = state_tone(OF_REFUND, refund->state);
    cfa__show_text(document, &item->fields, "refund_id", "refund", item->id);
    cfa__show_money(document, &item->fields, "amount", NULL, refund->amount_minor,
                    payment->currency);
    cfa__show_text(document, &item->fields, "state", NULL, state);
    cfa__show_text(document, &item->fields, "origin", NULL, origin);
    cfa__show_slice(document, &item->fields, "ref", "provider's id", refund->ref);
    cfa__show_slice(document, &item->fields, "failure_code", "why it failed", refund->failure_code);
    cfa__show_time(document, &item->fields, "created", NULL, refund->created_us);
    cfa__show_time(document, &item->fields, "updated", "last change", refund->updated_us);
}

void cfa__tell_refunds(cfa__teller *teller) {
    cfa__section *section =
        cfa__document_section(teller->document, "refunds", "Refunds", CFA__CARDS, NULL);
    for (int32_t i = 0; i < teller->dossier->refunds.count; i++)
        tell_refund(teller, section, teller->dossier->refunds.items[i]);
}

static void tell_dispute(cfa__teller *teller, cfa__section *section, const cfa__dispute *dispute) {
    cfa__document *document = teller->document;
    const cfa__payment *payment = teller->dossier->payment;
    const char *amount = cfa__document_money(document, dispute->amount_minor, payment->currency);
    bool marked = teller->dossier->asked == CFA__ASKED_DISPUTE &&
                  cfa__id_compare(teller->dossier->asked_id, dispute->id) == 0;
    cfa__item *item =
        cfa__tell(teller, "dispute", dispute->created_us, CFA__RANK_PART, CFA__TONE_BAD,
                  cfa__document_format(document, "The donor's bank asks %s back", amount));
    if (item != NULL) {
        item->id = cfa__document_id(document, "dsp", dispute->id);
        item->marked = marked;
        cfa__show_text(document, &item->fields, "dispute_id", "dispute", item->id);
        cfa__show_slice(document, &item->fields, "reason", "reason", dispute->reason);
    }
    const char *state = dispute_state(dispute->state);
    item = cfa__document_item(document, section, "dispute", 0,
                              cfa__document_format(document, "%s, %s", amount, state));
    if (item == NULL)
        return;
    item->id = cfa__document_id(document, "dsp", dispute->id);
    item->marked = marked;
    item->tone = state_tone(OF_DISPUTE, dispute->state);
    cfa__fields *fields = &item->fields;
    cfa__show_text(document, fields, "dispute_id", "dispute", item->id);
    cfa__show_money(document, fields, "amount", NULL, dispute->amount_minor, payment->currency);
    cfa__show_text(document, fields, "state", NULL, state);
    cfa__show_slice(document, fields, "ref", "provider's id", dispute->ref);
    cfa__show_slice(document, fields, "reason", "reason", dispute->reason);
    cfa__show_money(document, fields, "withdrawn", "taken", dispute->withdrawn_minor,
                    payment->currency);
    cfa__show_money(document, fields, "reinstated", "given back", dispute->reinstated_minor,
                    payment->currency);
    if (dispute->fee_minor != 0)
        cfa__show_money(document, fields, "fee", "fee", dispute->fee_minor, dispute->fee_currency);
    bool open = dispute->state == CFA_DISPUTE_OPEN || dispute->state == CFA_DISPUTE_INQUIRY;
    cfa__show_time(document, fields, "evidence_due", open ? "answer until" : NULL,
                   dispute->evidence_due_us);
    cfa__show_time(document, fields, "created", NULL, dispute->created_us);
    cfa__show_time(document, fields, "updated", "last change", dispute->updated_us);
}

void cfa__tell_disputes(cfa__teller *teller) {
    cfa__section *section =
        cfa__document_section(teller->document, "disputes", "Disputes", CFA__CARDS, NULL);
    for (int32_t i = 0; i < teller->dossier->disputes.count; i++)
        tell_dispute(teller, section, teller->dossier->disputes.items[i]);
}
