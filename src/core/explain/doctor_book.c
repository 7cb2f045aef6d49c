/*
 * doctor_book.c - what is wrong with the book as a whole: its sinks, its totals, the provider's
 * breaker, the clocks.
 */
#include <careforall/event.h>
#include <string.h>

#include "core/decide/evidence.h"
#include "core/explain/doctor.h"
#include "util/text.h"

#define SINKS_MAX 256
#define BREAKERS_MAX 16
#define STAGED_MAX 1000
#define BEHIND_US (5 * CFA__MINUTE_US)
#define SUBSCRIPTION_BEHIND_US CFA__DAY_US
#define STAGED_US CFA__MINUTE_US
#define CLOCK_SLACK_US INT64_C(2000000)
#define BEGIN_MS 1000

static bool is_named(const cfa__sink *sink, const char *name) {
    return cfa__slices_equal(sink->name, cfa__slice(name));
}

static bool is_subscription(const cfa__sink *sink) {
    size_t size = sizeof CFA__SUBSCRIPTION_PREFIX - 1;
    return sink->name.size >= size && memcmp(sink->name.data, CFA__SUBSCRIPTION_PREFIX, size) == 0;
}

static cfa_status note_sink(cfa__examination *examination, const cfa__sink *sink) {
    const char *name = cfa__document_text(examination->texts, sink->name);
    int64_t paused_us = sink->paused_us != 0 ? examination->now_us - sink->paused_us : 0;
    cfa__event key;
    const void *found = NULL;
    memset(&key, 0, sizeof key);
    key.position = sink->acknowledged + 1;
    cfa_status status = cfa__examine_record(examination, &cfa__event_kind, &key, &found);
    if (status != CFA_OK)
        return status;
    const cfa__event *oldest = found;
    int64_t behind_us = oldest != NULL ? examination->now_us - oldest->created_us : 0;
    if (sink->dead_count > sink->requeued_count)
        cfa__found(examination, CFA__AILMENT_DEAD_LETTERS, name, 0, NULL);
    if (sink->paused == CFA_CURSOR_STOPPED)
        cfa__found(examination, CFA__AILMENT_SINK_STOPPED, name, paused_us, NULL);
    else if (sink->paused == CFA_CURSOR_PAUSED)
        cfa__found(examination, CFA__AILMENT_SINK_PAUSED, name, paused_us, NULL);
    else if (is_named(sink, CFA__PROJECTOR_NAME)) {
        if (behind_us > CFA__MINUTE_US)
            cfa__found(examination, CFA__AILMENT_TOTALS_BEHIND, name, behind_us, NULL);
    } else if (sink->refused != 0)
        cfa__found(examination, CFA__AILMENT_SINK_REFUSED, name,
                   examination->now_us - sink->refused_us, NULL);
    else if (behind_us > (is_subscription(sink) ? SUBSCRIPTION_BEHIND_US : BEHIND_US))
        cfa__found(examination, CFA__AILMENT_SINK_BEHIND, name, behind_us, NULL);
    return CFA_OK;
}

static cfa_status examine_sinks(cfa__examination *examination) {
    cfa__sink key;
    memset(&key, 0, sizeof key);
    cfa_query query = { .kind = &cfa__sink_kind, .limit = SINKS_MAX, .key = &key };
    cfa_status status = cfa__examine_page(examination, &query);
    bool projected = false;
    for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
        const cfa__sink *sink = query.records[i];
        projected = projected || is_named(sink, CFA__PROJECTOR_NAME);
        status = note_sink(examination, sink);
    }
    if (status != CFA_OK || projected)
        return status;
    /* It never ran: then the oldest event waits. */
    cfa__event first;
    const void *found = NULL;
    memset(&first, 0, sizeof first);
    first.position = 1;
    status = cfa__examine_record(examination, &cfa__event_kind, &first, &found);
    int64_t age_us =
        found != NULL ? examination->now_us - ((const cfa__event *)found)->created_us : 0;
    if (status == CFA_OK && age_us > CFA__MINUTE_US)
        cfa__found(examination, CFA__AILMENT_TOTALS_BEHIND, CFA__PROJECTOR_NAME, age_us, NULL);
    return status;
}

static cfa_status examine_breakers(cfa__examination *examination) {
    cfa__breaker key;
    memset(&key, 0, sizeof key);
    key.provider = key.account = cfa__slice("");
    cfa_query query = { .kind = &cfa__breaker_kind, .limit = BREAKERS_MAX, .key = &key };
    cfa_status status = cfa__examine_page(examination, &query);
    for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
        const cfa__breaker *breaker = query.records[i];
        if (breaker->state != CFA__BREAKER_CLOSED)
            cfa__found(examination, CFA__AILMENT_CIRCUIT_OPEN,
                       cfa__document_text(examination->texts, breaker->provider),
                       examination->now_us - breaker->opened_us, NULL);
    }
    return status;
}

static cfa_status examine_staged(cfa__examination *examination) {
    cfa__staged key;
    memset(&key, 0, sizeof key);
    cfa_query query = { .kind = &cfa__staged_kind, .limit = STAGED_MAX, .key = &key };
    cfa_status status = cfa__examine_page(examination, &query);
    for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
        const cfa__staged *row = query.records[i];
        if (examination->now_us - row->created_us > STAGED_US)
            cfa__found(examination, CFA__AILMENT_EVENTS_STAGED,
                       cfa__document_id(examination->texts, "evt", row->id),
                       examination->now_us - row->created_us, NULL);
    }
    return status;
}

/* ---- the provider's record ------------------------------------------------------------------- */

/* The first payment since a time that took money; `*out_us` 0: none was found. */
static cfa_status find_paid(cfa__examination *examination, int64_t since_us, int64_t *out_us) {
    static const uint8_t none[10] = { 0 };
    cfa__payment key;
    memset(&key, 0, sizeof key);
    key.id = cfa__id_make(since_us, none);
    *out_us = 0;
    for (int64_t seen = 0; examination->deep || seen < CFA__DOCTOR_PAYMENTS_MAX;
         seen += CFA__DOCTOR_PAGE) {
        cfa_query query = { .kind = &cfa__payment_kind,
                            .flags = CFA_QUERY_AFTER,
                            .limit = CFA__DOCTOR_PAGE,
                            .key = &key };
        cfa_status status = cfa__examine_page(examination, &query);
        for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
            const cfa__payment *payment = query.records[i];
            key.id = payment->id;
            if (payment->captured_minor > 0 && payment->created_us >= since_us) {
                *out_us = payment->created_us;
                return CFA_OK;
            }
        }
        if (status != CFA_OK || query.count < CFA__DOCTOR_PAGE)
            return status;
    }
    cfa__not_seen(examination, cfa__document_format(
                                   examination->texts,
                                   "Whether a comparison with the provider is due was judged by "
                                   "the first %d payments since the last one; "
                                   "--deep reads all",
                                   CFA__DOCTOR_PAYMENTS_MAX));
    return CFA_OK;
}

static cfa_status examine_reconciled(cfa__examination *examination) {
    const cfa__book *book;
    cfa_status status = cfa__examine_book_row(examination, &book);
    if (status != CFA_OK || book == NULL)
        return status;
    int64_t until_us = book->reconciled_until_us, paid_us;
    if (book->provider.data == NULL || book->livemode == 0)
        return CFA_OK;
    status = find_paid(examination, until_us, &paid_us);
    int64_t age_us = examination->now_us - paid_us;
    int64_t given_us = examination->engine->options.payment_expires_ms * 1000;
    if (status != CFA_OK || paid_us == 0 || age_us <= CFA__DOCTOR_RECONCILE_AGE_US + given_us)
        return status;
    cfa__found(examination, CFA__AILMENT_RECONCILE_DUE, NULL, age_us, NULL);
    if (until_us != 0) {
        char time[28];
        cfa__time_format(time, until_us);
        examination->findings[CFA__AILMENT_RECONCILE_DUE].text = cfa__document_format(
            examination->texts,
            "The book was compared with the provider's own record until %s, and has taken real "
            "money since.",
            time);
    }
    return CFA_OK;
}

/* ---- clocks ---------------------------------------------------------------------------------- */

/* The newest commit must not lie in the future: the book's time then stands still until then. */
static cfa_status examine_commit_clock(cfa__examination *examination) {
    cfa__event key;
    memset(&key, 0, sizeof key);
    cfa_query query = {
        .kind = &cfa__event_kind, .flags = CFA_QUERY_DESCENDING, .limit = 1, .key = &key
    };
    cfa_status status = cfa__examine_page(examination, &query);
    if (status != CFA_OK || query.count == 0)
        return status;
    int64_t ahead_us =
        ((const cfa__event *)query.records[0])->created_us - cfa__wall_us(examination->engine);
    if (ahead_us > CLOCK_SLACK_US)
        cfa__found(examination, CFA__AILMENT_CLOCK_BEHIND, NULL, ahead_us, NULL);
    return CFA_OK;
}

static cfa_status examine_store_clock(cfa__examination *examination) {
    const cfa_storage *storage = &examination->engine->storage;
    if ((storage->ops->capabilities & CFA_STORAGE_CLOCK) == 0)
        return CFA_OK;
    cfa_session *session;
    int64_t store_us = 0;
    cfa_status status = storage->ops->session_open(storage->self, CFA_SESSION_READ, &session);
    if (status != CFA_OK)
        return status;
    status = storage->ops->begin(session, CFA_SESSION_READ, BEGIN_MS, &store_us);
    int64_t wall_us = cfa__wall_us(examination->engine);
    if (status == CFA_OK)
        storage->ops->rollback(session);
    storage->ops->session_close(session);
    int64_t apart_us = store_us > wall_us ? store_us - wall_us : wall_us - store_us;
    if (status == CFA_OK && apart_us > CLOCK_SLACK_US)
        cfa__found(examination, CFA__AILMENT_CLOCK_SKEWED, NULL, apart_us, NULL);
    return status;
}

cfa_status cfa__examine_book(cfa__examination *examination) {
    cfa_status status = examine_commit_clock(examination);
    if (status == CFA_OK)
        status = examine_store_clock(examination);
    if (status == CFA_OK)
        status = examine_breakers(examination);
    if (status == CFA_OK)
        status = examine_sinks(examination);
    if (status == CFA_OK)
        status = examine_staged(examination);
    if (status == CFA_OK)
        status = examine_reconciled(examination);
    if (strcmp(examination->engine->storage.ops->name, "sqlite") == 0)
        cfa__not_seen(examination,
                      "What a foreign program wrote into the SQLite file before cannot be told "
                      "from what another process of this library wrote; the audit finds what it "
                      "broke");
    return status;
}
