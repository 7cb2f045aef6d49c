/*
 * export_csv.c - the payments export of Stripe's Dashboard: RFC 4180, columns by their names. A row
 * is a report about a charge, not the provider's object: it is compared, and nothing is repaired from
 * it. Amounts are read as exact decimals.
 */
#include "adapters/stripe/export.h"
#include "util/text.h"

#include <string.h>
#include <strings.h>

/* Two names of one column: Stripe has renamed some. */
static const struct column {
    const char *name, *other;
    bool required;
} columns[CFA__COLUMNS] = {
    [CFA__COLUMN_ID] = { "id", NULL, true },
    [CFA__COLUMN_CREATED] = { "Created date (UTC)", "Created (UTC)", true },
    [CFA__COLUMN_AMOUNT] = { "Amount", NULL, true },
    [CFA__COLUMN_REFUNDED] = { "Amount Refunded", NULL, false },
    [CFA__COLUMN_CURRENCY] = { "Currency", NULL, true },
    [CFA__COLUMN_CAPTURED] = { "Captured", NULL, true },
    [CFA__COLUMN_STATUS] = { "Status", NULL, true },
    [CFA__COLUMN_INTENT] = { "PaymentIntent ID", NULL, true },
    [CFA__COLUMN_MODE] = { "Mode", NULL, false },
    [CFA__COLUMN_PAYMENT_ID] = { "payment_id (metadata)", NULL, false },
};

/* ---- rows ------------------------------------------------------------------------------------ */

static cfa_status refuse(cfa_stripe_export *file, const char *why) {
    return cfa__export_refuse(file, CFA_EINVAL, file->line, NULL, why);
}

/* Behind a field: its comma, or the row's end. */
static cfa_status end_field(cfa_stripe_export *file, bool *out_row_ends) {
    int byte = cfa__export_byte(file);
    int32_t line_end = 0;
    *out_row_ends = byte != ',';
    if (byte == ',' || byte == CFA__EXPORT_END)
        return cfa__export_keep(file, '\n'); /* any byte that the field does not hold */
    if (byte == '\r') {
        if (cfa__export_byte(file) != '\n')
            return refuse(file, "a carriage return stands alone");
        line_end = 2;
    } else if (byte == '\n') {
        line_end = 1;
    } else {
        return refuse(file, "a comma or the row's end should stand behind the quote");
    }
    if (file->line_ends != 0 && file->line_ends != line_end)
        return cfa__export_refuse(file, CFA_EINVAL, file->line - 1, NULL,
                                  "the row ends otherwise than those before it (CR LF, LF)");
    file->line_ends = line_end;
    return cfa__export_keep(file, '\n');
}

static cfa_status quoted_field(cfa_stripe_export *file) {
    cfa_status status = CFA_OK;
    (void)cfa__export_byte(file);
    while (status == CFA_OK) {
        int byte = cfa__export_byte(file);
        if (byte == CFA__EXPORT_END)
            return cfa__export_refuse(file, CFA_EINVAL, file->text_line, NULL,
                                      "a quote of this row is never closed");
        if (byte == '"') {
            if (cfa__export_peek(file) != '"')
                return CFA_OK;
            (void)cfa__export_byte(file);
        }
        status = cfa__export_keep(file, byte);
    }
    return status;
}

static cfa_status plain_field(cfa_stripe_export *file) {
    cfa_status status = CFA_OK;
    while (status == CFA_OK) {
        int byte = cfa__export_peek(file);
        if (byte == ',' || byte == '\n' || byte == '\r' || byte == CFA__EXPORT_END)
            return CFA_OK;
        if (byte == '"')
            return refuse(file, "a quote stands inside of a field without quotes");
        status = cfa__export_keep(file, cfa__export_byte(file));
    }
    return status;
}

/* Read one row; its fields are ended by NULs, which no field holds. */
static cfa_status next_row(cfa_stripe_export *file) {
    bool ends = false;
    cfa_status status = CFA_OK;
    file->size = 0;
    file->field_count = 0;
    file->text_line = file->line;
    if (cfa__export_peek(file) == CFA__EXPORT_END)
        return CFA_ENOTFOUND;
    while (status == CFA_OK && !ends) {
        if (file->field_count == CFA__EXPORT_COLUMNS_MAX)
            return cfa__export_refuse(file, CFA_ETOOLONG, file->text_line, NULL,
                                      "the row has more than 512 fields");
        size_t from = file->size;
        file->fields[file->field_count++] = from;
        status = cfa__export_peek(file) == '"' ? quoted_field(file) : plain_field(file);
        if (status == CFA_OK && !cfa__text_is_utf8(file->text + from, file->size - from))
            status = cfa__export_refuse(file, CFA_EENCODING, file->text_line, NULL,
                                        "a field is not valid UTF-8");
        if (status == CFA_OK)
            status = end_field(file, &ends);
        if (status == CFA_OK)
            file->text[file->size - 1] = '\0';
    }
    return status;
}

static const char *field_of(const cfa_stripe_export *file, int32_t column) {
    int32_t at = file->columns[column];
    return at >= 0 ? file->text + file->fields[at] : "";
}

/* ---- the header ------------------------------------------------------------------------------ */

static bool is_column(int32_t column, const char *name) {
    return strcmp(name, columns[column].name) == 0 ||
           (columns[column].other != NULL && strcmp(name, columns[column].other) == 0);
}

cfa_status cfa__export_csv_begin(cfa_stripe_export *file) {
    cfa_status status = next_row(file);
    if (status != CFA_OK)
        return status;
    file->column_count = file->field_count;
    for (int32_t i = 0; i < CFA__COLUMNS; i++) {
        file->columns[i] = -1;
        for (int32_t at = 0; at < file->field_count; at++) {
            if (!is_column(i, file->text + file->fields[at]))
                continue;
            if (file->columns[i] >= 0)
                return cfa__export_refuse(file, CFA_EINVAL, 1, columns[i].name,
                                          "the header has this column twice");
            file->columns[i] = at;
        }
        if (columns[i].required && file->columns[i] < 0)
            return cfa__export_refuse(file, CFA_EINVAL, 1, columns[i].name,
                                      "the header lacks this column");
    }
    return CFA_OK;
}

/* ---- values ---------------------------------------------------------------------------------- */

static cfa_status wrong(cfa_stripe_export *file, cfa_status status, int32_t column,
                        const char *why) {
    return cfa__export_refuse(file, status, file->text_line, columns[column].name, why);
}

static cfa_status read_currency(cfa_stripe_export *file, char out[4]) {
    const char *text = field_of(file, CFA__COLUMN_CURRENCY);
    cfa_money money;
    if (!cfa__stripe_money(&money, 0, text))
        return wrong(file, CFA_ECURRENCY, CFA__COLUMN_CURRENCY, "ISO 4217 does not list it");
    memcpy(out, money.currency, 4);
    return CFA_OK;
}

static cfa_status read_amount(cfa_stripe_export *file, int32_t column, const char *currency,
                              cfa_money *out) {
    char text[64];
    const char *field = field_of(file, column);
    if (field[0] < '0' || field[0] > '9' || strlen(field) > 24)
        return wrong(file, CFA_EAMOUNT, column, "it should be an amount such as 12.50");
    snprintf(text, sizeof text, "%s %s", field, currency);
    return cfa_money_parse(out, text) == CFA_OK ? CFA_OK
                                                : cfa__export_refuse_again(file, file->text_line);
}

static bool read_digits(const char **at, int32_t count, int32_t least, int32_t most, int32_t *out) {
    *out = 0;
    for (int32_t i = 0; i < count; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *out = *out * 10 + (**at - '0');
    }
    return *out >= least && *out <= most;
}

static bool read_mark(const char **at, char mark) {
    bool good = **at == mark;
    *at += good;
    return good;
}

/* Days since 1970 of a date of the Gregorian calendar. */
static int64_t days_of(int32_t year, int32_t month, int32_t day) {
    int64_t y = month <= 2 ? year - 1 : year, era = y / 400, of_era = y % 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* "2026-01-31 12:00", with seconds or without; the header says that it is UTC. */
static cfa_status read_time(cfa_stripe_export *file, int64_t *out_us) {
    static const int32_t longest[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const char *at = field_of(file, CFA__COLUMN_CREATED);
    int32_t year, month, day, hour, minute, second = 0;
    bool good = read_digits(&at, 4, 2000, 9999, &year) && read_mark(&at, '-') &&
                read_digits(&at, 2, 1, 12, &month) && read_mark(&at, '-') &&
                read_digits(&at, 2, 1, longest[month - 1], &day) && read_mark(&at, ' ') &&
                read_digits(&at, 2, 0, 23, &hour) && read_mark(&at, ':') &&
                read_digits(&at, 2, 0, 59, &minute);
    if (good && *at == ':')
        good = read_mark(&at, ':') && read_digits(&at, 2, 0, 59, &second);
    if (!good || *at != '\0')
        return wrong(file, CFA_EINVAL, CFA__COLUMN_CREATED,
                     "it should be a time such as 2026-01-31 12:00:00");
    *out_us = ((days_of(year, month, day) * 24 + hour) * 60 + minute) * INT64_C(60000000) +
              second * INT64_C(1000000);
    return CFA_OK;
}

static cfa_status read_word(cfa_stripe_export *file, int32_t column, const char *no,
                            const char *yes, int32_t *out) {
    const char *text = field_of(file, column);
    *out = strcasecmp(text, yes) == 0;
    return *out || strcasecmp(text, no) == 0
               ? CFA_OK
               : wrong(file, CFA_EINVAL, column, "it is neither of its two words");
}

/* Of a charge whose money was taken, whatever became of it later. */
static bool is_paid(const char *status) {
    static const char *const words[] = { "Paid",           "Succeeded",          "Refunded",
                                         "Partial Refund", "Partially Refunded", "Disputed" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(status, words[i]) == 0)
            return true;
    }
    return false;
}

/* ---- a row ----------------------------------------------------------------------------------- */

static cfa_status read_money(cfa_stripe_export *file, cfa_reconcile_object *out) {
    char currency[4];
    cfa_money refunded;
    int32_t captured = 0;
    cfa_status status = read_currency(file, currency);
    if (status == CFA_OK)
        status = read_amount(file, CFA__COLUMN_AMOUNT, currency, &out->facts.amount);
    if (status == CFA_OK)
        status = read_word(file, CFA__COLUMN_CAPTURED, "false", "true", &captured);
    if (status == CFA_OK && captured && is_paid(field_of(file, CFA__COLUMN_STATUS))) {
        out->facts.captured_minor = out->facts.authorized_minor = out->facts.amount.minor;
        out->whole = 1;
    }
    if (status == CFA_OK && out->whole && file->columns[CFA__COLUMN_REFUNDED] >= 0) {
        status = read_amount(file, CFA__COLUMN_REFUNDED, currency, &refunded);
        if (status == CFA_OK)
            out->refunded_minor = refunded.minor;
    }
    return status;
}

static cfa_status read_names(cfa_stripe_export *file, cfa_reconcile_object *out) {
    const char *id = field_of(file, CFA__COLUMN_ID);
    const char *intent = field_of(file, CFA__COLUMN_INTENT);
    const char *ours = field_of(file, CFA__COLUMN_PAYMENT_ID);
    if (id[0] == '\0')
        return wrong(file, CFA_EINVAL, CFA__COLUMN_ID, "the row has none");
    file->mark.id = cfa__export_hash(file, id, strlen(id));
    out->facts.ref = intent[0] != '\0' ? intent : NULL;
    out->facts.payment_id = ours[0] != '\0' ? ours : NULL;
    return file->columns[CFA__COLUMN_MODE] >= 0
               ? read_word(file, CFA__COLUMN_MODE, "Test", "Live", &out->livemode)
               : CFA_OK;
}

cfa_status cfa__export_csv_next(cfa_stripe_export *file, cfa_reconcile_object *out) {
    cfa_status status = next_row(file);
    if (status != CFA_OK)
        return status;
    if (file->field_count != file->column_count)
        return cfa__export_refuse(file, CFA_EINVAL, file->text_line, NULL,
                                  "the row has more or fewer fields than the header");
    file->mark.content = cfa__export_hash(file, file->text, file->size);
    out->line = file->text_line;
    out->summary = 1;
    status = read_names(file, out);
    if (status == CFA_OK)
        status = read_money(file, out);
    return status == CFA_OK ? read_time(file, &out->facts.occurred_us) : status;
}
