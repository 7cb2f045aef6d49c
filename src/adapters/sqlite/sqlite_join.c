/*
 * sqlite_join.c - pledges inside a transaction that the host has begun on its own connection. Never
 * begins, commits or closes anything of the host's.
 */
#include "adapters/sqlite/sqlite_internal.h"

#include <string.h>
#include <sys/stat.h>

static bool is_same_file(const char *a, const char *b) {
    struct stat left, right;
    return a != NULL && a[0] != '\0' && stat(a, &left) == 0 && stat(b, &right) == 0 &&
           left.st_dev == right.st_dev && left.st_ino == right.st_ino;
}

static cfa_status misuse(const char *message) {
    return cfa_error_set(CFA_EMISUSE, CFA__SQLITE_ORIGIN, "connection", 0, message);
}

/* With the race of sqlite_checkpoint.c the host's connection may not checkpoint by itself either;
 * the engine does it. A hook of the host's own is left alone: setting a size would remove it. */
static cfa_status stop_checkpoints(const cfa__sqlite_storage *storage, sqlite3 *db) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, "PRAGMA wal_autocheckpoint", -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement) == SQLITE_ROW ? SQLITE_OK : sqlite3_errcode(db);
    }
    bool is_default = code == SQLITE_OK && sqlite3_column_int(statement, 0) > 0;
    sqlite3_finalize(statement);
    if (code != SQLITE_OK) {
        return cfa__sqlite_fail(storage, db, code, "PRAGMA wal_autocheckpoint");
    }
    if (is_default) {
        sqlite3_wal_autocheckpoint(db, 0);
    }
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return CFA_OK;
}

cfa_status cfa_sqlite_join(cfa_tx **out, cfa_engine *engine, sqlite3 *db) {
    if (out == NULL || engine == NULL || db == NULL) {
        return misuse("an output, an engine and a connection are needed");
    }
    const cfa_storage *handle = cfa_engine_storage(engine);
    if (handle == NULL || handle->ops != &cfa__sqlite_storage_ops) {
        return misuse("the engine's storage is not SQLite");
    }
    cfa__sqlite_storage *storage = handle->self;
    if (!is_same_file(sqlite3_db_filename(db, "main"), storage->path)) {
        return misuse("the connection is not on the engine's database file");
    }
    if (sqlite3_txn_state(db, "main") != SQLITE_TXN_WRITE) {
        return misuse("the write lock is not held: start the transaction with BEGIN IMMEDIATE");
    }
    cfa_status status = storage->reset_race ? stop_checkpoints(storage, db) : CFA_OK;
    if (status != CFA_OK) {
        return status;
    }
    cfa__sqlite_connection *connection = cfa_alloc(sizeof(*connection));
    if (connection == NULL) {
        return cfa__sqlite_no_memory();
    }
    memset(connection, 0, sizeof(*connection));
    connection->storage = storage;
    connection->db = db;
    connection->borrowed = true;
    connection->mode = CFA_SESSION_WRITE;
    cfa_session *session;
    status = cfa__sql_session_join(&storage->base, (cfa__sql_connection *)connection, &session);
    if (status != CFA_OK) {
        return status;
    }
    status = cfa_tx_new(out, engine, session);
    if (status != CFA_OK) {
        cfa__sql_session_close(session);
    }
    return status;
}
