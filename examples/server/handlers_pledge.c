/*
 * handlers_pledge.c - pledges. Creating one only enqueues on the loop's thread; the engine's runner
 * commits it and calls the provider. A pledge is shown to the service and to who holds its token;
 * to all others it is as if there were none.
 */
#include "app.h"
#include "body.h"
#include "handlers.h"
#include "header.h"
#include "pledge_token.h"
#include "problem.h"
#include "view.h"

#include <stdio.h>
#include <string.h>

static void answer_pledge(http_request *request, const cfa_pledge *pledge) {
    http_answer *answer = &request->answer;
    snprintf(answer->location, sizeof answer->location, "/api/v1/pledges/%s",
             cfa_pledge_id(pledge));
    /* Not in the body: those bytes are the engine's, fixed and kept. */
    pledge_token_make(answer->pledge_token, &request->app->secrets.pledge_token_keys,
                      cfa_pledge_id(pledge));
    if (cfa_pledge_position(pledge) > 0)
        snprintf(answer->position, sizeof answer->position, "%lld",
                 (long long)cfa_pledge_position(pledge));
    if (cfa_pledge_pending(pledge)) {
        /* Never stored: the fixed answer follows when the provider's object is known. */
        answer->retry_after_s = 1;
        http_answer_json(request, 202, view_pledge(pledge, request->service));
        return;
    }
    answer->replayed = cfa_pledge_replayed(pledge) != 0;
    int status = answer->replayed ? 200 : 201;
    cfa_slice bytes = cfa_pledge_answer(pledge);
    if (bytes.size > 0)
        http_answer_bytes(request, status, bytes.data, bytes.size);
    else /* the stored answer is gone after 30 days; the key still finds its pledge */
        http_answer_json(request, status, view_pledge(pledge, request->service));
}

static void complete_create(http_request *request, cfa_completion *completion) {
    if (cfa_completion_status(completion) != CFA_OK) {
        cfa_error error = CFA_ERROR_INIT;
        if (cfa_completion_error(&error, completion) != CFA_OK)
            error.status = cfa_completion_status(completion);
        problem_error(request, &error);
        return;
    }
    cfa_pledge *pledge = cfa_completion_pledge(completion);
    if (pledge)
        answer_pledge(request, pledge);
    else
        problem_status(request, 0, CFA_EBUG, NULL, "a completion without its pledge");
    cfa_pledge_free(pledge);
}

static bool read_visibility(http_request *request, const char *text, cfa_visibility *out) {
    static const char *const names[] = { "public", "owner", "hidden" };
    for (int i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = i;
            return true;
        }
    }
    problem_status(request, 0, CFA_EINVAL, "donor.visibility",
                   "use \"public\", \"owner\" or \"hidden\"");
    return false;
}

/* Where the hosted page sends the donor: what the caller asked for, if it is allowed, or what the
 * configuration says. */
static bool read_return_url(http_request *request, const char *field, const char *standard,
                            const char **url) {
    const server_config *config = request->app->config;
    if (!*url) {
        *url = standard;
        return true;
    }
    if ((config->return_url && strcmp(*url, config->return_url) == 0) ||
        (config->cancel_url && strcmp(*url, config->cancel_url) == 0) ||
        return_url_allowed(&config->return_urls, *url))
        return true;
    problem_status(request, 0, CFA_EINVAL, field,
                   "the URL is not one of those that this server may send donors to");
    return false;
}

static bool read_return_urls(http_request *request, cfa_pledge_spec *spec) {
    const server_config *config = request->app->config;
    if (!read_return_url(request, "return_url", config->return_url, &spec->return_url) ||
        !read_return_url(request, "cancel_url", config->cancel_url, &spec->cancel_url))
        return false;
    bool hosted = config->provider == PROVIDER_STRIPE && config->stripe_mode == STRIPE_CHECKOUT;
    if (!hosted || spec->return_url)
        return true;
    problem_http(request, PROBLEM_MISSING_FIELD, "return_url",
                 "say where the payment page sends the donor afterwards");
    return false;
}

static bool read_pledge(http_request *request, cfa_pledge_spec *spec) {
    json_t *amount = NULL, *donor = NULL;
    const char *visibility = "public";
    const body_field fields[] = {
        { "campaign_id", BODY_TEXT, true, &spec->campaign_id },
        { "amount", BODY_OBJECT, true, &amount },
        { "payment_method", BODY_TEXT, false, &spec->payment_method },
        { "donor", BODY_OBJECT, false, &donor },
        { "return_url", BODY_TEXT, false, &spec->return_url },
        { "cancel_url", BODY_TEXT, false, &spec->cancel_url },
    };
    const body_field donor_fields[] = {
        { "reference", BODY_TEXT, false, &spec->donor_reference },
        { "name", BODY_TEXT, false, &spec->donor_name },
        { "email", BODY_TEXT, false, &spec->donor_email },
        { "message", BODY_TEXT, false, &spec->donor_message },
        { "visibility", BODY_TEXT, false, &visibility },
    };
    return body_read(request, request->json, "", fields, sizeof fields / sizeof fields[0]) &&
           body_read_money(request, amount, "amount.", &spec->amount) &&
           (!donor || body_read(request, donor, "donor.", donor_fields,
                                sizeof donor_fields / sizeof donor_fields[0])) &&
           read_visibility(request, visibility, &spec->visibility) &&
           read_return_urls(request, spec);
}

void handle_pledge_create(http_request *request) {
    char key[CFA_KEY_BYTES_MAX + 1];
    cfa_pledge_spec spec = CFA_PLEDGE_SPEC_INIT;
    if (!header_key(request, key) || !read_pledge(request, &spec))
        return;
    if (request->app->config->provider == PROVIDER_NONE) {
        problem_http(request, PROBLEM_NO_PROVIDER, NULL,
                     "this server takes no donations: start it with --provider stripe, or "
                     "--provider play to try things out");
        return;
    }
    spec.key = key;
    spec.scope = header_scope(request);
    spec.wait = CFA_WAIT_ANSWER;
    spec.timeout_ms = HTTP_CALL_MS;
    spec.traceparent = http_traceparent(request);
    cfa_status status =
        cfa_pledge_create_begin(request->app->port, (uint64_t)(uintptr_t)request, &spec);
    if (status == CFA_OK)
        http_await(request, complete_create);
    else
        problem_last(request, status);
}

static void run_get(http_request *request) {
    cfa_pledge *pledge = NULL;
    cfa_status status = cfa_pledge_get(&pledge, request->app->engine, request->parameter);
    if (status != CFA_OK)
        problem_last(request, status);
    else
        http_answer_json(request, 200, view_pledge(pledge, true));
    cfa_pledge_free(pledge);
}

/* Decided before the store is asked, so that not even the time of the answer tells whether an id
 * exists. */
void handle_pledge_get(http_request *request) {
    int count = 0;
    const char *token = http_header(request, PLEDGE_TOKEN_HEADER, &count);
    bool own = count == 1 && pledge_token_fits(&request->app->secrets.pledge_token_keys,
                                               request->parameter, token);
    if (request->service || own)
        http_offload(request, run_get);
    else
        problem_status(request, 0, CFA_ENOTFOUND, "pledge_id",
                       "there is no such pledge, or not for you: send its " PLEDGE_TOKEN_HEADER);
}
