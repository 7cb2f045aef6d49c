/*
 * play.c - making a play provider, its clock, luck and lock, and reading its books.
 *
 * Owns: construction and the ground truth for tests. Must never change an object; intent.c does.
 */
#include "adapters/play/books.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#define KEY_RETENTION_MS INT64_C(86400000)

/* A mutex of our own can only fail to lock when the program is already broken. */
void cfa__play_lock(cfa_play *play) {
    int rc = pthread_mutex_lock(&play->lock);
    assert(rc == 0);
    (void)rc;
}

void cfa__play_unlock(cfa_play *play) {
    int rc = pthread_mutex_unlock(&play->lock);
    assert(rc == 0);
    (void)rc;
}

int64_t cfa__play_now_us(const cfa_play *play) {
    if (play->platform.now_us != NULL) {
        return play->platform.now_us(play->platform.self);
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* SplitMix64's finisher: a bijection that looks random. */
uint64_t cfa__play_mix(uint64_t bits) {
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
    return bits ^ (bits >> 31);
}

uint64_t cfa__play_draw(cfa_play *play) {
    play->random_state += UINT64_C(0x9e3779b97f4a7c15);
    return cfa__play_mix(play->random_state);
}

bool cfa__play_chance(cfa_play *play, int32_t ppm) {
    return (int64_t)(cfa__play_draw(play) % 1000000) < ppm;
}

/* ---- construction ---------------------------------------------------------------------------- */

static cfa_status fill(cfa_play *play, const cfa_play_options *options) {
    const char *secret = options->webhook_secret != NULL ? options->webhook_secret : "whsec_play";
    size_t secret_size = strlen(secret);
    if (secret_size == 0) {
        return cfa_error_set(CFA_EINVAL, CFA__PLAY_ORIGIN, "webhook_secret", 0,
                             "an empty secret signs nothing");
    }
    if (options->key_retention_ms < 0 || options->key_retention_ms > INT64_MAX / 1000) {
        return cfa_error_set(CFA_ERANGE, CFA__PLAY_ORIGIN, "key_retention_ms", 0,
                             "0 for 24 hours, or a positive duration");
    }
    play->webhook_secret = cfa_alloc(secret_size + 1);
    if (play->webhook_secret == NULL) {
        return cfa_error_set(CFA_ENOMEM, CFA__PLAY_ORIGIN, NULL, 0, "no memory for a provider");
    }
    memcpy(play->webhook_secret, secret, secret_size + 1);
    play->platform = (cfa_platform)CFA_PLATFORM_INIT;
    if (options->platform != NULL) {
        play->platform = *options->platform;
    }
    play->one_step = options->one_step != 0;
    play->lookup_authoritative = options->lookup_not_authoritative == 0;
    play->key_retention_us =
        (options->key_retention_ms != 0 ? options->key_retention_ms : KEY_RETENTION_MS) * 1000;
    play->seed = play->random_state = options->seed;
    play->weather = (cfa_play_weather)CFA_PLAY_WEATHER_INIT;
    play->ops = (cfa_provider_ops){
        .struct_size = sizeof play->ops,
        .name = "play",
        .capabilities =
            (play->one_step ? 0u : (uint32_t)CFA_PROVIDER_TWO_STEP) |
            (play->lookup_authoritative ? (uint32_t)CFA_PROVIDER_LOOKUP_AUTHORITATIVE : 0u) |
            (uint32_t)CFA_PROVIDER_READS_REVERSALS,
        .money_rules = cfa_money_rules_stripe(),
        .prepare = cfa__play_prepare,
        .call = cfa__play_call,
        .webhook = cfa__play_webhook,
        .list = cfa__play_list,
    };
    play->provider = (cfa_provider){ &play->ops, play };
    return CFA_OK;
}

cfa_status cfa__play_copy_struct(void *out, size_t size, const void *in, const char *name) {
    size_t in_size;
    memcpy(&in_size, in, sizeof in_size);
    if (in_size < sizeof in_size || in_size > size) {
        return cfa_error_set(CFA_EABI, CFA__PLAY_ORIGIN, name, 0,
                             "its struct_size is not of this version; use the _INIT macro");
    }
    memcpy(out, in, in_size);
    return CFA_OK;
}

cfa_status cfa_play_new(cfa_play **out, const cfa_play_options *given) {
    cfa_play_options copy = CFA_PLAY_OPTIONS_INIT;
    const cfa_play_options *options = &copy;
    cfa_status status =
        given != NULL ? cfa__play_copy_struct(&copy, sizeof copy, given, "options") : CFA_OK;
    if (status != CFA_OK) {
        return status;
    }
    cfa_play *play = cfa_alloc(sizeof *play);
    if (play == NULL) {
        return cfa_error_set(CFA_ENOMEM, CFA__PLAY_ORIGIN, NULL, 0, "no memory for a provider");
    }
    memset(play, 0, sizeof *play);
    status = fill(play, options);
    if (status == CFA_OK && pthread_mutex_init(&play->lock, NULL) != 0) {
        status = cfa_error_set(CFA_ENOMEM, CFA__PLAY_ORIGIN, NULL, 0, "no resources for a mutex");
    }
    if (status != CFA_OK) {
        cfa_free(play->webhook_secret);
        cfa_free(play);
        return status;
    }
    *out = play;
    return CFA_OK;
}

void cfa_play_free(cfa_play *play) {
    if (play == NULL) {
        return;
    }
    cfa__play_books_free(play);
    cfa_free(play->queue.events);
    cfa_free(play->faults.items);
    cfa_free(play->refund_states.items);
    cfa_free(play->webhook_secret);
    pthread_mutex_destroy(&play->lock);
    cfa_free(play);
}

const cfa_provider *cfa_play_provider(cfa_play *play) { return &play->provider; }

/* ---- misfortune ------------------------------------------------------------------------------ */

cfa_status cfa__play_script_push(cfa__play_script *script, int32_t item) {
    if (script->count == script->capacity) {
        size_t capacity = script->capacity == 0 ? 16 : script->capacity * 2;
        int32_t *items = cfa_realloc(script->items, capacity * sizeof *items);
        if (items == NULL) {
            return cfa_error_set(CFA_ENOMEM, CFA__PLAY_ORIGIN, NULL, 0, "no memory for a script");
        }
        script->items = items;
        script->capacity = capacity;
    }
    script->items[script->count++] = item;
    return CFA_OK;
}

bool cfa__play_script_take(cfa__play_script *script, int32_t *out) {
    if (script->head == script->count) {
        return false;
    }
    *out = script->items[script->head++];
    if (script->head == script->count) {
        script->head = script->count = 0;
    }
    return true;
}

cfa_status cfa_play_fault_next(cfa_play *play, int32_t fault) {
    if (fault < CFA_PLAY_FAULT_NONE || fault > CFA_PLAY_FAULT_REFUSED) {
        return cfa_error_set(CFA_EINVAL, CFA__PLAY_ORIGIN, "fault", fault, "use CFA_PLAY_FAULT_*");
    }
    cfa__play_lock(play);
    cfa_status status = cfa__play_script_push(&play->faults, fault);
    cfa__play_unlock(play);
    return status;
}

cfa_status cfa_play_weather_set(cfa_play *play, const cfa_play_weather *given) {
    cfa_play_weather copy = CFA_PLAY_WEATHER_INIT;
    const cfa_play_weather *weather = &copy;
    cfa_status status = cfa__play_copy_struct(&copy, sizeof copy, given, "weather");
    if (status != CFA_OK) {
        return status;
    }
    const int32_t rates[] = { weather->reply_lost_ppm, weather->request_lost_ppm,
                              weather->error_after_ppm, weather->error_before_ppm,
                              weather->not_sent_ppm };
    const int32_t webhook_rates[] = { weather->webhook_lost_ppm, weather->webhook_duplicated_ppm,
                                      weather->webhook_reordered_ppm };
    bool fits = weather->delay_ms_max >= 0;
    int64_t sum = 0;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        fits = fits && rates[i] >= 0;
        sum += rates[i];
    }
    for (size_t i = 0; i < sizeof webhook_rates / sizeof webhook_rates[0]; i++) {
        fits = fits && webhook_rates[i] >= 0 && webhook_rates[i] <= 1000000;
    }
    if (!fits || sum > 1000000) {
        return cfa_error_set(CFA_ERANGE, CFA__PLAY_ORIGIN, "weather", 0,
                             "rates are 0 to 1000000; those of calls also in sum");
    }
    cfa__play_lock(play);
    play->weather = *weather;
    cfa__play_unlock(play);
    return CFA_OK;
}

/* ---- the books ------------------------------------------------------------------------------- */

cfa_status cfa_play_books_get(cfa_play_books *out, cfa_play *play) {
    cfa_play_books books = CFA_PLAY_BOOKS_INIT;
    cfa_status status = cfa__play_copy_struct(&books, sizeof books, out, "out");
    if (status != CFA_OK) {
        return status;
    }
    size_t out_size = books.struct_size;
    cfa__play_lock(play);
    books.intent_count = (int64_t)play->intent_number;
    books.charge_count = play->charge_count;
    books.charged_twice = play->charged_twice;
    books.call_count = play->call_count;
    books.webhooks_pending = (int64_t)(play->queue.count + play->queue.in_flight);
    books.refund_count = (int64_t)play->refund_number;
    books.refunded_twice = play->refunded_twice;
    books.dispute_count = (int64_t)play->dispute_number;
    cfa__play_unlock(play);
    memcpy(out, &books, out_size);
    return CFA_OK;
}

cfa_status cfa_play_payment(cfa_facts *out, int64_t *out_charges, cfa_play *play,
                            const char *payment_id, cfa_arena *arena) {
    cfa_status status = CFA_ENOTFOUND;
    int64_t charges = 0;
    cfa__play_lock(play);
    const cfa__play_payment *payment = cfa__play_find_payment(play, payment_id);
    if (payment != NULL) {
        const cfa__play_intent *best = cfa__play_best_intent(payment, NULL, INT64_MIN, INT64_MAX);
        assert(best != NULL);
        cfa__play_report report = cfa__play_tell(best);
        report.whole = true;
        charges = payment->charges;
        status = cfa__play_facts(out, &report, arena);
    }
    cfa__play_unlock(play);
    if (status == CFA_ENOTFOUND) {
        return cfa_error_set(CFA_ENOTFOUND, CFA__PLAY_ORIGIN, "payment_id", 0,
                             "the provider has no object for this payment");
    }
    if (status == CFA_OK && out_charges != NULL) {
        *out_charges = charges;
    }
    return status;
}
