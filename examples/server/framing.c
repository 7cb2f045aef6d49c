/*
 * framing.c - heads that a proxy before us might have read differently. libmicrohttpd 0.9.75 is
 * lenient: it takes bare line feeds, folded lines, NULs and spaces as they come. What it hands out
 * lies in its read buffer, so the pieces must add up to the bytes it says the head had; where they
 * do not, something was skipped, and the request is refused with its connection.
 */
#include "framing.h"

#include <string.h>
#include <strings.h>

typedef struct head_scan {
    framing *out;
    int hosts, lengths, encodings;
    bool bad_name, bad_value, bad_host, bad_encoding, bad_length;
    uint64_t raw_bytes; /* of all header lines, as they stand in the buffer */
} head_scan;

static bool name_is(const char *name, size_t size, const char *wanted, size_t wanted_size) {
    return size == wanted_size && strncasecmp(name, wanted, size) == 0;
}

/* RFC 9110, token. */
static bool is_token(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 127 || strchr("\"(),/:;<=>?@[\\]{}", c))
            return false;
    }
    return size > 0;
}

static bool has_control(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < ' ' && c != '\t') || c == 127)
            return true;
    }
    return false;
}

/* Digits alone, at most 18 of them, without a leading zero: one spelling for each length. */
static bool read_length(const char *text, size_t size, uint64_t *out) {
    if (size == 0 || size > 18 || (size > 1 && text[0] == '0'))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    *out = value;
    return true;
}

static bool is_host(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 127 || strchr("\"#,/<>?@\\^`{|}", c))
            return false;
    }
    return size > 0;
}

static enum MHD_Result scan_header(void *self, enum MHD_ValueKind kind, const char *name,
                                   size_t name_size, const char *value, size_t value_size) {
    (void)kind;
    head_scan *scan = self;
    value = value ? value : "";
    scan->out->header_count++;
    scan->out->header_bytes += name_size + value_size + 4;
    /* From the name's first byte to the value's last; far off when the value was moved. */
    scan->raw_bytes += (uintptr_t)value + value_size - (uintptr_t)name + 2;
    scan->bad_name = scan->bad_name || !is_token(name, name_size);
    scan->bad_value = scan->bad_value || has_control(value, value_size);
    if (name_is(name, name_size, "Host", 4)) {
        scan->hosts++;
        scan->bad_host = scan->bad_host || !is_host(value, value_size);
    } else if (name_is(name, name_size, "Content-Length", 14)) {
        scan->lengths++;
        scan->bad_length = scan->bad_length || !read_length(value, value_size, &scan->out->length);
    } else if (name_is(name, name_size, "Transfer-Encoding", 17)) {
        scan->encodings++;
        scan->out->chunked = name_is(value, value_size, "chunked", 7);
        scan->bad_encoding = scan->bad_encoding || !scan->out->chunked;
    }
    return MHD_YES;
}

static uint64_t head_bytes(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info ? info->header_size : 0;
}

const char *framing_check(framing *out, struct MHD_Connection *connection, const char *method,
                          size_t target_size, const char *version) {
    memset(out, 0, sizeof *out);
    head_scan scan = { .out = out };
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, scan_header, &scan);
    bool http_1_0 = strcmp(version, "HTTP/1.0") == 0;
    uint64_t first_line = strlen(method) + 1 + target_size + 1 + strlen(version) + 2;
    if (!http_1_0 && strcmp(version, "HTTP/1.1") != 0)
        return "the version must be HTTP/1.1 or HTTP/1.0";
    if (!is_token(method, strlen(method)))
        return "the method holds a forbidden character";
    if (scan.bad_name)
        return "a header name holds a space or another forbidden character";
    if (scan.bad_value)
        return "a header value holds a control character";
    if (scan.lengths > 1)
        return "there is more than one Content-Length";
    if (scan.bad_length)
        return "Content-Length is not a plain number";
    if (scan.encodings > 0 && scan.lengths > 0)
        return "there is a Content-Length beside a Transfer-Encoding";
    if (scan.encodings > 1 || scan.bad_encoding || (scan.encodings > 0 && http_1_0))
        return "Transfer-Encoding may only be \"chunked\", once, in HTTP/1.1";
    if (scan.hosts > 1 || (scan.hosts == 0 && !http_1_0))
        return "there must be exactly one Host";
    if (scan.bad_host)
        return "Host is not a name or address with an optional port";
    if (first_line + scan.raw_bytes + 2 != head_bytes(connection))
        return "the head holds a NUL, a bare line feed, a folded line or a stray space";
    return NULL;
}

const char *framing_check_target(const char *target) {
    if (target[0] != '/' && strcmp(target, "*") != 0)
        return "the target must be a path";
    for (const char *at = target; *at != '\0'; at++)
        if (*at <= ' ' || *at >= 127 || strchr("\"#<>\\^`{|}", *at))
            return "the target holds a character that must be percent-encoded";
    return NULL;
}
