/*
 * checkout.c - /v1/checkout/sessions. A session has no intent before the donor submits, and at most
 * one ever: a second try goes to the same intent.
 */
#include "checkout.h"
#include "api.h"
#include "clock.h"
#include "form.h"
#include "money.h"
#include "webhooks.h"

#include <stdlib.h>
#include <string.h>

enum { EXPIRES_MIN_S = 1800, LINE_ITEMS_MAX = 100, QUANTITY_MAX = 999999 };

/* ---- create --------------------------------------------------------------------------------- */

static const char item_shape[] =
    "{'id':'','object':'item','amount_discount':0,'amount_subtotal':0,'amount_tax':0,"
    "'amount_total':0,'currency':'','description':'','metadata':{},"
    "'price':{'id':'','object':'price','active':false,'billing_scheme':'per_unit','currency':'',"
    "'product':'','type':'one_time','unit_amount':0},'quantity':1}";

/* One line of `line_items`; adds to the total. NULL after a refusal. */
static json_t *read_line(call *c, json_t *line, char currency[4], int64_t *total) {
    json_t *price = json_object_get(line, "price_data");
    const char *text = doc_string(price, "unit_amount"), *many = doc_string(line, "quantity");
    const char *name = doc_string(json_object_get(price, "product_data"), "name");
    int64_t unit = 0, quantity = 1;
    char own[4], id[ID_BYTES], price_id[ID_BYTES], product_id[ID_BYTES];
    if (!json_is_object(price))
        return call_fail(c, 400, "invalid_request_error", "parameter_missing",
                         "line_items[0][price_data]",
                         "The sandbox takes line items with price_data only.");
    if (!text || !text_integer(text, &unit) || unit < 0)
        return call_fail(c, 400, "invalid_request_error", "parameter_invalid_integer",
                         "line_items[0][price_data][unit_amount]", "Invalid integer: %s",
                         text ? text : "(missing)");
    if (!many || !text_integer(many, &quantity) || quantity < 1 || quantity > QUANTITY_MAX)
        return call_fail(c, 400, "invalid_request_error", "parameter_missing",
                         "line_items[0][quantity]", "Quantity is required.");
    if (!name || !*name)
        return call_fail(c, 400, "invalid_request_error", "parameter_missing",
                         "line_items[0][price_data][product_data]",
                         "You must specify product_data[name].");
    if (!doc_string(price, "currency"))
        return call_fail(c, 400, "invalid_request_error", "parameter_missing",
                         "line_items[0][price_data][currency]",
                         "Missing required param: line_items[0][price_data][currency].");
    if (!money_currency(c, doc_string(price, "currency"), "line_items[0][price_data][currency]",
                        own))
        return NULL;
    if (*currency && strcmp(currency, own) != 0)
        return call_fail(c, 400, "invalid_request_error", NULL, "line_items",
                         "All line items must have the same currency.");
    memcpy(currency, own, sizeof own);
    if (unit > (INT64_MAX / 2 - *total) / quantity)
        unit = INT64_MAX / 2 / quantity / LINE_ITEMS_MAX; /* refused as too large below */
    *total += unit * quantity;
    random_id(c->box, id, "li_1", 23);
    random_id(c->box, price_id, "price_1", 23);
    random_id(c->box, product_id, "prod_", 14);
    json_t *item = shape(item_shape), *of = json_object_get(item, "price");
    doc_set_string(item, "id", id);
    doc_set_integer(item, "amount_subtotal", unit * quantity);
    doc_set_integer(item, "amount_total", unit * quantity);
    doc_set_string(item, "currency", own);
    doc_set_string(item, "description", name);
    doc_set_integer(item, "quantity", quantity);
    doc_set_string(of, "id", price_id);
    doc_set_string(of, "currency", own);
    doc_set_string(of, "product", product_id);
    doc_set_integer(of, "unit_amount", unit);
    return item;
}

static json_t *read_lines(call *c, char currency[4], int64_t *total) {
    json_t *given = form_nested(c, "line_items"), *line;
    json_t *lines = must(json_array());
    const char *index;
    json_object_foreach(given, index, line) {
        json_t *item =
            json_array_size(lines) < LINE_ITEMS_MAX ? read_line(c, line, currency, total) : NULL;
        if (!item) {
            json_decref(lines);
            return c->error ? NULL
                            : call_fail(c, 400, "invalid_request_error", NULL, "line_items",
                                        "At most %d line items.", LINE_ITEMS_MAX);
        }
        json_array_append_new(lines, item);
    }
    if (json_array_size(lines) && money_amount(c, *total, currency, "line_items"))
        return lines;
    if (!c->error)
        call_fail(c, 400, "invalid_request_error", "parameter_missing", "line_items",
                  "You must specify line_items in `payment` mode.");
    json_decref(lines);
    return NULL;
}

/* Metadata of the session and of its future intent. */
static bool read_metadata(call *c, json_t *own, json_t *of_intent) {
    json_t *data = form_nested(c, "payment_intent_data");
    json_t *given = form_nested(c, "metadata"), *deeper = json_object_get(data, "metadata");
    return (!given || form_metadata(c, "metadata", given, own)) &&
           (!json_is_object(deeper) ||
            form_metadata(c, "payment_intent_data[metadata]", deeper, of_intent));
}

static const char session_shape[] =
    "{'id':'','object':'checkout.session','after_expiration':null,'allow_promotion_codes':null,"
    "'amount_subtotal':0,'amount_total':0,'automatic_tax':{'enabled':false,'liability':null,"
    "'provider':null,'status':null},'billing_address_collection':null,'cancel_url':null,"
    "'client_reference_id':null,'client_secret':null,'consent':null,'consent_collection':null,"
    "'created':0,'currency':'','currency_conversion':null,'custom_fields':[],"
    "'custom_text':{'after_submit':null,'shipping_address':null,'submit':null,"
    "'terms_of_service_acceptance':null},'customer':null,'customer_creation':'if_required',"
    "'customer_details':null,'customer_email':null,'discounts':[],'expires_at':0,"
    "'invoice':null,'invoice_creation':null,'livemode':false,'locale':null,'metadata':{},"
    "'mode':'payment','payment_intent':null,'payment_link':null,"
    "'payment_method_collection':'if_required','payment_method_configuration_details':null,"
    "'payment_method_options':{},'payment_method_types':['card'],'payment_status':'unpaid',"
    "'recovered_from':null,'setup_intent':null,'shipping_address_collection':null,"
    "'shipping_options':[],'status':'open','submit_type':null,'subscription':null,"
    "'success_url':null,'total_details':{'amount_discount':0,'amount_shipping':0,"
    "'amount_tax':0},'ui_mode':'hosted_page','url':null,'wallet_options':null}";

static json_t *session_doc(call *c, const char *id, int64_t total, const char *currency,
                           int64_t expires_at, json_t *metadata) {
    json_t *out = shape(session_shape);
    doc_set_string(out, "id", id);
    doc_set_integer(out, "amount_subtotal", total);
    doc_set_integer(out, "amount_total", total);
    doc_set_string(out, "cancel_url", form_string(c, "cancel_url"));
    doc_set_string(out, "client_reference_id", form_string(c, "client_reference_id"));
    doc_set_integer(out, "created", clock_s(c->box));
    doc_set_string(out, "currency", currency);
    doc_set_string(out, "customer_email", form_string(c, "customer_email"));
    doc_set_integer(out, "expires_at", expires_at);
    doc_set(out, "metadata", json_deep_copy(metadata));
    doc_set_string(out, "success_url", form_string(c, "success_url"));
    doc_set(out, "url", json_sprintf("%s/pay/%s", c->box->base_url, id));
    doc_set_string(out, "submit_type", form_string(c, "submit_type"));
    return out;
}

static json_t *create_from(call *c, json_t *metadata, json_t *of_intent) {
    char currency[4] = "", id[ID_BYTES];
    const char *url, *capture = "automatic_async", *mode;
    const char *submit = NULL;
    int64_t total = 0, now_s = clock_s(c->box), expires_at = now_s + SESSION_S;
    json_t *data = form_nested(c, "payment_intent_data");
    if (!(mode = form_required(c, "mode")) || !form_url(c, "success_url", true, &url) ||
        !form_url(c, "cancel_url", false, &url) || !form_integer(c, "expires_at", &expires_at) ||
        !form_choice(c, "submit_type", "auto book donate pay", &submit) ||
        !read_metadata(c, metadata, of_intent))
        return NULL;
    if (strcmp(mode, "payment") != 0)
        return call_fail(c, 400, "invalid_request_error", NULL, "mode",
                         "Invalid mode: the sandbox knows payment only.");
    if (form_string(c, "expires_at") &&
        (expires_at < now_s + EXPIRES_MIN_S - 60 || expires_at > now_s + SESSION_S + 60))
        return call_fail(c, 400, "invalid_request_error", NULL, "expires_at",
                         "The `expires_at` timestamp must be between 30 minutes and 24 hours from "
                         "Checkout Session creation.");
    if (doc_string(data, "capture_method"))
        capture = doc_string(data, "capture_method");
    if (!word_in("automatic automatic_async manual", capture))
        return call_fail(
            c, 400, "invalid_request_error", NULL, "payment_intent_data[capture_method]",
            "Invalid capture_method: must be one of automatic, automatic_async, manual");
    json_t *lines = read_lines(c, currency, &total);
    if (!lines)
        return NULL;
    call_execute(c);
    random_id(c->box, id, "cs_test_a1", 56);
    json_t *session = session_doc(c, id, total, currency, expires_at, metadata);
    json_t *hidden = doc_hidden(session);
    doc_set(hidden, "line_items", lines);
    doc_set(hidden, "intent_metadata", json_deep_copy(of_intent));
    doc_set_string(hidden, "capture_method", capture);
    doc_set_string(hidden, "description", doc_string(data, "description"));
    const char *line = doc_string(of_intent, "payment_id");
    line = line && *line ? line : doc_string(metadata, "payment_id");
    doc_set_string(hidden, "payment_id", line && *line ? line : id);
    store_insert(c->box->store, KIND_SESSION, c->account, session, NULL,
                 doc_string(hidden, "payment_id"));
    store_payment(c->box->store, &(payment_change){ .payment_id = doc_string(hidden, "payment_id"),
                                                    .account = c->account,
                                                    .currency = currency,
                                                    .amount = total,
                                                    .sessions = 1 });
    store_job(c->box->store, expires_at * 1000000, "session", id);
    json_object_del(session, "_");
    return session;
}

json_t *session_create(call *c, const char *id) {
    (void)id;
    json_t *metadata = must(json_object()), *of_intent = must(json_object());
    json_t *out = create_from(c, metadata, of_intent);
    json_decref(metadata);
    json_decref(of_intent);
    return out;
}

/* ---- what the donor does -------------------------------------------------------------------- */

pay_outcome session_submit(sandbox *box, json_t *session, const test_card *card) {
    json_t *hidden = doc_hidden(session), *intent;
    const char *intent_id = doc_string(session, "payment_intent");
    char method[ID_BYTES];
    if (intent_id)
        intent = must(store_load(box->store, KIND_INTENT, NULL, intent_id));
    else {
        json_t *metadata = must(json_deep_copy(json_object_get(hidden, "intent_metadata")));
        intent = payment_new(box, doc_account(session), doc_integer(session, "amount_total"),
                             doc_string(session, "currency"), doc_string(hidden, "capture_method"),
                             doc_string(hidden, "description"), metadata, doc_string(session, "id"),
                             doc_string(hidden, "payment_id"));
        json_decref(metadata);
        doc_set_string(session, "payment_intent", doc_string(intent, "id"));
        store_place(box->store, doc_string(session, "id"), doc_string(intent, "id"),
                    doc_string(hidden, "payment_id"));
        store_update(box->store, session);
    }
    doc_set(doc_hidden(intent), "return_url", json_sprintf("%s", doc_string(session, "url")));
    method_new(box, doc_account(session), card, method);
    pay_outcome out = payment_attempt(box, intent, card, method, false);
    json_decref(intent);
    return out;
}

static void emit(sandbox *box, json_t *session, const char *type) {
    event_emit(box, doc_account(session), type, session, NULL);
}

void session_follow(sandbox *box, json_t *intent, pay_outcome outcome) {
    const char *id = doc_string(doc_hidden(intent), "session");
    json_t *session = id ? store_load(box->store, KIND_SESSION, NULL, id) : NULL;
    if (!session)
        return;
    bool open = text_equal(doc_string(session, "status"), "open");
    bool async = text_equal(doc_string(doc_hidden(session), "waits"), "yes");
    if (outcome == PAID)
        doc_set_string(session, "payment_status", "paid");
    if (open && outcome != DECLINED) {
        doc_set_string(session, "status", "complete");
        doc_set(session, "url", json_null());
        doc_set_string(doc_hidden(session), "waits", outcome == PROCESSING ? "yes" : NULL);
        store_update(box->store, session);
        emit(box, session, "checkout.session.completed");
    } else if (async) {
        doc_set(doc_hidden(session), "waits", json_null());
        store_update(box->store, session);
        emit(box, session,
             outcome == PAID ? "checkout.session.async_payment_succeeded"
                             : "checkout.session.async_payment_failed");
    } else
        store_update(box->store, session);
    json_decref(session);
}

static void expire_session(sandbox *box, json_t *session) {
    const char *intent_id = doc_string(session, "payment_intent");
    doc_set_string(session, "status", "expired");
    doc_set(session, "url", json_null());
    store_update(box->store, session);
    json_t *intent = intent_id ? store_load(box->store, KIND_INTENT, NULL, intent_id) : NULL;
    if (intent && payment_can_confirm(intent))
        payment_cancel(box, intent, "automatic", false);
    json_decref(intent);
    emit(box, session, "checkout.session.expired");
}

void session_over(sandbox *box, const char *session_id) {
    json_t *session = store_load(box->store, KIND_SESSION, NULL, session_id);
    if (session && text_equal(doc_string(session, "status"), "open"))
        expire_session(box, session);
    json_decref(session);
}

char *session_return_url(const json_t *session, const char *url) {
    static const char place[] = "{CHECKOUT_SESSION_ID}";
    const char *found = strstr(url, place);
    if (!found)
        return allocate_text("%s", url);
    return allocate_text("%.*s%s%s", (int)(found - url), url, doc_string(session, "id"),
                         found + strlen(place));
}

/* ---- routes that read ----------------------------------------------------------------------- */

json_t *session_retrieve(call *c, const char *id) {
    json_t *session = load(c, KIND_SESSION, id, "checkout.session", "session");
    if (session)
        json_object_del(session, "_");
    return session;
}

json_t *session_list(call *c, const char *id) {
    (void)id;
    return list(c, &(list_filter){ .kind = KIND_SESSION,
                                   .url = "/v1/checkout/sessions",
                                   .parent = form_string(c, "payment_intent"),
                                   .delivered = -1 });
}

json_t *session_expire(call *c, const char *id) {
    json_t *session = load(c, KIND_SESSION, id, "checkout.session", "session");
    if (!session)
        return NULL;
    call_execute(c);
    const char *status = doc_string(session, "status");
    if (strcmp(status, "open") != 0) {
        call_fail(
            c, 400, "invalid_request_error", NULL, NULL,
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout "
            "Session has a status of `%s`.",
            status);
        json_decref(session);
        return NULL;
    }
    expire_session(c->box, session);
    json_object_del(session, "_");
    return session;
}

json_t *session_line_items(call *c, const char *id) {
    json_t *session = load(c, KIND_SESSION, id, "checkout.session", "session");
    if (!session)
        return NULL;
    json_t *out = pack("{s:s, s:O, s:b, s:o}", "object", "list", "data",
                       json_object_get(doc_hidden(session), "line_items"), "has_more", 0, "url",
                       json_sprintf("/v1/checkout/sessions/%s/line_items", id));
    json_decref(session);
    return out;
}
