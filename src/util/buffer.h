/*
 * buffer.h - growable bytes in an arena, and the JSON writer on top.
 *
 * A failed append is remembered, not returned: build the whole thing, then ask `cfa__buffer_finish`
 * once.
 */
#ifndef CFA_UTIL_BUFFER_H
#define CFA_UTIL_BUFFER_H

#include <careforall/sys/platform.h>
#include <stdbool.h>

typedef struct cfa__buffer {
    cfa_arena *arena;
    char *data;
    size_t size, capacity;
    bool failed;
    bool comma; /* JSON: the next member needs one */
} cfa__buffer;

void cfa__buffer_init(cfa__buffer *buffer, cfa_arena *arena, size_t capacity);
void cfa__buffer_append(cfa__buffer *buffer, const void *data, size_t size);
void cfa__buffer_text(cfa__buffer *buffer, const char *text);
void cfa__buffer_int(cfa__buffer *buffer, int64_t value);
/* CFA_OK and the bytes (NUL-terminated, the NUL not counted), or CFA_ENOMEM. */
CFA_MUST_CHECK cfa_status cfa__buffer_finish(cfa__buffer *buffer, cfa_slice *out);

/* JSON: open and close with '{' '}' or '[' ']'; `name` NULL inside arrays, else a literal without
 * anything to escape. Commas are kept right. */
void cfa__json_open(cfa__buffer *buffer, const char *name, char bracket);
void cfa__json_close(cfa__buffer *buffer, char bracket);
void cfa__json_text(cfa__buffer *buffer, const char *name, const char *value); /* NULL: null */
void cfa__json_slice(cfa__buffer *buffer, const char *name, cfa_slice value);  /* data NULL: null */
void cfa__json_int(cfa__buffer *buffer, const char *name, int64_t value);
void cfa__json_bool(cfa__buffer *buffer, const char *name, bool value);
/* Bytes that are JSON already. */
void cfa__json_raw(cfa__buffer *buffer, const char *name, cfa_slice json);

#endif
