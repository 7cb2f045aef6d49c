/*
 * upkeep.c - what a book needs now and then: random keys of a past generation moved to the
 * permanent table in key order, answers dropped when their time is over, and, at open, the pins of
 * the book.
 */
#include "core/decide/evidence.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.book"

/* ---- keys ------------------------------------------------------------------------------------ */

static cfa_status move_key(cfa__working_set *set, const cfa__key_recent *recent, int32_t *moved) {
    const void *found, *permanent;
    cfa__key key = { recent->digest,      recent->scope_hash,  recent->command,
                     recent->fingerprint, recent->resource_id, recent->created_us };
    cfa_status status = cfa__find(set, &cfa__key_recent_kind, recent, &found);
    cfa_status permanent_status = cfa__find(set, &cfa__key_kind, &key, &permanent);
    if (status < 0 || permanent_status < 0)
        return status < 0 ? status : permanent_status;
    if (status == CFA__MISS || permanent_status == CFA__MISS)
        return CFA__MISS;
    if (found == NULL)
        return CFA_OK; /* another command of this batch moved it */
    if (permanent == NULL) {
        status = cfa__insert(set, &cfa__key_kind, &key, NULL);
        if (status != CFA_OK)
            return status;
    }
    (*moved)++;
    return cfa__remove(set, &cfa__key_recent_kind, recent);
}

static cfa_status move_keys(cfa__working_set *set, const cfa__upkeep_input *input,
                            cfa__upkeep_answer *answer) {
    const cfa__book *book;
    cfa_status status = cfa__book_find(set, &book);
    if (status != CFA_OK)
        return status;
    assert(book != NULL);
    answer->generation = book->key_generation;
    cfa__key_recent key;
    memset(&key, 0, sizeof key);
    key.generation = book->key_generation - 1;
    cfa_query query = {
        .kind = &cfa__key_recent_kind, .match_count = 1, .limit = CFA__UPKEEP_ROWS_MAX, .key = &key
    };
    status = cfa__list(set, &query);
    bool missed = false;
    for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
        status = move_key(set, query.records[i], &answer->keys_moved);
        if (status == CFA__MISS) {
            missed = true;
            status = CFA_OK;
        }
    }
    if (status != CFA_OK || missed)
        return status != CFA_OK ? status : CFA__MISS;
    bool rotate = input->rotate_keys && query.count == 0; /* the older generation is empty */
    if (answer->keys_moved == 0 && !rotate)
        return CFA_OK;
    void *draft;
    status = cfa__edit(set, &cfa__book_kind, book, &draft);
    if (status != CFA_OK)
        return status;
    cfa__book *changed = draft;
    changed->keys_moved += answer->keys_moved;
    if (rotate)
        answer->generation = ++changed->key_generation;
    return CFA_OK;
}

/* ---- answers --------------------------------------------------------------------------------- */

static cfa_status drop_answers(cfa__working_set *set, const cfa__upkeep_input *input,
                               cfa__upkeep_answer *answer) {
    int64_t before_us = cfa__now_us(set) - input->answer_kept_ms * 1000;
    cfa__answer key;
    memset(&key, 0, sizeof key);
    cfa_query query = { .kind = &cfa__answer_kind, .limit = CFA__UPKEEP_ROWS_MAX, .key = &key };
    cfa_status status = cfa__list(set, &query);
    bool missed = false;
    for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
        const cfa__answer *row = query.records[i];
        if (row->created_us >= before_us)
            break; /* pledge ids are ordered by time, so are their answers, nearly */
        const void *found;
        status = cfa__find(set, &cfa__answer_kind, row, &found);
        if (status == CFA__MISS) {
            missed = true;
            status = CFA_OK;
        } else if (status == CFA_OK && found != NULL) {
            status = cfa__remove(set, &cfa__answer_kind, row);
            answer->answers_dropped++;
        }
    }
    return status == CFA_OK && missed ? CFA__MISS : status;
}

cfa_status cfa__upkeep(cfa__working_set *set, cfa__command *command) {
    const cfa__upkeep_input *input = command->input;
    cfa_status status = move_keys(set, input, command->output);
    if (status < 0)
        return status;
    cfa_status dropped = drop_answers(set, input, command->output);
    if (dropped < 0)
        return dropped;
    return status == CFA__MISS || dropped == CFA__MISS ? CFA__MISS : CFA_OK;
}

/* ---- opening a book -------------------------------------------------------------------------- */

static cfa_status check_pins(const cfa__book *book, const cfa__book_input *input) {
    if (!input->has_provider || book->provider.data == NULL)
        return CFA_OK;
    if (!cfa__slices_equal(book->provider, input->provider)) {
        return cfa_error_format(
            CFA_EMODE, ORIGIN, "provider", 0,
            "this book is pinned to the provider \"%.*s\"; open it with that one or use "
            "another database",
            (int)book->provider.size, (const char *)book->provider.data);
    }
    if (!cfa__slices_equal(book->account, input->account)) {
        return cfa_error_set(
            CFA_EMODE, ORIGIN, "account", 0,
            "this book is pinned to another provider account; use another database");
    }
    if (book->livemode != input->livemode) {
        return cfa_error_format(CFA_EMODE, ORIGIN, "livemode", 0,
                                "this book holds %s; use another database for the other mode",
                                book->livemode ? "live payments" : "test payments");
    }
    return CFA_OK;
}

static cfa_status pin(cfa__working_set *set, const cfa__book_input *input, cfa__book *book) {
    book->provider = input->provider;
    book->account = input->account;
    book->livemode = input->livemode;
    cfa_status status = cfa__keep(set, &book->provider);
    return status == CFA_OK ? cfa__keep(set, &book->account) : status;
}

cfa_status cfa__book_open(cfa__working_set *set, cfa__command *command) {
    const cfa__book_input *input = command->input;
    cfa__book_answer *answer = command->output;
    cfa__event key;
    memset(&key, 0, sizeof key);
    cfa_query newest = {
        .kind = &cfa__event_kind, .flags = CFA_QUERY_DESCENDING, .limit = 1, .key = &key
    };
    const cfa__book *book;
    cfa_status status = cfa__book_find(set, &book);
    cfa_status listed = cfa__list(set, &newest);
    if (status < 0 || listed < 0)
        return status < 0 ? status : listed;
    if (status == CFA__MISS || listed == CFA__MISS)
        return CFA__MISS;
    if (newest.count == 1) {
        const cfa__event *event = newest.records[0];
        answer->head = event->position;
        answer->newest_us = event->created_us;
    }
    void *draft = NULL;
    if (book == NULL) {
        cfa__book fresh = {
            .id = 1,
            .book_id = input->book_id,
            .incarnation = 1,
            .secret = { input->secret, sizeof input->secret },
            .account = { "", 0 },
            .key_generation = 1,
            .created_us = cfa__now_us(set),
        };
        status = cfa__insert(set, &cfa__book_kind, &fresh, &draft);
        if (status == CFA_OK && input->has_provider)
            status = pin(set, input, draft);
        answer->book = draft;
        return status;
    }
    status = check_pins(book, input);
    if (status == CFA_OK && input->has_provider && book->provider.data == NULL) {
        status = cfa__edit(set, &cfa__book_kind, book, &draft);
        if (status == CFA_OK)
            status = pin(set, input, draft);
        book = draft;
    }
    answer->book = book;
    return status;
}
