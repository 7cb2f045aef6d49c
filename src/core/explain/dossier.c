/*
 * dossier.c - from an id to the records of one donation.
 */
#include "core/explain/dossier.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/decide/evidence.h"
#include "core/decide/facts.h"

#define ORIGIN "core.explain"
#define ACT_ROWS_MAX 2048 /* of the audit log, read to find what persons did here */
#define POSITION_DIGITS_MAX 18

/* ---- what the id names ----------------------------------------------------------------------- */

static cfa_status not_found(const char *what) {
    return cfa_error_format(CFA_ENOTFOUND, ORIGIN, "id", 0, "there is no such %s", what);
}

static cfa_status find(cfa__dossier *dossier, const cfa_kind *kind, cfa__id id, const void **out) {
    *out = NULL;
    return cfa__read_id(dossier->engine, dossier->reader, kind, id, out);
}

static cfa_status take_payment(cfa__dossier *dossier, cfa__id payment_id) {
    const void *found;
    cfa_status status = find(dossier, &cfa__payment_kind, payment_id, &found);
    if (status == CFA_OK && found == NULL)
        status = cfa_error_set(CFA_ECORRUPT, ORIGIN, NULL, 0,
                               "a record names a payment that is not there");
    dossier->payment = found;
    return status;
}

/* Look for the id among records of one kind; `*out_found` when it is one. */
static cfa_status try_kind(cfa__dossier *dossier, cfa__asked asked, cfa__id id, bool *out_found) {
    const void *found = NULL;
    cfa_status status = CFA_OK;
    cfa__id payment_id = CFA__ID_NULL;
    switch (asked) {
    case CFA__ASKED_PAYMENT:
        status = find(dossier, &cfa__payment_kind, id, &found);
        payment_id = id;
        break;
    case CFA__ASKED_PLEDGE:
        status = find(dossier, &cfa__pledge_kind, id, &found);
        if (found != NULL)
            payment_id = ((const cfa__pledge *)found)->payment_id;
        break;
    case CFA__ASKED_REFUND:
        status = find(dossier, &cfa__refund_kind, id, &found);
        if (found != NULL)
            payment_id = ((const cfa__refund *)found)->payment_id;
        break;
    case CFA__ASKED_DISPUTE:
        status = find(dossier, &cfa__dispute_kind, id, &found);
        if (found != NULL)
            payment_id = ((const cfa__dispute *)found)->payment_id;
        break;
    default: assert(false);
    }
    *out_found = found != NULL;
    if (status != CFA_OK || found == NULL)
        return status;
    dossier->asked = asked;
    dossier->asked_id = id;
    return take_payment(dossier, payment_id);
}

static cfa_status take_event(cfa__dossier *dossier, const cfa__event *event) {
    dossier->asked = CFA__ASKED_EVENT;
    dossier->asked_id = event->id;
    if (event->subject_kind == cfa__payment_kind.id)
        return take_payment(dossier, event->subject_id);
    /* Of a campaign or a breaker: a story of this event alone. */
    dossier->events = cfa_arena_alloc(dossier->reader->arena, sizeof *dossier->events);
    if (dossier->events == NULL)
        return CFA_ENOMEM;
    dossier->events[0].event = *event;
    dossier->event_count = 1;
    return CFA_OK;
}

static cfa_status try_event(cfa__dossier *dossier, cfa__id id, bool *out_found) {
    const cfa__event *event;
    cfa_status status = cfa__dossier_event_by_id(dossier, id, &event);
    *out_found = status == CFA_OK && event != NULL;
    return *out_found ? take_event(dossier, event) : status;
}

/* Digits alone are a position of the log. */
static cfa_status try_position(cfa__dossier *dossier, const char *text, bool *out_found) {
    cfa__event key;
    size_t size = strlen(text);
    *out_found = false;
    if (size == 0 || size > POSITION_DIGITS_MAX || strspn(text, "0123456789") != size)
        return CFA_OK;
    memset(&key, 0, sizeof key);
    for (size_t i = 0; i < size; i++)
        key.position = key.position * 10 + (text[i] - '0');
    cfa_query query = { .kind = &cfa__event_kind, .match_count = 1, .limit = 1, .key = &key };
    cfa_status status = cfa__read_queries(dossier->engine, dossier->reader, &query, 1);
    *out_found = status == CFA_OK && query.count == 1;
    return *out_found ? take_event(dossier, query.records[0]) : status;
}

/* A webhook, of a payment or of none: `*records` is a query's. */
static cfa_status take_webhook(cfa__dossier *dossier, void *const *records) {
    const cfa__webhook *row = records[0];
    dossier->asked = CFA__ASKED_WEBHOOK;
    dossier->asked_id = row->id;
    if (!cfa__id_is_null(row->payment_id))
        return take_payment(dossier, row->payment_id);
    dossier->webhooks = (cfa__rows){ records, 1, false };
    return CFA_OK;
}

static cfa_status try_webhook(cfa__dossier *dossier, cfa__id id, bool *out_found) {
    cfa__webhook key;
    memset(&key, 0, sizeof key);
    key.id = id;
    cfa_query query = { .kind = &cfa__webhook_kind,
                        .index = CFA__WEBHOOK_BY_ID,
                        .match_count = 1,
                        .limit = 1,
                        .key = &key };
    cfa_status status = cfa__read_queries(dossier->engine, dossier->reader, &query, 1);
    *out_found = status == CFA_OK && query.count == 1;
    return *out_found ? take_webhook(dossier, query.records) : status;
}

static const struct {
    const char *prefix;
    cfa__asked asked;
    const char *name;
} prefixes[] = {
    { "plg", CFA__ASKED_PLEDGE, "pledge" }, { "pay", CFA__ASKED_PAYMENT, "payment" },
    { "rfd", CFA__ASKED_REFUND, "refund" }, { "dsp", CFA__ASKED_DISPUTE, "dispute" },
    { "evt", CFA__ASKED_EVENT, "event" },   { "whk", CFA__ASKED_WEBHOOK, "webhook" },
};
enum { PREFIX_COUNT = (int)(sizeof prefixes / sizeof prefixes[0]) };

static cfa_status try_as(cfa__dossier *dossier, cfa__asked asked, cfa__id id, bool *out_found) {
    return asked == CFA__ASKED_EVENT     ? try_event(dossier, id, out_found)
           : asked == CFA__ASKED_WEBHOOK ? try_webhook(dossier, id, out_found)
                                         : try_kind(dossier, asked, id, out_found);
}

/* An id of ours with its prefix, or a bare UUID or hex, which may be of any kind. */
static cfa_status resolve_id(cfa__dossier *dossier, const char *text, const char **out_name) {
    bool prefixed = strlen(text) > 4 && text[3] == '_', found = false;
    cfa_status status = CFA_OK;
    *out_name = NULL;
    for (int i = 0; i < PREFIX_COUNT && status == CFA_OK && !found; i++) {
        cfa__id id;
        if ((prefixed && memcmp(text, prefixes[i].prefix, 3) != 0) ||
            cfa__id_parse(&id, prefixes[i].prefix, text, "id") != CFA_OK)
            continue;
        *out_name = prefixed ? prefixes[i].name : "id";
        status = try_as(dossier, prefixes[i].asked, id, &found);
    }
    if (found)
        *out_name = NULL;
    else if (status == CFA_OK)
        dossier->asked = CFA__ASKED_OBJECT;
    return status;
}

/* The webhooks that wait for an object nobody knows yet. */
static cfa_status read_waiting(cfa__dossier *dossier) {
    const cfa__provider_object *object = dossier->object;
    cfa_arena *arena = dossier->reader->arena;
    cfa__parked key;
    memset(&key, 0, sizeof key);
    key.provider = object->provider;
    key.account = object->account;
    key.ref = object->ref;
    cfa_query parked = {
        .kind = &cfa__parked_kind, .match_count = 3, .limit = CFA__STORY_ROWS_MAX, .key = &key
    };
    cfa_status status = cfa__read_queries(dossier->engine, dossier->reader, &parked, 1);
    if (status != CFA_OK || parked.count == 0)
        return status;
    void **items = cfa_arena_alloc(arena, (size_t)parked.count * sizeof *items);
    if (items == NULL)
        return CFA_ENOMEM;
    for (int32_t i = 0; i < parked.count && status == CFA_OK; i++) {
        const cfa__webhook webhook = cfa__webhook_key(parked.records[i]);
        cfa_query query = {
            .kind = &cfa__webhook_kind, .match_count = 3, .limit = 1, .key = &webhook
        };
        status = cfa__read_queries(dossier->engine, dossier->reader, &query, 1);
        if (status == CFA_OK && query.count == 1)
            items[dossier->webhooks.count++] = query.records[0];
    }
    dossier->webhooks.items = items;
    dossier->webhooks.more = parked.count == CFA__STORY_ROWS_MAX;
    return status;
}

static cfa_status take_object(cfa__dossier *dossier, const cfa__provider_object *object) {
    dossier->object = object;
    if (cfa__id_is_null(object->payment_id))
        return read_waiting(dossier);
    if (!cfa__id_is_null(object->part_id)) {
        bool found;
        cfa_status status = try_kind(dossier, CFA__ASKED_REFUND, object->part_id, &found);
        if (status != CFA_OK || found)
            return status;
        status = try_kind(dossier, CFA__ASKED_DISPUTE, object->part_id, &found);
        if (status != CFA_OK || found)
            return status;
    }
    return take_payment(dossier, object->payment_id);
}

/* What the provider calls its object, or its webhook event. */
static cfa_status resolve_ref(cfa__dossier *dossier, const char *text, const char *name) {
    const cfa__book *book = &dossier->engine->book;
    cfa__provider_object object;
    cfa__webhook webhook;
    if (book->provider.data == NULL || cfa__clean_text(text) == NULL)
        return not_found(name != NULL ? name : "id");
    memset(&object, 0, sizeof object);
    memset(&webhook, 0, sizeof webhook);
    object.provider = webhook.provider = book->provider;
    object.account = webhook.account = book->account;
    object.ref = webhook.event_id = cfa__slice(text);
    cfa_query queries[] = {
        { .kind = &cfa__provider_object_kind, .match_count = 3, .limit = 1, .key = &object },
        { .kind = &cfa__webhook_kind, .match_count = 3, .limit = 1, .key = &webhook },
    };
    cfa_status status = cfa__read_queries(dossier->engine, dossier->reader, queries, 2);
    if (status != CFA_OK)
        return status;
    dossier->asked_ref = cfa_arena_copy(dossier->reader->arena, text, strlen(text));
    if (dossier->asked_ref == NULL)
        return CFA_ENOMEM;
    if (queries[0].count == 1)
        return take_object(dossier, queries[0].records[0]);
    if (queries[1].count == 0)
        return not_found(name != NULL ? name
                                      : "pledge, payment, refund, dispute, event or webhook, "
                                        "nor does the provider call one of ours so");
    return take_webhook(dossier, queries[1].records);
}

/* A key that a call was made with, "cfa_", a UUID, number and attempt; or a call or a step as an audit
 * writes it, "pay_.../2": each names its payment. */
static bool names_call(const char *text, cfa__id *out) {
    char id[CFA_ID_TEXT_SIZE + 8];
    bool is_key = strncmp(text, "cfa_", 4) == 0;
    text += is_key ? 4 : 0;
    const char *end = strpbrk(text, is_key ? "_" : "/");
    size_t size = end != NULL ? (size_t)(end - text) : 0;
    if (end == NULL || size >= sizeof id || end[strspn(end, "0123456789_/")] != '\0')
        return false;
    memcpy(id, text, size);
    id[size] = '\0';
    return cfa__id_parse(out, "pay", id, "id") == CFA_OK;
}

static cfa_status try_call(cfa__dossier *dossier, const char *text, bool *out_found) {
    cfa__id id;
    *out_found = false;
    return names_call(text, &id) ? try_kind(dossier, CFA__ASKED_PAYMENT, id, out_found) : CFA_OK;
}

static cfa_status resolve(cfa__dossier *dossier, const char *text) {
    const char *name = NULL;
    static const char *const others[] = { "cmp_", "dnr_", "brk_" };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        cfa__id id;
        if (strncmp(text, others[i], 4) == 0 &&
            cfa__id_parse(&id, (const char[]){ others[i][0], others[i][1], others[i][2], '\0' },
                          text, "id") == CFA_OK)
            return cfa_error_set(CFA_EINVAL, ORIGIN, "id", 0,
                                 "a story is told of a pledge (plg_), payment (pay_), refund "
                                 "(rfd_), dispute (dsp_), event (evt_) or webhook (whk_), or of "
                                 "what the provider calls one of them");
    }
    bool found = false;
    cfa_status status = try_position(dossier, text, &found);
    if (status == CFA_OK && !found)
        status = try_call(dossier, text, &found);
    if (status == CFA_OK && !found)
        status = resolve_id(dossier, text, &name);
    if (status != CFA_OK || dossier->payment != NULL || dossier->event_count > 0 ||
        dossier->webhooks.count > 0)
        return status;
    return resolve_ref(dossier, text, name);
}

/* ---- the records ----------------------------------------------------------------------------- */

static void take_rows(cfa__rows *out, const cfa_query *query) {
    out->items = query->records;
    out->count = query->count < CFA__STORY_ROWS_MAX ? query->count : CFA__STORY_ROWS_MAX;
    out->more = query->count > CFA__STORY_ROWS_MAX;
}

static cfa_status read_children(cfa__dossier *dossier) {
    cfa__id id = dossier->payment->id;
    cfa__transition transition;
    cfa__operation operation;
    cfa__webhook webhook;
    cfa__refund refund;
    cfa__dispute dispute;
    memset(&transition, 0, sizeof transition);
    memset(&operation, 0, sizeof operation);
    memset(&webhook, 0, sizeof webhook);
    memset(&refund, 0, sizeof refund);
    memset(&dispute, 0, sizeof dispute);
    transition.payment_id = operation.payment_id = webhook.payment_id = id;
    refund.payment_id = dispute.payment_id = id;
    const int32_t limit = CFA__STORY_ROWS_MAX + 1;
    cfa_query queries[] = {
        { .kind = &cfa__transition_kind, .match_count = 1, .limit = limit, .key = &transition },
        { .kind = &cfa__operation_kind, .match_count = 1, .limit = limit, .key = &operation },
        { .kind = &cfa__webhook_kind,
          .index = CFA__WEBHOOK_BY_PAYMENT,
          .match_count = 1,
          .limit = limit,
          .key = &webhook },
        { .kind = &cfa__refund_kind,
          .index = CFA__REFUND_BY_PAYMENT,
          .match_count = 1,
          .limit = limit,
          .key = &refund },
        { .kind = &cfa__dispute_kind,
          .index = CFA__DISPUTE_BY_PAYMENT,
          .match_count = 1,
          .limit = limit,
          .key = &dispute },
    };
    cfa_status status = cfa__read_queries(dossier->engine, dossier->reader, queries,
                                          sizeof queries / sizeof queries[0]);
    if (status != CFA_OK)
        return status;
    take_rows(&dossier->transitions, &queries[0]);
    take_rows(&dossier->operations, &queries[1]);
    take_rows(&dossier->webhooks, &queries[2]);
    take_rows(&dossier->refunds, &queries[3]);
    take_rows(&dossier->disputes, &queries[4]);
    return CFA_OK;
}

static cfa_status read_owners(cfa__dossier *dossier) {
    const cfa__payment *payment = dossier->payment;
    const void *pledge, *campaign, *contribution, *donor = NULL, *totals = NULL;
    cfa__totals totals_key;
    memset(&totals_key, 0, sizeof totals_key);
    totals_key.campaign_id = payment->campaign_id;
    memcpy(totals_key.currency, payment->currency, sizeof totals_key.currency);
    cfa_status status = find(dossier, &cfa__pledge_kind, payment->pledge_id, &pledge);
    if (status == CFA_OK)
        status = find(dossier, &cfa__campaign_kind, payment->campaign_id, &campaign);
    if (status == CFA_OK)
        status = find(dossier, &cfa__contribution_kind, payment->id, &contribution);
    if (status == CFA_OK)
        status = cfa__read_record(dossier->engine, dossier->reader, &cfa__totals_kind, &totals_key,
                                  &totals);
    if (status != CFA_OK)
        return status;
    dossier->pledge = pledge;
    dossier->campaign = campaign;
    dossier->contribution = contribution;
    dossier->totals = totals;
    if (pledge != NULL && !cfa__id_is_null(dossier->pledge->donor_id))
        status = find(dossier, &cfa__donor_kind, dossier->pledge->donor_id, &donor);
    dossier->donor = donor;
    return status;
}

/* ---- sinks and their dead letters ------------------------------------------------------------ */

static cfa_status read_sinks(cfa__dossier *dossier) {
    cfa__sink key;
    memset(&key, 0, sizeof key);
    cfa_query query = { .kind = &cfa__sink_kind, .limit = CFA__STORY_SINKS_MAX + 1, .key = &key };
    cfa_status status = cfa__read_queries(dossier->engine, dossier->reader, &query, 1);
    if (status != CFA_OK)
        return status;
    dossier->sinks.items = query.records;
    dossier->sinks.more = query.count > CFA__STORY_SINKS_MAX;
    dossier->sinks.count = dossier->sinks.more ? CFA__STORY_SINKS_MAX : query.count;
    return CFA_OK;
}

static cfa_status read_letters(cfa__dossier *dossier) {
    cfa_arena *arena = dossier->reader->arena;
    size_t sinks = (size_t)dossier->sinks.count, events = (size_t)dossier->event_count;
    size_t most = sinks * events, count = 0;
    if (most == 0)
        return CFA_OK;
    cfa_query *queries = cfa_arena_alloc(arena, most * sizeof *queries);
    cfa__dead_letter *keys = cfa_arena_alloc(arena, most * sizeof *keys);
    size_t *slots = cfa_arena_alloc(arena, most * sizeof *slots);
    dossier->letters = cfa_arena_alloc(arena, most * sizeof *dossier->letters);
    if (queries == NULL || keys == NULL || slots == NULL || dossier->letters == NULL)
        return CFA_ENOMEM;
    for (size_t event = 0; event < events; event++) {
        for (size_t sink = 0; sink < sinks; sink++) {
            const cfa__sink *cursor = dossier->sinks.items[sink];
            if (cursor->dead_count == 0 || dossier->events[event].event.position == 0)
                continue;
            keys[count].sink = cursor->name;
            keys[count].position = dossier->events[event].event.position;
            queries[count] = (cfa_query){
                .kind = &cfa__dead_letter_kind, .match_count = 2, .limit = 1, .key = &keys[count]
            };
            slots[count++] = event * sinks + sink;
        }
    }
    cfa_status status =
        count == 0 ? CFA_OK : cfa__read_queries(dossier->engine, dossier->reader, queries, count);
    for (size_t i = 0; status == CFA_OK && i < count; i++)
        dossier->letters[slots[i]] = queries[i].count == 1 ? queries[i].records[0] : NULL;
    return status;
}

/* ---- what persons did ------------------------------------------------------------------------ */

struct act_hunt {
    cfa__dossier *dossier;
    void **items;
    bool failed;
};

static bool is_about(const cfa__dossier *dossier, cfa_slice subject) {
    char text[CFA_ID_TEXT_SIZE];
    const cfa__payment *payment = dossier->payment;
    cfa__id_format(text, "pay", payment->id);
    if (cfa__slices_equal(subject, cfa__slice(text)))
        return true;
    cfa__id_format(text, "plg", payment->pledge_id);
    if (cfa__slices_equal(subject, cfa__slice(text)))
        return true;
    for (int32_t i = 0; i < dossier->refunds.count; i++) {
        cfa__id_format(text, "rfd", ((const cfa__refund *)dossier->refunds.items[i])->id);
        if (cfa__slices_equal(subject, cfa__slice(text)))
            return true;
    }
    return false;
}

static bool keep_text(cfa_arena *arena, cfa_slice *text) {
    if (text->data != NULL)
        text->data = cfa_arena_copy(arena, text->data, text->size);
    return text->data != NULL || text->size == 0;
}

static bool visit_act(void *user, const void *row) {
    struct act_hunt *hunt = user;
    cfa__dossier *dossier = hunt->dossier;
    cfa_arena *arena = dossier->reader->arena;
    const cfa__act *act = row;
    if (!is_about(dossier, act->subject))
        return true;
    for (int32_t i = 0; i < dossier->acts.count; i++) {
        if (((const cfa__act *)hunt->items[i])->number == act->number)
            return true; /* its time came twice */
    }
    if (dossier->acts.count == CFA__STORY_ROWS_MAX) {
        dossier->acts.more = true;
        return false;
    }
    cfa__act *copy = cfa_arena_alloc(arena, sizeof *copy);
    if (copy != NULL)
        *copy = *act;
    hunt->failed = copy == NULL || !keep_text(arena, &copy->action) ||
                   !keep_text(arena, &copy->subject) || !keep_text(arena, &copy->actor) ||
                   !keep_text(arena, &copy->reason);
    if (!hunt->failed)
        hunt->items[dossier->acts.count++] = copy;
    return !hunt->failed;
}

/* When a person took held money into the totals; 0: nobody did. */
static int64_t accepted_us(const cfa__dossier *dossier) {
    for (int32_t i = 0; i < dossier->transitions.count; i++) {
        const cfa__transition *step = dossier->transitions.items[i];
        if (cfa__slices_equal(step->rule, cfa__slice("L02")))
            return step->created_us;
    }
    return 0;
}

/* Acts of one commit; `*before`: where earlier ones end, moved there. */
static cfa_status hunt_acts(struct act_hunt *hunt, cfa__log_search *search, int64_t at_us,
                            int64_t *before) {
    if (at_us == 0 || search->head == 0)
        return CFA_OK;
    cfa_status status = cfa__log_seek(search, *before, at_us, before);
    return status == CFA_OK ? cfa__log_scan(search, *before, search->head, at_us, visit_act, hunt)
                            : status;
}

/* An act is written in the commit of what it did: that is a refund, an operation, an acceptance or
 * an erasure. */
static cfa_status read_acts(cfa__dossier *dossier) {
    struct act_hunt hunt = { .dossier = dossier };
    cfa__log_search search;
    int64_t before = 0;
    cfa_status status = cfa__log_search_open(&search, dossier->engine, dossier->reader,
                                             &cfa__act_log, ACT_ROWS_MAX);
    if (status != CFA_OK)
        return status;
    hunt.items = cfa_arena_alloc(dossier->reader->arena, CFA__STORY_ROWS_MAX * sizeof *hunt.items);
    dossier->acts.items = hunt.items;
    if (hunt.items == NULL)
        status = CFA_ENOMEM;
    for (int32_t i = 0; status == CFA_OK && i < dossier->operations.count; i++) {
        const cfa__operation *operation = dossier->operations.items[i];
        status = hunt_acts(&hunt, &search, operation->created_us, &before);
    }
    const int64_t others_us[] = { accepted_us(dossier),
                                  dossier->donor != NULL ? dossier->donor->erased_us : 0 };
    for (size_t i = 0; status == CFA_OK && i < sizeof others_us / sizeof others_us[0]; i++) {
        before = 0;
        status = hunt_acts(&hunt, &search, others_us[i], &before);
    }
    cfa__log_search_close(&search);
    return status == CFA_OK && hunt.failed ? CFA_ENOMEM : status;
}

cfa_status cfa__dossier_read(cfa__dossier *out, cfa_engine *engine, cfa__reader *reader,
                             const char *id) {
    memset(out, 0, sizeof *out);
    out->engine = engine;
    out->reader = reader;
    out->now_us = cfa__book_now_us(engine);
    cfa_status status = resolve(out, id);
    if (status == CFA_OK && out->payment != NULL) {
        status = read_children(out);
        if (status == CFA_OK)
            status = read_owners(out);
        if (status == CFA_OK)
            status = cfa__dossier_events(out);
        if (status == CFA_OK)
            status = read_acts(out);
    }
    if (status == CFA_OK)
        status = read_sinks(out);
    if (status == CFA_OK)
        status = read_letters(out);
    return status;
}
