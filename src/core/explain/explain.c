/*
 * explain.c - the public face of stories: one snapshot is read, told as a document, and let go.
 */
#include <careforall/explain.h>

#include <string.h>

#include "core/explain/story.h"
#include "util/text.h"

#define ORIGIN "core.explain"
#define ID_BYTES_MAX 500

struct cfa_story {
    cfa_arena *arena;
    cfa__document document;
    const char *payment_id;
};

cfa__item *cfa__tell(cfa__teller *teller, const char *kind, int64_t at_us, int32_t rank,
                     cfa__tone tone, const char *title) {
    cfa__item *item = cfa__document_item(teller->document, teller->timeline, kind, at_us, title);
    if (item != NULL) {
        item->rank = rank;
        item->tone = tone;
    }
    return item;
}

static void tell_payment(cfa__teller *teller) {
    cfa__tell_head(teller);
    teller->timeline =
        cfa__document_section(teller->document, "timeline", "What happened", CFA__TIMELINE, NULL);
    cfa__tell_requests(teller);
    cfa__tell_calls(teller);
    cfa__tell_webhooks(teller);
    cfa__tell_transitions(teller);
    cfa__tell_events(teller);
    cfa__tell_next(teller);
    cfa__tell_refunds(teller);
    cfa__tell_disputes(teller);
    cfa__tell_totals(teller);
    cfa__tell_sinks(teller);
    cfa__tell_missing(teller);
}

/* An event of something else, or an object of the provider that nobody here knows. */
static void tell_stranger(cfa__teller *teller) {
    const cfa__dossier *dossier = teller->dossier;
    cfa__document *document = teller->document;
    bool event = dossier->asked == CFA__ASKED_EVENT;
    document->title = event ? "An event that is of no payment"
                            : cfa__document_format(document, "%s",
                                                   dossier->asked_ref != NULL
                                                       ? dossier->asked_ref
                                                       : "A webhook that is of no payment");
    bool waits =
        dossier->object != NULL ||
        (dossier->webhooks.count == 1 &&
         ((const cfa__webhook *)dossier->webhooks.items[0])->verdict == CFA_WEBHOOK_PARKED);
    document->summary =
        event   ? "It is about a campaign or the provider as a whole."
        : waits ? "The provider told of an object, and no payment of this book is known to be it. "
                  "What it said is kept, and applied when one turns out to be."
                : "The provider's event was taken in, and is of no payment of this book.";
    document->tone = event ? CFA__TONE_PLAIN : CFA__TONE_WAITING;
    cfa__show_int(document, &document->fields, "position", NULL, dossier->head);
    cfa__show_time(document, &document->fields, "as_of", NULL, dossier->now_us);
    teller->timeline =
        cfa__document_section(document, "timeline", "What happened", CFA__TIMELINE, NULL);
    cfa__tell_webhooks(teller);
    cfa__tell_events(teller);
    if (event)
        cfa__tell_sinks(teller);
    cfa__tell_missing(teller);
}

static void tell(cfa_story *story, const cfa__dossier *dossier, const char *id) {
    cfa__document *document = &story->document;
    cfa__teller teller = { dossier, document, NULL };
    cfa_slice asked = { id, strlen(id) };
    cfa__document_init(document, story->arena, "explain");
    cfa__show_slice(document, &document->fields, "asked", NULL, asked);
    if (dossier->payment != NULL) {
        story->payment_id = cfa__document_id(document, "pay", dossier->payment->id);
        tell_payment(&teller);
    } else {
        tell_stranger(&teller);
    }
    cfa__document_sort(document, teller.timeline);
}

static cfa_status story_new(cfa_story **out) {
    cfa_arena *arena;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    cfa_story *story = cfa_arena_alloc(arena, sizeof *story);
    if (story == NULL) {
        cfa_arena_free(arena);
        return CFA_ENOMEM;
    }
    story->arena = arena;
    *out = story;
    return CFA_OK;
}

/* Without what a paste brings along. */
static cfa_status take_id(char out[ID_BYTES_MAX + 1], const char *given) {
    static const char blanks[] = " \t\r\n";
    const char *id = given != NULL ? given + strspn(given, blanks) : "";
    size_t size = strlen(id);
    while (size > 0 && strchr(blanks, id[size - 1]) != NULL)
        size--;
    if (size == 0)
        return cfa_error_set(CFA_EINVAL, ORIGIN, "id", 0, "say whose story: give an id");
    if (size > ID_BYTES_MAX)
        return cfa_error_format(CFA_ETOOLONG, ORIGIN, "id", 0, "an id has at most %d bytes",
                                ID_BYTES_MAX);
    if (!cfa__text_is_utf8(id, size))
        return cfa_error_set(CFA_EENCODING, ORIGIN, "id", 0, "id is not valid UTF-8");
    memcpy(out, id, size);
    out[size] = '\0';
    return CFA_OK;
}

cfa_status cfa_explain(cfa_story **out, cfa_engine *engine, const char *given, int32_t timeout_ms) {
    char id[ID_BYTES_MAX + 1];
    cfa_story *story;
    cfa__reader *reader;
    cfa__dossier dossier;
    cfa_status status = cfa__call_check(engine, out);
    if (status == CFA_OK)
        status = take_id(id, given);
    if (status == CFA_OK)
        status = story_new(&story);
    if (status != CFA_OK)
        return status;
    status = cfa__read_begin(&reader, engine, cfa__deadline_us(engine, timeout_ms));
    if (status == CFA_OK) {
        status = cfa__dossier_read(&dossier, engine, reader, id);
        if (status == CFA_OK) {
            tell(story, &dossier, id);
            status = cfa__document_status(&story->document);
        }
        cfa__read_end(engine, reader);
    }
    if (status != CFA_OK) {
        cfa_story_free(story);
        return status;
    }
    *out = story;
    return CFA_OK;
}

cfa_status cfa_story_write(char **out_text, const cfa_story *story, cfa_explain_format format) {
    if (out_text == NULL || story == NULL)
        return cfa_error_set(CFA_EMISUSE, ORIGIN, NULL, 0, "no output, or no story");
    return cfa__document_write(out_text, &story->document, format);
}

const char *cfa_story_payment_id(const cfa_story *story) { return story->payment_id; }

void cfa_story_free(cfa_story *story) {
    if (story != NULL)
        cfa_arena_free(story->arena);
}
