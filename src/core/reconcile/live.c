/*
 * live.c - the provider's own lists as a record: kind after kind, page after page, each page tried
 * again while it fails; and the run that compares, repairs and compares. A failed page is an error
 * here, never an end, and no transaction is open while one is waited for.
 */
#include <assert.h>
#include <string.h>

#include "core/api/api.h"
#include "core/reconcile/reconcile.h"

#define HOUR_US INT64_C(3600000000)
#define DAY_US (24 * HOUR_US)
/* Younger objects are left to their webhooks. */
#define SETTLE_US (HOUR_US / 6)
/* Between a pledge here and its object there: a hosted page lives a day, a call that is in doubt is
 * repeated for half of one. And between the two clocks. */
#define LATE_US (25 * HOUR_US)
#define EARLY_US HOUR_US
#define UNTIL_US_MAX INT64_C(253402300799999999) /* the last that RFC 3339 can name */
#define TIMEOUT_MS 3600000
#define PAGE_TIMEOUT_MS 30000
#define PAGE_TRIES_MAX 8
#define RETRY_MS 250 /* then twice as long each time */
#define RETRY_MS_MAX 8000
#define STEP_MS 100 /* of a wait: how soon `stop` is heard */
#define EMPTY_PAGES_MAX 10000
#define REPAIR_TIMEOUT_MS 30000 /* of each object that is told, and of the record of it all */

/* Objects change long after they were made, so lists begin earlier than what is asked for: a refund
 * fails within a month, a dispute is decided within four, a payout arrives within two weeks. */
static const struct {
    const char *name;
    int32_t kind;
    int64_t before_us;
} lists[CFA_LIST_KINDS] = {
    [CFA_LIST_PAYMENTS] = { "payments", CFA_RECONCILE_PAYMENT, 0 },
    [CFA_LIST_REFUNDS] = { "refunds", CFA_RECONCILE_REFUND, 30 * DAY_US },
    [CFA_LIST_DISPUTES] = { "disputes", CFA_RECONCILE_DISPUTE, 120 * DAY_US },
    [CFA_LIST_SETTLEMENTS] = { "settlements", CFA_RECONCILE_PAYMENT, 14 * DAY_US },
};

struct cfa_reconcile_listing {
    cfa_engine *engine;
    cfa_reconcile_live_spec spec; /* its times as they are meant */
    int64_t deadline_us;
    cfa_arena *arena; /* of the page at hand */
    cfa_list_page page;
    int32_t list, at;
    int32_t empty_pages; /* one after the other */
    bool asked;          /* of this list: `page` is its newest */
    int64_t as_of_us;
    char cursor[CFA_LIST_CURSOR_MAX + 1];
};

/* ---- opening --------------------------------------------------------------------------------- */

static cfa_status refuse(cfa_status status, const char *field, const char *why) {
    return cfa_error_set(status, CFA__RECONCILE_ORIGIN, field, 0, why);
}

static cfa_status check_provider(const cfa_engine *engine) {
    const cfa_provider_ops *ops = engine->provider.ops;
    if (ops == NULL)
        return refuse(CFA_ENOTSUP, "provider", "the engine has no payment provider");
    return ops->struct_size >= CFA__SIZE_THROUGH(cfa_provider_ops, list) && ops->list != NULL
               ? CFA_OK
               : cfa_error_format(CFA_ENOTSUP, CFA__RECONCILE_ORIGIN, "provider", 0,
                                  "the provider %s cannot list what it has: reconcile from a file",
                                  engine->provider_name);
}

static cfa_status take_spec(cfa_reconcile_live_spec *out, cfa_engine *engine,
                            const cfa_reconcile_live_spec *given) {
    cfa_status status = cfa__spec_take(out, sizeof *out, given,
                                       CFA__SIZE_THROUGH(cfa_reconcile_live_spec, stop_self),
                                       CFA__RECONCILE_ORIGIN);
    if (status != CFA_OK)
        return status;
    if (out->until_us == 0)
        out->until_us = cfa__book_now_us(engine) - SETTLE_US;
    if (out->timeout_ms == 0)
        out->timeout_ms = TIMEOUT_MS;
    if (out->from_us <= 0)
        return refuse(CFA_EINVAL, "from_us", "say since when the provider's objects are compared");
    if (out->until_us > UNTIL_US_MAX)
        return refuse(CFA_ERANGE, "until_us", "the time ends after the year 9999");
    if (out->until_us <= out->from_us)
        return refuse(CFA_EINVAL, "until_us", "the time ends before it begins");
    return out->timeout_ms > 0 ? CFA_OK
                               : refuse(CFA_ERANGE, "timeout_ms", "a time-out is not negative");
}

cfa_status cfa_reconcile_listing_open(cfa_reconcile_listing **out, cfa_engine *engine,
                                      const cfa_reconcile_live_spec *given) {
    cfa_reconcile_live_spec spec;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = check_provider(engine);
    if (status == CFA_OK)
        status = take_spec(&spec, engine, given);
    if (status != CFA_OK)
        return status;
    cfa_reconcile_listing *listing = cfa_alloc(sizeof *listing);
    if (listing == NULL)
        return refuse(CFA_ENOMEM, NULL, "out of memory");
    memset(listing, 0, sizeof *listing);
    listing->engine = engine;
    listing->spec = spec;
    listing->deadline_us = cfa__real_us() + (int64_t)spec.timeout_ms * 1000;
    status = cfa_arena_new(&listing->arena);
    if (status == CFA_OK)
        *out = listing;
    else
        cfa_free(listing);
    return status;
}

void cfa_reconcile_listing_free(cfa_reconcile_listing *listing) {
    if (listing == NULL)
        return;
    cfa_arena_free(listing->arena);
    cfa_free(listing);
}

void cfa_reconcile_listing_window(const cfa_reconcile_listing *listing, int64_t *out_from_us,
                                  int64_t *out_until_us) {
    int64_t from_us = listing->spec.from_us + EARLY_US;
    int64_t until_us = listing->spec.until_us - LATE_US;
    bool any = until_us > from_us;
    *out_from_us = any ? from_us : 0;
    *out_until_us = any ? until_us : 0;
}

/* ---- one page -------------------------------------------------------------------------------- */

static int64_t left_ms(const cfa_reconcile_listing *listing) {
    return (listing->deadline_us - cfa__real_us()) / 1000;
}

static cfa_status may_go_on(const cfa_reconcile_listing *listing) {
    const cfa_reconcile_live_spec *spec = &listing->spec;
    if (spec->stop != NULL && spec->stop(spec->stop_self) != 0)
        return refuse(CFA_ECLOSING, NULL, "the reconciliation was called off");
    return left_ms(listing) > 0
               ? CFA_OK
               : cfa_error_format(CFA_ETIMEOUT, CFA__RECONCILE_ORIGIN, "timeout_ms", 0,
                                  "the provider's %s were not all listed in time",
                                  lists[listing->list].name);
}

static cfa_status wait_ms(const cfa_reconcile_listing *listing, int64_t duration_ms) {
    cfa_status status = may_go_on(listing);
    for (int64_t rest_ms = duration_ms; status == CFA_OK && rest_ms > 0; rest_ms -= STEP_MS) {
        cfa__pause(listing->engine, (rest_ms < STEP_MS ? rest_ms : STEP_MS) * 1000);
        status = may_go_on(listing);
    }
    return status;
}

static void ask_once(cfa_reconcile_listing *listing) {
    const cfa_provider *provider = &listing->engine->provider;
    const cfa_reconcile_live_spec *spec = &listing->spec;
    int64_t before_us = lists[listing->list].before_us;
    int64_t rest_ms = left_ms(listing);
    const cfa_list_request request = {
        .struct_size = sizeof request,
        .kind = listing->list,
        .account = listing->engine->account,
        .created_from_us = spec->from_us > before_us ? spec->from_us - before_us : 0,
        .created_until_us = spec->until_us,
        .cursor = listing->cursor[0] != '\0' ? listing->cursor : NULL,
        .now_us = cfa__wall_us(listing->engine),
        .timeout_ms = (int32_t)(rest_ms < 1                 ? 1
                                : rest_ms < PAGE_TIMEOUT_MS ? rest_ms
                                                            : PAGE_TIMEOUT_MS),
    };
    cfa_arena_reset(listing->arena);
    listing->page = (cfa_list_page){ .struct_size = sizeof listing->page };
    listing->as_of_us = cfa__book_now_us(listing->engine);
    provider->ops->list(provider->self, &request, listing->arena, &listing->page);
}

/* What an adapter may not answer: it would be read for ever, or beyond its end. */
static cfa_status check_page(cfa_reconcile_listing *listing) {
    const cfa_list_page *page = &listing->page;
    size_t size = page->next != NULL ? strnlen(page->next, CFA_LIST_CURSOR_MAX + 1) : 0;
    bool good = page->count >= 0 && page->count <= CFA_LIST_OBJECTS_MAX &&
                (page->count == 0 || page->objects != NULL) && size <= CFA_LIST_CURSOR_MAX &&
                (page->next == NULL || (size > 0 && strcmp(page->next, listing->cursor) != 0));
    listing->empty_pages = page->count == 0 ? listing->empty_pages + 1 : 0;
    if (!good || listing->empty_pages > EMPTY_PAGES_MAX)
        return cfa_error_format(CFA_EBUG, CFA__RECONCILE_ORIGIN, "next", 0,
                                "the provider's list of %s does not go on as it should",
                                lists[listing->list].name);
    return CFA_OK;
}

static cfa_status failed(const cfa_reconcile_listing *listing, cfa_status status) {
    const char *code = listing->page.code != NULL ? listing->page.code : "no reason";
    return cfa_error_format(status, CFA__RECONCILE_ORIGIN, "provider", 0,
                            status == CFA_ENOTSUP ? "the provider refuses to list its %s: %s"
                                                  : "the provider's %s could not be listed: %s",
                            lists[listing->list].name, code);
}

static cfa_status ask(cfa_reconcile_listing *listing) {
    cfa_status status = may_go_on(listing);
    for (int32_t tries = 1; status == CFA_OK; tries++) {
        ask_once(listing);
        if (listing->page.outcome == CFA_OUTCOME_DONE)
            return check_page(listing);
        if (listing->page.outcome == CFA_OUTCOME_REFUSED)
            return failed(listing, CFA_ENOTSUP);
        if (tries == PAGE_TRIES_MAX)
            return failed(listing, CFA_EUNAVAILABLE);
        int64_t delay_ms = (int64_t)RETRY_MS << (tries - 1);
        delay_ms = delay_ms < RETRY_MS_MAX ? delay_ms : RETRY_MS_MAX;
        if (delay_ms < listing->page.retry_after_ms)
            delay_ms = listing->page.retry_after_ms;
        status = wait_ms(listing, delay_ms);
    }
    return status;
}

/* ---- the record ------------------------------------------------------------------------------ */

/* Before the first page of a list; of the first one: before everything. */
static void begin_list(cfa_reconcile_listing *listing, int32_t list) {
    listing->list = list;
    listing->at = listing->empty_pages = 0;
    listing->asked = false;
    listing->cursor[0] = '\0';
    listing->page = (cfa_list_page){ .struct_size = sizeof listing->page };
}

/* Have a page with an object that is not given yet; CFA_ENOTFOUND when all lists have ended. */
static cfa_status turn(cfa_reconcile_listing *listing) {
    cfa_status status = CFA_OK;
    while (status == CFA_OK && listing->at == listing->page.count) {
        if (listing->asked && listing->page.next == NULL) {
            if (listing->list + 1 == CFA_LIST_KINDS)
                return CFA_ENOTFOUND;
            begin_list(listing, listing->list + 1);
        } else if (listing->asked) {
            memcpy(listing->cursor, listing->page.next, strlen(listing->page.next) + 1);
        }
        listing->at = 0;
        status = ask(listing);
        listing->asked = true;
    }
    return status;
}

cfa_status cfa_reconcile_listing_next(void *self, cfa_reconcile_object *out) {
    cfa_reconcile_listing *listing = self;
    cfa_status status = turn(listing);
    if (status != CFA_OK) {
        begin_list(listing, 0);
        return status;
    }
    const cfa_listed *listed = listing->page.objects[listing->at++];
    assert(listed != NULL);
    *out = (cfa_reconcile_object){
        .struct_size = sizeof *out,
        .kind = lists[listing->list].kind,
        .livemode = listed->livemode,
        .whole = listed->whole,
        .refunded_minor = listed->refunded_minor,
        .as_of_us = listing->as_of_us,
        .facts = listed->facts,
    };
    return CFA_OK;
}

/* ---- compare, repair, compare ---------------------------------------------------------------- */

cfa_status cfa_reconcile_live(cfa_reconciliation **out, int64_t *out_repaired, cfa_engine *engine,
                              const cfa_reconcile_live_spec *given) {
    cfa_reconcile_listing *listing = NULL;
    cfa_reconciliation *report = NULL;
    cfa_reconcile_spec spec = CFA_RECONCILE_SPEC_INIT;
    int64_t repaired = 0;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = cfa_reconcile_listing_open(&listing, engine, given);
    if (status != CFA_OK)
        return status;
    spec.next = cfa_reconcile_listing_next;
    spec.next_self = listing;
    spec.all_ours = listing->spec.all_ours;
    spec.moving = 1;
    spec.all_kinds = 1; /* a list that is empty says so */
    cfa_reconcile_listing_window(listing, &spec.from_us, &spec.until_us);
    status = cfa_reconcile_engine(&report, engine, &spec);
    if (status == CFA_OK && listing->spec.repair != 0 &&
        cfa_reconciliation_repairable(report) > 0) {
        cfa_reconciliation_free(report);
        report = NULL;
        status = cfa_reconcile_repair(&repaired, engine, &spec, REPAIR_TIMEOUT_MS);
        if (status == CFA_OK)
            status = cfa_reconcile_engine(&report, engine, &spec);
    }
    if (status == CFA_OK && cfa_reconciliation_differences(report) == 0)
        status = cfa_reconcile_record(engine, report, listing->spec.by, REPAIR_TIMEOUT_MS);
    cfa_reconcile_listing_free(listing);
    if (status != CFA_OK) {
        cfa_reconciliation_free(report);
        return status;
    }
    *out = report;
    if (out_repaired != NULL)
        *out_repaired = repaired;
    return CFA_OK;
}
