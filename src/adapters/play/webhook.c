/*
 * webhook.c - the play provider's webhooks: the queue, the bytes, signing, delivering, and the receiver's verification.
 *
 * An event carries the facts as of its own moment, so one that comes late says less. Verification must stay pure and
 * must compare signatures in constant time.
 */
#include "adapters/play/books.h"
#include "util/buffer.h"
#include "util/json.h"
#include "util/secure.h"

#include <careforall/payment.h>

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define TOLERANCE_US INT64_C(300000000)
#define TIMESTAMP_DIGITS_MAX 12
#define SIGNATURE_BYTES_MAX 4096
#define EVENT_ID_BYTES_MAX 255
/* A reordered event changes places with one of this many that wait before it. */
#define REORDER_WINDOW 32

static const char *const type_names[CFA__PLAY_EVENT_TYPES] = {
    [CFA__PLAY_INTENT_CREATED] = "intent.created",
    [CFA__PLAY_INTENT_REQUIRES_ACTION] = "intent.requires_action",
    [CFA__PLAY_INTENT_PROCESSING] = "intent.processing",
    [CFA__PLAY_INTENT_PAYMENT_FAILED] = "intent.payment_failed",
    [CFA__PLAY_INTENT_SUCCEEDED] = "intent.succeeded",
    [CFA__PLAY_INTENT_CANCELED] = "intent.canceled",
    [CFA__PLAY_INTENT_EXPIRED] = "intent.expired",
    [CFA__PLAY_CHARGE_AUTHORIZED] = "charge.authorized",
    [CFA__PLAY_CHARGE_CAPTURED] = "charge.captured",
    [CFA__PLAY_CHARGE_EXPIRED] = "charge.expired",
};

static const struct flag_name {
    uint32_t flag;
    const char *name;
} flag_names[] = {
    { CFA_FACT_SUCCEEDED, "succeeded" },       { CFA_FACT_CANCELED, "canceled" },
    { CFA_FACT_EXPIRED, "expired" },           { CFA_FACT_NEEDS_ACTION, "needs_action" },
    { CFA_FACT_PROCESSING, "processing" },     { CFA_FACT_FAILED, "failed" },
};
#define FLAG_NAMES (sizeof flag_names / sizeof flag_names[0])

/* ---- the queue ------------------------------------------------------------------------------------------------------- */

static cfa__play_event *queue_at(cfa__play_queue *queue, size_t index)
{
    assert(index < queue->capacity);
    return &queue->events[(queue->head + index) % queue->capacity];
}

cfa_status cfa__play_queue_reserve(cfa_play *play)
{
    cfa__play_queue *queue = &play->queue;
    size_t needed = queue->count + queue->in_flight + 2 * CFA__PLAY_EVENTS_PER_CHANGE;
    if (needed <= queue->capacity) {
        return CFA_OK;
    }
    cfa__play_queue grown = { NULL, queue->capacity == 0 ? 64 : queue->capacity * 2, 0, queue->count,
                              queue->in_flight };
    grown.events = cfa_alloc(grown.capacity * sizeof *grown.events);
    if (grown.events == NULL) {
        return cfa_error_set(CFA_ENOMEM, CFA__PLAY_ORIGIN, NULL, 0, "no memory for webhooks");
    }
    for (size_t i = 0; i < queue->count; i++) {
        grown.events[i] = *queue_at(queue, i);
    }
    cfa_free(queue->events);
    *queue = grown;
    return CFA_OK;
}

static void push_back(cfa_play *play, const cfa__play_event *event)
{
    cfa__play_queue *queue = &play->queue;
    assert(queue->count + queue->in_flight < queue->capacity);
    *queue_at(queue, queue->count) = *event;
    queue->count++;
}

static void push_reordered(cfa_play *play, const cfa__play_event *event)
{
    push_back(play, event);
    bool reordered = cfa__play_chance(play, play->weather.webhook_reordered_ppm);
    uint64_t draw = cfa__play_draw(play);
    size_t last = play->queue.count - 1;
    if (reordered && last > 0) {
        size_t window = last < REORDER_WINDOW ? last : REORDER_WINDOW;
        cfa__play_event *other = queue_at(&play->queue, last - 1 - (size_t)(draw % window));
        *queue_at(&play->queue, last) = *other;
        *other = *event;
    }
}

void cfa__play_queue_push(cfa_play *play, cfa__play_event_type type, const cfa__play_intent *intent,
                          const cfa__play_snapshot *facts)
{
    cfa__play_event event = { type, ++play->event_number, intent, *facts };
    bool lost = cfa__play_chance(play, play->weather.webhook_lost_ppm);
    bool twice = cfa__play_chance(play, play->weather.webhook_duplicated_ppm);
    if (lost) {
        return;
    }
    push_reordered(play, &event);
    if (twice) {
        push_reordered(play, &event);
    }
}

/* Taking leaves room to give the event back. */
static bool take(cfa_play *play, cfa__play_event *out)
{
    cfa__play_lock(play);
    cfa__play_queue *queue = &play->queue;
    bool found = queue->count > 0;
    if (found) {
        *out = *queue_at(queue, 0);
        queue->head = (queue->head + 1) % queue->capacity;
        queue->count--;
        queue->in_flight++;
    }
    cfa__play_unlock(play);
    return found;
}

typedef enum event_fate { GONE, FIRST_AGAIN, LAST_AGAIN } event_fate;

static void put_down(cfa_play *play, const cfa__play_event *event, event_fate fate)
{
    cfa__play_lock(play);
    cfa__play_queue *queue = &play->queue;
    assert(queue->in_flight > 0);
    queue->in_flight--;
    if (fate == LAST_AGAIN) {
        push_back(play, event);
    } else if (fate == FIRST_AGAIN) {
        queue->head = (queue->head + queue->capacity - 1) % queue->capacity;
        queue->count++;
        *queue_at(queue, 0) = *event;
    }
    cfa__play_unlock(play);
}

/* ---- the bytes --------------------------------------------------------------------------------------------------------- */

static cfa_status render(const cfa_play *play, const cfa__play_event *event, cfa_arena *arena,
                         cfa_slice *out)
{
    const cfa__play_intent *intent = event->intent;
    char id[32];
    snprintf(id, sizeof id, "evt_play_%016llx",
             (unsigned long long)cfa__play_mix(event->number ^ cfa__play_mix(~play->seed)));
    cfa__buffer body;
    cfa__buffer_init(&body, arena, 640);
    cfa__json_open(&body, NULL, '{');
    cfa__json_text(&body, "id", id);
    cfa__json_text(&body, "type", type_names[event->type]);
    cfa__json_text(&body, "account", intent->account);
    cfa__json_bool(&body, "livemode", false);
    cfa__json_int(&body, "created_us", event->facts.occurred_us);
    cfa__json_open(&body, "data", '{');
    cfa__json_text(&body, "ref", intent->ref);
    cfa__json_text(&body, "payment_id", intent->payment->id);
    cfa__json_int(&body, "amount_minor", intent->amount.minor);
    cfa__json_text(&body, "currency", intent->amount.currency);
    cfa__json_open(&body, "flags", '[');
    for (size_t i = 0; i < FLAG_NAMES; i++) {
        if ((event->facts.flags & flag_names[i].flag) != 0) {
            cfa__json_text(&body, NULL, flag_names[i].name);
        }
    }
    cfa__json_close(&body, ']');
    cfa__json_int(&body, "authorized_minor", event->facts.authorized_minor);
    cfa__json_int(&body, "captured_minor", event->facts.captured_minor);
    cfa__json_int(&body, "attempt", event->facts.attempt);
    cfa__json_int(&body, "occurred_us", event->facts.occurred_us);
    cfa__json_text(&body, "failure_code", event->facts.failure_code);
    cfa__json_text(&body, "cancel_reason", event->facts.cancel_reason);
    cfa__json_close(&body, '}');
    cfa__json_close(&body, '}');
    return cfa__buffer_finish(&body, out);
}

/* Room for "t=", a number, ",v1=", 64 hex digits and a NUL. */
#define HEADER_SIZE 96

static void mac(uint8_t out[32], const cfa_play *play, cfa_slice timestamp, cfa_slice body)
{
    const cfa_slice key = { play->webhook_secret, strlen(play->webhook_secret) };
    const cfa_slice parts[] = { timestamp, { ".", 1 }, body };
    cfa__hmac_sha256(out, key, parts, 3);
}

static void sign(char out[HEADER_SIZE], const cfa_play *play, cfa_slice body, int64_t at_us)
{
    char timestamp[24];
    int size = snprintf(timestamp, sizeof timestamp, "%lld", (long long)(at_us / 1000000));
    assert(size > 0);
    uint8_t code[32];
    mac(code, play, (cfa_slice){ timestamp, (size_t)size }, body);
    int end = snprintf(out, HEADER_SIZE, "t=%s,v1=", timestamp);
    assert(end > 0 && (size_t)end + 2 * sizeof code < HEADER_SIZE);
    for (size_t i = 0; i < sizeof code; i++) {
        snprintf(out + (size_t)end + 2 * i, 3, "%02x", code[i]);
    }
}

static char *copy_out(const void *data, size_t size)
{
    char *copy = cfa_alloc(size + 1);
    if (copy == NULL) {
        (void)cfa_error_set(CFA_ENOMEM, CFA__PLAY_ORIGIN, NULL, 0, "no memory for a webhook");
        return NULL;
    }
    memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

cfa_status cfa_play_sign(char **out_signature, cfa_play *play, cfa_slice body, int64_t at_us)
{
    char header[HEADER_SIZE];
    sign(header, play, body, at_us);
    char *copy = copy_out(header, strlen(header));
    if (copy == NULL) {
        return CFA_ENOMEM;
    }
    *out_signature = copy;
    return CFA_OK;
}

static cfa_status take_bytes(char **out_signature, char **out_body, cfa_play *play,
                             const cfa__play_event *event)
{
    cfa_arena *arena;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK) {
        return status;
    }
    cfa_slice body;
    status = render(play, event, arena, &body);
    if (status == CFA_OK) {
        char *copy = copy_out(body.data, body.size);
        status = copy != NULL ? cfa_play_sign(out_signature, play, body, cfa__play_now_us(play))
                              : CFA_ENOMEM;
        if (status == CFA_OK) {
            *out_body = copy;
        } else {
            cfa_free(copy);
        }
    }
    cfa_arena_free(arena);
    return status;
}

cfa_status cfa_play_webhook_take(char **out_signature, char **out_body, cfa_play *play)
{
    cfa__play_event event;
    if (!take(play, &event)) {
        *out_signature = *out_body = NULL;
        return CFA_OK;
    }
    cfa_status status = take_bytes(out_signature, out_body, play, &event);
    put_down(play, &event, status == CFA_OK ? GONE : FIRST_AGAIN);
    return status;
}

/* ---- delivering ---------------------------------------------------------------------------------------------------------- */

static cfa_status deliver_one(cfa_play *play, cfa_engine *engine, const cfa__play_event *event,
                              cfa_arena *arena)
{
    cfa_slice body;
    cfa_status status = render(play, event, arena, &body);
    if (status != CFA_OK) {
        return status;
    }
    char header[HEADER_SIZE];
    sign(header, play, body, cfa__play_now_us(play));
    cfa_webhook_verdict verdict;
    return cfa_webhook_receive(&verdict, engine, (cfa_slice){ header, strlen(header) }, body, 0);
}

cfa_status cfa_play_deliver(int32_t *out_delivered, cfa_play *play, cfa_engine *engine, int32_t limit)
{
    cfa__play_lock(play);
    size_t tries = play->queue.count;
    cfa__play_unlock(play);
    if (limit > 0 && (size_t)limit < tries) {
        tries = (size_t)limit;
    }
    cfa_arena *arena;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK) {
        return status;
    }
    cfa_status refusal = CFA_OK;
    int32_t delivered = 0;
    cfa__play_event event;
    while (status == CFA_OK && tries-- > 0 && take(play, &event)) {
        cfa_arena_reset(arena);
        cfa_status answer = deliver_one(play, engine, &event, arena);
        cfa_status_class class = cfa_status_class_of(answer);
        if (class == CFA_CLASS_OK) {
            put_down(play, &event, GONE);
            delivered++;
        } else if (class == CFA_CLASS_INVALID || class == CFA_CLASS_PERMANENT) {
            /* An engine that refuses one webhook can still take the others. */
            put_down(play, &event, LAST_AGAIN);
            refusal = refusal != CFA_OK ? refusal : answer;
        } else {
            put_down(play, &event, FIRST_AGAIN);
            status = answer;
        }
    }
    cfa_arena_free(arena);
    if (out_delivered != NULL) {
        *out_delivered = delivered;
    }
    return status != CFA_OK ? status : refusal;
}

/* ---- verifying: the receiver's half ---------------------------------------------------------------------------------------- */

static cfa_status untrusted(const char *message)
{
    return cfa_error_set(CFA_ESIGNATURE, CFA__PLAY_ORIGIN, "signature", 0, message);
}

/* Lower-case only, as it is sent: two headers never mean the same bytes. */
static bool read_hex(uint8_t out[32], const char *text, size_t size)
{
    if (size != 64) {
        return false;
    }
    for (size_t i = 0; i < 64; i++) {
        char digit = text[i];
        int value = digit >= '0' && digit <= '9' ? digit - '0'
                    : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
        if (value < 0) {
            return false;
        }
        out[i / 2] = (uint8_t)(i % 2 == 0 ? value << 4 : out[i / 2] | value);
    }
    return true;
}

static bool read_timestamp(int64_t *out, const char *text, size_t size)
{
    if (size == 0 || size > TIMESTAMP_DIGITS_MAX) {
        return false;
    }
    int64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (text[i] - '0');
    }
    *out = value;
    return true;
}

/* Split off the next "name=value" of a comma-separated header. */
static bool next_element(const char **at, const char *end, const char **out_name, size_t *out_name_size,
                         cfa_slice *out_value)
{
    const char *comma = memchr(*at, ',', (size_t)(end - *at));
    const char *stop = comma != NULL ? comma : end;
    const char *equals = memchr(*at, '=', (size_t)(stop - *at));
    if (equals == NULL || (comma != NULL && comma + 1 == end)) {
        return false;
    }
    *out_name = *at;
    *out_name_size = (size_t)(equals - *at);
    *out_value = (cfa_slice){ equals + 1, (size_t)(stop - equals) - 1 };
    *at = comma != NULL ? comma + 1 : end;
    return true;
}

static cfa_status verify(const cfa_play *play, cfa_slice signature, cfa_slice body, int64_t now_us)
{
    if (signature.size == 0) {
        return untrusted("the signature header is missing");
    }
    static const char *const malformed = "the signature header is malformed: t=<seconds>,v1=<64 hex digits>";
    if (signature.size > SIGNATURE_BYTES_MAX) {
        return untrusted(malformed);
    }
    const char *at = signature.data;
    const char *end = at + signature.size;
    cfa_slice timestamp = { NULL, 0 };
    int64_t signed_s = 0;
    int32_t codes = 0;
    bool matches = false;
    uint8_t expected[32];
    while (at < end) {
        const char *name;
        size_t name_size;
        cfa_slice value;
        uint8_t code[32];
        if (!next_element(&at, end, &name, &name_size, &value)) {
            return untrusted(malformed);
        }
        if (name_size == 1 && name[0] == 't') {
            /* First, so that the codes behind it can be compared; twice would be ambiguous. */
            if (timestamp.data != NULL || !read_timestamp(&signed_s, value.data, value.size)) {
                return untrusted(malformed);
            }
            timestamp = value;
            mac(expected, play, timestamp, body);
        } else if (name_size == 2 && memcmp(name, "v1", 2) == 0) {
            if (timestamp.data == NULL || !read_hex(code, value.data, value.size)) {
                return untrusted(malformed);
            }
            codes++;
            matches |= cfa__equal_constant_time(code, expected, sizeof code);
        }
    }
    if (timestamp.data == NULL || codes == 0) {
        return untrusted(malformed);
    }
    if (!matches) {
        return untrusted("the signature does not match: the body was altered, or the secret is another one");
    }
    int64_t signed_us = signed_s * 1000000;
    if (now_us - signed_us > TOLERANCE_US) {
        return untrusted("the signature is too old: it was made more than 300 s ago");
    }
    if (signed_us - now_us > TOLERANCE_US) {
        return untrusted("the signature is from the future: it was made more than 300 s ahead of this clock");
    }
    return CFA_OK;
}

/* ---- normalising ------------------------------------------------------------------------------------------------------------ */

static cfa_status malformed_body(const char *field)
{
    return cfa_error_set(CFA_EINVAL, CFA__PLAY_ORIGIN, field, 0, "the webhook's body lacks this, or it is wrong");
}

/* Copy a text member into `arena`. A missing one is NULL when it may be, else an error. */
static cfa_status copy_text(const char **out, const cfa__json *object, const char *name, bool required,
                            cfa_arena *arena)
{
    const cfa__json *value = cfa__json_get(object, name);
    const char *text;
    *out = NULL;
    if (value == NULL && !required) {
        return CFA_OK;
    }
    if (!cfa__json_read_text(value, &text) || (required && text[0] == '\0') ||
        strlen(text) > EVENT_ID_BYTES_MAX) {
        return malformed_body(name);
    }
    *out = cfa_arena_copy(arena, text, strlen(text));
    return *out != NULL ? CFA_OK : CFA_ENOMEM;
}

static cfa_status read_amount(int64_t *out, const cfa__json *object, const char *name, int64_t most)
{
    return cfa__json_read_int(cfa__json_get(object, name), out) && *out >= 0 && *out <= most
               ? CFA_OK
               : malformed_body(name);
}

static cfa_status read_flags(uint32_t *out, const cfa__json *flags)
{
    *out = 0;
    for (size_t i = 0; i < cfa__json_size(flags); i++) {
        const char *name;
        if (!cfa__json_read_text(cfa__json_at(flags, i), &name)) {
            return malformed_body("flags");
        }
        for (size_t known = 0; known < FLAG_NAMES; known++) {
            *out |= strcmp(name, flag_names[known].name) == 0 ? flag_names[known].flag : 0;
        }
    }
    return CFA_OK;
}

static cfa_status read_facts(cfa_facts *out, const cfa__json *data, cfa_arena *arena)
{
    cfa_facts facts = CFA_FACTS_INIT;
    const char *currency;
    int64_t attempt;
    int64_t amount_minor;
    cfa_status status = copy_text(&facts.ref, data, "ref", true, arena);
    if (status == CFA_OK) {
        status = copy_text(&facts.payment_id, data, "payment_id", false, arena);
    }
    if (status == CFA_OK) {
        status = read_amount(&amount_minor, data, "amount_minor", CFA_MONEY_MINOR_MAX);
    }
    if (status == CFA_OK && (!cfa__json_read_text(cfa__json_get(data, "currency"), &currency) ||
                             cfa_money_make(&facts.amount, amount_minor, currency) != CFA_OK)) {
        status = malformed_body("currency");
    }
    if (status == CFA_OK) {
        status = read_amount(&facts.authorized_minor, data, "authorized_minor", CFA_MONEY_MINOR_MAX);
    }
    if (status == CFA_OK) {
        status = read_amount(&facts.captured_minor, data, "captured_minor", CFA_MONEY_MINOR_MAX);
    }
    if (status == CFA_OK) {
        status = read_amount(&attempt, data, "attempt", INT32_MAX);
    }
    if (status == CFA_OK) {
        status = read_amount(&facts.occurred_us, data, "occurred_us", INT64_MAX);
    }
    if (status == CFA_OK) {
        status = read_flags(&facts.flags, cfa__json_get(data, "flags"));
    }
    if (status == CFA_OK) {
        status = copy_text(&facts.failure_code, data, "failure_code", false, arena);
    }
    if (status == CFA_OK) {
        status = copy_text(&facts.cancel_reason, data, "cancel_reason", false, arena);
    }
    if (status == CFA_OK) {
        facts.attempt = (int32_t)attempt;
        *out = facts;
    }
    return status;
}

static cfa_status normalise(const cfa__json *root, cfa_arena *arena, cfa_webhook_event *out)
{
    cfa_webhook_event event = { .struct_size = sizeof event, .facts = CFA_FACTS_INIT };
    bool livemode;
    cfa_status status = copy_text(&event.event_id, root, "id", true, arena);
    if (status == CFA_OK) {
        status = copy_text(&event.event_type, root, "type", true, arena);
    }
    if (status == CFA_OK) {
        status = copy_text(&event.account, root, "account", false, arena);
    }
    if (status == CFA_OK && !cfa__json_read_bool(cfa__json_get(root, "livemode"), &livemode)) {
        status = malformed_body("livemode");
    }
    if (status != CFA_OK) {
        return status;
    }
    event.account = event.account != NULL ? event.account : "";
    event.livemode = livemode;
    for (size_t i = 0; i < CFA__PLAY_EVENT_TYPES; i++) {
        event.relevant |= strcmp(event.event_type, type_names[i]) == 0;
    }
    if (event.relevant) {
        status = read_facts(&event.facts, cfa__json_get(root, "data"), arena);
    }
    if (status == CFA_OK) {
        *out = event;
    }
    return status;
}

cfa_status cfa__play_webhook(void *self, cfa_slice signature, cfa_slice body, int64_t now_us,
                             cfa_arena *arena, cfa_webhook_event *out)
{
    if (body.size > CFA_WEBHOOK_BYTES_MAX) {
        return cfa_error_set(CFA_ETOOLONG, CFA__PLAY_ORIGIN, "body", 0, "a webhook is at most 1 MiB");
    }
    cfa_status status = verify(self, signature, body, now_us);
    if (status != CFA_OK) {
        return status;
    }
    cfa__json *root;
    status = cfa__json_parse(&root, body);
    if (status != CFA_OK) {
        return status == CFA_ENOMEM
                   ? status
                   : cfa_error_set(CFA_EINVAL, CFA__PLAY_ORIGIN, "body", 0, "the webhook's body is not JSON");
    }
    status = normalise(root, arena, out);
    cfa__json_free(root);
    return status;
}
