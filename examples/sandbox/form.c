/*
 * form.c - `application/x-www-form-urlencoded` with brackets, as Stripe's clients send it. Bounded
 * in depth and number of arguments; knows no names.
 */
#include "form.h"

#include <stdlib.h>
#include <string.h>

static int hex(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place; false for a bad escape or a NUL. */
static bool decode(char *text, size_t size, size_t *out_size) {
    size_t at = 0;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '+')
            c = ' ';
        else if (c == '%') {
            if (i + 2 >= size || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0)
                return false;
            c = (char)(hex(text[i + 1]) * 16 + hex(text[i + 2]));
            i += 2;
        }
        if (!c)
            return false;
        text[at++] = c;
    }
    text[at] = 0;
    *out_size = at;
    return true;
}

/* Where the last piece of the name goes; an empty piece appends. */
static const char *place(json_t *at, char *pieces[], int count, json_t *value) {
    char number[24];
    for (int i = 0; i < count; i++) {
        const char *piece = pieces[i];
        if (!*piece) {
            format_text(number, sizeof number, "%zu", json_object_size(at));
            piece = number;
        }
        if (i + 1 == count) {
            if (json_is_object(json_object_get(at, piece)))
                return "an argument is both a value and an object";
            if (json_object_set(at, piece, value) != 0)
                return "an argument's name is not UTF-8";
            return NULL;
        }
        json_t *next = json_object_get(at, piece);
        if (next && !json_is_object(next))
            return "an argument is both a value and an object";
        if (!next) {
            if (json_object_set_new(at, piece, must(json_object())) != 0)
                return "an argument's name is not UTF-8";
            next = json_object_get(at, piece);
        }
        at = next;
    }
    return NULL;
}

static const char *add_pair(json_t *params, char *name, char *text, size_t size) {
    char *pieces[FORM_DEPTH_MAX];
    int count = 0;
    pieces[count++] = name;
    char *bracket = strchr(name, '[');
    while (bracket) {
        char *end = strchr(bracket, ']');
        if (!end || (end[1] && end[1] != '['))
            return "an argument's brackets do not match";
        if (count == FORM_DEPTH_MAX)
            return "an argument is nested too deeply";
        *bracket = 0;
        *end = 0;
        pieces[count++] = bracket + 1;
        bracket = end[1] ? end + 1 : NULL;
        if (bracket && *bracket != '[')
            return "an argument's brackets do not match";
    }
    if (!*name)
        return "an argument has no name";
    json_t *value = json_stringn(text, size);
    if (!value)
        return "a value is not UTF-8";
    const char *reason = place(params, pieces, count, value);
    json_decref(value);
    return reason;
}

bool form_parse(json_t *params, const char *text, size_t size, const char **out_reason) {
    char *copy = must(malloc(size + 1));
    memcpy(copy, text, size);
    copy[size] = 0;
    *out_reason = NULL;
    int count = 0;
    for (size_t start = 0; start < size && !*out_reason;) {
        char *pair = copy + start;
        const char *end = memchr(pair, '&', size - start);
        size_t length = end ? (size_t)(end - pair) : size - start;
        start += length + 1;
        if (!length)
            continue;
        char *equals = memchr(pair, '=', length);
        size_t name_size = equals ? (size_t)(equals - pair) : length, value_size = 0;
        char *value = equals ? equals + 1 : pair + length;
        if (equals && !decode(value, length - name_size - 1, &value_size))
            *out_reason = "a value has a bad percent escape";
        else if (!decode(pair, name_size, &name_size))
            *out_reason = "an argument's name has a bad percent escape";
        else if (++count > FORM_ARGUMENTS_MAX)
            *out_reason = "there are too many arguments";
        else
            *out_reason = add_pair(params, pair, equals ? value : pair + name_size, value_size);
    }
    free(copy);
    return !*out_reason;
}

bool word_in(const char *words, const char *word) {
    size_t size = strlen(word);
    if (strchr(word, ' '))
        return false;
    for (const char *at = words; (at = strstr(at, word)) && size; at += size)
        if ((at == words || at[-1] == ' ') && (at[size] == ' ' || !at[size]))
            return true;
    return false;
}

bool form_only(call *c, const char *allowed) {
    const char *name;
    json_t *value;
    json_object_foreach(c->params, name, value) {
        if (strcmp(name, "expand") != 0 && !word_in(allowed, name)) {
            call_fail(c, 400, "invalid_request_error", "parameter_unknown", name,
                      "Received unknown parameter: %s", name);
            return false;
        }
    }
    return true;
}

const char *form_string(const call *c, const char *name) { return doc_string(c->params, name); }

json_t *form_nested(const call *c, const char *name) {
    json_t *value = json_object_get(c->params, name);
    return json_is_object(value) ? value : NULL;
}

bool form_true(const call *c, const char *name) {
    const char *text = form_string(c, name);
    return text && strcmp(text, "true") == 0;
}

bool form_integer(call *c, const char *name, int64_t *out) {
    json_t *value = json_object_get(c->params, name);
    if (!value)
        return true;
    const char *text = json_string_value(value);
    if (text && text_integer(text, out))
        return true;
    call_fail(c, 400, "invalid_request_error", "parameter_invalid_integer", name,
              "Invalid integer: %s", text ? text : "(an object)");
    return false;
}

const char *form_required(call *c, const char *name) {
    const char *text = form_string(c, name);
    if (!text)
        call_fail(c, 400, "invalid_request_error", "parameter_missing", name,
                  "Missing required param: %s.", name);
    else if (!*text) {
        call_fail(c, 400, "invalid_request_error", "parameter_invalid_empty", name,
                  "You passed an empty string for '%s'. We assume empty values are an attempt to "
                  "unset a parameter; however '%s' cannot be unset.",
                  name, name);
        text = NULL;
    }
    return text;
}

bool form_url(call *c, const char *name, bool required, const char **out) {
    *out = form_string(c, name);
    if (!*out && !required)
        return true;
    if (!*out)
        return form_required(c, name) != NULL;
    bool good = text_starts(*out, "http://") || text_starts(*out, "https://");
    for (const char *at = *out; good && *at; at++)
        good = *at > ' ' && *at != 0x7f && !strchr("\"<>\\", *at);
    if (good && strlen(*out) < URL_BYTES_MAX)
        return true;
    call_fail(c, 400, "invalid_request_error", "url_invalid", name, "Not a valid URL");
    return false;
}

bool form_choice(call *c, const char *name, const char *allowed, const char **out) {
    *out = form_string(c, name);
    if (!*out && !json_object_get(c->params, name))
        return true;
    if (*out && word_in(allowed, *out))
        return true;
    call_fail(c, 400, "invalid_request_error", NULL, name, "Invalid %s: must be one of %s", name,
              allowed);
    return false;
}

bool form_metadata(call *c, const char *name, json_t *from, json_t *metadata) {
    const char *key;
    json_t *value;
    json_object_foreach(from, key, value) {
        const char *text = json_string_value(value);
        if (!text || strlen(key) > 40 || strlen(text) > 500) {
            call_fail(c, 400, "invalid_request_error", NULL, name,
                      "Invalid %s: keys have at most 40 characters, values are strings of at most "
                      "500.",
                      name);
            return false;
        }
        if (!*text)
            json_object_del(metadata, key);
        else
            doc_set_string(metadata, key, text);
    }
    if (json_object_size(metadata) <= METADATA_KEYS_MAX)
        return true;
    call_fail(c, 400, "invalid_request_error", NULL, name, "Invalid %s: at most %d keys.", name,
              METADATA_KEYS_MAX);
    return false;
}
