/*
 * stripe_ledger.c - lists of many objects, made as they are asked for.
 */
#define _GNU_SOURCE
#include "stripe_ledger.h"

#include <check.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_MAX 100

typedef struct place {
    int64_t created_s;
    int32_t index;         /* of the others, the newest is 0 */
    const ledger_odd *odd; /* or this one, which comes behind the others of its second */
} place;

/* The time of the n-th of the others, newest first. */
static int64_t created_of(const stripe_ledger *ledger, int32_t index) {
    return ledger->until_s - (ledger->until_s - ledger->from_s) * index / ledger->count;
}

static const ledger_odd *odd_named(const stripe_ledger *ledger, const char *id, size_t size) {
    for (size_t i = 0; i < ledger->odd_count; i++) {
        if (strlen(ledger->odd[i].id) == size && memcmp(ledger->odd[i].id, id, size) == 0) {
            return &ledger->odd[i];
        }
    }
    return NULL;
}

/* The next in the list; false at its end. */
static bool step(const stripe_ledger *ledger, place *at) {
    const ledger_odd *odd = NULL;
    int32_t index = at->odd == NULL ? at->index + 1 : at->index;
    for (size_t i = 0; i < ledger->odd_count; i++) {
        const ledger_odd *each = &ledger->odd[i];
        /* Behind what was listed last, and the newest of those. */
        bool behind = each->created_s < at->created_s ||
                      (each->created_s == at->created_s && (at->odd == NULL || each > at->odd));
        if (behind && (odd == NULL || each->created_s > odd->created_s)) {
            odd = each;
        }
    }
    bool more = index < ledger->count;
    if (odd != NULL && (!more || odd->created_s > created_of(ledger, index))) {
        *at = (place){ odd->created_s, index, odd };
        return true;
    }
    if (more) {
        *at = (place){ created_of(ledger, index), index, NULL };
    }
    return more;
}

static void write_object(FILE *out, const stripe_ledger *ledger, const place *at) {
    fprintf(out,
            "{\"object\":\"%s\",\"created\":%" PRId64 ",\"amount\":1250,\"amount_total\":1250,"
            "\"currency\":\"eur\",\"description\":\"%*s\",",
            ledger->kind, at->created_s, (int)ledger->padding, "");
    if (at->odd != NULL) {
        fprintf(out, "\"id\":\"%s\",%s\"metadata\":{\"payment_id\":\"%s\"}}", at->odd->id,
                at->odd->members, at->odd->payment_id);
    } else { /* half of them are another shop's */
        fprintf(out, "\"id\":\"obj_%d\",\"status\":\"succeeded\",\"metadata\":{\"%s\":\"pay_%d\"}}",
                (int)at->index, at->index % 2 == 0 ? "payment_id" : "order", (int)at->index);
    }
}

static int64_t number_of(const char *query, const char *name, int64_t otherwise) {
    const char *found = strstr(query, name);
    return found != NULL ? strtoll(found + strlen(name), NULL, 10) : otherwise;
}

static bool find_cursor(const stripe_ledger *ledger, const char *query, place *at) {
    static const char name[] = "starting_after=";
    const char *id = strstr(query, name);
    if (id == NULL) {
        return true;
    }
    id += sizeof name - 1;
    size_t size = strcspn(id, "& ");
    const ledger_odd *odd = odd_named(ledger, id, size);
    place reached = *at;
    while (step(ledger, &reached)) {
        if (odd != NULL ? reached.odd == odd
                        : reached.odd == NULL && size > 4 && reached.index == atoi(id + 4)) {
            *at = reached;
            return true;
        }
    }
    return false;
}

static void write_list(FILE *out, const stripe_ledger *ledger, const char *query) {
    int64_t from_s = number_of(query, "created[gte]=", 0);
    int64_t until_s = number_of(query, "created[lte]=", INT64_MAX);
    int64_t limit = number_of(query, "limit=", 10), count = 0;
    place at = { INT64_MAX, -1, NULL }, page[LIMIT_MAX];
    ck_assert(limit >= 1 && limit <= LIMIT_MAX);
    ck_assert(find_cursor(ledger, query, &at));
    bool more = step(ledger, &at);
    while (more && at.created_s > until_s) {
        more = step(ledger, &at);
    }
    while (more && at.created_s >= from_s && count < limit) {
        page[count++] = at;
        more = step(ledger, &at);
    }
    fputs("{\"object\":\"list\",\"data\":[", out);
    for (int64_t i = 0; i < count; i++) {
        fputs(i > 0 ? "," : "", out);
        /* The last stays the last, as the cursor. */
        bool turns = ledger->shuffled && i < count - 1;
        write_object(out, ledger, &page[turns ? count - 2 - i : i]);
    }
    fprintf(out, "],\"has_more\":%s}", more && at.created_s >= from_s ? "true" : "false");
}

char *ledger_serve(void *user, const char *request) {
    const stripe_ledger *ledger = user;
    char *text = NULL;
    size_t size = 0, path_size = strlen(ledger->path);
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    int status = 200;
    const char *path = strchr(request, ' ') + 1;
    bool ours = strncmp(path, ledger->path, path_size) == 0;
    if (ours && path[path_size] == '?') {
        const char *line_end = strchr(path, '\r');
        char *query = strndup(path + path_size, (size_t)(line_end - path) - path_size);
        write_list(out, ledger, query);
        free(query);
    } else if (ours && path[path_size] == '/') {
        const char *id = path + path_size + 1;
        const ledger_odd *odd = odd_named(ledger, id, strcspn(id, "? "));
        place at = { odd != NULL ? odd->created_s : 0, 0, odd };
        if (odd != NULL) {
            write_object(out, ledger, &at);
        } else {
            status = 404;
            fputs("{\"error\":{\"type\":\"invalid_request_error\"}}", out);
        }
    } else {
        fputs("{\"object\":\"list\",\"data\":[],\"has_more\":false}", out);
    }
    fclose(out);
    char *answer = peer_format(status, "", text);
    free(text);
    return answer;
}
