/* handlers_explain.c - a donation's story over HTTP, for the service alone. */
#include "app.h"
#include "handlers.h"
#include "problem.h"

#include <careforall/explain.h>

#include <string.h>
#include <strings.h>

typedef struct media {
    const char *name, *content_type;
    cfa_explain_format format;
} media;

static const media medias[] = {
    { "application/json", "application/json", CFA_EXPLAIN_JSON },
    { "text/html", "text/html; charset=utf-8", CFA_EXPLAIN_HTML },
    { "text/plain", "text/plain; charset=utf-8", CFA_EXPLAIN_TEXT },
};
enum { MEDIA_COUNT = (int)(sizeof medias / sizeof medias[0]) };

typedef struct explain_input {
    const media *media;
} explain_input;

/* The first that Accept names, by its own order; JSON when it names none. Weights are not read: who
 * wants a page writes it first, as browsers do. */
static const media *choose(const char *accept) {
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

static void run_explain(http_request *request) {
    const explain_input *input = request->input;
    cfa_story *story = NULL;
    char *text = NULL;
    cfa_status status = cfa_explain(&story, request->app->engine, request->parameter, HTTP_CALL_MS);
    if (status == CFA_OK)
        status = cfa_story_write(&text, story, input->media->format);
    if (status == CFA_OK) {
        request->answer.content_type = input->media->content_type;
        http_answer_bytes(request, 200, text, strlen(text));
    } else {
        problem_last(request, status);
    }
    cfa_free(text);
    cfa_story_free(story);
}

void handle_explain(http_request *request) {
    explain_input *input = http_input(request, sizeof *input);
    if (!input)
        return;
    input->media = choose(http_header(request, "Accept", NULL));
    http_offload(request, run_explain);
}
