/*
 * body.c - strict JSON. jansson parses; what it does not refuse by itself (depth, number of values,
 * fields that were not declared, fractions where an integer belongs) is refused here. Every refusal
 * names its field.
 */
#include "body.h"
#include "problem.h"

#include <stdio.h>
#include <string.h>

/* ---- a look at the text before it is parsed ------------------------------------------------- */

enum { PATH_BYTES_MAX = 48 };

typedef struct json_scan {
    int depth;
    size_t values;
    struct {
        const char *name; /* newest key at this depth; NULL inside arrays */
        size_t size;
        bool array;
    } level[BODY_DEPTH_MAX + 1];
} json_scan;

/*
 * Walk `text` up to `stop` and keep the open objects and their newest keys. Knows strings and
 * brackets alone: the parser judges the rest. False when it is nested too deeply.
 */
static bool scan_json(json_scan *scan, const char *text, size_t stop) {
    memset(scan, 0, sizeof *scan);
    scan->values = 1;
    const char *string = NULL; /* the newest complete string, a key if a colon follows */
    size_t string_size = 0;
    for (size_t i = 0; i < stop; i++) {
        switch (text[i]) {
        case '"': {
            size_t begin = ++i;
            while (i < stop && text[i] != '"')
                i += text[i] == '\\' ? 2 : 1;
            if (i >= stop)
                return true; /* inside a value: the path is its key's */
            string = text + begin;
            string_size = i - begin;
            break;
        }
        case '{':
        case '[':
            if (scan->depth == BODY_DEPTH_MAX)
                return false;
            scan->depth++;
            scan->values++;
            scan->level[scan->depth].name = NULL;
            scan->level[scan->depth].array = text[i] == '[';
            break;
        case '}':
        case ']':
            if (scan->depth > 0)
                scan->depth--;
            break;
        case ':':
            if (!scan->level[scan->depth].array) {
                scan->level[scan->depth].name = string;
                scan->level[scan->depth].size = string_size;
            }
            break;
        case ',': scan->values++; break;
        default: break;
        }
    }
    return true;
}

/* "amount.minor": the keys that lead to where the scan stopped. Unreadable names are left out. */
static void write_path(char out[PATH_BYTES_MAX], const json_scan *scan) {
    size_t used = 0;
    out[0] = '\0';
    for (int i = 1; i <= scan->depth && i <= BODY_DEPTH_MAX; i++) {
        const char *name = scan->level[i].name;
        size_t size = scan->level[i].size;
        if (!name)
            continue;
        for (size_t at = 0; at < size; at++)
            if (name[at] < 0x21 || name[at] > 0x7e || name[at] == '\\')
                return;
        if (used + size + 2 > PATH_BYTES_MAX)
            return;
        if (used > 0)
            out[used++] = '.';
        memcpy(out + used, name, size);
        used += size;
        out[used] = '\0';
    }
}

static void refuse_json(http_request *request, const json_error_t *error) {
    json_scan scan;
    char path[PATH_BYTES_MAX] = "";
    size_t position = error->position > 0 ? (size_t)error->position : 0;
    size_t stop = position < request->body_size ? position : request->body_size;
    if (scan_json(&scan, request->body, stop))
        write_path(path, &scan);
    switch (json_error_code(error)) {
    case json_error_invalid_utf8:
        problem_status(request, 400, CFA_EENCODING, path, "the body is not valid UTF-8");
        return;
    case json_error_null_character:
    case json_error_null_byte_in_key:
        problem_status(request, 400, CFA_EENCODING, path, "text must not hold a NUL character");
        return;
    case json_error_numeric_overflow:
        problem_status(request, 422, CFA_ERANGE, path, "the number does not fit 64 bits");
        return;
    case json_error_duplicate_key:
        problem_http(request, PROBLEM_DUPLICATE_FIELD, path, "each field may be given once");
        return;
    case json_error_out_of_memory:
        problem_status(request, 0, CFA_ENOMEM, NULL, "nothing was done");
        return;
    default:
        problem_http(request, PROBLEM_BAD_JSON, path, "the syntax breaks at line %d, column %d",
                     error->line, error->column);
        return;
    }
}

bool body_parse(http_request *request) {
    json_scan scan;
    if (!scan_json(&scan, request->body ? request->body : "", request->body_size) ||
        scan.values > BODY_VALUES_MAX) {
        problem_http(request, PROBLEM_TOO_DEEP, NULL, "at most %d levels and %d values",
                     BODY_DEPTH_MAX, BODY_VALUES_MAX);
        return false;
    }
    json_error_t error;
    request->json = json_loadb(request->body ? request->body : "", request->body_size,
                               JSON_REJECT_DUPLICATES, &error);
    if (!request->json) {
        refuse_json(request, &error);
        return false;
    }
    if (!json_is_object(request->json)) {
        problem_http(request, PROBLEM_WRONG_TYPE, NULL, "the body must be one JSON object");
        return false;
    }
    return true;
}

/* ---- fields --------------------------------------------------------------------------------- */

static bool read_field(json_t *value, const body_field *field) {
    switch (field->type) {
    case BODY_TEXT:
        if (json_is_string(value))
            *(const char **)field->out = json_string_value(value);
        return json_is_string(value);
    case BODY_INTEGER:
        if (json_is_integer(value))
            *(int64_t *)field->out = (int64_t)json_integer_value(value);
        return json_is_integer(value);
    case BODY_BOOLEAN:
        if (json_is_boolean(value))
            *(bool *)field->out = json_is_true(value);
        return json_is_boolean(value);
    case BODY_OBJECT:
        if (json_is_object(value))
            *(json_t **)field->out = value;
        return json_is_object(value);
    case BODY_ARRAY:
        if (json_is_array(value))
            *(json_t **)field->out = value;
        return json_is_array(value);
    }
    return false;
}

static const char *type_rule(body_type type) {
    switch (type) {
    case BODY_TEXT: return "must be a string";
    case BODY_INTEGER:
        return "must be a whole number without fraction or exponent, such as 1250 for 12.50 EUR";
    case BODY_BOOLEAN: return "must be true or false";
    case BODY_OBJECT: return "must be an object";
    case BODY_ARRAY: return "must be an array";
    }
    return "has the wrong type";
}

static void join_path(char out[PATH_BYTES_MAX], const char *path, const char *name) {
    snprintf(out, PATH_BYTES_MAX, "%s%s", path, name);
}

/* Names are repeated to the caller, values never: what is no name (cut, a number, a sentence) is
 * treated as a value. */
static bool is_name(const char *key) {
    for (const char *at = key; *at != '\0'; at++)
        if (!((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || *at == '_' ||
              (at > key && *at >= '0' && *at <= '9')))
            return false;
    return *key != '\0';
}

bool body_read(http_request *request, json_t *object, const char *path, const body_field *fields,
               size_t count) {
    char name[PATH_BYTES_MAX];
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value) {
        size_t i = 0;
        while (i < count && strcmp(fields[i].name, key) != 0)
            i++;
        join_path(name, path, key);
        if (i == count) {
            problem_http(request, PROBLEM_UNKNOWN_FIELD,
                         strlen(path) + strlen(key) < sizeof name && is_name(key) ? name : NULL,
                         "docs/http.md lists the fields of each body");
            return false;
        }
        if (!json_is_null(value) && !read_field(value, &fields[i])) {
            problem_http(request, PROBLEM_WRONG_TYPE, name, "%s", type_rule(fields[i].type));
            return false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        value = json_object_get(object, fields[i].name);
        if (fields[i].required && (!value || json_is_null(value))) {
            join_path(name, path, fields[i].name);
            problem_http(request, PROBLEM_MISSING_FIELD, name, "the field is required");
            return false;
        }
    }
    return true;
}

bool body_read_money(http_request *request, json_t *object, const char *path, cfa_money *out) {
    const char *currency = NULL;
    int64_t minor = 0;
    const body_field fields[] = {
        { "minor", BODY_INTEGER, true, &minor },
        { "currency", BODY_TEXT, true, &currency },
    };
    if (!body_read(request, object, path, fields, sizeof fields / sizeof fields[0]))
        return false;
    cfa_money money = { minor, "" };
    if (strlen(currency) != 3) {
        char name[PATH_BYTES_MAX];
        join_path(name, path, "currency");
        problem_status(request, 0, CFA_ECURRENCY, name,
                       "an ISO 4217 code has three capital letters");
        return false;
    }
    memcpy(money.currency, currency, 4);
    *out = money;
    return true;
}

/* ---- times ---------------------------------------------------------------------------------- */

static bool read_digits(const char **text, int count, int64_t *out) {
    int64_t value = 0;
    for (int i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        value = value * 10 + (**text - '0');
    }
    *out = value;
    return true;
}

static bool read_mark(const char **text, const char *either) {
    if (**text == '\0' || !strchr(either, **text))
        return false;
    (*text)++;
    return true;
}

static int64_t days_of_month(int64_t year, int64_t month) {
    static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return lengths[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* Years begin in March, so that the leap day is the last one. */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day) {
    year -= month <= 2 ? 1 : 0;
    int64_t shifted = month > 2 ? month - 3 : month + 9;
    return year * 365 + year / 4 - year / 100 + year / 400 + (153 * shifted + 2) / 5 + day - 1 -
           719468;
}

/* "Z", "+01:00", "-05:30" */
static bool read_offset(const char **text, int64_t *out_minutes) {
    int64_t hours = 0, minutes = 0;
    *out_minutes = 0;
    if (read_mark(text, "Zz"))
        return true;
    int64_t sign = **text == '-' ? -1 : 1;
    if (!read_mark(text, "+-") || !read_digits(text, 2, &hours) || !read_mark(text, ":") ||
        !read_digits(text, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *out_minutes = sign * (hours * 60 + minutes);
    return true;
}

bool body_parse_time(const char *text, int64_t *out_us) {
    int64_t year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, fraction = 0,
            offset = 0;
    if (!read_digits(&text, 4, &year) || !read_mark(&text, "-") || !read_digits(&text, 2, &month) ||
        !read_mark(&text, "-") || !read_digits(&text, 2, &day) || !read_mark(&text, "Tt") ||
        !read_digits(&text, 2, &hour) || !read_mark(&text, ":") ||
        !read_digits(&text, 2, &minute) || !read_mark(&text, ":") ||
        !read_digits(&text, 2, &second))
        return false;
    if (read_mark(&text, ".")) {
        int64_t scale = 100000;
        if (*text < '0' || *text > '9')
            return false;
        for (; *text >= '0' && *text <= '9'; text++, scale /= 10)
            fraction += (*text - '0') * scale;
    }
    if (!read_offset(&text, &offset) || *text != '\0')
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_of_month(year, month) ||
        hour > 23 || minute > 59 || second > 59)
        return false;
    int64_t minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset;
    *out_us = (minutes * 60 + second) * 1000000 + fraction;
    return true;
}
