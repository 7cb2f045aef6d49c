/*
 * batch.c - one batch: load, decide, save, commit; and what to do when one of them fails.
 *
 * A lost race or an unknown commit runs the whole batch again: every command is idempotent by a key
 * of its own. Any other error splits the batch until the guilty command stands alone. Runs on the
 * leader's thread with the writer session; never under a lock.
 */
#include "core/engine/engine.h"
#include "core/engine/working_set.h"
#include "core/decide/decide.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.batch"
/* Loads that one command may need. The longest chain is a reply that binds an object, drains what
 * waited for it, and so binds and drains what grew out of it: eleven. */
#define ROUNDS_MAX 16
#define DOUBT_MAX 4          /* re-runs of a batch whose commit is in doubt */
#define BUSY_TIMEOUT_MS 5000 /* waiting for another process's write lock */

struct run {
    cfa_engine *engine;
    cfa_session *session;
    cfa__working_set *set;
    cfa__command **commands;
    size_t count;
    size_t *first_event, *event_count;
    int64_t head; /* the log's, if this commits; 0: nothing was emitted */
};

/* ---- deciding -------------------------------------------------------------------------------- */

static cfa_status decide_one(struct run *run, cfa__command *command) {
    memset(command->output, 0, command->output_size);
    command->position = 0;
    cfa_error_clear();
    return command->decide(run->set, command);
}

/* Let the commands from `start` ask for what they need, and load it all at once. */
static cfa_status load_round(struct run *run, size_t start) {
    for (size_t i = start; i < run->count; i++) {
        cfa_status status = decide_one(run, run->commands[i]);
        cfa__working_set_discard(run->set);
        if (status == CFA_ENOMEM)
            return status;
    }
    return cfa__working_set_load(run->set, run->engine->storage.ops, run->session);
}

/* Decide all commands in order. A failing command gets its own error; only a failure of the store
 * or of memory fails the batch. */
static cfa_status decide_all(struct run *run) {
    for (size_t i = 0; i < run->count; i++) {
        cfa__command *command = run->commands[i];
        cfa_status status = decide_one(run, command);
        for (int32_t round = 0; status == CFA__MISS && round < ROUNDS_MAX; round++) {
            cfa__working_set_discard(run->set);
            cfa_status loaded = load_round(run, i + 1);
            if (loaded != CFA_OK)
                return loaded;
            status = decide_one(run, command);
        }
        if (status == CFA_OK) {
            cfa__working_set_accept(run->set, &run->first_event[i], &run->event_count[i]);
        } else {
            cfa__working_set_discard(run->set);
            run->event_count[i] = 0;
            if (status == CFA_ENOMEM && run->count > 1)
                return status; /* alone, it gets the error; together, the batch is split */
            if (status == CFA__MISS)
                status =
                    cfa_error_set(CFA_EBUG, ORIGIN, NULL, 0, "a command needed too many loads");
        }
        command->status = status;
        command->error.struct_size = sizeof command->error;
        if (status != CFA_OK && cfa_error_last(&command->error) != CFA_OK)
            command->error.status = status;
    }
    return CFA_OK;
}

static cfa_status save_all(struct run *run, bool *out_wrote) {
    cfa_save save;
    cfa_status status = cfa__working_set_changes(run->set, &save);
    if (status != CFA_OK)
        return status;
    /* Whatever was read was read in this transaction: where that alone keeps it, nothing is left to guard. */
    if ((run->engine->storage.ops->capabilities & CFA_STORAGE_EXCLUSIVE) != 0)
        save.guard_count = 0;
    *out_wrote = save.change_count > 0 || save.event_count > 0;
    if (!*out_wrote)
        return CFA_OK;
    int64_t first_position = 0;
    status = run->engine->storage.ops->save(run->session, &save, &first_position);
    if (status != CFA_OK || save.event_count == 0)
        return status;
    assert(first_position > 0);
    int64_t head = first_position + (int64_t)save.event_count - 1;
    for (size_t i = 0; i < run->count; i++) {
        cfa__command *command = run->commands[i];
        if (run->event_count[i] == 0 && command->status == CFA_OK && command->position > 0)
            command->position =
                head; /* a repeat may show what an earlier command of this batch made */
        if (run->event_count[i] > 0) {
            size_t last = run->first_event[i] + run->event_count[i] - 1;
            run->commands[i]->position = cfa__working_set_position(run->set, last);
        }
    }
    run->head = head;
    atomic_fetch_add(&run->engine->statistics.events, (int64_t)save.event_count);
    return CFA_OK;
}

/* ---- one transaction ------------------------------------------------------------------------- */

static cfa_status writer_open(cfa_engine *engine) {
    if (engine->writer != NULL)
        return CFA_OK;
    return engine->storage.ops->session_open(engine->storage.self, CFA_SESSION_WRITE,
                                             &engine->writer);
}

static cfa_status run_open(struct run *run, cfa_arena *arena, int64_t now_us) {
    cfa_status status = cfa__working_set_new(&run->set, arena, now_us, run->count);
    if (status != CFA_OK)
        return status;
    run->first_event = cfa_arena_alloc(arena, run->count * sizeof *run->first_event);
    run->event_count = cfa_arena_alloc(arena, run->count * sizeof *run->event_count);
    return run->first_event == NULL || run->event_count == NULL ? CFA_ENOMEM : CFA_OK;
}

/* Rows staged by joined transactions get their positions before anything else is emitted. With more
 * of them than one round takes, this transaction does nothing else: `*out_more`. */
static cfa_status drain_staged(struct run *run, bool *out_more) {
    *out_more = false;
    if ((run->engine->storage.ops->capabilities & CFA_STORAGE_JOIN) == 0)
        return CFA_OK;
    int32_t drained = 0;
    cfa_status status = cfa__staged_drain(run->set, &drained);
    for (int32_t round = 0; status == CFA__MISS && round < ROUNDS_MAX; round++) {
        cfa__working_set_discard(run->set);
        status = load_round(run, 0);
        if (status == CFA_OK)
            status = cfa__staged_drain(run->set, &drained);
    }
    if (status != CFA_OK)
        return status == CFA__MISS ? CFA_EBUG : status;
    size_t first, count;
    cfa__working_set_accept(run->set, &first, &count);
    *out_more = drained == CFA__STAGED_ROWS_MAX;
    if (*out_more)
        run->count = 0;
    return CFA_OK;
}

/* One transaction; `*out_more` when it only moved staged events and the commands are still to be
 * decided. */
static cfa_status transact(cfa_engine *engine, cfa__command **commands, size_t count,
                           cfa_arena *arena, bool *out_more) {
    const cfa_storage_ops *ops = engine->storage.ops;
    *out_more = false;
    cfa_status status = writer_open(engine);
    if (status != CFA_OK)
        return status;
    int64_t now_us = cfa__book_now_us(engine);
    status = ops->begin(engine->writer, CFA_SESSION_WRITE, BUSY_TIMEOUT_MS, &now_us);
    if (status != CFA_OK)
        return status;
    int64_t newest_us = atomic_load(&engine->newest_us);
    if (now_us < newest_us)
        now_us = newest_us;
    struct run run = { engine, engine->writer, NULL, commands, count, NULL, NULL, 0 };
    bool wrote = false;
    status = run_open(&run, arena, now_us);
    if (status == CFA_OK)
        status = drain_staged(&run, out_more);
    if (status == CFA_OK)
        status = decide_all(&run);
    if (status == CFA_OK)
        status = save_all(&run, &wrote);
    if (status != CFA_OK || !wrote) {
        ops->rollback(engine->writer);
        return status;
    }
    status = ops->commit(engine->writer);
    if (status == CFA_OK) {
        cfa__book_time(engine, now_us);
        if (run.head > atomic_load(&engine->head))
            atomic_store(&engine->head, run.head);
    }
    return status;
}

/* ---- failures -------------------------------------------------------------------------------- */

static void answer_all(cfa__command **commands, size_t count, cfa_status status) {
    cfa_error error = CFA_ERROR_INIT;
    if (cfa_error_last(&error) != CFA_OK || error.status != status) {
        (void)cfa_error_set(status, ORIGIN, NULL, 0, cfa_status_text(status));
        (void)!cfa_error_last(&error);
    }
    for (size_t i = 0; i < count; i++) {
        commands[i]->status = status;
        commands[i]->error = error;
    }
}

/* Wait a little, differently in each process, before deciding again. */
static void back_off(cfa_engine *engine, int32_t attempt) {
    uint32_t jitter = 0;
    if (engine->platform.random(engine->platform.self, &jitter, sizeof jitter) != CFA_OK)
        jitter = (uint32_t)attempt * 2654435761u;
    int64_t ceiling_us = INT64_C(200) << attempt;
    cfa__pause(engine, (int64_t)(jitter % (uint32_t)ceiling_us));
}

static bool is_conflict(cfa_status status) {
    return status == CFA_EVERSION || status == CFA_EEXISTS;
}

static void execute(cfa_engine *engine, cfa__command **commands, size_t count, cfa_arena *arena) {
    cfa_status status = CFA_OK;
    int32_t doubts = 0;
    for (int32_t attempt = 0; attempt <= CFA__REDECIDE_MAX; attempt++) {
        cfa_error_clear();
        bool more = true;
        for (status = CFA_OK; status == CFA_OK && more;)
            status = transact(engine, commands, count, arena, &more);
        if (status == CFA_OK) {
            atomic_fetch_add(&engine->statistics.batches, 1);
            atomic_fetch_add(&engine->statistics.commands, (int64_t)count);
            return;
        }
        if (status == CFA_EINDOUBT) {
            atomic_fetch_add(&engine->statistics.commits_in_doubt, 1);
            cfa__log(engine, CFA_LOG_WARNING, "commit_in_doubt",
                     "a commit's outcome is unknown; deciding again");
            if (++doubts > DOUBT_MAX)
                break;
        } else if (is_conflict(status)) {
            atomic_fetch_add(&engine->statistics.redecided, 1);
        } else {
            break;
        }
        if (attempt > 0)
            back_off(engine, attempt);
    }
    if (doubts > 0)
        status = CFA_EINDOUBT; /* an earlier commit of this very batch may have happened */
    bool of_the_store = status == CFA_EINDOUBT || status == CFA_EBUSY || status == CFA_EIO ||
                        status == CFA_EUNAVAILABLE || status == CFA_EREADONLY ||
                        status == CFA_ECORRUPT || status == CFA_ENOSPACE;
    if (count == 1 || of_the_store) {
        if (is_conflict(status)) {
            status = cfa_error_set(CFA_EBUSY, ORIGIN, NULL, 0,
                                   "other writers kept winning the race; nothing was done");
        }
        answer_all(commands, count, status);
        return;
    }
    atomic_fetch_add(&engine->statistics.splits, 1);
    execute(engine, commands, count / 2, arena);
    execute(engine, commands + count / 2, count - count / 2, arena);
}

void cfa__batch_execute(cfa_engine *engine, cfa__command **commands, size_t count,
                        cfa__batch_memory *memory) {
    execute(engine, commands, count, memory->arena);
    if (engine->storage.ops->maintain != NULL && engine->writer != NULL) {
        cfa_status status = engine->storage.ops->maintain(engine->writer);
        if (status != CFA_OK)
            cfa__log(engine, CFA_LOG_WARNING, "maintain_failed", cfa_status_text(status));
    }
}

/* ---- joined transactions --------------------------------------------------------------------- */

static cfa_status stage_events(cfa_save *save, cfa_arena *arena) {
    size_t total = save->change_count + save->event_count;
    cfa_change *changes = cfa_arena_alloc(arena, (total + 1) * sizeof *changes);
    if (changes == NULL)
        return CFA_ENOMEM;
    /* Staged rows sort behind everything but the log itself, so the order of kinds is kept. */
    memcpy(changes, save->changes, save->change_count * sizeof *changes);
    for (size_t i = 0; i < save->event_count; i++) {
        const cfa__event *event = save->events[i];
        cfa__staged *staged = cfa_arena_alloc(arena, sizeof *staged);
        if (staged == NULL)
            return CFA_ENOMEM;
        *staged = (cfa__staged){ event->id,         event->type,     event->subject_kind,
                                 event->subject_id, event->sequence, event->created_us,
                                 event->trace,      event->payload };
        changes[save->change_count + i] =
            (cfa_change){ &cfa__staged_kind, CFA_CHANGE_INSERT, staged, NULL };
    }
    save->changes = changes;
    save->change_count = total;
    save->events = NULL;
    save->event_count = 0;
    return CFA_OK;
}

cfa_status cfa__batch_execute_joined(cfa_engine *engine, cfa_session *session,
                                     cfa__command *command, cfa_arena *arena) {
    struct run run = { engine, session, NULL, &command, 1, NULL, NULL, 0 };
    cfa_status status = run_open(&run, arena, cfa__book_now_us(engine));
    if (status == CFA_OK)
        status = decide_all(&run);
    if (status != CFA_OK)
        return status;
    if (command->status != CFA_OK)
        return command->status;
    cfa_save save;
    int64_t position = 0;
    status = cfa__working_set_changes(run.set, &save);
    if (status == CFA_OK)
        status = stage_events(&save, arena);
    if (status == CFA_OK && save.change_count > 0)
        status = engine->storage.ops->save(session, &save, &position);
    return status;
}
