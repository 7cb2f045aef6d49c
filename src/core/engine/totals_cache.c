/*
 * totals_cache.c - the last known good totals of the campaigns that are read, in memory without an
 * end of life: what a reader gets in microseconds, and what is left when the store cannot be read.
 */
#include "core/engine/totals_cache.h"
#include "core/decide/evidence.h"

#include <string.h>

#define ORIGIN "core.totals"
#define SET_COUNT 1024 /* remembered campaigns: SET_COUNT * WAYS at most */
#define WAYS 4

struct way {
    cfa__id campaign_id;
    cfa_totals *totals; /* NULL: empty */
    int64_t read_us;    /* monotonic time when the store last confirmed it */
    uint64_t used;
};

struct cfa__totals_cache {
    pthread_mutex_t lock;
    uint64_t clock;
    struct way sets[SET_COUNT][WAYS];
};

cfa_totals *cfa__totals_new(size_t size) {
    cfa_totals *totals = cfa_alloc(sizeof *totals + size * sizeof totals->rows[0]);
    if (totals == NULL) {
        (void)cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for totals");
        return NULL;
    }
    memset(totals, 0, sizeof *totals + size * sizeof totals->rows[0]);
    atomic_init(&totals->references, 1);
    totals->size = size;
    return totals;
}

/* ---- the cache ------------------------------------------------------------------------------- */

cfa_status cfa__totals_cache_open(cfa_engine *engine) {
    cfa__totals_cache *cache = cfa_alloc(sizeof *cache);
    if (cache == NULL)
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for the cache of totals");
    memset(cache, 0, sizeof *cache);
    pthread_mutex_init(&cache->lock, NULL);
    engine->totals = cache;
    return CFA_OK;
}

void cfa__totals_cache_close(cfa_engine *engine) {
    cfa__totals_cache *cache = engine->totals;
    if (cache == NULL)
        return;
    for (size_t set = 0; set < SET_COUNT; set++) {
        for (size_t i = 0; i < WAYS; i++)
            cfa_totals_free(cache->sets[set][i].totals);
    }
    pthread_mutex_destroy(&cache->lock);
    cfa_free(cache);
    engine->totals = NULL;
}

/* The tail of a UUIDv7 is random: a good hash as it is. */
static struct way *set_of(cfa__totals_cache *cache, cfa__id campaign_id) {
    size_t hash = ((size_t)campaign_id.bytes[14] << 8) | campaign_id.bytes[15];
    return cache->sets[hash % SET_COUNT];
}

static struct way *way_of(cfa__totals_cache *cache, cfa__id campaign_id) {
    struct way *set = set_of(cache, campaign_id);
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].totals != NULL && cfa__id_compare(set[i].campaign_id, campaign_id) == 0)
            return &set[i];
    }
    return NULL;
}

static cfa_totals *reference(cfa_totals *totals) {
    atomic_fetch_add(&totals->references, 1);
    return totals;
}

cfa_totals *cfa__totals_cached(cfa_engine *engine, cfa__id campaign_id, int64_t not_before_us,
                               int64_t at_least) {
    cfa__totals_cache *cache = engine->totals;
    cfa_totals *found = NULL;
    pthread_mutex_lock(&cache->lock);
    struct way *way = way_of(cache, campaign_id);
    if (way != NULL && way->read_us >= not_before_us && way->totals->position >= at_least) {
        way->used = ++cache->clock;
        found = reference(way->totals);
    }
    pthread_mutex_unlock(&cache->lock);
    return found;
}

cfa_totals *cfa__totals_remember(cfa_engine *engine, cfa__id campaign_id, cfa_totals *fresh,
                                 int64_t read_us) {
    cfa__totals_cache *cache = engine->totals;
    pthread_mutex_lock(&cache->lock);
    struct way *way = way_of(cache, campaign_id);
    if (way == NULL) {
        struct way *set = set_of(cache, campaign_id);
        way = &set[0];
        for (size_t i = 1; i < WAYS; i++) {
            if (set[i].used < way->used)
                way = &set[i];
        }
        cfa_totals_free(way->totals);
        way->totals = NULL;
        way->campaign_id = campaign_id;
    }
    if (way->totals != NULL &&
        (way->totals->version > fresh->version || way->totals->position > fresh->position)) {
        cfa_totals_free(fresh);
        fresh = way->totals;
    } else {
        cfa_totals_free(way->totals);
        way->totals = fresh;
        way->read_us = read_us;
    }
    way->used = ++cache->clock;
    cfa_totals *taken = reference(fresh);
    pthread_mutex_unlock(&cache->lock);
    return taken;
}

/* ---- reading the store ----------------------------------------------------------------------- */

static void row_fill(cfa_totals_row *row, const cfa__totals *record) {
    memcpy(row->currency, record->currency, sizeof row->currency);
    row->pledged_minor = record->pledged_minor;
    row->authorized_minor = record->authorized_minor;
    row->raised_minor = record->raised_minor;
    row->refunded_minor = record->refunded_minor;
    row->disputed_minor = record->disputed_minor;
    row->net_minor = record->raised_minor - record->refunded_minor - record->disputed_minor;
    row->donation_count = record->donation_count;
    row->donor_count = record->donor_count;
}

/* A campaign that the projector has not reached yet has zeros in its accepted currencies: that is
 * known. */
static cfa_totals *zeros(const cfa__campaign *campaign) {
    size_t count = (campaign->currencies.size + 1) / 4;
    cfa_totals *totals = cfa__totals_new(count);
    const char *codes = campaign->currencies.data;
    for (size_t i = 0; totals != NULL && i < count; i++)
        memcpy(totals->rows[i].currency, codes + i * 4, 3);
    return totals;
}

cfa_status cfa__totals_read(cfa_totals **out, const cfa__campaign **out_campaign,
                            cfa_engine *engine, cfa__reader *reader, cfa__id campaign_id) {
    cfa__campaign campaign_key;
    cfa__totals totals_key;
    cfa__sink sink_key;
    memset(&campaign_key, 0, sizeof campaign_key);
    memset(&totals_key, 0, sizeof totals_key);
    memset(&sink_key, 0, sizeof sink_key);
    campaign_key.id = totals_key.campaign_id = campaign_id;
    sink_key.name = cfa__slice(CFA__PROJECTOR_NAME);
    cfa_query queries[] = {
        { .kind = &cfa__campaign_kind, .match_count = 1, .limit = 1, .key = &campaign_key },
        { .kind = &cfa__totals_kind,
          .match_count = 1,
          .limit = CFA__TOTALS_CURRENCIES_MAX,
          .key = &totals_key },
        { .kind = &cfa__sink_kind, .match_count = 1, .limit = 1, .key = &sink_key },
    };
    cfa_status status = cfa__read_queries(engine, reader, queries, 3);
    if (status != CFA_OK)
        return status;
    if (queries[0].count == 0)
        return cfa_error_set(CFA_ENOTFOUND, ORIGIN, "campaign_id", 0, "there is no such campaign");
    const cfa__campaign *campaign = queries[0].records[0];
    cfa_totals *totals =
        queries[1].count == 0 ? zeros(campaign) : cfa__totals_new((size_t)queries[1].count);
    if (totals == NULL)
        return CFA_ENOMEM;
    for (int32_t i = 0; i < queries[1].count; i++) {
        const cfa__totals *record = queries[1].records[i];
        row_fill(&totals->rows[i], record);
        totals->version += record->version;
    }
    if (queries[2].count == 1)
        totals->position = ((const cfa__sink *)queries[2].records[0])->acknowledged;
    totals->as_of_us = cfa__wall_us(engine);
    cfa__id_format(totals->campaign_id, "cmp", campaign_id);
    *out = totals;
    if (out_campaign != NULL)
        *out_campaign = campaign;
    return CFA_OK;
}

cfa_status cfa__totals_read_fresh(cfa_totals **out, cfa_engine *engine, cfa__id campaign_id,
                                  int64_t deadline_us) {
    int64_t read_us = cfa__monotonic_us(engine);
    cfa__reader *reader;
    cfa_status status = cfa__read_begin(&reader, engine, deadline_us);
    if (status != CFA_OK)
        return status;
    cfa_totals *fresh;
    status = cfa__totals_read(&fresh, NULL, engine, reader, campaign_id);
    cfa__read_end(engine, reader);
    if (status == CFA_OK)
        *out = cfa__totals_remember(engine, campaign_id, fresh, read_us);
    return status;
}

void cfa__totals_cache_refresh(cfa_engine *engine, const cfa__id *campaigns, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        pthread_mutex_lock(&engine->totals->lock);
        bool cached = way_of(engine->totals, campaigns[i]) != NULL;
        pthread_mutex_unlock(&engine->totals->lock);
        cfa_totals *totals = NULL;
        if (cached && cfa__totals_read_fresh(&totals, engine, campaigns[i],
                                             cfa__deadline_us(engine, -1)) == CFA_OK)
            cfa_totals_free(totals);
    }
}
