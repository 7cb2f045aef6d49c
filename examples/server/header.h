/* header.h - headers and query arguments that carry meaning: token, idempotency key, versions,
 * trace context. */
#ifndef SERVER_HEADER_H
#define SERVER_HEADER_H

#include "http.h"
#include "secrets.h"

#define HEADER_ANONYMOUS_KEY_BYTES_MIN 20

/* Compare a Bearer token with each service token, in constant time. */
typedef enum header_token { TOKEN_ABSENT, TOKEN_WRONG, TOKEN_RIGHT } header_token;
header_token header_service_token(http_request *request, const secret_list *tokens);

/* Read Idempotency-Key, bare or quoted; false after a problem was answered. */
bool header_key(http_request *request, char out_key[CFA_KEY_BYTES_MAX + 1]);
/* Whose key it is. */
const char *header_scope(const http_request *request);

/* Who asks for an administrative act and why, for the audit log: Careforall-Actor and
 * Careforall-Reason. False after a problem was answered, when one is sent twice. Borrowed. */
bool header_actor(http_request *request, const char **out_actor, const char **out_reason);

/* Read If-Match, one ETag of a campaign: "3" or "3-17", of which the first number is the version.
 * False after a problem was answered. */
bool header_version(http_request *request, int64_t *out);

/* Set the answer's ETag; true after a 304 was answered because the caller has it already. */
bool header_tag_known(http_request *request, const char *tag);

/* The request's traceparent if it is well formed, else NULL. Borrowed. */
const char *header_trace(http_request *request);

/* Read a whole number of the query, `fallback` when absent; false after a problem was answered. */
bool header_query_number(http_request *request, const char *name, int64_t minimum, int64_t maximum,
                         int64_t fallback, int64_t *out);

#endif
