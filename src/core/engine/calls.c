/*
 * calls.c - making provider calls: what was leased and committed is sent, and what came back is committed. Never
 * inside a transaction, never under a lock.
 */
#include "core/engine/engine.h"
#include "core/engine/calls.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#define ORIGIN "core.calls"
#define LEASE_MARGIN_MS 10000
#define SCAN_INTERVAL_US 500000
#define READY_BATCH 64
#define CALL_MS_MIN 1000
#define RESULT_RETRIES 4        /* commits of a known result before its lease's end must bring it back */
#define RESULT_PAUSE_NS 1000000L
#define RESULT_DELAY_US 20000

/* A committed operation of ours, kept alive by the command that made it. */
struct cfa__ready_call {
    struct cfa__ready_call *next;
    const cfa__operation *operation;
    const cfa__payment *payment;
    cfa__command *command;
    cfa__call_done done;
    void *user;
    int32_t retries;
};

int64_t cfa__lease_ms(const cfa_engine *engine) {
    return engine->options.call_timeout_ms + LEASE_MARGIN_MS;
}

/* ---- one call -------------------------------------------------------------------------------- */

static const char *copy_text(cfa_arena *arena, const char *text, bool *failed) {
    if (text == NULL)
        return NULL;
    const char *copy = cfa_arena_copy(arena, text, strlen(text));
    if (copy == NULL)
        *failed = true;
    return copy;
}

/* A reply whose text lives in `arena`. */
static cfa_status reply_keep(cfa_reply *out, cfa_arena *arena, const cfa_reply *reply) {
    bool failed = false;
    *out = *reply;
    out->client_secret = copy_text(arena, reply->client_secret, &failed);
    out->code = copy_text(arena, reply->code, &failed);
    out->facts.ref = copy_text(arena, reply->facts.ref, &failed);
    out->facts.payment_id = copy_text(arena, reply->facts.payment_id, &failed);
    out->facts.failure_code = copy_text(arena, reply->facts.failure_code, &failed);
    out->facts.cancel_reason = copy_text(arena, reply->facts.cancel_reason, &failed);
    return failed ? CFA_ENOMEM : CFA_OK;
}

cfa_status cfa__result_command(cfa__command **out, cfa_engine *engine, const cfa__operation *operation,
                               int32_t kind, const cfa_reply *reply) {
    cfa__command *command;
    cfa_status status = cfa__command_new(&command, engine, cfa__operation_result,
                                         sizeof(cfa__result_answer));
    if (status != CFA_OK)
        return status;
    cfa__result_input *input = cfa_arena_alloc(command->arena, sizeof *input);
    status = input == NULL ? CFA_ENOMEM : reply_keep(&input->reply, command->arena, reply);
    if (status != CFA_OK) {
        cfa__command_release(engine, command);
        return status;
    }
    input->provider = engine->provider;
    input->payment_id = operation->payment_id;
    input->number = operation->number;
    input->lease_id = operation->lease_owner;
    input->try_number = operation->tries + 1;
    input->call = kind;
    input->lookup_authoritative =
        (engine->provider.ops->capabilities & CFA_PROVIDER_LOOKUP_AUTHORITATIVE) != 0;
    command->input = input;
    command->background = operation->call == CFA_CALL_RETRIEVE;
    *out = command;
    return CFA_OK;
}

/* Make the call and describe what became of it as a command. */
static cfa_status call_and_report(cfa__command **out, cfa_engine *engine,
                                  const cfa__operation *operation, const cfa__payment *payment,
                                  int32_t timeout_ms) {
    cfa_arena *arena;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    int64_t now_us = cfa__wall_us(engine);
    int32_t kind = cfa__operation_next_call(operation, payment, now_us);
    cfa_call call;
    if (timeout_ms > engine->options.call_timeout_ms)
        timeout_ms = engine->options.call_timeout_ms;
    status = cfa__call_fill(&call, arena, operation, payment, kind, now_us, timeout_ms);
    if (status == CFA_OK) {
        cfa_reply reply;
        memset(&reply, 0, sizeof reply);   /* UNKNOWN unless the adapter says otherwise */
        reply.struct_size = sizeof reply;
        reply.facts.struct_size = sizeof reply.facts;
        atomic_fetch_add(&engine->statistics.calls, 1);
        engine->provider.ops->call(engine->provider.self, &call, arena, &reply);
        if (reply.outcome == CFA_OUTCOME_UNKNOWN)
            atomic_fetch_add(&engine->statistics.calls_unknown, 1);
        status = cfa__result_command(out, engine, operation, kind, &reply);
    }
    cfa_arena_free(arena);
    return status;
}

static bool may_retry(cfa_status status) {
    cfa_status_class class = cfa_status_class_of(status);
    return (class == CFA_CLASS_TRANSIENT && status != CFA_ECLOSING) || class == CFA_CLASS_IN_DOUBT ||
           status == CFA_ENOMEM;
}

cfa_status cfa__call_perform(cfa__command **out, cfa_engine *engine, const cfa__operation *operation,
                             const cfa__payment *payment, int64_t deadline_us) {
    cfa__command *command = NULL;
    /* A caller near its deadline still gives the provider a moment: the call is leased and must be made. */
    int32_t left_ms = cfa__left_ms(deadline_us);
    cfa_status status = call_and_report(&command, engine, operation, payment,
                                        left_ms > CALL_MS_MIN ? left_ms : CALL_MS_MIN);
    if (status != CFA_OK)
        return status;
    command->background = false;   /* somebody waits for it */
    /* What the provider said is committed even when the caller's own time is over, and tried again when the store
     * falters: it is worth more than the wait. */
    int64_t commit_us = cfa__deadline_us(engine, 0);
    if (commit_us < deadline_us)
        commit_us = deadline_us;
    status = cfa__command_run(engine, &command, commit_us);
    for (int32_t again = 0; again < RESULT_RETRIES && command != NULL && may_retry(status); again++) {
        struct timespec pause = { 0, RESULT_PAUSE_NS << (2 * again) };
        nanosleep(&pause, NULL);
        status = cfa__command_run(engine, &command, commit_us);
    }
    if (status != CFA_OK || out == NULL)
        cfa__command_release(engine, command);
    else
        *out = command;
    return status;
}

/* ---- calls of asynchronous commands ---------------------------------------------------------- */

cfa_status cfa__calls_ready(cfa_engine *engine, cfa__command *command, const cfa__operation *operation,
                            const cfa__payment *payment, cfa__call_done done, void *user) {
    cfa__ready_call *ready = cfa_arena_alloc(command->arena, sizeof *ready);
    if (ready == NULL)
        return CFA_ENOMEM;
    *ready = (cfa__ready_call){ NULL, operation, payment, command, done, user, 0 };
    pthread_mutex_lock(&engine->call_lock);
    if (engine->ready_last != NULL)
        engine->ready_last->next = ready;
    else
        engine->ready_first = ready;
    engine->ready_last = ready;
    pthread_mutex_unlock(&engine->call_lock);
    cfa__signal(engine);
    return CFA_OK;
}

static cfa__ready_call *ready_take(cfa_engine *engine) {
    pthread_mutex_lock(&engine->call_lock);
    cfa__ready_call *ready = engine->ready_first;
    if (ready != NULL) {
        engine->ready_first = ready->next;
        if (engine->ready_first == NULL)
            engine->ready_last = NULL;
    }
    pthread_mutex_unlock(&engine->call_lock);
    return ready;
}

bool cfa__calls_are_ready(cfa_engine *engine) {
    pthread_mutex_lock(&engine->call_lock);
    bool ready = engine->ready_first != NULL;
    pthread_mutex_unlock(&engine->call_lock);
    return ready;
}

static void ready_committed(cfa_engine *engine, cfa__command *result, void *user) {
    cfa__ready_call *ready = user;
    if (may_retry(result->status) && ready->retries < RESULT_RETRIES) {
        ready->retries++;
        cfa__command_delay(engine, result, RESULT_DELAY_US, ready_committed, ready);
        return;
    }
    ready->done(engine, ready->command, result, ready->user);
}

/* Calls are made one after the other, their results committed together. */
int32_t cfa__calls_run_ready(cfa_engine *engine) {
    int32_t made = 0;
    cfa__ready_call *ready;
    while (made < READY_BATCH && (ready = ready_take(engine)) != NULL) {
        cfa__command *result = NULL;
        cfa_status status = call_and_report(&result, engine, ready->operation, ready->payment,
                                            INT32_MAX);
        if (status == CFA_OK) {
            status = cfa__command_submit(engine, result, ready_committed, ready);
            if (status != CFA_OK)
                cfa__command_release(engine, result);
        }
        if (status != CFA_OK)
            ready->done(engine, ready->command, NULL, ready->user);   /* the lease's end brings it back */
        made++;
    }
    if (made > 0)
        (void)cfa__lead_once(engine);
    return made;
}

void cfa__calls_close(cfa_engine *engine) {
    cfa__ready_call *ready;
    while ((ready = ready_take(engine)) != NULL)
        ready->done(engine, ready->command, NULL, ready->user);
}

/* ---- due operations -------------------------------------------------------------------------- */

cfa_status cfa__lease_command(cfa__command **out, cfa_engine *engine, const cfa__lease_item *items,
                              int32_t count, bool expedite) {
    cfa__command *command;
    cfa_status status = cfa__command_new(&command, engine, cfa__operation_lease,
                                         sizeof(cfa__lease_answer));
    if (status != CFA_OK)
        return status;
    cfa__lease_input *input = cfa_arena_alloc(command->arena, sizeof *input);
    status = input == NULL ? CFA_ENOMEM : cfa__draw_id(engine, &input->lease_id);
    if (status != CFA_OK) {
        cfa__command_release(engine, command);
        return status;
    }
    assert(count <= CFA__LEASE_MAX);
    memcpy(input->items, items, (size_t)count * sizeof *items);
    input->count = count;
    input->lease_ms = cfa__lease_ms(engine);
    input->expedite = expedite;
    command->input = input;
    *out = command;
    return CFA_OK;
}

/* Find operations that are due; `out_next_us` is when the first one after them will be. */
static cfa_status scan(cfa_engine *engine, int32_t limit, cfa__lease_item *out, int32_t *out_count,
                       int64_t *out_next_us) {
    cfa__reader *reader;
    cfa_status status = cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status != CFA_OK)
        return status;
    int64_t now_us = cfa__wall_us(engine);
    cfa__operation key;
    memset(&key, 0, sizeof key);
    cfa_query query = { .kind = &cfa__operation_kind, .index = CFA__OPERATION_BY_DUE, .limit = limit + 1,
                        .key = &key };
    status = cfa__read_queries(engine, reader, &query, 1);
    *out_count = 0;
    *out_next_us = INT64_MAX;
    for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
        const cfa__operation *operation = query.records[i];
        if (operation->due_us > now_us || *out_count == limit) {
            *out_next_us = operation->due_us;
            break;
        }
        out[(*out_count)++] = (cfa__lease_item){ operation->payment_id, operation->number };
    }
    cfa__read_end(engine, reader);
    return status;
}

static void due_committed(cfa_engine *engine, cfa__command *result, void *user) {
    (void)user;
    cfa__command_release(engine, result);
}

static void perform_leased(cfa_engine *engine, const cfa__lease_answer *leased) {
    for (int32_t i = 0; i < leased->count; i++) {
        cfa__command *result = NULL;
        cfa_status status = call_and_report(&result, engine, leased->operations[i], leased->payments[i],
                                            INT32_MAX);
        if (status == CFA_OK)
            status = cfa__command_submit(engine, result, due_committed, NULL);
        if (status != CFA_OK) {
            cfa__command_release(engine, result);
            cfa__log(engine, CFA_LOG_WARNING, "call_result_lost",
                     "a provider call's result could not be enqueued; its lease's end repeats it");
        }
    }
    if (leased->count > 0)
        (void)cfa__lead_once(engine);
}

bool cfa__calls_scan_due(cfa_engine *engine) {
    if (engine->provider.ops == NULL)
        return false;
    if (atomic_load(&engine->operation_due_us) <= cfa__wall_us(engine))
        return true;
    /* Other processes make operations too: look now and then. */
    return cfa__monotonic_us(engine) - atomic_load(&engine->operation_scan_us) >= SCAN_INTERVAL_US;
}

cfa_status cfa__lease_due(cfa__command **out, cfa_engine *engine, int32_t limit) {
    cfa__lease_item items[CFA__LEASE_MAX];
    int32_t count = 0;
    int64_t next_us = INT64_MAX;
    *out = NULL;
    cfa_status status = scan(engine, limit < CFA__LEASE_MAX ? limit : CFA__LEASE_MAX, items, &count,
                             &next_us);
    if (status != CFA_OK)
        return status;
    atomic_store(&engine->operation_scan_us, cfa__monotonic_us(engine));
    atomic_store(&engine->operation_due_us, next_us);
    if (count == 0)
        return CFA_OK;
    cfa__command *command;
    status = cfa__lease_command(&command, engine, items, count, false);
    if (status != CFA_OK)
        return status;
    command->background = true;
    status = cfa__command_run(engine, &command, cfa__deadline_us(engine, 0));
    if (status != CFA_OK)
        cfa__command_release(engine, command);
    else
        *out = command;
    return status;
}

cfa_status cfa__calls_due(cfa_engine *engine, int32_t limit, int32_t *out_done) {
    cfa__command *command;
    *out_done = 0;
    cfa_status status = cfa__lease_due(&command, engine, limit);
    if (status != CFA_OK || command == NULL)
        return status;
    const cfa__lease_answer *leased = command->output;
    *out_done = leased->count;
    perform_leased(engine, leased);
    cfa__command_release(engine, command);
    return CFA_OK;
}

/* ---- for a caller that waits ----------------------------------------------------------------- */

/* Find what may be leased, newest first, in a snapshot: who only waits writes nothing and so wakes nobody. */
static cfa_status find_leasable(cfa_engine *engine, cfa__id payment_id, bool expedite, int64_t deadline_us,
                                cfa__lease_item *out, int32_t *out_count) {
    cfa__reader *reader;
    cfa_status status = cfa__read_begin(&reader, engine, deadline_us);
    if (status != CFA_OK)
        return status;
    cfa__operation key;
    memset(&key, 0, sizeof key);
    key.payment_id = payment_id;
    cfa_query query = { .kind = &cfa__operation_kind, .match_count = 1, .flags = CFA_QUERY_DESCENDING,
                        .limit = CFA__LEASE_MAX, .key = &key };
    status = cfa__read_queries(engine, reader, &query, 1);
    int64_t now_us = cfa__wall_us(engine);
    *out_count = 0;
    for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
        const cfa__operation *operation = query.records[i];
        if (cfa__operation_is_leasable(operation, expedite, now_us))
            out[(*out_count)++] = (cfa__lease_item){ payment_id, operation->number };
    }
    cfa__read_end(engine, reader);
    return status;
}

cfa_status cfa__calls_for_payment(cfa_engine *engine, cfa__id payment_id, int64_t operation_count,
                                  bool expedite, int64_t deadline_us, bool *out_acted) {
    cfa__lease_item items[CFA__LEASE_MAX];
    int32_t count = 0;
    *out_acted = false;
    if (operation_count == 0 || engine->provider.ops == NULL || engine->provider.ops->call == NULL)
        return CFA_OK;
    cfa_status status = find_leasable(engine, payment_id, expedite, deadline_us, items, &count);
    if (status != CFA_OK || count == 0)
        return status;
    cfa__command *command;
    status = cfa__lease_command(&command, engine, items, count, expedite);
    if (status != CFA_OK)
        return status;
    status = cfa__command_run(engine, &command, deadline_us);
    if (status == CFA_OK) {
        const cfa__lease_answer *leased = command->output;
        for (int32_t i = 0; i < leased->count && status == CFA_OK; i++) {
            *out_acted = true;
            status = cfa__call_perform(NULL, engine, leased->operations[i], leased->payments[i],
                                       deadline_us);
        }
    }
    cfa__command_release(engine, command);
    return status;
}
