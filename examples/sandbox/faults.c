/*
 * faults.c - rates in parts per million and one-shot faults for the API and for webhooks. Draws in
 * a fixed order from a generator of its own, so a seed repeats a run; never touches the books.
 */
#include "faults.h"
#include "form.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum {
    NEXT_MAX = 256,
    PATTERN_BYTES = 128,
    MILLION = 1000000,
    COPIES_MAX = 20,
    DELAY_MS_MAX = 600000
};

enum {
    RESET_BEFORE,
    RESET_AFTER,
    RESET_MIDDLE,
    REPLY_LOST,
    ERROR_BEFORE,
    ERROR_AFTER,
    RATE_LIMITED,
    UNAVAILABLE,
    DRIP,
    WEBHOOK_LOST,
    WEBHOOK_DUPLICATED,
    WEBHOOK_REORDERED,
    WEBHOOK_DELAYED,
    FAULT_COUNT
};
enum { FIRST_WEBHOOK = WEBHOOK_LOST };

static const char *const names[FAULT_COUNT] = {
    "reset_before",       "reset_after",       "reset_middle",   "reply_lost", "error_before",
    "error_after",        "rate_limited",      "unavailable",    "drip",       "webhook_lost",
    "webhook_duplicated", "webhook_reordered", "webhook_delayed"
};

enum { DELAY_MS, DRIP_MS, WEBHOOK_COPIES, WEBHOOK_DELAY_S, VALUE_COUNT };
static const char *const value_names[VALUE_COUNT] = { "delay_ms", "drip_ms", "webhook_copies",
                                                      "webhook_delay_s" };
static const int64_t value_limits[VALUE_COUNT] = { DELAY_MS_MAX, DELAY_MS_MAX, COPIES_MAX,
                                                   30 * 24 * 3600 };

typedef struct next_fault {
    int fault;
    int64_t delay_ms;
    char method[8], pattern[PATTERN_BYTES]; /* "": any; for webhooks the event's type */
} next_fault;

struct faults {
    sandbox *box;
    sandbox dice; /* only its random state is used */
    int64_t rate_ppm[FAULT_COUNT];
    int64_t values[VALUE_COUNT];
    int64_t counts[FAULT_COUNT];
    bool outage;
    next_fault next[NEXT_MAX];
    int next_count;
};

faults *faults_new(sandbox *box) {
    faults *f = must(calloc(1, sizeof *f));
    f->box = box;
    f->dice.random_state = random_next(box);
    f->values[DRIP_MS] = 2000;
    f->values[WEBHOOK_COPIES] = 5;
    f->values[WEBHOOK_DELAY_S] = 60;
    return f;
}

void faults_free(faults *f) { free(f); }

static int find(const char *const *list, int count, const char *name, size_t size) {
    for (int i = 0; i < count; i++)
        if (strlen(list[i]) == size && memcmp(list[i], name, size) == 0)
            return i;
    return -1;
}

/* "2%", "0.5%", "500ppm" or "500". */
static bool parse_rate(const char *text, int64_t *out) {
    char digits[24];
    size_t size = strlen(text), point = 0;
    bool percent = size && text[size - 1] == '%';
    if (percent)
        size--;
    else if (size > 3 && strcmp(text + size - 3, "ppm") == 0)
        size -= 3;
    if (!size || size >= sizeof digits)
        return false;
    memcpy(digits, text, size);
    digits[size] = 0;
    int64_t scale = percent ? 10000 : 1, fraction = 0;
    char *dot = strchr(digits, '.');
    if (dot) {
        point = strlen(dot + 1);
        if (!percent || point < 1 || point > 4 || !text_integer(dot + 1, &fraction) || fraction < 0)
            return false;
        for (; point < 4; point++)
            fraction *= 10;
        *dot = 0;
    }
    if (!text_integer(digits, out) || *out < 0 || *out > MILLION)
        return false;
    *out = *out * scale + fraction;
    return *out <= MILLION;
}

bool faults_flag(faults *f, const char *text) {
    const char *equals = strchr(text, '=');
    if (!equals)
        return false;
    size_t size = (size_t)(equals - text);
    if (size == 6 && text_starts(text, "outage")) {
        f->outage = strcmp(equals + 1, "on") == 0;
        return f->outage || strcmp(equals + 1, "off") == 0;
    }
    int at = find(value_names, VALUE_COUNT, text, size);
    if (at >= 0)
        return text_integer(equals + 1, &f->values[at]) && f->values[at] >= 0 &&
               f->values[at] <= value_limits[at];
    at = find(names, FAULT_COUNT, text, size);
    return at >= 0 && parse_rate(equals + 1, &f->rate_ppm[at]);
}

/* A one-shot fault that fits, taken out; the range tells API faults from those of webhooks. */
static bool take_next(faults *f, int low, int high, const char *method, const char *subject,
                      next_fault *out) {
    for (int i = 0; i < f->next_count; i++) {
        const next_fault *next = &f->next[i];
        if (next->fault < low || next->fault >= high)
            continue;
        if (method && *next->method && strcmp(next->method, method) != 0)
            continue;
        if (*next->pattern && fnmatch(next->pattern, subject, 0) != 0)
            continue;
        *out = *next;
        f->next_count--;
        memmove(&f->next[i], &f->next[i + 1], (size_t)(f->next_count - i) * sizeof *f->next);
        return true;
    }
    return false;
}

/* -1: none. */
static int draw(faults *f, int low, int high) {
    for (int i = low; i < high; i++)
        if (f->rate_ppm[i] && random_below(&f->dice, MILLION) < (uint32_t)f->rate_ppm[i])
            return i;
    return -1;
}

fault_plan faults_draw(faults *f, const char *method, const char *path) {
    fault_plan plan = { 0 };
    if (!text_starts(path, "/v1/") && !text_starts(path, "/v2/"))
        return plan;
    plan.delay_ms = (int)f->values[DELAY_MS];
    if (f->outage) {
        plan.reset_before = true;
        return plan;
    }
    next_fault next;
    int fault;
    /* A "next" of FAULT_COUNT is a mere delay; it stands for API requests too. */
    if (take_next(f, 0, FIRST_WEBHOOK, method, path, &next) ||
        take_next(f, FAULT_COUNT, FAULT_COUNT + 1, method, path, &next)) {
        fault = next.fault;
        plan.delay_ms = next.delay_ms ? (int)next.delay_ms : plan.delay_ms;
    } else
        fault = draw(f, 0, FIRST_WEBHOOK);
    if (fault >= 0 && fault < FAULT_COUNT)
        f->counts[fault]++;
    plan.reset_before = fault == RESET_BEFORE;
    plan.reset_after = fault == RESET_AFTER;
    plan.reset_middle = fault == RESET_MIDDLE;
    plan.reply_lost = fault == REPLY_LOST;
    plan.error_before = fault == ERROR_BEFORE;
    plan.error_after = fault == ERROR_AFTER;
    plan.rate_limited = fault == RATE_LIMITED;
    plan.unavailable = fault == UNAVAILABLE;
    plan.drip_ms = fault == DRIP ? (int)f->values[DRIP_MS] : 0;
    return plan;
}

webhook_fault faults_draw_webhook(faults *f, const char *type) {
    webhook_fault out = { .copies = 1 };
    next_fault next;
    int fault = take_next(f, FIRST_WEBHOOK, FAULT_COUNT, NULL, type, &next)
                    ? next.fault
                    : draw(f, FIRST_WEBHOOK, FAULT_COUNT);
    if (fault < 0)
        return out;
    f->counts[fault]++;
    out.lost = fault == WEBHOOK_LOST;
    if (fault == WEBHOOK_DUPLICATED)
        out.copies = (int)f->values[WEBHOOK_COPIES];
    if (fault == WEBHOOK_DELAYED)
        out.delay_ms = f->values[WEBHOOK_DELAY_S] * 1000;
    if (fault == WEBHOOK_REORDERED)
        out.delay_ms = 20 + (int64_t)random_below(&f->dice, 500);
    return out;
}

/* ---- the panel ------------------------------------------------------------------------------ */

json_t *faults_show(const faults *f) {
    json_t *rates = pack("{}"), *counts = pack("{}"), *next = pack("[]");
    for (int i = 0; i < FAULT_COUNT; i++) {
        doc_set_integer(rates, names[i], f->rate_ppm[i]);
        doc_set_integer(counts, names[i], f->counts[i]);
    }
    for (int i = 0; i < f->next_count; i++)
        json_array_append_new(
            next, pack("{s:s, s:s, s:s}", "fault",
                       f->next[i].fault < FAULT_COUNT ? names[f->next[i].fault] : "delay", "method",
                       f->next[i].method, "path", f->next[i].pattern));
    json_t *out = pack("{s:o, s:o, s:o, s:b}", "rates_ppm", rates, "happened", counts, "next", next,
                       "outage", (int)f->outage);
    for (int i = 0; i < VALUE_COUNT; i++)
        doc_set_integer(out, value_names[i], f->values[i]);
    return out;
}

static const char *add_next(faults *f, const json_t *item) {
    const char *name = json_is_string(item) ? json_string_value(item) : doc_string(item, "fault");
    const char *method = doc_string(item, "method"), *path = doc_string(item, "path");
    int64_t delay_ms = doc_integer(item, "delay_ms"), times = 1;
    if (json_object_get(item, "times"))
        times = doc_integer(item, "times");
    if (!path)
        path = doc_string(item, "type"); /* of a webhook's event */
    if (!name)
        return "next: give {\"fault\": NAME}";
    int fault = find(names, FAULT_COUNT, name, strlen(name));
    if (fault < 0 && strcmp(name, "delay") == 0)
        fault = FAULT_COUNT;
    if (fault < 0)
        return "next: no such fault";
    if (delay_ms < 0 || delay_ms > DELAY_MS_MAX || times < 1 || f->next_count + times > NEXT_MAX)
        return "next: delay_ms or times out of range";
    if ((method && strlen(method) >= 8) || (path && strlen(path) >= PATTERN_BYTES))
        return "next: method or path too long";
    for (int64_t i = 0; i < times; i++) {
        next_fault *next = &f->next[f->next_count++];
        *next = (next_fault){ .fault = fault, .delay_ms = delay_ms };
        format_text(next->method, sizeof next->method, "%s", method ? method : "");
        format_text(next->pattern, sizeof next->pattern, "%s", path ? path : "");
    }
    return NULL;
}

static const char *apply_one(faults *f, const char *name, const json_t *value) {
    int at = find(value_names, VALUE_COUNT, name, strlen(name));
    int64_t number = json_integer_value(value);
    if (at >= 0) {
        if (!json_is_integer(value) || number < 0 || number > value_limits[at])
            return "a value is out of range";
        f->values[at] = number;
        return NULL;
    }
    at = find(names, FAULT_COUNT, name, strlen(name));
    if (at < 0)
        return "no such fault";
    if (json_is_string(value))
        return parse_rate(json_string_value(value), &f->rate_ppm[at]) ? NULL : "not a rate";
    if (!json_is_integer(value) || number < 0 || number > MILLION)
        return "a rate is parts per million, 0 to 1000000, or a text such as \"2%\"";
    f->rate_ppm[at] = number;
    return NULL;
}

static const char *apply_all(faults *f, const json_t *wanted) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)wanted, name, value) {
        const char *problem = NULL;
        if (strcmp(name, "clear") == 0) {
            memset(f->rate_ppm, 0, sizeof f->rate_ppm);
            memset(f->counts, 0, sizeof f->counts);
            f->values[DELAY_MS] = 0;
            f->next_count = 0;
            f->outage = false;
        } else if (strcmp(name, "seed") == 0)
            f->dice.random_state = (uint64_t)json_integer_value(value);
        else if (strcmp(name, "outage") == 0)
            f->outage = json_is_true(value);
        else if (strcmp(name, "next") == 0) {
            size_t i;
            json_t *item;
            if (!json_is_array(value))
                problem = add_next(f, value);
            json_array_foreach(value, i, item) if (!problem) problem = add_next(f, item);
        } else
            problem = apply_one(f, name, value);
        if (problem)
            return problem;
    }
    return NULL;
}

/* All of it or nothing. */
const char *faults_apply(faults *f, const json_t *wanted) {
    faults *trial = must(malloc(sizeof *trial));
    *trial = *f;
    const char *problem = apply_all(trial, wanted);
    if (!problem)
        *f = *trial;
    free(trial);
    return problem;
}
