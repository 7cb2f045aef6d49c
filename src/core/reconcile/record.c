/*
 * record.c - writing down that books were compared: an act with what was found, and in the book's
 * row the time that was found equal. A report is recorded once, whoever asks how often.
 */
#include <string.h>

#include "core/api/act.h"
#include "core/api/api.h"
#include "core/decide/evidence.h"
#include "core/reconcile/reconcile.h"
#include "util/buffer.h"
#include "util/text.h"

#define SUBJECT "book"
#define ACTION "book.reconcile"

struct record_input {
    cfa__keyed keyed;
    cfa__reconcile_summary summary;
    cfa__by by;
};

static void write_time(cfa__buffer *json, const char *name, int64_t time_us) {
    char text[28];
    cfa__time_format(text, time_us);
    cfa__json_text(json, name, time_us != 0 ? text : NULL);
}

static void write_known(cfa__buffer *json, const cfa__book *book) {
    write_time(json, "reconciled_from", book->reconciled_from_us);
    write_time(json, "reconciled_until", book->reconciled_until_us);
    write_time(json, "reconciled_at", book->reconciled_at_us);
}

static cfa_status describe_known(cfa_slice *out, cfa_arena *arena, const cfa__book *book) {
    cfa__buffer json;
    cfa__buffer_init(&json, arena, 256);
    cfa__json_open(&json, NULL, '{');
    write_known(&json, book);
    cfa__json_close(&json, '}');
    return cfa__buffer_finish(&json, out);
}

static cfa_status describe_found(cfa_slice *out, cfa_arena *arena, const cfa__book *book,
                                 const cfa__reconcile_summary *summary) {
    cfa__buffer json;
    cfa__buffer_init(&json, arena, 512);
    cfa__json_open(&json, NULL, '{');
    write_time(&json, "from", summary->from_us);
    write_time(&json, "until", summary->until_us);
    write_time(&json, "as_of", summary->as_of_us);
    cfa__json_int(&json, "objects", summary->objects);
    cfa__json_int(&json, "foreign", summary->foreign);
    cfa__json_open(&json, "read", '{');
    for (int32_t i = 0; i < CFA__RECONCILE_KINDS; i++)
        cfa__json_int(&json, cfa__reconcile_kind_name(i), summary->read[i]);
    cfa__json_close(&json, '}');
    cfa__json_int(&json, "differences", summary->differences);
    cfa__json_open(&json, "counts", '{');
    for (int32_t i = 0; i < CFA__RECONCILE_CODES; i++)
        cfa__json_int(&json, cfa__reconcile_code_name(i), summary->counts[i]);
    cfa__json_close(&json, '}');
    write_known(&json, book);
    cfa__json_close(&json, '}');
    return cfa__buffer_finish(&json, out);
}

/* Of a time that was compared, the part that was found equal: nothing that was made here after the
 * comparison can have been in it. */
static void take_window(cfa__book *book, const cfa__reconcile_summary *summary, int64_t now_us) {
    int64_t from_us = summary->from_us, until_us = summary->until_us;
    if (until_us > summary->as_of_us)
        until_us = summary->as_of_us;
    if (until_us > now_us)
        until_us = now_us;
    if (summary->differences > 0 || summary->read[CFA_RECONCILE_PAYMENT] == 0 ||
        from_us >= until_us)
        return;
    bool joins = book->reconciled_until_us != 0 && from_us <= book->reconciled_until_us &&
                 until_us >= book->reconciled_from_us;
    if (!joins && until_us < book->reconciled_until_us)
        return; /* older, and apart: what is known is worth more */
    if (!joins || from_us < book->reconciled_from_us)
        book->reconciled_from_us = from_us;
    if (!joins || until_us > book->reconciled_until_us)
        book->reconciled_until_us = until_us;
    book->reconciled_at_us = now_us;
}

static cfa_status record(cfa__working_set *set, cfa__command *command) {
    const struct record_input *input = command->input;
    const cfa__book *known = NULL;
    cfa__id resource;
    void *draft;
    cfa_status status = cfa__key_resolve(set, &input->keyed, &resource);
    if (status < 0)
        return status;
    cfa_status found = cfa__book_find(set, &known);
    if (found < 0)
        return found;
    if (status == CFA__MISS || found == CFA__MISS)
        return CFA__MISS;
    if (!cfa__id_is_null(resource))
        return CFA_OK;
    if (cfa__id_compare(known->book_id, input->summary.book_id) != 0)
        return cfa_error_set(CFA_EINVAL, CFA__RECONCILE_ORIGIN, "report", 0,
                             "the report is of another book");
    cfa__act act = { .action = cfa__slice(ACTION),
                     .subject = cfa__slice(SUBJECT),
                     .actor = input->by.actor,
                     .reason = input->by.reason };
    status = describe_known(&act.before, cfa__batch_arena(set), known);
    if (status == CFA_OK)
        status = cfa__key_bind(set, &input->keyed, known->book_id);
    if (status == CFA_OK)
        status = cfa__edit(set, &cfa__book_kind, known, &draft);
    if (status != CFA_OK)
        return status;
    cfa__book *book = draft;
    take_window(book, &input->summary, cfa__now_us(set));
    status = describe_found(&act.after, cfa__batch_arena(set), book, &input->summary);
    return status == CFA_OK ? cfa__act_append(set, &act) : status;
}

cfa_status cfa_reconcile_record(cfa_engine *engine, const cfa_reconciliation *report,
                                const cfa_actor *by, int32_t timeout_ms) {
    cfa__command *command;
    void *memory;
    cfa_status status = cfa__engine_check(engine);
    if (status == CFA_OK && report == NULL)
        status = cfa_error_set(CFA_EMISUSE, CFA__RECONCILE_ORIGIN, "report", 0,
                               "there is no report to be recorded");
    if (status == CFA_OK)
        status = cfa__command_with_input(&command, &memory, engine, record,
                                         sizeof(struct record_input), 0);
    if (status != CFA_OK)
        return status;
    struct record_input *input = memory;
    const cfa__reconcile_summary *summary = cfa__reconciliation_summary(report);
    input->summary = *summary;
    status =
        cfa__keyed_make(&input->keyed, engine, NULL, summary->key, CFA__KEYED_RECONCILE, NULL, 0);
    if (status == CFA_OK)
        status = cfa__by_take(&input->by, command, by);
    if (status == CFA_OK)
        status = cfa__command_run(engine, &command, cfa__deadline_us(engine, timeout_ms));
    cfa__command_release(engine, command);
    return status;
}
