/*
 * api/pledge_snapshot.c - a pledge as an immutable snapshot, its fields, and pages of them.
 */
#include "core/api/pledge.h"
#include "core/decide/payment_machine.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.pledge"

struct cfa_pledge {
    cfa_arena *arena; /* of an answer that was built for it; or NULL */
    char id[CFA_ID_TEXT_SIZE], campaign_id[CFA_ID_TEXT_SIZE], payment_id[CFA_ID_TEXT_SIZE],
        donor_id[CFA_ID_TEXT_SIZE];
    cfa_money amount;
    cfa_payment_state state;
    int64_t created_us, position;
    const char *name, *email, *message, *client_secret, *redirect_url;
    cfa_slice answer;
    cfa_visibility visibility;
    bool replayed, pending;
};

struct cfa_pledge_list {
    size_t size;
    char next[CFA_ID_TEXT_SIZE];
    cfa_pledge *items[];
};

/* The texts of a snapshot, in the order in which they lie behind it. */
enum { NAME, EMAIL, MESSAGE, CLIENT_SECRET, REDIRECT_URL, ANSWER, TEXTS };

static void texts_of(cfa_slice out[TEXTS], const cfa__pledge_parts *parts) {
    memset(out, 0, TEXTS * sizeof *out);
    if (parts->donor != NULL) {
        out[NAME] = parts->donor->name;
        out[EMAIL] = parts->donor->email;
        out[MESSAGE] = parts->donor->message;
    }
    if (parts->answer != NULL) {
        out[CLIENT_SECRET] = parts->answer->client_secret;
        out[REDIRECT_URL] = parts->answer->redirect_url;
        out[ANSWER] = parts->answer->body;
    }
}

/* Copy a text to `*at`, NUL-terminated, and move on; NULL for null. */
static const char *put_text(char **at, cfa_slice text) {
    if (text.data == NULL)
        return NULL;
    char *copy = *at;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    *at += text.size + 1;
    return copy;
}

/* The stored answer's time is over: the key still leads to the pledge as it stands. */
static cfa_status build_answer(cfa_pledge *pledge, const cfa__pledge_parts *parts) {
    cfa_status status = cfa_arena_new(&pledge->arena);
    return status != CFA_OK ? status
                            : cfa__answer_build(&pledge->answer, pledge->arena, parts->pledge,
                                                parts->payment, NULL, NULL);
}

cfa_status cfa__pledge_snapshot(cfa_pledge **out, const cfa__pledge_parts *parts) {
    cfa_slice texts[TEXTS];
    texts_of(texts, parts);
    size_t size = sizeof(cfa_pledge);
    for (int i = 0; i < TEXTS; i++)
        size += texts[i].data != NULL ? texts[i].size + 1 : 0;
    cfa_pledge *pledge = cfa_alloc(size);
    if (pledge == NULL)
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for a pledge");
    memset(pledge, 0, sizeof *pledge);
    const cfa__payment *payment = parts->payment;
    cfa__id_format(pledge->id, "plg", parts->pledge->id);
    cfa__id_format(pledge->campaign_id, "cmp", parts->pledge->campaign_id);
    cfa__id_format(pledge->payment_id, "pay", parts->pledge->payment_id);
    cfa__id_format(pledge->donor_id, "dnr", payment->person_id);
    pledge->amount.minor = parts->pledge->amount_minor;
    memcpy(pledge->amount.currency, parts->pledge->currency, sizeof pledge->amount.currency);
    pledge->state = (cfa_payment_state)payment->state;
    pledge->created_us = parts->pledge->created_us;
    pledge->position = parts->position;
    pledge->replayed = parts->replayed;
    pledge->pending = parts->answer == NULL && payment->ref.data == NULL &&
                      !cfa__payment_is_settled(pledge->state);
    if (parts->donor != NULL)
        pledge->visibility = (cfa_visibility)parts->donor->visibility;
    char *at = (char *)(pledge + 1);
    pledge->name = put_text(&at, texts[NAME]);
    pledge->email = put_text(&at, texts[EMAIL]);
    pledge->message = put_text(&at, texts[MESSAGE]);
    pledge->client_secret = put_text(&at, texts[CLIENT_SECRET]);
    pledge->redirect_url = put_text(&at, texts[REDIRECT_URL]);
    pledge->answer = (cfa_slice){ put_text(&at, texts[ANSWER]), texts[ANSWER].size };
    assert(at == (char *)pledge + size);
    if (parts->answer == NULL && parts->replayed && !pledge->pending) {
        cfa_status status = build_answer(pledge, parts);
        if (status != CFA_OK) {
            cfa_pledge_free(pledge);
            return status;
        }
    }
    *out = pledge;
    return CFA_OK;
}

void cfa_pledge_free(cfa_pledge *pledge) {
    if (pledge == NULL)
        return;
    cfa_arena_free(pledge->arena);
    cfa_free(pledge);
}

const char *cfa_pledge_id(const cfa_pledge *pledge) { return pledge->id; }
const char *cfa_pledge_campaign_id(const cfa_pledge *pledge) { return pledge->campaign_id; }
const char *cfa_pledge_payment_id(const cfa_pledge *pledge) { return pledge->payment_id; }
cfa_money cfa_pledge_amount(const cfa_pledge *pledge) { return pledge->amount; }
cfa_payment_state cfa_pledge_state(const cfa_pledge *pledge) { return pledge->state; }
int64_t cfa_pledge_created_us(const cfa_pledge *pledge) { return pledge->created_us; }
const char *cfa_pledge_donor_id(const cfa_pledge *pledge) { return pledge->donor_id; }
const char *cfa_pledge_donor_name(const cfa_pledge *pledge) { return pledge->name; }
const char *cfa_pledge_donor_email(const cfa_pledge *pledge) { return pledge->email; }
const char *cfa_pledge_donor_message(const cfa_pledge *pledge) { return pledge->message; }
cfa_visibility cfa_pledge_visibility(const cfa_pledge *pledge) { return pledge->visibility; }
int32_t cfa_pledge_replayed(const cfa_pledge *pledge) { return pledge->replayed; }
int32_t cfa_pledge_pending(const cfa_pledge *pledge) { return pledge->pending; }
cfa_slice cfa_pledge_answer(const cfa_pledge *pledge) { return pledge->answer; }
const char *cfa_pledge_client_secret(const cfa_pledge *pledge) { return pledge->client_secret; }
const char *cfa_pledge_redirect_url(const cfa_pledge *pledge) { return pledge->redirect_url; }
int64_t cfa_pledge_position(const cfa_pledge *pledge) { return pledge->position; }

/* ---- pages ----------------------------------------------------------------------------------- */

cfa_status cfa_pledge_page(cfa_pledge_list **out, cfa_engine *engine, const char *campaign_id,
                           const cfa_page *given) {
    cfa_page page;
    cfa__id campaign, after;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = cfa__id_parse(&campaign, "cmp", campaign_id, "campaign_id");
    if (status == CFA_OK)
        status = cfa__page_take(&page, given, "plg", &after);
    if (status != CFA_OK)
        return status;
    cfa_pledge_list *list = cfa_alloc(sizeof *list + (size_t)page.limit * sizeof list->items[0]);
    if (list == NULL)
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for a list");
    bool more = false;
    list->size = 0;
    list->next[0] = '\0';
    status =
        cfa__pledge_page_read(list->items, &list->size, &more, engine, campaign, after, page.limit);
    if (status != CFA_OK) {
        cfa_pledge_list_free(list);
        return status;
    }
    if (more)
        memcpy(list->next, list->items[list->size - 1]->id, sizeof list->next);
    *out = list;
    return CFA_OK;
}

size_t cfa_pledge_list_size(const cfa_pledge_list *list) { return list->size; }

const cfa_pledge *cfa_pledge_list_at(const cfa_pledge_list *list, size_t index) {
    return index < list->size ? list->items[index] : NULL;
}

const char *cfa_pledge_list_next(const cfa_pledge_list *list) {
    return list->next[0] != '\0' ? list->next : NULL;
}

void cfa_pledge_list_free(cfa_pledge_list *list) {
    if (list == NULL)
        return;
    for (size_t i = 0; i < list->size; i++)
        cfa_pledge_free(list->items[i]);
    cfa_free(list);
}
