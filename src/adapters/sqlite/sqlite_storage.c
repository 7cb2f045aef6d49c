/*
 * sqlite_storage.c - the storage adapter itself: options, the path and what can be wrong with it,
 * the vtable.
 */
#include "adapters/sqlite/sqlite_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_KIB 65536
#define WAL_LIMIT_PAGES 16000
#define BUSY_TIMEOUT_MS 5000
#define VERSION_MIN 3037000 /* STRICT tables */

static void storage_free(cfa__sqlite_storage *storage) {
    if (storage != NULL) {
        cfa__sql_storage_release(&storage->base);
        cfa_free(storage->path);
        cfa_free(storage->vfs);
        cfa_free(storage);
    }
}

static void storage_close(void *self) { storage_free(self); }

const cfa_storage_ops cfa__sqlite_storage_ops = {
    .struct_size = sizeof(cfa_storage_ops),
    .name = "sqlite",
    .capabilities =
        CFA_STORAGE_DURABLE | CFA_STORAGE_SHARED | CFA_STORAGE_JOIN | CFA_STORAGE_EXCLUSIVE,
    .migrate = cfa__sql_migrate,
    .session_open = cfa__sql_session_open,
    .session_close = cfa__sql_session_close,
    .begin = cfa__sql_begin,
    .commit = cfa__sql_commit,
    .rollback = cfa__sql_rollback,
    .load = cfa__sql_load,
    .save = cfa__sql_save,
    .changes = cfa__sql_changes,
    .maintain = cfa__sql_maintain,
    .close = storage_close,
};

/* ---- the path -------------------------------------------------------------------------------- */

static char *copy_text(const char *text, size_t size) {
    char *copy = cfa_alloc(size + 1);
    if (copy != NULL) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

static cfa_status refuse(cfa_status status, int error, const char *why, const char *path) {
    return cfa_error_format(status, CFA__SQLITE_ORIGIN, "path", error, "%.160s %s", path, why);
}

static cfa_status check_directory(const char *directory, bool writes) {
    struct stat info;
    if (stat(directory, &info) != 0) {
        return errno == ENOENT
                   ? refuse(CFA_EREADONLY, ENOENT, "does not exist: create this directory first",
                            directory)
                   : refuse(CFA_EREADONLY, errno,
                            "cannot be reached: check the permissions on the way", directory);
    }
    if (!S_ISDIR(info.st_mode)) {
        return refuse(CFA_EREADONLY, ENOTDIR, "is not a directory: choose another path", directory);
    }
    if (writes && access(directory, W_OK | X_OK) != 0) {
        return refuse(CFA_EREADONLY, errno,
                      "is a directory this user cannot write: change its owner or mode, or "
                      "choose another path",
                      directory);
    }
    return CFA_OK;
}

static cfa_status check_file(const char *path, bool writes) {
    struct stat info;
    if (stat(path, &info) != 0) {
        return writes ? CFA_OK /* made at the first open */
                      : refuse(CFA_EREADONLY, errno, "is not there to be read", path);
    }
    if (S_ISDIR(info.st_mode)) {
        return refuse(CFA_EREADONLY, EISDIR, "is a directory: name a file in it", path);
    }
    if (access(path, writes ? R_OK | W_OK : R_OK) != 0) {
        return refuse(CFA_EREADONLY, errno,
                      writes ? "is a file this user cannot write: change its owner or mode, or "
                               "choose another path"
                             : "is a file this user cannot read: change its owner or mode",
                      path);
    }
    return CFA_OK;
}

/* Make the path absolute, because connections are reopened and a host may change its directory in
 * between. */
static cfa_status resolve_path(cfa__sqlite_storage *storage, const char *path) {
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    char directory[PATH_MAX], absolute[PATH_MAX];
    size_t size = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (name[0] == '\0') {
        return refuse(CFA_EREADONLY, EISDIR, "is a directory: name a file in it", path);
    }
    if (strlen(path) >= PATH_MAX - 16) {
        return cfa_error_set(CFA_ETOOLONG, CFA__SQLITE_ORIGIN, "path", 0, "the path is too long");
    }
    memcpy(directory, slash != NULL ? path : ".", size);
    directory[size] = '\0';
    cfa_status status = check_directory(directory, !storage->base.read_only);
    if (status != CFA_OK) {
        return status;
    }
    if (realpath(directory, absolute) == NULL) {
        return refuse(CFA_EREADONLY, errno, "cannot be resolved: use an absolute path", directory);
    }
    size_t absolute_size = strlen(absolute), name_size = strlen(name);
    storage->path = cfa_alloc(absolute_size + name_size + 2);
    if (storage->path == NULL) {
        return cfa__sqlite_no_memory();
    }
    memcpy(storage->path, absolute, absolute_size);
    storage->path[absolute_size] = '/';
    memcpy(storage->path + absolute_size + 1, name, name_size + 1);
    return check_file(storage->path, !storage->base.read_only);
}

/* ---- making ---------------------------------------------------------------------------------- */

static int32_t or_default(int32_t value, int32_t standard) { return value != 0 ? value : standard; }

static cfa_status read_options(cfa__sqlite_storage *storage, const cfa_sqlite_options *given) {
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    if (given != NULL) {
        if (given->struct_size > sizeof(options)) {
            return cfa_error_set(CFA_EABI, CFA__SQLITE_ORIGIN, "options", 0,
                                 "the options are of a newer library");
        }
        memcpy(&options, given, given->struct_size);
    }
    if (options.cache_kib < 0 || options.wal_limit_pages < 0 || options.busy_timeout_ms < 0) {
        return cfa_error_set(CFA_EINVAL, CFA__SQLITE_ORIGIN, "options", 0,
                             "cache_kib, wal_limit_pages and busy_timeout_ms may not be negative");
    }
    storage->base.read_only = options.read_only != 0;
    storage->cache_kib = or_default(options.cache_kib, CACHE_KIB);
    storage->wal_limit_pages = or_default(options.wal_limit_pages, WAL_LIMIT_PAGES);
    storage->busy_timeout_ms = or_default(options.busy_timeout_ms, BUSY_TIMEOUT_MS);
    if (options.vfs != NULL) {
        storage->vfs = copy_text(options.vfs, strlen(options.vfs));
        if (storage->vfs == NULL) {
            return cfa__sqlite_no_memory();
        }
    }
    return CFA_OK;
}

/* Open the file once, so that what is wrong with it is said here and not at the first donation. */
static cfa_status probe(cfa__sqlite_storage *storage) {
    cfa__sql_connection *connection;
    bool writes = !storage->base.read_only;
    cfa_status status = cfa__sqlite_driver.connect(
        storage, writes ? CFA_SESSION_WRITE : CFA_SESSION_READ, writes, &connection);
    if (status == CFA_OK) {
        cfa__sqlite_driver.disconnect(connection);
    }
    return status;
}

static cfa_status check_library(void) {
    if (sqlite3_threadsafe() == 0) {
        return cfa_error_set(CFA_ENOTSUP, CFA__SQLITE_ORIGIN, NULL, 0,
                             "this SQLite was built without threads: use another build");
    }
    if (sqlite3_libversion_number() < VERSION_MIN) {
        return cfa_error_format(CFA_ENOTSUP, CFA__SQLITE_ORIGIN, NULL, sqlite3_libversion_number(),
                                "SQLite %s is too old: 3.37 or later is needed",
                                sqlite3_libversion());
    }
    return CFA_OK;
}

cfa_status cfa_sqlite_storage_new(cfa_storage *out, const char *path,
                                  const cfa_sqlite_options *options) {
    if (out == NULL || path == NULL || path[0] == '\0' || strcmp(path, ":memory:") == 0) {
        return cfa_error_set(CFA_EINVAL, CFA__SQLITE_ORIGIN, out == NULL ? "out" : "path", 0,
                             "the path of a database file is needed; for a book in memory use the "
                             "memory storage");
    }
    cfa_status status = check_library();
    if (status != CFA_OK) {
        return status;
    }
    cfa__sqlite_storage *storage = cfa_alloc(sizeof(*storage));
    if (storage == NULL) {
        return cfa__sqlite_no_memory();
    }
    memset(storage, 0, sizeof(*storage));
    cfa__sql_storage_init(&storage->base, &cfa__sqlite_driver);
    storage->handle = (cfa_storage){ &cfa__sqlite_storage_ops, storage };
    storage->reset_race = cfa__sqlite_has_reset_race(sqlite3_libversion_number());
    status = read_options(storage, options);
    if (status == CFA_OK) {
        status = resolve_path(storage, path);
    }
    if (status == CFA_OK) {
        status = probe(storage);
    }
    if (status != CFA_OK) {
        storage_free(storage);
        return status;
    }
    *out = storage->handle;
    return CFA_OK;
}
