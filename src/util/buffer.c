/*
 * buffer.c - growing bytes and writing JSON (RFC 8259) into them. Text is expected to be valid
 * UTF-8, which is checked where it enters the library; it is escaped here, and never changed
 * otherwise.
 */
#include "util/buffer.h"

#include <assert.h>
#include <string.h>

enum { CAPACITY_MIN = 64, INT_TEXT_SIZE = 20 };

void cfa__buffer_init(cfa__buffer *buffer, cfa_arena *arena, size_t capacity) {
    if (capacity < CAPACITY_MIN)
        capacity = CAPACITY_MIN;
    char *data = cfa_arena_alloc(arena, capacity);
    *buffer = (cfa__buffer){ arena, data, 0, data != NULL ? capacity : 0, data == NULL, false };
}

/* Make room for `size` more bytes and one NUL. */
static bool grow(cfa__buffer *buffer, size_t size) {
    if (buffer->failed)
        return false;
    size_t needed, capacity;
    if (__builtin_add_overflow(buffer->size, size, &needed) || needed > SIZE_MAX / 4) {
        buffer->failed = true;
        return false;
    }
    capacity = buffer->capacity * 2;
    if (capacity < needed + 1)
        capacity = needed + needed / 2 + 1;
    char *data = cfa_arena_alloc(buffer->arena, capacity);
    if (data == NULL) {
        buffer->failed = true;
        return false;
    }
    memcpy(data, buffer->data, buffer->size);
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

static inline bool reserve(cfa__buffer *buffer, size_t size) {
    /*
     * Once failed, `size` and `capacity` may still have room: later appends must not fill a hole.
     */
    if (size < buffer->capacity - buffer->size && !buffer->failed)
        return true;
    return grow(buffer, size);
}

static inline void append(cfa__buffer *buffer, const void *data, size_t size) {
    if (size != 0 && reserve(buffer, size)) {
        memcpy(buffer->data + buffer->size, data, size);
        buffer->size += size;
    }
}

static inline void append_byte(cfa__buffer *buffer, char byte) {
    if (reserve(buffer, 1))
        buffer->data[buffer->size++] = byte;
}

void cfa__buffer_append(cfa__buffer *buffer, const void *data, size_t size) {
    append(buffer, data, size);
}

void cfa__buffer_text(cfa__buffer *buffer, const char *text) { append(buffer, text, strlen(text)); }

void cfa__buffer_int(cfa__buffer *buffer, int64_t value) {
    char text[INT_TEXT_SIZE];
    char *at = text + sizeof(text);
    /* Negated as unsigned, because INT64_MIN has no positive twin. */
    uint64_t rest = value < 0 ? UINT64_C(0) - (uint64_t)value : (uint64_t)value;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (value < 0)
        *--at = '-';
    append(buffer, at, (size_t)(text + sizeof(text) - at));
}

cfa_status cfa__buffer_finish(cfa__buffer *buffer, cfa_slice *out) {
    if (!reserve(buffer, 0))
        return cfa_error_set(CFA_ENOMEM, "util.buffer", NULL, 0, "out of memory");
    buffer->data[buffer->size] = '\0';
    *out = (cfa_slice){ buffer->data, buffer->size };
    return CFA_OK;
}

/* What follows the backslash; 'u' asks for four hex digits, 0 for nothing at all. */
static const char escapes[256] = {
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b',         't',           'n', 'u',
    'f', 'r', 'u', 'u', 'u', 'u', 'u', 'u', 'u',         'u',           'u', 'u',
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\',
};

static void append_escape(cfa__buffer *buffer, unsigned char byte) {
    static const char digits[] = "0123456789abcdef";
    char text[6] = { '\\', escapes[byte], '0', '0', digits[byte >> 4], digits[byte & 15] };
    append(buffer, text, escapes[byte] == 'u' ? 6 : 2);
}

/* Is there a quotation mark, a backslash or a control character among these eight bytes? Each is
 * found by the borrow that a subtraction takes from its byte. */
static bool has_special(const unsigned char *at) {
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    uint64_t borrows =
        (word - each * 0x20) | ((word ^ each * '"') - each) | ((word ^ each * '\\') - each);
    return (borrows & ~word & each * 0x80) != 0;
}

static bool is_plain(const unsigned char *at, size_t size) {
    if (size < 8) {
        while (size > 0 && escapes[at[size - 1]] == 0)
            size--;
        return size == 0;
    }
    for (size_t i = 0; i + 8 < size; i += 8) {
        if (has_special(at + i))
            return false;
    }
    return !has_special(at + size - 8);
}

static void append_escaped(cfa__buffer *buffer, const void *data, size_t size) {
    const unsigned char *at = data, *end = at + size;
    append_byte(buffer, '"');
    while (at < end) {
        const unsigned char *start = at;
        while (at < end && escapes[*at] == 0)
            at++;
        append(buffer, start, (size_t)(at - start));
        if (at < end)
            append_escape(buffer, *at++);
    }
    append_byte(buffer, '"');
}

static char *put_quoted(char *out, const void *data, size_t size) {
    out[0] = '"';
    memcpy(out + 1, data, size);
    out[size + 1] = '"';
    return out + size + 2;
}

static void append_quoted(cfa__buffer *buffer, const void *data, size_t size) {
    if (!is_plain(data, size)) {
        append_escaped(buffer, data, size);
    } else if (reserve(buffer, size + 2)) {
        put_quoted(buffer->data + buffer->size, data, size);
        buffer->size += size + 2;
    }
}

/* The comma and the name that a value needs before it. */
static void begin_value(cfa__buffer *buffer, const char *name) {
    size_t size = name != NULL ? strlen(name) : 0;
    if (!reserve(buffer, size + 4))
        return;
    char *out = buffer->data + buffer->size;
    if (buffer->comma)
        *out++ = ',';
    buffer->comma = true;
    if (name != NULL) {
        assert(is_plain((const unsigned char *)name, size));
        out = put_quoted(out, name, size);
        *out++ = ':';
    }
    buffer->size = (size_t)(out - buffer->data);
}

void cfa__json_open(cfa__buffer *buffer, const char *name, char bracket) {
    assert(bracket == '{' || bracket == '[');
    begin_value(buffer, name);
    append_byte(buffer, bracket);
    buffer->comma = false;
}

void cfa__json_close(cfa__buffer *buffer, char bracket) {
    assert(bracket == '}' || bracket == ']');
    append_byte(buffer, bracket);
    buffer->comma = true;
}

void cfa__json_text(cfa__buffer *buffer, const char *name, const char *value) {
    cfa__json_slice(buffer, name, (cfa_slice){ value, value != NULL ? strlen(value) : 0 });
}

void cfa__json_slice(cfa__buffer *buffer, const char *name, cfa_slice value) {
    begin_value(buffer, name);
    if (value.data == NULL)
        append(buffer, "null", 4);
    else
        append_quoted(buffer, value.data, value.size);
}

void cfa__json_int(cfa__buffer *buffer, const char *name, int64_t value) {
    begin_value(buffer, name);
    cfa__buffer_int(buffer, value);
}

void cfa__json_bool(cfa__buffer *buffer, const char *name, bool value) {
    begin_value(buffer, name);
    append(buffer, value ? "true" : "false", value ? 4 : 5);
}

void cfa__json_raw(cfa__buffer *buffer, const char *name, cfa_slice json) {
    begin_value(buffer, name);
    append(buffer, json.data, json.size);
}
