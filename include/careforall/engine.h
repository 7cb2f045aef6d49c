/*
 * engine.h - the one long-lived handle: opening a book, driving it, closing it.
 *
 * One engine is one book: one database, one provider mode. The library starts no thread unless
 * asked (`cfa_runner_start`). Whoever waits, works: a blocking call that waits for a payment or for
 * totals does the due work it waits for on its own thread.
 */
#ifndef CAREFORALL_ENGINE_H
#define CAREFORALL_ENGINE_H

#include <careforall/base.h>
#include <careforall/sys/platform.h>
#include <careforall/sys/provider.h>
#include <careforall/sys/storage.h>
#include <careforall/sys/transport.h>

CFA_BEGIN

/* What happens to an event that a sink refuses for that event's own sake (CFA_EREFUSED). */
enum {
    CFA_REFUSED_STOP = 0,     /* the sink is paused: an operator, or the next open, goes on */
    CFA_REFUSED_SET_ASIDE = 1 /* after some tries it becomes a dead letter, and the sink goes on */
};

/* A named sink. The name keeps its cursor in the database: keep it stable. */
typedef struct cfa_sink_binding {
    const char *name; /* 1 to 60 of a-z 0-9 _ - ; "totals" is taken */
    cfa_sink sink;
    int32_t refused_rule;  /* CFA_REFUSED_* */
    int32_t refused_tries; /* before an event is set aside; 0: 5, at most 1000 */
} cfa_sink_binding;

/*
 * What happens to a pledge while the provider's circuit breaker is open. It counts only calls that
 * could not be made, were not answered in time, or were answered 5xx or 429; declines never. Who
 * does not wait for the call (CFA_WAIT_COMMIT, a joined transaction, a provider whose calls are
 * pulled) is never refused: the call follows by itself.
 */
enum {
    CFA_CIRCUIT_REJECT =
        0,                /* the pledge is kept, the call is CFA_ECIRCUIT with `retry_after_ms`, and
                             * only the same key makes the provider call */
    CFA_CIRCUIT_QUEUE = 1 /* the pledge is pending, and the provider call follows by itself */
};

/*
 * What happens when a card's issuer suspects fraud of money that was taken. The rule is that of the
 * engine which takes the warning in, and is asked once: when warning and money are both known. A
 * refund is asked for only while no dispute of the payment is known, and is one like any other.
 */
enum {
    CFA_FRAUD_FLAG = 0,  /* the flag FRAUD_WARNING; a person decides */
    CFA_FRAUD_REFUND = 1 /* and all that is left goes back, before a dispute with its fee */
};

typedef struct cfa_engine_options {
    size_t struct_size;
    const cfa_storage *storage;   /* required; borrowed until close, as are the next three */
    const cfa_provider *provider; /* NULL: pledges are refused with CFA_ENOTSUP */
    const cfa_sink_binding *sinks;
    int32_t sink_count;
    const cfa_platform *platform; /* NULL: the system's clock and randomness, no log */
    const char *account;          /* provider account, NULL or "" for the default; pinned with */
    int32_t livemode;             /* the mode at the book's first start */
    int32_t owns_storage;         /* non-zero: close the storage when the engine closes */
    int32_t capture_manual;       /* authorize first, capture by `cfa_payment_capture` */
    int32_t queue_limit;          /* waiting commands; 0: 65536 */
    int32_t batch_limit;          /* commands per commit; 0: 256, at most 1024 */
    int32_t timeout_ms;           /* of calls that give none; 0: 10000 */
    int32_t call_timeout_ms;      /* of one provider call; 0: 30000 */
    int64_t payment_expires_ms;   /* unpaid payments are cancelled after this; 0: 24 hours */
    int64_t answer_kept_ms;       /* stored answers; 0: 30 days, at least 72 hours */
    int32_t totals_max_age_ms;    /* how old a cached total may be; 0: 1000 */
    int32_t calls_in_flight;      /* of a provider that can have many; 0: 64, at most 4096 */
    int32_t circuit_rule;         /* of pledges while the provider is out: CFA_CIRCUIT_* */
    int32_t circuit_failures;     /* half of the newest 20 calls in 30 s, and at least so many,
                                   * failed: it opens; 0: 5, negative: never */
    int32_t circuit_open_ms;      /* then it stays open so long before one call tries; 0: 30000 */
    size_t sink_binding_size;     /* set by the macro: what one of `sinks` takes */
    int32_t fraud_rule;           /* of payments whose issuer suspects fraud: CFA_FRAUD_* */
} cfa_engine_options;

#define CFA_ENGINE_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(cfa_engine_options), NULL, NULL, NULL, 0, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
            0, 0, 0, 0, sizeof(cfa_sink_binding), 0                                                \
    }

/*
 * Open a book: bring the store to this library's schema, pin mode, provider and account at the
 * first start and check them at every later one.
 *
 * Durable: schema and pins. A repeat opens a second, equal engine on the same book, which is safe.
 * `options`: copied; the adapters in it are borrowed until `cfa_engine_close` returns.
 * Expected: CFA_OK; CFA_EINVAL names the option; CFA_ESCHEMA (newer or foreign database); CFA_EMODE
 * (pinned to something else); CFA_EREADONLY; TRANSIENT.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_engine_open(cfa_engine **out,
                                                  const cfa_engine_options *options);

/*
 * Tell which schema a store has, and which this library makes: opening an engine brings an older one
 * up, which a look at a book must not do while an earlier version works on it.
 *
 * `storage`: opened to be read only; any other is brought up. Expected: CFA_OK (compare the two);
 * CFA_ESCHEMA (not a book); TRANSIENT. Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_schema_of(int32_t *out_found, int32_t *out_known,
                                                const cfa_storage *storage);

/*
 * Close. The runner stops after the provider call it is in, whose result is committed; queued
 * commands of `_begin` calls that did not start complete with CFA_ECLOSING. Unfinished work is
 * durable and goes on at the next open. NULL does nothing.
 * Threading: must be the last call on the handle: every other call on it must have returned.
 */
CFA_API void cfa_engine_close(cfa_engine *engine);

/* What a tick may do. A process's role is a mask. */
enum {
    CFA_WORK_COMMANDS = 1, /* commit what `_begin` calls enqueued */
    CFA_WORK_CALLS = 2,    /* provider calls and probes that are due */
    CFA_WORK_TOTALS = 4,   /* the local projector */
    CFA_WORK_RELAY = 8,    /* the configured sinks */
    CFA_WORK_UPKEEP = 16,  /* old keys, answers, checkpoints */
    CFA_WORK_ALL = 31,
    /* Not work: leave every commit to other threads, which are blocking callers, the runner, or a
     * tick without this bit. */
    CFA_WORK_NO_COMMIT = 32
};

/*
 * Do due work of the given kinds for about `budget_ms` and return; `*out_done` is the number of
 * steps done (0: nothing was due). For hosts with a loop of their own. Never waits for a batch that
 * another thread is committing: what that brings is taken in by a later tick, for which
 * `cfa_engine_descriptor` becomes readable. Commits on this thread when nobody else does, unless
 * CFA_WORK_NO_COMMIT is given. A provider that can have many calls in flight is never waited for;
 * of any other, for the one call that is made here.
 * Expected: CFA_OK; TRANSIENT and IN_DOUBT of the store: the work stays due, and is begun again
 * after a tenth of a second.
 * Threading: any thread, several at once. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_engine_tick(int32_t *out_done, cfa_engine *engine,
                                                  uint32_t work_mask, int32_t budget_ms);

/* Return the milliseconds until work of these kinds is due: 0 now, at most 1000 (other processes
 * are seen by polling). Threading: any thread. */
CFA_API int32_t cfa_engine_next_due_ms(cfa_engine *engine, uint32_t work_mask);

/* Return a descriptor that is readable when work became due since the last tick, or a provider call
 * in flight moved on; borrowed, -1 if none. Never read it: `cfa_engine_tick` does, whatever its mask.
 * For one loop: of two that wait on it, one may take what was meant for the other. */
CFA_API int cfa_engine_descriptor(cfa_engine *engine);

/*
 * Start two threads of the library that do the work of `work_mask` until `cfa_runner_stop` or
 * close. A repeat while running is CFA_ESTATE. Signals are blocked on these threads.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_runner_start(cfa_engine *engine, uint32_t work_mask);
CFA_API void cfa_runner_stop(cfa_engine *engine);

/*
 * Write the engine's counters and gauges as one JSON object (docs/statistics.md), freed by
 * `cfa_free`.
 * Expected: CFA_OK; CFA_ENOMEM. Threading: any thread.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_engine_statistics(char **out_json, cfa_engine *engine);

/* ---- completions of `_begin` calls ----------------------------------------------------------- */

/* Where completions of asynchronous calls arrive. Any number per engine; each used by one thread at
 * a time for `_next`, by any thread for `_begin`. Free all before closing the engine. */
typedef struct cfa_port cfa_port;
typedef struct cfa_completion cfa_completion;

CFA_API CFA_MUST_CHECK cfa_status cfa_port_new(cfa_port **out, cfa_engine *engine);
/* Completions that were not fetched are dropped; their effects are durable all the same. */
CFA_API void cfa_port_free(cfa_port *port);

/*
 * Fetch the next completion; `*out` is NULL when none arrived within `timeout_ms` (0: do not wait;
 * negative: wait for ever). A waiting thread leads batches itself when no other thread does.
 * Expected: CFA_OK; CFA_ENOMEM.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_port_next(cfa_completion **out, cfa_port *port,
                                                int32_t timeout_ms);

/* Return a descriptor that is readable while completions wait; borrowed. Never read it. */
CFA_API int cfa_port_descriptor(cfa_port *port);

CFA_API uint64_t cfa_completion_token(const cfa_completion *completion);
/* What the blocking twin would have returned. */
CFA_API cfa_status cfa_completion_status(const cfa_completion *completion);
/* Copy the error detail that belongs to the status. */
CFA_API CFA_MUST_CHECK cfa_status cfa_completion_error(cfa_error *out,
                                                       const cfa_completion *completion);
CFA_API void cfa_completion_free(cfa_completion *completion);

CFA_END

#endif
