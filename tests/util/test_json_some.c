/*
 * test_json_some.c - parsing a part of an object gives what parsing all of it gives, and takes no
 * text that is cut off.
 */
#include "suite.h"

#include "util/json.h"

#include <stdlib.h>
#include <string.h>

static const char *const wanted[] = { "id", "amount", "nested", "list", NULL };
static cfa_arena *arena;

static void set_up(void) { ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK); }

static void tear_down(void) { cfa_arena_free(arena); }

static cfa_status parse_some(cfa__json **out, const char *text, size_t size) {
    cfa_arena_reset(arena);
    return cfa__json_parse_some(out, (cfa_slice){ text, size }, wanted, arena);
}

static const char sample[] =
    "{ \"skipped\" : { \"id\" : \"no\", \"x\" : [ \"}\", \"\\\"\", \"\\\\\" ] },\n"
    "  \"id\" : \"a\\u00e9\\\"b\" , \"other\":[1,{\"amount\":2}],\"amount\":12,\"e\":\"\","
    "\"nested\":{\"id\":\"inner\",\"list\":[]},\"list\":[{\"id\":1},{\"id\":2}],\"last\":-1.5e3 "
    "}\n";

START_TEST(wanted_members_are_as_in_the_whole) {
    cfa__json *some;
    const char *text;
    int64_t number;
    ck_assert_int_eq(parse_some(&some, sample, strlen(sample)), CFA_OK);
    ck_assert(cfa__json_read_text(cfa__json_get(some, "id"), &text));
    ck_assert_str_eq(text, "a\xc3\xa9\"b");
    ck_assert(cfa__json_read_int(cfa__json_get(some, "amount"), &number));
    ck_assert_int_eq(number, 12);
    ck_assert(cfa__json_read_text(cfa__json_get(cfa__json_get(some, "nested"), "id"), &text));
    ck_assert_str_eq(text, "inner");
    ck_assert_uint_eq(cfa__json_size(cfa__json_get(some, "list")), 2);
    ck_assert_ptr_null(cfa__json_get(some, "skipped"));
    ck_assert_ptr_null(cfa__json_get(some, "other"));
    cfa__json_free(some);
}
END_TEST

START_TEST(a_text_cut_off_anywhere_is_refused) {
    size_t whole = strlen(sample) - 1; /* but for the line's end */
    for (size_t size = 0; size < whole; size++) {
        /* Of its own size, so that a sanitizer sees a byte read too many. */
        char *cut = malloc(size + 1);
        ck_assert_ptr_nonnull(cut);
        memcpy(cut, sample, size);
        cut = realloc(cut, size > 0 ? size : 1);
        cfa__json *some = NULL;
        ck_assert_msg(parse_some(&some, cut, size) != CFA_OK, "%zu bytes", size);
        free(cut);
    }
}
END_TEST

START_TEST(what_is_no_object_or_goes_on_is_refused_or_parsed_whole) {
    static const char *const refused[] = {
        "",
        "{",
        "{}}",
        "{\"id\":1,}",
        "{,}",
        "{\"id\"}",
        "{\"id\":}",
        "{\"id\":1}x",
        "{\"id\":1,\"id\":2}",
        "{\"id\" 1}",
        "{id:1}",
        "{\"id\":tru}",
        "{\"id\":\"\xff\"}",
        "{\"id\":[}",
        "{\"x\":\"\\\"}",
    };
    cfa__json *some = NULL;
    for (size_t i = 0; i < COUNT(refused); i++) {
        ck_assert_msg(parse_some(&some, refused[i], strlen(refused[i])) != CFA_OK, "%s",
                      refused[i]);
    }
    static const char *const taken[] = { "{}", " { } ", "[1]", "null", "{\"x\":1}" };
    for (size_t i = 0; i < COUNT(taken); i++) {
        ck_assert_int_eq(parse_some(&some, taken[i], strlen(taken[i])), CFA_OK);
        ck_assert_ptr_null(cfa__json_get(some, "id"));
        cfa__json_free(some);
    }
}
END_TEST

/* Whatever parsing all of it takes is taken, with the same value. */
START_TEST(mutations_that_parse_whole_parse_in_part) {
    uint64_t state = 1;
    size_t size = strlen(sample), both = 0;
    for (int round = 0; round < 50000; round++) {
        char text[sizeof sample];
        memcpy(text, sample, size);
        for (uint64_t left = 1 + next_random(&state) % 3; left > 0; left--) {
            static const char bytes[] = "{}[]\",:\\ 1a";
            text[next_random(&state) % size] = bytes[next_random(&state) % (sizeof bytes - 1)];
        }
        cfa__json *whole, *some;
        if (cfa__json_parse(&whole, (cfa_slice){ text, size }) != CFA_OK) {
            continue;
        }
        ck_assert_msg(parse_some(&some, text, size) == CFA_OK, "%s", text);
        int64_t expected = 0, got = 0;
        ck_assert(cfa__json_read_int(cfa__json_get(whole, "amount"), &expected) ==
                  cfa__json_read_int(cfa__json_get(some, "amount"), &got));
        ck_assert_int_eq(expected, got);
        cfa__json_free(whole);
        cfa__json_free(some);
        both++;
    }
    ck_assert_uint_gt(both, 1000);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("json_some");
    TCase *all = tcase_create("some");
    tcase_add_checked_fixture(all, set_up, tear_down);
    tcase_add_test(all, wanted_members_are_as_in_the_whole);
    tcase_add_test(all, a_text_cut_off_anywhere_is_refused);
    tcase_add_test(all, what_is_no_object_or_goes_on_is_refused_or_parsed_whole);
    tcase_add_test(all, mutations_that_parse_whole_parse_in_part);
    suite_add_tcase(suite, all);
    return run_suite(suite, argc, argv);
}
