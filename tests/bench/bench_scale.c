/*
 * bench_scale.c - the cost of a pledge in a book of ten million against one of ten thousand, with
 * time-ordered keys and with opaque ones. The pledges that are there already are loaded by SQL, in
 * the order of their ids, because only their number matters.
 */
#include "bench/harness.h"
#include "util/id.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_ROWS 10000
#define SPACING_US 100 /* between two loaded pledges: time-ordered ids never collide */
#define IN_FLIGHT 256

static void must(sqlite3 *db, int code, const char *doing) {
    if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW) {
        bench_fail(doing, sqlite3_errmsg(db));
    }
}

/* ---- loading --------------------------------------------------------------------------------- */

/* A column of a loaded row that is not as in the pledge that serves as a pattern. */
enum { AS_PATTERN, OF_PLEDGE, OF_PAYMENT, OF_DONOR, OF_KEY, OF_EVENT, OF_POSITION, OF_TIME, ZERO };

struct column {
    const char *table, *name;
    int source;
};

static const struct column replaced[] = {
    { "cfa_key", "digest", OF_KEY },
    { "cfa_key", "resource_id", OF_PLEDGE },
    { "cfa_donor", "id", OF_DONOR },
    { "cfa_donor", "person_id", OF_DONOR },
    { "cfa_pledge", "id", OF_PLEDGE },
    { "cfa_pledge", "payment_id", OF_PAYMENT },
    { "cfa_pledge", "donor_id", OF_DONOR },
    { "cfa_payment", "id", OF_PAYMENT },
    { "cfa_payment", "pledge_id", OF_PLEDGE },
    { "cfa_payment", "person_id", OF_DONOR },
    { "cfa_transition", "payment_id", OF_PAYMENT },
    { "cfa_operation", "payment_id", OF_PAYMENT },
    { "cfa_operation", "due_us", ZERO }, /* done long ago */
    { "cfa_event", "position", OF_POSITION },
    { "cfa_event", "id", OF_EVENT },
    { "cfa_event", "subject_id", OF_PAYMENT },
};

static const char *const tables[] = { "cfa_key",     "cfa_donor",      "cfa_pledge",
                                      "cfa_payment", "cfa_transition", "cfa_operation",
                                      "cfa_event" };
#define TABLES (sizeof(tables) / sizeof(tables[0]))

struct table {
    sqlite3_stmt *insert;
    int sources[64];
    int columns;
};

static int source_of(const char *table, const char *column) {
    for (size_t i = 0; i < sizeof(replaced) / sizeof(replaced[0]); i++) {
        if (strcmp(replaced[i].table, table) == 0 && strcmp(replaced[i].name, column) == 0) {
            return replaced[i].source;
        }
    }
    return strcmp(column, "created_us") == 0 || strcmp(column, "updated_us") == 0 ? OF_TIME
                                                                                  : AS_PATTERN;
}

/* Prepare the insert of a table with everything bound to the newest row that an engine wrote
 * there. */
static void table_open(struct table *table, sqlite3 *db, const char *name) {
    char sql[512];
    sqlite3_stmt *pattern;
    snprintf(sql, sizeof(sql), "SELECT * FROM %s ORDER BY 1 DESC LIMIT 1", name);
    must(db, sqlite3_prepare_v2(db, sql, -1, &pattern, NULL), sql);
    must(db, sqlite3_step(pattern) == SQLITE_ROW ? SQLITE_OK : SQLITE_ERROR, "a pattern row");
    table->columns = sqlite3_column_count(pattern);
    int size = snprintf(sql, sizeof(sql), "INSERT INTO %s VALUES (?", name);
    for (int i = 1; i < table->columns; i++) {
        size += snprintf(sql + size, sizeof(sql) - (size_t)size, ",?");
    }
    snprintf(sql + size, sizeof(sql) - (size_t)size, ")");
    must(db, sqlite3_prepare_v2(db, sql, -1, &table->insert, NULL), sql);
    for (int i = 0; i < table->columns; i++) {
        table->sources[i] = source_of(name, sqlite3_column_name(pattern, i));
        sqlite3_bind_value(table->insert, i + 1, sqlite3_column_value(pattern, i));
    }
    sqlite3_finalize(pattern);
}

static void table_insert(struct table *table, sqlite3 *db, const cfa__id ids[OF_EVENT + 1],
                         int64_t position, int64_t time_us) {
    for (int i = 0; i < table->columns; i++) {
        int source = table->sources[i];
        if (source == OF_POSITION || source == OF_TIME || source == ZERO) {
            sqlite3_bind_int64(table->insert, i + 1,
                               source == ZERO      ? 0
                               : source == OF_TIME ? time_us
                                                   : position);
        } else if (source != AS_PATTERN) {
            sqlite3_bind_blob(table->insert, i + 1, ids[source].bytes, 16, SQLITE_STATIC);
        }
    }
    must(db, sqlite3_step(table->insert), "insert");
    sqlite3_reset(table->insert);
}

static uint64_t mix(uint64_t value) {
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static cfa__id id_at(int64_t time_us, uint64_t seed) {
    uint8_t random[10] = { 0 };
    uint64_t value = mix(seed);
    memcpy(random, &value, sizeof(value));
    return cfa__id_make(time_us, random);
}

/* The i-th of `rows` digests as opaque keys have them: all over the range, in ascending order. */
static cfa__id digest_at(int64_t i, int64_t rows) {
    cfa__id id;
    uint64_t stride = UINT64_MAX / (uint64_t)rows, random = mix((uint64_t)i);
    uint64_t high = stride * (uint64_t)i + random % stride, low = mix(random);
    for (int byte = 0; byte < 8; byte++) {
        id.bytes[byte] = (uint8_t)(high >> (56 - 8 * byte));
        id.bytes[8 + byte] = (uint8_t)(low >> (8 * byte));
    }
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x80);
    return id;
}

/* Load rows; `what`: all tables, or the keys alone, opaque this time. */
static void load(const char *path, int64_t rows, bool only_opaque_keys) {
    sqlite3 *db;
    struct table loaded[TABLES];
    int64_t from_us = bench_wall_us() - rows * SPACING_US - INT64_C(60000000);
    must(NULL, sqlite3_open(path, &db), path);
    must(db,
         sqlite3_exec(db,
                      "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-400000;"
                      "PRAGMA locking_mode=EXCLUSIVE",
                      NULL, NULL, NULL),
         "PRAGMA");
    for (size_t t = 0; t < (only_opaque_keys ? 1 : TABLES); t++) {
        table_open(&loaded[t], db, tables[t]);
        /* What the engine itself wrote is newer than all that is loaded, but for the log. */
        int64_t position = 1000000000;
        must(db, sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), "BEGIN");
        if (only_opaque_keys) {
            must(db, sqlite3_exec(db, "DELETE FROM cfa_key", NULL, NULL, NULL), "DELETE");
        }
        for (int64_t i = 0; i < rows; i++) {
            int64_t time_us = from_us + i * SPACING_US;
            cfa__id ids[OF_EVENT + 1];
            for (uint64_t id = OF_PLEDGE; id <= OF_EVENT; id++) {
                ids[id] = id_at(time_us, (uint64_t)i * 8 + id);
            }
            if (only_opaque_keys) {
                ids[OF_KEY] = digest_at(i, rows);
            }
            table_insert(&loaded[t], db, ids, position + i, time_us);
        }
        must(db, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), "COMMIT");
        sqlite3_finalize(loaded[t].insert);
    }
    must(db, sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL), "PRAGMA");
    sqlite3_close(db);
}

/* A book with one engine-made pledge as pattern. */
static void book_make(bench_book *book, const char *name, int64_t rows) {
    bench_book_open(book, name, NULL);
    char(*keys)[BENCH_KEY_SIZE] = bench_keys(1, false);
    bench_run_polled(book, 1, keys, 1, NULL);
    free(keys);
    bench_book_close(book);
    load(book->path, rows, false);
}

/* ---- measuring ------------------------------------------------------------------------------- */

static double cost_us(bench_book *book, bool opaque, size_t count) {
    char(*keys)[BENCH_KEY_SIZE] = bench_keys(count, opaque);
    bench_run run = bench_run_polled(book, IN_FLIGHT, keys, count, NULL);
    free(keys);
    return 1e6 / run.per_second;
}

static void compare(const bench_options *options, const char *big_path, bool opaque, int64_t rows) {
    double ratios[BENCH_REPETITIONS_MAX], big_us[BENCH_REPETITIONS_MAX],
        small_us[BENCH_REPETITIONS_MAX];
    size_t count = options->quick ? 4000 : 30000;
    char name[96];
    bench_book big = { .path = big_path };
    bench_book_reopen(&big);
    cost_us(&big, opaque, count); /* warm up */
    for (int i = 0; i < options->repetitions; i++) {
        bench_book small;
        book_make(&small, "small", SMALL_ROWS);
        if (opaque) {
            load(small.path, SMALL_ROWS, true);
        }
        bench_book_reopen(&small);
        cost_us(&small, opaque, count / 4);
        small_us[i] = cost_us(&small, opaque, count);
        big_us[i] = cost_us(&big, opaque, count);
        ratios[i] = big_us[i] / small_us[i];
        bench_book_close(&small);
        bench_remove(small.path);
    }
    bench_book_close(&big);
    snprintf(name, sizeof(name), "cost of a pledge, %s keys, %lld / %d",
             opaque ? "opaque" : "ordered", (long long)rows, SMALL_ROWS);
    bench_report(name, BENCH_NATIVE, "x", ratios, options->repetitions,
                 opaque ? BENCH_INFORMATION : BENCH_AT_MOST, 1.5);
    bench_note("%.1f us against %.1f us for a pledge, 256 in flight",
               bench_median(big_us, options->repetitions),
               bench_median(small_us, options->repetitions));
}

int main(int argc, char **argv) {
    bench_options options = bench_start(argc, argv);
    int64_t rows = options.rows != 0 ? options.rows : options.quick ? 200000 : 10000000;
    bench_disk_use(BENCH_NATIVE);
    bench_book big;
    int64_t started = bench_now_ns();
    book_make(&big, "big", rows);
    bench_note("%lld pledges loaded in %.0f s", (long long)rows,
               (double)(bench_now_ns() - started) / 1e9);
    compare(&options, big.path, false, rows);
    load(big.path, rows, true);
    compare(&options, big.path, true, rows);
    bench_remove(big.path);
    return bench_finish();
}
