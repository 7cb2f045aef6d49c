/*
 * test_json.c - bytes that grow, JSON that is written, and JSON that is read strictly.
 */
#include "util/suite.h"

#include "util/buffer.h"
#include "util/json.h"
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static cfa_arena *arena;

static void open_arena(void) { ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK); }

static void close_arena(void) { cfa_arena_free(arena); }

static const char *finish(cfa__buffer *buffer) {
    cfa_slice bytes;
    ck_assert_int_eq(cfa__buffer_finish(buffer, &bytes), CFA_OK);
    ck_assert_uint_eq(strlen(bytes.data), bytes.size);
    return bytes.data;
}

START_TEST(a_buffer_grows_and_ends_in_a_nul) {
    cfa__buffer buffer;
    cfa__buffer_init(&buffer, arena, 0);
    ck_assert_str_eq(finish(&buffer), "");
    for (int i = 0; i < 10000; i++)
        cfa__buffer_append(&buffer, "0123456789", 10);
    cfa__buffer_append(&buffer, NULL, 0);
    cfa__buffer_text(&buffer, "end");
    const char *text = finish(&buffer);
    ck_assert_uint_eq(strlen(text), 100003);
    for (int i = 0; i < 10000; i++)
        ck_assert(memcmp(text + 10 * i, "0123456789", 10) == 0);
    ck_assert_str_eq(text + 100000, "end");
    /* Finishing is looking: more can follow. */
    cfa__buffer_text(&buffer, "!");
    ck_assert_str_eq(finish(&buffer) + 100000, "end!");
}
END_TEST

START_TEST(integers_are_written_to_the_last_digit) {
    static const struct {
        int64_t value;
        const char *text;
    } cases[] = {
        { 0, "0" },
        { 7, "7" },
        { -7, "-7" },
        { 10, "10" },
        { 1234567890, "1234567890" },
        { INT64_MAX, "9223372036854775807" },
        { INT64_MIN, "-9223372036854775808" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        cfa__buffer buffer;
        cfa__buffer_init(&buffer, arena, 1);
        cfa__buffer_int(&buffer, cases[i].value);
        ck_assert_str_eq(finish(&buffer), cases[i].text);
    }
}
END_TEST

static void *refuse(void *user, size_t size) {
    int *left = user;
    return (*left)-- > 0 ? malloc(size) : NULL;
}

static void *refuse_again(void *user, void *memory, size_t size) {
    (void)user;
    (void)memory;
    (void)size;
    return NULL;
}

static void release(void *user, void *memory) {
    (void)user;
    free(memory);
}

START_TEST(a_failed_append_is_remembered_until_the_end) {
    int left = 2; /* the arena and its first block */
    cfa_allocator poor = { sizeof(poor), &left, refuse, refuse_again, release };
    ck_assert_int_eq(cfa_allocator_set(&poor), CFA_OK);
    cfa_arena *small;
    ck_assert_int_eq(cfa_arena_new(&small), CFA_OK);
    cfa__buffer buffer, empty;
    cfa__buffer_init(&buffer, small, 100);
    static char large[100000];
    cfa__buffer_append(&buffer, large, sizeof(large));
    /* What would fit again must not close over the hole. */
    cfa__buffer_text(&buffer, "x");
    cfa__json_int(&buffer, "n", 1);
    cfa_slice bytes = { "untouched", 9 };
    cfa_error_clear();
    ck_assert_int_eq(cfa__buffer_finish(&buffer, &bytes), CFA_ENOMEM);
    ck_assert_int_eq(last_error()->status, CFA_ENOMEM);
    ck_assert_uint_eq(bytes.size, 9);
    cfa__buffer_init(&empty, small, 1000000);
    cfa__buffer_text(&empty, "x");
    ck_assert_int_eq(cfa__buffer_finish(&empty, &bytes), CFA_ENOMEM);
    /* A size that cannot be added up is no room either. */
    left = 10;
    cfa__buffer_init(&buffer, small, 10);
    cfa__buffer_text(&buffer, "abc");
    cfa__buffer_append(&buffer, large, SIZE_MAX);
    ck_assert_int_eq(cfa__buffer_finish(&buffer, &bytes), CFA_ENOMEM);
    cfa_arena_free(small);
    ck_assert_int_eq(cfa_allocator_set(NULL), CFA_OK);
}
END_TEST

START_TEST(commas_and_names_are_kept_right) {
    cfa__buffer buffer;
    cfa__buffer_init(&buffer, arena, 0);
    cfa__json_open(&buffer, NULL, '{');
    cfa__json_text(&buffer, "text", "a");
    cfa__json_text(&buffer, "nothing", NULL);
    cfa__json_slice(&buffer, "slice", (cfa_slice){ "abc", 2 });
    cfa__json_slice(&buffer, "empty", (cfa_slice){ "", 0 });
    cfa__json_slice(&buffer, "none", (cfa_slice){ NULL, 0 });
    cfa__json_open(&buffer, "list", '[');
    cfa__json_int(&buffer, NULL, INT64_MIN);
    cfa__json_bool(&buffer, NULL, true);
    cfa__json_open(&buffer, NULL, '{');
    cfa__json_close(&buffer, '}');
    cfa__json_open(&buffer, NULL, '[');
    cfa__json_close(&buffer, ']');
    cfa__json_raw(&buffer, NULL, (cfa_slice){ "{\"r\":1}", 7 });
    cfa__json_close(&buffer, ']');
    cfa__json_bool(&buffer, "no", false);
    cfa__json_close(&buffer, '}');
    ck_assert_str_eq(finish(&buffer),
                     "{\"text\":\"a\",\"nothing\":null,\"slice\":\"ab\",\"empty\":\"\","
                     "\"none\":null,\"list\":[-9223372036854775808,true,{},[],{\"r\":1}],"
                     "\"no\":false}");
}
END_TEST

START_TEST(text_is_escaped_as_rfc_8259_says) {
    char all[128];
    for (int i = 1; i < 128; i++)
        all[i - 1] = (char)i;
    cfa__buffer buffer;
    cfa__buffer_init(&buffer, arena, 0);
    cfa__json_slice(&buffer, NULL, (cfa_slice){ all, 127 });
    ck_assert_str_eq(finish(&buffer),
                     "\"\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r"
                     "\\u000e\\u000f\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017"
                     "\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d\\u001e\\u001f"
                     " !\\\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\\\]^_`"
                     "abcdefghijklmnopqrstuvwxyz{|}~\x7f\"");
    cfa__buffer_init(&buffer, arena, 0);
    cfa__json_slice(&buffer, "q", (cfa_slice){ "a\0b\xc3\xa9", 5 });
    ck_assert_str_eq(finish(&buffer), "\"q\":\"a\\u0000b\xc3\xa9\"");
}
END_TEST

static cfa__json *parsed(const char *text) {
    cfa__json *root;
    cfa_status status = cfa__json_parse(&root, (cfa_slice){ text, strlen(text) });
    ck_assert_msg(status == CFA_OK, "%s: %s", text, last_error()->message);
    return root;
}

START_TEST(what_is_written_is_read_back) {
    uint64_t state = 5;
    for (int round = 0; round < 300; round++) {
        /* Any mix of control characters, ASCII and longer characters, but for the NUL. */
        static const char *const longer[] = { "\xc2\x80", "\xe2\x82\xac", "\xf0\x9f\x92\x9a",
                                              "\xe2\x80\xa8" };
        char text[400];
        size_t size = 0;
        while (size < 60 + (size_t)round) {
            uint64_t random = next_random(&state);
            if (random % 5 == 0) {
                const char *character = longer[random / 5 % COUNT(longer)];
                memcpy(text + size, character, strlen(character));
                size += strlen(character);
            } else {
                text[size++] = (char)(1 + random / 5 % 127);
            }
        }
        text[size] = '\0';
        int64_t number = (int64_t)next_random(&state);
        cfa__buffer buffer;
        cfa__buffer_init(&buffer, arena, 0);
        cfa__json_open(&buffer, NULL, '{');
        cfa__json_text(&buffer, "text", text);
        cfa__json_int(&buffer, "number", number);
        cfa__json_close(&buffer, '}');
        cfa__json *root = parsed(finish(&buffer));
        const char *back = NULL;
        int64_t number_back = 0;
        ck_assert(cfa__json_read_text(cfa__json_get(root, "text"), &back));
        ck_assert_str_eq(back, text);
        ck_assert(cfa__json_read_int(cfa__json_get(root, "number"), &number_back));
        ck_assert_int_eq(number_back, number);
        cfa__json_free(root);
    }
}
END_TEST

START_TEST(members_are_read_by_their_type) {
    cfa__json *root = parsed(" {\"i\":-12, \"t\":\"x\\u00e9\", \"b\":true, \"f\":false, "
                             "\"n\":null, \"r\":1.0, \"e\":1e2,"
                             " \"a\":[1,\"two\",null], \"o\":{\"i\":3}} ");
    int64_t number = 99;
    const char *text = "before";
    bool flag = false;
    ck_assert(cfa__json_read_int(cfa__json_get(root, "i"), &number));
    ck_assert_int_eq(number, -12);
    ck_assert(cfa__json_read_text(cfa__json_get(root, "t"), &text));
    ck_assert_str_eq(text, "x\xc3\xa9");
    ck_assert(cfa__json_read_bool(cfa__json_get(root, "b"), &flag));
    ck_assert(flag);
    ck_assert(cfa__json_read_bool(cfa__json_get(root, "f"), &flag));
    ck_assert(!flag);
    /* Of another type: false, and nothing written. */
    static const char *const not_integers[] = { "t", "b", "n", "r", "e", "a", "o", "absent" };
    for (size_t i = 0; i < COUNT(not_integers); i++)
        ck_assert(!cfa__json_read_int(cfa__json_get(root, not_integers[i]), &number));
    ck_assert_int_eq(number, -12);
    ck_assert(!cfa__json_read_text(cfa__json_get(root, "i"), &text));
    ck_assert(!cfa__json_read_bool(cfa__json_get(root, "i"), &flag));
    ck_assert(!cfa__json_read_text(NULL, &text));
    ck_assert(!cfa__json_read_bool(NULL, &flag));
    ck_assert_ptr_null(cfa__json_get(root, "n"));
    ck_assert_ptr_null(cfa__json_get(root, "absent"));
    ck_assert_ptr_null(cfa__json_get(NULL, "i"));
    ck_assert_ptr_null(cfa__json_get(cfa__json_get(root, "a"), "i"));
    const cfa__json *list = cfa__json_get(root, "a");
    ck_assert_uint_eq(cfa__json_size(list), 3);
    ck_assert(cfa__json_read_int(cfa__json_at(list, 0), &number));
    ck_assert_int_eq(number, 1);
    ck_assert_ptr_null(cfa__json_at(list, 3));
    ck_assert_uint_eq(cfa__json_size(NULL), 0);
    ck_assert_uint_eq(cfa__json_size(cfa__json_get(root, "o")), 0);
    ck_assert(cfa__json_read_int(cfa__json_get(cfa__json_get(root, "o"), "i"), &number));
    ck_assert_int_eq(number, 3);
    cfa__json_free(root);
    cfa__json_free(NULL);
}
END_TEST

START_TEST(any_value_may_be_the_root) {
    int64_t number;
    cfa__json *root = parsed("9223372036854775807");
    ck_assert(cfa__json_read_int(root, &number));
    ck_assert_int_eq(number, INT64_MAX);
    cfa__json_free(root);
    root = parsed("-9223372036854775808");
    ck_assert(cfa__json_read_int(root, &number));
    ck_assert_int_eq(number, INT64_MIN);
    cfa__json_free(root);
    cfa__json_free(parsed("null"));
    cfa__json_free(parsed("\"\""));
}
END_TEST

static const struct {
    const char *text;
    cfa_status status;
    const char *reason;
} broken[] = {
    { "", CFA_EINVAL, "too early" },
    { "   ", CFA_EINVAL, "too early" },
    { "{", CFA_EINVAL, "too early" },
    { "{\"a\":1", CFA_EINVAL, "too early" },
    { "\"abc", CFA_EINVAL, "too early" },
    { "{} {}", CFA_EINVAL, "after the value" },
    { "{}x", CFA_EINVAL, "after the value" },
    { "1 2", CFA_EINVAL, "after the value" },
    { "{\"a\":1,\"a\":1}", CFA_EINVAL, "twice" },
    { "{\"a\":1,\"\\u0061\":2}", CFA_EINVAL, "twice" },
    { "[{\"x\":{\"b\":1,\"c\":2,\"b\":3}}]", CFA_EINVAL, "twice" },
    { "9223372036854775808", CFA_EINVAL, "64 bits" },
    { "-9223372036854775809", CFA_EINVAL, "64 bits" },
    { "[99999999999999999999999999]", CFA_EINVAL, "64 bits" },
    { "1e999", CFA_EINVAL, "64 bits" },
    { "{\"a\":\"\\u0000\"}", CFA_EENCODING, "NUL" },
    { "{\"\\u0000\":1}", CFA_EENCODING, "NUL" },
    { "\"\x80\"", CFA_EENCODING, "UTF-8" },
    { "\"\xc0\xaf\"", CFA_EENCODING, "UTF-8" },
    { "\"\xed\xa0\x80\"", CFA_EENCODING, "UTF-8" },
    { "\"\xf4\x90\x80\x80\"", CFA_EENCODING, "UTF-8" },
    { "\"\\ud800\"", CFA_EINVAL, "" },
    { "\"\\udc00x\"", CFA_EINVAL, "" },
    { "\"\\ud800\\u0041\"", CFA_EINVAL, "" },
    { "\"\\x\"", CFA_EINVAL, "" },
    { "\"a\nb\"", CFA_EINVAL, "" },
    { "\xef\xbb\xbf{}", CFA_EINVAL, "" },
    { "{a:1}", CFA_EINVAL, "" },
    { "{'a':1}", CFA_EINVAL, "" },
    { "{\"a\":1,}", CFA_EINVAL, "" },
    { "[1,]", CFA_EINVAL, "" },
    { "[1 2]", CFA_EINVAL, "" },
    { "01", CFA_EINVAL, "" },
    { "+1", CFA_EINVAL, "" },
    { ".5", CFA_EINVAL, "" },
    { "0x10", CFA_EINVAL, "" },
    { "NaN", CFA_EINVAL, "" },
    { "Infinity", CFA_EINVAL, "" },
    { "TRUE", CFA_EINVAL, "" },
    { "/* */ {}", CFA_EINVAL, "" },
    { "]", CFA_EINVAL, "" },
    { "{\"secret-4242\" 1}", CFA_EINVAL, "" },
};

START_TEST(broken_text_is_refused_and_never_quoted) {
    for (size_t i = 0; i < COUNT(broken); i++) {
        cfa__json *root = NULL;
        cfa_error_clear();
        cfa_status status =
            cfa__json_parse(&root, (cfa_slice){ broken[i].text, strlen(broken[i].text) });
        ck_assert_msg(status == broken[i].status, "%s: %s", broken[i].text,
                      cfa_status_name(status));
        ck_assert_msg(strstr(last_error()->message, broken[i].reason) != NULL, "%s: %s",
                      broken[i].text, last_error()->message);
        ck_assert_ptr_null(strstr(last_error()->message, "4242"));
        ck_assert_ptr_null(root);
    }
    cfa__json *root = NULL;
    ck_assert_int_eq(cfa__json_parse(&root, (cfa_slice){ NULL, 0 }), CFA_EINVAL);
    ck_assert_int_eq(cfa__json_parse(&root, (cfa_slice){ "{}\0", 3 }), CFA_EINVAL);
    ck_assert_int_eq(cfa__json_parse(&root, (cfa_slice){ "\"a\0b\"", 5 }), CFA_EINVAL);
}
END_TEST

static cfa_status parse_nested(size_t depth, const char *opening, const char *closing,
                               size_t text_size) {
    char *text = malloc(text_size + 1);
    ck_assert_ptr_nonnull(text);
    size_t size = 0;
    for (size_t i = 0; i < depth; i++, size += strlen(opening))
        memcpy(text + size, opening, strlen(opening));
    if (opening[0] == '{')
        text[size++] = '1';
    for (size_t i = 0; i < depth; i++, size += strlen(closing))
        memcpy(text + size, closing, strlen(closing));
    cfa__json *root = NULL;
    cfa_status status = cfa__json_parse(&root, (cfa_slice){ text, size });
    cfa__json_free(root);
    free(text);
    return status;
}

START_TEST(nesting_ends_at_32_levels) {
    ck_assert_int_eq(parse_nested(32, "[", "]", 1000), CFA_OK);
    ck_assert_int_eq(parse_nested(33, "[", "]", 1000), CFA_EINVAL);
    ck_assert_ptr_nonnull(strstr(last_error()->message, "32 levels"));
    ck_assert_int_eq(parse_nested(32, "{\"a\":", "}", 1000), CFA_OK);
    ck_assert_int_eq(parse_nested(33, "{\"a\":", "}", 1000), CFA_EINVAL);
    /* Ten megabytes of brackets cost a look at 33 of them, and no stack. */
    ck_assert_int_eq(parse_nested(5000000, "[", "]", 10000000), CFA_EINVAL);
    /* Brackets in strings are text, also behind escaped quotes. */
    cfa__json_free(parsed("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\","
                          "\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\\\"]"));
    ck_assert_int_eq(parse_nested(1, "\"\\\"\",[", "", 1000), CFA_EINVAL);
    /* Wide is not deep. */
    cfa__buffer buffer;
    cfa__buffer_init(&buffer, arena, 0);
    cfa__json_open(&buffer, NULL, '[');
    for (int i = 0; i < 1000; i++) {
        cfa__json_open(&buffer, NULL, '{');
        cfa__json_close(&buffer, '}');
    }
    cfa__json_close(&buffer, ']');
    cfa__json *root = parsed(finish(&buffer));
    ck_assert_uint_eq(cfa__json_size(root), 1000);
    cfa__json_free(root);
}
END_TEST

START_TEST(every_cut_of_a_text_is_refused) {
    const char *text = "{\"a\":[1,{\"b\":\"\\u00e9\\n\"},true,null,-1.5e3],\"c\":\"\xf0\x9f\x92\x9a"
                       "\"}";
    size_t size = strlen(text);
    for (size_t cut = 0; cut < size; cut++) {
        /* In memory of its own, so that a byte read beyond it is found. */
        char *part = malloc(cut != 0 ? cut : 1);
        ck_assert_ptr_nonnull(part);
        memcpy(part, text, cut);
        cfa__json *root = NULL;
        ck_assert_int_lt(cfa__json_parse(&root, (cfa_slice){ part, cut }), 0);
        free(part);
    }
    cfa__json_free(parsed(text));
}
END_TEST

static int parser_allocations_left;

static void *parser_allocate(size_t size) {
    if (parser_allocations_left-- > 0)
        return malloc(size);
    errno = ENOMEM;
    return NULL;
}

START_TEST(memory_that_runs_out_is_never_called_bad_json) {
    const char *text = "{\"a name long enough to be copied\":[1,2,{\"b\":\"\\u00e9 and a text that "
                       "grows the scanner's buffer beyond its first size\"},3,4,5,6,7,8,9,10],"
                       "\"c\":1.5,\"d\":true,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,"
                       "\"j\":1,\"k\":1}";
    int allowed = 0;
    cfa_status status;
    json_set_alloc_funcs(parser_allocate, free);
    do {
        cfa__json *root = NULL;
        parser_allocations_left = allowed++;
        status = cfa__json_parse(&root, (cfa_slice){ text, strlen(text) });
        ck_assert_msg(status == CFA_OK || status == CFA_ENOMEM, "%d: %s", allowed,
                      last_error()->message);
        cfa__json_free(root);
    } while (status != CFA_OK);
    json_set_alloc_funcs(malloc, free);
    ck_assert_int_gt(allowed, 30);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("json");
    TCase *buffer = tcase_create("buffer");
    tcase_add_checked_fixture(buffer, open_arena, close_arena);
    tcase_add_test(buffer, a_buffer_grows_and_ends_in_a_nul);
    tcase_add_test(buffer, integers_are_written_to_the_last_digit);
    tcase_add_test(buffer, a_failed_append_is_remembered_until_the_end);
    suite_add_tcase(suite, buffer);
    TCase *writer = tcase_create("writer");
    tcase_add_checked_fixture(writer, open_arena, close_arena);
    tcase_add_test(writer, commas_and_names_are_kept_right);
    tcase_add_test(writer, text_is_escaped_as_rfc_8259_says);
    tcase_add_test(writer, what_is_written_is_read_back);
    suite_add_tcase(suite, writer);
    TCase *reader = tcase_create("reader");
    tcase_add_checked_fixture(reader, open_arena, close_arena);
    tcase_add_test(reader, members_are_read_by_their_type);
    tcase_add_test(reader, any_value_may_be_the_root);
    tcase_add_test(reader, broken_text_is_refused_and_never_quoted);
    tcase_add_test(reader, nesting_ends_at_32_levels);
    tcase_add_test(reader, every_cut_of_a_text_is_refused);
    tcase_add_test(reader, memory_that_runs_out_is_never_called_bad_json);
    suite_add_tcase(suite, reader);
    return run_suite(suite, argc, argv);
}
