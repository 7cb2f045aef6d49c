/*
 * json.c - strict reading of JSON through jansson, and the only file in src/ that includes it.
 *
 * jansson allocates with malloc, not through the library's allocator: json_set_alloc_funcs is one
 * switch for the whole process, and a host that uses jansson itself would have its values freed by
 * the wrong allocator. So every NULL that jansson returns is handled here, and nothing of jansson
 * leaves this file. Messages never quote the text.
 */
#include "util/json.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <string.h>

enum { DEPTH_MAX = 32 };

static const json_t *to_jansson(const cfa__json *value) { return (const json_t *)value; }

static const cfa__json *from_jansson(const json_t *value) { return (const cfa__json *)value; }

/*
 * jansson recurses, and stops only at 2048 levels: deeper text is refused before it is given any. A
 * text whose strings are broken may be counted wrongly here, and is then refused by the parser.
 */
static bool is_too_deep(const char *text, size_t size) {
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > DEPTH_MAX)
                return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

/*
 * jansson has a code for memory that ran out and never sets it while parsing: it leaves the error
 * empty, or takes the token that it could not store for a wrong one. What malloc left in errno
 * tells the two apart.
 */
static bool is_out_of_memory(const json_error_t *error, int parse_errno) {
    return parse_errno == ENOMEM || error->text[0] == '\0';
}

static cfa_status parse_error(const json_error_t *error, int parse_errno) {
    if (is_out_of_memory(error, parse_errno))
        return cfa_error_set(CFA_ENOMEM, "util.json", NULL, 0, "out of memory");
    cfa_status status = CFA_EINVAL;
    const char *reason = "not valid JSON";
    switch (json_error_code(error)) {
    case json_error_invalid_utf8:
        status = CFA_EENCODING;
        reason = "not valid UTF-8";
        break;
    case json_error_null_character:
    case json_error_null_byte_in_key:
        status = CFA_EENCODING;
        reason = "a NUL character in a string";
        break;
    case json_error_premature_end_of_input: reason = "the text ends too early"; break;
    case json_error_end_of_input_expected: reason = "more text after the value"; break;
    case json_error_duplicate_key: reason = "a key appears twice in one object"; break;
    case json_error_numeric_overflow: reason = "a number does not fit 64 bits"; break;
    default: break;
    }
    return cfa_error_format(status, "util.json", NULL, 0, "JSON: %s (line %d, byte %d)", reason,
                            error->line, error->position);
}

cfa_status cfa__json_parse(cfa__json **out, cfa_slice text) {
    assert(out != NULL);
    const char *data = text.data != NULL ? text.data : "";
    /* jansson keeps positions in an int. */
    if (text.size > INT_MAX)
        return cfa_error_set(CFA_ETOOLONG, "util.json", NULL, 0, "JSON: longer than 2 GiB");
    if (is_too_deep(data, text.size))
        return cfa_error_format(CFA_EINVAL, "util.json", NULL, 0,
                                "JSON: nested deeper than %d levels", DEPTH_MAX);
    json_error_t error;
    errno = 0;
    json_t *root = json_loadb(data, text.size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (root == NULL)
        return parse_error(&error, errno);
    *out = (cfa__json *)root;
    return CFA_OK;
}

void cfa__json_free(cfa__json *root) { json_decref((json_t *)root); }

const cfa__json *cfa__json_get(const cfa__json *object, const char *name) {
    const json_t *value = json_object_get(to_jansson(object), name);
    return json_is_null(value) ? NULL : from_jansson(value);
}

bool cfa__json_read_int(const cfa__json *value, int64_t *out) {
    if (!json_is_integer(to_jansson(value)))
        return false;
    *out = json_integer_value(to_jansson(value));
    return true;
}

bool cfa__json_read_text(const cfa__json *value, const char **out) {
    if (!json_is_string(to_jansson(value)))
        return false;
    *out = json_string_value(to_jansson(value));
    return true;
}

bool cfa__json_read_bool(const cfa__json *value, bool *out) {
    if (!json_is_boolean(to_jansson(value)))
        return false;
    *out = json_is_true(to_jansson(value));
    return true;
}

bool cfa__json_is_array(const cfa__json *value) { return json_is_array(to_jansson(value)); }

size_t cfa__json_size(const cfa__json *array) { return json_array_size(to_jansson(array)); }

const cfa__json *cfa__json_at(const cfa__json *array, size_t index) {
    return from_jansson(json_array_get(to_jansson(array), index));
}
