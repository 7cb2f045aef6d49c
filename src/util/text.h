/*
 * text.h - what user text may be: valid UTF-8 (RFC 3629) without control characters, and nothing
 * like a card number.
 */
#ifndef CFA_UTIL_TEXT_H
#define CFA_UTIL_TEXT_H

#include <careforall/base.h>
#include <stdbool.h>

bool cfa__text_is_utf8(const void *data, size_t size);
/* 13 to 19 digits that pass Luhn, with any single spaces or dashes between them, not inside a
 * longer run. Not counted: a first digit of 0 or 1 (timestamps), and digits of a UUID or of a hex
 * token of 24 and more. */
bool cfa__text_has_card_number(const void *data, size_t size);

/*
 * Check one text field and set the error naming it: longer than `bytes_max` is CFA_ETOOLONG, broken
 * UTF-8 or a control character (but \n and \t when `multiline`) CFA_EENCODING, a card number
 * CFA_ECARD, and NULL or empty while `required` CFA_EINVAL. `origin`: of the error.
 */
CFA_MUST_CHECK cfa_status cfa__text_check(const char *text, const char *origin, const char *field,
                                          size_t bytes_max, bool required, bool multiline);

/* Write RFC 3339 UTC with microseconds, "2026-01-31T12:00:00.000000Z" and a NUL: 28 bytes. */
void cfa__time_format(char out[28], int64_t time_us);

#endif
