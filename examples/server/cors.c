/*
 * cors.c - cross-origin sharing by an allow-list, off without one. Origins are compared whole and
 * byte for byte, never reflected unseen; credentials are never allowed.
 */
#include "cors.h"
#include "http_internal.h"

#include <string.h>

void cors_admit(http_request *request) {
    const char *list = request->http->options.cors_origins;
    int count = 0;
    const char *origin = list ? http_header(request, "Origin", &count) : NULL;
    if (count != 1)
        return;
    size_t size = strlen(origin);
    while (*list != '\0') {
        size_t entry_size = strcspn(list, " ");
        if (entry_size == size && size > 0 && memcmp(list, origin, size) == 0)
            request->origin = origin;
        list += entry_size + strspn(list + entry_size, " ");
    }
    request->answer.preflight =
        request->origin && http_header(request, "Access-Control-Request-Method", NULL);
}

static void add(struct MHD_Response *response, const char *name, const char *value) {
    (void)MHD_add_response_header(response, name, value);
}

void cors_answer(const http_request *request, struct MHD_Response *response) {
    add(response, "Vary", "Origin");
    if (!request->origin)
        return;
    add(response, "Access-Control-Allow-Origin", request->origin);
    add(response, "Access-Control-Expose-Headers",
        "Careforall-Pledge-Token, Careforall-Position, ETag, Idempotent-Replayed, Link, Location, "
        "Retry-After, X-Request-Id");
    if (!request->answer.preflight || request->answer.status != 204)
        return;
    add(response, "Access-Control-Allow-Methods", request->answer.allow);
    add(response, "Access-Control-Allow-Headers",
        "Authorization, Careforall-Pledge-Token, Content-Type, Idempotency-Key, If-Match, "
        "If-None-Match, X-Request-Id, traceparent");
    add(response, "Access-Control-Max-Age", "600");
}
