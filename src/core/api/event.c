/*
 * api/event.c - the log as pages, and durable subscriptions that the host pulls.
 */
#include <careforall/event.h>

#include "core/api/api.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.event"
#define LIMIT_DEFAULT 100
#define SUBSCRIPTION_LEASE_MS 30000

struct cfa_event_list {
    cfa_arena *arena;
    cfa_event_view *items;
    size_t size;
};

struct cfa_subscription {
    cfa_engine *engine;
    char name[80];
    cfa__id owner;
    int64_t epoch, read, acknowledged;
};

static cfa_status read_list(cfa_event_list **out, cfa_engine *engine, int64_t after,
                            int32_t limit) {
    if (limit == 0)
        limit = LIMIT_DEFAULT;
    if (limit < 0 || limit > CFA_PAGE_LIMIT_MAX)
        return cfa_error_format(CFA_ERANGE, ORIGIN, "limit", 0, "limit must be 1 to %d",
                                CFA_PAGE_LIMIT_MAX);
    if (after < 0)
        return cfa_error_set(CFA_ERANGE, ORIGIN, "after_position", 0, "a position is not negative");
    cfa_arena *arena;
    cfa__reader *reader;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    cfa_event_list *list = cfa_arena_alloc(arena, sizeof *list);
    status =
        list == NULL ? CFA_ENOMEM : cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status == CFA_OK) {
        list->arena = arena;
        status = cfa__log_read(engine, reader, arena, after, limit, &list->items, &list->size);
        cfa__read_end(engine, reader);
    }
    if (status != CFA_OK) {
        cfa_arena_free(arena);
        return status;
    }
    *out = list;
    return CFA_OK;
}

cfa_status cfa_event_page(cfa_event_list **out, cfa_engine *engine, int64_t after_position,
                          int32_t limit) {
    cfa_status status = cfa__call_check(engine, out);
    return status == CFA_OK ? read_list(out, engine, after_position, limit) : status;
}

size_t cfa_event_list_size(const cfa_event_list *list) { return list->size; }

const cfa_event_view *cfa_event_list_at(const cfa_event_list *list, size_t index) {
    return index < list->size ? &list->items[index] : NULL;
}

void cfa_event_list_free(cfa_event_list *list) {
    if (list != NULL)
        cfa_arena_free(list->arena);
}

/* ---- subscriptions --------------------------------------------------------------------------- */

static cfa_status check_name(const char *name) {
    size_t size = name == NULL ? 0 : strlen(name);
    if (size >= 1 && size <= 60 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == size)
        return CFA_OK;
    return cfa_error_set(CFA_EINVAL, ORIGIN, "name", 0, "a name is 1 to 60 of a-z 0-9 _ -");
}

static cfa__sink_input input_of(const cfa_subscription *subscription) {
    return (cfa__sink_input){ .name = { subscription->name, strlen(subscription->name) },
                              .owner = subscription->owner,
                              .lease_ms = SUBSCRIPTION_LEASE_MS,
                              .take_over = true,
                              .epoch = subscription->epoch };
}

cfa_status cfa_subscription_open(cfa_subscription **out, cfa_engine *engine, const char *name) {
    static const char prefix[] = CFA__SUBSCRIPTION_PREFIX;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = check_name(name);
    if (status != CFA_OK)
        return status;
    cfa_subscription *subscription = cfa_alloc(sizeof *subscription);
    if (subscription == NULL)
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for a subscription");
    memset(subscription, 0, sizeof *subscription);
    subscription->engine = engine;
    memcpy(subscription->name, prefix, sizeof prefix - 1);
    memcpy(subscription->name + sizeof prefix - 1, name, strlen(name) + 1);
    status = cfa__draw_id(engine, &subscription->owner);
    cfa__sink_input input = input_of(subscription);
    cfa__sink_answer answer;
    if (status == CFA_OK)
        status =
            cfa__sink_command(engine, cfa__sink_lead, &input, cfa__deadline_us(engine, 0), &answer);
    if (status != CFA_OK) {
        cfa_free(subscription);
        return status;
    }
    assert(answer.leads);
    subscription->epoch = answer.epoch;
    subscription->read = subscription->acknowledged = answer.acknowledged;
    *out = subscription;
    return CFA_OK;
}

cfa_status cfa_subscription_next(cfa_event_list **out, cfa_subscription *subscription,
                                 int32_t limit, int32_t timeout_ms) {
    if (subscription == NULL)
        return cfa_error_set(CFA_EMISUSE, ORIGIN, "subscription", 0, "the subscription is NULL");
    cfa_engine *engine = subscription->engine;
    cfa_status status = cfa__call_check(engine, out);
    int64_t deadline_us = cfa__deadline_us(engine, timeout_ms);
    uint64_t seen = status == CFA_OK ? cfa__progress_count(engine) : 0;
    while (status == CFA_OK) {
        cfa_event_list *list = NULL;
        status = read_list(&list, engine, subscription->read, limit);
        if (status != CFA_OK)
            break;
        if (list->size > 0 || cfa__left_ms(deadline_us) == 0) {
            if (list->size > 0)
                subscription->read = list->items[list->size - 1].position;
            *out = list;
            return CFA_OK;
        }
        cfa_event_list_free(list);
        seen = cfa__wait_step(engine, seen, deadline_us);
    }
    return status;
}

cfa_status cfa_subscription_ack(cfa_subscription *subscription, int64_t position) {
    if (subscription == NULL)
        return cfa_error_set(CFA_EMISUSE, ORIGIN, "subscription", 0, "the subscription is NULL");
    if (position > subscription->read) {
        return cfa_error_format(CFA_ERANGE, ORIGIN, "position", 0,
                                "position %lld was not read yet; %lld was", (long long)position,
                                (long long)subscription->read);
    }
    cfa__sink_input input = input_of(subscription);
    input.position = position;
    cfa__sink_answer answer;
    cfa_status status = cfa__sink_command(subscription->engine, cfa__sink_settle, &input,
                                          cfa__deadline_us(subscription->engine, 0), &answer);
    if (status == CFA_OK)
        subscription->acknowledged = answer.acknowledged;
    return status;
}

void cfa_subscription_free(cfa_subscription *subscription) { cfa_free(subscription); }
