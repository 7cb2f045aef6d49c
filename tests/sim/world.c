/*
 * world.c - the world around the processes: chance, virtual time and its queue of events, webhooks
 * on their way, the provider's weather, the wall clock, people who read totals and end campaigns.
 */
#include "sim/sim.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define START_US INT64_C(1767225600000000) /* as the manual clock */
#define WEBHOOK_TRIES 14

const char *const currencies[CURRENCIES] = { "EUR", "JPY", "KWD", "USD" };

/* ---- chance ---------------------------------------------------------------------------------- */

/* SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t draw(struct sim *sim) {
    sim->random_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t bits = sim->random_state;
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
    return bits ^ (bits >> 31);
}

int64_t draw_below(struct sim *sim, int64_t limit) {
    return limit <= 1 ? 0 : (int64_t)(draw(sim) % (uint64_t)limit);
}

bool chance(struct sim *sim, int32_t ppm) { return ppm > 0 && draw_below(sim, 1000000) < ppm; }

int64_t draw_time(struct sim *sim, int64_t mean_us) {
    int64_t scale = mean_us;
    for (int64_t luck = draw_below(sim, 64); luck > 0; luck >>= 1)
        scale = luck % 2 != 0 && scale > 8 ? scale / 2 : scale;
    return 1000 + draw_below(sim, chance(sim, 20000) ? 20 * mean_us : 2 * scale);
}

/* ---- memory ---------------------------------------------------------------------------------- */

void *take(size_t size) {
    void *memory = calloc(1, size);
    if (memory == NULL)
        exit(1);
    return memory;
}

void *grow(void *memory, int32_t count, int32_t *capacity, size_t size) {
    if (count < *capacity)
        return memory;
    *capacity = *capacity == 0 ? 64 : *capacity * 2;
    void *grown = realloc(memory, (size_t)*capacity * size);
    if (grown == NULL)
        exit(1);
    return grown;
}

/* ---- the queue of events --------------------------------------------------------------------- */

static bool earlier(const struct event *a, const struct event *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void schedule(struct sim *sim, int64_t delay_us, int32_t kind, int32_t subject, int32_t number) {
    sim->heap = grow(sim->heap, sim->heap_count, &sim->heap_capacity, sizeof *sim->heap);
    struct event made = { sim->now_us + delay_us, draw(sim), kind, subject, number };
    int32_t at = sim->heap_count++;
    while (at > 0 && earlier(&made, &sim->heap[(at - 1) / 2])) {
        sim->heap[at] = sim->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    sim->heap[at] = made;
}

static struct event pop(struct sim *sim) {
    struct event first = sim->heap[0], last = sim->heap[--sim->heap_count];
    int32_t at = 0;
    for (;;) {
        int32_t child = 2 * at + 1;
        if (child >= sim->heap_count)
            break;
        if (child + 1 < sim->heap_count && earlier(&sim->heap[child + 1], &sim->heap[child]))
            child++;
        if (!earlier(&sim->heap[child], &last))
            break;
        sim->heap[at] = sim->heap[child];
        at = child;
    }
    sim->heap[at] = last;
    return first;
}

static void advance_to(struct sim *sim, int64_t at_us) {
    if (at_us <= sim->now_us)
        return;
    cfa_manual_clock_advance(sim->clock, at_us - sim->now_us);
    sim->now_us = at_us;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* The linker gives us these two: a caller that waits in the library waits in virtual time. */
int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __real_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
                                  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
                                  const struct timespec *until);

static struct sim *waiting_world; /* NULL: real time */

int __wrap_clock_gettime(clockid_t clock, struct timespec *out) {
    if (waiting_world == NULL)
        return __real_clock_gettime(clock, out);
    out->tv_sec = (time_t)(1 + waiting_world->now_us / SECOND_US);
    out->tv_nsec = (long)(waiting_world->now_us % SECOND_US) * 1000;
    return 0;
}

/* Wakes early, as a condition may: whoever waits looks again. */
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
                                  const struct timespec *until) {
    struct sim *sim = waiting_world;
    if (sim == NULL)
        return __real_pthread_cond_timedwait(condition, lock, until);
    int64_t until_us = ((int64_t)until->tv_sec - 1) * SECOND_US + until->tv_nsec / 1000;
    int64_t step_us = draw_time(sim, SECOND_US);
    bool over = until_us <= sim->now_us + step_us;
    cover(WAITS);
    pthread_mutex_unlock(lock);
    run_until(sim, over ? until_us : sim->now_us + step_us);
    pthread_mutex_lock(lock);
    return over ? ETIMEDOUT : 0;
}

void waiting_is_virtual(struct sim *sim) { waiting_world = sim; }

/* ---- webhooks -------------------------------------------------------------------------------- */

static void webhook_add(struct sim *sim, char *body) {
    sim->webhooks =
        grow(sim->webhooks, sim->webhook_count, &sim->webhook_capacity, sizeof *sim->webhooks);
    sim->webhooks[sim->webhook_count] = (struct webhook){ body, 0, sim->now_us, sim->insists };
    sim->webhooks_waiting++;
    int64_t delay_us = draw_time(sim, SECOND_US);
    if (sim->faults && chance(sim, sim->rates.late_webhook))
        delay_us = draw_below(sim, 3 * DAY_US);
    schedule(sim, delay_us, EVENT_WEBHOOK, sim->webhook_count++, 0);
}

void collect_webhooks(struct sim *sim) {
    for (;;) {
        char *signature, *body;
        require(sim, cfa_play_webhook_take(&signature, &body, sim->play) == CFA_OK, "no webhook");
        if (body == NULL)
            break;
        cfa_free(signature);
        char *twin = session_event(sim, body);
        webhook_add(sim, body);
        if (twin != NULL)
            webhook_add(sim, twin);
    }
    stir(sim);
}

static void cover_verdict(struct sim *sim, const struct webhook *webhook,
                          cfa_webhook_verdict verdict) {
    if (sim->now_us - webhook->made_us > DAY_US)
        cover(WEBHOOK_LATE);
    switch (verdict) {
    case CFA_WEBHOOK_APPLIED: cover(WEBHOOK_APPLIED); break;
    case CFA_WEBHOOK_DUPLICATE: cover(WEBHOOK_DUPLICATE); break;
    case CFA_WEBHOOK_STALE: cover(WEBHOOK_STALE); break;
    case CFA_WEBHOOK_PARKED: cover(WEBHOOK_PARKED); break;
    case CFA_WEBHOOK_QUARANTINED:
    case CFA_WEBHOOK_CONTRADICTION: violation(sim, "S11: a true webhook is refused: %d", verdict);
    default: break;
    }
    if (is_session_event(webhook->body) && verdict == CFA_WEBHOOK_PARKED)
        cover(ORIGIN_PARKED);
    if (is_session_event(webhook->body) && verdict == CFA_WEBHOOK_APPLIED)
        cover(ORIGIN_BY_EVENT);
    if (is_thin_event(sim, webhook->body) && verdict == CFA_WEBHOOK_APPLIED)
        check_fetched_later(sim, webhook->body);
}

static void webhook_deliver(struct process *process, void *user) {
    struct sim *sim = process->sim;
    int32_t number = *(const int32_t *)user;
    const cfa_slice body = { sim->webhooks[number].body, strlen(sim->webhooks[number].body) };
    /* Signed by a clock that agrees with the receiver's, or now and then by the true time. */
    int64_t now_us =
        chance(sim, 20000) ? START_US + sim->now_us : cfa_manual_clock_now_us(sim->clock);
    char *signature;
    require(sim, cfa_play_sign(&signature, sim->play, body, now_us) == CFA_OK, "no signature");
    cfa_webhook_verdict verdict = 0;
    cfa_status status = cfa_webhook_receive(&verdict, process->engine,
                                            (cfa_slice){ signature, strlen(signature) }, body, -1);
    cfa_free(signature);
    note(sim, "webhook", number, status, verdict);
    if (status == CFA_OK) {
        cover_verdict(sim, &sim->webhooks[number], verdict);
        cfa_free(sim->webhooks[number].body);
        sim->webhooks[number].body = NULL;
        sim->webhooks_waiting--;
        return;
    }
    if (status == CFA_ESIGNATURE)
        cover(WEBHOOK_REFUSED);
    require(sim, status == CFA_ESIGNATURE || sim->faults, "a webhook is refused: %s",
            cfa_status_name(status));
}

static void webhook_event(struct sim *sim, int32_t number) {
    struct process *process = free_process(sim);
    if (process == NULL) {
        schedule(sim, draw_time(sim, SECOND_US), EVENT_WEBHOOK, number, 0);
        return;
    }
    (void)within(process, webhook_deliver, &number);
    struct webhook *webhook = &sim->webhooks[number];
    if (webhook->body == NULL)
        return;
    if (++webhook->tries > WEBHOOK_TRIES && sim->faults && !sim->deaf && !webhook->insists) {
        note(sim, "webhook given up", number, 0, 0);
        cfa_free(webhook->body);
        webhook->body = NULL;
        sim->webhooks_waiting--;
        return;
    }
    schedule(sim, draw_time(sim, SECOND_US << (webhook->tries < 15 ? webhook->tries : 15)),
             EVENT_WEBHOOK, number, 0);
}

/* ---- weather, clock, campaigns --------------------------------------------------------------- */

void weather_draw(struct sim *sim) {
    if (!sim->faults)
        return;
    cfa_play_weather weather = sim->weather;
    int64_t lasts_us = draw_time(sim, 2 * HOUR_US);
    int64_t kind = draw_below(sim, 12);
    if (kind == 0)
        weather = (cfa_play_weather)CFA_PLAY_WEATHER_INIT;
    bool mayhem = !sim->mayhem && kind == 1;
    if (mayhem) {
        /* Processes die in the middle of calls; often the provider is gone for long right after. */
        weather.reply_lost_ppm = weather.error_after_ppm = 200000;
        weather.request_lost_ppm = weather.error_before_ppm = weather.not_sent_ppm = 0;
        lasts_us = draw_time(sim, 20 * MINUTE_US);
    } else if (kind == 2 || kind == 3 || (sim->mayhem && kind % 2 == 0)) {
        /* Nothing comes back, nothing gets there, or nobody answers at all. */
        int32_t *const all[] = { &weather.reply_lost_ppm, &weather.request_lost_ppm,
                                 &weather.not_sent_ppm };
        weather.reply_lost_ppm = weather.request_lost_ppm = weather.error_after_ppm = 0;
        weather.error_before_ppm = weather.not_sent_ppm = 0;
        *all[draw_below(sim, 3)] = 1000000;
        lasts_us = draw_time(sim, kind == 2 ? 5 * MINUTE_US : 20 * HOUR_US);
        if (lasts_us > 12 * HOUR_US)
            cover(OUTAGE);
    }
    sim->mayhem = mayhem;
    require(sim, cfa_play_weather_set(sim->play, &weather) == CFA_OK, "the weather is refused");
    note(sim, "weather", kind, lasts_us, 0);
    schedule(sim, lasts_us, EVENT_WEATHER, 0, 0);
}

static void jump(struct sim *sim) {
    if (!sim->faults)
        return;
    int64_t wanted_us = draw_below(sim, 3) == 0 ? 0 : draw_below(sim, 2 * HOUR_US) - HOUR_US;
    cfa_manual_clock_jump(sim->clock, wanted_us - sim->jumped_us);
    note(sim, "wall clock jumps", wanted_us - sim->jumped_us, 0, 0);
    sim->jumped_us = wanted_us;
    cover(CLOCK_JUMP);
    schedule(sim, draw_time(sim, 8 * HOUR_US), EVENT_JUMP, 0, 0);
}

static void campaign_end(struct process *process, void *user) {
    struct sim *sim = process->sim;
    int32_t number = *(const int32_t *)user;
    cfa_campaign *campaign;
    char key[24];
    snprintf(key, sizeof key, "end-%d", (int)number);
    sim->campaign_ending[number] = true;
    cfa_status status =
        cfa_campaign_end(&campaign, process->engine, sim->campaign_ids[number], 1, NULL, key, NULL);
    note(sim, "campaign ends", number, status, 0);
    if (status != CFA_OK)
        return;
    require(sim, cfa_campaign_state_of(campaign) == CFA_CAMPAIGN_ENDED,
            "an ended campaign is open");
    cfa_campaign_free(campaign);
    sim->campaign_ended_us[number] = sim->now_us;
    cover(CAMPAIGN_ENDED);
}

static void campaign_event(struct sim *sim, int32_t number) {
    struct process *process = free_process(sim);
    if (process != NULL)
        (void)within(process, campaign_end, &number);
    if (sim->campaign_ended_us[number] == 0)
        schedule(sim, draw_time(sim, 5 * SECOND_US), EVENT_END_CAMPAIGN, number, 0);
}

static void totals_read(struct process *process, void *user) {
    check_totals_read(process, *(const int32_t *)user, 0);
}

static void read_event(struct sim *sim) {
    int32_t campaign = (int32_t)draw_below(sim, CAMPAIGNS);
    struct process *process = free_process(sim);
    if (process != NULL)
        (void)within(process, totals_read, &campaign);
    schedule(sim, draw_time(sim, 20 * MINUTE_US), EVENT_READ, 0, 0);
}

/* ---- one thing after the other --------------------------------------------------------------- */

static void dispatch(struct sim *sim, const struct event *event) {
    switch (event->kind) {
    case EVENT_TICK:
    case EVENT_START:
    case EVENT_LANDS:
    case EVENT_RESTART: process_event(&sim->processes[event->subject], event); break;
    case EVENT_WEBHOOK: webhook_event(sim, event->subject); break;
    case EVENT_READ: read_event(sim); break;
    case EVENT_JUMP: jump(sim); break;
    case EVENT_WEATHER: weather_draw(sim); break;
    case EVENT_END_CAMPAIGN: campaign_event(sim, event->subject); break;
    case EVENT_REQUEST: request_arrives(sim, event->subject); break;
    case EVENT_FETCHED: check_fetched(sim, event->subject); break;
    default: donor_event(sim, event); break;
    }
}

void run_until(struct sim *sim, int64_t until_us) {
    while (sim->heap_count > 0 && sim->heap[0].at_us <= until_us && !all_are_busy(sim)) {
        struct event event = pop(sim);
        advance_to(sim, event.at_us);
        dispatch(sim, &event);
    }
    advance_to(sim, until_us);
}
