/*
 * sqlite_checkpoint.c - moving the log into the database file: when, and how without SQLite's
 * WAL-reset race.
 *
 * The race (sqlite.org/wal.html, "The WAL-reset bug"; SQLite 3.7.0 to 3.51.2, fixed in 3.51.3 and
 * in the branch releases 3.44.6 and 3.50.7): while one connection begins a checkpoint, another
 * commits a transaction that resets the log to its start. The checkpoint does not notice, marks too
 * much of the new log as done, and a later checkpoint leaves out pages: the database is corrupt. It
 * takes no crash, only two connections, in one process or in several.
 *
 * A log is reset only by the holder of the write lock. So with such a release no connection of ours
 * checkpoints by itself (not at a size, not when it closes), and an explicit checkpoint runs on a
 * second connection while the first one holds the write lock by BEGIN IMMEDIATE: no process can
 * commit, ours or a stranger's, until it is over. The modes FULL, RESTART and TRUNCATE are no way
 * out, since they fall back to PASSIVE when the write lock is taken.
 *
 * A passive checkpoint that reaches the end lets the next commit reuse the log from its start,
 * unless a reader is still on an older snapshot; those that begin after it are not in the way. So
 * the log is bounded by its limit and the longest reader, and its file stays allocated, which makes
 * syncs cheaper.
 */
#include "adapters/sqlite/sqlite_internal.h"

bool cfa__sqlite_has_reset_race(int version) {
    bool is_fixed_branch =
        (version >= 3044006 && version < 3045000) || (version >= 3050007 && version < 3051000);
    return version < 3051003 && !is_fixed_branch;
}

static int on_commit(void *opaque, sqlite3 *db, const char *name, int pages) {
    cfa__sqlite_connection *connection = opaque;
    (void)db;
    (void)name;
    connection->wal_pages = pages;
    if (pages < connection->storage->wal_limit_pages) {
        connection->checkpoint_at = connection->storage->wal_limit_pages;
    }
    return SQLITE_OK;
}

void cfa__sqlite_watch_wal(cfa__sqlite_connection *connection) {
    sqlite3_wal_hook(connection->db, on_commit, connection);
}

static cfa_status open_checkpointer(cfa__sqlite_connection *connection) {
    if (connection->checkpointer != NULL) {
        return CFA_OK;
    }
    cfa_status status =
        cfa__sqlite_open_handle(connection->storage, false, &connection->checkpointer);
    if (status != CFA_OK) {
        return status;
    }
    /* Its own setting decides whether a checkpoint syncs. */
    int code = sqlite3_exec(connection->checkpointer, "PRAGMA synchronous=FULL", NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        status = cfa__sqlite_fail(connection->storage, connection->checkpointer, code, "PRAGMA");
        sqlite3_close_v2(connection->checkpointer);
        connection->checkpointer = NULL;
    }
    return status;
}

static cfa_status checkpoint(cfa__sqlite_connection *connection) {
    const cfa__sqlite_storage *storage = connection->storage;
    sqlite3 *db = connection->db;
    int log_pages = -1, done_pages = -1;
    if (storage->reset_race) {
        cfa_status status = open_checkpointer(connection);
        if (status != CFA_OK) {
            return status;
        }
        int code = cfa__sqlite_run(connection->begin_write);
        if (code != SQLITE_OK) {
            return cfa__sqlite_fail(storage, connection->db, code, "checkpoint");
        }
        db = connection->checkpointer;
    }
    int code =
        sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, &log_pages, &done_pages);
    cfa_status status = CFA_OK;
    if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY) {
        status = cfa__sqlite_fail(storage, db, code, "checkpoint");
    }
    if (storage->reset_race) {
        cfa__sqlite_rollback((cfa__sql_connection *)connection);
    }
    if (code == SQLITE_OK && log_pages == done_pages) {
        connection->wal_pages = 0;
        connection->checkpoint_at = storage->wal_limit_pages;
    } else {
        /* A reader holds an old snapshot, or the disk fails: do not try again at once. */
        connection->checkpoint_at = connection->wal_pages + storage->wal_limit_pages / 4 + 1;
    }
    return status;
}

cfa_status cfa__sqlite_checkpoint(cfa__sqlite_connection *connection, int32_t timeout_ms,
                                  bool late) {
    int32_t at = connection->checkpoint_at + (late ? connection->storage->wal_limit_pages : 0);
    if (connection->wal_pages < at) {
        return CFA_OK;
    }
    if (!late) {
        int32_t wait_ms = timeout_ms > 0 ? timeout_ms : connection->storage->busy_timeout_ms;
        connection->deadline_us = cfa__sqlite_monotonic_us() + (int64_t)wait_ms * 1000;
    }
    return checkpoint(connection);
}

void cfa__sqlite_checkpoint_on_close(cfa__sqlite_connection *connection) {
    if (connection->storage->reset_race && connection->wal_pages > 0) {
        connection->deadline_us = 0;
        (void)!checkpoint(connection);
    }
}
