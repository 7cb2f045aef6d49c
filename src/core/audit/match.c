/*
 * match.c - see match.h. Never takes a form that the JSON parser would refuse.
 */
#include "core/audit/match.h"

#include <careforall/error.h>
#include <string.h>

#define DIGITS_MAX 18
#define ID_SIZE 30 /* prefix of three, underscore, 26 digits */

cfa__match cfa__match_begin(cfa_slice text) {
    const char *data = text.data != NULL ? text.data : "";
    return (cfa__match){ data, data + text.size };
}

bool cfa__match_text(cfa__match *match, const char *literal) {
    size_t size = strlen(literal);
    if ((size_t)(match->end - match->at) < size || memcmp(match->at, literal, size) != 0)
        return false;
    match->at += size;
    return true;
}

bool cfa__match_int(cfa__match *match, int64_t *out) {
    const char *at = match->at;
    bool negative = at < match->end && *at == '-';
    int64_t value = 0;
    const char *first = at += negative;
    while (at < match->end && *at >= '0' && *at <= '9' && at - first <= DIGITS_MAX)
        value = value * 10 + (*at++ - '0');
    if (at == first || at - first > DIGITS_MAX || (*first == '0' && at - first > 1))
        return false;
    *out = negative ? -value : value;
    match->at = at;
    return true;
}

bool cfa__match_id(cfa__match *match, const char *prefix, cfa__id *out) {
    char id[CFA_ID_TEXT_SIZE];
    if (match->end - match->at < ID_SIZE)
        return false;
    memcpy(id, match->at, ID_SIZE);
    id[ID_SIZE] = '\0';
    if (id[3] != '_' || cfa__id_parse(out, prefix, id, "id") != CFA_OK)
        return false;
    match->at += ID_SIZE;
    return true;
}

bool cfa__match_string(cfa__match *match, cfa_slice *out) {
    *out = (cfa_slice){ NULL, 0 };
    if (cfa__match_text(match, "null"))
        return true;
    const char *at = match->at;
    if (at == match->end || *at++ != '"')
        return false;
    const char *first = at;
    /* Visible ASCII alone: nothing to decode, nothing that is no UTF-8. */
    while (at < match->end && *at != '"' && *at != '\\' && *at >= 0x20 && *at < 0x7f)
        at++;
    if (at == match->end || *at != '"')
        return false;
    *out = (cfa_slice){ first, (size_t)(at - first) };
    match->at = at + 1;
    return true;
}

bool cfa__match_ended(const cfa__match *match) { return match->at == match->end; }
