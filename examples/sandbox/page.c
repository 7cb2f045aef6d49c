/*
 * page.c - the page a donor pays on, /pay/{session}, and the bank's page of 3-D Secure,
 * /pay/{intent}/authenticate. A card number is looked at and dropped: never stored, never logged,
 * never shown again.
 */
#include "page.h"
#include "checkout.h"
#include "clock.h"
#include "form.h"
#include "money.h"
#include "store.h"
#include "webhooks.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
    "<title>Careforall sandbox</title><style>"
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:28rem;margin:2rem auto;padding:0 1rem;"
    "color:#1a1f36;background:#fff}label{display:block;margin-top:.75rem}"
    "input{font:inherit;width:100%;padding:.5rem;box-sizing:border-box;border:1px solid #697386;"
    "border-radius:.25rem}button{font:inherit;margin-top:1.25rem;padding:.6rem 1rem;border:0;"
    "border-radius:.25rem;background:#1f4b99;color:#fff;cursor:pointer}"
    ".plain{background:#e3e8ee;color:#1a1f36}.error{border-left:.3rem solid #b3093c;padding:.5rem "
    ".75rem;background:#fff0f4}table{border-collapse:collapse;font-size:.9rem}"
    "td{padding:.15rem .75rem .15rem 0}:focus{outline:3px solid "
    "#7aa7ff}</style></head><body><main>";
static const char foot[] = "</main></body></html>\n";

/* ---- writing -------------------------------------------------------------------------------- */

static void write_escaped(FILE *out, const char *text) {
    for (; text && *text; text++)
        switch (*text) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '"': fputs("&quot;", out); break;
        case '\'': fputs("&#39;", out); break;
        default: fputc(*text, out);
        }
}

static void send_page(call *c, int status, FILE *file, char **text) {
    fputs(foot, file);
    fclose(file);
    call_text(c, status, "text/html; charset=utf-8", *text);
    free(*text);
    call_header_add(c, "Content-Security-Policy", "%s",
                    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
                    "frame-ancestors 'none'");
    call_header_add(c, "Referrer-Policy", "no-referrer");
    call_header_add(c, "X-Content-Type-Options", "nosniff");
}

static void send_message(call *c, int status, const char *title, const char *text) {
    char *page = NULL;
    size_t size = 0;
    FILE *file = must(open_memstream(&page, &size));
    fputs(head, file);
    fprintf(file, "<h1>%s</h1><p>", title);
    write_escaped(file, text);
    fputs("</p>", file);
    send_page(c, status, file, &page);
}

static void redirect(call *c, const char *url) {
    call_text(c, 303, "text/plain; charset=utf-8", "See the other page.\n");
    call_header_add(c, "Location", "%s", url);
}

static void redirect_home(call *c, const json_t *session, const char *key) {
    const char *to = doc_string(session, key);
    if (!to) {
        send_message(c, 200, "Thank you", "This payment is over. You can close this page.");
        return;
    }
    char *url = session_return_url(session, to);
    redirect(c, url);
    free(url);
}

/* ---- the card form -------------------------------------------------------------------------- */

static void write_hints(FILE *file) {
    size_t count;
    const test_card *cards = card_list(&count);
    fputs("<h2>Test cards</h2><p>Any future date and any three digits. No real card works "
          "here.</p><table>",
          file);
    for (size_t i = 0; i < count; i++)
        if (cards[i].number && cards[i].hint)
            fprintf(file, "<tr><td><code>%s</code></td><td>%s</td></tr>", cards[i].number,
                    cards[i].hint);
    fputs("</table>", file);
}

static void show_form(call *c, const json_t *session, const char *problem) {
    char *page = NULL, amount[64];
    size_t size = 0;
    FILE *file = must(open_memstream(&page, &size));
    money_text(amount, sizeof amount, doc_integer(session, "amount_total"),
               doc_string(session, "currency"));
    fputs(head, file);
    json_t *line = json_array_get(json_object_get(json_object_get(session, "_"), "line_items"), 0);
    fprintf(file, "<h1>Pay <span id=\"amount\">%s</span></h1><p>", amount);
    write_escaped(file, doc_string(line, "description"));
    fputs("</p>", file);
    if (problem) {
        fputs("<p class=\"error\" role=\"alert\" id=\"problem\">", file);
        write_escaped(file, problem);
        fputs("</p>", file);
    }
    fprintf(file,
            "<form method=\"post\" action=\"/pay/%s\">"
            "<label for=\"number\">Card number</label><input id=\"number\" name=\"number\" "
            "inputmode=\"numeric\" autocomplete=\"cc-number\" required>"
            "<label for=\"expiry\">Expiry (MM / YY)</label><input id=\"expiry\" name=\"expiry\" "
            "autocomplete=\"cc-exp\" placeholder=\"12 / 34\" required>"
            "<label for=\"cvc\">Security code</label><input id=\"cvc\" name=\"cvc\" "
            "inputmode=\"numeric\" autocomplete=\"cc-csc\" required>"
            "<button type=\"submit\" id=\"pay\">%s %s</button></form>",
            doc_string(session, "id"),
            text_equal(doc_string(session, "submit_type"), "donate") ? "Donate" : "Pay", amount);
    if (doc_string(session, "cancel_url")) {
        char *url = session_return_url(session, doc_string(session, "cancel_url"));
        fputs("<p><a id=\"cancel\" href=\"", file);
        write_escaped(file, url);
        fputs("\">Cancel and go back</a></p>", file);
        free(url);
    }
    write_hints(file);
    send_page(c, problem ? 402 : 200, file, &page);
}

/* "12 / 34" or "12/2034" into month and year. */
static void split_expiry(const char *text, char month[8], char year[8]) {
    size_t at = 0, size[2] = { 0, 0 };
    char *out[2] = { month, year };
    for (; text && *text; text++) {
        if (*text == '/')
            at = 1;
        else if (*text != ' ' && size[at] < 7)
            out[at][size[at]++] = *text;
    }
    month[size[0]] = year[size[1]] = 0;
}

static const char *last_problem(sandbox *box, const json_t *session, json_t **out_intent) {
    const char *id = doc_string(session, "payment_intent");
    *out_intent = id ? store_load(box->store, KIND_INTENT, NULL, id) : NULL;
    return doc_string(json_object_get(*out_intent, "last_payment_error"), "message");
}

static void submit(call *c, json_t *session) {
    char month[8] = "", year[8] = "";
    const char *code = NULL, *message = NULL;
    split_expiry(form_string(c, "expiry"), month, year);
    const char *cvc = form_string(c, "cvc");
    const test_card *card = card_check(form_string(c, "number"), month, year, cvc ? cvc : "",
                                       clock_s(c->box), &code, &message);
    if (!card) {
        show_form(c, session, message);
        return;
    }
    store_begin(c->box->store);
    pay_outcome out = session_submit(c->box, session, card);
    store_commit(c->box->store);
    jobs_wake(c->box);
    sender_wake(c->box);
    if (out == DECLINED) {
        json_t *intent;
        const char *problem = last_problem(c->box, session, &intent);
        show_form(c, session, problem);
        json_decref(intent);
    } else if (out == NEEDS_ACTION) {
        char *url = allocate_text("/pay/%s/authenticate", doc_string(session, "payment_intent"));
        redirect(c, url);
        free(url);
    } else
        redirect_home(c, session, "success_url");
}

static void handle_session(call *c, json_t *session) {
    const char *status = doc_string(session, "status");
    if (strcmp(status, "complete") == 0)
        redirect_home(c, session, "success_url");
    else if (strcmp(status, "expired") == 0)
        send_message(c, 410, "Expired", "This page has expired. Please go back and start again.");
    else if (strcmp(c->method, "POST") == 0)
        submit(c, session);
    else if (strcmp(c->method, "GET") == 0) {
        json_t *intent;
        const char *problem = last_problem(c->box, session, &intent);
        bool waits = intent && text_equal(doc_string(intent, "status"), "requires_action");
        if (waits) {
            char *url =
                allocate_text("/pay/%s/authenticate", doc_string(session, "payment_intent"));
            redirect(c, url);
            free(url);
        } else {
            show_form(c, session, problem);
            c->status = 200;
        }
        json_decref(intent);
    } else
        send_message(c, 405, "Not possible", "Only GET and POST.");
}

/* ---- 3-D Secure ----------------------------------------------------------------------------- */

static void show_bank(call *c, const json_t *intent) {
    char *page = NULL, amount[64];
    size_t size = 0;
    FILE *file = must(open_memstream(&page, &size));
    money_text(amount, sizeof amount, doc_integer(intent, "amount"),
               doc_string(intent, "currency"));
    fputs(head, file);
    fprintf(file,
            "<h1>Your bank asks</h1><p>Do you want to pay <strong>%s</strong>? (This stands in for "
            "3-D Secure.)</p><form method=\"post\" action=\"/pay/%s/authenticate\">"
            "<button type=\"submit\" name=\"result\" value=\"pass\" id=\"pass\">Complete "
            "authentication</button> <button class=\"plain\" type=\"submit\" name=\"result\" "
            "value=\"fail\" id=\"fail\">Fail authentication</button></form>",
            amount, doc_string(intent, "id"));
    send_page(c, 200, file, &page);
}

/* Where the donor goes from the bank. */
static void leave_bank(call *c, const json_t *intent) {
    const char *session_id = doc_string(json_object_get(intent, "_"), "session");
    const char *back = doc_string(json_object_get(intent, "_"), "return_url");
    bool good = word_in("succeeded requires_capture processing", doc_string(intent, "status"));
    json_t *session = session_id ? store_load(c->box->store, KIND_SESSION, NULL, session_id) : NULL;
    if (session && good)
        redirect_home(c, session, "success_url");
    else if (session) {
        char *url = allocate_text("/pay/%s", session_id);
        redirect(c, url);
        free(url);
    } else if (back) {
        char *url =
            allocate_text("%s%spayment_intent=%s&payment_intent_client_secret=%s"
                          "&redirect_status=%s",
                          back, strchr(back, '?') ? "&" : "?", doc_string(intent, "id"),
                          doc_string(intent, "client_secret"), good ? "succeeded" : "failed");
        redirect(c, url);
        free(url);
    } else
        send_message(c, 200, good ? "Thank you" : "Not confirmed",
                     "You can close this page and go back to where you came from.");
    json_decref(session);
}

static void handle_bank(call *c, json_t *intent) {
    const char *result = form_string(c, "result");
    bool waits = text_equal(doc_string(intent, "status"), "requires_action");
    if (waits && strcmp(c->method, "POST") != 0) {
        show_bank(c, intent);
        return;
    }
    if (waits) {
        store_begin(c->box->store);
        payment_authenticate(c->box, intent, text_equal(result, "pass"));
        store_commit(c->box->store);
        jobs_wake(c->box);
        sender_wake(c->box);
    }
    leave_bank(c, intent);
}

void page_handle(call *c) {
    char id[ID_BYTES];
    const char *rest = c->path + strlen("/pay/"), *reason = NULL;
    size_t size = strcspn(rest, "/");
    format_text(id, sizeof id, "%.*s", (int)(size < sizeof id ? size : 0), rest);
    if (!form_parse(c->params, c->body, c->body_size, &reason)) {
        send_message(c, 400, "Not understood", reason);
        return;
    }
    json_t *session = rest[size] ? NULL : store_load(c->box->store, KIND_SESSION, NULL, id);
    json_t *intent = strcmp(rest + size, "/authenticate") == 0
                         ? store_load(c->box->store, KIND_INTENT, NULL, id)
                         : NULL;
    if (session)
        handle_session(c, session);
    else if (intent)
        handle_bank(c, intent);
    else
        send_message(c, 404, "Not found", "There is no such payment page.");
    json_decref(session);
    json_decref(intent);
}
