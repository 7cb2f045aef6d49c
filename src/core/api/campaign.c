/*
 * api/campaign.c - campaigns as applications see them: checked specs in, snapshots out.
 */
#include "core/api/act.h"
#include "core/api/api.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

#define ORIGIN "core.campaign"
#define CURRENCIES_MAX 16

struct cfa_campaign {
    cfa_arena *arena;
    char id[CFA_ID_TEXT_SIZE];
    const char *title, *currencies;
    cfa_money goal;
    int64_t deadline_us, version, created_us, updated_us, position;
    cfa_late_rule late_rule;
    cfa_campaign_state state;
    bool replayed;
};

struct cfa_campaign_list {
    cfa_campaign **items;
    size_t size;
    char next[CFA_ID_TEXT_SIZE];
};

/* ---- snapshots ------------------------------------------------------------------------------- */

cfa_status cfa__campaign_snapshot(cfa_campaign **out, const cfa__campaign *record, bool replayed,
                                  int64_t position) {
    cfa_arena *arena;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    bool failed = false;
    cfa_campaign *campaign = cfa_arena_alloc(arena, sizeof *campaign);
    if (campaign != NULL) {
        campaign->arena = arena;
        campaign->title = cfa__text_of(arena, record->title, &failed);
        campaign->currencies = cfa__text_of(arena, record->currencies, &failed);
    }
    if (campaign == NULL || failed) {
        cfa_arena_free(arena);
        return CFA_ENOMEM;
    }
    cfa__id_format(campaign->id, "cmp", record->id);
    campaign->goal.minor = record->goal_minor;
    memcpy(campaign->goal.currency, record->goal_currency, sizeof campaign->goal.currency);
    campaign->deadline_us = record->deadline_us;
    campaign->version = record->version;
    campaign->created_us = record->created_us;
    campaign->updated_us = record->updated_us;
    campaign->late_rule = (cfa_late_rule)record->late_rule;
    campaign->state = (cfa_campaign_state)record->state;
    campaign->replayed = replayed;
    campaign->position = position;
    *out = campaign;
    return CFA_OK;
}

void cfa_campaign_free(cfa_campaign *campaign) {
    if (campaign != NULL)
        cfa_arena_free(campaign->arena);
}

const char *cfa_campaign_id(const cfa_campaign *campaign) { return campaign->id; }
const char *cfa_campaign_title(const cfa_campaign *campaign) { return campaign->title; }
const char *cfa_campaign_currencies(const cfa_campaign *campaign) { return campaign->currencies; }
cfa_money cfa_campaign_goal(const cfa_campaign *campaign) { return campaign->goal; }
int64_t cfa_campaign_deadline_us(const cfa_campaign *campaign) { return campaign->deadline_us; }
cfa_late_rule cfa_campaign_late_rule(const cfa_campaign *campaign) { return campaign->late_rule; }
cfa_campaign_state cfa_campaign_state_of(const cfa_campaign *campaign) { return campaign->state; }
int64_t cfa_campaign_version(const cfa_campaign *campaign) { return campaign->version; }
int64_t cfa_campaign_created_us(const cfa_campaign *campaign) { return campaign->created_us; }
int64_t cfa_campaign_updated_us(const cfa_campaign *campaign) { return campaign->updated_us; }
int32_t cfa_campaign_replayed(const cfa_campaign *campaign) { return campaign->replayed; }
int64_t cfa_campaign_position(const cfa_campaign *campaign) { return campaign->position; }

const char *cfa_campaign_state_name(cfa_campaign_state state) {
    return state == CFA_CAMPAIGN_OPEN ? "OPEN" : state == CFA_CAMPAIGN_ENDED ? "ENDED" : "";
}

/* ---- specs ----------------------------------------------------------------------------------- */

static int compare_codes(const void *a, const void *b) { return memcmp(a, b, 4); }

/* Read "EUR,USD" into a sorted list without repeats, as "EUR,USD" again. */
static cfa_status take_currencies(char out[CURRENCIES_MAX * 4], const char *text) {
    char codes[CURRENCIES_MAX][4];
    size_t count = 0;
    for (const char *at = text; at != NULL && *at != '\0';) {
        size_t size = strcspn(at, ",");
        cfa_money probe;
        char code[4] = "";
        if (size == 3)
            memcpy(code, at, 3);
        if (size != 3 || cfa_money_make(&probe, 0, code) != CFA_OK) {
            return cfa_error_format(CFA_ECURRENCY, ORIGIN, "currencies", 0,
                                    "\"%.*s\" is not an ISO 4217 currency",
                                    size > 8 ? 8 : (int)size, at);
        }
        if (count == CURRENCIES_MAX) {
            return cfa_error_format(CFA_ERANGE, ORIGIN, "currencies", 0,
                                    "a campaign accepts at most %d currencies", CURRENCIES_MAX);
        }
        memcpy(codes[count++], code, 4);
        at += size;
        if (*at == ',' && *++at == '\0')
            return cfa_error_set(CFA_EINVAL, ORIGIN, "currencies", 0, "the list ends with a comma");
    }
    if (count == 0)
        return cfa_error_set(CFA_EINVAL, ORIGIN, "currencies", 0,
                             "at least one currency is required");
    qsort(codes, count, sizeof codes[0], compare_codes);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && memcmp(codes[i], codes[i - 1], 4) == 0)
            return cfa_error_format(CFA_EINVAL, ORIGIN, "currencies", 0, "%s is listed twice",
                                    codes[i]);
        if (used > 0)
            out[used++] = ',';
        memcpy(out + used, codes[i], 3);
        used += 3;
    }
    out[used] = '\0';
    return CFA_OK;
}

static cfa_status check_spec(const cfa_campaign_spec *spec, char currencies[CURRENCIES_MAX * 4]) {
    cfa_status status =
        cfa__text_check(spec->title, ORIGIN, "title", CFA_TITLE_BYTES_MAX, true, false);
    if (status == CFA_OK)
        status = take_currencies(currencies, spec->currencies);
    if (status != CFA_OK)
        return status;
    if (spec->goal.currency[0] != '\0') {
        if (spec->goal.minor <= 0 || spec->goal.minor > CFA_MONEY_MINOR_MAX)
            return cfa_error_set(CFA_ERANGE, ORIGIN, "goal.minor", 0,
                                 "a goal is positive and at most 10^15");
        if (memchr(spec->goal.currency, '\0', 4) != spec->goal.currency + 3 ||
            !cfa__currency_is_listed(cfa__slice(currencies), spec->goal.currency)) {
            return cfa_error_set(CFA_ECURRENCY, ORIGIN, "goal.currency", 0,
                                 "the goal must be in one of the campaign's currencies");
        }
    } else if (spec->goal.minor != 0) {
        return cfa_error_set(CFA_ECURRENCY, ORIGIN, "goal.currency", 0, "a goal needs a currency");
    }
    if (spec->deadline_us < 0)
        return cfa_error_set(CFA_ERANGE, ORIGIN, "deadline_us", 0, "a deadline is not negative");
    if (spec->late_rule < CFA_LATE_ACCEPT || spec->late_rule > CFA_LATE_HOLD)
        return cfa_error_set(CFA_EINVAL, ORIGIN, "late_rule", 0,
                             "late_rule must be CFA_LATE_ACCEPT, _REFUSE, _REFUND or _HOLD");
    return CFA_OK;
}

static cfa_status key_spec(cfa__keyed *out, cfa_engine *engine, const cfa_campaign_spec *spec,
                           cfa__keyed_command command, const char *campaign_id,
                           const char *currencies) {
    char goal[CFA_MONEY_TEXT_SIZE] = "";
    if (spec->goal.currency[0] != '\0') {
        cfa_status status = cfa_money_format(goal, sizeof goal, spec->goal);
        if (status != CFA_OK)
            return status;
    }
    cfa__fingerprint_field fields[] = {
        { "campaign_id", cfa__slice(campaign_id) },
        { "title", cfa__slice(spec->title) },
        { "currencies", cfa__slice(currencies) },
        { "goal", cfa__slice(goal) },
        { "deadline_us", { &spec->deadline_us, sizeof spec->deadline_us } },
        { "late_rule", { &spec->late_rule, sizeof spec->late_rule } },
    };
    return cfa__keyed_make(out, engine, spec->scope, spec->key, command, fields, 6);
}

/* ---- commands -------------------------------------------------------------------------------- */

static cfa_status finish(cfa_campaign **out, cfa_engine *engine, cfa__command *command,
                         int32_t timeout_ms) {
    cfa_status status = cfa__command_run(engine, &command, cfa__deadline_us(engine, timeout_ms));
    if (status == CFA_OK) {
        const cfa__campaign_answer *answer = command->output;
        status = cfa__campaign_snapshot(out, answer->campaign, answer->replayed, command->position);
        status = cfa__status_committed(status, ORIGIN);
        if (status == CFA_OK && command->position > 0)
            cfa__signal(engine);
    }
    cfa__command_release(engine, command);
    return status;
}

static cfa_status change(cfa_campaign **out, cfa_engine *engine, cfa__decide decide,
                         cfa__keyed_command kind, const char *campaign_id, int64_t expected_version,
                         const cfa_campaign_spec *given) {
    cfa_campaign_spec spec;
    char currencies[CURRENCIES_MAX * 4];
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = cfa__spec_take(&spec, sizeof spec, given,
                                CFA__SIZE_THROUGH(cfa_campaign_spec, timeout_ms), ORIGIN);
    if (status == CFA_OK)
        status = check_spec(&spec, currencies);
    if (status != CFA_OK)
        return status;
    cfa__command *command;
    void *memory;
    status = cfa__command_with_input(&command, &memory, engine, decide,
                                     sizeof(cfa__campaign_change), sizeof(cfa__campaign_answer));
    if (status != CFA_OK)
        return status;
    cfa__campaign_change *input = memory;
    input->expected_version = expected_version;
    input->goal = spec.goal;
    input->deadline_us = spec.deadline_us;
    input->late_rule = spec.late_rule;
    status = cfa__input_text(&input->title, command, spec.title);
    if (status == CFA_OK)
        status = cfa__input_text(&input->currencies, command, currencies);
    if (status == CFA_OK)
        status = cfa__by_make(&input->by, command, spec.actor, spec.reason);
    if (status == CFA_OK)
        status = campaign_id == NULL
                     ? cfa__draw_id(engine, &input->campaign_id)
                     : cfa__id_parse(&input->campaign_id, "cmp", campaign_id, "campaign_id");
    if (status == CFA_OK)
        status = key_spec(&input->keyed, engine, &spec, kind, campaign_id, currencies);
    if (status != CFA_OK) {
        cfa__command_release(engine, command);
        return status;
    }
    return finish(out, engine, command, spec.timeout_ms);
}

cfa_status cfa_campaign_create(cfa_campaign **out, cfa_engine *engine,
                               const cfa_campaign_spec *spec) {
    return change(out, engine, cfa__campaign_create, CFA__KEYED_CAMPAIGN_CREATE, NULL, 0, spec);
}

cfa_status cfa_campaign_update(cfa_campaign **out, cfa_engine *engine, const char *campaign_id,
                               int64_t expected_version, const cfa_campaign_spec *spec) {
    if (campaign_id == NULL)
        return cfa_error_set(CFA_EINVAL, ORIGIN, "campaign_id", 0, "campaign_id is required");
    return change(out, engine, cfa__campaign_update, CFA__KEYED_CAMPAIGN_UPDATE, campaign_id,
                  expected_version, spec);
}

cfa_status cfa_campaign_end(cfa_campaign **out, cfa_engine *engine, const char *campaign_id,
                            int64_t expected_version, const char *scope, const char *key,
                            const cfa_actor *by) {
    cfa_status status = cfa__call_check(engine, out);
    if (status != CFA_OK)
        return status;
    cfa__command *command;
    void *memory;
    status = cfa__command_with_input(&command, &memory, engine, cfa__campaign_end,
                                     sizeof(cfa__campaign_change), sizeof(cfa__campaign_answer));
    if (status != CFA_OK)
        return status;
    cfa__campaign_change *input = memory;
    input->expected_version = expected_version;
    cfa__fingerprint_field fields[] = { { "campaign_id", cfa__slice(campaign_id) } };
    status = cfa__id_parse(&input->campaign_id, "cmp", campaign_id, "campaign_id");
    if (status == CFA_OK)
        status =
            cfa__keyed_make(&input->keyed, engine, scope, key, CFA__KEYED_CAMPAIGN_END, fields, 1);
    if (status == CFA_OK)
        status = cfa__by_take(&input->by, command, by);
    if (status != CFA_OK) {
        cfa__command_release(engine, command);
        return status;
    }
    return finish(out, engine, command, 0);
}

/* ---- reads ----------------------------------------------------------------------------------- */

cfa_status cfa_campaign_get(cfa_campaign **out, cfa_engine *engine, const char *campaign_id) {
    cfa__id id;
    cfa__reader *reader;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = cfa__id_parse(&id, "cmp", campaign_id, "campaign_id");
    if (status == CFA_OK)
        status = cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status != CFA_OK)
        return status;
    const void *found = NULL;
    status = cfa__read_id(engine, reader, &cfa__campaign_kind, id, &found);
    if (status == CFA_OK && found == NULL)
        status =
            cfa_error_set(CFA_ENOTFOUND, ORIGIN, "campaign_id", 0, "there is no such campaign");
    if (status == CFA_OK)
        status = cfa__campaign_snapshot(out, found, false, 0);
    cfa__read_end(engine, reader);
    return status;
}

static cfa_status list_fill(cfa_campaign_list **out, const cfa_query *query, int32_t limit) {
    size_t count = query->count > limit ? (size_t)limit : (size_t)query->count;
    cfa_campaign_list *list = cfa_alloc(sizeof *list);
    if (list == NULL)
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for a list");
    memset(list, 0, sizeof *list);
    list->items = cfa_alloc((count + 1) * sizeof *list->items);
    cfa_status status =
        list->items == NULL ? cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory") : CFA_OK;
    for (size_t i = 0; i < count && status == CFA_OK; i++) {
        status = cfa__campaign_snapshot(&list->items[i], query->records[i], false, 0);
        if (status == CFA_OK)
            list->size++;
    }
    if (status != CFA_OK) {
        cfa_campaign_list_free(list);
        return status;
    }
    if (query->count > limit)
        memcpy(list->next, list->items[count - 1]->id, sizeof list->next);
    *out = list;
    return CFA_OK;
}

cfa_status cfa_campaign_page(cfa_campaign_list **out, cfa_engine *engine, const cfa_page *given) {
    cfa_page page;
    cfa__campaign key;
    memset(&key, 0, sizeof key);
    cfa__reader *reader;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = cfa__page_take(&page, given, "cmp", &key.id);
    if (status == CFA_OK)
        status = cfa__read_begin(&reader, engine, cfa__deadline_us(engine, 0));
    if (status != CFA_OK)
        return status;
    cfa_query query = {
        .kind = &cfa__campaign_kind, .flags = CFA_QUERY_AFTER, .limit = page.limit + 1, .key = &key
    };
    status = cfa__read_queries(engine, reader, &query, 1);
    if (status == CFA_OK)
        status = list_fill(out, &query, page.limit);
    cfa__read_end(engine, reader);
    return status;
}

size_t cfa_campaign_list_size(const cfa_campaign_list *list) { return list->size; }

const cfa_campaign *cfa_campaign_list_at(const cfa_campaign_list *list, size_t index) {
    return index < list->size ? list->items[index] : NULL;
}

const char *cfa_campaign_list_next(const cfa_campaign_list *list) {
    return list->next[0] != '\0' ? list->next : NULL;
}

void cfa_campaign_list_free(cfa_campaign_list *list) {
    if (list == NULL)
        return;
    for (size_t i = 0; i < list->size; i++)
        cfa_campaign_free(list->items[i]);
    cfa_free(list->items);
    cfa_free(list);
}
