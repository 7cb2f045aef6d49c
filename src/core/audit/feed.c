/*
 * feed.c - what each record says in the sets of tally.c, and what it means when a set does not come
 * out even.
 */
#include "core/audit/audit.h"
#include "core/audit/match.h"
#include "core/decide/evidence.h"

#include <stdio.h>
#include <string.h>

#define SEQUENCE_MAX 1000000 /* of one subject; a greater one is damage */

/* ---- what records say ------------------------------------------------------------------------ */

static uint64_t word_of(const char currency[4]) {
    uint32_t word;
    memcpy(&word, currency, sizeof word);
    return word;
}

/* All sequences that a subject, or its contribution row, says there are. */
static void feed_sequences(cfa__audit *audit, int32_t tally, const cfa_kind *kind, cfa__id subject,
                           int64_t newest) {
    cfa__member member = { .group = subject, .rest = (uint64_t)kind->id, .weight = -1 };
    if (newest > SEQUENCE_MAX)
        newest = SEQUENCE_MAX;
    for (member.number = 1; member.number <= newest; member.number++)
        cfa__tally_note(audit, tally, &member);
}

static void feed_event(cfa__audit *audit, const cfa__event *event) {
    cfa__member member = { .group = event->subject_id,
                           .rest = (uint64_t)event->subject_kind,
                           .number = event->sequence,
                           .place = event->position,
                           .weight = 1 };
    cfa__tally_note(audit, CFA__TALLY_LOG, &member);
    if (event->subject_kind == cfa__payment_kind.id && event->position <= audit->applied)
        cfa__tally_note(audit, CFA__TALLY_APPLIED, &member);
}

static void feed_staged(cfa__audit *audit, const cfa__staged *staged) {
    cfa__member member = { .group = staged->subject_id,
                           .rest = (uint64_t)staged->subject_kind,
                           .number = staged->sequence,
                           .weight = 1 };
    cfa__tally_note(audit, CFA__TALLY_LOG, &member);
}

static uint64_t hash_object(const cfa__audit *audit, cfa_slice provider, cfa_slice account,
                            cfa_slice ref) {
    return cfa__hash_of(audit, ref, cfa__hash_of(audit, account, cfa__hash_of(audit, provider, 0)));
}

static void feed_ref(cfa__audit *audit, const cfa__payment *payment, cfa_slice ref) {
    if (ref.data == NULL)
        return;
    cfa__member member = { .group = payment->id,
                           .rest = hash_object(audit, payment->provider, payment->account, ref),
                           .weight = -1 };
    cfa__tally_note(audit, CFA__TALLY_OBJECT, &member);
}

static void feed_payment(cfa__audit *audit, const cfa__payment *payment) {
    cfa__member member = { .group = payment->pledge_id,
                           .other = payment->id,
                           .rest =
                               cfa__hash_of(audit, (cfa_slice){ payment->campaign_id.bytes, 16 },
                                            word_of(payment->currency)),
                           .number = payment->amount_minor,
                           .weight = -1 };
    cfa__tally_note(audit, CFA__TALLY_PLEDGE, &member);
    feed_sequences(audit, CFA__TALLY_LOG, &cfa__payment_kind, payment->id, payment->sequence);
    feed_ref(audit, payment, payment->ref);
    feed_ref(audit, payment, payment->origin_ref);
}

static void feed_pledge(cfa__audit *audit, const cfa__pledge *pledge) {
    cfa__member member = { .group = pledge->id,
                           .other = pledge->payment_id,
                           .rest = cfa__hash_of(audit, (cfa_slice){ pledge->campaign_id.bytes, 16 },
                                                word_of(pledge->currency)),
                           .number = pledge->amount_minor,
                           .weight = 1 };
    cfa__tally_note(audit, CFA__TALLY_PLEDGE, &member);
    cfa__member keyed = { .group = pledge->id, .weight = -1 };
    cfa__tally_note(audit, CFA__TALLY_KEY, &keyed);
    cfa__member donor = { .group = pledge->donor_id, .weight = -1 };
    if (!cfa__id_is_null(pledge->donor_id))
        cfa__tally_note(audit, CFA__TALLY_DONOR, &donor);
}

static void feed_key(cfa__audit *audit, int64_t command, cfa__id resource) {
    cfa__member member = { .group = resource, .weight = 1 };
    if (command == CFA__KEYED_PLEDGE_CREATE)
        cfa__tally_note(audit, CFA__TALLY_KEY, &member);
}

static void feed_contribution(cfa__audit *audit, const cfa__contribution *row) {
    bool whole = cfa__id_is_null(audit->campaign_id);
    if (!whole && cfa__id_compare(audit->campaign_id, row->campaign_id) != 0)
        return;
    cfa__member member = { .group = row->person_id,
                           .other = row->campaign_id,
                           .rest = word_of(row->currency),
                           .weight = 1 };
    if (row->raised_minor > 0)
        cfa__tally_note(audit, CFA__TALLY_SUPPORTER, &member);
    if (whole)
        feed_sequences(audit, CFA__TALLY_APPLIED, &cfa__payment_kind, row->payment_id,
                       row->sequence);
}

static void feed_supporter(cfa__audit *audit, const cfa__supporter *row) {
    cfa__member member = { .group = row->person_id,
                           .other = row->campaign_id,
                           .rest = word_of(row->currency),
                           .weight = -row->donation_count };
    if (cfa__id_is_null(audit->campaign_id) ||
        cfa__id_compare(audit->campaign_id, row->campaign_id) == 0)
        cfa__tally_note(audit, CFA__TALLY_SUPPORTER, &member);
}

static void feed_object(cfa__audit *audit, const cfa__provider_object *object) {
    bool is_part = !cfa__id_is_null(object->part_id);
    cfa__member member = { .group = is_part ? object->part_id : object->payment_id,
                           .other = is_part ? object->payment_id : CFA__ID_NULL,
                           .weight = 1 };
    if (cfa__id_is_null(object->payment_id))
        return; /* not bound yet */
    member.rest = is_part ? cfa__hash_of(audit, object->ref, 0)
                          : hash_object(audit, object->provider, object->account, object->ref);
    cfa__tally_note(audit, is_part ? CFA__TALLY_PART : CFA__TALLY_OBJECT, &member);
}

static void feed_part(cfa__audit *audit, cfa__id id, cfa__id payment_id, cfa_slice ref) {
    cfa__member member = { .group = id, .other = payment_id, .weight = -1 };
    if (ref.data == NULL)
        return;
    member.rest = cfa__hash_of(audit, ref, 0);
    cfa__tally_note(audit, CFA__TALLY_PART, &member);
}

static void feed_transition(cfa__audit *audit, const cfa__transition *row) {
    cfa__member member = { .group = row->payment_id, .place = row->number, .weight = 1 };
    if (cfa__slices_equal(row->rule, cfa__slice("L02")))
        cfa__tally_note(audit, CFA__TALLY_ACCEPTED, &member);
}

static void feed_act(cfa__audit *audit, const cfa__act *act) {
    cfa__match subject = cfa__match_begin(act->subject);
    cfa__member member = { .place = act->number, .weight = -1 };
    if (cfa__slices_equal(act->action, cfa__slice("payment.accept")) &&
        cfa__match_id(&subject, "pay", &member.group) && cfa__match_ended(&subject))
        cfa__tally_note(audit, CFA__TALLY_ACCEPTED, &member);
}

void cfa__feed(cfa__audit *audit, const cfa_kind *kind, const void *record) {
    const cfa__any_record *any = record;
    bool whole = cfa__id_is_null(audit->campaign_id);
    if (!whole && kind != &cfa__contribution_kind && kind != &cfa__supporter_kind)
        return; /* of one campaign nothing else is read as a whole */
    if (kind == &cfa__event_kind)
        feed_event(audit, record);
    else if (kind == &cfa__staged_kind)
        feed_staged(audit, record);
    else if (kind == &cfa__payment_kind)
        feed_payment(audit, record);
    else if (kind == &cfa__campaign_kind)
        feed_sequences(audit, CFA__TALLY_LOG, kind, any->campaign.id, any->campaign.sequence);
    else if (kind == &cfa__breaker_kind)
        feed_sequences(audit, CFA__TALLY_LOG, kind, any->breaker.id, any->breaker.sequence);
    else if (kind == &cfa__contribution_kind)
        feed_contribution(audit, record);
    else if (kind == &cfa__supporter_kind)
        feed_supporter(audit, record);
    else if (kind == &cfa__pledge_kind)
        feed_pledge(audit, record);
    else if (kind == &cfa__key_kind)
        feed_key(audit, any->key.command, any->key.resource_id);
    else if (kind == &cfa__key_recent_kind)
        feed_key(audit, any->key_recent.command, any->key_recent.resource_id);
    else if (kind == &cfa__donor_kind) {
        cfa__member member = { .group = any->donor.id, .weight = 1 };
        cfa__tally_note(audit, CFA__TALLY_DONOR, &member);
    } else if (kind == &cfa__provider_object_kind)
        feed_object(audit, record);
    else if (kind == &cfa__refund_kind)
        feed_part(audit, any->refund.id, any->refund.payment_id, any->refund.ref);
    else if (kind == &cfa__dispute_kind)
        feed_part(audit, any->dispute.id, any->dispute.payment_id, any->dispute.ref);
    else if (kind == &cfa__transition_kind)
        feed_transition(audit, record);
    else if (kind == &cfa__act_kind)
        feed_act(audit, record);
}

/* ---- what it means --------------------------------------------------------------------------- */

/* The members that have one number, as a table: how many of each side, and the newest place. */
struct sides {
    int64_t plus, minus, place, number;
};

static size_t take_sides(struct sides *out, const cfa__member *members, size_t count) {
    size_t used = 0;
    *out = (struct sides){ .number = members[0].number };
    for (; used < count && members[used].number == out->number &&
           members[used].rest == members[0].rest &&
           cfa__id_compare(members[used].other, members[0].other) == 0;
         used++) {
        if (members[used].weight > 0) {
            out->plus += members[used].weight;
            if (members[used].place > out->place)
                out->place = members[used].place;
        } else {
            out->minus -= members[used].weight;
        }
    }
    return used;
}

static cfa__place subject_of(cfa__id id, uint64_t kind) {
    bool payment = kind == (uint64_t)cfa__payment_kind.id;
    cfa__place place = cfa__place_of(payment                                   ? "pay"
                                     : kind == (uint64_t)cfa__campaign_kind.id ? "cmp"
                                                                               : "brk",
                                     id);
    if (payment)
        place.payment_id = id;
    return place;
}

static cfa_status explain_log(cfa__audit *audit, const cfa__member *members, size_t count) {
    cfa__id id = members[0].group;
    cfa__place place = subject_of(id, members[0].rest);
    const cfa_kind *kind = place.prefix[0] == 'p'   ? &cfa__payment_kind
                           : place.prefix[0] == 'c' ? &cfa__campaign_kind
                                                    : NULL;
    const void *row = "";
    cfa_status status = CFA_OK;
    if (kind != NULL)
        status = cfa__audit_get_id(audit, audit->scratch, kind, id, &row);
    for (size_t i = 0; status == CFA_OK && i < count;) {
        struct sides sides;
        i += take_sides(&sides, members + i, count - i);
        place.position = sides.place;
        if (row == NULL && kind == &cfa__payment_kind)
            cfa__audit_no_payment(audit, id);
        else if (row == NULL && sides.number == 1)
            cfa__audit_texts(audit, CFA__AUDIT_CAMPAIGN_MISSING, &place, NULL, "the campaign",
                             "only its events");
        else if (row != NULL && sides.plus == 0)
            cfa__audit_numbers(audit, CFA__AUDIT_LOG_MISSING, &place, "sequence", sides.number, 0);
        else if (row != NULL && sides.plus > 1)
            cfa__audit_numbers(audit, CFA__AUDIT_LOG_DOUBLED, &place, "sequence", 1, sides.plus);
        else if (row != NULL && sides.minus == 0)
            cfa__audit_numbers(audit, CFA__AUDIT_LOG_BEYOND, &place, "sequence", sides.number - 1,
                               sides.number);
    }
    return status;
}

static bool is_told(const cfa__audit *audit, int32_t check, cfa__id payment_id) {
    for (int64_t i = 0; i < audit->counts[check] && i < CFA__AUDIT_FINDINGS_MAX; i++) {
        if (cfa__id_compare(audit->findings[check][i].place.payment_id, payment_id) == 0)
            return true;
    }
    return false;
}

static cfa_status explain_applied(cfa__audit *audit, const cfa__member *members, size_t count) {
    cfa__place place = subject_of(members[0].group, members[0].rest);
    const void *row = NULL;
    int64_t above = 0, below = 0; /* newest applied beyond the row; first that is not applied */
    cfa_status status =
        cfa__audit_get_id(audit, audit->scratch, &cfa__contribution_kind, members[0].group, &row);
    for (size_t i = 0; status == CFA_OK && i < count;) {
        struct sides sides;
        i += take_sides(&sides, members + i, count - i);
        if (sides.minus == 0 && sides.number > above) {
            above = sides.number;
            place.position = sides.place;
        }
        if (sides.plus == 0 && below == 0)
            below = sides.number;
    }
    const cfa__contribution *contribution = row;
    if (status != CFA_OK)
        return status;
    if (is_told(audit, CFA__AUDIT_LOG_MISSING, members[0].group) ||
        is_told(audit, CFA__AUDIT_PAYMENT_MISSING, members[0].group) ||
        is_told(audit, CFA__AUDIT_LOG_BEYOND, members[0].group))
        return CFA_OK; /* follows from that */
    if (contribution == NULL)
        cfa__audit_texts(audit, CFA__AUDIT_CONTRIBUTION_MISSING, &place, NULL, "a row", "none");
    else if (above > 0 || below > 0)
        cfa__audit_numbers(audit, CFA__AUDIT_CONTRIBUTION_SEQUENCE, &place, "sequence",
                           above > 0 ? above : below - 1, contribution->sequence);
    return CFA_OK;
}

static cfa_status compare_pledge(cfa__audit *audit, const cfa__pledge *pledge,
                                 const cfa__payment *payment) {
    cfa__place place = cfa__place_of("plg", pledge->id);
    place.payment_id = payment->id;
    place.campaign_id = payment->campaign_id;
    int32_t check = CFA__AUDIT_PLEDGE_DIFFERS;
    if (cfa__id_compare(pledge->payment_id, payment->id) != 0)
        check = CFA__AUDIT_PLEDGE_PAYMENT;
    char expected[CFA_ID_TEXT_SIZE], found[CFA_ID_TEXT_SIZE];
    if (check == CFA__AUDIT_PLEDGE_PAYMENT) {
        cfa__id_format(expected, "pay", payment->id);
        cfa__id_format(found, "pay", pledge->payment_id);
        cfa__audit_texts(audit, check, &place, "payment_id", expected, found);
    } else if (cfa__id_compare(pledge->campaign_id, payment->campaign_id) != 0) {
        cfa__id_format(expected, "cmp", payment->campaign_id);
        cfa__id_format(found, "cmp", pledge->campaign_id);
        cfa__audit_texts(audit, check, &place, "campaign_id", expected, found);
    } else if (memcmp(pledge->currency, payment->currency, sizeof pledge->currency) != 0) {
        cfa__audit_texts(audit, check, &place, "currency", payment->currency, pledge->currency);
    } else {
        cfa__audit_compare(audit, check, &place, "amount_minor", payment->amount_minor,
                           pledge->amount_minor);
    }
    return CFA_OK;
}

static cfa_status explain_pledge(cfa__audit *audit, const cfa__member *members, size_t count) {
    const void *pledge = NULL, *payment = NULL;
    cfa__id payment_id = members[0].other;
    for (size_t i = 0; i < count; i++) {
        if (members[i].weight < 0)
            payment_id = members[i].other; /* which names this pledge */
    }
    cfa_status status =
        cfa__audit_get_id(audit, audit->scratch, &cfa__pledge_kind, members[0].group, &pledge);
    if (status == CFA_OK)
        status = cfa__audit_get_id(audit, audit->scratch, &cfa__payment_kind, payment_id, &payment);
    if (status != CFA_OK)
        return status;
    cfa__place place = cfa__place_of("plg", members[0].group);
    place.payment_id = payment_id;
    if (payment == NULL)
        cfa__audit_no_payment(audit, payment_id);
    else if (pledge == NULL)
        cfa__audit_texts(audit, CFA__AUDIT_PLEDGE_MISSING, &place, NULL, "the pledge", "none");
    else if (cfa__id_compare(((const cfa__payment *)payment)->pledge_id, members[0].group) != 0)
        cfa__audit_texts(audit, CFA__AUDIT_PLEDGE_PAYMENT, &place, "payment_id",
                         "a payment of this pledge", "another pledge's");
    else
        status = compare_pledge(audit, pledge, payment);
    return status;
}

static void explain_key(cfa__audit *audit, const cfa__member *members, size_t count) {
    struct sides sides;
    take_sides(&sides, members, count);
    cfa__place place = cfa__place_of("plg", members[0].group);
    int32_t check = sides.plus == 0    ? CFA__AUDIT_KEY_MISSING
                    : sides.minus == 0 ? CFA__AUDIT_KEY_STRAY
                                       : CFA__AUDIT_KEY_DOUBLED;
    cfa__audit_numbers(audit, check, &place, "keys", sides.minus > 0, sides.plus);
}

static void explain_donor(cfa__audit *audit, const cfa__member *members, size_t count) {
    struct sides sides;
    take_sides(&sides, members, count);
    cfa__place place = cfa__place_of("dnr", members[0].group);
    cfa__audit_numbers(audit, sides.plus == 0 ? CFA__AUDIT_DONOR_MISSING : CFA__AUDIT_DONOR_STRAY,
                       &place, "pledges", sides.plus > 0, sides.minus);
}

static void explain_supporter(cfa__audit *audit, const cfa__member *members, size_t count) {
    for (size_t i = 0; i < count;) {
        struct sides sides;
        cfa__place place = cfa__place_of("dnr", members[i].group);
        uint32_t currency = (uint32_t)members[i].rest;
        place.campaign_id = members[i].other;
        memcpy(place.currency, &currency, sizeof place.currency);
        size_t used = take_sides(&sides, members + i, count - i);
        int64_t contributions = 0, counted = 0;
        for (size_t j = i; j < i + used; j++) {
            /* Contributions come with 1; what else is positive is a negative counter. */
            if (members[j].weight == 1)
                contributions++;
            else
                counted -= members[j].weight;
        }
        if (contributions != counted)
            cfa__audit_numbers(audit, CFA__AUDIT_SUPPORTER_DIFFERS, &place, "donation_count",
                               contributions, counted);
        i += used;
    }
}

static cfa_status explain_object(cfa__audit *audit, const cfa__member *members, size_t count) {
    const void *payment = NULL;
    cfa__place place = cfa__place_of("pay", members[0].group);
    place.payment_id = members[0].group;
    cfa_status status =
        cfa__audit_get_id(audit, audit->scratch, &cfa__payment_kind, members[0].group, &payment);
    for (size_t i = 0; status == CFA_OK && i < count;) {
        struct sides sides;
        i += take_sides(&sides, members + i, count - i);
        if (payment == NULL)
            cfa__audit_texts(audit, CFA__AUDIT_OBJECT_STRAY, &place, "payment_id", "the payment",
                             "none");
        else if (sides.plus == 0)
            cfa__audit_texts(audit, CFA__AUDIT_OBJECT_MISSING, &place, "ref",
                             "an object that leads to the payment", "none");
        /* Else a payment has more objects than those that it is known by. */
    }
    return status;
}

static void explain_part(cfa__audit *audit, const cfa__member *members, size_t count) {
    for (size_t i = 0; i < count;) {
        struct sides sides;
        cfa__place place = cfa__place_of("part", members[i].group);
        place.payment_id = members[i].other;
        i += take_sides(&sides, members + i, count - i);
        cfa__audit_numbers(audit,
                           sides.plus == 0 ? CFA__AUDIT_OBJECT_MISSING : CFA__AUDIT_OBJECT_STRAY,
                           &place, "part_id", sides.minus, sides.plus);
    }
}

static void explain_accepted(cfa__audit *audit, const cfa__member *members, size_t count) {
    struct sides sides;
    cfa__place place = cfa__place_of("pay", members[0].group);
    place.payment_id = members[0].group;
    take_sides(&sides, members, count);
    place.number = sides.place; /* of the step; without one there is only the act */
    cfa__audit_numbers(audit, CFA__AUDIT_TRANSITION_ACT, &place, "acts", sides.plus, sides.minus);
}

cfa_status cfa__audit_explain(cfa__audit *audit, int32_t tally, const cfa__member *members,
                              size_t count) {
    cfa_status status = CFA_OK;
    cfa_arena_reset(audit->scratch);
    switch (tally) {
    case CFA__TALLY_LOG: status = explain_log(audit, members, count); break;
    case CFA__TALLY_APPLIED: status = explain_applied(audit, members, count); break;
    case CFA__TALLY_PLEDGE: status = explain_pledge(audit, members, count); break;
    case CFA__TALLY_KEY: explain_key(audit, members, count); break;
    case CFA__TALLY_DONOR: explain_donor(audit, members, count); break;
    case CFA__TALLY_SUPPORTER: explain_supporter(audit, members, count); break;
    case CFA__TALLY_OBJECT: status = explain_object(audit, members, count); break;
    case CFA__TALLY_PART: explain_part(audit, members, count); break;
    default: explain_accepted(audit, members, count); break;
    }
    return status == CFA_OK ? audit->status : status;
}
