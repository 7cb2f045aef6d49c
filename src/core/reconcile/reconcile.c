/*
 * reconcile.c - one reconciliation from its snapshot to its report, and the repair, which tells the
 * engine what objects say, each as an event whose id is made of it.
 */
#include "core/reconcile/reconcile.h"

#include <careforall/payment.h>
#include <stdio.h>
#include <string.h>

#include "core/api/api.h"
#include "core/decide/evidence.h"
#include "core/decide/facts.h"
#include "util/secure.h"

#define BEGIN_MS 30000
#define REPAIR_ROUNDS_MAX 3 /* an object may make another known: a page its payment */
#define EVENT_TYPE "reconcile.object"

/* ---- reading --------------------------------------------------------------------------------- */

cfa_status cfa__reconcile_go_on(const cfa__reconcile *run) {
    const cfa__reconcile_snapshot *within = run->within;
    return within == NULL || within->goes_on(within->self) ? CFA_OK : CFA_ECLOSING;
}

cfa_status cfa__reconcile_get(cfa__reconcile *run, const cfa_kind *kind, const void *key,
                              const void **out) {
    cfa_query query = {
        .kind = kind, .match_count = kind->indexes[0].field_count, .limit = 1, .key = key
    };
    if (run->window != NULL && cfa__window_find(run->window, kind, key, out))
        return CFA_OK;
    cfa_status status = run->storage->ops->load(run->session, &query, 1, run->scratch);
    *out = status == CFA_OK && query.count == 1 ? query.records[0] : NULL;
    return status;
}

cfa_status cfa__reconcile_get_id(cfa__reconcile *run, const cfa_kind *kind, cfa__id id,
                                 const void **out) {
    cfa__any_record key;
    cfa__key_of_id(&key, kind, id);
    return cfa__reconcile_get(run, kind, &key, out);
}

static cfa_status keep(cfa__reconcile *run, cfa_slice *slice) {
    if (slice->data != NULL)
        slice->data = cfa_arena_copy(run->arena, slice->data, slice->size);
    else
        *slice = (cfa_slice){ "", 0 };
    return slice->data != NULL ? CFA_OK : CFA_ENOMEM;
}

static cfa_status check_provider(const cfa__reconcile *run) {
    const cfa_slice theirs = cfa__slice(run->spec->provider), ours = run->book.provider;
    if (theirs.size == 0 || ours.size == 0 || cfa__slices_equal(theirs, ours))
        return CFA_OK;
    return cfa_error_format(CFA_EMODE, CFA__RECONCILE_ORIGIN, "provider", 0,
                            "the record is of the provider \"%.*s\", the book of \"%.*s\"",
                            (int)theirs.size, (const char *)theirs.data, (int)ours.size,
                            (const char *)ours.data);
}

static cfa_status read_book(cfa__reconcile *run) {
    cfa__any_record key;
    const void *found;
    memset(&key, 0, sizeof key);
    key.book.id = 1;
    cfa_status status = cfa__reconcile_get(run, &cfa__book_kind, &key, &found);
    if (status == CFA_OK && found == NULL)
        status = cfa_error_set(CFA_ECORRUPT, CFA__RECONCILE_ORIGIN, NULL, 0,
                               "the book does not say what it is pinned to: audit it");
    if (status != CFA_OK)
        return status;
    run->book = *(const cfa__book *)found;
    status = keep(run, &run->book.provider);
    if (status == CFA_OK)
        status = keep(run, &run->book.account);
    return status == CFA_OK ? check_provider(run) : status;
}

/* The next object of the record, in memory of ours. */
static cfa_status next_object(cfa__reconcile *run, cfa_arena *arena, cfa_reconcile_object *out) {
    memset(out, 0, sizeof *out);
    out->struct_size = sizeof *out;
    cfa_status status = run->spec->next(run->spec->next_self, out);
    if (status != CFA_OK)
        return status;
    if (out->kind < 0 || out->kind > CFA_RECONCILE_UNNAMED)
        return cfa_error_set(CFA_EINVAL, CFA__RECONCILE_ORIGIN, "kind", 0,
                             "an object of the record is of no kind");
    if (out->livemode >= 0 && (out->livemode != 0) != (run->book.livemode != 0))
        return cfa_error_format(CFA_EMODE, CFA__RECONCILE_ORIGIN, "livemode", 0,
                                "line %lld: the record is of %s mode, the book is not",
                                (long long)out->line, out->livemode != 0 ? "live" : "test");
    const char *wrong = NULL;
    status = cfa__facts_take(&out->facts, arena, &out->facts, &wrong);
    if (status == CFA_OK && wrong != NULL)
        status = cfa_error_format(CFA_EINVAL, CFA__RECONCILE_ORIGIN, wrong, 0,
                                  "line %lld: %s is missing, unknown or out of range",
                                  (long long)out->line, wrong);
    return status;
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* CFA_ENOTFOUND when these are the last. */
static cfa_status fill_window(cfa__reconcile *run) {
    cfa_arena *arena = cfa__window_begin(run->window);
    cfa_reconcile_object *object;
    cfa_status status = CFA_OK;
    for (size_t i = 0; status == CFA_OK && (object = cfa__window_next(run->window)) != NULL; i++) {
        status = i % CFA__RECONCILE_PAGE == 0 ? cfa__reconcile_go_on(run) : CFA_OK;
        if (status == CFA_OK)
            status = next_object(run, arena, object);
    }
    if (status == CFA_ENOTFOUND)
        cfa__window_end(run->window);
    return status;
}

static cfa_status judge_window(cfa__reconcile *run) {
    const cfa_reconcile_object *object;
    cfa_status status = cfa__window_load(run);
    for (size_t i = 0; status == CFA_OK && (object = cfa__window_at(run->window, i)) != NULL; i++) {
        cfa_arena_reset(run->scratch);
        run->objects++;
        status = cfa__reconcile_object(run, object);
    }
    return status;
}

static cfa_status compare(cfa__reconcile *run) {
    cfa_status status = read_book(run);
    if (status == CFA_OK)
        status = cfa__window_new(&run->window);
    while (status == CFA_OK) {
        cfa_status read = fill_window(run);
        status = read == CFA_OK || read == CFA_ENOTFOUND ? judge_window(run) : read;
        if (status == CFA_OK && read == CFA_ENOTFOUND)
            return cfa__reconcile_missing(run);
    }
    return status;
}

static cfa_status in_snapshot(cfa__reconcile *run, cfa_status (*work)(cfa__reconcile *run)) {
    const cfa_storage_ops *ops = run->storage->ops;
    int64_t now_us;
    cfa_status status = ops->begin(run->session, CFA_SESSION_READ, BEGIN_MS, &now_us);
    if (status != CFA_OK)
        return status;
    status = work(run);
    ops->rollback(run->session);
    return status;
}

static cfa_status judge_one(cfa__reconcile *run) { return cfa__reconcile_object(run, run->object); }

/* The same for a record that moves: no snapshot is open while the next object is waited for. */
static cfa_status compare_moving(cfa__reconcile *run) {
    cfa_status status = in_snapshot(run, read_book);
    while (status == CFA_OK) {
        cfa_reconcile_object object;
        cfa_arena_reset(run->scratch);
        status = next_object(run, run->scratch, &object);
        if (status == CFA_ENOTFOUND)
            return in_snapshot(run, cfa__reconcile_missing);
        if (status == CFA_OK) {
            run->objects++;
            run->object = &object;
            status = in_snapshot(run, judge_one);
        }
    }
    return status;
}

static cfa_status begin_run(cfa__reconcile *run, const cfa_storage *storage,
                            const cfa_reconcile_spec *spec) {
    memset(run, 0, sizeof *run);
    run->storage = storage;
    run->spec = spec;
    cfa_status status = cfa_arena_new(&run->arena);
    return status == CFA_OK ? cfa_arena_new(&run->scratch) : status;
}

static cfa_status open_run(cfa__reconcile *run, const cfa_storage *storage,
                           const cfa_reconcile_spec *spec) {
    cfa_status status = begin_run(run, storage, spec);
    return status == CFA_OK
               ? storage->ops->session_open(storage->self, CFA_SESSION_READ, &run->session)
               : status;
}

static void close_run(cfa__reconcile *run) {
    if (run->session != NULL && run->within == NULL)
        run->storage->ops->session_close(run->session);
    for (int32_t i = 0; i < CFA__RECONCILE_KINDS; i++)
        cfa__seen_free(&run->seen[i]);
    cfa__walked_free(&run->walked);
    cfa__noted_free(&run->noted);
    cfa__window_free(run->window);
    cfa_arena_free(run->scratch);
    cfa_arena_free(run->arena);
}

static cfa_status take_spec(cfa_reconcile_spec *out, const cfa_reconcile_spec *given) {
    cfa_status status =
        cfa__spec_take(out, sizeof *out, given, CFA__SIZE_THROUGH(cfa_reconcile_spec, all_ours),
                       CFA__RECONCILE_ORIGIN);
    if (status == CFA_OK && out->next == NULL)
        status = cfa_error_set(CFA_EINVAL, CFA__RECONCILE_ORIGIN, "next", 0,
                               "a reconciliation needs the provider's record");
    if (status == CFA_OK && (out->from_us < 0 || out->from_us > out->until_us))
        status = cfa_error_set(CFA_EINVAL, CFA__RECONCILE_ORIGIN, "until_us", 0,
                               "the time ends before it begins");
    return status;
}

static cfa_status compare_still(cfa__reconcile *run) { return in_snapshot(run, compare); }

/* Make the report of a run that was opened with `status`, and close it. */
static cfa_status report_run(cfa_reconciliation **out, cfa__reconcile *run, cfa_status status,
                             cfa_status (*work)(cfa__reconcile *run)) {
    cfa_reconciliation *report = NULL;
    if (status == CFA_OK)
        status = cfa__reconciliation_new(&report);
    run->report = report;
    run->keeps_seen = run->spec->until_us != 0;
    if (status == CFA_OK)
        status = work(run);
    if (status == CFA_OK)
        status = cfa__reconciliation_finish(report, run);
    close_run(run);
    if (status == CFA_OK)
        *out = report;
    else
        cfa_reconciliation_free(report);
    return status;
}

static cfa_status run_compare(cfa_reconciliation **out, const cfa_storage *storage,
                              const cfa_reconcile_spec *given) {
    cfa_reconcile_spec spec;
    cfa__reconcile run;
    cfa_status status = take_spec(&spec, given);
    if (status != CFA_OK)
        return status;
    status = open_run(&run, storage, &spec);
    return report_run(out, &run, status, spec.moving != 0 ? compare_moving : compare_still);
}

cfa_status cfa__reconcile_within(cfa_reconciliation **out, const cfa__reconcile_snapshot *snapshot,
                                 const cfa_reconcile_spec *given) {
    cfa_reconcile_spec spec;
    cfa__reconcile run;
    cfa_status status = take_spec(&spec, given);
    if (status == CFA_OK && spec.moving != 0)
        status = cfa_error_set(CFA_EINVAL, CFA__RECONCILE_ORIGIN, "moving", 0,
                               "a record that moves is not compared in one snapshot");
    if (status != CFA_OK)
        return status;
    status = begin_run(&run, snapshot->storage, &spec);
    run.session = snapshot->session;
    run.within = snapshot;
    return report_run(out, &run, status, compare);
}

cfa_status cfa_reconcile_engine(cfa_reconciliation **out, cfa_engine *engine,
                                const cfa_reconcile_spec *spec) {
    cfa_status status = cfa__call_check(engine, out);
    return status == CFA_OK ? run_compare(out, &engine->storage, spec) : status;
}

cfa_status cfa_reconcile_storage(cfa_reconciliation **out, const cfa_storage *storage,
                                 const cfa_reconcile_spec *spec) {
    if (out == NULL || storage == NULL || storage->ops == NULL)
        return cfa_error_set(CFA_EMISUSE, CFA__RECONCILE_ORIGIN, out == NULL ? "out" : "storage", 0,
                             "a reconciliation needs a storage and a place for its report");
    cfa_status status = storage->ops->migrate(storage->self, &cfa__schema);
    return status == CFA_OK ? run_compare(out, storage, spec) : status;
}

/* ---- repairing ------------------------------------------------------------------------------- */

/* The same words make the same event, so that telling them again is a duplicate. */
static cfa_status name_event(char out[48], cfa__reconcile *run, const cfa_facts *facts) {
    uint8_t hash[16];
    cfa_slice json;
    cfa_status status = cfa__facts_encode(&json, run->scratch, facts);
    if (status != CFA_OK)
        return status;
    cfa__hash(hash, sizeof hash, (cfa_slice){ NULL, 0 }, &json, 1);
    int at = snprintf(out, 48, "reconcile_");
    for (size_t i = 0; i < sizeof hash; i++)
        at += snprintf(out + at, 48 - (size_t)at, "%02x", hash[i]);
    return CFA_OK;
}

static cfa_status tell(cfa__reconcile *run, cfa_engine *engine, const cfa_facts *facts,
                       int32_t timeout_ms, int64_t *told) {
    char event_id[48];
    cfa_webhook_verdict verdict;
    bool failed = false;
    cfa_status status = name_event(event_id, run, facts);
    cfa_webhook_event event = {
        .struct_size = sizeof event,
        .event_id = event_id,
        .event_type = EVENT_TYPE,
        .account = cfa__text_of(run->scratch, run->book.account, &failed),
        .livemode = run->book.livemode != 0,
        .relevant = 1,
        .facts = *facts,
    };
    if (status == CFA_OK && failed)
        status = CFA_ENOMEM;
    if (status == CFA_OK)
        status = cfa_webhook_accept(&verdict, engine, &event, timeout_ms);
    *told += status == CFA_OK && verdict == CFA_WEBHOOK_APPLIED;
    return status;
}

/* One pass over the record. Each object is judged in a snapshot of its own, since what was told
 * before it may have made it known. */
static cfa_status repair_round(cfa__reconcile *run, cfa_engine *engine, int32_t timeout_ms,
                               int64_t *told) {
    for (;;) {
        cfa_reconcile_object object;
        cfa_arena_reset(run->scratch);
        cfa_status status = next_object(run, run->scratch, &object);
        if (status != CFA_OK)
            return status == CFA_ENOTFOUND ? CFA_OK : status;
        if (object.summary != 0 && object.summary != CFA_RECONCILE_MOVEMENT)
            continue;
        run->object = &object;
        status = in_snapshot(run, judge_one);
        if (object.summary != 0)
            object.facts = cfa__reconcile_beside(&object.facts);
        if (status == CFA_OK && run->feeds && !run->contradicts)
            status = tell(run, engine, &object.facts, timeout_ms, told);
        if (status != CFA_OK)
            return status;
    }
}

cfa_status cfa_reconcile_repair(int64_t *out_repaired, cfa_engine *engine,
                                const cfa_reconcile_spec *given, int32_t timeout_ms) {
    cfa_reconcile_spec spec;
    cfa__reconcile run;
    cfa_status status = cfa__call_check(engine, out_repaired);
    if (status == CFA_OK && engine->provider.ops == NULL)
        status = cfa_error_set(CFA_ENOTSUP, CFA__RECONCILE_ORIGIN, "provider", 0,
                               "the engine has no payment provider");
    if (status == CFA_OK)
        status = take_spec(&spec, given);
    if (status != CFA_OK)
        return status;
    *out_repaired = 0;
    status = open_run(&run, &engine->storage, &spec);
    if (status == CFA_OK)
        status = in_snapshot(&run, read_book);
    int64_t told = 1;
    for (int32_t round = 0; status == CFA_OK && told > 0 && round < REPAIR_ROUNDS_MAX; round++) {
        told = 0;
        status = repair_round(&run, engine, timeout_ms, &told);
        *out_repaired += told;
    }
    close_run(&run);
    return status;
}
