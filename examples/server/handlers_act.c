/*
 * handlers_act.c - the audit log, for the service alone: a page of acts, oldest first.
 */
#include "app.h"
#include "handlers.h"
#include "header.h"
#include "problem.h"
#include "route.h"
#include "view.h"

#include <stdio.h>

typedef struct act_input {
    int64_t after, limit;
} act_input;

static json_t *view_acts(const cfa_act_list *list) {
    json_t *items = json_array();
    for (size_t i = 0; items && i < cfa_act_list_size(list); i++) {
        if (json_array_append_new(items, view_act(cfa_act_list_at(list, i))) != 0) {
            json_decref(items);
            return NULL;
        }
    }
    return items;
}

/* The number to go on behind, in `next`; "" after the last act. */
static cfa_status find_next(char *next, size_t size, cfa_engine *engine, const cfa_act_list *list,
                            int64_t limit) {
    cfa_act_list *behind = NULL;
    size_t count = cfa_act_list_size(list);
    next[0] = '\0';
    if (count < (size_t)limit)
        return CFA_OK;
    int64_t last = cfa_act_list_at(list, count - 1)->number;
    cfa_status status = cfa_act_page(&behind, engine, last, 1);
    if (status == CFA_OK && cfa_act_list_size(behind) > 0)
        snprintf(next, size, "%lld", (long long)last);
    cfa_act_list_free(behind);
    return status;
}

static void run_list(http_request *request) {
    const act_input *input = request->input;
    cfa_engine *engine = request->app->engine;
    cfa_act_list *list = NULL;
    char next[24];
    cfa_status status = cfa_act_page(&list, engine, input->after, (int32_t)input->limit);
    if (status == CFA_OK)
        status = find_next(next, sizeof next, engine, list, input->limit);
    if (status == CFA_OK) {
        json_t *items = view_acts(list);
        const char *following = next[0] != '\0' ? next : NULL;
        if (following)
            snprintf(request->answer.link, sizeof request->answer.link,
                     "<%s?limit=%d&after=%s>; rel=\"next\"", request->route->pattern,
                     (int)input->limit, following);
        http_answer_json(request, 200,
                         items ? json_pack("{s:o, s:s?}", "acts", items, "next", following) : NULL);
    } else {
        problem_last(request, status);
    }
    cfa_act_list_free(list);
}

void handle_act_list(http_request *request) {
    act_input *input = http_input(request, sizeof *input);
    if (input && header_query_number(request, "limit", 1, CFA_PAGE_LIMIT_MAX, 100, &input->limit) &&
        header_query_number(request, "after", 0, INT64_MAX, 0, &input->after))
        http_offload(request, run_list);
}
