/*
 * queue.c - group commit without a thread: callers enqueue, one of them leads a batch for all.
 *
 * Two lanes, foreground first. The leader takes one batch, runs it without the lock, publishes the
 * answers, and leaves; the next waiting caller leads the next one. Nothing here knows what a
 * command does.
 */
#include "core/engine/engine.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#define ORIGIN "core.queue"

static cfa__command_queue *queue_of(cfa__command *command) {
    return (cfa__command_queue *)command; /* its first member */
}

static struct timespec monotonic_timespec(int64_t at_us) {
    struct timespec at;
    at.tv_sec = (time_t)(at_us / 1000000);
    at.tv_nsec = (long)(at_us % 1000000) * 1000;
    return at;
}

static int wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t at_us) {
    struct timespec at = monotonic_timespec(at_us);
    return pthread_cond_timedwait(condition, lock, &at);
}

/* ---- the pool -------------------------------------------------------------------------------- */

static cfa_status command_allocate(cfa__command_queue **out) {
    cfa__command_queue *queue = cfa_alloc(sizeof *queue);
    if (queue == NULL)
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for a command");
    memset(queue, 0, sizeof *queue);
    cfa_status status = cfa_arena_new(&queue->command.arena);
    if (status != CFA_OK) {
        cfa_free(queue);
        return status;
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    *out = queue;
    return CFA_OK;
}

cfa_status cfa__command_new(cfa__command **out, cfa_engine *engine, cfa__decide decide,
                            size_t output_size) {
    pthread_mutex_lock(&engine->lock);
    cfa__command_queue *queue = engine->free_commands;
    if (queue != NULL)
        engine->free_commands = queue->next;
    pthread_mutex_unlock(&engine->lock);
    if (queue == NULL) {
        cfa_status status = command_allocate(&queue);
        if (status != CFA_OK)
            return status;
    }
    cfa__command *command = &queue->command;
    cfa_arena *arena = command->arena;
    memset(command, 0, sizeof *command);
    command->arena = arena;
    command->decide = decide;
    command->output_size = output_size;
    command->output = cfa_arena_alloc(arena, output_size);
    queue->next = NULL;
    queue->state = CFA__IDLE;
    queue->blocking = queue->abandoned = false;
    queue->done = NULL;
    queue->done_user = NULL;
    if (command->output == NULL) {
        cfa__command_release(engine, command);
        return CFA_ENOMEM;
    }
    *out = command;
    return CFA_OK;
}

static void memory_unreference(cfa_engine *engine, cfa__batch_memory *memory) {
    assert(memory->references > 0);
    if (--memory->references > 0)
        return;
    cfa_arena_reset(memory->arena);
    memory->next = engine->free_memory;
    engine->free_memory = memory;
}

/* Let go of the answers of an earlier batch; with the lock held. */
static void forget_batch(cfa_engine *engine, cfa__command_queue *queue) {
    if (queue->memory != NULL)
        memory_unreference(engine, queue->memory);
    queue->memory = NULL;
}

void cfa__command_release(cfa_engine *engine, cfa__command *command) {
    if (command == NULL)
        return;
    cfa__command_queue *queue = queue_of(command);
    assert(queue->state == CFA__IDLE || queue->state == CFA__DONE);
    cfa_arena_reset(command->arena);
    pthread_mutex_lock(&engine->lock);
    forget_batch(engine, queue);
    queue->state = CFA__IDLE;
    queue->next = engine->free_commands;
    engine->free_commands = queue;
    pthread_mutex_unlock(&engine->lock);
}

static cfa__batch_memory *memory_take(cfa_engine *engine) {
    cfa__batch_memory *memory = engine->free_memory;
    if (memory != NULL) {
        engine->free_memory = memory->next;
    } else {
        memory = cfa_alloc(sizeof *memory);
        if (memory == NULL)
            return NULL;
        if (cfa_arena_new(&memory->arena) != CFA_OK) {
            cfa_free(memory);
            return NULL;
        }
    }
    memory->references = 1;
    memory->next = NULL;
    return memory;
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static void lane_push(cfa__lane *lane, cfa__command_queue *queue) {
    queue->next = NULL;
    if (lane->last != NULL)
        lane->last->next = queue;
    else
        lane->first = queue;
    lane->last = queue;
    lane->count++;
}

static cfa__command_queue *lane_pop(cfa__lane *lane) {
    cfa__command_queue *queue = lane->first;
    lane->first = queue->next;
    if (lane->first == NULL)
        lane->last = NULL;
    lane->count--;
    queue->next = NULL;
    return queue;
}

static void lane_remove(cfa__lane *lane, cfa__command_queue *queue) {
    cfa__command_queue **link = &lane->first, *before = NULL;
    while (*link != queue) {
        before = *link;
        link = &before->next;
    }
    *link = queue->next;
    if (lane->last == queue)
        lane->last = before;
    lane->count--;
}

static cfa__lane *lane_of(cfa_engine *engine, const cfa__command *command) {
    return &engine->lanes[command->background ? 1 : 0];
}

/* Enqueue the delayed commands whose time has come; with the lock held. */
static void undelay(cfa_engine *engine) {
    int64_t now_us = engine->delayed.first != NULL ? cfa__monotonic_us(engine) : 0;
    while (engine->delayed.first != NULL && engine->delayed.first->due_us <= now_us) {
        cfa__command_queue *queue = lane_pop(&engine->delayed);
        queue->state = CFA__QUEUED;
        lane_push(lane_of(engine, &queue->command), queue);
    }
}

static size_t queued(const cfa_engine *engine) {
    return engine->lanes[0].count + engine->lanes[1].count;
}

/* ---- leading --------------------------------------------------------------------------------- */

/* Wait a moment for the callers that the last batch released: one fsync then pays for more of
 * them. */
static void gather(cfa_engine *engine) {
    size_t expected = engine->last_released;
    if (expected > (size_t)engine->options.batch_limit)
        expected = (size_t)engine->options.batch_limit;
    if (engine->lanes[0].count == 0 || engine->lanes[0].count >= expected || expected < 2)
        return;
    int64_t patience_us = engine->commit_average_us / 10;
    if (patience_us > CFA__GATHER_US_MAX)
        patience_us = CFA__GATHER_US_MAX;
    int64_t until = cfa__real_us() + patience_us;
    engine->gathering = expected;
    while (engine->lanes[0].count < expected && !engine->closing) {
        if (wait_until(&engine->gather, &engine->lock, until) != 0)
            break;
    }
    engine->gathering = 0;
}

static size_t take_batch(cfa_engine *engine, cfa__command **out) {
    cfa__lane *foreground = &engine->lanes[0], *background = &engine->lanes[1];
    bool background_turn =
        background->count > 0 &&
        (foreground->count == 0 || engine->foreground_streak >= CFA__FOREGROUND_STREAK);
    cfa__lane *lane = background_turn ? background : foreground;
    size_t limit = background_turn ? CFA__BACKGROUND_BATCH : (size_t)engine->options.batch_limit;
    engine->foreground_streak = background_turn ? 0 : engine->foreground_streak + 1;
    size_t count = 0;
    while (count < limit && lane->count > 0) {
        cfa__command_queue *queue = lane_pop(lane);
        queue->state = CFA__RUNNING;
        out[count++] = &queue->command;
    }
    return count;
}

/* Wake one caller that can lead the next batch; called with the lock held. */
static void hand_over(cfa_engine *engine) {
    for (int32_t lane = 0; lane < 2; lane++) {
        for (cfa__command_queue *queue = engine->lanes[lane].first; queue != NULL;
             queue = queue->next) {
            if (queue->blocking) {
                pthread_cond_signal(&queue->wake);
                return;
            }
        }
    }
    if (queued(engine) > 0) {
        if (engine->progress_waiters > 0)
            pthread_cond_broadcast(&engine->progress);
        cfa__signal(engine);
    }
}

/* Hand finished asynchronous commands to whom they belong; called without the lock. */
static void deliver(cfa_engine *engine, cfa__command_queue *asynchronous) {
    while (asynchronous != NULL) {
        cfa__command_queue *queue = asynchronous;
        asynchronous = queue->next;
        if (queue->abandoned || queue->done == NULL)
            cfa__command_release(engine, &queue->command);
        else
            queue->done(engine, &queue->command, queue->done_user);
    }
}

/*
 * Publish answers; called with the lock held, returns with it held. Callers are woken and
 * completions delivered without it, or each would wake only to wait for the lock. A caller that saw
 * its answer before its signal may have given the command back: the signal then wakes the command's
 * next owner once for nothing.
 */
static void publish(cfa_engine *engine, cfa__command **commands, size_t count,
                    cfa__batch_memory *memory) {
    size_t released = 0;
    cfa__command_queue *asynchronous = NULL, **last = &asynchronous;
    for (size_t i = 0; i < count; i++) {
        cfa__command_queue *queue = queue_of(commands[i]);
        queue->memory = memory;
        memory->references++;
        queue->state = CFA__DONE;
        if (queue->blocking) {
            commands[released++] = commands[i];
        } else {
            *last = queue;
            last = &queue->next;
        }
    }
    *last = NULL;
    engine->last_released = released;
    engine->progress_count++;
    if (engine->progress_waiters > 0)
        pthread_cond_broadcast(&engine->progress);
    memory_unreference(engine, memory);
    int64_t head = atomic_load(&engine->head);
    bool appended = head > engine->signaled_head;
    engine->signaled_head = head;
    pthread_mutex_unlock(&engine->lock);
    if (appended)
        cfa__signal(engine); /* the projector and the sinks have something to do */
    for (size_t i = 0; i < released; i++)
        pthread_cond_signal(&queue_of(commands[i])->wake);
    deliver(engine, asynchronous);
    pthread_mutex_lock(&engine->lock);
}

/* Without memory for a batch its commands fail, certainly; called with the lock held, returns with
 * it held. */
static void fail_batch(cfa_engine *engine, cfa__command **commands, size_t count) {
    cfa__command_queue *asynchronous = NULL;
    cfa_error error = CFA_ERROR_INIT;
    (void)cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for a batch");
    (void)!cfa_error_last(&error);
    for (size_t i = 0; i < count; i++) {
        cfa__command_queue *queue = queue_of(commands[i]);
        queue->state = CFA__DONE;
        commands[i]->status = CFA_ENOMEM;
        commands[i]->error = error;
        if (queue->blocking) {
            pthread_cond_signal(&queue->wake);
        } else {
            queue->next = asynchronous;
            asynchronous = queue;
        }
    }
    engine->leading = false;
    hand_over(engine);
    pthread_mutex_unlock(&engine->lock);
    deliver(engine, asynchronous);
    pthread_mutex_lock(&engine->lock);
}

/* Lead one batch; the lock is held, nobody leads, something is queued. */
static void lead(cfa_engine *engine) {
    cfa__command *commands[CFA__BATCH_LIMIT_MAX];
    engine->leading = true;
    undelay(engine);
    gather(engine);
    cfa__batch_memory *memory = memory_take(engine);
    size_t count = take_batch(engine, commands);
    if (count == 0) { /* the last queued caller left at its deadline while we gathered */
        if (memory != NULL)
            memory_unreference(engine, memory);
        engine->leading = false;
        return;
    }
    if (memory == NULL) {
        fail_batch(engine, commands, count);
        return;
    }
    pthread_mutex_unlock(&engine->lock);
    int64_t started = cfa__real_us();
    cfa__batch_execute(engine, commands, count, memory);
    int64_t took = cfa__real_us() - started;
    pthread_mutex_lock(&engine->lock);
    engine->commit_average_us += (took - engine->commit_average_us) / 8;
    engine->leading = false;
    hand_over(engine);
    publish(engine, commands, count, memory);
}

bool cfa__lead_once(cfa_engine *engine) {
    bool led = false;
    pthread_mutex_lock(&engine->lock);
    undelay(engine);
    if (!engine->leading && queued(engine) > 0) {
        lead(engine);
        led = true;
    }
    pthread_mutex_unlock(&engine->lock);
    return led;
}

/* ---- enqueueing ------------------------------------------------------------------------------ */

static cfa_status enqueue(cfa_engine *engine, cfa__command *command) {
    if (engine->closing)
        return cfa_error_set(CFA_ECLOSING, ORIGIN, NULL, 0, "the engine is closing");
    /* The limit is for what callers bring; of background work there is little at a time. */
    if (!command->background && queued(engine) >= (size_t)engine->options.queue_limit) {
        atomic_fetch_add(&engine->statistics.queue_refused, 1);
        return cfa_error_format(CFA_EQUEUE, ORIGIN, NULL, 0,
                                "the queue holds its limit of %d commands",
                                (int)engine->options.queue_limit);
    }
    cfa__command_queue *queue = queue_of(command);
    forget_batch(engine, queue);
    queue->state = CFA__QUEUED;
    lane_push(lane_of(engine, command), queue);
    if (engine->gathering > 0 && engine->lanes[0].count >= engine->gathering)
        pthread_cond_signal(&engine->gather);
    return CFA_OK;
}

cfa_status cfa__command_submit(cfa_engine *engine, cfa__command *command,
                               void (*done)(cfa_engine *, cfa__command *, void *), void *user) {
    cfa__command_queue *queue = queue_of(command);
    queue->blocking = false;
    queue->done = done;
    queue->done_user = user;
    pthread_mutex_lock(&engine->lock);
    cfa_status status = enqueue(engine, command);
    bool wake = status == CFA_OK && !engine->leading;
    if (wake && engine->progress_waiters > 0)
        pthread_cond_broadcast(&engine->progress);
    pthread_mutex_unlock(&engine->lock);
    if (wake)
        cfa__signal(engine);
    return status;
}

static void refuse(cfa__command *command) {
    command->error.struct_size = sizeof command->error;
    command->status = cfa_error_set(CFA_ECLOSING, ORIGIN, NULL, 0, "the engine is closing");
    if (cfa_error_last(&command->error) != CFA_OK)
        command->error.status = CFA_ECLOSING;
}

void cfa__command_delay(cfa_engine *engine, cfa__command *command, int64_t delay_us,
                        void (*done)(cfa_engine *, cfa__command *, void *), void *user) {
    cfa__command_queue *queue = queue_of(command);
    queue->done = done;
    queue->done_user = user;
    pthread_mutex_lock(&engine->lock);
    if (engine->closing) {
        pthread_mutex_unlock(&engine->lock);
        refuse(command);
        done(engine, command, user);
        return;
    }
    forget_batch(engine, queue);
    queue->due_us = cfa__monotonic_us(engine) + delay_us;
    if (engine->delayed.last != NULL && queue->due_us < engine->delayed.last->due_us)
        queue->due_us = engine->delayed.last->due_us; /* one delay for all: the order stays */
    lane_push(&engine->delayed, queue);
    pthread_mutex_unlock(&engine->lock);
    cfa__signal(engine); /* loops have a new time to wake at */
}

/* The deadline of a caller came; the lock is held. True when the command is over for the caller. */
static bool leave(cfa_engine *engine, cfa__command **command, cfa_status *out_status) {
    cfa__command_queue *queue = queue_of(*command);
    if (queue->state == CFA__QUEUED) {
        lane_remove(lane_of(engine, *command), queue);
        queue->state = CFA__IDLE;
        if (!engine->leading)
            hand_over(engine); /* the leadership may just have been offered to this caller */
        *out_status =
            cfa_error_set(CFA_ETIMEOUT, ORIGIN, NULL, 0,
                          "the deadline passed while the command waited; it was taken back");
        return true;
    }
    if (queue->state == CFA__RUNNING) {
        queue->blocking = false;
        queue->abandoned = true;
        *command = NULL;
        *out_status = cfa_error_set(CFA_EINDOUBT, ORIGIN, NULL, 0,
                                    "the deadline passed while the command was being committed");
        return true;
    }
    return false;
}

cfa_status cfa__command_run(cfa_engine *engine, cfa__command **command, int64_t deadline_us) {
    cfa__command_queue *queue = queue_of(*command);
    queue->blocking = true;
    cfa_status left = CFA_OK;
    pthread_mutex_lock(&engine->lock);
    cfa_status status = enqueue(engine, *command);
    if (status != CFA_OK) {
        pthread_mutex_unlock(&engine->lock);
        return status;
    }
    while (queue->state != CFA__DONE) {
        if (queue->state == CFA__QUEUED && engine->closing) {
            lane_remove(lane_of(engine, *command), queue);
            queue->state = CFA__IDLE;
            left = cfa_error_set(CFA_ECLOSING, ORIGIN, NULL, 0, "the engine is closing");
            break;
        }
        if (!engine->leading) {
            lead(engine);
            continue;
        }
        if (wait_until(&queue->wake, &engine->lock, deadline_us) != 0 &&
            cfa__real_us() >= deadline_us && leave(engine, command, &left))
            break;
    }
    pthread_mutex_unlock(&engine->lock);
    if (left != CFA_OK)
        return left;
    if ((*command)->status != CFA_OK) {
        assert((*command)->error.status == (*command)->status);
        return cfa_error_restore(&(*command)->error);
    }
    return CFA_OK;
}

/* Answer every queued asynchronous command with CFA_ECLOSING; `closing` is set, so none is
 * added. */
void cfa__commands_refuse(cfa_engine *engine) {
    for (;;) {
        cfa__command_queue *refused = NULL;
        pthread_mutex_lock(&engine->lock);
        if (engine->delayed.count > 0)
            refused = lane_pop(&engine->delayed);
        for (int32_t lane = 0; lane < 2 && refused == NULL; lane++) {
            cfa__command_queue *queue = engine->lanes[lane].first;
            while (queue != NULL && queue->blocking)
                queue = queue->next;
            if (queue != NULL) {
                lane_remove(&engine->lanes[lane], queue);
                queue->state = CFA__DONE;
                refused = queue;
            }
        }
        pthread_mutex_unlock(&engine->lock);
        if (refused == NULL)
            return;
        refused->state = CFA__DONE;
        refuse(&refused->command);
        refused->done(engine, &refused->command, refused->done_user);
    }
}

/* ---- waiting for progress -------------------------------------------------------------------- */

uint64_t cfa__progress_count(cfa_engine *engine) {
    pthread_mutex_lock(&engine->lock);
    uint64_t count = engine->progress_count;
    pthread_mutex_unlock(&engine->lock);
    return count;
}

void cfa__progress_nudge(cfa_engine *engine) {
    pthread_mutex_lock(&engine->lock);
    engine->progress_count++;
    if (engine->progress_waiters > 0)
        pthread_cond_broadcast(&engine->progress);
    pthread_mutex_unlock(&engine->lock);
}

uint64_t cfa__progress_wait(cfa_engine *engine, uint64_t seen, int64_t deadline_us) {
    pthread_mutex_lock(&engine->lock);
    engine->progress_waiters++;
    while (engine->progress_count == seen && !engine->closing) {
        undelay(engine);
        if (!engine->leading && queued(engine) > 0)
            lead(engine);
        else if (wait_until(&engine->progress, &engine->lock, deadline_us) != 0)
            break;
    }
    engine->progress_waiters--;
    uint64_t count = engine->progress_count;
    pthread_mutex_unlock(&engine->lock);
    return count;
}
