/*
 * check.c - what must be true: during a run for every read, at its end for everything, with the
 * provider's own books as the truth. Written from the rules, not from the core's code.
 */
#include "sim/sim.h"
#include "core/records.h"

#include <stdlib.h>
#include <string.h>

#define CALM_STEP_US (3 * HOUR_US)
#define CALM_STEPS 160

/* ---- while donors come and go ---------------------------------------------------------------- */

void check_nothing_written(struct process *process, const struct donor *donor) {
    struct sim *sim = process->sim;
    bool faults = sim->faults;
    sim->faults = false;
    cfa_pledge *pledge = NULL;
    cfa_status status = cfa_pledge_find(&pledge, process->engine,
                                        donor->scope[0] != '\0' ? donor->scope : NULL, donor->key);
    require(sim, status == CFA_ENOTFOUND, "TRANSIENT, yet the key of donor %d finds %s",
            (int)(donor - sim->donors),
            status == CFA_OK ? cfa_pledge_id(pledge) : cfa_status_name(status));
    sim->faults = faults;
}

void check_totals_read(struct process *process, int32_t campaign, int64_t at_least) {
    struct sim *sim = process->sim;
    cfa_totals_spec spec = CFA_TOTALS_SPEC_INIT;
    spec.at_least = at_least;
    cfa_totals *totals = NULL;
    cfa_status status =
        cfa_totals_get(&totals, process->engine, sim->campaign_ids[campaign], &spec);
    note(sim, "totals", process->number, status, campaign);
    if (status != CFA_OK) {
        cfa_status_class class = cfa_status_class_of(status);
        require(sim, sim->faults && (class == CFA_CLASS_TRANSIENT || class == CFA_CLASS_IN_DOUBT),
                "totals cannot be read: %s", cfa_status_name(status));
        return;
    }
    int64_t version = cfa_totals_version(totals);
    require(sim, version >= process->versions[campaign],
            "S9: totals went from version %lld back to %lld",
            (long long)process->versions[campaign], (long long)version);
    require(sim, cfa_totals_position(totals) >= at_least, "S9: totals lack a donor's own write");
    process->versions[campaign] = version;
    for (size_t i = 0; i < cfa_totals_size(totals); i++) {
        const cfa_totals_row *row = cfa_totals_at(totals, i);
        require(sim,
                row->pledged_minor >= 0 && row->authorized_minor >= 0 && row->raised_minor >= 0 &&
                    row->donation_count >= row->donor_count && row->donor_count >= 0 &&
                    row->net_minor == row->raised_minor - row->refunded_minor - row->disputed_minor,
                "S9: a number of a total is wrong in %s", row->currency);
        note(sim, "raised", row->raised_minor, row->pledged_minor, row->authorized_minor);
    }
    if (at_least > 0)
        cover(TOTALS_AT_LEAST);
    if (cfa_totals_stale(totals))
        cover(TOTALS_STALE);
    cfa_totals_free(totals);
}

/* ---- what the provider says ------------------------------------------------------------------ */

struct truth truth_of(struct sim *sim, const struct donor *donor) {
    struct truth truth = { .exists = false };
    cfa_arena *arena;
    cfa_facts facts;
    require(sim, cfa_arena_new(&arena) == CFA_OK, "no memory");
    cfa_status status =
        cfa_play_payment(&facts, &truth.charges, sim->play, donor->payment_id, arena);
    if (status == CFA_OK) {
        truth.exists = true;
        truth.succeeded = (facts.flags & CFA_FACT_SUCCEEDED) != 0;
        truth.flags = facts.flags;
        truth.captured_minor = facts.captured_minor;
        truth.authorized_minor = facts.authorized_minor;
        for (int32_t i = 0; i < facts.refund_count; i++) {
            int32_t state = facts.refunds[i]->state;
            if (state != CFA_REFUND_FAILED && state != CFA_REFUND_CANCELED)
                truth.refunded_minor += facts.refunds[i]->amount.minor;
        }
        for (int32_t i = 0; i < facts.dispute_count; i++)
            truth.disputed_minor +=
                facts.disputes[i]->withdrawn_minor - facts.disputes[i]->reinstated_minor;
        strncpy(truth.ref, facts.ref, sizeof truth.ref - 1);
    }
    cfa_arena_free(arena);
    return truth;
}

/* ---- events that only say where to look ------------------------------------------------------- */

#define FETCHED_US (30 * MINUTE_US) /* the standing probe of an old payment comes hours later */

void check_fetched_later(struct sim *sim, const char *body) {
    if (sim->faults || sim->now_us - sim->calm_us < 6 * HOUR_US)
        return;
    for (int32_t i = 0; i < sim->donor_count; i++) {
        const struct donor *donor = &sim->donors[i];
        if (donor->payment_id[0] != '\0' && strstr(body, donor->payment_id) != NULL &&
            truth_of(sim, donor).succeeded)
            schedule(sim, FETCHED_US, EVENT_FETCHED, i, 0);
    }
}

static void fetched(struct process *process, void *user) {
    const struct donor *donor = user;
    cfa_payment *payment;
    require(process->sim, cfa_payment_get(&payment, process->engine, donor->payment_id) == CFA_OK,
            "S3: %s is gone", donor->payment_id);
    require(process->sim, cfa_payment_state_of(payment) == CFA_PAYMENT_COMPLETED,
            "%s was not read after an event that only named it", donor->payment_id);
    cfa_payment_free(payment);
    cover(THIN_FETCHED);
}

void check_fetched(struct sim *sim, int32_t number) {
    struct process *process = free_process(sim);
    if (process != NULL)
        (void)within(process, fetched, &sim->donors[number]);
}

/* ---- until nothing is left to be done -------------------------------------------------------- */

/* True when nothing more will happen to a payment unless somebody outside acts. */
static bool is_at_rest(struct sim *sim, const struct donor *donor, const cfa_payment *payment) {
    struct truth truth = truth_of(sim, donor);
    uint32_t doubt = cfa_payment_flags(payment) & CFA_PAYMENT_FLAG_UNKNOWN;
    const uint32_t ends = CFA_FACT_SUCCEEDED | CFA_FACT_CANCELED | CFA_FACT_EXPIRED;
    if (sim->deaf && truth.exists && (truth.flags & ends) == 0)
        return true; /* nobody will ask whether it was paid, so nobody may cancel it */
    switch (cfa_payment_state_of(payment)) {
    case CFA_PAYMENT_COMPLETED:
    case CFA_PAYMENT_CANCELED:
    case CFA_PAYMENT_EXPIRED: return doubt == 0 || sim->deaf;
    case CFA_PAYMENT_AUTHORIZED:
        return doubt == 0 && truth.authorized_minor > 0 && (truth.flags & ends) == 0;
    case CFA_PAYMENT_FAILED: return doubt == 0 && !truth.exists;
    /* A provider whose look-ups prove nothing leaves doubt about what it never got. */
    case CFA_PAYMENT_PENDING: return doubt != 0 && !sim->authoritative && !truth.exists;
    default: return false;
    }
}

static bool all_are_at_rest(struct sim *sim, cfa_engine *engine) {
    bool rest = true;
    for (int32_t i = 0; rest && i < sim->donor_count; i++) {
        cfa_payment *payment;
        if (sim->donors[i].refused)
            continue;
        cfa_status status = cfa_payment_get(&payment, engine, sim->donors[i].payment_id);
        require(sim, status == CFA_OK, "S3: the payment of donor %d: %s", (int)i,
                cfa_status_name(status));
        const struct donor *donor = &sim->donors[i];
        bool back = donor->back || sim->late_rules[donor->campaign] == CFA_LATE_REFUND;
        rest = is_at_rest(sim, donor, payment) && !(back && reversals_differ(sim, donor) != NULL);
        cfa_payment_free(payment);
    }
    return rest;
}

static void tell_restless(struct sim *sim, cfa_engine *engine) {
    for (int32_t i = 0; i < sim->donor_count; i++) {
        const struct donor *donor = &sim->donors[i];
        cfa_payment *payment;
        require(sim, donor->acknowledged || donor->refused || donor->kept,
                "liveness: donor %d has no answer", (int)i);
        if (donor->refused || cfa_payment_get(&payment, engine, donor->payment_id) != CFA_OK)
            continue;
        struct truth truth = truth_of(sim, donor);
        require(sim, is_at_rest(sim, donor, payment),
                "liveness: donor %d: %s is %s, flags %u; the provider: exists %d, flags %u, "
                "captured %lld",
                (int)i, donor->payment_id, cfa_payment_state_name(cfa_payment_state_of(payment)),
                (unsigned)cfa_payment_flags(payment), truth.exists, (unsigned)truth.flags,
                (long long)truth.captured_minor);
        cfa_payment_free(payment);
        const char *difference = reversals_differ(sim, donor);
        require(sim, difference == NULL, "liveness: R2: %s: %s", donor->payment_id, difference);
    }
    violation(sim, "liveness: %d webhooks wait for ever", (int)sim->webhooks_waiting);
}

void check_liveness(struct sim *sim) {
    world_calm(sim);
    struct process *process = NULL;
    for (int32_t step = 0; step < CALM_STEPS; step++) {
        run_until(sim, sim->now_us + CALM_STEP_US);
        process = free_process(sim);
        require(sim, process != NULL, "liveness: no engine comes up");
        bool rest = donors_are_answered(sim) && sim->webhooks_waiting == 0 &&
                    all_are_at_rest(sim, process->engine);
        if (rest && sim->silent) {
            note(sim, "at rest", step, 0, 0);
            return;
        }
        sim->silent = rest;
    }
    tell_restless(sim, process->engine);
}

/* ---- at the end: one payment ----------------------------------------------------------------- */

/* Rules that say something of a payment without moving it. */
static bool is_notice(const char *rule) {
    static const char *const rules[] = { "P19", "P20", "P21", "P23", "D12", "L01", "L02" };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strcmp(rules[i], rule) == 0)
            return true;
    }
    return false;
}

static void check_walk(struct sim *sim, cfa_engine *engine, const struct donor *donor,
                       cfa_payment_state state) {
    /* Bits of the states that may follow. 1 PENDING, 2 REQUIRES_ACTION, 3 PROCESSING, 4 AUTHORIZED,
     * 5 CAPTURED, 6 COMPLETED, 7 FAILED, 8 CANCELED, 9 EXPIRED. */
    static const uint32_t after[] = { 0x002, 0x39c, 0x39a, 0x396, 0x3b0,
                                      0x060, 0x040, 0x31e, 0x220, 0x020 };
    static const char *const rules[] = { "P01", "P02", "P03", "P04", "P05", "P06", "P07",
                                         "P08", "P09", "P11", "P12", "P13", "P14" };
    cfa_transition_list *list;
    require(sim, cfa_payment_history(&list, engine, donor->payment_id) == CFA_OK, "no history");
    cfa_payment_state at = 0;
    for (size_t i = 0; i < cfa_transition_list_size(list); i++) {
        cfa_payment_state to = cfa_transition_to(list, i);
        require(sim, cfa_transition_from(list, i) == at, "S5: the walk of %s has a gap",
                donor->payment_id);
        if (is_notice(cfa_transition_rule(list, i)) && at != 0 && to == at)
            continue;
        require(sim, (after[at] >> to & 1u) != 0, "S5: %s went from %s to %s", donor->payment_id,
                cfa_payment_state_name(at), cfa_payment_state_name(to));
        at = to;
        for (size_t rule = 0; rule < sizeof rules / sizeof rules[0]; rule++)
            coverage[(size_t)COVER_P01 + rule] +=
                strcmp(rules[rule], cfa_transition_rule(list, i)) == 0;
    }
    require(sim, at == state, "S5: the walk of %s ends in %s, the payment in %s", donor->payment_id,
            cfa_payment_state_name(at), cfa_payment_state_name(state));
    cfa_transition_list_free(list);
}

static void check_payment(struct sim *sim, cfa_engine *engine, struct donor *donor) {
    cfa_payment *payment;
    require(sim, cfa_payment_get(&payment, engine, donor->payment_id) == CFA_OK, "S3: %s is gone",
            donor->payment_id);
    struct truth truth = truth_of(sim, donor);
    cfa_payment_state state = cfa_payment_state_of(payment);
    const char *name = cfa_payment_state_name(state), *ref = cfa_payment_ref(payment);
    require(sim, truth.charges <= 1, "S1: %s was charged %lld times", donor->payment_id,
            (long long)truth.charges);
    require(sim, (state == CFA_PAYMENT_COMPLETED) == truth.succeeded,
            "S6: %s is %s, at the provider %s", donor->payment_id, name,
            truth.succeeded ? "succeeded" : "not");
    require(sim, cfa_payment_captured(payment).minor == truth.captured_minor,
            "S6: %s captured %lld, at the provider %lld", donor->payment_id,
            (long long)cfa_payment_captured(payment).minor, (long long)truth.captured_minor);
    check_reversals(sim, engine, donor, cfa_payment_flags(payment));
    require(sim, state != CFA_PAYMENT_FAILED || truth.exists, "%s failed, and nobody refused it",
            donor->payment_id);
    check_untouched(sim, donor);
    if (donor->untouched) {
        require(sim, state == CFA_PAYMENT_EXPIRED, "%s was refused for good, and is %s",
                donor->payment_id, name);
        cover(DEFERRED_EXPIRED);
    }
    if (ref != NULL && strcmp(intent_of(ref), truth.ref) == 0) {
        require(sim,
                (state == CFA_PAYMENT_CANCELED) == ((truth.flags & CFA_FACT_CANCELED) != 0) &&
                    (state == CFA_PAYMENT_EXPIRED) == ((truth.flags & CFA_FACT_EXPIRED) != 0),
                "S6: %s is %s, the provider says flags %u", donor->payment_id, name,
                (unsigned)truth.flags);
    }
    if (state == CFA_PAYMENT_CANCELED && !sim->manual) {
        if (cfa_payment_updated_us(payment) - cfa_payment_created_us(payment) > 20 * HOUR_US)
            cover(EXPIRY_CANCEL);
        else
            cover(LATE_CANCEL);
    }
    check_walk(sim, engine, donor, state);
    note(sim, "payment", state, truth.captured_minor, cfa_payment_sequence(payment));
    cfa_payment_free(payment);
}

/* ---- the log --------------------------------------------------------------------------------- */

struct subject {
    const char *id; /* payment or campaign */
    int64_t sequence;
    int32_t deferred; /* events that say so */
    struct donor *donor;
    int32_t campaign;
};

static int compare_subjects(const void *a, const void *b) {
    return strcmp(((const struct subject *)a)->id, ((const struct subject *)b)->id);
}

static size_t subjects_of(struct sim *sim, struct subject *out) {
    size_t count = 0;
    for (int32_t i = 0; i < sim->donor_count; i++) {
        if (!sim->donors[i].refused)
            out[count++] =
                (struct subject){ .id = sim->donors[i].payment_id, .donor = &sim->donors[i] };
    }
    for (int32_t i = 0; i < CAMPAIGNS; i++)
        out[count++] = (struct subject){ .id = sim->campaign_ids[i], .campaign = i };
    qsort(out, count, sizeof *out, compare_subjects);
    for (size_t i = 1; i < count; i++)
        require(sim, strcmp(out[i - 1].id, out[i].id) != 0, "S2: two donors have %s", out[i].id);
    return count;
}

static void check_event(struct sim *sim, const cfa_event_view *event, int64_t position,
                        struct subject *subjects, size_t count, struct circuit_walk *walk) {
    require(sim, event->position == position, "S7: position %lld follows %lld",
            (long long)event->position, (long long)position - 1);
    note_bytes(sim, event->data.data, event->data.size);
    if (is_circuit_event(event)) {
        check_circuit_event(sim, walk, event);
        return;
    }
    const struct subject key = { .id = event->subject };
    struct subject *subject = bsearch(&key, subjects, count, sizeof *subjects, compare_subjects);
    require(sim, subject != NULL, "S2: the log tells of %s, which nobody made", event->subject);
    require(sim, event->sequence == ++subject->sequence, "S5: %s has sequence %lld after %lld",
            event->subject, (long long)event->sequence, (long long)subject->sequence - 1);
    bool first = strcmp(event->event_type, "org.careforall.pledge.created.v1") == 0 ||
                 strcmp(event->event_type, "org.careforall.campaign.created.v1") == 0;
    require(sim, first == (event->sequence == 1), "S7: %s begins with %s", event->subject,
            event->event_type);
    subject->deferred += strcmp(event->event_type, "org.careforall.pledge.deferred.v1") == 0;
    require(sim, subject->deferred <= 1, "S7: %s is deferred twice", event->subject);
    check_hold_event(sim, subject->donor, subject->campaign, event);
}

/* Who was refused has an event that says so. */
static void check_deferred(struct sim *sim, const struct subject *subjects, size_t count) {
    for (int32_t i = 0; i < sim->donor_count; i++) {
        const struct donor *donor = &sim->donors[i];
        const struct subject key = { .id = donor->payment_id };
        const struct subject *subject =
            bsearch(&key, subjects, count, sizeof *subjects, compare_subjects);
        require(sim, !donor->kept || (subject != NULL && subject->deferred == 1),
                "S7: no event tells that donor %d was refused", (int)i);
    }
}

static void check_log(struct sim *sim, cfa_engine *engine) {
    struct subject *subjects = take(((size_t)sim->donor_count + CAMPAIGNS) * sizeof *subjects);
    size_t count = subjects_of(sim, subjects), size = 1;
    int64_t position = 0;
    struct circuit_walk walk = { "", 0, 0 };
    while (size > 0) {
        cfa_event_list *list;
        require(sim, cfa_event_page(&list, engine, position, 1000) == CFA_OK,
                "the log cannot be read");
        size = cfa_event_list_size(list);
        for (size_t i = 0; i < size; i++)
            check_event(sim, cfa_event_list_at(list, i), ++position, subjects, count, &walk);
        cfa_event_list_free(list);
    }
    check_deferred(sim, subjects, count);
    check_circuit_end(sim, &walk);
    require(sim, sim->broker_position == position, "S8: the log ends at %lld, the sink at %lld",
            (long long)position, (long long)sim->broker_position);
    for (size_t i = 0; i < count; i++) {
        require(sim, subjects[i].sequence > 0, "S3: the log does not know %s", subjects[i].id);
        cfa_payment *payment;
        if (strncmp(subjects[i].id, "pay_", 4) != 0)
            continue;
        require(sim, cfa_payment_get(&payment, engine, subjects[i].id) == CFA_OK, "S3: %s is gone",
                subjects[i].id);
        require(sim, cfa_payment_sequence(payment) == subjects[i].sequence, "S7: %s misses events",
                subjects[i].id);
        check_hold(sim, engine, subjects[i].donor, payment);
        cfa_payment_free(payment);
    }
    free(subjects);
}

/* ---- pledges and totals ---------------------------------------------------------------------- */

static int32_t pledges_of(struct sim *sim, cfa_engine *engine, int32_t campaign) {
    int32_t count = 0;
    char after[CFA_ID_TEXT_SIZE] = "";
    for (;;) {
        cfa_page page = CFA_PAGE_INIT;
        page.after = after[0] != '\0' ? after : NULL;
        page.limit = CFA_PAGE_LIMIT_MAX;
        cfa_pledge_list *list;
        require(sim, cfa_pledge_page(&list, engine, sim->campaign_ids[campaign], &page) == CFA_OK,
                "no page");
        count += (int32_t)cfa_pledge_list_size(list);
        const char *next = cfa_pledge_list_next(list);
        if (next != NULL)
            strncpy(after, next, sizeof after - 1);
        cfa_pledge_list_free(list);
        if (next == NULL)
            return count;
    }
}

static void check_campaign(struct sim *sim, cfa_engine *engine, int32_t campaign) {
    int64_t raised_minor[CURRENCIES] = { 0 }, donations[CURRENCIES] = { 0 };
    int64_t refunded_minor[CURRENCIES] = { 0 }, disputed_minor[CURRENCIES] = { 0 };
    int32_t pledges = 0, equal = 0;
    for (int32_t i = 0; i < sim->donor_count; i++) {
        const struct donor *donor = &sim->donors[i];
        if (donor->refused || donor->campaign != campaign)
            continue;
        struct truth truth = truth_of(sim, donor);
        pledges++;
        if (holds(sim, donor))
            continue; /* in no total */
        for (int32_t currency = 0; currency < CURRENCIES; currency++) {
            if (strcmp(currencies[currency], donor->amount.currency) == 0) {
                raised_minor[currency] += truth.captured_minor;
                refunded_minor[currency] += truth.refunded_minor;
                disputed_minor[currency] += truth.disputed_minor;
                donations[currency] += truth.captured_minor > 0;
            }
        }
    }
    int32_t stored = pledges_of(sim, engine, campaign);
    require(sim, stored == pledges,
            "S2, S3: %d donors pledged to campaign %d, %d pledges are stored", (int)pledges,
            (int)campaign, (int)stored);
    cfa_totals *totals;
    cfa_totals_spec spec = CFA_TOTALS_SPEC_INIT;
    spec.max_age_ms = -1;
    require(sim, cfa_totals_get(&totals, engine, sim->campaign_ids[campaign], &spec) == CFA_OK,
            "no totals");
    require(sim, cfa_totals_size(totals) == CURRENCIES, "S9: a currency is missing");
    for (size_t i = 0; i < CURRENCIES; i++) {
        const cfa_totals_row *row = cfa_totals_at(totals, i);
        require(sim, row->raised_minor == raised_minor[i] && row->donation_count == donations[i],
                "S9: campaign %d raised %lld %s in %lld donations; the provider took %lld in %lld",
                (int)campaign, (long long)row->raised_minor, currencies[i],
                (long long)row->donation_count, (long long)raised_minor[i],
                (long long)donations[i]);
        require(sim,
                row->refunded_minor == refunded_minor[i] &&
                    row->disputed_minor == disputed_minor[i] &&
                    row->net_minor == raised_minor[i] - refunded_minor[i] - disputed_minor[i],
                "R3: campaign %d: %lld %s refunded, %lld disputed; at the provider %lld and %lld",
                (int)campaign, (long long)row->refunded_minor, currencies[i],
                (long long)row->disputed_minor, (long long)refunded_minor[i],
                (long long)disputed_minor[i]);
    }
    cfa_totals_free(totals);
    require(sim,
            cfa_totals_verify(&equal, engine, sim->campaign_ids[campaign], 0) == CFA_OK && equal,
            "S9: totals differ from their own payments");
}

/* ---- what is left in the store --------------------------------------------------------------- */

cfa_query rows_of(struct sim *sim, const cfa_kind *kind, int32_t index, int32_t match,
                  const void *key, cfa_arena *arena) {
    cfa_session *session;
    int64_t now_us;
    cfa_query query = {
        .kind = kind, .index = index, .match_count = match, .limit = INT32_MAX, .key = key
    };
    bool read =
        sim->store.ops->session_open(sim->store.self, CFA_SESSION_READ, &session) == CFA_OK &&
        sim->store.ops->begin(session, CFA_SESSION_READ, 0, &now_us) == CFA_OK &&
        sim->store.ops->load(session, &query, 1, arena) == CFA_OK;
    require(sim, read, "the store cannot be read");
    sim->store.ops->rollback(session);
    sim->store.ops->session_close(session);
    return query;
}

/* An object is bound to the payment that it is at the provider, under either of its names. */
static void check_object(struct sim *sim, const cfa__provider_object *object, cfa_arena *arena) {
    const cfa_provider *play = cfa_play_provider(sim->play);
    const char *ref = cfa_arena_copy(arena, object->ref.data, object->ref.size);
    require(sim, ref != NULL, "no memory");
    cfa_call call = {
        .struct_size = sizeof call, .kind = CFA_CALL_RETRIEVE, .account = "", .ref = intent_of(ref)
    };
    cfa_reply reply = { .struct_size = sizeof reply };
    char payment_id[CFA_ID_TEXT_SIZE];
    cfa__id_format(payment_id, "pay", object->payment_id);
    play->ops->call(play->self, &call, arena, &reply);
    require(sim,
            reply.outcome == CFA_OUTCOME_DONE && reply.facts.payment_id != NULL &&
                strcmp(reply.facts.payment_id, payment_id) == 0,
            "%s is bound to %s, at the provider it is another's", ref, payment_id);
}

static void check_store(struct sim *sim, cfa_arena *arena) {
    const cfa__provider_object object_key = { .created_us = 0 };
    cfa_query objects = rows_of(sim, &cfa__provider_object_kind, 0, 0, &object_key, arena);
    for (int32_t i = 0; i < objects.count; i++) {
        const cfa__provider_object *object = objects.records[i];
        bool bound = !cfa__id_is_null(object->payment_id);
        require(sim, !bound || object->drained_count == object->parked_count,
                "webhooks stay parked for a bound object");
        if (bound && cfa__id_is_null(object->part_id)) /* R2 compares the parts */
            check_object(sim, object, arena);
        coverage[COVER_WEBHOOK_DRAINED] += (uint64_t)object->drained_count;
    }
    /* The digest of a random key says version 8, where a time-ordered one has its 7. */
    const cfa__key key = { .created_us = 0 };
    cfa_query keys = rows_of(sim, &cfa__key_kind, 0, 0, &key, arena);
    for (int32_t i = 0; i < keys.count; i++)
        coverage[COVER_KEY_ARCHIVED] +=
            ((const cfa__key *)keys.records[i])->digest.bytes[6] >> 4 == 8;
    const cfa__operation operation_key = { .due_us = 0 };
    cfa_query due =
        rows_of(sim, &cfa__operation_kind, CFA__OPERATION_BY_DUE, 0, &operation_key, arena);
    for (int32_t i = 0; i < due.count; i++) {
        const cfa__operation *operation = due.records[i];
        require(sim, operation->due_us > cfa_manual_clock_now_us(sim->clock) - HOUR_US,
                "liveness: operation %lld is overdue", (long long)operation->number);
    }
}

void check_all(struct sim *sim) {
    struct process *process = free_process(sim);
    require(sim, process != NULL, "no engine");
    cfa_engine *engine = process->engine;
    cfa_arena *arena;
    require(sim, cfa_arena_new(&arena) == CFA_OK, "no memory");
    int64_t charges = 0;
    for (int32_t i = 0; i < sim->donor_count; i++) {
        struct donor *donor = &sim->donors[i];
        if (donor->refused) {
            check_nothing_written(process, donor);
            continue;
        }
        check_payment(sim, engine, donor);
        charges += truth_of(sim, donor).charges;
        cfa_pledge *pledge;
        require(sim, cfa_pledge_get(&pledge, engine, donor->pledge_id) == CFA_OK, "S3: %s is gone",
                donor->pledge_id);
        cfa_pledge_free(pledge);
    }
    cfa_play_books books = CFA_PLAY_BOOKS_INIT;
    require(sim, cfa_play_books_get(&books, sim->play) == CFA_OK, "no books");
    require(sim, books.charged_twice == 0, "S1: %lld payments were charged twice",
            (long long)books.charged_twice);
    require(sim, books.charge_count == charges,
            "S1: the provider took money that no donor knows of");
    check_refund_asks(sim, engine, &books);
    check_log(sim, engine);
    for (int32_t i = 0; i < CAMPAIGNS; i++)
        check_campaign(sim, engine, i);
    cfa_act_report acts = CFA_ACT_REPORT_INIT;
    require(sim, cfa_act_verify(&acts, engine) == CFA_OK && acts.count >= CAMPAIGNS, "no acts");
    require(sim, acts.fault == CFA_ACT_NONE, "act %lld: %s", (long long)acts.number,
            cfa_act_fault_text(acts.fault));
    check_acceptances(sim, arena);
    check_store(sim, arena);
    cfa_arena_free(arena);
}
