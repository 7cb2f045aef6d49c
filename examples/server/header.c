/* header.c - the meaning of headers. Secrets are compared in constant time and never copied into
 * answers. */
#include "header.h"
#include "problem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

header_token header_service_token(http_request *request, const secret_list *tokens) {
    int count = 0;
    const char *text = http_header(request, "Authorization", &count);
    if (count == 0)
        return TOKEN_ABSENT;
    if (count > 1 || strncasecmp(text, "Bearer ", 7) != 0)
        return TOKEN_WRONG;
    return secret_list_holds(tokens, text + 7) ? TOKEN_RIGHT : TOKEN_WRONG;
}

static bool refuse_key(http_request *request, const char *why) {
    problem_status(request, 400, CFA_EKEY, "Idempotency-Key", "%s", why);
    return false;
}

/* Unquote a structured-field string (RFC 8941, 3.3.3); 0 when it is none. */
static size_t unquote(char *out, size_t out_size, const char *text) {
    size_t size = 0;
    for (text++; *text != '"'; text++) {
        if (*text == '\\') {
            text++;
            if (*text != '"' && *text != '\\')
                return 0;
        }
        if (*text == '\0' || size + 1 >= out_size)
            return 0;
        out[size++] = *text;
    }
    if (text[1] != '\0')
        return 0;
    out[size] = '\0';
    return size;
}

bool header_key(http_request *request, char out_key[CFA_KEY_BYTES_MAX + 1]) {
    int count = 0;
    const char *text = http_header(request, "Idempotency-Key", &count);
    if (count == 0)
        return refuse_key(
            request,
            "send an Idempotency-Key header, made before the first try and kept for repeats");
    if (count > 1)
        return refuse_key(request, "there is more than one Idempotency-Key");
    char key[CFA_KEY_BYTES_MAX + 2] = "";
    size_t size = 0;
    if (*text == '"')
        size = unquote(key, sizeof key, text);
    else {
        size = strnlen(text, sizeof key - 1);
        memcpy(key, text, size);
    }
    if (size == 0 || size > CFA_KEY_BYTES_MAX)
        return refuse_key(request,
                          "a key has 1 to 255 visible ASCII characters, bare or in double quotes");
    for (size_t i = 0; i < size; i++)
        if (key[i] < 0x21 || key[i] > 0x7e)
            return refuse_key(
                request, "a key has 1 to 255 visible ASCII characters, bare or in double quotes");
    /* Callers without a name share one scope: only a key that cannot be guessed keeps them apart.
     */
    if (!request->service && size < HEADER_ANONYMOUS_KEY_BYTES_MIN)
        return refuse_key(
            request, "without the service token a key needs at least 20 characters; a UUID has 36");
    memcpy(out_key, key, size);
    out_key[size] = '\0';
    return true;
}

const char *header_scope(const http_request *request) {
    return request->service ? "service" : "anonymous";
}

static bool parse_number(const char *text, size_t size, int64_t *out) {
    if (size == 0 || size > 18)
        return false;
    int64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *out = value;
    return true;
}

bool header_actor(http_request *request, const char **out_actor, const char **out_reason) {
    static const char *const names[] = { "Careforall-Actor", "Careforall-Reason" };
    const char **outs[] = { out_actor, out_reason };
    for (size_t i = 0; i < 2; i++) {
        int count = 0;
        *outs[i] = http_header(request, names[i], &count);
        if (count > 1) {
            problem_status(request, 0, CFA_EINVAL, names[i], "the header is sent twice");
            return false;
        }
    }
    return true;
}

bool header_version(http_request *request, int64_t *out) {
    int count = 0;
    const char *text = http_header(request, "If-Match", &count);
    if (count == 0) {
        problem_http(request, PROBLEM_NO_PRECONDITION, "If-Match",
                     "send If-Match with the ETag of the version that this change was made from");
        return false;
    }
    size_t size = count == 1 ? strlen(text) : 0;
    if (size > 2 && text[0] == '"' && text[size - 1] == '"') {
        text++;
        size -= 2;
    }
    size_t version_size = strcspn(text, "-\"");
    int64_t totals_version = 0;
    if (version_size > size)
        version_size = size;
    bool plain = version_size == size;
    if (parse_number(text, version_size, out) && *out > 0 &&
        (plain ||
         (text[version_size] == '-' &&
          parse_number(text + version_size + 1, size - version_size - 1, &totals_version))))
        return true;
    problem_http(request, PROBLEM_BAD_HEADER, "If-Match",
                 "a version is one ETag of this campaign, such as \"3\"");
    return false;
}

/* RFC 9110, 13.1.2: a list of tags, compared weakly, or "*". */
static bool tag_listed(const char *list, const char *tag) {
    if (strncmp(tag, "W/", 2) == 0)
        tag += 2;
    size_t tag_size = strlen(tag);
    for (list += strspn(list, " \t,"); *list != '\0'; list += strspn(list, " \t,")) {
        if (*list == '*')
            return true;
        if (strncmp(list, "W/", 2) == 0)
            list += 2;
        const char *end = *list == '"' ? strchr(list + 1, '"') : NULL;
        if (!end)
            return false;
        size_t size = (size_t)(end + 1 - list);
        if (size == tag_size && memcmp(list, tag, size) == 0)
            return true;
        list = end + 1;
    }
    return false;
}

bool header_tag_known(http_request *request, const char *tag) {
    http_answer *answer = &request->answer;
    answer->revalidate = true;
    size_t size = strlen(tag);
    if (size < sizeof answer->entity_tag)
        memcpy(answer->entity_tag, tag, size + 1);
    int count = 0;
    const char *list = http_header(request, "If-None-Match", &count);
    if (count != 1 || !tag_listed(list, tag))
        return false;
    http_answer_empty(request, 304);
    return true;
}

const char *header_trace(http_request *request) {
    int count = 0;
    const char *text = http_header(request, "traceparent", &count);
    static const char shape[] = "00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
    if (count != 1 || strlen(text) != sizeof shape - 1)
        return NULL;
    for (size_t i = 0; i < sizeof shape - 1; i++) {
        bool fits =
            shape[i] == 'x' ? strchr("0123456789abcdef", text[i]) != NULL : text[i] == shape[i];
        if (!fits)
            return NULL;
    }
    /* W3C trace context: all zeros is no id. */
    bool no_trace = strspn(text + 3, "0") >= 32, no_span = strspn(text + 36, "0") >= 16;
    return no_trace || no_span ? NULL : text;
}

bool header_query_number(http_request *request, const char *name, int64_t minimum, int64_t maximum,
                         int64_t fallback, int64_t *out) {
    const char *text = http_query(request, name);
    *out = fallback;
    if (!text)
        return true;
    if (parse_number(text, strlen(text), out) && *out >= minimum && *out <= maximum)
        return true;
    problem_http(request, PROBLEM_BAD_QUERY, name, "give a whole number from %lld to %lld",
                 (long long)minimum, (long long)maximum);
    return false;
}
