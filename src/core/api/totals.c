/*
 * api/totals.c - totals as applications read them, and the recomputation that proves them.
 */
#include <careforall/totals.h>

#include "core/api/api.h"
#include "core/decide/payment_machine.h"
#include "core/engine/totals_cache.h"

#include <string.h>

#define ORIGIN "core.totals"
#define VERIFY_PAGE 500

void cfa_totals_free(cfa_totals *totals) {
    if (totals != NULL && atomic_fetch_sub(&totals->references, 1) == 1)
        cfa_free(totals);
}

const char *cfa_totals_campaign_id(const cfa_totals *totals) { return totals->campaign_id; }
int64_t cfa_totals_position(const cfa_totals *totals) { return totals->position; }
int64_t cfa_totals_version(const cfa_totals *totals) { return totals->version; }
int64_t cfa_totals_as_of_us(const cfa_totals *totals) { return totals->as_of_us; }
int32_t cfa_totals_stale(const cfa_totals *totals) { return totals->stale; }
size_t cfa_totals_size(const cfa_totals *totals) { return totals->size; }

const cfa_totals_row *cfa_totals_at(const cfa_totals *totals, size_t index) {
    return index < totals->size ? &totals->rows[index] : NULL;
}

/* ---- the public read ------------------------------------------------------------------------- */

/* The store cannot be read: give the last known good, marked. */
static cfa_status stale(cfa_totals **out, cfa_engine *engine, cfa__id campaign_id, cfa_status why) {
    cfa_status_class class = cfa_status_class_of(why);
    if (class != CFA_CLASS_TRANSIENT && class != CFA_CLASS_IN_DOUBT && why != CFA_ECORRUPT)
        return why;
    cfa_totals *known = cfa__totals_cached(engine, campaign_id, INT64_MIN, 0);
    if (known == NULL)
        return why;
    cfa_totals *copy = cfa__totals_new(known->size);
    if (copy != NULL) {
        memcpy(copy->rows, known->rows, known->size * sizeof known->rows[0]);
        memcpy(copy->campaign_id, known->campaign_id, sizeof copy->campaign_id);
        copy->position = known->position;
        copy->version = known->version;
        copy->as_of_us = known->as_of_us;
        copy->stale = true;
        *out = copy;
    }
    cfa_totals_free(known);
    return copy == NULL ? CFA_ENOMEM : CFA_OK;
}

cfa_status cfa_totals_get(cfa_totals **out, cfa_engine *engine, const char *campaign_id,
                          const cfa_totals_spec *given) {
    cfa_totals_spec spec = CFA_TOTALS_SPEC_INIT;
    cfa__id id;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK && given != NULL)
        status = cfa__spec_take(&spec, sizeof spec, given,
                                CFA__SIZE_THROUGH(cfa_totals_spec, timeout_ms), ORIGIN);
    if (status == CFA_OK)
        status = cfa__id_parse(&id, "cmp", campaign_id, "campaign_id");
    if (status == CFA_OK && spec.at_least < 0)
        status = cfa_error_set(CFA_ERANGE, ORIGIN, "at_least", 0, "a position is not negative");
    if (status != CFA_OK)
        return status;
    int32_t max_age_ms = spec.max_age_ms == 0 ? engine->options.totals_max_age_ms : spec.max_age_ms;
    if (max_age_ms > 0) {
        int64_t not_before = cfa__monotonic_us(engine) - (int64_t)max_age_ms * 1000;
        cfa_totals *cached = cfa__totals_cached(engine, id, not_before, spec.at_least);
        if (cached != NULL) {
            atomic_fetch_add(&engine->statistics.totals_cached, 1);
            *out = cached;
            return CFA_OK;
        }
    }
    atomic_fetch_add(&engine->statistics.totals_read, 1);
    int64_t deadline_us = cfa__deadline_us(engine, spec.timeout_ms);
    if (spec.at_least > 0)
        status = cfa__project_until(engine, spec.at_least, deadline_us);
    if (status == CFA_OK)
        status = cfa__totals_read_fresh(out, engine, id, deadline_us);
    /* Nobody who asked for a position is given less. */
    return status == CFA_OK || spec.at_least > 0 ? status : stale(out, engine, id, status);
}

cfa_status cfa_campaign_get_with_totals(cfa_campaign **out_campaign, cfa_totals **out_totals,
                                        cfa_engine *engine, const char *campaign_id) {
    cfa__id id;
    cfa__reader *reader;
    cfa_status status = cfa__call_check(engine, out_campaign);
    if (status == CFA_OK)
        status = cfa__id_parse(&id, "cmp", campaign_id, "campaign_id");
    if (status == CFA_OK)
        status = cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status != CFA_OK)
        return status;
    cfa_totals *totals;
    cfa_campaign *campaign;
    const cfa__campaign *record;
    int64_t read_us = cfa__monotonic_us(engine);
    status = cfa__totals_read(&totals, &record, engine, reader, id);
    if (status == CFA_OK) {
        status = cfa__campaign_snapshot(&campaign, record, false, 0);
        if (status != CFA_OK)
            cfa_totals_free(totals);
    }
    cfa__read_end(engine, reader);
    if (status == CFA_OK) {
        *out_campaign = campaign;
        *out_totals = cfa__totals_remember(engine, id, totals, read_us);
    }
    return status;
}

/* ---- proof ----------------------------------------------------------------------------------- */

/* Donors that gave, to be counted: an open hash set of ids. */
struct donor_set {
    cfa__id *ids;
    size_t capacity, size;
};

static cfa_status donors_add(struct donor_set *set, cfa_arena *arena, cfa__id id, bool *out_new) {
    if ((set->size + 1) * 2 > set->capacity) {
        struct donor_set grown = { NULL, set->capacity == 0 ? 256 : set->capacity * 2, 0 };
        grown.ids = cfa_arena_alloc(arena, grown.capacity * sizeof *grown.ids);
        if (grown.ids == NULL)
            return CFA_ENOMEM;
        for (size_t i = 0; i < set->capacity; i++) {
            bool ignored;
            if (!cfa__id_is_null(set->ids[i]) &&
                donors_add(&grown, arena, set->ids[i], &ignored) != CFA_OK)
                return CFA_ENOMEM;
        }
        *set = grown;
    }
    size_t hash = 0;
    for (size_t i = 8; i < sizeof id.bytes; i++)
        hash = hash * 31 + id.bytes[i];
    size_t at = hash & (set->capacity - 1);
    while (!cfa__id_is_null(set->ids[at]) && cfa__id_compare(set->ids[at], id) != 0)
        at = (at + 1) & (set->capacity - 1);
    *out_new = cfa__id_is_null(set->ids[at]);
    if (*out_new) {
        set->ids[at] = id;
        set->size++;
    }
    return CFA_OK;
}

struct sums {
    cfa_totals_row rows[CFA__TOTALS_CURRENCIES_MAX];
    struct donor_set donors[CFA__TOTALS_CURRENCIES_MAX];
    size_t size;
};

static cfa_status sums_add(struct sums *sums, cfa_arena *arena, const cfa__payment *payment) {
    size_t at = 0;
    while (at < sums->size && memcmp(sums->rows[at].currency, payment->currency, 4) != 0)
        at++;
    if (at == CFA__TOTALS_CURRENCIES_MAX)
        return cfa_error_set(CFA_ECORRUPT, ORIGIN, NULL, 0,
                             "a campaign's payments have too many currencies");
    cfa_totals_row *row = &sums->rows[at];
    if (at == sums->size) {
        memcpy(row->currency, payment->currency, sizeof row->currency);
        sums->size++;
    }
    cfa__buckets buckets = cfa__payment_buckets(payment);
    row->pledged_minor += buckets.pledged_minor;
    row->authorized_minor += buckets.authorized_minor;
    row->raised_minor += buckets.raised_minor;
    row->refunded_minor += buckets.refunded_minor;
    row->disputed_minor += buckets.disputed_minor;
    if (buckets.raised_minor <= 0)
        return CFA_OK;
    bool is_new;
    cfa_status status = donors_add(&sums->donors[at], arena, payment->person_id, &is_new);
    row->donation_count++;
    row->donor_count += status == CFA_OK && is_new;
    return status;
}

/* Recompute from every payment of the campaign, a page of pledges at a time. */
static cfa_status recompute(struct sums *sums, cfa_engine *engine, cfa__reader *reader,
                            cfa_arena *arena, cfa__id campaign_id) {
    cfa__id after = CFA__ID_NULL;
    cfa_arena *page;
    cfa_status status = cfa_arena_new(&page);
    if (status != CFA_OK)
        return status;
    while (status == CFA_OK) {
        cfa__pledge key;
        memset(&key, 0, sizeof key);
        key.campaign_id = campaign_id;
        key.id = after;
        cfa_query pledges = { .kind = &cfa__pledge_kind,
                              .index = CFA__PLEDGE_BY_CAMPAIGN,
                              .match_count = 1,
                              .flags = CFA_QUERY_AFTER,
                              .limit = VERIFY_PAGE,
                              .key = &key };
        cfa_arena_reset(page);
        status = engine->storage.ops->load(reader->session, &pledges, 1, page);
        for (int32_t i = 0; status == CFA_OK && i < pledges.count; i++) {
            const cfa__pledge *pledge = pledges.records[i];
            cfa__payment payment_key;
            memset(&payment_key, 0, sizeof payment_key);
            payment_key.id = pledge->payment_id;
            cfa_query payment = {
                .kind = &cfa__payment_kind, .match_count = 1, .limit = 1, .key = &payment_key
            };
            status = engine->storage.ops->load(reader->session, &payment, 1, page);
            if (status == CFA_OK && payment.count == 1)
                status = sums_add(sums, arena, payment.records[0]);
            after = pledge->id;
        }
        if (status == CFA_OK && pledges.count < VERIFY_PAGE)
            break;
    }
    cfa_arena_free(page);
    return status;
}

/* Name the first number that differs; true when none does. */
static bool compare_rows(const cfa_totals_row *is, const cfa_totals_row *should) {
    struct {
        const char *name;
        int64_t is, should;
    } parts[] = {
        { "pledged", is->pledged_minor, should->pledged_minor },
        { "authorized", is->authorized_minor, should->authorized_minor },
        { "raised", is->raised_minor, should->raised_minor },
        { "refunded", is->refunded_minor, should->refunded_minor },
        { "disputed", is->disputed_minor, should->disputed_minor },
        { "donation_count", is->donation_count, should->donation_count },
        { "donor_count", is->donor_count, should->donor_count },
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].is != parts[i].should) {
            (void)cfa_error_format(
                CFA_ECORRUPT, ORIGIN, parts[i].name, 0, "%s %s is %lld, its payments make %lld",
                is->currency, parts[i].name, (long long)parts[i].is, (long long)parts[i].should);
            return false;
        }
    }
    return true;
}

static bool compare(const cfa_totals *totals, const struct sums *sums) {
    static const cfa_totals_row nothing;
    size_t matched = 0;
    for (size_t i = 0; i < totals->size; i++) {
        const cfa_totals_row *should = &nothing;
        for (size_t j = 0; j < sums->size; j++) {
            if (memcmp(sums->rows[j].currency, totals->rows[i].currency, 4) == 0) {
                should = &sums->rows[j];
                matched++;
            }
        }
        if (!compare_rows(&totals->rows[i], should))
            return false;
    }
    if (matched == sums->size)
        return true;
    (void)cfa_error_set(CFA_ECORRUPT, ORIGIN, "currency", 0,
                        "payments exist in a currency without a total");
    return false;
}

static cfa_status verify(int32_t *out_equal, cfa_engine *engine, cfa__id campaign_id,
                         cfa__reader *reader, bool *out_behind) {
    cfa_arena *arena;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    struct sums *sums = cfa_arena_alloc(arena, sizeof *sums);
    cfa_totals *totals = NULL;
    int64_t head = 0;
    status =
        sums == NULL ? CFA_ENOMEM : cfa__totals_read(&totals, NULL, engine, reader, campaign_id);
    if (status == CFA_OK)
        status = cfa__log_position(engine, reader, &head);
    *out_behind = status == CFA_OK && totals->position < head;
    if (status == CFA_OK && !*out_behind)
        status = recompute(sums, engine, reader, arena, campaign_id);
    if (status == CFA_OK && !*out_behind)
        *out_equal = compare(totals, sums);
    cfa_totals_free(totals);
    cfa_arena_free(arena);
    return status;
}

cfa_status cfa_totals_verify(int32_t *out_equal, cfa_engine *engine, const char *campaign_id,
                             int32_t timeout_ms) {
    cfa__id id;
    cfa_status status = cfa__call_check(engine, out_equal);
    if (status == CFA_OK)
        status = cfa__id_parse(&id, "cmp", campaign_id, "campaign_id");
    if (status != CFA_OK)
        return status;
    int64_t deadline_us = cfa__deadline_us(engine, timeout_ms);
    for (;;) {
        /* Bring the projector up, then hope that nobody commits before the snapshot: try until one
         * fits. */
        int64_t head;
        cfa__reader *reader;
        bool behind = false;
        status = cfa__log_head(engine, 0, &head);
        if (status == CFA_OK && head > 0)
            status = cfa__project_until(engine, head, deadline_us);
        if (status == CFA_OK)
            status = cfa__read_begin(&reader, engine, deadline_us);
        if (status != CFA_OK)
            return status;
        status = verify(out_equal, engine, id, reader, &behind);
        cfa__read_end(engine, reader);
        if (status != CFA_OK || !behind)
            return status;
        if (cfa__left_ms(deadline_us) == 0)
            return cfa_error_set(CFA_ETIMEOUT, ORIGIN, NULL, 0,
                                 "the log kept growing during the check");
    }
}
