/*
 * reversal.c - money that goes back: people who ask for refunds, the provider's desk and banks that
 * act without asking. It must never decide what is right: reversal_check.c does.
 */
#include "sim/sim.h"
#include "core/records.h"

#include <stdio.h>
#include <string.h>

#define TURNS_MAX 12 /* of one payment's people, desk and bank */
#define TRIES_MAX 10 /* of one refund key */
#define DISPUTES_MAX 3

/* A payment as its people see it at the provider. */
struct scene {
    struct sim *sim;
    struct donor *donor;
    cfa_arena *arena;
    cfa_facts facts;
};

static int32_t index_of(const struct sim *sim, const struct donor *donor) {
    return (int32_t)(donor - sim->donors);
}

void reversals_draw(struct sim *sim, struct donor *donor) {
    donor->back = draw_below(sim, 4) == 0 && !donor->last;
    if (donor->back)
        schedule(sim, draw_time(sim, 6 * HOUR_US), EVENT_BACK, index_of(sim, donor), 0);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void learn(struct process *process, struct refund_ask *ask, cfa_status status,
                  const cfa_refund *refund) {
    struct sim *sim = process->sim;
    note(sim, "refund is answered", (int64_t)(ask - sim->asks), status, process->number);
    if (status == CFA_OK) {
        const char *id = cfa_refund_id(refund);
        require(sim, ask->refund_id[0] == '\0' || strcmp(ask->refund_id, id) == 0,
                "R6: the key %s is %s and %s", ask->key, ask->refund_id, id);
        require(sim, cfa_refund_replayed(refund) || !ask->made, "R6: the key %s is new twice",
                ask->key);
        require(sim, ask->minor == 0 || cfa_refund_amount(refund).minor == ask->minor,
                "R6: the key %s gives another amount", ask->key);
        ask->made = ask->made || !cfa_refund_replayed(refund);
        if (cfa_refund_replayed(refund))
            cover(REFUND_REPLAY);
        snprintf(ask->refund_id, sizeof ask->refund_id, "%s", id);
        return;
    }
    cfa_status_class class = cfa_status_class_of(status);
    bool refused = status == CFA_ESTATE || status == CFA_ERANGE;
    require(sim,
            (refused && ask->refund_id[0] == '\0') ||
                (sim->faults && (class == CFA_CLASS_TRANSIENT || class == CFA_CLASS_IN_DOUBT)),
            "who asks for a refund with the key %s is told %s", ask->key, cfa_status_name(status));
    if (status == CFA_ESTATE)
        cover(REFUND_NOTHING_LEFT);
    if (status == CFA_ERANGE)
        cover(REFUND_TOO_MUCH);
}

static cfa_refund_spec spec_of(struct sim *sim, const struct refund_ask *ask) {
    const struct donor *donor = &sim->donors[ask->donor];
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    spec.key = ask->key;
    spec.payment_id = donor->payment_id;
    spec.timeout_ms = donor->patience_ms;
    if (ask->minor > 0) {
        spec.amount = donor->amount;
        spec.amount.minor = ask->minor;
    }
    return spec;
}

static void ask(struct process *process, void *user) {
    struct sim *sim = process->sim;
    int32_t number = *(const int32_t *)user;
    struct refund_ask copy = sim->asks[number]; /* they may move meanwhile */
    cfa_refund_spec spec = spec_of(sim, &copy);
    cfa_refund *refund = NULL;
    cfa_status status = cfa_refund_create(&refund, process->engine, &spec);
    learn(process, &sim->asks[number], status, refund);
    cfa_refund_free(refund);
}

static void ask_for_another(struct process *process, void *user) {
    struct sim *sim = process->sim;
    struct refund_ask copy = sim->asks[*(const int32_t *)user];
    copy.minor++;
    cfa_refund_spec spec = spec_of(sim, &copy);
    cfa_refund *refund = NULL;
    cfa_status status = cfa_refund_create(&refund, process->engine, &spec);
    note(sim, "refund key with another amount", *(const int32_t *)user, status, 0);
    cfa_status_class class = cfa_status_class_of(status);
    require(sim,
            status == CFA_EKEYREUSE ||
                (sim->faults && (class == CFA_CLASS_TRANSIENT || class == CFA_CLASS_IN_DOUBT)),
            "R6: another amount under the key %s is told %s", copy.key, cfa_status_name(status));
    if (status == CFA_EKEYREUSE)
        cover(REFUND_KEY_REUSED);
}

static void ask_event(struct sim *sim, int32_t number, bool mismatch) {
    struct process *process = free_process(sim);
    bool known = sim->asks[number].refund_id[0] != '\0';
    if (process != NULL && mismatch && known) {
        (void)within(process, ask_for_another, &number);
    } else if (process != NULL && !mismatch) {
        if (sim->asks[number].in_flight > 0)
            cover(REFUND_OVERLAP);
        sim->asks[number].in_flight++;
        stir(sim);
        (void)within(process, ask, &number);
        sim->asks[number].in_flight--;
    }
    struct refund_ask *asked = &sim->asks[number];
    if (!mismatch && asked->refund_id[0] == '\0' && ++asked->tries <= TRIES_MAX)
        schedule(sim, draw_time(sim, SECOND_US << asked->tries), EVENT_REFUND, number, 0);
}

static void ask_anew(struct scene *scene) {
    struct sim *sim = scene->sim;
    int32_t number = sim->ask_count;
    sim->asks = grow(sim->asks, sim->ask_count, &sim->ask_capacity, sizeof *sim->asks);
    struct refund_ask *asked = &sim->asks[sim->ask_count++];
    memset(asked, 0, sizeof *asked);
    asked->donor = index_of(sim, scene->donor);
    snprintf(asked->key, sizeof asked->key, "refund-%d", (int)number);
    int64_t captured_minor = scene->facts.captured_minor;
    if (draw_below(sim, 3) == 0) {
        cover(REFUND_ALL);
    } else {
        asked->minor =
            draw_below(sim, 2) == 0 ? 1 + captured_minor / 2 : 1 + draw_below(sim, captured_minor);
        cover(REFUND_PART);
    }
    if (draw_below(sim, 3) == 0) { /* how the next one begins */
        cfa_refund_state next = CFA_REFUND_PENDING + (int32_t)draw_below(sim, 4);
        require(sim, cfa_play_refund_next(sim->play, next) == CFA_OK, "a state is refused");
    }
    schedule(sim, 0, EVENT_REFUND, number, 0);
    if (draw_below(sim, 3) == 0)
        schedule(sim, draw_time(sim, SECOND_US / 2), EVENT_REFUND, number, 0);
    if (draw_below(sim, 4) == 0)
        schedule(sim, draw_time(sim, HOUR_US), EVENT_REFUND, number, 1);
}

/* ---- the provider's desk --------------------------------------------------------------------- */

/* A change whose news may be lost is found by probes, because what it changes is known as open. All
 * other news must arrive, however late: nobody asks after what is over. */
static void news_begin(struct sim *sim, bool may_be_lost) {
    cfa_play_weather weather = sim->weather;
    if (!may_be_lost)
        weather.webhook_lost_ppm = 0;
    else if (!sim->deaf && draw_below(sim, 2) == 0)
        weather.webhook_lost_ppm = 1000000;
    if (weather.webhook_lost_ppm == 1000000)
        cover(REVERSAL_LOST);
    require(sim, cfa_play_weather_set(sim->play, &weather) == CFA_OK, "the weather is refused");
    sim->insists = !may_be_lost;
}

static void news_end(struct sim *sim) {
    collect_webhooks(sim);
    sim->insists = false;
    require(sim, cfa_play_weather_set(sim->play, &sim->weather) == CFA_OK,
            "the weather is refused");
}

static bool is_open_refund(int64_t state) {
    return state == CFA_REFUND_PENDING || state == CFA_REFUND_REQUIRES_ACTION;
}

static bool is_open_dispute(int64_t state) {
    return state == CFA_DISPUTE_INQUIRY || state == CFA_DISPUTE_OPEN ||
           state == CFA_DISPUTE_UNDER_REVIEW;
}

/* How a part stands in our book; 0: not there. */
static int64_t known_state(struct scene *scene, const char *ref, bool is_dispute) {
    size_t size = strlen(ref);
    cfa__id payment_id;
    require(scene->sim, cfa__id_parse(&payment_id, "pay", scene->donor->payment_id, "id") == CFA_OK,
            "an id");
    const cfa__refund refund_key = { .payment_id = payment_id };
    const cfa__dispute dispute_key = { .payment_id = payment_id };
    cfa_query rows = is_dispute ? rows_of(scene->sim, &cfa__dispute_kind, CFA__DISPUTE_BY_PAYMENT,
                                          1, &dispute_key, scene->arena)
                                : rows_of(scene->sim, &cfa__refund_kind, CFA__REFUND_BY_PAYMENT, 1,
                                          &refund_key, scene->arena);
    for (int32_t i = 0; i < rows.count; i++) {
        const cfa__refund *refund = is_dispute ? NULL : rows.records[i];
        const cfa__dispute *dispute = is_dispute ? rows.records[i] : NULL;
        cfa_slice known = is_dispute ? dispute->ref : refund->ref;
        if (known.size == size && memcmp(known.data, ref, size) == 0)
            return is_dispute ? dispute->state : refund->state;
    }
    return 0;
}

static bool has_requested(struct scene *scene) {
    cfa__refund key;
    memset(&key, 0, sizeof key);
    require(scene->sim,
            cfa__id_parse(&key.payment_id, "pay", scene->donor->payment_id, "id") == CFA_OK,
            "an id");
    cfa_query rows =
        rows_of(scene->sim, &cfa__refund_kind, CFA__REFUND_BY_PAYMENT, 1, &key, scene->arena);
    bool requested = false;
    for (int32_t i = 0; i < rows.count; i++)
        requested |= ((const cfa__refund *)rows.records[i])->state == CFA_REFUND_REQUESTED;
    return requested;
}

static void refund_at_desk(struct scene *scene) {
    struct sim *sim = scene->sim;
    cfa_play_refund_spec spec = CFA_PLAY_REFUND_SPEC_INIT;
    spec.ref = scene->facts.ref;
    spec.state = CFA_REFUND_PENDING + (int32_t)draw_below(sim, 4);
    if (draw_below(sim, 2) == 0)
        spec.amount_minor = 1 + draw_below(sim, scene->facts.captured_minor);
    news_begin(sim, false);
    cfa_status status = cfa_play_refund(NULL, sim->play, &spec);
    news_end(sim);
    note(sim, "refund at the desk", index_of(sim, scene->donor), spec.state, status);
    require(sim, status == CFA_OK || status == CFA_ERANGE || status == CFA_ESTATE,
            "the desk is told %s", cfa_status_name(status));
    if (status == CFA_OK) {
        scene->donor->desk_refunds++;
        cover(REFUND_DESK);
    }
}

static void move_refund(struct scene *scene) {
    struct sim *sim = scene->sim;
    if (scene->facts.refund_count == 0)
        return;
    const cfa_refund_facts *refund =
        scene->facts.refunds[draw_below(sim, scene->facts.refund_count)];
    cfa_play_refund_spec spec = CFA_PLAY_REFUND_SPEC_INIT;
    spec.ref = refund->ref;
    spec.state = CFA_REFUND_PENDING + (int32_t)draw_below(sim, 5);
    news_begin(sim, is_open_refund(refund->state) &&
                        is_open_refund(known_state(scene, refund->ref, false)));
    cfa_status status = cfa_play_refund(NULL, sim->play, &spec);
    news_end(sim);
    note(sim, "refund goes on", index_of(sim, scene->donor), spec.state, status);
    require(sim, status == CFA_OK || status == CFA_ESTATE, "the desk is told %s",
            cfa_status_name(status));
}

/* ---- the donor's bank ------------------------------------------------------------------------ */

/* What is taken is taken in one go, and given back in one go: reversal_check.c knows. */
static void open_dispute(struct scene *scene) {
    static const cfa_dispute_state states[] = { CFA_DISPUTE_INQUIRY, CFA_DISPUTE_OPEN,
                                                CFA_DISPUTE_OPEN, CFA_DISPUTE_PREVENTED };
    struct sim *sim = scene->sim;
    if (scene->facts.dispute_count == DISPUTES_MAX)
        return;
    cfa_play_dispute_spec spec = CFA_PLAY_DISPUTE_SPEC_INIT;
    spec.ref = scene->facts.ref;
    spec.state = states[draw_below(sim, 4)];
    spec.amount_minor = draw_below(sim, 2) == 0 ? scene->facts.captured_minor
                                                : 1 + draw_below(sim, scene->facts.captured_minor);
    if (spec.state == CFA_DISPUTE_OPEN && draw_below(sim, 2) == 0)
        spec.withdrawn_minor = spec.amount_minor;
    news_begin(sim, false);
    cfa_status status = cfa_play_dispute(NULL, sim->play, &spec);
    news_end(sim);
    note(sim, "dispute", index_of(sim, scene->donor), spec.state, status);
    require(sim, status == CFA_OK, "the bank is told %s", cfa_status_name(status));
    if (has_requested(scene))
        cover(DISPUTE_RACES);
    if (scene->facts.dispute_count > 0)
        cover(DISPUTE_SECOND);
}

static void carry_dispute_on(struct scene *scene) {
    struct sim *sim = scene->sim;
    if (scene->facts.dispute_count == 0)
        return;
    const cfa_dispute_facts *dispute =
        scene->facts.disputes[draw_below(sim, scene->facts.dispute_count)];
    cfa_play_dispute_spec spec = CFA_PLAY_DISPUTE_SPEC_INIT;
    spec.ref = dispute->ref;
    if (draw_below(sim, 4) != 0)
        spec.state =
            dispute->state + (int32_t)draw_below(sim, CFA_DISPUTE_LOST + 1 - dispute->state);
    int32_t state = spec.state != 0 ? spec.state : dispute->state;
    int64_t withdrawn_minor = dispute->withdrawn_minor;
    if (withdrawn_minor == 0 && state >= CFA_DISPUTE_OPEN && state != CFA_DISPUTE_PREVENTED &&
        state != CFA_DISPUTE_WON && draw_below(sim, 2) == 0)
        withdrawn_minor = spec.withdrawn_minor = dispute->amount.minor;
    if (withdrawn_minor > 0 && dispute->reinstated_minor == 0 && state >= CFA_DISPUTE_PREVENTED &&
        draw_below(sim, state == CFA_DISPUTE_LOST ? 8 : 2) == 0)
        spec.reinstated_minor = withdrawn_minor;
    bool one = (spec.withdrawn_minor > 0) + (spec.reinstated_minor > 0) +
                   (spec.state != 0 && spec.state != dispute->state) ==
               1;
    news_begin(sim, is_open_dispute(dispute->state) && (one || is_open_dispute(state)) &&
                        is_open_dispute(known_state(scene, dispute->ref, true)));
    cfa_status status = cfa_play_dispute(NULL, sim->play, &spec);
    news_end(sim);
    note(sim, "dispute goes on", index_of(sim, scene->donor), state, status);
    require(sim, status == CFA_OK || status == CFA_ESTATE, "the bank is told %s",
            cfa_status_name(status));
}

static void tell_more(struct scene *scene) {
    struct sim *sim = scene->sim;
    cfa_status status;
    news_begin(sim, false);
    if (draw_below(sim, 2) == 0) {
        cfa_money fee = scene->facts.amount;
        fee.minor = 1 + fee.minor / 50;
        status = cfa_play_fee(sim->play, scene->facts.ref, fee);
        if (status == CFA_OK)
            cover(FEE_LATE);
    } else {
        status = cfa_play_fraud_warning(sim->play, scene->facts.ref);
        if (status == CFA_OK)
            cover(FRAUD_WARNING);
    }
    news_end(sim);
    note(sim, "fee or warning", index_of(sim, scene->donor), status, 0);
    require(sim, status == CFA_OK || status == CFA_ESTATE, "what is known late: %s",
            cfa_status_name(status));
}

/* ---- whose turn it is ------------------------------------------------------------------------ */

static void take_turn(struct scene *scene) {
    switch (draw_below(scene->sim, 10)) {
    case 0:
    case 1:
    case 2: ask_anew(scene); break;
    case 3: refund_at_desk(scene); break;
    case 4:
    case 5: move_refund(scene); break;
    case 6: open_dispute(scene); break;
    case 7:
    case 8: carry_dispute_on(scene); break;
    default: tell_more(scene); break;
    }
}

static void back_event(struct sim *sim, int32_t number, int32_t turn) {
    struct scene scene = { .sim = sim, .donor = &sim->donors[number] };
    int64_t charges;
    require(sim, cfa_arena_new(&scene.arena) == CFA_OK, "no memory");
    if (cfa_play_payment(&scene.facts, &charges, sim->play, scene.donor->payment_id, scene.arena) ==
            CFA_OK &&
        scene.facts.captured_minor > 0)
        take_turn(&scene);
    cfa_arena_free(scene.arena);
    if (turn + 1 < TURNS_MAX)
        schedule(sim, draw_time(sim, draw_below(sim, 2) == 0 ? MINUTE_US : 4 * HOUR_US), EVENT_BACK,
                 number, turn + 1);
}

void reversal_event(struct sim *sim, const struct event *event) {
    if (event->kind == EVENT_BACK)
        back_event(sim, event->subject, event->number);
    else
        ask_event(sim, event->subject, event->number == 1);
}
