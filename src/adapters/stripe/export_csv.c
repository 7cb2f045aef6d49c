/*
 * export_csv.c - what Stripe exports as CSV: RFC 4180, columns by their names, and the header alone
 * tells which file it is. A row is a report, not the provider's object. Amounts are read as exact
 * decimals.
 */
#include "adapters/stripe/export.h"
#include "util/text.h"

#include <string.h>
#include <strings.h>

#define DAY_US INT64_C(86400000000)

struct column {
    const char *name, *other; /* what it is called, and was once; NULL: the shape has none */
    bool required;
};

/* docs.stripe.com/reports/report-types/balance and /payout-reconciliation, and exported files, read
 * 2026-11-23. */
static const struct shape {
    const char *lacks;
    struct column columns[CFA__COLUMNS];
} shapes[CFA__SHAPES] = {
    [CFA__SHAPE_PAYMENTS] = { "the header lacks this column of the payments export",
                              { [CFA__COLUMN_ID] = { "id", NULL, true },
                                [CFA__COLUMN_CREATED] = { "Created date (UTC)", "Created (UTC)",
                                                          true },
                                [CFA__COLUMN_AMOUNT] = { "Amount", NULL, true },
                                [CFA__COLUMN_REFUNDED] = { "Amount Refunded", NULL, false },
                                [CFA__COLUMN_CURRENCY] = { "Currency", NULL, true },
                                [CFA__COLUMN_CAPTURED] = { "Captured", NULL, true },
                                [CFA__COLUMN_STATUS] = { "Status", NULL, true },
                                [CFA__COLUMN_INTENT] = { "PaymentIntent ID", NULL, true },
                                [CFA__COLUMN_MODE] = { "Mode", NULL, false },
                                [CFA__COLUMN_PAYMENT_ID] = { "payment_id (metadata)", NULL,
                                                             false } } },
    [CFA__SHAPE_HISTORY] = { "the header lacks this column of the balance history",
                             { [CFA__COLUMN_ID] = { "id", NULL, true },
                               [CFA__COLUMN_CREATED] = { "Created (UTC)", "Created date (UTC)",
                                                         true },
                               [CFA__COLUMN_AMOUNT] = { "Amount", NULL, true },
                               [CFA__COLUMN_CURRENCY] = { "Currency", NULL, true },
                               [CFA__COLUMN_INTENT] = { "PaymentIntent ID", NULL, false },
                               [CFA__COLUMN_PAYMENT_ID] = { "payment_id (metadata)", NULL, false },
                               [CFA__COLUMN_CATEGORY] = { "Type", NULL, true },
                               [CFA__COLUMN_SOURCE] = { "Source", NULL, true },
                               [CFA__COLUMN_FEE] = { "Fee", NULL, true },
                               [CFA__COLUMN_NET] = { "Net", NULL, true },
                               [CFA__COLUMN_PLATFORM_FEE] = { "Destination Platform Fee", NULL,
                                                              false },
                               [CFA__COLUMN_FACING] = { "Customer Facing Amount", NULL, false },
                               [CFA__COLUMN_FACING_CURRENCY] = { "Customer Facing Currency", NULL,
                                                                 false },
                               [CFA__COLUMN_REFUND_ID] = { "refund_id (metadata)", NULL, false },
                               [CFA__COLUMN_PAYOUT] = { "Transfer", NULL, false },
                               [CFA__COLUMN_PAYOUT_TIME] = { "Transfer Date (UTC)", NULL,
                                                             false } } },
    [CFA__SHAPE_ITEMIZED] = { "the header lacks this column of the itemized reports",
                              { [CFA__COLUMN_ID] = { "balance_transaction_id", NULL, true },
                                [CFA__COLUMN_CREATED] = { "created_utc", NULL, false },
                                [CFA__COLUMN_AMOUNT] = { "gross", NULL, true },
                                [CFA__COLUMN_CURRENCY] = { "currency", NULL, true },
                                [CFA__COLUMN_INTENT] = { "payment_intent_id", NULL, false },
                                [CFA__COLUMN_PAYMENT_ID] = { "payment_metadata[payment_id]", NULL,
                                                             false },
                                [CFA__COLUMN_CATEGORY] = { "reporting_category", NULL, true },
                                [CFA__COLUMN_SOURCE] = { "source_id", NULL, true },
                                [CFA__COLUMN_FEE] = { "fee", NULL, true },
                                [CFA__COLUMN_NET] = { "net", NULL, true },
                                [CFA__COLUMN_FACING] = { "customer_facing_amount", NULL, false },
                                [CFA__COLUMN_FACING_CURRENCY] = { "customer_facing_currency", NULL,
                                                                  false },
                                [CFA__COLUMN_CHARGE] = { "charge_id", NULL, false },
                                [CFA__COLUMN_REFUND] = { "refund_id", NULL, false },
                                [CFA__COLUMN_DISPUTE] = { "dispute_id", NULL, false },
                                [CFA__COLUMN_REFUND_ID] = { "refund_metadata[refund_id]", NULL,
                                                            false },
                                [CFA__COLUMN_PAYOUT] = { "automatic_payout_id", NULL, false },
                                [CFA__COLUMN_PAYOUT_TIME] = { "automatic_payout_effective_at_utc",
                                                              "automatic_payout_effective_at",
                                                              false } } },
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
    static const bool stops[256] = { ['\0'] = true, ['\n'] = true, ['"'] = true };
    cfa_status status = CFA_OK;
    (void)cfa__export_byte(file);
    while (status == CFA_OK) {
        status = cfa__export_keep_until(file, stops);
        if (status != CFA_OK)
            return status;
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
    static const bool stops[256] = {
        ['\0'] = true, ['\n'] = true, ['\r'] = true, ['"'] = true, [','] = true
    };
    cfa_status status = CFA_OK;
    while (status == CFA_OK) {
        status = cfa__export_keep_until(file, stops);
        if (status != CFA_OK)
            return status;
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
        file->fields[file->field_count++] = file->size;
        status = cfa__export_peek(file) == '"' ? quoted_field(file) : plain_field(file);
        if (status == CFA_OK)
            status = end_field(file, &ends);
        if (status == CFA_OK)
            file->text[file->size - 1] = '\0';
    }
    if (status == CFA_OK && !cfa__text_is_utf8(file->text, file->size))
        status = cfa__export_refuse(file, CFA_EENCODING, file->text_line, NULL,
                                    "a field is not valid UTF-8");
    return status;
}

static const char *field_of(const cfa_stripe_export *file, int32_t column) {
    int32_t at = file->columns[column];
    return at >= 0 ? file->text + file->fields[at] : "";
}

/* ---- the header ------------------------------------------------------------------------------ */

/* Where the header has a column, or -1; `*out_again`: and once more. */
static int32_t place_of(const cfa_stripe_export *file, const char *name, bool *out_again) {
    int32_t found = -1;
    for (int32_t at = 0; name != NULL && at < file->field_count; at++) {
        if (strcmp(file->text + file->fields[at], name) != 0)
            continue;
        *out_again = *out_again || found >= 0;
        found = found >= 0 ? found : at;
    }
    return found;
}

/* Find a shape's columns. How many that it requires there are; `*out_lacks`, `*out_twice`: the first
 * that is not there, or there twice, or NULL. */
static int32_t find_columns(cfa_stripe_export *file, int32_t shape, const char **out_lacks,
                            const char **out_twice) {
    int32_t count = 0;
    *out_lacks = *out_twice = NULL;
    for (int32_t i = 0; i < CFA__COLUMNS; i++) {
        const struct column *column = &shapes[shape].columns[i];
        bool again = false;
        file->columns[i] = place_of(file, column->name, &again);
        if (file->columns[i] < 0)
            file->columns[i] = place_of(file, column->other, &again);
        if (again && *out_twice == NULL)
            *out_twice = column->name;
        if (column->required && file->columns[i] < 0 && *out_lacks == NULL)
            *out_lacks = column->name;
        count += column->required && file->columns[i] >= 0;
    }
    return count;
}

/* The first shape that lacks nothing, or else the one that the header has most of. */
cfa_status cfa__export_csv_begin(cfa_stripe_export *file) {
    const char *lacks, *twice;
    int32_t most = -1;
    cfa_status status = next_row(file);
    if (status != CFA_OK)
        return status;
    file->column_count = file->field_count;
    for (int32_t shape = 0; shape < CFA__SHAPES; shape++) {
        int32_t count = find_columns(file, shape, &lacks, &twice);
        if (lacks == NULL || count > most) {
            most = count;
            file->shape = shape;
        }
        if (lacks == NULL)
            break;
    }
    (void)find_columns(file, file->shape, &lacks, &twice);
    if (lacks != NULL)
        return cfa__export_refuse(file, CFA_EINVAL, 1, lacks, shapes[file->shape].lacks);
    return twice == NULL
               ? CFA_OK
               : cfa__export_refuse(file, CFA_EINVAL, 1, twice, "the header has this column twice");
}

/* ---- values ---------------------------------------------------------------------------------- */

static cfa_status wrong(cfa_stripe_export *file, cfa_status status, int32_t column,
                        const char *why) {
    return cfa__export_refuse(file, status, file->text_line,
                              shapes[file->shape].columns[column].name, why);
}

static cfa_status read_currency(cfa_stripe_export *file, int32_t column, char out[4]) {
    const char *text = field_of(file, column);
    cfa_money money;
    if (!cfa__stripe_money(&money, 0, text))
        return wrong(file, CFA_ECURRENCY, column, "ISO 4217 does not list it");
    memcpy(out, money.currency, 4);
    return CFA_OK;
}

/* How much of an amount counts: Stripe writes two decimals, always 00, of currencies that it counts
 * in hundredths and ISO in whole ones. */
static int digits_of(const char *text, const char *currency) {
    size_t size = strlen(text);
    int64_t units = 0;
    bool hundredths =
        cfa__stripe_units(&units,
                          (cfa_money){ 1, { currency[0], currency[1], currency[2], '\0' } }) &&
        units == 100;
    return (int)(hundredths && size > 3 && strcmp(text + size - 3, ".00") == 0 ? size - 3 : size);
}

/* `sign`: it may be negative. */
static cfa_status read_amount(cfa_stripe_export *file, int32_t column, const char *currency,
                              bool sign, cfa_money *out) {
    char text[64];
    const char *field = field_of(file, column);
    bool negative = sign && field[0] == '-';
    field += negative;
    if (field[0] < '0' || field[0] > '9' || strlen(field) > 24)
        return wrong(file, CFA_EAMOUNT, column, "it should be an amount such as 12.50");
    snprintf(text, sizeof text, "%.*s %s", digits_of(field, currency), field, currency);
    if (cfa_money_parse(out, text) != CFA_OK)
        return cfa__export_refuse_again(file, file->text_line);
    if (negative)
        out->minor = -out->minor;
    return CFA_OK;
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

static bool is_leap(int32_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

/* "2026-01-31 12:00", with seconds or without; the header says that it is UTC. */
static cfa_status read_time(cfa_stripe_export *file, int32_t column, int64_t *out_us) {
    static const int32_t longest[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const char *at = field_of(file, column);
    int32_t year, month, day, hour, minute, second = 0;
    bool good = read_digits(&at, 4, 2000, 9999, &year) && read_mark(&at, '-') &&
                read_digits(&at, 2, 1, 12, &month) && read_mark(&at, '-') &&
                read_digits(&at, 2, 1, longest[month - 1], &day) &&
                (month != 2 || day < 29 || is_leap(year)) && read_mark(&at, ' ') &&
                read_digits(&at, 2, 0, 23, &hour) && read_mark(&at, ':') &&
                read_digits(&at, 2, 0, 59, &minute);
    if (good && *at == ':')
        good = read_mark(&at, ':') && read_digits(&at, 2, 0, 59, &second);
    if (!good || *at != '\0')
        return wrong(file, CFA_EINVAL, column, "it should be a time such as 2026-01-31 12:00:00");
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

static cfa_status read_payment(cfa_stripe_export *file, cfa_reconcile_object *out) {
    char currency[4];
    cfa_money refunded;
    int32_t captured = 0;
    cfa_status status = read_currency(file, CFA__COLUMN_CURRENCY, currency);
    out->summary = CFA_RECONCILE_REPORT;
    if (status == CFA_OK)
        status = read_amount(file, CFA__COLUMN_AMOUNT, currency, false, &out->facts.amount);
    if (status == CFA_OK)
        status = read_word(file, CFA__COLUMN_CAPTURED, "false", "true", &captured);
    if (status == CFA_OK && captured && is_paid(field_of(file, CFA__COLUMN_STATUS))) {
        out->facts.captured_minor = out->facts.authorized_minor = out->facts.amount.minor;
        out->whole = 1;
    }
    if (status == CFA_OK && out->whole && file->columns[CFA__COLUMN_REFUNDED] >= 0) {
        status = read_amount(file, CFA__COLUMN_REFUNDED, currency, false, &refunded);
        if (status == CFA_OK)
            out->refunded_minor = refunded.minor;
    }
    if (status == CFA_OK && file->columns[CFA__COLUMN_MODE] >= 0)
        status = read_word(file, CFA__COLUMN_MODE, "Test", "Live", &out->livemode);
    const char *intent = field_of(file, CFA__COLUMN_INTENT);
    const char *ours = field_of(file, CFA__COLUMN_PAYMENT_ID);
    out->facts.ref = intent[0] != '\0' ? intent : NULL;
    out->facts.payment_id = ours[0] != '\0' ? ours : NULL;
    return status;
}

static cfa_status read_sums(cfa_stripe_export *file, cfa__export_movement *movement) {
    char currency[4];
    cfa_money net;
    cfa_status status = read_currency(file, CFA__COLUMN_CURRENCY, currency);
    if (status == CFA_OK)
        status = read_amount(file, CFA__COLUMN_AMOUNT, currency, true, &movement->amount);
    if (status == CFA_OK)
        status = read_amount(file, CFA__COLUMN_FEE, currency, true, &movement->fee);
    if (status == CFA_OK)
        status = read_amount(file, CFA__COLUMN_NET, currency, true, &net);
    bool apart = field_of(file, CFA__COLUMN_PLATFORM_FEE)[0] != '\0';
    if (status == CFA_OK && !apart && movement->amount.minor - movement->fee.minor != net.minor)
        status = wrong(file, CFA_EINVAL, CFA__COLUMN_NET, "it is not the amount less the fee");
    return status;
}

/* What the donor's side of it was: of refunds and disputes with a sign, which says nothing more. */
static cfa_status read_facing(cfa_stripe_export *file, cfa_money *out) {
    char currency[4];
    if (field_of(file, CFA__COLUMN_FACING)[0] == '\0' ||
        field_of(file, CFA__COLUMN_FACING_CURRENCY)[0] == '\0')
        return CFA_OK;
    cfa_status status = read_currency(file, CFA__COLUMN_FACING_CURRENCY, currency);
    if (status == CFA_OK)
        status = read_amount(file, CFA__COLUMN_FACING, currency, true, out);
    if (status == CFA_OK && out->minor < 0)
        out->minor = -out->minor;
    return status;
}

/* A payout is told with the time that it should arrive: a day behind that, wherever the account is,
 * it did. What moves to another account is none. */
static cfa_status read_payout(cfa_stripe_export *file, bool *out_settled) {
    int64_t effective_us;
    if (strncmp(field_of(file, CFA__COLUMN_PAYOUT), "po_", 3) != 0 ||
        field_of(file, CFA__COLUMN_PAYOUT_TIME)[0] == '\0')
        return CFA_OK;
    cfa_status status = read_time(file, CFA__COLUMN_PAYOUT_TIME, &effective_us);
    *out_settled = status == CFA_OK && effective_us <= file->opened_us - DAY_US;
    return status;
}

static cfa_status read_movement(cfa_stripe_export *file, cfa_reconcile_object *out) {
    cfa__export_movement movement = {
        .category = field_of(file, CFA__COLUMN_CATEGORY),
        .source = field_of(file, CFA__COLUMN_SOURCE),
        .charge = field_of(file, CFA__COLUMN_CHARGE),
        .refund = field_of(file, CFA__COLUMN_REFUND),
        .dispute = field_of(file, CFA__COLUMN_DISPUTE),
        .intent = field_of(file, CFA__COLUMN_INTENT),
        .payment_id = field_of(file, CFA__COLUMN_PAYMENT_ID),
        .refund_id = field_of(file, CFA__COLUMN_REFUND_ID),
    };
    if (movement.category[0] == '\0')
        return wrong(file, CFA_EINVAL, CFA__COLUMN_CATEGORY, "the row has none");
    cfa_status status = read_sums(file, &movement);
    if (status == CFA_OK)
        status = read_facing(file, &movement.facing);
    if (status == CFA_OK)
        status = read_payout(file, &movement.settled);
    return status == CFA_OK ? cfa__export_movement_take(file, &movement, out) : status;
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
    const char *id = field_of(file, CFA__COLUMN_ID);
    if (id[0] == '\0')
        return wrong(file, CFA_EINVAL, CFA__COLUMN_ID, "the row has none");
    file->mark.id = cfa__export_hash(file, id, strlen(id));
    if (file->columns[CFA__COLUMN_CREATED] >= 0)
        status = read_time(file, CFA__COLUMN_CREATED, &out->facts.occurred_us);
    if (status != CFA_OK)
        return status;
    return file->shape == CFA__SHAPE_PAYMENTS ? read_payment(file, out) : read_movement(file, out);
}
