/*
 * rows.c - see rows.h. The peer that the engine is measured against: as fast as a careful
 * programmer would make it, and with the engine's own settings, so that only the engine's work
 * differs.
 */
#include "bench/rows.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAL_LIMIT_PAGES 16000 /* where the engine checkpoints too */
#define BATCH_MAX 1024

/* In the order in which the engine saves. `rows`: one per pledge, in commit order. */
static const struct {
    const char *table;
    const char *join;
} tables[BENCH_TABLES] = {
    { "cfa_key", "FROM p JOIN k t ON t.resource_id = p.pledge_id" },
    { "cfa_donor", "FROM p JOIN cfa_donor t ON t.id = p.donor_id" },
    { "cfa_pledge", "FROM p JOIN cfa_pledge t ON t.id = p.pledge_id" },
    { "cfa_payment", "FROM p JOIN cfa_payment t ON t.id = p.payment_id" },
    { "cfa_transition", "FROM p JOIN cfa_transition t ON t.payment_id = p.payment_id" },
    { "cfa_operation", "FROM p JOIN cfa_operation t ON t.payment_id = p.payment_id" },
    { "cfa_event", "FROM p JOIN cfa_event t ON t.position = p.position" },
};

static void must(sqlite3 *db, int code, const char *doing) {
    if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW) {
        bench_fail(doing, sqlite3_errmsg(db));
    }
}

static void run_sql(sqlite3 *db, const char *sql) {
    must(db, sqlite3_exec(db, sql, NULL, NULL, NULL), sql);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement;
    must(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL), sql);
    return statement;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bench_cell cell_of(sqlite3_stmt *row, int column) {
    bench_cell cell = { sqlite3_column_type(row, column), 0, 0, NULL };
    if (cell.type == SQLITE_INTEGER) {
        cell.integer = sqlite3_column_int64(row, column);
    } else if (cell.type != SQLITE_NULL) {
        const void *data = sqlite3_column_blob(row, column);
        cell.size = sqlite3_column_bytes(row, column);
        void *copy = bench_alloc((size_t)cell.size + 1);
        memcpy(copy, cell.size > 0 ? data : "", (size_t)cell.size);
        cell.data = copy;
    }
    return cell;
}

static void read_table(sqlite3 *db, bench_rows *rows, int table) {
    char sql[256];
    snprintf(sql, sizeof(sql), "SELECT t.* %s ORDER BY p.position", tables[table].join);
    sqlite3_stmt *statement = prepare(db, sql);
    int columns = sqlite3_column_count(statement);
    rows->columns[table] = columns;
    rows->cells[table] = bench_alloc(rows->count * (size_t)columns * sizeof(bench_cell));
    size_t count = 0;
    while (sqlite3_step(statement) == SQLITE_ROW && count < rows->count) {
        for (int i = 0; i < columns; i++) {
            rows->cells[table][count * (size_t)columns + (size_t)i] = cell_of(statement, i);
        }
        count++;
    }
    sqlite3_finalize(statement);
    if (count != rows->count) {
        bench_fail(tables[table].table, "a pledge does not have exactly one row");
    }
}

void bench_rows_read(bench_rows *rows, const char *path) {
    sqlite3 *db;
    must(NULL, sqlite3_open(path, &db), path);
    run_sql(db,
            "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-200000;"
            "CREATE TEMP TABLE p AS SELECT e.position, a.pledge_id, a.id AS payment_id, g.donor_id"
            "  FROM cfa_event e JOIN cfa_payment a ON a.id = e.subject_id"
            "  JOIN cfa_pledge g ON g.id = a.pledge_id WHERE e.sequence = 1;"
            "CREATE TEMP TABLE k AS SELECT * FROM cfa_key;"
            "CREATE INDEX temp.k_by_resource ON k (resource_id)");
    sqlite3_stmt *count = prepare(db, "SELECT count(*) FROM p");
    must(db, sqlite3_step(count), "count");
    rows->count = (size_t)sqlite3_column_int64(count, 0);
    sqlite3_finalize(count);
    for (int table = 0; table < BENCH_TABLES; table++) {
        read_table(db, rows, table);
    }
    sqlite3_close(db);
}

void bench_rows_free(bench_rows *rows) {
    for (int table = 0; table < BENCH_TABLES; table++) {
        for (size_t i = 0; i < rows->count * (size_t)rows->columns[table]; i++) {
            free((void *)(uintptr_t)rows->cells[table][i].data);
        }
        free(rows->cells[table]);
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

static int on_commit(void *opaque, sqlite3 *db, const char *name, int pages) {
    (void)db;
    (void)name;
    ((bench_writer *)opaque)->wal_pages = pages;
    return SQLITE_OK;
}

void bench_writer_open(bench_writer *writer, const char *path) {
    char sql[256];
    memset(writer, 0, sizeof(*writer));
    must(NULL,
         sqlite3_open_v2(path, &writer->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL),
         path);
    run_sql(writer->db,
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
            "PRAGMA cache_size=-65536; PRAGMA journal_size_limit=131072000;");
    sqlite3_wal_autocheckpoint(writer->db, 0);
    sqlite3_wal_hook(writer->db, on_commit, writer);
    writer->begin = prepare(writer->db, "BEGIN IMMEDIATE");
    writer->commit = prepare(writer->db, "COMMIT");
    for (int table = 0; table < BENCH_TABLES; table++) {
        snprintf(sql, sizeof(sql), "SELECT * FROM %s", tables[table].table);
        sqlite3_stmt *shape = prepare(writer->db, sql);
        int columns = sqlite3_column_count(shape);
        sqlite3_finalize(shape);
        int size = snprintf(sql, sizeof(sql), "INSERT INTO %s VALUES (?", tables[table].table);
        for (int i = 1; i < columns; i++) {
            size += snprintf(sql + size, sizeof(sql) - (size_t)size, ",?");
        }
        snprintf(sql + size, sizeof(sql) - (size_t)size, ")");
        writer->insert[table] = prepare(writer->db, sql);
    }
}

void bench_writer_close(bench_writer *writer) {
    sqlite3_finalize(writer->begin);
    sqlite3_finalize(writer->commit);
    for (int table = 0; table < BENCH_TABLES; table++) {
        sqlite3_finalize(writer->insert[table]);
    }
    sqlite3_close(writer->db);
}

void bench_writer_run(bench_writer *writer, sqlite3_stmt *statement) {
    int code = sqlite3_step(statement);
    if (code != SQLITE_DONE) {
        bench_fail("write", sqlite3_errmsg(writer->db));
    }
    sqlite3_reset(statement);
}

static void insert(bench_writer *writer, const bench_rows *rows, int table, size_t row) {
    sqlite3_stmt *statement = writer->insert[table];
    int columns = rows->columns[table];
    const bench_cell *cells = rows->cells[table] + row * (size_t)columns;
    for (int i = 0; i < columns; i++) {
        switch (cells[i].type) {
        case SQLITE_INTEGER: sqlite3_bind_int64(statement, i + 1, cells[i].integer); break;
        case SQLITE_TEXT:
            sqlite3_bind_text(statement, i + 1, cells[i].data, cells[i].size, SQLITE_STATIC);
            break;
        case SQLITE_BLOB:
            sqlite3_bind_blob(statement, i + 1, cells[i].data, cells[i].size, SQLITE_STATIC);
            break;
        default: sqlite3_bind_null(statement, i + 1); break;
        }
    }
    bench_writer_run(writer, statement);
}

/* Rows of one table within a batch go in the order of their keys. Small and nearly sorted:
 * insertion sort. */
static void sort_by_key(const bench_rows *rows, int table, size_t first, size_t count,
                        size_t *order) {
    const bench_cell *cells = rows->cells[table];
    size_t columns = (size_t)rows->columns[table];
    for (size_t i = 0; i < count; i++) {
        const bench_cell *key = &cells[(first + i) * columns];
        size_t at = i;
        while (at > 0 && key->type == SQLITE_BLOB &&
               memcmp(cells[order[at - 1] * columns].data, key->data, (size_t)key->size) > 0) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = first + i;
    }
}

void bench_writer_batch(bench_writer *writer, const bench_rows *rows, size_t first, size_t count) {
    size_t order[BATCH_MAX];
    bench_writer_run(writer, writer->begin);
    for (int table = 0; table < BENCH_TABLES; table++) {
        sort_by_key(rows, table, first, count, order);
        for (size_t i = 0; i < count; i++) {
            insert(writer, rows, table, order[i]);
        }
    }
    bench_writer_run(writer, writer->commit);
    if (writer->wal_pages >= WAL_LIMIT_PAGES) {
        int code =
            sqlite3_wal_checkpoint_v2(writer->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        must(writer->db, code, "checkpoint");
        writer->wal_pages = 0;
    }
}
