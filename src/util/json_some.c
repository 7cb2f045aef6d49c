/*
 * json_some.c - parsing an object of which little is read: the wanted members are copied out and
 * parsed strictly, the others are only skipped. Never decides what a value means.
 */
#include "util/buffer.h"
#include "util/json.h"

#include <string.h>

typedef struct scan {
    const char *at, *end;
} scan;

static void skip_space(scan *from) {
    while (from->at < from->end &&
           (*from->at == ' ' || *from->at == '\n' || *from->at == '\r' || *from->at == '\t')) {
        from->at++;
    }
}

static bool take(scan *from, char wanted) {
    skip_space(from);
    if (from->at == from->end || *from->at != wanted) {
        return false;
    }
    from->at++;
    return true;
}

/* Past the closing quote; the opening one is behind. */
static bool skip_string(scan *from) {
    while (from->at < from->end) {
        const char *quote = memchr(from->at, '"', (size_t)(from->end - from->at));
        if (quote == NULL) {
            return false;
        }
        const char *slash = quote;
        while (slash > from->at && slash[-1] == '\\') {
            slash--;
        }
        from->at = quote + 1;
        if ((quote - slash) % 2 == 0) {
            return true;
        }
    }
    return false;
}

/* An object or an array, whose opening bracket is behind. */
static bool skip_nested(scan *from) {
    size_t depth = 1;
    while (from->at < from->end && depth > 0) {
        char c = *from->at++;
        if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (c == '"' && !skip_string(from)) {
            return false;
        }
    }
    return depth == 0;
}

static bool skip_value(scan *from) {
    skip_space(from);
    if (from->at == from->end) {
        return false;
    }
    if (*from->at == '"') {
        from->at++;
        return skip_string(from);
    }
    if (*from->at == '{' || *from->at == '[') {
        from->at++;
        return skip_nested(from);
    }
    const char *begin = from->at;
    while (from->at < from->end && *from->at != ',' && *from->at != '}') {
        from->at++;
    }
    return from->at > begin;
}

static bool is_wanted(cfa_slice name, const char *const *names) {
    const char *text = name.data;
    for (; name.size > 0 && *names != NULL; names++) {
        if (**names == *text && strlen(*names) == name.size &&
            memcmp(*names, text, name.size) == 0) {
            return true;
        }
    }
    return false;
}

/* One member; copied with its comma when it is wanted. */
static bool take_member(scan *from, const char *const *names, cfa__buffer *out) {
    if (!take(from, '"')) {
        return false;
    }
    const char *name = from->at;
    if (!skip_string(from)) {
        return false;
    }
    cfa_slice key = { name, (size_t)(from->at - name) - 1 };
    if (!take(from, ':') || !skip_value(from)) {
        return false;
    }
    if (is_wanted(key, names)) {
        if (out->size > 1) {
            cfa__buffer_append(out, ",", 1);
        }
        cfa__buffer_append(out, name - 1, (size_t)(from->at - name) + 1);
    }
    return true;
}

cfa_status cfa__json_parse_some(cfa__json **out, cfa_slice text, const char *const *names,
                                cfa_arena *arena) {
    const char *begin = text.data != NULL ? text.data : "";
    scan from = { begin, begin + text.size };
    cfa__buffer some;
    cfa__buffer_init(&some, arena, 512);
    cfa__buffer_append(&some, "{", 1);
    bool good = take(&from, '{');
    if (good && !take(&from, '}')) {
        do {
            good = take_member(&from, names, &some);
        } while (good && take(&from, ','));
        good = good && take(&from, '}');
    }
    skip_space(&from);
    if (!good || from.at != from.end) {
        return cfa__json_parse(out, text); /* it says where and why; no object may be JSON too */
    }
    cfa__buffer_append(&some, "}", 1);
    cfa_slice kept;
    cfa_status status = cfa__buffer_finish(&some, &kept);
    return status == CFA_OK ? cfa__json_parse(out, kept) : status;
}
