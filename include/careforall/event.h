/*
 * event.h - the outbox: an insert-only log with dense positions, durable subscriptions to it, and
 * what an operator may do to its cursors.
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

/* ---- cursors and dead letters, for operators ------------------------------------------------- */

typedef struct cfa_cursor_list cfa_cursor_list;
typedef struct cfa_letter_list cfa_letter_list;

typedef int32_t cfa_cursor_state;
enum {
    CFA_CURSOR_RUNS = 0,
    CFA_CURSOR_PAUSED = 1, /* by an operator, until it is resumed */
    CFA_CURSOR_STOPPED = 2 /* by the sink's own failure: an engine that opens tries it once more */
};

/* A cursor as it stood when it was read. */
typedef struct cfa_cursor_view {
    size_t struct_size;
    const char *name;     /* of a sink, "totals" of the projector, "sub.NAME" of a subscription */
    int64_t head;         /* newest position of the log */
    int64_t acknowledged; /* everything up to here was delivered, or is a dead letter */
    int64_t lag;          /* events behind that */
    int64_t oldest_us;    /* when the first of them was made; 0: there is none */
    int64_t epoch;        /* raised by each owner and each rewind */
    int32_t owned;        /* non-zero: a living owner leads it; the projector needs none */
    cfa_cursor_state paused;
    const char *reason; /* why; NULL: not paused */
    int64_t paused_us, updated_us;
    int64_t refused;       /* position that the sink refuses for now; 0: none */
    int64_t refused_tries; /* of that */
    int64_t dead_count;    /* dead letters, requeued ones included */
    int64_t requeued_count;
} cfa_cursor_view;

/* An event that a sink refused, set aside. */
typedef struct cfa_letter_view {
    size_t struct_size;
    int64_t position;
    const char *event_id, *event_type, *subject;
    int64_t tries;
    int64_t code;              /* the sink's own, of the newest refusal */
    const char *reason;        /* the sink's words; NULL: none */
    int64_t first_us, last_us; /* refused */
    int32_t requeued;          /* non-zero: will be delivered again */
} cfa_letter_view;

/* List the cursors of all sinks and subscriptions, by name; `page->after` is a name. `*out`:
 * owned. */
CFA_API CFA_MUST_CHECK cfa_status cfa_cursor_page(cfa_cursor_list **out, cfa_engine *engine,
                                                  const cfa_page *page);
CFA_API size_t cfa_cursor_list_size(const cfa_cursor_list *list);
/* Borrowed from the list; NULL beyond its size. */
CFA_API const cfa_cursor_view *cfa_cursor_list_at(const cfa_cursor_list *list, size_t index);
/* Where the next page begins; NULL: this was the last. */
CFA_API const char *cfa_cursor_list_next(const cfa_cursor_list *list);
/* Non-zero: a command with this key was done before, and nothing was done now. */
CFA_API int32_t cfa_cursor_list_replayed(const cfa_cursor_list *list);
CFA_API void cfa_cursor_list_free(cfa_cursor_list *list);

/*
 * List a sink's dead letters behind a position, at most `limit` (0: 100). `*out`: owned. Expected:
 * CFA_OK; CFA_ENOTFOUND (no such cursor); CFA_ERANGE; TRANSIENT.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_letter_page(cfa_letter_list **out, cfa_engine *engine,
                                                  const char *name, int64_t after_position,
                                                  int32_t limit);
CFA_API size_t cfa_letter_list_size(const cfa_letter_list *list);
/* Borrowed from the list; NULL beyond its size. */
CFA_API const cfa_letter_view *cfa_letter_list_at(const cfa_letter_list *list, size_t index);
CFA_API void cfa_letter_list_free(cfa_letter_list *list);

/*
 * The commands below give the cursor as it stands afterwards, a list of one. Durable when they
 * return; every process's relay acts on them within a second. They are logged, and are no events of
 * the log: it tells what became of the book, not of its delivery, and no sink has to know of
 * another's troubles. What changes something is an act of the audit log, with `by`, which is
 * copied. `name`: as in the list. Common failures: CFA_ENOTFOUND (no such cursor), CFA_ENOTSUP (the
 * projector, or what a subscription does not have), TRANSIENT, CFA_EINDOUBT.
 */

/*
 * Deliver everything behind `position` again. Whoever runs the sink is fenced and starts over
 * there; a subscription's reader is told by CFA_EFENCED. `expected`: where the cursor stands, so
 * that nobody rewinds what moved meanwhile: pause a sink that runs. `scope`, `key`: an idempotency
 * key, as for pledges: a repeat must not rewind again.
 * Expected: CFA_OK; CFA_EVERSION (it stands elsewhere); CFA_ERANGE (only backward);
 * CFA_EKEYREUSE; CFA_EKEY.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_cursor_rewind(cfa_cursor_list **out, cfa_engine *engine,
                                                    const char *name, int64_t expected,
                                                    int64_t position, const char *scope,
                                                    const char *key, const cfa_actor *by);

/* Stop delivering, in every process, also over restarts; what the sink has may still be
 * acknowledged. A repeat changes nothing. `by`: its reason is required, and shown in lists. */
CFA_API CFA_MUST_CHECK cfa_status cfa_cursor_pause(cfa_cursor_list **out, cfa_engine *engine,
                                                   const char *name, const cfa_actor *by);

/* Go on after a pause, whoever paused it. A repeat changes nothing. */
CFA_API CFA_MUST_CHECK cfa_status cfa_cursor_resume(cfa_cursor_list **out, cfa_engine *engine,
                                                    const char *name, const cfa_actor *by);

/*
 * Deliver the dead letter at `position` (0: all of the sink's) again, out of order and once; it
 * goes away in a commit after the sink took it, and stays when it is refused again. `scope`, `key`:
 * a repeat must not requeue what was refused again since.
 * Expected: CFA_OK; CFA_ENOTFOUND (no such dead letter); CFA_EKEYREUSE; CFA_EKEY.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_letter_requeue(cfa_cursor_list **out, cfa_engine *engine,
                                                     const char *name, int64_t position,
                                                     const char *scope, const char *key,
                                                     const cfa_actor *by);

CFA_END

#endif
