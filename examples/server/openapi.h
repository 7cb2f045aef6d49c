/* openapi.h - the description of the interface, made from the tables that the server runs on. */
#ifndef SERVER_OPENAPI_H
#define SERVER_OPENAPI_H

#include <jansson.h>

#include <stddef.h>

struct server_app;

/* A named schema, as JSON text. */
typedef struct openapi_schema {
    const char *name, *json;
} openapi_schema;

extern const openapi_schema openapi_schemas[];
extern const size_t openapi_schema_count;

/* The OpenAPI 3.1 document of the routes that exist for `app`; a new reference, or NULL. */
json_t *openapi_document(const struct server_app *app);

#endif
