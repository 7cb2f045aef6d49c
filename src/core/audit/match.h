/*
 * match.h - JSON in the very form in which the engine writes it, matched as text. Payloads and facts
 * are read by the million, and a parser that takes any form costs more than all the rest of an audit.
 * What does not match is not wrong: it is left to that parser.
 */
#ifndef CFA_CORE_AUDIT_MATCH_H
#define CFA_CORE_AUDIT_MATCH_H

#include <stdbool.h>

#include "util/id.h"

typedef struct cfa__match {
    const char *at, *end;
} cfa__match;

cfa__match cfa__match_begin(cfa_slice text);
/* Each takes what it names, or leaves the rest as it is and returns false. */
bool cfa__match_text(cfa__match *match, const char *literal);
bool cfa__match_int(cfa__match *match, int64_t *out);
/* A TypeID. */
bool cfa__match_id(cfa__match *match, const char *prefix, cfa__id *out);
/* A string with its quotes in which nothing is escaped, or null (`out->data` NULL). */
bool cfa__match_string(cfa__match *match, cfa_slice *out);
bool cfa__match_ended(const cfa__match *match);

#endif
