/*
 * books.h - the play provider's inside: objects, idempotency keys, webhooks, the lock around them.
 *
 * Everything here is used with `cfa_play.lock` held, but for what is marked immutable. Must never
 * know the engine, except in webhook.c, which delivers to one.
 */
#ifndef CFA_ADAPTERS_PLAY_BOOKS_H
#define CFA_ADAPTERS_PLAY_BOOKS_H

#include <careforall/adapters/play.h>
#include <pthread.h>
#include <stdbool.h>

#define CFA__PLAY_ORIGIN "provider.play"

/* ---- hash map: pointers to structs that begin with a cfa__play_item -------------------------- */

typedef struct cfa__play_item {
    uint64_t hash;
} cfa__play_item;

typedef struct cfa__play_map {
    cfa__play_item **slots;
    size_t capacity, count; /* capacity: 0 or a power of two */
} cfa__play_map;

/* ---- what happened to an object -------------------------------------------------------------- */

typedef enum cfa__play_state {
    CFA__PLAY_OPEN, /* waits for a (next) payment method */
    CFA__PLAY_ACTION,
    CFA__PLAY_PROCESSING,
    CFA__PLAY_HELD,
    CFA__PLAY_PAID,
    CFA__PLAY_CANCELED,
    CFA__PLAY_EXPIRED
} cfa__play_state;

/* The facts of one moment. Text is static. */
typedef struct cfa__play_snapshot {
    uint32_t flags;
    int32_t attempt;
    int64_t authorized_minor, captured_minor;
    int64_t occurred_us;
    const char *failure_code;
    const char *cancel_reason;
} cfa__play_snapshot;

#define CFA__PLAY_REF_SIZE 25    /* "pi_play_", 16 hex digits, NUL */
#define CFA__PLAY_SECRET_SIZE 49 /* the ref, "_secret_", 16 hex digits, NUL */

typedef struct cfa__play_intent cfa__play_intent;

typedef struct cfa__play_payment {
    cfa__play_item item;      /* in cfa_play.payments */
    cfa__play_intent *newest; /* all objects made for it, newest first */
    int64_t charges;
    char id[];
} cfa__play_payment;

struct cfa__play_intent {
    cfa__play_item item;        /* in cfa_play.intents */
    cfa__play_intent *older;    /* of the same payment */
    cfa__play_payment *payment; /* this and the next five: immutable */
    cfa_money amount;
    int64_t created_us;
    bool capture_manual;
    char secret[CFA__PLAY_SECRET_SIZE];
    char ref[CFA__PLAY_REF_SIZE];
    cfa__play_state state;
    cfa__play_snapshot now;
    char account[]; /* immutable */
};

/* What a call was answered; stored under its key as it is. */
typedef struct cfa__play_answer {
    int32_t outcome;                /* CFA_OUTCOME_* */
    bool secret;                    /* the client secret is part of the answer */
    bool unavailable;               /* as a server error is */
    const char *code;               /* static text, or NULL */
    const cfa__play_intent *intent; /* NULL without facts */
    cfa__play_snapshot facts;
} cfa__play_answer;

typedef struct cfa__play_key {
    cfa__play_item item; /* in cfa_play.keys */
    struct cfa__play_key *older, *newer;
    int64_t created_us;
    uint8_t body_hash[16];
    cfa__play_answer answer;
    size_t size;
    char name[]; /* account, NUL, key */
} cfa__play_key;

/* ---- webhooks -------------------------------------------------------------------------------- */

typedef enum cfa__play_event_type {
    CFA__PLAY_INTENT_CREATED,
    CFA__PLAY_INTENT_REQUIRES_ACTION,
    CFA__PLAY_INTENT_PROCESSING,
    CFA__PLAY_INTENT_PAYMENT_FAILED,
    CFA__PLAY_INTENT_SUCCEEDED,
    CFA__PLAY_INTENT_CANCELED,
    CFA__PLAY_INTENT_EXPIRED,
    CFA__PLAY_CHARGE_AUTHORIZED,
    CFA__PLAY_CHARGE_CAPTURED,
    CFA__PLAY_CHARGE_EXPIRED,
    CFA__PLAY_EVENT_TYPES
} cfa__play_event_type;

typedef struct cfa__play_event {
    cfa__play_event_type type;
    uint64_t number;
    const cfa__play_intent *intent;
    cfa__play_snapshot facts;
} cfa__play_event;

/* One change of an object makes at most this many events; duplicates double them. */
#define CFA__PLAY_EVENTS_PER_CHANGE 6

/* A ring; `head` is the next to deliver. `in_flight` ones are being delivered and may come back. */
typedef struct cfa__play_queue {
    cfa__play_event *events;
    size_t capacity, head, count, in_flight;
} cfa__play_queue;

/* ---- the provider ---------------------------------------------------------------------------- */

struct cfa_play {
    cfa_provider_ops ops; /* this instance's capabilities; immutable, as the next five */
    cfa_provider provider;
    cfa_platform platform;
    bool one_step, lookup_authoritative;
    int64_t key_retention_us;
    char *webhook_secret;
    pthread_mutex_t lock;
    uint64_t seed, random_state;
    cfa_play_weather weather;
    int32_t *faults; /* pushed ones, taken from `fault_head` */
    size_t fault_head, fault_count, fault_capacity;
    cfa__play_map intents, payments, keys;
    cfa__play_key *oldest_key, *newest_key;
    cfa__play_queue queue;
    uint64_t intent_number, event_number;
    int64_t charge_count, charged_twice, call_count;
};

/* play.c */
void cfa__play_lock(cfa_play *play);
void cfa__play_unlock(cfa_play *play);
int64_t cfa__play_now_us(const cfa_play *play);
uint64_t cfa__play_mix(uint64_t bits);
uint64_t cfa__play_draw(cfa_play *play);
/* True in `ppm` of a million draws. It always draws: one rate must not shift another's luck. */
bool cfa__play_chance(cfa_play *play, int32_t ppm);

/* books.c */
void cfa__play_books_free(cfa_play *play);
cfa__play_intent *cfa__play_find_ref(cfa_play *play, const char *ref);
cfa__play_intent *cfa__play_find_secret(cfa_play *play, const char *secret);
cfa__play_payment *cfa__play_find_payment(cfa_play *play, const char *payment_id);
/* The object that tells most about a payment: charged before held before newest. NULL: none was
 * made in the window. `account` NULL: any. */
cfa__play_intent *cfa__play_best_intent(const cfa__play_payment *payment, const char *account,
                                        int64_t from_us, int64_t until_us);
/* A new open object in the books, or NULL without memory. */
cfa__play_intent *cfa__play_intent_new(cfa_play *play, const char *payment_id, const char *account,
                                       cfa_money amount, bool capture_manual, int64_t now_us);
/* The key's entry if it is not forgotten by now; forgets what is. */
cfa__play_key *cfa__play_key_find(cfa_play *play, const char *account, const char *key,
                                  int64_t now_us);
cfa__play_key *cfa__play_key_new(cfa_play *play, const char *account, const char *key,
                                 const uint8_t body_hash[16], int64_t now_us);
void cfa__play_key_drop(cfa_play *play, cfa__play_key *key);

/* intent.c: the life of one object. Room for the events is reserved by the caller. */
bool cfa__play_method_is_known(const char *method);
void cfa__play_intent_announce(cfa_play *play, cfa__play_intent *intent);
/* Try to pay an open object with a known method. False: declined. */
bool cfa__play_intent_pay(cfa_play *play, cfa__play_intent *intent, const char *method);
/* Each NULL when done, else the code of the refusal. `amount_minor` 0: all. */
const char *cfa__play_intent_capture(cfa_play *play, cfa__play_intent *intent,
                                     int64_t amount_minor);
const char *cfa__play_intent_cancel(cfa_play *play, cfa__play_intent *intent);

/* call.c */
cfa_status cfa__play_prepare(void *self, const cfa_call *call, cfa_arena *arena,
                             cfa_slice *out_body);
void cfa__play_call(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out);
/* Copy facts of an object into `arena`. */
CFA_MUST_CHECK cfa_status cfa__play_facts(cfa_facts *out, const cfa__play_intent *intent,
                                          const cfa__play_snapshot *facts, cfa_arena *arena);

/* webhook.c */
/* Make room for one change's events, before the change. */
CFA_MUST_CHECK cfa_status cfa__play_queue_reserve(cfa_play *play);
void cfa__play_queue_push(cfa_play *play, cfa__play_event_type type, const cfa__play_intent *intent,
                          const cfa__play_snapshot *facts);
const char *cfa__play_event_type_name(cfa__play_event_type type);
/* The flag's name in an event's body; NULL beyond the last. */
const char *cfa__play_flag_name(size_t index, uint32_t *out_flag);

/* verify.c */
cfa_status cfa__play_webhook(void *self, cfa_slice signature, cfa_slice body, int64_t now_us,
                             cfa_arena *arena, cfa_webhook_event *out);

#endif
