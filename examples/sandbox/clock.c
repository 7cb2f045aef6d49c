/*
 * clock.c - jobs that fall due on the sandbox's clock: holds and sessions that expire, delayed
 * results, disputes, old keys. Each batch is one transaction; what they do is done elsewhere.
 */
#include "clock.h"
#include "api.h"
#include "checkout.h"
#include "dispute.h"
#include "payment.h"
#include "refund.h"
#include "store.h"
#include "webhooks.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 100, PRUNE_S = 600, WAIT_MS_MAX = 3600 * 1000 };

static const struct {
    const char *what;
    void (*run)(sandbox *box, const char *id);
} works[] = {
    { "fee", payment_book_fee },         { "hold", payment_hold_over },
    { "settle", payment_settle },        { "session", session_over },
    { "refund", refund_settle },         { "dispute", dispute_open },
    { "inquiry", dispute_open_inquiry }, { "warning", warning_open },
};

typedef struct job {
    int64_t seq;
    char what[16], id[ID_BYTES];
} job;

static int take_due(sandbox *box, job jobs[BATCH]) {
    sqlite3_stmt *q = store_sql(box->store, "SELECT seq, what, id FROM job WHERE due <= ?"
                                            " ORDER BY due, seq LIMIT ?");
    sqlite3_bind_int64(q, 1, clock_us(box));
    sqlite3_bind_int(q, 2, BATCH);
    int count = 0;
    while (store_step(box->store, q)) {
        job *j = &jobs[count++];
        j->seq = sqlite3_column_int64(q, 0);
        format_text(j->what, sizeof j->what, "%s", store_column_text(q, 1));
        format_text(j->id, sizeof j->id, "%s", store_column_text(q, 2));
    }
    return count;
}

static void run_batch(sandbox *box, const job *jobs, int count) {
    store_begin(box->store);
    for (int i = 0; i < count; i++) {
        for (size_t k = 0; k < sizeof works / sizeof *works; k++)
            if (strcmp(works[k].what, jobs[i].what) == 0)
                works[k].run(box, jobs[i].id);
        sqlite3_stmt *q = store_sql(box->store, "DELETE FROM job WHERE seq = ?");
        sqlite3_bind_int64(q, 1, jobs[i].seq);
        store_run(box->store, q);
    }
    store_commit(box->store);
}

static bool run_due(sandbox *box) {
    job jobs[BATCH];
    int count = take_due(box, jobs);
    if (count)
        run_batch(box, jobs, count);
    return count > 0;
}

static void prune(sandbox *box) {
    if (clock_s(box) - store_meta(box->store, "pruned_s", 0) < PRUNE_S)
        return;
    store_begin(box->store);
    key_prune(box);
    store_meta_set(box->store, "pruned_s", clock_s(box));
    store_commit(box->store);
}

static void on_timer(uv_timer_t *timer) {
    sandbox *box = timer->data;
    if (run_due(box))
        sender_wake(box);
    prune(box);
    jobs_wake(box);
}

void jobs_wake(sandbox *box) {
    sqlite3_stmt *q = store_sql(box->store, "SELECT due FROM job ORDER BY due LIMIT 1");
    int64_t wait_ms = WAIT_MS_MAX;
    if (store_step(box->store, q)) {
        wait_ms = (sqlite3_column_int64(q, 0) - clock_us(box) + 999) / 1000;
        store_run(box->store, q);
    }
    wait_ms = wait_ms < 0 ? 0 : wait_ms > WAIT_MS_MAX ? WAIT_MS_MAX : wait_ms;
    uv_timer_start(&box->job_timer, on_timer, (uint64_t)wait_ms, 0);
}

void jobs_start(sandbox *box) {
    uv_timer_init(&box->loop, &box->job_timer);
    box->job_timer.data = box;
    jobs_wake(box);
}

void jobs_stop(sandbox *box) { uv_close((uv_handle_t *)&box->job_timer, NULL); }

void job_later(sandbox *box, const char *what, const char *id) {
    store_job(box->store, clock_us(box) + (int64_t)box->options.async_ms * 1000, what, id);
}

void clock_advance(sandbox *box, int64_t seconds) {
    box->clock_offset_us += seconds * 1000000;
    store_begin(box->store);
    store_meta_set(box->store, "clock_offset_us", box->clock_offset_us);
    store_commit(box->store);
    /* Whoever moved the clock sees at once what that did. */
    while (run_due(box)) {
    }
    prune(box);
    jobs_wake(box);
    sender_wake(box);
}
