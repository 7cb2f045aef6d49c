/*
 * handlers_explain.c - a donation's story, what is stuck in the book, and the safe thing to do
 * about it; for the service alone.
 */
#include "app.h"
#include "handlers.h"
#include "header.h"
#include "host_findings.h"
#include "media.h"
#include "problem.h"

#include <careforall/explain.h>

#include <stdio.h>
#include <string.h>

typedef struct explain_input {
    const media *form;
    int64_t deep;
    const char *actor, *reason;
    char own_reason[96];
} explain_input;

/* ---- one donation --------------------------------------------------------------------------- */

static void run_explain(http_request *request) {
    const explain_input *input = request->input;
    cfa_story *story = NULL;
    char *text = NULL;
    cfa_status status = cfa_explain(&story, request->app->engine, request->parameter, HTTP_CALL_MS);
    if (status == CFA_OK)
        status = cfa_story_write(&text, story, input->form->format);
    if (status == CFA_OK)
        media_answer(request, input->form, text);
    else
        problem_last(request, status);
    cfa_free(text);
    cfa_story_free(story);
}

void handle_explain(http_request *request) {
    explain_input *input = http_input(request, sizeof *input);
    if (!input)
        return;
    input->form = media_of(request);
    http_offload(request, run_explain);
}

/* ---- the whole book ------------------------------------------------------------------------- */

static void take_spec(cfa_doctor_spec *out, host_findings *files, const http_request *request) {
    const server_config *config = request->app->config;
    cfa_doctor_spec spec = CFA_DOCTOR_SPEC_INIT;
    spec.timeout_ms = HTTP_CALL_MS;
    if (!config->memory) {
        host_findings_read(files, config->database);
        spec.host_findings = files->list;
        spec.host_finding_count = files->count;
    }
    *out = spec;
}

static void run_doctor(http_request *request) {
    const explain_input *input = request->input;
    host_findings files;
    cfa_doctor_spec spec;
    cfa_checkup *checkup = NULL;
    char *text = NULL;
    take_spec(&spec, &files, request);
    spec.deep = input->deep != 0;
    cfa_status status = cfa_doctor(&checkup, request->app->engine, &spec);
    if (status == CFA_OK)
        status = cfa_checkup_write(&text, checkup, input->form->format);
    if (status == CFA_OK)
        media_answer(request, input->form, text);
    else
        problem_last(request, status);
    cfa_free(text);
    cfa_checkup_free(checkup);
}

static void end_deep(http_request *request) { request->app->examining = false; }

/* A deep examination reads every payment: one at a time, so that it never holds the whole pool. */
void handle_doctor(http_request *request) {
    explain_input *input = http_input(request, sizeof *input);
    server_app *app = request->app;
    if (!input || !header_query_number(request, "deep", 0, 1, 0, &input->deep))
        return;
    if (input->deep != 0 && app->examining) {
        problem_http(request, PROBLEM_JOB_RUNNING, "deep", "a deep examination runs already");
        return;
    }
    input->form = media_of(request);
    request->settle = input->deep != 0 ? end_deep : NULL;
    http_offload(request, run_doctor);
    app->examining = app->examining || (input->deep != 0 && request->pending);
}

static void refuse_remedy(http_request *request, cfa_status status) {
    cfa_error error = app_last_error();
    if (status == CFA_ENOTSUP)
        problem_status(request, 409, status, NULL, "%s", error.message);
    else if (status == CFA_EINVAL && strcmp(error.field, "code") == 0)
        problem_status(request, 0, CFA_ENOTFOUND, "id", "no finding of a book has this code");
    else
        problem_last(request, status);
}

static void run_remedy(http_request *request) {
    const explain_input *input = request->input;
    host_findings files;
    cfa_doctor_spec spec;
    cfa_actor by = CFA_ACTOR_INIT;
    int64_t done = 0;
    by.actor = input->actor;
    by.reason = input->reason;
    take_spec(&spec, &files, request);
    cfa_status status = cfa_doctor_do(&done, request->app->engine, request->parameter, &spec, &by);
    if (status == CFA_OK)
        http_answer_json(
            request, 200,
            json_pack("{s:s, s:I}", "code", request->parameter, "done", (json_int_t)done));
    else
        refuse_remedy(request, status);
}

/* Each remedy can be repeated: the key tells an intended request from a stray one, as
 * everywhere. */
void handle_remedy(http_request *request) {
    char key[CFA_KEY_BYTES_MAX + 1];
    explain_input *input = http_input(request, sizeof *input);
    if (!input || !header_key(request, key) ||
        !header_actor(request, &input->actor, &input->reason))
        return;
    snprintf(input->own_reason, sizeof input->own_reason, "doctor --do %s", request->parameter);
    if (!input->reason)
        input->reason = input->own_reason;
    http_offload(request, run_remedy);
}
