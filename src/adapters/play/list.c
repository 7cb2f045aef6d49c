/*
 * list.c - what the play provider has of a window, page by page, newest first. Reads only; suffers
 * the same misfortunes as calls do.
 */
#include "adapters/play/books.h"

#include <string.h>

/* Several pages of anything worth testing. */
#define PAGE_OBJECTS 10

static void fail(cfa_list_page *out, int32_t outcome, const char *code, bool unavailable) {
    *out = (cfa_list_page){
        .struct_size = sizeof *out, .outcome = outcome, .code = code, .unavailable = unavailable
    };
}

static cfa__play_entry *newest_of(const cfa_play *play, int32_t kind) {
    switch (kind) {
    case CFA_LIST_REFUNDS: return play->newest_refund;
    case CFA_LIST_DISPUTES: return play->newest_dispute;
    default: return play->newest_intent;
    }
}

static cfa__play_entry *find(cfa_play *play, int32_t kind, const char *ref) {
    switch (kind) {
    case CFA_LIST_REFUNDS: return (cfa__play_entry *)cfa__play_find_refund(play, ref);
    case CFA_LIST_DISPUTES: return (cfa__play_entry *)cfa__play_find_dispute(play, ref);
    default: return (cfa__play_entry *)cfa__play_find_ref(play, ref);
    }
}

/* What is told of an entry, and the name under which the next page goes on behind it. */
static cfa__play_report report_of(const cfa__play_entry *entry, int32_t kind, const char **out_ref,
                                  int64_t *out_us) {
    cfa__play_report report;
    *out_us = entry->created_us;
    if (kind == CFA_LIST_REFUNDS) {
        report = cfa__play_tell_refund((const cfa__play_refund *)entry);
        *out_ref = report.refund->ref;
    } else if (kind == CFA_LIST_DISPUTES) {
        report = cfa__play_tell_dispute((const cfa__play_dispute *)entry);
        *out_ref = report.dispute->ref;
    } else {
        report = cfa__play_tell((const cfa__play_intent *)entry);
        report.whole = kind == CFA_LIST_PAYMENTS;
        *out_ref = report.intent->ref;
        *out_us = kind == CFA_LIST_SETTLEMENTS ? report.intent->paid_out_us : *out_us;
    }
    return report;
}

static bool is_wanted(const cfa__play_report *report, const cfa_list_request *request,
                      int64_t created_us) {
    const char *account = request->account != NULL ? request->account : "";
    return strcmp(report->intent->account, account) == 0 &&
           created_us >= request->created_from_us && created_us < request->created_until_us;
}

/* Fill the page from `entry` on; false without memory. */
static bool take(const cfa__play_entry *entry, const cfa_list_request *request, cfa_arena *arena,
                 cfa_list_page *out) {
    const cfa_listed **objects = cfa_arena_alloc(arena, PAGE_OBJECTS * sizeof *objects);
    const char *last = NULL;
    for (; objects != NULL && entry != NULL; entry = entry->before) {
        const char *ref;
        int64_t created_us;
        cfa__play_report report = report_of(entry, request->kind, &ref, &created_us);
        if (!is_wanted(&report, request, created_us)) {
            continue;
        }
        if (out->count == PAGE_OBJECTS) {
            out->next = cfa_arena_copy(arena, last, strlen(last));
            break;
        }
        cfa_listed *listed = cfa_arena_alloc(arena, sizeof *listed);
        if (listed == NULL || cfa__play_facts(&listed->facts, &report, arena) != CFA_OK) {
            return false;
        }
        listed->struct_size = sizeof *listed;
        listed->whole = report.whole;
        listed->refunded_minor = -1;
        objects[out->count++] = listed;
        last = ref;
    }
    out->objects = objects;
    return objects != NULL && (entry == NULL || out->next != NULL);
}

static void list(cfa_play *play, const cfa_list_request *request, cfa_arena *arena,
                 cfa_list_page *out) {
    const cfa__play_entry *entry = newest_of(play, request->kind);
    if (request->cursor != NULL) {
        entry = find(play, request->kind, request->cursor);
        if (entry == NULL) {
            fail(out, CFA_OUTCOME_REFUSED, "resource_missing", false);
            return;
        }
        entry = entry->before;
    }
    out->outcome = CFA_OUTCOME_DONE;
    if (!take(entry, request, arena, out)) {
        fail(out, CFA_OUTCOME_UNKNOWN, "out_of_memory", false);
    }
}

void cfa__play_list(void *self, const cfa_list_request *request, cfa_arena *arena,
                    cfa_list_page *out) {
    cfa_play *play = self;
    int32_t fault;
    *out = (cfa_list_page){ .struct_size = sizeof *out };
    bool late = cfa__play_befall(play, request->timeout_ms, &fault);
    bool lost = fault == CFA_PLAY_FAULT_REPLY_LOST || fault == CFA_PLAY_FAULT_REQUEST_LOST;
    if (fault == CFA_PLAY_FAULT_NOT_SENT) {
        fail(out, CFA_OUTCOME_NOT_SENT, "connection_refused", true);
    } else if (late || lost) {
        fail(out, CFA_OUTCOME_UNKNOWN, "timeout", true);
    } else if (fault == CFA_PLAY_FAULT_REFUSED) {
        fail(out, CFA_OUTCOME_REFUSED, "refused", false);
    } else if (fault != CFA_PLAY_FAULT_NONE) {
        fail(out, CFA_OUTCOME_UNKNOWN, "api_error", true);
    } else if (request->kind < 0 || request->kind >= CFA_LIST_KINDS) {
        fail(out, CFA_OUTCOME_REFUSED, "parameter_invalid", false);
    } else {
        cfa__play_lock(play);
        list(play, request, arena, out);
        cfa__play_unlock(play);
    }
}
