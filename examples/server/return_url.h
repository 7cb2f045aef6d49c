/*
 * return_url.h - where a hosted page may send a donor: an allow-list of scheme, host, port and the
 * beginning of the path. Anything a browser might read differently is refused.
 */
#ifndef SERVER_RETURN_URL_H
#define SERVER_RETURN_URL_H

#include <stdbool.h>
#include <stddef.h>

enum { RETURN_URLS_MAX = 32 };

/* The parts point into the URL they were read from. */
typedef struct return_url_parts {
    bool secure;
    const char *host;
    size_t host_size;
    int port;
    const char *path; /* up to query or fragment; may be empty */
    size_t path_size;
} return_url_parts;

typedef struct return_url_list {
    int count;
    return_url_parts entries[RETURN_URLS_MAX];
} return_url_list;

/* Read an absolute http or https URL; NULL, or what is wrong with it. */
const char *return_url_read(return_url_parts *out, const char *url, size_t size);

/* Add an entry; NULL, or what is wrong with it. `url` must outlive the list. */
const char *return_url_add(return_url_list *list, const char *url, size_t size);

/* True when some entry has the same scheme, host and port and a path that `url`'s begins with,
 * segment by segment. */
bool return_url_allowed(const return_url_list *list, const char *url);

/* True for names and addresses that never leave this machine. */
bool return_url_is_local(const return_url_parts *parts);

#endif
