/*
 * sqlite_internal.h - shared by the files of this directory only: the storage, its connections, the
 * driver.
 */
#ifndef CFA_ADAPTERS_SQLITE_INTERNAL_H
#define CFA_ADAPTERS_SQLITE_INTERNAL_H

#include "adapters/sql/sql_storage.h"

#include <careforall/adapters/sqlite.h>
#include <sqlite3.h>

#define CFA__SQLITE_ORIGIN "storage.sqlite"

typedef struct cfa__sqlite_storage {
    cfa__sql_storage base; /* first: `self` of driver and storage is one pointer */
    cfa_storage handle;    /* what cfa_sqlite_open lends to its engine */
    char *path;            /* absolute */
    char *vfs;             /* NULL: SQLite's default */
    int32_t cache_kib;
    int32_t wal_limit_pages;
    int32_t busy_timeout_ms;
    bool reset_race; /* this SQLite has the WAL-reset race: sqlite_checkpoint.c */
} cfa__sqlite_storage;

typedef struct cfa__sqlite_connection {
    const cfa__sqlite_storage *storage;
    sqlite3 *db;
    bool borrowed;       /* a host's: never closed, begun or ended here */
    int32_t mode;        /* of the open transaction */
    int64_t deadline_us; /* monotonic: when waiting for a lock ends */
    sqlite3_stmt *begin_read, *pin, *begin_write, *commit, *rollback, *data_version;
    sqlite3 *checkpointer;               /* sqlite_checkpoint.c; NULL until needed */
    int32_t wal_pages;                   /* in the log after this connection's newest commit */
    int32_t checkpoint_at;               /* number of pages that makes a checkpoint worth trying */
    const struct cfa__sqlite_rows *rows; /* what is being inserted: sqlite_rows.c */
} cfa__sqlite_connection;

extern const cfa__sql_driver cfa__sqlite_driver;
extern const cfa_storage_ops cfa__sqlite_storage_ops;

/* sqlite_error.c: set the error for a result code of `db` (may be NULL) and return its status.
 * `doing` opens the message: "COMMIT". */
cfa_status cfa__sqlite_fail(const cfa__sqlite_storage *storage, sqlite3 *db, int code,
                            const char *doing);
/* The same for a result of COMMIT of a write transaction: in doubt but when it certainly did not
 * happen. */
cfa_status cfa__sqlite_fail_commit(const cfa__sqlite_storage *storage, sqlite3 *db, int code);
cfa_status cfa__sqlite_no_memory(void);

/* sqlite_connection.c */
int64_t cfa__sqlite_monotonic_us(void);
/* Open a handle with every setting but those of a role. */
cfa_status cfa__sqlite_open_handle(const cfa__sqlite_storage *storage, bool create, sqlite3 **out);
cfa_status cfa__sqlite_connect(void *self, int32_t mode, bool create, cfa__sql_connection **out);
void cfa__sqlite_disconnect(cfa__sql_connection *connection);
cfa_status cfa__sqlite_begin(cfa__sql_connection *connection, int32_t mode, int32_t timeout_ms,
                             int64_t *out_now_us);
cfa_status cfa__sqlite_commit(cfa__sql_connection *connection);
bool cfa__sqlite_rollback(cfa__sql_connection *connection);
cfa_status cfa__sqlite_adopt(cfa__sql_connection *connection);
/* Run a statement without rows; the SQLite result code. */
int cfa__sqlite_run(sqlite3_stmt *statement);

/* sqlite_rows.c: let statements of this connection read CFA__SQL_ROWS. */
cfa_status cfa__sqlite_register_rows(cfa__sqlite_connection *connection);
cfa_status cfa__sqlite_insert_rows(cfa__sql_connection *connection, cfa__sql_statement *statement,
                                   const cfa_kind *kind, size_t count,
                                   cfa__sql_record_function record_at, const void *context);

/* sqlite_checkpoint.c */
bool cfa__sqlite_has_reset_race(int version_number);
void cfa__sqlite_watch_wal(cfa__sqlite_connection *connection);
/* Checkpoint if the log is long: longer still for `late`, the call on the path of a batch. */
cfa_status cfa__sqlite_checkpoint(cfa__sqlite_connection *connection, int32_t timeout_ms,
                                  bool late);
/* Before the last connection closes, where SQLite itself must not. */
void cfa__sqlite_checkpoint_on_close(cfa__sqlite_connection *connection);

#endif
