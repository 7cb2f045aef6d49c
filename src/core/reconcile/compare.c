/*
 * compare.c - one object of the provider's record against the book. Pure but for reads: what an
 * object would change is found out on copies.
 */
#include <string.h>

#include "core/decide/evidence.h"
#include "core/decide/payment_machine.h"
#include "core/decide/reversal_machine.h"
#include "core/reconcile/reconcile.h"

/* ---- finding --------------------------------------------------------------------------------- */

static cfa_status find_object(cfa__reconcile *run, const char *ref,
                              const cfa__provider_object **out) {
    cfa__provider_object key;
    const void *found = NULL;
    memset(&key, 0, sizeof key);
    key.provider = run->book.provider;
    key.account = run->book.account;
    key.ref = cfa__slice(ref);
    cfa_status status =
        ref != NULL ? cfa__reconcile_get(run, &cfa__provider_object_kind, &key, &found) : CFA_OK;
    *out = found;
    return status;
}

static cfa_status find_by_refs(cfa__reconcile *run, const char *const refs[2], const void **out) {
    cfa_status status = CFA_OK;
    *out = NULL;
    for (size_t i = 0; i < 2 && status == CFA_OK && *out == NULL; i++) {
        const cfa__provider_object *object;
        status = find_object(run, refs[i], &object);
        if (status == CFA_OK && object != NULL && !cfa__id_is_null(object->payment_id))
            status = cfa__reconcile_get_id(run, &cfa__payment_kind, object->payment_id, out);
    }
    return status;
}

static bool names_payment(const cfa_facts *facts, cfa__id *out) {
    return facts->payment_id != NULL &&
           cfa__id_parse(out, "pay", facts->payment_id, "payment_id") == CFA_OK;
}

/* A movement may name no object of the payment: then our own id, or what else of it is known. */
static cfa_status find_payment(cfa__reconcile *run, const cfa_reconcile_object *object,
                               const cfa__payment **out) {
    const cfa_facts *facts = &object->facts;
    const char *const refs[] = { facts->ref, facts->origin_ref };
    const char *const parts[] = { facts->refund_count > 0 ? facts->refunds[0]->ref : NULL,
                                  facts->dispute_count > 0 ? facts->disputes[0]->ref : NULL };
    const void *found;
    cfa__id named;
    cfa_status status = find_by_refs(run, refs, &found);
    if (status == CFA_OK && found == NULL && facts->ref == NULL &&
        object->summary == CFA_RECONCILE_MOVEMENT) {
        if (names_payment(facts, &named))
            status = cfa__reconcile_get_id(run, &cfa__payment_kind, named, &found);
        else
            status = find_by_refs(run, parts, &found);
    }
    *out = found;
    return status;
}

static cfa_status note_seen(cfa__reconcile *run, int32_t kind, cfa__id id) {
    return run->keeps_seen ? cfa__seen_add(&run->seen[kind], id) : CFA_OK;
}

/* ---- objects whose payment is not known here ------------------------------------------------- */

static cfa_status judge_stranger(cfa__reconcile *run, const cfa_reconcile_object *object) {
    const cfa_facts *facts = &object->facts;
    cfa__reconcile_place place = { .kind = object->kind, .ref = facts->ref, .line = object->line };
    const void *found = NULL;
    cfa__id named;
    cfa_status status = CFA_OK;
    bool names = names_payment(facts, &named);
    if (place.ref == NULL && facts->refund_count > 0)
        place.ref = facts->refunds[0]->ref;
    else if (place.ref == NULL && facts->dispute_count > 0)
        place.ref = facts->disputes[0]->ref;
    if (names)
        status = cfa__reconcile_get_id(run, &cfa__payment_kind, named, &found);
    if (status != CFA_OK)
        return status;
    const cfa__payment *payment = found;
    if (payment != NULL) {
        bool failed = false;
        const char *ref = cfa__text_of(run->scratch, payment->ref, &failed);
        place.id = place.payment_id = payment->id;
        cfa__reconcile_note(run, CFA__RECONCILE_MISSING_HERE, &place, "ref",
                            facts->ref != NULL ? facts->ref : "none", ref != NULL ? ref : "none");
        return failed ? CFA_ENOMEM : note_seen(run, CFA_RECONCILE_PAYMENT, payment->id);
    }
    if (names || run->spec->all_ours)
        cfa__reconcile_note(run, CFA__RECONCILE_MISSING_HERE, &place, names ? "payment_id" : NULL,
                            names ? facts->payment_id : "it", "nothing");
    else
        run->foreign++;
    return CFA_OK;
}

/* ---- payments -------------------------------------------------------------------------------- */

static const char *state_name(int64_t state) {
    return cfa_payment_state_name((cfa_payment_state)state);
}

static void forget_facts(cfa__payment *payment) {
    payment->durable = payment->authorized_minor = payment->captured_minor = payment->hold = 0;
    payment->canceled_us = payment->volatile_fact = payment->volatile_attempt = 0;
    payment->volatile_us = payment->fee_minor = payment->flags = 0;
    payment->cancel_reason = payment->failure_code = (cfa_slice){ NULL, 0 };
    payment->state = CFA_PAYMENT_PENDING;
}

/* Only what money follows from: what an attempt was doing is over before anybody compares. */
static bool is_firm(int64_t state) {
    return state == CFA_PAYMENT_AUTHORIZED || state == CFA_PAYMENT_CAPTURED ||
           state == CFA_PAYMENT_COMPLETED || state == CFA_PAYMENT_CANCELED ||
           state == CFA_PAYMENT_EXPIRED;
}

/* What was learnt after the record was asked makes nothing of it old. */
static bool learnt_since(const cfa_reconcile_object *object, int64_t updated_us) {
    return object->as_of_us > 0 && updated_us >= object->as_of_us;
}

static cfa_status judge_ahead(cfa__reconcile *run, const cfa_reconcile_object *object,
                              const cfa__payment *payment, const cfa__reconcile_place *place) {
    cfa__payment alone = *payment;
    cfa__reduction reduction;
    memset(&reduction, 0, sizeof reduction);
    forget_facts(&alone);
    cfa_status status = cfa__payment_reduce(&alone, &object->facts, run->scratch, &reduction);
    if (status != CFA_OK)
        return status;
    if (payment->captured_minor > alone.captured_minor)
        cfa__reconcile_note_int(run, CFA__RECONCILE_STATE_AHEAD, place, "captured_minor",
                                alone.captured_minor, payment->captured_minor);
    else if (payment->captured_minor == 0 && is_firm(payment->state) &&
             alone.state != payment->state)
        cfa__reconcile_note(run, CFA__RECONCILE_STATE_AHEAD, place, "state",
                            state_name(alone.state), state_name(payment->state));
    return CFA_OK;
}

/* What the facts would change beside the payment's money. True when it would be another. */
static bool judge_beside(cfa__reconcile *run, const cfa__payment *payment,
                         const cfa__payment *after, const cfa__reconcile_place *place) {
    const int32_t code = CFA__RECONCILE_STATE_BEHIND;
    if (after->fee_minor != payment->fee_minor)
        cfa__reconcile_note_int(run, code, place, "fee_minor", after->fee_minor,
                                payment->fee_minor);
    else if ((after->durable ^ payment->durable) == CFA_FACT_SETTLED)
        cfa__reconcile_note(run, code, place, "settled", "paid out", "not paid out");
    else if (after->durable != payment->durable)
        cfa__reconcile_note_int(run, code, place, "facts", after->durable, payment->durable);
    else
        return false;
    return true;
}

/* What the object's facts would change. True when the payment would be another. */
static bool judge_behind(cfa__reconcile *run, const cfa__payment *payment,
                         const cfa__payment *after, const cfa__reconcile_place *place) {
    const int32_t code = CFA__RECONCILE_STATE_BEHIND;
    if (after->state != payment->state)
        cfa__reconcile_note(run, code, place, "state", state_name(after->state),
                            state_name(payment->state));
    else if (after->captured_minor != payment->captured_minor)
        cfa__reconcile_note_int(run, code, place, "captured_minor", after->captured_minor,
                                payment->captured_minor);
    else
        return judge_beside(run, payment, after, place);
    return true;
}

cfa_facts cfa__reconcile_beside(const cfa_facts *facts) {
    cfa_facts beside = CFA_FACTS_INIT;
    beside.ref = facts->ref;
    beside.fee = facts->fee;
    beside.flags = facts->flags & CFA_FACT_SETTLED;
    return beside;
}

/* A movement's money is compared, and what is beside it is told by a repair as well: where it names
 * the payment's object, and its fee not before there is money that it is of. */
static cfa_status judge_movement(cfa__reconcile *run, const cfa_reconcile_object *object,
                                 const cfa__payment *payment, const cfa__payment *after,
                                 cfa__reconcile_place place) {
    cfa__payment beside = *payment;
    cfa_facts facts = cfa__reconcile_beside(&object->facts);
    cfa__reduction reduction;
    memset(&reduction, 0, sizeof reduction);
    place.repairable = false;
    if (payment->capture_manual == 0 &&
        (after->state != payment->state || after->captured_minor != payment->captured_minor))
        (void)judge_behind(run, payment, after, &place);
    if (after->captured_minor == 0)
        facts.fee = (cfa_money){ 0, "" };
    place.repairable = facts.ref != NULL;
    facts.ref = NULL;
    cfa_status status = cfa__payment_reduce(&beside, &facts, run->scratch, &reduction);
    if (status == CFA_OK && judge_beside(run, payment, &beside, &place))
        run->feeds = run->feeds || place.repairable;
    return status;
}

static bool contradicts(cfa__reconcile *run, const cfa_facts *facts, const cfa__payment *payment,
                        const cfa__reconcile_place *place) {
    const int32_t code = CFA__RECONCILE_AMOUNT_DIFFERS;
    if (facts->amount.currency[0] != '\0' &&
        memcmp(facts->amount.currency, payment->currency, sizeof payment->currency) != 0)
        cfa__reconcile_note(run, code, place, "currency", facts->amount.currency,
                            payment->currency);
    else if (facts->amount.minor != 0 && facts->amount.minor != payment->amount_minor)
        cfa__reconcile_note_int(run, code, place, "amount_minor", facts->amount.minor,
                                payment->amount_minor);
    else if (facts->fee.minor > 0 && payment->fee_minor > 0 &&
             facts->fee.minor != payment->fee_minor &&
             memcmp(facts->fee.currency, payment->fee_currency, sizeof payment->fee_currency) == 0)
        cfa__reconcile_note_int(run, code, place, "fee_minor", facts->fee.minor,
                                payment->fee_minor);
    else
        return false;
    return true;
}

static void judge_sum(cfa__reconcile *run, const cfa_reconcile_object *object,
                      const cfa__payment *payment, cfa__reconcile_place place) {
    int64_t theirs = object->refunded_minor, ours = payment->refunded_minor;
    /* A report counts what was held and not captured as given back. */
    bool tells = theirs >= 0 && !(object->summary && payment->capture_manual != 0);
    place.repairable = false; /* a sum names no refund */
    if (ours > theirs && learnt_since(object, payment->updated_us))
        return;
    if (tells && theirs != ours)
        cfa__reconcile_note_int(
            run, theirs > ours ? CFA__RECONCILE_STATE_BEHIND : CFA__RECONCILE_STATE_AHEAD, &place,
            "refunded_minor", theirs, ours);
}

static cfa_status judge_payment(cfa__reconcile *run, const cfa_reconcile_object *object,
                                const cfa__payment *payment) {
    cfa_facts facts = object->facts;
    cfa__reconcile_place place = { .kind = CFA_RECONCILE_PAYMENT,
                                   .id = payment->id,
                                   .payment_id = payment->id,
                                   .ref = facts.ref,
                                   .line = object->line,
                                   .repairable = !object->summary };
    cfa__payment after = *payment;
    cfa__reduction reduction;
    memset(&reduction, 0, sizeof reduction);
    if (payment->state != (int64_t)cfa__payment_state(payment))
        return cfa_error_set(CFA_ECORRUPT, CFA__RECONCILE_ORIGIN, "state", 0,
                             "a payment's state does not follow from its facts: audit the book");
    /* The machine knows a payment by its newest object; here the object was found to be its. */
    facts.ref = facts.origin_ref = NULL;
    cfa_status status = cfa__payment_reduce(&after, &facts, run->scratch, &reduction);
    if (status != CFA_OK)
        return status;
    bool differs = contradicts(run, &facts, payment, &place);
    if (!differs && reduction.verdict == CFA_WEBHOOK_QUARANTINED) {
        differs = true;
        cfa__reconcile_note(run, CFA__RECONCILE_AMOUNT_DIFFERS, &place, "facts",
                            reduction.reason != NULL ? reduction.reason : "other amounts",
                            "amounts that exclude them");
    }
    if (differs) {
        run->contradicts = true;
        return CFA_OK;
    }
    /* What a report calls the amount of a payment is not what was captured of a hold. */
    bool vague = object->summary && payment->capture_manual != 0;
    if (object->summary == CFA_RECONCILE_MOVEMENT)
        status = judge_movement(run, object, payment, &after, place);
    else if (!vague)
        run->feeds = judge_behind(run, payment, &after, &place) || run->feeds;
    judge_sum(run, object, payment, place);
    place.repairable = false;
    if (status != CFA_OK || !object->whole || vague || learnt_since(object, payment->updated_us))
        return status;
    cfa_reconcile_object bare = *object;
    bare.facts = facts;
    return judge_ahead(run, &bare, payment, &place);
}

/* ---- refunds --------------------------------------------------------------------------------- */

/* The part that an object's id stands for, or the refund of ours that it names. */
static cfa_status find_part(cfa__reconcile *run, const cfa__payment *payment, const cfa_kind *kind,
                            const char *ref, const char *our_id, const void **out,
                            bool *out_other) {
    const cfa__provider_object *object;
    const void *found = NULL;
    cfa__id named;
    *out = NULL;
    cfa_status status = find_object(run, ref, &object);
    if (status != CFA_OK)
        return status;
    *out_other = object != NULL && cfa__id_compare(object->payment_id, payment->id) != 0 &&
                 !cfa__id_is_null(object->payment_id);
    if (object != NULL && !*out_other && !cfa__id_is_null(object->part_id))
        return cfa__reconcile_get_id(run, kind, object->part_id, out);
    if (our_id == NULL || cfa__id_parse(&named, "rfd", our_id, "refund_id") != CFA_OK)
        return CFA_OK;
    status = cfa__reconcile_get_id(run, kind, named, &found);
    const cfa__refund *refund = found;
    if (refund != NULL && refund->ref.data == NULL &&
        cfa__id_compare(refund->payment_id, payment->id) == 0)
        *out = found;
    return status;
}

static bool missing(cfa__reconcile *run, const void *found, bool other, const cfa__payment *payment,
                    cfa__reconcile_place place) {
    char text[CFA_ID_TEXT_SIZE];
    if (found != NULL)
        return false;
    cfa__id_format(text, "pay", payment->id);
    place.repairable = place.repairable && !other;
    cfa__reconcile_note(run, CFA__RECONCILE_MISSING_HERE, &place, other ? "payment_id" : NULL,
                        other ? text : "it", other ? "another payment" : "nothing");
    run->feeds = run->feeds || place.repairable;
    run->contradicts = run->contradicts || other;
    return true;
}

/* True when a part that both sides have can be compared; else it was noted why not. */
static bool is_comparable(cfa__reconcile *run, const void *found, bool other,
                          const cfa__payment *payment, const cfa_money *amount,
                          const cfa__reconcile_place *place) {
    if (amount->currency[0] == '\0' || /* not told by a movement that was converted */
        memcmp(amount->currency, payment->currency, sizeof payment->currency) == 0)
        return !missing(run, found, other, payment, *place);
    cfa__reconcile_note(run, CFA__RECONCILE_AMOUNT_DIFFERS, place, "currency", amount->currency,
                        payment->currency);
    run->contradicts = true;
    return false;
}

static void judge_refund_states(cfa__reconcile *run, const cfa__refund *refund, bool learnt,
                                const cfa_refund_facts *facts, cfa__reconcile_place place) {
    cfa__refund after = *refund, alone = *refund;
    bool conflict, ignored;
    bool changed = cfa__refund_merge(&after, facts, &conflict);
    alone.durable = alone.waiting_us = alone.waiting_action = 0;
    alone.state = CFA_REFUND_REQUESTED;
    (void)cfa__refund_merge(&alone, facts, &ignored);
    if (conflict) {
        cfa__reconcile_note_int(run, CFA__RECONCILE_AMOUNT_DIFFERS, &place, "amount_minor",
                                facts->amount.minor, refund->amount_minor);
        run->contradicts = true;
    } else if (changed && after.state != refund->state) {
        cfa__reconcile_note(run, CFA__RECONCILE_STATE_BEHIND, &place, "state",
                            cfa_refund_state_name((cfa_refund_state)after.state),
                            cfa_refund_state_name((cfa_refund_state)refund->state));
        run->feeds = run->feeds || place.repairable;
    } else if (!learnt && alone.state != refund->state && after.state == refund->state &&
               refund->state != CFA_REFUND_PENDING && refund->state != CFA_REFUND_REQUIRES_ACTION) {
        place.repairable = false;
        cfa__reconcile_note(run, CFA__RECONCILE_STATE_AHEAD, &place, "state",
                            cfa_refund_state_name((cfa_refund_state)alone.state),
                            cfa_refund_state_name((cfa_refund_state)refund->state));
    }
}

static cfa_status judge_refund(cfa__reconcile *run, const cfa_reconcile_object *object,
                               const cfa__payment *payment, const cfa_refund_facts *facts) {
    cfa__reconcile_place place = { .kind = CFA_RECONCILE_REFUND,
                                   .payment_id = payment->id,
                                   .ref = facts->ref,
                                   .line = object->line,
                                   .repairable = !object->summary };
    const void *found;
    bool other;
    cfa_status status =
        find_part(run, payment, &cfa__refund_kind, facts->ref, facts->refund_id, &found, &other);
    if (status != CFA_OK)
        return status;
    /* What was held and not captured counts as given back in older files. */
    if (found == NULL && object->summary == CFA_RECONCILE_MOVEMENT && payment->capture_manual != 0)
        return CFA_OK;
    if (is_comparable(run, found, other, payment, &facts->amount, &place)) {
        const cfa__refund *refund = found;
        place.id = refund->id;
        /* What was called off comes back as what failed does, and tells no other state. */
        bool bare = object->summary == CFA_RECONCILE_MOVEMENT;
        if (!bare || facts->state == CFA_REFUND_PENDING || refund->state != CFA_REFUND_CANCELED)
            judge_refund_states(run, refund, bare || learnt_since(object, refund->updated_us),
                                facts, place);
    }
    return found != NULL ? note_seen(run, CFA_RECONCILE_REFUND, ((const cfa__refund *)found)->id)
                         : CFA_OK;
}

/* ---- disputes -------------------------------------------------------------------------------- */

static void judge_dispute_states(cfa__reconcile *run, const cfa__dispute *dispute, bool learnt,
                                 const cfa_dispute_facts *facts, cfa__reconcile_place place) {
    cfa__dispute after = *dispute, alone = *dispute;
    (void)cfa__dispute_merge(&after, facts);
    alone.state = alone.withdrawn_minor = alone.reinstated_minor = alone.amount_minor = 0;
    (void)cfa__dispute_merge(&alone, facts);
    const cfa__dispute *sides[] = { &after, &alone };
    const int32_t codes[] = { CFA__RECONCILE_STATE_BEHIND, CFA__RECONCILE_STATE_AHEAD };
    if (alone.amount_minor != dispute->amount_minor) {
        place.repairable = place.repairable && after.amount_minor != dispute->amount_minor;
        cfa__reconcile_note_int(run, CFA__RECONCILE_AMOUNT_DIFFERS, &place, "amount_minor",
                                alone.amount_minor, dispute->amount_minor);
        run->feeds = run->feeds || place.repairable;
        return;
    }
    for (size_t i = 0; i < (learnt ? 1 : 2); i++) {
        const cfa__dispute *side = sides[i];
        if (side->state != dispute->state)
            cfa__reconcile_note(run, codes[i], &place, "state",
                                cfa_dispute_state_name((cfa_dispute_state)side->state),
                                cfa_dispute_state_name((cfa_dispute_state)dispute->state));
        else if (side->withdrawn_minor != dispute->withdrawn_minor)
            cfa__reconcile_note_int(run, codes[i], &place, "withdrawn_minor", side->withdrawn_minor,
                                    dispute->withdrawn_minor);
        else if (side->reinstated_minor != dispute->reinstated_minor)
            cfa__reconcile_note_int(run, codes[i], &place, "reinstated_minor",
                                    side->reinstated_minor, dispute->reinstated_minor);
        else if (i == 0 && side->fee_minor != dispute->fee_minor)
            cfa__reconcile_note_int(run, codes[i], &place, "fee_minor", side->fee_minor,
                                    dispute->fee_minor);
        else {
            place.repairable = false; /* of what is ahead */
            continue;
        }
        run->feeds = run->feeds || place.repairable;
        return;
    }
}

static cfa_status judge_dispute(cfa__reconcile *run, const cfa_reconcile_object *object,
                                const cfa__payment *payment, const cfa_dispute_facts *facts) {
    cfa__reconcile_place place = { .kind = CFA_RECONCILE_DISPUTE,
                                   .payment_id = payment->id,
                                   .ref = facts->ref,
                                   .line = object->line,
                                   .repairable = !object->summary };
    const void *found;
    bool other;
    cfa_status status =
        find_part(run, payment, &cfa__dispute_kind, facts->ref, NULL, &found, &other);
    if (status != CFA_OK)
        return status;
    if (is_comparable(run, found, other, payment, &facts->amount, &place)) {
        const cfa__dispute *dispute = found;
        place.id = dispute->id;
        bool bare = object->summary == CFA_RECONCILE_MOVEMENT;
        cfa_dispute_facts told = *facts;
        if (bare) /* what moved may be a part of what is disputed */
            told.amount.minor = dispute->amount_minor;
        judge_dispute_states(run, dispute, bare || learnt_since(object, dispute->updated_us), &told,
                             place);
    }
    return found != NULL ? note_seen(run, CFA_RECONCILE_DISPUTE, ((const cfa__dispute *)found)->id)
                         : CFA_OK;
}

/* ---- one object ------------------------------------------------------------------------------ */

static void count_kinds(cfa__reconcile *run, const cfa_reconcile_object *object) {
    run->read[object->kind]++;
    if (object->summary == CFA_RECONCILE_MOVEMENT)
        run->moved[object->kind]++;
    if (object->kind != CFA_RECONCILE_REFUND && object->facts.refund_count > 0)
        run->read[CFA_RECONCILE_REFUND] += object->facts.refund_count;
    if (object->kind != CFA_RECONCILE_DISPUTE && object->facts.dispute_count > 0)
        run->read[CFA_RECONCILE_DISPUTE] += object->facts.dispute_count;
}

cfa_status cfa__reconcile_object(cfa__reconcile *run, const cfa_reconcile_object *object) {
    const cfa_facts *facts = &object->facts;
    const cfa__payment *payment = NULL;
    run->feeds = run->contradicts = false;
    run->other += object->kind == CFA_RECONCILE_OTHER;
    run->unnamed += object->kind == CFA_RECONCILE_UNNAMED;
    if (object->kind >= CFA__RECONCILE_KINDS)
        return CFA_OK;
    cfa__reconcile_note_begin(run);
    count_kinds(run, object);
    cfa_status status = find_payment(run, object, &payment);
    if (status != CFA_OK)
        return status;
    if (payment == NULL)
        return judge_stranger(run, object);
    if (object->kind == CFA_RECONCILE_PAYMENT)
        status = note_seen(run, CFA_RECONCILE_PAYMENT, payment->id);
    if (status == CFA_OK)
        status = judge_payment(run, object, payment);
    for (int32_t i = 0; i < facts->refund_count && status == CFA_OK; i++)
        status = judge_refund(run, object, payment, facts->refunds[i]);
    for (int32_t i = 0; i < facts->dispute_count && status == CFA_OK; i++)
        status = judge_dispute(run, object, payment, facts->disputes[i]);
    if (run->contradicts)
        cfa__reconcile_note_unrepairable(run);
    return status == CFA_OK ? run->status : status;
}
