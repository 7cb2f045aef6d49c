/*
 * upkeep.c - what a book needs now and then: random keys of a past generation moved to the
 * permanent table in key order, answers dropped when their time is over, payments read that
 * webhooks name which wait, and, at open, the pins of the book.
 */
#include "core/decide/evidence.h"
#include "core/decide/facts.h"

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

/* ---- columns that a migration left empty ----------------------------------------------------- */

/* Schema 4: since when an object's webhooks wait. */
static cfa_status fill_waiting(cfa__working_set *set, const cfa__parked *parked) {
    cfa__provider_object key;
    const void *found;
    void *draft;
    memset(&key, 0, sizeof key);
    key.provider = parked->provider;
    key.account = parked->account;
    key.ref = parked->ref;
    cfa_status status = cfa__find(set, &cfa__provider_object_kind, &key, &found);
    const cfa__provider_object *object = found;
    if (status != CFA_OK || object == NULL || object->waiting_us != 0 ||
        parked->number != object->drained_count + 1)
        return status;
    const cfa__webhook webhook_key = cfa__webhook_key(parked);
    status = cfa__find(set, &cfa__webhook_kind, &webhook_key, &found);
    if (status != CFA_OK || found == NULL)
        return status;
    int64_t waiting_us = ((const cfa__webhook *)found)->received_us;
    status = cfa__edit(set, &cfa__provider_object_kind, &key, &draft);
    if (status == CFA_OK)
        ((cfa__provider_object *)draft)->waiting_us = waiting_us;
    return status;
}

/* One page; a book of which a row may still be empty says so. */
static cfa_status fill_page(cfa__working_set *set, const cfa__upkeep_input *input,
                            cfa__upkeep_answer *answer) {
    const cfa__book *book;
    cfa_status status = cfa__book_find(set, &book);
    if (status != CFA_OK || book->filled >= CFA__SCHEMA_VERSION)
        return status;
    answer->fills = true;
    cfa_query query = { .kind = &cfa__parked_kind,
                        .flags = CFA_QUERY_AFTER,
                        .limit = CFA__UPKEEP_ROWS_MAX,
                        .key = &input->fill_after };
    status = cfa__list(set, &query);
    bool missed = false;
    for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
        status = fill_waiting(set, query.records[i]);
        if (status == CFA__MISS) {
            missed = true;
            status = CFA_OK;
        }
    }
    if (status != CFA_OK || missed)
        return status != CFA_OK ? status : CFA__MISS;
    if (query.count == CFA__UPKEEP_ROWS_MAX) {
        answer->fill_last = query.records[query.count - 1];
        return CFA_OK;
    }
    void *draft;
    status = cfa__edit(set, &cfa__book_kind, book, &draft);
    if (status == CFA_OK)
        ((cfa__book *)draft)->filled = CFA__SCHEMA_VERSION;
    return status;
}

/* ---- webhooks that wait ---------------------------------------------------------------------- */

/* Null stays what it was: the webhook names no payment of ours. */
static cfa_status read_name(cfa__working_set *set, const cfa__webhook *webhook, cfa__id *out) {
    cfa_facts facts;
    if (webhook->facts.data == NULL)
        return CFA_OK;
    cfa_status status = cfa__facts_decode(&facts, cfa__batch_arena(set), webhook->facts);
    if (status == CFA_ENOMEM)
        return status;
    if (status != CFA_OK || facts.payment_id == NULL ||
        cfa__id_parse(out, "pay", facts.payment_id, "payment_id") != CFA_OK)
        *out = CFA__ID_NULL;
    return CFA_OK;
}

/* The payment that the oldest webhooks which wait for this object name; null: none of them does, or
 * nothing waits any more. An object that is bound names its own: more waited than one bind drains. */
static cfa_status find_named(cfa__working_set *set, const cfa__provider_object *listed,
                             cfa__id *out) {
    const void *found;
    *out = CFA__ID_NULL;
    cfa_status status = cfa__find(set, &cfa__provider_object_kind, listed, &found);
    const cfa__provider_object *object = found;
    if (status != CFA_OK || object == NULL || object->waiting_us == 0)
        return status;
    if (!cfa__id_is_null(object->payment_id)) {
        *out = object->payment_id;
        return CFA_OK;
    }
    cfa__parked key = cfa__parked_key(object);
    const cfa__webhook *webhooks[CFA__WAITING_NAMES_MAX];
    int32_t count = 0;
    bool missed = false;
    for (; count < CFA__WAITING_NAMES_MAX && key.number <= object->parked_count; key.number++) {
        webhooks[count] = NULL;
        status = cfa__find(set, &cfa__parked_kind, &key, &found);
        if (status == CFA_OK && found != NULL) {
            const cfa__webhook webhook = cfa__webhook_key(found);
            status = cfa__find(set, &cfa__webhook_kind, &webhook, &found);
            webhooks[count] = found;
        }
        if (status < 0)
            return status;
        missed = missed || status == CFA__MISS;
        count++;
    }
    status = missed ? CFA__MISS : CFA_OK;
    for (int32_t i = 0; i < count && status == CFA_OK && cfa__id_is_null(*out); i++)
        status = webhooks[i] != NULL ? read_name(set, webhooks[i], out) : CFA_OK;
    return status;
}

/* Bring forward what would ask the provider about a payment: the call that is to make it, or its
 * standing probe. */
static cfa_status read_payment(cfa__working_set *set, cfa__id payment_id, int32_t *count) {
    const cfa__operation *open = NULL;
    void *draft;
    cfa_status status = cfa__edit_id(set, &cfa__payment_kind, payment_id, &draft);
    if (status != CFA_OK || draft == NULL)
        return status;
    cfa__payment *payment = draft;
    if (payment->ref.data == NULL)
        status = cfa__operation_find_open(set, payment, CFA_CALL_CREATE, &open);
    else
        status = cfa__operation_expedite(set, payment);
    if (status == CFA_OK && open != NULL && cfa__operation_can_hasten(open, cfa__now_us(set))) {
        status = cfa__edit(set, &cfa__operation_kind, open, &draft);
        if (status == CFA_OK)
            ((cfa__operation *)draft)->due_us = cfa__now_us(set);
    }
    *count += status == CFA_OK && (open != NULL || payment->ref.data != NULL);
    return status;
}

static cfa_status read_named(cfa__working_set *set, const cfa__provider_object *object,
                             cfa__upkeep_answer *answer) {
    cfa__id payment_id;
    cfa_status status = find_named(set, object, &payment_id);
    if (status != CFA_OK || cfa__id_is_null(payment_id))
        return status; /* not ours: the doctor tells of it */
    return read_payment(set, payment_id, &answer->payments_read);
}

/* What waits for an hour, once: an object that turned out to be a payment's has long been bound. */
static cfa_status read_waiting(cfa__working_set *set, const cfa__upkeep_input *input,
                               cfa__upkeep_answer *answer) {
    cfa__provider_object key;
    memset(&key, 0, sizeof key);
    key.provider = key.account = key.ref = cfa__slice("");
    key.waiting_us = input->waiting_seen_us + 1;
    cfa_query query = { .kind = &cfa__provider_object_kind,
                        .index = CFA__OBJECT_BY_WAITING,
                        .flags = CFA_QUERY_AFTER | CFA_QUERY_UNTIL,
                        .limit = CFA__WAITING_ROWS_MAX,
                        .until = cfa__now_us(set) - CFA__WAITING_READ_US,
                        .key = &key };
    answer->waiting_seen_us = input->waiting_seen_us;
    /* Older ones may still turn up until the book is filled. */
    if (query.until <= input->waiting_seen_us || answer->fills)
        return CFA_OK;
    cfa_status status = cfa__list(set, &query);
    bool missed = false;
    for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
        status = read_named(set, query.records[i], answer);
        if (status == CFA__MISS) {
            missed = true;
            status = CFA_OK;
        }
    }
    if (status != CFA_OK || missed)
        return status != CFA_OK ? status : CFA__MISS;
    answer->waiting_seen_us = query.until;
    if (query.count < CFA__WAITING_ROWS_MAX)
        return CFA_OK;
    /* As many as there are of one time come in one batch, which is smaller than this page. Under a
     * clock that stands still there may be more: they are passed, not looked at for ever. */
    const cfa__provider_object *first = query.records[0], *last = query.records[query.count - 1];
    bool is_one_time = first->waiting_us == last->waiting_us;
    answer->waiting_seen_us = is_one_time ? last->waiting_us : last->waiting_us - 1;
    return CFA_OK;
}

cfa_status cfa__upkeep(cfa__working_set *set, cfa__command *command) {
    static cfa_status (*const works[])(cfa__working_set *, const cfa__upkeep_input *,
                                       cfa__upkeep_answer *) = { move_keys, drop_answers, fill_page,
                                                                 read_waiting };
    bool missed = false;
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
        cfa_status status = works[i](set, command->input, command->output);
        if (status < 0)
            return status;
        missed = missed || status == CFA__MISS;
    }
    return missed ? CFA__MISS : CFA_OK;
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
            .filled = CFA__SCHEMA_VERSION,
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
