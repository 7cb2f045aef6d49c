/*
 * books.h - the play provider's inside: objects, idempotency keys, webhooks, the lock around them.
 *
 * Everything here is used with `cfa_play.lock` held, but for what is marked immutable. Must never
 * know the engine, except in webhook.c, which delivers to one.
 */
#ifndef CFA_ADAPTERS_PLAY_BOOKS_H
#define CFA_ADAPTERS_PLAY_BOOKS_H

#include <careforall/adapters/play.h>
#include <careforall/dispute.h>
#include <careforall/refund.h>
#include <pthread.h>
#include <stdbool.h>

#include "util/buffer.h"
#include "util/json.h"

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
    cfa_money fee;
} cfa__play_snapshot;

/* The same of a refund, whose text is in it, and of a dispute. */
typedef struct cfa__play_refund_snapshot {
    cfa_refund_state state;
    const char *failure_code;
    int64_t occurred_us;
} cfa__play_refund_snapshot;

typedef struct cfa__play_dispute_snapshot {
    cfa_dispute_state state;
    int64_t withdrawn_minor, reinstated_minor;
    cfa_money fee;
    int64_t evidence_due_us;
    int64_t occurred_us;
} cfa__play_dispute_snapshot;

#define CFA__PLAY_REF_SIZE CFA_PLAY_REF_SIZE /* "pi_play_", 16 hex digits, NUL */
#define CFA__PLAY_SECRET_SIZE 49             /* the ref, "_secret_", 16 hex digits, NUL */
#define CFA__PLAY_CODE_SIZE 64               /* of a failure code or a reason that a caller gives */

typedef struct cfa__play_intent cfa__play_intent;
typedef struct cfa__play_refund cfa__play_refund;
typedef struct cfa__play_dispute cfa__play_dispute;

typedef struct cfa__play_payment {
    cfa__play_item item;      /* in cfa_play.payments */
    cfa__play_intent *newest; /* all objects made for it, newest first */
    int64_t charges;
    char id[];
} cfa__play_payment;

/* How intents, refunds and disputes begin: each also hangs in the list of all of its kind, newest
 * first. */
typedef struct cfa__play_entry {
    cfa__play_item item;
    struct cfa__play_entry *before;
    int64_t created_us;
} cfa__play_entry;

struct cfa__play_intent {
    cfa__play_entry entry;      /* in cfa_play.intents */
    cfa__play_intent *older;    /* of the same payment */
    cfa__play_payment *payment; /* this and the next four: immutable */
    cfa_money amount;
    bool capture_manual;
    char secret[CFA__PLAY_SECRET_SIZE];
    char ref[CFA__PLAY_REF_SIZE];
    cfa__play_state state;
    cfa__play_snapshot now;
    int64_t paid_out_us; /* 0: it was not */
    cfa__play_refund *newest_refund;
    cfa__play_dispute *newest_dispute;
    int32_t refund_count, dispute_count; /* at most CFA_REVERSALS_MAX each */
    char account[];                      /* immutable */
};

struct cfa__play_refund {
    cfa__play_entry entry; /* in cfa_play.refunds */
    cfa__play_refund *older;
    cfa__play_intent *intent; /* this and the next two: immutable */
    int64_t amount_minor;
    char ref[CFA__PLAY_REF_SIZE];
    cfa__play_refund_snapshot now;
    char failure_code[CFA__PLAY_CODE_SIZE]; /* written once, when it fails */
    char refund_id[];                       /* immutable; "" for one that was made by hand */
};

struct cfa__play_dispute {
    cfa__play_entry entry; /* in cfa_play.disputes */
    cfa__play_dispute *older;
    cfa__play_intent *intent; /* this and the next three: immutable */
    int64_t amount_minor;
    char ref[CFA__PLAY_REF_SIZE];
    char reason[CFA__PLAY_CODE_SIZE];
    cfa__play_dispute_snapshot now;
};

/* What is told at one moment: how a payment stands, or whose a refund or dispute is and how that
 * stands, as a real provider's separate objects say no more. */
typedef struct cfa__play_report {
    const cfa__play_intent *intent; /* NULL: nothing is told */
    const cfa__play_refund *refund;
    const cfa__play_dispute *dispute;
    bool whole; /* of a payment: with all its refunds and disputes as they stand now */
    union {
        cfa__play_snapshot payment;
        cfa__play_refund_snapshot refund;
        cfa__play_dispute_snapshot dispute;
    } as;
} cfa__play_report;

/* What a call was answered; stored under its key as it is. */
typedef struct cfa__play_answer {
    int32_t outcome;  /* CFA_OUTCOME_* */
    bool secret;      /* the client secret is part of the answer */
    bool unavailable; /* as a server error is */
    const char *code; /* static text, or NULL */
    cfa__play_report report;
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
    CFA__PLAY_CHARGE_UPDATED,
    CFA__PLAY_REFUND_CREATED,
    CFA__PLAY_REFUND_UPDATED,
    CFA__PLAY_REFUND_FAILED,
    CFA__PLAY_DISPUTE_CREATED,
    CFA__PLAY_DISPUTE_UPDATED,
    CFA__PLAY_DISPUTE_FUNDS_WITHDRAWN,
    CFA__PLAY_DISPUTE_FUNDS_REINSTATED,
    CFA__PLAY_DISPUTE_CLOSED,
    CFA__PLAY_FRAUD_WARNING_CREATED,
    CFA__PLAY_EVENT_TYPES
} cfa__play_event_type;

typedef struct cfa__play_event {
    cfa__play_event_type type;
    uint64_t number;
    cfa__play_report report;
} cfa__play_event;

/* One change of an object makes at most this many events; duplicates double them. */
#define CFA__PLAY_EVENTS_PER_CHANGE 6

/* A ring; `head` is the next to deliver. `in_flight` ones are being delivered and may come back. */
typedef struct cfa__play_queue {
    cfa__play_event *events;
    size_t capacity, head, count, in_flight;
} cfa__play_queue;

/* ---- the provider ---------------------------------------------------------------------------- */

/* What a test wants of coming calls, in order. */
typedef struct cfa__play_script {
    int32_t *items;
    size_t head, count, capacity; /* the next is at `head` */
} cfa__play_script;

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
    cfa__play_script faults, refund_states;
    cfa__play_map intents, payments, keys, refunds, disputes;
    cfa__play_entry *newest_intent, *newest_refund, *newest_dispute;
    cfa__play_key *oldest_key, *newest_key;
    cfa__play_queue queue;
    uint64_t intent_number, event_number, refund_number, dispute_number;
    int64_t charge_count, charged_twice, call_count, refunded_twice;
};

/* play.c */
void cfa__play_lock(cfa_play *play);
void cfa__play_unlock(cfa_play *play);
int64_t cfa__play_now_us(const cfa_play *play);
uint64_t cfa__play_mix(uint64_t bits);
uint64_t cfa__play_draw(cfa_play *play);
/* True in `ppm` of a million draws. It always draws: one rate must not shift another's luck. */
bool cfa__play_chance(cfa_play *play, int32_t ppm);
CFA_MUST_CHECK cfa_status cfa__play_script_push(cfa__play_script *script, int32_t item);
/* False: the script has ended. */
bool cfa__play_script_take(cfa__play_script *script, int32_t *out);
/* Copy a caller's struct, which may be of an older, shorter version, over defaults of this one. */
CFA_MUST_CHECK cfa_status cfa__play_copy_struct(void *out, size_t size, const void *in,
                                                const char *name);

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
cfa__play_refund *cfa__play_find_refund(cfa_play *play, const char *ref);
cfa__play_dispute *cfa__play_find_dispute(cfa_play *play, const char *ref);
/* Put a refund (`refund_id` "": made by hand) or dispute into the books, with no state yet. NULL
 * without memory. */
cfa__play_refund *cfa__play_refund_new(cfa_play *play, cfa__play_intent *intent,
                                       int64_t amount_minor, const char *refund_id);
cfa__play_dispute *cfa__play_dispute_new(cfa_play *play, cfa__play_intent *intent,
                                         int64_t amount_minor);
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

/* reversal.c */
/* Why this much cannot be given back, or NULL. */
const char *cfa__play_refund_refusal(const cfa__play_intent *intent, int64_t amount_minor);
/* Give money back, which must be possible. NULL without memory. */
const cfa__play_refund *cfa__play_refund_make(cfa_play *play, cfa__play_intent *intent,
                                              int64_t amount_minor, const char *refund_id,
                                              cfa_refund_state state);

/* facts.c */
cfa__play_report cfa__play_tell(const cfa__play_intent *intent);
cfa__play_report cfa__play_tell_refund(const cfa__play_refund *refund);
cfa__play_report cfa__play_tell_dispute(const cfa__play_dispute *dispute);
/* A report as facts in `arena`. Needs the lock for whole ones only. */
CFA_MUST_CHECK cfa_status cfa__play_facts(cfa_facts *out, const cfa__play_report *report,
                                          cfa_arena *arena);
/* Facts as the members of an event's "data". */
void cfa__play_facts_write(cfa__buffer *json, const cfa_facts *facts);
CFA_MUST_CHECK cfa_status cfa__play_facts_read(cfa_facts *out, const cfa__json *data,
                                               cfa_arena *arena);
/* Copy a text member into `arena`. A missing one is NULL when it may be, else an error. */
CFA_MUST_CHECK cfa_status cfa__play_read_text(const char **out, const cfa__json *object,
                                              const char *name, bool required, cfa_arena *arena);
CFA_MUST_CHECK cfa_status cfa__play_malformed(const char *field);

/* call.c */
cfa_status cfa__play_prepare(void *self, const cfa_call *call, cfa_arena *arena,
                             cfa_slice *out_body);
void cfa__play_call(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out);
/* What befalls the call at hand, CFA_PLAY_FAULT_*, after its delay; true when that was too long. */
bool cfa__play_befall(cfa_play *play, int32_t timeout_ms, int32_t *out_fault);

/* list.c */
void cfa__play_list(void *self, const cfa_list_request *request, cfa_arena *arena,
                    cfa_list_page *out);

/* webhook.c */
/* Make room for one change's events, before the change. */
CFA_MUST_CHECK cfa_status cfa__play_queue_reserve(cfa_play *play);
void cfa__play_queue_push(cfa_play *play, cfa__play_event_type type,
                          const cfa__play_report *report);
const char *cfa__play_event_type_name(cfa__play_event_type type);

/* verify.c */
cfa_status cfa__play_webhook(void *self, cfa_slice signature, cfa_slice body, int64_t now_us,
                             cfa_arena *arena, cfa_webhook_event *out);

#endif
