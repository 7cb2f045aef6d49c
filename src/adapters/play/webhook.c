/*
 * webhook.c - the play provider's webhooks: the queue, their bytes, signing and delivering them.
 *
 * An event carries the facts as of its own moment, so one that comes late says less. Bytes are made
 * when an event leaves: a repeat has the same body and a new signature, as a real provider's has.
 */
#include "adapters/play/books.h"
#include "util/signature.h"

#include <careforall/payment.h>

#include <assert.h>
#include <stdio.h>
#include <string.h>

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
    [CFA__PLAY_CHARGE_UPDATED] = "charge.updated",
    [CFA__PLAY_REFUND_CREATED] = "refund.created",
    [CFA__PLAY_REFUND_UPDATED] = "refund.updated",
    [CFA__PLAY_REFUND_FAILED] = "refund.failed",
    [CFA__PLAY_DISPUTE_CREATED] = "dispute.created",
    [CFA__PLAY_DISPUTE_UPDATED] = "dispute.updated",
    [CFA__PLAY_DISPUTE_FUNDS_WITHDRAWN] = "dispute.funds_withdrawn",
    [CFA__PLAY_DISPUTE_FUNDS_REINSTATED] = "dispute.funds_reinstated",
    [CFA__PLAY_DISPUTE_CLOSED] = "dispute.closed",
    [CFA__PLAY_FRAUD_WARNING_CREATED] = "fraud_warning.created",
};

const char *cfa__play_event_type_name(cfa__play_event_type type) { return type_names[type]; }

/* ---- the queue ------------------------------------------------------------------------------- */

static cfa__play_event *queue_at(cfa__play_queue *queue, size_t index) {
    assert(index < queue->capacity);
    return &queue->events[(queue->head + index) % queue->capacity];
}

cfa_status cfa__play_queue_reserve(cfa_play *play) {
    cfa__play_queue *queue = &play->queue;
    size_t needed = queue->count + queue->in_flight + 2 * CFA__PLAY_EVENTS_PER_CHANGE;
    if (needed <= queue->capacity) {
        return CFA_OK;
    }
    cfa__play_queue grown = { NULL, queue->capacity == 0 ? 64 : queue->capacity * 2, 0,
                              queue->count, queue->in_flight };
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

static void push_back(cfa_play *play, const cfa__play_event *event) {
    cfa__play_queue *queue = &play->queue;
    assert(queue->count + queue->in_flight < queue->capacity);
    *queue_at(queue, queue->count) = *event;
    queue->count++;
}

static void push_reordered(cfa_play *play, const cfa__play_event *event) {
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

void cfa__play_queue_push(cfa_play *play, cfa__play_event_type type,
                          const cfa__play_report *report) {
    cfa__play_event event = { type, ++play->event_number, *report };
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
static bool take(cfa_play *play, cfa__play_event *out) {
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

static void put_down(cfa_play *play, const cfa__play_event *event, event_fate fate) {
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

/* ---- the bytes ------------------------------------------------------------------------------- */

static cfa_status render(const cfa_play *play, const cfa__play_event *event, cfa_arena *arena,
                         cfa_slice *out) {
    assert(!event->report.whole);
    const cfa__play_intent *intent = event->report.intent;
    cfa_facts facts;
    cfa_status status = cfa__play_facts(&facts, &event->report, arena);
    if (status != CFA_OK) {
        return status;
    }
    char id[32];
    snprintf(id, sizeof id, "evt_play_%016llx",
             (unsigned long long)cfa__play_mix(event->number ^ cfa__play_mix(~play->seed) ^
                                               cfa__play_mix(~intent->payment->item.hash)));
    cfa__buffer body;
    cfa__buffer_init(&body, arena, 640);
    cfa__json_open(&body, NULL, '{');
    cfa__json_text(&body, "id", id);
    cfa__json_text(&body, "type", type_names[event->type]);
    cfa__json_text(&body, "account", intent->account);
    cfa__json_bool(&body, "livemode", false);
    cfa__json_int(&body, "created_us", facts.occurred_us);
    cfa__json_open(&body, "data", '{');
    cfa__play_facts_write(&body, &facts);
    cfa__json_close(&body, '}');
    cfa__json_close(&body, '}');
    return cfa__buffer_finish(&body, out);
}

static void sign(char out[CFA__SIGNATURE_SIZE], const cfa_play *play, cfa_slice body,
                 int64_t at_us) {
    const cfa_slice secret = { play->webhook_secret, strlen(play->webhook_secret) };
    cfa__signature_make(out, secret, body, at_us);
}

static char *copy_out(const void *data, size_t size) {
    char *copy = cfa_alloc(size + 1);
    if (copy == NULL) {
        (void)cfa_error_set(CFA_ENOMEM, CFA__PLAY_ORIGIN, NULL, 0, "no memory for a webhook");
        return NULL;
    }
    memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

cfa_status cfa_play_sign(char **out_signature, cfa_play *play, cfa_slice body, int64_t at_us) {
    char header[CFA__SIGNATURE_SIZE];
    sign(header, play, body, at_us);
    char *copy = copy_out(header, strlen(header));
    if (copy == NULL) {
        return CFA_ENOMEM;
    }
    *out_signature = copy;
    return CFA_OK;
}

static cfa_status take_bytes(char **out_signature, char **out_body, cfa_play *play,
                             const cfa__play_event *event) {
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

cfa_status cfa_play_webhook_take(char **out_signature, char **out_body, cfa_play *play) {
    cfa__play_event event;
    if (!take(play, &event)) {
        *out_signature = *out_body = NULL;
        return CFA_OK;
    }
    cfa_status status = take_bytes(out_signature, out_body, play, &event);
    put_down(play, &event, status == CFA_OK ? GONE : FIRST_AGAIN);
    return status;
}

/* ---- delivering ------------------------------------------------------------------------------ */

static cfa_status deliver_one(cfa_play *play, cfa_engine *engine, const cfa__play_event *event,
                              cfa_arena *arena) {
    cfa_slice body;
    cfa_status status = render(play, event, arena, &body);
    if (status != CFA_OK) {
        return status;
    }
    char header[CFA__SIGNATURE_SIZE];
    sign(header, play, body, cfa__play_now_us(play));
    cfa_webhook_verdict verdict;
    return cfa_webhook_receive(&verdict, engine, (cfa_slice){ header, strlen(header) }, body, 0);
}

cfa_status cfa_play_deliver(int32_t *out_delivered, cfa_play *play, cfa_engine *engine,
                            int32_t limit) {
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
