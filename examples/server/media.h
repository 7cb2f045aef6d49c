/* media.h - one document as JSON, a page or text, by what Accept names. */
#ifndef SERVER_MEDIA_H
#define SERVER_MEDIA_H

#include "http.h"

#include <careforall/explain.h>

typedef struct media {
    const char *name, *content_type;
    cfa_explain_format format;
} media;

/* The first that Accept names, by its own order; JSON when it names none. */
const media *media_of(http_request *request);

/* Answer with a document in that form; a page is kept by its own browser from loading or running
 * anything. */
void media_answer(http_request *request, const media *form, const char *text);

#endif
