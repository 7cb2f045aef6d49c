/* form.h - form-encoded arguments as nested JSON, and typed access to them. */
#ifndef SANDBOX_FORM_H
#define SANDBOX_FORM_H

#include "sandbox.h"

enum { FORM_DEPTH_MAX = 6, FORM_ARGUMENTS_MAX = 1000, URL_BYTES_MAX = 5000 };

/* Add `a[b][]=v&...` to `params`; every leaf is a string. False: `*out_reason` says what is wrong.
 */
bool form_parse(json_t *params, const char *text, size_t size, const char **out_reason);

/* Refuse top-level names outside `allowed` (separated by spaces) and `expand`. */
bool form_only(call *c, const char *allowed);

/* The string, NULL when absent or not a string. */
const char *form_string(const call *c, const char *name);
/* The object or list, borrowed; NULL when absent. */
json_t *form_nested(const call *c, const char *name);
bool form_true(const call *c, const char *name);
/* False after a refusal. Absent leaves `*out` and is fine. */
bool form_integer(call *c, const char *name, int64_t *out);
/* The string; NULL after a refusal (missing or empty). */
const char *form_required(call *c, const char *name);
/* An http or https address without spaces and quotes; NULL in `*out` when absent. False: refused. */
bool form_url(call *c, const char *name, bool required, const char **out);
/* One of the words in `allowed`, or NULL in `*out` when absent; false after a refusal. */
bool form_choice(call *c, const char *name, const char *allowed, const char **out);
/* Lay `from` (metadata as sent) over `metadata`: an empty value takes a key away. False: refused.
 */
bool form_metadata(call *c, const char *name, json_t *from, json_t *metadata);
/* Is `word` one of the words? */
bool word_in(const char *words, const char *word);

#endif
