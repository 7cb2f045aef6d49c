/*
 * engine/engine.h - the engine's insides, shared by the files of this folder and by api/.
 *
 * Threads: `lock` guards the queue, the pools and the counters; the writer session belongs to the
 * leader; each reader to whoever took it. No call to an adapter is ever made under `lock`.
 */
#ifndef CFA_CORE_ENGINE_ENGINE_H
#define CFA_CORE_ENGINE_ENGINE_H

#include <careforall/engine.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "core/command.h"
#include "core/records.h"

#define CFA__BATCH_LIMIT_MAX 1024
#define CFA__BACKGROUND_BATCH 32 /* background commands per commit */
#define CFA__FOREGROUND_STREAK                                                                     \
    16                         /* full foreground batches before a background one gets its turn */
#define CFA__GATHER_US_MAX 200 /* wait at most this long for the callers that were just released */
#define CFA__READERS_MAX 8
#define CFA__READERS_KEPT 2 /* more, for background work, which waits for nobody's reading */
#define CFA__REDECIDE_MAX 4 /* lost races before the caller is told */
#define CFA__SINKS_MAX 16
#define CFA__DRAW_MAX 4

/* Memory of one batch, shared by the commands it answered. */
typedef struct cfa__batch_memory {
    struct cfa__batch_memory *next;
    cfa_arena *arena;
    int32_t references;
} cfa__batch_memory;

enum { CFA__IDLE, CFA__QUEUED, CFA__RUNNING, CFA__DONE };

/* A command with the engine's part of it; `command` stays first. */
typedef struct cfa__command_queue {
    cfa__command command;
    struct cfa__command_queue *next;
    cfa__batch_memory *memory;
    pthread_cond_t wake;
    int32_t state;
    bool blocking, abandoned;
    int64_t due_us; /* monotonic: of a delayed one */
    /* Asynchronous: called without locks once the command is done; owns the command from then
     * on. */
    void (*done)(cfa_engine *engine, cfa__command *command, void *user);
    void *done_user;
} cfa__command_queue;

typedef struct cfa__lane {
    cfa__command_queue *first, *last;
    size_t count;
} cfa__lane;

typedef struct cfa__statistics {
    atomic_int_fast64_t batches, commands, commits_in_doubt, redecided, splits, queue_refused,
        calls, calls_unknown, events, reads, totals_cached, totals_read;
} cfa__statistics;

typedef struct cfa__reader {
    struct cfa__reader *next;
    cfa_session *session;
    cfa_arena *arena;
} cfa__reader;

typedef struct cfa__relay cfa__relay;
typedef struct cfa__totals_cache cfa__totals_cache;
typedef struct cfa__runner cfa__runner;
typedef struct cfa__ready_call cfa__ready_call;
typedef struct cfa__flight cfa__flight;

#define CFA__CIRCUIT_CALLS 20 /* the newest calls, of which some must have failed */

/* What this process knows of the provider's circuit breaker; see circuit.h. */
typedef struct cfa__circuit_state {
    pthread_mutex_t lock; /* of the ring */
    struct {
        int64_t at_us;
        bool failed;
    } ring[CFA__CIRCUIT_CALLS];
    uint32_t calls;
    atomic_bool reporting;        /* the command that opens it is under way */
    atomic_int state;             /* as last seen in the store */
    atomic_int_fast64_t retry_us; /* book time */
} cfa__circuit_state;

/* A background command that nobody waits for; see job.h. */
typedef struct cfa__job {
    atomic_int state;
    cfa__command *command; /* finished, not collected yet */
} cfa__job;

struct cfa_engine {
    cfa_engine_options options; /* defaults filled in */
    cfa_storage storage;
    cfa_provider provider; /* ops NULL: none */
    cfa_platform platform;
    char *account;
    const char *provider_name;
    cfa__id instance;            /* this opening of the book */
    cfa__book book;              /* as of open; its text lives in `memory` */
    cfa__id host_scope;          /* hash of the host's own scope */
    uint8_t fingerprint_key[16]; /* from the book's secret */
    char source[80];             /* CloudEvents source */
    cfa_arena *memory;
    pid_t pid;

    pthread_mutex_t lock;
    pthread_cond_t gather, progress;
    cfa__lane lanes[2]; /* foreground, background */
    cfa__lane delayed;  /* asynchronous commands to be decided again, in order of time */
    bool leading, closing;
    size_t gathering; /* commands that the gathering leader waits for; 0: none gathers */
    int32_t foreground_streak;
    size_t last_released;
    int64_t commit_average_us;
    atomic_int_fast64_t newest_us;           /* batch time never runs backward */
    atomic_int_fast64_t newest_monotonic_us; /* when it was read */
    atomic_bool stopping;                    /* between calls, the runner's threads look at it */
    cfa__command_queue *free_commands;
    cfa__batch_memory *free_memory;
    cfa_session *writer; /* the leader's */

    uint64_t progress_count; /* commits; for waiters */
    int64_t signaled_head;   /* log position that loops were told of */
    int32_t progress_waiters;
    atomic_int_fast64_t head;              /* newest log position known here */
    atomic_int_fast64_t generation;        /* of random keys, as last seen */
    atomic_int_fast64_t random_keys;       /* inserted since the last rotation */
    atomic_int_fast64_t operation_due_us;  /* earliest due operation known; INT64_MAX: none known */
    atomic_int_fast64_t operation_scan_us; /* monotonic time of the last scan */
    atomic_int_fast64_t head_read_us; /* monotonic time when `head` was last read from the store */
    atomic_int_fast64_t projected;    /* position that the totals include, as known here */

    pthread_mutex_t reader_lock;
    pthread_cond_t reader_free;
    cfa__reader *readers;
    int32_t readers_in_use;

    pthread_mutex_t call_lock;
    cfa__ready_call *ready_first, *ready_last; /* committed, leased to us, not called yet */
    pthread_mutex_t flight_lock;               /* whoever has it drives the provider's flights */
    cfa__flight *flights;                      /* NULL: the provider makes one call at a time */
    cfa__flight *free_flight;
    atomic_int flight_count;
    atomic_int leased_count; /* of those that are ready: found by a tick as due */
    atomic_int result_count; /* what calls brought, not committed yet */
    cfa__job lease_job, project_job, upkeep_job;
    cfa__circuit_state circuit;

    cfa__relay *relays[CFA__SINKS_MAX];
    int32_t relay_count;
    atomic_int_fast64_t relays_look_us; /* monotonic time of the last look at cursors; 0: look */
    cfa__totals_cache *totals;
    pthread_mutex_t runner_lock;
    _Atomic(cfa__runner *) runner;
    int event_descriptor;
    int poll_descriptor; /* that and the provider's; -1: there is no other */
    atomic_bool event_signaled;
    atomic_int_fast64_t upkeep_us;       /* monotonic time of the next upkeep */
    atomic_int_fast64_t waiting_seen_us; /* webhooks that wait since then were looked at */
    const cfa__parked *fill_after;       /* the upkeep job's: how far an old book was filled */
    cfa_arena *fill_memory;              /* has it; both NULL before the first page */
    atomic_int_fast64_t rest_until_us;   /* monotonic: until then ticks start nothing */
    cfa__statistics statistics;
};

/* ---- time, ids, log -------------------------------------------------------------------------- */

void cfa__pause(const cfa_engine *engine, int64_t duration_us);
int64_t cfa__wall_us(const cfa_engine *engine);
/* Counts while the machine sleeps, too. */
int64_t cfa__monotonic_us(const cfa_engine *engine);
/* The book's time: the wall clock, but when that was set back it goes on from the newest commit. */
int64_t cfa__book_now_us(const cfa_engine *engine);
/* Note the time of a commit. */
void cfa__book_time(cfa_engine *engine, int64_t now_us);
CFA_MUST_CHECK cfa_status cfa__draw_id(cfa_engine *engine, cfa__id *out);
/* At most CFA__DRAW_MAX ids for one trip to the source of randomness. */
CFA_MUST_CHECK cfa_status cfa__draw_ids(cfa_engine *engine, cfa__id *out, size_t count);
/* A hash that only this book's secret gives; `purpose` keeps hashes of different things apart. */
cfa__id cfa__book_hash(const cfa_engine *engine, const char *purpose, cfa_slice text);
void cfa__log(const cfa_engine *engine, int32_t level, const char *event, const char *text);
/* CFA_OK, or CFA_EMISUSE for NULL or a fork's copy. */
CFA_MUST_CHECK cfa_status cfa__engine_check(const cfa_engine *engine);
/* The same for calls with an output, which must not be NULL. */
CFA_MUST_CHECK cfa_status cfa__call_check(const cfa_engine *engine, const void *out);
/* The system's monotonic time: what threads wait by, also under a test's manual clock. */
int64_t cfa__real_us(void);
/* The caller's timeout as an absolute real time; 0 takes the engine's default, a negative one is
 * over at once. */
int64_t cfa__deadline_us(const cfa_engine *engine, int32_t timeout_ms);
int32_t cfa__left_ms(int64_t deadline_us);

/* ---- commands -------------------------------------------------------------------------------- */

/* Take a command from the pool, with `output_size` zeroed bytes of output. Released by
 * `cfa__command_release`. */
CFA_MUST_CHECK cfa_status cfa__command_new(cfa__command **out, cfa_engine *engine,
                                           cfa__decide decide, size_t output_size);
void cfa__command_release(cfa_engine *engine, cfa__command *command);

/*
 * Run a command to its end: enqueue it, lead a batch if nobody does, return its status with its
 * error detail set for this thread. At the deadline a queued command is taken back (CFA_ETIMEOUT,
 * certain) and a running one is abandoned (CFA_EINDOUBT; the command is then no longer the
 * caller's: `*command` becomes NULL).
 */
CFA_MUST_CHECK cfa_status cfa__command_run(cfa_engine *engine, cfa__command **command,
                                           int64_t deadline_us);
/* Only enqueue; `done` is called on the leader's thread, without locks, and then owns the
 * command. */
CFA_MUST_CHECK cfa_status cfa__command_submit(cfa_engine *engine, cfa__command *command,
                                              void (*done)(cfa_engine *, cfa__command *, void *),
                                              void *user);
/* While closing: answer what is queued asynchronously. */
void cfa__commands_refuse(cfa_engine *engine);
/* Decide a finished asynchronous command again after a while: for what waits on somebody else's
 * work. */
void cfa__command_delay(cfa_engine *engine, cfa__command *command, int64_t delay_us,
                        void (*done)(cfa_engine *, cfa__command *, void *), void *user);
/* Lead one batch if there is one and nobody leads. True when a batch was run. */
bool cfa__lead_once(cfa_engine *engine);
/* Run commands as one batch on the writer session: for the leader and for `cfa_engine_open`. */
void cfa__batch_execute(cfa_engine *engine, cfa__command **commands, size_t count,
                        cfa__batch_memory *memory);
/* The same inside a host's transaction: no begin, no commit, events staged. */
CFA_MUST_CHECK cfa_status cfa__batch_execute_joined(cfa_engine *engine, cfa_session *session,
                                                    cfa__command *command, cfa_arena *arena);

/* Wait until something was committed after `seen` (as returned by the last call; start with 0) or
 * the deadline came. Leads a batch instead of sleeping when commands wait. Returns the new
 * count. */
uint64_t cfa__progress_wait(cfa_engine *engine, uint64_t seen, int64_t deadline_us);
uint64_t cfa__progress_count(cfa_engine *engine);
/* Wake whoever waits for progress. */
void cfa__progress_nudge(cfa_engine *engine);
/* Tell loops that something became due. */
void cfa__signal(cfa_engine *engine);

/* ---- reads ----------------------------------------------------------------------------------- */

/* Take a reader with a snapshot open. Give it back with `cfa__read_end`, which keeps `arena` valid
 * until then. */
CFA_MUST_CHECK cfa_status cfa__read_begin(cfa__reader **out, cfa_engine *engine,
                                          int64_t deadline_us);
/* The same for background work: waits for no other reader; CFA_ETIMEOUT when there is none. */
CFA_MUST_CHECK cfa_status cfa__read_begin_now(cfa__reader **out, cfa_engine *engine);
void cfa__read_end(cfa_engine *engine, cfa__reader *reader);
/* One record by primary key; `*out` NULL when absent. */
CFA_MUST_CHECK cfa_status cfa__read_record(cfa_engine *engine, cfa__reader *reader,
                                           const cfa_kind *kind, const void *key, const void **out);
CFA_MUST_CHECK cfa_status cfa__read_id(cfa_engine *engine, cfa__reader *reader,
                                       const cfa_kind *kind, cfa__id id, const void **out);
CFA_MUST_CHECK cfa_status cfa__read_queries(cfa_engine *engine, cfa__reader *reader,
                                            cfa_query *queries, size_t count);

/* Wake the library's own threads, if they run. */
void cfa__runner_wake(cfa_engine *engine);
/* Stop and release them, at close. */
void cfa__runner_close(cfa_engine *engine);

#endif
