/*
 * document.c - building a document. Every text comes in here and is cleaned here: valid UTF-8, no
 * control characters, nothing that turns the reading direction.
 */
#include "core/explain/document.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/text.h"

#define ORIGIN "core.explain"
#define SECOND_US INT64_C(1000000)
#define TEXT_BYTES_MAX 4096 /* of one text; what is longer is cut, and says so */

void cfa__document_init(cfa__document *document, cfa_arena *arena, const char *type) {
    memset(document, 0, sizeof *document);
    document->arena = arena;
    document->type = type;
    document->title = document->summary = "";
}

cfa_status cfa__document_status(const cfa__document *document) {
    return document->failed ? cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "out of memory") : CFA_OK;
}

static void *take(cfa__document *document, size_t size) {
    void *memory = document->failed ? NULL : cfa_arena_alloc(document->arena, size);
    document->failed = document->failed || memory == NULL;
    return memory;
}

/* ---- text ------------------------------------------------------------------------------------ */

/* The size of the UTF-8 sequence at `at`, 0 when it is none. */
static size_t sequence_size(const unsigned char *at, size_t left) {
    size_t size = at[0] < 0x80 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    return size <= left && cfa__text_is_utf8(at, size) ? size : 0;
}

/* Controls, C1 included, and what turns the reading direction: they may hide what a line says. */
static bool is_hidden(const unsigned char *at, size_t size) {
    if (size == 1)
        return at[0] < 0x20 || at[0] == 0x7f;
    if (size == 2)
        return at[0] == 0xc2 && at[1] < 0xa0;
    if (size != 3 || at[0] != 0xe2)
        return false;
    return (at[1] == 0x80 &&
            (at[2] == 0x8e || at[2] == 0x8f || (at[2] >= 0xa8 && at[2] <= 0xae))) ||
           (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9);
}

const char *cfa__document_text(cfa__document *document, cfa_slice text) {
    static const char replacement[] = "\xef\xbf\xbd", more[] = "\xe2\x80\xa6";
    const unsigned char *from = text.data;
    size_t left = text.size < TEXT_BYTES_MAX ? text.size : TEXT_BYTES_MAX;
    char *out = take(document, left * 3 + sizeof more);
    if (out == NULL)
        return "";
    char *to = out;
    while (left > 0) {
        size_t size = sequence_size(from, left);
        if (size == 0 && left < 4 && text.size > TEXT_BYTES_MAX)
            break; /* cut in its middle */
        if (size == 0 || is_hidden(from, size)) {
            memcpy(to, replacement, 3);
            to += 3;
            size = size == 0 ? 1 : size;
        } else {
            memcpy(to, from, size);
            to += size;
        }
        from += size;
        left -= size;
    }
    if (text.size > TEXT_BYTES_MAX) {
        memcpy(to, more, 3);
        to += 3;
    }
    *to = '\0';
    return out;
}

const char *cfa__document_format(cfa__document *document, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(size >= 0);
    char *out = take(document, (size_t)size + 1);
    if (out != NULL)
        vsnprintf(out, (size_t)size + 1, format, again);
    va_end(again);
    if (out == NULL)
        return "";
    cfa_slice made = { out, (size_t)size };
    return cfa__document_text(document, made);
}

const char *cfa__document_id(cfa__document *document, const char *prefix, cfa__id id) {
    char text[CFA_ID_TEXT_SIZE];
    cfa__id_format(text, prefix, id);
    return cfa__document_format(document, "%s", text);
}

const char *cfa__document_money(cfa__document *document, int64_t minor, const char *currency) {
    cfa_money money = { minor, "" };
    char text[CFA_MONEY_TEXT_SIZE];
    memcpy(money.currency, currency, sizeof money.currency);
    if (cfa_money_format(text, sizeof text, money) == CFA_OK)
        return cfa__document_format(document, "%s", text);
    return cfa__document_format(document, "%lld %.3s", (long long)minor, currency);
}

const char *cfa__document_duration(cfa__document *document, int64_t duration_us) {
    static const struct {
        int64_t unit_us;
        const char *one, *many;
    } units[] = {
        { 86400 * SECOND_US, "day", "days" },
        { 3600 * SECOND_US, "hour", "hours" },
        { 60 * SECOND_US, "minute", "minutes" },
        { SECOND_US, "second", "seconds" },
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        int64_t count = duration_us / units[i].unit_us;
        if (count > 0)
            return cfa__document_format(document, "%lld %s", (long long)count,
                                        count == 1 ? units[i].one : units[i].many);
    }
    return cfa__document_format(document, "%lld ms", (long long)(duration_us / 1000));
}

/* ---- structure ------------------------------------------------------------------------------- */

cfa__section *cfa__document_section(cfa__document *document, const char *name, const char *heading,
                                    cfa__layout layout, const char *empty) {
    cfa__section *section = take(document, sizeof *section);
    if (section == NULL)
        return NULL;
    *section = (cfa__section){ .name = name, .heading = heading, .layout = layout, .empty = empty };
    if (document->last != NULL)
        document->last->next = section;
    else
        document->first = section;
    document->last = section;
    return section;
}

cfa__item *cfa__document_item(cfa__document *document, cfa__section *section, const char *kind,
                              int64_t at_us, const char *title) {
    cfa__item *item = section == NULL ? NULL : take(document, sizeof *item);
    if (item == NULL)
        return NULL;
    *item = (cfa__item){ .kind = kind, .at_us = at_us, .title = title };
    item->number = section->count++;
    if (section->last != NULL)
        section->last->next = item;
    else
        section->first = item;
    section->last = item;
    return item;
}

static bool precedes(const cfa__item *a, const cfa__item *b) {
    if (a->at_us != b->at_us)
        return a->at_us < b->at_us;
    return a->rank != b->rank ? a->rank < b->rank : a->number < b->number;
}

static cfa__item *merge(cfa__item *a, cfa__item *b) {
    cfa__item head = { .next = NULL }, *last = &head;
    while (a != NULL && b != NULL) {
        cfa__item **from = precedes(b, a) ? &b : &a;
        last->next = *from;
        last = *from;
        *from = (*from)->next;
    }
    last->next = a != NULL ? a : b;
    return head.next;
}

/* Merge sort from the bottom: `runs[i]` is empty or 2^i items long. */
void cfa__document_sort(cfa__document *document, cfa__section *section) {
    cfa__item *runs[32] = { NULL };
    (void)document;
    if (section == NULL)
        return;
    for (cfa__item *item = section->first; item != NULL;) {
        cfa__item *run = item;
        item = item->next;
        run->next = NULL;
        size_t level = 0;
        for (; runs[level] != NULL; level++) {
            run = merge(runs[level], run);
            runs[level] = NULL;
        }
        runs[level] = run;
    }
    cfa__item *all = NULL;
    for (size_t level = 0; level < sizeof runs / sizeof runs[0]; level++)
        all = merge(runs[level], all);
    section->first = section->last = all;
    while (section->last != NULL && section->last->next != NULL)
        section->last = section->last->next;
}

/* ---- fields ---------------------------------------------------------------------------------- */

static cfa__field *add(cfa__document *document, cfa__fields *fields, const char *name,
                       const char *label, cfa__field_type type) {
    cfa__field *field = fields == NULL ? NULL : take(document, sizeof *field);
    if (field == NULL)
        return NULL;
    *field = (cfa__field){ .name = name, .label = label, .type = type };
    if (fields->last != NULL)
        fields->last->next = field;
    else
        fields->first = field;
    fields->last = field;
    return field;
}

void cfa__show_slice(cfa__document *document, cfa__fields *fields, const char *name,
                     const char *label, cfa_slice text) {
    cfa__field *field = add(document, fields, name, label, CFA__SHOW_TEXT);
    if (field != NULL && text.data != NULL)
        field->text = cfa__document_text(document, text);
}

void cfa__show_text(cfa__document *document, cfa__fields *fields, const char *name,
                    const char *label, const char *text) {
    cfa_slice slice = { text, text == NULL ? 0 : strlen(text) };
    cfa__show_slice(document, fields, name, label, slice);
}

void cfa__show_id(cfa__document *document, cfa__fields *fields, const char *name, const char *label,
                  const char *prefix, cfa__id id) {
    cfa__show_text(document, fields, name, label,
                   cfa__id_is_null(id) ? NULL : cfa__document_id(document, prefix, id));
}

static void show_number(cfa__document *document, cfa__fields *fields, const char *name,
                        const char *label, cfa__field_type type, int64_t number) {
    cfa__field *field = add(document, fields, name, label, type);
    if (field != NULL)
        field->number = number;
}

void cfa__show_int(cfa__document *document, cfa__fields *fields, const char *name,
                   const char *label, int64_t number) {
    show_number(document, fields, name, label, CFA__SHOW_INT, number);
}

void cfa__show_bool(cfa__document *document, cfa__fields *fields, const char *name,
                    const char *label, bool value) {
    show_number(document, fields, name, label, CFA__SHOW_BOOL, value);
}

void cfa__show_time(cfa__document *document, cfa__fields *fields, const char *name,
                    const char *label, int64_t at_us) {
    show_number(document, fields, name, label, CFA__SHOW_TIME, at_us);
}

void cfa__show_money(cfa__document *document, cfa__fields *fields, const char *name,
                     const char *label, int64_t minor, const char *currency) {
    cfa__field *field = add(document, fields, name, label, CFA__SHOW_MONEY);
    if (field == NULL)
        return;
    field->number = minor;
    memcpy(field->currency, currency, sizeof field->currency);
    field->text = cfa__document_money(document, minor, currency);
}

void cfa__show_raw(cfa__document *document, cfa__fields *fields, const char *name,
                   const char *label, cfa_slice json) {
    cfa__field *field = add(document, fields, name, label, CFA__SHOW_RAW);
    if (field == NULL || json.data == NULL)
        return;
    char *copy = cfa_arena_copy(document->arena, json.data, json.size);
    document->failed = document->failed || copy == NULL;
    field->text = copy;
}

cfa__field *cfa__show_list(cfa__document *document, cfa__fields *fields, const char *name,
                           const char *label) {
    return add(document, fields, name, label, CFA__SHOW_LIST);
}

void cfa__show_entry(cfa__document *document, cfa__field *list, const char *text) {
    cfa__text_list *entry = list == NULL ? NULL : take(document, sizeof *entry);
    if (entry == NULL)
        return;
    cfa_slice given = { text, strlen(text) };
    *entry = (cfa__text_list){ NULL, cfa__document_text(document, given) };
    if (list->end != NULL)
        list->end->next = entry;
    else
        list->list = entry;
    list->end = entry;
}

/* ---- writing --------------------------------------------------------------------------------- */

bool cfa__field_is_shown(const cfa__field *field) {
    if (field->label == NULL)
        return false;
    switch (field->type) {
    case CFA__SHOW_TEXT:
    case CFA__SHOW_RAW: return field->text != NULL && field->text[0] != '\0';
    case CFA__SHOW_TIME:
    case CFA__SHOW_BOOL: return field->number != 0;
    case CFA__SHOW_LIST: return field->list != NULL;
    default: return true;
    }
}

void cfa__field_write(cfa__buffer *out, const cfa__field *field) {
    char time[28];
    switch (field->type) {
    case CFA__SHOW_INT: cfa__buffer_int(out, field->number); break;
    case CFA__SHOW_BOOL: cfa__buffer_text(out, field->number != 0 ? "yes" : "no"); break;
    case CFA__SHOW_TIME:
        cfa__time_format(time, field->number);
        if (field->number != 0) { /* as people write it, to the second */
            cfa__buffer_append(out, time, 10);
            cfa__buffer_text(out, " ");
            cfa__buffer_append(out, time + 11, 8);
        }
        cfa__buffer_text(out, field->number == 0 ? "-" : " UTC");
        break;
    case CFA__SHOW_LIST:
        for (const cfa__text_list *entry = field->list; entry != NULL; entry = entry->next) {
            cfa__buffer_text(out, entry->text);
            if (entry->next != NULL)
                cfa__buffer_text(out, ", ");
        }
        if (field->list == NULL)
            cfa__buffer_text(out, "-");
        break;
    default: cfa__buffer_text(out, field->text != NULL ? field->text : "-"); break;
    }
}

cfa_status cfa__document_write(char **out_text, const cfa__document *document,
                               cfa_explain_format format) {
    cfa_arena *arena;
    cfa_slice made;
    if (format < CFA_EXPLAIN_TEXT || format > CFA_EXPLAIN_HTML)
        return cfa_error_set(CFA_EINVAL, ORIGIN, "format", 0,
                             "format must be a CFA_EXPLAIN_ value");
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    cfa__buffer buffer;
    cfa__buffer_init(&buffer, arena, 16384);
    if (format == CFA_EXPLAIN_JSON)
        cfa__document_write_json(&buffer, document);
    else if (format == CFA_EXPLAIN_HTML)
        cfa__document_write_html(&buffer, document);
    else
        cfa__document_write_text(&buffer, document);
    status = cfa__buffer_finish(&buffer, &made);
    char *copy = NULL;
    if (status == CFA_OK) {
        copy = cfa_alloc(made.size + 1);
        if (copy == NULL)
            status = cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for the document");
    }
    if (status == CFA_OK) {
        memcpy(copy, made.data, made.size + 1);
        *out_text = copy;
    }
    cfa_arena_free(arena);
    return status;
}
