/*
 * play_desk.c - one payment at the play provider, and the calls, reads and webhooks about it.
 */
#include "support/play_desk.h"

#include <string.h>

struct desk desk;

cfa_call desk_call(int32_t kind, const char *ref, const char *key) {
    cfa_call call = { .struct_size = sizeof call, .kind = kind, .payment_id = "pay_1" };
    call.operation_id = "1";
    call.idempotency_key = key;
    call.account = "";
    call.ref = ref;
    call.amount = (cfa_money){ PAID_MINOR, "EUR" };
    return call;
}

cfa_reply desk_perform(cfa_call call) {
    const cfa_provider *provider = cfa_play_provider(desk.play);
    cfa_reply reply = { .struct_size = sizeof reply };
    ck_assert_int_eq(provider->ops->prepare(provider->self, &call, desk.arena, &call.body), CFA_OK);
    provider->ops->call(provider->self, &call, desk.arena, &reply);
    return reply;
}

cfa_reply desk_refund(const char *refund_id, int64_t amount_minor) {
    cfa_call call = desk_call(CFA_CALL_REFUND, desk.paid, refund_id);
    call.refund_id = refund_id;
    call.amount.minor = amount_minor;
    return desk_perform(call);
}

void desk_refuse(const char *refund_id, int64_t amount_minor, const char *code) {
    cfa_reply reply = desk_refund(refund_id, amount_minor);
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_REFUSED);
    ck_assert_str_eq(reply.code, code);
    ck_assert_int_eq(reply.facts.refund_count, 0);
}

const cfa_refund_facts *desk_made(cfa_reply reply) {
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    ck_assert_int_eq(reply.facts.refund_count, 1);
    ck_assert_int_eq(reply.facts.dispute_count, 0);
    ck_assert_str_eq(reply.facts.ref, desk.paid);
    return reply.facts.refunds[0];
}

cfa_facts desk_retrieve(void) {
    cfa_reply reply = desk_perform(desk_call(CFA_CALL_RETRIEVE, desk.paid, NULL));
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    return reply.facts;
}

cfa_play_books desk_books(void) {
    cfa_play_books out = CFA_PLAY_BOOKS_INIT;
    ck_assert_int_eq(cfa_play_books_get(&out, desk.play), CFA_OK);
    return out;
}

cfa_slice desk_slice(const char *text) { return (cfa_slice){ text, strlen(text) }; }

bool desk_next_event(cfa_webhook_event *out) {
    const cfa_provider *provider = cfa_play_provider(desk.play);
    char *signature, *body;
    ck_assert_int_eq(cfa_play_webhook_take(&signature, &body, desk.play), CFA_OK);
    if (body == NULL) {
        return false;
    }
    ck_assert_int_eq(provider->ops->webhook(provider->self, desk_slice(signature), desk_slice(body),
                                            cfa_manual_clock_now_us(desk.clock), desk.arena, out),
                     CFA_OK);
    cfa_free(signature);
    cfa_free(body);
    return true;
}

cfa_webhook_event desk_expect(const char *type) {
    cfa_webhook_event event;
    ck_assert_msg(desk_next_event(&event), "no %s", type);
    ck_assert_str_eq(event.event_type, type);
    ck_assert_int_eq(event.relevant, 1);
    ck_assert_str_eq(event.facts.ref, desk.paid);
    ck_assert_str_eq(event.facts.payment_id, "pay_1");
    ck_assert_int_eq(event.facts.amount.minor, PAID_MINOR);
    return event;
}

void desk_expect_silence(void) {
    cfa_webhook_event event;
    ck_assert(!desk_next_event(&event));
}

cfa_reply desk_pay(int32_t manually) {
    cfa_call call = desk_call(CFA_CALL_CREATE, NULL, "create");
    call.capture_manual = manually;
    cfa_reply reply = desk_perform(call);
    ck_assert_int_eq(cfa_play_confirm(desk.play, reply.client_secret, "pm_ok"), CFA_OK);
    cfa_webhook_event event;
    while (desk_next_event(&event)) {
    }
    desk.paid = reply.facts.ref;
    return reply;
}

void desk_set_up_unpaid(void) {
    cfa_play_options options = CFA_PLAY_OPTIONS_INIT;
    ck_assert_int_eq(cfa_manual_clock_new(&desk.clock, 0, 1), CFA_OK);
    ck_assert_int_eq(cfa_arena_new(&desk.arena), CFA_OK);
    options.platform = cfa_manual_clock_platform(desk.clock);
    ck_assert_int_eq(cfa_play_new(&desk.play, &options), CFA_OK);
}

void desk_set_up(void) {
    desk_set_up_unpaid();
    desk_pay(0);
}

void desk_tear_down(void) {
    cfa_play_free(desk.play);
    cfa_arena_free(desk.arena);
    cfa_manual_clock_free(desk.clock);
}
