/* route.h - the table of routes: what exists, who may call it, how large its body may be, and what
 * the OpenAPI document says of it. A route is one entry of the table in route.c. */
#ifndef SERVER_ROUTE_H
#define SERVER_ROUTE_H

#include "http.h"

enum {
    ROUTE_SERVICE = 1,        /* needs the service token */
    ROUTE_JSON = 2,           /* a JSON object is the body; parsed before the handler */
    ROUTE_RAW = 4,            /* the body is taken as bytes */
    ROUTE_PLAY = 8,           /* exists only with the play provider */
    ROUTE_KEY = 16,           /* documented: needs an Idempotency-Key */
    ROUTE_MATCH = 32,         /* documented: needs an If-Match */
    ROUTE_TAG = 64,           /* documented: answers with an ETag and takes If-None-Match */
    ROUTE_PLEDGE_TOKEN = 128, /* documented: shows itself to who holds the pledge's token */
    ROUTE_PAY = 256,          /* counts against the limit of pledges */
    ROUTE_ACTOR = 512,        /* documented: tells the audit log who asks, and why */
    ROUTE_RECORD = 1024       /* the body is a provider's exported file, and goes to a file */
};

typedef struct http_route {
    const char *method;
    const char *pattern; /* at most one "{id}" segment */
    unsigned flags;
    size_t body_limit;
    const char *queries; /* names of its query arguments, separated by spaces; NULL: none */
    void (*handler)(http_request *request);
    /* Called before the body is read, when the head was admitted; false after an answer was set.
     * NULL: nothing to do. */
    bool (*prepare)(http_request *request);

    /* For the OpenAPI document; schemas are named in openapi_schemas.c. */
    const char *name, *summary;
    const char *takes;    /* schema of the body; NULL: none */
    const char *answers;  /* "201:Pledge 200:Pledge" */
    const char *problems; /* statuses beyond those that its flags and every route have: "404 409" */
} http_route;

typedef enum route_match { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD, ROUTE_OPTIONS } route_match;

/* Find the route and copy the {id} into `request->parameter`. ROUTE_NO_METHOD and ROUTE_OPTIONS
 * fill `answer.allow`. */
route_match route_find(http_request *request, const char *method, const char *path);

/* How large its body may be. */
size_t route_body_limit(const http_request *request);

/* Authorization, query names and expectations of a found route; false after an answer was set. */
bool route_admit(http_request *request);

/* The whole body is there: parse it if the route wants that and call the handler. */
void route_dispatch(http_request *request);

/* The routes that exist for `app`, one by one: NULL after the last. */
const http_route *route_at(const struct server_app *app, size_t index);

#endif
