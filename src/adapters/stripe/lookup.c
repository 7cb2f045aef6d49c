/*
 * lookup.c - is there an object of this payment? Reads the lists of what was created in the call's
 * window, likely places first, and repeats a page that failed. Says that there is none only when
 * every second of the window was seen, by this look-up or, settled, by others; else UNKNOWN. Pure
 * but for what look-ups share.
 */
#include "adapters/stripe/stripe.h"
#include "util/id.h"

#include <string.h>

#define PAGE_OBJECTS_MAX CFA__STRIPE_PAGE_OBJECTS_MAX
#define PAGE_TRIES_MAX 4
#define PAGE_TIMEOUT_MS 10000 /* so that one page that hangs leaves time for another try */
#define RETRY_MS 200          /* then twice as long each time */
#define ID_SIZE 256
/* Around the payment's own time, in which its object most likely lies: every look-up reads that
 * itself, whatever others saw there. */
#define NEAR_BEFORE_S 15
#define NEAR_AFTER_S 45
#define OPEN_END_S (INT64_MAX - 1)

struct cfa__stripe_walk {
    const char *account;
    uint64_t payment;
    bool sessions, then_intents;
    cfa__stripe_span window, near;
    int64_t pivot_s;         /* look-ups that walk at once begin apart from each other */
    cfa__stripe_spans spans; /* of the window, in this list: seen by anybody */
    cfa__stripe_spans own;   /* ... by this look-up */
    bool began;              /* ... and it was asked for once */
    cfa__stripe_span slice;  /* what the next page is taken from */
    char after[ID_SIZE];     /* ... behind this object, or "" */
    int64_t after_s;
    bool unordered; /* ... whose pages are not newest first: only the last tells what was seen */
    bool sighted;   /* ... in which the payment was seen: read to its end before anything else */
    char found[ID_SIZE]; /* a hosted page that is to be read together with its intent, or "" */
    int32_t page_objects, requests, tries;
    bool news; /* it leaves others less to do */
};

/* ---- requests -------------------------------------------------------------------------------- */

/* There was no time for all of it; the next look-up has less to do. */
static bool stop(cfa__stripe_exchange *exchange, const char *code) {
    (void)cfa__stripe_exchange_end(exchange, CFA_OUTCOME_UNKNOWN, code);
    exchange->out->unfinished = exchange->walk->news;
    return false;
}

static bool ask(cfa__stripe_exchange *exchange, int64_t delay_ms,
                cfa__stripe_request *out_request) {
    struct cfa__stripe_walk *walk = exchange->walk;
    int64_t left_ms = cfa__stripe_exchange_left_ms(exchange) - delay_ms;
    if (walk->requests == CFA_STRIPE_LOOKUP_PAGES_MAX) {
        return stop(exchange, "too_many_pages");
    }
    if (left_ms <= 0) {
        return stop(exchange, "timeout");
    }
    walk->requests++;
    cfa_status status =
        walk->found[0] != '\0'
            ? cfa__stripe_request_read(out_request, walk->found, exchange->arena)
            : cfa__stripe_request_list(out_request, walk->sessions, walk->slice,
                                       walk->slice.until_s == OPEN_END_S, walk->after,
                                       walk->page_objects, exchange->arena);
    if (status != CFA_OK) {
        return cfa__stripe_exchange_end(exchange, CFA_OUTCOME_UNKNOWN, "out_of_memory");
    }
    out_request->delay_ms = (int32_t)delay_ms;
    out_request->timeout_ms = (int32_t)(left_ms < PAGE_TIMEOUT_MS ? left_ms : PAGE_TIMEOUT_MS);
    return true;
}

/* Choose what to look at next. False: everything was seen. */
static bool choose_slice(cfa__stripe_exchange *exchange) {
    struct cfa__stripe_walk *walk = exchange->walk;
    int64_t second_s;
    walk->sighted = cfa__stripe_seen_take(exchange->stripe->seen, walk->account, walk->sessions,
                                          walk->payment, walk->window, &walk->spans, &second_s);
    if (walk->sighted) {
        walk->slice = (cfa__stripe_span){ second_s, second_s };
        walk->after[0] = '\0';
    } else {
        /* The newest first: mostly that is all there is. Then the likely place, then all others. */
        cfa__stripe_span below = { walk->window.from_s, walk->pivot_s };
        bool gap = walk->began && (cfa__stripe_spans_gap(&walk->own, walk->near, &walk->slice) ||
                                   cfa__stripe_spans_gap(&walk->spans, below, &walk->slice));
        gap = gap || cfa__stripe_spans_gap(&walk->spans, walk->window, &walk->slice) ||
              cfa__stripe_spans_gap(&walk->own, walk->near, &walk->slice);
        if (!gap && walk->requests > 0) {
            return false;
        }
        if (!gap) { /* all is known: but whoever asks wants to hear from Stripe */
            walk->slice = (cfa__stripe_span){ walk->window.until_s, walk->window.until_s };
        }
    }
    if (walk->after_s != walk->slice.until_s) {
        walk->after[0] = '\0';
    }
    walk->unordered = false;
    return true;
}

static void begin_list(struct cfa__stripe_walk *walk, bool sessions) {
    walk->sessions = sessions;
    walk->spans.count = walk->own.count = 0;
    walk->began = false;
    walk->after[0] = '\0';
    walk->after_s = -1;
}

/* Ask for the next page of this list, or of the other one. */
static bool walk_on(cfa__stripe_exchange *exchange, cfa__stripe_request *out_request) {
    struct cfa__stripe_walk *walk = exchange->walk;
    if (!choose_slice(exchange)) {
        if (!walk->then_intents) {
            return cfa__stripe_exchange_end(exchange, CFA_OUTCOME_NOT_SENT, NULL);
        }
        walk->then_intents = false;
        begin_list(walk, false);
        if (!choose_slice(exchange)) {
            return cfa__stripe_exchange_end(exchange, CFA_OUTCOME_NOT_SENT, NULL);
        }
    }
    return ask(exchange, 0, out_request);
}

/* ---- the beginning --------------------------------------------------------------------------- */

static int64_t to_seconds(int64_t time_us, bool up) {
    return time_us <= 0 ? 0 : time_us / 1000000 + (up && time_us % 1000000 != 0);
}

/* The engine's ids carry the time of the payment. An empty span when this one does not. */
static cfa__stripe_span near_of(const char *payment_id, cfa__stripe_span window) {
    cfa__id id;
    if (cfa__id_parse(&id, "pay", payment_id, "payment_id") != CFA_OK) {
        return (cfa__stripe_span){ 1, 0 };
    }
    int64_t time_ms = 0;
    for (size_t i = 0; i < 6; i++) {
        time_ms = time_ms << 8 | id.bytes[i];
    }
    cfa__stripe_span near = { time_ms / 1000 - NEAR_BEFORE_S, time_ms / 1000 + NEAR_AFTER_S };
    near.from_s = near.from_s > window.from_s ? near.from_s : window.from_s;
    near.until_s = near.until_s < window.until_s ? near.until_s : window.until_s;
    return near;
}

bool cfa__stripe_lookup_begin(cfa__stripe_exchange *exchange, cfa__stripe_request *out_request) {
    const cfa_call *call = exchange->call;
    bool open = call->created_until_us <= 0 || call->created_until_us == INT64_MAX;
    cfa__stripe_span window = { to_seconds(call->created_from_us, false),
                                open ? OPEN_END_S : to_seconds(call->created_until_us, true) };
    if (call->payment_id == NULL || call->payment_id[0] == '\0' || window.from_s > window.until_s) {
        return cfa__stripe_exchange_end(exchange, CFA_OUTCOME_UNKNOWN, "parameter_missing");
    }
    struct cfa__stripe_walk *walk = cfa_arena_alloc(exchange->arena, sizeof *walk);
    if (walk == NULL) {
        return cfa__stripe_exchange_end(exchange, CFA_OUTCOME_UNKNOWN, "out_of_memory");
    }
    exchange->walk = walk;
    exchange->phase = CFA__STRIPE_LOOKUP;
    walk->account = cfa__stripe_account_of(exchange->stripe, call);
    walk->payment = cfa__stripe_seen_payment(call->payment_id);
    walk->window = window;
    walk->near = near_of(call->payment_id, window);
    walk->pivot_s =
        window.from_s + (int64_t)(walk->payment % (uint64_t)(window.until_s - window.from_s + 1));
    walk->page_objects = PAGE_OBJECTS_MAX;
    /* The body says which of the two it made. Without one the other may have been the mode once. */
    bool sessions =
        call->body.size > 0 ? cfa__stripe_makes_page(call->body) : exchange->stripe->hosted;
    walk->then_intents = sessions && call->body.size == 0;
    begin_list(walk, sessions);
    return walk_on(exchange, out_request);
}

/* ---- failures -------------------------------------------------------------------------------- */

static bool may_pass(const cfa__stripe_response *response) {
    if (response->fate != CFA__STRIPE_ANSWERED) {
        return response->unavailable;
    }
    if (response->status >= 500) {
        return response->retry_wish >= 0;
    }
    return response->status == 408 || response->status == 409 || response->status == 424 ||
           response->status == 429 || response->retry_wish > 0;
}

static int64_t delay_ms(const struct cfa__stripe_walk *walk, const cfa__stripe_response *response) {
    int64_t delay = RETRY_MS << walk->tries;
    /* Many may have been turned away at once: they do not come back at once. */
    delay += (int64_t)((walk->payment >> (walk->requests % 32)) % (uint64_t)delay);
    return delay > response->retry_after_ms ? delay : response->retry_after_ms;
}

/*
 * Ask again for what failed. The first request of a look-up is not repeated: nothing is lost with
 * it, and that the provider is out should be known soon.
 */
static bool failed(cfa__stripe_exchange *exchange, const cfa__stripe_response *response,
                   const cfa__json *root, cfa__stripe_request *out_request) {
    struct cfa__stripe_walk *walk = exchange->walk;
    bool too_large =
        response->fate != CFA__STRIPE_ANSWERED && strcmp(response->code, "response_too_large") == 0;
    if (too_large && walk->found[0] == '\0' && walk->page_objects > 1) {
        walk->page_objects /= 2;
        return ask(exchange, 0, out_request);
    }
    if (walk->own.count > 0 && walk->tries == 0 && cfa__stripe_exchange_left_ms(exchange) == 0) {
        return stop(exchange, "timeout"); /* pages came until then: the provider is there */
    }
    int64_t delay = delay_ms(walk, response);
    if (walk->requests > 1 && walk->requests < CFA_STRIPE_LOOKUP_PAGES_MAX && may_pass(response) &&
        ++walk->tries < PAGE_TRIES_MAX && delay < cfa__stripe_exchange_left_ms(exchange)) {
        return ask(exchange, delay, out_request);
    }
    cfa__stripe_reply(exchange->out, exchange->call, response, root, exchange->arena);
    if (exchange->out->outcome != CFA_OUTCOME_UNKNOWN) { /* no list, but something readable */
        return cfa__stripe_exchange_end(exchange, CFA_OUTCOME_UNKNOWN, "unreadable_answer");
    }
    return false;
}

/* ---- objects --------------------------------------------------------------------------------- */

static const char *payment_of(const cfa__json *object) {
    return cfa__stripe_text(cfa__json_get(object, "metadata"), "payment_id");
}

static bool names_payment(const cfa__json *object, const char *payment_id) {
    const char *named = payment_of(object);
    return named != NULL && strcmp(named, payment_id) == 0;
}

static bool tells_more(const cfa_facts *facts, const cfa_facts *than) {
    return facts->captured_minor != than->captured_minor
               ? facts->captured_minor > than->captured_minor
               : facts->authorized_minor > than->authorized_minor;
}

/* Of the page's intents for this payment the one with most money, the newest of equals. */
static bool find_intent(cfa__stripe_exchange *exchange, const cfa__json *page, int64_t moment_us) {
    bool found = false;
    for (size_t i = 0; i < cfa__json_size(page); i++) {
        const cfa__json *object = cfa__json_at(page, i);
        if (!names_payment(object, exchange->call->payment_id)) {
            continue;
        }
        cfa_reply reply = { .struct_size = sizeof reply, .facts = CFA_FACTS_INIT };
        cfa__stripe_reply_found(&reply, object, moment_us, exchange->arena);
        if (!found || tells_more(&reply.facts, &exchange->out->facts)) {
            *exchange->out = reply;
        }
        found = true;
    }
    return found;
}

static int32_t progress_of(const cfa__json *session) {
    if (cfa__stripe_text_is(session, "payment_status", "paid")) {
        return 3;
    }
    if (cfa__stripe_text_is(session, "status", "complete")) {
        return 2;
    }
    return cfa__json_get(session, "payment_intent") != NULL ? 1 : 0;
}

/* The same for hosted pages, NULL when there is none. Their intents are not in the list: a page of
 * it would be twice as long for the sake of one. */
static const cfa__json *find_session(const cfa__json *page, const char *payment_id) {
    const cfa__json *found = NULL;
    for (size_t i = 0; i < cfa__json_size(page); i++) {
        const cfa__json *object = cfa__json_at(page, i);
        if (names_payment(object, payment_id) &&
            (found == NULL || progress_of(object) > progress_of(found))) {
            found = object;
        }
    }
    return found;
}

static bool keep_id(char out[ID_SIZE], const char *id) {
    size_t size = id != NULL ? strlen(id) : 0;
    if (size == 0 || size >= ID_SIZE) {
        return false;
    }
    memcpy(out, id, size + 1);
    return true;
}

/* True when the page is as it should be, newest first and in the slice, so that what it holds and
 * how far it goes can be told. */
static bool read_page(cfa__stripe_sightings *out, const cfa__json *page, cfa__stripe_span slice) {
    size_t size = cfa__json_size(page);
    int64_t before_s = slice.until_s;
    *out = (cfa__stripe_sightings){ .count = 0 };
    if (size > PAGE_OBJECTS_MAX) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        const cfa__json *object = cfa__json_at(page, i);
        const char *payment_id = payment_of(object);
        int64_t created_s;
        if (!cfa__json_read_int(cfa__json_get(object, "created"), &created_s) ||
            created_s > before_s || created_s < slice.from_s) {
            return false;
        }
        if (payment_id != NULL) {
            out->items[out->count++] =
                (cfa__stripe_sighting){ cfa__stripe_seen_payment(payment_id), created_s };
        }
        out->newest_s = i == 0 ? created_s : out->newest_s;
        out->oldest_s = before_s = created_s;
    }
    return true;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Nothing in this page. Remember that, and turn it. */
static bool turn_page(cfa__stripe_exchange *exchange, const cfa__stripe_response *response,
                      const cfa__json *page, bool more, cfa__stripe_request *out_request) {
    struct cfa__stripe_walk *walk = exchange->walk;
    size_t size = cfa__json_size(page);
    cfa__stripe_sightings sightings;
    cfa__stripe_span seen = walk->slice;
    walk->unordered |= !read_page(&sightings, page, walk->slice);
    walk->began = true;
    if (more) {
        if (!keep_id(walk->after, cfa__stripe_text(cfa__json_at(page, size - 1), "id"))) {
            return cfa__stripe_exchange_end(exchange, CFA_OUTCOME_UNKNOWN, "unreadable_answer");
        }
        if (walk->unordered) {
            return ask(exchange, 0, out_request);
        }
        walk->after_s = sightings.oldest_s;
        seen.from_s = sightings.oldest_s + 1; /* that second may go on */
    }
    cfa__stripe_spans_add(&walk->spans, seen);
    cfa__stripe_spans_add(&walk->own, seen);
    if (!walk->unordered &&
        cfa__stripe_seen_note(exchange->stripe->seen, walk->account, walk->sessions, &sightings,
                              seen, response->date_us / 1000000)) {
        walk->news = true;
    }
    return more && walk->sighted ? ask(exchange, 0, out_request) : walk_on(exchange, out_request);
}

static bool next_page(cfa__stripe_exchange *exchange, const cfa__stripe_response *response,
                      const cfa__json *root, cfa__stripe_request *out_request) {
    struct cfa__stripe_walk *walk = exchange->walk;
    bool more;
    const cfa__json *page = cfa__stripe_page(root, &more);
    if (response->status != 200 || page == NULL || (more && cfa__json_size(page) == 0)) {
        return failed(exchange, response, root, out_request);
    }
    walk->tries = 0;
    if (!walk->sessions) {
        return !find_intent(exchange, page, response->date_us) &&
               turn_page(exchange, response, page, more, out_request);
    }
    const cfa__json *session = find_session(page, exchange->call->payment_id);
    if (session == NULL) {
        return turn_page(exchange, response, page, more, out_request);
    }
    if (cfa__json_get(session, "payment_intent") == NULL ||
        !keep_id(walk->found, cfa__stripe_text(session, "id"))) {
        cfa__stripe_reply_found(exchange->out, session, response->date_us, exchange->arena);
        return false;
    }
    return ask(exchange, 0, out_request);
}

bool cfa__stripe_lookup_next(cfa__stripe_exchange *exchange, const cfa__stripe_response *response,
                             const cfa__json *root, cfa__stripe_request *out_request) {
    struct cfa__stripe_walk *walk = exchange->walk;
    if (response->fate != CFA__STRIPE_ANSWERED) {
        return failed(exchange, response, root, out_request);
    }
    if (walk->found[0] == '\0') {
        return next_page(exchange, response, root, out_request);
    }
    if (response->status != 200 || !names_payment(root, exchange->call->payment_id)) {
        return failed(exchange, response, root, out_request);
    }
    cfa__stripe_reply_found(exchange->out, root, response->date_us, exchange->arena);
    return false;
}
