/*
 * handlers_campaign.c - campaigns, their pledges, and health. All of it may touch the store, so all
 * of it runs on the thread pool.
 */
#include "app.h"
#include "body.h"
#include "handlers.h"
#include "header.h"
#include "problem.h"
#include "route.h"
#include "view.h"

#include <stdio.h>
#include <string.h>

enum { CURRENCIES_MAX = 16 };

typedef struct campaign_input {
    cfa_campaign_spec spec;
    char key[CFA_KEY_BYTES_MAX + 1];
    char currencies[CURRENCIES_MAX * 4 + 1];
    int64_t version, at_least, limit;
    const char *after;
    cfa_actor by;
} campaign_input;

/* ---- answers -------------------------------------------------------------------------------- */

static void set_version(http_request *request, const cfa_campaign *campaign) {
    snprintf(request->answer.entity_tag, sizeof request->answer.entity_tag, "\"%lld\"",
             (long long)cfa_campaign_version(campaign));
    if (cfa_campaign_position(campaign) > 0)
        snprintf(request->answer.position, sizeof request->answer.position, "%lld",
                 (long long)cfa_campaign_position(campaign));
}

static void answer_command(http_request *request, cfa_status status, cfa_campaign *campaign,
                           int fresh_status) {
    if (status != CFA_OK) {
        problem_last(request, status);
        return;
    }
    bool replayed = cfa_campaign_replayed(campaign) != 0;
    set_version(request, campaign);
    request->answer.replayed = replayed;
    if (fresh_status == 201)
        snprintf(request->answer.location, sizeof request->answer.location, "/api/v1/campaigns/%s",
                 cfa_campaign_id(campaign));
    http_answer_json(request, replayed ? 200 : fresh_status, view_campaign(campaign));
    cfa_campaign_free(campaign);
}

/* ---- create, update, end -------------------------------------------------------------------- */

static bool refuse_currencies(http_request *request) {
    problem_status(request, 0, CFA_ECURRENCY, "currencies",
                   "give 1 to %d ISO 4217 codes, such as [\"EUR\"]", CURRENCIES_MAX);
    return false;
}

static bool read_currencies(http_request *request, campaign_input *input, const json_t *array) {
    size_t count = json_array_size(array);
    if (count == 0 || count > CURRENCIES_MAX)
        return refuse_currencies(request);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const char *code = json_string_value(json_array_get(array, i));
        if (!code || strlen(code) != 3 || strchr(code, ','))
            return refuse_currencies(request);
        if (used > 0)
            input->currencies[used++] = ',';
        memcpy(input->currencies + used, code, 3);
        used += 3;
    }
    return true;
}

static bool read_late_rule(http_request *request, const char *text, cfa_late_rule *out) {
    static const char *const names[] = { "accept", "refuse", "refund", "hold" };
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = i;
            return true;
        }
    }
    problem_status(request, 0, CFA_EINVAL, "late_rule",
                   "use \"accept\", \"refuse\", \"refund\" or \"hold\"");
    return false;
}

static bool read_campaign(http_request *request, campaign_input *input) {
    const char *deadline = NULL, *late_rule = "accept";
    json_t *currencies = NULL, *goal = NULL;
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    const body_field fields[] = {
        { "title", BODY_TEXT, true, &spec.title },
        { "currencies", BODY_ARRAY, true, &currencies },
        { "goal", BODY_OBJECT, false, &goal },
        { "deadline", BODY_TEXT, false, &deadline },
        { "late_rule", BODY_TEXT, false, &late_rule },
    };
    if (!header_key(request, input->key) || !header_actor(request, &spec.actor, &spec.reason) ||
        !body_read(request, request->json, "", fields, sizeof fields / sizeof fields[0]) ||
        !read_currencies(request, input, currencies) ||
        !read_late_rule(request, late_rule, &spec.late_rule) ||
        (goal && !body_read_money(request, goal, "goal.", &spec.goal)))
        return false;
    if (deadline && !body_parse_time(deadline, &spec.deadline_us)) {
        problem_status(request, 0, CFA_EINVAL, "deadline",
                       "give RFC 3339, such as 2026-12-31T23:59:59Z");
        return false;
    }
    spec.key = input->key;
    spec.scope = header_scope(request);
    spec.currencies = input->currencies;
    spec.timeout_ms = HTTP_CALL_MS;
    input->spec = spec;
    return true;
}

static void run_create(http_request *request) {
    const campaign_input *input = request->input;
    cfa_campaign *campaign = NULL;
    cfa_status status = cfa_campaign_create(&campaign, request->app->engine, &input->spec);
    answer_command(request, status, campaign, 201);
}

void handle_campaign_create(http_request *request) {
    campaign_input *input = http_input(request, sizeof *input);
    if (input && read_campaign(request, input))
        http_offload(request, run_create);
}

static void run_update(http_request *request) {
    const campaign_input *input = request->input;
    cfa_campaign *campaign = NULL;
    cfa_status status = cfa_campaign_update(&campaign, request->app->engine, request->parameter,
                                            input->version, &input->spec);
    answer_command(request, status, campaign, 200);
}

void handle_campaign_update(http_request *request) {
    campaign_input *input = http_input(request, sizeof *input);
    if (input && header_version(request, &input->version) && read_campaign(request, input))
        http_offload(request, run_update);
}

static void run_end(http_request *request) {
    const campaign_input *input = request->input;
    cfa_campaign *campaign = NULL;
    cfa_status status =
        cfa_campaign_end(&campaign, request->app->engine, request->parameter, input->version,
                         header_scope(request), input->key, &input->by);
    answer_command(request, status, campaign, 200);
}

void handle_campaign_end(http_request *request) {
    campaign_input *input = http_input(request, sizeof *input);
    if (!input)
        return;
    input->by = (cfa_actor)CFA_ACTOR_INIT;
    if (header_version(request, &input->version) && header_key(request, input->key) &&
        header_actor(request, &input->by.actor, &input->by.reason))
        http_offload(request, run_end);
}

/* ---- reads ---------------------------------------------------------------------------------- */

/* Answer one page and name the next one, as a member and as a Link (RFC 8288). */
static void answer_page(http_request *request, const char *name, json_t *items, const char *next) {
    const campaign_input *input = request->input;
    http_answer *answer = &request->answer;
    if (next) {
        const char *brace = strchr(request->route->pattern, '{');
        bool nested = brace != NULL;
        snprintf(answer->link, sizeof answer->link, "<%.*s%s%s?limit=%d&after=%s>; rel=\"next\"",
                 nested ? (int)(brace - request->route->pattern) : 64, request->route->pattern,
                 nested ? request->parameter : "", nested ? brace + strlen("{id}") : "",
                 (int)input->limit, next);
    }
    http_answer_json(request, 200,
                     items ? json_pack("{s:o, s:s?}", name, items, "next", next) : NULL);
}

static void run_list(http_request *request) {
    const campaign_input *input = request->input;
    cfa_page page = CFA_PAGE_INIT;
    page.after = input->after;
    page.limit = (int32_t)input->limit;
    cfa_campaign_list *list = NULL;
    cfa_status status = cfa_campaign_page(&list, request->app->engine, &page);
    if (status != CFA_OK) {
        problem_last(request, status);
        return;
    }
    json_t *items = json_array();
    for (size_t i = 0; items && i < cfa_campaign_list_size(list); i++) {
        if (json_array_append_new(items, view_campaign(cfa_campaign_list_at(list, i))) != 0) {
            json_decref(items);
            items = NULL;
        }
    }
    answer_page(request, "campaigns", items, cfa_campaign_list_next(list));
    cfa_campaign_list_free(list);
}

static void run_pledges(http_request *request) {
    const campaign_input *input = request->input;
    cfa_page page = CFA_PAGE_INIT;
    page.after = input->after;
    page.limit = (int32_t)input->limit;
    cfa_pledge_list *list = NULL;
    cfa_campaign *campaign = NULL;
    cfa_status status = cfa_campaign_get(&campaign, request->app->engine, request->parameter);
    cfa_campaign_free(campaign);
    if (status == CFA_OK)
        status = cfa_pledge_page(&list, request->app->engine, request->parameter, &page);
    if (status != CFA_OK) {
        problem_last(request, status);
        return;
    }
    json_t *items = json_array();
    for (size_t i = 0; items && i < cfa_pledge_list_size(list); i++) {
        if (json_array_append_new(items, view_pledge(cfa_pledge_list_at(list, i), true)) != 0) {
            json_decref(items);
            items = NULL;
        }
    }
    answer_page(request, "pledges", items, cfa_pledge_list_next(list));
    cfa_pledge_list_free(list);
}

static void read_page(http_request *request, void (*run)(http_request *request)) {
    campaign_input *input = http_input(request, sizeof *input);
    if (!input || !header_query_number(request, "limit", 1, CFA_PAGE_LIMIT_MAX, 100, &input->limit))
        return;
    input->after = http_query(request, "after");
    http_offload(request, run);
}

void handle_campaign_list(http_request *request) { read_page(request, run_list); }

void handle_pledge_list(http_request *request) { read_page(request, run_pledges); }

/* Do the projector's work up to `at_least`; false after a problem was answered. */
static bool reach(http_request *request, int64_t at_least) {
    if (at_least == 0)
        return true;
    cfa_totals_spec spec = CFA_TOTALS_SPEC_INIT;
    spec.at_least = at_least;
    spec.timeout_ms = HTTP_CALL_MS;
    cfa_totals *totals = NULL;
    cfa_status status = cfa_totals_get(&totals, request->app->engine, request->parameter, &spec);
    if (status != CFA_OK)
        problem_last(request, status);
    cfa_totals_free(totals);
    return status == CFA_OK;
}

static void run_get(http_request *request) {
    const campaign_input *input = request->input;
    if (!reach(request, input->at_least))
        return;
    cfa_campaign *campaign = NULL;
    cfa_totals *totals = NULL;
    cfa_status status =
        cfa_campaign_get_with_totals(&campaign, &totals, request->app->engine, request->parameter);
    if (status != CFA_OK) {
        problem_last(request, status);
        return;
    }
    /* Both numbers: the totals change without the campaign. */
    char tag[64];
    snprintf(tag, sizeof tag, "\"%lld-%lld\"", (long long)cfa_campaign_version(campaign),
             (long long)cfa_totals_version(totals));
    if (!header_tag_known(request, tag)) {
        json_t *out = view_campaign(campaign);
        if (out && json_object_set_new(out, "totals", view_totals(totals)) != 0) {
            json_decref(out);
            out = NULL;
        }
        http_answer_json(request, 200, out);
    }
    cfa_campaign_free(campaign);
    cfa_totals_free(totals);
}

void handle_campaign_get(http_request *request) {
    campaign_input *input = http_input(request, sizeof *input);
    if (input &&
        header_query_number(request, "at_least", 0, HTTP_POSITION_MAX, 0, &input->at_least))
        http_offload(request, run_get);
}

/* ---- health --------------------------------------------------------------------------------- */

typedef struct health_input {
    int32_t in_work;
    bool draining;
} health_input;

/* The circuit breaker. An open one is no illness of this server: donors get their 503 or 202, and
 * everything else works. NULL when the engine tells nothing, or without memory. */
static json_t *circuit_view(const server_app *app) {
    char *text = NULL;
    if (cfa_engine_statistics(&text, app->engine) != CFA_OK)
        return NULL;
    json_t *statistics = json_loads(text, 0, NULL);
    cfa_free(text);
    const char *state = json_string_value(json_object_get(statistics, "circuit_state"));
    json_int_t retry_ms = json_integer_value(json_object_get(statistics, "circuit_retry_ms"));
    json_t *view = state ? json_pack("{s:s}", "state", state) : NULL;
    if (view && retry_ms > 0 &&
        json_object_set_new(view, "retry_ms", json_integer(retry_ms)) != 0) {
        json_decref(view);
        view = NULL;
    }
    json_decref(statistics);
    return view;
}

static void run_health(http_request *request) {
    const server_app *app = request->app;
    const health_input *input = request->input;
    cfa_page page = CFA_PAGE_INIT;
    page.limit = 1;
    cfa_campaign_list *list = NULL;
    cfa_status storage = cfa_campaign_page(&list, app->engine, &page);
    cfa_campaign_list_free(list);
    bool ready = storage == CFA_OK && app->runner && !input->draining;
    http_answer_json(request, ready ? 200 : 503,
                     json_pack("{s:s, s:s, s:s, s:s, s:s, s:o*, s:i, s:b}", "status",
                               ready ? "ok" : "unavailable", "version", cfa_version(), "storage",
                               storage == CFA_OK ? "ok" : "unreachable", "runner",
                               app->runner ? "running" : "stopped", "provider", app->provider.name,
                               "circuit", circuit_view(app), "in_work", (int)input->in_work,
                               "draining", input->draining));
}

void handle_health(http_request *request) {
    health_input *input = http_input(request, sizeof *input);
    if (!input)
        return;
    input->in_work = http_in_work(request->http) - 1; /* without this one */
    input->draining = request->app->stopping;
    http_offload(request, run_health);
}
