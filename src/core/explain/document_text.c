/*
 * document_text.c - a document for a terminal: at most 100 columns, aligned, no escape sequences.
 * A code point counts as one column.
 */
#include "core/explain/document.h"

#include <string.h>

#include "util/text.h"

#define COLUMNS 100
#define LABEL_COLUMN 2
#define VALUE_COLUMN 20
#define KIND_COLUMN 19
#define TITLE_COLUMN 31

struct pen {
    cfa__buffer *out;
    size_t column;
};

static void newline(struct pen *pen) {
    cfa__buffer_text(pen->out, "\n");
    pen->column = 0;
}

/* The number of code points in the first `size` bytes. */
static size_t width(const char *text, size_t size) {
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

/* The bytes of the first `columns` code points. */
static size_t bytes_of(const char *text, size_t size, size_t columns) {
    size_t count = 0, i = 0;
    while (i < size) {
        if (((unsigned char)text[i] & 0xc0) != 0x80 && count++ == columns)
            break;
        i++;
    }
    return i;
}

static void put(struct pen *pen, const char *text, size_t size) {
    cfa__buffer_append(pen->out, text, size);
    pen->column += width(text, size);
}

static void put_text(struct pen *pen, const char *text) { put(pen, text, strlen(text)); }

static void move_to(struct pen *pen, size_t column) {
    while (pen->column < column)
        put(pen, " ", 1);
}

/* Words from here on, wrapped at `left`; a word that fits no line is broken. */
static void put_words(struct pen *pen, size_t left, const char *text) {
    bool first = true;
    while (*text != '\0') {
        text += strspn(text, " ");
        size_t size = strcspn(text, " ");
        while (size > 0) {
            size_t columns = width(text, size), gap = first ? 0 : 1;
            if (pen->column + gap + columns > COLUMNS && pen->column > left) {
                newline(pen);
                move_to(pen, left);
                first = true;
                continue;
            }
            if (gap != 0)
                put(pen, " ", 1);
            size_t room = COLUMNS - pen->column;
            size_t taken = columns > room ? bytes_of(text, size, room) : size;
            put(pen, text, taken);
            text += taken;
            size -= taken;
            first = false;
        }
    }
}

static void put_field_words(struct pen *pen, size_t left, const cfa__field *field) {
    cfa__buffer value;
    cfa_slice made;
    cfa__buffer_init(&value, pen->out->arena, 64);
    cfa__field_write(&value, field);
    if (cfa__buffer_finish(&value, &made) == CFA_OK)
        put_words(pen, left, made.data);
    else
        pen->out->failed = true;
}

static void put_table(struct pen *pen, const cfa__fields *fields, size_t left) {
    for (const cfa__field *field = fields->first; field != NULL; field = field->next) {
        if (!cfa__field_is_shown(field))
            continue;
        move_to(pen, left);
        put_text(pen, field->label);
        move_to(pen, left + VALUE_COLUMN - LABEL_COLUMN);
        if (pen->column >= left + VALUE_COLUMN - LABEL_COLUMN)
            put(pen, " ", 1);
        put_field_words(pen, left + VALUE_COLUMN - LABEL_COLUMN, field);
        newline(pen);
    }
}

/* "label value; label value", wrapped: the details of a line of time. */
static void put_details(struct pen *pen, const cfa__item *item) {
    cfa__buffer line;
    cfa_slice made;
    bool first = true;
    cfa__buffer_init(&line, pen->out->arena, 256);
    for (const cfa__field *field = item->fields.first; field != NULL; field = field->next) {
        if (!cfa__field_is_shown(field))
            continue;
        if (!first)
            cfa__buffer_text(&line, "; ");
        first = false;
        cfa__buffer_text(&line, field->label);
        cfa__buffer_text(&line, " ");
        cfa__field_write(&line, field);
    }
    if (first)
        return;
    if (cfa__buffer_finish(&line, &made) != CFA_OK) {
        pen->out->failed = true;
        return;
    }
    move_to(pen, TITLE_COLUMN);
    put_words(pen, TITLE_COLUMN, made.data);
    newline(pen);
}

static const char *sign_of(cfa__tone tone) {
    return tone == CFA__TONE_BAD ? "!" : tone == CFA__TONE_WAITING ? "~" : " ";
}

static void put_timeline(struct pen *pen, const cfa__section *section) {
    char day[11] = "", time[28];
    for (const cfa__item *item = section->first; item != NULL; item = item->next) {
        cfa__time_format(time, item->at_us);
        if (memcmp(day, time, 10) != 0) {
            memcpy(day, time, 10);
            put_text(pen, day);
            newline(pen);
        }
        put(pen, item->marked ? ">" : " ", 1);
        put_text(pen, sign_of(item->tone));
        put(pen, time + 11, 15);
        move_to(pen, KIND_COLUMN);
        put_text(pen, item->kind);
        move_to(pen, TITLE_COLUMN - 1);
        put(pen, " ", 1);
        put_words(pen, TITLE_COLUMN, item->title);
        newline(pen);
        if (item->note != NULL && item->note[0] != '\0') {
            move_to(pen, TITLE_COLUMN);
            put_words(pen, TITLE_COLUMN, item->note);
            newline(pen);
        }
        put_details(pen, item);
    }
}

static void put_cards(struct pen *pen, const cfa__section *section) {
    for (const cfa__item *item = section->first; item != NULL; item = item->next) {
        put_text(pen, item->marked ? ">" : " ");
        put_text(pen, sign_of(item->tone));
        put_words(pen, LABEL_COLUMN, item->title);
        newline(pen);
        put_table(pen, &item->fields, LABEL_COLUMN + 2);
        if (item->next != NULL)
            newline(pen);
    }
}

void cfa__document_write_text(cfa__buffer *out, const cfa__document *document) {
    struct pen pen = { out, 0 };
    put_words(&pen, 0, document->title);
    newline(&pen);
    put_words(&pen, 0, document->summary);
    newline(&pen);
    if (document->fields.first != NULL)
        newline(&pen);
    put_table(&pen, &document->fields, LABEL_COLUMN);
    for (const cfa__section *section = document->first; section != NULL; section = section->next) {
        if (section->first == NULL && section->empty == NULL)
            continue;
        newline(&pen);
        put_text(&pen, section->heading);
        newline(&pen);
        if (section->first == NULL) {
            move_to(&pen, LABEL_COLUMN);
            put_words(&pen, LABEL_COLUMN, section->empty);
            newline(&pen);
        } else if (section->layout == CFA__TIMELINE) {
            put_timeline(&pen, section);
        } else {
            put_cards(&pen, section);
        }
    }
}
