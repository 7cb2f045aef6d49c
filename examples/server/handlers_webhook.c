/*
 * handlers_webhook.c - what the provider tells us, byte for byte as received, and the stand-in for
 * the provider's hosted page when the provider is the sandbox inside this process.
 */
#include "app.h"
#include "body.h"
#include "handlers.h"
#include "problem.h"

#include <string.h>

/* The header that this server's provider signs with. */
static const char *signature_header(const http_request *request) {
    return request->app->config->provider == PROVIDER_STRIPE ? "Stripe-Signature"
                                                             : "Careforall-Signature";
}

/* Providers are told that an event is wrong by 400 alone, and repeat it after anything else. */
static void refuse(http_request *request, const cfa_error *error) {
    bool signature = error->status == CFA_ESIGNATURE;
    if (!signature && cfa_status_class_of(error->status) != CFA_CLASS_INVALID) {
        problem_error(request, error);
        return;
    }
    problem_status(request, 400, error->status,
                   signature ? signature_header(request) : error->field, "%s", error->message);
}

static void complete_webhook(http_request *request, cfa_completion *completion) {
    if (cfa_completion_status(completion) != CFA_OK) {
        cfa_error error = CFA_ERROR_INIT;
        if (cfa_completion_error(&error, completion) != CFA_OK)
            error.status = cfa_completion_status(completion);
        refuse(request, &error);
        return;
    }
    cfa_webhook_verdict verdict = cfa_completion_webhook(completion);
    if (verdict == CFA_WEBHOOK_CONTRADICTION)
        problem_status(request, 400, CFA_ESTATE, NULL,
                       "the event contradicts what is known of its payment");
    else
        http_answer_json(request, 200,
                         json_pack("{s:s}", "verdict", cfa_webhook_verdict_name(verdict)));
}

void handle_webhook(http_request *request) {
    if (request->app->config->provider == PROVIDER_NONE) {
        problem_http(request, PROBLEM_NO_PROVIDER, NULL,
                     "this server knows no provider: start it with --provider stripe");
        return;
    }
    const char *wanted = signature_header(request);
    int count = 0, other_count = 0;
    const char *signature = http_header(request, wanted, &count);
    /* The play provider signs in either's name, so that tools made for Stripe can be tried. */
    const char *other = NULL;
    if (request->app->play)
        other = http_header(request, "Stripe-Signature", &other_count);
    if (count + other_count != 1) {
        problem_status(request, 400, CFA_ESIGNATURE, wanted, "send one %s%s", wanted,
                       request->app->play ? " or Stripe-Signature" : "");
        return;
    }
    signature = signature ? signature : other;
    cfa_slice signature_bytes = { signature, strlen(signature) };
    cfa_slice body = { request->body ? request->body : "", request->body_size };
    cfa_status status = cfa_webhook_receive_begin(request->app->port, (uint64_t)(uintptr_t)request,
                                                  signature_bytes, body);
    if (status == CFA_OK) {
        http_await(request, complete_webhook);
        return;
    }
    cfa_error error = app_last_error();
    error.status = status;
    refuse(request, &error);
}

/* ---- the sandbox ---------------------------------------------------------------------------- */

typedef struct confirm_input {
    const char *client_secret, *payment_method;
} confirm_input;

static void run_confirm(http_request *request) {
    const confirm_input *input = request->input;
    cfa_status status =
        cfa_play_confirm(request->app->play, input->client_secret, input->payment_method);
    if (status != CFA_OK)
        problem_last(request, status);
    else
        http_answer_json(request, 200, json_pack("{s:s}", "result", "accepted"));
}

void handle_play_confirm(http_request *request) {
    confirm_input *input = http_input(request, sizeof *input);
    if (!input)
        return;
    const body_field fields[] = {
        { "client_secret", BODY_TEXT, true, &input->client_secret },
        { "payment_method", BODY_TEXT, true, &input->payment_method },
    };
    if (body_read(request, request->json, "", fields, sizeof fields / sizeof fields[0]))
        http_offload(request, run_confirm);
}
