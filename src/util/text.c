/*
 * text.c - what text may enter, and how time is written. Pure functions; never a locale, never the
 * C library's time.
 */
#define _POSIX_C_SOURCE 200809L
#include "util/text.h"

#include <assert.h>
#include <careforall/sys/platform.h>
#include <string.h>

/*
 * Bytes of the UTF-8 character at `at` (RFC 3629: shortest form, no surrogates, up to U+10FFFF), 0
 * if broken.
 */
static size_t utf8_size(const unsigned char *at, size_t left) {
    unsigned char lead = at[0];
    if (lead < 0x80)
        return 1;
    size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (lead < 0xc2 || lead > 0xf4 || size > left)
        return 0;
    /*
     * The second byte's range is what refuses overlong forms, surrogates and numbers beyond the
     * last.
     */
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return size;
}

/* Eight bytes at once: most text is ASCII. */
static bool are_ascii(const unsigned char at[8]) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return (word & UINT64_C(0x8080808080808080)) == 0;
}

bool cfa__text_is_utf8(const void *data, size_t size) {
    const unsigned char *at = data;
    while (size != 0) {
        if (size >= 8 && are_ascii(at)) {
            at += 8;
            size -= 8;
            continue;
        }
        size_t step = utf8_size(at, size);
        if (step == 0)
            return false;
        at += step;
        size -= step;
    }
    return true;
}

/* C0 (but \n and \t where lines are allowed), DEL, and C1, which is U+0080 to U+009F. */
static bool has_control(const unsigned char *at, size_t size, bool multiline) {
    for (size_t i = 0; i < size; i++) {
        if (at[i] < 0x20 && !(multiline && (at[i] == '\n' || at[i] == '\t')))
            return true;
        if (at[i] == 0x7f || (at[i] == 0xc2 && i + 1 < size && at[i + 1] < 0xa0))
            return true;
    }
    return false;
}

static bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }

static bool is_hex_letter(unsigned char c) {
    return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_alphanumeric(unsigned char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

enum { CARD_DIGITS_MIN = 13, CARD_DIGITS_MAX = 19, CARD_GROUP_MIN = 3, HEX_TOKEN_MIN = 24 };

static bool passes_luhn(const unsigned char *digits, size_t count) {
    int sum = 0;
    for (size_t i = 0; i < count; i++) {
        int value = digits[i];
        if ((count - i) % 2 == 0)
            value = value > 4 ? 2 * value - 9 : 2 * value;
        sum += value;
    }
    return sum % 10 == 0;
}

/* Does a separator at `at` join two digits? */
static bool joins(const unsigned char *text, size_t size, size_t at) {
    return at > 0 && at + 1 < size && (text[at] == ' ' || text[at] == '-') &&
           is_digit(text[at - 1]) && is_digit(text[at + 1]);
}

/*
 * Does a card number begin with the group of digits at `start`? Looked at are the numbers made of
 * whole groups. Short groups, as in dates and lists of numbers, count only when the number is
 * everything there is; otherwise a sentence full of numbers would offer so many windows that one of
 * them passes Luhn by chance.
 */
static bool card_begins(const unsigned char *text, size_t size, size_t start) {
    unsigned char digits[CARD_DIGITS_MAX];
    size_t count = 0, group = 0;
    bool short_groups = false;
    bool whole_start = start == 0 || !joins(text, size, start - 1);
    /* Behind every digit comes another, or a joining separator, or the return at the loop's end. */
    for (size_t i = start;; i++) {
        assert(i < size);
        if (!is_digit(text[i])) {
            group = 0;
            continue;
        }
        if (count == CARD_DIGITS_MAX)
            return false;
        digits[count++] = (unsigned char)(text[i] - '0');
        group++;
        if (i + 1 < size && is_digit(text[i + 1]))
            continue;
        short_groups = short_groups || group < CARD_GROUP_MIN;
        bool whole_end = !joins(text, size, i + 1);
        if (count >= CARD_DIGITS_MIN && (!short_groups || (whole_start && whole_end)) &&
            passes_luhn(digits, count))
            return true;
        if (whole_end)
            return false;
    }
}

/*
 * Bytes of an identifier at `at` in which digits mean nothing: a UUID, or 24 and more hex digits
 * with a letter among them. 0 if there is none. Their digit groups would pass Luhn once in ten.
 */
static size_t identifier_size(const unsigned char *at, size_t left) {
    size_t size = 0;
    bool letter = false;
    while (size < left && (is_digit(at[size]) || is_hex_letter(at[size])))
        letter = is_hex_letter(at[size++]) || letter;
    if (size >= HEX_TOKEN_MIN && letter && (size == left || !is_alphanumeric(at[size])))
        return size;
    if (size != 8 || left < 36 || (left > 36 && is_alphanumeric(at[36])))
        return 0;
    for (size_t i = 8; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? at[i] != '-' : !is_digit(at[i]) && !is_hex_letter(at[i]))
            return 0;
    }
    return 36;
}

/*
 * A first digit of 0 is nobody's and of 1 an airline's account: numbers that begin so are the
 * timestamps in milli- and microseconds and the sequence ids that hosts use as references, and are
 * let through.
 */
bool cfa__text_has_card_number(const void *data, size_t size) {
    const unsigned char *text = data;
    for (size_t i = 0; i < size; i++) {
        bool token_start = i == 0 || !is_alphanumeric(text[i - 1]);
        if (token_start) {
            size_t skip = identifier_size(text + i, size - i);
            if (skip != 0) {
                i += skip - 1;
                continue;
            }
        }
        bool group_start = is_digit(text[i]) && (i == 0 || !is_digit(text[i - 1]));
        if (group_start && text[i] >= '2' && card_begins(text, size, i))
            return true;
    }
    return false;
}

/* Nothing in it that has to be looked at closer: printable ASCII, with too few digits for a card
 * number. */
static bool is_plain(const unsigned char *at, size_t size) {
    size_t digits = 0;
    for (size_t i = 0; i < size; i++) {
        if (at[i] < 0x20 || at[i] > 0x7e)
            return false;
        digits += is_digit(at[i]);
    }
    return digits < CARD_DIGITS_MIN;
}

cfa_status cfa__text_check(const char *text, const char *origin, const char *field,
                           size_t bytes_max, bool required, bool multiline) {
    if (text == NULL || text[0] == '\0') {
        if (!required)
            return CFA_OK;
        return cfa_error_format(CFA_EINVAL, origin, field, 0, "%s is missing", field);
    }
    assert(bytes_max < SIZE_MAX);
    size_t size = strnlen(text, bytes_max + 1);
    if (size > bytes_max)
        return cfa_error_format(CFA_ETOOLONG, origin, field, 0, "%s is longer than %zu bytes",
                                field, bytes_max);
    if (is_plain((const unsigned char *)text, size))
        return CFA_OK;
    if (!cfa__text_is_utf8(text, size))
        return cfa_error_format(CFA_EENCODING, origin, field, 0, "%s is not valid UTF-8", field);
    if (has_control((const unsigned char *)text, size, multiline))
        return cfa_error_format(CFA_EENCODING, origin, field, 0, "%s holds a control character",
                                field);
    if (cfa__text_has_card_number(text, size))
        return cfa_error_format(CFA_ECARD, origin, field, 0,
                                "%s looks like a card number, which must never enter", field);
    return CFA_OK;
}

static void put_digits(char *out, int64_t value, int count) {
    for (int i = count - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
}

#define US_PER_DAY INT64_C(86400000000)
#define YEAR_0_US (INT64_C(-719528) * US_PER_DAY)
#define YEAR_10000_US (INT64_C(2932897) * US_PER_DAY)

/*
 * RFC 3339 has four digits for the year; what is outside is written as the nearest time that has
 * one.
 */
void cfa__time_format(char out[28], int64_t time_us) {
    if (time_us < YEAR_0_US)
        time_us = YEAR_0_US;
    if (time_us >= YEAR_10000_US)
        time_us = YEAR_10000_US - 1;
    int64_t since_0_us = time_us - YEAR_0_US;
    int64_t day = since_0_us / US_PER_DAY, us = since_0_us % US_PER_DAY;
    /*
     * Count years from March, so that the leap day is a year's last; day 0 is then 0000-03-01, a
     * cycle earlier.
     */
    day += 146097 - 60;
    int64_t cycle = day / 146097, day_of_cycle = day % 146097;
    int64_t year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36524 - day_of_cycle / 146096) / 365;
    int64_t day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    int64_t year = 400 * (cycle - 1) + year_of_cycle + (month <= 2);
    memcpy(out, "0000-00-00T00:00:00.000000Z", 28);
    put_digits(out, year, 4);
    put_digits(out + 5, month, 2);
    put_digits(out + 8, day_of_year - (153 * march_month + 2) / 5 + 1, 2);
    put_digits(out + 11, us / INT64_C(3600000000), 2);
    put_digits(out + 14, us / INT64_C(60000000) % 60, 2);
    put_digits(out + 17, us / 1000000 % 60, 2);
    put_digits(out + 20, us % 1000000, 6);
}
