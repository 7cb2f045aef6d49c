/*
 * sqlite_rows.c - the rows of a batch as a table, so that one INSERT ... SELECT writes them all. A
 * statement for each row opens its cursor and looks for its place from the root of the tree again;
 * here the cursor stays, and rows in the order of their keys are appended: a batch of 256 pledges
 * takes a quarter less. The table is seen by this connection's own statements only; nothing of it
 * is in the database.
 */
#include "adapters/sqlite/sqlite_internal.h"
#include "adapters/sql/sql_value.h"

#include <assert.h>
#include <string.h>

/* What one run of the statement inserts; the connection points to it meanwhile. */
typedef struct cfa__sqlite_rows {
    const cfa_kind *kind;
    size_t count;
    cfa__sql_record_function record_at;
    const void *context;
} rows;

typedef struct rows_cursor {
    sqlite3_vtab_cursor base;
    const rows *rows;
    size_t row;
    const cfa_field *fields;
    const void *record; /* of this row */
} rows_cursor;

typedef struct rows_table {
    sqlite3_vtab base;
    const cfa__sqlite_connection *connection;
    rows_cursor cursor; /* there is never more than one */
} rows_table;

/* Columns without types: every value stays what it is. */
static int declare(sqlite3 *db) {
    sqlite3_str *sql = sqlite3_str_new(db);
    for (int i = 0; i < CFA__SQL_FIELDS_MAX; i++) {
        sqlite3_str_appendf(sql, "%s c%d", i == 0 ? "CREATE TABLE x(" : ",", i);
    }
    sqlite3_str_appendchar(sql, 1, ')');
    char *text = sqlite3_str_finish(sql);
    int code = text != NULL ? sqlite3_declare_vtab(db, text) : SQLITE_NOMEM;
    sqlite3_free(text);
    return code;
}

static int rows_connect(sqlite3 *db, void *connection, int argument_count,
                        const char *const *arguments, sqlite3_vtab **out, char **out_error) {
    (void)argument_count, (void)arguments, (void)out_error;
    rows_table *table = cfa_alloc(sizeof(*table));
    int code = table != NULL ? declare(db) : SQLITE_NOMEM;
    if (code != SQLITE_OK) {
        cfa_free(table);
        return code;
    }
    memset(table, 0, sizeof(*table));
    table->connection = connection;
    *out = &table->base;
    return SQLITE_OK;
}

static int rows_disconnect(sqlite3_vtab *table) {
    cfa_free(table);
    return SQLITE_OK;
}

static int rows_best_index(sqlite3_vtab *table, sqlite3_index_info *plan) {
    (void)table;
    plan->estimatedCost = 1;
    return SQLITE_OK;
}

static int rows_open(sqlite3_vtab *table, sqlite3_vtab_cursor **out) {
    *out = &((rows_table *)table)->cursor.base;
    return SQLITE_OK;
}

static int rows_close(sqlite3_vtab_cursor *cursor) {
    (void)cursor;
    return SQLITE_OK;
}

static int rows_eof(sqlite3_vtab_cursor *opaque) {
    const rows_cursor *cursor = (const rows_cursor *)opaque;
    return cursor->row >= cursor->rows->count;
}

static int go_to(rows_cursor *cursor, size_t row) {
    cursor->row = row;
    if (row < cursor->rows->count) {
        cursor->record = cursor->rows->record_at(cursor->rows->context, row);
    }
    return SQLITE_OK;
}

static int rows_filter(sqlite3_vtab_cursor *opaque, int plan, const char *plan_text,
                       int value_count, sqlite3_value **values) {
    (void)plan, (void)plan_text, (void)value_count, (void)values;
    rows_cursor *cursor = (rows_cursor *)opaque;
    cursor->rows = ((const rows_table *)opaque->pVtab)->connection->rows;
    cursor->fields = cursor->rows->kind->fields;
    return go_to(cursor, 0);
}

static int rows_next(sqlite3_vtab_cursor *opaque) {
    rows_cursor *cursor = (rows_cursor *)opaque;
    return go_to(cursor, cursor->row + 1);
}

static int rows_column(sqlite3_vtab_cursor *opaque, sqlite3_context *out, int column) {
    const rows_cursor *cursor = (const rows_cursor *)opaque;
    cfa__sql_value value = cfa__sql_value_of(&cursor->fields[column], cursor->record);
    switch (value.type) {
    case 0: break; /* null is what it is when nothing is said */
    case CFA_FIELD_INT: sqlite3_result_int64(out, value.integer); break;
    case CFA_FIELD_TEXT:
    case CFA_FIELD_CURRENCY:
        sqlite3_result_text64(out, value.data, value.size, SQLITE_STATIC, SQLITE_UTF8);
        break;
    default: sqlite3_result_blob64(out, value.data, value.size, SQLITE_STATIC); break;
    }
    return SQLITE_OK;
}

static int rows_rowid(sqlite3_vtab_cursor *opaque, sqlite3_int64 *out) {
    *out = (sqlite3_int64)((const rows_cursor *)opaque)->row;
    return SQLITE_OK;
}

/* Without xCreate: there is one such table and no way to make another. */
static const sqlite3_module rows_module = {
    .xConnect = rows_connect,
    .xDisconnect = rows_disconnect,
    .xBestIndex = rows_best_index,
    .xOpen = rows_open,
    .xClose = rows_close,
    .xFilter = rows_filter,
    .xNext = rows_next,
    .xEof = rows_eof,
    .xColumn = rows_column,
    .xRowid = rows_rowid,
};

cfa_status cfa__sqlite_register_rows(cfa__sqlite_connection *connection) {
    int code = sqlite3_create_module(connection->db, CFA__SQL_ROWS, &rows_module, connection);
    return code == SQLITE_OK
               ? CFA_OK
               : cfa__sqlite_fail(connection->storage, connection->db, code, "create module");
}

cfa_status cfa__sqlite_insert_rows(cfa__sql_connection *handle, cfa__sql_statement *statement,
                                   const cfa_kind *kind, size_t count,
                                   cfa__sql_record_function record_at, const void *context) {
    cfa__sqlite_connection *connection = (cfa__sqlite_connection *)handle;
    rows self = { kind, count, record_at, context };
    assert(!connection->borrowed && connection->rows == NULL);
    connection->rows = &self;
    int code = cfa__sqlite_run((sqlite3_stmt *)statement);
    connection->rows = NULL;
    return code == SQLITE_OK ? CFA_OK
                             : cfa__sqlite_fail(connection->storage, connection->db, code, "write");
}
