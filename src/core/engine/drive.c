/*
 * drive.c - who does the work: a host's loop by ticks, or two threads of the library by choice.
 * Plus upkeep and the statistics document.
 */
#include "core/engine/calls.h"
#include "core/engine/relay.h"
#include "util/buffer.h"

#include <assert.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ORIGIN "core.drive"
#define DUE_MS_MAX 1000
#define CALLS_PER_STEP 4 /* leased together: what one lease can hold, also when calls are slow */
#define UPKEEP_INTERVAL_US INT64_C(1000000)
#define RANDOM_KEYS_PER_GENERATION 65536
#define RUNNER_BUDGET_MS 20

/* ---- signals --------------------------------------------------------------------------------- */

void cfa__signal(cfa_engine *engine) {
    if (engine->event_descriptor >= 0 && !atomic_exchange(&engine->event_signaled, true)) {
        uint64_t one = 1;
        ssize_t written = write(engine->event_descriptor, &one, sizeof one);
        (void)written; /* the counter cannot overflow: it is read before it is written again */
    }
    cfa__runner_wake(engine);
}

/* Always read: a writer may be between its mark and its write. */
static void signal_take(cfa_engine *engine) {
    if (engine->event_descriptor >= 0) {
        atomic_store(&engine->event_signaled, false);
        uint64_t count;
        ssize_t taken = read(engine->event_descriptor, &count, sizeof count);
        (void)taken;
    }
}

int cfa_engine_descriptor(cfa_engine *engine) {
    return engine == NULL ? -1 : engine->event_descriptor;
}

/* ---- upkeep ---------------------------------------------------------------------------------- */

static cfa_status upkeep_run(cfa_engine *engine, int32_t *out_done) {
    int64_t now = cfa__monotonic_us(engine);
    *out_done = 0;
    if (now < atomic_load(&engine->upkeep_us))
        return CFA_OK;
    atomic_store(&engine->upkeep_us, now + UPKEEP_INTERVAL_US);
    cfa__command *command;
    cfa_status status = cfa__command_new(&command, engine, cfa__upkeep, sizeof(cfa__upkeep_answer));
    if (status != CFA_OK)
        return status;
    cfa__upkeep_input *input = cfa_arena_alloc(command->arena, sizeof *input);
    if (input == NULL) {
        cfa__command_release(engine, command);
        return CFA_ENOMEM;
    }
    input->answer_kept_ms = engine->options.answer_kept_ms;
    input->rotate_keys = atomic_load(&engine->random_keys) >= RANDOM_KEYS_PER_GENERATION;
    command->input = input;
    command->background = true;
    status = cfa__command_run(engine, &command, cfa__deadline_us(engine, 0));
    if (status == CFA_OK) {
        const cfa__upkeep_answer *answer = command->output;
        if (answer->generation != atomic_load(&engine->generation)) {
            atomic_store(&engine->generation, answer->generation);
            atomic_store(&engine->random_keys, 0);
        }
        *out_done = answer->keys_moved + answer->answers_dropped;
        if (*out_done > 0)
            atomic_store(&engine->upkeep_us, now); /* there is more to do */
    }
    cfa__command_release(engine, command);
    return status;
}

/* ---- ticks ----------------------------------------------------------------------------------- */

/* One round over the kinds of work. A kind that fails does not hold up the others; the first
 * failure is told. */
static cfa_status step(cfa_engine *engine, uint32_t work_mask, int64_t until_us,
                       int32_t *out_done) {
    cfa_status first = CFA_OK, status;
    cfa_error error = CFA_ERROR_INIT;
    int32_t done = 0;
    *out_done = 0;
    if ((work_mask & CFA_WORK_COMMANDS) != 0 && cfa__lead_once(engine))
        ++*out_done;
    if ((work_mask & CFA_WORK_CALLS) != 0 && engine->provider.ops != NULL &&
        engine->provider.ops->call != NULL) {
        *out_done += cfa__calls_run_ready(engine, until_us);
        if (cfa__calls_scan_due(engine)) {
            first = cfa__calls_due(engine, CALLS_PER_STEP, &done);
            *out_done += done;
        }
    }
    static const struct {
        uint32_t kind;
        cfa_status (*run)(cfa_engine *engine, int32_t *out_done);
    } works[] = { { CFA_WORK_TOTALS, cfa__project_due },
                  { CFA_WORK_RELAY, cfa__relays_run },
                  { CFA_WORK_UPKEEP, upkeep_run } };
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
        if ((work_mask & works[i].kind) == 0)
            continue;
        if (first != CFA_OK && error.status == CFA_OK)
            (void)!cfa_error_last(&error);
        status = works[i].run(engine, &done);
        *out_done += done;
        if (first == CFA_OK)
            first = status;
    }
    if (error.status != CFA_OK)
        (void)cfa_error_restore(&error);
    return first;
}

cfa_status cfa_engine_tick(int32_t *out_done, cfa_engine *engine, uint32_t work_mask,
                           int32_t budget_ms) {
    cfa_status status = cfa__engine_check(engine);
    if (status != CFA_OK)
        return status;
    if ((work_mask & ~(uint32_t)CFA_WORK_ALL) != 0)
        return cfa_error_set(CFA_EINVAL, ORIGIN, "work_mask", 0, "work_mask has unknown bits");
    signal_take(engine);
    int64_t until = cfa__monotonic_us(engine) + (int64_t)budget_ms * 1000;
    int32_t total = 0, done = 0;
    do {
        status = step(engine, work_mask, until, &done);
        total += done;
    } while (status == CFA_OK && done > 0 && cfa__monotonic_us(engine) < until);
    if (status == CFA_OK && out_done != NULL)
        *out_done = total;
    return status;
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

int32_t cfa_engine_next_due_ms(cfa_engine *engine, uint32_t work_mask) {
    if (cfa__engine_check(engine) != CFA_OK)
        return DUE_MS_MAX;
    int64_t due = (work_mask & CFA_WORK_COMMANDS) != 0 ? commands_due_ms(engine) : DUE_MS_MAX;
    if ((work_mask & CFA_WORK_CALLS) != 0 && engine->provider.ops != NULL) {
        if (cfa__calls_are_ready(engine) || cfa__calls_scan_due(engine))
            return 0;
        int64_t next =
            (atomic_load(&engine->operation_due_us) - cfa__book_now_us(engine)) / 1000 + 1;
        due = next < due ? next : due;
    }
    if ((work_mask & CFA_WORK_TOTALS) != 0 &&
        atomic_load(&engine->projected) < atomic_load(&engine->head))
        return 0;
    if ((work_mask & CFA_WORK_RELAY) != 0) {
        int32_t relay = cfa__relays_due_ms(engine);
        due = relay < due ? relay : due;
    }
    return (int32_t)(due < 0 ? 0 : due);
}

/* ---- the runner ------------------------------------------------------------------------------ */

struct cfa__runner {
    cfa_engine *engine;
    pthread_t threads[2];
    int32_t thread_count;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    uint64_t wakes;
};

struct runner_thread {
    cfa__runner *runner;
    uint32_t mask;
};

void cfa__runner_wake(cfa_engine *engine) {
    cfa__runner *runner = atomic_load(&engine->runner);
    if (runner == NULL)
        return;
    pthread_mutex_lock(&runner->lock);
    runner->wakes++;
    pthread_cond_broadcast(&runner->wake);
    pthread_mutex_unlock(&runner->lock);
}

static void runner_sleep(cfa__runner *runner, uint64_t seen, int32_t wait_ms) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += wait_ms / 1000;
    at.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&runner->lock);
    while (!runner->stopping && runner->wakes == seen) {
        if (pthread_cond_timedwait(&runner->wake, &runner->lock, &at) != 0)
            break;
    }
    pthread_mutex_unlock(&runner->lock);
}

static void *runner_main(void *user) {
    struct runner_thread *thread = user;
    cfa__runner *runner = thread->runner;
    uint32_t mask = thread->mask;
    cfa_free(thread);
    for (;;) {
        pthread_mutex_lock(&runner->lock);
        bool stopping = runner->stopping;
        uint64_t seen = runner->wakes;
        pthread_mutex_unlock(&runner->lock);
        if (stopping)
            return NULL;
        int32_t done = 0, wait_ms;
        cfa_status status = cfa_engine_tick(&done, runner->engine, mask, RUNNER_BUDGET_MS);
        if (status != CFA_OK) {
            cfa_error error = CFA_ERROR_INIT;
            (void)!cfa_error_last(&error);
            cfa__log(runner->engine, CFA_LOG_ERROR, "runner_step_failed", error.message);
            wait_ms = 100; /* the work stays due */
        } else {
            wait_ms = done > 0 ? 0 : cfa_engine_next_due_ms(runner->engine, mask);
        }
        if (wait_ms > 0)
            runner_sleep(runner, seen, wait_ms);
    }
}

static cfa_status runner_thread_start(cfa__runner *runner, uint32_t mask) {
    struct runner_thread *thread = cfa_alloc(sizeof *thread);
    if (thread == NULL)
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for a runner thread");
    thread->runner = runner;
    thread->mask = mask;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&runner->threads[runner->thread_count], NULL, runner_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        cfa_free(thread);
        return cfa_error_set(CFA_EIO, ORIGIN, NULL, failed, "a runner thread could not be started");
    }
    runner->thread_count++;
    return CFA_OK;
}

static void runner_join(cfa__runner *runner) {
    atomic_store(&runner->engine->stopping, true); /* no further provider call begins */
    pthread_mutex_lock(&runner->lock);
    runner->stopping = true;
    pthread_cond_broadcast(&runner->wake);
    pthread_mutex_unlock(&runner->lock);
    for (int32_t i = 0; i < runner->thread_count; i++)
        pthread_join(runner->threads[i], NULL);
    runner->thread_count = 0;
    atomic_store(&runner->engine->stopping, false);
}

/* Made once and kept until the engine closes, so that whoever signals never sees it go. */
static cfa_status runner_take(cfa_engine *engine, cfa__runner **out) {
    cfa__runner *runner = atomic_load(&engine->runner);
    if (runner == NULL) {
        runner = cfa_arena_alloc(engine->memory, sizeof *runner);
        if (runner == NULL)
            return CFA_ENOMEM;
        runner->engine = engine;
        pthread_mutex_init(&runner->lock, NULL);
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&runner->wake, &attributes);
        pthread_condattr_destroy(&attributes);
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
        runner->stopping = false;
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
    pthread_cond_destroy(&runner->wake);
    pthread_mutex_destroy(&runner->lock);
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
    cfa__json_int(&json, "reads", atomic_load(&statistics->reads));
    cfa__json_int(&json, "totals_from_memory", atomic_load(&statistics->totals_cached));
    cfa__json_int(&json, "totals_from_store", atomic_load(&statistics->totals_read));
    cfa__json_int(&json, "log_position", atomic_load(&engine->head));
    cfa__json_int(&json, "totals_position", atomic_load(&engine->projected));
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
