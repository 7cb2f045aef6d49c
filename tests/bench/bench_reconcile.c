/*
 * bench_reconcile.c - a reconciliation of a whole book with the provider's exported files of it,
 * against a plain scan of the tables that it is about and a plain reading of the file, in the same
 * run; and the memory that it takes. Both sides agree, so that everything is looked at to its end.
 */
#include "bench/harness.h"

#include <careforall/adapters/stripe.h>
#include <careforall/reconcile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/apart.h"
#include "bench/exported.h"
#include "bench/paid_book.h"

#define RSS_MAX_MIB 256

/* Every table of which a reconciliation compares rows; all others of the book are empty. */
static const cfa_kind *const compared[] = { &cfa__payment_kind, &cfa__provider_object_kind,
                                            &cfa__refund_kind, &cfa__dispute_kind };

struct form {
    const char *name;
    int64_t (*write)(const char *path, const paid_book *book);
    int64_t (*read)(const char *path);
};

static const struct form forms[] = {
    { "csv", exported_csv, plain_csv },
    { "bare csv", exported_bare_csv, plain_csv },
    { "json", exported_json, plain_json },
};

static int64_t scan(const char *book, const char *file, const char *form) {
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(forms[i].name, form) == 0 && forms[i].read(file) == 0)
            bench_fail("read", file);
    }
    return plain_scan(book, compared, sizeof compared / sizeof compared[0]);
}

static int64_t reconcile(const char *book, const char *path, int64_t from_us, int64_t until_us) {
    cfa_storage storage;
    cfa_reconciliation *report;
    cfa_stripe_export *file;
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    cfa_reconcile_spec spec = CFA_RECONCILE_SPEC_INIT;
    options.read_only = 1;
    bench_check(cfa_stripe_export_open(&file, path), path);
    bench_check(cfa_sqlite_storage_new(&storage, book, &options), book);
    spec.next = cfa_stripe_export_next;
    spec.next_self = file;
    spec.from_us = from_us;
    spec.until_us = until_us;
    bench_check(cfa_reconcile_storage(&report, &storage, &spec), "reconcile");
    if (cfa_reconciliation_differences(report) != 0 || cfa_reconciliation_foreign(report) != 0)
        bench_fail("reconcile", cfa_reconciliation_text(report));
    int64_t objects = cfa_reconciliation_objects(report);
    cfa_reconciliation_free(report);
    storage.ops->close(storage.self);
    cfa_stripe_export_free(file);
    return objects;
}

static int child(char **argv) {
    int64_t began_ns = bench_now_ns();
    return apart_print(began_ns, strcmp(argv[1], "--scan") == 0
                                     ? scan(argv[2], argv[3], argv[6])
                                     : reconcile(argv[2], argv[3], strtoll(argv[4], NULL, 10),
                                                 strtoll(argv[5], NULL, 10)));
}

static void run(const char *program, const bench_options *options, const paid_book *book,
                int64_t rows, const struct form *form) {
    int repetitions = book->payments > 1000000 ? 1 : options->repetitions;
    double ratios[BENCH_REPETITIONS_MAX], rss_mib[BENCH_REPETITIONS_MAX];
    apart plain = { 0, 0, 0 }, full = plain;
    char name[96], from[24], until[24];
    struct stat about;
    const char *file = bench_path(form->name);
    const char *const arguments[] = { book->path, file, from, until, form->name, NULL };
    snprintf(from, sizeof from, "%lld", (long long)book->from_us);
    snprintf(until, sizeof until, "%lld",
             (long long)(book->from_us + book->payments * book->spacing_us));
    int64_t objects = form->write(file, book);
    if (stat(file, &about) != 0)
        bench_fail("stat", file);
    for (int i = 0; i < repetitions; i++) {
        plain = apart_run(program, "--scan", arguments);
        full = apart_run(program, "--reconcile", arguments);
        ratios[i] = full.seconds / plain.seconds;
        rss_mib[i] = (double)full.rss_kib / 1024;
        if (plain.rows != rows || full.rows != objects)
            bench_fail("rows", "the scan and the reconciliation have not read all");
    }
    snprintf(name, sizeof name, "reconcile %s / plain scan, %lld payments", form->name,
             (long long)book->payments);
    bench_report(name, BENCH_NATIVE, "x", ratios, repetitions, BENCH_AT_MOST, 3);
    snprintf(name, sizeof name, "peak memory of it, %s", form->name);
    bench_report(name, BENCH_NATIVE, "MiB", rss_mib, repetitions, BENCH_AT_MOST, RSS_MAX_MIB);
    bench_note("reconcile %.1f s, scan %.1f s, %.2f million rows, %.2f million objects in %.2f GB",
               full.seconds, plain.seconds, (double)rows / 1e6, (double)objects / 1e6,
               (double)about.st_size / 1e9);
    bench_remove(file);
}

int main(int argc, char **argv) {
    if (argc == 7 && (strcmp(argv[1], "--scan") == 0 || strcmp(argv[1], "--reconcile") == 0))
        return child(argv);
    bench_options options = bench_start(argc, argv);
    paid_book book = { .path = bench_path("compared"), .form = PAID_BOOK_COMPARED };
    book.payments = options.rows != 0 ? options.rows : options.quick ? 20000 : 100000;
    bench_disk_use(BENCH_NATIVE);
    int64_t began = bench_now_ns();
    int64_t rows = paid_book_write(&book);
    rows -= 2; /* the book's own row and the campaign's */
    bench_note("%lld payments, %lld rows written in %.0f s", (long long)book.payments,
               (long long)rows, (double)(bench_now_ns() - began) / 1e9);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (bench_wanted(&options, forms[i].name))
            run(argv[0], &options, &book, rows, &forms[i]);
    }
    bench_remove(book.path);
    return bench_finish();
}
