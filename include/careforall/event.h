/*
 * event.h - the outbox: an insert-only log with dense positions, and durable subscriptions to it.
 *
 * An event exists if and only if its transaction committed. Each subscription receives every event
 * at least once, first deliveries in position order; its cursor never passes an event that was not
 * acknowledged. The registry of types is docs/events.md.
 */
#ifndef CAREFORALL_EVENT_H
#define CAREFORALL_EVENT_H

#include <careforall/base.h>
#include <careforall/sys/transport.h>

CFA_BEGIN

typedef struct cfa_event_list cfa_event_list;
typedef struct cfa_subscription cfa_subscription;

/* Read events after a position, at most `limit` (0: 100). No cursor moves. `*out`: owned. */
CFA_API CFA_MUST_CHECK cfa_status cfa_event_page(cfa_event_list **out, cfa_engine *engine,
                                                 int64_t after_position, int32_t limit);
CFA_API size_t cfa_event_list_size(const cfa_event_list *list);
/* Borrowed from the list; NULL beyond its size. */
CFA_API const cfa_event_view *cfa_event_list_at(const cfa_event_list *list, size_t index);
CFA_API void cfa_event_list_free(cfa_event_list *list);

/*
 * Open the durable subscription `name`, creating its cursor at the log's start.
 *
 * One reader at a time: opening takes the subscription over, and the earlier reader's next `_ack`
 * is CFA_EFENCED. `name`: 1 to 60 of a-z 0-9 _ -, copied. `*out`: owned, freed before the engine
 * closes.
 * Expected: CFA_OK; CFA_EINVAL; TRANSIENT; CFA_EINDOUBT. Threading: a subscription is used by one
 * thread.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_subscription_open(cfa_subscription **out, cfa_engine *engine,
                                                        const char *name);

/*
 * Read the next events after what this subscription has read, at most `limit` (0: 100), waiting up
 * to `timeout_ms` for the first; an empty list when none came. Not acknowledged until `_ack`.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_subscription_next(cfa_event_list **out,
                                                        cfa_subscription *subscription,
                                                        int32_t limit, int32_t timeout_ms);

/*
 * Acknowledge everything up to `position`. Durable when it returns; a repeat or a lower position
 * changes nothing. Expected: CFA_OK; CFA_ERANGE (not read yet); CFA_EFENCED (taken over: stop);
 * TRANSIENT.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_subscription_ack(cfa_subscription *subscription,
                                                       int64_t position);
CFA_API void cfa_subscription_free(cfa_subscription *subscription);

CFA_END

#endif
