/*
 * sink.c - the memory sink: keeps a copy of every event it is sent, repeats included.
 *
 * What `send` took counts as durable at once. A test may read while a relay sends: events stay
 * where they are. Never judges what is sent, so that a test can see what an engine really did.
 */
#include <careforall/adapters/memory.h>

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

typedef struct memory_sink {
    pthread_mutex_t mutex;
    cfa_event_view **events; /* each in one allocation with all its texts */
    size_t size, capacity;
    int64_t acknowledged;
} memory_sink;

static cfa_status out_of_memory(void) {
    return cfa_error_set(CFA_ENOMEM, "sink.memory", NULL, 0, "no memory for an event");
}

static size_t text_size(const char *text) { return text != NULL ? strlen(text) + 1 : 0; }

static const char *copy_text(char **end, const char *text) {
    size_t size = text_size(text);
    if (text == NULL) {
        return NULL;
    }
    char *copy = memcpy(*end, text, size);
    *end += size;
    return copy;
}

static cfa_event_view *copy_event(const cfa_event_view *event) {
    size_t size = sizeof(*event) + text_size(event->source) + text_size(event->id) +
                  text_size(event->event_type) + text_size(event->subject) +
                  text_size(event->traceparent) + event->data.size + 1;
    cfa_event_view *copy = cfa_alloc(size);
    if (copy == NULL) {
        return NULL;
    }
    char *end = (char *)(copy + 1);
    *copy = *event;
    copy->struct_size = sizeof(*copy);
    copy->source = copy_text(&end, event->source);
    copy->id = copy_text(&end, event->id);
    copy->event_type = copy_text(&end, event->event_type);
    copy->subject = copy_text(&end, event->subject);
    copy->traceparent = copy_text(&end, event->traceparent);
    copy->data.data = end;
    if (event->data.size > 0) {
        memcpy(end, event->data.data, event->data.size);
    }
    end[event->data.size] = '\0';
    return copy;
}

/* With the mutex held. */
static bool reserve(memory_sink *sink) {
    if (sink->size < sink->capacity) {
        return true;
    }
    size_t capacity = sink->capacity > 0 ? sink->capacity * 2 : 64;
    cfa_event_view **events = cfa_realloc(sink->events, capacity * sizeof(*events));
    if (events == NULL) {
        return false;
    }
    sink->events = events;
    sink->capacity = capacity;
    return true;
}

static bool append(memory_sink *sink, cfa_event_view *event) {
    pthread_mutex_lock(&sink->mutex);
    bool reserved = reserve(sink);
    if (reserved) {
        sink->events[sink->size++] = event;
        sink->acknowledged = event->position;
    }
    pthread_mutex_unlock(&sink->mutex);
    return reserved;
}

static cfa_status sink_send(void *self, const cfa_event_view *events, size_t count,
                            size_t *out_taken) {
    memory_sink *sink = self;
    size_t taken = 0;
    while (taken < count) {
        cfa_event_view *copy = copy_event(&events[taken]);
        if (copy == NULL || !append(sink, copy)) {
            cfa_free(copy);
            break;
        }
        taken++;
    }
    if (taken == 0 && count > 0) {
        return out_of_memory();
    }
    *out_taken = taken;
    return CFA_OK;
}

static cfa_status sink_poll(void *self, int64_t *out_acknowledged) {
    memory_sink *sink = self;
    pthread_mutex_lock(&sink->mutex);
    *out_acknowledged = sink->acknowledged;
    pthread_mutex_unlock(&sink->mutex);
    return CFA_OK;
}

static cfa_status sink_reset(void *self, int64_t position) {
    memory_sink *sink = self;
    pthread_mutex_lock(&sink->mutex);
    sink->acknowledged = position;
    pthread_mutex_unlock(&sink->mutex);
    return CFA_OK;
}

static void sink_close(void *self) {
    memory_sink *sink = self;
    for (size_t i = 0; i < sink->size; i++) {
        cfa_free(sink->events[i]);
    }
    pthread_mutex_destroy(&sink->mutex);
    cfa_free(sink->events);
    cfa_free(sink);
}

static const cfa_sink_ops sink_ops = {
    sizeof(cfa_sink_ops), "memory", sink_send, sink_poll, sink_reset, NULL, sink_close, NULL,
};

cfa_status cfa_memory_sink_new(cfa_sink *out) {
    memory_sink *sink = cfa_alloc(sizeof(*sink));
    if (sink == NULL) {
        return out_of_memory();
    }
    memset(sink, 0, sizeof(*sink));
    pthread_mutex_init(&sink->mutex, NULL);
    out->ops = &sink_ops;
    out->self = sink;
    return CFA_OK;
}

size_t cfa_memory_sink_size(const cfa_sink *sink) {
    memory_sink *self = sink->self;
    pthread_mutex_lock(&self->mutex);
    size_t size = self->size;
    pthread_mutex_unlock(&self->mutex);
    return size;
}

const cfa_event_view *cfa_memory_sink_at(const cfa_sink *sink, size_t index) {
    memory_sink *self = sink->self;
    pthread_mutex_lock(&self->mutex);
    const cfa_event_view *event = index < self->size ? self->events[index] : NULL;
    pthread_mutex_unlock(&self->mutex);
    return event;
}
