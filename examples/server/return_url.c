/*
 * return_url.c - reading URLs narrowly. An open redirect after a payment is a gift to phishers:
 * what two parsers could disagree about never passes.
 */
#include "return_url.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Visible ASCII but for what browsers rewrite or cut at. In the query braces may stand: providers
 * replace names in them. */
static bool is_plain(const char *text, size_t size) {
    bool query = false;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        query = query || c == '?';
        if (c <= ' ' || c >= 127 || strchr("\\\"<>^`|", c) || (!query && strchr("{}", c)))
            return false;
    }
    return true;
}

static bool read_port(return_url_parts *out, const char *text, size_t size) {
    out->port = 0;
    if (size == 0 || size > 5)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        out->port = out->port * 10 + (text[i] - '0');
    }
    return out->port >= 1 && out->port <= 65535;
}

static const char *read_authority(return_url_parts *out, const char *text, size_t size) {
    if (memchr(text, '@', size))
        return "it holds a user name";
    size_t host = 0;
    if (size > 0 && text[0] == '[') {
        while (host < size && text[host] != ']')
            host++;
        host += host < size ? 1 : 0;
        for (size_t i = 1; i + 1 < host; i++)
            if (!isxdigit((unsigned char)text[i]) && text[i] != ':' && text[i] != '.')
                return "its host is malformed";
        if (host < 4 || text[host - 1] != ']')
            return "its host is malformed";
    } else {
        while (host < size && (isalnum((unsigned char)text[host]) || strchr("-._", text[host])))
            host++;
        if (host == 0 || text[0] == '.' || text[host - 1] == '.')
            return "its host is malformed";
    }
    out->host = text;
    out->host_size = host;
    out->port = out->secure ? 443 : 80;
    if (host == size)
        return NULL;
    if (text[host] != ':' || !read_port(out, text + host + 1, size - host - 1))
        return "its host or port is malformed";
    return NULL;
}

/* "." and "..", also written as %2e, walk out of a prefix; an encoded slash may do so later. */
static bool path_walks(const char *path, size_t size) {
    size_t dots = 0, length = 0;
    for (size_t i = 0; i <= size; i++) {
        if (i == size || path[i] == '/') {
            if (length > 0 && length == dots && dots <= 2)
                return true;
            dots = length = 0;
            continue;
        }
        bool escape = path[i] == '%' && i + 2 < size;
        if (escape &&
            (strncasecmp(path + i, "%2f", 3) == 0 || strncasecmp(path + i, "%5c", 3) == 0))
            return true;
        bool dot = path[i] == '.' || (escape && strncasecmp(path + i, "%2e", 3) == 0);
        if (dot && path[i] == '%')
            i += 2;
        dots += dot ? 1 : 0;
        length++;
    }
    return false;
}

const char *return_url_read(return_url_parts *out, const char *url, size_t size) {
    memset(out, 0, sizeof *out);
    size_t scheme = 0;
    if (size > 8 && strncmp(url, "https://", 8) == 0) {
        out->secure = true;
        scheme = 8;
    } else if (size > 7 && strncmp(url, "http://", 7) == 0)
        scheme = 7;
    else
        return "it must begin with https:// or http://";
    if (!is_plain(url, size))
        return "it holds a space or another character that belongs percent-encoded";
    const char *authority = url + scheme, *end = url + size;
    const char *path = authority;
    while (path < end && !strchr("/?#", *path))
        path++;
    const char *wrong = read_authority(out, authority, (size_t)(path - authority));
    if (wrong)
        return wrong;
    out->path = path;
    while (path < end && *path != '?' && *path != '#')
        path++;
    out->path_size = (size_t)(path - out->path);
    return path_walks(out->path, out->path_size) ? "its path walks upwards" : NULL;
}

const char *return_url_add(return_url_list *list, const char *url, size_t size) {
    return_url_parts parts;
    const char *wrong = return_url_read(&parts, url, size);
    if (wrong)
        return wrong;
    if (list->count == RETURN_URLS_MAX)
        return "the list is full";
    if (parts.path + parts.path_size != url + size)
        return "an entry has no query and no fragment";
    list->entries[list->count++] = parts;
    return NULL;
}

static bool begins_with(const return_url_parts *url, const return_url_parts *entry) {
    size_t size = entry->path_size;
    while (size > 0 && entry->path[size - 1] == '/')
        size--; /* "/give/" allows "/give" and all below it, never "/given" */
    return url->path_size >= size && memcmp(url->path, entry->path, size) == 0 &&
           (url->path_size == size || url->path[size] == '/');
}

bool return_url_allowed(const return_url_list *list, const char *url) {
    return_url_parts parts;
    if (return_url_read(&parts, url, strlen(url)))
        return false;
    for (int i = 0; i < list->count; i++) {
        const return_url_parts *entry = &list->entries[i];
        if (entry->secure == parts.secure && entry->port == parts.port &&
            entry->host_size == parts.host_size &&
            strncasecmp(entry->host, parts.host, parts.host_size) == 0 &&
            begins_with(&parts, entry))
            return true;
    }
    return false;
}

bool return_url_is_local(const return_url_parts *parts) {
    static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == parts->host_size &&
            strncasecmp(names[i], parts->host, parts->host_size) == 0)
            return true;
    return false;
}
