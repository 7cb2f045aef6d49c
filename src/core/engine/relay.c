/*
 * relay.c - the outbox's way out: one relay per sink. Only the owner of a cursor's epoch may move
 * it; a zombie can repeat, never skip. What an operator does to a cursor in any process is seen by
 * looking at its row now and then.
 */
#include "core/engine/relay.h"
#include "core/engine/job.h"
#include "core/engine/log.h"

#include <careforall/event.h>

#include <assert.h>
#include <string.h>

#define LEASE_MS 10000
#define READ_LIMIT 500
#define SETTLE_INTERVAL_US 20000
#define SETTLE_EVENTS 10000
#define HEAD_AGE_MS 500
#define LOOK_INTERVAL_US 500000
#define BACKOFF_BASE_US 100000
#define BACKOFF_CAP_US 60000000
#define REFUSED_TRIES 5 /* unless the binding says otherwise */

/* What a relay's command does to its cursor. */
enum task { LEAD, SETTLE, REFUSE, REDELIVERED, STOP };

/* The cursor's row as this process last looked; written by whoever looks, read by all. */
struct seen {
    atomic_uint number; /* of looks; what a step has applied it need not apply again */
    atomic_int_fast64_t epoch, acknowledged, paused, dead_count, requeued_count;
    atomic_int_fast64_t oldest_us; /* of the first event that is not acknowledged; 0: none */
};

struct cfa__relay {
    pthread_mutex_t busy; /* whoever has it may touch the rest, and the job */
    cfa__job job;         /* its command on the cursor */
    enum task doing;      /* what that command is */
    int64_t settling, started_us;
    char name[64];
    cfa_sink sink;
    int64_t tries_max; /* of an event that is refused; 0: the sink stops */
    struct seen seen;
    unsigned applied; /* the look that is known here */
    bool opened;      /* the cursor was asked for once */
    bool leads, paused;
    bool stuck;       /* at the last look nothing was taken or acknowledged */
    bool stopping;    /* the sink is broken: no sending, and soon its row says so */
    bool sink_failed; /* the failure is the sink's own, not our store's */
    int64_t epoch;
    int64_t lease_until_us; /* monotonic: half of the lease, then it is renewed */
    int64_t sent, acknowledged, settled;
    int64_t settle_us, next_try_us;
    int32_t failures;
    int64_t refusal;      /* event refused just now, not counted yet; 0: none */
    int64_t tried, tries; /* event that was refused before, how often */
    int64_t requeued;     /* dead letters to be delivered again */
    int64_t redelivered;  /* one of them, whose outcome is not recorded yet; 0: none */
    bool refused_again;   /* that outcome */
    int64_t code;         /* of the newest refusal or failure, with the sink's words */
    char words[256];
};

/* ---- commands on the cursor ------------------------------------------------------------------ */

static cfa_status of_sink(cfa__relay *relay, cfa_status status) {
    relay->sink_failed = status != CFA_OK;
    return status;
}

/* Keep what the sink said about its refusal or failure. */
static void take_words(cfa__relay *relay, cfa_status status) {
    cfa_error error = CFA_ERROR_INIT;
    bool told = cfa_error_last(&error) == CFA_OK && error.status == status;
    const char *words = told && error.message[0] != '\0' ? error.message : cfa_status_text(status);
    size_t size = strnlen(words, sizeof relay->words - 1);
    memcpy(relay->words, words, size);
    relay->words[size] = '\0';
    relay->code = told ? error.native_code : 0;
}

/* Start a command on the sink's cursor. */
static cfa_status job_begin(cfa_engine *engine, cfa__relay *relay, enum task task) {
    static const cfa__decide decides[] = { [LEAD] = cfa__sink_lead,
                                           [SETTLE] = cfa__sink_settle,
                                           [REFUSE] = cfa__sink_refuse,
                                           [REDELIVERED] = cfa__sink_redelivered,
                                           [STOP] = cfa__sink_stop };
    cfa__sink_input input = { .name = { relay->name, strlen(relay->name) },
                              .owner = engine->instance,
                              .lease_ms = LEASE_MS,
                              .opening = !relay->opened,
                              .epoch = relay->epoch,
                              .tries_max = relay->tries_max,
                              .refused = relay->refused_again,
                              .code = relay->code };
    if (task == SETTLE)
        input.position = relay->settling = relay->acknowledged;
    if (task == REFUSE) {
        input.position = relay->refusal;
        input.tries = (relay->tried == relay->refusal ? relay->tries : 0) + 1;
    }
    if (task == REDELIVERED)
        input.position = relay->redelivered;
    if (task == REFUSE || task == STOP || (task == REDELIVERED && relay->refused_again))
        input.reason = (cfa_slice){ relay->words, strlen(relay->words) };
    cfa__command *command;
    bool taken = cfa__job_take_idle(&relay->job);
    assert(taken); /* we have `busy`, and nothing is in flight */
    (void)taken;
    cfa_status status = cfa__sink_command_new(&command, engine, decides[task], &input);
    if (status != CFA_OK) {
        cfa__job_leave(&relay->job);
        return status;
    }
    relay->doing = task;
    relay->started_us = cfa__monotonic_us(engine);
    return cfa__job_start(engine, &relay->job, command);
}

/* ---- what a command brought ------------------------------------------------------------------ */

/* Draw a time to wait, from zero to twice as much with each failure. */
static void wait_some(cfa_engine *engine, cfa__relay *relay, int64_t failures) {
    int64_t ceiling = BACKOFF_BASE_US;
    for (int64_t i = 0; i < failures && ceiling < BACKOFF_CAP_US; i++)
        ceiling *= 2;
    if (ceiling > BACKOFF_CAP_US)
        ceiling = BACKOFF_CAP_US;
    uint64_t draw = 0;
    if (engine->platform.random(engine->platform.self, &draw, sizeof draw) != CFA_OK)
        draw = (uint64_t)ceiling / 2;
    relay->next_try_us = cfa__monotonic_us(engine) + (int64_t)(draw % (uint64_t)ceiling);
}

/* Begin anew behind a position. A sink that cannot is asked again by the next lead. */
static cfa_status start_over(cfa__relay *relay, int64_t position) {
    relay->refusal = 0;
    relay->sent = relay->acknowledged = relay->settled = position;
    cfa_status status = of_sink(relay, relay->sink.ops->reset(relay->sink.self, position));
    if (status != CFA_OK)
        relay->leads = false;
    return status;
}

/* We lead the sink's cursor now, or still do, or somebody else does. */
static cfa_status led(cfa__relay *relay, const cfa__sink_answer *answer) {
    bool fresh = answer->leads && (!relay->leads || answer->epoch != relay->epoch);
    relay->opened = true;
    relay->leads = answer->leads;
    relay->epoch = answer->epoch;
    relay->lease_until_us = relay->started_us + (int64_t)LEASE_MS * 1000 / 2;
    if (!answer->leads) {
        relay->settled = answer->acknowledged;
        relay->next_try_us = relay->started_us + (int64_t)LEASE_MS * 1000 / 4;
        return CFA_OK;
    }
    if (!fresh)
        return CFA_OK;
    relay->redelivered = 0;
    return start_over(relay, answer->acknowledged);
}

/* The refusal was counted: the event comes again, or was set aside, or the sink stopped. */
static cfa_status refused(cfa_engine *engine, cfa__relay *relay, const cfa__sink_answer *answer) {
    relay->leads = answer->leads;
    if (!answer->leads) {
        relay->refusal = 0;
        cfa__log(engine, CFA_LOG_ERROR, "sink_paused", relay->name);
        return CFA_OK;
    }
    if (answer->acknowledged < relay->refusal) {
        wait_some(engine, relay, answer->refused_tries);
        cfa__log(engine, CFA_LOG_WARNING, "event_refused", relay->name);
    } else {
        cfa__log(engine, CFA_LOG_ERROR, "event_set_aside", relay->name);
    }
    return start_over(relay, answer->acknowledged);
}

static cfa_status done(cfa_engine *engine, cfa__relay *relay, const cfa__sink_answer *answer) {
    relay->paused = answer->paused;
    relay->requeued = answer->requeued_count;
    relay->tried = answer->refused;
    relay->tries = answer->refused_tries;
    switch (relay->doing) {
    case LEAD: return led(relay, answer);
    case SETTLE:
        relay->settled = answer->acknowledged;
        relay->settle_us = relay->started_us;
        relay->lease_until_us = relay->started_us + (int64_t)LEASE_MS * 1000 / 2;
        return CFA_OK;
    case REFUSE: return refused(engine, relay, answer);
    case REDELIVERED: relay->redelivered = 0; return CFA_OK;
    case STOP: relay->leads = relay->stopping = false;
    }
    return CFA_OK;
}

static void fenced(cfa_engine *engine, cfa__relay *relay) {
    relay->leads = relay->stopping = false;
    relay->refusal = relay->redelivered = 0;
    cfa__log(engine, CFA_LOG_WARNING, "relay_fenced", relay->name);
}

/* What the command on the cursor brought, if it is over. */
static cfa_status job_end(cfa_engine *engine, cfa__relay *relay, int32_t *out_done) {
    cfa__command *command;
    if (!cfa__job_take_finished(&relay->job, &command))
        return CFA_OK;
    cfa__job_leave(&relay->job);
    ++*out_done;
    cfa_status status = cfa__command_outcome(command);
    if (status == CFA_OK) {
        status = done(engine, relay, command->output);
    } else if (status == CFA_EFENCED) {
        fenced(engine, relay);
        status = CFA_OK;
    }
    cfa__command_release(engine, command);
    return status;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void note_refusal(cfa__relay *relay, int64_t position) {
    if (relay->refusal != 0 && relay->refusal <= position)
        return;
    relay->refusal = position;
    take_words(relay, CFA_EREFUSED);
}

/* An event that was refused before is tried alone: what comes behind it waits for its fate. */
static int32_t send_limit(const cfa__relay *relay) {
    if (relay->tried == 0)
        return READ_LIMIT;
    int64_t before = relay->tried - 1 - relay->sent;
    return before < 0 ? 0 : before == 0 ? 1 : before < READ_LIMIT ? (int32_t)before : READ_LIMIT;
}

static cfa_status send_some(cfa_engine *engine, cfa__relay *relay, int32_t *out_done) {
    int32_t limit = send_limit(relay);
    if (limit == 0)
        return CFA_OK;
    cfa__reader *reader;
    cfa_status status = cfa__read_begin_now(&reader, engine);
    if (status != CFA_OK)
        return status;
    cfa_event_view *views = NULL;
    size_t count = 0, taken = 0;
    status = cfa__log_read(engine, reader, reader->arena, relay->sent, limit, &views, &count);
    if (status == CFA_OK && count > 0) {
        status = relay->sink.ops->send(relay->sink.self, views, count, &taken);
        if (status == CFA_EREFUSED) {
            assert(taken < count);
            note_refusal(relay, relay->sent + (int64_t)taken + 1);
            status = CFA_OK;
        }
        status = of_sink(relay, status);
    }
    if (status == CFA_OK) {
        assert(taken <= count);
        relay->sent += (int64_t)taken;
        *out_done += (int32_t)taken;
    }
    cfa__read_end(engine, reader);
    return status;
}

/* True when what the sink acknowledged is worth a commit now. */
static bool should_settle(const cfa_engine *engine, const cfa__relay *relay) {
    int64_t gained = relay->acknowledged - relay->settled;
    bool last = relay->sent >= atomic_load(&engine->head) || relay->paused;
    return gained > 0 && ((last && relay->acknowledged == relay->sent) ||
                          relay->acknowledged == relay->refusal - 1 || gained >= SETTLE_EVENTS ||
                          cfa__monotonic_us(engine) - relay->settle_us >= SETTLE_INTERVAL_US);
}

static cfa_status ask_sink(cfa__relay *relay) {
    int64_t acknowledged = relay->acknowledged;
    cfa_status status = relay->sink.ops->poll(relay->sink.self, &acknowledged);
    if (status != CFA_OK && status != CFA_EREFUSED)
        return of_sink(relay, status);
    assert(acknowledged <= relay->sent);
    if (acknowledged > relay->acknowledged)
        relay->acknowledged = acknowledged;
    if (status == CFA_EREFUSED)
        note_refusal(relay, relay->acknowledged + 1);
    if (relay->tried <= relay->acknowledged)
        relay->tried = relay->tries = 0;
    return CFA_OK;
}

static bool can_redeliver(const cfa_sink_ops *ops) {
    return ops->struct_size >= offsetof(cfa_sink_ops, redeliver) + sizeof ops->redeliver &&
           ops->redeliver != NULL;
}

/* Hand one dead letter to the sink again, and note what it said. */
static cfa_status redeliver(cfa_engine *engine, cfa__relay *relay, cfa__reader *reader,
                            int64_t position) {
    cfa_event_view *views = NULL;
    size_t count = 0;
    int32_t durable = 0;
    cfa_status status =
        cfa__log_read(engine, reader, reader->arena, position - 1, 1, &views, &count);
    if (status != CFA_OK)
        return status;
    if (count == 0)
        return cfa_error_set(CFA_ECORRUPT, "core.relay", NULL, 0, "a dead letter has no event");
    if (can_redeliver(relay->sink.ops))
        status = relay->sink.ops->redeliver(relay->sink.self, views, &durable);
    else
        status = cfa_error_set(CFA_EREFUSED, "core.relay", NULL, CFA_ENOTSUP,
                               "this sink cannot take an event out of order");
    relay->refused_again = status == CFA_EREFUSED;
    if (relay->refused_again)
        take_words(relay, status);
    if (relay->refused_again || (status == CFA_OK && durable != 0))
        relay->redelivered = position;
    return of_sink(relay, relay->refused_again ? CFA_OK : status);
}

static cfa_status redeliver_one(cfa_engine *engine, cfa__relay *relay, int32_t *out_done) {
    cfa__reader *reader;
    cfa_status status = cfa__read_begin_now(&reader, engine);
    if (status != CFA_OK)
        return status;
    cfa__dead_letter key;
    memset(&key, 0, sizeof key);
    key.requeued = 1;
    key.sink = (cfa_slice){ relay->name, strlen(relay->name) };
    cfa_query query = { .kind = &cfa__dead_letter_kind,
                        .index = CFA__DEAD_LETTER_BY_REQUEUED,
                        .match_count = 2,
                        .limit = 1,
                        .key = &key };
    status = cfa__read_queries(engine, reader, &query, 1);
    if (status == CFA_OK && query.count == 0)
        relay->requeued = 0; /* passed by the cursor meanwhile */
    else if (status == CFA_OK)
        status = redeliver(engine, relay, reader,
                           ((const cfa__dead_letter *)query.records[0])->position);
    cfa__read_end(engine, reader);
    if (status == CFA_OK && relay->redelivered != 0) {
        ++*out_done;
        status = job_begin(engine, relay, REDELIVERED);
    }
    return status;
}

/* ---- one step of one sink -------------------------------------------------------------------- */

static void back_off(cfa_engine *engine, cfa__relay *relay, cfa_status status) {
    cfa_status_class class = cfa_status_class_of(status);
    if (relay->sink_failed && (class == CFA_CLASS_PERMANENT || class == CFA_CLASS_INVALID)) {
        relay->stopping = true;
        take_words(relay, status);
        cfa__log(engine, CFA_LOG_ERROR, "sink_paused", relay->name);
        return;
    }
    wait_some(engine, relay, relay->failures);
    relay->failures++;
    cfa__log(engine, CFA_LOG_WARNING, "sink_backs_off", relay->name);
}

/* A paused relay lets the sink acknowledge what it has. */
static bool has_work(const cfa_engine *engine, const cfa__relay *relay) {
    if (relay->stopping)
        return true;
    if (relay->paused)
        return relay->leads && relay->settled < relay->sent;
    return relay->settled < atomic_load(&engine->head) || relay->requeued > 0;
}

/* While a command on the cursor is in flight, only sending goes on. */
static cfa_status advance(cfa_engine *engine, cfa__relay *relay, int32_t *out_done) {
    bool idle = cfa__job_is_idle(&relay->job);
    if (relay->stopping)
        return idle ? job_begin(engine, relay, STOP) : CFA_OK;
    if (!relay->leads || cfa__monotonic_us(engine) >= relay->lease_until_us)
        return idle ? job_begin(engine, relay, LEAD) : CFA_OK;
    if (relay->redelivered != 0)
        return idle ? job_begin(engine, relay, REDELIVERED) : CFA_OK;
    cfa_status status = CFA_OK;
    int64_t before = relay->sent + relay->acknowledged;
    if (relay->sent < atomic_load(&engine->head) && relay->refusal == 0 && !relay->paused)
        status = send_some(engine, relay, out_done);
    if (status == CFA_OK)
        status = ask_sink(relay);
    relay->stuck = relay->sent + relay->acknowledged == before;
    if (status != CFA_OK || !idle)
        return status;
    if (should_settle(engine, relay))
        return job_begin(engine, relay, SETTLE);
    if (relay->refusal != 0 && relay->settled == relay->refusal - 1)
        return job_begin(engine, relay, REFUSE);
    if (relay->requeued > 0 && relay->refusal == 0 && !relay->paused)
        return redeliver_one(engine, relay, out_done);
    return CFA_OK;
}

/* Take in what the row said. An old look can only be behind: it never has a higher epoch. */
static void apply_seen(cfa_engine *engine, cfa__relay *relay) {
    unsigned number = atomic_load(&relay->seen.number);
    if (number == relay->applied)
        return;
    relay->applied = number;
    int64_t paused = atomic_load(&relay->seen.paused);
    relay->paused = paused == CFA_CURSOR_PAUSED || (paused == CFA_CURSOR_STOPPED && relay->opened);
    relay->requeued = atomic_load(&relay->seen.requeued_count);
    if (relay->leads && atomic_load(&relay->seen.epoch) > relay->epoch)
        fenced(engine, relay);
    if (!relay->leads)
        relay->settled = atomic_load(&relay->seen.acknowledged);
}

static void relay_step(cfa_engine *engine, cfa__relay *relay, int32_t *out_done) {
    relay->sink_failed = false;
    apply_seen(engine, relay);
    cfa_status status = job_end(engine, relay, out_done);
    if (status == CFA_OK && cfa__monotonic_us(engine) >= relay->next_try_us &&
        has_work(engine, relay)) {
        status = advance(engine, relay, out_done);
        if (status == CFA_OK)
            relay->failures = 0;
    }
    if (status != CFA_OK)
        back_off(engine, relay, status);
}

/* ---- all sinks ------------------------------------------------------------------------------- */

static void sink_key(cfa__sink *key, const cfa__relay *relay) {
    memset(key, 0, sizeof *key);
    key->name = (cfa_slice){ relay->name, strlen(relay->name) };
}

/* Read the rows of all our sinks, and for each the oldest event that it has not acknowledged. */
static cfa_status look_into(cfa_engine *engine, cfa__reader *reader, int64_t head) {
    cfa__sink keys[CFA__SINKS_MAX];
    cfa__event events[CFA__SINKS_MAX];
    cfa_query rows[CFA__SINKS_MAX], oldest[CFA__SINKS_MAX];
    size_t count = (size_t)engine->relay_count, which[CFA__SINKS_MAX] = { 0 };
    memset(rows, 0, sizeof rows);
    memset(oldest, 0, sizeof oldest);
    for (size_t i = 0; i < count; i++) {
        sink_key(&keys[i], engine->relays[i]);
        rows[i] =
            (cfa_query){ .kind = &cfa__sink_kind, .match_count = 1, .limit = 1, .key = &keys[i] };
    }
    cfa_status status = cfa__read_queries(engine, reader, rows, count);
    size_t behind = 0; /* whoever has everything is not asked about again */
    for (size_t i = 0; status == CFA_OK && i < count; i++) {
        memset(&events[i], 0, sizeof events[i]);
        events[i].position =
            rows[i].count == 1 ? ((const cfa__sink *)rows[i].records[0])->acknowledged + 1 : 1;
        if (events[i].position > head)
            continue;
        which[i] = behind;
        oldest[behind++] = (cfa_query){
            .kind = &cfa__event_kind, .match_count = 1, .limit = 1, .key = &events[i]
        };
    }
    if (status == CFA_OK && behind > 0)
        status = cfa__read_queries(engine, reader, oldest, behind);
    for (size_t i = 0; status == CFA_OK && i < count; i++) {
        struct seen *seen = &engine->relays[i]->seen;
        const cfa__sink *row = rows[i].count == 1 ? rows[i].records[0] : NULL;
        const cfa_query *first = events[i].position <= head ? &oldest[which[i]] : NULL;
        const cfa__event *event = first != NULL && first->count == 1 ? first->records[0] : NULL;
        atomic_store(&seen->epoch, row != NULL ? row->epoch : 0);
        atomic_store(&seen->acknowledged, events[i].position - 1);
        atomic_store(&seen->paused, row != NULL ? row->paused : CFA_CURSOR_RUNS);
        atomic_store(&seen->dead_count, row != NULL ? row->dead_count : 0);
        atomic_store(&seen->requeued_count, row != NULL ? row->requeued_count : 0);
        atomic_store(&seen->oldest_us, event != NULL ? event->created_us : 0);
        atomic_fetch_add(&seen->number, 1);
    }
    return status;
}

/* One look for all sinks, now and then. */
static cfa_status look(cfa_engine *engine) {
    int64_t now = cfa__monotonic_us(engine);
    int_fast64_t last = atomic_load(&engine->relays_look_us);
    if ((last != 0 && now - last < LOOK_INTERVAL_US) ||
        !atomic_compare_exchange_strong(&engine->relays_look_us, &last, now))
        return CFA_OK;
    cfa__reader *reader;
    int64_t head;
    cfa_status status = cfa__read_begin_now(&reader, engine);
    if (status == CFA_OK) {
        status = cfa__log_position(engine, reader, &head);
        if (status == CFA_OK)
            atomic_store(&engine->head_read_us, now);
        if (status == CFA_OK)
            status = look_into(engine, reader, head);
        cfa__read_end(engine, reader);
    }
    if (status != CFA_OK)
        atomic_store(&engine->relays_look_us, 0);
    return status;
}

void cfa__relays_nudge(cfa_engine *engine) {
    atomic_store(&engine->relays_look_us, 0);
    cfa__signal(engine);
}

cfa_status cfa__relays_step(cfa_engine *engine, int32_t *out_done) {
    *out_done = 0;
    if (engine->relay_count == 0)
        return CFA_OK;
    int64_t head;
    cfa_status status = look(engine);
    if (status == CFA_OK)
        status = cfa__log_head(engine, HEAD_AGE_MS, &head);
    for (int32_t i = 0; status == CFA_OK && i < engine->relay_count; i++) {
        cfa__relay *relay = engine->relays[i];
        if (pthread_mutex_trylock(&relay->busy) != 0)
            continue; /* another thread works on it */
        relay_step(engine, relay, out_done);
        pthread_mutex_unlock(&relay->busy);
    }
    return status;
}

int32_t cfa__relays_due_ms(cfa_engine *engine) {
    int64_t now = cfa__monotonic_us(engine), due = INT64_C(1000);
    for (int32_t i = 0; i < engine->relay_count; i++) {
        cfa__relay *relay = engine->relays[i];
        if (pthread_mutex_trylock(&relay->busy) != 0)
            continue;
        if (cfa__job_is_finished(&relay->job)) {
            due = 0;
        } else if (has_work(engine, relay) && cfa__job_is_idle(&relay->job)) {
            int64_t wait = (relay->next_try_us - now) / 1000;
            /* What was sent and is not acknowledged yet is asked for again in a moment, and so is
             * a sink that had no room. */
            bool asks = relay->stuck || relay->sent >= atomic_load(&engine->head);
            int64_t least = relay->leads && asks ? 2 : 0;
            wait = wait < least ? least : wait;
            due = wait < due ? wait : due;
        }
        pthread_mutex_unlock(&relay->busy);
    }
    return (int32_t)due;
}

cfa_status cfa__relays_open(cfa_engine *engine) {
    for (int32_t i = 0; i < engine->options.sink_count; i++) {
        cfa__relay *relay = cfa_arena_alloc(engine->memory, sizeof *relay);
        if (relay == NULL)
            return CFA_ENOMEM;
        pthread_mutex_init(&relay->busy, NULL);
        cfa_sink_binding binding = cfa__sink_binding_at(&engine->options, i);
        size_t size = strlen(binding.name);
        assert(size < sizeof relay->name);
        memcpy(relay->name, binding.name, size + 1);
        relay->sink = binding.sink;
        if (binding.refused_rule == CFA_REFUSED_SET_ASIDE)
            relay->tries_max = binding.refused_tries != 0 ? binding.refused_tries : REFUSED_TRIES;
        engine->relays[engine->relay_count++] = relay;
    }
    return CFA_OK;
}

void cfa__relays_close(cfa_engine *engine) {
    for (int32_t i = 0; i < engine->relay_count; i++) {
        cfa__job_close(engine, &engine->relays[i]->job);
        pthread_mutex_destroy(&engine->relays[i]->busy);
    }
    engine->relay_count = 0;
}

/* The sinks as this process last looked, for the statistics: the worst is the one whose first event
 * waits longest. */
void cfa__relays_write(cfa_engine *engine, cfa__buffer *json) {
    int64_t oldest_us = 0, lag = 0, dead = 0, paused = 0, head = atomic_load(&engine->head);
    const char *worst = "";
    for (int32_t i = 0; i < engine->relay_count; i++) {
        struct seen *seen = &engine->relays[i]->seen;
        int64_t since_us = atomic_load(&seen->oldest_us);
        dead += atomic_load(&seen->dead_count);
        paused += atomic_load(&seen->paused) != CFA_CURSOR_RUNS;
        if (since_us == 0 || (oldest_us != 0 && since_us >= oldest_us))
            continue;
        oldest_us = since_us;
        worst = engine->relays[i]->name;
        lag = head - atomic_load(&seen->acknowledged);
    }
    int64_t age_us = oldest_us != 0 ? cfa__book_now_us(engine) - oldest_us : 0;
    cfa__json_int(json, "outbox_oldest_ms", age_us > 0 ? age_us / 1000 : 0);
    cfa__json_int(json, "outbox_lag", lag > 0 ? lag : 0);
    cfa__json_text(json, "outbox_worst_sink", worst);
    cfa__json_int(json, "sinks_paused", paused);
    cfa__json_int(json, "dead_letters", dead);
}
