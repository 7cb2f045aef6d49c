/*
 * jobs.h - work on the whole book that takes minutes, one at a time on a thread of its own: an
 * audit, a reconciliation with what the provider lists. Never on the loop, and never in a request,
 * which only begins one and reads what became of it. Whoever wants such work on a timer begins it
 * here, too, so that two never run beside each other.
 */
#ifndef SERVER_JOBS_H
#define SERVER_JOBS_H

#include <careforall/careforall.h>

#include <stdbool.h>

typedef struct server_jobs server_jobs;

typedef enum job_kind { JOB_AUDIT, JOB_RECONCILIATION, JOB_KINDS } job_kind;

/* What is asked for. Of an audit without a record only the kind counts. */
typedef struct job_order {
    job_kind kind;
    /* With the provider's exported file instead of what it lists. Its descriptor belongs to the job
     * that began, which closes it. */
    bool has_record;
    int record;
    int64_t from_us, until_us; /* as in cfa_reconcile_live_spec, or in cfa_reconcile_spec */
    bool repair, all_ours;
    int32_t timeout_ms;                                                    /* 0: an hour */
    char actor[CFA_ACTOR_BYTES_MAX + 1], reason[CFA_REASON_BYTES_MAX + 1]; /* "": nobody, none */
} job_order;

typedef enum job_begun { JOB_BEGUN, JOB_BUSY, JOB_ENDING, JOB_NO_THREAD } job_begun;

/* NULL: no memory. */
server_jobs *jobs_new(cfa_engine *engine);

/* Begin; `order` is copied. JOB_BUSY writes what runs into `*out_busy`, and changes nothing. Never
 * waits; any thread. */
job_begun jobs_begin(server_jobs *self, const job_order *order, job_kind *out_busy);

/* Whether something runs, and what. Any thread. */
bool jobs_busy(server_jobs *self, job_kind *out_kind);

/* Write the newest of a kind as one JSON object, its report within; freed by `free`, NULL when
 * there is no memory. False: none was begun by this process. Any thread. */
bool jobs_latest(server_jobs *self, job_kind kind, char **out_text);

/* Whether the newest comparison with what the provider lists failed. Any thread. */
bool jobs_live_failed(server_jobs *self);

/* Begin nothing more, and bring what runs to an end soon. Never waits; NULL does nothing. */
void jobs_end(server_jobs *self);

/* End, wait so long at most, and free. False: it still waits for the provider, and the engine must
 * not be closed. */
bool jobs_stop(server_jobs *self, int32_t timeout_ms);

#endif
