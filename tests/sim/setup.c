/*
 * setup.c - a run's beginning and end: what kind of world the seed makes, and how it is put away.
 * Everything a run allocated is given back, what dead processes held included; without a death
 * nothing may be left over.
 */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_US INT64_C(1767225600000000) /* as the manual clock */

/* Off for one seed in three, else anywhere between the two by orders of magnitude. */
static int32_t draw_rate(struct sim *sim, int32_t least, int32_t most) {
    if (draw_below(sim, 3) == 0)
        return 0;
    int64_t doublings = 0;
    for (int32_t at = least; at < most; at *= 2)
        doublings++;
    int64_t low = (int64_t)least << draw_below(sim, doublings);
    return (int32_t)(low + draw_below(sim, low));
}

static void draw_rates(struct sim *sim) {
    sim->rates.crash = draw_rate(sim, 20, 1500);
    sim->rates.call_crash = draw_rate(sim, 500, 50000);
    sim->rates.doubt = draw_rate(sim, 1000, 50000);
    sim->rates.fail = draw_rate(sim, 200, 20000);
    sim->rates.slow_call = draw_rate(sim, 1000, 100000);
    sim->rates.straggle = draw_rate(sim, 5000, 200000);
    sim->rates.late_webhook = draw_rate(sim, 1000, 100000);
    sim->rates.no_start = draw_rate(sim, 1000, 400000);
    sim->weather = (cfa_play_weather)CFA_PLAY_WEATHER_INIT;
    sim->weather.reply_lost_ppm = draw_rate(sim, 1000, 100000);
    sim->weather.request_lost_ppm = draw_rate(sim, 1000, 100000);
    sim->weather.error_after_ppm = draw_rate(sim, 1000, 100000);
    sim->weather.error_before_ppm = draw_rate(sim, 1000, 100000);
    sim->weather.not_sent_ppm = draw_rate(sim, 1000, 100000);
    sim->weather.webhook_lost_ppm =
        draw_below(sim, 8) == 0 ? 1000000 : draw_rate(sim, 1000, 200000);
    sim->weather.webhook_duplicated_ppm = draw_rate(sim, 1000, 200000);
    sim->weather.webhook_reordered_ppm = draw_rate(sim, 1000, 200000);
}

static int64_t true_now_us(void *self) { return START_US + ((const struct sim *)self)->now_us; }

static void provider_open(struct sim *sim) {
    sim->true_time = (cfa_platform)CFA_PLATFORM_INIT;
    sim->true_time.self = sim;
    sim->true_time.now_us = true_now_us;
    cfa_play_options options = CFA_PLAY_OPTIONS_INIT;
    options.seed = draw(sim);
    options.one_step = sim->one_step;
    options.lookup_not_authoritative = !sim->authoritative;
    options.platform = &sim->true_time;
    require(sim, cfa_play_new(&sim->play, &options) == CFA_OK, "no provider");
    if (sim->one_step)
        cover(ONE_STEP);
    else
        cover(TWO_STEP);
}

static void campaigns_open(struct process *process, void *user) {
    struct sim *sim = process->sim;
    (void)user;
    for (int32_t i = 0; i < CAMPAIGNS; i++) {
        char key[24];
        snprintf(key, sizeof key, "campaign-%d", (int)i);
        cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
        spec.key = key;
        spec.title = "Rain barrels";
        spec.currencies = "EUR,JPY,KWD,USD";
        static const cfa_late_rule rules[CAMPAIGNS] = { CFA_LATE_REFUSE, CFA_LATE_ACCEPT,
                                                        CFA_LATE_REFUND, CFA_LATE_HOLD };
        spec.late_rule = sim->late_rules[i] = rules[i];
        cfa_campaign *campaign;
        require(sim, cfa_campaign_create(&campaign, process->engine, &spec) == CFA_OK,
                "no campaign");
        snprintf(sim->campaign_ids[i], sizeof sim->campaign_ids[i], "%s",
                 cfa_campaign_id(campaign));
        cfa_campaign_free(campaign);
    }
}

/* What the core can do, and may be asked not to. */
static void draw_kinds(struct sim *sim) {
    sim->breaker = draw_below(sim, 3) != 0;
    sim->rejects = draw_below(sim, 3) != 0;
    sim->circuit_failures = 1 + (int32_t)draw_below(sim, 6);
    sim->circuit_open_ms = 1000 << draw_below(sim, 11);
    sim->flights = draw_below(sim, 2) == 0;
    sim->calls_in_flight = 1 + (int32_t)draw_below(sim, FLIGHTS_MAX);
    sim->sessions = draw_below(sim, 2) == 0;
    sim->thin = draw_below(sim, 4) == 0 && !sim->deaf;
    sim->refunds_suspects = draw_below(sim, 2) == 0;
    if (sim->sessions)
        cover(SESSIONS);
    if (!sim->breaker)
        cover(BREAKER_OFF);
}

void world_open(struct sim *sim, uint64_t seed, int32_t donations, bool trace) {
    sim->seed = sim->random_state = seed;
    sim->donations = donations;
    sim->trace = trace;
    waiting_is_virtual(sim);
    draw_rates(sim);
    sim->one_step = draw_below(sim, 2) == 0;
    sim->jumps = draw_below(sim, 2) == 0;
    sim->deaf = draw_below(sim, 8) == 0;
    sim->manual = draw_below(sim, 3) == 0 && !sim->deaf;
    sim->authoritative = draw_below(sim, 4) != 0;
    if (sim->deaf) {
        sim->weather.webhook_lost_ppm = 0;
        cover(DEAF);
    }
    draw_kinds(sim);
    sim->call_capacity = 1024;
    while (sim->call_capacity < 256 * (size_t)donations)
        sim->call_capacity *= 2;
    sim->calls = take(sim->call_capacity * sizeof *sim->calls);
    require(sim, cfa_manual_clock_new(&sim->clock, START_US, draw(sim)) == CFA_OK, "no clock");
    require(sim, cfa_memory_storage_new(&sim->store) == CFA_OK, "no store");
    provider_open(sim);
    for (int32_t i = 0; i < ENGINES; i++) {
        process_make(sim, i);
        schedule(sim, 0, EVENT_START, i, 0);
        if (draw_below(sim, 2) == 0)
            schedule(sim, draw_time(sim, 12 * HOUR_US), EVENT_RESTART, i, 0);
    }
    run_until(sim, SECOND_US);
    (void)within(free_process(sim), campaigns_open, NULL);
    schedule(sim, draw_time(sim, 10 * MINUTE_US), EVENT_READ, 0, 0);
    schedule(sim, draw_time(sim, HOUR_US), EVENT_WEATHER, 0, 0);
    if (sim->jumps)
        schedule(sim, draw_time(sim, 4 * HOUR_US), EVENT_JUMP, 0, 0);
    for (int32_t i = 0; i < CAMPAIGNS; i++) {
        if (draw_below(sim, i >= 2 ? 2 : 4) == 0)
            schedule(sim, draw_time(sim, 4 * HOUR_US), EVENT_END_CAMPAIGN, i, 0);
    }
    require(sim, cfa_play_weather_set(sim->play, &sim->weather) == CFA_OK,
            "the weather is refused");
}

void world_calm(struct sim *sim) {
    const cfa_play_weather calm = CFA_PLAY_WEATHER_INIT;
    sim->faults = false;
    sim->calm_us = sim->now_us;
    sim->weather = calm;
    require(sim, cfa_play_weather_set(sim->play, &calm) == CFA_OK, "the weather is refused");
    note(sim, "faults end", 0, 0, 0);
    stir(sim);
}

void world_close(struct sim *sim) {
    for (int32_t i = 0; i < ENGINES; i++)
        process_free(&sim->processes[i]);
    cfa_play_free(sim->play);
    sim->store.ops->close(sim->store.self);
    for (int32_t i = 0; i < sim->webhook_count; i++)
        cfa_free(sim->webhooks[i].body);
    cfa_manual_clock_free(sim->clock);
    for (int32_t i = 0; i < sim->donor_count; i++) {
        free(sim->donors[i].answer);
        free(sim->donors[i].client_secret);
    }
    free(sim->donors);
    free(sim->webhooks);
    free(sim->asks);
    for (int32_t i = 0; i < sim->request_count; i++)
        cfa_arena_free(sim->requests[i].arena);
    free(sim->requests);
    free(sim->heap);
    free(sim->calls);
    waiting_is_virtual(NULL);
    require(sim, sim->deaths > 0 || memory_live() == 0, "S14: %zu blocks of memory are left over",
            memory_live());
    memory_discard();
}
