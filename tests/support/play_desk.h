/*
 * play_desk.h - what the tests of money that goes back at the play provider share: one payment, and
 * the calls, reads and webhooks about it.
 */
#ifndef TESTS_SUPPORT_PLAY_DESK_H
#define TESTS_SUPPORT_PLAY_DESK_H

#include <check.h>

#include <careforall/adapters/play.h>
#include <careforall/testkit/clock.h>
#include <stdbool.h>

#define PAID_MINOR 1250

struct desk {
    cfa_manual_clock *clock;
    cfa_play *play;
    cfa_arena *arena;
    const char *paid; /* the ref of "pay_1" */
};
extern struct desk desk;

/* Check fixtures. */
void desk_set_up_unpaid(void);
void desk_set_up(void); /* "pay_1" is captured in full */
void desk_tear_down(void);

/* Pay "pay_1", or hold its money; its webhooks are gone. */
cfa_reply desk_pay(int32_t manually);

cfa_call desk_call(int32_t kind, const char *ref, const char *key);
cfa_reply desk_perform(cfa_call call);
/* Ask for a refund, under a key like its id. */
cfa_reply desk_refund(const char *refund_id, int64_t amount_minor);
void desk_refuse(const char *refund_id, int64_t amount_minor, const char *code);
/* The refund of a call that was done. */
const cfa_refund_facts *desk_made(cfa_reply reply);
cfa_facts desk_retrieve(void);
cfa_play_books desk_books(void);

cfa_slice desk_slice(const char *text);
/* Take the next webhook and verify it. False: there is none. */
bool desk_next_event(cfa_webhook_event *out);
cfa_webhook_event desk_expect(const char *type);
void desk_expect_silence(void);

#endif
