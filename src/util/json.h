/*
 * json.h - strict reading of JSON. json.c is the only file in src/ that includes jansson.
 *
 * Refused: duplicate keys, invalid UTF-8, NUL characters, depth over 32, bytes after the value, and
 * numbers where an integer is read that carry a fraction, an exponent or do not fit 64 bits.
 */
#ifndef CFA_UTIL_JSON_H
#define CFA_UTIL_JSON_H

#include <careforall/sys/platform.h>
#include <stdbool.h>

typedef struct cfa__json cfa__json;

/* Parse `text`; owned, freed by `cfa__json_free`. CFA_EINVAL or CFA_EENCODING says where and
 * why. */
CFA_MUST_CHECK cfa_status cfa__json_parse(cfa__json **out, cfa_slice text);
/*
 * The same for an object of which only some top-level members are read: the others are skipped by
 * their brackets and strings alone, which costs a tenth. `names` ends with NULL. Skipped members
 * are not in the result; whether their insides are JSON is not looked at.
 */
CFA_MUST_CHECK cfa_status cfa__json_parse_some(cfa__json **out, cfa_slice text,
                                               const char *const *names, cfa_arena *arena);
void cfa__json_free(cfa__json *root);

/* A member of an object, borrowed from the root; NULL when absent, null, or `object` is no object
 * (or NULL). */
const cfa__json *cfa__json_get(const cfa__json *object, const char *name);
/* Typed reads with a default; false is returned and nothing written when the type is another. */
bool cfa__json_read_int(const cfa__json *value, int64_t *out);
bool cfa__json_read_text(const cfa__json *value, const char **out); /* borrowed from the root */
bool cfa__json_read_bool(const cfa__json *value, bool *out);
bool cfa__json_is_array(const cfa__json *value);
size_t cfa__json_size(const cfa__json *array);
const cfa__json *cfa__json_at(const cfa__json *array, size_t index);

#endif
