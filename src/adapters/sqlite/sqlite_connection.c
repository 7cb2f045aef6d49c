/*
 * sqlite_connection.c - opening a connection with the settings that durability rests on, and the
 * life of a transaction. Waits for locks with a deadline; never leaves a transaction open behind an
 * error.
 */
#include "adapters/sqlite/sqlite_internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define READER_CACHE_KIB 8192
#define COMMIT_TRIES 8

static cfa__sqlite_connection *connection_of(cfa__sql_connection *handle) {
    return (cfa__sqlite_connection *)handle;
}

/* ---- waiting --------------------------------------------------------------------------------- */

int64_t cfa__sqlite_monotonic_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* SQLite asks what to do about a lock. A batch of another process takes a millisecond or so: look
 * again soon, SQLite's own handler sleeps up to 100 ms. */
static int on_busy(void *opaque, int count) {
    const cfa__sqlite_connection *connection = opaque;
    int64_t left_us = connection->deadline_us - cfa__sqlite_monotonic_us();
    int64_t sleep_us = count < 5 ? INT64_C(100) << count : 2000;
    if (left_us <= 0) {
        return 0;
    }
    sleep_us = sleep_us < left_us ? sleep_us : left_us;
    struct timespec pause = { 0, (long)sleep_us * 1000 };
    nanosleep(&pause, NULL);
    return 1;
}

static void set_deadline(cfa__sqlite_connection *connection, int32_t timeout_ms) {
    int64_t wait_ms = timeout_ms == 0 ? connection->storage->busy_timeout_ms : timeout_ms;
    connection->deadline_us = wait_ms < 0 ? 0 : cfa__sqlite_monotonic_us() + wait_ms * 1000;
}

/* ---- opening --------------------------------------------------------------------------------- */

cfa_status cfa__sqlite_open_handle(const cfa__sqlite_storage *storage, bool create, sqlite3 **out) {
    sqlite3 *db = NULL;
    bool writes = !storage->base.read_only;
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                (writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
                (writes && create ? SQLITE_OPEN_CREATE : 0);
    int code = sqlite3_open_v2(storage->path, &db, flags, storage->vfs);
    if (code != SQLITE_OK) {
        cfa_status status = cfa__sqlite_fail(storage, db, code, "open");
        sqlite3_close(db);
        return status;
    }
    sqlite3_extended_result_codes(db, 1);
    if (writes && sqlite3_db_readonly(db, "main") == 1) {
        cfa_status status = cfa__sqlite_fail(storage, NULL, SQLITE_READONLY, "open");
        sqlite3_close(db);
        return status;
    }
    sqlite3_wal_autocheckpoint(db, 0);
    if (storage->reset_race) {
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    *out = db;
    return CFA_OK;
}

/* The settings of one connection. FULL syncs the log at each commit; the limit cuts a log that a
 * long reader made grow, else it stays allocated. The first of these reads the file, and so tells
 * what is no database. */
static cfa_status configure(cfa__sqlite_connection *connection, int32_t mode) {
    const cfa__sqlite_storage *storage = connection->storage;
    char sql[256];
    snprintf(sql, sizeof(sql),
             "PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-%d; "
             "PRAGMA journal_size_limit=%lld;",
             mode == CFA_SESSION_WRITE ? (int)storage->cache_kib : READER_CACHE_KIB,
             (long long)storage->wal_limit_pages * 2 * 4096);
    int code = sqlite3_exec(connection->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? CFA_OK : cfa__sqlite_fail(storage, connection->db, code, "PRAGMA");
}

static cfa_status prepare_transactions(cfa__sqlite_connection *connection) {
    const struct {
        sqlite3_stmt **slot;
        const char *sql;
    } statements[] = {
        { &connection->begin_read, "BEGIN" },
        { &connection->pin, "SELECT 1 FROM sqlite_master LIMIT 1" },
        { &connection->begin_write, "BEGIN IMMEDIATE" },
        { &connection->commit, "COMMIT" },
        { &connection->rollback, "ROLLBACK" },
        { &connection->data_version, "PRAGMA data_version" },
    };
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        int code = sqlite3_prepare_v3(connection->db, statements[i].sql, -1,
                                      SQLITE_PREPARE_PERSISTENT, statements[i].slot, NULL);
        if (code != SQLITE_OK) {
            return cfa__sqlite_fail(connection->storage, connection->db, code, statements[i].sql);
        }
    }
    return CFA_OK;
}

cfa_status cfa__sqlite_connect(void *self, int32_t mode, bool create, cfa__sql_connection **out) {
    const cfa__sqlite_storage *storage = self;
    if (storage->base.read_only && mode == CFA_SESSION_WRITE) {
        return cfa_error_format(CFA_EREADONLY, CFA__SQLITE_ORIGIN, "path", 0,
                                "%.160s was opened to be read only", storage->path);
    }
    cfa__sqlite_connection *connection = cfa_alloc(sizeof(*connection));
    if (connection == NULL) {
        return cfa__sqlite_no_memory();
    }
    memset(connection, 0, sizeof(*connection));
    connection->storage = storage;
    connection->checkpoint_at = storage->wal_limit_pages;
    set_deadline(connection, 0);
    cfa_status status = cfa__sqlite_open_handle(storage, create, &connection->db);
    if (status != CFA_OK) {
        cfa_free(connection);
        return status;
    }
    sqlite3_busy_handler(connection->db, on_busy, connection);
    status = configure(connection, mode);
    if (status == CFA_OK && !create && !storage->base.read_only) {
        status = cfa__sqlite_adopt((cfa__sql_connection *)connection);
    }
    if (status == CFA_OK && mode == CFA_SESSION_READ &&
        sqlite3_exec(connection->db, "PRAGMA query_only=1", NULL, NULL, NULL) != SQLITE_OK) {
        status = cfa__sqlite_fail(storage, connection->db, sqlite3_extended_errcode(connection->db),
                                  "PRAGMA");
    }
    if (status == CFA_OK) {
        status = prepare_transactions(connection);
    }
    if (status == CFA_OK && mode == CFA_SESSION_WRITE) {
        status = cfa__sqlite_register_rows(connection);
    }
    if (status != CFA_OK) {
        cfa__sqlite_disconnect((cfa__sql_connection *)connection);
        return status;
    }
    if (mode == CFA_SESSION_WRITE) {
        cfa__sqlite_watch_wal(connection);
    }
    *out = (cfa__sql_connection *)connection;
    return CFA_OK;
}

void cfa__sqlite_disconnect(cfa__sql_connection *handle) {
    cfa__sqlite_connection *connection = connection_of(handle);
    if (!connection->borrowed) {
        cfa__sqlite_rollback(handle);
        cfa__sqlite_checkpoint_on_close(connection);
        sqlite3_finalize(connection->begin_read);
        sqlite3_finalize(connection->pin);
        sqlite3_finalize(connection->begin_write);
        sqlite3_finalize(connection->commit);
        sqlite3_finalize(connection->rollback);
        sqlite3_finalize(connection->data_version);
        sqlite3_close_v2(connection->checkpointer);
        sqlite3_close_v2(connection->db);
    }
    cfa_free(connection);
}

static int read_mode(void *out_is_wal, int columns, char **values, char **names) {
    (void)names;
    *(bool *)out_is_wal = columns == 1 && values[0] != NULL && strcmp(values[0], "wal") == 0;
    return 0;
}

/* Write-ahead logging is a property of the file. Changing to it does not wait for locks by
 * itself. */
cfa_status cfa__sqlite_adopt(cfa__sql_connection *handle) {
    cfa__sqlite_connection *connection = connection_of(handle);
    bool is_wal = false;
    int code, tries = 0;
    set_deadline(connection, 0);
    do {
        code = sqlite3_exec(connection->db, "PRAGMA journal_mode=WAL", read_mode, &is_wal, NULL);
    } while ((code & 0xff) == SQLITE_BUSY && on_busy(connection, tries++) != 0);
    if (code != SQLITE_OK) {
        return cfa__sqlite_fail(connection->storage, connection->db, code,
                                "PRAGMA journal_mode=WAL");
    }
    if (is_wal) {
        return CFA_OK;
    }
    return cfa_error_format(CFA_ENOTSUP, CFA__SQLITE_ORIGIN, "path", 0,
                            "%s cannot use write-ahead logging: choose a local file system",
                            connection->storage->path);
}

/* ---- transactions ---------------------------------------------------------------------------- */

int cfa__sqlite_run(sqlite3_stmt *statement) {
    int code;
    do {
        code = sqlite3_step(statement);
    } while (code == SQLITE_ROW);
    int reset = sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : reset;
}

cfa_status cfa__sqlite_begin(cfa__sql_connection *handle, int32_t mode, int32_t timeout_ms,
                             int64_t *out_now_us) {
    cfa__sqlite_connection *connection = connection_of(handle);
    int code;
    (void)out_now_us; /* the platform's clock is used: this store has none */
    set_deadline(connection, timeout_ms);
    if (mode == CFA_SESSION_WRITE) {
        /* What matters here is the batch: a checkpoint that fails leaves everything in the log and
         * is tried again. */
        (void)!cfa__sqlite_checkpoint(connection, timeout_ms, true);
        code = cfa__sqlite_run(connection->begin_write);
    } else {
        code = cfa__sqlite_run(connection->begin_read);
        if (code == SQLITE_OK) {
            code = cfa__sqlite_run(connection->pin); /* BEGIN alone takes no snapshot */
        }
    }
    if (code != SQLITE_OK) {
        cfa_status status = cfa__sqlite_fail(connection->storage, connection->db, code, "BEGIN");
        cfa__sqlite_rollback(handle);
        return status;
    }
    connection->mode = mode;
    return CFA_OK;
}

cfa_status cfa__sqlite_commit(cfa__sql_connection *handle) {
    cfa__sqlite_connection *connection = connection_of(handle);
    int code, tries = 0;
    /* Refused for a lock, the transaction is still open and whole, and COMMIT may be asked for
     * again. */
    do {
        code = cfa__sqlite_run(connection->commit);
    } while ((code & 0xff) == SQLITE_BUSY && !sqlite3_get_autocommit(connection->db) &&
             ++tries < COMMIT_TRIES && on_busy(connection, tries) != 0);
    if (code == SQLITE_OK) {
        return CFA_OK;
    }
    cfa_status status = connection->mode == CFA_SESSION_WRITE
                            ? cfa__sqlite_fail_commit(connection->storage, connection->db, code)
                            : cfa__sqlite_fail(connection->storage, connection->db, code, "COMMIT");
    cfa__sqlite_rollback(handle);
    return status;
}

bool cfa__sqlite_rollback(cfa__sql_connection *handle) {
    cfa__sqlite_connection *connection = connection_of(handle);
    if (!sqlite3_get_autocommit(connection->db)) {
        if (connection->rollback != NULL) {
            cfa__sqlite_run(connection->rollback);
        } else {
            sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
        }
    }
    return sqlite3_get_autocommit(connection->db) != 0;
}
