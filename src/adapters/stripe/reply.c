/*
 * reply.c - what an answer, or its absence, proves about a call. Pure. Certainty needs Stripe's own
 * words: whatever cannot be read as its JSON leaves the outcome UNKNOWN.
 */
#include "adapters/stripe/reversal.h"

#include <careforall/refund.h>
#include <string.h>

static const char *keep(const char *text, cfa_arena *arena) {
    return text == NULL ? NULL : cfa_arena_copy(arena, text, strlen(text));
}

static void unknown(cfa_reply *out, const char *code) {
    out->outcome = CFA_OUTCOME_UNKNOWN;
    out->facts = (cfa_facts)CFA_FACTS_INIT;
    out->client_secret = out->redirect_url = NULL;
    out->code = code;
}

/* ---- objects --------------------------------------------------------------------------------- */

/* Facts of an intent or a page, with what the donor pays with. False: `out` is UNKNOWN. */
static bool take_object(cfa_reply *out, const cfa__json *object, int64_t moment_us,
                        cfa_arena *arena) {
    bool tells = true;
    bool is_page = cfa__stripe_object_is(object, "checkout.session");
    cfa_status status = is_page ? cfa__stripe_session(&out->facts, &tells, object, moment_us, arena)
                                : cfa__stripe_intent(&out->facts, object, moment_us, arena);
    const char *secret = cfa__stripe_text(object, "client_secret");
    const char *url = is_page ? cfa__stripe_text(object, "url") : NULL;
    out->client_secret = keep(secret, arena);
    out->redirect_url = keep(url, arena);
    /* What the donor pays with is told once: without it the answer is as good as lost. */
    if ((secret != NULL && out->client_secret == NULL) ||
        (url != NULL && out->redirect_url == NULL)) {
        status = CFA_ENOMEM;
    }
    if (status != CFA_OK) {
        unknown(out, status == CFA_ENOMEM ? "out_of_memory" : "unreadable_object");
        return false;
    }
    out->code = out->facts.failure_code;
    return true;
}

void cfa__stripe_reply_found(cfa_reply *out, const cfa__json *object, int64_t moment_us,
                             cfa_arena *arena) {
    if (take_object(out, object, moment_us, arena)) {
        out->outcome = CFA_OUTCOME_DONE;
    }
}

/* The refund, and its intent where the answer brings that. Whatever became of it, it was made: its
 * facts say what. */
static void reply_refund(cfa_reply *out, const cfa__json *refund, int64_t moment_us,
                         cfa_arena *arena) {
    bool tells;
    cfa_facts facts;
    cfa_status status = cfa__stripe_refund(&facts, &tells, refund, moment_us, arena);
    const cfa__json *intent = cfa__json_get(refund, "payment_intent");
    if (status != CFA_OK || facts.ref == NULL) {
        unknown(out, status == CFA_ENOMEM ? "out_of_memory" : "unreadable_object");
        return;
    }
    if (!cfa__stripe_object_is(intent, "payment_intent")) {
        out->facts = facts;
    } else if (!take_object(out, intent, moment_us, arena)) {
        return;
    }
    out->facts.refunds = facts.refunds;
    out->facts.refund_count = facts.refund_count;
    out->client_secret = NULL;
    bool ended = facts.refund_count > 0 && facts.refunds[0]->state != CFA_REFUND_PENDING &&
                 facts.refunds[0]->state != CFA_REFUND_REQUIRES_ACTION;
    out->outcome = ended ? CFA_OUTCOME_DONE : CFA_OUTCOME_PENDING;
    out->code = facts.refund_count > 0 ? facts.refunds[0]->failure_code : NULL;
}

/* The call was accepted; is what it asked for done? */
static int32_t outcome_of(const cfa_call *call, const cfa_facts *facts) {
    uint32_t ended = CFA_FACT_CANCELED | CFA_FACT_EXPIRED;
    if (call->kind == CFA_CALL_CAPTURE && facts->captured_minor == 0) {
        return CFA_OUTCOME_PENDING;
    }
    if (call->kind == CFA_CALL_CANCEL && (facts->flags & ended) == 0) {
        return CFA_OUTCOME_PENDING;
    }
    return CFA_OUTCOME_DONE;
}

static void reply_accepted(cfa_reply *out, const cfa_call *call,
                           const cfa__stripe_response *response, const cfa__json *root,
                           cfa_arena *arena) {
    /* A stored answer shows the object as it was, nobody knows when: it must not look new. */
    int64_t moment_us = response->replayed ? 0 : response->date_us;
    if (call->kind == CFA_CALL_REFUND) {
        reply_refund(out, root, moment_us, arena);
    } else if (take_object(out, root, moment_us, arena)) {
        out->outcome = outcome_of(call, &out->facts);
    }
}

/* ---- errors ---------------------------------------------------------------------------------- */

static const char *error_code(const cfa__json *error) {
    const char *code = cfa__stripe_failure(cfa__stripe_text(error, "code"),
                                           cfa__stripe_text(error, "decline_code"));
    return code != NULL ? code : cfa__stripe_text(error, "type");
}

/* The intent in an error shows what became of it. */
static void reply_declined(cfa_reply *out, const cfa_call *call,
                           const cfa__stripe_response *response, const cfa__json *error,
                           cfa_arena *arena) {
    const char *code = out->code;
    const cfa__json *intent = cfa__json_get(error, "payment_intent");
    out->outcome = CFA_OUTCOME_REFUSED;
    if (intent != NULL &&
        take_object(out, intent, response->replayed ? 0 : response->date_us, arena)) {
        /* A created intent exists, declined or not: the donor may try it again. */
        out->outcome = call->kind == CFA_CALL_CREATE ? CFA_OUTCOME_DONE : CFA_OUTCOME_REFUSED;
    }
    out->code = code;
}

static void reply_error(cfa_reply *out, const cfa_call *call, const cfa__stripe_response *response,
                        const cfa__json *error, cfa_arena *arena) {
    bool reads = call->kind == CFA_CALL_RETRIEVE || call->kind == CFA_CALL_LOOKUP;
    out->code = keep(error_code(error), arena);
    switch (response->status) {
    case 401: /* the key is wrong, or may not: nothing was done, somebody must repair it */
    case 403: out->outcome = CFA_OUTCOME_NOT_SENT; break;
    case 402: reply_declined(out, call, response, error, arena); break;
    case 408: /* a gateway's words, and a dependency's */
    case 409: /* another request holds the key or the object */
    case 424: out->outcome = CFA_OUTCOME_UNKNOWN; break;
    case 429:
        out->outcome = response->replayed ? CFA_OUTCOME_UNKNOWN : CFA_OUTCOME_NOT_SENT;
        out->unavailable = 1;
        break;
    default: out->outcome = CFA_OUTCOME_REFUSED;
    }
    if (cfa__stripe_text_is(error, "type", "idempotency_error") && response->status == 400) {
        /* Some other request was made under this key, and nobody knows what it did. Asking again
         * gives the same words. */
        out->outcome = CFA_OUTCOME_UNKNOWN;
        out->stored = 1;
    } else if (out->outcome == CFA_OUTCOME_REFUSED && response->retry_wish > 0 && !reads) {
        out->outcome = CFA_OUTCOME_UNKNOWN; /* Stripe says itself that this is not its last word */
    }
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void reply_lost(cfa_reply *out, const cfa__stripe_response *response) {
    out->outcome =
        response->fate == CFA__STRIPE_NEVER_SENT ? CFA_OUTCOME_NOT_SENT : CFA_OUTCOME_UNKNOWN;
    out->code = response->code;
    out->unavailable = response->unavailable;
}

static void reply_answered(cfa_reply *out, const cfa_call *call,
                           const cfa__stripe_response *response, const cfa__json *root,
                           cfa_arena *arena) {
    out->stored = response->replayed;
    out->retry_after_ms = response->retry_after_ms;
    const cfa__json *error = cfa__json_get(root, "error");
    if (response->status >= 500) {
        unknown(out, keep(error != NULL ? error_code(error) : NULL, arena));
        out->code = out->code != NULL ? out->code : "server_error";
        out->unavailable = 1;
        /* Where Stripe asks not to be asked again, the same 500 would come back. */
        out->stored = response->replayed || response->retry_wish < 0;
    } else if (response->status >= 200 && response->status < 300) {
        if (root == NULL) {
            unknown(out, "unreadable_answer");
        } else {
            reply_accepted(out, call, response, root, arena);
        }
    } else if (response->status >= 400 && error != NULL) {
        reply_error(out, call, response, error, arena);
    } else {
        unknown(out, response->status >= 300 && response->status < 400 ? "unexpected_redirect"
                                                                       : "unreadable_answer");
        out->unavailable = response->status == 429;
    }
}

void cfa__stripe_reply(cfa_reply *out, const cfa_call *call, const cfa__stripe_response *response,
                       const cfa__json *root, cfa_arena *arena) {
    *out = (cfa_reply){ .struct_size = sizeof *out, .facts = CFA_FACTS_INIT };
    if (response->fate == CFA__STRIPE_ANSWERED) {
        reply_answered(out, call, response, root, arena);
    } else {
        reply_lost(out, response);
    }
    /* For a look-up NOT_SENT is an answer: that there is no object. None of these said so. */
    if (call->kind == CFA_CALL_LOOKUP && out->outcome != CFA_OUTCOME_DONE) {
        out->outcome = CFA_OUTCOME_UNKNOWN;
    }
}
