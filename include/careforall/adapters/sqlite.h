/*
 * adapters/sqlite.h - a book in one SQLite file. Library careforall-sqlite, pkg-config
 * careforall-sqlite.
 *
 * WAL, synchronous=FULL, STRICT tables. Several processes may open one file on one machine; not on
 * a network file system. A host may keep tables of its own in the file, if their names do not begin
 * with "cfa_".
 *
 * SQLite before 3.51.3 (but 3.44.6 and 3.50.7) can corrupt a database when one connection
 * checkpoints while another commits (sqlite.org/wal.html, "The WAL-reset bug"). There the library
 * checkpoints only while it holds the write lock, and switches automatic checkpoints off, also on
 * connections that join. With such a release a host must not let other connections of its own
 * checkpoint this file: set wal_autocheckpoint=0 and SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE on them.
 */
#ifndef CAREFORALL_ADAPTERS_SQLITE_H
#define CAREFORALL_ADAPTERS_SQLITE_H

#include <careforall/engine.h>
#include <careforall/sys/storage.h>

struct sqlite3;

CFA_BEGIN

typedef struct cfa_sqlite_options {
    size_t struct_size;
    const char *vfs;         /* NULL: SQLite's default */
    int32_t cache_kib;       /* page cache of the writer; 0: 65536 */
    int32_t wal_limit_pages; /* checkpoint when the log passes this; 0: 16000 */
    int32_t busy_timeout_ms; /* wait for another process; 0: 5000 */
    int32_t
        read_only; /* non-zero: for an audit, never for an engine; nothing is written or made, and
                        * the file must be there with this library's schema */
} cfa_sqlite_options;

#define CFA_SQLITE_OPTIONS_INIT                                                                    \
    { sizeof(cfa_sqlite_options), NULL, 0, 0, 0, 0 }

/*
 * Make a storage adapter over the database file `path`, created at the first open if its directory
 * exists.
 * `options`: copied, NULL for defaults. Released by an owning engine or by `out->ops->close`.
 * Expected: CFA_OK; CFA_EINVAL; CFA_EREADONLY (message names the directory or file); CFA_ESCHEMA
 * (not a database of ours); CFA_EIO; CFA_ENOMEM. Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_sqlite_storage_new(cfa_storage *out, const char *path,
                                                         const cfa_sqlite_options *options);

/*
 * Open storage, schema and engine in one call; the engine owns the storage.
 * `options->storage` must be NULL. `options`: NULL only for a book without provider.
 * Expected: as `cfa_sqlite_storage_new` and `cfa_engine_open`.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_sqlite_open(cfa_engine **out, const char *path,
                                                  const cfa_engine_options *options);

/*
 * Join the host's own transaction on the host's own connection to the same file, so that a host's
 * row and a pledge commit or roll back together.
 *
 * `connection` must be inside BEGIN IMMEDIATE (the write lock is held), in WAL mode and on the
 * engine's file. Events are staged; the engine's next batch moves them to the log. `*out`: freed by
 * `cfa_tx_free`.
 * Expected: CFA_OK; CFA_EMISUSE (no write transaction open, or another file). Threading: the
 * connection's.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_sqlite_join(cfa_tx **out, cfa_engine *engine,
                                                  struct sqlite3 *connection);

CFA_END

#endif
