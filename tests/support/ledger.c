/*
 * ledger.c - see ledger.h. Every charge is one line, appended in one write: its idempotency key,
 * payment and amount. A repeat of a key appends the same line again and gets the same answer.
 */
#include "support/ledger.h"
#include "support/book.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_SIZE 128

struct charge {
    char key[80], payment_id[40];
    int64_t minor;
};

static cfa_status ledger_prepare(void *self, const cfa_call *call, cfa_arena *arena,
                                 cfa_slice *out_body) {
    (void)self;
    (void)call;
    (void)arena;
    *out_body = (cfa_slice){ "", 0 };
    return CFA_OK;
}

static char *read_all(const struct ledger *ledger, size_t *out_size) {
    struct stat stat;
    if (fstat(ledger->descriptor, &stat) != 0)
        return NULL;
    char *bytes = malloc((size_t)stat.st_size + 1);
    if (bytes == NULL)
        return NULL;
    ssize_t size = pread(ledger->descriptor, bytes, (size_t)stat.st_size, 0);
    *out_size = size > 0 ? (size_t)size : 0;
    bytes[*out_size] = '\0';
    return bytes;
}

static void tell(const char *key, cfa_money amount, cfa_arena *arena, cfa_reply *out) {
    char ref[96];
    int size = snprintf(ref, sizeof ref, "obj_%s", key);
    out->facts.ref = cfa_arena_copy(arena, ref, (size_t)size);
    if (out->facts.ref == NULL)
        return;
    out->outcome = CFA_OUTCOME_DONE;
    out->facts.amount = amount;
    out->facts.flags = CFA_FACT_SUCCEEDED;
    out->facts.captured_minor = amount.minor;
}

static void look_up(const struct ledger *ledger, const cfa_call *call, cfa_arena *arena,
                    cfa_reply *out) {
    size_t size;
    char *bytes = read_all(ledger, &size);
    if (bytes == NULL)
        return;
    out->outcome = CFA_OUTCOME_NOT_SENT;
    const char *found = strstr(bytes, call->payment_id);
    if (found != NULL) {
        char key[80];
        while (found > bytes && found[-1] != '\n')
            found--;
        must(sscanf(found, "%79s", key) == 1);
        tell(key, call->amount, arena, out);
    }
    free(bytes);
}

static void ledger_call(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    struct ledger *ledger = self;
    if (call->kind == CFA_CALL_LOOKUP) {
        look_up(ledger, call, arena, out);
        return;
    }
    if (call->kind == CFA_CALL_RETRIEVE) {
        tell(call->ref + strlen("obj_"), call->amount, arena, out);
        return;
    }
    if (call->kind != CFA_CALL_CREATE)
        return;
    char line[LINE_SIZE];
    int size = snprintf(line, sizeof line, "%s %s %" PRId64 "\n", call->idempotency_key,
                        call->payment_id, call->amount.minor);
    if (size >= LINE_SIZE || write(ledger->descriptor, line, (size_t)size) != size)
        return;
    int number = __atomic_add_fetch(&ledger->calls, 1, __ATOMIC_SEQ_CST);
    if (ledger->lose_every == 0 || number % ledger->lose_every != 0)
        tell(call->idempotency_key, call->amount, arena, out);
}

static const cfa_provider_ops ops = {
    .struct_size = sizeof ops,
    .name = "ledger",
    .capabilities = CFA_PROVIDER_LOOKUP_AUTHORITATIVE,
    .prepare = ledger_prepare,
    .call = ledger_call,
};

void ledger_open(struct ledger *ledger, const char *path) {
    memset(ledger, 0, sizeof *ledger);
    must(strlen(path) < sizeof ledger->path);
    memcpy(ledger->path, path, strlen(path) + 1);
    ledger->descriptor = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    must(ledger->descriptor >= 0);
    ledger->provider = (cfa_provider){ &ops, ledger };
}

void ledger_close(struct ledger *ledger) { close(ledger->descriptor); }

static int by_key(const void *a, const void *b) {
    return strcmp(((const struct charge *)a)->key, ((const struct charge *)b)->key);
}

static int by_payment(const void *a, const void *b) {
    return strcmp(((const struct charge *)a)->payment_id, ((const struct charge *)b)->payment_id);
}

struct ledger_books ledger_read(const struct ledger *ledger) {
    struct ledger_books books = { 0, 0, 0 };
    size_t size, count = 0;
    char *bytes = read_all(ledger, &size);
    must(bytes != NULL);
    struct charge *charges = calloc(size / 8 + 1, sizeof *charges);
    must(charges != NULL);
    for (char *line = strtok(bytes, "\n"); line != NULL; line = strtok(NULL, "\n"), count++) {
        struct charge *charge = &charges[count];
        must(sscanf(line, "%79s %39s %" SCNd64, charge->key, charge->payment_id, &charge->minor) ==
             3);
    }
    qsort(charges, count, sizeof *charges, by_key);
    size_t distinct = 0;
    for (size_t i = 0; i < count; i++) {
        if (distinct == 0 || by_key(&charges[distinct - 1], &charges[i]) != 0) {
            charges[distinct++] = charges[i];
            books.charged_minor += charges[distinct - 1].minor;
        }
    }
    books.objects = (int64_t)distinct;
    qsort(charges, distinct, sizeof *charges, by_payment);
    for (size_t i = 0; i < distinct; i++)
        books.payments += i == 0 || by_payment(&charges[i - 1], &charges[i]) != 0;
    free(charges);
    free(bytes);
    return books;
}
