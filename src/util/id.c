/*
 * id.c - making, writing and reading ids. Pure functions of their arguments: no clock, no
 * randomness, no allocation.
 */
#include "util/id.h"

#include <assert.h>
#include <careforall/sys/platform.h>
#include <string.h>

enum { BASE32_SIZE = 26, HEX_SIZE = 32, UUID_SIZE = 36 };

static const char base32_digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
static const char hex_digits[] = "0123456789abcdef";

cfa__id cfa__id_make(int64_t now_us, const uint8_t random[10]) {
    uint64_t time_us = now_us > 0 ? (uint64_t)now_us : 0;
    uint64_t time_ms = time_us / 1000;
    /*
     * RFC 9562 section 6.2, method 3: rand_a is the fraction of the millisecond in 1/4096. One
     * microsecond is 4 or 5 of those, so the two lowest bits can be random as well without
     * disturbing the order.
     */
    uint64_t fraction = (time_us % 1000) * 4096 / 1000 + (random[8] & 3u);
    cfa__id id;
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(time_ms >> (40 - 8 * i));
    id.bytes[6] = (uint8_t)(0x70 | fraction >> 8);
    id.bytes[7] = (uint8_t)fraction;
    id.bytes[8] = (uint8_t)(0x80 | (random[0] & 0x3f));
    memcpy(id.bytes + 9, random + 1, 7);
    return id;
}

bool cfa__id_is_null(cfa__id id) { return cfa__id_compare(id, CFA__ID_NULL) == 0; }

int cfa__id_compare(cfa__id a, cfa__id b) {
    int order = memcmp(a.bytes, b.bytes, sizeof(a.bytes));
    return (order > 0) - (order < 0);
}

static uint64_t load_big_endian(const uint8_t *at) {
    return (uint64_t)at[0] << 56 | (uint64_t)at[1] << 48 | (uint64_t)at[2] << 40 |
           (uint64_t)at[3] << 32 | (uint64_t)at[4] << 24 | (uint64_t)at[5] << 16 |
           (uint64_t)at[6] << 8 | (uint64_t)at[7];
}

static void store_big_endian(uint8_t *bytes, uint64_t value) {
    for (int i = 7; i >= 0; i--, value >>= 8)
        bytes[i] = (uint8_t)value;
}

void cfa__id_format(char *out, const char *prefix, cfa__id id) {
    size_t prefix_size = strlen(prefix);
    assert(prefix_size >= 3 && prefix_size <= 4);
    memcpy(out, prefix, prefix_size);
    out[prefix_size] = '_';
    char *digits = out + prefix_size + 1;
    uint64_t high = load_big_endian(id.bytes), low = load_big_endian(id.bytes + 8);
    /* The last digit goes first: then the low word has 12 whole ones and the high word 13. */
    digits[25] = base32_digits[low & 31];
    low = low >> 5 | (high & 1) << 59;
    high >>= 1;
    for (int i = 12; i > 0; i--, low >>= 5, high >>= 5) {
        digits[12 + i] = base32_digits[low & 31];
        digits[i] = base32_digits[high & 31];
    }
    digits[0] = base32_digits[high];
    digits[BASE32_SIZE] = '\0';
}

static bool has_dash_behind(int byte) { return byte == 3 || byte == 5 || byte == 7 || byte == 9; }

void cfa__id_format_uuid(char out[37], cfa__id id) {
    char *at = out;
    for (int i = 0; i < 16; i++) {
        *at++ = hex_digits[id.bytes[i] >> 4];
        *at++ = hex_digits[id.bytes[i] & 15];
        if (has_dash_behind(i))
            *at++ = '-';
    }
    *at = '\0';
}

/* One more than a digit's value. Base32 is of lower case only, and has no i, l, o and u. */
static const uint8_t base32_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['g'] = 17, ['h'] = 18, ['j'] = 19, ['k'] = 20, ['m'] = 21, ['n'] = 22, ['p'] = 23, ['q'] = 24,
    ['r'] = 25, ['s'] = 26, ['t'] = 27, ['v'] = 28, ['w'] = 29, ['x'] = 30, ['y'] = 31, ['z'] = 32,
};

static const uint8_t hex_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

static int base32_value(char digit) { return base32_values[(unsigned char)digit] - 1; }

static int hex_value(char digit) { return hex_values[(unsigned char)digit] - 1; }

static bool parse_base32(cfa__id *out, const char *digits) {
    /* 26 digits are 130 bits: the first may use only three of its five. */
    if (base32_value(digits[0]) > 7)
        return false;
    uint64_t high = 0, low = 0;
    for (int i = 0; i < BASE32_SIZE; i++) {
        int value = base32_value(digits[i]);
        if (value < 0)
            return false;
        high = high << 5 | low >> 59;
        low = low << 5 | (uint64_t)value;
    }
    store_big_endian(out->bytes, high);
    store_big_endian(out->bytes + 8, low);
    return true;
}

static bool parse_hex(cfa__id *out, const char *text, bool with_dashes) {
    cfa__id id;
    for (int i = 0; i < 16; i++) {
        int high = hex_value(text[0]);
        int low = high >= 0 ? hex_value(text[1]) : -1;
        if (low < 0)
            return false;
        id.bytes[i] = (uint8_t)(high << 4 | low);
        text += 2;
        if (with_dashes && has_dash_behind(i) && *text++ != '-')
            return false;
    }
    *out = id;
    return true;
}

cfa_status cfa__id_parse(cfa__id *out, const char *prefix, const char *text, const char *field) {
    if (text != NULL) {
        size_t size = strlen(text), prefix_size = strlen(prefix);
        if (size == prefix_size + 1 + BASE32_SIZE && text[prefix_size] == '_' &&
            memcmp(text, prefix, prefix_size) == 0 && parse_base32(out, text + prefix_size + 1))
            return CFA_OK;
        if ((size == UUID_SIZE || size == HEX_SIZE) && parse_hex(out, text, size == UUID_SIZE))
            return CFA_OK;
    }
    return cfa_error_format(CFA_EINVAL, "core.id", field, 0,
                            "an id is \"%s_\" and 26 base32 characters, a UUID, or 32 hex digits",
                            prefix);
}

bool cfa__id_parse_uuid7(cfa__id *out, const char *text, size_t size) {
    cfa__id id;
    if (size != UUID_SIZE || !parse_hex(&id, text, true))
        return false;
    if (id.bytes[6] >> 4 != 7 || id.bytes[8] >> 6 != 2)
        return false;
    *out = id;
    return true;
}
