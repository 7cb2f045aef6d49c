/*
 * bench_audit.c - an audit of a whole book against a plain scan of the same tables in the same run,
 * and the memory that it takes. The book is written through the storage interface, because only its
 * size matters: every payment was paid, told of by three webhooks and probed once.
 */
#include "bench/harness.h"

#include <careforall/audit.h>
#include <stdio.h>
#include <string.h>

#include "bench/apart.h"
#include "bench/paid_book.h"

#define RSS_MAX_MIB 256

static int64_t audit(const char *path) {
    cfa_storage storage;
    cfa_audit *report;
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    int64_t rows = 0;
    options.read_only = 1;
    bench_check(cfa_sqlite_storage_new(&storage, path, &options), path);
    bench_check(cfa_audit_storage(&report, &storage, NULL), "audit");
    if (cfa_audit_differences(report) != 0)
        bench_fail("audit", cfa_audit_text(report));
    for (int32_t i = 0; i < cfa__schema.kind_count; i++)
        rows += cfa_audit_rows(report, cfa__schema.kinds[i]->name);
    cfa_audit_free(report);
    storage.ops->close(storage.self);
    return rows;
}

static int64_t scan(const char *path) {
    return plain_scan(path, cfa__schema.kinds, cfa__schema.kind_count);
}

static int child(const char *what, const char *path) {
    int64_t began_ns = bench_now_ns();
    return apart_print(began_ns, strcmp(what, "--scan") == 0 ? scan(path) : audit(path));
}

int main(int argc, char **argv) {
    if (argc == 3 && (strcmp(argv[1], "--scan") == 0 || strcmp(argv[1], "--audit") == 0))
        return child(argv[1], argv[2]);
    bench_options options = bench_start(argc, argv);
    int64_t payments = options.rows != 0 ? options.rows : options.quick ? 20000 : 100000;
    int repetitions = payments > 1000000 ? 1 : options.repetitions;
    double ratios[BENCH_REPETITIONS_MAX], rss_mib[BENCH_REPETITIONS_MAX];
    apart plain = { 0, 0, 0 }, full = plain;
    char name_[96];
    bench_disk_use(BENCH_NATIVE);
    const char *path = bench_path("audit");
    const char *const arguments[] = { path, NULL };
    paid_book book = { .path = path, .form = PAID_BOOK_WHOLE, .payments = payments };
    int64_t began = bench_now_ns();
    int64_t written = paid_book_write(&book);
    bench_note("%lld payments, %lld rows written in %.0f s", (long long)payments,
               (long long)written, (double)(bench_now_ns() - began) / 1e9);
    for (int i = 0; i < repetitions; i++) {
        plain = apart_run(argv[0], "--scan", arguments);
        full = apart_run(argv[0], "--audit", arguments);
        ratios[i] = full.seconds / plain.seconds;
        rss_mib[i] = (double)full.rss_kib / 1024;
        /* The schema's own row apart, both have seen every row. */
        if (plain.rows != written || full.rows != written)
            bench_fail("rows", "the scan and the audit have not read the same");
    }
    snprintf(name_, sizeof name_, "audit / plain scan, %lld payments", (long long)payments);
    bench_report(name_, BENCH_NATIVE, "x", ratios, repetitions, BENCH_AT_MOST, 3);
    bench_report("peak memory of the audit", BENCH_NATIVE, "MiB", rss_mib, repetitions,
                 BENCH_AT_MOST, RSS_MAX_MIB);
    bench_note("audit %.1f s, scan %.1f s, %.2f million rows", full.seconds, plain.seconds,
               (double)written / 1e6);
    bench_remove(path);
    return bench_finish();
}
