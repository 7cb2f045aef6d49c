/*
 * totals.c - the projector: events in, contributions and totals out, the cursor moved in the same
 * transaction. A contribution is replaced only by a later sequence, so an event that comes twice or
 * late changes nothing.
 */
#include "core/decide/evidence.h"
#include "core/decide/payment_machine.h"
#include "util/json.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.totals"

/* What one event says, read from its own bytes, exactly as a remote projector would. */
struct cfa__reading {
    cfa__id payment_id, pledge_id, campaign_id, person_id;
    char currency[4];
    cfa_slice currencies; /* of a campaign's event */
    int64_t created_us, state;
    cfa__buckets buckets;
    bool of_payment;
};

static bool read_id(const cfa__json *root, const char *name, const char *prefix, cfa__id *out) {
    const char *text;
    return cfa__json_read_text(cfa__json_get(root, name), &text) &&
           cfa__id_parse(out, prefix, text, name) == CFA_OK;
}

static bool read_payment(const cfa__json *root, struct cfa__reading *out) {
    const cfa__json *part = cfa__json_get(root, "contribution");
    const char *currency;
    if (!cfa__json_read_text(cfa__json_get(root, "currency"), &currency) || strlen(currency) != 3)
        return false;
    memcpy(out->currency, currency, 4);
    return read_id(root, "payment_id", "pay", &out->payment_id) &&
           read_id(root, "pledge_id", "plg", &out->pledge_id) &&
           read_id(root, "campaign_id", "cmp", &out->campaign_id) &&
           read_id(root, "donor_id", "dnr", &out->person_id) &&
           cfa__json_read_int(cfa__json_get(root, "pledged_us"), &out->created_us) &&
           cfa__json_read_int(cfa__json_get(part, "state_code"), &out->state) &&
           cfa__json_read_int(cfa__json_get(part, "pledged_minor"), &out->buckets.pledged_minor) &&
           cfa__json_read_int(cfa__json_get(part, "authorized_minor"),
                              &out->buckets.authorized_minor) &&
           cfa__json_read_int(cfa__json_get(part, "raised_minor"), &out->buckets.raised_minor) &&
           cfa__json_read_int(cfa__json_get(part, "refunded_minor"),
                              &out->buckets.refunded_minor) &&
           cfa__json_read_int(cfa__json_get(part, "disputed_minor"), &out->buckets.disputed_minor);
}

static cfa_status read_event(const cfa__event *event, cfa_arena *arena, struct cfa__reading *out) {
    memset(out, 0, sizeof *out);
    cfa__json *root;
    cfa_status status = cfa__json_parse(&root, event->payload);
    if (status == CFA_ENOMEM)
        return status;
    bool good = status == CFA_OK, failed = false;
    if (good && event->subject_kind == cfa__payment_kind.id) {
        out->of_payment = true;
        good = read_payment(root, out);
    } else if (good && event->subject_kind == cfa__campaign_kind.id) {
        const char *currencies;
        good = read_id(root, "campaign_id", "cmp", &out->campaign_id) &&
               cfa__json_read_text(cfa__json_get(root, "currencies"), &currencies);
        if (good)
            out->currencies = cfa__slice(cfa__text_of(arena, cfa__slice(currencies), &failed));
    }
    if (status == CFA_OK)
        cfa__json_free(root);
    if (failed)
        return CFA_ENOMEM;
    if (!good) {
        return cfa_error_format(CFA_ECORRUPT, ORIGIN, NULL, 0, "event %lld cannot be read",
                                (long long)event->position);
    }
    return CFA_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Edit a row, or insert it empty if there is none. */
static cfa_status upsert(cfa__working_set *set, const cfa_kind *kind, const void *key, void **out) {
    cfa_status status = cfa__edit(set, kind, key, out);
    if (status == CFA_OK && *out == NULL)
        status = cfa__insert(set, kind, key, out);
    return status;
}

static cfa_status totals_row(cfa__working_set *set, cfa__id campaign_id, const char *currency,
                             cfa__totals **out) {
    cfa__totals key;
    memset(&key, 0, sizeof key);
    key.campaign_id = campaign_id;
    memcpy(key.currency, currency, 3);
    void *draft = NULL;
    cfa_status status = upsert(set, &cfa__totals_kind, &key, &draft);
    *out = draft;
    return status;
}

static cfa_status contribution_row(cfa__working_set *set, const struct cfa__reading *reading,
                                   cfa__contribution **out) {
    cfa__contribution key;
    memset(&key, 0, sizeof key);
    key.payment_id = reading->payment_id;
    key.campaign_id = reading->campaign_id;
    key.pledge_id = reading->pledge_id;
    key.person_id = reading->person_id;
    key.created_us = reading->created_us;
    memcpy(key.currency, reading->currency, sizeof key.currency);
    void *draft = NULL;
    cfa_status status = upsert(set, &cfa__contribution_kind, &key, &draft);
    *out = draft;
    return status;
}

static cfa_status supporter_row(cfa__working_set *set, const struct cfa__reading *reading,
                                cfa__supporter **out) {
    cfa__supporter key;
    memset(&key, 0, sizeof key);
    key.campaign_id = reading->campaign_id;
    key.person_id = reading->person_id;
    memcpy(key.currency, reading->currency, sizeof key.currency);
    void *draft = NULL;
    cfa_status status = upsert(set, &cfa__supporter_kind, &key, &draft);
    *out = draft;
    return status;
}

/* ---- arithmetic: checked, never clamped ------------------------------------------------------ */

static bool move(int64_t *sum, int64_t old_part, int64_t new_part) {
    int64_t difference;
    return !__builtin_sub_overflow(new_part, old_part, &difference) &&
           !__builtin_add_overflow(*sum, difference, sum);
}

static cfa_status replace(cfa__totals *totals, const cfa__contribution *old,
                          const cfa__buckets *now) {
    if (!move(&totals->pledged_minor, old->pledged_minor, now->pledged_minor) ||
        !move(&totals->authorized_minor, old->authorized_minor, now->authorized_minor) ||
        !move(&totals->raised_minor, old->raised_minor, now->raised_minor) ||
        !move(&totals->refunded_minor, old->refunded_minor, now->refunded_minor) ||
        !move(&totals->disputed_minor, old->disputed_minor, now->disputed_minor))
        return cfa_error_set(CFA_ERANGE, ORIGIN, NULL, 0,
                             "a campaign's total leaves the 64-bit range");
    return CFA_OK;
}

/* Count a payment that began or ceased to have money raised, and its donor among the distinct
 * ones. */
static cfa_status count_donation(cfa__working_set *set, const struct cfa__reading *reading,
                                 int64_t change, cfa__totals *totals) {
    cfa__supporter *supporter;
    cfa_status status = supporter_row(set, reading, &supporter);
    if (status != CFA_OK)
        return status;
    int64_t supported = supporter->donation_count > 0;
    supporter->donation_count += change;
    totals->donation_count += change;
    totals->donor_count += (supporter->donation_count > 0) - supported;
    assert(totals->donation_count >= 0 && totals->donor_count >= 0 &&
           supporter->donation_count >= 0);
    return CFA_OK;
}

static cfa_status apply_payment(cfa__working_set *set, const cfa__event *event,
                                const struct cfa__reading *reading) {
    cfa__contribution *contribution;
    cfa__totals *totals;
    cfa_status status = contribution_row(set, reading, &contribution);
    cfa_status totals_status = totals_row(set, reading->campaign_id, reading->currency, &totals);
    if (status < 0 || totals_status < 0)
        return status < 0 ? status : totals_status;
    if (status == CFA__MISS || totals_status == CFA__MISS) {
        cfa__supporter *hint; /* most likely needed: load it in the same round */
        if (reading->buckets.raised_minor > 0 && supporter_row(set, reading, &hint) < 0)
            return CFA_ENOMEM;
        return CFA__MISS;
    }
    if (event->sequence <= contribution->sequence)
        return CFA_OK;
    int64_t change = (reading->buckets.raised_minor > 0) - (contribution->raised_minor > 0);
    if (change != 0) {
        status = count_donation(set, reading, change, totals);
        if (status != CFA_OK)
            return status;
    }
    status = replace(totals, contribution, &reading->buckets);
    if (status != CFA_OK)
        return status;
    totals->position = event->position;
    totals->updated_us = cfa__now_us(set);
    contribution->sequence = event->sequence;
    contribution->state = reading->state;
    contribution->pledged_minor = reading->buckets.pledged_minor;
    contribution->authorized_minor = reading->buckets.authorized_minor;
    contribution->raised_minor = reading->buckets.raised_minor;
    contribution->refunded_minor = reading->buckets.refunded_minor;
    contribution->disputed_minor = reading->buckets.disputed_minor;
    return CFA_OK;
}

/* A campaign starts with a row of zeros per currency, so that a total is never made up. */
static cfa_status apply_campaign(cfa__working_set *set, const cfa__event *event,
                                 const struct cfa__reading *reading) {
    const char *codes = reading->currencies.data;
    bool missed = false;
    for (size_t at = 0; at + 3 <= reading->currencies.size; at += 4) {
        cfa__totals *totals;
        cfa_status status = totals_row(set, reading->campaign_id, codes + at, &totals);
        if (status == CFA__MISS) {
            missed = true;
        } else if (status != CFA_OK) {
            return status;
        } else if (totals->position == 0) {
            totals->position = event->position;
            totals->updated_us = cfa__now_us(set);
        }
    }
    return missed ? CFA__MISS : CFA_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

static void note_campaign(cfa__project_answer *answer, cfa__id campaign_id) {
    for (int32_t i = answer->campaign_count; i > 0; i--) {
        if (cfa__id_compare(answer->campaigns[i - 1], campaign_id) == 0)
            return;
    }
    answer->campaigns[answer->campaign_count++] = campaign_id;
}

static cfa_status list_events(cfa__working_set *set, int64_t after, cfa_query *query) {
    cfa__event key;
    memset(&key, 0, sizeof key);
    key.position = after;
    *query = (cfa_query){ .kind = &cfa__event_kind,
                          .flags = CFA_QUERY_AFTER,
                          .limit = CFA__PROJECT_EVENTS_MAX,
                          .key = &key };
    return cfa__list(set, query);
}

/* Parse each event once, however often the command is run. */
static cfa_status read_events(cfa__working_set *set, const cfa__project_input *input,
                              const cfa_query *events) {
    cfa__project_readings *readings = input->readings;
    if (readings->events == events->records)
        return CFA_OK;
    cfa_arena *arena = cfa__batch_arena(set);
    struct cfa__reading *items = cfa_arena_alloc(arena, (size_t)events->count * sizeof *items);
    if (items == NULL)
        return CFA_ENOMEM;
    for (int32_t i = 0; i < events->count; i++) {
        cfa_status status = read_event(events->records[i], arena, &items[i]);
        if (status != CFA_OK)
            return status;
    }
    readings->events = events->records;
    readings->items = items;
    return CFA_OK;
}

cfa_status cfa__totals_apply(cfa__working_set *set, cfa__command *command) {
    const cfa__project_input *input = command->input;
    cfa__project_answer *answer = command->output;
    cfa__sink key;
    memset(&key, 0, sizeof key);
    key.name = cfa__slice(CFA__PROJECTOR_NAME);
    const void *found;
    cfa_status status = cfa__find(set, &cfa__sink_kind, &key, &found);
    if (status != CFA_OK)
        return status;
    int64_t cursor = found != NULL ? ((const cfa__sink *)found)->acknowledged : 0;
    cfa_query events;
    status = list_events(set, cursor, &events);
    if (status != CFA_OK)
        return status;
    answer->position = cursor;
    status = read_events(set, input, &events);
    if (status != CFA_OK)
        return status;
    bool missed = false;
    for (int32_t i = 0; i < events.count; i++) {
        const cfa__event *event = events.records[i];
        if (event->position != cursor + 1 + i) {
            return cfa_error_format(CFA_ECORRUPT, ORIGIN, NULL, 0,
                                    "the log has a hole before position %lld",
                                    (long long)event->position);
        }
        const struct cfa__reading *reading = &input->readings->items[i];
        status = reading->of_payment ? apply_payment(set, event, reading)
                                     : apply_campaign(set, event, reading);
        if (status == CFA__MISS)
            missed = true; /* go on: one load then brings what all events need */
        else if (status != CFA_OK)
            return status;
        if (!cfa__id_is_null(reading->campaign_id))
            note_campaign(answer, reading->campaign_id);
    }
    if (missed)
        return CFA__MISS;
    answer->applied = events.count;
    if (events.count == 0)
        return CFA_OK;
    void *draft;
    status = upsert(set, &cfa__sink_kind, &key, &draft);
    if (status != CFA_OK)
        return status;
    cfa__sink *sink = draft;
    sink->acknowledged = cursor + events.count;
    sink->updated_us = cfa__now_us(set);
    answer->position = sink->acknowledged;
    return CFA_OK;
}
