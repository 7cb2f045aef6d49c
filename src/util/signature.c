/*
 * signature.c - making and checking the signatures of webhooks. Must stay pure (no clock) and must
 * compare in constant time.
 */
#include "util/signature.h"
#include "util/secure.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define TOLERANCE_US INT64_C(300000000)
#define TIMESTAMP_DIGITS_MAX 12
#define HEADER_BYTES_MAX 4096
#define CODE_SIZE 32
#define SECRETS_MAX 8
#define CODES_MAX 16

/* Lower-case only, as it is sent: two headers never mean the same bytes. */
static bool read_hex(uint8_t out[CODE_SIZE], cfa_slice text) {
    const char *at = text.data;
    if (text.size != 2 * CODE_SIZE) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        char digit = at[i];
        int value = digit >= '0' && digit <= '9'   ? digit - '0'
                    : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                                                   : -1;
        if (value < 0) {
            return false;
        }
        out[i / 2] = (uint8_t)(i % 2 == 0 ? value << 4 : out[i / 2] | value);
    }
    return true;
}

static bool read_timestamp(int64_t *out, cfa_slice text) {
    const char *at = text.data;
    if (text.size == 0 || text.size > TIMESTAMP_DIGITS_MAX) {
        return false;
    }
    int64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (at[i] < '0' || at[i] > '9') {
            return false;
        }
        value = value * 10 + (at[i] - '0');
    }
    *out = value;
    return true;
}

/* Split off the next "name=value" of a comma-separated header. */
static bool next_element(const char **at, const char *end, cfa_slice *out_name,
                         cfa_slice *out_value) {
    const char *comma = memchr(*at, ',', (size_t)(end - *at));
    const char *stop = comma != NULL ? comma : end;
    const char *equals = memchr(*at, '=', (size_t)(stop - *at));
    if (equals == NULL || (comma != NULL && comma + 1 == end)) {
        return false;
    }
    *out_name = (cfa_slice){ *at, (size_t)(equals - *at) };
    *out_value = (cfa_slice){ equals + 1, (size_t)(stop - equals) - 1 };
    *at = comma != NULL ? comma + 1 : end;
    return true;
}

typedef struct signed_header {
    cfa_slice timestamp; /* as it was written: what was signed */
    int64_t signed_s;
    uint8_t codes[CODES_MAX][CODE_SIZE];
    size_t code_count;
} signed_header;

static bool read_header(signed_header *out, cfa_slice header) {
    const char *at = header.data;
    const char *end = at + header.size;
    out->timestamp = (cfa_slice){ NULL, 0 };
    out->code_count = 0;
    while (at < end) {
        cfa_slice name, value;
        if (!next_element(&at, end, &name, &value)) {
            return false;
        }
        if (name.size == 1 && memcmp(name.data, "t", 1) == 0) {
            /* Twice would be ambiguous. */
            if (out->timestamp.data != NULL || !read_timestamp(&out->signed_s, value)) {
                return false;
            }
            out->timestamp = value;
        } else if (name.size == 2 && memcmp(name.data, "v1", 2) == 0) {
            if (out->code_count == CODES_MAX || !read_hex(out->codes[out->code_count], value)) {
                return false;
            }
            out->code_count++;
        }
    }
    return out->timestamp.data != NULL && out->code_count > 0;
}

static void compute(uint8_t out[CODE_SIZE], cfa_slice secret, cfa_slice timestamp, cfa_slice body) {
    const cfa_slice parts[] = { timestamp, { ".", 1 }, body };
    cfa__hmac_sha256(out, secret, parts, 3);
}

cfa__signature_verdict cfa__signature_check(cfa_slice header, cfa_slice body,
                                            const cfa_slice *secrets, size_t secret_count,
                                            int64_t now_us) {
    assert(secret_count <= SECRETS_MAX);
    if (header.size == 0) {
        return CFA__SIGNATURE_MISSING;
    }
    signed_header given;
    if (header.size > HEADER_BYTES_MAX || !read_header(&given, header)) {
        return CFA__SIGNATURE_MALFORMED;
    }
    bool matches = false;
    for (size_t i = 0; i < secret_count; i++) {
        uint8_t expected[CODE_SIZE];
        compute(expected, secrets[i], given.timestamp, body);
        for (size_t code = 0; code < given.code_count; code++) {
            matches |= cfa__equal_constant_time(given.codes[code], expected, CODE_SIZE);
        }
    }
    if (!matches) {
        return CFA__SIGNATURE_MISMATCH;
    }
    int64_t signed_us = given.signed_s * 1000000;
    if (now_us - signed_us > TOLERANCE_US) {
        return CFA__SIGNATURE_TOO_OLD;
    }
    return signed_us - now_us > TOLERANCE_US ? CFA__SIGNATURE_FROM_THE_FUTURE : CFA__SIGNATURE_GOOD;
}

const char *cfa__signature_text(cfa__signature_verdict verdict) {
    switch (verdict) {
    case CFA__SIGNATURE_GOOD: return "the signature is good";
    case CFA__SIGNATURE_MISSING: return "the signature header is missing";
    case CFA__SIGNATURE_MALFORMED:
        return "the signature header is malformed: it must be t=<seconds>,v1=<64 hex digits>";
    case CFA__SIGNATURE_MISMATCH:
        return "the signature does not match: the body was altered, or the secret is another one";
    case CFA__SIGNATURE_TOO_OLD: return "the signature is too old: it was made more than 300 s ago";
    case CFA__SIGNATURE_FROM_THE_FUTURE: break;
    }
    return "the signature is from the future: it was made more than 300 s ahead of this clock";
}

void cfa__signature_make(char out[CFA__SIGNATURE_SIZE], cfa_slice secret, cfa_slice body,
                         int64_t at_us) {
    char timestamp[24];
    int size = snprintf(timestamp, sizeof timestamp, "%lld", (long long)(at_us / 1000000));
    assert(size > 0);
    uint8_t code[CODE_SIZE];
    compute(code, secret, (cfa_slice){ timestamp, (size_t)size }, body);
    int end = snprintf(out, CFA__SIGNATURE_SIZE, "t=%s,v1=", timestamp);
    assert(end > 0 && (size_t)end + 2 * sizeof code < CFA__SIGNATURE_SIZE);
    char *at = out + end;
    for (size_t i = 0; i < sizeof code; i++) {
        *at++ = "0123456789abcdef"[code[i] >> 4];
        *at++ = "0123456789abcdef"[code[i] & 15];
    }
    *at = '\0';
}
