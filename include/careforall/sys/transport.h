/*
 * sys/transport.h - what a sink implements: it takes events in log order and says how far it got.
 *
 * Every event reaches every sink at least once, first deliveries in position order. `send` may be
 * given events again after a crash or a lost lease. A sink never blocks: what it cannot take now it
 * leaves.
 */
#ifndef CAREFORALL_SYS_TRANSPORT_H
#define CAREFORALL_SYS_TRANSPORT_H

#include <careforall/base.h>
#include <careforall/sys/platform.h>

CFA_BEGIN

/* One event as it stands in the log. Bytes are final: a sink never rewrites them. CloudEvents 1.0
 * names. */
typedef struct cfa_event_view {
    size_t struct_size;
    int64_t position;       /* dense and commit-ordered */
    const char *source;     /* "/careforall/<book>/<incarnation>" */
    const char *id;         /* "evt_..." */
    const char *event_type; /* "org.careforall.pledge.created.v1" */
    const char *subject;    /* "pay_..." or "cmp_..." : the partition key */
    int64_t sequence;       /* of the subject, 1, 2, 3, ... without a gap */
    int64_t time_us;
    const char *traceparent; /* W3C trace context, or NULL */
    cfa_slice data;          /* JSON */
} cfa_event_view;

typedef struct cfa_sink_ops {
    size_t struct_size;
    const char *name; /* "memory", "ndjson", ... */

    /*
     * Take a prefix of `events` without blocking; `out_taken` says how many. Positions follow the
     * last taken one without a gap, except after `reset`. Returning CFA_OK with 0 taken means
     * "later". TRANSIENT: try again later; CFA_EREFUSED: the event behind those taken is refused
     * for its own sake, and would be again whatever its neighbours; any other PERMANENT: the sink
     * is broken and is paused. The error detail says why: `native_code` and message are kept.
     */
    cfa_status (*send)(void *self, const cfa_event_view *events, size_t count, size_t *out_taken);

    /* Write the last position of the contiguous prefix that is durable in the sink; make progress
     * first. CFA_EREFUSED: the event behind that position was refused, as above. After a refusal
     * comes `reset`, to before that event or, once it was set aside, to behind it. */
    cfa_status (*poll)(void *self, int64_t *out_acknowledged);

    /* A new owner starts after `position`: forget what was in flight. */
    cfa_status (*reset)(void *self, int64_t position);

    /* Optional: a descriptor that becomes readable when `poll` has news, or -1. */
    int (*descriptor)(void *self);

    void (*close)(void *self);

    /*
     * Optional. Take an event again that had been set aside: out of order, and marked as such in
     * whatever the sink writes, if its protocol can. Never blocks; called again with the same event
     * until `*out_done`, which says that it is durable in the sink; `reset` also forgets about it.
     * Failures as for `send`. Not part of the sequence: neither `send` nor `poll` counts it. In a
     * sink without it dead letters stay dead.
     */
    cfa_status (*redeliver)(void *self, const cfa_event_view *event, int32_t *out_done);
} cfa_sink_ops;

typedef struct cfa_sink {
    const cfa_sink_ops *ops;
    void *self;
} cfa_sink;

CFA_END

#endif
