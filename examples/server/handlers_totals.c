/*
 * handlers_totals.c - totals, the route that is read most. Answers are kept as bytes for as long as
 * the engine would keep the numbers, so that the loop's thread gives them out by itself; one reader
 * at a time fetches newer ones on the thread pool.
 */
#include "app.h"
#include "handlers.h"
#include "header.h"
#include "http_internal.h"
#include "problem.h"
#include "view.h"

#include <stdio.h>
#include <string.h>

enum {
    KEPT_MS = 1000, /* nobody gets older numbers while the store can be read */
    RENEW_MS = 500, /* from then on the next reader fetches newer ones */
    KEPT_COUNT = 512,
    KEPT_BYTES_MAX = 4096
};

/* The loop's thread alone. */
typedef struct kept_totals {
    char campaign_id[64]; /* "": empty */
    char tag[64];
    int64_t position, version;
    uint64_t read_ms;
    uint64_t renewing_ms; /* when somebody began to fetch newer ones */
    size_t size;
    char body[KEPT_BYTES_MAX];
} kept_totals;

static kept_totals kept[KEPT_COUNT];

typedef struct totals_input {
    int64_t at_least;
    uint64_t asked_ms;
    /* found out on the pool's thread */
    char tag[64];
    int64_t position, version;
    bool keep;
} totals_input;

/* FNV-1a: whoever makes ids collide makes only their own reads slower. */
static kept_totals *slot_of(const char *campaign_id) {
    uint32_t hash = 2166136261u;
    for (; *campaign_id != '\0'; campaign_id++)
        hash = (hash ^ (unsigned char)*campaign_id) * 16777619u;
    return &kept[hash % KEPT_COUNT];
}

static void run_totals(http_request *request) {
    totals_input *input = request->input;
    cfa_totals_spec spec = CFA_TOTALS_SPEC_INIT;
    spec.at_least = input->at_least;
    spec.max_age_ms = -1;
    spec.timeout_ms = HTTP_CALL_MS;
    cfa_totals *totals = NULL;
    cfa_status status = cfa_totals_get(&totals, request->app->engine, request->parameter, &spec);
    if (status != CFA_OK) {
        problem_last(request, status);
        return;
    }
    bool stale = cfa_totals_stale(totals) != 0;
    input->position = cfa_totals_position(totals);
    input->version = cfa_totals_version(totals);
    input->keep = !stale;
    snprintf(input->tag, sizeof input->tag, "W/\"%lld%s\"", (long long)input->version,
             stale ? "-stale" : "");
    http_answer_json(request, 200, view_totals(totals));
    cfa_totals_free(totals);
}

/* What was read is kept, unless somebody else's newer read came first. */
static void keep(const http_request *request, const totals_input *input) {
    kept_totals *slot = slot_of(request->parameter);
    bool same = strcmp(slot->campaign_id, request->parameter) == 0;
    bool older = same && (slot->version > input->version || slot->position > input->position);
    if (!input->keep || older || !request->answer.body ||
        request->answer.body_size > sizeof slot->body ||
        strlen(request->parameter) >= sizeof slot->campaign_id)
        return;
    memcpy(slot->campaign_id, request->parameter, strlen(request->parameter) + 1);
    memcpy(slot->tag, input->tag, sizeof slot->tag);
    slot->position = input->position;
    slot->version = input->version;
    slot->read_ms = input->asked_ms;
    slot->renewing_ms = 0;
    slot->size = request->answer.body_size;
    memcpy(slot->body, request->answer.body, slot->size);
}

static void settle_totals(http_request *request) {
    const totals_input *input = request->input;
    if (input->tag[0] == '\0')
        return;
    keep(request, input);
    if (request->connection)
        (void)header_tag_known(request, input->tag);
}

/* Fresh enough, and nobody has to fetch newer ones now. */
static bool usable(kept_totals *slot, const char *campaign_id, int64_t at_least, uint64_t now_ms) {
    if (strcmp(slot->campaign_id, campaign_id) != 0 || slot->position < at_least ||
        now_ms - slot->read_ms >= KEPT_MS)
        return false;
    if (now_ms - slot->read_ms < RENEW_MS || now_ms - slot->renewing_ms < RENEW_MS)
        return true;
    slot->renewing_ms = now_ms;
    return false;
}

void handle_totals_get(http_request *request) {
    int64_t at_least = 0;
    if (!header_query_number(request, "at_least", 0, HTTP_POSITION_MAX, 0, &at_least))
        return;
    uint64_t now_ms = http_now_ms();
    kept_totals *slot = slot_of(request->parameter);
    if (usable(slot, request->parameter, at_least, now_ms)) {
        if (!header_tag_known(request, slot->tag))
            http_answer_bytes(request, 200, slot->body, slot->size);
        return;
    }
    totals_input *input = http_input(request, sizeof *input);
    if (!input)
        return;
    input->at_least = at_least;
    input->asked_ms = now_ms;
    request->settle = settle_totals;
    http_offload(request, run_totals);
}
