/*
 * explain/document.h - what explain and doctor have to say, as data: sections of items with typed
 * fields, and their three renderings. Knows nothing of donations; must never show a text that was
 * not cleaned on its way in.
 *
 * A failed allocation is remembered, not returned: build the whole document, then ask
 * `cfa__document_status` once.
 */
#ifndef CFA_CORE_EXPLAIN_DOCUMENT_H
#define CFA_CORE_EXPLAIN_DOCUMENT_H

#include <careforall/explain.h>
#include <careforall/money.h>
#include <stdbool.h>

#include "util/buffer.h"
#include "util/id.h"

/* How something stands: its colour, and nothing that is not also said in words. */
typedef enum cfa__tone {
    CFA__TONE_PLAIN,
    CFA__TONE_GOOD,
    CFA__TONE_WAITING,
    CFA__TONE_BAD
} cfa__tone;

typedef enum cfa__field_type {
    CFA__SHOW_TEXT,
    CFA__SHOW_INT,
    CFA__SHOW_BOOL,
    CFA__SHOW_TIME,
    CFA__SHOW_MONEY,
    CFA__SHOW_LIST, /* texts */
    CFA__SHOW_RAW   /* JSON of ours; shown as it is */
} cfa__field_type;

typedef struct cfa__text_list {
    struct cfa__text_list *next;
    const char *text;
} cfa__text_list;

typedef struct cfa__field {
    struct cfa__field *next;
    const char *name;  /* in JSON: stable */
    const char *label; /* for people; NULL: in JSON alone */
    cfa__field_type type;
    int64_t number; /* INT, BOOL, TIME; MONEY: minor units */
    char currency[4];
    const char *text;           /* TEXT, RAW; NULL: null */
    cfa__text_list *list, *end; /* LIST */
} cfa__field;

typedef struct cfa__fields {
    cfa__field *first, *last;
} cfa__fields;

typedef struct cfa__item {
    struct cfa__item *next;
    const char *kind;  /* a word, also in JSON: stable */
    const char *id;    /* or NULL */
    const char *title; /* a sentence for people */
    const char *note;  /* what stands under it at once, for people; NULL: nothing */
    cfa__tone tone;
    bool marked;    /* this is what was asked for */
    int64_t at_us;  /* 0: it has no time */
    int64_t rank;   /* order at one time */
    int64_t number; /* order at one rank */
    cfa__fields fields;
} cfa__item;

typedef enum cfa__layout { CFA__TIMELINE, CFA__CARDS, CFA__NOTES } cfa__layout;

typedef struct cfa__section {
    struct cfa__section *next;
    const char *name;    /* in JSON: stable */
    const char *heading; /* for people */
    cfa__layout layout;
    const char *empty; /* what to say when there is no item; NULL: leave it out */
    cfa__item *first, *last;
    int32_t count;
} cfa__section;

typedef struct cfa__document {
    cfa_arena *arena;
    const char *type;    /* "explain", "doctor": stable */
    const char *title;   /* of the page */
    const char *summary; /* sentences for people */
    const char *state;   /* one word, or NULL */
    cfa__tone tone;
    cfa__fields fields;
    cfa__section *first, *last;
    bool failed;
} cfa__document;

/* ---- building; every text is copied and cleaned ---------------------------------------------- */

void cfa__document_init(cfa__document *document, cfa_arena *arena, const char *type);
CFA_MUST_CHECK cfa_status cfa__document_status(const cfa__document *document);
cfa__section *cfa__document_section(cfa__document *document, const char *name, const char *heading,
                                    cfa__layout layout, const char *empty);
/* NULL when out of memory: every function below takes that. */
cfa__item *cfa__document_item(cfa__document *document, cfa__section *section, const char *kind,
                              int64_t at_us, const char *title);
/* By time, rank, number; what is equal stays in its order. */
void cfa__document_sort(cfa__document *document, cfa__section *section);

/* A cleaned text in the document's memory; "" when out of memory. */
const char *cfa__document_text(cfa__document *document, cfa_slice text);
const char *cfa__document_format(cfa__document *document, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
const char *cfa__document_id(cfa__document *document, const char *prefix, cfa__id id);
/* "12.50 EUR"; of a currency that is none, the number. */
const char *cfa__document_money(cfa__document *document, int64_t minor, const char *currency);
/* "3 days", "1 hour", "0.25 s": rounded down to what a person says. */
const char *cfa__document_duration(cfa__document *document, int64_t duration_us);

/* `fields` NULL: nothing is added. `label` NULL: only JSON has it. */
void cfa__show_text(cfa__document *document, cfa__fields *fields, const char *name,
                    const char *label, const char *text);
void cfa__show_slice(cfa__document *document, cfa__fields *fields, const char *name,
                     const char *label, cfa_slice text);
void cfa__show_id(cfa__document *document, cfa__fields *fields, const char *name, const char *label,
                  const char *prefix, cfa__id id);
void cfa__show_int(cfa__document *document, cfa__fields *fields, const char *name,
                   const char *label, int64_t number);
void cfa__show_bool(cfa__document *document, cfa__fields *fields, const char *name,
                    const char *label, bool value);
void cfa__show_time(cfa__document *document, cfa__fields *fields, const char *name,
                    const char *label, int64_t at_us);
void cfa__show_money(cfa__document *document, cfa__fields *fields, const char *name,
                     const char *label, int64_t minor, const char *currency);
void cfa__show_raw(cfa__document *document, cfa__fields *fields, const char *name,
                   const char *label, cfa_slice json);
/* An empty list, and its texts. */
cfa__field *cfa__show_list(cfa__document *document, cfa__fields *fields, const char *name,
                           const char *label);
void cfa__show_entry(cfa__document *document, cfa__field *list, const char *text);

/* ---- renderings ------------------------------------------------------------------------------ */

CFA_MUST_CHECK cfa_status cfa__document_write(char **out_text, const cfa__document *document,
                                              cfa_explain_format format);
void cfa__document_write_text(cfa__buffer *out, const cfa__document *document);
void cfa__document_write_json(cfa__buffer *out, const cfa__document *document);
void cfa__document_write_html(cfa__buffer *out, const cfa__document *document);
/* True for what is worth a line to people: nothing is not. */
bool cfa__field_is_shown(const cfa__field *field);
/* A field's value for people, without escaping. */
void cfa__field_write(cfa__buffer *out, const cfa__field *field);

#endif
