/*
 * provider_play.c - the play provider's conformance, two-step and one-step, under a manual clock.
 */
#include <careforall/adapters/play.h>
#include <careforall/testkit/clock.h>
#include <careforall/testkit/conformance.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static cfa_manual_clock *manual;
static cfa_play *play;
static int32_t one_step;

static cfa_status open_provider(cfa_provider *out) {
    cfa_play_options options = CFA_PLAY_OPTIONS_INIT;
    options.seed = 1;
    options.one_step = one_step;
    options.platform = cfa_manual_clock_platform(manual);
    cfa_status status = cfa_play_new(&play, &options);
    if (status == CFA_OK) {
        *out = *cfa_play_provider(play);
    }
    return status;
}

static void close_provider(cfa_provider *provider) {
    (void)provider;
    cfa_play_free(play);
}

static cfa_status confirm(cfa_provider *provider, const char *client_secret, const char *method) {
    (void)provider;
    return cfa_play_confirm(play, client_secret, method);
}

static cfa_status charges(cfa_provider *provider, const char *payment_id, int64_t *out) {
    (void)provider;
    cfa_arena *arena;
    cfa_status status = cfa_arena_new(&arena);
    if (status == CFA_OK) {
        cfa_facts facts;
        status = cfa_play_payment(&facts, out, play, payment_id, arena);
        cfa_arena_free(arena);
    }
    return status;
}

static cfa_status refunds(cfa_provider *provider, const char *payment_id, int64_t *out_count,
                          int64_t *out_minor) {
    (void)provider;
    cfa_arena *arena;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK) {
        return status;
    }
    cfa_facts facts;
    status = cfa_play_payment(&facts, NULL, play, payment_id, arena);
    *out_count = *out_minor = 0;
    for (int32_t i = 0; status == CFA_OK && i < facts.refund_count; i++) {
        const cfa_refund_facts *refund = facts.refunds[i];
        bool active = refund->state != CFA_REFUND_FAILED && refund->state != CFA_REFUND_CANCELED;
        *out_count += active;
        *out_minor += active ? refund->amount.minor : 0;
    }
    cfa_arena_free(arena);
    return status;
}

static cfa_status lose_reply(cfa_provider *provider) {
    (void)provider;
    return cfa_play_fault_next(play, CFA_PLAY_FAULT_REPLY_LOST);
}

static cfa_status pay_out(cfa_provider *provider) {
    (void)provider;
    return cfa_play_payout(NULL, play);
}

static cfa_status webhook(cfa_provider *provider, char **out_signature, char **out_body) {
    (void)provider;
    return cfa_play_webhook_take(out_signature, out_body, play);
}

static int64_t now_us(cfa_provider *provider) {
    (void)provider;
    return cfa_manual_clock_now_us(manual);
}

int main(int argc, char **argv) {
    cfa_provider_fixture fixture = {
        .struct_size = sizeof fixture,
        .open = open_provider,
        .close = close_provider,
        .confirm = confirm,
        .charges = charges,
        .method_ok = "pm_ok",
        .method_declined = "pm_declined",
        .webhook = webhook,
        .now_us = now_us,
        .refunds = refunds,
        .lose_reply = lose_reply,
        .lose_page = lose_reply,
        .pay_out = pay_out,
    };
    if (cfa_manual_clock_new(&manual, 0, 1) != CFA_OK) {
        return 1;
    }
    fixture.name = "play, two-step";
    int result = cfa_conformance_provider(argc, argv, &fixture);
    if (argc < 2 || strcmp(argv[1], "--list") != 0) {
        one_step = 1;
        fixture.name = "play, one-step";
        fixture.confirm = NULL;
        result |= cfa_conformance_provider(argc, argv, &fixture);
    }
    cfa_manual_clock_free(manual);
    return result;
}
