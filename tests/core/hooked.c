/*
 * hooked.c - see hooked.h.
 */
#include "core/hooked.h"

#include <string.h>

static cfa_status hooked_prepare(void *self, const cfa_call *call, cfa_arena *arena,
                                 cfa_slice *out_body) {
    const struct hooked *hooked = self;
    const cfa_provider *play = cfa_play_provider(hooked->book->play);
    return play->ops->prepare(play->self, call, arena, out_body);
}

static cfa_status hooked_webhook(void *self, cfa_slice signature, cfa_slice body, int64_t now_us,
                                 cfa_arena *arena, cfa_webhook_event *out) {
    const struct hooked *hooked = self;
    const cfa_provider *play = cfa_play_provider(hooked->book->play);
    return play->ops->webhook(play->self, signature, body, now_us, arena, out);
}

static void hooked_call(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    struct hooked *hooked = self;
    hooked->calls++;
    hooked->kinds[call->kind]++;
    if (hooked->hook != NULL)
        hooked->hook(hooked->book, call, arena, out);
    else
        hooked_pass(hooked->book, call, arena, out);
}

void hooked_use(struct hooked *hooked, struct book *book, hooked_hook hook) {
    memset(hooked, 0, sizeof *hooked);
    hooked->hook = hook;
    hooked->book = book;
    hooked->ops = (cfa_provider_ops){
        .struct_size = sizeof hooked->ops,
        .name = "play",
        .capabilities = (uint32_t)CFA_PROVIDER_LOOKUP_AUTHORITATIVE |
                        (book->play_options.one_step ? 0u : (uint32_t)CFA_PROVIDER_TWO_STEP),
        .money_rules = cfa_money_rules_stripe(),
        .prepare = hooked_prepare,
        .call = hooked_call,
        .webhook = hooked_webhook,
    };
    hooked->provider = (cfa_provider){ &hooked->ops, hooked };
    book->options.provider = &hooked->provider;
}

void hooked_pass(struct book *book, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    const cfa_provider *play = cfa_play_provider(book->play);
    play->ops->call(play->self, call, arena, out);
}

cfa_pledge *commit_only(struct book *book, const char *key, int64_t minor) {
    cfa_pledge_spec spec = gift(book, key, minor);
    spec.wait = CFA_WAIT_COMMIT;
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book->engine, &spec), CFA_OK);
    return pledge;
}
