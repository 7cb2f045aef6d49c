/*
 * call.c - the play provider's API: a request's bytes, what is done with them, what comes back.
 *
 * Owns: idempotency, misfortune and replies. The provider acts on the request's body, as a real one
 * does, and on what travels beside it (account, idempotency key), never on what is not sent.
 */
#include "adapters/play/books.h"
#include "util/secure.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* How long a new object stays invisible to look-ups that are not authoritative. */
#define LOOKUP_LAG_US INT64_C(60000000)

static bool is_empty(const char *text) { return text == NULL || text[0] == '\0'; }

/* ---- prepare --------------------------------------------------------------------------------- */

static cfa_status missing(const char *field) {
    return cfa_error_set(CFA_EINVAL, CFA__PLAY_ORIGIN, field, 0, "the call needs this field");
}

static cfa_status check_call(const cfa_call *call) {
    switch (call->kind) {
    case CFA_CALL_CREATE:
        if (is_empty(call->payment_id)) {
            return missing("payment_id");
        }
        return cfa_money_check(call->amount, cfa_money_rules_stripe());
    case CFA_CALL_LOOKUP: return is_empty(call->payment_id) ? missing("payment_id") : CFA_OK;
    case CFA_CALL_CAPTURE:
        if (!is_empty(call->ref) && call->amount.minor != 0) {
            return cfa_money_check(call->amount, NULL);
        }
        return is_empty(call->ref) ? missing("ref") : CFA_OK;
    case CFA_CALL_CANCEL:
    case CFA_CALL_RETRIEVE: return is_empty(call->ref) ? missing("ref") : CFA_OK;
    case CFA_CALL_REFUND:
        if (is_empty(call->ref) || is_empty(call->refund_id)) {
            return missing(is_empty(call->ref) ? "ref" : "refund_id");
        }
        return cfa_money_check(call->amount, NULL);
    default:
        return cfa_error_set(CFA_ENOTSUP, CFA__PLAY_ORIGIN, "kind", call->kind, "no such call");
    }
}

cfa_status cfa__play_prepare(void *self, const cfa_call *call, cfa_arena *arena,
                             cfa_slice *out_body) {
    (void)self;
    cfa_status status = check_call(call);
    if (status != CFA_OK) {
        return status;
    }
    if (call->kind == CFA_CALL_RETRIEVE || call->kind == CFA_CALL_LOOKUP) {
        *out_body = (cfa_slice){ NULL, 0 };
        return CFA_OK;
    }
    cfa__buffer body;
    cfa__buffer_init(&body, arena, 256);
    cfa__json_open(&body, NULL, '{');
    if (call->kind == CFA_CALL_CREATE) {
        cfa__json_text(&body, "call", "create");
        cfa__json_text(&body, "operation_id", call->operation_id);
        cfa__json_text(&body, "payment_id", call->payment_id);
        cfa__json_int(&body, "amount_minor", call->amount.minor);
        cfa__json_text(&body, "currency", call->amount.currency);
        cfa__json_text(&body, "capture", call->capture_manual != 0 ? "manual" : "automatic");
        cfa__json_text(&body, "payment_method", call->payment_method);
    } else if (call->kind == CFA_CALL_CAPTURE) {
        cfa__json_text(&body, "call", "capture");
        cfa__json_text(&body, "operation_id", call->operation_id);
        cfa__json_text(&body, "ref", call->ref);
        cfa__json_int(&body, "amount_minor", call->amount.minor);
        cfa__json_text(&body, "currency", call->amount.currency);
    } else if (call->kind == CFA_CALL_REFUND) {
        cfa__json_text(&body, "call", "refund");
        cfa__json_text(&body, "operation_id", call->operation_id);
        cfa__json_text(&body, "ref", call->ref);
        cfa__json_text(&body, "refund_id", call->refund_id);
        cfa__json_int(&body, "amount_minor", call->amount.minor);
        cfa__json_text(&body, "currency", call->amount.currency);
    } else {
        cfa__json_text(&body, "call", "cancel");
        cfa__json_text(&body, "operation_id", call->operation_id);
        cfa__json_text(&body, "ref", call->ref);
    }
    cfa__json_close(&body, '}');
    return cfa__buffer_finish(&body, out_body);
}

/* ---- the request as it arrives --------------------------------------------------------------- */

typedef struct wire_request {
    int32_t kind;
    const char *account, *key; /* `key` NULL: none was sent */
    const char *ref, *payment_id, *payment_method, *refund_id;
    cfa_money amount; /* a CAPTURE of everything has 0 and any currency */
    bool capture_manual;
    int64_t from_us, until_us;
    uint8_t body_hash[16];
    const char *refusal; /* why it is not even a request */
    bool unread;         /* no memory to read it: then it was not sent */
} wire_request;

static bool read_currency(const cfa__json *root, cfa_money *amount) {
    const char *currency;
    if (!cfa__json_read_text(cfa__json_get(root, "currency"), &currency) || strlen(currency) > 3) {
        return false;
    }
    memcpy(amount->currency, currency, strlen(currency) + 1);
    return true;
}

static bool parse_create(const cfa__json *root, wire_request *out) {
    const char *capture;
    if (!cfa__json_read_text(cfa__json_get(root, "payment_id"), &out->payment_id) ||
        !cfa__json_read_int(cfa__json_get(root, "amount_minor"), &out->amount.minor) ||
        !read_currency(root, &out->amount) ||
        !cfa__json_read_text(cfa__json_get(root, "capture"), &capture) ||
        is_empty(out->payment_id)) {
        return false;
    }
    out->capture_manual = strcmp(capture, "manual") == 0;
    const cfa__json *method = cfa__json_get(root, "payment_method");
    return method == NULL || cfa__json_read_text(method, &out->payment_method);
}

static bool parse_body(const cfa__json *root, wire_request *out) {
    const char *name;
    if (!cfa__json_read_text(cfa__json_get(root, "call"), &name)) {
        return false;
    }
    switch (out->kind) {
    case CFA_CALL_CREATE: return strcmp(name, "create") == 0 && parse_create(root, out);
    case CFA_CALL_CAPTURE:
        return strcmp(name, "capture") == 0 &&
               cfa__json_read_text(cfa__json_get(root, "ref"), &out->ref) &&
               cfa__json_read_int(cfa__json_get(root, "amount_minor"), &out->amount.minor) &&
               read_currency(root, &out->amount);
    case CFA_CALL_REFUND:
        return strcmp(name, "refund") == 0 &&
               cfa__json_read_text(cfa__json_get(root, "ref"), &out->ref) &&
               cfa__json_read_text(cfa__json_get(root, "refund_id"), &out->refund_id) &&
               cfa__json_read_int(cfa__json_get(root, "amount_minor"), &out->amount.minor) &&
               read_currency(root, &out->amount);
    case CFA_CALL_CANCEL:
        return strcmp(name, "cancel") == 0 &&
               cfa__json_read_text(cfa__json_get(root, "ref"), &out->ref);
    default: return false;
    }
}

/* Text of `out` is borrowed from the call and from `*out_root`, which the caller frees. */
static void read_request(const cfa_call *call, wire_request *out, cfa__json **out_root) {
    memset(out, 0, sizeof *out);
    *out_root = NULL;
    out->kind = call->kind;
    out->account = call->account != NULL ? call->account : "";
    if (call->kind == CFA_CALL_RETRIEVE || call->kind == CFA_CALL_LOOKUP) {
        out->ref = call->ref;
        out->payment_id = call->payment_id;
        out->from_us = call->created_from_us;
        out->until_us = call->created_until_us > 0 ? call->created_until_us : INT64_MAX;
        if (is_empty(call->kind == CFA_CALL_RETRIEVE ? out->ref : out->payment_id)) {
            out->refusal = "parameter_missing";
        }
        return;
    }
    out->key = is_empty(call->idempotency_key) ? NULL : call->idempotency_key;
    cfa__hash(out->body_hash, sizeof out->body_hash, (cfa_slice){ NULL, 0 }, &call->body, 1);
    cfa_status status = cfa__json_parse(out_root, call->body);
    if (status != CFA_OK) {
        *out_root = NULL;
        out->unread = status == CFA_ENOMEM;
        out->refusal = "body_malformed";
    } else if (!parse_body(*out_root, out)) {
        out->refusal = "parameter_invalid";
    } else if (call->kind == CFA_CALL_CREATE &&
               cfa_money_check(out->amount, cfa_money_rules_stripe()) != CFA_OK) {
        out->refusal = "amount_invalid";
    } else if (call->kind == CFA_CALL_REFUND && cfa_money_check(out->amount, NULL) != CFA_OK) {
        out->refusal = "amount_invalid";
    }
}

/* ---- acting, under the lock ------------------------------------------------------------------ */

static const cfa__play_answer server_error = { .outcome = CFA_OUTCOME_UNKNOWN,
                                               .code = "api_error",
                                               .unavailable = true };
static const cfa__play_answer no_memory = { .outcome = CFA_OUTCOME_NOT_SENT,
                                            .code = "out_of_memory" };

static cfa__play_answer refuse(const char *code) {
    return (cfa__play_answer){ .outcome = CFA_OUTCOME_REFUSED, .code = code };
}

static cfa__play_answer tell(const cfa__play_intent *intent) {
    return (cfa__play_answer){ .outcome = CFA_OUTCOME_DONE,
                               .report = cfa__play_tell(intent),
                               .secret = true };
}

static cfa__play_answer act_create(cfa_play *play, const wire_request *request, int64_t now_us) {
    if (play->one_step && request->payment_method == NULL) {
        return refuse("payment_method_missing");
    }
    if (request->payment_method != NULL && !cfa__play_method_is_known(request->payment_method)) {
        return refuse("payment_method_unknown");
    }
    cfa__play_intent *intent =
        cfa__play_intent_new(play, request->payment_id, request->account, request->amount,
                             request->capture_manual, now_us);
    if (intent == NULL) {
        return no_memory;
    }
    cfa__play_intent_announce(play, intent);
    if (play->one_step) {
        (void)cfa__play_intent_pay(play, intent, request->payment_method);
    }
    cfa__play_answer answer = tell(intent);
    if (play->one_step && intent->state == CFA__PLAY_PROCESSING) {
        answer.outcome = CFA_OUTCOME_PENDING;
    }
    return answer;
}

static cfa__play_intent *find_in_account(cfa_play *play, const wire_request *request) {
    cfa__play_intent *intent = cfa__play_find_ref(play, request->ref);
    return intent != NULL && strcmp(intent->account, request->account) == 0 ? intent : NULL;
}

static cfa__play_answer act_change(cfa_play *play, const wire_request *request) {
    cfa__play_intent *intent = find_in_account(play, request);
    if (intent == NULL) {
        return refuse("resource_missing");
    }
    const char *code;
    if (request->kind == CFA_CALL_CANCEL) {
        code = cfa__play_intent_cancel(play, intent);
    } else if (request->amount.minor != 0 &&
               strcmp(request->amount.currency, intent->amount.currency) != 0) {
        code = "currency_mismatch";
    } else {
        code = cfa__play_intent_capture(play, intent, request->amount.minor);
    }
    return code != NULL ? refuse(code) : tell(intent);
}

/* A refund that was made is DONE, whatever becomes of it: it has a state of its own. */
static cfa__play_answer act_refund(cfa_play *play, const wire_request *request) {
    cfa__play_intent *intent = find_in_account(play, request);
    if (intent == NULL) {
        return refuse("resource_missing");
    }
    if (strcmp(request->amount.currency, intent->amount.currency) != 0) {
        return refuse("currency_mismatch");
    }
    const char *code = cfa__play_refund_refusal(intent, request->amount.minor);
    if (code != NULL) {
        return refuse(code);
    }
    cfa_refund_state state = CFA_REFUND_SUCCEEDED;
    (void)cfa__play_script_take(&play->refund_states, &state);
    const cfa__play_refund *refund =
        cfa__play_refund_make(play, intent, request->amount.minor, request->refund_id, state);
    return refund != NULL ? (cfa__play_answer){ .outcome = CFA_OUTCOME_DONE,
                                                .report = cfa__play_tell_refund(refund) }
                          : no_memory;
}

/* Reads tell everything as it stands. */
static cfa__play_answer tell_whole(const cfa__play_intent *intent) {
    cfa__play_answer answer = tell(intent);
    answer.report.whole = true;
    return answer;
}

static cfa__play_answer act_read(cfa_play *play, const wire_request *request, int64_t now_us) {
    const cfa__play_intent *intent = NULL;
    if (request->kind == CFA_CALL_RETRIEVE) {
        intent = find_in_account(play, request);
        return intent != NULL ? tell_whole(intent) : refuse("resource_missing");
    }
    int64_t until_us = request->until_us;
    if (!play->lookup_authoritative && until_us > now_us - LOOKUP_LAG_US) {
        until_us = now_us - LOOKUP_LAG_US;
    }
    const cfa__play_payment *payment = cfa__play_find_payment(play, request->payment_id);
    if (payment != NULL) {
        intent = cfa__play_best_intent(payment, request->account, request->from_us, until_us);
    }
    return intent != NULL ? tell_whole(intent)
                          : (cfa__play_answer){ .outcome = CFA_OUTCOME_NOT_SENT };
}

/* Execute a request that no stored answer covers. */
static cfa__play_answer execute(cfa_play *play, const wire_request *request, int32_t fault,
                                int64_t now_us) {
    if (fault == CFA_PLAY_FAULT_ERROR_BEFORE) {
        return server_error;
    }
    if (fault == CFA_PLAY_FAULT_REFUSED) {
        return refuse("refused");
    }
    cfa__play_answer answer = request->kind == CFA_CALL_CREATE   ? act_create(play, request, now_us)
                              : request->kind == CFA_CALL_REFUND ? act_refund(play, request)
                                                                 : act_change(play, request);
    bool done = answer.outcome != CFA_OUTCOME_NOT_SENT;
    return done && fault == CFA_PLAY_FAULT_ERROR_AFTER ? server_error : answer;
}

static cfa__play_answer act_write(cfa_play *play, const wire_request *request, int32_t fault,
                                  int64_t now_us, bool *out_stored) {
    bool breaks = fault == CFA_PLAY_FAULT_ERROR_BEFORE || fault == CFA_PLAY_FAULT_ERROR_AFTER;
    cfa__play_key *key = NULL;
    if (request->key != NULL) {
        key = cfa__play_key_find(play, request->account, request->key, now_us);
    }
    if (key != NULL) {
        if (memcmp(key->body_hash, request->body_hash, sizeof key->body_hash) != 0) {
            return refuse("idempotency_mismatch");
        }
        /* Nothing runs, so a server that breaks now has nothing new to store. */
        *out_stored = !breaks;
        return breaks ? server_error : key->answer;
    }
    if (request->refusal != NULL) {
        return refuse(request->refusal);
    }
    /* Everything that can fail, before anything is done. */
    bool ready = cfa__play_queue_reserve(play) == CFA_OK;
    if (ready && request->key != NULL) {
        key = cfa__play_key_new(play, request->account, request->key, request->body_hash, now_us);
        ready = key != NULL;
    }
    if (!ready) {
        return no_memory;
    }
    cfa__play_answer answer = execute(play, request, fault, now_us);
    if (key != NULL && answer.outcome == CFA_OUTCOME_NOT_SENT) {
        cfa__play_key_drop(play, key);
    } else if (key != NULL) {
        key->answer = answer;
    }
    return answer;
}

static cfa__play_answer act(cfa_play *play, const wire_request *request, int32_t fault,
                            bool *out_stored) {
    int64_t now_us = cfa__play_now_us(play);
    *out_stored = false;
    if (request->unread) {
        return no_memory;
    }
    if (request->kind != CFA_CALL_RETRIEVE && request->kind != CFA_CALL_LOOKUP) {
        return act_write(play, request, fault, now_us, out_stored);
    }
    if (fault == CFA_PLAY_FAULT_ERROR_BEFORE || fault == CFA_PLAY_FAULT_ERROR_AFTER) {
        return server_error;
    }
    if (fault == CFA_PLAY_FAULT_REFUSED) {
        return refuse("refused");
    }
    return request->refusal != NULL ? refuse(request->refusal) : act_read(play, request, now_us);
}

/* ---- misfortune ------------------------------------------------------------------------------ */

static int32_t draw_weather(cfa_play *play) {
    int64_t draw = (int64_t)(cfa__play_draw(play) % 1000000);
    const struct {
        int32_t ppm, fault;
    } rates[] = {
        { play->weather.reply_lost_ppm, CFA_PLAY_FAULT_REPLY_LOST },
        { play->weather.request_lost_ppm, CFA_PLAY_FAULT_REQUEST_LOST },
        { play->weather.error_after_ppm, CFA_PLAY_FAULT_ERROR_AFTER },
        { play->weather.error_before_ppm, CFA_PLAY_FAULT_ERROR_BEFORE },
        { play->weather.not_sent_ppm, CFA_PLAY_FAULT_NOT_SENT },
    };
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        draw -= rates[i].ppm;
        if (draw < 0) {
            return rates[i].fault;
        }
    }
    return CFA_PLAY_FAULT_NONE;
}

/* The fault and delay of one call. A pushed fault goes before the weather, which is drawn all the
 * same. */
static int32_t take_fault(cfa_play *play, int64_t *out_delay_ms) {
    int32_t fault = draw_weather(play);
    uint64_t draw = cfa__play_draw(play);
    *out_delay_ms = play->weather.delay_ms_max > 0
                        ? (int64_t)(draw % ((uint64_t)play->weather.delay_ms_max + 1))
                        : 0;
    (void)cfa__play_script_take(&play->faults, &fault);
    return fault;
}

static void sleep_ms(int64_t duration_ms) {
    struct timespec rest = { (time_t)(duration_ms / 1000), (long)(duration_ms % 1000) * 1000000L };
    while (duration_ms > 0 && nanosleep(&rest, &rest) != 0 && errno == EINTR) {
    }
}

/* ---- the call -------------------------------------------------------------------------------- */

/* Reading an answer may fail for lack of memory; then the caller knows nothing: UNKNOWN. */
static void write_reply(const cfa__play_answer *answer, bool stored, cfa_arena *arena,
                        cfa_reply *out) {
    cfa_reply reply = { .struct_size = sizeof reply };
    reply.outcome = answer->outcome;
    reply.stored = stored;
    reply.code = answer->code;
    reply.unavailable = answer->unavailable;
    reply.facts = (cfa_facts)CFA_FACTS_INIT;
    if (answer->report.intent != NULL) {
        const char *secret = answer->report.intent->secret;
        if (cfa__play_facts(&reply.facts, &answer->report, arena) != CFA_OK) {
            return;
        }
        if (answer->secret) {
            reply.client_secret = cfa_arena_copy(arena, secret, strlen(secret));
            if (reply.client_secret == NULL) {
                return;
            }
        }
        if (reply.code == NULL) {
            reply.code = answer->report.refund != NULL ? reply.facts.refunds[0]->failure_code
                                                       : reply.facts.failure_code;
        }
    }
    *out = reply;
}

bool cfa__play_befall(cfa_play *play, int32_t timeout_ms, int32_t *out_fault) {
    int64_t delay_ms;
    cfa__play_lock(play);
    play->call_count++;
    *out_fault = take_fault(play, &delay_ms);
    cfa__play_unlock(play);
    bool late = timeout_ms > 0 && delay_ms >= timeout_ms;
    sleep_ms(late ? timeout_ms : delay_ms);
    return late;
}

void cfa__play_call(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    cfa_play *play = self;
    int32_t fault;
    *out = (cfa_reply){ .struct_size = sizeof *out };
    bool late = cfa__play_befall(play, call->timeout_ms, &fault);
    if (fault == CFA_PLAY_FAULT_NOT_SENT) {
        /* For a look-up NOT_SENT is an answer, that there is no object; nobody has said that. */
        out->outcome = call->kind == CFA_CALL_LOOKUP ? CFA_OUTCOME_UNKNOWN : CFA_OUTCOME_NOT_SENT;
        out->code = "connection_refused";
        out->unavailable = 1;
        return;
    }
    if (fault == CFA_PLAY_FAULT_REQUEST_LOST) {
        out->code = "timeout";
        out->unavailable = 1;
        return;
    }

    wire_request request;
    cfa__json *root;
    read_request(call, &request, &root);
    bool stored;
    cfa__play_lock(play);
    const cfa__play_answer answer = act(play, &request, fault, &stored);
    if (late || fault == CFA_PLAY_FAULT_REPLY_LOST) {
        out->code = "timeout";
        out->unavailable = 1;
    } else {
        write_reply(&answer, stored, arena, out);
    }
    cfa__play_unlock(play);
    cfa__json_free(root);
}
