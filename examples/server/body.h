/* body.h - strict reading of JSON bodies: every field is declared, everything else is refused by
 * name. */
#ifndef SERVER_BODY_H
#define SERVER_BODY_H

#include "http.h"

enum { BODY_DEPTH_MAX = 32, BODY_VALUES_MAX = 1000 };

typedef enum body_type { BODY_TEXT, BODY_INTEGER, BODY_BOOLEAN, BODY_OBJECT, BODY_ARRAY } body_type;

/* `out`: const char **, int64_t *, bool *, or json_t ** (borrowed). Absent and null leave it as it is. */
typedef struct body_field {
    const char *name;
    body_type type;
    bool required;
    void *out;
} body_field;

/* Parse `request->body` into `request->json`, an object; false after a problem was answered. */
bool body_parse(http_request *request);

/* Read the declared fields of `object`; `path` is its own name with a dot, "" for the body itself.
 */
bool body_read(http_request *request, json_t *object, const char *path, const body_field *fields,
               size_t count);

/* Read {"minor": 1250, "currency": "EUR"}; the engine checks the values. */
bool body_read_money(http_request *request, json_t *object, const char *path, cfa_money *out);

/* Read an RFC 3339 time; false when the text is none. */
bool body_parse_time(const char *text, int64_t *out_us);

#endif
