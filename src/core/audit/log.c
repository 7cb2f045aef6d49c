/*
 * log.c - the outbox: positions, ids, payloads, and the newest applied event of each payment against
 * its contribution row. The rows are looked up by id; they are made in the order in which the log
 * first tells of them, so most are found among the newest ones.
 */
#include "core/audit/audit.h"
#include "core/audit/match.h"

#include <stdlib.h>
#include <string.h>

#include "core/decide/decide.h"
#include "core/decide/event_id.h"
#include "core/decide/event_registry.h"
#include "util/json.h"

#define KEPT 8192 /* contribution rows in memory; a power of two */
#define PARTS 6   /* state, pledged, authorized, raised, refunded, disputed */

/* What a payment's event, or a contribution row, says. */
struct said {
    cfa__id payment_id, pledge_id, campaign_id, person_id;
    char currency[4];
    int64_t created_us;
    int64_t parts[PARTS];
};

struct kept {
    struct said said;
    int64_t sequence; /* 0: there is no row */
    bool used;
};

struct scan {
    cfa__audit *audit;
    cfa_arena *arena;
    struct kept *kept;
    int64_t last;
};

/* ---- payloads -------------------------------------------------------------------------------- */

static const char *const part_names[PARTS] = { "state_code",   "pledged_minor",  "authorized_minor",
                                               "raised_minor", "refunded_minor", "disputed_minor" };

/* In the form in which the engine writes it. */
static bool match(struct said *out, cfa_slice payload) {
    cfa__match text = cfa__match_begin(payload);
    cfa_slice state, currency, code;
    int64_t amount;
    bool good = cfa__match_text(&text, "{\"payment_id\":\"") &&
                cfa__match_id(&text, "pay", &out->payment_id) &&
                cfa__match_text(&text, "\",\"pledge_id\":\"") &&
                cfa__match_id(&text, "plg", &out->pledge_id) &&
                cfa__match_text(&text, "\",\"campaign_id\":\"") &&
                cfa__match_id(&text, "cmp", &out->campaign_id) &&
                cfa__match_text(&text, "\",\"donor_id\":\"") &&
                cfa__match_id(&text, "dnr", &out->person_id) &&
                cfa__match_text(&text, "\",\"state\":") && cfa__match_string(&text, &state) &&
                cfa__match_text(&text, ",\"currency\":") && cfa__match_string(&text, &currency) &&
                currency.size == 3 && cfa__match_text(&text, ",\"amount_minor\":") &&
                cfa__match_int(&text, &amount) && cfa__match_text(&text, ",\"pledged_us\":") &&
                cfa__match_int(&text, &out->created_us);
    if (!good)
        return false;
    memcpy(out->currency, currency.data, currency.size);
    if (cfa__match_text(&text, ",\"failure_code\":"))
        good = cfa__match_string(&text, &code);
    good = good && cfa__match_text(&text, ",\"contribution\":{\"");
    for (size_t i = 0; i < PARTS && good; i++)
        good = (i == 0 || cfa__match_text(&text, ",\"")) && cfa__match_text(&text, part_names[i]) &&
               cfa__match_text(&text, "\":") && cfa__match_int(&text, &out->parts[i]);
    return good && cfa__match_text(&text, "}}") && cfa__match_ended(&text);
}

static bool parse_id(const cfa__json *root, const char *name, const char *prefix, cfa__id *out) {
    const char *text;
    return cfa__json_read_text(cfa__json_get(root, name), &text) &&
           cfa__id_parse(out, prefix, text, name) == CFA_OK;
}

static bool parse_payment(const cfa__json *root, struct said *out) {
    const cfa__json *part = cfa__json_get(root, "contribution");
    const char *currency;
    bool good = cfa__json_read_text(cfa__json_get(root, "currency"), &currency) &&
                strlen(currency) == 3 && parse_id(root, "payment_id", "pay", &out->payment_id) &&
                parse_id(root, "pledge_id", "plg", &out->pledge_id) &&
                parse_id(root, "campaign_id", "cmp", &out->campaign_id) &&
                parse_id(root, "donor_id", "dnr", &out->person_id) &&
                cfa__json_read_int(cfa__json_get(root, "pledged_us"), &out->created_us);
    if (!good)
        return false;
    memcpy(out->currency, currency, 4);
    for (size_t i = 0; i < PARTS && good; i++)
        good = cfa__json_read_int(cfa__json_get(part, part_names[i]), &out->parts[i]);
    return good;
}

/* False for a payload that cannot be read. */
static cfa_status read_payload(const cfa__event *event, struct said *out, bool *out_good) {
    memset(out, 0, sizeof *out);
    bool of_payment = event->subject_kind == cfa__payment_kind.id;
    *out_good = event->payload.data != NULL;
    if (*out_good && of_payment && match(out, event->payload))
        return CFA_OK;
    cfa__json *root;
    cfa_status status = *out_good ? cfa__json_parse(&root, event->payload) : CFA_EINVAL;
    *out_good = status == CFA_OK;
    if (status == CFA_ENOMEM)
        return status;
    if (status != CFA_OK)
        return CFA_OK;
    if (of_payment)
        *out_good = parse_payment(root, out);
    else if (event->subject_kind == cfa__campaign_kind.id)
        *out_good = parse_id(root, "campaign_id", "cmp", &out->campaign_id);
    cfa__json_free(root);
    return CFA_OK;
}

/* ---- contribution rows ----------------------------------------------------------------------- */

static struct kept *place_of(const struct scan *scan, cfa__id id) {
    uint64_t words[2];
    memcpy(words, id.bytes, sizeof words);
    uint64_t hash = (words[0] ^ words[1]) * UINT64_C(0x9e3779b97f4a7c15);
    return &scan->kept[hash >> 40 & (KEPT - 1)];
}

static bool is_kept(const struct scan *scan, cfa__id id) {
    const struct kept *kept = place_of(scan, id);
    return kept->used && cfa__id_compare(kept->said.payment_id, id) == 0;
}

static void keep(const struct scan *scan, cfa__id id, const cfa__contribution *row) {
    struct kept *kept = place_of(scan, id);
    memset(kept, 0, sizeof *kept);
    kept->used = true;
    kept->said.payment_id = id;
    if (row == NULL)
        return;
    kept->sequence = row->sequence;
    kept->said = (struct said){
        .payment_id = id,
        .pledge_id = row->pledge_id,
        .campaign_id = row->campaign_id,
        .person_id = row->person_id,
        .created_us = row->created_us,
        .parts = { row->state, row->pledged_minor, row->authorized_minor, row->raised_minor,
                   row->refunded_minor, row->disputed_minor },
    };
    memcpy(kept->said.currency, row->currency, sizeof row->currency);
}

static bool is_applied(const struct scan *scan, const cfa__event *event) {
    return event->subject_kind == cfa__payment_kind.id && event->position <= scan->audit->applied;
}

/* Look up the rows of a page's payments in one trip. */
static cfa_status keep_page(struct scan *scan, void *const *events, int32_t count) {
    cfa_query queries[CFA__AUDIT_PAGE];
    cfa__contribution keys[CFA__AUDIT_PAGE];
    size_t wanted = 0;
    cfa_arena_reset(scan->arena);
    for (int32_t i = 0; i < count; i++) {
        const cfa__event *event = events[i];
        if (!is_applied(scan, event) || is_kept(scan, event->subject_id))
            continue;
        keep(scan, event->subject_id, NULL); /* asked for once */
        memset(&keys[wanted], 0, sizeof keys[wanted]);
        keys[wanted].payment_id = event->subject_id;
        queries[wanted] = (cfa_query){
            .kind = &cfa__contribution_kind, .match_count = 1, .limit = 1, .key = &keys[wanted]
        };
        wanted++;
    }
    cfa_status status =
        scan->audit->storage->ops->load(scan->audit->session, queries, wanted, scan->arena);
    for (size_t i = 0; i < wanted && status == CFA_OK; i++) {
        if (queries[i].count == 1)
            keep(scan, keys[i].payment_id, queries[i].records[0]);
    }
    return status;
}

/* The row of an event's payment; two of a page may have had the same place. */
static cfa_status kept_of(struct scan *scan, cfa__id id, const struct kept **out) {
    cfa_status status = CFA_OK;
    if (!is_kept(scan, id)) {
        const void *row;
        status = cfa__audit_get_id(scan->audit, scan->arena, &cfa__contribution_kind, id, &row);
        if (status == CFA_OK)
            keep(scan, id, row);
    }
    *out = place_of(scan, id);
    return status;
}

/* ---- events ---------------------------------------------------------------------------------- */

static cfa__place place_of_event(const cfa__event *event) {
    cfa__place place = cfa__place_of(NULL, CFA__ID_NULL);
    place.position = event->position;
    if (event->subject_kind == cfa__payment_kind.id)
        place.payment_id = event->subject_id;
    else if (event->subject_kind == cfa__campaign_kind.id)
        place.campaign_id = event->subject_id;
    return place;
}

static const char *difference(const struct said *event, const struct said *row, int64_t *expected,
                              int64_t *found) {
    *expected = *found = 0;
    for (size_t i = 0; i < PARTS; i++) {
        if (event->parts[i] != row->parts[i]) {
            *expected = row->parts[i];
            *found = event->parts[i];
            return part_names[i];
        }
    }
    return cfa__id_compare(event->campaign_id, row->campaign_id) != 0 ? "campaign_id"
           : cfa__id_compare(event->pledge_id, row->pledge_id) != 0   ? "pledge_id"
           : cfa__id_compare(event->person_id, row->person_id) != 0   ? "donor_id"
           : memcmp(event->currency, row->currency, 4) != 0           ? "currency"
           : event->created_us != row->created_us                     ? "pledged_us"
                                                                      : NULL;
}

static cfa_status check_said(struct scan *scan, const cfa__event *event, const struct said *said) {
    const struct kept *kept;
    cfa__place place = place_of_event(event);
    if (!is_applied(scan, event))
        return CFA_OK;
    cfa_status status = kept_of(scan, event->subject_id, &kept);
    if (status != CFA_OK || kept->sequence != event->sequence)
        return status;
    int64_t expected, found;
    const char *field = difference(said, &kept->said, &expected, &found);
    if (field != NULL)
        cfa__audit_numbers(scan->audit, CFA__AUDIT_LOG_CONTRIBUTION, &place, field, expected,
                           found);
    return CFA_OK;
}

static cfa_status check_event(struct scan *scan, const cfa__event *event) {
    cfa__audit *audit = scan->audit;
    cfa__place place = place_of_event(event);
    struct said said;
    bool good;
    cfa__audit_compare(audit, CFA__AUDIT_LOG_HOLE, &place, "position", scan->last + 1,
                       event->position);
    scan->last = event->position;
    cfa__id id = cfa__event_id(event->created_us, event->subject_id, event->sequence);
    if (cfa__id_compare(id, event->id) != 0) {
        char expected[CFA_ID_TEXT_SIZE], found[CFA_ID_TEXT_SIZE];
        cfa__id_format(expected, "evt", id);
        cfa__id_format(found, "evt", event->id);
        cfa__audit_texts(audit, CFA__AUDIT_LOG_ID, &place, "id", expected, found);
    }
    cfa__feed(audit, &cfa__event_kind, event);
    cfa_status status = read_payload(event, &said, &good);
    if (status != CFA_OK)
        return status;
    if (!good || cfa__event_type_name((cfa__event_type)event->type) == NULL) {
        cfa__audit_texts(audit, CFA__AUDIT_LOG_PAYLOAD, &place, good ? "type" : "payload",
                         good ? "a known type" : "JSON of its type", "something else");
        return CFA_OK;
    }
    bool of_payment = event->subject_kind == cfa__payment_kind.id;
    bool of_campaign = event->subject_kind == cfa__campaign_kind.id;
    if ((of_payment || of_campaign) &&
        cfa__id_compare(of_payment ? said.payment_id : said.campaign_id, event->subject_id) != 0) {
        cfa__audit_texts(audit, CFA__AUDIT_LOG_SUBJECT, &place, "subject_id", "the subject",
                         "another");
        return CFA_OK;
    }
    return of_payment ? check_said(scan, event, &said) : CFA_OK;
}

static cfa_status scan_events(struct scan *scan) {
    cfa__stream stream;
    const void *record = NULL;
    cfa_status status = cfa__stream_open(&stream, scan->audit, &cfa__event_kind, 0, 0, NULL);
    while (status == CFA_OK) {
        status = cfa__stream_peek(&stream, &record);
        if (status != CFA_OK || record == NULL)
            break;
        if (stream.at == 0)
            status = keep_page(scan, stream.records, stream.count);
        if (status == CFA_OK)
            status = check_event(scan, record);
        if (status == CFA_OK)
            status = scan->audit->status;
        cfa__stream_skip(&stream);
    }
    cfa__stream_close(&stream);
    return status;
}

cfa_status cfa__audit_log(cfa__audit *audit) {
    struct scan scan = { .audit = audit, .kept = cfa_alloc(KEPT * sizeof(struct kept)) };
    if (scan.kept == NULL)
        return cfa_error_set(CFA_ENOMEM, "core.audit", NULL, 0, "out of memory");
    memset(scan.kept, 0, KEPT * sizeof(struct kept));
    cfa_status status = cfa_arena_new(&scan.arena);
    if (status == CFA_OK) {
        status = scan_events(&scan);
        cfa_arena_free(scan.arena);
    }
    cfa_free(scan.kept);
    return status;
}
