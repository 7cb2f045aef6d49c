/*
 * sim.h - the simulator: two engines over one store, one provider, many donors, one seed.
 * Everything that happens follows from the seed; time is virtual; an engine dies by longjmp out of
 * any storage or provider call.
 *
 * world.c owns time and chance; process.c engines, their misfortune and death; wire.c the way to the
 * provider; donor.c what donors and operators do, reversal.c who takes money back, hold.c who accepts
 * late money; check.c what must be true, circuit.c of the circuit breaker, reversal_check.c of money
 * that went back, hold.c of money that is held; trace.c history, coverage and how a violation is
 * told; setup.c beginning and end. Nothing here may read a real clock or real randomness.
 */
#ifndef CFA_TESTS_SIM_SIM_H
#define CFA_TESTS_SIM_SIM_H

#include <careforall/adapters/memory.h>
#include <careforall/adapters/play.h>
#include <careforall/careforall.h>
#include <careforall/testkit/clock.h>
#include <careforall/testkit/fault.h>

#include <setjmp.h>
#include <stdbool.h>

#define ENGINES 2
#define CAMPAIGNS 4
#define CURRENCIES 4
#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US (60 * MINUTE_US)
#define DAY_US (24 * HOUR_US)

/* X(symbol, text): states worth visiting. A default run that misses one fails. */
#define COVERAGE(X)                                                                                \
    X(CRASH_STORAGE, "crash in a storage call")                                                    \
    X(CRASH_COMMIT, "crash at a commit")                                                           \
    X(CRASH_OPEN, "crash while opening")                                                           \
    X(CRASH_BEFORE_CALL, "crash before a provider call")                                           \
    X(CRASH_AFTER_CALL, "crash after the provider acted")                                          \
    X(RESTART, "engine closed and opened again")                                                   \
    X(DOUBT_DONE, "commit in doubt, done")                                                         \
    X(DOUBT_NOT_DONE, "commit in doubt, not done")                                                 \
    X(FAIL_BUSY, "storage busy")                                                                   \
    X(FAIL_IO, "storage I/O error")                                                                \
    X(FAIL_VERSION, "storage reports a lost race")                                                 \
    X(REDECIDED, "batch decided again")                                                            \
    X(SPLIT, "batch split")                                                                        \
    X(DOUBT_RESOLVED, "commit in doubt resolved by deciding again")                                \
    X(CALLER_IN_DOUBT, "caller told IN_DOUBT")                                                     \
    X(CALLER_TRANSIENT, "caller told TRANSIENT, nothing written")                                  \
    X(CALL_TIMEOUT, "provider call past its time limit")                                           \
    X(CALL_STRAGGLES, "request arrives minutes after its caller gave up")                          \
    X(CALL_UNKNOWN, "provider call of unknown outcome")                                            \
    X(CALL_STORED, "answer stored under a provider key replayed")                                  \
    X(CALL_NOT_SENT, "provider call not sent")                                                     \
    X(CALL_OVERLAP, "one operation called by both engines at once")                                \
    X(RESEND_RESOLVES, "unknown resolved by the same key")                                         \
    X(LOOKUP_RESOLVES, "unknown resolved by a look-up")                                            \
    X(NEW_ATTEMPT, "new attempt after proven absence")                                             \
    X(OUTAGE, "provider outage beyond the key guard")                                              \
    X(KEY_FORGOTTEN, "unknown older than the provider's memory of keys")                           \
    X(EXPIRY_CANCEL, "unpaid payment cancelled after its time")                                    \
    X(LATE_CANCEL, "unpaid payment of an ended campaign cancelled")                                \
    X(PARTIAL_CAPTURE, "part of a hold captured")                                                  \
    X(OPERATOR_CANCEL, "hold cancelled by the host")                                               \
    X(WEBHOOK_APPLIED, "webhook applied")                                                          \
    X(WEBHOOK_DUPLICATE, "webhook duplicate")                                                      \
    X(WEBHOOK_STALE, "webhook told nothing new")                                                   \
    X(WEBHOOK_PARKED, "webhook parked")                                                            \
    X(WEBHOOK_DRAINED, "parked webhook drained")                                                   \
    X(WEBHOOK_REFUSED, "webhook outside its window refused")                                       \
    X(WEBHOOK_LATE, "webhook delivered days late")                                                 \
    X(REPLAY, "same key replayed")                                                                 \
    X(REPLAY_PENDING, "same key replayed before the answer")                                       \
    X(REPLAY_DAY, "same key after 25 hours")                                                       \
    X(REPLAY_MONTH, "same key after 31 days")                                                      \
    X(ANSWER_DROPPED, "answer dropped after 30 days, key still resolves")                          \
    X(KEY_REUSED, "same key with another body refused")                                            \
    X(KEY_ARCHIVED, "random keys moved to the permanent table")                                    \
    X(CLOSED, "pledge to an ended campaign refused")                                               \
    X(CAMPAIGN_ENDED, "campaign ended while pledges came")                                         \
    X(ASYNC, "pledge through a port")                                                              \
    X(ASYNC_LOST, "completion lost with its engine")                                               \
    X(PAID_LATE, "donor paid after more than 20 hours")                                            \
    X(DEAF, "provider that answers no questions: webhooks alone")                                  \
    X(SINK_REPEAT, "event delivered to a sink again")                                              \
    X(SINK_FAILS, "sink unreachable")                                                              \
    X(CLOCK_JUMP, "wall clock jumped")                                                             \
    X(TOTALS_AT_LEAST, "totals read after a donor's own write")                                    \
    X(TOTALS_STALE, "last known good totals served")                                               \
    X(ONE_STEP, "one-step provider")                                                               \
    X(TWO_STEP, "two-step provider")                                                               \
    X(OPENED, "circuit breaker opened")                                                            \
    X(PROBE_FAILED, "half open: the one call failed")                                              \
    X(PROBE_SUCCEEDED, "half open: the one call succeeded")                                        \
    X(CLOSED_EARLY, "circuit breaker closed by a call from before it opened")                      \
    X(BREAKER_OFF, "no circuit breaker")                                                           \
    X(QUEUED, "pledge queued while the circuit breaker is open")                                   \
    X(REFUSED, "pledge kept and refused while the circuit breaker is open")                        \
    X(REFUSED_AGAIN, "the same key refused again")                                                 \
    X(REVIVED, "refused pledge revived by its key")                                                \
    X(DEFERRED_EXPIRED, "refused pledge that nobody asked for again expired unsent")               \
    X(FLIGHTS_MANY, "more than one call in flight")                                                \
    X(FLIGHTS_AT_CRASH, "more than one call in flight at a death")                                 \
    X(FLIGHTS_AT_CLOSE, "engine closed with calls in flight")                                      \
    X(FLIGHT_OVERTAKES, "call in flight lands before an older one")                                \
    X(FLIGHT_REFUSED, "call that does not start")                                                  \
    X(WAITS, "caller waits in the library")                                                        \
    X(NO_COMMIT, "tick that leaves commits to others")                                             \
    X(SESSIONS, "hosted pages whose sessions become payments")                                     \
    X(ORIGIN_BY_REPLY, "reply names an object and its origin")                                     \
    X(ORIGIN_PARKED, "event parked under an origin, before the reply")                             \
    X(ORIGIN_BY_EVENT, "event binds an object to its origin, after the reply")                     \
    X(THIN, "event that only says where to look")                                                  \
    X(THIN_FETCHED, "payment read soon after such an event")                                       \
    X(REFUND_ALL, "refund of all that is left")                                                    \
    X(REFUND_PART, "refund of a part")                                                             \
    X(REFUND_REPLAY, "refund key replayed")                                                        \
    X(REFUND_OVERLAP, "refund key asked at both engines at once")                                  \
    X(REFUND_KEY_REUSED, "refund key with another amount refused")                                 \
    X(REFUND_NOTHING_LEFT, "refund refused: nothing is left")                                      \
    X(REFUND_TOO_MUCH, "refund refused: more than is left")                                        \
    X(REFUND_UNKNOWN, "refund call of unknown outcome")                                            \
    X(REFUND_STORED, "refund call: stored answer replayed")                                        \
    X(REFUND_STORED_ERROR, "refund call: stored error replayed")                                   \
    X(REFUND_NOT_SENT, "refund call not sent")                                                     \
    X(REFUND_REFUSED, "refund call refused")                                                       \
    X(REFUND_TIMEOUT, "refund call past its time limit")                                           \
    X(REFUND_RESOLVES, "refund of unknown outcome resolved by the same key")                       \
    X(REFUND_CRASH_BEFORE, "crash between a refund's commit and its call")                         \
    X(REFUND_CRASH_AFTER, "crash after the provider gave money back")                              \
    X(REFUND_NEVER_MADE, "refund proven never made")                                               \
    X(REFUND_DESK, "refund at the provider's desk")                                                \
    X(REVERSAL_LOST, "news of a refund or dispute lost: probes")                                   \
    X(LATE_RULE, "late money given back by the campaign's rule")                                   \
    X(FRAUD_RULE, "suspected money given back by the engine's rule")                               \
    X(HELD, "late money held by the campaign's rule")                                              \
    X(ACCEPTED, "held money accepted")                                                             \
    X(ACCEPT_REPLAY, "held money accepted: key replayed")                                          \
    X(ACCEPT_REFUSED, "accepted money refused to another key")                                     \
    X(HELD_REFUNDED, "late money under the rule, and refunded")                                    \
    X(HELD_DISPUTED, "late money under the rule, and disputed")                                    \
    X(DISPUTE_RACES, "dispute opened while a refund is asked for")                                 \
    X(DISPUTE_SECOND, "second dispute of a payment")                                               \
    X(DISPUTE_OVERTAKEN, "dispute known as closed before it was known as open")                    \
    X(OVERDRAWN, "bank took what was given back: conflict")                                        \
    X(FEE_LATE, "fee known late")                                                                  \
    X(FRAUD_WARNING, "fraud warning")                                                              \
    X(P01, "P01")                                                                                  \
    X(P02, "P02")                                                                                  \
    X(P03, "P03")                                                                                  \
    X(P04, "P04")                                                                                  \
    X(P05, "P05")                                                                                  \
    X(P06, "P06")                                                                                  \
    X(P07, "P07")                                                                                  \
    X(P08, "P08")                                                                                  \
    X(P09, "P09")                                                                                  \
    X(P11, "P11")                                                                                  \
    X(P12, "P12")                                                                                  \
    X(P13, "P13")                                                                                  \
    X(P14, "P14")                                                                                  \
    X(R01, "R01")                                                                                  \
    X(R02, "R02")                                                                                  \
    X(R03, "R03")                                                                                  \
    X(R04, "R04")                                                                                  \
    X(R05, "R05")                                                                                  \
    X(R06, "R06")                                                                                  \
    X(R07, "R07")                                                                                  \
    X(R08, "R08")                                                                                  \
    X(R09, "R09")                                                                                  \
    X(D01, "D01")                                                                                  \
    X(D02, "D02")                                                                                  \
    X(D03, "D03")                                                                                  \
    X(D04, "D04")                                                                                  \
    X(D05, "D05")                                                                                  \
    X(D06, "D06")                                                                                  \
    X(D07, "D07")                                                                                  \
    X(D08, "D08")                                                                                  \
    X(D09, "D09")                                                                                  \
    X(D12, "D12")

enum {
#define COVERAGE_ENUM(symbol, text) COVER_##symbol,
    COVERAGE(COVERAGE_ENUM)
#undef COVERAGE_ENUM
        COVER_COUNT
};

struct sim;
struct process;

#define FLIGHTS_MAX 24

/* A provider call in flight, as its process knows it. */
struct flight {
    struct process *process;
    uint64_t token; /* 0: free */
    cfa_arena *arena;
    cfa_reply *reply;
    int32_t request;
    int64_t number;      /* counts all flights */
    int64_t lands_us;    /* 0: the provider has not acted yet */
    int64_t gives_up_us; /* its time-out */
    bool slow;
};

/* One process: an engine behind a faulty storage and a slow provider. */
struct process {
    struct sim *sim;
    int32_t number;
    cfa_storage storage; /* the wrapper */
    cfa_fault_storage *control;
    cfa_provider_ops provider_ops;
    cfa_provider provider;
    cfa_engine *engine; /* NULL: dead */
    cfa_port *port;
    int32_t descriptors[3]; /* of engine and port: the system closes them when a process dies */
    struct flight flights[FLIGHTS_MAX];
    int32_t life;         /* counts deaths and ends */
    int readable;         /* never: the simulator wakes by events */
    int64_t saw_open_us;  /* its engine knew that the breaker is not closed; 0: it did not */
    int64_t sees_open_us; /* the same, one tick later */
    jmp_buf death;
    bool busy;                   /* inside an engine call */
    int32_t losses, doubts;      /* lost races and doubtful commits to come, one after the other */
    char calling[64];            /* operation whose provider call is being made */
    int32_t tick_number;         /* of the tick that is scheduled: earlier ones are void */
    int64_t idle_us;             /* pause between ticks: grows while nothing is to be done */
    int64_t sent_position;       /* to the sink, by this process */
    int64_t versions[CAMPAIGNS]; /* of totals, as last read here */
};

enum {
    EVENT_TICK = 1,
    EVENT_START,
    EVENT_RESTART,
    EVENT_WEBHOOK,
    EVENT_READ,
    EVENT_JUMP,
    EVENT_WEATHER,
    EVENT_END_CAMPAIGN,
    EVENT_CREATE,
    EVENT_DOUBLE,
    EVENT_REPLAY,
    EVENT_MISMATCH,
    EVENT_PAY,
    EVENT_FINISH,
    EVENT_SETTLE,
    EVENT_OPERATE,
    EVENT_EXPIRE,
    EVENT_REQUEST, /* a request reaches the provider */
    EVENT_LANDS,   /* a call in flight ended: the process is woken */
    EVENT_BACK,    /* somebody wants money back, or sees to a refund or dispute */
    EVENT_REFUND,  /* a refund key is used */
    EVENT_ACCEPT,  /* the desk accepts late money, if it is held */
    EVENT_FETCHED  /* by now a thin event's payment must have been read */
};

/* What the host does with a hold. */
enum { OPERATE_CAPTURE, OPERATE_CAPTURE_PART, OPERATE_CANCEL, OPERATE_EXPIRE };

struct event {
    int64_t at_us;
    uint64_t order; /* breaks ties, at random */
    int32_t kind, subject, number;
};

struct webhook {
    char *body;
    int32_t tries;
    int64_t made_us;
    bool insists; /* never given up */
};

struct donor {
    char key[48], scope[24], reference[24];
    const char *method, *second_method;
    int32_t campaign;
    cfa_money amount;
    bool late, never_pays, approves, asynchronous, hurried;
    bool leaves;    /* never comes back once the circuit breaker has refused */
    bool last;      /* comes when everything else is over */
    bool written;   /* something may have been written for the key */
    bool overlaps;  /* two requests of the donor were under way at once */
    bool kept;      /* was told CFA_ECIRCUIT: ids below are known from then on */
    bool untouched; /* and the key has not come again since */
    int32_t refusals, patience_ms;
    bool acknowledged, refused;
    bool made;                               /* was told that this very request made the pledge */
    int32_t in_flight, tries, async_process; /* -1: none */
    char pledge_id[CFA_ID_TEXT_SIZE], payment_id[CFA_ID_TEXT_SIZE];
    char *answer, *client_secret;
    size_t answer_size;
    int64_t first_us, async_us, acknowledged_us, answered_us;
    int32_t operation; /* what the operator does with a hold */
    bool back;         /* somebody will want money back */
    int32_t desk_refunds;
    bool accepted, accept_doubt;       /* the desk was told so; it does not know */
    bool log_taken, came_late, let_in; /* by the log: see hold.c */
};

/* A refund that somebody wants, under a key of its own. */
struct refund_ask {
    int32_t donor, tries, in_flight;
    int64_t minor;                             /* 0: all that is left */
    char key[24], refund_id[CFA_ID_TEXT_SIZE]; /* "": not told yet */
    bool made;                                 /* was told that this very request made it */
};

struct history_entry {
    int64_t at_us;
    const char *what;
    int64_t a, b, c;
};

/* What the simulator knows of a provider key that was sent. */
struct call_memory {
    uint64_t hash; /* 0: empty */
    int64_t sent_us;
    bool unknown;
};

/* A request on its way; its caller may have given up, or died. */
struct request_sent {
    cfa_arena *arena; /* NULL: arrived, or cut off */
    cfa_call call;
    cfa_reply reply; /* once the provider has acted, for the flight that waits for it */
};

#define HISTORY_KEPT 50

struct rates {
    /* Parts per million. */
    int32_t crash, call_crash, doubt, fail, slow_call, straggle, late_webhook, no_start;
};

struct sim {
    uint64_t seed, random_state, hash;
    int32_t donations;
    bool trace;
    int64_t now_us;    /* true time since the start: never jumps */
    int64_t jumped_us; /* how far the wall clock is off */
    cfa_manual_clock *clock;
    cfa_platform true_time; /* the provider's clock */
    cfa_storage store;
    cfa_play *play;
    bool one_step, manual, authoritative;
    bool jumps;             /* the wall clock does */
    bool deaf;              /* the provider answers no questions: webhooks are the only net */
    bool breaker, rejects;  /* the circuit breaker, and its rule */
    bool flights, sessions; /* many calls at once; hosted pages */
    bool thin;              /* some events only say where to look */
    bool refunds_suspects;  /* of fraud, by the engine's rule */
    int32_t circuit_failures, circuit_open_ms, calls_in_flight;
    int64_t calm_us; /* since when there are no faults */
    bool faults;
    bool silent; /* nobody outside acts any more */
    int32_t deaths;
    struct rates rates;
    cfa_play_weather weather;
    bool mayhem; /* processes die by the dozen */
    struct process processes[ENGINES];

    int32_t late_rules[CAMPAIGNS];
    char campaign_ids[CAMPAIGNS][CFA_ID_TEXT_SIZE];
    bool campaign_ending[CAMPAIGNS];
    int64_t campaign_ended_us[CAMPAIGNS]; /* acknowledged; 0: open */
    bool log_ended[CAMPAIGNS];            /* by the log, as far as it is read */
    struct donor *donors;
    int32_t donor_count;
    struct refund_ask *asks;
    int32_t ask_count, ask_capacity;
    bool insists; /* webhooks made now are never given up */
    struct webhook *webhooks;
    int32_t webhook_count, webhook_capacity, webhooks_waiting;
    struct request_sent *requests;
    int32_t request_count, request_capacity;
    int64_t flight_count;
    int64_t broker_position; /* newest event that the sink has */
    struct event *heap;
    int32_t heap_count, heap_capacity;
    struct call_memory *calls; /* open hash table of provider keys */
    size_t call_capacity;

    struct history_entry history[HISTORY_KEPT];
    uint64_t history_count;
};

extern const char *const currencies[CURRENCIES];

/* ---- trace.c --------------------------------------------------------------------------------- */

extern uint64_t coverage[COVER_COUNT];
extern int64_t seeds_passed;
extern const char *const coverage_texts[COVER_COUNT];
#define cover(point) (coverage[COVER_##point]++)

/* Add to the history and its hash. `what` is static text. */
void note(struct sim *sim, const char *what, int64_t a, int64_t b, int64_t c);
void note_bytes(struct sim *sim, const void *data, size_t size);
/* Tell a violation with its history and how to see it again; ends the program. */
_Noreturn void violation(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define require(sim, condition, ...) ((condition) ? (void)0 : violation(sim, __VA_ARGS__))
/* Name the running seed when the core's own assertions fail. */
void trace_watch(struct sim *sim);

/* ---- world.c --------------------------------------------------------------------------------- */

uint64_t draw(struct sim *sim);
int64_t draw_below(struct sim *sim, int64_t limit);
bool chance(struct sim *sim, int32_t ppm);
/* A time around `mean_us`: often shorter, now and then many times longer. */
int64_t draw_time(struct sim *sim, int64_t mean_us);
/* Memory of the world; ends the program when there is none. */
void *take(size_t size);
void *grow(void *memory, int32_t count, int32_t *capacity, size_t size);

void schedule(struct sim *sim, int64_t delay_us, int32_t kind, int32_t subject, int32_t number);
/* Do everything that is due until then; time stands there afterwards. */
void run_until(struct sim *sim, int64_t until_us);
void collect_webhooks(struct sim *sim);
void weather_draw(struct sim *sim);
/* Whoever waits in the library waits in this world's time; NULL: in real time again. */
void waiting_is_virtual(struct sim *sim);

/* ---- process.c ------------------------------------------------------------------------------- */

void process_make(struct sim *sim, int32_t number);
void process_free(struct process *process);
void process_event(struct process *process, const struct event *event);
/* Run an action on a process' engine. False: the process died in it. */
bool within(struct process *process, void (*action)(struct process *process, void *user),
            void *user);
/* A living engine that is not inside a call, or NULL. */
struct process *free_process(struct sim *sim);
bool all_are_busy(const struct sim *sim);
/* What the system does when a process dies. */
void process_dies(struct process *process);
/* Something happened: engines look again soon. */
void stir(struct sim *sim);

/* ---- wire.c ---------------------------------------------------------------------------------- */

void wire_make(struct process *process);
void request_arrives(struct sim *sim, int32_t number);
/* The process died: what was in flight is nobody's. */
void flights_die(struct process *process);
int32_t flights_in_air(const struct process *process);
/* The session's own event about what `body` tells of its payment, or NULL. */
char *session_event(struct sim *sim, const char *body);
bool is_session_event(const char *body);
bool is_thin_event(struct sim *sim, const char *body);
/* The play provider's name of an object, whichever of its names this is. */
const char *intent_of(const char *ref);

/* ---- setup.c --------------------------------------------------------------------------------- */

void world_open(struct sim *sim, uint64_t seed, int32_t donations, bool trace);
/* End all faults. */
void world_calm(struct sim *sim);
void world_close(struct sim *sim);

/* ---- donor.c --------------------------------------------------------------------------------- */

void donors_open(struct sim *sim);
void donor_event(struct sim *sim, const struct event *event);
/* Take the completions of asynchronous pledges. */
void donors_complete(struct process *process, void *user);
/* The process died: its unfinished asynchronous pledges are tried again. */
void donors_process_died(struct process *process);
/* True when every donor knows what became of the pledge; those who do not are made to ask again. */
bool donors_are_answered(struct sim *sim);

/* ---- reversal.c ------------------------------------------------------------------------------ */

/* Who will want money back. */
void reversals_draw(struct sim *sim, struct donor *donor);
void reversal_event(struct sim *sim, const struct event *event);

/* ---- reversal_check.c ------------------------------------------------------------------------ */

/* What our book and the provider's say differently of a payment's refunds and disputes, or NULL. */
const char *reversals_differ(struct sim *sim, const struct donor *donor);
/* Everything about the money of a payment that went back; its state and flags are the book's. */
void check_reversals(struct sim *sim, cfa_engine *engine, const struct donor *donor,
                     uint32_t flags);
/* The answers to all who asked, and the provider's count of refunds. */
void check_refund_asks(struct sim *sim, cfa_engine *engine, const cfa_play_books *books);

/* ---- hold.c ---------------------------------------------------------------------------------- */

/* Whose late money the desk will accept. */
void holds_draw(struct sim *sim, struct donor *donor);
void accept_event(struct sim *sim, int32_t number, int32_t tries);
/* True when the late rule holds the payment, as the log tells of it. */
bool holds(const struct sim *sim, const struct donor *donor);
/* Events in their order; `donor` NULL: of a campaign. */
void check_hold_event(struct sim *sim, struct donor *donor, int32_t campaign,
                      const cfa_event_view *event);
/* One payment, when the log is read; and the acts of all. */
void check_hold(struct sim *sim, cfa_engine *engine, const struct donor *donor,
                const cfa_payment *payment);
void check_acceptances(struct sim *sim, cfa_arena *arena);

/* ---- check.c --------------------------------------------------------------------------------- */

/* A TRANSIENT answer to the first use of a key: nothing may have been written. */
void check_nothing_written(struct process *process, const struct donor *donor);
/* Read a campaign's totals as a page would. */
void check_totals_read(struct process *process, int32_t campaign, int64_t at_least);
/* End all faults and let time pass until nothing is left to be done. */
void check_liveness(struct sim *sim);
/* Compare everything with the provider's books and the donors' memory. */
void check_all(struct sim *sim);

/* What the provider has of a donor's payment. */
struct truth {
    bool exists, succeeded;
    int64_t captured_minor, authorized_minor, charges;
    int64_t refunded_minor, disputed_minor; /* under way or done; taken and kept */
    uint32_t flags;
    char ref[64];
};
struct truth truth_of(struct sim *sim, const struct donor *donor);

/* Read rows of an index past the engines; `match` fields of the key must be equal. */
cfa_query rows_of(struct sim *sim, const cfa_kind *kind, int32_t index, int32_t match,
                  const void *key, cfa_arena *arena);

/* A thin event was applied: its payment must be read soon. */
void check_fetched_later(struct sim *sim, const char *body);
void check_fetched(struct sim *sim, int32_t number);

/* ---- circuit.c ------------------------------------------------------------------------------- */

/* The circuit breaker as the log tells of it. */
struct circuit_walk {
    char id[CFA_ID_TEXT_SIZE];
    int64_t sequence;
    int32_t state; /* 0 closed, 1 open, 2 half open */
};
bool is_circuit_event(const cfa_event_view *event);
void check_circuit_event(struct sim *sim, struct circuit_walk *walk, const cfa_event_view *event);
void check_circuit_end(struct sim *sim, const struct circuit_walk *walk);
/* A donor was told CFA_ECIRCUIT. */
void check_refusal(struct process *process, struct donor *donor, int64_t asked_us);
/* A key that was refused comes again: nothing may have been charged until now. */
void check_untouched(struct sim *sim, const struct donor *donor);
/* A call goes out: the circuit breaker must have let it through. */
void check_call_allowed(struct process *process, const cfa_call *call);
/* Remember what the engine knows of the breaker. */
void circuit_watch(struct process *process);

/* The allocator of a run: what dead processes held is given back at its end. */
void memory_open(void);
size_t memory_live(void);
void memory_discard(void);

#endif
