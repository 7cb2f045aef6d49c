/*
 * calls.c - making provider calls: what was leased and committed is sent, and what came back is
 * committed. Never inside a transaction, never under a lock.
 */
#include "core/engine/engine.h"
#include "core/engine/calls.h"
#include "core/engine/circuit.h"
#include "core/engine/job.h"
#include "core/decide/evidence.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define ORIGIN "core.calls"
#define LEASE_MARGIN_MS 10000
#define SCAN_INTERVAL_US 500000
#define CALL_MS_MIN 1000
#define RESULT_PAUSE_US INT64_C(1000)

int64_t cfa__lease_ms(const cfa_engine *engine) {
    return engine->options.call_timeout_ms + LEASE_MARGIN_MS;
}

/* ---- one call -------------------------------------------------------------------------------- */

/* A reply whose text lives in `arena`. */
static cfa_status reply_keep(cfa_reply *out, cfa_arena *arena, const cfa_reply *given) {
    bool failed = false;
    const char *wrong;
    *out = *given;
    cfa_status status = cfa__facts_take(&out->facts, arena, &given->facts, &wrong);
    if (status != CFA_OK)
        return status;
    /* An adapter's mistake must not stop the book: what cannot be stored is dropped, and a reply
     * that cannot be understood is in doubt. */
    if (wrong != NULL || given->outcome < CFA_OUTCOME_UNKNOWN ||
        given->outcome > CFA_OUTCOME_NOT_SENT)
        out->outcome = CFA_OUTCOME_UNKNOWN;
    out->client_secret =
        cfa__text_of(arena, cfa__slice(cfa__clean_text(given->client_secret)), &failed);
    out->redirect_url =
        cfa__text_of(arena, cfa__slice(cfa__clean_url(given->redirect_url)), &failed);
    out->code = cfa__text_of(arena, cfa__slice(cfa__clean_text(given->code)), &failed);
    return failed ? CFA_ENOMEM : CFA_OK;
}

cfa_status cfa__result_command(cfa__command **out, cfa_engine *engine,
                               const cfa__operation *operation, int32_t kind,
                               const cfa_reply *reply) {
    cfa__command *command;
    cfa_status status =
        cfa__command_new(&command, engine, cfa__operation_result, sizeof(cfa__result_answer));
    if (status != CFA_OK)
        return status;
    cfa__result_input *input = cfa_arena_alloc(command->arena, sizeof *input);
    status = input == NULL ? CFA_ENOMEM : reply_keep(&input->reply, command->arena, reply);
    if (status != CFA_OK) {
        cfa__command_release(engine, command);
        return status;
    }
    input->provider = engine->provider;
    input->refunds_suspects = engine->options.fraud_rule == CFA_FRAUD_REFUND;
    input->payment_id = operation->payment_id;
    input->number = operation->number;
    input->lease_id = operation->lease_owner;
    input->lease_epoch = operation->lease_epoch;
    input->lease_ms = cfa__lease_ms(engine);
    input->try_number = operation->tries + 1;
    input->call = kind;
    input->lookup_authoritative =
        (engine->provider.ops->capabilities & CFA_PROVIDER_LOOKUP_AUTHORITATIVE) != 0;
    command->input = input;
    command->background = operation->call == CFA_CALL_RETRIEVE;
    *out = command;
    return CFA_OK;
}

/* What is left of a lease that was asked for at `leased_us`. Whoever was suspended or queued for
 * too long must not send: another may have taken over, proved absence and charged under a new
 * key. */
static int64_t lease_left_ms(const cfa_engine *engine, const cfa__operation *operation,
                             int64_t leased_us) {
    int64_t by_age = cfa__lease_ms(engine) - (cfa__monotonic_us(engine) - leased_us) / 1000;
    int64_t by_wall = (operation->due_us - cfa__book_now_us(engine)) / 1000;
    return by_age < by_wall ? by_age : by_wall;
}

void cfa__call_open_window(const cfa_engine *engine, cfa_call *call) {
    if ((engine->provider.ops->capabilities & CFA_PROVIDER_TWO_STEP) != 0)
        return;
    call->created_from_us = 0;
    call->created_until_us = INT64_MAX;
}

cfa_status cfa__call_open(cfa__call_made *out, cfa_engine *engine, const cfa__operation *operation,
                          const cfa__payment *payment, int64_t leased_us, int32_t timeout_ms) {
    int64_t left_ms = lease_left_ms(engine, operation, leased_us);
    if (left_ms < CALL_MS_MIN)
        return cfa_error_set(CFA_EFENCED, ORIGIN, NULL, 0,
                             "the lease ended before the call was made");
    if (timeout_ms > engine->options.call_timeout_ms)
        timeout_ms = engine->options.call_timeout_ms;
    if (timeout_ms > left_ms)
        timeout_ms = (int32_t)left_ms;
    memset(out, 0, sizeof *out);
    cfa_status status = cfa_arena_new(&out->arena);
    if (status != CFA_OK)
        return status;
    out->operation = operation;
    /* The lease has decided which call this is, by its own clock, and recorded when it is sent. */
    out->kind = cfa__operation_next_call(operation, payment, operation->updated_us);
    out->reply.struct_size = sizeof out->reply; /* UNKNOWN unless the adapter says otherwise */
    out->reply.facts.struct_size = sizeof out->reply.facts;
    status = cfa__call_fill(&out->call, out->arena, operation, payment, out->kind,
                            cfa__book_now_us(engine), timeout_ms);
    if (status != CFA_OK) {
        cfa_arena_free(out->arena);
        return status;
    }
    cfa__call_open_window(engine, &out->call);
    if (cfa__operation_is_too_late(operation, payment))
        out->reply.outcome = CFA_OUTCOME_NOT_SENT;
    else
        out->to_send = true;
    return CFA_OK;
}

/* The donor only waits; what is wrong with the provider, or with its key, the operator must see. */
static void log_trouble(const cfa_engine *engine, const cfa_reply *reply) {
    if (reply->outcome != CFA_OUTCOME_NOT_SENT && reply->outcome != CFA_OUTCOME_UNKNOWN)
        return;
    char text[160];
    const char *code = cfa__clean_text(reply->code);
    snprintf(text, sizeof text, "%s: %.100s",
             reply->outcome == CFA_OUTCOME_NOT_SENT ? "nothing was done" : "it may have happened",
             code != NULL ? code : "no answer");
    cfa__log(engine, CFA_LOG_WARNING, "provider_trouble", text);
}

cfa_status cfa__call_close(cfa__command **out, cfa_engine *engine, cfa__call_made *made) {
    if (made->to_send) {
        atomic_fetch_add(&engine->statistics.calls, 1);
        if (made->reply.outcome == CFA_OUTCOME_UNKNOWN)
            atomic_fetch_add(&engine->statistics.calls_unknown, 1);
        cfa__circuit_note(engine, &made->reply);
        log_trouble(engine, &made->reply);
    }
    cfa_status status = cfa__result_command(out, engine, made->operation, made->kind, &made->reply);
    cfa_arena_free(made->arena);
    return status;
}

/* Make the call and describe what became of it as a command. CFA_EFENCED: the lease is over,
 * nothing was sent. */
static cfa_status call_and_report(cfa__command **out, cfa_engine *engine,
                                  const cfa__operation *operation, const cfa__payment *payment,
                                  int64_t leased_us, int32_t timeout_ms) {
    cfa__call_made made;
    cfa_status status = cfa__call_open(&made, engine, operation, payment, leased_us, timeout_ms);
    if (status != CFA_OK)
        return status;
    if (made.to_send)
        engine->provider.ops->call(engine->provider.self, &made.call, made.arena, &made.reply);
    return cfa__call_close(out, engine, &made);
}

bool cfa__result_may_retry(cfa_status status) {
    cfa_status_class class = cfa_status_class_of(status);
    return (class == CFA_CLASS_TRANSIENT && status != CFA_ECLOSING) ||
           class == CFA_CLASS_IN_DOUBT || status == CFA_ENOMEM;
}

cfa_status cfa__call_perform(cfa__command **out, cfa_engine *engine,
                             const cfa__operation *operation, const cfa__payment *payment,
                             int64_t leased_us, int64_t deadline_us) {
    cfa__command *command = NULL;
    /* A caller near its deadline still gives the provider a moment: the call is leased and must be
     * made. */
    int32_t left_ms = cfa__left_ms(deadline_us);
    cfa_status status = call_and_report(&command, engine, operation, payment, leased_us,
                                        left_ms > CALL_MS_MIN ? left_ms : CALL_MS_MIN);
    if (status != CFA_OK)
        return status;
    command->background = false; /* somebody waits for it */
    /* What the provider said is committed even when the caller's own time is over, and tried again
     * when the store falters: it is worth more than the wait. */
    int64_t commit_us = cfa__deadline_us(engine, 0);
    if (commit_us < deadline_us)
        commit_us = deadline_us;
    status = cfa__command_run(engine, &command, commit_us);
    for (int32_t again = 0;
         again < CFA__RESULT_RETRIES && command != NULL && cfa__result_may_retry(status); again++) {
        cfa__pause(engine, RESULT_PAUSE_US << (2 * again));
        status = cfa__command_run(engine, &command, commit_us);
    }
    if (status != CFA_OK || out == NULL)
        cfa__command_release(engine, command);
    else
        *out = command;
    return status;
}

/* ---- due operations -------------------------------------------------------------------------- */

cfa_status cfa__lease_command(cfa__command **out, cfa_engine *engine, const cfa__lease_item *items,
                              int32_t count, bool expedite) {
    cfa__command *command;
    cfa_status status =
        cfa__command_new(&command, engine, cfa__operation_lease, sizeof(cfa__lease_answer));
    if (status != CFA_OK)
        return status;
    cfa__lease_input *input = cfa_arena_alloc(command->arena, sizeof *input);
    status = input == NULL ? CFA_ENOMEM : cfa__draw_id(engine, &input->lease_id);
    if (status != CFA_OK) {
        cfa__command_release(engine, command);
        return status;
    }
    assert(count <= CFA__LEASE_MAX);
    input->leased_us =
        cfa__monotonic_us(engine); /* before the commit: never later than the lease */
    memcpy(input->items, items, (size_t)count * sizeof *items);
    input->count = count;
    input->lease_ms = cfa__lease_ms(engine);
    input->expedite = expedite;
    input->circuit = cfa__circuit_asked(engine);
    command->input = input;
    *out = command;
    return CFA_OK;
}

/* Find operations that are due; `out_next_us` is when the first one after them will be. */
static cfa_status scan(cfa_engine *engine, int32_t limit, cfa__lease_item *out, int32_t *out_count,
                       int64_t *out_next_us) {
    cfa__reader *reader;
    cfa_status status = cfa__read_begin_now(&reader, engine);
    if (status != CFA_OK)
        return status;
    int64_t now_us = cfa__book_now_us(engine);
    cfa__operation key;
    memset(&key, 0, sizeof key);
    cfa__breaker breaker_key;
    cfa_query queries[] = {
        { .kind = &cfa__operation_kind,
          .index = CFA__OPERATION_BY_DUE,
          .limit = limit + 1,
          .key = &key },
        cfa__circuit_query(engine, &breaker_key),
    };
    status = cfa__read_queries(engine, reader, queries, 2);
    const cfa_query query = queries[0];
    if (status == CFA_OK)
        cfa__circuit_found(engine, &queries[1]);
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

bool cfa__calls_scan_due(cfa_engine *engine) {
    if (engine->provider.ops == NULL || engine->provider.ops->call == NULL ||
        !cfa__job_is_idle(&engine->lease_job))
        return false;
    if (atomic_load(&engine->operation_due_us) <= cfa__book_now_us(engine))
        return true;
    /* Other processes make operations too: look now and then. */
    return cfa__monotonic_us(engine) - atomic_load(&engine->operation_scan_us) >= SCAN_INTERVAL_US;
}

/* The earliest of all times that are known is when to look. */
static void look_by(cfa_engine *engine, int64_t due_us) {
    int64_t known_us = atomic_load(&engine->operation_due_us);
    while (due_us < known_us &&
           !atomic_compare_exchange_weak(&engine->operation_due_us, &known_us, due_us))
        continue;
}

/* The command that leases what is due; `*out` is NULL when nothing is. */
static cfa_status due_command(cfa__command **out, cfa_engine *engine, int32_t limit) {
    cfa__lease_item items[CFA__LEASE_MAX];
    int32_t count = 0;
    int64_t next_us = INT64_MAX;
    *out = NULL;
    /* First forget: what becomes due from here on says so again. */
    atomic_store(&engine->operation_due_us, INT64_MAX);
    cfa_status status =
        scan(engine, limit < CFA__LEASE_MAX ? limit : CFA__LEASE_MAX, items, &count, &next_us);
    if (status != CFA_OK) {
        look_by(engine, 0);
        return status;
    }
    atomic_store(&engine->operation_scan_us, cfa__monotonic_us(engine));
    int64_t wait_ms = cfa__circuit_wait_ms(engine);
    if (count > 0 && wait_ms > 0) { /* the provider is out */
        look_by(engine, cfa__book_now_us(engine) + wait_ms * 1000);
        return CFA_OK;
    }
    if (count > 1 && !cfa__circuit_is_closed(engine)) {
        count = 1; /* one call may try */
        next_us = 0;
    }
    look_by(engine, next_us);
    return count == 0 ? CFA_OK : cfa__lease_command(out, engine, items, count, false);
}

cfa_status cfa__lease_due(cfa__command **out, cfa_engine *engine, int32_t limit) {
    cfa__command *command;
    *out = NULL;
    cfa_status status = due_command(&command, engine, limit);
    if (status != CFA_OK || command == NULL)
        return status;
    command->background = true;
    status = cfa__command_run(engine, &command, cfa__deadline_us(engine, 0));
    if (status != CFA_OK)
        cfa__command_release(engine, command);
    else
        *out = command;
    return status;
}

/* Operations that one command leased: it stays until the last of their calls is over. */
struct leased {
    cfa__command *command;
    atomic_int left;
};

static void leased_drop(cfa_engine *engine, struct leased *leased, int32_t count) {
    if (atomic_fetch_sub(&leased->left, count) == count)
        cfa__command_release(engine, leased->command);
    cfa__signal(engine); /* there is room for others */
}

static void leased_called(cfa_engine *engine, cfa__command *command, cfa__command *result,
                          void *user) {
    (void)command;
    if (result == NULL || result->status != CFA_OK) {
        cfa__log(engine, CFA_LOG_WARNING, "call_put_off",
                 "a leased provider call was not made or not recorded; its lease's end repeats it");
    }
    cfa__command_release(engine, result);
    leased_drop(engine, user, 1);
}

/* What was leased is ready to be called; takes the command. */
static cfa_status leased_ready(cfa_engine *engine, cfa__command *command) {
    const cfa__lease_answer *answer = command->output;
    if (answer->refused_until_us > 0)
        cfa__circuit_refused(engine, answer->refused_until_us);
    int64_t leased_us = ((const cfa__lease_input *)command->input)->leased_us;
    struct leased *leased =
        answer->count == 0 ? NULL : cfa_arena_alloc(command->arena, sizeof *leased);
    if (leased == NULL) {
        cfa_status status = answer->count == 0 ? CFA_OK : CFA_ENOMEM;
        cfa__command_release(engine, command);
        return status;
    }
    leased->command = command;
    int32_t count = answer->count;
    atomic_init(&leased->left, count);
    for (int32_t i = 0; i < count; i++) {
        cfa_status status = cfa__calls_ready(engine, command, answer->operations[i],
                                             answer->payments[i], leased_us, leased_called, leased);
        if (status != CFA_OK) { /* the end of their lease brings them back */
            leased_drop(engine, leased, count - i);
            return status;
        }
    }
    return CFA_OK;
}

cfa_status cfa__calls_collect(cfa_engine *engine) {
    cfa__command *command;
    if (!cfa__job_take_finished(&engine->lease_job, &command))
        return CFA_OK;
    cfa__job_leave(&engine->lease_job);
    cfa_status status = cfa__command_outcome(command);
    if (status != CFA_OK) {
        cfa__command_release(engine, command);
        return status;
    }
    return leased_ready(engine, command);
}

cfa_status cfa__calls_begin(cfa_engine *engine, int32_t limit) {
    cfa__command *command;
    if (!cfa__calls_scan_due(engine) || !cfa__job_take_idle(&engine->lease_job))
        return CFA_OK;
    cfa_status status = due_command(&command, engine, limit);
    if (status != CFA_OK || command == NULL) {
        cfa__job_leave(&engine->lease_job);
        return status;
    }
    return cfa__job_start(engine, &engine->lease_job, command);
}

/* ---- for a caller that waits ----------------------------------------------------------------- */

/* Find what may be leased, newest first, in a snapshot: who only waits writes nothing and so wakes
 * nobody. */
static cfa_status find_leasable(cfa_engine *engine, cfa__id payment_id, bool expedite,
                                int64_t deadline_us, cfa__lease_item *out, int32_t *out_count) {
    cfa__reader *reader;
    cfa_status status = cfa__read_begin(&reader, engine, deadline_us);
    if (status != CFA_OK)
        return status;
    cfa__operation key;
    memset(&key, 0, sizeof key);
    key.payment_id = payment_id;
    cfa_query query = { .kind = &cfa__operation_kind,
                        .match_count = 1,
                        .flags = CFA_QUERY_DESCENDING,
                        .limit = CFA__LEASE_MAX,
                        .key = &key };
    status = cfa__read_queries(engine, reader, &query, 1);
    int64_t now_us = cfa__book_now_us(engine);
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
    if (cfa__circuit_wait_ms(engine) > 0)
        return CFA_OK; /* asking would be refused, and a batch of our own would wake us at once */
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
        int64_t leased_us = ((const cfa__lease_input *)command->input)->leased_us;
        if (leased->refused_until_us > 0)
            cfa__circuit_refused(engine, leased->refused_until_us);
        for (int32_t i = 0; i < leased->count && status == CFA_OK; i++) {
            *out_acted = true;
            status = cfa__call_perform(NULL, engine, leased->operations[i], leased->payments[i],
                                       leased_us, deadline_us);
            if (status == CFA_EFENCED)
                status = CFA_OK; /* too late for this one: its lease's end brings it back */
        }
    }
    cfa__command_release(engine, command);
    return status;
}
