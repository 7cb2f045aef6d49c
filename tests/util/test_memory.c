/*
 * test_memory.c - the allocator, the arena and the last error: what every other part stands on.
 */
#include "util/suite.h"

#include <careforall/sys/platform.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/*
 * An allocator that counts, fails after `left` allocations (negative: never), and aligns no better
 * than to 8.
 */
typedef struct counting {
    int64_t live, calls, left;
} counting;

static void *counting_allocate(void *user, size_t size) {
    counting *self = user;
    self->calls++;
    if (self->left == 0)
        return NULL;
    if (self->left > 0)
        self->left--;
    char *memory = malloc(size + 8);
    ck_assert_ptr_nonnull(memory);
    memset(memory, 0xa5, size + 8);
    self->live++;
    return memory + 8;
}

static void *counting_reallocate(void *user, void *memory, size_t size) {
    counting *self = user;
    self->calls++;
    if (self->left == 0)
        return NULL;
    char *moved = realloc((char *)memory - 8, size + 8);
    ck_assert_ptr_nonnull(moved);
    return moved + 8;
}

static void counting_release(void *user, void *memory) {
    counting *self = user;
    self->live--;
    free((char *)memory - 8);
}

static counting counter;

static void count_allocations(int64_t left) {
    counter = (counting){ 0, 0, left };
    cfa_allocator allocator = { sizeof(allocator), &counter, counting_allocate, counting_reallocate,
                                counting_release };
    ck_assert_int_eq(cfa_allocator_set(&allocator), CFA_OK);
}

static void use_malloc(void) { ck_assert_int_eq(cfa_allocator_set(NULL), CFA_OK); }

START_TEST(the_hosts_allocator_is_used_for_everything) {
    count_allocations(-1);
    char *memory = cfa_alloc(0);
    ck_assert_ptr_nonnull(memory);
    memory = cfa_realloc(memory, 100);
    ck_assert_ptr_nonnull(memory);
    memset(memory, 1, 100);
    char *other = cfa_realloc(NULL, 10);
    ck_assert_ptr_nonnull(other);
    cfa_free(memory);
    cfa_free(other);
    cfa_free(NULL);
    cfa_arena *arena;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    ck_assert_ptr_nonnull(cfa_arena_alloc(arena, 100000));
    cfa_arena_free(arena);
    ck_assert_int_eq(counter.live, 0);
    ck_assert_int_ge(counter.calls, 5);
    use_malloc();
}
END_TEST

START_TEST(an_incomplete_allocator_is_refused) {
    cfa_allocator good = { sizeof(good), NULL, counting_allocate, counting_reallocate,
                           counting_release };
    cfa_allocator bad = good;
    bad.struct_size = 0;
    ck_assert_int_eq(cfa_allocator_set(&bad), CFA_EABI);
    bad.struct_size = sizeof(bad) + 8;
    ck_assert_int_eq(cfa_allocator_set(&bad), CFA_EABI);
    bad = good;
    bad.allocate = NULL;
    ck_assert_int_eq(cfa_allocator_set(&bad), CFA_EINVAL);
    bad = good;
    bad.reallocate = NULL;
    ck_assert_int_eq(cfa_allocator_set(&bad), CFA_EINVAL);
    bad = good;
    bad.release = NULL;
    ck_assert_int_eq(cfa_allocator_set(&bad), CFA_EINVAL);
    /* None of them took effect: the allocator would have crashed on its NULL user. */
    cfa_free(cfa_alloc(1));
}
END_TEST

static bool is_zero(const char *memory, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (memory[i] != 0)
            return false;
    }
    return true;
}

START_TEST(arena_memory_is_zeroed_aligned_and_never_overlaps) {
    enum { PIECES = 3000 };
    static struct {
        char *memory;
        size_t size;
    } pieces[PIECES];
    count_allocations(-1);
    cfa_arena *arena;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    uint64_t state = 1;
    for (int round = 0; round < 3; round++) {
        bool sound = true;
        for (int i = 0; i < PIECES; i++) {
            uint64_t random = next_random(&state);
            size_t size = random % 50 == 0 ? random % 90000 : random % 200;
            char *memory = cfa_arena_alloc(arena, size);
            ck_assert_ptr_nonnull(memory);
            sound = sound && (uintptr_t)memory % 16 == 0 && is_zero(memory, size);
            memset(memory, i & 0xff, size);
            pieces[i].memory = memory;
            pieces[i].size = size;
        }
        for (int i = 0; i < PIECES; i++) {
            for (size_t j = 0; j < pieces[i].size; j++)
                sound = sound && pieces[i].memory[j] == (char)(i & 0xff);
        }
        ck_assert(sound);
        cfa_arena_reset(arena);
    }
    cfa_arena_free(arena);
    ck_assert_int_eq(counter.live, 0);
    use_malloc();
}
END_TEST

START_TEST(a_reset_arena_reuses_its_block_and_gives_back_the_rest) {
    count_allocations(-1);
    cfa_arena *arena;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    cfa_arena_reset(arena);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 100; i++)
            ck_assert_ptr_nonnull(cfa_arena_alloc(arena, 500));
        ck_assert_ptr_nonnull(cfa_arena_alloc(arena, 1000000));
        cfa_arena_reset(arena);
        ck_assert_int_le(counter.live, 2);
    }
    /* Grown to what a round needs, it asks only for the large piece. */
    int64_t calls = counter.calls;
    for (int i = 0; i < 100; i++)
        ck_assert_ptr_nonnull(cfa_arena_alloc(arena, 500));
    ck_assert_int_eq(counter.calls, calls);
    cfa_arena_free(arena);
    cfa_arena_free(NULL);
    ck_assert_int_eq(counter.live, 0);
    use_malloc();
}
END_TEST

START_TEST(blocks_double_so_that_many_small_pieces_cost_few_allocations) {
    count_allocations(-1);
    cfa_arena *arena;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    for (int i = 0; i < 16384; i++)
        ck_assert_ptr_nonnull(cfa_arena_copy(arena, "0123456789abcde", 15));
    /*
     * 256 KiB in all, twice that with the sanitizer's gaps: 0.5 + 1 + ... + 512 KiB
     * at most.
     */
    ck_assert_int_le(counter.calls, 12);
    cfa_arena_free(arena);
    use_malloc();
}
END_TEST

START_TEST(an_empty_piece_and_a_copy_are_usable) {
    cfa_arena *arena;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    char *a = cfa_arena_alloc(arena, 0), *b = cfa_arena_alloc(arena, 0);
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_ne(a, b);
    ck_assert_str_eq(cfa_arena_copy(arena, "donation", 3), "don");
    ck_assert_str_eq(cfa_arena_copy(arena, NULL, 0), "");
    char *bytes = cfa_arena_copy(arena, "a\0b", 3);
    ck_assert_mem_eq(bytes, "a\0b", 4);
    cfa_arena_free(arena);
}
END_TEST

START_TEST(an_arena_without_memory_says_so_and_stays_usable) {
    cfa_arena *arena = NULL;
    count_allocations(0);
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_ENOMEM);
    ck_assert_ptr_null(arena);
    for (int64_t left = 1; left < 4; left++) {
        count_allocations(left);
        ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
        int got = 0;
        cfa_error_clear();
        while (got < 10000 && cfa_arena_alloc(arena, 1000) != NULL)
            got++;
        ck_assert_int_lt(got, 10000);
        ck_assert_int_eq(last_error()->status, CFA_ENOMEM);
        ck_assert_ptr_null(cfa_arena_alloc(arena, 1000000));
        ck_assert_ptr_null(cfa_arena_alloc(arena, 300000));
        counter.left = -1;
        ck_assert_ptr_nonnull(cfa_arena_alloc(arena, 1000));
        ck_assert_ptr_nonnull(cfa_arena_alloc(arena, 1000000));
        cfa_arena_free(arena);
        ck_assert_int_eq(counter.live, 0);
    }
    use_malloc();
}
END_TEST

START_TEST(a_size_that_would_wrap_is_out_of_memory) {
    cfa_arena *arena;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    static const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX - 16,
                                    SIZE_MAX / 2 + 1 };
    for (size_t i = 0; i < COUNT(sizes); i++) {
        cfa_error_clear();
        ck_assert_ptr_null(cfa_arena_alloc(arena, sizes[i]));
        ck_assert_int_eq(last_error()->status, CFA_ENOMEM);
        cfa_error_clear();
        ck_assert_ptr_null(cfa_arena_copy(arena, "", sizes[i]));
        ck_assert_int_eq(last_error()->status, CFA_ENOMEM);
    }
    cfa_arena_free(arena);
}
END_TEST

START_TEST(every_status_has_a_name_a_text_and_the_class_of_its_hundreds) {
#define CHECK_STATUS(name, code, text)                                                             \
    ck_assert_int_eq(name, code);                                                                  \
    ck_assert_str_eq(cfa_status_name(code), #name);                                                \
    ck_assert_str_eq(cfa_status_text(code), text);                                                 \
    ck_assert_int_eq(cfa_status_class_of(code), -(code) / 100);
    CFA_STATUS_MAP(CHECK_STATUS)
#undef CHECK_STATUS
    static const cfa_status strangers[] = { 1, -1, -99, -700, INT32_MIN, INT32_MAX };
    for (size_t i = 0; i < COUNT(strangers); i++) {
        ck_assert_str_eq(cfa_status_name(strangers[i]), "CFA_EBUG");
        ck_assert_str_eq(cfa_status_text(strangers[i]), cfa_status_text(CFA_EBUG));
        ck_assert_int_eq(cfa_status_class_of(strangers[i]), CFA_CLASS_INTERNAL);
    }
    /* A status of a newer library: its class is known although its name is not. */
    ck_assert_int_eq(cfa_status_class_of(-499), CFA_CLASS_TRANSIENT);
    ck_assert_int_eq(cfa_status_class_of(CFA_EINDOUBT), CFA_CLASS_IN_DOUBT);
}
END_TEST

START_TEST(the_last_error_is_copied_out_and_kept_until_the_next) {
    cfa_error_clear();
    ck_assert_int_eq(last_error()->status, CFA_OK);
    ck_assert_str_eq(last_error()->message, "");
    errno = 77;
    ck_assert_int_eq(cfa_error_format(CFA_EBUSY, "storage.test", NULL, -5, "waited %d ms", 250),
                     CFA_EBUSY);
    ck_assert_int_eq(errno, 77);
    for (int i = 0; i < 2; i++) {
        const cfa_error *error = last_error();
        ck_assert_int_eq(error->status, CFA_EBUSY);
        ck_assert_int_eq(error->native_code, -5);
        ck_assert_str_eq(error->origin, "storage.test");
        ck_assert_str_eq(error->field, "");
        ck_assert_str_eq(error->message, "waited 250 ms");
    }
    ck_assert_int_eq(cfa_error_set(CFA_ERANGE, NULL, "amount", 0, NULL), CFA_ERANGE);
    ck_assert_str_eq(last_error()->origin, "");
    ck_assert_str_eq(last_error()->field, "amount");
    ck_assert_str_eq(last_error()->message, cfa_status_text(CFA_ERANGE));
}
END_TEST

START_TEST(error_texts_are_one_line_and_cut_between_characters) {
    (void)cfa_error_set(CFA_EIO, "o", "f", 0, "first\nsecond\tthird\r\n\x7f\n");
    ck_assert_str_eq(last_error()->message, "first second third");
    char text[400];
    for (size_t lead = 250; lead < 258; lead++) {
        /* Two, three and four bytes, across the end of the field. */
        static const char *const characters[] = { "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x92\x9a" };
        for (size_t i = 0; i < COUNT(characters); i++) {
            memset(text, 'a', lead);
            size_t size = lead;
            for (int copies = 0; copies < 3; copies++, size += strlen(characters[i]))
                memcpy(text + size, characters[i], strlen(characters[i]));
            text[size] = '\0';
            for (int formatted = 0; formatted < 2; formatted++) {
                if (formatted)
                    (void)cfa_error_format(CFA_EIO, text, text, 0, "%s", text);
                else
                    (void)cfa_error_set(CFA_EIO, text, text, 0, text);
                const char *message = last_error()->message;
                size_t got = strlen(message);
                ck_assert_uint_le(got, 255);
                ck_assert_mem_eq(message, text, got);
                ck_assert_uint_ge(got, 250);
                if (got > lead)
                    ck_assert_uint_eq((got - lead) % strlen(characters[i]), 0);
                ck_assert(got + strlen(characters[i]) > 255 || got == size);
                ck_assert_uint_eq(strlen(last_error()->origin), 31);
                ck_assert_uint_eq(strlen(last_error()->field), 47);
            }
        }
    }
}
END_TEST

START_TEST(the_last_error_respects_the_callers_struct) {
    (void)cfa_error_set(CFA_EIO, "o", "f", 3, "m");
    ck_assert_int_eq(cfa_error_last(NULL), CFA_EMISUSE);
    cfa_error small = CFA_ERROR_INIT;
    small.struct_size = offsetof(cfa_error, message);
    ck_assert_int_eq(cfa_error_last(&small), CFA_EABI);
    ck_assert_int_eq(small.status, CFA_OK);
    small.struct_size = 0;
    ck_assert_int_eq(cfa_error_last(&small), CFA_EABI);
    struct {
        cfa_error error;
        char appended[16];
    } larger;
    memset(&larger, 0x55, sizeof(larger));
    larger.error.struct_size = sizeof(larger);
    ck_assert_int_eq(cfa_error_last(&larger.error), CFA_OK);
    ck_assert_uint_eq(larger.error.struct_size, sizeof(larger));
    ck_assert_int_eq(larger.error.status, CFA_EIO);
    ck_assert_str_eq(larger.error.message, "m");
    ck_assert(is_zero(larger.appended, sizeof(larger.appended)));
    /* Asking wrongly did not replace the failure that was asked for. */
    ck_assert_int_eq(last_error()->native_code, 3);
}
END_TEST

static void *fail_elsewhere(void *seen_before) {
    cfa_error error = CFA_ERROR_INIT;
    *(bool *)seen_before = cfa_error_last(&error) != CFA_OK || error.status != CFA_OK;
    (void)cfa_error_set(CFA_EBUSY, "other", NULL, 0, "another thread's");
    return NULL;
}

START_TEST(each_thread_has_its_own_last_error) {
    (void)cfa_error_set(CFA_EIO, "this", NULL, 0, "mine");
    pthread_t thread;
    bool seen_before = true;
    ck_assert_int_eq(pthread_create(&thread, NULL, fail_elsewhere, &seen_before), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert(!seen_before);
    ck_assert_str_eq(last_error()->message, "mine");
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("memory");
    TCase *allocator = tcase_create("allocator");
    tcase_add_test(allocator, the_hosts_allocator_is_used_for_everything);
    tcase_add_test(allocator, an_incomplete_allocator_is_refused);
    suite_add_tcase(suite, allocator);
    TCase *arena = tcase_create("arena");
    tcase_add_test(arena, arena_memory_is_zeroed_aligned_and_never_overlaps);
    tcase_add_test(arena, a_reset_arena_reuses_its_block_and_gives_back_the_rest);
    tcase_add_test(arena, blocks_double_so_that_many_small_pieces_cost_few_allocations);
    tcase_add_test(arena, an_empty_piece_and_a_copy_are_usable);
    tcase_add_test(arena, an_arena_without_memory_says_so_and_stays_usable);
    tcase_add_test(arena, a_size_that_would_wrap_is_out_of_memory);
    suite_add_tcase(suite, arena);
    TCase *error = tcase_create("error");
    tcase_add_test(error, every_status_has_a_name_a_text_and_the_class_of_its_hundreds);
    tcase_add_test(error, the_last_error_is_copied_out_and_kept_until_the_next);
    tcase_add_test(error, error_texts_are_one_line_and_cut_between_characters);
    tcase_add_test(error, the_last_error_respects_the_callers_struct);
    tcase_add_test(error, each_thread_has_its_own_last_error);
    suite_add_tcase(suite, error);
    return run_suite(suite, argc, argv);
}
