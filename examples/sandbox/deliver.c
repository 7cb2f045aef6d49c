/*
 * deliver.c - sending webhooks: due rows become HTTP requests of libcurl driven by the loop, and
 * the answers become rows again. A delivery in flight at a crash is still due afterwards.
 */
#include "api.h"
#include "webhooks.h"

#include <curl/curl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    FLIGHTS_MAX = 64,
    TIMEOUT_MS = 10000,
    CONNECT_MS = 3000,
    GIVE_UP_S = 3 * 24 * 3600,
    WAIT_MS_MAX = 3600 * 1000,
    SHOWN_MAX = 1000
};

/* Waiting after the first, second, ... failure; the last one repeats until three days are over. */
static const int retry_s[] = { 300, 1800, 7200, 18000, 36000, 43200 };

enum { DUE = 0, DELIVERED = 1, GAVE_UP = 2, LOST = 3 };

typedef struct flight {
    sandbox *box;
    int64_t seq, first_us;
    int attempts;
    bool busy;
    CURL *easy;
    struct curl_slist *headers;
    char *body;
} flight;

typedef struct sender {
    sandbox *box;
    CURLM *multi;
    uv_timer_t curl_timer, due_timer;
    flight flights[FLIGHTS_MAX];
    int busy;
} sender;

typedef struct watch {
    sender *sender;
    uv_poll_t poll;
    curl_socket_t socket;
} watch;

static void finish_all(sender *s);

/* ---- one delivery --------------------------------------------------------------------------- */

static void hex_signature(const char *secret, const char *text, char out[65]) {
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, (const unsigned char *)secret, strlen(secret));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)text, strlen(text));
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_bin2hex(out, 65, mac, sizeof mac);
}

/* Signed at the real time even when the clock was moved: the receiver's clock was not. */
static char *signature_of(sandbox *box, const webhook_endpoint *e, const char *body) {
    char now[65], before[65];
    char *text = allocate_text("%lld.%s", (long long)time(NULL), body);
    hex_signature(e->secret, text, now);
    bool both = e->old_secret && clock_s(box) < e->old_until_s;
    if (both)
        hex_signature(e->old_secret, text, before);
    char *out = allocate_text("Stripe-Signature: t=%.*s,v1=%s%s%s", (int)strcspn(text, "."), text,
                              now, both ? ",v1=" : "", both ? before : "");
    free(text);
    return out;
}

static size_t ignore(char *data, size_t size, size_t count, void *self) {
    (void)data, (void)self;
    return size * count;
}

static void launch(sender *s, flight *f, const webhook_endpoint *e, const char *text) {
    if (e->thin) {
        json_t *thin = event_thin(text);
        f->body = must(json_dumps(thin, JSON_COMPACT));
        json_decref(thin);
    } else
        f->body = must(strdup(text));
    char *header = signature_of(s->box, e, f->body);
    f->headers = curl_slist_append(NULL, header);
    f->headers = curl_slist_append(f->headers, "Content-Type: application/json; charset=utf-8");
    f->headers = must(curl_slist_append(f->headers, "Expect:"));
    free(header);
    if (!f->easy)
        f->easy = must(curl_easy_init());
    curl_easy_reset(f->easy);
    curl_easy_setopt(f->easy, CURLOPT_URL, e->url);
    curl_easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(f->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(f->easy, CURLOPT_USERAGENT, "Stripe/1.0 (+https://stripe.com/docs/webhooks)");
    curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers);
    curl_easy_setopt(f->easy, CURLOPT_POSTFIELDS, f->body);
    curl_easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(f->body));
    curl_easy_setopt(f->easy, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(f->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
    f->busy = true;
    s->busy++;
    curl_multi_add_handle(s->multi, f->easy);
}

static void settle(sandbox *box, int64_t seq, int state, int64_t due_us, int attempts, long status,
                   const char *error) {
    sqlite3_stmt *q = store_sql(box->store, "UPDATE delivery SET state = ?, due = ?, attempts = ?,"
                                            " status = ?, error = ? WHERE seq = ?");
    sqlite3_bind_int(q, 1, state);
    sqlite3_bind_int64(q, 2, due_us);
    sqlite3_bind_int(q, 3, attempts);
    sqlite3_bind_int64(q, 4, status);
    store_bind_text(q, 5, error);
    sqlite3_bind_int64(q, 6, seq);
    store_run(box->store, q);
}

static void land(sender *s, flight *f, CURLcode result) {
    sandbox *box = s->box;
    long status = 0;
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    int64_t now_us = clock_us(box);
    const char *error = result == CURLE_OK ? NULL : curl_easy_strerror(result);
    f->attempts++;
    if (!error && status >= 200 && status < 300)
        settle(box, f->seq, DELIVERED, now_us, f->attempts, status, NULL);
    else {
        size_t last = sizeof retry_s / sizeof *retry_s - 1;
        size_t step = (size_t)f->attempts - 1;
        int64_t due_us = now_us + (int64_t)retry_s[step < last ? step : last] * 1000000;
        bool over = due_us > f->first_us + (int64_t)GIVE_UP_S * 1000000;
        settle(box, f->seq, over ? GAVE_UP : DUE, due_us, f->attempts, status, error);
    }
    curl_multi_remove_handle(s->multi, f->easy);
    curl_slist_free_all(f->headers);
    free(f->body);
    f->headers = NULL;
    f->body = NULL;
    f->busy = false;
    s->busy--;
}

/* ---- what is due ---------------------------------------------------------------------------- */

static flight *find_flight(sender *s, int64_t seq) {
    for (int i = 0; i < FLIGHTS_MAX; i++)
        if (s->flights[i].busy && s->flights[i].seq == seq)
            return &s->flights[i];
    return NULL;
}

static flight *free_flight(sender *s) {
    for (int i = 0; i < FLIGHTS_MAX; i++)
        if (!s->flights[i].busy)
            return &s->flights[i];
    return NULL;
}

static void start_one(sender *s, sqlite3_stmt *q) {
    const webhook_endpoint *e = endpoint_find(s->box, store_column_text(q, 2));
    flight *f = free_flight(s);
    char *text = store_load_text(s->box->store, KIND_EVENT, NULL, store_column_text(q, 1));
    f->box = s->box;
    f->seq = sqlite3_column_int64(q, 0);
    f->first_us = sqlite3_column_int64(q, 3);
    f->attempts = sqlite3_column_int(q, 4);
    if (e && text)
        launch(s, f, e, text);
    else
        settle(s->box, f->seq, GAVE_UP, 0, f->attempts, 0, "the endpoint is gone");
    free(text);
}

static void on_due_timer(uv_timer_t *timer) {
    sender *s = timer->data;
    sandbox *box = s->box;
    int64_t now_us = clock_us(box), wait_ms = WAIT_MS_MAX;
    sqlite3_stmt *q = store_sql(box->store, "SELECT seq, event, endpoint, first, attempts, due"
                                            " FROM delivery WHERE state = 0"
                                            " ORDER BY due, seq LIMIT ?");
    sqlite3_bind_int(q, 1, FLIGHTS_MAX * 2);
    while (store_step(box->store, q)) {
        int64_t due_us = sqlite3_column_int64(q, 5);
        if (find_flight(s, sqlite3_column_int64(q, 0)))
            continue;
        if (due_us > now_us || s->busy == FLIGHTS_MAX) {
            wait_ms = due_us > now_us ? (due_us - now_us + 999) / 1000 : WAIT_MS_MAX;
            sqlite3_reset(q);
            sqlite3_clear_bindings(q);
            break;
        }
        start_one(s, q);
    }
    wait_ms = wait_ms > WAIT_MS_MAX ? WAIT_MS_MAX : wait_ms;
    uv_timer_start(&s->due_timer, on_due_timer, (uint64_t)wait_ms, 0);
}

void sender_wake(sandbox *box) {
    if (box->sender->busy < FLIGHTS_MAX)
        uv_timer_start(&box->sender->due_timer, on_due_timer, 0, 0);
}

static void finish_all(sender *s) {
    int left = 0;
    CURLMsg *message;
    bool any = false;
    while ((message = curl_multi_info_read(s->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        flight *f = NULL;
        CURLcode result = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        if (!any)
            store_begin(s->box->store);
        any = true;
        land(s, f, result);
    }
    if (any) {
        store_commit(s->box->store);
        sender_wake(s->box);
    }
}

/* ---- libcurl in the loop -------------------------------------------------------------------- */

static void on_socket(uv_poll_t *poll, int status, int events) {
    watch *w = poll->data;
    sender *s = w->sender;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0, running = 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    curl_multi_socket_action(s->multi, w->socket, flags, &running);
    finish_all(s);
}

static void on_curl_timer(uv_timer_t *timer) {
    sender *s = timer->data;
    int running = 0;
    curl_multi_socket_action(s->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_all(s);
}

static int set_timer(CURLM *multi, long timeout_ms, void *self) {
    (void)multi;
    sender *s = self;
    if (timeout_ms < 0)
        uv_timer_stop(&s->curl_timer);
    else
        uv_timer_start(&s->curl_timer, on_curl_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void on_watch_closed(uv_handle_t *handle) { free(handle->data); }

static int set_socket(CURL *easy, curl_socket_t socket, int what, void *self, void *known) {
    (void)easy;
    sender *s = self;
    watch *w = known;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            uv_poll_stop(&w->poll);
            uv_close((uv_handle_t *)&w->poll, on_watch_closed);
            curl_multi_assign(s->multi, socket, NULL);
        }
        return 0;
    }
    if (!w) {
        w = must(calloc(1, sizeof *w));
        w->sender = s;
        w->socket = socket;
        if (uv_poll_init_socket(&s->box->loop, &w->poll, socket) != 0) {
            free(w);
            return -1;
        }
        w->poll.data = w;
        curl_multi_assign(s->multi, socket, w);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    uv_poll_start(&w->poll, events, on_socket);
    return 0;
}

sender *sender_start(sandbox *box) {
    sender *s = must(calloc(1, sizeof *s));
    s->box = box;
    s->multi = must(curl_multi_init());
    curl_multi_setopt(s->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(s->multi, CURLMOPT_SOCKETDATA, s);
    curl_multi_setopt(s->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(s->multi, CURLMOPT_TIMERDATA, s);
    curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, (long)FLIGHTS_MAX);
    uv_timer_init(&box->loop, &s->curl_timer);
    uv_timer_init(&box->loop, &s->due_timer);
    s->curl_timer.data = s;
    s->due_timer.data = s;
    uv_timer_start(&s->due_timer, on_due_timer, 0, 0);
    return s;
}

void sender_stop(sandbox *box) {
    sender *s = box->sender;
    if (!s)
        return;
    for (int i = 0; i < FLIGHTS_MAX; i++) {
        flight *f = &s->flights[i];
        if (f->busy)
            curl_multi_remove_handle(s->multi, f->easy);
        curl_slist_free_all(f->headers);
        free(f->body);
        curl_easy_cleanup(f->easy);
    }
    curl_multi_cleanup(s->multi);
    uv_close((uv_handle_t *)&s->curl_timer, NULL);
    uv_close((uv_handle_t *)&s->due_timer, NULL);
    uv_run(&box->loop, UV_RUN_NOWAIT);
    free(s);
    box->sender = NULL;
}

/* ---- the panel ------------------------------------------------------------------------------ */

int64_t sender_retry(sandbox *box, const char *event) {
    sqlite3_stmt *q, *count = store_sql(box->store, "SELECT changes()");
    store_begin(box->store);
    if (event)
        q = store_sql(box->store,
                      "INSERT INTO delivery(event, endpoint, state, first, due, attempts,"
                      " status) SELECT DISTINCT event, endpoint, 0, ?1, ?1, 0, 0"
                      " FROM delivery WHERE event = ?2");
    else
        q = store_sql(box->store, "UPDATE delivery SET due = ?1 WHERE state = 0 AND due > ?1");
    sqlite3_bind_int64(q, 1, clock_us(box));
    if (event)
        store_bind_text(q, 2, event);
    store_run(box->store, q);
    store_step(box->store, count);
    int64_t changed = sqlite3_column_int64(count, 0);
    store_run(box->store, count);
    store_commit(box->store);
    sender_wake(box);
    return changed;
}

json_t *sender_show(sandbox *box, const char *event) {
    static const char *const states[] = { "due", "delivered", "gave_up", "lost" };
    sqlite3_stmt *q = store_sql(box->store, "SELECT event, endpoint, state, due, attempts, status,"
                                            " error FROM delivery WHERE ?1 IS NULL OR event = ?1"
                                            " ORDER BY seq DESC LIMIT ?2");
    store_bind_text(q, 1, event);
    sqlite3_bind_int(q, 2, SHOWN_MAX);
    json_t *out = pack("[]");
    while (store_step(box->store, q))
        json_array_append_new(out,
                              pack("{s:s, s:s, s:s, s:I, s:i, s:i, s:o}", "event",
                                   store_column_text(q, 0), "endpoint", store_column_text(q, 1),
                                   "state", states[sqlite3_column_int(q, 2)], "due_us",
                                   (json_int_t)sqlite3_column_int64(q, 3), "attempts",
                                   sqlite3_column_int(q, 4), "status", sqlite3_column_int(q, 5),
                                   "error", string_or_null(store_column_text(q, 6))));
    return out;
}
