/*
 * handlers_ready.c - may requests be sent here? For load balancers; /health tells people more.
 */
#include "app.h"
#include "handlers.h"

static void run_ready(http_request *request) {
    cfa_page page = CFA_PAGE_INIT;
    page.limit = 1;
    cfa_campaign_list *list = NULL;
    bool ready = cfa_campaign_page(&list, request->app->engine, &page) == CFA_OK;
    cfa_campaign_list_free(list);
    http_answer_json(request, ready ? 200 : 503,
                     json_pack("{s:s}", "status", ready ? "ready" : "unreachable"));
}

void handle_ready(http_request *request) {
    if (request->app->stopping)
        http_answer_json(request, 503, json_pack("{s:s}", "status", "draining"));
    else
        http_offload(request, run_ready);
}
