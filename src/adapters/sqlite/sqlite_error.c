/*
 * sqlite_error.c - what SQLite's result codes mean to the engine: which failures certainly did
 * nothing, which may have done everything. Never puts values of rows into a message; SQLite's own
 * messages name tables and columns only.
 */
#include "adapters/sqlite/sqlite_internal.h"

#include <errno.h>

cfa_status cfa__sqlite_no_memory(void) {
    return cfa_error_set(CFA_ENOMEM, CFA__SQLITE_ORIGIN, NULL, SQLITE_NOMEM, "out of memory");
}

static cfa_status status_of(int code) {
    switch (code) {
    case SQLITE_IOERR_NOMEM: return CFA_ENOMEM;
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID: return CFA_EEXISTS;
    default: break;
    }
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL: /* lost the race for a lock of the log too often */
    case SQLITE_SCHEMA: /* another process migrates */ return CFA_EBUSY;
    case SQLITE_IOERR:
    case SQLITE_INTERRUPT:
    case SQLITE_NOLFS: return CFA_EIO;
    case SQLITE_FULL: return CFA_ENOSPACE;
    case SQLITE_NOMEM: return CFA_ENOMEM;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM: return CFA_EREADONLY;
    case SQLITE_AUTH: /* an authorizer of a host that joins */ return CFA_EMISUSE;
    case SQLITE_NOTADB: return CFA_ESCHEMA;
    case SQLITE_CORRUPT: return CFA_ECORRUPT;
    case SQLITE_CONSTRAINT: /* NOT NULL, a type of a STRICT table, a host's trigger */
    case SQLITE_MISMATCH: return CFA_EINVAL;
    case SQLITE_TOOBIG: return CFA_ETOOLONG;
    default: return CFA_EBUG;
    }
}

cfa_status cfa__sqlite_fail(const cfa__sqlite_storage *storage, sqlite3 *db, int code,
                            const char *doing) {
    /* A host's connection may give the short codes only. */
    if (db != NULL && (code & ~0xff) == 0 && (sqlite3_extended_errcode(db) & 0xff) == code) {
        code = sqlite3_extended_errcode(db);
    }
    cfa_status status = status_of(code);
    int system_error = db != NULL ? sqlite3_system_errno(db) : 0;
    if (status == CFA_EREADONLY && (system_error == EMFILE || system_error == ENFILE)) {
        return cfa_error_set(CFA_EIO, CFA__SQLITE_ORIGIN, NULL, code,
                             "too many open files: raise the limit (ulimit -n)");
    }
    if (status == CFA_EREADONLY) {
        return cfa_error_format(status, CFA__SQLITE_ORIGIN, "path", code,
                                "%s cannot be opened for writing: let this user write the file and "
                                "its directory",
                                storage->path);
    }
    if (status == CFA_ESCHEMA) {
        return cfa_error_format(status, CFA__SQLITE_ORIGIN, "path", code,
                                "%s is not an SQLite database: choose another path", storage->path);
    }
    if (status == CFA_EBUSY) {
        return cfa_error_format(status, CFA__SQLITE_ORIGIN, NULL, code,
                                "%s: another connection holds the database: try again", doing);
    }
    return cfa_error_format(status, CFA__SQLITE_ORIGIN, NULL, code, "%s: %s", doing,
                            db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(code));
}

/*
 * When COMMIT returns IOERR, FULL or NOMEM, its frame may be in the log all the same, complete and
 * valid: the sync failed, or only the padding behind it. The running process then does not see the
 * transaction, but a recovery after a crash may find it. So these are in doubt; only refusals that
 * come before the first frame is written are certain.
 */
cfa_status cfa__sqlite_fail_commit(const cfa__sqlite_storage *storage, sqlite3 *db, int code) {
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CONSTRAINT:
    case SQLITE_READONLY: return cfa__sqlite_fail(storage, db, code, "COMMIT");
    default:
        return cfa_error_format(CFA_EINDOUBT, CFA__SQLITE_ORIGIN, NULL, code, "COMMIT: %s",
                                sqlite3_errmsg(db));
    }
}
