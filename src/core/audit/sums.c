/*
 * sums.c - what each campaign raised in each currency: its counters as they stand, and the sum of its
 * contribution rows. One entry per campaign and currency is kept in memory, whatever the number of
 * payments.
 */
#include "core/audit/audit.h"

#include <string.h>

static const char *const names[] = { "pledged", "authorized", "raised", "refunded", "disputed" };

/* ---- the table ------------------------------------------------------------------------------- */

static size_t start_of(const cfa__audit *audit, cfa__id campaign_id, const char *currency) {
    uint64_t words[2];
    memcpy(words, campaign_id.bytes, sizeof words);
    uint64_t hash = (words[0] ^ words[1] * UINT64_C(0x9e3779b97f4a7c15)) +
                    (uint64_t)(unsigned char)currency[0] * 7 +
                    (uint64_t)(unsigned char)currency[1] * 131 +
                    (uint64_t)(unsigned char)currency[2] * 4099;
    return (size_t)((hash ^ hash >> 29) % audit->sum_capacity);
}

static cfa__sum *slot_of(const cfa__audit *audit, cfa__id campaign_id, const char *currency) {
    size_t at = start_of(audit, campaign_id, currency);
    while (audit->sums[at].used &&
           (cfa__id_compare(audit->sums[at].campaign_id, campaign_id) != 0 ||
            memcmp(audit->sums[at].currency, currency, 4) != 0))
        at = (at + 1) % audit->sum_capacity;
    return &audit->sums[at];
}

static bool grow(cfa__audit *audit) {
    size_t capacity = audit->sum_capacity;
    cfa__sum *old = audit->sums;
    if (audit->sum_count * 2 < capacity)
        return true;
    size_t grown = capacity == 0 ? 256 : capacity * 2;
    cfa__sum *sums =
        audit->sum_count < CFA__AUDIT_TOTALS_MAX ? cfa_alloc(grown * sizeof *sums) : NULL;
    if (sums == NULL) {
        if (audit->status == CFA_OK)
            audit->status = cfa_error_set(
                audit->sum_count < CFA__AUDIT_TOTALS_MAX ? CFA_ENOMEM : CFA_ERANGE, "core.audit",
                "campaign_id", 0, "too many campaigns for one audit: audit them one by one");
        return false;
    }
    memset(sums, 0, grown * sizeof *sums);
    audit->sums = sums;
    audit->sum_capacity = grown;
    for (size_t i = 0; i < capacity; i++) {
        if (old[i].used)
            *slot_of(audit, old[i].campaign_id, old[i].currency) = old[i];
    }
    cfa_free(old);
    return true;
}

cfa__sum *cfa__sum_of(cfa__audit *audit, cfa__id campaign_id, const char *currency, bool make) {
    if (!grow(audit))
        return NULL;
    cfa__sum *sum = slot_of(audit, campaign_id, currency);
    if (sum->used || !make)
        return sum->used ? sum : NULL;
    memset(sum, 0, sizeof *sum);
    sum->used = true;
    sum->campaign_id = campaign_id;
    memcpy(sum->currency, currency, sizeof sum->currency);
    audit->sum_count++;
    return sum;
}

/* A campaign is known by an entry without a currency. */
bool cfa__sum_knows(const cfa__audit *audit, cfa__id campaign_id) {
    return audit->sum_capacity > 0 && slot_of(audit, campaign_id, "\0\0\0")->used;
}

/* ---- campaigns ------------------------------------------------------------------------------- */

static void take_campaign(cfa__audit *audit, const cfa__campaign *campaign) {
    const char *codes = campaign->currencies.data;
    char currency[4] = "";
    (void)cfa__sum_of(audit, campaign->id, "\0\0\0", true);
    for (size_t at = 0; at + 3 <= campaign->currencies.size; at += 4) {
        memcpy(currency, codes + at, 3);
        cfa__sum *sum = cfa__sum_of(audit, campaign->id, currency, true);
        if (sum != NULL)
            sum->listed = true;
    }
}

cfa_status cfa__audit_no_campaign(void) {
    return cfa_error_set(CFA_ENOTFOUND, "core.audit", "campaign_id", 0,
                         "there is no such campaign");
}

cfa_status cfa__audit_campaigns(cfa__audit *audit) {
    cfa__stream stream;
    const void *record = NULL;
    bool whole = cfa__id_is_null(audit->campaign_id);
    cfa__any_record key;
    cfa__key_of_id(&key, &cfa__campaign_kind, audit->campaign_id);
    cfa_status status =
        cfa__stream_open(&stream, audit, &cfa__campaign_kind, 0, whole ? 0 : 1, &key);
    while (status == CFA_OK) {
        status = cfa__stream_peek(&stream, &record);
        if (status != CFA_OK || record == NULL)
            break;
        take_campaign(audit, record);
        if (whole)
            cfa__feed(audit, &cfa__campaign_kind, record);
        status = audit->status;
        cfa__stream_skip(&stream);
    }
    cfa__stream_close(&stream);
    if (status == CFA_OK && !whole && audit->sum_count == 0)
        return cfa__audit_no_campaign();
    return status;
}

/* ---- totals ---------------------------------------------------------------------------------- */

static void take_totals(cfa__audit *audit, const cfa__totals *row) {
    cfa__sum *sum = cfa__sum_of(audit, row->campaign_id, row->currency, true);
    if (sum == NULL)
        return;
    sum->has_row = true;
    sum->position = row->position;
    sum->row_donations = row->donation_count;
    sum->row_donors = row->donor_count;
    sum->row[0] = row->pledged_minor;
    sum->row[1] = row->authorized_minor;
    sum->row[2] = row->raised_minor;
    sum->row[3] = row->refunded_minor;
    sum->row[4] = row->disputed_minor;
}

static void take_supporter(cfa__audit *audit, const cfa__supporter *row) {
    cfa__sum *sum = cfa__sum_of(audit, row->campaign_id, row->currency, true);
    if (sum != NULL && row->donation_count > 0)
        sum->donors++;
    cfa__feed(audit, &cfa__supporter_kind, row);
}

static cfa_status read_all(cfa__audit *audit, const cfa_kind *kind) {
    cfa__stream stream;
    const void *record = NULL;
    cfa__any_record key;
    memset(&key, 0, sizeof key);
    if (kind == &cfa__totals_kind)
        key.totals.campaign_id = audit->campaign_id;
    else
        key.supporter.campaign_id = audit->campaign_id;
    cfa_status status = cfa__stream_open(&stream, audit, kind, 0,
                                         cfa__id_is_null(audit->campaign_id) ? 0 : 1, &key);
    while (status == CFA_OK) {
        status = cfa__stream_peek(&stream, &record);
        if (status != CFA_OK || record == NULL)
            break;
        if (kind == &cfa__totals_kind)
            take_totals(audit, record);
        else
            take_supporter(audit, record);
        status = audit->status;
        cfa__stream_skip(&stream);
    }
    cfa__stream_close(&stream);
    return status;
}

static void compare(cfa__audit *audit, const cfa__sum *sum) {
    cfa__place place = cfa__place_of("cmp", sum->campaign_id);
    place.campaign_id = sum->campaign_id;
    place.position = sum->position;
    memcpy(place.currency, sum->currency, sizeof place.currency);
    bool up_to_date = audit->applied == audit->head && !audit->staged;
    if (!sum->has_row) {
        /* The projector makes it with the campaign's first event. */
        if (sum->has_payment || (up_to_date && sum->listed))
            cfa__audit_texts(audit, CFA__AUDIT_TOTALS_MISSING, &place, NULL, "a row", "none");
        return;
    }
    if (!cfa__sum_knows(audit, sum->campaign_id))
        cfa__audit_texts(audit, CFA__AUDIT_TOTALS_STRAY, &place, NULL, "its campaign", "none");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        cfa__audit_compare(audit, CFA__AUDIT_TOTALS_COUNTER, &place, names[i], sum->sum[i],
                           sum->row[i]);
    cfa__audit_compare(audit, CFA__AUDIT_TOTALS_COUNTER, &place, "donation_count", sum->donations,
                       sum->row_donations);
    cfa__audit_compare(audit, CFA__AUDIT_TOTALS_COUNTER, &place, "donor_count", sum->donors,
                       sum->row_donors);
    if (sum->position > audit->applied)
        cfa__audit_numbers(audit, CFA__AUDIT_TOTALS_POSITION, &place, "position", audit->applied,
                           sum->position);
}

cfa_status cfa__audit_totals(cfa__audit *audit) {
    cfa_status status = read_all(audit, &cfa__totals_kind);
    if (status == CFA_OK)
        status = read_all(audit, &cfa__supporter_kind);
    for (size_t i = 0; status == CFA_OK && i < audit->sum_capacity; i++) {
        if (audit->sums[i].used && audit->sums[i].currency[0] != '\0')
            compare(audit, &audit->sums[i]);
    }
    return status;
}
