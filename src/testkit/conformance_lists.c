/*
 * conformance_lists.c - the lists' part of the provider suite: all that a window holds comes, page by
 * page, and nothing from outside of it; a page that fails is no end.
 *
 * Skipped for providers that list nothing.
 */
#include "testkit/conformance_provider.h"

#include <careforall/refund.h>

#include <stdio.h>
#include <string.h>

#define AMOUNT_MINOR CFA__PROVIDER_AMOUNT_MINOR
#define PAYMENTS 23 /* more than a small page */
#define PAGES_MAX 100
#define TIMEOUT_MS 30000
/* Wider than any difference between the clocks of a provider and its caller. */
#define WINDOW_US INT64_C(300000000)

typedef cfa__provider_context provider_context;

static bool can_list(const provider_context *context) {
    const cfa_provider_ops *ops = context->provider.ops;
    return ops->struct_size >= offsetof(cfa_provider_ops, list) + sizeof ops->list &&
           ops->list != NULL;
}

/* All of this run. */
static cfa_list_request request_of(cfa__runner *runner, provider_context *context, int32_t kind) {
    if (!can_list(context)) {
        cfa__runner_skip(runner, "this provider lists nothing");
    }
    int64_t now_us = context->fixture->now_us(&context->provider);
    return (cfa_list_request){ .struct_size = sizeof(cfa_list_request),
                               .kind = kind,
                               .account = "",
                               .created_from_us = context->opened_us - WINDOW_US,
                               .created_until_us = now_us + WINDOW_US,
                               .now_us = now_us,
                               .timeout_ms = TIMEOUT_MS };
}

static cfa_list_page ask(provider_context *context, const cfa_list_request *request) {
    cfa_list_page page = { .struct_size = sizeof page };
    context->provider.ops->list(context->provider.self, request, context->arena, &page);
    return page;
}

static void check_page(cfa__runner *runner, const cfa_list_request *request,
                       const cfa_list_page *page) {
    CFA__CHECK_INT(runner, page->outcome, CFA_OUTCOME_DONE);
    CFA__CHECK(runner, page->count >= 0 && page->count <= CFA_LIST_OBJECTS_MAX);
    CFA__CHECK(runner, page->next == NULL ||
                           (page->next[0] != '\0' && strlen(page->next) <= CFA_LIST_CURSOR_MAX));
    CFA__CHECK(runner, page->next == NULL || request->cursor == NULL ||
                           strcmp(page->next, request->cursor) != 0);
    for (int32_t i = 0; i < page->count; i++) {
        const cfa_listed *listed = page->objects[i];
        CFA__CHECK(runner, listed != NULL && listed->facts.ref != NULL);
        CFA__CHECK(runner, strcmp(listed->facts.amount.currency, "EUR") == 0 ||
                               listed->facts.amount.minor == 0);
    }
}

/* What a whole list says of one payment, by its ref. */
typedef struct seen {
    int32_t objects, others; /* that are of the payment, and of others */
    uint32_t flags;
    int64_t captured_minor, refunded_minor;
    bool names_payment, named_refund;
} seen;

static void take(seen *out, const cfa_listed *listed, const char *payment_id, const char *ref) {
    const cfa_facts *facts = &listed->facts;
    if (strcmp(facts->ref, ref) != 0) {
        out->others++;
        return;
    }
    out->objects++;
    out->flags |= facts->flags;
    out->names_payment = out->names_payment ||
                         (facts->payment_id != NULL && strcmp(facts->payment_id, payment_id) == 0);
    out->captured_minor =
        facts->captured_minor > out->captured_minor ? facts->captured_minor : out->captured_minor;
    for (int32_t i = 0; i < facts->refund_count; i++) {
        out->named_refund = facts->refunds[i]->ref != NULL;
        out->refunded_minor = facts->refunds[i]->amount.minor;
    }
}

/* From the first page to the end. */
static seen walk(cfa__runner *runner, provider_context *context, cfa_list_request request,
                 const char *payment_id, const char *ref) {
    seen found = { 0 };
    for (int pages = 0;; pages++) {
        CFA__CHECK(runner, pages < PAGES_MAX);
        cfa_list_page page = ask(context, &request);
        check_page(runner, &request, &page);
        for (int32_t i = 0; i < page.count; i++) {
            take(&found, page.objects[i], payment_id, ref);
        }
        if (page.next == NULL) {
            return found;
        }
        request.cursor = page.next;
    }
}

/* ---- payments -------------------------------------------------------------------------------- */

static void every_payment_of_the_window_is_listed(cfa__runner *runner, void *user) {
    provider_context *context = user;
    const char *ids[PAYMENTS], *refs[PAYMENTS];
    (void)request_of(runner, context, CFA_LIST_PAYMENTS);
    for (int i = 0; i < PAYMENTS; i++) {
        ids[i] = cfa__provider_new_payment(runner, context);
        refs[i] = cfa__provider_pay(runner, context, ids[i], i % 2 == 1).facts.ref;
    }
    cfa_list_request request = request_of(runner, context, CFA_LIST_PAYMENTS);
    for (int i = 0; i < PAYMENTS; i++) {
        seen found = walk(runner, context, request, ids[i], refs[i]);
        CFA__CHECK(runner, found.objects >= 1 && found.others >= PAYMENTS - 1);
        CFA__CHECK(runner, found.names_payment);
        CFA__CHECK_INT(runner, found.captured_minor, i % 2 == 1 ? 0 : AMOUNT_MINOR);
        CFA__CHECK(runner, ((found.flags & CFA_FACT_SUCCEEDED) != 0) == (i % 2 == 0));
        CFA__CHECK(runner, (found.flags & CFA_FACT_SETTLED) == 0);
    }
}

static void nothing_from_outside_of_the_window_is_listed(cfa__runner *runner, void *user) {
    provider_context *context = user;
    (void)request_of(runner, context, CFA_LIST_PAYMENTS);
    const char *payment_id = cfa__provider_new_payment(runner, context);
    const char *ref = cfa__provider_pay(runner, context, payment_id, false).facts.ref;
    for (int32_t kind = 0; kind < CFA_LIST_KINDS; kind++) {
        cfa_list_request request = request_of(runner, context, kind);
        request.created_until_us = context->opened_us - WINDOW_US / 2;
        seen found = walk(runner, context, request, payment_id, ref);
        CFA__CHECK_INT(runner, found.objects + found.others, 0);
        request.created_from_us = request.now_us + WINDOW_US / 2;
        request.created_until_us = request.now_us + WINDOW_US;
        found = walk(runner, context, request, payment_id, ref);
        CFA__CHECK_INT(runner, found.objects + found.others, 0);
    }
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void a_page_can_be_asked_for_again(cfa__runner *runner, void *user) {
    provider_context *context = user;
    cfa_list_request request = request_of(runner, context, CFA_LIST_PAYMENTS);
    for (int i = 0; i < PAYMENTS; i++) {
        (void)cfa__provider_pay(runner, context, cfa__provider_new_payment(runner, context), true);
    }
    request = request_of(runner, context, CFA_LIST_PAYMENTS);
    for (int pages = 0;; pages++) {
        CFA__CHECK(runner, pages < PAGES_MAX);
        cfa_list_page first = ask(context, &request), again = ask(context, &request);
        check_page(runner, &request, &first);
        check_page(runner, &request, &again);
        CFA__CHECK_INT(runner, again.count, first.count);
        for (int32_t i = 0; i < first.count; i++) {
            CFA__CHECK(runner,
                       strcmp(first.objects[i]->facts.ref, again.objects[i]->facts.ref) == 0);
        }
        CFA__CHECK(runner, (first.next == NULL) == (again.next == NULL));
        CFA__CHECK(runner, first.next == NULL || strcmp(first.next, again.next) == 0);
        if (first.next == NULL) {
            return;
        }
        request.cursor = first.next;
    }
}

static void a_page_that_fails_is_no_end(cfa__runner *runner, void *user) {
    provider_context *context = user;
    cfa_list_request request = request_of(runner, context, CFA_LIST_PAYMENTS);
    if (context->fixture->lose_page == NULL) {
        cfa__runner_skip(runner, "no page of this provider can be lost");
    }
    CFA__CHECK_OK(runner, context->fixture->lose_page(&context->provider));
    cfa_list_page page = ask(context, &request);
    CFA__CHECK(runner, page.outcome == CFA_OUTCOME_UNKNOWN || page.outcome == CFA_OUTCOME_NOT_SENT);
    CFA__CHECK(runner, page.next == NULL && page.count == 0);
    CFA__CHECK(runner, page.code != NULL && page.code[0] != '\0');
    page = ask(context, &request);
    check_page(runner, &request, &page);
    request.cursor = "no cursor of this provider's";
    page = ask(context, &request);
    CFA__CHECK_INT(runner, page.outcome, CFA_OUTCOME_REFUSED);
}

/* ---- other kinds ----------------------------------------------------------------------------- */

static void a_refund_is_listed_with_its_payment(cfa__runner *runner, void *user) {
    provider_context *context = user;
    (void)request_of(runner, context, CFA_LIST_REFUNDS);
    if (context->fixture->refunds == NULL) {
        cfa__runner_skip(runner, "this provider gives no money back");
    }
    const char *payment_id = cfa__provider_new_payment(runner, context);
    const char *ref = cfa__provider_pay(runner, context, payment_id, false).facts.ref;
    cfa_call call = cfa__provider_call(runner, context, CFA_CALL_REFUND, payment_id, 101);
    call.ref = ref;
    call.refund_id = "rfd_01h455vb4pex5vsknk084sn02q";
    call.amount.minor = 500;
    call.payment_method = NULL;
    cfa_reply reply = cfa__provider_make(runner, context, &call);
    CFA__CHECK(runner, reply.outcome == CFA_OUTCOME_DONE || reply.outcome == CFA_OUTCOME_PENDING);
    cfa_list_request request = request_of(runner, context, CFA_LIST_REFUNDS);
    seen found = walk(runner, context, request, payment_id, ref);
    CFA__CHECK_INT(runner, found.objects, 1);
    CFA__CHECK_INT(runner, found.refunded_minor, 500);
    CFA__CHECK(runner, found.named_refund);
}

static void what_was_paid_out_is_settled(cfa__runner *runner, void *user) {
    provider_context *context = user;
    (void)request_of(runner, context, CFA_LIST_SETTLEMENTS);
    if (context->fixture->pay_out == NULL) {
        cfa__runner_skip(runner, "nothing is paid out here");
    }
    const char *payment_id = cfa__provider_new_payment(runner, context);
    const char *ref = cfa__provider_pay(runner, context, payment_id, false).facts.ref;
    cfa_list_request request = request_of(runner, context, CFA_LIST_SETTLEMENTS);
    CFA__CHECK_INT(runner, walk(runner, context, request, payment_id, ref).objects, 0);
    CFA__CHECK_OK(runner, context->fixture->pay_out(&context->provider));
    const char *later_id = cfa__provider_new_payment(runner, context);
    const char *later = cfa__provider_pay(runner, context, later_id, false).facts.ref;
    request = request_of(runner, context, CFA_LIST_SETTLEMENTS);
    seen found = walk(runner, context, request, payment_id, ref);
    CFA__CHECK_INT(runner, found.objects, 1);
    CFA__CHECK(runner, (found.flags & CFA_FACT_SETTLED) != 0);
    CFA__CHECK_INT(runner, found.captured_minor, AMOUNT_MINOR);
    CFA__CHECK_INT(runner, walk(runner, context, request, later_id, later).objects, 0);
}

#define TEST(name)                                                                                 \
    { #name, name }

const cfa__test cfa__list_tests[CFA__LIST_TESTS] = {
    TEST(every_payment_of_the_window_is_listed), TEST(nothing_from_outside_of_the_window_is_listed),
    TEST(a_page_can_be_asked_for_again),         TEST(a_page_that_fails_is_no_end),
    TEST(a_refund_is_listed_with_its_payment),   TEST(what_was_paid_out_is_settled),
};
