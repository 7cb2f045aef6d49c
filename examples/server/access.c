/*
 * access.c - identity and access log. Only text from closed sets reaches the log: ids of a narrow
 * alphabet, the route's pattern, the problem's code. Never a path, a value or, unless it was asked
 * for, an address.
 */
#include "access.h"
#include "header.h"
#include "http_internal.h"
#include "log.h"
#include "route.h"

#include <stdio.h>
#include <string.h>

static void write_hex(char *out, uint64_t value, int digits) {
    for (int i = digits - 1; i >= 0; i--, value >>= 4)
        out[i] = "0123456789abcdef"[value & 15];
}

void access_number(http_request *request) {
    write_hex(request->id, request->http->request_base, 16);
    write_hex(request->id + 16, request->number, 16);
    request->id[32] = '\0';
}

/* 8 to 64 letters, digits, dots, dashes and underscores, not all of them digits: no address, no
 * card number and no control character can come in this way. */
static bool is_request_id(const char *text) {
    size_t size = strlen(text), letters = 0;
    for (size_t i = 0; i < size && i < HTTP_ID_BYTES_MAX; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
            return false;
        letters += letter;
    }
    return size >= HTTP_ID_BYTES_MIN && size <= HTTP_ID_BYTES_MAX && letters > 0;
}

void access_identify(http_request *request) {
    int count = 0;
    const char *given = http_header(request, "X-Request-Id", &count);
    const char *trace = header_trace(request);
    if (trace)
        memcpy(request->traceparent, trace, strlen(trace) + 1);
    if (count == 1 && is_request_id(given))
        memcpy(request->id, given, strlen(given) + 1);
    else if (trace) {
        memcpy(request->id, trace + 3, 32);
        request->id[32] = '\0';
    }
}

const char *http_traceparent(const http_request *request) {
    return request->traceparent[0] != '\0' ? request->traceparent : NULL;
}

/* `,"name":"value"`, or nothing for an empty value. */
static size_t append_text(char *line, size_t size, size_t used, const char *name,
                          const char *value) {
    if (*value == '\0' || used >= size)
        return used;
    int added = snprintf(line + used, size - used, ",\"%s\":\"%s\"", name, value);
    return used + (size_t)added;
}

void access_log(const http_request *request, int status, bool aborted) {
    char time_text[LOG_TIME_BYTES], address[INET6_ADDRSTRLEN] = "", trace[33] = "";
    log_time(time_text);
    if (request->http->options.log_addresses)
        caller_text(address, &request->caller);
    if (request->traceparent[0] != '\0')
        memcpy(trace, request->traceparent + 3, sizeof trace - 1);
    char line[768];
    int first = snprintf(
        line, sizeof line,
        "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"request\",\"request_id\":\"%s\","
        "\"method\":\"%s\",\"route\":\"%s\",\"status\":%d,\"duration_us\":%llu,\"bytes_in\":%zu,"
        "\"bytes_out\":%zu,\"replayed\":%s",
        time_text, status >= 500 ? "error" : "info", request->id, request->method,
        request->route ? request->route->pattern : "-", status,
        (unsigned long long)(uv_hrtime() / 1000u - request->started_us),
        request->body_size + request->discarded, request->sent_size,
        request->answer.replayed ? "true" : "false");
    size_t used = first > 0 ? (size_t)first : sizeof line;
    used = append_text(line, sizeof line, used, "code", request->answer.code);
    used = append_text(line, sizeof line, used, "trace_id", trace);
    used = append_text(line, sizeof line, used, "ended", aborted ? "aborted" : "");
    used = append_text(line, sizeof line, used, "address", address);
    if (used + 2 > sizeof line)
        return;
    memcpy(line + used, "}\n", 2);
    log_append(line, used + 2);
}
