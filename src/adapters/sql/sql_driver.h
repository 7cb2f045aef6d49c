/*
 * sql_driver.h - what a SQL database must offer below the shared storage implementation: a
 * connection, prepared statements with $1..$n, and its dialect as data.
 *
 * The driver knows no kind and no record, but for `insert_rows`. Results may be delivered late:
 * `execute` and `select` may only queue their work and report by the next `flush` (a pipeline with
 * one round trip per flush), or do everything at once, as SQLite does. Every function that fails
 * has set the error detail.
 */
#ifndef CFA_ADAPTERS_SQL_DRIVER_H
#define CFA_ADAPTERS_SQL_DRIVER_H

#include <careforall/sys/storage.h>
#include <stdbool.h>

/* A parameter. `type` 0 is NULL; INT uses `integer`, all others `data` and `size`, borrowed for the
 * call. */
typedef struct cfa__sql_value {
    int32_t type;
    int64_t integer;
    const void *data;
    size_t size;
} cfa__sql_value;

typedef struct cfa__sql_connection cfa__sql_connection;
typedef struct cfa__sql_statement cfa__sql_statement;
typedef struct cfa__sql_row cfa__sql_row;

/* Receives one row, valid during the call. Anything but CFA_OK ends the select with that status. */
typedef cfa_status (*cfa__sql_row_function)(void *context, const cfa__sql_row *row);

/* Gives one of the records that `insert_rows` writes, borrowed until it returns. */
typedef const void *(*cfa__sql_record_function)(const void *context, size_t row);

/* A kind has at most 64 fields, so that a set of them is one word. */
#define CFA__SQL_FIELDS_MAX 64
/* The rows of `insert_rows` as its statement reads them: columns c0, c1, ... */
#define CFA__SQL_ROWS "cfa_rows"

/* How this database spells what the standard does not settle. Indexed by CFA_FIELD_*. */
typedef struct cfa__sql_dialect {
    const char *types[6];
    const char *defaults[6];        /* of a NOT NULL column that joins an existing table */
    const char *integer_key_suffix; /* after CREATE TABLE (...) when the primary key is one INT */
    const char *other_key_suffix;   /* after all others */
    const char *now_us;             /* expression */
    /* SELECT the number of tables named cfa_*, and whether cfa_schema is one */
    const char *own_tables;
    bool index_hints; /* FROM table INDEXED BY index */
} cfa__sql_dialect;

typedef struct cfa__sql_driver {
    const char *origin; /* of errors: "storage.sqlite" */
    cfa__sql_dialect dialect;
    bool outlives_doubt; /* a connection whose COMMIT is in doubt must be kept until one succeeds */

    /* `create`: the store may not exist yet, and nothing may be written to it. */
    cfa_status (*connect)(void *self, int32_t mode, bool create, cfa__sql_connection **out);
    void (*disconnect)(cfa__sql_connection *connection);

    cfa_status (*begin)(cfa__sql_connection *connection, int32_t mode, int32_t timeout_ms,
                        int64_t *out_now_us);
    cfa_status (*commit)(cfa__sql_connection *connection);
    /* false: the connection cannot be used any more. */
    bool (*rollback)(cfa__sql_connection *connection);

    /* Run statements without parameters or results. */
    cfa_status (*script)(cfa__sql_connection *connection, const char *sql);
    cfa_status (*prepare)(cfa__sql_connection *connection, const char *sql, int32_t parameter_count,
                          cfa__sql_statement **out);
    void (*finalize)(cfa__sql_connection *connection, cfa__sql_statement *statement);

    /* Run a statement without result. `expected_rows`: another number of rows changed is
     * CFA_EVERSION; -1: any. */
    cfa_status (*execute)(cfa__sql_connection *connection, cfa__sql_statement *statement,
                          const cfa__sql_value *values, int32_t count, int64_t expected_rows);
    cfa_status (*select)(cfa__sql_connection *connection, cfa__sql_statement *statement,
                         const cfa__sql_value *values, int32_t count, cfa__sql_row_function on_row,
                         void *context);
    /* Optional. Insert `count` records of a kind at once, by a statement INSERT INTO ... SELECT c0,
     * c1, ... FROM CFA__SQL_ROWS. Never on a borrowed connection. */
    cfa_status (*insert_rows)(cfa__sql_connection *connection, cfa__sql_statement *statement,
                              const cfa_kind *kind, size_t count,
                              cfa__sql_record_function record_at, const void *context);
    cfa_status (*flush)(cfa__sql_connection *connection);

    int64_t (*column_int)(const cfa__sql_row *row, int32_t column);
    /* NULL data: the column is null. A value of no bytes has a pointer. Borrowed until the row
     * function returns. */
    cfa_slice (*column_bytes)(const cfa__sql_row *row, int32_t column);

    cfa_status (*changes)(cfa__sql_connection *connection, int64_t *out);
    /* Optional, where nobody writes beside a write transaction: a number that differs from the last
     * one if the database was changed since, by anybody, as seen from within a transaction or right
     * behind its commit. Costs next to nothing. False: not known now. */
    bool (*version)(cfa__sql_connection *connection, int64_t *out);
    cfa_status (*maintain)(cfa__sql_connection *connection);

    /* Before the first migration of a store, outside a transaction: settings that persist in it. */
    cfa_status (*adopt)(cfa__sql_connection *connection);
    /* Inside the transaction of migration 1: leave the mark of this library on a store that had no
     * tables. */
    cfa_status (*stamp)(cfa__sql_connection *connection);
} cfa__sql_driver;

#endif
