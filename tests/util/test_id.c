/*
 * test_id.c - ids and keys: their order, their text, and what is refused.
 */
#include "util/suite.h"

#include "util/id.h"
#include <careforall/sys/platform.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static cfa__id parse_uuid(const char *text) {
    cfa__id id;
    ck_assert_int_eq(cfa__id_parse(&id, "plg", text, "id"), CFA_OK);
    return id;
}

/* The first four are the valid vectors of the TypeID specification. */
static const struct {
    const char *digits, *uuid;
} vectors[] = {
    { "00000000000000000000000000", "00000000-0000-0000-0000-000000000000" },
    { "7zzzzzzzzzzzzzzzzzzzzzzzzz", "ffffffff-ffff-ffff-ffff-ffffffffffff" },
    { "0123456789abcdefghjkmnpqrs", "0110c853-1d09-52d8-d73e-1194e95b5f19" },
    { "01h455vb4pex5vsknk084sn02q", "01890a5d-ac96-774b-bcce-b302099a8057" },
    { "00000000000000000000000001", "00000000-0000-0000-0000-000000000001" },
    { "0000000000000000000000000a", "00000000-0000-0000-0000-00000000000a" },
    { "0000000000000000000000000g", "00000000-0000-0000-0000-000000000010" },
    { "00000000000000000000000010", "00000000-0000-0000-0000-000000000020" },
};

START_TEST(known_ids_are_written_and_read) {
    for (size_t i = 0; i < COUNT(vectors); i++) {
        char text[CFA_ID_TEXT_SIZE], wanted[CFA_ID_TEXT_SIZE] = "plg_", uuid[37];
        memcpy(wanted + 4, vectors[i].digits, 27);
        cfa__id id = parse_uuid(vectors[i].uuid);
        cfa__id_format(text, "plg", id);
        ck_assert_str_eq(text, wanted);
        cfa__id_format_uuid(uuid, id);
        ck_assert_str_eq(uuid, vectors[i].uuid);
        cfa__id back;
        ck_assert_int_eq(cfa__id_parse(&back, "plg", wanted, "id"), CFA_OK);
        ck_assert_int_eq(cfa__id_compare(id, back), 0);
        ck_assert_int_eq(cfa__id_is_null(id), i == 0);
    }
}
END_TEST

START_TEST(all_three_forms_mean_the_same) {
    uint64_t state = 3;
    for (int i = 0; i < 500; i++) {
        cfa__id id, back;
        for (size_t j = 0; j < sizeof(id.bytes); j++)
            id.bytes[j] = (uint8_t)next_random(&state);
        char text[CFA_ID_TEXT_SIZE], uuid[37], hex[33];
        cfa__id_format(text, "evnt", id);
        ck_assert_uint_eq(strlen(text), 31);
        ck_assert_int_eq(cfa__id_parse(&back, "evnt", text, "id"), CFA_OK);
        ck_assert_mem_eq(back.bytes, id.bytes, 16);
        cfa__id_format_uuid(uuid, id);
        size_t size = 0;
        for (const char *at = uuid; *at != '\0'; at++) {
            if (*at != '-')
                hex[size++] = *at;
        }
        hex[size] = '\0';
        ck_assert_int_eq(cfa__id_parse(&back, "evnt", hex, "id"), CFA_OK);
        ck_assert_mem_eq(back.bytes, id.bytes, 16);
        /* Hex digits are read in either case. */
        for (char *at = uuid; *at != '\0'; at++) {
            if (*at >= 'a')
                *at = (char)(*at - 'a' + 'A');
        }
        ck_assert_int_eq(cfa__id_parse(&back, "evnt", uuid, "id"), CFA_OK);
        ck_assert_mem_eq(back.bytes, id.bytes, 16);
    }
}
END_TEST

START_TEST(malformed_ids_are_refused_with_the_field_named) {
    static const char *const bad[] = {
        "",
        "plg",
        "plg_",
        "plg_01h455vb4pex5vsknk084sn02",
        "plg_01h455vb4pex5vsknk084sn02qq",
        "pay_01h455vb4pex5vsknk084sn02q",
        "PLG_01h455vb4pex5vsknk084sn02q",
        "plg_01H455VB4PEX5VSKNK084SN02Q",
        "plg-01h455vb4pex5vsknk084sn02q",
        "plg_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "plg_zzzzzzzzzzzzzzzzzzzzzzzzzz",
        "plg_01h455vb4pex5vsknk084sn02i",
        "plg_01h455vb4pex5vsknk084sn02l",
        "plg_01h455vb4pex5vsknk084sn02o",
        "plg_01h455vb4pex5vsknk084sn02u",
        "plg_u1h455vb4pex5vsknk084sn02q",
        "plg_01h455vb4pex5vsknk084sn02\x80",
        "01h455vb4pex5vsknk084sn02q",
        "_01h455vb4pex5vsknk084sn02q",
        " plg_01h455vb4pex5vsknk084sn02q",
        "01890a5d-ac96-774b-bcce-b302099a805",
        "01890a5d-ac96-774b-bcce-b302099a80577",
        "01890a5dac96-774b-bcce-b302099a8057-",
        "01890a5d-ac96-774b-bcceb-302099a8057",
        "01890a5d-ac96-774b-bcce-b302099a805g",
        "01890a5dac96774bbcceb302099a805",
        "01890a5dac96774bbcceb302099a805g",
        "{01890a5d-ac96-774b-bcce-b302099a8057}",
        "' OR 1=1 --",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        cfa__id id = { { 9 } };
        cfa_error_clear();
        ck_assert_msg(cfa__id_parse(&id, "plg", bad[i], "pledge_id") == CFA_EINVAL, "%s", bad[i]);
        ck_assert_str_eq(last_error()->field, "pledge_id");
        ck_assert_ptr_nonnull(strstr(last_error()->message, "plg_"));
        ck_assert_int_eq(id.bytes[0], 9);
    }
    cfa__id id;
    ck_assert_int_eq(cfa__id_parse(&id, "plg", NULL, "pledge_id"), CFA_EINVAL);
}
END_TEST

START_TEST(a_made_id_is_a_uuid7_of_its_time) {
    /* The time of RFC 9562's example, whose first 48 bits are 017F22E279B0. */
    uint8_t random[10] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    char uuid[37];
    cfa__id_format_uuid(uuid, cfa__id_make(INT64_C(1645557742000000), random));
    ck_assert_str_eq(uuid, "017f22e2-79b0-7003-bfff-ffffffffffff");
    memset(random, 0, sizeof(random));
    cfa__id_format_uuid(uuid, cfa__id_make(INT64_C(1645557742000999), random));
    ck_assert_str_eq(uuid, "017f22e2-79b0-7ffb-8000-000000000000");
    cfa__id_format_uuid(uuid, cfa__id_make(-5, random));
    ck_assert_str_eq(uuid, "00000000-0000-7000-8000-000000000000");
}
END_TEST

START_TEST(ids_sort_by_the_microsecond_they_were_made_in) {
    uint64_t state = 11;
    int64_t now_us = INT64_C(1767225600000000);
    cfa__id before = CFA__ID_NULL;
    int sorted = 0;
    for (int i = 0; i < 5000; i++, now_us++) {
        uint8_t random[10];
        for (size_t j = 0; j < sizeof(random); j++)
            random[j] = (uint8_t)next_random(&state);
        cfa__id id = cfa__id_make(now_us, random);
        sorted += cfa__id_compare(before, id) == -1 && cfa__id_compare(id, before) == 1;
        before = id;
    }
    ck_assert_int_eq(sorted, 5000);
}
END_TEST

START_TEST(only_a_uuid7_counts_as_a_time_ordered_key) {
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        { "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", true },
        { "017F22E2-79B0-7CC3-98C4-DC0C0C07398F", true },
        { "017f22e2-79b0-4cc3-98c4-dc0c0c07398f", false }, /* version 4 */
        { "017f22e2-79b0-7cc3-18c4-dc0c0c07398f", false }, /* another variant */
        { "017f22e2-79b0-7cc3-d8c4-dc0c0c07398f", false },
        { "017f22e279b07cc398c4dc0c0c07398f", false },
        { "017f22e2-79b0-7cc3-98c4-dc0c0c07398", false },
        { "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0", false },
        { "017f22e2-79b0-7cc3-98c4-dc0c0c07398x", false },
        { "", false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        cfa__id id = { { 9 } };
        ck_assert_msg(cfa__id_parse_uuid7(&id, cases[i].text, strlen(cases[i].text)) ==
                          cases[i].good,
                      "%s", cases[i].text);
        ck_assert_int_eq(id.bytes[0], cases[i].good ? 1 : 9);
    }
}
END_TEST

// The clock that makes keys: time() may be a tick behind it, and so in the second before.
static int64_t now_ms(void) {
    struct timespec now;
    ck_assert_int_eq(clock_gettime(CLOCK_REALTIME, &now), 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

START_TEST(a_fresh_key_is_a_new_uuid7_of_now) {
    char first[37], second[37];
    int64_t before = now_ms();
    ck_assert_int_eq(cfa_key_new(first, sizeof(first)), CFA_OK);
    int64_t after = now_ms();
    ck_assert_int_eq(cfa_key_new(second, sizeof(second)), CFA_OK);
    ck_assert_str_ne(first, second);
    cfa__id id;
    ck_assert(cfa__id_parse_uuid7(&id, first, strlen(first)));
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id.bytes[i];
    ck_assert_int_ge(ms, before);
    ck_assert_int_le(ms, after);
    ck_assert_int_eq(cfa_key_new(first, 36), CFA_EMISUSE);
    ck_assert_int_eq(cfa_key_new(NULL, 37), CFA_EMISUSE);
    ck_assert_str_eq(cfa_version(), CFA_VERSION);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("id");
    TCase *text = tcase_create("text");
    tcase_add_test(text, known_ids_are_written_and_read);
    tcase_add_test(text, all_three_forms_mean_the_same);
    tcase_add_test(text, malformed_ids_are_refused_with_the_field_named);
    suite_add_tcase(suite, text);
    TCase *making = tcase_create("making");
    tcase_add_test(making, a_made_id_is_a_uuid7_of_its_time);
    tcase_add_test(making, ids_sort_by_the_microsecond_they_were_made_in);
    tcase_add_test(making, only_a_uuid7_counts_as_a_time_ordered_key);
    tcase_add_test(making, a_fresh_key_is_a_new_uuid7_of_now);
    suite_add_tcase(suite, making);
    return run_suite(suite, argc, argv);
}
