/*
 * vectors.c - see vectors.h.
 */
#include "vectors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const json_t *vectors_load(const char *file, const char *schema) {
    const char *root = getenv("CAREFORALL_SOURCE_DIR");
    char path[1024];
    int size = root != NULL
                   ? snprintf(path, sizeof path, "%s/tests/vectors/%s", root, file)
                   : snprintf(path, sizeof path, "%.*s%s",
                              (int)(strrchr(__FILE__, '/') + 1 - __FILE__), __FILE__, file);
    json_error_t error = { 0 };
    json_t *made = size > 0 && (size_t)size < sizeof path
                       ? json_load_file(path, JSON_REJECT_DUPLICATES, &error)
                       : NULL;
    const char *found = json_string_value(json_object_get(made, "schema"));
    if (found == NULL || strcmp(found, schema) != 0) {
        fprintf(stderr, "%s: no vectors of schema %s (%s)\n", path, schema, error.text);
        exit(EXIT_FAILURE);
    }
    return made;
}

void vectors_add(Suite *suite, const json_t *file, const char *section, const TTest *test) {
    const json_t *vectors = json_object_get(file, section);
    size_t count = json_array_size(vectors);
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_object_get(json_array_get(vectors, i), "name"));
        TCase *tcase = tcase_create(name != NULL ? name : "unnamed");
        tcase_add_loop_test(tcase, test, (int)i, (int)i + 1);
        suite_add_tcase(suite, tcase);
    }
    if (count == 0) {
        fprintf(stderr, "there are no vectors in %s\n", section);
        exit(EXIT_FAILURE);
    }
}

const json_t *vector_at(const json_t *file, const char *section, int index) {
    const json_t *vector = json_array_get(json_object_get(file, section), (size_t)index);
    ck_assert_ptr_nonnull(vector);
    return vector;
}

int vectors_run(Suite *suite, int argc, char **argv) {
    SRunner *runner = srunner_create(suite);
    srunner_run(runner, NULL, argc > 1 ? argv[1] : NULL, CK_ENV);
    bool good = srunner_ntests_run(runner) > 0 && srunner_ntests_failed(runner) == 0;
    srunner_free(runner);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

void only(const json_t *object, const char *names) {
    ck_assert(json_is_object(object));
    const char *name;
    json_t *value;
    /* Jansson's macros want what they only read to be writable. */
    json_object_foreach((json_t *)object, name, value) {
        size_t size = strlen(name);
        const char *at = names;
        while ((at = strstr(at, name)) != NULL &&
               !((at == names || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0')))
            at += size;
        ck_assert_msg(at != NULL, "nothing is known of \"%s\" here", name);
    }
}

static const json_t *member(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return value == NULL || json_is_null(value) ? NULL : value;
}

const char *text_in(const json_t *object, const char *name) {
    const json_t *value = member(object, name);
    ck_assert_msg(value == NULL || json_is_string(value), "%s is no text", name);
    return json_string_value(value);
}

int64_t number_in(const json_t *object, const char *name) {
    const json_t *value = member(object, name);
    ck_assert_msg(value == NULL || json_is_integer(value), "%s is no integer", name);
    return json_integer_value(value);
}

bool flag_in(const json_t *object, const char *name) {
    const json_t *value = member(object, name);
    ck_assert_msg(value == NULL || json_is_boolean(value), "%s is neither true nor false", name);
    return json_is_true(value);
}

cfa_money money_in(const json_t *object, const char *name) {
    cfa_money amount = { 0, "" };
    const json_t *value = member(object, name);
    if (value == NULL)
        return amount;
    only(value, "minor currency");
    amount.minor = number_in(value, "minor");
    const char *currency = text_in(value, "currency");
    ck_assert(currency != NULL && strlen(currency) < sizeof amount.currency);
    memcpy(amount.currency, currency, strlen(currency) + 1);
    return amount;
}

const cfa_error *error_now(void) {
    static cfa_error error;
    error = (cfa_error)CFA_ERROR_INIT;
    ck_assert_int_eq(cfa_error_last(&error), CFA_OK);
    return &error;
}

bool expect_status(const json_t *vector, cfa_status got) {
    const char *wanted = text_in(vector, "status");
    if (wanted == NULL)
        wanted = "CFA_OK";
    ck_assert_msg(strcmp(cfa_status_name(got), wanted) == 0, "%s (%s), not %s",
                  cfa_status_name(got), got == CFA_OK ? "" : error_now()->message, wanted);
    if (got == CFA_OK)
        return true;
    const char *field = text_in(vector, "field");
    ck_assert_ptr_nonnull(field);
    ck_assert_str_eq(error_now()->field, field);
    ck_assert_str_ne(error_now()->message, "");
    return false;
}

int32_t value_of(const struct word *words, const char *text) {
    ck_assert_ptr_nonnull(text);
    while (words->text != NULL && strcmp(words->text, text) != 0)
        words++;
    ck_assert_msg(words->text != NULL, "nothing is called %s here", text);
    return words->value;
}
