/*
 * api/port.c - where completions of asynchronous calls wait to be fetched. A port outlives its
 * owner's free while commands still refer to it.
 */
#include "core/api/api.h"

#include <assert.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ORIGIN "core.port"
#define WAIT_STEP_US                                                                               \
    50000 /* how long a waiting thread sleeps before it looks for commands to lead again */

struct cfa_completion {
    cfa_completion *next;
    cfa_port *port;
    uint64_t token;
    cfa_status status;
    cfa_error error;
    cfa_pledge *pledge;
    cfa_webhook_verdict verdict;
};

struct cfa_port {
    cfa_engine *engine;
    pthread_mutex_t lock;
    cfa_completion *first, *last;
    int64_t outstanding; /* reserved, not delivered */
    int descriptor;
    bool freed;
};

cfa_status cfa_port_new(cfa_port **out, cfa_engine *engine) {
    cfa_status status = cfa__call_check(engine, out);
    if (status != CFA_OK)
        return status;
    cfa_port *port = cfa_alloc(sizeof *port);
    if (port == NULL)
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for a port");
    memset(port, 0, sizeof *port);
    port->engine = engine;
    port->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (port->descriptor < 0) {
        cfa_free(port);
        return cfa_error_set(CFA_EIO, ORIGIN, NULL, 0,
                             "no descriptor for a port; raise the limit of open files");
    }
    pthread_mutex_init(&port->lock, NULL);
    *out = port;
    return CFA_OK;
}

static void port_destroy(cfa_port *port) {
    assert(port->outstanding == 0 && port->first == NULL);
    close(port->descriptor);
    pthread_mutex_destroy(&port->lock);
    cfa_free(port);
}

void cfa_port_free(cfa_port *port) {
    if (port == NULL)
        return;
    pthread_mutex_lock(&port->lock);
    port->freed = true;
    cfa_completion *completion = port->first;
    port->first = port->last = NULL;
    bool unused = port->outstanding == 0;
    pthread_mutex_unlock(&port->lock);
    while (completion != NULL) {
        cfa_completion *next = completion->next;
        cfa_completion_free(completion);
        completion = next;
    }
    if (unused)
        port_destroy(port);
}

cfa_engine *cfa__port_engine(cfa_port *port) { return port == NULL ? NULL : port->engine; }

int cfa_port_descriptor(cfa_port *port) { return port == NULL ? -1 : port->descriptor; }

/* ---- completions ----------------------------------------------------------------------------- */

cfa_status cfa__completion_reserve(cfa_completion **out, cfa_port *port, uint64_t token) {
    cfa_completion *completion = cfa_alloc(sizeof *completion);
    if (completion == NULL)
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for a completion");
    memset(completion, 0, sizeof *completion);
    completion->port = port;
    completion->token = token;
    completion->error.struct_size = sizeof completion->error;
    pthread_mutex_lock(&port->lock);
    port->outstanding++;
    pthread_mutex_unlock(&port->lock);
    *out = completion;
    return CFA_OK;
}

void cfa__completion_fail(cfa_completion *completion, cfa_status status, const cfa_error *error) {
    completion->status = status;
    completion->error = *error;
}

void cfa__completion_set_pledge(cfa_completion *completion, cfa_pledge *pledge) {
    completion->pledge = pledge;
}

void cfa__completion_set_webhook(cfa_completion *completion, cfa_webhook_verdict verdict) {
    completion->verdict = verdict;
}

/* Take one reservation off a port; true when the port was freed and this was the last. */
static bool settle(cfa_port *port) {
    assert(port->outstanding > 0);
    port->outstanding--;
    return port->freed && port->outstanding == 0;
}

void cfa__completion_deliver(cfa_completion *completion) {
    cfa_port *port = completion->port;
    pthread_mutex_lock(&port->lock);
    bool last = settle(port), dropped = port->freed, first = port->first == NULL;
    if (!dropped) {
        if (first)
            port->first = completion;
        else
            port->last->next = completion;
        port->last = completion;
    }
    if (!dropped && first) { /* it stays readable until the last one is taken */
        uint64_t one = 1;
        ssize_t written = write(port->descriptor, &one, sizeof one);
        (void)written;
    }
    cfa_engine *engine = port->engine;
    pthread_mutex_unlock(&port->lock);
    if (dropped)
        cfa_completion_free(completion);
    if (last)
        port_destroy(port);
    else if (first)
        cfa__progress_nudge(engine);
}

void cfa__completion_cancel(cfa_completion *completion) {
    cfa_port *port = completion->port;
    pthread_mutex_lock(&port->lock);
    bool last = settle(port);
    pthread_mutex_unlock(&port->lock);
    cfa_completion_free(completion);
    if (last)
        port_destroy(port);
}

static cfa_completion *take(cfa_port *port) {
    pthread_mutex_lock(&port->lock);
    cfa_completion *completion = port->first;
    if (completion != NULL) {
        port->first = completion->next;
        completion->next = NULL;
        if (port->first == NULL) {
            port->last = NULL;
            uint64_t count;
            ssize_t drained = read(port->descriptor, &count, sizeof count);
            (void)drained;
        }
    }
    pthread_mutex_unlock(&port->lock);
    return completion;
}

cfa_status cfa_port_next(cfa_completion **out, cfa_port *port, int32_t timeout_ms) {
    if (port == NULL || out == NULL)
        return cfa_error_set(CFA_EMISUSE, ORIGIN, "port", 0, "port or out is NULL");
    cfa_completion *waiting = take(port);
    if (waiting != NULL || timeout_ms == 0) {
        *out = waiting;
        return CFA_OK;
    }
    cfa_engine *engine = port->engine;
    int64_t deadline = timeout_ms < 0 ? INT64_MAX : cfa__real_us() + (int64_t)timeout_ms * 1000;
    uint64_t seen = cfa__progress_count(engine);
    for (;;) {
        cfa_completion *completion = take(port);
        int64_t now = cfa__real_us();
        if (completion != NULL || now >= deadline) {
            *out = completion;
            return CFA_OK;
        }
        if (cfa__calls_run_ready(engine, INT64_MIN, NULL) > 0 ||
            cfa__flights_wait(engine, cfa__left_ms(deadline))) {
            (void)cfa__lead_once(engine); /* one batch: others may fill the queue for ever */
            continue;
        }
        int64_t step = deadline - now > WAIT_STEP_US ? now + WAIT_STEP_US : deadline;
        seen = cfa__progress_wait(engine, seen, step);
    }
}

uint64_t cfa_completion_token(const cfa_completion *completion) { return completion->token; }
cfa_status cfa_completion_status(const cfa_completion *completion) { return completion->status; }
cfa_webhook_verdict cfa_completion_webhook(const cfa_completion *completion) {
    return completion->verdict;
}

cfa_status cfa_completion_error(cfa_error *out, const cfa_completion *completion) {
    if (out == NULL || out->struct_size < sizeof *out)
        return cfa_error_set(CFA_EABI, ORIGIN, "out", 0, "start from CFA_ERROR_INIT");
    size_t size = out->struct_size;
    *out = completion->error;
    out->struct_size = size;
    return CFA_OK;
}

cfa_pledge *cfa_completion_pledge(cfa_completion *completion) {
    cfa_pledge *pledge = completion->pledge;
    completion->pledge = NULL;
    return pledge;
}

void cfa_completion_free(cfa_completion *completion) {
    if (completion == NULL)
        return;
    cfa_pledge_free(completion->pledge);
    cfa_free(completion);
}
