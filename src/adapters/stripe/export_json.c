/*
 * export_json.c - Stripe's objects as its API writes them: one after the other, or in list objects.
 * Objects are cut out of the stream by their brackets and strings; what they hold is for the strict
 * parser and for object.c to judge.
 */
#include "adapters/stripe/export.h"
#include "adapters/stripe/reversal.h"

#include <string.h>

static const char data_key[] = "data";

/* ---- cutting --------------------------------------------------------------------------------- */

static int skip_space(cfa_stripe_export *file) {
    int byte = cfa__export_peek(file);
    while (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r') {
        (void)cfa__export_byte(file);
        byte = cfa__export_peek(file);
    }
    return byte;
}

static cfa_status cut_short(cfa_stripe_export *file) {
    return cfa__export_refuse(file, CFA_EINVAL, file->text_line, NULL,
                              "the file ends inside of what begins here");
}

/* A string, of which the first quote was kept. */
static cfa_status keep_string(cfa_stripe_export *file) {
    static const bool stops[256] = { ['\0'] = true, ['\n'] = true, ['"'] = true, ['\\'] = true };
    for (;;) {
        cfa_status status = cfa__export_keep_until(file, stops);
        if (status != CFA_OK)
            return status;
        int byte = cfa__export_byte(file);
        if (byte == CFA__EXPORT_END)
            return cut_short(file);
        status = cfa__export_keep(file, byte);
        if (status == CFA_OK && byte == '\\') {
            byte = cfa__export_byte(file);
            if (byte == CFA__EXPORT_END)
                return cut_short(file);
            status = cfa__export_keep(file, byte);
        } else if (byte == '"') {
            return status;
        }
        if (status != CFA_OK)
            return status;
    }
}

/* True when the string that ends here is the key "data" of an array: its colon and bracket are taken
 * then. A key is followed by a colon; a value never is. */
static cfa_status begins_data(cfa_stripe_export *file, size_t from, bool *out) {
    *out = false;
    if (file->size - from != sizeof data_key + 1 ||
        memcmp(file->text + from + 1, data_key, sizeof data_key - 1) != 0 ||
        skip_space(file) != ':')
        return CFA_OK;
    (void)cfa__export_byte(file);
    cfa_status status = cfa__export_keep(file, ':');
    if (status == CFA_OK && skip_space(file) == '[') {
        (void)cfa__export_byte(file);
        *out = true;
    }
    return status;
}

/*
 * Keep the rest of an object up to its last bracket; `depth`: how many are open. With `out_data` it
 * stops behind the bracket of a "data" array on the first level.
 */
static cfa_status cut(cfa_stripe_export *file, int64_t depth, bool *out_data) {
    static const bool stops[256] = { ['\0'] = true, ['\n'] = true, ['"'] = true, ['{'] = true,
                                     ['}'] = true,  ['['] = true,  [']'] = true };
    cfa_status status = CFA_OK;
    while (status == CFA_OK) {
        status = cfa__export_keep_until(file, stops);
        if (status != CFA_OK)
            return status;
        int byte = cfa__export_byte(file);
        size_t from = file->size;
        if (byte == CFA__EXPORT_END)
            return cut_short(file);
        status = cfa__export_keep(file, byte);
        if (status == CFA_OK && byte == '"') {
            status = keep_string(file);
            if (status == CFA_OK && depth == 1 && out_data != NULL)
                status = begins_data(file, from, out_data);
            if (out_data != NULL && *out_data)
                return status;
        }
        depth += byte == '{' || byte == '[';
        depth -= byte == '}' || byte == ']';
        if (depth == 0)
            return status;
    }
    return status;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void keep_frame(cfa_stripe_export *file) {
    memcpy(file->frame, file->text, file->size);
    file->frame_size = file->size;
}

/* The list's data is over: what stands around it says what it was. */
static cfa_status end_list(cfa_stripe_export *file) {
    cfa__json *root;
    bool more = false;
    memcpy(file->text, file->frame, file->frame_size);
    file->size = file->frame_size;
    cfa_status status = CFA_OK;
    for (const char *at = "null"; *at != '\0' && status == CFA_OK; at++)
        status = cfa__export_keep(file, *at);
    if (status == CFA_OK)
        status = cut(file, 1, NULL);
    if (status != CFA_OK)
        return status;
    status = cfa__json_parse(&root, (cfa_slice){ file->text, file->size });
    if (status != CFA_OK)
        return cfa__export_refuse_again(file, file->line);
    bool is_list = cfa__stripe_object_is(root, "list");
    bool tells = cfa__json_read_bool(cfa__json_get(root, "has_more"), &more);
    cfa__json_free(root);
    file->in_list = false;
    file->list_goes_on = more;
    if (!is_list)
        return cfa__export_refuse(file, CFA_EINVAL, file->line, "object",
                                  "what holds this data is not a list");
    return tells ? CFA_OK
                 : cfa__export_refuse(file, CFA_EINVAL, file->line, "has_more",
                                      "the list does not say whether it goes on");
}

/* To the next object in a list; `*out` false when it ended. */
static cfa_status step_list(cfa_stripe_export *file, bool first, bool *out) {
    int byte = skip_space(file);
    *out = false;
    if (byte == ']') {
        (void)cfa__export_byte(file);
        return end_list(file);
    }
    if (!first) {
        if (byte != ',')
            return cfa__export_refuse(file, CFA_EINVAL, file->line, NULL,
                                      "a comma or the list's end should stand here");
        (void)cfa__export_byte(file);
        byte = skip_space(file);
    }
    *out = true;
    return byte == '{' ? CFA_OK
                       : cfa__export_refuse(file, CFA_EINVAL, file->line, NULL,
                                            "an object of the list should begin here");
}

static cfa_status cut_object(cfa_stripe_export *file, bool *out_data) {
    file->size = 0;
    file->text_line = file->line;
    cfa_status status = cfa__export_keep(file, cfa__export_byte(file));
    return status == CFA_OK ? cut(file, 1, out_data) : status;
}

/* Put the next object into `text`. */
static cfa_status next_text(cfa_stripe_export *file) {
    cfa_status status = CFA_OK;
    bool in_data = file->in_list, first = false;
    while (status == CFA_OK) {
        if (file->in_list) {
            bool more;
            status = step_list(file, first, &more);
            if (status == CFA_OK && more)
                return cut_object(file, NULL);
            continue;
        }
        int byte = skip_space(file);
        if (byte == CFA__EXPORT_END)
            return file->list_goes_on
                       ? cfa__export_refuse(file, CFA_EINVAL, file->line, "has_more",
                                            "the list goes on: export all of its pages")
                       : CFA_ENOTFOUND;
        if (byte != '{')
            return cfa__export_refuse(file, CFA_EINVAL, file->line, NULL,
                                      "an object should begin here");
        in_data = false;
        status = cut_object(file, &in_data);
        if (status != CFA_OK || !in_data)
            return status;
        keep_frame(file);
        file->in_list = first = true;
    }
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

static cfa_status check_common(cfa_stripe_export *file, const cfa__json *root,
                               cfa_reconcile_object *out, int64_t *out_us) {
    int64_t created_s;
    bool live;
    cfa_money none;
    const char *id = cfa__stripe_text(root, "id"), *currency = cfa__stripe_text(root, "currency");
    if (id == NULL || id[0] == '\0')
        return cfa__export_refuse(file, CFA_EINVAL, file->text_line, "id", "the object has none");
    if (!cfa__json_read_int(cfa__json_get(root, "created"), &created_s) || created_s < 0 ||
        created_s > INT64_MAX / 1000000)
        return cfa__export_refuse(file, CFA_EINVAL, file->text_line, "created",
                                  "it should be a time in whole seconds");
    if (currency != NULL && !cfa__stripe_money(&none, 0, currency))
        return cfa__export_refuse(file, CFA_ECURRENCY, file->text_line, "currency",
                                  "ISO 4217 does not list it");
    if (cfa__json_read_bool(cfa__json_get(root, "livemode"), &live))
        out->livemode = live;
    *out_us = created_s * 1000000;
    file->mark.id = cfa__export_hash(file, id, strlen(id));
    return CFA_OK;
}

static cfa_status read_charge(cfa_reconcile_object *out, const cfa__json *root, int64_t moment_us,
                              cfa_arena *arena) {
    uint32_t unread;
    cfa_money refunded, captured;
    cfa_status status = cfa__stripe_charge(&out->facts, root, moment_us, arena);
    if (status == CFA_OK)
        status = cfa__stripe_charge_reversals(&out->facts, &unread, root, moment_us, arena);
    if (status == CFA_OK)
        status = cfa__stripe_amount(&refunded, root, "charge", "amount_refunded", false);
    if (status == CFA_OK)
        status = cfa__stripe_amount(&captured, root, "charge", "amount_captured", false);
    out->whole = (out->facts.flags & CFA_FACT_FAILED) == 0;
    /* What was held and not captured counts as refunded there. */
    if (status == CFA_OK && captured.minor > 0 && captured.minor == out->facts.amount.minor)
        out->refunded_minor = refunded.minor;
    return status;
}

/* A movement whose source is expanded is that object, with the fee that only the movement tells. */
static cfa_status read_movement(cfa_stripe_export *file, const cfa__json *root,
                                cfa_reconcile_object *out, int64_t moment_us) {
    const cfa__json *source;
    bool tells = true, live;
    cfa_status status = cfa__export_movement_read(file, root, out, &source);
    if (status != CFA_OK || source == NULL)
        return status;
    if (cfa__json_read_bool(cfa__json_get(source, "livemode"), &live))
        out->livemode = live;
    if (cfa__stripe_object_is(source, "charge")) {
        status = read_charge(out, source, moment_us, file->arena);
        if (status == CFA_OK && cfa__stripe_text_is(root, "reporting_category", "charge"))
            cfa__stripe_row_fee(&out->facts, root);
    } else if (cfa__stripe_object_is(source, "refund")) {
        out->kind = CFA_RECONCILE_REFUND;
        status = cfa__stripe_refund(&out->facts, &tells, source, moment_us, file->arena);
    } else {
        out->kind = CFA_RECONCILE_DISPUTE;
        status = cfa__stripe_dispute(&out->facts, &tells, source, NULL, moment_us, file->arena);
    }
    return status == CFA_OK ? CFA_OK : cfa__export_refuse_again(file, file->text_line);
}

static cfa_status read_object(cfa_stripe_export *file, const cfa__json *root,
                              cfa_reconcile_object *out, int64_t moment_us) {
    uint32_t unread;
    bool tells = true;
    cfa_status status;
    if (cfa__stripe_object_is(root, "balance_transaction"))
        return read_movement(file, root, out, moment_us);
    if (cfa__stripe_object_is(root, "payout")) {
        out->kind = CFA_RECONCILE_OTHER;
        status = CFA_OK;
    } else if (cfa__stripe_object_is(root, "payment_intent")) {
        status = cfa__stripe_intent(&out->facts, root, moment_us, file->arena);
        if (status == CFA_OK)
            status =
                cfa__stripe_object_reversals(&out->facts, &unread, root, moment_us, file->arena);
        out->whole = 1;
    } else if (cfa__stripe_object_is(root, "checkout.session")) {
        status = cfa__stripe_session(&out->facts, &tells, root, moment_us, file->arena);
    } else if (cfa__stripe_object_is(root, "charge")) {
        status = read_charge(out, root, moment_us, file->arena);
    } else if (cfa__stripe_object_is(root, "refund")) {
        out->kind = CFA_RECONCILE_REFUND;
        status = cfa__stripe_refund(&out->facts, &tells, root, moment_us, file->arena);
    } else if (cfa__stripe_object_is(root, "dispute")) {
        out->kind = CFA_RECONCILE_DISPUTE;
        status = cfa__stripe_dispute(&out->facts, &tells, root, NULL, moment_us, file->arena);
    } else {
        return cfa__export_refuse(file, CFA_EINVAL, file->text_line, "object",
                                  "it is none of payment_intent, checkout.session, charge, refund, "
                                  "dispute, balance_transaction and payout");
    }
    return status == CFA_OK ? CFA_OK : cfa__export_refuse_again(file, file->text_line);
}

cfa_status cfa__export_json_next(cfa_stripe_export *file, cfa_reconcile_object *out) {
    cfa__json *root;
    int64_t moment_us = 0;
    cfa_status status = next_text(file);
    if (status != CFA_OK)
        return status;
    status = cfa__json_parse(&root, (cfa_slice){ file->text, file->size });
    if (status != CFA_OK)
        return cfa__export_refuse_again(file, file->text_line);
    file->mark.content = cfa__export_hash(file, file->text, file->size);
    out->line = file->text_line;
    status = check_common(file, root, out, &moment_us);
    if (status == CFA_OK)
        status = read_object(file, root, out, moment_us);
    cfa__json_free(root);
    return status;
}
