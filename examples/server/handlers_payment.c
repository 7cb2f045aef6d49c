/*
 * handlers_payment.c - payments, what goes back of them, and what banks ask back. For the service
 * alone; all of it may touch the store, so all of it runs on the thread pool.
 */
#include "app.h"
#include "body.h"
#include "handlers.h"
#include "header.h"
#include "problem.h"
#include "view.h"

#include <stdio.h>

typedef struct payment_input {
    cfa_refund_spec refund;
    cfa_money amount;
    const char *actor, *reason;
    char key[CFA_KEY_BYTES_MAX + 1];
} payment_input;

/* ---- payments ------------------------------------------------------------------------------- */

static void answer_payment(http_request *request, cfa_status status, cfa_payment *payment) {
    if (status == CFA_OK)
        http_answer_json(request, 200, view_payment(payment));
    else
        problem_last(request, status);
    cfa_payment_free(payment);
}

static void run_get(http_request *request) {
    cfa_payment *payment = NULL;
    cfa_status status = cfa_payment_get(&payment, request->app->engine, request->parameter);
    answer_payment(request, status, payment);
}

void handle_payment_get(http_request *request) { http_offload(request, run_get); }

static bool read_command(http_request *request, payment_input *input) {
    return header_key(request, input->key) && header_actor(request, &input->actor, &input->reason);
}

static bool read_amount(http_request *request, payment_input *input, const char **out_reason) {
    json_t *amount = NULL;
    const body_field fields[] = {
        { "amount", BODY_OBJECT, false, &amount },
        { "reason", BODY_TEXT, false, out_reason },
    };
    size_t count = out_reason != NULL ? 2 : 1;
    return body_read(request, request->json, "", fields, count) &&
           (!amount || body_read_money(request, amount, "amount.", &input->amount));
}

static void run_change(http_request *request, bool capture) {
    const payment_input *input = request->input;
    cfa_actor by = CFA_ACTOR_INIT;
    cfa_payment *payment = NULL;
    by.actor = input->actor;
    by.reason = input->reason;
    cfa_engine *engine = request->app->engine;
    const char *id = request->parameter, *scope = header_scope(request);
    cfa_status status =
        capture ? cfa_payment_capture(&payment, engine, id, input->amount, scope, input->key, &by,
                                      HTTP_CALL_MS)
                : cfa_payment_cancel(&payment, engine, id, scope, input->key, &by, HTTP_CALL_MS);
    answer_payment(request, status, payment);
}

static void run_capture(http_request *request) { run_change(request, true); }

static void run_cancel(http_request *request) { run_change(request, false); }

void handle_payment_capture(http_request *request) {
    payment_input *input = http_input(request, sizeof *input);
    if (input && read_command(request, input) && read_amount(request, input, NULL))
        http_offload(request, run_capture);
}

void handle_payment_cancel(http_request *request) {
    payment_input *input = http_input(request, sizeof *input);
    if (input && read_command(request, input))
        http_offload(request, run_cancel);
}

/* What the late rule holds goes into the totals: whoever asked reads it there at this position. */
static void run_accept(http_request *request) {
    const payment_input *input = request->input;
    http_answer *answer = &request->answer;
    cfa_actor by = CFA_ACTOR_INIT;
    cfa_payment *payment = NULL;
    by.actor = input->actor;
    by.reason = input->reason;
    cfa_status status = cfa_payment_accept(&payment, request->app->engine, request->parameter,
                                           header_scope(request), input->key, &by);
    if (status == CFA_OK)
        snprintf(answer->position, sizeof answer->position, "%lld",
                 (long long)cfa_payment_position(payment));
    answer_payment(request, status, payment);
}

void handle_payment_accept(http_request *request) {
    payment_input *input = http_input(request, sizeof *input);
    if (input && read_command(request, input))
        http_offload(request, run_accept);
}

/* ---- refunds -------------------------------------------------------------------------------- */

static void run_refund(http_request *request) {
    const payment_input *input = request->input;
    http_answer *answer = &request->answer;
    cfa_refund *refund = NULL;
    cfa_status status = cfa_refund_create(&refund, request->app->engine, &input->refund);
    if (status != CFA_OK) {
        problem_last(request, status);
        return;
    }
    answer->replayed = cfa_refund_replayed(refund) != 0;
    snprintf(answer->location, sizeof answer->location, "/api/v1/refunds/%s",
             cfa_refund_id(refund));
    if (cfa_refund_position(refund) > 0)
        snprintf(answer->position, sizeof answer->position, "%lld",
                 (long long)cfa_refund_position(refund));
    http_answer_json(request, answer->replayed ? 200 : 201, view_refund(refund));
    cfa_refund_free(refund);
}

void handle_refund_create(http_request *request) {
    payment_input *input = http_input(request, sizeof *input);
    const char *reason = NULL;
    if (!input || !read_command(request, input) || !read_amount(request, input, &reason))
        return;
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    spec.key = input->key;
    spec.scope = header_scope(request);
    spec.payment_id = request->parameter;
    spec.amount = input->amount;
    spec.reason = reason != NULL ? reason : input->reason;
    spec.actor = input->actor;
    spec.timeout_ms = HTTP_CALL_MS;
    input->refund = spec;
    http_offload(request, run_refund);
}

static void run_refund_get(http_request *request) {
    cfa_refund *refund = NULL;
    cfa_status status = cfa_refund_get(&refund, request->app->engine, request->parameter);
    if (status == CFA_OK)
        http_answer_json(request, 200, view_refund(refund));
    else
        problem_last(request, status);
    cfa_refund_free(refund);
}

void handle_refund_get(http_request *request) { http_offload(request, run_refund_get); }

/* Append to a list that may have failed already; takes the item's reference. */
static void list_append(json_t **list, json_t *item) {
    if (*list && json_array_append_new(*list, item) != 0) {
        json_decref(*list);
        *list = NULL;
    }
}

static void answer_list(http_request *request, const char *name, json_t *items) {
    http_answer_json(request, 200, items ? json_pack("{s:o}", name, items) : NULL);
}

static void run_refunds(http_request *request) {
    cfa_refund_list *list = NULL;
    cfa_status status = cfa_refund_list_of(&list, request->app->engine, request->parameter);
    if (status != CFA_OK) {
        problem_last(request, status);
        return;
    }
    json_t *items = json_array();
    for (size_t i = 0; i < cfa_refund_list_size(list); i++)
        list_append(&items, view_refund(cfa_refund_list_at(list, i)));
    answer_list(request, "refunds", items);
    cfa_refund_list_free(list);
}

void handle_refund_list(http_request *request) { http_offload(request, run_refunds); }

/* ---- disputes ------------------------------------------------------------------------------- */

static void run_dispute_get(http_request *request) {
    cfa_dispute *dispute = NULL;
    cfa_status status = cfa_dispute_get(&dispute, request->app->engine, request->parameter);
    if (status == CFA_OK)
        http_answer_json(request, 200, view_dispute(dispute));
    else
        problem_last(request, status);
    cfa_dispute_free(dispute);
}

void handle_dispute_get(http_request *request) { http_offload(request, run_dispute_get); }

static void run_disputes(http_request *request) {
    cfa_dispute_list *list = NULL;
    cfa_status status = cfa_dispute_list_of(&list, request->app->engine, request->parameter);
    if (status != CFA_OK) {
        problem_last(request, status);
        return;
    }
    json_t *items = json_array();
    for (size_t i = 0; i < cfa_dispute_list_size(list); i++)
        list_append(&items, view_dispute(cfa_dispute_list_at(list, i)));
    answer_list(request, "disputes", items);
    cfa_dispute_list_free(list);
}

void handle_dispute_list(http_request *request) { http_offload(request, run_disputes); }
