/*
 * sqlite_driver.c - the SQL driver over SQLite: statements, values, columns, and the dialect.
 * Everything is done at once, so `flush` has nothing to do.
 */
#include "adapters/sqlite/sqlite_internal.h"

#include <assert.h>
#include <limits.h>

/* "CFA1" in the database's header, for file(1) and the like; only in files that are ours alone. */
#define APPLICATION_ID 0x43464131

static cfa__sqlite_connection *connection_of(cfa__sql_connection *handle) {
    return (cfa__sqlite_connection *)handle;
}

static sqlite3_stmt *statement_of(cfa__sql_statement *handle) { return (sqlite3_stmt *)handle; }

static cfa_status fail(cfa__sql_connection *handle, int code, const char *doing) {
    return cfa__sqlite_fail(connection_of(handle)->storage, connection_of(handle)->db, code, doing);
}

/* ---- statements ------------------------------------------------------------------------------ */

static cfa_status script(cfa__sql_connection *handle, const char *sql) {
    int code = sqlite3_exec(connection_of(handle)->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? CFA_OK : fail(handle, code, "statement");
}

static cfa_status prepare(cfa__sql_connection *handle, const char *sql, int32_t parameter_count,
                          cfa__sql_statement **out) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v3(connection_of(handle)->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                  &statement, NULL);
    if (code != SQLITE_OK) {
        return fail(handle, code, "prepare");
    }
    assert(sqlite3_bind_parameter_count(statement) == parameter_count);
    (void)parameter_count;
    *out = (cfa__sql_statement *)statement;
    return CFA_OK;
}

static void finalize(cfa__sql_connection *handle, cfa__sql_statement *statement) {
    (void)handle;
    sqlite3_finalize(statement_of(statement));
}

/* Values are borrowed: the caller keeps them until the statement was reset. */
static int bind(sqlite3_stmt *statement, const cfa__sql_value *values, int32_t count) {
    int code = SQLITE_OK;
    for (int32_t i = 0; i < count && code == SQLITE_OK; i++) {
        const cfa__sql_value *value = &values[i];
        switch (value->type) {
        case 0: code = sqlite3_bind_null(statement, i + 1); break;
        case CFA_FIELD_INT: code = sqlite3_bind_int64(statement, i + 1, value->integer); break;
        case CFA_FIELD_TEXT:
        case CFA_FIELD_CURRENCY:
            code = sqlite3_bind_text64(statement, i + 1, value->data, value->size, SQLITE_STATIC,
                                       SQLITE_UTF8);
            break;
        default:
            code = sqlite3_bind_blob64(statement, i + 1, value->data, value->size, SQLITE_STATIC);
            break;
        }
    }
    return code;
}

static cfa_status execute(cfa__sql_connection *handle, cfa__sql_statement *opaque,
                          const cfa__sql_value *values, int32_t count, int64_t expected_rows) {
    sqlite3_stmt *statement = statement_of(opaque);
    int64_t rows = 0;
    int code = bind(statement, values, count);
    if (code == SQLITE_OK) {
        while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
            rows++;
        }
        code = code == SQLITE_DONE ? SQLITE_OK : code;
    }
    cfa_status status = code == SQLITE_OK ? CFA_OK : fail(handle, code, "write");
    sqlite3_reset(statement);
    if (status != CFA_OK || expected_rows < 0) {
        return status;
    }
    if (sqlite3_column_count(statement) == 0) {
        rows = sqlite3_changes(connection_of(handle)->db);
    }
    if (rows != expected_rows) {
        return cfa_error_set(CFA_EVERSION, CFA__SQLITE_ORIGIN, NULL, 0,
                             "a row changed since it was read");
    }
    return CFA_OK;
}

static cfa_status select_rows(cfa__sql_connection *handle, cfa__sql_statement *opaque,
                              const cfa__sql_value *values, int32_t count,
                              cfa__sql_row_function on_row, void *context) {
    sqlite3_stmt *statement = statement_of(opaque);
    cfa_status status = CFA_OK;
    int code = bind(statement, values, count);
    while (code == SQLITE_OK && status == CFA_OK) {
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW) {
            status = on_row(context, (const cfa__sql_row *)statement);
            code = SQLITE_OK;
        }
    }
    if (status == CFA_OK && code != SQLITE_DONE) {
        status = fail(handle, code, "read");
    }
    sqlite3_reset(statement);
    return status;
}

static cfa_status flush(cfa__sql_connection *handle) {
    (void)handle;
    return CFA_OK;
}

static sqlite3_stmt *row_of(const cfa__sql_row *row) { return (sqlite3_stmt *)(uintptr_t)row; }

static int64_t column_int(const cfa__sql_row *row, int32_t column) {
    return sqlite3_column_int64(row_of(row), column);
}

static cfa_slice column_bytes(const cfa__sql_row *row, int32_t column) {
    /* For text this gives the bytes as stored, without a conversion. */
    const void *data = sqlite3_column_blob(row_of(row), column);
    size_t size = (size_t)sqlite3_column_bytes(row_of(row), column);
    if (data == NULL && sqlite3_column_type(row_of(row), column) != SQLITE_NULL) {
        data = "";
    }
    return (cfa_slice){ data, size };
}

/* ---- the rest -------------------------------------------------------------------------------- */

static cfa_status read_int(cfa__sql_connection *handle, const char *sql, int64_t *out) {
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(connection_of(handle)->db, sql, -1, &statement, NULL);
    if (code != SQLITE_OK) {
        return fail(handle, code, "prepare");
    }
    code = sqlite3_step(statement);
    cfa_status status = code == SQLITE_ROW ? CFA_OK : fail(handle, code, "read");
    if (status == CFA_OK) {
        *out = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return status;
}

static cfa_status changes(cfa__sql_connection *handle, int64_t *out) {
    sqlite3_stmt *statement = connection_of(handle)->data_version;
    if (statement == NULL) {
        return cfa_error_set(CFA_EMISUSE, CFA__SQLITE_ORIGIN, NULL, 0,
                             "a joined session does not watch for changes");
    }
    int code = sqlite3_step(statement);
    cfa_status status = code == SQLITE_ROW ? CFA_OK : fail(handle, code, "PRAGMA data_version");
    if (status == CFA_OK) {
        *out = sqlite3_column_int64(statement, 0);
    }
    sqlite3_reset(statement);
    return status;
}

/* The counter by which SQLite's own page cache knows that it is out of date. */
static bool version(cfa__sql_connection *handle, int64_t *out) {
    unsigned int value = 0;
    int code =
        sqlite3_file_control(connection_of(handle)->db, "main", SQLITE_FCNTL_DATA_VERSION, &value);
    *out = value;
    return code == SQLITE_OK;
}

static cfa_status maintain(cfa__sql_connection *handle) {
    return cfa__sqlite_checkpoint(connection_of(handle), 0, false);
}

static cfa_status stamp(cfa__sql_connection *handle) {
    int64_t id = 0, tables = 0;
    cfa_status status = read_int(handle, "PRAGMA application_id", &id);
    if (status == CFA_OK) {
        status = read_int(handle, "SELECT count(*) FROM sqlite_master", &tables);
    }
    if (status != CFA_OK || id != 0 || tables != 0) {
        return status;
    }
    char sql[64];
    sqlite3_snprintf((int)sizeof(sql), sql, "PRAGMA application_id=%d", APPLICATION_ID);
    return script(handle, sql);
}

/*
 * Tables without rowid keep the row in the tree of its key: one tree and one page to touch instead
 * of two. Measured with the seven rows of a pledge and time-ordered keys: 8 % faster in batches of
 * 64, 20 % one by one. With random keys a table with rowid and a small index would be a third
 * faster; that is why random keys have a table of their own, which stays small.
 */
const cfa__sql_driver cfa__sqlite_driver = {
    .origin = CFA__SQLITE_ORIGIN,
    .dialect = {
        .types = { NULL, "INTEGER", "BLOB", "TEXT", "BLOB", "TEXT" },
        .defaults = { NULL, "0", "x'00000000000000000000000000000000'", "''", "x''", "''" },
        .integer_key_suffix = " STRICT",
        .other_key_suffix = " STRICT, WITHOUT ROWID",
        .now_us = "CAST(strftime('%s', 'now') AS INTEGER) * 1000000",
        .own_tables = "SELECT count(*), coalesce(sum(name = 'cfa_schema'), 0) FROM sqlite_master "
                      "WHERE type IN ('table', 'view') AND substr(name, 1, 4) = 'cfa_'",
        .index_hints = true,
    },
    /* Closed and opened again it would recover from the log what a failed sync left there, and what
     * is only in the kernel's cache would pass for durable. Kept, its next commit is written over
     * it and synced. */
    .outlives_doubt = true,
    .connect = cfa__sqlite_connect,
    .disconnect = cfa__sqlite_disconnect,
    .begin = cfa__sqlite_begin,
    .commit = cfa__sqlite_commit,
    .rollback = cfa__sqlite_rollback,
    .script = script,
    .prepare = prepare,
    .finalize = finalize,
    .execute = execute,
    .select = select_rows,
    .insert_rows = cfa__sqlite_insert_rows,
    .flush = flush,
    .column_int = column_int,
    .column_bytes = column_bytes,
    .changes = changes,
    .version = version,
    .maintain = maintain,
    .adopt = cfa__sqlite_adopt,
    .stamp = stamp,
};
