/*
 * api/webhook.c - webhooks from raw bytes to a verdict, and provider calls pulled by a host that
 * makes them in its own language.
 */
#include "core/api/api.h"
#include "core/engine/circuit.h"
#include "util/secure.h"
#include "util/text.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.webhook"
#define EVENT_TEXT_BYTES_MAX 255

const char *cfa_webhook_verdict_name(cfa_webhook_verdict verdict) {
    static const char *const names[] = { "",       "APPLIED", "DUPLICATE",   "STALE",
                                         "PARKED", "IGNORED", "QUARANTINED", "CONTRADICTION" };
    return verdict >= 1 && verdict <= 7 ? names[verdict] : "";
}

/* ---- the command ----------------------------------------------------------------------------- */

static cfa_status copy(const char **text, cfa__command *command) {
    if (*text == NULL)
        return CFA_OK;
    *text = cfa_arena_copy(command->arena, *text, strlen(*text));
    return *text == NULL ? CFA_ENOMEM : CFA_OK;
}

/* The provider's own names: bounded UTF-8, whatever they look like. A long number in an id is no
 * card. */
static cfa_status check_name(const char *text, const char *field, bool required) {
    size_t size = text == NULL ? 0 : strlen(text);
    if (size == 0 && required)
        return cfa_error_format(CFA_EINVAL, ORIGIN, field, 0, "an event needs its %s", field);
    if (size > EVENT_TEXT_BYTES_MAX) {
        return cfa_error_format(CFA_ETOOLONG, ORIGIN, field, 0, "%s has at most %d bytes", field,
                                EVENT_TEXT_BYTES_MAX);
    }
    if (!cfa__text_is_utf8(text, size))
        return cfa_error_format(CFA_EENCODING, ORIGIN, field, 0, "%s is not valid UTF-8", field);
    return CFA_OK;
}

static cfa_status check_event(const cfa_webhook_event *event) {
    cfa_status status = check_name(event->event_id, "event_id", true);
    if (status == CFA_OK)
        status = check_name(event->event_type, "event_type", true);
    if (status == CFA_OK)
        status = check_name(event->account, "account", false);
    if (status == CFA_OK)
        status = check_name(event->facts.ref, "ref", false);
    return status;
}

static cfa_status command_fill(cfa_engine *engine, cfa__command *command, cfa__webhook_input *input,
                               const cfa_webhook_event *event, const cfa_slice *body) {
    cfa_status status = check_event(event);
    input->event = *event;
    if (input->event.account == NULL)
        input->event.account = "";
    const char *wrong = NULL;
    if (status == CFA_OK)
        status = cfa__facts_take(&input->event.facts, command->arena, &event->facts, &wrong);
    if (status == CFA_OK && wrong != NULL) {
        status = cfa_error_format(CFA_EINVAL, ORIGIN, wrong, 0,
                                  "%s of the event is missing, unknown or out of range", wrong);
    }
    input->event.facts.flags &= ~(uint32_t)CFA__FACT_FETCH;
    if (input->event.fetch)
        input->event.facts.flags |= CFA__FACT_FETCH;
    const char **texts[] = {
        &input->event.event_id,
        &input->event.event_type,
        &input->event.account,
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && status == CFA_OK; i++)
        status = copy(texts[i], command);
    if (status == CFA_OK)
        status = cfa__input_text(&input->provider, command, engine->provider_name);
    if (status == CFA_OK)
        status = cfa__input_text(&input->account, command, engine->account);
    if (status == CFA_OK)
        status = cfa__draw_id(engine, &input->webhook_id);
    input->livemode = engine->options.livemode != 0;
    input->handle = engine->provider;
    input->refunds_suspects = engine->options.fraud_rule == CFA_FRAUD_REFUND;
    if (body != NULL) {
        cfa_slice none = { NULL, 0 };
        cfa__hash(input->body_hash, sizeof input->body_hash, none, body, 1);
        input->has_body_hash = true;
    }
    return status;
}

static cfa_status command_make(cfa__command **out, cfa_engine *engine,
                               const cfa_webhook_event *event, const cfa_slice *body) {
    cfa__command *command;
    void *input;
    cfa_status status =
        cfa__command_with_input(&command, &input, engine, cfa__webhook_apply,
                                sizeof(cfa__webhook_input), sizeof(cfa__webhook_answer));
    if (status != CFA_OK)
        return status;
    status = command_fill(engine, command, input, event, body);
    if (status != CFA_OK) {
        cfa__command_release(engine, command);
        return status;
    }
    *out = command;
    return CFA_OK;
}

/* Verify the bytes and describe them as a command. */
static cfa_status verify(cfa__command **out, cfa_engine *engine, cfa_slice signature,
                         cfa_slice body) {
    cfa_status status = cfa__call_check(engine, out);
    if (status != CFA_OK)
        return status;
    if (engine->provider.ops == NULL || engine->provider.ops->webhook == NULL)
        return cfa_error_set(CFA_ENOTSUP, ORIGIN, "provider", 0,
                             "the engine's provider takes no webhooks");
    if (body.size > CFA_WEBHOOK_BYTES_MAX) {
        return cfa_error_format(CFA_ETOOLONG, ORIGIN, "body", 0, "a webhook has at most %d bytes",
                                CFA_WEBHOOK_BYTES_MAX);
    }
    cfa_arena *arena;
    status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    cfa_webhook_event event;
    memset(&event, 0, sizeof event);
    event.struct_size = sizeof event;
    status = engine->provider.ops->webhook(engine->provider.self, signature, body,
                                           cfa__wall_us(engine), arena, &event);
    if (status == CFA_OK)
        status = command_make(out, engine, &event, &body);
    cfa_arena_free(arena);
    return status;
}

static cfa_status run(cfa_webhook_verdict *out, cfa_engine *engine, cfa__command *command,
                      int32_t timeout_ms) {
    cfa_status status = cfa__command_run(engine, &command, cfa__deadline_us(engine, timeout_ms));
    if (status == CFA_OK) {
        *out = ((const cfa__webhook_answer *)command->output)->verdict;
        cfa__signal(engine);
    }
    cfa__command_release(engine, command);
    return status;
}

cfa_status cfa_webhook_receive(cfa_webhook_verdict *out, cfa_engine *engine, cfa_slice signature,
                               cfa_slice body, int32_t timeout_ms) {
    cfa__command *command;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = verify(&command, engine, signature, body);
    return status == CFA_OK ? run(out, engine, command, timeout_ms) : status;
}

cfa_status cfa_webhook_accept(cfa_webhook_verdict *out, cfa_engine *engine,
                              const cfa_webhook_event *given, int32_t timeout_ms) {
    cfa_webhook_event event;
    cfa__command *command;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK && engine->provider.ops == NULL)
        status =
            cfa_error_set(CFA_ENOTSUP, ORIGIN, "provider", 0, "the engine has no payment provider");
    if (status == CFA_OK)
        status = cfa__spec_take(&event, sizeof event, given,
                                CFA__SIZE_THROUGH(cfa_webhook_event, facts), ORIGIN);
    if (status == CFA_OK)
        status = command_make(&command, engine, &event, NULL);
    return status == CFA_OK ? run(out, engine, command, timeout_ms) : status;
}

static void received(cfa_engine *engine, cfa__command *command, void *user) {
    cfa_completion *completion = user;
    if (command->status != CFA_OK)
        cfa__completion_fail(completion, command->status, &command->error);
    else
        cfa__completion_set_webhook(completion,
                                    ((const cfa__webhook_answer *)command->output)->verdict);
    cfa__completion_deliver(completion);
    cfa__command_release(engine, command);
}

cfa_status cfa_webhook_receive_begin(cfa_port *port, uint64_t token, cfa_slice signature,
                                     cfa_slice body) {
    cfa_engine *engine = cfa__port_engine(port);
    cfa__command *command;
    cfa_status status = verify(&command, engine, signature, body);
    if (status != CFA_OK)
        return status;
    cfa_completion *completion;
    status = cfa__completion_reserve(&completion, port, token);
    if (status == CFA_OK) {
        status = cfa__command_submit(engine, command, received, completion);
        if (status == CFA_OK)
            return CFA_OK;
        cfa__completion_cancel(completion);
    }
    cfa__command_release(engine, command);
    return status;
}

/* ---- pulled calls ---------------------------------------------------------------------------- */

struct cfa_pulled_call {
    cfa_arena *arena;
    cfa_engine *engine;
    cfa__command *lease; /* keeps the records alive */
    const cfa__operation *operation;
    cfa_call call;
};

static cfa_status pulled_make(cfa_pulled_call **out, cfa_engine *engine, cfa__command *lease) {
    const cfa__lease_answer *leased = lease->output;
    cfa_arena *arena;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    cfa_pulled_call *pulled = cfa_arena_alloc(arena, sizeof *pulled);
    const cfa__operation *operation = leased->operations[0];
    const cfa__payment *payment = leased->payments[0];
    status =
        pulled == NULL
            ? CFA_ENOMEM
            : cfa__call_fill(&pulled->call, arena, operation, payment,
                             cfa__operation_next_call(operation, payment, operation->updated_us),
                             cfa__book_now_us(engine), engine->options.call_timeout_ms);
    if (status == CFA_OK)
        cfa__call_open_window(engine, &pulled->call);
    if (status != CFA_OK) {
        cfa_arena_free(arena);
        return status;
    }
    pulled->arena = arena;
    pulled->engine = engine;
    pulled->lease = lease;
    pulled->operation = leased->operations[0];
    *out = pulled;
    return CFA_OK;
}

cfa_status cfa_call_next(cfa_pulled_call **out, cfa_engine *engine, int32_t timeout_ms) {
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK && engine->provider.ops == NULL)
        status =
            cfa_error_set(CFA_ENOTSUP, ORIGIN, "provider", 0, "the engine has no payment provider");
    if (status != CFA_OK)
        return status;
    int64_t deadline_us = cfa__deadline_us(engine, timeout_ms);
    uint64_t seen = cfa__progress_count(engine);
    for (;;) {
        cfa__command *lease;
        status = cfa__lease_due(&lease, engine, 1);
        if (status != CFA_OK)
            return status;
        const cfa__lease_answer *leased = lease != NULL ? lease->output : NULL;
        bool found = leased != NULL && leased->count == 1;
        if (found && cfa__operation_is_too_late(leased->operations[0], leased->payments[0])) {
            /* Nothing is sent: this ends it. */
            status =
                cfa__call_perform(NULL, engine, leased->operations[0], leased->payments[0],
                                  ((const cfa__lease_input *)lease->input)->leased_us, deadline_us);
            cfa__command_release(engine, lease);
            if (status != CFA_OK && status != CFA_EFENCED)
                return status;
            continue;
        }
        if (found) {
            status = pulled_make(out, engine, lease);
            if (status != CFA_OK)
                cfa__command_release(engine, lease);
            return status;
        }
        cfa__command_release(engine, lease);
        if (cfa__left_ms(deadline_us) == 0) {
            *out = NULL;
            return CFA_OK;
        }
        seen = cfa__wait_step(engine, seen, deadline_us);
    }
}

const cfa_call *cfa_pulled_call_view(const cfa_pulled_call *call) { return &call->call; }

cfa_status cfa_call_done(cfa_engine *engine, cfa_pulled_call *call, const cfa_reply *given,
                         int32_t timeout_ms) {
    cfa_reply reply;
    cfa__command *command;
    cfa_status status = cfa__engine_check(engine);
    if (status == CFA_OK)
        status = cfa__spec_take(&reply, sizeof reply, given,
                                CFA__SIZE_THROUGH(cfa_reply, retry_after_ms), ORIGIN);
    if (status == CFA_OK &&
        (reply.outcome < CFA_OUTCOME_UNKNOWN || reply.outcome > CFA_OUTCOME_NOT_SENT))
        status =
            cfa_error_set(CFA_EINVAL, ORIGIN, "outcome", 0, "outcome must be a CFA_OUTCOME_ value");
    if (status == CFA_OK)
        status = cfa__result_command(&command, engine, call->operation, call->call.kind, &reply);
    if (status != CFA_OK)
        return status;
    cfa__circuit_note(engine, &reply);
    status = cfa__command_run(engine, &command, cfa__deadline_us(engine, timeout_ms));
    if (status == CFA_OK && ((const cfa__result_answer *)command->output)->fenced) {
        status =
            cfa_error_set(CFA_EFENCED, ORIGIN, NULL, 0,
                          "the lease of this call has ended; its facts were applied all the same");
    }
    if (status == CFA_OK || status == CFA_EFENCED)
        cfa__signal(engine);
    cfa__command_release(engine, command);
    return status;
}

void cfa_pulled_call_free(cfa_pulled_call *call) {
    if (call == NULL)
        return;
    cfa__command_release(call->engine, call->lease);
    cfa_arena_free(call->arena);
}
