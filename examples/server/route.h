/* route.h - the table of routes: what exists, who may call it, how large its body may be. */
#ifndef SERVER_ROUTE_H
#define SERVER_ROUTE_H

#include "http.h"

enum {
    ROUTE_SERVICE = 1, /* needs the service token */
    ROUTE_JSON = 2,    /* a JSON object is the body; parsed before the handler */
    ROUTE_RAW = 4,     /* the body is taken as bytes */
    ROUTE_PLAY = 8     /* exists only with the play provider */
};

typedef struct http_route {
    const char *method;
    const char *pattern; /* at most one "{id}" segment */
    unsigned flags;
    size_t body_limit;
    const char *queries; /* names of its query arguments, separated by spaces */
    void (*handler)(http_request *request);
} http_route;

typedef enum route_match { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD } route_match;

/* Find the route and copy the {id} into `request->parameter`; ROUTE_NO_METHOD fills `answer.allow`.
 */
route_match route_find(http_request *request, const char *method, const char *path);

/* Authorization, query names and expectations of a found route; false after an answer was set. */
bool route_admit(http_request *request);

/* The whole body is there: parse it if the route wants that and call the handler. */
void route_dispatch(http_request *request);

#endif
