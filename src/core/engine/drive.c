/*
 * drive.c - who does the work: a host's loop by ticks, or two threads of the library by choice.
 * Plus upkeep and the statistics document.
 */
#include "core/decide/evidence.h"
#include "core/engine/calls.h"
#include "core/engine/circuit.h"
#include "core/engine/job.h"
#include "core/engine/relay.h"
#include "util/buffer.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ORIGIN "core.drive"
#define DUE_MS_MAX 1000
#define BATCHES_PER_STEP 8
#define UPKEEP_INTERVAL_US INT64_C(1000000)
#define RANDOM_KEYS_PER_GENERATION 65536
#define RUNNER_BUDGET_MS 20
#define FAILED_REST_MS 100 /* after a failure: trying at once again would only fail faster */

/* ---- signals --------------------------------------------------------------------------------- */

void cfa__signal(cfa_engine *engine) {
    /* Looked at before it is written: under load it is marked nearly always. */
    if (engine->event_descriptor >= 0 && !atomic_load(&engine->event_signaled) &&
        !atomic_exchange(&engine->event_signaled, true)) {
        uint64_t one = 1;
        ssize_t written = write(engine->event_descriptor, &one, sizeof one);
        (void)written; /* the counter cannot overflow: it is read before it is written again */
    }
    cfa__runner_wake(engine);
}

/* Always read: a writer may be between its mark and its write. First read, then take the mark off:
 * what is written in between would be read away and stay marked, and nobody would write again. */
static void signal_take(cfa_engine *engine) {
    if (engine->event_descriptor >= 0) {
        uint64_t count;
        ssize_t taken = read(engine->event_descriptor, &count, sizeof count);
        (void)taken;
        atomic_store(&engine->event_signaled, false);
    }
}

int cfa_engine_descriptor(cfa_engine *engine) {
    if (engine == NULL)
        return -1;
    return engine->poll_descriptor >= 0 ? engine->poll_descriptor : engine->event_descriptor;
}

/* ---- upkeep ---------------------------------------------------------------------------------- */

static cfa_status parked_copy(cfa__parked *out, cfa_arena *arena, const cfa__parked *row) {
    bool failed = false;
    *out = *row;
    out->provider = cfa__slice(cfa__text_of(arena, row->provider, &failed));
    out->account = cfa__slice(cfa__text_of(arena, row->account, &failed));
    out->ref = cfa__slice(cfa__text_of(arena, row->ref, &failed));
    return failed ? CFA_ENOMEM : CFA_OK;
}

/* The next upkeep fills from here; another engine begins anew. */
static cfa_status keep_filled(cfa_engine *engine, const cfa__parked *last) {
    cfa_status status = engine->fill_memory == NULL ? cfa_arena_new(&engine->fill_memory) : CFA_OK;
    if (status != CFA_OK)
        return status;
    cfa_arena_reset(engine->fill_memory);
    engine->fill_after = NULL;
    cfa__parked *kept = cfa_arena_alloc(engine->fill_memory, sizeof *kept);
    status = kept == NULL ? CFA_ENOMEM : parked_copy(kept, engine->fill_memory, last);
    if (status == CFA_OK)
        engine->fill_after = kept;
    return status;
}

static cfa_status upkeep_begin(cfa_engine *engine, int32_t *out_done) {
    static const cfa__parked first = { { "", 0 }, { "", 0 }, { "", 0 }, 0, { NULL, 0 } };
    *out_done = 0;
    int64_t now = cfa__monotonic_us(engine);
    if (now < atomic_load(&engine->upkeep_us) || !cfa__job_take_idle(&engine->upkeep_job))
        return CFA_OK;
    atomic_store(&engine->upkeep_us, now + UPKEEP_INTERVAL_US);
    cfa__command *command = NULL;
    cfa_status status = cfa__command_new(&command, engine, cfa__upkeep, sizeof(cfa__upkeep_answer));
    cfa__upkeep_input *input =
        status == CFA_OK ? cfa_arena_alloc(command->arena, sizeof *input) : NULL;
    const cfa__parked *after = engine->fill_after != NULL ? engine->fill_after : &first;
    if (input == NULL || parked_copy(&input->fill_after, command->arena, after) != CFA_OK) {
        cfa__command_release(engine, command);
        cfa__job_leave(&engine->upkeep_job);
        return CFA_ENOMEM;
    }
    input->answer_kept_ms = engine->options.answer_kept_ms;
    input->rotate_keys = atomic_load(&engine->random_keys) >= RANDOM_KEYS_PER_GENERATION;
    input->waiting_seen_us = atomic_load(&engine->waiting_seen_us);
    command->input = input;
    return cfa__job_start(engine, &engine->upkeep_job, command);
}

static cfa_status upkeep_collect(cfa_engine *engine, int32_t *out_done) {
    cfa__command *command;
    *out_done = 0;
    if (!cfa__job_take_finished(&engine->upkeep_job, &command))
        return CFA_OK;
    cfa_status status = cfa__command_outcome(command);
    if (status == CFA_OK) {
        const cfa__upkeep_answer *answer = command->output;
        if (answer->generation != atomic_load(&engine->generation)) {
            atomic_store(&engine->generation, answer->generation);
            atomic_store(&engine->random_keys, 0);
        }
        atomic_store(&engine->waiting_seen_us, answer->waiting_seen_us);
        if (answer->fill_last != NULL) /* one page a second: other processes have work, too */
            status = keep_filled(engine, answer->fill_last);
        if (answer->payments_read > 0)
            atomic_store(&engine->operation_due_us, 0);
        *out_done = answer->keys_moved + answer->answers_dropped + answer->payments_read;
        if (*out_done > 0) /* there is more to do */
            atomic_store(&engine->upkeep_us, cfa__monotonic_us(engine));
    }
    cfa__command_release(engine, command);
    cfa__job_leave(&engine->upkeep_job);
    return status;
}

/* ---- ticks ----------------------------------------------------------------------------------- */

static bool makes_calls(const cfa_engine *engine, uint32_t work_mask) {
    return (work_mask & CFA_WORK_CALLS) != 0 && engine->provider.ops != NULL &&
           engine->provider.ops->call != NULL;
}

static cfa_status calls_begin(cfa_engine *engine, int32_t *out_done) {
    *out_done = 0;
    int32_t room = cfa__calls_room(engine);
    return room > 0 ? cfa__calls_begin(engine, room) : CFA_OK;
}

static cfa_status calls_collect(cfa_engine *engine, int32_t *out_done) {
    *out_done = 0; /* they are counted when they are made */
    return cfa__calls_collect(engine);
}

/* Commit what is queued when nobody else does; a few batches, for both lanes may hold some. */
static void lead_some(cfa_engine *engine, uint32_t work_mask) {
    if ((work_mask & CFA_WORK_NO_COMMIT) != 0)
        return;
    for (int32_t i = 0; i < BATCHES_PER_STEP && cfa__lead_once(engine); i++)
        continue;
}

/* What one round has met: a kind of work that fails does not hold up the others, the first failure
 * is told. */
struct round {
    cfa_status first;
    cfa_error error;
    int32_t done;
};

static void note(struct round *round, cfa_status status, int32_t done) {
    round->done += done;
    if (status == CFA_OK || round->first != CFA_OK)
        return;
    round->first = status;
    if (cfa_error_last(&round->error) != CFA_OK || round->error.status != status)
        round->error.status = CFA_OK;
}

/* Milliseconds of the rest after a failure that are left; 0: it is over. */
static int64_t rest_ms(cfa_engine *engine) {
    int64_t left_us = atomic_load(&engine->rest_until_us) - cfa__monotonic_us(engine);
    return left_us > 0 ? left_us / 1000 + 1 : 0;
}

/*
 * One round: start what is due of each kind, commit if nobody else does, take in what finished.
 * Nothing here waits for a batch that another thread leads; what that brings is taken in by a later
 * round, for which `cfa__signal` wakes the loop.
 */
static cfa_status step(cfa_engine *engine, uint32_t work_mask, int64_t until_us,
                       int32_t *out_done) {
    typedef cfa_status (*work)(cfa_engine * engine, int32_t * out_done);
    static const struct {
        uint32_t kind;
        work begin, collect;
    } works[] = { { CFA_WORK_CALLS, calls_begin, calls_collect },
                  { CFA_WORK_TOTALS, cfa__project_begin, cfa__project_collect },
                  { CFA_WORK_RELAY, cfa__relays_step, cfa__relays_step },
                  { CFA_WORK_UPKEEP, upkeep_begin, upkeep_collect } };
    const size_t count = sizeof works / sizeof works[0];
    struct round round = { CFA_OK, CFA_ERROR_INIT, 0 };
    bool commits = (work_mask & CFA_WORK_NO_COMMIT) == 0;
    if ((work_mask & CFA_WORK_COMMANDS) != 0 && commits && cfa__lead_once(engine))
        round.done++;
    if (!makes_calls(engine, work_mask))
        work_mask &= ~(uint32_t)CFA_WORK_CALLS;
    bool calls = (work_mask & CFA_WORK_CALLS) != 0;
    bool called = false;
    int32_t made = calls ? cfa__calls_run_ready(engine, until_us, &called) : 0;
    bool resting = rest_ms(engine) > 0;
    for (size_t i = 0; i < 2 * count; i++) {
        if (i == count)
            lead_some(engine, work_mask);
        if ((work_mask & works[i % count].kind) == 0 || (i < count && resting))
            continue;
        int32_t done = 0;
        cfa_status status =
            i < count ? works[i].begin(engine, &done) : works[i % count].collect(engine, &done);
        note(&round, status, done);
    }
    /* Without time left, one call that is waited for is enough. */
    if (calls && (!called || engine->flights != NULL || cfa__monotonic_us(engine) < until_us))
        made += cfa__calls_run_ready(engine, until_us, NULL);
    round.done += made;
    lead_some(engine, work_mask);
    *out_done = round.done;
    if (round.error.status != CFA_OK)
        (void)cfa_error_restore(&round.error);
    return round.first;
}

static cfa_status steps(int32_t *out_done, cfa_engine *engine, uint32_t work_mask,
                        int32_t budget_ms) {
    cfa_status status;
    int64_t until = cfa__monotonic_us(engine) + (int64_t)budget_ms * 1000;
    int32_t total = 0, done = 0;
    do {
        status = step(engine, work_mask, until, &done);
        total += done;
    } while (status == CFA_OK && done > 0 && cfa__monotonic_us(engine) < until);
    if (status != CFA_OK)
        atomic_store(&engine->rest_until_us, cfa__monotonic_us(engine) + FAILED_REST_MS * 1000);
    if (status == CFA_OK && out_done != NULL)
        *out_done = total;
    return status;
}

cfa_status cfa_engine_tick(int32_t *out_done, cfa_engine *engine, uint32_t work_mask,
                           int32_t budget_ms) {
    cfa_status status = cfa__engine_check(engine);
    if (status != CFA_OK)
        return status;
    if ((work_mask & ~(uint32_t)(CFA_WORK_ALL | CFA_WORK_NO_COMMIT)) != 0)
        return cfa_error_set(CFA_EINVAL, ORIGIN, "work_mask", 0, "work_mask has unknown bits");
    if ((work_mask & CFA_WORK_ALL) == 0)
        work_mask |= CFA_WORK_NO_COMMIT; /* nothing was asked for */
    signal_take(engine);
    return steps(out_done, engine, work_mask, budget_ms);
}

/* Milliseconds until this thread could lead a batch. */
static int64_t commands_due_ms(cfa_engine *engine) {
    int64_t due = DUE_MS_MAX;
    pthread_mutex_lock(&engine->lock);
    if (!engine->leading && engine->lanes[0].count + engine->lanes[1].count > 0)
        due = 0;
    else if (engine->delayed.first != NULL)
        due = (engine->delayed.first->due_us - cfa__monotonic_us(engine)) / 1000 + 1;
    pthread_mutex_unlock(&engine->lock);
    return due < 0 ? 0 : due > DUE_MS_MAX ? DUE_MS_MAX : due;
}

/* The circuit breaker as this process sees it, for the statistics. */
static void write_circuit(const cfa_engine *engine, cfa__buffer *json) {
    cfa__json_text(json, "circuit_state",
                   cfa__breaker_state_name(atomic_load(&engine->circuit.state)));
    cfa__json_int(json, "circuit_retry_ms", cfa__circuit_wait_ms(engine));
}

static int64_t calls_due_ms(cfa_engine *engine) {
    /* Whatever ends what is in the way signals. */
    bool leases = cfa__job_is_idle(&engine->lease_job) && cfa__calls_room(engine) > 0;
    if (cfa__calls_are_ready(engine) || cfa__job_is_finished(&engine->lease_job) ||
        (leases && cfa__calls_scan_due(engine)))
        return 0;
    int64_t due = DUE_MS_MAX;
    if (leases)
        due = (atomic_load(&engine->operation_due_us) - cfa__book_now_us(engine)) / 1000 + 1;
    int32_t flights = cfa__flights_due_ms(engine);
    return flights >= 0 && flights < due ? flights : due;
}

int32_t cfa_engine_next_due_ms(cfa_engine *engine, uint32_t work_mask) {
    if (cfa__engine_check(engine) != CFA_OK)
        return DUE_MS_MAX;
    bool commits = (work_mask & CFA_WORK_ALL) != 0 && (work_mask & CFA_WORK_NO_COMMIT) == 0;
    int64_t due = commits ? commands_due_ms(engine) : DUE_MS_MAX;
    if (makes_calls(engine, work_mask)) {
        int64_t calls = calls_due_ms(engine);
        due = calls < due ? calls : due;
    }
    if ((work_mask & CFA_WORK_TOTALS) != 0 && cfa__project_is_due(engine))
        due = 0;
    if ((work_mask & CFA_WORK_RELAY) != 0) {
        int32_t relay = cfa__relays_due_ms(engine);
        due = relay < due ? relay : due;
    }
    int64_t rest = rest_ms(engine);
    return (int32_t)(due < rest ? rest : due);
}

/* ---- the runner ------------------------------------------------------------------------------ */

/* One of the runner's threads. What wakes it is a descriptor, so that it can wait for a provider's
 * at the same time. */
struct runner_thread {
    cfa__runner *runner;
    pthread_t thread;
    uint32_t mask;
    int wake; /* readable: look again */
    atomic_bool sleeping;
};

struct cfa__runner {
    cfa_engine *engine;
    struct runner_thread threads[2];
    int32_t thread_count;
    atomic_bool stopping;
};

static void thread_wake(struct runner_thread *thread) {
    if (!atomic_load(&thread->sleeping) || !atomic_exchange(&thread->sleeping, false))
        return; /* it is awake and looks again before it sleeps */
    uint64_t one = 1;
    ssize_t written = write(thread->wake, &one, sizeof one);
    (void)written; /* the counter cannot overflow: it is read before it is written again */
}

void cfa__runner_wake(cfa_engine *engine) {
    cfa__runner *runner = atomic_load(&engine->runner);
    for (size_t i = 0; runner != NULL && i < 2; i++)
        thread_wake(&runner->threads[i]);
}

/* Milliseconds until this thread has something to do. */
static int32_t runner_due_ms(const struct runner_thread *thread) {
    return atomic_load(&thread->runner->stopping)
               ? 0
               : cfa_engine_next_due_ms(thread->runner->engine, thread->mask);
}

static void thread_awake(struct runner_thread *thread) {
    if (!atomic_exchange(&thread->sleeping, false)) {
        uint64_t drained;
        ssize_t taken = read(thread->wake, &drained, sizeof drained);
        (void)taken;
    }
}

/* Sleep until something is due. First say that we sleep, then look whether there is work: whoever
 * makes some does it the other way round. */
static void runner_sleep(struct runner_thread *thread) {
    cfa_engine *engine = thread->runner->engine;
    atomic_store(&thread->sleeping, true);
    int32_t wait_ms = runner_due_ms(thread);
    struct pollfd descriptors[2] = { { .fd = thread->wake, .events = POLLIN } };
    nfds_t count = 1;
    if ((thread->mask & CFA_WORK_CALLS) != 0 && engine->flights != NULL)
        descriptors[count++] =
            (struct pollfd){ .fd = engine->provider.ops->descriptor(engine->provider.self),
                             .events = POLLIN };
    if (wait_ms > 0)
        (void)poll(descriptors, count, wait_ms); /* interrupted or not, it looks again */
    thread_awake(thread);
}

/* After a failure: news do not end this sleep, or two threads that fail would wake each other for
 * ever. */
static void runner_rest(struct runner_thread *thread) {
    int64_t until = cfa__real_us() + FAILED_REST_MS * 1000;
    int32_t left_ms;
    while ((left_ms = cfa__left_ms(until)) > 0) {
        atomic_store(&thread->sleeping, true);
        struct pollfd wake = { .fd = thread->wake, .events = POLLIN };
        bool stopping = atomic_load(&thread->runner->stopping);
        if (!stopping)
            (void)poll(&wake, 1, left_ms);
        thread_awake(thread);
        if (stopping)
            return;
    }
}

static void *runner_main(void *user) {
    struct runner_thread *thread = user;
    cfa__runner *runner = thread->runner;
    while (!atomic_load(&runner->stopping)) {
        int32_t done = 0;
        /* The engine's descriptor is the host's: it stays readable. */
        cfa_status status = steps(&done, runner->engine, thread->mask, RUNNER_BUDGET_MS);
        if (status != CFA_OK) {
            cfa_error error = CFA_ERROR_INIT;
            (void)!cfa_error_last(&error);
            cfa__log(runner->engine, CFA_LOG_ERROR, "runner_step_failed", error.message);
            runner_rest(thread); /* the work stays due */
        } else if (done == 0) {
            runner_sleep(thread);
        }
    }
    return NULL;
}

static cfa_status runner_thread_start(cfa__runner *runner, uint32_t mask) {
    struct runner_thread *thread = &runner->threads[runner->thread_count];
    thread->mask = mask;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread->thread, NULL, runner_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        return cfa_error_set(CFA_EIO, ORIGIN, NULL, failed, "a runner thread could not be started");
    runner->thread_count++;
    return CFA_OK;
}

static void runner_join(cfa__runner *runner) {
    atomic_store(&runner->engine->stopping, true); /* no further provider call begins */
    atomic_store(&runner->stopping, true);
    for (int32_t i = 0; i < runner->thread_count; i++) {
        thread_wake(&runner->threads[i]);
        pthread_join(runner->threads[i].thread, NULL);
    }
    runner->thread_count = 0;
    atomic_store(&runner->engine->stopping, false);
}

static void runner_close(cfa__runner *runner) {
    for (size_t i = 0; i < 2; i++) {
        if (runner->threads[i].wake >= 0)
            close(runner->threads[i].wake);
    }
}

/* Made once and kept until the engine closes, so that whoever signals never sees it go. */
static cfa_status runner_take(cfa_engine *engine, cfa__runner **out) {
    cfa__runner *runner = atomic_load(&engine->runner);
    if (runner == NULL) {
        runner = cfa_arena_alloc(engine->memory, sizeof *runner);
        if (runner == NULL)
            return CFA_ENOMEM;
        runner->engine = engine;
        bool open = true;
        for (size_t i = 0; i < 2; i++) {
            runner->threads[i].runner = runner;
            runner->threads[i].wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
            open = open && runner->threads[i].wake >= 0;
        }
        if (!open) {
            runner_close(runner);
            return cfa_error_set(CFA_EIO, ORIGIN, NULL, errno, "no descriptor for the runner");
        }
        atomic_store(&engine->runner, runner);
    }
    *out = runner;
    return CFA_OK;
}

cfa_status cfa_runner_start(cfa_engine *engine, uint32_t work_mask) {
    cfa_status status = cfa__engine_check(engine);
    if (status != CFA_OK)
        return status;
    if (work_mask == 0 || (work_mask & ~(uint32_t)CFA_WORK_ALL) != 0)
        return cfa_error_set(CFA_EINVAL, ORIGIN, "work_mask", 0,
                             "work_mask must hold CFA_WORK_ bits only");
    cfa__runner *runner = NULL;
    pthread_mutex_lock(&engine->runner_lock);
    status = runner_take(engine, &runner);
    if (status == CFA_OK && runner->thread_count > 0)
        status = cfa_error_set(CFA_ESTATE, ORIGIN, NULL, 0, "the runner is running already");
    if (status == CFA_OK) {
        /* Provider calls may be slow: they never hold up totals and sinks. */
        uint32_t calls = work_mask & (uint32_t)CFA_WORK_CALLS, rest = work_mask & ~calls;
        atomic_store(&runner->stopping, false);
        if (calls != 0)
            status = runner_thread_start(runner, calls);
        if (status == CFA_OK && rest != 0)
            status = runner_thread_start(runner, rest);
        if (status != CFA_OK)
            runner_join(runner);
    }
    pthread_mutex_unlock(&engine->runner_lock);
    return status;
}

void cfa_runner_stop(cfa_engine *engine) {
    if (cfa__engine_check(engine) != CFA_OK)
        return;
    pthread_mutex_lock(&engine->runner_lock);
    cfa__runner *runner = atomic_load(&engine->runner);
    if (runner != NULL)
        runner_join(runner);
    pthread_mutex_unlock(&engine->runner_lock);
}

void cfa__runner_close(cfa_engine *engine) {
    cfa_runner_stop(engine);
    cfa__runner *runner = atomic_load(&engine->runner);
    if (runner == NULL)
        return;
    atomic_store(&engine->runner, NULL);
    runner_close(runner);
}

/* ---- statistics ------------------------------------------------------------------------------ */

cfa_status cfa_engine_statistics(char **out_json, cfa_engine *engine) {
    cfa_status status = cfa__call_check(engine, out_json);
    if (status != CFA_OK)
        return status;
    cfa_arena *arena;
    status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    pthread_mutex_lock(&engine->lock);
    int64_t foreground = (int64_t)engine->lanes[0].count,
            background = (int64_t)engine->lanes[1].count;
    int64_t average_us = engine->commit_average_us;
    pthread_mutex_unlock(&engine->lock);
    cfa__statistics *statistics = &engine->statistics;
    cfa__buffer json;
    cfa__buffer_init(&json, arena, 512);
    cfa__json_open(&json, NULL, '{');
    cfa__json_int(&json, "batches", atomic_load(&statistics->batches));
    cfa__json_int(&json, "commands", atomic_load(&statistics->commands));
    cfa__json_int(&json, "events", atomic_load(&statistics->events));
    cfa__json_int(&json, "commits_in_doubt", atomic_load(&statistics->commits_in_doubt));
    cfa__json_int(&json, "batches_redecided", atomic_load(&statistics->redecided));
    cfa__json_int(&json, "batches_split", atomic_load(&statistics->splits));
    cfa__json_int(&json, "queue_refused", atomic_load(&statistics->queue_refused));
    cfa__json_int(&json, "queue_foreground", foreground);
    cfa__json_int(&json, "queue_background", background);
    cfa__json_int(&json, "batch_average_us", average_us);
    cfa__json_int(&json, "provider_calls", atomic_load(&statistics->calls));
    cfa__json_int(&json, "provider_calls_unknown", atomic_load(&statistics->calls_unknown));
    cfa__json_int(&json, "calls_in_flight", atomic_load(&engine->flight_count));
    write_circuit(engine, &json);
    cfa__json_int(&json, "reads", atomic_load(&statistics->reads));
    cfa__json_int(&json, "totals_from_memory", atomic_load(&statistics->totals_cached));
    cfa__json_int(&json, "totals_from_store", atomic_load(&statistics->totals_read));
    cfa__json_int(&json, "log_position", atomic_load(&engine->head));
    cfa__json_int(&json, "totals_position", atomic_load(&engine->projected));
    cfa__relays_write(engine, &json);
    cfa__json_close(&json, '}');
    cfa_slice text;
    status = cfa__buffer_finish(&json, &text);
    char *copy = status == CFA_OK ? cfa_alloc(text.size + 1) : NULL;
    if (copy != NULL)
        memcpy(copy, text.data, text.size + 1);
    cfa_arena_free(arena);
    if (copy == NULL)
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for the statistics");
    *out_json = copy;
    return CFA_OK;
}
