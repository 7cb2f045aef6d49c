/*
 * report.c - what a reconciliation found, as a snapshot of its own: rows to walk through, JSON for
 * programs, text for people. Bounded: of each code so many are listed, and all are counted.
 */
#include <stdio.h>
#include <string.h>

#include "core/decide/evidence.h"
#include "core/reconcile/reconcile.h"
#include "util/buffer.h"
#include "util/text.h"

static const struct {
    const char *name, *doc;
} codes[CFA__RECONCILE_CODES] = {
#define RECONCILE_ROW(symbol, name, doc) { name, doc },
    CFA__RECONCILE_CODE_MAP(RECONCILE_ROW)
#undef RECONCILE_ROW
};

static const char *const kind_names[CFA__RECONCILE_KINDS] = { "payment", "refund", "dispute" };
const char *cfa__reconcile_kind_name(int32_t kind) { return kind_names[kind]; }
const char *cfa__reconcile_code_name(int32_t code) { return codes[code].name; }

static const char *const kind_prefixes[CFA__RECONCILE_KINDS] = { "pay", "rfd", "dsp" };

struct cfa_reconciliation {
    cfa_arena *arena;
    cfa_reconcile_difference listed[CFA__RECONCILE_CODES][CFA_RECONCILE_LISTED_MAX];
    size_t listed_counts[CFA__RECONCILE_CODES];
    size_t object_counts[CFA__RECONCILE_CODES]; /* of those, when the object at hand began */
    int64_t object_repairable;
    cfa__reconcile_summary summary;
    int64_t repairable;
    const char *provider, *account, *json, *text;
    int32_t livemode;
};

/* ---- noting ---------------------------------------------------------------------------------- */

static const char *copy(cfa__reconcile *run, const char *text) {
    if (text == NULL)
        return NULL;
    const char *copied = cfa_arena_copy(run->report->arena, text, strlen(text));
    if (copied == NULL)
        run->status = CFA_ENOMEM;
    return copied;
}

static const char *copy_id(cfa__reconcile *run, const char *prefix, cfa__id id) {
    char text[CFA_ID_TEXT_SIZE];
    if (cfa__id_is_null(id))
        return NULL;
    cfa__id_format(text, prefix, id);
    return copy(run, text);
}

void cfa__reconcile_note(cfa__reconcile *run, int32_t code, const cfa__reconcile_place *place,
                         const char *field, const char *expected, const char *found) {
    cfa_reconciliation *report = run->report;
    /* Each row of the book is looked for once. */
    if (report != NULL && code != CFA__RECONCILE_MISSING_THERE &&
        !cfa__noted_add(&run->noted, code, place, field))
        return;
    run->counts[code]++;
    run->repairable += place->repairable;
    if (report == NULL || report->listed_counts[code] == CFA_RECONCILE_LISTED_MAX)
        return;
    report->listed[code][report->listed_counts[code]++] = (cfa_reconcile_difference){
        .struct_size = sizeof(cfa_reconcile_difference),
        .code = codes[code].name,
        .kind = kind_names[place->kind],
        .id = copy_id(run, kind_prefixes[place->kind], place->id),
        .payment_id = copy_id(run, "pay", place->payment_id),
        .ref = copy(run, place->ref),
        .field = copy(run, field),
        .expected = copy(run, expected),
        .found = copy(run, found),
        .line = place->line,
        .repairable = place->repairable,
    };
}

void cfa__reconcile_note_int(cfa__reconcile *run, int32_t code, const cfa__reconcile_place *place,
                             const char *field, int64_t expected, int64_t found) {
    char texts[2][24];
    snprintf(texts[0], sizeof texts[0], "%lld", (long long)expected);
    snprintf(texts[1], sizeof texts[1], "%lld", (long long)found);
    cfa__reconcile_note(run, code, place, field, texts[0], texts[1]);
}

void cfa__reconcile_note_begin(cfa__reconcile *run) {
    cfa_reconciliation *report = run->report;
    if (report == NULL)
        return;
    cfa_status status = cfa__noted_begin(&run->noted);
    run->status = run->status == CFA_OK ? status : run->status;
    memcpy(report->object_counts, report->listed_counts, sizeof report->object_counts);
    report->object_repairable = run->repairable;
}

void cfa__reconcile_note_unrepairable(cfa__reconcile *run) {
    cfa_reconciliation *report = run->report;
    if (report == NULL)
        return;
    for (int32_t i = 0; i < CFA__RECONCILE_CODES; i++) {
        for (size_t at = report->object_counts[i]; at < report->listed_counts[i]; at++)
            report->listed[i][at].repairable = 0;
    }
    run->repairable = report->object_repairable;
    cfa__noted_take_back(&run->noted);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void write_difference(cfa__buffer *json, const cfa_reconcile_difference *difference) {
    cfa__json_open(json, NULL, '{');
    cfa__json_text(json, "code", difference->code);
    cfa__json_text(json, "kind", difference->kind);
    cfa__json_text(json, "id", difference->id);
    cfa__json_text(json, "payment_id", difference->payment_id);
    cfa__json_text(json, "ref", difference->ref);
    cfa__json_text(json, "field", difference->field);
    cfa__json_text(json, "expected", difference->expected);
    cfa__json_text(json, "found", difference->found);
    cfa__json_int(json, "line", difference->line);
    cfa__json_bool(json, "repairable", difference->repairable != 0);
    cfa__json_close(json, '}');
}

static void write_time(cfa__buffer *json, const char *name, int64_t time_us) {
    char text[28];
    cfa__time_format(text, time_us);
    cfa__json_text(json, name, time_us != 0 ? text : NULL);
}

static cfa_status write_json(cfa_reconciliation *report) {
    cfa__buffer json;
    cfa_slice out;
    cfa__buffer_init(&json, report->arena, 4096);
    cfa__json_open(&json, NULL, '{');
    cfa__json_bool(&json, "clean", report->summary.differences == 0);
    cfa__json_int(&json, "differences", report->summary.differences);
    cfa__json_int(&json, "repairable", report->repairable);
    cfa__json_int(&json, "objects", report->summary.objects);
    cfa__json_int(&json, "foreign", report->summary.foreign);
    cfa__json_int(&json, "other", report->summary.other);
    cfa__json_int(&json, "unnamed", report->summary.unnamed);
    cfa__json_text(&json, "provider", report->provider);
    cfa__json_text(&json, "account", report->account);
    cfa__json_bool(&json, "livemode", report->livemode != 0);
    write_time(&json, "from", report->summary.from_us);
    write_time(&json, "until", report->summary.until_us);
    cfa__json_open(&json, "read", '{');
    for (int32_t i = 0; i < CFA__RECONCILE_KINDS; i++)
        cfa__json_int(&json, kind_names[i], report->summary.read[i]);
    cfa__json_close(&json, '}');
    cfa__json_open(&json, "counts", '{');
    for (int32_t i = 0; i < CFA__RECONCILE_CODES; i++)
        cfa__json_int(&json, codes[i].name, report->summary.counts[i]);
    cfa__json_close(&json, '}');
    cfa__json_open(&json, "listed", '[');
    for (size_t i = 0; i < cfa_reconciliation_size(report); i++)
        write_difference(&json, cfa_reconciliation_at(report, i));
    cfa__json_close(&json, ']');
    cfa__json_close(&json, '}');
    cfa_status status = cfa__buffer_finish(&json, &out);
    report->json = out.data;
    return status;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void write_pair(cfa__buffer *text, const char *first, const char *second) {
    cfa__buffer_text(text, first);
    cfa__buffer_text(text, second);
}

static void write_count(cfa__buffer *text, int64_t count, const char *one, const char *many) {
    cfa__buffer_int(text, count);
    cfa__buffer_text(text, count == 1 ? one : many);
}

static void write_row(cfa__buffer *text, const cfa_reconcile_difference *difference) {
    write_pair(text, difference->code, "  ");
    cfa__buffer_text(text, difference->kind);
    if (difference->id != NULL)
        write_pair(text, " ", difference->id);
    else if (difference->payment_id != NULL)
        write_pair(text, " of ", difference->payment_id);
    if (difference->ref != NULL)
        write_pair(text, " ", difference->ref);
    if (difference->field != NULL)
        write_pair(text, "  ", difference->field);
    write_pair(text, ": the provider says ", difference->expected);
    write_pair(text, ", the book ", difference->found);
    if (difference->line != 0) {
        cfa__buffer_text(text, " (line ");
        cfa__buffer_int(text, difference->line);
        cfa__buffer_text(text, ")");
    }
    cfa__buffer_text(text, "\n");
}

static void write_times(cfa__buffer *text, const cfa_reconciliation *report) {
    char from[28], until[28];
    cfa__time_format(from, report->summary.from_us);
    cfa__time_format(until, report->summary.until_us);
    if (report->summary.until_us == 0) {
        cfa__buffer_text(text, "  not looked for: what the book has and the record does not\n");
        return;
    }
    for (int32_t i = 0; i < CFA__RECONCILE_KINDS; i++) {
        if (report->summary.read[i] == 0 && !report->summary.all_kinds)
            write_pair(text, "  not looked for, since the record has none: each ", kind_names[i]);
        else
            write_pair(text, "  looked for in the record: each ", kind_names[i]);
        write_pair(text, " of ", from);
        write_pair(text, " to ", until);
        cfa__buffer_text(text, "\n");
    }
}

void cfa__reconciliation_write_scope(cfa__buffer *text, const cfa_reconciliation *report) {
    if (report->summary.differences == 0)
        cfa__buffer_text(text, "clean");
    else
        write_count(text, report->summary.differences, " difference", " differences");
    cfa__buffer_text(text, "; ");
    write_count(text, report->summary.objects, " object", " objects");
    if (report->summary.foreign > 0) {
        cfa__buffer_text(text, ", ");
        cfa__buffer_int(text, report->summary.foreign);
        cfa__buffer_text(text, " of them not of this book");
    }
    if (report->summary.other > 0) {
        cfa__buffer_text(text, ", ");
        cfa__buffer_int(text, report->summary.other);
        cfa__buffer_text(text, " of them payouts, fees and the like");
    }
    if (report->summary.unnamed > 0) {
        cfa__buffer_text(text, ", ");
        cfa__buffer_int(text, report->summary.unnamed);
        cfa__buffer_text(text, " of them not compared, since they name no payment: export them "
                               "with payment_intent_id or payment_id");
    }
    if (report->repairable > 0) {
        cfa__buffer_text(text, "; a repair tells the book of ");
        cfa__buffer_int(text, report->repairable);
    }
    cfa__buffer_text(text, "\n");
    write_times(text, report);
}

static cfa_status write_text(cfa_reconciliation *report) {
    cfa__buffer text;
    cfa_slice out;
    cfa__buffer_init(&text, report->arena, 4096);
    cfa__buffer_text(&text, "reconcile: ");
    cfa__reconciliation_write_scope(&text, report);
    for (int32_t i = 0; i < CFA__RECONCILE_CODES; i++) {
        if (report->summary.counts[i] == 0)
            continue;
        write_pair(&text, "  ", codes[i].name);
        cfa__buffer_text(&text, ": ");
        cfa__buffer_int(&text, report->summary.counts[i]);
        write_pair(&text, ": ", codes[i].doc);
        cfa__buffer_text(&text, "\n");
    }
    for (size_t i = 0; i < cfa_reconciliation_size(report); i++)
        write_row(&text, cfa_reconciliation_at(report, i));
    cfa_status status = cfa__buffer_finish(&text, &out);
    report->text = out.data;
    return status;
}

/* ---- making ---------------------------------------------------------------------------------- */

/* The key begins with the milliseconds when it was made, which is before anything is read: what the
 * book takes in later is not of this report. */
static int64_t time_of_key(const char *key) {
    cfa__id id;
    int64_t ms = 0;
    if (!cfa__id_parse_uuid7(&id, key, strlen(key)))
        return 0;
    for (int byte = 0; byte < 6; byte++)
        ms = ms << 8 | id.bytes[byte];
    return ms * 1000;
}

cfa_status cfa__reconciliation_new(cfa_reconciliation **out) {
    cfa_reconciliation *report = cfa_alloc(sizeof *report);
    if (report == NULL)
        return cfa_error_set(CFA_ENOMEM, CFA__RECONCILE_ORIGIN, NULL, 0, "out of memory");
    memset(report, 0, sizeof *report);
    cfa_status status = cfa_key_new(report->summary.key, sizeof report->summary.key);
    if (status == CFA_OK) {
        report->summary.as_of_us = time_of_key(report->summary.key);
        status = cfa_arena_new(&report->arena);
    }
    if (status == CFA_OK)
        *out = report;
    else
        cfa_free(report);
    return status;
}

cfa_status cfa__reconciliation_finish(cfa_reconciliation *report, const cfa__reconcile *run) {
    bool failed = false;
    memcpy(report->summary.counts, run->counts, sizeof report->summary.counts);
    memcpy(report->summary.read, run->read, sizeof report->summary.read);
    for (int32_t i = 0; i < CFA__RECONCILE_CODES; i++)
        report->summary.differences += run->counts[i];
    report->repairable = run->repairable;
    report->summary.objects = run->objects;
    report->summary.foreign = run->foreign;
    report->summary.other = run->other;
    report->summary.unnamed = run->unnamed;
    report->summary.from_us = run->spec->from_us;
    report->summary.until_us = run->spec->until_us;
    report->summary.all_kinds = run->spec->all_kinds != 0;
    report->summary.book_id = run->book.book_id;
    report->livemode = (int32_t)run->book.livemode;
    report->provider = cfa__text_of(report->arena, run->book.provider, &failed);
    report->account = cfa__text_of(report->arena, run->book.account, &failed);
    report->provider = report->provider != NULL ? report->provider : "";
    report->account = report->account != NULL ? report->account : "";
    cfa_status status = failed ? CFA_ENOMEM : write_json(report);
    return status == CFA_OK ? write_text(report) : status;
}

/* ---- reading --------------------------------------------------------------------------------- */

int64_t cfa_reconciliation_differences(const cfa_reconciliation *report) {
    return report->summary.differences;
}
int64_t cfa_reconciliation_repairable(const cfa_reconciliation *report) {
    return report->repairable;
}
int64_t cfa_reconciliation_objects(const cfa_reconciliation *report) {
    return report->summary.objects;
}
int64_t cfa_reconciliation_foreign(const cfa_reconciliation *report) {
    return report->summary.foreign;
}
int64_t cfa_reconciliation_other(const cfa_reconciliation *report) { return report->summary.other; }
int64_t cfa_reconciliation_unnamed(const cfa_reconciliation *report) {
    return report->summary.unnamed;
}
const cfa__reconcile_summary *cfa__reconciliation_summary(const cfa_reconciliation *report) {
    return &report->summary;
}
const char *cfa_reconciliation_provider(const cfa_reconciliation *report) {
    return report->provider;
}
const char *cfa_reconciliation_account(const cfa_reconciliation *report) { return report->account; }
int32_t cfa_reconciliation_livemode(const cfa_reconciliation *report) { return report->livemode; }
const char *cfa_reconciliation_json(const cfa_reconciliation *report) { return report->json; }
const char *cfa_reconciliation_text(const cfa_reconciliation *report) { return report->text; }

int64_t cfa_reconciliation_count(const cfa_reconciliation *report, const char *code) {
    for (int32_t i = 0; code != NULL && i < CFA__RECONCILE_CODES; i++) {
        if (strcmp(codes[i].name, code) == 0)
            return report->summary.counts[i];
    }
    return 0;
}

size_t cfa_reconciliation_size(const cfa_reconciliation *report) {
    size_t size = 0;
    for (int32_t i = 0; i < CFA__RECONCILE_CODES; i++)
        size += report->listed_counts[i];
    return size;
}

const cfa_reconcile_difference *cfa_reconciliation_at(const cfa_reconciliation *report,
                                                      size_t index) {
    for (int32_t i = 0; i < CFA__RECONCILE_CODES; i++) {
        if (index < report->listed_counts[i])
            return &report->listed[i][index];
        index -= report->listed_counts[i];
    }
    return NULL;
}

void cfa_reconciliation_free(cfa_reconciliation *report) {
    if (report == NULL)
        return;
    cfa_arena_free(report->arena);
    cfa_free(report);
}
