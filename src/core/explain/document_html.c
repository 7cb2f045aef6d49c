/*
 * document_html.c - a document as one HTML page: inline style, no script, nothing that is loaded,
 * readable in light and dark and on paper. Every text is escaped.
 */
#include "core/explain/document.h"

#include <string.h>

#include "util/text.h"

/* clang-format off */
static const char style[] =
    ":root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1c2530;--dim:#5d6b7a;"
    "--line:#dfe4ea;--soft:#eef1f5;--good:#1a7f4b;--waiting:#9a6400;--bad:#b3261e;--plain:#66788a;"
    "--mark:#fff6d6}"
    "@media(prefers-color-scheme:dark){:root{--page:#12161b;--card:#1b2128;--ink:#e6eaef;"
    "--dim:#9aa7b4;--line:#303944;--soft:#242c35;--good:#5fc98f;--waiting:#e3ae4a;--bad:#ff8a80;"
    "--plain:#8fa0b2;--mark:#3a3318}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--page);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}"
    "main{max-width:60rem;margin:0 auto;padding:2rem 1.25rem 4rem}"
    "h1{font-size:1.55rem;line-height:1.25;margin:0 0 .4rem;overflow-wrap:anywhere}"
    "h2{font-size:.82rem;letter-spacing:.07em;text-transform:uppercase;color:var(--dim);"
    "margin:2.2rem 0 .7rem;font-weight:650}"
    "p{margin:.2rem 0;overflow-wrap:anywhere}"
    ".summary{font-size:1.06rem;max-width:46rem}"
    ".state{display:inline-block;font-size:.78rem;font-weight:650;letter-spacing:.04em;"
    "border:1.5px solid currentColor;border-radius:99px;padding:.05rem .7rem;margin-bottom:.7rem}"
    ".good{color:var(--good)}.waiting{color:var(--waiting)}.bad{color:var(--bad)}"
    ".plain{color:var(--plain)}"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:10px;"
    "padding:.9rem 1.1rem;margin:.6rem 0}"
    ".card>.title{font-weight:600}"
    "dl{display:grid;grid-template-columns:minmax(8rem,max-content) minmax(0,1fr);"
    "gap:.15rem 1.2rem;margin:.35rem 0 0;font-size:.92rem}"
    "dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}"
    "dd.data{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
    "font-size:.86em;line-height:1.7}"
    "ol{list-style:none;margin:0;padding:0}"
    ".day{color:var(--dim);font-weight:600;font-size:.9rem;padding:1rem 0 .5rem 9.4rem}"
    ".day:first-child{padding-top:0}"
    ".step{display:grid;grid-template-columns:8rem 1.4rem minmax(0,1fr);position:relative}"
    ".step time{color:var(--dim);font-size:.86rem;text-align:right;padding-right:.8rem;"
    "font-variant-numeric:tabular-nums;line-height:1.7}"
    ".step .dot{position:relative}"
    ".step .dot::before{content:'';position:absolute;left:.3rem;top:0;bottom:0;width:2px;"
    "background:var(--line)}"
    ".step .dot::after{content:'';position:absolute;left:0;top:.45rem;width:.75rem;height:.75rem;"
    "border-radius:50%;background:currentColor;border:2px solid var(--page)}"
    ".step .what{padding:0 0 .75rem .6rem}"
    ".step .kind{display:inline-block;font-size:.74rem;font-weight:650;letter-spacing:.03em;"
    "color:var(--dim);background:var(--soft);border-radius:4px;padding:0 .45rem;margin-right:.5rem}"
    ".step .title{overflow-wrap:anywhere}"
    ".step .note{color:var(--dim);font-size:.93rem;overflow-wrap:anywhere}"
    ".step.asked .what{background:var(--mark);border-radius:8px;padding:.35rem .6rem .6rem;"
    "margin-bottom:.7rem}"
    "summary{cursor:pointer;list-style:none}summary::-webkit-details-marker{display:none}"
    "summary .title::after{content:' \\25b8';color:var(--dim);font-size:.8em}"
    "details[open] summary .title::after{content:' \\25be'}"
    "summary:focus-visible{outline:2px solid var(--plain);outline-offset:3px;border-radius:4px}"
    "ul{margin:.3rem 0;padding-left:1.2rem}"
    "footer{margin-top:3rem;color:var(--dim);font-size:.85rem}"
    "@media(max-width:40rem){.step{grid-template-columns:1.4rem minmax(0,1fr)}"
    ".step time{grid-column:2;text-align:left;padding:0 0 0 .6rem}.step .dot{grid-column:1;"
    "grid-row:1/3}.step .what{grid-column:2}.day{padding-left:2rem}"
    "dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.3rem}}"
    "@media print{:root{color-scheme:light;--page:#fff;--card:#fff;--ink:#000;--dim:#444;"
    "--line:#bbb;--soft:#eee;--good:#005c2e;--waiting:#6b4500;--bad:#8c0d07;--plain:#444;"
    "--mark:#f2f2f2}body{font-size:10.5pt}main{max-width:none;padding:0}"
    ".step,.card{break-inside:avoid}summary .title::after{content:none!important}"
    "details::details-content{content-visibility:visible;display:block}"
    ".step .dot::after{-webkit-print-color-adjust:exact;print-color-adjust:exact}}";
/* clang-format on */

static void escape(cfa__buffer *out, const char *text) {
    while (*text != '\0') {
        size_t plain = strcspn(text, "&<>\"'");
        cfa__buffer_append(out, text, plain);
        text += plain;
        switch (*text) {
        case '&': cfa__buffer_text(out, "&amp;"); break;
        case '<': cfa__buffer_text(out, "&lt;"); break;
        case '>': cfa__buffer_text(out, "&gt;"); break;
        case '"': cfa__buffer_text(out, "&quot;"); break;
        case '\'': cfa__buffer_text(out, "&#39;"); break;
        default: return;
        }
        text++;
    }
}

/* `<open>text</close>`; both are markup of ours. */
static void element(cfa__buffer *out, const char *open, const char *text, const char *close) {
    cfa__buffer_text(out, open);
    escape(out, text);
    cfa__buffer_text(out, close);
}

static const char *tone_name(cfa__tone tone) {
    switch (tone) {
    case CFA__TONE_GOOD: return "good";
    case CFA__TONE_WAITING: return "waiting";
    case CFA__TONE_BAD: return "bad";
    default: return "plain";
    }
}

/* Ids, keys and JSON are for copying. */
static bool is_data(const cfa__field *field) {
    return field->type == CFA__SHOW_RAW || (field->type == CFA__SHOW_TEXT && field->text != NULL &&
                                            strchr(field->text, ' ') == NULL);
}

static void write_value(cfa__buffer *out, const cfa__field *field) {
    cfa__buffer value;
    cfa_slice made;
    cfa__buffer_init(&value, out->arena, 64);
    cfa__field_write(&value, field);
    if (cfa__buffer_finish(&value, &made) == CFA_OK)
        escape(out, made.data);
    else
        out->failed = true;
}

static int32_t count_shown(const cfa__fields *fields) {
    int32_t count = 0;
    for (const cfa__field *field = fields->first; field != NULL; field = field->next)
        count += cfa__field_is_shown(field);
    return count;
}

static void write_fields(cfa__buffer *out, const cfa__fields *fields) {
    if (count_shown(fields) == 0)
        return;
    cfa__buffer_text(out, "<dl>");
    for (const cfa__field *field = fields->first; field != NULL; field = field->next) {
        if (!cfa__field_is_shown(field))
            continue;
        element(out, "<dt>", field->label, "</dt>");
        cfa__buffer_text(out, is_data(field) ? "<dd class=\"data\">" : "<dd>");
        write_value(out, field);
        cfa__buffer_text(out, "</dd>");
    }
    cfa__buffer_text(out, "</dl>");
}

static void write_step(cfa__buffer *out, const cfa__item *item, const char *time) {
    cfa__buffer_text(out, item->marked ? "<li class=\"step asked\">" : "<li class=\"step\">");
    cfa__buffer_text(out, "<time datetime=\"");
    cfa__buffer_text(out, time);
    cfa__buffer_text(out, "\">");
    cfa__buffer_append(out, time + 11, 12); /* to the millisecond */
    cfa__buffer_text(out, "</time><span class=\"dot ");
    cfa__buffer_text(out, tone_name(item->tone));
    cfa__buffer_text(out, "\"></span><div class=\"what\">");
    bool more = count_shown(&item->fields) > 0;
    if (more)
        cfa__buffer_text(out, item->marked ? "<details open><summary>" : "<details><summary>");
    element(out, "<span class=\"kind\">", item->kind, "</span>");
    cfa__buffer_text(out, "<span class=\"title ");
    cfa__buffer_text(out, item->tone == CFA__TONE_PLAIN ? "" : tone_name(item->tone));
    element(out, "\">", item->title, "</span>");
    if (item->note != NULL && item->note[0] != '\0')
        element(out, "<div class=\"note\">", item->note, "</div>");
    if (more) {
        cfa__buffer_text(out, "</summary>");
        write_fields(out, &item->fields);
        cfa__buffer_text(out, "</details>");
    }
    cfa__buffer_text(out, "</div></li>\n");
}

static void write_timeline(cfa__buffer *out, const cfa__section *section) {
    char day[11] = "", time[28];
    cfa__buffer_text(out, "<ol>\n");
    for (const cfa__item *item = section->first; item != NULL; item = item->next) {
        cfa__time_format(time, item->at_us);
        if (memcmp(day, time, 10) != 0) {
            memcpy(day, time, 10);
            element(out, "<li class=\"day\">", day, " UTC</li>\n");
        }
        write_step(out, item, time);
    }
    cfa__buffer_text(out, "</ol>\n");
}

static void write_cards(cfa__buffer *out, const cfa__section *section) {
    for (const cfa__item *item = section->first; item != NULL; item = item->next) {
        cfa__buffer_text(out, "<div class=\"card\"><div class=\"title ");
        cfa__buffer_text(out, item->tone == CFA__TONE_PLAIN ? "" : tone_name(item->tone));
        element(out, "\">", item->title, "</div>");
        write_fields(out, &item->fields);
        cfa__buffer_text(out, "</div>\n");
    }
}

static void write_notes(cfa__buffer *out, const cfa__section *section) {
    cfa__buffer_text(out, "<ul>\n");
    for (const cfa__item *item = section->first; item != NULL; item = item->next) {
        element(out, "<li>", item->title, "");
        write_fields(out, &item->fields);
        cfa__buffer_text(out, "</li>\n");
    }
    cfa__buffer_text(out, "</ul>\n");
}

static void write_section(cfa__buffer *out, const cfa__section *section) {
    if (section->first == NULL && section->empty == NULL)
        return;
    element(out, "<section><h2>", section->heading, "</h2>\n");
    if (section->first == NULL)
        element(out, "<p>", section->empty, "</p>\n");
    else if (section->layout == CFA__TIMELINE)
        write_timeline(out, section);
    else if (section->layout == CFA__NOTES)
        write_notes(out, section);
    else
        write_cards(out, section);
    cfa__buffer_text(out, "</section>\n");
}

void cfa__document_write_html(cfa__buffer *out, const cfa__document *document) {
    cfa__buffer_text(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                          "<meta name=\"robots\" content=\"noindex\">"
                          "<meta name=\"referrer\" content=\"no-referrer\">"
                          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
                          "'none'; style-src 'unsafe-inline'\">");
    element(out, "<title>", document->title, "</title><style>");
    cfa__buffer_text(out, style);
    cfa__buffer_text(out, "</style></head>\n<body><main>\n<header>");
    if (document->state != NULL) {
        cfa__buffer_text(out, "<div class=\"state ");
        cfa__buffer_text(out, tone_name(document->tone));
        element(out, "\">", document->state, "</div>");
    }
    element(out, "<h1>", document->title, "</h1>\n");
    element(out, "<p class=\"summary\">", document->summary, "</p></header>\n");
    if (document->fields.first != NULL) {
        cfa__buffer_text(out, "<div class=\"card\">");
        write_fields(out, &document->fields);
        cfa__buffer_text(out, "</div>\n");
    }
    for (const cfa__section *section = document->first; section != NULL; section = section->next)
        write_section(out, section);
    cfa__buffer_text(out, "</main></body></html>\n");
}
