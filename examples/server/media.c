/*
 * media.c - which form of a document is asked for, and what a browser may do with a page. Pages
 * have one style sheet within and nothing else; its hash is the only thing that their policy
 * allows.
 */
#include "media.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const media medias[] = {
    { "application/json", "application/json", CFA_EXPLAIN_JSON },
    { "text/html", "text/html; charset=utf-8", CFA_EXPLAIN_HTML },
    { "text/plain", "text/plain; charset=utf-8", CFA_EXPLAIN_TEXT },
};
enum { MEDIA_COUNT = (int)(sizeof medias / sizeof medias[0]) };

/* Weights are not read: who wants a page writes it first, as browsers do. */
const media *media_of(http_request *request) {
    const char *accept = http_header(request, "Accept", NULL);
    while (accept && *accept != '\0') {
        accept += strspn(accept, " \t,");
        size_t size = strcspn(accept, " \t,;");
        for (int i = 0; i < MEDIA_COUNT; i++) {
            if (strlen(medias[i].name) == size && strncasecmp(accept, medias[i].name, size) == 0)
                return &medias[i];
        }
        accept += strcspn(accept, ",");
    }
    return &medias[0];
}

static void set_policy(http_answer *answer, const char *page) {
    static const char open[] = "<style>", close[] = "</style>";
    unsigned char hash[crypto_hash_sha256_BYTES];
    char text[sodium_base64_ENCODED_LEN(crypto_hash_sha256_BYTES, sodium_base64_VARIANT_ORIGINAL)];
    const char *style = strstr(page, open), *end = style ? strstr(style, close) : NULL;
    text[0] = '\0';
    if (end) {
        style += sizeof open - 1;
        crypto_hash_sha256(hash, (const unsigned char *)style, (size_t)(end - style));
        sodium_bin2base64(text, sizeof text, hash, sizeof hash, sodium_base64_VARIANT_ORIGINAL);
    }
    snprintf(answer->policy, sizeof answer->policy,
             "default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'; "
             "frame-ancestors 'none'",
             text);
}

void media_answer(http_request *request, const media *form, const char *text) {
    request->answer.content_type = form->content_type;
    if (form->format == CFA_EXPLAIN_HTML)
        set_policy(&request->answer, text);
    http_answer_bytes(request, 200, text, strlen(text));
}
