/*
 * flying.c - see flying.h. The play provider acts when a call lands, so that one that is never
 * released, or times out, did nothing.
 */
#include "core/flying.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const cfa_provider *play_of(const struct flying *flying) {
    return cfa_play_provider(flying->book->play);
}

static cfa_status flying_prepare(void *self, const cfa_call *call, cfa_arena *arena,
                                 cfa_slice *out_body) {
    const cfa_provider *play = play_of(self);
    return play->ops->prepare(play->self, call, arena, out_body);
}

static cfa_status flying_webhook(void *self, cfa_slice signature, cfa_slice body, int64_t now_us,
                                 cfa_arena *arena, cfa_webhook_event *out) {
    const cfa_provider *play = play_of(self);
    return play->ops->webhook(play->self, signature, body, now_us, arena, out);
}

static void flying_call(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    struct flying *flying = self;
    flying->blocking_calls++;
    play_of(flying)->ops->call(play_of(flying)->self, call, arena, out);
}

static int64_t now_of(const struct flying *flying) {
    const cfa_platform *platform = &flying->book->platform;
    return platform->monotonic_us(platform->self);
}

/* ---- in flight; with the lock held ------------------------------------------------------------ */

static struct flying_call *find(struct flying *flying, uint64_t token) {
    for (size_t i = 0; i < FLYING_MAX; i++) {
        if (flying->calls[i].token == token)
            return &flying->calls[i];
    }
    return NULL;
}

static void land(struct flying *flying, struct flying_call *call) {
    uint64_t one = 1;
    call->landing = true;
    flying->landing[flying->landing_count++] = call->token;
    must(write(flying->descriptor, &one, sizeof one) == sizeof one);
}

static void time_out(struct flying *flying) {
    int64_t now_us = now_of(flying);
    for (size_t i = 0; i < FLYING_MAX; i++) {
        struct flying_call *call = &flying->calls[i];
        if (call->token != 0 && !call->landing && now_us >= call->until_us) {
            flying->timed_out++;
            call->arena = NULL; /* nothing was done, and nobody knows */
            land(flying, call);
        }
    }
}

/* ---- what the engine calls --------------------------------------------------------------------- */

static void enter(struct flying *flying) { must(atomic_fetch_add(&flying->drivers, 1) == 0); }
static void leave(struct flying *flying) { atomic_fetch_sub(&flying->drivers, 1); }

static cfa_status flying_start(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out,
                               uint64_t token) {
    struct flying *flying = self;
    enter(flying);
    int fate = flying->plan != NULL ? flying->plan(flying, call) : flying->fate;
    if (fate == FLY_REFUSED) {
        flying->refused++;
        leave(flying);
        return cfa_error_set(CFA_EUNAVAILABLE, "provider.flying", NULL, 0, "no way to send it");
    }
    flying->starts++;
    int in_air = atomic_fetch_add(&flying->in_air, 1) + 1;
    if (in_air > flying->most_in_air)
        flying->most_in_air = in_air;
    int32_t limit = flying->book->options.calls_in_flight;
    must(in_air <= (limit > 0 ? limit : 64));
    pthread_mutex_lock(&flying->lock);
    must(token != 0 && find(flying, token) == NULL);
    struct flying_call *free_one = find(flying, 0);
    must(free_one != NULL);
    *free_one = (struct flying_call){
        token, call, arena, out, now_of(flying) + (int64_t)call->timeout_ms * 1000, false
    };
    if (fate == FLY_NOW)
        land(flying, free_one);
    pthread_mutex_unlock(&flying->lock);
    leave(flying);
    return CFA_OK;
}

/* Take the next that has landed; false when there is none. */
static bool take(struct flying *flying, uint64_t *out_token) {
    struct flying_call landed = { 0 };
    pthread_mutex_lock(&flying->lock);
    time_out(flying);
    if (flying->landing_count > 0) {
        struct flying_call *call = find(flying, flying->landing[0]);
        landed = *call;
        memset(call, 0, sizeof *call);
        flying->landing_count--;
        memmove(&flying->landing[0], &flying->landing[1],
                (size_t)flying->landing_count * sizeof flying->landing[0]);
        uint64_t count;
        if (flying->landing_count == 0)
            must(read(flying->descriptor, &count, sizeof count) == sizeof count);
    }
    pthread_mutex_unlock(&flying->lock);
    if (landed.token == 0)
        return false;
    if (landed.arena != NULL)
        play_of(flying)->ops->call(play_of(flying)->self, landed.call, landed.arena, landed.reply);
    flying->in_air--;
    flying->finished++;
    *out_token = landed.token;
    return true;
}

static int32_t flying_finish(void *self, uint64_t *out_token, int32_t timeout_ms) {
    struct flying *flying = self;
    static const uint64_t strays[] = { 0, 64, UINT64_MAX }; /* 64 may be one, and is free */
    enter(flying);
    if (flying->strays > 0) {
        *out_token = strays[(size_t)atomic_fetch_sub(&flying->strays, 1) % COUNT(strays)];
        leave(flying);
        return 1;
    }
    bool taken = take(flying, out_token);
    if (!taken && timeout_ms > 0) {
        struct pollfd descriptor = { .fd = flying->descriptor, .events = POLLIN };
        flying->waiting++;
        (void)poll(&descriptor, 1, timeout_ms);
        flying->waiting--;
        taken = take(flying, out_token);
    }
    leave(flying);
    return taken;
}

static int flying_descriptor(void *self) { return ((struct flying *)self)->descriptor; }

static int32_t flying_next_due_ms(void *self) {
    struct flying *flying = self;
    int64_t due_us = INT64_MAX, now_us = now_of(flying);
    pthread_mutex_lock(&flying->lock);
    for (size_t i = 0; i < FLYING_MAX; i++) {
        const struct flying_call *call = &flying->calls[i];
        if (call->token != 0 && call->until_us < due_us)
            due_us = call->until_us;
    }
    if (flying->landing_count > 0)
        due_us = now_us;
    pthread_mutex_unlock(&flying->lock);
    if (due_us == INT64_MAX)
        return -1;
    return due_us <= now_us ? 0 : (int32_t)((due_us - now_us) / 1000 + 1);
}

/* ---- what the test calls ------------------------------------------------------------------------ */

void flying_use(struct flying *flying, struct book *book) {
    memset(flying, 0, sizeof *flying);
    flying->book = book;
    pthread_mutex_init(&flying->lock, NULL);
    flying->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(flying->descriptor >= 0);
    flying->ops = (cfa_provider_ops){
        .struct_size = sizeof flying->ops,
        .name = "play",
        .capabilities = (uint32_t)CFA_PROVIDER_LOOKUP_AUTHORITATIVE |
                        (book->play_options.one_step ? 0u : (uint32_t)CFA_PROVIDER_TWO_STEP),
        .money_rules = cfa_money_rules_stripe(),
        .prepare = flying_prepare,
        .call = flying_call,
        .webhook = flying_webhook,
        .start = flying_start,
        .finish = flying_finish,
        .descriptor = flying_descriptor,
        .next_due_ms = flying_next_due_ms,
    };
    flying->provider = (cfa_provider){ &flying->ops, flying };
    book->options.provider = &flying->provider;
}

void flying_close(struct flying *flying) {
    must(flying->in_air == 0);
    close(flying->descriptor);
    pthread_mutex_destroy(&flying->lock);
}

int flying_release(struct flying *flying, uint64_t seed) {
    struct flying_call *held[FLYING_MAX];
    int count = 0;
    pthread_mutex_lock(&flying->lock);
    for (size_t i = 0; i < FLYING_MAX; i++) {
        if (flying->calls[i].token != 0 && !flying->calls[i].landing)
            held[count++] = &flying->calls[i];
    }
    for (int left = count; left > 0; left--) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        int drawn = (int)((seed >> 33) % (uint64_t)left);
        land(flying, held[drawn]);
        held[drawn] = held[left - 1];
    }
    pthread_mutex_unlock(&flying->lock);
    return count;
}

void flying_release_one(struct flying *flying, const char *operation_id) {
    bool found = false;
    pthread_mutex_lock(&flying->lock);
    for (size_t i = 0; i < FLYING_MAX && !found; i++) {
        struct flying_call *call = &flying->calls[i];
        found = call->token != 0 && !call->landing &&
                strcmp(call->call->operation_id, operation_id) == 0;
        if (found)
            land(flying, call);
    }
    pthread_mutex_unlock(&flying->lock);
    must(found);
}
