/*
 * donor.c - donors as small state machines: they click twice, lose answers and ask again with the
 * same key, pay at once, late or never. And the host's own people, who capture, cancel or forget
 * holds. Every answer is compared with what was answered before.
 */
#include "sim/sim.h"
#include "core/decide/decide.h"
#include "core/engine/engine.h"

#include <stdio.h>
#include <string.h>

#define TRIES_MAX 14
#define ANSWER_KEPT_US (30 * DAY_US - 2 * HOUR_US) /* the wall clock may be an hour off, twice */

struct request {
    int32_t number;   /* of the donor */
    int32_t mismatch; /* 1: amount, 2: currency, 3: campaign; 0: the donor's own */
};

static int32_t index_of(const struct sim *sim, const struct donor *donor) {
    return (int32_t)(donor - sim->donors);
}

/* ---- who they are ---------------------------------------------------------------------------- */

static void draw_key(struct sim *sim, struct donor *donor, int32_t number) {
    uint64_t a = draw(sim), b = draw(sim);
    if (number > 0 && draw_below(sim, 16) == 0 && sim->donors[number - 1].scope[0] == '\0') {
        /* The same key in another scope is another key. */
        memcpy(donor->key, sim->donors[number - 1].key, sizeof donor->key);
        snprintf(donor->scope, sizeof donor->scope, "shop-%d", (int)number);
    } else if (a % 2 == 0) {
        unsigned long long at_ms = (unsigned long long)(cfa_manual_clock_now_us(sim->clock) / 1000);
        snprintf(donor->key, sizeof donor->key, "%08llx-%04llx-7%03llx-%04llx-%012llx", at_ms >> 16,
                 at_ms & 0xffff, (unsigned long long)(a >> 8 & 0xfff),
                 (unsigned long long)(0x8000 | (a >> 20 & 0x3fff)), (unsigned long long)(b >> 16));
    } else {
        snprintf(donor->key, sizeof donor->key, "key-%d-%016llx", (int)number,
                 (unsigned long long)b);
    }
}

static void donor_draw(struct sim *sim, int32_t number) {
    static const char *const methods[] = { "pm_ok",    "pm_ok",     "pm_ok",  "pm_declined",
                                           "pm_funds", "pm_action", "pm_slow" };
    struct donor *donor = &sim->donors[number];
    draw_key(sim, donor, number);
    donor->method = methods[draw_below(sim, 7)];
    donor->second_method = draw_below(sim, 3) == 0 ? NULL : methods[draw_below(sim, 7)];
    donor->campaign = (int32_t)draw_below(sim, CAMPAIGNS);
    int64_t currency = draw_below(sim, CURRENCIES);
    memcpy(donor->amount.currency, currencies[currency], 4);
    donor->amount.minor = 500 + 10 * draw_below(sim, 10000);
    donor->late = draw_below(sim, 10) == 0;
    donor->never_pays = draw_below(sim, 10) == 0;
    donor->approves = draw_below(sim, 4) != 0;
    donor->asynchronous = draw_below(sim, 4) == 0;
    donor->hurried = draw_below(sim, 4) == 0;
    donor->operation = draw_below(sim, 2) == 0 ? OPERATE_CAPTURE : (int32_t)draw_below(sim, 4);
    donor->patience_ms = draw_below(sim, 3) == 0 ? -1 : 1 << draw_below(sim, 14);
    donor->leaves = draw_below(sim, 3) == 0;
    donor->async_process = -1;
    if (draw_below(sim, 3) == 0)
        snprintf(donor->reference, sizeof donor->reference, "person-%d", (int)draw_below(sim, 20));
}

void donors_open(struct sim *sim) {
    sim->donors = take((size_t)sim->donations * sizeof *sim->donors);
    int64_t window_us = draw_time(sim, 8 * HOUR_US);
    for (int32_t i = 0; i < sim->donations; i++) {
        struct donor *donor = &sim->donors[i];
        donor_draw(sim, i);
        if (i + 1 == sim->donations) { /* shows that everything works again */
            donor->method = "pm_ok";
            donor->last = true;
            donor->late = donor->never_pays = donor->leaves = false;
            break;
        }
        int64_t at_us = draw_below(sim, window_us);
        schedule(sim, at_us, EVENT_CREATE, i, 0);
        if (draw_below(sim, 4) == 0)
            schedule(sim, at_us + draw_time(sim, SECOND_US / 2), EVENT_DOUBLE, i, 0);
        if (draw_below(sim, 8) == 0)
            schedule(sim, at_us + draw_time(sim, HOUR_US), EVENT_MISMATCH, i, 0);
        if (draw_below(sim, 8) == 0)
            schedule(sim, at_us + 25 * HOUR_US + draw_time(sim, MINUTE_US), EVENT_REPLAY, i, 0);
        if (draw_below(sim, 16) == 0)
            schedule(sim, at_us + 31 * DAY_US + draw_time(sim, HOUR_US), EVENT_REPLAY, i, 1);
        if (sim->one_step && strcmp(sim->donors[i].method, "pm_slow") == 0)
            schedule(sim, at_us + draw_time(sim, HOUR_US), EVENT_SETTLE, i, 0);
    }
    sim->donor_count = sim->donations;
}

/* ---- what they are told ---------------------------------------------------------------------- */

static void learn_answer(struct sim *sim, struct donor *donor, const cfa_pledge *pledge,
                         int64_t asked_us) {
    cfa_slice answer = cfa_pledge_answer(pledge);
    int32_t number = index_of(sim, donor);
    bool pending = cfa_pledge_pending(pledge) != 0;
    require(sim, !pending || answer.size == 0, "S2: donor %d has an answer that is pending",
            (int)number);
    bool old = donor->answer != NULL && sim->now_us - donor->answered_us >= ANSWER_KEPT_US;
    if (donor->answer != NULL) {
        bool same = donor->answer_size == answer.size &&
                    memcmp(donor->answer, answer.data, answer.size) == 0;
        bool overtaken =
            pending && asked_us <= donor->answered_us; /* by the answer to another request */
        require(sim, same || (old && !pending) || overtaken,
                "S2: donor %d was answered\n%s\nand now\n%.*s", (int)number, donor->answer,
                (int)answer.size, answer.size > 0 ? (const char *)answer.data : "");
        if (!same && old)
            cover(ANSWER_DROPPED); /* what is told now is how the pledge stands */
        return;
    }
    if (answer.size == 0) {
        if (pending && cfa_pledge_replayed(pledge))
            cover(REPLAY_PENDING);
        return;
    }
    const char *secret = cfa_pledge_client_secret(pledge);
    reversals_draw(sim, donor);
    holds_draw(sim, donor);
    donor->answer = take(answer.size + 1);
    memcpy(donor->answer, answer.data, answer.size);
    donor->answer_size = answer.size;
    donor->answered_us = sim->now_us;
    if (secret != NULL) {
        donor->client_secret = take(strlen(secret) + 1);
        memcpy(donor->client_secret, secret, strlen(secret));
    }
    note_bytes(sim, donor->answer, donor->answer_size);
    if (!donor->never_pays)
        schedule(sim,
                 donor->late ? 20 * HOUR_US + draw_below(sim, 10 * HOUR_US)
                             : draw_time(sim, MINUTE_US),
                 EVENT_PAY, number, 0);
    else if (draw_below(sim, 4) == 0)
        schedule(sim, draw_time(sim, 6 * HOUR_US), EVENT_EXPIRE, number, 0);
    if (sim->manual)
        schedule(sim, draw_time(sim, HOUR_US), EVENT_OPERATE, number, 0);
}

static void learn_pledge(struct process *process, struct donor *donor, const cfa_pledge *pledge,
                         int64_t asked_us) {
    struct sim *sim = process->sim;
    int32_t number = index_of(sim, donor);
    const char *id = cfa_pledge_id(pledge);
    if (donor->acknowledged || donor->kept) {
        require(sim, strcmp(donor->pledge_id, id) == 0, "S2: donor %d has two pledges, %s and %s",
                (int)number, donor->pledge_id, id);
    }
    if (donor->kept && !donor->acknowledged && cfa_pledge_state(pledge) != CFA_PAYMENT_EXPIRED)
        cover(REVIVED);
    if (sim->breaker && !sim->rejects && cfa_pledge_pending(pledge) &&
        atomic_load(&process->engine->circuit.state) != CFA__BREAKER_CLOSED)
        cover(QUEUED);
    if (cfa_pledge_replayed(pledge)) {
        cover(REPLAY);
    } else {
        require(sim, !donor->made, "S2: donor %d is told twice that the pledge is new",
                (int)number);
        donor->made = true;
    }
    int64_t ended_us = sim->campaign_ended_us[donor->campaign];
    require(sim, ended_us == 0 || donor->first_us <= ended_us,
            "donor %d pledged to an ended campaign", (int)number);
    cfa_money amount = cfa_pledge_amount(pledge);
    require(sim,
            amount.minor == donor->amount.minor &&
                memcmp(amount.currency, donor->amount.currency, 4) == 0 &&
                strcmp(cfa_pledge_campaign_id(pledge), sim->campaign_ids[donor->campaign]) == 0,
            "S4: donor %d got somebody else's pledge", (int)number);
    if (!donor->acknowledged)
        donor->acknowledged_us = sim->now_us;
    donor->acknowledged = donor->written = true;
    snprintf(donor->pledge_id, sizeof donor->pledge_id, "%s", id);
    snprintf(donor->payment_id, sizeof donor->payment_id, "%s", cfa_pledge_payment_id(pledge));
    learn_answer(sim, donor, pledge, asked_us);
    if (draw_below(sim, 16) == 0)
        check_totals_read(process, donor->campaign, cfa_pledge_position(pledge));
}

/* A donor's own request came back, one way or another. */
static void learn(struct process *process, struct donor *donor, cfa_status status,
                  const cfa_pledge *pledge, int64_t asked_us) {
    struct sim *sim = process->sim;
    int32_t number = index_of(sim, donor);
    note(sim, "donor is answered", number, status, process->number);
    if (status == CFA_OK) {
        learn_pledge(process, donor, pledge, asked_us);
        return;
    }
    if (status == CFA_ECIRCUIT) {
        check_refusal(process, donor, asked_us);
        return;
    }
    switch (cfa_status_class_of(status)) {
    case CFA_CLASS_TRANSIENT:
        require(sim, sim->faults, "donor %d fails without a fault: %s", (int)number,
                cfa_status_name(status));
        cover(CALLER_TRANSIENT);
        if (!donor->written && donor->in_flight == 1)
            check_nothing_written(process, donor);
        break;
    case CFA_CLASS_IN_DOUBT:
        require(sim, sim->faults, "donor %d is in doubt without a fault", (int)number);
        cover(CALLER_IN_DOUBT);
        donor->written = true;
        break;
    default:
        require(sim, status == CFA_ECLOSED && sim->campaign_ending[donor->campaign],
                "donor %d is told %s", (int)number, cfa_status_name(status));
        require(sim, !donor->acknowledged && !donor->kept, "S3: donor %d's pledge is gone",
                (int)number);
        cover(CLOSED);
        donor->refused = true;
        break;
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

static cfa_pledge_spec spec_of(struct sim *sim, const struct donor *donor) {
    cfa_pledge_spec spec = CFA_PLEDGE_SPEC_INIT;
    spec.key = donor->key;
    spec.scope = donor->scope[0] != '\0' ? donor->scope : NULL;
    spec.campaign_id = sim->campaign_ids[donor->campaign];
    spec.amount = donor->amount;
    spec.payment_method = sim->one_step ? donor->method : NULL;
    spec.donor_reference = donor->reference[0] != '\0' ? donor->reference : NULL;
    spec.wait = donor->hurried ? CFA_WAIT_COMMIT : CFA_WAIT_ANSWER;
    spec.timeout_ms = donor->patience_ms;
    return spec;
}

static void ask(struct process *process, void *user) {
    const struct request *request = user;
    struct sim *sim = process->sim;
    struct donor *donor = &sim->donors[request->number];
    cfa_pledge_spec spec = spec_of(sim, donor);
    cfa_pledge *pledge = NULL;
    int64_t asked_us = sim->now_us;
    cfa_status status = cfa_pledge_create(&pledge, process->engine, &spec);
    learn(process, donor, status, pledge, asked_us);
    cfa_pledge_free(pledge);
}

static void ask_port(struct process *process, void *user) {
    const struct request *request = user;
    struct sim *sim = process->sim;
    struct donor *donor = &sim->donors[request->number];
    cfa_pledge_spec spec = spec_of(sim, donor);
    cfa_status status = cfa_pledge_create_begin(process->port, (uint64_t)request->number, &spec);
    require(sim, status == CFA_OK, "a port refuses donor %d: %s", (int)request->number,
            cfa_status_name(status));
    donor->async_process = process->number;
    donor->async_us = sim->now_us;
    donor->in_flight++;
    cover(ASYNC);
}

/* Refused, and gone for good. */
static bool has_left(const struct donor *donor) { return donor->kept && donor->leaves; }

/* Ask once, through whatever process is up. False when none was. */
static bool ask_somebody(struct sim *sim, int32_t number, bool through_port) {
    struct process *process = free_process(sim);
    struct donor *donor = &sim->donors[number];
    struct request request = { number, 0 };
    if (has_left(donor))
        return true;
    if (process == NULL)
        return false;
    if (donor->first_us == 0)
        donor->first_us = sim->now_us;
    note(sim, "donor asks", number, donor->in_flight, process->number);
    stir(sim);
    check_untouched(sim, donor);
    donor->untouched = false;
    donor->overlaps = donor->in_flight > 0;
    donor->in_flight++;
    if (!within(process, through_port ? ask_port : ask, &request))
        donor->written = true;
    donor->in_flight--;
    return true;
}

static bool is_settled(const struct donor *donor) {
    return donor->refused || donor->answer != NULL || has_left(donor);
}

/* The donor's own patience: again and again with the same key, ever more slowly. */
static void ask_again_later(struct sim *sim, struct donor *donor) {
    if (!is_settled(donor) && donor->async_process < 0 && ++donor->tries <= TRIES_MAX)
        schedule(sim, draw_time(sim, SECOND_US << (donor->tries / 2)), EVENT_CREATE,
                 index_of(sim, donor), 0);
}

static void create_event(struct sim *sim, int32_t number) {
    struct donor *donor = &sim->donors[number];
    if (is_settled(donor) || donor->async_process >= 0)
        return;
    (void)ask_somebody(sim, number, donor->asynchronous && donor->tries < TRIES_MAX / 2);
    ask_again_later(sim, donor);
}

static void replay_event(struct sim *sim, int32_t number, int32_t age) {
    struct donor *donor = &sim->donors[number];
    bool known = donor->acknowledged;
    if (donor->refused || has_left(donor))
        return;
    if (!ask_somebody(sim, number, false)) {
        schedule(sim, draw_time(sim, MINUTE_US), EVENT_REPLAY, number, age);
        return;
    }
    if (known && age == 0)
        cover(REPLAY_DAY);
    else if (known)
        cover(REPLAY_MONTH);
}

void donors_complete(struct process *process, void *user) {
    struct sim *sim = process->sim;
    (void)user;
    for (;;) {
        cfa_completion *completion = NULL;
        require(sim, cfa_port_next(&completion, process->port, 0) == CFA_OK, "a port fails");
        if (completion == NULL)
            return;
        struct donor *donor = &sim->donors[cfa_completion_token(completion)];
        cfa_pledge *pledge = cfa_completion_pledge(completion);
        cfa_status status = cfa_completion_status(completion);
        cfa_error error = CFA_ERROR_INIT;
        require(sim,
                cfa_completion_error(&error, completion) == CFA_OK &&
                    (status == CFA_OK || cfa_error_restore(&error) == status),
                "a completion without its error");
        cfa_completion_free(completion);
        donor->async_process = -1;
        learn(process, donor, status, pledge, donor->async_us);
        donor->in_flight--;
        cfa_pledge_free(pledge);
        ask_again_later(sim, donor);
    }
}

void donors_process_died(struct process *process) {
    struct sim *sim = process->sim;
    for (int32_t i = 0; i < sim->donor_count; i++) {
        struct donor *donor = &sim->donors[i];
        if (donor->async_process != process->number)
            continue;
        donor->async_process = -1;
        donor->in_flight--;
        donor->written = true;
        cover(ASYNC_LOST);
        ask_again_later(sim, donor);
    }
}

bool donors_are_answered(struct sim *sim) {
    bool answered = true;
    for (int32_t i = 0; i < sim->donor_count; i++) {
        struct donor *donor = &sim->donors[i];
        if (donor->acknowledged || donor->refused || has_left(donor))
            continue;
        if (donor->last && !answered)
            continue;
        answered = false;
        if (donor->async_process < 0)
            (void)ask_somebody(sim, i, false);
    }
    return answered;
}

/* ---- the same key, another body -------------------------------------------------------------- */

static void ask_for_another(struct process *process, void *user) {
    const struct request *request = user;
    struct sim *sim = process->sim;
    struct donor *donor = &sim->donors[request->number];
    static const char *const fields[] = { "", "amount.minor", "amount.currency", "campaign_id" };
    cfa_pledge_spec spec = spec_of(sim, donor);
    if (request->mismatch == 1)
        spec.amount.minor += 10;
    if (request->mismatch == 2)
        memcpy(spec.amount.currency, strcmp(spec.amount.currency, "EUR") == 0 ? "USD" : "EUR", 4);
    if (request->mismatch == 3)
        spec.campaign_id = sim->campaign_ids[(donor->campaign + 1) % CAMPAIGNS];
    cfa_pledge *pledge = NULL;
    cfa_status status = cfa_pledge_create(&pledge, process->engine, &spec);
    note(sim, "same key, another body", request->number, status, request->mismatch);
    cfa_error error = CFA_ERROR_INIT;
    require(sim, cfa_error_last(&error) == CFA_OK, "no error");
    if (status == CFA_EKEYREUSE) {
        require(sim, strcmp(error.field, fields[request->mismatch]) == 0,
                "S4: the mismatch names \"%s\", not %s", error.field, fields[request->mismatch]);
        cover(KEY_REUSED);
        return;
    }
    cfa_status_class class = cfa_status_class_of(status);
    require(sim, sim->faults && (class == CFA_CLASS_TRANSIENT || class == CFA_CLASS_IN_DOUBT),
            "S4: another body under donor %d's key is told %s", (int)request->number,
            cfa_status_name(status));
}

static void mismatch_event(struct sim *sim, int32_t number) {
    struct process *process = free_process(sim);
    struct request request = { number, 1 + (int32_t)draw_below(sim, 3) };
    if (process != NULL && (sim->donors[number].acknowledged || sim->donors[number].kept))
        (void)within(process, ask_for_another, &request);
}

/* ---- paying ---------------------------------------------------------------------------------- */

static void after_attempt(struct sim *sim, const struct donor *donor, const char *method,
                          cfa_status status, int32_t attempt) {
    int32_t number = index_of(sim, donor);
    if (status == CFA_OK && strcmp(method, "pm_action") == 0)
        schedule(sim, draw_time(sim, 2 * MINUTE_US), EVENT_FINISH, number, attempt);
    else if (status == CFA_OK && strcmp(method, "pm_slow") == 0)
        schedule(sim, draw_time(sim, HOUR_US), EVENT_SETTLE, number, 0);
    else if (status == CFA_EDECLINED && attempt == 0 && donor->second_method != NULL)
        schedule(sim, draw_time(sim, MINUTE_US), EVENT_PAY, number, 1);
    else if (status == CFA_OK && donor->late)
        cover(PAID_LATE);
}

static void pay_event(struct sim *sim, int32_t number, int32_t attempt) {
    struct donor *donor = &sim->donors[number];
    const char *method = attempt == 0 ? donor->method : donor->second_method;
    bool made_with_pledge = sim->one_step && attempt == 0;
    if (donor->client_secret == NULL || method == NULL)
        return;
    cfa_status status = CFA_OK;
    if (!made_with_pledge)
        status = cfa_play_confirm(sim->play, donor->client_secret, method);
    else if (strcmp(method, "pm_declined") == 0 || strcmp(method, "pm_funds") == 0)
        status = CFA_EDECLINED;
    note(sim, "donor pays", number, attempt, status);
    require(sim, status == CFA_OK || status == CFA_EDECLINED || status == CFA_ESTATE,
            "the provider does not know the object of donor %d", (int)number);
    collect_webhooks(sim);
    after_attempt(sim, donor, method, status, attempt);
}

static void finish_event(struct sim *sim, int32_t number, int32_t attempt) {
    struct donor *donor = &sim->donors[number];
    cfa_status status = cfa_play_act(sim->play, donor->client_secret, donor->approves);
    note(sim, "donor acts", number, donor->approves, status);
    collect_webhooks(sim);
    if (status == CFA_OK && !donor->approves && attempt == 0 && donor->second_method != NULL)
        schedule(sim, draw_time(sim, MINUTE_US), EVENT_PAY, number, 1);
}

/* The provider's id of a donor's payment, valid until `arena` is freed; NULL when it has none. */
static const char *ref_of(struct sim *sim, const struct donor *donor, cfa_arena *arena) {
    cfa_facts facts;
    int64_t charges;
    if ((!donor->acknowledged && !donor->kept) ||
        cfa_play_payment(&facts, &charges, sim->play, donor->payment_id, arena) != CFA_OK)
        return NULL;
    return facts.ref;
}

static void settle_event(struct sim *sim, int32_t number) {
    struct donor *donor = &sim->donors[number];
    cfa_arena *arena;
    require(sim, cfa_arena_new(&arena) == CFA_OK, "no memory");
    const char *ref = ref_of(sim, donor, arena);
    cfa_status status =
        ref != NULL ? cfa_play_settle(sim->play, ref, donor->approves) : CFA_ENOTFOUND;
    cfa_arena_free(arena);
    note(sim, "slow payment settles", number, donor->approves, status);
    collect_webhooks(sim);
    if (status == CFA_ENOTFOUND && !donor->refused)
        schedule(sim, 2 * HOUR_US, EVENT_SETTLE, number, 0);
}

/* ---- the host's people ----------------------------------------------------------------------- */

/* What was not taken, or not even paid, ends by the provider's own clock. */
static void run_out(struct sim *sim, const struct donor *donor) {
    cfa_arena *arena;
    require(sim, cfa_arena_new(&arena) == CFA_OK, "no memory");
    const char *ref = ref_of(sim, donor, arena);
    cfa_status status = ref != NULL ? cfa_play_expire(sim->play, ref) : CFA_ENOTFOUND;
    note(sim, "runs out at the provider", index_of(sim, donor), status, 0);
    cfa_arena_free(arena);
    collect_webhooks(sim);
}

static void act_on_hold(struct process *process, struct donor *donor) {
    struct sim *sim = process->sim;
    char key[24];
    snprintf(key, sizeof key, "operate-%d", (int)index_of(sim, donor));
    cfa_money amount = { 0, "" };
    if (donor->operation == OPERATE_CAPTURE_PART) {
        amount = donor->amount;
        amount.minor -= amount.minor / 20 * 10;
        cover(PARTIAL_CAPTURE);
    }
    cfa_payment *payment = NULL;
    cfa_status status;
    if (donor->operation == OPERATE_CANCEL)
        status =
            cfa_payment_cancel(&payment, process->engine, donor->payment_id, NULL, key, NULL, -1);
    else
        status = cfa_payment_capture(&payment, process->engine, donor->payment_id, amount, NULL,
                                     key, NULL, -1);
    note(sim, "operator acts", index_of(sim, donor), donor->operation, status);
    cfa_payment_free(payment);
    if (donor->operation == OPERATE_CANCEL && status == CFA_OK)
        cover(OPERATOR_CANCEL);
    cfa_status_class class = cfa_status_class_of(status);
    require(sim,
            status == CFA_OK || status == CFA_ESTATE ||
                (sim->faults && (class == CFA_CLASS_TRANSIENT || class == CFA_CLASS_IN_DOUBT)),
            "an operator is told %s", cfa_status_name(status));
}

static void operate(struct process *process, void *user) {
    const struct request *request = user;
    struct sim *sim = process->sim;
    struct donor *donor = &sim->donors[request->number];
    cfa_payment *payment = NULL;
    if (cfa_payment_get(&payment, process->engine, donor->payment_id) != CFA_OK)
        return;
    bool held = cfa_payment_state_of(payment) == CFA_PAYMENT_AUTHORIZED;
    cfa_payment_free(payment);
    if (held && donor->operation == OPERATE_EXPIRE)
        run_out(sim, donor);
    else if (held)
        act_on_hold(process, donor);
}

static void operate_event(struct sim *sim, int32_t number, int32_t times) {
    struct process *process = free_process(sim);
    struct request request = { number, 0 };
    if (process != NULL)
        (void)within(process, operate, &request);
    if (times < 16)
        schedule(sim, draw_time(sim, 10 * MINUTE_US << (times / 2)), EVENT_OPERATE, number,
                 times + 1);
}

void donor_event(struct sim *sim, const struct event *event) {
    if (sim->silent) {
        schedule(sim, DAY_US, event->kind, event->subject, event->number);
        return;
    }
    switch (event->kind) {
    case EVENT_CREATE: create_event(sim, event->subject); break;
    case EVENT_DOUBLE: (void)ask_somebody(sim, event->subject, false); break;
    case EVENT_REPLAY: replay_event(sim, event->subject, event->number); break;
    case EVENT_MISMATCH: mismatch_event(sim, event->subject); break;
    case EVENT_PAY: pay_event(sim, event->subject, event->number); break;
    case EVENT_FINISH: finish_event(sim, event->subject, event->number); break;
    case EVENT_SETTLE: settle_event(sim, event->subject); break;
    case EVENT_EXPIRE: run_out(sim, &sim->donors[event->subject]); break;
    case EVENT_OPERATE: operate_event(sim, event->subject, event->number); break;
    case EVENT_BACK:
    case EVENT_REFUND: reversal_event(sim, event); break;
    case EVENT_ACCEPT: accept_event(sim, event->subject, event->number); break;
    default: violation(sim, "an unknown event");
    }
}
