/*
 * explained.h - stories and checkups as a reader of their JSON sees them. For tests of explain and
 * doctor.
 */
#ifndef TESTS_CORE_EXPLAINED_H
#define TESTS_CORE_EXPLAINED_H

#include "support/book.h"

#include <careforall/explain.h>
#include <jansson.h>

/* A story in one rendering; freed by `cfa_free`. */
char *story_text(cfa_engine *engine, const char *id, cfa_explain_format format);
/* The same as JSON; a new reference. */
json_t *story_of(cfa_engine *engine, const char *id);
/* A member as text, "" when it has none; as a number; an amount's minor units. */
const char *member(const json_t *object, const char *name);
int64_t number_in(const json_t *object, const char *name);
int64_t minor_in(const json_t *object, const char *name);
bool is_set(const json_t *object, const char *name);
/* The n-th item of a kind in a section; NULL: there are fewer. */
const json_t *item_of(const json_t *document, const char *section, const char *kind, size_t n);
size_t count_of(const json_t *document, const char *section, const char *kind);
/* The first item of a kind with this member; fails when there is none. */
const json_t *item_with(const json_t *document, const char *section, const char *kind,
                        const char *name, const char *value);

/* A checkup's finding of this code; NULL: there is none. Valid until the next call. */
const cfa_finding_view *finding_of(cfa_engine *engine, const char *code, bool deep);
void forget_checkup(void);

#endif
