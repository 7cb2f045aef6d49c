/*
 * flight.c - many calls in flight on one thread: libcurl's multi interface over one epoll
 * descriptor, which a host's loop can watch. Used by one thread at a time; it never blocks but in
 * `finish`, for as long as the caller allows.
 */
#include "adapters/stripe/stripe.h"

#include <curl/curl.h>
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_PER_WAIT 64
#define NEVER_US INT64_MAX

typedef struct flight flight;

struct flight {
    flight *next, *previous; /* in the air */
    uint64_t token;
    int64_t wake_us; /* when its next request is to be made; 0: it is under way */
    cfa__stripe_exchange exchange;
    cfa__stripe_request request;
    cfa__stripe_secrets *secrets;
    cfa__stripe_transfer *transfer; /* kept with the memory, for the next call */
};

struct cfa__stripe_flights {
    CURLM *multi;
    int epoll;
    int64_t timer_us; /* when libcurl wants to be called, on the monotonic clock */
    int64_t wake_us;  /* the earliest of all flights', or before it */
    flight *flying;
    flight *landed, **landed_end; /* over, their tokens not handed back yet; a queue by `next` */
    flight *spare;                /* for later calls, by `next` */
    int32_t count, limit;         /* flying and landed */
};

/* ---- what libcurl wants to know about -------------------------------------------------------- */

static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *known) {
    (void)easy;
    cfa__stripe_flights *flights = user;
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.data.fd = socket;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(flights->epoll, EPOLL_CTL_DEL, socket, &event);
        return 0;
    }
    int change = known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    bool watched = epoll_ctl(flights->epoll, change, socket, &event) == 0;
    if (!watched && (errno == EEXIST || errno == ENOENT)) {
        /* A descriptor's number that was used before. */
        change = errno == EEXIST ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
        watched = epoll_ctl(flights->epoll, change, socket, &event) == 0;
    }
    if (!watched) {
        return -1; /* ends every transfer: they cannot be waited for */
    }
    return curl_multi_assign(flights->multi, socket, flights) == CURLM_OK ? 0 : -1;
}

static int watch_timer(CURLM *multi, long timeout_ms, void *user) {
    (void)multi;
    cfa__stripe_flights *flights = user;
    flights->timer_us =
        timeout_ms < 0 ? NEVER_US : cfa__stripe_monotonic_us() + (int64_t)timeout_ms * 1000;
    return 0;
}

cfa_status cfa__stripe_flights_new(cfa__stripe_flights **out, int32_t limit) {
    cfa__stripe_flights *flights = cfa_alloc(sizeof *flights);
    if (flights == NULL) {
        return cfa_error_set(CFA_ENOMEM, CFA__STRIPE_ORIGIN, NULL, 0, "out of memory");
    }
    memset(flights, 0, sizeof *flights);
    flights->landed_end = &flights->landed;
    flights->timer_us = flights->wake_us = NEVER_US;
    flights->limit = limit;
    flights->epoll = epoll_create1(EPOLL_CLOEXEC);
    int failure = errno;
    flights->multi = curl_multi_init();
    bool good = flights->multi != NULL;
    if (good) {
        good &=
            curl_multi_setopt(flights->multi, CURLMOPT_SOCKETFUNCTION, watch_socket) == CURLM_OK;
        good &= curl_multi_setopt(flights->multi, CURLMOPT_SOCKETDATA, flights) == CURLM_OK;
        good &= curl_multi_setopt(flights->multi, CURLMOPT_TIMERFUNCTION, watch_timer) == CURLM_OK;
        good &= curl_multi_setopt(flights->multi, CURLMOPT_TIMERDATA, flights) == CURLM_OK;
        good &= curl_multi_setopt(flights->multi, CURLMOPT_MAXCONNECTS, (long)limit) == CURLM_OK;
    }
    if (flights->epoll < 0 || !good) {
        bool no_descriptor = flights->epoll < 0;
        cfa__stripe_flights_free(flights);
        return no_descriptor ? cfa_error_set(CFA_EIO, CFA__STRIPE_ORIGIN, NULL, failure,
                                             "the system gave no epoll descriptor")
                             : cfa_error_set(CFA_ENOMEM, CFA__STRIPE_ORIGIN, NULL, 0,
                                             "libcurl is out of memory");
    }
    *out = flights;
    return CFA_OK;
}

/* ---- taking off and landing ------------------------------------------------------------------ */

static void unlink_flying(cfa__stripe_flights *flights, flight *gone) {
    if (gone->previous != NULL) {
        gone->previous->next = gone->next;
    } else {
        flights->flying = gone->next;
    }
    if (gone->next != NULL) {
        gone->next->previous = gone->previous;
    }
    gone->next = gone->previous = NULL;
}

static void land(cfa__stripe_flights *flights, flight *done) {
    unlink_flying(flights, done);
    cfa__stripe_transfer_trim(done->transfer);
    cfa__stripe_secrets_release(done->secrets);
    done->secrets = NULL;
    *flights->landed_end = done;
    flights->landed_end = &done->next;
}

/* Send the described request, in its time. What cannot be sent is answered at once, until one can or
 * the exchange is over: then false. */
static bool take_off(cfa__stripe_flights *flights, cfa_stripe *stripe, flight *current) {
    cfa__stripe_response response;
    do {
        if (current->request.delay_ms > 0) {
            current->wake_us =
                cfa__stripe_monotonic_us() + (int64_t)current->request.delay_ms * 1000;
            current->request.delay_ms = 0;
            flights->wake_us =
                current->wake_us < flights->wake_us ? current->wake_us : flights->wake_us;
            return true;
        }
        if (cfa__stripe_transfer_begin(current->transfer, stripe, current->secrets,
                                       current->exchange.call, &current->request, &response)) {
            CURL *easy = cfa__stripe_transfer_handle(current->transfer);
            if (curl_multi_add_handle(flights->multi, easy) == CURLM_OK) {
                return true;
            }
        }
    } while (cfa__stripe_exchange_next(&current->exchange, &response, &current->request));
    return false;
}

static void arrived(cfa__stripe_flights *flights, cfa_stripe *stripe, CURL *easy, CURLcode result) {
    char *user = NULL;
    (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &user);
    flight *current = (flight *)(void *)user;
    assert(current != NULL);
    cfa__stripe_response response;
    cfa__stripe_transfer_end(current->transfer, stripe, (int)result, &response);
    (void)curl_multi_remove_handle(flights->multi, easy);
    if (!cfa__stripe_exchange_next(&current->exchange, &response, &current->request) ||
        !take_off(flights, stripe, current)) {
        land(flights, current);
    }
}

static void take_messages(cfa__stripe_flights *flights, cfa_stripe *stripe) {
    int left;
    const CURLMsg *message;
    while ((message = curl_multi_info_read(flights->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            arrived(flights, stripe, message->easy_handle, message->data.result);
        }
    }
}

static flight *new_flight(cfa__stripe_flights *flights, cfa_stripe *stripe) {
    flight *made = flights->spare;
    if (made != NULL) {
        flights->spare = made->next;
        made->next = NULL;
        return made;
    }
    made = cfa_alloc(sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    memset(made, 0, sizeof *made);
    made->transfer = cfa__stripe_transfer_new(stripe);
    if (made->transfer == NULL || curl_easy_setopt(cfa__stripe_transfer_handle(made->transfer),
                                                   CURLOPT_PRIVATE, made) != CURLE_OK) {
        cfa__stripe_transfer_free(made->transfer);
        cfa_free(made);
        return NULL;
    }
    return made;
}

cfa_status cfa__stripe_start(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out,
                             uint64_t token) {
    cfa_stripe *stripe = self;
    cfa__stripe_flights *flights = stripe->flights;
    if (flights->count >= flights->limit) {
        return cfa_error_format(CFA_EQUEUE, CFA__STRIPE_ORIGIN, NULL, 0,
                                "%d calls are in flight, the limit", (int)flights->limit);
    }
    flight *made = new_flight(flights, stripe);
    if (made == NULL) {
        return cfa_error_set(CFA_ENOMEM, CFA__STRIPE_ORIGIN, NULL, 0, "out of memory");
    }
    made->token = token;
    made->secrets = cfa__stripe_secrets_hold(stripe);
    made->next = flights->flying;
    if (flights->flying != NULL) {
        flights->flying->previous = made;
    }
    flights->flying = made;
    flights->count++;
    if (!cfa__stripe_exchange_begin(&made->exchange, stripe, call, arena, out, &made->request) ||
        !take_off(flights, stripe, made)) {
        land(flights, made);
    }
    return CFA_OK;
}

/* ---- moving on ------------------------------------------------------------------------------- */

static void act_on_timer(cfa__stripe_flights *flights) {
    if (flights->timer_us <= cfa__stripe_monotonic_us()) {
        int running;
        flights->timer_us = NEVER_US;
        (void)curl_multi_socket_action(flights->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
}

/* Send what has waited for its time. */
static void wake_up(cfa__stripe_flights *flights, cfa_stripe *stripe) {
    int64_t now_us = cfa__stripe_monotonic_us();
    if (flights->wake_us > now_us) {
        return;
    }
    flights->wake_us = NEVER_US;
    for (flight *each = flights->flying, *next; each != NULL; each = next) {
        next = each->next;
        if (each->wake_us == 0) {
            continue;
        }
        if (each->wake_us > now_us) {
            flights->wake_us = each->wake_us < flights->wake_us ? each->wake_us : flights->wake_us;
            continue;
        }
        each->wake_us = 0;
        if (!take_off(flights, stripe, each)) {
            land(flights, each);
        }
    }
}

static void act_on_sockets(cfa__stripe_flights *flights, int32_t timeout_ms) {
    struct epoll_event events[EVENTS_PER_WAIT];
    int count = epoll_wait(flights->epoll, events, EVENTS_PER_WAIT, timeout_ms);
    for (int i = 0; i < count; i++) {
        uint32_t seen = events[i].events;
        int mask = (seen & EPOLLIN ? CURL_CSELECT_IN : 0) |
                   (seen & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (seen & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        int running;
        (void)curl_multi_socket_action(flights->multi, events[i].data.fd, mask, &running);
    }
}

int32_t cfa__stripe_next_due_ms(void *self) {
    const cfa__stripe_flights *flights = ((cfa_stripe *)self)->flights;
    if (flights->count == 0) {
        return -1;
    }
    if (flights->landed != NULL) {
        return 0;
    }
    int64_t now_us = cfa__stripe_monotonic_us();
    int64_t due_us = flights->wake_us < flights->timer_us ? flights->wake_us : flights->timer_us;
    if (due_us <= now_us) {
        return 0;
    }
    int64_t left_ms =
        due_us == NEVER_US ? CFA__STRIPE_DEFAULT_TIMEOUT_MS : (due_us - now_us + 999) / 1000;
    return left_ms < CFA__STRIPE_DEFAULT_TIMEOUT_MS ? (int32_t)left_ms
                                                    : CFA__STRIPE_DEFAULT_TIMEOUT_MS;
}

static bool hand_back(cfa__stripe_flights *flights, uint64_t *out_token) {
    flight *done = flights->landed;
    if (done == NULL) {
        return false;
    }
    flights->landed = done->next;
    if (flights->landed == NULL) {
        flights->landed_end = &flights->landed;
    }
    *out_token = done->token;
    done->next = flights->spare;
    flights->spare = done;
    flights->count--;
    return true;
}

int32_t cfa__stripe_finish(void *self, uint64_t *out_token, int32_t timeout_ms) {
    cfa_stripe *stripe = self;
    cfa__stripe_flights *flights = stripe->flights;
    int64_t until_us =
        cfa__stripe_monotonic_us() + (timeout_ms > 0 ? (int64_t)timeout_ms * 1000 : 0);
    for (bool first = true;; first = false) {
        if (hand_back(flights, out_token)) {
            return 1;
        }
        int64_t left_ms = (until_us - cfa__stripe_monotonic_us() + 999) / 1000;
        if (flights->count == 0 || (left_ms <= 0 && !first)) {
            return 0;
        }
        int32_t due_ms = cfa__stripe_next_due_ms(stripe);
        int32_t wait_ms = left_ms <= 0 ? 0 : left_ms < due_ms ? (int32_t)left_ms : due_ms;
        act_on_sockets(flights, wait_ms);
        act_on_timer(flights);
        wake_up(flights, stripe);
        take_messages(flights, stripe);
    }
}

int cfa__stripe_descriptor(void *self) { return ((cfa_stripe *)self)->flights->epoll; }

static void free_list(flight *first) {
    while (first != NULL) {
        flight *next = first->next;
        cfa__stripe_transfer_free(first->transfer);
        cfa_free(first);
        first = next;
    }
}

void cfa__stripe_flights_free(cfa__stripe_flights *flights) {
    if (flights == NULL) {
        return;
    }
    while (flights->flying != NULL) {
        flight *cut = flights->flying;
        (void)curl_multi_remove_handle(flights->multi, cfa__stripe_transfer_handle(cut->transfer));
        land(flights, cut);
    }
    free_list(flights->landed);
    free_list(flights->spare);
    (void)curl_multi_cleanup(flights->multi);
    if (flights->epoll >= 0) {
        (void)close(flights->epoll);
    }
    cfa_free(flights);
}
