/*
 * wire.c - the way to the provider and back: calls that somebody waits for, calls in flight, requests
 * that arrive after their caller gave up; hosted pages whose sessions become payments, and events
 * that only say where to look. The play provider acts; nothing here knows what the engine makes of
 * it.
 */
#include "sim/sim.h"

#include <stdio.h>
#include <string.h>

#define STRAGGLE_US                                                                                \
    (9 * MINUTE_US) /* absence counts as proven ten minutes after the last request */
#define SESSION "cs_"
#define SESSION_SIZE (sizeof SESSION - 1)
#define UPDATE "evt_sess_" /* an event of a session; as long as the play provider's own prefix */

static const cfa_provider *play_of(const struct sim *sim) { return cfa_play_provider(sim->play); }

/* ---- sessions ---------------------------------------------------------------------------------- */

static bool is_session(const char *ref) {
    return ref != NULL && strncmp(ref, SESSION, SESSION_SIZE) == 0;
}

const char *intent_of(const char *ref) { return is_session(ref) ? ref + SESSION_SIZE : ref; }

static const char *session_of(struct sim *sim, const char *ref, cfa_arena *arena) {
    char session[96];
    int size = snprintf(session, sizeof session, SESSION "%s", ref);
    const char *copy = cfa_arena_copy(arena, session, (size_t)size);
    require(sim, copy != NULL, "no memory");
    return copy;
}

/* What the play provider says of an intent, as seen through its session: that names the intent once
 * the donor has acted, and may be late with it. */
static void through_session(struct sim *sim, const cfa_call *call, cfa_arena *arena,
                            cfa_reply *reply) {
    cfa_facts *facts = &reply->facts;
    bool through =
        call->kind == CFA_CALL_CREATE || call->kind == CFA_CALL_LOOKUP || is_session(call->ref);
    if (!sim->sessions || facts->ref == NULL || !through)
        return;
    const char *session = session_of(sim, facts->ref, arena);
    /* Whose money went back was paid, and that was told long ago. */
    bool reads = call->kind != CFA_CALL_CAPTURE && call->kind != CFA_CALL_CANCEL &&
                 facts->refund_count + facts->dispute_count == 0;
    reply->redirect_url = session;
    if (facts->attempt > 0 && !(reads && sim->faults && draw_below(sim, 3) == 0)) {
        facts->origin_ref = session;
        cover(ORIGIN_BY_REPLY);
        return;
    }
    if (facts->attempt > 0) {
        facts->flags = 0;
        facts->authorized_minor = facts->captured_minor = 0;
        facts->attempt = 0;
        facts->failure_code = facts->cancel_reason = reply->code = NULL;
        reply->outcome = CFA_OUTCOME_DONE;
    }
    facts->ref = session;
}

static cfa_status provider_prepare(void *self, const cfa_call *given, cfa_arena *arena,
                                   cfa_slice *out_body) {
    const cfa_provider *play = play_of(((struct process *)self)->sim);
    cfa_call call = *given;
    call.ref = intent_of(call.ref);
    return play->ops->prepare(play->self, &call, arena, out_body);
}

/* One more way to learn of the same thing: the session's own event. NULL: there is none. */
char *session_event(struct sim *sim, const char *body) {
    static const char own[] = "evt_play_", attempt[] = "\"attempt\":";
    const char *id = strstr(body, own), *tried = strstr(body, attempt);
    if (!sim->sessions || id == NULL || tried == NULL || tried[sizeof attempt - 1] == '0' ||
        chance(sim, sim->weather.webhook_lost_ppm) || (!sim->deaf && draw_below(sim, 4) == 0))
        return NULL;
    size_t size = strlen(body) + 1;
    char *twin = cfa_alloc(size);
    require(sim, twin != NULL, "no memory");
    memcpy(twin, body, size);
    memcpy(twin + (id - body), UPDATE, sizeof UPDATE - 1);
    return twin;
}

bool is_session_event(const char *body) { return strstr(body, UPDATE) != NULL; }

static bool is_thin(const struct sim *sim, const char *event_id, size_t size) {
    return sim->thin && event_id[size - 1] % 2 != 0;
}

bool is_thin_event(struct sim *sim, const char *body) {
    static const char own[] = "{\"id\":\"";
    require(sim, strncmp(body, own, sizeof own - 1) == 0, "an event without an id");
    const char *id = body + sizeof own - 1;
    return is_thin(sim, id, strcspn(id, "\""));
}

static cfa_status provider_webhook(void *self, cfa_slice signature, cfa_slice body, int64_t now_us,
                                   cfa_arena *arena, cfa_webhook_event *out) {
    struct sim *sim = ((struct process *)self)->sim;
    cfa_status status =
        play_of(sim)->ops->webhook(play_of(sim)->self, signature, body, now_us, arena, out);
    if (status != CFA_OK || !out->relevant)
        return status;
    bool of_part = out->facts.refund_count + out->facts.dispute_count > 0;
    if (sim->sessions && out->facts.attempt == 0 && !of_part)
        out->facts.ref = session_of(sim, out->facts.ref, arena);
    else if (strncmp(out->event_id, UPDATE, sizeof UPDATE - 1) == 0)
        out->facts.origin_ref = session_of(sim, out->facts.ref, arena);
    if (is_thin(sim, out->event_id, strlen(out->event_id))) {
        const cfa_facts facts = out->facts;
        out->fetch = 1;
        out->facts = (cfa_facts)CFA_FACTS_INIT;
        out->facts.ref = facts.ref;
        out->facts.origin_ref = facts.origin_ref;
        cover(THIN);
    }
    return CFA_OK;
}

/* ---- what is remembered of calls --------------------------------------------------------------- */

static struct call_memory *remember(struct sim *sim, const char *key) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *key != '\0'; key++)
        hash = (hash ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
    hash |= 1;
    size_t at = (size_t)(hash >> 8) & (sim->call_capacity - 1);
    while (sim->calls[at].hash != 0 && sim->calls[at].hash != hash)
        at = (at + 1) & (sim->call_capacity - 1);
    if (sim->calls[at].hash == 0)
        sim->calls[at] = (struct call_memory){ hash, sim->now_us, false };
    return &sim->calls[at];
}

static void cover_refund_call(const cfa_reply *reply, bool was_unknown, bool found) {
    if (reply->outcome == CFA_OUTCOME_UNKNOWN)
        cover(REFUND_UNKNOWN);
    if (reply->outcome == CFA_OUTCOME_REFUSED)
        cover(REFUND_REFUSED);
    if (reply->outcome == CFA_OUTCOME_NOT_SENT)
        cover(REFUND_NOT_SENT);
    if (reply->stored && found)
        cover(REFUND_STORED);
    if (reply->stored && reply->outcome == CFA_OUTCOME_UNKNOWN)
        cover(REFUND_STORED_ERROR);
    if (reply->code != NULL && strcmp(reply->code, "timeout") == 0)
        cover(REFUND_TIMEOUT);
    if (was_unknown && found)
        cover(REFUND_RESOLVES);
}

static void cover_call(struct sim *sim, const cfa_call *call, const cfa_reply *reply) {
    struct call_memory *memory = remember(sim, call->idempotency_key);
    bool found = reply->outcome == CFA_OUTCOME_DONE || reply->outcome == CFA_OUTCOME_PENDING;
    size_t size = strlen(call->idempotency_key);
    if (call->kind == CFA_CALL_REFUND)
        cover_refund_call(reply, memory->unknown, found);
    if (call->kind == CFA_CALL_CREATE && memory->unknown && found)
        cover(RESEND_RESOLVES);
    if (call->kind == CFA_CALL_CREATE && strcmp(call->idempotency_key + size - 2, "_1") != 0)
        cover(NEW_ATTEMPT);
    if (call->kind == CFA_CALL_LOOKUP && found)
        cover(LOOKUP_RESOLVES);
    if (call->kind == CFA_CALL_LOOKUP && sim->now_us - memory->sent_us > DAY_US)
        cover(KEY_FORGOTTEN);
    if (reply->stored)
        cover(CALL_STORED);
    if (reply->outcome == CFA_OUTCOME_UNKNOWN) {
        cover(CALL_UNKNOWN);
        memory->unknown = true;
    }
    if (reply->outcome == CFA_OUTCOME_NOT_SENT && call->kind != CFA_CALL_LOOKUP)
        cover(CALL_NOT_SENT);
}

/* ---- requests on their way --------------------------------------------------------------------- */

/* The provider acts, if it hears: here and nowhere else. */
static void provider_acts(struct sim *sim, const cfa_call *given, cfa_arena *arena,
                          cfa_reply *out) {
    cfa_call call = *given;
    call.ref = intent_of(call.ref);
    if (sim->deaf && call.kind == CFA_CALL_RETRIEVE)
        *out = (cfa_reply){ .struct_size = sizeof *out };
    else
        play_of(sim)->ops->call(play_of(sim)->self, &call, arena, out);
    through_session(sim, given, arena, out);
    collect_webhooks(sim);
}

static void reply_is_late(cfa_reply *out) {
    *out = (cfa_reply){ .struct_size = sizeof *out, .code = "timeout", .unavailable = 1 };
    cover(CALL_TIMEOUT);
}

/* Send a request that arrives after `delay_us`, whatever becomes of its caller; returns its
 * number. */
static int32_t request_send(struct sim *sim, const cfa_call *call, int64_t delay_us) {
    sim->requests =
        grow(sim->requests, sim->request_count, &sim->request_capacity, sizeof *sim->requests);
    struct request_sent *request = &sim->requests[sim->request_count];
    memset(request, 0, sizeof *request);
    require(sim, cfa_arena_new(&request->arena) == CFA_OK, "no memory");
    cfa_call *copy = &request->call;
    *copy = *call;
    const char **texts[] = { &copy->operation_id, &copy->payment_id, &copy->idempotency_key,
                             &copy->account,      &copy->ref,        &copy->payment_method,
                             &copy->return_url,   &copy->cancel_url, &copy->refund_id };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (*texts[i] != NULL)
            *texts[i] = cfa_arena_copy(request->arena, *texts[i], strlen(*texts[i]));
    }
    copy->body.data = cfa_arena_copy(request->arena, call->body.data, call->body.size);
    schedule(sim, delay_us, EVENT_REQUEST, sim->request_count, 0);
    return sim->request_count++;
}

static void request_end(struct request_sent *request) {
    cfa_arena_free(request->arena);
    request->arena = NULL;
}

/* The flight that waits for this request's reply, or NULL. */
static struct flight *flight_of(struct sim *sim, int32_t number) {
    for (int32_t i = 0; i < ENGINES; i++) {
        struct process *process = &sim->processes[i];
        for (int32_t at = 0; at < FLIGHTS_MAX; at++) {
            if (process->flights[at].token != 0 && process->flights[at].request == number)
                return &process->flights[at];
        }
    }
    return NULL;
}

void request_arrives(struct sim *sim, int32_t number) {
    if (sim->requests[number].arena == NULL)
        return; /* the connection was cut */
    cfa_call call = sim->requests[number].call;
    cfa_arena *arena = sim->requests[number].arena;
    cfa_reply reply = { .struct_size = sizeof reply };
    provider_acts(sim, &call, arena, &reply);
    note(sim, "a request arrives", number, call.kind, reply.outcome);
    struct request_sent *request = &sim->requests[number];
    struct flight *flight = flight_of(sim, number);
    if (flight == NULL) {
        request_end(request);
        return;
    }
    struct process *process = flight->process;
    if (!process->busy && sim->faults &&
        chance(sim, sim->mayhem ? 300000 : sim->rates.call_crash)) {
        note(sim, "crash after a provider call", process->number, reply.outcome, 0);
        cover(CRASH_AFTER_CALL);
        if (call.kind == CFA_CALL_REFUND)
            cover(REFUND_CRASH_AFTER);
        flight->lands_us = sim->now_us;
        process_dies(process);
        return;
    }
    request->reply = reply;
    flight->lands_us = sim->now_us + draw_time(sim, flight->slow ? 15 * SECOND_US : 100000);
    schedule(sim, flight->lands_us - sim->now_us, EVENT_LANDS, process->number, process->life);
}

/* ---- calls in flight --------------------------------------------------------------------------- */

int32_t flights_in_air(const struct process *process) {
    int32_t count = 0;
    for (int32_t i = 0; i < FLIGHTS_MAX; i++)
        count += process->flights[i].token != 0;
    return count;
}

void flights_die(struct process *process) {
    struct sim *sim = process->sim;
    int32_t count = flights_in_air(process);
    if (count > 0)
        note(sim, "calls in flight at a death", process->number, count, 0);
    if (count > 1)
        cover(FLIGHTS_AT_CRASH);
    for (int32_t i = 0; i < FLIGHTS_MAX; i++) {
        struct flight *flight = &process->flights[i];
        if (flight->token == 0)
            continue;
        struct request_sent *request = &sim->requests[flight->request];
        flight->token = 0;
        /* What the provider has, it has; of the rest some are on the wire, some never left. */
        if (flight->lands_us > 0 || draw_below(sim, 2) == 0)
            request_end(request);
    }
    process->life++;
}

/* When this flight can be landed. */
static int64_t flight_due_us(const struct flight *flight) {
    return flight->lands_us > 0 && flight->lands_us < flight->gives_up_us ? flight->lands_us
                                                                          : flight->gives_up_us;
}

static void cover_sent(struct process *process, const cfa_call *call) {
    struct sim *sim = process->sim;
    note(sim, "provider call", process->number, call->kind, 0);
    note_bytes(sim, call->idempotency_key, strlen(call->idempotency_key));
    check_call_allowed(process, call);
    if (sim->faults && chance(sim, sim->mayhem ? 300000 : sim->rates.call_crash)) {
        note(sim, "crash before a provider call", process->number, 0, 0);
        cover(CRASH_BEFORE_CALL);
        if (call->kind == CFA_CALL_REFUND)
            cover(REFUND_CRASH_BEFORE);
        longjmp(process->death, 1);
    }
}

static cfa_status provider_start(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out,
                                 uint64_t token) {
    struct process *process = self;
    struct sim *sim = process->sim;
    struct flight *flight = NULL;
    cover_sent(process, call);
    for (int32_t i = 0; i < FLIGHTS_MAX; i++) {
        require(sim, process->flights[i].token != token, "a token is in flight twice");
        if (process->flights[i].token == 0)
            flight = &process->flights[i];
    }
    require(sim, flights_in_air(process) < sim->calls_in_flight && flight != NULL,
            "more calls in flight than allowed");
    if (sim->faults && chance(sim, sim->rates.no_start)) {
        cover(FLIGHT_REFUSED);
        return cfa_error_set(CFA_EUNAVAILABLE, "provider.sim", NULL, 0, "no way to send it");
    }
    bool slow = sim->faults && chance(sim, sim->rates.slow_call);
    bool straggles = sim->faults && chance(sim, sim->rates.straggle);
    int64_t limit_us = (int64_t)call->timeout_ms * 1000;
    if (straggles)
        cover(CALL_STRAGGLES);
    *flight = (struct flight){
        process, token, arena, out, 0, ++sim->flight_count, 0, sim->now_us + limit_us, slow
    };
    flight->request = request_send(sim, call,
                                   straggles ? limit_us + draw_below(sim, STRAGGLE_US)
                                             : draw_time(sim, slow ? 15 * SECOND_US : 100000));
    schedule(sim, limit_us, EVENT_LANDS, process->number, process->life);
    if (flights_in_air(process) > 1)
        cover(FLIGHTS_MANY);
    return CFA_OK;
}

/* One of those that can be landed, in any order; NULL when none can. */
static struct flight *flight_ready(struct process *process) {
    struct sim *sim = process->sim;
    struct flight *ready[FLIGHTS_MAX];
    int64_t count = 0, oldest = INT64_MAX;
    for (int32_t i = 0; i < FLIGHTS_MAX; i++) {
        struct flight *flight = &process->flights[i];
        if (flight->token == 0)
            continue;
        oldest = flight->number < oldest ? flight->number : oldest;
        if (flight_due_us(flight) <= sim->now_us)
            ready[count++] = flight;
    }
    struct flight *chosen = count > 0 ? ready[draw_below(sim, count)] : NULL;
    if (chosen != NULL && chosen->number != oldest)
        cover(FLIGHT_OVERTAKES);
    return chosen;
}

static const char *copied(cfa_arena *arena, const char *text) {
    return text == NULL ? NULL : cfa_arena_copy(arena, text, strlen(text));
}

static void copy_reversals(cfa_arena *arena, cfa_facts *facts) {
    cfa_refund_facts *refunds =
        cfa_arena_alloc(arena, (size_t)facts->refund_count * sizeof *refunds + 1);
    cfa_dispute_facts *disputes =
        cfa_arena_alloc(arena, (size_t)facts->dispute_count * sizeof *disputes + 1);
    const cfa_refund_facts **refund_list =
        cfa_arena_alloc(arena, (size_t)facts->refund_count * sizeof *refund_list + 1);
    const cfa_dispute_facts **dispute_list =
        cfa_arena_alloc(arena, (size_t)facts->dispute_count * sizeof *dispute_list + 1);
    for (int32_t i = 0; i < facts->refund_count; i++) {
        refunds[i] = *facts->refunds[i];
        refunds[i].ref = copied(arena, refunds[i].ref);
        refunds[i].refund_id = copied(arena, refunds[i].refund_id);
        refunds[i].failure_code = copied(arena, refunds[i].failure_code);
        refund_list[i] = &refunds[i];
    }
    for (int32_t i = 0; i < facts->dispute_count; i++) {
        disputes[i] = *facts->disputes[i];
        disputes[i].ref = copied(arena, disputes[i].ref);
        disputes[i].reason = copied(arena, disputes[i].reason);
        dispute_list[i] = &disputes[i];
    }
    facts->refunds = refund_list;
    facts->disputes = dispute_list;
}

static void land(struct flight *flight, uint64_t *out_token) {
    struct sim *sim = flight->process->sim;
    struct request_sent *request = &sim->requests[flight->request];
    const cfa_call call = request->call;
    bool answered = flight->lands_us > 0 && flight->lands_us <= flight->gives_up_us;
    cfa_reply *out = flight->reply;
    if (answered) {
        *out = request->reply;
        const char **texts[] = { &out->facts.ref,
                                 &out->facts.payment_id,
                                 &out->facts.origin_ref,
                                 &out->facts.failure_code,
                                 &out->facts.cancel_reason,
                                 &out->client_secret,
                                 &out->code,
                                 &out->redirect_url };
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
            *texts[i] = copied(flight->arena, *texts[i]);
        copy_reversals(flight->arena, &out->facts);
    } else {
        reply_is_late(out);
    }
    *out_token = flight->token;
    flight->token = 0;
    cover_call(sim, &call, out);
    note(sim, "provider answers", flight->process->number, out->outcome, out->stored);
    if (flight->lands_us > 0) /* one that is still on its way arrives all the same */
        request_end(request);
}

static int32_t provider_finish(void *self, uint64_t *out_token, int32_t timeout_ms) {
    struct process *process = self;
    struct sim *sim = process->sim;
    struct flight *flight = flight_ready(process);
    if (flight == NULL && timeout_ms > 0) {
        run_until(sim, sim->now_us + (int64_t)timeout_ms * 1000);
        flight = flight_ready(process);
    }
    if (flight == NULL)
        return 0;
    land(flight, out_token);
    return 1;
}

static int provider_descriptor(void *self) { return ((const struct process *)self)->readable; }

static int32_t provider_next_due_ms(void *self) {
    const struct process *process = self;
    int64_t due_us = INT64_MAX;
    for (int32_t i = 0; i < FLIGHTS_MAX; i++) {
        const struct flight *flight = &process->flights[i];
        if (flight->token != 0 && flight_due_us(flight) < due_us)
            due_us = flight_due_us(flight);
    }
    if (due_us == INT64_MAX)
        return -1;
    int64_t left_us = due_us - process->sim->now_us;
    return left_us <= 0 ? 0 : (int32_t)(left_us / 1000 + 1);
}

/* ---- calls that somebody waits for ------------------------------------------------------------- */

/* Time passes on the way to the provider and back; the other process works meanwhile, and this one
 * may die. */
static void provider_call(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    struct process *process = self;
    struct sim *sim = process->sim;
    snprintf(process->calling, sizeof process->calling, "%s", call->operation_id);
    for (int32_t i = 0; i < ENGINES; i++) {
        if (i != process->number && strcmp(sim->processes[i].calling, process->calling) == 0)
            cover(CALL_OVERLAP);
    }
    cover_sent(process, call);
    bool slow = sim->faults && chance(sim, sim->rates.slow_call);
    bool straggles = sim->faults && chance(sim, sim->rates.straggle);
    int64_t limit_us = (int64_t)call->timeout_ms * 1000;
    int64_t there_us = straggles ? limit_us : draw_time(sim, slow ? 15 * SECOND_US : 100000);
    int64_t began_us = sim->now_us;
    run_until(sim, sim->now_us + (there_us < limit_us ? there_us : limit_us));
    if (straggles) {
        (void)request_send(sim, call, draw_below(sim, STRAGGLE_US));
        cover(CALL_STRAGGLES);
    } else {
        provider_acts(sim, call, arena, out);
    }
    if (sim->faults && chance(sim, sim->mayhem ? 300000 : sim->rates.call_crash)) {
        note(sim, "crash after a provider call", process->number, out->outcome, 0);
        cover(CRASH_AFTER_CALL);
        if (call->kind == CFA_CALL_REFUND)
            cover(REFUND_CRASH_AFTER);
        longjmp(process->death, 1);
    }
    run_until(sim, sim->now_us + draw_time(sim, slow ? 15 * SECOND_US : 100000));
    if (sim->now_us - began_us >= limit_us)
        reply_is_late(out);
    process->calling[0] = '\0';
    cover_call(sim, call, out);
    note(sim, "provider answers", process->number, out->outcome, out->stored);
}

void wire_make(struct process *process) {
    process->provider_ops = *play_of(process->sim)->ops;
    process->provider_ops.struct_size = sizeof process->provider_ops;
    process->provider_ops.prepare = provider_prepare;
    process->provider_ops.call = provider_call;
    process->provider_ops.webhook = provider_webhook;
    if (process->sim->flights) {
        process->provider_ops.start = provider_start;
        process->provider_ops.finish = provider_finish;
        process->provider_ops.descriptor = provider_descriptor;
        process->provider_ops.next_due_ms = provider_next_due_ms;
    }
    process->provider = (cfa_provider){ &process->provider_ops, process };
}
