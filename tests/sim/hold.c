/*
 * hold.c - late money that a campaign's rule holds: a desk that accepts some of it, and what must be
 * true of it, H1 to H4. Written from the rules, not from the core's code: whether money came late,
 * the order of the log tells.
 */
#include "sim/sim.h"
#include "core/records.h"

#include <stdio.h>
#include <string.h>

#define TRIES_MAX 12 /* of one payment's desk */

static int32_t index_of(const struct sim *sim, const struct donor *donor) {
    return (int32_t)(donor - sim->donors);
}

/* ---- the desk -------------------------------------------------------------------------------- */

void holds_draw(struct sim *sim, struct donor *donor) {
    bool holds = sim->late_rules[donor->campaign] == CFA_LATE_HOLD;
    if (holds && draw_below(sim, 3) != 0 && !donor->last)
        schedule(sim, draw_time(sim, 6 * HOUR_US), EVENT_ACCEPT, index_of(sim, donor), 0);
}

static void learn(struct sim *sim, struct donor *donor, cfa_status status, bool replayed) {
    cfa_status_class class = cfa_status_class_of(status);
    note(sim, "held money: the desk is told", index_of(sim, donor), status, 0);
    require(sim,
            status == CFA_OK || (status == CFA_ESTATE && !donor->accepted) ||
                (sim->faults && (class == CFA_CLASS_TRANSIENT || class == CFA_CLASS_IN_DOUBT)),
            "H2: who accepts %s is told %s", donor->payment_id, cfa_status_name(status));
    if (status == CFA_OK && replayed)
        cover(ACCEPT_REPLAY);
    donor->accepted |= status == CFA_OK;
    if (status == CFA_OK || status == CFA_ESTATE) /* under one key: the earlier asks did nothing */
        donor->accept_doubt = false;
    else if (class != CFA_CLASS_TRANSIENT)
        donor->accept_doubt = true;
}

static cfa_status ask(struct process *process, const struct donor *donor, const char *kind) {
    char key[32];
    cfa_payment *payment = NULL;
    snprintf(key, sizeof key, "%s-%d", kind, (int)index_of(process->sim, donor));
    cfa_status status =
        cfa_payment_accept(&payment, process->engine, donor->payment_id, "desk", key, NULL);
    if (status == CFA_OK)
        require(process->sim, (cfa_payment_flags(payment) & CFA_PAYMENT_FLAG_HELD) == 0,
                "H2: %s is accepted, and held", donor->payment_id);
    cfa_payment_free(payment);
    return status;
}

static void accept(struct process *process, void *user) {
    struct donor *donor = user;
    bool replayed = donor->accepted, doubt = donor->accept_doubt;
    donor->accept_doubt = true; /* the process may die */
    cfa_status status = ask(process, donor, "accept");
    donor->accept_doubt = doubt;
    learn(process->sim, donor, status, replayed);
}

/* Another key, when it is accepted: there is nothing to accept any more. */
static void accept_again(struct process *process, void *user) {
    struct sim *sim = process->sim;
    const struct donor *donor = user;
    cfa_status status = ask(process, donor, "again");
    cfa_status_class class = cfa_status_class_of(status);
    note(sim, "accepted under another key", index_of(sim, donor), status, 0);
    require(sim,
            status == CFA_ESTATE ||
                (sim->faults && (class == CFA_CLASS_TRANSIENT || class == CFA_CLASS_IN_DOUBT)),
            "H2: who accepts %s once more is told %s", donor->payment_id, cfa_status_name(status));
    if (status == CFA_ESTATE)
        cover(ACCEPT_REFUSED);
}

void accept_event(struct sim *sim, int32_t number, int32_t tries) {
    struct process *process = free_process(sim);
    struct donor *donor = &sim->donors[number];
    if (process != NULL && donor->payment_id[0] != '\0') {
        stir(sim);
        (void)within(process, donor->accepted && draw_below(sim, 2) == 0 ? accept_again : accept,
                     donor);
    }
    if (tries < TRIES_MAX)
        schedule(sim, draw_time(sim, draw_below(sim, 4) == 0 ? MINUTE_US : 4 * HOUR_US),
                 EVENT_ACCEPT, number, tries + 1);
}

/* ---- H1: the log ----------------------------------------------------------------------------- */

static bool has_text(const cfa_event_view *event, const char *text) {
    size_t size = strlen(text);
    const char *data = event->data.data;
    for (size_t at = 0; at + size <= event->data.size; at++) {
        if (memcmp(data + at, text, size) == 0)
            return true;
    }
    return false;
}

bool holds(const struct sim *sim, const struct donor *donor) {
    return sim->late_rules[donor->campaign] == CFA_LATE_HOLD && donor->came_late && !donor->let_in;
}

void check_hold_event(struct sim *sim, struct donor *donor, int32_t campaign,
                      const cfa_event_view *event) {
    if (donor == NULL) {
        sim->log_ended[campaign] |=
            strcmp(event->event_type, "org.careforall.campaign.ended.v1") == 0;
        return;
    }
    bool taken =
        has_text(event, "\"state\":\"CAPTURED\"") || has_text(event, "\"state\":\"COMPLETED\"");
    if (taken && !donor->log_taken) {
        donor->log_taken = true;
        donor->came_late = sim->log_ended[donor->campaign];
    }
    if (strcmp(event->event_type, "org.careforall.payment.accepted.v1") == 0) {
        require(sim, holds(sim, donor), "H1: %s is accepted, and was not held", donor->payment_id);
        donor->let_in = true;
    }
    bool raised = !has_text(event, "\"raised_minor\":0,");
    require(sim, raised == (taken && !holds(sim, donor)), "H1: %s raises %s at position %lld",
            donor->payment_id, raised ? "held money" : "nothing", (long long)event->position);
}

/* ---- H2 to H4: at the end -------------------------------------------------------------------- */

static int32_t steps_of(struct sim *sim, cfa_engine *engine, const struct donor *donor,
                        const char *rule) {
    cfa_transition_list *list;
    int32_t count = 0;
    require(sim, cfa_payment_history(&list, engine, donor->payment_id) == CFA_OK, "no history");
    for (size_t i = 0; i < cfa_transition_list_size(list); i++)
        count += strcmp(cfa_transition_rule(list, i), rule) == 0;
    cfa_transition_list_free(list);
    return count;
}

void check_hold(struct sim *sim, cfa_engine *engine, const struct donor *donor,
                const cfa_payment *payment) {
    uint32_t flags = cfa_payment_flags(payment);
    bool late = (flags & CFA_PAYMENT_FLAG_LATE) != 0, held = (flags & CFA_PAYMENT_FLAG_HELD) != 0;
    bool under_rule = sim->late_rules[donor->campaign] == CFA_LATE_HOLD && donor->came_late;
    require(sim, late == donor->came_late, "H3: %s is %s, by the log it is not", donor->payment_id,
            late ? "late" : "in time");
    require(sim, held == holds(sim, donor), "H3: %s is %s", donor->payment_id,
            held ? "held" : "not held");
    require(sim, steps_of(sim, engine, donor, "L01") == under_rule, "H3: %s is held without a step",
            donor->payment_id);
    require(sim, steps_of(sim, engine, donor, "L02") == donor->let_in,
            "H3: %s is accepted without a step", donor->payment_id);
    require(sim, donor->let_in == donor->accepted || (donor->accept_doubt && donor->let_in),
            "H2: the desk was told that %s is %saccepted", donor->payment_id,
            donor->accepted ? "" : "not ");
    if (held)
        cover(HELD);
    if (donor->let_in)
        cover(ACCEPTED);
    if (under_rule && cfa_payment_refunded(payment).minor > 0)
        cover(HELD_REFUNDED);
    if (under_rule && cfa_payment_disputed(payment).minor > 0)
        cover(HELD_DISPUTED);
}

void check_acceptances(struct sim *sim, cfa_arena *arena) {
    const cfa__act key = { .number = 0 };
    cfa_query acts = rows_of(sim, &cfa__act_kind, 0, 0, &key, arena);
    int32_t told = 0, let_in = 0;
    for (int32_t i = 0; i < acts.count; i++) {
        cfa_slice action = ((const cfa__act *)acts.records[i])->action;
        told += action.size == strlen("payment.accept") &&
                memcmp(action.data, "payment.accept", action.size) == 0;
    }
    for (int32_t i = 0; i < sim->donor_count; i++)
        let_in += sim->donors[i].let_in;
    require(sim, told == let_in, "H4: %d payments were accepted, %d acts say so", (int)let_in,
            (int)told);
}
