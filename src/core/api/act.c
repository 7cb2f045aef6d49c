/*
 * api/act.c - the audit log as applications see it: pages of acts, and the check of their chain.
 * Never writes: decide/act.c alone appends.
 */
#include "core/api/act.h"

#include "core/api/api.h"
#include "util/text.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.act"
#define LIMIT_DEFAULT 100
#define VERIFY_ROWS 256 /* read at a time */
#define REPORT_LEAST CFA__SIZE_THROUGH(cfa_act_report, head_hash)

struct cfa_act_list {
    cfa_arena *arena;
    cfa_act_view *items;
    size_t size;
};

/* ---- who and why ----------------------------------------------------------------------------- */

static cfa_status take_text(cfa_slice *out, cfa__command *command, const char *text,
                            const char *field, size_t bytes_max) {
    cfa_status status = cfa__text_check(text, ORIGIN, field, bytes_max, false, false);
    if (status != CFA_OK)
        return status;
    return cfa__input_text(out, command, text != NULL && text[0] != '\0' ? text : NULL);
}

cfa_status cfa__by_make(cfa__by *out, cfa__command *command, const char *actor,
                        const char *reason) {
    cfa_status status = take_text(&out->actor, command, actor, "actor", CFA_ACTOR_BYTES_MAX);
    if (status == CFA_OK)
        status = take_text(&out->reason, command, reason, "reason", CFA_REASON_BYTES_MAX);
    return status;
}

cfa_status cfa__by_take(cfa__by *out, cfa__command *command, const cfa_actor *given) {
    cfa_actor actor = CFA_ACTOR_INIT;
    cfa_status status = CFA_OK;
    if (given != NULL)
        status = cfa__spec_take(&actor, sizeof actor, given, CFA__SIZE_THROUGH(cfa_actor, reason),
                                ORIGIN);
    return status == CFA_OK ? cfa__by_make(out, command, actor.actor, actor.reason) : status;
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void write_hex(char *out, cfa_slice bytes) {
    static const char digits[] = "0123456789abcdef";
    const uint8_t *data = bytes.data;
    for (size_t i = 0; i < bytes.size; i++) {
        *out++ = digits[data[i] >> 4];
        *out++ = digits[data[i] & 15];
    }
    *out = '\0';
}

static const char *hex_of(cfa_arena *arena, cfa_slice bytes, bool *failed) {
    if (bytes.data == NULL)
        return NULL;
    char *text = cfa_arena_alloc(arena, bytes.size * 2 + 1);
    if (text == NULL)
        *failed = true;
    else
        write_hex(text, bytes);
    return text;
}

static cfa_status view_fill(cfa_act_view *out, cfa_arena *arena, const cfa__act *act) {
    bool failed = false;
    *out = (cfa_act_view){
        .struct_size = sizeof *out,
        .number = act->number,
        .action = cfa__text_of(arena, act->action, &failed),
        .subject = cfa__text_of(arena, act->subject, &failed),
        .actor = cfa__text_of(arena, act->actor, &failed),
        .reason = cfa__text_of(arena, act->reason, &failed),
        .before = cfa__text_of(arena, act->before, &failed),
        .after = cfa__text_of(arena, act->after, &failed),
        .created_us = act->created_us,
        .previous_hash = hex_of(arena, act->previous_hash, &failed),
        .hash = hex_of(arena, act->hash, &failed),
    };
    return failed ? CFA_ENOMEM : CFA_OK;
}

static cfa_status read_page(cfa_act_list *list, cfa_engine *engine, cfa__reader *reader,
                            int64_t after_number, int32_t limit) {
    cfa__act key;
    memset(&key, 0, sizeof key);
    key.number = after_number;
    cfa_query query = {
        .kind = &cfa__act_kind, .flags = CFA_QUERY_AFTER, .limit = limit, .key = &key
    };
    cfa_status status = cfa__read_queries(engine, reader, &query, 1);
    if (status != CFA_OK)
        return status;
    list->items = cfa_arena_alloc(list->arena, ((size_t)query.count + 1) * sizeof *list->items);
    if (list->items == NULL)
        return CFA_ENOMEM;
    for (int32_t i = 0; i < query.count && status == CFA_OK; i++) {
        status = view_fill(&list->items[i], list->arena, query.records[i]);
        list->size++;
    }
    return status;
}

cfa_status cfa_act_page(cfa_act_list **out, cfa_engine *engine, int64_t after_number,
                        int32_t limit) {
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK && after_number < 0)
        status = cfa_error_set(CFA_ERANGE, ORIGIN, "after_number", 0, "a number is not negative");
    if (limit == 0)
        limit = LIMIT_DEFAULT;
    if (status == CFA_OK && (limit < 0 || limit > CFA_PAGE_LIMIT_MAX))
        status = cfa_error_format(CFA_ERANGE, ORIGIN, "limit", 0, "limit must be 1 to %d",
                                  CFA_PAGE_LIMIT_MAX);
    cfa_arena *arena;
    cfa__reader *reader;
    if (status == CFA_OK)
        status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    cfa_act_list *list = cfa_arena_alloc(arena, sizeof *list);
    status =
        list == NULL ? CFA_ENOMEM : cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status == CFA_OK) {
        list->arena = arena;
        status = read_page(list, engine, reader, after_number, limit);
        cfa__read_end(engine, reader);
    }
    if (status != CFA_OK) {
        cfa_arena_free(arena);
        return status;
    }
    *out = list;
    return CFA_OK;
}

size_t cfa_act_list_size(const cfa_act_list *list) { return list->size; }

const cfa_act_view *cfa_act_list_at(const cfa_act_list *list, size_t index) {
    return index < list->size ? &list->items[index] : NULL;
}

void cfa_act_list_free(cfa_act_list *list) {
    if (list != NULL)
        cfa_arena_free(list->arena);
}

/* ---- the chain ------------------------------------------------------------------------------- */

const char *cfa_act_fault_name(cfa_act_fault fault) {
    switch (fault) {
#define FAULT_NAME(name, code, text)                                                               \
    case CFA_ACT_##name: return #name;
        CFA_ACT_FAULT_MAP(FAULT_NAME)
#undef FAULT_NAME
    default: return "";
    }
}

const char *cfa_act_fault_text(cfa_act_fault fault) {
    switch (fault) {
#define FAULT_TEXT(name, code, text)                                                               \
    case CFA_ACT_##name: return text;
        CFA_ACT_FAULT_MAP(FAULT_TEXT)
#undef FAULT_TEXT
    default: return "";
    }
}

static void note(cfa_act_report *report, cfa_act_fault fault, int64_t number) {
    if (report->fault != CFA_ACT_NONE || fault == CFA_ACT_NONE)
        return;
    report->fault = fault;
    report->number = number;
}

static cfa_status walk(cfa_act_report *report, cfa__act_chain *chain, cfa_engine *engine,
                       cfa__reader *reader, cfa_arena *arena) {
    cfa__act key;
    memset(&key, 0, sizeof key);
    cfa_query query = { .kind = &cfa__act_kind, .limit = VERIFY_ROWS, .key = &key };
    do {
        cfa_status status = engine->storage.ops->load(reader->session, &query, 1, arena);
        if (status != CFA_OK)
            return status;
        for (int32_t i = 0; i < query.count; i++) {
            const cfa__act *act = query.records[i];
            int64_t number;
            cfa_act_fault fault = cfa__act_chain_step(chain, act, &number);
            note(report, fault, number);
            key.number = act->number;
        }
        query.flags = CFA_QUERY_AFTER;
        cfa_arena_reset(arena);
    } while (query.count == VERIFY_ROWS);
    return CFA_OK;
}

cfa_status cfa__acts_verify(cfa_act_report *out, cfa_engine *engine, cfa__reader *reader) {
    cfa__book key;
    memset(&key, 0, sizeof key);
    key.id = 1;
    const void *found = NULL;
    cfa_status status = cfa__read_record(engine, reader, &cfa__book_kind, &key, &found);
    if (status == CFA_OK && found == NULL)
        status = cfa_error_set(CFA_ECORRUPT, ORIGIN, NULL, 0, "the book's row is gone");
    cfa_arena *arena;
    if (status == CFA_OK)
        status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    cfa__act_chain chain = cfa__act_chain_begin(found);
    cfa_act_report report = CFA_ACT_REPORT_INIT;
    int64_t number;
    status = walk(&report, &chain, engine, reader, arena);
    cfa_arena_free(arena);
    if (status != CFA_OK)
        return status;
    cfa_act_fault fault = cfa__act_chain_end(&chain, &number);
    note(&report, fault, number);
    report.count = chain.count;
    report.head_count = chain.book->act_count;
    report.head_agrees = chain.head_agrees;
    if (chain.book->act_hash.size == CFA__ACT_HASH_SIZE)
        write_hex(report.head_hash, chain.book->act_hash);
    *out = report;
    return CFA_OK;
}

cfa_status cfa_act_verify(cfa_act_report *out, cfa_engine *engine) {
    cfa_act_report report;
    cfa__reader *reader;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = cfa__spec_take(&report, sizeof report, out, REPORT_LEAST, ORIGIN);
    if (status == CFA_OK)
        status = cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status != CFA_OK)
        return status;
    size_t size = out->struct_size < sizeof report ? out->struct_size : sizeof report;
    status = cfa__acts_verify(&report, engine, reader);
    cfa__read_end(engine, reader);
    if (status != CFA_OK)
        return status;
    memcpy((char *)out + sizeof out->struct_size, (const char *)&report + sizeof out->struct_size,
           size - sizeof out->struct_size);
    return CFA_OK;
}
