/*
 * util.c - text, JSON, replies and randomness for every part. Knows nothing of payments.
 */
#include "sandbox.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SHAPES_MAX = 32 };

void *must(void *pointer) {
    if (!pointer) {
        fputs("careforall-sandbox: out of memory\n", stderr);
        exit(1);
    }
    return pointer;
}

void format_text(char *out, size_t size, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out, size, format, arguments);
    va_end(arguments);
}

static char *allocate_list(const char *format, va_list arguments)
    __attribute__((format(printf, 1, 0)));
static char *allocate_list(const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *out = must(malloc((size_t)size + 1));
    vsnprintf(out, (size_t)size + 1, format, arguments);
    return out;
}

char *allocate_text(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *out = allocate_list(format, arguments);
    va_end(arguments);
    return out;
}

bool text_integer(const char *text, int64_t *out) {
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || text[0] == ' ' || text[0] == '+')
        return false;
    *out = value;
    return true;
}

bool text_equal(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

bool text_starts(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* ---- JSON ----------------------------------------------------------------------------------- */

const char *doc_string(const json_t *doc, const char *key) {
    return json_string_value(json_object_get(doc, key));
}

int64_t doc_integer(const json_t *doc, const char *key) {
    return json_integer_value(json_object_get(doc, key));
}

bool doc_true(const json_t *doc, const char *key) {
    return json_is_true(json_object_get(doc, key));
}

void doc_set(json_t *doc, const char *key, json_t *value) {
    if (json_object_set_new(doc, key, must(value)) != 0)
        must(NULL);
}

json_t *string_or_null(const char *text) { return must(text ? json_string(text) : json_null()); }

void doc_set_string(json_t *doc, const char *key, const char *value) {
    doc_set(doc, key, string_or_null(value));
}

void doc_set_integer(json_t *doc, const char *key, int64_t value) {
    doc_set(doc, key, json_integer(value));
}

json_t *doc_hidden(json_t *doc) {
    json_t *hidden = json_object_get(doc, "_");
    if (!hidden) {
        doc_set(doc, "_", json_object());
        hidden = json_object_get(doc, "_");
    }
    return hidden;
}

const char *doc_account(json_t *doc) { return doc_string(doc_hidden(doc), "account"); }

/* Literals have one address each, so each is read once. */
json_t *shape(const char *text) {
    static struct {
        const char *text;
        json_t *doc;
    } known[SHAPES_MAX];
    int i = 0;
    while (i < SHAPES_MAX && known[i].text && known[i].text != text)
        i++;
    assert(i < SHAPES_MAX);
    if (!known[i].text) {
        char *copy = must(strdup(text));
        for (char *at = copy; *at; at++)
            *at = *at == '\'' ? '"' : *at;
        known[i].text = text;
        known[i].doc = json_loads(copy, JSON_REJECT_DUPLICATES, NULL);
        assert(known[i].doc);
        free(copy);
    }
    return must(json_deep_copy(known[i].doc));
}

json_t *pack(const char *format, ...) {
    va_list arguments;
    json_error_t error;
    va_start(arguments, format);
    json_t *out = json_vpack_ex(&error, 0, format, arguments);
    va_end(arguments);
    if (!out) {
        fprintf(stderr, "careforall-sandbox: cannot build an object: %s (%s)\n", error.text,
                format);
        abort();
    }
    return out;
}

/* ---- replies -------------------------------------------------------------------------------- */

json_t *call_fail(call *c, int status, const char *type, const char *code, const char *param,
                  const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *message = allocate_list(format, arguments);
    va_end(arguments);
    json_decref(c->error);
    c->status = status;
    c->error = pack("{}");
    if (code) {
        doc_set_string(c->error, "code", code);
        doc_set(c->error, "doc_url", json_sprintf("https://stripe.com/docs/error-codes/%s", code));
    }
    /* A number of bytes from outside may be no UTF-8. */
    json_t *text = json_string(message);
    doc_set(c->error, "message", text ? text : json_string("Invalid request."));
    if (param)
        doc_set_string(c->error, "param", param);
    doc_set_string(c->error, "type", type);
    free(message);
    return NULL;
}

void call_error_set(call *c, const char *key, json_t *value) { doc_set(c->error, key, value); }

void call_header_add(call *c, const char *name, const char *format, ...) {
    if (c->header_count == HEADERS_MAX)
        return;
    va_list arguments;
    va_start(arguments, format);
    c->headers[c->header_count++] = (call_header){ name, allocate_list(format, arguments) };
    va_end(arguments);
}

void call_text(call *c, int status, const char *type, const char *text) {
    free(c->text);
    c->status = status;
    c->text = must(strdup(text));
    c->text_size = strlen(text);
    c->text_type = type;
}

void call_json(call *c, int status, json_t *value) {
    free(c->text);
    c->status = status;
    c->text = must(json_dumps(must(value), JSON_COMPACT));
    c->text_size = strlen(c->text);
    c->text_type = "application/json";
    json_decref(value);
}

/* ---- randomness and time -------------------------------------------------------------------- */

/* SplitMix64: repeatable from --seed; nothing here is a secret worth guarding. */
uint64_t random_next(sandbox *box) {
    uint64_t z = (box->random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint32_t random_below(sandbox *box, uint32_t limit) {
    return limit ? (uint32_t)((random_next(box) >> 32) * limit >> 32) : 0;
}

void random_id(sandbox *box, char out[ID_BYTES], const char *prefix, int length) {
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t at = strlen(prefix);
    memcpy(out, prefix, at);
    for (int i = 0; i < length; i++)
        out[at++] = letters[random_below(box, 62)];
    out[at] = 0;
}

int64_t clock_us(const sandbox *box) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + box->clock_offset_us;
}

int64_t clock_s(const sandbox *box) { return clock_us(box) / 1000000; }
