/*
 * decide.h - every command: its input, its output and its deciding function. Handlers are pure; ids
 * and keys are drawn by whoever fills the input.
 */
#ifndef CFA_CORE_DECIDE_DECIDE_H
#define CFA_CORE_DECIDE_DECIDE_H

#include <careforall/campaign.h>
#include <careforall/pledge.h>
#include <careforall/sys/provider.h>
#include "core/command.h"
#include "core/decide/act.h"

#define CFA__OPERATIONS_PER_PAYMENT_MAX 64
#define CFA__DRAIN_MAX 128          /* parked webhooks applied by one command */
#define CFA__PROJECT_EVENTS_MAX 256 /* events applied by one projector command */
#define CFA__UPKEEP_ROWS_MAX 512
#define CFA__WAITING_ROWS_MAX 1100                     /* objects looked at by one upkeep */
#define CFA__WAITING_NAMES_MAX 4                       /* webhooks of an object that may name it */
#define CFA__WAITING_READ_US (INT64_C(3600) * 1000000) /* a webhook waits: its payment is read */
#define CFA__STAGED_ROWS_MAX 256
#define CFA__LEASE_MAX 32                                  /* operations leased by one command */
#define CFA__KEY_GUARD_US (INT64_C(12) * 3600 * 1000000)   /* re-use of a provider key ends here */
#define CFA__ABSENCE_DELAY_US (INT64_C(10) * 60 * 1000000) /* a look-up proves absence after this */
/* Around when a two-step create can have been sent: a wider window finds nothing sooner, and a look
 * that misses an object of a clock that was wrong by more makes one that nobody can pay. */
#define CFA__LOOKUP_MARGIN_US (INT64_C(3600) * 1000000)

/* ---- idempotency keys ------------------------------------------------------------------------ */

typedef int32_t cfa__keyed_command;
enum {
    CFA__KEYED_CAMPAIGN_CREATE = 1,
    CFA__KEYED_CAMPAIGN_UPDATE = 2,
    CFA__KEYED_CAMPAIGN_END = 3,
    CFA__KEYED_PLEDGE_CREATE = 4,
    CFA__KEYED_CAPTURE = 5,
    CFA__KEYED_CANCEL = 6,
    CFA__KEYED_REWIND = 7,
    CFA__KEYED_REQUEUE = 8,
    CFA__KEYED_REFUND = 9,
    CFA__KEYED_ACCEPT = 10,
    CFA__KEYED_RECONCILE = 11
};

#define CFA__FINGERPRINT_FIELDS_MAX 6
#define CFA__FINGERPRINT_PART 8
#define CFA__FINGERPRINT_VERSION 1

/* A caller's key, hashed, with the fingerprint of what was asked. */
typedef struct cfa__keyed {
    cfa__id digest, scope_hash;
    bool time_ordered;
    cfa__keyed_command command;
    int64_t generation_hint;
    int32_t field_count;
    const char *field_names[CFA__FINGERPRINT_FIELDS_MAX];
    uint8_t fingerprint[1 + CFA__FINGERPRINT_FIELDS_MAX * CFA__FINGERPRINT_PART];
} cfa__keyed;

/* The one row of the book; NULL only before it was first opened. */
CFA_MUST_CHECK cfa_status cfa__book_find(cfa__working_set *set, const cfa__book **out);

/* Find what a key made; `*out_resource` is null when it is new. A different request is
 * CFA_EKEYREUSE naming the field. */
CFA_MUST_CHECK cfa_status cfa__key_resolve(cfa__working_set *set, const cfa__keyed *keyed,
                                           cfa__id *out_resource);
/* The same of a key that changes a payment, which is made ready for it. CFA_ENOTFOUND: there is no
 * such payment. */
CFA_MUST_CHECK cfa_status cfa__key_resolve_payment(cfa__working_set *set, const cfa__keyed *keyed,
                                                   cfa__id payment_id, cfa__id *out_resource,
                                                   cfa__payment **out);
/* Bind a new key to what it made. */
CFA_MUST_CHECK cfa_status cfa__key_bind(cfa__working_set *set, const cfa__keyed *keyed,
                                        cfa__id resource_id);

/* ---- campaigns ------------------------------------------------------------------------------- */

typedef struct cfa__campaign_change {
    cfa__keyed keyed;
    cfa__id campaign_id;      /* drawn for a create */
    int64_t expected_version; /* update and end */
    cfa_slice title, currencies;
    cfa_money goal;
    int64_t deadline_us;
    int32_t late_rule;
    cfa__by by;
} cfa__campaign_change;

typedef struct cfa__campaign_answer {
    const cfa__campaign *campaign;
    bool replayed;
} cfa__campaign_answer;

CFA_MUST_CHECK cfa_status cfa__campaign_create(cfa__working_set *set, cfa__command *command);
CFA_MUST_CHECK cfa_status cfa__campaign_update(cfa__working_set *set, cfa__command *command);
CFA_MUST_CHECK cfa_status cfa__campaign_end(cfa__working_set *set, cfa__command *command);
/* True when a campaign takes no more pledges at this time. */
bool cfa__campaign_has_ended(const cfa__campaign *campaign, int64_t now_us);
/* True when the comma-separated `currencies` hold this code. */
bool cfa__currency_is_listed(cfa_slice currencies, const char *currency);

/* ---- the circuit breaker --------------------------------------------------------------------- */

enum { CFA__BREAKER_CLOSED = 1, CFA__BREAKER_OPEN = 2, CFA__BREAKER_HALF_OPEN = 3 };
const char *cfa__breaker_state_name(int64_t state);

/* Whose breaker, for commands that ask it; `provider` null: nobody asks. */
typedef struct cfa__circuit {
    cfa_slice provider, account;
    int64_t lease_ms; /* how long a call that may try has time */
} cfa__circuit;
/* True when a call may go out now. An open breaker lets one try when its time has come, which makes
 * it half open; `*out_retry_us` is when to ask again. */
CFA_MUST_CHECK cfa_status cfa__circuit_admit(cfa__working_set *set, const cfa__circuit *circuit,
                                             bool *out_admitted, int64_t *out_retry_us);

/* What calls have shown: the provider answers, or it is out. */
typedef struct cfa__circuit_input {
    cfa__circuit circuit;
    cfa__id breaker_id; /* drawn, for the first row */
    bool out;
    int64_t open_ms; /* how long it stays open before one call may try */
} cfa__circuit_input;
typedef struct cfa__circuit_answer {
    int64_t state, retry_us;
} cfa__circuit_answer;
CFA_MUST_CHECK cfa_status cfa__circuit_report(cfa__working_set *set, cfa__command *command);

/* ---- pledges --------------------------------------------------------------------------------- */

typedef struct cfa__pledge_input {
    cfa__keyed keyed;
    cfa__id campaign_id;
    cfa_money amount;
    cfa__id pledge_id, payment_id, donor_id, lease_id; /* drawn */
    cfa__id person_id;                                 /* from the reference, else donor_id */
    cfa_slice reference, name, email, message;
    int32_t visibility, capture_manual;
    cfa_slice provider, account, method, idempotency_key, body, trace;
    int64_t expires_ms, lease_ms; /* lease 0: the call is left to whoever finds it */
    cfa__circuit circuit;         /* asked only when the provider may be out */
    bool circuit_queues;          /* then the call waits for its turn, else for the same key */
    int64_t answer_until_us;      /* real time: how long the caller waits; not for deciding */
    int64_t leased_us;            /* monotonic: when the lease was asked for; not for deciding */
} cfa__pledge_input;

typedef struct cfa__pledge_answer {
    const cfa__pledge *pledge;
    const cfa__payment *payment;
    const cfa__donor *donor;         /* NULL: no personal data */
    const cfa__answer *answer;       /* NULL: not fixed yet, or dropped after its time */
    const cfa__operation *operation; /* what this very command leased, or NULL */
    int64_t refused_until_us;        /* the provider is out until then; 0: it is not */
    bool replayed;
} cfa__pledge_answer;

CFA_MUST_CHECK cfa_status cfa__pledge_create(cfa__working_set *set, cfa__command *command);

typedef struct cfa__erase_input {
    cfa__id pledge_id;
    cfa__by by;
} cfa__erase_input;
CFA_MUST_CHECK cfa_status cfa__donor_erase(cfa__working_set *set, cfa__command *command);

/* ---- provider operations --------------------------------------------------------------------- */

typedef int32_t cfa__operation_state;
enum {
    CFA__OPERATION_READY = 1,   /* to be sent, or leased for it */
    CFA__OPERATION_UNKNOWN = 2, /* sent, outcome in doubt */
    CFA__OPERATION_DONE = 3,
    CFA__OPERATION_REFUSED = 4,
    CFA__OPERATION_CLOSED = 5,  /* no longer needed */
    CFA__OPERATION_DEFERRED = 6 /* the provider was out: never sent, waits for the same key */
};

/* Of an operation: what the provider does with a repeat of its key. Of a read under way: what it
 * brings may be older than news that came in meanwhile. */
enum { CFA__STORED_ANSWER = 1, CFA__STORED_ERROR = 2, CFA__READ_AGAIN = 3 };

/* Capture or cancel, asked for by a caller's key. */
typedef struct cfa__operation_input {
    cfa__keyed keyed;
    cfa_provider provider;
    cfa__id payment_id;
    int32_t call;
    int64_t amount_minor; /* capture; 0: all that is authorized */
    char currency[4];
    cfa__by by;
} cfa__operation_input;

typedef struct cfa__operation_answer {
    const cfa__payment *payment;
} cfa__operation_answer;
CFA_MUST_CHECK cfa_status cfa__operation_create(cfa__working_set *set, cfa__command *command);

CFA_MUST_CHECK cfa_status cfa__operation_find(cfa__working_set *set, cfa__id payment_id,
                                              int64_t number, const cfa__operation **out);
/* The operation of this kind that is not closed; NULL when there is none. */
CFA_MUST_CHECK cfa_status cfa__operation_find_open(cfa__working_set *set,
                                                   const cfa__payment *payment, int32_t call,
                                                   const cfa__operation **out);
/* May this call be made at once? Not what is closed, leased, or never to be made by itself. */
bool cfa__operation_can_hasten(const cfa__operation *operation, int64_t now_us);
/* Bring a payment's standing probe forward, when evidence tied or a call was refused, or begin one;
 * one that is under way is followed by another. */
CFA_MUST_CHECK cfa_status cfa__operation_expedite(cfa__working_set *set, cfa__payment *payment);
/* Add an operation to a payment's draft, its request bytes made by the provider's pure `prepare`;
 * `provider` may be NULL for a RETRIEVE, `refund_id` is null for all but a REFUND. */
CFA_MUST_CHECK cfa_status cfa__operation_append(cfa__working_set *set, const cfa_provider *provider,
                                                cfa__payment *payment, int32_t kind,
                                                int64_t amount_minor, cfa__id refund_id,
                                                int64_t due_us);
/* Describe a call of this kind for an operation; text is copied into `arena`. */
CFA_MUST_CHECK cfa_status cfa__call_fill(cfa_call *out, cfa_arena *arena,
                                         const cfa__operation *operation,
                                         const cfa__payment *payment, int32_t kind, int64_t now_us,
                                         int32_t timeout_ms);

/* Lease operations that are due (or, when expediting, the standing probe of a payment someone waits
 * for). */
typedef struct cfa__lease_item {
    cfa__id payment_id;
    int64_t number;
} cfa__lease_item;
typedef struct cfa__lease_input {
    cfa__lease_item items[CFA__LEASE_MAX];
    int32_t count;
    cfa__id lease_id;
    int64_t lease_ms;
    int64_t leased_us; /* monotonic: when the lease was asked for; not for deciding */
    bool expedite;
    cfa__circuit circuit; /* asked only when the provider may be out */
} cfa__lease_input;
typedef struct cfa__lease_answer {
    const cfa__operation *operations[CFA__LEASE_MAX];
    const cfa__payment *payments[CFA__LEASE_MAX];
    int32_t count;
    int64_t refused_until_us; /* the provider is out until then; 0: it is not */
} cfa__lease_answer;
/* True when an operation may be leased now. */
bool cfa__operation_is_leasable(const cfa__operation *operation, bool expedite, int64_t now_us);
/* True for a leased charge that was never sent and whose donor's time is over: it must not be made
 * any more. */
bool cfa__operation_is_too_late(const cfa__operation *operation, const cfa__payment *payment);
CFA_MUST_CHECK cfa_status cfa__operation_lease(cfa__working_set *set, cfa__command *command);

/* What became of a call. */
typedef struct cfa__result_input {
    cfa_provider provider;
    bool refunds_suspects; /* of fraud, by the engine's rule */
    cfa__id payment_id;
    int64_t number;
    cfa__id lease_id; /* the lease under which the call was made */
    int64_t lease_epoch, lease_ms;
    int64_t try_number; /* tries + 1 at the lease */
    int32_t call;       /* what was really sent: LOOKUP or RETRIEVE may stand in for CREATE */
    cfa_reply reply;
    bool lookup_authoritative;
} cfa__result_input;
typedef struct cfa__result_answer {
    const cfa__pledge *pledge;
    const cfa__payment *payment;
    const cfa__donor *donor;
    const cfa__answer *answer;
    bool fenced; /* the lease had ended; facts were applied all the same */
} cfa__result_answer;
CFA_MUST_CHECK cfa_status cfa__operation_result(cfa__working_set *set, cfa__command *command);

/* Which call an operation makes next, at this time. */
int32_t cfa__operation_next_call(const cfa__operation *operation, const cfa__payment *payment,
                                 int64_t now_us);
/* Write the deterministic provider key, "cfa_<payment uuid>_<number>_<attempt>". */
void cfa__operation_key(char out[64], cfa__id payment_id, int64_t number, int64_t attempt);

/* ---- refunds --------------------------------------------------------------------------------- */

typedef struct cfa__refund_input {
    cfa__keyed keyed;
    cfa_provider provider;
    cfa__id refund_id; /* drawn */
    cfa__id payment_id;
    int64_t amount_minor; /* 0: all that is left */
    char currency[4];
    cfa__by by;
} cfa__refund_input;
typedef struct cfa__refund_answer {
    const cfa__refund *refund;
    const cfa__payment *payment;
    bool replayed;
} cfa__refund_answer;
CFA_MUST_CHECK cfa_status cfa__refund_create(cfa__working_set *set, cfa__command *command);

/* ---- late money ------------------------------------------------------------------------------ */

/* Take what the late rule holds into the totals. */
typedef struct cfa__accept_input {
    cfa__keyed keyed;
    cfa__id payment_id;
    cfa__by by;
} cfa__accept_input;
typedef struct cfa__accept_answer {
    const cfa__payment *payment;
} cfa__accept_answer;
CFA_MUST_CHECK cfa_status cfa__payment_accept(cfa__working_set *set, cfa__command *command);

/* ---- webhooks -------------------------------------------------------------------------------- */

typedef struct cfa__webhook_input {
    cfa_slice provider, account;
    cfa_provider handle;     /* for calls that the event gives rise to */
    bool refunds_suspects;   /* of fraud, by the engine's rule */
    int32_t livemode;        /* of this book */
    cfa_webhook_event event; /* text in the command's arena */
    uint8_t body_hash[32];
    bool has_body_hash;
    cfa__id webhook_id; /* drawn */
} cfa__webhook_input;
typedef struct cfa__webhook_answer {
    cfa_webhook_verdict verdict;
} cfa__webhook_answer;
CFA_MUST_CHECK cfa_status cfa__webhook_apply(cfa__working_set *set, cfa__command *command);

/* ---- cursors, totals, upkeep ----------------------------------------------------------------- */

#define CFA__PROJECTOR_NAME "totals"
#define CFA__SUBSCRIPTION_PREFIX "sub." /* keeps subscriptions and sinks apart */
#define CFA__LETTERS_MAX 256            /* dead letters read by one command */

typedef struct cfa__sink_input {
    cfa_slice name;
    cfa__id owner;
    int64_t lease_ms;
    bool take_over;   /* lead: also from a living owner */
    bool opening;     /* lead: the first time; a sink that stopped by itself may try again */
    int64_t epoch;    /* all but lead */
    int64_t position; /* settle: up to this; refuse, redelivered: this one */
    int64_t tries, tries_max; /* refuse: this one's number; at so many it is set aside, 0: stop */
    int64_t code;             /* of a refusal, in the sink's own numbers */
    cfa_slice reason;         /* refuse, stop: the sink's words */
    bool refused;             /* redelivered: refused again */
} cfa__sink_input;
typedef struct cfa__sink_answer {
    int64_t epoch, acknowledged;
    int64_t refused, refused_tries, requeued_count;
    bool leads, paused;
} cfa__sink_answer;
/* Become, or stay, the owner of a cursor; creates it. Nobody leads a paused one. */
CFA_MUST_CHECK cfa_status cfa__sink_lead(cfa__working_set *set, cfa__command *command);
/* Move a cursor forward, as far as the answer says; CFA_EFENCED when another owner has it. Dead
 * letters that it passes were delivered after all, and go. */
CFA_MUST_CHECK cfa_status cfa__sink_settle(cfa__working_set *set, cfa__command *command);
/* The sink refused the event behind its cursor: count it; then stop, or set the event aside and
 * move the cursor past it. CFA_EFENCED as above, also for the next two. */
CFA_MUST_CHECK cfa_status cfa__sink_refuse(cfa__working_set *set, cfa__command *command);
/* A requeued dead letter was taken, and goes, or was refused again, and stays. */
CFA_MUST_CHECK cfa_status cfa__sink_redelivered(cfa__working_set *set, cfa__command *command);
/* The sink is broken: pause it, and give its cursor up. */
CFA_MUST_CHECK cfa_status cfa__sink_stop(cfa__working_set *set, cfa__command *command);

/* What an operator asks of a cursor. */
typedef struct cfa__cursor_input {
    cfa__keyed keyed;   /* rewind and requeue */
    cfa__id request_id; /* drawn: what the key is bound to */
    cfa_slice name;
    int64_t expected; /* rewind: the position now */
    int64_t position; /* rewind: to here; requeue: this one, 0: all */
    int64_t after;    /* requeue of all: those behind, CFA__LETTERS_MAX at a time */
    cfa__by by;       /* pause: with a reason */
} cfa__cursor_input;
typedef struct cfa__cursor_answer {
    const cfa__sink *sink;
    int64_t head;
    int64_t next;    /* requeue of all: go on after this; 0: that was all */
    int64_t changed; /* rewind: where it stood; requeue: how many; pause and resume: 1 if so */
    bool replayed;
} cfa__cursor_answer;
CFA_MUST_CHECK cfa_status cfa__cursor_rewind(cfa__working_set *set, cfa__command *command);
CFA_MUST_CHECK cfa_status cfa__cursor_requeue(cfa__working_set *set, cfa__command *command);
CFA_MUST_CHECK cfa_status cfa__cursor_pause(cfa__working_set *set, cfa__command *command);
CFA_MUST_CHECK cfa_status cfa__cursor_resume(cfa__working_set *set, cfa__command *command);

/* What a projector's command has read of its events' bytes, so that a run after a load does not
 * parse them again. */
typedef struct cfa__project_readings {
    void *const *events; /* of these */
    struct cfa__reading *items;
} cfa__project_readings;
typedef struct cfa__project_input {
    cfa__project_readings *readings;
} cfa__project_input;
typedef struct cfa__project_answer {
    int32_t applied;
    int64_t position;                           /* of the projector after this command */
    cfa__id campaigns[CFA__PROJECT_EVENTS_MAX]; /* whose totals changed */
    int32_t campaign_count;
} cfa__project_answer;
/* Apply the next events of the log to contributions and totals, moving the projector's cursor with
 * them. */
CFA_MUST_CHECK cfa_status cfa__totals_apply(cfa__working_set *set, cfa__command *command);

typedef struct cfa__upkeep_input {
    int64_t answer_kept_ms;
    bool rotate_keys;
    int64_t waiting_seen_us; /* what waits since then was looked at */
    cfa__parked fill_after;  /* in a book that is not filled: the last row of the page before */
} cfa__upkeep_input;
typedef struct cfa__upkeep_answer {
    int32_t keys_moved, answers_dropped, payments_read;
    int64_t generation, waiting_seen_us;
    bool fills;                   /* the book was not filled yet */
    const cfa__parked *fill_last; /* NULL: that was the last page */
} cfa__upkeep_answer;
/* Move old random keys in key order, drop answers whose time is over, fill what the newest
 * migrations left empty, a page of old rows at a time, then read payments that webhooks name which
 * wait for an hour. */
CFA_MUST_CHECK cfa_status cfa__upkeep(cfa__working_set *set, cfa__command *command);

/* Give staged events of joined transactions their place in the log, at most CFA__STAGED_ROWS_MAX;
 * before every batch. */
CFA_MUST_CHECK cfa_status cfa__staged_drain(cfa__working_set *set, int32_t *out_count);

/* The pins of a book, at open. */
typedef struct cfa__book_input {
    cfa__id book_id;
    uint8_t secret[32];
    int32_t livemode;
    cfa_slice provider, account;
    bool has_provider;
} cfa__book_input;
typedef struct cfa__book_answer {
    const cfa__book *book;
    int64_t head;
    int64_t newest_us;
} cfa__book_answer;
CFA_MUST_CHECK cfa_status cfa__book_open(cfa__working_set *set, cfa__command *command);

#endif
