/*
 * tell_events.c - a donation's events in the log, and what each sink has made of them.
 */
#include <string.h>

#include "core/decide/event_registry.h"
#include "core/explain/story.h"

typedef struct disposition {
    const char *word;  /* stable */
    const char *words; /* for people */
    cfa__tone tone;
} disposition;

static const cfa__dead_letter *letter_of(const cfa__dossier *dossier, int32_t event, int32_t sink) {
    if (dossier->letters == NULL)
        return NULL;
    return dossier->letters[(size_t)event * (size_t)dossier->sinks.count + (size_t)sink];
}

/* What became of one event at one sink. */
static disposition dispose(cfa__teller *teller, int32_t event, int32_t sink) {
    const cfa__dossier *dossier = teller->dossier;
    cfa__document *document = teller->document;
    const cfa__sink *cursor = dossier->sinks.items[sink];
    const cfa__dead_letter *letter = letter_of(dossier, event, sink);
    int64_t position = dossier->events[event].event.position;
    if (letter != NULL && letter->requeued != 0)
        return (disposition){ "requeued", "set aside, will be delivered again", CFA__TONE_WAITING };
    if (letter != NULL)
        return (disposition){
            "dead_letter",
            cfa__document_format(
                document, "refused %lld %s and set aside%s%s", (long long)letter->tries,
                letter->tries == 1 ? "time" : "times", letter->reason.data != NULL ? ": " : "",
                letter->reason.data != NULL ? cfa__document_text(document, letter->reason) : ""),
            CFA__TONE_BAD
        };
    if (position <= cursor->acknowledged)
        return (disposition){ "delivered", "delivered", CFA__TONE_GOOD };
    if (cursor->paused != 0)
        return (disposition){ "paused",
                              cursor->paused == 1 ? "waits: paused by an operator"
                                                  : "waits: stopped by its own failure",
                              CFA__TONE_BAD };
    if (cursor->refused == position)
        return (disposition){ "refused", "refused for now, tried again", CFA__TONE_WAITING };
    return (disposition){ "waiting",
                          cfa__document_format(document, "waits behind %lld others",
                                               (long long)(position - cursor->acknowledged - 1)),
                          CFA__TONE_WAITING };
}

static const char *sink_name(cfa__teller *teller, int32_t sink) {
    const cfa__sink *cursor = teller->dossier->sinks.items[sink];
    return cfa__document_text(teller->document, cursor->name);
}

static void show_deliveries(cfa__teller *teller, cfa__item *item, int32_t event) {
    cfa__document *document = teller->document;
    cfa__field *words = cfa__show_list(document, &item->fields, "deliveries", NULL);
    cfa__field *troubles = cfa__show_list(document, &item->fields, "undelivered", "not delivered");
    for (int32_t sink = 0; sink < teller->dossier->sinks.count; sink++) {
        disposition what = dispose(teller, event, sink);
        const char *name = sink_name(teller, sink);
        cfa__show_entry(document, words, cfa__document_format(document, "%s=%s", name, what.word));
        if (what.tone != CFA__TONE_GOOD)
            cfa__show_entry(document, troubles,
                            cfa__document_format(document, "%s: %s", name, what.words));
        if (what.tone == CFA__TONE_BAD)
            item->tone = CFA__TONE_BAD;
    }
}

static void tell_event(cfa__teller *teller, int32_t index) {
    const cfa__found_event *found = &teller->dossier->events[index];
    const cfa__event *event = &found->event;
    cfa__document *document = teller->document;
    if (event->sequence == 0)
        return; /* not found */
    const char *type = cfa__event_type_name((cfa__event_type)event->type);
    static const char common[] = "org.careforall.";
    const char *brief = type == NULL                                    ? "of an unknown type"
                        : strncmp(type, common, sizeof common - 1) == 0 ? type + sizeof common - 1
                                                                        : type;
    cfa__item *item = cfa__tell(
        teller, "event", event->created_us, CFA__RANK_EVENT, CFA__TONE_PLAIN,
        found->staged
            ? cfa__document_format(
                  document, "Event %s is staged: the next commit gives it its position", brief)
            : cfa__document_format(document, "Event %s at position %lld", brief,
                                   (long long)event->position));
    if (item == NULL)
        return;
    if (event->sequence == 1) {
        item->rank = CFA__RANK_PLEDGE;
        item->number = INT64_C(2) * INT32_MAX;
    }
    item->id = cfa__document_id(document, "evt", event->id);
    item->marked = teller->dossier->asked == CFA__ASKED_EVENT &&
                   cfa__id_compare(teller->dossier->asked_id, event->id) == 0;
    cfa__show_text(document, &item->fields, "event_id", "event", item->id);
    cfa__show_text(document, &item->fields, "type", NULL, type);
    cfa__show_int(document, &item->fields, "position", NULL, event->position);
    cfa__show_int(document, &item->fields, "sequence", "sequence", event->sequence);
    cfa__show_bool(document, &item->fields, "staged", NULL, found->staged);
    cfa__show_raw(document, &item->fields, "data", NULL, event->payload);
    if (!found->staged)
        show_deliveries(teller, item, index);
}

void cfa__tell_events(cfa__teller *teller) {
    for (int32_t i = 0; i < teller->dossier->event_count; i++)
        tell_event(teller, i);
}

/* ---- sinks ----------------------------------------------------------------------------------- */

struct tally {
    int32_t delivered, waiting, dead;
};

static struct tally count_events(const cfa__dossier *dossier, int32_t sink) {
    struct tally tally = { 0, 0, 0 };
    const cfa__sink *cursor = dossier->sinks.items[sink];
    for (int32_t event = 0; event < dossier->event_count; event++) {
        const cfa__found_event *found = &dossier->events[event];
        if (found->event.sequence == 0)
            continue;
        if (letter_of(dossier, event, sink) != NULL)
            tally.dead++;
        else if (!found->staged && found->event.position <= cursor->acknowledged)
            tally.delivered++;
        else
            tally.waiting++;
    }
    return tally;
}

static void tell_sink(cfa__teller *teller, cfa__section *section, int32_t index) {
    const cfa__dossier *dossier = teller->dossier;
    cfa__document *document = teller->document;
    const cfa__sink *cursor = dossier->sinks.items[index];
    struct tally tally = count_events(dossier, index);
    const char *name = sink_name(teller, index);
    const char *title =
        tally.waiting + tally.dead == 0
            ? cfa__document_format(document, "%s has all %d events", name, tally.delivered)
            : cfa__document_format(document, "%s has %d events, %d wait, %d are set aside", name,
                                   tally.delivered, tally.waiting, tally.dead);
    cfa__item *item = cfa__document_item(document, section, "sink", 0, title);
    if (item == NULL)
        return;
    item->tone = tally.dead > 0 || cursor->paused != 0 ? CFA__TONE_BAD
                 : tally.waiting > 0                   ? CFA__TONE_WAITING
                                                       : CFA__TONE_GOOD;
    cfa__fields *fields = &item->fields;
    cfa__show_text(document, fields, "name", NULL, name);
    cfa__show_int(document, fields, "delivered", NULL, tally.delivered);
    cfa__show_int(document, fields, "waiting", NULL, tally.waiting);
    cfa__show_int(document, fields, "dead", NULL, tally.dead);
    cfa__show_text(document, fields, "place", "stands at",
                   cfa__document_format(document, "%lld of %lld", (long long)cursor->acknowledged,
                                        (long long)dossier->head));
    cfa__show_int(document, fields, "acknowledged", NULL, cursor->acknowledged);
    cfa__show_int(document, fields, "head", NULL, dossier->head);
    cfa__show_text(document, fields, "state", cursor->paused != 0 ? "state" : NULL,
                   cursor->paused == 1   ? "paused"
                   : cursor->paused == 2 ? "stopped"
                                         : "runs");
    cfa__show_time(document, fields, "paused", "since", cursor->paused_us);
    cfa__show_slice(document, fields, "reason", "because", cursor->reason);
}

void cfa__tell_sinks(cfa__teller *teller) {
    cfa__section *section = cfa__document_section(teller->document, "sinks", "Who was told",
                                                  CFA__CARDS, "Nobody reads this book's events.");
    for (int32_t i = 0; i < teller->dossier->sinks.count; i++)
        tell_sink(teller, section, i);
}
