/*
 * id.h - 128-bit ids: UUIDv7 inside, TypeIDs ("plg_01h4...") outside.
 *
 * Stateless: time and randomness are given. Text form and parser follow the TypeID specification
 * 0.3 (prefix, underscore, 26 lower-case Crockford base32 characters); plain UUID and 32 hex digits
 * parse too.
 */
#ifndef CFA_UTIL_ID_H
#define CFA_UTIL_ID_H

#include <careforall/base.h>
#include <stdbool.h>

typedef struct cfa__id {
    uint8_t bytes[16];
} cfa__id;

#define CFA__ID_NULL ((cfa__id){ { 0 } })

/* A UUIDv7 of the given time and 10 random bytes; microseconds below the millisecond go into
 * rand_a. */
cfa__id cfa__id_make(int64_t now_us, const uint8_t random[10]);
bool cfa__id_is_null(cfa__id id);
int cfa__id_compare(cfa__id a, cfa__id b);

/* Write "prefix_..." into `out` (CFA_ID_TEXT_SIZE bytes). `prefix`: 3 or 4 lower-case letters. */
void cfa__id_format(char *out, const char *prefix, cfa__id id);
/* Write the 36 characters of a UUID and a NUL. */
void cfa__id_format_uuid(char out[37], cfa__id id);

/* Read a TypeID with this prefix, a UUID or 32 hex digits. CFA_EINVAL with `field` named. */
CFA_MUST_CHECK cfa_status cfa__id_parse(cfa__id *out, const char *prefix, const char *text,
                                        const char *field);
/* Read a UUIDv7 in its 36-character form only; false for anything else. */
bool cfa__id_parse_uuid7(cfa__id *out, const char *text, size_t size);

#endif
