/*
 * document_json.c - a document as one JSON object. Names are stable: members are only added.
 */
#include "core/explain/document.h"

#include <string.h>

#include "util/text.h"

static void write_time(cfa__buffer *out, const char *name, int64_t at_us) {
    char time[28];
    cfa__time_format(time, at_us);
    cfa__json_text(out, name, at_us == 0 ? NULL : time);
}

static void write_field(cfa__buffer *out, const cfa__field *field) {
    switch (field->type) {
    case CFA__SHOW_TEXT: cfa__json_text(out, field->name, field->text); break;
    case CFA__SHOW_INT: cfa__json_int(out, field->name, field->number); break;
    case CFA__SHOW_BOOL: cfa__json_bool(out, field->name, field->number != 0); break;
    case CFA__SHOW_TIME: write_time(out, field->name, field->number); break;
    case CFA__SHOW_MONEY:
        cfa__json_open(out, field->name, '{');
        cfa__json_int(out, "minor", field->number);
        cfa__json_text(out, "currency", field->currency);
        cfa__json_close(out, '}');
        break;
    case CFA__SHOW_LIST:
        cfa__json_open(out, field->name, '[');
        for (const cfa__text_list *entry = field->list; entry != NULL; entry = entry->next)
            cfa__json_text(out, NULL, entry->text);
        cfa__json_close(out, ']');
        break;
    case CFA__SHOW_RAW:
        if (field->text == NULL)
            cfa__json_text(out, field->name, NULL);
        else
            cfa__json_raw(out, field->name, (cfa_slice){ field->text, strlen(field->text) });
        break;
    }
}

static void write_fields(cfa__buffer *out, const cfa__fields *fields) {
    for (const cfa__field *field = fields->first; field != NULL; field = field->next)
        write_field(out, field);
}

static void write_item(cfa__buffer *out, const cfa__section *section, const cfa__item *item) {
    cfa__json_open(out, NULL, '{');
    if (section->layout == CFA__TIMELINE)
        write_time(out, "at", item->at_us);
    cfa__json_text(out, "kind", item->kind);
    if (item->id != NULL)
        cfa__json_text(out, "id", item->id);
    cfa__json_text(out, "title", item->title);
    if (item->marked)
        cfa__json_bool(out, "asked", true);
    write_fields(out, &item->fields);
    cfa__json_close(out, '}');
}

void cfa__document_write_json(cfa__buffer *out, const cfa__document *document) {
    cfa__json_open(out, NULL, '{');
    cfa__json_text(out, "document", document->type);
    cfa__json_int(out, "version", 1);
    cfa__json_text(out, "summary", document->summary);
    write_fields(out, &document->fields);
    for (const cfa__section *section = document->first; section != NULL; section = section->next) {
        cfa__json_open(out, section->name, '[');
        for (const cfa__item *item = section->first; item != NULL; item = item->next)
            write_item(out, section, item);
        cfa__json_close(out, ']');
    }
    cfa__json_close(out, '}');
    cfa__buffer_text(out, "\n");
}
