/*
 * list.c - what Stripe has of a window, one page at a time. Objects become facts as everywhere else;
 * an answer that cannot be read whole is no page, and nothing that failed looks like an end.
 *
 * Payments are two lists of Stripe's: hosted pages, which name the intents that grew out of them,
 * then intents. Settlements are the balance transactions of payouts that are paid and reconciled:
 * only of automatic ones Stripe knows what is in them. A cursor says where in all that a page begins.
 */
#include "adapters/stripe/reversal.h"
#include "util/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_OBJECTS CFA__STRIPE_PAGE_OBJECTS_MAX
#define PAGE_PAYOUTS 10
#define ID_SIZE 256

typedef enum stage { PAGES, INTENTS, REFUNDS, DISPUTES, PAYOUTS, ROWS, STAGES } stage;

static const struct {
    char letter; /* in cursors */
    const char *path, *rest;
    int32_t limit;
} stages[STAGES] = {
    [PAGES] = { 's', "/v1/checkout/sessions",
                "&expand[]=data.payment_intent.latest_charge.refunds"
                "&expand[]=data.payment_intent.latest_charge.balance_transaction",
                PAGE_OBJECTS },
    [INTENTS] = { 'i', "/v1/payment_intents",
                  "&expand[]=data.latest_charge.refunds"
                  "&expand[]=data.latest_charge.balance_transaction",
                  PAGE_OBJECTS },
    [REFUNDS] = { 'r', "/v1/refunds", "", PAGE_OBJECTS },
    [DISPUTES] = { 'd', "/v1/disputes", "", PAGE_OBJECTS },
    [PAYOUTS] = { 'p', "/v1/payouts", "", PAGE_PAYOUTS },
    [ROWS] = { 'b', "/v1/balance_transactions", "&expand[]=data.source", PAGE_OBJECTS },
};

/* Where a page begins: "letter:limit:payout:after". */
typedef struct place {
    stage at;
    int32_t limit;        /* smaller where answers were too large */
    char payout[ID_SIZE]; /* ROWS: of this one */
    char after[ID_SIZE];  /* behind this object; "": from the first */
} place;

typedef struct listing {
    cfa_stripe *stripe;
    const cfa_list_request *request;
    cfa_arena *arena;
    cfa_list_page *out;
    place here;
    int64_t deadline_us;
} listing;

/* ---- cursors --------------------------------------------------------------------------------- */

static place begin_of(stage at, const char *payout) {
    place begin = { .at = at, .limit = stages[at].limit };
    if (payout != NULL) {
        snprintf(begin.payout, sizeof begin.payout, "%s", payout);
    }
    return begin;
}

static bool read_place(place *out, const char *cursor) {
    stage at = PAGES;
    while (at < STAGES && stages[at].letter != cursor[0]) {
        at++;
    }
    if (at == STAGES || cursor[1] != ':') {
        return false;
    }
    char *end;
    long limit = strtol(cursor + 2, &end, 10);
    const char *payout = end + 1, *after = *end == ':' ? strchr(payout, ':') : NULL;
    if (limit < 1 || limit > PAGE_OBJECTS || after == NULL || after - payout >= ID_SIZE ||
        strlen(after + 1) >= ID_SIZE) {
        return false;
    }
    *out = (place){ .at = at, .limit = (int32_t)limit };
    memcpy(out->payout, payout, (size_t)(after - payout));
    memcpy(out->after, after + 1, strlen(after + 1));
    return true;
}

/* False without memory. */
static bool go_on_at(listing *list, const place *next) {
    cfa__buffer text;
    cfa_slice slice;
    cfa__buffer_init(&text, list->arena, 64);
    cfa__buffer_append(&text, &stages[next->at].letter, 1);
    cfa__buffer_text(&text, ":");
    cfa__buffer_int(&text, next->limit);
    cfa__buffer_text(&text, ":");
    cfa__buffer_text(&text, next->payout);
    cfa__buffer_text(&text, ":");
    cfa__buffer_text(&text, next->after);
    if (cfa__buffer_finish(&text, &slice) != CFA_OK || slice.size > CFA_LIST_CURSOR_MAX) {
        return false;
    }
    list->out->next = slice.data;
    return true;
}

/* ---- pages that are none --------------------------------------------------------------------- */

static void fail(listing *list, int32_t outcome, const char *code) {
    *list->out =
        (cfa_list_page){ .struct_size = sizeof *list->out, .outcome = outcome, .code = code };
}

static void fail_answered(listing *list, const cfa__stripe_response *response,
                          const cfa__json *root) {
    const cfa__json *error = cfa__json_get(root, "error");
    const char *code = cfa__stripe_text(error, "code");
    code = code != NULL ? code : cfa__stripe_text(error, "type");
    bool refused = response->status >= 400 && response->status < 500 && error != NULL &&
                   response->status != 408 && response->status != 409 && response->status != 424 &&
                   response->status != 429 && response->retry_wish <= 0;
    const char *kept = code != NULL ? cfa_arena_copy(list->arena, code, strlen(code)) : NULL;
    fail(list,
         refused                   ? CFA_OUTCOME_REFUSED
         : response->status == 429 ? CFA_OUTCOME_NOT_SENT
                                   : CFA_OUTCOME_UNKNOWN,
         kept != NULL              ? kept
         : response->status >= 500 ? "server_error"
                                   : "unreadable_answer");
    list->out->unavailable = response->status >= 500 || response->status == 429;
    list->out->retry_after_ms = response->retry_after_ms;
}

static void fail_lost(listing *list, const cfa__stripe_response *response) {
    bool sent = response->fate != CFA__STRIPE_NEVER_SENT;
    fail(list, sent ? CFA_OUTCOME_UNKNOWN : CFA_OUTCOME_NOT_SENT, response->code);
    list->out->unavailable = response->unavailable;
}

/* ---- objects --------------------------------------------------------------------------------- */

static cfa_status read_payment(cfa_listed *out, const cfa__json *object, int64_t moment_us,
                               cfa_arena *arena) {
    bool tells;
    uint32_t unread;
    bool is_page = cfa__stripe_object_is(object, "checkout.session");
    out->whole = !is_page;
    cfa_status status = is_page ? cfa__stripe_session(&out->facts, &tells, object, moment_us, arena)
                                : cfa__stripe_intent(&out->facts, object, moment_us, arena);
    return status == CFA_OK
               ? cfa__stripe_object_reversals(&out->facts, &unread, object, moment_us, arena)
               : status;
}

/* A row of a payout: `*out_is` false when it is not about a payment. */
static cfa_status read_row(cfa_listed *out, bool *out_is, const cfa__json *row, int64_t moment_us,
                           cfa_arena *arena) {
    const cfa__json *charge = cfa__json_get(row, "source");
    if (!cfa__stripe_object_is(row, "balance_transaction")) {
        return cfa__stripe_malformed("balance transaction", "object");
    }
    *out_is =
        cfa__stripe_text_is(row, "type", "charge") || cfa__stripe_text_is(row, "type", "payment");
    if (!*out_is) {
        return CFA_OK;
    }
    cfa_status status = cfa__stripe_charge(&out->facts, charge, moment_us, arena);
    if (status != CFA_OK) {
        return status;
    }
    cfa__stripe_row_fee(&out->facts, row);
    if (out->facts.captured_minor > 0) {
        out->facts.flags |= CFA_FACT_SETTLED;
    }
    return CFA_OK;
}

static cfa_status read_object(cfa_listed *out, bool *out_is, stage at, const cfa__json *object,
                              int64_t moment_us, cfa_arena *arena) {
    bool live, tells;
    const cfa__json *told = at == ROWS ? cfa__json_get(object, "source") : object;
    *out = (cfa_listed){
        .struct_size = sizeof *out, .livemode = -1, .refunded_minor = -1, .facts = CFA_FACTS_INIT
    };
    if (cfa__json_read_bool(cfa__json_get(told, "livemode"), &live)) {
        out->livemode = live;
    }
    *out_is = true;
    switch (at) {
    case REFUNDS: return cfa__stripe_refund(&out->facts, &tells, object, moment_us, arena);
    case DISPUTES: return cfa__stripe_dispute(&out->facts, &tells, object, NULL, moment_us, arena);
    case ROWS: return read_row(out, out_is, object, moment_us, arena);
    default: return read_payment(out, object, moment_us, arena);
    }
}

/* False when there is no page after all. */
static bool read_objects(listing *list, const cfa__json *data, int64_t moment_us) {
    size_t size = cfa__json_size(data);
    const cfa_listed **objects = cfa_arena_alloc(list->arena, (size + 1) * sizeof *objects);
    cfa_status status = objects != NULL ? CFA_OK : CFA_ENOMEM;
    for (size_t i = 0; i < size && status == CFA_OK; i++) {
        bool is;
        cfa_listed *listed = cfa_arena_alloc(list->arena, sizeof *listed);
        status = listed == NULL ? CFA_ENOMEM
                                : read_object(listed, &is, list->here.at, cfa__json_at(data, i),
                                              moment_us, list->arena);
        if (status == CFA_OK && is) {
            objects[list->out->count++] = listed;
        }
    }
    list->out->objects = objects;
    if (status != CFA_OK) {
        fail(list, CFA_OUTCOME_UNKNOWN,
             status == CFA_ENOMEM ? "out_of_memory" : "unreadable_object");
    }
    return status == CFA_OK;
}

/* ---- turning --------------------------------------------------------------------------------- */

static bool is_settled(const cfa__json *payout) {
    bool automatic = false;
    return cfa__json_read_bool(cfa__json_get(payout, "automatic"), &automatic) && automatic &&
           cfa__stripe_text_is(payout, "status", "paid") &&
           cfa__stripe_text_is(payout, "reconciliation_status", "completed");
}

/* The first payout whose rows can be read, or NULL. */
static const cfa__json *find_payout(const cfa__json *data) {
    for (size_t i = 0; i < cfa__json_size(data); i++) {
        if (is_settled(cfa__json_at(data, i))) {
            return cfa__json_at(data, i);
        }
    }
    return NULL;
}

/* Whether a cursor can hold it. */
static bool is_place(const char *id) {
    return id != NULL && id[0] != '\0' && strlen(id) < ID_SIZE && strchr(id, ':') == NULL;
}

/* Say where the next page begins; false when that cannot be said. */
static bool turn(listing *list, const cfa__json *data, bool more) {
    size_t size = cfa__json_size(data);
    place next = list->here;
    const cfa__json *payout = next.at == PAYOUTS ? find_payout(data) : NULL;
    const char *id = cfa__stripe_text(payout, "id");
    const char *last = more && size > 0 ? cfa__stripe_text(cfa__json_at(data, size - 1), "id") : "";
    if (payout != NULL) {
        if (!is_place(id)) {
            return false;
        }
        next = begin_of(ROWS, id);
    } else if (more) {
        if (!is_place(last)) {
            return false;
        }
        memcpy(next.after, last, strlen(last) + 1);
    } else if (next.at == PAGES) {
        next = begin_of(INTENTS, NULL);
    } else if (next.at == ROWS) { /* the payouts behind this one */
        next = begin_of(PAYOUTS, NULL);
        memcpy(next.after, list->here.payout, sizeof next.after);
    } else {
        return true;
    }
    return go_on_at(list, &next);
}

static void take(listing *list, const cfa__stripe_response *response) {
    cfa__json *root = NULL;
    bool more;
    if (cfa__json_parse(&root, response->body) != CFA_OK) {
        root = NULL;
    }
    const cfa__json *data = cfa__stripe_page(root, &more);
    if (response->status != 200 || data == NULL || cfa__json_size(data) > PAGE_OBJECTS) {
        fail_answered(list, response, root);
    } else if (list->here.at == PAYOUTS || read_objects(list, data, response->date_us)) {
        list->out->outcome = CFA_OUTCOME_DONE;
        if (!turn(list, data, more)) {
            fail(list, CFA_OUTCOME_UNKNOWN, "unreadable_answer");
        }
    }
    cfa__json_free(root);
}

/* ---- the page -------------------------------------------------------------------------------- */

/* Whole seconds that hold all of the window. */
static cfa__stripe_span span_of(const cfa_list_request *request) {
    int64_t until_us = request->created_until_us > 0 ? request->created_until_us - 1 : 0;
    return (cfa__stripe_span){ request->created_from_us > 0 ? request->created_from_us / 1000000
                                                            : 0,
                               until_us / 1000000 };
}

static bool ask(listing *list, cfa__stripe_response *response) {
    const cfa__stripe_span created = span_of(list->request);
    const place *here = &list->here;
    cfa__stripe_request request;
    int64_t left_ms = (list->deadline_us - cfa__stripe_monotonic_us()) / 1000;
    if (left_ms <= 0) {
        fail(list, CFA_OUTCOME_UNKNOWN, "timeout");
        return false;
    }
    if (cfa__stripe_request_page(&request, stages[here->at].path,
                                 here->at == ROWS ? NULL : &created, here->payout, here->after,
                                 here->limit, stages[here->at].rest, list->arena) != CFA_OK) {
        fail(list, CFA_OUTCOME_NOT_SENT, "out_of_memory");
        return false;
    }
    request.timeout_ms = left_ms > INT32_MAX ? INT32_MAX : (int32_t)left_ms;
    cfa__stripe_ask(list->stripe, list->request->account, &request, list->arena, response);
    return true;
}

static bool is_too_large(const cfa__stripe_response *response) {
    return response->fate != CFA__STRIPE_ANSWERED &&
           strcmp(response->code, "response_too_large") == 0;
}

static bool find_place(listing *list) {
    static const stage first[CFA_LIST_KINDS] = { [CFA_LIST_PAYMENTS] = PAGES,
                                                 [CFA_LIST_REFUNDS] = REFUNDS,
                                                 [CFA_LIST_DISPUTES] = DISPUTES,
                                                 [CFA_LIST_SETTLEMENTS] = PAYOUTS };
    const cfa_list_request *request = list->request;
    if (request->kind < 0 || request->kind >= CFA_LIST_KINDS) {
        return false;
    }
    if (request->cursor != NULL) {
        return read_place(&list->here, request->cursor);
    }
    list->here = begin_of(first[request->kind], NULL);
    return true;
}

void cfa__stripe_list(void *self, const cfa_list_request *request, cfa_arena *arena,
                      cfa_list_page *out) {
    int32_t timeout_ms =
        request->timeout_ms > 0 ? request->timeout_ms : CFA__STRIPE_DEFAULT_TIMEOUT_MS;
    listing list = {
        .stripe = self,
        .request = request,
        .arena = arena,
        .out = out,
        .deadline_us = cfa__stripe_monotonic_us() + (int64_t)timeout_ms * 1000,
    };
    cfa__stripe_response response;
    *out = (cfa_list_page){ .struct_size = sizeof *out };
    if (!find_place(&list)) {
        fail(&list, CFA_OUTCOME_REFUSED, "parameter_invalid");
        return;
    }
    while (ask(&list, &response)) {
        if (response.fate == CFA__STRIPE_ANSWERED) {
            take(&list, &response);
            return;
        }
        if (!is_too_large(&response) || list.here.limit == 1) {
            fail_lost(&list, &response);
            return;
        }
        list.here.limit /= 2;
    }
}
