/*
 * doctor.c - what is stuck or strange in a book: the table of findings, the examination within one
 * snapshot, and the checkup as list and document.
 */
#include "core/explain/doctor.h"

#include <careforall/event.h>
#include <string.h>

#include "core/decide/evidence.h"

#define ORIGIN "core.doctor"

const cfa__ailment_kind cfa__ailment_kinds[CFA__AILMENTS] = {
    [CFA__AILMENT_CLOCK_BEHIND] = { "clock_behind", CFA_FINDING_CRITICAL,
                                    "The newest commit lies in the future of this machine's clock: "
                                    "the book's time stands still until then.",
                                    "Set the clock right (timedatectl); nothing in the book has to "
                                    "be changed.",
                                    false },
    [CFA__AILMENT_CLOCK_SKEWED] = { "clock_skewed", CFA_FINDING_WARNING,
                                    "The store's clock and this machine's are apart.",
                                    "Set both clocks right (timedatectl, NTP); leases and expiries "
                                    "are measured by the store's.",
                                    false },
    [CFA__AILMENT_PAYMENT_CONFLICT] = { "payment_conflict", CFA_FINDING_CRITICAL,
                                        "What the provider said of these payments contradicts the "
                                        "book: amounts, currency or object differ.",
                                        "careforall-server explain ID, and compare with the "
                                        "provider's own page of the payment.",
                                        false },
    [CFA__AILMENT_OPERATION_IN_DOUBT] = { "operation_in_doubt", CFA_FINDING_WARNING,
                                          "These provider calls may have happened: the provider is "
                                          "asked, ever more rarely, until that is known.",
                                          "careforall-server doctor --do operation_in_doubt asks "
                                          "again at once; never pay or refund by hand before that.",
                                          true },
    [CFA__AILMENT_OPERATION_OVERDUE] = { "operation_overdue", CFA_FINDING_CRITICAL,
                                         "These provider calls are due for more than five minutes, "
                                         "and nobody makes them.",
                                         "Start a server with the payment provider on this book, "
                                         "or look why the running one makes no calls.",
                                         false },
    [CFA__AILMENT_WEBHOOK_PARKED] = { "webhook_parked", CFA_FINDING_WARNING,
                                      "The provider told of objects that no payment of this book "
                                      "is known to be; what it said is kept.",
                                      "careforall-server explain OBJECT; --do webhook_parked reads "
                                      "the payments that they name.",
                                      true },
    [CFA__AILMENT_DISPUTE_DUE] = { "dispute_due", CFA_FINDING_WARNING,
                                   "These disputes must be answered within seven days.",
                                   "Answer them at the provider; careforall-server explain ID has "
                                   "the story to send.",
                                   false },
    [CFA__AILMENT_DISPUTE_MISSED] = { "dispute_missed", CFA_FINDING_WARNING,
                                      "The time to answer these disputes is over, and they are "
                                      "still open.",
                                      "Look at the provider whether they were answered; if not, "
                                      "they are lost.",
                                      false },
    [CFA__AILMENT_HOLD_EXPIRING] = { "hold_expiring", CFA_FINDING_WARNING,
                                     "These payments are held, not taken, for more than five days: "
                                     "card networks let go after about seven.",
                                     "Capture or cancel each.", false },
    [CFA__AILMENT_PAYMENT_HELD] = { "payment_held", CFA_FINDING_WARNING,
                                    "Late money is held by its campaign's rule: it is in no total.",
                                    "Accept each, POST /api/v1/payments/ID/accept, or refund it.",
                                    false },
    [CFA__AILMENT_OPERATIONS_SPENT] = { "operations_spent", CFA_FINDING_WARNING,
                                        "These payments have had all the provider calls that one "
                                        "may have: no refund is made any more, by no rule either.",
                                        "Do what is left to do at the provider; its webhooks bring "
                                        "it into the book.",
                                        false },
    [CFA__AILMENT_PAYMENT_OVERDUE] = { "payment_overdue", CFA_FINDING_WARNING,
                                       "The time to pay these is over for more than an hour, and "
                                       "the provider has not confirmed their end.",
                                       "careforall-server doctor --do payment_overdue reads them "
                                       "at once and cancels what is unpaid.",
                                       true },
    [CFA__AILMENT_REFUND_PENDING] = { "refund_pending", CFA_FINDING_WARNING,
                                      "These refunds are asked for longer than an hour, or under "
                                      "way longer than a week.",
                                      "careforall-server doctor --do refund_pending reads them at "
                                      "once; never refund again by hand.",
                                      true },
    [CFA__AILMENT_REFUND_ACTION] = { "refund_action", CFA_FINDING_WARNING,
                                     "These refunds wait until their donor acts.",
                                     "Ask the donor to follow the provider's mail.", false },
    [CFA__AILMENT_REFUND_FAILED] = { "refund_failed", CFA_FINDING_WARNING,
                                     "These refunds failed in the last thirty days, and nobody "
                                     "asked for another: the money is still here.",
                                     "careforall-server explain ID says why; refund again, or ask "
                                     "the donor for another way.",
                                     false },
    [CFA__AILMENT_CIRCUIT_OPEN] = { "circuit_open", CFA_FINDING_WARNING,
                                    "The provider is out: calls are put off until one that tries "
                                    "is answered.",
                                    "Look at the provider's status page; the breaker closes by "
                                    "itself.",
                                    false },
    [CFA__AILMENT_SINK_STOPPED] = { "sink_stopped", CFA_FINDING_CRITICAL,
                                    "These sinks stopped by their own failure; their events wait.",
                                    "careforall-server doctor --do sink_stopped lets them go on, "
                                    "after the reason in `outbox list` is mended.",
                                    true },
    [CFA__AILMENT_SINK_PAUSED] = { "sink_paused", CFA_FINDING_WARNING,
                                   "An operator paused these sinks; their events wait.",
                                   "careforall-server outbox resume NAME, when the reason is gone.",
                                   false },
    [CFA__AILMENT_SINK_REFUSED] = { "sink_refused", CFA_FINDING_WARNING,
                                    "These sinks refuse their next event; it is tried again.",
                                    "careforall-server outbox list shows the position; look at "
                                    "what the sink says to it.",
                                    false },
    [CFA__AILMENT_SINK_BEHIND] = { "sink_behind", CFA_FINDING_WARNING,
                                   "These sinks are behind the log.",
                                   "Look whether the server that delivers runs, and whether the "
                                   "reader keeps up.",
                                   false },
    [CFA__AILMENT_DEAD_LETTERS] = { "dead_letters", CFA_FINDING_WARNING,
                                    "These sinks refused events, which are set aside.",
                                    "careforall-server outbox dead NAME; --do dead_letters "
                                    "delivers them again, once.",
                                    true },
    [CFA__AILMENT_TOTALS_BEHIND] = { "totals_behind", CFA_FINDING_WARNING,
                                     "The totals do not include the newest events for more than a "
                                     "minute.",
                                     "careforall-server doctor --do totals_behind brings them up "
                                     "to date.",
                                     true },
    [CFA__AILMENT_EVENTS_STAGED] = { "events_staged", CFA_FINDING_WARNING,
                                     "Events of joined transactions wait for their place in the "
                                     "log for more than a minute.",
                                     "Start a server on this book: its next commit moves them.",
                                     false },
    [CFA__AILMENT_RECONCILE_DUE] = { "reconcile_due", CFA_FINDING_WARNING,
                                     "The book was never compared with the provider's own record, "
                                     "and has taken real money.",
                                     "careforall-server reconcile --live --record, or reconcile "
                                     "FILE --record with the provider's export.",
                                     false },
    [CFA__AILMENT_OPERATION_DEFERRED] = { "operation_deferred", CFA_FINDING_NOTE,
                                          "The provider was out when these were pledged: a repeat "
                                          "with the same key makes the call.",
                                          "Nothing: the donor may try again, or the pledge ends "
                                          "unpaid.",
                                          false },
};

struct cfa_checkup {
    cfa_arena *arena;
    cfa__document document;
    cfa_finding_view *views;
    const cfa_finding_view **order;
    size_t size;
};

/* ---- collecting ------------------------------------------------------------------------------ */

cfa_status cfa__examine_load(cfa__examination *examination, cfa_query *queries, size_t count) {
    return examination->engine->storage.ops->load(examination->reader->session, queries, count,
                                                  examination->scratch);
}

cfa_status cfa__examine_page(cfa__examination *examination, cfa_query *query) {
    cfa_arena_reset(examination->scratch);
    return cfa__examine_load(examination, query, 1);
}

cfa_status cfa__examine_record(cfa__examination *examination, const cfa_kind *kind, const void *key,
                               const void **out) {
    cfa_query query = { kind, 0, kind->indexes[0].field_count, 0, 1, 0, key, NULL, 0 };
    *out = NULL;
    cfa_status status = cfa__examine_load(examination, &query, 1);
    if (status == CFA_OK && query.count == 1)
        *out = query.records[0];
    return status;
}

cfa_status cfa__examine_book_row(cfa__examination *examination, const cfa__book **out) {
    cfa__book key;
    const void *found;
    memset(&key, 0, sizeof key);
    key.id = 1;
    cfa_status status = cfa__examine_record(examination, &cfa__book_kind, &key, &found);
    *out = found;
    return status;
}

void cfa__found(cfa__examination *examination, cfa__ailment ailment, const char *id, int64_t age_us,
                const cfa__lease_item *target) {
    cfa__finding *finding = &examination->findings[ailment];
    finding->count++;
    if (finding->severity < cfa__ailment_kinds[ailment].severity)
        finding->severity = cfa__ailment_kinds[ailment].severity;
    if (age_us > finding->age_us)
        finding->age_us = age_us;
    if (id != NULL && finding->id_count < CFA_FINDING_IDS_MAX)
        finding->ids[finding->id_count++] = id;
    if (target == NULL || finding->target_count >= CFA__DOCTOR_TARGETS_MAX)
        return;
    if (finding->targets == NULL)
        finding->targets =
            cfa_arena_alloc(examination->arena, CFA__DOCTOR_TARGETS_MAX * sizeof *finding->targets);
    if (finding->targets == NULL)
        examination->texts->failed = true;
    else
        finding->targets[finding->target_count++] = *target;
}

void cfa__found_grave(cfa__examination *examination, cfa__ailment ailment) {
    examination->findings[ailment].severity = CFA_FINDING_CRITICAL;
}

void cfa__not_seen(cfa__examination *examination, const char *text) {
    cfa__limit_note *note = cfa_arena_alloc(examination->arena, sizeof *note);
    if (note == NULL) {
        examination->texts->failed = true;
        return;
    }
    *note = (cfa__limit_note){ NULL, text };
    if (examination->last_note != NULL)
        examination->last_note->next = note;
    else
        examination->notes = note;
    examination->last_note = note;
}

cfa_status cfa__examine(cfa__examination *examination) {
    cfa_status status = cfa__examine_book(examination);
    if (status == CFA_OK)
        status = cfa__examine_calls(examination);
    if (status == CFA_OK)
        status = cfa__examine_conflicts(examination);
    if (status == CFA_OK)
        status = cfa__examine_parked(examination);
    return status == CFA_OK ? cfa__document_status(examination->texts) : status;
}

/* Run the examination in a snapshot of its own; findings live in `arena`. */
static cfa_status examine(cfa__examination *out, cfa__document *texts, cfa_arena *arena,
                          cfa_engine *engine, const cfa_doctor_spec *spec) {
    memset(out, 0, sizeof *out);
    out->engine = engine;
    out->arena = arena;
    out->texts = texts;
    out->deep = spec->deep != 0;
    out->now_us = cfa__book_now_us(engine);
    out->conflicts = cfa_arena_alloc(arena, CFA__DOCTOR_CONFLICTS_MAX * sizeof *out->conflicts);
    if (out->conflicts == NULL)
        return CFA_ENOMEM;
    cfa_status status = cfa_arena_new(&out->scratch);
    if (status != CFA_OK)
        return status;
    status = cfa__read_begin(&out->reader, engine, cfa__deadline_us(engine, spec->timeout_ms));
    if (status == CFA_OK) {
        status = cfa__examine(out);
        cfa__read_end(engine, out->reader);
    }
    cfa_arena_free(out->scratch);
    return status;
}

/* ---- the checkup ----------------------------------------------------------------------------- */

static const char *severity_name(cfa_finding_severity severity) {
    return severity == CFA_FINDING_CRITICAL  ? "critical"
           : severity == CFA_FINDING_WARNING ? "warning"
                                             : "note";
}

static void show_finding(cfa__document *document, cfa__section *section,
                         const cfa_finding_view *view) {
    cfa__item *item = cfa__document_item(document, section, view->code, 0,
                                         cfa__document_format(document, "%s (%lld): %s", view->code,
                                                              (long long)view->count, view->text));
    if (item == NULL)
        return;
    item->tone = view->severity == CFA_FINDING_CRITICAL  ? CFA__TONE_BAD
                 : view->severity == CFA_FINDING_WARNING ? CFA__TONE_WAITING
                                                         : CFA__TONE_PLAIN;
    cfa__fields *fields = &item->fields;
    cfa__show_text(document, fields, "severity", "severity", severity_name(view->severity));
    cfa__show_int(document, fields, "count", NULL, view->count);
    cfa__show_int(document, fields, "age_s", NULL, view->age_us / 1000000);
    cfa__show_text(document, fields, "age", "oldest",
                   view->age_us > 0 ? cfa__document_duration(document, view->age_us) : NULL);
    cfa__field *ids = cfa__show_list(document, fields, "ids", "of");
    for (int32_t i = 0; i < view->id_count; i++)
        cfa__show_entry(document, ids, view->ids[i]);
    if (view->count > view->id_count && view->id_count > 0)
        cfa__show_text(
            document, fields, "more", "and",
            cfa__document_format(document, "%lld more", (long long)(view->count - view->id_count)));
    cfa__show_text(document, fields, "text", NULL, view->text);
    cfa__show_text(document, fields, "action", "next", view->action);
    cfa__show_bool(document, fields, "safe", NULL, view->safe != 0);
}

static void describe(cfa_checkup *checkup, const cfa__examination *examination) {
    cfa__document *document = &checkup->document;
    int32_t grave = 0;
    for (size_t i = 0; i < checkup->size; i++)
        grave += checkup->order[i]->severity == CFA_FINDING_CRITICAL;
    document->title = "The book's checkup";
    document->state = grave > 0 ? "CRITICAL" : checkup->size > 0 ? "FINDINGS" : "WELL";
    document->tone = grave > 0           ? CFA__TONE_BAD
                     : checkup->size > 0 ? CFA__TONE_WAITING
                                         : CFA__TONE_GOOD;
    document->summary =
        checkup->size == 0
            ? "Nothing is stuck or strange."
            : cfa__document_format(document, "%d %s, %d of them critical.", (int)checkup->size,
                                   checkup->size == 1 ? "finding" : "findings", (int)grave);
    cfa__show_text(document, &document->fields, "state", NULL, document->state);
    cfa__show_int(document, &document->fields, "count", NULL, (int64_t)checkup->size);
    cfa__show_int(document, &document->fields, "critical", NULL, grave);
    cfa__show_bool(document, &document->fields, "deep", NULL, examination->deep);
    cfa__show_time(document, &document->fields, "as_of", "as of", examination->now_us);
    cfa__section *section =
        cfa__document_section(document, "findings", "Findings", CFA__CARDS, NULL);
    for (size_t i = 0; i < checkup->size; i++)
        show_finding(document, section, checkup->order[i]);
    section = cfa__document_section(document, "limits", "What was not looked at", CFA__NOTES, NULL);
    for (const cfa__limit_note *note = examination->notes; note != NULL; note = note->next)
        (void)cfa__document_item(document, section, "limit", 0, note->text);
}

/* Views of all findings, ours and the host's, the gravest first. */
static cfa_status arrange(cfa_checkup *checkup, const cfa__examination *examination,
                          const cfa_doctor_spec *spec) {
    size_t most = CFA__AILMENTS + (size_t)spec->host_finding_count;
    cfa__document *document = &checkup->document;
    checkup->views = cfa_arena_alloc(checkup->arena, most * sizeof *checkup->views);
    checkup->order = cfa_arena_alloc(checkup->arena, most * sizeof *checkup->order);
    if (checkup->views == NULL || checkup->order == NULL)
        return CFA_ENOMEM;
    size_t count = 0;
    for (int ailment = 0; ailment < CFA__AILMENTS; ailment++) {
        const cfa__finding *finding = &examination->findings[ailment];
        const cfa__ailment_kind *kind = &cfa__ailment_kinds[ailment];
        if (finding->count == 0)
            continue;
        const char **ids = cfa_arena_alloc(checkup->arena, sizeof finding->ids);
        if (ids == NULL)
            return CFA_ENOMEM;
        memcpy(ids, finding->ids, sizeof finding->ids);
        checkup->views[count++] = (cfa_finding_view){
            sizeof(cfa_finding_view),
            kind->code,
            finding->severity,
            finding->count,
            ids,
            finding->id_count,
            finding->age_us,
            finding->text != NULL ? finding->text : kind->text,
            kind->action,
            kind->safe,
        };
    }
    for (int32_t i = 0; i < spec->host_finding_count; i++) {
        const cfa_finding_view *given = spec->host_findings[i];
        checkup->views[count++] =
            (cfa_finding_view){ sizeof(cfa_finding_view),
                                cfa__document_text(document, cfa__slice(given->code)),
                                given->severity,
                                given->count,
                                NULL,
                                0,
                                given->age_us,
                                cfa__document_text(document, cfa__slice(given->text)),
                                cfa__document_text(document, cfa__slice(given->action)),
                                0 };
    }
    for (cfa_finding_severity severity = CFA_FINDING_CRITICAL; severity >= CFA_FINDING_NOTE;
         severity--) {
        for (size_t i = 0; i < count; i++) {
            if (checkup->views[i].severity == severity)
                checkup->order[checkup->size++] = &checkup->views[i];
        }
    }
    return cfa__document_status(document);
}

static cfa_status take_spec(cfa_doctor_spec *out, const cfa_doctor_spec *given) {
    *out = (cfa_doctor_spec)CFA_DOCTOR_SPEC_INIT;
    cfa_status status = CFA_OK;
    if (given != NULL)
        status = cfa__spec_take(out, sizeof *out, given,
                                CFA__SIZE_THROUGH(cfa_doctor_spec, host_finding_count), ORIGIN);
    if (status != CFA_OK)
        return status;
    if (out->host_finding_count < 0 || out->host_finding_count > CFA__DOCTOR_HOST_MAX)
        return cfa_error_format(CFA_ERANGE, ORIGIN, "host_finding_count", 0,
                                "at most %d findings of the host", CFA__DOCTOR_HOST_MAX);
    for (int32_t i = 0; i < out->host_finding_count; i++) {
        const cfa_finding_view *view = out->host_findings[i];
        if (view->severity < CFA_FINDING_NOTE || view->severity > CFA_FINDING_CRITICAL ||
            view->code == NULL || view->text == NULL || view->action == NULL)
            return cfa_error_set(CFA_EINVAL, ORIGIN, "host_findings", 0,
                                 "a finding needs code, severity, text and action");
    }
    return CFA_OK;
}

cfa_status cfa_doctor(cfa_checkup **out, cfa_engine *engine, const cfa_doctor_spec *given) {
    cfa_doctor_spec spec;
    cfa_arena *arena;
    cfa__examination examination;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = take_spec(&spec, given);
    if (status == CFA_OK)
        status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    cfa_checkup *checkup = cfa_arena_alloc(arena, sizeof *checkup);
    status = checkup == NULL ? CFA_ENOMEM : CFA_OK;
    if (status == CFA_OK) {
        checkup->arena = arena;
        cfa__document_init(&checkup->document, arena, "doctor");
        status = examine(&examination, &checkup->document, arena, engine, &spec);
    }
    if (status == CFA_OK)
        status = arrange(checkup, &examination, &spec);
    if (status == CFA_OK) {
        describe(checkup, &examination);
        status = cfa__document_status(&checkup->document);
    }
    if (status != CFA_OK) {
        cfa_arena_free(arena);
        return status;
    }
    *out = checkup;
    return CFA_OK;
}

size_t cfa_checkup_size(const cfa_checkup *checkup) { return checkup->size; }

const cfa_finding_view *cfa_checkup_at(const cfa_checkup *checkup, size_t index) {
    return index < checkup->size ? checkup->order[index] : NULL;
}

cfa_status cfa_checkup_write(char **out_text, const cfa_checkup *checkup,
                             cfa_explain_format format) {
    if (out_text == NULL || checkup == NULL)
        return cfa_error_set(CFA_EMISUSE, ORIGIN, NULL, 0, "no output, or no checkup");
    return cfa__document_write(out_text, &checkup->document, format);
}

void cfa_checkup_free(cfa_checkup *checkup) {
    if (checkup != NULL)
        cfa_arena_free(checkup->arena);
}

/* ---- remedies -------------------------------------------------------------------------------- */

static cfa_status resume_sinks(int64_t *out_done, cfa_engine *engine, const cfa__finding *finding,
                               const cfa_actor *by) {
    cfa_status status = CFA_OK;
    for (int32_t i = 0; i < finding->id_count && status == CFA_OK; i++) {
        cfa_cursor_list *list;
        status = cfa_cursor_resume(&list, engine, finding->ids[i], by);
        if (status == CFA_OK) {
            cfa_cursor_list_free(list);
            (*out_done)++;
        }
    }
    return status;
}

static cfa_status requeue_letters(int64_t *out_done, cfa_engine *engine,
                                  const cfa__finding *finding, const cfa_actor *by) {
    cfa_status status = CFA_OK;
    for (int32_t i = 0; i < finding->id_count && status == CFA_OK; i++) {
        char key[37];
        cfa_cursor_list *list;
        status = cfa_key_new(key, sizeof key);
        if (status == CFA_OK)
            status = cfa_letter_requeue(&list, engine, finding->ids[i], 0, NULL, key, by);
        if (status == CFA_OK) {
            cfa_cursor_list_free(list);
            (*out_done)++;
        }
    }
    return status;
}

static cfa_status project(int64_t *out_done, cfa_engine *engine, int64_t deadline_us) {
    int64_t head;
    cfa_status status = cfa__log_head(engine, 0, &head);
    if (status == CFA_OK && head > 0)
        status = cfa__project_until(engine, head, deadline_us);
    if (status == CFA_OK)
        *out_done = 1;
    return status;
}

static cfa_status treat(int64_t *out_done, cfa_engine *engine, cfa__ailment ailment,
                        const cfa__finding *finding, const cfa_actor *by, int64_t deadline_us) {
    if (finding->count == 0)
        return CFA_OK;
    switch (ailment) {
    case CFA__AILMENT_SINK_STOPPED: return resume_sinks(out_done, engine, finding, by);
    case CFA__AILMENT_DEAD_LETTERS: return requeue_letters(out_done, engine, finding, by);
    case CFA__AILMENT_TOTALS_BEHIND: return project(out_done, engine, deadline_us);
    default:
        return cfa__calls_hasten(out_done, engine, finding->targets, finding->target_count,
                                 deadline_us);
    }
}

cfa_status cfa_doctor_do(int64_t *out_done, cfa_engine *engine, const char *code,
                         const cfa_doctor_spec *given, const cfa_actor *by) {
    cfa_doctor_spec spec;
    cfa_arena *arena;
    cfa__document texts;
    cfa__examination examination;
    int ailment = 0;
    cfa_status status = cfa__call_check(engine, out_done);
    if (status == CFA_OK)
        status = take_spec(&spec, given);
    if (status != CFA_OK)
        return status;
    while (code != NULL && ailment < CFA__AILMENTS &&
           strcmp(cfa__ailment_kinds[ailment].code, code) != 0)
        ailment++;
    if (code == NULL || ailment == CFA__AILMENTS)
        return cfa_error_set(CFA_EINVAL, ORIGIN, "code", 0, "no finding has this code");
    if (!cfa__ailment_kinds[ailment].safe)
        return cfa_error_format(CFA_ENOTSUP, ORIGIN, "code", 0, "a person must do this: %s",
                                cfa__ailment_kinds[ailment].action);
    status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    int64_t done = 0;
    cfa__document_init(&texts, arena, "doctor");
    status = examine(&examination, &texts, arena, engine, &spec);
    if (status == CFA_OK)
        status = treat(&done, engine, (cfa__ailment)ailment, &examination.findings[ailment], by,
                       cfa__deadline_us(engine, spec.timeout_ms));
    cfa_arena_free(arena);
    if (status == CFA_OK)
        *out_done = done;
    return status;
}
