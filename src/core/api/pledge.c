/*
 * api/pledge.c - making pledges: checked specs in, one command, the provider's first call on the
 * caller's own thread, snapshots out. Also the asynchronous and the joined form, and reads.
 */
#include "core/api/pledge.h"
#include "core/api/act.h"
#include "core/engine/circuit.h"
#include "core/decide/payment_machine.h"
#include "util/text.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.pledge"
#define JOIN_RETRY_US 5000 /* how often a repeat looks for the first call's answer */

/* ---- specs ----------------------------------------------------------------------------------- */

static bool is_traceparent(const char *text) {
    /* W3C trace context, version 00: 2-32-16-2 lower-case hex digits. */
    static const char form[] = "hh-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-hh";
    if (strlen(text) != sizeof form - 1)
        return false;
    for (size_t i = 0; i < sizeof form - 1; i++) {
        bool hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (form[i] == '-' ? text[i] != '-' : !hex)
            return false;
    }
    return true;
}

static cfa_status check_url(const char *url, const char *field) {
    cfa_status status = cfa__text_check(url, ORIGIN, field, CFA_URL_BYTES_MAX, false, false);
    if (status != CFA_OK || url == NULL || url[0] == '\0')
        return status;
    if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
        return cfa_error_set(CFA_EINVAL, ORIGIN, field, 0, "a URL starts with https:// or http://");
    return CFA_OK;
}

static cfa_status check_texts(const cfa_pledge_spec *spec) {
    cfa_status status =
        cfa__text_check(spec->donor_name, ORIGIN, "donor_name", CFA_NAME_BYTES_MAX, false, false);
    if (status == CFA_OK)
        status = cfa__text_check(spec->donor_email, ORIGIN, "donor_email", CFA_EMAIL_BYTES_MAX,
                                 false, false);
    if (status == CFA_OK && spec->donor_email != NULL && spec->donor_email[0] != '\0' &&
        strchr(spec->donor_email, '@') == NULL)
        status =
            cfa_error_set(CFA_EINVAL, ORIGIN, "donor_email", 0, "an e-mail address holds an @");
    if (status == CFA_OK)
        status = cfa__text_check(spec->donor_message, ORIGIN, "donor_message",
                                 CFA_MESSAGE_BYTES_MAX, false, true);
    if (status == CFA_OK)
        status = cfa__text_check(spec->donor_reference, ORIGIN, "donor_reference",
                                 CFA_REFERENCE_BYTES_MAX, false, false);
    if (status == CFA_OK)
        status = cfa__text_check(spec->payment_method, ORIGIN, "payment_method",
                                 CFA_METHOD_BYTES_MAX, false, false);
    if (status == CFA_OK)
        status = check_url(spec->return_url, "return_url");
    if (status == CFA_OK)
        status = check_url(spec->cancel_url, "cancel_url");
    return status;
}

static cfa_status check_spec(const cfa_engine *engine, const cfa_pledge_spec *spec) {
    if (engine->provider.ops == NULL) {
        return cfa_error_set(CFA_ENOTSUP, ORIGIN, "provider", 0,
                             "the engine was opened without a payment provider");
    }
    if (spec->campaign_id == NULL)
        return cfa_error_set(CFA_EINVAL, ORIGIN, "campaign_id", 0, "campaign_id is required");
    cfa_status status = cfa_money_check(spec->amount, engine->provider.ops->money_rules);
    if (status == CFA_OK)
        status = check_texts(spec);
    if (status != CFA_OK)
        return status;
    if (spec->visibility < CFA_VISIBILITY_PUBLIC || spec->visibility > CFA_VISIBILITY_HIDDEN)
        return cfa_error_set(CFA_EINVAL, ORIGIN, "visibility", 0,
                             "visibility must be a CFA_VISIBILITY_ value");
    if (spec->wait < CFA_WAIT_ANSWER || spec->wait > CFA_WAIT_PAID)
        return cfa_error_set(CFA_EINVAL, ORIGIN, "wait", 0, "wait must be a CFA_WAIT_ value");
    bool one_step = (engine->provider.ops->capabilities & CFA_PROVIDER_TWO_STEP) == 0;
    if (one_step && (spec->payment_method == NULL || spec->payment_method[0] == '\0')) {
        return cfa_error_format(
            CFA_EINVAL, ORIGIN, "payment_method", 0,
            "the provider \"%s\" charges in one step and needs a payment method",
            engine->provider_name);
    }
    if (spec->traceparent != NULL && !is_traceparent(spec->traceparent))
        return cfa_error_set(CFA_EINVAL, ORIGIN, "traceparent", 0, "not a W3C traceparent");
    return CFA_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

static cfa_status draw_ids(cfa_engine *engine, cfa__pledge_input *input, const char *reference) {
    cfa__id ids[4];
    cfa_status status = cfa__draw_ids(engine, ids, 4);
    if (status != CFA_OK)
        return status;
    input->pledge_id = ids[0];
    input->payment_id = ids[1];
    input->donor_id = ids[2];
    input->lease_id = ids[3];
    /* One donor, one id, without storing who it is. */
    input->person_id = reference == NULL ? input->donor_id
                                         : cfa__book_hash(engine, "donor", cfa__slice(reference));
    return CFA_OK;
}

static const char *filled(const char *text) {
    return text != NULL && text[0] != '\0' ? text : NULL;
}

/* The exact bytes of the provider call, made before anything is committed. */
static cfa_status prepare(cfa_engine *engine, cfa__command *command, cfa__pledge_input *input,
                          const cfa_pledge_spec *spec) {
    char key[64];
    cfa__operation_key(key, input->payment_id, 1, 1);
    cfa_status status = cfa__input_text(&input->idempotency_key, command, key);
    if (status != CFA_OK)
        return status;
    cfa__payment payment = { .id = input->payment_id,
                             .account = input->account,
                             .amount_minor = input->amount.minor,
                             .capture_manual = input->capture_manual };
    memcpy(payment.currency, input->amount.currency, sizeof payment.currency);
    cfa__operation operation = { .payment_id = input->payment_id,
                                 .number = 1,
                                 .call = CFA_CALL_CREATE,
                                 .idempotency_key = input->idempotency_key,
                                 .method = input->method };
    cfa_call call;
    status = cfa__call_fill(&call, command->arena, &operation, &payment, CFA_CALL_CREATE, 0, 0);
    call.return_url = filled(spec->return_url);
    call.cancel_url = filled(spec->cancel_url);
    return status == CFA_OK ? engine->provider.ops->prepare(engine->provider.self, &call,
                                                            command->arena, &input->body)
                            : status;
}

static cfa_status fill(cfa_engine *engine, cfa__command *command, cfa__pledge_input *input,
                       const cfa_pledge_spec *spec, bool lease) {
    cfa__fingerprint_field fields[] = {
        { "campaign_id", cfa__slice(spec->campaign_id) },
        { "amount.minor", { &spec->amount.minor, sizeof spec->amount.minor } },
        { "amount.currency", cfa__slice(spec->amount.currency) },
        { "recurrence", cfa__slice("once") },
        { "account", cfa__slice(engine->account) },
    };
    cfa_status status = cfa__id_parse(&input->campaign_id, "cmp", spec->campaign_id, "campaign_id");
    fields[0].value = (cfa_slice){ input->campaign_id.bytes, sizeof input->campaign_id.bytes };
    if (status == CFA_OK)
        status = cfa__keyed_make(&input->keyed, engine, spec->scope, spec->key,
                                 CFA__KEYED_PLEDGE_CREATE, fields, 5);
    const char *reference = filled(spec->donor_reference);
    if (status == CFA_OK)
        status = draw_ids(engine, input, reference);
    struct {
        cfa_slice *out;
        const char *text;
    } texts[] = {
        { &input->reference, reference },
        { &input->name, filled(spec->donor_name) },
        { &input->email, filled(spec->donor_email) },
        { &input->message, filled(spec->donor_message) },
        { &input->method, filled(spec->payment_method) },
        { &input->trace, spec->traceparent },
        { &input->provider, engine->provider_name },
        { &input->account, engine->account },
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && status == CFA_OK; i++)
        status = cfa__input_text(texts[i].out, command, texts[i].text);
    input->amount = spec->amount;
    input->visibility = spec->visibility;
    input->capture_manual = engine->options.capture_manual != 0;
    input->expires_ms = engine->options.payment_expires_ms;
    input->lease_ms = lease ? cfa__lease_ms(engine) : 0;
    input->leased_us = cfa__monotonic_us(engine);
    if (lease)
        input->circuit = cfa__circuit_asked(engine);
    input->circuit_queues = engine->options.circuit_rule == CFA_CIRCUIT_QUEUE;
    input->answer_until_us =
        spec->wait == CFA_WAIT_ANSWER ? cfa__deadline_us(engine, spec->timeout_ms) : 0;
    return status == CFA_OK ? prepare(engine, command, input, spec) : status;
}

/* `lease`: this process will make the provider call itself, at once. */
static cfa_status command_make(cfa__command **out, cfa_pledge_spec *out_spec, cfa_engine *engine,
                               const cfa_pledge_spec *given, bool lease) {
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = cfa__spec_take(out_spec, sizeof *out_spec, given,
                                CFA__SIZE_THROUGH(cfa_pledge_spec, traceparent), ORIGIN);
    if (status == CFA_OK)
        status = check_spec(engine, out_spec);
    if (status != CFA_OK)
        return status;
    cfa__command *command;
    void *input;
    status = cfa__command_with_input(&command, &input, engine, cfa__pledge_create,
                                     sizeof(cfa__pledge_input), sizeof(cfa__pledge_answer));
    if (status != CFA_OK)
        return status;
    bool calls_here = lease && out_spec->wait != CFA_WAIT_COMMIT && out_spec->timeout_ms >= 0 &&
                      engine->provider.ops->call != NULL;
    status = fill(engine, command, input, out_spec, calls_here);
    if (status != CFA_OK) {
        cfa__command_release(engine, command);
        return status;
    }
    *out = command;
    return CFA_OK;
}

/* Count random keys, so that upkeep knows when their generation is full. */
static void note_key(cfa_engine *engine, const cfa__command *command) {
    const cfa__pledge_input *input = command->input;
    const cfa__pledge_answer *answer = command->output;
    if (!input->keyed.time_ordered && !answer->replayed)
        atomic_fetch_add(&engine->random_keys, 1);
}

/* The pledge is kept, its call is not made: the provider is out. */
static cfa_status check_refused(cfa_engine *engine, const cfa__command *command) {
    const cfa__pledge_answer *answer = command->output;
    if (answer->refused_until_us == 0)
        return CFA_OK;
    note_key(engine, command);
    cfa__circuit_refused(engine, answer->refused_until_us);
    cfa__signal(engine);
    return cfa__circuit_refuse(engine, answer->refused_until_us);
}

static cfa__pledge_parts parts_of(const cfa__command *command) {
    const cfa__pledge_answer *answer = command->output;
    return (cfa__pledge_parts){ answer->pledge, answer->payment,  answer->donor,
                                answer->answer, answer->replayed, command->position };
}

/* What the result of the first provider call says; the position is the newer one of the two
 * commits. */
static cfa__pledge_parts parts_of_result(const cfa__command *command, const cfa__command *result) {
    const cfa__result_answer *answer = result->output;
    bool replayed = ((const cfa__pledge_answer *)command->output)->replayed;
    int64_t position = result->position > command->position ? result->position : command->position;
    return (cfa__pledge_parts){ answer->pledge, answer->payment, answer->donor,
                                answer->answer, replayed,        position };
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* Join the wait for an answer that another call, or a dead process, has begun. */
static cfa_status join_answer(cfa_engine *engine, cfa__id pledge_id, int64_t deadline_us) {
    uint64_t seen = cfa__progress_count(engine);
    for (;;) {
        cfa__reader *reader;
        cfa_status status = cfa__read_begin(&reader, engine, deadline_us);
        if (status != CFA_OK)
            return status == CFA_ETIMEOUT ? CFA_OK : status;
        cfa__pledge_parts parts;
        status = cfa__pledge_read_parts(&parts, engine, reader, pledge_id);
        bool answered = status != CFA_OK || parts.answer != NULL ||
                        parts.payment->ref.data != NULL ||
                        cfa__payment_is_settled((cfa_payment_state)parts.payment->state);
        cfa__id payment_id = answered ? CFA__ID_NULL : parts.payment->id;
        int64_t operations = answered ? 0 : parts.payment->operation_count;
        cfa__read_end(engine, reader);
        bool acted = false;
        if (!answered)
            status =
                cfa__calls_for_payment(engine, payment_id, operations, false, deadline_us, &acted);
        if (answered || status != CFA_OK || cfa__left_ms(deadline_us) == 0)
            return status;
        if (!acted)
            seen = cfa__wait_step(engine, seen, deadline_us);
    }
}

static cfa_status wait_and_read(cfa_pledge **out, cfa_engine *engine,
                                const cfa__pledge_answer *answer, cfa_wait wait,
                                int64_t deadline_us) {
    cfa__id pledge_id = answer->pledge->id, payment_id = answer->payment->id;
    cfa_status status = CFA_OK;
    if (wait != CFA_WAIT_COMMIT)
        status = join_answer(engine, pledge_id, deadline_us);
    if (status == CFA_OK && wait == CFA_WAIT_PAID)
        status = cfa__payment_await(engine, payment_id, deadline_us);
    /* The pledge is durable: whatever the wait met, the caller gets it as it stands. */
    (void)status;
    return cfa__pledge_read(out, engine, pledge_id, true, answer->replayed,
                            cfa__deadline_us(engine, 0));
}

/* After the commit: make the first provider call, or join whoever makes it. */
static cfa_status complete(cfa_pledge **out, cfa_engine *engine, const cfa__command *command,
                           cfa_wait wait, int64_t deadline_us) {
    const cfa__pledge_answer *answer = command->output;
    cfa__pledge_parts parts = parts_of(command);
    bool settled_answer = answer->answer != NULL && wait != CFA_WAIT_PAID;
    bool put_off = answer->operation == NULL && !answer->replayed &&
                   !cfa__circuit_is_closed(engine); /* the provider is out: nothing to wait for */
    if (settled_answer || put_off || wait == CFA_WAIT_COMMIT)
        return cfa__pledge_snapshot(out, &parts);
    if (answer->operation != NULL) {
        cfa__command *result = NULL;
        const cfa__pledge_input *input = command->input;
        cfa_status status = cfa__call_perform(&result, engine, answer->operation, answer->payment,
                                              input->leased_us, deadline_us);
        if (status == CFA_OK && wait == CFA_WAIT_ANSWER &&
            ((const cfa__result_answer *)result->output)->answer != NULL) {
            parts = parts_of_result(command, result);
            status = cfa__pledge_snapshot(out, &parts);
            cfa__command_release(engine, result);
            return status;
        }
        cfa__command_release(engine, result);
    }
    return wait_and_read(out, engine, answer, wait, deadline_us);
}

cfa_status cfa_pledge_create(cfa_pledge **out, cfa_engine *engine, const cfa_pledge_spec *given) {
    cfa_pledge_spec spec;
    cfa__command *command;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = command_make(&command, &spec, engine, given, true);
    if (status != CFA_OK)
        return status;
    int64_t deadline_us = cfa__deadline_us(engine, spec.timeout_ms);
    status = cfa__command_run(engine, &command, deadline_us);
    if (status == CFA_OK)
        status = check_refused(engine, command);
    if (status == CFA_OK) {
        note_key(engine, command);
        if (((const cfa__pledge_answer *)command->output)->operation == NULL)
            atomic_store(&engine->operation_due_us,
                         0); /* somebody else makes the call: look soon */
        cfa__signal(engine);
        status = complete(out, engine, command, spec.wait, deadline_us);
        if (status != CFA_OK) {
            cfa__pledge_parts parts = parts_of(command);
            status = cfa__status_committed(cfa__pledge_snapshot(out, &parts), ORIGIN);
        }
    }
    cfa__command_release(engine, command);
    return status;
}

/* ---- asynchronous ---------------------------------------------------------------------------- */

static void deliver(cfa_completion *completion, const cfa__pledge_parts *parts) {
    cfa_pledge *pledge = NULL;
    cfa_status status = cfa__status_committed(cfa__pledge_snapshot(&pledge, parts), ORIGIN);
    if (status == CFA_OK) {
        cfa__completion_set_pledge(completion, pledge);
    } else {
        cfa_error error = CFA_ERROR_INIT;
        (void)!cfa_error_last(&error);
        cfa__completion_fail(completion, status, &error);
    }
    cfa__completion_deliver(completion);
}

static void called(cfa_engine *engine, cfa__command *command, cfa__command *result, void *user) {
    /* Without a result the pledge is durable all the same: the answer is still pending. */
    cfa__pledge_parts parts = result != NULL && result->status == CFA_OK
                                  ? parts_of_result(command, result)
                                  : parts_of(command);
    deliver(user, &parts);
    cfa__command_release(engine, result);
    cfa__command_release(engine, command);
}

/* True while a repeat should wait for the first call's answer instead of being told that it is
 * pending. */
static bool joins(const cfa__command *command) {
    const cfa__pledge_input *input = command->input;
    const cfa__pledge_answer *answer = command->output;
    return input->answer_until_us > cfa__real_us() && answer->replayed && answer->answer == NULL &&
           answer->operation == NULL && answer->refused_until_us == 0 &&
           answer->payment->ref.data == NULL &&
           !cfa__payment_is_settled((cfa_payment_state)answer->payment->state);
}

static void committed(cfa_engine *engine, cfa__command *command, void *user) {
    cfa_completion *completion = user;
    if (command->status == CFA_OK && joins(command)) {
        cfa__command_delay(engine, command, JOIN_RETRY_US, committed, completion);
        return;
    }
    if (command->status == CFA_OK) {
        command->status = check_refused(engine, command);
        if (command->status != CFA_OK && cfa_error_last(&command->error) != CFA_OK)
            command->error.status = command->status;
    }
    if (command->status != CFA_OK) {
        cfa__completion_fail(completion, command->status, &command->error);
        cfa__completion_deliver(completion);
        cfa__command_release(engine, command);
        return;
    }
    note_key(engine, command);
    const cfa__pledge_answer *answer = command->output;
    if (answer->operation != NULL && answer->answer == NULL &&
        cfa__calls_ready(engine, command, answer->operation, answer->payment,
                         ((const cfa__pledge_input *)command->input)->leased_us, called,
                         completion) == CFA_OK)
        return;
    atomic_store(&engine->operation_due_us, 0);
    cfa__pledge_parts parts = parts_of(command);
    deliver(completion, &parts);
    cfa__command_release(engine, command);
}

cfa_status cfa_pledge_create_begin(cfa_port *port, uint64_t token, const cfa_pledge_spec *given) {
    cfa_engine *engine = cfa__port_engine(port);
    cfa_pledge_spec spec;
    cfa__command *command;
    cfa_status status = command_make(&command, &spec, engine, given, true);
    if (status != CFA_OK)
        return status;
    cfa_completion *completion = NULL;
    if (spec.wait == CFA_WAIT_PAID)
        status = cfa_error_set(CFA_ENOTSUP, ORIGIN, "wait", 0,
                               "an asynchronous call cannot wait for payment");
    if (status == CFA_OK)
        status = cfa__completion_reserve(&completion, port, token);
    if (status == CFA_OK) {
        status = cfa__command_submit(engine, command, committed, completion);
        if (status == CFA_OK)
            return CFA_OK;
        cfa__completion_cancel(completion);
    }
    cfa__command_release(engine, command);
    return status;
}

/* ---- joined ---------------------------------------------------------------------------------- */

struct cfa_tx {
    cfa_engine *engine;
    cfa_session *session;
};

cfa_status cfa_tx_new(cfa_tx **out, cfa_engine *engine, cfa_session *session) {
    cfa_status status = cfa__call_check(engine, out);
    if (status != CFA_OK)
        return status;
    cfa_tx *tx = cfa_alloc(sizeof *tx);
    if (tx == NULL)
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for a joined transaction");
    tx->engine = engine;
    tx->session = session;
    *out = tx;
    return CFA_OK;
}

void cfa_tx_free(cfa_tx *tx) {
    if (tx == NULL)
        return;
    tx->engine->storage.ops->session_close(tx->session);
    /* Whether or not the host has committed: a look costs little. */
    atomic_store(&tx->engine->operation_due_us, 0);
    cfa__signal(tx->engine);
    cfa_free(tx);
}

cfa_status cfa_tx_pledge_create(cfa_pledge **out, cfa_tx *tx, const cfa_pledge_spec *given) {
    if (tx == NULL || out == NULL)
        return cfa_error_set(CFA_EMISUSE, ORIGIN, "tx", 0, "tx or out is NULL");
    cfa_engine *engine = tx->engine;
    cfa_pledge_spec spec;
    cfa__command *command;
    cfa_status status = command_make(&command, &spec, engine, given, false);
    if (status != CFA_OK)
        return status;
    status = cfa__batch_execute_joined(engine, tx->session, command, command->arena);
    if (status != CFA_OK && command->status == status && command->error.status == status)
        status = cfa_error_restore(&command->error);
    if (status == CFA_OK) {
        cfa__pledge_parts parts = parts_of(command);
        status = cfa__status_committed(cfa__pledge_snapshot(out, &parts), ORIGIN);
    }
    cfa__command_release(engine, command);
    return status;
}

/* ---- erasing --------------------------------------------------------------------------------- */

cfa_status cfa_donor_erase(cfa_engine *engine, const char *pledge_id, const cfa_actor *by,
                           int32_t timeout_ms) {
    cfa__command *command;
    void *memory;
    cfa_status status = cfa__engine_check(engine);
    if (status == CFA_OK)
        status = cfa__command_with_input(&command, &memory, engine, cfa__donor_erase,
                                         sizeof(cfa__erase_input), 0);
    if (status != CFA_OK)
        return status;
    cfa__erase_input *input = memory;
    status = cfa__id_parse(&input->pledge_id, "plg", pledge_id, "pledge_id");
    if (status == CFA_OK)
        status = cfa__by_take(&input->by, command, by);
    if (status == CFA_OK)
        status = cfa__command_run(engine, &command, cfa__deadline_us(engine, timeout_ms));
    cfa__command_release(engine, command);
    return status;
}
