/*
 * test_text.c - which text may enter, and how time is written.
 */
#include "util/suite.h"

#include "util/id.h"
#include "util/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *bytes;
    bool good;
} utf8_cases[] = {
    { "", true },
    { "plain", true },
    { "\x7f", true },
    { "\xc2\x80", true },         /* U+0080, the first of two bytes */
    { "\xdf\xbf", true },         /* U+07FF */
    { "\xe0\xa0\x80", true },     /* U+0800 */
    { "\xed\x9f\xbf", true },     /* U+D7FF, before the surrogates */
    { "\xee\x80\x80", true },     /* U+E000, behind them */
    { "\xef\xbf\xbf", true },     /* U+FFFF */
    { "\xf0\x90\x80\x80", true }, /* U+10000 */
    { "\xf4\x8f\xbf\xbf", true }, /* U+10FFFF, the last */
    { "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x92\x9az", true },
    { "\x80", false }, /* continuation alone */
    { "\xbf", false },
    { "a\x80", false },
    { "\xc0\x80", false }, /* overlong NUL */
    { "\xc0\xaf", false }, /* overlong slash */
    { "\xc1\xbf", false },
    { "\xe0\x80\xaf", false },
    { "\xe0\x9f\xbf", false }, /* overlong U+07FF */
    { "\xf0\x80\x80\xaf", false },
    { "\xf0\x8f\xbf\xbf", false }, /* overlong U+FFFF */
    { "\xed\xa0\x80", false },     /* U+D800 */
    { "\xed\xaf\xbf", false },
    { "\xed\xb0\x80", false },
    { "\xed\xbf\xbf", false },             /* U+DFFF */
    { "\xed\xa0\xbd\xed\xb2\x9a", false }, /* a surrogate pair */
    { "\xf4\x90\x80\x80", false },         /* U+110000 */
    { "\xf5\x80\x80\x80", false },
    { "\xf8\x88\x80\x80\x80", false }, /* five bytes */
    { "\xfc\x84\x80\x80\x80\x80", false },
    { "\xfe", false },
    { "\xff", false },
    { "\xc3", false }, /* cut */
    { "\xe2\x82", false },
    { "\xf0\x9f\x92", false },
    { "\xc3(", false }, /* continuation missing */
    { "\xe2(\xac", false },
    { "\xe2\x82(", false },
    { "\xf0(\x92\x9a", false },
    { "\xf0\x9f(\x9a", false },
    { "\xf0\x9f\x92(", false },
    { "\xc3\xc3\xa9", false },
};

START_TEST(utf8_is_what_rfc_3629_says) {
    for (size_t i = 0; i < COUNT(utf8_cases); i++) {
        size_t size = strlen(utf8_cases[i].bytes);
        /* In memory of its own, so that a byte read beyond it is found. */
        char *bytes = malloc(size != 0 ? size : 1);
        ck_assert_ptr_nonnull(bytes);
        memcpy(bytes, utf8_cases[i].bytes, size);
        ck_assert_msg(cfa__text_is_utf8(bytes, size) == utf8_cases[i].good, "case %zu", i);
        free(bytes);
    }
    ck_assert(cfa__text_is_utf8("a\0b", 3));
    ck_assert(cfa__text_is_utf8(NULL, 0));
}
END_TEST

START_TEST(every_code_point_is_judged_alike_by_rule_and_by_bytes) {
    uint32_t wrong = 0;
    for (uint32_t point = 0; point < 0x120000; point++) {
        uint8_t bytes[4] = { (uint8_t)(0xf0 | point >> 18), (uint8_t)(0x80 | (point >> 12 & 0x3f)),
                             (uint8_t)(0x80 | (point >> 6 & 0x3f)),
                             (uint8_t)(0x80 | (point & 0x3f)) };
        bool four = cfa__text_is_utf8(bytes, 4);
        wrong += four != (point >= 0x10000 && point < 0x110000);
        if (point < 0x10000) {
            bytes[1] = (uint8_t)(0xe0 | point >> 12);
            wrong += cfa__text_is_utf8(bytes + 1, 3) !=
                     (point >= 0x800 && (point < 0xd800 || point > 0xdfff));
        }
        if (point < 0x800) {
            bytes[2] = (uint8_t)(0xc0 | point >> 6);
            wrong += cfa__text_is_utf8(bytes + 2, 2) != (point >= 0x80);
        }
    }
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

/* The published test numbers of the card schemes, and what people write around them. */
static const char *const cards[] = {
    "4242424242424242",
    "4111111111111111",
    "4222222222222",
    "378282246310005",
    "371449635398431",
    "6011111111111117",
    "30569309025904",
    "38520000023237",
    "36227206271667",
    "3566002020360505",
    "5555555555554444",
    "2223003122003222",
    "6200000000000005",
    "6205500000000000004",
    "4242 4242 4242 4242",
    "4242-4242-4242-4242",
    "4242 4242-4242 4242",
    "3782 822463 10005",
    "42 42 42 42 42 42 42 42",
    "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2",
    "my card is 4242424242424242.",
    "card:4242424242424242",
    "visa4242424242424242",
    "4242424242424242cvc",
    "(4242424242424242)",
    "4242 4242 4242 4242 12/29 123",
    "4242424242424242 123",
    "12 4242 4242 4242 4242",
    "room 12 4242424242424242",
    "x4242 4242 4242 4242",
    "one\n4242424242424242\ntwo",
    "550e8400-e29b-41d4-a716-446655440000 4242424242424242",
    "4242424242424242 550e8400-e29b-41d4-a716-446655440000",
    "42424242-42424242, and thank you for everything",
    "42424242-4242-4242-8242-4242424242424242",
};

static const char *const not_cards[] = {
    "",
    "0",
    "4242",
    "424242424242",
    "4242424242424241",
    "4242424242424243",
    "4111111111111112",
    "1234567890123456",
    "42424242424242420",
    "42424242424242424242",
    "14242424242424242424242424",
    "4242424242424242424242424242424242424242",
    "4242  4242 4242 4242",
    "4242--4242-4242-4242",
    "4242 -4242 4242 4242",
    "4242.4242.4242.4242",
    "4242_4242_4242_4242",
    "4242/4242/4242/4242",
    "4242\n4242\n4242\n4242",
    "+41 44 668 18 00",
    "0049 30 1234567",
    "CH93 0076 2011 6238 5295 7",
    "2026-01-31",
    "2026-01-31 12:00:00",
    "2026-01-31T12:00:00.000000Z",
    "1767225600",
    "1767225600000",
    "1767225600000000",
    "0000000000000000",
    "0000 0000 0000 0000",
    "1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16",
    "550e8400-e29b-41d4-a716-446655440000",
    "00000000-0000-4000-8000-424242424242",
    "urn:uuid:42424242-4242-4242-8242-424242424242",
    "42424242-4242-4242-8242-424242424242",
    "ref_42424242-4242-4242-8242-424242424242",
    "4242424242424242deadbeef",
    "d41d8cd98f00b204e9800998ecf8427e",
    "4242424242424242424242424242424a",
    "plg_01h455vb4pex5vsknk084sn02q",
    "pi_3MtwBwLkdIwHu7ix28a3tqPa",
};

START_TEST(card_numbers_are_found_however_they_are_written) {
    for (size_t i = 0; i < COUNT(cards); i++)
        ck_assert_msg(cfa__text_has_card_number(cards[i], strlen(cards[i])), "%s", cards[i]);
}
END_TEST

START_TEST(other_numbers_are_left_alone) {
    for (size_t i = 0; i < COUNT(not_cards); i++) {
        size_t size = strlen(not_cards[i]);
        char *bytes = malloc(size != 0 ? size : 1);
        ck_assert_ptr_nonnull(bytes);
        memcpy(bytes, not_cards[i], size);
        ck_assert_msg(!cfa__text_has_card_number(bytes, size), "%s", not_cards[i]);
        free(bytes);
    }
    /* Only the bytes that are given count. */
    ck_assert(!cfa__text_has_card_number("4242424242424242", 12));
}
END_TEST

START_TEST(one_wrong_digit_and_it_is_no_card) {
    char text[] = "4242 4242 4242 4242";
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        char right = text[i];
        if (right == ' ')
            continue;
        for (char digit = '2'; digit <= '9'; digit++) {
            text[i] = digit;
            ck_assert_msg(cfa__text_has_card_number(text, sizeof(text) - 1) == (digit == right),
                          "%s", text);
        }
        text[i] = right;
    }
}
END_TEST

START_TEST(identifiers_never_look_like_cards) {
    uint64_t state = 17;
    int flagged = 0;
    for (int i = 0; i < 20000; i++) {
        cfa__id id;
        for (size_t j = 0; j < sizeof(id.bytes); j++)
            id.bytes[j] = (uint8_t)next_random(&state);
        /* Few letters, so that long groups of digits are common. */
        for (size_t j = 0; j < sizeof(id.bytes) && i % 2 == 0; j++)
            id.bytes[j] = (uint8_t)(id.bytes[j] / 16 % 10 << 4 | id.bytes[j] % 10);
        char text[64] = "order ";
        cfa__id_format_uuid(text + 6, id);
        flagged += cfa__text_has_card_number(text, strlen(text));
        cfa__id_format(text, "plg", id);
        flagged += cfa__text_has_card_number(text, strlen(text));
        int64_t now_us = INT64_C(1767225600000000);
        now_us += (int64_t)(next_random(&state) % 100000000000000);
        (void)snprintf(text, sizeof(text), "%lld %lld", (long long)now_us,
                       (long long)(now_us / 1000));
        flagged += cfa__text_has_card_number(text, strlen(text));
        cfa__time_format(text, now_us);
        flagged += cfa__text_has_card_number(text, strlen(text));
    }
    ck_assert_int_eq(flagged, 0);
}
END_TEST

START_TEST(a_text_field_is_checked_and_named) {
    static const struct {
        const char *text;
        bool required, multiline;
        cfa_status status;
    } cases[] = {
        { NULL, false, false, CFA_OK },
        { "", false, false, CFA_OK },
        { NULL, true, false, CFA_EINVAL },
        { "", true, false, CFA_EINVAL },
        { "Ada", true, false, CFA_OK },
        { "0123456789abcdef", true, false, CFA_OK },
        { "0123456789abcdefg", true, false, CFA_ETOOLONG },
        { "\xf0\x9f\x92\x9a\xf0\x9f\x92\x9a\xf0\x9f\x92\x9a\xf0\x9f\x92\x9a", true, false, CFA_OK },
        { "a\x80", true, false, CFA_EENCODING },
        { "a\nb", true, true, CFA_OK },
        { "a\tb", true, true, CFA_OK },
        { "a\nb", true, false, CFA_EENCODING },
        { "a\tb", true, false, CFA_EENCODING },
        { "a\rb", true, true, CFA_EENCODING },
        { "a\x01", true, true, CFA_EENCODING },
        { "a\x1b[0m", true, true, CFA_EENCODING },
        { "a\x7f", true, true, CFA_EENCODING },
        { "a\xc2\x80", true, true, CFA_EENCODING },
        { "a\xc2\x9f", true, true, CFA_EENCODING },
        { "a\xc2\xa0", true, false, CFA_OK },
        { "4242424242424242", true, false, CFA_ECARD },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        cfa_error_clear();
        cfa_status status = cfa__text_check(cases[i].text, "core.test", "donor.name", 16,
                                            cases[i].required, cases[i].multiline);
        ck_assert_msg(status == cases[i].status, "case %zu: %s", i, cfa_status_name(status));
        ck_assert_int_eq(last_error()->status, status);
        if (status != CFA_OK) {
            ck_assert_str_eq(last_error()->origin, "core.test");
            ck_assert_str_eq(last_error()->field, "donor.name");
            ck_assert_ptr_nonnull(strstr(last_error()->message, "donor.name"));
            ck_assert_ptr_null(strstr(last_error()->message, "4242"));
        }
    }
}
END_TEST

START_TEST(times_are_written_in_rfc_3339) {
    static const struct {
        int64_t time_us;
        const char *text;
    } cases[] = {
        { 0, "1970-01-01T00:00:00.000000Z" },
        { -1, "1969-12-31T23:59:59.999999Z" },
        { 1, "1970-01-01T00:00:00.000001Z" },
        { INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z" },
        { INT64_C(951868800000000), "2000-03-01T00:00:00.000000Z" },
        { INT64_C(1709251199999999), "2024-02-29T23:59:59.999999Z" },
        { INT64_C(1767225600000000), "2026-01-01T00:00:00.000000Z" },
        { INT64_C(4107542400000000), "2100-03-01T00:00:00.000000Z" },
        { INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z" },
        { INT64_C(253402300800000000), "9999-12-31T23:59:59.999999Z" },
        { INT64_MAX, "9999-12-31T23:59:59.999999Z" },
        { INT64_C(-62167219200000000), "0000-01-01T00:00:00.000000Z" },
        { INT64_C(-62167219200000001), "0000-01-01T00:00:00.000000Z" },
        { INT64_MIN, "0000-01-01T00:00:00.000000Z" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[28];
        cfa__time_format(text, cases[i].time_us);
        ck_assert_str_eq(text, cases[i].text);
    }
}
END_TEST

START_TEST(times_agree_with_the_systems_calendar) {
    uint64_t state = 23;
    int differing = 0;
    for (int i = 0; i < 20000; i++) {
        /* Twenty days apart over eight centuries, then anywhere in the years of four digits. */
        int64_t seconds = INT64_C(-12000000000) + i * INT64_C(86400) * 20;
        if (i >= 14600)
            seconds = (int64_t)(next_random(&state) % 315569520000) - INT64_C(62167219200);
        time_t system_time = (time_t)seconds;
        struct tm parts;
        char wanted[64], text[28];
        ck_assert(gmtime_r(&system_time, &parts) != NULL);
        (void)snprintf(wanted, sizeof(wanted), "%04d-%02d-%02dT%02d:%02d:%02d.000123Z",
                       parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                       parts.tm_min, parts.tm_sec);
        cfa__time_format(text, seconds * 1000000 + 123);
        differing += strcmp(text, wanted) != 0;
    }
    ck_assert_int_eq(differing, 0);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("text");
    TCase *utf8 = tcase_create("utf8");
    tcase_add_test(utf8, utf8_is_what_rfc_3629_says);
    tcase_add_test(utf8, every_code_point_is_judged_alike_by_rule_and_by_bytes);
    suite_add_tcase(suite, utf8);
    TCase *card = tcase_create("card");
    tcase_add_test(card, card_numbers_are_found_however_they_are_written);
    tcase_add_test(card, other_numbers_are_left_alone);
    tcase_add_test(card, one_wrong_digit_and_it_is_no_card);
    tcase_add_test(card, identifiers_never_look_like_cards);
    suite_add_tcase(suite, card);
    TCase *field = tcase_create("field");
    tcase_add_test(field, a_text_field_is_checked_and_named);
    suite_add_tcase(suite, field);
    TCase *times = tcase_create("time");
    tcase_add_test(times, times_are_written_in_rfc_3339);
    tcase_add_test(times, times_agree_with_the_systems_calendar);
    suite_add_tcase(suite, times);
    return run_suite(suite, argc, argv);
}
