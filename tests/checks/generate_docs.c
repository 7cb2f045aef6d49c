/*
 * generate_docs.c - writes docs/errors.md, payment-states.md, events.md and schema.md from the
 * library's own tables, so that they cannot say anything else. Usage: generate_docs DIRECTORY. It
 * must never write what depends on time, place or machine.
 */
#include "core/decide/event_registry.h"
#include "core/decide/payment_machine.h"
#include "core/decide/reversal_machine.h"
#include "core/records.h"
#include <careforall/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define GENERATED                                                                                  \
    "<!-- Written by tests/checks/generate_docs.c. Change the table in the code, then generate. "  \
    "-->\n\n"

/* ---- errors.md ------------------------------------------------------------------------------- */

typedef struct status_class {
    const char *name, *meaning, *advice;
} status_class;

static const status_class classes[] = {
    [CFA_CLASS_OK] = { "OK", "It is done, as durable as the function says.", "Go on." },
    [CFA_CLASS_INVALID] = { "INVALID", "The call is wrong. Nothing was done.",
                            "Fix the call; `field` of the error detail names what. A repeat fails "
                            "again." },
    [CFA_CLASS_PERMANENT] = { "PERMANENT", "The answer is no. Nothing was done.",
                              "Tell the user, or the operator. A repeat fails again." },
    [CFA_CLASS_CONFLICT] = { "CONFLICT", "Somebody else was first. Nothing was done.",
                             "Read again, then decide." },
    [CFA_CLASS_TRANSIENT] = { "TRANSIENT", "It certainly did not happen, and may work later.",
                              "Retry with the same key, after a growing pause." },
    [CFA_CLASS_IN_DOUBT] = { "IN_DOUBT", "It may have happened.",
                             "Repeat with the same key, which is safe for ever, or read. Never use "
                             "a new key." },
    [CFA_CLASS_INTERNAL] = { "INTERNAL", "The library or its data is not as it should be.",
                             "Report it with the error detail. CFA_ENOMEM alone may be retried." },
};

typedef struct status_row {
    const char *name;
    int code;
    const char *text;
} status_row;

static const status_row statuses[] = {
#define STATUS_ROW(name, code, text) { #name, code, text },
    CFA_STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
};

static void write_errors(FILE *out) {
    fputs("# Errors\n\n" GENERATED "Every function that can fail returns a `cfa_status`: 0 or a "
          "negative number. Its hundreds digit is the "
          "class, and\nthe class is what a caller switches on (`cfa_status_class_of`). "
          "`cfa_error_last` copies the "
          "detail of the thread's last\nfailure: origin, field, native code and one line.\n",
          out);
    for (size_t class = 0; class < COUNT(classes); class ++) {
        fprintf(out, "\n## %s\n\n%s %s\n\n| Code | Number | Meaning |\n| --- | ---: | --- |\n",
                classes[class].name, classes[class].meaning, classes[class].advice);
        for (size_t i = 0; i < COUNT(statuses); i++) {
            if (cfa_status_class_of(statuses[i].code) == (cfa_status_class) class)
                fprintf(out, "| `%s` | %d | %s |\n", statuses[i].name, statuses[i].code,
                        statuses[i].text);
        }
    }
}

/* ---- payment-states.md ----------------------------------------------------------------------- */

typedef struct state_row {
    const char *name, *text;
} state_row;

static const state_row states[] = { [0] = { "–", "" },
#define STATE_ROW(name, code, text) [code] = { #name, text },
                                    CFA_PAYMENT_STATE_MAP(STATE_ROW)
#undef STATE_ROW
};

static void write_mask(FILE *out, uint32_t mask) {
    const char *separator = "";
    for (size_t state = 0; state < COUNT(states); state++) {
        if ((mask >> state & 1u) == 0)
            continue;
        fprintf(out, "%s%s", separator, states[state].name);
        separator = ", ";
    }
    if (mask == 0)
        fputs("any", out);
}

static const char *event_name(cfa__event_type type) {
    switch (type) {
#define EVENT_NAME(symbol, number, version, name, doc)                                             \
    case number: return name;
        CFA__EVENT_MAP(EVENT_NAME)
#undef EVENT_NAME
    default: return "–";
    }
}

static void write_states(FILE *out) {
    fputs("## States\n\n"
          "*Settled* is what a waiting caller waits for; *final* is where the provider is no "
          "longer asked.\n\n"
          "| State | Number | Meaning | Settled | Final |\n| --- | ---: | --- | --- | --- |\n",
          out);
    for (size_t state = 1; state < COUNT(states); state++)
        fprintf(out, "| %s | %zu | %s | %s | %s |\n", states[state].name, state, states[state].text,
                cfa__payment_is_settled((cfa_payment_state)state) ? "yes" : "",
                cfa__payment_is_final((cfa_payment_state)state) ? "yes" : "");
}

static void write_rules(FILE *out) {
    size_t count;
    const cfa__payment_rule *rules = cfa__payment_rules(&count);
    fputs(
        "\n## Rules\n\n"
        "A rule in two rows has two targets. A step from a state to itself says that the amounts "
        "grew.\n\n"
        "| Rule | From | Trigger | To | Event | Remarks |\n| --- | --- | --- | --- | --- | --- |\n",
        out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "| %s | ", rules[i].id);
        write_mask(out, rules[i].from);
        fprintf(out, " | %s | %s | %s | %s |\n", rules[i].trigger,
                rules[i].to != 0 ? states[rules[i].to].name : "unchanged",
                event_name(rules[i].event), rules[i].doc);
    }
}

/* The single steps only: rules with implied steps are walks over these. */
static void write_diagram(FILE *out) {
    size_t count;
    const cfa__payment_rule *rules = cfa__payment_rules(&count);
    fputs("\n## Diagram\n\n```mermaid\nstateDiagram-v2\n", out);
    for (size_t i = 0; i < count; i++) {
        for (size_t from = 0; rules[i].from == rules[i].last && from < COUNT(states); from++) {
            if ((rules[i].from >> from & 1u) != 0 && from != (size_t)rules[i].to)
                fprintf(out, "    %s --> %s: %s\n", from == 0 ? "[*]" : states[from].name,
                        states[rules[i].to].name, rules[i].id);
        }
    }
    fputs("```\n", out);
}

/* Refunds and disputes: what leads to which state, whatever came before. */
static void write_reversals(FILE *out) {
    size_t count;
    const cfa__reversal_rule *rules = cfa__reversal_rules(&count);
    fputs("\n## Refunds and disputes\n\nEach refund and each dispute is told apart by the "
          "provider's id, never by "
          "its amount. Their states are\ncomputed from facts as well: a refund's FAILED is for "
          "ever, even after "
          "SUCCEEDED; a dispute stands where\nthe furthest report put it. Their money counts once "
          "the payment's is "
          "captured.\n\n| Rule | From | To | Trigger | Event | Note |\n|---|---|---|---|---|---|\n",
          out);
    for (size_t i = 0; i < count; i++) {
        const char *event = event_name(rules[i].event);
        fprintf(out, "| %s | %s | %s | %s | %s | %s |\n", rules[i].id,
                rules[i].from[0] != '\0' ? rules[i].from : "–",
                rules[i].to[0] != '\0' ? rules[i].to : "–", rules[i].trigger, event, rules[i].doc);
    }
}

static void write_payment_states(FILE *out) {
    fputs("# Payment states\n\n" GENERATED "The state of a payment is computed from facts, never "
          "assigned, so webhooks may arrive late, twice or in "
          "any order.\nThe log of transitions is still a legal walk: steps that no report named "
          "are written as "
          "*implied*.\n\n",
          out);
    write_states(out);
    fputs("\n## From facts to the state\n\n"
          "The first that holds:\n\n"
          "1. the provider reported success: COMPLETED\n"
          "2. something was captured: CAPTURED\n"
          "3. it expired, or was cancelled with the reason `abandoned`, `automatic`, `expired` or\n"
          "   `expired_uncaptured_charge`: EXPIRED\n"
          "4. it was cancelled: CANCELED\n"
          "5. funds are held: AUTHORIZED. A hold ends when one report says FAILED and names an "
          "authorized amount; the\n"
          "   decline of another attempt does not end it; a newer attempt can hold again\n"
          "6. the newest volatile fact: PROCESSING, REQUIRES_ACTION or FAILED\n"
          "7. else PENDING\n\n"
          "Durable facts (success, cancel, expiry, amounts held and captured) only grow. Volatile "
          "facts are ordered by "
          "attempt,\nthen by the provider's time; in a tie FAILED comes before REQUIRES_ACTION "
          "before PROCESSING, and "
          "the provider is asked.\n\n"
          "## Verdicts\n\n"
          "| Verdict | When |\n| --- | --- |\n"
          "| APPLIED | a fact is new |\n"
          "| STALE | nothing is new |\n"
          "| QUARANTINED | another amount, currency or provider object, or more held or captured "
          "than was asked for: "
          "only the flag *conflict* is set |\n"
          "| CONTRADICTION | a new hold reported for a time after the cancel, which is kept but "
          "moves no state |\n\n"
          "A capture above a known hold is applied, since the provider took the money, and sets "
          "*conflict* until a "
          "greater hold\nexplains it. Money and a cancel together set *late*, whichever came "
          "first.\n\n"
          "## Totals\n\n"
          "| State | Bucket |\n| --- | --- |\n"
          "| PENDING, REQUIRES_ACTION, PROCESSING | pledged: the amount asked for |\n"
          "| AUTHORIZED | authorized: the amount held |\n"
          "| CAPTURED, COMPLETED | raised: the amount captured |\n"
          "| FAILED, CANCELED, EXPIRED | none |\n"
          "| any, with the flag *held* | none |\n\n"
          "What is captured after a cancel, an expiry or the campaign's end is *late*. Under the "
          "rule `hold` it is *held*: the money\nis ours and every fact of it is known, but no "
          "total has it, from the first event on, until a person accepts it (L02)\nor gives it "
          "back. The rule is asked once, when the first money comes or what is there turns out to "
          "be late: more of it\nlater, another rule later, or a cancel after the acceptance hold "
          "nothing again. What is refunded or disputed while it is\nheld shows in the totals "
          "when it is accepted. Accepting what went back in full adds as much to refunded as to "
          "raised.\n",
          out);
    write_rules(out);
    write_diagram(out);
    write_reversals(out);
}

/* ---- events.md ------------------------------------------------------------------------------- */

static void write_events(FILE *out) {
    static const struct {
        cfa__event_type type;
        const char *doc;
    } events[] = {
#define EVENT_ROW(symbol, number, version, name, doc) { number, doc },
        CFA__EVENT_MAP(EVENT_ROW)
#undef EVENT_ROW
    };
    fputs("# Events\n\n" GENERATED "Every event is written in the transaction that caused it and "
          "leaves as a CloudEvents 1.0 JSON object with "
          "the type\nbelow. Numbers are what the database stores; they and the types are never "
          "used for anything "
          "else. Fields are only\nappended; a break is a `.v2` beside the `.v1`. Rules (P01 ...) "
          "are those of "
          "[payment-states.md](payment-states.md).\n\n"
          "| Number | Type | When |\n| ---: | --- | --- |\n",
          out);
    for (size_t i = 0; i < COUNT(events); i++)
        fprintf(out, "| %d | `%s` | %s |\n", (int)events[i].type,
                cfa__event_type_name(events[i].type), events[i].doc);
}

/* ---- schema.md ------------------------------------------------------------------------------- */

static const char *type_name(int32_t type) {
    switch (type) {
    case CFA_FIELD_INT: return "integer";
    case CFA_FIELD_ID: return "id, 16 bytes";
    case CFA_FIELD_TEXT: return "text";
    case CFA_FIELD_BYTES: return "bytes";
    case CFA_FIELD_CURRENCY: return "currency";
    default: return "?";
    }
}

static void write_kind(FILE *out, const cfa_kind *kind) {
    fprintf(out, "\n## cfa_%s\n\nKind %d, since version %d: %s.\n\n", kind->name, (int)kind->id,
            (int)kind->since, kind->doc);
    fputs("| Column | Type | Null | Since | Meaning |\n| --- | --- | --- | ---: | --- |\n", out);
    for (int32_t i = 0; i < kind->field_count; i++) {
        const cfa_field *field = &kind->fields[i];
        fprintf(out, "| `%s` | %s | %s | %d | %s |\n", field->name, type_name(field->type),
                (field->flags & CFA_FIELD_NULLABLE) != 0 ? "yes" : "", (int)field->since,
                field->doc);
    }
    fputs("\n| Index | Columns | Kind | Since |\n| --- | --- | --- | ---: |\n", out);
    for (int32_t i = 0; i < kind->index_count; i++) {
        const cfa_index *index = &kind->indexes[i];
        fprintf(out, "| %s | ", index->name);
        for (int32_t k = 0; k < index->field_count; k++)
            fprintf(out, "%s`%s`", k == 0 ? "" : ", ", kind->fields[index->fields[k]].name);
        fprintf(out, " | %s%s | %d |\n",
                i == 0                                   ? "primary key"
                : (index->flags & CFA_INDEX_UNIQUE) != 0 ? "unique"
                                                         : "ordered",
                (index->flags & CFA_INDEX_SPARSE) != 0 ? ", sparse" : "", (int)index->since);
    }
}

static void write_schema(FILE *out) {
    fprintf(out,
            "# Schema\n\n" GENERATED "Version %d. Every kind of record is described once, in "
            "src/core/records.h; from it come the tables of the "
            "databases,\nthe memory store and this page. Times (`_us`) are microseconds since 1970 "
            "in UTC, amounts "
            "(`_minor`) are in the\ncurrency's minor unit, ids that we make are UUIDv7. A sparse "
            "index leaves out rows "
            "whose first column in it is 0 or null.\n",
            (int)cfa__schema.version);
    for (int32_t i = 0; i < cfa__schema.kind_count; i++)
        write_kind(out, cfa__schema.kinds[i]);
}

/* ---- the program ----------------------------------------------------------------------------- */

static int write_page(const char *directory, const char *name, void (*write)(FILE *out)) {
    char path[4096];
    int size = snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *out = size > 0 && (size_t)size < sizeof(path) ? fopen(path, "wb") : NULL;
    if (out == NULL) {
        fprintf(stderr, "generate_docs: cannot write %s in %s\n", name, directory);
        return EXIT_FAILURE;
    }
    write(out);
    int failed = ferror(out);
    if (fclose(out) != 0 || failed) {
        fprintf(stderr, "generate_docs: writing %s failed\n", path);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*write)(FILE *out);
    } pages[] = {
        { "errors.md", write_errors },
        { "payment-states.md", write_payment_states },
        { "events.md", write_events },
        { "schema.md", write_schema },
    };
    if (argc != 2) {
        fprintf(stderr, "usage: generate_docs DIRECTORY\n");
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < COUNT(pages); i++) {
        if (write_page(argv[1], pages[i].name, pages[i].write) != EXIT_SUCCESS)
            return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
