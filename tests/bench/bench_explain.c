/*
 * bench_explain.c - how long one donation's story takes in a book of ten million payments, of which
 * one in ten was paid, and what a checkup of that book costs. The rows are copied by SQL from one
 * donation that the engine took; the stories that are measured are of paid ones, all over the book.
 */
#include "bench/harness.h"
#include "util/id.h"

#include <careforall/explain.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPACING_US 1000     /* between two pledges */
#define PAID_LATER 30000    /* pledges between a donation's pledge and its payment: 30 s */
#define PAID_EACH 10        /* one of so many is paid */
#define CELLS_MAX 64        /* columns of a table */
#define PATTERN_ROWS_MAX 16 /* rows of a table for one donation */
#define STORIES 2000
#define COLD_STORIES 60
#define GOAL_MS 50

static void must(sqlite3 *db, int code, const char *doing) {
    if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW)
        bench_fail(doing, sqlite3_errmsg(db));
}

/* ---- the pattern ----------------------------------------------------------------------------- */

/* What a copied cell is for the n-th donation. */
enum cell {
    AS_PATTERN,
    OF_PLEDGE,
    OF_PAYMENT,
    OF_PERSON,
    OF_WEBHOOK, /* and a number: its cause */
    OF_EVENT,
    EVENT_NAME, /* the provider's */
    REF,
    POSITION,
    EARLY, /* a time of the pledge */
    LATE,  /* a time of the payment */
    CLOSED /* no call is due */
};

struct source {
    enum cell cell;
    int number;
};

struct row {
    sqlite3_stmt *insert;
    struct source sources[CELLS_MAX];
    int columns;
    int sequence; /* of an event */
};

struct table {
    const char *name, *key; /* the column that names the payment or pledge */
    bool all;               /* unpaid pledges have it, too: its first row */
    struct row rows[PATTERN_ROWS_MAX];
    int count;
};

static struct table tables[] = {
    { .name = "cfa_pledge", .key = "payment_id", .all = true },
    { .name = "cfa_answer", .key = "pledge_id" },
    { .name = "cfa_payment", .key = "id", .all = true },
    { .name = "cfa_transition", .key = "payment_id", .all = true },
    { .name = "cfa_operation", .key = "payment_id" },
    { .name = "cfa_provider_object", .key = "payment_id" },
    { .name = "cfa_webhook", .key = "payment_id" },
    { .name = "cfa_contribution", .key = "payment_id", .all = true },
    { .name = "cfa_event", .key = "subject_id", .all = true },
};
#define TABLES (sizeof tables / sizeof tables[0])

struct pattern {
    unsigned char payment[16], pledge[16], person[16];
    unsigned char webhooks[PATTERN_ROWS_MAX][16];
    int webhook_count;
    int64_t paid_us; /* times from here on are of the payment */
};

static bool is_id(sqlite3_stmt *row, int column, const unsigned char id[16]) {
    return sqlite3_column_type(row, column) == SQLITE_BLOB &&
           sqlite3_column_bytes(row, column) == 16 &&
           memcmp(sqlite3_column_blob(row, column), id, 16) == 0;
}

static struct source source_of(const struct pattern *pattern, const char *table, sqlite3_stmt *row,
                               int column) {
    const char *name = sqlite3_column_name(row, column);
    if (is_id(row, column, pattern->payment))
        return (struct source){ OF_PAYMENT, 0 };
    if (is_id(row, column, pattern->pledge))
        return (struct source){ OF_PLEDGE, 0 };
    if (is_id(row, column, pattern->person))
        return (struct source){ OF_PERSON, 0 };
    for (int i = 0; i < pattern->webhook_count; i++) {
        if (is_id(row, column, pattern->webhooks[i]))
            return (struct source){ OF_WEBHOOK, i };
    }
    if (strcmp(table, "cfa_event") == 0 && strcmp(name, "id") == 0)
        return (struct source){ OF_EVENT, 0 };
    if (strcmp(name, "event_id") == 0)
        return (struct source){ EVENT_NAME, 0 };
    if (strcmp(name, "ref") == 0)
        return (struct source){ REF, 0 };
    if (strcmp(name, "position") == 0)
        return (struct source){ POSITION, 0 };
    if (strcmp(name, "due_us") == 0)
        return (struct source){ CLOSED, 0 };
    size_t size = strlen(name);
    int64_t value = sqlite3_column_int64(row, column);
    if (size > 3 && strcmp(name + size - 3, "_us") == 0 && value > INT64_C(1000000000000))
        return (struct source){ value < pattern->paid_us ? EARLY : LATE, 0 };
    return (struct source){ AS_PATTERN, 0 };
}

static void row_open(struct row *out, const struct pattern *pattern, sqlite3 *db, const char *table,
                     sqlite3_stmt *from) {
    char sql[512];
    out->columns = sqlite3_column_count(from);
    int size = snprintf(sql, sizeof sql, "INSERT INTO %s VALUES (?", table);
    for (int i = 1; i < out->columns; i++)
        size += snprintf(sql + size, sizeof sql - (size_t)size, ",?");
    snprintf(sql + size, sizeof sql - (size_t)size, ")");
    must(db, sqlite3_prepare_v2(db, sql, -1, &out->insert, NULL), sql);
    for (int i = 0; i < out->columns; i++) {
        out->sources[i] = source_of(pattern, table, from, i);
        sqlite3_bind_value(out->insert, i + 1, sqlite3_column_value(from, i));
        if (strcmp(sqlite3_column_name(from, i), "sequence") == 0)
            out->sequence = sqlite3_column_int(from, i);
    }
}

static void table_open(struct table *table, const struct pattern *pattern, sqlite3 *db) {
    char sql[256];
    sqlite3_stmt *from;
    snprintf(sql, sizeof sql, "SELECT * FROM %s WHERE %s = ? ORDER BY rowid", table->name,
             table->key);
    if (sqlite3_prepare_v2(db, sql, -1, &from, NULL) != SQLITE_OK) { /* without rowids */
        snprintf(sql, sizeof sql, "SELECT * FROM %s WHERE %s = ?", table->name, table->key);
        must(db, sqlite3_prepare_v2(db, sql, -1, &from, NULL), sql);
    }
    const unsigned char *id =
        strcmp(table->key, "pledge_id") == 0 ? pattern->pledge : pattern->payment;
    sqlite3_bind_blob(from, 1, id, 16, SQLITE_STATIC);
    table->count = 0;
    while (sqlite3_step(from) == SQLITE_ROW && table->count < PATTERN_ROWS_MAX)
        row_open(&table->rows[table->count++], pattern, db, table->name, from);
    sqlite3_finalize(from);
    if (table->count == 0)
        bench_fail(table->name, "the pattern has no row");
}

static void pattern_read(struct pattern *out, sqlite3 *db) {
    sqlite3_stmt *row;
    memset(out, 0, sizeof *out);
    must(db,
         sqlite3_prepare_v2(db, "SELECT id, pledge_id, person_id FROM cfa_payment", -1, &row, NULL),
         "the payment");
    must(db, sqlite3_step(row) == SQLITE_ROW ? SQLITE_OK : SQLITE_ERROR, "the payment");
    memcpy(out->payment, sqlite3_column_blob(row, 0), 16);
    memcpy(out->pledge, sqlite3_column_blob(row, 1), 16);
    memcpy(out->person, sqlite3_column_blob(row, 2), 16);
    sqlite3_finalize(row);
    must(db,
         sqlite3_prepare_v2(db, "SELECT id, received_us FROM cfa_webhook ORDER BY received_us", -1,
                            &row, NULL),
         "the webhooks");
    while (sqlite3_step(row) == SQLITE_ROW && out->webhook_count < PATTERN_ROWS_MAX) {
        memcpy(out->webhooks[out->webhook_count], sqlite3_column_blob(row, 0), 16);
        if (out->webhook_count++ == 0)
            out->paid_us = sqlite3_column_int64(row, 1);
    }
    sqlite3_finalize(row);
}

/* ---- loading --------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t value) {
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static cfa__id id_at(int64_t time_us, uint64_t seed) {
    uint8_t random[10] = { 0 };
    uint64_t value = mix(seed);
    memcpy(random, &value, sizeof value);
    return cfa__id_make(time_us, random);
}

struct load {
    sqlite3 *db;
    int64_t from_us, rows, position;
};

static int64_t time_at(const struct load *load, int64_t n) {
    return load->from_us + n * SPACING_US;
}

static cfa__id payment_at(const struct load *load, int64_t n) {
    return id_at(time_at(load, n), (uint64_t)n * 64 + OF_PAYMENT);
}

static void insert(struct load *load, struct row *row, int64_t n, int number) {
    char name[32], ref[32];
    cfa__id ids[CELLS_MAX];
    int64_t early_us = time_at(load, n), late_us = time_at(load, n + PAID_LATER);
    for (int i = 0; i < row->columns; i++) {
        int at = i + 1;
        struct source source = row->sources[i];
        uint64_t seed = (uint64_t)n * 64 + (uint64_t)source.cell;
        switch (source.cell) {
        case AS_PATTERN: break;
        case EARLY: sqlite3_bind_int64(row->insert, at, early_us); break;
        case LATE: sqlite3_bind_int64(row->insert, at, late_us); break;
        case CLOSED: sqlite3_bind_int64(row->insert, at, 0); break;
        case POSITION: sqlite3_bind_int64(row->insert, at, load->position); break;
        case EVENT_NAME:
            snprintf(name, sizeof name, "evt_%012lld_%02u", (long long)n, (unsigned)number % 100);
            sqlite3_bind_text(row->insert, at, name, -1, SQLITE_STATIC);
            break;
        case REF:
            snprintf(ref, sizeof ref, "pi_%012lld", (long long)n);
            sqlite3_bind_text(row->insert, at, ref, -1, SQLITE_STATIC);
            break;
        default:
            if (source.cell == OF_WEBHOOK || source.cell == OF_EVENT)
                seed = (uint64_t)n * 64 + 32 +
                       (uint64_t)(source.cell == OF_WEBHOOK ? source.number : 16 + number);
            ids[i] = source.cell == OF_PAYMENT ? payment_at(load, n) : id_at(early_us, seed);
            sqlite3_bind_blob(row->insert, at, ids[i].bytes, 16, SQLITE_STATIC);
        }
    }
    must(load->db, sqlite3_step(row->insert), "insert");
    sqlite3_reset(row->insert);
}

static bool is_paid(int64_t n, int64_t rows) { return n % PAID_EACH == 0 && n + PAID_LATER < rows; }

/* Events in the order of time: pledges, and 30 s behind them what was paid. */
static void load_events(struct load *load, struct table *table) {
    for (int64_t n = 0; n < load->rows; n++) {
        load->position++;
        insert(load, &table->rows[0], n, 0);
        int64_t earlier = n - PAID_LATER;
        if (earlier < 0 || !is_paid(earlier, load->rows))
            continue;
        for (int i = 1; i < table->count; i++) {
            load->position++;
            insert(load, &table->rows[i], earlier, i);
        }
    }
}

static void load_table(struct load *load, struct table *table) {
    must(load->db, sqlite3_exec(load->db, "BEGIN", NULL, NULL, NULL), "BEGIN");
    if (strcmp(table->name, "cfa_event") == 0) {
        load_events(load, table);
    } else {
        for (int64_t n = 0; n < load->rows; n++) {
            int count = is_paid(n, load->rows) ? table->count : table->all ? 1 : 0;
            for (int i = 0; i < count; i++)
                insert(load, &table->rows[i], n, i);
        }
    }
    must(load->db, sqlite3_exec(load->db, "COMMIT", NULL, NULL, NULL), "COMMIT");
}

/* Take one donation and copy it. The log's newest events are then those of the copies. */
static void book_make(bench_book *book, struct load *load, int64_t rows) {
    struct pattern pattern;
    bench_book_open(book, "explain", NULL);
    char key[37];
    int32_t done = 1;
    bench_check(cfa_key_new(key, sizeof key), "cfa_key_new");
    cfa_pledge_spec spec = bench_pledge(book, key);
    spec.wait = CFA_WAIT_ANSWER;
    cfa_pledge *pledge;
    bench_check(cfa_pledge_create(&pledge, book->engine, &spec), "cfa_pledge_create");
    bench_check(cfa_play_confirm(book->play, cfa_pledge_client_secret(pledge), "pm_ok"), "confirm");
    bench_check(cfa_play_deliver(NULL, book->play, book->engine, 0), "deliver");
    while (done > 0)
        bench_check(cfa_engine_tick(&done, book->engine, CFA_WORK_ALL, 0), "cfa_engine_tick");
    cfa_pledge_free(pledge);
    bench_book_close(book);

    *load = (struct load){ .rows = rows, .position = 1000 };
    load->from_us = bench_wall_us() + INT64_C(60000000);
    must(NULL, sqlite3_open(book->path, &load->db), book->path);
    must(load->db,
         sqlite3_exec(load->db,
                      "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-400000;"
                      "PRAGMA locking_mode=EXCLUSIVE",
                      NULL, NULL, NULL),
         "PRAGMA");
    pattern_read(&pattern, load->db);
    for (size_t i = 0; i < TABLES; i++)
        table_open(&tables[i], &pattern, load->db);
    for (size_t i = 0; i < TABLES; i++) {
        load_table(load, &tables[i]);
        for (int row = 0; row < tables[i].count; row++)
            sqlite3_finalize(tables[i].rows[row].insert);
    }
    must(load->db,
         sqlite3_exec(load->db,
                      "UPDATE cfa_sink SET acknowledged = 1000000000; "
                      "PRAGMA journal_mode=WAL",
                      NULL, NULL, NULL),
         "PRAGMA");
    sqlite3_close(load->db);
}

/* ---- measuring ------------------------------------------------------------------------------- */

/* What the kernel keeps of the file is let go of. */
static void forget_file(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    (void)fsync(file);
    (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
}

static int64_t tell(bench_book *book, const struct load *load, uint64_t seed) {
    int64_t n = (int64_t)(mix(seed) % (uint64_t)(load->rows - PAID_LATER)) / PAID_EACH * PAID_EACH;
    char id[CFA_ID_TEXT_SIZE], *text = NULL;
    cfa_story *story;
    cfa__id_format(id, "pay", payment_at(load, n));
    int64_t started = bench_now_ns();
    bench_check(cfa_explain(&story, book->engine, id, 0), "cfa_explain");
    bench_check(cfa_story_write(&text, story, CFA_EXPLAIN_HTML), "cfa_story_write");
    int64_t duration = bench_now_ns() - started;
    if (strstr(text, "leaves out") != NULL || strstr(text, "payment.completed") == NULL)
        bench_fail(id, "the story is not whole");
    cfa_free(text);
    cfa_story_free(story);
    return duration;
}

static void measure(const struct load *load, bench_book *book, const char *what, size_t count,
                    bool cold) {
    int64_t *durations = bench_alloc(count * sizeof *durations);
    char name[96];
    if (!cold)
        bench_book_reopen(book);
    for (size_t i = 0; i < count; i++) {
        if (cold) {
            forget_file(book->path);
            bench_book_reopen(book);
        }
        durations[i] = tell(book, load, i * 2 + cold);
        if (cold)
            bench_book_close(book);
    }
    if (!cold)
        bench_book_close(book);
    bench_run run = { 0, 0, 0, 0, 0 };
    bench_percentiles(&run, durations, count);
    double p99_ms = run.p99_us / 1000;
    snprintf(name, sizeof name, "p99 of a story, %s, %lld payments", what, (long long)load->rows);
    bench_report(name, BENCH_NATIVE, "ms", &p99_ms, 1, BENCH_AT_MOST, GOAL_MS);
    bench_note("%zu stories: median %.2f ms, slowest %.2f ms", count, run.p50_us / 1000,
               (double)durations[count - 1] / 1e6);
    free(durations);
}

int main(int argc, char **argv) {
    bench_options options = bench_start(argc, argv);
    int64_t rows = options.rows != 0 ? options.rows : options.quick ? 100000 : 10000000;
    bench_disk_use(BENCH_NATIVE);
    bench_book book;
    struct load load;
    int64_t started = bench_now_ns();
    book_make(&book, &load, rows);
    bench_note("%lld payments and %lld events loaded in %.0f s", (long long)rows,
               (long long)load.position, (double)(bench_now_ns() - started) / 1e9);
    measure(&load, &book, "file not in memory", COLD_STORIES, true);
    measure(&load, &book, "all over the book", STORIES, false);
    bench_book_reopen(&book);
    started = bench_now_ns();
    cfa_checkup *checkup;
    bench_check(cfa_doctor(&checkup, book.engine, NULL), "cfa_doctor");
    double checkup_ms = (double)(bench_now_ns() - started) / 1e6;
    bench_report("a checkup of that book", BENCH_NATIVE, "ms", &checkup_ms, 1, BENCH_INFORMATION,
                 0);
    cfa_checkup_free(checkup);
    bench_book_close(&book);
    bench_remove(book.path);
    return bench_finish();
}
