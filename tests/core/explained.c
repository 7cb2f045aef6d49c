/*
 * explained.c - see explained.h.
 */
#include "core/explained.h"

#include <string.h>

char *story_text(cfa_engine *engine, const char *id, cfa_explain_format format) {
    cfa_story *story;
    char *text = NULL;
    cfa_status status = cfa_explain(&story, engine, id, 0);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    ck_assert_int_eq(cfa_story_write(&text, story, format), CFA_OK);
    cfa_story_free(story);
    return text;
}

json_t *story_of(cfa_engine *engine, const char *id) {
    char *text = story_text(engine, id, CFA_EXPLAIN_JSON);
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(root != NULL, "%s: %s", error.text, text);
    cfa_free(text);
    return root;
}

const char *member(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

int64_t number_in(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    ck_assert_msg(json_is_integer(value), "no number %s", name);
    return json_integer_value(value);
}

int64_t minor_in(const json_t *object, const char *name) {
    return number_in(json_object_get(object, name), "minor");
}

bool is_set(const json_t *object, const char *name) {
    return json_is_true(json_object_get(object, name));
}

const json_t *item_of(const json_t *document, const char *section, const char *kind, size_t n) {
    const json_t *items = json_object_get(document, section);
    ck_assert_msg(json_is_array(items), "no section %s", section);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        if (strcmp(member(item, "kind"), kind) == 0 && n-- == 0)
            return item;
    }
    return NULL;
}

size_t count_of(const json_t *document, const char *section, const char *kind) {
    size_t count = 0;
    while (item_of(document, section, kind, count) != NULL)
        count++;
    return count;
}

const json_t *item_with(const json_t *document, const char *section, const char *kind,
                        const char *name, const char *value) {
    const json_t *item;
    for (size_t i = 0; (item = item_of(document, section, kind, i)) != NULL; i++) {
        if (strcmp(member(item, name), value) == 0)
            return item;
    }
    ck_abort_msg("no %s with %s %s in %s", kind, name, value, section);
    return NULL;
}

static cfa_checkup *checkup;

void forget_checkup(void) {
    cfa_checkup_free(checkup);
    checkup = NULL;
}

const cfa_finding_view *finding_of(cfa_engine *engine, const char *code, bool deep) {
    cfa_doctor_spec spec = CFA_DOCTOR_SPEC_INIT;
    spec.deep = deep;
    forget_checkup();
    cfa_status status = cfa_doctor(&checkup, engine, &spec);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    for (size_t i = 0; i < cfa_checkup_size(checkup); i++) {
        const cfa_finding_view *view = cfa_checkup_at(checkup, i);
        if (strcmp(view->code, code) == 0)
            return view;
    }
    return NULL;
}
